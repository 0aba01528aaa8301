//! What administrators ask besides: 18, 21, 201, 225, 303, 305, 306, 308, 315 to 317, 321, 323, 328, 329, 345, 352, 353,
//! 907, 2001 to 2004, and 3001 to 3010.

use std::collections::{BTreeMap, BTreeSet};

use rocketmq_core::ids::{Group, Topic};
use rocketmq_core::wire::body::{
    ConsumeStats, ConsumeStatsList, CorrectionOffsets, DataVersion, GroupConfigList, GroupConfigs, GroupSubscription,
    HaStatus, Perm, ProducerInfo, ProducerTable, Progress, QueueEntries, QueueEntry, QueueTimeSpan, QueueTimeSpans,
    ReadPermission, TopicConfig, TopicConfigList, TopicConfigs, TopicList,
};
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::message::OffsetMsgId;
use rocketmq_core::wire::request::{Fields, GetCorrectionOffsets, GetQueueEntries};

use super::topics::{FORBIDDEN_TOPICS, OTHER_SYSTEM_TOPICS};
use super::transactions::HALF_TOPIC;
use super::{Answer, Broker, Call};
use crate::cluster::fields::flag;
use crate::cluster::message::Draft;
use crate::cluster::output::Reply;
use crate::cluster::store::{self, Queue};

impl Broker {
    /// What only administrators ask, if it is that.
    pub(super) fn manage(&mut self, call: &Call<'_>, body: &[u8]) -> Option<Answer> {
        let new = !self.cfg.is_v4();
        Some(match call.header.code {
            request::UPDATE_AND_CREATE_TOPIC_LIST if new => self.set_topics(body),
            request::GET_ALL_TOPIC_CONFIG => self.topic_configs(call),
            request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG => self.group_configs(call),
            request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST if new => self.set_groups(body),
            request::QUERY_CONSUME_TIME_SPAN => self.time_spans(call),
            request::GET_SYSTEM_TOPIC_LIST_FROM_BROKER => self.own_topics(),
            request::QUERY_CORRECTION_OFFSET => self.correction_offsets(call),
            request::VIEW_BROKER_STATS_DATA => figure(call),
            request::GET_BROKER_CONSUME_STATS => self.all_consume_stats(call),
            request::QUERY_CONSUME_QUEUE => self.queue_entries(call),
            request::RESUME_CHECK_HALF_MESSAGE => self.resume_half(call),
            request::GET_ALL_PRODUCER_INFO => self.all_producers(call),
            request::CLEAN_EXPIRED_CONSUMEQUEUE | request::CLEAN_UNUSED_TOPIC | request::DELETE_EXPIRED_COMMITLOG => {
                Ok(Some(Reply::ok()))
            }
            request::QUERY_SUBSCRIPTION_BY_CONSUMER if new => self.subscription(call),
            request::GET_SUBSCRIPTIONGROUP_CONFIG if new => self.group_config(call),
            request::UPDATE_AND_GET_GROUP_FORBIDDEN if new => self.may_read(call),
            request::GET_BROKER_HA_STATUS if new => {
                let master = !self.cfg.is_slave();
                let status = HaStatus { master, master_commit_log_max_offset: self.store.end(), ..HaStatus::default() };
                Ok(Some(Reply::ok().body(status.encode())))
            }
            request::UPDATE_COLD_DATA_FLOW_CTR_CONFIG if new => self.bound_cold_reads(body),
            request::REMOVE_COLD_DATA_FLOW_CTR_CONFIG if new => {
                self.cold_bounds.remove(&*String::from_utf8_lossy(body));
                Ok(Some(Reply::ok()))
            }
            request::GET_COLD_DATA_FLOW_CTR_INFO if new => self.cold_reads(),
            request::SET_COMMITLOG_READ_MODE if new => log_reads(call),
            request::AUTH_LIST_ACL if new => {
                Err("java.lang.IllegalStateException: The authorizationMetadataProvider is not configured.".into())
            }
            request::AUTH_CREATE_USER..=request::AUTH_GET_ACL if new => {
                // Without access control there is nobody to be kept.
                Ok(Some(Reply::error(response::SYSTEM_ERROR, "An system error occurred, please try again later.")))
            }
            _ => return None,
        })
    }

