//! Records that wait to be sent: a pure machine, without a clock.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use super::TraceRecord;
use crate::config::TraceConfig;
use crate::ids::Topic;
use crate::message::Message;
use crate::time::{Instant, Wakeup};

/// Records that wait to be sent, in order. What was noted together stays together: it counts as one.
#[derive(Debug)]
pub struct TraceQueue {
    config: TraceConfig,
    noted: VecDeque<Noted>,
    bytes: usize,
}

/// What was noted together.
#[derive(Debug)]
struct Noted {
    /// The topic of the messages that it is about.
    topic: Topic,
    due: Instant,
    records: Vec<Encoded>,
}

#[derive(Debug)]
struct Encoded {
    text: String,
    keys: Vec<String>,
}

/// Records that are sent as one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceMessage {
    /// The records.
    pub body: String,
    /// The ids and keys of the messages that they are about.
    pub keys: BTreeSet<String>,
    /// How many records.
    pub records: u64,
}

impl TraceQueue {
    /// Nothing waits.
    #[must_use]
    pub const fn new(config: TraceConfig) -> Self {
        Self { config, noted: VecDeque::new(), bytes: 0 }
    }

    /// Adds what is noted together, of messages of one topic; `false` when too much waits already: it is lost.
    pub fn push(&mut self, now: Instant, topic: &Topic, records: &[TraceRecord]) -> bool {
        let records: Vec<_> = records.iter().map(Encoded::new).collect();
        let bytes = self.bytes.saturating_add(records.iter().map(Encoded::len).fold(0, usize::saturating_add));
        if self.noted.len() >= MOST_NOTED || bytes > MOST_BYTES {
            return false;
        }
        self.bytes = bytes;
        let due = now.after(self.config.flush);
        self.noted.push_back(Noted { topic: topic.clone(), due, records });
        true
    }

    /// The next messages to send, when enough waits for it, has waited for long enough, or `all` is to be sent.
    pub fn poll(&mut self, now: Instant, all: bool) -> Option<Vec<TraceMessage>> {
        let first = self.noted.front()?;
        let batch = usize::try_from(self.config.batch).unwrap_or(usize::MAX);
        if !all && self.noted.len() < batch && first.due > now {
            return None;
        }
        let mut topics: Vec<(Topic, Vec<TraceMessage>)> = Vec::new();
        for Noted { topic, records, .. } in self.noted.drain(..self.noted.len().min(batch)) {
            let place = topics.iter().position(|(known, _)| *known == topic).unwrap_or(topics.len());
            if place == topics.len() {
                topics.push((topic, Vec::new()));
            }
            let Some((_, messages)) = topics.get_mut(place) else { continue };
            for record in records {
                self.bytes = self.bytes.saturating_sub(record.len());
                match messages.last_mut() {
                    Some(last) if last.takes(&record) => last.add(record),
                    Some(_) | None => {
                        let mut message = TraceMessage::default();
                        message.add(record);
                        messages.push(message);
                    }
                }
            }
        }
        Some(topics.into_iter().flat_map(|(_, messages)| messages).collect())
    }

    /// When the next messages are due.
    #[must_use]
    pub fn poll_timeout(&self) -> Wakeup {
        self.noted.front().map_or(Wakeup::Never, |noted| Wakeup::At(noted.due))
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.noted.is_empty()
    }

    /// Forgets what waits: how many records it was.
    pub fn clear(&mut self) -> u64 {
        self.bytes = 0;
        let count = |noted: Noted| u64::try_from(noted.records.len()).unwrap_or(u64::MAX);
        self.noted.drain(..).map(count).fold(0, u64::saturating_add)
    }
}

impl TraceMessage {
    /// The message for this topic.
    #[must_use]
    pub fn into_message(self, topic: &Topic) -> Message {
        let keys: Vec<String> = self.keys.into_iter().collect();
        Message::new(topic.clone(), self.body).with_key(keys.join(" "))
    }

    fn takes(&self, record: &Encoded) -> bool {
        let keys = |keys: &mut dyn Iterator<Item = &String>| keys.map(|key| key.len().saturating_add(1)).sum::<usize>();
        let new = &mut record.keys.iter().filter(|key| !self.keys.contains(*key));
        self.body.len().saturating_add(record.text.len()) <= MAX_BODY
            && keys(&mut self.keys.iter()).saturating_add(keys(new)) <= MAX_KEYS
    }

    fn add(&mut self, record: Encoded) {
        self.body.push_str(&record.text);
        self.keys.extend(record.keys);
        self.records = self.records.saturating_add(1);
    }
}

impl Encoded {
    fn new(record: &TraceRecord) -> Self {
        let mut text = String::with_capacity(RECORD_GUESS);
        record.encode(&mut text);
        let id = String::from(record.msg_id());
        let keys = record.keys().unwrap_or_default();
        // Of a message whose keys are too many for another one beside them, its id is enough.
        let keys = if keys.len() > MAX_KEYS.saturating_sub(id.len()) { "" } else { keys };
        let keys = keys.split(' ').filter(|key| !key.is_empty()).map(String::from);
        Self { text, keys: core::iter::once(id).chain(keys).collect() }
    }

    fn len(&self) -> usize {
        self.keys.iter().map(String::len).fold(self.text.len(), usize::saturating_add)
    }
}

