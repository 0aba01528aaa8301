//! Every way of sending, with Java's consumer at the other end, and Java's choice of queues beside ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rocketmq_core::config::AutoBatch;
use rocketmq_core::driver::{AdminError, Client, Producer, RecallError};
use rocketmq_core::ids::MessageQueue;
use rocketmq_core::message::{BatchRule, Message, MessageError};
use rocketmq_core::send::{Receipt, SendContext, SendError, SendHook, StoreStatus, Target};
use rocketmq_core::time::UnixMillis;
use rocketmq_core::wire::compress::CompressionKind;
use rocketmq_testkit::real::{ConsumedMessage, ConsumerSpec, ProducerSpec, SendSpec};

use super::checks::Scope;
use super::kit::{PATIENCE, World, producer, receipts, send_all, sleep};
use super::runtimes::Live;

pub(crate) async fn scenario<L: Live>(world: &World) {
    let client = world.client::<L>().await;
    keys::<L>(world, &client).await;
    kinds::<L>(world, &client).await;
    batches::<L>(world, &client).await;
    recall::<L>(world, &client).await;
    hooks_and_bounds::<L>(world, &client).await;
    client.shutdown().await;
}

/// The queue of a key is the one that Java chooses.
async fn keys<L: Live>(world: &World, client: &Client) {
    let check = world.scope::<L>("keys");
    let topic = format!("send_keys_{}", L::NAME);
    world.topic(&topic, 7);
    let name = format!("send_keys_{}", L::NAME);
    world.java.start_producer(&ProducerSpec::new(&name, &world.namesrv, &name)).expect("a Java producer");
    let producer = producer(client, "send_keys").await;
    for key in KEYS {
        let spec = SendSpec { hash_key: Some(key.into()), ..SendSpec::new(&name, &topic, "java ", 1) };
        let theirs = world.java.send(&spec).expect("sent").remove(0);
        let ours = producer.send_by(Message::new(topic.as_str(), "ours"), key).await.expect("a receipt");
        check.eq(format!("queue-of-{key}"), ours.queue.id, theirs.queue_id);
    }
    let mut offsets = Vec::new();
    for n in 0..10 {
        let sent = producer.send_by(Message::new(topic.as_str(), format!("{n}")), "in order").await;
        offsets.push(sent.expect("a receipt").queue_offset.get());
    }
    check.that("one-after-the-other", offsets.is_sorted(), &offsets);
    let chosen = Target::selected(|queues: &[MessageQueue]| queues.len() - 1);
    let last = producer.send_with(Message::new(topic.as_str(), "chosen"), chosen).await.expect("a receipt");
    check.eq("chosen-by-a-function", last.queue.id, 6);
    let none = producer.send_with(Message::new(topic.as_str(), "x"), Target::selected(|queues| queues.len())).await;
    check.eq("no-such-queue", none.map(|_| ()), Err(SendError::NoQueue(topic.as_str().into())));
    world.java.stop_producer(&name).expect("stopped");
}

