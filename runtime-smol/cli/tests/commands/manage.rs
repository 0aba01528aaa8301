//! What servers keep, their settings and work, users, and the keys of those who ask.

use std::io::Write;

use serde_json::json;

use crate::kit::{Lab, program, run};

#[test]
fn name_servers_keep_values_and_tell_them() {
    let lab = Lab::new();
    let server = lab.cluster.namesrv();
    assert_eq!(lab.json(&["namesrv", "kv", "MINE"]), json!([]));
    assert_eq!(lab.shown(&["namesrv", "set-kv", "MINE", "a", "1"]), format!("MINE a is 1 on {server}\n"));
    lab.shown(&["updateKvConfig", "-s", "MINE", "-k", "b", "-v", "2"]);
    assert_eq!(
        lab.json(&["namesrv", "kv", "MINE"]),
        json!([{ "key": "a", "value": "1" }, { "key": "b", "value": "2" }])
    );
    lab.shown(&["deleteKvConfig", "-s", "MINE", "-k", "a"]);
    let (code, line) = lab.failure(&["namesrv", "kv", "MINE", "a"]);
    assert!(code == 1 && line.contains("has no a"), "{line}");
    let config = lab.json(&["namesrv", "config", "--like", "ordermessage"]);
    assert_eq!(config, json!([{ "nameServer": server, "name": "orderMessageEnable", "value": "false" }]));
    lab.shown(&["updateNamesrvConfig", "-k", "orderMessageEnable", "-v", "true"]);
    assert_eq!(lab.json(&["getNamesrvConfig", "--like", "ordermessage"])[0]["value"], json!("true"));
    let (code, line) = lab.failure(&["namesrv", "update-config", "kvConfigPath", "/tmp/x"]);
    assert!(code == 1 && line.contains("black list"), "{line}");
}

#[test]
fn a_topic_has_an_order() {
    let lab = Lab::new();
    assert_eq!(lab.failure(&["topic", "order", "orders"]).0, 1);
    lab.shown(&["updateOrderConf", "-t", "orders", "-m", "put", "-v", "broker-a:4;broker-b:2"]);
    let rows = json!([{ "broker": "broker-a", "queues": 4 }, { "broker": "broker-b", "queues": 2 }]);
    assert_eq!(lab.json(&["topic", "order", "orders"]), rows);
    assert_eq!(lab.failure(&["topic", "order", "orders", "--do", "put", "--queues", "broker-a"]).0, 2);
    assert_eq!(lab.run(&["topic", "order", "orders", "--do", "put"]).code, 2);
    lab.shown(&["topic", "order", "orders", "--do", "delete"]);
    assert_eq!(lab.failure(&["updateOrderConf", "-t", "orders", "-m", "get"]).0, 1);
}

#[test]
fn groups_have_settings_and_may_be_kept_from_a_topic() {
    let lab = Lab::new();
    lab.shown(&["group", "create", "billing", "--retry-max", "3"]);
    let config = lab.json(&["getConsumerConfig", "-g", "billing"]);
    let row = |broker: &str| json!({ "broker": broker, "name": "retry-max", "value": 3 });
    let rows = config.as_array().unwrap();
    assert!(["broker-a", "broker-b"].iter().all(|broker| rows.contains(&row(broker))), "{config}");
    let read = |words: &[&str]| lab.json(&[&["group", "read", "billing", "orders"], words].concat());
    assert_eq!(read(&[])[0]["readable"], json!(true));
    assert_eq!(read(&["--allow", "false", "-b", "broker-a"])[0]["readable"], json!(false));
    assert_eq!((&read(&[])[0]["readable"], &read(&[])[1]["readable"]), (&json!(false), &json!(true)));
    lab.send("orders", ["one", "two"]);
    let times = lab.json(&["group", "times", "billing", "orders"]);
    assert_eq!(times.as_array().unwrap().len(), 4, "{times}");
    let full = times.as_array().unwrap().iter().find(|row| !row["first"].is_null()).expect("a queue with a message");
    assert!(full["consumed"].is_null() && full["delayMs"].is_null(), "a group without offset: {times}");
    let queue = format!("{}#{}", full["broker"].as_str().unwrap(), full["queueId"]);
    lab.shown(&["offset", "set", "billing", "orders", "--queue", &queue, "--offset", "1"]);
    let times = lab.json(&["group", "times", "billing", "orders"]);
    let row = times
        .as_array()
        .unwrap()
        .iter()
        .find(|row| [&row["broker"], &row["queueId"]] == [&full["broker"], &full["queueId"]]);
    let row = row.expect("the same queue");
    assert_eq!(row["consumed"], full["first"], "{times}");
    // The other message may be in the same queue, and waits then.
    assert!(row["delayMs"].as_i64().is_some_and(|delay| (0..60_000).contains(&delay)), "{times}");
    assert_eq!(lab.failure(&["group", "times", "billing", "nowhere"]).0, 1);
}

