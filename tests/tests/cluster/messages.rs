//! Sending, pulling, offsets.

use std::time::Duration;

use bytes::Bytes;
use rocketmq_core::wire::Codec;
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::header::Preamble;
use rocketmq_core::wire::message::{BatchItem, OffsetMsgId, batch, properties};
use rocketmq_core::wire::request::{CreateTopic, Fields, PullMessage, Request, SendMessage, SendMessageResponse};
use rocketmq_testkit::cluster::{BrokerConfig, ReplyCodec, TopicConfig};

use crate::talk::{Pulled, Talk, long_pull, message, pull};

fn send_code(talk: &mut Talk, request: &SendMessage, body: usize) -> (i32, Option<String>) {
    let session = talk.connect();
    let reply = talk.ask(session, &request.encode(Codec::Json, Bytes::from(vec![b'x'; body])));
    (reply.header.code, reply.header.ext.get("TRACE_ON").map(str::to_owned))
}

#[test]
fn a_send_creates_its_topic_after_the_template() {
    let mut talk = Talk::new(BrokerConfig::default());
    let session = talk.connect();
    talk.send(session, "T", 3, "TagA");
    assert_eq!(talk.broker.topic("T"), Some(&TopicConfig::new(4)));
    let wide = SendMessage { default_topic_queues: 100, ..message("Wide", 7, &[]) };
    assert_eq!(send_code(&mut talk, &wide, 1).0, response::SUCCESS);
    assert_eq!(talk.broker.topic("Wide"), Some(&TopicConfig::new(8)));
}

#[test]
fn sends_that_break_rules_are_refused_with_the_trace_fields() {
    let mut talk = Talk::new(BrokerConfig {
        auto_create_topics: false,
        refuse_read_only: true,
        timers: false,
        ..BrokerConfig::default()
    });
    talk.broker.put_topic("T", TopicConfig::new(2));
    talk.broker.put_topic("ReadOnly", TopicConfig { perm: 4, ..TopicConfig::new(2) });
    let cases = [
        (message("T", 1, &[]), 1, response::SUCCESS),
        (message("T", -1, &[]), 1, response::SUCCESS),
        (message("T", 2, &[]), 1, response::INVALID_PARAMETER),
        (message("T!", 0, &[]), 1, response::INVALID_PARAMETER),
        (message(&"T".repeat(128), 0, &[]), 1, response::INVALID_PARAMETER),
        (message("T", 0, &[]), 4 * 1024 * 1024, response::SUCCESS),
        (message("T", 0, &[]), 4 * 1024 * 1024 + 1, response::MESSAGE_ILLEGAL),
        (message("SCHEDULE_TOPIC_XXXX", 0, &[]), 1, response::NO_PERMISSION),
        (message("ReadOnly", 0, &[]), 1, response::NO_PERMISSION),
        (message("Unknown", 0, &[]), 1, response::TOPIC_NOT_EXIST),
        (message("T", 0, &[("TRAN_MSG", "true"), ("PGROUP", "P")]), 1, response::SUCCESS),
        (message("T", 0, &[("TIMER_DELAY_MS", "5")]), 1, response::SYSTEM_ERROR),
        (message("T", 0, &[("big", &"x".repeat(32_000))]), 1, response::SUCCESS),
        (message("T", 0, &[("big", &"x".repeat(32_730))]), 1, response::MESSAGE_ILLEGAL),
    ];
    for (send, body, code) in cases {
        assert_eq!(send_code(&mut talk, &send, body), (code, Some("true".into())), "{}", send.topic);
    }
}

#[test]
fn a_batch_is_stored_item_by_item() {
    let mut talk = Talk::new(BrokerConfig::default());
    let session = talk.connect();
    talk.send(session, "T", 0, "TagA");
    let tags = ["TagA", "TagB", "TagA"];
    let texts = tags.map(|tag| properties::encode([("TAGS", tag)]).unwrap());
    let items: Vec<_> =
        texts.iter().map(|text| BatchItem { flag: 5, body: b"item", properties: text.as_bytes() }).collect();
    let request = SendMessage { batch: Some(true), ..message("T", 0, &[]) };
    let reply = talk.ask(session, &request.encode(Codec::Json, batch::encode(&items).unwrap().into()));
    let stored = SendMessageResponse::read(&reply.header.ext).unwrap();
    assert_eq!((stored.queue_offset, stored.transaction_id.as_deref()), (1, Some("K1")));
    for (id, offset) in stored.msg_id.split(',').zip(1..) {
        let id: OffsetMsgId = id.parse().unwrap();
        let found = talk.broker.stored_in("T", 0).find(|stored| stored.queue_offset == offset).unwrap();
        assert_eq!((found.physical_offset, found.flag), (id.physical_offset, 5));
        assert_eq!(found.properties.iter().count(), 1, "nothing is added to batch items");
    }
    let mut only_b = pull("G", "T", 0, 0);
    only_b.subscription = Some("TagB".into());
    let pulled = talk.pull(session, &only_b);
    assert_eq!((pulled.bodies(), pulled.next()), (vec!["item".to_owned()], 4));
    let broken = talk.ask(session, &request.encode(Codec::Json, Bytes::from_static(&[0, 0, 0, 99, 1])));
    assert_eq!(broken.header.code, response::SYSTEM_ERROR);
}

