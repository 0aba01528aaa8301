//! Messages that an operator has a consumer handle: ahead of all others, and no part of any queue. Nothing is
//! committed, nothing goes back: what came of each is told, and that is all.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::time::Duration;

use super::{Batch, Dispatch, Failure, Outcome, PoisonCause, Settled, Taken};
use crate::mutants::mutant;
use crate::time::Instant;
use crate::wire::body::ConsumeResult;

/// What came of such a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectEnd {
    /// Its number.
    pub id: u64,
    /// What came of it.
    pub result: ConsumeResult,
    /// How long it was in its handler.
    pub spent: Duration,
    /// Why it failed.
    pub remark: Option<String>,
}

/// Those that wait, those in handlers, and what came of the others.
#[derive(Debug, Default)]
pub(super) struct Directs {
    waiting: VecDeque<(u64, Arc<Batch>)>,
    /// How long each was in its handler, as far as that is over.
    out: BTreeMap<u64, Duration>,
    ended: VecDeque<DirectEnd>,
}

impl Directs {
    pub(super) fn take(&mut self, at: Instant) -> Option<Taken> {
        let (id, batch) = self.waiting.pop_front()?;
        self.out.insert(id, Duration::ZERO);
        Some(Taken { direct: Some(id), ..Taken::alone(batch, at) })
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.out.clear();
    }

    fn end(&mut self, id: u64, result: ConsumeResult, remark: Option<String>) -> Settled {
        let Some(spent) = self.out.remove(&id) else {
            return Settled::Released;
        };
        self.ended.push_back(DirectEnd { id, result, spent, remark });
        Settled::Applied
    }
}

impl Dispatch {
    /// Takes in a message that an operator wants handled; its first item is handed out next.
    ///
    /// Returns whether it can be.
    pub fn deliver_direct(&mut self, id: u64, batch: Arc<Batch>) -> bool {
        if self.open {
            self.directs.waiting.push_back((id, batch));
        }
        self.open
    }

    /// Nobody wants to know any more what came of such a message: unless a handler has it, none gets it.
    pub fn cancel_direct(&mut self, id: u64) {
        self.directs.waiting.retain(|(known, _)| *known != id);
        self.directs.out.remove(&id);
    }

    /// The handler of a message panicked: it has failed.
    pub fn panicked(&mut self, taken: &Taken) -> Settled {
        match taken.direct {
            Some(id) => self.end_direct(id, ConsumeResult::ThrowException, Some("the handler panicked".to_string())),
            None => self.settle(taken, Outcome::Failed { level: 0 }),
        }
    }

    /// What came of a message that an operator wanted handled.
    pub fn poll_direct(&mut self) -> Option<DirectEnd> {
        self.directs.ended.pop_front()
    }

    pub(super) fn put_back_direct(&mut self, id: u64, taken: &Taken) {
        if self.directs.out.remove(&id).is_some() {
            self.directs.waiting.push_front((id, taken.batch.clone()));
        }
    }

    pub(super) fn count_direct(&mut self, id: u64, spent: Duration) {
        if let Some(known) = self.directs.out.get_mut(&id) {
            *known = spent;
        }
    }

    pub(super) fn settle_direct(&mut self, taken: &Taken, id: u64, outcome: Outcome) -> Settled {
        let by_hand = self.config.orderly && !self.config.auto_commit;
        let result = match outcome {
            Outcome::Committed if by_hand => ConsumeResult::Commit,
            Outcome::Done | Outcome::Committed => ConsumeResult::Success,
            Outcome::RolledBack if by_hand => ConsumeResult::Rollback,
            Outcome::RolledBack | Outcome::Failed { .. } | Outcome::Suspended { .. } => ConsumeResult::Later,
        };
        if mutant!(112) && result == ConsumeResult::Later {
            self.failed.push_back(Failure::new(taken.clone(), 0));
        }
        self.end_direct(id, result, None)
    }

    pub(super) fn poison_direct(&mut self, id: u64, cause: &PoisonCause) {
        self.end_direct(id, ConsumeResult::ThrowException, Some(cause.to_string()));
    }

