//! L1: when no fault happens any more, everything is consumed within a bounded time.

use super::Broken;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    for row in &history.rows {
        if let What::Undrained { left } = &row.what {
            return Err(Broken::new(row.at, format!("not drained in time: {left}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    #[test]
    fn drained() {
        assert_eq!(check(&history(vec![(1, What::Healed), (2, What::Drained)])), Ok(()));
    }

    #[test]
    fn not_drained() {
        let left = String::from("queue 0");
        assert!(check(&history(vec![(1, What::Healed), (2, What::Undrained { left })])).is_err());
    }

    #[test]
    fn a_run_without_that_phase() {
        assert_eq!(check(&history(vec![(1, stored(1, 0))])), Ok(()));
    }
}