#[test]
fn long_names_and_letters_mean_the_same() {
    let mut talk = Talk::new(BrokerConfig::default());
    let session = talk.connect();
    let frame = Preamble::request(request::SEND_MESSAGE, Codec::Json).encode(
        |out| {
            out.text("producerGroup", "PG");
            out.text("topic", "T");
            out.text("defaultTopic", "TBW102");
            for (key, value) in
                [("defaultTopicQueueNums", 4), ("queueId", 1), ("sysFlag", 0), ("bornTimestamp", 9), ("flag", 3)]
            {
                out.int(key, value);
            }
        },
        Bytes::from_static(b"long"),
    );
    assert_eq!(talk.ask(session, &frame).header.code, 0);
    let stored: Vec<_> = talk.broker.stored("T").collect();
    assert_eq!((stored[0].queue_id, stored[0].flag, &*stored[0].body), (1, 3, &b"long"[..]));
    assert_eq!(stored[0].properties.get("UNIQ_KEY").map(str::len), Some(32));
}

#[test]
fn a_pull_gives_at_most_32_messages_and_256_kib() {
    let mut talk = Talk::new(BrokerConfig::default());
    let session = talk.connect();
    for _ in 0..40 {
        talk.send(session, "Many", 0, "");
    }
    let pulled = talk.pull(session, &PullMessage { max_messages: 1_000, ..pull("G", "Many", 0, 0) });
    assert_eq!((pulled.code, pulled.records.len(), pulled.next()), (0, 32, 32));
    let pulled = talk.pull(session, &PullMessage { max_messages: 5, ..pull("G", "Many", 0, 32) });
    assert_eq!((pulled.records.len(), pulled.next()), (5, 37));
    for body in [300, 100, 100, 100] {
        let request = message("Big", 0, &[]).encode(Codec::Json, Bytes::from(vec![0; body * 1024]));
        talk.ask(session, &request);
    }
    assert_eq!(talk.pull(session, &pull("G", "Big", 0, 0)).records.len(), 1, "a larger one comes alone");
    assert_eq!(talk.pull(session, &pull("G", "Big", 0, 1)).records.len(), 2);
}

#[test]
fn a_held_pull_is_woken_by_a_matching_arrival() {
    let mut talk = Talk::new(BrokerConfig::default());
    let session = talk.connect();
    talk.send(session, "T", 0, "TagA");
    talk.heartbeat(session, "c", "G", &[("T", "TagA")]);
    let opaque = talk.tell(session, &long_pull("G", "T", 1, Duration::from_secs(15)).encode(Codec::Json, Bytes::new()));
    talk.advance(Duration::from_secs(1));
    talk.send(session, "T", 0, "TagB");
    assert!(talk.answer(session, opaque).is_none(), "another tag does not wake it");
    talk.send(session, "T", 0, "TagA");
    let pulled = Pulled::from(talk.answer(session, opaque).expect("woken"));
    assert_eq!((pulled.bodies(), pulled.next()), (vec!["body TagA".to_owned()], 3));
}

