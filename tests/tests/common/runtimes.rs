//! Both runtimes, for suites that try the same on each.

use rocketmq_smol::{Client, ClientBuilder, ConnectError};

/// A runtime by its name, and how a client is connected on it.
pub(crate) type OnRuntime = (&'static str, fn(ClientBuilder) -> Result<Client, ConnectError>);

pub(crate) const RUNTIMES: [OnRuntime; 2] = [("smol", on_smol), ("tokio", on_tokio)];

fn on_smol(builder: ClientBuilder) -> Result<Client, ConnectError> {
    smol::block_on(rocketmq_smol::connect_with(builder))
}

fn on_tokio(builder: ClientBuilder) -> Result<Client, ConnectError> {
    static RUNTIME: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
    let make = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    RUNTIME.get_or_init(make).block_on(rocketmq_tokio::connect_with(builder))
}
