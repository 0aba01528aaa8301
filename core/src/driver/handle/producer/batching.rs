//! Messages that wait for others, and are sent as one.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::time::Duration;
use std::sync::Mutex;

use super::{Inner, Producer};
use crate::config::AutoBatch;
use crate::driver::cell::{Completer, Completion, Lost, Place, Row, cell};
use crate::driver::lock::Lock;
use crate::driver::queue::Permit;
use crate::driver::shared::{Gather, Shared};
use crate::error::{CloseReason, RequestError, RequestFailure, Sent};
use crate::ids::MessageQueue;
use crate::message::Message;
use crate::mutants::mutant;
use crate::send::accumulate::{Accumulator, Key, Pushed, Ready};
use crate::send::{Receipt, SendError, StoredBatch, Target};
use crate::time::Instant;

/// What a producer that batches has in hand.
pub(super) struct Batching {
    state: Mutex<State>,
    delay: Duration,
}

struct State {
    waiting: Accumulator<Waiters>,
    /// Whether a task sends what is due.
    flushing: bool,
    /// The client ends: nothing waits for others any more.
    closing: bool,
    /// Batches that are being sent.
    going: usize,
    /// Who waits until there are none.
    idle: Vec<Completer<()>>,
}

/// Who waits for the messages of a batch, in the order of the messages.
#[derive(Default)]
struct Waiters {
    row: Row<Part>,
    each: Vec<Waiter>,
}

struct Waiter {
    deadline: Instant,
    /// Its place among what is under way, held until the message's end is known.
    permit: Permit<()>,
}

/// How those ended who went together, or one by itself. Each who waits takes their own part of it: what waits stays small.
pub(super) struct Part {
    of: Arc<End>,
    index: usize,
}

enum End {
    Batch(StoredBatch),
    One(Receipt),
    Failed(SendError),
}

impl Part {
    /// How the message ended whose part this is.
    pub(super) fn result(part: Result<Self, Lost>) -> Result<Receipt, SendError> {
        let lost =
            || SendError::Request(RequestError { why: RequestFailure::Closed(CloseReason::Local), sent: Sent::Maybe });
        let Self { of, index } = part.map_err(|_| lost())?;
        match &*of {
            End::Batch(stored) => stored.receipt(index).ok_or_else(lost),
            End::One(receipt) => Ok(receipt.clone()),
            End::Failed(error) => Err(error.clone()),
        }
    }
}

impl Waiters {
    fn join(&mut self, deadline: Instant, permit: Permit<()>) -> Place<Part> {
        self.each.push(Waiter { deadline, permit });
        self.row.push()
    }
}

impl Batching {
    pub(super) fn new(config: AutoBatch, max_message_size: usize) -> Self {
        let waiting = Accumulator::new(config, max_message_size);
        let state = State { waiting, flushing: false, closing: false, going: 0, idle: Vec::new() };
        Self { state: Mutex::new(state), delay: config.max_delay }
    }
}

impl State {
    /// Takes out what is due, which is going from now on.
    fn take_due(&mut self, now: Instant) -> Vec<Ready<Waiters>> {
        let due: Vec<_> = core::iter::from_fn(|| self.waiting.poll(now)).collect();
        self.going = self.going.saturating_add(due.len());
        due
    }

    /// A batch has ended.
    fn gone(&mut self) -> Vec<Completer<()>> {
        self.going = self.going.saturating_sub(1);
        if self.going == 0 { core::mem::take(&mut self.idle) } else { Vec::new() }
    }
}

/// A message that has its place among what is under way.
pub(super) struct Admitted {
    pub(super) message: Message,
    pub(super) target: Target,
    pub(super) permit: Permit<()>,
}

impl Producer {
    /// Lets a message wait for others, from `now` on. It comes back when it goes by itself.
    #[expect(clippy::result_large_err, reason = "it is no error: the message goes another way")]
    pub(super) fn put_together(
        &self,
        admitted: Admitted,
        now: Instant,
        deadline: Instant,
    ) -> Result<Place<Part>, Admitted> {
        let Some(batching) = &self.inner.batching else { return Err(admitted) };
        let queue = match &admitted.target {
            Target::Any => None,
            Target::Queue(queue) => Some(queue),
            Target::Chosen(_) => return Err(admitted),
        };
        let Some(key) = Key::of(&admitted.message, queue) else { return Err(admitted) };
        // A batch has the time of that of its messages which has least: what waited long for room goes by itself.
        let half = self.inner.config.send_timeout.checked_div(2).unwrap_or_default();
        if now.after(batching.delay.max(half)) > deadline {
            return Err(admitted);
        }
        let Admitted { message, target, permit } = admitted;
        let outcome = batching.state.with(|state| {
            if state.closing {
                return Err((message, permit));
            }
            let (place, full) = match state.waiting.push(now, key, message) {
                Pushed::Alone(message) => return Err((message, permit)),
                Pushed::Waits(waiters) => (waiters.join(deadline, permit), None),
                Pushed::Full(ready, waiters) => (waiters.join(deadline, permit), Some(ready)),
            };
            state.going = state.going.saturating_add(usize::from(full.is_some()));
            Ok((place, full, !core::mem::replace(&mut state.flushing, true)))
        });
        let (place, full, begin) = match outcome {
            Err((message, permit)) => return Err(Admitted { message, target, permit }),
            Ok(waits) => waits,
        };
        if begin {
            let flushing = Flushing(Arc::downgrade(&self.inner));
            self.shared().spawn(flush_when_due(flushing, self.shared().clone()));
        }
        if let Some(ready) = full {
            self.flush(ready);
        }
        Ok(place)
    }

