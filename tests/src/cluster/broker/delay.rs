//! Delayed messages: one queue a level, delivered in order when due.

use rocketmq_core::time::{Instant, UnixMillis, Wakeup};
use rocketmq_core::wire::message::EncodeError;

use super::Broker;
use super::topics::SCHEDULE_TOPIC;
use crate::cluster::config::BrokerConfig;
use crate::cluster::message::Draft;
use crate::cluster::store::{Appended, Entry, Store};

/// How far each level was delivered.
#[derive(Debug)]
pub(super) struct Delays {
    delivered: Vec<i64>,
}

impl Delays {
    pub(super) fn new(levels: usize) -> Self {
        Self { delivered: vec![0; levels] }
    }

    /// The log lost its end: nothing beyond it was delivered.
    pub(super) fn truncate(&mut self, store: &Store) {
        for (queue_id, delivered) in (0..).zip(&mut self.delivered) {
            let end = store.queue(SCHEDULE_TOPIC, queue_id).map_or(0, |queue| queue.max_offset());
            *delivered = end.min(*delivered);
        }
    }

    pub(super) fn next_due(&self, store: &Store, cfg: &BrokerConfig) -> Wakeup {
        self.earliest(store, cfg).map_or(Wakeup::Never, |(at, _, _)| Wakeup::At(at))
    }

    /// The message that is due first: when, its level's index, its entry.
    fn earliest(&self, store: &Store, cfg: &BrokerConfig) -> Option<(Instant, usize, Entry)> {
        let head = |(level, delivered): (usize, &i64)| {
            let queue = store.queue(SCHEDULE_TOPIC, i32::try_from(level).ok()?)?;
            let entry = queue.from(*delivered).first()?;
            Some((entry.stored_at.after(*cfg.delay_levels.get(level)?), level, *entry))
        };
        self.delivered.iter().enumerate().filter_map(head).min_by_key(|(at, level, _)| (*at, *level))
    }
}

impl Broker {
    /// Delayed messages that are not delivered yet.
    #[must_use]
    pub fn delayed(&self) -> usize {
        let levels = (0..).zip(&self.delays.delivered);
        let delayed =
            |(id, at): (i32, &i64)| self.store.queue(SCHEDULE_TOPIC, id).map_or(0, |queue| queue.from(*at).len());
        levels.map(delayed).sum::<usize>() + self.timers.len()
    }

    /// Stores the message, to be seen after the delay of `level` (none when 0 or less).
    pub(super) fn append_delayed(
        &mut self,
        now: Instant,
        wall: UnixMillis,
        mut draft: Draft,
        level: i32,
    ) -> Result<Appended, EncodeError> {
        let levels = i32::try_from(self.cfg.delay_levels.len()).unwrap_or(i32::MAX);
        if level > levels {
            draft.properties.set("DELAY", &levels.to_string());
        }
        let level = level.min(levels);
        if level > 0 {
            let queue_id = draft.queue_id.to_string();
            draft.properties.set("REAL_TOPIC", &draft.topic);
            draft.properties.set("REAL_QID", &queue_id);
            SCHEDULE_TOPIC.clone_into(&mut draft.topic);
            draft.queue_id = level - 1;
        }
        self.append(now, wall, &draft)
    }

    /// Delivers every delayed message whose time has come.
    pub(super) fn deliver_due(&mut self, now: Instant, wall: UnixMillis) {
        while let Some((_, level, entry)) = self.delays.earliest(&self.store, &self.cfg).filter(|(at, _, _)| *at <= now)
        {
            self.delays.delivered[level] += 1;
            let Some((mut draft, _)) = Draft::read(self.store.record(&entry)) else { continue };
            let Some(topic) = draft.properties.get("REAL_TOPIC").map(str::to_owned) else { continue };
            draft.queue_id = draft.properties.get("REAL_QID").and_then(|id| id.parse().ok()).unwrap_or(0);
            draft.topic = topic;
            self.append(now, wall, &draft).expect("what was stored once can be stored again");
        }
    }
}
