//! Where consumption starts, and what a clean shutdown leaves behind.

use std::collections::{BTreeMap, BTreeSet};

use rocketmq_core::client::{ClientEvent, StartReason, StartStep};
use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{Client, Delivery, PushConsumer};
use rocketmq_core::ids::QueueOffset;
use rocketmq_core::message::Message;
use rocketmq_core::time::UnixMillis;
use rocketmq_testkit::real::V4;

use super::kit::{
    PATIENCE, World, collect, drain, eventually, extra, producer, receipts, receive, send_all, sleep, sorted,
};
use super::runtimes::Live;

const QUEUES: usize = 4;

pub(crate) async fn scenario<L: Live>(world: &World) {
    start_positions::<L>(world).await;
    clean_shutdown::<L>(world).await;
}

/// What must not happen while all is well.
pub(crate) fn is_trouble(event: &ClientEvent) -> bool {
    matches!(
        event,
        ClientEvent::PullFailed { .. }
            | ClientEvent::SendBackFailed { .. }
            | ClientEvent::OffsetIllegal { .. }
            | ClientEvent::Poison { .. }
            | ClientEvent::QueueStopped { .. }
            | ClientEvent::AllocateFailed { .. }
            | ClientEvent::LinkDown(_)
    )
}

async fn start_positions<L: Live>(world: &World) {
    let check = world.scope::<L>("start");
    let topic = format!("start_{}", L::NAME);
    let [empties, firsts, lasts] = ["empty", "first", "last"].map(|name| format!("start_{name}_{}", L::NAME));
    world.topic(&topic, QUEUES as u32);
    let client = world.client::<L>().await;
    let producer = producer(&client, "start_producer").await;

    // What brokers say of a group they do not know: for an empty queue, 4.x that it is at 0 and 5.x that they do not
    // know; for a queue whose first message is in memory, which 4.x can be told never to assume, that it is at 0.
    let v4 = world.checks.version() == V4;
    let young = |reason| if v4 { reason } else { StartReason::Stored };
    let empty = start(&client, &empties, &topic, StartFrom::Last).await;
    let reason = if v4 { StartReason::Stored } else { StartReason::Last };
    check.eq("empty-queues-start-at-0", empty.positions(&topic), vec![(0, reason); QUEUES]);
    check.eq("nine-steps", empty.steps(), (1..=9).collect::<Vec<u8>>());
    empty.consumer.shutdown().await;

    let batch = |from: usize| (from..from + 20).map(|n| Message::new(topic.as_str(), format!("m{n}"))).collect();
    let old = receipts(send_all(&producer, 1, batch(0)).await);
    let mut ends = BTreeMap::<i32, u64>::new();
    old.iter().for_each(|receipt| *ends.entry(receipt.queue.id).or_default() += 1);
    check.eq("messages-in-every-queue", ends.len(), QUEUES);
    // A queue shows its messages a moment after they are stored.
    eventually(|| (world.offsets(&firsts, &topic).1 == 20).then_some(())).await;

    let first = start(&client, &firsts, &topic, StartFrom::First).await;
    check.eq("first-starts-at-0", first.positions(&topic), vec![(0, young(StartReason::First)); QUEUES]);
    let got = collect(&first.consumer, 20).await;
    check.eq("first-gets-what-was-there", bodies(&got), names(0..20));

    let last = start(&client, &lasts, &topic, StartFrom::Last).await;
    if v4 {
        let at_end: Vec<_> = ends.values().map(|end| (*end, StartReason::Last)).collect();
        check.eq("last-starts-at-the-end", last.positions(&topic), at_end);
    } else {
        check.eq("last-of-a-young-queue-starts-at-0", last.positions(&topic), vec![(0, StartReason::Stored); QUEUES]);
        check.eq("so-it-gets-what-was-there", bodies(&collect(&last.consumer, 20).await), names(0..20));
    }
    check.eq("last-gets-nothing-old", extra(&last.consumer).await, Vec::<String>::new());
    sleep(std::time::Duration::from_millis(200)).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let between = UnixMillis(now.as_millis() as i64);
    sleep(std::time::Duration::from_millis(200)).await;
    receipts(send_all(&producer, 1, batch(20)).await);
    check.eq("last-gets-what-is-new", bodies(&collect(&last.consumer, 20).await), names(20..40));
    check.eq("first-goes-on", bodies(&collect(&first.consumer, 20).await), names(20..40));
    last.consumer.shutdown().await;
    first.consumer.shutdown().await;
    check.eq("last-committed", world.offsets(&lasts, &topic).0, 40);

    // A time between the two batches; the broker's clock is ours.
    let at_time = start(&client, &format!("start_time_{}", L::NAME), &topic, StartFrom::Timestamp(between)).await;
    let ends: Vec<_> = ends.values().copied().collect();
    let (found, reasons): (Vec<_>, BTreeSet<_>) =
        at_time.positions(&topic).into_iter().map(|(offset, reason)| (offset, format!("{reason:?}"))).unzip();
    if v4 {
        check.eq("a-time-starts-between-the-batches", found, ends.clone());
        check.eq("and-gets-what-came-later", bodies(&collect(&at_time.consumer, 20).await), names(20..40));
        check.eq("which-is-told", reasons, BTreeSet::from(["Timestamp".to_owned()]));
    } else {
        check.eq("a-time-of-a-young-queue-starts-at-0", found, vec![0; QUEUES]);
    }
    at_time.consumer.shutdown().await;
    let queues = client.admin().queues(topic.as_str()).await.expect("queues");
    for (queue, end) in queues.iter().zip(&ends) {
        let found = client.admin().search_offset(queue, between).await.expect("an offset");
        check.eq("the-admin-finds-a-time", found.get(), *end);
    }

    // What is chosen wins over all, once.
    let mut events = client.events();
    let chosen = client.push_consumer(firsts.as_str()).subscribe(topic.as_str(), "*");
    let chosen = chosen.start_at(queues[0].clone(), QueueOffset::new(1)).start().await.expect("a consumer");
    let again = collect(&chosen, 2 * ends[0] as usize - 1).await;
    let offsets = sorted(again.iter().map(|got| (got.queue_id, got.queue_offset)));
    check.eq("a-chosen-start", offsets, (1..2 * ends[0]).map(|offset| (queues[0].id, offset)).collect::<Vec<_>>());
    check.eq("nothing-else-comes", extra(&chosen).await, Vec::<String>::new());
    let is_chosen =
        |event: &ClientEvent| matches!(event, ClientEvent::StartPosition { reason: StartReason::Chosen, .. });
    check.eq("the-choice-is-told", drain(&mut events).iter().filter(|event| is_chosen(event)).count(), 1);
    chosen.shutdown().await;

    // A stored offset wins over either wish.
    for (name, group, wish) in [("last", &lasts, StartFrom::First), ("first", &firsts, StartFrom::Last)] {
        let again = start(&client, group, &topic, wish).await;
        let reasons: BTreeSet<_> = again.positions(&topic).iter().map(|(_, reason)| format!("{reason:?}")).collect();
        check.eq(format!("{name}-goes-on-where-it-was"), reasons, BTreeSet::from(["Stored".to_owned()]));
        let sum: u64 = again.positions(&topic).iter().map(|(offset, _)| offset).sum();
        check.eq(format!("{name}-goes-on-at-the-end"), sum, 40);
        check.eq(format!("{name}-gets-nothing-again"), extra(&again.consumer).await, Vec::<String>::new());
        again.consumer.shutdown().await;
    }
    client.shutdown().await;
}

