//! A group of Java and this client: after each join, leave and death every queue has exactly one owner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use rocketmq_core::driver::Producer;
use rocketmq_core::ids::{BrokerName, MessageQueue, Topic};
use rocketmq_core::message::Message;
use rocketmq_testkit::real::JavaPeer;

use super::checks::Scope;
use super::kit::{World, producer, wait};
use super::member::{Java, Ours, Seen};
use super::runtimes::Live;

const QUEUES: i32 = 8;
/// How long a change may take to reach everybody.
const SETTLED_IN: Duration = Duration::from_secs(40);
/// The time between two messages of the traffic.
const PACE: Duration = Duration::from_millis(10);

pub(crate) fn scenario<L: Live>(world: &World) {
    let check = world.scope::<L>("membership");
    let (topic, group) = (format!("members_{}", L::NAME), format!("members_group_{}", L::NAME));
    world.topic(&topic, QUEUES as u32);
    let doomed = JavaPeer::start().expect("a Java peer");
    let traffic = Traffic::start::<L>(world, &topic);
    let stage = Stage { world, check: &check, group: &group, topic: &topic, producer: &traffic.producer };
    let mut gone = Vec::new();

    let x = Ours::join::<L>(world, &group, &topic);
    stage.settled("one-of-ours", &[&x], None);
    let java = Java::join(world, &doomed, &format!("first_{}", L::NAME), &group, &topic);
    stage.settled("java-joins", &[&x], Some(&java));
    let y = Ours::join::<L>(world, &group, &topic);
    stage.settled("second-of-ours-joins", &[&x, &y], Some(&java));
    let (seen, unsettled) = x.leave();
    check.eq("ours-leaves/nothing-unsettled", unsettled, 0);
    gone.extend(seen);
    stage.settled("ours-leaves", &[&y], Some(&java));
    let x = Ours::join::<L>(world, &group, &topic);
    stage.settled("ours-joins-again", &[&x, &y], Some(&java));
    gone.extend(java.kill());
    stage.settled("java-is-killed", &[&x, &y], None);
    let java = Java::join(world, &world.java, &format!("second_{}", L::NAME), &group, &topic);
    stage.settled("java-joins-again", &[&x, &y], Some(&java));
    let seen = y.kill();
    check.that("ours-is-killed/its-receiver-ends", seen.is_some(), ());
    gone.extend(seen.unwrap_or_default());
    stage.settled("ours-is-killed", &[&x], Some(&java));
    gone.extend(java.leave());
    stage.settled("java-leaves", &[&x], None);

    let sent = traffic.stop();
    let missing = || {
        let seen: BTreeSet<_> = gone.iter().cloned().chain(x.seen()).map(|(text, _)| text).collect();
        sent.iter().filter(|text| !seen.contains(*text)).cloned().collect::<Vec<_>>()
    };
    wait(Duration::from_secs(20), || missing().is_empty());
    check.eq("nothing-lost", missing(), Vec::<String>::new());
    check.at_least("messages-flowed", sent.len(), 500);
    let (seen, unsettled) = x.leave();
    check.eq("last-leaves/nothing-unsettled", unsettled, 0);
    let (committed, max) = world.offsets(&group, &topic);
    check.eq("all-committed-in-the-end", committed, max);
    let all: Vec<_> = gone.iter().chain(&seen).filter(|(text, _)| text.starts_with("flow ")).collect();
    let different: BTreeSet<_> = all.iter().map(|(text, _)| text).collect();
    eprintln!(
        "{}: {} members: {} sent, {} twice",
        world.checks.version(),
        L::NAME,
        sent.len(),
        all.len() - different.len()
    );
}

/// The group between two changes.
struct Stage<'a> {
    world: &'a World,
    check: &'a Scope,
    group: &'a str,
    topic: &'a str,
    producer: &'a Producer,
}

