//! Sends: 10, 310 and 320.

use bytes::Bytes;
use rocketmq_core::ids::QueueOffset;
use rocketmq_core::wire::ExtFields;
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::header::{FieldError, FieldValue};
use rocketmq_core::wire::message::{batch, properties};

use super::timers::{TIMER_PROPERTIES, Timer};
use super::topics::{FORBIDDEN_TOPICS, RETRY_PREFIX, dlq_topic};
use super::transactions::is_half;
use super::{Answer, Broker, Call, FAQ, Failure};
use crate::cluster::fields::flag;
use crate::cluster::message::{Draft, Properties};
use crate::cluster::output::Reply;
use crate::cluster::store::TopicConfig;

/// The header of a send, in either spelling.
pub(super) struct SendHeader {
    topic: String,
    template: String,
    template_queues: i32,
    queue_id: i32,
    sys_flag: i32,
    born_ms: i64,
    flag: i32,
    properties: String,
    reconsume_times: Option<i32>,
    max_reconsume_times: Option<i32>,
    batch: bool,
}

impl SendHeader {
    pub(super) fn read(code: i32, ext: &ExtFields) -> Result<Self, FieldError> {
        let short = !matches!(code, request::SEND_MESSAGE | request::SEND_REPLY_MESSAGE);
        let key = |letter, long| if short { letter } else { long };
        Ok(Self {
            topic: field(ext, key("b", "topic"))?,
            template: field(ext, key("c", "defaultTopic"))?,
            template_queues: field(ext, key("d", "defaultTopicQueueNums"))?,
            queue_id: field(ext, key("e", "queueId"))?,
            sys_flag: field(ext, key("f", "sysFlag"))?,
            born_ms: field(ext, key("g", "bornTimestamp"))?,
            flag: field(ext, key("h", "flag"))?,
            properties: field::<Option<String>>(ext, key("i", "properties"))?.unwrap_or_default(),
            reconsume_times: field(ext, key("j", "reconsumeTimes"))?,
            max_reconsume_times: field(ext, key("l", "maxReconsumeTimes"))?,
            batch: flag(ext, key("m", "batch")).unwrap_or(false) || code == request::SEND_BATCH_MESSAGE,
        })
    }
}

fn field<T: FieldValue>(ext: &ExtFields, key: &'static str) -> Result<T, FieldError> {
    ext.field(key)
}

impl Broker {
    pub(super) fn send(&mut self, call: &Call<'_>, body: Bytes) -> Answer {
        let header = SendHeader::read(call.header.code, &call.header.ext)?;
        if body.is_empty() && (header.batch || !self.cfg.is_v4()) {
            return Err("java.lang.NullPointerException".into());
        }
        let reply = match self.check_send(call, &header, &body) {
            Err(error) => error,
            Ok(_) if header.batch => self.send_batch(call, &header, body)?,
            Ok(config) => self.send_one(call, &header, &config, body)?,
        };
        Ok(Some(reply.field("MSG_REGION", &self.cfg.region).field("TRACE_ON", self.cfg.trace_on)))
    }

    pub(super) fn check_send(
        &mut self,
        call: &Call<'_>,
        header: &SendHeader,
        body: &Bytes,
    ) -> Result<TopicConfig, Reply> {
        let topic = header.topic.as_str();
        if let Some(error) = self.illegal_topic(topic) {
            return Err(Reply::error(self.invalid_parameter(), error));
        }
        if FORBIDDEN_TOPICS.contains(&topic) {
            return Err(Reply::error(
                response::NO_PERMISSION,
                format!("Sending message to topic[{topic}] is forbidden."),
            ));
        }
        let config = match self.store.topic(topic) {
            Some(config) => config.clone(),
            None => self.create_for_send(header)?,
        };
        if self.cfg.refuse_read_only && !config.writable() {
            return Err(Reply::error(
                response::NO_PERMISSION,
                format!("the topic[{topic}] sending message is forbidden"),
            ));
        }
        if header.queue_id >= config.write_queues.max(config.read_queues) {
            let peer = call.peer;
            return Err(Reply::error(
                self.invalid_parameter(),
                format!(
                    "request queueId[{}] is illegal, {} Producer: {peer}",
                    header.queue_id,
                    config.text(topic, self.cfg.is_v4())
                ),
            ));
        }
        if body.len() > self.cfg.max_body || header.properties.len() > properties::MAX_LEN {
            return Err(self.illegal());
        }
        Ok(config)
    }

