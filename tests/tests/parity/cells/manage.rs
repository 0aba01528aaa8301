//! What administrators ask besides: configurations, lists, figures, work to be done, users.

use rocketmq_core::wire::body::{Acl, AclEntry, GroupConfig, GroupConfigList, TopicConfig, TopicConfigList, User};
use rocketmq_core::wire::codes::request;
use rocketmq_core::wire::message::OffsetMsgId;

use super::{Cell, cell};
use crate::call::{Call, commit, create, route};
use crate::lab::{Lab, heartbeat};

pub(super) fn cells() -> Vec<Cell> {
    let mut cells = configs();
    cells.extend(views());
    cells.extend(work());
    cells.extend(users());
    cells
}

/// Those that name servers answer.
pub(super) fn at_name_servers() -> Vec<Cell> {
    vec![
        cell(request::PUT_KV_CONFIG, "new value", |lab| {
            lab.ask_names(put(lab, "a", "1"));
            lab.ask_names(get(lab, "a"));
        }),
        cell(request::PUT_KV_CONFIG, "another value", |lab| {
            lab.ask_names(put(lab, "a", "1"));
            lab.ask_names(put(lab, "a", "2;x=é"));
            lab.ask_names(get(lab, "a"));
        }),
        cell(request::PUT_KV_CONFIG, "order of a topic", |lab| {
            let topic = lab.announced(1);
            let call = Call::new(request::PUT_KV_CONFIG).with("namespace", "ORDER_TOPIC_CONFIG");
            lab.ask_names(call.with("key", &topic).with("value", "broker-a:1"));
            lab.ask_names(route(&topic));
        }),
        cell(request::GET_KV_CONFIG, "unknown key", |lab| {
            lab.ask_names(put(lab, "a", "1"));
            lab.ask_names(get(lab, "b"));
        }),
        cell(request::GET_KV_CONFIG, "unknown namespace", |lab| drop(lab.ask_names(get(lab, "a")))),
        cell(request::DELETE_KV_CONFIG, "a value", |lab| {
            lab.ask_names(put(lab, "a", "1"));
            lab.ask_names(kv(lab, request::DELETE_KV_CONFIG, "a"));
            lab.ask_names(get(lab, "a"));
        }),
        cell(request::DELETE_KV_CONFIG, "no value", |lab| {
            lab.ask_names(kv(lab, request::DELETE_KV_CONFIG, "a"));
        }),
        cell(request::GET_KVLIST_BY_NAMESPACE, "two values", |lab| {
            lab.ask_names(put(lab, "a", "1"));
            lab.ask_names(put(lab, "b", "2"));
            lab.ask_names(kv(lab, request::GET_KVLIST_BY_NAMESPACE, "").without("key"));
        }),
        cell(request::GET_KVLIST_BY_NAMESPACE, "unknown namespace", |lab| {
            lab.ask_names(kv(lab, request::GET_KVLIST_BY_NAMESPACE, "").without("key"));
        }),
        cell(request::GET_NAMESRV_CONFIG, "all of it", |lab| {
            // A model has few settings, and a text is no JSON.
            lab.ask_names_but(Call::new(request::GET_NAMESRV_CONFIG), &["body"]);
        }),
        cell(request::UPDATE_NAMESRV_CONFIG, "as it is", |lab| {
            lab.ask_names(Call::new(request::UPDATE_NAMESRV_CONFIG).body("clusterTest=false\n"));
        }),
        cell(request::UPDATE_NAMESRV_CONFIG, "where files are", |lab| {
            lab.ask_names(Call::new(request::UPDATE_NAMESRV_CONFIG).body("configStorePath=/tmp/nowhere\n"));
        }),
        cell(request::GET_SYSTEM_TOPIC_LIST_FROM_NS, "one cluster", |lab| {
            lab.ask_names(Call::new(request::GET_SYSTEM_TOPIC_LIST_FROM_NS));
        }),
        cell(request::GET_UNIT_TOPIC_LIST, "of units and others", |lab| units(lab, request::GET_UNIT_TOPIC_LIST)),
        cell(request::GET_HAS_UNIT_SUB_TOPIC_LIST, "of units and others", |lab| {
            units(lab, request::GET_HAS_UNIT_SUB_TOPIC_LIST);
        }),
        cell(request::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, "of units and others", |lab| {
            units(lab, request::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST);
        }),
    ]
}

