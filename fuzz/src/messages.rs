//! Stored records, batches, compressed bodies, properties.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use arbitrary::Unstructured;
use bytes::Bytes;
use rocketmq_core::ids::QueueOffset;
use rocketmq_core::wire::compress::{self, CompressionKind, InflateError};
use rocketmq_core::wire::message::batch::{self, BatchItem};
use rocketmq_core::wire::message::properties::{self as pairs, PropertyError};
use rocketmq_core::wire::message::{
    Entry, Record, RecordLimits, RecordVersion, StoredMessage, SysFlags, encode_record, walk,
};

use crate::memory::{share, within};

/// The body of a pull reply: every entry has its place, in order and without overlap; a record is written back byte
/// for byte; only an impossible length hides what follows.
pub fn pull_body(data: &[u8]) {
    let limits = RecordLimits { max_records: 64, verify_crc: true };
    let (mut at, mut count, mut lost) = (0, 0, false);
    for entry in walk(data, limits) {
        assert!(!lost, "nothing follows a loss");
        count += 1;
        let (start, len) = match &entry {
            Entry::Record(record) => {
                written_back(record, data);
                (record.start, record.len)
            }
            Entry::Poison(poison) => (poison.start, poison.len),
            Entry::Rest(rest) => {
                lost = true;
                (rest.start, data.len() - rest.start)
            }
        };
        assert!(start >= at && len > 0 && start + len <= data.len(), "{entry:?} after {at}");
        fillers(&data[at..start]);
        at = start + len;
    }
    assert!(count <= limits.max_records + 1);
    fillers(&data[at..]);
}

/// What is passed over in silence is the filler at the end of a commit-log file.
fn fillers(mut gap: &[u8]) {
    while !gap.is_empty() {
        assert_eq!(gap[4..8], 0xCBD4_3194_u32.to_be_bytes(), "a gap that is no filler");
        let len = u32::from_be_bytes([gap[0], gap[1], gap[2], gap[3]]) as usize;
        gap = &gap[len..];
    }
}

fn written_back(record: &Record, data: &[u8]) {
    let id = record.offset_msg_id();
    assert_eq!(id.to_string().parse(), Ok(id));
    let (flags, transaction) = (record.sys_flag, record.sys_flag.transaction());
    assert_eq!(flags.with_transaction(transaction), flags);
    assert!(!flags.without_compression().compressed());
    let raw = &data[record.start..record.start + record.len];
    let version = if raw[7] == 0xAB { RecordVersion::V2 } else { RecordVersion::V1 };
    let message = stored(record, data);
    let mut again = Vec::new();
    match encode_record(&message, version, &mut again) {
        Ok(()) => {
            // A record without CRC gets one.
            if record.body_crc == 0 {
                again[8..12].fill(0);
            }
            assert_eq!(again, raw);
        }
        // The topic of the second layout may be longer than we write.
        Err(error) => assert!(record.topic.len() > 32_767, "{error}"),
    }
    if let Some(kind) = record.sys_flag.compression() {
        let _ = compress::inflate(kind, record.body(data), 64 * 1024).map(|body| assert!(body.len() <= 64 * 1024));
    }
    if record.sys_flag.inner_batch() {
        let most = record.body.len() / batch::FIXED;
        let _ = batch::unwrap_inner(record, data).map(|items| assert!(items.len() <= most));
    }
}

fn stored(record: &Record, data: &[u8]) -> StoredMessage {
    StoredMessage {
        queue_id: record.queue_id,
        flag: record.flag,
        queue_offset: record.queue_offset,
        physical_offset: record.physical_offset,
        sys_flag: record.sys_flag,
        born_timestamp: record.born_timestamp,
        born_host: record.born_host,
        store_timestamp: record.store_timestamp,
        store_host: record.store_host,
        reconsume_times: record.reconsume_times,
        prepared_transaction_offset: record.prepared_transaction_offset,
        body: Bytes::copy_from_slice(record.body(data)),
        topic: record.topic(data).into(),
        properties: Bytes::copy_from_slice(record.properties(data)),
    }
}

