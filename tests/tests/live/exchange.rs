//! Java at one end and this client at the other, both ways: tags, keys, properties, unicode, compression, filters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{Client, PushConsumer};
use rocketmq_core::message::Message;
use rocketmq_core::send::Receipt;
use rocketmq_testkit::real::{ConsumedMessage, ConsumerSpec, ProducerSpec, SendSpec, Sent};

use super::checks::Scope;
use super::kit::{Got, PATIENCE, World, collect, eventually, extra, producer, receipts, send_all, sorted};
use super::runtimes::Live;

const LARGE: u32 = 6_000;
const TAG: &str = "größe-日本";
const KEYS: &str = "ключ-1 key-2";
const PROPERTIES: [(&str, &str); 3] = [("region", "eu"), ("crab", "🦀"), ("expression", "a=b;c,d\"e\"")];

pub(crate) async fn scenario<L: Live>(world: &World) {
    let client = world.client::<L>().await;
    java_to_us::<L>(world, &client).await;
    us_to_java::<L>(world, &client).await;
    filters::<L>(world, &client).await;
    client.shutdown().await;
}

async fn java_to_us<L: Live>(world: &World, client: &Client) {
    let check = world.scope::<L>("java-to-us");
    let topic = format!("java_to_us_{}", L::NAME);
    world.topic(&topic, 4);
    let consumer = subscribe(client, &format!("java_to_us_group_{}", L::NAME), &topic, "*").await;
    let mut sent = BTreeMap::<String, Sent>::new();
    for kind in ["PLAIN", "ZLIB", "LZ4", "ZSTD"] {
        let name = format!("{kind}-{}", L::NAME);
        let compress_type = (kind != "PLAIN").then(|| kind.to_owned());
        let spec = ProducerSpec {
            compress_type,
            instance: Some(name.clone()),
            ..ProducerSpec::new(&name, &world.namesrv, &format!("java_to_us_{name}"))
        };
        world.java.start_producer(&spec).expect("a Java producer");
        let spec = SendSpec {
            tags: Some(TAG.into()),
            keys: Some(KEYS.into()),
            properties: PROPERTIES.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            body_size: if kind == "PLAIN" { 0 } else { LARGE },
            ..SendSpec::new(&name, &topic, &format!("{kind} ünï "), 20)
        };
        for (n, one) in world.java.send(&spec).expect("sent").into_iter().enumerate() {
            sent.insert(format!("{kind} ünï {n}"), one);
        }
    }
    let batch = SendSpec {
        batch: true,
        tags: Some(TAG.into()),
        ..SendSpec::new(&format!("PLAIN-{}", L::NAME), &topic, "batch ", 10)
    };
    world.java.send(&batch).expect("sent");

    let got = collect(&consumer, sent.len() + 10).await;
    check.eq("all-consumed", got.len(), sent.len() + 10);
    check.eq("nothing-more", extra(&consumer).await, Vec::<String>::new());
    let by_body: BTreeMap<_, _> = got.iter().map(|got| (got.text().trim_end_matches('.').to_owned(), got)).collect();
    check.eq("each-once", by_body.len(), got.len());
    for (body, sent) in &sent {
        let kind = body.split(' ').next().unwrap_or_default().to_lowercase();
        let check = check.step(&kind);
        let seen = by_body.get(body);
        check.that("consumed", seen.is_some(), body);
        let Some(seen) = seen else { continue };
        let size = if kind == "plain" { body.len() } else { LARGE as usize + body.len() - body.chars().count() };
        check.eq("body-size", seen.body.len(), size);
        check.eq("tag", seen.tag.as_deref(), Some(TAG));
        check.eq("keys", seen.keys.join(" "), KEYS);
        for (key, value) in PROPERTIES {
            check.eq(format!("property-{key}"), seen.properties.get(key).map(String::as_str), Some(value));
        }
        check.eq("id", &seen.msg_id, &sent.msg_id);
        check.eq("offset-id", Some(&seen.offset_msg_id), sent.offset_msg_id.as_ref());
        check.eq("place", (seen.queue_id, seen.queue_offset as i64), (sent.queue_id, sent.queue_offset));
    }
    let batch = got.iter().filter(|got| got.text().starts_with("batch ")).map(Got::text);
    check.eq("a-batch-comes-as-its-messages", sorted(batch), sorted((0..10).map(|n| format!("batch {n}"))));
    consumer.shutdown().await;
}

