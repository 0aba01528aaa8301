//! Why things fail. Errors of a link are states: every later call gives the same reason.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use crate::wire::FrameError;

/// Whether the peer can have seen a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Not one byte that matters was written: the peer cannot have acted on it.
    Never,
    /// It was written, wholly or in part: the peer may have acted on it.
    Maybe,
}

/// A request that got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}{}", if *.sent == Sent::Maybe { " (the request may have been received)" } else { "" })]
pub struct RequestError {
    /// Why.
    pub why: RequestFailure,
    /// Whether it can have taken effect.
    pub sent: Sent,
}

impl RequestError {
    /// A failure of a request that was never sent.
    #[must_use]
    pub const fn never(why: RequestFailure) -> Self {
        Self { why, sent: Sent::Never }
    }
}

/// The reason a request got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestFailure {
    /// No answer by the deadline.
    #[error("no answer in time")]
    Timeout,
    /// The link was closed under it.
    #[error("link closed: {0}")]
    Closed(CloseReason),
    /// The link could not be opened.
    #[error("cannot connect: {0}")]
    Connect(IoFailure),
    /// The link's bounds are reached.
    #[error("too many requests under way")]
    Busy,
    /// The request is larger than a frame may be.
    #[error("request of {len} bytes is over the frame limit")]
    TooLong {
        /// Bytes of the frame.
        len: usize,
    },
}

/// Why a link is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// We closed it.
    #[error("closed by this client")]
    Local,
    /// The peer closed it between frames.
    #[error("closed by the peer")]
    PeerClosed,
    /// The peer closed it in the middle of a frame.
    #[error("closed by the peer in mid-frame")]
    Truncated,
    /// The operating system reported an error.
    #[error("{0}")]
    Io(IoFailure),
    /// The peer sent bytes that are not a frame.
    #[error("{0}")]
    Protocol(FrameError),
    /// A frame was begun and did not grow for too long.
    #[error("a frame stopped in the middle")]
    StalledRead,
    /// The peer did not take our bytes for too long.
    #[error("the peer stopped reading")]
    StalledWrite,
    /// Nothing went either way for too long.
    #[error("idle")]
    Idle,
    /// The peer answers requests we never made.
    #[error("too many answers to requests never made")]
    Unmatched,
}

/// An error of the operating system, kept as a value that can be cloned, compared and printed.
#[derive(Clone, PartialEq, Eq)]
pub struct IoFailure {
    /// The kind, such as `ConnectionRefused`.
    pub kind: IoKind,
    text: Arc<str>,
}

/// The kinds of IO failure that behaviour depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoKind {
    /// The peer's machine refused the connection.
    Refused,
    /// The connection was reset.
    Reset,
    /// No answer in time.
    TimedOut,
    /// The host name does not resolve.
    Unresolved,
    /// `write` accepted no byte.
    WriteZero,
    /// Anything else.
    Other,
}

impl IoFailure {
    /// A failure of this kind with its text.
    #[must_use]
    pub fn new(kind: IoKind, text: impl Into<String>) -> Self {
        Self { kind, text: Arc::from(text.into()) }
    }
}

impl fmt::Display for IoFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for IoFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.text)
    }
}

impl core::error::Error for IoFailure {}

#[cfg(feature = "std")]
impl From<std::io::Error> for IoFailure {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the standard library's list is open")]
    fn from(error: std::io::Error) -> Self {
        use alloc::string::ToString;
        use std::io::ErrorKind;
        let kind = match error.kind() {
            ErrorKind::ConnectionRefused => IoKind::Refused,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => IoKind::Reset,
            ErrorKind::TimedOut => IoKind::TimedOut,
            ErrorKind::NotFound => IoKind::Unresolved,
            ErrorKind::WriteZero => IoKind::WriteZero,
            _ => IoKind::Other,
        };
        Self::new(kind, error.to_string())
    }
}
