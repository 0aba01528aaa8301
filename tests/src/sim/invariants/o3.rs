//! O3: a message that failed in a queue in order is the next that comes of it, and is counted as one that came before,
//! unless it is a dead letter or the queue was given up meanwhile. Of several that failed the first one is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Broken;
use super::ledger::{Key, goal_of};
use crate::sim::history::{History, Settled, What};

/// A queue of a member.
type Owned = (u32, Key);
/// How often it has come then, its message, and whether it may be a dead letter by now: it cannot be told from another
/// copy of the message that its producer made, and that is.
type Failed = (i32, Option<u64>, bool);

pub(super) fn check(history: &History) -> Result<(), Broken> {
    // Where and when: what is settled after its assignment is over says nothing of the next.
    let mut epoch = 0_u64;
    let mut epochs: BTreeMap<Owned, u64> = BTreeMap::new();
    let mut running: BTreeMap<u64, (Owned, u64, i64, i32, Option<u64>)> = BTreeMap::new();
    // What must come next, in the order of offsets.
    let mut next: BTreeMap<Owned, BTreeMap<i64, Failed>> = BTreeMap::new();
    for row in &history.rows {
        let mut over: Box<dyn Fn(&Owned) -> bool> = Box::new(|_| false);
        match &row.what {
            What::Delivered { delivery, member, group, queue, offset, id, reconsume, .. }
                if history.setup.is_orderly(group) =>
            {
                let owned = (*member, (group.clone(), queue.clone()));
                let failed = next.entry(owned.clone()).or_default();
                let first = loop {
                    match failed.pop_first() {
                        Some((wanted, (times, _, true))) if (wanted, times) != (*offset, *reconsume) => {}
                        first => break first,
                    }
                };
                if let Some((wanted, (times, ..))) = first
                    && (wanted, times) != (*offset, *reconsume)
                {
                    let text = format!(
                        "member {member} of {group} got {queue:?} {offset} for the time {reconsume} instead of {wanted} \
                         for the time {times}"
                    );
                    return Err(Broken::new(row.at, text));
                }
                let of = epochs.get(&owned).copied().unwrap_or(0);
                running.insert(*delivery, (owned, of, *offset, *reconsume, *id));
            }
            What::Settled { delivery, how } => {
                let Some((owned, of, offset, times, id)) = running.remove(delivery) else { continue };
                if *how != Settled::Ack && epochs.get(&owned).copied().unwrap_or(0) == of {
                    next.entry(owned).or_default().insert(offset, (times + 1, id, false));
                }
            }
            What::Stored(copy) => {
                if let Some(group) = goal_of(copy) {
                    let of_group = next.iter_mut().filter(|((_, (of, _)), _)| **of == *group);
                    let failed = of_group.flat_map(|(_, failed)| failed.values_mut());
                    failed.filter(|(_, id, _)| *id == copy.id).for_each(|(.., dead)| *dead = true);
                }
            }
            What::Assigned { member, group, added, revoked } => {
                let (member, group): (u32, Arc<str>) = (*member, group.clone());
                let queues: Vec<_> = added.iter().chain(revoked).cloned().collect();
                over = Box::new(move |(of, (known, queue))| (*of, known) == (member, &group) && queues.contains(queue));
            }
            What::Start { member, queue, .. } => {
                let (member, queue) = (*member, queue.clone());
                over = Box::new(move |(of, (_, known))| (*of, known) == (member, &queue));
            }
            What::Moved { queue, .. } | What::Illegal { queue, .. } => {
                let queue = queue.clone();
                over = Box::new(move |(_, (_, known))| *known == queue);
            }
            What::Lost { broker, .. } => {
                let broker = *broker;
                over = Box::new(move |(_, (_, queue))| queue.broker == broker);
            }
            _ => {}
        }
        let of_running = running.values().map(|(owned, ..)| owned);
        let ended: Vec<Owned> = next.keys().chain(of_running).filter(|owned| over(owned)).cloned().collect();
        for owned in ended {
            epoch += 1;
            next.remove(&owned);
            epochs.insert(owned, epoch);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    #[test]
    fn it_comes_again_and_next() {
        let rows = vec![
            (1, delivered_to(0, 1, 0, 0)),
            (2, settled(1, Settled::Retry)),
            (3, delivered_to(0, 2, 0, 1)),
            (4, settled(2, Settled::Dropped)),
            (5, delivered_to(0, 3, 0, 2)),
            (6, settled(3, Settled::Ack)),
            (7, delivered_to(0, 4, 1, 0)),
        ];
        assert_eq!(check(&orderly(rows)), Ok(()));
    }

    #[test]
    fn another_comes_or_it_is_not_counted() {
        let failed = || vec![(1, delivered_to(0, 1, 0, 0)), (2, settled(1, Settled::Retry))];
        for wrong in [delivered_to(0, 2, 1, 0), delivered_to(0, 2, 0, 0), delivered_to(0, 2, 0, 2)] {
            let rows = failed().into_iter().chain([(3, wrong)]).collect();
            assert!(check(&orderly(rows)).is_err());
        }
    }

    #[test]
    fn not_when_it_is_a_dead_letter_or_the_queue_was_given_up() {
        for meanwhile in [buried(0), assigned(0, &[0], &[]), What::Lost { broker: 0, end: 0 }, start(0)] {
            let rows = vec![
                (1, delivered_to(0, 1, 0, 0)),
                (2, settled(1, Settled::Retry)),
                (3, meanwhile),
                (4, delivered_to(0, 2, 1, 0)),
            ];
            assert_eq!(check(&orderly(rows)), Ok(()));
        }
        let late = vec![
            (1, delivered_to(0, 1, 0, 0)),
            (2, assigned(0, &[], &[0])),
            (3, settled(1, Settled::Retry)),
            (4, delivered_to(0, 2, 0, 0)),
        ];
        assert_eq!(check(&orderly(late)), Ok(()));
    }

    /// Three messages that came together, of which the first is consumed.
    fn partly() -> Vec<(u64, What)> {
        let came = (0..3).map(|at| (1, delivered_with(1, at + 1, i64::try_from(at).unwrap(), 0)));
        let failed = [(2, settled(1, Settled::Ack)), (2, settled(2, Settled::Retry)), (2, settled(3, Settled::Retry))];
        came.chain(failed).collect()
    }

    #[test]
    fn of_several_the_rest_comes_again_in_order_at_once_or_one_by_one() {
        let at_once = vec![
            (3, delivered_with(4, 4, 1, 1)),
            (3, delivered_with(4, 5, 2, 1)),
            (3, delivered_with(4, 6, 3, 0)),
            (4, settled(4, Settled::Ack)),
            (4, settled(5, Settled::Retry)),
            (4, settled(6, Settled::Retry)),
            (5, delivered_with(7, 7, 2, 2)),
            (5, delivered_with(7, 8, 3, 1)),
        ];
        assert_eq!(check(&orderly([partly(), at_once].concat())), Ok(()));
        let dead = vec![(3, buried(1)), (4, delivered_with(4, 4, 2, 1)), (5, settled(4, Settled::Ack))];
        assert_eq!(check(&orderly([partly(), dead].concat())), Ok(()));
        let cut = vec![(3, assigned(0, &[0], &[])), (4, delivered_with(4, 4, 0, 0)), (4, delivered_with(4, 5, 1, 0))];
        assert_eq!(check(&orderly([partly(), cut].concat())), Ok(()), "as a new assignment");
    }

    #[test]
    fn of_several_one_of_which_another_copy_is_a_dead_letter() {
        let came =
            |rows: Vec<What>| [partly(), vec![(3, buried(1))], rows.into_iter().map(|row| (4, row)).collect()].concat();
        let (one, other) = (delivered_with(4, 4, 1, 1), delivered_with(4, 5, 2, 1));
        assert_eq!(check(&orderly(came(vec![one.clone(), other.clone()]))), Ok(()));
        assert_eq!(check(&orderly(came(vec![other]))), Ok(()));
        assert!(check(&orderly(came(vec![one, delivered_with(4, 5, 3, 0)]))).is_err());
    }

    #[test]
    fn of_several_the_rest_is_passed_over_or_turned_round() {
        for wrong in [vec![(3, 0)], vec![(2, 1)], vec![(1, 1), (3, 0)], vec![(1, 2)]] {
            let rows =
                wrong.into_iter().zip(4..).map(|((offset, times), at)| (at, delivered_with(4, at, offset, times)));
            assert!(check(&orderly(partly().into_iter().chain(rows).collect())).is_err());
        }
    }
}
