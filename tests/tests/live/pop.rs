//! Popping: brokers share the messages of a group out one by one, to this client and to Java. A broker of 4.x knows
//! nothing of it, and the group pulls.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rocketmq_core::client::ClientEvent;
use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{AdminError, Client, Delivery, Partial, PushConsumer};
use rocketmq_core::ids::Topic;
use rocketmq_core::message::Message;
use rocketmq_core::wire::body::MessageMode;
use rocketmq_testkit::real::{ConsumedMessage, ConsumerSpec, ProducerSpec, SendSpec, V4};

use super::kit::{
    Got, PATIENCE, World, before, collect, drain, eventually, extra, producer, receipts, receive, send_all, sleep,
    sorted,
};
use super::runtimes::Live;

/// The least that a broker hides messages for.
const INVISIBLE: Duration = Duration::from_secs(5);
/// How long after that a broker of 5.4.0 may take to store a message again.
const REVIVED_IN: Duration = Duration::from_secs(20);

pub(crate) async fn scenario<L: Live>(world: &World) {
    let check = world.scope::<L>("pop");
    let (topic, group) = (format!("pop_{}", L::NAME), format!("pop_group_{}", L::NAME));
    world.topic(&topic, 4);
    let client = world.client::<L>().await;
    let mode = client.admin().set_request_mode(group.as_str(), topic.as_str(), MessageMode::Pop, 0).await;
    if world.checks.version() == V4 {
        let refused = matches!(mode, Err(AdminError::Broker { code: 3, .. }));
        check.that("an-old-broker-refuses-the-mode", refused, mode);
        return pulls_instead::<L>(world, &client, &group, &topic).await;
    }
    let set_on = mode.and_then(Partial::complete);
    check.eq("the-mode-is-set", set_on, Ok(vec![world.broker_name.as_str().into()]));
    shares::<L>(world, &client, &group, &topic).await;
    retries::<L>(world, &client).await;
    slow_handlers::<L>(world, &client).await;
    deaths::<L>(world, &client).await;
    client.shutdown().await;
}

/// A group at a broker that knows nothing of popping pulls.
async fn pulls_instead<L: Live>(world: &World, client: &Client, group: &str, topic: &str) {
    let check = world.scope::<L>("pop").step("instead");
    let mut events = client.events();
    let consumer = start(client, group, topic).await;
    let producer = producer(client, "pop_producer").await;
    receipts(send_all(&producer, 4, numbered(topic, "old", 20)).await);
    let got = collect(&consumer, 20).await;
    check.eq("all-come", texts(&got), expected("old", 20));
    check.eq("none-is-a-redelivery", got.iter().map(|got| got.times).sum::<i32>(), 0);
    let unsupported = |event: &ClientEvent| matches!(event, ClientEvent::PopUnsupported { topic: known, .. } if known.as_str() == topic);
    let told = drain(&mut events);
    check.eq("that-is-told-once", told.iter().filter(|event| unsupported(event)).count(), 1);
    check.eq("nothing-unsettled", consumer.shutdown().await.unsettled, 0);
    check.eq("offsets-are-committed", world.offsets(group, topic), (20, 20));
    client.shutdown().await;
}

