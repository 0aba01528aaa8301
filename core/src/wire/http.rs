//! As much of HTTP/1.1 as asking for a list takes: one request, and the answer to it.

use alloc::string::String;
use alloc::vec::Vec;

/// The request for a path of a host, after whose answer the connection is over.
#[must_use]
pub fn get(host: &str, path: &str) -> Vec<u8> {
    let request = alloc::format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    request.into_bytes()
}

/// What has come of an answer.
#[derive(Debug, Default)]
pub struct Response {
    received: Vec<u8>,
}

/// An answer that is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// It is not HTTP.
    #[error("not an answer of HTTP: {0}")]
    Malformed(&'static str),
    /// It has another status than 200; where it leads elsewhere, nobody goes there.
    #[error("the status is {0}")]
    Status(u16),
    /// It is longer than what can be meant.
    #[error("the answer is longer than {MAX_RESPONSE} bytes")]
    TooLong,
    /// It ended too early.
    #[error("the answer ends too early")]
    CutShort,
}

impl Response {
    /// Takes what was received; the body, once all of it is there.
    ///
    /// # Errors
    /// The answer cannot be used.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, HttpError> {
        if self.received.len().saturating_add(bytes.len()) > MAX_RESPONSE {
            return Err(HttpError::TooLong);
        }
        self.received.extend_from_slice(bytes);
        self.body(false)
    }

    /// The connection is over; the body.
    ///
    /// # Errors
    /// The answer cannot be used, or some of it is missing.
    pub fn end(&self) -> Result<Vec<u8>, HttpError> {
        self.body(true)?.ok_or(HttpError::CutShort)
    }

    fn body(&self, ended: bool) -> Result<Option<Vec<u8>>, HttpError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let parsed = head.parse(&self.received).map_err(|_| HttpError::Malformed("its head"))?;
        let httparse::Status::Complete(len) = parsed else { return Ok(None) };
        match head.code {
            Some(200) => {}
            code => return Err(HttpError::Status(code.unwrap_or_default())),
        }
        let rest = self.received.get(len..).unwrap_or_default();
        let mut length = None;
        for header in head.headers.iter() {
            if header.name.eq_ignore_ascii_case("transfer-encoding") {
                let is_chunked = header.value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                return if is_chunked { chunks(rest) } else { Err(HttpError::Malformed("its encoding")) };
            }
            if header.name.eq_ignore_ascii_case("content-length") {
                let text = core::str::from_utf8(header.value).ok();
                let parsed = text.and_then(|text| text.trim().parse::<usize>().ok());
                length = Some(parsed.ok_or(HttpError::Malformed("its length"))?);
            }
        }
        match length {
            Some(length) if length > MAX_RESPONSE => Err(HttpError::TooLong),
            Some(length) => Ok(rest.get(..length).map(<[u8]>::to_vec)),
            None => Ok(ended.then(|| rest.to_vec())),
        }
    }
}

/// A body in chunks, once the last is there.
fn chunks(mut rest: &[u8]) -> Result<Option<Vec<u8>>, HttpError> {
    let bad = HttpError::Malformed("its chunks");
    let mut body = Vec::new();
    loop {
        let parsed = httparse::parse_chunk_size(rest).map_err(|_| bad.clone())?;
        let httparse::Status::Complete((start, size)) = parsed else { return Ok(None) };
        if size == 0 {
            return Ok(Some(body));
        }
        let size = usize::try_from(size).ok().filter(|size| *size <= MAX_RESPONSE).ok_or(HttpError::TooLong)?;
        let Some((chunk, more)) = rest.get(start..).and_then(|rest| rest.split_at_checked(size)) else {
            return Ok(None);
        };
        body.extend_from_slice(chunk);
        rest = match more {
            [b'\r', b'\n', more @ ..] => more,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(bad),
        };
    }
}

