//! Messages with a timer: kept in a topic of the broker's own, delivered when due, or taken back.

use std::collections::BTreeSet;
use std::time::Duration;

use rocketmq_core::time::{Instant, UnixMillis, Wakeup};
use rocketmq_core::wire::codes::response;
use rocketmq_core::wire::message::RecallHandle;

use super::{Answer, Broker, Call};
use crate::cluster::message::Draft;
use crate::cluster::output::Reply;
use crate::cluster::store::Store;

/// Timers that are not due: by when, the offset in the broker's own queue.
#[derive(Debug, Default)]
pub(super) struct Timers {
    pending: BTreeSet<(Instant, i64)>,
}

/// What a send asks for.
pub(super) enum Timer {
    /// No timer, or one that has passed.
    None,
    /// Deliver at this time, Unix milliseconds.
    At(i64),
    /// One that cannot be.
    Illegal,
}

impl Timers {
    pub(super) fn next_due(&self) -> Wakeup {
        self.pending.first().map_or(Wakeup::Never, |(at, _)| Wakeup::At(*at))
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// The log lost its end.
    pub(super) fn truncate(&mut self, store: &Store) {
        let end = store.queue(TIMER_TOPIC, 0).map_or(0, |queue| queue.max_offset());
        self.pending.retain(|(_, offset)| *offset < end);
    }
}

impl Broker {
    /// What the properties of a message say of a timer.
    pub(super) fn timer_of(&self, draft: &Draft, wall: UnixMillis) -> Timer {
        // One that was delivered goes on saying when.
        if draft.properties.get("TIMER_OUT_MS").is_some() {
            return Timer::None;
        }
        let number = |key| draft.properties.get(key).map(str::parse::<i64>);
        let relative =
            |key, unit: i64| number(key).map(|by| by.map(|by| wall.0.saturating_add(by.saturating_mul(unit))));
        let wanted = relative(TIMER_PROPERTIES[0], 1_000).or_else(|| relative(TIMER_PROPERTIES[1], 1));
        match wanted.or_else(|| number(TIMER_PROPERTIES[2])) {
            None => Timer::None,
            Some(Err(_)) => Timer::Illegal,
            Some(Ok(at)) if at <= wall.0 => Timer::None,
            Some(Ok(at)) if at - wall.0 > MAX_DELAY_MS => Timer::Illegal,
            Some(Ok(at)) => Timer::At(at),
        }
    }

    /// Stores the message to be delivered at this time; the answer to the send, with the handle to take it back by.
    pub(super) fn keep_until(&mut self, call: &Call<'_>, mut draft: Draft, at: i64, unique: &str) -> Option<Reply> {
        let queue_id = draft.queue_id;
        // The second before: one that is a whole number of seconds is lowered too.
        let out = (at - 1).div_euclid(PRECISION_MS) * PRECISION_MS;
        let set = |draft: &mut Draft, key, value: &str| draft.properties.set(key, value);
        let topic = draft.topic.clone();
        set(&mut draft, "TIMER_OUT_MS", &out.to_string());
        set(&mut draft, "REAL_TOPIC", &topic);
        set(&mut draft, "REAL_QID", &queue_id.to_string());
        TIMER_TOPIC.clone_into(&mut draft.topic);
        draft.queue_id = 0;
        let appended = self.append(call.now, call.wall, &draft).ok()?;
        let wait = u64::try_from(out + PRECISION_MS - call.wall.0).unwrap_or(0);
        let due = call.now.after(Duration::from_millis(wait));
        self.timers.pending.insert((due, appended.place.queue_offset));
        let handle = RecallHandle {
            topic: topic.as_str().into(),
            broker: self.cfg.name.as_str().into(),
            due: out + 1,
            unique_key: unique.to_owned(),
        };
        let reply = Reply::ok()
            .field("msgId", self.msg_id(appended.place.physical))
            .field("queueId", queue_id)
            .field("queueOffset", appended.place.queue_offset)
            .field("transactionId", unique);
        let retry = topic.starts_with(super::topics::RETRY_PREFIX);
        Some(if retry { reply } else { reply.field("recallHandle", handle.encode()) })
    }

