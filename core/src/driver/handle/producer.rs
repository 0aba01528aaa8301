//! Producers.

mod attempt;
mod batching;
mod builder;
mod faults;
mod recall;
mod sending;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::sync::atomic::AtomicU32;

pub use builder::ProducerBuilder;
pub use recall::RecallError;

pub(super) use self::attempt::before;
use self::batching::{Admitted, Batching};
use self::faults::Faults;
use self::sending::Sending;
use super::Client;
use super::tracer::{Began, Tracer};
use crate::client::Command;
use crate::client::snapshot::ProducerLoad;
use crate::config::ProducerConfig;
use crate::driver::queue::{Intake, Load, Permit, Submitter, submit_queue};
use crate::driver::shared::{Loaded, Shared};
use crate::error::{RequestError, RequestFailure};
use crate::ids::{Group, MessageQueue, Topic};
use crate::message::Message;
use crate::mutants::mutant;
use crate::namespace::Namespace;
use crate::send::{
    BatchReceipt, Parcel, Receipt, SendContext, SendError, SendHook, SendOp, SendPolicy, StoredBatch, Target,
};
use crate::time::Instant;

/// Sends messages. Clones are the same producer.
///
/// `send` waits for room when as much is under way as may be, in order of the calls.
///
/// Dropping the future of a send stops what has not begun: nothing is sent that was waiting for room, for a route, for a
/// link or for others of its batch. A message whose bytes are on their way, wholly or in part, or whose batch is, may be stored
/// all the same. Its place in [`ProducerBuilder::under_way`] is free at once then, unless it is one of a batch; its place
/// among what its link has under way is taken until it is answered or its time is up.
#[derive(Clone)]
pub struct Producer {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    client: Client,
    pub(super) config: ProducerConfig,
    policy: SendPolicy,
    turn: AtomicU32,
    budget: Budget,
    faults: Option<Faults>,
    batching: Option<Batching>,
    /// What the names of topics are in.
    namespace: Option<Namespace>,
    hooks: Vec<Arc<dyn SendHook>>,
    pub(super) tracer: Option<Tracer>,
}

/// What may be under way at once.
struct Budget {
    slots: Submitter<()>,
    /// It keeps the slots open.
    _intake: Intake<()>,
}

/// A message as hooks see it, and its trace.
pub(super) struct Told {
    pub(super) message: Message,
    queue: Option<MessageQueue>,
    began: Option<Began>,
}

impl Inner {
    pub(super) fn new(
        client: Client,
        config: ProducerConfig,
        namespace: Option<Namespace>,
        hooks: Vec<Arc<dyn SendHook>>,
        tracer: Option<Tracer>,
    ) -> Self {
        let turn = u32::try_from(client.inner.shared.clock.now().as_micros() & 0xffff).unwrap_or(0);
        let most = Load { requests: config.max_under_way, bytes: config.max_bytes_under_way };
        let boundless = Load { requests: usize::MAX, bytes: usize::MAX };
        let (slots, intake) = submit_queue(if mutant!(134) { boundless } else { most });
        Self {
            client,
            policy: SendPolicy::of(&config),
            turn: AtomicU32::new(turn),
            budget: Budget { slots, _intake: intake },
            faults: config.latency_faults.clone().map(Faults::new),
            batching: config.auto_batch.map(|batch| Batching::new(batch, config.max_message_size)),
            namespace,
            hooks,
            tracer,
            config,
        }
    }
}

impl Loaded for Inner {
    fn load(&self, now: Instant) -> (Group, ProducerLoad) {
        let Load { requests, bytes } = self.budget.slots.load();
        let load = ProducerLoad {
            messages: requests,
            messages_limit: self.config.max_under_way,
            bytes,
            bytes_limit: self.config.max_bytes_under_way,
            faults: self.faults.as_ref().map(|faults| faults.table().snapshot(now)).unwrap_or_default(),
        };
        (self.config.group.clone(), load)
    }
}

