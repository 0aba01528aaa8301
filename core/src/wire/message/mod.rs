//! Messages as brokers store and send them.
//!
//! The body of a pull, pop, query or view reply is a plain concatenation of stored records. [`walk`] goes over it
//! without copying: a [`Record`] is numbers, and ranges into the buffer it was read from. One bad record costs
//! that record only, as each says how long it is; only a nonsensical length ends the walk.

pub mod batch;
mod encode;
mod ids;
pub mod properties;
mod recall;
mod unique;

pub use batch::{BatchError, BatchItem, InnerItem};
pub use encode::{EncodeError, RecordVersion, StoredMessage, encode_record};
pub use ids::{MsgIdError, OffsetMsgId};
pub use recall::{NoHandle, RecallHandle};
pub use unique::{UniqueKeyList, UniqueKeys};

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::Range;

use nom::bytes::complete::take;
use nom::number::complete::{be_i8, be_i16, be_i32, be_i64, be_u8, be_u16, be_u32, be_u128};
use nom::{IResult, Parser};

use super::compress::CompressionKind;
use crate::ids::QueueOffset;
use crate::mutants::{self, mutant};

/// One stored message; the ranges are into the buffer it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where the record starts.
    pub start: usize,
    /// Bytes of the whole record.
    pub len: usize,
    /// CRC-32 of the stored body without its top bit; 0 when the broker stored none.
    pub body_crc: u32,
    /// The queue.
    pub queue_id: i32,
    /// A flag of the user's.
    pub flag: i32,
    /// The position in the queue.
    pub queue_offset: QueueOffset,
    /// The position in the broker's commit log, bytes.
    pub physical_offset: i64,
    /// Compression, transaction state, address families, batching.
    pub sys_flag: SysFlags,
    /// When the producer made it, Unix milliseconds.
    pub born_timestamp: i64,
    /// The producer's address as the broker saw it.
    pub born_host: SocketAddr,
    /// When the broker stored it, Unix milliseconds.
    pub store_timestamp: i64,
    /// The broker's address.
    pub store_host: SocketAddr,
    /// How often it was redelivered.
    pub reconsume_times: i32,
    /// Where the half message lies, for a transaction.
    pub prepared_transaction_offset: i64,
    /// The body as stored, possibly compressed.
    pub body: Range<usize>,
    /// The topic, checked to be UTF-8.
    pub topic: Range<usize>,
    /// The encoded properties.
    pub properties: Range<usize>,
}

impl Record {
    /// The body as stored; `buf` is the buffer the record was read from.
    #[must_use]
    pub fn body<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        buf.get(self.body.clone()).unwrap_or_default()
    }

    /// The topic.
    #[must_use]
    pub fn topic<'a>(&self, buf: &'a [u8]) -> &'a str {
        core::str::from_utf8(buf.get(self.topic.clone()).unwrap_or_default()).unwrap_or_default()
    }

    /// The encoded properties.
    #[must_use]
    pub fn properties<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        buf.get(self.properties.clone()).unwrap_or_default()
    }

    /// One property.
    #[must_use]
    pub fn property<'a>(&self, buf: &'a [u8], key: &str) -> Option<&'a str> {
        properties::get(self.properties(buf), key)
    }

    /// The id that says where the message is stored.
    #[must_use]
    pub const fn offset_msg_id(&self) -> OffsetMsgId {
        OffsetMsgId { host: self.store_host, physical_offset: self.physical_offset }
    }
}

/// The system flags of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SysFlags(pub i32);

impl SysFlags {
    /// The body is compressed.
    pub const COMPRESSED: i32 = 0x1;
    /// The transaction bits.
    pub const TRANSACTION_MASK: i32 = 0xC;
    /// The producer's address is IPv6.
    pub const BORN_V6: i32 = 0x10;
    /// The broker's address is IPv6.
    pub const STORE_V6: i32 = 0x20;
    /// The body must be unwrapped by the client.
    pub const NEED_UNWRAP: i32 = 0x40;
    /// The body is a batch.
    pub const INNER_BATCH: i32 = 0x80;
    /// The bits that say how the body is compressed.
    pub const COMPRESSION_MASK: i32 = 0x700;

    /// Whether the body is compressed.
    #[must_use]
    pub const fn compressed(self) -> bool {
        self.0 & Self::COMPRESSED != 0
    }

    /// How the body is compressed; `None` when it is not, or in a way we do not know.
    #[must_use]
    pub const fn compression(self) -> Option<CompressionKind> {
        if self.compressed() { CompressionKind::from_sys_flag(self.0) } else { None }
    }

