//! O2: of a queue in order one message is in a handler at a time, over all members, and each is handed out while its
//! member's own view of the lock, 30 s, lasts. A handler that outlives the lock at the broker, 60 s, does not count: that
//! cannot be prevented.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rocketmq_core::time::Instant;

use super::Broken;
use super::ledger::Key;
use crate::sim::history::{Change, History, Queue, What};

/// A message in a handler.
struct Running {
    member: u32,
    group: Arc<str>,
    queue: Queue,
    /// Those of one batch are in one handler.
    batch: u64,
    /// Its member has lost the lock, and knows it or not.
    unlocked: bool,
}

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut hosts: BTreeMap<u32, usize> = BTreeMap::new();
    // When each host was last given a lock.
    let mut granted: BTreeMap<(usize, Key), Instant> = BTreeMap::new();
    // Those of them that a broker has forgotten since.
    let mut forgotten: BTreeSet<(usize, Key)> = BTreeSet::new();
    let mut running: BTreeMap<u64, Running> = BTreeMap::new();
    for row in &history.rows {
        match &row.what {
            What::Joined { host, member } => {
                hosts.insert(*member, *host);
            }
            What::Locked { host, group, queue } => {
                let key = (*host, (group.clone(), queue.clone()));
                forgotten.remove(&key);
                granted.insert(key, row.at);
            }
            What::LocksLost { broker } => {
                forgotten.extend(granted.keys().filter(|(_, (_, queue))| queue.broker == *broker).cloned());
                running.values_mut().filter(|one| one.queue.broker == *broker).for_each(|one| one.unlocked = true);
            }
            What::LockGone { member, group, queue } => {
                let of = |one: &&mut Running| one.member == *member && one.group == *group && one.queue == *queue;
                running.values_mut().filter(of).for_each(|one| one.unlocked = true);
            }
            What::Member { member, group, change: Change::Crashed | Change::Left } => {
                running.retain(|_, one| one.member != *member || one.group != *group);
            }
            What::Settled { delivery, .. } => {
                running.remove(delivery);
            }
            What::Delivered { delivery, batch, member, group, queue, offset, .. }
                if history.setup.is_orderly(group) =>
            {
                let key = (group.clone(), queue.clone());
                let grant = |member: &u32| granted.get(&(*hosts.get(member)?, key.clone())).copied();
                if grant(member).is_none_or(|at| row.at >= at.after(LEASE)) {
                    let text = format!("member {member} of {group} got {queue:?} {offset} without a lock that lasts");
                    return Err(Broken::new(row.at, text));
                }
                let unlocked = hosts.get(member).is_some_and(|host| forgotten.contains(&(*host, key.clone())));
                let beside = running.values().find(|one| {
                    let outlived =
                        one.member != *member && grant(&one.member).is_none_or(|at| row.at >= at.after(LOCK));
                    let with_it = (one.member, one.batch) == (*member, *batch);
                    one.group == *group && one.queue == *queue && !with_it && !one.unlocked && !outlived
                });
                // A member cannot know that the broker has forgotten it and given the lock to another.
                if let Some(other) = beside.filter(|_| !unlocked) {
                    let text = format!(
                        "member {member} of {group} got {queue:?} {offset} while member {} handled another",
                        other.member
                    );
                    return Err(Broken::new(row.at, text));
                }
                let (group, queue) = key;
                running.insert(*delivery, Running { member: *member, group, queue, batch: *batch, unlocked });
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a member takes a lock for.
const LEASE: Duration = Duration::from_secs(30);
/// What it is for the broker.
const LOCK: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;
    use crate::sim::history::Settled;

    fn locked(host: usize) -> What {
        What::Locked { host, group: "g0".into(), queue: queue(0) }
    }

    /// Two members on hosts 10 and 11; the first has the lock from 1 on.
    fn rows(more: Vec<(u64, What)>) -> History {
        let lives = |member, host| What::Joined { host, member };
        let rows = vec![(0, lives(0, 10)), (0, lives(1, 11)), (1, locked(10))];
        orderly(rows.into_iter().chain(more).collect())
    }

    #[test]
    fn beside_one_that_got_the_lock_that_a_broker_forgot() {
        let forgotten = [(2, What::LocksLost { broker: 0 }), (3, locked(11)), (4, delivered_to(1, 1, 0, 0))];
        let more: Vec<_> = forgotten.into_iter().chain([(5, delivered_to(0, 2, 0, 0))]).collect();
        assert_eq!(check(&rows(more)), Ok(()));
    }

    #[test]
    fn one_after_the_other() {
        let more = vec![
            (2, delivered_to(0, 1, 0, 0)),
            (3, settled(1, Settled::Ack)),
            (4, delivered_to(0, 2, 1, 0)),
            (5, settled(2, Settled::Retry)),
            (6, locked(11)),
            (7, delivered_to(1, 3, 1, 0)),
        ];
        assert_eq!(check(&rows(more)), Ok(()));
    }

    #[test]
    fn two_at_once() {
        let more = vec![(2, delivered_to(0, 1, 0, 0)), (6, locked(11)), (7, delivered_to(1, 2, 0, 0))];
        assert!(check(&rows(more)).is_err());
        assert!(check(&rows(vec![(2, delivered_to(0, 1, 0, 0)), (3, delivered_to(0, 2, 1, 0))])).is_err());
    }

    #[test]
    fn without_a_lock_or_after_it() {
        assert!(check(&rows(vec![(2, delivered_to(1, 1, 0, 0))])).is_err());
        assert!(check(&rows(vec![(30_001, delivered_to(0, 1, 0, 0))])).is_err());
        assert_eq!(check(&rows(vec![(30_000, delivered_to(0, 1, 0, 0))])), Ok(()));
        let renewed = vec![(20_000, locked(10)), (49_999, delivered_to(0, 1, 0, 0))];
        assert_eq!(check(&rows(renewed)), Ok(()));
    }

    #[test]
    fn a_handler_that_outlives_its_lock_does_not_count() {
        let late = vec![(2, delivered_to(0, 1, 0, 0)), (60_001, locked(11)), (60_002, delivered_to(1, 2, 0, 0))];
        assert_eq!(check(&rows(late)), Ok(()));
        let gone = What::LockGone { member: 0, group: "g0".into(), queue: queue(0) };
        for over in [What::LocksLost { broker: 0 }, member(0, Change::Crashed), gone] {
            let more = vec![(2, delivered_to(0, 1, 0, 0)), (3, over), (6, locked(11)), (7, delivered_to(1, 2, 0, 0))];
            assert_eq!(check(&rows(more)), Ok(()));
        }
        let forgotten = vec![
            (2, What::LocksLost { broker: 0 }),
            (3, delivered_to(0, 1, 0, 0)),
            (4, locked(11)),
            (5, delivered_to(1, 2, 0, 0)),
        ];
        assert_eq!(check(&rows(forgotten)), Ok(()));
    }

    #[test]
    fn several_at_once_are_one_handler_when_they_came_together() {
        let together = |batch| vec![(2, delivered_with(1, 1, 0, 0)), (2, delivered_with(batch, 2, 1, 0))];
        assert_eq!(check(&rows(together(1))), Ok(()));
        assert!(check(&rows(together(2))).is_err());
        let begun = [together(1), vec![(3, settled(1, Settled::Ack)), (4, delivered_with(3, 3, 2, 0))]].concat();
        assert!(check(&rows(begun)).is_err(), "not all of them are settled");
    }
}
