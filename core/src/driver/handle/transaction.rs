//! Producers of transactions.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::time::Duration;

use bytes::Bytes;

use super::delivery::ReceivedMessage;
use super::producer::Told;
use super::{Producer, ProducerBuilder};
use crate::client::{Command, CommandResult};
use crate::config::ConfigError;
use crate::driver::shared::Shared;
use crate::driver::transactions::{Answerer, Checker};
use crate::error::RequestFailure;
use crate::ids::{BrokerName, Endpoint, Group, Topic};
use crate::message::Message;
use crate::send::{Parcel, Receipt, SendError, StoreStatus, Target};
use crate::time::Instant;
use crate::trace::EndTransaction;
use crate::transaction::{HalfPlace, Resolution};
use crate::wire::request::Request;

/// Sends messages that become visible only if something else succeeds: a row in a database, say. Clones are the same
/// producer.
///
/// [`TransactionProducer::begin`] stores the message where no consumer sees it; [`HalfMessage::commit`] or
/// [`HalfMessage::rollback`] end that. When neither is said, or the word is lost, the broker asks some live producer of
/// the group, perhaps in another process, perhaps after a restart of this one: its checker answers. So the checker must
/// look up what all of them can see.
#[derive(Clone)]
pub struct TransactionProducer {
    inner: Arc<Inner>,
}

struct Inner {
    producer: Producer,
    /// The number of its checker.
    checker: u64,
}

/// Configures a [`TransactionProducer`].
#[derive(Clone)]
#[must_use]
pub struct TransactionProducerBuilder {
    producer: ProducerBuilder,
    checker: Option<Checker>,
    topics: Vec<Topic>,
}

impl TransactionProducerBuilder {
    pub(super) fn new(producer: ProducerBuilder) -> Self {
        Self { producer, checker: None, topics: Vec::new() }
    }

    /// Who answers when brokers ask what became of a half message: it is called in a task of its own, up to 16 at once.
    /// When it panics, the answer is [`Resolution::Unknown`].
    ///
    /// Of a message that is in hand here as a [`HalfMessage`] it is not asked.
    pub fn checker<F, Fut>(mut self, checker: F) -> Self
    where
        F: Fn(ReceivedMessage) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Resolution> + Send + 'static,
    {
        self.checker = Some(Arc::new(move |message| Box::pin(checker(message))));
        self
    }

    /// A topic whose brokers are to know of this producer from the start. Else, where topics are not created by sending to
    /// them, they ask it only once it has sent something to them.
    pub fn topic(mut self, topic: impl Into<Topic>) -> Self {
        self.topics.push(self.producer.outer_topic(topic.into()));
        self
    }

    /// Sets what there is to set of every producer.
    pub fn configure(mut self, change: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> Self {
        self.producer = change(self.producer);
        self
    }

    /// Starts the producer.
    ///
    /// # Errors
    /// The configuration breaks a rule, or there is no checker.
    pub async fn start(self) -> Result<TransactionProducer, ConfigError> {
        let checker = self.checker.ok_or(ConfigError::NoChecker)?;
        let producer = self.producer.start().await?;
        let (shared, group) = (producer.shared().clone(), producer.group().clone());
        let tracer = producer.inner.tracer.clone();
        let checker = shared.transactions.add(group.clone(), Answerer { checker, tracer });
        let started = shared.call(Command::StartChecker { group, topics: self.topics });
        // It exists before the wait: dropped while it waits, it takes the checker back.
        let producer = TransactionProducer { inner: Arc::new(Inner { producer, checker }) };
        started.await;
        Ok(producer)
    }
}

impl TransactionProducer {
    /// Stores a message where no consumer sees it.
    ///
    /// With another status than [`StoreStatus::Stored`] the broker may lose it: better roll it back, as
    /// [`TransactionProducer::send_in_transaction`] does. A delay of the message is left out.
    ///
    /// # Errors
    /// See [`SendError`]. If it may be stored all the same, the checker is asked for it.
    pub async fn begin(&self, message: Message) -> Result<HalfMessage, SendError> {
        let producer = &self.inner.producer;
        let (shared, deadline) = (producer.shared(), producer.deadline());
        let config = &producer.inner.config;
        let told = producer.announce(&message, &Target::Any)?.map(Told::half);
        let sent = async {
            let message = producer.placed(message)?;
            let _permit = producer.admit(message.body().len(), deadline).await?;
            let parcel = Parcel::half(&shared.config, config, &message, &shared.keys, shared.clock.wall())?;
            producer.deliver_parcel(parcel, Target::Any, deadline).await
        };
        let result = sent.await.map(|receipt| {
            if let Some(place) = HalfPlace::of(&receipt) {
                shared.transactions.take_in_hand(place);
            }
            producer.seen_within(receipt)
        });
        producer.tell(told.as_deref(), result.as_ref().map(Some));
        let receipt = result?;
        let traced = producer.inner.tracer.as_ref().and_then(|tracer| tracer.end_of(&told?.message, &receipt));
        Ok(HalfMessage { inner: self.inner.clone(), receipt, traced })
    }

    /// Stores a message where no consumer sees it, then does `local` and says what came of that. When the broker stored it
    /// without the durability asked for, `local` is not done and the message is rolled back.
    ///
    /// # Errors
    /// See [`TransactionProducer::begin`]: `local` was not done.
    pub async fn send_in_transaction<F, Fut>(&self, message: Message, local: F) -> Result<TransactionReceipt, SendError>
    where
        F: FnOnce(Receipt) -> Fut,
        Fut: Future<Output = Resolution>,
    {
        let half = self.begin(message).await?;
        let receipt = half.receipt.clone();
        let resolution = match receipt.status() {
            StoreStatus::Stored => local(receipt.clone()).await,
            StoreStatus::FlushDiskTimeout | StoreStatus::FlushSlaveTimeout | StoreStatus::SlaveNotAvailable => {
                Resolution::Rollback
            }
        };
        let told = half.end(resolution).await;
        Ok(TransactionReceipt { receipt, resolution, told })
    }

