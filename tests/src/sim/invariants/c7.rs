//! C7: a record that cannot be read is dealt with at its own offset, and those beside it are still delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rocketmq_core::time::Instant;

use super::Broken;
use crate::sim::history::{History, Queue, What};

/// The tag and the number of what is stored.
type Known = (Arc<str>, Option<u64>);

type Key = (Arc<str>, Queue);

pub(super) fn check(history: &History) -> Result<(), Broken> {
    // What answers with a spoilt record held, and what of it which host may not pass before it was seen.
    let mut spoilt: BTreeMap<Key, BTreeSet<i64>> = BTreeMap::new();
    let mut owed: BTreeMap<Key, BTreeMap<i64, usize>> = BTreeMap::new();
    let mut stored: BTreeMap<Queue, BTreeMap<i64, Known>> = BTreeMap::new();
    // Handed out, told of or handed back, ever.
    let mut seen: BTreeMap<Key, BTreeSet<i64>> = BTreeMap::new();
    // What lies below was passed before, by whomever.
    let mut committed: BTreeMap<Key, i64> = BTreeMap::new();
    let mut places = BTreeMap::new();
    // When a host wrote its last pull, and when an operator moved a group last.
    let mut pulled: BTreeMap<(usize, Key), Instant> = BTreeMap::new();
    let mut moved: BTreeMap<Key, Instant> = BTreeMap::new();
    for row in &history.rows {
        match &row.what {
            What::Stored(copy) => {
                stored.entry(copy.queue.clone()).or_default().insert(copy.offset, (copy.tag.clone(), copy.id));
                places.insert((copy.queue.broker, copy.physical), (copy.queue.clone(), copy.offset));
            }
            What::Lost { broker, .. } => owed.retain(|(_, queue), _| queue.broker != *broker),
            What::Trimmed { queue, min } => {
                let of_queue = owed.iter_mut().filter(|((_, known), _)| known == queue);
                of_queue.for_each(|(_, offsets)| *offsets = offsets.split_off(min));
            }
            // An answer that waited since before the move brings nothing that has to be dealt with.
            What::Moved { group, queue, offset } => {
                owed.retain(|(_, known), _| known != queue);
                moved.insert((group.clone(), queue.clone()), row.at);
                let passed = committed.entry((group.clone(), queue.clone())).or_default();
                *passed = (*passed).max(*offset);
            }
            What::Pull { host, group, queue, written, .. } => {
                pulled.insert((*host, (group.clone(), queue.clone())), *written);
            }
            What::Illegal { queue, .. } => owed.retain(|(_, known), _| known != queue),
            What::Spoilt { host, group, queue, offset, answer } => {
                let key = (group.clone(), queue.clone());
                spoilt.entry(key.clone()).or_default().insert(*offset);
                // Pulled before the group was moved on: nobody waits for it.
                if pulled.get(&(*host, key.clone())).is_some_and(|at| moved.get(&key).is_some_and(|moved| at <= moved))
                {
                    continue;
                }
                let passed = committed.get(&key).copied().unwrap_or(0);
                let setup = history.setup.groups.iter().find(|setup| setup.name == *group);
                let wanted = |offset: &&i64| {
                    let known = stored.get(queue).and_then(|known| known.get(*offset));
                    let fresh = !seen.get(&key).is_some_and(|seen| seen.contains(*offset));
                    fresh
                        && known.is_some_and(|(tag, id)| {
                            queue.topic.starts_with('%') || setup.is_some_and(|setup| setup.wants(tag, *id))
                        })
                };
                let fresh: Vec<i64> = answer.iter().filter(|at| **at >= passed).filter(wanted).copied().collect();
                owed.entry(key).or_default().extend(fresh.into_iter().map(|at| (at, *host)));
            }
            What::Unreadable { group, queue, offset } => {
                let key = (group.clone(), queue.clone());
                if !spoilt.get(&key).is_some_and(|offsets| offsets.contains(offset)) {
                    return Err(Broken::new(row.at, format!("{group} cannot read {queue:?} {offset}, which is sound")));
                }
                owed.entry(key.clone()).or_default().remove(offset);
                seen.entry(key).or_default().insert(*offset);
            }
            What::Delivered { group, queue, offset, .. } => {
                let key = (group.clone(), queue.clone());
                owed.entry(key.clone()).or_default().remove(offset);
                seen.entry(key).or_default().insert(*offset);
            }
            What::SentBack { group, broker, physical } => {
                if let Some((queue, offset)) = places.get(&(*broker, *physical)) {
                    let key = (group.clone(), queue.clone());
                    owed.entry(key.clone()).or_default().remove(offset);
                    seen.entry(key).or_default().insert(*offset);
                }
            }
            What::Committed { host, group, queue, offset, .. } => {
                let key = (group.clone(), queue.clone());
                committed.insert(key.clone(), *offset);
                let passed = owed.get(&key).and_then(|owed| owed.range(..offset).find(|(_, by)| *by == host));
                if let Some((passed, _)) = passed {
                    let text =
                        format!("{group} passed {queue:?} {passed}, which came with a record that it cannot read");
                    return Err(Broken::new(row.at, text));
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

    fn spoilt(offset: i64) -> What {
        What::Spoilt { host: 0, group: "g0".into(), queue: queue(0), offset, answer: vec![0, 1, 2] }
    }

    fn unreadable(offset: i64) -> What {
        What::Unreadable { group: "g0".into(), queue: queue(0), offset }
    }

    fn three() -> Vec<(u64, What)> {
        vec![(1, stored(1, 0)), (1, stored(2, 1)), (1, stored(3, 2)), (2, spoilt(1))]
    }

    #[test]
    fn told_at_its_own_offset_and_the_others_delivered() {
        let mut rows = three();
        rows.extend([(3, delivered(1, 1, 0)), (3, unreadable(1)), (4, delivered(2, 3, 2)), (5, committed(3))]);
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn told_of_another_or_passed_in_silence_or_with_what_follows() {
        let mut rows = three();
        rows.push((3, unreadable(2)));
        assert!(check(&history(rows)).is_err());
        let mut rows = three();
        rows.extend([(3, delivered(1, 1, 0)), (4, delivered(2, 3, 2)), (5, committed(3))]);
        assert!(check(&history(rows)).is_err());
        let mut rows = three();
        rows.extend([(3, delivered(1, 1, 0)), (3, unreadable(1)), (5, committed(3))]);
        assert!(check(&history(rows)).is_err());
    }

    #[test]
    fn of_an_old_pull_whose_offsets_were_passed_before_or_passed_by_another_member() {
        let mut rows = vec![(1, committed(3))];
        rows.extend(three());
        rows.push((5, committed(4)));
        assert_eq!(check(&history(rows)), Ok(()));
        let other = What::Committed { host: 9, written: Instant::FAR, group: "g0".into(), queue: queue(0), offset: 3 };
        let mut rows = three();
        rows.push((5, other));
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn handed_back_or_pulled_again_or_stopped_before_it() {
        let mut rows = three();
        rows.extend([(3, delivered(1, 1, 0)), (5, committed(1))]);
        assert_eq!(check(&history(rows)), Ok(()));
        let mut rows = three();
        rows.extend([(3, delivered(1, 1, 0)), (3, delivered(2, 2, 1)), (5, committed(2))]);
        assert_eq!(check(&history(rows)), Ok(()));
        let back = What::SentBack { group: "g0".into(), broker: 0, physical: 100 };
        let mut rows = three();
        rows.extend([(3, delivered(1, 1, 0)), (4, back), (4, delivered(2, 3, 2)), (5, committed(3))]);
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn an_answer_from_before_the_queue_was_moved_past_it() {
        let rows = |to| {
            let moved = What::Moved { group: "g0".into(), queue: queue(0), offset: to };
            [(0, moved)].into_iter().chain(three()).chain([(5, committed(3))]).collect()
        };
        assert_eq!(check(&history(rows(3))), Ok(()));
        assert!(check(&history(rows(1))).is_err(), "what lies behind where it was moved to counts");
        let mut stale: Vec<_> = rows(1);
        stale.insert(1, (0, pulled(0, 1, 0, 0)));
        assert_eq!(check(&history(stale)), Ok(()), "pulled before it was moved");
    }
}
