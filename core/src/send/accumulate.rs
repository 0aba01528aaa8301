//! Puts messages together into batches: a pure machine, without a clock.
//!
//! Messages of one topic, queue, durability and tag go together. A batch is due when its first message has waited for the
//! longest time, and is full when the next message would make it too large. What is given out is no longer counted.

use alloc::collections::VecDeque;
use alloc::collections::btree_map::{BTreeMap, Entry};
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use crate::config::AutoBatch;
use crate::ids::{MessageQueue, Topic};
use crate::message::Message;
use crate::time::{Instant, Wakeup};
use crate::wire::message::properties::{MAX_LEN, name};

/// Messages that wait for others. `W` is what belongs to a batch beside its messages.
#[derive(Debug)]
pub struct Accumulator<W> {
    limits: AutoBatch,
    /// Bytes of an encoded batch at most.
    max_encoded: usize,
    open: BTreeMap<Key, Open<W>>,
    /// When the open ones are due, in order: all wait for the same time.
    due: VecDeque<(Instant, Key)>,
    bytes: usize,
}

/// What messages of one batch have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    topic: Topic,
    queue: Option<MessageQueue>,
    wait: bool,
    tag: Option<String>,
}

impl Key {
    /// What this message has in common with those it may go with; `None` when it goes by itself: when it is delayed, a
    /// reply, or goes to the retry topic of a group.
    #[must_use]
    pub fn of(message: &Message, queue: Option<&MessageQueue>) -> Option<Self> {
        let topic = message.topic().clone();
        let alone = message.is_delayed() || message.is_reply() || topic.as_str().starts_with("%RETRY%");
        let tag = message.property(name::TAGS).map(String::from);
        (!alone).then(|| Self { topic, queue: queue.cloned(), wait: message.wait(), tag })
    }
}

#[derive(Debug)]
struct Open<W> {
    due: Instant,
    bytes: usize,
    messages: Vec<Message>,
    with: W,
}

/// Messages that go together now.
#[derive(Debug)]
pub struct Ready<W> {
    /// The queue they go to, else any.
    pub queue: Option<MessageQueue>,
    /// The messages, in the order in which they came.
    pub messages: Vec<Message>,
    /// What belongs to the batch.
    pub with: W,
}

/// What became of a message.
#[derive(Debug)]
pub enum Pushed<'a, W> {
    /// It waits for others; what belongs to their batch.
    Waits(&'a mut W),
    /// The same, and those before it go now: it would have made them too many.
    Full(Ready<W>, &'a mut W),
    /// It goes by itself: it is too large, or too much waits already, or it may be one that cannot be written.
    Alone(Message),
}

impl<W: Default> Accumulator<W> {
    /// Nothing waits. No batch is to have more than `max_encoded` bytes when it is written, whatever the limits say.
    #[must_use]
    pub const fn new(limits: AutoBatch, max_encoded: usize) -> Self {
        Self { limits, max_encoded, open: BTreeMap::new(), due: VecDeque::new(), bytes: 0 }
    }

    /// Adds a message.
    pub fn push(&mut self, now: Instant, key: Key, message: Message) -> Pushed<'_, W> {
        let bytes = len_of(&message);
        let total = self.bytes.saturating_add(bytes);
        // One whose properties may be too long fails by itself, if it does.
        let said = bytes.saturating_sub(message.body().len()).saturating_add(OVERHEAD);
        if bytes > self.limits.max_bytes || total > self.limits.max_total_bytes || said > MAX_LEN {
            return Pushed::Alone(message);
        }
        let fits = |open: &Open<W>| {
            let bytes = open.bytes.saturating_add(bytes);
            let encoded = open.messages.len().saturating_add(1).saturating_mul(OVERHEAD).saturating_add(bytes);
            bytes <= self.limits.max_bytes && encoded <= self.max_encoded
        };
        let due = now.after(self.limits.max_delay);
        let mut full = None;
        let open = match self.open.entry(key) {
            Entry::Vacant(place) => {
                self.due.push_back((due, place.key().clone()));
                place.insert(Open::new(due, 0))
            }
            Entry::Occupied(mut place) => {
                if !fits(place.get()) {
                    self.due.push_back((due, place.key().clone()));
                    // The next batch of its kind is often as large.
                    let next = Open::new(due, place.get().messages.len());
                    let gone = mem::replace(place.get_mut(), next);
                    self.bytes = self.bytes.saturating_sub(gone.bytes);
                    full = Some(gone.ready(place.key()));
                }
                place.into_mut()
            }
        };
        self.bytes = self.bytes.saturating_add(bytes);
        open.bytes = open.bytes.saturating_add(bytes);
        open.messages.push(message);
        match full {
            Some(full) => Pushed::Full(full, &mut open.with),
            None => Pushed::Waits(&mut open.with),
        }
    }

    /// The next batch that is due.
    pub fn poll(&mut self, now: Instant) -> Option<Ready<W>> {
        while let Some((due, key)) = self.due.front().filter(|(due, _)| *due <= now).cloned() {
            self.due.pop_front();
            // It may have gone for being full, and another one of its kind be open, which is due later.
            if self.open.get(&key).is_some_and(|open| open.due == due) {
                return self.take(&key);
            }
        }
        None
    }

    /// When the next batch is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Wakeup {
        self.due.front().map_or(Wakeup::Never, |(due, _)| Wakeup::At(*due))
    }

    /// Bytes of the messages that wait.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn take(&mut self, key: &Key) -> Option<Ready<W>> {
        let open = self.open.remove(key)?;
        self.bytes = self.bytes.saturating_sub(open.bytes);
        Some(open.ready(key))
    }
}

