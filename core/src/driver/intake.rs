//! A consumer's `Dispatch` behind its lock, and who waits for its messages.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use super::inbox::Inbox;
use super::lock::{Lock, Locks, StdLocks};
use super::runtime::Clock;
use crate::config::ConsumerConfig;
use crate::dispatch::{
    Batch, DirectEnd, Dispatch, DispatchConfig, DispatchEvent, Failure, Outcome, PoisonCause, PopNews, Progress,
    Settled, Taken,
};
use crate::ids::{Epoch, MessageQueue};
use crate::time::Instant;

/// The messages of one consumer, shared by its handles and the client task.
pub(super) struct Intake<L: Locks = StdLocks> {
    state: L::Lock<State>,
    /// The client task has something to look at.
    dirty: AtomicBool,
    inbox: Inbox<L>,
    clock: Arc<dyn Clock>,
    orderly: bool,
}

struct State {
    dispatch: Dispatch,
    /// Who waits, first come first served; `None` for one that was woken and has not come back.
    waiters: BTreeMap<u64, Option<Waker>>,
    next_waiter: u64,
    drained_told: bool,
}

/// What the client task found in a dispatch.
#[derive(Default)]
pub(super) struct News {
    pub(super) progress: Vec<Progress>,
    pub(super) failures: Vec<Failure>,
    pub(super) popped: Vec<PopNews>,
    pub(super) ended: Vec<(Arc<MessageQueue>, Epoch)>,
    pub(super) directs: Vec<DirectEnd>,
    pub(super) events: Vec<DispatchEvent>,
    pub(super) drained: bool,
}

impl<L: Locks> Intake<L> {
    pub(super) fn new(config: &ConsumerConfig, inbox: Inbox<L>, clock: &Arc<dyn Clock>) -> Self {
        let dispatch = Dispatch::new(DispatchConfig::of(config));
        let state = State { dispatch, waiters: BTreeMap::new(), next_waiter: 0, drained_told: false };
        let (clock, orderly) = (clock.clone(), config.is_orderly());
        Self { state: L::Lock::new(state), dirty: AtomicBool::new(false), inbox, clock, orderly }
    }

