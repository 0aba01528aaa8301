//! `rmq cluster`, `broker`, `namesrv` and `producer`.

use std::net::SocketAddr;

use rocketmq_core::time::Instant;
use rocketmq_testkit::cluster::tcp::EmbeddedCluster;
use rocketmq_testkit::cluster::{Broker, BrokerConfig, TopicConfig};
use serde_json::json;

use crate::kit::{Lab, Member, run, table};

#[test]
fn the_brokers_of_a_cluster_are_listed() {
    let lab = Lab::new();
    let row = |broker: &str, index| {
        json!({ "cluster": "DefaultCluster", "broker": broker, "id": 0, "version": "V5_4_0", "inTps": 0.0,
            "outTps": 0.0, "address": lab.cluster.broker_address(index).to_string() })
    };
    assert_eq!(lab.json(&["cluster", "list"]), json!([row("broker-a", 0), row("broker-b", 1)]));
    let shown = lab.shown(&["clusterList", "-c", "DefaultCluster"]);
    assert_eq!(table(&shown)[0], ["CLUSTER", "BROKER", "ID", "ADDRESS", "VERSION", "IN TPS", "OUT TPS"]);
    assert_eq!(lab.failure(&["cluster", "list", "-c", "Nowhere"]).0, 1);
}

/// A name server tells of broker-b for a while, which is gone.
fn lose_a_broker(lab: &Lab) -> SocketAddr {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    lab.cluster.with(move |cluster| {
        let cfg = BrokerConfig { name: "broker-b".to_owned(), address, ..BrokerConfig::default() };
        let mut gone = Broker::new(cfg, Instant::ZERO);
        gone.put_topic("orders", TopicConfig::new(2));
        cluster.name_server(0).register(&gone);
    });
    address
}

#[test]
fn a_broker_that_fails_is_named_and_the_others_are_shown() {
    let lab = Lab::of(EmbeddedCluster::builder().topic("orders", 2));
    let address = lose_a_broker(&lab);
    for words in [&["cluster", "list"][..], &["broker", "status"], &["topic", "status", "orders"]] {
        let ran = lab.run(words);
        assert_eq!(ran.code, 4, "{ran:?}");
        assert!(ran.err.starts_with("rmq: broker-b: ") && ran.err.contains(&address.to_string()), "{ran:?}");
        assert!(ran.err.lines().count() == 1 && ran.out.contains("broker-a"), "{ran:?}");
    }
    let ran = lab.run(&["broker", "status", "-b", "broker-b", "--timeout", "5s"]);
    assert!(ran.code == 3 && ran.out.is_empty(), "{ran:?}");
}

#[test]
fn what_a_client_sees_from_here_is_shown() {
    let lab = Lab::new();
    let seen = lab.json(&["doctor", "orders"]);
    let (servers, links) = (&seen["nameServers"], seen["links"].as_array().unwrap());
    assert_eq!((&servers[0]["up"], &servers[0]["current"]), (&json!(true), &json!(true)));
    assert!(links.len() == 3 && links.iter().all(|link| link["state"] == "up"), "{links:?}");
    let route = &seen["routes"][0];
    assert_eq!((&route["topic"], &route["state"]), (&json!("orders"), &json!("known")));
    let broker = |name: &str| json!({ "broker": name, "readable": 2, "writable": 2 });
    assert_eq!(route["brokers"], json!([broker("broker-a"), broker("broker-b")]));
    let shown = lab.shown(&["doctor", "orders"]);
    for title in ["[NAME SERVERS]", "[LINKS]", "[BROKERS]", "[ROUTES]"] {
        assert!(shown.contains(title), "{shown}");
    }
    assert!(!shown.contains("[QUEUES]"), "it consumes nothing: {shown}");
    assert!(table(&shown).iter().any(|row| row.starts_with(&["orders", "known", "broker-a"])), "{shown}");
    let alone = lab.json(&["doctor"]);
    assert_eq!((alone["routes"].clone(), alone["links"].as_array().unwrap().len()), (json!([]), 1));
    // A broker that is away is named, and the link to it says so.
    let lab = Lab::of(EmbeddedCluster::builder().topic("orders", 2));
    lose_a_broker(&lab);
    let ran = lab.run(&["doctor", "orders"]);
    assert!(ran.code == 4 && ran.err.starts_with("rmq: broker-b: "), "{ran:?}");
    assert!(ran.out.contains("failed") && ran.out.contains("broker-a"), "{ran:?}");
    assert_eq!(lab.failure(&["doctor", "nowhere"]).0, 1);
}

