//! Why things fail. Errors of a link are states: every later call gives the same reason.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use crate::wire::FrameError;
use crate::wire::codes::response;

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
    /// The address may not be connected: see [`AddressRules`](crate::config::AddressRules).
    #[error("the address is not allowed")]
    NotAllowed,
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

/// Why a server does not let this client do something, as far as its words tell: codes do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessDenied {
    /// The request is not signed.
    #[error("requests have to be signed")]
    Unsigned,
    /// The server knows no such user, or has shut it out.
    #[error("the user is unknown or shut out")]
    User,
    /// The secret is another one.
    #[error("the signature is wrong")]
    Signature,
    /// The user may not do this.
    #[error("the user has no permission")]
    Permission,
}

impl AccessDenied {
    /// What an answer says of it; `None` when it is about something else.
    ///
    /// Sources: Java `PlainPermissionManager` and `PlainPermissionChecker` (4.x), `DefaultAuthenticationHandler`,
    /// `UserAuthorizationHandler` and `AclAuthorizationHandler` (5.3 and later).
    #[must_use]
    pub fn of(code: i32, remark: &str) -> Option<Self> {
        if code != response::SYSTEM_ERROR && code != response::NO_PERMISSION {
            return None;
        }
        let says = |part: &&str| remark.contains(*part);
        let known = WORDS.iter().find(|(_, parts)| parts.iter().all(says));
        known.map(|(denied, _)| *denied)
    }
}

/// Words of servers that tell why; all parts of a row have to be there.
const WORDS: [(AccessDenied, &[&str]); 12] = [
    (AccessDenied::Unsigned, &["No accessKey is configured"]),
    (AccessDenied::Unsigned, &["authentication field is null"]),
    (AccessDenied::Unsigned, &["username cannot be null"]),
    (AccessDenied::User, &["AclException", "No acl config for"]),
    (AccessDenied::User, &["AclException", "No PlainAccessResource for"]),
    (AccessDenied::User, &["User:", "is not found."]),
    (AccessDenied::User, &["User:", "is disabled."]),
    (AccessDenied::Signature, &["AclException", "Check signature failed"]),
    (AccessDenied::Signature, &["check signature failed."]),
    (AccessDenied::Permission, &["AclException", "No default permission for"]),
    (AccessDenied::Permission, &["AclException", "Need admin permission"]),
    (AccessDenied::Permission, &["has no permission to access"]),
];

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
    /// A request was not answered, and nothing came for too long after that.
    #[error("the peer says nothing any more")]
    Silent,
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
    /// The link is to be encrypted, and that did not work out.
    Tls(TlsFailure),
    /// The server is to be reached through a proxy, and cannot be.
    Proxy(ProxyFailure),
    /// Anything else.
    Other,
}

/// Why a proxy leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyFailure {
    /// It does not speak SOCKS 5.
    NotSocks,
    /// It wants to know who asks, and is not content.
    Credentials,
    /// It does not connect to the server, by the code of RFC 1928; 0 where it was not even asked.
    Target(u8),
    /// It closed the connection.
    CutShort,
    /// It broke the rules of SOCKS.
    Protocol,
}

/// Why a link over TLS is not opened, or is closed. What is certified and what was expected is in the words of the
/// [`IoFailure`] it comes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// The server's certificate, or one it rests on, is valid no longer.
    Expired,
    /// The server's certificate, or one it rests on, is not valid yet.
    NotYetValid,
    /// The server's certificate is for other names or addresses.
    WrongName,
    /// Nobody who is trusted has issued the server's certificate.
    UnknownIssuer,
    /// The server's certificate is not for servers.
    WrongPurpose,
    /// A signature does not go with its key.
    BadSignature,
    /// The server's certificate, or one it rests on, breaks another rule.
    BadCertificate,
    /// The server's certificate is not the one that was pinned.
    Pin,
    /// The address has no host of which a certificate could speak.
    NoName,
    /// The server takes no connection of a client without a certificate, or of a client with this one.
    ClientCertificate,
    /// Neither version nor suite of ciphers is known to both.
    NothingInCommon,
    /// The server does not speak TLS.
    NotTls,
    /// The connection ended before it was encrypted.
    CutShort,
    /// The server said no, and not why.
    Refused,
    /// The server broke the rules of TLS, or somebody changed bytes on their way.
    Protocol,
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
        if let Some(failure) = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            return failure.clone();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_servers_tell_why_they_refuse() {
        let (acl, place) = ("org.apache.rocketmq.acl.common.AclException: ", ", PlainPermissionManager.java:1");
        let old = |words: &str| AccessDenied::of(1, &[acl, words, place].concat());
        assert_eq!(old("No accessKey is configured"), Some(AccessDenied::Unsigned));
        assert_eq!(old("No acl config for somebody"), Some(AccessDenied::User));
        assert_eq!(old("Check signature failed for accessKey=somebody"), Some(AccessDenied::Signature));
        assert_eq!(old("No default permission for TOPIC"), Some(AccessDenied::Permission));
        let admin = "Need admin permission for request code=17, but accessKey=somebody is not";
        assert_eq!(old(admin), Some(AccessDenied::Permission));
        let new = |words: &str| AccessDenied::of(16, words);
        assert_eq!(new("username cannot be null."), Some(AccessDenied::Unsigned));
        assert_eq!(new("authentication field is null"), Some(AccessDenied::Unsigned));
        assert_eq!(new("User:somebody is not found."), Some(AccessDenied::User));
        assert_eq!(new("User:somebody is disabled."), Some(AccessDenied::User));
        assert_eq!(new("check signature failed."), Some(AccessDenied::Signature));
        let no = "User:somebody has no permission to access Topic:t from 10.0.0.1, no matched policies.";
        assert_eq!(new(no), Some(AccessDenied::Permission));
    }

    #[test]
    fn other_refusals_are_something_else() {
        for words in ["the topic[t] sending message is forbidden", "subscription group no permission, g", ""] {
            assert_eq!(AccessDenied::of(16, words), None, "{words}");
        }
        assert_eq!(AccessDenied::of(1, "No acl config for somebody"), None, "a message of another kind");
        assert_eq!(AccessDenied::of(0, "check signature failed."), None);
        assert_eq!(AccessDenied::of(17, "User:somebody is not found."), None);
    }
}
