//! What a consumer has pulled and not yet settled.
//!
//! Pure and without wakers: a driver keeps it behind one short lock. Pulled batches come in with
//! [`Dispatch::deliver`], consumers take messages with [`Dispatch::take`] and settle them with
//! [`Dispatch::settle`]; the control plane reads how far each queue is settled with
//! [`Dispatch::poll_progress`]. A committed offset can therefore never pass an unsettled message.

mod batch;
mod config;
mod direct;
mod many;
mod news;
mod overdue;
mod pop;
mod queue;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

pub use batch::{Batch, Content, Item, Poison, PoisonCause};
pub use config::{DispatchConfig, PoisonPolicy};
pub use direct::DirectEnd;
pub use news::{DispatchEvent, Failure, Handled, Progress};
pub use overdue::OVERDUE_TICKS;
pub use pop::{PopBatch, PopItem, PopNews, PopOutcome};

use bytes::Bytes;

use crate::ids::{Epoch, MessageQueue};
use crate::mutants::mutant;
use crate::time::Instant;
use crate::wire::compress::{InflateError, inflate};
use direct::Directs;
use queue::Queue;

/// The messages of one consumer between pull and settlement.
#[derive(Debug)]
pub struct Dispatch {
    config: DispatchConfig,
    /// Slots of queues; an index is reused, its epoch never.
    queues: Vec<Option<Queue>>,
    by_epoch: BTreeMap<Epoch, usize>,
    /// Queues with something to hand out, in turn.
    ring: VecDeque<usize>,
    /// Until when messages of an assignment may be handed out. Orderly only.
    leases: BTreeMap<Epoch, Instant>,
    /// Assignments that were revoked while messages of theirs, so many, were in a handler. Orderly only.
    lingering: BTreeMap<Epoch, usize>,
    ended: VecDeque<(Arc<MessageQueue>, Epoch)>,
    failed: VecDeque<Failure>,
    popped: VecDeque<PopNews>,
    directs: Directs,
    events: VecDeque<DispatchEvent>,
    dirty: VecDeque<usize>,
    open: bool,
    urgent: bool,
    /// Counts the looks for what is overdue.
    tick: u32,
}

/// A message handed out; it identifies itself to [`Dispatch::settle`].
#[derive(Clone, Debug)]
pub struct Taken {
    /// The batch it came in.
    pub batch: Arc<Batch>,
    /// Its place in the batch.
    pub index: usize,
    /// How often this client tried it again by itself, beyond what the record says.
    pub local_retries: i32,
    /// When it was handed out.
    pub at: Instant,
    /// Its number, if an operator has it handled: it is no part of a queue then.
    pub direct: Option<u64>,
    pub(crate) slot: usize,
    pub(crate) span: u64,
}

impl Taken {
    /// The first message of a batch that no queue waits for.
    pub(crate) const fn alone(batch: Arc<Batch>, at: Instant) -> Self {
        Self { batch, index: 0, local_retries: 0, at, direct: None, slot: usize::MAX, span: 0 }
    }

    /// Why it cannot be read, if that is known by now.
    fn poison(&self) -> Option<PoisonCause> {
        match self.item().map(|item| &item.content) {
            Some(Content::Poison(poison)) => Some(poison.cause.clone()),
            Some(Content::Record(_)) | None => None,
        }
    }

    /// The item itself.
    #[must_use]
    pub fn item(&self) -> Option<&Item> {
        self.batch.items.get(self.index)
    }

    /// The queue it lies in.
    #[must_use]
    pub fn queue(&self) -> &MessageQueue {
        let item = self.batch.pop.as_ref().and_then(|pop| pop.items.get(self.index));
        item.map_or(&self.batch.queue, |item| &item.queue)
    }

