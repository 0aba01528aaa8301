//! One push consumer: its start and stop, its queues, and what failed.

mod commit;
mod direct;
mod local;
mod lock;
mod pop;
mod pull;
mod queue;
mod replica;
mod report;
mod reset;
mod room;
mod send_back;
mod snapshot;
mod subscription;
mod suspend;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

pub(crate) use local::offset_file;
pub use pop::PopContext;
pub use pull::{PullContext, Pulled, decode as decode_pull};

use super::broker_request::Asker;
use super::rebalance::{Allocation, Rebalance};
use super::routes::Routes;
use super::signal::{Leaving, Signal};
use super::stats::Stats;
use super::{ClientEvent, CommandResult, Drained, Output, StartError, StartStep};
use crate::config::{ClientConfig, ConsumerConfig, Filter, StartFrom, strategy_name};
use crate::dispatch::{OVERDUE_TICKS, Progress};
use crate::effects::Effects;
use crate::error::RequestError;
use crate::ids::{BrokerName, Endpoint, Epoch, Group, MessageQueue, OpId, QueueOffset, Topic};
use crate::mutants::mutant;
use crate::time::{Instant, UnixMillis};
use crate::timers::TimerKey;
use crate::wire::Frame;
use crate::wire::body::{ConsumeFromWhere, ConsumeType, ConsumerData, MessageModel};
use crate::wire::subscription::SubscriptionData;
use commit::{Lane, LastOffsets};
use local::LocalOffsets;
use lock::Locks;
use pop::Pops;
use queue::Assigned;
use send_back::SendBack;
use subscription::Subscriptions;

/// The control plane of one push consumer.
#[derive(Debug)]
pub(crate) struct Consumer {
    /// The operation that started it.
    start: OpId,
    client: Arc<ClientConfig>,
    config: Arc<ConsumerConfig>,
    subscriptions: Subscriptions,
    retry_topic: Topic,
    state: State,
    /// The operations that stop it: each of them is told the end.
    stops: Vec<OpId>,
    rebalance: Rebalance,
    queues: BTreeMap<MessageQueue, Assigned>,
    pops: Pops,
    /// Where queues start that have not been assigned yet.
    start_at: BTreeMap<MessageQueue, QueueOffset>,
    /// Revoked queues whose last offset is being committed.
    leaving: BTreeMap<(MessageQueue, Epoch), LastOffsets>,
    locks: Locks,
    /// Where offsets are in broadcasting.
    local: Option<LocalOffsets>,
    /// The commits under way.
    lanes: BTreeMap<(Topic, BrokerName), Lane>,
    commit_rounds: u32,
    suspended: bool,
    send_backs: BTreeMap<u64, SendBack>,
    /// Who waits for what came of which message.
    directs: BTreeMap<u64, Asker>,
    stats: Stats,
    /// When it was started.
    begun: UnixMillis,
    turn: Arc<core::sync::atomic::AtomicU32>,
}

#[derive(Debug)]
enum State {
    /// Waiting for routes, then for the first heartbeat.
    Starting { op: OpId, heartbeat_sent: bool, trouble: Option<StartError> },
    /// Pulling.
    Running,
    /// Handed-out messages may still be settled.
    Draining { deadline: Instant },
    /// The last offsets are on their way.
    Committing { unsettled: u64 },
    /// Locks are being given back.
    Unlocking { unsettled: u64 },
    /// Leaving the group at every broker.
    Leaving { unsettled: u64 },
}

/// What a consumer may read of its siblings.
#[derive(Clone, Copy)]
pub(crate) struct Siblings<'a> {
    pub(crate) routes: &'a Routes,
}

