//! Popped messages on their way to handlers: hidden from others for a while, and settled one by one.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::queue::Queue;
use super::{Dispatch, DispatchEvent, Taken, queue_of};
use crate::ids::{Epoch, MessageQueue};
use crate::time::Instant;
use crate::wire::pop::PopHandle;

/// What a batch that was popped has besides its messages.
#[derive(Debug)]
pub struct PopBatch {
    /// The pop; no other of the client has this number.
    pub id: u64,
    /// Of each message of the batch, where it lies and how it is settled.
    pub items: Vec<PopItem>,
    /// Messages that nobody wants.
    pub filtered: Vec<PopHandle>,
}

/// Where a popped message lies, and how it is settled.
#[derive(Clone, Debug)]
pub struct PopItem {
    /// The queue, which may be one of a retry topic.
    pub queue: Arc<MessageQueue>,
    /// What the broker knows it by.
    pub handle: PopHandle,
}

/// What became of a popped message, but for failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PopNews {
    /// The pop.
    pub id: u64,
    /// Its place in the batch.
    pub index: usize,
    /// What.
    pub what: PopOutcome,
}

/// What became of a popped message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PopOutcome {
    /// It is settled.
    Settled,
    /// Its handler needs so much time from now on.
    Extended(Duration),
    /// It was not handed out while it was hidden: it is no longer ours.
    Over,
    /// It is not handed out any more.
    GivenBack,
}

impl Dispatch {
    /// A message of a pop, or all of them, are hidden from others until then; later they are not handed out.
    pub fn hide(&mut self, epoch: Epoch, id: u64, index: Option<usize>, until: Instant) {
        let slot = self.by_epoch.get(&epoch).copied();
        if let Some(queue) = slot.and_then(|slot| self.queues.get_mut(slot)).and_then(Option::as_mut) {
            queue.hide(id, index, until);
        }
    }

    /// Popped messages of an assignment that are not handed out are not any more; those that are may still be settled.
    pub fn give_back(&mut self, epoch: Epoch) {
        if let Some(slot) = self.by_epoch.get(&epoch).copied() {
            self.give_back_slot(slot);
        }
    }

    /// The handler of a message needs so much time from now on. Whether it is still ours.
    pub fn extend(&mut self, taken: &Taken, time: Duration) -> bool {
        let ours = queue_of(&mut self.queues, taken).is_some_and(|queue| queue.is_open(taken.span, taken.index));
        if ours {
            self.tell_popped(taken, PopOutcome::Extended(time));
        }
        ours
    }

    /// What became of a popped message.
    pub fn poll_popped(&mut self) -> Option<PopNews> {
        self.popped.pop_front()
    }

    /// Tells the control plane, if the message was popped.
    pub(super) fn tell_popped(&mut self, taken: &Taken, what: PopOutcome) {
        if let Some(pop) = &taken.batch.pop {
            self.urgent |= self.popped.is_empty();
            self.popped.push_back(PopNews { id: pop.id, index: taken.index, what });
        }
    }

    /// Drops a message whose time is over before anybody had it.
    pub(super) fn drop_over(&mut self, taken: &Taken, now: Instant) -> bool {
        let Some(queue) = queue_of(&mut self.queues, taken) else {
            return false;
        };
        if taken.batch.pop.is_none() || !queue.is_over(taken.span, taken.index, now) {
            return false;
        }
        queue.settle(taken.span, taken.index);
        queue.mark_dirty(taken.slot, &mut self.dirty);
        self.tell_popped(taken, PopOutcome::Over);
        self.events.push_back(DispatchEvent::Expired {
            queue: taken.queue().clone(),
            offset: taken.item().map_or(taken.batch.from, |item| item.offset),
        });
        true
    }

    /// What was popped and is not handed out goes back.
    pub(super) fn give_back_slot(&mut self, slot: usize) {
        let Some(queue) = self.queues.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        let mut given = Vec::new();
        while let Some(taken) = queue.next_popped(slot) {
            queue.settle(taken.span, taken.index);
            given.push(taken);
        }
        queue.mark_dirty(slot, &mut self.dirty);
        for taken in given {
            self.tell_popped(&taken, PopOutcome::GivenBack);
        }
    }
}

impl Queue {
    /// A message of a pop, or all of them, are hidden until then.
    fn hide(&mut self, id: u64, index: Option<usize>, until: Instant) {
        if let Some(times) = self.hidden_of(id) {
            match index {
                Some(index) => {
                    if let Some(time) = times.get_mut(index) {
                        *time = until;
                    }
                }
                None => times.fill(until),
            }
        }
    }
}
