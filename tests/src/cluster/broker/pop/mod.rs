//! Messages that are popped: 200050, and what becomes of them: 200051, 200053, 200151.
//!
//! A pop moves the group's offset and notes a checkpoint. What of it is not acknowledged when its invisible time is over
//! is stored again, in a retry topic of group and topic.

mod assign;
mod settle;

pub(super) use assign::Modes;
pub(crate) use assign::Routes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rocketmq_core::ids::QueueOffset;
use rocketmq_core::time::{Instant, UnixMillis, Wakeup};
use rocketmq_core::wire::codes::response;
use rocketmq_core::wire::pop::{PopHandle, PopTopic};
use rocketmq_core::wire::request::{Fields, PopMessage};

use super::filters::Wanted;
use super::pull::parse_tags;
use super::{Answer, Broker, Call, FAQ};
use crate::cluster::message::Draft;
use crate::cluster::output::{Reply, ReplyTo, SessionId};

/// What is popped, and who waits for more.
#[derive(Debug, Default)]
pub(crate) struct Pops {
    /// What outlives a restart: brokers keep it in a topic of their own.
    checkpoints: BTreeMap<Key, Checkpoint>,
    held: Vec<Hold>,
    woken: Vec<Hold>,
    /// Which queue notes the next checkpoint.
    turn: i32,
}

/// What a checkpoint is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    topic: String,
    group: String,
    queue_id: i32,
    start: i64,
    pop_millis: i64,
    /// Tells what was hidden twice within a millisecond apart.
    invisible_millis: i64,
}

/// What one pop took from one queue.
#[derive(Debug)]
struct Checkpoint {
    /// The offsets that are not acknowledged.
    open: BTreeSet<i64>,
    /// When they are stored again.
    due: Instant,
}

#[derive(Debug)]
struct Hold {
    to: ReplyTo,
    pop: PopMessage,
    wanted: Wanted,
    until: Instant,
}

/// What a pop has found so far.
#[derive(Default)]
struct Found {
    records: Vec<Bytes>,
    starts: Vec<String>,
    offsets: Vec<String>,
    rest: i64,
}

impl Pops {
    /// The process ended: nobody waits any more.
    pub(super) fn stop(&mut self) {
        self.held.clear();
        self.woken.clear();
    }

    pub(super) fn forget(&mut self, session: SessionId) {
        self.held.retain(|hold| hold.to.session() != session);
        self.woken.retain(|hold| hold.to.session() != session);
    }

    /// A message was stored: of each group that waits for its topic one pop wakes.
    pub(super) fn arrived(&mut self, topic: &str, queue_id: i32) {
        if self.held.is_empty() {
            return;
        }
        let mut woken = BTreeSet::new();
        let (wake, held) = std::mem::take(&mut self.held).into_iter().partition(|hold: &Hold| {
            let pop = &hold.pop;
            let retries = [PopTopic::RetryV1, PopTopic::RetryV2].map(|kind| kind.name(&pop.group, &pop.topic));
            let queue = pop.queue_id < 0 || pop.queue_id == queue_id;
            let wanted = (pop.topic.as_str() == topic && queue) || retries.iter().any(|retry| retry.as_str() == topic);
            wanted && woken.insert(pop.group.clone())
        });
        self.held = held;
        self.woken.extend::<Vec<Hold>>(wake);
    }

    /// Pops that waited long enough wake.
    pub(super) fn expire(&mut self, now: Instant) {
        self.woken.extend(self.held.extract_if(.., |hold| hold.until <= now));
    }

    pub(super) fn next_due(&self) -> Wakeup {
        let due = self.checkpoints.values().map(|checkpoint| checkpoint.due);
        let held = self.held.iter().map(|hold| hold.until);
        due.chain(held).min().map_or(Wakeup::Never, Wakeup::At)
    }
}

impl Broker {
    pub(super) fn on_pop(&mut self, call: &Call<'_>) -> Answer {
        let pop = PopMessage::read(&call.header.ext)?;
        let late = call.wall.0.saturating_sub(pop.born_millis).saturating_sub(pop.poll_millis);
        if late > MOST_LATE {
            let error = format!("the broker[{}] pop message is timeout too much", self.cfg.address.ip());
            return Ok(Some(nothing(response::POLLING_TIMEOUT).remark(error)));
        }
        if let Some(error) = self.refused_pop(call, &pop) {
            return Ok(Some(error));
        }
        let expression = pop.expression.as_deref().filter(|text| !text.is_empty());
        let wanted = match pop.expression_type.as_deref() {
            None | Some("" | "TAG") => parse_tags(expression),
            Some("SQL92") if self.cfg.property_filter => Ok(Wanted::sql(expression.unwrap_or_default())),
            // As if no message matched.
            Some(_) => Ok(Wanted::Tags(Arc::default())),
        };
        let Ok(wanted) = wanted else {
            let error = "parse the consumer's subscription failed";
            return Ok(Some(nothing(response::SUBSCRIPTION_PARSE_FAILED).remark(error)));
        };
        // What is left of the time to wait.
        let wait = Duration::from_millis(u64::try_from(pop.poll_millis.min(-late)).unwrap_or(0));
        let until = call.now.after(wait);
        self.pop(call.now, call.wall, Hold { to: call.to, pop, wanted, until });
        Ok(None)
    }

