#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use proptest::prelude::*;

use super::batch::unwrap_inner;
use super::properties::name;
use super::*;
use crate::wire::testdata::captured;

fn limits() -> RecordLimits {
    RecordLimits::default()
}

fn entries(buf: &[u8]) -> Vec<Entry> {
    walk(buf, limits()).collect()
}

/// The records of a buffer that has nothing else.
fn records(buf: &[u8]) -> Vec<Record> {
    let record = |entry| match entry {
        Entry::Record(record) => record,
        Entry::Poison(_) | Entry::Rest(_) => panic!("{entry:?}"),
    };
    walk(buf, limits()).map(record).collect()
}

/// The only poison of a buffer.
fn poison_in(buf: &[u8]) -> Poison {
    let found = entries(buf);
    let [Entry::Poison(poison)] = found.as_slice() else {
        panic!("{found:?}");
    };
    poison.clone()
}

fn stored(record: &Record, buf: &[u8]) -> StoredMessage {
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
        body: Bytes::copy_from_slice(record.body(buf)),
        topic: record.topic(buf).into(),
        properties: Bytes::copy_from_slice(record.properties(buf)),
    }
}

fn message(queue_offset: u64) -> StoredMessage {
    StoredMessage {
        queue_id: 3,
        flag: 7,
        queue_offset: QueueOffset::new(queue_offset),
        physical_offset: 1_000,
        sys_flag: SysFlags(0),
        born_timestamp: 1_700_000_000_000,
        born_host: "10.0.0.1:1234".parse().unwrap(),
        store_timestamp: 1_700_000_000_001,
        store_host: "10.0.0.2:10911".parse().unwrap(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::from_static(b"hello"),
        topic: "TopicTest".into(),
        properties: Bytes::from_static(b"TAGS\x01a\x02"),
    }
}

fn encoded(message: &StoredMessage) -> Vec<u8> {
    let mut out = Vec::new();
    encode_record(message, RecordVersion::V1, &mut out).unwrap();
    out
}

/// Three records, and where the second starts and ends.
fn three() -> (Vec<u8>, Range<usize>) {
    let parts = [0, 1, 2].map(|offset| encoded(&message(offset)));
    let start = parts[0].len();
    (parts.concat(), start..start + parts[1].len())
}

/// Offsets of a record's parts, IPv4 and V1.
mod at {
    pub(super) const MAGIC: usize = 4;
    pub(super) const QUEUE_OFFSET: usize = 20;
    pub(super) const BORN_PORT: usize = 52;
    pub(super) const BODY_LEN: usize = 84;
    pub(super) const BODY: usize = 88;
    pub(super) const TOPIC_LEN: usize = BODY + 5;
    pub(super) const TOPIC: usize = TOPIC_LEN + 1;
    pub(super) const PROPERTIES_LEN: usize = TOPIC + 9;
}

#[test]
fn the_crc_is_the_documented_vector() {
    assert_eq!(crc_of(b"hello"), 907_060_870);
}

#[test]
fn a_pull_of_a_real_broker_is_read() {
    let buf = captured!("v540_pull_11_found", 1);
    let found = records(&buf);
    let first = &found[0];
    assert_eq!(first.topic(&buf), "CapTopic");
    assert_eq!(first.body(&buf), b"hello rust");
    assert_eq!((first.queue_id, first.queue_offset, first.physical_offset), (0, QueueOffset::ZERO, 0));
    assert_eq!(first.store_host, "127.0.0.1:10921".parse().unwrap());
    assert_eq!(first.born_host, "127.0.0.1:45160".parse().unwrap());
    assert_eq!(first.store_timestamp - first.born_timestamp, 13);
    assert_eq!(first.property(&buf, name::TAGS), Some("TagA"));
    assert_eq!(first.property(&buf, name::KEYS), Some("k1 k2"));
    assert_eq!(first.property(&buf, name::UNIQ_KEY), Some("AC11000204D214DAD5DC0BD713090001"));
    assert_eq!(first.offset_msg_id().to_string(), "7F00000100002AA90000000000000000");
    let offsets: Vec<_> = found.iter().map(|record| record.queue_offset.get()).collect();
    assert_eq!(offsets, (0..found.len() as u64).collect::<Vec<_>>());
    assert_eq!(found[1].physical_offset, 244);
}

#[test]
fn a_body_of_an_old_broker_lacks_the_last_separator() {
    let buf = captured!("v497_pull_11_found", 1);
    let first = &records(&buf)[0];
    assert!(!first.properties(&buf).ends_with(b"\x02"));
    assert_eq!(first.property(&buf, name::TAGS), Some("TagA"));
}

#[test]
fn addresses_of_both_families_mix() {
    let buf = captured!("v540_pull_11_ipv6_bornhost", 1);
    let record = &records(&buf)[0];
    assert!(record.sys_flag.born_v6() && !record.sys_flag.store_v6());
    assert_eq!(record.born_host, "[::1]:58684".parse().unwrap());
    assert_eq!(record.store_host, "127.0.0.1:10911".parse().unwrap());
}

#[test]
fn records_of_real_brokers_are_written_back_byte_for_byte() {
    for buf in [
        captured!("v540_pull_11_found", 1),
        captured!("v497_pull_11_found", 1),
        captured!("v540_pull_11_inner_batch", 1),
        captured!("v540_pull_11_ipv6_bornhost", 1),
        captured!("v540_pull_11_committed_tx", 1),
        captured!("v540_pull_11_retry_topic", 1),
        captured!("v540_pop_200050", 1),
        captured!("v540_view_33", 1),
        captured!("java540_11", 1),
        captured!("java540_39", 0),
    ] {
        let mut out = Vec::new();
        for record in records(&buf) {
            encode_record(&stored(&record, &buf), RecordVersion::V1, &mut out).unwrap();
        }
        assert_eq!(out, buf);
    }
}

#[test]
fn transactions_show_in_the_flags() {
    let buf = captured!("v540_pull_11_committed_tx", 1);
    assert!(records(&buf).iter().all(|record| record.sys_flag.transaction() == TransactionKind::Commit));
    for kind in [TransactionKind::None, TransactionKind::Prepared, TransactionKind::Commit, TransactionKind::Rollback] {
        assert_eq!(SysFlags(0x1F).with_transaction(kind).transaction(), kind);
    }
}

#[test]
fn compression_shows_in_the_flags() {
    assert_eq!(SysFlags(0x301).compression(), Some(CompressionKind::Zlib));
    assert_eq!(SysFlags(0x1).compression(), Some(CompressionKind::Zlib), "old clients");
    assert_eq!(SysFlags(0x300).compression(), None, "inflated by Java, which leaves the kind");
    assert_eq!(SysFlags(0x401).compression(), None);
    for kind in [CompressionKind::Zlib, CompressionKind::Lz4, CompressionKind::Zstd] {
        let flags = SysFlags(0x4).with_compression(kind);
        assert_eq!(flags.compression(), Some(kind));
        assert_eq!(flags.without_compression(), SysFlags(0x4));
    }
}

#[test]
fn an_inner_batch_is_unwrapped() {
    let buf = captured!("v540_pull_11_inner_batch", 1);
    let found = records(&buf);
    let [record] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert!(record.sys_flag.inner_batch());
    let items = unwrap_inner(record, &buf).unwrap();
    let seen: Vec<_> = items.iter().map(|item| (item.queue_offset.get(), &buf[item.body.clone()])).collect();
    assert_eq!(seen, [(0, &b"ib-0"[..]), (1, b"ib-1"), (2, b"ib-2")]);
    let key = properties::get(&buf[items[2].properties.clone()], name::UNIQ_KEY);
    assert_eq!(key, Some("AC11000204D214DAD5DC0BE5DCDC0004"));
    let sent = captured!("v540_send_320_inner_batch", 0);
    assert_eq!(record.body(&buf), sent, "the body that was sent");
}

#[test]
fn a_long_topic_needs_the_second_layout() {
    let topic = "t".repeat(300);
    let message = StoredMessage { topic: topic.as_str().into(), ..message(5) };
    let mut out = Vec::new();
    assert_eq!(encode_record(&message, RecordVersion::V1, &mut out), Err(EncodeError::Topic));
    assert!(out.is_empty());
    encode_record(&message, RecordVersion::V2, &mut out).unwrap();
    assert_eq!(records(&out)[0].topic(&out), topic);
    let long = StoredMessage { properties: Bytes::from(vec![b'x'; 32_768]), ..message };
    assert_eq!(encode_record(&long, RecordVersion::V2, &mut out), Err(EncodeError::Properties));
}

#[test]
fn one_bad_record_costs_that_record_only() {
    type Damage = (&'static str, fn(&mut [u8]), PoisonReason);
    let damages: [Damage; 8] = [
        ("magic", |record| record[at::MAGIC] = 0, PoisonReason::Magic(0x00A3_20A7)),
        ("body", |record| record[at::BODY_LEN + 1] = 1, PoisonReason::Field("body")),
        ("negative", |record| record[at::BODY_LEN] = 0xFF, PoisonReason::Field("body")),
        ("topic", |record| record[at::TOPIC_LEN] = 0xFF, PoisonReason::Field("topic")),
        ("UTF-8", |record| record[at::TOPIC] = 0xFF, PoisonReason::Topic),
        ("properties", |record| record[at::PROPERTIES_LEN] = 0x80, PoisonReason::Field("properties")),
        ("slack", |record| record[at::PROPERTIES_LEN + 1] = 5, PoisonReason::Slack(2)),
        ("port", |record| record[at::BORN_PORT] = 0x80, PoisonReason::Port(i32::MIN + 1_234)),
    ];
    for (what, damage, reason) in damages {
        let (mut buf, second) = three();
        damage(&mut buf[second.clone()]);
        let found = entries(&buf);
        let [Entry::Record(first), Entry::Poison(poison), Entry::Record(third)] = found.as_slice() else {
            panic!("{what}: {found:?}");
        };
        assert_eq!((first.queue_offset.get(), third.queue_offset.get()), (0, 2), "{what}");
        let expected = Poison {
            start: second.start,
            len: second.len(),
            queue_id: 3,
            queue_offset: Some(QueueOffset::new(1)),
            physical_offset: Some(1_000),
            reason,
        };
        assert_eq!(*poison, expected, "{what}");
    }
}

#[test]
fn a_changed_body_is_found_unless_no_crc_was_stored() {
    let mut buf = encoded(&message(4));
    buf[at::BODY] ^= 1;
    let poison = poison_in(&buf);
    assert!(matches!(poison.reason, PoisonReason::Crc { stored: 907_060_870, .. }), "{poison:?}");
    assert_eq!(poison.queue_offset, Some(QueueOffset::new(4)));
    let unchecked = RecordLimits { verify_crc: false, ..limits() };
    assert!(matches!(walk(&buf, unchecked).next(), Some(Entry::Record(_))));
    buf[8..12].fill(0);
    assert_eq!(records(&buf).len(), 1);
}

#[test]
fn a_negative_queue_offset_is_no_offset() {
    let mut buf = encoded(&message(0));
    buf[at::QUEUE_OFFSET] = 0x80;
    let poison = poison_in(&buf);
    assert_eq!((poison.queue_offset, poison.reason), (None, PoisonReason::QueueOffset));
}

#[test]
fn a_nonsensical_size_ends_the_walk() {
    for size in [-1, 0, 3, 90, i32::MIN] {
        let (mut buf, second) = three();
        buf[second.start..second.start + 4].copy_from_slice(&size.to_be_bytes());
        let found = entries(&buf);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1], Entry::Rest(Lost { start: second.start, reason: LostReason::Size(size) }), "{size}");
    }
    let (mut buf, second) = three();
    buf[second.start..second.start + 4].copy_from_slice(&i32::MAX.to_be_bytes());
    let reason = LostReason::PastEnd { announced: 0x7FFF_FFFF, available: buf.len() - second.start };
    assert_eq!(entries(&buf)[1], Entry::Rest(Lost { start: second.start, reason }));
}

