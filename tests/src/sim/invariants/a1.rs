//! A1: operators are told no more than is consumed, a queue that they move stays moved, and a message that they have
//! handled is no part of the group's work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rocketmq_core::time::Instant;

use super::Broken;
use super::ledger::Ledger;
use crate::sim::history::{Act, History, Queue, Settled, What};

type Owned = (u32, Arc<str>, Queue);
/// The tag and the number of what is stored.
type Known = (Arc<str>, Option<u64>);

/// A queue that an operator moved.
struct Moved {
    since: Instant,
    from: i64,
    /// Handed out since then and settled.
    done: BTreeSet<i64>,
}

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut ledger = Ledger::new(&history.setup);
    let mut members: BTreeMap<usize, u32> = BTreeMap::new();
    let mut stored: BTreeMap<Queue, BTreeMap<i64, Known>> = BTreeMap::new();
    let mut places: BTreeMap<(usize, i64), (Queue, i64)> = BTreeMap::new();
    let mut moved: BTreeMap<Owned, Moved> = BTreeMap::new();
    let mut deliveries = BTreeMap::new();
    // How often each failed, so that it may go back as often. What cannot be read goes back until that is answered.
    let mut failed: BTreeMap<(Arc<str>, Queue, i64), u32> = BTreeMap::new();
    for row in &history.rows {
        ledger.row(&row.what);
        match &row.what {
            What::Joined { host, member } => drop(members.insert(*host, *member)),
            What::Stored(copy) => {
                places.insert((copy.queue.broker, copy.physical), (copy.queue.clone(), copy.offset));
                stored.entry(copy.queue.clone()).or_default().insert(copy.offset, (copy.tag.clone(), copy.id));
            }
            What::Trimmed { queue, min } => {
                let Some(known) = stored.get_mut(queue) else { continue };
                *known = known.split_off(min);
            }
            What::Lost { broker, .. } => moved.retain(|(_, _, queue), _| queue.broker != *broker),
            What::Illegal { queue, .. } => moved.retain(|(_, _, known), _| known != queue),
            What::Assigned { member, group, revoked, .. } => {
                revoked.iter().for_each(|queue| drop(moved.remove(&(*member, group.clone(), queue.clone()))));
            }
            What::Start { member, group, queue, .. } => {
                moved.remove(&(*member, group.clone(), queue.clone()));
            }
            What::Member { member, .. } => moved.retain(|(known, _, _), _| known != member),
            // Of a queue of which it has not the lock, a member passes on what it is told, whatever it was told before.
            What::Act(Act::Told { host, group, offsets }) => {
                let Some(member) = members.get(host) else { continue };
                offsets.iter().for_each(|(queue, _)| drop(moved.remove(&(*member, group.clone(), queue.clone()))));
            }
            What::Act(Act::Reset { member, group, queue, offset }) => {
                let key = (*member, group.clone(), queue.clone());
                moved.insert(key, Moved { since: row.at, from: *offset, done: BTreeSet::new() });
            }
            What::Delivered { delivery, member, group, queue, offset, .. } => {
                deliveries.insert(*delivery, ((*member, group.clone(), queue.clone()), *offset, row.at));
            }
            What::Settled { delivery, how } => {
                let Some((key, offset, at)) = deliveries.remove(delivery) else { continue };
                if *how != Settled::Ack {
                    let times = failed.entry((key.1.clone(), key.2.clone(), offset)).or_default();
                    *times = times.saturating_add(1);
                }
                if let Some(moved) = moved.get_mut(&key).filter(|moved| moved.since < at) {
                    moved.done.insert(offset);
                }
            }
            // It fails while its handler runs.
            What::Overdue { member, group, queue, offset } => {
                let key = (*member, group.clone(), queue.clone());
                let times = failed.entry((group.clone(), queue.clone(), *offset)).or_default();
                *times = times.saturating_add(1);
                let late = |(of, at, _): &(Owned, i64, Instant)| *of == key && at == offset;
                let came = deliveries.values().find(|one| late(one)).map(|(_, _, at)| *at);
                deliveries.retain(|_, one| !late(one));
                if let Some(moved) = moved.get_mut(&key).filter(|moved| came > Some(moved.since)) {
                    moved.done.insert(*offset);
                }
            }
            What::Unreadable { group, queue, offset } => {
                failed.insert((group.clone(), queue.clone(), *offset), u32::MAX);
                for (_, moved) in moved.iter_mut().filter(|((_, of, known), _)| (of, known) == (group, queue)) {
                    moved.done.insert(*offset);
                }
            }
            What::SentBack { group, broker, physical } => {
                let Some((queue, offset)) = places.get(&(*broker, *physical)) else { continue };
                let times = failed.entry((group.clone(), queue.clone(), *offset)).or_default();
                if *times == 0 {
                    let text = format!("{group} hands {queue:?} {offset} back, which did not fail or is back already");
                    return Err(Broken::new(row.at, text));
                }
                *times -= 1;
            }
            What::Committed { host, written, group, queue, offset } => {
                let Some(member) = members.get(host) else { continue };
                let Some(of) = moved.get(&(*member, group.clone(), queue.clone())) else { continue };
                let Some(setup) = history.setup.groups.iter().find(|setup| setup.name == *group) else { continue };
                let Some(known) = stored.get(queue).filter(|_| *written > of.since && of.from <= *offset) else {
                    continue;
                };
                let open = |(at, (tag, id)): &(&i64, &Known)| setup.wants(tag, *id) && !of.done.contains(*at);
                if let Some((open, _)) = known.range(of.from..*offset).find(open) {
                    let text = format!(
                        "member {member} of {group} commits {offset} of {queue:?}, which was moved to {}: {open} has \
                         not come since",
                        of.from
                    );
                    return Err(Broken::new(row.at, text));
                }
            }
            What::Act(Act::Status { group, queue, offset }) => {
                let first = ledger.first_open(&(group.clone(), queue.clone()));
                if let Some(open) = first.filter(|open| open < offset) {
                    let text = format!("an operator is told {offset} of {queue:?} by {group}: {open} is not handled");
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

    fn reset(offset: i64) -> What {
        What::Act(Act::Reset { member: 0, group: "g0".into(), queue: queue(0), offset })
    }

    fn status(offset: i64) -> What {
        What::Act(Act::Status { group: "g0".into(), queue: queue(0), offset })
    }

    /// Two messages, consumed and committed; then the queue is moved to the first.
    fn moved(more: Vec<(u64, What)>) -> History {
        let joined = What::Joined { host: 0, member: 0 };
        let mut rows = vec![(1, joined), (1, stored(1, 0)), (1, stored(2, 1)), (2, start(0))];
        rows.extend([(3, delivered(1, 1, 0)), (3, delivered(2, 2, 1)), (4, settled(1, Settled::Ack))]);
        rows.extend([(5, committed(1)), (6, reset(0))]);
        rows.extend(more);
        history(rows)
    }

    #[test]
    fn what_is_committed_after_a_move_has_come_since() {
        let again =
            |delivery, id, offset| vec![(7, delivered(delivery, id, offset)), (8, settled(delivery, Settled::Ack))];
        assert_eq!(check(&moved(vec![(7, committed(0))])), Ok(()));
        let rows = [again(3, 1, 0), vec![(9, committed(1))], again(4, 2, 1), vec![(9, committed(2))]].concat();
        assert_eq!(check(&moved(rows)), Ok(()));
        assert!(check(&moved([again(3, 1, 0), vec![(9, committed(2))]].concat())).is_err());
        // What was in a handler when the queue was moved counts no more.
        assert!(check(&moved(vec![(7, settled(2, Settled::Ack)), (9, committed(2))])).is_err());
        assert_eq!(check(&moved(vec![(7, start(1)), (9, committed(2))])), Ok(()), "a new assignment");
        let told = What::Act(Act::Told { host: 0, group: "g0".into(), offsets: vec![(queue(0), 2)] });
        assert_eq!(check(&moved(vec![(7, told), (9, committed(2))])), Ok(()), "passed on");
    }

    #[test]
    fn what_was_written_before_may_arrive_after() {
        let late = What::Committed {
            host: 0,
            written: Instant::from_millis(5),
            group: "g0".into(),
            queue: queue(0),
            offset: 2,
        };
        let settled_first = settled(2, Settled::Ack);
        let joined = What::Joined { host: 0, member: 0 };
        let mut rows = vec![(1, joined), (1, stored(1, 0)), (1, stored(2, 1)), (2, start(0))];
        rows.extend([(3, delivered(1, 1, 0)), (3, delivered(2, 2, 1)), (4, settled(1, Settled::Ack))]);
        rows.extend([(4, settled_first), (6, reset(0)), (7, late)]);
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn an_operator_is_told_what_is_consumed() {
        let rows = |told| {
            vec![
                (1, stored(1, 0)),
                (1, stored(2, 1)),
                (2, delivered(1, 1, 0)),
                (3, settled(1, Settled::Ack)),
                (4, status(told)),
            ]
        };
        assert_eq!(check(&history(rows(1))), Ok(()));
        assert_eq!(check(&history(rows(0))), Ok(()));
        assert!(check(&history(rows(2))).is_err());
    }

    #[test]
    fn only_what_failed_goes_back() {
        let back = || What::SentBack { group: "g0".into(), broker: 0, physical: 0 };
        let failed = |how| vec![(1, stored(1, 0)), (2, delivered(1, 1, 0)), (3, settled(1, how)), (4, back())];
        assert_eq!(check(&history(failed(Settled::Retry))), Ok(()));
        assert_eq!(check(&history(failed(Settled::Dropped))), Ok(()));
        assert!(check(&history(failed(Settled::Ack))).is_err());
        assert!(check(&history(vec![(1, stored(1, 0)), (4, back())])).is_err());
    }

    #[test]
    fn it_goes_back_as_often_as_it_failed() {
        let back = |at| (at, What::SentBack { group: "g0".into(), broker: 0, physical: 0 });
        let failed = |at, delivery| [(at, delivered(delivery, 1, 0)), (at, settled(delivery, Settled::Retry))];
        let rows = |more: Vec<(u64, What)>| history([vec![(1, stored(1, 0))], failed(2, 1).to_vec(), more].concat());
        assert_eq!(check(&rows(vec![back(3)])), Ok(()));
        assert_eq!(check(&rows([failed(3, 2).to_vec(), vec![back(4), back(5)]].concat())), Ok(()));
        assert!(check(&rows(vec![back(3), back(4)])).is_err());
        let unreadable = What::Unreadable { group: "g0".into(), queue: queue(0), offset: 0 };
        assert_eq!(check(&rows(vec![(3, unreadable), back(4), back(5)])), Ok(()), "until that is answered");
    }

    #[test]
    fn what_a_handler_says_too_late_is_no_failure_of_its_own() {
        let overdue = What::Overdue { member: 0, group: "g0".into(), queue: queue(0), offset: 0 };
        let back = |at| (at, What::SentBack { group: "g0".into(), broker: 0, physical: 0 });
        let late = |how, more: Vec<(u64, What)>| {
            let rows = vec![(1, stored(1, 0)), (2, delivered(1, 1, 0)), (3, overdue.clone()), (5, settled(1, how))];
            history([rows, more].concat())
        };
        assert_eq!(check(&late(Settled::Ack, vec![back(6)])), Ok(()));
        assert_eq!(check(&late(Settled::Retry, vec![back(6)])), Ok(()));
        assert!(check(&late(Settled::Retry, vec![back(6), back(7)])).is_err());
    }
}
