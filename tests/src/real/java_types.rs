//! What Java peers are told and what they tell.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How to start a Java producer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ProducerSpec {
    /// Name by which later commands mean this producer.
    pub name: String,
    /// Address of the name server.
    pub namesrv: String,
    /// Producer group.
    pub group: String,
    /// Instance name; Java's default if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Send timeout in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
    /// Retries of a failed send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Bodies of at least this size are compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compress_over: Option<u32>,
    /// `ZLIB`, `LZ4` or `ZSTD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compress_type: Option<String>,
    /// Whether it traces.
    pub trace: bool,
}

impl ProducerSpec {
    /// A producer with Java's defaults.
    pub fn new(name: &str, namesrv: &str, group: &str) -> Self {
        Self { name: name.into(), namesrv: namesrv.into(), group: group.into(), ..Self::default() }
    }
}

/// What a Java producer shall send: bodies are `body_prefix` + index, the index counting from `first`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SendSpec {
    /// Name of the producer.
    pub name: String,
    /// Topic.
    pub topic: String,
    /// Number of messages.
    pub count: u32,
    /// Index of the first message.
    pub first: u32,
    /// Start of every body.
    pub body_prefix: String,
    /// Bodies are filled up to this size with dots.
    pub body_size: u32,
    /// Tag of every message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// Keys of every message, separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<String>,
    /// User properties of every message.
    pub properties: BTreeMap<String, String>,
    /// Delay level of every message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_level: Option<u32>,
    /// Queue to send to, together with `broker`; Java chooses if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<i32>,
    /// Key whose queue Java's `SelectMessageQueueByHash` chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_key: Option<String>,
    /// Broker of `queue_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
    /// Send all messages as one batch, which gives one result.
    pub batch: bool,
}

impl SendSpec {
    /// `count` messages of a topic with bodies `body_prefix0`, `body_prefix1`, …
    pub fn new(producer: &str, topic: &str, body_prefix: &str, count: u32) -> Self {
        Self { name: producer.into(), topic: topic.into(), body_prefix: body_prefix.into(), count, ..Self::default() }
    }
}

/// Result of one send call.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Sent {
    /// Send status, such as `SEND_OK`.
    pub status: String,
    /// Client-made id (the unique key).
    pub msg_id: String,
    /// Broker-made id; a comma-separated list for a batch.
    pub offset_msg_id: Option<String>,
    /// Broker of the queue.
    pub broker: String,
    /// Queue.
    pub queue_id: i32,
    /// Offset in the queue.
    pub queue_offset: i64,
}

/// Where a group without stored offsets begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StartFrom {
    /// The oldest message.
    #[default]
    First,
    /// The end of the queue.
    Last,
}

/// How to start a Java push consumer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConsumerSpec {
    /// Name by which later commands mean this consumer.
    pub name: String,
    /// Address of the name server.
    pub namesrv: String,
    /// Consumer group.
    pub group: String,
    /// Topic.
    pub topic: String,
    /// Tag expression, or an SQL92 expression with `sql`.
    pub expression: String,
    /// Whether `expression` is SQL92.
    pub sql: bool,
    /// Whether it traces.
    pub trace: bool,
    /// Where to begin.
    pub from: StartFrom,
    /// Deliveries after which a message is dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_reconsume: Option<i32>,
    /// `AVG`, `AVG_BY_CIRCLE` or `CONSISTENT_HASH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Instance name; Java's default if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Time between two heartbeats; Java's 30 s if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_ms: Option<u32>,
    /// Whether members share out the queues, or brokers, which may tell them to pop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_rebalance: Option<bool>,
    /// Consume queue by queue in order.
    pub orderly: bool,
    /// Every member gets every message.
    pub broadcast: bool,
    /// Size of the listener's thread pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// Messages per call of the listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,
    /// Concurrent: messages of each call, from the first on, that are consumed the first time; the others come again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_first: Option<u32>,
    /// The listener fails for bodies with one of these prefixes.
    pub fail_prefixes: Vec<String>,
    /// The listener sleeps so long for every call.
    pub delay_ms: u32,
}

impl ConsumerSpec {
    /// A clustering, concurrent consumer of a whole topic which begins at the oldest message and succeeds.
    pub fn new(name: &str, namesrv: &str, group: &str, topic: &str) -> Self {
        Self {
            name: name.into(),
            namesrv: namesrv.into(),
            group: group.into(),
            topic: topic.into(),
            expression: "*".into(),
            ..Self::default()
        }
    }
}

