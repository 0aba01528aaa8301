//! Two masters, one of them with a slave, and two name servers: what our admin does and tells beside what Java's does
//! with all servers up, one that is silent, one name server gone, and a master gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future::{block_on, zip};
use rocketmq_core::client::RouteError;
use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{Admin, AdminError, Brokers, Client, ClientBuilder, Partial, PushConsumer};
use rocketmq_core::ids::{BrokerName, MessageQueue, Topic};
use rocketmq_core::message::Message;
use rocketmq_core::send::Receipt;
use rocketmq_core::time::UnixMillis;
use rocketmq_core::wire::body::TopicConfig;
use rocketmq_core::wire::request::Boundary;
use rocketmq_testkit::real::{JavaPeer, Options, RealCluster, RealError, StoredMessage, V4};
use serde_json::{Value, json};

use super::beside::{
    BrokerRow, EVER, Essence, alike, brokers, essence, essence_of, javas_route_rows, made, progress_rows, route_rows,
    stats_rows,
};
use super::checks::{Checks, Scope};
use super::kit::{BROKER_CONF, PATIENCE, World, at_once, collect, producer, sorted, wait};
use super::runtimes::{Kill, Live, OnSmol, OnTokio};

/// Of each broker.
const QUEUES: u32 = 2;
const MESSAGES: usize = 12;
/// Sent when nobody consumes any more.
const MORE: usize = 2;
/// Brokers index messages by the second.
const SECONDS: Duration = Duration::from_millis(1_200);
const MASTERS: [&str; 2] = ["broker-a", "broker-b"];
const CLUSTER: &str = "DefaultCluster";

/// Runs on a cluster of its own; what failed.
pub(crate) fn both_runtimes(
    version: &str,
    java: &Arc<JavaPeer>,
    checks: &Arc<Checks>,
) -> Result<Vec<String>, RealError> {
    let begun = Instant::now();
    let [mut one, other] = RealCluster::start_together(MASTERS.map(|name| options(version, name)))?;
    let world = Arc::new(World::new(&one, java, checks));
    let servers = Servers {
        masters: [one.broker_addr(), other.broker_addr()],
        slave: one.slave_addr(),
        names: [one.namesrv(), other.namesrv()].into(),
    };
    let mut failures = Vec::new();
    let begin = [Stage::begin::<OnSmol>, Stage::begin::<OnTokio>].map(|begin| (begin, world.clone(), servers.clone()));
    let mut stages = at_once("topology", begin.into(), &mut failures, |(begin, world, servers)| begin(world, servers));
    // Brokers write down now and then what is committed.
    let offsets = || std::fs::read_to_string(one.dir().join("store/config/consumerOffset.json")).unwrap_or_default();
    let known = |text: &str, stage: &Stage| text.contains(&format!("{}@{}", stage.topic, stage.group));
    wait(PATIENCE, || stages.iter().all(|stage| known(&offsets(), stage)));
    std::thread::sleep(SECONDS);
    one.copy_tables()?;
    one.start_slave()?;
    stages = step(stages, &mut failures, Stage::whole);
    other.suspend_broker();
    stages = step(stages, &mut failures, Stage::silent);
    other.wake_broker();
    one.stop_namesrv(true);
    stages = step(stages, &mut failures, Stage::without_name_server);
    one.stop_broker(true);
    stages = step(stages, &mut failures, Stage::without_master);
    at_once("topology", stages, &mut failures, Stage::end);
    eprintln!("{version}: topology took {:.1?}", begun.elapsed());
    if !failures.is_empty() {
        eprintln!("{}\n{}\n--- Java peer ---\n{}", one.log_tail(), other.log_tail(), java.log_tail());
    }
    Ok(failures)
}

/// A small broker; the first one is to have a slave.
fn options(version: &str, name: &str) -> Options {
    let mut options = Options::new(version).conf("flushConsumerOffsetInterval", "500");
    for (key, value) in BROKER_CONF {
        options = options.conf(key, value);
    }
    options.broker_name = name.to_owned();
    options.slave = name == MASTERS[0];
    options.broker_jvm = ["-Xms64m", "-Xmx256m", "-XX:MaxDirectMemorySize=128m"].map(str::to_owned).into();
    options
}

fn step(stages: Vec<Stage>, failures: &mut Vec<String>, act: impl Fn(&mut Stage) + Sync) -> Vec<Stage> {
    at_once("topology", stages, failures, |mut stage| {
        act(&mut stage);
        stage
    })
}

