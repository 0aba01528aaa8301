//! One message in the hands of its consumer.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;

use super::hook::{ConsumeOutcome, Hooks};
use super::tracer::Handed as Traced;
use crate::dispatch::{Content, Outcome, PoisonCause, Settled, Taken};
use crate::driver::intake::Intake;
use crate::driver::span::{Handed, Span};
use crate::ids::{MessageQueue, QueueOffset, Topic};
use crate::message::Message;
use crate::namespace::Namespace;
use crate::request::NoRequest;
use crate::time::UnixMillis;
use crate::wire::message::Record;
use crate::wire::message::properties::{self, name};

/// A message handed out, to be settled: dropped, it counts as failed.
#[must_use = "a delivery that is dropped counts as failed and comes again"]
pub struct Delivery {
    message: ReceivedMessage,
    intake: Arc<Intake>,
    hooks: Arc<Hooks>,
    traced: Option<Box<Traced>>,
    settled: bool,
}

impl Delivery {
    /// Opens a message; one whose body cannot be read is given to the poison policy instead, and one that no hook wants is
    /// settled.
    pub(super) fn open(taken: Taken, intake: &Arc<Intake>, hooks: &Arc<Hooks>) -> Option<Self> {
        let message = match ReceivedMessage::open(taken) {
            Ok(message) => message,
            Err((taken, cause)) => {
                let taken = intake.poisoned(taken, cause.clone())?;
                ReceivedMessage::poison(taken, cause)
            }
        };
        let message = message.within(hooks.namespace());
        if !hooks.admit(&message) {
            intake.settle(&message.taken, Outcome::Done);
            return None;
        }
        let traced = hooks.trace(core::slice::from_ref(&message));
        Some(Self { message, intake: intake.clone(), hooks: hooks.clone(), traced, settled: false })
    }

    /// The message.
    #[must_use]
    pub const fn message(&self) -> &ReceivedMessage {
        &self.message
    }

    /// Consumed: the group's offset may pass it, in an orderly group without auto-commit once a later message of its
    /// queue is committed.
    pub fn ack(mut self) {
        self.settle(Outcome::Done);
    }

    /// Consumed, and with it all that was acknowledged of its queue before: the offset may pass them. The same as
    /// [`Delivery::ack`], but in an orderly group without auto-commit.
    pub fn commit(mut self) {
        self.settle(Outcome::Committed);
    }

    /// In an orderly group without auto-commit: all that was acknowledged of its queue since the last commit comes
    /// again after a pause, and then this message. Else the same as [`Delivery::retry`].
    pub fn rollback(mut self) {
        self.settle(Outcome::RolledBack);
    }

    /// Failed: it comes again later, after a delay that grows with each time, and goes to the dead-letter queue when
    /// it has come often enough. In an orderly group its queue waits for it, as long as is configured. In broadcasting
    /// it is dropped, as in every other way to fail.
    pub fn retry(mut self) {
        self.settle(DelayLevel::BROKER.failed());
    }

    /// Failed: in an orderly group its queue waits so long, 10 ms to 30 s, and then it comes again. A popped message comes
    /// again after so long, up to 2 h, and a few seconds. Else the same as [`Delivery::retry`]: brokers know only the
    /// delays of [`DelayLevel`].
    pub fn suspend(mut self, pause: Duration) {
        self.settle(Outcome::Suspended { pause });
    }

    /// Failed: it comes again after this delay. In an orderly group the same as [`Delivery::retry`].
    pub fn retry_at(mut self, level: DelayLevel) {
        self.settle(level.failed());
    }

    /// Failed for good: it goes to the dead-letter queue now.
    pub fn dead_letter(mut self) {
        self.settle(DelayLevel::DEAD_LETTER.failed());
    }

    /// Whether an operator has this message handled, which [`ServerPolicy`](crate::config::ServerPolicy) has to allow:
    /// it is no part of what the group consumes. How it is settled is what the operator is told, and that is all.
    #[must_use]
    pub const fn is_direct(&self) -> bool {
        self.message.taken.direct.is_some()
    }

    /// Why the record cannot be read, with [`PoisonPolicy::Deliver`](crate::dispatch::PoisonPolicy::Deliver).
    #[must_use]
    pub const fn poison(&self) -> Option<&PoisonCause> {
        self.message.poison.as_ref()
    }

