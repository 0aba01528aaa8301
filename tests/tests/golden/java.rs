//! What we write, as Java reads it. Needs Java; skipped on purpose only where the harness is told to skip.

use std::collections::BTreeMap;

use bytes::Bytes;
use rocketmq_core::ids::{Opaque, QueueOffset};
use rocketmq_core::time::UnixMillis;
use rocketmq_core::wire::Codec;
use rocketmq_core::wire::body::{
    BrokerData, ConsumeFromWhere, ConsumeType, ConsumerData, ConsumerList, HeartbeatData, JsonForm, LockQueues,
    LockedQueues, MessageModel, OffsetFile, Perm, ProducerData, QueueData, QueueTable, ResetOffsets, TopicRoute,
};
use rocketmq_core::wire::codes::request::{GET_MAX_OFFSET, GET_MIN_OFFSET};
use rocketmq_core::wire::compress::{CompressionKind, deflate, inflate};
use rocketmq_core::wire::message::{
    RecordLimits, RecordVersion, StoredMessage, SysFlags, batch, encode_record, properties, walk,
};
use rocketmq_core::wire::request::{
    CreateTopic, Fields, GetConsumerList, GetRouteInfo, HeartBeat, NotifyConsumerIdsChanged, PullMessage,
    PullMessageResponse, QueryConsumerOffset, QueryConsumerOffsetResponse, QueueOffsetRequest, QueueOffsetResponse,
    Request, SendMessage, SendMessageBack, SendMessageResponse, UnregisterClient, UpdateConsumerOffset,
};
use rocketmq_core::wire::subscription::SubscriptionData;
use rocketmq_testkit::real::{self, DecodedFrame, JavaPeer, RealError};
use serde_json::Value;

use crate::bodies;
use crate::support::{decoded, map};

const ODD_BROKER: &str = "中文 😀 \"quoted\\\" \u{2028}";
const ODD: &str = "中文 😀 \"quoted\\\" \u{1}\u{2}\t\u{7f}\u{2028}";

#[test]
fn java_reads_every_request() -> Result<(), RealError> {
    let Some(java) = java()? else { return Ok(()) };
    let mut written = Vec::new();
    for codec in [Codec::Json, Codec::Rocketmq] {
        requests(codec, &mut written);
    }
    assert!(written.len() >= 50, "{}", written.len());
    for (bytes, java) in written.iter().zip(java.decode_frames(&written)?) {
        same(bytes, &java);
    }
    Ok(())
}

#[test]
fn java_reads_our_offset_files() -> Result<(), RealError> {
    let Some(java) = java()? else { return Ok(()) };
    let mut checked = 0;
    for golden in real::golden::offset_files()? {
        let read = OffsetFile::decode(golden.text.as_bytes()).expect("a golden file");
        let text = String::from_utf8(read.encode()).expect("a text");
        let rows = java.read_offset_file(&text, &golden.offsets)?;
        assert_eq!(rows, java.read_offset_file(&golden.text, &golden.offsets)?, "{}", golden.name);
        // Java 5.4.0 takes a file with a longer number for none at all, its own too.
        if golden.offsets.iter().all(|row| i32::try_from(row.offset).is_ok()) {
            assert_eq!(rows, golden.offsets, "{}", golden.name);
            checked += 1;
        }
    }
    assert!(checked >= 3, "{checked}");
    Ok(())
}

