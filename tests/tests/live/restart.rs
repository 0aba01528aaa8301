//! A broker that restarts in the middle of the traffic: no acknowledged message is lost, and all goes on soon.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use rocketmq_core::client::ClientEvent;
use rocketmq_core::config::StartFrom;
use rocketmq_core::message::Message;
use rocketmq_testkit::real::RealCluster;

use super::checks::Scope;
use super::kit::{World, drain, panic_text, sleep};
use super::runtimes::{Live, OnSmol, OnTokio};

/// After the broker is up.
const RECOVERED_IN: Duration = Duration::from_secs(10);
/// Traffic before and after the restart.
const WARM: Duration = Duration::from_secs(4);
const SENDERS: usize = 4;

/// Traffic on both runtimes while the broker restarts; what failed.
pub(crate) fn both_runtimes(world: &Arc<World>, cluster: &mut RealCluster, graceful: bool) -> Vec<String> {
    let begun = Instant::now();
    let flow = Arc::new(Flow::default());
    let running = [
        (OnSmol::NAME, spawn::<OnSmol>(world, &flow, graceful)),
        (OnTokio::NAME, spawn::<OnTokio>(world, &flow, graceful)),
    ];
    std::thread::sleep(WARM);
    *flow.down.lock().unwrap() = Some(Instant::now());
    cluster.restart_broker(graceful).expect("the broker comes back");
    *flow.up.lock().unwrap() = Some(Instant::now());
    std::thread::sleep(RECOVERED_IN);
    flow.stop.store(true, Ordering::SeqCst);
    let ended = running.into_iter().filter_map(|(name, thread)| {
        let panic = thread.join().expect("panics are caught")?;
        Some(format!("{name}/restart: {panic}"))
    });
    let failures = ended.collect();
    let boot = cluster.broker_boot_time();
    eprintln!(
        "{}: restart (graceful={graceful}, boot {boot:.1?}) took {:.1?}",
        world.checks.version(),
        begun.elapsed()
    );
    failures
}

/// What the threads of one restart share.
#[derive(Default)]
struct Flow {
    stop: AtomicBool,
    down: Mutex<Option<Instant>>,
    up: Mutex<Option<Instant>>,
}

fn spawn<L: Live>(world: &Arc<World>, flow: &Arc<Flow>, graceful: bool) -> std::thread::JoinHandle<Option<String>> {
    let (world, flow) = (world.clone(), flow.clone());
    std::thread::spawn(move || {
        let scenario = || L::block_on(scenario::<L>(&world, &flow, graceful));
        std::panic::catch_unwind(AssertUnwindSafe(scenario)).err().map(|panic| panic_text(&*panic))
    })
}