    fn set_topics(&mut self, body: &[u8]) -> Answer {
        let Ok(list) = TopicConfigList::decode(body) else { return Err("the topics cannot be parsed".into()) };
        for topic in &list.topic_config_list {
            let name = topic.topic_name.as_str();
            if let Some(error) = self.illegal_topic(name) {
                return Ok(Some(Reply::error(self.invalid_parameter(), error)));
            }
            if self.is_system_topic(name) {
                let error = format!("The topic[{name}] is conflict with system topic.");
                return Ok(Some(Reply::error(self.invalid_parameter(), error)));
            }
            // One that is as it should be ends it all.
            if self.store.topic(name) == Some(&stored(topic)) {
                return Ok(Some(Reply::ok().remark(NOT_SET)));
            }
        }
        for topic in &list.topic_config_list {
            self.store.put_topic(topic.topic_name.as_str(), stored(topic));
        }
        Ok(Some(Reply::ok().remark(NOT_SET)))
    }

    fn set_groups(&mut self, body: &[u8]) -> Answer {
        let Ok(list) = GroupConfigList::decode(body) else { return Err("the groups cannot be parsed".into()) };
        for group in list.group_config_list {
            self.groups.insert(group.group_name.as_str().to_owned(), group);
        }
        Ok(Some(Reply::ok()))
    }

    fn topic_configs(&self, call: &Call<'_>) -> Answer {
        let version = self.version();
        let all: Vec<_> = self.store.topics().collect();
        let total = all.len();
        let page = self.page(call, "topicSeq", "maxTopicNum", version, total)?;
        let rows = all.get(page).unwrap_or_default();
        let row = |(name, config): &(&str, &store::TopicConfig)| (Topic::from(*name), shown(name, config));
        let body = TopicConfigs { data_version: version, topic_config_table: rows.iter().map(row).collect() };
        let reply = Reply::ok().body(body.encode());
        Ok(Some(if self.cfg.is_v4() { reply } else { reply.field("totalTopicNum", total) }))
    }

    fn group_configs(&self, call: &Call<'_>) -> Answer {
        let version = self.version();
        let all: Vec<_> = self.groups.iter().collect();
        let total = all.len();
        let page = self.page(call, "groupSeq", "maxGroupNum", version, total)?;
        let rows = all.get(page).unwrap_or_default();
        let row = |(name, config): &(&String, &rocketmq_core::wire::body::GroupConfig)| {
            (Group::from(name.as_str()), (*config).clone())
        };
        let body = GroupConfigs { data_version: version, subscription_group_table: rows.iter().map(row).collect() };
        let reply = Reply::ok().body(body.encode());
        Ok(Some(if self.cfg.is_v4() { reply } else { reply.field("totalGroupNum", total) }))
    }

    /// Which rows of a table are asked for: all by those that know of no pages, the first of another version.
    fn page(
        &self,
        call: &Call<'_>,
        from: &'static str,
        most: &'static str,
        version: DataVersion,
        total: usize,
    ) -> Result<std::ops::Range<usize>, super::Failure> {
        let ext = &call.header.ext;
        if self.cfg.is_v4() || [from, most, "dataVersion"].iter().all(|key| ext.get(key).is_none()) {
            return Ok(0..total);
        }
        let known = String::from_utf8_lossy(&version.encode()).into_owned();
        let from = if ext.get("dataVersion") == Some(&known) { ext.field::<i32>(from).unwrap_or(0) } else { 0 };
        let from = usize::try_from(from).unwrap_or(0).min(total);
        let most = ext.get(most).and_then(|most| most.parse().ok()).unwrap_or(usize::MAX).min(self.cfg.page);
        Ok(from..from.saturating_add(most).min(total))
    }

    /// The version of its tables.
    fn version(&self) -> DataVersion {
        let counter = i64::try_from(self.store.revision()).unwrap_or(i64::MAX);
        DataVersion { counter, ..DataVersion::default() }
    }