    /// The handler needs so much time from now on, 5 s to 2 h: nobody else gets the message before, even if this process
    /// stands still. Without it the message is kept from others as long as this client lives, and a little longer.
    ///
    /// `false` when it is not ours any more, or was not popped: then there is nothing to be extended.
    #[allow(clippy::must_use_candidate, reason = "whether it is still ours shows when it is settled")]
    pub fn extend(&self, time: Duration) -> bool {
        self.message.taken.batch.pop.is_some() && self.intake.extend(&self.message.taken, time)
    }

    fn trace_end(&self, outcome: ConsumeOutcome) {
        #[cfg(feature = "metrics")]
        self.hooks.measure(&self.message, outcome, self.intake.now());
        let messages = core::slice::from_ref(&self.message);
        self.hooks.trace_end(self.traced.as_deref(), messages, |_| outcome);
    }

    fn settle(&mut self, outcome: Outcome) -> Settled {
        self.settled = true;
        self.trace_end(outcome.into());
        let settled = self.intake.settle(&self.message.taken, outcome);
        self.hooks.settled(&self.message, outcome.into());
        settled
    }
}

impl Handed for Delivery {
    fn span(&self) -> Span {
        Span::of_messages(self.hooks.group(), Some(&self.message), 1)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.settled && std::thread::panicking() {
            self.trace_end(ConsumeOutcome::Panicked);
            self.intake.panicked(&self.message.taken);
            self.hooks.settled(&self.message, ConsumeOutcome::Panicked);
        } else if !self.settled {
            self.settle(DelayLevel::BROKER.failed());
        }
    }
}

impl core::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Delivery").field("message", &self.message).finish_non_exhaustive()
    }
}

/// A delay before a message comes again, by the broker's levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DelayLevel(i32);

impl DelayLevel {
    /// One second.
    pub const S1: Self = Self(1);
    /// Five seconds.
    pub const S5: Self = Self(2);
    /// Ten seconds.
    pub const S10: Self = Self(3);
    /// Half a minute.
    pub const S30: Self = Self(4);
    /// One minute.
    pub const M1: Self = Self(5);
    /// Two minutes.
    pub const M2: Self = Self(6);
    /// Five minutes.
    pub const M5: Self = Self(9);
    /// Ten minutes.
    pub const M10: Self = Self(14);
    /// Half an hour.
    pub const M30: Self = Self(16);
    /// One hour.
    pub const H1: Self = Self(17);
    /// Two hours.
    pub const H2: Self = Self(18);
    /// The broker chooses: level 3 plus the times it came before.
    pub(super) const BROKER: Self = Self(0);
    pub(super) const DEAD_LETTER: Self = Self(-1);

    /// The level with this number, 1 to 18; `None` outside.
    #[must_use]
    pub const fn new(level: i32) -> Option<Self> {
        if level >= 1 && level <= 18 { Some(Self(level)) } else { None }
    }

    pub(super) const fn failed(self) -> Outcome {
        Outcome::Failed { level: self.0 }
    }
}

/// A message as it was stored.
pub struct ReceivedMessage {
    taken: Taken,
    body: Bytes,
    poison: Option<PoisonCause>,
    namespace: Option<Namespace>,
}

impl ReceivedMessage {
    pub(in crate::driver) fn open(taken: Taken) -> Result<Self, (Taken, PoisonCause)> {
        let poison = match taken.item().map(|item| &item.content) {
            Some(Content::Poison(poison)) => Some(poison.cause.clone()),
            Some(Content::Record(_)) | None => None,
        };
        match taken.body() {
            Ok(body) => Ok(Self { taken, body, poison, namespace: None }),
            Err(cause) => Err((taken, cause)),
        }
    }

    /// A message that nobody has to settle, readable or not.
    pub(super) fn of(taken: Taken) -> Self {
        Self::open(taken).unwrap_or_else(|(taken, cause)| Self::poison(taken, cause))
    }

    /// A record whose body cannot be read: its bytes as they are.
    pub(super) fn poison(taken: Taken, cause: PoisonCause) -> Self {
        let body = match taken.item().map(|item| &item.content) {
            Some(Content::Record(record)) => taken.batch.frame.slice_ref(record.body(&taken.batch.frame)),
            Some(Content::Poison(_)) | None => Bytes::new(),
        };
        Self { taken, body, poison: Some(cause), namespace: None }
    }

