//! A host: a process with its address, its clocks and its files, which is a [`Runtime`].

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rocketmq_core::config::{HostInfo, NAMESRV_ADDR, NAMESRV_DOMAIN};
use rocketmq_core::driver::Runtime;
use rocketmq_core::driver::runtime::{AsyncRead, AsyncWrite};
use rocketmq_core::ids::Endpoint;
use rocketmq_core::time::{Instant, UnixMillis};

use super::directory::{self, Conversation, DIRECTORY};
use super::exec::Shared;
use super::faults::Fault;
use super::history::What;
use super::state::{Event, HostState, State};
use super::tape::Stream as Tape;
use crate::cluster::Node;

/// A simulated process; clones are the same one.
#[derive(Clone)]
pub struct Host {
    pub(crate) shared: Arc<Shared>,
    pub(crate) index: usize,
}

/// A simulated TCP stream.
pub struct Stream {
    shared: Arc<Shared>,
    peer: Peer,
}

/// Who is at the other end.
enum Peer {
    /// A server, over a link.
    Link(u64),
    /// Whoever tells the name servers.
    Directory(Conversation),
}

/// A simulated timer.
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    shared: Arc<Shared>,
    host: usize,
    at: Instant,
    key: Option<(Instant, u64)>,
}

/// What a connect meets.
enum Met {
    Nobody,
    Refused,
    NoAnswer,
    Server(Node),
}

impl Host {
    /// The same process, called so in pictures.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        name.clone_into(&mut self.shared.state().hosts[self.index].name);
        self
    }

    /// The same process with an environment variable.
    #[must_use]
    pub fn with_env(self, name: &str, value: &str) -> Self {
        self.shared.state().hosts[self.index].env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The number of this host, in the order of their making.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    async fn disk_works(&self) {
        let at = {
            let mut state = self.shared.state();
            let time = state.tape.range(Tape::App, 1, 20);
            state.now.after(Duration::from_millis(time))
        };
        self.sleep_until(at).await;
    }

    async fn connect_directory(&self) -> io::Result<Stream> {
        let (met, at) = self.shared.state().meet_directory();
        self.sleep_until(at).await;
        match met {
            directory::Met::NoAnswer => std::future::pending().await,
            directory::Met::Refused => Err(directory::refused()),
            directory::Met::Served(conversation) => {
                Ok(Stream { shared: self.shared.clone(), peer: Peer::Directory(conversation) })
            }
        }
    }

    fn meet(&self, to: &str) -> (Met, Instant) {
        let mut state = self.shared.state();
        let soon = state.now.after(Duration::from_micros(state.tape.range(Tape::Net, 100, 2_000)));
        if state.roll(Fault::Unresolved) {
            state.count(Fault::Unresolved);
            return (Met::Nobody, soon);
        }
        let Some(node) = state.servers.at(to) else { return (Met::Refused, soon) };
        if state.servers.is_gone(node) {
            return (Met::NoAnswer, soon);
        }
        if state.roll(Fault::Refused) {
            state.count(Fault::Refused);
            return (Met::Refused, soon);
        }
        if state.roll(Fault::NoAnswer) {
            state.count(Fault::NoAnswer);
            return (Met::NoAnswer, soon);
        }
        let healed = state.net.partitions.get(&(self.index, node)).copied().unwrap_or_default();
        (Met::Server(node), soon.max(healed))
    }
}

impl Runtime for Host {
    type Stream = Stream;
    type Sleep = Sleep;

    fn now(&self) -> Instant {
        self.shared.state().now
    }

    fn wall(&self) -> UnixMillis {
        self.shared.state().wall(self.index)
    }

    fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep { shared: self.shared.clone(), host: self.index, at, key: None }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.spawn(self.index, task);
    }

    async fn connect(&self, to: &Endpoint) -> io::Result<Stream> {
        if to.as_str() == DIRECTORY {
            return self.connect_directory().await;
        }
        let (met, at) = self.meet(to.as_str());
        let node = match met {
            Met::NoAnswer => std::future::pending().await,
            Met::Server(node) => Some(node),
            Met::Nobody | Met::Refused => None,
        };
        self.sleep_until(at).await;
        let mut state = self.shared.state();
        match node.filter(|node| state.servers.is_up(*node) && state.servers.at(to.as_str()) == Some(*node)) {
            Some(node) => {
                let link = state.open(self.index, node, to.as_str());
                if state.servers.has_moved(node) {
                    state.reach("a name server is found at another address");
                }
                state.note(What::Opened { host: self.index, link, to: to.as_str().into() });
                Ok(Stream { shared: self.shared.clone(), peer: Peer::Link(link) })
            }
            None => {
                state.note(What::ConnectFailed { host: self.index, to: to.as_str().into() });
                let kind = if matches!(met, Met::Nobody) { ErrorKind::NotFound } else { ErrorKind::ConnectionRefused };
                Err(io::Error::new(kind, "nobody there in the simulated network"))
            }
        }
    }

    async fn load(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.disk_works().await;
        self.shared.state().load(self.index, path)
    }

    async fn save(&self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        self.disk_works().await;
        self.shared.state().save(self.index, path, bytes)
    }

    fn entropy(&self) -> u64 {
        self.shared.state().tape.bits(Tape::App)
    }

    fn host(&self) -> HostInfo {
        let state = self.shared.state();
        let pid = u32::try_from(self.index).unwrap_or(0) + 1_000;
        let home = Some(String::from("/home/sim"));
        let (name, value) = match state.directory {
            true => (NAMESRV_DOMAIN, DIRECTORY.to_owned()),
            false => (NAMESRV_ADDR, state.servers.name_servers()),
        };
        let HostState { ip, env, .. } = &state.hosts[self.index];
        let mut env = env.clone();
        env.entry(name.to_owned()).or_insert(value);
        HostInfo { pid, ip: *ip, home, env }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut state = this.shared.state();
        match &mut this.peer {
            Peer::Link(link) => state.poll_read(cx, *link, buf),
            Peer::Directory(conversation) => conversation.poll_read(&mut state, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let slices: Vec<&[u8]> = bufs.iter().map(|buf| &**buf).collect();
        let this = self.get_mut();
        let mut state = this.shared.state();
        match &mut this.peer {
            Peer::Link(link) => state.poll_write(cx, *link, &slices),
            Peer::Directory(conversation) => Poll::Ready(Ok(conversation.write(&mut state, &slices.concat()))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Peer::Link(link) = self.peer {
            self.shared.state().close_stream(link);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let shared = self.shared.clone();
        let mut state = shared.state();
        if self.at <= state.now {
            disarm(&mut state, self.host, self.key.take());
            return Poll::Ready(());
        }
        match self.key {
            Some(key) if key.0 > state.now => state.renew(key, cx.waker()),
            _ if self.at == Instant::FAR => {}
            _ => {
                disarm(&mut state, self.host, self.key.take());
                let mut at = self.at;
                if state.roll(Fault::LateTimers) {
                    state.count(Fault::LateTimers);
                    at = at.after(Duration::from_millis(state.tape.range(Tape::Time, 1, 500)));
                }
                state.hosts[self.host].timers += 1;
                self.key = Some(state.schedule(at, Event::Wake(cx.waker().clone())));
            }
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        disarm(&mut self.shared.state(), self.host, self.key.take());
    }
}

fn disarm(state: &mut State, host: usize, key: Option<(Instant, u64)>) {
    if let Some(key) = key {
        state.cancel(key);
        state.hosts[host].timers -= 1;
    }
}
