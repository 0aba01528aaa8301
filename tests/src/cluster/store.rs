//! Topics, the commit log, and the queues that index it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use rocketmq_core::time::{Instant, UnixMillis};
use rocketmq_core::wire::java::java_hash;
use rocketmq_core::wire::message::EncodeError;

use super::message::{Draft, Place, Properties};

/// The configuration of a topic on one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// Queues that can be read.
    pub read_queues: i32,
    /// Queues that can be written.
    pub write_queues: i32,
    /// Permission: read 4, write 2, template 1.
    pub perm: i32,
    /// System flags.
    pub sys_flag: i32,
    /// Whether the topic is ordered.
    pub order: bool,
}

impl TopicConfig {
    /// A readable and writable topic with so many queues.
    #[must_use]
    pub fn new(queues: i32) -> Self {
        Self { read_queues: queues, write_queues: queues, perm: PERM_READ | PERM_WRITE, sys_flag: 0, order: false }
    }

    /// How a broker writes it in a remark.
    pub(crate) fn text(&self, topic: &str, v4: bool) -> String {
        let bit = |bit, letter| if self.perm & bit != 0 { letter } else { '-' };
        let perm = [bit(PERM_READ, 'R'), bit(PERM_WRITE, 'W'), bit(PERM_INHERIT, 'X')];
        format!(
            "TopicConfig [topicName={topic}, readQueueNums={}, writeQueueNums={}, perm={}, \
             topicFilterType=SINGLE_TAG, topicSysFlag={}, order={}{}]",
            self.read_queues,
            self.write_queues,
            String::from_iter(perm),
            self.sys_flag,
            self.order,
            if v4 { "" } else { ", attributes={}" }
        )
    }

    pub(crate) fn readable(&self) -> bool {
        self.perm & PERM_READ != 0
    }

    pub(crate) fn writable(&self) -> bool {
        self.perm & PERM_WRITE != 0
    }
}

/// What a queue knows of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    index: usize,
    pub(crate) tags_code: i32,
    pub(crate) stored_ms: i64,
    pub(crate) stored_at: Instant,
}

/// One queue: its messages by offset, of which those before `min` are gone.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) entries: Vec<Entry>,
    pub(crate) min: usize,
}

impl Queue {
    pub(crate) fn min_offset(&self) -> i64 {
        to_offset(self.min)
    }

    pub(crate) fn max_offset(&self) -> i64 {
        to_offset(self.entries.len())
    }

    /// The entries from an offset inside the queue.
    pub(crate) fn from(&self, offset: i64) -> &[Entry] {
        let start = usize::try_from(offset).unwrap_or(0).max(self.min);
        self.entries.get(start..).unwrap_or_default()
    }
}

/// Where a message was stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    pub(crate) place: Place,
    pub(crate) tags_code: i32,
}

/// Everything of a broker that outlives a restart, but for the offsets.
#[derive(Debug, Default)]
pub(crate) struct Store {
    topics: BTreeMap<String, (TopicConfig, Vec<Queue>)>,
    log: Vec<(i64, Bytes)>,
    end: i64,
    revision: u64,
}

impl Store {
    /// Creates the topic or changes its configuration; its messages stay.
    pub(crate) fn put_topic(&mut self, topic: &str, config: TopicConfig) {
        self.revision += 1;
        match self.topics.get_mut(topic) {
            Some((known, _)) => *known = config,
            None => drop(self.topics.insert(topic.to_owned(), (config, Vec::new()))),
        }
    }

    /// Forgets the topic; its messages are in the log still, and in no queue.
    pub(crate) fn remove_topic(&mut self, topic: &str) {
        if self.topics.remove(topic).is_some() {
            self.revision += 1;
        }
    }

    /// Appends the message to the log and to its queue.
    pub(crate) fn append(
        &mut self,
        now: Instant,
        wall: UnixMillis,
        host: SocketAddr,
        draft: &Draft,
    ) -> Result<Appended, EncodeError> {
        self.append_with(now, wall, host, draft, draft.properties.encode()?)
    }

    /// The same with the encoded properties given: a batch stores the client's own.
    pub(crate) fn append_with(
        &mut self,
        now: Instant,
        wall: UnixMillis,
        store_host: SocketAddr,
        draft: &Draft,
        properties: Bytes,
    ) -> Result<Appended, EncodeError> {
        let (index, physical) = (self.log.len(), self.end);
        let tags_code = draft.properties.get("TAGS").map_or(0, java_hash);
        let queue = self.queue_mut(&draft.topic, draft.queue_id);
        let visible = draft.is_visible();
        let queue_offset = if visible { queue.max_offset() } else { 0 };
        let place = Place { queue_offset, physical, stored_ms: wall.0, store_host };
        let record = draft.record(properties, &place)?;
        if visible {
            queue.entries.push(Entry { index, tags_code, stored_ms: wall.0, stored_at: now });
        }
        self.end += to_offset(record.len());
        self.log.push((physical, record));
        Ok(Appended { place, tags_code })
    }