    fn illegal(&self) -> Reply {
        Reply::error(
            response::MESSAGE_ILLEGAL,
            format!(
                "the message is illegal, maybe msg body or properties length not matched. msg body length limit {}B, \
                 msg properties length limit 32KB.",
                self.cfg.max_body
            ),
        )
    }

    fn create_for_send(&mut self, header: &SendHeader) -> Result<TopicConfig, Reply> {
        let topic = header.topic.as_str();
        if let Some(config) = self.create_from_template(topic, &header.template, header.template_queues) {
            return Ok(config);
        }
        if topic.starts_with(RETRY_PREFIX) {
            self.ensure_group_topic(topic, 1);
            return Ok(TopicConfig::new(1));
        }
        let error = format!("topic[{topic}] not exist, apply first please!{FAQ}");
        Err(Reply::error(response::TOPIC_NOT_EXIST, error))
    }

    fn send_one(
        &mut self,
        call: &Call<'_>,
        header: &SendHeader,
        config: &TopicConfig,
        body: Bytes,
    ) -> Result<Reply, Failure> {
        let mut draft = self.draft(call, header, body);
        if draft.queue_id < 0 {
            draft.queue_id = self.any_queue(config.write_queues);
        }
        let properties = &mut draft.properties;
        let v4 = self.cfg.is_v4();
        if properties.get("UNIQ_KEY").is_none() && !v4 {
            properties.set("UNIQ_KEY", &format!("{:016X}{:016X}", self.rng.next_u64(), self.rng.next_u64()));
        }
        if let Some(error) = self.bury_if_dead(call, header, &mut draft) {
            return Ok(error);
        }
        let properties = &mut draft.properties;
        if v4 {
            properties.remove("WAIT");
        } else {
            properties.set("MSG_REGION", &self.cfg.region);
            properties.set("TRACE_ON", if self.cfg.trace_on { "true" } else { "false" });
        }
        properties.set("CLUSTER", &self.cfg.cluster);
        let level = properties.get("DELAY").map_or(Ok(0), str::parse);
        let level = level.map_err(|_| Failure::from("java.lang.NumberFormatException"))?;
        let timers = TIMER_PROPERTIES.iter().any(|key| properties.get(key).is_some());
        if timers && !v4 && level > 0 {
            // A level counts, and the timer is forgotten.
            TIMER_PROPERTIES.iter().for_each(|key| properties.remove(key));
        } else if timers && !v4 && !self.cfg.timers {
            let error = "accurate timer message is not enabled, timerWheelEnable is false";
            return Ok(Reply::error(response::SYSTEM_ERROR, error));
        }
        let unique = properties.get("UNIQ_KEY").unwrap_or_default().to_owned();
        if timers && !v4 && level <= 0 {
            match self.timer_of(&draft, call.wall) {
                Timer::None => {}
                Timer::At(at) => {
                    let kept = self.keep_until(call, draft, at, &unique);
                    return Ok(kept.unwrap_or_else(|| self.illegal()));
                }
                Timer::Illegal => return Ok(Reply::error(response::MESSAGE_ILLEGAL, ILLEGAL_TIMER)),
            }
        }
        let queue_id = draft.queue_id;
        let appended = match is_half(&draft.properties) {
            true => self.append_half(call.now, call.wall, draft),
            false => self.append_delayed(call.now, call.wall, draft, level),
        };
        let Ok(appended) = appended else { return Ok(self.illegal()) };
        let reply = Reply::ok()
            .field("msgId", self.msg_id(appended.place.physical))
            .field("queueId", queue_id)
            .field("queueOffset", appended.place.queue_offset);
        Ok(if v4 { reply } else { reply.field("transactionId", unique) })
    }

