//! T1: a transaction is seen if and only if it is committed, and brokers that ask are answered.

use std::collections::{BTreeMap, BTreeSet};

use super::Broken;
use crate::sim::history::{History, Tx, What};
use crate::sim::transactions::TOPIC;

#[derive(Default)]
struct Books {
    committed: BTreeSet<u64>,
    /// Where the half message of each lay at first.
    halves: BTreeMap<u64, (usize, i64)>,
    /// How often each is seen.
    seen: BTreeMap<u64, u32>,
    /// The broker asked for the last time.
    given_up: BTreeSet<u64>,
    /// Brokers that lost something of their log.
    lossy: BTreeSet<usize>,
}

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut books = Books::default();
    for row in &history.rows {
        match &row.what {
            What::Tx(Tx::Said { tx, commit: Some(true), .. }) => {
                books.committed.insert(*tx);
            }
            What::Tx(Tx::Half { tx, broker, physical }) => {
                books.halves.insert(*tx, (*broker, *physical));
            }
            What::Tx(Tx::Asked { tx, right: false }) => {
                return Err(Broken::new(row.at, format!("a checker is asked about {tx:?}, which is not its group's")));
            }
            What::Stored(copy) => match (copy.tx, &*copy.queue.topic) {
                // A broker that lost the end of its log gives places out anew: a word may meet the message of another.
                (Some(tx), TOPIC) if !books.committed.contains(&tx) && !books.lossy.contains(&copy.queue.broker) => {
                    return Err(Broken::new(row.at, format!("transaction {tx} is seen, and nobody committed it")));
                }
                (Some(tx), TOPIC) => *books.seen.entry(tx).or_default() += 1,
                (Some(tx), "TRANS_CHECK_MAX_TIME_TOPIC") => drop(books.given_up.insert(tx)),
                _ => {}
            },
            What::Lost { broker, .. } => drop(books.lossy.insert(*broker)),
            What::Tx(Tx::Settled { left }) => {
                books.settled(history, *left).map_err(|text| Broken::new(row.at, text))?
            }
            _ => {}
        }
    }
    Ok(())
}

impl Books {
    /// Brokers had the time to ask about everything.
    fn settled(&self, history: &History, left: usize) -> Result<(), String> {
        if left > 0 {
            return Err(format!("{left} half messages are undecided, and brokers ask no more"));
        }
        for tx in &self.committed {
            let Some((broker, _)) = self.halves.get(tx) else { continue };
            let seen = self.seen.get(tx).copied().unwrap_or(0);
            if seen == 0 && !self.given_up.contains(tx) && !self.lossy.contains(broker) {
                return Err(format!("transaction {tx} is committed, and nobody sees it"));
            }
            // Another process that is asked cannot tell where the message is now.
            if seen > 1 && history.setup.calm && history.setup.tellers == 1 {
                return Err(format!("transaction {tx} is seen {seen} times, and nothing went wrong"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;
    use crate::sim::history::{Copy, Queue};

    fn half(tx: u64) -> What {
        What::Tx(Tx::Half { tx, broker: 0, physical: 7 })
    }

    fn said(tx: u64, commit: Option<bool>) -> What {
        What::Tx(Tx::Said { tx, commit, asked: false })
    }

    fn in_topic(tx: u64, topic: &str) -> What {
        What::Stored(Copy { queue: Queue { topic: topic.into(), ..queue(0) }, tx: Some(tx), id: None, ..copy(0, 0) })
    }

    fn seen(tx: u64) -> What {
        in_topic(tx, TOPIC)
    }

    fn settled(left: usize) -> What {
        What::Tx(Tx::Settled { left })
    }

    fn verdict(rows: Vec<What>) -> Result<(), Broken> {
        check(&history(rows.into_iter().map(|what| (1, what)).collect()))
    }

    #[test]
    fn seen_when_committed_and_only_then() {
        assert_eq!(verdict(vec![half(1), said(1, Some(true)), seen(1), settled(0)]), Ok(()));
        assert_eq!(verdict(vec![half(1), in_topic(1, "RMQ_SYS_TRANS_HALF_TOPIC"), settled(0)]), Ok(()));
        assert!(verdict(vec![half(1), said(1, Some(true)), settled(0)]).is_err());
        assert!(verdict(vec![half(1), seen(1)]).is_err());
        for word in [Some(false), None] {
            assert!(verdict(vec![half(1), said(1, word), seen(1)]).is_err());
        }
    }

    #[test]
    fn what_a_broker_gave_up_or_lost_need_not_be_seen() {
        let gone = in_topic(1, "TRANS_CHECK_MAX_TIME_TOPIC");
        assert_eq!(verdict(vec![half(1), gone, said(1, Some(true)), settled(0)]), Ok(()));
        let lost = |broker| vec![half(1), said(1, Some(true)), What::Lost { broker, end: 0 }, settled(0)];
        assert_eq!(verdict(lost(0)), Ok(()));
        assert!(verdict(lost(1)).is_err(), "another broker did");
        let uncommitted = |broker| vec![half(1), What::Lost { broker, end: 0 }, seen(1)];
        assert_eq!(verdict(uncommitted(0)), Ok(()));
        assert!(verdict(uncommitted(1)).is_err(), "another broker did");
        // Of a send that failed nobody knows whether it is stored.
        assert_eq!(verdict(vec![said(1, Some(true)), settled(0)]), Ok(()));
    }

    #[test]
    fn every_half_message_is_decided_in_the_end_and_by_its_own_group() {
        assert!(verdict(vec![half(1), settled(1)]).is_err());
        assert_eq!(verdict(vec![What::Tx(Tx::Asked { tx: Some(1), right: true })]), Ok(()));
        assert!(verdict(vec![What::Tx(Tx::Asked { tx: None, right: false })]).is_err());
    }

    #[test]
    fn where_nothing_goes_wrong_one_process_has_each_seen_once() {
        let rows = || vec![(1, half(1)), (2, said(1, Some(true))), (3, seen(1)), (4, seen(1)), (5, settled(0))];
        let with = |calm, tellers| {
            let mut history = history(rows());
            (history.setup.calm, history.setup.tellers) = (calm, tellers);
            check(&history)
        };
        assert!(with(true, 1).is_err());
        assert_eq!((with(true, 2), with(false, 1)), (Ok(()), Ok(())));
    }
}
