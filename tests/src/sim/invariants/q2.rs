//! Q2: a second shutdown is over at once, and gives nothing more.

use std::time::Duration;

use super::Broken;
use crate::sim::Fault;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    // A process that stands still takes as long.
    let mut paused = None;
    for row in &history.rows {
        match &row.what {
            What::Fault(Fault::Pause | Fault::Zombie) => paused = Some(row.at),
            What::ShutdownAgain { host, took: None, .. } => {
                return Err(Broken::new(row.at, format!("a second shutdown of host {host} does not end")));
            }
            What::ShutdownAgain { host, took: Some(took), alive } => {
                let paused = paused.is_some_and(|at| row.at.since(at) < PAUSED);
                if *took > TICK && !paused {
                    return Err(Broken::new(row.at, format!("a second shutdown of host {host} takes {took:?}")));
                }
                if *alive {
                    return Err(Broken::new(row.at, format!("host {host} gets a message after its end")));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What counts as at once.
const TICK: Duration = Duration::from_millis(5);
/// The longest pause.
const PAUSED: Duration = Duration::from_secs(400);

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn again(millis: Option<u64>, alive: bool) -> What {
        What::ShutdownAgain { host: 1, took: millis.map(Duration::from_millis), alive }
    }

    #[test]
    fn over_at_once() {
        assert_eq!(check(&history(vec![(1, again(Some(0), false))])), Ok(()));
    }

    #[test]
    fn late_or_endless_or_not_the_end() {
        assert!(check(&history(vec![(1, again(Some(10), false))])).is_err());
        assert!(check(&history(vec![(1, again(None, false))])).is_err());
        assert!(check(&history(vec![(1, again(Some(0), true))])).is_err());
    }

    #[test]
    fn in_a_process_that_stood_still() {
        let rows = vec![(1, What::Fault(Fault::Pause)), (10_001, again(Some(10_000), false))];
        assert_eq!(check(&history(rows)), Ok(()));
    }
}
