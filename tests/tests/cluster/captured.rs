//! Requests that were sent to a real broker, answered by the model as they were answered then.

use std::collections::BTreeMap;

use rocketmq_core::time::Instant;
use rocketmq_core::wire::Frame;
use rocketmq_core::wire::body::LockedQueues;
use rocketmq_testkit::cluster::{Broker, BrokerConfig, NameServer, Output, SessionId, TopicConfig};

use crate::talk::{Talk, decoded};

/// The frames of a capture.
fn captured(name: &str) -> Vec<Vec<u8>> {
    let path = format!("{}/captures/v540_{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    lines.map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect()
}

/// What of an answer must be equal.
fn essence(frame: &Frame) -> (i32, i32, String, u8, i32, BTreeMap<String, String>) {
    let header = &frame.header;
    let fields = header.ext.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let remark = header.remark.clone().unwrap_or_default();
    (header.code, header.flags, remark, header.language.0, header.version, fields)
}

struct Lab {
    talk: Talk,
    session: SessionId,
}

impl Lab {
    /// The broker of the captures, with its topic of two queues.
    fn new() -> Self {
        let cfg = BrokerConfig { address: "127.0.0.1:10921".parse().unwrap(), ..BrokerConfig::default() };
        let mut talk = Talk::new(cfg);
        let session = talk.connect();
        let mut lab = Self { talk, session };
        lab.same("create_topic_17");
        lab
    }

    fn ask(&mut self, name: &str) -> (Frame, Frame) {
        let frames = captured(name);
        let theirs = decoded(&frames[1]);
        self.talk.tell_bytes(self.session, &frames[0]);
        let ours = self.talk.answer(self.session, theirs.header.opaque).expect("an answer at once");
        (ours, theirs)
    }

    /// The model answers as the broker did, but for the body.
    fn same(&mut self, name: &str) {
        let (ours, theirs) = self.ask(name);
        assert_eq!(essence(&ours), essence(&theirs), "{name}");
    }

    /// The same with the body.
    fn same_whole(&mut self, name: &str) {
        let (ours, theirs) = self.ask(name);
        assert_eq!(essence(&ours), essence(&theirs), "{name}");
        assert_eq!(ours.body, theirs.body, "{name}");
    }

    fn fill_queue_0(&mut self, upto: i64) {
        while self.talk.broker.stored_in("CapTopic", 0).count() < usize::try_from(upto).unwrap() {
            self.talk.send(self.session, "CapTopic", 0, "TagA");
        }
    }
}

#[test]
fn sends_are_answered_as_by_a_broker() {
    let mut lab = Lab::new();
    lab.same("send_310");
    lab.same("send_310_binhdr");
    lab.same("send_illegal_topic");
    let (ours, theirs) = lab.ask("send_batch_320");
    let (mut ours, mut theirs) = (essence(&ours).5, essence(&theirs).5);
    let ids = ours.remove("msgId").unwrap();
    let expected_ids = theirs.remove("msgId").unwrap();
    let offset = |ids: &str, n: usize| i64::from_str_radix(&ids.split(',').nth(n).unwrap()[16..], 16).unwrap();
    let steps = |ids: &str| (offset(ids, 1) - offset(ids, 0), offset(ids, 2) - offset(ids, 1));
    assert_eq!(steps(&ids), steps(&expected_ids), "records of a batch have their size");
    assert_eq!(ours.remove("queueOffset").unwrap(), "0");
    assert_eq!(theirs.remove("queueOffset").unwrap(), "2");
    assert_eq!(ours, theirs);
}

#[test]
fn records_differ_from_those_of_a_broker_in_times_and_order_of_properties_only() {
    let mut lab = Lab::new();
    lab.same("send_310");
    lab.same("send_310_binhdr");
    lab.same("heartbeat_34");
    let (ours, theirs) = lab.ask("pull_11_found");
    assert_eq!(ours.body.len(), theirs.body.len());
    let (ours, theirs) = (crate::talk::Pulled::from(ours), crate::talk::Pulled::from(theirs));
    for (our, their) in ours.records.iter().zip(&theirs.records) {
        let our_properties = rocketmq_testkit::cluster::Properties::parse(our.properties(&ours.body));
        let their_properties = rocketmq_testkit::cluster::Properties::parse(their.properties(&theirs.body));
        let sorted = |p: &rocketmq_testkit::cluster::Properties| {
            p.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(sorted(&our_properties), sorted(&their_properties));
        let fixed = |r: &rocketmq_core::wire::message::Record| {
            (r.start, r.len, r.body_crc, r.queue_id, r.queue_offset, r.physical_offset, r.sys_flag, r.store_host)
        };
        assert_eq!(fixed(our), fixed(their));
        assert_eq!(our.body(&ours.body), their.body(&theirs.body));
    }
}

#[test]
fn pulls_are_answered_as_by_a_broker() {
    let mut lab = Lab::new();
    lab.same("pull_17");
    lab.same("pull_24_no_group");
    lab.talk.send(lab.session, "CapTopic", 0, "TagA");
    lab.fill_queue_0(3);
    let session = lab.session;
    lab.talk.heartbeat(session, "c", "CG_cap", &[("CapTopic", "TagA||TagB")]);
    lab.talk.heartbeat(session, "c", "CG_wrong", &[("CapTopic", "TagZ")]);
    lab.talk.broker.put_topic("CapAttr", TopicConfig::new(2));
    lab.same("pull_24_no_sub");
    lab.same("pull_25_not_latest");
    lab.same("pull_20_retry");
    lab.same("pull_21_too_large");
    lab.same("pull_negative");
    let frames = captured("pull_19_not_found");
    lab.talk.tell_bytes(session, &frames[0]);
    let theirs = decoded(&frames[1]);
    assert!(lab.talk.answer(session, theirs.header.opaque).is_none(), "it is held");
    lab.talk.advance(std::time::Duration::from_secs(5));
    let ours = lab.talk.answer(session, theirs.header.opaque).expect("an answer at the scan");
    assert_eq!(essence(&ours), essence(&theirs));
}

#[test]
fn groups_and_locks_are_answered_as_by_a_broker() {
    let mut lab = Lab::new();
    lab.same("heartbeat_34");
    lab.same_whole("consumer_list_38");
    lab.same("consumer_list_38_none");
    for (name, count) in [("lock_41", 2), ("lock_41_denied", 0)] {
        let (ours, theirs) = lab.ask(name);
        assert_eq!(essence(&ours), essence(&theirs), "{name}");
        let queues = |frame: &Frame| {
            let mut queues = LockedQueues::decode(&frame.body).unwrap().queues;
            queues.sort();
            queues
        };
        assert_eq!(queues(&ours), queues(&theirs), "{name}");
        assert_eq!(queues(&ours).len(), count, "{name}");
    }
    lab.same_whole("unlock_42");
    lab.same("unregister_35");
    let session = lab.session;
    lab.talk.heartbeat(session, "A", "CG_n2", &[("CapTopic", "*")]);
    lab.same("heartbeat_34_v2_full");
    lab.same("heartbeat_34_v2_light");
    lab.same("heartbeat_34_v2_light_stale");
}

#[test]
fn offsets_are_answered_as_by_a_broker() {
    let mut lab = Lab::new();
    lab.same("query_offset_14_notfound");
    lab.talk.send(lab.session, "CapTopic", 0, "TagA");
    lab.same("query_offset_14_notfound");
    lab.same("query_offset_14_young");
    lab.same("heartbeat_34");
    lab.same("update_offset_15");
    assert_eq!(lab.talk.broker.committed("CG_cap").collect::<Vec<_>>(), [("CapTopic", 0, 1)]);
    lab.same("min_offset_31");
    lab.same("view_33_bad");
    lab.same("unknown_code");
    let notice = decoded(&captured("notify_40")[0]);
    assert_eq!(notice.header.flags, 2);
}

#[test]
fn name_servers_answer_as_real_ones() {
    let lab = Lab::new();
    let mut server = NameServer::default();
    server.register(&lab.talk.broker);
    for name in ["route_std_105", "route_nonstd_105", "route_unknown_105", "cluster_106"] {
        let frames = captured(name);
        server.handle(SessionId(0), &decoded(&frames[0]));
        let Some(Output::Frame(_, bytes)) = server.poll_output() else { panic!("no answer to {name}") };
        let (ours, theirs) = (decoded(&bytes), decoded(&frames[1]));
        assert_eq!(essence(&ours), essence(&theirs), "{name}");
        assert_eq!(ours.header.opaque, theirs.header.opaque);
        assert_eq!(ours.body, theirs.body, "{name}");
    }
    server.handle(SessionId(0), &decoded(&captured("unknown_code")[0]));
    let Some(Output::Frame(_, bytes)) = server.poll_output() else { panic!("no answer") };
    assert_eq!(decoded(&bytes).header.remark.as_deref(), Some(" request type 9999 not supported"));
}

#[test]
fn a_broker_that_left_has_no_routes() {
    let mut server = NameServer::default();
    server.register(&Broker::new(BrokerConfig::default(), Instant::ZERO));
    server.unregister("broker-a", 0);
    server.handle(SessionId(0), &decoded(&captured("cluster_106")[0]));
    let Some(Output::Frame(_, bytes)) = server.poll_output() else { panic!("no answer") };
    assert_eq!(&*decoded(&bytes).body, br#"{"brokerAddrTable":{},"clusterAddrTable":{}}"#);
}