/// What the first line of a body says. Source: Java `DefaultTopAddressing.clearNewLine`.
#[must_use]
pub fn first_line(body: &[u8]) -> String {
    let line = body.trim_ascii().split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    String::from_utf8_lossy(line.trim_ascii()).into_owned()
}

/// The longest answer: more addresses than anybody has.
pub const MAX_RESPONSE: usize = 64 * 1024;
/// Lines of a head.
const MAX_HEADERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An answer that comes byte by byte, and then the end.
    fn read(bytes: &[u8]) -> Result<Vec<u8>, HttpError> {
        let mut response = Response::default();
        for byte in bytes {
            if let Some(body) = response.feed(core::slice::from_ref(byte))? {
                return Ok(body);
            }
        }
        response.end()
    }

    #[test]
    fn bodies_end_by_their_length_their_last_chunk_or_with_the_connection() {
        let ok = |text: &str| read(text.as_bytes()).map(|body| first_line(&body));
        let list = Ok(String::from("a:9876;b:9876"));
        assert_eq!(ok("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\na:9876;b:9876\r\nmore"), list);
        assert_eq!(ok("HTTP/1.0 200 OK\r\n\r\n a:9876;b:9876 \r\nanother line"), list);
        let chunked =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5\r\na:987\r\n9;x=y\r\n6;b:9876\n\r\n0\r\n\r\n";
        assert_eq!(ok(chunked), list);
        assert_eq!(ok("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Ok(String::new()));
    }

    #[test]
    fn what_is_no_list_has_its_error() {
        let fails = |text: &str| read(text.as_bytes()).unwrap_err();
        assert_eq!(fails("HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n"), HttpError::Status(302));
        assert_eq!(fails("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), HttpError::Status(404));
        assert_eq!(fails("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na:1"), HttpError::CutShort);
        assert_eq!(fails("HTTP/1.1 200 OK\r\n"), HttpError::CutShort);
        assert_eq!(fails(""), HttpError::CutShort);
        assert_eq!(fails("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na:1"), HttpError::CutShort);
        for bad in [
            "\u{16}\u{3}\u{1}\0\u{2}",
            "a:9876;b:9876\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        ] {
            assert!(matches!(fails(bad), HttpError::Malformed(_)), "{bad:?}: {:?}", fails(bad));
        }
    }

    #[test]
    fn no_answer_is_longer_than_what_can_be_meant() {
        let claim = "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n";
        assert_eq!(read(claim.as_bytes()), Err(HttpError::TooLong));
        let claim = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n";
        assert_eq!(read(claim.as_bytes()), Err(HttpError::TooLong));
        let mut response = Response::default();
        let head = response.feed(b"HTTP/1.1 200 OK\r\n\r\n");
        let mut results = core::iter::once(head).chain((0..100).map(|_| response.feed(&[b'x'; 1024])));
        assert!(results.any(|result| result == Err(HttpError::TooLong)));
    }

    #[test]
    fn a_request_names_host_and_path() {
        let request = String::from_utf8(get("names:8080", "/rocketmq/nsaddr")).unwrap();
        assert!(request.starts_with("GET /rocketmq/nsaddr HTTP/1.1\r\nHost: names:8080\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n"));
    }

    proptest! {
        #[test]
        fn hostile_answers_cost_an_error_at_most(bytes in proptest::collection::vec(any::<u8>(), 0..600), head in any::<bool>(), cut in 0..600_usize) {
            let mut all = if head { b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec() } else { Vec::new() };
            all.extend(bytes);
            let mut response = Response::default();
            let at = cut.min(all.len());
            for part in [&all[..at], &all[at..]] {
                match response.feed(part) {
                    Ok(None) => {}
                    Ok(Some(body)) => { prop_assert!(body.len() <= all.len()); return Ok(()); }
                    Err(_) => return Ok(()),
                }
            }
            if let Ok(body) = response.end() {
                prop_assert!(first_line(&body).len() <= 3 * all.len());
            }
        }
    }
}
