//! The body of a heartbeat (request 34).

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{BodyError, lenient, read, write};
use crate::ids::{ClientId, Group};
use crate::wire::java::java_hash;
use crate::wire::subscription::SubscriptionData;

/// What a client tells every broker: its groups and all their subscriptions. What is missing is removed there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeartbeatData {
    /// The client.
    #[serde(rename = "clientID", deserialize_with = "lenient")]
    pub client_id: ClientId,
    /// Its consumer groups.
    #[serde(rename = "consumerDataSet", deserialize_with = "lenient")]
    pub consumers: Vec<ConsumerData>,
    /// What identifies these subscriptions; 0 means a heartbeat of the old kind.
    #[serde(deserialize_with = "lenient")]
    pub heartbeat_fingerprint: i32,
    /// Its producer groups.
    #[serde(rename = "producerDataSet", deserialize_with = "lenient")]
    pub producers: Vec<ProducerData>,
    /// Whether the subscriptions are left out; only for brokers that know the fingerprint.
    #[serde(deserialize_with = "lenient")]
    pub without_sub: bool,
}

impl HeartbeatData {
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

    /// The fingerprint of these groups and subscriptions, whoever has them and whenever they were made; never 0.
    #[must_use]
    pub fn fingerprint(&self) -> i32 {
        let mut plain = self.clone();
        plain.client_id = ClientId::from("");
        plain.heartbeat_fingerprint = 0;
        plain.consumers.iter_mut().flat_map(|group| &mut group.subscriptions).for_each(|data| data.sub_version = 0);
        match java_hash(core::str::from_utf8(&plain.encode()).unwrap_or_default()) {
            0 => 1,
            hash => hash,
        }
    }

    /// The same heartbeat without its subscriptions, for a broker that knows this fingerprint.
    #[must_use]
    pub fn light(&self) -> Self {
        let bare = |group: &ConsumerData| ConsumerData { subscriptions: Vec::new(), ..group.clone() };
        Self {
            client_id: self.client_id.clone(),
            consumers: self.consumers.iter().map(bare).collect(),
            heartbeat_fingerprint: self.heartbeat_fingerprint,
            producers: self.producers.clone(),
            without_sub: true,
        }
    }
}

/// A producer group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProducerData {
    /// The group.
    #[serde(rename = "groupName", deserialize_with = "lenient")]
    pub group: Group,
}

/// A consumer group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerData {
    /// Where it starts without a stored offset.
    #[serde(deserialize_with = "lenient")]
    pub consume_from_where: ConsumeFromWhere,
    /// How it gets messages.
    #[serde(deserialize_with = "lenient")]
    pub consume_type: ConsumeType,
    /// The group.
    #[serde(rename = "groupName", deserialize_with = "lenient")]
    pub group: Group,
    /// Whether members share the messages.
    #[serde(deserialize_with = "lenient")]
    pub message_model: MessageModel,
    /// All it wants, its retry topic included.
    #[serde(rename = "subscriptionDataSet", deserialize_with = "lenient")]
    pub subscriptions: Vec<SubscriptionData>,
    /// Unit mode.
    #[serde(deserialize_with = "lenient")]
    pub unit_mode: bool,
}

/// Whether a broker can filter as a subscription says (request 46).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientCheck {
    /// Who asks.
    #[serde(deserialize_with = "lenient")]
    pub client_id: ClientId,
    /// For this group.
    #[serde(deserialize_with = "lenient")]
    pub group: Group,
    /// The subscription.
    #[serde(deserialize_with = "lenient")]
    pub subscription_data: SubscriptionData,
}

impl ClientCheck {
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

/// How a group gets messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsumeType {
    /// The user pulls.
    #[serde(rename = "CONSUME_ACTIVELY")]
    Actively,
    /// The client pulls and hands them out, in POP mode too.
    #[default]
    #[serde(rename = "CONSUME_PASSIVELY")]
    Passively,
    /// Popping; no client says so.
    #[serde(rename = "CONSUME_POP")]
    Pop,
}

/// Whether the members of a group share the messages or each get all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageModel {
    /// They share.
    #[default]
    #[serde(rename = "CLUSTERING")]
    Clustering,
    /// Each gets all.
    #[serde(rename = "BROADCASTING")]
    Broadcasting,
}

/// Where a group starts in a queue without a stored offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsumeFromWhere {
    /// At the end.
    #[default]
    #[serde(
        rename = "CONSUME_FROM_LAST_OFFSET",
        alias = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        alias = "CONSUME_FROM_MIN_OFFSET",
        alias = "CONSUME_FROM_MAX_OFFSET"
    )]
    LastOffset,
    /// At the start.
    #[serde(rename = "CONSUME_FROM_FIRST_OFFSET")]
    FirstOffset,
    /// At a time.
    #[serde(rename = "CONSUME_FROM_TIMESTAMP")]
    Timestamp,
}
