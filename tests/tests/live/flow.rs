//! Batches beside a Java consumer that does the same, bounds on what is in hand, suspension, and handlers that take too
//! long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rocketmq_core::client::ClientEvent;
use rocketmq_core::config::{StartFrom, TimeoutPolicy};
use rocketmq_core::driver::{Client, DelayLevel, Delivery, PushConsumer, PushConsumerBuilder, ReceivedMessage};
use rocketmq_testkit::real::{ConsumerSpec, ProducerSpec, SendSpec};

use super::kit::{Got, PATIENCE, QUIET, World, before, collect, drain, eventually, extra, receive, sleep, sorted};
use super::runtimes::Live;

pub(crate) async fn scenario<L: Live>(world: &World) {
    let name = format!("flow_{}", L::NAME);
    let spec = ProducerSpec { instance: Some(name.clone()), ..ProducerSpec::new(&name, &world.namesrv, &name) };
    world.java.start_producer(&spec).expect("a Java producer");
    batches::<L>(world, &name).await;
    orderly_batches::<L>(world, &name).await;
    bounds::<L>(world, &name).await;
    cache::<L>(world, &name).await;
    suspension::<L>(world, &name).await;
    slow_handlers::<L>(world, &name).await;
    world.java.stop_producer(&name).expect("stopped");
}

/// A topic with messages of a Java producer, one in each queue after the other.
fn topic<L: Live>(world: &World, producer: &str, what: &str, queues: u32, count: u32, size: u32) -> String {
    let topic = format!("flow_{what}_{}", L::NAME);
    world.topic(&topic, queues);
    send(world, producer, &topic, queues, 0, count, size);
    topic
}

fn send(world: &World, producer: &str, topic: &str, queues: u32, first: u32, count: u32, size: u32) {
    let whole = world.offsets("nobody", topic).1 + i64::from(queues * count);
    for queue in 0..queues {
        let spec = SendSpec {
            first,
            body_size: size,
            queue_id: Some(i32::try_from(queue).unwrap()),
            broker: Some(world.broker_name.clone()),
            ..SendSpec::new(producer, topic, &format!("q{queue} "), count)
        };
        world.java.send(&spec).expect("sent");
    }
    // A queue shows its messages a moment after they are stored.
    let end = Instant::now() + PATIENCE;
    while world.offsets("nobody", topic).1 < whole && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
}

async fn start(
    client: &Client,
    topic: &str,
    group: &str,
    change: impl FnOnce(PushConsumerBuilder) -> PushConsumerBuilder,
) -> PushConsumer {
    let consumer = client.push_consumer(group).subscribe(topic, "*").start_from(StartFrom::First);
    change(consumer).start().await.expect("a consumer")
}

fn text(message: &ReceivedMessage) -> String {
    Got::of(message).text().trim_end_matches('.').to_owned()
}