/// Made-up messages: written as records of either layout, with any hosts, compressed or batched, they are read as
/// the same.
pub fn message_structured(data: &[u8]) {
    let mut from = Unstructured::new(data);
    let (mut buf, mut messages) = (Vec::new(), Vec::new());
    while messages.len() < 8 && !from.is_empty() {
        let Ok((message, version, plain)) = message(&mut from) else { break };
        if encode_record(&message, version, &mut buf).is_ok() {
            messages.push((message, plain));
        }
    }
    let read: Vec<_> = walk(&buf, RecordLimits::default()).collect();
    assert_eq!(read.len(), messages.len());
    for (entry, (message, plain)) in read.iter().zip(&messages) {
        let Entry::Record(record) = entry else { panic!("{entry:?}") };
        assert_eq!(stored(record, &buf), *message);
        if let Some(kind) = record.sys_flag.compression() {
            assert_eq!(compress::inflate(kind, record.body(&buf), plain.len()).as_ref(), Ok(plain));
        }
        if record.sys_flag.inner_batch() {
            let items = batch::unwrap_inner(record, &buf).expect("our own batch");
            let bodies: Vec<_> = items.iter().flat_map(|item| buf[item.body.clone()].to_vec()).collect();
            assert_eq!(bodies, *plain);
        }
    }
}

fn message(from: &mut Unstructured<'_>) -> arbitrary::Result<(StoredMessage, RecordVersion, Vec<u8>)> {
    let version = if from.arbitrary()? { RecordVersion::V1 } else { RecordVersion::V2 };
    let plain: Vec<u8> = from.arbitrary()?;
    let (born_host, store_host) = (host(from)?, host(from)?);
    let families = [(born_host, SysFlags::BORN_V6), (store_host, SysFlags::STORE_V6)];
    let families = families.into_iter().map(|(host, bit)| if host.is_ipv6() { bit } else { 0 }).sum::<i32>();
    let kinds = [CompressionKind::Zlib, CompressionKind::Lz4, CompressionKind::Zstd];
    let flags = SysFlags(families | (from.int_in_range(0..=3)? << 2));
    let (body, sys_flag) = match from.int_in_range(0..=4)? {
        kind @ 0..=2 => {
            let packed = compress::deflate(kinds[kind], 5, &plain).expect("a kind of this build");
            (packed, flags.with_compression(kinds[kind]))
        }
        3 => {
            let items = plain.chunks(7).map(|body| BatchItem { flag: 1, body, properties: b"k\x01v\x02" });
            let items: Vec<_> = items.take(100).collect();
            (batch::encode(&items).expect("short items"), SysFlags(flags.0 | 0xC0))
        }
        _ => (plain.clone(), flags),
    };
    let plain = if sys_flag.inner_batch() { plain.chunks(7).take(100).flatten().copied().collect() } else { plain };
    let topic: String = from.arbitrary()?;
    let properties: Vec<u8> = from.arbitrary()?;
    let message = StoredMessage {
        queue_id: from.arbitrary()?,
        flag: from.arbitrary()?,
        queue_offset: QueueOffset::new(from.int_in_range(0..=i64::MAX as u64)?),
        physical_offset: from.arbitrary()?,
        sys_flag,
        born_timestamp: from.arbitrary()?,
        born_host,
        store_timestamp: from.arbitrary()?,
        store_host,
        reconsume_times: from.arbitrary()?,
        prepared_transaction_offset: from.arbitrary()?,
        body: body.into(),
        topic: topic.into(),
        properties: properties.into(),
    };
    Ok((message, version, plain))
}

fn host(from: &mut Unstructured<'_>) -> arbitrary::Result<SocketAddr> {
    let ip = if from.arbitrary()? {
        IpAddr::from(from.arbitrary::<[u8; 4]>()?)
    } else {
        from.arbitrary::<[u8; 16]>()?.into()
    };
    Ok(SocketAddr::new(ip, from.arbitrary()?))
}