    /// The part in a transaction.
    #[must_use]
    pub const fn transaction(self) -> TransactionKind {
        match self.0 & Self::TRANSACTION_MASK {
            0x4 => TransactionKind::Prepared,
            0x8 => TransactionKind::Commit,
            0xC => TransactionKind::Rollback,
            _ => TransactionKind::None,
        }
    }

    /// The flags with this part in a transaction.
    #[must_use]
    pub const fn with_transaction(self, kind: TransactionKind) -> Self {
        let bits = match kind {
            TransactionKind::None => 0,
            TransactionKind::Prepared => 0x4,
            TransactionKind::Commit => 0x8,
            TransactionKind::Rollback => 0xC,
        };
        Self((self.0 & !Self::TRANSACTION_MASK) | bits)
    }

    /// The flags of a body compressed this way.
    #[must_use]
    pub const fn with_compression(self, kind: CompressionKind) -> Self {
        Self((self.0 & !Self::COMPRESSION_MASK) | Self::COMPRESSED | kind.to_sys_flag())
    }

    /// The flags of a body that is no longer compressed: Java leaves the kind, we clear both.
    #[must_use]
    pub const fn without_compression(self) -> Self {
        Self(self.0 & !(Self::COMPRESSION_MASK | Self::COMPRESSED))
    }

    /// Whether the producer's address is IPv6.
    #[must_use]
    pub const fn born_v6(self) -> bool {
        self.0 & Self::BORN_V6 != 0
    }

    /// Whether the broker's address is IPv6.
    #[must_use]
    pub const fn store_v6(self) -> bool {
        self.0 & Self::STORE_V6 != 0
    }

    /// Whether the body is a batch that the client must unwrap.
    #[must_use]
    pub const fn inner_batch(self) -> bool {
        let both = Self::NEED_UNWRAP | Self::INNER_BATCH;
        self.0 & both == both
    }
}

/// The part a message plays in a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransactionKind {
    /// None.
    #[default]
    None,
    /// A half message: not to be delivered yet.
    Prepared,
    /// A committed one.
    Commit,
    /// One rolled back.
    Rollback,
}

/// Bounds on a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// Records in one buffer.
    pub max_records: usize,
    /// Whether to check the CRC of bodies whose broker stored one.
    pub verify_crc: bool,
}

impl RecordLimits {
    /// The limits for a pull that asked for `max_messages`: brokers may give more, but not many times more.
    #[must_use]
    pub fn for_pull(max_messages: u32) -> Self {
        let asked = usize::try_from(max_messages).unwrap_or(usize::MAX);
        Self { max_records: asked.max(PULL_BATCH).saturating_mul(SLACK), verify_crc: true }
    }
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self::for_pull(0)
    }
}

/// What a walk finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A record.
    Record(Record),
    /// A record that cannot be read, among others that can.
    Poison(Poison),
    /// The rest of the buffer cannot be read; nothing follows.
    Rest(Lost),
}

/// A record that says how long it is but cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison {
    /// Where the record starts.
    pub start: usize,
    /// Bytes of the whole record.
    pub len: usize,
    /// The queue, as far as the bytes can be trusted.
    pub queue_id: i32,
    /// The position in the queue, unless it is negative.
    pub queue_offset: Option<QueueOffset>,
    /// The position in the commit log, unless it is negative.
    pub physical_offset: Option<i64>,
    /// What is wrong.
    pub reason: PoisonReason,
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoisonReason {
    /// Neither of the two layouts.
    #[error("unknown record magic {0:#010X}")]
    Magic(u32),
    /// A field has a negative length or reaches past the record.
    #[error("{0} runs past the record")]
    Field(&'static str),
    /// Bytes are left over after the last field.
    #[error("{0} bytes after the last field")]
    Slack(usize),
    /// A negative queue offset.
    #[error("negative queue offset")]
    QueueOffset,
    /// A port no host can have.
    #[error("host port {0}")]
    Port(i32),
    /// The topic is not UTF-8.
    #[error("the topic is not UTF-8")]
    Topic,
    /// The body is not the one that was stored.
    #[error("body CRC {computed:#010X}, stored {stored:#010X}")]
    Crc {
        /// The CRC in the record.
        stored: u32,
        /// The CRC of the body.
        computed: u32,
    },
}

/// The end of a buffer that cannot be walked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Where it starts.
    pub start: usize,
    /// Why.
    pub reason: LostReason,
}

