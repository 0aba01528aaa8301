//! What operators have a broker do with the members of a group: 222 and 223, and 307 and 309, which it passes on.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_core::ids::{ClientId, MessageQueue};
use rocketmq_core::time::{Instant, Wakeup};
use rocketmq_core::wire::body::{ConsumerStatus, QueueTable, ResetOffsets};
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::header::FieldError;
use rocketmq_core::wire::message::OffsetMsgId;
use rocketmq_core::wire::request::{Fields, InvokeConsumerStatus, InvokeResetOffset};
use rocketmq_core::wire::{ExtFields, Frame};

use super::replies::Push;
use super::{Answer, Broker, Call};
use crate::cluster::fields::flag;
use crate::cluster::output::{Reply, ReplyTo, SessionId};

/// What was asked of clients, and is not answered yet.
#[derive(Debug, Default)]
pub(super) struct Questions {
    open: BTreeMap<(SessionId, i32), Question>,
    statuses: BTreeMap<u64, (ReplyTo, ConsumerStatus)>,
    next: u64,
}

#[derive(Debug)]
struct Question {
    until: Instant,
    of: Of,
}

#[derive(Debug)]
enum Of {
    /// Whatever the client says is passed on; the text is who it is.
    Relay(ReplyTo, String),
    /// Its offsets go into a table.
    Status(u64, ClientId),
    /// It takes a reply.
    Push(Push),
}

impl Questions {
    pub(super) fn next_end(&self) -> Wakeup {
        self.open.values().map(|question| Wakeup::At(question.until)).fold(Wakeup::Never, Wakeup::min)
    }

    fn keys(&self, over: impl Fn(&(SessionId, i32), &Question) -> bool) -> Vec<(SessionId, i32)> {
        self.open.iter().filter(|(key, question)| over(key, question)).map(|(key, _)| *key).collect()
    }
}

impl Broker {
    /// Whether it ever asked a client something under this opaque.
    #[must_use]
    pub fn has_asked(&self, opaque: i32) -> bool {
        self.out.has_asked(opaque)
    }

    /// Code 222.
    pub(super) fn invoke_reset(&mut self, call: &Call<'_>) -> Answer {
        let reset = if self.cfg.is_v4() {
            let ext = &call.header.ext;
            InvokeResetOffset {
                topic: ext.field("topic")?,
                group: ext.field("group")?,
                queue_id: -1,
                offset: -1,
                timestamp: ext.field::<Option<i64>>("timestamp")?.unwrap_or(0),
                force: flag(ext, "isForce").unwrap_or(false),
            }
        } else {
            read_reset(&call.header.ext)?
        };
        if self.cfg.server_side_reset { self.reset_here(&reset) } else { self.reset_at_members(&reset) }
    }

    /// The broker sets the offsets, and tells of them with the next pulls.
    fn reset_here(&mut self, reset: &InvokeResetOffset) -> Answer {
        let (topic, group) = (reset.topic.as_str(), reset.group.as_str());
        let Some(config) = self.store.topic(topic) else {
            return Ok(Some(Reply::error(response::TOPIC_NOT_EXIST, format!("Topic {topic} does not exist"))));
        };
        if !self.groups.contains_key(group) {
            let error = format!("Group {group} does not exist");
            return Ok(Some(Reply::error(response::SUBSCRIPTION_GROUP_NOT_EXIST, error)));
        }
        let queues = if reset.queue_id < 0 { 0..config.read_queues } else { reset.queue_id..reset.queue_id + 1 };
        let mut table = BTreeMap::new();
        for id in queues {
            let offset = if reset.queue_id >= 0 && reset.offset != -1 {
                let (min, max) = self.bounds(topic, id);
                if reset.offset < min || reset.offset > max + 1 {
                    let error = format!("Target offset {} not in consume queue range [{min}-{max}]", reset.offset);
                    return Ok(Some(Reply::error(response::SYSTEM_ERROR, error)));
                }
                reset.offset
            } else {
                self.offset_of_time(topic, id, reset.timestamp)
            };
            table.insert(self.queue(topic, id), offset);
        }
        for (queue, offset) in &table {
            self.reset_offset(group, topic, queue.id, *offset);
        }
        Ok(Some(Reply::ok().body(ResetOffsets { offset_table: QueueTable(table) }.encode())))
    }

