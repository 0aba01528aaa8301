//! What a `ClientMachine` tells its users of.

use alloc::string::String;
use alloc::vec::Vec;

use super::FilterRefusal;
use super::rebalance::strategy::AllocateError;
use crate::dispatch::DispatchEvent;
use crate::error::{AccessDenied, IoFailure};
use crate::ids::{BrokerName, ClientId, Endpoint, Group, MessageQueue, QueueOffset, Topic};
use crate::wire::body::OffsetFileError;

/// What a client does and meets, for its users to see.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// A step of a consumer's start.
    Start {
        /// The group.
        group: Group,
        /// The step.
        step: StartStep,
    },
    /// Queues of a topic were shared out anew.
    Rebalanced {
        /// The group.
        group: Group,
        /// The topic.
        topic: Topic,
        /// Queues this member got.
        added: Vec<MessageQueue>,
        /// Queues it gave up.
        revoked: Vec<MessageQueue>,
        /// How many members the group has; 1 in broadcasting, where nobody counts them, 0 where brokers share out.
        members: usize,
    },
    /// A running group subscribed to a topic, or changed what it wants of it.
    Subscribed {
        /// The group.
        group: Group,
        /// The topic.
        topic: Topic,
        /// The expression.
        expression: String,
    },
    /// A running group gave a topic up.
    Unsubscribed {
        /// The group.
        group: Group,
        /// The topic.
        topic: Topic,
        /// The queues that this member had of it.
        revoked: Vec<MessageQueue>,
    },
    /// A broker cannot filter as a group wants: nothing of the topic is pulled from it, and it is asked again.
    FilterRefused {
        /// The group.
        group: Group,
        /// The topic.
        topic: Topic,
        /// The broker.
        broker: BrokerName,
        /// Why.
        why: FilterRefusal,
    },
    /// Another client has the id of this one, for longer than a broken connection may be listed as a member: both own
    /// the same queues, and each message is handled by both. Give each its own instance name, or none: then it has a
    /// random one. Told once for each time it lasts; not where brokers share out the queues, who list nobody.
    ClientIdCollision {
        /// The group.
        group: Group,
        /// The id that both have.
        id: ClientId,
        /// How often the broker lists it.
        listed: usize,
    },
    /// The strategy could not tell who gets which queue of a topic; nothing changes, and it is asked again.
    AllocateFailed {
        /// The group.
        group: Group,
        /// The topic.
        topic: Topic,
        /// Why.
        why: AllocateError,
    },
    /// Where a queue is consumed from, and why.
    StartPosition {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// The first offset.
        offset: QueueOffset,
        /// Why.
        reason: StartReason,
    },
    /// The broker moved a queue's offset: it was outside the queue, or reset by an operator.
    OffsetIllegal {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// The offset asked for.
        asked: QueueOffset,
        /// Where it goes on.
        next: QueueOffset,
        /// The start of the queue.
        min: i64,
        /// The end of the queue.
        max: i64,
    },
    /// A queue is read from another replica of its broker: 0 is the master, others are slaves.
    ReadFrom {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// The id of the replica.
        replica: i64,
    },
    /// A pull failed; it is tried again.
    PullFailed {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// Why.
        why: String,
    },
    /// A failed message could neither be handed back nor republished; it is tried again here.
    SendBackFailed {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// Why.
        why: String,
    },
    /// A record that cannot be decoded.
    Poison {
        /// The group.
        group: Group,
        /// The record.
        event: crate::dispatch::DispatchEvent,
    },
    /// A queue stopped at a record that can be neither decoded nor handed back.
    QueueStopped {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// The record's offset.
        offset: QueueOffset,
    },
    /// Orderly: the lock of a queue was lost, or given up at the end of the time to stop. Nothing of the queue is handed
    /// out before it is ours again.
    LockLost {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// Whether a handler still runs: another member may start the same message beside it.
        handling: bool,
    },
    /// A handler takes longer than [`consume_timeout`](crate::config::ConsumerConfig::consume_timeout).
    ConsumeTimeout {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// The offset of its message.
        offset: QueueOffset,
        /// Whether the message is handed back, and what the handler says of it counts no more.
        goes_back: bool,
    },
    /// A consumer pulls nothing more until it is resumed.
    Suspended {
        /// The group.
        group: Group,
    },
    /// A consumer that was suspended pulls again.
    Resumed {
        /// The group.
        group: Group,
    },
    /// A failed message of a broadcasting group: it does not come again.
    Dropped {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// Its offset there.
        offset: QueueOffset,
    },
    /// The broker does not know of popping: the group shares out and pulls the queues of the topic by itself. Told once of
    /// each topic.
    PopUnsupported {
        /// The group.
        group: Group,
        /// The topic.
        topic: Topic,
    },
    /// A popped message is hidden no longer, and was not acknowledged or handed out in time: it comes again, or did.
    PopExpired {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// Its offset there.
        offset: QueueOffset,
    },
    /// A popped message could not be hidden for longer, or acknowledged: it comes again when its time is over.
    PopNotSettled {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// Its offset there.
        offset: QueueOffset,
        /// Why.
        why: String,
    },
    /// What is in a file of offsets of a broadcasting group makes no sense; the one before it, `.bak`, is tried next.
    OffsetsUnreadable {
        /// The group.
        group: Group,
        /// The file.
        path: String,
        /// Why.
        why: OffsetFileError,
    },
    /// Neither file of a broadcasting group can be used: it starts as one without offsets does, which may pass over
    /// messages.
    OffsetsLost {
        /// The group.
        group: Group,
        /// The file.
        path: String,
    },
    /// Somebody else changed the file of offsets of a broadcasting group: two members that have one file overwrite what
    /// the other has saved, and may pass over messages when they start again. Each needs an instance name or a file of
    /// its own.
    OffsetsShared {
        /// The group.
        group: Group,
        /// The file.
        path: String,
    },
    /// The offsets of a broadcasting group could not be saved; it is tried again with the next commit.
    OffsetsNotSaved {
        /// The group.
        group: Group,
        /// The file.
        path: String,
        /// Why.
        why: IoFailure,
    },
    /// A server asked something of this client.
    ServerRequest {
        /// Who asked.
        from: Endpoint,
        /// What: the code of the request.
        code: i32,
        /// Of which group, if it said that.
        group: Option<Group>,
        /// What came of it.
        verdict: ServerVerdict,
        /// How often a request of this code was done, or was not, this time included. Codes that no server has count
        /// as one.
        times: u64,
    },
    /// Trace records were lost: more waited than may, or they could not be sent in time.
    TraceLost {
        /// The group whose records they are.
        group: Group,
        /// How many since it started. Told each time the number has doubled, and at the end.
        records: u64,
    },
    /// A reply came for which nobody waits, or not any more: it is dropped.
    LateReply {
        /// What it has in common with its request.
        correlation: String,
        /// How often that was so, this time included.
        times: u64,
    },
    /// A broker's heartbeat answer told its wire version.
    BrokerVersion {
        /// The broker.
        endpoint: Endpoint,
        /// Its version, such as 493 for 5.4.0.
        version: i32,
    },
    /// A broker does not take heartbeats of this client, which is tried again every few seconds.
    Denied {
        /// The broker.
        endpoint: Endpoint,
        /// Why.
        why: AccessDenied,
        /// The broker's words.
        remark: String,
    },
    /// A topic has no route.
    TopicMissing(Topic),
    /// The name servers are other ones from now on.
    NameServers(Vec<Endpoint>),
    /// The list of name servers was asked for in vain; it stays as it is.
    DiscoveryFailed {
        /// Who was asked.
        from: Endpoint,
        /// Why.
        why: IoFailure,
    },
    /// A server told an address that may not be connected. Told once of each.
    AddressRefused(Endpoint),
    /// A link could not be opened; whoever needs it tries again.
    ConnectFailed {
        /// Where it was to lead.
        endpoint: Endpoint,
        /// Why.
        why: IoFailure,
    },
    /// A link is up.
    LinkUp(Endpoint),
    /// A link is down.
    LinkDown(Endpoint),
}