#[test]
fn java_reads_every_response() -> Result<(), RealError> {
    let Some(java) = java()? else { return Ok(()) };
    for codec in [Codec::Json, Codec::Rocketmq] {
        let check =
            |bytes: Bytes, class: &str| java.decode_frame_as(&bytes, class).map(|decoded| same(&bytes, &decoded));
        for offset in [0, 7, i64::MAX as u64] {
            let fields = QueueOffsetResponse { offset: QueueOffset::new(offset) };
            check(response(&fields, codec), "GetMaxOffsetResponseHeader")?;
            let fields = QueryConsumerOffsetResponse { offset: QueueOffset::new(offset) };
            check(response(&fields, codec), "QueryConsumerOffsetResponseHeader")?;
        }
        for (offset_delta, number) in [(None, 0), (Some(i64::MIN), i64::MAX)] {
            let fields = PullMessageResponse {
                suggested_broker: number,
                next_begin_offset: number,
                min_offset: 0,
                max_offset: number,
                offset_delta,
            };
            check(response(&fields, codec), "PullMessageResponseHeader")?;
        }
        for text in [None, Some(ODD.to_owned())] {
            let fields = SendMessageResponse {
                msg_id: ODD.into(),
                queue_id: i32::MAX,
                queue_offset: i64::MAX,
                transaction_id: text.clone(),
                batch_uniq_id: text.clone(),
                recall_handle: text.clone(),
                region: text,
                trace_on: Some(true),
            };
            check(response(&fields, codec), "SendMessageResponseHeader")?;
        }
    }
    Ok(())
}

#[test]
fn java_reads_every_body() -> Result<(), RealError> {
    let Some(java) = java()? else { return Ok(()) };
    let version = UnixMillis(1_700_000_000_123);
    let subscriptions = vec![
        SubscriptionData::all("%RETRY%G".into(), version),
        SubscriptionData::tags("T".into(), "TagA || 中文", version).expect("an expression"),
        SubscriptionData::sql("S".into(), "a > 5 AND b = '\u{1}😀'", version),
    ];
    let consumer = |from, kind, model, subscriptions: &[SubscriptionData]| ConsumerData {
        consume_from_where: from,
        consume_type: kind,
        group: ODD.into(),
        message_model: model,
        subscriptions: subscriptions.to_vec(),
        unit_mode: true,
    };
    let consumers = vec![
        consumer(ConsumeFromWhere::LastOffset, ConsumeType::Passively, MessageModel::Clustering, &subscriptions),
        consumer(ConsumeFromWhere::FirstOffset, ConsumeType::Actively, MessageModel::Broadcasting, &[]),
        consumer(ConsumeFromWhere::Timestamp, ConsumeType::Pop, MessageModel::Clustering, &subscriptions[1..]),
    ];
    let heartbeat = HeartbeatData {
        client_id: ODD.into(),
        consumers,
        heartbeat_fingerprint: i32::MIN,
        producers: vec![ProducerData { group: "P".into() }, ProducerData { group: ODD.into() }],
        without_sub: false,
    };
    // Java keeps groups and subscriptions in sets: the order is its own.
    let ordered = |mut data: HeartbeatData| {
        data.consumers.sort_by_key(|group| format!("{:?}", group.consume_type));
        for group in &mut data.consumers {
            group.subscriptions.sort_by(|a, b| a.topic.cmp(&b.topic));
        }
        data.producers.sort_by(|a, b| a.group.cmp(&b.group));
        data
    };
    for data in [HeartbeatData::default(), heartbeat.light(), heartbeat] {
        let again = java.decode_body("heartbeat.HeartbeatData", &data.encode())?;
        let again = HeartbeatData::decode(again.as_bytes()).expect("Java's heartbeat");
        assert_eq!(ordered(again), ordered(data));
    }

    let queue = |id| rocketmq_core::ids::MessageQueue { topic: ODD.into(), broker: "b".into(), id };
    let sorted = |mut queues: Vec<_>| {
        queues.sort();
        queues
    };
    let lock = LockQueues {
        client_id: ODD.into(),
        group: "G".into(),
        queues: vec![queue(0), queue(i32::MAX)],
        only_this_broker: true,
    };
    let again = java.decode_body("body.LockBatchRequestBody", &lock.encode())?;
    let again = LockQueues::decode(again.as_bytes()).expect("Java's lock body");
    assert_eq!(LockQueues { queues: sorted(again.queues.clone()), ..again }, lock);
    let locked = LockedQueues { queues: lock.queues };
    let again = java.decode_body("body.LockBatchResponseBody", &locked.encode())?;
    let again = LockedQueues::decode(again.as_bytes()).expect("Java's locked queues");
    assert_eq!(sorted(again.queues), locked.queues);

    let list = ConsumerList { ids: vec!["a".into(), ODD.into()] };
    let again = java.decode_body("header.GetConsumerListByGroupResponseBody", &list.encode())?;
    assert_eq!(ConsumerList::decode(again.as_bytes()), Ok(list));
    let reset = ResetOffsets { offset_table: QueueTable(BTreeMap::from([(queue(0), 0), (queue(7), i64::MAX)])) };
    let again = java.decode_body("body.ResetOffsetBody", &reset.encode())?;
    assert_eq!(ResetOffsets::decode(again.as_bytes()), Ok(reset));

    let route = TopicRoute {
        broker_datas: vec![BrokerData {
            broker_addrs: BTreeMap::from([(0, "127.0.0.1:10911".into()), (1, "[::1]:10911".into())]),
            broker_name: ODD_BROKER.into(),
            cluster: "C".into(),
            enable_acting_master: true,
            zone_name: Some(ODD.into()),
        }],
        order_topic_conf: Some("b:4".into()),
        queue_datas: vec![QueueData {
            broker_name: ODD_BROKER.into(),
            perm: Perm::READ_WRITE,
            read_queue_nums: 4_096,
            topic_sys_flag: i32::MAX,
            write_queue_nums: 0,
        }],
    };
    for form in [JsonForm::Standard, JsonForm::Fastjson] {
        let again = java.decode_body("route.TopicRouteData", &route.encode(form))?;
        assert_eq!(TopicRoute::decode(again.as_bytes()).as_ref(), Ok(&route));
    }
    Ok(())
}

