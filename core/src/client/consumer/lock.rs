//! The locks of an orderly group's queues: asked for before a queue is touched, renewed while it is ours, given back
//! when its last handler has ended and its last offset is stored.
//!
//! A lock belongs to the client, not to an assignment: a queue that comes back finds it as it was left.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{Consumer, Siblings, State};
use crate::client::signal::ReplyTo;
use crate::client::snapshot::{LockPhase, LockSnapshot, millis};
use crate::client::{ClientEvent, Output};
use crate::effects::Effects;
use crate::error::RequestError;
use crate::ids::{BrokerName, Endpoint, Epoch, MessageQueue, QueueOffset};
use crate::mutants::mutant;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::wire::Frame;
use crate::wire::body::{LockQueues, LockedQueues};
use crate::wire::codes::response;
use crate::wire::request::{Fields, LockBatchMq, QueryConsumerOffsetResponse, Request, UnlockBatchMq};

/// The locks of a group, by queue; none when it is not orderly.
#[derive(Debug, Default)]
pub(super) struct Locks(BTreeMap<MessageQueue, Lock>);

#[derive(Debug)]
struct Lock {
    state: LockState,
    /// When it is asked for, renewed or given back next.
    due: Instant,
    /// The request under way.
    asked: Option<u64>,
    /// Refusals and silences in a row.
    failures: u32,
    /// The broker was asked and said nothing: it may have locked the queue all the same.
    unsure: bool,
    /// An assignment that was given up, until its handler has ended and its last offset is stored.
    leaving: Option<Leaving>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LockState {
    /// Another member may have it; `lost` when it was ours, so that the queue may have been consumed meanwhile.
    Wanted { lost: bool },
    /// It is ours again, and the broker is asked how far the queue was consumed meanwhile.
    Checking { until: Instant },
    /// It is ours.
    Held { until: Instant },
    /// It is being given back.
    Unlocking,
}

#[derive(Clone, Copy, Debug)]
struct Leaving {
    epoch: Epoch,
    /// Whether a handler runs; not known before the assignment is revoked.
    busy: Option<bool>,
}

impl Locks {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn asked(&mut self, queue: &MessageQueue, asked: u64) -> Option<&mut Lock> {
        let lock = self.0.get_mut(queue).filter(|lock| lock.asked == Some(asked))?;
        lock.asked = None;
        Some(lock)
    }
}

impl Lock {
    fn new(now: Instant) -> Self {
        let state = LockState::Wanted { lost: false };
        Self { state, due: now, asked: None, failures: 0, unsure: false, leaving: None }
    }

    fn fail(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.due = now.after(RETRY_PAUSE.saturating_mul(self.failures).min(RETRY_PAUSE_MOST));
    }

    fn be(&mut self, state: LockState, due: Instant) {
        (self.state, self.due, self.failures) = (state, due, 0);
    }

    /// When it has to be looked at next, if nothing is under way.
    fn next(&self) -> Option<Instant> {
        match self.state {
            LockState::Held { until } | LockState::Checking { until } if self.asked.is_none() => {
                Some(self.due.min(until))
            }
            LockState::Held { until } | LockState::Checking { until } => Some(until),
            LockState::Wanted { .. } if self.leaving.is_some() => None,
            LockState::Wanted { .. } | LockState::Unlocking => self.asked.is_none().then_some(self.due),
        }
    }

    fn is_busy(&self) -> bool {
        self.leaving.is_some_and(|leaving| leaving.busy == Some(true))
    }
}

impl Consumer {
    /// A queue is ours: its lock is wanted.
    pub(super) fn want_lock(&mut self, queue: &MessageQueue, fx: &Effects) {
        let lock = self.locks.0.entry(queue.clone()).or_insert_with(|| Lock::new(fx.now));
        if lock.state == LockState::Unlocking && lock.asked.is_none() {
            lock.be(LockState::Wanted { lost: false }, fx.now);
        }
    }