/// Of each batch of five three are acknowledged, by Java and by us.
async fn batches<L: Live>(world: &World, producer: &str) {
    let check = world.scope::<L>("batches");
    let topic = topic::<L>(world, producer, "batches", 1, 12, 0);
    let java = format!("flow_java_{}", L::NAME);
    let spec = ConsumerSpec {
        instance: Some(java.clone()),
        batch: Some(5),
        ack_first: Some(3),
        ..ConsumerSpec::new(&java, &world.namesrv, &java, &topic)
    };
    world.java.start_consumer(&spec).expect("a Java consumer");
    let client = world.client::<L>().await;
    let group = format!("flow_ours_{}", L::NAME);
    let consumer = start(&client, &topic, &group, |consumer| consumer).await;

    let mut ours: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    let (mut sizes, mut failed_at, mut soonest) = (Vec::new(), Instant::now(), Duration::MAX);
    let end = Instant::now() + PATIENCE;
    while ours.values().map(Vec::len).sum::<usize>() < 16 {
        let Some(Some(batch)) = before(end, consumer.next_batch(5)).await else { break };
        let first = batch.messages()[0].reconsume_times() == 0;
        let rows: Vec<_> = batch.messages().iter().map(|message| (text(message), message.reconsume_times())).collect();
        for (body, times) in &rows {
            ours.entry(body.clone()).or_default().push(*times);
        }
        let offsets: Vec<_> = batch.messages().iter().map(|message| message.queue_offset().get()).collect();
        check.that("in-order", offsets.is_sorted_by(|one, next| one < next), offsets);
        let queues: BTreeSet<_> = batch.messages().iter().map(|message| message.queue().to_string()).collect();
        check.eq("of-one-queue", (queues.len(), batch.queue().is_some()), (1, true));
        if first {
            sizes.push(batch.len());
            batch.ack_up_to(3);
            failed_at = Instant::now();
        } else {
            soonest = soonest.min(failed_at.elapsed());
            batch.ack();
        }
    }
    check.eq("sizes", sizes, [5, 5, 2]);
    check.at_least("what-failed-is-delayed", soonest, Duration::from_millis(700));
    let theirs = world.java.wait_consumed(&java, 16, PATIENCE).expect("consumed");
    let mut of_java: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for got in theirs {
        of_java.entry(got.body).or_default().push(got.message.reconsume_times);
    }
    for (n, (body, times)) in of_java.iter().enumerate() {
        check.eq(format!("as-java-{n}"), (body, ours.get(body)), (body, Some(times)));
    }
    let again: Vec<_> = ours.iter().filter(|(_, times)| times.len() > 1).map(|(body, _)| body.as_str()).collect();
    check.eq("those-after-the-third-came-again", again, ["q0 3", "q0 4", "q0 8", "q0 9"]);
    check.eq("nothing-more", extra(&consumer).await, Vec::<String>::new());
    let committed = eventually(|| Some(world.offsets(&group, &topic)).filter(|offsets| *offsets == (12, 12))).await;
    check.eq("all-is-committed", committed, Some((12, 12)));

    // A batch chooses how long those that fail have to wait: level 10 is 4 s here.
    send(world, producer, &topic, 1, 20, 2, 0);
    let end = Instant::now() + PATIENCE;
    let (mut came, mut seen) = (Instant::now(), 0);
    while seen < 2 {
        let Some(Some(mut batch)) = before(end, consumer.next_batch(2)).await else { break };
        seen += batch.len();
        batch.fail_at(DelayLevel::M10.min(DelayLevel::new(10).unwrap()));
        batch.ack_up_to(0);
        came = Instant::now();
    }
    let again = collect(&consumer, 2).await;
    check.eq("both-come-again", sorted(again.iter().map(Got::text)), ["q0 20", "q0 21"]);
    check.at_least("after-the-delay-of-the-batch", again[0].at.duration_since(came), Duration::from_millis(3_300));
    check.eq("counted-once", again.iter().map(|got| got.times).collect::<Vec<_>>(), [1, 1]);
    consumer.shutdown().await;
    client.shutdown().await;
    world.java.stop_consumer(&java).expect("stopped");
}

/// In order the rest of a batch comes again before what follows it.
async fn orderly_batches<L: Live>(world: &World, producer: &str) {
    let check = world.scope::<L>("orderly-batches");
    let topic = topic::<L>(world, producer, "orderly", 1, 8, 0);
    let client = world.client::<L>().await;
    let group = format!("flow_orderly_{}", L::NAME);
    let consumer =
        start(&client, &topic, &group, |consumer| consumer.orderly().suspend(Duration::from_millis(500))).await;
    let mut steps = Vec::new();
    let end = Instant::now() + PATIENCE;
    let (mut last, mut pauses) = (Instant::now(), Vec::new());
    for acked in [2, 0, 4, 4] {
        let Some(Some(batch)) = before(end, consumer.next_batch(4)).await else { break };
        pauses.push(last.elapsed());
        let row = |message: &ReceivedMessage| format!("{} {}", message.queue_offset(), message.reconsume_times());
        steps.push(batch.messages().iter().map(row).collect::<Vec<_>>());
        if steps.len() == 1 {
            let beside = before(Instant::now() + QUIET, consumer.next()).await;
            check.that("nothing-of-the-queue-comes-meanwhile", beside.is_none(), ());
        }
        batch.ack_up_to(acked);
        last = Instant::now();
    }
    let step = |rows: &[&str]| rows.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>();
    check.eq("first", steps.first(), Some(&step(&["0 0", "1 0", "2 0", "3 0"])));
    check.eq("the-rest-comes-first", steps.get(1), Some(&step(&["2 1", "3 1", "4 0", "5 0"])));
    check.eq("all-of-it-again", steps.get(2), Some(&step(&["2 2", "3 2", "4 1", "5 1"])));
    check.eq("then-what-follows", steps.get(3), Some(&step(&["6 0", "7 0"])));
    check.at_least("after-a-pause", pauses.get(1).copied(), Some(Duration::from_millis(490)));
    check.at_least("and-another", pauses.get(2).copied(), Some(Duration::from_millis(490)));
    check.eq("drained", consumer.shutdown().await.unsettled, 0);
    check.eq("committed-at-the-end", world.offsets(&group, &topic), (8, 8));
    client.shutdown().await;
}

