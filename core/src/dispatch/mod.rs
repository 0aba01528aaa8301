//! What a consumer has pulled and not yet settled.
//!
//! Pure and without wakers: a driver keeps it behind one short lock. Pulled batches come in with
//! [`Dispatch::deliver`], consumers take messages with [`Dispatch::take`] and settle them with
//! [`Dispatch::settle`]; the control plane reads how far each queue is settled with
//! [`Dispatch::poll_progress`]. A committed offset can therefore never pass an unsettled message.

mod batch;
mod queue;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

pub use batch::{Batch, Content, Item, Poison, PoisonCause};

use bytes::Bytes;

use crate::config::ConsumerConfig;
use crate::ids::{Epoch, MessageQueue, QueueOffset};
use crate::mutants::mutant;
use crate::wire::body::MessageModel;
use crate::wire::compress::{InflateError, inflate};
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
    failed: VecDeque<Failure>,
    events: VecDeque<DispatchEvent>,
    dirty: VecDeque<usize>,
    open: bool,
    urgent: bool,
}

/// How a consumer wants its messages handed out.
#[derive(Clone, Copy, Debug)]
pub struct DispatchConfig {
    /// What to do with a record that cannot be decoded.
    pub on_poison: PoisonPolicy,
    /// Unsettled messages of a queue at which the control plane is woken to pull on.
    pub low_messages: u64,
    /// Pinned bytes of a queue at which the control plane is woken to pull on.
    pub low_bytes: u64,
    /// Whether a failed message is done (broadcasting) or goes back to the broker (clustering).
    pub drop_failed: bool,
}

impl DispatchConfig {
    /// What a consumer's configuration asks for.
    #[must_use]
    pub fn of(config: &ConsumerConfig) -> Self {
        Self {
            on_poison: match (config.model, config.on_poison) {
                // There is nobody to hand it back to.
                (MessageModel::Broadcasting, PoisonPolicy::SendBack) => PoisonPolicy::Skip,
                (_, policy) => policy,
            },
            low_messages: u64::from(config.queue_messages) / 2,
            low_bytes: u64::from(config.queue_mib).saturating_mul(MIB) / 2,
            drop_failed: config.model == MessageModel::Broadcasting,
        }
    }
}

/// What to do with a record that cannot be decoded: undecodable, body checksum wrong, or not inflatable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoisonPolicy {
    /// Hand it back to the broker by its physical offset; a refusal stops the queue. In broadcasting, where nothing is
    /// handed back, it is passed over as by `Skip`.
    #[default]
    SendBack,
    /// Stop handing out this queue at the record.
    Stop,
    /// Pass over it, with an event.
    Skip,
    /// Hand it to the consumer as it is: `delivery.poison()` gives the reason.
    Deliver,
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
    pub(crate) slot: usize,
    pub(crate) span: u64,
}

impl Taken {
    /// The item itself.
    #[must_use]
    pub fn item(&self) -> Option<&Item> {
        self.batch.items.get(self.index)
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
    /// Consumed: the offset may pass it.
    Done,
    /// Failed: hand it back at this delay level (0 lets the broker choose, negative means dead letter).
    Failed {
        /// The delay level.
        level: i32,
    },
}

/// Whether settling had an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It counts.
    Applied,
    /// The queue is no longer ours: nothing is sent, the offset is not passed, the message comes again elsewhere.
    Released,
}

/// A failed message on its way back to the broker; the offset stays behind it until that succeeds.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The message.
    pub taken: Taken,
    /// The delay level.
    pub level: i32,
    /// The reason, when the record is poison.
    pub poison: Option<PoisonCause>,
}

/// Something a user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DispatchEvent {
    /// A record could not be decoded.
    Poison {
        /// The queue.
        queue: MessageQueue,
        /// Its offset in the queue.
        offset: QueueOffset,
        /// Why.
        reason: PoisonCause,
        /// What is done about it.
        policy: PoisonPolicy,
    },
    /// A failed message of a broadcasting group was passed over.
    Dropped {
        /// The queue.
        queue: MessageQueue,
        /// Its offset in the queue.
        offset: QueueOffset,
    },
}

