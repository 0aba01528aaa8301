//! What brokers show of clients, queues and themselves.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{BodyError, ConsumeStats, SubscriptionData, at_most, lenient, list, read, write};
use crate::ids::{ClientId, Endpoint, Group, MessageQueue, Topic};

macro_rules! body {
    ($($name:ident),*) => {$(
        impl $name {
            /// Reads the body.
            ///
            /// # Errors
            /// It is no such body.
            pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
                read(body)
            }
        }
    )*};
}
body!(ProducerTable, GroupSubscription, QueueTimeSpans, ConsumeStatsList, BrokerFigure, CorrectionOffsets, HaStatus);

macro_rules! written {
    ($($name:ident),*) => {$(
        impl $name {
            /// Writes the body.
            #[must_use]
            pub fn encode(&self) -> Vec<u8> {
                write(self)
            }
        }
    )*};
}
written!(ProducerTable, GroupSubscription, QueueTimeSpans, BrokerFigure, QueueEntries, HaStatus);

/// The producers that a broker knows (reply 328).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProducerTable {
    /// By group.
    #[serde(deserialize_with = "lenient")]
    pub data: BTreeMap<Group, Vec<ProducerInfo>>,
}

/// A producer as a broker sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerInfo {
    /// Its id.
    #[serde(deserialize_with = "lenient")]
    pub client_id: ClientId,
    /// The language it says it is written in.
    #[serde(deserialize_with = "lenient")]
    pub language: String,
    /// When it last sent a heartbeat, Unix milliseconds.
    #[serde(deserialize_with = "lenient")]
    pub last_update_timestamp: i64,
    /// Its address.
    #[serde(rename = "remoteIP", deserialize_with = "lenient")]
    pub remote_ip: String,
    /// Its wire version.
    #[serde(deserialize_with = "lenient")]
    pub version: i32,
}

/// What a group wants of a topic (reply 345).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupSubscription {
    /// The group.
    #[serde(deserialize_with = "lenient")]
    pub group: Group,
    /// What it wants; nothing when it has no members, or they do not subscribe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
    /// The topic.
    #[serde(deserialize_with = "lenient")]
    pub topic: Topic,
}

/// The times of the queues of a topic (reply 303).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueTimeSpans {
    /// Queue by queue.
    #[serde(deserialize_with = "list::<MOST_QUEUES, _, _>")]
    pub consume_time_span_set: Vec<QueueTimeSpan>,
}

/// The times of a queue, Unix milliseconds; −1 where there is no message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueTimeSpan {
    /// When the last message was stored that the group has consumed.
    #[serde(deserialize_with = "lenient")]
    pub consume_time_stamp: i64,
    /// How long ago the next one was stored, in milliseconds.
    #[serde(deserialize_with = "lenient")]
    pub delay_time: i64,
    /// When the last message was stored.
    #[serde(deserialize_with = "lenient")]
    pub max_time_stamp: i64,
    /// The queue.
    pub message_queue: MessageQueue,
    /// When the first message was stored.
    #[serde(deserialize_with = "lenient")]
    pub min_time_stamp: i64,
}

impl QueueTimeSpan {
    /// How long the next message waits for the group, in milliseconds; `None` when the group has no offset in this queue:
    /// brokers tell how long ago 1970 was then, and the first message for the last one consumed.
    #[must_use]
    pub fn delay(&self) -> Option<i64> {
        (self.delay_time < self.min_time_stamp.max(1)).then_some(self.delay_time)
    }
}

/// How far the groups of a broker are (reply 317).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStatsList {
    /// The broker.
    #[serde(deserialize_with = "lenient")]
    pub broker_addr: Endpoint,
    /// Of each group, topic by topic.
    #[serde(deserialize_with = "list::<MOST_GROUPS, _, _>")]
    pub consume_stats_list: Vec<BTreeMap<Group, Vec<ConsumeStats>>>,
    /// Messages that are still to be consumed.
    #[serde(deserialize_with = "lenient")]
    pub total_diff: i64,
    /// Messages that are pulled and not consumed.
    #[serde(deserialize_with = "lenient")]
    pub total_inflight_diff: i64,
}

impl ConsumeStatsList {
    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = br#"{"brokerAddr":"#.to_vec();
        out.extend(write(&self.broker_addr));
        out.extend_from_slice(br#","consumeStatsList":["#);
        for (at, groups) in self.consume_stats_list.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b"{" } else { b",{" });
            for (at, (group, topics)) in groups.iter().enumerate() {
                out.extend_from_slice(if at == 0 { b"" } else { b"," });
                out.extend(write(group));
                out.extend_from_slice(b":[");
                let topics: Vec<_> = topics.iter().map(ConsumeStats::encode).collect();
                out.extend(topics.join(&b','));
                out.push(b']');
            }
            out.push(b'}');
        }
        out.extend_from_slice(br#"],"totalDiff":"#);
        out.extend(write(&self.total_diff));
        out.extend_from_slice(br#","totalInflightDiff":"#);
        out.extend(write(&self.total_inflight_diff));
        out.push(b'}');
        out
    }
}

/// A figure that a broker keeps, over time (reply 315).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerFigure {
    /// Of the last day.
    #[serde(deserialize_with = "lenient")]
    pub stats_day: Figure,
    /// Of the last hour.
    #[serde(deserialize_with = "lenient")]
    pub stats_hour: Figure,
    /// Of the last minute.
    #[serde(deserialize_with = "lenient")]
    pub stats_minute: Figure,
}