impl Told {
    /// Of a half message.
    pub(super) fn half(mut self: Box<Self>) -> Box<Self> {
        self.began = self.began.take().map(Began::half);
        self
    }
}

impl Producer {
    /// Sends a message; done when a broker has stored it.
    ///
    /// # Errors
    /// See [`SendError`]: [`SendError::may_be_stored`] tells what is certain.
    pub fn send(&self, message: Message) -> impl Future<Output = Result<Receipt, SendError>> + Send {
        self.send_with(message, Target::Any)
    }

    /// Sends a message to one queue, in a single attempt.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_to(
        &self,
        message: Message,
        queue: MessageQueue,
    ) -> impl Future<Output = Result<Receipt, SendError>> + Send {
        self.send_with(message, Target::Queue(queue))
    }

    /// Sends a message to the queue of a key, in a single attempt. Messages of one key whose sends follow each other are
    /// stored in that order, in one queue as long as the topic's queues do not change: the one that Java's
    /// `SelectMessageQueueByHash` chooses.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send_by(&self, message: Message, key: impl AsRef<str>) -> Result<Receipt, SendError> {
        self.send_with(message, Target::of_key(key.as_ref())).await
    }

    /// Sends a message to where `target` says. Any queue: with retries. A certain one: in a single attempt, but for what
    /// cannot have been sent.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_with(
        &self,
        message: Message,
        target: Target,
    ) -> impl Future<Output = Result<Receipt, SendError>> + Send {
        Sending::New(self, message, target)
    }

    /// Sends a message if there is room for it now: the future does the rest. It has its place from this call on, also while
    /// nobody polls the future.
    ///
    /// # Errors
    /// As much is under way as may be, or somebody waits already: the message comes back.
    pub fn try_send(
        &self,
        message: Message,
    ) -> Result<impl Future<Output = Result<Receipt, SendError>> + Send + use<>, Busy> {
        match self.inner.budget.slots.try_acquire(message.body().len()) {
            Err(_) => Err(Busy(Box::new(message))),
            Ok(permit) => {
                let (producer, deadline) = (self.clone(), self.deadline());
                Ok(async move {
                    let told = producer.announce(&message, &Target::Any)?;
                    let message = producer.placed(message).map_err(|error| producer.failed(told.as_deref(), error))?;
                    let now = producer.shared().clock.now();
                    let admitted = Admitted { message, target: Target::Any, permit };
                    producer.send_admitted(admitted, now, deadline, told).await
                })
            }
        }
    }

    /// Sends a message that no broker answers: done when its bytes are written. It may be lost without anybody knowing.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send_oneway(&self, message: Message) -> Result<(), SendError> {
        self.send_oneway_with(message, Target::Any).await
    }

    /// The same, to where `target` says.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send_oneway_with(&self, message: Message, target: Target) -> Result<(), SendError> {
        let deadline = self.deadline();
        let told = self.announce(&message, &target)?;
        let sent = async {
            let (message, target) = (self.placed(message)?, self.aimed(target));
            let _permit = self.admit(message.body().len(), deadline).await?;
            let op = SendOp::new(self.parcel(&message)?, self.codec(), SendPolicy::once(), deadline).to(target);
            self.drive(Box::new(op.oneway())).await.0.map(drop)
        };
        let result = sent.await;
        self.tell(told.as_deref(), result.as_ref().map(|()| None));
        result
    }

    /// Sends messages of one topic as one: all of them are stored, side by side in one queue, or none. Bodies are not
    /// compressed.
    ///
    /// # Errors
    /// See [`SendError`]; the messages do not go together ([`BatchRule`](crate::message::BatchRule)), or are over the limit
    /// together.
    pub async fn send_batch(&self, messages: Vec<Message>) -> Result<BatchReceipt, SendError> {
        self.send_batch_with(messages, Target::Any).await
    }

    /// The same, to where `target` says.
    ///
    /// # Errors
    /// See [`Producer::send_batch`].
    pub async fn send_batch_with(&self, messages: Vec<Message>, target: Target) -> Result<BatchReceipt, SendError> {
        let deadline = self.deadline();
        let mut told = Vec::with_capacity(messages.len());
        let sent = async {
            for message in &messages {
                told.push(self.announce(message, &target)?);
            }
            let placed = messages.into_iter().map(|message| self.placed(message));
            let messages = placed.collect::<Result<Vec<_>, _>>()?;
            let bytes = messages.iter().map(|message| message.body().len()).fold(0, usize::saturating_add);
            let _permit = self.admit(bytes, deadline).await?;
            self.deliver_batch(&messages, self.aimed(target), deadline).await.map(BatchReceipt::from)
        };
        let result = sent.await;
        for (index, told) in told.iter().enumerate() {
            let result = result.as_ref().map(|receipt| receipt.messages.get(index));
            self.tell(told.as_deref(), result);
        }
        result
    }

    /// The group, as brokers know it.
    #[must_use]
    pub fn group(&self) -> &Group {
        &self.inner.config.group
    }

    /// What is under way, messages and bytes of their bodies.
    #[must_use]
    pub fn load(&self) -> Load {
        self.inner.budget.slots.load()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.inner.client.inner.shared
    }

    fn codec(&self) -> crate::wire::Codec {
        self.shared().config.codec
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline_from(self.shared().clock.now())
    }

    fn deadline_from(&self, now: Instant) -> Instant {
        now.after(self.inner.config.send_timeout)
    }

    fn parcel(&self, message: &Message) -> Result<Parcel, SendError> {
        let shared = self.shared();
        let parcel = Parcel::new(&shared.config, &self.inner.config, message, &shared.keys, shared.clock.wall());
        Ok(parcel?)
    }

    /// The message as brokers are to see it: in the namespace, if there is one.
    pub(super) fn placed(&self, message: Message) -> Result<Message, SendError> {
        match &self.inner.namespace {
            Some(space) => Ok(message.in_namespace(space)?),
            None => Ok(message),
        }
    }

    /// The same of where it is to go.
    pub(super) fn aimed(&self, target: Target) -> Target {
        match (target, &self.inner.namespace) {
            (Target::Queue(queue), Some(space)) => {
                Target::Queue(MessageQueue { topic: space.topic(&queue.topic), ..queue })
            }
            (target @ (Target::Any | Target::Queue(_) | Target::Chosen(_)), _) => target,
        }
    }

    /// A receipt as its sender knows the topic.
    pub(super) fn seen_within(&self, mut receipt: Receipt) -> Receipt {
        if let Some(space) = &self.inner.namespace {
            receipt.queue.topic = space.topic_within(&receipt.queue.topic);
        }
        receipt
    }

    pub(super) fn outer_topic(&self, topic: Topic) -> Topic {
        self.inner.client.outer_topic(topic)
    }

    /// Waits for room among what is under way.
    pub(super) async fn admit(&self, bytes: usize, deadline: Instant) -> Result<Permit<()>, SendError> {
        let slots = &self.inner.budget.slots;
        if let Ok(permit) = slots.try_acquire(bytes) {
            return Ok(permit);
        }
        let busy = || SendError::Request(RequestError::never(RequestFailure::Busy));
        match before(self.shared(), deadline, slots.acquire(bytes)).await {
            Some(Ok(permit)) => Ok(permit),
            Some(Err(_)) => Err(SendError::Closed),
            None => Err(busy()),
        }
    }

    /// What it sends is made at once: its future does without the message.
    fn deliver<'a>(
        &'a self,
        message: &Message,
        target: Target,
        deadline: Instant,
    ) -> impl Future<Output = Result<Receipt, SendError>> + use<'a> {
        let sent = self.parcel(message).map(|parcel| self.deliver_parcel(parcel, target, deadline));
        async move { Ok(self.seen_within(sent?.await?)) }
    }

    /// The receipt is as brokers know the topic.
    pub(super) fn deliver_parcel(
        &self,
        parcel: Parcel,
        target: Target,
        deadline: Instant,
    ) -> impl Future<Output = Result<Receipt, SendError>> {
        let op = self.op(parcel, target, deadline);
        // Only a send without answer has no receipt.
        async move { self.drive(op).await.0?.ok_or(SendError::Closed) }
    }

    async fn deliver_batch(
        &self,
        messages: &[Message],
        target: Target,
        deadline: Instant,
    ) -> Result<StoredBatch, SendError> {
        let shared = self.shared();
        let config = &self.inner.config;
        let parcel = Parcel::batch(&shared.config, config, messages, &shared.keys, shared.clock.wall())?;
        let (result, ids) = self.drive(self.op(parcel, target, deadline)).await;
        let whole = result?.ok_or(SendError::Closed)?;
        Ok(StoredBatch::new(self.seen_within(whole), ids))
    }

    /// On the heap, where it need not be moved.
    fn op(&self, parcel: Parcel, target: Target, deadline: Instant) -> Box<SendOp> {
        let policy = self.policy(&target);
        Box::new(SendOp::new(parcel, self.codec(), policy, deadline).to(target))
    }

    fn policy(&self, target: &Target) -> SendPolicy {
        match target {
            Target::Any => self.inner.policy.clone(),
            Target::Queue(_) | Target::Chosen(_) if mutant!(136) => self.inner.policy.clone(),
            Target::Queue(_) | Target::Chosen(_) => SendPolicy::once(),
        }
    }

    /// Checks a message and asks the hooks.
    pub(super) fn announce(&self, message: &Message, target: &Target) -> Result<Option<Box<Told>>, SendError> {
        message.check(self.inner.config.max_message_size)?;
        let began = self.inner.tracer.as_ref().and_then(|tracer| tracer.begin(message.topic()));
        if self.inner.hooks.is_empty() && began.is_none() {
            return Ok(None);
        }
        let queue = match target {
            Target::Queue(queue) => Some(queue.clone()),
            Target::Any | Target::Chosen(_) => None,
        };
        let told = Box::new(Told { message: message.clone(), queue, began });
        let context = self.context(&told);
        self.inner.hooks.iter().try_for_each(|hook| hook.before(&context)).map_err(SendError::Refused)?;
        Ok(Some(told))
    }

    /// Tells the hooks how a send ended, and traces it.
    pub(super) fn tell(&self, told: Option<&Told>, result: Result<Option<&Receipt>, &SendError>) {
        if let Some(told) = told {
            if let (Some(tracer), Some(began), Ok(Some(receipt))) = (&self.inner.tracer, &told.began, result) {
                tracer.stored(began, &told.message, receipt);
            }
            let context = self.context(told);
            self.inner.hooks.iter().for_each(|hook| hook.after(&context, result));
        }
    }

    /// The same of a send that nothing comes of.
    pub(super) fn failed(&self, told: Option<&Told>, error: SendError) -> SendError {
        self.tell(told, Err(&error));
        error
    }

    fn context<'a>(&'a self, told: &'a Told) -> SendContext<'a> {
        SendContext { group: &self.inner.config.group, message: &told.message, queue: told.queue.as_ref() }
    }
}

/// A message that there is no room for now.
#[derive(Debug, thiserror::Error)]
#[error("as much is under way as may be")]
pub struct Busy(Box<Message>);

impl Busy {
    /// The message.
    #[must_use]
    pub fn into_message(self) -> Message {
        *self.0
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let call = self.client.inner.shared.call(Command::StopProducer(self.config.group.clone()));
        call.detach();
        if let Some(tracer) = self.tracer.take() {
            tracer.close_soon();
        }
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("group", self.group()).finish_non_exhaustive()
    }
}
