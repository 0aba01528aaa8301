//! Links: byte pipes in order, with everything that can go wrong on them.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};
use rocketmq_core::time::Instant;

use super::errands::Question;
use super::faults::Fault;
use super::history::{Errand, Queue, What};
use super::state::{Event, State};
use super::tape::Stream;
use super::timeline::label;
use super::tls;
use super::trace::Line;
use crate::cluster::{Deframer, Node, SessionId};

/// All links, and what is wrong between hosts and servers.
#[derive(Default)]
pub(crate) struct Net {
    pub(crate) links: BTreeMap<u64, Link>,
    pub(crate) next: u64,
    /// Until when host and server do not hear each other.
    pub(crate) partitions: BTreeMap<(usize, Node), Instant>,
    /// When the last of what clients have written arrives, also of links that they have closed since.
    pub(crate) arrives_by: Instant,
    /// Incarnations of servers that a host has talked to.
    pub(crate) met: BTreeMap<(usize, Node), u64>,
    /// The opaque of the next request that a server makes.
    pub(crate) next_asked: i32,
}

/// How a link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In good order.
    Fin,
    /// Reset.
    Reset,
}

/// One link. It is known by the number of its session.
pub(crate) struct Link {
    pub(crate) host: usize,
    pub(crate) node: Node,
    /// The address that was connected to.
    pub(crate) to: Arc<str>,
    latency: Duration,
    // From the client to the server.
    in_flight: usize,
    last_sent: Instant,
    writer: Option<Waker>,
    /// The server reads nothing before this time.
    stalled: Instant,
    pub(crate) inbox: Deframer,
    /// The server's end, where links are encrypted: what arrives and is said goes through it.
    tls: Option<tls::Session>,
    // From the server to the client.
    received: VecDeque<Bytes>,
    last_said: Instant,
    reader: Option<Waker>,
    end: Option<End>,
    /// When the client last wrote, and when it wrote what arrives now.
    wrote: Instant,
    pub(crate) written: Instant,
    /// Pulls that are not answered, by opaque: group, queue, and when they were written.
    pub(crate) pulls: BTreeMap<i32, (Arc<str>, Queue, Instant)>,
    /// Requests of the server that are not answered.
    pub(crate) asked: BTreeMap<i32, i32>,
    /// What an administrator asked, by opaque, and answers to be noted when so many bytes have been read.
    pub(crate) questions: BTreeMap<i32, Question>,
    answers: VecDeque<(u64, Errand)>,
    /// Bytes that the server said, and that the client has read.
    said: u64,
    read: u64,
    // What is wrong with it.
    /// The machine of the server is lost, and nobody says so.
    pub(crate) gone: bool,
    /// It takes no bytes.
    dry: bool,
    pub(crate) deaf: bool,
    pub(crate) mute: bool,
    pub(crate) loris: bool,
    pub(crate) client_open: bool,
    pub(crate) server_open: bool,
}

impl State {
    /// Opens a link to a server that runs.
    pub(crate) fn open(&mut self, host: usize, node: Node, to: &str) -> u64 {
        let id = self.net.next;
        self.net.next += 1;
        let latency = Duration::from_micros(self.tape.range(Stream::Net, 100, 1_500));
        let now = self.now;
        let link = Link {
            host,
            node,
            to: to.into(),
            latency,
            in_flight: 0,
            last_sent: now,
            writer: None,
            stalled: Instant::ZERO,
            inbox: Deframer::default(),
            tls: self.servers.identity.as_ref().map(tls::Identity::session),
            received: VecDeque::new(),
            last_said: now,
            reader: None,
            end: None,
            wrote: now,
            written: now,
            pulls: BTreeMap::new(),
            asked: BTreeMap::new(),
            questions: BTreeMap::new(),
            answers: VecDeque::new(),
            said: 0,
            read: 0,
            gone: false,
            dry: false,
            deaf: false,
            mute: false,
            loris: false,
            client_open: true,
            server_open: true,
        };
        self.net.links.insert(id, link);
        let incarnation = self.servers.incarnation(node);
        if self.net.met.insert((host, node), incarnation).is_some_and(|known| known != incarnation) {
            self.count(Fault::OtherProcess);
        }
        let port = self.next_port;
        self.next_port = if port > 60_000 { 20_000 } else { port + 1 };
        let peer = std::net::SocketAddr::new(self.hosts[host].ip, port);
        self.servers.cluster.connected(node, SessionId(id), peer);
        id
    }

