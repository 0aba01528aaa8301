//! Batches: the body of a batch send, and of an inner-batch record.
//!
//! `size i32 | magic i32 = 0 | CRC i32 = 0 | flag i32 | body length i32, body | properties length i16, properties`,
//! once per message. The size includes itself.

use alloc::vec::Vec;
use core::ops::Range;

use nom::Parser;
use nom::number::complete::{be_i16, be_i32};

use super::{Record, range, sized};
use crate::ids::QueueOffset;

/// One message of a batch to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchItem<'a> {
    /// A flag of the user's.
    pub flag: i32,
    /// The body.
    pub body: &'a [u8],
    /// The encoded properties.
    pub properties: &'a [u8],
}

impl BatchItem<'_> {
    /// Bytes that the item takes in a batch body.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        FIXED.saturating_add(self.body.len()).saturating_add(self.properties.len())
    }
}

/// Appends one message to a batch body.
///
/// # Errors
/// A part is too long for its length field; nothing is written then.
pub fn push(item: &BatchItem<'_>, out: &mut Vec<u8>) -> Result<(), BatchError> {
    let size = i32::try_from(item.encoded_len()).map_err(|_| BatchError::TooLong)?;
    let body_len = i32::try_from(item.body.len()).map_err(|_| BatchError::TooLong)?;
    let properties_len = i16::try_from(item.properties.len()).map_err(|_| BatchError::TooLong)?;
    out.reserve(item.encoded_len());
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&item.flag.to_be_bytes());
    out.extend_from_slice(&body_len.to_be_bytes());
    out.extend_from_slice(item.body);
    out.extend_from_slice(&properties_len.to_be_bytes());
    out.extend_from_slice(item.properties);
    Ok(())
}

/// A batch body of these messages.
///
/// # Errors
/// A part of one is too long for its length field.
pub fn encode(items: &[BatchItem<'_>]) -> Result<Vec<u8>, BatchError> {
    let mut out = Vec::with_capacity(items.iter().map(BatchItem::encoded_len).fold(0, usize::saturating_add));
    items.iter().try_for_each(|item| push(item, &mut out))?;
    Ok(out)
}

/// One message of a batch that was read; the ranges are into the buffer it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InnerItem {
    /// The position in the queue.
    pub queue_offset: QueueOffset,
    /// A flag of the user's.
    pub flag: i32,
    /// The body; items are never compressed.
    pub body: Range<usize>,
    /// The encoded properties.
    pub properties: Range<usize>,
}

/// The messages of the batch body that lies at `within` in `buf`, numbered from `first`.
///
/// # Errors
/// The bytes are not a whole number of well-formed items, or hold more than `max_items`.
pub fn decode(
    buf: &[u8],
    within: Range<usize>,
    first: QueueOffset,
    max_items: usize,
) -> Result<Vec<InnerItem>, BatchError> {
    let mut at = within.start;
    let mut rest = buf.get(within).ok_or(BatchError::Malformed { index: 0 })?;
    let mut items = Vec::new();
    let mut queue_offset = first;
    while !rest.is_empty() {
        if items.len() >= max_items {
            return Err(BatchError::TooMany { limit: max_items });
        }
        let (tail, item) = item(rest, at, queue_offset).ok_or(BatchError::Malformed { index: items.len() })?;
        at = at.saturating_add(rest.len().saturating_sub(tail.len()));
        rest = tail;
        queue_offset = queue_offset.next();
        items.push(item);
    }
    Ok(items)
}

/// The messages inside an inner-batch record ([`super::SysFlags::inner_batch`]), numbered from its own offset.
///
/// A broker gives the whole record again for a pull from its middle: drop the items before the offset asked for.
/// Everything an item does not say is the record's.
///
/// # Errors
/// The body is not a batch of at most 4,096 messages.
pub fn unwrap_inner(record: &Record, buf: &[u8]) -> Result<Vec<InnerItem>, BatchError> {
    decode(buf, record.body.clone(), record.queue_offset, MAX_INNER)
}

fn item(input: &[u8], at: usize, queue_offset: QueueOffset) -> Option<(&[u8], InnerItem)> {
    let (_, size) = be_i32::<_, ()>(input).ok()?;
    let (tail, bytes) = sized(input, size).ok()?;
    let position = |rest: &[u8]| at.saturating_add(bytes.len().saturating_sub(rest.len()));
    let (rest, (_, _, _, flag, body_len)) = (be_i32::<_, ()>, be_i32, be_i32, be_i32, be_i32).parse(bytes).ok()?;
    let body_at = position(rest);
    let (rest, body) = sized(rest, body_len).ok()?;
    let (rest, properties_len) = be_i16::<_, ()>(rest).ok()?;
    let properties_at = position(rest);
    let (rest, properties) = sized(rest, i32::from(properties_len)).ok()?;
    let whole = rest.is_empty();
    let (body, properties) = (range(body_at, body), range(properties_at, properties));
    whole.then_some((tail, InnerItem { queue_offset, flag, body, properties }))
}

/// A batch that cannot be written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A body over 2 GiB, or properties over 32,767 bytes.
    #[error("a message is too long for a batch")]
    TooLong,
    /// Not a whole number of well-formed items.
    #[error("item {index} of the batch is malformed")]
    Malformed {
        /// Its number, from 0.
        index: usize,
    },
    /// More items than the limit.
    #[error("more than {limit} messages in a batch")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

/// Messages in one inner-batch record at most.
pub const MAX_INNER: usize = 4_096;
/// Bytes of an item without body and properties.
const FIXED: usize = 22;