impl ClientEvent {
    /// What a dispatch tells of a group.
    pub(crate) fn of_dispatch(group: Group, event: DispatchEvent) -> Self {
        match event {
            DispatchEvent::Poison { .. } => Self::Poison { group, event },
            DispatchEvent::Expired { queue, offset } => Self::PopExpired { group, queue, offset },
            DispatchEvent::Overdue { queue, offset, goes_back } => {
                Self::ConsumeTimeout { group, queue, offset, goes_back }
            }
            DispatchEvent::Dropped { queue, offset } => Self::Dropped { group, queue, offset },
        }
    }
}

/// The nine steps of a consumer's start, as in Java's `DefaultMQPushConsumerImpl.start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StartStep {
    /// 1: every rule of the configuration holds.
    CheckConfig = 1,
    /// 2: subscriptions are parsed, the retry topic is added.
    CopySubscription,
    /// 3: the instance has its name.
    InstanceName,
    /// 4: the group belongs to its client.
    ClientInstance,
    /// 5: rebalance is set up.
    Rebalance,
    /// 6: pulling is set up.
    PullApi,
    /// 7: the offset store is set up.
    OffsetStore,
    /// 8: the consume service is set up.
    ConsumeService,
    /// 9: routes are known and a broker knows the group.
    Register,
}

impl StartStep {
    /// Its number, 1 to 9.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// What came of a server's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerVerdict {
    /// It was done, or is about to be.
    Done,
    /// [`ServerPolicy`](crate::config::ServerPolicy) does not allow it.
    Refused,
    /// It is about queues that are not ours, or that another broker is the master of.
    NotOurs,
    /// It is about a group that this client does not have.
    NoGroup,
    /// The group stops, or too much is asked for at once.
    Busy,
    /// Its fields or body cannot be read.
    Malformed,
    /// There is no such request.
    Unknown,
}

/// Why a queue is consumed from where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartReason {
    /// The broker has an offset for the group (for a new group too, if it still holds the whole queue in memory).
    Stored,
    /// The file of a broadcasting member has an offset.
    File,
    /// None is stored and the group starts at the end.
    Last,
    /// None is stored and the group starts at the first message.
    First,
    /// None is stored and the group starts at a time.
    Timestamp,
    /// The configuration names this offset for the queue.
    Chosen,
    /// An operator moved the group.
    Reset,
    /// Nothing in a retry topic may be missed.
    RetryTopic,
}
