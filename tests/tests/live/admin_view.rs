//! What the official administration tool shows of our consumers, and has them do.
//!
//! A broker of 5.x moves groups by itself and tells members with their next pulls; one of 4.9, and one of 5.x that is
//! told to, has the members do so.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_lite::FutureExt;
use rocketmq_core::client::{ClientEvent, ServerVerdict, StartReason};
use rocketmq_core::config::{Permission, ServerPolicy, StartFrom};
use rocketmq_core::driver::{AdminError, Client, Delivery, EventStream, Partial, PushConsumer, ResetTo};
use rocketmq_core::ids::{ClientId, MessageQueue, QueueOffset};
use rocketmq_core::message::Message;
use rocketmq_core::send::Receipt;
use rocketmq_core::time::UnixMillis;
use rocketmq_core::wire::body::ConsumeResult;
use rocketmq_testkit::real::{V4, V5};
use serde_json::{Value, json};

use super::checks::Scope;
use super::kit::{World, collect, drain, eventually, producer, receipts, send_all, sleep, sorted};
use super::runtimes::Live;

const QUEUES: usize = 2;
const MESSAGES: usize = 10;
/// How often the tool is asked.
const ATTEMPTS: usize = 5;
/// Offsets are committed, and broker caches of members are up to date.
const COMMITTED: Duration = Duration::from_secs(7);

pub(crate) async fn scenario<L: Live>(world: &World) {
    for orderly in [false, true] {
        let mut it = Shown::start::<L>(world, orderly, Permission::Allow).await;
        it.tools(world).await;
        it.handles(world).await;
        it.asks_by_ours(world).await;
        it.client.shutdown().await;
    }
    refuses::<L>(world).await;
    moved::<L>(world, world.checks.version() == V4).await;
}

/// The same of a 5.x broker that has members move themselves. It changes the broker for everybody.
pub(crate) fn pushed<L: Live>(world: &World) {
    if world.checks.version() != V5 {
        return;
    }
    let switch = |on: &str| {
        let args = ["updateBrokerConfig", "-c", "DefaultCluster", "-k", "useServerSideResetOffset", "-v", on];
        let told = world.mqadmin.run(&args).expect("mqadmin");
        assert!(told.contains("success"), "{told}");
    };
    switch("false");
    L::block_on(moved::<L>(world, true));
    switch("true");
}

/// A consumer that has consumed what there is.
struct Shown {
    check: Scope,
    client: Client,
    consumer: PushConsumer,
    events: EventStream,
    id: String,
    topic: String,
    group: String,
    orderly: bool,
    sent: Vec<Receipt>,
}

impl Shown {
    async fn start<L: Live>(world: &World, orderly: bool, direct: Permission) -> Self {
        let mode = if orderly { "orderly" } else { "concurrent" };
        let kind = if direct == Permission::Allow { "open" } else { "closed" };
        let name = format!("admin_{mode}_{kind}_{}", L::NAME);
        Self::named::<L>(world, &name, orderly, direct).await
    }

    async fn named<L: Live>(world: &World, name: &str, orderly: bool, direct: Permission) -> Self {
        let (topic, group) = (name.to_owned(), format!("{name}_group"));
        world.topic(&topic, QUEUES as u32);
        let policy = ServerPolicy { consume_directly: direct, ..ServerPolicy::default() };
        let client = L::connect(world.builder().server_policy(policy)).await.expect("a client");
        let events = client.events();
        let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
        let consumer = if orderly { consumer.orderly() } else { consumer }.start().await.expect("a consumer");
        let producer = producer(&client, &format!("{name}_producer")).await;
        let messages = (0..MESSAGES).map(|n| Message::new(topic.as_str(), format!("m{n}"))).collect();
        let sent = receipts(send_all(&producer, 1, messages).await);
        let check = world.scope::<L>("admin").step(name);
        check.eq("all-consumed", collect(&consumer, MESSAGES).await.len(), MESSAGES);
        sleep(COMMITTED).await;
        let id = client.client_id().to_string();
        Self { check, client, consumer, events, id, topic, group, orderly, sent }
    }