#[test]
fn settings_and_figures_of_brokers_are_shown_and_settings_changed() {
    let lab = Lab::new();
    let figures = lab.json(&["broker", "status", "--like", "versiondesc"]);
    assert_eq!(
        figures,
        json!({ "broker-a": { "brokerVersionDesc": "V5_4_0" }, "broker-b": { "brokerVersionDesc": "V5_4_0" } })
    );
    let shown = lab.shown(&["brokerStatus", "-b", "broker-b"]);
    assert!(table(&shown).contains(&vec!["broker-b", "brokerVersionDesc", "V5_4_0"]), "{shown}");
    let done = lab.shown(&["broker", "update-config", "fileReservedTime", "48", "-b", "broker-a"]);
    assert_eq!(done, "set fileReservedTime=48 on broker-a\n");
    let of = |words: &[&str]| lab.json(&[words, &["--like", "reserved"]].concat());
    assert_eq!(of(&["broker", "config"])["broker-a"], json!({ "fileReservedTime": "48" }));
    assert_eq!(of(&["broker", "config"])["broker-b"], json!({ "fileReservedTime": "72" }));
    lab.shown(&["updateBrokerConfig", "-c", "DefaultCluster", "-k", "fileReservedTime", "-v", "24"]);
    assert_eq!(of(&["getBrokerConfig", "-b", "broker-b"]), json!({ "broker-b": { "fileReservedTime": "24" } }));
    // It has to be said where.
    let ran = lab.run(&["broker", "update-config", "fileReservedTime", "48"]);
    assert!(ran.code == 2 && ran.err.contains("--all"), "{ran:?}");
    let (code, line) = lab.failure(&["broker", "update-config", "a\nb", "1", "--all"]);
    assert!(code == 2 && line.contains("one line"), "{line}");
    let (code, line) = lab.failure(&["broker", "config", "-b", "nowhere"]);
    assert!(code == 1 && line.contains("rmq cluster list"), "{line}");
}

#[test]
fn the_write_permission_of_a_broker_is_taken_and_given_back() {
    let lab = Lab::of(EmbeddedCluster::builder().name_servers(2).brokers(2).topic("orders", 1));
    let writable = || lab.json(&["topic", "route", "orders"])[1]["perm"].clone();
    assert_eq!(lab.shown(&["namesrv", "wipe-perm", "broker-b"]), "broker-b takes messages no more\n");
    assert_eq!(writable(), json!("r"));
    assert_eq!(lab.json(&["addWritePerm", "-b", "broker-b"]), json!({ "broker": "broker-b", "writable": true }));
    assert_eq!(writable(), json!("rw"));
    lab.shown(&["wipeWritePerm", "-b", "broker-b"]);
    assert_eq!(writable(), json!("r"));
    assert_eq!(lab.failure(&["namesrv", "add-perm", "nowhere"]).0, 1);
    // One of two name servers is away.
    lab.cluster.stop_name_server(1).unwrap();
    let ran = lab.run(&["namesrv", "add-perm", "broker-b"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.out.contains("takes messages again") && ran.err.lines().count() == 1, "{ran:?}");
}

#[test]
fn producers_are_listed_while_they_are_there() {
    let lab = Lab::new();
    // It waits for lines.
    let mut command = lab.command(&["message", "send", "orders", "--lines", "--group", "order-service"]);
    command.stdin(std::process::Stdio::piped());
    let mut member = Member::start(command);
    member.tell("one\n");
    let words = ["producer", "connections", "order-service", "orders", "-o", "json"];
    crate::kit::eventually(|| run(&mut lab.command(&words)).code == 0);
    let found = lab.json(&words[..4]);
    assert_eq!((found.as_array().unwrap().len(), &found[0]["language"]), (1, &json!("RUST")));
    assert_eq!(lab.json(&["producerConnection", "-g", "order-service", "-t", "orders"]), found);
    assert_eq!(member.interrupt().code, 0);
    let (code, line) = lab.failure(&words[..4]);
    assert!(code == 1 && line.contains("order-service"), "{line}");
}
