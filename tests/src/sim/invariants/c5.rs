//! C5: every redelivery has a cause: within one assignment nothing consumed comes again.

use std::collections::{BTreeMap, BTreeSet};

use super::Broken;
use crate::sim::history::{History, Settled, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut deliveries = BTreeMap::new();
    // Assignments so far: what is settled after its own is over says nothing of the next.
    let mut epoch = 0_u64;
    let mut epochs: BTreeMap<_, u64> = BTreeMap::new();
    // What was consumed, by (member, group, queue), in this assignment.
    let mut consumed: BTreeMap<_, BTreeSet<i64>> = BTreeMap::new();
    // In broadcasting what failed does not come again either.
    let is_broadcast = |group: &str| history.setup.groups.iter().any(|of| of.broadcast && *of.name == *group);
    for row in &history.rows {
        match &row.what {
            What::Delivered { delivery, member, group, queue, offset, .. } => {
                let key = (*member, group.clone(), queue.clone());
                if consumed.get(&key).is_some_and(|offsets| offsets.contains(offset)) {
                    let text = format!("member {member} of {group} got {queue:?} {offset} again after it was consumed");
                    return Err(Broken::new(row.at, text));
                }
                let of = epochs.get(&key).copied().unwrap_or(0);
                deliveries.insert(*delivery, (key, *offset, of));
            }
            // What a handler says too late counts no more.
            What::Overdue { member, group, queue, offset } => {
                let key = (*member, group.clone(), queue.clone());
                deliveries.retain(|_, (of, at, _)| *of != key || at != offset);
            }
            What::Settled { delivery, how } => {
                let Some((key, offset, of)) = deliveries.remove(delivery) else { continue };
                let done = *how == Settled::Ack || is_broadcast(&key.1);
                if done && epochs.get(&key).copied().unwrap_or(0) == of {
                    consumed.entry(key).or_default().insert(offset);
                }
            }
            What::Assigned { member, group, added, revoked } => {
                epoch += 1;
                for queue in added.iter().chain(revoked) {
                    let key = (*member, group.clone(), queue.clone());
                    consumed.remove(&key);
                    epochs.insert(key, epoch);
                }
            }
            // Where a slave knew less, the master's word counts, and what is between comes again.
            What::Start { member, group, queue, .. } if history.setup.slaves => {
                epoch += 1;
                let key = (*member, group.clone(), queue.clone());
                consumed.remove(&key);
                epochs.insert(key, epoch);
            }
            // Another member may have had the lock since: what counts is how far the broker knows that the group is.
            What::LockGone { member, group, queue } => {
                epoch += 1;
                let key = (*member, group.clone(), queue.clone());
                consumed.remove(&key);
                epochs.insert(key, epoch);
            }
            What::Moved { group, queue, .. } | What::Illegal { group, queue, .. } => {
                epoch += 1;
                consumed.retain(|(_, of, known), _| (of, known) != (group, queue));
                let moved = epochs.iter_mut().filter(|((_, of, known), _)| (of, known) == (group, queue));
                moved.for_each(|(_, of)| *of = epoch);
            }
            What::Lost { broker, .. } => {
                epoch += 1;
                consumed.retain(|(_, _, known), _| known.broker != *broker);
                epochs.iter_mut().filter(|((_, _, known), _)| known.broker == *broker).for_each(|(_, of)| *of = epoch);
            }
            What::Member { member, group, .. } => {
                consumed.retain(|(known, of, _), _| (known, of) != (member, group));
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
    fn failed_comes_again() {
        let rows = vec![
            (1, assigned(0, &[0], &[])),
            (2, delivered(1, 1, 0)),
            (3, settled(1, Settled::Retry)),
            (4, delivered(2, 1, 0)),
            (5, settled(2, Settled::Ack)),
        ];
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn consumed_comes_again() {
        let again = vec![(2, delivered(1, 1, 0)), (3, settled(1, Settled::Ack)), (4, delivered(2, 1, 0))];
        assert!(check(&history(again)).is_err());
        let copy = vec![(2, delivered(1, 1, 0)), (3, settled(1, Settled::Ack)), (4, delivered(2, 1, 5))];
        assert_eq!(check(&history(copy)), Ok(()));
    }

    #[test]
    fn what_the_broker_does_not_know_comes_again_when_the_lock_was_gone() {
        let gone = |member| What::LockGone { member, group: "g0".into(), queue: queue(0) };
        let rows =
            |gone| vec![(2, delivered(1, 1, 5)), (3, settled(1, Settled::Ack)), (4, gone), (5, delivered(2, 1, 5))];
        assert_eq!(check(&history(rows(gone(0)))), Ok(()));
        assert!(check(&history(rows(gone(1)))).is_err(), "another member's lock");
    }

    #[test]
    fn the_word_of_a_master_after_that_of_a_slave() {
        let rows = vec![(2, delivered(1, 1, 5)), (3, settled(1, Settled::Ack)), (4, start(3)), (5, delivered(2, 1, 5))];
        let mut history = history(rows);
        assert!(check(&history).is_err());
        history.setup.slaves = true;
        assert_eq!(check(&history), Ok(()));
    }

    #[test]
    fn failed_comes_again_to_a_broadcasting_member() {
        let rows = vec![(2, delivered(1, 1, 0)), (3, settled(1, Settled::Retry)), (4, delivered(2, 1, 0))];
        assert!(check(&broadcast(rows)).is_err());
    }

    #[test]
    fn a_new_assignment_may_bring_it_again() {
        let rows = vec![
            (2, delivered(1, 1, 0)),
            (3, settled(1, Settled::Ack)),
            (4, assigned(0, &[], &[0])),
            (5, assigned(0, &[0], &[])),
            (6, delivered(2, 1, 0)),
        ];
        assert_eq!(check(&history(rows)), Ok(()));
        let late = vec![
            (1, assigned(0, &[0], &[])),
            (2, delivered(1, 1, 0)),
            (4, assigned(0, &[], &[0])),
            (5, assigned(0, &[0], &[])),
            (5, settled(1, Settled::Ack)),
            (6, delivered(2, 1, 0)),
        ];
        assert_eq!(check(&history(late)), Ok(()));
    }
}
