//! Pulls, those that are answered at once and those that are held: 11 and 361.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rocketmq_core::time::{Instant, Wakeup};
use rocketmq_core::wire::ExtFields;
use rocketmq_core::wire::codes::response;
use rocketmq_core::wire::header::FieldError;
use rocketmq_core::wire::java::java_hash;
use rocketmq_core::wire::request::PullMessage;
use rocketmq_core::wire::subscription::ExpressionType;

use super::filters::{Wanted, no_filter};
use super::{Answer, Broker, Call, FAQ};
use crate::cluster::config::BrokerConfig;
use crate::cluster::message::Draft;
use crate::cluster::output::{Reply, ReplyTo, SessionId};
use crate::cluster::store::{Queue, Store};

/// The header of a pull; offsets as they came, since the model answers wrong ones too.
#[derive(Clone, Debug)]
struct Pull {
    group: String,
    topic: String,
    queue_id: i32,
    offset: i64,
    max_messages: i32,
    flags: i32,
    commit_offset: i64,
    suspend: Duration,
    subscription: Option<String>,
    sub_version: i64,
    expression_type: Option<String>,
}

impl Pull {
    fn read(ext: &ExtFields) -> Result<Self, FieldError> {
        Ok(Self {
            group: ext.field("consumerGroup")?,
            topic: ext.field("topic")?,
            queue_id: ext.field("queueId")?,
            offset: ext.field("queueOffset")?,
            max_messages: ext.field("maxMsgNums")?,
            flags: ext.field("sysFlag")?,
            commit_offset: ext.field("commitOffset")?,
            suspend: Duration::from_millis(u64::try_from(ext.field::<i64>("suspendTimeoutMillis")?).unwrap_or(0)),
            subscription: ext.field("subscription")?,
            sub_version: ext.field("subVersion")?,
            expression_type: ext.field("expressionType")?,
        })
    }
}

/// Pulls that wait for a message, by queue.
#[derive(Debug)]
pub(super) struct Holds {
    held: BTreeMap<(String, i32), Vec<Hold>>,
    woken: Vec<Hold>,
    scan: Instant,
    period: Duration,
}

#[derive(Debug)]
struct Hold {
    to: ReplyTo,
    pull: Pull,
    wanted: Wanted,
    until: Instant,
}

impl Holds {
    pub(super) fn new(now: Instant, cfg: &BrokerConfig) -> Self {
        let period = if cfg.long_polling { cfg.hold_scan } else { SHORT_POLLING };
        Self { held: BTreeMap::new(), woken: Vec::new(), scan: now.after(period), period }
    }

    fn hold(&mut self, now: Instant, hold: Hold) {
        while self.scan <= now {
            self.scan = self.scan.after(self.period);
        }
        self.held.entry((hold.pull.topic.clone(), hold.pull.queue_id)).or_default().push(hold);
    }

    /// A message was stored: pulls that want it wake. (Expiry is left to the scan.)
    pub(super) fn arrived(&mut self, draft: &Draft, tags_code: i32) {
        if self.held.is_empty() {
            return;
        }
        let key = (draft.topic.clone(), draft.queue_id);
        let Some(holds) = self.held.get_mut(&key) else { return };
        self.woken.extend(holds.extract_if(.., |hold| hold.wanted.new_one(tags_code, &draft.properties)));
        if holds.is_empty() {
            self.held.remove(&key);
        }
    }

    /// At the time of a scan, pulls wake that waited long enough, or whose queue went on without a match.
    pub(super) fn scan(&mut self, now: Instant, store: &Store) {
        if now < self.scan {
            return;
        }
        while self.scan <= now {
            self.scan = self.scan.after(self.period);
        }
        for ((topic, queue_id), holds) in &mut self.held {
            let end = store.queue(topic, *queue_id).map_or(0, Queue::max_offset);
            self.woken.extend(holds.extract_if(.., |hold| hold.until <= now || hold.pull.offset < end));
        }
        self.held.retain(|_, holds| !holds.is_empty());
    }

    pub(super) fn next_scan(&self) -> Wakeup {
        if self.held.is_empty() { Wakeup::Never } else { Wakeup::At(self.scan) }
    }

    pub(super) fn forget(&mut self, session: SessionId) {
        self.held.values_mut().for_each(|holds| holds.retain(|hold| hold.to.session() != session));
        self.held.retain(|_, holds| !holds.is_empty());
    }
}

impl Broker {
    pub(super) fn on_pull(&mut self, call: &Call<'_>) -> Answer {
        let pull = Pull::read(&call.header.ext)?;
        if pull.max_messages < 0 && self.cfg.is_v4() {
            return Err("java.lang.IllegalArgumentException".into());
        }
        Ok(self.pull(call.now, call.to, pull, true))
    }

