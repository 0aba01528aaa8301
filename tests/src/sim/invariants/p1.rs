//! P1: a message reported as stored is stored at that moment, at the queue and offset that were reported.

use std::collections::{BTreeMap, BTreeSet};

use super::Broken;
use crate::sim::history::{History, Outcome, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    // Copies by message, ever stored: a loss after the answer is the broker's.
    let mut copies: BTreeMap<u64, BTreeSet<_>> = BTreeMap::new();
    for row in &history.rows {
        match &row.what {
            What::Stored(copy) => {
                if let Some(id) = copy.id {
                    copies.entry(id).or_default().insert((copy.queue.clone(), copy.offset));
                }
            }
            What::Resolved { id, outcome: Outcome::Stored { queue, offset, .. } } => {
                let known = copies.get(id).is_some_and(|places| places.contains(&(queue.clone(), *offset)));
                if !known {
                    return Err(Broken::new(row.at, format!("message {id} is not at {queue:?} {offset}")));
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
    fn stored_then_reported() {
        assert_eq!(check(&history(vec![(1, attempt(7)), (2, stored(7, 0)), (3, resolved(7, ok(0)))])), Ok(()));
    }

    #[test]
    fn reported_and_not_stored_or_elsewhere_or_too_early() {
        assert!(check(&history(vec![(1, attempt(7)), (3, resolved(7, ok(0)))])).is_err());
        assert!(check(&history(vec![(2, stored(7, 1)), (3, resolved(7, ok(0)))])).is_err());
        assert!(check(&history(vec![(2, stored(8, 0)), (3, resolved(7, ok(0)))])).is_err());
        assert!(check(&history(vec![(3, resolved(7, ok(0))), (4, stored(7, 0))])).is_err());
    }

    #[test]
    fn one_of_two_copies_is_reported_and_the_broker_loses_it_later() {
        let rows =
            vec![(2, stored(7, 0)), (2, stored(7, 1)), (3, resolved(7, ok(1))), (4, What::Lost { broker: 0, end: 0 })];
        assert_eq!(check(&history(rows)), Ok(()));
    }
}
