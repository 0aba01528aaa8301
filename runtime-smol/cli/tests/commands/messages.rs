//! `rmq message`.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use rocketmq_testkit::cluster::tcp::EmbeddedCluster;
use serde_json::{Value, json};

use crate::kit::{Lab, Member, eventually, run, table};

fn one_queue() -> Lab {
    Lab::of(EmbeddedCluster::builder().topic("orders", 1))
}

#[test]
fn a_message_is_sent_with_all_it_has_and_found_by_each_of_its_ids() {
    let lab = one_queue();
    let words = ["message", "send", "orders", "hello", "--tag", "new", "-k", "42", "-k", "43", "-p", "region=eu"];
    let receipt = lab.json(&words);
    assert_eq!((&receipt["status"], &receipt["queueOffset"]), (&json!("SEND_OK"), &json!(0)));
    let [id, stored] = ["msgId", "offsetMsgId"].map(|key| receipt[key].as_str().unwrap().to_owned());
    let found = lab.json(&["message", "get", "orders", &id]);
    assert_eq!((&found["body"], &found["tag"], &found["keys"]), (&json!("hello"), &json!("new"), &json!(["42", "43"])));
    assert_eq!((&found["properties"]["region"], &found["broker"]), (&json!("eu"), &json!("broker-a")));
    assert_eq!(lab.json(&["message", "get", "orders", "--queue", "broker-a#0", "--offset", "0"]), found);
    assert_eq!(lab.json(&["queryMsgByUniqueKey", "-i", &id, "-t", "orders"]), found);
    assert_eq!(lab.json(&["queryMsgByOffset", "-t", "orders", "-b", "broker-a", "-i", "0", "-o", "0"]), found);
    // Its broker is not told by the place in the log.
    for words in
        [&["message", "get", &stored][..], &["queryMsgById", "-i", &stored], &["message", "get", "orders", &stored]]
    {
        let by_place = lab.json(words);
        assert_eq!(
            (&by_place["msgId"], &by_place["body"], &by_place["broker"]),
            (&json!(id), &json!("hello"), &Value::Null)
        );
    }
    assert_eq!(lab.shown(&["message", "get", "orders", &id, "--raw"]), "hello");
    let shown = lab.shown(&["message", "get", "orders", &id]);
    assert!(shown.contains("\nmsg id           ") && shown.ends_with("\nbody             hello\n"), "{shown}");
}

#[test]
fn what_cannot_be_found_or_is_not_said_is_told() {
    let lab = one_queue();
    for (code, words, said) in [
        (1, &["message", "get", "orders", "0A00020103EE20BCE9FD47BC2E870064"][..], "no message"),
        (1, &["message", "get", "nowhere", "0A00020103EE20BCE9FD47BC2E870064"], "does not exist"),
        (1, &["message", "get", "orders", "--queue", "broker-a#0", "--offset", "9"], "no message at 9"),
        (1, &["message", "get", "orders", "--queue", "broker-a#7", "--offset", "0"], "queue broker-a#7"),
        (2, &["message", "get"], "give the id"),
        (2, &["message", "get", "0A00020103EE20BCE9FD47BC2E870064"], "give the topic too"),
        (2, &["message", "get", "orders", "--offset", "0"], "--queue BROKER#ID"),
        (2, &["message", "send", "orders"], "give a body"),
        (2, &["message", "send", "orders", ""], "the body is empty"),
        (2, &["message", "send", "orders", "x", "-p", "KEYS=1"], "reserved"),
        (2, &["message", "send", "orders", "--file", "/does/not/exist"], "cannot read"),
        (2, &["message", "query", "orders", "--from", "1h", "--to", "2h"], "--from is after --to"),
        (1, &["message", "send", "orders", "x", "--queue", "broker-a#7"], "no queue broker-a#7"),
        (1, &["message", "tail", "nowhere"], "does not exist"),
        (1, &["message", "consume", "nowhere", "--group", "g"], "does not exist"),
        (2, &["message", "recall", "orders", "no-handle"], "handle"),
    ] {
        let (exit, line) = lab.failure(words);
        assert!(exit == code && line.contains(said), "{words:?}: {exit}: {line}");
    }
}

