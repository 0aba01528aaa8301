//! P3: no more copies than frames that arrived, all with the same unique key.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Broken;
use crate::sim::Fault;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut messages: BTreeMap<u64, Message> = BTreeMap::new();
    // Appends that a broker made twice of one frame are its own; one may belong to any message.
    let mut twice = 0;
    for row in &history.rows {
        match &row.what {
            What::Fault(Fault::DoubleAppend) => twice += 1,
            What::Wire { id, unique, .. } => {
                let message = messages.entry(*id).or_default();
                message.frames += 1;
                let known = message.unique.get_or_insert_with(|| unique.clone());
                if known != unique {
                    return Err(Broken::new(row.at, format!("message {id} has the keys {known} and {unique}")));
                }
            }
            What::Stored(copy) if copy.reconsume == 0 && !copy.queue.topic.starts_with('%') => {
                let Some(id) = copy.id else { continue };
                let message = messages.entry(id).or_default();
                message.copies += 1;
                let extra = message.copies.saturating_sub(message.frames);
                if extra > twice {
                    let text = format!("message {id}: {} copies of {} frames", message.copies, message.frames);
                    return Err(Broken::new(row.at, text));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[derive(Default)]
struct Message {
    frames: u64,
    copies: u64,
    unique: Option<Arc<str>>,
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    #[test]
    fn one_copy_a_frame() {
        assert_eq!(check(&history(vec![(1, wire(7)), (2, stored(7, 0)), (3, wire(7)), (4, stored(7, 1))])), Ok(()));
    }

    #[test]
    fn more_copies_than_frames_or_another_key() {
        assert!(check(&history(vec![(1, wire(7)), (2, stored(7, 0)), (4, stored(7, 1))])).is_err());
        let other = What::Wire { id: 7, broker: 0, unique: "v".into() };
        assert!(check(&history(vec![(1, wire(7)), (2, other)])).is_err());
    }

    #[test]
    fn a_broker_that_appends_twice_may() {
        let rows = vec![(1, wire(7)), (2, stored(7, 0)), (3, What::Fault(Fault::DoubleAppend)), (4, stored(7, 1))];
        assert_eq!(check(&history(rows)), Ok(()));
    }
}