    /// An assignment is given up: its lock stays ours until its handler has ended and its last offset is stored.
    pub(super) fn leave_lock(&mut self, queue: &MessageQueue, epoch: Epoch) {
        if let Some(lock) = self.locks.0.get_mut(queue) {
            lock.leaving.get_or_insert(Leaving { epoch, busy: None });
        }
    }

    /// An assignment was revoked, or the handler that ran in spite of that has ended.
    pub(super) fn on_let_go(
        &mut self,
        queue: &MessageQueue,
        epoch: Epoch,
        busy: bool,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        if let Some(lock) = self.locks.0.get_mut(queue)
            && let Some(leaving) = lock.leaving.as_mut().filter(|leaving| leaving.epoch == epoch)
        {
            leaving.busy = Some(busy);
        }
        self.free_locks(at, fx);
    }

    pub(crate) fn on_handler_ended(&mut self, queue: &MessageQueue, epoch: Epoch, at: Siblings<'_>, fx: &mut Effects) {
        self.on_let_go(queue, epoch, false, at, fx);
    }

    /// Goes on with the locks of assignments of which nothing is under way any more.
    pub(super) fn free_locks(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        let gone = |(queue, lock): (&MessageQueue, &Lock)| {
            let leaving = lock.leaving?;
            let commits = self.leaving.contains_key(&(queue.clone(), leaving.epoch));
            (leaving.busy == Some(false) && !commits).then(|| queue.clone())
        };
        let free: Vec<_> = self.locks.0.iter().filter_map(gone).collect();
        for queue in &free {
            if let Some(lock) = self.locks.0.get_mut(queue) {
                lock.leaving = None;
            }
            self.go_on(queue, at, fx);
        }
        if !free.is_empty() {
            self.ask_locks(at, fx);
        }
    }

    pub(crate) fn on_lock_timer(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        self.ask_locks(at, fx);
        self.after_unlock(fx);
    }

    /// A link to a broker is up: one that was restarted has forgotten its locks, so they are renewed at once.
    pub(crate) fn on_broker_link(&mut self, endpoint: &Endpoint, at: Siblings<'_>, fx: &mut Effects) {
        if self.locks.is_empty() {
            return;
        }
        for (queue, lock) in &mut self.locks.0 {
            let there = at.routes.view().master(&queue.broker) == Some(endpoint);
            if there && matches!(lock.state, LockState::Held { .. } | LockState::Wanted { .. }) {
                lock.due = fx.now;
            }
        }
        self.ask_locks(at, fx);
    }

    /// Asks for what is due: renewals of one broker travel together.
    pub(super) fn ask_locks(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        self.note_lapses(fx);
        let soon = fx.now.after(TOGETHER);
        let due = |lock: &Lock| matches!(lock.state, LockState::Held { .. }) && lock.due <= fx.now;
        let renews = self.locks.0.values().any(|lock| lock.asked.is_none() && due(lock));
        let mut locks: BTreeMap<BrokerName, Vec<MessageQueue>> = BTreeMap::new();
        let mut unlocks: BTreeMap<BrokerName, Vec<MessageQueue>> = BTreeMap::new();
        let mut checks = Vec::new();
        for (queue, lock) in self.locks.0.iter().filter(|(_, lock)| lock.asked.is_none()) {
            let due = lock.due <= fx.now;
            match lock.state {
                LockState::Held { .. } if due || (renews && lock.due <= soon && lock.failures == 0) => {
                    locks.entry(queue.broker.clone()).or_default().push(queue.clone());
                }
                LockState::Wanted { .. } if due && lock.leaving.is_none() => {
                    locks.entry(queue.broker.clone()).or_default().push(queue.clone());
                }
                LockState::Checking { .. } if due => checks.push(queue.clone()),
                LockState::Unlocking if due => {
                    unlocks.entry(queue.broker.clone()).or_default().push(queue.clone());
                }
                LockState::Held { .. }
                | LockState::Wanted { .. }
                | LockState::Checking { .. }
                | LockState::Unlocking => {}
            }
        }
        let group = self.config.group.clone();
        for (broker, queues) in locks {
            let Some((to, asked, body)) = self.lock_body(&broker, &queues, at, fx) else { continue };
            let reply_to = ReplyTo::Lock { group: group.clone(), queues, asked, at: fx.now };
            fx.request(to, LockBatchMq {}.encode(self.client.codec, body), self.client.request_timeout, reply_to);
        }
        for (broker, queues) in unlocks {
            let Some((to, asked, body)) = self.lock_body(&broker, &queues, at, fx) else { continue };
            let reply_to = ReplyTo::Unlock { group: group.clone(), queues, asked };
            fx.request(to, UnlockBatchMq {}.encode(self.client.codec, body), UNLOCK_TIMEOUT, reply_to);
        }
        for queue in checks {
            let asked = fx.fresh_id();
            let reply_to = ReplyTo::Check { group: group.clone(), queue: queue.clone(), asked };
            let sent = self.ask_offset(&queue, reply_to, at, fx);
            if let Some(lock) = self.locks.0.get_mut(&queue) {
                if sent.is_some() { lock.asked = Some(asked) } else { lock.fail(fx.now) }
            }
        }
        self.arm_locks(fx);
    }