    fn refused_pop(&mut self, call: &Call<'_>, pop: &PopMessage) -> Option<Reply> {
        let (topic, queue_id) = (pop.topic.as_str(), pop.queue_id);
        if pop.max_messages > MOST_MESSAGES {
            let error = format!("the broker[{}] pop message's num is greater than 32", self.cfg.address.ip());
            return Some(nothing(response::INVALID_PARAMETER).remark(error));
        }
        let Some(config) = self.store.topic(topic) else {
            let error = format!("topic[{topic}] not exist, apply first please! {FAQ}");
            return Some(nothing(response::TOPIC_NOT_EXIST).remark(error));
        };
        if !config.readable() {
            let error = format!("the topic[{topic}] peeking message is forbidden");
            return Some(nothing(response::NO_PERMISSION).remark(error));
        }
        if queue_id >= config.read_queues {
            let error = format!(
                "queueId[{queue_id}] is illegal, topic:[{topic}] topicConfig.readQueueNums:[{}] consumer:[/{}]",
                config.read_queues, call.peer
            );
            return Some(nothing(response::INVALID_PARAMETER).remark(error));
        }
        if !self.find_group(pop.group.as_str()) {
            let error = format!("subscription group [{}] does not exist, {FAQ}", pop.group);
            return Some(nothing(response::SUBSCRIPTION_GROUP_NOT_EXIST).remark(error));
        }
        None
    }

    /// Answers the pops that were woken, or holds them again.
    pub(super) fn answer_woken_pops(&mut self, now: Instant, wall: UnixMillis) {
        for hold in std::mem::take(&mut self.pops.woken) {
            self.pop(now, wall, hold);
        }
    }

    /// Pops, and answers unless there is nothing yet.
    fn pop(&mut self, now: Instant, wall: UnixMillis, hold: Hold) {
        let Hold { to, pop, until, .. } = &hold;
        let turn = self.pops.turn;
        self.pops.turn = (turn + 1) % REVIVE_QUEUES;
        let mut found = Found::default();
        let retries = [PopTopic::RetryV1, PopTopic::RetryV2];
        let retry_first = self.rng.below(100) < RETRY_FIRST;
        let mut kinds = vec![PopTopic::Normal];
        kinds.splice(if retry_first { 0..0 } else { 1..1 }, retries);
        for kind in kinds {
            let topic = kind.name(&pop.group, &pop.topic);
            let queues = self.store.topic(topic.as_str()).map_or(0, |config| config.read_queues);
            let all = kind != PopTopic::Normal || pop.queue_id < 0;
            let first = if all && queues > 1 { self.rng.below(usize::try_from(queues).unwrap_or(1)) } else { 0 };
            let first = i32::try_from(first).unwrap_or(0);
            let ids: Vec<i32> =
                if all { (0..queues).map(|id| (first + id) % queues).collect() } else { vec![pop.queue_id] };
            for queue_id in ids {
                self.pop_queue((now, wall), &hold, kind, (topic.as_str(), queue_id), turn, &mut found);
            }
        }
        if found.records.is_empty() {
            if now < *until {
                return self.pops.held.push(hold);
            }
            let reply = answer(response::POLLING_TIMEOUT, wall.0, pop.invisible_millis, turn, &found);
            return self.out.reply(*to, &reply.remark("NO_MESSAGE_IN_QUEUE"));
        }
        let mut body = BytesMut::new();
        found.records.iter().for_each(|record| body.extend_from_slice(record));
        let reply = answer(response::SUCCESS, wall.0, pop.invisible_millis, turn, &found);
        self.out.reply(*to, &reply.remark("FOUND").body(body.freeze()));
    }

