//! The machine in a world that answers as a healthy cluster does, unless a test says otherwise.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm,
    reason = "a panic in a test is a failed test, and what it does not name does not matter to it"
)]

mod answers;
mod broadcasts;
mod commits;
mod discovery;
mod heartbeats;
mod links;
mod locks;
mod names;
mod order;
mod pop_rounds;
mod pops;
mod pulls;
mod random;
mod rebalances;
mod replicas;
mod replies;
mod routes;
mod send_backs;
mod servers;
mod shutdowns;
mod snapshots;
mod starts;
mod subscriptions;
mod suspends;
mod transactions;

use self::answers::{answer, decoded, no_disk, pulled, records, refusal, refused, route};
use alloc::string::ToString;
use core::net::SocketAddr;

use bytes::Bytes;

use super::*;
use crate::dispatch::{Dispatch, DispatchConfig, Outcome, Settled, Taken};
use crate::error::IoFailure;
use crate::error::{IoKind, Sent};
use crate::ids::{BrokerName, ClientId, ConnId, Opaque};
use crate::ids::{Endpoint, QueueOffset, Topic};
use crate::wire::body::{BrokerData, ConsumerList, JsonForm, LockQueues, LockedQueues, Perm, QueueData, TopicRoute};
use crate::wire::codes::{request, response};
use crate::wire::frame;
use crate::wire::frame::EncodedFrame;
use crate::wire::header::{ExtWriter, HeaderLimits, Preamble};
use crate::wire::message::{RecordVersion, StoredMessage, SysFlags, encode_record};
use crate::wire::request::{Fields, PullMessageResponse};
use crate::wire::{Codec, Frame};
use alloc::string::String;

const ME: &str = "10.0.0.1@me";
const NS: &str = "ns:9876";

/// A request that waits for its answer.
#[derive(Debug)]
struct Asked {
    id: RequestId,
    conn: ConnId,
    to: Endpoint,
    deadline: Instant,
    pull: Option<Arc<PullContext>>,
    frame: Frame,
}

impl Asked {
    fn code(&self) -> i32 {
        self.frame.header.code
    }

    fn field(&self, key: &str) -> &str {
        self.frame.header.ext.get(key).unwrap_or_default()
    }
}

/// A machine, what surrounds it, and what it did.
struct World {
    /// The last start of a consumer.
    started: OpId,
    machine: ClientMachine,
    now: Instant,
    next_op: u64,
    asked: Vec<Asked>,
    connecting: Vec<(ConnId, Endpoint)>,
    up: BTreeMap<ConnId, Endpoint>,
    /// Every output, as text.
    log: Vec<String>,
    events: Vec<ClientEvent>,
    done: BTreeMap<OpId, Vec<CommandResult>>,
    views: Vec<Arc<RouteView>>,
    dispatches: BTreeMap<Group, Dispatch>,
    answers: Vec<Frame>,
    /// What was sent for nobody to answer, and where to.
    oneways: Vec<(Endpoint, Frame)>,
    checks: Vec<crate::transaction::Check>,
    replies: Vec<crate::request::PushedReply>,
    /// By when trace records are to be sent, each time that was said.
    flushes: Vec<Instant>,
    closed: usize,
    /// Codes of requests that are left unanswered.
    held: BTreeSet<i32>,
    /// Addresses that refuse connections.
    dead: BTreeSet<Endpoint>,
    /// Addresses where connections are never answered.
    silent: BTreeSet<Endpoint>,
    routes: BTreeMap<Topic, TopicRoute>,
    members: Vec<ClientId>,
    stored: BTreeMap<(Topic, i32), u64>,
    version: i32,
    /// Queues of `T` that another member has locked.
    foreign: BTreeSet<i32>,
    /// What is on the disk.
    files: BTreeMap<String, Vec<u8>>,
    /// Reads and writes under way.
    disk: Vec<Output>,
    /// What was asked for by HTTP, and not answered.
    fetches: Vec<(Endpoint, Vec<u8>)>,
    name_servers: Vec<Vec<Endpoint>>,
    /// Paths that can be neither read nor written.
    broken: BTreeSet<String>,
    /// Reads and writes are left under way.
    slow_disk: bool,
}

impl World {
    fn new() -> Self {
        Self::with(NS, |_| ())
    }

