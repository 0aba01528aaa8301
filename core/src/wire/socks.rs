//! The client's part of SOCKS 5: what is said to a proxy, and what is made of its answers. Sources: RFC 1928, RFC 1929.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use crate::config::{SocksProxy, parts};
use crate::error::{IoFailure, IoKind, ProxyFailure};
use crate::ids::Endpoint;

/// One conversation.
pub struct Talk {
    target: Vec<u8>,
    /// What tells who asks.
    who: Option<Vec<u8>>,
    stage: Stage,
    received: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Method,
    Password,
    Connect,
}

/// What comes next.
#[derive(PartialEq, Eq)]
pub enum Next {
    /// The answer is not all there.
    Wait,
    /// This is to be said.
    Say(Vec<u8>),
    /// The stream leads to the server.
    Through,
}

impl Talk {
    /// What is to be said to a proxy that is to lead to this server.
    ///
    /// # Errors
    /// The address cannot be told to a proxy.
    pub fn new(proxy: &SocksProxy, to: &Endpoint) -> Result<Self, IoFailure> {
        let (host, port) = parts(to).ok_or_else(|| failed(ProxyFailure::Target(0), "the address has no port"))?;
        let mut target = alloc::vec![VERSION, CONNECT, 0];
        match host.parse() {
            Ok(IpAddr::V4(ip)) => {
                target.push(IPV4);
                target.extend(ip.octets());
            }
            Ok(IpAddr::V6(ip)) => {
                target.push(IPV6);
                target.extend(ip.octets());
            }
            Err(_) => {
                let Ok(len) = u8::try_from(host.len()) else {
                    return Err(failed(ProxyFailure::Target(0), "the name is too long"));
                };
                target.extend([NAME, len]);
                target.extend(host.bytes());
            }
        }
        target.extend(port.to_be_bytes());
        let who = proxy.user.as_ref().map(|(name, password)| {
            let mut who = alloc::vec![PASSWORD_VERSION];
            for text in [name, password] {
                // Their lengths are checked with the configuration.
                let text = text.as_bytes().get(..text.len().min(255)).unwrap_or_default();
                who.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
                who.extend(text);
            }
            who
        });
        Ok(Self { target, who, stage: Stage::Method, received: Vec::new() })
    }

    /// The first words: how this client can say who it is.
    #[must_use]
    pub fn greeting(&self) -> Vec<u8> {
        match self.who {
            Some(_) => alloc::vec![VERSION, 2, NOBODY, PASSWORD],
            None => alloc::vec![VERSION, 1, NOBODY],
        }
    }

    /// Takes a part of an answer. Nothing may follow it: no server speaks first.
    ///
    /// # Errors
    /// The proxy refuses, or says what makes no sense.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Next, IoFailure> {
        self.received.extend_from_slice(bytes);
        let next = match self.stage {
            Stage::Method => self.on_method(),
            Stage::Password => self.on_password(),
            Stage::Connect => self.on_connect(),
        }?;
        let (len, next) = match next {
            Some(answer) => answer,
            None if self.received.len() > MAX_ANSWER => return Err(too_much()),
            None => return Ok(Next::Wait),
        };
        if self.received.len() > len {
            return Err(too_much());
        }
        self.received.clear();
        Ok(next)
    }

    fn on_method(&mut self) -> Answer {
        let (method, who) = match (&*self.received, &self.who) {
            ([VERSION, method, ..], who) => (*method, who),
            ([VERSION] | [], _) => return Ok(None),
            _ => return Err(failed(ProxyFailure::NotSocks, "its answer is not of SOCKS 5")),
        };
        match (method, who) {
            (NOBODY, _) => {
                self.stage = Stage::Connect;
                Ok(Some((2, Next::Say(self.target.clone()))))
            }
            (PASSWORD, Some(who)) => {
                let who = who.clone();
                self.stage = Stage::Password;
                Ok(Some((2, Next::Say(who))))
            }
            (NONE_OF_THESE, Some(_)) => {
                Err(failed(ProxyFailure::Credentials, "it wants to know who asks in another way"))
            }
            (NONE_OF_THESE, None) => Err(failed(ProxyFailure::Credentials, "it wants to know who asks")),
            _ => Err(failed(ProxyFailure::Protocol, "it chose what was not offered")),
        }
    }

    fn on_password(&mut self) -> Answer {
        match &*self.received {
            [_, 0, ..] => {
                self.stage = Stage::Connect;
                Ok(Some((2, Next::Say(self.target.clone()))))
            }
            [_, _, ..] => Err(failed(ProxyFailure::Credentials, "it does not take user and password")),
            [_] | [] => Ok(None),
        }
    }

    fn on_connect(&self) -> Answer {
        let len = match &*self.received {
            [VERSION, 0, _, kind, rest @ ..] => {
                let address = match (*kind, rest) {
                    (IPV4, _) => 4,
                    (IPV6, _) => 16,
                    (NAME, [len, ..]) => usize::from(*len).saturating_add(1),
                    (NAME, []) => return Ok(None),
                    _ => return Err(failed(ProxyFailure::Protocol, "its address is of an unknown kind")),
                };
                // Before it four bytes, after it the port.
                address.saturating_add(6)
            }
            [VERSION, code, ..] if *code != 0 => return Err(failed(ProxyFailure::Target(*code), &reason(*code))),
            [VERSION, ..] | [] => return Ok(None),
            _ => return Err(failed(ProxyFailure::NotSocks, "its answer is not of SOCKS 5")),
        };
        Ok((self.received.len() >= len).then_some((len, Next::Through)))
    }
}

