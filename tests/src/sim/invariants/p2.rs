//! P2: no stored copy without an attempt, and each as it was given.

use std::collections::BTreeSet;

use super::Broken;
use crate::sim::history::{Ask, History, Tx, What};
use crate::sim::traces;

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let (mut attempts, mut begun, mut said) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for row in &history.rows {
        match &row.what {
            What::Attempt { id, .. } => {
                attempts.insert(*id);
            }
            What::Ask(Ask::Said { id, .. }) => drop(said.insert(*id)),
            What::Tx(Tx::Begun { tx }) => drop(begun.insert(*tx)),
            What::Stored(copy) if copy.tx.is_some_and(|tx| begun.contains(&tx)) => {}
            // Replies are stored too.
            What::Stored(copy)
                if copy.answers.is_some_and(|id| said.contains(&id)) && copy.queue.topic.ends_with(REPLIES) => {}
            // What traces say is looked at elsewhere.
            What::Stored(copy) if *copy.queue.topic == *traces::TOPIC && history.setup.traced.is_some() => {}
            // The broker's own notes.
            What::Stored(copy) if &*copy.queue.topic == NOTES && !begun.is_empty() => {}
            What::Stored(copy) => {
                let Some(id) = copy.id else {
                    return Err(Broken::new(row.at, format!("a copy that nobody sent: {copy:?}")));
                };
                if !attempts.contains(&id) {
                    return Err(Broken::new(row.at, format!("message {id} is stored and was not sent")));
                }
                if !copy.intact {
                    return Err(Broken::new(row.at, format!("message {id} is stored differently: {copy:?}")));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The end of the names of topics of replies.
const REPLIES: &str = "_REPLY_TOPIC";
/// Where brokers note which half messages are decided.
const NOTES: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    #[test]
    fn what_was_sent_is_stored() {
        assert_eq!(check(&history(vec![(1, attempt(7)), (2, stored(7, 0)), (2, stored(7, 1))])), Ok(()));
    }

    #[test]
    fn a_phantom_or_a_changed_copy() {
        assert!(check(&history(vec![(2, stored(7, 0))])).is_err());
        let mut changed = copy(7, 0);
        changed.intact = false;
        assert!(check(&history(vec![(1, attempt(7)), (2, What::Stored(changed))])).is_err());
        let mut nobodys = copy(7, 0);
        nobodys.id = None;
        assert!(check(&history(vec![(1, attempt(7)), (2, What::Stored(nobodys))])).is_err());
    }

    #[test]
    fn half_messages_and_notes_about_them_are_stored_too() {
        let begun = || (1, What::Tx(Tx::Begun { tx: 3 }));
        let of = |tx, topic: &str| {
            let queue = crate::sim::history::Queue { topic: topic.into(), ..queue(0) };
            (2, What::Stored(crate::sim::history::Copy { id: None, tx, queue, ..copy(0, 0) }))
        };
        assert_eq!(check(&history(vec![begun(), of(Some(3), "half"), of(None, NOTES)])), Ok(()));
        assert!(check(&history(vec![begun(), of(Some(4), "half")])).is_err());
        assert!(check(&history(vec![begun(), of(None, "half")])).is_err());
        assert!(check(&history(vec![of(None, NOTES)])).is_err());
    }

    #[test]
    fn replies_are_stored_once_they_are_made() {
        let said = || (1, What::Ask(Ask::Said { id: 7, reply: 1 }));
        let of = |answers, topic: &str| {
            let queue = crate::sim::history::Queue { topic: topic.into(), ..queue(0) };
            (2, What::Stored(crate::sim::history::Copy { id: None, answers, queue, ..copy(0, 0) }))
        };
        assert_eq!(check(&history(vec![said(), of(Some(7), "C_REPLY_TOPIC")])), Ok(()));
        assert!(check(&history(vec![said(), of(Some(8), "C_REPLY_TOPIC")])).is_err(), "to nothing");
        assert!(check(&history(vec![said(), of(None, "C_REPLY_TOPIC")])).is_err(), "a message of nobody");
        assert!(check(&history(vec![said(), of(Some(7), "t0")])).is_err(), "at a place for others");
    }

    #[test]
    fn stored_only_after_it_was_sent() {
        assert!(check(&history(vec![(2, stored(7, 0)), (3, attempt(7))])).is_err());
    }

    #[test]
    fn traces_are_stored_only_where_clients_trace() {
        let trace = |traced| {
            let queue = crate::sim::history::Queue { topic: traces::TOPIC.into(), ..queue(0) };
            let stored = What::Stored(crate::sim::history::Copy { id: None, queue, ..copy(0, 0) });
            let mut history = history(vec![(1, stored)]);
            history.setup.traced = traced;
            check(&history)
        };
        assert_eq!(trace(Some(true)), Ok(()));
        assert!(trace(None).is_err());
    }
}
