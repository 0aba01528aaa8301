//! `rmq group` and `rmq offset`.

use rocketmq_testkit::cluster::{BrokerConfig, EmbeddedCluster};
use serde_json::{Value, json};

use crate::kit::{Lab, eventually, table};

/// A topic of one queue with ten messages, and a member that has consumed them.
fn consumed() -> (Lab, crate::kit::Member) {
    // Members are told at once to go on elsewhere, not with their next pull.
    let config = BrokerConfig { server_side_reset: false, ..BrokerConfig::default() };
    let lab = Lab::of(EmbeddedCluster::builder().config(config).topic("orders", 1));
    lab.send("orders", (0..10).map(|n| n.to_string()));
    let mut member = lab.member("orders", "billing");
    for n in 0..10 {
        assert!(member.line().ends_with(&format!("  {n}\n")));
    }
    (lab, member)
}

fn id(lab: &Lab) -> String {
    let known = lab.json(&["group", "connections", "billing"]);
    known["members"][0]["clientId"].as_str().unwrap().to_owned()
}

#[test]
fn a_group_is_set_and_deleted() {
    let lab = Lab::new();
    assert_eq!(
        lab.shown(&["group", "create", "billing", "--retry-max", "3"]),
        "set group billing on broker-a, broker-b\n"
    );
    let done = lab.json(&["updateSubGroup", "-g", "billing", "-b", "broker-a", "-r", "5", "-q", "2", "-s", "true"]);
    assert_eq!(done, json!({ "group": "billing", "brokers": ["broker-a"], "retryMax": 5, "retryQueues": 2 }));
    let done = lab.shown(&["deleteSubGroup", "-g", "billing", "-c", "DefaultCluster", "-r", "true"]);
    assert_eq!(done, "deleted group billing and its offsets on broker-a, broker-b\n");
    assert_eq!(lab.json(&["group", "delete", "billing"])["offsets"], json!(false));
    let (code, line) = lab.failure(&["group", "create", "billing", "-c", "Nowhere"]);
    assert!(code == 1 && line.contains("rmq cluster list"), "{line}");
}

#[test]
fn members_and_subscriptions_of_a_group_are_shown() {
    let (lab, _member) = consumed();
    let known = lab.json(&["group", "connections", "billing"]);
    assert_eq!(known["members"].as_array().unwrap().len(), 1);
    assert_eq!(known["members"][0]["language"], "RUST");
    assert_eq!((&known["consumeType"], &known["messageModel"]), (&json!("CONSUME_PASSIVELY"), &json!("CLUSTERING")));
    let topics: Vec<_> = known["subscriptions"].as_array().unwrap().iter().map(|row| row["topic"].clone()).collect();
    assert_eq!(topics, ["%RETRY%billing", "orders"]);
    let shown = lab.shown(&["consumerConnection", "-g", "billing"]);
    assert!(shown.starts_with("[MEMBERS]\nCLIENT ID") && shown.contains("\n[SUBSCRIPTIONS]\nTOPIC"), "{shown}");
    assert_eq!(lab.json(&["group", "list"]), json!([{ "group": "billing" }]));
    let (code, line) = lab.failure(&["group", "connections", "nobody"]);
    assert!(code == 1 && line.contains("rmq group list"), "{line}");
}

#[test]
fn the_state_of_members_is_shown() {
    let (lab, _member) = consumed();
    let me = id(&lab);
    let rows = lab.json(&["group", "status", "billing"]);
    assert_eq!((&rows[0]["clientId"], &rows[0]["orderly"]), (&json!(me), &json!(false)));
    assert!(rows[0]["queues"].as_i64().unwrap() >= 1, "{rows}");
    let full = lab.json(&["consumerStatus", "-g", "billing", "-i", &me]);
    assert_eq!(full["clientId"], json!(me));
    let property = |name: &str| full["properties"].as_array().unwrap().iter().any(|row| row["name"] == name);
    assert!(property("PROP_CONSUME_TYPE") && property("PROP_CLIENT_VERSION"), "{full}");
    assert!(full["queues"].as_array().unwrap().iter().any(|row| row["topic"] == "orders"), "{full}");
    let (code, line) = lab.failure(&["group", "status", "billing", "--member", "nobody"]);
    assert!(code == 1 && line.contains("nobody"), "{line}");
    let members = lab.json(&["offset", "members", "billing", "orders"]);
    assert_eq!(members, json!([{ "clientId": me, "broker": "broker-a", "queueId": 0, "offset": 10 }]));
    assert_eq!(lab.json(&["getConsumerStatus", "-g", "billing", "-t", "orders", "-i", &me]), members);
}

#[test]
fn progress_of_a_group_and_of_all_is_shown() {
    let (lab, member) = consumed();
    assert_eq!(member.interrupt().code, 0);
    lab.send("orders", ["late"]);
    let progress = lab.json(&["group", "progress", "billing", "--topic", "orders"]);
    let row = &progress["queues"][0];
    let seen = ["brokerOffset", "consumerOffset", "backlog"].map(|key| row[key].as_i64().unwrap());
    assert_eq!((seen, progress["backlog"].clone()), ([11, 10, 1], json!(1)));
    let shown = lab.shown(&["consumerProgress", "-g", "billing"]);
    assert!(shown.ends_with("\ngroup     billing\ntps       0.00\nbacklog   1\ninflight  0\n"), "{shown}");
    let all = lab.json(&["consumerProgress"]);
    let row = json!({ "group": "billing", "members": 0, "type": null, "model": null, "version": null, "tps": 0.0, "backlog": 1 });
    assert_eq!(all, json!([row]));
    assert_eq!(lab.json(&["group", "topics", "billing"]), json!([{ "topic": "orders" }]));
    assert_eq!(lab.failure(&["group", "progress", "nobody"]).0, 1);
}