/// A figure of some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figure {
    /// The mean of an event.
    #[serde(deserialize_with = "lenient")]
    pub avgpt: f64,
    /// The sum.
    #[serde(deserialize_with = "lenient")]
    pub sum: i64,
    /// Of each second.
    #[serde(deserialize_with = "lenient")]
    pub tps: f64,
}

/// Entries of a queue (reply 321).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueEntries {
    /// How the broker filters by SQL for the group that was named, or why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_data: Option<String>,
    /// The end of the queue.
    #[serde(deserialize_with = "lenient")]
    pub max_queue_index: i64,
    /// Its start.
    #[serde(deserialize_with = "lenient")]
    pub min_queue_index: i64,
    /// The entries.
    #[serde(deserialize_with = "list::<MOST_ENTRIES, _, _>")]
    pub queue_data: Vec<QueueEntry>,
    /// What the group wants that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
}

impl QueueEntries {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, or has more than 65,536 entries.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let entries: Self = read(body)?;
        at_most("entries", entries.queue_data.len(), MOST_ENTRIES)?;
        Ok(entries)
    }
}

/// An entry of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueEntry {
    /// The bits of the filters by SQL, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bit_map: Option<String>,
    /// Whether the group that was named wants it, by those bits.
    #[serde(deserialize_with = "lenient")]
    pub eval: bool,
    /// What else is kept of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extend_data_json: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msg: Option<String>,
    /// Where in the log the message is.
    #[serde(deserialize_with = "lenient")]
    pub physic_offset: i64,
    /// Its bytes.
    #[serde(deserialize_with = "lenient")]
    pub physic_size: i32,
    /// The hash of its tag, or when a delayed one is due.
    #[serde(deserialize_with = "lenient")]
    pub tags_code: i64,
}

/// The least offsets that groups have committed in the queues of a topic (reply 308).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorrectionOffsets {
    /// By queue.
    #[serde(deserialize_with = "lenient")]
    pub correction_offsets: BTreeMap<i32, i64>,
}

impl CorrectionOffsets {
    /// Writes the body, with keys as Java has them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let rows: Vec<_> =
            self.correction_offsets.iter().map(|(queue, offset)| alloc::format!("{queue}:{offset}")).collect();
        alloc::format!("{{\"correctionOffsets\":{{{}}}}}", rows.join(",")).into_bytes()
    }
}

/// How far the slaves of a broker are (reply 907).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaStatus {
    /// Of a slave: its link to the master.
    #[serde(deserialize_with = "lenient")]
    pub ha_client_runtime_info: HaClient,
    /// Of a master: its slaves.
    #[serde(deserialize_with = "list::<MOST_SLAVES, _, _>")]
    pub ha_connection_info: Vec<HaConnection>,
    /// Slaves that are not behind.
    #[serde(deserialize_with = "lenient")]
    pub in_sync_slave_nums: i32,
    /// Whether it is a master.
    #[serde(deserialize_with = "lenient")]
    pub master: bool,
    /// The end of the log of the master.
    #[serde(deserialize_with = "lenient")]
    pub master_commit_log_max_offset: i64,
}

/// The link of a slave to its master.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaClient {
    /// Whether it works; brokers do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activated: Option<bool>,
    /// When it last read, Unix milliseconds.
    #[serde(deserialize_with = "lenient")]
    pub last_read_timestamp: i64,
    /// When it last wrote, Unix milliseconds.
    #[serde(deserialize_with = "lenient")]
    pub last_write_timestamp: i64,
    /// The master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_addr: Option<Endpoint>,
    /// How much of its log the master has on its disk.
    #[serde(deserialize_with = "lenient")]
    pub master_flush_offset: i64,
    /// The end of its own log.
    #[serde(deserialize_with = "lenient")]
    pub max_offset: i64,
    /// Bytes that come in a second.
    #[serde(deserialize_with = "lenient")]
    pub transferred_byte_in_second: i64,
}

/// A slave as its master sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaConnection {
    /// Its address.
    #[serde(deserialize_with = "lenient")]
    pub addr: Endpoint,
    /// Bytes that it is behind.
    #[serde(deserialize_with = "lenient")]
    pub diff: i64,
    /// Whether that is little.
    #[serde(deserialize_with = "lenient")]
    pub in_sync: bool,
    /// How far it says that it is.
    #[serde(deserialize_with = "lenient")]
    pub slave_ack_offset: i64,
    /// From where on it is sent the log.
    #[serde(deserialize_with = "lenient")]
    pub transfer_from_where: i64,
    /// Bytes that go there in a second.
    #[serde(deserialize_with = "lenient")]
    pub transferred_byte_in_second: i64,
}

/// Queues of one answer at most.
const MOST_QUEUES: usize = 65_536;
/// Groups of one answer at most.
const MOST_GROUPS: usize = 100_000;
/// Entries of one answer at most.
const MOST_ENTRIES: usize = 65_536;
/// Slaves of one broker at most.
const MOST_SLAVES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_an_offset_waits_for_nothing() {
        const STORED: i64 = 1_700_000_000_000;
        let of = |min_time_stamp, delay_time| QueueTimeSpan { min_time_stamp, delay_time, ..QueueTimeSpan::default() };
        assert_eq!(of(STORED, 0).delay(), Some(0));
        assert_eq!(of(STORED, 86_400_000).delay(), Some(86_400_000));
        assert_eq!(of(STORED, STORED + 5_001).delay(), None);
        assert_eq!(of(-1, 0).delay(), Some(0), "an empty queue");
        assert_eq!(of(-1, STORED).delay(), None, "an empty queue");
    }
}
