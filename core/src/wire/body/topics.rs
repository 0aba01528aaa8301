//! Topics: their names and their configuration.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{BodyError, Perm, at_most, lenient, list, read, write};
use crate::ids::{Endpoint, Topic};

/// Names of topics (replies 206, 224, 343).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicList {
    /// The broker that answers, in reply 343.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_addr: Option<Endpoint>,
    /// The names.
    #[serde(deserialize_with = "list::<MAX_TOPICS, _, _>")]
    pub topic_list: Vec<Topic>,
}

impl TopicList {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, or has more than 100,000 topics.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let topics: Self = read(body)?;
        at_most("topics", topics.topic_list.len(), MAX_TOPICS)?;
        Ok(topics)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

/// A topic on one broker (reply 351, and in that of 21).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfig {
    /// Attributes, such as `message.type`; brokers of 4.9 have none.
    #[serde(deserialize_with = "lenient")]
    pub attributes: BTreeMap<String, String>,
    /// Whether its messages are in order all over the topic.
    #[serde(deserialize_with = "lenient")]
    pub order: bool,
    /// What may be done.
    #[serde(deserialize_with = "lenient")]
    pub perm: Perm,
    /// Queues to read.
    #[serde(deserialize_with = "lenient")]
    pub read_queue_nums: i32,
    /// `SINGLE_TAG` or `MULTI_TAG`.
    #[serde(deserialize_with = "lenient")]
    pub topic_filter_type: String,
    /// The name.
    #[serde(deserialize_with = "lenient")]
    pub topic_name: Topic,
    /// System flags.
    #[serde(deserialize_with = "lenient")]
    pub topic_sys_flag: i32,
    /// Queues to write.
    #[serde(deserialize_with = "lenient")]
    pub write_queue_nums: i32,
}

impl Default for TopicConfig {
    /// A topic without a name and with Java's 16 queues.
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            order: false,
            perm: Perm::READ_WRITE,
            read_queue_nums: DEFAULT_QUEUES,
            topic_filter_type: String::from(SINGLE_TAG),
            topic_name: Topic::default(),
            topic_sys_flag: 0,
            write_queue_nums: DEFAULT_QUEUES,
        }
    }
}

impl TopicConfig {
    /// A topic that can be read and written, with so many queues on each broker.
    #[must_use]
    pub fn new(topic: impl Into<Topic>, queues: u32) -> Self {
        let queues = i32::try_from(queues).unwrap_or(i32::MAX);
        Self { topic_name: topic.into(), read_queue_nums: queues, write_queue_nums: queues, ..Self::default() }
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

    /// The attributes as request 17 has them, `+key=value,+key=value`; nothing when there are none.
    #[must_use]
    pub fn attributes_text(&self) -> Option<String> {
        let one = |(key, value): (&String, &String)| alloc::format!("+{key}={value}");
        let all: Vec<_> = self.attributes.iter().map(one).collect();
        (!all.is_empty()).then(|| all.join(","))
    }
}

/// Topics of one answer at most.
const MAX_TOPICS: usize = 100_000;
/// Java's number of queues.
const DEFAULT_QUEUES: i32 = 16;
/// One tag for each message.
const SINGLE_TAG: &str = "SINGLE_TAG";
