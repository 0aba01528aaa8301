//! W1: what a client shows of itself is so: the queues are those that it was given, and their offsets and what is in hand
//! are in order.
//!
//! What a client tells of at the same time is noted before or after the look: so looks are judged when that time is over.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Broken;
use super::ledger::Ledger;
use super::owners::Owners;
use crate::sim::history::{History, Look, Looked, Queue, Row, Setup, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    if !history.rows.iter().any(|row| matches!(row.what, What::Look(_))) {
        return Ok(());
    }
    let (mut ledger, mut owners) = (Ledger::new(&history.setup), Owners::default());
    let mut moved: Places = BTreeSet::new();
    for rows in history.rows.chunk_by(|a, b| a.at == b.at) {
        for row in rows {
            ledger.row(&row.what);
            owners.row(&row.what);
            if let What::Moved { group, queue, .. } = &row.what {
                moved.insert((group.clone(), queue.clone()));
            }
        }
        let changed = changed(rows);
        for row in rows {
            let What::Look(look) = &row.what else { continue };
            let wrong = shares(look, &owners, &changed).or_else(|| offsets(look, &ledger, &moved, &history.setup));
            if let Some(wrong) = wrong {
                let (member, group) = (look.member, &look.group);
                return Err(Broken::new(row.at, format!("member {member} of {group} shows {wrong}")));
            }
        }
    }
    Ok(())
}

/// Queues of groups.
type Places = BTreeSet<(Arc<str>, Queue)>;

/// What members got or gave up in these rows; no queue in particular stands for all.
fn changed(rows: &[Row]) -> BTreeSet<(u32, Arc<str>, Option<Queue>)> {
    let mut changed = BTreeSet::new();
    for row in rows {
        match &row.what {
            What::Assigned { member, group, added, revoked } => {
                let queues = added.iter().chain(revoked);
                changed.extend(queues.map(|queue| (*member, group.clone(), Some(queue.clone()))));
            }
            What::Member { member, group, .. } => drop(changed.insert((*member, group.clone(), None))),
            _ => {}
        }
    }
    changed
}

/// Whether the queues are those that the member was given.
fn shares(look: &Look, owners: &Owners, changed: &BTreeSet<(u32, Arc<str>, Option<Queue>)>) -> Option<String> {
    let of = |queue: Option<Queue>| (look.member, look.group.clone(), queue);
    if changed.contains(&of(None)) {
        return None;
    }
    let certain = |queue: &&Queue| !changed.contains(&of(Some((*queue).clone())));
    let shown: BTreeSet<&Queue> = look.queues.iter().map(|looked| &looked.queue).collect();
    let owned = owners.of(&look.group, look.member);
    let strange = shown.iter().copied().filter(certain).find(|queue| !owned.contains(queue));
    if let Some(queue) = strange {
        return Some(format!("{queue:?}, which it was not given"));
    }
    let missing = owned.iter().copied().filter(certain).find(|queue| !shown.contains(queue)).filter(|_| look.running);
    missing.map(|queue| format!("nothing of {queue:?}, which it was given"))
}

