//! What tests ask a model: what is stored, what is committed, who is a member.

use std::collections::BTreeMap;

use bytes::Bytes;
use rocketmq_core::ids::ClientId;

use super::broker::Broker;
use super::composition::Cluster;
use super::message::{Draft, Properties};
use super::output::SessionId;

/// A message as it is stored.
#[derive(Clone, Debug)]
pub struct StoredView {
    /// The broker's name.
    pub broker: String,
    /// The topic.
    pub topic: String,
    /// The queue.
    pub queue_id: i32,
    /// The position in the queue.
    pub queue_offset: i64,
    /// The position in the log.
    pub physical_offset: i64,
    /// The user's flag.
    pub flag: i32,
    /// The system flags.
    pub sys_flag: i32,
    /// When it was stored, Unix milliseconds.
    pub stored_ms: i64,
    /// How often it was handed back.
    pub reconsume_times: i32,
    /// The body, compressed if it came so.
    pub body: Bytes,
    /// The properties.
    pub properties: Properties,
}

/// A member of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its session.
    pub session: SessionId,
    /// Its client id.
    pub client_id: ClientId,
    /// The wire version it announced.
    pub version: i32,
}

impl Broker {
    /// The messages of a topic, queue by queue.
    pub fn stored(&self, topic: &str) -> impl Iterator<Item = StoredView> {
        let queues = self.store().queue_ids(topic).into_iter();
        let topic = topic.to_owned();
        queues.flat_map(move |queue_id| self.stored_in(&topic, queue_id).collect::<Vec<_>>())
    }

    /// The messages of one queue, from its first.
    pub fn stored_in(&self, topic: &str, queue_id: i32) -> impl Iterator<Item = StoredView> {
        let entries = self.store().queue(topic, queue_id).map(|queue| queue.from(0)).unwrap_or_default();
        entries.iter().filter_map(|entry| self.view_of(self.store().record(entry)))
    }

    /// The messages of all topics in the order in which they were stored, from this physical offset on.
    pub fn stored_since(&self, physical: i64) -> impl Iterator<Item = StoredView> {
        self.store().since(physical).filter_map(|record| self.view_of(record))
    }

    /// The first offset of a queue that is left, and its end.
    #[must_use]
    pub fn bounds(&self, topic: &str, queue_id: i32) -> (i64, i64) {
        self.store().queue(topic, queue_id).map_or((0, 0), |queue| (queue.min_offset(), queue.max_offset()))
    }

    fn view_of(&self, record: &Bytes) -> Option<StoredView> {
        let (draft, place) = Draft::read(record)?;
        Some(StoredView {
            broker: self.config().name.clone(),
            topic: draft.topic,
            queue_id: draft.queue_id,
            queue_offset: place.queue_offset,
            physical_offset: place.physical,
            flag: draft.flag,
            sys_flag: draft.sys_flag,
            stored_ms: place.stored_ms,
            reconsume_times: draft.reconsume_times,
            body: draft.body,
            properties: draft.properties,
        })
    }

    /// The groups that have committed offsets.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.offsets().groups()
    }

    /// The committed offsets of a group: topic, queue, offset.
    pub fn committed(&self, group: &str) -> impl Iterator<Item = (&str, i32, i64)> {
        self.offsets().group(group)
    }

    /// The members of a consumer group.
    pub fn members(&self, group: &str) -> Vec<Member> {
        let members = self.clients().group(group).into_iter().flat_map(|info| &info.members);
        let member = |(session, client): (&SessionId, &super::broker::Client)| Member {
            session: *session,
            client_id: client.id.clone(),
            version: client.version,
        };
        members.map(member).collect()
    }

    /// The client ids of a producer group.
    pub fn producers(&self, group: &str) -> Vec<ClientId> {
        let members = self.clients().producers(group).into_iter().flatten();
        members.map(|(_, client)| client.id.clone()).collect()
    }

    /// The topics and expressions that a group subscribes.
    pub fn subscriptions(&self, group: &str) -> BTreeMap<String, String> {
        let known = self.clients().group(group).into_iter().flat_map(|info| &info.subscriptions);
        known.map(|(topic, known)| (topic.clone(), known.sub_string.clone())).collect()
    }
}

impl Cluster {
    /// The messages of a topic on all brokers.
    pub fn stored(&self, topic: &str) -> impl Iterator<Item = StoredView> {
        let topic = topic.to_owned();
        self.masters().flat_map(move |broker| broker.stored(&topic).collect::<Vec<_>>())
    }

    /// The committed offsets of a group on all brokers: (topic, broker, queue) → offset.
    #[must_use]
    pub fn committed(&self, group: &str) -> BTreeMap<(String, String, i32), i64> {
        let rows = |broker: &Broker| {
            let name = broker.config().name.clone();
            let row = |(topic, queue, offset): (&str, i32, i64)| ((topic.to_owned(), name.clone(), queue), offset);
            broker.committed(group).map(row).collect::<Vec<_>>()
        };
        self.masters().flat_map(rows).collect()
    }
}
