//! The one task that owns the `ClientMachine`.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::path::Path;

use futures_lite::FutureExt;

use super::cell::{Completer, cell};
use super::conn_task::{self, Submission};
use super::control::{Order, Orders};
use super::dial::Dialer;
use super::inbox::{Inbox, Mail};
use super::intake::Intake;
use super::queue::Submitter;
use super::runtime::Runtime;
use super::shared::{Shared, View};
use crate::client::{ClientEvent, ClientMachine, CommandResult, Input, Output};
use crate::error::{CloseReason, IoFailure, RequestError, RequestFailure};
use crate::ids::{ConnId, Group, OpId};
use crate::time::Instant;

/// Serves the client to its end. The task exists at once: dropped before it is ever polled, by a runtime that is
/// gone, it still closes the client.
pub(super) fn run<R: Runtime>(
    dialer: Dialer<R>,
    machine: ClientMachine,
    shared: Arc<Shared>,
) -> impl Future<Output = ()> + Send {
    let inbox = shared.inbox.clone();
    let mut task = ClientTask {
        #[cfg(feature = "metrics")]
        gauges: super::metrics::Gauges::new(shared.config.client_id.clone()),
        rt: dialer.rt.clone(),
        dialer,
        machine,
        shared,
        inbox,
        mail: VecDeque::new(),
        links: BTreeMap::new(),
        gone: Vec::new(),
        ops: BTreeMap::new(),
        intakes: BTreeMap::new(),
        wakers: Vec::new(),
        fetching: None,
        sleep: None,
        armed: Instant::FAR,
        closed: false,
    };
    poll_fn(move |cx| task.poll(cx))
}

pub(super) struct ClientTask<R: Runtime> {
    pub(super) rt: R,
    pub(super) machine: ClientMachine,
    pub(super) shared: Arc<Shared>,
    dialer: Dialer<R>,
    pub(super) inbox: Inbox,
    mail: VecDeque<Mail>,
    links: BTreeMap<ConnId, Link>,
    /// Links that ended in this round. Until it is over their orders say why: the machine may have asked for something before
    /// it heard of that.
    gone: Vec<ConnId>,
    ops: BTreeMap<OpId, Completer<CommandResult>>,
    intakes: BTreeMap<Group, Arc<Intake>>,
    wakers: Vec<Waker>,
    /// What is asked by HTTP is given up when this is dropped.
    fetching: Option<Completer<Result<Vec<u8>, IoFailure>>>,
    sleep: Option<Pin<Box<R::Sleep>>>,
    armed: Instant,
    closed: bool,
    #[cfg(feature = "metrics")]
    gauges: super::metrics::Gauges,
}

struct Link {
    orders: Orders,
    submitter: Option<Submitter<Submission>>,
}

impl<R: Runtime> ClientTask<R> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS_A_TURN {
            let mut mail = core::mem::take(&mut self.mail);
            let idle = self.inbox.poll_take(cx.waker(), &mut mail).is_pending();
            let now = self.rt.now();
            if idle && !self.is_due(cx, now) {
                self.mail = mail;
                return Poll::Pending;
            }
            self.machine.handle(now, Input::WallClock(self.rt.wall()));
            self.gather_news(now);
            for item in mail.drain(..) {
                self.on_mail(now, item);
            }
            self.mail = mail;
            // Answers made room for failures that had to wait.
            self.gather_news(now);
            self.machine.handle_timeout(now);
            self.carry_out(now);
            for conn in self.gone.drain(..) {
                self.links.remove(&conn);
            }
            #[cfg(feature = "metrics")]
            self.gauges.sample(now, &self.machine);
            self.wakers.drain(..).for_each(Waker::wake);
            if self.closed {
                self.end();
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether the machine's timer is due; else the timer is set.
    fn is_due(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(at) = self.machine.poll_timeout().instant(now) else {
            return false;
        };
        if at <= now {
            return true;
        }
        if at != self.armed || self.sleep.is_none() {
            self.sleep = Some(Box::pin(self.rt.sleep_until(at)));
            self.armed = at;
        }
        let fired = self.sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready());
        if fired {
            self.sleep = None;
        }
        fired
    }

