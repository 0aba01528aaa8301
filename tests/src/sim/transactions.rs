//! Producers of transactions: tellers of a bank, who say, late or never, what becomes of half messages, and of whom any
//! answers for all others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rocketmq_core::driver::{Client, ReceivedMessage, TransactionProducer};
use rocketmq_core::message::Message;
use rocketmq_core::transaction::Resolution;
use rocketmq_core::wire::Codec;

use super::history::{Tx, What};
use super::member::connected;
use super::tape::Stream;
use super::workload::{Run, lock};
use super::{Host, Task, World, traces};

/// What all processes of the bank can look up.
#[derive(Clone, Default)]
struct Books(Arc<Mutex<BTreeMap<u64, Entry>>>);

struct Entry {
    fate: Fate,
    /// Whether what the message is about is done, or given up.
    over: bool,
    asked: u32,
}

/// What is to become of a transaction, and who says so.
#[derive(Clone, Copy)]
struct Fate {
    /// `None` when nobody will ever know.
    commit: Option<bool>,
    manner: Manner,
    /// The first time that the checker is asked it panics.
    panics: bool,
    pause: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Its producer, when it is done.
    Said,
    /// Its producer says that it does not know.
    Unknown,
    /// Nobody, until the broker asks.
    Dropped,
}

/// Starts the tellers of a run that has any.
pub(crate) fn start(run: &Run) -> Vec<Task<()>> {
    let Some(plan) = run.plan.transactions.clone() else { return Vec::new() };
    let books = Books::default();
    let teller = |number: usize| {
        let (run, books) = (run.clone(), books.clone());
        run.world.clone().spawn(async move { serve(run, number, plan.count / plan.tellers as u64, books).await })
    };
    (0..plan.tellers).map(teller).collect()
}

/// One place at the counter: processes come and go, until faults are over and brokers have asked about all there is.
async fn serve(run: Run, number: usize, count: u64, books: Books) {
    let world = run.world.clone();
    let pause = u64::try_from(run.plan.safety.as_millis()).unwrap_or(0) * 2 / count.max(1);
    let mut left = count;
    let mut process = 0;
    loop {
        let host = world.host(&format!("10.0.4.{}", number * 100 + process % 100 + 1));
        let host = host.named(&format!("teller {number}.{process}"));
        process += 1;
        let codec = if draw(&world, 0, 1) == 0 { Codec::Json } else { Codec::Rocketmq };
        let (client, producer) = open(&run, &host, codec, &books).await;
        // A process that serves a while, and then gives way to another one.
        let shift = draw(&world, 3, 40);
        let mut served = 0;
        while left > 0 && served < shift && !world.is_healed() {
            let time = draw(&world, 0, pause);
            world.sleep(Duration::from_millis(time)).await;
            if world.is_healed() {
                break;
            }
            let (tx, fate) = (run.next_message(), fate(&world));
            let task = transact(world.clone(), producer.clone(), books.clone(), tx, fate);
            world.spawn_on(&host, task).detach();
            (left, served) = (left - 1, served + 1);
        }
        let last = left == 0 || world.is_healed();
        if last {
            wait_for_checks(&world).await;
        }
        if !last && !run.is_steady() && draw(&world, 0, 1) == 0 {
            world.reach("a process with half messages dies");
            world.kill(&host);
            drop((client, producer));
            continue;
        }
        world.note(What::Leaving { host: host.index });
        drop(producer);
        client.shutdown().await;
        if last {
            return;
        }
    }
}

async fn open(run: &Run, host: &Host, codec: Codec, books: &Books) -> (Client, TransactionProducer) {
    let world = &run.world;
    let builder = world.builder().codec(codec).trace(traces::config(&run.plan));
    let client = connected(world, host, &builder).await;
    let (world, books) = (world.clone(), books.clone());
    let checker = move |message: ReceivedMessage| check(world.clone(), books.clone(), message);
    let producer = client.transaction_producer(GROUP).checker(checker).topic(TOPIC).start().await;
    (client, producer.expect("the configuration keeps every rule"))
}

