//! One task per link: it owns the `Connection` and its stream, and awaits nothing but the socket.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io::IoSlice;

use futures_lite::FutureExt;

use super::cell::Completer;
use super::control::{Order, Orders};
use super::dial::{Dialer, Wire};
use super::inbox::{Inbox, Mail};
use super::queue::{Intake, Load, submit_queue};
use super::runtime::{AsyncRead, AsyncWrite, Runtime, RuntimeExt};
use crate::client::{Input, PullContext, Reply};
use crate::conn::{ConnEvent, Connection, Lane, MAX_SLICES, Outgoing, OutgoingKind, Rejected};
use crate::error::{CloseReason, IoFailure, IoKind, RequestError, RequestFailure, Sent};
use crate::ids::{ConnId, Endpoint, RequestId};
use crate::mutants::mutant;
use crate::time::{Instant, Wakeup};
use crate::wire::Frame;
use crate::wire::frame::EncodedFrame;

/// A request of a handle, which waits for its end itself.
pub(super) struct Submission {
    pub(super) frame: EncodedFrame,
    pub(super) deadline: Instant,
    pub(super) reply: Waiter,
    /// The bytes it was admitted with.
    pub(super) bytes: usize,
}

/// The end of a request that a handle waits for.
pub(super) enum Waiter {
    /// Its answer.
    Answer(Completer<Result<Frame, RequestError>>),
    /// That it is written: nobody answers.
    Written(Completer<Result<(), RequestError>>),
}

impl Waiter {
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Answer(reply) => reply.is_abandoned(),
            Self::Written(done) => done.is_abandoned(),
        }
    }

    /// The request is over before it was sent.
    fn fail(self, why: RequestError) -> Option<Waker> {
        let waker = match self {
            Self::Answer(reply) => reply.complete(Err(why)).ok(),
            Self::Written(done) => done.complete(Err(why)).ok(),
        };
        waker.flatten()
    }
}

/// A request without answer that is not wholly written.
struct Unwritten {
    done: Completer<Result<(), RequestError>>,
    bytes: usize,
    /// It is written when the link has written so many bytes.
    at: u64,
}

/// Who waits for a request on this link.
enum Token {
    Machine {
        id: RequestId,
        pull: Option<Arc<PullContext>>,
        #[cfg(feature = "metrics")]
        asked: Instant,
    },
    Handle {
        reply: Completer<Result<Frame, RequestError>>,
        bytes: usize,
    },
}

impl Token {
    /// Of a request of the machine, made now.
    #[cfg_attr(not(feature = "metrics"), allow(unused_variables, reason = "nobody measures how long it takes"))]
    const fn of_machine(id: RequestId, pull: Option<Arc<PullContext>>, now: Instant) -> Self {
        Self::Machine {
            id,
            pull,
            #[cfg(feature = "metrics")]
            asked: now,
        }
    }
}

/// Opens the link, then serves it to its end.
pub(super) async fn run<R: Runtime>(dialer: Dialer<R>, conn: ConnId, to: Endpoint, orders: Orders, inbox: Inbox) {
    let Dialer { rt, link: config, .. } = &dialer;
    let deadline = rt.now().after(config.connect_timeout);
    let connect = async {
        let late = || Err(IoFailure::new(IoKind::TimedOut, "no connection in time"));
        rt.before(deadline, dialer.dial(&to)).await.unwrap_or_else(late)
    };
    let mut early = VecDeque::new();
    let cancelled = poll_fn(|cx| {
        orders.take(cx.waker(), false, &mut early);
        let close = early.iter().any(|order| matches!(order, Order::Close(_)));
        if close { Poll::Ready(Err(IoFailure::new(IoKind::Other, "closed by this client"))) } else { Poll::Pending }
    });
    match connect.or(cancelled).await {
        Err(why) => {
            orders.close(RequestFailure::Connect(why.clone()));
            inbox.post([Mail::Input(Input::ConnectFailed(conn, why))]);
        }
        Ok(stream) => {
            let limits = Load { requests: config.max_sends, bytes: config.max_queued_bytes };
            let (submitter, intake) = submit_queue(limits);
            inbox.post([Mail::Connected(conn, submitter)]);
            let now = rt.now();
            let mut task = ConnTask {
                machine: Connection::new(config.clone(), now),
                stream,
                conn,
                orders,
                inbox,
                intake,
                todo: early,
                submitted: Vec::new(),
                unwritten: VecDeque::new(),
                wakers: Vec::new(),
                mail: Vec::new(),
                over: Load::default(),
                sleep: None,
                armed: Instant::FAR,
                ending: None,
                ended: false,
                rt: rt.clone(),
            };
            poll_fn(|cx| task.poll(cx)).await;
        }
    }
}

