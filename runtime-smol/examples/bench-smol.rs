//! The benchmark program on smol: `MODE TOPIC COUNT SIZE IN_FLIGHT`, one JSON line of figures.
//!
//! Everything runs on one executor in the main thread.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a program, not the library")]

#[path = "../../tests/bench/work.rs"]
mod work;

use std::sync::{Arc, LazyLock};

use rocketmq_smol::Smol;
use smol::Executor;
use work::{Host, NAME_SERVER, Work};

static EXECUTOR: LazyLock<Arc<Executor<'static>>> = LazyLock::new(|| Arc::new(Executor::new()));

fn main() {
    let work = Work::from_args();
    let host = Host {
        name: "rocketmq-smol",
        spawn: |task| EXECUTOR.spawn(task).detach(),
        sleep: |time| {
            Box::pin(async move {
                smol::Timer::after(time).await;
            })
        },
    };
    let connected = async {
        let runtime = Smol::with_executor(&EXECUTOR);
        rocketmq_smol::builder().name_servers(NAME_SERVER).connect_on(&runtime).await.expect("name server")
    };
    smol::block_on(EXECUTOR.run(work.run(host, connected)));
}