/// Where everything listens.
#[derive(Clone)]
struct Servers {
    masters: [String; 2],
    /// That of the first master.
    slave: String,
    /// Name servers that are up.
    names: Vec<String>,
}

/// Our admin, and Java's.
struct Stage {
    check: Scope,
    world: Arc<World>,
    servers: Servers,
    /// The name servers that Java's admin is told of.
    javas_names: String,
    name: &'static str,
    v4: bool,
    connect: fn(ClientBuilder) -> (Client, Kill),
    client: Client,
    kill: Kill,
    admin: Admin,
    /// Brokers know it for as long as it is there.
    _consumer: PushConsumer,
    topic: String,
    group: String,
    /// A time before which half of the messages were stored.
    between: i64,
    sent: Vec<Receipt>,
}

impl Stage {
    /// Messages on both masters, and a group that has consumed all but the last.
    fn begin<L: Live>(world: Arc<World>, servers: Servers) -> Self {
        let (client, kill) = L::connect_mortal(world.builder().commit_interval(Duration::from_secs(1)));
        let (topic, group) = (format!("topology_{}", L::NAME), format!("topology_group_{}", L::NAME));
        let check = world.scope::<L>("topology");
        made(&world, &servers.names, &topic, MASTERS.len(), || {
            block_on(client.admin().create_topic(topic.as_str(), QUEUES)).expect("a topic");
        });
        let producer = block_on(producer(&client, &format!("topology_producer_{}", L::NAME)));
        let queues = block_on(client.admin().publish_queues(topic.as_str())).expect("queues");
        let send = |n: usize| {
            // These two keys have the same hash.
            let twin = if n.is_multiple_of(2) { "twin-Aa" } else { "twin-BB" };
            let message = Message::new(topic.as_str(), format!("m{n}")).with_key("all").with_key(format!("key{n}"));
            let queue = queues[n % queues.len()].clone();
            block_on(producer.send_to(message.with_key(twin), queue)).expect("a receipt")
        };
        let mut sent: Vec<_> = (0..MESSAGES / 2).map(send).collect();
        std::thread::sleep(SECONDS);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        std::thread::sleep(SECONDS);
        sent.extend((MESSAGES / 2..MESSAGES).map(send));
        let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
        let consumer = block_on(consumer.start()).expect("a consumer");
        check.eq("all-consumed", block_on(collect(&consumer, MESSAGES)).len(), MESSAGES);
        let committed = || {
            world
                .java
                .offsets(&world.namesrv, &group, &topic)
                .is_ok_and(|rows| rows.iter().map(|row| row.committed.max(0)).sum::<i64>() == MESSAGES as i64)
        };
        check.that("on-both-masters", wait(PATIENCE, committed), ());
        block_on(consumer.suspend());
        sent.extend((MESSAGES..MESSAGES + MORE).map(send));
        Self {
            check,
            v4: world.checks.version() == V4,
            javas_names: world.namesrv.clone(),
            world,
            servers,
            name: L::NAME,
            connect: L::connect_mortal,
            admin: client.admin(),
            client,
            kill,
            _consumer: consumer,
            topic,
            group,
            between: now.as_millis() as i64,
            sent,
        }
    }

    /// Everything is up.
    fn whole(&mut self) {
        self.topics();
        self.cluster();
        self.queues();
        self.messages();
        let check = self.check.step("whole");
        let replicas = self.servers.masters.clone();
        self.figures(&check, &replicas.each_ref().map(String::as_str));
        self.members(&check);
        // The slave, before it is alone.
        let told = |command: &str, at: &str| self.javas_rows(command, &[at]).ok();
        let same = |command: &&str| {
            let master = told(command, &self.servers.masters[0]);
            master.is_some() && master == told(command, &self.servers.slave)
        };
        let copied = || ["topic_stats", "group_progress"].iter().all(same);
        check.that("the-slave-is-as-its-master", wait(Duration::from_secs(90), copied), ());
    }

