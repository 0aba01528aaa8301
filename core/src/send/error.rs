//! Why a send failed.

use alloc::string::String;

use super::policy::RETRY_CODES;
use crate::client::RouteError;
use crate::error::{AccessDenied, RequestError, Sent};
use crate::ids::{BrokerName, Topic};
use crate::message::MessageError;
use crate::wire::header::FieldError;

/// A send that failed; [`SendError::may_be_stored`] tells whether the message may be there all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The message breaks a rule; nothing was sent.
    #[error("message: {0}")]
    Message(#[from] MessageError),
    /// The topic does not exist, and may not be created by sending to it.
    #[error("topic {0} has no route: create it, or allow brokers to create topics")]
    NoRoute(Topic),
    /// None of the topic's queues takes messages: its brokers are read-only, or their masters are down.
    #[error("topic {0} has no queue that takes messages")]
    NotWritable(Topic),
    /// The queue that was chosen does not exist, or takes no messages.
    #[error("topic {0} has no such queue that takes messages")]
    NoQueue(Topic),
    /// A hook of the producer's refused it; nothing was sent.
    #[error("refused: {0}")]
    Refused(String),
    /// The name servers could not be asked.
    #[error("route: {0}")]
    Route(RouteError),
    /// The broker refused it: it is not stored.
    #[error("broker {broker} answered {code}: {remark}")]
    Broker {
        /// The broker.
        broker: BrokerName,
        /// Its response code.
        code: i32,
        /// Its words.
        remark: String,
    },
    /// The last broker refused it, but an earlier attempt went unanswered.
    #[error("broker {broker} answered {code}: {remark}; an earlier attempt may have been stored")]
    Unknown {
        /// The broker.
        broker: BrokerName,
        /// Its response code.
        code: i32,
        /// Its words.
        remark: String,
    },
    /// No answer.
    #[error("{0}")]
    Request(RequestError),
    /// The broker stored it and its answer cannot be read.
    #[error("the answer cannot be read: {0}")]
    Malformed(FieldError),
    /// The producer or client is closed.
    #[error("closed")]
    Closed,
}

impl SendError {
    /// Whether the message may be stored although the send failed.
    #[must_use]
    pub const fn may_be_stored(&self) -> bool {
        match self {
            Self::Request(error) => matches!(error.sent, Sent::Maybe),
            Self::Unknown { .. } | Self::Malformed(_) => true,
            Self::Message(_)
            | Self::NoRoute(_)
            | Self::NotWritable(_)
            | Self::NoQueue(_)
            | Self::Refused(_)
            | Self::Route(_)
            | Self::Broker { .. }
            | Self::Closed => false,
        }
    }

    /// Why the server does not let this client send, if that is what the error is about.
    #[must_use]
    pub fn denied(&self) -> Option<AccessDenied> {
        match self {
            Self::Broker { code, remark, .. }
            | Self::Unknown { code, remark, .. }
            | Self::Route(RouteError::Refused { code, remark }) => AccessDenied::of(*code, remark),
            Self::Message(_)
            | Self::NoRoute(_)
            | Self::NotWritable(_)
            | Self::NoQueue(_)
            | Self::Refused(_)
            | Self::Route(_)
            | Self::Request(_)
            | Self::Malformed(_)
            | Self::Closed => None,
        }
    }

    /// Whether sending the same message again later can help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Request(_) | Self::Route(_) | Self::NotWritable(_) | Self::Unknown { .. } => true,
            Self::Broker { code, .. } => RETRY_CODES.contains(code) && self.denied().is_none(),
            Self::Message(_)
            | Self::NoRoute(_)
            | Self::NoQueue(_)
            | Self::Refused(_)
            | Self::Malformed(_)
            | Self::Closed => false,
        }
    }
}
