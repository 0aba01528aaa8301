//! The attempts of a send.

use alloc::boxed::Box;
use alloc::sync::Arc;

use futures_lite::FutureExt;

use super::Producer;
use crate::client::{Command, CommandResult, RouteError};
use crate::driver::cell::cell;
use crate::driver::conn_task::{Submission, Waiter};
#[cfg(feature = "metrics")]
use crate::driver::metrics::SendMeter;
use crate::driver::queue::Submitter;
use crate::driver::shared::{Shared, View};
use crate::driver::span::Span;
use crate::error::{CloseReason, IoFailure, IoKind, RequestError, RequestFailure, Sent};
use crate::ids::BrokerName;
use crate::send::{Attempt, Receipt, SendError, SendOp, SendStep};
use crate::time::Instant;
use crate::wire::Frame;
use crate::wire::frame::EncodedFrame;
use crate::wire::message::UniqueKeyList;

impl Producer {
    /// Gives the send what it needs until it is done: its receipt, none when nobody answers, and the ids of a batch.
    pub(super) async fn drive(&self, mut op: Box<SendOp>) -> (Result<Option<Receipt>, SendError>, UniqueKeyList) {
        let span = Span::of_send(&op);
        #[cfg(feature = "metrics")]
        let meter = SendMeter::begin(&op, self.shared().clock.now());
        let watch = Watch {
            span: &span,
            #[cfg(feature = "metrics")]
            meter: &meter,
        };
        let result = span.within(self.drive_to_end(&mut op, watch)).await;
        span.on_sent(&result);
        #[cfg(feature = "metrics")]
        meter.end(&result, self.shared().clock.now());
        (result, op.take_ids())
    }

    async fn drive_to_end(&self, op: &mut SendOp, watch: Watch<'_>) -> Result<Option<Receipt>, SendError> {
        let shared = self.shared();
        let mut attempts = 0_u32;
        loop {
            let view = shared.view();
            let now = shared.clock.now();
            let faults = self.inner.faults.as_ref().map(super::Faults::table);
            match op.poll_with(now, &view.routes, &self.inner.turn, faults.as_deref()) {
                SendStep::Done(result) => return result.map(Some),
                SendStep::Pause(until) => shared.clock.sleep_until(until).await,
                SendStep::Route { topic, fresh } => {
                    drop(view);
                    let call = shared.call(Command::WantRoute { topic, fresh });
                    let result = match before(shared, op.deadline(), call).await {
                        Some(CommandResult::Route(result)) => result,
                        Some(_) => return op.close(shared.clock.now()).map(Some),
                        None => Err(RouteError::Unavailable(RequestError::never(RequestFailure::Timeout))),
                    };
                    op.on_route(shared.clock.now(), result);
                }
                SendStep::Send(attempt) => {
                    let broker = attempt.broker.clone();
                    attempts = attempts.saturating_add(1);
                    watch.on_attempt(attempts, &broker);
                    let Some(result) = self.attempt(attempt, view, op.is_oneway()).await else {
                        return op.close(shared.clock.now()).map(Some);
                    };
                    let over = shared.clock.now();
                    match result {
                        Ok(None) => return Ok(None),
                        Ok(Some(frame)) => {
                            let result = Ok(frame);
                            self.learn(over, &broker, over.since(now), &result);
                            op.on_reply(over, result);
                        }
                        Err(error) => {
                            let result = Err(error);
                            self.learn(over, &broker, over.since(now), &result);
                            op.on_reply(over, result);
                        }
                    }
                }
            }
        }
    }

    /// One attempt: over the link that is up, or over one that is opened first. `None` when the client is closed, no frame
    /// when nobody answers.
    async fn attempt(
        &self,
        attempt: Attempt,
        view: Arc<View>,
        oneway: bool,
    ) -> Option<Result<Option<Frame>, RequestError>> {
        let shared = self.shared();
        let Attempt { endpoint, conn, frame, deadline, .. } = attempt;
        let submitter = match conn.and_then(|conn| view.submitters.get(&conn)) {
            Some(submitter) => submitter.clone(),
            None => {
                drop(view);
                let call = shared.call(Command::WantLink(endpoint.clone()));
                let failed = match before(shared, deadline, call).await {
                    Some(CommandResult::Link(Ok(()))) => None,
                    Some(CommandResult::Link(Err(why))) => Some(why),
                    Some(_) => return None,
                    None => Some(RequestFailure::Connect(IoFailure::new(IoKind::TimedOut, "no connection in time"))),
                };
                let view = shared.view();
                let conn = view.routes.links.get(&endpoint);
                match (failed, conn.and_then(|conn| view.submitters.get(conn))) {
                    (None, Some(submitter)) => submitter.clone(),
                    (failed, _) => {
                        let gone = || IoFailure::new(IoKind::Reset, "the link closed at once");
                        let why = failed.unwrap_or_else(|| RequestFailure::Connect(gone()));
                        return Some(Err(RequestError::never(why)));
                    }
                }
            }
        };
        Some(submit(shared, &submitter, frame, deadline, oneway).await)
    }
}

/// Who looks on while a send is made.
#[derive(Clone, Copy)]
struct Watch<'a> {
    span: &'a Span,
    #[cfg(feature = "metrics")]
    meter: &'a SendMeter,
}

impl Watch<'_> {
    fn on_attempt(&self, attempts: u32, broker: &BrokerName) {
        self.span.on_attempt(attempts, broker);
        #[cfg(feature = "metrics")]
        self.meter.on_attempt(attempts);
    }
}

/// Waits for a slot, hands the request to the link, waits for the answer or until it is written.
async fn submit(
    shared: &Arc<Shared>,
    submitter: &Submitter<Submission>,
    frame: EncodedFrame,
    deadline: Instant,
    oneway: bool,
) -> Result<Option<Frame>, RequestError> {
    let bytes = frame.len_bound();
    let closed = |reason: CloseReason| RequestError::never(RequestFailure::Closed(reason));
    let permit = match submitter.try_acquire(bytes) {
        Ok(permit) => permit,
        Err(RequestFailure::Closed(reason)) => return Err(closed(reason)),
        Err(_) => match before(shared, deadline, submitter.acquire(bytes)).await {
            Some(Ok(permit)) => permit,
            Some(Err(reason)) => return Err(closed(reason)),
            None => return Err(RequestError::never(RequestFailure::Timeout)),
        },
    };
    let lost = RequestError { why: RequestFailure::Closed(CloseReason::Local), sent: Sent::Maybe };
    if oneway {
        let (done, written) = cell();
        if let Err((reason, _)) = permit.push(Submission { frame, deadline, reply: Waiter::Written(done), bytes }) {
            return Err(closed(reason));
        }
        return match before(shared, deadline, written).await {
            Some(Ok(result)) => result.map(|()| None),
            Some(Err(_)) => Err(lost),
            None => Err(RequestError { why: RequestFailure::Timeout, sent: Sent::Maybe }),
        };
    }
    let (reply, answer) = cell();
    if let Err((reason, _)) = permit.push(Submission { frame, deadline, reply: Waiter::Answer(reply), bytes }) {
        return Err(closed(reason));
    }
    match answer.await {
        Ok(result) => result.map(Some),
        Err(_) => Err(lost),
    }
}

/// The output of `future`, or `None` when the deadline comes first.
pub(in crate::driver::handle) async fn before<F: Future>(
    shared: &Shared,
    deadline: Instant,
    future: F,
) -> Option<F::Output> {
    let sleep = shared.clock.sleep_until(deadline);
    async { Some(future.await) }
        .or(async {
            sleep.await;
            None
        })
        .await
}
