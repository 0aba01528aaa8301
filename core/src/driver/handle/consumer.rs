//! Push consumers.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::panic::AssertUnwindSafe;

use futures_lite::{FutureExt, Stream};

use super::hook::{ConsumeHook, Hooks};
use super::tracer::{ConsumeTrace, Side, Tracer};
use super::{Client, Delivery, DeliveryBatch};
use crate::client::{Command, CommandResult, ConsumerStats, Drained, StartError, SubscribeError};
use crate::config::{ConsumeMode, ConsumerConfig, Filter, ReadFrom, StartFrom, Strategy, TimeoutPolicy, TraceConfig};
use crate::dispatch::PoisonPolicy;
use crate::driver::intake::{Intake, Turn};
use crate::driver::span::Handed;
use crate::driver::workers::Workers;
use crate::ids::{Group, MessageQueue, OpId, QueueOffset, Topic};
use crate::mutants::mutant;
use crate::wire::body::MessageModel;

/// Receives the messages of a group's share of queues. Clones are the same consumer: each message goes to one of
/// them. Also a [`Stream`] of [`Delivery`].
///
/// Dropping the last clone stops the consumer within a second.
pub struct PushConsumer {
    inner: Arc<Inner>,
    turn: Turn,
}

struct Inner {
    client: Client,
    group: Group,
    /// The operation that started it: the group's next consumer is not ours to stop.
    start: OpId,
    intake: Arc<Intake>,
    hooks: Arc<Hooks>,
}

/// Configures a [`PushConsumer`].
#[derive(Clone)]
pub struct PushConsumerBuilder {
    client: Client,
    config: ConsumerConfig,
    hooks: Vec<Arc<dyn ConsumeHook>>,
}

impl PushConsumerBuilder {
    pub(super) fn new(client: Client, group: Group) -> Self {
        let trace = client.inner.shared.config.trace.clone();
        Self { client, config: ConsumerConfig { trace, ..ConsumerConfig::new(group) }, hooks: Vec::new() }
    }

    /// Subscribes to a topic, of which it wants all (`*`), some tags (`a || b`), or what [`Filter::sql`] selects.
    #[must_use]
    pub fn subscribe(mut self, topic: impl Into<Topic>, filter: impl Into<Filter>) -> Self {
        let topic = self.client.outer_topic(topic.into());
        self.config.subscriptions.retain(|(known, _)| *known != topic);
        self.config.subscriptions.push((topic, filter.into()));
        self
    }

    /// Says with each pull which messages are wanted, so that it does not matter which member of the group the broker
    /// has heard from last. Default: no.
    #[must_use]
    pub const fn filter_in_pulls(mut self, in_pulls: bool) -> Self {
        self.config.filter_in_pulls = in_pulls;
        self
    }

    /// Each member gets all messages, instead of sharing them with the others.
    ///
    /// There is no retry topic then: a message that fails is dropped, with an event. Offsets are kept in a file, from
    /// which the member goes on after a restart: see [`ClientBuilder::offset_dir`](super::ClientBuilder::offset_dir).
    #[must_use]
    pub const fn broadcasting(mut self) -> Self {
        self.config.model = MessageModel::Broadcasting;
        self
    }

    /// The file in which a broadcasting member keeps its offsets, with `.bak` beside it; nobody else may use it.
    /// Default: `GROUP/offsets.json` in the client's folder.
    #[must_use]
    pub fn offset_file(mut self, path: impl Into<String>) -> Self {
        self.config.offset_file = Some(path.into());
        self
    }

    /// Where a group without stored offset starts. Default: at the end of each queue.
    #[must_use]
    pub const fn start_from(mut self, start: StartFrom) -> Self {
        self.config.start_from = start;
        self
    }

    /// Where this queue is consumed from first, whatever is stored and whatever `start_from` says. It goes on from there:
    /// when the queue is assigned once more, its stored offset counts.
    #[must_use]
    pub fn start_at(mut self, queue: MessageQueue, offset: QueueOffset) -> Self {
        let topic = self.client.outer_topic(queue.topic);
        self.config.start_at.insert(MessageQueue { topic, ..queue }, offset);
        self
    }

    /// Which replica of its broker a queue is read from. Default: the one that the broker suggests.
    #[must_use]
    pub const fn read_from(mut self, replica: ReadFrom) -> Self {
        self.config.read_from = replica;
        self
    }

