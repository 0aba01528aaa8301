//! Name server: routes and the table of brokers.

use super::{Cell, cell};
use crate::call::{Call, create, message, route};
use crate::lab::heartbeat;

pub(super) fn cells() -> Vec<Cell> {
    vec![
        cell(ROUTE, "unknown topic", |lab| {
            let call = route(&lab.name("nowhere"));
            lab.ask_names(call);
        }),
        cell(ROUTE, "topic that was just created", |lab| {
            let topic = lab.topic(3);
            lab.route(&topic);
        }),
        cell(ROUTE, "client before standard JSON", |lab| {
            let topic = lab.topic(1);
            lab.route_with(&route(&topic).version(399), "");
        }),
        cell(ROUTE, "old client that asks for standard JSON", |lab| {
            let topic = lab.topic(1);
            lab.route_with(&route(&topic).version(399).with("acceptStandardJsonOnly", true), "");
        }),
        cell(ROUTE, "new client that does not want standard JSON", |lab| {
            let topic = lab.topic(1);
            lab.route_with(&route(&topic).with("acceptStandardJsonOnly", false), "");
        }),
        cell(ROUTE, "garbage for a boolean", |lab| {
            let topic = lab.topic(1);
            lab.route_with(&route(&topic).version(399).with("acceptStandardJsonOnly", "perhaps"), "");
        }),
        cell(ROUTE, "no topic field", |lab| drop(lab.ask_names(Call::new(ROUTE)))),
        cell(ROUTE, "empty topic", |lab| drop(lab.ask_names(route("")))),
        cell(ROUTE, "field nobody knows", |lab| {
            let topic = lab.topic(1);
            lab.route_with(&route(&topic).with("colour", "blue"), "");
        }),
        cell(ROUTE, "binary header", |lab| {
            let topic = lab.topic(1);
            lab.route_with(&route(&topic).binary(), "");
        }),
        cell(ROUTE, "after more queues", |lab| {
            let topic = lab.topic(2);
            lab.route(&topic);
            lab.must(create(&topic, 5));
            lab.route_with(&route(&topic), "\"readQueueNums\":5");
        }),
        cell(ROUTE, "after fewer queues", |lab| {
            let topic = lab.topic(4);
            lab.route(&topic);
            lab.must(create(&topic, 1));
            lab.route_with(&route(&topic), "\"readQueueNums\":1");
        }),
        cell(ROUTE, "more queues to read than to write", |lab| {
            let topic = lab.name("");
            lab.must(create(&topic, 4).with("writeQueueNums", 2));
            lab.route(&topic);
        }),
        cell(ROUTE, "after the topic became read-only", |lab| {
            let topic = lab.topic(1);
            lab.must(create(&topic, 1).with("perm", 4));
            lab.route_with(&route(&topic), "\"perm\":4");
        }),
        cell(ROUTE, "topic with system flags", |lab| {
            let topic = lab.name("");
            lab.must(create(&topic, 1).with("topicSysFlag", 2));
            lab.route(&topic);
        }),
        cell(ROUTE, "ordered topic", |lab| {
            let topic = lab.name("");
            lab.must(create(&topic, 2).with("order", true));
            lab.route(&topic);
        }),
        cell(ROUTE, "topic made by a send", |lab| {
            let topic = lab.name("");
            lab.must(message(&topic, 0, &[]).with("d", 3));
            lab.route(&topic);
        }),
        cell(ROUTE, "retry topic made by a heartbeat", |lab| {
            let topic = lab.topic(1);
            lab.must(heartbeat(&lab.beat(0, &[(&topic, "*")])));
            let retry = format!("%RETRY%{}", lab.group());
            lab.route(&retry);
        }),
        cell(ROUTE, "template topic", |lab| drop(lab.route("TBW102"))),
        cell(ROUTE, "topic named like the cluster", |lab| drop(lab.route("DefaultCluster"))),
        cell(ROUTE, "topic named like the broker", |lab| drop(lab.route("broker-a"))),
        cell(ROUTE, "topic of the delayed messages", |lab| drop(lab.route("SCHEDULE_TOPIC_XXXX"))),
        cell(ROUTE, "oneway", |lab| {
            let asked = lab.tell_names(route("TBW102").oneway());
            lab.silence(asked);
        }),
        cell(CREATE, "oneway", |lab| {
            let topic = lab.name("");
            let asked = lab.tell_as(0, create(&topic, 1).oneway());
            lab.silence(asked);
            lab.route(&topic);
        }),
        cell(CLUSTER_INFO, "one broker", |lab| drop(lab.ask_names(Call::new(CLUSTER_INFO)))),
        cell(CLUSTER_INFO, "binary header", |lab| drop(lab.ask_names(Call::new(CLUSTER_INFO).binary()))),
        cell(CLUSTER_INFO, "a body that nobody reads", |lab| {
            lab.ask_names(Call::new(CLUSTER_INFO).body("{}"));
        }),
        cell(CLUSTER_INFO, "asked of a broker", |lab| drop(lab.ask(Call::new(CLUSTER_INFO)))),
    ]
}

const CREATE: i32 = 17;
const ROUTE: i32 = 105;
const CLUSTER_INFO: i32 = 106;
