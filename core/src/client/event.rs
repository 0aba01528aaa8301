//! What a `ClientMachine` tells its users of.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use super::FilterRefusal;
use super::rebalance::strategy::AllocateError;
use crate::dispatch::DispatchEvent;
use crate::error::{AccessDenied, IoFailure};
use crate::ids::{BrokerName, ClientId, Endpoint, Group, MessageQueue, QueueOffset, Topic};
use crate::wire::body::OffsetFileError;

/// What a client does and meets, for its users to see: by `Client::events`, and as records of `tracing`. Each says when it
/// comes, and what whoever looks after the client does then.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// A step of a consumer's start.
    ///
    /// What to do: nothing; a start that takes long is at the step told last.
    Start {
        /// The group.
        group: Group,
        /// The step.
        step: StartStep,
    },
    /// Queues of a topic were shared out anew.
    ///
    /// What to do: nothing, unless it comes all the time: then members come and go, or brokers disagree about who
    /// is there.
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
    ///
    /// What to do: make sure that all members of the group make the same change.
    Subscribed {
        /// The group.
        group: Group,
        /// The topic.
        topic: Topic,
        /// The expression.
        expression: String,
    },
    /// A running group gave a topic up.
    ///
    /// What to do: make sure that all members of the group make the same change.
    Unsubscribed {
        /// The group.
        group: Group,
        /// The topic.
        topic: Topic,
        /// The queues that this member had of it.
        revoked: Vec<MessageQueue>,
    },
    /// A broker cannot filter as a group wants: nothing of the topic is pulled from it, and it is asked again.
    ///
    /// What to do: mend the expression, or set `enablePropertyFilter` at the broker.
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
    /// the same queues, and each message is handled by both. Told once for each time it lasts; not where brokers share out
    /// the queues, who list nobody.
    ///
    /// What to do: give each its own instance name, or none: then it has a random one.
    ClientIdCollision {
        /// The group.
        group: Group,
        /// The id that both have.
        id: ClientId,
        /// How often the broker lists it.
        listed: usize,
    },
    /// The strategy could not tell who gets which queue of a topic; nothing changes, and it is asked again.
    ///
    /// What to do: mend the strategy: until then the queues stay where they are.
    AllocateFailed {
        /// The group.
        group: Group,
        /// The topic.
        topic: Topic,
        /// Why.
        why: AllocateError,
    },
    /// Where a queue is consumed from, and why.
    ///
    /// What to do: look at the reason when messages are missed or come again: it says where the offset is from.
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
    ///
    /// What to do: look at what retention removed, and whether the group can keep up; between `asked` and `next`
    /// nothing is consumed.
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
    ///
    /// What to do: nothing; from a slave, look why the master is away or the group far behind.
    ReadFrom {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// The id of the replica.
        replica: i64,
    },
    /// A pull failed; it is tried again.
    ///
    /// What to do: nothing when it is rare; else the words tell: permissions, a broker that is overloaded or
    /// away.
    PullFailed {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// Why.
        why: String,
    },
    /// A failed message could neither be handed back nor republished; it is tried again here.
    ///
    /// What to do: look at the broker: its queue of retries may not be writable. Nothing is lost meanwhile.
    SendBackFailed {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// Why.
        why: String,
    },
    /// A record that cannot be decoded.
    ///
    /// What to do: look at the record with `rmq message get`; `on_poison` says what becomes of it.
    Poison {
        /// The group.
        group: Group,
        /// The record.
        event: crate::dispatch::DispatchEvent,
    },
    /// A queue stopped at a record that can be neither decoded nor handed back.
    ///
    /// What to do: look at the record, then move the group past it with `rmq offset reset`.
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
    ///
    /// What to do: with `handling`, expect a message twice. Else nothing, unless it is frequent: then the process
    /// stands still, or its links are slow.
    LockLost {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// Whether a handler still runs: another member may start the same message beside it.
        handling: bool,
    },
    /// A handler takes longer than [`consume_timeout`](crate::config::ConsumerConfig::consume_timeout).
    ///
    /// What to do: look at what the handler waits for.
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
    ///
    /// What to do: nothing.
    Suspended {
        /// The group.
        group: Group,
    },
    /// A consumer that was suspended pulls again.
    ///
    /// What to do: nothing.
    Resumed {
        /// The group.
        group: Group,
    },
    /// A failed message of a broadcasting group: it does not come again.
    ///
    /// What to do: handle it by other means if it matters: broadcasting has no retries.
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
    ///
    /// What to do: nothing, or upgrade the broker.
    PopUnsupported {
        /// The group.
        group: Group,
        /// The topic.
        topic: Topic,
    },
    /// A popped message is hidden no longer, and was not acknowledged or handed out in time: it comes again, or did.
    ///
    /// What to do: expect the message twice; raise `pop_invisible` when it is frequent.
    PopExpired {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// Its offset there.
        offset: QueueOffset,
    },
    /// A popped message could not be hidden for longer, or acknowledged: it comes again when its time is over.
    ///
    /// What to do: expect the message twice.
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
    ///
    /// What to do: keep the file, and look what wrote it.
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
    ///
    /// What to do: decide whether the group is to be moved back with `start_at`.
    OffsetsLost {
        /// The group.
        group: Group,
        /// The file.
        path: String,
    },
    /// Somebody else changed the file of offsets of a broadcasting group: two members that have one file overwrite what
    /// the other has saved, and may pass over messages when they start again. Each needs an instance name or a file of
    /// its own.
    ///
    /// What to do: give each member a file or an instance name of its own.
    OffsetsShared {
        /// The group.
        group: Group,
        /// The file.
        path: String,
    },
    /// The offsets of a broadcasting group could not be saved; it is tried again with the next commit.
    ///
    /// What to do: look at the disk and its permissions: after a restart, messages come again from the last save.
    OffsetsNotSaved {
        /// The group.
        group: Group,
        /// The file.
        path: String,
        /// Why.
        why: IoFailure,
    },
    /// A server asked something of this client.
    ///
    /// What to do: look who asks when it was not done: `ServerPolicy` is what allows it.
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
    ///
    /// What to do: nothing is wrong with the messages themselves; look at the brokers of the trace topic.
    TraceLost {
        /// The group whose records they are.
        group: Group,
        /// How many since it started. Told each time the number has doubled, and at the end.
        records: u64,
    },
    /// A reply came for which nobody waits, or not any more: it is dropped.
    ///
    /// What to do: give requests more time, or look why replies are slow.
    LateReply {
        /// What it has in common with its request.
        correlation: String,
        /// How often that was so, this time included.
        times: u64,
    },
    /// A broker's heartbeat answer told its wire version.
    ///
    /// What to do: nothing.
    BrokerVersion {
        /// The broker.
        endpoint: Endpoint,
        /// Its version, such as 493 for 5.4.0.
        version: i32,
    },
    /// A broker does not take heartbeats of this client, which is tried again every few seconds.
    ///
    /// What to do: mend the credentials or the permissions; nothing is consumed from this broker until then.
    Denied {
        /// The broker.
        endpoint: Endpoint,
        /// Why.
        why: AccessDenied,
        /// The broker's words.
        remark: String,
    },
    /// A topic has no route.
    ///
    /// What to do: create the topic, or mend its name.
    TopicMissing(Topic),
    /// The name servers are other ones from now on.
    ///
    /// What to do: nothing.
    NameServers(Vec<Endpoint>),
    /// The list of name servers was asked for in vain; it stays as it is.
    ///
    /// What to do: look at whoever tells the list; the servers that are known are asked on.
    DiscoveryFailed {
        /// Who was asked.
        from: Endpoint,
        /// Why.
        why: IoFailure,
    },
    /// A server told an address that may not be connected. Told once of each.
    ///
    /// What to do: allow it with `allow_addresses` if it is right; else find out who tells such addresses.
    AddressRefused(Endpoint),
    /// A link could not be opened; whoever needs it tries again.
    ///
    /// What to do: look at the address, and the network on the way to it; it is tried again with growing pauses, 2 s at
    /// most.
    ConnectFailed {
        /// Where it was to lead.
        endpoint: Endpoint,
        /// Why.
        why: IoFailure,
    },
    /// A link is up.
    ///
    /// What to do: nothing.
    LinkUp(Endpoint),
    /// A link is down.
    ///
    /// What to do: nothing, unless it comes again and again.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
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
    /// The offset before was outside of the queue, and the broker said where to go on. No event says so but
    /// [`ClientEvent::OffsetIllegal`].
    OutOfRange,
}
