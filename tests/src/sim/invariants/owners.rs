//! Who owns which queues, as members were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::sim::history::{Change, Queue, What};

/// Kept row by row.
#[derive(Default)]
pub(super) struct Owners(BTreeMap<(Arc<str>, u32), BTreeSet<Queue>>);

impl Owners {
    /// Takes in what happened.
    pub(super) fn row(&mut self, what: &What) {
        match what {
            What::Assigned { member, group, added, revoked } => {
                let queues = self.0.entry((group.clone(), *member)).or_default();
                queues.retain(|queue| !revoked.contains(queue));
                queues.extend(added.iter().cloned());
            }
            What::Member { member, group, change: Change::Left | Change::Crashed } => {
                self.0.remove(&(group.clone(), *member));
            }
            _ => {}
        }
    }

    /// The queues of a member.
    pub(super) fn of(&self, group: &Arc<str>, member: u32) -> BTreeSet<&Queue> {
        self.0.get(&(group.clone(), member)).into_iter().flatten().collect()
    }

    /// The first of these queues that has not exactly one owner.
    pub(super) fn unshared(&self, group: &Arc<str>, queues: &[Queue]) -> Option<String> {
        queues.iter().find_map(|queue| {
            let owners = self.0.iter().filter(|((of, _), owned)| of == group && owned.contains(queue));
            let owners: Vec<u32> = owners.map(|((_, member), _)| *member).collect();
            (owners.len() != 1).then(|| format!("{queue:?} of {group} is owned by the members {owners:?}"))
        })
    }
}
