//! Routes that change under a running group: a topic gets more queues and fewer, the broker another address.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rocketmq_core::client::{ClientEvent, StartReason};
use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{Client, Delivery, Producer, PushConsumer};
use rocketmq_core::message::Message;
use rocketmq_testkit::real::RealCluster;

use super::kit::{
    Got, PATIENCE, World, collect, drain, extra, panic_text, producer, receipts, receive, send_all, sorted,
};
use super::runtimes::{Live, OnSmol, OnTokio};

/// A route is asked for every 30 s.
const KNOWN_IN: Duration = Duration::from_secs(45);

pub(crate) async fn scenario<L: Live>(world: &World) {
    let check = world.scope::<L>("routes");
    let (topic, group) = (format!("routes_{}", L::NAME), format!("routes_group_{}", L::NAME));
    world.topic(&topic, 2);
    let client = world.client::<L>().await;
    let producer = producer(&client, "routes_producer").await;
    let mut events = client.events();
    let owned = super::owned::watch(&client, &topic);
    let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
    let consumer = consumer.start().await.expect("a consumer");
    let mut sent = 0;
    for (step, queues) in [("two", 2), ("five", 5), ("one", 1), ("five-again", 5)] {
        let check = check.step(step);
        world.topic(&topic, queues);
        let wanted: BTreeSet<_> = (0..queues as i32).collect();
        let shared = super::kit::wait(KNOWN_IN, || *owned.lock().unwrap() == wanted);
        check.that("the-queues-are-ours", shared, &*owned.lock().unwrap());
        let messages = (sent..sent + 40).map(|n| Message::new(topic.as_str(), format!("m{n}"))).collect();
        let stored = receipts(send_all(&producer, 4, messages).await);
        let used: BTreeSet<_> = stored.iter().map(|receipt| receipt.queue.id).collect();
        check.eq("all-of-them-take-messages", used, wanted.clone());
        let got = collect(&consumer, 40).await;
        let texts = sorted(got.iter().map(Got::text));
        check.eq("all-messages-come", texts, sorted((sent..sent + 40).map(|n| format!("m{n}"))));
        check.eq("from-all-queues", got.iter().map(|got| got.queue_id).collect::<BTreeSet<_>>(), wanted);
        check.eq("and-nothing-twice", extra(&consumer).await, Vec::<String>::new());
        let told = drain(&mut events);
        let starts = told.iter().filter_map(|event| match event {
            ClientEvent::StartPosition { queue, offset, reason, .. } if queue.topic.as_str() == topic => {
                Some((queue.id, offset.get(), *reason))
            }
            _ => None,
        });
        let starts: Vec<_> = starts.collect();
        let fine = |start: &&(i32, u64, StartReason)| match (step, start.2) {
            // What a broker has no offset of begins at 0; 4.x says so as if it had one.
            ("two" | "five", StartReason::First | StartReason::Stored) => start.1 == 0,
            ("five-again", StartReason::Stored) => start.1 > 0,
            _ => false,
        };
        check.that("each-start-has-its-reason", starts.iter().all(|start| fine(&start)), &starts);
        sent += 40;
    }
    consumer.shutdown().await;
    check.eq("all-is-committed", world.offsets(&group, &topic), (160, 160));
    client.shutdown().await;
}

/// The broker comes back at another address, on both runtimes; what failed.
pub(crate) fn moved(world: &Arc<World>, cluster: &mut RealCluster) -> Vec<String> {
    let groups = [Moved::begin::<OnSmol>, Moved::begin::<OnTokio>].map(|begin| begin(world));
    let old = cluster.broker_addr();
    cluster.move_broker().expect("the broker starts elsewhere");
    assert_ne!(old, cluster.broker_addr());
    let end = |group: Moved| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| group.end(world)));
    groups
        .into_iter()
        .filter_map(|group| end(group).err().map(|panic| format!("moved: {}", panic_text(&*panic))))
        .collect()
}

/// A group while its broker moves.
struct Moved {
    check: super::checks::Scope,
    topic: String,
    group: String,
    client: Client,
    kill: super::runtimes::Kill,
    producer: Producer,
    consumer: PushConsumer,
}

impl Moved {
    fn begin<L: Live>(world: &Arc<World>) -> Self {
        let check = world.scope::<L>("moved");
        let (topic, group) = (format!("moved_{}", L::NAME), format!("moved_group_{}", L::NAME));
        world.topic(&topic, 4);
        let (client, kill) = L::connect_mortal(world.builder());
        let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
        let (producer, consumer) = futures_lite::future::block_on(async {
            (producer(&client, "moved_producer").await, consumer.start().await.expect("a consumer"))
        });
        let run = Self { check, topic, group, client, kill, producer, consumer };
        run.flow("before", 0);
        run
    }

    fn flow(&self, step: &str, from: usize) {
        futures_lite::future::block_on(async {
            for n in from..from + 20 {
                let end = std::time::Instant::now() + PATIENCE;
                while let Err(error) = self.producer.send(Message::new(self.topic.as_str(), format!("m{n}"))).await {
                    assert!(std::time::Instant::now() < end, "{error}");
                }
            }
            let got = receive(&self.consumer, 20, PATIENCE, Delivery::ack).await;
            let texts: BTreeSet<_> = got.iter().map(Got::text).collect();
            let wanted: BTreeSet<_> = (from..from + 20).map(|n| format!("m{n}")).collect();
            self.check.that(format!("{step}/messages-come"), texts.is_subset(&wanted) && !texts.is_empty(), &texts);
        });
    }

    fn end(self, world: &World) {
        self.flow("after", 20);
        let drained = futures_lite::future::block_on(self.consumer.shutdown());
        self.check.eq("nothing-is-unsettled", drained.unsettled, 0);
        let (committed, end) = world.offsets(&self.group, &self.topic);
        self.check.eq("all-is-committed", committed, end);
        futures_lite::future::block_on(self.client.shutdown());
        (self.kill)();
    }
}
