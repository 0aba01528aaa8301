//! Members, notices, locks.

use std::time::Duration;

use bytes::Bytes;
use rocketmq_core::ids::MessageQueue;
use rocketmq_core::wire::Codec;
use rocketmq_core::wire::body::{LockQueues, LockedQueues};
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::header::Preamble;
use rocketmq_core::wire::request::{HeartBeat, Request, UnregisterClient};
use rocketmq_testkit::cluster::{BrokerConfig, SessionId};

use crate::talk::{Talk, long_pull, pull};

const NOTICE: i32 = request::NOTIFY_CONSUMER_IDS_CHANGED;

#[test]
fn members_hear_of_joins_and_leaves() {
    let mut talk = Talk::new(BrokerConfig::default());
    let (a, b, c) = (talk.connect(), talk.connect(), talk.connect());
    talk.heartbeat(a, "A", "G", &[("T", "*")]);
    assert_eq!(talk.notices(), [(a, NOTICE)], "the newcomer too");
    talk.heartbeat(b, "B", "G", &[("T", "*")]);
    assert_eq!(talk.notices(), [(a, NOTICE), (b, NOTICE)]);
    talk.heartbeat(b, "B", "G", &[("T", "TagA")]);
    talk.heartbeat(b, "B", "G", &[("T", "*")]);
    assert_eq!(talk.notices(), [], "another expression is no change");
    talk.heartbeat(b, "B", "G", &[("T", "*"), ("U", "*")]);
    assert_eq!(talk.notices().len(), 2, "another topic is");
    talk.heartbeat(a, "A", "G", &[("T", "*")]);
    assert_eq!(talk.notices().len(), 2, "and a topic less");
    talk.heartbeat(c, "C", "G", &[("T", "*")]);
    talk.notices();
    let leave = UnregisterClient { client_id: "C".into(), producer_group: None, consumer_group: Some("G".into()) };
    talk.ask(c, &leave.encode(Codec::Json, Bytes::new()));
    assert_eq!(talk.notices(), [(a, NOTICE), (b, NOTICE)]);
    talk.broker.closed(b);
    talk.advance(Duration::ZERO);
    assert_eq!(talk.notices(), [(a, NOTICE)]);
    assert_eq!(talk.members(a, "G").unwrap(), ["A"]);
    talk.broker.closed(a);
    assert_eq!(talk.members(c, "G"), Err((1, Some("no consumer for this group, G".into()))));
}

#[test]
fn silent_clients_are_dropped_by_the_scan_after_two_minutes_and_nobody_is_told() {
    let mut talk = Talk::new(BrokerConfig::default());
    let (a, b) = (talk.connect(), talk.connect());
    talk.advance(Duration::from_secs(5));
    talk.heartbeat(a, "A", "G", &[("T", "*")]);
    talk.heartbeat(b, "B", "G", &[("T", "*")]);
    talk.notices();
    for _ in 0..4 {
        talk.advance(Duration::from_secs(30));
        talk.heartbeat(a, "A", "G", &[("T", "*")]);
    }
    assert_eq!(talk.members(a, "G").unwrap().len(), 2, "125 s on the clock, B silent for 120 s");
    talk.advance(Duration::from_secs(5));
    assert_eq!(talk.hung_up, [b]);
    assert_eq!(talk.notices(), []);
    assert_eq!(talk.members(a, "G").unwrap(), ["A"]);
}

#[test]
fn a_heartbeat_creates_the_retry_topic_and_keeps_the_newest_subscription() {
    let mut talk = Talk::new(BrokerConfig::default());
    let session = talk.connect();
    talk.send(session, "T", 0, "TagA");
    talk.heartbeat(session, "A", "G", &[("T", "TagA")]);
    assert_eq!(talk.broker.topic("%RETRY%G").map(|topic| topic.read_queues), Some(1));
    let held = |offset| long_pull("G", "T", offset, Duration::from_secs(1));
    assert_eq!(talk.pull(session, &held(0)).records.len(), 1);
    talk.advance(Duration::from_millis(10));
    talk.heartbeat(session, "A", "G", &[("T", "TagB")]);
    assert_eq!(talk.pull(session, &held(0)).code, response::PULL_RETRY_IMMEDIATELY);
    let mut old = talk.beat("A", "G", &[("T", "*")]);
    old.consumers[0].subscriptions[0].sub_version -= 1_000;
    talk.ask(session, &HeartBeat {}.encode(Codec::Json, old.encode().into()));
    assert_eq!(talk.broker.subscriptions("G").get("T").map(String::as_str), Some("TagB"));
    let newer = rocketmq_core::wire::request::PullMessage { sub_version: i64::MAX, ..held(0) };
    assert_eq!(talk.pull(session, &newer).code, response::SUBSCRIPTION_NOT_LATEST);
    assert_eq!(talk.pull(session, &pull(&"G".repeat(121), "T", 0, 0)).code, response::SUBSCRIPTION_GROUP_NOT_EXIST);
}

