//! Typed commands of the Java peer.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::golden::QueueOffsetRow;
use super::java_types::{
    BrokerRoute, ConnectionInfo, ConsumedMessage, ConsumerSpec, DecodedFrame, KnownSubscription, OwnedQueue,
    ProducerSpec, QueueOffset, SendSpec, Sent, StoredMessage,
};
use super::{DecodedTrace, JavaPeer, RealError};

/// A reply as Java got it.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct JavaReply {
    /// Its body.
    pub body: String,
    /// Its topic.
    pub topic: String,
    /// Its `MSG_TYPE`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

#[derive(serde::Deserialize)]
struct Started {
    client_id: String,
}

#[derive(serde::Deserialize)]
struct RunningInfo {
    queues: Vec<OwnedQueue>,
}

impl JavaPeer {
    /// Starts a producer and returns its client id.
    pub fn start_producer(&self, spec: &ProducerSpec) -> Result<String, RealError> {
        self.typed::<Started>("producer_start", spec).map(|s| s.client_id)
    }

    /// Shuts a producer down in order.
    pub fn stop_producer(&self, name: &str) -> Result<(), RealError> {
        self.typed("producer_stop", json!({ "name": name }))
    }

    /// Sends messages one after the other, or as one batch; fails with the first that fails.
    pub fn send(&self, spec: &SendSpec) -> Result<Vec<Sent>, RealError> {
        self.typed("send", spec)
    }

    /// Starts a producer that asks by messages.
    pub fn start_requests(&self, name: &str, namesrv: &str) -> Result<(), RealError> {
        self.typed("requests_start", json!({ "name": name, "namesrv": namesrv }))
    }

    /// Starts a consumer that replies to each message of a topic by its body with an exclamation mark.
    pub fn start_responder(&self, name: &str, namesrv: &str, topic: &str) -> Result<(), RealError> {
        self.typed("responder_start", json!({ "name": name, "namesrv": namesrv, "topic": topic }))
    }

    /// Shuts either down in order.
    pub fn stop_requests(&self, name: &str) -> Result<(), RealError> {
        self.typed("requests_stop", json!({ "name": name }))
    }

    /// Asks by a message, and waits for the reply to it.
    pub fn request(&self, name: &str, topic: &str, body: &str, timeout: Duration) -> Result<JavaReply, RealError> {
        let timeout = timeout.as_millis();
        let args = json!({ "name": name, "topic": topic, "body": body, "timeout_ms": timeout as u64 });
        self.typed("request", args)
    }

    /// Starts a producer of transactions; asked about a message, it answers what its body begins with: `commit`,
    /// `rollback`, or anything else for unknown.
    pub fn start_transactions(&self, name: &str, namesrv: &str, group: &str) -> Result<(), RealError> {
        self.typed("transactions_start", json!({ "name": name, "namesrv": namesrv, "group": group }))
    }

    /// The same with one that traces.
    pub fn start_traced_transactions(&self, name: &str, namesrv: &str, group: &str) -> Result<(), RealError> {
        self.typed("transactions_start", json!({ "name": name, "namesrv": namesrv, "group": group, "trace": true }))
    }

    /// Shuts it down in order.
    pub fn stop_transactions(&self, name: &str) -> Result<(), RealError> {
        self.typed("transactions_stop", json!({ "name": name }))
    }

    /// Sends a message in a transaction that ends in this state, as Java names it; gives the id of the message.
    pub fn send_transaction(&self, name: &str, topic: &str, body: &str, state: &str) -> Result<String, RealError> {
        self.typed("transactions_send", json!({ "name": name, "topic": topic, "body": body, "state": state }))
    }

    /// The bodies about which a producer of transactions was asked, in order.
    pub fn checked(&self, name: &str) -> Result<Vec<String>, RealError> {
        self.typed("transactions_checked", json!({ "name": name }))
    }

    /// Starts a push consumer and returns its client id.
    pub fn start_consumer(&self, spec: &ConsumerSpec) -> Result<String, RealError> {
        let start = || self.typed::<Started>("consumer_start", spec).map(|s| s.client_id);
        // A Java client whose connection to a name server breaks while it starts has ended, and may be started anew.
        let broke = |error: &RealError| error.to_string().contains("RemotingSendRequestException");
        start().or_else(|error| if broke(&error) { start() } else { Err(error) })
    }

    /// Shuts a consumer down in order.
    pub fn stop_consumer(&self, name: &str) -> Result<(), RealError> {
        self.typed("consumer_stop", json!({ "name": name }))
    }

