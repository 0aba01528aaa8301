//! Tables whose keys are queues: Java writes each key as an object.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::names::is_named;
use super::{BodyError, at_most, lenient, read, write};
use crate::ids::{BrokerName, ClientId, MessageQueue, Topic};

/// Values by queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueTable<V>(pub BTreeMap<MessageQueue, V>);

impl<V> Default for QueueTable<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V: Serialize> QueueTable<V> {
    /// Appends the table as Java writes it, `{{"brokerName":..}:value,..}`: its tools read no other form.
    pub fn write(&self, out: &mut Vec<u8>) {
        push_object(out, &self.0, |out, queue| out.extend(write(queue)), |out, value| out.extend(write(value)));
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for QueueTable<V> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(Table::<V, { usize::MAX }>(PhantomData))
    }
}

/// Reads a table that went through the dialect: the keys are texts that hold objects. Of too many queues it keeps `MOST`
/// and one more, as lists do.
struct Table<V, const MOST: usize>(PhantomData<V>);

impl<'de, V: Deserialize<'de>, const MOST: usize> Visitor<'de> for Table<V, MOST> {
    type Value = QueueTable<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table by queue")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut table = BTreeMap::new();
        while table.len() <= MOST {
            let Some((key, value)) = map.next_entry::<String, V>()? else { return Ok(QueueTable(table)) };
            let queue: MessageQueue = read(key.as_bytes()).map_err(A::Error::custom)?;
            if !is_named(&queue) {
                return Err(A::Error::custom("a key that is no queue"));
            }
            table.insert(queue, value);
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(QueueTable(table))
    }
}

/// Set these offsets (body of the server's request 220, and of the reply to 222).
///
/// Clients in C++ are sent a list of queues with their offsets instead of a table: both are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResetOffsets {
    /// The new offset of each queue.
    #[serde(deserialize_with = "table_or_list")]
    pub offset_table: QueueTable<i64>,
}

impl ResetOffsets {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, or has more than 65,536 queues.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let reset: Self = read(body)?;
        at_most("queues", reset.offset_table.0.len(), MAX_QUEUES)?;
        Ok(reset)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = br#"{"offsetTable":"#.to_vec();
        self.offset_table.write(&mut out);
        out.push(b'}');
        out
    }
}

/// The offsets of a consumer (reply to the server's request 221), or of several (reply 223).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerStatus {
    /// The tables of several clients.
    #[serde(deserialize_with = "lenient")]
    pub consumer_table: BTreeMap<ClientId, QueueTable<i64>>,
    /// The table of the client that answers.
    #[serde(deserialize_with = "lenient")]
    pub message_queue_table: QueueTable<i64>,
}

impl ConsumerStatus {
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
        let mut out = br#"{"consumerTable":"#.to_vec();
        push_object(&mut out, &self.consumer_table, |out, id| out.extend(write(id)), |out, table| table.write(out));
        out.extend_from_slice(br#","messageQueueTable":"#);
        self.message_queue_table.write(&mut out);
        out.push(b'}');
        out
    }
}

/// A table by queue, or a list of queues with their offsets.
fn table_or_list<'de, D: Deserializer<'de>>(json: D) -> Result<QueueTable<i64>, D::Error> {
    json.deserialize_any(TableOrList)
}

struct TableOrList;

impl<'de> Visitor<'de> for TableOrList {
    type Value = QueueTable<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table by queue, or a list of queues")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(QueueTable::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Table::<i64, MAX_QUEUES>(PhantomData).visit_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut table = BTreeMap::new();
        while table.len() <= MAX_QUEUES {
            let Some(Row { broker_name: broker, queue_id: id, topic, offset }) = list.next_element()? else {
                return Ok(QueueTable(table));
            };
            let queue = MessageQueue { topic, broker, id };
            if !is_named(&queue) {
                return Err(A::Error::custom("a row that is no queue"));
            }
            table.insert(queue, offset);
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(QueueTable(table))
    }
}

/// A queue and its offset, as clients in C++ are sent them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    broker_name: BrokerName,
    queue_id: i32,
    topic: Topic,
    offset: i64,
}

fn push_object<K, V>(
    out: &mut Vec<u8>,
    entries: &BTreeMap<K, V>,
    key: impl Fn(&mut Vec<u8>, &K),
    value: impl Fn(&mut Vec<u8>, &V),
) {
    out.push(b'{');
    for (index, (k, v)) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        key(out, k);
        out.push(b':');
        value(out, v);
    }
    out.push(b'}');
}

/// Queues in a table at most, as many as a topic can have.
const MAX_QUEUES: usize = 65_536;