    /// The producer of the same group, for other messages.
    #[must_use]
    pub fn producer(&self) -> &Producer {
        &self.inner.producer
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> &Group {
        self.inner.producer.group()
    }
}

/// A message that no consumer sees yet.
///
/// Dropped, nothing is said of it: the broker asks the checker of the group in a while, 6 s at least and 36 s at most
/// unless it is set otherwise.
#[must_use = "a half message that is dropped stays undecided until the broker asks"]
pub struct HalfMessage {
    inner: Arc<Inner>,
    receipt: Receipt,
    /// The record of its end.
    traced: Option<Box<EndTransaction>>,
}

impl HalfMessage {
    /// Consumers are to get it.
    ///
    /// # Errors
    /// See [`EndError`].
    pub async fn commit(self) -> Result<(), EndError> {
        self.end(Resolution::Commit).await
    }

    /// Nobody is ever to get it.
    ///
    /// # Errors
    /// See [`EndError`].
    pub async fn rollback(self) -> Result<(), EndError> {
        self.end(Resolution::Rollback).await
    }

    /// That is not known yet: the broker asks the checker in a while, as it does when this is dropped.
    ///
    /// # Errors
    /// See [`EndError`].
    pub async fn unknown(self) -> Result<(), EndError> {
        self.end(Resolution::Unknown).await
    }

    /// Where it is stored: a queue and an offset of the broker's own.
    #[must_use]
    pub const fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    async fn end(self, resolution: Resolution) -> Result<(), EndError> {
        let producer = &self.inner.producer;
        let (shared, deadline, group) = (producer.shared(), producer.deadline(), producer.group());
        loop {
            let why = match self.link().await? {
                Err(why) => why,
                Ok(to) => {
                    // Only now: until here a check may have told another place.
                    let place = shared.transactions.let_go(&self.receipt.msg_id).ok_or(EndError::NoPlace)?;
                    let end = place.end(group, resolution, false);
                    let frame = end.encode_oneway(shared.config.codec, Bytes::new());
                    let oneway = Command::Oneway { to: to.clone(), frame };
                    let CommandResult::Sent(result) = shared.call(oneway).await else {
                        return Err(EndError::Closed);
                    };
                    let Err(why) = result else {
                        if let (Some(tracer), Some(end)) = (&producer.inner.tracer, &self.traced) {
                            tracer.ended(end, &to, resolution, false);
                        }
                        return Ok(());
                    };
                    shared.transactions.take_in_hand(place);
                    EndError::Link(why)
                }
            };
            if shared.clock.now() >= deadline {
                return Err(why);
            }
            pause(shared, deadline).await;
        }
    }

    /// The address of the broker that has the message, with a link to it; or why there is none now.
    async fn link(&self) -> Result<Result<Endpoint, EndError>, EndError> {
        let (shared, queue) = (self.inner.producer.shared(), &self.receipt.queue);
        let Some(to) = shared.view().routes.master(&queue.broker).cloned() else {
            let topic = self.inner.producer.outer_topic(queue.topic.clone());
            let wanted = Command::WantRoute { topic, fresh: true };
            let CommandResult::Route(_) = shared.call(wanted).await else { return Err(EndError::Closed) };
            return Ok(Err(EndError::Unreachable(queue.broker.clone())));
        };
        let CommandResult::Link(result) = shared.call(Command::WantLink(to.clone())).await else {
            return Err(EndError::Closed);
        };
        Ok(result.map(|()| to).map_err(EndError::Link))
    }
}

impl Drop for HalfMessage {
    fn drop(&mut self) {
        self.inner.producer.shared().transactions.let_go(&self.receipt.msg_id);
    }
}

impl core::fmt::Debug for HalfMessage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("HalfMessage").field("receipt", &self.receipt).finish_non_exhaustive()
    }
}

/// What came of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionReceipt {
    /// Where the half message was stored: a queue and an offset of the broker's own.
    pub receipt: Receipt,
    /// What is to become of it.
    pub resolution: Resolution,
    /// Whether the broker was told that; else it asks.
    pub told: Result<(), EndError>,
}

/// A word on a half message that did not get on its way: the broker asks the checker. With `Ok` it may be lost as well,
/// as nothing answers it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndError {
    /// No address is known of the master that has the message.
    #[error("broker {0} has no master now")]
    Unreachable(BrokerName),
    /// There is no link to it.
    #[error("{0}")]
    Link(RequestFailure),
    /// The broker did not say where the message is.
    #[error("the broker did not say where the message is")]
    NoPlace,
    /// The client is closed.
    #[error("closed")]
    Closed,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let (shared, group) = (self.producer.shared(), self.producer.group().clone());
        shared.transactions.remove(&group, self.checker);
        shared.call(Command::StopChecker(group)).detach();
    }
}

impl core::fmt::Debug for TransactionProducer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TransactionProducer").field("group", self.group()).finish_non_exhaustive()
    }
}

async fn pause(shared: &Shared, deadline: Instant) {
    let until = shared.clock.now().after(RETRY_PAUSE);
    shared.clock.sleep_until(until.min(deadline)).await;
}

/// Before a link that could not be opened is asked for again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
