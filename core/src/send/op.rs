//! The state of one send.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use super::choose::{attempt_deadline, next_queue};
use super::{FaultTable, Parcel, Receipt, SendError, SendPolicy, StoreStatus, Target};
use crate::client::RouteError;
use crate::client::view::{PublishQueue, RouteView, TopicView};
use crate::error::{AccessDenied, RequestError, RequestFailure, Sent};
use crate::ids::{BrokerName, ConnId, Endpoint, MessageQueue, QueueOffset, Topic};
use crate::mutants::mutant;
use crate::request::is_reply;
use crate::time::Instant;
use crate::wire::codes::response;
use crate::wire::frame::EncodedFrame;
use crate::wire::header::FieldError;
use crate::wire::message::UniqueKeyList;
use crate::wire::request::{Fields, Request, SendBatch, SendMessage, SendMessageResponse, SendReply};
use crate::wire::{Codec, Frame};

/// The state of one send.
#[derive(Debug)]
pub struct SendOp {
    parcel: Parcel,
    codec: Codec,
    policy: SendPolicy,
    deadline: Instant,
    target: Target,
    /// Whether nobody answers.
    oneway: bool,
    made: u32,
    tried: Vec<BrokerName>,
    current: Option<MessageQueue>,
    pause: Option<Instant>,
    /// Until when the version of a broker is waited for.
    version_by: Option<Instant>,
    weak: Option<Receipt>,
    last: Option<SendError>,
    maybe_stored: bool,
    outcome: Option<Result<Receipt, SendError>>,
}

/// What a send needs next.
#[derive(Debug)]
pub enum SendStep {
    /// The route of the topic; `fresh` when the known one did not serve.
    Route {
        /// The topic.
        topic: Topic,
        /// Whether a known route is not good enough.
        fresh: bool,
    },
    /// This request to be sent.
    Send(Attempt),
    /// Nothing before this time.
    Pause(Instant),
    /// The end.
    Done(Result<Receipt, SendError>),
}

/// One attempt.
#[derive(Debug)]
pub struct Attempt {
    /// The broker.
    pub broker: BrokerName,
    /// The address to send to.
    pub endpoint: Endpoint,
    /// The link to it, when it is up.
    pub conn: Option<ConnId>,
    /// The request.
    pub frame: EncodedFrame,
    /// When the attempt is given up.
    pub deadline: Instant,
}

impl SendOp {
    /// A send that may take until `deadline`.
    #[must_use]
    pub fn new(parcel: Parcel, codec: Codec, policy: SendPolicy, deadline: Instant) -> Self {
        Self {
            parcel,
            codec,
            policy,
            deadline,
            target: Target::Any,
            oneway: false,
            made: 0,
            tried: Vec::new(),
            current: None,
            pause: None,
            version_by: None,
            weak: None,
            last: None,
            maybe_stored: false,
            outcome: None,
        }
    }

    /// A send to one queue: a single attempt, as in Java.
    #[must_use]
    pub fn to_queue(parcel: Parcel, codec: Codec, deadline: Instant, queue: MessageQueue) -> Self {
        Self::new(parcel, codec, SendPolicy::once(), deadline).to(Target::Queue(queue))
    }

    /// The same send to this target.
    #[must_use]
    pub fn to(self, target: Target) -> Self {
        Self { target, ..self }
    }

    /// The same send without an answer: it ends with the first attempt that is written.
    #[must_use]
    pub fn oneway(self) -> Self {
        Self { oneway: true, ..self }
    }

    /// What it sends.
    #[must_use]
    pub const fn parcel(&self) -> &Parcel {
        &self.parcel
    }

    /// A route was installed, or could not be.
    pub fn on_route(&mut self, now: Instant, result: Result<(), RouteError>) {
        match result {
            Ok(()) => {}
            // An earlier attempt may be stored: that is what its caller has to know.
            Err(RouteError::NoTopic) if self.weak.is_some() || self.maybe_stored => {
                self.outcome = Some(self.give_up(now));
            }
            Err(RouteError::NoTopic) => self.outcome = Some(Err(SendError::NoRoute(self.parcel.topic.clone()))),
            Err(error) => {
                self.last.get_or_insert(SendError::Route(error));
                self.pause(now);
            }
        }
    }

    /// The link for the attempt could not be opened: the attempt was not made.
    pub fn on_no_link(&mut self, now: Instant, why: RequestFailure) {
        self.on_reply(now, Err(RequestError::never(why)));
    }

    /// An attempt was answered, or was not.
    pub fn on_reply(&mut self, now: Instant, result: Result<Frame, RequestError>) {
        let Some(queue) = self.current.take() else {
            return;
        };
        match result {
            Ok(frame) => self.on_answer(now, queue, &frame),
            Err(error) => {
                let never = error.sent == Sent::Never;
                self.maybe_stored |= !never && !mutant!(18);
                self.tried.push(queue.broker);
                // An attempt that nobody can have seen is not counted: another broker gets its turn, or time passes.
                if never {
                    self.made = self.made.saturating_sub(1);
                }
                // The end of the time says nothing that an earlier attempt did not say better.
                if !never || now < self.deadline || self.last.is_none() {
                    self.last = Some(SendError::Request(error));
                }
            }
        }
    }

