//! One connection to one server.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rocketmq_core::ids::Opaque;
use rocketmq_core::wire::Frame;
use rocketmq_testkit::cluster::Deframer;

pub(crate) struct Link {
    stream: TcpStream,
    inbox: Deframer,
    heard: Vec<Frame>,
    closed: bool,
}

impl Link {
    pub(crate) fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).expect("the server listens");
        stream.set_nodelay(true).expect("a socket option");
        Self { stream, inbox: Deframer::default(), heard: Vec::new(), closed: false }
    }

    /// Writes; a server that has closed does not hear it.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.closed |= self.stream.write_all(bytes).is_err();
    }

    /// The answer to a request, waited for.
    pub(crate) fn answer(&mut self, opaque: Opaque, patience: Duration) -> Option<Frame> {
        let until = Instant::now() + patience;
        let wanted = |frame: &Frame| frame.header.is_response() && frame.header.opaque == opaque;
        loop {
            if let Some(at) = self.heard.iter().position(wanted) {
                return Some(self.heard.remove(at));
            }
            if !self.read(until) {
                return None;
            }
        }
    }

    /// Takes the requests of the server: as many as are expected, or whatever comes in time.
    pub(crate) fn pushes(&mut self, expected: usize, patience: Duration) -> Vec<Frame> {
        let until = Instant::now() + patience;
        let push = |frame: &&Frame| !frame.header.is_response();
        while self.heard.iter().filter(push).count() < expected && self.read(until) {}
        self.heard.extract_if(.., |frame| !frame.header.is_response()).collect()
    }

    /// Whether the answer is there after this time.
    pub(crate) fn answered(&mut self, opaque: Opaque, after: Duration) -> bool {
        match self.answer(opaque, after) {
            Some(frame) => {
                self.heard.push(frame);
                true
            }
            None => false,
        }
    }

    /// Whether the server closes in time.
    pub(crate) fn closes(&mut self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while self.read(until) {}
        self.closed
    }

    /// What was heard and not taken.
    pub(crate) fn unheard(&self) -> usize {
        self.heard.len()
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket")
    }

    /// Reads once; whether there was something before `until`.
    fn read(&mut self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        if self.closed || left.is_zero() {
            return false;
        }
        self.stream.set_read_timeout(Some(left)).expect("a socket option");
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.closed = true,
            Ok(count) => self.inbox.push(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.closed = true,
        }
        while let Some(frame) = self.inbox.next_frame().expect("servers write frames") {
            self.heard.push(frame);
        }
        true
    }
}
