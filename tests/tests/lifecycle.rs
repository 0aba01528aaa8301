//! Clients start and stop, well and badly, and nothing of them stays behind.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_lite::{FutureExt, future};
use rocketmq_core::acl::{Credentials, CredentialsProvider};
use rocketmq_core::config::{AutoBatch, ConfigError, LinkConfig};
use rocketmq_core::driver::Runtime;
use rocketmq_core::error::{CloseReason, RequestError, RequestFailure, Sent};
use rocketmq_smol::{Client, ClientBuilder, ConnectError, Message, SendError, Smol, StartError, StartFrom};
use rocketmq_testkit::cluster::tcp::EmbeddedCluster;
use rocketmq_tokio::Tokio;
use smol::Executor;

/// Sockets and memory are counted for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A runtime whose live tasks can be counted, and the means to run a future beside them.
trait Counted: Runtime {
    /// Live tasks of the runtime.
    fn tasks(&self) -> usize;
    async fn pause(&self, time: Duration) {
        self.sleep_until(self.now().after(time)).await;
    }
}

impl Counted for Tokio {
    fn tasks(&self) -> usize {
        tokio::runtime::Handle::current().metrics().num_alive_tasks()
    }
}

/// Smol on an executor of its own, which runs nothing else.
#[derive(Clone)]
struct OwnSmol(Smol, Arc<Executor<'static>>);

impl Runtime for OwnSmol {
    type Stream = <Smol as Runtime>::Stream;
    type Sleep = <Smol as Runtime>::Sleep;

    fn now(&self) -> rocketmq_core::time::Instant {
        self.0.now()
    }
    fn wall(&self) -> rocketmq_core::time::UnixMillis {
        self.0.wall()
    }
    fn sleep_until(&self, at: rocketmq_core::time::Instant) -> Self::Sleep {
        self.0.sleep_until(at)
    }
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }
    fn connect(&self, to: &rocketmq_core::ids::Endpoint) -> impl Future<Output = std::io::Result<Self::Stream>> + Send {
        self.0.connect(to)
    }
    fn load(&self, path: &std::path::Path) -> impl Future<Output = std::io::Result<Option<Vec<u8>>>> + Send {
        self.0.load(path)
    }
    fn save(&self, path: &std::path::Path, bytes: Vec<u8>) -> impl Future<Output = std::io::Result<()>> + Send {
        self.0.save(path, bytes)
    }
    fn entropy(&self) -> u64 {
        self.0.entropy()
    }
    fn host(&self) -> rocketmq_core::config::HostInfo {
        self.0.host()
    }
}

impl Counted for OwnSmol {
    fn tasks(&self) -> usize {
        usize::from(!self.1.is_empty())
    }
}

fn on_smol<T, F: Future<Output = T>>(work: impl FnOnce(OwnSmol) -> F) -> T {
    let executor = Arc::new(Executor::new());
    let rt = OwnSmol(Smol::with_executor(&executor), executor.clone());
    smol::block_on(executor.run(work(rt)))
}

fn on_tokio<T, F: Future<Output = T>>(work: impl FnOnce(Tokio) -> F) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { work(Tokio::current().unwrap()).await })
}

/// One test of each runtime.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod tokio_runtime { $(#[test] fn $name() { let _alone = super::alone(); super::on_tokio(super::$name); })* }
        mod smol_runtime { $(#[test] fn $name() { let _alone = super::alone(); super::on_smol(super::$name); })* }
    };
}

on_both! {
    a_thousand_lives_leave_nothing_behind
    clients_that_do_not_start_leave_nothing_behind
    a_start_that_nobody_waits_for_is_undone
    handles_dropped_without_shutdown_end_everything_within_a_second
    an_unsettled_message_delays_the_end_by_a_second_at_most
    shutdown_can_be_called_again_and_while_a_handler_runs
    one_group_has_one_consumer_on_a_client
    a_closed_client_answers_at_once
    a_burst_of_sends_waits_its_turn
    calls_given_up_leave_nothing_behind
}