/// Two members of this client, and Java: each message goes to one of them.
async fn shares<L: Live>(world: &World, client: &Client, group: &str, topic: &str) {
    let check = world.scope::<L>("pop").step("share");
    let mut events = client.events();
    let consumer = start(client, group, topic).await;
    let java_producer = format!("pop_java_producer_{}", L::NAME);
    let spec = ProducerSpec::new(&java_producer, &world.namesrv, "pop_java_producers");
    world.java.start_producer(&spec).expect("a producer");
    world.java.send(&SendSpec::new(&java_producer, topic, "java ", 12)).expect("sent");
    let got = collect(&consumer, 12).await;
    check.eq("what-java-sent-comes", texts(&got), sorted((0..12).map(|n| format!("java {n}"))));
    check.that("from-real-queues", got.iter().all(|got| (0..4).contains(&got.queue_id)), &got);
    check.eq(
        "of-the-topic",
        got.iter().map(|got| got.topic.clone()).collect::<BTreeSet<_>>(),
        BTreeSet::from([topic.to_owned()]),
    );
    let online = world.online(group);
    let ids: Vec<_> = online.iter().map(|one| one.client_id.clone()).collect();
    check.eq("java-tools-see-the-member", ids, vec![client.client_id().to_string()]);
    check.eq("nothing-comes-twice", extra(&consumer).await, Vec::<String>::new());
    let popped = |event: &ClientEvent| matches!(event, ClientEvent::Rebalanced { added, .. } if added.iter().any(|queue| queue.id == -1));
    check.that("any-queue-is-popped", drain(&mut events).iter().any(popped), ());

    let name = format!("pop_java_{}", L::NAME);
    let spec = ConsumerSpec {
        client_rebalance: Some(false),
        instance: Some(name.clone()),
        heartbeat_ms: Some(2_000),
        ..ConsumerSpec::new(&name, &world.namesrv, group, topic)
    };
    world.java.start_consumer(&spec).expect("a Java consumer");
    let joined = eventually(|| (world.online(group).len() == 2).then_some(())).await;
    check.that("java-joins", joined.is_some(), ());
    let second = world.client::<L>().await;
    let other = start(&second, group, topic).await;
    let producer = producer(client, "pop_producer").await;
    let (mut ours, mut others, mut javas) = (Vec::new(), Vec::new(), Vec::new());
    let end = Instant::now() + PATIENCE;
    let mut sent = 0;
    while Instant::now() < end && (ours.is_empty() || others.is_empty() || javas.is_empty() || sent < 60) {
        let some: Vec<_> = (sent..sent + 10).map(|n| Message::new(topic, format!("flow {n:03}"))).collect();
        receipts(send_all(&producer, 4, some).await);
        sent += 10;
        ours.extend(receive(&consumer, 5, Duration::from_millis(300), Delivery::ack).await);
        others.extend(receive(&other, 5, Duration::from_millis(300), Delivery::ack).await);
        javas.extend(world.java.consumed(&name).expect("consumed"));
    }
    let all = |ours: &[Got], others: &[Got], javas: &[ConsumedMessage]| {
        let texts = ours.iter().chain(others).map(Got::text);
        sorted(texts.chain(javas.iter().map(|got| got.body.clone())))
    };
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end && all(&ours, &others, &javas).len() < sent {
        ours.extend(receive(&consumer, 10, Duration::from_millis(300), Delivery::ack).await);
        others.extend(receive(&other, 10, Duration::from_millis(300), Delivery::ack).await);
        javas.extend(world.java.consumed(&name).expect("consumed"));
    }
    check.that(
        "each-member-gets-some",
        !ours.is_empty() && !others.is_empty() && !javas.is_empty(),
        (ours.len(), others.len(), javas.len()),
    );
    check.eq("together-they-get-all-once", all(&ours, &others, &javas), expected("flow", sent));
    check.eq("members-at-the-broker", world.online(group).len(), 3);
    world.java.stop_consumer(&name).expect("stopped");
    check.eq("ours-leaves/nothing-unsettled", other.shutdown().await.unsettled, 0);
    second.shutdown().await;
    receipts(send_all(&producer, 4, numbered(topic, "last", 10)).await);
    check.eq("the-last-member-gets-all", texts(&collect(&consumer, 10).await), expected("last", 10));
    check.eq("nothing-unsettled", consumer.shutdown().await.unsettled, 0);
    check.that("nobody-is-left", world.online(group).is_empty(), ());

    let again = start(client, group, topic).await;
    sleep(INVISIBLE).await;
    check.eq("nothing-comes-again", extra(&again).await, Vec::<String>::new());
    again.shutdown().await;
}

