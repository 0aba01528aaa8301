//! `rmq` beside `mqadmin`, on the same broker: what one shows the other shows, and what one does the other sees.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{Client, Producer, PushConsumer};
use rocketmq_core::message::Message;
use rocketmq_core::send::Receipt;
use rocketmq_rmq::Streams;
use rocketmq_testkit::real::V4;
use serde_json::{Value, json};

use super::checks::Scope;
use super::kit::{World, collect, eventually, producer, receipts, send_all, sleep, sorted};
use super::runtimes::OnSmol;

const MESSAGES: usize = 6;

pub(crate) fn scenario(world: &World) {
    let mut it = Beside::new(world, "cli");
    it.topics();
    let peers = smol::block_on(it.peers());
    it.servers();
    it.messages();
    it.groups();
    it.tools();
    it.moves(&peers);
    smol::block_on(peers.client.shutdown());
    it.deletes();
}

/// What changes the broker for everybody.
pub(crate) fn alone(world: &World) {
    let it = Beside::new(world, "cli_alone");
    let check = it.check.step("write-perm");
    let route = || after(&it.java(&["topicRoute", "-t", &it.topic]), "\"perm\":").unwrap_or_default();
    it.rmq(&["topic", "create", &it.topic, "-r", "1", "-w", "1"]);
    eventually_eq(|| route().chars().next(), Some('6'));
    check.that("wiped", it.rmq(&["wipeWritePerm", "-b", &world.broker_name]).contains("no more"), "");
    check.eq("java-sees-it-read-only", route().chars().next(), Some('4'));
    check.that("added", it.rmq(&["namesrv", "add-perm", &world.broker_name]).contains("again"), "");
    check.eq("java-sees-it-back", route().chars().next(), Some('6'));
    it.java(&["wipeWritePerm", "-b", &world.broker_name]);
    check.eq("we-see-what-java-wiped", &it.json(&["topicRoute", "-t", &it.topic])[0]["perm"], "r");
    it.java(&["addWritePerm", "-b", &world.broker_name]);
    check.eq("we-see-it-back", &it.json(&["topicRoute", "-t", &it.topic])[0]["perm"], "rw");
}

/// Runs `rmq`; its exit code, and what it writes.
pub(crate) fn rmq(world: &World, words: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let streams = Streams { out: &mut out, err: &mut err, out_is_terminal: false, err_is_terminal: false };
    let words = ["rmq", "-n", &world.namesrv].into_iter().chain(words.iter().copied()).map(OsString::from);
    let code = rocketmq_rmq::run(words, streams);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (code, text(out), text(err))
}

struct Beside<'w> {
    world: &'w World,
    check: Scope,
    topic: String,
    group: String,
    v4: bool,
    sent: Vec<Receipt>,
}

/// A producer and a member of the group, that stay.
struct Peers {
    client: Client,
    consumer: PushConsumer,
    _producer: Producer,
}

impl<'w> Beside<'w> {
    fn new(world: &'w World, name: &str) -> Self {
        Self {
            check: world.scope::<OnSmol>("cli"),
            topic: name.to_owned(),
            group: format!("{name}_group"),
            v4: world.checks.version() == V4,
            sent: Vec::new(),
            world,
        }
    }

    fn try_rmq(&self, words: &[&str]) -> (u8, String, String) {
        rmq(self.world, words)
    }