    /// How queues are shared out. Every member of the group must use the same: nobody checks. Default: averagely.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.config.strategy = strategy;
        self
    }

    /// Consumes each queue in order: its messages one after the other, by one member of the group at a time, under a
    /// lock at the broker. [`PushConsumer::run`] then works on so many queues at once. A message that fails holds its
    /// queue up: after [`PushConsumerBuilder::suspend`] it comes again, without end unless
    /// [`PushConsumerBuilder::max_reconsume`] sets one.
    ///
    /// A handler may run for as long as it likes while its queue is ours, and when the queue moves to another member,
    /// that one waits for it.
    #[must_use]
    pub const fn orderly(mut self) -> Self {
        self.config.mode = ConsumeMode::Orderly;
        self
    }

    /// Orderly: how long a queue waits before a message that failed comes again, 10 ms to 30 s. Default: 1 s.
    #[must_use]
    pub const fn suspend(mut self, pause: Duration) -> Self {
        self.config.suspend = pause;
        self
    }

    /// Orderly: whether [`Delivery::ack`] lets the offset pass the message, or leaves that to a later
    /// [`Delivery::commit`] of its queue. At most [`PushConsumerBuilder::queue_messages`] of a queue can wait for it.
    /// Default: yes.
    #[must_use]
    pub const fn auto_commit(mut self, auto: bool) -> Self {
        self.config.auto_commit = auto;
        self
    }

    /// Lets brokers share out the queues, and tell this group to pop: see [`PushConsumerBuilder::pop_invisible`] and
    /// [`Admin::set_request_mode`](super::Admin::set_request_mode). Then a broker gives the messages of all its queues to
    /// whichever member asks, and hides them from the others for a while. A group that is told to pull, or whose broker
    /// knows nothing of popping, pulls.
    ///
    /// Every member of the group must do so, with the same strategy: averagely, or by circle. `start_from` a time means
    /// from the end.
    #[must_use]
    pub fn pop(mut self) -> Self {
        self.config.pop.get_or_insert_default();
        self
    }

    /// The same, and how long popped messages are hidden, 5 s to 300 s. This is renewed while a handler runs; it is how
    /// long what a dead process had waits for another one. Default: 60 s.
    #[must_use]
    pub fn pop_invisible(mut self, time: Duration) -> Self {
        self.config.pop.get_or_insert_default().invisible = time;
        self
    }

    /// The same, and the messages asked for in one pop, 32 at most. Default: 32.
    #[must_use]
    pub fn pop_batch(mut self, messages: u32) -> Self {
        self.config.pop.get_or_insert_default().batch = messages;
        self
    }

    /// The same, and the messages of a queue that are not acknowledged, above which it is not popped. Default: 96.
    #[must_use]
    pub fn pop_threshold(mut self, messages: u32) -> Self {
        self.config.pop.get_or_insert_default().threshold = messages;
        self
    }

    /// Redeliveries of a message before it goes to the dead-letter queue. Default: 16, orderly without end.
    #[must_use]
    pub const fn max_reconsume(mut self, times: u32) -> Self {
        self.config.max_reconsume = Some(times);
        self
    }

    /// How long a handler may take, 1 s to 30 days, before [`ClientEvent::ConsumeTimeout`](crate::client::ClientEvent)
    /// tells of it, a quarter of that time later at most. Default: 15 minutes.
    #[must_use]
    pub const fn consume_timeout(mut self, timeout: Duration) -> Self {
        self.config.consume_timeout = timeout;
        self
    }

    /// What to do then with the message, beyond that. Default: nothing, the handler may go on.
    #[must_use]
    pub const fn on_consume_timeout(mut self, policy: TimeoutPolicy) -> Self {
        self.config.on_consume_timeout = policy;
        self
    }

    /// What to do with records that cannot be decoded. Default: hand them back to the broker.
    #[must_use]
    pub const fn on_poison(mut self, policy: PoisonPolicy) -> Self {
        self.config.on_poison = policy;
        self
    }

    /// Unsettled messages of a queue above which it is not pulled. Default: 1,000.
    #[must_use]
    pub const fn queue_messages(mut self, messages: u32) -> Self {
        self.config.queue_messages = messages;
        self
    }

    /// Pinned MiB of a queue above which it is not pulled. Default: 100.
    #[must_use]
    pub const fn queue_mib(mut self, mib: u32) -> Self {
        self.config.queue_mib = mib;
        self
    }

    /// Unsettled messages of all queues of a topic that are ours: each queue has an equal share, of one message at least, in
    /// place of [`PushConsumerBuilder::queue_messages`]. Shares change with the number of queues. Default: no such bound.
    #[must_use]
    pub const fn topic_messages(mut self, messages: u32) -> Self {
        self.config.topic_messages = Some(messages);
        self
    }

    /// The same of the MiB that they pin, in place of [`PushConsumerBuilder::queue_mib`]: shares of one MiB at least.
    /// Default: no such bound.
    #[must_use]
    pub const fn topic_mib(mut self, mib: u32) -> Self {
        self.config.topic_mib = Some(mib);
        self
    }

    /// Offsets from the first unsettled message of a queue to its next pull, above which it is not pulled, 1 to 65,535: a
    /// message that takes long lets so many others pass. Not of orderly groups. Java `consumeConcurrentlyMaxSpan`. Default:
    /// 2,000.
    #[must_use]
    pub const fn queue_span(mut self, offsets: u32) -> Self {
        self.config.queue_span = offsets;
        self
    }

    /// Messages asked for in one pull. Default: 32.
    #[must_use]
    pub const fn pull_batch(mut self, messages: u32) -> Self {
        self.config.pull_batch = messages;
        self
    }

    /// Bytes asked for in one pull, of brokers from 5.0 on; a larger message comes alone. Default: 256 KiB.
    #[must_use]
    pub const fn pull_batch_bytes(mut self, bytes: u32) -> Self {
        self.config.pull_batch_bytes = bytes;
        self
    }

    /// Pause between two pulls of a queue that had messages. Default: none.
    #[must_use]
    pub const fn pull_interval(mut self, pause: Duration) -> Self {
        self.config.pull_interval = pause;
        self
    }

    /// Tells this hook of each message; hooks are asked in the order in which they are added.
    #[must_use]
    pub fn hook(mut self, hook: impl ConsumeHook + 'static) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// Notes in a trace topic when each message is handed out and how it is settled, as Java's clients do and
    /// `mqadmin queryMsgTraceById` shows. Brokers and producers can refuse that, message by message.
    ///
    /// Records are sent beside the work, a few at a time. 2,048 may wait, more are lost, which
    /// [`ClientEvent::TraceLost`](crate::client::ClientEvent::TraceLost) tells. The last ones are sent when the consumer has
    /// stopped, within the time that its shutdown has, and for 5 s at most. Default: what
    /// [`ClientBuilder::trace`](super::ClientBuilder::trace) says; `None` switches it off.
    #[must_use]
    pub fn trace(mut self, trace: impl Into<Option<TraceConfig>>) -> Self {
        self.config.trace = trace.into();
        self
    }

    /// Starts the consumer; done when a broker knows the group.
    ///
    /// # Errors
    /// The configuration breaks a rule, this client has a consumer of the group, a broker cannot filter as is wanted, or
    /// no broker can be reached.
    pub async fn start(self) -> Result<PushConsumer, StartError> {
        let group = self.config.group.clone();
        let shared = self.client.inner.shared.clone();
        let config = Arc::new(self.config);
        let call = shared.call(Command::StartConsumer(config.clone()));
        let Some(start) = call.op() else {
            return Err(StartError::Closed);
        };
        let CommandResult::Started(result) = call.await else {
            return Err(StartError::Closed);
        };
        result?;
        let intake = shared.intake(&group).ok_or(StartError::Closed)?;
        let turn = Turn::new(intake.clone());
        let start_tracer = |trace| Tracer::start(&self.client, Side::Consume, &group, trace);
        let tracer = config.trace.clone().map(start_tracer);
        let trace = tracer.map(|tracer| ConsumeTrace::new(tracer, config.consume_timeout));
        let hooks = Hooks::new(group.clone(), self.client.namespace().cloned(), self.hooks, trace);
        Ok(PushConsumer { inner: Arc::new(Inner { client: self.client, group, start, intake, hooks }), turn })
    }
}