    /// Takes in a batch and wakes as many takers as it has messages.
    pub(super) fn deliver(&self, batch: Arc<Batch>) {
        let wakers = self.state.with(|state| {
            let ready = state.dispatch.deliver(batch);
            state.wake(ready)
        });
        self.dirty.store(true, Ordering::Release);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Takes in a message that an operator wants handled.
    pub(super) fn deliver_direct(&self, id: u64, batch: Arc<Batch>) {
        let wakers = self.state.with(|state| {
            let ready = state.dispatch.deliver_direct(id, batch);
            state.wake(usize::from(ready))
        });
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn cancel_direct(&self, id: u64) {
        self.state.with(|state| state.dispatch.cancel_direct(id));
    }

    /// The next message; `None` when there will be no more.
    pub(super) fn poll_take(&self, waiter: &mut Option<u64>, cx: &mut Context<'_>) -> Poll<Option<Taken>> {
        self.poll_with(waiter, cx, Dispatch::take)
    }

    /// The next messages of one queue, so many at most.
    pub(super) fn poll_take_many(
        &self,
        most: usize,
        waiter: &mut Option<u64>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Vec<Taken>>> {
        self.poll_with(waiter, cx, |dispatch, now| {
            let many = dispatch.take_many(now, most);
            (!many.is_empty()).then_some(many)
        })
    }

    fn poll_with<T>(
        &self,
        waiter: &mut Option<u64>,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut Dispatch, Instant) -> Option<T>,
    ) -> Poll<Option<T>> {
        let waker = cx.waker().clone();
        let now = self.clock.now();
        let (result, urgent) = self.state.with(|state| {
            let place = waiter.take();
            if let Some(place) = place {
                state.waiters.remove(&place);
            }
            if !state.dispatch.is_open() {
                return (Poll::Ready(None), false);
            }
            match take(&mut state.dispatch, now) {
                Some(taken) => (Poll::Ready(Some(taken)), state.dispatch.take_urgent()),
                None => {
                    // Who finds nothing keeps its place in the order.
                    let place = place.unwrap_or(state.next_waiter);
                    state.next_waiter = state.next_waiter.max(place.saturating_add(1));
                    state.waiters.insert(place, Some(waker));
                    *waiter = Some(place);
                    (Poll::Pending, state.dispatch.take_urgent())
                }
            }
        });
        if self.orderly && result.is_ready() {
            // Whether a handler runs matters when the lock of its queue is lost.
            self.dirty.store(true, Ordering::Release);
        }
        self.nudge_if(urgent);
        result
    }

    /// A waiter goes away; if it was woken for a message, another is.
    pub(super) fn leave(&self, waiter: u64) {
        let wakers = self.state.with(|state| match state.waiters.remove(&waiter) {
            Some(None) if state.dispatch.has_ready() => state.wake(1),
            Some(_) | None => Vec::new(),
        });
        wakers.into_iter().for_each(Waker::wake);
    }

    /// A handler is done with a message.
    pub(super) fn settle(&self, taken: &Taken, outcome: Outcome) -> Settled {
        let now = self.clock.now();
        self.change(|dispatch| {
            dispatch.count(now, taken, outcome);
            dispatch.settle(taken, outcome)
        })
    }

    /// The handler of a message panicked.
    pub(super) fn panicked(&self, taken: &Taken) {
        let (now, outcome) = (self.clock.now(), Outcome::Failed { level: 0 });
        self.change(|dispatch| {
            dispatch.count(now, taken, outcome);
            dispatch.panicked(taken)
        });
    }

    /// Settles messages handed out together: so many from the first on as `done`, the others as `rest`.
    pub(super) fn settle_many<'t>(
        &self,
        many: impl Iterator<Item = &'t Taken>,
        first: usize,
        done: Outcome,
        rest: Outcome,
    ) {
        let now = self.clock.now();
        self.change(|dispatch| dispatch.settle_many(now, many, first, done, rest));
    }

    /// Messages that were handed out come again as if they never had.
    pub(super) fn put_back(&self, many: &[Taken]) {
        self.change(|dispatch| dispatch.put_back(many));
    }

    /// A failed message is with the broker.
    pub(super) fn returned(&self, taken: &Taken) {
        self.change(|dispatch| dispatch.returned(taken));
    }

    /// Looks for handlers that take too long.
    pub(super) fn look_for_overdue(&self) {
        self.change(Dispatch::look_for_overdue);
    }

    /// What time it is.
    #[cfg(feature = "metrics")]
    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Whether queues are consumed in order.
    pub(super) const fn is_orderly(&self) -> bool {
        self.orderly
    }

    fn change<T>(&self, change: impl FnOnce(&mut Dispatch) -> T) -> T {
        let (result, urgent, wakers) = self.state.with(|state| {
            let result = change(&mut state.dispatch);
            // The next of its queue had to wait for it.
            let next = state.dispatch.is_orderly() && state.dispatch.has_ready();
            (result, state.dispatch.take_urgent(), state.wake(usize::from(next)))
        });
        self.dirty.store(true, Ordering::Release);
        self.nudge_if(urgent);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// Orderly: the lock of a queue is ours until then.
    pub(super) fn lease(&self, epoch: Epoch, until: Instant) {
        let wakers = self.state.with(|state| {
            let ready = state.dispatch.lease(epoch, until);
            state.wake(usize::from(ready))
        });
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The control plane is told when a queue has no more than this in hand.
    pub(super) fn tell_low(&self, epoch: Epoch, messages: u64, bytes: u64) {
        let urgent = self.state.with(|state| {
            state.dispatch.tell_low(epoch, messages, bytes);
            state.dispatch.take_urgent()
        });
        self.nudge_if(urgent);
    }

    /// The body of a message cannot be read: the policy decides; it comes back when it is to be delivered all the same.
    pub(super) fn poisoned(&self, taken: Taken, cause: PoisonCause) -> Option<Taken> {
        let (taken, urgent) = self.state.with(|state| {
            let taken = state.dispatch.poisoned(taken, cause);
            (taken, state.dispatch.take_urgent())
        });
        self.nudge_if(urgent);
        taken
    }

    /// Popped: messages are hidden from others until then.
    pub(super) fn hide(&self, epoch: Epoch, id: u64, index: Option<usize>, until: Instant) {
        self.state.with(|state| state.dispatch.hide(epoch, id, index, until));
    }

    /// Popped: what is not handed out is not any more.
    pub(super) fn give_back(&self, epoch: Epoch) {
        let urgent = self.state.with(|state| {
            state.dispatch.give_back(epoch);
            state.dispatch.take_urgent()
        });
        self.nudge_if(urgent);
    }

    /// Popped: a handler needs so much time. Whether the message is still ours.
    pub(super) fn extend(&self, taken: &Taken, time: Duration) -> bool {
        let (ours, urgent) = self.state.with(|state| {
            let ours = state.dispatch.extend(taken, time);
            (ours, state.dispatch.take_urgent())
        });
        self.nudge_if(urgent);
        ours
    }

    pub(super) fn redeliver(&self, taken: &Taken) {
        let (wakers, urgent) = self.state.with(|state| {
            let ready = state.dispatch.redeliver(taken) && state.dispatch.has_ready();
            (state.wake(usize::from(ready)), state.dispatch.take_urgent())
        });
        self.dirty.store(true, Ordering::Release);
        self.nudge_if(urgent);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn stop_queue(&self, taken: &Taken) {
        self.state.with(|state| state.dispatch.stop_queue(taken));
        self.dirty.store(true, Ordering::Release);
    }

    pub(super) fn revoke(&self, epoch: Epoch) -> Option<Progress> {
        self.state.with(|state| state.dispatch.revoke(epoch))
    }

    /// Hands out nothing more; everybody who waits learns it.
    pub(super) fn close(&self) {
        let wakers = self.state.with(|state| {
            state.dispatch.close();
            // The client task may have been told before it asked.
            state.drained_told = false;
            state.wake_all()
        });
        self.dirty.store(true, Ordering::Release);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// What the client task has to know, with at most so many failures.
    pub(super) fn news(&self, failures: usize) -> News {
        let mut news = News::default();
        if !self.dirty.swap(false, Ordering::AcqRel) {
            return news;
        }
        self.state.with(|state| {
            news.progress.extend(core::iter::from_fn(|| state.dispatch.poll_progress()));
            news.popped.extend(core::iter::from_fn(|| state.dispatch.poll_popped()));
            news.directs.extend(core::iter::from_fn(|| state.dispatch.poll_direct()));
            news.ended.extend(core::iter::from_fn(|| state.dispatch.poll_ended()));
            news.events.extend(core::iter::from_fn(|| state.dispatch.poll_event()));
            news.failures.extend(core::iter::from_fn(|| state.dispatch.poll_failure()).take(failures));
            if !state.dispatch.is_open() && state.dispatch.outstanding() == 0 {
                news.drained = !core::mem::replace(&mut state.drained_told, true);
            }
        });
        if news.failures.len() == failures {
            self.dirty.store(true, Ordering::Release);
        }
        news
    }

    fn nudge_if(&self, urgent: bool) {
        if urgent {
            self.dirty.store(true, Ordering::Release);
            self.inbox.nudge();
        }
    }
}

impl State {
    /// Wakes the first `count` waiters that are not woken yet.
    fn wake(&mut self, count: usize) -> Vec<Waker> {
        self.waiters.values_mut().filter_map(Option::take).take(count).collect()
    }

    fn wake_all(&mut self) -> Vec<Waker> {
        self.waiters.values_mut().filter_map(Option::take).collect()
    }
}

/// A future's place among those who wait for the next message. Dropped, it passes its turn on.
pub(super) struct Turn<L: Locks = StdLocks> {
    intake: Arc<Intake<L>>,
    waiter: Option<u64>,
}

impl<L: Locks> Turn<L> {
    pub(super) fn new(intake: Arc<Intake<L>>) -> Self {
        Self { intake, waiter: None }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Taken>> {
        self.intake.poll_take(&mut self.waiter, cx)
    }

    pub(super) fn poll_many(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<Option<Vec<Taken>>> {
        self.intake.poll_take_many(most, &mut self.waiter, cx)
    }

    pub(super) fn intake(&self) -> &Arc<Intake<L>> {
        &self.intake
    }
}

impl<L: Locks> Drop for Turn<L> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            self.intake.leave(waiter);
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
