//! What users hear of the messages that a push consumer handles.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::ReceivedMessage;
use super::tracer::{ConsumeTrace, Handed, Tracer};
use crate::dispatch::Outcome;
use crate::ids::Group;
use crate::namespace::Namespace;

/// Hears of each message that a push consumer hands out and of how it is settled, and may keep messages from being
/// handed out. Batches are told message by message.
///
/// It is called in the task that takes or settles the message, and must not block. Where it panics, it is as if it had
/// not been asked: the message is wanted, and nothing else comes of it.
pub trait ConsumeHook: Send + Sync {
    /// Whether this message is to be handed out. One that is not counts as acknowledged, and nothing more is told of it.
    /// Every message is asked about each time it comes, pulled or popped, but for those that an operator has handled: that
    /// is wanted.
    fn wants(&self, context: &ConsumeContext<'_>) -> bool {
        let _ = context;
        true
    }

    /// A message is handed out now.
    fn before(&self, context: &ConsumeContext<'_>) {
        let _ = context;
    }

    /// A message that was handed out is settled.
    fn after(&self, context: &ConsumeContext<'_>, outcome: ConsumeOutcome) {
        let _ = (context, outcome);
    }
}

/// A message that is handled.
#[derive(Clone, Copy, Debug)]
pub struct ConsumeContext<'a> {
    /// The consumer group.
    pub group: &'a Group,
    /// The message.
    pub message: &'a ReceivedMessage,
    /// Whether an operator has it handled: see [`Delivery::is_direct`](super::Delivery::is_direct).
    pub direct: bool,
}

/// What a handler said of its message. It counts no more when the queue has moved meanwhile, or the message was handed
/// back since its handler took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumeOutcome {
    /// It is acknowledged or committed.
    Consumed,
    /// It failed, or was dropped: it comes again, or is a dead letter.
    Failed,
    /// The handler panicked: it failed.
    Panicked,
}

/// The hooks of a consumer, in the order in which they were added, and its trace.
pub(super) struct Hooks {
    group: Group,
    namespace: Option<Namespace>,
    all: Vec<Arc<dyn ConsumeHook>>,
    trace: Option<ConsumeTrace>,
}

impl Hooks {
    pub(super) fn new(
        group: Group,
        namespace: Option<Namespace>,
        all: Vec<Arc<dyn ConsumeHook>>,
        trace: Option<ConsumeTrace>,
    ) -> Arc<Self> {
        Arc::new(Self { group, namespace, all, trace })
    }

    /// The namespace that messages are seen from.
    pub(super) const fn namespace(&self) -> Option<&Namespace> {
        self.namespace.as_ref()
    }

    pub(super) fn tracer(&self) -> Option<&Tracer> {
        self.trace.as_ref().map(ConsumeTrace::tracer)
    }

    /// Messages are handed out together.
    pub(super) fn trace(&self, messages: &[ReceivedMessage]) -> Option<Box<Handed>> {
        self.trace.as_ref()?.handed_out(messages)
    }

    /// They are about to be settled: so the last records are there before anybody hears that nothing is in hand any more.
    pub(super) fn trace_end(
        &self,
        handed: Option<&Handed>,
        messages: &[ReceivedMessage],
        outcome: impl Fn(usize) -> ConsumeOutcome,
    ) {
        if let (Some(trace), Some(handed)) = (&self.trace, handed) {
            trace.settled(handed, messages, outcome);
        }
    }

    /// Whether a message is to be handed out; the hooks are told if it is.
    pub(super) fn admit(&self, message: &ReceivedMessage) -> bool {
        let context = self.context(message);
        let wants = |hook: &Arc<dyn ConsumeHook>| guarded(|| hook.wants(&context)).unwrap_or(true);
        if !context.direct && !self.all.iter().all(wants) {
            return false;
        }
        for hook in &self.all {
            guarded(|| hook.before(&context));
        }
        true
    }

    /// Tells how a message was settled.
    pub(super) fn settled(&self, message: &ReceivedMessage, outcome: ConsumeOutcome) {
        let context = self.context(message);
        for hook in &self.all {
            guarded(|| hook.after(&context, outcome));
        }
    }

    /// Counts a message that a handler is done with now.
    #[cfg(feature = "metrics")]
    pub(super) fn measure(&self, message: &ReceivedMessage, outcome: ConsumeOutcome, now: crate::time::Instant) {
        let taken = message.taken();
        // What an operator had handled is no part of what the group consumes.
        if taken.direct.is_none() {
            crate::driver::metrics::handled(&self.group, message.queue(), outcome, now.since(taken.at));
        }
    }

    /// The group.
    pub(super) const fn group(&self) -> &Group {
        &self.group
    }

    fn context<'a>(&'a self, message: &'a ReceivedMessage) -> ConsumeContext<'a> {
        ConsumeContext { group: &self.group, message, direct: message.taken().direct.is_some() }
    }
}

impl From<Outcome> for ConsumeOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done | Outcome::Committed => Self::Consumed,
            Outcome::Failed { .. } | Outcome::Suspended { .. } | Outcome::RolledBack => Self::Failed,
        }
    }
}

