//! One assigned queue: from finding where to start, through its pulls, to its end.
//!
//! There is no pull token that could be lost: the phase of a queue says what will happen to it next, and every
//! phase but a throttled or stopped one has exactly one request or timer under way.

#[cfg(test)]
mod check;
mod snapshot;
mod start;

use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;

use bytes::Bytes;

use super::commit::LastOffsets;
use super::pull::{PullContext, Pulled};
use super::replica::Replica;
use super::room::Room;
use super::{Consumer, Siblings, State};
use crate::client::signal::{ReplyTo, Signal};
use crate::client::stats::QueueStats;
use crate::client::view::MASTER_ID;
use crate::client::{ClientEvent, Output, StartReason};
use crate::dispatch::Progress;
use crate::effects::Effects;
use crate::error::RequestError;
use crate::ids::{BrokerName, Endpoint, Epoch, Group, MessageQueue, QueueOffset};
use crate::mutants::mutant;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::wire::codes::response;
use crate::wire::message::RecordLimits;
use crate::wire::request::{PullMessage, Request};

/// One queue this member owns.
#[derive(Debug)]
pub(super) struct Assigned {
    queue: Arc<MessageQueue>,
    epoch: Epoch,
    phase: Phase,
    room: Room,
    next: QueueOffset,
    settled_to: Option<QueueOffset>,
    committed: Option<QueueOffset>,
    committing: bool,
    delivered: u64,
    settled: u64,
    delivered_bytes: u64,
    released_bytes: u64,
    outstanding: u64,
    replica: Replica,
    /// A slave told where it starts: nothing is committed before the master has told how far it was consumed.
    unsure: bool,
    /// Pulls in a row that came back at once with nothing.
    quick: u32,
    /// The end of the queue, as the last pull told it.
    end: Option<QueueOffset>,
    pulled_at: Option<Instant>,
    consumed_at: Option<Instant>,
    /// What is below was pulled before the link to the master broke.
    broken_at: QueueOffset,
    /// When it became ours, or went on elsewhere.
    since: Instant,
    start: Option<(QueueOffset, StartReason)>,
    /// The last pull that failed: when, and why, without a broker's words.
    failure: Option<(Instant, String)>,
}

/// What happens to a queue next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Orderly: its lock is not ours, or a handler of an earlier assignment still runs.
    Locking,
    /// The broker is being asked where to start.
    Locating,
    /// This pull is under way since then, at the master or a slave.
    Pulling { asked: u64, since: Instant, from_slave: bool },
    /// A timer pulls, or asks again where to start.
    Waiting,
    /// Enough is cached: progress pulls on.
    Throttled,
    /// The consumer is suspended: its resumption pulls on.
    Suspended,
    /// The consumer is stopping.
    Stopped,
}

impl Assigned {
    pub(super) fn new(queue: &MessageQueue, epoch: Epoch, room: Room, now: Instant) -> Self {
        Self {
            queue: Arc::new(queue.clone()),
            epoch,
            phase: Phase::Locating,
            room,
            next: QueueOffset::ZERO,
            settled_to: None,
            committed: None,
            committing: false,
            delivered: 0,
            settled: 0,
            delivered_bytes: 0,
            released_bytes: 0,
            outstanding: 0,
            replica: Replica::new(),
            unsure: false,
            quick: 0,
            end: None,
            pulled_at: None,
            consumed_at: None,
            broken_at: QueueOffset::ZERO,
            since: now,
            start: None,
            failure: None,
        }
    }

    pub(super) fn stop(&mut self, group: &Group, queue: &MessageQueue, fx: &mut Effects) {
        self.phase = Phase::Stopped;
        fx.disarm(&TimerKey::Queue(group.clone(), queue.clone(), self.epoch));
    }

    pub(super) fn is_unsure(&self) -> bool {
        self.unsure
    }

    pub(super) fn be_sure(&mut self) {
        self.unsure = false;
    }

