//! A3: an administrator is told exactly what servers said: the result of an operation names each broker that a name
//! server named, has of those that answered what they said and nothing else, and of the others why they did not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rocketmq_core::time::Instant;
use rocketmq_core::wire::codes::request;

use super::Broken;
use crate::sim::history::{Addresses, Answer, Errand, ErrandEnd, ErrandOf, History, What, Whom, Why};

type Table = BTreeMap<Arc<str>, Addresses>;

/// An operation under way, and what its process was told since it began.
struct Open<'a> {
    of: &'a ErrandOf,
    begun: Instant,
    told: Vec<Told<'a>>,
}

struct Told<'a> {
    at: Instant,
    from: &'a Arc<str>,
    asks: i32,
    about: &'a str,
    answer: &'a Answer,
    /// Whether the link carried nothing but whole frames so far.
    clean: bool,
}

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut open: BTreeMap<u64, (usize, Open<'_>)> = BTreeMap::new();
    let mut spoilt: BTreeSet<u64> = BTreeSet::new();
    for row in &history.rows {
        match &row.what {
            What::Hostile { link, .. } => drop(spoilt.insert(*link)),
            What::Errand(Errand::Begun { id, host, of, .. }) => {
                open.insert(*id, (*host, Open { of, begun: row.at, told: Vec::new() }));
            }
            What::Errand(Errand::Told { host, link, from, asks, about, asked, answer }) => {
                let clean = !spoilt.contains(link);
                for (_, one) in open.values_mut().filter(|(of, one)| of == host && *asked >= one.begun) {
                    one.told.push(Told { at: row.at, from, asks: *asks, about, answer, clean });
                }
            }
            What::Errand(Errand::Ended { id, end }) => {
                let Some((_, one)) = open.remove(id) else { continue };
                if let Err(text) = one.is_true(end, history.setup.calm) {
                    return Err(Broken::new(row.at, format!("operation {id}, {:?}: {text}: {end:?}", one.of)));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

impl Open<'_> {
    fn is_true(&self, end: &ErrandEnd, calm: bool) -> Result<(), String> {
        match end {
            ErrandEnd::Nobody(Why::Refused(code)) => {
                let said = self.told.iter().any(|told| *told.answer == Answer::Refused(*code));
                if said { Ok(()) } else { Err(format!("nobody said {code}")) }
            }
            ErrandEnd::Nobody(Why::Silent) if calm => Err("though nothing goes wrong".to_owned()),
            ErrandEnd::Nobody(_) => Ok(()),
            ErrandEnd::One(answer) => {
                let said = self.told.iter().any(|told| told.asks == self.of.asks && told.answer == answer);
                if said { Ok(()) } else { Err("nobody said so".to_owned()) }
            }
            ErrandEnd::Some { facts, answered, failed } => {
                if calm && failed.values().any(|why| *why == Why::Silent) {
                    return Err("a server is silent though nothing goes wrong".to_owned());
                }
                let mut last = "no name server named any broker".to_owned();
                for table in self.tables() {
                    match self.is_true_of(table, facts, answered.as_ref(), failed) {
                        Ok(()) => return Ok(()),
                        Err(text) => last = text,
                    }
                }
                Err(last)
            }
        }
    }

    /// The brokers that a name server told of; there may be several that did.
    fn tables(&self) -> impl Iterator<Item = &Table> {
        let (asks, topic) = match &self.of.whom {
            Whom::OfTopic(topic) => (request::GET_ROUTEINFO_BY_TOPIC, &**topic),
            Whom::All | Whom::One => (request::GET_BROKER_CLUSTER_INFO, ""),
        };
        let of_it = move |told: &&Told<'_>| told.asks == asks && told.about == topic;
        self.told.iter().filter(of_it).filter_map(|told| match told.answer {
            Answer::Brokers(table) => Some(table),
            Answer::Refused(_) | Answer::Facts(_) | Answer::Unreadable => None,
        })
    }

    /// Whether the result is what these brokers said.
    fn is_true_of(
        &self,
        table: &Table,
        facts: &BTreeSet<String>,
        answered: Option<&BTreeSet<Arc<str>>>,
        failed: &BTreeMap<Arc<str>, Why>,
    ) -> Result<(), String> {
        if let Some(answered) = answered {
            let named: BTreeSet<_> = answered.iter().chain(failed.keys().filter(|name| !is_address(name))).collect();
            if !named.iter().copied().eq(table.keys()) {
                return Err(format!("of {:?} it names {named:?}", table.keys()));
            }
        }
        if let Some(name) = failed.keys().find(|name| !is_address(name) && !table.contains_key(*name)) {
            return Err(format!("{name} is no broker"));
        }
        let mut said = BTreeSet::new();
        for (name, addresses) in table {
            let address = self.asked(addresses);
            let shared = table.values().filter(|other| self.asked(other) == address).count() > 1;
            let why = failed.get(name).copied();
            match (address, why) {
                (None, Some(Why::NoMaster)) => {}
                (None, _) => return Err(format!("{name} has no master")),
                (Some(_), Some(Why::NoMaster)) => return Err(format!("{name} has a master")),
                (Some(address), Some(why)) => self.failed_so(name, address, why, shared)?,
                (Some(address), None) => said.extend(self.said(name, address, facts)?),
            }
        }
        match facts.iter().find(|fact| !said.contains(*fact)) {
            Some(fact) => Err(format!("nobody said {fact}")),
            None => Ok(()),
        }
    }

    /// The replica that is asked.
    fn asked<'a>(&self, addresses: &'a Addresses) -> &'a Option<Arc<str>> {
        match self.of.whom {
            Whom::OfTopic(_) => &addresses.first,
            Whom::All | Whom::One => &addresses.master,
        }
    }

    fn answers<'a>(&'a self, address: &'a Arc<str>) -> impl Iterator<Item = &'a Told<'a>> {
        self.told.iter().filter(move |told| told.asks == self.of.asks && told.from == address)
    }

    /// What the broker at an address said, all of which is in the result.
    fn said(&self, name: &str, address: &Arc<str>, facts: &BTreeSet<String>) -> Result<BTreeSet<String>, String> {
        let mut last = format!("{name} did not answer, and is not said to have failed");
        // A question that an earlier operation gave up may be answered now: what the result has more of is meant.
        let mut most: Option<&BTreeSet<String>> = None;
        for told in self.answers(address) {
            let Answer::Facts(said) = told.answer else { continue };
            match said.iter().find(|fact| !facts.contains(*fact)) {
                Some(fact) => last = format!("{name} said {fact}, and it is left out"),
                None if self.is_foreign(name, said) => last = format!("another broker answered for {name}"),
                None if most.is_none_or(|most| most.len() < said.len()) => most = Some(said),
                None => {}
            }
        }
        most.cloned().ok_or(last)
    }

    /// Whether a broker failed so.
    fn failed_so(&self, name: &str, address: &Arc<str>, why: Why, shared: bool) -> Result<(), String> {
        let said = |wanted: &dyn Fn(&Answer) -> bool| self.answers(address).any(|told| wanted(told.answer));
        let so = match why {
            Why::Refused(code) => said(&|answer| *answer == Answer::Refused(code)),
            Why::Unreadable => said(&|answer| *answer == Answer::Unreadable),
            Why::OtherBroker => said(&|answer| matches!(answer, Answer::Facts(facts) if self.is_foreign(name, facts))),
            Why::Silent => {
                // Whatever came later may have come too late.
                let in_time = |told: &Told<'_>| told.clean && told.at < self.begun.after(PATIENCE);
                shared || !self.answers(address).any(in_time)
            }
            Why::NoMaster | Why::NotKnown => false,
        };
        if so { Ok(()) } else { Err(format!("{name} did not fail so")) }
    }

    /// Whether facts are those of another broker, as far as they say whose they are.
    fn is_foreign(&self, name: &str, facts: &BTreeSet<String>) -> bool {
        let own = |fact: &String| fact.split_once('/').is_some_and(|(broker, _)| broker == name);
        let says = [request::GET_TOPIC_STATS_INFO, request::GET_CONSUME_STATS].contains(&self.of.asks);
        says && !facts.iter().all(own)
    }
}

/// Name servers have no names but their addresses.
fn is_address(name: &str) -> bool {
    name.contains(':')
}

/// The least time that a server has for its answer.
const PATIENCE: Duration = Duration::from_secs(6);

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn begun(asks: i32, whom: Whom) -> What {
        let of = ErrandOf { asks, whom };
        What::Errand(Errand::Begun { id: 1, host: 9, of, deadline: Instant::from_millis(12_000) })
    }

    fn told(from: &str, asks: i32, asked: u64, answer: Answer) -> What {
        let about = if asks == 105 { "t0" } else { "" };
        let asked = Instant::from_millis(asked);
        What::Errand(Errand::Told { host: 9, link: 4, from: from.into(), asks, about: about.into(), asked, answer })
    }

    fn facts(of: &[&str]) -> BTreeSet<String> {
        of.iter().map(|fact| (*fact).to_owned()).collect()
    }

    /// A route with brokers and the addresses of their masters.
    fn route(brokers: &[(&str, Option<&str>)]) -> What {
        let row = |(name, master): &(&str, Option<&str>)| {
            let master: Option<Arc<str>> = master.map(Into::into);
            (Arc::from(*name), Addresses { first: master.clone(), master })
        };
        told("n:1", 105, 2, Answer::Brokers(brokers.iter().map(row).collect()))
    }

    fn some(of: &[&str], failed: &[(&str, Why)]) -> What {
        let failed = failed.iter().map(|(name, why)| (Arc::from(*name), *why)).collect();
        What::Errand(Errand::Ended { id: 1, end: ErrandEnd::Some { facts: facts(of), answered: None, failed } })
    }

    /// Two brokers are asked for the figures of a topic, and answer so.
    fn stats(answers: Vec<(u64, What)>, end: What) -> Result<(), Broken> {
        let whom = Whom::OfTopic("t0".into());
        let first = vec![(1, begun(202, whom)), (3, route(&[("a", Some("a:1")), ("b", Some("b:1"))]))];
        check(&history([first, answers, vec![(9_000, end)]].concat()))
    }

    fn says(broker: &str, of: &[&str]) -> What {
        told(&format!("{broker}:1"), 202, 4, Answer::Facts(facts(of)))
    }

    #[test]
    fn all_that_was_said_is_told_and_nothing_else() {
        let both = || vec![(5, says("a", &["a/0 9"])), (6, says("b", &["b/0 7"]))];
        assert_eq!(stats(both(), some(&["a/0 9", "b/0 7"], &[])), Ok(()));
        assert!(stats(both(), some(&["a/0 9"], &[])).is_err(), "b is left out");
        assert!(stats(both(), some(&["a/0 9", "b/0 8"], &[])).is_err(), "nobody said so");
        assert!(stats(both(), some(&["a/0 9", "b/0 7", "c/0 1"], &[])).is_err());
    }

    #[test]
    fn an_answer_to_an_earlier_question_hides_none() {
        let answers = || vec![(5, says("a", &[])), (5, says("a", &["a/0 9"])), (6, says("b", &["b/0 7"]))];
        assert_eq!(stats(answers(), some(&["a/0 9", "b/0 7"], &[])), Ok(()));
        assert!(stats(answers(), some(&["a/0 9", "a/1 9", "b/0 7"], &[])).is_err());
    }

    #[test]
    fn who_did_not_answer_is_named_and_nobody_else() {
        let one = || vec![(5, says("a", &["a/0 9"]))];
        assert_eq!(stats(one(), some(&["a/0 9"], &[("b", Why::Silent)])), Ok(()));
        assert!(stats(one(), some(&["a/0 9"], &[])).is_err());
        assert!(stats(one(), some(&[], &[("a", Why::Silent), ("b", Why::Silent)])).is_err());
        assert!(stats(one(), some(&["a/0 9"], &[("b", Why::Silent), ("c", Why::Silent)])).is_err());
        assert!(stats(one(), some(&["a/0 9"], &[("b", Why::NoMaster)])).is_err());
        // What comes when the time is up.
        let late = |at| vec![(5, says("a", &["a/0 9"])), (at, says("b", &["b/0 7"]))];
        assert_eq!(stats(late(6_001), some(&["a/0 9"], &[("b", Why::Silent)])), Ok(()));
        assert!(stats(late(6_000), some(&["a/0 9"], &[("b", Why::Silent)])).is_err());
    }

    #[test]
    fn a_refusal_is_told_as_it_was_said() {
        let refused = || vec![(5, says("a", &["a/0 9"])), (6, told("b:1", 202, 4, Answer::Refused(17)))];
        assert_eq!(stats(refused(), some(&["a/0 9"], &[("b", Why::Refused(17))])), Ok(()));
        assert!(stats(refused(), some(&["a/0 9"], &[("b", Why::Refused(1))])).is_err());
        let nobody = |code| What::Errand(Errand::Ended { id: 1, end: ErrandEnd::Nobody(Why::Refused(code)) });
        assert_eq!(stats(refused(), nobody(17)), Ok(()));
        assert!(stats(refused(), nobody(1)).is_err());
    }

    #[test]
    fn what_another_broker_says_is_not_believed() {
        let whom = Whom::OfTopic("t0".into());
        let rows = |end| {
            let route = route(&[("a", Some("b:1")), ("b", Some("b:1"))]);
            let said = says("b", &["b/0 7"]);
            history(vec![(1, begun(202, whom.clone())), (3, route), (5, said.clone()), (6, said), (7, end)])
        };
        assert_eq!(check(&rows(some(&["b/0 7"], &[("a", Why::OtherBroker)]))), Ok(()));
        assert!(check(&rows(some(&["b/0 7"], &[]))).is_err());
    }

    #[test]
    fn what_was_asked_before_does_not_count() {
        let whom = Whom::OfTopic("t0".into());
        let late = told("a:1", 202, 0, Answer::Facts(facts(&["a/0 9"])));
        let rows = vec![(1, begun(202, whom)), (3, route(&[("a", Some("a:1"))])), (5, late)];
        assert!(check(&history([rows, vec![(6, some(&["a/0 9"], &[]))]].concat())).is_err());
    }

    #[test]
    fn a_broker_without_a_master_is_named_so_unless_its_slave_can_tell() {
        let slave = |asks| {
            let row = |name: &str, master: Option<&str>, first: &str| {
                (Arc::from(name), Addresses { first: Some(first.into()), master: master.map(Into::into) })
            };
            let table = [row("a", Some("a:1"), "a:1"), row("b", None, "b:1")].into();
            told("n:1", asks, 2, Answer::Brokers(table))
        };
        let rows = |end| {
            history(vec![
                (1, begun(28, Whom::All)),
                (3, slave(106)),
                (5, told("a:1", 28, 4, Answer::Facts(facts(&["a/0 9"])))),
                (6, end),
            ])
        };
        assert_eq!(check(&rows(some(&["a/0 9"], &[("b", Why::NoMaster)]))), Ok(()));
        assert!(check(&rows(some(&["a/0 9"], &[("b", Why::Silent)]))).is_err());
        let rows = |end| {
            let said = vec![(5, says("a", &["a/0 9"])), (6, says("b", &["b/0 7"])), (7, end)];
            history([vec![(1, begun(202, Whom::OfTopic("t0".into()))), (3, slave(105))], said].concat())
        };
        assert_eq!(check(&rows(some(&["a/0 9", "b/0 7"], &[]))), Ok(()));
        assert!(check(&rows(some(&["a/0 9"], &[("b", Why::NoMaster)]))).is_err());
    }

    #[test]
    fn without_faults_nobody_is_silent() {
        let mut calm = history(vec![
            (1, begun(30, Whom::One)),
            (9, What::Errand(Errand::Ended { id: 1, end: ErrandEnd::Nobody(Why::Silent) })),
        ]);
        assert_eq!(check(&calm), Ok(()));
        calm.setup.calm = true;
        assert!(check(&calm).is_err());
    }

    #[test]
    fn one_server_said_it() {
        let answer = |text| Answer::Facts(facts(&[text]));
        let rows = |end| {
            let end = What::Errand(Errand::Ended { id: 1, end: ErrandEnd::One(answer(end)) });
            history(vec![(1, begun(30, Whom::One)), (3, told("a:1", 30, 2, answer("7"))), (4, end)])
        };
        assert_eq!(check(&rows("7")), Ok(()));
        assert!(check(&rows("8")).is_err());
    }
}