impl Consumer {
    /// Starts a consumer: steps 1 to 8 are done at once, step 9 when a broker knows the group.
    pub(crate) fn start(
        op: OpId,
        client: &Arc<ClientConfig>,
        config: Arc<ConsumerConfig>,
        turn: Arc<core::sync::atomic::AtomicU32>,
        fx: &mut Effects,
    ) -> Self {
        let group = config.group.clone();
        let step = |step, fx: &mut Effects| fx.event(ClientEvent::Start { group: group.clone(), step });
        step(StartStep::CheckConfig, fx);
        let retry_topic = Topic::from(alloc::format!("%RETRY%{group}"));
        // `checkConfig` refused expressions that cannot be parsed.
        let parse = |(topic, filter): &(Topic, Filter)| filter.subscription(topic, fx.wall).ok();
        let mut parsed: Vec<_> = config.subscriptions.iter().filter_map(parse).collect();
        if config.model == MessageModel::Clustering {
            parsed.push(SubscriptionData::all(retry_topic.clone(), fx.wall));
        }
        let subscriptions = Subscriptions::new(parsed.into_iter());
        step(StartStep::CopySubscription, fx);
        step(StartStep::InstanceName, fx);
        step(StartStep::ClientInstance, fx);
        let rebalance = Rebalance::new(
            group.clone(),
            client.client_id.clone(),
            config.strategy.clone(),
            client.codec,
            client.request_timeout,
            client.rebalance_interval,
        );
        step(StartStep::Rebalance, fx);
        step(StartStep::PullApi, fx);
        step(StartStep::OffsetStore, fx);
        let local = LocalOffsets::open(client, &config, fx);
        step(StartStep::ConsumeService, fx);
        fx.arm(TimerKey::StartDeadline(group.clone()), START_TIMEOUT);
        Self {
            stats: Stats::new(subscriptions.topics(), fx.now),
            begun: fx.wall,
            start: op,
            client: client.clone(),
            start_at: config.start_at.clone(),
            config,
            subscriptions,
            retry_topic,
            state: State::Starting { op, heartbeat_sent: false, trouble: None },
            stops: Vec::new(),
            rebalance,
            queues: BTreeMap::new(),
            pops: Pops::default(),
            leaving: BTreeMap::new(),
            locks: Locks::default(),
            local,
            lanes: BTreeMap::new(),
            commit_rounds: 0,
            suspended: false,
            send_backs: BTreeMap::new(),
            directs: BTreeMap::new(),
            turn,
        }
    }

    /// Whether this operation started it.
    pub(crate) fn is_started_by(&self, op: OpId) -> bool {
        self.start == op
    }

    /// Stops: nothing more is handed out, what is out may be settled until the deadline.
    ///
    /// Whoever stops it while it is stopping waits for the same end, and may only bring it forward.
    pub(crate) fn on_stop(&mut self, op: OpId, deadline: Instant, fx: &mut Effects) {
        let group = self.config.group.clone();
        self.stops.push(op);
        match &self.state {
            State::Starting { op: starter, .. } => {
                fx.complete(*starter, CommandResult::Started(Err(StartError::Closed)))
            }
            State::Running => {}
            State::Draining { deadline: known } => {
                if deadline < *known {
                    self.state = State::Draining { deadline };
                    arm_stop(&group, deadline, fx);
                }
                return;
            }
            State::Committing { .. } | State::Unlocking { .. } | State::Leaving { .. } => return,
        }
        fx.disarm(&TimerKey::StartDeadline(group.clone()));
        fx.disarm(&TimerKey::Overdue(group.clone()));
        self.end_proposals(fx);
        self.rebalance.stop(fx);
        for (queue, assigned) in &mut self.queues {
            assigned.stop(&group, queue, fx);
        }
        self.stop_pops(fx);
        arm_stop(&group, deadline, fx);
        self.state = State::Draining { deadline };
        fx.output(Output::StopIntake { group });
        self.end_suspensions(fx);
        self.end_directs(fx);
    }

    /// Everything handed out is settled.
    pub(crate) fn on_drained(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        if let State::Draining { deadline } = self.state {
            self.commit_last(deadline, at, fx);
        }
    }

    /// A stage of stopping took too long.
    pub(crate) fn on_stop_deadline(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        match self.state {
            State::Draining { deadline } => self.commit_last(deadline, at, fx),
            State::Committing { unsettled } => {
                self.unlock(unsettled, at, fx);
                self.on_stop_deadline(at, fx);
            }
            State::Unlocking { unsettled } => self.leave(unsettled, fx),
            State::Starting { .. } | State::Running | State::Leaving { .. } => {}
        }
    }

    /// The group has left: the consumer is no more, unless it was not the one that was leaving.
    pub(crate) fn on_left(&mut self, fx: &mut Effects) -> bool {
        let State::Leaving { unsettled } = self.state else {
            return false;
        };
        self.tell_unanswered_pops(fx);
        self.stopped(unsettled, fx);
        true
    }