struct ConnTask<R: Runtime> {
    rt: R,
    machine: Connection<Token>,
    stream: Wire<R::Stream>,
    conn: ConnId,
    orders: Orders,
    inbox: Inbox,
    intake: Intake<Submission>,
    todo: VecDeque<Order>,
    submitted: Vec<Submission>,
    unwritten: VecDeque<Unwritten>,
    wakers: Vec<Waker>,
    mail: Vec<Mail>,
    /// Slots of requests that are over, to be given back.
    over: Load,
    sleep: Option<Pin<Box<R::Sleep>>>,
    armed: Instant,
    ending: Option<Ending<R>>,
    ended: bool,
}

/// The end of a link whose last bytes may not be with the socket yet.
struct Ending<R: Runtime> {
    reason: CloseReason,
    /// When they are given up.
    late: Pin<Box<R::Sleep>>,
}

impl<R: Runtime> ConnTask<R> {
    /// One turn: orders, submissions, write, read, timers, completions; wakes after all state work.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ending.is_some() {
            return self.poll_end(cx);
        }
        let mut submissions = SUBMISSIONS_A_TURN;
        let mut reads = READS_A_TURN;
        loop {
            let now = self.rt.now();
            self.take_orders(cx, now);
            let drained = self.take_submissions(cx, now, &mut submissions);
            let wrote = self.write(cx, now);
            let read = self.read(cx, now, &mut reads);
            // After the read: an answer that is here already counts, however late this task comes to run.
            self.poll_timer(cx, now);
            let closed = self.hand_out();
            self.flush();
            if closed {
                return self.poll_end(cx);
            }
            if submissions == 0 || reads == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let progress = drained || wrote || read;
            if !progress && !self.rearm(cx, now) {
                return Poll::Pending;
            }
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Instant) {
        let fired = self.sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready());
        if fired {
            self.sleep = None;
            self.armed = Instant::FAR;
        }
        let due = match self.machine.poll_timeout() {
            Wakeup::At(at) => at <= now,
            Wakeup::Now => true,
            Wakeup::Never => false,
        };
        if due {
            self.machine.handle_timeout(now);
        }
    }

    /// Sets the timer when it has moved earlier; whether it is due at once.
    fn rearm(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(at) = self.machine.poll_timeout().instant(now) else {
            return false;
        };
        if at >= self.armed {
            return false;
        }
        let mut sleep = Box::pin(self.rt.sleep_until(at));
        let due = sleep.as_mut().poll(cx).is_ready();
        self.armed = if due { Instant::FAR } else { at };
        self.sleep = (!due).then_some(sleep);
        due
    }

    fn take_orders(&mut self, cx: &mut Context<'_>, now: Instant) {
        let handled = self.orders.take(cx.waker(), !self.machine.wants_read(), &mut self.todo);
        self.machine.handled(now, handled);
        while let Some(order) = self.todo.pop_front() {
            match order {
                Order::Request(request) => {
                    let lane = if request.pull.is_some() { Lane::Data } else { Lane::Control };
                    let token = Token::of_machine(request.id, request.pull, now);
                    let kind = OutgoingKind::Request { token, deadline: request.deadline };
                    if let Err(rejected) = self.machine.submit(now, Outgoing { frame: request.frame, lane, kind }) {
                        self.on_rejected(rejected);
                    }
                }
                Order::Oneway(frame) => {
                    // What the bounds of the link do not let through is lost, as any oneway may be.
                    let _ = self.machine.submit(now, Outgoing { frame, lane: Lane::Data, kind: OutgoingKind::Oneway });
                }
                Order::Answer(opaque, frame) => {
                    self.machine.answer(now, opaque, &frame);
                }
                Order::Close(grace) => {
                    // A pull that a broker holds is not worth waiting for.
                    self.machine.abandon(|token| matches!(token, Token::Machine { pull: Some(_), .. }));
                    self.machine.close(now, grace);
                }
            }
        }
    }

    fn take_submissions(&mut self, cx: &mut Context<'_>, now: Instant, budget: &mut usize) -> bool {
        let Poll::Ready(taken) = self.intake.poll_drain(cx, *budget, &mut self.submitted) else {
            return false;
        };
        *budget = budget.saturating_sub(taken);
        let mut submitted = core::mem::take(&mut self.submitted);
        for submission in submitted.drain(..) {
            let Submission { frame, deadline, reply, bytes } = submission;
            if reply.is_abandoned() {
                // Nobody waits any more and not a byte is written: it is as if it had never been sent.
                self.let_go(bytes);
                continue;
            }
            match reply {
                Waiter::Answer(reply) => {
                    let kind = OutgoingKind::Request { token: Token::Handle { reply, bytes }, deadline };
                    if let Err(rejected) = self.machine.submit(now, Outgoing { frame, lane: Lane::Data, kind }) {
                        self.on_rejected(rejected);
                    }
                }
                Waiter::Written(done) => self.submit_oneway(now, frame, bytes, done),
            }
        }
        self.submitted = submitted;
        taken > 0
    }

    /// Its slot is given back when it is written, as nothing else ends it.
    fn submit_oneway(
        &mut self,
        now: Instant,
        frame: EncodedFrame,
        bytes: usize,
        done: Completer<Result<(), RequestError>>,
    ) {
        let outgoing = Outgoing { frame, lane: Lane::Data, kind: OutgoingKind::Oneway };
        match self.machine.submit(now, outgoing) {
            Ok(()) => {
                let queued = u64::try_from(self.machine.tx_len()).unwrap_or(u64::MAX);
                let at = self.machine.stats().bytes_out.saturating_add(queued);
                self.unwritten.push_back(Unwritten { done, bytes, at });
            }
            Err(Rejected { why, .. }) => {
                self.let_go(bytes);
                self.complete(done, Err(RequestError::never(why)));
            }
        }
    }

    /// Ends the requests without answer that are written.
    fn end_written(&mut self) {
        let written = self.machine.stats().bytes_out;
        while self.unwritten.front().is_some_and(|first| first.at <= written) {
            let Some(Unwritten { done, bytes, .. }) = self.unwritten.pop_front() else { return };
            self.let_go(bytes);
            self.complete(done, Ok(()));
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut progress = false;
        while self.machine.tx_len() > 0 {
            let wrote = {
                let slices = self.machine.tx_slices();
                match &*slices {
                    [one] => Pin::new(&mut self.stream).poll_write(cx, one),
                    many => {
                        let mut io = [IoSlice::new(&[]); MAX_SLICES];
                        let used = io.iter_mut().zip(many).map(|(slot, slice)| *slot = IoSlice::new(slice)).count();
                        Pin::new(&mut self.stream).poll_write_vectored(cx, io.get(..used).unwrap_or_default())
                    }
                }
            };
            match wrote {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) if mutant!(24) => {
                    cx.waker().wake_by_ref();
                    break;
                }
                Poll::Ready(Ok(0)) => {
                    let why = IoFailure::new(IoKind::WriteZero, "the socket takes no bytes");
                    self.machine.handle_closed(now, CloseReason::Io(why));
                }
                Poll::Ready(Ok(n)) => {
                    self.machine.tx_advance(now, n);
                    progress = true;
                }
                Poll::Ready(Err(error)) => self.machine.handle_closed(now, CloseReason::Io(error.into())),
            }
        }
        if self.stream.holds_back()
            && let Poll::Ready(Err(error)) = Pin::new(&mut self.stream).poll_flush(cx)
        {
            self.machine.handle_closed(now, CloseReason::Io(error.into()));
        }
        self.end_written();
        progress
    }

    fn read(&mut self, cx: &mut Context<'_>, now: Instant, budget: &mut usize) -> bool {
        if !self.machine.wants_read() {
            return false;
        }
        let space = self.machine.rx_space(READ_SIZE);
        match Pin::new(&mut self.stream).poll_read(cx, space) {
            Poll::Pending => false,
            Poll::Ready(Ok(0)) => {
                self.machine.handle_closed(now, CloseReason::PeerClosed);
                true
            }
            Poll::Ready(Ok(n)) => {
                self.machine.rx_commit(n);
                self.machine.handle_read(now);
                *budget = budget.saturating_sub(1);
                true
            }
            Poll::Ready(Err(error)) => {
                self.machine.handle_closed(now, CloseReason::Io(error.into()));
                true
            }
        }
    }

    /// Hands results straight to their callers, the machine's to the client task; whether the link is closed.
    fn hand_out(&mut self) -> bool {
        while let Some(event) = self.machine.poll_event() {
            match event {
                ConnEvent::Response { token, result } => self.resolve(token, result),
                ConnEvent::BrokerRequest { frame, .. } => {
                    self.mail.push(Mail::Input(Input::BrokerRequest(self.conn, frame)));
                }
                ConnEvent::Closed(reason) => {
                    let in_order = matches!(reason, CloseReason::Local | CloseReason::Idle);
                    if in_order && self.stream.holds_back() {
                        let late = Box::pin(self.rt.sleep_until(self.rt.now().after(LAST_WORDS)));
                        self.ending = Some(Ending { reason, late });
                    } else {
                        self.on_closed(reason);
                    }
                    return true;
                }
            }
        }
        false
    }

    /// Writes what is left, where some can be.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(ending) = &mut self.ending else { return Poll::Ready(()) };
        let written = Pin::new(&mut self.stream).poll_close(cx).is_ready();
        if !written && ending.late.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if let Some(Ending { reason, .. }) = self.ending.take() {
            self.on_closed(reason);
            self.flush();
        }
        Poll::Ready(())
    }

    fn resolve(&mut self, token: Token, result: Result<Frame, RequestError>) {
        match token {
            Token::Handle { reply, bytes } => {
                #[cfg(feature = "metrics")]
                if let Err(error) = &result {
                    super::metrics::timed_out("send", error);
                }
                self.let_go(bytes);
                self.complete(reply, result);
            }
            Token::Machine {
                id,
                pull,
                #[cfg(feature = "metrics")]
                asked,
            } => {
                let result = result.map(|frame| Reply::read(pull.as_deref(), frame));
                #[cfg(feature = "metrics")]
                super::metrics::answered(pull.as_deref(), &result, self.rt.now().since(asked));
                self.mail.push(Mail::Input(Input::Response { id, result }));
            }
        }
    }

    fn on_rejected(&mut self, rejected: Rejected<Token>) {
        if let OutgoingKind::Request { token, .. } = rejected.outgoing.kind {
            self.resolve(token, Err(RequestError::never(rejected.why)));
        }
    }

    /// Whatever was queued and never reached the link fails as never sent.
    fn on_closed(&mut self, reason: CloseReason) {
        self.ended = true;
        let never = RequestError::never(RequestFailure::Closed(reason.clone()));
        for order in self.orders.close(never.why.clone()) {
            if let Order::Request(request) = order {
                let token = Token::of_machine(request.id, request.pull, self.rt.now());
                self.resolve(token, Err(never.clone()));
            }
        }
        for submission in self.intake.close(reason.clone()) {
            self.wakers.extend(submission.reply.fail(never.clone()));
        }
        while let Some(Unwritten { done, .. }) = self.unwritten.pop_front() {
            let why = RequestFailure::Closed(reason.clone());
            self.complete(done, Err(RequestError { why, sent: Sent::Maybe }));
        }
        self.mail.push(Mail::Input(Input::Closed(self.conn, reason)));
    }

    fn complete<V>(&mut self, completer: Completer<V>, value: V) {
        if let Ok(Some(waker)) = completer.complete(value) {
            self.wakers.push(waker);
        }
    }

    fn let_go(&mut self, bytes: usize) {
        self.over.requests = self.over.requests.saturating_add(1);
        self.over.bytes = self.over.bytes.saturating_add(bytes);
    }

    fn flush(&mut self) {
        if self.over.requests > 0 {
            self.intake.release(core::mem::take(&mut self.over));
        }
        self.wakers.drain(..).for_each(Waker::wake);
        if !self.mail.is_empty() {
            self.inbox.post(self.mail.drain(..));
        }
    }
}

impl<R: Runtime> Drop for ConnTask<R> {
    /// When the task ends before its link, by a panic of the user's code in it or with its runtime, the link ends too: nobody
    /// is to wait for it.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.machine.handle_closed(self.rt.now(), CloseReason::Local);
        while let Some(event) = self.machine.poll_event() {
            if let ConnEvent::Response { token, result } = event {
                self.resolve(token, result);
            }
        }
        self.on_closed(CloseReason::Local);
        self.flush();
    }
}

/// How long the last bytes of an encrypted link may take to the socket, which has room for them but for a peer that reads
/// nothing.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Bytes of one read.
const READ_SIZE: usize = 64 * 1024;
/// Reads in one turn of the task, so that others get theirs.
const READS_A_TURN: usize = 8;
/// Submissions in one turn of the task.
const SUBMISSIONS_A_TURN: usize = 256;
