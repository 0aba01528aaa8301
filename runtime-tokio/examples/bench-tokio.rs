//! The benchmark program on tokio: `MODE TOPIC COUNT SIZE IN_FLIGHT`, one JSON line of figures.
//!
//! One thread by default; with `BENCH_THREADS=N` tokio's multi-threaded scheduler.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a program, not the library")]

#[path = "../../tests/bench/work.rs"]
mod work;

use work::{Host, NAME_SERVER, Work};

fn main() {
    let work = Work::from_args();
    let host = Host {
        name: "rocketmq-tokio",
        spawn: |task| {
            tokio::spawn(task);
        },
        sleep: |time| Box::pin(tokio::time::sleep(time)),
    };
    let threads = std::env::var("BENCH_THREADS").ok().and_then(|threads| threads.parse().ok());
    let mut builder = match threads {
        None => tokio::runtime::Builder::new_current_thread(),
        Some(_) => tokio::runtime::Builder::new_multi_thread(),
    };
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build().expect("runtime");
    let connected = async { rocketmq_tokio::connect(NAME_SERVER).await.expect("name server") };
    runtime.block_on(work.run(host, connected));
}