#[test]
fn messages_are_found_by_key_and_by_time() {
    let lab = one_queue();
    for n in 0..5 {
        let tag = if n % 2 == 0 { "even" } else { "odd" };
        lab.shown(&["message", "send", "orders", &n.to_string(), "--key", "all", "--tag", tag]);
    }
    let bodies = |words: &[&str]| -> Vec<String> {
        let rows = lab.lines(&[&["message", "query", "orders"], words].concat());
        rows.iter().map(|row| row["body"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(bodies(&["--key", "all"]), ["0", "1", "2", "3", "4"]);
    assert_eq!(bodies(&["--key", "all", "--max", "2"]).len(), 2);
    assert!(bodies(&["--key", "none"]).is_empty());
    assert_eq!(bodies(&[]), ["0", "1", "2", "3", "4"]);
    assert_eq!(bodies(&["--tags", "odd || other"]), ["1", "3"]);
    assert_eq!(bodies(&["--from", "1h", "--max", "3"]), ["0", "1", "2"]);
    assert!(bodies(&["--to", "1h"]).is_empty() && bodies(&["--from", "2100-01-01"]).is_empty());
    let third = &lab.lines(&["message", "query", "orders"])[2]["storeTime"];
    assert!(bodies(&["--from", &third.to_string()]).contains(&"2".to_owned()));
    assert_eq!(lab.lines(&["queryMsgByKey", "-t", "orders", "-k", "all"]).len(), 5);
    assert_eq!(lab.lines(&["printMsg", "-t", "orders", "-d", "true", "-s", "even"]).len(), 3);
    assert_eq!(
        lab.lines(&["consumeMessage", "-t", "orders", "-b", "broker-a", "-i", "0", "-o", "3", "-c", "9"]).len(),
        2
    );
    let shown = lab.shown(&["message", "query", "orders", "--max", "1"]);
    assert!(shown.contains("  broker-a#0@0  ") && shown.ends_with("  even  [all]  0\n"), "{shown}");
}

#[test]
fn bodies_cannot_steer_a_terminal_and_bytes_are_shown_as_they_are() {
    let lab = one_queue();
    lab.send("orders", ["\u{1b}[2Jred\nline"]);
    assert!(lab.shown(&["message", "query", "orders"]).ends_with("  \\u{1b}[2Jred\\nline\n"));
    let mut command = lab.command(&["message", "send", "orders", "--file", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&[0xff, 0x00, 0x10]).unwrap();
    assert!(child.wait().unwrap().success());
    let rows = lab.lines(&["message", "query", "orders"]);
    assert_eq!((&rows[0]["body"], &rows[1]["bodyHex"]), (&json!("\u{1b}[2Jred\nline"), &json!("ff0010")));
    let raw = lab.command(&["message", "get", "orders", "--queue", "broker-a#0", "--offset", "1", "--raw"]).output();
    assert_eq!(raw.unwrap().stdout, [0xff, 0x00, 0x10]);
}

#[test]
fn what_is_no_trace_keeps_nobody_from_the_others() {
    let lab = Lab::of(EmbeddedCluster::builder().topic("traces", 1));
    let send = |body: &str| lab.shown(&["message", "send", "traces", body, "--key", "A"]);
    send("nonsense");
    send(&["SubBefore", "5", "region", "billing", "request", "A", "0", "A\u{2}"].join("\u{1}"));
    let ran = lab.run(&["message", "trace", "A", "--topic", "traces"]);
    assert!(ran.code == 4 && ran.err.contains("'nonsense'") && ran.out.contains("billing"), "{ran:?}");
}

#[test]
fn many_messages_are_sent_at_once_or_line_by_line() {
    let lab = one_queue();
    let done = lab.json(&["message", "send", "orders", "x", "--count", "500", "--at-once", "8"]);
    assert_eq!((&done["sent"], &done["failed"]), (&json!(500), &json!(0)));
    assert_eq!(lab.cluster.stored("orders").len(), 500);
    let mut command = lab.command(&["message", "send", "orders", "--lines", "--tag", "line"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"one\r\n\ntwo\nthree").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"sent 3 messages in "), "{output:?}");
    let bodies: Vec<_> = lab.lines(&["message", "query", "orders", "--tags", "line"]);
    assert_eq!(bodies.iter().map(|row| row["body"].clone()).collect::<Vec<_>>(), ["one", "two", "three"]);
    // The first that fails ends it.
    let ran = lab.run(&["message", "send", "orders", "", "--count", "50"]);
    assert!(ran.code == 2 && ran.err.contains("after 0 messages"), "{ran:?}");
}

#[test]
fn a_delayed_message_is_taken_back() {
    let lab = one_queue();
    let receipt = lab.json(&["message", "send", "orders", "later", "--delay", "1h"]);
    let (handle, id) = (receipt["recallHandle"].as_str().unwrap(), receipt["msgId"].as_str().unwrap());
    let ran = lab.run(&["message", "recall", "orders", handle]);
    // Brokers do so when they are set to.
    assert!(ran.code == 1 && ran.err.contains("topic orders: "), "{ran:?}");
    let config = rocketmq_testkit::cluster::BrokerConfig { recall: true, ..Default::default() };
    let lab = Lab::of(EmbeddedCluster::builder().config(config).topic("orders", 1));
    let receipt = lab.json(&["message", "send", "orders", "later", "--delay", "1h"]);
    let done = lab.json(&["message", "recall", "orders", receipt["recallHandle"].as_str().unwrap()]);
    assert_eq!(done, json!({ "topic": "orders", "msgId": receipt["msgId"] }));
    assert_ne!(done["msgId"], id);
}

#[test]
fn new_messages_are_followed_until_the_interrupt() {
    let lab = Lab::new();
    lab.send("orders", ["before"]);
    let mut tail = Member::start(lab.command(&["message", "tail", "orders"]));
    // It has begun when it sees the first of these.
    let mut sent = 0;
    let (lines, seen) = std::sync::mpsc::channel();
    let shown = std::thread::spawn(move || {
        for _ in 0..3 {
            lines.send(tail.line()).unwrap();
        }
        tail
    });
    eventually(|| {
        lab.send("orders", [format!("n{sent}")]);
        sent += 1;
        shown.is_finished()
    });
    let first: Vec<String> = seen.iter().collect();
    assert!(first.iter().all(|line| line.contains("  n") && !line.contains("before")), "{first:?}");
    let ran = shown.join().unwrap().interrupt();
    assert!(ran.code == 0 && ran.err.is_empty(), "{ran:?}");
    assert_eq!(lab.lines(&["message", "tail", "orders", "--from", "first", "--idle", "300ms"]).len(), sent + 1);
    assert_eq!(lab.lines(&["message", "tail", "orders", "--from", "1h", "--count", "2"]).len(), 2);
}

#[test]
fn a_consumer_commits_what_it_has_shown_and_leaves_when_it_is_interrupted() {
    let lab = one_queue();
    lab.send("orders", (0..5).map(|n| n.to_string()));
    let words = ["message", "consume", "orders", "--group", "billing", "--from", "first", "--count", "3"];
    let rows = lab.lines(&words);
    assert_eq!(rows.iter().map(|row| row["body"].clone()).collect::<Vec<_>>(), ["0", "1", "2"]);
    assert_eq!(lab.json(&["offset", "get", "billing", "orders"])[0]["offset"], json!(3));
    assert!(lab.cluster.members("billing")[0].is_empty(), "it left");
    let mut member = lab.member("orders", "billing");
    assert!(member.line().ends_with("  3\n") && member.line().ends_with("  4\n"));
    let ran = member.interrupt();
    assert!(ran.code == 0 && ran.err.is_empty() && ran.out.is_empty(), "{ran:?}");
    assert_eq!(lab.json(&["offset", "get", "billing", "orders"])[0]["offset"], json!(5));
    assert!(lab.shown(&["message", "consume", "orders", "--group", "billing", "--idle", "500ms"]).is_empty());
}

#[test]
fn a_consumer_shows_how_it_is_when_it_is_asked_to() {
    let lab = one_queue();
    lab.send("orders", (0..5).map(|n| n.to_string()));
    let words = ["message", "consume", "orders", "--group", "billing", "--from", "first", "--count", "3", "--snapshot"];
    let shown = lab.shown(&words);
    let rows: Vec<_> = table(&shown);
    assert!(rows.iter().any(|row| row.starts_with(&["orders", "broker-a#0", "pulling", "0 stored"])), "{shown}");
    assert!(rows.iter().any(|row| row.starts_with(&["billing", "running", "no", "orders", "members", "1"])), "{shown}");
    let lines = lab.lines(&[&words[..7], &["--idle", "500ms", "--snapshot"]].concat());
    let [_, _, seen] = &lines[..] else { panic!("the last two messages, and then the snapshot: {lines:?}") };
    let queues = seen["consumers"][0]["queues"].as_array().unwrap().clone();
    let queue = queues.iter().find(|of| of["queue"]["topic"] == "orders").unwrap();
    assert_eq!((&queue["start"]["reason"], &queue["committed"]), (&json!("stored"), &json!(3)));
}

#[test]
fn a_pipe_that_is_closed_ends_the_program_quietly() {
    let lab = one_queue();
    lab.shown(&["message", "send", "orders", &"x".repeat(1_000), "--count", "500"]);
    let mut command = lab.command(&["message", "query", "orders"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty() && first.contains("xxx"), "{output:?}");
}

#[test]
fn what_groups_have_done_with_a_message_is_told() {
    let lab = one_queue();
    let receipt = lab.json(&["message", "send", "orders", "x", "--tag", "a"]);
    let id = receipt["msgId"].as_str().unwrap();
    assert!(lab.json(&["message", "track", "orders", id]).as_array().unwrap().is_empty());
    let mut member = lab.member("orders", "billing");
    member.line();
    let tracked =
        |what: &str| lab.json(&["message", "track", "orders", id]) == json!([{ "group": "billing", "track": what }]);
    eventually(|| tracked("CONSUMED"));
    // Members of ours handle nothing for operators unless they are told to.
    let known = lab.json(&["group", "connections", "billing"]);
    let me = known["members"][0]["clientId"].as_str().unwrap();
    let (code, line) = lab.failure(&["message", "direct", "orders", id, "--group", "billing", "--member", me]);
    assert!(code == 1 && line.contains("refused by this client"), "{line}");
    assert_eq!(member.interrupt().code, 0);
    eventually(|| tracked("NOT_ONLINE"));
    let ran = run(&mut lab.command(&["message", "track", "orders", "0A00020103EE20BCE9FD47BC2E870064"]));
    assert_eq!(ran.code, 1, "{ran:?}");
}