/// A message of some kind, what it must be like at its consumer, and what its sender knows.
struct Case {
    kind: &'static str,
    message: Message,
    sent: Option<Receipt>,
    /// Properties that it must have.
    properties: Vec<(&'static str, String)>,
    /// Not before so many milliseconds after it was sent, and when that was.
    least: Option<(i64, i64)>,
}

async fn kinds<L: Live>(world: &World, client: &Client) {
    let check = world.scope::<L>("every-way");
    let topic = format!("send_kinds_{}", L::NAME);
    world.topic(&topic, 4);
    let name = format!("send_kinds_{}", L::NAME);
    let spec = ConsumerSpec { instance: Some(name.clone()), ..ConsumerSpec::new(&name, &world.namesrv, &name, &topic) };
    world.java.start_consumer(&spec).expect("a Java consumer");
    let producer = producer(client, "send_kinds").await;
    let mut cases = sent_one_by_one(world, client, &producer, &topic).await;
    cases.extend(sent_later(world, &producer, &topic).await);
    let wanted = cases.len();
    let got = world.java.wait_consumed(&name, wanted, PATIENCE).expect("consumed");
    check.eq("all-are-consumed", got.len(), wanted);
    let by_kind: BTreeMap<_, _> = got.iter().map(|got| (kind_of(got), got)).collect();
    check.eq("each-once", by_kind.len(), wanted);
    for case in &cases {
        let check = check.step(case.kind);
        let seen = by_kind.get(case.kind).copied();
        check.that("consumed", seen.is_some(), by_kind.keys());
        let Some(seen) = seen else { continue };
        as_sent(&check, case, seen);
    }
    world.java.stop_consumer(&name).expect("stopped");
}

fn as_sent(check: &Scope, case: &Case, seen: &ConsumedMessage) {
    check.eq("body", seen.body.as_bytes(), &case.message.body()[..]);
    let found = seen.message.properties.clone().unwrap_or_default();
    for (key, value) in &case.properties {
        check.eq(format!("property-{key}"), found.get(*key), Some(value));
    }
    if let Some(receipt) = &case.sent {
        check.eq("id", &seen.message.msg_id, &receipt.msg_id);
        check.eq("status", receipt.status(), StoreStatus::Stored);
        if case.least.is_none() {
            check.eq("offset-id", &seen.message.offset_msg_id, &receipt.offset_msg_id);
            let place = (receipt.queue.id, receipt.queue_offset.get() as i64);
            check.eq("place", (seen.message.queue_id, seen.message.queue_offset), place);
        }
    }
    if let Some((least, at)) = case.least {
        check.at_least("not-before-its-time", seen.at_ms - at, least);
    }
}

async fn sent_one_by_one(world: &World, client: &Client, producer: &Producer, topic: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let queue = |id| MessageQueue { topic: topic.into(), broker: world.broker_name.as_str().into(), id };
    let make = |kind: &str| Message::new(topic, body(kind, 40)).with_tag("t").with_property("kind", kind);
    let case = |kind: &'static str, message: Message, sent: Option<Receipt>, extra: &[(&'static str, &str)]| {
        let mut properties = vec![("TAGS", "t".to_owned()), ("kind", kind.to_owned())];
        properties.extend(extra.iter().map(|(key, value)| (*key, (*value).to_owned())));
        Case { kind, message, sent, properties, least: None }
    };
    let mut plain = |kind, message: Message, sent, extra: &[_]| cases.push(case(kind, message, sent, extra));

    let sharded = make("key").with_sharding_key("k1");
    let sent = producer.send_by(sharded.clone(), "k1").await.expect("a receipt");
    plain("key", sharded, Some(sent), &[("__SHARDINGKEY", "k1")]);
    let sent = producer.send_to(make("queue"), queue(3)).await.expect("a receipt");
    plain("queue", make("queue"), Some(sent), &[]);
    producer.send_oneway(make("oneway")).await.expect("written");
    plain("oneway", make("oneway"), None, &[]);
    producer.send_oneway_with(make("oneway-key"), Target::of_key("k")).await.expect("written");
    plain("oneway-key", make("oneway-key"), None, &[]);
    let sent = producer.try_send(make("try")).expect("room").await.expect("a receipt");
    plain("try", make("try"), Some(sent), &[]);
    let hurried = make("no-wait").with_wait(false);
    let sent = producer.send(hurried.clone()).await.expect("a receipt");
    // Brokers of 4.x do not store it.
    plain("no-wait", hurried, Some(sent), if is_new(world) { &[("WAIT", "false")] } else { &[] });
    let bought = make("buyer").with_buyer("b7");
    let sent = producer.send(bought.clone()).await.expect("a receipt");
    plain("buyer", bought, Some(sent), &[("BUYER_ID", "b7")]);
    let light = make("light").with_light_queues(["l1", "l2"]);
    let sent = producer.send(light.clone()).await.expect("a receipt");
    plain("light", light, Some(sent), &[("INNER_MULTI_DISPATCH", "%LMQ%l1,%LMQ%l2")]);
    let important = make("priority").with_priority(5);
    let sent = producer.send(important.clone()).await.expect("a receipt");
    plain("priority", important, Some(sent), &[("_SYS_MSG_PRIORITY_", "5")]);

    let compressions = [
        ("zlib", CompressionKind::Zlib, 5),
        ("zlib-fast", CompressionKind::Zlib, 0),
        ("zlib-thorough", CompressionKind::Zlib, 9),
        ("lz4", CompressionKind::Lz4, 5),
        ("zstd", CompressionKind::Zstd, 5),
    ];
    for (kind, compression, level) in compressions {
        let builder = client.producer("send_compressed").compression(compression).compress_level(level);
        let producer = builder.send_timeout(Duration::from_secs(45)).start().await.expect("a producer");
        let message = Message::new(topic, body(kind, 9_000)).with_tag("t").with_property("kind", kind);
        let sent = producer.send(message.clone()).await.expect("a receipt");
        plain(kind, message, Some(sent), &[]);
    }

    let together = client.producer("send_together").auto_batch(AutoBatch::default());
    let together = together.send_timeout(Duration::from_secs(45)).start().await.expect("a producer");
    let messages: Vec<_> = TOGETHER.iter().map(|kind| make(kind)).collect();
    let sent = receipts(send_all(&together, TOGETHER.len(), messages.clone()).await);
    for ((kind, message), sent) in TOGETHER.iter().zip(messages).zip(sent) {
        plain(kind, message, Some(sent), &[]);
    }
    let batch: Vec<_> = BATCH.iter().map(|kind| make(kind)).collect();
    let sent = producer.send_batch(batch.clone()).await.expect("a receipt");
    for ((kind, message), sent) in BATCH.iter().zip(batch).zip(sent.messages) {
        plain(kind, message, Some(sent), &[]);
    }
    cases
}