    /// The client writes.
    pub(crate) fn poll_write(&mut self, cx: &Context<'_>, id: u64, bufs: &[&[u8]]) -> Poll<io::Result<usize>> {
        let Some(link) = self.net.links.get_mut(&id) else { return Poll::Ready(Err(reset())) };
        if link.end == Some(End::Reset) {
            return Poll::Ready(Err(reset()));
        }
        if link.dry {
            return Poll::Ready(Ok(0));
        }
        let room = BUFFER.saturating_sub(link.in_flight);
        let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
        if offered == 0 {
            return Poll::Ready(Ok(0));
        }
        if room == 0 {
            link.writer = Some(cx.waker().clone());
            self.reach("the writer waits for room");
            return Poll::Pending;
        }
        let mut n = offered.min(room);
        if self.roll(Fault::PartialWrite) {
            self.count(Fault::PartialWrite);
            if self.tape.below(Stream::Net, 4) == 0 {
                let until = self.now.after(Duration::from_millis(self.tape.range(Stream::Net, 1, 200)));
                self.schedule(until, Event::Wake(cx.waker().clone()));
                return Poll::Pending;
            }
            n = usize::try_from(self.tape.range(Stream::Net, 1, n as u64)).unwrap_or(1);
        }
        let mut bytes = Vec::with_capacity(n);
        for buf in bufs {
            let take = (n - bytes.len()).min(buf.len());
            bytes.extend_from_slice(&buf[..take]);
        }
        self.roll_link_faults(id);
        let jitter = self.jitter();
        let now = self.now;
        let Some(link) = self.net.links.get_mut(&id) else { return Poll::Ready(Err(reset())) };
        link.in_flight += n;
        link.wrote = now;
        let at = now.after(link.latency + jitter).max(link.last_sent).max(link.stalled);
        let rate = self.hosts[link.host].rate;
        let at = at.after(rate.map_or(Duration::ZERO, |rate| Duration::from_micros(n as u64 * 1_000_000 / rate)));
        let at = at.max(self.net.partitions.get(&(link.host, link.node)).copied().unwrap_or_default());
        link.last_sent = at;
        self.net.arrives_by = self.net.arrives_by.max(at);
        self.schedule(at, Event::ToServer(id, bytes, now));
        Poll::Ready(Ok(n))
    }