async fn a_thousand_lives_leave_nothing_behind<R: Counted>(rt: R) {
    let cluster = EmbeddedCluster::builder().topic("T", 2).start().unwrap();
    for n in 0..WARM_UP {
        live(&rt, &cluster, n).await;
    }
    settle(&rt, 0, usize::MAX).await;
    let (sockets, memory) = (sockets(), resident_kib());
    for n in 0..LIVES {
        live(&rt, &cluster, n).await;
    }
    settle(&rt, 0, sockets).await;
    let grown = resident_kib().saturating_sub(memory);
    assert!(grown < GROWTH_KIB, "{LIVES} lives left {grown} KiB behind");
    assert!(cluster.members("G").iter().all(Vec::is_empty));
}

/// A client from start to end, with the end in each of the orders that users find.
async fn live<R: Counted>(rt: &R, cluster: &EmbeddedCluster, n: usize) {
    let client = connect(rt, cluster).await;
    let producer = client.producer("P").start().await.unwrap();
    let consumer = client.push_consumer("G").subscribe("T", "*").start_from(StartFrom::First).start().await.unwrap();
    match n % 4 {
        0 => {}
        1 => {
            producer.send(Message::new("T", "body")).await.unwrap();
            in_time(rt, consumer.next()).await.unwrap().ack();
        }
        2 => {
            consumer.shutdown().await;
            drop((producer, consumer));
        }
        _ => drop((consumer, producer)),
    }
    in_time(rt, client.shutdown()).await;
}

async fn clients_that_do_not_start_leave_nothing_behind<R: Counted>(rt: R) {
    let cluster = EmbeddedCluster::builder().topic("T", 1).start().unwrap();
    let refused = format!("127.0.0.1:{}", closed_port());
    for round in 0..2 {
        let before = sockets();
        for _ in 0..40 {
            assert_eq!(
                Client::builder().name_servers("nonsense").connect_on(&rt).await.unwrap_err(),
                ConnectError::Config(ConfigError::Endpoint("nonsense".into()))
            );
            let waits = Client::builder().name_servers(&refused).connect_on(&rt);
            assert!(within(&rt, Duration::from_millis(1), waits).await.is_none_or(|result| result.is_err()));
            let lazy = Client::builder().name_servers(&refused).lazy().connect_on(&rt).await.unwrap();
            let producer = lazy.producer("P").send_timeout(Duration::from_millis(5)).start().await.unwrap();
            assert!(producer.send(Message::new("T", "lost")).await.is_err_and(|error| !error.may_be_stored()));
            in_time(&rt, lazy.shutdown()).await;

            let client = connect(&rt, &cluster).await;
            let bad = client.push_consumer("G").start().await.unwrap_err();
            assert_eq!(bad, StartError::Config(ConfigError::NoSubscription));
            let bad = client.producer("no good").start().await.unwrap_err();
            assert_eq!(bad, ConfigError::Group("no good".into()));
            let _first = client.push_consumer("G").subscribe("T", "*").start().await.unwrap();
            let twice = client.push_consumer("G").subscribe("T", "*").start().await.unwrap_err();
            assert_eq!(twice, StartError::Duplicate("G".into()));
            in_time(&rt, client.shutdown()).await;
        }
        settle(&rt, 0, if round == 0 { usize::MAX } else { before }).await;
    }
    let begun = Instant::now();
    let failed = Client::builder().name_servers(&refused).connect_on(&rt).await.unwrap_err();
    assert!(matches!(&failed, ConnectError::Unavailable(_)), "{failed:?}");
    assert!(failed.to_string().contains(&refused), "{failed}");
    assert!(begun.elapsed() < Duration::from_secs(4));
    settle(&rt, 0, usize::MAX).await;
}

