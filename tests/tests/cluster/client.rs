//! The whole client against the embedded cluster.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use rocketmq_smol::{ClientEvent, Message, StartFrom};
use rocketmq_testkit::cluster::EmbeddedCluster;

const MESSAGES: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_thousand_messages_are_sent_and_consumed() {
    let cluster = EmbeddedCluster::builder().brokers(2).topic("T", 4).start().unwrap();
    send_and_consume(&cluster);
    assert!(cluster.members("G").iter().all(Vec::is_empty));
}

#[test]
fn what_is_consumed_is_committed_when_the_consumer_has_ended() {
    for _ in 0..30 {
        let cluster = EmbeddedCluster::builder().brokers(2).topic("T", 4).start().unwrap();
        send_and_consume(&cluster);
        assert_eq!(cluster.committed("G").values().sum::<i64>(), 1_000);
    }
}

fn send_and_consume(cluster: &EmbeddedCluster) {
    let seen = smol::block_on(async {
        let client = rocketmq_smol::connect(&cluster.namesrv()).await.unwrap();
        let producer = client.producer("PG").start().await.unwrap();
        for n in 0..MESSAGES {
            producer.send(Message::new("T", n.to_string())).await.unwrap();
        }
        let consumer = client.push_consumer("G").subscribe("T", "*").start_from(StartFrom::First);
        let consumer = consumer.start().await.unwrap();
        let mut seen = BTreeSet::new();
        let receive = async {
            while seen.len() < MESSAGES
                && let Some(delivery) = consumer.next().await
            {
                seen.insert(delivery.message().detach());
                delivery.ack();
            }
        };
        let timeout = async {
            smol::Timer::after(PATIENCE).await;
        };
        receive.or(timeout).await;
        consumer.shutdown().await;
        client.shutdown().await;
        seen
    });
    assert_eq!(seen.len(), MESSAGES);
}

#[test]
fn a_message_that_fails_is_redelivered_and_then_dead() {
    let cluster = EmbeddedCluster::builder().topic("T", 1).delay_levels([Duration::from_millis(20)]).start().unwrap();
    smol::block_on(async {
        let client = rocketmq_smol::connect(&cluster.namesrv()).await.unwrap();
        let consumer = client.push_consumer("G").subscribe("T", "*").start_from(StartFrom::First);
        let consumer = consumer.start().await.unwrap();
        let producer = client.producer("PG").start().await.unwrap();
        producer.send(Message::new("T", "fails")).await.unwrap();
        let mut times = Vec::new();
        let started = Instant::now();
        while times.len() < 3 && started.elapsed() < PATIENCE {
            let delivery = consumer.next().await.unwrap();
            times.push(delivery.message().reconsume_times());
            if times.len() < 3 { delivery.retry() } else { delivery.dead_letter() }
        }
        assert_eq!(times, [0, 1, 2]);
        consumer.shutdown().await;
        client.shutdown().await;
    });
    let dead = cluster.stored("%DLQ%G");
    assert_eq!((dead.len(), dead[0].reconsume_times, &*dead[0].body), (1, 3, &b"fails"[..]));
}

#[test]
fn a_dead_message_stays_dead_when_its_broker_does_not_take_it_back() {
    let cluster = EmbeddedCluster::builder().brokers(2).topic("T", 1);
    let cluster = cluster.delay_levels([Duration::from_millis(20)]).start().unwrap();
    smol::block_on(async {
        let client = rocketmq_smol::connect(&cluster.namesrv()).await.unwrap();
        let mut events = client.events();
        let consumer = client.push_consumer("G").subscribe("T", "*").start_from(StartFrom::First);
        let consumer = consumer.start().await.unwrap();
        let producer = client.producer("PG").start().await.unwrap();
        let knows_the_retry_topic = |event: &ClientEvent| matches!(event, ClientEvent::Rebalanced { topic, .. } if topic.as_str() == "%RETRY%G");
        while !knows_the_retry_topic(&events.next().await.unwrap()) {}
        let queues = client.admin().queues("T").await.unwrap();
        producer.send_to(Message::new("T", "fails"), queues[0].clone()).await.unwrap();
        let delivery = consumer.next().await.unwrap();
        cluster.stop_broker(0).unwrap();
        delivery.dead_letter();
        let started = Instant::now();
        let published = || cluster.stored("%DLQ%G").len() + cluster.stored("%RETRY%G").len();
        while published() == 0 && started.elapsed() < PATIENCE {
            smol::Timer::after(Duration::from_millis(20)).await;
        }
        client.shutdown_within(Duration::from_secs(1)).await;
    });
    assert_eq!(cluster.stored("%RETRY%G").len(), 0);
    let dead = cluster.stored("%DLQ%G");
    assert_eq!((dead.len(), &*dead[0].body), (1, &b"fails"[..]));
}
