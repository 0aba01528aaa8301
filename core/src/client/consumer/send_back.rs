//! Failed messages: handed back to the broker, else republished to the retry topic, else tried again here.
//! Their offset stays uncommitted until one of these succeeds.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use bytes::Bytes;
use core::time::Duration;

use super::{Consumer, Siblings, State};
use crate::client::signal::ReplyTo;
use crate::client::{ClientEvent, Output, StartReason};
use crate::config::{MAX_SUSPEND, MIN_SUSPEND};
use crate::dispatch::{Content, Failure, Taken};
use crate::effects::Effects;
use crate::error::RequestError;
use crate::ids::{Endpoint, Epoch, MessageQueue, Topic};
use crate::mutants::mutant;
use crate::send::{Parcel, RETRY_CODES, SendOp, SendPolicy, SendStep};
use crate::timers::TimerKey;
use crate::wire::Frame;
use crate::wire::codes::response;
use crate::wire::message::properties::{self, PropertiesBuilder, name};
use crate::wire::request::{Request, SendMessageBack};

/// One failed message.
#[derive(Debug)]
pub(super) struct SendBack {
    failure: Failure,
    republish: Option<SendOp>,
    /// In order: it becomes a dead letter, when those of its queue before it have.
    buries: bool,
}

impl SendBack {
    fn is_of(&self, queue: &MessageQueue, epoch: Epoch) -> bool {
        let batch = &self.failure.taken.batch;
        *batch.queue == *queue && batch.epoch == epoch
    }
}

impl Consumer {
    /// The link to a broker broke, or is a new one.
    pub(crate) fn on_broker_break(&mut self, endpoint: &Endpoint, at: Siblings<'_>) {
        let there = |queue: &MessageQueue| at.routes.view().master(&queue.broker) == Some(endpoint);
        let there = self.queues.iter_mut().filter(|(queue, _)| there(queue));
        there.for_each(|(_, assigned)| assigned.note_break());
    }

    /// Where a broker has a message that is to be handed back. One that crashed may have lost the end of its log, and have
    /// another message there by now: what was pulled before its link broke has no place any more. A record that nobody can
    /// read has no other way.
    fn place_of(&self, taken: &Taken, poison: bool) -> Option<i64> {
        let item = taken.item()?;
        let assigned = self.queues.get(&*taken.batch.queue).filter(|_| !poison);
        let lost = assigned.is_some_and(|assigned| assigned.is_from_before_the_break(taken.batch.epoch, item.offset));
        item.physical_offset.filter(|_| !lost)
    }

    /// How many more failed messages can be taken in now. In order there are those of one hand-out of each queue at most.
    pub(crate) fn failure_room(&self) -> usize {
        if self.config.is_orderly() {
            return usize::MAX;
        }
        MAX_SEND_BACKS.saturating_sub(self.send_backs.len())
    }

    /// A message failed: hand it back.
    pub(crate) fn on_failed(&mut self, failure: Failure, at: Siblings<'_>, fx: &mut Effects) {
        let poison = failure.poison.is_some();
        let Some(failure) = self.hide_failed(failure, at, fx) else {
            return;
        };
        if self.config.is_orderly() && !poison {
            return self.on_failed_in_order(failure, at, fx);
        }
        let id = fx.fresh_id();
        let queue = failure.taken.batch.queue.clone();
        let physical = self.place_of(&failure.taken, poison);
        // What cannot be read comes again no better, and out of order.
        let spent = failure.taken.batch.pop.is_some() && !poison;
        let level = if self.config.is_orderly() || spent { DEAD_LETTER } else { failure.level };
        if mutant!(1) {
            fx.output(Output::Settle { group: self.config.group.clone(), taken: failure.taken.clone() });
        }
        self.send_backs.insert(id, SendBack { failure, republish: None, buries: false });
        let to = at.routes.view().master(&queue.broker).cloned();
        let (Some(to), Some(offset)) = (to, physical) else {
            return match (poison, physical) {
                (false, _) => self.republish(id, at, fx),
                (true, None) => self.poison_stays(id, fx),
                (true, Some(_)) => self.poison_waits(id, "no address of the broker is known", fx),
            };
        };
        let origin = self.send_backs.get(&id).map(|back| origin_of(&back.failure)).unwrap_or_default();
        let request = SendMessageBack {
            offset,
            group: self.config.group.clone(),
            delay_level: level,
            origin_msg_id: origin.0,
            origin_topic: Some(origin.1.map_or_else(|| queue.topic.clone(), Topic::from)),
            unit_mode: Some(false),
            max_reconsume_times: Some(self.config.max_reconsume_times()),
            broker: Some(queue.broker.clone()),
        };
        let reply_to = ReplyTo::SendBack { group: self.config.group.clone(), id };
        fx.request(to, request.encode(self.client.codec, Bytes::new()), SEND_BACK_TIMEOUT, reply_to);
    }

