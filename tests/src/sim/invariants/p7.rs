//! P7: no more frames than attempts are allowed, and none made after the deadline.

use std::collections::BTreeMap;
use std::time::Duration;

use rocketmq_core::time::Instant;

use super::Broken;
use crate::sim::Fault;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut messages: BTreeMap<u64, (Instant, u32, u32)> = BTreeMap::new();
    // Whether frames can be under way for long: then an arrival says little about when it was sent.
    let slow = history.rows.iter().any(|row| matches!(&row.what, What::Fault(fault) if SLOW.contains(fault)));
    for row in &history.rows {
        match &row.what {
            What::Attempt { id, deadline, attempts } => drop(messages.insert(*id, (*deadline, *attempts, 0))),
            What::Wire { id, .. } => {
                let Some((deadline, allowed, made)) = messages.get_mut(id) else { continue };
                *made += 1;
                if made > allowed {
                    return Err(Broken::new(row.at, format!("message {id}: {made} frames of {allowed} allowed")));
                }
                if !slow && row.at > deadline.after(WAY) {
                    return Err(Broken::new(row.at, format!("message {id} was sent after its deadline")));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What keeps bytes under way.
const SLOW: [Fault; 8] = [
    Fault::Jitter,
    Fault::PartialWrite,
    Fault::PeerStopsReading,
    Fault::Partition,
    Fault::LateTimers,
    Fault::Pause,
    Fault::Zombie,
    Fault::SlowLoris,
];
/// The longest way of a byte without these.
const WAY: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    #[test]
    fn as_many_as_allowed() {
        let rows = vec![(1, attempt(7)), (2, wire(7)), (3, wire(7)), (3_000, wire(7))];
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn one_too_many_or_too_late() {
        let rows = vec![(1, attempt(7)), (2, wire(7)), (3, wire(7)), (4, wire(7)), (5, wire(7))];
        assert!(check(&history(rows)).is_err());
        assert!(check(&history(vec![(1, attempt(7)), (3_011, wire(7))])).is_err());
    }

    #[test]
    fn a_frame_may_be_under_way_for_long() {
        let rows = vec![(1, attempt(7)), (2, What::Fault(Fault::Partition)), (9_000, wire(7))];
        assert_eq!(check(&history(rows)), Ok(()));
    }
}
