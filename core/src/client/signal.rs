//! How sub-machines speak: signals between them, and continuations for the requests they make.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::consumer::PullContext;
use crate::ids::{BrokerName, Endpoint, Epoch, Group, MessageQueue, OpId, QueueOffset, RequestId, Topic};
use crate::time::Instant;
use crate::wire::frame::EncodedFrame;

/// What one sub-machine tells the others; the root hands it on and decides nothing.
#[derive(Debug)]
pub(crate) enum Signal {
    /// Send this over the link to `to`, opening it if need be.
    Request(LinkRequest),
    /// Send this over the link to `to`, if it is up; nothing comes back.
    Oneway(Endpoint, EncodedFrame),
    /// Ask the name servers this.
    AskNames(NameRequest),
    /// A link is up.
    LinkUp(Endpoint),
    /// A link went down, or could not be opened.
    LinkDown(Endpoint),
    /// The route of a topic was installed or changed.
    RouteChanged(Topic),
    /// The route of a topic was asked for and there is none, for this reason.
    RouteMissing(Topic),
    /// Learn the route of this topic: a group subscribes to it.
    Follow(Topic),
    /// Ask for the route of this topic now: something on it failed.
    RefreshRoute(Topic),
    /// The addresses of brokers in use changed.
    Endpoints,
    /// Groups or subscriptions changed: heartbeat to every broker now.
    HeartbeatAll,
    /// A broker took a heartbeat.
    HeartbeatDone,
    /// A broker told another wire version than before.
    BrokerVersion { endpoint: Endpoint, version: i32 },
    /// A group could not start, and is no more.
    StartFailed(Group),
    /// The members of a group changed, say the brokers.
    MembersChanged(Group),
    /// Leave this group at every broker, then tell who asked.
    Unregister(Leaving),
    /// A group has left everywhere, or its time is up.
    Unregistered(Leaving),
}

/// A group on its way out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Leaving {
    Producer(Group),
    Consumer(Group),
}

/// A request for a link to carry.
#[derive(Debug)]
pub struct LinkRequest {
    /// Correlates the [`Input::Response`](super::Input::Response).
    pub id: RequestId,
    /// The address it goes to.
    pub to: Endpoint,
    /// The request.
    pub frame: EncodedFrame,
    /// When it is given up.
    pub deadline: Instant,
    /// For a pull: what its answer is decoded with.
    pub pull: Option<Arc<PullContext>>,
}

/// A request for whichever name server answers.
#[derive(Debug)]
pub(crate) struct NameRequest {
    pub(crate) frame: EncodedFrame,
    pub(crate) deadline: Instant,
    pub(crate) reply_to: ReplyTo,
}

/// What to do with the answer of a request: a continuation as data.
#[derive(Clone, Debug)]
pub(crate) enum ReplyTo {
    /// An attempt of a name-server call.
    Names { call: u64, server: Endpoint },
    /// The route of a topic; `template` when the template topic was asked instead.
    Route { topic: Topic, template: bool },
    /// A heartbeat.
    Heartbeat(Endpoint),
    /// Leaving a group.
    Unregister(Leaving),
    /// The members of a group, for one topic's rebalance.
    Members { group: Group, topic: Topic, round: u64 },
    /// The queues of a member, for one topic's rebalance.
    Assignment { group: Group, topic: Topic, round: u64, broker: Endpoint },
    /// A popped message was to be hidden for so long from now on.
    Hidden { group: Group, id: u64, index: usize, sent: Instant, time: core::time::Duration },
    /// Popped messages were acknowledged.
    Acked { group: Group, id: u64 },
    /// The stored offset of a queue.
    Offset { group: Group, queue: MessageQueue, epoch: Epoch },
    /// Locks asked for at this time.
    Lock { group: Group, queues: Vec<MessageQueue>, asked: u64, at: Instant },
    /// Locks given back.
    Unlock { group: Group, queues: Vec<MessageQueue>, asked: u64 },
    /// How far a queue was consumed while its lock was not ours.
    Check { group: Group, queue: MessageQueue, asked: u64 },
    /// How far a queue was consumed whose start a slave told.
    Confirm { group: Group, queue: MessageQueue, epoch: Epoch },
    /// The start of a queue without stored offset.
    StartOffset { group: Group, queue: MessageQueue, epoch: Epoch },
    /// Whether a broker can filter by this version of a topic's expression.
    CheckClient { group: Group, topic: Topic, broker: BrokerName, version: i64 },
    /// A pull.
    Pull { group: Group, queue: MessageQueue, epoch: Epoch, asked: u64 },
    /// A commit.
    Commit { group: Group, queue: MessageQueue, epoch: Epoch, offset: QueueOffset },
    /// A message handed back.
    SendBack { group: Group, id: u64 },
    /// A message republished to the retry topic because it could not be handed back.
    Republish { group: Group, id: u64 },
    /// A call of a handle.
    Call(OpId),
}