    /// Takes in progress; whether a throttled queue should look again.
    pub(super) fn on_progress(&mut self, progress: &Progress, fx: &mut Effects) -> bool {
        if progress.epoch != self.epoch {
            return false;
        }
        self.settled_to = self.settled_to.max(Some(progress.settled_to));
        self.settled = progress.settled;
        let released = progress.released_bytes.saturating_sub(self.released_bytes);
        fx.pinned = fx.pinned.saturating_sub(released);
        self.released_bytes = progress.released_bytes;
        self.outstanding = progress.outstanding;
        if progress.handled.count() > 0 {
            self.consumed_at = Some(fx.now);
        }
        self.phase == Phase::Throttled && !mutant!(16)
    }

    /// Gives it more room or less; whether a throttled queue should look again.
    pub(super) fn resize(&mut self, room: Room) -> bool {
        core::mem::replace(&mut self.room, room) != room && self.phase == Phase::Throttled
    }

    /// The offset to commit, when it is ahead of what was committed, or in any case, and no commit is under way.
    pub(super) fn to_commit(&self, in_any_case: bool) -> Option<QueueOffset> {
        let settled = self.settled_to?;
        let ahead = self.committed.is_none_or(|committed| committed < settled);
        ((ahead || in_any_case) && !self.committing).then_some(settled)
    }

    pub(super) fn on_committing(&mut self) {
        self.committing = true;
    }

    pub(super) fn on_committed(&mut self, offset: Option<QueueOffset>) {
        self.committing = false;
        self.committed = self.committed.max(offset);
    }

    pub(super) fn is_committing(&self) -> bool {
        self.committing
    }

    /// Everything below is settled, once it is known where the queue starts.
    pub(super) fn settled_to(&self) -> Option<QueueOffset> {
        self.settled_to
    }

    /// What a mistaken client does to a queue that is moved: what is in handlers goes on counting.
    pub(super) fn rewind(&mut self, to: QueueOffset) {
        (self.next, self.settled_to, self.committed) = (to, Some(to), None);
    }

    /// The next offset to pull.
    pub(super) fn next_to_pull(&self) -> QueueOffset {
        self.next
    }

    /// When it was last pulled, and when messages of it were last consumed.
    pub(super) fn last_times(&self) -> (Option<Instant>, Option<Instant>) {
        (self.pulled_at, self.consumed_at)
    }

    pub(super) fn stats(&self) -> QueueStats {
        QueueStats {
            consumed_to: self.settled_to,
            committed: self.committed,
            end: self.end,
            cached: self.cached(),
            cached_bytes: self.pinned(),
        }
    }

    /// The link to the master broke, or is a new one.
    pub(super) fn note_break(&mut self) {
        self.broken_at = self.next;
    }

    /// Whether a message of this assignment was pulled before that.
    pub(super) fn is_from_before_the_break(&self, epoch: Epoch, offset: QueueOffset) -> bool {
        epoch == self.epoch && offset < self.broken_at
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// What the queue pins is let go with it.
    pub(super) fn unpin(&self, fx: &mut Effects) {
        fx.pinned = fx.pinned.saturating_sub(self.pinned());
    }

    fn pinned(&self) -> u64 {
        self.delivered_bytes.saturating_sub(self.released_bytes)
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.phase == Phase::Suspended
    }

    fn cached(&self) -> u64 {
        self.delivered.saturating_sub(self.settled)
    }

    fn is_full(&self) -> bool {
        self.cached() > self.room.messages || self.pinned() > self.room.bytes
    }
}

impl Consumer {
    /// The timer of a queue: goes on where it was.
    pub(crate) fn on_queue_timer(&mut self, queue: &MessageQueue, epoch: Epoch, at: Siblings<'_>, fx: &mut Effects) {
        if self.pops.has(queue, epoch) {
            return self.on_pop_timer(queue, at, fx);
        }
        match self.queues.get(queue) {
            Some(assigned) if assigned.epoch == epoch && assigned.phase == Phase::Waiting => {
                if assigned.settled_to.is_none() {
                    self.locate(queue, at, fx);
                } else {
                    self.pull_on(queue, at, fx);
                }
            }
            Some(_) | None => {}
        }
    }