#[test]
fn a_truncated_tail_is_told() {
    let (buf, second) = three();
    for end in second.clone().skip(1) {
        let found = entries(&buf[..end]);
        assert_eq!(found.len(), 2, "{end}");
        let available = end - second.start;
        let reason = if available < 4 {
            LostReason::Truncated(available)
        } else {
            LostReason::PastEnd { announced: second.len(), available }
        };
        assert_eq!(found[1], Entry::Rest(Lost { start: second.start, reason }));
    }
}

#[test]
fn filler_is_skipped() {
    let (buf, second) = three();
    let mut filler = vec![0, 0, 0, 12, 0xCB, 0xD4, 0x31, 0x94, 0, 0, 0, 0];
    let mut joined = buf[..second.start].to_vec();
    joined.append(&mut filler);
    joined.extend_from_slice(&buf[second.start..]);
    assert_eq!(records(&joined).len(), 3);
    // A filler counts as a record, so that a body of nothing else ends too.
    let fillers = [0, 0, 0, 8, 0xCB, 0xD4, 0x31, 0x94].repeat(200);
    assert_eq!(entries(&fillers), [Entry::Rest(Lost { start: 128 * 8, reason: LostReason::TooMany(128) })]);
}

#[test]
fn there_is_a_limit_to_records() {
    let (buf, second) = three();
    let limits = RecordLimits { max_records: 1, verify_crc: true };
    let found: Vec<_> = walk(&buf, limits).collect();
    assert_eq!(found.len(), 2);
    assert_eq!(found[1], Entry::Rest(Lost { start: second.start, reason: LostReason::TooMany(1) }));
    assert_eq!(RecordLimits::for_pull(1).max_records, 128);
    assert_eq!(RecordLimits::for_pull(1_000).max_records, 4_000);
}