    fn send_batch(&mut self, call: &Call<'_>, header: &SendHeader, body: Bytes) -> Result<Reply, Failure> {
        let v4 = self.cfg.is_v4();
        if header.topic.starts_with(RETRY_PREFIX) && !v4 {
            let error = format!("batch request does not support retry group {}", header.topic);
            return Ok(Reply::error(response::MESSAGE_ILLEGAL, error));
        }
        let Ok(items) = batch::decode(&body, 0..body.len(), QueueOffset::ZERO, usize::MAX) else {
            return Err("java.nio.BufferUnderflowException".into());
        };
        let config = self.store.topic(&header.topic).map_or(1, |config| config.write_queues);
        let queue_id = if header.queue_id < 0 { self.any_queue(config) } else { header.queue_id };
        let (mut ids, mut first) = (Vec::with_capacity(items.len()), None);
        for item in items {
            let (mut encoded, host) = (body.slice(item.properties), self.cfg.address);
            let mut properties = Properties::parse(&encoded);
            if v4 {
                // Those of the whole batch go to each of its messages.
                Properties::parse(header.properties.as_bytes())
                    .iter()
                    .for_each(|(key, value)| properties.set(key, value));
                properties.set("CLUSTER", &self.cfg.cluster);
                let Ok(all) = properties.encode() else { return Ok(self.illegal()) };
                encoded = all;
            }
            let draft =
                Draft { queue_id, flag: item.flag, properties, ..self.draft(call, header, body.slice(item.body)) };
            let Ok(appended) = self.store.append_with(call.now, call.wall, host, &draft, encoded) else {
                return Ok(self.illegal());
            };
            self.holds.arrived(&draft, appended.tags_code);
            ids.push(self.msg_id(appended.place.physical));
            first.get_or_insert(appended.place.queue_offset);
        }
        let reply = Reply::ok()
            .field("msgId", ids.join(","))
            .field("queueId", queue_id)
            .field("queueOffset", first.unwrap_or(0));
        Ok(match Properties::parse(header.properties.as_bytes()).get("UNIQ_KEY") {
            Some(unique) if !v4 => reply.field("transactionId", unique),
            _ => reply,
        })
    }

    /// Turns a republished message that failed too often into a dead letter.
    fn bury_if_dead(&mut self, call: &Call<'_>, header: &SendHeader, draft: &mut Draft) -> Option<Reply> {
        let group = header.topic.strip_prefix(RETRY_PREFIX)?;
        if !self.find_group(group) {
            let error = format!("subscription group not exist, {group} {FAQ}");
            return Some(Reply::error(response::SUBSCRIPTION_GROUP_NOT_EXIST, error));
        }
        let limit = header.max_reconsume_times.filter(|_| call.header.version >= MAX_TIMES_SINCE);
        let limit = limit.unwrap_or(self.cfg.retry_max_times);
        let ordered = self.locks.any_held(group, call.now);
        let (times, v4) = (header.reconsume_times.unwrap_or(0), self.cfg.is_v4());
        if times > limit || (v4 && times == limit) || ordered {
            if !v4 {
                draft.properties.set("DELAY", "-1");
            }
            draft.topic = dlq_topic(group);
            draft.queue_id = 0;
            self.ensure_group_topic(&dlq_topic(group), DLQ_QUEUES);
        }
        None
    }

    pub(super) fn draft(&self, call: &Call<'_>, header: &SendHeader, body: Bytes) -> Draft {
        Draft {
            topic: header.topic.clone(),
            queue_id: header.queue_id,
            flag: header.flag,
            sys_flag: header.sys_flag,
            born_ms: header.born_ms,
            born_host: call.peer,
            reconsume_times: header.reconsume_times.unwrap_or(0),
            prepared: 0,
            body,
            properties: Properties::parse(header.properties.as_bytes()),
        }
    }

    pub(super) fn any_queue(&mut self, queues: i32) -> i32 {
        let pick = self.rng.below(usize::try_from(queues).unwrap_or(0));
        i32::try_from(pick).unwrap_or(0)
    }
}

/// The wire version from which the limit in the header counts.
pub(super) const MAX_TIMES_SINCE: i32 = 121;
/// Queues of a dead-letter topic.
pub(super) const DLQ_QUEUES: i32 = 1;
/// What a broker says of a timer that is too far ahead.
const ILLEGAL_TIMER: &str = "timer message illegal, the delay time should not be bigger than the max delay 259200000ms; \
                             or if set del msg, the delay time should be bigger than the current time";
