//! Topics, groups, clients and messages, as they are shown to operators.

use rocketmq_core::wire::body::GroupConfig;
use rocketmq_core::wire::codes::request;

use super::{Cell, cell};
use crate::call::{Call, commit, create, message, pull, query_offset};
use crate::lab::{Lab, heartbeat};

pub(super) fn cells() -> Vec<Cell> {
    let mut cells = topics();
    cells.extend(groups());
    cells.extend(clients());
    cells.extend(progress());
    cells.extend(queries());
    cells
}

/// Those that name servers answer.
pub(super) fn at_name_servers() -> Vec<Cell> {
    vec![
        cell(request::DELETE_TOPIC_IN_NAMESRV, "topic that is there", |lab| {
            let topic = lab.announced(1);
            lab.ask_names(Call::new(request::DELETE_TOPIC_IN_NAMESRV).with("topic", &topic));
            lab.ask_names(crate::call::route(&topic));
        }),
        cell(request::DELETE_TOPIC_IN_NAMESRV, "of its cluster", |lab| {
            let topic = lab.announced(1);
            let call = Call::new(request::DELETE_TOPIC_IN_NAMESRV).with("topic", &topic);
            lab.ask_names(call.with("clusterName", "DefaultCluster"));
            lab.ask_names(crate::call::route(&topic));
        }),
        cell(request::DELETE_TOPIC_IN_NAMESRV, "of another cluster", |lab| {
            let topic = lab.announced(1);
            let call = Call::new(request::DELETE_TOPIC_IN_NAMESRV).with("topic", &topic);
            lab.ask_names(call.with("clusterName", "nowhere"));
        }),
        cell(request::DELETE_TOPIC_IN_NAMESRV, "unknown topic", |lab| {
            let topic = lab.name("nowhere");
            lab.ask_names(Call::new(request::DELETE_TOPIC_IN_NAMESRV).with("topic", topic));
        }),
        cell(request::GET_TOPICS_BY_CLUSTER, "unknown cluster", |lab| {
            lab.ask_names(Call::new(request::GET_TOPICS_BY_CLUSTER).with("cluster", "nowhere"));
        }),
        cell(request::WIPE_WRITE_PERM_OF_BROKER, "unknown broker", |lab| {
            lab.ask_names(Call::new(request::WIPE_WRITE_PERM_OF_BROKER).with("brokerName", "nowhere"));
        }),
        cell(request::ADD_WRITE_PERM_OF_BROKER, "unknown broker", |lab| {
            lab.ask_names(Call::new(request::ADD_WRITE_PERM_OF_BROKER).with("brokerName", "nowhere"));
        }),
    ]
}

/// Those for which a broker needs its timer wheel.
pub(super) fn of_timers() -> Vec<Cell> {
    vec![
        cell(DELETE, "unknown topic", |lab| {
            let topic = lab.name("nowhere");
            lab.ask(Call::new(DELETE).with("topic", topic));
        }),
        cell(DELETE, "topic with messages", |lab| {
            let topic = lab.topic_with(&["A"]);
            lab.ask(Call::new(DELETE).with("topic", &topic));
            lab.ask(stats(&topic));
            lab.ask(pull(&lab.group(), &topic, 0));
        }),
    ]
}

fn topics() -> Vec<Cell> {
    vec![
        cell(STATS, "unknown topic", |lab| {
            let topic = lab.name("nowhere");
            lab.ask(stats(&topic));
        }),
        cell(STATS, "empty topic", |lab| {
            let topic = lab.topic(2);
            lab.ask_but(stats(&topic), &[PUT_TPS]);
        }),
        cell(STATS, "topic with messages", |lab| {
            let topic = lab.topic_with(&["A", "B"]);
            lab.ask_but(stats(&topic), &[PUT_TPS]);
        }),
        cell(STATS, "more queues to read than to write", |lab| {
            let topic = lab.name("");
            lab.must(create(&topic, 3).with("writeQueueNums", 1));
            lab.ask_but(stats(&topic), &[PUT_TPS]);
        }),
        cell(request::GET_TOPIC_CONFIG, "unknown topic", |lab| {
            let topic = lab.name("nowhere");
            lab.ask(Call::new(request::GET_TOPIC_CONFIG).with("topic", topic).with("lo", true));
        }),
        cell(request::GET_TOPIC_CONFIG, "topic", |lab| {
            let topic = lab.topic(3);
            lab.ask(Call::new(request::GET_TOPIC_CONFIG).with("topic", topic).with("lo", true));
        }),
        cell(DELETE, "topic of the broker's", |lab| drop(lab.ask(Call::new(DELETE).with("topic", "TBW102")))),
        cell(DELETE, "blank", |lab| drop(lab.ask(Call::new(DELETE).with("topic", " ")))),
        cell(WHO, "unknown topic", |lab| {
            let topic = lab.name("nowhere");
            lab.ask(Call::new(WHO).with("topic", topic));
        }),
        cell(WHO, "members without offsets", |lab| {
            let topic = lab.topic_with(&["A"]);
            lab.join(0, &[(&topic, "*")]);
            lab.ask(Call::new(WHO).with("topic", topic));
        }),
        cell(WHO, "offsets without members", |lab| {
            let (topic, _) = member(lab);
            lab.leave();
            lab.ask_as(1, Call::new(WHO).with("topic", topic));
        }),
    ]
}

