//! `rmq topic`, and the names of `mqadmin` for it.

use serde_json::json;

use crate::kit::{Lab, table};

#[test]
fn topics_are_listed_by_kind() {
    let lab = Lab::new();
    let shown = lab.shown(&["topic", "list", "--user"]);
    assert_eq!(table(&shown), [["TOPIC", "KIND"], ["orders", "user"]]);
    let all = lab.json(&["topic", "list"]);
    assert!(all.as_array().unwrap().contains(&json!({ "topic": "TBW102", "kind": "system" })), "{all}");
    assert_eq!(
        lab.json(&["topic", "list", "-u", "-c", "DefaultCluster"]),
        json!([{ "topic": "orders", "kind": "user" }])
    );
    assert_eq!(lab.json(&["topicList"]), all);
}

#[test]
fn a_topic_is_created_once_changed_in_part_and_deleted() {
    let lab = Lab::new();
    let done = lab.shown(&["topic", "create", "bills"]);
    assert_eq!(done, "created topic bills on broker-a, broker-b: 8 queues to read, 8 to write, rw\n");
    let (code, line) = lab.failure(&["topic", "create", "bills"]);
    assert_eq!((code, line.as_str()), (1, "rmq: topic bills exists; 'rmq topic update' changes it\n"));

    let done = lab.json(&["topic", "update", "bills", "-r", "4", "--order"]);
    let wanted = json!({ "topic": "bills", "brokers": ["broker-a", "broker-b"], "readQueues": 4, "writeQueues": 8,
        "perm": 6, "order": true, "attributes": {} });
    assert_eq!(done, wanted);
    lab.shown(&["topic", "update", "bills", "-p", "r", "-b", "broker-b"]);
    let queues = |broker: &str, perm: &str| {
        json!({ "broker": broker, "readQueues": 4, "writeQueues": 8, "perm": perm, "order": true,
            "filterType": "SINGLE_TAG", "attributes": {} })
    };
    assert_eq!(lab.json(&["topic", "config", "bills"]), json!([queues("broker-a", "rw"), queues("broker-b", "r")]));

    assert_eq!(lab.shown(&["topic", "delete", "bills"]), "deleted topic bills on broker-a, broker-b\n");
    for words in [["topic", "delete", "bills"], ["topic", "update", "bills"], ["topic", "route", "bills"]] {
        let (code, line) = lab.failure(&words);
        assert!(code == 1 && line.contains("bills") && line.contains("does not exist"), "{line}");
    }
}

#[test]
fn the_place_of_a_topic_is_shown() {
    let lab = Lab::new();
    let address = |index| lab.cluster.broker_address(index).to_string();
    let row = |broker: &str, index| {
        json!({ "broker": broker, "cluster": "DefaultCluster", "perm": "rw", "readQueues": 2, "writeQueues": 2,
            "addresses": { "0": address(index) } })
    };
    assert_eq!(lab.json(&["topic", "route", "orders"]), json!([row("broker-a", 0), row("broker-b", 1)]));
    let shown = lab.shown(&["topicRoute", "-t", "orders"]);
    let first = ["broker-a", "DefaultCluster", "rw", "2", "2", &format!("0={}", address(0))];
    assert_eq!(table(&shown)[1], first);
    assert_eq!(lab.shown(&["topic", "clusters", "orders"]), "CLUSTER\nDefaultCluster\n");
    assert_eq!(lab.json(&["topicClusterList", "-t", "orders"]), json!([{ "cluster": "DefaultCluster" }]));
}

#[test]
fn the_queues_of_a_topic_are_shown() {
    let lab = Lab::new();
    lab.send("orders", ["a", "b", "c", "d", "e"]);
    let rows = lab.json(&["topic", "status", "orders", "--earliest"]);
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!(rows.iter().map(|row| row["maxOffset"].as_i64().unwrap()).sum::<i64>(), 5);
    for row in rows {
        let some = row["maxOffset"].as_i64().unwrap() > 0;
        assert_eq!((row["lastUpdated"].is_number(), row["earliest"].is_number()), (some, some), "{row}");
    }
    let shown = lab.shown(&["topicStatus", "-t", "orders"]);
    assert_eq!(table(&shown)[0], ["BROKER", "QUEUE ID", "MIN OFFSET", "MAX OFFSET", "LAST UPDATED"]);
    assert_eq!(shown.lines().count(), 5);
}

#[test]
fn mqadmin_creates_and_changes_with_one_command() {
    let lab = Lab::new();
    lab.shown(&["updateTopic", "-t", "bills", "-c", "DefaultCluster", "-r", "3", "-w", "3", "-p", "6", "-o", "true"]);
    lab.shown(&["updateTopicPerm", "-t", "bills", "-p", "4", "-b", &lab.cluster.broker_address(0).to_string()]);
    let rows = lab.json(&["topic", "config", "bills"]);
    let of =
        |index: usize| (rows[index]["perm"].clone(), rows[index]["readQueues"].clone(), rows[index]["order"].clone());
    assert_eq!(of(0), (json!("r"), json!(3), json!(true)));
    assert_eq!(of(1), (json!("rw"), json!(3), json!(true)));
    assert!(lab.shown(&["deleteTopic", "-t", "bills", "-c", "DefaultCluster"]).starts_with("deleted topic bills"));
}

#[test]
fn backlog_is_shown_by_topic_and_group() {
    let lab = Lab::new();
    let row = json!({ "topic": "orders", "group": null, "messages": 2, "inTps": 0.0, "backlog": null, "outTps": null });
    lab.send("orders", ["a", "b"]);
    assert_eq!(lab.json(&["stats"]), json!([row]));
    let mut member = lab.member("orders", "billing");
    member.line();
    member.line();
    assert_eq!(member.interrupt().code, 0);
    let rows = lab.json(&["statsAll", "-t", "orders"]);
    assert_eq!((&rows[0]["group"], &rows[0]["backlog"]), (&json!("billing"), &json!(0)));
    assert_eq!(lab.json(&["topic", "groups", "orders"]), json!([{ "group": "billing" }]));
    assert_eq!(lab.failure(&["stats", "nowhere"]).0, 1);
}
