//! Q1: a shutdown is over in its time, and leaves neither links nor timers nor locks behind.

use std::time::Duration;

use super::Broken;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    for row in &history.rows {
        let What::Shutdown { host, took, within, links, timers, locks } = &row.what else { continue };
        if *took > *within + SLACK {
            return Err(Broken::new(row.at, format!("the shutdown of host {host} took {took:?} of {within:?}")));
        }
        if *links + *timers + *locks > 0 {
            let text =
                format!("the shutdown of host {host} left {links} links, {timers} timers and {locks} locks behind");
            return Err(Broken::new(row.at, text));
        }
    }
    Ok(())
}

/// Late timers and the last round trip.
const SLACK: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn shutdown(took: u64, links: usize, timers: usize) -> History {
        left(took, links, timers, 0)
    }

    fn left(took: u64, links: usize, timers: usize, locks: usize) -> History {
        let (took, within) = (Duration::from_secs(took), Duration::from_secs(30));
        history(vec![(1, What::Shutdown { host: 1, took, within, links, timers, locks })])
    }

    #[test]
    fn in_time_and_clean() {
        assert_eq!(check(&shutdown(3, 0, 0)), Ok(()));
    }

    #[test]
    fn late_or_not_clean() {
        assert!(check(&shutdown(33, 0, 0)).is_err());
        assert!(check(&shutdown(3, 1, 0)).is_err());
        assert!(check(&shutdown(3, 0, 1)).is_err());
        assert!(check(&left(3, 0, 0, 1)).is_err());
    }

    #[test]
    fn at_the_last_moment() {
        assert_eq!(check(&shutdown(32, 0, 0)), Ok(()));
    }
}