    /// Topics that we make, and those that Java makes.
    fn topics(&self) {
        let check = self.check.step("topics");
        let make = |name: &str, brokers: Brokers, at: &[&str]| {
            let (ours, theirs) =
                (format!("topology_{name}_{}", self.name), format!("topology_{name}_java_{}", self.name));
            let mut config = TopicConfig::new(ours.as_str(), 3);
            config.write_queue_nums = 2;
            let by: Vec<BrokerName> = at.iter().map(|name| BrokerName::from(*name)).collect();
            made(&self.world, &self.servers.names, &ours, at.len(), || {
                let done = block_on(self.admin.set_topic(&config, &brokers)).expect("a topic");
                check.eq(format!("{name}/made-by"), sorted_by(done.complete()), Ok(by.clone()));
            });
            made(&self.world, &self.servers.names, &theirs, at.len(), || {
                for (_, addr) in MASTERS.iter().zip(&self.servers.masters).filter(|(name, _)| at.contains(name)) {
                    self.java("topic_on", json!({ "topic": theirs, "broker": addr, "read": 3, "write": 2 }));
                }
            });
            self.alike_topics(&check.step(name), &ours, &theirs);
        };
        make("one", Brokers::Named(MASTERS[1].into()), &MASTERS[1..]);
        make("cluster", Brokers::Cluster(CLUSTER.into()), &MASTERS);
        // Where the template is.
        let theirs = format!("topology_java_{}", self.name);
        made(&self.world, &self.servers.names, &theirs, MASTERS.len(), || {
            self.java("topic_by_key", json!({ "topic": theirs, "queues": QUEUES }));
        });
        self.alike_topics(&check.step("template"), &self.topic, &theirs);
    }

    /// Two topics are the same wherever they are, and have the same queues.
    fn alike_topics(&self, check: &Scope, ours: &str, theirs: &str) {
        check.eq("route", self.route(ours), self.route(theirs));
        for (broker, addr) in MASTERS.iter().zip(&self.servers.masters) {
            let config = |topic: &str| self.java("topic_config", json!({ "topic": topic, "broker": addr }));
            check.eq(format!("config-on-{broker}"), config(ours), config(theirs));
        }
        let rows = |queues: Result<Vec<MessageQueue>, AdminError>| {
            let row = |queue: &MessageQueue| json!({ "broker": queue.broker.as_str(), "queue_id": queue.id });
            Value::from(queues.expect("queues").iter().map(row).collect::<Vec<_>>())
        };
        let javas = self.java("queues_of", json!({ "topic": theirs }));
        check.eq("to-write", rows(block_on(self.admin.publish_queues(ours))), javas["publish"].clone());
        check.eq("to-read", rows(block_on(self.admin.queues(ours))), javas["subscribe"].clone());
    }

    /// Brokers, routes and topics, as name servers tell them.
    fn cluster(&self) {
        let check = self.check.step("cluster");
        self.same_cluster(&check);
        let replicas = || self.route(&self.topic).into_iter().map(|row| row.4.len()).collect::<Vec<_>>();
        check.that("a-slave-is-known", wait(PATIENCE, || replicas() == [2, 1]), replicas());
        check.eq("route", self.route(&self.topic), self.javas_route(&self.topic));
        let figures = block_on(self.admin.broker_stats(&Brokers::All)).expect("figures");
        check.eq(
            "figures-of",
            figures.complete().map(|all| all.into_iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>()),
            Ok(MASTERS.map(str::to_owned).to_vec()),
        );
    }

    fn same_cluster(&self, check: &Scope) {
        alike(check, "brokers", || block_on(brokers(&self.admin)), || self.java("cluster_info", json!({})));
        let texts = |topics: Result<Vec<Topic>, AdminError>| {
            json!(sorted(topics.expect("topics").iter().map(ToString::to_string)))
        };
        alike(check, "topics", || texts(block_on(self.admin.topics())), || self.java("topic_list", json!({})));
        let of_cluster = || self.java("topics_of_cluster", json!({ "cluster": CLUSTER }));
        alike(check, "topics-of-cluster", || texts(block_on(self.admin.topics_of(CLUSTER))), of_cluster);
    }

