//! Push consumers at one moment.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use crate::client::StartReason;
use crate::ids::{ClientId, Group, MessageQueue, Topic};
use crate::wire::body::{ExpressionType, MessageModel};

/// A push consumer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerSnapshot {
    /// Its group.
    pub group: Group,
    /// Whether the members share the messages, or each gets all.
    pub model: MessageModel,
    /// Whether queues are consumed in order.
    pub orderly: bool,
    /// Where it is between start and end.
    pub state: ConsumerState,
    /// When the start, or the present stage of the end, is given up.
    pub given_up_in_ms: Option<u64>,
    /// Whether it pulls nothing until it is resumed.
    pub suspended: bool,
    /// When it was started, by the wall clock.
    pub started_at_ms: i64,
    /// What it subscribes to, its retry topic among that.
    pub subscriptions: Vec<SubscriptionSnapshot>,
    /// How the queues of each topic were shared out at last: what was so before is not told.
    pub shares: Vec<ShareSnapshot>,
    /// When they are shared out anew.
    pub rebalance_in_ms: Option<u64>,
    /// The queues that it pulls.
    pub queues: Vec<QueueSnapshot>,
    /// The queues that it pops.
    pub pops: Vec<PopSnapshot>,
    /// Queues that were given up, and whose last offset is on its way.
    pub leaving: Vec<MessageQueue>,
    /// Failed messages that are on their way back to the broker, or wait until they come again here.
    pub failed: usize,
    /// Messages that operators have it handle.
    pub directs: usize,
    /// When offsets are committed next.
    pub commit_in_ms: Option<u64>,
    /// The file of its offsets, in broadcasting.
    pub offset_file: Option<String>,
}

/// Where a consumer is between start and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ConsumerState {
    /// It waits for routes, then for a broker to know the group.
    Starting,
    /// It consumes.
    Running,
    /// It ends: what is handed out may be settled.
    Draining,
    /// It ends: the last offsets are on their way.
    Committing,
    /// It ends: locks are given back.
    Unlocking,
    /// It ends: brokers are told.
    Leaving,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionSnapshot {
    /// The topic.
    pub topic: Topic,
    /// Which of its messages.
    pub expression: String,
    /// The language of the expression.
    pub kind: ExpressionType,
    /// Its version, by which brokers know it.
    pub version: i64,
}

/// How the queues of a topic were shared out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShareSnapshot {
    /// The topic.
    pub topic: Topic,
    /// By whom.
    pub by: SharedBy,
    /// The strategy, by Java's name for it.
    pub strategy: &'static str,
    /// The members of the group then, in the order in which strategies see them; none where nobody counts them.
    pub members: Vec<ClientId>,
    /// How many of the topic's queues this member got.
    pub queues: usize,
    /// When.
    pub ago_ms: u64,
}

/// Who shares out the queues of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SharedBy {
    /// Each member, by the list of members that a broker has.
    Members,
    /// A broker.
    Broker,
    /// Nobody: in broadcasting each member has all.
    Nobody,
}

/// A queue that is pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueSnapshot {
    /// The queue.
    pub queue: MessageQueue,
    /// For how long it has been this member's, or has gone on elsewhere.
    pub assigned_for_ms: u64,
    /// What happens to it next.
    pub phase: QueuePhase,
    /// How long the pull has been under way.
    pub pulling_for_ms: Option<u64>,
    /// When a waiting queue goes on.
    pub goes_on_in_ms: Option<u64>,
    /// Its lock, in an orderly group.
    pub lock: Option<LockSnapshot>,
    /// Messages pulled and not settled.
    pub cached: u64,
    /// How many there may be before it is pulled no more.
    pub cached_limit: u64,
    /// Bytes that they pin.
    pub cached_bytes: u64,
    /// How many there may be before it is pulled no more.
    pub cached_limit_bytes: u64,
    /// Those of them that are with handlers, or on their way back to the broker.
    pub outstanding: u64,
    /// The offset it is pulled from next.
    pub next_pull: u64,
    /// Everything below is settled; `None` before it is known where it starts.
    pub settled_to: Option<u64>,
    /// The last offset that the broker is known to have, or that it had at the start; `None` in broadcasting.
    pub committed: Option<u64>,
    /// Whether a commit is under way.
    pub committing: bool,
    /// The end of the queue, as the last pull told it.
    pub end: Option<u64>,
    /// Messages between what is settled and that end.
    pub backlog: Option<u64>,
    /// Where it started, and why there.
    pub start: Option<StartSnapshot>,
    /// The replica that was pulled from last: 0 is the master.
    pub replica: i64,
    /// When it was last pulled from.
    pub pulled_ago_ms: Option<u64>,
    /// When messages of it were last settled.
    pub consumed_ago_ms: Option<u64>,
    /// The last pull that failed.
    pub failure: Option<FailureSnapshot>,
}

/// What happens to a queue next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum QueuePhase {
    /// In order: its lock is not ours, or a handler of an earlier assignment still runs.
    Locking,
    /// The broker is being asked where to start.
    Locating,
    /// A pull is under way.
    Pulling,
    /// It goes on after a pause.
    Waiting,
    /// As much is in hand as may be: it goes on when some of that is settled.
    Throttled,
    /// The consumer is suspended.
    Suspended,
    /// The consumer is stopping.
    Stopped,
}

/// The lock of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LockSnapshot {
    /// Whether it is ours.
    pub phase: LockPhase,
    /// For how long what is pulled may be handed out, unless the lock is renewed before.
    pub lease_in_ms: Option<u64>,
    /// Refusals and silences in a row.
    pub failures: u32,
}

/// Whether a lock is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LockPhase {
    /// It never was, in this assignment: another member may have it.
    Wanted,
    /// It was, and is to be again.
    Lost,
    /// It is again; the broker is asked how far the queue was consumed meanwhile.
    Checking,
    /// It is.
    Held,
    /// It is being given back.
    Unlocking,
}

/// Where a queue started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StartSnapshot {
    /// The offset.
    pub offset: u64,
    /// Why there.
    pub reason: StartReason,
}

/// A pull that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureSnapshot {
    /// Why, without the broker's own words.
    pub why: String,
    /// When.
    pub ago_ms: u64,
}

/// A queue that is popped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PopSnapshot {
    /// The queue; the number −1 stands for any of its broker's.
    pub queue: MessageQueue,
    /// What happens to it next.
    pub phase: PopPhase,
    /// How long the pop has been under way.
    pub popping_for_ms: Option<u64>,
    /// When a waiting queue goes on.
    pub goes_on_in_ms: Option<u64>,
    /// Messages that are not acknowledged.
    pub unacknowledged: usize,
    /// Those of them that are with handlers.
    pub outstanding: u64,
    /// When it last brought messages.
    pub popped_ago_ms: Option<u64>,
}

/// What happens to a popped queue next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PopPhase {
    /// A pop is under way.
    Popping,
    /// It goes on after a pause.
    Waiting,
    /// As much is not acknowledged as may be.
    Throttled,
    /// The consumer is suspended.
    Suspended,
    /// It is no longer ours, and not all of it is settled.
    Stopped,
}