#[test]
fn another_buffer_gives_nothing() {
    let buf = encoded(&message(0));
    let record = &records(&buf)[0];
    assert_eq!((record.body(b""), record.topic(b""), record.properties(b"")), (&b""[..], "", &b""[..]));
}

prop_compose! {
    fn messages()(
        numbers in any::<(i32, i32, u64, i64, i32)>(),
        times in any::<(i64, i64, i32, i64)>(),
        hosts in any::<(IpAddr, u16, IpAddr, u16)>(),
        body in prop::collection::vec(any::<u8>(), 0..80),
        topic in ".{0,30}",
        properties in prop::collection::vec(any::<u8>(), 0..80),
    ) -> StoredMessage {
        let (queue_id, flag, queue_offset, physical_offset, sys_flag) = numbers;
        let (born_timestamp, store_timestamp, reconsume_times, prepared_transaction_offset) = times;
        let born_host = SocketAddr::new(hosts.0, hosts.1);
        let store_host = SocketAddr::new(hosts.2, hosts.3);
        let families = i32::from(born_host.is_ipv6()) * 0x10 + i32::from(store_host.is_ipv6()) * 0x20;
        StoredMessage {
            queue_id,
            flag,
            queue_offset: QueueOffset::new(queue_offset >> 1),
            physical_offset,
            sys_flag: SysFlags((sys_flag & !0x30) | families),
            born_timestamp,
            born_host,
            store_timestamp,
            store_host,
            reconsume_times,
            prepared_transaction_offset,
            body: body.into(),
            topic: topic.as_str().into(),
            properties: properties.into(),
        }
    }
}

