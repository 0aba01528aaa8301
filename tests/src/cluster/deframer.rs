//! Splitting a byte stream into frames.

use rocketmq_core::wire::frame::{self, Frame, FrameError, MAX_FRAME};
use rocketmq_core::wire::header::HeaderLimits;

/// Collects received bytes and gives whole frames, as a server does.
#[derive(Debug, Default)]
pub struct Deframer {
    received: Vec<u8>,
    read: usize,
}

impl Deframer {
    /// Takes bytes as they were received.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.read > 0 {
            self.received.drain(..self.read);
            self.read = 0;
        }
        self.received.extend_from_slice(bytes);
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// The bytes are not a frame; a server closes such a session.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let rest = &self.received[self.read..];
        let Some(len) = frame::frame_len(rest, MAX_FRAME)? else { return Ok(None) };
        let Some(bytes) = rest.get(..len) else { return Ok(None) };
        self.read += len;
        frame::decode(bytes, &HeaderLimits::default()).map(Some)
    }
}
