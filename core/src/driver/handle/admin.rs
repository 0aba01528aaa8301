//! Administration.

mod auth;
mod configs;
mod consumers;
mod fan_out;
mod groups;
mod inspect;
mod messages;
mod names;
mod offsets;
mod pages;
mod queue;
mod servers;
mod settings;
mod topics;

use alloc::string::String;
use core::time::Duration;

use bytes::Bytes;

pub use self::configs::{GroupTables, TopicTables};
pub use self::consumers::ResetTo;
pub use self::fan_out::{Brokers, Partial};
pub use self::inspect::Track;
pub use self::names::UnitTopics;
pub use self::queue::Excerpt;
use super::Client;
use crate::client::{CallTarget, Command, CommandResult, RouteError};
use crate::config::ConfigError;
use crate::driver::shared::Call;
use crate::driver::span::Span;
use crate::error::{AccessDenied, RequestError};
use crate::ids::{BrokerName, Endpoint, MessageQueue, Topic};
use crate::mutants::mutant;
use crate::wire::Frame;
use crate::wire::body::BodyError;
use crate::wire::codes::response;
use crate::wire::frame::EncodedFrame;
use crate::wire::header::FieldError;
use crate::wire::request::Request;

/// Administration: topics, offsets, groups, messages and servers.
///
/// Each call has a deadline, 6 s as in Java and more where brokers take longer. What is asked of several servers is asked
/// of all at once: [`Partial`] has what those say that answer, and why the others did not.
///
/// Masters are asked, and do what is to be done. Where a master is gone, a slave tells what is asked about a topic, a group
/// or a message as a whole, as with Java; it may be a little behind.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
}

impl Admin {
    pub(super) const fn new(client: Client) -> Self {
        Self { client }
    }

    /// One request to the master of a broker of a topic.
    pub(super) async fn ask_master<Q: Request>(
        &self,
        topic: &Topic,
        broker: &BrokerName,
        request: &Q,
    ) -> Result<Frame, AdminError> {
        let queue = MessageQueue { topic: topic.clone(), broker: broker.clone(), id: 0 };
        let master = self.master(&queue).await?;
        self.request(&master, request).await
    }

    async fn master(&self, queue: &MessageQueue) -> Result<Endpoint, AdminError> {
        self.route(&queue.topic, false).await?;
        let view = self.client.inner.shared.view();
        view.routes.master(&queue.broker).cloned().ok_or_else(|| AdminError::NoMaster(queue.broker.clone()))
    }

    async fn route(&self, topic: &Topic, fresh: bool) -> Result<(), AdminError> {
        let call = self.client.inner.shared.call(Command::WantRoute { topic: topic.clone(), fresh });
        let CommandResult::Route(result) = call.await else {
            return Err(AdminError::Closed);
        };
        result.map_err(AdminError::Route)
    }

    async fn request<Q: Request>(&self, to: &Endpoint, request: &Q) -> Result<Frame, AdminError> {
        self.request_within(to, request, Bytes::new(), TIMEOUT).await
    }