/// One transaction, from its half message to its producer's last word.
async fn transact(world: World, producer: TransactionProducer, books: Books, tx: u64, fate: Fate) {
    lock(&books.0).insert(tx, Entry { fate, over: false, asked: 0 });
    world.note(What::Tx(Tx::Begun { tx }));
    let message = Message::new(TOPIC, format!("transfer {tx}")).with_property(PROPERTY, tx.to_string());
    let half = match producer.begin(message).await {
        Ok(half) => half,
        Err(_) => {
            // It may be stored: nothing will come of it.
            if let Some(entry) = lock(&books.0).get_mut(&tx) {
                (entry.fate.commit, entry.over) = (Some(false), true);
            }
            return world.reach("a half message is not stored, or nobody knows");
        }
    };
    let receipt = half.receipt();
    let broker = world.with(|state| state.servers.broker_named(receipt.queue.broker.as_str()).unwrap_or(usize::MAX));
    let physical = receipt.offset_msg_id.get(16..).and_then(|hex| i64::from_str_radix(hex, 16).ok()).unwrap_or(-1);
    world.note(What::Tx(Tx::Half { tx, broker, physical }));
    world.sleep(fate.pause).await;
    if let Some(entry) = lock(&books.0).get_mut(&tx) {
        entry.over = true;
    }
    let told = match fate.manner {
        Manner::Dropped => return drop(half),
        Manner::Unknown => {
            world.note(What::Tx(Tx::Said { tx, commit: None, asked: false }));
            half.unknown().await
        }
        Manner::Said => {
            world.note(What::Tx(Tx::Said { tx, commit: fate.commit, asked: false }));
            match fate.commit {
                Some(true) => half.commit().await,
                Some(false) => half.rollback().await,
                None => half.unknown().await,
            }
        }
    };
    world.reach(if told.is_ok() { "an end is said" } else { "an end cannot be said" });
}

/// What became of a transaction, from what everybody can look up.
async fn check(world: World, books: Books, message: ReceivedMessage) -> Resolution {
    let tx = message.property(PROPERTY).and_then(|text| text.parse::<u64>().ok());
    let intact = tx.is_some_and(|tx| message.body() == format!("transfer {tx}").as_bytes());
    let right = intact && message.topic().as_str() == TOPIC && message.property("PGROUP") == Some(GROUP);
    world.note(What::Tx(Tx::Asked { tx, right }));
    world.reach("a checker is asked");
    let slow = if draw(&world, 0, 9) == 0 { 40_000 } else { 500 };
    let time = draw(&world, 0, slow);
    world.sleep(Duration::from_millis(time)).await;
    let known = tx.and_then(|tx| {
        let mut books = lock(&books.0);
        let entry = books.get_mut(&tx)?;
        entry.asked += 1;
        let panics = entry.fate.panics && entry.asked == 1;
        Some((tx, entry.fate.commit.filter(|_| entry.over), panics))
    });
    let Some((tx, commit, panics)) = known else { return Resolution::Unknown };
    if panics {
        world.reach("a checker panics");
        std::panic::resume_unwind(Box::new("a checker panics on purpose"));
    }
    world.note(What::Tx(Tx::Said { tx, commit, asked: true }));
    match commit {
        Some(true) => Resolution::Commit,
        Some(false) => Resolution::Rollback,
        None => Resolution::Unknown,
    }
}

/// Waits until brokers have asked about all there is, or given it up: what is sent last may be under way at the first look,
/// and what a partition held back is so for longer.
async fn wait_for_checks(world: &World) {
    while !world.is_healed() {
        world.sleep(LOOK).await;
    }
    let arrived = world.with(|state| state.net.arrives_by);
    let end = world.now().after(PATIENCE);
    let mut quiet = 0;
    while quiet < 3 && world.now() < end {
        world.sleep(LOOK).await;
        quiet = if undecided(world) == 0 && world.now() > arrived { quiet + 1 } else { 0 };
    }
}

/// Half messages of all brokers about which they would still ask.
pub(crate) fn undecided(world: &World) -> usize {
    world.cluster(|cluster| cluster.masters().map(crate::cluster::Broker::open_halves).sum())
}

fn fate(world: &World) -> Fate {
    let commit = match draw(world, 0, 9) {
        0..=5 => Some(true),
        6..=8 => Some(false),
        _ => None,
    };
    let manner = match draw(world, 0, 5) {
        0..=2 => Manner::Said,
        3 => Manner::Unknown,
        _ => Manner::Dropped,
    };
    let slow = draw(world, 0, 5) == 0;
    let pause = Duration::from_millis(draw(world, 0, if slow { 100_000 } else { 2_000 }));
    Fate { commit, manner, panics: draw(world, 0, 4) == 0, pause }
}

fn draw(world: &World, least: u64, most: u64) -> u64 {
    world.with(|state| state.tape.range(Stream::Transactions, least, most))
}

/// The topic of transactions.
pub(crate) const TOPIC: &str = "x0";
/// The property that holds the number of a transaction.
pub(crate) const PROPERTY: &str = "tx";
/// The group of the tellers.
const GROUP: &str = "bank";
/// Until brokers give the last half message up: they ask some times, every 30 s, and a producer may have to come back.
const PATIENCE: Duration = Duration::from_secs(420);
/// Between two looks at what is undecided.
const LOOK: Duration = Duration::from_secs(10);