async fn clean_shutdown<L: Live>(world: &World) {
    let check = world.scope::<L>("clean-shutdown");
    let (topic, group) = (format!("clean_{}", L::NAME), format!("clean_group_{}", L::NAME));
    world.topic(&topic, QUEUES as u32);
    let client = world.client::<L>().await;
    let producer = producer(&client, "clean_producer").await;
    let messages = (0..400).map(|n| Message::new(topic.as_str(), format!("m{n}"))).collect();
    receipts(send_all(&producer, 16, messages).await);

    // Stopped in the middle, with messages in the cache and one in hand.
    let run = start(&client, &group, &topic, StartFrom::First).await;
    let some = collect(&run.consumer, 150).await;
    check.eq("some-consumed", some.len(), 150);
    let in_hand = run.consumer.next().await.expect("a delivery");
    let last = super::kit::Got::of(in_hand.message());
    let settle_late = async {
        sleep(std::time::Duration::from_millis(700)).await;
        in_hand.ack();
    };
    let begun = std::time::Instant::now();
    let (drained, ()) = futures_lite::future::zip(run.consumer.shutdown(), settle_late).await;
    check.eq("waits-for-what-is-in-hand", drained.unsettled, 0);
    check.at_least("it-did-wait", begun.elapsed(), std::time::Duration::from_millis(700));
    check.that("next-ends", run.consumer.next().await.is_none(), ());
    check.eq("committed-what-was-consumed", world.offsets(&group, &topic), (151, 400));
    let left = world.online(&group);
    check.that("left-the-group", left.is_empty(), &left);
    check.eq("stops-twice-alike", run.consumer.shutdown().await.unsettled, 0);

    // A new client goes on exactly there.
    client.shutdown().await;
    let client = world.client::<L>().await;
    let mut run = start(&client, &group, &topic, StartFrom::First).await;
    let rest = collect(&run.consumer, 249).await;
    let all = some.iter().chain([&last]).chain(&rest).map(|got| got.text());
    check.eq("the-rest-comes-and-nothing-twice", sorted(all), names(0..400));
    check.eq("nothing-more", extra(&run.consumer).await, Vec::<String>::new());
    // By ending the whole client this time.
    client.shutdown().await;
    check.eq("client-shutdown-commits-too", world.offsets(&group, &topic), (400, 400));
    let trouble: Vec<_> = drain(&mut run.events).into_iter().filter(is_trouble).collect();
    let trouble: Vec<_> = trouble.into_iter().filter(|event| !matches!(event, ClientEvent::LinkDown(_))).collect();
    check.that("no-trouble", trouble.is_empty(), trouble);

    // What is not settled in time is given up, uncommitted, and comes again.
    let client = world.client::<L>().await;
    let producer = super::kit::producer(&client, "clean_producer").await;
    producer.send(Message::new(topic.as_str(), "stuck")).await.expect("a receipt");
    let run = start(&client, &group, &topic, StartFrom::First).await;
    let stuck = run.consumer.next().await.expect("a delivery");
    let drained = run.consumer.shutdown_within(std::time::Duration::from_secs(2)).await;
    check.eq("tells-what-is-unsettled", drained.unsettled, 1);
    check.eq("does-not-commit-it", world.offsets(&group, &topic), (400, 401));
    stuck.ack();
    let run = start(&client, &group, &topic, StartFrom::First).await;
    let again = receive(&run.consumer, 1, PATIENCE, Delivery::ack).await;
    let seen: Vec<_> = again.iter().map(|got| (got.text(), got.times)).collect();
    check.eq("it-comes-again", seen, [("stuck".to_owned(), 0)]);
    client.shutdown().await;
    check.eq("and-is-committed-then", world.offsets(&group, &topic), (401, 401));
}