    /// The members are told, and set them.
    fn reset_at_members(&mut self, reset: &InvokeResetOffset) -> Answer {
        let (topic, group) = (reset.topic.as_str(), reset.group.as_str());
        let Some(config) = self.store.topic(topic) else {
            let error = format!("[reset-offset] reset offset failed, no topic in this broker. topic={topic}");
            return Ok(Some(Reply::error(response::SYSTEM_ERROR, error)));
        };
        let mut table = BTreeMap::new();
        for id in 0..config.write_queues {
            let Some(known) = self.offsets.committed(group, topic, id) else {
                let error = format!("THe consumer group <{group}> not exist");
                return Ok(Some(Reply::error(response::SYSTEM_ERROR, error)));
            };
            let wanted = self.offset_of_time(topic, id, reset.timestamp);
            let offset = if reset.force || wanted < known { wanted } else { known };
            table.insert(self.queue(topic, id), offset);
        }
        let Some(info) = self.clients.group(group) else {
            let error = format!(
                "Consumer not online, so can not reset offset, Group: {group} Topic: {topic} Timestamp: {}",
                reset.timestamp
            );
            return Ok(Some(Reply::error(response::CONSUMER_NOT_ONLINE, error)));
        };
        let body = Bytes::from(ResetOffsets { offset_table: QueueTable(table) }.encode());
        for session in info.members.keys() {
            let v4 = self.cfg.is_v4();
            self.out.oneway(*session, request::RESET_CONSUMER_CLIENT_OFFSET, body.clone(), |out| {
                out.text("topic", topic);
                out.text("group", group);
                out.int("timestamp", reset.timestamp);
                out.bool("isForce", false);
                if !v4 {
                    out.int("queueId", -1);
                }
            });
        }
        let reply = Reply::ok().body(body);
        Ok(Some(if self.cfg.is_v4() { reply.remark(NOT_SET) } else { reply }))
    }

    /// Code 223.
    pub(super) fn invoke_status(&mut self, call: &Call<'_>) -> Answer {
        let InvokeConsumerStatus { topic, group, client } = InvokeConsumerStatus::read(&call.header.ext)?;
        let Some(info) = self.clients.group(group.as_str()) else {
            let error = format!("No Any Consumer online in the consumer group: [{group}]");
            return Ok(Some(Reply::error(response::SYSTEM_ERROR, error)));
        };
        let asked = |(session, member): (&SessionId, &super::Client)| {
            let wanted = client.as_ref().is_none_or(|only| only.as_str().is_empty() || *only == member.id);
            wanted.then(|| (*session, member.id.clone()))
        };
        let asked: Vec<_> = info.members.iter().filter_map(asked).collect();
        let number = self.questions.next;
        self.questions.next += 1;
        self.questions.statuses.insert(number, (call.to, ConsumerStatus::default()));
        for (session, member) in asked {
            let opaque = self.out.request(session, request::GET_CONSUMER_STATUS_FROM_CLIENT, Bytes::new(), |out| {
                out.text("topic", topic.as_str());
                out.text("group", group.as_str());
            });
            let question = Question { until: call.now.after(STATUS_TIMEOUT), of: Of::Status(number, member) };
            self.questions.open.insert((session, opaque), question);
        }
        self.tell_status(number);
        Ok(None)
    }

    /// Code 307.
    pub(super) fn ask_member(&mut self, call: &Call<'_>) -> Answer {
        let (group, client): (String, String) =
            (call.header.ext.field("consumerGroup")?, call.header.ext.field("clientId")?);
        self.pass_on(call, &group, &client, call.header.ext.clone(), Bytes::new())
    }

    /// Code 309.
    pub(super) fn have_consumed(&mut self, call: &Call<'_>) -> Answer {
        let mut ext = call.header.ext.clone();
        let (group, client): (String, String) =
            (ext.field("consumerGroup")?, ext.get("clientId").unwrap_or("null").to_owned());
        ext.push("brokerName", &self.cfg.name);
        if !self.cfg.is_v4() {
            ext.push("topicSysFlag", "0");
            ext.push("groupSysFlag", "0");
        }
        let id: Option<OffsetMsgId> = ext.get("msgId").and_then(|id| id.parse().ok());
        let Some(record) = id.and_then(|id| self.store.record_at(id.physical_offset)).cloned() else {
            return Err("no such message".into());
        };
        self.pass_on(call, &group, &client, ext, record)
    }