    /// The answer of a pull.
    pub(crate) fn on_pulled(
        &mut self,
        queue: &MessageQueue,
        epoch: Epoch,
        asked: u64,
        result: Result<Pulled, RequestError>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        if self.pops.has(queue, epoch) || matches!(result, Ok(Pulled::Popped { .. })) {
            return self.on_popped(queue, epoch, asked, result, at, fx);
        }
        let Some(assigned) = self.queues.get_mut(queue) else {
            return;
        };
        let (since, from_slave) = match assigned.phase {
            // By an expression that has changed since: it may lack what is wanted now.
            Phase::Pulling { asked: known, .. } if known != asked && !mutant!(3) => return,
            Phase::Pulling { since, from_slave, .. } => (since, from_slave),
            _ if mutant!(3) && assigned.settled_to.is_some() => (fx.now, false),
            Phase::Locking
            | Phase::Locating
            | Phase::Waiting
            | Phase::Throttled
            | Phase::Suspended
            | Phase::Stopped => return,
        };
        if assigned.epoch != epoch && !mutant!(3) {
            return;
        }
        match result {
            Ok(Pulled::Batch { batch, suggested, end }) => {
                assigned.replica.suggest(suggested);
                assigned.end = end;
                assigned.quick = 0;
                assigned.next = batch.to;
                let count = u64::try_from(batch.items.len()).unwrap_or(u64::MAX);
                if count > 0 {
                    self.stats.on_pulled(&queue.topic, count, fx.now.since(since), fx.now);
                }
                assigned.delivered = assigned.delivered.saturating_add(count);
                assigned.delivered_bytes = assigned.delivered_bytes.saturating_add(batch.bytes());
                fx.pinned = fx.pinned.saturating_add(batch.bytes());
                fx.output(Output::Deliver { group: self.config.group.clone(), batch });
                if count > 0 && !self.config.pull_interval.is_zero() {
                    self.wait(queue, self.config.pull_interval, fx);
                } else {
                    self.pull_on(queue, at, fx);
                }
            }
            // A pull is answered with no such thing.
            Ok(Pulled::Popped { .. }) => self.wait(queue, ERROR_PAUSE, fx),
            Ok(Pulled::Nothing { .. } | Pulled::OffsetIllegal { .. }) if from_slave => {
                // It lags behind, and may know less of the queue than we do: the master's word counts. One that held the
                // pull for long has waited already.
                assigned.replica.give_up();
                let held = fx.now.since(since) >= HELD_AT_LEAST;
                if at.routes.view().master(&queue.broker).is_some() || held || mutant!(151) {
                    self.pull_on(queue, at, fx);
                } else {
                    self.wait(queue, ERROR_PAUSE, fx);
                }
            }
            Ok(Pulled::Nothing { suggested, end }) => {
                assigned.replica.suggest(suggested);
                assigned.end = end;
                // A broker holds a pull that finds nothing; one that does not is asked less and less often.
                let held = fx.now.since(since) >= HELD_AT_LEAST;
                assigned.quick = if held { 0 } else { assigned.quick.saturating_add(1) };
                let pause = QUICK_PAUSE.saturating_mul(assigned.quick.saturating_sub(1)).min(ERROR_PAUSE);
                if pause.is_zero() { self.pull_on(queue, at, fx) } else { self.wait(queue, pause, fx) }
            }
            Ok(Pulled::OffsetIllegal { next, min, max }) => self.on_offset_illegal(queue, next, (min, max), at, fx),
            Ok(Pulled::Refused { code, remark }) => {
                if from_slave {
                    assigned.replica.give_up();
                }
                self.pull_failed(queue, alloc::format!("broker answered {code}"), &remark, fx);
                self.wait(queue, after_refusal(queue, code, fx), fx);
            }
            Ok(Pulled::Malformed(error)) => {
                self.pull_failed(queue, alloc::format!("{error}"), "", fx);
                self.wait(queue, ERROR_PAUSE, fx);
            }
            Err(error) => {
                if from_slave {
                    assigned.replica.give_up();
                }
                self.pull_failed(queue, alloc::format!("{error}"), "", fx);
                self.wait(queue, ERROR_PAUSE, fx);
            }
        }
    }

