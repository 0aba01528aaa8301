//! Orderly consumption: the order of each queue is kept while members come and go, Java among them, and a message that
//! fails holds its queue up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_lite::future::block_on;
use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{Client, Delivery, Producer, PushConsumer};
use rocketmq_core::ids::{BrokerName, MessageQueue, Topic};
use rocketmq_core::message::Message;
use rocketmq_testkit::real::ConsumerSpec;

use super::kit::{
    Got, PATIENCE, World, before, collect, eventually, producer, receipts, receive, send_all, sleep, wait,
};
use super::runtimes::Live;

const QUEUES: i32 = 4;
/// The time between two messages of a queue.
const PACE: Duration = Duration::from_millis(30);
/// How long a queue may stand still when it moves between members of this client.
const HAND_OVER: Duration = Duration::from_secs(10);
/// And when Java gives it up: it unlocks a queue 20 s later when something of it is cached.
const JAVA_HAND_OVER: Duration = Duration::from_secs(45);
/// A handler that outlives the lease of a lock.
const TAKES: Duration = Duration::from_secs(35);

/// Members come and go, this client's and Java's: each queue keeps its order, and no two handle it at once.
pub(crate) fn hand_over<L: Live>(world: &World) {
    let check = world.scope::<L>("orderly");
    let (topic, group) = (format!("orderly_{}", L::NAME), format!("orderly_group_{}", L::NAME));
    world.topic(&topic, QUEUES as u32);
    let traffic = Traffic::start::<L>(world, &topic);
    let log = Arc::<Mutex<Vec<Handled>>>::default();
    let join = |name| Ours::join::<L>(world, name, &group, &topic, &log);
    let goes_on = |step: &str, patience| {
        let check = check.step(step);
        let begun = Instant::now();
        let moved = traffic.wait_until_all_move(&log, patience);
        check.that("every-queue-goes-on", moved, begun.elapsed());
        eprintln!("{}: {group}: {step}: every queue goes on after {:.1?}", world.checks.version(), begun.elapsed());
    };

    let x = join("x");
    goes_on("one-member", PATIENCE);
    let y = join("y");
    check.that("second-joins/gets-its-share", wait(PATIENCE, || took_part(&log, "y")), ());
    goes_on("second-joins", HAND_OVER);
    x.leave();
    goes_on("first-leaves", HAND_OVER);
    let name = format!("orderly_java_{}", L::NAME);
    let spec = ConsumerSpec {
        orderly: true,
        instance: Some(name.clone()),
        heartbeat_ms: Some(2_000),
        ..ConsumerSpec::new(&name, &world.namesrv, &group, &topic)
    };
    world.java.start_consumer(&spec).expect("a Java consumer");
    let note_java = || {
        let new = world.java.consumed(&name).expect("consumed");
        let own = new.into_iter().filter(|got| got.message.topic == topic);
        let handled = own.map(|got| Handled {
            member: "java",
            queue: got.message.queue_id,
            offset: got.message.queue_offset,
            begun_ms: got.at_ms,
            ended_ms: got.at_ms,
        });
        log.lock().unwrap().extend(handled);
    };
    let joined = wait(PATIENCE, || {
        note_java();
        took_part(&log, "java")
    });
    check.that("java-joins/gets-its-share", joined, ());
    let z = join("z");
    check.that("third-joins/gets-its-share", wait(PATIENCE, || took_part(&log, "z")), ());
    // Stopped, the peer forgets what the consumer got: what it gets from now on it does not commit.
    world.java.set_behaviour(&name, &[], 600_000).expect("a command");
    std::thread::sleep(Duration::from_millis(300));
    note_java();
    world.java.stop_consumer(&name).expect("stopped");
    goes_on("java-leaves", JAVA_HAND_OVER);
    let sent = traffic.stop();
    check.at_least("messages-flowed", sent.values().sum::<i64>(), 200);
    let all = |log: &Mutex<Vec<Handled>>| {
        let log = log.lock().unwrap();
        let handled = |queue: &i32| log.iter().filter(|one| one.queue == *queue).map(|one| one.offset + 1).max();
        sent.iter().all(|(queue, count)| handled(queue) == Some(*count))
    };
    check.that("all-is-handled", wait(PATIENCE, || all(&log)), &sent);
    y.leave();
    z.leave();
    check.eq("all-committed", world.offsets(&group, &topic), (sent.values().sum(), sent.values().sum()));

    let mut log = log.lock().unwrap().clone();
    log.sort_by_key(|one| (one.begun_ms, one.offset));
    let mut twice = 0;
    for queue in 0..QUEUES {
        let mut next = 0;
        let mut busy_until = (0, "nobody");
        for one in log.iter().filter(|one| one.queue == queue) {
            check.that("no-message-passes-another", one.offset <= next, (one, next));
            twice += i32::from(one.offset < next);
            next = next.max(one.offset + 1);
            check.that("one-handler-at-a-time", one.begun_ms >= busy_until.0, (one, busy_until));
            busy_until = busy_until.max((one.ended_ms, one.member));
        }
    }
    eprintln!("{}: {group}: {} handled, {twice} twice", world.checks.version(), log.len());
}

