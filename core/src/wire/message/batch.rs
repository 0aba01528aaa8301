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
use crate::mutants::mutant;

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
        if items.len() >= max_items && !mutant!(101) {
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
/// Everything an item does not say is the record's. There is no limit but that of the record: brokers store batches of
/// tens of thousands, and each item has 22 bytes or more.
///
/// # Errors
/// The body is not a batch.
pub fn unwrap_inner(record: &Record, buf: &[u8]) -> Result<Vec<InnerItem>, BatchError> {
    decode(buf, record.body.clone(), record.queue_offset, usize::MAX)
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

/// Bytes of an item without body and properties.
pub const FIXED: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::properties::{get, name};
    use crate::wire::testdata::captured;
    use proptest::prelude::*;

    fn read(buf: &[u8]) -> Result<Vec<InnerItem>, BatchError> {
        decode(buf, 0..buf.len(), QueueOffset::new(10), usize::MAX)
    }

    #[test]
    fn a_batch_of_java_is_read_and_written_back() {
        let buf = captured!("java540_320", 0);
        let items = read(&buf).unwrap();
        assert_eq!(items.iter().map(|item| &buf[item.body.clone()]).collect::<Vec<_>>(), [b"b1", b"b2"]);
        assert_eq!(items.iter().map(|item| item.queue_offset.get()).collect::<Vec<_>>(), [10, 11]);
        assert_eq!(get(&buf[items[0].properties.clone()], name::TAGS), Some("TagB"));
        let again: Vec<_> = items
            .iter()
            .map(|item| BatchItem {
                flag: item.flag,
                body: &buf[item.body.clone()],
                properties: &buf[item.properties.clone()],
            })
            .collect();
        assert_eq!(encode(&again).unwrap(), buf);
    }

    #[test]
    fn malformed_items_are_told_by_number() {
        let good = encode(&[BatchItem { flag: 1, body: b"body", properties: b"" }; 2]).unwrap();
        assert_eq!(read(&good[..good.len() - 1]), Err(BatchError::Malformed { index: 1 }));
        for (at, value) in [(0, 0xFF), (3, 0), (3, 25), (3, 27), (16, 0xFF), (19, 5), (24, 0x80)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(read(&bad), Err(BatchError::Malformed { index: 0 }), "{at} {value}");
        }
        assert_eq!(decode(&good, 0..1_000, QueueOffset::ZERO, 9), Err(BatchError::Malformed { index: 0 }));
        assert_eq!(decode(&good, 0..good.len(), QueueOffset::ZERO, 1), Err(BatchError::TooMany { limit: 1 }));
    }

    #[test]
    fn long_properties_are_refused() {
        let properties = alloc::vec![b'x'; 32_768];
        assert_eq!(encode(&[BatchItem { properties: &properties, ..BatchItem::default() }]), Err(BatchError::TooLong));
    }

    proptest! {
        #[test]
        fn batches_come_back(
            items in prop::collection::vec((any::<i32>(), any::<Vec<u8>>(), any::<Vec<u8>>()), 0..8),
            before in 0_usize..9,
        ) {
            let sent: Vec<_> = items
                .iter()
                .map(|(flag, body, properties)| BatchItem { flag: *flag, body, properties })
                .collect();
            let mut buf = alloc::vec![0; before];
            buf.extend(encode(&sent).unwrap());
            let found = decode(&buf, before..buf.len(), QueueOffset::ZERO, 8).unwrap();
            let found: Vec<_> = found
                .iter()
                .map(|item| (item.flag, buf[item.body.clone()].to_vec(), buf[item.properties.clone()].to_vec()))
                .collect();
            prop_assert_eq!(found, items);
        }

        #[test]
        fn any_bytes_have_a_verdict(buf: Vec<u8>, size in 22_u8..60) {
            let _ = read(&buf);
            let mut framed = buf.repeat(10);
            for item in framed.chunks_exact_mut(usize::from(size)) {
                item[..4].copy_from_slice(&u32::from(size).to_be_bytes());
            }
            let _ = read(&framed);
        }
    }
}