    /// A group that nobody heard of is created.
    fn group_config(&mut self, call: &Call<'_>) -> Answer {
        let group: String = call.header.ext.field("group")?;
        self.find_group(&group);
        Ok(Some(match self.groups.get(&group) {
            Some(config) => Reply::ok().body(config.encode()),
            None => Reply::error(response::SUBSCRIPTION_GROUP_NOT_EXIST, "No group in this broker"),
        }))
    }

    fn may_read(&mut self, call: &Call<'_>) -> Answer {
        let ext = &call.header.ext;
        let (group, topic): (String, String) = (ext.field("group")?, ext.field("topic")?);
        let key = (group.clone(), topic.clone());
        match flag(ext, "readable") {
            Some(true) => drop(self.forbidden.remove(&key)),
            Some(false) => drop(self.forbidden.insert(key.clone())),
            None => {}
        }
        let readable = !self.forbidden.contains(&key);
        let body = ReadPermission { group: group.as_str().into(), topic: topic.as_str().into(), readable };
        Ok(Some(Reply::ok().body(body.encode())))
    }

    fn time_spans(&self, call: &Call<'_>) -> Answer {
        let (topic, group): (String, String) = (call.header.ext.field("topic")?, call.header.ext.field("group")?);
        let Some(config) = self.store.topic(&topic) else {
            return Ok(Some(Reply::error(response::TOPIC_NOT_EXIST, format!("topic[{topic}] not exist"))));
        };
        let span = |id: i32| {
            let queue = self.store.queue(&topic, id);
            let at = |offset: i64| {
                let entry = queue.filter(|queue| (queue.min_offset()..queue.max_offset()).contains(&offset));
                entry.and_then(|queue| queue.from(offset).first()).map_or(-1, |entry| entry.stored_ms)
            };
            let (min, max) = queue.map_or((0, 0), |queue| (queue.min_offset(), queue.max_offset()));
            let committed = self.offsets.committed(&group, &topic, id).unwrap_or(-1);
            let next = if committed < max { call.wall.0 - at(committed) } else { 0 };
            QueueTimeSpan {
                consume_time_stamp: if committed > 0 { at(committed - 1) } else { at(min) },
                delay_time: next,
                max_time_stamp: at(max - 1),
                message_queue: self.queue_named(&topic, id),
                min_time_stamp: at(min),
            }
        };
        let consume_time_span_set = (0..config.write_queues).map(span).collect();
        Ok(Some(Reply::ok().body(QueueTimeSpans { consume_time_span_set }.encode())))
    }

    fn own_topics(&self) -> Answer {
        let listed = FORBIDDEN_TOPICS.into_iter().chain(OTHER_SYSTEM_TOPICS).chain(UNUSED_TOPICS).map(str::to_owned);
        let (cluster, name) = (&self.cfg.cluster, &self.cfg.name);
        let named = [
            cluster.clone(),
            name.clone(),
            format!("{cluster}_REPLY_TOPIC"),
            format!("rmq_sys_REVIVE_LOG_{cluster}"),
            format!("rmq_sys_SYNC_BROKER_MEMBER_{name}"),
        ];
        let mut topics: BTreeSet<String> = listed.chain(named).collect();
        if self.cfg.is_v4() {
            topics.retain(|topic| !topic.starts_with("rmq_sys_") && !topic.contains("ROCKSDB"));
            topics.remove("CHECKPOINT_TOPIC");
        }
        let topic_list = topics.into_iter().map(Topic::from).collect();
        Ok(Some(Reply::ok().body(TopicList { topic_list, ..TopicList::default() }.encode())))
    }

