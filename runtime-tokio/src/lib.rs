//! Apache RocketMQ client on tokio.
//!
//! ```no_run
//! use rocketmq_tokio::Message;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = rocketmq_tokio::connect("127.0.0.1:9876").await?;
//!     let producer = client.producer("order-service").start().await?;
//!     producer.send(Message::new("orders", "hello")).await?;
//!     client.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! [`Client`] makes a [`Producer`] and a [`PushConsumer`] for each group, and an [`Admin`]; all are cheap to clone.
//! Consuming is at least once; after a failed send, [`SendError::may_be_stored`] tells what is certain.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_lite::io::{AsyncRead, AsyncWrite};
use rocketmq_core::config::HostInfo;
use rocketmq_core::driver::{Runtime, os};
use rocketmq_core::ids::Endpoint;
use rocketmq_core::time::{Instant, UnixMillis};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::{Handle, TryCurrentError};
use tokio::time::Sleep;

pub use rocketmq_core::driver::prelude::*;

/// Connects to a cluster by its name servers, `host:port;host:port`.
///
/// # Errors
/// The list is malformed, no name server can be reached, or the caller is not a task of tokio's.
pub async fn connect(name_servers: impl AsRef<str>) -> Result<Client, ConnectError> {
    connect_with(builder().name_servers(name_servers)).await
}

/// Configures a client, for [`connect_with`].
#[must_use]
pub fn builder() -> ClientBuilder {
    ClientBuilder::new()
}

/// Connects a configured client on the current runtime.
///
/// # Errors
/// The configuration breaks a rule, no name server can be reached, or the caller is not a task of tokio's.
pub async fn connect_with(builder: ClientBuilder) -> Result<Client, ConnectError> {
    let runtime = Tokio::current().map_err(|error| ConnectError::Runtime(error.to_string()))?;
    builder.connect_on(&runtime).await
}

/// The tokio runtime that was current when this was made, with its IO and time drivers enabled.
///
/// Its clock is tokio's, so that a paused clock pauses the client.
#[derive(Clone, Debug)]
pub struct Tokio {
    origin: os::Origin,
    handle: Handle,
}

impl Tokio {
    /// On the runtime of the calling task.
    ///
    /// # Errors
    /// The caller is not a task of tokio's.
    pub fn current() -> Result<Self, TryCurrentError> {
        Handle::try_current().map(Self::with_handle)
    }

    /// On the runtime behind this handle.
    #[must_use]
    pub fn with_handle(handle: Handle) -> Self {
        let _entered = handle.enter();
        Self { origin: os::Origin::at(tokio::time::Instant::now().into_std()), handle: handle.clone() }
    }
}

impl Runtime for Tokio {
    type Stream = Stream;
    type Sleep = Sleep;

    fn now(&self) -> Instant {
        self.origin.instant(tokio::time::Instant::now().into_std())
    }

    fn wall(&self) -> UnixMillis {
        os::wall()
    }

    fn sleep_until(&self, at: Instant) -> Sleep {
        // A timer belongs to the runtime that is current when it is made.
        let _entered = self.handle.enter();
        match self.origin.system(at) {
            Some(at) => tokio::time::sleep_until(at.into()),
            None => tokio::time::sleep(NEVER),
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(task));
    }

    async fn connect(&self, to: &Endpoint) -> io::Result<Stream> {
        let connect = |address| async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Stream(stream))
        };
        let mut connected =
            pin!(async { os::connect_each(self, to, tokio::net::lookup_host(to.as_str()).await, connect).await });
        // Whoever polls this need not be a task of the runtime, but resolver and socket must belong to it.
        poll_fn(|cx| {
            let _entered = self.handle.enter();
            connected.as_mut().poll(cx)
        })
        .await
    }

    async fn load(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let path = path.to_owned();
        self.handle.spawn_blocking(move || os::load(&path)).await.map_err(io::Error::other)?
    }

    async fn save(&self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        let path = path.to_owned();
        self.handle.spawn_blocking(move || os::save(&path, &bytes)).await.map_err(io::Error::other)?
    }

    fn entropy(&self) -> u64 {
        os::entropy()
    }

    fn host(&self) -> HostInfo {
        os::host()
    }
}

/// A TCP stream of tokio behind the traits of futures-io, vectored writes included.
#[derive(Debug)]
pub struct Stream(TcpStream);

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
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
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// What tokio itself takes for the far future: 30 years.
const NEVER: Duration = Duration::from_secs(86_400 * 365 * 30);
