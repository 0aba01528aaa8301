//! Configurations, lists, figures, name servers and tracks: what our admin tells beside what Java's does, on the same
//! broker.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display};
use std::time::{Duration, Instant};

use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{Admin, AdminError, Brokers, Client, Producer, PushConsumer, UnitTopics};
use rocketmq_core::ids::{BrokerName, MessageQueue, QueueOffset};
use rocketmq_core::message::Message;
use rocketmq_core::send::Receipt;
use rocketmq_core::wire::body::{GroupConfig, TopicConfig};
use rocketmq_testkit::real::V4;
use serde_json::{Value, json};

use super::checks::Scope;
use super::kit::{PATIENCE, World, collect, eventually, producer, receipts, send_all, sleep, sorted};
use super::runtimes::Live;

const QUEUES: u32 = 2;
const MESSAGES: usize = 8;

pub(crate) async fn scenario<L: Live>(world: &World) {
    let it = Tools::start::<L>(world).await;
    it.kept_by_name_servers().await;
    it.settings().await;
    it.configs().await;
    it.lists().await;
    let consumer = it.consumed().await;
    it.views().await;
    it.tracks().await;
    it.work().await;
    it.without_group().await;
    consumer.shutdown().await;
    it.client.shutdown().await;
}

/// What changes the broker for everybody.
pub(crate) fn alone<L: Live>(world: &World) {
    L::block_on(async {
        let it = Tools::start::<L>(world).await;
        if !it.v4 {
            it.pages().await;
        }
        it.log_reads().await;
        it.client.shutdown().await;
    });
}

struct Tools<'w> {
    world: &'w World,
    check: Scope,
    client: Client,
    admin: Admin,
    /// Brokers know it for as long as it is there.
    _producer: Producer,
    brokers: Brokers,
    /// Where the broker is.
    at: String,
    topic: String,
    group: String,
    name: &'static str,
    v4: bool,
    sent: Vec<Receipt>,
}

impl<'w> Tools<'w> {
    async fn start<L: Live>(world: &'w World) -> Self {
        let client = world.client::<L>().await;
        let topic = format!("tools_{}", L::NAME);
        world.topic(&topic, QUEUES);
        let route = eventually(|| world.java.topic_route(&world.namesrv, &topic).ok()).await.expect("a route");
        let producer = producer(&client, &format!("tools_producer_{}", L::NAME)).await;
        let send = |n: usize| {
            Message::new(topic.as_str(), format!("m{n}")).with_tag(if n.is_multiple_of(2) { "A" } else { "B" })
        };
        let sent = receipts(send_all(&producer, 1, (0..MESSAGES).map(send).collect()).await);
        Self {
            world,
            check: world.scope::<L>("admin-tools"),
            admin: client.admin(),
            client,
            _producer: producer,
            brokers: Brokers::Named(world.broker_name.as_str().into()),
            at: route[0].addrs["0"].clone(),
            topic,
            group: format!("tools_group_{}", L::NAME),
            name: L::NAME,
            v4: world.checks.version() == V4,
            sent,
        }
    }