    /// Answers the pulls that were woken; they are not held again.
    pub(super) fn answer_woken(&mut self, now: Instant) {
        for hold in std::mem::take(&mut self.holds.woken) {
            if let Some(reply) = self.pull(now, hold.to, hold.pull, false) {
                self.out.reply(hold.to, &reply);
            }
        }
    }

    fn pull(&mut self, now: Instant, to: ReplyTo, pull: Pull, first: bool) -> Option<Reply> {
        let wanted = match self.check_pull(to, &pull) {
            Ok(wanted) => wanted,
            Err(error) => return Some(error),
        };
        let slave = self.cfg.is_slave();
        if first && pull.flags & PullMessage::COMMIT != 0 && !slave {
            self.offsets.commit(&pull.group, &pull.topic, pull.queue_id, pull.commit_offset);
        }
        let reset = self.offsets.take_reset(&pull.group, &pull.topic, pull.queue_id);
        let mut found = match reset {
            Some(target) => Found::nothing(response::PULL_OFFSET_MOVED, "OFFSET_RESET", target),
            None => self.read_queue(&pull, &wanted),
        };
        let behind = self.is_behind(&pull, &found);
        if slave && !self.cfg.is_v4() && !behind && found.code != response::SUCCESS {
            found.code = response::PULL_RETRY_IMMEDIATELY;
        }
        let suggested = if behind && self.cfg.slave_read { SLOW_READERS } else { 0 };
        if first && found.code == response::PULL_NOT_FOUND && pull.flags & PullMessage::SUSPEND != 0 {
            let wait = if self.cfg.long_polling { pull.suspend } else { SHORT_POLLING };
            self.holds.hold(now, Hold { to, pull, wanted, until: now.after(wait) });
            return None;
        }
        self.offsets.on_pull(&pull.group, &pull.topic, pull.queue_id, found.next);
        let queue = self.store.queue(&pull.topic, pull.queue_id);
        let reply = Reply::of(found.code)
            .remark(found.status)
            .field("suggestWhichBrokerId", suggested)
            .field("nextBeginOffset", found.next)
            .field("minOffset", queue.map_or(0, Queue::min_offset))
            .field("maxOffset", queue.map_or(0, Queue::max_offset))
            .body(found.records);
        Some(if self.cfg.is_v4() { reply } else { reply.field("topicSysFlag", 0).field("groupSysFlag", 0) })
    }

    /// Whether so much follows in the log that the messages are not in memory any more.
    fn is_behind(&self, pull: &Pull, found: &Found) -> bool {
        let queue = self.store.queue(&pull.topic, pull.queue_id).filter(|_| found.next > pull.offset);
        let last = queue.and_then(|queue| queue.from(found.next - 1).first());
        last.is_some_and(|last| self.store.end() - self.store.physical(last) > self.cfg.memory)
    }

    fn check_pull(&mut self, to: ReplyTo, pull: &Pull) -> Result<Wanted, Reply> {
        let (group, topic, queue_id) = (&pull.group, &pull.topic, pull.queue_id);
        if !self.find_group(group) {
            let error = format!("subscription group [{group}] does not exist, {FAQ}");
            return Err(Reply::error(response::SUBSCRIPTION_GROUP_NOT_EXIST, error));
        }
        let Some(config) = self.store.topic(topic) else {
            let error = format!("topic[{topic}] not exist, apply first please! {FAQ}");
            return Err(Reply::error(response::TOPIC_NOT_EXIST, error));
        };
        if !config.readable() {
            let error = format!("the topic[{topic}] pulling message is forbidden");
            let reply = Reply::error(response::NO_PERMISSION, error);
            return Err(if self.cfg.is_v4() { reply } else { reply.field("forbiddenType", TOPIC_FORBIDDEN) });
        }
        if queue_id < 0 || queue_id >= config.read_queues {
            let peer = self.sessions.get(&to.session()).map(ToString::to_string).unwrap_or_default();
            let error = format!(
                "queueId[{queue_id}] is illegal, topic:[{topic}] topicConfig.readQueueNums:[{}] consumer:[/{peer}]",
                config.read_queues
            );
            return Err(Reply::error(self.invalid_parameter(), error));
        }
        let (kind, wanted) = if pull.flags & PullMessage::SUBSCRIPTION != 0 {
            let expression = pull.subscription.as_deref();
            match pull.expression_type.as_deref() {
                Some(SQL) => (Some(SQL), Wanted::sql(expression.unwrap_or_default())),
                kind => (kind, parse_tags(expression)?),
            }
        } else {
            self.known_subscription(pull)?
        };
        match kind {
            None | Some("" | "TAG") => Ok(wanted),
            Some(SQL) if self.cfg.property_filter => Ok(wanted),
            Some(kind) => Err(Reply::error(response::SYSTEM_ERROR, no_filter(kind))),
        }
    }