#[test]
fn light_heartbeats_are_for_brokers_that_know_them() {
    for (heartbeat_v2, subscriptions, fields) in [(true, 1, 2), (false, 0, 0)] {
        let mut talk = Talk::new(BrokerConfig { heartbeat_v2, ..BrokerConfig::default() });
        let session = talk.connect();
        let mut beat = talk.beat("A", "G", &[("T", "*")]);
        beat.heartbeat_fingerprint = beat.fingerprint();
        talk.ask(session, &HeartBeat {}.encode(Codec::Json, beat.encode().into()));
        let reply = talk.ask(session, &HeartBeat {}.encode(Codec::Json, beat.light().encode().into()));
        assert_eq!(reply.header.ext.len(), fields);
        assert_eq!(talk.broker.subscriptions("G").len(), subscriptions);
    }
    let mut talk = Talk::new(BrokerConfig::default());
    let session = talk.connect();
    let garbage = HeartBeat {}.encode(Codec::Json, Bytes::from_static(b"{{"));
    assert_eq!(talk.ask(session, &garbage).header.code, response::SYSTEM_ERROR);
}

#[test]
fn locks_are_leases() {
    let mut talk = Talk::new(BrokerConfig::default());
    let session = talk.connect();
    let lock = |talk: &mut Talk, code, client: &str, ids: &[i32]| {
        let queue = |id: &i32| MessageQueue { topic: "T".into(), broker: "broker-a".into(), id: *id };
        let queues = ids.iter().map(queue).collect();
        let body = LockQueues { client_id: client.into(), group: "G".into(), queues, only_this_broker: false };
        let request = Preamble::request(code, Codec::Json).encode(|_| {}, body.encode().into());
        let reply = talk.ask(session, &request);
        let locked = LockedQueues::decode(&reply.body).unwrap_or_default();
        locked.queues.iter().map(|queue| queue.id).collect::<Vec<_>>()
    };
    assert_eq!(lock(&mut talk, 41, "A", &[0, 1]), [0, 1]);
    assert_eq!(lock(&mut talk, 41, "B", &[1, 2]), [2], "what is free");
    lock(&mut talk, 42, "B", &[1]);
    assert_eq!(talk.broker.lock_owner(talk.now, "G", "T", 1), Some("A"), "only the owner unlocks");
    talk.advance(Duration::from_secs(40));
    assert_eq!(lock(&mut talk, 41, "A", &[0]), [0], "renewed");
    talk.advance(Duration::from_secs(20));
    assert_eq!(lock(&mut talk, 41, "B", &[0, 1]), [1], "60 s end a lease");
    lock(&mut talk, 42, "A", &[0]);
    assert_eq!(lock(&mut talk, 41, "B", &[0]), [0]);
    assert_eq!((talk.broker.locks_of(talk.now, "A"), talk.broker.locks_of(talk.now, "B")), (0, 2));
    talk.broker.lose_locks();
    assert_eq!(lock(&mut talk, 41, "A", &[1]), [1], "a table that is lost locks nothing");
    talk.broker.stop(talk.now);
    assert_eq!(talk.broker.lock_owner(talk.now, "G", "T", 1), None, "a restart forgets locks");
}

#[test]
fn a_client_with_two_sessions_is_two_members() {
    let mut talk = Talk::new(BrokerConfig::default());
    let sessions: [SessionId; 2] = [talk.connect(), talk.connect()];
    for session in sessions {
        talk.heartbeat(session, "same", "G", &[("T", "*")]);
    }
    assert_eq!(talk.members(sessions[0], "G").unwrap(), ["same", "same"]);
}