/// Takes without settling until nothing comes any more; how many of each queue.
async fn held(consumer: &PushConsumer) -> (Vec<Delivery>, BTreeMap<i32, usize>) {
    let (mut held, mut counts) = (Vec::new(), BTreeMap::new());
    while let Some(Some(delivery)) = before(Instant::now() + QUIET, consumer.next()).await {
        *counts.entry(delivery.message().queue().id).or_default() += 1;
        held.push(delivery);
    }
    (held, counts)
}

/// A consumer that settles nothing gets so much and no more.
async fn bounds<L: Live>(world: &World, producer: &str) {
    let check = world.scope::<L>("bounds");
    let topic = topic::<L>(world, producer, "bounds", 2, 60, 0);
    let client = world.client::<L>().await;
    type Change = fn(PushConsumerBuilder) -> PushConsumerBuilder;
    let bounded: [(&str, Change, usize); 3] = [
        ("queue", |consumer| consumer.queue_messages(8).pull_batch(4), 8),
        ("topic", |consumer| consumer.topic_messages(20).pull_batch(4), 10),
        ("least", |consumer| consumer.topic_messages(1).pull_batch(1), 1),
    ];
    for (what, change, room) in bounded {
        let check = check.step(what);
        let group = format!("flow_bounds_{what}_{}", L::NAME);
        let consumer = start(&client, &topic, &group, change).await;
        let (held, counts) = held(&consumer).await;
        for queue in 0..2 {
            let count = counts.get(&queue).copied().unwrap_or(0);
            check.at_least(format!("queue-{queue}-is-filled"), count, room + 1);
            check.below(format!("queue-{queue}-no-more-than-a-pull-above"), count, room + 5);
        }
        let first = held.len();
        held.into_iter().for_each(Delivery::ack);
        let rest = collect(&consumer, 120 - first).await;
        check.eq("the-rest-comes-when-that-is-settled", rest.len(), 120 - first);
        check.eq("drained", consumer.shutdown().await.unsettled, 0);
        check.eq("all-committed", world.offsets(&group, &topic), (120, 120));
    }
    client.shutdown().await;
}

/// What one consumer holds on to fills the cache of its client, and starves no other.
async fn cache<L: Live>(world: &World, producer: &str) {
    let check = world.scope::<L>("cache");
    let topic = topic::<L>(world, producer, "cache", 2, 20, 1_000);
    let client = L::connect(world.builder().cache_bytes(6_000)).await.expect("a client");
    let pulls = |consumer: PushConsumerBuilder| consumer.pull_batch(1).pull_batch_bytes(2_000);
    let greedy = start(&client, &topic, &format!("flow_greedy_{}", L::NAME), pulls).await;
    let (deliveries, counts) = held(&greedy).await;
    check.at_least("it-is-filled", deliveries.len(), 4);
    check.below("and-no-more", deliveries.len(), 10);
    check.eq("both-queues-have-something", counts.len(), 2);
    let group = format!("flow_modest_{}", L::NAME);
    let modest = start(&client, &topic, &group, pulls).await;
    let got = collect(&modest, 40).await;
    check.eq("another-consumer-goes-on", got.len(), 40);
    check.eq("beside-a-full-cache", extra(&greedy).await, Vec::<String>::new());
    let first = deliveries.len();
    deliveries.into_iter().for_each(Delivery::ack);
    check.eq("the-first-goes-on-then", collect(&greedy, 40 - first).await.len(), 40 - first);
    client.shutdown().await;
    check.eq("all-committed", world.offsets(&group, &topic), (40, 40));
}