#[test]
fn java_reads_our_records_and_batches() -> Result<(), RealError> {
    let Some(java) = java()? else { return Ok(()) };
    let text: Vec<u8> = (0..40_000_u32).flat_map(|n| (n / 7).to_be_bytes()).collect();
    let mut body = Vec::new();
    let mut offset = 0;
    let mut push = |stored: Vec<u8>, flags: SysFlags, version, hosts: (&str, &str)| {
        let pairs = [("TAGS", "中文"), ("UNIQ_KEY", "0123456789ABCDEF0123456789ABCDEF"), ("k", "😀 v")];
        let message = StoredMessage {
            queue_id: i32::MAX,
            flag: i32::MIN,
            queue_offset: QueueOffset::new(offset),
            physical_offset: i64::MAX - i64::try_from(offset).expect("few records"),
            sys_flag: flags,
            born_timestamp: 1_700_000_000_000,
            born_host: hosts.0.parse().expect("an address"),
            store_timestamp: 1_700_000_000_001,
            store_host: hosts.1.parse().expect("an address"),
            reconsume_times: 3,
            prepared_transaction_offset: 5,
            body: stored.into(),
            topic: "T".into(),
            properties: properties::encode(pairs).expect("properties").into(),
        };
        encode_record(&message, version, &mut body).expect("a record");
        offset += 1;
    };
    for version in [RecordVersion::V1, RecordVersion::V2] {
        for kind in [CompressionKind::Zlib, CompressionKind::Lz4, CompressionKind::Zstd] {
            let packed = deflate(kind, 5, &text).expect("a kind of this build");
            push(packed, SysFlags::default().with_compression(kind), version, ("10.0.0.1:1", "10.0.0.2:65535"));
        }
        push(Vec::new(), SysFlags::default(), version, ("[2001:db8::1]:1", "10.0.0.2:2"));
        push(b"body".to_vec(), SysFlags(0x8), version, ("10.0.0.1:1", "[2001:db8::2]:2"));
        let items = [&b"one"[..], b"two"].map(|body| batch::BatchItem {
            flag: 1,
            body,
            properties: b"k\x01v\x02WAIT\x01true\x02",
        });
        let inner = SysFlags(SysFlags::INNER_BATCH | SysFlags::NEED_UNWRAP);
        push(batch::encode(&items).expect("a batch"), inner, version, ("10.0.0.1:1", "10.0.0.2:2"));
    }
    let read = java.decode_messages(&body)?;
    assert_eq!(read.len(), 12);
    for (entry, java) in walk(&body, RecordLimits::default()).zip(read) {
        let rocketmq_core::wire::message::Entry::Record(record) = entry else { panic!("{entry:?}") };
        bodies::same(&record, &body, &java, "our own record");
    }
    Ok(())
}

