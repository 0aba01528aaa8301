//! The two runtimes as the scenarios see them: only connecting and driving differ.

use std::future::Future;
use std::io;
use std::path::Path;

use futures_lite::FutureExt;
use rocketmq_core::config::HostInfo;
use rocketmq_core::driver::{Client, ClientBuilder, ConnectError, Runtime};
use rocketmq_core::ids::Endpoint;
use rocketmq_core::time::{Instant, UnixMillis};
use rocketmq_smol::Smol;
use smol::channel::{Receiver, Sender, bounded};

/// A runtime adapter.
pub(crate) trait Live: 'static {
    const NAME: &'static str;

    /// Runs a scenario to its end.
    fn block_on<T>(scenario: impl Future<Output = T>) -> T;

    /// Connects on the current runtime.
    fn connect(builder: ClientBuilder) -> impl Future<Output = Result<Client, ConnectError>>;

    /// Connects on a runtime of its own, which the returned function ends without a word to anybody.
    fn connect_mortal(builder: ClientBuilder) -> (Client, Kill);
}

/// Ends a runtime: its tasks are dropped where they stand, and the sockets with them.
pub(crate) type Kill = Box<dyn FnOnce() + Send>;

pub(crate) struct OnSmol;

impl Live for OnSmol {
    const NAME: &'static str = "smol";

    fn block_on<T>(scenario: impl Future<Output = T>) -> T {
        smol::block_on(scenario)
    }

    fn connect(builder: ClientBuilder) -> impl Future<Output = Result<Client, ConnectError>> {
        rocketmq_smol::connect_with(builder)
    }

    fn connect_mortal(builder: ClientBuilder) -> (Client, Kill) {
        let (life, death) = bounded(1);
        let client = smol::block_on(builder.connect_on(&Mortal { inner: Smol::new(), death }));
        (client.expect("a client"), Box::new(move || drop::<Sender<()>>(life)))
    }
}

pub(crate) struct OnTokio;

impl Live for OnTokio {
    const NAME: &'static str = "tokio";

    fn block_on<T>(scenario: impl Future<Output = T>) -> T {
        tokio_runtime(2).block_on(scenario)
    }

    fn connect(builder: ClientBuilder) -> impl Future<Output = Result<Client, ConnectError>> {
        rocketmq_tokio::connect_with(builder)
    }

    fn connect_mortal(builder: ClientBuilder) -> (Client, Kill) {
        let runtime = tokio_runtime(1);
        let client = runtime.block_on(rocketmq_tokio::connect_with(builder));
        (client.expect("a client"), Box::new(move || runtime.shutdown_background()))
    }
}

fn tokio_runtime(threads: usize) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all().build().expect("a tokio runtime")
}

/// Smol whose tasks end when the sender of `death` is dropped. An executor cannot be dropped under its tasks, as they
/// hold it.
#[derive(Clone)]
struct Mortal {
    inner: Smol,
    death: Receiver<()>,
}

impl Runtime for Mortal {
    type Stream = <Smol as Runtime>::Stream;
    type Sleep = <Smol as Runtime>::Sleep;

    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn wall(&self) -> UnixMillis {
        self.inner.wall()
    }

    fn sleep_until(&self, at: Instant) -> Self::Sleep {
        self.inner.sleep_until(at)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let death = self.death.clone();
        let killed = async move {
            let _ = death.recv().await;
        };
        self.inner.spawn(killed.or(task));
    }

    async fn connect(&self, to: &Endpoint) -> io::Result<Self::Stream> {
        self.inner.connect(to).await
    }

    async fn load(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.inner.load(path).await
    }

    async fn save(&self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        self.inner.save(path, bytes).await
    }

    fn entropy(&self) -> u64 {
        self.inner.entropy()
    }

    fn host(&self) -> HostInfo {
        self.inner.host()
    }
}