    /// Takes from one queue what there is and fits.
    fn pop_queue(
        &mut self,
        (now, wall): (Instant, UnixMillis),
        hold: &Hold,
        kind: PopTopic,
        (topic, queue_id): (&str, i32),
        turn: i32,
        found: &mut Found,
    ) {
        let (pop, group) = (&hold.pop, hold.pop.group.as_str());
        let Some(queue) = self.store.queue(topic, queue_id) else { return };
        let (min, max) = (queue.min_offset(), queue.max_offset());
        let start = match self.offsets.committed(group, topic, queue_id) {
            Some(offset) if (min..=max).contains(&offset) => offset,
            Some(offset) => {
                if offset < min {
                    min
                } else {
                    max
                }
            }
            None if pop.init_mode == PopMessage::FROM_FIRST || kind != PopTopic::Normal || min == 0 => min,
            None => (max - 1).max(0),
        };
        let most = usize::try_from(pop.max_messages).unwrap_or(0);
        let (mut next, mut taken) = (start, Vec::new());
        for entry in queue.from(start) {
            if found.records.len() >= most {
                break;
            }
            if hold.wanted.stored(entry, &self.store) {
                let offset = next;
                let handle = PopHandle {
                    start: QueueOffset::from_wire(start).unwrap_or_default(),
                    pop_millis: wall.0,
                    invisible_millis: pop.invisible_millis,
                    revive_queue: turn,
                    topic: kind,
                    broker: self.cfg.name.as_str().into(),
                    queue_id,
                    offset: QueueOffset::from_wire(offset).unwrap_or_default(),
                };
                let record = self.store.record(entry);
                found.records.push(match kind {
                    PopTopic::Normal => record.clone(),
                    PopTopic::RetryV1 | PopTopic::RetryV2 => rewritten(record, pop.topic.as_str(), &handle),
                });
                taken.push(offset);
            }
            next += 1;
        }
        found.rest += max - next;
        if next > start {
            self.set_committed(group, topic, queue_id, next);
        }
        if taken.is_empty() {
            return;
        }
        let texts: Vec<String> = taken.iter().map(ToString::to_string).collect();
        found.starts.push(format!("{kind} {queue_id} {start}"));
        found.offsets.push(format!("{kind} {queue_id} {}", texts.join(",")));
        let key = Key {
            topic: topic.to_owned(),
            group: group.to_owned(),
            queue_id,
            start,
            pop_millis: wall.0,
            invisible_millis: pop.invisible_millis,
        };
        self.hide(now, key, taken);
    }

    /// Notes a checkpoint.
    fn hide(&mut self, now: Instant, key: Key, offsets: Vec<i64>) {
        let hidden = Duration::from_millis(u64::try_from(key.invisible_millis).unwrap_or(0));
        let due = now.after(hidden).after(self.cfg.revive_lag);
        let checkpoint = Checkpoint { open: offsets.into_iter().collect(), due };
        match self.pops.checkpoints.get_mut(&key) {
            // Popped twice in one millisecond from one offset: as brokers do, which know it by no more than that.
            Some(known) => known.open.extend(checkpoint.open),
            None => drop(self.pops.checkpoints.insert(key, checkpoint)),
        }
    }

    /// Messages that were popped and not acknowledged in time are stored again.
    pub(super) fn revive_due(&mut self, now: Instant, wall: UnixMillis) {
        let due: Vec<Key> =
            self.pops.checkpoints.iter().filter(|(_, point)| point.due <= now).map(|(key, _)| key.clone()).collect();
        for key in due {
            let Some(checkpoint) = self.pops.checkpoints.remove(&key) else { continue };
            for offset in checkpoint.open {
                self.revive(now, wall, &key, offset);
            }
        }
    }

    fn revive(&mut self, now: Instant, wall: UnixMillis, key: &Key, offset: i64) {
        let entry = self.store.queue(&key.topic, key.queue_id).and_then(|queue| queue.from(offset).first().copied());
        let Some(entry) = entry else { return };
        let Some((mut draft, _)) = Draft::read(self.store.record(&entry)) else { return };
        if PopTopic::of_record(&key.topic) == PopTopic::Normal {
            draft.topic =
                PopTopic::RetryV1.name(&key.group.as_str().into(), &key.topic.as_str().into()).as_str().to_owned();
        }
        draft.queue_id = 0;
        draft.born_host = self.cfg.address;
        draft.reconsume_times += 1;
        draft.properties.set("ORIGIN_GROUP", &key.group);
        if draft.properties.get("1ST_POP_TIME").is_none() {
            draft.properties.set("1ST_POP_TIME", &key.pop_millis.to_string());
        }
        self.ensure_group_topic(&draft.topic.clone(), 1);
        self.append(now, wall, &draft).expect("what was stored once can be stored again");
    }
}

/// A record of a retry topic as it is popped: in the topic that was asked for, with its handle.
fn rewritten(record: &Bytes, topic: &str, handle: &PopHandle) -> Bytes {
    let Some((mut draft, place)) = Draft::read(record) else { return record.clone() };
    topic.clone_into(&mut draft.topic);
    draft.properties.set("POP_CK", &handle.to_string());
    let encoded = draft.properties.encode().and_then(|properties| draft.record(properties, &place));
    encoded.unwrap_or_else(|_| record.clone())
}

/// An answer to a pop without messages.
fn nothing(code: i32) -> Reply {
    Reply::of(code).field("popTime", 0).field("invisibleTime", 0).field("reviveQid", 0).field("restNum", 0)
}

fn answer(code: i32, pop_millis: i64, invisible_millis: i64, turn: i32, found: &Found) -> Reply {
    Reply::of(code)
        .field("popTime", pop_millis)
        .field("invisibleTime", invisible_millis)
        .field("reviveQid", turn)
        .field("restNum", found.rest)
        .field("startOffsetInfo", found.starts.join(";"))
        .field("msgOffsetInfo", found.offsets.join(";"))
}

/// How old a pop may be beyond its poll time, milliseconds.
const MOST_LATE: i64 = 500;
/// The most messages of one pop.
const MOST_MESSAGES: i32 = 32;
/// Queues in which checkpoints are noted.
const REVIVE_QUEUES: i32 = 8;
/// How many of a hundred pops look into the retry topic first.
const RETRY_FIRST: usize = 20;