impl PushConsumer {
    /// The next message; `None` when the consumer is stopped.
    ///
    /// Nothing is taken before it is ready: the future can be dropped at any point without losing a message.
    pub async fn next(&self) -> Option<Delivery> {
        let mut turn = Turn::new(self.inner.intake.clone());
        poll_fn(|cx| poll_delivery(&mut turn, &self.inner.hooks, cx)).await
    }

    /// The next messages of one queue, in order: as many as there are now, `most` of them at most, which is 1 to 1,024;
    /// `None` when the consumer is stopped. It waits for none but the first of them.
    ///
    /// Nothing is taken before it is ready: the future can be dropped at any point without losing a message.
    pub async fn next_batch(&self, most: usize) -> Option<DeliveryBatch> {
        let mut turn = Turn::new(self.inner.intake.clone());
        let most = most.clamp(1, MOST_IN_BATCH);
        poll_fn(|cx| poll_batch(&mut turn, &self.inner.hooks, most, cx)).await
    }

    /// Calls `handler` for each message, with up to `at_once` running at the same time in this task, until the
    /// consumer is stopped: orderly, each for another queue. A handler that panics has failed its message.
    pub async fn run<F, Fut>(&self, at_once: usize, handler: F)
    where
        F: Fn(Delivery) -> Fut + Send,
        Fut: Future<Output = ()> + Send,
    {
        work(at_once, || self.next(), handler).await;
    }

