//! N1: a trace tells of what happened, and without faults of each thing once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rocketmq_core::time::Instant;

use super::Broken;
use crate::sim::history::{History, Outcome, Trace, TraceKind, Tx, What};
use crate::sim::traces::TOPIC;

#[derive(Default)]
struct Books {
    /// The message, and the transaction, of each unique key.
    ids: BTreeMap<Arc<str>, u64>,
    txs: BTreeMap<Arc<str>, u64>,
    /// Those of requests and replies.
    others: BTreeSet<Arc<str>>,
    /// Sends and half messages that a producer knows to be stored, with time for a trace of it.
    stored: BTreeSet<u64>,
    halves: BTreeSet<u64>,
    /// How often each message was handed out to a group.
    delivered: BTreeMap<(String, u64), u32>,
    /// What was said of each transaction, and whether a broker had asked.
    said: BTreeMap<u64, Vec<(Option<bool>, bool)>>,
    /// When a client began to end: what is still under way then may come too late for a trace.
    leaving: Option<Instant>,
    /// Records were spoilt on their way: their ids may be others.
    spoilt: bool,
}

/// How often each thing is traced.
#[derive(Default)]
struct Counts {
    pubs: BTreeMap<u64, u32>,
    before: BTreeMap<(String, u64), u32>,
    after: BTreeMap<(String, u64), u32>,
}

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let Some(wanted) = history.setup.traced else { return Ok(()) };
    let mut books = Books::default();
    for row in &history.rows {
        let late = books.leaving.is_some_and(|at| row.at.since(at) < LATE);
        match &row.what {
            What::Wire { id, unique, .. } => drop(books.ids.insert(unique.clone(), *id)),
            What::Stored(copy) => {
                books.ids.extend(copy.id.map(|id| (copy.unique.clone(), id)));
                books.txs.extend(copy.tx.map(|tx| (copy.unique.clone(), tx)));
                if copy.id.or(copy.tx).is_none() && *copy.queue.topic != *TOPIC {
                    books.others.insert(copy.unique.clone());
                }
            }
            What::Resolved { id, outcome: Outcome::Stored { .. } } if !late => drop(books.stored.insert(*id)),
            What::Tx(Tx::Half { tx, .. }) if !late => drop(books.halves.insert(*tx)),
            What::Tx(Tx::Said { tx, commit, asked }) => books.said.entry(*tx).or_default().push((*commit, *asked)),
            What::Delivered { group, id: Some(id), .. } => {
                *books.delivered.entry((name_of(group), *id)).or_default() += 1;
            }
            What::Leaving { .. } => books.leaving = Some(row.at),
            What::Spoilt { .. } => books.spoilt = true,
            What::Traces(traces) => books.compare(history, wanted, traces).map_err(|text| Broken::new(row.at, text))?,
            _ => {}
        }
    }
    Ok(())
}

impl Books {
    fn compare(&self, history: &History, wanted: bool, traces: &[Trace]) -> Result<(), String> {
        let mut counts = Counts::default();
        for trace in traces {
            // Consumers are not told of it by brokers of 4.x, nor by messages of a batch.
            let refused = match &trace.kind {
                TraceKind::Bad(error) => return Err(format!("a trace cannot be read: {error}")),
                TraceKind::Pub => !wanted,
                TraceKind::Before | TraceKind::After | TraceKind::End { .. } | TraceKind::Recall => false,
            };
            if refused {
                return Err(format!("{trace:?}, and brokers want no traces"));
            }
            self.count(trace, &mut counts)?;
        }
        if history.setup.calm && wanted { self.each_once(&counts) } else { Ok(()) }
    }

    /// A trace is of a message that there is, and of what happened to it.
    fn count(&self, trace: &Trace, counts: &mut Counts) -> Result<(), String> {
        let (id, tx) = (self.ids.get(&trace.unique).copied(), self.txs.get(&trace.unique).copied());
        let Some(number) = id.or(tx) else {
            return if self.spoilt || self.others.contains(&trace.unique) {
                Ok(())
            } else {
                Err(format!("{trace:?} is of no message"))
            };
        };
        let place = (trace.group.to_string(), number);
        match trace.kind {
            TraceKind::Pub => *counts.pubs.entry(number).or_default() += 1,
            TraceKind::Before | TraceKind::After if !self.delivered.contains_key(&place) => {
                return Err(format!("{trace:?}: message {number} was not handed out"));
            }
            TraceKind::Before => *counts.before.entry(place).or_default() += 1,
            TraceKind::After => *counts.after.entry(place).or_default() += 1,
            // Of what a checker does not know, or panics over, no word is noted.
            TraceKind::End { commit: Some(commit), asked } => {
                let said = self.said.get(&number).is_some_and(|said| said.contains(&(Some(commit), asked)));
                if !said {
                    return Err(format!("{trace:?}: nobody said so of transaction {number}"));
                }
            }
            TraceKind::End { commit: None, .. } | TraceKind::Recall | TraceKind::Bad(_) => {}
        }
        Ok(())
    }