#[test]
fn a_held_pull_expires_at_a_scan_only() {
    let mut talk = Talk::new(BrokerConfig::default());
    let session = talk.connect();
    talk.send(session, "T", 0, "TagA");
    talk.heartbeat(session, "c", "G", &[("T", "TagA")]);
    talk.advance(Duration::from_secs(1));
    let request = long_pull("G", "T", 1, Duration::from_secs(6)).encode(Codec::Json, Bytes::new());
    let opaque = talk.tell(session, &request);
    talk.advance(Duration::from_millis(8_999));
    assert!(talk.answer(session, opaque).is_none());
    talk.advance(Duration::from_millis(1));
    let pulled = Pulled::from(talk.answer(session, opaque).expect("the scan at 10 s"));
    assert_eq!((pulled.code, pulled.remark.as_str()), (response::PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE"));

    let opaque = talk.tell(session, &request);
    talk.send(session, "T", 0, "TagB");
    talk.advance(Duration::from_secs(5));
    let pulled = Pulled::from(talk.answer(session, opaque).expect("the scan sees that the queue went on"));
    assert_eq!((pulled.code, pulled.next()), (response::PULL_RETRY_IMMEDIATELY, 2));

    talk.tell(session, &long_pull("G", "T", 2, Duration::from_secs(60)).encode(Codec::Json, Bytes::new()));
    talk.broker.closed(session);
    talk.notices();
    talk.advance(Duration::from_secs(70));
    assert!(talk.heard.is_empty(), "a closed session hears nothing");
}

#[test]
fn never_written_trimmed_and_reset_queues_move_the_offset() {
    let mut talk = Talk::new(BrokerConfig::default());
    let session = talk.connect();
    talk.broker.put_topic("T", TopicConfig::new(2));
    let status = |talk: &mut Talk, queue, offset| {
        let pulled = talk.pull(session, &pull("G", "T", queue, offset));
        (pulled.code, pulled.remark.clone(), pulled.next())
    };
    assert_eq!(status(&mut talk, 0, 0), (response::PULL_NOT_FOUND, "NO_MESSAGE_IN_QUEUE".into(), 0));
    assert_eq!(status(&mut talk, 0, 7), (response::PULL_OFFSET_MOVED, "NO_MESSAGE_IN_QUEUE".into(), 0));
    assert_eq!(talk.pull(session, &pull("G", "T", 2, 0)).code, response::INVALID_PARAMETER);
    for _ in 0..5 {
        talk.send(session, "T", 0, "");
    }
    talk.broker.trim("T", 0, 3);
    assert_eq!(status(&mut talk, 0, 0), (response::PULL_OFFSET_MOVED, "OFFSET_TOO_SMALL".into(), 3));
    assert_eq!(status(&mut talk, 0, 3).0, response::SUCCESS);
    talk.broker.reset_offset("G", "T", 0, 4);
    assert_eq!(status(&mut talk, 0, 3), (response::PULL_OFFSET_MOVED, "OFFSET_RESET".into(), 4));
    assert_eq!(status(&mut talk, 0, 4), (response::SUCCESS, "FOUND".into(), 5));
}

#[test]
fn offsets_travel_with_pulls_and_by_themselves() {
    let mut talk = Talk::new(BrokerConfig::default());
    let session = talk.connect();
    talk.send(session, "T", 0, "");
    let flags = PullMessage::SUBSCRIPTION | PullMessage::COMMIT;
    let committing = PullMessage { sys_flag: flags, commit_offset: 9, ..pull("G", "T", 0, 0) };
    talk.pull(session, &committing);
    talk.pull(session, &PullMessage { commit_offset: 1, ..pull("G", "T", 0, 0) });
    assert_eq!(talk.broker.committed("G").collect::<Vec<_>>(), [("T", 0, 9)], "without the flag it is ignored");
    let ask = |talk: &mut Talk, code: i32, pairs: &[(&str, &str)]| {
        let fields = |out: &mut rocketmq_core::wire::ExtWriter<'_>| pairs.iter().for_each(|(k, v)| out.text(k, v));
        let reply = talk.ask(session, &Preamble::request(code, Codec::Json).encode(fields, Bytes::new()));
        let number = reply.header.ext.get("offset").or(reply.header.ext.get("timestamp"));
        (reply.header.code, number.map(|text| text.parse::<i64>().unwrap()))
    };
    let first = talk.broker.stored("T").next().unwrap();
    talk.advance(Duration::from_millis(100));
    let second = talk.send(session, "T", 0, "");
    assert_eq!(second.queue_offset, 1);
    let time = first.stored_ms + 50;
    let at = |time: i64, kind| [("topic", "T"), ("queueId", "0"), ("timestamp", leak(time)), ("boundaryType", kind)];
    assert_eq!(ask(&mut talk, 29, &at(time, "LOWER")), (0, Some(1)));
    assert_eq!(ask(&mut talk, 29, &at(time, "upper")), (0, Some(0)));
    assert_eq!(ask(&mut talk, 29, &at(time + 100, "LOWER")), (0, Some(2)));
    assert_eq!(ask(&mut talk, 29, &at(time + 100, "UPPER")), (0, Some(1)));
    assert_eq!(ask(&mut talk, 29, &at(0, "UPPER")), (0, Some(0)));
    let queue = [("topic", "T"), ("queueId", "0")];
    let unknown = [("topic", "U"), ("queueId", "0")];
    assert_eq!(ask(&mut talk, 30, &queue), (0, Some(2)));
    assert_eq!(ask(&mut talk, 31, &queue), (0, Some(0)));
    assert_eq!(ask(&mut talk, 32, &queue), (0, Some(first.stored_ms)));
    assert_eq!(ask(&mut talk, 30, &unknown), (0, Some(0)));
    assert_eq!(ask(&mut talk, 32, &unknown), (0, Some(-1)));
    let commit = [("consumerGroup", "never-heard-of"), ("topic", "T"), ("queueId", "0"), ("commitOffset", "1")];
    assert_eq!(ask(&mut talk, 15, &commit).0, response::SUBSCRIPTION_GROUP_NOT_EXIST);
    let commit = [("consumerGroup", "G"), ("topic", "U"), ("queueId", "0"), ("commitOffset", "1")];
    assert_eq!(ask(&mut talk, 15, &commit).0, response::TOPIC_NOT_EXIST);
    let view = ask(&mut talk, 33, &[("topic", "T"), ("offset", leak(first.physical_offset))]);
    assert_eq!(view.0, 0);
}

fn leak(number: i64) -> &'static str {
    Box::leak(number.to_string().into_boxed_str())
}

#[test]
fn topics_can_be_created_and_narrowed() {
    let mut talk = Talk::new(BrokerConfig::default());
    let session = talk.connect();
    let create = CreateTopic {
        topic: "Made".into(),
        default_topic: "TBW102".into(),
        read_queues: 3,
        write_queues: 2,
        perm: 6,
        filter_type: "SINGLE_TAG".into(),
        sys_flag: None,
        order: true,
        attributes: None,
    };
    let revision = talk.broker.topics_revision();
    assert_eq!(talk.ask(session, &create.encode(Codec::Json, Bytes::new())).header.code, 0);
    let made = talk.broker.topic("Made").unwrap();
    assert_eq!((made.read_queues, made.write_queues, made.order), (3, 2, true));
    assert_ne!(talk.broker.topics_revision(), revision);
}

#[test]
fn answers_can_follow_the_codec_of_the_request() {
    let mut talk = Talk::new(BrokerConfig { reply_codec: ReplyCodec::AsRequest, ..BrokerConfig::default() });
    let session = talk.connect();
    for codec in [Codec::Json, Codec::Rocketmq] {
        let reply = talk.ask(session, &message("T", 0, &[]).encode(codec, Bytes::from_static(b"body")));
        assert_eq!((reply.header.code, reply.header.codec), (0, codec));
    }
}

#[test]
fn a_crash_can_take_the_end_of_the_log() {
    let mut talk = Talk::new(BrokerConfig::default());
    let session = talk.connect();
    talk.send(session, "T", 0, "a");
    let synced = talk.broker.log_end();
    talk.send(session, "T", 0, "b");
    let now = talk.now;
    talk.broker.stop(now);
    talk.broker.lose_log_from(synced);
    let session = talk.connect();
    assert_eq!(talk.send(session, "T", 0, "c").queue_offset, 1);
    assert_eq!(talk.pull(session, &pull("G", "T", 0, 0)).bodies(), ["body a", "body c"]);
}

#[test]
fn the_same_script_gives_the_same_bytes() {
    let script = || {
        let mut talk = Talk::new(BrokerConfig { seed: 7, ..BrokerConfig::default() });
        let sessions = [talk.connect(), talk.connect()];
        let mut said = Vec::new();
        for round in 0..50 {
            let session = sessions[round % 2];
            let mut send = message("T", -1, &[("TAGS", "a")]);
            send.properties = None;
            said.push(talk.ask(session, &send.encode(Codec::Json, Bytes::from_static(b"body"))));
            said.push(talk.heartbeat(session, "c", "G", &[("T", "*")]));
            talk.advance(Duration::from_secs(9));
        }
        let stored: Vec<_> = talk.broker.stored("T").map(|view| format!("{view:?}")).collect();
        (said, talk.heard, stored)
    };
    assert_eq!(script(), script());
}
