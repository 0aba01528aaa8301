//! What goes in and comes out of a `ClientMachine`: its contract.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::ClientEvent;
use super::consumer::{PullContext, Pulled, decode_pull};
use super::signal::LinkRequest;
use super::snapshot::Snapshot;
use super::stats::ConsumerStats;
use super::view::RouteView;
use crate::config::{ConsumerConfig, Filter};
use crate::dispatch::{Batch, DirectEnd, Failure, PopNews, Progress, Taken};
use crate::error::{AccessDenied, CloseReason, IoFailure, RequestError, RequestFailure};
use crate::ids::{BrokerName, ConnId, Endpoint, Epoch, Group, MessageQueue, OpId, RequestId, Topic};
use crate::request::PushedReply;
use crate::time::{Instant, UnixMillis};
use crate::transaction::{Check, Resolution};
use crate::wire::Frame;
use crate::wire::body::BodyError;
use crate::wire::frame::EncodedFrame;

/// What happens to the machine.
#[derive(Debug)]
pub enum Input {
    /// A handle asks for something; it gets one [`Output::Complete`] with this id, unless it cancels.
    Command {
        /// Correlates the completion.
        op: OpId,
        /// What is asked.
        command: Command,
    },
    /// Nobody waits for this operation any more.
    Cancel(OpId),
    /// A link is up.
    Connected(ConnId),
    /// A link could not be opened.
    ConnectFailed(ConnId, IoFailure),
    /// A link is closed; every request on it was answered before.
    Closed(ConnId, CloseReason),
    /// The answer to an [`Output::Request`].
    Response {
        /// The request.
        id: RequestId,
        /// The answer, or why there is none.
        result: Result<Reply, RequestError>,
    },
    /// A server asks this client for something.
    BrokerRequest(ConnId, Frame),
    /// How far a queue is settled.
    Progress(Group, Progress),
    /// The answer to [`Output::Revoke`]: the last progress of the queue, if any of it was ever handed out.
    Revoked {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// The assignment.
        epoch: Epoch,
        /// How far it got.
        last: Option<Progress>,
    },
    /// Orderly: a handler that still ran when its queue was revoked has ended.
    HandlerEnded {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// The assignment.
        epoch: Epoch,
    },
    /// A message could not be consumed. At most [`ClientMachine::failure_room`](super::ClientMachine::failure_room) at a time.
    Failed(Group, Failure),
    /// What became of popped messages.
    Popped(Group, Vec<PopNews>),
    /// What came of a message of [`Output::DeliverDirect`].
    Direct(Group, DirectEnd),
    /// What a checker says to an [`Output::CheckTransaction`].
    Transaction {
        /// The check.
        check: u64,
        /// What is to become of its message.
        resolution: Resolution,
    },
    /// After [`Output::StopIntake`]: nothing handed out is unsettled.
    Drained(Group),
    /// The answer to [`Output::Load`]: the bytes of the file, `None` when there is none.
    Loaded {
        /// Which.
        op: FileOp,
        /// How.
        result: Result<Option<Vec<u8>>, IoFailure>,
    },
    /// The answer to [`Output::Save`].
    Saved {
        /// Which.
        op: FileOp,
        /// How.
        result: Result<(), IoFailure>,
    },
    /// The answer to [`Output::Fetch`]: its body.
    Fetched(Result<Vec<u8>, IoFailure>),
    /// The wall clock, for fields on the wire.
    WallClock(UnixMillis),
    /// End, by this time.
    Shutdown {
        /// When everything is given up.
        deadline: Instant,
    },
}

/// The answer to a request of the machine.
#[derive(Debug)]
pub enum Reply {
    /// A response.
    Frame(Frame),
    /// The response to a pull, decoded with its [`PullContext`].
    Pulled(Pulled),
}

impl Reply {
    /// Reads the answer to a [`LinkRequest`] with what travelled with it.
    #[must_use]
    pub fn read(pull: Option<&PullContext>, frame: Frame) -> Self {
        match pull {
            Some(context) => Self::Pulled(decode_pull(context, frame)),
            None => Self::Frame(frame),
        }
    }
}

