//! What those say who are no servers of RocketMQ: who tells the name servers by HTTP, and proxies.

use rocketmq_core::config::{SocksProxy, parse_name_servers};
use rocketmq_core::error::IoFailure;
use rocketmq_core::wire::http::{HttpError, MAX_RESPONSE, Response, first_line};
use rocketmq_core::wire::socks::{MAX_ANSWER, Next, Talk};

use crate::split::pieces;

/// An answer and where it is cut. Whole, cut there or byte by byte it has the same body, or the same mistake; the body is
/// no longer than the answer, and its first line is one.
pub fn http(data: &[u8]) {
    let Some((answer, chunks)) = pieces(data) else { return };
    let whole = listen([answer]);
    if answer.len() <= MAX_RESPONSE {
        assert_eq!(listen(chunks), whole, "in chunks");
        if answer.len() <= SHORT {
            assert_eq!(listen(answer.chunks(1)), whole, "byte by byte");
        }
    }
    match whole {
        Ok(body) => {
            assert!(body.len() <= answer.len().min(MAX_RESPONSE));
            let line = first_line(&body);
            assert!(!line.contains(['\r', '\n']) && line.trim_ascii() == line);
            assert!(parse_name_servers(&line).iter().all(|server| line.contains(server.as_str())));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn listen<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, HttpError> {
    let mut response = Response::default();
    for chunk in chunks {
        if let Some(body) = response.feed(chunk)? {
            return Ok(body);
        }
    }
    response.end()
}

/// The first byte says whether there is a password, the rest is what a proxy says. In whatever pieces it comes, the client
/// says the same; a password only to a proxy that wants one; and the way is open only when the last answer says so.
pub fn socks(data: &[u8]) {
    let Some((kind, said)) = data.split_first() else { return };
    let proxy = SocksProxy::new("proxy:1080");
    let proxy = if kind % 2 == 1 { proxy.user("user", SECRET) } else { proxy };
    let Ok(mut slow) = Talk::new(&proxy, &"broker:10911".into()) else { panic!("an address like any") };
    let Ok(mut fast) = Talk::new(&proxy, &"broker:10911".into()) else { panic!("an address like any") };
    let mut rest = said;
    while !rest.is_empty() {
        let (len, next) = byte_by_byte(&mut slow, rest);
        let (answer, more) = rest.split_at(len);
        assert_eq!(fast.feed(answer), next, "at once");
        rest = more;
        match next {
            Ok(Next::Say(words)) => {
                let tells = words.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
                assert_eq!(tells, answer == [5, 2], "after {answer:?}");
            }
            Ok(Next::Through) => {
                assert!(matches!(answer, [5, 0, _, 1 | 3 | 4, ..]), "{answer:?}");
                return;
            }
            Ok(Next::Wait) => assert!(rest.is_empty() && len <= MAX_ANSWER),
            Err(error) => {
                assert!(len <= MAX_ANSWER && !error.to_string().contains(SECRET));
                return;
            }
        }
    }
}

/// How many bytes an answer has, and what follows from it.
fn byte_by_byte(talk: &mut Talk, said: &[u8]) -> (usize, Result<Next, IoFailure>) {
    for (at, byte) in said.iter().enumerate() {
        match talk.feed(&[*byte]) {
            Ok(Next::Wait) => {}
            next => return (at + 1, next),
        }
    }
    (said.len(), Ok(Next::Wait))
}

const SECRET: &str = "s3cr3t of the user";
/// Answers up to here are read byte by byte too, which takes the square of their length.
const SHORT: usize = 2_000;