async fn scenario<L: Live>(world: &World, flow: &Flow, graceful: bool) {
    let name = if graceful { "restart-graceful" } else { "restart-kill9" };
    let check = world.scope::<L>(name);
    let (topic, group) = (format!("{name}_{}", L::NAME), format!("{name}_group_{}", L::NAME));
    world.topic(&topic, 4);
    let client = world.client::<L>().await;
    let mut events = client.events();
    let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
    let consumer = consumer.start().await.expect("a consumer");
    let producer = client.producer(format!("{name}_producer")).start().await.expect("a producer");

    let acked = Mutex::new(Vec::<(String, Instant)>::new());
    let failed = Mutex::new(Vec::<String>::new());
    let seen = Mutex::new(Vec::<(String, Instant)>::new());
    let sender = |lane: usize| {
        let (producer, acked, failed, topic) = (&producer, &acked, &failed, topic.as_str());
        async move {
            let mut n = 0;
            while !flow.stop.load(Ordering::SeqCst) {
                let text = format!("{lane}-{n}");
                match producer.send(Message::new(topic, text.clone())).await {
                    Ok(_) => {
                        acked.lock().unwrap().push((text, Instant::now()));
                        n += 1;
                    }
                    Err(error) => {
                        assert!(error.is_retryable(), "{error}");
                        failed.lock().unwrap().push(error.to_string());
                    }
                }
                sleep(Duration::from_millis(10)).await;
            }
        }
    };
    let consuming = consumer.run(8, |delivery| {
        let text = String::from_utf8_lossy(delivery.message().body()).into_owned();
        seen.lock().unwrap().push((text, Instant::now()));
        delivery.ack();
        std::future::ready(())
    });
    let sending = async {
        let executor = smol::LocalExecutor::new();
        let lanes: Vec<_> = (0..SENDERS).map(|lane| executor.spawn(sender(lane))).collect();
        executor
            .run(async {
                for lane in lanes {
                    lane.await;
                }
            })
            .await;
        // What is acknowledged must come within a moment.
        let end = Instant::now() + Duration::from_secs(20);
        while !missing(&acked, &seen).is_empty() && Instant::now() < end {
            sleep(Duration::from_millis(100)).await;
        }
        consumer.shutdown().await
    };
    let (drained, ()) = futures_lite::future::zip(sending, consuming).await;

    let never_seen = missing(&acked, &seen);
    let (acked, seen) = (acked.into_inner().unwrap(), seen.into_inner().unwrap());
    let down = flow.down.lock().unwrap().expect("the broker went down");
    let up = flow.up.lock().unwrap().expect("the broker came up");
    eprintln!(
        "{}: {}/{name}: {} acked, {} failed sends",
        world.checks.version(),
        L::NAME,
        acked.len(),
        failed.lock().unwrap().len()
    );
    let events = drain(&mut events);
    let back = events.iter().filter(|event| matches!(event, ClientEvent::LinkUp(_))).count();
    check.at_least("links-came-back", back, 2);
    let lost = |event: &&ClientEvent| matches!(event, ClientEvent::Rebalanced { revoked, .. } if !revoked.is_empty());
    let revoked: Vec<_> = events.iter().filter(lost).collect();
    check.that("a-restart-moves-no-queue", revoked.is_empty(), revoked);
    let before = acked.iter().filter(|(_, at)| *at < down).count();
    check.at_least("traffic-before", before, 100);
    check.that("consumed-before", seen.iter().any(|(_, at)| *at < down), ());
    recovered(&check, "sending", &acked, up);
    let fresh: BTreeSet<_> = acked.iter().filter(|(_, at)| *at > up).map(|(text, _)| text.as_str()).collect();
    let consumed_fresh: Vec<_> = seen.iter().filter(|(text, _)| fresh.contains(text.as_str())).cloned().collect();
    recovered(&check, "consumption", &consumed_fresh, up);
    check.at_least("traffic-after", fresh.len(), 100);
    check.eq("nothing-lost", never_seen, Vec::<String>::new());
    check.eq("nothing-unsettled", drained.unsettled, 0);
    let (committed, max) = world.offsets(&group, &topic);
    check.eq("all-committed", committed, max);
    check.at_least("the-broker-has-what-it-acknowledged", max, acked.len() as i64);
    client.shutdown().boxed_local().await;
}

/// The first after the broker was up came soon.
fn recovered(check: &Scope, what: &str, list: &[(String, Instant)], up: Instant) {
    let first = list.iter().map(|(_, at)| *at).filter(|at| *at > up).min();
    let after = first.map_or(Duration::MAX, |first| first - up);
    check.below(format!("{what}-recovers-in-time"), after, RECOVERED_IN);
    eprintln!("  {what} goes on {after:.1?} after the broker was up");
}

fn missing(acked: &Mutex<Vec<(String, Instant)>>, seen: &Mutex<Vec<(String, Instant)>>) -> Vec<String> {
    let seen = seen.lock().unwrap();
    let seen: BTreeSet<_> = seen.iter().map(|(text, _)| text.as_str()).collect();
    let acked = acked.lock().unwrap();
    acked.iter().map(|(text, _)| text).filter(|text| !seen.contains(text.as_str())).cloned().collect()
}