/// What a handle can ask for.
#[derive(Clone, Debug)]
pub enum Command {
    /// Wait until a name server is up; [`CommandResult::Opened`].
    Open,
    /// The name servers are other ones from now on; [`CommandResult::Done`].
    NameServers(Vec<Endpoint>),
    /// The route of a topic; [`CommandResult::Route`].
    WantRoute {
        /// The topic.
        topic: Topic,
        /// Whether the known route did not serve.
        fresh: bool,
    },
    /// A link; [`CommandResult::Link`].
    WantLink(Endpoint),
    /// Register a producer group; [`CommandResult::Done`].
    StartProducer(Group),
    /// Unregister it; [`CommandResult::Done`].
    StopProducer(Group),
    /// Register a producer group of trace records, which are sent after all else: it is waited for at the end, see
    /// [`Output::FlushTraces`], and unregistered as every producer; [`CommandResult::Done`].
    StartTracer(Group),
    /// The group has a checker, which answers [`Output::CheckTransaction`]; [`CommandResult::Done`]. Brokers ask
    /// producers, so there must be one too, and they must have heard of it.
    StartChecker {
        /// The group.
        group: Group,
        /// Topics whose brokers are to hear of the group before anything is sent to them. Those of the template topic,
        /// on which topics are created, do in any case.
        topics: Vec<Topic>,
    },
    /// It has one less; [`CommandResult::Done`].
    StopChecker(Group),
    /// Send what nobody answers over a link that is up; [`CommandResult::Sent`].
    Oneway {
        /// Where to.
        to: Endpoint,
        /// The frame.
        frame: EncodedFrame,
    },
    /// Start a consumer; [`CommandResult::Started`].
    StartConsumer(Arc<ConsumerConfig>),
    /// Subscribe a running consumer to a topic, or change what it wants of it; [`CommandResult::Subscribed`].
    Subscribe {
        /// Its group.
        group: Group,
        /// The operation that started it.
        start: OpId,
        /// The topic.
        topic: Topic,
        /// Which of its messages.
        filter: Filter,
    },
    /// Take a topic from a running consumer; [`CommandResult::Subscribed`].
    Unsubscribe {
        /// Its group.
        group: Group,
        /// The operation that started it.
        start: OpId,
        /// The topic.
        topic: Topic,
    },
    /// Stop a consumer; [`CommandResult::Stopped`].
    StopConsumer {
        /// Its group.
        group: Group,
        /// The operation that started it: another consumer of the group may have been started since.
        start: OpId,
        /// When handed-out messages are given up.
        deadline: Instant,
    },
    /// The figures of a consumer; [`CommandResult::Stats`].
    Stats(Group),
    /// The client at this moment, also while it ends; [`CommandResult::Snapshot`].
    Snapshot,
    /// Pull nothing more for a consumer, or go on; [`CommandResult::Done`].
    Suspend {
        /// Its group.
        group: Group,
        /// The operation that started it.
        start: OpId,
        /// Whether to pull nothing more.
        suspend: bool,
    },
    /// One request to one place; [`CommandResult::Called`].
    Call {
        /// The place.
        to: CallTarget,
        /// The request.
        frame: EncodedFrame,
        /// How long it may take.
        timeout: Duration,
    },
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallTarget {
    /// Whichever name server answers.
    NameServer,
    /// This address.
    Endpoint(Endpoint),
}

/// The end of a command.
#[derive(Clone, Debug)]
pub enum CommandResult {
    /// Of [`Command::Open`].
    Opened(Result<(), Unavailable>),
    /// Of [`Command::WantRoute`].
    Route(Result<(), RouteError>),
    /// Of [`Command::WantLink`].
    Link(Result<(), RequestFailure>),
    /// Of [`Command::Oneway`]: it is handed to the link.
    Sent(Result<(), RequestFailure>),
    /// Of producer and checker commands, of [`Command::NameServers`], and of [`Command::Suspend`].
    Done,
    /// Of [`Command::StartConsumer`].
    Started(Result<(), StartError>),
    /// Of [`Command::Subscribe`] and [`Command::Unsubscribe`].
    Subscribed(Result<(), SubscribeError>),
    /// Of [`Command::StopConsumer`].
    Stopped(Drained),
    /// Of [`Command::Stats`].
    Stats(ConsumerStats),
    /// Of [`Command::Snapshot`].
    Snapshot(Box<Snapshot>),
    /// Of [`Command::Call`].
    Called(Result<Frame, RequestError>),
    /// The client is shutting down.
    Closed,
}

/// What the machine wants done.
#[derive(Debug)]
pub enum Output {
    /// Open a link.
    Connect {
        /// Its id from now on.
        conn: ConnId,
        /// Where to.
        to: Endpoint,
    },
    /// Close a link, after flushing and waiting for answers until `grace` is over.
    Close {
        /// The link.
        conn: ConnId,
        /// How long.
        grace: Duration,
    },
    /// Send a request.
    Request(ConnId, LinkRequest),
    /// Send what nobody answers.
    Oneway(ConnId, EncodedFrame),
    /// A broker asks what became of a half message: have the group's checker say that with [`Input::Transaction`].
    CheckTransaction(Check),
    /// The reply to a request message. Who waits for it knows it by what it has in common with its request.
    PushedReply(PushedReply),
    /// Answer a server's request.
    Answer {
        /// The link it came on.
        conn: ConnId,
        /// Its opaque.
        opaque: crate::ids::Opaque,
        /// The answer.
        frame: EncodedFrame,
    },
    /// A command is over.
    Complete {
        /// Which.
        op: OpId,
        /// How.
        result: CommandResult,
    },
    /// A consumer is about to get messages: make a `Dispatch` for it.
    OpenDispatch(Arc<ConsumerConfig>),
    /// Messages for a consumer.
    Deliver {
        /// The group.
        group: Group,
        /// What was pulled.
        batch: Arc<Batch>,
    },
    /// A queue has as much in hand as it may: tell at once, with [`Input::Progress`], when no more than this is left.
    TellLow {
        /// The group.
        group: Group,
        /// The assignment.
        epoch: Epoch,
        /// Messages pulled and not settled.
        messages: u64,
        /// Bytes that they pin.
        bytes: u64,
    },
    /// A popped message, or all of a pop, are hidden from others until then; later they are not to be handed out.
    Hidden {
        /// The group.
        group: Group,
        /// The assignment.
        epoch: Epoch,
        /// The pop.
        id: u64,
        /// Which of its messages.
        index: Option<usize>,
        /// Until when.
        until: Instant,
    },
    /// Nothing of an assignment that pops is to be handed out any more; what is may be settled.
    GiveBack {
        /// The group.
        group: Group,
        /// The assignment.
        epoch: Epoch,
    },
    /// A message that an operator wants handled, ahead of all others; [`Input::Direct`] follows.
    DeliverDirect {
        /// The group.
        group: Group,
        /// Its number.
        id: u64,
        /// The message.
        batch: Arc<Batch>,
    },
    /// Nobody wants to know any more what came of such a message.
    CancelDirect {
        /// The group.
        group: Group,
        /// Its number.
        id: u64,
    },
    /// A failed message is with the broker: settle it.
    Settle {
        /// The group.
        group: Group,
        /// The message.
        taken: Taken,
    },
    /// A failed message could not be handed back: hand it out again.
    Redeliver {
        /// The group.
        group: Group,
        /// The message.
        taken: Taken,
    },
    /// Time to look for handlers that take too long.
    LookForOverdue {
        /// The group.
        group: Group,
    },
    /// A message cannot be passed: hand out nothing more of its queue.
    StopQueue {
        /// The group.
        group: Group,
        /// The message.
        taken: Taken,
    },
    /// Orderly: the lock of a queue is ours, and messages of this assignment may be handed out until then.
    Lease {
        /// The group.
        group: Group,
        /// The assignment.
        epoch: Epoch,
        /// Until when; a time that has passed ends it.
        until: Instant,
    },
    /// A queue is no longer ours; answered at once with [`Input::Revoked`].
    Revoke {
        /// The group.
        group: Group,
        /// The queue.
        queue: MessageQueue,
        /// The assignment.
        epoch: Epoch,
    },
    /// Hand out nothing more of this group; [`Input::Drained`] follows when nothing is unsettled.
    StopIntake {
        /// The group.
        group: Group,
    },
    /// The consumer is no more: forget its `Dispatch`.
    CloseDispatch(Group),
    /// Ask a server of HTTP over a connection of its own; [`Input::Fetched`] follows.
    Fetch {
        /// Where.
        from: Endpoint,
        /// The request. [`http::Response`](crate::wire::http::Response) reads the answer.
        request: Vec<u8>,
        /// How long connection and answer may take.
        timeout: Duration,
    },
    /// The name servers, when they are other ones than at start.
    NameServers(Vec<Endpoint>),
    /// Read a file; [`Input::Loaded`] follows.
    Load {
        /// Correlates the answer.
        op: FileOp,
        /// Its path.
        path: String,
    },
    /// Replace a file at once or not at all, durably; [`Input::Saved`] follows.
    Save {
        /// Correlates the answer.
        op: FileOp,
        /// Its path.
        path: String,
        /// What is to be in it.
        bytes: Vec<u8>,
    },
    /// Consumers are stopped: send what trace records there are and give up what is not sent by then. The client ends once
    /// each [`Command::StartTracer`] was taken back with [`Command::StopProducer`], or at that time.
    FlushTraces {
        /// When.
        deadline: Instant,
    },
    /// The picture of routes and links changed.
    Routes(Arc<RouteView>),
    /// Something a user may want to know.
    Event(ClientEvent),
    /// The end: nothing follows.
    Closed,
}

/// Something to be done with a file, unique in the life of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOp {
    /// The group whose file it is.
    pub group: Group,
    pub(crate) id: u64,
}

