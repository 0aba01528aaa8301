//! Administration.

mod consumers;
mod fan_out;
mod groups;
mod messages;
mod offsets;
mod servers;
mod topics;

use alloc::string::String;
use core::time::Duration;

use bytes::Bytes;

pub use self::consumers::ResetTo;
pub use self::fan_out::{Brokers, Partial};
use super::Client;
use crate::client::{CallTarget, Command, CommandResult, RouteError};
use crate::driver::shared::Call;
use crate::error::RequestError;
use crate::ids::{BrokerName, Endpoint, MessageQueue, Topic};
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
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
}

impl Admin {
    pub(super) const fn new(client: Client) -> Self {
        Self { client }
    }

<<<<<<< HEAD
=======
    /// Creates a topic with so many queues, on every broker that holds the template topic.
    ///
    /// # Errors
    /// No broker created it; of several the last error.
    pub async fn create_topic(&self, topic: impl Into<Topic>, queues: u32) -> Result<(), AdminError> {
        let topic = topic.into();
        let template = self.client.inner.shared.config.template_topic.clone();
        self.route(&template, false).await?;
        let view = self.client.inner.shared.view();
        let masters: Vec<_> = view.routes.brokers.values().filter_map(|broker| broker.master().cloned()).collect();
        let count = i32::try_from(queues).unwrap_or(i32::MAX);
        let request = CreateTopic {
            topic: topic.clone(),
            default_topic: template,
            read_queues: count,
            write_queues: count,
            perm: READ_WRITE,
            filter_type: String::from("SINGLE_TAG"),
            sys_flag: Some(0),
            order: false,
            attributes: None,
        };
        let mut last = Err(AdminError::NoBroker);
        let mut created = false;
        for master in masters {
            match self.request(&master, &request).await {
                Ok(_) => created = true,
                Err(error) => last = Err(error),
            }
        }
        if created { Ok(()) } else { last }
    }

    /// The queues of a topic that can be read.
    ///
    /// # Errors
    /// The topic does not exist, or no name server answers.
    pub async fn queues(&self, topic: impl Into<Topic>) -> Result<Vec<MessageQueue>, AdminError> {
        let topic = topic.into();
        self.route(&topic, true).await?;
        let view = self.client.inner.shared.view();
        let known = view.routes.topics.get(&topic).filter(|known| known.exists);
        known.map(|known| known.subscribe.clone()).ok_or(AdminError::Route(RouteError::NoTopic))
    }

    /// The end of a queue: the offset its next message will have.
    ///
    /// # Errors
    /// The broker refuses or does not answer.
    pub async fn max_offset(&self, queue: &MessageQueue) -> Result<QueueOffset, AdminError> {
        self.queue_offset::<{ request::GET_MAX_OFFSET }>(queue).await
    }

    /// The start of a queue: the offset of its oldest message.
    ///
    /// # Errors
    /// The broker refuses or does not answer.
    pub async fn min_offset(&self, queue: &MessageQueue) -> Result<QueueOffset, AdminError> {
        self.queue_offset::<{ request::GET_MIN_OFFSET }>(queue).await
    }

    /// The offset a group has committed; `None` when it has none.
    ///
    /// # Errors
    /// The broker refuses or does not answer.
    pub async fn committed(
        &self,
        group: impl Into<Group>,
        queue: &MessageQueue,
    ) -> Result<Option<QueueOffset>, AdminError> {
        let request = QueryConsumerOffset {
            group: group.into(),
            topic: queue.topic.clone(),
            queue_id: queue.id,
            set_zero_if_not_found: Some(false),
            broker: Some(queue.broker.clone()),
        };
        let master = self.master(queue).await?;
        match self.request(&master, &request).await {
            Ok(frame) => Ok(Some(QueryConsumerOffsetResponse::read(&frame.header.ext)?.offset)),
            Err(AdminError::Broker { code: response::QUERY_NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The offset of the first message of a queue that was stored at this time or later, else the end of the queue.
    ///
    /// # Errors
    /// The broker refuses or does not answer.
    pub async fn search_offset(&self, queue: &MessageQueue, time: UnixMillis) -> Result<QueueOffset, AdminError> {
        let request = SearchOffset { topic: queue.topic.clone(), queue_id: queue.id, timestamp: time.0 };
        let master = self.master(queue).await?;
        let frame = self.request(&master, &request).await?;
        Ok(QueueOffsetResponse::read(&frame.header.ext)?.offset)
    }

    /// Sets how a group gets the messages of a topic, on every broker of the topic. Members that are to be assigned their
    /// queues by brokers follow with their next rebalance.
    ///
    /// `share` is for popping: how many other members may pop from the queues of a member, 0 for all of them.
    ///
    /// # Errors
    /// A broker refuses, does not answer, or is older than 5.0; the others may have taken it.
    pub async fn set_request_mode(
        &self,
        group: impl Into<Group>,
        topic: impl Into<Topic>,
        mode: MessageMode,
        share: u32,
    ) -> Result<(), AdminError> {
        let (group, topic) = (group.into(), topic.into());
        let brokers: BTreeSet<_> = self.queues(topic.clone()).await?.into_iter().map(|queue| queue.broker).collect();
        let share = i32::try_from(share).unwrap_or(i32::MAX);
        let body = Bytes::from(RequestMode { group, mode, share, topic }.encode());
        for broker in brokers {
            let view = self.client.inner.shared.view();
            let master = view.routes.master(&broker).cloned().ok_or(AdminError::NoMaster(broker))?;
            self.request_within(&master, &SetRequestMode {}, body.clone(), TIMEOUT).await?;
        }
        Ok(())
    }

    async fn queue_offset<const CODE: i32>(&self, queue: &MessageQueue) -> Result<QueueOffset, AdminError> {
        let request = QueueOffsetRequest::<CODE> { topic: queue.topic.clone(), queue_id: queue.id };
        let master = self.master(queue).await?;
        let frame = self.request(&master, &request).await?;
        Ok(QueueOffsetResponse::read(&frame.header.ext)?.offset)
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

>>>>>>> main
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
        Self::answer_of(self.client.inner.shared.call(call).await)
    }

    fn call<Q: Request>(&self, to: &Endpoint, request: &Q, body: Bytes, timeout: Duration) -> Call {
        let frame: EncodedFrame = request.encode(self.client.inner.shared.config.codec, body);
        self.client.inner.shared.call(Command::Call { to: CallTarget::Endpoint(to.clone()), frame, timeout })
    }

    fn answer_of(result: CommandResult) -> Result<Frame, AdminError> {
        let CommandResult::Called(result) = result else {
            return Err(AdminError::Closed);
        };
        let frame = result.map_err(AdminError::Request)?;
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
    /// The client is closed.
    #[error("closed")]
    Closed,
}

impl AdminError {
    /// Whether the same call can succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Request(_) | Self::NoBroker | Self::NoMaster(_) | Self::Route(RouteError::Unavailable(_)) => true,
            Self::Broker { code, .. } => matches!(*code, response::SYSTEM_BUSY | response::SERVICE_NOT_AVAILABLE),
            Self::Route(_)
            | Self::Malformed(_)
            | Self::MalformedBody(_)
            | Self::Unreadable(_)
            | Self::OldBroker { .. }
            | Self::Closed => false,
        }
    }
}

/// Java's timeout of such operations is 6 s.
const TIMEOUT: Duration = Duration::from_secs(6);
