//! R1: in the end, with all views equal, the members share the readable queues and each has exactly one owner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Broken;
use crate::sim::history::{Change, History, Queue, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut owned: BTreeMap<(Arc<str>, u32), BTreeSet<Queue>> = BTreeMap::new();
    for row in &history.rows {
        match &row.what {
            What::Assigned { member, group, added, revoked } => {
                let queues = owned.entry((group.clone(), *member)).or_default();
                queues.retain(|queue| !revoked.contains(queue));
                queues.extend(added.iter().cloned());
            }
            What::Member { member, group, change: Change::Left | Change::Crashed } => {
                owned.remove(&(group.clone(), *member));
            }
            What::Readable { group, queues } => {
                for queue in queues {
                    let owners = owned.iter().filter(|((of, _), owned)| of == group && owned.contains(queue));
                    let owners: Vec<u32> = owners.map(|((_, member), _)| *member).collect();
                    if owners.len() != 1 {
                        let text = format!("{queue:?} of {group} is owned by the members {owners:?}");
                        return Err(Broken::new(row.at, text));
                    }
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

    fn readable(ids: &[i32]) -> What {
        What::Readable { group: "g0".into(), queues: ids.iter().map(|id| queue(*id)).collect() }
    }

    #[test]
    fn shared_out() {
        let rows = vec![(1, assigned(0, &[0, 1], &[])), (2, assigned(0, &[], &[1])), (2, assigned(1, &[1], &[]))];
        let rows = rows.into_iter().chain([(3, readable(&[0, 1]))]).collect();
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn nobodys_or_owned_twice() {
        assert!(check(&history(vec![(1, assigned(0, &[0], &[])), (3, readable(&[0, 1]))])).is_err());
        let twice = vec![(1, assigned(0, &[0], &[])), (2, assigned(1, &[0], &[])), (3, readable(&[0]))];
        assert!(check(&history(twice)).is_err());
    }

    #[test]
    fn what_the_dead_owned_does_not_count() {
        let rows = vec![
            (1, assigned(0, &[0], &[])),
            (2, member(0, Change::Crashed)),
            (2, assigned(1, &[0], &[])),
            (3, readable(&[0])),
        ];
        assert_eq!(check(&history(rows)), Ok(()));
    }
}