async fn us_to_java<L: Live>(world: &World, client: &Client) {
    let check = world.scope::<L>("us-to-java");
    let topic = format!("us_to_java_{}", L::NAME);
    world.topic(&topic, 4);
    let name = format!("us_to_java_{}", L::NAME);
    let spec = ConsumerSpec { instance: Some(name.clone()), ..ConsumerSpec::new(&name, &world.namesrv, &name, &topic) };
    world.java.start_consumer(&spec).expect("a Java consumer");
    let producer = producer(client, "us_to_java_producer").await;
    let make = |kind: &str, n: usize| {
        let mut body = format!("{kind} ünï {n}");
        if kind == "large" {
            body.extend(std::iter::repeat_n('.', LARGE as usize));
        }
        let message = Message::new(topic.as_str(), body).with_tag(TAG).with_flag(7);
        let message = KEYS.split(' ').fold(message, |message, key| message.with_key(key));
        PROPERTIES.iter().fold(message, |message, (key, value)| message.with_property(*key, *value))
    };
    let messages: Vec<_> = ["small", "large"].iter().flat_map(|kind| (0..20).map(|n| make(kind, n))).collect();
    let sent = receipts(send_all(&producer, 8, messages.clone()).await);
    let delayed = producer.send(make("delayed", 0).with_delay_level(10)).await.expect("a receipt");

    let got = world.java.wait_consumed(&name, 41, PATIENCE).expect("consumed");
    check.eq("all-consumed", got.len(), 41);
    let by_id: BTreeMap<_, _> = got.iter().map(|got| (got.message.msg_id.clone(), got)).collect();
    check.eq("each-once", by_id.len(), 41);
    for (message, receipt) in messages.iter().zip(&sent) {
        let large = message.body().len() > LARGE as usize;
        let check = check.step(if large { "large" } else { "small" });
        let seen = by_id.get(&receipt.msg_id);
        check.that("consumed-under-the-id-of-the-receipt", seen.is_some(), receipt);
        let Some(seen) = seen else { continue };
        check.eq("body", seen.body.as_bytes(), &message.body()[..]);
        check.eq("not-failed", seen.failed, false);
        same_properties(&check, seen);
        check.eq("flag", seen.message.flag, 7);
        check.eq("place", place(seen), (receipt.queue.id, receipt.queue_offset.get() as i64));
        check.eq("offset-id", &seen.message.offset_msg_id, &receipt.offset_msg_id);
        check.eq("travelled-compressed", (seen.message.store_size as usize) < message.body().len(), large);
    }
    let seen = by_id.get(&delayed.msg_id);
    check.that("delayed-comes", seen.is_some(), &delayed);
    if let Some(seen) = seen {
        let after = seen.at_ms - seen.message.born_timestamp;
        check.at_least("delayed-comes-late", after, 3_900);
        same_properties(&check.step("delayed"), seen);
    }
    stored_as_we_say(world, &check, &topic, &sent[0]).await;
    world.java.stop_consumer(&name).expect("stopped");
}

/// What an operator finds by the ids and keys we gave.
async fn stored_as_we_say(world: &World, check: &Scope, topic: &str, receipt: &Receipt) {
    let view = |id: &str| world.java.view_message(&world.namesrv, topic, id).ok().flatten();
    let seen = eventually(|| view(&receipt.msg_id)).await;
    check.eq("viewed-by-id", seen.map(|seen| seen.offset_msg_id), Some(receipt.offset_msg_id.clone()));
    let seen = view(&receipt.offset_msg_id);
    check.eq("viewed-by-offset-id", seen.map(|seen| seen.msg_id), Some(receipt.msg_id.clone()));
    for key in KEYS.split(' ') {
        let query = || world.java.query_key(&world.namesrv, topic, key).ok();
        let found = eventually(|| query().filter(|found| found.len() >= 32)).await.unwrap_or_default();
        let ids: BTreeSet<_> = found.iter().map(|found| found.msg_id.as_str()).collect();
        check.that(format!("found-by-{key}"), ids.len() >= 32, &ids);
    }
}