    /// The same with up to `most` messages of one queue, 1 to 1,024, for each call: see [`PushConsumer::next_batch`].
    pub async fn run_batches<F, Fut>(&self, at_once: usize, most: usize, handler: F)
    where
        F: Fn(DeliveryBatch) -> Fut + Send,
        Fut: Future<Output = ()> + Send,
    {
        work(at_once, || self.next_batch(most), handler).await;
    }

    /// Pulls nothing more until [`PushConsumer::resume`]. What a broker was asked for before may still come, and what is in
    /// hand is handed out as ever; the group keeps its queues and their locks, and offsets are committed.
    pub async fn suspend(&self) {
        self.set_suspended(true).await;
    }

    /// Pulls again after [`PushConsumer::suspend`], at once.
    pub async fn resume(&self) {
        self.set_suspended(false).await;
    }

    async fn set_suspended(&self, suspend: bool) {
        let (group, start) = (self.inner.group.clone(), self.inner.start);
        self.inner.client.inner.shared.call(Command::Suspend { group, start, suspend }).await;
    }

    /// Subscribes to another topic while the group runs, or changes what is wanted of one; brokers are told at once.
    ///
    /// A changed filter counts from the next pull of each queue on: what was pulled before, and is not handed out yet,
    /// was selected by the one before. Messages that were passed over do not come back. All members of the group must
    /// make the same change.
    ///
    /// # Errors
    /// The filter breaks a rule, a broker cannot filter so, none says whether it can, or the consumer is stopped.
    pub async fn subscribe(&self, topic: impl Into<Topic>, filter: impl Into<Filter>) -> Result<(), SubscribeError> {
        let (group, start) = (self.inner.group.clone(), self.inner.start);
        let topic = self.inner.client.outer_topic(topic.into());
        self.change(Command::Subscribe { group, start, topic, filter: filter.into() }).await
    }

    /// Gives a topic up while the group runs: of its queues nothing is handed out any more once this has returned, and
    /// how far they are settled is committed. What was handed out before and is settled later counts for nothing. Its
    /// messages that failed before still come again, by the retry topic.
    ///
    /// # Errors
    /// The topic is the group's own retry topic, or the consumer is stopped.
    pub async fn unsubscribe(&self, topic: impl Into<Topic>) -> Result<(), SubscribeError> {
        let (group, start) = (self.inner.group.clone(), self.inner.start);
        let topic = self.inner.client.outer_topic(topic.into());
        self.change(Command::Unsubscribe { group, start, topic }).await
    }

    /// Stops: every `next` gives `None` at once, messages handed out may still be settled for up to 30 s, offsets are
    /// committed, the group is left. Called again meanwhile, it waits for the same end.
    pub async fn shutdown(&self) -> Drained {
        self.shutdown_within(SHUTDOWN_TIMEOUT).await
    }

    /// The same, within this time.
    pub async fn shutdown_within(&self, timeout: Duration) -> Drained {
        let now = self.inner.client.inner.shared.clock.now();
        let tracer = self.inner.hooks.tracer();
        let flush = tracer.map_or(Duration::ZERO, |_| timeout.checked_div(FLUSH_SHARE).unwrap_or_default());
        let result = self.inner.stop(timeout.saturating_sub(flush)).await;
        if let Some(tracer) = tracer {
            tracer.close(now.after(timeout)).await;
        }
        let CommandResult::Stopped(drained) = result else {
            return Drained::default();
        };
        drained
    }

