//! Producers.

use alloc::sync::Arc;
use core::sync::atomic::AtomicU32;
use core::time::Duration;

use futures_lite::FutureExt;

use super::Client;
use crate::client::{Command, CommandResult, RouteError};
use crate::config::{ConfigError, ProducerConfig};
use crate::driver::cell::cell;
use crate::driver::conn_task::Submission;
use crate::driver::shared::{Shared, View};
use crate::error::{CloseReason, IoFailure, IoKind, RequestError, RequestFailure};
use crate::ids::{Group, MessageQueue};
use crate::message::{Message, MessageError};
use crate::send::{Attempt, Parcel, Receipt, SendError, SendOp, SendPolicy, SendStep};
use crate::time::Instant;
use crate::wire::Frame;
use crate::wire::frame::EncodedFrame;

/// Sends messages. Clones are the same producer.
///
/// `send` waits for room when the link is at its bounds, in order of the calls. Dropping its future stops what has
/// not begun; a message whose bytes are on their way may be stored all the same.
#[derive(Clone)]
pub struct Producer {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    client: Client,
    pub(super) config: ProducerConfig,
    pub(super) policy: SendPolicy,
    turn: AtomicU32,
}

/// Configures a [`Producer`].
#[derive(Clone, Debug)]
pub struct ProducerBuilder {
    client: Client,
    config: ProducerConfig,
}

impl ProducerBuilder {
    pub(super) fn new(client: Client, group: Group) -> Self {
        Self { client, config: ProducerConfig::new(group) }
    }

    /// The whole time a send may take. Default: 3 s.
    #[must_use]
    pub const fn send_timeout(mut self, timeout: Duration) -> Self {
        self.config.send_timeout = timeout;
        self
    }

    /// Attempts after the first. Default: 2.
    #[must_use]
    pub const fn retries(mut self, retries: u32) -> Self {
        self.config.retries = retries;
        self
    }

    /// The longest one attempt may take while others remain. Default: an equal share of the time.
    #[must_use]
    pub const fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.config.attempt_timeout = Some(timeout);
        self
    }

    /// Sends a message again elsewhere when it was stored without the durability asked for. Default: no.
    #[must_use]
    pub const fn retry_weak_store(mut self, retry: bool) -> Self {
        self.config.retry_weak_store = retry;
        self
    }

    /// The largest body, bytes. Default: 4 MiB.
    #[must_use]
    pub const fn max_message_size(mut self, bytes: usize) -> Self {
        self.config.max_message_size = bytes;
        self
    }

    /// Bodies of at least so many bytes are compressed. Default: 4,096.
    #[must_use]
    pub const fn compress_over(mut self, bytes: usize) -> Self {
        self.config.compress_over = bytes;
        self
    }

    /// Starts the producer.
    ///
    /// # Errors
    /// The configuration breaks a rule.
    pub async fn start(self) -> Result<Producer, ConfigError> {
        self.config.check()?;
        let shared = self.client.inner.shared.clone();
        let started = shared.call(Command::StartProducer(self.config.group.clone()));
        let turn = u32::try_from(shared.clock.now().as_micros() & 0xffff).unwrap_or(0);
        let policy = SendPolicy::of(&self.config);
        let inner = Inner { client: self.client, config: self.config, policy, turn: AtomicU32::new(turn) };
        // It exists before the wait: dropped while it waits, it takes the group back.
        let producer = Producer { inner: Arc::new(inner) };
        started.await;
        Ok(producer)
    }
}

impl Producer {
    /// Sends a message; done when a broker has stored it.
    ///
    /// # Errors
    /// See [`SendError`]: [`SendError::may_be_stored`] tells what is certain.
    pub async fn send(&self, message: Message) -> Result<Receipt, SendError> {
        let deadline = self.deadline();
        let parcel = self.parcel(&message)?;
        let op = SendOp::new(parcel, self.shared().config.codec, self.inner.policy, deadline);
        self.drive(op).await
    }

    /// Sends a message to one queue, in a single attempt.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send_to(&self, message: Message, queue: MessageQueue) -> Result<Receipt, SendError> {
        let deadline = self.deadline();
        let parcel = self.parcel(&message)?;
        let op = SendOp::to_queue(parcel, self.shared().config.codec, deadline, queue);
        self.drive(op).await
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> &Group {
        &self.inner.config.group
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.inner.client.inner.shared
    }

    pub(super) fn deadline(&self) -> Instant {
        self.shared().clock.now().after(self.inner.config.send_timeout)
    }

    fn parcel(&self, message: &Message) -> Result<Parcel, MessageError> {
        let shared = self.shared();
        Parcel::new(&shared.config, &self.inner.config, message, &shared.keys, shared.clock.wall())
    }

    /// Gives the send what it needs until it is done.
    pub(super) async fn drive(&self, mut op: SendOp) -> Result<Receipt, SendError> {
        let shared = self.shared();
        loop {
            let view = shared.view();
            let now = shared.clock.now();
            match op.poll(now, &view.routes, &self.inner.turn) {
                SendStep::Done(result) => return result,
                SendStep::Pause(until) => shared.clock.sleep_until(until).await,
                SendStep::Route { topic, fresh } => {
                    drop(view);
                    let call = shared.call(Command::WantRoute { topic, fresh });
                    let result = match before(shared, op.deadline(), call).await {
                        Some(CommandResult::Route(result)) => result,
                        Some(_) => return op.close(shared.clock.now()),
                        None => Err(RouteError::Unavailable(RequestError::never(RequestFailure::Timeout))),
                    };
                    op.on_route(shared.clock.now(), result);
                }
                SendStep::Send(attempt) => {
                    let Some(result) = self.attempt(attempt, view).await else {
                        return op.close(shared.clock.now());
                    };
                    op.on_reply(shared.clock.now(), result);
                }
            }
        }
    }

    /// One attempt: over the link that is up, or over one that is opened first. `None` when the client is closed.
    async fn attempt(&self, attempt: Attempt, view: Arc<View>) -> Option<Result<Frame, RequestError>> {
        let shared = self.shared();
        let Attempt { endpoint, conn, frame, deadline } = attempt;
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
        Some(submit(shared, &submitter, frame, deadline).await)
    }
}

/// Waits for a slot, hands the request to the link, waits for the answer.
async fn submit(
    shared: &Arc<Shared>,
    submitter: &crate::driver::queue::Submitter<Submission>,
    frame: EncodedFrame,
    deadline: Instant,
) -> Result<Frame, RequestError> {
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
    let (reply, answer) = cell();
    if let Err((reason, _)) = permit.push(Submission { frame, deadline, reply, bytes }) {
        return Err(closed(reason));
    }
    match answer.await {
        Ok(result) => result,
        Err(_) => {
            Err(RequestError { why: RequestFailure::Closed(CloseReason::Local), sent: crate::error::Sent::Maybe })
        }
    }
}

/// The output of `future`, or `None` when the deadline comes first.
async fn before<F: Future>(shared: &Shared, deadline: Instant, future: F) -> Option<F::Output> {
    let sleep = shared.clock.sleep_until(deadline);
    async { Some(future.await) }
        .or(async {
            sleep.await;
            None
        })
        .await
}

impl Drop for Inner {
    fn drop(&mut self) {
        let call = self.client.inner.shared.call(Command::StopProducer(self.config.group.clone()));
        call.detach();
    }
}

impl core::fmt::Debug for Producer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Producer").field("group", self.group()).finish_non_exhaustive()
    }
}