    /// The body, inflated; a record that cannot be read gives its bytes as they are. It pins the pulled frame unless
    /// it was compressed.
    ///
    /// # Errors
    /// It does not inflate: a case for [`Dispatch::poisoned`].
    pub fn body(&self) -> Result<Bytes, PoisonCause> {
        let frame = &self.batch.frame;
        let record = match self.item().map(|item| &item.content) {
            Some(Content::Record(record)) => record,
            Some(Content::Poison(poison)) => {
                let bytes = frame.get(poison.start..poison.start.saturating_add(poison.len));
                return Ok(frame.slice_ref(bytes.unwrap_or_default()));
            }
            None => return Ok(Bytes::new()),
        };
        let (raw, flags) = (record.body(frame), record.sys_flag);
        match flags.compression() {
            None if flags.compressed() => Err(PoisonCause::Inflate(InflateError::UnknownKind)),
            None => Ok(frame.slice_ref(raw)),
            Some(kind) if mutant!(7) => Ok(inflate(kind, raw, MAX_BODY).map_or(frame.slice_ref(raw), Bytes::from)),
            Some(kind) if mutant!(34) => match inflate(kind, raw, usize::MAX).map_err(PoisonCause::Inflate)? {
                body if body.len() > MAX_BODY => Err(PoisonCause::Inflate(InflateError::OverCap { cap: MAX_BODY })),
                body => Ok(Bytes::from(body)),
            },
            Some(kind) => inflate(kind, raw, MAX_BODY).map(Bytes::from).map_err(PoisonCause::Inflate),
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Consumed: the offset may pass it, without [`DispatchConfig::auto_commit`] when a later one is committed.
    Done,
    /// Consumed, and the offset may pass it and all that was done of its queue before.
    Committed,
    /// Failed: hand it back at this delay level (0 lets the broker choose, negative means dead letter). Orderly: its
    /// queue waits, then it comes again, unless it is a dead letter.
    Failed {
        /// The delay level.
        level: i32,
    },
    /// Failed: its queue waits so long, then it comes again. Only in order; else the broker chooses the delay.
    Suspended {
        /// How long.
        pause: Duration,
    },
    /// It comes again, after all that was done of its queue since the last commit. With
    /// [`DispatchConfig::auto_commit`] it failed.
    RolledBack,
}

/// Whether settling had an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It counts.
    Applied,
    /// The queue is no longer ours: nothing is sent, the offset is not passed, the message comes again elsewhere.
    Released,
    /// The handler took too long, and the message was handed back meanwhile: it comes again.
    Overdue,
}

impl Dispatch {
    /// An empty dispatch.
    #[must_use]
    pub fn new(config: DispatchConfig) -> Self {
        Self {
            config,
            queues: Vec::new(),
            by_epoch: BTreeMap::new(),
            ring: VecDeque::new(),
            leases: BTreeMap::new(),
            lingering: BTreeMap::new(),
            ended: VecDeque::new(),
            failed: VecDeque::new(),
            popped: VecDeque::new(),
            directs: Directs::default(),
            events: VecDeque::new(),
            dirty: VecDeque::new(),
            open: true,
            urgent: false,
            tick: 0,
        }
    }

    /// Takes in a pulled batch. A batch of an unknown assignment opens it, at the batch's first offset.
    ///
    /// Returns how many messages it makes ready.
    pub fn deliver(&mut self, batch: Arc<Batch>) -> usize {
        let mut ready = batch.items.len();
        let slot = match self.by_epoch.get(&batch.epoch) {
            Some(slot) => *slot,
            None => {
                let mut queue = Queue::new(batch.queue.clone(), batch.epoch, batch.from);
                if self.config.orderly {
                    queue.put_in_order(self.leases.get(&batch.epoch).copied());
                }
                self.assign(queue, batch.epoch)
            }
        };
        let Some(queue) = self.queues.get_mut(slot).and_then(Option::as_mut) else {
            return 0;
        };
        queue.push(batch);
        queue.mark_dirty(slot, &mut self.dirty);
        let entered = queue.enter_ring(slot, &mut self.ring);
        if !self.open && queue.is_popped() {
            self.give_back_slot(slot);
        }
        if self.config.orderly {
            ready = usize::from(entered);
        }
        if self.open { ready } else { 0 }
    }

