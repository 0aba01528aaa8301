//! The thread that serves the models: one task a connection, one for the time, one for commands.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rocketmq_core::time::{Instant, UnixMillis};
use smol::io::{AsyncRead, AsyncWrite};
use smol::{Async, LocalExecutor, Task, Timer};

use crate::cluster::composition::{Cluster, Node};
use crate::cluster::deframer::Deframer;
use crate::cluster::output::{Output, SessionId};

/// What the owner of the cluster wants of its thread.
pub(super) enum Command {
    /// Work on the models.
    With(Box<dyn FnOnce(&mut Cluster) + Send>),
    /// End or start a server.
    Switch { node: Node, address: SocketAddr, up: bool, reply: mpsc::Sender<io::Result<()>> },
}

/// Everything the tasks share; they run on one thread.
pub(super) struct Server {
    epoch: std::time::Instant,
    executor: LocalExecutor<'static>,
    state: RefCell<State>,
}

struct State {
    cluster: Cluster,
    links: BTreeMap<SessionId, Link>,
    next_session: u64,
    acceptors: BTreeMap<Node, Task<()>>,
    /// Until when the timer task sleeps, `None` when for ever.
    armed: Option<Instant>,
    timer: Option<Waker>,
}

/// One connection as the other tasks see it.
struct Link {
    node: Node,
    out: Vec<u8>,
    waker: Option<Waker>,
    closing: bool,
    task: Option<Task<()>>,
}

impl Server {
    /// Serves until the command channel is closed.
    pub(super) fn run(cluster: Cluster, listeners: Vec<(Node, TcpListener)>, inbox: smol::channel::Receiver<Command>) {
        let state = State {
            cluster,
            links: BTreeMap::new(),
            next_session: 0,
            acceptors: BTreeMap::new(),
            armed: None,
            timer: None,
        };
        let server = Rc::new(Self {
            epoch: std::time::Instant::now(),
            executor: LocalExecutor::new(),
            state: RefCell::new(state),
        });
        smol::block_on(server.executor.run(async {
            for (node, listener) in listeners {
                if let Err(error) = server.accept_on(node, listener) {
                    server.state.borrow_mut().acceptors.remove(&node);
                    debug_assert!(false, "a bound listener can be polled: {error}");
                }
            }
            let timer = server.executor.spawn(tick(Rc::clone(&server)));
            while let Ok(command) = inbox.recv().await {
                server.command(command).await;
            }
            timer.cancel().await;
            let nodes: Vec<Node> = server.state.borrow().acceptors.keys().copied().collect();
            for node in nodes {
                server.hang_up(node).await;
            }
        }));
    }

    async fn command(self: &Rc<Self>, command: Command) {
        match command {
            Command::With(work) => {
                work(&mut self.state.borrow_mut().cluster);
                self.distribute(None);
            }
            Command::Switch { node, up: false, reply, .. } => {
                self.hang_up(node).await;
                let now = self.now();
                self.state.borrow_mut().cluster.stop(now, node);
                self.distribute(None);
                drop(reply.send(Ok(())));
            }
            Command::Switch { node, address, up: true, reply } => {
                let started = TcpListener::bind(address).and_then(|listener| self.accept_on(node, listener));
                if started.is_ok() {
                    self.state.borrow_mut().cluster.start(node);
                    self.distribute(None);
                }
                drop(reply.send(started));
            }
        }
    }

    /// Stops listening and breaks every connection of a server.
    async fn hang_up(&self, node: Node) {
        let acceptor = self.state.borrow_mut().acceptors.remove(&node);
        if let Some(task) = acceptor {
            task.cancel().await;
        }
        let tasks: Vec<_> = {
            let mut state = self.state.borrow_mut();
            let links = state.links.values_mut().filter(|link| link.node == node);
            links.filter_map(|link| link.task.take()).collect()
        };
        for task in tasks {
            task.cancel().await;
        }
    }

    fn accept_on(self: &Rc<Self>, node: Node, listener: TcpListener) -> io::Result<()> {
        let listener = Async::new(listener)?;
        let task = self.executor.spawn(accept(Rc::clone(self), node, listener));
        self.state.borrow_mut().acceptors.insert(node, task);
        Ok(())
    }

    fn connected(self: &Rc<Self>, node: Node, stream: Async<TcpStream>, peer: SocketAddr) {
        let session = {
            let mut state = self.state.borrow_mut();
            let session = SessionId(state.next_session);
            state.next_session += 1;
            state.cluster.connected(node, session, peer);
            let link = Link { node, out: Vec::new(), waker: None, closing: false, task: None };
            state.links.insert(session, link);
            session
        };
        let guard = Guard { server: Rc::clone(self), session };
        let task = self.executor.spawn(serve(guard, node, stream));
        if let Some(link) = self.state.borrow_mut().links.get_mut(&session) {
            link.task = Some(task);
        }
    }

    /// Gives the frames in `inbox` to the models; an error means that the peer does not speak the protocol.
    fn feed(
        &self,
        node: Node,
        session: SessionId,
        inbox: &mut Deframer,
    ) -> Result<(), rocketmq_core::wire::FrameError> {
        let (now, wall) = (self.now(), wall());
        let mut state = self.state.borrow_mut();
        while let Some(frame) = inbox.next_frame()? {
            state.cluster.handle(now, wall, node, session, frame);
        }
        Ok(())
    }