    fn each_once(&self, counts: &Counts) -> Result<(), String> {
        if let Some((number, count)) = counts.pubs.iter().find(|(_, count)| **count > 1) {
            return Err(format!("{count} traces of the send of message {number}"));
        }
        if let Some(number) = self.stored.union(&self.halves).find(|number| !counts.pubs.contains_key(number)) {
            return Err(format!("message {number} is stored, and no trace says so"));
        }
        for (place, times) in &self.delivered {
            let traced = [&counts.before, &counts.after].map(|counts| counts.get(place).copied().unwrap_or(0));
            if traced != [*times; 2] {
                let (group, id) = place;
                return Err(format!("message {id} was handed out {times} times in {group}: {traced:?} traces"));
            }
        }
        Ok(())
    }
}

/// Members of a broadcasting group count as groups of their own, `b0.1`.
fn name_of(group: &str) -> String {
    group.split('.').next().unwrap_or(group).to_owned()
}

/// A send may take so long, and its trace come too late for the end of its client.
const LATE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;
    use crate::sim::history::{Copy, Settled};

    fn trace(unique: &str, group: &str, kind: TraceKind) -> Trace {
        Trace { unique: unique.into(), group: group.into(), kind }
    }

    /// Of a message that was sent, stored, handed out and settled.
    fn good() -> Vec<Trace> {
        let of = |group, kind| trace("u", group, kind);
        vec![of("p0", TraceKind::Pub), of("g0", TraceKind::Before), of("g0", TraceKind::After)]
    }

    fn verdict(calm: bool, wanted: bool, traces: Vec<Trace>) -> Result<(), Broken> {
        let mut rows = vec![(1, wire(1)), (2, stored(1, 0)), (3, resolved(1, ok(0)))];
        rows.extend([(4, delivered(0, 1, 0)), (5, settled(0, Settled::Ack))]);
        rows.push((9, What::Traces(traces)));
        let mut history = history(rows);
        (history.setup.calm, history.setup.traced) = (calm, Some(wanted));
        check(&history)
    }

    #[test]
    fn what_happened_is_traced_once() {
        assert_eq!(verdict(true, true, good()), Ok(()));
        for missing in 0..3 {
            let mut some = good();
            let one = some.remove(missing);
            assert!(verdict(true, true, some.clone()).is_err(), "{missing}");
            assert_eq!(verdict(false, true, some), Ok(()), "faults lose traces");
            let twice = [good(), vec![one]].concat();
            assert!(verdict(true, true, twice.clone()).is_err());
            assert_eq!(verdict(false, true, twice), Ok(()), "and repeat them");
        }
    }

    #[test]
    fn what_did_not_happen_is_not_traced() {
        for bad in [
            trace("v", "p0", TraceKind::Pub),
            trace("u", "g1", TraceKind::Before),
            trace("u", "g1", TraceKind::After),
            trace("u", "bank", TraceKind::End { commit: Some(true), asked: false }),
            trace("", "", TraceKind::Bad("torn".into())),
        ] {
            assert!(verdict(false, true, [good(), vec![bad]].concat()).is_err());
        }
        let unknown = trace("u", "bank", TraceKind::End { commit: None, asked: true });
        assert_eq!(verdict(true, true, [good(), vec![unknown]].concat()), Ok(()));
    }

    #[test]
    fn what_brokers_want_no_traces_of_is_not_traced() {
        assert_eq!(verdict(true, false, Vec::new()), Ok(()));
        assert!(verdict(false, false, good()).is_err());
        assert_eq!(verdict(false, false, good()[1..].to_vec()), Ok(()), "not every consumer is told");
    }

    #[test]
    fn what_is_stored_while_its_client_ends_may_come_too_late() {
        let rows = |leaving| {
            let mut rows = vec![(1, wire(1)), (2, stored(1, 0)), (3, resolved(1, ok(0)))];
            rows.push((leaving, What::Leaving { host: 1 }));
            rows.push((9_000, What::Traces(Vec::new())));
            rows.sort_by_key(|(at, _)| *at);
            let mut history = history(rows);
            (history.setup.calm, history.setup.traced) = (true, Some(true));
            check(&history)
        };
        assert_eq!(rows(2), Ok(()));
        assert!(rows(4).is_err());
    }

    #[test]
    fn the_end_of_a_transaction_is_what_was_said() {
        let half = What::Stored(Copy { id: None, tx: Some(7), ..copy(0, 0) });
        let end = |commit, asked| trace("u", "bank", TraceKind::End { commit: Some(commit), asked });
        let rows = |end| {
            let said = What::Tx(Tx::Said { tx: 7, commit: Some(true), asked: false });
            let mut history = history(vec![(1, half.clone()), (2, said), (3, What::Traces(vec![end]))]);
            history.setup.traced = Some(true);
            check(&history)
        };
        assert_eq!(rows(end(true, false)), Ok(()));
        assert!(rows(end(false, false)).is_err() && rows(end(true, true)).is_err());
    }
}
