//! Offsets of groups and of queues: 14, 15, 29 to 33.

use std::collections::BTreeMap;

use rocketmq_core::wire::codes::response;

use super::{Answer, Broker, Call};
use crate::cluster::fields::flag;
use crate::cluster::output::Reply;
use crate::cluster::store::Queue;

/// The committed offsets, which outlive a restart, and the resets that wait to be told.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    committed: BTreeMap<String, BTreeMap<(String, i32), i64>>,
    resets: BTreeMap<(String, String, i32), i64>,
    /// Where each group pulls; in memory only.
    pulled: BTreeMap<(String, String, i32), i64>,
}

impl Offsets {
    pub(crate) fn group(&self, group: &str) -> impl Iterator<Item = (&str, i32, i64)> {
        let rows = self.committed.get(group).into_iter().flatten();
        rows.map(|((topic, queue), offset)| (topic.as_str(), *queue, *offset))
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        self.committed.keys().map(String::as_str)
    }

    pub(super) fn on_pull(&mut self, group: &str, topic: &str, queue_id: i32, next: i64) {
        self.pulled.insert((group.to_owned(), topic.to_owned(), queue_id), next);
    }

    pub(super) fn pulled(&self, group: &str, topic: &str, queue_id: i32) -> Option<i64> {
        self.pulled.get(&(group.to_owned(), topic.to_owned(), queue_id)).copied()
    }

    pub(super) fn remove_group(&mut self, group: &str) {
        self.committed.remove(group);
    }

    pub(super) fn remove_topic(&mut self, topic: &str) {
        self.committed.values_mut().for_each(|rows| rows.retain(|(of, _), _| of != topic));
    }

    /// Takes on what a master has.
    pub(super) fn copy(&mut self, master: &Self) {
        self.committed.clone_from(&master.committed);
    }

    /// Stores what a client commits, unless a reset waits for it.
    pub(super) fn commit(&mut self, group: &str, topic: &str, queue_id: i32, offset: i64) {
        if !self.resets.contains_key(&(group.to_owned(), topic.to_owned(), queue_id)) {
            self.committed.entry(group.to_owned()).or_default().insert((topic.to_owned(), queue_id), offset);
        }
    }

    pub(super) fn committed(&self, group: &str, topic: &str, queue_id: i32) -> Option<i64> {
        self.committed.get(group)?.get(&(topic.to_owned(), queue_id)).copied()
    }

    /// The offset that a pull must be told of, once.
    pub(super) fn take_reset(&mut self, group: &str, topic: &str, queue_id: i32) -> Option<i64> {
        if self.resets.is_empty() {
            return None;
        }
        self.resets.remove(&(group.to_owned(), topic.to_owned(), queue_id))
    }
}

impl Broker {
    /// Moves a group to another offset as the server-side reset of 5.x does: the next pull is told by code 21.
    pub fn reset_offset(&mut self, group: &str, topic: &str, queue_id: i32, offset: i64) {
        self.set_committed(group, topic, queue_id, offset);
        self.offsets.resets.insert((group.to_owned(), topic.to_owned(), queue_id), offset);
    }

    /// Whether a group's offsets of a topic are taken; 5.x refuses those of what it does not know.
    #[must_use]
    pub fn takes_commits(&self, group: &str, topic: &str) -> bool {
        self.store.topic(topic).is_some() && (self.cfg.is_v4() || self.groups.contains_key(group))
    }

    /// Stores a committed offset as if a client had committed it.
    pub fn set_committed(&mut self, group: &str, topic: &str, queue_id: i32, offset: i64) {
        self.offsets.committed.entry(group.to_owned()).or_default().insert((topic.to_owned(), queue_id), offset);
    }

    /// Removes the messages of a queue before `offset`, as retention does.
    pub fn trim(&mut self, topic: &str, queue_id: i32, offset: i64) {
        self.store.trim(topic, queue_id, offset);
    }

