//! Q1: a shutdown is over in its time, leaves neither links, timers, tasks nor locks behind, and brokers have the offset
//! of every queue as far as it was consumed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rocketmq_core::time::Instant;

use super::Broken;
use crate::sim::history::{Change, History, Leftover, Queue, Settled, What};

type Owned = (u32, Arc<str>, Queue);

pub(super) fn check(history: &History) -> Result<(), Broken> {
    // With faults, the last commit may be lost; some time after them it may not.
    let mut reliable = history.setup.steady.then_some(Instant::ZERO);
    let mut members = BTreeMap::new();
    let mut fair = BTreeSet::new();
    // What was handed out of each queue, and whether it was consumed.
    let mut handed: BTreeMap<Owned, BTreeMap<i64, bool>> = BTreeMap::new();
    let mut deliveries = BTreeMap::new();
    for row in &history.rows {
        match &row.what {
            What::Joined { host, member } => drop(members.insert(*host, *member)),
            What::Healed => reliable = reliable.or(Some(row.at.after(SETTLING))),
            What::Leaving { host } if reliable.is_some_and(|since| row.at >= since) => {
                fair.extend(members.get(host).copied());
            }
            What::Start { member, group, queue, .. } => {
                handed.insert((*member, group.clone(), queue.clone()), BTreeMap::new());
            }
            What::Assigned { member, group, revoked, .. } => {
                revoked.iter().for_each(|queue| drop(handed.remove(&(*member, group.clone(), queue.clone()))));
            }
            What::Moved { queue, .. } | What::Illegal { queue, .. } => {
                handed.retain(|(_, _, known), _| known != queue);
            }
            What::Lost { broker, .. } => handed.retain(|(_, _, queue), _| queue.broker != *broker),
            What::Delivered { delivery, member, group, queue, offset, .. } => {
                let key = (*member, group.clone(), queue.clone());
                if let Some(queue) = handed.get_mut(&key) {
                    queue.entry(*offset).or_insert(false);
                }
                deliveries.insert(*delivery, (key, *offset));
            }
            // A record that nobody can read keeps the offset where it is, unless the broker takes it back.
            What::Unreadable { group, queue, offset } => {
                for (_, handed) in handed.iter_mut().filter(|((_, known, at), _)| known == group && at == queue) {
                    handed.entry(*offset).or_insert(false);
                }
            }
            // What a handler says too late counts no more.
            What::Overdue { member, group, queue, offset } => {
                let key = (*member, group.clone(), queue.clone());
                deliveries.retain(|_, (of, at)| *of != key || at != offset);
            }
            What::Settled { delivery, how } => {
                let Some((key, offset)) = deliveries.remove(delivery) else { continue };
                if let Some(consumed) = handed.get_mut(&key).and_then(|queue| queue.get_mut(&offset)) {
                    *consumed |= *how == Settled::Ack;
                }
            }
            What::Member { member, change: Change::Crashed, .. } => handed.retain(|(of, _, _), _| of != member),
            What::LastOffsets { member, group, stored } => {
                let of_member = handed.iter().filter(|((of, known, _), _)| (of, known) == (member, group));
                for ((_, _, queue), handed) in of_member.filter(|_| fair.contains(member)) {
                    let first_open = handed.iter().find(|(_, consumed)| !**consumed).map(|(offset, _)| *offset);
                    let progress = first_open.or_else(|| handed.last_key_value().map(|(offset, _)| *offset + 1));
                    let known = stored.iter().find(|(known, _)| known == queue).map(|(_, offset)| *offset);
                    if known < progress {
                        let text = format!("{group} has {known:?} of {queue:?}, member {member} got to {progress:?}");
                        return Err(Broken::new(row.at, text));
                    }
                }
                handed.retain(|(of, known, _), _| (of, known) != (member, group));
            }
            What::Shutdown { host, took, within, left } => {
                if *took > *within + SLACK {
                    return Err(Broken::new(
                        row.at,
                        format!("the shutdown of host {host} took {took:?} of {within:?}"),
                    ));
                }
                if *left != Leftover::default() {
                    return Err(Broken::new(row.at, format!("the shutdown of host {host} left {left:?} behind")));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Until links that were broken are there again.
const SETTLING: Duration = Duration::from_secs(60);
/// Late timers and the last round trip.
const SLACK: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn shutdown(took: u64, links: usize, timers: usize, tasks: usize) -> History {
        ended(took, Leftover { links, timers, tasks, locks: 0 })
    }

    fn ended(took: u64, left: Leftover) -> History {
        let (took, within) = (Duration::from_secs(took), Duration::from_secs(30));
        history(vec![(1, What::Shutdown { host: 1, took, within, left })])
    }

    fn consumed(stored: Option<i64>, healed: bool) -> History {
        let mut rows = vec![(1, What::Joined { host: 5, member: 0 })];
        rows.extend(healed.then_some((1, What::Healed)));
        rows.extend([(2, start(0)), (3, delivered(1, 1, 0)), (3, delivered(2, 2, 1)), (3, delivered(3, 3, 2))]);
        rows.extend([(4, settled(1, Settled::Ack)), (4, settled(3, Settled::Ack)), (5, settled(2, Settled::Retry))]);
        rows.push((60_001, What::Leaving { host: 5 }));
        let stored = stored.map(|offset| (queue(0), offset)).into_iter().collect();
        rows.push((60_002, What::LastOffsets { member: 0, group: "g0".into(), stored }));
        history(rows)
    }

    #[test]
    fn in_time_and_clean() {
        assert_eq!(check(&shutdown(3, 0, 0, 0)), Ok(()));
        assert_eq!(check(&consumed(Some(1), true)), Ok(()));
    }

    #[test]
    fn late_or_not_clean_or_not_committed() {
        assert!(check(&shutdown(33, 0, 0, 0)).is_err());
        assert!(check(&shutdown(3, 1, 0, 0)).is_err());
        assert!(check(&shutdown(3, 0, 1, 0)).is_err());
        assert!(check(&shutdown(3, 0, 0, 1)).is_err());
        assert!(check(&ended(3, Leftover { locks: 1, ..Leftover::default() })).is_err());
        assert!(check(&consumed(Some(0), true)).is_err());
        assert!(check(&consumed(None, true)).is_err());
    }

    #[test]
    fn what_nobody_can_read_is_not_passed() {
        let unreadable = |offset| What::Unreadable { group: "g0".into(), queue: queue(0), offset };
        let rows = |offset| {
            vec![
                (1, What::Joined { host: 5, member: 0 }),
                (1, What::Healed),
                (2, start(0)),
                (3, unreadable(offset)),
                (3, delivered(1, 1, 1)),
                (4, settled(1, Settled::Ack)),
                (60_001, What::Leaving { host: 5 }),
                (60_002, What::LastOffsets { member: 0, group: "g0".into(), stored: vec![(queue(0), 0)] }),
            ]
        };
        assert_eq!(check(&history(rows(0))), Ok(()));
        assert!(check(&history(rows(2))).is_err(), "further on it bars nothing");
    }

    #[test]
    fn at_the_last_moment_or_where_a_commit_may_be_lost() {
        assert_eq!(check(&shutdown(32, 0, 0, 0)), Ok(()));
        assert_eq!(check(&consumed(None, false)), Ok(()));
    }
}