/// No name server could be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no name server can be reached:{}", list(.tried))]
pub struct Unavailable {
    /// Each address, and why.
    pub tried: Vec<(Endpoint, RequestFailure)>,
}

/// A topic whose route cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Neither the topic exists nor a template to make it from.
    #[error("the topic does not exist")]
    NoTopic,
    /// The name server refused.
    #[error("name server answered {code}: {remark}")]
    Refused {
        /// Its response code.
        code: i32,
        /// Its words.
        remark: String,
    },
    /// The route cannot be read, or is over its limits.
    #[error("{0}")]
    Malformed(BodyError),
    /// No name server answered.
    #[error("no name server answered: {0}")]
    Unavailable(RequestError),
}

/// A consumer that did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The configuration breaks a rule.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// This client has a consumer of that group already.
    #[error("this client has a consumer of group {0} already")]
    Duplicate(Group),
    /// A broker cannot filter the messages of a topic as they are wanted.
    #[error("topic {topic}, broker {broker}: {why}")]
    Filter {
        /// The topic.
        topic: Topic,
        /// The broker.
        broker: BrokerName,
        /// Why.
        why: FilterRefusal,
    },
    /// A server does not let this client in.
    #[error("{why}: {remark}")]
    Denied {
        /// Why.
        why: AccessDenied,
        /// The server's words.
        remark: String,
    },
    /// No broker could be reached, or the system does not give the file of offsets of a broadcasting group.
    #[error("{0}")]
    Unavailable(String),
    /// The client is closed, or the consumer was stopped before it had started.
    #[error("closed")]
    Closed,
}