    /// What Java's admin shows.
    fn java(&self, command: &str, args: Value) -> Value {
        let Value::Object(mut args) = args else { panic!("arguments") };
        args.insert("namesrv".into(), self.world.namesrv.as_str().into());
        args.entry("broker").or_insert_with(|| self.at.as_str().into());
        self.world.java.command(command, args).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Checks that both tell the same, as soon as they do: others change things meanwhile.
    async fn alike<F: Future<Output = Value>>(
        &self,
        check: &Scope,
        name: impl Display,
        ours: impl Fn() -> F,
        command: &str,
        args: Value,
    ) {
        let end = Instant::now() + PATIENCE;
        loop {
            let before = self.java(command, args.clone());
            let told = ours().await;
            if told == before || Instant::now() > end {
                return check.eq(name, told, before);
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// What only newer brokers can; old ones say that they cannot.
    fn new_only<T: Debug>(&self, check: &Scope, name: &str, result: Result<T, AdminError>) -> Option<T> {
        if self.v4 {
            let refused = matches!(&result, Err(AdminError::Broker { code: 3, .. }));
            check.that(format!("{name}-is-not-for-4"), refused, &result);
            return None;
        }
        Some(result.unwrap_or_else(|error| panic!("{name}: {error}")))
    }

    async fn kept_by_name_servers(&self) {
        let check = self.check.step("kv");
        let namespace = format!("TOOLS_{}", self.name);
        let args = |key: &str| json!({ "namespace": namespace, "key": key });
        let servers = vec![self.world.namesrv.clone()];
        check.eq("missing", self.admin.kv(&namespace, "a").await, Ok(None));
        check.eq("missing-all", self.admin.kv_list(&namespace).await, Ok(BTreeMap::new()));
        let set = self.admin.set_kv(&namespace, "a", "1;x=é 漢").await.expect("set");
        check.eq("set-by", set.complete(), Ok(servers.clone()));
        check.eq("java-sees-it", self.java("kv", args("a")), json!("1;x=é 漢"));
        self.java("kv_put", json!({ "namespace": namespace, "key": "b", "value": "2" }));
        check.eq("we-see-javas", self.admin.kv(&namespace, "b").await, Ok(Some("2".into())));
        let all = self.admin.kv_list(&namespace).await.expect("a list");
        check.eq("all", json!(all), self.java("kv_list", json!({ "namespace": namespace })));
        check.eq("all-are-two", all.len(), 2);
        let gone = self.admin.delete_kv(&namespace, "a").await.expect("deleted");
        check.eq("deleted-by", gone.complete(), Ok(servers));
        check.eq("java-sees-it-gone", self.java("kv", args("a")), Value::Null);
        check.that("deleted-again", self.admin.delete_kv(&namespace, "a").await.is_ok(), "");

        let check = self.check.step("order");
        check.eq("none", self.admin.order_config(self.topic.as_str()).await, Ok(None));
        let queues: BTreeMap<BrokerName, u32> =
            [(BrokerName::from("broker-x"), 3), (self.world.broker_name.as_str().into(), 2)].into();
        self.admin.set_order_config(self.topic.as_str(), &queues).await.expect("set").complete().unwrap();
        let kept = || self.java("kv", json!({ "namespace": "ORDER_TOPIC_CONFIG", "key": self.topic }));
        let text = format!("{}:2;broker-x:3", self.world.broker_name);
        check.eq("java-sees-it", kept(), json!(text));
        check.eq("so-do-we", self.admin.order_config(self.topic.as_str()).await, Ok(Some(queues)));
        self.java("order_put", json!({ "topic": self.topic, "value": "broker-y:7" }));
        let javas = [(BrokerName::from("broker-y"), 7)].into();
        check.eq("we-see-javas", self.admin.order_config(self.topic.as_str()).await, Ok(Some(javas)));
        self.admin.delete_order_config(self.topic.as_str()).await.expect("deleted").complete().unwrap();
        check.eq("gone", self.admin.order_config(self.topic.as_str()).await, Ok(None));
        check.eq("java-sees-it-gone", kept(), Value::Null);
    }

    async fn settings(&self) {
        let check = self.check.step("settings");
        let config = self.admin.name_server_config().await.expect("a configuration").complete().unwrap();
        check.eq("one-name-server", config.len(), 1);
        let (server, config) = &config[0];
        check.eq("which", server.as_str(), self.world.namesrv.as_str());
        let javas = self.java("names_config", json!({}));
        let javas = javas.as_object().expect("an object");
        check.eq("as-many", config.len(), javas.len());
        for key in ["listenPort", "kvConfigPath", "orderMessageEnable", "serverWorkerThreads"] {
            check.eq(key, config.get(key).map(String::as_str), javas[key].as_str());
        }
        // As it is already.
        let set = self.admin.set_name_server_config("clusterTest", "false").await;
        check.eq("set-by", set.expect("set").complete(), Ok(vec![self.world.namesrv.clone()]));
        let forbidden = self.admin.set_name_server_config("configStorePath", "/tmp/nowhere").await;
        check.that("no-paths", matches!(forbidden, Err(AdminError::Broker { code: 16, .. })), &forbidden);
        let two = self.admin.set_name_server_config("clusterTest", "false\nlistenPort=1").await;
        check.that("one-at-a-time", matches!(two, Err(AdminError::Setting(_))), &two);
        let two = self.admin.set_broker_config("fileReservedTime", "48\nbrokerName=other", &self.brokers).await;
        check.that("one-of-a-broker", matches!(two, Err(AdminError::Setting(_))), &two);
        if !self.v4 {
            let forbidden = self.admin.set_broker_config("brokerConfigPath", "/tmp/nowhere", &self.brokers).await;
            check.that(
                "no-paths-of-brokers",
                matches!(forbidden, Err(AdminError::Broker { code: 16, .. })),
                &forbidden,
            );
        }
    }

    async fn configs(&self) {
        let check = self.check.step("configs");
        let names: Vec<_> = ["one", "other"].iter().map(|which| format!("{}_{which}", self.topic)).collect();
        let mut topics: Vec<_> = names.iter().map(|name| TopicConfig::new(name.as_str(), 3)).collect();
        topics[1].order = true;
        topics[1].attributes = [("message.type".to_owned(), "FIFO".to_owned())].into();
        let done = self.admin.set_topics(&topics, &self.brokers).await;
        if let Some(done) = self.new_only(&check, "several-topics", done) {
            check.eq("topics-by", done.complete(), Ok(vec![self.world.broker_name.as_str().into()]));
            let all = self.admin.topic_configs(&self.brokers).await.expect("topics").complete().unwrap();
            for topic in &topics {
                let shown = all[0].1.get(&topic.topic_name);
                check.eq(format!("set-{}", topic.order), shown, Some(topic));
            }
            let args = json!({ "topic": names[1] });
            let shown = self.java("topic_config", args);
            check.eq("java-sees-attributes", shown["attributes"].clone(), json!({ "message.type": "FIFO" }));
            check.eq("java-sees-order", shown["order"].clone(), json!(true));
        }
        let keys = |tables: rocketmq_core::driver::TopicTables| {
            let tables = tables.complete().expect("one broker");
            json!(sorted(tables[0].1.keys().map(ToString::to_string)))
        };
        let all = || async { keys(self.admin.topic_configs(&self.brokers).await.expect("topics")) };
        self.alike(&check, "all-topics", all, "topic_configs", json!({})).await;
        for special in [false, true] {
            let users = || async { keys(self.admin.user_topic_configs(&self.brokers, special).await.expect("topics")) };
            self.alike(
                &check,
                format!("topics-of-users-{special}"),
                users,
                "user_topics",
                json!({ "special": special }),
            )
            .await;
        }

        let mut groups: Vec<_> =
            ["one", "other"].iter().map(|which| GroupConfig::new(format!("{}_{which}", self.group))).collect();
        groups[1].retry_max_times = 5;
        groups[1].consume_from_min_enable = false;
        let done = self.admin.set_groups(&groups, &self.brokers).await;
        if self.new_only(&check, "several-groups", done).is_none() {
            for group in &groups {
                self.admin.set_group(group, &self.brokers).await.expect("a group").complete().unwrap();
            }
        }
        let shown = self.admin.group_config(groups[1].group_name.clone(), &self.brokers).await;
        let shown = shown.expect("a group").complete().unwrap();
        check.eq("one-group", shown, [(BrokerName::from(self.world.broker_name.as_str()), groups[1].clone())]);
        let javas = self.java("group_whole", json!({ "group": groups[1].group_name.as_str() }));
        let config = &groups[1];
        let ours = json!({ "enable": config.consume_enable, "from_min": config.consume_from_min_enable,
            "broadcast": config.consume_broadcast_enable, "orderly": config.consume_message_orderly,
            "retry_queues": config.retry_queue_nums, "retry_max": config.retry_max_times,
            "broker_id": config.broker_id, "slow_reader": config.which_broker_when_consume_slowly,
            "notify": config.notify_consumer_ids_changed_enable });
        check.eq("java-sees-the-group", javas, ours);
        let keys = |tables: rocketmq_core::driver::GroupTables| {
            let tables = tables.complete().expect("one broker");
            json!(sorted(tables[0].1.keys().map(ToString::to_string)))
        };
        let all = || async { keys(self.admin.group_configs(&self.brokers).await.expect("groups")) };
        self.alike(&check, "all-groups", all, "groups", json!({})).await;
        let users = || async { keys(self.admin.user_group_configs(&self.brokers).await.expect("groups")) };
        self.alike(&check, "groups-of-users", users, "user_groups", json!({})).await;
        for (name, set) in [("may", None), ("may-not", Some(false)), ("still-not", None), ("may-again", Some(true))] {
            let group = groups[0].group_name.clone();
            let told = self.admin.group_may_read(group.clone(), self.topic.as_str(), set, &self.brokers).await;
            let Some(told) = self.new_only(&check, &format!("read-{name}"), told) else { continue };
            let args = json!({ "group": group.as_str(), "topic": self.topic, "set": null });
            check.eq(format!("read-{name}"), json!(told.value[0].1), self.java("may_read", args));
            check.eq(format!("read-so-{name}"), told.value[0].1, !name.ends_with("not"));
        }
    }

    async fn lists(&self) {
        let check = self.check.step("lists");
        let texts = |topics: Vec<rocketmq_core::ids::Topic>| json!(sorted(topics.iter().map(ToString::to_string)));
        // Java asks a broker, too, which the name server names.
        let both = || async {
            let names = self.admin.system_topics().await.expect("topics");
            let own = self.admin.broker_topics(&self.brokers).await.expect("topics").complete().unwrap();
            texts(names.into_iter().chain(own[0].1.clone()).collect())
        };
        let javas = self.java("system_topics", json!({}));
        let ours = both().await;
        let set = |list: &Value| strings(list).into_iter().collect::<BTreeSet<_>>();
        check.eq("system", set(&ours), set(&javas));
        let own = || async { texts(self.admin.broker_topics(&self.brokers).await.expect("topics").value[0].1.clone()) };
        self.alike(&check, "of-the-broker", own, "broker_topics", json!({})).await;
        for (flags, which) in [(1, "own"), (2, "subscribed"), (3, "both")] {
            let mut config = TopicConfig::new(format!("{}_unit_{which}", self.topic), 1);
            config.topic_sys_flag = flags;
            self.admin.set_topic(&config, &self.brokers).await.expect("a topic").complete().unwrap();
            eventually(|| self.world.java.topic_route(&self.world.namesrv, config.topic_name.as_str()).ok()).await;
        }
        for (of, name, wanted) in [
            (UnitTopics::Own, "own", ["own", "both"].as_slice()),
            (UnitTopics::Subscribed, "subscribed", &["subscribed", "both"]),
            (UnitTopics::SubscribedOnly, "subscribed-only", &["subscribed"]),
        ] {
            let ours = || async { texts(self.admin.unit_topics(of).await.expect("topics")) };
            self.alike(&check, name, ours, "unit_topics", json!({ "of": name })).await;
            let told = self.admin.unit_topics(of).await.expect("topics");
            let has = |which: &&str| told.iter().any(|topic| topic.as_str() == format!("{}_unit_{which}", self.topic));
            check.that(format!("{name}-has-them"), wanted.iter().all(has), &told);
        }
    }

    /// A group that has consumed all, and one that had a member.
    async fn consumed(&self) -> PushConsumer {
        let start = |group: String, filter: &'static str| {
            let consumer = self.client.push_consumer(group).subscribe(self.topic.as_str(), filter);
            consumer.start_from(StartFrom::First).start()
        };
        let gone = start(format!("{}_gone", self.group), "A").await.expect("a consumer");
        self.check.eq("half-consumed", collect(&gone, MESSAGES / 2).await.len(), MESSAGES / 2);
        gone.shutdown().await;
        let consumer = start(self.group.clone(), "A").await.expect("a consumer");
        self.check.eq("consumed", collect(&consumer, MESSAGES / 2).await.len(), MESSAGES / 2);
        let done = || {
            let rows = self.world.java.offsets(&self.world.namesrv, &self.group, &self.topic).ok()?;
            (rows.iter().map(|row| row.committed.max(0)).sum::<i64>() == MESSAGES as i64).then_some(())
        };
        self.check.eq("committed", eventually(done).await, Some(()));
        consumer
    }

    async fn views(&self) {
        let check = self.check.step("views");
        let me = self.client.client_id().to_string();
        let producers = || async {
            let known = self.admin.all_producers(&self.brokers).await.expect("producers").complete().unwrap();
            let of = known[0].1.data.iter().filter(|(group, _)| group.as_str().starts_with("tools_"));
            let ids = |(group, known): (&rocketmq_core::ids::Group, &Vec<rocketmq_core::wire::body::ProducerInfo>)| {
                let row = |info: &rocketmq_core::wire::body::ProducerInfo| {
                    format!("{} {} {}", info.client_id, info.language, info.version)
                };
                (group.to_string(), json!(sorted(known.iter().map(row))))
            };
            Value::Object(of.map(ids).collect())
        };
        let end = Instant::now() + PATIENCE;
        let group = format!("tools_producer_{}", self.name);
        loop {
            let ours = producers().await;
            let javas = self.java("all_producers", json!({}));
            if ours[&group] == javas[&group] && !ours[&group].is_null() || Instant::now() > end {
                check.eq("producers", ours[&group].clone(), javas[&group].clone());
                check.that("among-them-ours", ours[&group].to_string().contains(&me), &ours);
                break;
            }
            sleep(Duration::from_millis(200)).await;
        }
        let figures = || async {
            match self.admin.broker_figure("TOPIC_PUT_NUMS", &self.topic, &self.brokers).await {
                Ok(told) => {
                    let told = told.complete().unwrap()[0].1;
                    json!([told.stats_minute.sum, told.stats_hour.sum, told.stats_day.sum])
                }
                Err(error) => json!(error.to_string()),
            }
        };
        let args = json!({ "name": "TOPIC_PUT_NUMS", "key": self.topic });
        self.alike(&check, "figure", figures, "figure", args).await;
        let none = self.admin.broker_figure("TOPIC_PUT_NUMS", "tools_nowhere", &self.brokers).await;
        check.that("no-figure", matches!(none, Err(AdminError::Broker { code: 1, .. })), &none);

        for queue in self.admin.queues(self.topic.as_str()).await.expect("queues") {
            self.entries(&check.step(queue.id), &queue).await;
        }
        let wanted = self.admin.subscription(self.group.as_str(), self.topic.as_str()).await;
        if let Some(wanted) = self.new_only(&check, "subscription", wanted) {
            let wanted = wanted.complete().unwrap().map(|data| data.sub_string);
            let args = json!({ "group": self.group, "topic": self.topic });
            check.eq("subscription", json!(wanted), self.java("subscription", args));
            check.eq("it-is-ours", wanted, Some("A".into()));
        }
        let args = json!({ "group": self.group, "topic": self.topic });
        let spans = || async {
            let told = self.admin.time_spans(self.group.as_str(), self.topic.as_str()).await.expect("spans");
            let row = |span: &rocketmq_core::wire::body::QueueTimeSpan| {
                json!([span.min_time_stamp, span.max_time_stamp, span.consume_time_stamp])
            };
            Value::from(told.complete().unwrap().iter().map(row).collect::<Vec<_>>())
        };
        self.alike(&check, "time-spans", spans, "time_spans", args.clone()).await;
        let stats = || async {
            let told = self.admin.all_consume_stats(false, &self.brokers).await.expect("stats").complete().unwrap();
            let mut rows = Vec::new();
            for topics in
                told[0].1.consume_stats_list.iter().filter_map(|groups| groups.get(&self.group.as_str().into()))
            {
                for stats in topics {
                    let row = |(queue, row): (&MessageQueue, &rocketmq_core::wire::body::Progress)| {
                        let key = format!("{}#{}", queue.topic, queue.id);
                        (key, json!([row.broker_offset, row.consumer_offset]))
                    };
                    rows.push(Value::Object(stats.offset_table.0.iter().map(row).collect()));
                }
            }
            Value::from(rows)
        };
        self.alike(&check, "stats-of-all", stats, "all_stats", args.clone()).await;
        let corrections = || async {
            let told = self.admin.correction_offsets(self.topic.as_str(), self.group.as_str(), &[]).await;
            let rows = told.expect("offsets").complete().unwrap();
            Value::Object(rows.iter().map(|(queue, offset)| (queue.id.to_string(), json!(offset))).collect())
        };
        self.alike(&check, "corrections", corrections, "correction", args).await;
        let status = self.admin.ha_status(&self.brokers).await;
        if let Some(status) = self.new_only(&check, "ha", status) {
            let told = &status.value[0].1;
            let ours = json!({ "master": told.master, "slaves": told.in_sync_slave_nums,
                "links": told.ha_connection_info.len() });
            check.eq("ha-status", ours, self.java("ha_status", json!({})));
        }
    }

    async fn entries(&self, check: &Scope, queue: &MessageQueue) {
        for (name, group) in [("plain", None), ("wanted", Some(self.group.as_str())), ("nobody", Some("tools_nobody"))]
        {
            let told = self.admin.queue_entries(queue, QueueOffset::ZERO, 3, group.map(Into::into)).await;
            let told = told.expect("entries");
            let row = |entry: &rocketmq_core::wire::body::QueueEntry| {
                json!([entry.physic_offset, entry.physic_size, entry.tags_code])
            };
            let ours = json!({ "min": told.min_queue_index, "max": told.max_queue_index,
                "rows": told.queue_data.iter().map(row).collect::<Vec<_>>(),
                "wants": told.subscription_data.map(|data| data.sub_string), "filter": told.filter_data });
            let args = json!({ "topic": self.topic, "queue_id": queue.id, "from": 0, "count": 3, "group": group });
            check.eq(name, ours, self.java("queue_entries", args));
        }
        let after = self.admin.queue_entries(queue, QueueOffset::new(1_000), 3, None).await;
        check.that("after-the-last", matches!(after, Err(AdminError::Unreadable(_))), &after);
    }

    async fn tracks(&self) {
        let check = self.check.step("tracks");
        for (name, index) in [("wanted", 0), ("filtered", 1)] {
            let receipt = &self.sent[index];
            let found = eventually(|| {
                futures_lite::future::block_on(self.admin.message(self.topic.as_str(), &receipt.msg_id)).ok().flatten()
            });
            let found = found.await.expect("a message");
            let ours = || async {
                let told = self.admin.track(&found).await.expect("a track").complete().unwrap();
                Value::Object(told.iter().map(|(group, track)| (group.to_string(), json!(track.to_string()))).collect())
            };
            let args = json!({ "topic": self.topic, "msg_id": receipt.msg_id });
            // Java's admin of 5.4.0 cannot tell how far a group is at a broker of 4.9.
            if !self.v4 {
                self.alike(&check, name, ours, "track", args).await;
            }
            let told = ours().await;
            let wanted = if index == 0 { "CONSUMED" } else { "CONSUMED_BUT_FILTERED" };
            check.eq(format!("{name}-as-it-is"), told[&self.group].clone(), json!(wanted));
            check.eq(
                format!("{name}-by-those-that-left"),
                told[format!("{}_gone", self.group)].clone(),
                json!("NOT_ONLINE"),
            );
        }
    }

    async fn work(&self) {
        let check = self.check.step("work");
        let me = || Ok(vec![BrokerName::from(self.world.broker_name.as_str())]);
        check.eq("queues", self.admin.clean_queues(&self.brokers).await.expect("done").complete(), me());
        check.eq("topics", self.admin.clean_topics(&self.brokers).await.expect("done").complete(), me());
        check.eq("log", self.admin.clean_logs(&self.brokers).await.expect("done").complete(), me());
        check.eq("as-java-does", self.java("clean", json!({})), json!([true, true, true]));
        let mut at: rocketmq_core::wire::message::OffsetMsgId = self.sent[0].offset_msg_id.parse().expect("an id");
        at.physical_offset = i64::MAX / 2;
        let none = self.admin.resume_half_message(Some(self.topic.as_str().into()), at).await;
        check.that("no-half-message", matches!(none, Err(AdminError::Broker { code: 1, .. })), &none);

        let set = self.admin.set_cold_read(self.group.as_str(), 4_096, &self.brokers).await;
        if let Some(set) = self.new_only(&check, "cold", set) {
            check.eq("cold-set", set.complete(), me());
            let told = self.admin.cold_reads(&self.brokers).await.expect("reads").complete().unwrap();
            check.that("cold-told", told[0].1.contains(&self.group), &told);
            let javas = self.java("cold_reads", json!({}));
            check.that("java-sees-the-bound", javas.to_string().contains(&self.group), &javas);
            let gone = self.admin.remove_cold_read(self.group.as_str(), &self.brokers).await;
            check.eq("cold-gone", gone.expect("done").complete(), me());
            let told = self.admin.cold_reads(&self.brokers).await.expect("reads").complete().unwrap();
            check.that("cold-forgotten", !told[0].1.contains(&self.group), &told);
        }
    }

    async fn without_group(&self) {
        let check = self.check.step("missing");
        // A group with a name that may be would be created by 5.x.
        let none = self.admin.group_config("tools nobody", &self.brokers).await;
        check.that("group", matches!(none, Err(AdminError::Broker { code: 26, .. })), &none);
        let nowhere = Brokers::Named("tools-nowhere".into());
        check.eq("broker", self.admin.topic_configs(&nowhere).await, Err(AdminError::NoBroker));
        let spans = self.admin.time_spans(self.group.as_str(), "tools_nowhere").await;
        check.that("topic", matches!(spans, Err(AdminError::Route(_))), &spans);
    }

    /// How the broker reads its log.
    async fn log_reads(&self) {
        let check = self.check.step("log-reads");
        for (name, at_random, mode) in [("at-random", true, "1"), ("ahead", false, "0")] {
            let told = self.admin.set_log_reads(at_random, &self.brokers).await;
            let Some(told) = self.new_only(&check, name, told) else { continue };
            let javas = self.java("log_reads", json!({ "mode": mode }));
            let mine = (BrokerName::from(self.world.broker_name.as_str()), strings(&json!([javas])).remove(0));
            check.eq(name, told.complete(), Ok(vec![mine]));
        }
    }

    /// A broker that tells few rows at a time. Java's admin overlooks the last one when it has a page of its own.
    async fn pages(&self) {
        let check = self.check.step("pages");
        let topics = || async {
            let tables = self.admin.topic_configs(&self.brokers).await.expect("topics").complete().unwrap();
            tables[0].1.keys().map(ToString::to_string).collect::<BTreeSet<_>>()
        };
        let groups = || async {
            let tables = self.admin.group_configs(&self.brokers).await.expect("groups").complete().unwrap();
            tables[0].1.keys().map(ToString::to_string).collect::<BTreeSet<_>>()
        };
        let (all_topics, all_groups) = (topics().await, groups().await);
        check.eq("all", json!(all_topics), self.java("topic_configs", json!({})));
        check.eq("all-groups", json!(all_groups), self.java("groups", json!({})));
        for size in 3..=5 {
            self.admin
                .set_broker_config("splitMetadataSize", &size.to_string(), &self.brokers)
                .await
                .unwrap()
                .complete()
                .unwrap();
            check.eq(format!("topics-by-{size}"), topics().await, all_topics.clone());
            check.eq(format!("groups-by-{size}"), groups().await, all_groups.clone());
        }
        check.that("more-than-a-page", all_topics.len() > 9, all_topics.len());
        self.admin.set_broker_config("splitMetadataSize", "1000", &self.brokers).await.unwrap().complete().unwrap();
    }
}

fn strings(list: &Value) -> Vec<String> {
    serde_json::from_value(list.clone()).expect("a list of texts")
}
