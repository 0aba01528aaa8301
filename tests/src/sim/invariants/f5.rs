//! F5: a suspended consumer pulls nothing. A pull that it had decided on before may arrive much later, when its link is
//! slow: so it counts only when it asks for what comes after a message that was stored since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rocketmq_core::time::Instant;

use super::Broken;
use crate::sim::Fault;
use crate::sim::history::{History, Queue, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    // Where answers tell of offsets that are none, a pull may be anywhere.
    if history.rows.iter().any(|row| matches!(row.what, What::Fault(Fault::OddOffsets))) {
        return Ok(());
    }
    let mut members = BTreeMap::new();
    let mut suspended: BTreeMap<(u32, Arc<str>), Instant> = BTreeMap::new();
    // When each offset was first given, but for those of queues whose offsets were moved.
    let mut stored: BTreeMap<(Queue, i64), Instant> = BTreeMap::new();
    let mut odd: BTreeSet<Queue> = BTreeSet::new();
    for row in &history.rows {
        match &row.what {
            What::Joined { host, member } => drop(members.insert(*host, *member)),
            What::Suspended { member, group } => {
                suspended.insert((*member, group.clone()), row.at);
            }
            What::Resumed { member, group } | What::Member { member, group, .. } => {
                suspended.remove(&(*member, group.clone()));
            }
            What::Stored(copy) => {
                stored.entry((copy.queue.clone(), copy.offset)).or_insert(row.at);
            }
            What::Illegal { queue, .. } | What::Moved { queue, .. } => drop(odd.insert(queue.clone())),
            What::Pull { host, group, queue, offset, .. } => {
                let Some(member) = members.get(host) else { continue };
                let Some(since) = suspended.get(&(*member, group.clone())) else { continue };
                let before = stored.get(&(queue.clone(), offset.saturating_sub(1)));
                if before.is_some_and(|at| at > since) && !odd.contains(queue) {
                    let text =
                        format!("member {member} of {group} pulls {queue:?} at {offset}, suspended at {since:?}");
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

    fn rows(more: Vec<(u64, What)>) -> History {
        let suspended = What::Suspended { member: 0, group: "g0".into() };
        let rows = vec![(1, What::Joined { host: 5, member: 0 }), (1, stored(1, 0)), (2, suspended)];
        history(rows.into_iter().chain(more).collect())
    }

    #[test]
    fn nothing_or_after_its_end() {
        let resumed = What::Resumed { member: 0, group: "g0".into() };
        assert_eq!(check(&rows(vec![(3, stored(2, 1)), (4, resumed), (5, pulled(5, 1, 0, 2))])), Ok(()));
    }

    #[test]
    fn after_what_was_stored_since() {
        assert!(check(&rows(vec![(3, stored(2, 1)), (5, pulled(5, 1, 0, 2))])).is_err());
    }

    #[test]
    fn one_that_was_decided_before_or_that_nobody_can_tell() {
        assert_eq!(check(&rows(vec![(3, stored(2, 1)), (5, pulled(5, 1, 0, 1))])), Ok(()));
        assert_eq!(check(&rows(vec![(3, stored(2, 1)), (5, pulled(6, 1, 0, 2))])), Ok(()), "somebody else");
        let moved = What::Moved { group: "g0".into(), queue: queue(0), offset: 2 };
        assert_eq!(check(&rows(vec![(3, moved), (3, stored(2, 1)), (5, pulled(5, 1, 0, 2))])), Ok(()));
        let odd = What::Fault(Fault::OddOffsets);
        assert_eq!(check(&rows(vec![(3, odd), (3, stored(2, 1)), (5, pulled(5, 1, 0, 2))])), Ok(()));
    }
}
