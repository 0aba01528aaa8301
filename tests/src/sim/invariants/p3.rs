//! P3: no more copies than frames that arrived, all with the same unique key, which no other message has.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Broken;
use crate::sim::Fault;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut messages: BTreeMap<u64, Message> = BTreeMap::new();
    let mut owners: BTreeMap<Arc<str>, u64> = BTreeMap::new();
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
                let owner = owners.entry(unique.clone()).or_insert(*id);
                if owner != id {
                    return Err(Broken::new(row.at, format!("messages {owner} and {id} have the key {unique}")));
                }
            }
            // One that was delayed is stored once more when it is due.
            What::Stored(copy) if copy.reconsume == 0 && !copy.queue.topic.starts_with('%') && !copy.is_due() => {
                let Some(id) = copy.id else { continue };
                let message = messages.entry(id).or_default();
                if message.unique.as_ref().is_some_and(|unique| *unique != copy.unique) {
                    let text = format!(
                        "message {id} was sent with the key {:?}, is stored with {}",
                        message.unique, copy.unique
                    );
                    return Err(Broken::new(row.at, text));
                }
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
    use crate::sim::history::{Copy, Queue};

    #[test]
    fn one_copy_a_frame() {
        assert_eq!(check(&history(vec![(1, wire(7)), (2, stored(7, 0)), (3, wire(7)), (4, stored(7, 1))])), Ok(()));
    }

    #[test]
    fn more_copies_than_frames_or_another_key() {
        assert!(check(&history(vec![(1, wire(7)), (2, stored(7, 0)), (4, stored(7, 1))])).is_err());
        let other = What::Wire { id: 7, broker: 0, unique: "v".into() };
        assert!(check(&history(vec![(1, wire(7)), (2, other)])).is_err());
        assert!(check(&history(vec![(1, wire(7)), (2, wire(8))])).is_err(), "a key of two messages");
        let changed = What::Stored(Copy { unique: "v".into(), ..copy(7, 0) });
        assert!(check(&history(vec![(1, wire(7)), (2, changed)])).is_err(), "stored under another key");
    }

    #[test]
    fn a_delayed_message_is_stored_once_more_when_it_is_due() {
        let queue = Queue { broker: 0, topic: "SCHEDULE_TOPIC_XXXX".into(), id: 0 };
        let waiting = Copy { queue, real_topic: Some("t0".into()), ..copy(7, 0) };
        let due = Copy { real_topic: Some("t0".into()), ..copy(7, 0) };
        let rows = vec![(1, wire(7)), (2, What::Stored(waiting)), (3, What::Stored(due))];
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn a_broker_that_appends_twice_may() {
        let rows = vec![(1, wire(7)), (2, stored(7, 0)), (3, What::Fault(Fault::DoubleAppend)), (4, stored(7, 1))];
        assert_eq!(check(&history(rows)), Ok(()));
    }
}
