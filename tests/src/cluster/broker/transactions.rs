//! Half messages: stored apart, made visible or withdrawn by 37, and asked about with 39 when nobody says anything.

use std::collections::BTreeSet;

use bytes::Bytes;
use rocketmq_core::time::{Instant, UnixMillis, Wakeup};
use rocketmq_core::wire::ExtWriter;
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::message::{EncodeError, SysFlags, TransactionKind};
use rocketmq_core::wire::request::{EndTransaction, Fields};

use super::{Answer, Broker, Call};
use crate::cluster::config::BrokerConfig;
use crate::cluster::message::{Draft, Place, Properties};
use crate::cluster::output::{Reply, SessionId};
use crate::cluster::store::{Appended, Entry, Store};

/// How far the queue of half messages was looked through, and when that is done next.
#[derive(Debug)]
pub(super) struct Halves {
    /// The first half message that may be undecided.
    next: i64,
    /// Those that are decided, by their offset, as the broker's own notes say.
    decided: BTreeSet<i64>,
    check: Instant,
    /// Producers of a group are asked in turn.
    turn: usize,
}

impl Halves {
    pub(super) fn new(now: Instant, cfg: &BrokerConfig) -> Self {
        Self { next: 0, decided: BTreeSet::new(), check: now.after(cfg.transaction_check_interval), turn: 0 }
    }

    /// The process ended: the next look is an interval after its start.
    pub(super) fn stop(&mut self, now: Instant, cfg: &BrokerConfig) {
        self.check = now.after(cfg.transaction_check_interval);
    }

    /// The log lost its end: what is not noted there is not decided.
    pub(super) fn truncate(&mut self, store: &Store) {
        self.next = self.next.min(end_of(store));
        let notes = store.queue(OP_TOPIC, 0).map(|queue| queue.from(0)).unwrap_or_default();
        let body = |entry: &Entry| Draft::read(store.record(entry)).map(|(draft, _)| draft.body);
        let number = |body: Bytes| std::str::from_utf8(&body).ok()?.trim_end_matches(',').parse().ok();
        self.decided = notes.iter().filter_map(body).filter_map(number).collect();
    }

    pub(super) fn next_check(&self, store: &Store) -> Wakeup {
        if self.open(store) == 0 { Wakeup::Never } else { Wakeup::At(self.check) }
    }

    fn open(&self, store: &Store) -> usize {
        (self.next..end_of(store)).filter(|offset| !self.decided.contains(offset)).count()
    }
}

impl Broker {
    /// Half messages that are not decided, those among them that the broker still asks about.
    #[must_use]
    pub fn open_halves(&self) -> usize {
        self.halves.open(&self.store)
    }

    /// Stores a half message apart from what consumers see.
    pub(super) fn append_half(
        &mut self,
        now: Instant,
        wall: UnixMillis,
        mut draft: Draft,
    ) -> Result<Appended, EncodeError> {
        let queue_id = draft.queue_id.to_string();
        if let Some(unique) = draft.properties.get("UNIQ_KEY").map(str::to_owned).filter(|_| !self.cfg.is_v4()) {
            draft.properties.set("__transactionId__", &unique);
        }
        draft.properties.set("REAL_TOPIC", &draft.topic);
        draft.properties.set("REAL_QID", &queue_id);
        draft.sys_flag = SysFlags(draft.sys_flag).with_transaction(TransactionKind::None).0;
        HALF_TOPIC.clone_into(&mut draft.topic);
        draft.queue_id = 0;
        self.append(now, wall, &draft)
    }

    /// Code 37.
    pub(super) fn end_transaction(&mut self, call: &Call<'_>) -> Answer {
        if self.cfg.is_slave() {
            return Ok(Some(Reply::of(response::SLAVE_NOT_AVAILABLE)));
        }
        let word = EndTransaction::read(&call.header.ext)?;
        let commit = match word.resolution {
            EndTransaction::COMMIT => true,
            EndTransaction::ROLLBACK => false,
            _ => return Ok(None),
        };
        let refuse = |why: &str| Ok(Some(Reply::error(response::SYSTEM_ERROR, why)));
        let Some((half, place)) = self.store.record_at(word.log_offset).and_then(Draft::read) else {
            return refuse("Find prepared transaction message failed");
        };
        if half.properties.get("PGROUP") != Some(word.group.as_str()) {
            return refuse("The producer group wrong");
        }
        if place.queue_offset != word.table_offset {
            return refuse("The transaction state table offset wrong");
        }
        if commit {
            let draft = self.committed_draft(half, word.log_offset);
            if self.append(call.now, call.wall, &draft).is_err() {
                return refuse("the message is illegal");
            }
        }
        self.note_decided(call.now, call.wall, word.table_offset);
        let done = Reply::ok();
        Ok(Some(if commit { done } else { done.remark("not set any response code") }))
    }

    /// Looks through the undecided half messages, and asks about those that are old enough.
    pub(super) fn check_halves(&mut self, now: Instant, wall: UnixMillis) {
        if now < self.halves.check {
            return;
        }
        while self.halves.check <= now {
            self.halves.check = self.halves.check.after(self.cfg.transaction_check_interval);
        }
        let end = end_of(&self.store);
        while self.halves.next < end && (self.is_decided(self.halves.next) || self.check_next(now, wall)) {
            self.halves.next += 1;
        }
    }

