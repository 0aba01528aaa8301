//! Queues that are popped: the broker gives their messages to whoever asks, and hides them from the others for a while.
//!
//! Each message is settled by itself: acknowledged, together with others ([`ack`]), or hidden for another time
//! ([`held`]): for longer while its handler runs, for as long as it is to wait when it failed. What is not comes again.

mod ack;
mod clock;
mod decode;
mod held;
mod snapshot;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::pull::{PullContext, Pulled};
use super::queue::{
    ERROR_PAUSE, HELD_AT_LEAST, NO_BROKER_PAUSE, NO_FILTER_PAUSE, QUICK_PAUSE, THROTTLE_PAUSE, after_refusal,
};
use super::{Consumer, Siblings, State};
use crate::client::rebalance::Allocation;
use crate::client::signal::{ReplyTo, Signal};
use crate::client::{ClientEvent, Output};
use crate::config::StartFrom;
use crate::dispatch::{Batch, Progress};
use crate::effects::Effects;
use crate::error::RequestError;
use crate::ids::{BrokerName, Endpoint, Epoch, MessageQueue, QueueOffset, Topic};
use crate::mutants::mutant;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::wire::codes::response;
use crate::wire::message::RecordLimits;
use crate::wire::request::{PopMessage, Request};
use ack::Acks;
use clock::BrokerClock;
pub use decode::PopContext;
pub(super) use decode::decode;
use held::Held;

/// What a consumer pops and has popped.
#[derive(Debug, Default)]
pub(super) struct Pops {
    queues: BTreeMap<MessageQueue, Popping>,
    /// What is popped and not settled.
    held: BTreeMap<u64, Held>,
    acks: Acks,
    brokers: BTreeMap<BrokerName, Known>,
    /// Topics whose broker knows nothing of popping.
    unsupported: BTreeSet<Topic>,
}

/// What is known of a broker.
#[derive(Debug, Default)]
struct Known {
    clock: Option<BrokerClock>,
    /// Whether it takes acknowledgements of several messages.
    batches: bool,
}

/// A message of a pop.
type Ticket = (u64, usize);

/// One queue that this member pops.
#[derive(Debug)]
struct Popping {
    queue: Arc<MessageQueue>,
    epoch: Epoch,
    phase: Phase,
    /// Messages that are not acknowledged.
    open: usize,
    outstanding: u64,
    /// Pops in a row that came back at once with nothing.
    quick: u32,
    /// The broker takes our pops for too old: it is asked what time it is.
    probe: bool,
    /// When it last brought messages.
    popped_at: Option<Instant>,
}

/// What happens to a queue next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// This pop is under way since then.
    Popping { asked: u64, since: Instant },
    /// A timer pops.
    Waiting,
    /// Enough is not acknowledged: what is settled pops on.
    Throttled,
    /// The consumer is suspended: its resumption pops on.
    Suspended,
    /// Nothing more is popped.
    Stopped,
}

impl Pops {
    pub(super) fn has(&self, queue: &MessageQueue, epoch: Epoch) -> bool {
        self.queues.get(queue).is_some_and(|popping| popping.epoch == epoch)
    }

    pub(super) fn on_progress(&mut self, progress: &Progress) {
        if let Some(popping) = self.queues.get_mut(&*progress.queue)
            && popping.epoch == progress.epoch
        {
            popping.outstanding = progress.outstanding;
        }
    }

    /// The queues that wait for the consumer to be resumed.
    pub(super) fn suspended(&self) -> Vec<MessageQueue> {
        let waiting = self.queues.iter().filter(|(_, popping)| popping.phase == Phase::Suspended);
        waiting.map(|(queue, _)| queue.clone()).collect()
    }

    /// Whether it is news that a topic cannot be popped.
    pub(super) fn refused(&mut self, topic: &Topic) -> bool {
        self.unsupported.insert(topic.clone())
    }

