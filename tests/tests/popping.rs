//! Groups that pop, in the simulator: nothing is lost, and nobody handles a message beside another while it is hidden.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rocketmq_core::client::ClientEvent;
use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{Client, PushConsumer};
use rocketmq_core::message::Message;
use rocketmq_core::time::Instant;
use rocketmq_core::wire::body::MessageMode;
use rocketmq_testkit::sim::{Fault, Report, Sim, Swarm, World};

/// What happened to the messages, over all members.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    /// Handlers of each message: the member, from when, until when.
    handled: BTreeMap<String, Vec<(usize, Instant, Option<Instant>)>>,
    acknowledged: BTreeSet<String>,
    times: Vec<i32>,
    /// Members that were told that a message of theirs is hidden no longer, or may not be.
    excused: BTreeMap<usize, Instant>,
}

impl Log {
    fn with<R>(&self, work: impl FnOnce(&mut Books) -> R) -> R {
        work(&mut self.0.lock().unwrap())
    }
}

impl Books {
    /// Two handlers of one message at the same time, of which the first was not told anything.
    fn beside(&self) -> Option<String> {
        for (text, handlers) in &self.handled {
            for (at, (first, _, end)) in handlers.iter().enumerate() {
                let other = handlers.iter().skip(at + 1).find(|(_, begun, _)| end.is_none_or(|end| *begun < end));
                let Some((second, begun, _)) = other else { continue };
                let told = self.excused.get(first).is_some_and(|told| *told <= *begun);
                if !told {
                    return Some(format!("{text}: {second} begins at {begun:?} while {first} has it until {end:?}"));
                }
            }
        }
        None
    }
}

const INVISIBLE: Duration = Duration::from_secs(5);

/// A member that pops; its handlers take up to four times as long as a message is hidden at first.
async fn member(world: World, number: usize, log: Log, fails: bool) -> (Client, PushConsumer) {
    let host = world.host(&format!("10.0.1.{}", number + 1));
    let client = loop {
        if let Ok(client) = Client::builder().connect_on(&host).await {
            break client;
        }
    };
    let mut events = client.events();
    let (clock, told) = (world.clone(), log.clone());
    world
        .spawn_on(&host, async move {
            while let Some(event) = events.next().await {
                if matches!(event, ClientEvent::PopExpired { .. } | ClientEvent::PopNotSettled { .. }) {
                    let now = clock.now();
                    told.with(|books| *books.excused.entry(number).or_insert(now));
                }
            }
        })
        .detach();
    let consumer = loop {
        let builder = client.push_consumer("g").subscribe("t", "*").start_from(StartFrom::First);
        match builder.pop_invisible(INVISIBLE).max_reconsume(3).start().await {
            Ok(consumer) => break consumer,
            Err(_) => world.sleep(Duration::from_secs(1)).await,
        }
    };
    let (receiver, clock) = (consumer.clone(), world.clone());
    world
        .spawn_on(&host, async move {
            let (world, log) = (&clock, &log);
            receiver
                .run(4, |delivery| async move {
                    let text = String::from_utf8_lossy(delivery.message().body()).into_owned();
                    let begun = world.now();
                    let place = log.with(|books| {
                        books.times.push(delivery.message().reconsume_times());
                        let handlers = books.handled.entry(text.clone()).or_default();
                        handlers.push((number, begun, None));
                        handlers.len() - 1
                    });
                    let slow = world.choose(4) == 0;
                    world.sleep(Duration::from_millis(world.choose(if slow { 20_000 } else { 200 }))).await;
                    let end = world.now();
                    let hopeless = text.ends_with('7');
                    let failed = fails && (hopeless || world.choose(10) == 0);
                    log.with(|books| {
                        books.handled.get_mut(&text).unwrap()[place].2 = Some(end);
                        if !failed {
                            books.acknowledged.insert(text);
                        }
                    });
                    if failed { delivery.suspend(Duration::from_secs(1)) } else { delivery.ack() }
                })
                .await;
        })
        .detach();
    (client, consumer)
}

fn told_to_pop(world: &World) {
    world.cluster(|cluster| {
        for broker in 0..cluster.size().1 {
            cluster.broker_mut(broker).set_request_mode("t", "g", MessageMode::Pop, 0);
        }
    });
}

async fn send(world: &World, client: &Client, count: usize, pause: u64) -> Vec<String> {
    let producer = client.producer("p").retries(0).start().await.unwrap();
    let mut accepted = Vec::new();
    for number in 0..count {
        let text = format!("message {number}");
        if producer.send(Message::new("t", text.clone())).await.is_ok() {
            accepted.push(text);
        }
        world.sleep(Duration::from_millis(world.choose(pause))).await;
    }
    accepted
}

