//! Several messages of one queue at a time.

use alloc::vec::Vec;

use super::{Dispatch, Outcome, Taken, queue_of};
use crate::mutants::mutant;
use crate::time::Instant;

impl Dispatch {
    /// Hands out the next messages of one queue, so many at most and in order; none when there is none now. In order,
    /// nothing more of that queue is handed out before all of them are settled.
    pub fn take_many(&mut self, now: Instant, most: usize) -> Vec<Taken> {
        let Some(first) = self.take(now) else {
            return Vec::new();
        };
        let slot = first.slot;
        let mut many = alloc::vec![first];
        while many.len() < most
            && let Some(queue) = self.queues.get_mut(slot).and_then(Option::as_mut)
            && let Some(next) = queue.one_more(slot, now, self.tick)
        {
            if self.drop_over(&next.taken, now) {
                continue;
            }
            match next.taken.poison() {
                None => many.push(next.taken),
                // What comes before it may still fail: its turn is when that is settled.
                Some(_) if self.config.orderly => {
                    if let Some(queue) = queue_of(&mut self.queues, &next.taken) {
                        queue.put_back(&next.taken);
                    }
                    break;
                }
                Some(reason) => many.extend(self.poisoned(next.taken, reason)),
            }
        }
        if mutant!(83) && many.len() > 1 {
            many.reverse();
        }
        if !self.config.orderly && self.ring.front() == Some(&slot) && self.ring.len() > 1 {
            self.ring.rotate_left(1);
        }
        many
    }

    /// Takes messages back that were handed out by [`Dispatch::take_many`] and that nobody has looked at: they come
    /// again, as if they never had.
    pub fn put_back(&mut self, many: &[Taken]) {
        for taken in many {
            if let Some(id) = taken.direct {
                self.put_back_direct(id, taken);
                continue;
            }
            let Some(queue) = queue_of(&mut self.queues, taken) else {
                self.end_of(taken);
                continue;
            };
            queue.put_back(taken);
            queue.mark_dirty(taken.slot, &mut self.dirty);
            queue.enter_ring(taken.slot, &mut self.ring);
            if !self.open && taken.batch.pop.is_some() {
                self.give_back_slot(taken.slot);
            }
        }
    }