fn configs() -> Vec<Cell> {
    vec![
        cell(request::GET_ALL_TOPIC_CONFIG, "all at once", |lab| {
            lab.topic(1);
            let all = Call::new(request::GET_ALL_TOPIC_CONFIG);
            lab.ask_but(all, &TOPIC_TABLE);
        }),
        cell(request::GET_ALL_TOPIC_CONFIG, "first page", |lab| {
            let page = Call::new(request::GET_ALL_TOPIC_CONFIG).with("topicSeq", 0).with("dataVersion", "");
            let page = page.with("maxTopicNum", 2);
            lab.ask_but(page, &TOPIC_TABLE);
        }),
        cell(request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, "all at once", |lab| {
            let all = Call::new(request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG);
            lab.ask_but(all, &GROUP_TABLE);
        }),
        cell(request::UPDATE_AND_CREATE_TOPIC_LIST, "two topics", |lab| {
            let (one, other) = (lab.name("one"), lab.name("other"));
            lab.ask(topics(&[&one, &other]));
            lab.ask(Call::new(request::GET_TOPIC_CONFIG).with("topic", other).with("lo", true));
        }),
        cell(request::UPDATE_AND_CREATE_TOPIC_LIST, "one of them is there", |lab| {
            let (one, other) = (lab.name("one"), lab.name("other"));
            lab.ask(topics(&[&one]));
            lab.ask(topics(&[&one, &other]));
            lab.ask(Call::new(request::GET_TOPIC_CONFIG).with("topic", other).with("lo", true));
        }),
        cell(request::UPDATE_AND_CREATE_TOPIC_LIST, "topic of the broker's", |lab| {
            let one = lab.name("one");
            lab.ask(topics(&[&one, "TBW102"]));
            lab.ask(Call::new(request::GET_TOPIC_CONFIG).with("topic", one).with("lo", true));
        }),
        cell(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, "two groups", |lab| {
            let groups = [lab.name("_one"), lab.name("_other")];
            let list = groups.iter().map(|group| GroupConfig::new(group.as_str())).collect();
            let body = GroupConfigList { group_config_list: list }.encode();
            lab.ask(Call::new(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST).body(body));
            lab.ask(Call::new(request::GET_SUBSCRIPTIONGROUP_CONFIG).with("group", &groups[1]));
        }),
        cell(request::GET_SUBSCRIPTIONGROUP_CONFIG, "unknown group", |lab| {
            let group = lab.group();
            lab.ask(Call::new(request::GET_SUBSCRIPTIONGROUP_CONFIG).with("group", group));
        }),
        cell(request::GET_SUBSCRIPTIONGROUP_CONFIG, "group that was changed", |lab| {
            let group = lab.group();
            let mut config = GroupConfig::new(group.as_str());
            (config.retry_max_times, config.consume_broadcast_enable) = (3, false);
            lab.must(Call::new(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP).body(config.encode()));
            lab.ask(Call::new(request::GET_SUBSCRIPTIONGROUP_CONFIG).with("group", group));
        }),
        cell(request::UPDATE_AND_GET_GROUP_FORBIDDEN, "there and back", |lab| {
            let (topic, group) = member(lab);
            let call = Call::new(request::UPDATE_AND_GET_GROUP_FORBIDDEN).with("group", group).with("topic", topic);
            lab.ask(call.clone());
            lab.ask(call.clone().with("readable", false));
            lab.ask(call.clone());
            lab.ask(call.with("readable", true));
        }),
    ]
}

