//! Ten thousand messages, many in flight: each is consumed once, as it was sent.

use std::collections::{BTreeMap, BTreeSet};

use rocketmq_core::config::StartFrom;
use rocketmq_core::message::Message;
use rocketmq_core::send::StoreStatus;

use super::kit::{World, collect, create, drain, extra, producer, receipts, send_all};
use super::runtimes::Live;

const MESSAGES: usize = 10_000;
const AT_ONCE: usize = 256;
const QUEUES: u32 = 8;

pub(crate) async fn scenario<L: Live>(world: &World) {
    let check = world.scope::<L>("volume");
    let (topic, group) = (format!("volume_{}", L::NAME), format!("volume_group_{}", L::NAME));
    let client = world.client::<L>().await;
    create(&client, &topic, QUEUES).await;
    let route = world.java.topic_route(&world.namesrv, &topic).expect("a route");
    check.eq("java-sees-the-topic-we-created", route.iter().map(|broker| broker.read_queues).sum::<i32>(), 8);

    let mut events = client.events();
    let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
    let consumer = consumer.start().await.expect("a consumer");
    let producer = producer(&client, "volume_producer").await;
    let make = |n: usize| {
        Message::new(topic.as_str(), format!("message {n}"))
            .with_tag(format!("tag{}", n % 7))
            .with_key(format!("key-{n}"))
            .with_key(format!("half-{}", n / 2))
            .with_property("number", n.to_string())
    };
    let sending = send_all(&producer, AT_ONCE, (0..MESSAGES).map(make).collect());
    let (results, got) = futures_lite::future::zip(sending, collect(&consumer, MESSAGES)).await;
    let extra = extra(&consumer).await;

    let receipts = receipts(results);
    check.that("all-stored", receipts.iter().all(|receipt| receipt.status() == StoreStatus::Stored), ());
    let ids: BTreeSet<_> = receipts.iter().map(|receipt| &receipt.msg_id).collect();
    check.eq("message-ids-unique", ids.len(), MESSAGES);
    let ids: BTreeSet<_> = receipts.iter().map(|receipt| &receipt.offset_msg_id).collect();
    check.eq("offset-ids-unique", ids.len(), MESSAGES);
    let places: BTreeSet<_> = receipts.iter().map(|receipt| (receipt.queue.id, receipt.queue_offset.get())).collect();
    check.eq("places-unique", places.len(), MESSAGES);
    let mut per_queue = BTreeMap::<i32, u64>::new();
    receipts.iter().for_each(|receipt| *per_queue.entry(receipt.queue.id).or_default() += 1);
    check.eq("every-queue-used", per_queue.len(), QUEUES as usize);
    let even = per_queue.values().all(|count| (1_000..1_500).contains(count));
    check.that("queues-used-evenly", even, &per_queue);
    let dense = receipts.iter().all(|receipt| receipt.queue_offset.get() < per_queue[&receipt.queue.id]);
    check.that("each-stored-once", dense, &per_queue);

    check.eq("all-consumed", got.len(), MESSAGES);
    check.eq("nothing-more", extra, Vec::<String>::new());
    let by_body: BTreeMap<_, _> = got.iter().map(|got| (got.text(), got)).collect();
    check.eq("each-once", by_body.len(), MESSAGES);
    for (n, receipt) in receipts.iter().enumerate() {
        let seen = by_body.get(&format!("message {n}"));
        check.that("each-sent-one-consumed", seen.is_some(), n);
        let Some(seen) = seen else { continue };
        check.eq("tags-equal", seen.tag.as_deref(), Some(format!("tag{}", n % 7).as_str()));
        check.eq("keys-equal", &seen.keys, &[format!("key-{n}"), format!("half-{}", n / 2)]);
        check.eq("properties-equal", seen.properties.get("number"), Some(&n.to_string()));
        check.eq("message-ids-equal", &seen.msg_id, &receipt.msg_id);
        check.eq("offset-ids-equal", &seen.offset_msg_id, &receipt.offset_msg_id);
        check.eq("places-equal", (seen.queue_id, seen.queue_offset), (receipt.queue.id, receipt.queue_offset.get()));
        check.eq("never-redelivered", seen.times, 0);
    }
    let mut last = BTreeMap::<i32, u64>::new();
    let ordered = got.iter().all(|got| last.insert(got.queue_id, got.queue_offset) < Some(got.queue_offset));
    check.that("in-order-within-each-queue", ordered, ());

    let drained = consumer.shutdown().await;
    check.eq("nothing-unsettled", drained.unsettled, 0);
    check.eq("all-committed", world.offsets(&group, &topic), (MESSAGES as i64, MESSAGES as i64));
    let trouble = drain(&mut events).into_iter().filter(super::offsets::is_trouble).collect::<Vec<_>>();
    check.that("no-trouble", trouble.is_empty(), trouble);
    client.shutdown().await;
}
