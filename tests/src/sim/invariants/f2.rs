//! F2: when a link ends, what was under way on it fails at once: nothing of it is kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rocketmq_core::time::Instant;

use super::Broken;
use crate::sim::history::{Act, Change, History, Queue, What};

/// A pull that is lost with its link: who must be told of it, and since when.
type Due = BTreeMap<(u32, Arc<str>, Queue), Instant>;

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut members = BTreeMap::new();
    // When each member's assignment of a queue began, and when it was last told of a failed pull of it.
    let mut began: BTreeMap<(u32, Arc<str>, Queue), Instant> = BTreeMap::new();
    let mut told: BTreeMap<(u32, Arc<str>, Queue), Instant> = BTreeMap::new();
    let mut due = Due::new();
    for row in &history.rows {
        if let Some((of, since)) = due.iter().find(|(_, since)| row.at > since.after(TICK)) {
            let (member, group, queue) = of;
            let text = format!("member {member} of {group} does not hear that its pull of {queue:?} is lost");
            return Err(Broken::new(*since, text));
        }
        match &row.what {
            What::Joined { host, member } => drop(members.insert(*host, *member)),
            What::Start { member, group, queue, .. } => {
                began.insert((*member, group.clone(), queue.clone()), row.at);
            }
            What::Assigned { member, group, revoked, .. } => {
                for queue in revoked {
                    let key = (*member, group.clone(), queue.clone());
                    began.remove(&key);
                    due.remove(&key);
                }
            }
            What::Illegal { queue, .. } | What::Act(Act::Reset { queue, .. }) => {
                began.retain(|(_, _, known), _| known != queue);
                due.retain(|(_, _, known), _| known != queue);
            }
            // Nor is a queue what it was that a member is told to move and has no lock of.
            What::Act(Act::Told { host, group, offsets }) => {
                let Some(member) = members.get(host) else { continue };
                for (queue, _) in offsets {
                    let key = (*member, group.clone(), queue.clone());
                    began.remove(&key);
                    due.remove(&key);
                }
            }
            // What was pulled by an older filter is nobody's any more.
            What::Subscribed { member, group, .. } => {
                let of_it = |(of, in_group, _): &(u32, Arc<str>, Queue)| of == member && in_group == group;
                began.iter_mut().filter(|(key, _)| of_it(key)).for_each(|(_, began)| *began = row.at);
                due.retain(|key, _| !of_it(key));
            }
            What::Leaving { host } => forget(members.get(host), &mut began, &mut due),
            What::Member { member, change: Change::Left | Change::Crashed | Change::Paused, .. } => {
                forget(Some(member), &mut began, &mut due);
            }
            What::PullFailed { member, group, queue } => {
                let key = (*member, group.clone(), queue.clone());
                due.remove(&key);
                told.insert(key, row.at);
            }
            What::Ended { host, pulls, .. } => {
                let Some(member) = members.get(host) else { continue };
                for (group, queue, at) in pulls {
                    let key = (*member, group.clone(), queue.clone());
                    // A pull of an earlier assignment, or one that was given up already, is nobody's.
                    let live = began.get(&key).is_some_and(|began| began <= at);
                    let told = told.get(&key).is_some_and(|told| told >= at);
                    if live && !told && row.at.since(*at) < GIVEN_UP {
                        due.insert(key, row.at);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn forget(member: Option<&u32>, began: &mut BTreeMap<(u32, Arc<str>, Queue), Instant>, due: &mut Due) {
    began.retain(|(known, _, _), _| Some(known) != member);
    due.retain(|(known, _, _), _| Some(known) != member);
}

/// What counts as at once.
const TICK: Duration = Duration::from_millis(50);
/// A pull may have been given up by its own deadline from then on.
const GIVEN_UP: Duration = Duration::from_secs(25);

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn begun() -> Vec<(u64, What)> {
        vec![(1, What::Joined { host: 5, member: 0 }), (1, start(0))]
    }

    fn ended(pulled: u64) -> What {
        let pulls = vec![("g0".into(), queue(0), Instant::from_millis(pulled))];
        What::Ended { host: 5, link: 1, by_client: false, idle: Duration::ZERO, pulls }
    }

    fn failed() -> What {
        What::PullFailed { member: 0, group: "g0".into(), queue: queue(0) }
    }

    #[test]
    fn told_at_once() {
        let mut rows = begun();
        rows.extend([(10, ended(5)), (10, failed()), (9_000, What::Drained)]);
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn told_late_or_never() {
        let mut rows = begun();
        rows.extend([(10, ended(5)), (1_000, failed())]);
        assert!(check(&history(rows)).is_err());
        let mut rows = begun();
        rows.extend([(10, ended(5)), (9_000, What::Drained)]);
        assert!(check(&history(rows)).is_err());
    }

    #[test]
    fn nobodys_pull_any_more() {
        let mut rows = begun();
        rows.extend([(10, assigned(0, &[], &[0])), (11, ended(5)), (9_000, What::Drained)]);
        assert_eq!(check(&history(rows)), Ok(()));
        let mut rows = begun();
        rows.extend([(10, failed()), (11, ended(5)), (9_000, What::Drained)]);
        assert_eq!(check(&history(rows)), Ok(()));
        let mut rows = begun();
        rows.extend([(10, ended(5)), (10, What::Leaving { host: 5 }), (9_000, What::Drained)]);
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn what_was_pulled_before_a_member_was_told_to_move() {
        let told = |host| What::Act(Act::Told { host, group: "g0".into(), offsets: vec![(queue(0), 7)] });
        let moved = |host| begun().into_iter().chain([(8, told(host)), (10, ended(5)), (90, start(1))]);
        assert_eq!(check(&history(moved(5).collect())), Ok(()));
        assert!(check(&history(moved(6).collect())).is_err(), "another member was");
    }

    #[test]
    fn what_was_pulled_by_an_older_filter() {
        let changed = |at| begun().into_iter().chain([(at, subscribed(Some(1), true)), (10, ended(5)), (90, start(1))]);
        assert_eq!(check(&history(changed(8).collect())), Ok(()));
        assert!(check(&history(changed(3).collect())).is_err(), "it was pulled after the change");
    }
}