    #[track_caller]
    fn rmq(&self, words: &[&str]) -> String {
        let (code, out, err) = self.try_rmq(words);
        assert!(code == 0 && err.is_empty(), "rmq {words:?}: {code}: {err}{out}");
        out
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.rmq(&[words, &["-o", "json"]].concat())).expect("JSON")
    }

    #[track_caller]
    fn lines(&self, words: &[&str]) -> Vec<Value> {
        let out = self.rmq(&[words, &["-o", "json"]].concat());
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    #[track_caller]
    fn java(&self, words: &[&str]) -> String {
        self.world.mqadmin.run(words).unwrap_or_else(|error| panic!("mqadmin {words:?}: {error}"))
    }

    /// A group as Java's admin shows it.
    fn group_config(&self, group: &str) -> Value {
        let args = json!({ "namesrv": self.world.namesrv, "broker": self.broker(), "group": group });
        let Value::Object(args) = args else { panic!("arguments") };
        self.world.java.command("group_config", args).expect("an answer")
    }

    fn broker(&self) -> String {
        let info = self.json(&["clusterList"]);
        info[0]["address"].as_str().expect("an address").to_owned()
    }

    fn topics(&self) {
        let check = self.check.step("topics");
        let words = ["updateTopic", "-t", &self.topic, "-c", "DefaultCluster", "-r", "2", "-w", "2"];
        check.that("created", self.rmq(&words).starts_with("created topic cli on "), "");
        let route = || self.java(&["topicRoute", "-t", &self.topic]);
        eventually_eq(|| after(&route(), "\"readQueueNums\":").and_then(|rest| rest.chars().next()), Some('2'));
        let javas = route();
        let ours = self.json(&["topicRoute", "-t", &self.topic]);
        let number = |key: &str| {
            let rest = after(&javas, &format!("\"{key}\":")).unwrap_or_default();
            rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<i64>().ok()
        };
        check.eq("route-read", ours[0]["readQueues"].as_i64(), number("readQueueNums"));
        check.eq("route-write", ours[0]["writeQueues"].as_i64(), number("writeQueueNums"));
        check.eq("route-broker", ours[0]["broker"].as_str(), Some(self.world.broker_name.as_str()));
        let address = ours[0]["addresses"]["0"].as_str().unwrap_or_default();
        check.that("route-address", javas.contains(&format!("\"{address}\"")), &javas);

        self.java(&["updateTopicPerm", "-t", &self.topic, "-p", "4", "-c", "DefaultCluster"]);
        eventually_eq(
            || self.json(&["topic", "route", &self.topic])[0]["perm"].as_str().map(str::to_owned),
            Some("r".into()),
        );
        check.that("perm-by-java-is-seen", true, "");
        self.rmq(&["updateTopicPerm", "-t", &self.topic, "-p", "6", "-c", "DefaultCluster"]);
        eventually_eq(|| after(&route(), "\"perm\":").and_then(|rest| rest.chars().next()), Some('6'));
        check.that("perm-by-us-is-seen", true, "");

        let ours = self.json(&["topicList"]);
        let ours: BTreeSet<_> = ours.as_array().unwrap().iter().filter_map(|row| row["topic"].as_str()).collect();
        let javas = self.java(&["topicList"]);
        let javas: BTreeSet<_> = javas.lines().map(str::trim).collect();
        check.that("list", ours.contains(self.topic.as_str()) && ours.is_subset(&javas), &ours);
        let ours = self.rmq(&["topicClusterList", "-t", &self.topic]);
        let javas = self.java(&["topicClusterList", "-t", &self.topic]);
        check.eq("clusters", ours.lines().skip(1).collect::<Vec<_>>(), javas.lines().collect::<Vec<_>>());
        if self.v4 {
            let (code, _, err) = self.try_rmq(&["topic", "config", &self.topic]);
            check.that("config", code == 1 && err.contains("351"), err);
        } else {
            check.eq("config", &self.json(&["topic", "config", &self.topic])[0]["filterType"], "SINGLE_TAG");
        }
        let (code, _, err) = self.try_rmq(&["topicRoute", "-t", "cli_nowhere"]);
        check.that("nowhere", code == 1 && err.contains("topic cli_nowhere: the topic does not exist"), err);
    }

    /// Messages are sent and consumed.
    async fn peers(&mut self) -> Peers {
        let client = self.world.client::<OnSmol>().await;
        let producer = producer(&client, "cli_producer").await;
        let message = |n: usize| Message::new(self.topic.as_str(), format!("m{n}")).with_tag("T").with_key("all");
        self.sent = receipts(send_all(&producer, 1, (0..MESSAGES).map(message).collect()).await);
        let consumer = client.push_consumer(self.group.as_str()).subscribe(self.topic.as_str(), "*");
        let consumer = consumer.start_from(StartFrom::First).start().await.expect("a consumer");
        assert_eq!(collect(&consumer, MESSAGES).await.len(), MESSAGES);
        eventually(|| (self.world.offsets(&self.group, &self.topic).0 == MESSAGES as i64).then_some(())).await;
        Peers { client, consumer, _producer: producer }
    }

    fn servers(&self) {
        let check = self.check.step("servers");
        let ours = self.json(&["clusterList"]);
        let javas = rows_of(&self.java(&["clusterList"]), "DefaultCluster");
        let row = &ours[0];
        let seen = [&row["broker"], &row["id"], &row["address"], &row["version"]].map(text);
        check.eq("cluster", seen.as_slice(), &javas[0][1..5]);

        let broker = self.broker();
        let names = |shown: &str, by: &str| -> BTreeSet<String> {
            let row = |line: &str| line.split_once(by).map(|(key, _)| key.trim().to_owned());
            shown.lines().filter_map(row).filter(|key| !key.is_empty() && !key.contains(' ')).collect()
        };
        let ours = self.json(&["brokerStatus", "-b", &broker]);
        let ours: BTreeSet<_> = ours[&self.world.broker_name].as_object().unwrap().keys().cloned().collect();
        check.eq("figures", ours, names(&self.java(&["brokerStatus", "-b", &broker]), ":"));

        let settings = || -> BTreeMap<String, String> {
            let shown = self.java(&["getBrokerConfig", "-b", &broker]);
            let row =
                |line: &str| line.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
            shown.lines().filter_map(row).filter(|(key, _)| !key.is_empty()).collect()
        };
        let ours = self.json(&["getBrokerConfig", "-b", &broker]);
        let ours = ours[&self.world.broker_name].as_object().unwrap().clone();
        let ours: BTreeMap<_, _> = ours.into_iter().map(|(key, value)| (key, text(&value).trim().to_owned())).collect();
        check.eq("settings", ours, settings());
        self.rmq(&["updateBrokerConfig", "-b", &broker, "-k", "fileReservedTime", "-v", "96"]);
        check.eq("java-sees-what-was-set", settings().get("fileReservedTime").map(String::as_str), Some("96"));
        self.java(&["updateBrokerConfig", "-b", &broker, "-k", "fileReservedTime", "-v", "72"]);
        let ours = self.json(&["broker", "config", "--like", "fileReservedTime"]);
        check.eq("we-see-what-java-set", &ours[&self.world.broker_name]["fileReservedTime"], "72");

        let ours = self.json(&["producerConnection", "-g", "cli_producer", "-t", &self.topic]);
        let javas = self.java(&["producerConnection", "-g", "cli_producer", "-t", &self.topic]);
        let seen = [&ours[0]["clientId"], &ours[0]["address"], &ours[0]["language"]].map(text);
        check.that("producers", seen.iter().all(|word| javas.contains(word.as_str())), (&seen, &javas));
        let ran = self.try_rmq(&["producerConnection", "-g", "cli_nobody", "-t", &self.topic]);
        check.eq("no-producers", ran.0, 1);
    }

    /// What name servers and brokers keep and do, by the names of `mqadmin`.
    fn tools(&self) {
        let check = self.check.step("tools");
        let broker = self.broker();
        let shown = self.java(&["getNamesrvConfig"]);
        let config = self.json(&["getNamesrvConfig"]);
        let rows = config.as_array().expect("rows");
        check.that("as-many-settings", rows.len() > 10, rows.len());
        for key in ["orderMessageEnable", "listenPort", "kvConfigPath", "clusterTest"] {
            let ours = rows.iter().find(|row| row["name"] == key).map(|row| text(&row["value"]));
            let javas = shown.lines().find(|line| line.split_whitespace().next() == Some(key));
            let javas = javas.and_then(|line| line.split_whitespace().last()).map(str::to_owned);
            check.eq(format!("setting-{key}"), ours, javas);
        }
        self.rmq(&["updateNamesrvConfig", "-k", "clusterTest", "-v", "false"]);
        let (code, _, err) = self.try_rmq(&["updateNamesrvConfig", "-k", "kvConfigPath", "-v", "/tmp/x"]);
        check.that("paths-stay", code == 1 && err.contains("Can not update config"), err);

        self.java(&["updateKvConfig", "-s", "CLI", "-k", "javas", "-v", "1"]);
        self.rmq(&["updateKvConfig", "-s", "CLI", "-k", "ours", "-v", "2"]);
        let kept = json!([{ "key": "javas", "value": "1" }, { "key": "ours", "value": "2" }]);
        check.eq("kept", self.json(&["namesrv", "kv", "CLI"]), kept);
        self.rmq(&["deleteKvConfig", "-s", "CLI", "-k", "javas"]);
        self.java(&["deleteKvConfig", "-s", "CLI", "-k", "ours"]);
        check.eq("forgotten", self.json(&["namesrv", "kv", "CLI"]), json!([]));
        self.java(&["updateOrderConf", "-t", &self.topic, "-m", "put", "-v", "broker-x:3"]);
        let order = json!([{ "broker": "broker-x", "queues": 3 }]);
        check.eq("order-of-java", self.json(&["updateOrderConf", "-t", &self.topic, "-m", "get"]), order);
        self.rmq(&["updateOrderConf", "-t", &self.topic, "-m", "put", "-v", "broker-y:4"]);
        let shown = self.java(&["updateOrderConf", "-t", &self.topic, "-m", "get"]);
        check.that("java-sees-the-order", shown.contains("broker-y:4"), &shown);
        self.rmq(&["updateOrderConf", "-t", &self.topic, "-m", "delete"]);
        check.eq("no-order", self.try_rmq(&["topic", "order", &self.topic]).0, 1);

        for (name, command) in
            [("queues", "cleanExpiredCQ"), ("topics", "cleanUnusedTopic"), ("logs", "deleteExpiredCommitLog")]
        {
            let ours = self.rmq(&[command, "-b", &broker]);
            check.that(format!("cleans-{name}"), ours.contains(&self.world.broker_name), &ours);
            let javas = self.java(&[command, "-b", &broker]);
            check.that(format!("java-cleans-{name}"), javas.to_lowercase().contains("success"), &javas);
        }
        let entries = self.json(&["queryCq", "-t", &self.topic, "-b", &broker, "-q", "0", "-i", "0", "-c", "3"]);
        let javas = self.java(&["queryCq", "-t", &self.topic, "-b", &broker, "-q", "0", "-i", "0", "-c", "3"]);
        let first = entries["entries"][0]["physicalOffset"].as_i64().expect("an entry");
        check.that("entries", javas.contains(&first.to_string()), (&entries, &javas));
        let config = self.json(&["getConsumerConfig", "-g", &self.group]);
        let javas = self.java(&["getConsumerConfig", "-g", &self.group]);
        let ours = config.as_array().expect("rows").iter().find(|row| row["name"] == "retry-max");
        let max = ours.map(|row| text(&row["value"])).expect("a row");
        let said = javas.lines().find(|line| line.contains("retryMaxTimes")).unwrap_or_default().to_owned();
        check.that("group-config", said.split_whitespace().last() == Some(max.as_str()), (&said, &max));
        let producers = self.json(&["producer", "-b", &broker]);
        let javas = self.java(&["producer", "-b", &broker]);
        let of = producers.as_array().expect("rows").iter().find(|row| text(&row["group"]).starts_with("cli"));
        let id = of.map(|row| text(&row["clientId"])).expect("a producer");
        check.that("producers", javas.contains(&id), (&javas, &id));
        if !self.v4 {
            let (code, out, err) =
                self.try_rmq(&["updateColdDataFlowCtrGroupConfig", "-b", &broker, "-g", "cli_cold", "-v", "4096"]);
            check.that("cold-bound", code == 0, (out, err));
            let javas = self.java(&["getColdDataFlowCtrInfo", "-b", &broker]);
            check.that("java-sees-the-bound", javas.contains("cli_cold"), &javas);
            self.rmq(&["removeColdDataFlowCtrGroupConfig", "-b", &broker, "-g", "cli_cold"]);
            let left = self.rmq(&["getColdDataFlowCtrInfo", "-b", &broker]);
            check.that("bound-is-gone", !left.contains("cli_cold"), left);
            let words = ["setCommitLogReadAheadMode", "-b", &broker, "-m", "0"];
            let (ours, javas) = (self.rmq(&words), self.java(&words));
            check.that(
                "log-reads",
                [&ours, &javas].iter().all(|said| said.contains("success, mode: 0")),
                (ours, javas),
            );
            let javas = self.java(&["haStatus", "-b", &broker]);
            let ours = self.json(&["haStatus", "-b", &broker]);
            let slaves = after(&javas, "#SlaveNum").map(|rest| first_word(&rest));
            check.eq("slaves-of-java", slaves.as_deref(), Some("0"));
            check.that("no-slaves", ours[0]["slave"].is_null(), &ours);
        }
    }

    fn messages(&self) {
        let check = self.check.step("messages");
        let status = self.json(&["topicStatus", "-t", &self.topic]);
        let row = |row: &Value| ["broker", "queueId", "minOffset", "maxOffset"].map(|key| text(&row[key])).to_vec();
        let ours: Vec<_> = status.as_array().unwrap().iter().map(row).collect();
        let javas = rows_of(&self.java(&["topicStatus", "-t", &self.topic]), &self.world.broker_name);
        check.eq("status", ours, javas.into_iter().map(|row| row[..4].to_vec()).collect::<Vec<_>>());

        let receipt = &self.sent[3];
        let (id, stored) = (receipt.msg_id.as_str(), receipt.offset_msg_id.as_str());
        let by_id = if self.v4 {
            vec!["queryMsgById", "-i", stored]
        } else {
            vec!["queryMsgById", "-t", &self.topic, "-i", stored]
        };
        let (queue, offset) = (receipt.queue.id.to_string(), receipt.queue_offset.to_string());
        let by_place =
            ["queryMsgByOffset", "-t", &self.topic, "-b", &self.world.broker_name, "-i", &queue, "-o", &offset];
        let by_key = ["queryMsgByUniqueKey", "-t", &self.topic, "-i", id];
        // Brokers index messages a little later.
        eventually_eq(|| self.try_rmq(&by_key).0, 0);
        for (name, words) in [("stored-id", &by_id[..]), ("place", &by_place), ("unique-key", &by_key)] {
            let ours = self.json(words);
            let javas = self.java(words);
            let field = |name: &str| {
                let line = javas.lines().find(|line| line.starts_with(name));
                line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
            };
            for (key, theirs) in [
                ("topic", "Topic"),
                ("queueId", "Queue ID"),
                ("queueOffset", "Queue Offset"),
                ("reconsumeTimes", "Reconsume Times"),
            ] {
                check.eq(format!("{name}/{key}"), Some(text(&ours[key])), field(theirs));
            }
            check.eq(format!("{name}/tag"), Some(format!("[{}]", text(&ours["tag"]))), field("Tags"));
            check.eq(format!("{name}/body"), &ours["body"], "m3");
        }

        let ours = sorted(
            self.lines(&["queryMsgByKey", "-t", &self.topic, "-k", "all"]).iter().map(|row| text(&row["msgId"])),
        );
        let shown = self.java(&["queryMsgByKey", "-t", &self.topic, "-k", "all"]);
        let ids = |shown: &str| {
            let known = self.sent.iter().filter(|receipt| shown.contains(&receipt.msg_id));
            sorted(known.map(|receipt| receipt.msg_id.clone()))
        };
        check.eq("key-all", ours.len(), MESSAGES);
        check.eq("key", ours, ids(&shown));
        let ours =
            sorted(self.lines(&["printMsg", "-t", &self.topic, "-d", "true"]).iter().map(|row| text(&row["msgId"])));
        check.eq("print", ours, ids(&self.java(&["printMsg", "-t", &self.topic, "-d", "true"])));
        let words =
            ["consumeMessage", "-t", &self.topic, "-b", &self.world.broker_name, "-i", "0", "-o", "1", "-c", "1"];
        let ours = self.lines(&words);
        check.eq("one-of-a-queue", &ours[0]["queueOffset"], 1);
        check.that("the-same-as-java", self.java(&words).contains(&text(&ours[0]["msgId"])), &ours);

        let ours = self.json(&["message", "track", &self.topic, id]);
        let javas = self.java(&by_id);
        check.eq("track", ours, json!([{ "group": self.group, "track": "CONSUMED" }]));
        let track =
            |line: &str| line.contains("MessageTrack") && line.contains(&self.group) && line.contains("CONSUMED");
        check.that("track-as-java", javas.lines().any(track), &javas);

        let ours = self.json(&["sendMessage", "-t", &self.topic, "-p", "by us", "-c", "U", "-k", "ours"]);
        check.eq("sent", &ours["status"], "SEND_OK");
        let id = text(&ours["msgId"]);
        eventually_eq(|| self.java(&["queryMsgByUniqueKey", "-t", &self.topic, "-i", &id]).contains("Tags:"), true);
        check.that("java-finds-what-was-sent", true, "");
        let shown = self.java(&["sendMessage", "-t", &self.topic, "-p", "by java", "-k", "javas"]);
        let found = || self.lines(&["message", "query", &self.topic, "--key", "javas"]);
        eventually_eq(|| found().len(), 1);
        let found = found();
        check.that("we-find-what-java-sent", shown.contains(&text(&found[0]["msgId"])), (&shown, &found));
        check.eq("and-its-body", &found[0]["body"], "by java");
    }

    fn groups(&self) {
        let check = self.check.step("groups");
        let other = format!("{}_2", self.group);
        self.rmq(&["updateSubGroup", "-g", &other, "-c", "DefaultCluster", "-r", "3", "-q", "2"]);
        let shown = self.group_config(&other);
        check.eq("created", [&shown["retry_max"], &shown["retry_queues"]], [&json!(3), &json!(2)]);

        let ours = self.json(&["consumerConnection", "-g", &self.group]);
        let javas = self.java(&["consumerConnection", "-g", &self.group]);
        let member = &ours["members"][0];
        let seen = [&member["clientId"], &member["address"], &member["language"]].map(text);
        let row = rows_of(&javas, &seen[0]);
        check.eq("member", seen.as_slice(), &row[0][..3]);
        let topics = ours["subscriptions"].as_array().unwrap().iter();
        let topics: Vec<_> = topics.map(|row| vec![text(&row["topic"]), text(&row["expression"])]).collect();
        let javas_topics: Vec<_> = topics.iter().flat_map(|row| rows_of(&javas, &row[0])).collect();
        check.eq("subscriptions", topics, javas_topics);
        for (key, name) in
            [("consumeType", "ConsumeType"), ("messageModel", "MessageModel"), ("consumeFromWhere", "ConsumeFromWhere")]
        {
            check.that(name, javas.contains(&format!("{name}: {}", text(&ours[key]))), &javas);
        }

        // Nothing is sent any more, and all is consumed.
        let all = MESSAGES as i64 + 2;
        let progress = || self.json(&["consumerProgress", "-g", &self.group]);
        eventually_eq(|| progress()["backlog"].as_i64(), Some(2));
        let ours = progress();
        let javas = self.java(&["consumerProgress", "-g", &self.group]);
        let row = |row: &Value| {
            ["topic", "broker", "queueId", "brokerOffset", "consumerOffset"].map(|key| text(&row[key])).to_vec()
        };
        let of_topic = |row: &&Value| row["topic"] == json!(self.topic);
        let rows: Vec<_> = ours["queues"].as_array().unwrap().iter().filter(of_topic).map(row).collect();
        check.eq(
            "progress",
            sorted(rows),
            sorted(rows_of(&javas, &self.topic).into_iter().map(|row| row[..5].to_vec())),
        );
        check.eq("backlog", after(&javas, "Diff Total:").map(|rest| first_word(&rest)), Some(text(&ours["backlog"])));
        let ends =
            ours["queues"].as_array().unwrap().iter().filter(of_topic).map(|row| row["brokerOffset"].as_i64().unwrap());
        check.eq("all-of-it", ends.sum::<i64>(), all);

        let ours = self.json(&["consumerStatus", "-g", &self.group]);
        let javas = self.java(&["consumerStatus", "-g", &self.group]);
        check.that("status", javas.contains(&text(&ours[0]["clientId"])), &javas);
        let me = text(&ours[0]["clientId"]);
        let ours = self.json(&["consumerStatus", "-g", &self.group, "-i", &me]);
        let javas = self.java(&["consumerStatus", "-g", &self.group, "-i", &me]);
        let of_the_moment =
            |row: &&Value| ["PROP_SHARE.", "PROP_QUEUE."].iter().any(|own| text(&row["name"]).starts_with(own));
        let own = ours["properties"].as_array().unwrap().iter().filter(of_the_moment);
        check.that("status-of-queues", own.clone().count() >= 2, &ours);
        for row in own {
            let name = text(&row["name"]);
            check.that(format!("status-{name}"), javas.lines().any(|line| line.starts_with(&name)), &javas);
        }
        for row in ours["properties"].as_array().unwrap().iter().filter(|row| !of_the_moment(row)) {
            let line = javas.lines().find(|line| line.starts_with(&text(&row["name"])));
            let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned());
            if row["name"] != json!("PROP_CONSUMER_START_TIMESTAMP") {
                check.eq(format!("status-{}", text(&row["name"])), Some(text(&row["value"])), value);
            }
        }
        let all = self.json(&["group", "list"]);
        check.that("list", all.as_array().unwrap().contains(&json!({ "group": self.group })), &all);

        let times = |group: &str| self.json(&["group", "times", group, &self.topic]);
        let told = |times: &Value, key: &str| times.as_array().unwrap().iter().all(|row| !row[key].is_null());
        let (consumed, nobodys) = (times(&self.group), times(&other));
        let all = ["first", "last", "consumed", "delayMs"].iter().all(|key| told(&consumed, key));
        check.that("times", all, &consumed);
        let none = nobodys.as_array().unwrap().iter().all(|row| row["delayMs"].is_null() && row["consumed"].is_null());
        check.that("a-group-without-offsets-waits-for-nothing", none && told(&nobodys, "first"), &nobodys);
        self.rmq(&["cloneGroupOffset", "-s", &self.group, "-d", &other, "-t", &self.topic]);
        let of = |group: &str| self.world.java.offsets(&self.world.namesrv, group, &self.topic).unwrap();
        let committed =
            |group: &str| of(group).iter().map(|row| (row.queue_id, row.committed)).collect::<BTreeMap<_, _>>();
        check.eq("cloned", committed(&other), committed(&self.group));
        if !self.v4 {
            check.that(
                "mode",
                self.rmq(&["setConsumeMode", "-t", &self.topic, "-g", &other, "-m", "POP", "-q", "0"])
                    .contains("by POP"),
                "",
            );
        }
    }

    /// Both move the group, and say the same.
    fn moves(&self, peers: &Peers) {
        let check = self.check.step("moves");
        let rest = smol::block_on(collect(&peers.consumer, 2));
        check.eq("what-was-sent-comes", sorted(rest.iter().map(super::kit::Got::text)), ["by java", "by us"]);
        smol::block_on(sleep(std::time::Duration::from_secs(7)));
        let ours = |words: &[&str]| {
            let rows = self.json(words);
            let row = |row: &Value| ["broker", "queueId", "offset"].map(|key| text(&row[key])).to_vec();
            sorted(rows.as_array().unwrap().iter().map(row))
        };
        let javas = |words: &[&str]| sorted(rows_of(&self.java(words), &self.world.broker_name));
        let words = ["resetOffsetByTime", "-g", &self.group, "-t", &self.topic, "-s", "0", "-f", "true"];
        let moved = ours(&words);
        check.eq("to-the-start", moved.iter().map(|row| row[2].as_str()).collect::<Vec<_>>(), ["0", "0"]);
        check.eq("to-the-start-as-java", moved, javas(&words));
        let words = ["skipAccumulatedMessage", "-g", &self.group, "-t", &self.topic];
        let moved = ours(&words);
        check.eq("to-the-end", moved.iter().map(|row| row[2].parse::<usize>().unwrap()).sum::<usize>(), MESSAGES + 2);
        check.eq("to-the-end-as-java", moved, javas(&words));
    }

    fn deletes(&self) {
        let check = self.check.step("deletes");
        let other = format!("{}_2", self.group);
        self.rmq(&["deleteSubGroup", "-g", &other, "-c", "DefaultCluster", "-r", "true"]);
        let shown = self.group_config(&other);
        check.eq("no-group", shown, Value::Null);
        self.rmq(&["deleteTopic", "-t", &self.topic, "-c", "DefaultCluster"]);
        eventually_eq(|| self.try_rmq(&["topicRoute", "-t", &self.topic]).0, 1);
        let shown = self.java(&["topicRoute", "-t", &self.topic]);
        check.that("java-sees-no-topic", shown.contains("No topic route info"), &shown);
    }
}

/// A value as text: `mqadmin` knows no other.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What comes after some words, blanks left out.
fn after(shown: &str, words: &str) -> Option<String> {
    shown.split_once(words).map(|(_, rest)| rest.trim_start().to_owned())
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

/// The rows of a table that begin with this word, as words.
fn rows_of(shown: &str, first: &str) -> Vec<Vec<String>> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    shown.lines().map(words).filter(|row| row.first().is_some_and(|word| word == first)).collect()
}

#[track_caller]
fn eventually_eq<T: PartialEq + std::fmt::Debug>(mut seen: impl FnMut() -> T, wanted: T) {
    let mut last = None;
    let held = super::kit::wait(super::kit::PATIENCE, || {
        let now = seen();
        let held = now == wanted;
        last = Some(now);
        held
    });
    assert!(held, "saw {last:?}, wanted {wanted:?}");
}