fn groups() -> Vec<Cell> {
    vec![
        cell(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, "new group", |lab| {
            let group = lab.group();
            let body = GroupConfig::new(group.as_str()).encode();
            lab.ask(Call::new(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP).body(body));
            let topic = lab.topic_with(&["A"]);
            lab.ask(commit(&group, &topic, 1));
        }),
        cell(request::DELETE_SUBSCRIPTIONGROUP, "unknown group", |lab| {
            let group = lab.group();
            lab.ask(Call::new(request::DELETE_SUBSCRIPTIONGROUP).with("groupName", group).with("cleanOffset", true));
        }),
        cell(request::DELETE_SUBSCRIPTIONGROUP, "with its offsets", |lab| deleted(lab, true)),
        cell(request::DELETE_SUBSCRIPTIONGROUP, "without its offsets", |lab| deleted(lab, false)),
        cell(TOPICS, "unknown group", |lab| {
            let group = lab.group();
            lab.ask(Call::new(TOPICS).with("group", group));
        }),
        cell(TOPICS, "group with an offset", |lab| {
            let (_, group) = member(lab);
            lab.ask(Call::new(TOPICS).with("group", group));
        }),
    ]
}

fn clients() -> Vec<Cell> {
    vec![
        cell(request::GET_CONSUMER_CONNECTION_LIST, "nobody", |lab| {
            let group = lab.group();
            lab.ask(Call::new(request::GET_CONSUMER_CONNECTION_LIST).with("consumerGroup", group));
        }),
        cell(request::GET_CONSUMER_CONNECTION_LIST, "two members", |lab| {
            let topic = lab.topic(1);
            lab.join(0, &[(&topic, "A || B")]);
            lab.join(1, &[(&topic, "A || B")]);
            let group = lab.group();
            lab.ask(Call::new(request::GET_CONSUMER_CONNECTION_LIST).with("consumerGroup", group));
        }),
        cell(request::GET_PRODUCER_CONNECTION_LIST, "nobody", |lab| {
            let group = lab.name("_P");
            lab.ask(Call::new(request::GET_PRODUCER_CONNECTION_LIST).with("producerGroup", group));
        }),
        cell(request::GET_PRODUCER_CONNECTION_LIST, "one", |lab| {
            let (group, beat) = (lab.name("_P"), lab.producer_beat(0));
            lab.must_as(0, heartbeat(&beat));
            lab.ask(Call::new(request::GET_PRODUCER_CONNECTION_LIST).with("producerGroup", group));
        }),
    ]
}

fn progress() -> Vec<Cell> {
    vec![
        cell(PROGRESS, "unknown group", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(Call::new(PROGRESS).with("consumerGroup", group).with("topic", topic));
        }),
        cell(PROGRESS, "unknown topic", |lab| {
            let (_, group) = member(lab);
            let topic = lab.name("nowhere");
            lab.ask(Call::new(PROGRESS).with("consumerGroup", group).with("topic", topic));
        }),
        cell(PROGRESS, "no topic", |lab| {
            let (_, group) = member(lab);
            lab.ask_but(Call::new(PROGRESS).with("consumerGroup", group), &[GET_TPS]);
        }),
        cell(PROGRESS, "topic", |lab| {
            let (topic, group) = member(lab);
            lab.ask_but(Call::new(PROGRESS).with("consumerGroup", group).with("topic", topic), &[GET_TPS]);
        }),
        cell(PROGRESS, "after a pull", |lab| {
            let (topic, group) = member(lab);
            lab.must(pull(&group, &topic, 0));
            lab.ask_but(Call::new(PROGRESS).with("consumerGroup", group).with("topic", topic), &[GET_TPS]);
        }),
        cell(PROGRESS, "topic that its members do not want", |lab| {
            let (_, group) = member(lab);
            let topic = lab.name("other");
            lab.must(create(&topic, 1));
            lab.ask_but(Call::new(PROGRESS).with("consumerGroup", group).with("topic", topic), &[GET_TPS]);
        }),
        cell(request::CLONE_GROUP_OFFSET, "of one topic", |lab| {
            let (topic, group) = member(lab);
            let other = lab.name("_H");
            let call = Call::new(request::CLONE_GROUP_OFFSET).with("srcGroup", group).with("destGroup", &other);
            lab.ask(call.with("topic", &topic).with("offline", false));
            lab.ask(query_offset(&other, &topic));
        }),
        cell(request::CLONE_GROUP_OFFSET, "of all topics", |lab| {
            let (topic, group) = member(lab);
            let other = lab.name("_H");
            let call = Call::new(request::CLONE_GROUP_OFFSET).with("srcGroup", group).with("destGroup", &other);
            lab.ask(call.with("offline", false));
            lab.ask(query_offset(&other, &topic));
        }),
    ]
}

