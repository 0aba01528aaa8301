//! Q3: a client that does not start leaves no link, timer or task behind.

use std::time::Duration;

use super::Broken;
use crate::sim::Fault;
use crate::sim::history::{Change, History, Leftover, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    // A process that stands still has not had the time.
    let mut paused = None;
    for row in &history.rows {
        match &row.what {
            What::Fault(Fault::Pause | Fault::Zombie) | What::Member { change: Change::Paused, .. } => {
                paused = Some(row.at);
            }
            What::Unstarted { host, left }
                if *left != Leftover::default() && paused.is_none_or(|at| row.at.since(at) > PAUSED) =>
            {
                return Err(Broken::new(row.at, format!("a client of host {host} did not start and left {left:?}")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The longest pause.
const PAUSED: Duration = Duration::from_secs(400);

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn unstarted(links: usize, timers: usize, tasks: usize) -> What {
        What::Unstarted { host: 1, left: Leftover { links, timers, tasks, locks: 0 } }
    }

    #[test]
    fn nothing_is_left() {
        assert_eq!(check(&history(vec![(1, unstarted(0, 0, 0))])), Ok(()));
    }

    #[test]
    fn a_link_a_timer_or_a_task_is_left() {
        assert!(check(&history(vec![(1, unstarted(1, 0, 0))])).is_err());
        assert!(check(&history(vec![(1, unstarted(0, 1, 0))])).is_err());
        assert!(check(&history(vec![(1, unstarted(0, 0, 1))])).is_err());
    }

    #[test]
    fn a_process_that_stands_still_is_not_done_yet() {
        let rows = vec![(1, What::Fault(Fault::Zombie)), (2, unstarted(1, 1, 1))];
        assert_eq!(check(&history(rows)), Ok(()));
    }
}
