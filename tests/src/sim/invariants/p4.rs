//! P4: what is reported as certainly failed is not stored, neither before nor after.

use std::collections::BTreeSet;

use super::Broken;
use crate::sim::history::{History, Outcome, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let stored: BTreeSet<u64> = history
        .rows
        .iter()
        .filter_map(|row| match &row.what {
            What::Stored(copy) => copy.id,
            _ => None,
        })
        .collect();
    for row in &history.rows {
        if let What::Resolved { id, outcome: Outcome::Failed } = &row.what
            && stored.contains(id)
        {
            return Err(Broken::new(row.at, format!("message {id} is said to be not stored, and is")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    #[test]
    fn failed_and_not_stored() {
        assert_eq!(check(&history(vec![(1, attempt(7)), (2, resolved(7, Outcome::Failed))])), Ok(()));
    }

    #[test]
    fn failed_and_stored_before_or_after() {
        assert!(check(&history(vec![(1, stored(7, 0)), (2, resolved(7, Outcome::Failed))])).is_err());
        assert!(check(&history(vec![(2, resolved(7, Outcome::Failed)), (3, stored(7, 0))])).is_err());
    }

    #[test]
    fn unknown_may_be_stored() {
        assert_eq!(check(&history(vec![(1, stored(7, 0)), (2, resolved(7, Outcome::Unknown))])), Ok(()));
        assert_eq!(check(&history(vec![(1, stored(7, 0)), (2, resolved(7, Outcome::Cancelled))])), Ok(()));
    }
}
