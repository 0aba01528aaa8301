//! X3: what comes over the wire does not cost more memory than is allowed, whatever it says of itself.

use super::Broken;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    for row in &history.rows {
        if let What::Memory { used, allowed } = &row.what
            && used > allowed
        {
            return Err(Broken::new(row.at, format!("the run took {used} KiB of {allowed}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn memory(used: u64) -> History {
        history(vec![(1, What::Memory { used, allowed: 100 })])
    }

    #[test]
    fn less_than_is_allowed() {
        assert_eq!(check(&memory(50)), Ok(()));
    }

    #[test]
    fn more_than_is_allowed() {
        assert!(check(&memory(101)).is_err());
    }

    #[test]
    fn as_much_as_is_allowed() {
        assert_eq!(check(&memory(100)), Ok(()));
    }
}