    /// Moves what the models said to the links, wakes those that had nothing to write but `current`,
    /// and the timer when it sleeps too long.
    fn distribute(&self, current: Option<SessionId>) {
        let mut state = self.state.borrow_mut();
        let mut wakers = Vec::new();
        while let Some((_, output)) = state.cluster.poll_output() {
            let (session, bytes) = match output {
                Output::Frame(session, bytes) => (session, Some(bytes)),
                Output::Close(session) => (session, None),
            };
            let Some(link) = state.links.get_mut(&session) else { continue };
            match bytes {
                Some(bytes) => link.out.extend_from_slice(&bytes),
                None => link.closing = true,
            }
            if current != Some(session) {
                wakers.extend(link.waker.take());
            }
        }
        let wanted = state.cluster.poll_timeout().instant(Instant::ZERO);
        if wanted.is_some_and(|at| state.armed.is_none_or(|armed| at < armed)) {
            wakers.extend(state.timer.take());
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn now(&self) -> Instant {
        Instant::ZERO.after(self.epoch.elapsed())
    }
}

/// Tells the model that a session ended, however its task ends.
struct Guard {
    server: Rc<Server>,
    session: SessionId,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let link = {
            let mut state = self.server.state.borrow_mut();
            let link = state.links.remove(&self.session);
            if let Some(link) = &link {
                state.cluster.closed(link.node, self.session);
            }
            link
        };
        if let Some(task) = link.and_then(|link| link.task) {
            task.detach();
        }
        self.server.distribute(None);
    }
}

async fn accept(server: Rc<Server>, node: Node, listener: Async<TcpListener>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                drop(stream.get_ref().set_nodelay(true));
                server.connected(node, stream, peer);
            }
            Err(_) => drop(Timer::after(ACCEPT_PAUSE).await),
        }
    }
}

/// One connection: reads, lets the models answer, writes what there is in one go.
async fn serve(guard: Guard, node: Node, stream: Async<TcpStream>) {
    let mut connection =
        Connection { node, stream, inbox: Deframer::default(), buffer: vec![0; READ], writing: Vec::new(), written: 0 };
    poll_fn(|cx| connection.poll(cx, &guard)).await;
}

struct Connection {
    node: Node,
    stream: Async<TcpStream>,
    inbox: Deframer,
    buffer: Vec<u8>,
    writing: Vec<u8>,
    written: usize,
}

impl Connection {
    fn poll(&mut self, cx: &mut Context<'_>, guard: &Guard) -> Poll<()> {
        for _ in 0..BUDGET {
            let Some(closing) = self.take_output(cx, guard) else { return Poll::Ready(()) };
            let mut progress = false;
            while self.written < self.writing.len() {
                match Pin::new(&mut self.stream).poll_write(cx, &self.writing[self.written..]) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(count)) => self.written += count,
                    Poll::Pending => break,
                }
                progress = true;
            }
            let backlog = self.writing.len() - self.written;
            if closing && backlog == 0 {
                return Poll::Ready(());
            }
            if backlog < MAX_BACKLOG {
                match Pin::new(&mut self.stream).poll_read(cx, &mut self.buffer) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(count)) => {
                        self.inbox.push(&self.buffer[..count]);
                        if guard.server.feed(self.node, guard.session, &mut self.inbox).is_err() {
                            return Poll::Ready(());
                        }
                        guard.server.distribute(Some(guard.session));
                        progress = true;
                    }
                    Poll::Pending => {}
                }
            }
            if !progress {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes what waits to be written once all before it was; `None` when the session is over.
    fn take_output(&mut self, cx: &Context<'_>, guard: &Guard) -> Option<bool> {
        let mut state = guard.server.state.borrow_mut();
        let link = state.links.get_mut(&guard.session)?;
        link.waker = Some(cx.waker().clone());
        if self.written == self.writing.len() {
            self.writing.clear();
            self.written = 0;
            std::mem::swap(&mut self.writing, &mut link.out);
        }
        Some(link.closing)
    }
}

/// Tells the models the time when they want to know it.
async fn tick(server: Rc<Server>) {
    let mut timer = Timer::never();
    poll_fn(|cx| {
        loop {
            let now = server.now();
            let wanted = {
                let mut state = server.state.borrow_mut();
                state.timer = Some(cx.waker().clone());
                state.armed = state.cluster.poll_timeout().instant(now);
                state.armed
            };
            let Some(at) = wanted else { return Poll::<()>::Pending };
            if at <= now {
                server.state.borrow_mut().cluster.handle_timeout(now, wall());
                server.distribute(None);
                continue;
            }
            timer.set_at(server.epoch + Duration::from_micros(at.as_micros()));
            if Pin::new(&mut timer).poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
}

fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Bytes read at once.
const READ: usize = 64 * 1024;
/// A connection with so many bytes to write is not read: its client does not take its answers.
const MAX_BACKLOG: usize = 4 * 1024 * 1024;
/// Rounds of one poll before other connections get their turn.
const BUDGET: usize = 16;
/// How long not to accept after that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