    async fn request_within<Q: Request>(
        &self,
        to: &Endpoint,
        request: &Q,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Frame, AdminError> {
        Self::answer_of(self.call(to, request, body, timeout).await)
    }

    /// Whichever name server answers.
    async fn ask_names<Q: Request>(&self, request: &Q) -> Result<Frame, AdminError> {
        let frame = request.encode(self.client.inner.shared.config.codec, Bytes::new());
        let call = Command::Call { to: CallTarget::NameServer, frame, timeout: TIMEOUT };
        let call = self.client.inner.shared.call(call).told_by(Span::of_request("name server", Q::CODE));
        Self::answer_of(call.await)
    }

    fn call<Q: Request>(&self, to: &Endpoint, request: &Q, body: Bytes, timeout: Duration) -> Call {
        let frame: EncodedFrame = request.encode(self.client.inner.shared.config.codec, body);
        let timeout = if mutant!(181) { timeout.saturating_mul(4) } else { timeout };
        let call = Command::Call { to: CallTarget::Endpoint(to.clone()), frame, timeout };
        self.client.inner.shared.call(call).told_by(Span::of_request(to.as_str(), Q::CODE))
    }

    /// The answer, whatever it says.
    fn any_answer_of(result: CommandResult) -> Result<Frame, AdminError> {
        let CommandResult::Called(result) = result else {
            return Err(AdminError::Closed);
        };
        result.map_err(AdminError::Request)
    }

    fn answer_of(result: CommandResult) -> Result<Frame, AdminError> {
        let frame = Self::any_answer_of(result)?;
        match frame.header.code {
            response::SUCCESS => Ok(frame),
            code => Err(AdminError::Broker { code, remark: frame.header.remark.unwrap_or_default() }),
        }
    }
}

/// An administrative operation that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// No broker is known.
    #[error("no broker is known")]
    NoBroker,
    /// The broker has no master.
    #[error("broker {0} has no master")]
    NoMaster(BrokerName),
    /// Another broker answered: it has the address by now at which the name server still has the one that was asked.
    #[error("broker {answered} answers at the address of {asked}")]
    OtherBroker {
        /// The broker that was asked.
        asked: BrokerName,
        /// The one that answered.
        answered: BrokerName,
    },
    /// The route cannot be had.
    #[error("route: {0}")]
    Route(RouteError),
    /// The broker refused.
    #[error("broker answered {code}: {remark}")]
    Broker {
        /// Its response code.
        code: i32,
        /// Its words.
        remark: String,
    },
    /// No answer.
    #[error(transparent)]
    Request(RequestError),
    /// The answer cannot be read.
    #[error("the answer cannot be read: {0}")]
    Malformed(#[from] FieldError),
    /// The body of the answer cannot be read.
    #[error("the answer cannot be read: {0}")]
    MalformedBody(#[from] BodyError),
    /// A message in the answer cannot be read.
    #[error("a message in the answer cannot be read: {0}")]
    Unreadable(String),
    /// The broker is too old for this.
    #[error("a broker of wire version {version} is too old for this")]
    OldBroker {
        /// Its wire version.
        version: i32,
    },
    /// The filter breaks a rule.
    #[error(transparent)]
    Filter(ConfigError),
    /// A server would read this name or value of a setting as something else.
    #[error("{0:?} cannot be in the name or value of a setting")]
    Setting(String),
    /// The client is closed.
    #[error("closed")]
    Closed,
}

impl AdminError {
    /// Why the server does not let this client do it, if that is what the error is about.
    #[must_use]
    pub fn denied(&self) -> Option<AccessDenied> {
        match self {
            Self::Broker { code, remark } | Self::Route(RouteError::Refused { code, remark }) => {
                AccessDenied::of(*code, remark)
            }
            Self::NoBroker
            | Self::Filter(_)
            | Self::Setting(_)
            | Self::NoMaster(_)
            | Self::OtherBroker { .. }
            | Self::Route(_)
            | Self::Request(_)
            | Self::Malformed(_)
            | Self::MalformedBody(_)
            | Self::Unreadable(_)
            | Self::OldBroker { .. }
            | Self::Closed => None,
        }
    }
}

impl AdminError {
    /// Whether the same call can succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Request(_)
            | Self::NoBroker
            | Self::NoMaster(_)
            | Self::OtherBroker { .. }
            | Self::Route(RouteError::Unavailable(_)) => true,
            Self::Broker { code, .. } => matches!(*code, response::SYSTEM_BUSY | response::SERVICE_NOT_AVAILABLE),
            Self::Route(_)
            | Self::Malformed(_)
            | Self::MalformedBody(_)
            | Self::Unreadable(_)
            | Self::OldBroker { .. }
            | Self::Filter(_)
            | Self::Setting(_)
            | Self::Closed => false,
        }
    }
}

/// Java's timeout of such operations is 6 s.
const TIMEOUT: Duration = Duration::from_secs(6);
