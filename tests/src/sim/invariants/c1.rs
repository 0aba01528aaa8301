//! C1: every stored, wanted message that survives is consumed, handed back, or a dead letter, when all is drained.

use super::Broken;
use super::ledger::Ledger;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut ledger = Ledger::new(&history.setup);
    for row in &history.rows {
        ledger.row(&row.what);
        if !matches!(row.what, What::Drained) {
            continue;
        }
        if let Some(((group, queue), offset, id)) = ledger.left() {
            let text = format!("{group} never handled message {id:?} at {queue:?} {offset}");
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
    fn consumed_or_handed_back() {
        let rows = vec![
            (1, stored(1, 0)),
            (1, stored(2, 1)),
            (2, delivered(1, 1, 0)),
            (3, settled(1, Settled::Ack)),
            (4, What::SentBack { group: "g0".into(), broker: 0, physical: 100 }),
            (9, What::Drained),
        ];
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn never_delivered_or_only_failed() {
        assert!(check(&history(vec![(1, stored(1, 0)), (9, What::Drained)])).is_err());
        let rows =
            vec![(1, stored(1, 0)), (2, delivered(1, 1, 0)), (3, settled(1, Settled::Retry)), (9, What::Drained)];
        assert!(check(&history(rows)).is_err());
    }

    #[test]
    fn unwanted_lost_and_trimmed_messages_do_not_count() {
        let mut unwanted = copy(1, 0);
        unwanted.tag = "paid".into();
        assert_eq!(check(&history(vec![(1, What::Stored(unwanted)), (9, What::Drained)])), Ok(()));
        let lost = vec![(1, stored(1, 0)), (2, What::Lost { broker: 0, end: 0 }), (9, What::Drained)];
        assert_eq!(check(&history(lost)), Ok(()));
        let trimmed = vec![(1, stored(1, 0)), (2, What::Trimmed { queue: queue(0), min: 1 }), (9, What::Drained)];
        assert_eq!(check(&history(trimmed)), Ok(()));
    }
}
