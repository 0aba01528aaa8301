//! Far more is sent at once than a link carries: memory stays within the budget, heartbeats come in time, nothing is
//! lost.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_lite::{AsyncRead, AsyncWrite, future};
use rocketmq_core::client::ClientEvent;
use rocketmq_core::config::HostInfo;
use rocketmq_core::driver::queue::Load;
use rocketmq_core::driver::{Client, ClientBuilder, Producer, Runtime};
use rocketmq_core::ids::Endpoint;
use rocketmq_core::message::Message;
use rocketmq_core::time::UnixMillis;
use rocketmq_testkit::cluster::BrokerConfig;
use rocketmq_testkit::real::{self, JavaPeer, Options, RealCluster, V5};
use rocketmq_testkit::sim::Sim;
use rocketmq_tokio::Tokio;

/// Memory is that of the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

const BODY: usize = 64 * 1024;
/// What a producer may have under way.
const BUDGET: Load = Load { requests: 256, bytes: 4 * 1024 * 1024 };

/// 1 GiB through a link that carries 1 MB a second: 18 minutes of virtual time.
#[test]
fn a_gibibyte_goes_through_a_narrow_link() {
    const MESSAGES: usize = 1024 * 1024 * 1024 / BODY;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // A broker that forgets whoever is silent for a heartbeat's interval and a few seconds.
    let config = BrokerConfig {
        client_expiry: Duration::from_secs(40),
        client_scan: Duration::from_secs(1),
        ..BrokerConfig::default()
    };
    let options = Sim::new(1).calm().config(config).brokers(1).topic("t", 4).horizon(Duration::from_secs(7_200));
    let report = options.events(u64::MAX).run(|world| async move {
        let sim_client = world.client("10.0.0.7");
        world.bandwidth(sim_client.host(), 1_000_000);
        let client = sim_client.connect().await.unwrap();
        let mut events = client.events();
        let producer = patient(&client).await;
        let (stored, most) = (Arc::new(Mutex::new(BTreeSet::new())), Arc::new(Mutex::new(Load::default())));
        let body = Bytes::from(noise());
        let sends: Vec<_> = (0..MESSAGES)
            .map(|_| {
                let (producer, stored, most, body) = (producer.clone(), stored.clone(), most.clone(), body.clone());
                world.spawn(async move {
                    let receipt = producer.send(Message::new("t", body)).await.unwrap();
                    raise(&most, producer.load());
                    stored.lock().unwrap().insert((receipt.queue.id, receipt.queue_offset));
                })
            })
            .collect();
        for send in sends {
            send.await;
        }
        let most = *most.lock().unwrap();
        assert!(most.bytes <= BUDGET.bytes && most.requests <= BUDGET.requests, "{most:?} under way");
        assert!(most.bytes > BUDGET.bytes / 2, "the budget was used: {most:?}");
        assert_eq!(stored.lock().unwrap().len(), MESSAGES, "each is stored once");
        assert_eq!(world.stored("t").len(), MESSAGES);
        let now = world.now();
        assert!(now.since(rocketmq_core::time::Instant::ZERO) > Duration::from_secs(1_050), "{now:?}");
        let mut down = 0;
        while let Some(Some(event)) = future::poll_once(events.next()).await {
            down += usize::from(matches!(event, ClientEvent::LinkDown(_)));
        }
        assert_eq!(down, 0, "the broker closes the link of whom it forgets: heartbeats came in time");
        client.shutdown().await;
    });
    assert!(report.failure.is_none(), "{:?}", report.failure);
}