    /// Offsets of the queues of both masters.
    fn queues(&self) {
        let check = self.check.step("queues");
        let queues = block_on(self.admin.queues(self.topic.as_str())).expect("queues");
        check.eq("so-many", queues.len(), QUEUES as usize * MASTERS.len());
        for queue in queues {
            let check = check.step(format!("{}-{}", queue.broker, queue.id));
            for (name, time) in [("before", 1), ("between", self.between), ("after", self.between + 600_000)] {
                let args = json!({ "topic": self.topic, "broker": queue.broker.as_str(), "queue_id": queue.id,
                    "time": time });
                let java = self.java("queue_view", args);
                if name == "before" {
                    let (min, max) = block_on(zip(self.admin.min_offset(&queue), self.admin.max_offset(&queue)));
                    check.eq("min", Some(min.expect("a start").to_wire()), java["min"].as_i64());
                    check.eq("max", Some(max.expect("an end").to_wire()), java["max"].as_i64());
                    let earliest = block_on(self.admin.earliest_store_time(&queue)).expect("a time");
                    check.eq("earliest", earliest.map(|time| time.0), java["earliest"].as_i64());
                }
                for (boundary, key) in [(Boundary::Lower, "lower"), (Boundary::Upper, "upper")] {
                    let found = block_on(self.admin.search_offset_by(&queue, UnixMillis(time), boundary));
                    check.eq(format!("{name}-{key}"), Some(found.expect("an offset").to_wire()), java[key].as_i64());
                }
            }
        }
    }

    /// Messages of both masters, by their ids and keys.
    fn messages(&self) {
        let check = self.check.step("messages");
        for broker in MASTERS {
            let receipt =
                self.sent.iter().find(|receipt| receipt.queue.broker.as_str() == broker).expect("one of each");
            for (kind, id) in [("stored", &receipt.offset_msg_id), ("unique", &receipt.msg_id)] {
                self.view(&check, &format!("{broker}-by-its-{kind}-id"), id);
            }
            let at = receipt.offset_msg_id.parse().expect("an id");
            let found = block_on(self.admin.message_at(at)).expect("an answer");
            check.eq(format!("{broker}-at"), found.as_ref().map(essence), self.javas_view(&receipt.offset_msg_id).ok());
            for (name, range) in [("ever", EVER), ("early", UnixMillis(0)..=UnixMillis(1))] {
                let args = json!({ "topic": self.topic, "key": receipt.msg_id, "begin": range.start().0,
                    "end": range.end().0 });
                let found = block_on(self.admin.query_by_unique_key(self.topic.as_str(), &receipt.msg_id, range));
                let found = found.expect("an answer").complete().expect("all answer");
                let java: Vec<StoredMessage> =
                    serde_json::from_value(self.java("by_unique_key", args)).expect("a list");
                let id = format!("{broker}-by-unique-key-{name}");
                check.eq(
                    &id,
                    found.iter().map(essence).collect::<Vec<_>>(),
                    java.iter().map(essence_of).collect::<Vec<_>>(),
                );
                check.eq(format!("{id}-so-many"), found.len(), usize::from(name == "ever"));
            }
        }
        let every = MESSAGES + MORE;
        let half = |parity: usize| (0..every).filter(|n| n % 2 == parity).count();
        for (name, key, most, begin, end, count) in [
            ("one", "key3", 32, 0, i64::MAX, 1),
            ("all", "all", 32, 0, i64::MAX, every),
            ("early", "all", 32, 0, self.between, MESSAGES / 2),
            ("late", "all", 32, self.between, i64::MAX, MESSAGES / 2 + MORE),
            ("then", "all", 32, 1, 2, 0),
            ("nobody", "nobody", 32, 0, i64::MAX, 0),
            // Of each broker.
            ("few", "all", 2, 0, i64::MAX, 2 * MASTERS.len()),
            ("a-key", "twin-Aa", 32, 0, i64::MAX, half(0)),
            ("its-twin", "twin-BB", 32, 0, i64::MAX, half(1)),
        ] {
            let ours = || self.query(key, most, begin, end);
            check.that(format!("query-{name}"), wait(PATIENCE, || ours().len() == count), ours());
            check.eq(format!("query-{name}-as-java"), ours(), self.javas_query(key, most, begin, end));
        }
    }

