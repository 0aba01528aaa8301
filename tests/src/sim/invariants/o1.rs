//! O1: of a queue in order, messages come for the first time in the order of their offsets, over all members.

use std::collections::{BTreeMap, BTreeSet};

use super::Broken;
use super::ledger::Key;
use crate::sim::history::{History, Queue, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    // What came of each queue, or could not be read when it was to come.
    let mut seen: BTreeMap<Key, BTreeSet<i64>> = BTreeMap::new();
    // What is where in the brokers' logs.
    let mut places = BTreeMap::new();
    // Offsets below this may be those of other messages by now.
    let mut reused: BTreeMap<Queue, i64> = BTreeMap::new();
    // How far each queue was pulled.
    let mut pulled: BTreeMap<Key, i64> = BTreeMap::new();
    // The same as `reused` of queues that were moved, and of groups whose wishes changed.
    let mut passed: BTreeMap<Key, i64> = BTreeMap::new();
    // Brokers that forgot whose their locks are.
    let mut forgetful = BTreeSet::new();
    for row in &history.rows {
        match &row.what {
            What::Delivered { group, queue, offset, .. } if history.setup.is_orderly(group) => {
                let moved = passed.get(&(group.clone(), queue.clone())).is_some_and(|end| offset < end);
                if moved || reused.get(queue).is_some_and(|end| offset < end) {
                    continue;
                }
                let seen = seen.entry((group.clone(), queue.clone())).or_default();
                if let Some(last) = seen.last().filter(|last| **last > *offset)
                    && !seen.contains(offset)
                {
                    let text = format!("{group} got {queue:?} {offset} for the first time after {last}");
                    return Err(Broken::new(row.at, text));
                }
                seen.insert(*offset);
            }
            // What was passed by when the queue was moved forward may come after it was moved back, or after its broker
            // came back with an offset from before.
            What::Moved { group, queue, offset } => {
                let key = (group.clone(), queue.clone());
                let passed = passed.entry(key.clone()).or_default();
                let seen = seen.get(&key).and_then(|seen| seen.last()).map_or(0, |last| last + 1);
                *passed = (*passed).max(seen).max(*offset);
            }
            What::LocksLost { broker } => drop(forgetful.insert(*broker)),
            // Where two believe that they have the lock, one begins behind what is no longer there, and the other one still
            // has that in its hands.
            What::Illegal { group, queue, next, .. } if forgetful.contains(&queue.broker) => {
                let passed = passed.entry((group.clone(), queue.clone())).or_default();
                *passed = (*passed).max(*next);
            }
            // And what was unwanted before the wishes changed, of all that had been pulled by then.
            What::Pull { group, queue, offset, .. } if history.setup.is_orderly(group) => {
                let pulled = pulled.entry((group.clone(), queue.clone())).or_default();
                *pulled = (*pulled).max(*offset);
            }
            What::Subscribing { group, .. } => {
                for (key, pulled) in pulled.iter().filter(|((of, _), _)| of == group) {
                    let passed = passed.entry(key.clone()).or_default();
                    *passed = (*passed).max(*pulled);
                }
                for (key, seen) in seen.iter().filter(|((of, _), _)| of == group) {
                    let passed = passed.entry(key.clone()).or_default();
                    *passed = (*passed).max(seen.last().map_or(0, |last| last + 1));
                }
            }
            What::Unreadable { group, queue, offset } => {
                seen.entry((group.clone(), queue.clone())).or_default().insert(*offset);
            }
            What::Stored(copy) => {
                places.insert((copy.queue.broker, copy.physical), (copy.queue.clone(), copy.offset));
            }
            // Offsets that are lost are given again.
            What::Lost { broker, end } => {
                for (_, (queue, offset)) in places.range((*broker, *end)..(*broker + 1, i64::MIN)) {
                    let reused = reused.entry(queue.clone()).or_default();
                    *reused = (*reused).max(*offset + 1);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    #[test]
    fn in_order_by_several_members_and_some_twice() {
        let rows = vec![
            (1, delivered_to(0, 1, 0, 0)),
            (2, delivered_to(0, 2, 1, 0)),
            (3, delivered_to(1, 3, 0, 0)),
            (4, delivered_to(1, 4, 1, 0)),
            (5, delivered_to(1, 5, 4, 0)),
        ];
        assert_eq!(check(&orderly(rows)), Ok(()));
    }

    #[test]
    fn one_that_was_passed_by() {
        let rows = vec![(1, delivered_to(0, 1, 1, 0)), (2, delivered_to(1, 2, 0, 0))];
        assert!(check(&orderly(rows.clone())).is_err());
        assert_eq!(check(&history(rows)), Ok(()), "a concurrent group may");
    }

    #[test]
    fn what_could_not_be_read_and_what_was_lost_does_not_count() {
        let unreadable = What::Unreadable { group: "g0".into(), queue: queue(0), offset: 0 };
        let rows = vec![(1, unreadable), (2, delivered_to(0, 1, 1, 0)), (3, delivered_to(1, 2, 0, 0))];
        assert_eq!(check(&orderly(rows)), Ok(()));
        let lost = |end| vec![(0, stored(1, 1)), (1, delivered_to(0, 1, 1, 0)), (2, What::Lost { broker: 0, end })];
        let rows = |end| lost(end).into_iter().chain([(3, delivered_to(0, 2, 0, 0))]).collect();
        assert_eq!(check(&orderly(rows(100))), Ok(()));
        assert!(check(&orderly(rows(101))).is_err(), "another was lost");
    }

    #[test]
    fn what_was_passed_by_may_come_later() {
        let rows = |to| {
            let moved = What::Moved { group: "g0".into(), queue: queue(0), offset: to };
            vec![(1, moved), (2, delivered_to(0, 1, 2, 0)), (3, delivered_to(0, 2, 1, 0))]
        };
        assert_eq!(check(&orderly(rows(2))), Ok(()));
        assert!(check(&orderly(rows(1))).is_err(), "what comes after the offset it was moved to is not passed by");
    }

    #[test]
    fn one_of_two_who_believe_to_have_the_lock_may_still_have_what_is_gone() {
        let illegal = What::Illegal { group: "g0".into(), queue: queue(0), next: 2, bounds: (2, 9) };
        let rows = |broker, late| {
            let forgot = What::LocksLost { broker };
            vec![(1, forgot), (2, illegal.clone()), (3, delivered_to(1, 1, 4, 0)), (4, delivered_to(0, 2, late, 0))]
        };
        assert_eq!(check(&orderly(rows(0, 1))), Ok(()));
        assert!(check(&orderly(rows(0, 3))).is_err(), "it is not gone");
        assert!(check(&orderly(rows(1, 1))).is_err(), "the locks of another broker");
    }

    #[test]
    fn what_was_unwanted_before_may_come_later() {
        let rows = |between| vec![(1, delivered_to(0, 1, 1, 0)), (2, between), (3, delivered_to(0, 2, 0, 0))];
        assert_eq!(check(&orderly(rows(subscribing(Some(0))))), Ok(()));
        let other = What::Subscribing { member: 0, group: "g9".into(), filter: Some(0) };
        assert!(check(&orderly(rows(other))).is_err(), "another group changed");
    }

    #[test]
    fn what_was_pulled_before_may_hide_what_was_unwanted() {
        let rows = |offset| {
            let written = rocketmq_core::time::Instant::from_millis(1);
            let pull = What::Pull { host: 5, link: 1, group: "g0".into(), queue: queue(0), offset, written };
            vec![(1, pull), (2, subscribing(Some(0))), (3, delivered_to(0, 1, 2, 0)), (4, delivered_to(0, 2, 1, 0))]
        };
        assert_eq!(check(&orderly(rows(3))), Ok(()));
        assert!(check(&orderly(rows(1))).is_err(), "it was pulled by the new wishes");
    }
}
