//! R4: messages are handed out only of queues that the member owns; those of a queue it gave up are not.

use std::collections::BTreeSet;

use super::Broken;
use crate::sim::history::{Change, History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut owned = BTreeSet::new();
    for row in &history.rows {
        match &row.what {
            What::Assigned { member, group, added, revoked } => {
                for queue in revoked {
                    owned.remove(&(*member, group.clone(), queue.clone()));
                }
                owned.extend(added.iter().map(|queue| (*member, group.clone(), queue.clone())));
            }
            What::Member { member, group, change: Change::Left | Change::Crashed } => {
                owned.retain(|(known, of, _)| (known, of) != (member, group));
            }
            What::Delivered { member, group, queue, offset, .. }
                if !owned.contains(&(*member, group.clone(), queue.clone())) =>
            {
                let text = format!("member {member} of {group} got {queue:?} {offset}, which it does not own");
                return Err(Broken::new(row.at, text));
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

    #[test]
    fn of_a_queue_that_is_owned() {
        assert_eq!(check(&history(vec![(1, assigned(0, &[0], &[])), (2, delivered(1, 1, 0))])), Ok(()));
    }

    #[test]
    fn of_a_queue_that_is_not_or_no_more_owned() {
        assert!(check(&history(vec![(1, assigned(0, &[1], &[])), (2, delivered(1, 1, 0))])).is_err());
        let rows = vec![(1, assigned(0, &[0], &[])), (2, assigned(0, &[], &[0])), (3, delivered(1, 1, 0))];
        assert!(check(&history(rows)).is_err());
        let rows = vec![(1, assigned(0, &[0], &[])), (2, member(0, Change::Left)), (3, delivered(1, 1, 0))];
        assert!(check(&history(rows)).is_err());
    }

    #[test]
    fn settled_after_the_queue_was_given_up() {
        let rows = vec![
            (1, assigned(0, &[0], &[])),
            (2, delivered(1, 1, 0)),
            (3, assigned(0, &[], &[0])),
            (4, settled(1, crate::sim::history::Settled::Ack)),
        ];
        assert_eq!(check(&history(rows)), Ok(()));
    }
}