    fn on_mail(&mut self, now: Instant, mail: Mail) {
        match mail {
            Mail::Input(input) => {
                if let Input::Closed(conn, _) | Input::ConnectFailed(conn, _) = &input
                    && let Some(link) = self.links.get_mut(conn)
                {
                    link.submitter = None;
                    self.gone.push(*conn);
                }
                if let Input::Cancel(op) = &input {
                    self.ops.remove(op);
                }
                let oneway_of = if let Input::BrokerRequest(conn, frame) = &input
                    && frame.header.is_oneway()
                {
                    Some(*conn)
                } else {
                    None
                };
                self.machine.handle(now, input);
                if let Some(link) = oneway_of.and_then(|conn| self.links.get(&conn)) {
                    link.orders.handled();
                }
            }
            Mail::Command(op, command, completer) => {
                self.ops.insert(op, completer);
                self.machine.handle(now, Input::Command { op, command });
            }
            Mail::Connected(conn, submitter) => {
                if let Some(link) = self.links.get_mut(&conn) {
                    link.submitter = Some(submitter);
                }
                self.machine.handle(now, Input::Connected(conn));
            }
        }
    }

    /// What consumers settled, and what failed: the machine decides on nothing older.
    fn gather_news(&mut self, now: Instant) {
        for (group, intake) in &self.intakes {
            let news = intake.news(self.machine.failure_room(group));
            for progress in news.progress {
                self.machine.handle(now, Input::Progress(group.clone(), progress));
            }
            for failure in news.failures {
                self.machine.handle(now, Input::Failed(group.clone(), failure));
            }
            if !news.popped.is_empty() {
                self.machine.handle(now, Input::Popped(group.clone(), news.popped));
            }
            for (queue, epoch) in news.ended {
                self.machine.handle(now, Input::HandlerEnded { group: group.clone(), queue: (*queue).clone(), epoch });
            }
            for end in news.directs {
                self.machine.handle(now, Input::Direct(group.clone(), end));
            }
            for event in news.events {
                self.shared.events.emit(&ClientEvent::of_dispatch(group.clone(), event));
            }
            if news.drained {
                self.machine.handle(now, Input::Drained(group.clone()));
            }
        }
    }

    fn carry_out(&mut self, now: Instant) {
        while let Some(output) = self.machine.poll_output() {
            self.on_output(now, output);
        }
    }

