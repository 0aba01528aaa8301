//! D6: without faults everything goes well the first time: no retry, no duplicate, nothing handed back, no link lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Broken;
use crate::sim::history::{History, Leftover, Outcome, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    if !history.setup.calm {
        return Ok(());
    }
    let (mut sent, mut stored, mut delivered) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut opened = BTreeMap::new();
    for row in &history.rows {
        let broken = |text: String| Err(Broken::new(row.at, format!("without a fault, {text}")));
        match &row.what {
            What::Fault(fault) => return broken(format!("there is {fault:?}")),
            What::Wire { id, .. } if !sent.insert(*id) => return broken(format!("message {id} is sent twice")),
            What::Resolved { id, outcome }
                if !matches!(outcome, Outcome::Stored { plain: true, .. } | Outcome::Sent) =>
            {
                return broken(format!("message {id} is {outcome:?}"));
            }
            What::Stored(copy) if copy.id.is_some() && !copy.is_due() && !stored.insert(copy.id) => {
                return broken(format!("{copy:?} is one more"));
            }
            What::Delivered { group, id, .. } if !delivered.insert((group.clone(), *id)) => {
                return broken(format!("{group} gets message {id:?} twice"));
            }
            What::SentBack { group, .. } => return broken(format!("{group} hands a message back")),
            What::Unreadable { group, queue, offset } => {
                return broken(format!("{group} cannot read {queue:?} {offset}"));
            }
            What::Illegal { group, queue, .. } => return broken(format!("{group} is outside {queue:?}")),
            What::ConnectFailed { host, to } => return broken(format!("host {host} cannot connect to {to}")),
            What::Unstarted { host, left } => {
                return broken(format!("host {host} does not start, left {:?}", Leftover::clone(left)));
            }
            What::Opened { host, to, .. } => {
                // A link on which nothing happens is closed, and opened again when it is needed.
                let last = opened.insert((*host, to.clone()), row.at);
                if last.is_some_and(|last| row.at.since(last) < IDLE) {
                    return broken(format!("host {host} connects to {to} again"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The shortest life of a link on which nothing happens.
const IDLE: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn calm(rows: Vec<(u64, What)>) -> History {
        let mut history = history(rows);
        history.setup.calm = true;
        history
    }

    fn opened() -> What {
        What::Opened { host: 1, link: 1, to: "b".into() }
    }

    #[test]
    fn the_first_time() {
        let rows =
            vec![(1, opened()), (2, wire(7)), (2, stored(7, 0)), (3, resolved(7, ok(0))), (4, delivered(1, 7, 0))];
        assert_eq!(check(&calm(rows)), Ok(()));
    }

    #[test]
    fn twice_or_not_at_all() {
        assert!(check(&calm(vec![(2, wire(7)), (3, wire(7))])).is_err());
        assert!(check(&calm(vec![(2, stored(7, 0)), (3, stored(7, 1))])).is_err());
        assert!(check(&calm(vec![(2, delivered(1, 7, 0)), (3, delivered(2, 7, 0))])).is_err());
        assert!(check(&calm(vec![(2, resolved(7, Outcome::Unknown))])).is_err());
        assert!(check(&calm(vec![(1, opened()), (2, opened())])).is_err());
        let back = What::SentBack { group: "g0".into(), broker: 0, physical: 0 };
        assert!(check(&calm(vec![(2, back)])).is_err());
    }

    #[test]
    fn with_faults_or_after_a_link_was_idle() {
        assert_eq!(check(&history(vec![(2, wire(7)), (3, wire(7))])), Ok(()));
        assert_eq!(check(&calm(vec![(1, opened()), (120_001, opened())])), Ok(()));
    }
}