    /// Pulls, unless enough is cached.
    pub(super) fn pull_on(&mut self, queue: &MessageQueue, at: Siblings<'_>, fx: &mut Effects) {
        if !matches!(self.state, State::Running) {
            return;
        }
        let open = self.is_open(queue, fx.now);
        let filterable = self.is_filterable(queue, at, fx);
        let config = &self.config;
        let Some(assigned) = self.queues.get_mut(queue) else {
            return;
        };
        if !open {
            assigned.phase = Phase::Locking;
            return;
        }
        if self.suspended && !mutant!(82) {
            assigned.phase = Phase::Suspended;
            return;
        }
        if assigned.is_full() && !mutant!(25) {
            assigned.phase = Phase::Throttled;
            return assigned.room.ask(&config.group, assigned.epoch, fx);
        }
        let settled = assigned.settled_to.unwrap_or(assigned.next);
        let span = assigned.next.get().saturating_sub(settled.get());
        let wide = span > u64::from(config.queue_span) && !config.is_orderly();
        // A queue that has nothing in hand could not get room by itself: what fills the cache may be another consumer's,
        // and nobody may be taking that.
        let crowded = fx.pinned > self.client.cache_bytes && assigned.pinned() > 0;
        if wide || (crowded && !mutant!(81)) {
            return self.wait(queue, THROTTLE_PAUSE, fx);
        }
        let broker = at.routes.view().brokers.get(&queue.broker);
        let to = broker.and_then(|broker| assigned.replica.choose(config.read_from, broker));
        let (Some((id, to)), Some(subscription)) = (to, self.subscriptions.get(&queue.topic)) else {
            fx.raise(Signal::RefreshRoute(queue.topic.clone()));
            return self.wait(queue, NO_BROKER_PAUSE, fx);
        };
        if !filterable {
            return self.wait(queue, NO_FILTER_PAUSE, fx);
        }
        let (asked, from_slave) = (fx.fresh_id(), id != MASTER_ID);
        if assigned.replica.asked(id) {
            fx.event(ClientEvent::ReadFrom { group: config.group.clone(), queue: queue.clone(), replica: id });
        }
        let in_header = config.filter_in_pulls;
        let request = PullMessage {
            group: config.group.clone(),
            topic: queue.topic.clone(),
            queue_id: queue.id,
            queue_offset: assigned.next,
            max_messages: i32::try_from(config.pull_batch).unwrap_or(i32::MAX),
            // Java lets pulls carry the offset to commit. A broker handles pulls and commits on different threads and
            // stores whatever comes last, so such an offset can undo a later commit: ours go one at a time instead.
            sys_flag: PullMessage::SUSPEND | if in_header { PullMessage::SUBSCRIPTION } else { 0 },
            commit_offset: 0,
            suspend_millis: SUSPEND_MILLIS,
            subscription: in_header.then(|| subscription.sub_string.clone()),
            sub_version: subscription.sub_version,
            expression_type: Some(subscription.expression_type.name().into()),
            max_bytes: Some(i32::try_from(config.pull_batch_bytes).unwrap_or(i32::MAX)),
            broker: Some(queue.broker.clone()),
        };
        let context = PullContext {
            group: config.group.clone(),
            queue: assigned.queue.clone(),
            epoch: assigned.epoch,
            from: assigned.next,
            from_slave,
            subscription: subscription.clone(),
            limits: RecordLimits::for_pull(config.pull_batch),
            pop: None,
        };
        let reply_to =
            ReplyTo::Pull { group: config.group.clone(), queue: queue.clone(), epoch: assigned.epoch, asked };
        assigned.phase = Phase::Pulling { asked, since: fx.now, from_slave };
        assigned.pulled_at = Some(fx.now);
        let frame = request.encode(self.client.codec, Bytes::new());
        fx.request_by(to.clone(), frame, fx.now.after(PULL_TIMEOUT), reply_to, Some(Arc::new(context)));
    }