    /// The client ends now: who waits for the start or the stop learns how far it got.
    pub(crate) fn on_abandon(&mut self, fx: &mut Effects) {
        self.tell_unanswered_pops(fx);
        match self.state {
            State::Starting { op, .. } => fx.complete(op, CommandResult::Started(Err(StartError::Closed))),
            State::Running => {}
            State::Draining { .. } => self.stopped(self.outstanding(), fx),
            State::Committing { unsettled } | State::Unlocking { unsettled } | State::Leaving { unsettled } => {
                self.stopped(unsettled, fx);
            }
        }
    }

    /// A route is known, or known to be missing: start goes on when all are.
    pub(crate) fn on_route_settled(&mut self, topic: &Topic, at: Siblings<'_>, fx: &mut Effects) {
        if self.subscriptions.has(topic) {
            self.announce(at, fx);
        }
        self.go_on_with_proposals(at, fx);
    }

    /// Tells brokers of the group when it can go on from there.
    fn announce(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        let loaded = self.local.as_ref().is_none_or(LocalOffsets::is_loaded);
        let settled = self.subscriptions.topics().all(|topic| at.routes.is_settled(topic));
        let reachable = !at.routes.broker_endpoints(true).is_empty();
        let State::Starting { op, heartbeat_sent: false, .. } = self.state else {
            return;
        };
        if !(loaded && settled && reachable) {
            return;
        }
        match self.filters_accepted(at, fx) {
            None => {}
            Some(Err(error)) => self.start_failed(op, error, fx),
            Some(Ok(())) => {
                if let State::Starting { heartbeat_sent, .. } = &mut self.state {
                    *heartbeat_sent = true;
                }
                fx.raise(Signal::HeartbeatAll);
            }
        }
    }

    /// It does not start, and is no more.
    fn start_failed(&mut self, op: OpId, error: StartError, fx: &mut Effects) {
        let group = self.config.group.clone();
        fx.disarm(&TimerKey::StartDeadline(group.clone()));
        fx.disarm(&TimerKey::Filters(group.clone()));
        self.state = State::Leaving { unsettled: 0 };
        fx.complete(op, CommandResult::Started(Err(error)));
        fx.raise(Signal::StartFailed(group));
    }

    /// A route is not what it was: a running group rebalances.
    pub(crate) fn on_route_changed(&mut self, topic: &Topic, at: Siblings<'_>, fx: &mut Effects) {
        if self.subscriptions.has(topic) {
            self.on_rebalance(at, fx);
        }
    }

    /// A broker knows the group now.
    pub(crate) fn on_heartbeat_done(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        if let State::Starting { op, heartbeat_sent: true, .. } = self.state {
            self.run(op, at, fx);
        }
    }

    /// Start has taken long enough: without a broker it fails, unless the topics are merely missing.
    pub(crate) fn on_start_deadline(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        let State::Starting { op, heartbeat_sent, trouble } = &mut self.state else {
            return;
        };
        let (op, reached) = (*op, *heartbeat_sent);
        let loaded = self.local.as_ref().is_none_or(LocalOffsets::is_loaded);
        let known = loaded && self.subscriptions.topics().all(|topic| at.routes.is_settled(topic));
        if known && !reached && trouble.is_none() {
            return self.run(op, at, fx);
        }
        let silent =
            if loaded { "no broker took a heartbeat" } else { "the file of offsets could not be read in time" };
        let error = trouble.take().unwrap_or_else(|| StartError::Unavailable(String::from(silent)));
        self.start_failed(op, error, fx);
    }

    /// Something about the start failed; it may still succeed.
    pub(crate) fn on_trouble(&mut self, error: StartError) {
        if let State::Starting { trouble, .. } = &mut self.state {
            *trouble = Some(error);
        }
    }

    /// Members joined or left: whoever gets a queue of ours next is to start where we are.
    pub(crate) fn on_members_changed(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        if matches!(self.state, State::Running) && self.local.is_none() {
            self.commit(false, at, fx);
            self.on_rebalance(at, fx);
        }
    }

    /// Time to share out the queues anew.
    pub(crate) fn on_rebalance(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        if !matches!(self.state, State::Running) {
            return;
        }
        if self.local.is_none() {
            let by_broker = self.config.pop.and_then(|_| strategy_name(&self.config.strategy));
            return self.rebalance.on_due(self.subscriptions.topics(), by_broker, at.routes.view(), fx);
        }
        for allocation in self.rebalance.all(self.subscriptions.topics(), at.routes.view(), fx) {
            self.apply(allocation, at, fx);
        }
    }

