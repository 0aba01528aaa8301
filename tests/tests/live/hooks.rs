//! Hooks of consumers: what they hear, and what they keep from being handed out.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use rocketmq_core::client::ClientEvent;
use rocketmq_core::config::{Permission, ServerPolicy, StartFrom};
use rocketmq_core::driver::{ConsumeContext, ConsumeHook, ConsumeOutcome, DelayLevel, Delivery};
use rocketmq_core::message::Message;
use rocketmq_testkit::real::V4;

use super::checks::Scope;
use super::kit::{
    Got, PATIENCE, World, before, drain, eventually, extra, producer, receipts, receive, send_all, sorted,
};
use super::runtimes::Live;

/// What was told of each message: handed out, or how it was settled.
type Rows = Arc<Mutex<Vec<(String, Option<ConsumeOutcome>)>>>;

/// Notes what it is told, and wants no messages of two kinds.
struct Notes(Rows);

impl Notes {
    fn note(&self, context: &ConsumeContext<'_>, outcome: Option<ConsumeOutcome>) {
        let mut text = Got::of(context.message).text();
        if context.direct {
            text.push_str(" for an operator");
        }
        self.0.lock().unwrap().push((text, outcome));
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

/// Panics whatever it is asked, without a word in the log.
struct Panics;

fn panic() -> ! {
    std::panic::resume_unwind(Box::new("a hook that panics"))
}

impl ConsumeHook for Panics {
    fn wants(&self, _: &ConsumeContext<'_>) -> bool {
        panic();
    }

    fn before(&self, _: &ConsumeContext<'_>) {
        panic();
    }

    fn after(&self, _: &ConsumeContext<'_>, _: ConsumeOutcome) {
        panic();
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
    check.eq("and-nothing-else", extra(&consumer).await, Vec::<String>::new());
    let committed = eventually(|| Some(world.offsets(&group, &topic)).filter(|offsets| *offsets == (6, 6))).await;
    check.eq("what-is-not-wanted-is-passed", committed, Some((6, 6)));
    all_is_told(&check, &got, &rows);
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
    popped::<L>(world, &check.step("popped")).await;
    handled_for_an_operator::<L>(world, &check.step("direct")).await;
}

/// All but two of six messages came, of which one failed at first, and that was told.
fn all_is_told(check: &Scope, got: &[Got], rows: &Rows) {
    check.eq("what-is-wanted-comes", sorted(got.iter().map(Got::text)), ["m0", "m1", "m1", "m3", "m5"]);
    let told = std::mem::take(&mut *rows.lock().unwrap());
    let of = |body: &str| told.iter().filter(|(of, _)| of == body).map(|(_, outcome)| *outcome).collect::<Vec<_>>();
    check.eq("told-of-one-that-is-consumed", of("m0"), [None, Some(ConsumeOutcome::Consumed)]);
    let twice = [None, Some(ConsumeOutcome::Failed), None, Some(ConsumeOutcome::Consumed)];
    check.eq("told-each-time-it-comes", of("m1"), twice);
    check.eq("not-told-of-what-is-not-wanted", of("m2").len() + of("m4").len(), 0);
}

/// Messages that are popped are told of as others are; one that is not wanted is acknowledged. Brokers of 4.x do not
/// know of it, and the same group pulls.
async fn popped<L: Live>(world: &World, check: &Scope) {
    let (topic, group) = (format!("hooks_pop_{}", L::NAME), format!("hooks_pop_group_{}", L::NAME));
    world.topic(&topic, 1);
    let client = world.client::<L>().await;
    let mut events = client.events();
    let rows = Rows::default();
    let builder = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
    let builder = builder.pop().pop_invisible(Duration::from_secs(10)).hook(Panics).hook(Notes(rows.clone()));
    let consumer = builder.start().await.expect("a consumer");
    let sender = producer(&client, &format!("hooks_pop_producer_{}", L::NAME)).await;
    let messages = (0..6).map(|n| Message::new(topic.as_str(), format!("m{n}"))).collect();
    receipts(send_all(&sender, 1, messages).await);
    let settle = |delivery: Delivery| match (
        Got::of(delivery.message()).text().as_str(),
        delivery.message().reconsume_times(),
    ) {
        ("m1", 0) => delivery.retry_at(DelayLevel::S1),
        _ => delivery.ack(),
    };
    let got = receive(&consumer, 5, PATIENCE, settle).await;
    let pulls = drain(&mut events).iter().any(|event| matches!(event, ClientEvent::PopUnsupported { .. }));
    check.eq("by-popping-where-brokers-can", pulls, world.checks.version() == V4);
    all_is_told(check, &got, &rows);
    check.eq("drained", consumer.shutdown().await.unsettled, 0);
    // Longer than a popped message is hidden: what was not acknowledged would come again.
    let again = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").pop();
    let again = again.pop_invisible(Duration::from_secs(10)).start().await.expect("a consumer");
    let more = receive(&again, usize::MAX, Duration::from_secs(20), Delivery::ack).await;
    check.eq(
        "what-is-not-wanted-is-acknowledged",
        more.iter().map(Got::text).collect::<Vec<_>>(),
        Vec::<String>::new(),
    );
    again.shutdown().await;
    client.shutdown().await;
}

/// What an operator has handled is told of, and says that it is that. Nobody is asked whether it is wanted: the operator
/// wants it.
async fn handled_for_an_operator<L: Live>(world: &World, check: &Scope) {
    let (topic, group) = (format!("hooks_direct_{}", L::NAME), format!("hooks_direct_group_{}", L::NAME));
    world.topic(&topic, 1);
    let policy = ServerPolicy { consume_directly: Permission::Allow, ..ServerPolicy::default() };
    let client = L::connect(world.builder().server_policy(policy)).await.expect("a client");
    let sender = producer(&client, &format!("hooks_direct_producer_{}", L::NAME)).await;
    let messages = (0..3).map(|n| Message::new(topic.as_str(), format!("m{n}"))).collect();
    let sent = receipts(send_all(&sender, 1, messages).await);
    let rows = Rows::default();
    let builder = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
    let consumer = builder.hook(Panics).hook(Notes(rows.clone())).start().await.expect("a consumer");
    check.eq("consumed", receive(&consumer, 2, PATIENCE, Delivery::ack).await.len(), 2);
    rows.lock().unwrap().clear();
    for (nth, settle, outcome) in
        [(0, Settle::Ack, ConsumeOutcome::Consumed), (2, Settle::Retry, ConsumeOutcome::Failed)]
    {
        let body = format!("m{nth}");
        let handler = async {
            let delivery = consumer.next().await.expect("a delivery");
            check.that(format!("{body}-is-handed-out"), delivery.is_direct(), &delivery);
            match settle {
                Settle::Ack => delivery.ack(),
                Settle::Retry => delivery.retry(),
            }
            std::future::pending().await
        };
        let at = sent[nth].offset_msg_id.parse().expect("an id");
        let admin = client.admin();
        let asked = admin.consume_directly(group.as_str(), client.client_id(), &sent[nth].queue, at).or(handler);
        check.that(format!("{body}-is-handled"), asked.await.is_ok(), ());
        let told = std::mem::take(&mut *rows.lock().unwrap());
        let text = format!("{body} for an operator");
        check.eq(format!("{body}-is-told-of"), told, vec![(text.clone(), None), (text, Some(outcome))]);
    }
    consumer.shutdown().await;
    client.shutdown().await;
}

#[derive(Clone, Copy)]
enum Settle {
    Ack,
    Retry,
}