/// Why a walk ends before its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LostReason {
    /// Fewer bytes than a length word.
    #[error("{0} bytes where a record should start")]
    Truncated(usize),
    /// A size no record can have.
    #[error("record size {0}")]
    Size(i32),
    /// The record reaches past the buffer.
    #[error("record of {announced} bytes with {available} left")]
    PastEnd {
        /// The size of the record.
        announced: usize,
        /// The bytes there are.
        available: usize,
    },
    /// More records than the limit.
    #[error("more than {0} records")]
    TooMany(usize),
}

/// Goes over the records in `buf`.
#[must_use]
pub const fn walk(buf: &[u8], limits: RecordLimits) -> Walk<'_> {
    Walk { buf, at: 0, limits, seen: 0 }
}

/// The iterator of [`walk`].
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    buf: &'a [u8],
    at: usize,
    limits: RecordLimits,
    seen: usize,
}

impl Walk<'_> {
    fn lost(&mut self, reason: LostReason) -> Entry {
        let start = self.at;
        self.at = self.buf.len();
        Entry::Rest(Lost { start, reason })
    }
}

impl Iterator for Walk<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let rest = self.buf.get(self.at..).filter(|rest| !rest.is_empty())?;
            let Some(word) = rest.first_chunk::<4>() else {
                return Some(self.lost(LostReason::Truncated(rest.len())));
            };
            let announced = i32::from_be_bytes(*word);
            let magic = magic_of(rest);
            let min = if magic == Some(MAGIC_BLANK) { MIN_BLANK } else { MIN_RECORD };
            let Some(len) = usize::try_from(announced).ok().filter(|len| *len > min || (*len == min && !mutant!(102)))
            else {
                return Some(self.lost(LostReason::Size(announced)));
            };
            let Some(bytes) = rest.get(..len) else {
                return Some(self.lost(LostReason::PastEnd { announced: len, available: rest.len() }));
            };
            if self.seen >= self.limits.max_records {
                return Some(self.lost(LostReason::TooMany(self.limits.max_records)));
            }
            self.seen = self.seen.saturating_add(1);
            let start = self.at;
            self.at = start.saturating_add(len);
            if magic == Some(MAGIC_BLANK) {
                continue;
            }
            return Some(match decode(bytes, start, self.limits.verify_crc) {
                Ok(record) => Entry::Record(record),
                Err(reason) => Entry::Poison(poison(bytes, start, reason)),
            });
        }
    }
}

fn magic_of(bytes: &[u8]) -> Option<u32> {
    let (_, word) = bytes.split_first_chunk::<4>()?.1.split_first_chunk::<4>().map(|(word, _)| ((), word))?;
    Some(u32::from_be_bytes(*word))
}

/// Decodes the record that `bytes` wholly is.
fn decode(bytes: &[u8], start: usize, verify_crc: bool) -> Result<Record, PoisonReason> {
    let at = |rest: &[u8]| start.saturating_add(bytes.len().saturating_sub(rest.len()));
    let (rest, (_, magic, body_crc, queue_id, flag)) =
        (be_i32, be_u32, be_u32, be_i32, be_i32).parse(bytes).map_err(past("head"))?;
    let wide_topic = match magic {
        MAGIC_V1 => false,
        MAGIC_V2 => true,
        _ => return Err(PoisonReason::Magic(magic)),
    };
    let (rest, (queue_offset, physical_offset, sys_flag, born_timestamp)) =
        (be_i64, be_i64, be_i32, be_i64).parse(rest).map_err(past("head"))?;
    let queue_offset = QueueOffset::from_wire(queue_offset).ok_or(PoisonReason::QueueOffset)?;
    let sys_flag = SysFlags(sys_flag);
    let (rest, born_host) = host(rest, sys_flag.born_v6(), "born host")?;
    let (rest, store_timestamp) = be_i64(rest).map_err(past("store timestamp"))?;
    let (rest, store_host) = host(rest, sys_flag.store_v6(), "store host")?;
    let (rest, (reconsume_times, prepared_transaction_offset, body_len)) =
        (be_i32, be_i64, be_i32).parse(rest).map_err(past("head"))?;
    let body_at = at(rest);
    let (rest, body) = sized(rest, body_len).map_err(past("body"))?;
    let (rest, topic_len) = topic_len(rest, wide_topic).map_err(past("topic"))?;
    let topic_at = at(rest);
    let (rest, topic) = sized(rest, topic_len).map_err(past("topic"))?;
    let (rest, properties_len) = be_i16(rest).map_err(past("properties"))?;
    let properties_at = at(rest);
    let (rest, properties) = sized(rest, i32::from(properties_len)).map_err(past("properties"))?;
    if !rest.is_empty() {
        return Err(PoisonReason::Slack(rest.len()));
    }
    if mutant!(107) {
        mutants::decoder::text(topic);
    }
    if core::str::from_utf8(topic).is_err() {
        return Err(PoisonReason::Topic);
    }
    if verify_crc && body_crc != 0 {
        let computed = crc_of(body);
        if computed != body_crc {
            return Err(PoisonReason::Crc { stored: body_crc, computed });
        }
    }
    Ok(Record {
        start,
        len: bytes.len(),
        body_crc,
        queue_id,
        flag,
        queue_offset,
        physical_offset,
        sys_flag,
        born_timestamp,
        born_host,
        store_timestamp,
        store_host,
        reconsume_times,
        prepared_transaction_offset,
        body: range(body_at, body),
        topic: range(topic_at, topic),
        properties: range(properties_at, properties),
    })
}

