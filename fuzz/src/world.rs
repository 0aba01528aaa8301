//! A client in one thread and model servers, for the targets that drive the whole core.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rocketmq_core::config::{ClientConfig, HostInfo, LinkConfig, parse_name_servers};
use rocketmq_core::engine::{Engine, EngineEvent};
use rocketmq_core::error::{CloseReason, IoFailure, IoKind};
use rocketmq_core::ids::{ConnId, Endpoint};
use rocketmq_core::time::{Instant, UnixMillis};
use rocketmq_core::wire::Frame;
use rocketmq_testkit::cluster::{BrokerConfig, Cluster, Deframer, Node, Output, SessionId};

/// The client, its links, and the servers at their other ends.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) now: Instant,
    pub(crate) cluster: Cluster,
    /// Links that the client wants.
    pub(crate) opening: BTreeMap<ConnId, Endpoint>,
    links: BTreeMap<ConnId, Link>,
    /// What the client told, but for what concerns links.
    pub(crate) events: VecDeque<EngineEvent>,
    sessions: u64,
    closed: bool,
}

struct Link {
    node: Node,
    session: SessionId,
    /// What the client wrote.
    requests: Deframer,
    /// What the servers wrote and the client has not read.
    replies: VecDeque<u8>,
}

impl World {
    /// One name server, one broker, a topic `T` of two queues.
    pub(crate) fn new(link: LinkConfig) -> Self {
        Self::with(|config| config.link = link)
    }

    /// The same, for a client configured otherwise.
    pub(crate) fn with(change: impl FnOnce(&mut ClientConfig)) -> Self {
        let mut config = ClientConfig::new(parse_name_servers(NAME_SERVER), "10.0.0.1@fuzz".into());
        change(&mut config);
        let wall = wall(Instant::ZERO);
        let mut cluster = Cluster::new(1, vec![BrokerConfig::default()], Instant::ZERO);
        cluster.put_topic("T", 2);
        Self {
            engine: Engine::new(Arc::new(config), &HostInfo::default(), 1, Instant::ZERO, wall),
            now: Instant::ZERO,
            cluster,
            opening: BTreeMap::new(),
            links: BTreeMap::new(),
            events: VecDeque::new(),
            sessions: 0,
            closed: false,
        }
    }

    /// Takes the client's events: no more of them than one step may cause, and none after the last one.
    pub(crate) fn listen(&mut self) -> bool {
        let mut count = 0;
        while let Some(event) = self.engine.poll_event() {
            count += 1;
            assert!(count <= MOST_EVENTS, "one step causes {count} events, the last one {event:?}");
            // Who asks for something after the end is told so.
            let told = matches!(event, EngineEvent::SendDone { .. } | EngineEvent::Done { .. });
            assert!(!self.closed || told, "{event:?} after the end");
            match event {
                EngineEvent::Connect { conn, to } => {
                    assert!(self.opening.insert(conn, to).is_none() && !self.links.contains_key(&conn));
                }
                EngineEvent::Disconnect { conn, .. } => {
                    let was_opening = self.opening.remove(&conn).is_some();
                    let link = self.links.remove(&conn);
                    assert!(was_opening != link.is_some(), "{conn:?} ends once");
                    if let Some(link) = link {
                        self.cluster.closed(link.node, link.session);
                    }
                }
                event => {
                    self.closed |= matches!(event, EngineEvent::Closed);
                    self.events.push_back(event);
                }
            }
        }
        count > 0
    }

    /// Opens a link; an address where nobody lives refuses.
    pub(crate) fn open(&mut self, conn: ConnId) {
        let Some(to) = self.opening.remove(&conn) else { return };
        let broker = self.cluster.broker(0).config().address.to_string();
        let node = match to.as_str() {
            NAME_SERVER => Node::NameServer(0),
            other if other == broker => Node::Broker(0),
            _ => {
                self.opening.insert(conn, to);
                return self.refuse(conn);
            }
        };
        self.sessions += 1;
        let session = SessionId(self.sessions);
        self.cluster.connected(node, session, ([10, 0, 0, 1], 1).into());
        let link = Link { node, session, requests: Deframer::default(), replies: VecDeque::new() };
        self.links.insert(conn, link);
        self.engine.connected(self.now, conn);
    }

    /// Refuses a link.
    pub(crate) fn refuse(&mut self, conn: ConnId) {
        self.opening.remove(&conn);
        self.engine.connect_failed(self.now, conn, IoFailure::new(IoKind::Refused, "refused"));
    }

    /// The links that are up.
    pub(crate) fn links(&self) -> Vec<ConnId> {
        self.links.keys().copied().collect()
    }

    /// The node at the other end of a link.
    pub(crate) fn node(&self, conn: ConnId) -> Option<Node> {
        self.links.get(&conn).map(|link| link.node)
    }

    /// Cuts a link.
    pub(crate) fn cut(&mut self, conn: ConnId, why: CloseReason) {
        self.engine.closed(self.now, conn, why);
    }

