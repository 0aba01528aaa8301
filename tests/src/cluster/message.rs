//! Messages as a broker works on them.

use std::net::SocketAddr;

use bytes::Bytes;
use rocketmq_core::ids::QueueOffset;
use rocketmq_core::wire::message::properties;
use rocketmq_core::wire::message::{
    EncodeError, Entry, RecordLimits, RecordVersion, StoredMessage, SysFlags, TransactionKind, encode_record, walk,
};

/// The properties of a message, in order; setting one again keeps its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(Vec<(String, String)>);

impl Properties {
    /// Reads encoded properties.
    #[must_use]
    pub fn parse(encoded: &[u8]) -> Self {
        let mut parsed = Self::default();
        properties::iter(encoded).for_each(|(key, value)| parsed.set(key, value));
        parsed
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Sets `key`.
    pub fn set(&mut self, key: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => value.clone_into(known),
            None => self.0.push((key.to_owned(), value.to_owned())),
        }
    }

    /// Removes `key`.
    pub(crate) fn remove(&mut self, key: &str) {
        self.0.retain(|(known, _)| known != key);
    }

    /// As they are stored; they may be too long for a record.
    pub(crate) fn encode(&self) -> Result<Bytes, EncodeError> {
        let text = properties::encode(self.iter()).map_err(|_| EncodeError::Properties)?;
        Ok(Bytes::from(text))
    }

    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// A message on its way into the log.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) topic: String,
    pub(crate) queue_id: i32,
    pub(crate) flag: i32,
    pub(crate) sys_flag: i32,
    pub(crate) born_ms: i64,
    pub(crate) born_host: SocketAddr,
    pub(crate) reconsume_times: i32,
    /// Where its half message is, of one that was committed.
    pub(crate) prepared: i64,
    pub(crate) body: Bytes,
    pub(crate) properties: Properties,
}

/// Where and when a message is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) queue_offset: i64,
    pub(crate) physical: i64,
    pub(crate) stored_ms: i64,
    pub(crate) store_host: SocketAddr,
}

impl Draft {
    /// Whether consumers may see it: half messages and their withdrawals are in the log only.
    pub(crate) fn is_visible(&self) -> bool {
        matches!(SysFlags(self.sys_flag).transaction(), TransactionKind::None | TransactionKind::Commit)
    }

    /// The record of the message.
    pub(crate) fn record(&self, properties: Bytes, place: &Place) -> Result<Bytes, EncodeError> {
        let message = StoredMessage {
            queue_id: self.queue_id,
            flag: self.flag,
            queue_offset: QueueOffset::from_wire(place.queue_offset).unwrap_or_default(),
            physical_offset: place.physical,
            sys_flag: SysFlags(self.sys_flag),
            born_timestamp: self.born_ms,
            born_host: self.born_host,
            store_timestamp: place.stored_ms,
            store_host: place.store_host,
            reconsume_times: self.reconsume_times,
            prepared_transaction_offset: self.prepared,
            body: self.body.clone(),
            topic: self.topic.as_str().into(),
            properties,
        };
        let version = if self.topic.len() > MAX_V1_TOPIC { RecordVersion::V2 } else { RecordVersion::V1 };
        let mut record = Vec::with_capacity(message.encoded_len(version));
        encode_record(&message, version, &mut record)?;
        Ok(Bytes::from(record))
    }

    /// Reads a record back.
    pub(crate) fn read(record: &Bytes) -> Option<(Self, Place)> {
        let limits = RecordLimits { max_records: 1, verify_crc: false };
        let Some(Entry::Record(read)) = walk(record, limits).next() else { return None };
        let draft = Self {
            topic: read.topic(record).to_owned(),
            queue_id: read.queue_id,
            flag: read.flag,
            sys_flag: read.sys_flag.0,
            born_ms: read.born_timestamp,
            born_host: read.born_host,
            reconsume_times: read.reconsume_times,
            prepared: read.prepared_transaction_offset,
            body: record.slice(read.body.clone()),
            properties: Properties::parse(read.properties(record)),
        };
        let place = Place {
            queue_offset: read.queue_offset.to_wire(),
            physical: read.physical_offset,
            stored_ms: read.store_timestamp,
            store_host: read.store_host,
        };
        Some((draft, place))
    }
}

/// The longest topic of a record in layout V1.
const MAX_V1_TOPIC: usize = 255;