    /// Sends a batch that is going, in a task of its own: none of those who wait for it has to be there.
    fn flush(&self, ready: Ready<Waiters>) {
        let going = Going(self.clone());
        self.shared().spawn(async move { going.0.send_together(ready).await });
    }

    async fn send_together(&self, ready: Ready<Waiters>) {
        let target = |queue: &Option<MessageQueue>| queue.clone().map_or(Target::Any, Target::Queue);
        let Ready { queue, mut messages, with: Waiters { mut row, mut each } } = ready;
        // Whose sender is gone is not sent.
        let wanted = row.wanted();
        if wanted.len() < messages.len() {
            messages = chosen(messages, &wanted);
            each = chosen(each, &wanted);
        }
        let Some(deadline) = each.iter().map(|waiter| waiter.deadline).min() else { return };
        let end = match messages.as_slice() {
            [message] => self.deliver(message, target(&queue), deadline).await.map_or_else(End::Failed, End::One),
            all => self.deliver_batch(all, target(&queue), deadline).await.map_or_else(End::Failed, End::Batch),
        };
        give_back(each);
        let (of, last) = (Arc::new(end), wanted.len().saturating_sub(1));
        let part = |index: usize| if mutant!(137) { last.saturating_sub(index) } else { index };
        row.complete(&wanted, (0..).map(|index| Part { of: Arc::clone(&of), index: part(index) }));
    }
}

/// Gives their places among what is under way back, all at once.
fn give_back(each: Vec<Waiter>) {
    let permits = each.into_iter().map(|waiter| waiter.permit);
    drop(permits.reduce(|mut all, one| {
        all.join(one);
        all
    }));
}

/// Those at these places, which are in order.
fn chosen<T>(all: Vec<T>, places: &[usize]) -> Vec<T> {
    let mut places = places.iter().copied().peekable();
    let wanted = |(index, one)| places.next_if_eq(&index).map(|_| one);
    all.into_iter().enumerate().filter_map(wanted).collect()
}

impl Gather for Inner {
    fn gathered(self: Arc<Self>) -> Option<Completion<()>> {
        let producer = Producer { inner: self };
        let Batching { state, .. } = producer.inner.batching.as_ref()?;
        let (all, idle) = state.with(|state| {
            state.closing = true;
            let all = state.take_due(Instant::FAR);
            let idle = (state.going > 0).then(|| {
                let (completer, idle) = cell();
                state.idle.push(completer);
                idle
            });
            (all, idle)
        });
        all.into_iter().for_each(|ready| producer.flush(ready));
        idle
    }
}

/// A batch that is being sent.
struct Going(Producer);

impl Drop for Going {
    fn drop(&mut self) {
        let Some(Batching { state, .. }) = &self.0.inner.batching else { return };
        for completer in state.with(State::gone) {
            if let Ok(Some(waker)) = completer.complete(()) {
                waker.wake();
            }
        }
    }
}

/// The task that sends what is due. When its runtime ends it before its time, nothing waits for others any more.
struct Flushing(Weak<Inner>);

impl Drop for Flushing {
    fn drop(&mut self) {
        let Some(inner) = self.0.upgrade() else { return };
        let Some(Batching { state, .. }) = &inner.batching else { return };
        let lost: Vec<_> = state.with(|state| {
            if !state.flushing {
                return Vec::new();
            }
            state.closing = true;
            core::iter::from_fn(|| state.waiting.poll(Instant::FAR)).collect()
        });
        // Those who wait learn it here, outside the lock.
        drop(lost);
    }
}

/// Sends what is due until nothing waits, or the producer is gone.
async fn flush_when_due(flushing: Flushing, shared: Arc<Shared>) {
    loop {
        let Some(inner) = flushing.0.upgrade() else { return };
        let producer = Producer { inner };
        let Some(Batching { state, .. }) = &producer.inner.batching else { return };
        let now = shared.clock.now();
        let (due, next) = state.with(|state| {
            let due = state.take_due(now);
            let next = state.waiting.poll_timeout().instant(now);
            state.flushing = next.is_some();
            (due, next)
        });
        due.into_iter().for_each(|ready| producer.flush(ready));
        drop(producer);
        let Some(next) = next else { return };
        shared.clock.sleep_until(next).await;
    }
}
