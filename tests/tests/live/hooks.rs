//! Hooks of consumers: what they hear, and what they keep from being handed out.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{ConsumeContext, ConsumeHook, ConsumeOutcome, Delivery};
use rocketmq_core::message::Message;

use super::kit::{Got, PATIENCE, World, before, eventually, extra, producer, receipts, receive, send_all, sorted};
use super::runtimes::Live;

/// What was told of each message: handed out, or how it was settled.
type Rows = Arc<Mutex<Vec<(String, Option<ConsumeOutcome>)>>>;

/// Notes what it is told, and wants no messages of two kinds.
struct Notes(Rows);

impl Notes {
    fn note(&self, context: &ConsumeContext<'_>, outcome: Option<ConsumeOutcome>) {
        self.0.lock().unwrap().push((Got::of(context.message).text(), outcome));
    }
}

impl ConsumeHook for Notes {
    fn wants(&self, context: &ConsumeContext<'_>) -> bool {
        !["m2", "m4"].contains(&Got::of(context.message).text().as_str())
    }

    fn before(&self, context: &ConsumeContext<'_>) {
        self.note(context, None);
    }

    fn after(&self, context: &ConsumeContext<'_>, outcome: ConsumeOutcome) {
        self.note(context, Some(outcome));
    }
}

/// Panics whatever it is asked.
struct Panics;

impl ConsumeHook for Panics {
    fn wants(&self, _: &ConsumeContext<'_>) -> bool {
        panic!("a hook that panics");
    }

    fn before(&self, _: &ConsumeContext<'_>) {
        panic!("a hook that panics");
    }

    fn after(&self, _: &ConsumeContext<'_>, _: ConsumeOutcome) {
        panic!("a hook that panics");
    }
}

pub(crate) async fn scenario<L: Live>(world: &World) {
    let check = world.scope::<L>("hooks");
    let topic = format!("hooks_{}", L::NAME);
    world.topic(&topic, 1);
    let client = world.client::<L>().await;
    let sender = producer(&client, &format!("hooks_producer_{}", L::NAME)).await;
    let messages = (0..6).map(|n| Message::new(topic.as_str(), format!("m{n}"))).collect();
    receipts(send_all(&sender, 1, messages).await);
    let wanted = ["m0", "m1", "m3", "m5"];

    let (group, rows) = (format!("hooks_group_{}", L::NAME), Rows::default());
    let builder = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
    let consumer = builder.hook(Panics).hook(Notes(rows.clone())).start().await.expect("a consumer");
    let settle = |delivery: Delivery| match (
        Got::of(delivery.message()).text().as_str(),
        delivery.message().reconsume_times(),
    ) {
        ("m1", 0) => delivery.retry(),
        _ => delivery.ack(),
    };
    let got = receive(&consumer, 5, PATIENCE, settle).await;
    check.eq("what-is-wanted-comes", sorted(got.iter().map(Got::text)), ["m0", "m1", "m1", "m3", "m5"]);
    check.eq("and-nothing-else", extra(&consumer).await, Vec::<String>::new());
    let committed = eventually(|| Some(world.offsets(&group, &topic)).filter(|offsets| *offsets == (6, 6))).await;
    check.eq("what-is-not-wanted-is-passed", committed, Some((6, 6)));
    let told = std::mem::take(&mut *rows.lock().unwrap());
    let of = |body: &str| told.iter().filter(|(of, _)| of == body).map(|(_, outcome)| *outcome).collect::<Vec<_>>();
    check.eq("told-of-one-that-is-consumed", of("m0"), [None, Some(ConsumeOutcome::Consumed)]);
    let twice = [None, Some(ConsumeOutcome::Failed), None, Some(ConsumeOutcome::Consumed)];
    check.eq("told-each-time-it-comes", of("m1"), twice);
    check.eq("not-told-of-what-is-not-wanted", of("m2").len() + of("m4").len(), 0);
    check.eq("drained", consumer.shutdown().await.unsettled, 0);

    let group = format!("hooks_orderly_{}", L::NAME);
    let builder = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
    let builder = builder.orderly().hook(Panics).hook(Notes(rows.clone()));
    let consumer = builder.start().await.expect("a consumer");
    let (mut bodies, end) = (Vec::new(), Instant::now() + PATIENCE);
    while bodies.len() < 4 {
        let Some(Some(batch)) = before(end, consumer.next_batch(6)).await else { break };
        bodies.extend(batch.messages().iter().map(|message| Got::of(message).text()));
        batch.ack();
    }
    check.eq("in-order-too", bodies, wanted);
    let committed = eventually(|| Some(world.offsets(&group, &topic)).filter(|offsets| *offsets == (6, 6))).await;
    check.eq("passed-in-order", committed, Some((6, 6)));
    check.eq("told-of-each-of-a-batch", rows.lock().unwrap().len(), 8);
    check.eq("drained-in-order", consumer.shutdown().await.unsettled, 0);
    client.shutdown().await;
}