    /// How far queues and groups are, as these replicas tell.
    fn figures(&self, check: &Scope, replicas: &[&str]) {
        let stats = block_on(self.admin.topic_stats(self.topic.as_str())).expect("stats");
        check.eq("stats", stats.complete().map(|stats| stats_rows(&stats)), Ok(self.javas_stats(replicas)));
        let progress = || {
            let stats = block_on(self.admin.consume_stats(self.group.as_str(), Some(self.topic.as_str().into())));
            stats.and_then(Partial::complete)
        };
        let rows = progress().map(|stats| progress_rows(&stats));
        check.eq("progress", rows.clone(), Ok(self.javas_progress(replicas)));
        let left = progress().map(|stats| stats.offset_table.0.values().map(|row| row.backlog()).sum::<i64>());
        check.eq("backlog", left, Ok(MORE as i64));
        if !self.v4 {
            // As Java asks for it all at once, which brokers of 4.9 cannot answer.
            let args = json!({ "topic": self.topic, "group": self.group });
            let whole = self.java("whole_stats", args.clone());
            check.eq("stats-of-the-whole", whole, self.javas_stats(replicas));
            let row = |row: &Value| {
                json!({ "topic": row["topic"], "broker": row["broker"], "queue_id": row["queue_id"],
                "end": row["broker_offset"], "committed": row["consumer_offset"], "stored": row["last_timestamp"] })
            };
            let whole = self.java("consume_stats", args);
            let whole: Vec<_> = whole.as_array().expect("rows").iter().map(row).collect();
            check.eq("progress-of-the-whole", rows, Ok(Value::from(whole)));
        }
    }

    /// Who is in the group, and what members say.
    fn members(&self, check: &Scope) {
        let me = self.client.client_id();
        let members = || {
            let known = block_on(self.admin.consumers(self.group.as_str())).ok().and_then(|known| known.value);
            let known = known.map(|known| known.connection_set).unwrap_or_default();
            sorted(known.iter().map(|member| member.client_id.to_string()))
        };
        check.that("members", wait(PATIENCE, || members() == [me.to_string()]), members());
        // Java asks any broker: the slave may not know the member yet.
        let javas = || self.world.online(&self.group).into_iter().map(|known| known.client_id).collect();
        alike(check, "members-as-java", members, javas);
        let groups = block_on(self.admin.groups_of(self.topic.as_str())).expect("groups").complete().expect("all");
        let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
        check.eq("groups", json!(groups), self.java("groups_of_topic", json!({ "topic": self.topic })));
        if !self.v4 {
            let topics = block_on(self.admin.topics_of_group(self.group.as_str())).expect("topics");
            let topics: Vec<_> = topics.complete().expect("all").iter().map(ToString::to_string).collect();
            check.eq("topics", json!(topics), self.java("topics_of_group", json!({ "group": self.group })));
        }
        let info = block_on(self.admin.running_info(self.group.as_str(), me)).expect("a member that tells");
        let own = info.queues.0.keys().filter(|queue| queue.topic.as_str() == self.topic).count();
        check.eq("its-queues", own, QUEUES as usize * MASTERS.len());
    }