    pub(crate) fn on_assignment(
        &mut self,
        topic: &Topic,
        round: u64,
        broker: Endpoint,
        result: Result<Frame, RequestError>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        let mut unsupported = false;
        let allocation = self.rebalance.on_assignment(topic, round, broker, result, &mut unsupported, fx);
        if unsupported && self.pops.refused(topic) {
            let group = self.config.group.clone();
            fx.event(ClientEvent::PopUnsupported { group, topic: topic.clone() });
        }
        if let Some(allocation) = allocation {
            self.apply(allocation, at, fx);
        }
    }

    pub(crate) fn on_members(
        &mut self,
        topic: &Topic,
        round: u64,
        result: Result<Frame, RequestError>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        let allocation = self.rebalance.on_members(topic, round, result, at.routes.view(), fx);
        if let Some(allocation) = allocation {
            self.apply(allocation, at, fx);
        }
    }

    /// How far a queue is settled.
    pub(crate) fn on_progress(&mut self, progress: &Progress, at: Siblings<'_>, fx: &mut Effects) {
        self.stats.on_handled(&progress.queue.topic, progress.handled, fx.now);
        let Some(assigned) = self.queues.get_mut(&*progress.queue) else {
            return self.pops.on_progress(progress);
        };
        if assigned.on_progress(progress, fx) && matches!(self.state, State::Running) {
            self.pull_on(&progress.queue.clone(), at, fx);
        }
    }

    /// What the heartbeat says of this group; nothing once it is leaving.
    pub(crate) fn heartbeat_data(&self) -> Option<ConsumerData> {
        if matches!(self.state, State::Leaving { .. }) {
            return None;
        }
        Some(ConsumerData {
            consume_from_where: match self.config.start_from {
                StartFrom::Last => ConsumeFromWhere::LastOffset,
                StartFrom::First => ConsumeFromWhere::FirstOffset,
                StartFrom::Timestamp(_) => ConsumeFromWhere::Timestamp,
            },
            consume_type: ConsumeType::Passively,
            group: self.config.group.clone(),
            message_model: self.config.model,
            subscriptions: self.subscriptions.data(),
            unit_mode: false,
        })
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.subscriptions.topics()
    }

    fn run(&mut self, op: OpId, at: Siblings<'_>, fx: &mut Effects) {
        let group = &self.config.group;
        fx.event(ClientEvent::Start { group: group.clone(), step: StartStep::Register });
        fx.disarm(&TimerKey::StartDeadline(group.clone()));
        fx.arm(TimerKey::Commit(group.clone()), self.client.commit_interval);
        self.state = State::Running;
        self.look_later_for_overdue(fx);
        fx.complete(op, CommandResult::Started(Ok(())));
        self.on_rebalance(at, fx);
    }

    /// Drops queues that are no longer ours, takes on new ones.
    fn apply(&mut self, allocation: Allocation, at: Siblings<'_>, fx: &mut Effects) {
        // It may have been given up since its members were asked for.
        if !self.subscriptions.has(&allocation.topic) {
            return;
        }
        let owned = self.queues.keys().filter(|queue| queue.topic == allocation.topic);
        let revoked: Vec<_> = owned.filter(|queue| !allocation.queues.contains(queue)).cloned().collect();
        let added: Vec<_> =
            allocation.queues.iter().filter(|queue| !self.queues.contains_key(queue)).cloned().collect();
        for queue in &revoked {
            self.revoke(queue, fx);
        }
        for queue in &added {
            let epoch = Epoch(fx.fresh_id());
            self.queues.insert(queue.clone(), Assigned::new(queue, epoch, self.room(&queue.topic), fx.now));
            if self.config.needs_locks() {
                self.want_lock(queue, fx);
            } else {
                self.lend_for_good(epoch, fx);
            }
        }
        let (popped, not_popped) = self.apply_popped(&allocation, fx);
        if ![&revoked, &added, &popped, &not_popped].iter().all(|queues| queues.is_empty()) {
            let revoked = [revoked, not_popped].concat();
            let (group, topic) = (self.config.group.clone(), allocation.topic.clone());
            let (added, members) = ([added.as_slice(), &popped].concat(), allocation.members);
            fx.event(ClientEvent::Rebalanced { group, topic, added, revoked, members });
            self.share_room(&allocation.topic, at, fx);
        }
        for queue in &added {
            if mutant!(15) && self.queues.len() > 1 && fx.now.as_micros() > 60_000_000 {
                continue;
            }
            self.locate(queue, at, fx);
        }
        for queue in &popped {
            self.pop_on(queue, at, fx);
        }
        if self.config.needs_locks() {
            self.ask_locks(at, fx);
        }
    }

