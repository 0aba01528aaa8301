//! Producers in the simulator: what is under way is bounded, whoever waits has a turn, and heartbeats wait for nobody.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rocketmq_core::config::{AutoBatch, LatencyFaults};
use rocketmq_core::driver::Client;
use rocketmq_core::message::Message;
use rocketmq_core::send::SendError;
use rocketmq_testkit::cluster::Node;
use rocketmq_testkit::sim::history::What;
use rocketmq_testkit::sim::{Sim, Task, World};

const SENDS: usize = 100_000;
const MOST: usize = 64;
const MOST_BYTES: usize = 3_000;
const HEARTBEAT: Duration = Duration::from_millis(20);

/// The body of a message, and its offset or why it has none.
type Ended = (String, Result<u64, SendError>);

async fn client(world: &World) -> Client {
    let host = world.host("10.0.2.1");
    Client::builder().heartbeat_interval(HEARTBEAT).connect_on(&host).await.unwrap()
}

#[test]
fn a_hundred_thousand_sends_at_once_keep_within_the_budget_and_heartbeats_go_on() {
    let report = Sim::new(1).calm().topic("t", 4).run(|world| async move {
        let client = client(&world).await;
        let builder = client.producer("p").under_way(MOST, MOST_BYTES).send_timeout(Duration::from_secs(3_600));
        let producer = builder.start().await.unwrap();
        let (done, order) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        for n in 0..SENDS {
            let (producer, done, order) = (producer.clone(), done.clone(), order.clone());
            let send = async move {
                producer.send(Message::new("t", vec![b'x'; 64])).await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
                order.lock().unwrap().push(n);
            };
            world.spawn_on(&world.host("10.0.2.1"), send).detach();
        }
        let mut busiest = 0;
        while done.load(Ordering::Relaxed) < SENDS {
            world.sleep(Duration::from_micros(300)).await;
            let load = producer.load();
            assert!(load.requests <= MOST && load.bytes <= MOST_BYTES, "{load:?}");
            busiest = busiest.max(load.requests);
        }
        assert_eq!(busiest, MOST_BYTES / 64, "the bytes are what bounds it");
        assert_eq!(producer.load().requests, 0);
        // Whoever came first is not overtaken by more than what is under way beside it.
        let order = std::mem::take(&mut *order.lock().unwrap());
        let far = order.iter().enumerate().map(|(at, n)| at.abs_diff(*n)).max().unwrap();
        assert!(far <= MOST, "one is {far} places off");
        assert_eq!(world.cluster(|cluster| cluster.stored("t").count()), SENDS);
        client.shutdown().await;
    });
    assert_eq!(report.failure, None);
    let beats: Vec<_> =
        report.history.rows.iter().filter(|row| matches!(row.what, What::Heartbeat { .. })).map(|row| row.at).collect();
    assert!(beats.len() > 20, "{}", beats.len());
    let longest = beats.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
    assert!(longest < HEARTBEAT + Duration::from_millis(5), "a heartbeat waits for {longest:?}");
}

#[test]
fn what_waits_for_room_ends_with_its_time_and_was_not_sent() {
    let report = Sim::new(2).calm().topic("t", 1).run(|world| async move {
        let client = client(&world).await;
        let builder = client.producer("p").under_way(1, 1_000).send_timeout(Duration::from_millis(200));
        let producer = builder.start().await.unwrap();
        let message = || Message::new("t", "x");
        // It has its place, and nobody polls it.
        let first = producer.try_send(message()).unwrap();
        let busy = producer.try_send(message()).map(drop).unwrap_err();
        assert_eq!(busy.into_message(), message());
        let began = world.now();
        let error = producer.send(message()).await.unwrap_err();
        assert_eq!(world.now().since(began), Duration::from_millis(200));
        assert!(!error.may_be_stored() && error.is_retryable(), "{error}");
        drop(first);
        producer.send(message()).await.unwrap();
        assert_eq!(world.cluster(|cluster| cluster.stored("t").count()), 1);
        client.shutdown().await;
    });
    assert_eq!(report.failure, None);
}

#[test]
fn a_batch_that_fails_fails_only_its_own_messages_and_those_whose_senders_are_gone_are_not_sent() {
    let report = Sim::new(3).calm().topic("t", 1).topic("u", 1).run(|world| async move {
        let client = client(&world).await;
        let builder = client.producer("p").auto_batch(AutoBatch::default()).retries(0);
        let producer = builder.start().await.unwrap();
        let all: Arc<Mutex<Vec<Ended>>> = Arc::default();
        let host = world.host("10.0.2.1");
        let mut tasks = Vec::new();
        for (topic, body) in [("t", "t0"), ("u", "u0"), ("t", "t1"), ("no-such", "n0"), ("u", "u1")] {
            let (producer, all) = (producer.clone(), all.clone());
            let topic = if topic == "no-such" { "x".repeat(127) } else { topic.to_owned() };
            let send = async move {
                let message =
                    Message::new(topic, body).with_property("torn", if body == "t1" { "a\u{2}b" } else { "y" });
                let result = producer.send(message).await;
                all.lock().unwrap().push((body.to_owned(), result.map(|receipt| receipt.queue_offset.get())));
            };
            tasks.push(world.spawn_on(&host, send));
        }
        // Its sender has gone before the batch goes.
        let gone = producer.send(Message::new("u", "gone"));
        let short = async {
            world.sleep(Duration::from_millis(2)).await;
        };
        futures_lite::future::or(async { drop(gone.await) }, short).await;
        for task in tasks {
            task.await;
        }
        let mut all = all.lock().unwrap().clone();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        let told: Vec<_> = all.iter().map(|(body, result)| (body.as_str(), result.as_ref().ok().copied())).collect();
        assert_eq!(told, [("n0", Some(0)), ("t0", Some(0)), ("t1", None), ("u0", Some(0)), ("u1", Some(1))]);
        assert_eq!(world.cluster(|cluster| cluster.stored("u").count()), 2);
        client.shutdown().await;
    });
    assert_eq!(report.failure, None);
}

