//! Which queue an attempt goes to, and how long it may take: pure functions.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use super::faults::FaultTable;
use super::policy::SendPolicy;
use crate::client::view::PublishQueue;
use crate::ids::{BrokerName, MessageQueue};
use crate::mutants::mutant;
use crate::time::Instant;
use crate::wire::java::java_hash;

/// Which queue a send goes to.
#[derive(Debug, Default)]
pub enum Target {
    /// Any, in turn.
    #[default]
    Any,
    /// This one.
    Queue(MessageQueue),
    /// The one that is chosen when the route is known.
    Chosen(Selector),
}

impl Target {
    /// The queue of a key: the same as Java's `SelectMessageQueueByHash` chooses for the string.
    #[must_use]
    pub fn of_key(key: &str) -> Self {
        Self::Chosen(Selector::Hash(java_hash(key)))
    }

    /// The queue that a function chooses by its index.
    pub fn selected(select: impl FnOnce(&[MessageQueue]) -> usize + Send + 'static) -> Self {
        Self::Chosen(Selector::Function(Box::new(select)))
    }
}

/// A function that chooses one of these queues by its index.
type Select = Box<dyn FnOnce(&[MessageQueue]) -> usize + Send>;

/// How a queue is chosen among those that take messages, which are in Java's order: by broker, then by number.
pub enum Selector {
    /// By the hash of a key.
    Hash(i32),
    /// By a function, which is called once.
    Function(Select),
}

impl Selector {
    /// The queue chosen; `None` when there is none of that index.
    pub(super) fn choose(self, queues: &[PublishQueue]) -> Option<MessageQueue> {
        let index = match self {
            Self::Hash(hash) => index_of(hash, queues.len())?,
            Self::Function(select) => {
                let all: Vec<_> = queues.iter().map(|known| known.queue.clone()).collect();
                select(&all)
            }
        };
        queues.get(index).map(|known| known.queue.clone())
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(hash) => f.debug_tuple("Hash").field(hash).finish(),
            Self::Function(_) => f.write_str("Function"),
        }
    }
}

/// The index of a hash among so many queues: the absolute value of Java's remainder, which has the sign of the hash.
/// Source: Java `SelectMessageQueueByHash`.
#[must_use]
pub fn index_of(hash: i32, queues: usize) -> Option<usize> {
    let count = i32::try_from(queues).ok()?;
    let index = hash.checked_rem(count)?.unsigned_abs();
    let index = if mutant!(133) { hash.unsigned_abs().wrapping_add(index) & 1 } else { index };
    usize::try_from(index).ok()
}

/// The queue for the next attempt of a send: the next in turn whose broker has not failed this send. With a table of
/// faults, of a broker that is available; else of one that can be reached; else of any.
///
/// `turn` is where to begin.
#[must_use]
pub fn next_queue<'q>(
    queues: &'q [PublishQueue],
    turn: usize,
    tried: &[BrokerName],
    faults: Option<(&FaultTable, Instant)>,
) -> Option<&'q PublishQueue> {
    let start = turn.checked_rem(queues.len())?;
    let (before, from) = queues.split_at_checked(start)?;
    let in_turn = || from.iter().chain(before).filter(|known| !tried.contains(&known.queue.broker));
    let Some((table, now)) = faults else {
        return in_turn().next();
    };
    let available = in_turn().find(|known| table.is_available(&known.queue.broker, now));
    let reachable = || in_turn().find(|known| table.is_reachable(&known.queue.broker));
    available.or_else(reachable).or_else(|| in_turn().next())
}

/// When an attempt is given up: it may take its share of the time when there is another broker and an attempt is left,
/// else all of it. A message may be stored twice when a slow broker is given up early.
#[must_use]
pub fn attempt_deadline(now: Instant, deadline: Instant, made: u32, policy: &SendPolicy, alone: bool) -> Instant {
    let patient = alone || made >= policy.attempts;
    if patient { deadline } else { deadline.min(now.after(policy.attempt_timeout)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn queues(brokers: &[(&str, i32)]) -> Vec<PublishQueue> {
        let of = |(broker, count): &(&str, i32)| {
            let broker = BrokerName::from(*broker);
            (0..*count).map(move |id| PublishQueue {
                queue: MessageQueue { topic: "T".into(), broker: broker.clone(), id },
                endpoint: "b:1".into(),
                conn: None,
            })
        };
        brokers.iter().flat_map(of).collect()
    }

    #[test]
    fn hashes_choose_as_java_5_4_0_does() {
        // Of `Math.abs(hash % n)` in Java.
        for (hash, queues, index) in [
            (7, 4, 3),
            (-7, 4, 3),
            (i32::MIN, 4, 0),
            (i32::MIN, 3, 2),
            (i32::MIN, 7, 2),
            (i32::MAX, 3, 1),
            (0, 5, 0),
            (-1, 1, 0),
        ] {
            assert_eq!(index_of(hash, queues), Some(index), "{hash} {queues}");
        }
        assert_eq!(index_of(7, 0), None);
    }

    #[test]
    fn a_key_has_one_queue_and_a_function_the_one_it_names() {
        let queues = queues(&[("a", 2), ("b", 3)]);
        let chosen = |target: Target| {
            let Target::Chosen(selector) = target else { panic!("{target:?}") };
            selector.choose(&queues).map(|queue| (queue.broker.to_string(), queue.id))
        };
        // The hash of this word is the smallest integer.
        assert_eq!(chosen(Target::of_key("polygenelubricants")), Some(("b".into(), 1)));
        assert_eq!(chosen(Target::of_key("")), Some(("a".into(), 0)));
        assert_eq!(chosen(Target::selected(|all| all.len() - 1)), Some(("b".into(), 2)));
        assert_eq!(chosen(Target::selected(|all| all.len())), None);
    }

    #[test]
    fn faults_choose_the_available_then_the_reachable_then_any() {
        let queues = queues(&[("a", 1), ("b", 1), ("c", 1)]);
        let mut table = FaultTable::new(Vec::new(), true);
        let now = Instant::from_millis(1_000);
        let next = |table: &FaultTable, tried: &[&str]| {
            let tried: Vec<_> = tried.iter().map(|name| BrokerName::from(*name)).collect();
            next_queue(&queues, 0, &tried, Some((table, now))).map(|known| known.queue.broker.to_string())
        };
        assert_eq!(next(&table, &[]).as_deref(), Some("a"));
        table.ban("a", now, false);
        assert_eq!(next(&table, &[]).as_deref(), Some("b"));
        assert_eq!(next(&table, &["b"]).as_deref(), Some("c"));
        table.ban("b", now, true);
        table.ban("c", now, false);
        assert_eq!(next(&table, &[]).as_deref(), Some("b"), "the one that can be reached");
        assert_eq!(next(&table, &["b"]).as_deref(), Some("a"), "any");
        assert_eq!(next(&table, &["a", "b", "c"]), None);
    }
}