/// Timers are for brokers from 5.0 on: older ones deliver at once.
async fn sent_later(world: &World, producer: &Producer, topic: &str) -> Vec<Case> {
    let make = |kind: &str| Message::new(topic, body(kind, 40)).with_tag("t").with_property("kind", kind);
    let timers = is_new(world);
    let mut cases = Vec::new();
    let of_timer = |least: i64| if timers { least } else { 0 };
    let at = UnixMillis(now_ms() + 2_500);
    let kinds = [
        ("level", make("level").with_delay_level(1), 950, false),
        ("last-level", make("last-level").with_delay_level(18), 950, false),
        ("delay-seconds", make("delay-seconds").with_delay(Duration::from_secs(2)), of_timer(1_900), timers),
        ("delay-millis", make("delay-millis").with_delay(Duration::from_millis(1_700)), of_timer(900), timers),
        ("deliver-at", make("deliver-at").with_deliver_at(at), of_timer(1_400), timers),
        ("deliver-at-past", make("deliver-at-past").with_deliver_at(UnixMillis(at.0 - 10_000)), 0, false),
        (
            "level-over-timer",
            make("level-over-timer").with_delay(Duration::from_secs(600)).with_delay_level(2),
            950,
            false,
        ),
    ];
    for (kind, message, least, handle) in kinds {
        let sent_at = now_ms();
        let sent = producer.send(message.clone()).await.expect("a receipt");
        assert_eq!(sent.recall_handle.is_some(), handle, "{kind}");
        let properties = vec![("TAGS", "t".to_owned()), ("kind", kind.to_owned())];
        cases.push(Case { kind, message, sent: Some(sent), properties, least: Some((least, sent_at)) });
    }
    cases
}