    fn end_direct(&mut self, id: u64, result: ConsumeResult, remark: Option<String>) -> Settled {
        self.urgent = true;
        self.directs.end(id, result, remark)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{batch, offset};
    use super::super::*;
    use super::*;
    use crate::config::ConsumerConfig;
    use crate::wire::message::LostReason;

    fn dispatch(orderly: bool, auto_commit: bool) -> Dispatch {
        let config = DispatchConfig::of(&ConsumerConfig::new("g".into()));
        Dispatch::new(DispatchConfig { on_poison: PoisonPolicy::Deliver, orderly, auto_commit, ..config })
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn it_comes_first_and_is_no_part_of_a_queue() {
        let mut it = dispatch(false, true);
        it.deliver(batch(0, 1, 0..2, &[0, 1]));
        assert!(it.deliver_direct(7, batch(0, 0, 0..1, &[0])));
        let taken = it.take(at(5)).unwrap();
        assert_eq!((taken.direct, it.outstanding()), (Some(7), 0));
        it.count(at(25), &taken, Outcome::Failed { level: 0 });
        assert_eq!(it.settle(&taken, Outcome::Failed { level: 0 }), Settled::Applied);
        assert!(it.take_urgent());
        let spent = Duration::from_millis(20);
        assert_eq!(it.poll_direct(), Some(DirectEnd { id: 7, result: ConsumeResult::Later, spent, remark: None }));
        assert!(it.poll_failure().is_none() && it.poll_direct().is_none());
        assert_eq!(it.settle(&taken, Outcome::Done), Settled::Released, "once");
        let progress = it.poll_progress().unwrap();
        assert_eq!((progress.settled_to.get(), progress.handled), (0, Handled::default()));
        assert_eq!(it.take(at(30)).map(|taken| (offset(&taken), taken.direct)), Some((0, None)));
    }

    #[test]
    fn what_is_told_is_what_the_handler_said() {
        let (done, commit, back) = (Outcome::Done, Outcome::Committed, Outcome::RolledBack);
        let suspend = Outcome::Suspended { pause: Duration::from_secs(1) };
        let told = |it: &mut Dispatch, outcome| {
            it.deliver_direct(1, batch(0, 0, 0..1, &[0]));
            let taken = it.take(at(0)).unwrap();
            it.settle(&taken, outcome);
            it.poll_direct().unwrap().result
        };
        use ConsumeResult::{Commit, Later, Rollback, Success};
        for (orderly, auto, expected) in [
            (false, true, [Success, Success, Later, Later]),
            (true, true, [Success, Success, Later, Later]),
            (true, false, [Success, Commit, Rollback, Later]),
        ] {
            let mut it = dispatch(orderly, auto);
            assert_eq!([done, commit, back, suspend].map(|outcome| told(&mut it, outcome)), expected);
        }
    }

    #[test]
    fn a_panic_and_an_unreadable_body_are_told_with_the_reason() {
        let mut it = dispatch(false, true);
        it.deliver_direct(1, batch(0, 0, 0..1, &[0]));
        it.deliver_direct(2, batch(0, 0, 0..1, &[0]));
        let (first, second) = (it.take(at(0)).unwrap(), it.take(at(0)).unwrap());
        assert_eq!(it.panicked(&first), Settled::Applied);
        assert!(it.poisoned(second, PoisonCause::Lost(LostReason::Size(3))).is_none());
        let ends: Vec<_> =
            core::iter::from_fn(|| it.poll_direct()).map(|end| (end.id, end.result, end.remark)).collect();
        let thrown = |id, remark: &str| (id, ConsumeResult::ThrowException, Some(String::from(remark)));
        assert_eq!(ends, [thrown(1, "the handler panicked"), thrown(2, "record size 3")]);
        assert!(it.poll_event().is_none());
        // Of what the group consumes a panic is a failure.
        it.deliver(batch(0, 1, 0..1, &[0]));
        let taken = it.take(at(0)).unwrap();
        assert_eq!(it.panicked(&taken), Settled::Applied);
        assert!(it.poll_failure().is_some() && it.poll_direct().is_none());
    }

    #[test]
    fn what_is_given_up_is_not_handed_out_and_counts_no_more() {
        let mut it = dispatch(true, true);
        it.deliver_direct(1, batch(0, 0, 0..1, &[0]));
        it.deliver_direct(2, batch(0, 0, 0..1, &[0]));
        let taken = it.take(at(0)).unwrap();
        it.cancel_direct(1);
        it.cancel_direct(2);
        assert!(it.take(at(0)).is_none() && !it.has_ready());
        assert_eq!(it.settle(&taken, Outcome::Done), Settled::Released);
        it.deliver_direct(3, batch(0, 0, 0..1, &[0]));
        assert!(it.has_ready());
        it.close();
        assert!(it.take(at(0)).is_none() && !it.deliver_direct(4, batch(0, 0, 0..1, &[0])));
        assert!(it.poll_direct().is_none());
    }
}