/// 64 MiB to a real broker through 8 MB a second.
#[test]
fn sixty_four_mebibytes_go_to_a_real_broker() -> Result<(), real::RealError> {
    const MESSAGES: usize = 64 * 1024 * 1024 / BODY;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if !real::available()? {
        return Ok(());
    }
    let cluster = RealCluster::start(Options::new(V5))?;
    let java = JavaPeer::start()?;
    java.create_topic(&cluster.namesrv(), "pressure", 4)?;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let narrow = Narrow { inner: Tokio::current().unwrap(), pipe: Arc::default() };
        let builder = ClientBuilder::new().name_servers(cluster.namesrv()).heartbeat_interval(Duration::from_secs(1));
        let client = builder.connect_on(&narrow).await.unwrap();
        let producer = patient(&client).await;
        let body = Bytes::from(noise());
        let warm = producer.send(Message::new("pressure", body.clone())).await.unwrap();
        let (before, begun) = (resident(), Instant::now());
        let most = Arc::new(Mutex::new(Load::default()));
        let sends: Vec<_> = (1..MESSAGES)
            .map(|_| {
                let (producer, body, most) = (producer.clone(), body.clone(), most.clone());
                tokio::spawn(async move {
                    let receipt = producer.send(Message::new("pressure", body)).await.unwrap();
                    raise(&most, producer.load());
                    (receipt.queue.id, receipt.queue_offset)
                })
            })
            .collect();
        let peak = Arc::new(AtomicUsize::new(0));
        let watch = tokio::spawn({
            let peak = peak.clone();
            async move {
                loop {
                    peak.fetch_max(resident(), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        });
        let mut stored = BTreeSet::from([(warm.queue.id, warm.queue_offset)]);
        for send in sends {
            stored.insert(send.await.unwrap());
        }
        watch.abort();
        let (took, most) = (begun.elapsed(), *most.lock().unwrap());
        assert_eq!(stored.len(), MESSAGES, "each is stored once");
        assert!(took > Duration::from_secs(7), "the link was narrow: {took:?}");
        assert!(most.bytes <= BUDGET.bytes && most.requests <= BUDGET.requests, "{most:?} under way");
        let grown = peak.load(Ordering::Relaxed).saturating_sub(before);
        eprintln!("{MESSAGES} messages in {took:.1?}, {most:?} under way at most, memory grew by {} KiB", grown / 1024);
        assert!(grown < BUDGET.bytes + SLACK, "memory grew by {grown} bytes");
        let beats = narrow.pipe.beats.lock().unwrap().clone();
        let gaps = beats.windows(2).map(|pair| pair[1].duration_since(pair[0]));
        let longest = gaps.filter(|gap| *gap > Duration::from_millis(100)).max().unwrap();
        eprintln!("{} heartbeats, {longest:.1?} apart at most", beats.len());
        assert!(beats.len() >= 6 && longest < Duration::from_secs(3), "{} heartbeats, {longest:?} apart", beats.len());
        client.shutdown().await;
    });
    let ends = java.offsets(&cluster.namesrv(), "nobody", "pressure")?;
    assert_eq!(ends.iter().map(|queue| queue.max).sum::<i64>(), MESSAGES as i64, "as Java sees it");
    Ok(())
}

async fn patient(client: &Client) -> Producer {
    let hours = Duration::from_secs(7_200);
    client
        .producer("p")
        .under_way(BUDGET.requests, BUDGET.bytes)
        .send_timeout(hours)
        .attempt_timeout(hours)
        .start()
        .await
        .unwrap()
}

fn raise(most: &Mutex<Load>, load: Load) {
    let mut most = most.lock().unwrap();
    *most = Load { requests: most.requests.max(load.requests), bytes: most.bytes.max(load.bytes) };
}

/// Bytes that no compression makes smaller.
fn noise() -> Vec<u8> {
    let mut state = 1_u64;
    let byte = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..BODY).map(byte).collect()
}

/// Bytes of memory that this process has.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// A runtime whose links share a pipe that takes 8 MB a second.
#[derive(Clone)]
struct Narrow {
    inner: Tokio,
    pipe: Arc<Pipe>,
}

#[derive(Default)]
struct Pipe {
    begun: std::sync::OnceLock<Instant>,
    taken: AtomicU64,
    /// When heartbeats went out.
    beats: Mutex<Vec<Instant>>,
}

struct NarrowStream {
    inner: <Tokio as Runtime>::Stream,
    pipe: Arc<Pipe>,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

const RATE: u64 = 8_000_000;
/// What the pipe takes at once.
const CHUNK: usize = 64 * 1024;
/// Buffers, tasks and stacks beside what is under way.
const SLACK: usize = 12 * 1024 * 1024;

impl Runtime for Narrow {
    type Stream = NarrowStream;
    type Sleep = <Tokio as Runtime>::Sleep;

    fn now(&self) -> rocketmq_core::time::Instant {
        self.inner.now()
    }
    fn wall(&self) -> UnixMillis {
        self.inner.wall()
    }
    fn sleep_until(&self, at: rocketmq_core::time::Instant) -> Self::Sleep {
        self.inner.sleep_until(at)
    }
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.spawn(task);
    }
    async fn connect(&self, to: &Endpoint) -> std::io::Result<NarrowStream> {
        Ok(NarrowStream { inner: self.inner.connect(to).await?, pipe: self.pipe.clone(), pause: None })
    }
    async fn load(&self, path: &std::path::Path) -> std::io::Result<Option<Vec<u8>>> {
        self.inner.load(path).await
    }
    async fn save(&self, path: &std::path::Path, bytes: Vec<u8>) -> std::io::Result<()> {
        self.inner.save(path, bytes).await
    }
    fn entropy(&self) -> u64 {
        self.inner.entropy()
    }
    fn host(&self) -> HostInfo {
        self.inner.host()
    }
}

impl AsyncRead for NarrowStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for NarrowStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let begun = *self.pipe.begun.get_or_init(Instant::now);
        let due = begun + Duration::from_micros(self.pipe.taken.load(Ordering::Relaxed) * 1_000_000 / RATE);
        if due > Instant::now() {
            let mut pause = Box::pin(tokio::time::sleep_until(due.into()));
            if pause.as_mut().poll(cx).is_pending() {
                self.pause = Some(pause);
                return Poll::Pending;
            }
        }
        let buf = &buf[..buf.len().min(CHUNK)];
        let written = std::task::ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        if buf[..written].windows(HEARTBEAT.len()).any(|bytes| bytes == HEARTBEAT) {
            self.pipe.beats.lock().unwrap().push(Instant::now());
        }
        // What was not used by now is gone.
        let least = begun.elapsed().as_micros() as u64 * RATE / 1_000_000;
        self.pipe.taken.fetch_max(least, Ordering::Relaxed);
        self.pipe.taken.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

/// In the header of a heartbeat.
const HEARTBEAT: &[u8] = br#""code":34"#;