/// What fails comes again before what comes after it, and in the end it is dead.
pub(crate) async fn failures<L: Live>(world: &World) {
    let check = world.scope::<L>("orderly-failures");
    let (topic, group) = (format!("orderly_fails_{}", L::NAME), format!("orderly_fails_group_{}", L::NAME));
    world.topic(&topic, 1);
    let client = world.client::<L>().await;
    let sender = producer(&client, "orderly_fails_producer").await;
    let bodies = ["good", "fails twice", "waits", "panics", "dead", "last"];
    receipts(send_all(&sender, 1, bodies.iter().map(|body| Message::new(topic.as_str(), *body)).collect()).await);
    let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
    let consumer = consumer.orderly().max_reconsume(2).start().await.expect("a consumer");
    let settle = |delivery: Delivery| {
        let times = delivery.message().reconsume_times();
        match (String::from_utf8_lossy(delivery.message().body()).as_ref(), times) {
            ("fails twice", 0 | 1) | ("dead", _) => delivery.retry(),
            ("waits", 0) => delivery.suspend(Duration::from_millis(2_500)),
            ("panics", 0) => drop(delivery),
            _ => delivery.ack(),
        }
    };
    let got = receive(&consumer, 12, PATIENCE, settle).await;
    let seen: Vec<_> = got.iter().map(|got| (got.text(), got.times)).collect();
    let wanted = [
        ("good", 0),
        ("fails twice", 0),
        ("fails twice", 1),
        ("fails twice", 2),
        ("waits", 0),
        ("waits", 1),
        ("panics", 0),
        ("panics", 1),
        ("dead", 0),
        ("dead", 1),
        ("dead", 2),
        ("last", 0),
    ];
    check.eq("in-order-all-the-same", seen, wanted.map(|(body, times)| (body.to_owned(), times)).to_vec());
    let gap = |step: usize| got[step].at - got[step - 1].at;
    check.at_least("a-failure-waits-a-second", gap(2), Duration::from_millis(990));
    check.at_least("or-as-long-as-asked-for", gap(5), Duration::from_millis(2_490));
    check.that("from-the-queue-itself", got.iter().all(|got| got.from_topic == topic), ());
    check.eq("nothing-unsettled", consumer.shutdown().await.unsettled, 0);
    check.eq("committed", world.offsets(&group, &topic), (6, 6));
    let dlq = format!("%DLQ%{group}");
    let dead = eventually(|| {
        let max = world.java.offsets(&world.namesrv, "nobody", &dlq).ok()?.iter().map(|queue| queue.max).sum::<i64>();
        (max > 0).then_some(max)
    });
    check.eq("one-is-dead", dead.await, Some(1));
    let mourner = client.push_consumer(format!("orderly_mourner_{}", L::NAME)).subscribe(dlq.as_str(), "*");
    let mourner = mourner.start_from(StartFrom::First).start().await.expect("a consumer");
    let dead = collect(&mourner, 1).await;
    check.eq("the-dead-can-be-read", dead.iter().map(Got::text).collect::<Vec<_>>(), vec!["dead".to_owned()]);
    mourner.shutdown().await;
    transactions::<L>(world, &client, &sender).await;
    client.shutdown().await;
}

