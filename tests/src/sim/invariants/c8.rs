//! C8: a member of a broadcasting group sees every message after its start, and goes on where its file says.

use std::collections::BTreeMap;

use super::Broken;
use super::ledger::{Key, Ledger};
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut ledger = Ledger::new(&history.setup);
    // What the file of each member says.
    let mut saved: BTreeMap<Key, i64> = BTreeMap::new();
    for row in &history.rows {
        ledger.row(&row.what);
        let broken = |text| Err(Broken::new(row.at, text));
        match &row.what {
            What::Committed { group, queue, offset, .. } => {
                saved.insert((group.clone(), queue.clone()), *offset);
            }
            What::Moved { group, queue, .. } => {
                saved.remove(&(group.clone(), queue.clone()));
            }
            What::Start { group, queue, offset, .. } if ledger.is_broadcast(group) => {
                let key = (group.clone(), queue.clone());
                if let Some(saved) = saved.get(&key).filter(|saved| **saved > *offset) {
                    return broken(format!("{group} starts {queue:?} at {offset}, its file says {saved}"));
                }
                if let Some(open) = ledger.first_open(&key).filter(|open| open < offset) {
                    return broken(format!("{group} starts {queue:?} at {offset} and never handled {open}"));
                }
            }
            What::Drained => {
                let left = ledger.left().filter(|((group, _), _, _)| ledger.is_broadcast(group));
                if let Some(((group, queue), offset, id)) = left {
                    return broken(format!("{group} never saw message {id:?} at {queue:?} {offset}"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;
    use crate::sim::history::Settled;

    /// Two messages, of which the first is handled and saved.
    fn one_of_two() -> Vec<(u64, What)> {
        vec![
            (1, stored(1, 0)),
            (1, stored(2, 1)),
            (2, start(0)),
            (3, delivered(1, 1, 0)),
            (4, settled(1, Settled::Retry)),
            (5, committed(1)),
        ]
    }

    fn then(rows: Vec<(u64, What)>) -> History {
        broadcast(one_of_two().into_iter().chain(rows).collect())
    }

    fn moved() -> What {
        What::Moved { group: "g0".into(), queue: queue(0), offset: 0 }
    }

    #[test]
    fn goes_on_from_its_file_to_the_end() {
        let rows = vec![(6, start(1)), (7, delivered(2, 2, 1)), (8, settled(2, Settled::Ack)), (9, What::Drained)];
        assert_eq!(check(&then(rows)), Ok(()));
    }

    #[test]
    fn goes_on_before_or_after_its_file() {
        assert!(check(&then(vec![(6, start(0))])).is_err());
        assert!(check(&then(vec![(6, start(2))])).is_err());
    }

    #[test]
    fn never_sees_a_message() {
        assert!(check(&then(vec![(6, start(1)), (9, What::Drained)])).is_err());
    }

    #[test]
    fn a_damaged_file_may_lead_back_but_not_forward() {
        assert_eq!(check(&then(vec![(6, moved()), (7, start(0))])), Ok(()));
        assert!(check(&then(vec![(6, moved()), (7, start(2))])).is_err());
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        let unreadable = What::Unreadable { group: "g0".into(), queue: queue(0), offset: 1 };
        assert_eq!(check(&then(vec![(6, unreadable), (7, start(2)), (9, What::Drained)])), Ok(()));
    }

    #[test]
    fn members_of_other_groups_do_not_count() {
        let mut history = then(vec![(6, start(0)), (9, What::Drained)]);
        history.setup.groups[0].broadcast = false;
        assert_eq!(check(&history), Ok(()));
    }
}
