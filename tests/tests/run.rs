//! The ways to receive: `next`, `run`, the stream, clones of one consumer.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::StreamExt;
use rocketmq_testkit::cluster::tcp::EmbeddedCluster;
use rocketmq_tokio::wire::body::ConsumeResult;
use rocketmq_tokio::{
    Client, ClientEvent, DeliveryBatch, Message, Permission, Producer, PushConsumer, ReceivedMessage, ServerPolicy,
    StartFrom,
};
use tokio::time::timeout;

async fn start(cluster: &EmbeddedCluster) -> (Client, Producer, PushConsumer) {
    let client = rocketmq_tokio::connect(cluster.namesrv()).await.unwrap();
    let producer = client.producer("P").start().await.unwrap();
    let consumer = client.push_consumer("G").subscribe("T", "*").start_from(StartFrom::First).start().await.unwrap();
    (client, producer, consumer)
}

fn cluster() -> EmbeddedCluster {
    let levels = [Duration::from_millis(20); 18];
    EmbeddedCluster::builder().topic("T", 4).delay_levels(levels).start().unwrap()
}

async fn send(producer: &Producer, count: usize) {
    for n in 0..count {
        producer.send(Message::new("T", format!("{n}"))).await.unwrap();
    }
}

fn committed(cluster: &EmbeddedCluster) -> i64 {
    cluster.committed("G").into_iter().filter(|((topic, ..), _)| topic == "T").map(|(_, offset)| offset).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_has_as_many_handlers_at_once_as_asked_and_no_more() {
    const AT_ONCE: usize = 8;
    let cluster = cluster();
    let (client, producer, consumer) = start(&cluster).await;
    send(&producer, 64).await;
    let (now, most, done) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let handlers = (now.clone(), most.clone(), done.clone());
    let stopper = consumer.clone();
    // A task of its own: the future has to be `Send`, and `'static` with its consumer.
    let task = tokio::spawn(async move {
        consumer
            .run(AT_ONCE, |delivery| {
                let (now, most, done) = handlers.clone();
                async move {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    delivery.ack();
                    done.fetch_add(1, Ordering::SeqCst);
                }
            })
            .await;
    });
    timeout(PATIENCE, async {
        while done.load(Ordering::SeqCst) < 64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
    assert_eq!(stopper.shutdown().await.unsettled, 0);
    timeout(PATIENCE, task).await.expect("run ends with its consumer").unwrap();
    assert_eq!(committed(&cluster), 64);
    client.shutdown().await;
}

#[tokio::test]
async fn a_handler_that_panics_fails_its_message_and_nothing_else() {
    let cluster = cluster();
    let (client, producer, consumer) = start(&cluster).await;
    send(&producer, 20).await;
    let seen = Mutex::new(BTreeMap::<String, Vec<i32>>::new());
    let acked = AtomicUsize::new(0);
    let run = consumer.run(4, |delivery| {
        let (seen, acked, consumer) = (&seen, &acked, &consumer);
        async move {
            let body = String::from_utf8_lossy(delivery.message().body()).into_owned();
            let times = delivery.message().reconsume_times();
            assert_eq!(delivery.message().topic().as_str(), "T", "whichever way it came");
            seen.lock().unwrap().entry(body.clone()).or_default().push(times);
            if times == 0 && body.ends_with('3') {
                panic!("a handler's bug; this text belongs in the output of a test that passes");
            }
            delivery.ack();
            if acked.fetch_add(1, Ordering::SeqCst) + 1 == 20 {
                consumer.shutdown_within(Duration::ZERO).await;
            }
        }
    });
    timeout(PATIENCE, run).await.expect("every message is consumed in the end");
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.len(), 20);
    for (body, times) in seen {
        let expected: &[i32] = if body.ends_with('3') { &[0, 1] } else { &[0] };
        assert_eq!(times, expected, "message {body}");
    }
    client.shutdown().await;
}

#[tokio::test]
async fn a_consumer_is_a_stream_that_ends_with_it() {
    let cluster = cluster();
    let (client, producer, consumer) = start(&cluster).await;
    send(&producer, 10).await;
    let stopper = consumer.clone();
    let stream = consumer.map(|delivery| {
        let body = String::from_utf8_lossy(delivery.message().body()).into_owned();
        delivery.ack();
        body.parse::<u32>().unwrap()
    });
    let mut stream = Box::pin(stream);
    let mut bodies: Vec<_> = timeout(PATIENCE, StreamExt::take(&mut stream, 10).collect::<Vec<_>>()).await.unwrap();
    bodies.sort_unstable();
    assert_eq!(bodies, (0..10).collect::<Vec<_>>());
    let (drained, end) = tokio::join!(stopper.shutdown(), timeout(PATIENCE, stream.next()));
    assert_eq!((drained.unsettled, end.unwrap()), (0, None));
    assert_eq!(committed(&cluster), 10);
    client.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clones_share_the_work_and_each_message_goes_to_one() {
    let cluster = cluster();
    let (client, producer, consumer) = start(&cluster).await;
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let consumer = consumer.clone();
            tokio::spawn(async move {
                let mut bodies = Vec::new();
                while let Some(delivery) = consumer.next().await {
                    bodies.push(String::from_utf8_lossy(delivery.message().body()).into_owned());
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    delivery.ack();
                }
                bodies
            })
        })
        .collect();
    send(&producer, 200).await;
    timeout(PATIENCE, async {
        while committed(&cluster) < 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("offsets are committed by and by");
    consumer.shutdown().await;
    let mut all = Vec::new();
    for task in tasks {
        let bodies = task.await.unwrap();
        assert!(!bodies.is_empty(), "every clone had its share");
        all.extend(bodies);
    }
    all.sort_unstable_by_key(|body| body.parse::<u32>().unwrap());
    assert_eq!(all, (0..200).map(|n| n.to_string()).collect::<Vec<_>>());
    client.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_of_one_queue_and_what_fails_of_them_comes_again() {
    let cluster = cluster();
    let (client, producer, consumer) = start(&cluster).await;
    send(&producer, 200).await;
    let seen = Arc::new(Mutex::new(Vec::<Vec<(i32, u64, i32)>>::new()));
    let (stopper, all) = (consumer.clone(), seen.clone());
    // A task of its own: the future has to be `Send`, and `'static` with its consumer.
    let task = tokio::spawn(async move {
        let handler = |batch: DeliveryBatch| {
            let all = all.clone();
            async move {
                let row = |message: &ReceivedMessage| {
                    (message.queue().id, message.queue_offset().get(), message.reconsume_times())
                };
                let is_first = batch.messages()[0].reconsume_times() == 0;
                all.lock().unwrap().push(batch.messages().iter().map(row).collect());
                if is_first { batch.ack_up_to(3) } else { batch.ack() }
            }
        };
        consumer.run_batches(3, 5, handler).await;
    });
    let count = || seen.lock().unwrap().iter().flatten().filter(|(_, _, times)| *times == 0).count();
    let failed =
        || seen.lock().unwrap().iter().filter(|batch| batch[0].2 == 0).map(|batch| batch.len().saturating_sub(3)).sum();
    let again = || seen.lock().unwrap().iter().flatten().filter(|(_, _, times)| *times == 1).count();
    timeout(PATIENCE, async {
        while count() < 200 || again() < failed() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(stopper.shutdown().await.unsettled, 0);
    timeout(PATIENCE, task).await.expect("it ends with its consumer").unwrap();
    let seen = seen.lock().unwrap().clone();
    for batch in &seen {
        assert!((1..=5).contains(&batch.len()), "{batch:?}");
        assert!(batch.windows(2).all(|two| two[0].0 == two[1].0 && two[0].1 < two[1].1), "{batch:?}");
    }
    assert!(seen.iter().any(|batch| batch.len() == 5) && failed() > 0);
    assert_eq!((count(), again(), committed(&cluster)), (200, failed(), 200));
    client.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_has_handled_comes_as_a_batch_of_its_own() {
    let cluster = cluster();
    let policy = ServerPolicy { consume_directly: Permission::Allow, ..ServerPolicy::default() };
    let client = rocketmq_tokio::connect_with(Client::builder().server_policy(policy).name_servers(cluster.namesrv()));
    let client = client.await.unwrap();
    let producer = client.producer("P").start().await.unwrap();
    let consumer = client.push_consumer("G").subscribe("T", "*").start_from(StartFrom::First).start().await.unwrap();
    let receipt = producer.send(Message::new("T", "0")).await.unwrap();
    consumer.next_batch(5).await.unwrap().ack();
    send(&producer, 20).await;
    let stopper = consumer.clone();
    let task = tokio::spawn(async move {
        let handler = |batch: DeliveryBatch| async move {
            assert!(!batch.is_direct() || batch.len() > 1, "a handler that panics for what comes alone and directly");
            batch.ack();
        };
        consumer.run_batches(2, 5, handler).await;
    });
    let (me, id) = (client.client_id(), receipt.offset_msg_id.parse().unwrap());
    let told = client.admin().consume_directly("G", me, &receipt.queue, id).await.unwrap();
    assert_eq!(told.consume_result, Some(ConsumeResult::ThrowException));
    assert_eq!(stopper.shutdown().await.unsettled, 0);
    timeout(PATIENCE, task).await.unwrap().unwrap();
    assert_eq!(cluster.stored("%RETRY%G").len(), 0, "it is handed back to nobody");
    client.shutdown().await;
}

#[tokio::test]
async fn a_wait_for_a_batch_that_is_dropped_loses_no_message() {
    let cluster = cluster();
    let (client, producer, consumer) = start(&cluster).await;
    let mut seen = 0;
    for n in 0..60_u64 {
        send(&producer, 2).await;
        let soon = Duration::from_micros((n % 10) * 300);
        if let Ok(Some(batch)) = timeout(soon, consumer.next_batch(4)).await {
            seen += batch.len();
            batch.ack();
        }
    }
    while let Ok(Some(batch)) = timeout(Duration::from_millis(500), consumer.next_batch(1_000_000)).await {
        assert!(batch.len() <= 1_024);
        seen += batch.len();
        batch.commit();
    }
    assert_eq!(seen, 120);
    consumer.shutdown().await;
    assert_eq!((committed(&cluster), consumer.next_batch(1).await.is_none()), (120, true));
    client.shutdown().await;
}

#[tokio::test]
async fn a_suspended_consumer_hands_out_what_it_has_and_pulls_no_more() {
    let cluster = cluster();
    let (client, producer, consumer) = start(&cluster).await;
    send(&producer, 4).await;
    for _ in 0..4 {
        timeout(PATIENCE, consumer.next()).await.expect("one of each queue").unwrap().ack();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut events = client.events();
    consumer.suspend().await;
    assert!(matches!(events.try_next(), Some(ClientEvent::Suspended { .. })));
    // The pulls that are held at the broker bring one answer each.
    send(&producer, 36).await;
    let mut before = 4;
    while let Ok(Some(delivery)) = timeout(Duration::from_millis(500), consumer.next()).await {
        delivery.ack();
        before += 1;
    }
    assert!((5..40).contains(&before), "{before}");
    consumer.resume().await;
    let mut after = 0;
    while before + after < 40 {
        timeout(PATIENCE, consumer.next()).await.expect("the others come").unwrap().ack();
        after += 1;
    }
    client.shutdown().await;
    assert_eq!(committed(&cluster), 40);
}

#[tokio::test]
async fn a_wait_that_is_dropped_loses_no_message() {
    let cluster = cluster();
    let (client, producer, consumer) = start(&cluster).await;
    let mut seen = Vec::new();
    for n in 0..100_u64 {
        // Most waits are dropped, some at the moment that a message comes.
        let soon = Duration::from_micros((n % 10) * 300);
        drop(timeout(soon, producer.send(Message::new("T", format!("{n}")))).await);
        if let Ok(Some(delivery)) = timeout(soon, consumer.next()).await {
            seen.push(String::from_utf8_lossy(delivery.message().body()).into_owned());
            delivery.ack();
        }
    }
    let stored = |cluster: &EmbeddedCluster| cluster.stored("T").len();
    while let Ok(Some(delivery)) = timeout(Duration::from_millis(500), consumer.next()).await {
        seen.push(String::from_utf8_lossy(delivery.message().body()).into_owned());
        delivery.ack();
    }
    assert_eq!(seen.len(), stored(&cluster));
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), stored(&cluster), "each once");
    client.shutdown().await;
}

const PATIENCE: Duration = Duration::from_secs(15);
