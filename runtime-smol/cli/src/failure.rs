//! What ends a command: one line for people, one code for scripts.

use std::fmt::Display;
use std::io;

use rocketmq_core::client::RouteError;
use rocketmq_core::wire::codes::response;
use rocketmq_smol::{AdminError, ConnectError, RecallError, SendError, StartError};

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Nobody reads any more what it writes: that is no failure.
    Unread = 0,
    /// The cluster refused, or there is no such thing.
    Refused = 1,
    /// The arguments are wrong.
    Usage = 2,
    /// Nobody could be reached, or answered in time.
    Unreachable = 3,
    /// Some servers failed.
    Partial = 4,
}

/// Why a command ends early.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    text: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into() }
    }

    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::new(Exit::Refused, text)
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text)
    }

    pub(crate) fn unreachable(text: impl Into<String>) -> Self {
        Self::new(Exit::Unreachable, text)
    }

    /// The same, and what it is about.
    pub(crate) fn about(self, what: impl Display) -> Self {
        Self { text: format!("{what}: {}", self.text), ..self }
    }

    /// One line, whatever servers say.
    pub(crate) fn line(&self) -> String {
        one_line(&self.text)
    }
}

/// A text in one line: servers tell stacks, and users send what they like.
pub(crate) fn one_line(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    crate::output::printable(&lines.join(" ")).into_owned()
}

/// What to do about a failure, after its words.
const WHERE: &str = "; is the server up, and -n (or NAMESRV_ADDR) right?";
const WHICH_TOPIC: &str = "; 'rmq topic list' shows those that do";
const WHICH_BROKER: &str = "; 'rmq cluster list' shows those there are";

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        let (exit, advice) = match &error {
            AdminError::Request(_) | AdminError::Route(RouteError::Unavailable(_)) => (Exit::Unreachable, WHERE),
            AdminError::NoMaster(_) | AdminError::OtherBroker { .. } => (Exit::Unreachable, WHICH_BROKER),
            AdminError::NoBroker => (Exit::Refused, WHICH_BROKER),
            AdminError::Route(RouteError::NoTopic) | AdminError::Broker { code: response::TOPIC_NOT_EXIST, .. } => {
                (Exit::Refused, WHICH_TOPIC)
            }
            AdminError::Filter(_) | AdminError::Setting(_) => (Exit::Usage, ""),
            AdminError::Closed => (Exit::Unreachable, ""),
            AdminError::OldBroker { .. } => (Exit::Refused, "; brokers from 5.0 on can"),
            AdminError::Broker { .. }
            | AdminError::Route(RouteError::Refused { .. } | RouteError::Malformed(_))
            | AdminError::Malformed(_)
            | AdminError::MalformedBody(_)
            | AdminError::Unreadable(_) => (Exit::Refused, ""),
        };
        // How it was asked for is nobody's business.
        if let AdminError::Route(why) = &error {
            return Self::new(exit, format!("{why}{advice}"));
        }
        Self::new(exit, format!("{error}{advice}"))
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match &error {
            ConnectError::Config(_) => Self::usage(format!("{error}; -n takes host:port;host:port")),
            ConnectError::Unavailable(_) => Self::unreachable(format!("{error}{WHERE}")),
            ConnectError::Runtime(_) | ConnectError::Closed => Self::unreachable(error.to_string()),
        }
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        let stored = if error.may_be_stored() { "; it may be stored all the same" } else { "" };
        let exit = match &error {
            SendError::Message(_) => Exit::Usage,
            SendError::Request(_) | SendError::Route(RouteError::Unavailable(_)) | SendError::Closed => {
                Exit::Unreachable
            }
            SendError::NoRoute(_)
            | SendError::NotWritable(_)
            | SendError::NoQueue(_)
            | SendError::Refused(_)
            | SendError::Route(RouteError::NoTopic | RouteError::Refused { .. } | RouteError::Malformed(_))
            | SendError::Broker { .. }
            | SendError::Unknown { .. }
            | SendError::Malformed(_) => Exit::Refused,
        };
        Self::new(exit, format!("{error}{stored}"))
    }
}

impl From<RecallError> for Failure {
    fn from(error: RecallError) -> Self {
        match error {
            RecallError::Request(error) => error.into(),
            RecallError::Topic(_) | RecallError::Handle(_) | RecallError::OtherTopic(_) => {
                Self::usage(format!("{error}; the handle is in what 'rmq message send --delay' shows"))
            }
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::refused(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() == io::ErrorKind::BrokenPipe {
            true => Self::new(Exit::Unread, ""),
            false => Self::refused(format!("cannot read or write: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use rocketmq_core::error::{RequestError, RequestFailure};

    use super::*;

    #[test]
    fn each_failure_has_its_code_and_one_line() {
        let of = |error: AdminError| Failure::from(error).exit;
        assert_eq!(of(AdminError::NoBroker), Exit::Refused);
        assert_eq!(of(AdminError::Route(RouteError::NoTopic)), Exit::Refused);
        assert_eq!(of(AdminError::Request(RequestError::never(RequestFailure::Timeout))), Exit::Unreachable);
        assert_eq!(of(AdminError::NoMaster("b".into())), Exit::Unreachable);
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).exit, Exit::Unread);
        let stack = AdminError::Broker { code: 1, remark: "no\n\tat Some.java\n\u{1b}[2J".into() };
        let line = Failure::from(stack).about("topic T").line();
        assert_eq!(line, "topic T: broker answered 1: no at Some.java \\u{1b}[2J");
    }
}