fn views() -> Vec<Cell> {
    vec![
        cell(request::QUERY_CONSUME_TIME_SPAN, "unknown topic", |lab| {
            let topic = lab.name("nowhere");
            let group = lab.group();
            lab.ask(spans(&topic, &group));
        }),
        cell(request::QUERY_CONSUME_TIME_SPAN, "one of two consumed", |lab| {
            let (topic, group) = member(lab);
            lab.ask_but(spans(&topic, &group), &["body consumeTimeSpanSet"]);
        }),
        cell(request::QUERY_CONSUME_TIME_SPAN, "empty topic", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            lab.ask_but(spans(&topic, &group), &["body consumeTimeSpanSet"]);
        }),
        cell(request::GET_SYSTEM_TOPIC_LIST_FROM_BROKER, "all of them", |lab| {
            lab.ask(Call::new(request::GET_SYSTEM_TOPIC_LIST_FROM_BROKER));
        }),
        cell(request::QUERY_CORRECTION_OFFSET, "two groups", |lab| {
            let (topic, group) = member(lab);
            let call = Call::new(request::QUERY_CORRECTION_OFFSET).with("compareGroup", group).with("topic", topic);
            lab.ask(call);
        }),
        cell(request::QUERY_CORRECTION_OFFSET, "nobody", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            let call = Call::new(request::QUERY_CORRECTION_OFFSET).with("compareGroup", group).with("topic", topic);
            lab.ask(call);
        }),
        cell(request::VIEW_BROKER_STATS_DATA, "unknown figure", |lab| {
            let key = lab.name("nowhere");
            lab.ask(
                Call::new(request::VIEW_BROKER_STATS_DATA).with("statsName", "TOPIC_PUT_NUMS").with("statsKey", key),
            );
        }),
        cell(request::GET_BROKER_CONSUME_STATS, "all groups", |lab| {
            member(lab);
            let call = Call::new(request::GET_BROKER_CONSUME_STATS).with("isOrder", false);
            lab.ask_but(call, &["body consumeStatsList", "body totalDiff", "body totalInflightDiff"]);
        }),
        cell(request::QUERY_CONSUME_QUEUE, "unknown queue", |lab| {
            let topic = lab.name("nowhere");
            lab.ask(entries(&topic, 0));
        }),
        cell(request::QUERY_CONSUME_QUEUE, "two messages", |lab| {
            let topic = lab.topic_with(&["A", "B"]);
            lab.ask_but(entries(&topic, 0), &["body queueData"]);
        }),
        cell(request::QUERY_CONSUME_QUEUE, "after the last", |lab| {
            let topic = lab.topic_with(&["A", "B"]);
            lab.ask(entries(&topic, 2));
        }),
        cell(request::QUERY_CONSUME_QUEUE, "for a group without members", |lab| {
            let topic = lab.topic_with(&["A"]);
            let group = lab.group();
            lab.ask_but(entries(&topic, 0).with("consumerGroup", group), &["body queueData"]);
        }),
        cell(request::GET_ALL_PRODUCER_INFO, "one", |lab| {
            let beat = lab.producer_beat(0);
            lab.must_as(0, heartbeat(&beat));
            lab.ask_but(Call::new(request::GET_ALL_PRODUCER_INFO), &["body data"]);
        }),
        cell(request::QUERY_SUBSCRIPTION_BY_CONSUMER, "nobody", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            let call = Call::new(request::QUERY_SUBSCRIPTION_BY_CONSUMER);
            lab.ask(call.with("group", group).with("topic", topic));
        }),
        cell(request::QUERY_SUBSCRIPTION_BY_CONSUMER, "a member", |lab| {
            let (topic, group) = member(lab);
            let call = Call::new(request::QUERY_SUBSCRIPTION_BY_CONSUMER);
            lab.ask(call.with("group", group).with("topic", topic));
        }),
        cell(request::GET_BROKER_HA_STATUS, "master without slaves", |lab| {
            lab.ask_but(Call::new(request::GET_BROKER_HA_STATUS), &["body masterCommitLogMaxOffset"]);
        }),
    ]
}