    /// What is wanted of the queue has changed: a pull under way counts for nothing, and another takes its place.
    pub(super) fn pull_anew(&mut self, queue: &MessageQueue, at: Siblings<'_>, fx: &mut Effects) {
        let pulling = |assigned: &Assigned| matches!(assigned.phase, Phase::Pulling { .. });
        if self.queues.get(queue).is_some_and(pulling) {
            self.pull_on(queue, at, fx);
        }
    }

    /// Gives up a queue: nothing of it is handed out any more, its offset is committed once it is known.
    pub(super) fn revoke(&mut self, queue: &MessageQueue, fx: &mut Effects) {
        if let Some(mut assigned) = self.queues.remove(queue) {
            let group = self.config.group.clone();
            assigned.stop(&group, queue, fx);
            assigned.unpin(fx);
            self.drop_send_backs(queue, assigned.epoch, fx);
            self.leave_lock(queue, assigned.epoch);
            let last =
                LastOffsets { settled_to: assigned.settled_to, committed: assigned.committed, unsure: assigned.unsure };
            self.leaving.insert((queue.clone(), assigned.epoch), last);
            fx.output(Output::Revoke { group, queue: queue.clone(), epoch: assigned.epoch });
        }
    }

    /// The broker says the offset is outside the queue, or was reset: go on where it says, as a new assignment.
    fn on_offset_illegal(
        &mut self,
        queue: &MessageQueue,
        next: QueueOffset,
        bounds: (i64, i64),
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        let Some(assigned) = self.queues.get_mut(queue) else {
            return;
        };
        if next == assigned.next {
            return self.wait(queue, ERROR_PAUSE, fx);
        }
        let next = if mutant!(5) { QueueOffset::ZERO } else { next };
        let (asked, group) = (assigned.next, self.config.group.clone());
        let (min, max) = bounds;
        fx.event(ClientEvent::OffsetIllegal { group, queue: queue.clone(), asked, next, min, max });
        self.restart_at(queue, Some((next, StartReason::OutOfRange)), fx);
        self.commit(false, at, fx);
        self.pull_on(queue, at, fx);
    }

    /// Goes on elsewhere in a queue, or from what is stored, as a new assignment: what was pulled under the old one counts
    /// no more.
    pub(super) fn restart_at(
        &mut self,
        queue: &MessageQueue,
        start: Option<(QueueOffset, StartReason)>,
        fx: &mut Effects,
    ) {
        let Some(mut assigned) = self.queues.remove(queue) else {
            return;
        };
        let (group, old) = (self.config.group.clone(), assigned.epoch);
        assigned.stop(&group, queue, fx);
        assigned.unpin(fx);
        self.drop_send_backs(queue, old, fx);
        self.leave_lock(queue, old);
        self.withdraw_commit(queue);
        fx.output(Output::Revoke { group, queue: queue.clone(), epoch: old });
        let epoch = Epoch(fx.fresh_id());
        let running = matches!(self.state, State::Running);
        let phase = if running { Phase::Locking } else { Phase::Stopped };
        let next = start.map(|(next, _)| next);
        let new = Assigned::new(queue, epoch, assigned.room, fx.now);
        let mut fresh = Assigned { phase, settled_to: next, start, ..new };
        if let Some(next) = next {
            fresh.next = next;
        }
        self.queues.insert(queue.clone(), fresh);
        self.lend_for_good(epoch, fx);
    }

    /// The broker has a later offset than ours, which another member got to: a queue goes on from there.
    pub(super) fn follow(&mut self, queue: &MessageQueue, stored: QueueOffset, fx: &mut Effects) {
        let (group, reason) = (self.config.group.clone(), StartReason::Stored);
        fx.event(ClientEvent::StartPosition { group, queue: queue.clone(), offset: stored, reason });
        self.restart_at(queue, Some((stored, reason)), fx);
    }