    pub(super) fn query_offset(&mut self, call: &Call<'_>) -> Answer {
        let ext = &call.header.ext;
        let group = ext.get("consumerGroup").unwrap_or_default();
        let topic: String = ext.field("topic")?;
        let queue_id = ext.field("queueId")?;
        let zero_allowed = flag(ext, "setZeroIfNotFound").unwrap_or(true);
        if let Some(offset) = self.offsets.committed(group, &topic, queue_id).filter(|offset| *offset >= 0) {
            return Ok(Some(Reply::ok().field("offset", offset)));
        }
        let queue = self.store.queue(&topic, queue_id);
        if self.cfg.is_v4() && queue.is_none_or(|queue| queue.min_offset() == 0) {
            return Ok(Some(Reply::ok().field("offset", 0)));
        }
        let young = queue.is_some_and(|queue| queue.min_offset() == 0);
        Ok(Some(match (young, zero_allowed) {
            (true, true) => Reply::ok().field("offset", 0),
            (true, false) => Reply::error(response::QUERY_NOT_FOUND, NOT_SET_TO_ZERO),
            (false, false) => Reply::error(response::QUERY_NOT_FOUND, NOT_SET_TO_ZERO),
            (false, true) => Reply::error(response::QUERY_NOT_FOUND, NOT_FOUND),
        }))
    }

    pub(super) fn update_offset(&mut self, call: &Call<'_>) -> Answer {
        let ext = &call.header.ext;
        let (group, topic): (String, String) = (ext.field("consumerGroup")?, ext.field("topic")?);
        let v4 = self.cfg.is_v4();
        if !v4 && !self.groups.contains_key(&group) {
            let error = format!("Group {group} not exist!");
            return Ok(Some(Reply::error(response::SUBSCRIPTION_GROUP_NOT_EXIST, error)));
        }
        if !v4 && self.store.topic(&topic).is_none() {
            return Ok(Some(Reply::error(response::TOPIC_NOT_EXIST, format!("Topic {topic} not exist!"))));
        }
        let unset = |what| format!("{what} is null, topic is {topic}");
        let Ok(queue_id) = ext.field("queueId") else {
            return Ok(Some(Reply::error(self.invalid_parameter(), unset("QueueId"))));
        };
        let Ok(offset) = ext.field("commitOffset") else {
            return Ok(Some(Reply::error(self.invalid_parameter(), unset("Offset"))));
        };
        self.offsets.commit(&group, &topic, queue_id, offset);
        Ok(Some(Reply::ok()))
    }

    pub(super) fn max_offset(&mut self, call: &Call<'_>) -> Answer {
        Ok(Some(Reply::ok().field("offset", self.asked_queue(call)?.map_or(0, Queue::max_offset))))
    }

    pub(super) fn min_offset(&mut self, call: &Call<'_>) -> Answer {
        Ok(Some(Reply::ok().remark("").field("offset", self.asked_queue(call)?.map_or(0, Queue::min_offset))))
    }

    pub(super) fn earliest_store_time(&mut self, call: &Call<'_>) -> Answer {
        let first = self.asked_queue(call)?.and_then(|queue| queue.from(0).first());
        Ok(Some(Reply::ok().field("timestamp", first.map_or(-1, |entry| entry.stored_ms))))
    }

    pub(super) fn search_offset(&mut self, call: &Call<'_>) -> Answer {
        let timestamp: i64 = call.header.ext.field("timestamp")?;
        let upper = call.header.ext.get("boundaryType").is_some_and(|kind| kind.eq_ignore_ascii_case("UPPER"));
        let Some(queue) = self.asked_queue(call)? else {
            return Ok(Some(Reply::ok().field("offset", 0)));
        };
        Ok(Some(Reply::ok().field("offset", self.search(queue, timestamp, upper))))
    }

    /// The offset of a time: of the first message stored then or later, or of the last one before.
    pub(super) fn search(&self, queue: &Queue, timestamp: i64, upper: bool) -> i64 {
        let count = |entries: usize| i64::try_from(entries).unwrap_or(i64::MAX);
        let entries = queue.from(0);
        if upper || self.cfg.is_v4() {
            let until = count(entries.partition_point(|entry| entry.stored_ms <= timestamp));
            queue.min_offset() + (until - 1).max(0)
        } else {
            queue.min_offset() + count(entries.partition_point(|entry| entry.stored_ms < timestamp))
        }
    }

    pub(super) fn view(&mut self, call: &Call<'_>) -> Answer {
        let offset: i64 = call.header.ext.field("offset")?;
        Ok(Some(match self.store.record_at(offset) {
            Some(record) => Reply::ok().body(record.clone()),
            None => Reply::error(response::SYSTEM_ERROR, format!("can not find message by the offset, {offset}")),
        }))
    }

    fn asked_queue(&self, call: &Call<'_>) -> Result<Option<&Queue>, rocketmq_core::wire::header::FieldError> {
        let topic: String = call.header.ext.field("topic")?;
        Ok(self.store.queue(&topic, call.header.ext.field("queueId")?))
    }
}

const NOT_FOUND: &str = "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first";
const NOT_SET_TO_ZERO: &str = "Not found, do not set to zero, maybe this group boot first";