impl Stage<'_> {
    /// Waits until the queues are shared out among exactly these members, and makes sure of it.
    fn settled(&self, name: &str, ours: &[&Ours], java: Option<&Java<'_>>) {
        let check = self.check.step(name);
        let begun = Instant::now();
        let wanted: BTreeSet<_> =
            ours.iter().map(|one| one.id.clone()).chain(java.map(|java| java.id.clone())).collect();
        let at_broker = || {
            let known = self.world.online(self.group);
            known.into_iter().map(|known| known.client_id).collect::<BTreeSet<_>>()
        };
        let shares = || {
            let mut shares: BTreeMap<_, _> = ours.iter().map(|one| (one.id.clone(), one.owned())).collect();
            shares.extend(java.map(|java| (java.id.clone(), java.owned())));
            shares
        };
        wait(SETTLED_IN, || {
            let shares = shares();
            is_partition(&shares) && is_even(&shares) && at_broker() == wanted
        });
        let took = begun.elapsed();
        // A moment later it is still so.
        std::thread::sleep(Duration::from_millis(700));
        let shares = shares();
        check.that("each-queue-has-one-owner", is_partition(&shares), &shares);
        check.eq("the-broker-knows-the-members", at_broker(), wanted.clone());
        check.that("shares-are-even", is_even(&shares), &shares);
        if let Some(java) = java {
            let reported = java.reported(self.world, self.group);
            check.eq("java-reports-its-share-to-the-broker", &reported, &shares[&java.id]);
        }
        self.owners_consume(&check, name, &shares, ours, java);
        eprintln!("{}: {}: {name} settled in {took:.1?}", self.world.checks.version(), self.group);
    }

    /// Messages sent to each queue are consumed by the queue's owner, and by nobody else.
    fn owners_consume(
        &self,
        check: &Scope,
        name: &str,
        shares: &BTreeMap<String, BTreeSet<i32>>,
        ours: &[&Ours],
        java: Option<&Java<'_>>,
    ) {
        let mut wanted = BTreeSet::new();
        for id in 0..QUEUES {
            let broker = BrokerName::from(self.world.broker_name.as_str());
            let queue = MessageQueue { topic: Topic::from(self.topic), broker, id };
            for n in 0..3 {
                let text = format!("probe {name} {id} {n}");
                let sent = block_on(self.producer.send_to(Message::new(self.topic, text.clone()), queue.clone()));
                check.that("probe-stored-where-asked", sent.as_ref().is_ok_and(|sent| sent.queue.id == id), &sent);
                let owner = shares.iter().find(|(_, share)| share.contains(&id)).map(|(owner, _)| owner.clone());
                wanted.insert((owner.unwrap_or_default(), text, id));
            }
        }
        let prefix = format!("probe {name} ");
        let probes = |id: &str, seen: Vec<Seen>| -> Vec<(String, String, i32)> {
            let probes = seen.into_iter().filter(|(text, _)| text.starts_with(&prefix));
            probes.map(|(text, queue)| (id.to_owned(), text, queue)).collect()
        };
        let seen = || {
            let mut all: Vec<_> = ours.iter().flat_map(|one| probes(&one.id, one.seen())).collect();
            all.extend(java.iter().flat_map(|java| probes(&java.id, java.seen())));
            all
        };
        wait(Duration::from_secs(20), || seen().len() >= wanted.len());
        let seen = seen();
        if seen.len() != wanted.len() {
            eprintln!("{}", java.map(Java::log_tail).unwrap_or_default());
        }
        check.eq("each-owner-consumes-its-queues", seen.iter().cloned().collect::<BTreeSet<_>>(), wanted.clone());
        check.eq("each-probe-once", seen.len(), wanted.len());
    }
}

/// Whether every queue is in exactly one share.
fn is_partition(shares: &BTreeMap<String, BTreeSet<i32>>) -> bool {
    let mut all: Vec<_> = shares.values().flatten().copied().collect();
    all.sort_unstable();
    all == (0..QUEUES).collect::<Vec<_>>()
}

fn is_even(shares: &BTreeMap<String, BTreeSet<i32>>) -> bool {
    let sizes: Vec<_> = shares.values().map(BTreeSet::len).collect();
    sizes.iter().max().zip(sizes.iter().min()).is_some_and(|(most, least)| most - least <= 1)
}

/// Messages that keep coming while members come and go.
struct Traffic {
    producer: Producer,
    sent: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Traffic {
    fn start<L: Live>(world: &World, topic: &str) -> Self {
        let (client, kill) = L::connect_mortal(world.builder());
        let producer = block_on(producer(&client, "members_producer"));
        let (sent, stop) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
        let (sender, sent_too, stopped, topic) = (producer.clone(), sent.clone(), stop.clone(), topic.to_owned());
        let thread = std::thread::spawn(move || {
            let mut n = 0;
            while !stopped.load(Ordering::SeqCst) {
                let text = format!("flow {n}");
                block_on(sender.send(Message::new(topic.as_str(), text.clone()))).expect("a receipt");
                sent_too.lock().unwrap().push(text);
                n += 1;
                std::thread::sleep(PACE);
            }
            block_on(client.shutdown());
            kill();
        });
        Self { producer, sent, stop, thread }
    }

    fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("traffic ends");
        let sent = self.sent.lock().unwrap();
        sent.clone()
    }
}