#[test]
fn a_group_is_moved_while_it_runs() {
    let (lab, mut member) = consumed();
    let row = |offset: u64| json!([{ "broker": "broker-a", "queueId": 0, "offset": offset }]);
    let committed = |offset: u64| lab.json(&["offset", "get", "billing", "orders"]) == row(offset);
    eventually(|| committed(10));
    assert_eq!(lab.json(&["offset", "reset", "billing", "orders", "--to", "first"]), row(0));
    for n in 0..10 {
        assert!(member.line().ends_with(&format!("  {n}\n")), "it comes again");
    }
    eventually(|| committed(10));
    assert_eq!(lab.json(&["skipAccumulatedMessage", "-g", "billing", "-t", "orders"]), row(10));
    let shown = lab.shown(&["resetOffsetByTime", "-g", "billing", "-t", "orders", "-s", "0", "-f", "false"]);
    assert_eq!(table(&shown), [["BROKER", "QUEUE ID", "OFFSET"], ["broker-a", "0", "0"]]);
    let (code, line) = lab.failure(&["offset", "reset", "nobody", "orders", "--to", "end"]);
    assert!(code <= 1, "{line}");
}

#[test]
fn one_queue_is_moved() {
    let lab = Lab::of(EmbeddedCluster::builder().topic("orders", 1));
    lab.send("orders", (0..10).map(|n| n.to_string()));
    let consume = |count: &str| {
        lab.shown(&["message", "consume", "orders", "--group", "billing", "--from", "first", "--count", count])
    };
    assert_eq!(consume("10").lines().count(), 10);
    let moved = lab.json(&["offset", "reset", "billing", "orders", "--queue", "broker-a#0", "--offset", "7"]);
    assert_eq!(moved, json!([{ "broker": "broker-a", "queueId": 0, "offset": 7 }]));
    assert!(consume("1").ends_with("  7\n"));
    let ran = lab.run(&["offset", "reset", "billing", "orders", "--offset", "7"]);
    assert!(ran.code == 2 && ran.err.contains("--queue"), "{ran:?}");
}

#[test]
fn offsets_are_set_searched_and_cloned() {
    let (lab, member) = consumed();
    assert_eq!(member.interrupt().code, 0);
    let row = |offset: Value| json!([{ "broker": "broker-a", "queueId": 0, "offset": offset }]);
    assert_eq!(lab.json(&["offset", "search", "orders", "1h"]), row(json!(0)));
    assert_eq!(lab.json(&["offset", "search", "orders", "2100-01-01", "--queue", "broker-a#0"]), row(json!(10)));
    assert_eq!(lab.json(&["offset", "search", "orders", "2100-01-01", "--upper"]), row(json!(9)));
    lab.shown(&["group", "create", "audit"]);
    assert_eq!(lab.json(&["offset", "get", "audit", "orders"]), row(Value::Null));
    let done = lab.shown(&["offset", "clone", "billing", "audit", "orders"]);
    assert_eq!(done, "group audit has the offsets of group billing in topic orders\n");
    assert_eq!(lab.json(&["offset", "get", "audit", "orders"]), row(json!(10)));
    let done = lab.shown(&["offset", "set", "audit", "orders", "--queue", "broker-a#0", "--offset", "3"]);
    assert_eq!(done, "group audit goes on at 3 in queue broker-a#0 of orders\n");
    assert_eq!(lab.json(&["offset", "get", "audit", "orders"]), row(json!(3)));
    lab.shown(&["cloneGroupOffset", "-s", "audit", "-d", "billing", "-t", "orders", "-o", "false"]);
    assert_eq!(lab.json(&["offset", "get", "billing", "orders"]), row(json!(3)));
    for (words, said) in [
        (&["offset", "set", "audit", "orders", "--queue", "broker-a#9", "--offset", "3"][..], "no queue broker-a#9"),
        (&["offset", "get", "audit", "orders", "--queue", "broker-x#0"], "no such queue"),
        (&["offset", "get", "audit", "nowhere"], "does not exist"),
    ] {
        let (code, line) = lab.failure(words);
        assert!(code == 1 && line.contains(said), "{line}");
    }
}

#[test]
fn a_group_is_told_to_pop() {
    let lab = Lab::new();
    let done = lab.shown(&["group", "mode", "billing", "orders", "--mode", "pop"]);
    assert_eq!(done, "group billing gets topic orders by POP\n");
    let done = lab.json(&["setConsumeMode", "-t", "orders", "-g", "billing", "-m", "PULL", "-q", "0"]);
    assert_eq!(done["mode"], "PULL");
    assert_eq!(lab.run(&["group", "mode", "billing", "orders", "--mode", "push"]).code, 2);
}
