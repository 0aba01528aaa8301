//! What is asked about topics, groups, clients and messages: 12, 200 to 204, 207, 208, 215, 300, 314, 343, 351.

use std::collections::BTreeSet;

use rocketmq_core::ids::{Group, MessageQueue};
use rocketmq_core::wire::body::{
    Connection, ConsumeStats, ConsumeType, ConsumerConnection, GroupConfig, GroupList, ProducerConnection, Progress,
    QueueStats, TopicList, TopicStats,
};
use rocketmq_core::wire::codes::response;
use rocketmq_core::wire::message::SysFlags;

use super::clients::Client;
use super::manage::shown;
use super::{Answer, Broker, Call};
use crate::cluster::fields::flag;
use crate::cluster::message::Draft;
use crate::cluster::output::{Reply, SessionId};
use crate::cluster::store::Queue;

impl Broker {
    /// Code 202.
    pub(super) fn topic_stats(&mut self, call: &Call<'_>) -> Answer {
        let topic: String = call.header.ext.field("topic")?;
        let Some(config) = self.store.topic(&topic) else {
            return Ok(Some(Reply::error(response::TOPIC_NOT_EXIST, format!("topic[{topic}] not exist"))));
        };
        let mut stats = TopicStats::default();
        let read = if self.cfg.is_v4() { 0 } else { config.read_queues };
        for id in 0..config.write_queues.max(read) {
            let queue = self.store.queue(&topic, id);
            let row = QueueStats {
                last_update_timestamp: queue.and_then(|queue| queue.entries.last()).map_or(0, |last| last.stored_ms),
                max_offset: queue.map_or(0, Queue::max_offset),
                min_offset: queue.map_or(0, Queue::min_offset),
            };
            stats.offset_table.0.insert(self.queue_named(&topic, id), row);
        }
        Ok(Some(Reply::ok().body(stats.encode())))
    }

    /// Code 208.
    pub(super) fn consume_stats(&mut self, call: &Call<'_>) -> Answer {
        let group: String = call.header.ext.field("consumerGroup")?;
        let topics: BTreeSet<String> = match call.header.ext.get("topic").filter(|topic| !topic.is_empty()) {
            Some(topic) => BTreeSet::from([topic.to_owned()]),
            None => self.offsets.group(&group).map(|(topic, _, _)| topic.to_owned()).collect(),
        };
        let mut stats = ConsumeStats::default();
        for topic in topics {
            let Some(config) = self.store.topic(&topic) else { continue };
            let known = self.clients.group(&group);
            if known.is_some_and(|known| !known.subscriptions.is_empty() && !known.subscriptions.contains_key(&topic)) {
                continue;
            }
            for id in 0..config.read_queues {
                let queue = self.store.queue(&topic, id);
                let consumer_offset = self.offsets.committed(&group, &topic, id).unwrap_or(0).max(0);
                let last = queue.filter(|_| consumer_offset > 0).map(|queue| queue.from(consumer_offset - 1));
                let row = Progress {
                    broker_offset: queue.map_or(0, Queue::max_offset),
                    consumer_offset,
                    last_timestamp: last.and_then(|entries| entries.first()).map_or(0, |entry| entry.stored_ms),
                    pull_offset: self.offsets.pulled(&group, &topic, id).unwrap_or(0).max(consumer_offset),
                };
                stats.offset_table.0.insert(self.queue_named(&topic, id), row);
            }
        }
        let body = stats.encode();
        let body = if self.cfg.is_v4() { without_pulls(&body) } else { body };
        Ok(Some(Reply::ok().body(body)))
    }

    /// Code 203.
    pub(super) fn consumer_connections(&mut self, call: &Call<'_>) -> Answer {
        let group: String = call.header.ext.field("consumerGroup")?;
        let Some(known) = self.clients.group(&group) else {
            let error = format!("the consumer group[{group}] not online");
            return Ok(Some(Reply::error(response::CONSUMER_NOT_ONLINE, error)));
        };
        let rows = known.subscriptions.values().map(|data| (data.topic.clone(), data.clone()));
        let body = ConsumerConnection {
            connection_set: known.members.iter().map(|member| self.connection(member)).collect(),
            consume_from_where: known.from,
            consume_type: ConsumeType::Passively,
            message_model: known.model,
            subscription_table: rows.collect(),
        };
        Ok(Some(Reply::ok().body(body.encode())))
    }

    /// Code 204.
    pub(super) fn producer_connections(&mut self, call: &Call<'_>) -> Answer {
        let group: String = call.header.ext.field("producerGroup")?;
        let Some(known) = self.clients.producers(&group) else {
            let error = format!("the producer group[{group}] not exist");
            return Ok(Some(Reply::error(response::SYSTEM_ERROR, error)));
        };
        let connection_set = known.iter().map(|member| self.connection(member)).collect();
        Ok(Some(Reply::ok().body(ProducerConnection { connection_set }.encode())))
    }

    /// Code 300.
    pub(super) fn groups_of_topic(&mut self, call: &Call<'_>) -> Answer {
        let topic: String = call.header.ext.field("topic")?;
        let mut groups: BTreeSet<&str> = self.clients.groups_of(&topic).collect();
        for group in self.offsets.groups() {
            if self.offsets.group(group).any(|(of, _, _)| of == topic) {
                groups.insert(group);
            }
        }
        let group_list = groups.into_iter().map(Group::from).collect();
        Ok(Some(Reply::ok().body(GroupList { group_list }.encode())))
    }

    /// Code 343.
    pub(super) fn topics_of_group(&mut self, call: &Call<'_>) -> Answer {
        let group: String = call.header.ext.field("group")?;
        let topics: BTreeSet<&str> = self.offsets.group(&group).map(|(topic, _, _)| topic).collect();
        let topic_list = topics.into_iter().map(Into::into).collect();
        let broker_addr = Some(self.cfg.address.to_string().into());
        Ok(Some(Reply::ok().body(TopicList { broker_addr, topic_list }.encode())))
    }