    /// `said` is what the broker said.
    fn pull_failed(&mut self, queue: &MessageQueue, why: String, said: &str, fx: &mut Effects) {
        if let Some(assigned) = self.queues.get_mut(queue) {
            assigned.failure = Some((fx.now, why.clone()));
        }
        let why = if said.is_empty() { why } else { alloc::format!("{why}: {said}") };
        fx.event(ClientEvent::PullFailed { group: self.config.group.clone(), queue: queue.clone(), why });
    }

    fn wait(&mut self, queue: &MessageQueue, pause: Duration, fx: &mut Effects) {
        if let Some(assigned) = self.queues.get_mut(queue)
            && assigned.phase != Phase::Stopped
        {
            assigned.phase = Phase::Waiting;
            fx.arm(TimerKey::Queue(self.config.group.clone(), queue.clone(), assigned.epoch), pause);
        }
    }
}

/// The address to read from at a broker.
pub(super) fn readable(broker: &BrokerName, wanted: i64, at: Siblings<'_>) -> Option<(i64, Endpoint)> {
    let broker = at.routes.view().brokers.get(broker)?;
    broker.readable(wanted).map(|(id, endpoint)| (id, endpoint.clone()))
}

/// Sees to what a broker lacks that refused to give messages of a queue; how long to wait before it is asked again.
pub(super) fn after_refusal(queue: &MessageQueue, code: i32, fx: &mut Effects) -> Duration {
    match code {
        response::SUBSCRIPTION_NOT_EXIST
        | response::SUBSCRIPTION_NOT_LATEST
        | response::SUBSCRIPTION_GROUP_NOT_EXIST => fx.raise(Signal::HeartbeatAll),
        response::TOPIC_NOT_EXIST | response::NO_PERMISSION | response::INVALID_PARAMETER => {
            fx.raise(Signal::RefreshRoute(queue.topic.clone()));
        }
        _ => {}
    }
    if code == response::FLOW_CONTROL { FLOW_CONTROL_PAUSE } else { ERROR_PAUSE }
}

/// How long a broker may hold a pull. Java `BROKER_SUSPEND_MAX_TIME_MILLIS`.
const SUSPEND_MILLIS: i64 = 15_000;
/// How long a pull may take: a broker notices the end of the hold up to 5 s late. Java
/// `CONSUMER_TIMEOUT_MILLIS_WHEN_SUSPEND`.
const PULL_TIMEOUT: Duration = Duration::from_secs(30);
/// Queries of offsets. Java: 5 s.
const OFFSET_TIMEOUT: Duration = Duration::from_secs(5);
/// After an error. Java `pullTimeDelayMillsWhenException`.
pub(super) const ERROR_PAUSE: Duration = Duration::from_secs(1);
/// After code 215. Java `PULL_TIME_DELAY_MILLS_WHEN_BROKER_FLOW_CONTROL`.
const FLOW_CONTROL_PAUSE: Duration = Duration::from_millis(20);
/// While too wide a span is unsettled, or the client's cache is full. Java
/// `PULL_TIME_DELAY_MILLS_WHEN_CACHE_FLOW_CONTROL`.
pub(super) const THROTTLE_PAUSE: Duration = Duration::from_millis(50);
/// While the broker has not said that it can filter as wanted.
pub(super) const NO_FILTER_PAUSE: Duration = Duration::from_millis(200);
/// While no address of the broker is known.
pub(super) const NO_BROKER_PAUSE: Duration = Duration::from_secs(1);
/// A pull answered with nothing sooner than this was not held.
pub(super) const HELD_AT_LEAST: Duration = Duration::from_millis(100);
/// What each unheld empty pull in a row adds to the pause before the next.
pub(super) const QUICK_PAUSE: Duration = Duration::from_millis(50);