    /// The second broker has its connections, and answers nothing.
    fn silent(&mut self) {
        let check = self.check.step("silent");
        let config = TopicConfig::new(format!("topology_silent_{}", self.name), 1);
        let (admin, topic) = (&self.admin, self.topic.as_str());
        let stats = zip(admin.topic_stats(topic), admin.consume_stats(self.group.as_str(), Some(topic.into())));
        let all = Brokers::Cluster(CLUSTER.into());
        let queue = MessageQueue { topic: topic.into(), broker: MASTERS[1].into(), id: 0 };
        let stats = zip(stats, admin.max_offset(&queue));
        let told = zip(admin.set_topic(&config, &Brokers::All), admin.broker_config(&all));
        let begun = Instant::now();
        let (((stats, progress), end), (done, config)) = block_on(zip(stats, told));
        check.below("in-time", begun.elapsed(), Duration::from_secs(15));
        let first = [self.servers.masters[0].as_str()];
        let stats = stats.expect("one answers");
        check.eq("stats", stats_rows(&stats.value), self.javas_stats(&first));
        let progress = progress.expect("one answers");
        check.eq("progress", progress_rows(&progress.value), self.javas_progress(&first));
        let (done, config) = (done.expect("one does"), config.expect("one answers"));
        check.eq("done", done.value, [BrokerName::from(MASTERS[0])]);
        check.eq("config", config.value.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), [MASTERS[0]]);
        for (name, failed) in
            [("stats", stats.failed), ("progress", progress.failed), ("done", done.failed), ("config", config.failed)]
        {
            let named =
                failed.keys().eq([MASTERS[1]]) && failed.values().all(|why| matches!(why, AdminError::Request(_)));
            check.that(format!("{name}-names-it"), named, &failed);
        }
        check.that("no-offset-of-it", matches!(end, Err(AdminError::Request(_))), &end);
    }

    /// The first name server is gone.
    fn without_name_server(&mut self) {
        let gone = self.servers.names.remove(0);
        let check = self.check.step("without-name-server");
        self.same_cluster(&check);
        check.eq("route", self.route(&self.topic), self.javas_route(&self.topic));
        // Whichever a client asks first.
        for n in 0..3 {
            let (client, kill) = (self.connect)(self.world.builder());
            let seen = block_on(brokers(&client.admin()));
            check.eq(format!("client-{n}"), seen, self.java("cluster_info", json!({})));
            block_on(client.shutdown());
            kill();
        }
        let topic = format!("topology_late_{}", self.name);
        made(&self.world, &self.servers.names, &topic, MASTERS.len(), || {
            let done = block_on(self.admin.set_topic(&TopicConfig::new(topic.as_str(), 1), &Brokers::All));
            let done = sorted_by(done.expect("a topic").complete());
            check.eq("a-topic-by", done, Ok(MASTERS.map(BrokerName::from).to_vec()));
        });
        check.eq("its-queues", block_on(self.admin.queues(topic.as_str())).map(|queues| queues.len()), Ok(2));
        let namespace = format!("TOPOLOGY_{}", self.name);
        let set = block_on(self.admin.set_kv(&namespace, "a", "1")).expect("one does");
        check.eq("a-value-by", set.value, self.servers.names.clone());
        check.that("and-not-by", set.failed.keys().eq([&gone]), &set.failed);
        check.eq("it-is-kept", block_on(self.admin.kv(&namespace, "a")), Ok(Some("1".into())));
        let args = json!({ "namespace": namespace, "key": "a", "namesrv": self.servers.names[0] });
        check.eq("java-sees-it", self.java("kv", args), json!("1"));
    }

    /// The first master is gone, and its slave is not.
    fn without_master(&mut self) {
        let check = self.check.step("without-master");
        let alone = || self.route(&self.topic).first().is_some_and(|row| row.4.keys().eq(["1"]));
        check.that("the-slave-is-alone", wait(PATIENCE, alone), self.route(&self.topic));
        check.eq("route", self.route(&self.topic), self.javas_route(&self.topic));
        alike(&check, "brokers", || block_on(brokers(&self.admin)), || self.java("cluster_info", json!({})));
        let replicas = [self.servers.slave.as_str(), self.servers.masters[1].as_str()];
        // Another one of Java's, which does not keep the route of before for half a minute.
        self.javas_names.clone_from(&self.servers.names[0]);
        self.figures(&check, &replicas);
        self.members(&check);
        let everything = (MESSAGES + MORE, self.javas_query("all", 32, 0, i64::MAX));
        let ours = self.query("all", 32, 0, i64::MAX);
        check.eq("query", (ours.len(), ours), everything);
        let lost = self.sent.iter().find(|receipt| receipt.queue.broker.as_str() == MASTERS[0]).expect("one of each");
        self.view(&check, "by-its-unique-id", &lost.msg_id);
        // Neither asks anybody else for what is stored there.
        let ours = block_on(self.admin.message(self.topic.as_str(), &lost.offset_msg_id));
        check.that("by-its-stored-id", matches!(ours, Ok(None)), &ours);
        let javas = self.javas_view(&lost.offset_msg_id);
        check.that("java-neither", javas.is_err(), &javas);
        let at = lost.offset_msg_id.parse().expect("an id");
        let direct = block_on(self.admin.message_at(at));
        check.that("at-its-place", matches!(direct, Err(AdminError::Request(_))), &direct);

        let no_master = AdminError::NoMaster(MASTERS[0].into());
        let end = block_on(self.admin.max_offset(&lost.queue));
        let refused = matches!(&end, Err(AdminError::Request(_))) || end == Err(no_master.clone());
        check.that("no-offset-without-master", refused, &end);
        let args = json!({ "topic": self.topic, "broker": MASTERS[0], "queue_id": lost.queue.id, "time": 0 });
        let javas = self.try_java("queue_view", args);
        check.that("no-offset-of-java", javas.is_err(), &javas);
        let failed: BTreeMap<_, _> = [(MASTERS[0].to_owned(), no_master.clone())].into();
        let other = vec![BrokerName::from(MASTERS[1])];
        let config = TopicConfig::new(format!("topology_half_{}", self.name), 1);
        for (name, brokers) in [("all", Brokers::All), ("cluster", Brokers::Cluster(CLUSTER.into()))] {
            let done = block_on(self.admin.set_topic(&config, &brokers));
            check.eq(format!("done-on-{name}"), done, Ok(Partial { value: other.clone(), failed: failed.clone() }));
        }
        let none = block_on(self.admin.set_topic(&config, &Brokers::Named(MASTERS[0].into())));
        check.eq("not-done", none, Err(no_master));
        let figures = block_on(self.admin.broker_stats(&Brokers::All)).expect("one answers");
        check.eq("figures", (figures.value.len(), figures.failed), (1, failed));
        let nowhere = block_on(self.admin.topic_stats("topology_nowhere")).unwrap_err();
        check.eq("no-topic-is-no-topic", nowhere, AdminError::Route(RouteError::NoTopic));
    }

    fn end(self) {
        block_on(self.client.shutdown());
        (self.kill)();
    }

    /// What Java's admin shows.
    #[track_caller]
    fn java(&self, command: &str, args: Value) -> Value {
        let mut answer = self.try_java(command, args.clone());
        // Java needs a while to go on to another name server when the one that it asked is gone.
        let lost = |answer: &Result<_, RealError>| {
            answer.as_ref().is_err_and(|error: &RealError| error.to_string().contains("RemotingConnectException"))
        };
        let end = std::time::Instant::now() + PATIENCE;
        while lost(&answer) && std::time::Instant::now() < end {
            std::thread::sleep(SECONDS);
            answer = self.try_java(command, args.clone());
        }
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    fn try_java(&self, command: &str, args: Value) -> Result<Value, RealError> {
        let Value::Object(mut args) = args else { panic!("arguments") };
        args.entry("namesrv").or_insert_with(|| self.javas_names.as_str().into());
        self.world.java.command(command, args)
    }

    fn route(&self, topic: &str) -> Vec<BrokerRow> {
        block_on(self.admin.topic_route(topic)).map(|route| route_rows(&route)).unwrap_or_default()
    }

    fn javas_route(&self, topic: &str) -> Vec<BrokerRow> {
        javas_route_rows(self.world.java.topic_route(&self.world.namesrv, topic).expect("a route"))
    }

    fn view(&self, check: &Scope, name: &str, id: &str) {
        let found = || block_on(self.admin.message(self.topic.as_str(), id)).expect("an answer");
        check.that(format!("{name}-is-found"), wait(PATIENCE, || found().is_some()), id);
        check.eq(name, found().as_ref().map(essence), self.javas_view(id).ok());
    }

    fn javas_view(&self, id: &str) -> Result<Essence, RealError> {
        let java = self.try_java("view_at", json!({ "topic": self.topic, "msg_id": id }))?;
        Ok(essence_of(&serde_json::from_value(java).expect("a message")))
    }

    fn query(&self, key: &str, most: u32, begin: i64, end: i64) -> Vec<Essence> {
        let range = UnixMillis(begin)..=UnixMillis(end);
        let found = block_on(self.admin.query(self.topic.as_str(), key, most, range)).expect("an answer");
        sorted(found.complete().expect("all answer").iter().map(essence))
    }

    fn javas_query(&self, key: &str, most: u32, begin: i64, end: i64) -> Vec<Essence> {
        let args = json!({ "topic": self.topic, "key": key, "begin": begin, "end": end, "max": most });
        let found: Vec<StoredMessage> = serde_json::from_value(self.java("query_messages", args)).expect("messages");
        sorted(found.iter().map(essence_of))
    }

    /// What these replicas tell Java, put together.
    fn javas_rows(&self, command: &str, replicas: &[&str]) -> Result<Value, RealError> {
        let mut rows = Vec::new();
        for addr in replicas {
            let args = json!({ "topic": self.topic, "group": self.group, "broker": addr });
            rows.extend(self.try_java(command, args)?.as_array().expect("rows").clone());
        }
        Ok(Value::from(rows))
    }

    fn javas_stats(&self, replicas: &[&str]) -> Value {
        self.javas_rows("topic_stats", replicas).expect("stats")
    }

    fn javas_progress(&self, replicas: &[&str]) -> Value {
        self.javas_rows("group_progress", replicas).expect("progress")
    }
}

/// The brokers that did it, by name.
fn sorted_by(done: Result<Vec<BrokerName>, AdminError>) -> Result<Vec<BrokerName>, AdminError> {
    done.map(sorted)
}