    /// The client reads.
    pub(crate) fn poll_read(&mut self, cx: &Context<'_>, id: u64, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let small = self.roll(Fault::SmallRead);
        let Some(link) = self.net.links.get_mut(&id) else { return Poll::Ready(Err(reset())) };
        let Some(front) = link.received.front() else {
            return match link.end {
                Some(End::Fin) => Poll::Ready(Ok(0)),
                Some(End::Reset) => Poll::Ready(Err(reset())),
                None => {
                    link.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        };
        if small && front.len().min(buf.len()) > 1 {
            let most = (front.len().min(buf.len()) as u64).min(16);
            let n = usize::try_from(self.tape.range(Stream::Net, 1, most)).unwrap_or(1);
            self.count(Fault::SmallRead);
            return Poll::Ready(Ok(self.take(id, &mut buf[..n])));
        }
        Poll::Ready(Ok(self.take(id, buf)))
    }

    /// As many of the received bytes as there is room for, over the bounds of frames.
    fn take(&mut self, id: u64, buf: &mut [u8]) -> usize {
        let Some(link) = self.net.links.get_mut(&id) else { return 0 };
        let (mut filled, mut told) = (0, Vec::new());
        while let Some(front) = link.received.front_mut().filter(|_| filled < buf.len()) {
            let n = front.len().min(buf.len() - filled);
            buf[filled..filled + n].copy_from_slice(&front[..n]);
            front.advance(n);
            filled += n;
            if front.is_empty() {
                link.received.pop_front();
            }
        }
        link.read += filled as u64;
        while link.answers.front().is_some_and(|(end, _)| *end <= link.read) {
            told.extend(link.answers.pop_front().map(|(_, answer)| answer));
        }
        told.into_iter().for_each(|answer| self.note(What::Errand(answer)));
        filled
    }

    /// The client lets go of its stream.
    pub(crate) fn close_stream(&mut self, id: u64) {
        let now = self.now;
        let Some(link) = self.net.links.get_mut(&id) else { return };
        link.client_open = false;
        link.received.clear();
        let host = &self.hosts[link.host];
        if host.dead && host.silent {
            return;
        }
        if !host.dead && link.end.is_none() {
            let idle = now.since(link.wrote.max(link.last_said.min(now)));
            let pulls = std::mem::take(&mut link.pulls).into_values().collect();
            let ended = What::Ended { host: link.host, link: id, by_client: link.server_open, idle, pulls };
            self.note(ended);
        }
        let Some(link) = self.net.links.get_mut(&id) else { return };
        let at = self.now.after(link.latency).max(link.last_sent);
        if link.server_open && !link.deaf {
            self.schedule(at, Event::EndToServer(id));
        } else if !link.server_open {
            self.net.links.remove(&id);
        }
    }

    pub(crate) fn arrive_at_server(&mut self, id: u64, bytes: &[u8], written: Instant) {
        let Some(link) = self.net.links.get_mut(&id) else { return };
        link.written = written;
        link.in_flight = link.in_flight.saturating_sub(bytes.len());
        if let Some(writer) = link.writer.take() {
            writer.wake();
        }
        if link.gone {
            return self.reach("bytes vanish on a half-open link");
        }
        if !link.server_open {
            // What arrives at a closed socket is answered by a reset.
            if link.end.is_none() {
                let at = self.now.after(link.latency);
                self.schedule(at, Event::EndToClient(id, End::Reset));
            }
            return self.reach("bytes arrive at a closed link");
        }
        if link.deaf {
            return self.reach("bytes vanish on a half-open link");
        }
        match link.tls.as_mut().map(|tls| tls.hear(bytes)) {
            None => link.inbox.push(bytes),
            Some(Ok((said, answer))) => {
                self.trace.event(self.now, 7, id, &said);
                link.inbox.push(&said);
                if !link.mute {
                    self.send(id, answer);
                }
            }
            Some(Err(tls::Unreadable)) => return self.confused(id),
        }
        loop {
            let Some(link) = self.net.links.get_mut(&id).filter(|link| link.server_open) else { return };
            match link.inbox.next_frame() {
                Ok(Some(frame)) => self.on_frame(id, frame),
                Ok(None) => return,
                Err(_) => return self.confused(id),
            }
        }
    }

    /// A server cannot read what a client wrote.
    fn confused(&mut self, id: u64) {
        let Some(link) = self.net.links.get(&id) else { return };
        let host = link.host;
        self.note(What::Confused { host, link: id });
        self.hang_up(id, End::Reset);
    }

    pub(crate) fn arrive_at_client(&mut self, id: u64, bytes: Bytes) {
        let Some(link) = self.net.links.get_mut(&id) else { return };
        if link.client_open && link.end.is_none() {
            link.received.push_back(bytes);
            if let Some(reader) = link.reader.take() {
                reader.wake();
            }
        }
    }

    pub(crate) fn end_at_server(&mut self, id: u64) {
        let Some(link) = self.net.links.remove(&id) else { return };
        if link.server_open {
            self.servers.cluster.closed(link.node, SessionId(id));
            self.serve();
        }
    }

    pub(crate) fn end_at_client(&mut self, id: u64, end: End) {
        let Some(link) = self.net.links.get_mut(&id) else { return };
        if link.client_open && link.end.is_none() {
            // A process that stands still hears of it later.
            let mut pulls: Vec<_> = std::mem::take(&mut link.pulls).into_values().collect();
            pulls.retain(|_| !self.hosts[link.host].paused);
            let idle = self.now.since(link.wrote.max(link.last_said.min(self.now)));
            let ended = What::Ended { host: link.host, link: id, by_client: false, idle, pulls };
            self.note(ended);
        }
        let Some(link) = self.net.links.get_mut(&id) else { return };
        link.end.get_or_insert(end);
        if end == End::Reset {
            link.received.clear();
        }
        link.reader.take().into_iter().chain(link.writer.take()).for_each(Waker::wake);
        if !link.client_open {
            self.net.links.remove(&id);
        }
    }

    /// The server ends a link, and its model is told.
    pub(crate) fn hang_up(&mut self, id: u64, end: End) {
        let Some(link) = self.net.links.get_mut(&id) else { return };
        if std::mem::take(&mut link.server_open) {
            let node = link.node;
            self.servers.cluster.closed(node, SessionId(id));
            self.end_link(id, end);
            self.serve();
        }
    }

    /// The server's side is gone; the client hears of it after what was said before.
    pub(crate) fn end_link(&mut self, id: u64, end: End) {
        let Some(link) = self.net.links.get_mut(&id) else { return };
        link.server_open = false;
        if !link.client_open {
            self.net.links.remove(&id);
        } else if !link.mute {
            let at = self.now.after(link.latency).max(link.last_said);
            self.schedule(at, Event::EndToClient(id, end));
        }
    }

    /// A server writes a whole frame, or what the faults of the link make of it.
    pub(crate) fn say(&mut self, id: u64, bytes: Bytes) {
        let Some(link) = self.net.links.get(&id).filter(|link| link.server_open) else { return };
        if link.mute || !link.client_open {
            return;
        }
        let (loris, host, node, at) = (link.loris, link.host, link.node, self.now);
        self.trace.frame(|| Line { at, host, node, up: false, text: label::of_bytes(&bytes) });
        if self.roll(Fault::MidFrame) {
            self.count(Fault::MidFrame);
            let len = bytes.len();
            let cut = match self.tape.below(Stream::Net, 4) {
                0 => usize::try_from(self.tape.range(Stream::Net, 1, 4)).unwrap_or(1),
                1 => len - 1,
                _ => usize::try_from(self.tape.range(Stream::Net, 5, len as u64 - 1)).unwrap_or(5),
            };
            self.transmit(id, bytes.slice(..cut.min(len - 1)));
            let end = if self.tape.below(Stream::Net, 2) == 0 { End::Fin } else { End::Reset };
            return self.hang_up(id, end);
        }
        let mut hostile = false;
        if self.roll(Fault::Garbage) {
            self.count(Fault::Garbage);
            let garbage: Vec<u8> = (0..64).map(|_| self.tape.bits(Stream::Net).to_le_bytes()[0] | 0x80).collect();
            self.transmit(id, Bytes::from(garbage));
            hostile = true;
        }
        if self.roll(Fault::LengthLie) {
            self.count(Fault::LengthLie);
            let lies = [-1, 0, 3, 4, 16_777_213, i32::MAX];
            let lie = self.tape.pick(Stream::Net, &lies).copied().unwrap_or(-1);
            self.transmit(id, Bytes::copy_from_slice(&i32::to_be_bytes(lie)));
            hostile = true;
        }
        if loris {
            for at in 0..bytes.len().min(LORIS) {
                self.transmit(id, bytes.slice(at..=at));
            }
            return self.note(What::Trouble { link: id });
        }
        if let (Some(opaque), Some(link)) = (opaque_of(&bytes), self.net.links.get_mut(&id)) {
            link.pulls.remove(&opaque);
        }
        let answer = self.answer_to_question(id, &bytes);
        self.transmit(id, bytes);
        if let (Some(answer), Some(link)) = (answer, self.net.links.get_mut(&id)) {
            link.answers.push_back((link.said, answer));
        }
        if let Some(link) = self.net.links.get(&id).filter(|_| hostile) {
            // By now: some lies are told only by what follows.
            let at = link.last_said;
            self.note(What::Hostile { link: id, at });
        }
        if self.roll(Fault::Fin) {
            self.count(Fault::Fin);
            self.hang_up(id, End::Fin);
        }
    }

    /// Says bytes, in the way of the link.
    fn transmit(&mut self, id: u64, bytes: Bytes) {
        let Some(link) = self.net.links.get_mut(&id) else { return };
        match &mut link.tls {
            None => self.send(id, bytes),
            Some(tls) => {
                self.trace.event(self.now, 8, id, &bytes);
                let encrypted = tls.say(&bytes);
                self.send(id, encrypted);
            }
        }
    }

    fn send(&mut self, id: u64, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let jitter = self.jitter();
        let now = self.now;
        let Some(link) = self.net.links.get_mut(&id) else { return };
        let delay = link.latency + jitter + if link.loris { LORIS_PAUSE } else { Duration::ZERO };
        let from = if link.loris { link.last_said.max(now) } else { now };
        let at = from.after(delay).max(link.last_said);
        let at = at.max(self.net.partitions.get(&(link.host, link.node)).copied().unwrap_or_default());
        link.last_said = at;
        link.said += bytes.len() as u64;
        self.schedule(at, Event::ToClient(id, bytes));
    }

    fn jitter(&mut self) -> Duration {
        if !self.roll(Fault::Jitter) {
            return Duration::ZERO;
        }
        self.count(Fault::Jitter);
        let most = if self.tape.below(Stream::Net, 50) == 0 { 4_000_000 } else { 50_000 };
        Duration::from_micros(self.tape.range(Stream::Net, 1, most))
    }

    /// What may befall a link when the client writes.
    fn roll_link_faults(&mut self, id: u64) {
        let dies = [Fault::Blackhole, Fault::HalfOpen, Fault::SlowLoris, Fault::PeerStopsReading, Fault::WriteZero];
        for fault in dies {
            if !self.roll_at(fault, self.swarm.rate(fault).min(200)) {
                continue;
            }
            self.count(fault);
            self.note(What::Trouble { link: id });
            let now = self.now;
            let one_way = self.tape.below(Stream::Net, 2) == 0;
            let pause = Duration::from_secs(self.tape.range(Stream::Net, 5, 60));
            let Some(link) = self.net.links.get_mut(&id) else { return };
            match fault {
                Fault::Blackhole => (link.deaf, link.mute) = (true, true),
                Fault::HalfOpen if one_way => link.deaf = true,
                Fault::HalfOpen => link.mute = true,
                Fault::SlowLoris => link.loris = true,
                Fault::WriteZero => link.dry = true,
                _ => link.stalled = now.after(pause),
            }
        }
    }

    /// All links are as good as new: those that died in silence are reset.
    pub(crate) fn heal_links(&mut self) {
        self.net.partitions.clear();
        let ids: Vec<u64> = self.net.links.keys().copied().collect();
        for id in ids {
            let Some(link) = self.net.links.get_mut(&id) else { continue };
            let dead = link.deaf || link.mute || link.loris || link.dry;
            link.stalled = Instant::ZERO;
            (link.deaf, link.mute, link.loris, link.dry) = (false, false, false, false);
            if std::mem::take(&mut link.gone) {
                self.schedule(self.now, Event::EndToClient(id, End::Reset));
            } else if dead || !link.client_open {
                self.hang_up(id, End::Reset);
            }
        }
    }

    /// A link to a broker on which a pull is held, if there is one.
    pub(crate) fn some_held_pull(&mut self) -> Option<u64> {
        let held = self.net.links.iter().filter(|(_, link)| link.server_open && !link.pulls.is_empty());
        let held: Vec<u64> = held.map(|(id, _)| *id).collect();
        self.tape.pick(Stream::Net, &held).copied()
    }

    /// Links that the host still has open.
    pub(crate) fn links_of(&self, host: usize) -> usize {
        self.net.links.values().filter(|link| link.host == host && link.client_open).count()
    }
}

/// The opaque of a frame that a server says.
fn opaque_of(frame: &[u8]) -> Option<i32> {
    if *frame.get(4)? != 0 {
        // The binary header: code, language and version come before it.
        let bytes = frame.get(HEADER + 5..HEADER + 9)?;
        return bytes.try_into().ok().map(i32::from_be_bytes);
    }
    let key = b"\"opaque\":";
    let start = frame.windows(key.len()).position(|window| window == key)? + key.len();
    let digits = frame[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&frame[start..start + digits]).ok()?.parse().ok()
}

fn reset() -> io::Error {
    io::Error::new(ErrorKind::ConnectionReset, "reset by the simulated network")
}

/// Where the header of a frame begins.
const HEADER: usize = 8;
/// Bytes under way before a writer waits.
const BUFFER: usize = 64 * 1024;
/// Bytes that a slow peer sends one by one.
const LORIS: usize = 40;
/// The pause between two of them.
const LORIS_PAUSE: Duration = Duration::from_secs(10);
