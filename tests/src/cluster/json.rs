//! The JSON bodies that servers read and write.

use serde::{Deserialize, Serialize};

/// Body of a heartbeat.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Heartbeat {
    #[serde(rename = "clientID")]
    pub(crate) client_id: String,
    #[serde(default)]
    pub(crate) consumer_data_set: Vec<ConsumerData>,
    #[serde(default)]
    pub(crate) producer_data_set: Vec<ProducerData>,
    #[serde(default)]
    pub(crate) heartbeat_fingerprint: i32,
    #[serde(default)]
    pub(crate) without_sub: bool,
}

/// A consumer group in a heartbeat.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConsumerData {
    pub(crate) group_name: String,
    #[serde(default)]
    pub(crate) subscription_data_set: Vec<Subscription>,
}

/// A producer group in a heartbeat.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProducerData {
    pub(crate) group_name: String,
}

/// A subscription of one topic.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Subscription {
    pub(crate) topic: String,
    pub(crate) sub_string: String,
    #[serde(default)]
    pub(crate) class_filter_mode: bool,
    #[serde(default)]
    pub(crate) code_set: Vec<i32>,
    #[serde(default)]
    pub(crate) sub_version: Option<i64>,
    #[serde(default)]
    pub(crate) expression_type: Option<String>,
}

/// Body of a check of a client's configuration.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CheckClient {
    #[serde(default)]
    pub(crate) subscription_data: Option<Subscription>,
}

/// Body of lock and unlock.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LockRequest {
    pub(crate) consumer_group: String,
    pub(crate) client_id: String,
    #[serde(default)]
    pub(crate) mq_set: Vec<Queue>,
}

/// What was locked.
#[derive(Debug, Serialize)]
pub(crate) struct LockReply {
    #[serde(rename = "lockOKMQSet")]
    pub(crate) locked: Vec<Queue>,
}

/// A queue.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Queue {
    pub(crate) broker_name: String,
    pub(crate) queue_id: i32,
    pub(crate) topic: String,
}

/// The members of a group.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConsumerList {
    pub(crate) consumer_id_list: Vec<String>,
}

/// Writes a body of ours.
pub(crate) fn write(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("bodies have text keys only")
}
