//! Every operation of our admin beside that of Java's, on the same broker.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rocketmq_core::client::RouteError;
use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{Admin, AdminError, Brokers, Client, Partial, Producer};
use rocketmq_core::ids::{QueueOffset, Topic};
use rocketmq_core::message::Message;
use rocketmq_core::send::Receipt;
use rocketmq_core::time::UnixMillis;
use rocketmq_core::wire::body::{GroupConfig, TopicConfig};
use rocketmq_core::wire::request::Boundary;
use rocketmq_testkit::real::{StoredMessage, V4};
use serde_json::{Value, json};

use super::beside::{EVER, brokers, essence, essence_of, progress_rows, stats_rows};
use super::checks::Scope;
use super::kit::{World, collect, eventually, producer, receipts, send_all, sleep, sorted};
use super::runtimes::Live;

const QUEUES: usize = 3;
const MESSAGES: usize = 12;
const SECONDS: Duration = Duration::from_millis(1_500);

pub(crate) async fn scenario<L: Live>(world: &World) {
    let client = world.client::<L>().await;
    let mut it = Compared {
        world,
        check: world.scope::<L>("admin-ops"),
        admin: client.admin(),
        topic: format!("ops_{}", L::NAME),
        group: format!("ops_group_{}", L::NAME),
        v4: world.checks.version() == V4,
        producer: None,
        sent: Vec::new(),
        client,
    };
    it.topics().await;
    it.queues().await;
    it.messages().await;
    it.groups().await;
    it.servers().await;
    it.what_is_not_there().await;
    it.deletes().await;
    it.client.shutdown().await;
}

/// What changes the broker for everybody.
pub(crate) fn alone<L: Live>(world: &World) {
    L::block_on(async {
        let client = world.client::<L>().await;
        let (admin, check) = (client.admin(), world.scope::<L>("admin-ops").step("write-perm"));
        let topic = format!("ops_wiped_{}", L::NAME);
        world.topic(&topic, 1);
        let perm = || world.java.topic_route(&world.namesrv, &topic).expect("a route")[0].perm;
        check.eq("before", perm(), 6);
        check.that("wiped", admin.wipe_write_perm(world.broker_name.as_str()).await.unwrap().is_complete(), "");
        check.eq("java-sees-it-read-only", perm(), 4);
        check.eq("so-do-we", admin.publish_queues(topic.as_str()).await.unwrap(), []);
        check.eq("it-can-be-read", admin.queues(topic.as_str()).await.unwrap().len(), 1);
        check.that("added", admin.add_write_perm(world.broker_name.as_str()).await.unwrap().is_complete(), "");
        check.eq("java-sees-it-back", perm(), 6);
        check.eq("and-so-do-we", admin.publish_queues(topic.as_str()).await.unwrap().len(), 1);
        client.shutdown().await;
    });
}

struct Compared<'w> {
    world: &'w World,
    check: Scope,
    client: Client,
    admin: Admin,
    topic: String,
    group: String,
    v4: bool,
    producer: Option<Producer>,
    sent: Vec<Receipt>,
}