/// What fails comes again by the retry topic of group and topic, and is a dead letter in the end.
async fn retries<L: Live>(world: &World, client: &Client) {
    let check = world.scope::<L>("pop").step("retry");
    let (topic, group) = popping::<L>(world, client, "retry").await;
    let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
    let consumer = consumer.pop_invisible(INVISIBLE).max_reconsume(2).start().await.expect("a consumer");
    let producer = producer(client, "pop_producer").await;
    let bodies = ["fails", "fails once", "dead", "good"];
    let make = |body: &&'static str| {
        Message::new(topic.as_str(), *body).with_tag("t").with_key(format!("key-of-{body}")).with_property("p", "v")
    };
    receipts(send_all(&producer, 1, bodies.iter().map(make).collect()).await);
    let settle = |delivery: Delivery| {
        let times = delivery.message().reconsume_times();
        match (delivery.message().body().as_ref(), times) {
            (b"fails", _) | (b"fails once", 0) => delivery.suspend(Duration::from_secs(1)),
            (b"dead", _) => delivery.dead_letter(),
            _ => delivery.ack(),
        }
    };
    let got = receive(&consumer, 3 + 2 + 1 + 1, Duration::from_secs(90), settle).await;
    let mut by_body = BTreeMap::<String, Vec<Got>>::new();
    got.iter().for_each(|got| by_body.entry(got.text()).or_default().push(got.clone()));
    let times = |body: &str| by_body.get(body).map(|all| all.iter().map(|got| got.times).collect::<Vec<_>>());
    check.eq("failed-until-dead", times("fails"), Some(vec![0, 1, 2]));
    check.eq("failed-once", times("fails once"), Some(vec![0, 1]));
    check.eq("dead-at-once", times("dead"), Some(vec![0]));
    check.eq("good-once", times("good"), Some(vec![0]));
    for again in got.iter().filter(|got| got.times > 0) {
        check.eq("comes-by-the-retry-topic", &again.from_topic, &format!("%RETRY%{group}_{topic}"));
        check.eq("tells-the-topic-it-was-sent-to", &again.topic, &topic);
        check.eq("keeps-the-tag", again.tag.as_deref(), Some("t"));
        check.eq("keeps-the-property", again.properties.get("p").map(String::as_str), Some("v"));
        check.eq("tells-the-group", again.properties.get("ORIGIN_GROUP"), Some(&group));
        check.that("tells-when-it-first-came", again.properties.contains_key("1ST_POP_TIME"), &again.properties);
    }
    let gap = by_body["fails once"][1].at - by_body["fails once"][0].at;
    check.at_least("waits-as-long-as-asked", gap, Duration::from_secs(1));
    check.below("and-not-much-longer", gap, REVIVED_IN);
    let dlq = format!("%DLQ%{group}");
    let dead = eventually(|| {
        let max = world.java.offsets(&world.namesrv, "nobody", &dlq).ok()?.iter().map(|queue| queue.max).sum::<i64>();
        (max == 2).then_some(max)
    });
    check.eq("two-are-dead", dead.await, Some(2));
    let mourner = client.push_consumer(format!("pop_mourner_{}", L::NAME)).subscribe(dlq.as_str(), "*");
    let mourner = mourner.start_from(StartFrom::First).start().await.expect("a consumer");
    let dead = collect(&mourner, 2).await;
    check.eq("the-dead-can-be-read", sorted(dead.iter().map(Got::text)), sorted(["fails", "dead"].map(str::to_owned)));
    check.that(
        "the-dead-keep-their-keys",
        dead.iter().all(|got| got.keys == [format!("key-of-{}", got.text())]),
        &dead,
    );
    mourner.shutdown().await;
    sleep(INVISIBLE + Duration::from_secs(5)).await;
    check.eq("nothing-more", extra(&consumer).await, Vec::<String>::new());
    check.eq("nothing-unsettled", consumer.shutdown().await.unsettled, 0);
}

/// A handler that takes longer than a message is hidden has it alone all the same.
async fn slow_handlers<L: Live>(world: &World, client: &Client) {
    let check = world.scope::<L>("pop").step("slow");
    let (topic, group) = popping::<L>(world, client, "slow").await;
    let second = world.client::<L>().await;
    let consumer = start(client, &group, &topic).await;
    let other = start(&second, &group, &topic).await;
    let producer = producer(client, "pop_producer").await;
    receipts(send_all(&producer, 1, numbered(&topic, "slow", 2)).await);
    let mut out = Vec::new();
    let end = Instant::now() + PATIENCE;
    while out.len() < 2 && Instant::now() < end {
        for member in [&consumer, &other] {
            out.extend(before(Instant::now() + Duration::from_millis(200), member.next()).await.flatten());
        }
    }
    check.eq("both-come", out.len(), 2);
    check.that("more-time-can-be-asked-for", out[0].extend(Duration::from_secs(30)), ());
    // Three times as long as it was hidden at first.
    sleep(INVISIBLE * 3 + Duration::from_secs(3)).await;
    check.eq("nobody-else-has-them/ours", extra(&consumer).await, Vec::<String>::new());
    check.eq("nobody-else-has-them/the-other", extra(&other).await, Vec::<String>::new());
    out.into_iter().for_each(Delivery::ack);
    sleep(INVISIBLE * 2 + Duration::from_secs(5)).await;
    check.eq("acknowledged-for-good/ours", extra(&consumer).await, Vec::<String>::new());
    check.eq("acknowledged-for-good/the-other", extra(&other).await, Vec::<String>::new());
    check.eq("nothing-unsettled", consumer.shutdown().await.unsettled, 0);
    check.eq("nothing-unsettled/the-other", other.shutdown().await.unsettled, 0);
    second.shutdown().await;
}

