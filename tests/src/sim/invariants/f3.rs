//! F3: no more is under way on a link than is allowed: the rest waits in its callers.

use super::Broken;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    for row in &history.rows {
        let What::Load { host, requests, bytes, most_requests, most_bytes } = &row.what else { continue };
        // One that is larger than all that is allowed goes alone.
        if requests > most_requests || (bytes > most_bytes && *requests > 1) {
            let text = format!("host {host} has {requests} requests of {bytes} bytes under way on a link");
            return Err(Broken::new(row.at, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn load(requests: usize, bytes: usize) -> History {
        history(vec![(1, What::Load { host: 1, requests, bytes, most_requests: 8, most_bytes: 2_048 })])
    }

    #[test]
    fn within_the_bounds() {
        assert_eq!(check(&load(7, 1_000)), Ok(()));
    }

    #[test]
    fn too_many_or_too_large() {
        assert!(check(&load(9, 1_000)).is_err());
        assert!(check(&load(2, 2_049)).is_err());
    }

    #[test]
    fn at_the_bounds_or_one_large_alone() {
        assert_eq!(check(&load(8, 2_048)), Ok(()));
        assert_eq!(check(&load(1, 20_000)), Ok(()));
    }
}