async fn suspension<L: Live>(world: &World, producer: &str) {
    let check = world.scope::<L>("suspension");
    let topic = topic::<L>(world, producer, "suspension", 1, 3, 0);
    let client = world.client::<L>().await;
    let group = format!("flow_suspension_{}", L::NAME);
    let consumer = start(&client, &topic, &group, |consumer| consumer).await;
    check.eq("runs", collect(&consumer, 3).await.len(), 3);
    sleep(Duration::from_millis(300)).await;
    let mut events = client.events();
    consumer.suspend().await;
    let told = |events: &[ClientEvent], resumed: bool| {
        let is = |event: &&ClientEvent| match event {
            ClientEvent::Suspended { .. } => !resumed,
            ClientEvent::Resumed { .. } => resumed,
            _ => false,
        };
        events.iter().filter(is).count()
    };
    check.eq("told", told(&drain(&mut events), false), 1);
    send(world, producer, &topic, 1, 10, 10, 0);
    // The pull that is held at the broker is answered with the first.
    let came = receive(&consumer, 10, QUIET, Delivery::ack).await;
    check.below("what-was-asked-for-before-and-no-more", came.len(), 10);
    sleep(Duration::from_secs(6)).await;
    check.eq("still-nothing", extra(&consumer).await, Vec::<String>::new());
    let committed = i64::try_from(came.len() + 3).unwrap();
    check.eq("commits-go-on", world.offsets(&group, &topic).0, committed);
    check.eq("it-is-still-a-member", world.online(&group).len(), 1);
    let resumed = Instant::now();
    consumer.resume().await;
    let rest = collect(&consumer, 10 - came.len()).await;
    check.eq("the-rest-comes", rest.len(), 10 - came.len());
    check.below("at-once", rest[0].at.duration_since(resumed), Duration::from_secs(5));
    check.eq("told-of-the-end", told(&drain(&mut events), true), 1);
    send(world, producer, &topic, 1, 20, 2, 0);
    check.eq("and-it-goes-on", collect(&consumer, 2).await.len(), 2);
    check.eq("drained", consumer.shutdown().await.unsettled, 0);
    check.eq("all-committed", world.offsets(&group, &topic), (15, 15));
    client.shutdown().await;
}

async fn slow_handlers<L: Live>(world: &World, producer: &str) {
    for (what, policy) in [("tell", TimeoutPolicy::Tell), ("send-back", TimeoutPolicy::SendBack)] {
        let check = world.scope::<L>("consume-timeout").step(what);
        let topic = topic::<L>(world, producer, &format!("timeout_{what}"), 1, 1, 0);
        let client = world.client::<L>().await;
        let mut events = client.events();
        let group = format!("flow_timeout_{what}_{}", L::NAME);
        let limit = Duration::from_secs(4);
        let consumer =
            start(&client, &topic, &group, |consumer| consumer.consume_timeout(limit).on_consume_timeout(policy)).await;
        let delivery = before(Instant::now() + PATIENCE, consumer.next()).await.flatten().expect("a delivery");
        let begun = Instant::now();
        let mut seen = None;
        while seen.is_none() && begun.elapsed() < PATIENCE {
            sleep(Duration::from_millis(50)).await;
            seen = drain(&mut events).into_iter().find_map(|event| match event {
                ClientEvent::ConsumeTimeout { offset, goes_back, .. } => Some((offset.get(), goes_back)),
                _ => None,
            });
        }
        let goes_back = policy == TimeoutPolicy::SendBack;
        check.eq("told", seen, Some((0, goes_back)));
        check.at_least("not-too-early", begun.elapsed(), limit - Duration::from_millis(100));
        check.below("nor-late", begun.elapsed(), limit * 5 / 4 + Duration::from_secs(2));
        let again = receive(&consumer, 1, Duration::from_secs(6), Delivery::ack).await;
        let times: Vec<i32> = again.iter().map(|got| got.times).collect();
        check.eq("it-comes-again-where-that-is-asked-for", times, if goes_back { vec![1] } else { vec![] });
        delivery.ack();
        let committed = eventually(|| Some(world.offsets(&group, &topic)).filter(|offsets| *offsets == (1, 1))).await;
        check.eq("committed", committed, Some((1, 1)));
        check.eq("no-more", extra(&consumer).await, Vec::<String>::new());
        check.eq("drained", consumer.shutdown().await.unsettled, 0);
        client.shutdown().await;
    }
}