    fn correction_offsets(&self, call: &Call<'_>) -> Answer {
        let asked = GetCorrectionOffsets::read(&call.header.ext)?;
        let without: Vec<_> = asked.without.iter().flat_map(|names| names.split(',')).collect();
        let topic = asked.topic.as_str();
        let mut least: BTreeMap<i32, i64> = BTreeMap::new();
        for group in self.offsets.groups().filter(|group| !without.contains(group)) {
            for (_, id, offset) in self.offsets.group(group).filter(|(of, _, _)| *of == topic) {
                let known = least.entry(id).or_insert(offset);
                *known = (*known).min(offset);
            }
        }
        let compared: Vec<_> =
            self.offsets.group(asked.compared_to.as_str()).filter(|(of, _, _)| *of == topic).collect();
        for (_, id, offset) in compared {
            let Some(known) = least.get_mut(&id) else { return Err("no offset to compare with".into()) };
            *known = if *known > offset { i64::MAX } else { *known };
        }
        Ok(Some(Reply::ok().body(CorrectionOffsets { correction_offsets: least }.encode())))
    }

    fn all_consume_stats(&self, call: &Call<'_>) -> Answer {
        let ordered_only = flag(&call.header.ext, "isOrder").ok_or("the parameter <isOrder> is null")?;
        let mut body =
            ConsumeStatsList { broker_addr: self.cfg.address.to_string().into(), ..ConsumeStatsList::default() };
        for group in self.groups.keys() {
            let topics: BTreeSet<&str> = self.offsets.group(group).map(|(topic, _, _)| topic).collect();
            let mut all = Vec::new();
            for topic in topics {
                let known = self.clients.group(group);
                let wanted = known.is_none_or(|known| known.subscriptions.contains_key(topic));
                let Some(config) = self.store.topic(topic).filter(|config| wanted && (config.order || !ordered_only))
                else {
                    continue;
                };
                let mut stats = ConsumeStats::default();
                for id in 0..config.write_queues {
                    let row = Progress {
                        broker_offset: self.store.queue(topic, id).map_or(0, Queue::max_offset),
                        consumer_offset: self.offsets.committed(group, topic, id).unwrap_or(0).max(0),
                        ..Progress::default()
                    };
                    body.total_diff += row.backlog();
                    stats.offset_table.0.insert(self.queue_named(topic, id), row);
                }
                all.push(stats);
            }
            body.consume_stats_list.push([(Group::from(group.as_str()), all)].into());
        }
        Ok(Some(Reply::ok().body(body.encode())))
    }

    fn queue_entries(&self, call: &Call<'_>) -> Answer {
        let asked = GetQueueEntries::read(&call.header.ext)?;
        let (topic, id) = (asked.topic.as_str(), asked.queue_id);
        let Some(queue) = self.store.queue(topic, id) else {
            return Ok(Some(Reply::error(response::SYSTEM_ERROR, format!("{id}@{topic} is not exist!"))));
        };
        if !(queue.min_offset()..queue.max_offset()).contains(&asked.from) {
            let remark = format!("Index {} of {id}@{topic} is not exist!", asked.from);
            return Ok(Some(Reply::ok().remark(remark)));
        }
        let entry = |entry: &store::Entry| QueueEntry {
            physic_offset: self.store.physical(entry),
            physic_size: i32::try_from(self.store.record(entry).len()).unwrap_or(i32::MAX),
            tags_code: i64::from(entry.tags_code),
            ..QueueEntry::default()
        };
        let most = usize::try_from(asked.count).unwrap_or(0);
        let mut body = QueueEntries {
            max_queue_index: queue.max_offset(),
            min_queue_index: queue.min_offset(),
            queue_data: queue.from(asked.from).iter().take(most).map(entry).collect(),
            ..QueueEntries::default()
        };
        if let Some(group) = &asked.group {
            let known = self.clients.group(group.as_str());
            body.subscription_data = known.and_then(|known| known.subscriptions.get(topic)).cloned();
            body.filter_data = Some(match body.subscription_data {
                Some(_) => "null".to_owned(),
                None => format!("{group}@{topic} is not online!"),
            });
        }
        Ok(Some(Reply::ok().remark(NOT_SET).body(body.encode())))
    }

    fn bound_cold_reads(&mut self, body: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(body);
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let bounds = lines.filter_map(|(group, bytes)| Some((group.to_owned(), bytes.parse().ok()?)));
        self.cold_bounds.extend(bounds);
        Ok(Some(Reply::ok()))
    }

