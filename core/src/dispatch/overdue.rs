//! Handlers that take too long.

use super::{Dispatch, DispatchEvent, Failure};
use crate::ids::QueueOffset;

impl Dispatch {
    /// Looks for messages whose handlers take too long, and tells of each; called [`OVERDUE_TICKS`] times in the time
    /// that a handler may take. No clock is read for this when a message is handed out.
    pub fn look_for_overdue(&mut self) {
        self.tick = self.tick.wrapping_add(1);
        let goes_back = self.config.overdue_goes_back;
        for (slot, queue) in self.queues.iter_mut().enumerate() {
            let Some(queue) = queue else { continue };
            for taken in queue.overdue(slot, self.tick, OVERDUE_TICKS, goes_back) {
                let offset = taken.item().map_or(QueueOffset::ZERO, |item| item.offset);
                let queue = (*taken.batch.queue).clone();
                self.events.push_back(DispatchEvent::Overdue { queue, offset, goes_back });
                self.urgent = true;
                if goes_back {
                    self.failed.push_back(Failure::new(taken, OVERDUE_LEVEL));
                }
            }
        }
    }
}

/// In the time that a handler may take, it is looked so often whether one takes longer: so one is found a quarter of
/// that time late at most. Java looks once, and is late by up to the whole.
pub const OVERDUE_TICKS: u32 = 4;
/// The delay level of what is handed back. Source: Java `ProcessQueue.cleanExpiredMsg`.
const OVERDUE_LEVEL: i32 = 3;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::super::tests::{offset, readable};
    use super::super::{DispatchConfig, Outcome, Settled};
    use super::*;
    use crate::config::{ConsumerConfig, TimeoutPolicy};
    use crate::ids::Epoch;
    use crate::time::Instant;

    fn dispatch(on_consume_timeout: TimeoutPolicy) -> Dispatch {
        let config = ConsumerConfig { on_consume_timeout, ..ConsumerConfig::new("g".into()) };
        let mut it = Dispatch::new(DispatchConfig::of(&config));
        it.deliver(readable(0, 1, 0..40, &(0..40).collect::<Vec<_>>()));
        it
    }

    /// The offsets that are told after so many looks.
    fn told(it: &mut Dispatch, looks: u32) -> Vec<u64> {
        (0..looks).for_each(|_| it.look_for_overdue());
        let events = core::iter::from_fn(|| it.poll_event());
        let offset = |event| match event {
            DispatchEvent::Overdue { offset, .. } => offset.get(),
            other => panic!("{other:?}"),
        };
        events.map(offset).collect()
    }

    #[test]
    fn a_handler_that_takes_too_long_is_told_once_and_may_go_on() {
        let mut it = dispatch(TimeoutPolicy::Tell);
        let (first, second) = (it.take(Instant::ZERO).unwrap(), it.take(Instant::ZERO).unwrap());
        it.settle(&second, Outcome::Done);
        assert!(told(&mut it, OVERDUE_TICKS).is_empty(), "the first period was not whole");
        let late = it.take(Instant::ZERO).unwrap();
        assert_eq!((told(&mut it, 1), told(&mut it, OVERDUE_TICKS)), (alloc::vec![0], alloc::vec![2]));
        assert!(told(&mut it, 20).is_empty());
        assert!(it.poll_failure().is_none());
        assert_eq!(
            (it.settle(&first, Outcome::Done), it.settle(&late, Outcome::Done)),
            (Settled::Applied, Settled::Applied)
        );
        assert_eq!(it.poll_progress().unwrap().settled_to.get(), 3);
    }

    #[test]
    fn sixteen_of_a_queue_are_told_at_a_time_and_none_that_failed() {
        let mut it = dispatch(TimeoutPolicy::Tell);
        let taken: Vec<_> = core::iter::from_fn(|| it.take(Instant::ZERO)).collect();
        it.settle(&taken[0], Outcome::Failed { level: 0 });
        assert_eq!(told(&mut it, OVERDUE_TICKS + 1), (1..17).collect::<Vec<_>>());
        assert_eq!(told(&mut it, 1), (17..33).collect::<Vec<_>>());
        let failed = it.poll_failure().unwrap().taken;
        it.redeliver(&failed);
        let again = it.take(Instant::ZERO).unwrap();
        assert_eq!((offset(&again), told(&mut it, OVERDUE_TICKS).len()), (0, 7));
        assert_eq!(told(&mut it, 1), [0], "its time began anew");
    }

    #[test]
    fn what_is_handed_back_takes_nothing_from_its_handler_any_more() {
        let mut it = dispatch(TimeoutPolicy::SendBack);
        let taken = it.take(Instant::ZERO).unwrap();
        assert_eq!(told(&mut it, OVERDUE_TICKS + 1), [0]);
        let failure = it.poll_failure().unwrap();
        assert_eq!((offset(&failure.taken), failure.level), (0, 3));
        assert_eq!(it.settle(&taken, Outcome::Done), Settled::Overdue);
        assert_eq!(it.poll_progress().unwrap().settled_to.get(), 0, "the offset stays behind it");
        it.returned(&failure.taken);
        assert_eq!((it.poll_progress().unwrap().settled_to.get(), it.outstanding()), (1, 0));
    }

    #[test]
    fn a_hand_out_after_that_counts_and_the_one_before_it_does_not() {
        let mut it = dispatch(TimeoutPolicy::SendBack);
        let first = it.take(Instant::ZERO).unwrap();
        told(&mut it, OVERDUE_TICKS + 1);
        // The broker did not take it.
        let failure = it.poll_failure().unwrap();
        it.redeliver(&failure.taken);
        let second = it.take(Instant::ZERO).unwrap();
        assert_eq!((offset(&second), second.local_retries), (0, 1));
        assert_eq!(it.settle(&first, Outcome::Failed { level: 0 }), Settled::Overdue);
        assert!(it.poll_failure().is_none());
        assert_eq!(it.settle(&second, Outcome::Done), Settled::Applied);
        assert_eq!((it.poll_progress().unwrap().settled_to.get(), it.outstanding()), (1, 0));
        it.revoke(Epoch(1));
        assert!(told(&mut it, 9).is_empty());
    }
}