async fn batches<L: Live>(world: &World, client: &Client) {
    let check = world.scope::<L>("batches");
    let topic = format!("send_batches_{}", L::NAME);
    world.topic(&topic, 2);
    let name = format!("send_batches_{}", L::NAME);
    let spec = ConsumerSpec { instance: Some(name.clone()), ..ConsumerSpec::new(&name, &world.namesrv, &name, &topic) };
    world.java.start_consumer(&spec).expect("a Java consumer");
    let producer = producer(client, "send_batches").await;
    let make =
        |n: usize| Message::new(topic.as_str(), format!("{n}")).with_tag(format!("t{n}")).with_key(format!("k{n}"));
    let queue = MessageQueue { topic: topic.as_str().into(), broker: world.broker_name.as_str().into(), id: 1 };
    let batch = producer.send_batch_with((0..50).map(make).collect(), Target::Queue(queue)).await.expect("a receipt");
    check.eq("status", batch.status(), StoreStatus::Stored);
    check.eq("receipts", batch.messages.len(), 50);
    check.that("queue", batch.messages.iter().all(|one| one.queue.id == 1), &batch.messages[0]);
    let first = batch.messages[0].queue_offset.get();
    let offsets: Vec<_> = batch.messages.iter().map(|one| one.queue_offset.get()).collect();
    check.eq("side-by-side", offsets, (first..first + 50).collect::<Vec<_>>());
    let ids: BTreeSet<_> = batch.messages.iter().map(|one| one.msg_id.clone()).collect();
    check.eq("ids-differ", ids.len(), 50);
    check.eq("no-key-of-the-whole", &batch.batch_key, &None);

    let got = world.java.wait_consumed(&name, 50, PATIENCE).expect("consumed");
    let by_body: BTreeMap<_, _> = got.iter().map(|got| (got.body.clone(), &got.message)).collect();
    check.eq("each-once", by_body.len(), 50);
    for (n, receipt) in batch.messages.iter().enumerate() {
        let seen = by_body[&format!("{n}")];
        let found = seen.properties.clone().unwrap_or_default();
        check.eq("java-sees-the-id", &seen.msg_id, &receipt.msg_id);
        check.eq("java-sees-the-place", (seen.queue_id, seen.queue_offset), (1, offsets_of(receipt)));
        check.eq("java-sees-the-offset-id", &seen.offset_msg_id, &receipt.offset_msg_id);
        check.eq("java-sees-the-tag", found.get("TAGS"), Some(&format!("t{n}")));
        check.eq("java-sees-the-keys", found.get("KEYS"), Some(&format!("k{n}")));
    }
    let view = world.java.view_message(&world.namesrv, &topic, &batch.messages[7].offset_msg_id);
    check.eq(
        "viewed-by-offset-id",
        view.ok().flatten().map(|seen| seen.msg_id),
        Some(batch.messages[7].msg_id.clone()),
    );
    world.java.stop_consumer(&name).expect("stopped");

    let other = format!("send_batches_other_{}", L::NAME);
    let refused = [
        ("empty", Vec::new(), BatchRule::Empty),
        ("two-topics", vec![make(1), Message::new(other, "x")], BatchRule::Topics),
        ("two-waits", vec![make(1), make(2).with_wait(false)], BatchRule::Waits),
        ("delayed", vec![make(1).with_delay_level(1)], BatchRule::Delayed),
        ("retry-topic", vec![Message::new("%RETRY%g", "x")], BatchRule::RetryTopic),
    ];
    for (what, messages, rule) in refused {
        let result = producer.send_batch(messages).await.map(|_| ());
        check.eq(format!("refused-{what}"), result, Err(SendError::Message(MessageError::Batch(rule))));
    }
    let large = producer.send_batch((0..5).map(|_| Message::new(topic.as_str(), vec![b'x'; 1 << 20])).collect()).await;
    check.that("refused-too-large", matches!(large, Err(SendError::Message(MessageError::TooLarge { .. }))), &large);
}