    /// Settles messages handed out together: so many from the first on as `done`, the others as `rest`.
    pub fn settle_many<'t>(
        &mut self,
        now: Instant,
        many: impl Iterator<Item = &'t Taken>,
        first: usize,
        done: Outcome,
        rest: Outcome,
    ) {
        for (at, taken) in many.enumerate() {
            let is_done = at < first || (mutant!(85) && first > 0);
            let outcome = if is_done { done } else { rest };
            self.count(now, taken, outcome);
            self.settle(taken, outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

    use super::super::tests::{batch, offset};
    use super::super::{DispatchConfig, PoisonPolicy, Progress};
    use super::*;
    use crate::config::{ConsumeMode, ConsumerConfig};
    use crate::ids::Epoch;

    const NOW: Instant = Instant::ZERO;
    const FAILED: Outcome = Outcome::Failed { level: 5 };

    fn dispatch(mode: ConsumeMode, auto_commit: bool, on_poison: PoisonPolicy) -> Dispatch {
        let config = ConsumerConfig { mode, auto_commit, on_poison, ..ConsumerConfig::new("g".into()) };
        Dispatch::new(DispatchConfig::of(&config))
    }

    fn orderly(auto_commit: bool) -> Dispatch {
        // What cannot be read and is handed out all the same stands for a message, and comes alone.
        let mut it = dispatch(ConsumeMode::Concurrent, true, PoisonPolicy::Deliver);
        (it.config.orderly, it.config.auto_commit) = (true, auto_commit);
        it.lease(Epoch(1), Instant::FAR);
        it
    }

    /// The offsets of the next batch, and the batch.
    fn many(it: &mut Dispatch, most: usize) -> (Vec<u64>, Vec<Taken>) {
        let many = it.take_many(NOW, most);
        (many.iter().map(offset).collect(), many)
    }

    fn settle(it: &mut Dispatch, many: &[Taken], first: usize, done: Outcome, rest: Outcome) {
        it.settle_many(NOW, many.iter(), first, done, rest);
    }

    fn last(it: &mut Dispatch) -> Progress {
        let of_first = |progress: &Progress| progress.queue.id == 0;
        core::iter::from_fn(|| it.poll_progress()).filter(of_first).last().expect("progress")
    }

    /// Everything that failed comes again.
    fn redeliver(it: &mut Dispatch) -> usize {
        let failures: Vec<_> = core::iter::from_fn(|| it.poll_failure()).collect();
        failures.iter().filter(|failure| it.redeliver(&failure.taken)).count()
    }

    #[test]
    fn a_batch_is_of_one_queue_and_spans_pulls() {
        let mut it = dispatch(ConsumeMode::Concurrent, true, PoisonPolicy::Deliver);
        it.deliver(batch(0, 1, 0..2, &[0, 1]));
        it.deliver(batch(1, 2, 7..8, &[7]));
        it.deliver(batch(0, 1, 2..5, &[2, 3, 4]));
        let (first, taken) = many(&mut it, 3);
        assert_eq!(first, [0, 1, 2]);
        assert_eq!(many(&mut it, 3).0, [7], "queues take turns");
        assert_eq!((many(&mut it, 1_024).0, it.outstanding()), (alloc::vec![3, 4], 6));
        assert!(it.take_many(NOW, 3).is_empty());
        settle(&mut it, &taken, 2, Outcome::Done, FAILED);
        let failure = it.poll_failure().unwrap();
        assert_eq!((offset(&failure.taken), failure.level, last(&mut it).settled_to.get()), (2, 5, 2));
        assert!(it.poll_failure().is_none());
    }

    #[test]
    fn what_comes_again_begins_the_next_batch() {
        let mut it = dispatch(ConsumeMode::Concurrent, true, PoisonPolicy::Deliver);
        it.deliver(batch(0, 1, 0..6, &[0, 1, 2, 3, 4, 5]));
        let (_, taken) = many(&mut it, 2);
        settle(&mut it, &taken, 0, Outcome::Done, FAILED);
        assert_eq!(redeliver(&mut it), 2);
        let (again, taken) = many(&mut it, 3);
        assert_eq!((again, taken[0].local_retries, taken[2].local_retries), (alloc::vec![0, 1, 2], 1, 0));
    }

    #[test]
    fn in_order_one_batch_of_a_queue_is_out_until_all_of_it_is_settled() {
        let mut it = orderly(true);
        // Records that can be read make a batch; the helper's stand for messages, and come alone.
        it.deliver(readable(0..6));
        let (first, taken) = many(&mut it, 4);
        assert_eq!((first, last(&mut it).busy), (alloc::vec![0, 1, 2, 3], true));
        assert!(it.take_many(NOW, 4).is_empty() && it.take(NOW).is_none());
        settle(&mut it, &taken, 1, Outcome::Done, Outcome::Suspended { pause: core::time::Duration::from_secs(2) });
        let progress = last(&mut it);
        assert_eq!((progress.busy, progress.settled_to.get(), progress.outstanding), (false, 1, 3));
        assert!(it.take(NOW).is_none(), "the rest of it bars the queue");
        let failures: Vec<_> = core::iter::from_fn(|| it.poll_failure()).collect();
        assert!(failures.iter().all(|failure| failure.pause.is_some()));
        for (at, failure) in failures.iter().rev().enumerate() {
            assert!(it.take(NOW).is_none(), "{at} of three are back");
            it.redeliver(&failure.taken);
        }
        let (again, taken) = many(&mut it, 8);
        assert_eq!(again, [1, 2, 3, 4, 5], "in order, whatever came back first");
        assert_eq!(taken.iter().map(|taken| taken.local_retries).collect::<Vec<_>>(), [1, 1, 1, 0, 0]);
        settle(&mut it, &taken, 5, Outcome::Done, FAILED);
        assert_eq!((last(&mut it).settled_to.get(), it.outstanding()), (6, 0));
    }

    #[test]
    fn in_order_a_batch_commits_or_rolls_back_as_a_whole() {
        let mut it = orderly(false);
        it.deliver(readable(0..6));
        let (_, taken) = many(&mut it, 2);
        settle(&mut it, &taken, 2, Outcome::Done, FAILED);
        assert_eq!(last(&mut it).settled_to.get(), 0, "nothing is committed");
        let (next, taken) = many(&mut it, 2);
        settle(&mut it, &taken, 0, Outcome::Done, Outcome::RolledBack);
        assert_eq!((next, redeliver(&mut it)), (alloc::vec![2, 3], 2));
        let (again, taken) = many(&mut it, 6);
        assert_eq!(again, [0, 1, 2, 3, 4, 5]);
        assert!(taken.iter().all(|taken| taken.local_retries == 0), "that was no failure");
        settle(&mut it, &taken, 3, Outcome::Committed, FAILED);
        assert_eq!(last(&mut it).settled_to.get(), 3);
        assert_eq!((redeliver(&mut it), many(&mut it, 9).0), (3, alloc::vec![3, 4, 5]));
    }

    #[test]
    fn in_order_what_cannot_be_read_ends_a_batch_and_bars_the_queue() {
        let mut it = orderly(true);
        it.config.on_poison = PoisonPolicy::SendBack;
        it.deliver(readable(0..2));
        it.deliver(batch(0, 1, 2..3, &[2]));
        it.deliver(readable(3..4));
        let (first, taken) = many(&mut it, 9);
        assert_eq!((first, it.outstanding()), (alloc::vec![0, 1], 2));
        assert!(it.poll_failure().is_none(), "its turn has not come");
        settle(&mut it, &taken, 2, Outcome::Done, FAILED);
        assert!(it.take_many(NOW, 9).is_empty());
        let failure = it.poll_failure().unwrap();
        assert_eq!((offset(&failure.taken), failure.poison.is_some()), (2, true));
        assert!(it.take(NOW).is_none());
        it.returned(&failure.taken);
        assert_eq!(many(&mut it, 9).0, [3]);
    }

    #[test]
    fn what_is_put_back_comes_again_as_if_it_never_had() {
        let mut it = orderly(true);
        it.deliver(readable(0..4));
        let (_, taken) = many(&mut it, 4);
        it.put_back(&taken[2..]);
        assert!(it.take(NOW).is_none() && last(&mut it).busy);
        settle(&mut it, &taken[..2], 2, Outcome::Done, FAILED);
        let (again, taken) = many(&mut it, 4);
        assert_eq!((again, taken[0].local_retries, it.outstanding()), (alloc::vec![2, 3], 0, 2));
        it.revoke(Epoch(1));
        it.put_back(&taken[..1]);
        assert_eq!((it.outstanding(), it.poll_ended().is_some()), (1, false), "one is still in a handler");
        settle(&mut it, &taken[1..], 1, Outcome::Done, FAILED);
        assert_eq!((it.outstanding(), it.poll_ended().is_some()), (0, true));
    }

    /// A batch of readable messages of queue 0.
    fn readable(span: core::ops::Range<u64>) -> alloc::sync::Arc<super::super::Batch> {
        let offsets: Vec<u64> = span.clone().collect();
        super::super::tests::readable(0, 1, span, &offsets)
    }
}
