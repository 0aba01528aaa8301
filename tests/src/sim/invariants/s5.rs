//! S5: offsets are committed at masters: what a slave is told is lost with the next copy.

use super::Broken;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    for row in &history.rows {
        if let What::SlaveCommit { host, group, queue } = &row.what {
            return Err(Broken::new(row.at, format!("host {host} commits {queue:?} of {group} at a slave")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    #[test]
    fn at_the_master() {
        assert_eq!(check(&history(vec![(1, committed(3))])), Ok(()));
    }

    #[test]
    fn at_a_slave() {
        let commit = What::SlaveCommit { host: 5, group: "g0".into(), queue: queue(0) };
        assert!(check(&history(vec![(1, commit)])).is_err());
    }
}