async fn recall<L: Live>(world: &World, client: &Client) {
    let check = world.scope::<L>("recall");
    let topic = format!("send_recall_{}", L::NAME);
    world.topic(&topic, 1);
    let producer = producer(client, "send_recall").await;
    let message = |body: &str| Message::new(topic.as_str(), body.to_owned()).with_delay(Duration::from_secs(6));
    let taken = producer.send(message("taken back")).await.expect("a receipt");
    let kept = producer.send(message("kept")).await.expect("a receipt");
    let Some(handle) = taken.recall_handle.clone() else {
        check.that("no-handle-of-an-old-broker", !is_new(world), &taken);
        return;
    };
    check.that("another-handle-for-another-message", kept.recall_handle != taken.recall_handle, &kept);
    let other = producer.recall("other", &handle).await;
    check.eq("of-another-topic", other, Err(RecallError::OtherTopic(topic.as_str().into())));
    let retry = producer.recall("%RETRY%g", &handle).await;
    check.eq("of-a-retry-topic", retry, Err(RecallError::Topic("%RETRY%g".into())));
    let garbage = producer.recall(topic.as_str(), "no handle").await;
    check.that("no-handle", matches!(garbage, Err(RecallError::Handle(_))), &garbage);
    check.eq("taken-back", producer.recall(topic.as_str(), &handle).await, Ok(taken.msg_id.clone()));
    let name = format!("send_recall_{}", L::NAME);
    let spec = ConsumerSpec { instance: Some(name.clone()), ..ConsumerSpec::new(&name, &world.namesrv, &name, &topic) };
    world.java.start_consumer(&spec).expect("a Java consumer");
    let got = world.java.wait_consumed(&name, 1, PATIENCE).expect("consumed");
    sleep(Duration::from_secs(3)).await;
    let more = world.java.consumed(&name).expect("consumed");
    check.eq(
        "only-the-other-comes",
        got.iter().chain(&more).map(|got| got.body.as_str()).collect::<Vec<_>>(),
        ["kept"],
    );
    let late = producer.recall(topic.as_str(), &kept.recall_handle.unwrap_or_default()).await;
    let refused = matches!(late, Err(RecallError::Request(AdminError::Broker { code: 604, .. })));
    check.that("too-late", refused, &late);
    world.java.stop_consumer(&name).expect("stopped");
    let far = producer.send(Message::new(topic.as_str(), "x").with_delay(Duration::from_secs(300_000))).await;
    check.that("too-far-ahead", matches!(far, Err(SendError::Broker { code: 13, .. })), &far);
}

/// Hears of sends, and refuses some.
#[derive(Default)]
struct Listener {
    heard: Mutex<Vec<String>>,
}

impl SendHook for Listener {
    fn before(&self, context: &SendContext<'_>) -> Result<(), String> {
        let text = String::from_utf8_lossy(context.message.body()).into_owned();
        self.note(format!("before {text}"));
        if text == "forbidden" { Err("not this one".into()) } else { Ok(()) }
    }

    fn after(&self, context: &SendContext<'_>, result: Result<Option<&Receipt>, &SendError>) {
        let text = String::from_utf8_lossy(context.message.body()).into_owned();
        let how = result.map(|receipt| receipt.is_some()).map_err(|_| ());
        self.note(format!("after {text} {how:?}"));
    }
}

