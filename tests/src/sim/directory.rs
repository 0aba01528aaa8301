//! Whoever tells the name servers by HTTP: it is away, makes something up, or tells only some of them.

use std::io::{self, ErrorKind};
use std::task::Poll;
use std::time::Duration;

use rocketmq_core::time::Instant;

use super::faults::Fault;
use super::state::State;
use super::tape::Stream;

/// Where it is.
pub(crate) const DIRECTORY: &str = "directory:8080";

/// What a connect to it meets.
pub(super) enum Met {
    Refused,
    NoAnswer,
    Served(Conversation),
}

/// One connection to it.
pub(super) struct Conversation {
    heard: Vec<u8>,
    /// What it says, from `read` on; `None` while it says nothing.
    says: Option<Vec<u8>>,
    read: usize,
}

impl State {
    /// Connects, which takes until then.
    pub(super) fn meet_directory(&mut self) -> (Met, Instant) {
        let at = self.now.after(Duration::from_micros(self.tape.range(Stream::Directory, 100, 2_000)));
        let served = Met::Served(Conversation { heard: Vec::new(), says: None, read: 0 });
        if !self.roll(Fault::DirectoryAway) {
            return (served, at);
        }
        self.count(Fault::DirectoryAway);
        match self.tape.below(Stream::Directory, 2) {
            0 => (Met::Refused, at),
            _ => (Met::NoAnswer, at),
        }
    }

    /// What it says to whoever asks.
    fn directory_says(&mut self) -> Option<Vec<u8>> {
        let all = self.servers.name_servers();
        let mut told: Vec<&str> = all.split(';').collect();
        if self.roll(Fault::DirectoryLies) {
            self.count(Fault::DirectoryLies);
            let kind = self.tape.below(Stream::Directory, 8);
            let answer = match kind {
                0 => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into(),
                1 => "HTTP/1.1 302 Found\r\nLocation: http://10.9.9.9/\r\n\r\n".into(),
                2 => ok("<html>nothing here</html>"),
                3 => ok(&"x".repeat(200_000)),
                4 => return None,
                _ => {
                    // Of those that there are at least one is told, and one that there is not.
                    let kept = usize::try_from(self.tape.below(Stream::Directory, told.len() as u64)).unwrap_or(0);
                    told.swap(0, kept);
                    told.truncate(1);
                    if kind > 5 {
                        told.push("10.9.9.9:9876");
                    }
                    ok(&told.join(";"))
                }
            };
            return Some(answer.into_bytes());
        }
        self.reach("the name servers are told by HTTP");
        Some(ok(&format!("{}\r\n", told.join(";"))).into_bytes())
    }
}

impl Conversation {
    pub(super) fn write(&mut self, state: &mut State, bytes: &[u8]) -> usize {
        self.heard.extend_from_slice(bytes);
        if self.says.is_none() && self.heard.ends_with(b"\r\n\r\n") {
            self.says = if self.heard.starts_with(b"GET /rocketmq/nsaddr HTTP/1.1\r\n") {
                state.directory_says()
            } else {
                Some(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())
            };
        }
        bytes.len()
    }

    /// Reads what is said, in parts.
    pub(super) fn poll_read(&mut self, state: &mut State, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(says) = &self.says else { return Poll::Pending };
        let rest = &says[self.read..];
        let most = rest.len().min(buf.len());
        let n = match most {
            0 | 1 => most,
            _ => usize::try_from(state.tape.range(Stream::Directory, 1, most as u64)).unwrap_or(1),
        };
        buf[..n].copy_from_slice(&rest[..n]);
        self.read += n;
        Poll::Ready(Ok(n))
    }
}

/// Nobody is there.
pub(super) fn refused() -> io::Error {
    io::Error::new(ErrorKind::ConnectionRefused, "nobody tells the name servers")
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
