//! What the drivers need of a runtime.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use std::io;
use std::path::Path;

use futures_lite::FutureExt;
pub use futures_lite::io::{AsyncRead, AsyncWrite};

use crate::config::HostInfo;
use crate::ids::Endpoint;
use crate::time::{Instant, UnixMillis};

/// An executor with timers, TCP and files.
///
/// Clones share the clock's origin: an [`Instant`] of one is understood by all.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A plain TCP stream. Its vectored writes should reach the socket as one call.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// A timer.
    type Sleep: Future<Output = ()> + Send + 'static;

    /// The monotonic clock.
    fn now(&self) -> Instant;

    /// The wall clock.
    fn wall(&self) -> UnixMillis;

    /// Resolves once [`Runtime::now`] has reached `at`: at once when it has, never for [`Instant::FAR`].
    fn sleep_until(&self, at: Instant) -> Self::Sleep;

    /// Runs a task to its end, detached.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Connects by plain TCP without Nagle's delay. The host name is resolved each time, and its addresses tried in turn.
    ///
    /// # Errors
    /// The name does not resolve ([`io::ErrorKind::NotFound`]), or the error of the last address.
    fn connect(&self, to: &Endpoint) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Reads a file; `None` when there is none.
    ///
    /// # Errors
    /// As the system says.
    fn load(&self, path: &Path) -> impl Future<Output = io::Result<Option<Vec<u8>>>> + Send;

    /// Replaces a file at once or not at all, readable by its owner only, and durably; its folder is made if need be.
    ///
    /// # Errors
    /// As the system says.
    fn save(&self, path: &Path, bytes: Vec<u8>) -> impl Future<Output = io::Result<()>> + Send;

    /// Bits nobody can foretell, other ones at each call. For seeds, not for keys.
    fn entropy(&self) -> u64;

    /// Process and host.
    fn host(&self) -> HostInfo;
}

/// What follows from a [`Runtime`].
pub trait RuntimeExt: Runtime {
    /// The output of `task`, or `None` if it is not there at `deadline`; `task` is polled first.
    fn before<F: Future + Send>(&self, deadline: Instant, task: F) -> impl Future<Output = Option<F::Output>> + Send
    where
        F::Output: Send,
    {
        let sleep = self.sleep_until(deadline);
        async { Some(task.await) }.or(async {
            sleep.await;
            None
        })
    }
}

impl<R: Runtime> RuntimeExt for R {}

/// The clock of a runtime, for handles that carry no type parameter.
pub trait Clock: Send + Sync {
    /// The monotonic clock.
    fn now(&self) -> Instant;
    /// The wall clock.
    fn wall(&self) -> UnixMillis;
    /// Resolves once [`Clock::now`] has reached `at`.
    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A runtime as a [`Clock`].
#[derive(Clone, Copy, Debug)]
pub struct ClockOf<R>(pub R);

impl<R: Runtime> Clock for ClockOf<R> {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn wall(&self) -> UnixMillis {
        self.0.wall()
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.0.sleep_until(at))
    }
}