    /// The subscription that the group's heartbeats announced.
    fn known_subscription(&self, pull: &Pull) -> Result<(Option<&'static str>, Wanted), Reply> {
        let missing = |what: &str| Reply::error(response::SUBSCRIPTION_NOT_EXIST, format!("{what} not exist{FAQ}"));
        let info = self.clients.group(&pull.group).ok_or_else(|| missing("the consumer's group info"))?;
        let known = info.subscriptions.get(&pull.topic).ok_or_else(|| missing("the consumer's subscription"))?;
        if known.sub_version < pull.sub_version {
            let error = "the consumer's subscription not latest";
            return Err(Reply::error(response::SUBSCRIPTION_NOT_LATEST, error));
        }
        let wanted = match known.expression_type {
            ExpressionType::Sql92 => self.filters.find(&pull.group, &pull.topic, pull.sub_version)?,
            ExpressionType::Tag if known.class_filter_mode || known.sub_string == "*" => Wanted::All,
            ExpressionType::Tag => Wanted::Tags(Arc::new(known.code_set.clone())),
        };
        Ok((Some(known.expression_type.name()), wanted))
    }

    fn read_queue(&self, pull: &Pull, wants: &Wanted) -> Found {
        let offset = pull.offset;
        let Some(queue) = self.store.queue(&pull.topic, pull.queue_id) else {
            let code = if offset == 0 { response::PULL_NOT_FOUND } else { response::PULL_OFFSET_MOVED };
            return Found::nothing(code, "NO_MESSAGE_IN_QUEUE", 0);
        };
        let (min, max) = (queue.min_offset(), queue.max_offset());
        if offset < min {
            return Found::nothing(response::PULL_OFFSET_MOVED, "OFFSET_TOO_SMALL", min);
        }
        if offset == max {
            return Found::nothing(response::PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE", offset);
        }
        if offset > max {
            return Found::nothing(response::PULL_OFFSET_MOVED, "OFFSET_OVERFLOW_BADLY", max);
        }
        let wanted = usize::try_from(pull.max_messages).unwrap_or(0).clamp(1, self.cfg.max_pull_messages);
        let (mut records, mut bytes, mut next) = (Vec::new(), 0, offset);
        for entry in queue.from(offset).iter().take(self.cfg.max_filter_entries.max(wanted)) {
            if wants.stored(entry, &self.store) {
                let record = self.store.record(entry);
                if !records.is_empty() && bytes + record.len() > self.cfg.max_pull_bytes {
                    break;
                }
                bytes += record.len();
                records.push(record.clone());
            }
            next += 1;
            if records.len() >= wanted {
                break;
            }
        }
        match records.as_slice() {
            [] => Found::nothing(response::PULL_RETRY_IMMEDIATELY, "NO_MATCHED_MESSAGE", next),
            [only] => Found { code: response::SUCCESS, status: "FOUND", next, records: only.clone() },
            several => {
                let mut body = BytesMut::with_capacity(bytes);
                several.iter().for_each(|record| body.extend_from_slice(record));
                Found { code: response::SUCCESS, status: "FOUND", next, records: body.freeze() }
            }
        }
    }
}

/// What a queue gives to a pull.
struct Found {
    code: i32,
    status: &'static str,
    next: i64,
    records: Bytes,
}

impl Found {
    fn nothing(code: i32, status: &'static str, next: i64) -> Self {
        Self { code, status, next, records: Bytes::new() }
    }
}

/// The tags of an expression such as `TagA || TagB`.
pub(super) fn parse_tags(expression: Option<&str>) -> Result<Wanted, Reply> {
    let expression = expression.unwrap_or("*");
    if expression.is_empty() || expression == "*" {
        return Ok(Wanted::All);
    }
    if expression.split("||").all(str::is_empty) {
        let error = "parse the consumer's subscription failed";
        return Err(Reply::error(response::SUBSCRIPTION_PARSE_FAILED, error));
    }
    let tags = expression.split("||").map(str::trim).filter(|tag| !tag.is_empty());
    Ok(Wanted::Tags(Arc::new(tags.map(java_hash).collect())))
}

/// The name of the type of expressions in SQL.
const SQL: &str = ExpressionType::Sql92.name();
/// The slave that slow readers are sent to: a group's `whichBrokerWhenConsumeSlowly`.
const SLOW_READERS: i64 = 1;
/// Why a pull is forbidden: its topic cannot be read.
const TOPIC_FORBIDDEN: i32 = 3;
/// How long an empty pull is held when long polling is off.
const SHORT_POLLING: Duration = Duration::from_secs(1);