    /// What `mqadmin` shows.
    async fn tools(&self, world: &World) {
        let check = self.check.step("progress");
        let shown = asked(world, &["consumerProgress", "-g", &self.group], "Diff Total").await;
        let rows = rows_of(&shown, &self.topic);
        check.eq("a-row-for-each-queue", rows.len(), QUEUES);
        let numbers = |column: usize| rows.iter().map(|row| row[column].parse::<usize>().unwrap()).sum::<usize>();
        check.eq(
            "brokers",
            rows.iter().map(|row| row[1].as_str()).collect::<Vec<_>>(),
            [world.broker_name.as_str(); QUEUES],
        );
        check.eq("ends", numbers(3), MESSAGES);
        check.eq("consumed-to", numbers(4), MESSAGES);
        check.eq("nothing-left", numbers(5), 0);
        check.that("sum", shown.contains("Diff Total: 0"), &shown);

        let check = self.check.step("status");
        let shown = asked(world, &["consumerStatus", "-g", &self.group, "-i", &self.id], "PROP_NAMESERVER_ADDR").await;
        let property = |key: &str| {
            let line = shown.lines().find(|line| line.split_whitespace().next() == Some(key));
            line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.trim().to_owned())
        };
        for (key, value) in [
            ("PROP_NAMESERVER_ADDR", world.namesrv.as_str()),
            ("PROP_CONSUME_TYPE", "CONSUME_PASSIVELY"),
            ("PROP_CLIENT_VERSION", "V5_3_1"),
            ("PROP_CONSUMEORDERLY", if self.orderly { "true" } else { "false" }),
            ("messageModel", "CLUSTERING"),
            ("consumeFromWhere", "CONSUME_FROM_FIRST_OFFSET"),
            ("allocateMessageQueueStrategy", "AVG"),
            ("consumerGroup", &self.group),
            ("clientId", &self.id),
        ] {
            check.eq(format!("property-{key}"), property(key).as_deref(), Some(value));
        }
        let begun: i64 = property("PROP_CONSUMER_START_TIMESTAMP").unwrap_or_default().parse().unwrap_or_default();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
        check.that("started-a-while-ago", (5_000..600_000).contains(&(now - begun)), now - begun);
        let topics = shown.lines().filter(|line| line.contains("SubExpression: *"));
        check.eq("subscriptions", topics.count(), 2);
        check.that("its-topic-among-them", shown.contains(&format!("Topic: {} ", self.topic)), &shown);
        let rows = rows_of(&shown, &self.topic);
        // Offsets, then queues in detail, then rates.
        check.eq("rows-of-its-topic", rows.len(), 2 * QUEUES + 1);
        let offsets: usize = rows[..QUEUES].iter().map(|row| row[3].parse::<usize>().unwrap()).sum();
        check.eq("offsets", offsets, MESSAGES);
        let detail: Vec<_> = rows[QUEUES..2 * QUEUES].iter().map(|row| row.join(" ")).collect();
        let all = |text: &str| detail.iter().all(|row| row.contains(text));
        check.that("nothing-cached", all("cachedMsgCount=0") && all("cachedMsgSizeInMiB=0"), &detail);
        check.that("nothing-in-hand", all("transactionMsgCount=0") && all("tryUnlockTimes=0"), &detail);
        check.that("locked", all(&format!("locked={}", self.orderly)), &detail);
        check.that("not-dropped", all("droped=false"), &detail);
        check.that("consumed-and-pulled-today", all("lastConsumeTimestamp=20") && all("lastPullTimestamp=20"), &detail);
        let rates: Vec<f64> = rows[2 * QUEUES][1..].iter().map(|number| number.parse().unwrap()).collect();
        check.eq("figures", rates.len(), 6);
        check.that("pulled", rates[0] > 0.0 && rates[1] > 0.0, &rates);
        check.that("consumed", rates[3] > 0.0 && (rates[1] - rates[3]).abs() < 1.0, &rates);
        check.that("nothing-failed", rates[4] == 0.0 && rates[5] == 0.0, &rates);
        let stats = self.consumer.stats().await;
        let ours = stats.topics[&self.topic.as_str().into()];
        check.that("as-we-say-ourselves", (ours.consume_ok_tps - rates[3]).abs() < 1.0, ours);
        let of_topic = || stats.queues.iter().filter(|(queue, _)| queue.topic.as_str() == self.topic);
        check.eq("our-queues", of_topic().count(), QUEUES);
        check.that("our-backlog", of_topic().all(|(_, queue)| queue.backlog() == Some(0)), &stats.queues);

