//! Consumer groups: their names, their configuration, and who is connected.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{
    BodyError, ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData, at_most, lenient, list, read, write,
};
use crate::ids::{ClientId, Endpoint, Group, Topic};

/// Names of groups (reply 300).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupList {
    /// The names.
    #[serde(deserialize_with = "list::<MAX_GROUPS, _, _>")]
    pub group_list: Vec<Group>,
}

impl GroupList {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, or has more than 100,000 groups.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let groups: Self = read(body)?;
        at_most("groups", groups.group_list.len(), MAX_GROUPS)?;
        Ok(groups)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

/// A consumer group on one broker (request 200, reply 352, and in that of 201).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupConfig {
    /// Attributes; brokers of 4.9 have none.
    #[serde(deserialize_with = "lenient")]
    pub attributes: BTreeMap<String, String>,
    /// The broker id to pull from.
    #[serde(deserialize_with = "lenient")]
    pub broker_id: i64,
    /// Whether members may be broadcasting.
    pub consume_broadcast_enable: bool,
    /// Whether it may consume at all.
    pub consume_enable: bool,
    /// Whether a new group may start at the first message.
    pub consume_from_min_enable: bool,
    /// Whether it is said to consume in order; for popping it is so.
    #[serde(deserialize_with = "lenient")]
    pub consume_message_orderly: bool,
    /// How long a popped message may be out, in minutes.
    pub consume_timeout_minute: i32,
    /// The name.
    #[serde(deserialize_with = "lenient")]
    pub group_name: Group,
    /// When a popped message that failed comes again; brokers of 4.9 have none.
    #[serde(deserialize_with = "lenient")]
    pub group_retry_policy: GroupRetryPolicy,
    /// System flags.
    #[serde(deserialize_with = "lenient")]
    pub group_sys_flag: i32,
    /// Whether members are told of others that come and go.
    pub notify_consumer_ids_changed_enable: bool,
    /// How often a message comes again before it is a dead letter.
    pub retry_max_times: i32,
    /// Queues of its retry topic.
    pub retry_queue_nums: i32,
    /// The broker id to pull from when consumption is slow.
    pub which_broker_when_consume_slowly: i64,
}

impl Default for GroupConfig {
    /// A group without a name, as brokers create groups.
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            broker_id: 0,
            consume_broadcast_enable: true,
            consume_enable: true,
            consume_from_min_enable: true,
            consume_message_orderly: false,
            consume_timeout_minute: 15,
            group_name: Group::default(),
            group_retry_policy: GroupRetryPolicy::default(),
            group_sys_flag: 0,
            notify_consumer_ids_changed_enable: true,
            retry_max_times: 16,
            retry_queue_nums: 1,
            which_broker_when_consume_slowly: 1,
        }
    }
}

impl GroupConfig {
    /// A group as brokers create it.
    #[must_use]
    pub fn new(group: impl Into<Group>) -> Self {
        Self { group_name: group.into(), ..Self::default() }
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        read(body)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

/// When a popped message that failed comes again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupRetryPolicy {
    /// The delays when they are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customized_retry_policy: Option<CustomizedRetryPolicy>,
    /// The delays when they grow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponential_retry_policy: Option<ExponentialRetryPolicy>,
    /// `CUSTOMIZED` or `EXPONENTIAL`.
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub kind: String,
}

impl Default for GroupRetryPolicy {
    /// That of brokers: the delay levels.
    fn default() -> Self {
        Self { customized_retry_policy: None, exponential_retry_policy: None, kind: String::from("CUSTOMIZED") }
    }
}

/// Delays that are listed, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CustomizedRetryPolicy {
    /// One after the other.
    #[serde(deserialize_with = "list::<MAX_DELAYS, _, _>")]
    pub next: Vec<i64>,
}

/// Delays that grow, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExponentialRetryPolicy {
    /// The first.
    pub initial: i64,
    /// The longest.
    pub max: i64,
    /// Each is so many times the one before.
    pub multiplier: i64,
}

/// A client as a broker sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Connection {
    /// Its address.
    #[serde(deserialize_with = "lenient")]
    pub client_addr: Endpoint,
    /// Its id.
    #[serde(deserialize_with = "lenient")]
    pub client_id: ClientId,
    /// The language it says it is written in.
    #[serde(deserialize_with = "lenient")]
    pub language: String,
    /// Its wire version.
    #[serde(deserialize_with = "lenient")]
    pub version: i32,
}

/// The members of a consumer group that a broker knows (reply 203).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerConnection {
    /// The members.
    #[serde(deserialize_with = "list::<MAX_CONNECTIONS, _, _>")]
    pub connection_set: Vec<Connection>,
    /// Where it starts.
    #[serde(deserialize_with = "lenient")]
    pub consume_from_where: ConsumeFromWhere,
    /// How it gets messages.
    #[serde(deserialize_with = "lenient")]
    pub consume_type: ConsumeType,
    /// Whether members share messages.
    #[serde(deserialize_with = "lenient")]
    pub message_model: MessageModel,
    /// What it subscribes to.
    #[serde(deserialize_with = "lenient")]
    pub subscription_table: BTreeMap<Topic, SubscriptionData>,
}

impl ConsumerConnection {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, or has more than 65,536 members.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let known: Self = read(body)?;
        at_most("members", known.connection_set.len(), MAX_CONNECTIONS)?;
        Ok(known)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

/// The producers of a group that a broker knows (reply 204).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerConnection {
    /// The producers.
    #[serde(deserialize_with = "list::<MAX_CONNECTIONS, _, _>")]
    pub connection_set: Vec<Connection>,
}

impl ProducerConnection {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, or has more than 65,536 producers.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let known: Self = read(body)?;
        at_most("producers", known.connection_set.len(), MAX_CONNECTIONS)?;
        Ok(known)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

/// Groups of one answer at most.
const MAX_GROUPS: usize = 100_000;
/// Clients of one group at most.
const MAX_CONNECTIONS: usize = 65_536;
/// Delays of a list at most.
const MAX_DELAYS: usize = 1_024;