/// A batch body: its items fill it, and are written back in the same size.
pub fn inner_batch(data: &[u8]) {
    let decode = || batch::decode(data, 0..data.len(), QueueOffset::ZERO, MAX_ITEMS);
    let Ok(items) = within(share(data.len()), decode) else { return };
    assert!(items.len() <= MAX_ITEMS);
    let item = |item: &batch::InnerItem| BatchItem {
        flag: item.flag,
        body: &data[item.body.clone()],
        properties: &data[item.properties.clone()],
    };
    let again = batch::encode(&items.iter().map(item).collect::<Vec<_>>()).expect("items that were read");
    assert_eq!(again.len(), data.len());
    let reread = batch::decode(&again, 0..again.len(), QueueOffset::ZERO, MAX_ITEMS).expect("our own batch");
    assert_eq!(reread, items);
    let offsets: Vec<_> = items.iter().map(|item| item.queue_offset.get()).collect();
    assert!(offsets.iter().copied().eq(0..items.len() as u64));
}

/// The first byte says the kind, the next two the cap in units of 16 bytes: never more comes out than the cap, and
/// what comes out does not depend on it. Memory is for the cap and the window, whatever sizes the data announces.
pub fn inflate(data: &[u8]) {
    let [kind, high, low, packed @ ..] = data else { return };
    let kinds = [CompressionKind::Zlib, CompressionKind::Lz4, CompressionKind::Zstd];
    let kind = kinds[usize::from(*kind) % kinds.len()];
    let cap = 16 * usize::from(u16::from_be_bytes([*high, *low]));
    match within(2 * cap + WINDOW, || compress::inflate(kind, packed, cap)) {
        Ok(body) => {
            assert!(body.len() <= cap);
            assert_eq!(compress::inflate(kind, packed, body.len()).as_ref(), Ok(&body));
            if let Some(less) = body.len().checked_sub(1) {
                assert_eq!(compress::inflate(kind, packed, less), Err(InflateError::OverCap { cap: less }));
            }
        }
        Err(InflateError::OverCap { cap: told }) => assert_eq!(told, cap),
        Err(InflateError::Corrupt(told)) => assert_eq!(told, kind),
        Err(error) => panic!("{error}"),
    }
}

/// Encoded properties: the pairs are those that Java's splitting gives; written, they are read as the same.
pub fn properties(data: &[u8]) {
    let read: Vec<_> = pairs::iter(data).collect();
    let mut expected = Vec::new();
    for segment in data.split(|byte| *byte == 2) {
        let mut parts = segment.splitn(2, |byte| *byte == 1);
        if let (Some(key), Some(value)) = (parts.next(), parts.next())
            && let (Ok(key), Ok(value)) = (std::str::from_utf8(key), std::str::from_utf8(value))
            && !key.is_empty()
            && !value.is_empty()
        {
            expected.push((key, value));
        }
    }
    assert_eq!(read, expected);
    let last: BTreeMap<_, _> = read.iter().copied().collect();
    // Each look goes over all of them.
    for (key, value) in last.iter().take(64) {
        assert_eq!(pairs::get(data, key), Some(*value));
    }
    match pairs::encode(read.iter().copied()) {
        Ok(text) => assert_eq!(pairs::iter(text.as_bytes()).collect::<Vec<_>>(), read),
        Err(PropertyError::Separator) => assert!(read.iter().any(|(_, value)| value.contains('\u{1}'))),
        Err(PropertyError::TooLong { len }) => assert!(len > pairs::MAX_LEN),
        Err(PropertyError::Empty) => panic!("what is read is never empty"),
    }
}

/// What codecs keep of their output, the largest window of Zstandard twice, and the space they work in.
const WINDOW: usize = 20 * 1024 * 1024;
/// Small enough for a fuzzer to reach.
const MAX_ITEMS: usize = 64;
