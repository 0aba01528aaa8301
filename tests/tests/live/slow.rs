//! A handler that takes 35 s gets its message once, and holds up nothing else.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rocketmq_core::config::StartFrom;
use rocketmq_core::message::Message;

use super::kit::{Got, World, before, producer, send_all, sleep};
use super::runtimes::Live;

const TAKES: Duration = Duration::from_secs(35);

pub(crate) async fn scenario<L: Live>(world: &World) {
    let check = world.scope::<L>("slow-handler");
    let (topic, group) = (format!("slow_{}", L::NAME), format!("slow_group_{}", L::NAME));
    world.topic(&topic, 1);
    let client = world.client::<L>().await;
    let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
    let consumer = consumer.start().await.expect("a consumer");
    let producer = producer(&client, "slow_producer").await;

    let (begun, done) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let handling = consumer.run(4, |delivery| {
        let (begun, done) = (&begun, &done);
        async move {
            let got = Got::of(delivery.message());
            begun.lock().unwrap().push((got.text(), got.times, Instant::now()));
            if got.text() == "slow" {
                sleep(TAKES).await;
            }
            done.lock().unwrap().push((got.text(), Instant::now()));
            delivery.ack();
        }
    });
    let count = |what: &str| begun.lock().unwrap().iter().filter(|(text, ..)| text == what).count();
    let watching = async {
        let start = Instant::now();
        let quick = |from: usize| (from..from + 10).map(|n| Message::new(topic.as_str(), format!("quick {n}")));
        let first = std::iter::once(Message::new(topic.as_str(), "slow")).chain(quick(0)).collect();
        super::kit::receipts(send_all(&producer, 1, first).await);
        sleep(Duration::from_secs(15)).await;
        check.eq("others-of-the-queue-go-on", done.lock().unwrap().len(), 10);
        super::kit::receipts(send_all(&producer, 1, quick(10).collect()).await);
        sleep(Duration::from_secs(10)).await;
        check.eq("the-queue-is-still-pulled", done.lock().unwrap().len(), 20);
        let (committed, _) = world.offsets(&group, &topic);
        check.eq("the-offset-waits-for-it", committed, 0);
        before(start + TAKES + Duration::from_secs(20), async {
            while done.lock().unwrap().len() < 21 {
                sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
        sleep(Duration::from_secs(7)).await;
        check.eq("the-offset-passes-it-by-the-periodic-commit", world.offsets(&group, &topic), (21, 21));
        check.eq("delivered-once", count("slow"), 1);
        let times: i32 = begun.lock().unwrap().iter().map(|(_, times, _)| times).sum();
        check.eq("nothing-redelivered", times, 0);
        let drained = consumer.shutdown().await;
        check.eq("nothing-unsettled", drained.unsettled, 0);
    };
    futures_lite::future::zip(handling, watching).await;
    let took = |list: &[(String, Instant)]| list.iter().find(|(text, _)| text == "slow").map(|(_, at)| *at);
    let ended = took(&done.lock().unwrap());
    let started = begun.lock().unwrap().iter().find(|(text, ..)| text == "slow").map(|(.., at)| *at);
    let lasted = ended.zip(started).map(|(end, start)| end.duration_since(start)).unwrap_or_default();
    check.at_least("it-ran-to-its-end", lasted, TAKES);
    check.eq("each-handled-once", begun.lock().unwrap().len(), 21);
    client.shutdown().await;
}