impl fmt::Debug for Talk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Talk").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait => f.write_str("Wait"),
            // It may be a password.
            Self::Say(words) => write!(f, "Say({} bytes)", words.len()),
            Self::Through => f.write_str("Through"),
        }
    }
}

/// The length of an answer that is there, and what follows from it.
type Answer = Result<Option<(usize, Next)>, IoFailure>;

pub(crate) fn failed(failure: ProxyFailure, why: &str) -> IoFailure {
    IoFailure::new(IoKind::Proxy(failure), alloc::format!("proxy: {why}"))
}

fn too_much() -> IoFailure {
    failed(ProxyFailure::Protocol, "it says more than it was asked")
}

fn reason(code: u8) -> String {
    let known = match code {
        1 => "it failed",
        2 => "its rules forbid the connection",
        3 => "the network cannot be reached",
        4 => "the host cannot be reached",
        5 => "the server refused the connection",
        6 => "there was no answer in time",
        7 => "it cannot connect",
        8 => "it does not know this kind of address",
        _ => return alloc::format!("it failed with code {code}"),
    };
    String::from(known)
}

const VERSION: u8 = 5;
const PASSWORD_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const NOBODY: u8 = 0;
const PASSWORD: u8 = 2;
const NONE_OF_THESE: u8 = 0xff;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
/// The longest answer: with a name of 255 bytes.
pub const MAX_ANSWER: usize = 262;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn talk(proxy: SocksProxy, to: &str) -> Talk {
        Talk::new(&proxy, &to.into()).unwrap()
    }

    fn known() -> SocksProxy {
        SocksProxy::new("proxy:1080").user("me", "secret")
    }

    fn unknown() -> SocksProxy {
        SocksProxy::new("proxy:1080")
    }

    fn kind(result: Result<Next, IoFailure>) -> ProxyFailure {
        match result.unwrap_err().kind {
            IoKind::Proxy(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_conversation_is_that_of_the_rfcs_whatever_comes_at_once() {
        let v4 = alloc::vec![5, 1, 0, 1, 10, 0, 0, 1, 0x2a, 0x9f];
        let through = [5, 0, 0, 1, 9, 9, 9, 9, 1, 2];
        let mut one = talk(unknown(), "10.0.0.1:10911");
        assert_eq!(one.greeting(), [5, 1, 0]);
        assert_eq!(one.feed(&[5, 0]).unwrap(), Next::Say(v4.clone()));
        assert_eq!(one.feed(&through).unwrap(), Next::Through);

        let mut slow = talk(known(), "10.0.0.1:10911");
        assert_eq!(slow.greeting(), [5, 2, 0, 2]);
        assert_eq!(slow.feed(&[5]).unwrap(), Next::Wait);
        assert_eq!(slow.feed(&[2]).unwrap(), Next::Say([&[1, 2][..], b"me", &[6], b"secret"].concat()));
        assert_eq!(slow.feed(&[1]).unwrap(), Next::Wait);
        assert_eq!(slow.feed(&[0]).unwrap(), Next::Say(v4));
        for byte in &through[..9] {
            assert_eq!(slow.feed(&[*byte]).unwrap(), Next::Wait);
        }
        assert_eq!(slow.feed(&through[9..]).unwrap(), Next::Through);

        let mut unasked = talk(known(), "host:1");
        let by_name = [&[5, 1, 0, 3, 4][..], b"host", &[0, 1]].concat();
        assert_eq!(unasked.feed(&[5, 0]).unwrap(), Next::Say(by_name), "a proxy need not want to know");
        let named = [&[5, 0, 0, 3, 2][..], b"ab", &[0, 1]].concat();
        assert_eq!(unasked.feed(&named).unwrap(), Next::Through);

        let mut six = talk(unknown(), "[::1]:1");
        let Next::Say(request) = six.feed(&[5, 0]).unwrap() else { panic!() };
        assert_eq!((request.len(), &request[..4], &request[19..]), (22, &[5, 1, 0, 4][..], &[1, 0, 1][..]));
        assert_eq!(six.feed(&[&[5, 0, 0, 4][..], &[0; 18]].concat()).unwrap(), Next::Through);
    }

    #[test]
    fn a_conversation_does_not_show_who_asks() {
        let mut talk = talk(known(), "host:1");
        let next = talk.feed(&[5, 2]).unwrap();
        let secret = alloc::format!("{:?}", b"secret");
        let shown = alloc::format!("{talk:?} {next:?}");
        assert!(!shown.contains(secret.trim_matches(['[', ']'])), "{shown}");
        assert_eq!(shown, "Talk { stage: Password, .. } Say(11 bytes)");
    }

    #[test]
    fn each_refusal_has_its_error() {
        let first = |proxy, answer: &[u8]| kind(talk(proxy, "h:1").feed(answer));
        assert_eq!(first(unknown(), &[5, 0xff]), ProxyFailure::Credentials);
        assert_eq!(first(known(), &[5, 0xff]), ProxyFailure::Credentials);
        assert_eq!(first(unknown(), &[5, 2]), ProxyFailure::Protocol, "what was not offered");
        assert_eq!(first(known(), &[5, 1]), ProxyFailure::Protocol);
        assert_eq!(first(unknown(), b"HTTP/1.1 400"), ProxyFailure::NotSocks);
        assert_eq!(first(unknown(), &[4, 90]), ProxyFailure::NotSocks);
        assert_eq!(first(unknown(), &[5, 0, 0]), ProxyFailure::Protocol, "more than it was asked");

        let mut wrong = talk(known(), "h:1");
        wrong.feed(&[5, 2]).unwrap();
        assert_eq!(kind(wrong.feed(&[1, 1])), ProxyFailure::Credentials);

        let connect = |answer: &[u8]| {
            let mut talk = talk(unknown(), "h:1");
            talk.feed(&[5, 0]).unwrap();
            kind(talk.feed(answer))
        };
        for code in 1..=255 {
            assert_eq!(connect(&[5, code]), ProxyFailure::Target(code));
        }
        assert_eq!(connect(&[5, 0, 0, 9]), ProxyFailure::Protocol);
        assert_eq!(connect(&[4, 0]), ProxyFailure::NotSocks);
        assert_eq!(connect(&[5, 0, 0, 1, 1, 1, 1, 1, 1, 1, 22]), ProxyFailure::Protocol, "a server that speaks first");
        assert!(Talk::new(&unknown(), &alloc::format!("{}:1", "x".repeat(256)).into()).is_err());
        assert!(Talk::new(&unknown(), &"nothing".into()).is_err());
    }

    proptest! {
        #[test]
        fn hostile_answers_cost_an_error_at_most(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 1..8), polite in any::<bool>()) {
            let mut talk = talk(known(), "host:1");
            if polite {
                prop_assert!(talk.feed(&[5, 0]).is_ok());
            }
            for part in parts {
                match talk.feed(&part) {
                    Err(why) => { prop_assert!(matches!(why.kind, IoKind::Proxy(_))); return Ok(()); }
                    Ok(Next::Through) => return Ok(()),
                    Ok(Next::Wait | Next::Say(_)) => prop_assert!(talk.received.len() <= MAX_ANSWER),
                }
            }
        }
    }
}