    fn is_decided(&self, offset: i64) -> bool {
        self.halves.decided.contains(&offset)
    }

    /// Deals with the first undecided half message; `false` when it, and all after it, are too young.
    fn check_next(&mut self, now: Instant, wall: UnixMillis) -> bool {
        let entry = self.store.queue(HALF_TOPIC, 0).and_then(|queue| queue.from(self.halves.next).first().copied());
        let Some((mut half, _)) = entry.and_then(|entry| Draft::read(self.store.record(&entry))) else { return false };
        let times: u32 = half.properties.get("TRANSACTION_CHECK_TIMES").and_then(|text| text.parse().ok()).unwrap_or(0);
        if times >= self.cfg.transaction_check_max {
            MAX_TOPIC.clone_into(&mut half.topic);
            self.append(now, wall, &half).expect("what was stored once can be stored again");
            return true;
        }
        let age = wall.0.saturating_sub(half.born_ms);
        let young = i64::try_from(self.cfg.transaction_timeout.as_millis()).unwrap_or(i64::MAX);
        if (0..young).contains(&age) {
            return false;
        }
        // What is asked about is stored anew each time, whether anybody can be asked or not.
        half.properties.set("TRANSACTION_CHECK_TIMES", &(times + 1).to_string());
        half.properties.remove("WAIT");
        let stored = self.append(now, wall, &half).expect("what was stored once can be stored again");
        if let Some(producer) = half.properties.get("PGROUP").and_then(|group| self.any_producer(group)) {
            self.ask_producer(producer, half, &stored.place);
        }
        true
    }

    fn any_producer(&mut self, group: &str) -> Option<SessionId> {
        let members = self.clients.producers(group)?;
        self.halves.turn = self.halves.turn.wrapping_add(1);
        members.keys().nth(self.halves.turn.checked_rem(members.len())?).copied()
    }

    fn ask_producer(&mut self, producer: SessionId, mut half: Draft, place: &Place) {
        let real = |key: &str| half.properties.get(key).map(str::to_owned);
        let (Some(topic), Some(queue_id)) = (real("REAL_TOPIC"), real("REAL_QID")) else { return };
        half.topic = topic;
        half.queue_id = queue_id.parse().unwrap_or(0);
        // What is told has it, what is stored has not.
        half.properties.set("WAIT", "false");
        let Ok(Ok(body)) = half.properties.encode().map(|properties| half.record(properties, place)) else { return };
        let unique = half.properties.get("UNIQ_KEY").unwrap_or_default();
        let offset_id = self.msg_id(place.physical);
        let (name, v4) = (self.cfg.name.as_str(), self.cfg.is_v4());
        let fields = |out: &mut ExtWriter<'_>| {
            if !v4 {
                out.text("bname", name);
                out.text("topic", HALF_TOPIC);
            }
            out.text("commitLogOffset", &place.physical.to_string());
            out.text("tranStateTableOffset", &place.queue_offset.to_string());
            out.text("msgId", unique);
            out.text("transactionId", unique);
            out.text("offsetMsgId", &offset_id);
        };
        self.out.oneway(producer, request::CHECK_TRANSACTION_STATE, body, fields);
    }

    fn committed_draft(&self, mut half: Draft, log_offset: i64) -> Draft {
        let real = |key: &str| half.properties.get(key).map(str::to_owned);
        half.queue_id = real("REAL_QID").and_then(|id| id.parse().ok()).unwrap_or(0);
        half.topic = real("REAL_TOPIC").unwrap_or_default();
        if !self.cfg.is_v4() {
            half.properties.remove("REAL_TOPIC");
            half.properties.remove("REAL_QID");
        }
        half.properties.remove("WAIT");
        half.sys_flag = SysFlags(half.sys_flag).with_transaction(TransactionKind::Commit).0;
        half.prepared = log_offset;
        half
    }

    /// Notes that a half message is decided: the note is in the log as well.
    fn note_decided(&mut self, now: Instant, wall: UnixMillis, offset: i64) {
        let mut properties = Properties::default();
        properties.set("TAGS", "d");
        let note = Draft {
            topic: OP_TOPIC.to_owned(),
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_ms: wall.0,
            born_host: self.cfg.address,
            reconsume_times: 0,
            prepared: 0,
            body: format!("{offset},").into(),
            properties,
        };
        self.append(now, wall, &note).expect("a note is short");
        self.halves.decided.insert(offset);
    }
}

/// Whether the properties are those of a half message.
pub(super) fn is_half(properties: &Properties) -> bool {
    properties.get("TRAN_MSG").is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn end_of(store: &Store) -> i64 {
    store.queue(HALF_TOPIC, 0).map_or(0, |queue| queue.max_offset())
}

/// Where half messages are.
pub(super) const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
/// Where the broker notes which of them are decided.
pub(super) const OP_TOPIC: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
/// Where it puts those about which it has asked for the last time.
pub(super) const MAX_TOPIC: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