    /// Orderly: messages of this assignment may be handed out until then.
    ///
    /// Returns whether there is something to hand out.
    pub fn lease(&mut self, epoch: Epoch, until: Instant) -> bool {
        self.leases.insert(epoch, until);
        let slot = self.by_epoch.get(&epoch).copied();
        if let Some(slot) = slot
            && let Some(queue) = self.queues.get_mut(slot).and_then(Option::as_mut)
        {
            queue.put_in_order(Some(until));
            queue.enter_ring(slot, &mut self.ring);
        }
        self.has_ready()
    }

    /// The control plane is to look at once when no more than so many messages and bytes of an assignment are left.
    pub fn tell_low(&mut self, epoch: Epoch, messages: u64, bytes: u64) {
        let slot = self.by_epoch.get(&epoch).copied();
        if let Some(slot) = slot
            && let Some(queue) = self.queues.get_mut(slot).and_then(Option::as_mut)
            && queue.tell_low(messages, bytes)
        {
            self.urgent = true;
            queue.mark_dirty(slot, &mut self.dirty);
        }
    }

    /// Hands out the next message, `None` when there is none now. The time matters to leases, to what was popped, and to
    /// statistics.
    pub fn take(&mut self, now: Instant) -> Option<Taken> {
        if !self.open {
            return None;
        }
        if let Some(taken) = self.directs.take(now) {
            return Some(taken);
        }
        while let Some(&slot) = self.ring.front() {
            let Some(queue) = self.queues.get_mut(slot).and_then(Option::as_mut) else {
                self.ring.pop_front();
                continue;
            };
            let Some(next) = queue.next(slot, now, self.tick) else {
                queue.leave_ring();
                self.ring.pop_front();
                continue;
            };
            if self.config.orderly {
                queue.leave_ring();
                queue.mark_dirty(slot, &mut self.dirty);
                self.ring.pop_front();
            } else if next.last_of_batch && self.ring.len() > 1 {
                self.ring.rotate_left(1);
            }
            if self.drop_over(&next.taken, now) {
                continue;
            }
            match next.taken.poison() {
                None => return Some(next.taken),
                Some(reason) => match self.poisoned(next.taken, reason) {
                    Some(taken) => return Some(taken),
                    None => continue,
                },
            }
        }
        None
    }

    /// Applies the poison policy to a message handed out by [`Dispatch::take`] whose body turned out unreadable;
    /// gives it back when the policy is to deliver it all the same.
    pub fn poisoned(&mut self, taken: Taken, reason: PoisonCause) -> Option<Taken> {
        if let Some(id) = taken.direct {
            self.poison_direct(id, &reason);
            return None;
        }
        let policy = self.config.on_poison;
        let Some(queue) = queue_of(&mut self.queues, &taken) else {
            // Of a queue that is no longer ours nothing is sent, and nothing passed.
            self.end_of(&taken);
            return None;
        };
        if policy != PoisonPolicy::Deliver {
            queue.handler_ended(&taken);
        }
        self.events.push_back(DispatchEvent::Poison {
            queue: (*taken.batch.queue).clone(),
            offset: taken.item().map_or(taken.batch.from, |item| item.offset),
            reason: reason.clone(),
            policy,
        });
        self.urgent = true;
        match policy {
            PoisonPolicy::Deliver => return Some(taken),
            PoisonPolicy::SendBack => {
                self.failed.push_back(Failure { poison: Some(reason), ..Failure::new(taken, 0) });
            }
            PoisonPolicy::Skip => {
                self.settle(&taken, Outcome::Done);
            }
            PoisonPolicy::Stop => self.stop_queue(&taken),
        }
        None
    }

    /// Counts a message that its handler is done with: to be called before [`Dispatch::settle`] with the same outcome.
    pub fn count(&mut self, now: Instant, taken: &Taken, outcome: Outcome) {
        if let Some(id) = taken.direct {
            return self.count_direct(id, now.since(taken.at));
        }
        if let Some(queue) = queue_of(&mut self.queues, taken) {
            queue.count(matches!(outcome, Outcome::Done | Outcome::Committed), now.since(taken.at));
            queue.mark_dirty(taken.slot, &mut self.dirty);
        }
    }