impl Compared<'_> {
    /// What Java's admin shows.
    fn java(&self, command: &str, args: Value) -> Value {
        let Value::Object(mut args) = args else { panic!("arguments") };
        args.insert("namesrv".into(), self.world.namesrv.as_str().into());
        self.world.java.command(command, args).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    fn broker(&self) -> String {
        let route = self.world.java.topic_route(&self.world.namesrv, &self.topic).expect("a route");
        route[0].addrs["0"].clone()
    }

    async fn topics(&mut self) {
        let check = self.check.step("topics");
        let mut config = TopicConfig::new(self.topic.as_str(), QUEUES as u32);
        config.write_queue_nums = 2;
        if !self.v4 {
            config.attributes.insert("message.type".into(), "NORMAL".into());
        }
        let done = self.admin.set_topic(&config, &Brokers::All).await.expect("a topic");
        check.eq("created-by", done.complete(), Ok(vec![self.world.broker_name.as_str().into()]));
        let route =
            eventually(|| self.world.java.topic_route(&self.world.namesrv, &self.topic).ok()).await.expect("a route");
        check.eq("route-read", route[0].read_queues, 3);
        check.eq("route-write", route[0].write_queues, 2);

        let (broker, topic) = (self.broker(), self.topic.clone());
        let shown = self.java("topic_config", json!({ "broker": broker, "topic": topic }));
        let attributes = if self.v4 { json!({}) } else { json!({ "message.type": "NORMAL" }) };
        let wanted = json!({ "read_queues": 3, "write_queues": 2, "perm": 6, "order": false,
            "filter_type": "SINGLE_TAG", "attributes": attributes });
        check.eq("java-sees-what-was-set", shown, wanted);
        match self.admin.topic_config(topic.as_str()).await {
            Ok(ours) => check.eq("so-do-we", ours.value, [(self.world.broker_name.as_str().into(), config.clone())]),
            Err(error) => check.that("so-do-we", self.v4 && error.to_string().contains("351"), error),
        }
        let route = self.admin.topic_route(topic.as_str()).await.expect("a route");
        check.eq("our-route-read", route.queue_datas[0].read_queue_nums, 3);
        check.eq("our-route-broker", route.broker_datas[0].broker_addrs[&0].as_str(), broker.as_str());
        check.eq("queues-to-read", self.admin.queues(topic.as_str()).await.unwrap().len(), 3);
        check.eq("queues-to-write", self.admin.publish_queues(topic.as_str()).await.unwrap().len(), 2);

        config.write_queue_nums = 3;
        // Name servers drop what they are told of a topic when another one changes at the same time.
        let changed = || async {
            let changed = self.admin.set_topic(&config, &Brokers::OfTopic(topic.as_str().into())).await;
            changed.expect("a change").complete().unwrap();
            sleep(SECONDS).await;
            self.admin.publish_queues(topic.as_str()).await.unwrap().len()
        };
        check.eq("after-a-change", until(changed, |queues| *queues == 3).await, 3);

        // Others create topics meanwhile.
        let ours = self.admin.topics().await.expect("topics");
        let javas: BTreeSet<String> = serde_json::from_value(self.java("topic_list", json!({}))).unwrap();
        check.that("topics-are-those-of-java", ours.iter().all(|topic| javas.contains(topic.as_str())), &ours);
        check.that("topics-has-it", ours.contains(&topic.as_str().into()), &ours);
        let ours = self.admin.topics_of("DefaultCluster").await.expect("topics");
        let args = json!({ "cluster": "DefaultCluster" });
        let javas: BTreeSet<String> = serde_json::from_value(self.java("topics_of_cluster", args)).unwrap();
        check.that("those-of-the-cluster", ours.iter().all(|topic| javas.contains(topic.as_str())), &ours);
        check.that("the-cluster-has-it", ours.contains(&topic.as_str().into()), &ours);
    }

    async fn queues(&mut self) {
        let check = self.check.step("queues");
        let producer = producer(&self.client, &format!("{}_producer", self.group)).await;
        let batch = |from: usize| {
            let one = |n: usize| {
                let message = Message::new(self.topic.as_str(), format!("m{n}")).with_tag("T");
                message.with_key(format!("key{n}")).with_key("all")
            };
            (from..from + MESSAGES / 2).map(one).collect::<Vec<_>>()
        };
        self.sent = receipts(send_all(&producer, 1, batch(0)).await);
        // Brokers index messages by the second.
        sleep(SECONDS).await;
        let between = now();
        sleep(SECONDS).await;
        self.sent.extend(receipts(send_all(&producer, 1, batch(MESSAGES / 2)).await));
        self.producer = Some(producer);
        eventually(|| (self.world.offsets(&self.group, &self.topic).1 == MESSAGES as i64).then_some(())).await;
        for queue in self.admin.queues(self.topic.as_str()).await.expect("queues") {
            let check = check.step(queue.id);
            for (name, time) in [("before", 1), ("between", between), ("after", now() + 60_000)] {
                let args =
                    json!({ "topic": self.topic, "broker": queue.broker.as_str(), "queue_id": queue.id, "time": time });
                let java = self.java("queue_view", args);
                if name == "before" {
                    check.eq("min", Some(self.admin.min_offset(&queue).await.unwrap().to_wire()), java["min"].as_i64());
                    check.eq("max", Some(self.admin.max_offset(&queue).await.unwrap().to_wire()), java["max"].as_i64());
                    let earliest = self.admin.earliest_store_time(&queue).await.unwrap().map_or(-1, |time| time.0);
                    check.eq("earliest", Some(earliest), java["earliest"].as_i64());
                }
                for (boundary, key) in [(Boundary::Lower, "lower"), (Boundary::Upper, "upper")] {
                    let found = self.admin.search_offset_by(&queue, UnixMillis(time), boundary).await.unwrap();
                    check.eq(format!("{name}-{key}"), Some(found.to_wire()), java[key].as_i64());
                }
            }
        }
        let stats = self.admin.topic_stats(self.topic.as_str()).await.expect("stats").complete().unwrap();
        check.eq(
            "stats",
            stats_rows(&stats),
            self.java("topic_stats", json!({ "topic": self.topic, "broker": self.broker() })),
        );
    }

    async fn messages(&self) {
        let check = self.check.step("messages");
        let receipt = &self.sent[7];
        for (kind, id) in [("stored", &receipt.offset_msg_id), ("unique", &receipt.msg_id)] {
            let found = until(
                || async { self.admin.message(self.topic.as_str(), id).await.expect("an answer") },
                Option::is_some,
            )
            .await;
            let java = self.java("view_at", json!({ "topic": self.topic, "msg_id": id }));
            let java: StoredMessage = serde_json::from_value(java).expect("a message");
            check.eq(format!("by-its-{kind}-id"), found.as_ref().map(essence), Some(essence_of(&java)));
            check.eq(format!("{kind}-is-the-one"), found.map(|found| found.body().to_vec()), Some(b"m7".to_vec()));
        }
        let of = |key: &str, begin: i64, end: i64| {
            let args = json!({ "topic": self.topic, "key": key, "begin": begin, "end": end });
            let found: Vec<StoredMessage> = serde_json::from_value(self.java("query_messages", args)).unwrap();
            sorted(found.iter().map(essence_of))
        };
        let middle = (self.stored(0).await + self.stored(MESSAGES - 1).await) / 2;
        for (name, key, begin, end, count) in [
            ("one", "key3", 0, i64::MAX, 1),
            ("all", "all", 0, i64::MAX, MESSAGES),
            ("early", "all", 0, middle, MESSAGES / 2),
            ("late", "all", middle, i64::MAX, MESSAGES / 2),
            ("none", "nobody", 0, i64::MAX, 0),
        ] {
            let range = UnixMillis(begin)..=UnixMillis(end);
            let found = until(
                || async {
                    self.admin.query(self.topic.as_str(), key, 32, range.clone()).await.expect("an answer").value
                },
                |found| found.len() == count,
            )
            .await;
            check.eq(format!("query-{name}"), found.len(), count);
            check.eq(format!("query-{name}-as-java"), sorted(found.iter().map(essence)), of(key, begin, end));
        }
        let few = self.admin.query(self.topic.as_str(), "all", 5, EVER).await.unwrap().complete().unwrap();
        check.eq("so-many-at-most", few.len(), 5);
        let unique = self.admin.query_by_unique_key(self.topic.as_str(), &receipt.msg_id, EVER).await.unwrap();
        check.eq("by-unique-key", unique.complete().unwrap().len(), 1);
    }

    async fn stored(&self, index: usize) -> i64 {
        let at = self.sent[index].offset_msg_id.parse().expect("an id");
        self.admin.message_at(at).await.expect("an answer").expect("a message").stored().0
    }

    async fn groups(&self) {
        let check = self.check.step("groups");
        let mut config = GroupConfig::new(self.group.as_str());
        (config.retry_max_times, config.retry_queue_nums) = (3, 2);
        let done = self.admin.set_group(&config, &Brokers::All).await.expect("a group");
        check.eq("created-by", done.complete(), Ok(vec![self.world.broker_name.as_str().into()]));
        let shown = self.java("group_config", json!({ "broker": self.broker(), "group": self.group }));
        let wanted = json!({ "consume_enable": true, "broadcast": true, "retry_queues": 2, "retry_max": 3,
            "notify": true, "slow_reader": 1 });
        check.eq("java-sees-what-was-set", shown, wanted);

        let consumer = self.client.push_consumer(self.group.as_str()).subscribe(self.topic.as_str(), "T || U");
        let consumer = consumer.start_from(StartFrom::First).start().await.expect("a consumer");
        check.eq("all-consumed", collect(&consumer, MESSAGES).await.len(), MESSAGES);
        let members = until(
            || async { self.admin.consumers(self.group.as_str()).await.ok().and_then(|known| known.value) },
            |known| known.as_ref().is_some_and(|known| !known.connection_set.is_empty()),
        )
        .await
        .expect("members");
        let javas = self.world.online(&self.group);
        let ours = members.connection_set.iter().map(|member| {
            let addr = member.client_addr.as_str().to_owned();
            (member.client_id.to_string(), addr, Some(member.language.clone()), member.version)
        });
        let row = |known: &rocketmq_testkit::real::ConnectionInfo| {
            (known.client_id.clone(), known.addr.clone(), known.language.clone(), known.version)
        };
        check.eq("members", sorted(ours), sorted(javas.iter().map(row)));
        let topics: Vec<_> =
            members.subscription_table.values().map(|data| (data.topic.to_string(), data.sub_string.clone())).collect();
        let javas = self.world.java.consumer_subscriptions(&self.world.namesrv, &self.group).unwrap();
        let javas: Vec<_> = javas.into_iter().map(|known| (known.topic, known.expression)).collect();
        check.eq("subscriptions", sorted(topics), sorted(javas));
        consumer.shutdown().await;

        let progress = self.admin.consume_stats(self.group.as_str(), Some(self.topic.as_str().into())).await;
        let progress = progress.expect("progress").complete().unwrap();
        let args = json!({ "group": self.group, "topic": self.topic, "broker": self.broker() });
        check.eq("progress", progress_rows(&progress), self.java("group_progress", args));
        check.eq("no-backlog", progress.offset_table.0.values().map(|row| row.backlog()).sum::<i64>(), 0);
        let nobody = self.admin.consumers(self.group.as_str()).await;
        check.eq("nobody-is-there", nobody.and_then(Partial::complete), Ok(None));

        let groups = self.admin.groups_of(self.topic.as_str()).await.expect("groups").complete().unwrap();
        let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
        check.eq("groups-of-topic", json!(groups), self.java("groups_of_topic", json!({ "topic": self.topic })));
        check.that("its-group-among-them", groups.contains(&self.group), &groups);
        match self.admin.topics_of_group(self.group.as_str()).await {
            Ok(topics) => {
                let topics: Vec<_> = topics.complete().unwrap().iter().map(ToString::to_string).collect();
                check.eq(
                    "topics-of-group",
                    json!(topics),
                    self.java("topics_of_group", json!({ "group": self.group })),
                );
            }
            Err(error) => check.that("topics-of-group", self.v4 && error.to_string().contains("343"), error),
        }
        let producers = self.admin.producers(format!("{}_producer", self.group), self.topic.as_str()).await;
        let javas =
            self.world.java.producer_connections(&self.world.namesrv, &format!("{}_producer", self.group), &self.topic);
        let ours =
            producers.expect("producers").complete().unwrap().into_iter().map(|known| known.client_id.to_string());
        check.eq("producers", sorted(ours), sorted(javas.unwrap().into_iter().map(|known| known.client_id)));

        self.offsets(&check).await;
    }

    async fn offsets(&self, check: &Scope) {
        let other = format!("{}_2", self.group);
        self.admin.set_group(&GroupConfig::new(other.as_str()), &Brokers::All).await.unwrap().complete().unwrap();
        let queues = self.admin.queues(self.topic.as_str()).await.unwrap();
        self.admin.set_committed(other.as_str(), &queues[0], QueueOffset::new(1)).await.expect("a commit");
        check.eq("committed", self.admin.committed(other.as_str(), &queues[0]).await, Ok(Some(QueueOffset::new(1))));
        let of = |group: &str| {
            let rows = self.world.java.offsets(&self.world.namesrv, group, &self.topic).unwrap();
            rows.iter().map(|row| (row.queue_id, row.committed)).collect::<BTreeMap<_, _>>()
        };
        check.eq("java-sees-what-was-set", of(other.as_str()).remove(&queues[0].id), Some(1));
        let cloned = self.admin.clone_offsets(self.group.as_str(), other.as_str(), self.topic.as_str()).await;
        cloned.expect("a clone").complete().unwrap();
        check.eq("cloned-as-java-sees-it", of(&other), of(&self.group));
        check.eq("all-of-it", of(&other).values().sum::<i64>(), MESSAGES as i64);
    }

    async fn servers(&self) {
        let check = self.check.step("servers");
        check.eq("cluster", brokers(&self.admin).await, self.java("cluster_info", json!({})));

        let brokers = Brokers::Named(self.world.broker_name.as_str().into());
        let java = self.java("broker_view", json!({ "broker": self.broker() }));
        let config = self.admin.broker_config(&brokers).await.expect("a configuration").complete().unwrap();
        let config = &config[0].1;
        let javas = java["config"].as_object().expect("an object");
        check.eq("as-many-settings", config.len(), javas.len());
        for key in ["brokerName", "brokerClusterName", "listenPort", "maxMessageSize", "messageDelayLevel", "brokerId"]
        {
            check.eq(format!("setting-{key}"), config.get(key).map(String::as_str), javas[key].as_str());
        }
        let stats = self.admin.broker_stats(&brokers).await.expect("figures").complete().unwrap();
        let ours: Vec<_> = stats[0].1.keys().collect();
        check.eq("figures", json!(ours), java["stats"].clone());
        check.that(
            "its-version",
            stats[0].1["brokerVersionDesc"].starts_with(if self.v4 { "V4_9" } else { "V5_4" }),
            &stats[0].1["brokerVersionDesc"],
        );

        // As it is already.
        let all = Brokers::Cluster("DefaultCluster".into());
        let set = self.admin.set_broker_config("accessMessageInMemoryMaxRatio", "0", &all);
        check.eq("set", set.await.unwrap().complete(), Ok(vec![self.world.broker_name.as_str().into()]));
        let config = self.admin.broker_config(&brokers).await.unwrap().complete().unwrap();
        check.eq("is-set", config[0].1.get("accessMessageInMemoryMaxRatio").map(String::as_str), Some("0"));
    }

    async fn what_is_not_there(&self) {
        let check = self.check.step("missing");
        let nowhere = "ops_nowhere";
        let no_topic = AdminError::Route(RouteError::NoTopic);
        check.eq("route", self.admin.topic_route(nowhere).await.unwrap_err(), no_topic.clone());
        check.eq("queues", self.admin.queues(nowhere).await.unwrap_err(), no_topic.clone());
        check.eq("stats", self.admin.topic_stats(nowhere).await.unwrap_err(), no_topic.clone());
        check.eq("query", self.admin.query(nowhere, "k", 1, EVER).await.unwrap_err(), no_topic.clone());
        check.eq("message", self.admin.message(nowhere, "k").await.unwrap_err(), no_topic);
        let none = self.admin.message(self.topic.as_str(), "0A00020103EE20BCE9FD47BC2E870064").await;
        check.that("id", matches!(none, Ok(None)), none);
        let mut at: rocketmq_core::wire::message::OffsetMsgId = self.sent[0].offset_msg_id.parse().unwrap();
        at.physical_offset = i64::MAX / 2;
        let none = self.admin.message_at(at).await;
        check.that("position", matches!(none, Ok(None)), none);
        let brokers = Brokers::Named("ops-nowhere".into());
        check.eq("broker", self.admin.broker_stats(&brokers).await.unwrap_err(), AdminError::NoBroker);
        let cluster = Brokers::Cluster("ops-nowhere".into());
        check.eq("cluster", self.admin.broker_stats(&cluster).await.unwrap_err(), AdminError::NoBroker);
        let unknown = self.admin.consumers("ops_unknown_group").await.unwrap_err();
        check.eq("group", unknown, AdminError::Route(RouteError::NoTopic));
        let nobody = self.admin.producers("ops_nobody", self.topic.as_str()).await.unwrap_err();
        check.that("producers", matches!(nobody, AdminError::Broker { code: 1, .. }), nobody);
    }

    async fn deletes(&self) {
        let check = self.check.step("deletes");
        let all = Brokers::Cluster("DefaultCluster".into());
        self.admin.delete_group(self.group.as_str(), true, &all).await.expect("deleted").complete().unwrap();
        let shown = self.java("group_config", json!({ "broker": self.broker(), "group": self.group }));
        check.eq("java-sees-no-group", shown, Value::Null);
        let committed = self.world.java.offsets(&self.world.namesrv, &self.group, &self.topic).unwrap();
        check.that("its-offsets-are-gone", committed.iter().all(|row| row.committed <= 0), committed);
        let broker = self.broker();
        let done = self.admin.delete_topic(self.topic.as_str(), &all).await;
        check.eq("deleted-by", done.and_then(|done| done.complete()), Ok(vec![self.world.broker_name.as_str().into()]));
        let shown = self.java("topic_config", json!({ "broker": broker, "topic": self.topic }));
        check.eq("java-sees-no-topic", shown, Value::Null);
        let gone = || async { self.admin.topic_route(self.topic.as_str()).await };
        let gone = until(gone, Result::is_err).await;
        check.eq("it-has-no-route", gone.err(), Some(AdminError::Route(RouteError::NoTopic)));
        check.that(
            "it-is-not-listed",
            !self.admin.topics().await.unwrap().contains(&Topic::from(self.topic.as_str())),
            "",
        );
    }
}

fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

/// Asks until the answer is right; gives the last.
async fn until<T, F: Future<Output = T>>(ask: impl Fn() -> F, right: impl Fn(&T) -> bool) -> T {
    let end = Instant::now() + super::kit::PATIENCE;
    loop {
        let answer = ask().await;
        if right(&answer) || Instant::now() > end {
            return answer;
        }
        sleep(Duration::from_millis(100)).await;
    }
}
