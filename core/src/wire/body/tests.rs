use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::ids::{Endpoint, MessageQueue};
use crate::wire::testdata::captured;

fn queue(id: i32) -> MessageQueue {
    MessageQueue { topic: "CapTopic".into(), broker: "broker-a".into(), id }
}

#[test]
fn routes_of_real_name_servers_are_read_and_written_back() {
    let standard = captured!("v540_route_std_105", 1);
    let raw = captured!("v540_route_nonstd_105", 1);
    let route = TopicRoute::decode(&standard).unwrap();
    assert_eq!(TopicRoute::decode(&raw).as_ref(), Ok(&route));
    let broker = &route.broker_datas[0];
    assert_eq!(broker.broker_addrs, BTreeMap::from([(0, Endpoint::from("127.0.0.1:10921"))]));
    assert_eq!((broker.broker_name.as_str(), broker.cluster.as_str()), ("broker-a", "DefaultCluster"));
    let queues = &route.queue_datas[0];
    assert_eq!((queues.read_queue_nums, queues.write_queue_nums, queues.perm), (2, 2, Perm::READ_WRITE));
    assert!(queues.perm.is_readable() && queues.perm.is_writable());
    assert_eq!(route.encode(JsonForm::Standard), standard);
    assert_eq!(route.encode(JsonForm::Fastjson), raw);
    let old = TopicRoute::decode(&captured!("v497_route_nonstd_105", 1)).unwrap();
    assert!(!old.broker_datas[0].enable_acting_master);
}

#[test]
fn clusters_of_real_name_servers_are_read_and_written_back() {
    let body = captured!("v540_cluster_106", 1);
    let info = ClusterInfo::decode(&body).unwrap();
    assert_eq!(info.cluster_addr_table["DefaultCluster"], ["broker-a".into()]);
    assert_eq!(info.broker_addr_table[&BrokerName::from("broker-a")].broker_addrs[&0].as_str(), "127.0.0.1:10921");
    assert_eq!(info.encode(JsonForm::Fastjson), body);
    assert!(ClusterInfo::decode(&captured!("v497_cluster_106", 1)).is_ok());
}

#[test]
fn heartbeats_of_java_are_read_and_written_back() {
    let body = captured!("java540_34_consumer", 0);
    let data = HeartbeatData::decode(&body).unwrap();
    assert_eq!(data.client_id.as_str(), "192.0.2.2@cons");
    assert_eq!(data.producers, [ProducerData { group: "CLIENT_INNER_PRODUCER".into() }]);
    let group = &data.consumers[0];
    assert_eq!((group.consume_type, group.message_model), (ConsumeType::Passively, MessageModel::Clustering));
    let version = crate::time::UnixMillis(1_795_495_397_126);
    assert_eq!(group.subscriptions[0], SubscriptionData::tags("JavaTopic".into(), "TagA || TagB", version).unwrap());
    assert_eq!(data.encode(), body);
    let full = captured!("v540_heartbeat_34_v2_full", 0);
    let data = HeartbeatData::decode(&full).unwrap();
    assert_eq!(data.heartbeat_fingerprint, 12_345);
    assert_eq!(data.encode(), full);
}

#[test]
fn the_fingerprint_is_that_of_the_subscriptions() {
    let data = HeartbeatData::decode(&captured!("java540_34_consumer", 0)).unwrap();
    let print = data.fingerprint();
    assert_ne!(print, 0);
    let mut same = HeartbeatData { client_id: "other".into(), heartbeat_fingerprint: print, ..data.clone() };
    same.consumers[0].subscriptions[0].sub_version += 1;
    assert_eq!(same.fingerprint(), print);
    same.consumers[0].subscriptions[0].sub_string = "TagA".to_owned();
    assert_ne!(same.fingerprint(), print);
    let light = same.light();
    assert!(light.without_sub && light.consumers[0].subscriptions.is_empty());
    assert_eq!((light.heartbeat_fingerprint, &light.consumers[0].group), (print, &same.consumers[0].group));
}

