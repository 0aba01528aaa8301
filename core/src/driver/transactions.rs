//! Who answers when brokers ask what became of half messages.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use core::future::Future;
use core::panic::AssertUnwindSafe;
use core::pin::Pin;
use std::sync::Mutex;

use futures_lite::FutureExt;

use super::client_task::ClientTask;
use super::handle::{ReceivedMessage, Tracer};
use super::inbox::Mail;
use super::lock::Lock;
use super::runtime::Runtime;
use crate::client::Input;
use crate::ids::Group;
use crate::mutants::mutant;
use crate::time::Instant;
use crate::transaction::{Check, HalfPlace, Resolution};

/// Says what became of a half message.
pub(super) type Checker = Arc<dyn Fn(ReceivedMessage) -> Checking + Send + Sync>;
pub(super) type Checking = Pin<Box<dyn Future<Output = Resolution> + Send>>;

/// A checker, and who traces what it says.
#[derive(Clone)]
pub(super) struct Answerer {
    pub(super) checker: Checker,
    pub(super) tracer: Option<Tracer>,
}

/// The checkers of each group, and where the half messages are that somebody here still has in hand.
#[derive(Default)]
pub(super) struct Transactions(Mutex<State>);

#[derive(Default)]
struct State {
    checkers: BTreeMap<Group, BTreeMap<u64, Answerer>>,
    in_hand: BTreeMap<String, HalfPlace>,
    next: u64,
}

impl Transactions {
    /// Adds a checker; the number takes it away again.
    pub(super) fn add(&self, group: Group, answerer: Answerer) -> u64 {
        self.0.with(|state| {
            state.next = state.next.saturating_add(1);
            state.checkers.entry(group).or_default().insert(state.next, answerer);
            state.next
        })
    }

    pub(super) fn remove(&self, group: &Group, number: u64) {
        let gone = self.0.with(|state| {
            let checkers = state.checkers.get_mut(group)?;
            let gone = checkers.remove(&number);
            if checkers.is_empty() {
                state.checkers.remove(group);
            }
            gone
        });
        drop(gone);
    }

    /// Somebody has a half message in hand, and will say what becomes of it.
    pub(super) fn take_in_hand(&self, place: HalfPlace) {
        self.0.with(|state| state.in_hand.insert(place.msg_id.clone(), place));
    }

    /// Not any more; where the broker keeps it now.
    pub(super) fn let_go(&self, key: &str) -> Option<HalfPlace> {
        self.0.with(|state| state.in_hand.remove(key))
    }

    /// Who is to answer; nobody, and then with what.
    fn answerer(&self, group: &Group, asked: &HalfPlace) -> Option<Answerer> {
        self.0.with(|state| {
            if let Some(place) = state.in_hand.get_mut(&asked.msg_id) {
                // Of what is in hand nobody else can know more. What becomes of it is said of where it is now: said of
                // the place before, the broker would go on asking, and show the message twice. Another broker that asks
                // stored it at an attempt whose answer was lost: what is in hand is not there.
                if asked.broker.is_none() || asked.broker == place.broker {
                    place.table_offset = asked.table_offset;
                    place.log_offset = asked.log_offset;
                }
                return None;
            }
            state.checkers.get(group).and_then(|checkers| checkers.values().next()).cloned()
        })
    }
}

impl<R: Runtime> ClientTask<R> {
    /// Has a checker say what became of a half message, in a task of its own.
    pub(super) fn check(&mut self, now: Instant, check: Check) {
        let id = check.id;
        let answerer = self.shared.transactions.answerer(&check.group, &check.place);
        let namespace = self.shared.config.namespace.as_ref();
        let message = ReceivedMessage::open(check.message).map(|message| message.within(namespace));
        let (Some(Answerer { checker, tracer }), Ok(message)) = (answerer, message) else {
            let resolution = Resolution::Unknown;
            return self.machine.handle(now, Input::Transaction { check: id, resolution });
        };
        let inbox = self.inbox.clone();
        let traced = tracer.and_then(|tracer| Some((tracer.end_of_asked(&message, &check.place)?, check.from, tracer)));
        self.rt.spawn(async move {
            let said = AssertUnwindSafe(async { checker(message).await }).catch_unwind().await;
            let panicked = if mutant!(142) { Resolution::Commit } else { Resolution::Unknown };
            let resolution = said.unwrap_or(panicked);
            if let Some((end, to, tracer)) = traced {
                tracer.ended(&end, &to, resolution, true);
            }
            inbox.post([Mail::Input(Input::Transaction { check: id, resolution })]);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(key: &str, at: i64) -> HalfPlace {
        HalfPlace {
            broker: None,
            topic: None,
            table_offset: at,
            log_offset: at,
            msg_id: key.into(),
            transaction_id: None,
        }
    }

    #[test]
    fn what_is_let_go_is_no_longer_in_hand() {
        let transactions = Transactions::default();
        transactions.take_in_hand(place("a", 1));
        assert_eq!(transactions.let_go("b"), None);
        assert_eq!(transactions.let_go("a"), Some(place("a", 1)));
        assert_eq!(transactions.let_go("a"), None);
    }

    #[test]
    fn only_the_broker_of_what_is_in_hand_says_where_it_is_now() {
        let transactions = Transactions::default();
        let of = |broker: Option<&str>, at| HalfPlace { broker: broker.map(Into::into), ..place("a", at) };
        transactions.take_in_hand(of(Some("b"), 1));
        let asked = |place: HalfPlace| assert!(transactions.answerer(&"g".into(), &place).is_none());
        asked(of(Some("another"), 7));
        let at = || transactions.0.with(|state| state.in_hand.get("a").map(|place| place.table_offset));
        assert_eq!(at(), Some(1));
        asked(of(Some("b"), 8));
        assert_eq!(at(), Some(8));
        // Old brokers do not say who they are.
        asked(of(None, 9));
        assert_eq!(transactions.let_go("a"), Some(of(Some("b"), 9)));
    }

    #[test]
    fn checkers_of_a_group_stand_in_for_each_other() {
        let transactions = Transactions::default();
        let checker = || Answerer { checker: Arc::new(|_| Box::pin(async { Resolution::Commit })), tracer: None };
        let first = transactions.add("g".into(), checker());
        let second = transactions.add("g".into(), checker());
        let left = || transactions.0.with(|state| state.checkers.get(&Group::from("g")).map(BTreeMap::len));
        transactions.remove(&"g".into(), first);
        transactions.remove(&"h".into(), second);
        assert_eq!(left(), Some(1));
        transactions.remove(&"g".into(), second);
        assert_eq!(left(), None);
    }
}