    /// Code 2003. A model has no old messages.
    fn cold_reads(&self) -> Answer {
        let body = serde_json::json!({ "runtimeTable": {}, "configTable": self.cold_bounds, "globalAcc": 0,
            "cgColdReadThreshold": COLD_READS, "globalColdReadThreshold": ALL_COLD_READS });
        Ok(Some(Reply::ok().body(body.to_string().into_bytes())))
    }

    fn resume_half(&mut self, call: &Call<'_>) -> Answer {
        let id: String = call.header.ext.field("msgId")?;
        let found = id.parse::<OffsetMsgId>().ok().and_then(|id| self.store.record_at(id.physical_offset));
        let Some((mut draft, _)) = found.and_then(Draft::read) else {
            let error = "Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC.";
            return Ok(Some(Reply::error(response::SYSTEM_ERROR, error)));
        };
        draft.properties.set("TRANSACTION_CHECK_TIMES", "0");
        HALF_TOPIC.clone_into(&mut draft.topic);
        draft.queue_id = 0;
        match self.append(call.now, call.wall, &draft) {
            Ok(_) => Ok(Some(Reply::ok())),
            Err(_) => Err("the message is illegal".into()),
        }
    }

    fn all_producers(&self, call: &Call<'_>) -> Answer {
        let info = |(session, client): (&crate::cluster::SessionId, &super::Client)| ProducerInfo {
            client_id: client.id.clone(),
            language: client.language.name().to_owned(),
            last_update_timestamp: call.wall.0,
            remote_ip: self.sessions.get(session).map(ToString::to_string).unwrap_or_default(),
            version: client.version,
        };
        let groups = self.clients.producer_groups();
        let data = groups.map(|(group, known)| (Group::from(group), known.iter().map(info).collect())).collect();
        Ok(Some(Reply::ok().body(ProducerTable { data }.encode())))
    }

    fn subscription(&self, call: &Call<'_>) -> Answer {
        let (group, topic): (String, String) = (call.header.ext.field("group")?, call.header.ext.field("topic")?);
        let known = self.clients.group(&group).and_then(|known| known.subscriptions.get(&topic)).cloned();
        let body =
            GroupSubscription { group: group.as_str().into(), topic: topic.as_str().into(), subscription_data: known };
        Ok(Some(Reply::ok().body(body.encode())))
    }
}

/// The remark of an answer whose handler sets none.
const NOT_SET: &str = "not set any response code";
/// Bytes of old messages that each group may read, and all together. Source: Java `BrokerConfig`.
const COLD_READS: i64 = 3 << 20;
const ALL_COLD_READS: i64 = 100 << 20;
/// Topics that brokers with another store use.
const UNUSED_TOPICS: [&str; 2] = ["RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC", "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC"];

/// Code 315. A model keeps no figures.
fn figure(call: &Call<'_>) -> Answer {
    let (name, key): (String, String) = (call.header.ext.field("statsName")?, call.header.ext.field("statsKey")?);
    Ok(Some(Reply::error(response::SYSTEM_ERROR, format!("The stats <{name}> <{key}> not exist"))))
}

/// Code 2004. A model has no files.
fn log_reads(call: &Call<'_>) -> Answer {
    let mode: i32 = call.header.ext.field("READ_AHEAD_MODE")?;
    Ok(Some(match mode {
        0 | 1 => Reply::ok().remark(format!("set commitlog readahead mode success, mode: {mode}")),
        _ => Reply::error(response::INVALID_PARAMETER, "set commitlog readahead mode param value error"),
    }))
}

fn stored(topic: &TopicConfig) -> store::TopicConfig {
    store::TopicConfig {
        read_queues: topic.read_queue_nums,
        write_queues: topic.write_queue_nums,
        perm: topic.perm.0,
        sys_flag: topic.topic_sys_flag,
        order: topic.order,
    }
}

pub(super) fn shown(name: &str, config: &store::TopicConfig) -> TopicConfig {
    TopicConfig {
        order: config.order,
        perm: Perm(config.perm),
        read_queue_nums: config.read_queues,
        write_queue_nums: config.write_queues,
        topic_sys_flag: config.sys_flag,
        topic_name: name.into(),
        ..TopicConfig::default()
    }
}