/// What a hook says, unless it panics: it must not take the consumer with it.
fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};
    use core::future::poll_fn;
    use core::task::{Context, Poll};
    use std::sync::Mutex;

    use super::super::{Delivery, DeliveryBatch};
    use super::*;
    use crate::config::ConsumeMode;
    use crate::dispatch::tests::readable;
    use crate::driver::intake::{Intake, Turn, tests};

    /// Notes all that is told; wants no messages with these offsets, and panics where it is told to.
    #[derive(Default)]
    struct Notes {
        rows: Arc<Mutex<Vec<String>>>,
        unwanted: Vec<u64>,
        panics: bool,
    }

    impl Notes {
        fn note(&self, row: String) {
            self.rows.lock().unwrap().push(row);
            assert!(!self.panics, "a hook that panics");
        }
    }

    impl ConsumeHook for Notes {
        fn wants(&self, context: &ConsumeContext<'_>) -> bool {
            assert!(!self.panics, "a hook that panics");
            !self.unwanted.contains(&context.message.queue_offset().get())
        }

        fn before(&self, context: &ConsumeContext<'_>) {
            self.note(alloc::format!("{} {}", context.group, context.message.queue_offset()));
        }

        fn after(&self, context: &ConsumeContext<'_>, outcome: ConsumeOutcome) {
            self.note(alloc::format!("{} {outcome:?}", context.message.queue_offset()));
        }
    }

    /// Four messages, and what hooks hear of them.
    struct World {
        intake: Arc<Intake>,
        hooks: Arc<Hooks>,
        rows: Arc<Mutex<Vec<String>>>,
    }

    fn world(mode: ConsumeMode, unwanted: &[u64], panics: bool) -> World {
        let (intake, _) = tests::intake_of(mode, 0);
        intake.lease(crate::ids::Epoch(1), crate::time::Instant::FAR);
        intake.deliver(readable(0, 1, 0..4, &[0, 1, 2, 3]));
        let rows = Arc::<Mutex<Vec<String>>>::default();
        let notes = |panics| Notes { rows: rows.clone(), unwanted: unwanted.to_vec(), panics };
        let all: [Arc<dyn ConsumeHook>; 2] = [Arc::new(notes(panics)), Arc::new(notes(false))];
        let all = if panics { all.to_vec() } else { all[1..].to_vec() };
        World { hooks: Hooks::new("g".into(), None, all, None), intake, rows }
    }

    impl World {
        /// The next message that is wanted.
        fn next(&self) -> Option<Delivery> {
            loop {
                let mut turn = Turn::new(self.intake.clone());
                let Poll::Ready(taken) = turn.poll(&mut Context::from_waker(core::task::Waker::noop())) else {
                    return None;
                };
                if let Some(delivery) = Delivery::open(taken?, &self.intake, &self.hooks) {
                    return Some(delivery);
                }
            }
        }

        fn next_batch(&self, most: usize) -> Option<DeliveryBatch> {
            let mut turn = Turn::new(self.intake.clone());
            let many = futures_lite::future::block_on(poll_fn(|cx| turn.poll_many(most, cx)))?;
            DeliveryBatch::open(many, &self.intake, &self.hooks)
        }

        fn rows(&self) -> Vec<String> {
            core::mem::take(&mut *self.rows.lock().unwrap())
        }

        /// How far the queue is settled.
        fn settled_to(&self) -> u64 {
            self.intake.news(usize::MAX).progress.last().map_or(0, |progress| progress.settled_to.get())
        }
    }

    #[test]
    fn each_message_is_told_when_it_is_handed_out_and_when_it_is_settled() {
        let it = world(ConsumeMode::Concurrent, &[], false);
        let first = it.next().unwrap();
        assert_eq!(it.rows(), ["g 0"]);
        first.ack();
        assert_eq!(it.rows(), ["0 Consumed"]);
        it.next().unwrap().retry();
        drop(it.next());
        assert_eq!(it.rows(), ["g 1", "1 Failed", "g 2", "2 Failed"]);
        let last = it.next().unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(move || {
            let _last = last;
            panic!("a handler that panics");
        }));
        assert!(panicked.is_err());
        assert_eq!(it.rows(), ["g 3", "3 Panicked"]);
        assert!(it.next().is_none());
    }

    #[test]
    fn of_a_batch_each_message_is_told() {
        for mode in [ConsumeMode::Concurrent, ConsumeMode::Orderly] {
            let it = world(mode, &[], false);
            let batch = it.next_batch(4).unwrap();
            assert_eq!(it.rows(), ["g 0", "g 1", "g 2", "g 3"]);
            batch.ack_up_to(3);
            assert_eq!(it.rows(), ["0 Consumed", "1 Consumed", "2 Consumed", "3 Failed"]);
            assert_eq!(it.settled_to(), 3);
        }
    }

    #[test]
    fn what_no_hook_wants_counts_as_acknowledged() {
        for mode in [ConsumeMode::Concurrent, ConsumeMode::Orderly] {
            let it = world(mode, &[0, 1, 3], false);
            let delivery = it.next().unwrap();
            assert_eq!(delivery.message().queue_offset().get(), 2);
            assert_eq!((it.rows(), it.settled_to()), (alloc::vec!["g 2".to_string()], 2));
            delivery.ack();
            assert!(it.next().is_none());
            assert_eq!((it.rows(), it.settled_to()), (alloc::vec!["2 Consumed".to_string()], 4));
            let it = world(mode, &[1, 3], false);
            let batch = it.next_batch(4).unwrap();
            assert_eq!(batch.len(), 2);
            batch.ack();
            assert_eq!(it.rows(), ["g 0", "g 2", "0 Consumed", "2 Consumed"]);
            assert_eq!(it.settled_to(), 4);
            assert!(world(mode, &[0, 1, 2, 3], false).next_batch(4).is_none());
        }
    }

    #[test]
    fn a_hook_that_panics_stops_nothing_and_keeps_the_others_from_nothing() {
        let it = world(ConsumeMode::Orderly, &[1], true);
        it.next().unwrap().ack();
        assert_eq!(it.rows(), ["g 0", "g 0", "0 Consumed", "0 Consumed"]);
        it.next_batch(4).unwrap().ack();
        assert_eq!(it.settled_to(), 4);
    }
}
