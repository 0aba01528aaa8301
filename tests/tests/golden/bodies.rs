//! Pulled bodies that Java wrote.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rocketmq_core::wire::compress::inflate;
use rocketmq_core::wire::message::properties::{self, name};
use rocketmq_core::wire::message::{Entry, Record, RecordLimits, SysFlags, batch, walk};
use rocketmq_testkit::real::golden::{self, GoldenBody};
use rocketmq_testkit::real::{RealError, StoredMessage};

#[test]
fn every_pulled_body_decodes_to_the_messages_java_reads() -> Result<(), RealError> {
    let (mut bodies, mut messages, mut compressed, mut inner) = (0, 0, 0, 0);
    for GoldenBody { name, hex, messages: expected } in golden::bodies()? {
        let buf = golden::bytes(&hex);
        let records = records(&buf, &name);
        assert_eq!(records.len(), expected.len(), "{name}");
        for (record, java) in records.iter().zip(&expected) {
            compressed += usize::from(record.sys_flag.compressed());
            inner += java.unwrapped.len();
            same(record, &buf, java, &name);
        }
        bodies += 1;
        messages += records.len();
    }
    assert!(
        bodies >= 20 && messages >= 100 && compressed >= 20 && inner >= 3,
        "{bodies} {messages} {compressed} {inner}"
    );
    Ok(())
}

fn records(buf: &[u8], name: &str) -> Vec<Record> {
    let record = |entry| match entry {
        Entry::Record(record) => record,
        other => panic!("{name}: {other:?}"),
    };
    // Java's client-side encoder keeps the CRC of the body before compression; brokers never store it so.
    let verify_crc = name != "compressed_by_client_encoder";
    walk(buf, RecordLimits { verify_crc, ..RecordLimits::default() }).map(record).collect()
}

/// The record is what Java read.
pub(crate) fn same(record: &Record, buf: &[u8], java: &StoredMessage, name: &str) {
    assert_eq!(message(record, buf), plain(java), "{name}");
    assert_eq!(unwrapped(record, buf, name), java.unwrapped.iter().map(item).collect::<Vec<_>>(), "{name}");
}

/// What we read, in the words of the vectors.
fn message(record: &Record, buf: &[u8]) -> StoredMessage {
    let flags = record.sys_flag;
    let body = match flags.compression() {
        Some(kind) => inflate(kind, record.body(buf), 16 << 20).expect("a compressed body"),
        None => record.body(buf).to_vec(),
    };
    let offset_msg_id = record.offset_msg_id().to_string();
    StoredMessage {
        topic: record.topic(buf).to_owned(),
        msg_id: record.property(buf, name::UNIQ_KEY).map_or_else(|| offset_msg_id.clone(), str::to_owned),
        offset_msg_id,
        broker: None,
        queue_id: record.queue_id,
        queue_offset: record.queue_offset.to_wire(),
        commit_log_offset: record.physical_offset,
        store_size: i32::try_from(record.len).expect("the size of a record"),
        body_crc: i32::from_ne_bytes(record.body_crc.to_ne_bytes()),
        flag: record.flag,
        sys_flag: flags.0 & !SysFlags::COMPRESSED,
        born_timestamp: record.born_timestamp,
        born_host: host(record.born_host),
        store_timestamp: record.store_timestamp,
        store_host: host(record.store_host),
        reconsume_times: record.reconsume_times,
        prepared_transaction_offset: record.prepared_transaction_offset,
        body_hex: hex(&body),
        properties: pairs(record.properties(buf)),
        unwrapped: Vec::new(),
    }
}

/// What of an item of an inner batch is its own.
type Item = (i64, i32, Option<String>, Option<BTreeMap<String, String>>);

fn unwrapped(record: &Record, buf: &[u8], name: &str) -> Vec<Item> {
    if !record.sys_flag.inner_batch() {
        return Vec::new();
    }
    let items = batch::unwrap_inner(record, buf).unwrap_or_else(|error| panic!("{name}: {error}"));
    let item = |item: &batch::InnerItem| {
        let properties = pairs(&buf[item.properties.clone()]);
        (item.queue_offset.to_wire(), item.flag, hex(&buf[item.body.clone()]), properties)
    };
    items.iter().map(item).collect()
}

fn item(java: &StoredMessage) -> Item {
    (java.queue_offset, java.flag, java.body_hex.clone(), java.properties.clone())
}

/// Java gives a record without properties no map or an empty one; we make no difference.
fn plain(java: &StoredMessage) -> StoredMessage {
    let properties = java.properties.clone().filter(|pairs| !pairs.is_empty());
    StoredMessage { properties, unwrapped: Vec::new(), ..java.clone() }
}

fn pairs(raw: &[u8]) -> Option<BTreeMap<String, String>> {
    let pairs: BTreeMap<_, _> = properties::iter(raw).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    for (key, value) in &pairs {
        assert_eq!(properties::get(raw, key), Some(value.as_str()));
    }
    (!pairs.is_empty()).then_some(pairs)
}

fn hex(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Java writes IPv6 in eight groups.
fn host(host: SocketAddr) -> String {
    match host {
        SocketAddr::V4(host) => host.to_string(),
        SocketAddr::V6(host) => {
            let groups = host.ip().segments().map(|group| format!("{group:x}"));
            format!("[{}]:{}", groups.join(":"), host.port())
        }
    }
}