    /// Nothing more can be tried, as the client is closed: how the send ends.
    ///
    /// # Errors
    /// [`SendError::Closed`], or what an earlier attempt met.
    pub fn close(&mut self, now: Instant) -> Result<Receipt, SendError> {
        match self.outcome.take() {
            Some(outcome) => outcome,
            None if self.weak.is_some() || self.maybe_stored => self.give_up(now),
            None => Err(SendError::Closed),
        }
    }

    /// What the send needs next. `turn` is shared by the sends of a producer, so that they take queues in turn.
    pub fn poll(&mut self, now: Instant, view: &RouteView, turn: &AtomicU32) -> SendStep {
        self.poll_with(now, view, turn, None)
    }

    /// The same, for a producer that knows its brokers' faults.
    pub fn poll_with(
        &mut self,
        now: Instant,
        view: &RouteView,
        turn: &AtomicU32,
        faults: Option<&FaultTable>,
    ) -> SendStep {
        if let Some(outcome) = self.outcome.take() {
            return SendStep::Done(outcome);
        }
        if now >= self.deadline || (self.made >= self.policy.attempts && !mutant!(21)) {
            return SendStep::Done(self.give_up(now));
        }
        if let Some(until) = self.pause.take()
            && until > now
        {
            self.pause = Some(until);
            return SendStep::Pause(until.min(self.deadline));
        }
        let topic = match view.topics.get(&self.parcel.topic) {
            Some(topic) if !topic.publish.is_empty() => topic,
            Some(_) => {
                // Known, and nothing to send to: asking at once again and again would not change that.
                self.last.get_or_insert_with(|| SendError::NotWritable(self.parcel.topic.clone()));
                self.pause(now);
                return SendStep::Route { topic: self.parcel.topic.clone(), fresh: true };
            }
            None => return SendStep::Route { topic: self.parcel.topic.clone(), fresh: false },
        };
        if let Target::Chosen(_) = &self.target
            && let Target::Chosen(selector) = core::mem::take(&mut self.target)
        {
            let Some(queue) = selector.choose(&topic.publish) else {
                return SendStep::Done(Err(SendError::NoQueue(self.parcel.topic.clone())));
            };
            self.target = Target::Queue(queue);
        }
        let Some(target) = self.choose(now, topic, turn, faults) else {
            // Every broker failed: look for others, and give them a moment.
            self.tried.clear();
            self.pause(now);
            return SendStep::Route { topic: self.parcel.topic.clone(), fresh: true };
        };
        let version = view.versions.get(&target.endpoint).copied();
        if version.is_none() && self.parcel.batch.is_some() {
            // What a batch says depends on it; the first heartbeat to a broker tells.
            let until = self.deadline.min(*self.version_by.get_or_insert(now.after(VERSION_PATIENCE)));
            if now < until {
                return SendStep::Pause(until.min(now.after(VERSION_PAUSE)));
            }
        }
        self.made = self.made.saturating_add(1);
        // Giving up on a slow broker early helps only if there is another; a message may be stored twice by it.
        let broker = |queue: Option<&PublishQueue>| queue.map(|known| known.queue.broker.clone());
        let alone = broker(topic.publish.first()) == broker(topic.publish.last());
        let deadline = attempt_deadline(now, self.deadline, self.made, &self.policy, alone);
        let frame = self.encode(&target.queue, version.is_none_or(|version| version < VERSION_5_0_0));
        self.current = Some(target.queue.clone());
        let (broker, endpoint) = (target.queue.broker.clone(), target.endpoint.clone());
        SendStep::Send(Attempt { broker, endpoint, conn: target.conn, frame, deadline })
    }

    /// Whether nobody answers.
    #[must_use]
    pub const fn is_oneway(&self) -> bool {
        self.oneway
    }

    /// When the send is given up.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The ids of the messages of a batch, when it is one.
    pub fn take_ids(&mut self) -> UniqueKeyList {
        self.parcel.batch.take().unwrap_or_default()
    }