fn work() -> Vec<Cell> {
    vec![
        cell(request::CLEAN_EXPIRED_CONSUMEQUEUE, "nothing to do", |lab| {
            lab.ask(Call::new(request::CLEAN_EXPIRED_CONSUMEQUEUE));
        }),
        cell(request::CLEAN_UNUSED_TOPIC, "nothing to do", |lab| drop(lab.ask(Call::new(request::CLEAN_UNUSED_TOPIC)))),
        cell(request::DELETE_EXPIRED_COMMITLOG, "nothing to do", |lab| {
            lab.ask(Call::new(request::DELETE_EXPIRED_COMMITLOG));
        }),
        cell(request::RESUME_CHECK_HALF_MESSAGE, "no message", |lab| {
            let id = OffsetMsgId { host: lab.broker(), physical_offset: i64::MAX / 2 }.to_string();
            lab.ask(Call::new(request::RESUME_CHECK_HALF_MESSAGE).with("msgId", id));
        }),
        cell(request::RESUME_CHECK_HALF_MESSAGE, "no id", |lab| {
            lab.ask(Call::new(request::RESUME_CHECK_HALF_MESSAGE).with("msgId", "nothing"));
        }),
        cell(request::UPDATE_COLD_DATA_FLOW_CTR_CONFIG, "a group", |lab| {
            let line = format!("{}=4096\n", lab.group());
            lab.ask(Call::new(request::UPDATE_COLD_DATA_FLOW_CTR_CONFIG).body(line));
        }),
        cell(request::REMOVE_COLD_DATA_FLOW_CTR_CONFIG, "a group", |lab| {
            let group = lab.group();
            lab.ask(Call::new(request::REMOVE_COLD_DATA_FLOW_CTR_CONFIG).body(group));
        }),
        cell(request::GET_COLD_DATA_FLOW_CTR_INFO, "a bound that is set and taken back", |lab| {
            let group = lab.group();
            cold_bound(lab);
            lab.ask(Call::new(request::UPDATE_COLD_DATA_FLOW_CTR_CONFIG).body(format!("{group}=4096\n")));
            cold_bound(lab);
            lab.ask(Call::new(request::REMOVE_COLD_DATA_FLOW_CTR_CONFIG).body(group));
            cold_bound(lab);
        }),
        cell(request::SET_COMMITLOG_READ_MODE, "at random, and ahead", |lab| {
            lab.ask(log_reads(1));
            lab.ask(log_reads(0));
        }),
        cell(request::SET_COMMITLOG_READ_MODE, "a mode that is none", |lab| drop(lab.ask(log_reads(2)))),
    ]
}

/// What a broker tells of old reads, of whose tables only this script's group is compared.
fn cold_bound(lab: &mut Lab) {
    let told = lab.ask_but(
        Call::new(request::GET_COLD_DATA_FLOW_CTR_INFO),
        &["body runtimeTable", "body configTable", "body globalAcc"],
    );
    let told: serde_json::Value = serde_json::from_slice(&told.body).unwrap_or_default();
    let bound = told["configTable"][lab.group()].to_string();
    lab.note("bound", &bound);
    lab.note("tables", &told["runtimeTable"].is_object().to_string());
}

fn log_reads(mode: i32) -> Call {
    Call::new(request::SET_COMMITLOG_READ_MODE).with("READ_AHEAD_MODE", mode)
}