    /// Settles a message handed out.
    pub fn settle(&mut self, taken: &Taken, outcome: Outcome) -> Settled {
        if let Some(id) = taken.direct {
            return self.settle_direct(taken, id, outcome);
        }
        let config = self.config;
        let Some(queue) = queue_of(&mut self.queues, taken) else {
            self.end_of(taken);
            return Settled::Released;
        };
        if queue.is_void(taken) {
            return Settled::Overdue;
        }
        let failure = match outcome {
            Outcome::Done | Outcome::Committed => None,
            Outcome::Failed { .. } if config.drop_failed && !config.orderly => None,
            Outcome::Failed { level } => Some(Failure::new(taken.clone(), level)),
            Outcome::Suspended { .. } if !config.orderly && taken.batch.pop.is_none() => {
                return self.settle(taken, Outcome::Failed { level: 0 });
            }
            Outcome::RolledBack if config.auto_commit => return self.settle(taken, Outcome::Failed { level: 0 }),
            Outcome::Suspended { pause } => Some(Failure { pause: Some(pause), ..Failure::new(taken.clone(), 0) }),
            Outcome::RolledBack => {
                queue.roll_back(taken);
                Some(Failure { rolled_back: true, ..Failure::new(taken.clone(), 0) })
            }
        };
        if failure.is_some() || config.orderly {
            queue.handler_ended(taken);
        }
        if let Some(failure) = failure {
            if mutant!(43) {
                queue.enter_ring(taken.slot, &mut self.ring);
            }
            self.failed.push_back(failure);
            self.urgent = true;
            return Settled::Applied;
        }
        self.done(taken, outcome);
        Settled::Applied
    }

    /// A failed message is with the broker.
    pub fn returned(&mut self, taken: &Taken) {
        self.done(taken, Outcome::Done);
    }

    /// Nothing is to be done with a message any more.
    fn done(&mut self, taken: &Taken, outcome: Outcome) {
        let config = self.config;
        let Some(queue) = queue_of(&mut self.queues, taken) else {
            return;
        };
        let is_low = if config.auto_commit {
            queue.settle(taken.span, taken.index)
        } else if outcome == Outcome::Committed {
            queue.commit(taken)
        } else {
            queue.hold(taken);
            false
        };
        queue.mark_dirty(taken.slot, &mut self.dirty);
        if config.orderly {
            queue.enter_ring(taken.slot, &mut self.ring);
        }
        if taken.batch.pop.is_some() {
            self.tell_popped(taken, PopOutcome::Settled);
        }
        let dropped = !matches!(outcome, Outcome::Done | Outcome::Committed);
        if dropped {
            let offset = taken.item().map_or(taken.batch.from, |item| item.offset);
            self.events.push_back(DispatchEvent::Dropped { queue: (*taken.batch.queue).clone(), offset });
        }
        self.urgent |= is_low || dropped || !self.open;
    }

    /// A failed message could not go back to the broker: hand it out again here.
    ///
    /// Returns whether its queue is still ours.
    pub fn redeliver(&mut self, taken: &Taken) -> bool {
        let Some(queue) = queue_of(&mut self.queues, taken) else {
            return false;
        };
        queue.redeliver(taken);
        queue.mark_dirty(taken.slot, &mut self.dirty);
        queue.enter_ring(taken.slot, &mut self.ring);
        // The drain may be over.
        self.urgent |= !self.open;
        true
    }

    /// Stops handing out a queue for good: its next message cannot be passed.
    pub fn stop_queue(&mut self, taken: &Taken) {
        if let Some(queue) = queue_of(&mut self.queues, taken) {
            queue.stop(taken);
        }
    }