async fn a_start_that_nobody_waits_for_is_undone<R: Counted>(rt: R) {
    let cluster = EmbeddedCluster::builder().topic("T", 1).start().unwrap();
    let client = connect(&rt, &cluster).await;
    {
        let mut starts = pin!(client.push_consumer("G").subscribe("T", "*").start());
        assert!(future::poll_once(&mut starts).await.is_none());
        // Until the group is known to the broker, but nobody has looked at the result.
        until(&rt, "the group is there", || cluster.members("G").iter().any(|members| !members.is_empty())).await;
    }
    until(&rt, "the group is left", || cluster.members("G").iter().all(Vec::is_empty)).await;
    let again = client.push_consumer("G").subscribe("T", "*").start();
    in_time(&rt, again).await.unwrap();
    {
        let mut starts = pin!(client.producer("P").start());
        assert!(future::poll_once(&mut starts).await.is_none());
    }
    let producer = client.producer("P").start().await.unwrap();
    producer.send(Message::new("T", "x")).await.unwrap();
    until(&rt, "the group is there", || cluster.members("P").len() == 1).await;
    drop(producer);
    in_time(&rt, client.shutdown()).await;
}

async fn handles_dropped_without_shutdown_end_everything_within_a_second<R: Counted>(rt: R) {
    let cluster = EmbeddedCluster::builder().topic("T", 4).start().unwrap();
    let before = sockets();
    let client = connect(&rt, &cluster).await;
    let producer = client.producer("P").start().await.unwrap();
    let consumer = client.push_consumer("G").subscribe("T", "*").start_from(StartFrom::First).start().await.unwrap();
    producer.send(Message::new("T", "x")).await.unwrap();
    in_time(&rt, consumer.next()).await.unwrap().ack();
    let begun = Instant::now();
    let mut events = client.events();
    drop((client, producer, consumer));
    settle(&rt, 0, before).await;
    assert!(begun.elapsed() < Duration::from_millis(1_300), "{:?}", begun.elapsed());
    while let Some(_old) = in_time(&rt, events.next()).await {}
    assert!(cluster.members("G").iter().all(Vec::is_empty));
    assert_eq!(cluster.committed("G").into_iter().filter(|(key, _)| key.0 == "T").map(|(_, at)| at).sum::<i64>(), 1);
}

async fn an_unsettled_message_delays_the_end_by_a_second_at_most<R: Counted>(rt: R) {
    let cluster = EmbeddedCluster::builder().topic("T", 1).start().unwrap();
    let before = sockets();
    let client = connect(&rt, &cluster).await;
    let producer = client.producer("P").start().await.unwrap();
    let consumer = client.push_consumer("G").subscribe("T", "*").start_from(StartFrom::First).start().await.unwrap();
    producer.send(Message::new("T", "x")).await.unwrap();
    let delivery = in_time(&rt, consumer.next()).await.unwrap();
    let begun = Instant::now();
    drop((client, producer, consumer));
    settle(&rt, 0, before).await;
    assert!(begun.elapsed() < Duration::from_millis(1_800), "{:?}", begun.elapsed());
    assert_eq!(&delivery.message().body()[..], b"x");
    delivery.ack();
    let passed = cluster.committed("G").into_iter().any(|(key, at)| key.0 == "T" && at > 0);
    assert!(!passed, "the offset passed a message that was not settled in time");
}

async fn shutdown_can_be_called_again_and_while_a_handler_runs<R: Counted>(rt: R) {
    let cluster = EmbeddedCluster::builder().topic("T", 1).start().unwrap();
    let client = connect(&rt, &cluster).await;
    let producer = client.producer("P").start().await.unwrap();
    let consumer = client.push_consumer("G").subscribe("T", "*").start_from(StartFrom::First).start().await.unwrap();
    producer.send(Message::new("T", "x")).await.unwrap();
    let (started, starts) = smol::channel::bounded(1);
    let (finish, finishes) = smol::channel::bounded::<()>(1);
    let runs = consumer.run(2, |delivery| {
        let (started, finishes) = (started.clone(), finishes.clone());
        async move {
            started.send(()).await.unwrap();
            finishes.recv().await.unwrap();
            delivery.ack();
        }
    });
    let stops = async {
        starts.recv().await.unwrap();
        let finish_soon = async {
            rt.pause(Duration::from_millis(50)).await;
            finish.send(()).await.unwrap();
        };
        let other = consumer.clone();
        let ends = future::zip(consumer.shutdown(), future::zip(client.shutdown(), client.shutdown()));
        let ((drained, _), ()) = future::zip(ends, finish_soon).await;
        assert_eq!(drained.unsettled, 0, "the handler finished in time");
        assert!(other.next().await.is_none());
        assert_eq!(other.shutdown().await.unsettled, 0);
    };
    in_time(&rt, future::zip(runs, stops)).await;
    in_time(&rt, client.shutdown()).await;
    assert_eq!(cluster.committed("G").into_iter().filter(|(key, _)| key.0 == "T").map(|(_, at)| at).sum::<i64>(), 1);
    settle(&rt, 0, usize::MAX).await;
}