/// What a member has when it is killed comes elsewhere once its time is over; what it gives back, at once.
async fn deaths<L: Live>(world: &World, client: &Client) {
    let check = world.scope::<L>("pop").step("death");
    let (topic, group) = popping::<L>(world, client, "death").await;
    // Its runtime is one of its own.
    let mortal = std::thread::scope(|scope| scope.spawn(|| L::connect_mortal(world.builder())).join());
    let (doomed, kill) = mortal.expect("a client that can be killed");
    let victim = start(&doomed, &group, &topic).await;
    let producer = producer(client, "pop_producer").await;
    receipts(send_all(&producer, 1, numbered(&topic, "left", 4)).await);
    let mut out = Vec::new();
    let end = Instant::now() + PATIENCE;
    while let Some(Some(delivery)) = before(end, victim.next()).await {
        out.push(delivery);
        if out.len() == 4 {
            break;
        }
    }
    check.eq("the-victim-has-all", out.len(), 4);
    kill();
    let begun = Instant::now();
    out.into_iter().for_each(std::mem::forget);
    let consumer = start(client, &group, &topic).await;
    let got = collect(&consumer, 4).await;
    check.eq("they-come-elsewhere", texts(&got), expected("left", 4));
    check.that("as-redeliveries", got.iter().all(|got| got.times >= 1), &got);
    check.below("soon-after-they-are-hidden-no-longer", begun.elapsed(), INVISIBLE + REVIVED_IN);

    receipts(send_all(&producer, 1, numbered(&topic, "kept", 8)).await);
    let first = receive(&consumer, 1, PATIENCE, Delivery::ack).await;
    sleep(Duration::from_secs(1)).await;
    check.eq("a-stop-leaves-nothing-unsettled", consumer.shutdown().await.unsettled, 0);
    let begun = Instant::now();
    let next = start(client, &group, &topic).await;
    let got = collect(&next, 7).await;
    check.eq(
        "what-it-had-not-handed-out-comes-again",
        sorted(texts(&got).into_iter().chain(texts(&first))),
        expected("kept", 8),
    );
    check.below("soon", begun.elapsed(), Duration::from_secs(30));
    check.eq("nothing-unsettled", next.shutdown().await.unsettled, 0);
}

/// A topic of a group's own, which is told to pop it.
async fn popping<L: Live>(world: &World, client: &Client, name: &str) -> (String, String) {
    let (topic, group) = (format!("pop_{name}_{}", L::NAME), format!("pop_{name}_group_{}", L::NAME));
    world.topic(&topic, 2);
    let admin = client.admin();
    let set = admin.set_request_mode(group.as_str(), Topic::from(&topic), MessageMode::Pop, 0).await;
    set.expect("the mode is set").complete().expect("on every broker");
    (topic, group)
}

async fn start(client: &Client, group: &str, topic: &str) -> PushConsumer {
    let consumer = client.push_consumer(group).subscribe(topic, "*").start_from(StartFrom::First);
    consumer.pop_invisible(INVISIBLE).start().await.expect("a consumer")
}

fn numbered(topic: &str, word: &str, count: usize) -> Vec<Message> {
    (0..count).map(|n| Message::new(topic, format!("{word} {n:03}"))).collect()
}

fn expected(word: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{word} {n:03}")).collect()
}

fn texts(got: &[Got]) -> Vec<String> {
    sorted(got.iter().map(Got::text))
}
