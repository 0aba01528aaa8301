//! The client at one moment, as its handles see it, in the simulator.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::time::Duration;

use rocketmq_core::client::snapshot::{ConsumerState, LinkState, QueuePhase, Snapshot};
use rocketmq_core::config::{LatencyFaults, StartFrom};
use rocketmq_core::driver::Client;
use rocketmq_core::message::Message;
use rocketmq_testkit::cluster::Node;
use rocketmq_testkit::sim::{Sim, World};

async fn client(world: &World) -> Client {
    Client::builder().connect_on(&world.host("10.0.2.1")).await.unwrap()
}

async fn look(client: &Client) -> Snapshot {
    client.snapshot().await.unwrap()
}

#[test]
fn sends_under_way_are_counted_by_link_and_by_producer() {
    let report = Sim::new(1).calm().brokers(1).topic("t", 1).run(|world| async move {
        let client = client(&world).await;
        let builder = client.producer("p").under_way(8, 10_000).latency_faults(LatencyFaults::java(false));
        let producer = builder.start().await.unwrap();
        producer.send(Message::new("t", "first")).await.unwrap();
        let before = look(&client).await;
        assert_eq!(before.producers[0].instances[0].messages, 0);
        let host = world.host("10.0.2.1");
        for _ in 0..3 {
            let producer = producer.clone();
            world.spawn_on(&host, async move { producer.send(Message::new("t", "hello")).await.map(drop) }).detach();
        }
        // They are sent, and no answer can be here yet.
        world.sleep(Duration::from_micros(1)).await;
        let during = look(&client).await;
        let [load] = &during.producers[0].instances[..] else { panic!("{:?}", during.producers) };
        assert_eq!((load.messages, load.messages_limit), (3, 8));
        assert_eq!((load.bytes, load.bytes_limit), (15, 10_000));
        let broker = |snapshot: &Snapshot| {
            snapshot.links.iter().find(|link| link.broker.is_some() && link.state == LinkState::Up).unwrap().clone()
        };
        assert_eq!(broker(&during).sends, Some(3));
        assert!(broker(&during).send_bytes > Some(15), "{:?}", broker(&during));
        assert_eq!(load.faults.len(), 1, "the first send told of its broker: {load:?}");
        assert!(load.faults[0].reachable && load.faults[0].left_alone_for_ms.is_none(), "{load:?}");
        world.sleep(Duration::from_secs(1)).await;
        let after = look(&client).await;
        assert_eq!((after.producers[0].instances[0].messages, broker(&after).sends), (0, Some(0)));
        // A producer that is gone is not shown, and a client that has ended shows nothing.
        drop(producer);
        world.sleep(Duration::from_secs(1)).await;
        assert_eq!(look(&client).await.producers.len(), 0);
        client.shutdown().await;
        assert_eq!(client.snapshot().await, None);
    });
    assert_eq!(report.failure, None);
}

#[test]
fn a_consumer_is_shown_as_far_as_its_handlers_are() {
    let report = Sim::new(2).calm().brokers(1).topic("t", 1).run(|world| async move {
        let client = client(&world).await;
        let producer = client.producer("p").start().await.unwrap();
        for n in 0..5 {
            producer.send(Message::new("t", n.to_string())).await.unwrap();
        }
        let consumer = client.push_consumer("g").subscribe("t", "*").start_from(StartFrom::First);
        let consumer = consumer.start().await.unwrap();
        consumer.next().await.unwrap().ack();
        let in_hand = (consumer.next().await.unwrap(), consumer.next().await.unwrap());
        let snapshot = look(&client).await;
        let of = &snapshot.consumers[0];
        assert_eq!((of.group.as_str(), of.state), ("g", ConsumerState::Running));
        let queue = of.queues.iter().find(|queue| queue.queue.topic.as_str() == "t").unwrap();
        assert_eq!((queue.phase, queue.settled_to, queue.next_pull), (QueuePhase::Pulling, Some(1), 5));
        assert_eq!((queue.cached, queue.outstanding, queue.end, queue.backlog), (4, 2, Some(5), Some(4)));
        assert_eq!(snapshot.cache_bytes, queue.cached_bytes);
        world.stop(Node::Broker(0));
        world.sleep(Duration::from_secs(60)).await;
        let queue = look(&client).await.consumers[0].queues.iter().find(|of| of.queue.id == 0).cloned().unwrap();
        assert!(queue.failure.is_some(), "{queue:?}");
        drop(in_hand);
        client.shutdown().await;
    });
    assert_eq!(report.failure, None);
}