#[test]
fn compressed_bodies_are_read_both_ways() -> Result<(), RealError> {
    let Some(java) = java()? else { return Ok(()) };
    let mut noise = 1_u32;
    let mut random = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    };
    let samples = [
        Vec::new(),
        vec![7],
        vec![0; 300_000],
        "order 42 was paid; ".repeat(4_000).into_bytes(),
        (0..70_000).map(|_| random()).collect(),
    ];
    for (kind, name) in
        [(CompressionKind::Zlib, "ZLIB"), (CompressionKind::Lz4, "LZ4"), (CompressionKind::Zstd, "ZSTD")]
    {
        for sample in &samples {
            for level in [0, 1, 5, 9] {
                let packed = deflate(kind, level, sample).expect("a kind of this build");
                assert_eq!(&java.decompress(name, &packed)?, sample, "{name} {level}, ours by Java");
            }
            for level in 0..=9 {
                let packed = java.compress(name, level, sample)?;
                let read = inflate(kind, &packed, sample.len());
                assert_eq!(read.as_ref(), Ok(sample), "{name} {level}, Java's by us");
            }
        }
    }
    Ok(())
}

fn java() -> Result<Option<JavaPeer>, RealError> {
    if real::available()? { JavaPeer::start().map(Some) } else { Ok(None) }
}

fn response(fields: &impl Fields, codec: Codec) -> Bytes {
    fields.response(0, Some(ODD), codec, Bytes::from_static(b"body")).to_bytes(Opaque(i32::MIN))
}

/// Java reads from our frame what we read from it, and each field of its header object is the one we wrote.
fn same(bytes: &[u8], java: &DecodedFrame) {
    let frame = decoded(bytes, "our own frame");
    let header = &frame.header;
    assert_eq!((header.code, header.opaque.0, header.flags), (java.code, java.opaque, java.flag), "{java:?}");
    assert_eq!((header.version, Some(header.language.name())), (java.version, java.language.as_deref()), "{java:?}");
    assert_eq!(header.remark, java.remark, "{java:?}");
    let present = |ext: &BTreeMap<String, Option<String>>| {
        ext.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect::<BTreeMap<_, _>>()
    };
    let written = map(&header.ext);
    assert_eq!(written, java.ext.as_ref().map(present).unwrap_or_default(), "{java:?}");
    assert!(java.header_class.is_some(), "{java:?}");
    let object = java.header.as_ref().expect("a header object");
    for (key, value) in &written {
        let text = object.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        // A few fields are no field of the class, but read from the map.
        let expected = text.unwrap_or_else(|| value.clone());
        assert_eq!(*value, expected, "{key} in {java:?}");
        assert!(
            object.get(key).is_some_and(|value| !value.is_null()) || BESIDE.contains(&key.as_str()),
            "{key} in {java:?}"
        );
    }
    let absent = object.iter().filter(|(key, _)| !written.contains_key(*key)).collect::<Vec<(&String, &Value)>>();
    assert!(absent.iter().all(|(key, value)| is_default(key, value)), "{absent:?} in {java:?}");
    assert_eq!(hex(&frame.body), java.body.clone().unwrap_or_default());
}

/// Whether Java has this without being told.
fn is_default(key: &str, value: &Value) -> bool {
    *value == Value::Bool(key == "committed") || value.as_i64() == Some(0)
}