    pub(crate) fn on_lock_reply(
        &mut self,
        queues: &[MessageQueue],
        asked: u64,
        sent: Instant,
        result: Result<Frame, RequestError>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        self.note_lapses(fx);
        let locked = match result {
            Ok(frame) if frame.header.code == response::SUCCESS => LockedQueues::decode(&frame.body).ok(),
            Ok(_) | Err(_) => None,
        };
        for queue in queues {
            let Some(lock) = self.locks.asked(queue, asked) else { continue };
            match &locked {
                Some(locked) if locked.queues.contains(queue) => self.granted(queue, sent, fx),
                Some(_) => self.refused(queue, fx),
                None => {
                    lock.unsure = true;
                    lock.fail(fx.now);
                }
            }
            self.go_on(queue, at, fx);
        }
        self.ask_locks(at, fx);
    }

    pub(crate) fn on_unlock_reply(
        &mut self,
        queues: &[MessageQueue],
        asked: u64,
        result: Result<Frame, RequestError>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        let unlocked = matches!(&result, Ok(frame) if frame.header.code == response::SUCCESS);
        let retries = self.unlock_retries();
        for queue in queues {
            let wanted = self.wants_lock(queue);
            let Some(lock) = self.locks.asked(queue, asked) else { continue };
            if wanted {
                lock.unsure = !unlocked;
                lock.be(LockState::Wanted { lost: false }, fx.now);
            } else if unlocked || lock.failures >= retries {
                self.locks.0.remove(queue);
            } else {
                lock.fail(fx.now);
            }
        }
        self.ask_locks(at, fx);
        self.after_unlock(fx);
    }

    /// How far the queue was consumed while its lock was not ours.
    pub(crate) fn on_check_reply(
        &mut self,
        queue: &MessageQueue,
        asked: u64,
        result: Result<Frame, RequestError>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        self.note_lapses(fx);
        let Some(lock) = self.locks.asked(queue, asked) else {
            return;
        };
        if let LockState::Checking { until } = lock.state {
            match stored_offset(result) {
                Some(stored) => {
                    lock.be(LockState::Held { until }, until.before(LEASE.saturating_sub(RENEW_AFTER)));
                    let ours = self.queues.get(queue).and_then(|assigned| assigned.settled_to());
                    if let Some(offset) = stored.filter(|_| ours.is_some() && stored > ours) {
                        self.follow(queue, offset, fx);
                    }
                }
                None => lock.fail(fx.now),
            }
        }
        self.go_on(queue, at, fx);
        self.ask_locks(at, fx);
    }

