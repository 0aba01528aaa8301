//! What a consumer of 2,000 queues costs while nothing comes: CPU and memory of its process.
//!
//! `cargo bench -p rocketmq-testkit --bench idle`; the embedded cluster runs in a process of its own.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a measurement")]

#[path = "../bench/process.rs"]
mod process;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rocketmq_testkit::cluster::tcp::EmbeddedCluster;
use rocketmq_tokio::ClientEvent;

use process::{cpu, memory_mb};

const QUEUES: i32 = 2_000;
const SETTLING: Duration = Duration::from_secs(5);
const WATCHED: Duration = Duration::from_secs(30);
/// The argument of the process that is the cluster.
const CLUSTER: &str = "--cluster";

fn main() {
    if std::env::args().any(|arg| arg == CLUSTER) {
        return serve();
    }
    let mut cluster = Cluster::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(watch(&cluster.namesrv()));
}

/// The cluster, until its parent closes the pipe.
fn serve() {
    let cluster = EmbeddedCluster::builder().topic("idle", QUEUES).start().expect("a cluster");
    println!("{}", cluster.namesrv());
    std::io::stdout().flush().expect("a pipe");
    let _ = std::io::stdin().read(&mut [0]);
}

async fn watch(namesrv: &str) {
    let (before, started) = (memory_mb("VmRSS"), Instant::now());
    let client = rocketmq_tokio::connect(namesrv).await.expect("a client");
    let mut events = client.events();
    let consumer = client.push_consumer("idle_group").subscribe("idle", "*").start().await.expect("a consumer");
    let mut owned = 0;
    while owned < usize::try_from(QUEUES).unwrap() {
        if let Some(ClientEvent::StartPosition { queue, .. }) = events.next().await
            && queue.topic.as_str() == "idle"
        {
            owned += 1;
        }
    }
    println!("{QUEUES} queues are pulled after {:.1?}", started.elapsed());
    tokio::time::sleep(SETTLING).await;
    let (used, begun) = (cpu(), Instant::now());
    tokio::time::sleep(WATCHED).await;
    let share = (cpu() - used).as_secs_f64() / begun.elapsed().as_secs_f64();
    println!("CPU      {:.2} % of a core over {WATCHED:?}", share * 100.0);
    println!("memory   {:.1} MB resident, {:.1} MB at most", memory_mb("VmRSS"), memory_mb("VmHWM"));
    println!("         {:.1} MB before the client was there", before);
    consumer.shutdown().await;
    client.shutdown().await;
}

struct Cluster(Child);

impl Cluster {
    fn start() -> Self {
        let program = std::env::current_exe().expect("this program");
        let child = Command::new(program).arg(CLUSTER).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Self(child.expect("a process"))
    }

    fn namesrv(&mut self) -> String {
        let mut line = String::new();
        let output = self.0.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("an address");
        line.trim().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