/// Of a broker that keeps no users.
fn users() -> Vec<Cell> {
    vec![
        cell(request::AUTH_CREATE_USER, "without access control", |lab| {
            let user = User::normal(lab.name("u"), "secret");
            lab.ask(Call::new(request::AUTH_CREATE_USER).with("username", &user.name).body(user.encode()));
        }),
        cell(request::AUTH_UPDATE_USER, "without access control", |lab| {
            let user = User::normal(lab.name("u"), "secret");
            lab.ask(Call::new(request::AUTH_UPDATE_USER).with("username", &user.name).body(user.encode()));
        }),
        cell(request::AUTH_DELETE_USER, "without access control", |lab| named(lab, request::AUTH_DELETE_USER)),
        cell(request::AUTH_GET_USER, "without access control", |lab| named(lab, request::AUTH_GET_USER)),
        cell(request::AUTH_LIST_USER, "without access control", |lab| {
            drop(lab.ask(Call::new(request::AUTH_LIST_USER)))
        }),
        cell(request::AUTH_CREATE_ACL, "without access control", |lab| granted(lab, request::AUTH_CREATE_ACL)),
        cell(request::AUTH_UPDATE_ACL, "without access control", |lab| granted(lab, request::AUTH_UPDATE_ACL)),
        cell(request::AUTH_DELETE_ACL, "without access control", |lab| subject(lab, request::AUTH_DELETE_ACL)),
        cell(request::AUTH_GET_ACL, "without access control", |lab| subject(lab, request::AUTH_GET_ACL)),
        cell(request::AUTH_LIST_ACL, "without access control", |lab| drop(lab.ask(Call::new(request::AUTH_LIST_ACL)))),
    ]
}

fn named(lab: &mut Lab, code: i32) {
    let name = lab.name("u");
    lab.ask(Call::new(code).with("username", name));
}

fn subject(lab: &mut Lab, code: i32) {
    let subject = format!("User:{}", lab.name("u"));
    lab.ask(Call::new(code).with("subject", subject));
}

fn granted(lab: &mut Lab, code: i32) {
    let acl = Acl::of_user(&lab.name("u"), vec![AclEntry::allow("Topic:orders", &["Pub"])]);
    lab.ask(Call::new(code).with("subject", &acl.subject).body(acl.encode()));
}

fn topics(names: &[&str]) -> Call {
    let list = names.iter().map(|name| TopicConfig::new(*name, 2)).collect();
    Call::new(request::UPDATE_AND_CREATE_TOPIC_LIST).body(TopicConfigList { topic_config_list: list }.encode())
}

/// A topic of each kind; which the name server lists, of those.
fn units(lab: &mut Lab, code: i32) {
    let names: Vec<_> = (0..4).map(|flags| (lab.name(&format!("f{flags}")), flags)).collect();
    for (name, flags) in &names {
        lab.must(create(name, 1).with("topicSysFlag", flags));
        lab.await_route(name);
    }
    lab.ask_names(Call::new(code));
}

/// A member of a group that has consumed one of two messages.
fn member(lab: &mut Lab) -> (String, String) {
    let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
    lab.join(0, &[(&topic, "*")]);
    lab.must(commit(&group, &topic, 1));
    (topic, group)
}

fn spans(topic: &str, group: &str) -> Call {
    Call::new(request::QUERY_CONSUME_TIME_SPAN).with("topic", topic).with("group", group)
}

fn entries(topic: &str, from: i64) -> Call {
    let call = Call::new(request::QUERY_CONSUME_QUEUE).with("topic", topic).with("queueId", 0);
    call.with("index", from).with("count", 10)
}

/// A request about a key of a namespace of this script's own.
fn kv(lab: &Lab, code: i32, key: &str) -> Call {
    Call::new(code).with("namespace", lab.name("ns")).with("key", key)
}

fn put(lab: &Lab, key: &str, value: &str) -> Call {
    kv(lab, request::PUT_KV_CONFIG, key).with("value", value)
}

fn get(lab: &Lab, key: &str) -> Call {
    kv(lab, request::GET_KV_CONFIG, key)
}

/// What other scripts change, and what only topics over several brokers have.
const TOPIC_TABLE: [&str; 6] = [
    "body topicConfigTable",
    "body dataVersion",
    "body mappingDataVersion",
    "body topicQueueMappingDetailMap",
    "body topicQueueMappingInfoMap",
    "field totalTopicNum",
];
const GROUP_TABLE: [&str; 4] =
    ["body subscriptionGroupTable", "body dataVersion", "body forbiddenTable", "field totalGroupNum"];