    /// Gives every lock back, whatever still runs: the time to stop is over, or nothing does.
    pub(super) fn unlock_all(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        for (queue, lock) in &mut self.locks.0 {
            let unsettled = self.queues.get(queue).is_some_and(|assigned| assigned.outstanding() > 0);
            if (unsettled || lock.is_busy()) && matches!(lock.state, LockState::Held { .. }) {
                let (group, queue) = (self.config.group.clone(), queue.clone());
                fx.event(ClientEvent::LockLost { group, queue, handling: true });
            }
            lock.leaving = None;
        }
        let all: Vec<_> = self.locks.0.keys().cloned().collect();
        for queue in &all {
            self.go_on(queue, at, fx);
        }
        self.ask_locks(at, fx);
    }

    pub(super) fn drop_locks(&mut self, fx: &mut Effects) {
        self.locks.0.clear();
        fx.disarm(&TimerKey::Locks(self.config.group.clone()));
    }

    /// Whether offsets of the queue may be committed now: nobody else consumes it.
    pub(super) fn holds(&self, queue: &MessageQueue, now: Instant) -> bool {
        let held = |lock: &Lock| matches!(lock.state, LockState::Held { until } if now < until);
        !self.config.needs_locks() || self.locks.0.get(queue).is_some_and(held)
    }

    /// Whether the queue may be pulled now: the lock is ours, and no handler of an earlier assignment runs.
    pub(super) fn is_open(&self, queue: &MessageQueue, now: Instant) -> bool {
        let left = self.locks.0.get(queue).is_none_or(|lock| lock.leaving.is_none());
        left && self.holds(queue, now)
    }

    /// Whether the lock of a queue is ours, when it was given, and how often giving it back failed.
    pub(super) fn lock_of(&self, queue: &MessageQueue, now: Instant) -> (bool, Option<Instant>, u32) {
        match self.locks.0.get(queue) {
            Some(Lock { state: LockState::Held { until } | LockState::Checking { until }, .. }) => {
                (self.holds(queue, now), Some(until.before(LEASE)), 0)
            }
            Some(Lock { state: LockState::Unlocking, failures, .. }) => (false, None, *failures),
            Some(Lock { state: LockState::Wanted { .. }, .. }) | None => (false, None, 0),
        }
    }

    /// The lock of a queue at this moment; `None` when the group needs none.
    pub(super) fn lock_snapshot(&self, queue: &MessageQueue, now: Instant) -> Option<LockSnapshot> {
        let lock = self.locks.0.get(queue)?;
        let (phase, until) = match lock.state {
            LockState::Wanted { lost: false } => (LockPhase::Wanted, None),
            LockState::Wanted { lost: true } => (LockPhase::Lost, None),
            LockState::Held { until } | LockState::Checking { until } if until <= now => (LockPhase::Lost, None),
            LockState::Checking { until } => (LockPhase::Checking, Some(until)),
            LockState::Held { until } => (LockPhase::Held, Some(until)),
            LockState::Unlocking => (LockPhase::Unlocking, None),
        };
        Some(LockSnapshot { phase, lease_in_ms: until.map(|at| millis(now.until(at))), failures: lock.failures })
    }

    fn wants_lock(&self, queue: &MessageQueue) -> bool {
        !self.is_unlocking() && self.queues.contains_key(queue)
    }

    fn is_unlocking(&self) -> bool {
        matches!(self.state, State::Unlocking { .. } | State::Leaving { .. })
    }

    /// How often giving a lock back is tried again; then it ends by itself, 60 s after it was renewed.
    fn unlock_retries(&self) -> u32 {
        if self.is_unlocking() { UNLOCK_RETRIES } else { UNLOCK_RETRIES_RUNNING }
    }

