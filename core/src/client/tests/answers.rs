//! What servers answer.

use super::*;

pub(super) fn route(queues: i32, brokers: &[&str]) -> TopicRoute {
    let queue = |name: &&str| QueueData {
        broker_name: BrokerName::from(*name),
        perm: Perm::READ_WRITE,
        read_queue_nums: queues,
        write_queue_nums: queues,
        topic_sys_flag: 0,
    };
    let broker = |name: &&str| BrokerData {
        broker_addrs: BTreeMap::from([(0, Endpoint::from(alloc::format!("{name}:1")))]),
        broker_name: BrokerName::from(*name),
        cluster: "c".into(),
        ..BrokerData::default()
    };
    TopicRoute {
        broker_datas: brokers.iter().map(broker).collect(),
        order_topic_conf: None,
        queue_datas: brokers.iter().map(queue).collect(),
    }
}

pub(super) fn decoded(frame: &EncodedFrame) -> Frame {
    frame::decode(&frame.to_bytes(Opaque(0)), &HeaderLimits::default()).unwrap()
}

pub(super) fn answer(code: i32, fields: impl FnOnce(&mut ExtWriter<'_>), body: impl Into<Vec<u8>>) -> Frame {
    decoded(&Preamble::response(code, Codec::Json).encode(fields, Bytes::from(body.into())))
}

pub(super) fn refusal(code: i32) -> Frame {
    decoded(&Preamble { remark: Some("no"), ..Preamble::response(code, Codec::Json) }.encode(|_| (), Bytes::new()))
}

pub(super) fn no_disk() -> IoFailure {
    IoFailure::new(IoKind::Other, "no space left on device")
}

pub(super) fn refused() -> IoFailure {
    IoFailure::new(IoKind::Refused, "refused")
}

/// The answer to a pull.
pub(super) fn pulled(_: &Asked, code: i32, next: u64, body: Vec<u8>) -> Frame {
    let fields = PullMessageResponse {
        suggested_broker: 0,
        next_begin_offset: i64::try_from(next).unwrap(),
        min_offset: 0,
        max_offset: 1_000,
        offset_delta: None,
    };
    answer(code, |out| fields.write(out), body)
}

pub(super) fn records(offsets: core::ops::Range<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    offsets.for_each(|offset| encode_record(&stored(offset), RecordVersion::V1, &mut out).unwrap());
    out
}

/// A stored message.
pub(super) fn stored(offset: u64) -> StoredMessage {
    let host: SocketAddr = "10.0.0.9:1".parse().unwrap();
    StoredMessage {
        queue_id: 0,
        flag: 0,
        queue_offset: QueueOffset::new(offset),
        physical_offset: i64::try_from(offset * 100).unwrap(),
        sys_flag: SysFlags::default(),
        born_timestamp: 1,
        born_host: host,
        store_timestamp: 2,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::from(offset.to_string()),
        topic: "T".into(),
        properties: Bytes::from_static(b"UNIQ_KEY\x01U\x02"),
    }
}