/// What can be told of a record that [`decode`] refused.
#[cold]
fn poison(bytes: &[u8], start: usize, reason: PoisonReason) -> Poison {
    let place: IResult<&[u8], _, ()> = (take(PLACE_AT), be_i32, take(4_usize), be_i64, be_i64).parse(bytes);
    let (queue_id, queue_offset, physical_offset) =
        place.map_or((0, -1, -1), |(_, (_, queue_id, _, queue, physical))| (queue_id, queue, physical));
    Poison {
        start,
        len: bytes.len(),
        queue_id,
        queue_offset: QueueOffset::from_wire(queue_offset),
        physical_offset: Some(physical_offset).filter(|offset| *offset >= 0),
        reason,
    }
}

/// An address and a port, as records and ids write them.
fn host<'a>(input: &'a [u8], v6: bool, name: &'static str) -> Result<(&'a [u8], SocketAddr), PoisonReason> {
    let (rest, ip) = address(input, v6).map_err(past(name))?;
    let (rest, port) = be_i32(rest).map_err(past(name))?;
    let port = u16::try_from(port).map_err(|_| PoisonReason::Port(port))?;
    Ok((rest, SocketAddr::new(ip, port)))
}

fn address(input: &[u8], v6: bool) -> IResult<&[u8], IpAddr, ()> {
    if v6 {
        be_u128.map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))).parse(input)
    } else {
        be_u32.map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))).parse(input)
    }
}

fn topic_len(input: &[u8], wide: bool) -> IResult<&[u8], i32, ()> {
    match wide {
        true => be_u16.map(i32::from).parse(input),
        false if mutant!(103) => be_i8.map(i32::from).parse(input),
        false => be_u8.map(i32::from).parse(input),
    }
}

/// So many bytes; a negative length is an error.
fn sized(input: &[u8], len: i32) -> IResult<&[u8], &[u8], ()> {
    let len = u32::try_from(len).map_err(|_| nom::Err::Error(()))?;
    take(len).parse(input)
}

fn past(name: &'static str) -> impl Fn(nom::Err<()>) -> PoisonReason {
    move |_| PoisonReason::Field(name)
}

fn range(at: usize, bytes: &[u8]) -> Range<usize> {
    at..at.saturating_add(bytes.len())
}

/// The CRC of a body as records hold it.
#[must_use]
pub fn crc_of(body: &[u8]) -> u32 {
    crc32fast::hash(body) & 0x7fff_ffff
}

/// Magic of a record whose topic has a one-byte length.
const MAGIC_V1: u32 = 0xDAA3_20A7;
/// Magic of a record whose topic has a two-byte length.
const MAGIC_V2: u32 = 0xDAA3_20AB;
/// Magic of the filler at the end of a commit-log file.
const MAGIC_BLANK: u32 = 0xCBD4_3194;
/// Bytes of the smallest record: IPv4, no body, no topic, no properties.
const MIN_RECORD: usize = 91;
/// Bytes of the smallest filler.
const MIN_BLANK: usize = 8;
/// Where the queue id stands: after size, magic and CRC.
const PLACE_AT: usize = 12;
/// What a broker gives at most per pull by default (`maxTransferCountOnMessageInMemory`).
const PULL_BATCH: usize = 32;
/// How many times the messages asked for a reply may hold.
const SLACK: usize = 4;

#[cfg(test)]
mod tests;