    pub(crate) fn on_send_back_reply(
        &mut self,
        id: u64,
        result: Result<Frame, RequestError>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        let Some(back) = self.send_backs.get(&id) else {
            return;
        };
        match result {
            Ok(frame) if frame.header.code == response::SUCCESS => self.settle(id, fx),
            Ok(_) if back.failure.poison.is_some() => self.poison_stays(id, fx),
            Err(error) if back.failure.poison.is_some() => self.poison_waits(id, &error.to_string(), fx),
            Ok(_) | Err(_) => self.republish(id, at, fx),
        }
    }

    pub(crate) fn on_republish_reply(
        &mut self,
        id: u64,
        result: Result<Frame, RequestError>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        if let Some(op) = self.send_backs.get_mut(&id).and_then(|back| back.republish.as_mut()) {
            op.on_reply(fx.now, result);
            self.on_republish(id, at, fx);
        }
    }

    /// Drives the republication of one message on; in order, the next of its queue follows.
    pub(crate) fn on_republish(&mut self, id: u64, at: Siblings<'_>, fx: &mut Effects) {
        let batch = self.send_backs.get(&id).map(|back| back.failure.taken.batch.clone());
        self.drive(id, at, fx);
        if let Some(batch) = batch {
            self.bury(&batch.queue, batch.epoch, at, fx);
        }
    }

    fn drive(&mut self, id: u64, at: Siblings<'_>, fx: &mut Effects) {
        let group = self.config.group.clone();
        let Some(op) = self.send_backs.get_mut(&id).and_then(|back| back.republish.as_mut()) else {
            return;
        };
        match op.poll(fx.now, at.routes.view(), &self.turn) {
            SendStep::Send(attempt) => {
                let reply_to = ReplyTo::Republish { group, id };
                fx.request_by(attempt.endpoint, attempt.frame, attempt.deadline, reply_to, None);
            }
            SendStep::Route { topic, .. } => {
                fx.raise(crate::client::signal::Signal::RefreshRoute(topic));
                let at = fx.now.after(ROUTE_PAUSE).min(op.deadline());
                fx.timers.arm(TimerKey::Republish(group, id), at);
            }
            SendStep::Pause(until) => fx.timers.arm(TimerKey::Republish(group, id), until),
            SendStep::Done(Ok(_)) => self.settle(id, fx),
            SendStep::Done(Err(error)) => {
                if let Some(back) = self.send_backs.get_mut(&id) {
                    (back.republish, back.buries) = (None, false);
                    let queue = (*back.failure.taken.batch.queue).clone();
                    let why = error.to_string();
                    fx.event(ClientEvent::SendBackFailed { group: group.clone(), queue, why });
                    fx.arm(TimerKey::Redeliver(group, id), self.redeliver_pause());
                }
            }
        }
    }

    /// A message of an orderly group failed: its queue waits, then it comes again; once too often, it is a dead letter.
    fn on_failed_in_order(&mut self, failure: Failure, at: Siblings<'_>, fx: &mut Effects) {
        let queue = failure.taken.batch.queue.clone();
        let spent = times_of(&failure) >= self.config.max_reconsume_times() && !failure.rolled_back;
        let dead = (spent || failure.level < 0) && self.holds(&queue, fx.now);
        if !dead && !matches!(self.state, State::Running) {
            let group = self.config.group.clone();
            return fx.output(Output::Redeliver { group, taken: failure.taken });
        }
        let pause = failure.pause.unwrap_or(self.config.suspend).clamp(MIN_SUSPEND, MAX_SUSPEND);
        if mutant!(9) && pause.saturating_mul(u32::try_from(failure.taken.local_retries).unwrap_or(0)) > PULL_EXPIRED {
            let start = failure.taken.batch.from;
            return self.restart_at(&queue, Some((start, StartReason::Reset)), fx);
        }
        let (id, epoch) = (fx.fresh_id(), failure.taken.batch.epoch);
        self.send_backs.insert(id, SendBack { failure, republish: None, buries: dead });
        if dead {
            self.bury(&queue, epoch, at, fx);
        } else {
            fx.arm(TimerKey::Redeliver(self.config.group.clone(), id), pause);
        }
    }

    /// In order: dead letters of a queue go one after the other.
    fn bury(&mut self, queue: &MessageQueue, epoch: Epoch, at: Siblings<'_>, fx: &mut Effects) {
        let next = |this: &Self| {
            let mut of_queue = this.send_backs.iter().filter(|(_, back)| back.buries && back.is_of(queue, epoch));
            of_queue.next().filter(|(_, back)| back.republish.is_none()).map(|(id, _)| *id)
        };
        // Each is under way then, or buried no more.
        while let Some(id) = next(self) {
            self.republish(id, at, fx);
        }
    }

