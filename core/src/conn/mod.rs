//! One TCP link as a machine: framing, correlation by opaque, deadlines, the write queue.
//!
//! Nothing here reads a socket or a clock. A driver copies bytes in ([`Connection::rx_space`],
//! [`Connection::rx_commit`], [`Connection::handle_read`]) and out ([`Connection::tx_slices`],
//! [`Connection::tx_advance`]), calls [`Connection::handle_timeout`] when [`Connection::poll_timeout`] says so, and
//! drains [`Connection::poll_event`] after each input.

mod outbox;
mod pending;
mod window;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

pub use outbox::{Lane, MAX_SLICES, SliceList};

use crate::config::LinkConfig;
use crate::error::{CloseReason, RequestError, RequestFailure, Sent};
use crate::ids::Opaque;
use crate::mutants::mutant;
use crate::time::{Instant, Wakeup};
use crate::wire::Frame;
use crate::wire::frame::{self, EncodedFrame};
use outbox::Outbox;
use pending::{Answered, Pending, Waiting};
use window::Window;

/// One TCP link. `T` is the submitter's token: each request carries one, and it comes back with the result.
///
/// Whichever of `handle_read` and `handle_timeout` is called first decides a tie: an answer that is read counts even
/// after its deadline, until the deadline is handled.
pub struct Connection<T> {
    cfg: Arc<LinkConfig>,
    state: State,
    window: Window,
    outbox: Outbox,
    pending: Pending<T>,
    events: VecDeque<ConnEvent<T>>,
    peer: PeerRequests,
    unmatched: Unmatched,
    /// When bytes last came in.
    last_rx: Instant,
    /// When the peer last took bytes, or the write queue was last empty.
    last_tx: Instant,
    /// When a request that was sent was given up first since bytes last came in.
    silent: Option<Instant>,
    stats: LinkStats,
}

enum State {
    Open,
    Closing { deadline: Instant },
    Closed(CloseReason),
}

/// Requests of the peer that are not dealt with.
#[derive(Default)]
struct PeerRequests {
    /// Those that want an answer, and their bytes.
    unanswered: Vec<(Opaque, usize)>,
    /// Bytes of the oneways that are not handled, in their order.
    oneways: VecDeque<usize>,
}

/// Answers to requests never made, since a minute began.
struct Unmatched {
    since: Instant,
    count: u32,
}

/// A frame to send, and what is expected of it.
#[derive(Debug)]
pub struct Outgoing<T> {
    /// The frame but for its opaque.
    pub frame: EncodedFrame,
    /// The queue it waits in.
    pub lane: Lane,
    /// Whether it is answered.
    pub kind: OutgoingKind<T>,
}

/// Whether a frame is answered.
#[derive(Debug)]
pub enum OutgoingKind<T> {
    /// A request that resolves as one [`ConnEvent::Response`].
    Request {
        /// Comes back with the result.
        token: T,
        /// When it fails with [`RequestFailure::Timeout`].
        deadline: Instant,
    },
    /// Nothing comes back.
    Oneway,
}

/// An [`Outgoing`] that was not accepted; nothing of it was or will be sent.
#[derive(Debug)]
pub struct Rejected<T> {
    /// [`RequestFailure::Busy`], [`RequestFailure::Closed`] or [`RequestFailure::TooLong`].
    pub why: RequestFailure,
    /// What was to be sent.
    pub outgoing: Outgoing<T>,
}

/// What happened on a link.
#[derive(Debug, PartialEq, Eq)]
pub enum ConnEvent<T> {
    /// A request is over. Each accepted request has exactly one.
    Response {
        /// The submitter's token.
        token: T,
        /// The answer, whatever its code, or why there is none.
        result: Result<Frame, RequestError>,
    },
    /// The peer asks for something. Unless the frame is oneway, [`Connection::answer`] is expected.
    BrokerRequest {
        /// Correlates the answer; the peer chose it.
        opaque: Opaque,
        /// The request.
        frame: Frame,
    },
    /// The link is closed: the last event, after every request was resolved.
    Closed(CloseReason),
}