        let check = self.check.step("group");
        let shown = asked(world, &["consumerStatus", "-g", &self.group], "Rebalance OK").await;
        check.that("member", shown.contains(&self.id) && shown.contains("V5_3_1"), &shown);
        check.that("same-subscription", shown.contains("Same subscription in the same group of consumer"), &shown);
        check.that("balanced", shown.contains("Rebalance OK"), &shown);

        let check = self.check.step("connection");
        let shown = asked(world, &["consumerConnection", "-g", &self.group], "ConsumeFromWhere").await;
        let member = shown.lines().find(|line| line.starts_with(&self.id)).unwrap_or_default();
        let member: Vec<_> = member.split_whitespace().collect();
        check.eq("language-and-version", member.get(2..), Some(&["RUST", "V5_3_1"][..]));
        check.that("address", member.get(1).is_some_and(|at| at.starts_with("127.0.0.1:")), &member);
        check.eq("subscribed", rows_of(&shown, &self.topic), [[self.topic.clone(), "*".into()]]);
        for line in [
            "ConsumeType: CONSUME_PASSIVELY",
            "MessageModel: CLUSTERING",
            "ConsumeFromWhere: CONSUME_FROM_FIRST_OFFSET",
        ] {
            check.that(line, shown.contains(line), &shown);
        }
    }

    /// A message that is consumed already is handled once more, because an operator wants that.
    async fn handles(&self, world: &World) {
        let check = self.check.step("direct");
        let id = &self.sent[3].offset_msg_id;
        let mut args = vec!["queryMsgById", "-g", &self.group, "-d", &self.id, "-i", id];
        if world.checks.version() == V5 {
            args.extend(["-t", &self.topic]);
        }
        let (ack, retry): (Settle, Settle) = (Delivery::ack, Delivery::retry);
        let drop: Settle = drop;
        for (name, settle, expected) in
            [("ack", ack, "CR_SUCCESS"), ("retry", retry, "CR_LATER"), ("drop", drop, "CR_LATER")]
        {
            let check = check.step(name);
            let handler = async {
                let delivery = self.consumer.next().await.expect("a delivery");
                let message = delivery.message();
                let seen = (delivery.is_direct(), message.body().to_vec(), message.offset_msg_id());
                check.eq("is-the-message", seen, (true, b"m3".to_vec(), id.clone()));
                check.eq(
                    "place",
                    (message.queue().broker.to_string(), message.topic().to_string()),
                    (world.broker_name.clone(), self.topic.clone()),
                );
                settle(delivery);
                std::future::pending::<String>().await
            };
            let shown = mqadmin(world, &args).or(handler).await;
            check.that("result", shown.contains(&format!("consumeResult={expected}")), &shown);
            check.that("order", shown.contains(&format!("order={}", self.orderly)), &shown);
            check.that("auto-commit", shown.contains("autoCommit=true"), &shown);
        }
        let handler = async {
            let handler = |delivery: Delivery| async move {
                let _in_hand = delivery;
                panic!("a handler that panics")
            };
            self.consumer.run(1, handler).await;
            String::new()
        };
        let shown = mqadmin(world, &args).or(handler).await;
        check.that("a-panic-is-told", shown.contains("consumeResult=CR_THROW_EXCEPTION"), &shown);
        sleep(COMMITTED).await;
        let moved = self.client.admin().committed(self.group.as_str(), &self.sent[3].queue).await;
        check.eq("nothing-is-committed-by-it", moved, Ok(Some(self.end_of(&self.sent[3].queue))));
        let after = self.consumer.next().or(async {
            sleep(Duration::from_secs(3)).await;
            None
        });
        check.that("nothing-comes-back", after.await.is_none(), "a delivery");
    }

    /// The same questions by our own administration.
    async fn asks_by_ours(&mut self, world: &World) {
        let (check, admin) = (self.check.step("ours"), self.client.admin());
        let me = ClientId::from(&self.id);
        let ends: BTreeMap<_, _> =
            self.queues().into_iter().map(|queue| (queue.clone(), self.end_of(&queue))).collect();
        let status = admin.consumer_status(self.group.as_str(), self.topic.as_str(), None).await;
        check.eq(
            "offsets-of-all",
            status.and_then(Partial::complete),
            Ok(BTreeMap::from([(me.clone(), ends.clone())])),
        );
        let status = admin.consumer_status(self.group.as_str(), self.topic.as_str(), Some(me.clone())).await;
        check.eq("offsets-of-one", status.and_then(Partial::complete), Ok(BTreeMap::from([(me.clone(), ends)])));
        let rows = |offsets: &BTreeMap<MessageQueue, QueueOffset>| {
            let row = |(queue, offset): (&MessageQueue, &QueueOffset)| {
                (format!("{}#{}", queue.broker, queue.id), json!(offset.to_wire()))
            };
            Value::Object(offsets.iter().map(row).collect())
        };
        let status = admin.consumer_status(self.group.as_str(), self.topic.as_str(), None).await;
        let status = status.and_then(Partial::complete).expect("offsets");
        let ours = status.iter().map(|(member, offsets)| (member.to_string(), rows(offsets))).collect();
        let args = json!({ "namesrv": world.namesrv, "topic": self.topic, "group": self.group });
        let Value::Object(args) = args else { panic!("arguments") };
        check.eq("offsets-as-java", Ok(Value::Object(ours)), world.java.command("member_offsets", args).map_err(drop));
        let info = admin.running_info(self.group.as_str(), me.clone()).await.expect("an answer");
        let javas = world.java.running_info(&world.namesrv, &self.group, &self.id).expect("an answer");
        // What is as of the moment of each question is there in both.
        let of_the_moment = ["PROP_QUEUE.", "PROP_SHARE.", "PROP_FAILED_UNDER_WAY", "PROP_CLIENT_CACHE"];
        let lasting = |(name, value): (&String, Value)| {
            let value = if of_the_moment.iter().any(|known| name.starts_with(known)) { Value::Null } else { value };
            (name.clone(), value)
        };
        let ours: BTreeMap<_, _> = info.properties.iter().map(|(name, value)| lasting((name, json!(value)))).collect();
        let theirs = javas["properties"].as_object().expect("properties").iter();
        let theirs: BTreeMap<_, _> = theirs.map(|(name, value)| lasting((name, value.clone()))).collect();
        check.eq("properties-as-java", ours, theirs);
        let queues = |queues: Vec<String>| sorted(queues);
        let ours = info.queues.0.keys().map(|queue| format!("{} {} {}", queue.topic, queue.broker, queue.id)).collect();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let javas = javas["queues"].as_array().expect("queues").iter();
        let javas = javas.map(|row| format!("{} {} {}", text(&row["topic"]), text(&row["broker"]), row["queue_id"]));
        check.eq("queues-as-java", queues(ours), queues(javas.collect()));
        check.eq("state", info.queues.0.keys().filter(|queue| queue.topic.as_str() == self.topic).count(), QUEUES);
        check.that("no-stacks", info.jstack.is_none(), &info.jstack);
        let nobody = admin.running_info(self.group.as_str(), "nobody".into()).await;
        let offline = |error: &AdminError| matches!(error, AdminError::Broker { code: 1, remark } if remark.contains("not online"));
        check.that("nobody-is-not-online", nobody.as_ref().is_err_and(offline), &nobody);
        let receipt = &self.sent[0];
        let handler = async {
            self.consumer.next().await.expect("a delivery").ack();
            std::future::pending().await
        };
        let message = receipt.offset_msg_id.parse().expect("an id");
        let result = admin.consume_directly(self.group.as_str(), me, &receipt.queue, message).or(handler).await;
        let result = result.expect("an answer");
        check.eq("handled", (result.consume_result, result.order), (Some(ConsumeResult::Success), self.orderly));
        let mut events = drain(&mut self.events);
        events.retain(
            |event| matches!(event, ClientEvent::ServerRequest { verdict, .. } if *verdict != ServerVerdict::Done),
        );
        check.that("all-that-was-asked-was-done", events.is_empty(), &events);
    }

    fn queues(&self) -> Vec<MessageQueue> {
        let mut queues: Vec<_> = self.sent.iter().map(|receipt| receipt.queue.clone()).collect();
        queues.sort();
        queues.dedup();
        queues
    }

    fn end_of(&self, queue: &MessageQueue) -> QueueOffset {
        let of_queue = self.sent.iter().filter(|receipt| receipt.queue == *queue);
        QueueOffset::new(of_queue.count() as u64)
    }
}

