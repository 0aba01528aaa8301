//! Routes of topics, and the brokers of a cluster.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::names::check_broker_name;
use super::{BodyError, at_most, lenient, list, read, write};
use crate::ids::{BrokerName, Endpoint, MessageQueue, Topic};
use crate::wire::dialect;

/// The brokers and queues of a topic (reply 105).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicRoute {
    /// The brokers.
    #[serde(deserialize_with = "list::<MAX_BROKERS, _, _>")]
    pub broker_datas: Vec<BrokerData>,
    /// The queues of an ordered topic, as `brokerA:4;brokerB:2`.
    pub order_topic_conf: Option<String>,
    /// The queues.
    #[serde(deserialize_with = "list::<MAX_BROKERS, _, _>")]
    pub queue_datas: Vec<QueueData>,
}

impl TopicRoute {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, names a broker as none is called, or has more than 1,024 brokers, 64 addresses of one, 4,096
    /// queues on one or 65,536 in all.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let route: Self = read(body)?;
        at_most("brokers", route.broker_datas.len(), MAX_BROKERS)?;
        at_most("brokers with queues", route.queue_datas.len(), MAX_BROKERS)?;
        route.broker_datas.iter().try_for_each(BrokerData::check)?;
        let mut total = 0_usize;
        for data in &route.queue_datas {
            check_broker_name(&data.broker_name)?;
            let queues = data.checked_queues()?;
            total = total.saturating_add(queues);
        }
        at_most("queues", total, MAX_QUEUES)?;
        Ok(route)
    }

    /// The queues that can be read, broker by broker.
    pub fn readable_queues(&self, topic: &Topic) -> impl Iterator<Item = MessageQueue> {
        self.queues(topic, |data| if data.perm.is_readable() { data.read_queue_nums } else { 0 })
    }

    /// The queues that take messages, broker by broker.
    pub fn writable_queues(&self, topic: &Topic) -> impl Iterator<Item = MessageQueue> {
        self.queues(topic, |data| if data.perm.is_writable() { data.write_queue_nums } else { 0 })
    }

    fn queues(&self, topic: &Topic, count: fn(&QueueData) -> i32) -> impl Iterator<Item = MessageQueue> {
        let mut rows: Vec<_> = self.queue_datas.iter().collect();
        rows.sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
        rows.into_iter().flat_map(move |data| {
            (0..count(data)).map(|id| MessageQueue { topic: topic.clone(), broker: data.broker_name.clone(), id })
        })
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self, form: JsonForm) -> Vec<u8> {
        form.apply(write(&Written {
            broker_datas: &self.broker_datas,
            filter_server_table: Empty {},
            order_topic_conf: self.order_topic_conf.as_deref(),
            queue_datas: &self.queue_datas,
        }))
    }
}

/// A route as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    broker_datas: &'a [BrokerData],
    /// Filter servers are long gone, their table is still written.
    filter_server_table: Empty,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_topic_conf: Option<&'a str>,
    queue_datas: &'a [QueueData],
}

/// An object without keys.
#[derive(Serialize)]
struct Empty {}

/// A broker: one master and its slaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerData {
    /// The addresses by broker id; 0 is the master.
    #[serde(deserialize_with = "lenient")]
    pub broker_addrs: BTreeMap<i64, Endpoint>,
    /// Its name.
    #[serde(deserialize_with = "lenient")]
    pub broker_name: BrokerName,
    /// Its cluster.
    #[serde(deserialize_with = "lenient")]
    pub cluster: String,
    /// Whether a slave may act for a master that is gone.
    #[serde(deserialize_with = "lenient")]
    pub enable_acting_master: bool,
    /// Its zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_name: Option<String>,
}

impl BrokerData {
    fn check(&self) -> Result<(), BodyError> {
        check_broker_name(&self.broker_name)?;
        at_most("addresses of a broker", self.broker_addrs.len(), MAX_ADDRESSES)
    }
}

/// The queues of a topic on one broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueData {
    /// The broker.
    #[serde(deserialize_with = "lenient")]
    pub broker_name: BrokerName,
    /// What may be done.
    #[serde(deserialize_with = "lenient")]
    pub perm: Perm,
    /// Queues to read, 0 to 4,096.
    #[serde(deserialize_with = "lenient")]
    pub read_queue_nums: i32,
    /// System flags of the topic.
    #[serde(deserialize_with = "lenient")]
    pub topic_sys_flag: i32,
    /// Queues to write, 0 to 4,096.
    #[serde(deserialize_with = "lenient")]
    pub write_queue_nums: i32,
}

impl QueueData {
    /// The larger of both numbers of queues, once both are within bounds.
    fn checked_queues(&self) -> Result<usize, BodyError> {
        let [read, write] = [self.read_queue_nums, self.write_queue_nums].map(|count| {
            let queues = usize::try_from(count).ok().filter(|queues| *queues <= MAX_QUEUES_PER_BROKER);
            queues.ok_or_else(|| BodyError::QueueCount { broker: self.broker_name.clone(), count })
        });
        Ok(read?.max(write?))
    }
}

/// What may be done with a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Perm(pub i32);

impl Perm {
    /// Read and write.
    pub const READ_WRITE: Self = Self(6);

    /// Whether its messages may be read.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        self.0 & 4 != 0
    }

    /// Whether messages may be sent.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.0 & 2 != 0
    }
}

/// The brokers of all clusters (reply 106).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterInfo {
    /// The brokers by name.
    #[serde(deserialize_with = "lenient")]
    pub broker_addr_table: BTreeMap<BrokerName, BrokerData>,
    /// The broker names by cluster.
    #[serde(deserialize_with = "lenient")]
    pub cluster_addr_table: BTreeMap<String, Vec<BrokerName>>,
}

impl ClusterInfo {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, names a broker as none is called, or has more than 1,024 brokers or 64 addresses of one.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let info: Self = read(body)?;
        at_most("brokers", info.broker_addr_table.len(), MAX_BROKERS)?;
        info.broker_addr_table.values().try_for_each(BrokerData::check)?;
        let mut names = info.cluster_addr_table.values().flatten().chain(info.broker_addr_table.keys());
        names.try_for_each(check_broker_name)?;
        Ok(info)
    }

    /// Writes the body; name servers always use [`JsonForm::Fastjson`].
    #[must_use]
    pub fn encode(&self, form: JsonForm) -> Vec<u8> {
        form.apply(write(self))
    }
}

/// How integer keys are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JsonForm {
    /// In quotes, as `acceptStandardJsonOnly` asks for.
    #[default]
    Standard,
    /// Without, as fastjson writes them.
    Fastjson,
}

impl JsonForm {
    fn apply(self, json: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Standard => json,
            Self::Fastjson => dialect::bare_integer_keys(&json),
        }
    }
}

/// Brokers of a topic or cluster at most.
const MAX_BROKERS: usize = 1_024;
/// Addresses of one broker at most: a master and its slaves, each of which reads the whole log. Real ones have a handful.
const MAX_ADDRESSES: usize = 64;
/// Queues of a topic on one broker at most: the number comes from a few bytes and is looped over.
const MAX_QUEUES_PER_BROKER: usize = 4_096;
/// Queues of a topic at most.
const MAX_QUEUES: usize = 65_536;