    /// Goes on with a lock: what is ours is used, even while it is renewed; for the rest nothing may be under way.
    fn go_on(&mut self, queue: &MessageQueue, at: Siblings<'_>, fx: &mut Effects) {
        let wanted = self.wants_lock(queue);
        let Some(lock) = self.locks.0.get_mut(queue) else {
            return;
        };
        if lock.leaving.is_some() {
            return;
        }
        match lock.state {
            LockState::Held { until } if wanted => self.lend(queue, until, at, fx),
            LockState::Wanted { .. } | LockState::Checking { .. } | LockState::Held { .. } | LockState::Unlocking
                if lock.asked.is_some() => {}
            LockState::Wanted { .. } | LockState::Checking { .. } if wanted => {}
            LockState::Wanted { .. } if !lock.unsure => {
                self.locks.0.remove(queue);
            }
            LockState::Wanted { .. } | LockState::Checking { .. } | LockState::Held { .. } if mutant!(11) => {
                self.locks.0.remove(queue);
            }
            LockState::Wanted { .. } | LockState::Checking { .. } | LockState::Held { .. } => {
                lock.be(LockState::Unlocking, fx.now);
            }
            LockState::Unlocking => {}
        }
    }

    /// Messages of the queue may be handed out until then, and it is pulled on.
    fn lend(&mut self, queue: &MessageQueue, until: Instant, at: Siblings<'_>, fx: &mut Effects) {
        if let Some(assigned) = self.queues.get(queue) {
            let (group, epoch) = (self.config.group.clone(), assigned.epoch());
            fx.output(Output::Lease { group, epoch, until });
            self.on_open(queue, at, fx);
        }
    }

    /// In order without locks: nobody else can have what a broadcasting member consumes.
    pub(super) fn lend_for_good(&self, epoch: Epoch, fx: &mut Effects) {
        if self.config.is_orderly() && !self.config.needs_locks() {
            fx.output(Output::Lease { group: self.config.group.clone(), epoch, until: Instant::FAR });
        }
    }

    fn granted(&mut self, queue: &MessageQueue, sent: Instant, fx: &Effects) {
        let begun = self.queues.get(queue).is_some_and(|assigned| assigned.settled_to().is_some());
        let Some(lock) = self.locks.0.get_mut(queue) else {
            return;
        };
        lock.unsure = false;
        if mutant!(10) && lock.state == (LockState::Wanted { lost: false }) {
            return lock.fail(fx.now);
        }
        let until = sent.after(LEASE);
        let lost = match lock.state {
            LockState::Wanted { lost } => lost,
            LockState::Checking { .. } => true,
            LockState::Held { .. } | LockState::Unlocking => false,
        };
        if lost && begun {
            lock.be(LockState::Checking { until }, fx.now);
        } else {
            lock.be(LockState::Held { until }, sent.after(RENEW_AFTER));
        }
    }

    fn refused(&mut self, queue: &MessageQueue, fx: &mut Effects) {
        self.lose(queue, fx);
        if let Some(lock) = self.locks.0.get_mut(queue) {
            lock.unsure = false;
            lock.fail(fx.now);
        }
    }

    fn note_lapses(&mut self, fx: &mut Effects) {
        let lapsed = |lock: &Lock| match lock.state {
            LockState::Held { until } | LockState::Checking { until } => until <= fx.now,
            LockState::Wanted { .. } | LockState::Unlocking => false,
        };
        let lapsed: Vec<_> =
            self.locks.0.iter().filter(|(_, lock)| lapsed(lock)).map(|(queue, _)| queue.clone()).collect();
        for queue in &lapsed {
            self.lose(queue, fx);
        }
    }

    /// The lock is not ours any more: nothing is handed out, what is cached stays.
    fn lose(&mut self, queue: &MessageQueue, fx: &mut Effects) {
        let Some(lock) = self.locks.0.get_mut(queue) else {
            return;
        };
        if !matches!(lock.state, LockState::Held { .. } | LockState::Checking { .. }) {
            return;
        }
        lock.state = LockState::Wanted { lost: true };
        let group = self.config.group.clone();
        let mut handling = lock.is_busy();
        if let Some(assigned) = self.queues.get(queue) {
            handling |= assigned.outstanding() > 0;
            fx.output(Output::Lease { group: group.clone(), epoch: assigned.epoch(), until: fx.now });
        }
        fx.event(ClientEvent::LockLost { group, queue: queue.clone(), handling });
    }