#[test]
fn a_broker_out_of_reach_is_left_alone_and_probed_until_it_is_back() {
    let report = Sim::new(4).calm().brokers(2).topic("t", 1).run(|world| async move {
        let client = client(&world).await;
        let builder = client.producer("p").latency_faults(LatencyFaults::java(true));
        let producer = builder.start().await.unwrap();
        let place = async |n: usize| {
            let receipt = producer.send(Message::new("t", format!("{n}"))).await.unwrap();
            receipt.queue.broker.as_str().to_owned()
        };
        let mut used = std::collections::BTreeSet::new();
        for n in 0..4 {
            used.insert(place(n).await);
        }
        assert_eq!(used.len(), 2, "both are fine");
        world.crash(Node::Broker(0));
        for n in 4..20 {
            assert_eq!(place(n).await, "broker-b");
        }
        world.start(Node::Broker(0));
        // Banned for 10 s.
        world.sleep(Duration::from_secs(60)).await;
        let mut used = std::collections::BTreeSet::new();
        for n in 20..30 {
            used.insert(place(n).await);
        }
        assert_eq!(used.len(), 2, "it is back");
        client.shutdown().await;
    });
    assert_eq!(report.failure, None);
}

/// A producer that lets messages wait for others for 20 s, and sends of it that wait.
async fn gathering(world: &World, count: u64) -> (Client, Vec<Task<Result<u64, SendError>>>) {
    let client = client(world).await;
    let batch = AutoBatch { max_delay: Duration::from_secs(20), ..AutoBatch::default() };
    let builder = client.producer("p").auto_batch(batch).send_timeout(Duration::from_secs(60));
    let producer = builder.start().await.unwrap();
    // A link that is up, and a message that waits for none.
    producer.send(Message::new("t", "first").with_delay_level(1)).await.unwrap();
    let host = world.host("10.0.2.1");
    let send = |n| {
        let producer = producer.clone();
        world.spawn_on(&host, async move {
            let message = Message::new("t", format!("{n}")).with_tag(if n % 2 == 0 { "even" } else { "odd" });
            producer.send(message).await.map(|receipt| receipt.queue_offset.get())
        })
    };
    let sends = (0..count).map(send).collect();
    world.sleep(Duration::from_millis(100)).await;
    (client, sends)
}

#[test]
fn what_waits_for_others_is_sent_when_the_client_ends() {
    let report = Sim::new(5).calm().brokers(1).topic("t", 1).run(|world| async move {
        let (client, sends) = gathering(&world, 10).await;
        assert_eq!(world.stored("t").len(), 0, "it waits");
        let began = world.now();
        // Nobody has to wait for the end.
        futures_lite::future::or(client.shutdown(), async {}).await;
        let mut offsets = Vec::new();
        for send in sends {
            offsets.push(send.await.unwrap().unwrap());
        }
        offsets.sort_unstable();
        assert_eq!(offsets, (0..10).collect::<Vec<_>>());
        client.shutdown().await;
        assert!(world.now().since(began) < Duration::from_millis(100), "{:?}", world.now().since(began));
        let stored = world.stored("t");
        assert_eq!(
            stored.iter().map(|stored| stored.body.clone()).collect::<std::collections::BTreeSet<_>>().len(),
            10
        );
    });
    assert_eq!(report.failure, None);
}

#[test]
fn what_cannot_be_sent_before_the_client_ends_is_not_stored_and_says_so() {
    let report = Sim::new(6).calm().brokers(1).topic("t", 1).run(|world| async move {
        let (client, sends) = gathering(&world, 6).await;
        world.crash(Node::Broker(0));
        world.sleep(Duration::from_secs(1)).await;
        let began = world.now();
        client.shutdown_within(Duration::from_secs(4)).await;
        let took = world.now().since(began);
        assert!(took <= Duration::from_secs(4), "{took:?}");
        for send in sends {
            let error = send.await.unwrap().unwrap_err();
            assert!(!error.may_be_stored(), "{error:?}");
        }
        world.start(Node::Broker(0));
        world.sleep(Duration::from_secs(5)).await;
        assert_eq!(world.stored("t").len(), 1, "the one that waited for none, which is due");
    });
    assert_eq!(report.failure, None);
}