    /// Messages handed out and not settled.
    pub(super) fn outstanding(&self) -> u64 {
        self.queues.values().fold(0, |sum, popping| popping.outstanding.saturating_add(sum))
    }

    /// Whether all that was settled is with its broker.
    pub(super) fn is_settled(&self) -> bool {
        self.acks.is_empty() && self.held.values().all(|held| !held.is_changing())
    }
}

impl Consumer {
    /// Takes on and gives up queues that are popped; which ones.
    pub(super) fn apply_popped(
        &mut self,
        allocation: &Allocation,
        fx: &mut Effects,
    ) -> (Vec<MessageQueue>, Vec<MessageQueue>) {
        let live = |popping: &Popping| popping.phase != Phase::Stopped;
        let owned = self.pops.queues.iter().filter(|(queue, popping)| queue.topic == allocation.topic && live(popping));
        let gone: Vec<_> =
            owned.map(|(queue, _)| queue).filter(|queue| !allocation.popped.contains(queue)).cloned().collect();
        let fresh = |queue: &&MessageQueue| !self.pops.queues.get(queue).is_some_and(live);
        let added: Vec<_> = allocation.popped.iter().filter(fresh).cloned().collect();
        for queue in &gone {
            self.stop_popping(queue, fx);
        }
        for queue in &added {
            self.start_popping(queue, fx);
        }
        (added, gone)
    }

    fn start_popping(&mut self, queue: &MessageQueue, fx: &mut Effects) {
        let epoch = match self.pops.queues.get(queue) {
            // Given up a little ago, and not all of it is settled.
            Some(known) => known.epoch,
            None => Epoch(fx.fresh_id()),
        };
        let popping = self.pops.queues.entry(queue.clone()).or_insert_with(|| Popping {
            queue: Arc::new(queue.clone()),
            epoch,
            phase: Phase::Waiting,
            open: 0,
            outstanding: 0,
            quick: 0,
            probe: false,
            popped_at: None,
        });
        popping.phase = Phase::Waiting;
    }

    /// Nothing more is popped of a queue, and what was not handed out goes back. What was handed out may be settled.
    fn stop_popping(&mut self, queue: &MessageQueue, fx: &mut Effects) {
        let group = self.config.group.clone();
        if let Some(popping) = self.pops.queues.get_mut(queue) {
            popping.phase = Phase::Stopped;
            fx.disarm(&TimerKey::Queue(group.clone(), queue.clone(), popping.epoch));
            fx.output(Output::GiveBack { group, epoch: popping.epoch });
        }
        self.let_go_of_queue(queue, fx);
    }

    /// A topic is no longer wanted; gives the queues that were popped.
    pub(super) fn stop_popping_topic(&mut self, topic: &Topic, fx: &mut Effects) -> Vec<MessageQueue> {
        let none = Allocation { topic: topic.clone(), queues: Vec::new(), popped: Vec::new(), members: 0 };
        self.apply_popped(&none, fx).1
    }

    /// The consumer stops.
    pub(super) fn stop_pops(&mut self, fx: &mut Effects) {
        let queues: Vec<_> = self.pops.queues.keys().cloned().collect();
        for queue in queues {
            self.stop_popping(&queue, fx);
        }
    }

    /// The consumer is no more, and nobody knows about what its brokers have not answered.
    pub(super) fn tell_unanswered_pops(&mut self, fx: &mut Effects) {
        let open: Vec<_> = self.pops.held.iter().flat_map(|(id, held)| held.unanswered().map(|at| (*id, at))).collect();
        for ticket in open {
            self.not_settled(ticket, "the consumer ended before the broker answered", fx);
        }
    }