/// One stored message as Java's decoder reads it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct StoredMessage {
    /// Topic.
    pub topic: String,
    /// Unique key if there is one, else the offset message id; empty for an inner batch's item without unique key.
    #[serde(deserialize_with = "null_is_empty")]
    pub msg_id: String,
    /// Id made of store host and physical offset; empty for items of an inner batch.
    #[serde(deserialize_with = "null_is_empty")]
    pub offset_msg_id: String,
    /// Broker it was pulled from; absent where Java does not set it.
    pub broker: Option<String>,
    /// Queue.
    pub queue_id: i32,
    /// Offset in the queue.
    pub queue_offset: i64,
    /// Offset in the commit log.
    pub commit_log_offset: i64,
    /// Size of the record.
    pub store_size: i32,
    /// CRC of the stored body.
    pub body_crc: i32,
    /// The user's flag.
    pub flag: i32,
    /// System flag, without the compression bit once the body is decompressed.
    pub sys_flag: i32,
    /// Born timestamp in milliseconds.
    pub born_timestamp: i64,
    /// Producer's address, `ip:port` or `[ip]:port`, IPv6 in eight groups without `::`.
    pub born_host: String,
    /// Store timestamp in milliseconds.
    pub store_timestamp: i64,
    /// Broker's address.
    pub store_host: String,
    /// How often it was sent back.
    pub reconsume_times: i32,
    /// Offset of the half message.
    pub prepared_transaction_offset: i64,
    /// Body, decompressed, as hexadecimal text; absent if empty.
    pub body_hex: Option<String>,
    /// Properties; absent if the record has none.
    pub properties: Option<BTreeMap<String, String>>,
    /// Items of an inner batch.
    #[serde(default)]
    pub unwrapped: Vec<StoredMessage>,
}

/// A message handed to a Java listener.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ConsumedMessage {
    /// Body as text.
    pub body: String,
    /// Whether the listener answered with failure.
    pub failed: bool,
    /// Wall clock at delivery, in milliseconds.
    pub at_ms: i64,
    /// Everything else.
    #[serde(flatten)]
    pub message: StoredMessage,
}

/// A queue which a consumer owns.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct OwnedQueue {
    /// Topic; the group's retry topic is among them.
    pub topic: String,
    /// Broker.
    pub broker: String,
    /// Queue.
    pub queue_id: i32,
    /// Whether it was already given up.
    pub dropped: bool,
    /// Whether the broker's lock is held (orderly consumers).
    pub locked: bool,
    /// Messages pulled and not yet consumed.
    pub cached: i64,
}

/// A subscription as a broker knows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct KnownSubscription {
    /// Topic.
    pub topic: String,
    /// Its expression.
    pub expression: String,
    /// `TAG` or `SQL92`.
    pub kind: String,
}

/// Offsets of one queue.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct QueueOffset {
    /// Broker.
    pub broker: String,
    /// Queue.
    pub queue_id: i32,
    /// Offset of the oldest message.
    pub min: i64,
    /// Offset after the newest message.
    pub max: i64,
    /// Offset committed by the group; −1 if none is stored.
    pub committed: i64,
}

/// A client as a broker sees it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Client id.
    pub client_id: String,
    /// Its address.
    pub addr: String,
    /// Language name; absent if the broker does not know it.
    pub language: Option<String>,
    /// Announced version.
    pub version: i32,
}

/// One broker's part of a topic's route.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct BrokerRoute {
    /// Broker.
    pub broker: String,
    /// Readable queues.
    pub read_queues: i32,
    /// Writable queues.
    pub write_queues: i32,
    /// Permission bits.
    pub perm: i32,
    /// Addresses by broker id.
    pub addrs: BTreeMap<String, String>,
}

/// A frame as Java's `RemotingCommand` reads it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct DecodedFrame {
    /// `JSON` or `ROCKETMQ`.
    pub codec: String,
    /// Whether it is a response.
    pub response: bool,
    /// Whether it is a oneway request.
    pub oneway: bool,
    /// Request or response code.
    pub code: i32,
    /// Language name.
    pub language: Option<String>,
    /// Version.
    pub version: i32,
    /// Request id.
    pub opaque: i32,
    /// Flag bits.
    pub flag: i32,
    /// Remark.
    pub remark: Option<String>,
    /// All header fields as text; `None` is what Java makes of an empty value in the binary codec.
    pub ext: Option<BTreeMap<String, Option<String>>>,
    /// Simple name of the Java header class that was applied.
    pub header_class: Option<String>,
    /// Fields of the header object that are not null.
    pub header: Option<BTreeMap<String, Value>>,
    /// Body as hexadecimal text; absent if empty.
    pub body: Option<String>,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
