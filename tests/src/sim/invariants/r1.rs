//! R1: in the end, with all views equal, the members share the readable queues and each has exactly one owner.

use super::Broken;
use super::owners::Owners;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut owners = Owners::default();
    for row in &history.rows {
        owners.row(&row.what);
        if let What::Readable { group, queues } = &row.what
            && let Some(text) = owners.unshared(group, queues)
        {
            return Err(Broken::new(row.at, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;
    use crate::sim::history::Change;

    fn readable(ids: &[i32]) -> What {
        What::Readable { group: "g0".into(), queues: ids.iter().map(|id| queue(*id)).collect() }
    }

    #[test]
    fn shared_out() {
        let rows = vec![(1, assigned(0, &[0, 1], &[])), (2, assigned(0, &[], &[1])), (2, assigned(1, &[1], &[]))];
        let rows = rows.into_iter().chain([(3, readable(&[0, 1]))]).collect();
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn nobodys_or_owned_twice() {
        assert!(check(&history(vec![(1, assigned(0, &[0], &[])), (3, readable(&[0, 1]))])).is_err());
        let twice = vec![(1, assigned(0, &[0], &[])), (2, assigned(1, &[0], &[])), (3, readable(&[0]))];
        assert!(check(&history(twice)).is_err());
    }

    #[test]
    fn what_the_dead_owned_does_not_count() {
        let rows = vec![
            (1, assigned(0, &[0], &[])),
            (2, member(0, Change::Crashed)),
            (2, assigned(1, &[0], &[])),
            (3, readable(&[0])),
        ];
        assert_eq!(check(&history(rows)), Ok(()));
    }
}