    fn with(servers: &str, change: impl FnOnce(&mut ClientConfig)) -> Self {
        let mut config = ClientConfig::new(crate::config::parse_name_servers(servers), ME.into());
        change(&mut config);
        Self {
            machine: ClientMachine::new(Arc::new(config), 1, Instant::ZERO, UnixMillis(1_000)),
            now: Instant::ZERO,
            started: OpId(0),
            next_op: 0,
            asked: Vec::new(),
            connecting: Vec::new(),
            up: BTreeMap::new(),
            log: Vec::new(),
            events: Vec::new(),
            done: BTreeMap::new(),
            views: Vec::new(),
            dispatches: BTreeMap::new(),
            answers: Vec::new(),
            oneways: Vec::new(),
            checks: Vec::new(),
            replies: Vec::new(),
            flushes: Vec::new(),
            closed: 0,
            held: BTreeSet::from([request::PULL_MESSAGE]),
            dead: BTreeSet::new(),
            silent: BTreeSet::new(),
            routes: BTreeMap::new(),
            members: alloc::vec![ME.into()],
            stored: BTreeMap::new(),
            version: 493,
            foreign: BTreeSet::new(),
            files: BTreeMap::new(),
            disk: Vec::new(),
            fetches: Vec::new(),
            name_servers: Vec::new(),
            broken: BTreeSet::new(),
            slow_disk: false,
        }
    }

    /// A world with topic `T` on broker `b`, and a consumer of it that runs.
    fn consuming(queues: i32, change: impl FnOnce(&mut ConsumerConfig)) -> Self {
        let mut world = Self::new();
        world.topic("T", queues, &["b"]);
        let op = world.start(change);
        world.run();
        assert!(matches!(world.result(op), CommandResult::Started(Ok(()))));
        world
    }

    fn topic(&mut self, topic: &str, queues: i32, brokers: &[&str]) {
        self.routes.insert(topic.into(), route(queues, brokers));
    }

    fn start(&mut self, change: impl FnOnce(&mut ConsumerConfig)) -> OpId {
        let mut config = ConsumerConfig::new("g".into());
        config.subscriptions.push(("T".into(), "*".into()));
        change(&mut config);
        self.started = self.command(Command::StartConsumer(Arc::new(config)));
        self.started
    }

    /// Stops the consumer that was started last, under this group.
    fn stop(&mut self, group: &str, deadline: Instant) -> OpId {
        self.command(Command::StopConsumer { group: group.into(), start: self.started, deadline })
    }

    fn command(&mut self, command: Command) -> OpId {
        let op = OpId(self.next_op);
        self.next_op += 1;
        self.input(Input::Command { op, command });
        op
    }

    fn input(&mut self, input: Input) {
        self.machine.handle(self.now, input);
        self.pump();
    }