/// Without auto-commit the offset waits for a commit, and a rollback brings what was acknowledged before.
async fn transactions<L: Live>(world: &World, client: &Client, sender: &Producer) {
    let check = world.scope::<L>("orderly-commits");
    let (topic, group) = (format!("orderly_commits_{}", L::NAME), format!("orderly_commits_group_{}", L::NAME));
    world.topic(&topic, 1);
    let bodies = ["0", "1", "2", "3"].map(|body| Message::new(topic.as_str(), body)).to_vec();
    receipts(send_all(sender, 1, bodies).await);
    let start = || async {
        let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
        consumer.orderly().auto_commit(false).start().await.expect("a consumer")
    };
    let consumer = start().await;
    let step = std::cell::Cell::new(0);
    let settle = |delivery: Delivery| match step.replace(step.get() + 1) {
        1 => delivery.rollback(),
        3 => delivery.commit(),
        _ => delivery.ack(),
    };
    let got = receive(&consumer, 5, PATIENCE, settle).await;
    let seen: Vec<_> = got.iter().map(|got| (got.text(), got.times)).collect();
    let wanted = [("0", 0), ("1", 0), ("0", 0), ("1", 0), ("2", 0)];
    check.eq("rolled-back-from-the-last-commit", seen, wanted.map(|(body, times)| (body.to_owned(), times)).to_vec());
    consumer.shutdown().await;
    check.eq("only-what-was-committed", world.offsets(&group, &topic), (2, 4));
    let consumer = start().await;
    let got = receive(&consumer, 2, PATIENCE, Delivery::commit).await;
    check.eq(
        "the-rest-comes-again",
        got.iter().map(Got::text).collect::<Vec<_>>(),
        ["2", "3"].map(str::to_owned).to_vec(),
    );
    consumer.shutdown().await;
    check.eq("all-committed", world.offsets(&group, &topic), (4, 4));
}