    /// The consumer has stopped: what is not settled comes again when its time is over.
    pub(super) fn drop_pops(&mut self, fx: &mut Effects) {
        let group = self.config.group.clone();
        self.tell_unanswered_pops(fx);
        let pops = core::mem::take(&mut self.pops);
        fx.disarm(&TimerKey::Acks(group.clone()));
        fx.disarm(&TimerKey::Renew(group.clone()));
        for held in pops.held.into_values() {
            fx.pinned = fx.pinned.saturating_sub(held.bytes());
        }
        for (queue, popping) in pops.queues {
            fx.output(Output::Revoke { group: group.clone(), queue, epoch: popping.epoch });
        }
    }

    /// A queue that is given up is forgotten once all of it is settled.
    fn let_go_of_queue(&mut self, queue: &MessageQueue, fx: &mut Effects) {
        let over = |popping: &mut Popping| popping.phase == Phase::Stopped && popping.open == 0;
        if let Some(popping) = self.pops.queues.get_mut(queue)
            && over(popping)
            && matches!(self.state, State::Running)
        {
            let epoch = popping.epoch;
            self.pops.queues.remove(queue);
            let group = self.config.group.clone();
            fx.output(Output::Revoke { group, queue: queue.clone(), epoch });
        }
    }

    pub(super) fn on_pop_timer(&mut self, queue: &MessageQueue, at: Siblings<'_>, fx: &mut Effects) {
        if self.pops.queues.get(queue).is_some_and(|popping| popping.phase == Phase::Waiting) {
            self.pop_on(queue, at, fx);
        }
    }

    /// Pops, unless enough is not acknowledged.
    pub(super) fn pop_on(&mut self, queue: &MessageQueue, at: Siblings<'_>, fx: &mut Effects) {
        let filterable = self.is_filterable(queue, at, fx);
        let (config, now) = (&self.config, fx.now);
        let (Some(pop), Some(popping)) = (config.pop, self.pops.queues.get_mut(queue)) else {
            return;
        };
        if !matches!(self.state, State::Running) || popping.phase == Phase::Stopped {
            return;
        }
        if self.suspended {
            popping.phase = Phase::Suspended;
            return;
        }
        if popping.open > usize::try_from(pop.threshold).unwrap_or(usize::MAX) {
            popping.phase = Phase::Throttled;
            return;
        }
        if fx.pinned > self.client.cache_bytes && popping.open > 0 {
            return self.pop_later(queue, THROTTLE_PAUSE, fx);
        }
        let (Some(to), Some(subscription)) =
            (at.routes.view().master(&queue.broker).cloned(), self.subscriptions.get(&queue.topic))
        else {
            fx.raise(Signal::RefreshRoute(queue.topic.clone()));
            return self.pop_later(queue, NO_BROKER_PAUSE, fx);
        };
        if !filterable {
            return self.pop_later(queue, NO_FILTER_PAUSE, fx);
        }
        let clock = self.pops.brokers.get(&queue.broker).and_then(|known| known.clock);
        // A broker refuses what was asked too long ago by its own clock, and may hold what was asked in the future for
        // as long. Which clock that is we know from earlier answers; else, what is not held tells.
        // When a held pop found its messages is known as well as that clock is, at worst as between question and answer:
        // some of the time that they are hidden has to be left then, or nobody would ever handle them.
        let held = POLL.min(pop.invisible.checked_div(2).unwrap_or_default());
        let (poll, born) = match (popping.probe, clock) {
            (true, _) => (Duration::ZERO, fx.wall.0.saturating_add(FAR_AHEAD)),
            (false, Some(clock)) => (held, clock.wall(now).0),
            (false, None) => (held, fx.wall.0),
        };
        let request = PopMessage {
            group: config.group.clone(),
            topic: queue.topic.clone(),
            queue_id: queue.id,
            max_messages: i32::try_from(pop.batch).unwrap_or(i32::MAX),
            invisible_millis: millis(pop.invisible),
            poll_millis: millis(poll),
            born_millis: born,
            init_mode: match config.start_from {
                StartFrom::First => PopMessage::FROM_FIRST,
                StartFrom::Last | StartFrom::Timestamp(_) => PopMessage::FROM_LAST,
            },
            expression_type: Some(subscription.expression_type.name().into()),
            expression: Some(subscription.sub_string.clone()),
            order: Some(false),
            attempt_id: None,
            broker: Some(queue.broker.clone()),
        };
        let id = fx.fresh_id();
        let context = PullContext {
            group: config.group.clone(),
            queue: popping.queue.clone(),
            epoch: popping.epoch,
            from: QueueOffset::ZERO,
            from_slave: false,
            subscription: subscription.clone(),
            limits: RecordLimits::for_pull(pop.batch),
            pop: Some(PopContext { id, group: config.group.clone() }),
        };
        let reply_to =
            ReplyTo::Pull { group: config.group.clone(), queue: queue.clone(), epoch: popping.epoch, asked: id };
        popping.phase = Phase::Popping { asked: id, since: now };
        let frame = request.encode(self.client.codec, Bytes::new());
        fx.request_by(to, frame, now.after(POP_TIMEOUT), reply_to, Some(Arc::new(context)));
    }