/// How far a queue is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The queue.
    pub queue: Arc<MessageQueue>,
    /// The assignment.
    pub epoch: Epoch,
    /// Everything below is settled.
    pub settled_to: QueueOffset,
    /// Messages settled since the assignment.
    pub settled: u64,
    /// Frame bytes let go since the assignment.
    pub released_bytes: u64,
    /// Messages handed out and not settled.
    pub outstanding: u64,
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
            failed: VecDeque::new(),
            events: VecDeque::new(),
            dirty: VecDeque::new(),
            open: true,
            urgent: false,
        }
    }

    /// Takes in a pulled batch. A batch of an unknown assignment opens it, at the batch's first offset.
    ///
    /// Returns how many messages it makes ready.
    pub fn deliver(&mut self, batch: Arc<Batch>) -> usize {
        let ready = batch.items.len();
        let slot = match self.by_epoch.get(&batch.epoch) {
            Some(slot) => *slot,
            None => self.assign(Queue::new(batch.queue.clone(), batch.epoch, batch.from), batch.epoch),
        };
        let Some(queue) = self.queues.get_mut(slot).and_then(Option::as_mut) else {
            return 0;
        };
        queue.push(batch);
        queue.mark_dirty(slot, &mut self.dirty);
        queue.enter_ring(slot, &mut self.ring);
        if self.open { ready } else { 0 }
    }

    /// Hands out the next message, `None` when there is none now.
    pub fn take(&mut self) -> Option<Taken> {
        if !self.open {
            return None;
        }
        while let Some(&slot) = self.ring.front() {
            let Some(queue) = self.queues.get_mut(slot).and_then(Option::as_mut) else {
                self.ring.pop_front();
                continue;
            };
            let Some(next) = queue.next(slot) else {
                queue.leave_ring();
                self.ring.pop_front();
                continue;
            };
            if next.last_of_batch && self.ring.len() > 1 {
                self.ring.rotate_left(1);
            }
            let poison = match next.taken.item().map(|item| &item.content) {
                Some(Content::Poison(poison)) => Some(poison.cause.clone()),
                Some(Content::Record(_)) | None => None,
            };
            match poison {
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
        let policy = self.config.on_poison;
        // Of a queue that is no longer ours nothing is sent, and nothing passed.
        queue_of(&mut self.queues, &taken)?;
        self.events.push_back(DispatchEvent::Poison {
            queue: (*taken.batch.queue).clone(),
            offset: taken.item().map_or(taken.batch.from, |item| item.offset),
            reason: reason.clone(),
            policy,
        });
        self.urgent = true;
        match policy {
            PoisonPolicy::Deliver => return Some(taken),
            PoisonPolicy::SendBack => self.failed.push_back(Failure { taken, level: 0, poison: Some(reason) }),
            PoisonPolicy::Skip => {
                self.settle(&taken, Outcome::Done);
            }
            PoisonPolicy::Stop => self.stop_queue(&taken),
        }
        None
    }

    /// Settles a message handed out.
    pub fn settle(&mut self, taken: &Taken, outcome: Outcome) -> Settled {
        let config = self.config;
        let Some(queue) = queue_of(&mut self.queues, taken) else {
            return Settled::Released;
        };
        match outcome {
            Outcome::Failed { level } if !config.drop_failed => {
                let failure = Failure { taken: taken.clone(), level, poison: None };
                self.failed.push_back(failure);
                self.urgent = true;
            }
            Outcome::Done | Outcome::Failed { .. } => {
                let crossed_low = queue.settle(taken.span, taken.index, &config);
                queue.mark_dirty(taken.slot, &mut self.dirty);
                let dropped = outcome != Outcome::Done;
                if dropped {
                    let offset = taken.item().map_or(taken.batch.from, |item| item.offset);
                    self.events.push_back(DispatchEvent::Dropped { queue: (*taken.batch.queue).clone(), offset });
                }
                self.urgent |= crossed_low || dropped || !self.open;
            }
        }
        Settled::Applied
    }

    /// A failed message could not go back to the broker: hand it out again here.
    ///
    /// Returns whether its queue is still ours.
    pub fn redeliver(&mut self, taken: &Taken) -> bool {
        let Some(queue) = queue_of(&mut self.queues, taken) else {
            return false;
        };
        queue.redeliver(taken);
        queue.enter_ring(taken.slot, &mut self.ring);
        true
    }

    /// Stops handing out a queue for good: its next message cannot be passed.
    pub fn stop_queue(&mut self, taken: &Taken) {
        if let Some(queue) = queue_of(&mut self.queues, taken) {
            queue.stop();
        }
    }

    /// The queue is no longer ours: drops what was not handed out, forgets what was.
    ///
    /// Returns its last progress; later settlements of it are [`Settled::Released`].
    pub fn revoke(&mut self, epoch: Epoch) -> Option<Progress> {
        let slot = self.by_epoch.remove(&epoch)?;
        let mut gone = self.queues.get_mut(slot)?.take()?;
        self.ring.retain(|member| *member != slot);
        self.dirty.retain(|member| *member != slot);
        self.failed.retain(|failure| failure.taken.slot != slot);
        Some(gone.progress())
    }

    /// Hands out nothing more; messages already handed out may still be settled.
    pub fn close(&mut self) {
        self.open = false;
        self.urgent = true;
        for (slot, queue) in self.queues.iter_mut().enumerate() {
            if let Some(queue) = queue {
                queue.mark_dirty(slot, &mut self.dirty);
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

    /// Something a user should know.
    pub fn poll_event(&mut self) -> Option<DispatchEvent> {
        self.events.pop_front()
    }

    /// Messages that could be handed out now, for waking as many takers.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.open && !self.ring.is_empty()
    }

    /// Messages handed out and not settled, over all queues.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.queues.iter().flatten().fold(0, |sum, queue| queue.outstanding().saturating_add(sum))
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
const MIB: u64 = 1024 * 1024;

#[cfg(test)]
mod tests;