    /// Appends a record of the master to the log of its slave.
    pub(crate) fn append_copy(&mut self, now: Instant, record: &Bytes) {
        let Some((draft, place)) = Draft::read(record) else { return };
        let index = self.log.len();
        if draft.is_visible() {
            let tags_code = draft.properties.get("TAGS").map_or(0, java_hash);
            let entry = Entry { index, tags_code, stored_ms: place.stored_ms, stored_at: now };
            self.queue_mut(&draft.topic, draft.queue_id).entries.push(entry);
        }
        self.end = place.physical + to_offset(record.len());
        self.log.push((place.physical, record.clone()));
    }

    /// Forgets everything from this physical offset on, as a crash before a flush does.
    pub(crate) fn truncate(&mut self, physical: i64) {
        let kept = self.log.partition_point(|(start, _)| *start < physical);
        if let Some((start, _)) = self.log.get(kept) {
            self.end = *start;
        }
        self.log.truncate(kept);
        for queue in self.topics.values_mut().flat_map(|(_, queues)| queues) {
            let left = queue.entries.partition_point(|entry| entry.index < kept);
            queue.entries.truncate(left);
            queue.min = queue.min.min(left);
        }
    }

    /// Removes the messages of a queue before `offset`, as retention does.
    pub(crate) fn trim(&mut self, topic: &str, queue_id: i32, offset: i64) {
        let queue = self.queue_mut(topic, queue_id);
        queue.min = usize::try_from(offset).unwrap_or(0).min(queue.entries.len()).max(queue.min);
    }

    pub(crate) fn topic(&self, topic: &str) -> Option<&TopicConfig> {
        self.topics.get(topic).map(|(config, _)| config)
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = (&str, &TopicConfig)> {
        self.topics.iter().map(|(topic, (config, _))| (topic.as_str(), config))
    }

    /// Counts the changes of topics.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The queue, if something was ever stored in it.
    pub(crate) fn queue(&self, topic: &str, queue_id: i32) -> Option<&Queue> {
        let (_, queues) = self.topics.get(topic)?;
        queues.get(usize::try_from(queue_id).ok()?).filter(|queue| !queue.entries.is_empty())
    }

    /// Numbers of the queues of a topic that hold something.
    pub(crate) fn queue_ids(&self, topic: &str) -> Vec<i32> {
        let queues = self.topics.get(topic).map_or(0, |(_, queues)| queues.len());
        (0..i32::try_from(queues).unwrap_or(0)).filter(|id| self.queue(topic, *id).is_some()).collect()
    }

    pub(crate) fn record(&self, entry: &Entry) -> &Bytes {
        &self.log[entry.index].1
    }

    /// Where in the log a message begins.
    pub(crate) fn physical(&self, entry: &Entry) -> i64 {
        self.log[entry.index].0
    }

    /// The properties of a message.
    pub(crate) fn properties(&self, entry: &Entry) -> Properties {
        Draft::read(self.record(entry)).map(|(draft, _)| draft.properties).unwrap_or_default()
    }

    /// The record that starts at this physical offset.
    pub(crate) fn record_at(&self, physical: i64) -> Option<&Bytes> {
        let index = self.log.binary_search_by_key(&physical, |(start, _)| *start).ok()?;
        self.log.get(index).map(|(_, record)| record)
    }

    /// The records from this physical offset on.
    pub(crate) fn since(&self, physical: i64) -> impl Iterator<Item = &Bytes> {
        let first = self.log.partition_point(|(start, _)| *start < physical);
        self.log[first..].iter().map(|(_, record)| record)
    }

    /// The end of the log.
    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    fn queue_mut(&mut self, topic: &str, queue_id: i32) -> &mut Queue {
        if !self.topics.contains_key(topic) {
            self.put_topic(topic, TopicConfig::new(1));
        }
        let (_, queues) = self.topics.get_mut(topic).expect("the topic was just created");
        let index = usize::try_from(queue_id).unwrap_or(0);
        if queues.len() <= index {
            queues.resize_with(index + 1, Queue::default);
        }
        &mut queues[index]
    }
}

fn to_offset(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Permission bit: readable.
pub(crate) const PERM_READ: i32 = 4;
/// Permission bit: writable.
pub(crate) const PERM_WRITE: i32 = 2;
/// Permission bit: topics may be created after this one.
pub(crate) const PERM_INHERIT: i32 = 1;
