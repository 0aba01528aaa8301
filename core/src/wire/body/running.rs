//! What a consumer tells operators of itself (reply to the server's request 307).

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{BodyError, QueueTable, SubscriptionData, lenient, read, write};
use crate::ids::Topic;

/// What a consumer tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerRunningInfo {
    /// The stacks of its threads.
    pub jstack: Option<String>,
    /// The queues it pops.
    #[serde(rename = "mqPopTable", deserialize_with = "lenient")]
    pub pop_queues: QueueTable<PopQueueInfo>,
    /// The queues it pulls.
    #[serde(rename = "mqTable", deserialize_with = "lenient")]
    pub queues: QueueTable<ProcessQueueInfo>,
    /// Its configuration and more.
    #[serde(deserialize_with = "lenient")]
    pub properties: BTreeMap<String, String>,
    /// Figures by topic.
    #[serde(rename = "statusTable", deserialize_with = "lenient")]
    pub status: BTreeMap<Topic, ConsumeStatus>,
    /// What it subscribes.
    #[serde(rename = "subscriptionSet", deserialize_with = "lenient")]
    pub subscriptions: Vec<SubscriptionData>,
    /// What the user adds.
    #[serde(rename = "userConsumerInfo", deserialize_with = "lenient")]
    pub user_info: BTreeMap<String, String>,
}

impl ConsumerRunningInfo {
    /// Property: the name servers.
    pub const NAME_SERVERS: &str = "PROP_NAMESERVER_ADDR";
    /// Property: threads that run handlers.
    pub const THREADS: &str = "PROP_THREADPOOL_CORE_SIZE";
    /// Property: whether queues are consumed in order.
    pub const ORDERLY: &str = "PROP_CONSUMEORDERLY";
    /// Property: how it gets messages.
    pub const CONSUME_TYPE: &str = "PROP_CONSUME_TYPE";
    /// Property: the wire version by name.
    pub const VERSION: &str = "PROP_CLIENT_VERSION";
    /// Property: when it was started, Unix milliseconds.
    pub const STARTED: &str = "PROP_CONSUMER_START_TIMESTAMP";

    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        read(body)
    }

    /// Writes the body, with queues as Java's tools want them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = b"{".to_vec();
        if let Some(stacks) = &self.jstack {
            out.extend_from_slice(br#""jstack":"#);
            out.extend(write(stacks));
            out.push(b',');
        }
        out.extend_from_slice(br#""mqPopTable":"#);
        self.pop_queues.write(&mut out);
        out.extend_from_slice(br#","mqTable":"#);
        self.queues.write(&mut out);
        for (key, value) in [
            (&br#","properties":"#[..], write(&self.properties)),
            (br#","statusTable":"#, write(&self.status)),
            (br#","subscriptionSet":"#, write(&self.subscriptions)),
            (br#","userConsumerInfo":"#, write(&self.user_info)),
        ] {
            out.extend_from_slice(key);
            out.extend(value);
        }
        out.push(b'}');
        out
    }
}

/// One queue that is pulled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProcessQueueInfo {
    /// Messages pulled and not settled.
    #[serde(deserialize_with = "lenient")]
    pub cached_msg_count: i32,
    /// The last of them.
    #[serde(deserialize_with = "lenient")]
    pub cached_msg_max_offset: i64,
    /// The first of them.
    #[serde(deserialize_with = "lenient")]
    pub cached_msg_min_offset: i64,
    /// MiB that they pin.
    #[serde(rename = "cachedMsgSizeInMiB", deserialize_with = "lenient")]
    pub cached_msg_size_in_mib: i32,
    /// Everything below is consumed; −1 when that is not known.
    #[serde(deserialize_with = "lenient")]
    pub commit_offset: i64,
    /// Whether it was given up.
    #[serde(deserialize_with = "lenient")]
    pub droped: bool,
    /// When a message of it was last consumed, Unix milliseconds.
    #[serde(deserialize_with = "lenient")]
    pub last_consume_timestamp: i64,
    /// When it was last locked, Unix milliseconds.
    #[serde(deserialize_with = "lenient")]
    pub last_lock_timestamp: i64,
    /// When it was last pulled, Unix milliseconds.
    #[serde(deserialize_with = "lenient")]
    pub last_pull_timestamp: i64,
    /// Whether its lock is ours.
    #[serde(deserialize_with = "lenient")]
    pub locked: bool,
    /// In order: messages in a handler.
    #[serde(deserialize_with = "lenient")]
    pub transaction_msg_count: i32,
    /// In order: the last of them.
    #[serde(deserialize_with = "lenient")]
    pub transaction_msg_max_offset: i64,
    /// In order: the first of them.
    #[serde(deserialize_with = "lenient")]
    pub transaction_msg_min_offset: i64,
    /// How often giving its lock back failed.
    #[serde(deserialize_with = "lenient")]
    pub try_unlock_times: i64,
}

/// One queue that is popped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PopQueueInfo {
    /// Whether it was given up.
    #[serde(deserialize_with = "lenient")]
    pub droped: bool,
    /// When it was last popped, Unix milliseconds.
    #[serde(deserialize_with = "lenient")]
    pub last_pop_timestamp: i64,
    /// Messages that are to be acknowledged.
    #[serde(deserialize_with = "lenient")]
    pub wait_ack_count: i32,
}

/// Figures of one topic of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStatus {
    /// Messages that failed in the last hour.
    #[serde(deserialize_with = "lenient")]
    pub consume_failed_msgs: i64,
    /// Messages a second that failed, over the last minute.
    #[serde(rename = "consumeFailedTPS", deserialize_with = "lenient")]
    pub consume_failed_tps: f64,
    /// Messages a second that were consumed, over the last minute.
    #[serde(rename = "consumeOKTPS", deserialize_with = "lenient")]
    pub consume_ok_tps: f64,
    /// How long a message is in its handler, in milliseconds: over the last minute, or the last hour.
    #[serde(rename = "consumeRT", deserialize_with = "lenient")]
    pub consume_rt: f64,
    /// How long a pull that finds messages takes, in milliseconds, over the last minute.
    #[serde(rename = "pullRT", deserialize_with = "lenient")]
    pub pull_rt: f64,
    /// Messages a second that were pulled, over the last minute.
    #[serde(rename = "pullTPS", deserialize_with = "lenient")]
    pub pull_tps: f64,
}
