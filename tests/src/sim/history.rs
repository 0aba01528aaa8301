//! What happened, as far as invariants ask: the ground truth that they are checked against.

mod act;
mod ask;
mod copy;
mod errand;
mod look;
mod member;
mod outcome;
mod setup;
mod trace;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use rocketmq_core::time::Instant;

pub use self::act::Act;
pub use self::ask::{Ask, AskEnd};
pub use self::copy::{Copy, Queue};
pub use self::errand::{Addresses, Answer, Errand, ErrandEnd, ErrandOf, Whom, Why};
pub use self::look::{Look, Looked};
pub use self::member::{Change, Leftover};
pub use self::outcome::{Outcome, Settled};
pub use self::setup::{GroupSetup, Setup};
pub use self::trace::{Trace, TraceKind};
pub use self::transaction::Tx;

use super::faults::Fault;

/// Everything that happened, in order.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The rows.
    pub rows: Vec<Row>,
    /// What the run is about.
    pub setup: Setup,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Row {
    /// When.
    pub at: Instant,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// A send began.
    Attempt {
        /// The number of the message.
        id: u64,
        /// When it must be over.
        deadline: Instant,
        /// Attempts allowed.
        attempts: u32,
    },
    /// The send that began goes to the queue of a key.
    Keyed {
        /// The number of the message.
        id: u64,
        /// The index of the host.
        host: usize,
        /// The topic.
        topic: Arc<str>,
        /// The key.
        key: Arc<str>,
    },
    /// The send that began is of a message that is to be seen later.
    Delayed {
        /// The number of the message.
        id: u64,
        /// Not before this time.
        least: Instant,
    },
    /// A broker said that a message is taken back that was to be seen later.
    Recalled {
        /// The number of the message.
        id: u64,
        /// The index of the broker.
        broker: usize,
    },
    /// A send frame arrived whole at a broker.
    Wire {
        /// The number of the message.
        id: u64,
        /// The index of the broker.
        broker: usize,
        /// Its unique key.
        unique: Arc<str>,
    },
    /// A broker answered a send with a weak status.
    Weak {
        /// The number of the message.
        id: u64,
    },
    /// A send is over.
    Resolved {
        /// The number of the message.
        id: u64,
        /// How.
        outcome: Outcome,
    },
    /// A copy was stored.
    Stored(Copy),
    /// A broker lost these copies.
    Lost {
        /// The index of the broker.
        broker: usize,
        /// Where its log ends now.
        end: i64,
    },
    /// Retention removed the head of a queue.
    Trimmed {
        /// The queue.
        queue: Queue,
        /// Its first offset now.
        min: i64,
    },
    /// A message was handed to a listener.
    Delivered {
        /// The number of the delivery.
        delivery: u64,
        /// That of the first one that was handed out with it.
        batch: u64,
        /// The member.
        member: u32,
        /// The group.
        group: Arc<str>,
        /// The queue it was pulled from.
        queue: Queue,
        /// Its position there.
        offset: i64,
        /// The number of the message.
        id: Option<u64>,
        /// Whether body, tag, keys and properties are those that were sent.
        intact: bool,
        /// The tag.
        tag: Arc<str>,
        /// How often it was handed back before.
        reconsume: i32,
    },
    /// A listener is done with a delivery.
    Settled {
        /// The number of the delivery.
        delivery: u64,
        /// How.
        how: Settled,
    },
    /// A handler takes so long that its message is handed back: what it says later counts no more.
    Overdue {
        /// The member.
        member: u32,
        /// The group.
        group: Arc<str>,
        /// The queue it was pulled from.
        queue: Queue,
        /// Its position there.
        offset: i64,
    },
    /// A member was told that it pulls nothing more for now.
    Suspended {
        /// The member.
        member: u32,
        /// The group.
        group: Arc<str>,
    },
    /// A member is about to pull again.
    Resumed {
        /// The member.
        member: u32,
        /// The group.
        group: Arc<str>,
    },
    /// A record of an answer to a pull was spoilt on its way.
    Spoilt {
        /// The index of the host that asked.
        host: usize,
        /// The group.
        group: Arc<str>,
        /// The queue.
        queue: Queue,
        /// The position of the record there.
        offset: i64,
        /// The offsets of all records in the answer.
        answer: Vec<i64>,
    },
    /// A member met a record that it could not read, and gave it to its policy.
    Unreadable {
        /// The group.
        group: Arc<str>,
        /// The queue.
        queue: Queue,
        /// The position of the record there.
        offset: i64,
    },
    /// A broker took a message back.
    SentBack {
        /// The group.
        group: Arc<str>,
        /// The index of the broker.
        broker: usize,
        /// The position of the message in its log.
        physical: i64,
    },
    /// A broker stored a committed offset.
    Committed {
        /// The index of the host that committed it.
        host: usize,
        /// When it wrote that: of an older link, it may arrive after a later one.
        written: Instant,
        /// The group.
        group: Arc<str>,
        /// The queue.
        queue: Queue,
        /// The offset.
        offset: i64,
    },
    /// A broker locked a queue for a client, or renewed that.
    Locked {
        /// The index of the client's host.
        host: usize,
        /// The group.
        group: Arc<str>,
        /// The queue.
        queue: Queue,
    },
    /// A client gave a lock back.
    Unlocked {
        /// The index of the client's host.
        host: usize,
        /// The group.
        group: Arc<str>,
        /// The queue.
        queue: Queue,
    },
    /// The queues change that clients can send to.
    Routes,
    /// A broker forgot all locks.
    LocksLost {
        /// The index of the broker.
        broker: usize,
    },
    /// A member found a lock lost, or gave it up at the end of its time.
    LockGone {
        /// The member.
        member: u32,
        /// The group.
        group: Arc<str>,
        /// The queue.
        queue: Queue,
    },
    /// Something else than a client changed a committed offset, or told clients another one.
    Moved {
        /// The group.
        group: Arc<str>,
        /// The queue.
        queue: Queue,
        /// The offset it has now.
        offset: i64,
    },
    /// A member was told that its offset is outside the queue.
    Illegal {
        /// The group.
        group: Arc<str>,
        /// The queue.
        queue: Queue,
        /// Where it goes on.
        next: i64,
        /// The bounds of the queue that it was told.
        bounds: (i64, i64),
    },
    /// A member chose where to begin.
    Start {
        /// The member.
        member: u32,
        /// The group.
        group: Arc<str>,
        /// The queue.
        queue: Queue,
        /// The offset.
        offset: i64,
    },
    /// The queues of a member changed.
    Assigned {
        /// The member.
        member: u32,
        /// The group.
        group: Arc<str>,
        /// Queues it got.
        added: Vec<Queue>,
        /// Queues it gave up.
        revoked: Vec<Queue>,
    },
    /// A member is about to subscribe to the topic of its group with this filter, or (`None`) to give it up.
    Subscribing {
        /// The member.
        member: u32,
        /// The group.
        group: Arc<str>,
        /// The filter.
        filter: Option<usize>,
    },
    /// That is over.
    Subscribed {
        /// The member.
        member: u32,
        /// The group.
        group: Arc<str>,
        /// The filter.
        filter: Option<usize>,
        /// Whether it holds.
        held: bool,
    },
    /// A broker told a client that it can filter by an expression.
    FilterAccepted {
        /// The index of the host.
        host: usize,
        /// The index of the broker.
        broker: usize,
        /// The group.
        group: Arc<str>,
        /// The topic.
        topic: Arc<str>,
        /// The version of the subscription.
        version: i64,
    },
    /// A pull arrived that is to be filtered by SQL.
    SqlPull {
        /// The index of the host.
        host: usize,
        /// The index of the broker.
        broker: usize,
        /// The group.
        group: Arc<str>,
        /// The topic.
        topic: Arc<str>,
        /// The version of the subscription.
        version: i64,
    },
    /// A pull arrived at a slave.
    SlavePull {
        /// The index of the host.
        host: usize,
        /// The group.
        group: Arc<str>,
        /// The queue.
        queue: Queue,
        /// The offset asked for.
        offset: i64,
    },
    /// An offset was to be committed at a slave.
    SlaveCommit {
        /// The index of the host.
        host: usize,
        /// The group.
        group: Arc<str>,
        /// The queue.
        queue: Queue,
    },
    /// A process was made for a member.
    Joined {
        /// The index of its host.
        host: usize,
        /// The member.
        member: u32,
    },
    /// A member began, ended or failed.
    Member {
        /// The member.
        member: u32,
        /// The group.
        group: Arc<str>,
        /// What it did.
        change: Change,
    },
    /// A fault really happened.
    Fault(Fault),
    /// A link between a host and a server was opened.
    Opened {
        /// The index of the host.
        host: usize,
        /// The number of the link.
        link: u64,
        /// The address.
        to: Arc<str>,
    },
    /// A connect failed.
    ConnectFailed {
        /// The index of the host.
        host: usize,
        /// The address.
        to: Arc<str>,
    },
    /// A link ended, as the client sees it.
    Ended {
        /// The index of the host.
        host: usize,
        /// The number of the link.
        link: u64,
        /// Whether the client closed it; else it was told.
        by_client: bool,
        /// For how long nothing had gone over it.
        idle: Duration,
        /// The pulls under way on it: group, queue, and when they were written.
        pulls: Vec<(Arc<str>, Queue, Instant)>,
    },
    /// Something happened to a link that a client may close it for.
    Trouble {
        /// The number of the link.
        link: u64,
    },
    /// Bytes that no client can read get to it at this time.
    Hostile {
        /// The number of the link.
        link: u64,
        /// When.
        at: Instant,
    },
    /// A server could not read what a client wrote.
    Confused {
        /// The index of the host.
        host: usize,
        /// The number of the link.
        link: u64,
    },
    /// A pull arrived.
    Pull {
        /// The index of the host.
        host: usize,
        /// The number of the link.
        link: u64,
        /// The group.
        group: Arc<str>,
        /// The queue.
        queue: Queue,
        /// The offset asked for.
        offset: i64,
        /// When the client wrote it.
        written: Instant,
    },
    /// A client says that a pull failed.
    PullFailed {
        /// The member.
        member: u32,
        /// The group.
        group: Arc<str>,
        /// The queue.
        queue: Queue,
    },
    /// A heartbeat arrived.
    Heartbeat {
        /// The index of the host.
        host: usize,
        /// The index of the broker.
        broker: usize,
        /// The consumer groups it speaks of.
        groups: Vec<Arc<str>>,
    },
    /// A client asked for the members of a group.
    MembersAsked {
        /// The index of the host.
        host: usize,
        /// The group.
        group: Arc<str>,
        /// When the client wrote it.
        written: Instant,
    },
    /// A client answered a request of a server.
    Answered {
        /// The index of the host.
        host: usize,
        /// The request.
        request: i32,
        /// The code of the answer.
        code: i32,
        /// Bytes of its fields and body.
        bytes: usize,
    },
    /// What is under way on a link of a client, and what is allowed.
    Load {
        /// The index of the host.
        host: usize,
        /// Requests of handles.
        requests: usize,
        /// Their bytes.
        bytes: usize,
        /// The most requests.
        most_requests: usize,
        /// The most bytes; one request may have more when it is alone.
        most_bytes: usize,
    },
    /// A client is told to end, or is dropped.
    Leaving {
        /// The index of the host.
        host: usize,
    },
    /// A client did not start, some time ago: what is left of it.
    Unstarted {
        /// The index of the host.
        host: usize,
        /// What is left.
        left: Leftover,
    },
    /// A client was shut down: how long it took, and what it left behind.
    Shutdown {
        /// The index of the host.
        host: usize,
        /// How long it took.
        took: Duration,
        /// The time it was given.
        within: Duration,
        /// What is left of it some time after.
        left: Leftover,
    },
    /// A client was shut down once more after its end.
    ShutdownAgain {
        /// The index of the host.
        host: usize,
        /// How long it took; nothing when it did not end.
        took: Option<Duration>,
        /// Whether its consumer still gave messages.
        alive: bool,
    },
    /// The offsets that brokers have of a group after a member of it left.
    LastOffsets {
        /// The member.
        member: u32,
        /// The group.
        group: Arc<str>,
        /// The offsets.
        stored: Vec<(Queue, i64)>,
    },
    /// The memory that the process came to use, against what the run may.
    Memory {
        /// KiB, at most.
        used: u64,
        /// KiB that are allowed.
        allowed: u64,
    },
    /// Something happened to a transaction.
    Tx(Tx),
    /// What brokers have in the topic of traces, at the end.
    Traces(Vec<Trace>),
    /// Something happened to a request.
    Ask(Ask),
    /// An operator did something, or something came of it.
    Act(Act),
    /// Something happened to an operation of an administrator.
    Errand(Errand),
    /// A client was looked at.
    Look(Look),
    /// No fault happens any more.
    Healed,
    /// Everything that could be consumed was.
    Drained,
    /// The time for that is over.
    Undrained {
        /// What is left.
        left: String,
    },
    /// A process tells something of itself.
    Said {
        /// The index of its host.
        host: usize,
        /// What.
        text: String,
    },
    /// The queues of each group that members should share, at the end.
    Readable {
        /// The group.
        group: Arc<str>,
        /// The queues.
        queues: Vec<Queue>,
    },
    /// By now the members of a group share these queues, after what happened some time ago.
    Shared {
        /// The group.
        group: Arc<str>,
        /// The queues.
        queues: Vec<Queue>,
        /// What happened.
        after: &'static str,
    },
}
