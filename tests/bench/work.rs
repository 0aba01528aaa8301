//! The work of the benchmark programs, the same on every runtime.
//!
//! `MODE TOPIC COUNT SIZE IN_FLIGHT` against the name server on 127.0.0.1:9876; one JSON line of figures. `batched` puts
//! messages together into batches; `together` sends them one by one first, then so, and tells how many times faster that is, and
//! how much of what the bare wire does with batches built before.

mod process;
mod wire;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_lite::future;
use rocketmq_core::config::{AutoBatch, StartFrom};
use rocketmq_core::driver::{Client, Producer};
use rocketmq_core::message::Message;

use process::cpu;

/// The name server every benchmark uses.
pub(crate) const NAME_SERVER: &str = "127.0.0.1:9876";

/// What the program needs of its runtime beside the client.
pub(crate) struct Host {
    /// The name in the figures.
    pub(crate) name: &'static str,
    /// Starts a task.
    pub(crate) spawn: fn(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// Sleeps.
    pub(crate) sleep: fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// The command line.
#[derive(Clone)]
pub(crate) struct Work {
    mode: String,
    topic: String,
    count: usize,
    size: usize,
    in_flight: usize,
}

impl Work {
    /// Reads the command line.
    pub(crate) fn from_args() -> Self {
        let args: Vec<_> = std::env::args().skip(1).collect();
        let [mode, topic, count, size, in_flight] = args.as_slice() else {
            eprintln!(
                "usage: MODE TOPIC COUNT SIZE IN_FLIGHT, with MODE one of send, async, batched, together, consume, e2e"
            );
            std::process::exit(2);
        };
        let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("'{text}' is not a number"));
        Self {
            mode: mode.clone(),
            topic: topic.clone(),
            count: number(count),
            size: number(size),
            in_flight: number(in_flight).max(1),
        }
    }

    /// Does the work and prints its figures. `connected` opens the client: its time counts as start-up.
    pub(crate) async fn run(self, host: Host, connected: impl Future<Output = Client>) {
        match self.mode.as_str() {
            "send" | "async" => drop(self.send(&host, &connected.await, None).await),
            "batched" => drop(self.send(&host, &connected.await, Some(AutoBatch::default())).await),
            "together" => {
                let client = connected.await;
                let plain = self.send(&host, &client, None).await;
                let together = self.send(&host, &client, Some(AutoBatch::default())).await;
                let wire = self.send_bare(&client).await;
                let [faster, of_wire] = [plain, wire].map(|time| time.as_secs_f64() / together.as_secs_f64());
                println!("{{\"together\":{faster:.2},\"of_wire\":{of_wire:.2}}}");
            }
            "consume" => self.consume(&host, connected).await,
            "e2e" => self.end_to_end(&host, &connected.await).await,
            other => panic!("unknown mode {other}"),
        }
    }

    /// `in_flight` tasks send one message after another; how long that took.
    async fn send(&self, host: &Host, client: &Client, together: Option<AutoBatch>) -> Duration {
        let mut builder = client.producer("bench_rust_p").under_way(self.in_flight.max(1_024), 100 << 20);
        if let Some(together) = together {
            builder = builder.auto_batch(together);
        }
        let producer = builder.start().await.expect("producer");
        producer.send(self.message()).await.expect("first send");
        let next = Arc::new(AtomicUsize::new(0));
        let latencies = Arc::new(Mutex::new(Vec::with_capacity(self.count)));
        let left = Arc::new(AtomicUsize::new(self.in_flight));
        let (done, all_done) = done_flag();
        let (cpu, begun) = (cpu(), Instant::now());
        for _ in 0..self.in_flight {
            let (work, producer, next) = (self.clone(), producer.clone(), next.clone());
            let (latencies, left, done) = (latencies.clone(), left.clone(), done.clone());
            (host.spawn)(Box::pin(async move {
                let own = work.send_some(&producer, &next).await;
                latencies.lock().expect("no panic").extend(own);
                if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    done.set();
                }
            }));
        }
        all_done.await;
        let (wall, cpu) = (begun.elapsed(), self::cpu() - cpu);
        let latencies = std::mem::take(&mut *latencies.lock().expect("no panic"));
        self.report(host, wall, cpu, Some(latencies));
        wall
    }

    async fn send_some(&self, producer: &Producer, next: &AtomicUsize) -> Vec<u32> {
        let body = bytes::Bytes::from(vec![b'x'; self.size]);
        let topic = rocketmq_core::ids::Topic::from(&self.topic);
        let mut latencies = Vec::with_capacity(self.count / self.in_flight + 1);
        while next.fetch_add(1, Ordering::Relaxed) < self.count {
            let begun = Instant::now();
            if let Err(error) = producer.send(Message::new(topic.clone(), body.clone())).await {
                eprintln!("{error}");
            }
            latencies.push(nanos(begun.elapsed()));
        }
        latencies
    }

