//! Messages handed back by consumers: 36.

use rocketmq_core::wire::codes::response;

use super::send::{DLQ_QUEUES, MAX_TIMES_SINCE};
use super::topics::{MAX_TOPIC, dlq_topic, retry_topic};
use super::{Answer, Broker, Call, FAQ};
use crate::cluster::message::Draft;
use crate::cluster::output::Reply;

impl Broker {
    pub(super) fn send_back(&mut self, call: &Call<'_>) -> Answer {
        let ext = &call.header.ext;
        let (offset, group): (i64, String) = (ext.field("offset")?, ext.field("group")?);
        let delay_level: i32 = ext.field("delayLevel")?;
        let origin_topic: Option<String> = ext.field("originTopic")?;
        let limit: Option<i32> = ext.field("maxReconsumeTimes")?;
        if !self.find_group(&group) {
            let error = format!("subscription group not exist, {group} {FAQ}");
            return Ok(Some(Reply::error(response::SUBSCRIPTION_GROUP_NOT_EXIST, error)));
        }
        if self.cfg.retry_queues <= 0 {
            return Ok(Some(Reply::ok()));
        }
        self.ensure_group_topic(&retry_topic(&group), self.cfg.retry_queues);
        let Some((mut draft, place)) = self.store.record_at(offset).and_then(Draft::read) else {
            let error = format!("look message by offset failed, {offset}");
            return Ok(Some(Reply::error(response::SYSTEM_ERROR, error)));
        };
        let limit = limit.filter(|_| call.header.version >= MAX_TIMES_SINCE).unwrap_or(self.cfg.retry_max_times);
        let dead = delay_level < 0 || draft.reconsume_times >= limit;
        if dead && origin_topic.is_none() && !self.cfg.is_v4() {
            return Ok(Some(Reply::error(response::SYSTEM_ERROR, "java.lang.NullPointerException")));
        }
        let level = match (dead, delay_level) {
            (true, _) => 0,
            (false, 0) => FIRST_RETRY_LEVEL + draft.reconsume_times,
            (false, level) => level,
        };
        let properties = &mut draft.properties;
        if properties.get("RETRY_TOPIC").is_none() {
            properties.set("RETRY_TOPIC", &draft.topic);
        }
        if properties.get("ORIGIN_MESSAGE_ID").is_none() {
            properties.set("ORIGIN_MESSAGE_ID", &self.msg_id(place.physical));
        }
        properties.set("DELAY", &level.to_string());
        properties.set("WAIT", "false");
        draft.reconsume_times += 1;
        if dead {
            self.ensure_group_topic(&dlq_topic(&group), DLQ_QUEUES);
            draft.topic = dlq_topic(&group);
            draft.queue_id = 0;
        } else {
            draft.topic = retry_topic(&group);
            draft.queue_id = self.any_queue(self.cfg.retry_queues);
        }
        if self.cfg.is_v4() && draft.topic.len() > MAX_TOPIC {
            return Ok(Some(Reply::error(response::SYSTEM_ERROR, "MESSAGE_ILLEGAL")));
        }
        Ok(Some(match self.append_delayed(call.now, call.wall, draft, level) {
            Ok(_) => Reply::ok(),
            Err(_) => Reply::error(response::SYSTEM_ERROR, "PROPERTIES_SIZE_EXCEEDED"),
        }))
    }
}

/// The delay level of the first retry when the client leaves it to the broker.
const FIRST_RETRY_LEVEL: i32 = 3;