async fn one_group_has_one_consumer_on_a_client<R: Counted>(rt: R) {
    let cluster = EmbeddedCluster::builder().topic("T", 1).start().unwrap();
    let client = connect(&rt, &cluster).await;
    let subscribe = || client.push_consumer("G").subscribe("T", "*");
    let first = subscribe().start().await.unwrap();
    assert_eq!(subscribe().start().await.unwrap_err(), StartError::Duplicate("G".into()));
    let other = client.push_consumer("G2").subscribe("T", "*").start().await.unwrap();
    first.shutdown().await;
    let again = in_time(&rt, subscribe().start()).await.unwrap();
    // The handle of the first is no handle of the second.
    drop(first);
    rt.pause(Duration::from_millis(50)).await;
    let producer = client.producer("P").start().await.unwrap();
    producer.send(Message::new("T", "x")).await.unwrap();
    in_time(&rt, again.next()).await.expect("the second consumer of the group lives").ack();
    in_time(&rt, other.next()).await.unwrap().ack();
    in_time(&rt, client.shutdown()).await;
}

async fn a_closed_client_answers_at_once<R: Counted>(rt: R) {
    let cluster = EmbeddedCluster::builder().topic("T", 1).start().unwrap();
    let client = connect(&rt, &cluster).await;
    let producer = client.producer("P").start().await.unwrap();
    let consumer = client.push_consumer("G").subscribe("T", "*").start().await.unwrap();
    in_time(&rt, client.shutdown()).await;
    in_time(&rt, is_closed(&client, &producer, &consumer)).await;
    in_time(&rt, client.shutdown()).await;
}

async fn a_burst_of_sends_waits_its_turn<R: Counted>(rt: R) {
    const SENDS: usize = 10_000;
    let cluster = EmbeddedCluster::builder().topic("T", 4).start().unwrap();
    // A link that is given more than it may carry refuses: every send has to wait for its slot.
    let link = LinkConfig { max_sends: 64, max_pending: 64, max_queued_bytes: 32 * 1024, ..LinkConfig::default() };
    let client = connect_with(&rt, &cluster, Client::builder().link(link)).await;
    let producer = client.producer("P").send_timeout(Duration::from_secs(60)).retries(0).start().await.unwrap();
    let (done, results) = smol::channel::bounded(SENDS);
    for n in 0..SENDS {
        let (producer, done) = (producer.clone(), done.clone());
        rt.spawn(async move {
            let result = producer.send(Message::new("T", format!("{n}"))).await;
            done.try_send(result).unwrap();
        });
    }
    let all = async {
        for _ in 0..SENDS {
            results.recv().await.unwrap().unwrap();
        }
    };
    within(&rt, Duration::from_secs(60), all).await.expect("all sends complete");
    let stored = cluster.stored("T");
    assert_eq!(stored.len(), SENDS);
    let different: BTreeSet<_> = stored.iter().map(|message| message.body.to_vec()).collect();
    assert_eq!(different.len(), SENDS);
    in_time(&rt, client.shutdown()).await;
}

async fn calls_given_up_leave_nothing_behind<R: Counted>(rt: R) {
    // It takes connections and never answers.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client =
        Client::builder().name_servers(mute.local_addr().unwrap().to_string()).lazy().connect_on(&rt).await.unwrap();
    let producer = client.producer("P").start().await.unwrap();
    let mut memory = 0;
    for n in 0..40_000 {
        if n == 10_000 {
            memory = resident_kib();
        }
        assert!(future::poll_once(pin!(producer.send(Message::new("T", "x")))).await.is_none());
        if n % 200 == 0 {
            rt.pause(Duration::from_millis(1)).await;
        }
    }
    let grown = resident_kib().saturating_sub(memory);
    assert!(grown < GROWTH_KIB / 2, "30,000 sends given up left {grown} KiB behind");
    in_time(&rt, client.shutdown()).await;
    drop(mute);
}