proptest! {
    #[test]
    fn records_come_back(batch in prop::collection::vec((messages(), any::<bool>()), 0..5)) {
        let mut buf = Vec::new();
        for (message, wide) in &batch {
            let version = if *wide { RecordVersion::V2 } else { RecordVersion::V1 };
            let before = buf.len();
            encode_record(message, version, &mut buf).unwrap();
            prop_assert_eq!(buf.len() - before, message.encoded_len(version));
        }
        let found: Vec<_> = records(&buf).iter().map(|record| stored(record, &buf)).collect();
        let sent: Vec<_> = batch.into_iter().map(|(message, _)| message).collect();
        prop_assert_eq!(found, sent);
    }

    #[test]
    fn any_bytes_can_be_walked(buf: Vec<u8>, size in 80_u8..200, magic in 0..3_usize) {
        let _ = entries(&buf);
        // The same bytes where sizes and magics are right.
        let mut framed = buf.repeat(20);
        for record in framed.chunks_exact_mut(usize::from(size)) {
            record[..4].copy_from_slice(&u32::from(size).to_be_bytes());
            record[4..8].copy_from_slice(&[MAGIC_V1, MAGIC_V2, MAGIC_BLANK][magic].to_be_bytes());
        }
        let _ = entries(&framed);
    }

    #[test]
    fn one_changed_byte_loses_at_most_what_follows(at: prop::sample::Index, value: u8) {
        let (mut buf, _) = three();
        let at = at.index(buf.len());
        buf[at] = value;
        let mut end = 0;
        for entry in entries(&buf) {
            let (start, len) = match &entry {
                Entry::Record(record) => (record.start, record.len),
                Entry::Poison(poison) => (poison.start, poison.len),
                Entry::Rest(lost) => (lost.start, buf.len() - lost.start),
            };
            prop_assert_eq!(start, end, "entries lie side by side");
            end = start + len;
        }
        prop_assert_eq!(end, buf.len());
    }
}
