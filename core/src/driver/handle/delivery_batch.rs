//! Several messages of one queue in the hands of their consumer.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::delivery::{DelayLevel, ReceivedMessage};
use super::hook::{ConsumeOutcome, Hooks};
use super::tracer::Handed as Traced;
use crate::dispatch::{Outcome, Taken};
use crate::driver::intake::Intake;
use crate::driver::span::{Handed, Span};
use crate::ids::MessageQueue;

/// Messages of one queue, in order and handed out together, to be settled together: dropped, all of them count as
/// failed.
///
/// In an orderly group nothing more of the queue is handed out before the batch is settled, and those that fail come again
/// before what follows them.
#[must_use = "a batch that is dropped counts as failed and comes again"]
pub struct DeliveryBatch {
    messages: Vec<ReceivedMessage>,
    level: DelayLevel,
    intake: Arc<Intake>,
    hooks: Arc<Hooks>,
    traced: Option<Box<Traced>>,
    settled: bool,
}

impl DeliveryBatch {
    /// Opens messages; those whose bodies cannot be read are given to the poison policy instead, and those that no hook
    /// wants are settled. `None` when none is left.
    pub(super) fn open(many: Vec<Taken>, intake: &Arc<Intake>, hooks: &Arc<Hooks>) -> Option<Self> {
        let mut messages = Vec::with_capacity(many.len());
        let mut many = many.into_iter();
        for taken in many.by_ref() {
            match ReceivedMessage::open(taken) {
                Ok(message) => messages.push(message.within(hooks.namespace())),
                Err((taken, _)) if intake.is_orderly() && !messages.is_empty() => {
                    // What comes before it may still fail: its turn is when that is settled.
                    let rest: Vec<Taken> = core::iter::once(taken).chain(many).collect();
                    intake.put_back(&rest);
                    break;
                }
                Err((taken, cause)) => match intake.poisoned(taken, cause.clone()) {
                    Some(taken) => {
                        messages.push(ReceivedMessage::poison(taken, cause).within(hooks.namespace()));
                    }
                    None if intake.is_orderly() => {
                        // It bars those after it.
                        let rest: Vec<Taken> = many.collect();
                        intake.put_back(&rest);
                        break;
                    }
                    None => {}
                },
            }
        }
        messages.retain(|message| {
            let wanted = hooks.admit(message);
            if !wanted {
                intake.settle(message.taken(), Outcome::Done);
            }
            wanted
        });
        let (level, intake, hooks, settled) = (DelayLevel::BROKER, intake.clone(), hooks.clone(), false);
        let traced = hooks.trace(&messages);
        (!messages.is_empty()).then(|| Self { messages, level, intake, hooks, traced, settled })
    }

    /// The messages, one at least.
    #[must_use]
    pub fn messages(&self) -> &[ReceivedMessage] {
        &self.messages
    }

    /// How many they are.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "there is one at least")]
    pub const fn len(&self) -> usize {
        self.messages.len()
    }

    /// The queue that all of them were pulled from.
    #[must_use]
    pub fn queue(&self) -> Option<&MessageQueue> {
        self.messages.first().map(ReceivedMessage::queue)
    }

    /// Whether an operator has a message handled, which comes alone: see
    /// [`Delivery::is_direct`](super::Delivery::is_direct).
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.messages.iter().any(|message| message.taken().direct.is_some())
    }

    /// After which delay those that fail come again, however they fail; in an orderly group the pause is what is configured.
    /// Default: the broker chooses.
    pub const fn fail_at(&mut self, level: DelayLevel) {
        self.level = level;
    }

    /// All are consumed: see [`Delivery::ack`](super::Delivery::ack).
    pub fn ack(self) {
        self.ack_up_to(usize::MAX);
    }

    /// So many from the first on are consumed, and those after them failed: 0 is the same as
    /// [`DeliveryBatch::retry`]. Java calls the last one consumed `ackIndex`, so this is one more.
    pub fn ack_up_to(mut self, count: usize) {
        let rest = self.failed();
        self.settle(count, Outcome::Done, rest);
    }

    /// All are consumed, and with them all that was acknowledged of the queue before: see
    /// [`Delivery::commit`](super::Delivery::commit).
    pub fn commit(self) {
        self.commit_up_to(usize::MAX);
    }

    /// The same of so many from the first on; those after them failed.
    pub fn commit_up_to(mut self, count: usize) {
        let rest = self.failed();
        self.settle(count, Outcome::Committed, rest);
    }

    /// In an orderly group without auto-commit: all that was acknowledged of the queue since the last commit comes again
    /// after a pause, and then these messages. Else the same as [`DeliveryBatch::retry`].
    pub fn rollback(mut self) {
        self.settle(0, Outcome::Done, Outcome::RolledBack);
    }

    /// All failed: see [`Delivery::retry`](super::Delivery::retry).
    pub fn retry(self) {
        self.ack_up_to(0);
    }

    /// All failed, and come again after this delay: see [`Delivery::retry_at`](super::Delivery::retry_at).
    pub fn retry_at(mut self, level: DelayLevel) {
        self.fail_at(level);
        self.ack_up_to(0);
    }

    /// All failed: in an orderly group the queue waits so long, 10 ms to 30 s, then they come again. Else the same as
    /// [`DeliveryBatch::retry`].
    pub fn suspend(mut self, pause: Duration) {
        self.settle(0, Outcome::Done, Outcome::Suspended { pause });
    }

    /// All failed for good: they go to the dead-letter queue now.
    pub fn dead_letter(mut self) {
        self.settle(0, Outcome::Done, DelayLevel::DEAD_LETTER.failed());
    }

    const fn failed(&self) -> Outcome {
        self.level.failed()
    }

    fn trace_end(&self, outcome: impl Fn(usize) -> ConsumeOutcome) {
        #[cfg(feature = "metrics")]
        for (at, message) in self.messages.iter().enumerate() {
            self.hooks.measure(message, outcome(at), self.intake.now());
        }
        self.hooks.trace_end(self.traced.as_deref(), &self.messages, outcome);
    }

    fn settle(&mut self, count: usize, done: Outcome, rest: Outcome) {
        self.settled = true;
        let outcome = |at| if at < count { done.into() } else { rest.into() };
        self.trace_end(outcome);
        self.intake.settle_many(self.messages.iter().map(ReceivedMessage::taken), count, done, rest);
        for (at, message) in self.messages.iter().enumerate() {
            self.hooks.settled(message, outcome(at));
        }
    }
}

impl Handed for DeliveryBatch {
    fn span(&self) -> Span {
        Span::of_messages(self.hooks.group(), self.messages.first(), self.messages.len())
    }
}

impl Drop for DeliveryBatch {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let (panicking, rest) = (std::thread::panicking(), self.failed());
        let outcome = if panicking { ConsumeOutcome::Panicked } else { ConsumeOutcome::Failed };
        self.trace_end(|_| outcome);
        if panicking && self.is_direct() {
            self.messages.iter().for_each(|message| self.intake.panicked(message.taken()));
        } else {
            let many = self.messages.iter().map(ReceivedMessage::taken);
            self.intake.settle_many(many, 0, Outcome::Done, rest);
        }
        self.messages.iter().for_each(|message| self.hooks.settled(message, outcome));
    }
}

impl core::fmt::Debug for DeliveryBatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DeliveryBatch").field("messages", &self.messages).finish_non_exhaustive()
    }
}
