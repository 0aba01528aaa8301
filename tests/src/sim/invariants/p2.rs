//! P2: no stored copy without an attempt, and each as it was given.

use std::collections::BTreeSet;

use super::Broken;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut attempts = BTreeSet::new();
    for row in &history.rows {
        match &row.what {
            What::Attempt { id, .. } => {
                attempts.insert(*id);
            }
            What::Stored(copy) => {
                let Some(id) = copy.id else {
                    return Err(Broken::new(row.at, format!("a copy that nobody sent: {copy:?}")));
                };
                if !attempts.contains(&id) {
                    return Err(Broken::new(row.at, format!("message {id} is stored and was not sent")));
                }
                if !copy.intact {
                    return Err(Broken::new(row.at, format!("message {id} is stored differently: {copy:?}")));
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

    #[test]
    fn what_was_sent_is_stored() {
        assert_eq!(check(&history(vec![(1, attempt(7)), (2, stored(7, 0)), (2, stored(7, 1))])), Ok(()));
    }

    #[test]
    fn a_phantom_or_a_changed_copy() {
        assert!(check(&history(vec![(2, stored(7, 0))])).is_err());
        let mut changed = copy(7, 0);
        changed.intact = false;
        assert!(check(&history(vec![(1, attempt(7)), (2, What::Stored(changed))])).is_err());
        let mut nobodys = copy(7, 0);
        nobodys.id = None;
        assert!(check(&history(vec![(1, attempt(7)), (2, What::Stored(nobodys))])).is_err());
    }

    #[test]
    fn stored_only_after_it_was_sent() {
        assert!(check(&history(vec![(2, stored(7, 0)), (3, attempt(7))])).is_err());
    }
}
