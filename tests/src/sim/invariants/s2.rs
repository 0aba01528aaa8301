//! S2: a message that everything wants that is subscribed to from its storing on is consumed, whatever else changes.

use std::sync::Arc;

use rocketmq_core::time::Instant;

use super::Broken;
use super::ledger::Ledger;
use crate::sim::history::{GroupSetup, History, Setup, What};
use crate::sim::payload;

pub(super) fn check(history: &History) -> Result<(), Broken> {
    for setup in history.setup.groups.iter().filter(|setup| setup.changing) {
        check_group(history, setup)?;
    }
    Ok(())
}

fn check_group(history: &History, setup: &GroupSetup) -> Result<(), Broken> {
    let wishes = wishes(history, &setup.name);
    let all = GroupSetup { tags: Vec::new(), ..setup.clone() };
    let mut ledger = Ledger::new(&Setup { groups: vec![all], ..history.setup.clone() });
    for row in &history.rows {
        ledger.row(&row.what);
        if let What::Stored(copy) = &row.what
            && copy.queue.topic == setup.topic
            && wishes.iter().any(|wish| wish.until > row.at && !payload::wants(wish.filter, &copy.tag))
        {
            ledger.pass(&setup.name, &copy.queue, copy.offset);
        }
        if matches!(row.what, What::Drained)
            && let Some(((group, queue), offset, id)) = ledger.left()
        {
            let text =
                format!("{group} never handled message {id:?} at {queue:?} {offset}, which it wanted all the time");
            return Err(Broken::new(row.at, text));
        }
    }
    Ok(())
}

/// A filter by which messages may have been pulled until then.
struct Wish {
    filter: usize,
    until: Instant,
}

fn wishes(history: &History, group: &Arc<str>) -> Vec<Wish> {
    let (mut over, mut possible) = (Vec::new(), Vec::<usize>::new());
    for row in &history.rows {
        match &row.what {
            What::Subscribing { group: of, filter: Some(filter), .. } if of == group => possible.push(*filter),
            What::Subscribed { group: of, filter: Some(filter), held, .. } if of == group => {
                // What holds from now on is the new one, or all but it.
                let newest = possible.iter().rposition(|known| known == filter).map(|at| possible.remove(at));
                if *held {
                    over.extend(possible.drain(..).map(|filter| Wish { filter, until: row.at }));
                    possible.push(*filter);
                } else {
                    over.extend(newest.map(|filter| Wish { filter, until: row.at }));
                }
            }
            _ => {}
        }
    }
    over.extend(possible.into_iter().map(|filter| Wish { filter, until: Instant::FAR }));
    over
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;
    use crate::sim::history::Settled;

    fn changing(rows: Vec<(u64, What)>) -> History {
        let mut history = history(rows);
        history.setup.groups[0].changing = true;
        history
    }

    fn tagged(id: u64, offset: i64, tag: &str) -> What {
        let mut copy = copy(id, offset);
        copy.tag = tag.into();
        What::Stored(copy)
    }

    /// Filter 0 wants `Aa` and `gone`, filter 1 `Aa` and `BB`.
    fn begun() -> Vec<(u64, What)> {
        vec![(1, subscribing(Some(0))), (2, subscribed(Some(0), true))]
    }

    #[test]
    fn what_is_wanted_all_the_time_is_consumed() {
        let mut rows = begun();
        rows.extend([(3, tagged(1, 0, "gone")), (4, What::Drained)]);
        assert!(check(&changing(rows)).is_err());
        let mut rows = begun();
        rows.extend([(3, tagged(1, 0, "gone")), (4, delivered(1, 1, 0)), (5, settled(1, Settled::Ack))]);
        rows.push((6, What::Drained));
        assert_eq!(check(&changing(rows)), Ok(()));
    }

    #[test]
    fn what_was_unwanted_once_may_be_passed() {
        let change = |rows: &mut Vec<_>| rows.extend([(5, subscribing(Some(1))), (6, subscribed(Some(1), true))]);
        let mut rows = begun();
        rows.push((3, tagged(1, 0, "gone")));
        change(&mut rows);
        rows.push((9, What::Drained));
        assert_eq!(check(&changing(rows)), Ok(()));
        let mut rows = begun();
        change(&mut rows);
        rows.extend([(7, tagged(1, 0, "BB")), (9, What::Drained)]);
        assert!(check(&changing(rows)).is_err(), "after the change it was wanted");
        let mut rows = begun();
        rows.push((3, tagged(1, 0, "Aa")));
        change(&mut rows);
        rows.push((9, What::Drained));
        assert!(check(&changing(rows)).is_err(), "before and after");
    }

    #[test]
    fn a_change_that_failed_may_have_counted_meanwhile() {
        let mut rows = begun();
        rows.extend([(3, subscribing(Some(1))), (4, tagged(1, 0, "gone")), (5, subscribed(Some(1), false))]);
        rows.push((9, What::Drained));
        assert_eq!(check(&changing(rows)), Ok(()));
        let mut rows = begun();
        rows.extend([(3, subscribing(Some(1))), (4, subscribed(Some(1), false)), (5, tagged(1, 0, "gone"))]);
        rows.push((9, What::Drained));
        assert!(check(&changing(rows)).is_err(), "the one before goes on");
    }
}