    /// Delivers every message whose timer is due.
    pub(super) fn deliver_timers(&mut self, now: Instant, wall: UnixMillis) {
        while let Some((_, offset)) = self.timers.pending.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.pending.pop_first();
            let Some(mut draft) = self.timer_at(offset) else { continue };
            let Some(topic) = draft.properties.get("REAL_TOPIC").map(str::to_owned) else { continue };
            draft.queue_id = draft.properties.get("REAL_QID").and_then(|id| id.parse().ok()).unwrap_or(0);
            draft.topic = topic;
            for key in ["TIMER_ENQUEUE_MS", "TIMER_DEQUEUE_MS"] {
                draft.properties.set(key, &wall.0.to_string());
            }
            self.append(now, wall, &draft).expect("what was stored once can be stored again");
        }
    }

    /// Code 370.
    pub(super) fn recall(&mut self, call: &Call<'_>) -> Answer {
        let ext = &call.header.ext;
        let (topic, handle): (String, String) = (ext.field("topic")?, ext.field("recallHandle")?);
        let reply = if self.cfg.recall {
            self.take_back(call.wall, &topic, &handle)
        } else {
            Reply::error(response::NO_PERMISSION, "recall failed, operation is forbidden")
        };
        Ok(Some(reply.field("MSG_REGION", &self.cfg.region)))
    }

    fn take_back(&mut self, wall: UnixMillis, topic: &str, handle: &str) -> Reply {
        let illegal = |why: &str| Reply::error(ILLEGAL_OPERATION, why);
        if self.store.topic(topic).is_none() {
            return Reply::error(response::TOPIC_NOT_EXIST, format!("recall failed, the topic[{topic}] not exist"));
        }
        let Ok(handle) = RecallHandle::decode(handle) else {
            return illegal("recall handle is invalid");
        };
        if handle.topic.as_str() != topic {
            return illegal("recall failed, topic not match");
        }
        if handle.broker.as_str() != self.cfg.name {
            return illegal("recall failed, broker service not available");
        }
        if handle.due <= wall.0 || handle.due - wall.0 > MAX_DELAY_MS {
            return illegal("recall failed, timestamp invalid");
        }
        // Only what is kept until the same second is looked through.
        let out = (handle.due - 1).to_string();
        let taken: Vec<_> = self
            .timers
            .pending
            .iter()
            .copied()
            .filter(|(_, offset)| {
                let draft = self.timer_at(*offset);
                draft.is_some_and(|draft| {
                    let get = |key| draft.properties.get(key);
                    get("UNIQ_KEY") == Some(&handle.unique_key) && get("TIMER_OUT_MS") == Some(&out)
                })
            })
            .collect();
        self.timers.pending.retain(|timer| !taken.contains(timer));
        Reply::error(response::SUCCESS, "not set any response code").field("msgId", handle.unique_key)
    }

    fn timer_at(&self, offset: i64) -> Option<Draft> {
        let entry = self.store.queue(TIMER_TOPIC, 0)?.from(offset).first().copied()?;
        Some(Draft::read(self.store.record(&entry))?.0)
    }
}

/// Where messages with a timer are kept.
pub(crate) const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";
/// Properties that ask for a timer, in the order in which they count.
pub(super) const TIMER_PROPERTIES: [&str; 3] = ["TIMER_DELAY_SEC", "TIMER_DELAY_MS", "TIMER_DELIVER_MS"];
/// What timers are rounded to.
const PRECISION_MS: i64 = 1_000;
/// The longest delay.
const MAX_DELAY_MS: i64 = 259_200_000;
/// The code of what cannot be taken back.
const ILLEGAL_OPERATION: i32 = 604;
