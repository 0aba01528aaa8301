//! Messages that wait for others, and are sent as one.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::time::Duration;
use std::sync::Mutex;

use super::{Inner, Producer};
use crate::config::AutoBatch;
use crate::driver::cell::{Completer, Completion, cell};
use crate::driver::lock::Lock;
use crate::driver::queue::Permit;
use crate::driver::shared::{Gather, Shared};
use crate::error::{CloseReason, RequestError, RequestFailure, Sent};
use crate::ids::MessageQueue;
use crate::message::Message;
use crate::mutants::mutant;
use crate::send::accumulate::{Accumulator, Key, Pushed, Ready};
use crate::send::{Receipt, SendError, Target};
use crate::time::Instant;

/// What a producer that batches has in hand.
pub(super) struct Batching {
    state: Mutex<State>,
    delay: Duration,
}

struct State {
    waiting: Accumulator<Waiter>,
    /// Whether a task sends what is due.
    flushing: bool,
    /// The client ends: nothing waits for others any more.
    closing: bool,
    /// Batches that are being sent.
    going: usize,
    /// Who waits until there are none.
    idle: Vec<Completer<()>>,
}

/// Who waits for a message of a batch.
struct Waiter {
    reply: Completer<Result<Receipt, SendError>>,
    deadline: Instant,
    /// Its place among what is under way.
    permit: Permit<()>,
}

impl Batching {
    pub(super) fn new(config: AutoBatch) -> Self {
        let waiting = Accumulator::new(config);
        let state = State { waiting, flushing: false, closing: false, going: 0, idle: Vec::new() };
        Self { state: Mutex::new(state), delay: config.max_delay }
    }
}

impl State {
    /// Takes out what is due, which is going from now on.
    fn take_due(&mut self, now: Instant) -> Vec<Ready<Waiter>> {
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

impl Producer {
    /// Lets a message wait for others. It comes back when it goes by itself.
    #[expect(clippy::result_large_err, reason = "it is no error: the message goes another way")]
    pub(super) fn put_together(
        &self,
        message: Message,
        target: Target,
        deadline: Instant,
        permit: Permit<()>,
    ) -> Result<impl Future<Output = Result<Receipt, SendError>> + use<>, (Message, Target, Permit<()>)> {
        let queue = match (&self.inner.batching, &target) {
            (Some(_), Target::Any) => None,
            (Some(_), Target::Queue(queue)) => Some(queue),
            (None, _) | (Some(_), Target::Chosen(_)) => return Err((message, target, permit)),
        };
        let Some((batching, key)) = self.inner.batching.as_ref().zip(Key::of(&message, queue)) else {
            return Err((message, target, permit));
        };
        let now = self.shared().clock.now();
        // What waited long for room has no time to wait for others.
        if now.after(batching.delay) >= deadline {
            return Err((message, target, permit));
        }
        let (reply, result) = cell();
        let (pushed, begin) = batching.state.with(|state| {
            let waiter = Waiter { reply, deadline, permit };
            if state.closing {
                return (Pushed::Alone(message, waiter), false);
            }
            let pushed = state.waiting.push(now, key, message, waiter);
            state.going = state.going.saturating_add(usize::from(matches!(pushed, Pushed::Full(_))));
            let begin = !matches!(pushed, Pushed::Alone(..)) && !core::mem::replace(&mut state.flushing, true);
            (pushed, begin)
        });
        if begin {
            self.shared().spawn(flush_when_due(Arc::downgrade(&self.inner), self.shared().clone()));
        }
        match pushed {
            Pushed::Alone(message, waiter) => return Err((message, target, waiter.permit)),
            Pushed::Waits => {}
            Pushed::Full(ready) => self.flush(ready),
        }
        Ok(ended(result))
    }

    /// Sends a batch that is going, in a task of its own: none of those who wait for it has to be there.
    fn flush(&self, ready: Ready<Waiter>) {
        let going = Going(self.clone());
        self.shared().spawn(async move { going.0.send_together(ready).await });
    }

    async fn send_together(&self, ready: Ready<Waiter>) {
        let target = |queue: &Option<MessageQueue>| queue.clone().map_or(Target::Any, Target::Queue);
        // Whose sender is gone is not sent.
        let wanted = ready.messages.into_iter().filter(|(_, waiter)| !waiter.reply.is_abandoned());
        let (messages, waiters): (Vec<_>, Vec<_>) = wanted.unzip();
        let Some(deadline) = waiters.iter().map(|waiter| waiter.deadline).min() else { return };
        if messages.len() > 1 {
            match self.deliver_batch(&messages, target(&ready.queue), deadline).await {
                // A message that cannot be written fails alone.
                Err(SendError::Message(_)) => {}
                Ok(receipt) => {
                    let mut receipts = receipt.messages;
                    if mutant!(137) {
                        receipts.reverse();
                    }
                    return complete(waiters, receipts.into_iter().map(Ok));
                }
                Err(error) => return complete(waiters, core::iter::repeat(Err(error))),
            }
        }
        for (message, waiter) in messages.into_iter().zip(waiters) {
            let result = self.deliver(&message, target(&ready.queue), waiter.deadline).await;
            complete([waiter], [result]);
        }
    }
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

/// Sends what is due until nothing waits, or the producer is gone.
async fn flush_when_due(inner: Weak<Inner>, shared: Arc<Shared>) {
    loop {
        let Some(inner) = inner.upgrade() else { return };
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

fn complete(waiters: impl IntoIterator<Item = Waiter>, results: impl IntoIterator<Item = Result<Receipt, SendError>>) {
    for (Waiter { reply, permit, .. }, result) in waiters.into_iter().zip(results) {
        drop(permit);
        if let Ok(Some(waker)) = reply.complete(result) {
            waker.wake();
        }
    }
}

/// The end of a message of a batch.
async fn ended(result: Completion<Result<Receipt, SendError>>) -> Result<Receipt, SendError> {
    let lost = RequestError { why: RequestFailure::Closed(CloseReason::Local), sent: Sent::Maybe };
    result.await.unwrap_or(Err(SendError::Request(lost)))
}