    /// Code 200.
    pub(super) fn set_group(&mut self, body: &[u8]) -> Answer {
        let Ok(config) = GroupConfig::decode(body) else {
            return Err("the group cannot be parsed".into());
        };
        self.groups.insert(config.group_name.as_str().to_owned(), config);
        Ok(Some(Reply::ok()))
    }

    /// Code 207.
    pub(super) fn delete_group(&mut self, call: &Call<'_>) -> Answer {
        let group: String = call.header.ext.field("groupName")?;
        self.groups.remove(&group);
        let clean = if self.cfg.is_v4() { "removeOffset" } else { "cleanOffset" };
        if flag(&call.header.ext, clean).unwrap_or(false) {
            self.offsets.remove_group(&group);
        }
        Ok(Some(Reply::ok()))
    }

    /// Code 215.
    pub(super) fn delete_topic(&mut self, call: &Call<'_>) -> Answer {
        let topic: String = call.header.ext.field("topic")?;
        if topic.trim().is_empty() {
            return Ok(Some(Reply::error(self.invalid_parameter(), "The specified topic is blank.")));
        }
        if self.is_system_topic(&topic) {
            let error = format!("The topic[{topic}] is conflict with system topic.");
            return Ok(Some(Reply::error(self.invalid_parameter(), error)));
        }
        self.store.remove_topic(&topic);
        self.offsets.remove_topic(&topic);
        Ok(Some(Reply::ok()))
    }

    /// Code 314.
    pub(super) fn clone_offsets(&mut self, call: &Call<'_>) -> Answer {
        let ext = &call.header.ext;
        let (from, to): (String, String) = (ext.field("srcGroup")?, ext.field("destGroup")?);
        // Without a topic it means all, and then clones those of the topic without a name.
        let only = ext.get("topic").unwrap_or_default();
        let rows: Vec<_> = self.offsets.group(&from).map(|(topic, id, at)| (topic.to_owned(), id, at)).collect();
        for (topic, id, offset) in rows {
            if only == topic && self.store.topic(&topic).is_some() {
                self.set_committed(&to, &topic, id, offset);
            }
        }
        Ok(Some(Reply::ok()))
    }

    /// Code 351.
    pub(super) fn topic_config(&mut self, call: &Call<'_>) -> Answer {
        let topic: String = call.header.ext.field("topic")?;
        let Some(config) = self.store.topic(&topic) else {
            let error = format!("No topic in this broker. topic: {topic}");
            return Ok(Some(Reply::error(response::TOPIC_NOT_EXIST, error)));
        };
        Ok(Some(Reply::ok().body(shown(&topic, config).encode())))
    }

    /// Code 12: the newest messages by key or unique key, in the order of the log.
    pub(super) fn query_message(&mut self, call: &Call<'_>) -> Answer {
        let ext = &call.header.ext;
        let (topic, key): (String, String) = (ext.field("topic")?, ext.field("key")?);
        let (begin, end): (i64, i64) = (ext.field("beginTimestamp")?, ext.field("endTimestamp")?);
        let most: i32 = ext.field("maxNum")?;
        let unique = ext.get("_UNIQUE_KEY_QUERY") == Some("true");
        let most = if unique { MOST_UNIQUE } else { usize::try_from(most).unwrap_or(0) };
        let mut found = Vec::new();
        for record in self.store.since(0) {
            let Some((draft, place)) = Draft::read(record) else { continue };
            let in_time = (begin..=end).contains(&place.stored_ms);
            if !in_time || draft.topic != topic || !is_indexed(&draft) {
                continue;
            }
            let has = |name: &str| draft.properties.get(name).unwrap_or_default();
            if has("UNIQ_KEY") == key || has("KEYS").split(' ').any(|own| own == key) {
                found.push(record.clone());
            }
        }
        let newest = found.get(found.len().saturating_sub(most)..).unwrap_or_default();
        if newest.is_empty() {
            let error = "can not find message, maybe time range not correct";
            let reply = Reply::error(response::QUERY_NOT_FOUND, error).field("indexLastUpdateTimestamp", 0);
            return Ok(Some(reply.field("indexLastUpdatePhyoffset", 0)));
        }
        let reply = Reply::ok().field("indexLastUpdateTimestamp", call.wall.0);
        Ok(Some(reply.field("indexLastUpdatePhyoffset", self.store.end()).body(newest.concat())))
    }

    pub(super) fn queue_named(&self, topic: &str, id: i32) -> MessageQueue {
        MessageQueue { topic: topic.into(), broker: self.cfg.name.as_str().into(), id }
    }

    fn connection(&self, (session, client): (&SessionId, &Client)) -> Connection {
        Connection {
            client_addr: self.sessions.get(session).map(ToString::to_string).unwrap_or_default().into(),
            client_id: client.id.clone(),
            language: client.language.name().to_owned(),
            version: client.version,
        }
    }
}

/// As brokers tell it that do not know where groups pull.
fn without_pulls(body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(body).into_owned();
    let mut parts = text.split(",\"pullOffset\":");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.trim_start_matches(|unit: char| unit.is_ascii_digit() || unit == '-'));
    rest.fold(first, |text, part| text + part).into_bytes()
}

/// What is rolled back is not looked for.
fn is_indexed(draft: &Draft) -> bool {
    SysFlags(draft.sys_flag).transaction() != rocketmq_core::wire::message::TransactionKind::Rollback
}

/// By unique key a broker gives so many, whatever is asked for.
const MOST_UNIQUE: usize = 32;