#[test]
fn brokers_do_their_work_and_tell_of_it() {
    let lab = Lab::new();
    assert_eq!(lab.shown(&["cleanExpiredCQ"]), "deleted files of queues on broker-a, broker-b\n");
    assert_eq!(
        lab.shown(&["cleanUnusedTopic", "-b", "broker-b"]),
        "deleted queues of topics that are gone on broker-b\n"
    );
    lab.shown(&["deleteExpiredCommitLog", "-c", "DefaultCluster"]);
    lab.shown(&["updateColdDataFlowCtrGroupConfig", "-g", "audit", "-v", "4096", "-b", "broker-a"]);
    lab.shown(&["removeColdDataFlowCtrGroupConfig", "-g", "audit", "-b", "broker-a"]);
    assert!(lab.shown(&["setCommitLogReadAheadMode", "-m", "1", "-b", "broker-a"]).contains("mode: 1"));
    assert!(lab.json(&["broker", "log-reads", "ahead"])[1]["told"].as_str().unwrap().ends_with("mode: 0"));
    assert!(lab.json(&["producer", "-b", "broker-a"]).is_array());
    let slaves = lab.json(&["haStatus"]);
    assert_eq!((slaves.as_array().unwrap().len(), &slaves[0]["slave"]), (2, &json!(null)));
    let (code, line) = lab.failure(&["broker", "figure", "TOPIC_PUT_NUMS", "nowhere"]);
    assert!(code == 1 && line.contains("not exist"), "{line}");
    lab.shown(&["message", "send", "orders", "one", "--queue", "broker-a#0"]);
    let entries = lab.json(&["queryCq", "-t", "orders", "-q", "0", "-b", "broker-a", "-i", "0", "-c", "1"]);
    assert_eq!((&entries["min"], entries["entries"].as_array().unwrap().len()), (&json!(0), 1), "{entries}");
    assert_eq!(lab.failure(&["topic", "entries", "orders"]).0, 2);
    assert_eq!(lab.json(&["brokerConsumeStats", "-l", "1"]), json!([]));
}

#[test]
fn secrets_come_from_files_or_the_environment_and_are_never_shown() {
    let lab = Lab::new();
    let path = std::env::temp_dir().join(format!("rmq-secret-{}", std::process::id()));
    let file = path.to_str().unwrap();
    std::fs::File::create(&path).unwrap().write_all(b"hunter2\nmore\n").unwrap();
    // The models look at no signature.
    let signed = lab.run(&["topic", "list", "--access-key", "admin", "--secret-key-file", file, "-v"]);
    assert!(signed.code == 0 && !signed.err.contains("hunter2"), "{signed:?}");
    let (code, line) = lab.failure(&["topic", "list", "--access-key", "admin"]);
    assert!(code == 2 && line.contains("--secret-key-file"), "{line}");
    let mut command = lab.command(&["topic", "list"]);
    let ran = run(command.env("RMQ_ACCESS_KEY", "admin").env("RMQ_SECRET_KEY", "hunter2"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(lab.run(&["topic", "list", "--secret-key-file", file]).code, 2);
    // A broker without access control keeps no users.
    let (code, line) = lab.failure(&["user", "create", "u", "--password-file", file, "-b", "broker-a"]);
    assert!(code == 1 && !line.contains("hunter2"), "{line}");
    let (code, line) = lab.failure(&["user", "create", "u"]);
    assert!(code == 2 && line.contains("--password-file"), "{line}");
    assert_eq!(lab.failure(&["listUser"]).0, 1);
    assert_eq!(lab.failure(&["createAcl", "-s", "User:u", "-r", "Topic:a", "-a", "Pub", "-d", "Allow"]).0, 1);
    let mut help = program(&["user", "create", "--help"]);
    let help = run(help.env("RMQ_PASSWORD", "hunter2"));
    assert!(help.code == 0 && !help.out.contains("hunter2"), "{help:?}");
    std::fs::remove_file(&path).unwrap();
}