    async fn consume(&self, host: &Host, connected: impl Future<Output = Client>) {
        let begun = Instant::now();
        let client = connected.await;
        let group = format!("bench_rust_{}", std::process::id());
        let consumer = client.push_consumer(group).subscribe(self.topic.as_str(), "*").start_from(StartFrom::First);
        let consumer = consumer.start().await.expect("consumer");
        consumer.next().await.expect("first message").ack();
        let (first, cpu) = (Instant::now(), cpu());
        for _ in 1..self.count {
            consumer.next().await.expect("message").ack();
        }
        let (wall, cpu) = (first.elapsed(), self::cpu() - cpu);
        eprintln!("start-to-first {:.3} s", (first - begun).as_secs_f64());
        self.report(host, wall, cpu, None);
        consumer.shutdown().await;
    }

    /// Sends a message each millisecond and consumes it in the same process.
    async fn end_to_end(&self, host: &Host, client: &Client) {
        let group = format!("bench_rust_e_{}", std::process::id());
        let consumer = client.push_consumer(group).subscribe(self.topic.as_str(), "*").start().await.expect("consumer");
        let producer = client.producer("bench_rust_p").start().await.expect("producer");
        let base = Instant::now();
        let prefix = format!("TS:{:>8}:", std::process::id());
        let latencies = Arc::new(Mutex::new(Vec::with_capacity(self.count)));
        let (done, all_done) = done_flag();
        let (count, own, kept) = (self.count, prefix.clone(), latencies.clone());
        (host.spawn)(Box::pin(async move {
            let mut seen = 0;
            while seen < count
                && let Some(delivery) = consumer.next().await
            {
                let stamp = delivery.message().body().strip_prefix(own.as_bytes()).map(|rest| rest[..16].to_vec());
                if let Some(sent) = stamp.and_then(|text| String::from_utf8(text).ok()?.trim().parse::<u128>().ok()) {
                    let late = base.elapsed().as_nanos() - sent;
                    kept.lock().expect("no panic").push(u32::try_from(late).unwrap_or(u32::MAX));
                    seen += 1;
                }
                delivery.ack();
            }
            done.set();
        }));
        // A young topic is read from its beginning, whoever asks: what earlier runs left is out of the way by then.
        (host.sleep)(Duration::from_secs(5)).await;
        let (cpu, begun) = (cpu(), Instant::now());
        for _ in 0..self.count {
            let mut body = format!("{prefix}{:>16}:", base.elapsed().as_nanos()).into_bytes();
            body.resize(self.size.max(body.len()), b'x');
            producer.send(Message::new(self.topic.as_str(), body)).await.expect("send");
            (host.sleep)(Duration::from_millis(1)).await;
        }
        future::or(all_done, (host.sleep)(Duration::from_secs(20))).await;
        let (wall, cpu) = (begun.elapsed(), self::cpu() - cpu);
        let latencies = std::mem::take(&mut *latencies.lock().expect("no panic"));
        self.report(host, wall, cpu, Some(latencies));
    }

    fn message(&self) -> Message {
        Message::new(self.topic.as_str(), vec![b'x'; self.size])
    }

    fn report(&self, host: &Host, wall: Duration, cpu: Duration, latencies: Option<Vec<u32>>) {
        let n = self.count as f64;
        let mut line = format!(
            "{{\"client\":\"{}\",\"mode\":\"{}\",\"n\":{},\"wall_s\":{:.3},\"rate\":{:.0},\"cpu_us_per_msg\":{:.3},\"rss_mb\":{:.1}",
            host.name,
            self.mode,
            self.count,
            wall.as_secs_f64(),
            n / wall.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / n,
            process::memory_mb("VmHWM"),
        );
        if let Some(mut latencies) = latencies.filter(|latencies| !latencies.is_empty()) {
            latencies.sort_unstable();
            let at = |permille: usize| latencies[latencies.len() * permille / 1_000] / 1_000;
            line += &format!(",\"p50_us\":{},\"p99_us\":{},\"p999_us\":{}", at(500), at(990), at(999));
        }
        println!("{line}}}");
    }
}

fn nanos(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos()).unwrap_or(u32::MAX)
}

/// A flag that can be set once and waited for.
#[derive(Clone)]
struct Done(Arc<Mutex<Option<rocketmq_core::driver::cell::Completer<()>>>>);

impl Done {
    fn set(&self) {
        let completer = self.0.lock().expect("no panic").take();
        if let Some(Ok(Some(waker))) = completer.map(|completer| completer.complete(())) {
            waker.wake();
        }
    }
}

fn done_flag() -> (Done, impl Future<Output = ()> + Send) {
    let (completer, completion) = rocketmq_core::driver::cell::cell();
    (Done(Arc::new(Mutex::new(Some(completer)))), async move {
        let _ = completion.await;
    })
}