/// What may wait. Source: Java `AsyncTraceDispatcher.traceContextQueue`.
const MOST_NOTED: usize = 2_048;
/// Bytes of it: a consumer's batch of 1,024 messages is noted together.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of a trace message. Source: Java `AsyncTraceDispatcher.maxMsgSize`.
const MAX_BODY: usize = 128_000;
/// Bytes of its keys, with which its other properties are below the 32,767 that brokers take.
const MAX_KEYS: usize = 30_000;
/// Bytes of a record, roughly.
const RECORD_GUESS: usize = 256;

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

    use super::super::tests::{after, before, stored};
    use super::*;
    use core::time::Duration;

    fn queue() -> TraceQueue {
        TraceQueue::new(TraceConfig { batch: 3, ..TraceConfig::default() })
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.after(Duration::from_secs(seconds))
    }

    fn text(records: &[TraceRecord]) -> String {
        let mut out = String::new();
        records.iter().for_each(|record| record.encode(&mut out));
        out
    }

    fn keys(message: &TraceMessage) -> Vec<&str> {
        message.keys.iter().map(String::as_str).collect()
    }

    #[test]
    fn a_batch_goes_when_it_is_full_or_has_waited() {
        let (mut queue, topic) = (queue(), Topic::from("t"));
        assert_eq!((queue.poll(at(0), true), queue.poll_timeout()), (None, Wakeup::Never));
        let records = [stored("1", None), stored("2", Some("k")), stored("3", None), stored("4", None)];
        for (second, record) in (0..).zip(&records) {
            assert!(second > 2 || queue.poll(at(second), false).is_none());
            assert!(queue.push(at(second), &topic, core::slice::from_ref(record)));
        }
        let [full] = <[_; 1]>::try_from(queue.poll(at(3), false).unwrap()).unwrap();
        assert_eq!((full.body.clone(), full.records), (text(&records[..3]), 3));
        assert_eq!(keys(&full), ["1", "2", "3", "k"]);
        let message = full.into_message(&"trace".into());
        assert_eq!((message.topic().as_str(), message.property("KEYS")), ("trace", Some("1 2 3 k")));
        assert_eq!(queue.poll_timeout(), Wakeup::At(at(8)));
        assert_eq!(queue.poll(at(7), false), None);
        let [due] = <[_; 1]>::try_from(queue.poll(at(8), false).unwrap()).unwrap();
        assert_eq!((due.body, queue.is_empty()), (text(&records[3..]), true));
    }

    #[test]
    fn what_is_noted_together_counts_as_one_and_topics_stay_apart() {
        let mut queue = queue();
        queue.push(at(0), &"a".into(), &[before(None), before(Some("x y"))]);
        queue.push(at(0), &"b".into(), &[stored("9", None)]);
        assert_eq!(queue.poll(at(0), false), None);
        queue.push(at(0), &"a".into(), &[after(Some("g"))]);
        let messages = queue.poll(at(0), false).unwrap();
        let bodies: Vec<_> = messages.iter().map(|message| (message.body.clone(), keys(message))).collect();
        let a = text(&[before(None), before(Some("x y")), after(Some("g"))]);
        assert_eq!(bodies, [(a, alloc::vec!["U", "a", "b", "x", "y"]), (text(&[stored("9", None)]), alloc::vec!["9"])]);
    }

    #[test]
    fn a_message_is_no_larger_than_allowed() {
        let mut queue = queue();
        let many: Vec<_> = (0..1_024).map(|id| stored(&alloc::format!("{id:032}"), Some("k"))).collect();
        assert!(queue.push(at(0), &"t".into(), &many));
        let messages = queue.poll(at(0), true).unwrap();
        assert_eq!(messages.iter().map(|message| message.records).sum::<u64>(), 1_024);
        let joined: String = messages.iter().map(|message| message.body.as_str()).collect();
        assert_eq!(joined, text(&many));
        for message in messages {
            let (body, message) = (message.body.len(), message.into_message(&"t".into()));
            assert!(body <= MAX_BODY && message.check(MAX_BODY).is_ok(), "{body}");
            assert!(message.encode_properties(&"U".repeat(32)).is_ok());
        }
    }

    #[test]
    fn keys_that_are_too_many_leave_room_for_the_id() {
        let mut queue = queue();
        let large = "k".repeat(32_000);
        queue.push(at(0), &"t".into(), &[stored("1", Some(&large)), stored("2", Some("k"))]);
        let [message] = <[_; 1]>::try_from(queue.poll(at(0), true).unwrap()).unwrap();
        assert_eq!(keys(&message), ["1", "2", "k"]);
        let half = "h".repeat(20_000);
        queue.push(at(0), &"t".into(), &[stored("1", Some(&half)), stored("2", Some(&"i".repeat(20_000)))]);
        assert_eq!(queue.poll(at(0), true).unwrap().len(), 2, "more keys than one message can have");
    }

    #[test]
    fn what_waits_is_bounded() {
        let (mut queue, topic) = (queue(), Topic::from("t"));
        for _ in 0..MOST_NOTED {
            assert!(queue.push(at(0), &topic, &[stored("1", None)]));
        }
        assert!(!queue.push(at(0), &topic, &[stored("1", None)]));
        assert!(queue.poll(at(0), false).is_some());
        assert!(queue.push(at(0), &topic, &[stored("1", None)]), "there is room again");
        assert_eq!(queue.clear(), 2_046);
        assert_eq!((queue.is_empty(), queue.bytes), (true, 0));
        let large: Vec<_> = (0..1_024).map(|_| before(Some(&"k".repeat(1_000)))).collect();
        let taken = (0..100).filter(|_| queue.push(at(0), &topic, &large)).count();
        assert!((4..=10).contains(&taken), "{taken} batches of 2 MB");
        while queue.poll(at(0), true).is_some() {}
        assert_eq!(queue.bytes, 0, "what is given out is counted no more");
    }
}
