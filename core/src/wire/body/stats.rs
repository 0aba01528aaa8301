//! How far queues and groups are.

use alloc::string::String;
use alloc::vec::Vec;

use alloc::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BodyError, QueueTable, at_most, lenient, read, write};

/// The queues of a topic (reply 202).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicStats {
    /// By queue.
    #[serde(deserialize_with = "lenient")]
    pub offset_table: QueueTable<QueueStats>,
    /// Messages a second that are sent to it; brokers of 4.9 do not say.
    #[serde(deserialize_with = "lenient")]
    pub topic_put_tps: f64,
}

impl TopicStats {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, or has more than 65,536 queues.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let stats: Self = read(body)?;
        at_most("queues", stats.offset_table.0.len(), MAX_QUEUES)?;
        Ok(stats)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = br#"{"offsetTable":"#.to_vec();
        self.offset_table.write(&mut out);
        out.extend_from_slice(br#","topicPutTps":"#);
        out.extend(write(&self.topic_put_tps));
        out.push(b'}');
        out
    }
}

/// One queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueStats {
    /// When its last message was stored, Unix milliseconds; 0 when it is empty.
    #[serde(deserialize_with = "lenient")]
    pub last_update_timestamp: i64,
    /// Its end.
    #[serde(deserialize_with = "lenient")]
    pub max_offset: i64,
    /// Its start.
    #[serde(deserialize_with = "lenient")]
    pub min_offset: i64,
}

/// How far a group is (reply 208).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStats {
    /// Messages a second that it gets.
    #[serde(deserialize_with = "lenient")]
    pub consume_tps: f64,
    /// By queue.
    #[serde(deserialize_with = "lenient")]
    pub offset_table: QueueTable<Progress>,
}

impl ConsumeStats {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, or has more than 65,536 queues.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let stats: Self = read(body)?;
        at_most("queues", stats.offset_table.0.len(), MAX_QUEUES)?;
        Ok(stats)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = br#"{"consumeTps":"#.to_vec();
        out.extend(write(&self.consume_tps));
        out.extend_from_slice(br#","offsetTable":"#);
        self.offset_table.write(&mut out);
        out.push(b'}');
        out
    }
}

/// How far a group is in one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Progress {
    /// The end of the queue.
    #[serde(deserialize_with = "lenient")]
    pub broker_offset: i64,
    /// What the group committed.
    #[serde(deserialize_with = "lenient")]
    pub consumer_offset: i64,
    /// When the last message that it committed was stored, Unix milliseconds.
    #[serde(deserialize_with = "lenient")]
    pub last_timestamp: i64,
    /// Where it pulls; brokers of 4.9 do not say.
    #[serde(deserialize_with = "lenient")]
    pub pull_offset: i64,
}

impl Progress {
    /// Messages that are still to come.
    #[must_use]
    pub const fn backlog(&self) -> i64 {
        self.broker_offset.saturating_sub(self.consumer_offset)
    }
}

/// A table of texts (replies 28 and 219).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KvTable {
    /// The rows.
    #[serde(deserialize_with = "lenient")]
    pub table: BTreeMap<String, String>,
}

impl KvTable {
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

/// Queues of one answer at most.
const MAX_QUEUES: usize = 65_536;