    /// Where a request for these queues goes, its number and its body; they are tried again when its master is unknown.
    fn lock_body(
        &mut self,
        broker: &BrokerName,
        queues: &[MessageQueue],
        at: Siblings<'_>,
        fx: &mut Effects,
    ) -> Option<(Endpoint, u64, Bytes)> {
        let to = at.routes.view().master(broker).cloned();
        let asked = to.is_some().then(|| fx.fresh_id());
        let retries = self.unlock_retries();
        for queue in queues {
            let Some(lock) = self.locks.0.get_mut(queue) else { continue };
            lock.asked = asked;
            if asked.is_none() && lock.state == LockState::Unlocking && lock.failures >= retries {
                self.locks.0.remove(queue);
            } else if asked.is_none() {
                lock.fail(fx.now);
            }
        }
        let body = LockQueues {
            client_id: self.client.client_id.clone(),
            group: self.config.group.clone(),
            queues: queues.to_vec(),
            only_this_broker: false,
        };
        Some((to?, asked?, body.encode().into()))
    }

    fn arm_locks(&self, fx: &mut Effects) {
        let key = TimerKey::Locks(self.config.group.clone());
        match self.locks.0.values().filter_map(Lock::next).min() {
            Some(at) => fx.timers.arm(key, at),
            None => fx.disarm(&key),
        }
    }
}

#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm, reason = "a check of its own few")]
impl Consumer {
    /// A queue that waits for its lock has a cause to go on: a request, the timer, or what an earlier assignment left.
    pub(super) fn check_lock(&self, queue: &MessageQueue, fx: &Effects) {
        if !self.config.needs_locks() || !self.wants_lock(queue) {
            return;
        }
        let lock = self.locks.0.get(queue).expect("an orderly queue has a lock");
        let armed = fx.timers.is_armed(&TimerKey::Locks(self.config.group.clone()));
        let cause = lock.asked.is_some() || lock.leaving.is_some() || armed;
        assert!(cause, "{queue} {lock:?}");
        if let Some(asked) = lock.asked {
            let of = |reply: &&ReplyTo| match reply {
                ReplyTo::Lock { asked: known, queues, .. } | ReplyTo::Unlock { asked: known, queues, .. } => {
                    *known == asked && queues.contains(queue)
                }
                ReplyTo::Check { asked: known, .. } => *known == asked,
                _ => false,
            };
            assert_eq!(fx.replies().filter(of).count(), 1, "{queue} {lock:?}");
        }
    }
}

/// What the broker has stored; `None` when it could not be asked.
fn stored_offset(result: Result<Frame, RequestError>) -> Option<Option<QueueOffset>> {
    match result {
        Ok(frame) if frame.header.code == response::SUCCESS => {
            QueryConsumerOffsetResponse::read(&frame.header.ext).ok().map(|stored| Some(stored.offset))
        }
        Ok(frame) if frame.header.code == response::QUERY_NOT_FOUND => Some(None),
        Ok(_) | Err(_) => None,
    }
}

/// How long a lock is taken for ours after it was asked for. Source: Java `rocketmq.client.rebalance.lockMaxLiveTime`;
/// brokers give 60 s.
const LEASE: Duration = Duration::from_secs(30);
/// When it is renewed. Source: Java `rocketmq.client.rebalance.lockInterval`.
const RENEW_AFTER: Duration = Duration::from_secs(20);
/// Renewals that are due within this time travel together.
const TOGETHER: Duration = Duration::from_secs(5);
/// Until a lock that another member has, or a broker that says nothing, is asked again; so much more each time.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// At most so long.
const RETRY_PAUSE_MOST: Duration = Duration::from_secs(5);
/// How long giving back may take. Java: 1 s.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// How often giving back is tried again by a consumer that stops, who does not wait for long.
const UNLOCK_RETRIES: u32 = 3;
/// The same while it runs: with pauses of 1 s to 5 s these take the 60 s that the lock would last.
const UNLOCK_RETRIES_RUNNING: u32 = 14;
