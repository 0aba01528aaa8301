//! JSON of the identifiers.

use alloc::string::String;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BodyError, lenient};
use crate::ids::{BrokerName, ClientId, Endpoint, Group, MessageQueue, Topic};

macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
                json.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
                String::deserialize(json).map(Self::from)
            }
        }

        impl Default for $name {
            /// The empty name, as of a key that is missing.
            fn default() -> Self {
                Self::from("")
            }
        }
    )*};
}
as_text!(Topic, Group, BrokerName, ClientId, Endpoint);

impl Serialize for MessageQueue {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        let mut queue = json.serialize_struct("MessageQueue", 3)?;
        queue.serialize_field("brokerName", &self.broker)?;
        queue.serialize_field("queueId", &self.id)?;
        queue.serialize_field("topic", &self.topic)?;
        queue.end()
    }
}

impl Default for MessageQueue {
    /// One without a name, as of a key that is missing.
    fn default() -> Self {
        Self { topic: Topic::default(), broker: BrokerName::default(), id: 0 }
    }
}

impl<'de> Deserialize<'de> for MessageQueue {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let Queue { broker_name: broker, queue_id: id, topic } = Queue::deserialize(json)?;
        Ok(Self { topic, broker, id })
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Queue {
    #[serde(deserialize_with = "lenient")]
    broker_name: BrokerName,
    #[serde(deserialize_with = "lenient")]
    queue_id: i32,
    #[serde(deserialize_with = "lenient")]
    topic: Topic,
}

/// Whether a queue was really read: a `$ref` or an empty object leaves one without a name.
pub(super) fn is_named(queue: &MessageQueue) -> bool {
    !queue.topic.as_str().is_empty()
}

/// Whether a broker may be called that: names go to logs and terminals as they are.
pub(super) fn check_broker_name(name: &BrokerName) -> Result<(), BodyError> {
    let name = name.as_str();
    let len = name.len();
    if len > MAX_BROKER_NAME || name.contains(char::is_control) { Err(BodyError::BrokerName { len }) } else { Ok(()) }
}

/// Bytes of the name of a broker at most: without another one it has that of its host (Java `BrokerConfig`), and those
/// have no more (RFC 1035).
const MAX_BROKER_NAME: usize = 255;