/// A consumer and what was told while it started.
struct Run {
    consumer: PushConsumer,
    events: rocketmq_core::driver::EventStream,
    seen: Vec<ClientEvent>,
}

impl Run {
    /// The start of each queue of the topic, by queue.
    fn positions(&self, topic: &str) -> Vec<(u64, StartReason)> {
        let at = self.seen.iter().filter_map(|event| match event {
            ClientEvent::StartPosition { queue, offset, reason, .. } if queue.topic.as_str() == topic => {
                Some((queue.id, (offset.get(), *reason)))
            }
            _ => None,
        });
        at.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    fn steps(&self) -> Vec<u8> {
        let steps = self.seen.iter().filter_map(|event| match event {
            ClientEvent::Start { step, .. } => Some(StartStep::number(*step)),
            _ => None,
        });
        steps.collect()
    }
}

/// Starts a consumer and waits until each queue has its position.
async fn start(client: &Client, group: &str, topic: &str, from: StartFrom) -> Run {
    let mut events = client.events();
    let consumer = client.push_consumer(group).subscribe(topic, "*").start_from(from);
    let consumer = consumer.start().await.expect("a consumer");
    let mut run = Run { consumer, seen: drain(&mut events), events };
    let end = std::time::Instant::now() + PATIENCE;
    while run.positions(topic).len() < QUEUES && std::time::Instant::now() < end {
        sleep(std::time::Duration::from_millis(20)).await;
        run.seen.extend(drain(&mut run.events));
    }
    run
}

fn bodies(got: &[super::kit::Got]) -> Vec<String> {
    sorted(got.iter().map(super::kit::Got::text))
}

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    sorted(range.map(|n| format!("m{n}")))
}