    /// The answer of a pop; one that nobody waits for any more goes back. A queue that was given up and came back waits for
    /// another: what it was asked for before is handed out, and that is all.
    pub(super) fn on_popped(
        &mut self,
        queue: &MessageQueue,
        epoch: Epoch,
        asked: u64,
        result: Result<Pulled, RequestError>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        let popping = self.pops.queues.get_mut(queue).filter(|popping| popping.epoch == epoch);
        let since = match popping.as_ref().map(|popping| popping.phase) {
            Some(Phase::Popping { asked: known, since }) if known == asked => Some(since),
            Some(Phase::Popping { .. } | Phase::Waiting | Phase::Throttled | Phase::Suspended | Phase::Stopped)
            | None => None,
        };
        let mut pause = ERROR_PAUSE;
        let why = match result {
            Ok(Pulled::Popped { batch, millis, invisible_millis, version }) => {
                // Of another, all that is known is that its time was not over.
                let sent = since.unwrap_or(fx.now.before(POP_TIMEOUT));
                let rest = if batch.items.is_empty() { Duration::ZERO } else { self.config.pull_interval };
                self.learn(&queue.broker, millis, sent, version, fx.now);
                let found = self.take_in(queue, batch, (millis, invisible_millis), sent, at, fx);
                return self.popped_on(queue, since, (millis, found, rest), at, fx);
            }
            _ if since.is_none() => return,
            Ok(Pulled::Refused { code: response::POLLING_FULL, .. }) => {
                return self.pop_later(queue, ERROR_PAUSE, fx);
            }
            Ok(Pulled::Refused { code, remark }) => {
                pause = after_refusal(queue, code, fx);
                alloc::format!("broker answered {code}: {remark}")
            }
            Ok(Pulled::Malformed(error)) => error.to_string(),
            Ok(Pulled::Batch { .. } | Pulled::Nothing { .. } | Pulled::OffsetIllegal { .. }) => {
                alloc::string::String::from("the answer is none to a pop")
            }
            Err(error) => error.to_string(),
        };
        let group = self.config.group.clone();
        fx.event(ClientEvent::PullFailed { group, queue: queue.clone(), why });
        self.pop_later(queue, pause, fx);
    }

    /// Goes on after an answer, at once or after a rest.
    fn popped_on(
        &mut self,
        queue: &MessageQueue,
        since: Option<Instant>,
        (millis, found, rest): (i64, bool, Duration),
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        let (Some(since), Some(popping)) = (since, self.pops.queues.get_mut(queue)) else {
            return;
        };
        // A broker holds a pop that finds nothing; one that does not is asked less and less often.
        let held = found || fx.now.since(since) >= HELD_AT_LEAST || popping.probe;
        popping.quick = if held { 0 } else { popping.quick.saturating_add(1) };
        // It says no time when it takes our request for too old.
        popping.probe = millis == 0;
        let pause = QUICK_PAUSE.saturating_mul(popping.quick.saturating_sub(1)).min(ERROR_PAUSE).max(rest);
        if pause.is_zero() { self.pop_on(queue, at, fx) } else { self.pop_later(queue, pause, fx) }
    }