    /// A client answered.
    pub(super) fn client_answered(&mut self, session: SessionId, frame: Frame) {
        let Some(question) = self.questions.open.remove(&(session, frame.header.opaque.0)) else { return };
        match question.of {
            Of::Relay(to, _) => self.out.relay(to, &frame),
            Of::Status(number, member) => {
                if frame.header.code == response::SUCCESS
                    && let Ok(told) = ConsumerStatus::decode(&frame.body)
                    && let Some((_, status)) = self.questions.statuses.get_mut(&number)
                {
                    status.consumer_table.insert(member, told.message_queue_table);
                }
                self.tell_status(number);
            }
            Of::Push(push) => self.end_push(&push, Some(frame.header.code)),
        }
    }

    /// A client is to take a reply.
    pub(super) fn ask_to_take(&mut self, now: Instant, key: (SessionId, i32), push: Push) {
        self.questions.open.insert(key, Question { until: now.after(RELAY_TIMEOUT), of: Of::Push(push) });
    }

    /// What clients do not answer in time, or can answer no more.
    pub(super) fn end_questions(&mut self, now: Instant) {
        let over = self.questions.keys(|_, question| question.until <= now);
        self.give_up(over, response_of_timeout);
    }

    /// A client is gone.
    pub(super) fn forget_questions(&mut self, session: SessionId) {
        let over = self.questions.keys(|(of, _), _| *of == session);
        self.give_up(over, |who| Reply::error(response::SYSTEM_ERROR, format!("invoke consumer {who} Exception")));
    }

    fn give_up(&mut self, over: Vec<(SessionId, i32)>, reply: impl Fn(&str) -> Reply) {
        for key in over {
            match self.questions.open.remove(&key).map(|question| question.of) {
                Some(Of::Relay(to, who)) => self.out.reply(to, &reply(&who)),
                Some(Of::Status(number, _)) => self.tell_status(number),
                Some(Of::Push(push)) => self.end_push(&push, None),
                None => {}
            }
        }
    }

    fn pass_on(&mut self, call: &Call<'_>, group: &str, client: &str, ext: ExtFields, body: Bytes) -> Answer {
        let members = self.clients.group(group).into_iter().flat_map(|info| &info.members);
        let session = members.filter(|(_, member)| member.id.as_str() == client).map(|(session, _)| *session).next();
        let who = format!("<{group}> <{client}>");
        let Some(session) = session else {
            return Ok(Some(Reply::error(response::SYSTEM_ERROR, format!("The Consumer {who} not online"))));
        };
        let opaque = self.out.request(session, call.header.code, body, |out| {
            ext.iter().for_each(|(key, value)| out.text(key, value));
        });
        let question = Question { until: call.now.after(RELAY_TIMEOUT), of: Of::Relay(call.to, who) };
        self.questions.open.insert((session, opaque), question);
        Ok(None)
    }

    /// Tells what the members of a group said, when all have.
    fn tell_status(&mut self, number: u64) {
        let waits = |question: &Question| matches!(question.of, Of::Status(of, _) if of == number);
        if !self.questions.open.values().any(waits)
            && let Some((to, status)) = self.questions.statuses.remove(&number)
        {
            self.out.reply(to, &Reply::ok().remark(NOT_SET).body(status.encode()));
        }
    }

    fn offset_of_time(&self, topic: &str, id: i32, timestamp: i64) -> i64 {
        let Some(queue) = self.store.queue(topic, id) else { return 0 };
        if timestamp < 0 { queue.max_offset() } else { self.search(queue, timestamp, false) }
    }

    fn queue(&self, topic: &str, id: i32) -> MessageQueue {
        MessageQueue { topic: topic.into(), broker: self.cfg.name.as_str().into(), id }
    }
}

/// What 5.x does without, it takes for all, and for now.
fn read_reset(ext: &ExtFields) -> Result<InvokeResetOffset, FieldError> {
    Ok(InvokeResetOffset {
        topic: ext.field("topic")?,
        group: ext.field("group")?,
        queue_id: ext.field::<Option<i32>>("queueId")?.unwrap_or(-1),
        offset: ext.field::<Option<i64>>("offset")?.unwrap_or(-1),
        timestamp: ext.field::<Option<i64>>("timestamp")?.unwrap_or(0),
        force: flag(ext, "isForce").unwrap_or(false),
    })
}

fn response_of_timeout(who: &str) -> Reply {
    Reply::error(CONSUME_MSG_TIMEOUT, format!("consumer {who} Timeout: no answer"))
}

/// How long members have to tell their offsets.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a member has for what is passed on.
const RELAY_TIMEOUT: Duration = Duration::from_secs(10);
/// A member said nothing.
const CONSUME_MSG_TIMEOUT: i32 = 207;
/// The remark of an answer whose handler sets none.
const NOT_SET: &str = "not set any response code";