impl<W: Default> Open<W> {
    fn new(due: Instant, messages: usize) -> Self {
        Self { due, bytes: 0, messages: Vec::with_capacity(messages), with: W::default() }
    }

    fn ready(self, key: &Key) -> Ready<W> {
        Ready { queue: key.queue.clone(), messages: self.messages, with: self.with }
    }
}

/// Bytes that a message counts for: its body, as in Java, and what it says beside it, with two separators a property.
fn len_of(message: &Message) -> usize {
    message.properties().fold(message.body().len(), |len, (key, value)| {
        [key.len(), value.len(), 2].into_iter().fold(len, usize::saturating_add)
    })
}

/// Bytes that a batch adds for a message at most: the head of the item, its key, and whether it waits.
const OVERHEAD: usize = 100;

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

    use super::*;
    use core::time::Duration;
    use proptest::prelude::*;

    fn limits() -> AutoBatch {
        AutoBatch { max_bytes: 300, max_total_bytes: 500, ..AutoBatch::default() }
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// What became of a message that is known by a number.
    #[derive(Debug)]
    enum Became {
        Waits,
        Full(Ready<Vec<u32>>),
        Alone(Message),
    }

    fn push(all: &mut Accumulator<Vec<u32>>, now: u64, message: Message, number: u32) -> Became {
        let key = Key::of(&message, None).unwrap();
        push_to(all, now, key, message, number)
    }

    fn push_to(all: &mut Accumulator<Vec<u32>>, now: u64, key: Key, message: Message, number: u32) -> Became {
        match all.push(at(now), key, message) {
            Pushed::Waits(with) => {
                with.push(number);
                Became::Waits
            }
            Pushed::Full(ready, with) => {
                with.push(number);
                Became::Full(ready)
            }
            Pushed::Alone(message) => Became::Alone(message),
        }
    }

    fn of(ready: Option<Ready<Vec<u32>>>) -> Option<Vec<u32>> {
        ready.map(|ready| {
            assert_eq!(ready.messages.len(), ready.with.len());
            ready.with
        })
    }

    /// A hundred bytes.
    fn small() -> Message {
        Message::new("T", "1234567890".repeat(10))
    }

    #[test]
    fn messages_go_when_the_first_has_waited() {
        let mut all = Accumulator::new(limits(), 4_096);
        assert_eq!(all.poll_timeout(), Wakeup::Never);
        for (now, with) in [(0, 1), (9, 2)] {
            assert!(matches!(push(&mut all, now, small(), with), Became::Waits));
        }
        assert_eq!((all.poll_timeout(), all.bytes()), (Wakeup::At(at(10)), 200));
        assert!(all.poll(at(9)).is_none());
        assert_eq!(of(all.poll(at(10))), Some([1, 2].to_vec()));
        assert_eq!((all.poll_timeout(), all.bytes()), (Wakeup::Never, 0));
    }

    #[test]
    fn a_batch_is_no_larger_than_allowed_and_the_next_one_waits_its_own_time() {
        let mut all = Accumulator::new(limits(), 4_096);
        for with in 0..3 {
            assert!(matches!(push(&mut all, 0, small(), with), Became::Waits));
        }
        let Became::Full(ready) = push(&mut all, 5, small(), 3) else { panic!("not full") };
        assert_eq!(of(Some(ready)), Some([0, 1, 2].to_vec()));
        assert!(all.poll(at(10)).is_none(), "it came at 5");
        assert_eq!(all.poll_timeout(), Wakeup::At(at(15)));
        assert_eq!(of(all.poll(at(15))), Some([3].to_vec()));
    }

    #[test]
    fn many_small_ones_are_no_batch_that_cannot_be_sent() {
        let mut all = Accumulator::new(AutoBatch::default(), 10_000);
        let pushed = (0..100).map(|number| push(&mut all, 0, Message::new("T", "x"), number));
        let full: Vec<_> =
            pushed.filter_map(|became| if let Became::Full(ready) = became { of(Some(ready)) } else { None }).collect();
        assert_eq!(full, [(0..99).collect::<Vec<_>>()]);
    }

    #[test]
    fn what_a_message_says_beside_its_body_counts() {
        let mut all = Accumulator::new(limits(), 4_096);
        let message = || Message::new("T", "x").with_property("k", "v".repeat(150));
        assert!(matches!(push(&mut all, 0, message(), 0), Became::Waits));
        assert!(matches!(push(&mut all, 0, message(), 1), Became::Full(_)));
        assert_eq!(all.bytes(), 154);
    }

    #[test]
    fn what_may_be_too_long_to_be_written_goes_by_itself() {
        let mut all = Accumulator::new(AutoBatch { max_bytes: 100_000, ..AutoBatch::default() }, 4 << 20);
        let message = |len| Message::new("T", "x").with_property("k", "v".repeat(len));
        let fits = MAX_LEN - OVERHEAD - 3;
        assert!(matches!(push(&mut all, 0, message(fits), 0), Became::Waits));
        assert!(message(fits).encode_properties(&"U".repeat(56)).is_ok());
        assert!(matches!(push(&mut all, 0, message(fits + 1), 1), Became::Alone(_)));
    }

    #[test]
    fn what_differs_in_topic_queue_durability_or_tag_goes_apart() {
        let mut all = Accumulator::new(AutoBatch::default(), 4_096);
        let queue = MessageQueue { topic: "T".into(), broker: "b".into(), id: 1 };
        let kinds = [
            (small(), None),
            (Message::new("U", "x"), None),
            (small(), Some(&queue)),
            (small().with_wait(false), None),
            (small().with_tag("x"), None),
        ];
        for round in 0..2 {
            for (with, (message, queue)) in (0_u32..).zip(&kinds) {
                let key = Key::of(message, *queue).unwrap();
                assert!(matches!(push_to(&mut all, round, key, message.clone(), with), Became::Waits));
            }
        }
        for with in 0..5 {
            let ready = all.poll(at(100)).unwrap();
            assert_eq!(ready.queue.is_some(), with == 2);
            assert_eq!(of(Some(ready)), Some([with, with].to_vec()));
        }
        assert!(all.poll(at(100)).is_none());
    }

    #[test]
    fn delayed_ones_those_of_retry_topics_large_ones_and_what_is_too_much_go_by_themselves() {
        assert_eq!(Key::of(&small().with_delay_level(1), None), None);
        assert_eq!(Key::of(&small().with_delay(Duration::from_secs(1)), None), None);
        assert_eq!(Key::of(&Message::new("%RETRY%g", "x"), None), None);
        let mut all = Accumulator::new(limits(), 4_096);
        let large = Message::new("T", "x".repeat(301));
        assert!(matches!(push(&mut all, 0, large, 0), Became::Alone(_)));
        let topics = ["A", "B", "C", "D", "E", "F"].map(|topic| Message::new(topic, small().body().clone()));
        let pushed = topics.map(|message| push(&mut all, 0, message, 1));
        let alone: Vec<_> = pushed.iter().map(|pushed| matches!(pushed, Became::Alone(_))).collect();
        assert_eq!(alone, [false, false, false, false, false, true]);
        assert_eq!(all.bytes(), 500);
        assert!(all.poll(at(10)).is_some());
        assert!(matches!(push(&mut all, 10, small(), 2), Became::Waits), "there is room again");
    }

    proptest! {
        #[test]
        fn every_message_comes_out_once_in_order_and_in_time(
            steps in prop::collection::vec((0_u64..8, 0_usize..3, 0_usize..340), 1..80),
        ) {
            let mut all = Accumulator::new(limits(), 4_096);
            let (mut now, mut pushed, mut out) = (0, 0_u32, Vec::new());
            let mut came = BTreeMap::new();
            for (pause, topic, len) in steps {
                now += pause;
                while let Some(ready) = all.poll(at(now)) {
                    out.push((now, ready));
                }
                let message = Message::new(["A", "B", "C"][topic], "x".repeat(len + 1));
                came.insert(pushed, now);
                match push(&mut all, now, message, pushed) {
                    Became::Waits => {}
                    Became::Full(ready) => out.push((now, ready)),
                    Became::Alone(message) => {
                        out.push((now, Ready { queue: None, messages: [message].into(), with: [pushed].into() }));
                    }
                }
                pushed += 1;
                prop_assert!(all.bytes() <= 500);
            }
            now += 10;
            while let Some(ready) = all.poll(at(now)) {
                out.push((now, ready));
            }
            prop_assert_eq!(all.bytes(), 0);
            prop_assert_eq!(all.poll_timeout(), Wakeup::Never);
            let mut seen = Vec::<u32>::new();
            for (now, ready) in &out {
                let bytes: usize = ready.messages.iter().map(len_of).sum();
                prop_assert!(bytes <= 300 || ready.messages.len() == 1);
                prop_assert!(ready.with.iter().all(|number| *now <= came[number] + 10 + 10), "as late as the next step");
                prop_assert!(ready.with.is_sorted() && ready.with.len() == ready.messages.len());
                seen.extend(&ready.with);
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..pushed).collect::<Vec<_>>());
        }
    }
}
