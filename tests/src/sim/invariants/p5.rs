//! P5: every send ends exactly once, and in time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Broken;
use crate::sim::Fault;
use crate::sim::history::{Change, History, Outcome, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut open = BTreeMap::new();
    // A process that stood still, or whose timers are late, ends its sends later.
    let late = |row: &crate::sim::history::Row| {
        matches!(
            &row.what,
            What::Fault(Fault::LateTimers | Fault::Pause | Fault::Zombie) | What::Member { change: Change::Paused, .. }
        )
    };
    let slack = if history.rows.iter().any(late) { LATE } else { TICK };
    for row in &history.rows {
        match &row.what {
            What::Attempt { id, deadline, .. } if open.insert(*id, *deadline).is_some() => {
                return Err(Broken::new(row.at, format!("message {id} is sent while it is sent")));
            }
            What::Resolved { id, outcome } => {
                let Some(deadline) = open.remove(id) else {
                    return Err(Broken::new(row.at, format!("message {id} ends twice")));
                };
                if row.at > deadline.after(slack) && *outcome != Outcome::Cancelled {
                    let over = row.at.since(deadline);
                    return Err(Broken::new(row.at, format!("message {id} ends {over:?} after its deadline")));
                }
            }
            What::Drained => {
                if let Some((id, deadline)) = open.first_key_value().filter(|(_, at)| at.after(LATE) < row.at) {
                    return Err(Broken::new(*deadline, format!("message {id} never ends")));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A tick of a timer, and the time a byte takes.
const TICK: Duration = Duration::from_millis(5);
/// What a pause or a late timer adds at most.
const LATE: Duration = Duration::from_secs(700);

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    #[test]
    fn ends_in_time() {
        assert_eq!(check(&history(vec![(1, attempt(7)), (3_002, resolved(7, Outcome::Unknown))])), Ok(()));
    }

    #[test]
    fn ends_late_or_twice_or_never() {
        assert!(check(&history(vec![(1, attempt(7)), (3_010, resolved(7, Outcome::Unknown))])).is_err());
        let twice = vec![(1, attempt(7)), (2, resolved(7, ok(0))), (3, resolved(7, ok(0)))];
        assert!(check(&history(twice)).is_err());
        assert!(check(&history(vec![(1, attempt(7)), (1_000_000, What::Drained)])).is_err());
    }

    #[test]
    fn a_dropped_future_ends_when_it_is_dropped_and_a_late_timer_is_an_excuse() {
        assert_eq!(check(&history(vec![(1, attempt(7)), (3_010, resolved(7, Outcome::Cancelled))])), Ok(()));
        let rows = vec![(1, attempt(7)), (2, What::Fault(Fault::LateTimers)), (3_010, resolved(7, Outcome::Unknown))];
        assert_eq!(check(&history(rows)), Ok(()));
    }
}
