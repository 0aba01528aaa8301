//! Writing stored records, for model brokers and tests.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::{MAGIC_V1, MAGIC_V2, SysFlags, crc_of};
use crate::ids::{QueueOffset, Topic};

/// A message as a broker keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// The queue.
    pub queue_id: i32,
    /// A flag of the user's.
    pub flag: i32,
    /// The position in the queue.
    pub queue_offset: QueueOffset,
    /// The position in the commit log, bytes.
    pub physical_offset: i64,
    /// The system flags; the address families are set from the hosts.
    pub sys_flag: SysFlags,
    /// When the producer made it, Unix milliseconds.
    pub born_timestamp: i64,
    /// The producer's address.
    pub born_host: SocketAddr,
    /// When the broker stored it, Unix milliseconds.
    pub store_timestamp: i64,
    /// The broker's address.
    pub store_host: SocketAddr,
    /// How often it was redelivered.
    pub reconsume_times: i32,
    /// Where the half message lies, for a transaction.
    pub prepared_transaction_offset: i64,
    /// The body, compressed if the flags say so.
    pub body: Bytes,
    /// The topic.
    pub topic: Topic,
    /// The encoded properties.
    pub properties: Bytes,
}

impl StoredMessage {
    /// Bytes that the record takes.
    #[must_use]
    pub fn encoded_len(&self, version: RecordVersion) -> usize {
        let host = |host: &SocketAddr| if host.is_ipv6() { 20_usize } else { 8 };
        let topic_word = match version {
            RecordVersion::V1 => 1,
            RecordVersion::V2 => 2_usize,
        };
        [host(&self.born_host), host(&self.store_host), topic_word, self.body.len()]
            .into_iter()
            .chain([self.topic.as_str().len(), self.properties.len()])
            .fold(FIXED, usize::saturating_add)
    }
}

/// The layout of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordVersion {
    /// Topics of at most 255 bytes.
    #[default]
    V1,
    /// Longer topics.
    V2,
}

/// Appends the record of `message` to `out`.
///
/// # Errors
/// A part is too long for its length field; nothing is written then.
pub fn encode_record(message: &StoredMessage, version: RecordVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let total = i32::try_from(message.encoded_len(version)).map_err(|_| EncodeError::Body)?;
    let body_len = i32::try_from(message.body.len()).map_err(|_| EncodeError::Body)?;
    let properties_len = i16::try_from(message.properties.len()).map_err(|_| EncodeError::Properties)?;
    let topic = message.topic.as_str().as_bytes();
    let narrow = u8::try_from(topic.len()).map(u8::to_be_bytes);
    let wide = i16::try_from(topic.len()).map(i16::to_be_bytes);
    let (magic, topic_len): (u32, &[u8]) = match version {
        RecordVersion::V1 => (MAGIC_V1, narrow.as_ref().map_err(|_| EncodeError::Topic)?),
        RecordVersion::V2 => (MAGIC_V2, wide.as_ref().map_err(|_| EncodeError::Topic)?),
    };
    out.reserve(message.encoded_len(version));
    let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
    put(&total.to_be_bytes());
    put(&magic.to_be_bytes());
    put(&crc_of(&message.body).to_be_bytes());
    put(&message.queue_id.to_be_bytes());
    put(&message.flag.to_be_bytes());
    put(&message.queue_offset.to_wire().to_be_bytes());
    put(&message.physical_offset.to_be_bytes());
    put(&families(message).0.to_be_bytes());
    put(&message.born_timestamp.to_be_bytes());
    put_host(message.born_host, &mut put);
    put(&message.store_timestamp.to_be_bytes());
    put_host(message.store_host, &mut put);
    put(&message.reconsume_times.to_be_bytes());
    put(&message.prepared_transaction_offset.to_be_bytes());
    put(&body_len.to_be_bytes());
    put(&message.body);
    put(topic_len);
    put(topic);
    put(&properties_len.to_be_bytes());
    put(&message.properties);
    Ok(())
}

/// A message that no record can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The body, or the whole record, is over 2 GiB.
    #[error("body too long")]
    Body,
    /// The topic is longer than the layout allows.
    #[error("topic too long")]
    Topic,
    /// The properties are over 32,767 bytes.
    #[error("properties too long")]
    Properties,
}

fn families(message: &StoredMessage) -> SysFlags {
    let bit = |host: SocketAddr, bit| if host.is_ipv6() { bit } else { 0 };
    let clear = message.sys_flag.0 & !(SysFlags::BORN_V6 | SysFlags::STORE_V6);
    SysFlags(clear | bit(message.born_host, SysFlags::BORN_V6) | bit(message.store_host, SysFlags::STORE_V6))
}

fn put_host(host: SocketAddr, put: &mut impl FnMut(&[u8])) {
    match host.ip() {
        IpAddr::V4(ip) => put(&ip.octets()),
        IpAddr::V6(ip) => put(&ip.octets()),
    }
    put(&i32::from(host.port()).to_be_bytes());
}

/// Bytes of a record without hosts, body, topic with its length, and properties.
const FIXED: usize = 74;