/// A handler that outlives the lease gets its message once: the lock is renewed meanwhile.
pub(crate) async fn slow<L: Live>(world: &World) {
    let check = world.scope::<L>("orderly-slow-handler");
    let (topic, group) = (format!("orderly_slow_{}", L::NAME), format!("orderly_slow_group_{}", L::NAME));
    world.topic(&topic, 1);
    let client = world.client::<L>().await;
    let sender = producer(&client, "orderly_slow_producer").await;
    let bodies = ["slow", "quick"].map(|body| Message::new(topic.as_str(), body)).to_vec();
    receipts(send_all(&sender, 1, bodies).await);
    let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
    let consumer = consumer.orderly().start().await.expect("a consumer");
    let handled = Mutex::new(Vec::new());
    let handling = consumer.run(4, |delivery| {
        let handled = &handled;
        async move {
            let got = Got::of(delivery.message());
            handled.lock().unwrap().push((got.text(), got.times, Instant::now()));
            if got.text() == "slow" {
                sleep(TAKES).await;
            }
            delivery.ack();
        }
    });
    let watching = async {
        before(Instant::now() + TAKES + PATIENCE, async {
            while handled.lock().unwrap().len() < 2 {
                sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
        sleep(Duration::from_secs(7)).await;
        check.eq("the-offset-passes-both", world.offsets(&group, &topic), (2, 2));
        check.eq("nothing-unsettled", consumer.shutdown().await.unsettled, 0);
    };
    futures_lite::future::zip(handling, watching).await;
    let handled = handled.lock().unwrap().clone();
    let seen: Vec<_> = handled.iter().map(|(text, times, _)| (text.as_str(), *times)).collect();
    check.eq("each-once-and-in-order", seen, vec![("slow", 0), ("quick", 0)]);
    check.at_least("one-after-the-other", handled[1].2 - handled[0].2, TAKES);
    check.below("at-once-after-it", handled[1].2 - handled[0].2, TAKES + Duration::from_secs(5));
    client.shutdown().await;
}

/// One message in a handler.
#[derive(Clone, Debug)]
struct Handled {
    member: &'static str,
    queue: i32,
    offset: i64,
    begun_ms: i64,
    ended_ms: i64,
}

/// This client as a member.
struct Ours {
    client: Client,
    consumer: PushConsumer,
    worker: JoinHandle<()>,
    kill: super::runtimes::Kill,
}

impl Ours {
    fn join<L: Live>(
        world: &World,
        member: &'static str,
        group: &str,
        topic: &str,
        log: &Arc<Mutex<Vec<Handled>>>,
    ) -> Self {
        let (client, kill) = L::connect_mortal(world.builder());
        let consumer = client.push_consumer(group).subscribe(topic, "*").start_from(StartFrom::First).orderly();
        let consumer = block_on(consumer.start()).expect("a consumer");
        let (receiver, log) = (consumer.clone(), log.clone());
        let worker = std::thread::spawn(move || {
            let handler = |delivery: Delivery| {
                let log = &log;
                async move {
                    let begun_ms = now_ms();
                    sleep(Duration::from_millis(5)).await;
                    let (queue, offset) = (delivery.message().queue().id, delivery.message().queue_offset().to_wire());
                    log.lock().unwrap().push(Handled { member, queue, offset, begun_ms, ended_ms: now_ms() });
                    delivery.ack();
                }
            };
            block_on(receiver.run(QUEUES as usize, handler));
        });
        Self { client, consumer, worker, kill }
    }

    fn leave(self) {
        block_on(self.consumer.shutdown());
        block_on(self.client.shutdown());
        self.worker.join().expect("the worker ends");
        (self.kill)();
    }
}

/// Messages that keep coming, queue by queue.
struct Traffic {
    sent: Arc<Mutex<BTreeMap<i32, i64>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Traffic {
    fn start<L: Live>(world: &World, topic: &str) -> Self {
        let (client, kill) = L::connect_mortal(world.builder());
        let producer = block_on(producer(&client, "orderly_producer"));
        let (sent, stop) = (Arc::<Mutex<BTreeMap<_, _>>>::default(), Arc::<AtomicBool>::default());
        let (sent_too, stopped) = (sent.clone(), stop.clone());
        let (topic, broker) = (topic.to_owned(), BrokerName::from(world.broker_name.as_str()));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                for id in 0..QUEUES {
                    let queue = MessageQueue { topic: Topic::from(topic.as_str()), broker: broker.clone(), id };
                    block_on(producer.send_to(Message::new(topic.as_str(), "in order"), queue)).expect("a receipt");
                    *sent_too.lock().unwrap().entry(id).or_default() += 1;
                }
                std::thread::sleep(PACE);
            }
            block_on(client.shutdown());
            kill();
        });
        Self { sent, stop, thread }
    }

    /// Waits until of each queue something was handled that was sent from now on.
    fn wait_until_all_move(&self, log: &Mutex<Vec<Handled>>, patience: Duration) -> bool {
        std::thread::sleep(PACE * 10);
        let sent = self.sent.lock().unwrap().clone();
        wait(patience, || {
            let log = log.lock().unwrap();
            let moved =
                |queue| log.iter().any(|one| one.queue == queue && one.offset > sent.get(&queue).copied().unwrap_or(0));
            (0..QUEUES).all(moved)
        })
    }

    fn stop(self) -> BTreeMap<i32, i64> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("traffic ends");
        let sent = self.sent.lock().unwrap();
        sent.clone()
    }
}

fn took_part(log: &Mutex<Vec<Handled>>, member: &str) -> bool {
    log.lock().unwrap().iter().filter(|one| one.member == member).count() > 20
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}
