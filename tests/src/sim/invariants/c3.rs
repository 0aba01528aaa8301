//! C3: no offset is committed beyond the first message that is neither consumed nor handed back.

use super::Broken;
use super::ledger::Ledger;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut ledger = Ledger::new(&history.setup);
    for row in &history.rows {
        ledger.row(&row.what);
        let What::Committed { group, queue, offset, .. } = &row.what else { continue };
        let Some(open) = ledger.open.get(&(group.clone(), queue.clone())) else { continue };
        let first = open.iter().find(|(open, _)| !ledger.is_reused(queue, **open));
        if let Some((open, id)) = first.filter(|(open, _)| *open < offset) {
            let text = format!("{group} committed {offset} of {queue:?}, but {open} (message {id:?}) is not handled");
            return Err(Broken::new(row.at, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;
    use crate::sim::history::Settled;

    #[test]
    fn committed_up_to_what_is_handled() {
        let rows = vec![
            (1, stored(1, 0)),
            (1, stored(2, 1)),
            (2, delivered(1, 1, 0)),
            (3, settled(1, Settled::Ack)),
            (4, committed(1)),
        ];
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn committed_beyond_what_is_handled() {
        let rows = vec![
            (1, stored(1, 0)),
            (1, stored(2, 1)),
            (2, delivered(1, 2, 1)),
            (3, settled(1, Settled::Ack)),
            (4, committed(2)),
        ];
        assert!(check(&history(rows)).is_err());
        let failed = vec![
            (1, stored(1, 0)),
            (2, delivered(1, 1, 0)),
            (3, settled(1, Settled::Retry)),
            (4, committed(1)),
            (5, What::SentBack { group: "g0".into(), broker: 0, physical: 0 }),
        ];
        assert!(check(&history(failed)).is_err());
    }

    #[test]
    fn what_a_handler_says_too_late_does_not_count() {
        let overdue = What::Overdue { member: 0, group: "g0".into(), queue: queue(0), offset: 0 };
        let back = What::SentBack { group: "g0".into(), broker: 0, physical: 0 };
        let rows = |more: Vec<(u64, What)>| {
            let late =
                vec![(1, stored(1, 0)), (2, delivered(1, 1, 0)), (3, overdue.clone()), (4, settled(1, Settled::Ack))];
            history(late.into_iter().chain(more).chain([(6, committed(1))]).collect())
        };
        assert!(check(&rows(Vec::new())).is_err());
        assert_eq!(check(&rows(vec![(5, back)])), Ok(()));
        let again = vec![(5, delivered(2, 1, 0)), (5, settled(2, Settled::Ack))];
        assert_eq!(check(&rows(again)), Ok(()), "another handler");
    }

    #[test]
    fn offsets_that_a_broker_lost_and_gave_again_do_not_count() {
        let rows = vec![(1, stored(1, 0)), (2, What::Lost { broker: 0, end: 0 }), (3, stored(2, 0)), (4, committed(1))];
        assert_eq!(check(&history(rows)), Ok(()));
    }
}
