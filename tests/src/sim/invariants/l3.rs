//! L3: listeners, however slow or faulty, delay neither heartbeats nor the pulls of queues that have room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rocketmq_core::time::Instant;

use super::Broken;
use crate::sim::history::{GroupSetup, History, Queue, Row, What};

/// What is due again and again: a heartbeat to a broker, or a pull.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Heartbeat(usize),
    Pull(Arc<str>, Queue),
}

pub(super) fn check(history: &History) -> Result<(), Broken> {
    // Where the network or the cluster may fail, anything may be late.
    if !history.setup.steady {
        return Ok(());
    }
    let mut hosts = BTreeMap::new();
    let mut last: BTreeMap<(usize, Due), Instant> = BTreeMap::new();
    // When a host gave a queue up: a pull that was on its way then is no sign of another assignment.
    let mut given_up: BTreeMap<(usize, Due), Instant> = BTreeMap::new();
    let in_time = |row: &Row, host: usize, due: &Due, before: Instant| {
        let text = || format!("host {host} was silent for {:?}: {due:?}", row.at.since(before));
        if row.at.since(before) > PERIOD { Err(Broken::new(row.at, text())) } else { Ok(()) }
    };
    for row in &history.rows {
        match &row.what {
            What::Joined { host, member } => drop(hosts.insert(*member, *host)),
            What::Heartbeat { host, broker, .. } => {
                let due = Due::Heartbeat(*broker);
                if let Some(before) = last.insert((*host, due.clone()), row.at) {
                    in_time(row, *host, &due, before)?;
                }
            }
            What::Pull { host, group, queue, written, .. } => {
                let roomy = |setup: &GroupSetup| {
                    setup.name == *group
                        && setup.queue_messages >= ROOMY
                        && setup.topic_messages.is_none()
                        && !setup.pauses
                };
                if history.setup.cache_bytes.is_some() || !history.setup.groups.iter().any(roomy) {
                    continue;
                }
                let due = Due::Pull(group.clone(), queue.clone());
                if given_up.get(&(*host, due.clone())).is_some_and(|at| written <= at) {
                    continue;
                }
                if let Some(before) = last.insert((*host, due.clone()), row.at) {
                    in_time(row, *host, &due, before)?;
                }
            }
            What::Assigned { member, group, revoked, .. } => {
                let Some(host) = hosts.get(member) else { continue };
                for queue in revoked {
                    let due = Due::Pull(group.clone(), queue.clone());
                    given_up.insert((*host, due.clone()), row.at);
                    if let Some(before) = last.remove(&(*host, due.clone())) {
                        in_time(row, *host, &due, before)?;
                    }
                }
            }
            What::Leaving { host } => {
                for ((_, due), before) in last.iter().filter(|((known, _), _)| known == host) {
                    in_time(row, *host, due, *before)?;
                }
                last.retain(|(known, _), _| known != host);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Heartbeats are due every 30 s, and a pull is held for 15 s and up to 5 s more.
const PERIOD: Duration = Duration::from_secs(35);
/// A queue that may have so many messages in hand always has room in these runs.
const ROOMY: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn heartbeat() -> What {
        What::Heartbeat { host: 5, broker: 0, groups: vec!["g0".into()] }
    }

    fn pull() -> What {
        pulled(5, 1, 0, 0)
    }

    fn steady(mut rows: Vec<(u64, What)>) -> History {
        rows.insert(0, (1, What::Joined { host: 5, member: 0 }));
        let mut history = history(rows);
        history.setup.steady = true;
        history.setup.groups[0].queue_messages = 1_000;
        history
    }

    #[test]
    fn again_and_again() {
        let rows = vec![(1, heartbeat()), (1, pull()), (20_000, pull()), (31_000, heartbeat())];
        assert_eq!(check(&steady(rows)), Ok(()));
    }

    #[test]
    fn silent_for_too_long() {
        assert!(check(&steady(vec![(1, heartbeat()), (36_000, heartbeat())])).is_err());
        assert!(check(&steady(vec![(1, pull()), (36_000, pull())])).is_err());
        assert!(check(&steady(vec![(1, heartbeat()), (36_000, What::Leaving { host: 5 })])).is_err());
        assert!(check(&steady(vec![(1, pull()), (36_000, assigned(0, &[], &[0]))])).is_err());
    }

    #[test]
    fn full_or_given_up_or_in_a_run_with_other_faults() {
        let mut full = steady(vec![(1, pull()), (36_000, pull())]);
        full.setup.groups[0].queue_messages = 8;
        assert_eq!(check(&full), Ok(()));
        let given_up = steady(vec![(1, pull()), (2, assigned(0, &[], &[0])), (36_000, pull())]);
        assert_eq!(check(&given_up), Ok(()));
        let on_its_way =
            vec![(1, pull()), (2, assigned(0, &[], &[0])), (3, pull()), (36_000, What::Leaving { host: 5 })];
        assert_eq!(check(&steady(on_its_way)), Ok(()));
        let mut other = steady(vec![(1, heartbeat()), (36_000, heartbeat())]);
        other.setup.steady = false;
        assert_eq!(check(&other), Ok(()));
    }
}
