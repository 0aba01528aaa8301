//! Failed messages: redelivered one step later each time, and dead in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{DelayLevel, Delivery};
use rocketmq_core::message::Message;

use super::kit::{Got, World, collect, drain, eventually, extra, producer, receipts, receive, send_all, sorted};
use super::runtimes::Live;

const MAX_RECONSUME: u32 = 2;
/// The level that the cluster makes longer than the others: 4 s.
const LONG: i32 = 10;

pub(crate) async fn scenario<L: Live>(world: &World) {
    let check = world.scope::<L>("ladder");
    let (topic, group) = (format!("ladder_{}", L::NAME), format!("ladder_group_{}", L::NAME));
    world.topic(&topic, 4);
    let client = world.client::<L>().await;
    let mut events = client.events();
    let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
    let consumer = consumer.max_reconsume(MAX_RECONSUME).start().await.expect("a consumer");
    let producer = producer(&client, "ladder_producer").await;

    let bodies = ["fails", "dropped", "fails once", "later", "dead", "good"];
    let make = |body: &&'static str| {
        Message::new(topic.as_str(), *body).with_tag("t").with_key(format!("key of {body}")).with_property("p", "v")
    };
    let sent = receipts(send_all(&producer, 1, bodies.iter().map(make).collect()).await);
    let settle = |delivery: Delivery| {
        let times = delivery.message().reconsume_times();
        let body = String::from_utf8_lossy(delivery.message().body()).into_owned();
        match (body.as_str(), times) {
            ("fails", _) | ("fails once", 0) => delivery.retry(),
            ("dropped", _) => drop(delivery),
            ("later", 0) => delivery.retry_at(DelayLevel::new(LONG).expect("a level")),
            ("dead", _) => delivery.dead_letter(),
            _ => delivery.ack(),
        }
    };
    let deliveries = 3 + 3 + 2 + 2 + 1 + 1;
    let mut got = receive(&consumer, deliveries, Duration::from_secs(90), settle).await;
    got.extend(receive(&consumer, usize::MAX, Duration::from_secs(3), settle).await);
    let mut by_body = BTreeMap::<String, Vec<Got>>::new();
    got.iter().for_each(|got| by_body.entry(got.text()).or_default().push(got.clone()));
    let times = |body: &str| by_body.get(body).map(|all| all.iter().map(|got| got.times).collect::<Vec<_>>());
    check.eq("failed-until-dead", times("fails"), Some(vec![0, 1, 2]));
    check.eq("dropped-is-failed", times("dropped"), Some(vec![0, 1, 2]));
    check.eq("failed-once", times("fails once"), Some(vec![0, 1]));
    check.eq("failed-with-a-delay", times("later"), Some(vec![0, 1]));
    check.eq("dead-at-once", times("dead"), Some(vec![0]));
    check.eq("good-once", times("good"), Some(vec![0]));

    let gap = |body: &str, step: usize| by_body[body][step + 1].at - by_body[body][step].at;
    check.at_least("first-step-is-delayed", gap("fails", 0), Duration::from_millis(900));
    check.at_least("second-step-is-delayed", gap("fails", 1), Duration::from_millis(900));
    check.below("second-step-needs-no-route-refresh", gap("fails", 1), Duration::from_secs(4));
    check.at_least("the-level-asked-for-counts", gap("later", 0), Duration::from_millis(3_900));
    for again in got.iter().filter(|got| got.times > 0) {
        check.eq("redelivery-tells-the-topic-it-was-sent-to", &again.topic, &topic);
        check.eq("redelivery-comes-by-the-retry-topic", &again.from_topic, &format!("%RETRY%{group}"));
        check.eq("redelivery-keeps-the-tag", again.tag.as_deref(), Some("t"));
        check.eq(
            "redelivery-keeps-the-key",
            &again.keys,
            &format!("key of {}", again.text()).split(' ').map(str::to_owned).collect::<Vec<_>>(),
        );
        check.eq("redelivery-keeps-the-property", again.properties.get("p").map(String::as_str), Some("v"));
        let receipt = &sent[bodies.iter().position(|body| *body == again.text()).expect("one of ours")];
        check.eq("redelivery-keeps-the-id", &again.msg_id, &receipt.msg_id);
        let origin = again.properties.get("ORIGIN_MESSAGE_ID");
        check.eq("redelivery-tells-where-it-was-first", origin, Some(&receipt.offset_msg_id));
    }

    let dlq = format!("%DLQ%{group}");
    let dead = eventually(|| {
        let max = world.java.offsets(&world.namesrv, "nobody", &dlq).ok()?.iter().map(|queue| queue.max).sum::<i64>();
        (max == 3).then_some(max)
    });
    check.eq("three-are-dead", dead.await, Some(3));
    let mourner = client.push_consumer(format!("mourner_{}", L::NAME)).subscribe(dlq.as_str(), "*");
    let mourner = mourner.start_from(StartFrom::First).start().await.expect("a consumer");
    let dead = collect(&mourner, 3).await;
    check.eq(
        "the-dead-can-be-read",
        sorted(dead.iter().map(Got::text)),
        sorted(["fails", "dropped", "dead"].map(str::to_owned)),
    );
    for got in &dead {
        check.eq("the-dead-keep-their-key", got.keys.join(" "), format!("key of {}", got.text()));
        check.eq("the-dead-tell-their-topic", got.properties.get("RETRY_TOPIC"), Some(&topic));
    }
    mourner.shutdown().await;
    check.eq("nothing-more", extra(&consumer).await, Vec::<String>::new());

    check.eq("nothing-unsettled", consumer.shutdown().await.unsettled, 0);
    check.eq("committed", world.offsets(&group, &topic), (6, 6));
    check.eq("retries-committed", world.offsets(&group, &format!("%RETRY%{group}")), (6, 6));
    let trouble: Vec<_> = drain(&mut events).into_iter().filter(super::offsets::is_trouble).collect();
    check.that("no-trouble", trouble.is_empty(), trouble);

    // The same again leaves nothing to be delivered.
    let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
    let consumer = consumer.start().await.expect("a consumer");
    check.eq("nothing-after-a-restart", extra(&consumer).await, Vec::<String>::new());
    client.shutdown().await;
}
