//! O3: a message that failed in a queue in order is the next that comes of it, and is counted as one that came before,
//! unless it is a dead letter or the queue was given up meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Broken;
use super::ledger::{Key, goal_of};
use crate::sim::history::{History, Settled, What};

/// A queue of a member.
type Owned = (u32, Key);

pub(super) fn check(history: &History) -> Result<(), Broken> {
    // Where and when: what is settled after its assignment is over says nothing of the next.
    let mut epoch = 0_u64;
    let mut epochs: BTreeMap<Owned, u64> = BTreeMap::new();
    let mut running: BTreeMap<u64, (Owned, u64, i64, i32, Option<u64>)> = BTreeMap::new();
    // What must come next: offset, times and message.
    let mut next: BTreeMap<Owned, (i64, i32, Option<u64>)> = BTreeMap::new();
    for row in &history.rows {
        let mut over: Box<dyn Fn(&Owned) -> bool> = Box::new(|_| false);
        match &row.what {
            What::Delivered { delivery, member, group, queue, offset, id, reconsume, .. }
                if history.setup.is_orderly(group) =>
            {
                let owned = (*member, (group.clone(), queue.clone()));
                if let Some((wanted, times, _)) = next.remove(&owned)
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
                    next.insert(owned, (offset, times + 1, id));
                }
            }
            What::Stored(copy) => {
                if let Some(group) = goal_of(copy) {
                    next.retain(|(_, (of, _)), (_, _, id)| **of != *group || *id != copy.id);
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
}
