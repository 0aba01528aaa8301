//! O4: a message that failed in a queue in order bars those after it, over all members, until it is consumed or a dead
//! letter.

use std::collections::{BTreeMap, BTreeSet};

use super::Broken;
use super::ledger::{Key, goal_of};
use crate::sim::history::{History, Settled, What};

/// What became of the messages of a queue.
#[derive(Default)]
struct Messages {
    came: BTreeSet<i64>,
    done: BTreeSet<i64>,
    /// What came before the offset was moved back, or before its broker lost it and gave offsets again, counts as done.
    passed: Option<i64>,
    /// The most that was committed: what has not come below it was not wanted.
    committed: i64,
    /// The most that was asked for. What a broker loses below it, some member may have passed unseen.
    pulled: i64,
    /// Those that failed last: which message it is, and in which batch it has come again since.
    failed: BTreeMap<i64, (Option<u64>, Option<u64>)>,
}

impl Messages {
    /// The last offset that some member may have gone past.
    fn last(&self) -> Option<i64> {
        self.came.last().copied().max(Some(self.committed - 1))
    }
}

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut queues: BTreeMap<Key, Messages> = BTreeMap::new();
    let mut running: BTreeMap<u64, (Key, i64, Option<u64>)> = BTreeMap::new();
    // What failed may be unwanted when the wishes of a group change, even what was in hand by then, and is passed.
    let changing = |group: &str| history.setup.groups.iter().any(|setup| setup.changing && *setup.name == *group);
    let judged = |group: &str| history.setup.is_orderly(group) && !changing(group);
    for row in &history.rows {
        match &row.what {
            What::Delivered { delivery, batch, group, queue, offset, id, .. } if judged(group) => {
                let key = (group.clone(), queue.clone());
                let known = queues.entry(key.clone()).or_default();
                // What it came together with was handed out before it.
                let barring = |(failed, (_, with)): &(&i64, &(Option<u64>, Option<u64>))| {
                    **failed < *offset && *with != Some(*batch)
                };
                if let Some((failed, _)) = known.failed.iter().find(barring)
                    && !known.came.contains(offset)
                {
                    let text = format!("{group} got {queue:?} {offset}, but {failed} had failed");
                    return Err(Broken::new(row.at, text));
                }
                known.came.insert(*offset);
                if let Some((_, with)) = known.failed.get_mut(offset) {
                    *with = Some(*batch);
                }
                running.insert(*delivery, (key, *offset, *id));
            }
            What::Settled { delivery, how } => {
                let Some((key, offset, id)) = running.remove(delivery) else { continue };
                let known = queues.entry(key).or_default();
                if *how == Settled::Ack {
                    known.failed.remove(&offset);
                    known.done.insert(offset);
                } else if !known.done.contains(&offset) && known.passed < Some(offset) {
                    known.failed.insert(offset, (id, None));
                }
            }
            What::Committed { group, queue, offset, .. } if judged(group) => {
                let known = queues.entry((group.clone(), queue.clone())).or_default();
                known.committed = known.committed.max(*offset);
            }
            What::Pull { group, queue, offset, .. } if judged(group) => {
                let known = queues.entry((group.clone(), queue.clone())).or_default();
                known.pulled = known.pulled.max(*offset);
            }
            // It becomes a dead letter in its turn, and may come to another member later all the same.
            What::Unreadable { group, queue, offset } if judged(group) => {
                queues.entry((group.clone(), queue.clone())).or_default().done.insert(*offset);
            }
            What::Stored(copy) => {
                let Some(group) = goal_of(copy) else { continue };
                for (_, known) in queues.iter_mut().filter(|((of, _), _)| **of == *group) {
                    let dead: Vec<i64> =
                        known.failed.iter().filter(|(_, (id, _))| *id == copy.id).map(|(offset, _)| *offset).collect();
                    for offset in dead {
                        known.failed.remove(&offset);
                        known.done.insert(offset);
                    }
                }
            }
            What::Trimmed { queue, min } => {
                let of_queue = queues.iter_mut().filter(|((_, known), _)| known == queue);
                of_queue.for_each(|(_, known)| known.failed = known.failed.split_off(min));
                running.retain(|_, ((_, known), offset, _)| known != queue || *offset >= *min);
            }
            // Offsets are given again, to other messages than those that failed or are still being handled. What was
            // done may be left, and come again when the offset moves back.
            What::Lost { broker, .. } => {
                let of_broker = queues.iter_mut().filter(|((_, queue), _)| queue.broker == *broker);
                of_broker.for_each(|(_, known)| {
                    known.failed.clear();
                    known.passed = known.last().max(Some(known.pulled - 1));
                });
                running.retain(|_, ((_, queue), _, _)| queue.broker != *broker);
            }
            // What was done before comes again, and may fail then: it is done all the same.
            What::Moved { queue, .. } | What::Illegal { queue, .. } => {
                let of_queue = queues.iter_mut().filter(|((_, known), _)| known == queue);
                of_queue.for_each(|(_, known)| {
                    known.failed.clear();
                    known.passed = known.last();
                });
                running.retain(|_, ((_, known), _, _)| known != queue);
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rocketmq_core::time::Instant;

    use super::super::synthetic::*;
    use super::*;

    fn failed() -> Vec<(u64, What)> {
        vec![(1, delivered_to(0, 1, 0, 0)), (2, settled(1, Settled::Retry))]
    }

    fn after_failed(more: Vec<(u64, What)>) -> History {
        orderly(failed().into_iter().chain(more).collect())
    }

    #[test]
    fn a_group_whose_wishes_change_may_pass_what_failed() {
        let mut history = after_failed(vec![(3, delivered_to(0, 2, 1, 0))]);
        history.setup.groups[0].changing = true;
        assert_eq!(check(&history), Ok(()));
    }

    #[test]
    fn those_after_it_come_when_it_is_done() {
        let rows = vec![(3, delivered_to(1, 2, 0, 1)), (4, settled(2, Settled::Ack)), (5, delivered_to(1, 3, 1, 0))];
        assert_eq!(check(&after_failed(rows)), Ok(()));
        assert_eq!(check(&after_failed(vec![(3, buried(0)), (5, delivered_to(0, 3, 1, 0))])), Ok(()));
    }

    #[test]
    fn one_that_could_not_be_read_and_fails_elsewhere() {
        let unreadable = What::Unreadable { group: "g0".into(), queue: queue(0), offset: 0 };
        let rows = [(0, unreadable)].into_iter().chain(failed()).chain([(5, delivered_to(0, 3, 1, 0))]).collect();
        assert_eq!(check(&orderly(rows)), Ok(()));
    }

    #[test]
    fn one_after_it_comes_too_early() {
        assert!(check(&after_failed(vec![(3, delivered_to(0, 2, 1, 0))])).is_err());
        assert!(check(&after_failed(vec![(3, delivered_to(1, 2, 1, 0))])).is_err(), "whoever gets it");
        let again = vec![(3, delivered_to(0, 2, 0, 1)), (4, settled(2, Settled::Retry)), (5, delivered_to(0, 3, 1, 0))];
        assert!(check(&after_failed(again)).is_err());
    }

    #[test]
    fn what_was_done_before_the_offset_moved_back_bars_nothing() {
        let moved = What::Moved { group: "g0".into(), queue: queue(0), offset: 0 };
        let rows = vec![
            (1, delivered_to(0, 1, 0, 0)),
            (2, settled(1, Settled::Ack)),
            (3, moved),
            (4, delivered_to(1, 2, 0, 0)),
            (5, settled(2, Settled::Retry)),
            (6, delivered_to(0, 3, 1, 0)),
        ];
        assert_eq!(check(&orderly(rows)), Ok(()));
    }

    #[test]
    fn a_failure_of_what_is_passed_over_bars_nothing() {
        let illegal = || What::Illegal { group: "g0".into(), queue: queue(0), next: 1, bounds: (1, 2) };
        let trimmed = || What::Trimmed { queue: queue(0), min: 1 };
        for passed in [illegal(), trimmed()] {
            let rows = [(1, delivered_to(0, 1, 0, 0)), (2, passed), (3, settled(1, Settled::Retry))];
            let after = rows.into_iter().chain([(4, delivered_to(0, 2, 1, 0))]);
            assert_eq!(check(&orderly(after.collect())), Ok(()));
        }
    }

    #[test]
    fn a_failure_of_what_a_broker_has_lost_bars_nothing() {
        let lost = || What::Lost { broker: 0, end: 0 };
        let rows = vec![(1, delivered_to(0, 1, 0, 0)), (2, lost()), (3, settled(1, Settled::Retry))];
        let after = rows.into_iter().chain([(4, delivered_to(0, 2, 1, 0))]);
        assert_eq!(check(&orderly(after.collect())), Ok(()));
        let rows = vec![(2, lost()), (3, delivered_to(0, 2, 1, 0))];
        assert_eq!(check(&after_failed(rows)), Ok(()));
        // A member that consumed the lost one goes on after it, whatever becomes of the message that has its offset now.
        let again = [(3, lost()), (4, delivered_to(1, 2, 0, 0)), (5, settled(2, Settled::Retry))];
        let rows = [(1, delivered_to(0, 1, 0, 0)), (2, settled(1, Settled::Ack))].into_iter().chain(again.clone());
        assert_eq!(check(&orderly(rows.chain([(6, delivered_to(0, 3, 1, 0))]).collect())), Ok(()));
        // So does one that did not want it.
        let pulled = |offset| {
            let written = Instant::from_millis(2);
            (2, What::Pull { host: 5, link: 1, group: "g0".into(), queue: queue(0), offset, written })
        };
        let after = |pulled| [pulled].into_iter().chain(again.clone()).chain([(6, delivered_to(0, 3, 1, 0))]);
        assert_eq!(check(&orderly(after(pulled(1)).collect())), Ok(()));
        assert!(check(&orderly(after(pulled(0)).collect())).is_err());
    }

    #[test]
    fn a_failure_after_another_member_has_done_it_bars_nothing() {
        let rows = vec![
            (1, delivered_to(0, 1, 0, 0)),
            (2, delivered_to(1, 2, 0, 0)),
            (3, settled(2, Settled::Ack)),
            (4, settled(1, Settled::Retry)),
            (5, delivered_to(1, 3, 1, 0)),
        ];
        assert_eq!(check(&orderly(rows)), Ok(()));
    }

    #[test]
    fn what_comes_again_may_bring_those_after_it() {
        let again = |batch| vec![(3, delivered_with(2, 2, 0, 1)), (3, delivered_with(batch, 3, 1, 0))];
        assert_eq!(check(&after_failed(again(2))), Ok(()));
        assert!(check(&after_failed(again(3))).is_err(), "not before it is settled");
        let later =
            vec![(4, settled(2, Settled::Retry)), (4, settled(3, Settled::Retry)), (5, delivered_to(1, 4, 2, 0))];
        assert!(check(&after_failed([again(2), later].concat())).is_err());
    }
}