/// Without faults each message comes once, however slow its handler is.
async fn calm(world: World) -> Result<(), String> {
    told_to_pop(&world);
    let log = Log::default();
    let (first, one) = member(world.clone(), 0, log.clone(), false).await;
    let (second, two) = member(world.clone(), 1, log.clone(), false).await;
    let accepted = send(&world, &first, 60, 500).await;
    world.sleep(Duration::from_secs(60)).await;
    let unsettled = one.shutdown().await.unsettled + two.shutdown().await.unsettled;
    first.shutdown().await;
    second.shutdown().await;
    log.with(|books| {
        let handlers: usize = books.handled.values().map(Vec::len).sum();
        let members: BTreeSet<_> = books.handled.values().flatten().map(|(member, ..)| *member).collect();
        let right = accepted.len() == 60
            && books.acknowledged.len() == 60
            && handlers == 60
            && members.len() == 2
            && unsettled == 0
            && books.excused.is_empty();
        if right { Ok(()) } else { Err(format!("{handlers} handlers, {members:?}, {unsettled} unsettled")) }
    })
}

/// With faults, nothing is lost: each message is acknowledged, or a dead letter in the end.
async fn rough(world: World) -> Result<(), String> {
    told_to_pop(&world);
    let log = Log::default();
    let (first, _one) = member(world.clone(), 0, log.clone(), true).await;
    let mut members = vec![member(world.clone(), 1, log.clone(), true).await];
    world.chaos();
    let mut accepted = send(&world, &first, 40, 5_000).await;
    // One leaves in the middle, another comes.
    let (client, consumer) = members.remove(0);
    consumer.shutdown().await;
    client.shutdown().await;
    members.push(member(world.clone(), 2, log.clone(), true).await);
    let producer = first.producer("p").retries(0).start().await.unwrap();
    for number in 100..140 {
        let text = format!("message {number}");
        if producer.send(Message::new("t", text.clone())).await.is_ok() {
            accepted.push(text);
        }
        world.sleep(Duration::from_millis(world.choose(5_000))).await;
    }
    world.heal();
    for _ in 0..60 {
        world.sleep(Duration::from_secs(20)).await;
        if left(&world, &log, &accepted).is_empty() {
            break;
        }
    }
    let left = left(&world, &log, &accepted);
    if !left.is_empty() {
        return Err(format!("never handled: {left:?}"));
    }
    log.with(|books| books.beside()).map_or(Ok(()), Err)
}

/// What is neither acknowledged nor a dead letter.
fn left(world: &World, log: &Log, accepted: &[String]) -> Vec<String> {
    let dead: BTreeSet<String> =
        world.stored("%DLQ%g").iter().map(|copy| String::from_utf8_lossy(&copy.body).into_owned()).collect();
    log.with(|books| {
        let open = |text: &&String| !books.acknowledged.contains(*text) && !dead.contains(*text);
        accepted.iter().filter(open).cloned().collect()
    })
}

fn run_rough(seed: u64) -> Report {
    let sim = Sim::new(seed).topic("t", 2);
    // What no client can mend, and processes that stand still for longer than a message is hidden.
    let lossy = [Fault::LostTail, Fault::Retention, Fault::CorruptRecord, Fault::BitFlip, Fault::Pause];
    lossy.into_iter().fold(sim, Sim::without).try_run(rough)
}

#[test]
fn without_faults_each_message_comes_once_however_slow_its_handler_is() {
    for seed in 0..6 {
        Sim::new(seed).topic("t", 2).faults(Swarm::calm()).run(calm);
    }
}

#[test]
fn with_faults_nothing_is_lost_and_nobody_handles_a_message_beside_another() {
    let failed: Vec<_> = (0..SEEDS).filter_map(|seed| run_rough(seed).failure.map(|failure| (seed, failure))).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Mistakes of the client that these runs must find.
#[cfg(sim_mutants)]
#[test]
fn every_planted_mistake_is_found() {
    // Renewal forgotten; acknowledged by the old handle; seconds for milliseconds; acknowledgements lost with a batch;
    // acknowledged in place of buried; handed out when hidden no longer.
    let found = |mutant| {
        rocketmq_core::mutants::activate(mutant);
        let calm =
            (0..6).any(|seed| Sim::new(seed).topic("t", 2).faults(Swarm::calm()).try_run(calm).failure.is_some());
        let found = calm || (0..SEEDS * 4).any(|seed| run_rough(seed).failure.is_some());
        rocketmq_core::mutants::activate(0);
        found
    };
    let missed: Vec<u32> = (70..76).filter(|mutant| !found(*mutant)).collect();
    assert_eq!(missed, [0; 0]);
}

/// Runs with faults.
const SEEDS: u64 = 24;
