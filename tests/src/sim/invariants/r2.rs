//! R2: after a member joined, left or died, or a route changed, the queues are shared out again in a bounded time.

use super::Broken;
use super::owners::Owners;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut owners = Owners::default();
    for row in &history.rows {
        owners.row(&row.what);
        if let What::Shared { group, queues, after } = &row.what
            && let Some(text) = owners.unshared(group, queues)
        {
            return Err(Broken::new(row.at, format!("after {after}: {text}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;
    use crate::sim::history::Change;

    fn shared(ids: &[i32]) -> What {
        let queues = ids.iter().map(|id| queue(*id)).collect();
        What::Shared { group: "g0".into(), queues, after: "a member died" }
    }

    #[test]
    fn taken_over() {
        let rows = vec![
            (1, assigned(0, &[0], &[])),
            (1, assigned(1, &[1], &[])),
            (2, member(0, Change::Crashed)),
            (3, assigned(1, &[0], &[])),
            (9, shared(&[0, 1])),
        ];
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn not_taken_over_or_not_given_up() {
        let rows = vec![(1, assigned(0, &[0], &[])), (2, member(0, Change::Crashed)), (9, shared(&[0]))];
        assert!(check(&history(rows)).is_err());
        let rows = vec![(1, assigned(0, &[0, 1], &[])), (2, assigned(1, &[1], &[])), (9, shared(&[0, 1]))];
        assert!(check(&history(rows)).is_err());
    }

    #[test]
    fn a_queue_that_is_no_more_readable_may_still_be_owned() {
        assert_eq!(check(&history(vec![(1, assigned(0, &[0, 1], &[])), (9, shared(&[0]))])), Ok(()));
    }
}