async fn filters<L: Live>(world: &World, client: &Client) {
    let check = world.scope::<L>("filters");
    let topic = format!("filters_{}", L::NAME);
    world.topic(&topic, 4);
    let producer = producer(client, "filters_producer").await;
    let java_producer = format!("filters_producer_{}", L::NAME);
    let spec = ProducerSpec::new(&java_producer, &world.namesrv, &java_producer);
    world.java.start_producer(&spec).expect("a Java producer");

    // "Aa" and "BB" have the same hash, and that is all a broker compares.
    let tags = [Some("a"), Some("b"), Some("c"), Some("Aa"), Some("BB"), None];
    let mut all = BTreeMap::<String, Option<&str>>::new();
    for tag in tags {
        let text = |who: &str, n: usize| format!("{who} {} {n}", tag.unwrap_or("none"));
        let ours = (0..5).map(|n| {
            let message = Message::new(topic.as_str(), text("ours", n));
            tag.map_or(message.clone(), |tag| message.with_tag(tag))
        });
        receipts(send_all(&producer, 1, ours.collect()).await);
        let prefix = format!("java {} ", tag.unwrap_or("none"));
        let spec = SendSpec { tags: tag.map(Into::into), ..SendSpec::new(&java_producer, &topic, &prefix, 5) };
        world.java.send(&spec).expect("sent");
        all.extend((0..5).flat_map(|n| [(text("ours", n), tag), (text("java", n), tag)]));
    }
    let wanted = |tags: &[&str]| {
        sorted(all.iter().filter(|(_, tag)| tag.is_some_and(|tag| tags.contains(&tag))).map(|(body, _)| body.clone()))
    };
    let everything = sorted(all.keys().cloned());
    let cases = [
        ("star", "*", everything.clone()),
        ("empty", "", everything),
        ("a-or-b", "a || b", wanted(&["a", "b"])),
        ("a-or-b-spaced", "  a||b||  nothing ", wanted(&["a", "b"])),
        ("one-of-a-collision", "Aa", wanted(&["Aa"])),
        ("c", "c", wanted(&["c"])),
    ];
    for (name, expression, wanted) in cases {
        let group = format!("filters_{name}_{}", L::NAME);
        let consumer = subscribe(client, &group, &topic, expression).await;
        let got = collect(&consumer, wanted.len()).await;
        check.eq(format!("{name}-gets-its-messages"), sorted(got.iter().map(Got::text)), wanted);
        check.eq(format!("{name}-gets-no-others"), extra(&consumer).await, Vec::<String>::new());
        consumer.shutdown().await;
        let all = all.len() as i64;
        check.eq(format!("{name}-passes-all"), world.offsets(&group, &topic), (all, all));
    }
    let name = format!("filters_java_{}", L::NAME);
    let spec = ConsumerSpec {
        expression: "a || b".into(),
        instance: Some(name.clone()),
        ..ConsumerSpec::new(&name, &world.namesrv, &name, &topic)
    };
    world.java.start_consumer(&spec).expect("a Java consumer");
    let mut got = world.java.wait_consumed(&name, 20, PATIENCE).expect("consumed");
    super::kit::sleep(Duration::from_millis(500)).await;
    got.extend(world.java.consumed(&name).expect("consumed"));
    check.eq("java-filters-ours-alike", sorted(got.into_iter().map(|got| got.body)), wanted(&["a", "b"]));
    world.java.stop_consumer(&name).expect("stopped");
}

async fn subscribe(client: &Client, group: &str, topic: &str, expression: &str) -> PushConsumer {
    let consumer = client.push_consumer(group).subscribe(topic, expression).start_from(StartFrom::First);
    consumer.start().await.expect("a consumer")
}

fn same_properties(check: &Scope, seen: &ConsumedMessage) {
    let found = seen.message.properties.clone().unwrap_or_default();
    let property = |key: &str| found.get(key).map(String::as_str);
    check.eq("tag", property("TAGS"), Some(TAG));
    check.eq("keys", property("KEYS"), Some(KEYS));
    for (key, value) in PROPERTIES {
        check.eq(format!("property-{key}"), property(key), Some(value));
    }
}

fn place(seen: &ConsumedMessage) -> (i32, i64) {
    (seen.message.queue_id, seen.message.queue_offset)
}