    /// The message as it is seen from a namespace.
    pub(in crate::driver) fn within(self, namespace: Option<&Namespace>) -> Self {
        Self { namespace: namespace.cloned(), ..self }
    }

    pub(super) const fn is_poison(&self) -> bool {
        self.poison.is_some()
    }

    pub(super) const fn taken(&self) -> &Taken {
        &self.taken
    }

    /// The topic it was sent to, also when it comes again by way of the retry topic; without the namespace of the client.
    #[must_use]
    pub fn topic(&self) -> Topic {
        let topic = match self.property(name::RETRY_TOPIC) {
            Some(topic) if self.taken.batch.queue.topic.as_str().starts_with(RETRY_PREFIX) => Topic::from(topic),
            _ => self.taken.batch.queue.topic.clone(),
        };
        self.namespace.as_ref().map_or_else(|| topic.clone(), |space| space.topic_within(&topic))
    }

    /// The body, inflated. It pins the pulled frame unless it was compressed: see [`ReceivedMessage::detach`].
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// A copy of the body that pins nothing else.
    #[must_use]
    pub fn detach(&self) -> Bytes {
        Bytes::copy_from_slice(&self.body)
    }

    /// The queue it was pulled from.
    #[must_use]
    pub fn queue(&self) -> &MessageQueue {
        self.taken.queue()
    }

    /// Its position there.
    #[must_use]
    pub fn queue_offset(&self) -> QueueOffset {
        self.taken.item().map_or(self.taken.batch.from, |item| item.offset)
    }

    /// The id its producer gave it, else the one that says where it is stored.
    #[must_use]
    pub fn msg_id(&self) -> String {
        self.property(name::UNIQ_KEY).map_or_else(|| self.offset_msg_id(), String::from)
    }

    /// The id that says where it is stored; empty for a poison record.
    #[must_use]
    pub fn offset_msg_id(&self) -> String {
        self.record().map(|record| record.offset_msg_id().to_string()).unwrap_or_default()
    }

    /// The tag.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.property(name::TAGS)
    }

    /// The keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.property(name::KEYS).unwrap_or_default().split(' ').filter(|key| !key.is_empty())
    }

    /// One property.
    #[must_use]
    pub fn property(&self, key: &str) -> Option<&str> {
        properties::get(self.raw_properties(), key)
    }

    /// All properties, the protocol's own included.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &str)> {
        properties::iter(self.raw_properties())
    }

    /// The reply to this message, to be sent by any producer: see [`Producer::reply`](super::Producer::reply).
    ///
    /// # Errors
    /// Nobody waits for one.
    pub fn reply(&self, body: impl Into<Bytes>) -> Result<Message, NoRequest> {
        Message::reply_to(self.raw_properties(), body)
    }

    /// How often it came before, over all members of the group.
    #[must_use]
    pub fn reconsume_times(&self) -> i32 {
        let stored = self.record().map_or(0, |record| record.reconsume_times);
        stored.saturating_add(self.taken.local_retries)
    }

    /// When it was made.
    #[must_use]
    pub fn born(&self) -> UnixMillis {
        UnixMillis(self.record().map_or(0, |record| record.born_timestamp))
    }

    /// When it was stored.
    #[must_use]
    pub fn stored(&self) -> UnixMillis {
        UnixMillis(self.record().map_or(0, |record| record.store_timestamp))
    }

    /// The address of its producer, as the broker saw it.
    #[must_use]
    pub fn born_host(&self) -> Option<SocketAddr> {
        self.record().map(|record| record.born_host)
    }

    /// The flag its producer set.
    #[must_use]
    pub fn flag(&self) -> i32 {
        self.record().map_or(0, |record| record.flag)
    }

    fn record(&self) -> Option<&Record> {
        match &self.taken.item()?.content {
            Content::Record(record) => Some(record),
            Content::Poison(_) => None,
        }
    }

    fn raw_properties(&self) -> &[u8] {
        self.record().map(|record| record.properties(&self.taken.batch.frame)).unwrap_or_default()
    }
}

impl core::fmt::Debug for ReceivedMessage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ReceivedMessage")
            .field("queue", &format_args!("{}", self.queue()))
            .field("queue_offset", &self.queue_offset())
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

const RETRY_PREFIX: &str = "%RETRY%";