impl Listener {
    fn note(&self, what: String) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn hooks_and_bounds<L: Live>(world: &World, client: &Client) {
    let check = world.scope::<L>("producer");
    let topic = format!("send_hooks_{}", L::NAME);
    world.topic(&topic, 2);
    let listener = Arc::new(Listener::default());
    let builder = client.producer("send_hooks").hook(listener.clone()).send_timeout(Duration::from_secs(45));
    let producer = builder.under_way(4, 1 << 20).start().await.expect("a producer");
    let make = |body: &str| Message::new(topic.as_str(), body.to_owned());
    producer.send(make("a")).await.expect("a receipt");
    check.eq("hook-hears", listener.take(), ["before a", "after a Ok(true)"]);
    let refused = producer.send(make("forbidden")).await.map(|_| ());
    check.eq("hook-refuses", refused, Err(SendError::Refused("not this one".into())));
    check.eq("hook-hears-no-end-of-it", listener.take(), ["before forbidden"]);
    producer.send_batch(vec![make("b"), make("c")]).await.expect("a receipt");
    let heard = ["before b", "before c", "after b Ok(true)", "after c Ok(true)"];
    check.eq("hook-hears-of-a-batch", listener.take(), heard);
    producer.send_oneway(make("d")).await.expect("written");
    check.eq("hook-hears-of-one-without-answer", listener.take(), ["before d", "after d Ok(false)"]);

    let under_way: Vec<_> = (0..4).map(|n| producer.try_send(make(&format!("{n}"))).expect("room")).collect();
    let busy = producer.try_send(make("one more"));
    check.that("no-room-for-one-more", busy.is_err(), "there was");
    let back = busy.err().map(|busy| busy.into_message().body().clone());
    check.eq("it-comes-back", back.as_deref(), Some(&b"one more"[..]));
    check.eq("under-way", producer.load().requests, 4);
    for send in under_way {
        send.await.expect("a receipt");
    }
    check.eq("nothing-under-way", producer.load().requests, 0);
    let sent = send_all(&producer, 64, (0..200).map(|n| make(&format!("{n}"))).collect()).await;
    check.eq("all-that-wait-are-sent", receipts(sent).len(), 200);

    let cases: [(&str, Message, Expected); 6] = [
        ("reserved", make("x").with_property("TAGS", "y"), |error| matches!(error, MessageError::Reserved(_))),
        ("blank", make("x").with_property("k", " "), |error| matches!(error, MessageError::Blank(_))),
        ("empty", make(""), |error| matches!(error, MessageError::EmptyBody)),
        ("separator", make("x").with_light_queues(["a/b"]), |error| matches!(error, MessageError::LightQueue(_))),
        ("topic", Message::new("no spaces", "x"), |error| matches!(error, MessageError::Topic(_))),
        ("system", Message::new("SCHEDULE_TOPIC_XXXX", "x"), |error| matches!(error, MessageError::SystemTopic(_))),
    ];
    for (what, message, expected) in cases {
        let result = producer.send(message).await.map(|_| ());
        let refused = matches!(&result, Err(SendError::Message(error)) if expected(error));
        check.that(format!("refused-{what}"), refused, &result);
    }
    dropped::<L>(world, client, &check, &topic).await;
}

/// Whether a message is refused as it should be.
type Expected = fn(&MessageError) -> bool;

/// A send that is given up while it waits for room is not sent.
async fn dropped<L: Live>(world: &World, client: &Client, check: &Scope, topic: &str) {
    let builder = client.producer("send_dropped").under_way(1, 1 << 20).send_timeout(Duration::from_secs(45));
    let producer = builder.start().await.expect("a producer");
    let before = world.java.offsets(&world.namesrv, "send_dropped_g", topic).map(|all| sum(&all));
    let first = producer.try_send(Message::new(topic, "first")).expect("room");
    let second = producer.send(Message::new(topic, "second"));
    let given_up = super::kit::before(Instant::now() + Duration::from_millis(50), second).await;
    check.that("it-waits-for-room", given_up.is_none(), &given_up);
    first.await.expect("a receipt");
    producer.send(Message::new(topic, "third")).await.expect("a receipt");
    check.eq("room-is-given-back", producer.load().requests, 0);
    let after = world.java.offsets(&world.namesrv, "send_dropped_g", topic).map(|all| sum(&all));
    if let (Ok(before), Ok(after)) = (before, after) {
        check.eq("what-was-given-up-is-not-sent", after - before, 2);
    }
}

fn sum(all: &[rocketmq_testkit::real::QueueOffset]) -> i64 {
    all.iter().map(|queue| queue.max).sum()
}

fn offsets_of(receipt: &Receipt) -> i64 {
    receipt.queue_offset.get() as i64
}

fn kind_of(got: &ConsumedMessage) -> &str {
    let found = got.message.properties.as_ref();
    found.and_then(|found| found.get("kind")).map_or("", String::as_str)
}

fn body(kind: &str, len: usize) -> String {
    format!("{kind:.<len$}")
}

fn is_new(world: &World) -> bool {
    world.checks.version().starts_with('5')
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Keys of all sorts: one whose hash is the smallest integer, negative hashes, characters of two units.
const KEYS: [&str; 12] = [
    "polygenelubricants",
    "order-1",
    "order-2",
    "",
    "0",
    "ключ",
    "漢字",
    "🦀",
    "Aa",
    "BB",
    "a much longer key with spaces in it",
    "zzzzzzzz",
];
const BATCH: [&str; 3] = ["batch-0", "batch-1", "batch-2"];
const TOGETHER: [&str; 4] = ["together-0", "together-1", "together-2", "together-3"];