    /// Changes for which bodies a consumer's listener fails, and how long it takes.
    pub fn set_behaviour(&self, name: &str, fail_prefixes: &[&str], delay_ms: u32) -> Result<(), RealError> {
        self.typed("consumer_behaviour", json!({ "name": name, "fail_prefixes": fail_prefixes, "delay_ms": delay_ms }))
    }

    /// What a consumer's listener got since the last call.
    pub fn consumed(&self, name: &str) -> Result<Vec<ConsumedMessage>, RealError> {
        self.typed("consumed", json!({ "name": name }))
    }

    /// Like [`Self::consumed`], but collects until there are `count` messages or the time is up.
    pub fn wait_consumed(
        &self,
        name: &str,
        count: usize,
        patience: Duration,
    ) -> Result<Vec<ConsumedMessage>, RealError> {
        let started = Instant::now();
        let mut all = self.consumed(name)?;
        while all.len() < count && started.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(50));
            all.extend(self.consumed(name)?);
        }
        Ok(all)
    }

    /// The queues in a consumer's own table, sorted.
    pub fn owned_queues(&self, name: &str) -> Result<Vec<OwnedQueue>, RealError> {
        self.typed("consumer_queues", json!({ "name": name }))
    }

    /// Creates or changes a topic on every master and returns when its route shows it.
    pub fn create_topic(&self, namesrv: &str, topic: &str, queues: u32) -> Result<(), RealError> {
        self.create_topic_with(namesrv, topic, queues, &[])
    }

    /// Like [`Self::create_topic`], with attributes such as `("queue.type", "BatchCQ")`.
    pub fn create_topic_with(
        &self,
        namesrv: &str,
        topic: &str,
        queues: u32,
        attributes: &[(&str, &str)],
    ) -> Result<(), RealError> {
        let attributes: Map<String, Value> = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
        self.typed(
            "create_topic",
            json!({ "namesrv": namesrv, "topic": topic, "queues": queues, "attributes": attributes }),
        )
    }

    /// Creates or changes a consumer group on every master.
    pub fn create_group(&self, namesrv: &str, group: &str, retry_max: u32) -> Result<(), RealError> {
        self.typed("create_group", json!({ "namesrv": namesrv, "group": group, "retry_max": retry_max }))
    }

    /// Offsets of every readable queue of a topic, and what the group has committed.
    pub fn offsets(&self, namesrv: &str, group: &str, topic: &str) -> Result<Vec<QueueOffset>, RealError> {
        self.typed("offsets", json!({ "namesrv": namesrv, "group": group, "topic": topic }))
    }

    /// The consumers of a group which the broker knows; empty if none is online.
    pub fn consumer_connections(&self, namesrv: &str, group: &str) -> Result<Vec<ConnectionInfo>, RealError> {
        self.typed("consumer_connections", json!({ "namesrv": namesrv, "group": group }))
    }

    /// What the broker knows of the subscriptions of a group that is online.
    pub fn consumer_subscriptions(&self, namesrv: &str, group: &str) -> Result<Vec<KnownSubscription>, RealError> {
        self.typed("consumer_subscriptions", json!({ "namesrv": namesrv, "group": group }))
    }

    /// The producers of a group which the brokers of a topic know.
    pub fn producer_connections(
        &self,
        namesrv: &str,
        group: &str,
        topic: &str,
    ) -> Result<Vec<ConnectionInfo>, RealError> {
        self.typed("producer_connections", json!({ "namesrv": namesrv, "group": group, "topic": topic }))
    }

    /// The queues which any consumer, also one that is not Java, reports as its own when a broker asks it.
    pub fn reported_queues(&self, namesrv: &str, group: &str, client_id: &str) -> Result<Vec<OwnedQueue>, RealError> {
        let args = json!({ "namesrv": namesrv, "group": group, "client_id": client_id });
        self.typed::<RunningInfo>("running_info", args).map(|i| i.queues)
    }

    /// The whole report behind [`Self::reported_queues`]: `queues`, `subscriptions` and `properties`.
    pub fn running_info(&self, namesrv: &str, group: &str, client_id: &str) -> Result<Value, RealError> {
        self.typed("running_info", json!({ "namesrv": namesrv, "group": group, "client_id": client_id }))
    }

    /// A topic's route, one entry per broker.
    pub fn topic_route(&self, namesrv: &str, topic: &str) -> Result<Vec<BrokerRoute>, RealError> {
        self.typed("topic_route", json!({ "namesrv": namesrv, "topic": topic }))
    }

    /// Resets a group's offsets to a time, pushed to the consumers which are online.
    pub fn reset_offset(&self, namesrv: &str, group: &str, topic: &str, timestamp: i64) -> Result<Value, RealError> {
        self.typed(
            "reset_offset",
            json!({ "namesrv": namesrv, "group": group, "topic": topic, "timestamp": timestamp }),
        )
    }

    /// The message with this id (unique key or offset id).
    pub fn view_message(&self, namesrv: &str, topic: &str, msg_id: &str) -> Result<Option<StoredMessage>, RealError> {
        self.typed("view_message", json!({ "namesrv": namesrv, "topic": topic, "msg_id": msg_id }))
    }

    /// Messages with a key.
    pub fn query_key(&self, namesrv: &str, topic: &str, key: &str) -> Result<Vec<StoredMessage>, RealError> {
        self.typed("query_key", json!({ "namesrv": namesrv, "topic": topic, "key": key }))
    }

    /// What Java reads from whole frames; the header class follows from each request's code.
    pub fn decode_frames<F: AsRef<[u8]>>(&self, frames: &[F]) -> Result<Vec<DecodedFrame>, RealError> {
        let frames: Vec<String> = frames.iter().map(|f| hex(f.as_ref())).collect();
        self.typed("decode_frames", json!({ "frames": frames }))
    }

    /// Like [`Self::decode_frames`] for one frame and a named header class, as responses need.
    pub fn decode_frame_as(&self, frame: &[u8], header: &str) -> Result<DecodedFrame, RealError> {
        let args = json!({ "frames": [hex(frame)], "header": header });
        self.typed::<[DecodedFrame; 1]>("decode_frames", args).map(|[one]| one)
    }

    /// What Java's client reads from a pulled body.
    pub fn decode_messages(&self, body: &[u8]) -> Result<Vec<StoredMessage>, RealError> {
        self.typed("decode_messages", json!({ "hex": hex(body) }))
    }

    /// Reads a JSON body into a Java class and writes it again; `class` is a name below the
    /// package `org.apache.rocketmq.remoting.protocol`, such as `heartbeat.HeartbeatData`.
    pub fn decode_body(&self, class: &str, body: &[u8]) -> Result<String, RealError> {
        self.typed("decode_body", json!({ "class": class, "hex": hex(body) }))
    }

    /// What Java's store of a broadcasting member reads of these queues from a file with this text: their offsets, −1
    /// for none; those of `queues` are not looked at.
    pub fn read_offset_file(&self, text: &str, queues: &[QueueOffsetRow]) -> Result<Vec<QueueOffsetRow>, RealError> {
        self.typed("read_offset_file", json!({ "text": text, "queues": queues }))
    }

    /// What Java makes of the body of a trace message.
    pub fn decode_trace(&self, text: &str) -> Result<DecodedTrace, RealError> {
        self.typed("trace_decode", json!({ "text": text }))
    }

    /// Compresses bytes as Java does; `kind` is `ZLIB`, `LZ4` or `ZSTD`.
    pub fn compress(&self, kind: &str, level: u32, bytes: &[u8]) -> Result<Vec<u8>, RealError> {
        self.typed::<String>("compress", json!({ "type": kind, "level": level, "hex": hex(bytes) })).map(|t| unhex(&t))
    }

    /// Decompresses bytes as Java does.
    pub fn decompress(&self, kind: &str, bytes: &[u8]) -> Result<Vec<u8>, RealError> {
        self.typed::<String>("decompress", json!({ "type": kind, "hex": hex(bytes) })).map(|t| unhex(&t))
    }

    /// Writes all golden vectors into a folder and returns the number of vectors per file.
    pub fn write_golden(&self, dir: &Path) -> Result<Value, RealError> {
        self.typed("golden", json!({ "dir": dir.display().to_string() }))
    }

    fn typed<T: DeserializeOwned>(&self, cmd: &str, args: impl Serialize) -> Result<T, RealError> {
        let unexpected = |source| RealError::JavaAnswer { cmd: cmd.to_owned(), source };
        let args = match serde_json::to_value(args).map_err(unexpected)? {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        serde_json::from_value(self.command(cmd, args)?).map_err(unexpected)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The peer writes an even number of digits; anything else is skipped.
fn unhex(text: &str) -> Vec<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).unwrap_or(0) as u8;
    text.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