/// Whether offsets and what is in hand of each queue can be so.
///
/// Of a queue that an operator moved while its lock was not ours the broker may have another offset than the one that it was
/// asked for a moment before.
fn offsets(look: &Look, ledger: &Ledger, moved: &Places, setup: &Setup) -> Option<String> {
    let group = setup.groups.iter().find(|group| group.name == look.group);
    // Shares of a topic become smaller when there are more queues, and then more is in hand than may be.
    let most = group.filter(|group| group.topic_messages.is_none());
    let most = most.map(|group| u64::from(group.queue_messages) + u64::from(group.pull_batch));
    look.queues.iter().find_map(|looked| {
        let Looked { queue, committed, settled, next, cached } = looked;
        let early = *committed > *settled && settled.is_some() && !moved.contains(&(look.group.clone(), queue.clone()));
        if early || settled.is_some_and(|settled| settled > *next) {
            return Some(format!("{queue:?} committed {committed:?}, settled {settled:?}, pulled {next}"));
        }
        if let Some(most) = most.filter(|most| cached > most) {
            return Some(format!("{cached} messages of {queue:?} in hand, of at most {most}"));
        }
        let open = ledger.first_open(&(look.group.clone(), queue.clone()))?;
        (*settled > Some(open)).then(|| format!("{queue:?} settled to {settled:?}, but {open} is not handled"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;
    use crate::sim::history::{Change, Settled};

    fn looked(id: i32, committed: i64, settled: i64, next: i64) -> Looked {
        let cached = u64::try_from(next - settled).unwrap_or(0);
        Looked { queue: queue(id), committed: Some(committed), settled: Some(settled), next, cached }
    }

    fn look(queues: Vec<Looked>) -> What {
        What::Look(Look { member: 0, group: "g0".into(), running: true, queues })
    }

    /// Two messages are stored, of which the first is handled.
    fn rows(more: Vec<(u64, What)>) -> History {
        let rows = vec![
            (1, stored(1, 0)),
            (1, stored(2, 1)),
            (2, assigned(0, &[0], &[])),
            (3, delivered(1, 1, 0)),
            (4, settled(1, Settled::Ack)),
        ];
        history(rows.into_iter().chain(more).collect())
    }

    #[test]
    fn what_is_so() {
        assert_eq!(check(&rows(vec![(5, look(vec![looked(0, 0, 1, 2)]))])), Ok(()));
        let before = Looked { committed: None, settled: None, next: 0, ..looked(0, 0, 0, 0) };
        assert_eq!(check(&rows(vec![(5, look(vec![before]))])), Ok(()), "where it starts is not known");
    }

    #[test]
    fn offsets_and_counts_that_cannot_be() {
        for wrong in [looked(0, 0, 2, 2), looked(0, 1, 0, 2), looked(0, 0, 1, 0)] {
            assert!(check(&rows(vec![(5, look(vec![wrong.clone()]))])).is_err(), "{wrong:?}");
        }
        // Two may be in hand when two more are asked for.
        let cached = |cached| Looked { cached, ..looked(0, 0, 1, 2) };
        assert_eq!(check(&rows(vec![(5, look(vec![cached(4)]))])), Ok(()));
        assert!(check(&rows(vec![(5, look(vec![cached(5)]))])).is_err());
    }

    #[test]
    fn a_queue_that_an_operator_moved_may_start_before_what_it_has_committed() {
        let moved = What::Moved { group: "g0".into(), queue: queue(0), offset: 1 };
        let behind = || look(vec![looked(0, 1, 0, 2)]);
        assert_eq!(check(&rows(vec![(5, moved), (6, behind())])), Ok(()));
        let other = What::Moved { group: "g0".into(), queue: queue(1), offset: 1 };
        assert!(check(&rows(vec![(5, other), (6, behind())])).is_err());
    }

    #[test]
    fn queues_that_were_not_given_or_are_missing() {
        assert!(check(&rows(vec![(5, look(vec![looked(0, 0, 1, 2), looked(1, 0, 0, 0)]))])).is_err());
        assert!(check(&rows(vec![(5, look(Vec::new()))])).is_err());
    }

    #[test]
    fn what_changes_at_the_same_time_may_be_told_before_or_after() {
        for given in [assigned(0, &[1], &[0]), assigned(0, &[], &[0])] {
            let rows = |first: What, second: What| rows(vec![(5, first), (5, second)]);
            assert_eq!(check(&rows(look(vec![looked(0, 0, 1, 2)]), given.clone())), Ok(()));
            assert_eq!(check(&rows(given.clone(), look(Vec::new()))), Ok(()));
        }
        let later = vec![(5, assigned(0, &[1], &[])), (6, look(vec![looked(0, 0, 1, 2)]))];
        assert!(check(&rows(later)).is_err());
        // One that ends may have let go of its queues.
        let ending = What::Look(Look { member: 0, group: "g0".into(), running: false, queues: Vec::new() });
        assert_eq!(check(&rows(vec![(5, ending)])), Ok(()));
        let left = vec![(5, look(vec![looked(0, 0, 1, 2)])), (5, member(0, Change::Left))];
        assert_eq!(check(&rows(left)), Ok(()));
    }
}