    /// What it consumes and how fast, by topic over the last minute, and how far each of its queues is. Nothing once it
    /// is stopped.
    pub async fn stats(&self) -> ConsumerStats {
        let shared = &self.inner.client.inner.shared;
        let CommandResult::Stats(stats) = shared.call(Command::Stats(self.inner.group.clone())).await else {
            return ConsumerStats::default();
        };
        stats
    }

    /// The group, as brokers know it.
    #[must_use]
    pub fn group(&self) -> &Group {
        &self.inner.group
    }

    async fn change(&self, command: Command) -> Result<(), SubscribeError> {
        let CommandResult::Subscribed(result) = self.inner.client.inner.shared.call(command).await else {
            return Err(SubscribeError::Closed);
        };
        result
    }
}

impl Inner {
    fn stop(&self, timeout: Duration) -> crate::driver::shared::Call {
        let shared = &self.client.inner.shared;
        self.intake.close();
        let deadline = shared.clock.now().after(timeout);
        shared.call(Command::StopConsumer { group: self.group.clone(), start: self.start, deadline })
    }
}

impl Clone for PushConsumer {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), turn: Turn::new(self.inner.intake.clone()) }
    }
}

/// For loops that wait for nothing else. A stream keeps its turn among those who wait also while nobody polls it: what waits for
/// other things too had better wait for [`PushConsumer::next`], which passes its turn on when it is dropped.
impl Stream for PushConsumer {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let this = &mut *self;
        poll_delivery(&mut this.turn, &this.inner.hooks, cx)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let stop = self.stop(DROP_TIMEOUT);
        match self.hooks.tracer().cloned() {
            None => stop.detach(),
            Some(tracer) => self.client.inner.shared.spawn(async move {
                stop.await;
                tracer.close_soon();
            }),
        }
    }
}

impl core::fmt::Debug for PushConsumerBuilder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PushConsumerBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl core::fmt::Debug for PushConsumer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PushConsumer").field("group", &self.inner.group).finish_non_exhaustive()
    }
}

/// Takes until a message can be opened and is wanted: an unreadable body is dealt with by the poison policy.
fn poll_delivery(turn: &mut Turn, hooks: &Arc<Hooks>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
    loop {
        let Some(taken) = core::task::ready!(turn.poll(cx)) else {
            return Poll::Ready(None);
        };
        if let Some(delivery) = Delivery::open(taken, turn.intake(), hooks) {
            return Poll::Ready(Some(delivery));
        }
    }
}

/// The same with several messages of one queue.
fn poll_batch(turn: &mut Turn, hooks: &Arc<Hooks>, most: usize, cx: &mut Context<'_>) -> Poll<Option<DeliveryBatch>> {
    loop {
        let Some(many) = core::task::ready!(turn.poll_many(most, cx)) else {
            return Poll::Ready(None);
        };
        if let Some(batch) = DeliveryBatch::open(many, turn.intake(), hooks) {
            return Poll::Ready(Some(batch));
        }
    }
}

/// So many workers in this task, each of which handles what comes, one after the other, until there is nothing more.
async fn work<D, N, Next, F, Fut>(at_once: usize, next: N, handler: F)
where
    N: Fn() -> Next + Send,
    Next: Future<Output = Option<D>> + Send,
    D: Handed,
    F: Fn(D) -> Fut + Send,
    Fut: Future<Output = ()> + Send,
{
    let (next, handler) = (&next, &handler);
    let worker = || async move {
        while let Some(delivery) = next().await {
            // A panic drops what was handed out unsettled: that failed.
            let result = AssertUnwindSafe(async {
                let span = delivery.span();
                span.within(span.in_scope(|| handler(delivery))).await;
            })
            .catch_unwind()
            .await;
            if result.is_err() && mutant!(35) {
                break;
            }
        }
    };
    Workers::new((0..at_once.max(1)).map(|_| worker())).await;
}

/// Messages of one batch. Source: Java `DefaultMQPushConsumerImpl.checkConfig`, `consumeMessageBatchMaxSize`.
const MOST_IN_BATCH: usize = 1_024;
/// How long shutdown takes at most.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);
/// Of that time, this share is kept for trace records.
const FLUSH_SHARE: u32 = 10;
/// How long shutdown takes when the last handle was dropped.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);