    /// The consumer stops: queues that wait for a message to come again do so no longer.
    pub(super) fn end_suspensions(&mut self, fx: &mut Effects) {
        if !self.config.is_orderly() {
            return;
        }
        let waits = |back: &SendBack| !back.buries && back.failure.poison.is_none();
        let waiting: alloc::vec::Vec<_> =
            self.send_backs.iter().filter(|(_, back)| waits(back)).map(|(id, _)| *id).collect();
        for id in waiting {
            fx.disarm(&TimerKey::Redeliver(self.config.group.clone(), id));
            self.on_redeliver(id, fx);
        }
    }

    /// Neither the broker nor the retry topic took it: hand it out again here.
    pub(crate) fn on_redeliver(&mut self, id: u64, fx: &mut Effects) {
        if let Some(back) = self.send_backs.remove(&id) {
            let group = self.config.group.clone();
            if back.failure.taken.batch.pop.is_some() {
                // It comes again when its time is over.
                return self.let_expire(&back.failure.taken, fx);
            }
            fx.output(Output::Redeliver { group, taken: back.failure.taken });
        }
    }

    /// The queue is no longer ours: whoever owns it gets its unsettled messages again.
    pub(super) fn drop_send_backs(&mut self, queue: &MessageQueue, epoch: Epoch, fx: &mut Effects) {
        let group = &self.config.group;
        let gone: alloc::vec::Vec<_> =
            self.send_backs.iter().filter(|(_, back)| back.is_of(queue, epoch)).map(|(id, _)| *id).collect();
        for id in gone {
            self.send_backs.remove(&id);
            fx.disarm(&TimerKey::Redeliver(group.clone(), id));
            fx.disarm(&TimerKey::Republish(group.clone(), id));
        }
    }

    fn settle(&mut self, id: u64, fx: &mut Effects) {
        if let Some(back) = self.send_backs.remove(&id) {
            let group = self.config.group.clone();
            fx.disarm(&TimerKey::Republish(group.clone(), id));
            fx.output(Output::Settle { group, taken: back.failure.taken });
        }
    }

    /// A poison record that the broker does not take back cannot be passed without losing it: the queue stops.
    fn poison_stays(&mut self, id: u64, fx: &mut Effects) {
        if let Some(back) = self.send_backs.remove(&id) {
            let group = self.config.group.clone();
            let queue = (*back.failure.taken.batch.queue).clone();
            let offset = back.failure.taken.item().map_or(back.failure.taken.batch.from, |item| item.offset);
            if back.failure.taken.batch.pop.is_some() {
                return self.let_expire(&back.failure.taken, fx);
            }
            fx.event(ClientEvent::QueueStopped { group: group.clone(), queue, offset });
            fx.output(Output::StopQueue { group, taken: back.failure.taken });
        }
    }

    /// The broker said nothing, which is no refusal: the record is handed out, and back, once more.
    fn poison_waits(&mut self, id: u64, why: &str, fx: &mut Effects) {
        if let Some(back) = self.send_backs.get(&id) {
            let group = self.config.group.clone();
            let queue = (*back.failure.taken.batch.queue).clone();
            fx.event(ClientEvent::SendBackFailed { group: group.clone(), queue, why: String::from(why) });
            fx.arm(TimerKey::Redeliver(group, id), REDELIVER_PAUSE);
        }
    }

    /// The broker did not take it back: publish a copy to the retry topic, as Java's inner producer does.
    fn republish(&mut self, id: u64, at: Siblings<'_>, fx: &mut Effects) {
        let parcel = self.send_backs.get(&id).and_then(|back| self.retry_parcel(&back.failure, fx));
        let Some(parcel) = parcel else {
            if let Some(back) = self.send_backs.get_mut(&id) {
                back.buries = false;
            }
            return fx.arm(TimerKey::Redeliver(self.config.group.clone(), id), self.redeliver_pause());
        };
        let share = REPUBLISH_TIMEOUT.checked_div(REPUBLISH_ATTEMPTS).unwrap_or(REPUBLISH_TIMEOUT);
        let policy = SendPolicy {
            attempts: REPUBLISH_ATTEMPTS,
            attempt_timeout: share,
            retry_weak_store: false,
            retry_codes: alloc::sync::Arc::new(RETRY_CODES),
        };
        let op = SendOp::new(parcel, self.client.codec, policy, fx.now.after(REPUBLISH_TIMEOUT));
        if let Some(back) = self.send_backs.get_mut(&id) {
            back.republish = Some(op);
        }
        self.drive(id, at, fx);
    }

    fn redeliver_pause(&self) -> Duration {
        if self.config.is_orderly() { self.config.suspend } else { REDELIVER_PAUSE }
    }