/// Every typed request with several values.
fn requests(codec: Codec, out: &mut Vec<Bytes>) {
    let mut push = |bytes: Bytes| out.push(bytes);
    let texts = ["T", ODD];
    let numbers = [(0, 0_i64), (i32::MAX, i64::MAX), (i32::MIN, i64::MIN), (-1, -1)];
    let offsets = [QueueOffset::ZERO, QueueOffset::new(i64::MAX as u64)];
    for text in texts {
        for standard_json in [None, Some(true), Some(false)] {
            push(frame(&GetRouteInfo { topic: text.into(), standard_json }, codec));
        }
        push(frame(&GetConsumerList { group: text.into() }, codec));
        push(frame(&NotifyConsumerIdsChanged { group: text.into() }, codec));
        for (producer, consumer) in [(Some(text), None), (None, Some(text)), (None, None)] {
            let (producer_group, consumer_group) = (producer.map(Into::into), consumer.map(Into::into));
            push(frame(&UnregisterClient { client_id: text.into(), producer_group, consumer_group }, codec));
        }
        for full in [false, true] {
            push(frame(
                &CreateTopic {
                    topic: text.into(),
                    default_topic: "TBW102".into(),
                    read_queues: i32::MAX,
                    write_queues: 0,
                    perm: 6,
                    filter_type: "SINGLE_TAG".into(),
                    sys_flag: full.then_some(i32::MAX),
                    order: full,
                    attributes: full.then(|| format!("+{ODD}=1")),
                },
                codec,
            ));
        }
        for offset in offsets {
            let broker = Some("broker-a".into());
            let (queue_id, group, topic) = (i32::MAX, text, text);
            push(frame(
                &QueryConsumerOffset {
                    group: group.into(),
                    topic: topic.into(),
                    queue_id,
                    set_zero_if_not_found: Some(offset > QueueOffset::ZERO),
                    broker: broker.clone(),
                },
                codec,
            ));
            push(frame(
                &UpdateConsumerOffset {
                    group: group.into(),
                    topic: topic.into(),
                    queue_id,
                    commit_offset: offset,
                    broker,
                },
                codec,
            ));
        }
        for (small, large) in numbers {
            push(frame(&QueueOffsetRequest::<GET_MAX_OFFSET> { topic: text.into(), queue_id: small }, codec));
            push(frame(&QueueOffsetRequest::<GET_MIN_OFFSET> { topic: text.into(), queue_id: small }, codec));
            let some = small != 0;
            push(frame(
                &SendMessageBack {
                    offset: large,
                    group: text.into(),
                    delay_level: small,
                    origin_msg_id: some.then(|| text.into()),
                    origin_topic: some.then(|| text.into()),
                    unit_mode: some.then_some(false),
                    max_reconsume_times: some.then_some(small),
                    broker: some.then(|| text.into()),
                },
                codec,
            ));
            push(frame(
                &PullMessage {
                    group: text.into(),
                    topic: text.into(),
                    queue_id: small,
                    queue_offset: offsets[usize::from(some)],
                    max_messages: small,
                    sys_flag: 7,
                    commit_offset: large,
                    suspend_millis: large,
                    subscription: some.then(|| text.into()),
                    sub_version: large,
                    expression_type: some.then(|| "SQL92".into()),
                    max_bytes: some.then_some(small),
                    broker: some.then(|| text.into()),
                },
                codec,
            ));
            push(frame(
                &SendMessage {
                    group: text.into(),
                    topic: text.into(),
                    default_topic: text.into(),
                    default_topic_queues: small,
                    queue_id: small,
                    sys_flag: small,
                    born_timestamp: large,
                    flag: small,
                    properties: some.then(|| ODD.into()),
                    reconsume_times: some.then_some(small),
                    unit_mode: some.then_some(true),
                    max_reconsume_times: some.then_some(small),
                    batch: some.then_some(true),
                    broker: some.then(|| text.into()),
                },
                codec,
            ));
        }
    }
    push(frame(&HeartBeat {}, codec));
    push(HeartBeat {}.encode_oneway(codec, Bytes::from_static(b"{}")).to_bytes(Opaque(-1)));
}

fn frame(request: &impl Request, codec: Codec) -> Bytes {
    request.encode(codec, Bytes::from_static(b"\x00body\xff")).to_bytes(Opaque(i32::MAX))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fields that Java does not keep in the header object.
const BESIDE: [&str; 3] = ["bname", "MSG_REGION", "TRACE_ON"];