    fn on_output(&mut self, now: Instant, output: Output) {
        match output {
            Output::Connect { conn, to } => {
                let orders = Orders::new();
                self.links.insert(conn, Link { orders: orders.clone(), submitter: None });
                self.rt.spawn(conn_task::run(self.dialer.clone(), conn, to, orders, self.inbox.clone()));
            }
            Output::Close { conn, grace } => self.order(now, conn, Order::Close(grace)),
            Output::Request(conn, request) => self.order(now, conn, Order::Request(request)),
            Output::Oneway(conn, frame) => self.order(now, conn, Order::Oneway(frame)),
            Output::PushedReply(reply) => {
                let correlation = reply.correlation.clone();
                match self.shared.requests.complete(reply) {
                    Ok(waker) => self.wakers.extend(waker),
                    Err(times) => self.shared.events.emit(&ClientEvent::LateReply { correlation, times }),
                }
            }
            Output::CheckTransaction(check) => self.check(now, check),
            Output::Answer { conn, opaque, frame } => self.order(now, conn, Order::Answer(opaque, frame)),
            Output::Complete { op, result } => {
                if let Some(completer) = self.ops.remove(&op)
                    && let Ok(Some(waker)) = completer.complete(result)
                {
                    self.wakers.push(waker);
                }
            }
            Output::OpenDispatch(config) => {
                let intake = Arc::new(Intake::new(&config, self.inbox.clone(), &self.shared.clock));
                self.shared.add_intake(config.group.clone(), intake.clone());
                self.intakes.insert(config.group.clone(), intake);
            }
            Output::Deliver { group, batch } => self.with_intake(&group, |intake| intake.deliver(batch)),
            Output::Settle { group, taken } => self.with_intake(&group, |intake| intake.returned(&taken)),
            Output::TellLow { group, epoch, messages, bytes } => {
                self.with_intake(&group, |intake| intake.tell_low(epoch, messages, bytes));
            }
            Output::Hidden { group, epoch, id, index, until } => {
                self.with_intake(&group, |intake| intake.hide(epoch, id, index, until));
            }
            Output::GiveBack { group, epoch } => self.with_intake(&group, |intake| intake.give_back(epoch)),
            Output::LookForOverdue { group } => self.with_intake(&group, Intake::look_for_overdue),
            Output::Redeliver { group, taken } => self.with_intake(&group, |intake| intake.redeliver(&taken)),
            Output::DeliverDirect { group, id, batch } => {
                self.with_intake(&group, |intake| intake.deliver_direct(id, batch));
            }
            Output::CancelDirect { group, id } => self.with_intake(&group, |intake| intake.cancel_direct(id)),
            Output::StopQueue { group, taken } => self.with_intake(&group, |intake| intake.stop_queue(&taken)),
            Output::Lease { group, epoch, until } => self.with_intake(&group, |intake| intake.lease(epoch, until)),
            Output::Revoke { group, queue, epoch } => {
                let last = self.intakes.get(&group).and_then(|intake| intake.revoke(epoch));
                self.machine.handle(now, Input::Revoked { group, queue, epoch, last });
            }
            Output::StopIntake { group } => {
                self.with_intake(&group, Intake::close);
                self.inbox.nudge();
            }
            Output::CloseDispatch(group) => {
                if let Some(intake) = self.intakes.remove(&group) {
                    intake.close();
                }
                self.shared.remove_intake(&group);
            }
            Output::Fetch { from, request, timeout } => {
                let (dialer, inbox) = (self.dialer.clone(), self.inbox.clone());
                let (wanted, unwanted) = cell();
                self.fetching = Some(wanted);
                self.rt.spawn(async move {
                    let fetch = async { Some(dialer.fetch(&from, &request, timeout).await) };
                    let gone = async { unwanted.await.ok() };
                    if let Some(result) = fetch.or(gone).await {
                        inbox.post([Mail::Input(Input::Fetched(result))]);
                    }
                });
            }
            Output::NameServers(servers) => self.shared.set_name_servers(servers),
            Output::Load { op, path } => {
                let (rt, inbox) = (self.rt.clone(), self.inbox.clone());
                self.rt.spawn(async move {
                    let result = rt.load(Path::new(&path)).await.map_err(IoFailure::from);
                    inbox.post([Mail::Input(Input::Loaded { op, result })]);
                });
            }
            Output::Save { op, path, bytes } => {
                let (rt, inbox) = (self.rt.clone(), self.inbox.clone());
                self.rt.spawn(async move {
                    let result = rt.save(Path::new(&path), bytes).await.map_err(IoFailure::from);
                    inbox.post([Mail::Input(Input::Saved { op, result })]);
                });
            }
            Output::FlushTraces { deadline } => self.shared.tracers.close(&self.shared, deadline),
            Output::Routes(routes) => {
                let up = |(conn, link): (&ConnId, &Link)| Some((*conn, link.submitter.clone()?));
                let submitters = self.links.iter().filter_map(up).collect();
                self.shared.publish(View { routes, submitters });
            }
            Output::Event(event) => self.shared.events.emit(&event),
            Output::Closed => self.closed = true,
        }
    }

    /// Gives an order to a link; a request for a link that is gone fails as never sent.
    fn order(&mut self, now: Instant, conn: ConnId, order: Order) {
        let refused = match self.links.get(&conn) {
            Some(link) => link.orders.give(order),
            None => Some((order, RequestFailure::Closed(CloseReason::Local))),
        };
        if let Some((Order::Request(request), why)) = refused {
            let result = Err(RequestError::never(why));
            self.machine.handle(now, Input::Response { id: request.id, result });
        }
    }

    fn with_intake(&self, group: &Group, act: impl FnOnce(&Intake)) {
        if let Some(intake) = self.intakes.get(group) {
            act(intake);
        }
    }

    /// Everybody who still waits learns that the client is closed.
    fn end(&mut self) {
        self.inbox.close();
        self.fetching = None;
        for intake in core::mem::take(&mut self.intakes).into_values() {
            intake.close();
        }
        self.shared.close();
        self.ops.clear();
    }
}

impl<R: Runtime> Drop for ClientTask<R> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Rounds in one turn of the task, so that others get theirs.
const ROUNDS_A_TURN: usize = 64;