    /// Carries out outputs as a driver does; requests and connects are kept.
    fn pump(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            self.log.push(alloc::format!("{:?} {output:?}", self.now));
            assert!(self.log.len() < 200_000, "no rest: {:#?}", &self.log[199_980..]);
            assert_eq!(self.closed, 0, "nothing follows the end: {output:?}");
            self.on_output(output);
        }
        for consumer in self.machine.consumers.values() {
            consumer.check(&self.machine.fx);
        }
    }

    fn on_output(&mut self, output: Output) {
        match output {
            Output::Connect { conn, to } => self.connecting.push((conn, to)),
            Output::Close { conn, .. } => {
                let gone: Vec<_> = self.asked.extract_if(.., |asked| asked.conn == conn).collect();
                for asked in gone {
                    self.fail(asked, Sent::Maybe);
                }
                if self.up.remove(&conn).is_some() {
                    self.machine.handle(self.now, Input::Closed(conn, CloseReason::Local));
                } else if self.connecting.iter().any(|(known, _)| *known == conn) {
                    self.connecting.retain(|(known, _)| *known != conn);
                    self.machine.handle(self.now, Input::ConnectFailed(conn, refused()));
                }
            }
            Output::Request(conn, LinkRequest { id, to, frame, deadline, pull }) => {
                if self.up.contains_key(&conn) {
                    let frame = decoded(&frame);
                    self.asked.push(Asked { id, conn, to, deadline, pull, frame });
                } else {
                    let error = RequestError::never(RequestFailure::Closed(CloseReason::Local));
                    self.machine.handle(self.now, Input::Response { id, result: Err(error) });
                }
            }
            Output::Oneway(conn, frame) => {
                let to = self.up.get(&conn).expect("oneways go over links that are up").clone();
                self.oneways.push((to, decoded(&frame)));
            }
            Output::CheckTransaction(check) => self.checks.push(check),
            Output::PushedReply(reply) => self.replies.push(reply),
            Output::Answer { frame, .. } => self.answers.push(decoded(&frame)),
            Output::Complete { op, result } => self.done.entry(op).or_default().push(result),
            Output::OpenDispatch(config) => {
                let dispatch = Dispatch::new(DispatchConfig::of(&config));
                self.dispatches.insert(config.group.clone(), dispatch);
            }
            Output::Deliver { group, batch } => self.dispatch(&group, |dispatch| {
                dispatch.deliver(batch);
            }),
            Output::TellLow { group, epoch, messages, bytes } => {
                self.dispatch(&group, |dispatch| dispatch.tell_low(epoch, messages, bytes));
            }
            Output::Hidden { group, epoch, id, index, until } => {
                self.dispatch(&group, |dispatch| dispatch.hide(epoch, id, index, until));
            }
            Output::GiveBack { group, epoch } => self.dispatch(&group, |dispatch| dispatch.give_back(epoch)),
            Output::LookForOverdue { group } => self.dispatch(&group, Dispatch::look_for_overdue),
            Output::Settle { group, taken } => self.dispatch(&group, |dispatch| dispatch.returned(&taken)),
            Output::Redeliver { group, taken } => self.dispatch(&group, |dispatch| {
                dispatch.redeliver(&taken);
            }),
            Output::Lease { group, epoch, until } => self.dispatch(&group, |dispatch| {
                dispatch.lease(epoch, until);
            }),
            Output::DeliverDirect { group, id, batch } => self.dispatch(&group, |dispatch| {
                dispatch.deliver_direct(id, batch);
            }),
            Output::CancelDirect { group, id } => self.dispatch(&group, |dispatch| dispatch.cancel_direct(id)),
            Output::StopQueue { group, taken } => self.dispatch(&group, |dispatch| dispatch.stop_queue(&taken)),
            Output::Revoke { group, queue, epoch } => {
                let last = self.dispatches.get_mut(&group).and_then(|dispatch| dispatch.revoke(epoch));
                self.machine.handle(self.now, Input::Revoked { group, queue, epoch, last });
            }
            Output::StopIntake { group } => self.dispatch(&group, Dispatch::close),
            Output::CloseDispatch(group) => {
                self.dispatches.remove(&group);
            }
            Output::Load { .. } | Output::Save { .. } => self.disk.push(output),
            Output::Fetch { from, request, .. } => self.fetches.push((from, request)),
            Output::NameServers(servers) => self.name_servers.push(servers),
            Output::FlushTraces { deadline } => self.flushes.push(deadline),
            Output::Routes(view) => self.views.push(view),
            Output::Event(event) => self.events.push(event),
            Output::Closed => self.closed += 1,
        }
    }

    fn dispatch(&mut self, group: &Group, act: impl FnOnce(&mut Dispatch)) {
        if let Some(dispatch) = self.dispatches.get_mut(group) {
            act(dispatch);
        }
    }

    /// Tells the machine what consumers settled and what failed.
    fn news(&mut self) {
        let groups: Vec<_> = self.dispatches.keys().cloned().collect();
        for group in groups {
            while let Some(progress) = self.dispatches.get_mut(&group).and_then(Dispatch::poll_progress) {
                self.input(Input::Progress(group.clone(), progress));
            }
            while let Some(news) = self.dispatches.get_mut(&group).and_then(Dispatch::poll_popped) {
                self.input(Input::Popped(group.clone(), alloc::vec![news]));
            }
            while let Some((queue, epoch)) = self.dispatches.get_mut(&group).and_then(Dispatch::poll_ended) {
                self.input(Input::HandlerEnded { group: group.clone(), queue: (*queue).clone(), epoch });
            }
            while let Some(end) = self.dispatches.get_mut(&group).and_then(Dispatch::poll_direct) {
                self.input(Input::Direct(group.clone(), end));
            }
            while let Some(event) = self.dispatches.get_mut(&group).and_then(Dispatch::poll_event) {
                self.events.push(ClientEvent::of_dispatch(group.clone(), event));
            }
            while self.machine.failure_room(&group) > 0
                && let Some(failure) = self.dispatches.get_mut(&group).and_then(Dispatch::poll_failure)
            {
                self.input(Input::Failed(group.clone(), failure));
            }
            if self.dispatches.get(&group).is_some_and(|known| !known.is_open() && known.outstanding() == 0) {
                self.input(Input::Drained(group));
            }
        }
    }

    /// Connects, answers and passes news on until nothing happens any more without time passing.
    fn run(&mut self) {
        for _ in 0..10_000 {
            self.machine.handle_timeout(self.now);
            self.pump();
            self.news();
            if !self.run_once() {
                return;
            }
        }
        panic!("no end: {:#?}", &self.log[self.log.len() - 20..]);
    }

    fn run_once(&mut self) -> bool {
        if !self.slow_disk && !self.disk.is_empty() {
            let output = self.disk.remove(0);
            self.on_disk(output);
            return true;
        }
        if let Some(at) = self.connecting.iter().position(|(_, to)| !self.silent.contains(to)) {
            let (conn, to) = self.connecting.remove(at);
            if self.dead.contains(&to) {
                self.input(Input::ConnectFailed(conn, refused()));
            } else {
                self.up.insert(conn, to);
                self.input(Input::Connected(conn));
            }
            return true;
        }
        let answered = |asked: &Asked| !self.held.contains(&asked.code()) && !self.silent.contains(&asked.to);
        let Some(at) = self.asked.iter().position(answered) else {
            return false;
        };
        let asked = self.asked.remove(at);
        let frame = self.usual(&asked);
        self.reply(asked, frame);
        true
    }

    fn on_disk(&mut self, output: Output) {
        match output {
            Output::Load { op, path } => {
                let broken = self.broken.contains(&path);
                let result = if broken { Err(no_disk()) } else { Ok(self.files.get(&path).cloned()) };
                self.input(Input::Loaded { op, result });
            }
            Output::Save { op, path, .. } if self.broken.contains(&path) => {
                self.input(Input::Saved { op, result: Err(no_disk()) });
            }
            Output::Save { op, path, bytes } => {
                self.files.insert(path, bytes);
                self.input(Input::Saved { op, result: Ok(()) });
            }
            other => panic!("nothing for a disk: {other:?}"),
        }
    }

    /// What a healthy cluster answers.
    fn usual(&self, asked: &Asked) -> Frame {
        let int = |key: &str| asked.field(key).parse::<i32>().unwrap_or_default();
        match asked.code() {
            request::GET_ROUTEINFO_BY_TOPIC => match self.routes.get(&Topic::from(asked.field("topic"))) {
                Some(route) => answer(response::SUCCESS, |_| (), route.encode(JsonForm::Standard)),
                None => refusal(response::TOPIC_NOT_EXIST),
            },
            request::HEART_BEAT => {
                let preamble = Preamble { version: self.version, ..Preamble::response(0, Codec::Json) };
                decoded(&preamble.encode(|_| (), Bytes::new()))
            }
            request::GET_CONSUMER_LIST_BY_GROUP => {
                answer(0, |_| (), ConsumerList { ids: self.members.clone() }.encode())
            }
            request::QUERY_CONSUMER_OFFSET => match self.stored.get(&(asked.field("topic").into(), int("queueId"))) {
                Some(offset) => answer(0, |out| out.int("offset", i64::try_from(*offset).unwrap()), []),
                None => refusal(response::QUERY_NOT_FOUND),
            },
            request::LOCK_BATCH_MQ => {
                let mut queues = LockQueues::decode(&asked.frame.body).unwrap().queues;
                queues.retain(|queue| queue.topic.as_str() != "T" || !self.foreign.contains(&queue.id));
                answer(0, |_| (), LockedQueues { queues }.encode())
            }
            request::SEARCH_OFFSET_BY_TIMESTAMP => {
                answer(0, |out| out.int("offset", asked.field("timestamp").parse().unwrap()), [])
            }
            request::GET_MAX_OFFSET => answer(0, |out| out.int("offset", 500), []),
            request::SEND_MESSAGE_V2 => answer(
                0,
                |out| {
                    out.text("msgId", "M");
                    out.int("queueId", 0);
                    out.int("queueOffset", 7);
                },
                [],
            ),
            _ => answer(0, |_| (), []),
        }
    }

    fn reply(&mut self, asked: Asked, frame: Frame) {
        let reply = Reply::read(asked.pull.as_deref(), frame);
        self.input(Input::Response { id: asked.id, result: Ok(reply) });
    }

    fn fail(&mut self, asked: Asked, sent: Sent) {
        let result = Err(RequestError { why: RequestFailure::Timeout, sent });
        self.machine.handle(self.now, Input::Response { id: asked.id, result });
    }

    /// Answers a pull with messages at these offsets.
    fn found(&mut self, asked: Asked, offsets: core::ops::Range<u64>) {
        let frame = pulled(&asked, response::SUCCESS, offsets.end, records(offsets));
        self.reply(asked, frame);
        self.run();
    }

    /// The first open request of this kind.
    fn take(&mut self, code: i32) -> Asked {
        let at = self.asked.iter().position(|asked| asked.code() == code);
        self.asked.remove(at.unwrap_or_else(|| panic!("no request {code}: {:#?}", self.asked)))
    }

    /// The first open pull of this topic.
    fn pull(&mut self, topic: &str) -> Asked {
        let of = |asked: &Asked| asked.code() == request::PULL_MESSAGE && asked.field("topic") == topic;
        let at = self.asked.iter().position(of).expect("a pull");
        self.asked.remove(at)
    }

    fn pulls(&self, topic: &str) -> usize {
        self.open(request::PULL_MESSAGE, |asked| asked.field("topic") == topic)
    }

    fn open(&self, code: i32, which: impl Fn(&Asked) -> bool) -> usize {
        self.asked.iter().filter(|asked| asked.code() == code && which(asked)).count()
    }

    /// Lets time pass, step by step.
    fn advance(&mut self, millis: u64) {
        let end = self.now.after(Duration::from_millis(millis));
        self.run();
        loop {
            let deadline = self.asked.iter().map(|asked| asked.deadline).min().unwrap_or(Instant::FAR);
            let timer = self.machine.poll_timeout().instant(self.now).unwrap_or(Instant::FAR);
            let next = deadline.min(timer);
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            let late: Vec<_> = self.asked.extract_if(.., |asked| asked.deadline <= next).collect();
            for asked in late {
                self.fail(asked, Sent::Maybe);
                self.pump();
            }
            self.run();
        }
        self.now = end;
    }

    /// The peer of a link hangs up.
    fn hang_up(&mut self, endpoint: &str) {
        let conn = *self.up.iter().find(|(_, to)| to.as_str() == endpoint).expect("a link").0;
        self.up.remove(&conn);
        let gone: Vec<_> = self.asked.extract_if(.., |asked| asked.conn == conn).collect();
        for asked in gone {
            self.fail(asked, Sent::Maybe);
        }
        self.input(Input::Closed(conn, CloseReason::PeerClosed));
    }

    /// Takes what is ready, and settles it so.
    fn consume(&mut self, outcome: Outcome) -> usize {
        let mut taken = Vec::new();
        let now = self.now;
        self.dispatch(&"g".into(), |dispatch| taken.extend(core::iter::from_fn(|| dispatch.take(now))));
        let count = taken.len();
        for taken in taken {
            self.dispatch(&"g".into(), |dispatch| {
                dispatch.settle(&taken, outcome);
            });
        }
        count
    }

    /// Takes what is handed out next.
    fn take_one(&mut self) -> Option<Taken> {
        let (now, mut taken) = (self.now, None);
        self.dispatch(&"g".into(), |dispatch| taken = dispatch.take(now));
        taken
    }

    fn settle(&mut self, taken: &Taken, outcome: Outcome) -> Settled {
        let mut settled = Settled::Released;
        self.dispatch(&"g".into(), |dispatch| settled = dispatch.settle(taken, outcome));
        self.run();
        settled
    }

    fn result(&self, op: OpId) -> &CommandResult {
        let results = self.done.get(&op).unwrap_or_else(|| panic!("{op:?} is not done"));
        assert_eq!(results.len(), 1, "{op:?} is done once");
        &results[0]
    }

    fn is_done(&self, op: OpId) -> bool {
        self.done.contains_key(&op)
    }

    fn count(&self, what: impl Fn(&ClientEvent) -> bool) -> usize {
        self.events.iter().filter(|event| what(event)).count()
    }
}
