//! The state of one send.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use super::policy::RETRY_CODES;
use super::{Parcel, Receipt, SendError, SendPolicy, StoreStatus};
use crate::client::RouteError;
use crate::client::view::{PublishQueue, RouteView, TopicView};
use crate::error::{RequestError, RequestFailure, Sent};
use crate::ids::{BrokerName, ConnId, Endpoint, MessageQueue, QueueOffset, Topic};
use crate::mutants::mutant;
use crate::time::Instant;
use crate::wire::codes::response;
use crate::wire::frame::EncodedFrame;
use crate::wire::header::FieldError;
use crate::wire::request::{Fields, Request, SendMessage, SendMessageResponse};
use crate::wire::{Codec, Frame};

/// The state of one send.
#[derive(Debug)]
pub struct SendOp {
    parcel: Parcel,
    codec: Codec,
    policy: SendPolicy,
    deadline: Instant,
    /// The queue asked for, else any.
    wanted: Option<MessageQueue>,
    made: u32,
    tried: Vec<BrokerName>,
    current: Option<MessageQueue>,
    pause: Option<Instant>,
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
            wanted: None,
            made: 0,
            tried: Vec::new(),
            current: None,
            pause: None,
            weak: None,
            last: None,
            maybe_stored: false,
            outcome: None,
        }
    }

    /// A send to one queue: a single attempt, as in Java.
    #[must_use]
    pub fn to_queue(parcel: Parcel, codec: Codec, deadline: Instant, queue: MessageQueue) -> Self {
        let policy = SendPolicy { attempts: 1, attempt_timeout: Duration::MAX, retry_weak_store: false };
        Self { wanted: Some(queue), ..Self::new(parcel, codec, policy, deadline) }
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
        let Some(target) = self.choose(topic, turn) else {
            // Every broker failed: look for others, and give them a moment.
            self.tried.clear();
            self.pause(now);
            return SendStep::Route { topic: self.parcel.topic.clone(), fresh: true };
        };
        self.made = self.made.saturating_add(1);
        // Giving up on a slow broker early helps only if there is another; a message may be stored twice by it.
        let broker = |queue: Option<&PublishQueue>| queue.map(|known| known.queue.broker.clone());
        let alone = broker(topic.publish.first()) == broker(topic.publish.last());
        let patient = alone || self.made >= self.policy.attempts;
        let cap = now.after(self.policy.attempt_timeout);
        let deadline = if patient { self.deadline } else { self.deadline.min(cap) };
        let frame = self.encode(&target.queue);
        self.current = Some(target.queue.clone());
        SendStep::Send(Attempt { endpoint: target.endpoint.clone(), conn: target.conn, frame, deadline })
    }

    /// When the send is given up.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
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
                self.last = Some(SendError::Broker { broker: queue.broker.clone(), code, remark });
                if RETRY_CODES.contains(&code) {
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
        })
    }

    /// The queue for the next attempt: the next in turn whose broker has not failed this send.
    fn choose<'v>(&self, topic: &'v TopicView, turn: &AtomicU32) -> Option<&'v PublishQueue> {
        let healthy = |known: &&PublishQueue| !self.tried.contains(&known.queue.broker);
        if let Some(wanted) = &self.wanted {
            return topic.publish.iter().find(|known| known.queue == *wanted).filter(healthy);
        }
        let start = usize::try_from(turn.fetch_add(1, Ordering::Relaxed)).unwrap_or(0);
        let start = start.checked_rem(topic.publish.len())?;
        let (before, from) = topic.publish.split_at_checked(start)?;
        from.iter().chain(before).find(healthy)
    }

    fn encode(&self, queue: &MessageQueue) -> EncodedFrame {
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
            properties: Some(parcel.properties.clone()),
            reconsume_times: Some(parcel.retry.map_or(0, |(times, _)| times)),
            unit_mode: Some(false),
            max_reconsume_times: parcel.retry.map(|(_, most)| most),
            batch: Some(false),
            broker: Some(queue.broker.clone()),
        };
        header.encode(self.codec, parcel.body.clone())
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

/// Before brokers that all failed are tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