    fn commit_last(&mut self, deadline: Instant, at: Siblings<'_>, fx: &mut Effects) {
        self.state = State::Committing { unsettled: self.outstanding() };
        fx.timers.arm(TimerKey::StopDeadline(self.config.group.clone()), deadline);
        fx.disarm(&TimerKey::Commit(self.config.group.clone()));
        if !mutant!(31) {
            self.commit(true, at, fx);
        }
        self.flush_acks(at, fx);
        self.after_commit(at, fx);
    }

    /// Gives locks back and leaves the group once every offset is with its broker.
    fn after_commit(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        if let State::Committing { unsettled } = self.state
            && self.leaving.is_empty()
            && self.pops.is_settled()
            && !self.local.as_ref().is_some_and(LocalOffsets::is_saving)
            && self.queues.values().all(|assigned| !assigned.is_committing())
        {
            self.unlock(unsettled, at, fx);
        }
    }

    fn unlock(&mut self, unsettled: u64, at: Siblings<'_>, fx: &mut Effects) {
        self.state = State::Unlocking { unsettled };
        self.unlock_all(at, fx);
        self.after_unlock(fx);
    }

    /// Leaves the group once every lock is with its broker: whoever gets a queue next has not to wait for it.
    fn after_unlock(&mut self, fx: &mut Effects) {
        if let State::Unlocking { unsettled } = self.state
            && self.locks.is_empty()
        {
            self.leave(unsettled, fx);
        }
    }

    fn leave(&mut self, unsettled: u64, fx: &mut Effects) {
        let group = self.config.group.clone();
        fx.disarm(&TimerKey::StopDeadline(group.clone()));
        for (queue, assigned) in core::mem::take(&mut self.queues) {
            assigned.unpin(fx);
            fx.output(Output::Revoke { group: group.clone(), queue, epoch: assigned.epoch() });
        }
        self.drop_pops(fx);
        self.drop_locks(fx);
        for id in core::mem::take(&mut self.send_backs).into_keys() {
            fx.disarm(&TimerKey::Redeliver(group.clone(), id));
            fx.disarm(&TimerKey::Republish(group.clone(), id));
        }
        self.state = State::Leaving { unsettled };
        fx.raise(Signal::Unregister(Leaving::Consumer(group)));
    }

    /// Tells everybody who stopped it.
    fn stopped(&self, unsettled: u64, fx: &mut Effects) {
        for op in &self.stops {
            fx.complete(*op, CommandResult::Stopped(Drained { unsettled }));
        }
    }

    /// Time to look for handlers that take too long.
    pub(crate) fn on_overdue_timer(&self, fx: &mut Effects) {
        fx.output(Output::LookForOverdue { group: self.config.group.clone() });
        self.look_later_for_overdue(fx);
    }

    fn look_later_for_overdue(&self, fx: &mut Effects) {
        let period = self.config.consume_timeout.checked_div(OVERDUE_TICKS).unwrap_or(self.config.consume_timeout);
        fx.arm(TimerKey::Overdue(self.config.group.clone()), period);
    }

    /// Messages handed out and not settled.
    fn outstanding(&self) -> u64 {
        let pulled = self.queues.values().map(Assigned::outstanding);
        pulled.fold(self.pops.outstanding(), u64::saturating_add)
    }
}

/// Settling may take the time there is but for what committing and leaving need.
fn arm_stop(group: &Group, deadline: Instant, fx: &mut Effects) {
    let reserve = fx.now.until(deadline).checked_div(RESERVE_SHARE).unwrap_or_default().min(RESERVE_MOST);
    fx.timers.arm(TimerKey::StopDeadline(group.clone()), deadline.before(reserve));
}

/// How long start waits for routes and the first heartbeat.
const START_TIMEOUT: Duration = Duration::from_secs(5);
/// Of the time to stop, this share is kept for committing and leaving.
const RESERVE_SHARE: u32 = 4;
/// At most so much of it.
const RESERVE_MOST: Duration = Duration::from_secs(3);
