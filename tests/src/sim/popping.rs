//! The workload of a group that pops. V1: nothing is lost, each message is acknowledged or a dead letter in the end, and
//! without faults it comes once. V2: nobody handles a message beside another member while it is hidden.
//!
//! It has seeds of its own, one of a few. Its runs have no plan, so that no script can be made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rocketmq_core::client::ClientEvent;
use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{Client, PushConsumer};
use rocketmq_core::ids::MessageQueue;
use rocketmq_core::message::Message;
use rocketmq_core::rng::Rng;
use rocketmq_core::time::Instant;
use rocketmq_core::wire::body::MessageMode;

use super::workload::Options;
use super::{Failure, Fault, Report, Sim, Swarm, World};
use crate::cluster::StoredView;

/// What happened to the messages, over all members.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    /// Handlers of each message: the member, from when, until when.
    handled: BTreeMap<String, Vec<(usize, Instant, Option<Instant>)>>,
    acknowledged: BTreeSet<String>,
    times: Vec<i32>,
    /// Where the messages lie of which members were told that they are hidden no longer, or may not be, and when.
    excused: Vec<(MessageQueue, i64, Instant)>,
    /// A member was told by a broker that it knows no popping: it pulls, beside those that pop.
    pulls: bool,
}

impl Log {
    fn with<R>(&self, work: impl FnOnce(&mut Books) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Books {
    /// Two handlers of one message at the same time, though nobody was told that it may be hidden no longer: there may be
    /// two of it at the broker then.
    fn beside(&self, world: &World) -> Option<String> {
        if self.pulls {
            return None;
        }
        let mut told: BTreeMap<String, Instant> = BTreeMap::new();
        for (queue, offset, when) in &self.excused {
            let lies = |copy: &StoredView| {
                (copy.queue_id, copy.queue_offset, &*copy.broker) == (queue.id, *offset, queue.broker.as_str())
            };
            for copy in world.stored(queue.topic.as_str()).into_iter().filter(lies) {
                let first = told.entry(String::from_utf8_lossy(&copy.body).into_owned()).or_insert(*when);
                *first = (*first).min(*when);
            }
        }
        for (text, handlers) in &self.handled {
            for (at, (first, _, end)) in handlers.iter().enumerate() {
                let other = handlers.iter().skip(at + 1).find(|(_, begun, _)| end.is_none_or(|end| *begun < end));
                let Some((second, begun, _)) = other else { continue };
                if told.get(text).is_none_or(|told| begun.after(TOLD_IN) < *told) {
                    return Some(format!(
                        "V2: {text}: {second} begins at {begun:?} while {first} has it until {end:?}"
                    ));
                }
            }
        }
        None
    }
}

const INVISIBLE: Duration = Duration::from_secs(5);
/// How long the client may wait for the answer that tells.
const TOLD_IN: Duration = Duration::from_secs(5);

/// A member that pops; its handlers take up to four times as long as a message is hidden at first.
async fn member(world: World, number: usize, log: Log, fails: bool) -> (Client, PushConsumer) {
    let host = world.host(&format!("10.0.1.{}", number + 1));
    let client = loop {
        if let Ok(client) = world.builder().connect_on(&host).await {
            break client;
        }
    };
    let mut events = client.events();
    let (clock, told) = (world.clone(), log.clone());
    world
        .spawn_on(&host, async move {
            while let Some(event) = events.next().await {
                if matches!(event, ClientEvent::PopUnsupported { .. }) {
                    told.with(|books| books.pulls = true);
                }
                if let ClientEvent::PopExpired { queue, offset, .. }
                | ClientEvent::PopNotSettled { queue, offset, .. } = event
                {
                    let now = clock.now();
                    told.with(|books| books.excused.push((queue, offset.to_wire(), now)));
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
                        if let Some(handler) = books.handled.get_mut(&text).and_then(|all| all.get_mut(place)) {
                            handler.2 = Some(end);
                        }
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
    let producer = client.producer("p").retries(0).start().await.expect("a legal configuration");
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
        if right { Ok(()) } else { Err(format!("V1: {handlers} handlers, {members:?}, {unsettled} unsettled")) }
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
    let producer = first.producer("p").retries(0).start().await.expect("a legal configuration");
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
        return Err(format!("V1: never handled: {left:?}"));
    }
    log.with(|books| books.beside(&world)).map_or(Ok(()), Err)
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

/// Whether this seed is one of a group that pops.
pub(crate) fn has(seed: u64) -> bool {
    Rng::new(seed ^ SALT).below(SHARE) == 0
}

/// Runs the workload of such a seed.
pub(crate) fn check(seed: u64, options: Options) -> Report {
    let mut sim = Sim::new(seed).topic("t", 2);
    sim.trace = options.trace;
    sim.events = options.events.unwrap_or(u64::MAX);
    let mut report = if Rng::new(seed ^ SALT).below(SHARE * CALM) == 0 {
        sim.faults(Swarm::calm()).try_run(calm)
    } else {
        sim.swarm = options.swarm;
        sim.script = options.script;
        LOSSY.into_iter().fold(sim, Sim::without).try_run(rough)
    };
    let named = |failure: Failure| match failure.text.trim_matches('"').split_once(": ") {
        Some(("V1", text)) => Failure { invariant: "V1", text: text.to_owned(), ..failure },
        Some(("V2", text)) => Failure { invariant: "V2", text: text.to_owned(), ..failure },
        _ => failure,
    };
    report.failure = report.failure.map(named);
    report.broken.extend(report.failure.clone());
    report
}

/// What no client can mend, offsets from before what was popped, and processes that stand still for longer than a message
/// is hidden.
const LOSSY: [Fault; 6] =
    [Fault::LostTail, Fault::Retention, Fault::CorruptRecord, Fault::BitFlip, Fault::OldOffsets, Fault::Pause];
/// One of so many seeds.
const SHARE: usize = 8;
/// And of those one of so many is without faults.
const CALM: usize = 4;
/// So that the seeds do not depend on what a plan draws.
const SALT: u64 = 0x0706_0706;

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(calm: bool) -> impl Iterator<Item = u64> {
        let is_calm = |seed: &u64| Rng::new(*seed ^ SALT).below(SHARE * CALM) == 0;
        (0..).filter(|seed| has(*seed)).filter(move |seed| is_calm(seed) == calm)
    }

    #[test]
    fn without_faults_each_message_comes_once_however_slow_its_handler_is() {
        for seed in seeds(true).take(6) {
            assert_eq!(check(seed, Options::default()).failure, None, "{seed:#x}");
        }
    }

    #[test]
    fn with_faults_nothing_is_lost_and_nobody_handles_a_message_beside_another() {
        for seed in seeds(false).take(24) {
            assert_eq!(check(seed, Options::default()).failure, None, "{seed:#x}");
        }
    }
}