    fn learn(&mut self, broker: &BrokerName, said: i64, sent: Instant, version: i32, now: Instant) {
        let known = self.pops.brokers.entry(broker.clone()).or_default();
        known.batches = version >= BATCH_ACK_SINCE;
        known.clock = (said > 0).then(|| BrokerClock::observe(known.clock, sent, said, now));
    }

    /// Takes in what was popped, if anything was, and hands it out, or gives it back when its queue is given up.
    fn take_in(
        &mut self,
        queue: &MessageQueue,
        batch: Arc<Batch>,
        (millis, invisible_millis): (i64, i64),
        sent: Instant,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) -> bool {
        let Some(pop) = batch.pop.as_ref().filter(|pop| !(pop.items.is_empty() && pop.filtered.is_empty())) else {
            return false;
        };
        let clock = self.pops.brokers.get(&queue.broker).and_then(|known| known.clock);
        let popped = clock.map_or(sent, |clock| clock.instant(millis, sent, fx.now));
        let until = popped.after(Duration::from_millis(u64::try_from(invisible_millis).unwrap_or(0)));
        let (id, group, epoch) = (pop.id, self.config.group.clone(), batch.epoch);
        let stopped = |popping: &Popping| popping.epoch != epoch || popping.phase == Phase::Stopped;
        let given_up = self.pops.queues.get(queue).is_none_or(stopped);
        let held = Held::new(queue, batch.clone(), popped, until);
        if let Some(popping) = self.pops.queues.get_mut(queue) {
            popping.open = popping.open.saturating_add(held.open());
            popping.popped_at = Some(fx.now);
        }
        fx.pinned = fx.pinned.saturating_add(held.bytes());
        let filtered = held.filtered();
        let wanted = held.wanted();
        self.pops.held.insert(id, held);
        for index in filtered {
            self.acknowledge((id, index), at, fx);
        }
        if given_up {
            for index in wanted {
                self.hide((id, index), GIVE_BACK, true, at, fx);
            }
            return true;
        }
        self.arm_renew(fx);
        if !batch.items.is_empty() {
            fx.output(Output::Deliver { group: group.clone(), batch });
            fx.output(Output::Hidden { group, epoch, id, index: None, until });
        }
        true
    }

    fn pop_later(&mut self, queue: &MessageQueue, pause: Duration, fx: &mut Effects) {
        if let Some(popping) = self.pops.queues.get_mut(queue).filter(|popping| popping.phase != Phase::Stopped) {
            popping.phase = Phase::Waiting;
            fx.arm(TimerKey::Queue(self.config.group.clone(), queue.clone(), popping.epoch), pause);
        }
    }

    fn master_of(&self, broker: &BrokerName, at: Siblings<'_>) -> Option<Endpoint> {
        at.routes.view().master(broker).cloned()
    }
}

/// A duration as the wire writes it.
fn millis(time: Duration) -> i64 {
    if mutant!(72) {
        return i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    }
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// How long a broker may hold a pop at most. Java `BROKER_SUSPEND_MAX_TIME_MILLIS`.
const POLL: Duration = Duration::from_secs(15);
/// How long a pop may take. Java: the poll time and 10 s.
const POP_TIMEOUT: Duration = Duration::from_secs(25);
/// For how long what was popped and not handed out stays hidden.
const GIVE_BACK: Duration = Duration::from_secs(1);
/// Ten years, in milliseconds: no clock of a broker is further ahead of ours.
const FAR_AHEAD: i64 = 315_360_000_000;
/// The wire version from which brokers take acknowledgements of several messages: 5.1.1.
const BATCH_ACK_SINCE: i32 = 435;
