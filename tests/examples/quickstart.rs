//! The whole path in a moment: start, send 1,000 messages, consume each exactly once, show what is committed.
//!
//! Without arguments it runs on an embedded cluster, with no network. `--namesrv HOST:PORT` takes a real one.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a program, not the library")]

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_lite::{FutureExt, future};
use rocketmq_smol::{Client, ClientEvent, Message, StartFrom, StoreStatus};
use rocketmq_testkit::cluster::tcp::EmbeddedCluster;

const MESSAGES: usize = 1_000;
const QUEUES: u32 = 8;
const AT_ONCE: usize = 32;

fn main() -> ExitCode {
    match smol::block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let (namesrv, _cluster) = cluster()?;
    println!("name server  {namesrv}");
    let client = rocketmq_smol::connect(&namesrv).await?;
    let run = begun_millis();
    let (topic, group) = (format!("quickstart_{run}"), format!("quickstart_group_{run}"));
    client.admin().create_topic(topic.as_str(), QUEUES).await?;
    println!("topic        {topic}, {QUEUES} queues");

    let mut events = client.events();
    let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*");
    let consumer = consumer.start_from(StartFrom::First).start().await?;
    while let Some(event) = events.try_next() {
        if let ClientEvent::Start { step, .. } = event {
            println!("start {}      {step:?}", step.number());
        }
    }

    let sent = Instant::now();
    send_all(&client, &topic).await?;
    println!("sent         {MESSAGES} messages in {:.1?}", sent.elapsed());

    let consumed = Instant::now();
    let mut seen = BTreeMap::<String, u32>::new();
    let receive = async {
        while seen.len() < MESSAGES
            && let Some(delivery) = consumer.next().await
        {
            *seen.entry(String::from_utf8_lossy(delivery.message().body()).into_owned()).or_default() += 1;
            delivery.ack();
        }
    };
    let timeout = async {
        smol::Timer::after(Duration::from_secs(20)).await;
    };
    receive.or(timeout).await;
    let one_more = async { u32::from(consumer.next().await.is_some()) };
    let extra = one_more.or(async {
        smol::Timer::after(Duration::from_millis(200)).await;
        0
    });
    let extra = extra.await;
    let total = seen.values().sum::<u32>() + extra;
    println!("consumed     {} different messages, {total} deliveries, in {:.1?}", seen.len(), consumed.elapsed());

    let drained = consumer.shutdown().await;
    println!("stopped      {} unsettled", drained.unsettled);
    let mut committed = 0;
    for queue in client.admin().queues(topic.as_str()).await? {
        let offset = client.admin().committed(group.as_str(), &queue).await?.map_or(0, |offset| offset.get());
        println!("committed    {queue}  {offset}");
        committed += offset;
    }
    client.shutdown().await;
    println!("done         in {:.1?}", begun.elapsed());
    if seen.len() != MESSAGES || total as usize != MESSAGES || committed != MESSAGES as u64 {
        return Err("every message should have been consumed and committed exactly once".into());
    }
    Ok(())
}

/// The name server to use, and the cluster to keep alive while it is embedded.
fn cluster() -> Result<(String, Option<EmbeddedCluster>), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        (None, _) => {
            let cluster = EmbeddedCluster::start()?;
            Ok((cluster.namesrv(), Some(cluster)))
        }
        (Some("--namesrv"), Some(address)) => Ok((address, None)),
        _ => Err("usage: quickstart [--namesrv HOST:PORT]".into()),
    }
}

async fn send_all(client: &Client, topic: &str) -> Result<(), Box<dyn Error>> {
    let producer = client.producer("quickstart_producer").start().await?;
    let numbers: Vec<_> = (0..MESSAGES).collect();
    for chunk in numbers.chunks(AT_ONCE) {
        let sends = chunk.iter().map(|n| producer.send(Message::new(topic, format!("message {n}"))));
        for receipt in join(sends.collect()).await {
            assert_eq!(receipt?.status(), StoreStatus::Stored);
        }
    }
    Ok(())
}

/// Runs futures side by side in this task.
async fn join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    future::poll_fn(|cx| {
        let mut ready = true;
        for (future, output) in &mut pending {
            if output.is_none() {
                match future.as_mut().poll(cx) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pending.into_iter().filter_map(|(_, output)| output).collect()
}

/// Tells runs on one cluster apart.
fn begun_millis() -> u128 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis())
}