    /// The queue is no longer ours: drops what was not handed out, forgets what was.
    ///
    /// Returns its last progress; later settlements of it are [`Settled::Released`].
    pub fn revoke(&mut self, epoch: Epoch) -> Option<Progress> {
        self.leases.remove(&epoch);
        let slot = self.by_epoch.remove(&epoch)?;
        let mut gone = self.queues.get_mut(slot)?.take()?;
        self.ring.retain(|member| *member != slot);
        self.dirty.retain(|member| *member != slot);
        self.failed.retain(|failure| failure.taken.slot != slot);
        let last = gone.progress();
        if last.busy {
            self.lingering.insert(epoch, gone.busy());
        }
        Some(last)
    }

    /// Hands out nothing more; messages already handed out may still be settled.
    pub fn close(&mut self) {
        self.open = false;
        self.directs.clear();
        self.urgent = true;
        for (slot, queue) in self.queues.iter_mut().enumerate() {
            if let Some(queue) = queue {
                queue.mark_dirty(slot, &mut self.dirty);
            }
        }
        for slot in 0..self.queues.len() {
            if self.queues.get(slot).and_then(Option::as_ref).is_some_and(Queue::is_popped) {
                self.give_back_slot(slot);
            }
        }
    }

    /// Whether messages are still handed out.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether the control plane should look now rather than at its next turn.
    pub fn take_urgent(&mut self) -> bool {
        core::mem::take(&mut self.urgent)
    }

    /// The progress of one queue that moved since it was last asked.
    pub fn poll_progress(&mut self) -> Option<Progress> {
        while let Some(slot) = self.dirty.pop_front() {
            if let Some(queue) = self.queues.get_mut(slot).and_then(Option::as_mut) {
                return Some(queue.progress());
            }
        }
        None
    }

    /// A failed message to be handed back.
    pub fn poll_failure(&mut self) -> Option<Failure> {
        self.failed.pop_front()
    }

    /// Orderly: an assignment that was revoked while a handler ran, and whose handler has ended now.
    pub fn poll_ended(&mut self) -> Option<(Arc<MessageQueue>, Epoch)> {
        self.ended.pop_front()
    }

    /// Something a user should know.
    pub fn poll_event(&mut self) -> Option<DispatchEvent> {
        self.events.pop_front()
    }

    /// Messages that could be handed out now, for waking as many takers.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.open && (!self.ring.is_empty() || self.directs.is_waiting())
    }

    /// Whether queues are consumed in order.
    #[must_use]
    pub fn is_orderly(&self) -> bool {
        self.config.orderly
    }

    /// Messages handed out and not settled, over all queues, revoked ones included while a lock waits for them.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        let lingering = u64::try_from(self.lingering.len()).unwrap_or(u64::MAX);
        self.queues.iter().flatten().fold(lingering, |sum, queue| queue.outstanding().saturating_add(sum))
    }

    /// The handler of a revoked queue is done.
    fn end_of(&mut self, taken: &Taken) {
        let Some(left) = self.lingering.get_mut(&taken.batch.epoch) else {
            return;
        };
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.lingering.remove(&taken.batch.epoch);
            self.ended.push_back((taken.batch.queue.clone(), taken.batch.epoch));
            self.urgent = true;
        }
    }

    fn assign(&mut self, queue: Queue, epoch: Epoch) -> usize {
        let slot = self.queues.iter().position(Option::is_none).unwrap_or(self.queues.len());
        match self.queues.get_mut(slot) {
            Some(free) => *free = Some(queue),
            None => self.queues.push(Some(queue)),
        }
        self.by_epoch.insert(epoch, slot);
        slot
    }
}

/// The queue a message was taken from, unless it is no longer ours.
fn queue_of<'q>(queues: &'q mut [Option<Queue>], taken: &Taken) -> Option<&'q mut Queue> {
    let queue = queues.get_mut(taken.slot)?.as_mut()?;
    queue.is(taken.batch.epoch).then_some(queue)
}

/// The largest inflated body: brokers store 4 MiB by default.
const MAX_BODY: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod order_tests;
#[cfg(test)]
pub(crate) mod tests;