/// Without leave nothing is handled that an operator has handled, and the tool is told why.
async fn refuses<L: Live>(world: &World) {
    let mut it = Shown::start::<L>(world, false, Permission::Deny).await;
    let check = it.check.step("direct");
    let mut args = vec!["queryMsgById", "-g", &it.group, "-d", &it.id, "-i", &it.sent[0].offset_msg_id];
    if world.checks.version() == V5 {
        args.extend(["-t", &it.topic]);
    }
    let handler = async { it.consumer.next().await.map(|delivery| format!("{delivery:?}")).unwrap_or_default() };
    let shown = mqadmin(world, &args).or(handler).await;
    check.that("refused", shown.contains("request type 309 is refused by this client"), &shown);
    let refused = |event: &ClientEvent| {
        matches!(event, ClientEvent::ServerRequest { code: 309, verdict: ServerVerdict::Refused, times: 1, .. })
    };
    let seen = drain(&mut it.events);
    check.that("told-to-the-user", seen.iter().any(refused), &seen);
    it.client.shutdown().await;
}

/// A group is moved back, to a time, and to the end.
async fn moved<L: Live>(world: &World, by_members: bool) {
    let how = if by_members { "pushed" } else { "pulled" };
    let mut it = Shown::named::<L>(world, &format!("admin_moved_{how}_{}", L::NAME), false, Permission::Deny).await;
    let (check, admin) = (it.check.step("moved"), it.client.admin());
    let resets = |events: &mut EventStream| {
        let reset =
            |event: &ClientEvent| matches!(event, ClientEvent::StartPosition { reason: StartReason::Reset, .. });
        drain(events).iter().filter(|event| reset(event)).count()
    };
    resets(&mut it.events);
    let shown = mqadmin(world, &["resetOffsetByTime", "-g", &it.group, "-t", &it.topic, "-s", "0", "-f", "true"]).await;
    let rows = rows_of(&shown, &world.broker_name);
    check.eq("told-where-to", rows.iter().map(|row| row[2].as_str()).collect::<Vec<_>>(), ["0"; QUEUES]);
    check.eq("all-comes-again", collect(&it.consumer, MESSAGES).await.len(), MESSAGES);
    check.eq("by-request", resets(&mut it.events), if by_members { QUEUES } else { 0 });
    let committed = || world.java.offsets(&world.namesrv, &it.group, &it.topic).ok();
    let committed_to = |count: i64| {
        let sum = committed()?.iter().map(|queue| queue.committed.max(0)).sum::<i64>();
        (sum == count).then_some(sum)
    };
    let all = MESSAGES as i64;
    check.eq("and-is-committed-again", eventually(|| committed_to(all)).await, Some(all));

    // By ours: back from before anything was stored, which is the start.
    let back = admin.reset_offsets(it.group.as_str(), it.topic.as_str(), ResetTo::BackTo(UnixMillis(1))).await;
    let back = back.and_then(Partial::complete);
    let starts: BTreeMap<_, _> = it.queues().into_iter().map(|queue| (queue, QueueOffset::ZERO)).collect();
    check.eq("ours-says-where-to", back, Ok(starts));
    check.eq("all-comes-again-by-ours", collect(&it.consumer, MESSAGES).await.len(), MESSAGES);
    check.eq("committed-again-by-ours", eventually(|| committed_to(all)).await, Some(all));

    // To the end, past messages that are being handled: what comes of them counts no more.
    let producer = producer(&it.client, "admin_moved_producer").await;
    let messages = (0..4).map(|n| Message::new(it.topic.as_str(), format!("n{n}"))).collect();
    receipts(send_all(&producer, 1, messages).await);
    let held = it.consumer.next().await.expect("a delivery");
    // What is stored gets to its queue a moment later.
    eventually(|| (world.offsets(&it.group, &it.topic).1 == all + 4).then_some(())).await;
    let end = admin.reset_offsets(it.group.as_str(), it.topic.as_str(), ResetTo::End).await;
    let end = end.and_then(Partial::complete);
    let sum = |moved: &BTreeMap<MessageQueue, QueueOffset>| moved.values().map(|offset| offset.get()).sum::<u64>();
    check.eq("the-end", end.as_ref().map(sum), Ok(MESSAGES as u64 + 4));
    let at_end = || committed_to(all + 4);
    check.eq("committed-at-the-end", eventually(at_end).await, Some(all + 4));
    held.retry();
    sleep(COMMITTED).await;
    // Members that learn of it by their next pull may have committed once more before.
    let stays = if by_members { at_end() } else { eventually(at_end).await };
    check.eq("and-it-stays-there", stays, Some(all + 4));

    // One queue, to one offset.
    let queue = it.queues().remove(0);
    let one = admin.reset_offset(it.group.as_str(), &queue, QueueOffset::new(1)).await;
    if world.checks.version() == V4 {
        check.that("one-queue-is-not-for-4", matches!(one, Err(AdminError::OldBroker { version: 407 })), &one);
    } else {
        check.eq("one-queue", one, Ok(()));
        // One that has members move themselves has them go to the start of every queue.
        if !by_members {
            let at = || committed()?.iter().find(|row| row.queue_id == queue.id && row.committed == 1).map(drop);
            check.eq("java-sees-where-it-is", eventually(at).await, Some(()));
        }
    }
    it.client.shutdown().await;
    let nobody = world.client::<L>().await;
    let offline = nobody.admin().consumer_status(it.group.as_str(), it.topic.as_str(), None).await;
    check.that("no-status-of-nobody", matches!(offline, Err(AdminError::Broker { .. })), &offline);
    nobody.shutdown().await;
}

type Settle = fn(Delivery);

/// Asks the tool until it shows this, since it gives up after a few seconds on a machine that does much else; what it showed
/// last.
async fn asked(world: &World, args: &[&str], wanted: &str) -> String {
    let mut shown = String::new();
    for _ in 0..ATTEMPTS {
        shown = mqadmin(world, args).await;
        if shown.contains(wanted) {
            break;
        }
        eprintln!("mqadmin {args:?} shows no {wanted}: {shown}");
    }
    shown
}

/// Runs the tool beside what else goes on.
async fn mqadmin(world: &World, args: &[&str]) -> String {
    let tool = world.mqadmin.clone();
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let run = move || tool.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    smol::unblock(run).await.expect("mqadmin")
}

/// The rows of a table that begin with this word, as words.
fn rows_of(shown: &str, first: &str) -> Vec<Vec<String>> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    shown.lines().map(words).filter(|row| row.first().is_some_and(|word| word == first)).collect()
}