/// What a link has counted since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Frames received.
    pub frames_in: u64,
    /// Frames written.
    pub frames_out: u64,
    /// Answers that came after their request had timed out.
    pub late: u64,
    /// Answers to requests never made on this link.
    pub unmatched: u64,
    /// Broker requests dropped because too many were outstanding.
    pub dropped_broker_requests: u64,
}

impl<T> Connection<T> {
    /// A link that has just been opened.
    #[must_use]
    pub fn new(cfg: Arc<LinkConfig>, now: Instant) -> Self {
        Self {
            state: State::Open,
            window: Window::default(),
            outbox: Outbox::default(),
            pending: Pending::new(cfg.max_pending.saturating_add(cfg.control_pending), cfg.max_pending),
            events: VecDeque::new(),
            peer: PeerRequests::default(),
            unmatched: Unmatched { since: now, count: 0 },
            last_rx: now,
            last_tx: now,
            silent: None,
            stats: LinkStats::default(),
            cfg,
        }
    }

    /// Space to read into, at most `max` bytes; empty when the link is closed.
    pub fn rx_space(&mut self, max: usize) -> &mut [u8] {
        match self.state {
            State::Open | State::Closing { .. } => self.window.space(max, self.cfg.max_frame),
            State::Closed(_) => &mut [],
        }
    }

    /// Says how many bytes were read into [`Connection::rx_space`]. [`Connection::handle_read`] must follow.
    pub fn rx_commit(&mut self, n: usize) {
        self.window.commit(n);
        self.stats.bytes_in = self.stats.bytes_in.saturating_add(to_u64(n));
    }

    /// Takes as many whole frames as were received.
    pub fn handle_read(&mut self, now: Instant) {
        if self.window.take_grown() {
            self.last_rx = now;
            self.silent = None;
        }
        while self.wants_read() {
            let received = self.window.bytes();
            let len = match frame::frame_len(received, self.cfg.max_frame) {
                Ok(Some(len)) if len <= received.len() => len,
                Ok(_) => break,
                Err(error) => return self.finish(CloseReason::Protocol(error)),
            };
            let frame = frame::decode(received.get(..len).unwrap_or_default(), &self.cfg.header);
            let used = if mutant!(22) { received.len() } else { len };
            self.window.consume(used);
            self.stats.frames_in = self.stats.frames_in.saturating_add(1);
            match frame {
                Ok(frame) => self.on_frame(now, frame, len),
                Err(error) => return self.finish(CloseReason::Protocol(error)),
            }
        }
        self.window.shrink();
        self.finish_when_drained();
    }

    /// Learns that the socket is closed. A close by the peer within a frame becomes [`CloseReason::Truncated`].
    pub fn handle_closed(&mut self, _now: Instant, why: CloseReason) {
        let truncated = why == CloseReason::PeerClosed && !self.window.is_empty();
        self.finish(if truncated { CloseReason::Truncated } else { why });
    }

