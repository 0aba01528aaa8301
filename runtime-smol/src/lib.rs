//! Apache RocketMQ client on smol.
//!
//! ```no_run
//! use rocketmq_smol::Message;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     smol::block_on(async {
//!         let client = rocketmq_smol::connect("127.0.0.1:9876").await?;
//!         let producer = client.producer("order-service").start().await?;
//!         producer.send(Message::new("orders", "hello")).await?;
//!         client.shutdown().await;
//!         Ok(())
//!     })
//! }
//! ```
//!
//! [`Client`] makes a [`Producer`] and a [`PushConsumer`] for each group, and an [`Admin`]; all are cheap to clone.
//! Consuming is at least once; after a failed send, [`SendError::may_be_stored`] tells what is certain.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use async_io::{Async, Timer};
use futures_lite::io::{AsyncRead, AsyncWrite};
use rocketmq_core::config::HostInfo;
use rocketmq_core::driver::{Runtime, os};
use rocketmq_core::ids::Endpoint;
use rocketmq_core::time::{Instant, UnixMillis};
use smol::Executor;

pub use rocketmq_core::driver::prelude::*;

/// Connects to a cluster by its name servers, `host:port;host:port`, on smol's global executor.
///
/// # Errors
/// The list is malformed, or no name server can be reached.
pub async fn connect(name_servers: impl AsRef<str>) -> Result<Client, ConnectError> {
    connect_with(builder().name_servers(name_servers)).await
}

/// Configures a client, for [`connect_with`] or, on an executor of your own, [`ClientBuilder::connect_on`].
#[must_use]
pub fn builder() -> ClientBuilder {
    ClientBuilder::new()
}

/// Connects a configured client on smol's global executor.
///
/// # Errors
/// The configuration breaks a rule, or no name server can be reached.
pub async fn connect_with(builder: ClientBuilder) -> Result<Client, ConnectError> {
    builder.connect_on(&Smol::new()).await
}

/// The smol runtime: async-io's reactor, and smol's global executor or one of the caller's.
#[derive(Clone, Debug)]
pub struct Smol {
    origin: os::Origin,
    /// Not owned: handles and tasks hold clones of this, and must not keep alive what nobody runs.
    executor: Option<Weak<Executor<'static>>>,
}

impl Smol {
    /// On smol's global executor, which has as many threads as `SMOL_THREADS` says, one by default.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: os::Origin::now(), executor: None }
    }

    /// On this executor, which the caller owns and runs. When it is dropped, what runs on it is closed.
    #[must_use]
    pub fn with_executor(executor: &Arc<Executor<'static>>) -> Self {
        Self { executor: Some(Arc::downgrade(executor)), ..Self::new() }
    }
}

impl Default for Smol {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime for Smol {
    type Stream = Stream;
    type Sleep = Sleep;

    fn now(&self) -> Instant {
        self.origin.instant(std::time::Instant::now())
    }

    fn wall(&self) -> UnixMillis {
        os::wall()
    }

    fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep(self.origin.system(at).map_or_else(Timer::never, Timer::at))
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match &self.executor {
            Some(executor) => {
                if let Some(executor) = executor.upgrade() {
                    executor.spawn(task).detach();
                }
            }
            None => smol::spawn(task).detach(),
        }
    }

    async fn connect(&self, to: &Endpoint) -> io::Result<Stream> {
        let connect = |address| async move {
            let stream = Async::<TcpStream>::connect(address).await?;
            stream.get_ref().set_nodelay(true)?;
            Ok(Stream(stream))
        };
        os::connect_each(self, to, smol::net::resolve(to.as_str()).await, connect).await
    }

    async fn load(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let path = path.to_owned();
        smol::unblock(move || os::load(&path)).await
    }

    async fn save(&self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        let path = path.to_owned();
        smol::unblock(move || os::save(&path, &bytes)).await
    }

    fn entropy(&self) -> u64 {
        os::entropy()
    }

    fn host(&self) -> HostInfo {
        os::host()
    }
}

/// A TCP stream on async-io's reactor.
///
/// `smol::net::TcpStream` would write only the first slice of a vectored write, and a bare `Async` does not end the
/// stream on close.
#[derive(Debug)]
pub struct Stream(Async<TcpStream>);

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.0).poll_flush(cx))?;
        Poll::Ready(self.0.get_ref().shutdown(Shutdown::Write))
    }
}

/// A timer of [`Smol`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Sleep(Timer);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}