#[test]
fn members_and_locks_are_read_and_written_back() {
    let body = captured!("java540_38", 1);
    let list = ConsumerList::decode(&body).unwrap();
    assert_eq!(list.ids, ["192.0.2.2@cons".into()]);
    assert_eq!(list.encode(), body);
    for body in [captured!("v540_lock_41", 0), captured!("java540_41", 0), captured!("v540_unlock_42", 0)] {
        assert_eq!(LockQueues::decode(&body).unwrap().encode(), body);
    }
    let body = captured!("v540_lock_41", 1);
    let locked = LockedQueues::decode(&body).unwrap();
    assert_eq!(locked.queues, [queue(1), queue(0)]);
    assert_eq!(locked.encode(), body);
    assert_eq!(LockedQueues::decode(br#"{"lockOKMQSet":[]}"#), Ok(LockedQueues::default()));
}

#[test]
fn what_a_consumer_tells_of_itself_has_queues_as_javas_tools_want_them() {
    let body = captured!("v540_server_307", 1);
    let info = ConsumerRunningInfo::decode(&body).unwrap();
    let state = &info.queues.0[&queue(0)];
    assert_eq!((state.commit_offset, state.last_lock_timestamp, state.locked), (5, 1_795_494_973_852, false));
    assert_eq!(info.properties[ConsumerRunningInfo::CONSUME_TYPE], "CONSUME_PASSIVELY");
    assert_eq!(info.status[&"CapTopic".into()], ConsumeStatus::default());
    assert_eq!(info.subscriptions.len(), 2);
    let again = info.encode();
    assert_eq!(ConsumerRunningInfo::decode(&again), Ok(info.clone()));
    // But for the order of properties, which Java leaves to chance.
    let bytes = |body: &[u8]| {
        let mut bytes = body.to_vec();
        bytes.sort_unstable();
        bytes
    };
    assert_eq!(bytes(&again), bytes(&body));
    let stacks = ConsumerRunningInfo { jstack: Some("a\n\"b\"".into()), ..info };
    assert!(
        stacks.encode().starts_with(br#"{"jstack":"a\n\"b\"","mqPopTable":{},"mqTable":{{"brokerName":"broker-a","#)
    );
    assert_eq!(ConsumerRunningInfo::decode(&stacks.encode()), Ok(stacks));
    assert_eq!(ConsumerRunningInfo::decode(b"{}"), Ok(ConsumerRunningInfo::default()));
    assert!(ConsumerRunningInfo::decode(b"[]").is_err());
}

#[test]
fn what_came_of_a_message_is_told_as_java_does() {
    let body = captured!("v540_server_309", 1);
    let result = DirectResult::decode(&body).unwrap();
    let success = Some(ConsumeResult::Success);
    let expected =
        DirectResult { auto_commit: true, consume_result: success, spent_time_mills: 3, ..DirectResult::default() };
    assert_eq!((&result, result.encode()), (&expected, body.to_vec()));
    let failed = DirectResult {
        consume_result: Some(ConsumeResult::ThrowException),
        remark: Some("why".into()),
        order: true,
        ..expected
    };
    let text =
        r#"{"autoCommit":true,"consumeResult":"CR_THROW_EXCEPTION","order":true,"remark":"why","spentTimeMills":3}"#;
    assert_eq!(failed.encode(), text.as_bytes());
    assert_eq!(DirectResult::decode(text.as_bytes()), Ok(failed));
    assert_eq!(DirectResult::decode(b"{}"), Ok(DirectResult::default()));
    assert!(DirectResult::decode(br#"{"consumeResult":"CR_MAYBE"}"#).is_err());
}

#[test]
fn offsets_have_objects_as_keys() {
    let reset = ResetOffsets::decode(&captured!("v540_server_220", 0)).unwrap();
    assert_eq!(reset.offset_table.0, BTreeMap::from([(queue(0), 0), (queue(1), 0)]));
    let raw = br#"{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"CapTopic"}:0,{"brokerName":"broker-a","queueId":1,"topic":"CapTopic"}:0}}"#;
    assert_eq!(reset.encode(), raw);
    let body = captured!("v540_server_221", 1);
    let status = ConsumerStatus::decode(&body).unwrap();
    assert_eq!(status.message_queue_table.0, BTreeMap::from([(queue(0), 5)]));
    assert_eq!(status.encode(), body);
    // A text in the place of the object, as standard JSON would have it.
    let quoted = br#"{"offsetTable":{"{\"brokerName\":\"broker-a\",\"queueId\":7,\"topic\":\"CapTopic\"}":-1}}"#;
    assert_eq!(ResetOffsets::decode(quoted).unwrap().offset_table.0, BTreeMap::from([(queue(7), -1)]));
    // What clients in C++ are sent.
    let list = br#"{"offsetTable":[{"brokerName":"broker-a","offset":5,"queueId":1,"topic":"CapTopic"},{"brokerName":"broker-a","offset":6,"queueId":0,"topic":"CapTopic"}]}"#;
    assert_eq!(ResetOffsets::decode(list).unwrap().offset_table.0, BTreeMap::from([(queue(0), 6), (queue(1), 5)]));
    assert_eq!(ResetOffsets::decode(br#"{"offsetTable":null}"#), Ok(ResetOffsets::default()));
    for wrong in [
        r#"{"offsetTable":[{"topic":"t"}]}"#,
        r#"{"offsetTable":7}"#,
        r#"{"offsetTable":{"x":1}}"#,
        r#"{"offsetTable":{"{}":1}}"#,
        r#"{"offsetTable":{{"topic":1}:1}}"#,
    ] {
        assert!(matches!(ResetOffsets::decode(wrong.as_bytes()), Err(BodyError::Json(_))), "{wrong}");
    }
}

#[test]
fn what_is_missing_null_or_unknown_does_no_harm() {
    assert_eq!(TopicRoute::decode(b"{}"), Ok(TopicRoute::default()));
    let route = TopicRoute::decode(
        br#"{"x":{"y":[{}]},"orderTopicConf":null,"queueDatas":[{"perm":null,"z":1}],"brokerDatas":null,"filterServerTable":{"a":[]}} "#,
    );
    assert_eq!(route.unwrap().queue_datas, [QueueData::default()]);
    let data = HeartbeatData::decode(br#"{"consumerDataSet":[{"groupName":"g","subscriptionDataSet":[{"topic":"t","subString":"*"},{"$ref":"$.a"}]}]}"#);
    let all = SubscriptionData::all("t".into(), crate::time::UnixMillis(0));
    assert_eq!(data.unwrap().consumers[0].subscriptions, [all, SubscriptionData::default()]);
    let locked = LockedQueues::decode(br#"{"lockOKMQSet":[{"$ref":".."},{"brokerName":"b","queueId":1,"topic":"t"}]}"#);
    assert_eq!(locked.unwrap().queues.len(), 1);
    assert_eq!(ConsumerList::decode(br#"{"consumerIdList":null}"#), Ok(ConsumerList::default()));
}

#[test]
fn nonsense_is_an_error() {
    for body in ["", "null", "[]", "{", r#"{"brokerDatas":{}}"#, r#"{"queueDatas":[{"perm":"six"}]}"#, "{}x", "\u{7f}"]
    {
        assert!(TopicRoute::decode(body.as_bytes()).is_err(), "{body}");
    }
    assert!(HeartbeatData::decode(br#"{"consumerDataSet":[{"messageModel":"SHOUTING"}]}"#).is_err());
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(32), "]".repeat(32));
    assert_eq!(TopicRoute::decode(deep.as_bytes()), Err(DialectError::TooDeep { limit: 32 }.into()));
}

#[test]
fn a_few_bytes_cannot_ask_for_many_queues() {
    let route = |read: i32, write: i32| TopicRoute::decode(&route_body(&[(read, write)]));
    for count in [i32::MAX, 4_097, -1, i32::MIN] {
        let error = Err(BodyError::QueueCount { broker: "b0".into(), count });
        assert_eq!(route(count, 4), error);
        assert_eq!(route(4, count), error);
    }
    assert!(route(4_096, 0).is_ok());
    assert!(TopicRoute::decode(&route_body(&[(4_096, 4_096); 16])).is_ok());
    let error = BodyError::TooMany { what: "queues", count: 17 * 4_096, limit: 65_536 };
    assert_eq!(TopicRoute::decode(&route_body(&[(4_096, 1); 17])), Err(error));
    let error = BodyError::TooMany { what: "brokers with queues", count: 1_025, limit: 1_024 };
    assert_eq!(TopicRoute::decode(&route_body(&[(1, 1); 1_025])), Err(error));
}

#[test]
fn lists_are_bounded() {
    let ids = ConsumerList { ids: vec!["a".into(); 10_001] }.encode();
    let error = BodyError::TooMany { what: "group members", count: 10_001, limit: 10_000 };
    assert_eq!(ConsumerList::decode(&ids), Err(error));
    let route = TopicRoute { broker_datas: vec![BrokerData::default(); 1_025], ..TopicRoute::default() };
    let route = route.encode(JsonForm::Standard);
    let error = BodyError::TooMany { what: "brokers", count: 1_025, limit: 1_024 };
    assert_eq!(TopicRoute::decode(&route), Err(error));
    let locked = LockedQueues { queues: vec![queue(0); 10_001] }.encode();
    let error = BodyError::TooMany { what: "locked queues", count: 10_001, limit: 10_000 };
    assert_eq!(LockedQueues::decode(&locked), Err(error));
    let long = vec![b' '; 4 * 1024 * 1024 + 1];
    assert!(matches!(ConsumerList::decode(&long), Err(BodyError::Dialect(DialectError::TooLong { .. }))));
}

#[test]
fn what_is_over_a_limit_is_not_kept() {
    let many = "{},".repeat(100_000);
    let route = |key: &str, end: &str| TopicRoute::decode(alloc::format!(r#"{{"{key}":[{many}{end}}}"#).as_bytes());
    let error = |what| Err(BodyError::TooMany { what, count: 1_025, limit: 1_024 });
    assert_eq!(route("brokerDatas", "{}]"), error("brokers"));
    assert_eq!(route("queueDatas", "{}]"), error("brokers with queues"));
    assert!(matches!(route("queueDatas", "nonsense]"), Err(BodyError::Json(_))), "it is still read");
    let ids = alloc::format!(r#"{{"consumerIdList":["a"{}]}}"#, r#","""#.repeat(20_000));
    let error = Err(BodyError::TooMany { what: "group members", count: 10_001, limit: 10_000 });
    assert_eq!(ConsumerList::decode(ids.as_bytes()), error);
}

#[test]
fn a_broker_has_few_addresses() {
    let with = |count: i64| {
        let broker_addrs = (0..count).map(|id| (id, "a:1".into())).collect();
        let broker = BrokerData { broker_addrs, broker_name: "b".into(), ..BrokerData::default() };
        let route = TopicRoute { broker_datas: vec![broker.clone()], ..TopicRoute::default() };
        let broker_addr_table = BTreeMap::from([("b".into(), broker)]);
        let info = ClusterInfo { broker_addr_table, ..ClusterInfo::default() };
        (TopicRoute::decode(&route.encode(JsonForm::Standard)), ClusterInfo::decode(&info.encode(JsonForm::Standard)))
    };
    assert!(matches!(with(64), (Ok(_), Ok(_))));
    let error = BodyError::TooMany { what: "addresses of a broker", count: 65, limit: 64 };
    assert_eq!(with(65), (Err(error.clone()), Err(error)));
}

#[test]
fn names_of_brokers_do_no_harm_where_they_are_shown() {
    let verdicts = |name: &str| {
        let broker = BrokerData { broker_name: name.into(), ..BrokerData::default() };
        let queues = QueueData { broker_name: name.into(), ..QueueData::default() };
        let routes = [
            TopicRoute { broker_datas: vec![broker.clone()], ..TopicRoute::default() },
            TopicRoute { queue_datas: vec![queues], ..TopicRoute::default() },
        ];
        let infos = [
            ClusterInfo { broker_addr_table: BTreeMap::from([("b".into(), broker)]), ..ClusterInfo::default() },
            ClusterInfo {
                broker_addr_table: BTreeMap::from([(name.into(), BrokerData::default())]),
                ..ClusterInfo::default()
            },
            ClusterInfo {
                cluster_addr_table: BTreeMap::from([("c".into(), vec![name.into()])]),
                ..ClusterInfo::default()
            },
        ];
        let routes = routes.map(|route| TopicRoute::decode(&route.encode(JsonForm::Standard)).map(|_| ()));
        let infos = infos.map(|info| ClusterInfo::decode(&info.encode(JsonForm::Standard)).map(|_| ()));
        routes.into_iter().chain(infos).collect::<Vec<_>>()
    };
    for (name, fine) in [("broker-a", true), ("Vermittler Ä", true), ("", true), (&"x".repeat(255), true)]
        .into_iter()
        .chain([("b\nINFO all is well", false), ("\u{1b}[2J", false), ("\u{9b}2J", false), (&"x".repeat(256), false)])
    {
        let verdict = if fine { Ok(()) } else { Err(BodyError::BrokerName { len: name.len() }) };
        assert_eq!(verdicts(name), vec![verdict; 5], "{name:?}");
    }
    let assigned = |name: &str| {
        let message_queue = MessageQueue { topic: "t".into(), broker: name.into(), id: 0 };
        let assignment = Assignment { message_queue, mode: MessageMode::Pull };
        let all = Assignments { queues: Some(vec![assignment]) };
        Assignments::decode(&all.encode()).unwrap().queues.unwrap().len()
    };
    assert_eq!((assigned("b"), assigned("b\n")), (1, 0));
}

#[test]
fn of_offsets_of_too_many_queues_not_all_are_kept() {
    let key = |id: usize| format!(r#"{{"brokerName":"b","queueId":{id},"topic":"t"}}"#);
    let decode = |count: usize, last: &str, row: &dyn Fn(usize) -> String, ends: [&str; 2]| {
        let rows: Vec<_> = (0..count).map(row).chain([last.into()]).collect();
        ResetOffsets::decode(format!(r#"{{"offsetTable":{}{}{}}}"#, ends[0], rows.join(","), ends[1]).as_bytes())
    };
    let error = Err(BodyError::TooMany { what: "queues", count: 65_537, limit: 65_536 });
    // What would be no queue is not looked at any more.
    let row = |id| format!("{}:1", key(id));
    assert_eq!(decode(65_535, &row(65_535), &row, ["{", "}"]).unwrap().offset_table.0.len(), 65_536);
    assert_eq!(decode(65_537, r#""no queue":1"#, &row, ["{", "}"]), error);
    let row = |id| format!(r#"{{"brokerName":"b","queueId":{id},"topic":"t","offset":1}}"#);
    assert_eq!(decode(65_537, r#"{"no":"queue"}"#, &row, ["[", "]"]), error);
}

fn route_body(counts: &[(i32, i32)]) -> Vec<u8> {
    let data = counts.iter().enumerate().map(|(index, (read, write))| QueueData {
        broker_name: format!("b{index}").into(),
        read_queue_nums: *read,
        write_queue_nums: *write,
        ..QueueData::default()
    });
    TopicRoute { queue_datas: data.collect(), ..TopicRoute::default() }.encode(JsonForm::Standard)
}

prop_compose! {
    fn queues()(topic in "\\PC{1,9}", broker in any::<String>(), id: i32) -> MessageQueue {
        MessageQueue { topic: topic.as_str().into(), broker: broker.into(), id }
    }
}

prop_compose! {
    fn brokers()(
        addrs in prop::collection::btree_map(any::<i64>(), any::<String>(), 0..=64),
        names: (String, String),
        acting: bool,
        zone_name: Option<String>,
    ) -> BrokerData {
        BrokerData {
            broker_addrs: addrs.into_iter().map(|(id, addr)| (id, addr.into())).collect(),
            broker_name: names.0.into(),
            cluster: names.1,
            enable_acting_master: acting,
            zone_name,
        }
    }
}

prop_compose! {
    fn subscriptions()(
        flags: (bool, bool),
        codes: BTreeSet<i32>,
        tags: BTreeSet<String>,
        texts: (String, String),
        version: i64,
    ) -> SubscriptionData {
        SubscriptionData {
            class_filter_mode: flags.0,
            code_set: codes,
            expression_type: if flags.1 { ExpressionType::Sql92 } else { ExpressionType::Tag },
            sub_string: texts.0,
            sub_version: version,
            tags_set: tags,
            topic: texts.1.into(),
        }
    }
}

prop_compose! {
    fn consumers()(
        group: String,
        kinds in (0..3_usize, 0..3_usize, 0..2_usize),
        subscriptions in prop::collection::vec(subscriptions(), 0..3),
        unit_mode: bool,
    ) -> ConsumerData {
        let from = [ConsumeFromWhere::LastOffset, ConsumeFromWhere::FirstOffset, ConsumeFromWhere::Timestamp];
        ConsumerData {
            consume_from_where: from[kinds.0],
            consume_type: [ConsumeType::Actively, ConsumeType::Passively, ConsumeType::Pop][kinds.1],
            group: group.into(),
            message_model: [MessageModel::Clustering, MessageModel::Broadcasting][kinds.2],
            subscriptions,
            unit_mode,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn routes_come_back(
        broker_datas in prop::collection::vec(brokers(), 0..4),
        queues in prop::collection::vec((any::<String>(), any::<i32>(), 0..=4_096_i32, 0..=4_096_i32), 0..4),
        order_topic_conf: Option<String>,
        sys_flag: i32,
    ) {
        let queue_datas = queues.into_iter().map(|(broker, perm, read, write)| QueueData {
            broker_name: broker.into(),
            perm: Perm(perm),
            read_queue_nums: read,
            topic_sys_flag: sys_flag,
            write_queue_nums: write,
        });
        let route = TopicRoute { broker_datas, order_topic_conf, queue_datas: queue_datas.collect() };
        prop_assert_eq!(TopicRoute::decode(&route.encode(JsonForm::Standard)), Ok(route.clone()));
        prop_assert_eq!(TopicRoute::decode(&route.encode(JsonForm::Fastjson)), Ok(route.clone()));
    }

    #[test]
    fn clusters_come_back(
        data in prop::collection::vec(brokers(), 0..4),
        clusters: BTreeMap<String, Vec<String>>,
    ) {
        let info = ClusterInfo {
            broker_addr_table: data.into_iter().map(|broker| (broker.broker_name.clone(), broker)).collect(),
            cluster_addr_table: clusters
                .into_iter()
                .map(|(cluster, names)| (cluster, names.into_iter().map(BrokerName::from).collect()))
                .collect(),
        };
        prop_assert_eq!(ClusterInfo::decode(&info.encode(JsonForm::Standard)), Ok(info.clone()));
        prop_assert_eq!(ClusterInfo::decode(&info.encode(JsonForm::Fastjson)), Ok(info.clone()));
    }

    #[test]
    fn heartbeats_come_back(
        client: String,
        consumers in prop::collection::vec(consumers(), 0..3),
        producers: Vec<String>,
        heartbeat_fingerprint: i32,
        without_sub: bool,
    ) {
        let data = HeartbeatData {
            client_id: client.into(),
            consumers,
            heartbeat_fingerprint,
            producers: producers.into_iter().map(|group| ProducerData { group: group.into() }).collect(),
            without_sub,
        };
        prop_assert_eq!(HeartbeatData::decode(&data.encode()), Ok(data.clone()));
        prop_assert_ne!(data.fingerprint(), 0);
    }

    #[test]
    fn locks_and_members_come_back(
        names: (String, String),
        queues in prop::collection::vec(queues(), 0..6),
        only_this_broker: bool,
        ids: Vec<String>,
    ) {
        let lock = LockQueues {
            client_id: names.0.into(),
            group: names.1.into(),
            queues: queues.clone(),
            only_this_broker,
        };
        prop_assert_eq!(LockQueues::decode(&lock.encode()), Ok(lock));
        let locked = LockedQueues { queues };
        prop_assert_eq!(LockedQueues::decode(&locked.encode()), Ok(locked.clone()));
        let list = ConsumerList { ids: ids.into_iter().map(Into::into).collect() };
        prop_assert_eq!(ConsumerList::decode(&list.encode()), Ok(list.clone()));
    }

    #[test]
    fn offsets_come_back(
        table in prop::collection::btree_map(queues(), any::<i64>(), 0..5),
        clients in prop::collection::btree_map(any::<String>(), any::<i64>(), 0..3),
    ) {
        let reset = ResetOffsets { offset_table: QueueTable(table.clone()) };
        prop_assert_eq!(ResetOffsets::decode(&reset.encode()), Ok(reset.clone()));
        let shifted = |by: i64| QueueTable(table.iter().map(|(queue, at)| (queue.clone(), at ^ by)).collect());
        let status = ConsumerStatus {
            consumer_table: clients.into_iter().map(|(id, by)| (id.into(), shifted(by))).collect(),
            message_queue_table: QueueTable(table.clone()),
        };
        prop_assert_eq!(ConsumerStatus::decode(&status.encode()), Ok(status.clone()));
    }

    #[test]
    fn any_bytes_have_a_verdict(bytes: Vec<u8>, at: prop::sample::Index, value: u8) {
        let mut bodies = vec![bytes];
        for body in [
            captured!("v540_route_nonstd_105", 1),
            captured!("v540_cluster_106", 1),
            captured!("java540_34_consumer", 0),
            captured!("v540_lock_41", 1),
            captured!("v540_server_220", 0),
            captured!("v540_server_221", 1),
        ] {
            let mut body = body.to_vec();
            let at = at.index(body.len());
            body[at] = value;
            bodies.push(body);
        }
        for body in &bodies {
            let _ = TopicRoute::decode(body);
            let _ = ClusterInfo::decode(body);
            let _ = HeartbeatData::decode(body);
            let _ = ConsumerList::decode(body);
            let _ = LockQueues::decode(body);
            let _ = LockedQueues::decode(body);
            let _ = ResetOffsets::decode(body);
            let _ = ConsumerStatus::decode(body);
            let _ = ConsumerRunningInfo::decode(body);
        }
    }
}