#[test]
fn a_tokio_runtime_killed_under_live_handles_closes_them() {
    let _alone = alone();
    let cluster = EmbeddedCluster::builder().topic("T", 1).start().unwrap();
    for workers in [0, 1, 2] {
        let runtime = match workers {
            0 => tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            n => tokio::runtime::Builder::new_multi_thread().worker_threads(n).enable_all().build().unwrap(),
        };
        let rt = Tokio::with_handle(runtime.handle().clone());
        let handles = runtime.block_on(start_all(&rt, &cluster));
        killed(handles, move || runtime.shutdown_background());
        let dead = smol::block_on(soon(Client::builder().name_servers(cluster.namesrv()).connect_on(&rt)));
        assert_eq!(dead.unwrap_err(), ConnectError::Closed);
    }
}

#[test]
fn a_smol_executor_killed_under_live_handles_closes_them() {
    let _alone = alone();
    let cluster = EmbeddedCluster::builder().topic("T", 1).start().unwrap();
    let executor = Arc::new(Executor::new());
    let rt = Smol::with_executor(&executor);
    let handles = smol::block_on(executor.run(start_all(&rt, &cluster)));
    killed(handles, move || drop(executor));
    let dead = smol::block_on(soon(Client::builder().name_servers(cluster.namesrv()).connect_on(&rt)));
    assert_eq!(dead.unwrap_err(), ConnectError::Closed);
}

/// Panics when it is asked while it is told to.
struct Panics(Arc<AtomicBool>);

impl CredentialsProvider for Panics {
    fn credentials(&self) -> Option<Arc<Credentials>> {
        assert!(!self.0.load(Ordering::Relaxed), "no credentials");
        None
    }
}

#[test]
fn a_panic_of_the_users_code_in_a_link_ends_that_link_and_nothing_else() {
    let _alone = alone();
    let cluster = EmbeddedCluster::builder().topic("T", 1).start().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rt = Tokio::with_handle(runtime.handle().clone());
    runtime.block_on(async {
        let panics = Arc::new(AtomicBool::new(false));
        let builder = Client::builder().credentials_provider(Panics(panics.clone()));
        let client = connect_with(&rt, &cluster, builder).await;
        let producer = client.producer("P").send_timeout(Duration::from_secs(1)).start().await.unwrap();
        producer.send(Message::new("T", "x")).await.unwrap();
        panics.store(true, Ordering::Relaxed);
        let error = soon(producer.send(Message::new("T", "x"))).await.unwrap_err();
        assert!(matches!(error, SendError::Request(_)), "{error:?}");
        panics.store(false, Ordering::Relaxed);
        soon(producer.send(Message::new("T", "x"))).await.unwrap();
        panics.store(true, Ordering::Relaxed);
        soon(client.shutdown()).await;
    });
}

type Handles = (Client, [rocketmq_smol::Producer; 2], rocketmq_smol::PushConsumer);

async fn start_all<R: Runtime>(rt: &R, cluster: &EmbeddedCluster) -> Handles {
    let client = Client::builder().name_servers(cluster.namesrv()).connect_on(rt).await.unwrap();
    let producer = client.producer("P").start().await.unwrap();
    let together = AutoBatch { max_delay: PATIENCE, ..AutoBatch::default() };
    let batching = client.producer("B").send_timeout(2 * PATIENCE).auto_batch(together).start().await.unwrap();
    let consumer = client.push_consumer("G").subscribe("T", "*").start().await.unwrap();
    (client, [producer, batching], consumer)
}

