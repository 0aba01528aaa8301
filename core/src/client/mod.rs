//! The control plane of one client: name servers, routes, links, heartbeats, groups, shutdown.
//!
//! [`ClientMachine`] hands signals from one sub-machine to the others until none is left; it decides nothing
//! itself. Nothing that happens once per message touches it.

mod broker_request;
pub mod consumer;
mod contract;
mod discovery;
mod event;
mod heartbeat;
mod leave;
mod links;
mod names;
pub mod rebalance;
mod replies;
mod reply;
mod routes;
mod shutdown;
pub(crate) mod signal;
mod single;
pub mod snapshot;
mod stats;
mod transactions;
pub mod view;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU32;
use core::time::Duration;

pub use consumer::{PopContext, PullContext, Pulled, decode_pull};
pub use contract::{
    CallTarget, Command, CommandResult, Drained, FileOp, FilterRefusal, Input, Output, Reply, RouteError, StartError,
    SubscribeError, Unavailable,
};
pub use event::{ClientEvent, ServerVerdict, StartReason, StartStep};
pub use signal::LinkRequest;
pub use snapshot::Snapshot;
pub use stats::{ConsumerStats, QueueStats};
pub use view::RouteView;

use crate::config::{ClientConfig, ConfigError, ConsumerConfig};
use crate::effects::Effects;
use crate::error::{CloseReason, RequestError, RequestFailure};
use crate::ids::{Group, OpId, RequestId};
use crate::time::{Instant, UnixMillis, Wakeup};
use crate::timers::TimerKey;
use crate::wire::body::{HeartbeatData, MessageModel, ProducerData};
use consumer::{Consumer, Siblings};
use discovery::Discovery;
use heartbeat::Heartbeat;
use leave::Leave;
use links::{Links, Refused};
use names::Names;
use routes::Routes;
use signal::{Leaving, ReplyTo, Signal};
use transactions::Transactions;

/// The control plane of one client id.
#[derive(Debug)]
pub struct ClientMachine {
    config: Arc<ClientConfig>,
    fx: Effects,
    links: Links,
    names: Names,
    discovery: Discovery,
    routes: Routes,
    heartbeat: Heartbeat,
    leave: Leave,
    producers: BTreeMap<Group, u32>,
    /// Those of them that send trace records.
    tracers: BTreeSet<Group>,
    consumers: BTreeMap<Group, Consumer>,
    transactions: Transactions,
    /// Queues are taken in turn by the machine's own sends.
    turn: Arc<AtomicU32>,
    server_requests: broker_request::Counts,
    stage: Stage,
}

/// Where the client is between start and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// Consumers drain, commit and leave.
    Stopping {
        deadline: Instant,
    },
    /// The last trace records are sent.
    Flushing {
        deadline: Instant,
    },
    /// Producers leave.
    Leaving {
        deadline: Instant,
    },
    /// Links flush and close.
    Closing,
    Closed,
}

impl ClientMachine {
    /// A machine for this configuration. Same seed and inputs, same outputs.
    #[must_use]
    pub fn new(config: Arc<ClientConfig>, seed: u64, now: Instant, wall: UnixMillis) -> Self {
        let mut fx = Effects::new(seed, now, wall);
        let names = Names::new(&config, &mut fx);
        let discovery = Discovery::start(config.discovery.clone(), &mut fx);
        let turn = u32::try_from(fx.rng.below(usize::from(u16::MAX))).unwrap_or(0);
        Self {
            links: Links::new(&config),
            names,
            discovery,
            routes: Routes::new(&config),
            heartbeat: Heartbeat::new(&config),
            leave: Leave::new(&config),
            producers: BTreeMap::new(),
            tracers: BTreeSet::new(),
            consumers: BTreeMap::new(),
            transactions: Transactions::default(),
            turn: Arc::new(AtomicU32::new(turn)),
            server_requests: BTreeMap::new(),
            stage: Stage::Running,
            config,
            fx,
        }
    }

