//! P8: messages of a key are in the queue that Java chooses for it, in the order in which they were sent one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use rocketmq_core::time::Instant;
use rocketmq_core::wire::java::java_hash;

use super::Broken;
use crate::sim::Fault;
use crate::sim::history::{History, Outcome, Queue, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut sends: BTreeMap<u64, Send> = BTreeMap::new();
    // The last stored one of each host, topic and key.
    let mut last: BTreeMap<Of, (Queue, i64, Instant)> = BTreeMap::new();
    // Whether the queues are those of the beginning, as far as clients can know.
    let mut untouched = true;
    let mut lost = BTreeMap::new();
    for row in &history.rows {
        match &row.what {
            What::Fault(fault) if ROUTES.contains(fault) => untouched = false,
            What::Routes => untouched = false,
            What::Lost { broker, .. } => drop(lost.insert(*broker, row.at)),
            What::Keyed { id, host, topic, key } => {
                let of = (*host, topic.clone(), key.clone());
                sends.insert(*id, Send { of, began: row.at });
            }
            What::Resolved { id, outcome: Outcome::Stored { queue, offset, .. } } => {
                let Some(Send { of, began }) = sends.remove(id) else { continue };
                let expected = queue_of(history, &of.2);
                if untouched && expected != Some((queue.broker, queue.id)) {
                    let text = format!("message {id} of key {} is in {queue:?}, not in {expected:?}", of.2);
                    return Err(Broken::new(row.at, text));
                }
                let before = last.insert(of.clone(), (queue.clone(), *offset, row.at));
                let Some((known, at, stored)) = before.filter(|(known, ..)| known == queue) else { continue };
                let kept = lost.get(&known.broker).is_none_or(|lost| *lost < stored);
                // Sends at the same time have no order.
                if stored < began && kept && at >= *offset {
                    let text = format!("message {id} of key {} is at {offset}, the one before it at {at}", of.2);
                    return Err(Broken::new(row.at, text));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A host, a topic and a key.
type Of = (usize, Arc<str>, Arc<str>);

struct Send {
    of: Of,
    began: Instant,
}

/// Broker and number of the queue of a key, with the queues of the beginning.
fn queue_of(history: &History, key: &str) -> Option<(usize, i32)> {
    let (brokers, queues) = history.setup.shape;
    let of_broker = |broker| (0..queues).map(move |id| (broker, id));
    let all: Vec<_> = (0..brokers).flat_map(of_broker).collect();
    let hash = i64::from(java_hash(key));
    let index = (hash % i64::try_from(all.len()).ok()?.max(1)).abs();
    all.get(usize::try_from(index).ok()?).copied()
}

/// What name servers say that is not so.
const ROUTES: [Fault; 5] =
    [Fault::StaleRoute, Fault::SplitViews, Fault::EmptyRoute, Fault::ErrorCode, Fault::HugeRoute];

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn keyed(id: u64, key: &str) -> What {
        What::Keyed { id, host: 1, topic: "t0".into(), key: key.into() }
    }

    fn at(queue_id: i32, offset: i64) -> Outcome {
        Outcome::Stored { plain: true, queue: queue(queue_id), offset }
    }

    fn run(rows: Vec<(u64, What)>) -> Result<(), Broken> {
        let mut history = history(rows);
        history.setup.shape = (1, 3);
        check(&history)
    }

    #[test]
    fn in_the_queue_of_the_key_in_order() {
        // The hash of `b` is 98, the smallest integer leaves -2.
        assert_eq!(run(vec![(1, keyed(7, "b")), (2, resolved(7, at(2, 5)))]), Ok(()));
        assert_eq!(run(vec![(1, keyed(7, "polygenelubricants")), (2, resolved(7, at(2, 5)))]), Ok(()));
        let rows = vec![(1, keyed(7, "b")), (2, resolved(7, at(2, 5))), (3, keyed(8, "b")), (4, resolved(8, at(2, 6)))];
        assert_eq!(run(rows), Ok(()));
    }

    #[test]
    fn in_another_queue_or_before_the_one_that_was_sent_first() {
        assert!(run(vec![(1, keyed(7, "b")), (2, resolved(7, at(1, 5)))]).is_err());
        let rows = vec![(1, keyed(7, "b")), (2, resolved(7, at(2, 5))), (3, keyed(8, "b")), (4, resolved(8, at(2, 4)))];
        assert!(run(rows).is_err());
    }

    #[test]
    fn queues_that_changed_sends_at_once_and_lost_messages_are_an_excuse() {
        for changed in [What::Routes, What::Fault(Fault::StaleRoute)] {
            let rows = vec![(1, changed), (1, keyed(7, "b")), (2, resolved(7, at(1, 5)))];
            assert_eq!(run(rows), Ok(()));
        }
        let at_once =
            vec![(1, keyed(7, "b")), (1, keyed(8, "b")), (2, resolved(7, at(2, 5))), (2, resolved(8, at(2, 4)))];
        assert_eq!(run(at_once), Ok(()));
        let lost = vec![
            (1, keyed(7, "b")),
            (2, resolved(7, at(2, 5))),
            (3, What::Lost { broker: 0, end: 0 }),
            (4, keyed(8, "b")),
            (5, resolved(8, at(2, 0))),
        ];
        assert_eq!(run(lost), Ok(()));
    }
}