fn queries() -> Vec<Cell> {
    vec![
        cell(QUERY, "by a key", |lab| {
            let topic = with_keys(lab);
            found(lab, &query(&topic, "k2"));
        }),
        cell(QUERY, "by a key of several messages", |lab| {
            let topic = with_keys(lab);
            found(lab, &query(&topic, "all"));
        }),
        cell(QUERY, "at most one", |lab| {
            let topic = with_keys(lab);
            found(lab, &query(&topic, "all").with("maxNum", 1));
        }),
        cell(QUERY, "by the unique key", |lab| {
            let topic = with_keys(lab);
            found(lab, &query(&topic, "K1").with("_UNIQUE_KEY_QUERY", true));
        }),
        cell(QUERY, "nothing", |lab| {
            let topic = with_keys(lab);
            found(lab, &query(&topic, "k1"));
            lab.ask(query(&topic, "k9"));
        }),
        cell(QUERY, "another topic", |lab| {
            let topic = with_keys(lab);
            found(lab, &query(&topic, "k1"));
            let other = lab.name("other");
            lab.ask(query(&other, "k1"));
        }),
        cell(QUERY, "before all", |lab| {
            let topic = with_keys(lab);
            found(lab, &query(&topic, "k1"));
            lab.ask(query(&topic, "k1").with("endTimestamp", 1));
        }),
    ]
}

/// A member of a group that has consumed one of two messages.
fn member(lab: &mut Lab) -> (String, String) {
    let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
    lab.join(0, &[(&topic, "*")]);
    lab.must(commit(&group, &topic, 1));
    (topic, group)
}

fn deleted(lab: &mut Lab, offsets: bool) {
    let (topic, group) = member(lab);
    lab.leave();
    let call = Call::new(request::DELETE_SUBSCRIPTIONGROUP).with("groupName", &group);
    let call = call.with("cleanOffset", offsets).with("removeOffset", offsets);
    lab.ask_as(1, call);
    lab.ask_as(1, query_offset(&group, &topic).with("setZeroIfNotFound", false));
}

/// Three messages with keys of their own and one that all have.
fn with_keys(lab: &mut Lab) -> String {
    let topic = lab.topic(1);
    for keys in ["k1 all", "k2 all", "k3 all"] {
        lab.send_call(&topic, message(&topic, 0, &[("KEYS", keys)]));
    }
    topic
}

/// Asks until the index has it, a moment after it is stored, and notes the answer.
fn found(lab: &mut Lab, call: &Call) {
    lab.await_found(call);
    lab.ask_but(call.clone(), &["field indexLastUpdatePhyoffset"]);
}

fn stats(topic: &str) -> Call {
    Call::new(STATS).with("topic", topic)
}

fn query(topic: &str, key: &str) -> Call {
    let call = Call::new(QUERY).with("topic", topic).with("key", key).with("maxNum", 32);
    call.with("beginTimestamp", 0).with("endTimestamp", i64::MAX)
}

const STATS: i32 = request::GET_TOPIC_STATS_INFO;
const DELETE: i32 = request::DELETE_TOPIC_IN_BROKER;
const WHO: i32 = request::QUERY_TOPIC_CONSUME_BY_WHO;
const TOPICS: i32 = request::QUERY_TOPICS_BY_CONSUMER;
const PROGRESS: i32 = request::GET_CONSUME_STATS;
const QUERY: i32 = request::QUERY_MESSAGE;
/// Rates of the last minute.
const PUT_TPS: &str = "body topicPutTps";
const GET_TPS: &str = "body consumeTps";