    /// Takes in what happened. Any number of inputs may come before outputs are drained.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.fx.now = self.fx.now.max(now);
        self.on_input(input);
        self.settle();
        self.still_when_closed();
    }

    /// Runs what is due; a call too early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.fx.now = self.fx.now.max(now);
        while let Some(key) = self.fx.timers.due(self.fx.now) {
            self.on_timer(key);
            self.settle();
        }
        self.still_when_closed();
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.fx.next_output()
    }

    /// When [`ClientMachine::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Wakeup {
        if self.fx.has_output() { Wakeup::Now } else { self.fx.timers.next() }
    }

    /// How many [`Input::Failed`] of this group can be taken in now.
    #[must_use]
    pub fn failure_room(&self, group: &Group) -> usize {
        self.consumers.get(group).map_or(0, Consumer::failure_room)
    }

    /// Requests that wait for an answer, and timers armed: both 0 after the end.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        (self.fx.requests_open(), self.fx.timers.len())
    }

    fn on_input(&mut self, input: Input) {
        match input {
            Input::Command { op, command } => self.on_command(op, command),
            Input::Cancel(op) => {
                self.links.on_cancel(op);
                self.routes.on_cancel(op);
                self.on_cancel_start(op);
            }
            Input::Connected(conn) => self.links.on_connected(conn, &mut self.fx),
            Input::ConnectFailed(conn, why) => {
                let refused = self.links.on_connect_failed(conn, why, &mut self.fx);
                self.on_refused(refused);
            }
            Input::Closed(conn, why) => {
                self.links.on_closed(conn, &why, &mut self.fx);
            }
            Input::Response { id, result } => self.on_response(id, result),
            Input::BrokerRequest(conn, frame) => self.on_broker_request(conn, &frame),
            Input::Progress(group, progress) => {
                self.with_consumer(&group, |consumer, at, fx| consumer.on_progress(&progress, at, fx));
            }
            Input::Revoked { group, queue, epoch, last } => self.with_consumer(&group, |consumer, at, fx| {
                consumer.on_revoked(&queue, epoch, last.as_ref(), at, fx);
            }),
            Input::HandlerEnded { group, queue, epoch } => self.with_consumer(&group, |consumer, at, fx| {
                consumer.on_handler_ended(&queue, epoch, at, fx);
            }),
            Input::Failed(group, failure) => {
                self.with_consumer(&group, |consumer, at, fx| consumer.on_failed(failure, at, fx));
            }
            Input::Popped(group, news) => {
                self.with_consumer(&group, |consumer, at, fx| consumer.on_popped_news(&news, at, fx));
            }
            Input::Direct(group, end) => {
                self.with_consumer(&group, |consumer, _, fx| consumer.on_direct_end(end, fx));
            }
            Input::Transaction { check, resolution } => {
                self.transactions.on_resolution(check, resolution, self.config.codec, &mut self.fx);
            }
            Input::Drained(group) => self.with_consumer(&group, Consumer::on_drained),
            Input::Loaded { op, result } => {
                self.with_consumer(&op.group, |consumer, at, fx| consumer.on_loaded(&op, result, at, fx));
            }
            Input::Saved { op, result } => {
                self.with_consumer(&op.group, |consumer, at, fx| consumer.on_saved(&op, result, at, fx));
            }
            Input::Fetched(result) => {
                let links = &self.links;
                if let Some(servers) = self.discovery.on_fetched(result, |to| links.allow(to), &mut self.fx)
                    && self.stage == Stage::Running
                {
                    self.names.on_servers(servers, &mut self.links, &mut self.fx);
                }
            }
            Input::WallClock(wall) => self.fx.wall = wall,
            Input::Shutdown { deadline } => self.on_shutdown(deadline),
        }
    }

    fn on_command(&mut self, op: OpId, command: Command) {
        if self.stage != Stage::Running && !self.is_part_of_the_end(&command) {
            return self.fx.complete(op, CommandResult::Closed);
        }
        match command {
            Command::Open => self.names.on_open(op, self.config.open_timeout, &mut self.links, &mut self.fx),
            Command::NameServers(servers) => {
                self.links.on_given(&servers);
                self.names.on_servers(servers, &mut self.links, &mut self.fx);
                self.fx.complete(op, CommandResult::Done);
            }
            Command::WantRoute { topic, fresh } => self.routes.on_want(op, &topic, fresh, &mut self.fx),
            Command::WantLink(to) => self.links.on_want(op, &to, &mut self.fx),
            Command::StartProducer(group) => self.on_start_producer(op, group),
            Command::StartTracer(group) => {
                self.tracers.insert(group.clone());
                self.on_start_producer(op, group);
            }
            Command::StopProducer(group) => {
                self.on_stop_producer(&group);
                self.fx.complete(op, CommandResult::Done);
            }
            Command::StartChecker { group, topics } => {
                self.transactions.on_start(group);
                for topic in topics.iter().chain([&self.config.template_topic]) {
                    self.routes.follow(topic, &mut self.fx);
                }
                self.fx.complete(op, CommandResult::Done);
            }
            Command::StopChecker(group) => {
                self.transactions.on_stop(&group, &mut self.fx);
                self.fx.complete(op, CommandResult::Done);
            }
            Command::Oneway { to, frame } => {
                let result = self.links.on_oneway(&to, frame, &mut self.fx);
                self.fx.complete(op, CommandResult::Sent(result));
            }
            Command::StartConsumer(config) => self.on_start_consumer(op, config),
            Command::Subscribe { group, start, topic, filter } => {
                self.on_subscribe(op, &group, start, |consumer, at, fx| {
                    consumer.on_subscribe(op, &topic, &filter, at, fx);
                })
            }
            Command::Unsubscribe { group, start, topic } => self.on_subscribe(op, &group, start, |consumer, _, fx| {
                consumer.on_unsubscribe(op, &topic, fx);
            }),
            Command::StopConsumer { group, start, deadline } => {
                let fx = &mut self.fx;
                match self.consumers.get_mut(&group).filter(|known| known.is_started_by(start)) {
                    Some(known) => known.on_stop(op, deadline, fx),
                    None => fx.complete(op, CommandResult::Stopped(Drained::default())),
                }
            }
            Command::Stats(group) => {
                let stats = self.consumers.get(&group).map(|consumer| consumer.stats(self.fx.now));
                self.fx.complete(op, CommandResult::Stats(stats.unwrap_or_default()));
            }
            Command::Snapshot => {
                let snapshot = self.snapshot(self.fx.now);
                self.fx.complete(op, CommandResult::Snapshot(Box::new(snapshot)));
            }
            Command::Suspend { group, start, suspend } => {
                let at = Siblings { routes: &self.routes };
                if let Some(known) = self.consumers.get_mut(&group).filter(|known| known.is_started_by(start)) {
                    known.on_suspend(suspend, at, &mut self.fx);
                }
                self.fx.complete(op, CommandResult::Done);
            }
            Command::Call { to, frame, timeout } => match to {
                CallTarget::NameServer => self.fx.ask_names(frame, timeout, ReplyTo::Call(op)),
                CallTarget::Endpoint(to) => self.fx.request(to, frame, timeout, ReplyTo::Call(op)),
            },
        }
    }

    fn on_start_consumer(&mut self, op: OpId, config: Arc<ConsumerConfig>) {
        if let Err(error) = config.check() {
            return self.fx.complete(op, CommandResult::Started(Err(StartError::Config(error))));
        }
        let has_file = consumer::offset_file(&self.config, &config).is_some();
        if config.model == MessageModel::Broadcasting && !has_file {
            let error = StartError::Config(ConfigError::NoOffsetFile);
            return self.fx.complete(op, CommandResult::Started(Err(error)));
        }
        if self.consumers.contains_key(&config.group) {
            let duplicate = StartError::Duplicate(config.group.clone());
            return self.fx.complete(op, CommandResult::Started(Err(duplicate)));
        }
        self.fx.output(Output::OpenDispatch(config.clone()));
        let group = config.group.clone();
        let consumer = Consumer::start(op, &self.config, config, self.turn.clone(), &mut self.fx);
        for topic in consumer.topics() {
            self.routes.follow(topic, &mut self.fx);
        }
        let topics: Vec<_> = consumer.topics().cloned().collect();
        self.consumers.insert(group.clone(), consumer);
        // Routes known from before raise no signal of their own.
        for topic in topics {
            self.with_consumer(&group, |consumer, at, fx| consumer.on_route_settled(&topic, at, fx));
        }
    }

    /// Changes what a running consumer subscribes to.
    fn on_subscribe(
        &mut self,
        op: OpId,
        group: &Group,
        start: OpId,
        change: impl FnOnce(&mut Consumer, Siblings<'_>, &mut Effects),
    ) {
        if self.consumers.get(group).is_some_and(|known| known.is_started_by(start)) {
            self.with_consumer(group, change);
        } else {
            self.fx.complete(op, CommandResult::Subscribed(Err(SubscribeError::Closed)));
        }
    }

    /// Nobody waits for this start any more, and nobody has a handle of what it started.
    fn on_cancel_start(&mut self, op: OpId) {
        let deadline = self.fx.now.after(CANCEL_GRACE);
        if let Some(started) = self.consumers.values_mut().find(|known| known.is_started_by(op)) {
            started.on_stop(NOBODY, deadline, &mut self.fx);
        }
    }

    fn on_start_producer(&mut self, op: OpId, group: Group) {
        let handles = self.producers.entry(group).or_insert(0);
        *handles = handles.saturating_add(1);
        self.fx.raise(Signal::HeartbeatAll);
        self.fx.complete(op, CommandResult::Done);
    }

    fn on_stop_producer(&mut self, group: &Group) {
        let Some(handles) = self.producers.get_mut(group) else {
            return;
        };
        *handles = handles.saturating_sub(1);
        if *handles == 0 {
            self.producers.remove(group);
            self.fx.raise(Signal::Unregister(Leaving::Producer(group.clone())));
        }
        self.tracers.remove(group);
        self.on_maybe_closed();
    }

    fn on_timer(&mut self, key: TimerKey) {
        match key {
            TimerKey::Connect(endpoint) => {
                let refused = self.links.on_connect_timeout(&endpoint, &mut self.fx);
                self.on_refused(refused);
            }
            TimerKey::NameHedge(call) => {
                if let Some((reply_to, result)) = self.names.on_hedge(call, &mut self.fx) {
                    self.on_reply(reply_to, result.map(Reply::Frame));
                }
            }
            TimerKey::NameOpen => self.names.on_open_next(&mut self.links, &mut self.fx),
            TimerKey::OpenDeadline => {
                self.names.on_open_deadline(self.discovery.failure(), &self.links, &mut self.fx);
            }
            TimerKey::Discovery => self.discovery.on_timer(&mut self.fx),
            TimerKey::Routes => self.routes.on_timer(&mut self.fx),
            TimerKey::Heartbeat(endpoint) => {
                let data = self.heartbeat_data();
                self.heartbeat.on_due(&endpoint, &data, &mut self.fx);
            }
            TimerKey::LeaveDeadline => self.leave.on_deadline(&mut self.fx),
            TimerKey::Rebalance(group) => self.with_consumer(&group, Consumer::on_rebalance),
            TimerKey::Queue(group, queue, epoch) => {
                self.with_consumer(&group, |consumer, at, fx| consumer.on_queue_timer(&queue, epoch, at, fx));
            }
            TimerKey::Locks(group) => self.with_consumer(&group, Consumer::on_lock_timer),
            TimerKey::Overdue(group) => {
                self.with_consumer(&group, |consumer, _, fx| consumer.on_overdue_timer(fx));
            }
            TimerKey::Commit(group) => self.with_consumer(&group, Consumer::on_commit_timer),
            TimerKey::Acks(group) => self.with_consumer(&group, Consumer::on_acks_due),
            TimerKey::Renew(group) => self.with_consumer(&group, Consumer::on_renew_due),
            TimerKey::Filters(group) => self.with_consumer(&group, Consumer::on_filter_timer),
            TimerKey::StartDeadline(group) => self.with_consumer(&group, Consumer::on_start_deadline),
            TimerKey::StopDeadline(group) => self.with_consumer(&group, Consumer::on_stop_deadline),
            TimerKey::Redeliver(group, id) => {
                self.with_consumer(&group, |consumer, _, fx| consumer.on_redeliver(id, fx));
            }
            TimerKey::Republish(group, id) => {
                self.with_consumer(&group, |consumer, at, fx| consumer.on_republish(id, at, fx));
            }
            TimerKey::Direct(group, id) => {
                self.with_consumer(&group, |consumer, _, fx| consumer.on_direct_deadline(id, fx));
            }
            TimerKey::Check(id) => self.transactions.on_deadline(id, &mut self.fx),
            TimerKey::FlushTraces => {
                self.tracers.clear();
                self.on_maybe_closed();
            }
            TimerKey::Shutdown => self.close_links(Duration::ZERO),
        }
    }

    /// Once links close nothing is scheduled any more, whatever the last answers ask for.
    fn still_when_closed(&mut self) {
        if matches!(self.stage, Stage::Closing | Stage::Closed) {
            self.fx.timers.clear();
        }
    }

    /// Hands signals on until none is left.
    fn settle(&mut self) {
        while let Some(signal) = self.fx.next_signal() {
            self.on_signal(signal);
        }
    }

    fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::Request(request) if matches!(self.stage, Stage::Closing | Stage::Closed) => {
                let error = RequestError::never(RequestFailure::Closed(CloseReason::Local));
                self.on_refused(alloc::vec![Refused { id: request.id, error }]);
            }
            Signal::Request(request) => {
                if let Err(refused) = self.links.on_request(request, &mut self.fx) {
                    self.on_refused(alloc::vec![refused]);
                }
            }
            Signal::Oneway(to, frame) => {
                // Nobody waits for it: what is said with it can be asked for again.
                let _ = self.links.on_oneway(&to, frame, &mut self.fx);
            }
            Signal::AskNames(request) => self.names.on_ask(request, &mut self.fx),
            Signal::LinkUp(endpoint) => {
                self.fx.event(ClientEvent::LinkUp(endpoint.clone()));
                self.names.on_link_up(&endpoint, &mut self.fx);
                self.routes.publish(&self.links, &mut self.fx);
                if self.routes.is_broker(&endpoint) {
                    let data = self.heartbeat_data();
                    self.heartbeat.on_due(&endpoint, &data, &mut self.fx);
                    self.each_consumer(|consumer, at, fx| {
                        consumer.on_broker_break(&endpoint, at);
                        consumer.on_broker_link(&endpoint, at, fx);
                    });
                }
            }
            Signal::LinkDown(endpoint) => {
                self.fx.event(ClientEvent::LinkDown(endpoint.clone()));
                if self.stage == Stage::Running {
                    self.names.on_link_down(&endpoint, &mut self.links, &mut self.fx);
                    self.routes.on_link_down(&endpoint, &mut self.fx);
                    self.heartbeat.on_link_down(&endpoint, &self.links, &mut self.fx);
                    self.each_consumer(|consumer, at, _| consumer.on_broker_break(&endpoint, at));
                }
                self.routes.publish(&self.links, &mut self.fx);
                self.on_maybe_closed();
            }
            Signal::RouteChanged(topic) => {
                self.each_consumer(|consumer, at, fx| consumer.on_route_changed(&topic, at, fx));
            }
            Signal::RouteMissing(topic) => {
                if self.consumers.values().any(|consumer| consumer.topics().any(|known| *known == topic)) {
                    self.fx.event(ClientEvent::TopicMissing(topic));
                }
            }
            Signal::Follow(topic) => self.routes.follow(&topic, &mut self.fx),
            Signal::RefreshRoute(topic) => self.routes.on_refresh(&topic, &mut self.fx),
            Signal::Endpoints => {
                let (routes, names) = (&self.routes, &self.names);
                self.links.keep_only(|known| routes.is_broker(known) || names.contains(known), &mut self.fx);
                self.heartbeat.keep_only(&self.routes, &mut self.fx);
                let data = self.heartbeat_data();
                self.heartbeat.on_new(&data, &self.routes, &mut self.fx);
            }
            Signal::HeartbeatAll => {
                let data = self.heartbeat_data();
                self.heartbeat.on_all(&data, &self.routes, &mut self.fx);
            }
            Signal::BrokerVersion { endpoint, version } => {
                self.routes.on_version(endpoint, version, &self.links, &mut self.fx);
            }
            Signal::HeartbeatDone => self.each_consumer(|consumer, at, fx| {
                consumer.on_heartbeat_done(at, fx);
                consumer.on_rebalance(at, fx);
            }),
            Signal::StartFailed(group) => {
                self.consumers.remove(&group);
                self.fx.output(Output::CloseDispatch(group.clone()));
                self.fx.raise(Signal::Unregister(Leaving::Consumer(group)));
            }
            Signal::MembersChanged(group) => self.with_consumer(&group, Consumer::on_members_changed),
            Signal::Unregister(leaving) => self.leave.on_leave(leaving, &self.routes, &self.links, &mut self.fx),
            Signal::Unregistered(Leaving::Producer(_)) => self.on_maybe_closed(),
            Signal::Unregistered(Leaving::Consumer(group)) => {
                // Of a start that failed; a consumer of that group may have been started since.
                let left = self.consumers.get_mut(&group).is_some_and(|known| known.on_left(&mut self.fx));
                if left {
                    self.consumers.remove(&group);
                    self.fx.output(Output::CloseDispatch(group));
                }
                self.on_maybe_closed();
            }
        }
    }

    fn on_refused(&mut self, refused: Vec<Refused>) {
        for Refused { id, error } in refused {
            self.on_response(id, Err(error));
        }
    }

    fn heartbeat_data(&self) -> HeartbeatData {
        let mut producers: BTreeSet<_> = self.producers.keys().cloned().collect();
        if !self.consumers.is_empty() {
            producers.insert(Group::from(INNER_PRODUCER));
        }
        HeartbeatData {
            client_id: self.config.client_id.clone(),
            consumers: self.consumers.values().filter_map(Consumer::heartbeat_data).collect(),
            producers: producers.into_iter().map(|group| ProducerData { group }).collect(),
            ..HeartbeatData::default()
        }
    }

    fn with_consumer(&mut self, group: &Group, act: impl FnOnce(&mut Consumer, Siblings<'_>, &mut Effects)) {
        if let Some(consumer) = self.consumers.get_mut(group) {
            let at = Siblings { routes: &self.routes };
            act(consumer, at, &mut self.fx);
        }
    }

    fn each_consumer(&mut self, mut act: impl FnMut(&mut Consumer, Siblings<'_>, &mut Effects)) {
        let groups: Vec<_> = self.consumers.keys().cloned().collect();
        for group in groups {
            self.with_consumer(&group, &mut act);
        }
    }
}

/// The group that consumers republish under. Source: Java `MixAll.CLIENT_INNER_PRODUCER_GROUP`.
const INNER_PRODUCER: &str = "CLIENT_INNER_PRODUCER";
/// The operation of a stop that nobody waits for.
const NOBODY: OpId = OpId(u64::MAX);
/// Of the time to shut down, this share is kept for leaving and closing links.
const SHUTDOWN_SHARE: u32 = 10;
/// How long a consumer that nobody has a handle of may take to commit and leave.
const CANCEL_GRACE: Duration = Duration::from_secs(1);
/// How long links may flush at the end.
const LINK_GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
