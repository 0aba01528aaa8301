//! A2: what an administrator asks for ends by its deadline, whatever servers do.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Broken;
use crate::sim::Fault;
use crate::sim::history::{Errand, History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut open = BTreeMap::new();
    let slack = slack(history);
    for row in &history.rows {
        match &row.what {
            What::Errand(Errand::Begun { id, deadline, .. }) => drop(open.insert(*id, *deadline)),
            What::Errand(Errand::Ended { id, .. }) => {
                let Some(deadline) = open.remove(id) else {
                    return Err(Broken::new(row.at, format!("operation {id} ends twice")));
                };
                if row.at > deadline.after(slack) {
                    let over = row.at.since(deadline);
                    return Err(Broken::new(row.at, format!("operation {id} ends {over:?} after its deadline")));
                }
            }
            What::Drained => {
                if let Some((id, deadline)) = open.first_key_value() {
                    return Err(Broken::new(*deadline, format!("operation {id} never ends")));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a process that stood still, or whose timers are late, may take longer.
fn slack(history: &History) -> Duration {
    let has = |fault: &dyn Fn(&Fault) -> bool| {
        history.rows.iter().any(|row| matches!(&row.what, What::Fault(one) if fault(one)))
    };
    if has(&|fault| *fault == Fault::Pause) {
        PAUSE
    } else if has(&|fault| *fault == Fault::LateTimers) {
        LATE
    } else {
        TICK
    }
}

/// A tick of each timer on the way, and the time bytes take.
const TICK: Duration = Duration::from_millis(20);
/// Each of the timers on the way may be so late together.
const LATE: Duration = Duration::from_secs(3);
/// The longest pause, and another one after it.
const PAUSE: Duration = Duration::from_secs(65);

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;
    use crate::sim::history::{ErrandEnd, ErrandOf, Whom, Why};
    use rocketmq_core::time::Instant;

    fn begun(id: u64) -> What {
        let of = ErrandOf { asks: 202, whom: Whom::One };
        What::Errand(Errand::Begun { id, host: 9, of, deadline: Instant::from_millis(12_000) })
    }

    fn ended(id: u64) -> What {
        What::Errand(Errand::Ended { id, end: ErrandEnd::Nobody(Why::Silent) })
    }

    #[test]
    fn it_ends_in_time() {
        assert_eq!(check(&history(vec![(1, begun(7)), (2, ended(7)), (3, What::Drained)])), Ok(()));
        assert_eq!(check(&history(vec![(1, begun(7)), (12_020, ended(7))])), Ok(()));
    }

    #[test]
    fn it_ends_late_or_twice_or_never() {
        assert!(check(&history(vec![(1, begun(7)), (12_021, ended(7))])).is_err());
        assert!(check(&history(vec![(1, begun(7)), (2, ended(7)), (3, ended(7))])).is_err());
        assert!(check(&history(vec![(1, begun(7)), (3, What::Drained)])).is_err());
    }

    #[test]
    fn late_timers_and_pauses_are_excuses() {
        let late = |fault, at| check(&history(vec![(1, What::Fault(fault)), (1, begun(7)), (at, ended(7))]));
        assert_eq!(late(Fault::LateTimers, 15_000), Ok(()));
        assert!(late(Fault::LateTimers, 15_001).is_err());
        assert_eq!(late(Fault::Pause, 70_000), Ok(()));
        assert!(late(Fault::Pause, 77_001).is_err());
    }
}