/// Why a broker does not filter by an SQL expression, with its own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterRefusal {
    /// The expression is wrong.
    #[error("the expression is wrong: {0}")]
    Expression(String),
    /// The broker is set not to filter by properties: `enablePropertyFilter` is off.
    #[error("enablePropertyFilter is off: {0}")]
    Disabled(String),
    /// The broker is older than such filters.
    #[error("the broker is too old: {0}")]
    TooOld(String),
}

/// A subscription that did not change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The topic or the expression breaks a rule.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// A broker cannot filter so.
    #[error("broker {broker}: {why}")]
    Filter {
        /// The broker.
        broker: BrokerName,
        /// Why.
        why: FilterRefusal,
    },
    /// A group has its own retry topic, always.
    #[error("the retry topic belongs to its group")]
    RetryTopic,
    /// The same topic was subscribed to or given up again before brokers had answered.
    #[error("replaced by a later change")]
    Replaced,
    /// No broker said whether it can filter so.
    #[error("{0}")]
    Unavailable(String),
    /// The consumer is stopped, or the client closed.
    #[error("closed")]
    Closed,
}

/// How a consumer stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Messages handed out and not settled in time; they are delivered again.
    pub unsettled: u64,
}

fn list(tried: &[(Endpoint, RequestFailure)]) -> String {
    tried.iter().map(|(endpoint, why)| alloc::format!(" {endpoint} ({why})")).collect()
}