/// Kills what the client runs on under calls that wait, then makes new ones.
fn killed((client, [producer, batching], consumer): Handles, kill: impl FnOnce()) {
    smol::block_on(async {
        let mut events = client.events();
        let mut next = pin!(consumer.next());
        let mut send = pin!(producer.send(Message::new("new_topic", "x")));
        let mut batched = pin!(batching.send(Message::new("T", "waits for others")));
        let mut end = pin!(client.shutdown());
        assert!(future::poll_once(&mut next).await.is_none());
        assert!(future::poll_once(&mut send).await.is_none());
        assert!(future::poll_once(&mut batched).await.is_none());
        kill();
        assert!(soon(next).await.is_none());
        // A route that came before the end leads to a link that nobody serves any more.
        let lost = RequestError { why: RequestFailure::Closed(CloseReason::Local), sent: Sent::Maybe };
        let error = soon(send).await.unwrap_err();
        assert!([SendError::Closed, SendError::Request(lost.clone())].contains(&error), "{error:?}");
        assert_eq!(soon(batched).await.unwrap_err(), SendError::Request(lost));
        assert_eq!(soon(batching.send(Message::new("T", "x"))).await.unwrap_err(), SendError::Closed);
        soon(&mut end).await;
        while let Some(_old) = soon(events.next()).await {}
        soon(is_closed(&client, &producer, &consumer)).await;
    });
}

/// Every call of every handle ends, as closed.
async fn is_closed(client: &Client, producer: &rocketmq_smol::Producer, consumer: &rocketmq_smol::PushConsumer) {
    assert_eq!(producer.send(Message::new("T", "x")).await.unwrap_err(), SendError::Closed);
    assert!(consumer.next().await.is_none());
    consumer.run(2, |delivery| async move { delivery.ack() }).await;
    assert_eq!(consumer.shutdown().await.unsettled, 0);
    let start = client.push_consumer("G2").subscribe("T", "*").start().await;
    assert_eq!(start.unwrap_err(), StartError::Closed);
    let late = client.producer("P2").start().await.unwrap();
    assert_eq!(late.send(Message::new("T", "x")).await.unwrap_err(), SendError::Closed);
    let admin = client.admin().queues("T").await.unwrap_err();
    assert_eq!(admin, rocketmq_smol::AdminError::Closed);
    assert!(client.events().next().await.is_none(), "events of a closed client end");
    client.shutdown().await;
}

async fn connect<R: Runtime>(rt: &R, cluster: &EmbeddedCluster) -> Client {
    connect_with(rt, cluster, Client::builder()).await
}

async fn connect_with<R: Runtime>(rt: &R, cluster: &EmbeddedCluster, builder: ClientBuilder) -> Client {
    builder.name_servers(cluster.namesrv()).connect_on(rt).await.unwrap()
}

/// Waits until the client's tasks and sockets are gone, which takes a moment beyond the end of each.
async fn settle<R: Counted>(rt: &R, tasks: usize, most_sockets: usize) {
    until(rt, "tasks and sockets are gone", || rt.tasks() <= tasks && sockets() <= most_sockets).await;
}

async fn until<R: Counted>(rt: &R, what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}; {} tasks, {} sockets", rt.tasks(), sockets());
        rt.pause(Duration::from_millis(5)).await;
    }
}

/// The output of a future that must be there soon.
async fn in_time<R: Counted, F: Future>(rt: &R, future: F) -> F::Output {
    within(rt, PATIENCE, future).await.expect("done in time")
}

async fn within<R: Counted, F: Future>(rt: &R, time: Duration, future: F) -> Option<F::Output> {
    let timeout = async {
        rt.pause(time).await;
        None
    };
    async { Some(future.await) }.or(timeout).await
}

/// The same without a runtime.
async fn soon<F: Future>(future: F) -> F::Output {
    let timeout = async {
        smol::Timer::after(PATIENCE).await;
        None
    };
    async { Some(future.await) }.or(timeout).await.expect("done in time")
}

/// A port nobody listens on.
fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Open sockets of this process.
fn sockets() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| entry.ok()?.path().read_link().ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

/// Memory of this process that is in RAM.
fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

const LIVES: usize = 1_000;
const WARM_UP: usize = 100;
/// A life that left its 64 KiB read buffer behind, or 8 KiB of anything, would exceed it.
const GROWTH_KIB: usize = 8 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);