    /// Takes at most so many of the bytes that the client has to write; gives the frames that are whole.
    pub(crate) fn write(&mut self, conn: ConnId, most: usize) -> Vec<Frame> {
        let Some(slices) = self.engine.tx_slices(conn) else { return Vec::new() };
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
        if bytes.is_empty() {
            return Vec::new();
        }
        let link = self.links.get_mut(&conn).expect("what writes is up");
        link.requests.push(&bytes);
        let frames = std::iter::from_fn(|| link.requests.next_frame().expect("the client writes whole frames"));
        let frames = frames.collect();
        self.engine.tx_advance(self.now, conn, bytes.len());
        frames
    }

    /// Gives a frame to the server at the other end.
    pub(crate) fn serve(&mut self, conn: ConnId, frame: Frame) {
        let Some(link) = self.links.get(&conn) else { return };
        self.cluster.handle(self.now, wall(self.now), link.node, link.session, frame);
        self.collect();
    }

    /// Puts bytes on their way to the client.
    pub(crate) fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        if let Some(link) = self.links.get_mut(&conn) {
            link.replies.extend(bytes);
        }
    }

    /// Lets the client read at most so many bytes of what is on its way.
    pub(crate) fn read(&mut self, conn: ConnId, most: usize) -> bool {
        let Some(link) = self.links.get_mut(&conn) else { return false };
        let most = most.min(link.replies.len());
        let space = self.engine.rx_space(conn, most);
        let count = space.len();
        assert!(count <= most);
        for (slot, byte) in space.iter_mut().zip(link.replies.drain(..count)) {
            *slot = byte;
        }
        if count > 0 {
            self.engine.rx_commit(self.now, conn, count);
        }
        count > 0
    }

    /// Lets everything happen that needs no time, as it should; `see` sees what the client writes.
    pub(crate) fn settle(&mut self, mut see: impl FnMut(ConnId, &Frame)) {
        for _ in 0..MOST_ROUNDS {
            let mut moved = self.listen();
            let opening: Vec<_> = self.opening.keys().copied().collect();
            opening.into_iter().for_each(|conn| self.open(conn));
            for conn in self.links() {
                for frame in self.write(conn, usize::MAX) {
                    see(conn, &frame);
                    self.serve(conn, frame);
                    moved = true;
                }
                moved |= self.read(conn, usize::MAX);
            }
            if !moved {
                return;
            }
        }
        panic!("it goes on and on without any time");
    }

    /// Lets time pass, and calls `each` after everything that was due at one moment.
    pub(crate) fn pass(&mut self, time: Duration, mut each: impl FnMut(&mut Self)) {
        let end = self.now.after(time);
        let mut wakes = 0;
        loop {
            let due = self.engine.poll_timeout().min(self.cluster.poll_timeout());
            let Some(at) = due.instant(self.now).filter(|at| *at <= end) else { break };
            wakes += 1;
            let most = MOST_WAKES * (1 + usize::try_from(time.as_secs()).unwrap_or(usize::MAX));
            assert!(wakes <= most, "{wakes} wakes in {time:?}");
            self.now = self.now.max(at);
            self.due();
            each(self);
        }
        self.now = end;
        self.due();
        each(self);
    }

    /// Whether the client told that it has ended.
    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Handles what is due now: then the next thing is not.
    fn due(&mut self) {
        self.cluster.handle_timeout(self.now, wall(self.now));
        self.collect();
        for _ in 0..8 {
            self.engine.handle_timeout(self.now);
            self.listen();
            if self.engine.poll_timeout().instant(self.now).is_none_or(|at| at > self.now) {
                return;
            }
        }
        panic!("a timer stays in the past: {:?} at {:?}", self.engine.poll_timeout(), self.now);
    }

    /// What servers have to say goes on its way.
    fn collect(&mut self) {
        while let Some((_, output)) = self.cluster.poll_output() {
            match output {
                Output::Frame(session, bytes) => {
                    let link = self.links.values_mut().find(|link| link.session == session);
                    link.into_iter().for_each(|link| link.replies.extend(&bytes));
                }
                Output::Close(session) => {
                    let conn = self.links.iter().find(|(_, link)| link.session == session).map(|(conn, _)| *conn);
                    conn.into_iter().for_each(|conn| self.cut(conn, CloseReason::PeerClosed));
                }
            }
        }
    }
}

fn wall(now: Instant) -> UnixMillis {
    UnixMillis(1_700_000_000_000).after(now.since(Instant::ZERO))
}

const NAME_SERVER: &str = "names:9876";
/// Events that one step may cause: each send and command ends, each link closes.
const MOST_EVENTS: usize = 1_000;
/// Rounds of writing and reading until nothing moves.
const MOST_ROUNDS: usize = 10_000;
/// Timers that may be due in a second.
const MOST_WAKES: usize = 200;