    /// A copy for the retry topic: the same body and properties, and how often it was redelivered.
    fn retry_parcel(&self, failure: &Failure, fx: &Effects) -> Option<Parcel> {
        let batch = &failure.taken.batch;
        let Content::Record(record) = &failure.taken.item()?.content else {
            return None;
        };
        let times = times_of(failure);
        let raw = record.properties(&batch.frame);
        let mut all: BTreeMap<&str, String> =
            properties::iter(raw).map(|(key, value)| (key, value.to_string())).collect();
        let (id, topic) = origin_of(failure);
        let most = self.config.max_reconsume_times();
        let level = if failure.level > 0 { failure.level } else { times.saturating_add(FIRST_LEVEL) };
        // There is no level for "dead": brokers bury what was redelivered more often than is allowed.
        let most = if failure.level < 0 { most.min(times) } else { most };
        all.remove(name::TRAN_MSG);
        all.remove(name::POP_CK);
        all.entry(name::RETRY_TOPIC).or_insert_with(|| topic.unwrap_or_else(|| batch.queue.topic.to_string()));
        all.entry(name::ORIGIN_MESSAGE_ID).or_insert_with(|| id.unwrap_or_default());
        let times = if mutant!(28) { times.saturating_sub(1) } else { times };
        all.insert(name::RECONSUME_TIME, times.saturating_add(1).to_string());
        all.insert(name::MAX_RECONSUME_TIMES, most.to_string());
        all.remove(name::DELAY);
        // Java's level would keep a dead letter from its topic for up to two hours.
        if !self.config.is_orderly() && (times < most || mutant!(46)) {
            all.insert(name::DELAY, level.to_string());
        }
        let mut encoded = PropertiesBuilder::new();
        for (key, value) in all.iter().filter(|(_, value)| !value.is_empty()) {
            encoded.put(key, value).ok()?;
        }
        Some(Parcel {
            batch: None,
            group: self.config.group.clone(),
            topic: self.retry_topic.clone(),
            body: batch.frame.slice_ref(record.body(&batch.frame)),
            properties: encoded.finish(),
            sys_flag: record.sys_flag.with_transaction(crate::wire::message::TransactionKind::None).0 & BODY_FLAGS,
            flag: record.flag,
            born: fx.wall,
            unique_key: all.get(name::UNIQ_KEY).cloned().unwrap_or_default(),
            retry: Some((times.saturating_add(1), most)),
            template: (self.client.template_topic.clone(), self.client.template_queues),
        })
    }
}

/// How often a message came before this time.
pub(super) fn times_of(failure: &Failure) -> i32 {
    let stored = match failure.taken.item().map(|item| &item.content) {
        Some(Content::Record(record)) => record.reconsume_times,
        Some(Content::Poison(_)) | None => 0,
    };
    stored.saturating_add(failure.taken.local_retries)
}

/// The id and topic a message had before it was first handed back.
fn origin_of(failure: &Failure) -> (Option<String>, Option<String>) {
    let batch = &failure.taken.batch;
    match failure.taken.item().map(|item| &item.content) {
        Some(Content::Record(record)) => {
            let property = |key| record.property(&batch.frame, key).map(String::from);
            let id = property(name::ORIGIN_MESSAGE_ID).or_else(|| property(name::UNIQ_KEY));
            let id = id.unwrap_or_else(|| record.offset_msg_id().to_string());
            (Some(id), property(name::RETRY_TOPIC))
        }
        Some(Content::Poison(_)) | None => (None, None),
    }
}

/// Send-backs under way at once.
const MAX_SEND_BACKS: usize = 256;
/// Java: 5 s.
const SEND_BACK_TIMEOUT: Duration = Duration::from_secs(5);
/// Republishing takes at most so long in all.
const REPUBLISH_TIMEOUT: Duration = Duration::from_secs(5);
/// Attempts to republish.
const REPUBLISH_ATTEMPTS: u32 = 3;
/// Until a missing route is looked at again.
const ROUTE_PAUSE: Duration = Duration::from_millis(500);
/// Before a message is handed out again here. Java `ConsumeMessageConcurrentlyService.submitConsumeRequestLater`.
const REDELIVER_PAUSE: Duration = Duration::from_secs(5);
/// The delay level of the first redelivery. Source: Java `DefaultMQPushConsumerImpl.sendMessageBack`.
const FIRST_LEVEL: i32 = 3;
/// The delay level of a dead letter. Source: Java `ConsumeConcurrentlyContext.delayLevelWhenNextConsume`.
const DEAD_LETTER: i32 = -1;
/// How long a pull is awaited by the mistake of taking a queue that waits for one that is dead. Source: Java
/// `rocketmq.client.pull.pullMaxIdleTime`.
const PULL_EXPIRED: Duration = Duration::from_secs(120);
/// System flags that describe the body.
const BODY_FLAGS: i32 = 0x701;