    /// Handles every deadline that has come. A spurious call is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        let (outbox, events, silent) = (&mut self.outbox, &mut self.events, &mut self.silent);
        self.pending.expire(now, |waiting| {
            let begun = !outbox.remove(waiting.place);
            if begun {
                silent.get_or_insert(now);
            }
            let error = RequestError { why: RequestFailure::Timeout, sent: sent(begun) };
            events.push_back(ConnEvent::Response { token: waiting.token, result: Err(error) });
            begun
        });
        self.finish_when_drained();
        match self.first_limit() {
            Some((at, reason)) if at <= now => self.finish(reason),
            Some(_) | None => {}
        }
    }

    /// Queues a frame.
    ///
    /// The bounds of the data lane are `max_pending` and `max_queued_bytes`, those of the control lane
    /// `control_pending` and `control_queued_bytes`. A frame over the byte bound is accepted when its lane is empty.
    ///
    /// # Errors
    /// The lane is full, the link closing or closed, or the frame too long: it comes back.
    pub fn submit(&mut self, now: Instant, outgoing: Outgoing<T>) -> Result<(), Rejected<T>> {
        let Outgoing { frame, lane, kind } = outgoing;
        let completed = self.completed(&frame);
        let to_send = completed.as_ref().unwrap_or(&frame);
        if let Err(why) = self.admit(to_send, lane, matches!(kind, OutgoingKind::Request { .. })) {
            return Err(Rejected { why, outgoing: Outgoing { frame, lane, kind } });
        }
        let opaque = match kind {
            OutgoingKind::Oneway => Opaque(0),
            OutgoingKind::Request { token, deadline } => {
                match self.pending.insert(token, deadline, self.outbox.next_place(lane)) {
                    Ok(opaque) => opaque,
                    Err(token) => {
                        let outgoing = Outgoing { frame, lane, kind: OutgoingKind::Request { token, deadline } };
                        return Err(Rejected { why: RequestFailure::Busy, outgoing });
                    }
                }
            }
        };
        self.enqueue(now, lane, opaque, to_send);
        Ok(())
    }

    /// Gives up the requests whose tokens `unwanted` names: they resolve as closed by us, and what answers them later
    /// is dropped.
    pub fn abandon(&mut self, unwanted: impl Fn(&T) -> bool) {
        let (outbox, events) = (&mut self.outbox, &mut self.events);
        let given_up = |waiting: Waiting<T>| {
            let begun = !outbox.remove(waiting.place);
            let error = RequestError { why: RequestFailure::Closed(CloseReason::Local), sent: sent(begun) };
            events.push_back(ConnEvent::Response { token: waiting.token, result: Err(error) });
            begun
        };
        self.pending.take_out(|waiting| unwanted(&waiting.token), given_up);
        self.finish_when_drained();
    }

    /// Queues the answer to a broker request; `false` when none with this opaque is unanswered, when the link is
    /// closed, when the answer is longer than a frame may be, or when the peer does not read the answers it asked for: as
    /// much waits to be written as may.
    pub fn answer(&mut self, now: Instant, opaque: Opaque, frame: &EncodedFrame) -> bool {
        let Some(at) = self.peer.unanswered.iter().position(|(known, _)| *known == opaque) else { return false };
        self.peer.unanswered.swap_remove(at);
        let (len, queued) = (frame.len_bound(), self.outbox.bytes(Lane::Control));
        let room = queued == 0 || queued.saturating_add(len) <= self.cfg.max_queued_bytes;
        let sendable = !self.is_closed() && len <= self.cfg.max_frame && room;
        if sendable {
            self.enqueue(now, Lane::Control, opaque, frame);
        }
        sendable
    }

    /// Says that the oneways that came first of the peer's, so many, are handled: what was not read for them is read now.
    pub fn handled(&mut self, now: Instant, oneways: usize) {
        let paused = !self.wants_read();
        self.peer.oneways.drain(..oneways.min(self.peer.oneways.len()));
        if paused {
            self.handle_read(now);
        }
    }

    /// Begins to close: nothing more is accepted, what is queued is written and what is pending may be answered
    /// until `grace` is over. With nothing to wait for, the link is closed at once.
    pub fn close(&mut self, now: Instant, grace: Duration) {
        let deadline = now.after(grace);
        match &mut self.state {
            State::Open => self.state = State::Closing { deadline },
            State::Closing { deadline: earlier } => *earlier = deadline.min(*earlier),
            State::Closed(_) => return,
        }
        if grace.is_zero() {
            self.finish(CloseReason::Local);
        } else {
            self.finish_when_drained();
        }
    }

    /// Says that the first `n` bytes of [`Connection::tx_slices`] were written; call it before any other input.
    pub fn tx_advance(&mut self, now: Instant, n: usize) {
        if n == 0 || self.is_closed() || (mutant!(23) && n < self.outbox.len()) {
            return;
        }
        let n = n.min(self.outbox.len());
        self.last_tx = now;
        self.stats.bytes_out = self.stats.bytes_out.saturating_add(to_u64(n));
        self.stats.frames_out = self.stats.frames_out.saturating_add(self.outbox.advance(n));
        self.finish_when_drained();
    }

    /// The next event. Drain it after every input: a peer can cause no more events than the bounds allow.
    pub fn poll_event(&mut self) -> Option<ConnEvent<T>> {
        self.events.pop_front()
    }

    /// When [`Connection::handle_timeout`] has something to do at the earliest.
    #[must_use]
    pub fn poll_timeout(&self) -> Wakeup {
        let first = match self.first_limit() {
            Some((at, _)) => at.min(self.pending.next_check()),
            None => return Wakeup::Never,
        };
        if first == Instant::FAR { Wakeup::Never } else { Wakeup::At(first) }
    }

    /// The bytes to write next, in order, in as many slices as one vectored write takes.
    #[must_use]
    pub fn tx_slices(&self) -> SliceList<'_> {
        self.outbox.slices()
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub const fn tx_len(&self) -> usize {
        self.outbox.len()
    }

    /// Whether the driver shall go on reading: not while as many oneways of the peer wait as may, see
    /// [`Connection::handled`].
    #[must_use]
    pub fn wants_read(&self) -> bool {
        !self.is_closed() && self.has_room(self.peer.oneways.len(), self.peer.oneways.iter())
    }

    /// Whether frames are accepted.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether the link is closed for good; events may still have to be taken.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    /// Why the link is closed.
    #[must_use]
    pub const fn close_reason(&self) -> Option<&CloseReason> {
        match &self.state {
            State::Closed(reason) => Some(reason),
            State::Open | State::Closing { .. } => None,
        }
    }

    /// Requests under way, of one lane.
    #[must_use]
    pub const fn pending(&self, lane: Lane) -> usize {
        self.pending.waiting(lane)
    }

    /// Bytes of the receive buffer: 64 KiB, or less than twice what was received of a larger frame.
    #[must_use]
    pub const fn rx_memory(&self) -> usize {
        self.window.capacity()
    }

    /// What the link has counted.
    #[must_use]
    pub const fn stats(&self) -> &LinkStats {
        &self.stats
    }

    fn on_frame(&mut self, now: Instant, frame: Frame, len: usize) {
        let opaque = frame.header.opaque;
        if !frame.header.is_response() {
            return self.on_broker_request(opaque, frame, len);
        }
        let outbox = &self.outbox;
        match self.pending.answer(opaque, |place| outbox.is_begun(place)) {
            Answered::Request(token) => self.events.push_back(ConnEvent::Response { token, result: Ok(frame) }),
            Answered::Late => self.stats.late = self.stats.late.saturating_add(1),
            Answered::Unknown => {
                self.stats.unmatched = self.stats.unmatched.saturating_add(1);
                if self.unmatched.count(now) > self.cfg.max_unmatched {
                    self.finish(CloseReason::Unmatched);
                }
            }
        }
    }

    fn on_broker_request(&mut self, opaque: Opaque, frame: Frame, len: usize) {
        let unanswered = &self.peer.unanswered;
        if frame.header.is_oneway() {
            // There is room: it would not have been read.
            self.peer.oneways.push_back(len);
        } else if self.has_room(unanswered.len(), unanswered.iter().map(|(_, len)| len)) {
            self.peer.unanswered.push((opaque, len));
        } else {
            self.stats.dropped_broker_requests = self.stats.dropped_broker_requests.saturating_add(1);
            return;
        }
        self.events.push_back(ConnEvent::BrokerRequest { opaque, frame });
    }

    /// Whether a further request of the peer may come beside so many, of these lengths.
    fn has_room<'a>(&self, waiting: usize, lengths: impl Iterator<Item = &'a usize>) -> bool {
        let bytes = lengths.fold(0, |sum: usize, len| sum.saturating_add(*len));
        waiting < self.cfg.max_broker_requests && bytes < self.cfg.max_broker_request_bytes
    }

    fn admit(&self, frame: &EncodedFrame, lane: Lane, answered: bool) -> Result<(), RequestFailure> {
        match &self.state {
            State::Open => {}
            State::Closing { .. } => return Err(RequestFailure::Closed(CloseReason::Local)),
            State::Closed(reason) => return Err(RequestFailure::Closed(reason.clone())),
        }
        let len = frame.len_bound();
        if len > self.cfg.max_frame {
            return Err(RequestFailure::TooLong { len });
        }
        let (max_requests, max_bytes) = match lane {
            Lane::Control => (self.cfg.control_pending, self.cfg.control_queued_bytes),
            Lane::Data => (self.cfg.max_pending, self.cfg.max_queued_bytes),
        };
        let queued = self.outbox.bytes(lane);
        let over = queued > 0 && queued.saturating_add(len) > max_bytes;
        if over || (answered && self.pending.waiting(lane) >= max_requests) {
            return Err(RequestFailure::Busy);
        }
        Ok(())
    }

    /// The request as it leaves, if more is to be in it: the fields that every request carries, and then what it is signed
    /// with by what is true now, also when it was refused before.
    fn completed(&self, frame: &EncodedFrame) -> Option<EncodedFrame> {
        let fields = &self.cfg.request_fields;
        let with_fields = if fields.is_empty() { None } else { frame.with_fields(fields) };
        #[cfg(feature = "acl")]
        if let Some(credentials) = &self.cfg.credentials
            && let Some(signed) = credentials.signed(with_fields.as_ref().unwrap_or(frame))
        {
            return Some(signed);
        }
        with_fields
    }

    fn enqueue(&mut self, now: Instant, lane: Lane, opaque: Opaque, frame: &EncodedFrame) {
        if self.outbox.is_empty() {
            self.last_tx = now;
        }
        self.outbox.push(lane, opaque, frame);
    }

    fn finish_when_drained(&mut self) {
        let closing = matches!(self.state, State::Closing { .. });
        if closing && self.outbox.is_empty() && self.pending.is_empty() {
            self.finish(CloseReason::Local);
        }
    }

    /// Closes: resolves every request, then says so, once.
    fn finish(&mut self, reason: CloseReason) {
        if self.is_closed() {
            return;
        }
        let (outbox, events) = (&self.outbox, &mut self.events);
        self.pending.drain(|waiting| {
            let why = RequestFailure::Closed(reason.clone());
            let error = RequestError { why, sent: sent(outbox.is_begun(waiting.place)) };
            if !mutant!(13) {
                events.push_back(ConnEvent::Response { token: waiting.token, result: Err(error) });
            }
        });
        self.outbox.clear();
        self.window = Window::default();
        self.peer = PeerRequests::default();
        self.events.push_back(ConnEvent::Closed(reason.clone()));
        self.state = State::Closed(reason);
    }

    /// The first deadline of the link itself, and what happens then; `None` once closed.
    fn first_limit(&self) -> Option<(Instant, CloseReason)> {
        let idle = self.last_rx.max(self.last_tx).after(self.cfg.idle_timeout);
        let mut first = (idle, CloseReason::Idle);
        let mut limit = |at: Instant, reason| {
            if at < first.0 {
                first = (at, reason);
            }
        };
        match &self.state {
            State::Open => {}
            State::Closing { deadline } => limit(*deadline, CloseReason::Local),
            State::Closed(_) => return None,
        }
        if let Some(since) = self.silent {
            limit(since.after(self.cfg.silence_timeout), CloseReason::Silent);
        }
        if !self.window.is_empty() && self.wants_read() {
            limit(self.last_rx.after(self.cfg.partial_frame_timeout), CloseReason::StalledRead);
        }
        if !self.outbox.is_empty() {
            limit(self.last_tx.after(self.cfg.write_stall_timeout), CloseReason::StalledWrite);
        }
        Some(first)
    }
}

impl Unmatched {
    /// Counts one more; returns how many there were in the present minute.
    fn count(&mut self, now: Instant) -> u32 {
        if now >= self.since.after(UNMATCHED_WINDOW) {
            *self = Self { since: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

const fn sent(begun: bool) -> Sent {
    if begun { Sent::Maybe } else { Sent::Never }
}

fn to_u64(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// `max_unmatched` is a number per minute.
const UNMATCHED_WINDOW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