    fn on_answer(&mut self, now: Instant, queue: MessageQueue, frame: &Frame) {
        let code = frame.header.code;
        let status = match code {
            response::SUCCESS => StoreStatus::Stored,
            response::FLUSH_DISK_TIMEOUT if mutant!(20) => StoreStatus::Stored,
            response::FLUSH_DISK_TIMEOUT => StoreStatus::FlushDiskTimeout,
            response::FLUSH_SLAVE_TIMEOUT => StoreStatus::FlushSlaveTimeout,
            response::SLAVE_NOT_AVAILABLE => StoreStatus::SlaveNotAvailable,
            _ => {
                let remark = frame.header.remark.clone().unwrap_or_default();
                // Whom one broker does not let in, the others do not either.
                let denied = AccessDenied::of(code, &remark).is_some();
                self.last = Some(SendError::Broker { broker: queue.broker.clone(), code, remark });
                if self.policy.retry_codes.contains(&code) && !denied {
                    self.tried.push(queue.broker);
                } else {
                    self.outcome = Some(self.give_up(now));
                }
                return;
            }
        };
        let receipt =
            SendMessageResponse::read(&frame.header.ext).and_then(|fields| self.receipt(status, &queue, fields));
        match receipt {
            Err(error) => self.outcome = Some(Err(SendError::Malformed(error))),
            Ok(receipt) if status != StoreStatus::Stored && self.policy.retry_weak_store => {
                self.weak = Some(receipt);
                self.tried.push(queue.broker);
            }
            Ok(receipt) => self.outcome = Some(Ok(receipt)),
        }
    }

    fn receipt(
        &self,
        status: StoreStatus,
        queue: &MessageQueue,
        fields: SendMessageResponse,
    ) -> Result<Receipt, FieldError> {
        let queue_offset =
            QueueOffset::from_wire(fields.queue_offset).ok_or(FieldError { key: "queueOffset", missing: false })?;
        let queue = MessageQueue { id: fields.queue_id, ..queue.clone() };
        Ok(Receipt {
            status,
            msg_id: self.parcel.unique_key.clone(),
            offset_msg_id: fields.msg_id,
            queue,
            queue_offset,
            recall_handle: fields.recall_handle,
            region: fields.region.map(Arc::from),
            trace_on: fields.trace_on.unwrap_or(true),
            batch_key: fields.batch_uniq_id,
        })
    }

    /// The queue for the next attempt.
    fn choose<'v>(
        &self,
        now: Instant,
        topic: &'v TopicView,
        turn: &AtomicU32,
        faults: Option<&FaultTable>,
    ) -> Option<&'v PublishQueue> {
        if let Target::Queue(wanted) = &self.target {
            let healthy = |known: &&PublishQueue| !self.tried.contains(&known.queue.broker);
            return topic.publish.iter().find(|known| known.queue == *wanted).filter(healthy);
        }
        let turn = usize::try_from(turn.fetch_add(1, Ordering::Relaxed)).unwrap_or(0);
        next_queue(&topic.publish, turn, &self.tried, faults.map(|table| (table, now)))
    }

    fn encode(&self, queue: &MessageQueue, old_broker: bool) -> EncodedFrame {
        let parcel = &self.parcel;
        let header = SendMessage {
            group: parcel.group.clone(),
            topic: parcel.topic.clone(),
            default_topic: parcel.template.0.clone(),
            default_topic_queues: parcel.template.1,
            queue_id: queue.id,
            sys_flag: parcel.sys_flag,
            born_timestamp: parcel.born.0,
            flag: parcel.flag,
            properties: Some(parcel.header_properties(old_broker)),
            reconsume_times: Some(parcel.retry.map_or(0, |(times, _)| times)),
            unit_mode: Some(false),
            max_reconsume_times: parcel.retry.map(|(_, most)| most),
            batch: Some(parcel.batch.is_some()),
            broker: Some(queue.broker.clone()),
        };
        let (codec, body) = (self.codec, parcel.body.clone());
        match (parcel.batch.is_some(), self.oneway) {
            (true, false) => SendBatch(header).encode(codec, body),
            (true, true) => SendBatch(header).encode_oneway(codec, body),
            (false, false) if is_reply(parcel.topic.as_str(), &parcel.properties) => {
                SendReply(header).encode(codec, body)
            }
            (false, false) => header.encode(codec, body),
            (false, true) => header.encode_oneway(codec, body),
        }
    }

    fn pause(&mut self, now: Instant) {
        self.pause = Some(now.after(RETRY_PAUSE));
    }

    fn give_up(&mut self, now: Instant) -> Result<Receipt, SendError> {
        if let Some(weak) = self.weak.take() {
            return Ok(weak);
        }
        let timed_out = now >= self.deadline;
        let last = self.last.take();
        match last {
            Some(SendError::Request(error)) => {
                let sent = if self.maybe_stored { Sent::Maybe } else { Sent::Never };
                let why = if timed_out && error.sent == Sent::Maybe { RequestFailure::Timeout } else { error.why };
                Err(SendError::Request(RequestError { why, sent }))
            }
            Some(SendError::Broker { broker, code, remark }) if self.maybe_stored => {
                Err(SendError::Unknown { broker, code, remark })
            }
            Some(error) => Err(error),
            None => Err(SendError::Request(RequestError::never(RequestFailure::Timeout))),
        }
    }
}

/// How long a batch waits until the version of its broker is known, and the pauses in which it looks.
const VERSION_PATIENCE: Duration = Duration::from_millis(500);
const VERSION_PAUSE: Duration = Duration::from_millis(5);
/// The wire version of 5.0.0.
const VERSION_5_0_0: i32 = 413;
/// Before brokers that all failed are tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
