//! What becomes of popped messages: acknowledged, alone or together, or hidden for another time.

use rocketmq_core::wire::body::BatchAck;
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::pop::{PopHandle, PopTopic};
use rocketmq_core::wire::request::{AckMessage, ChangeInvisibleTime, Fields};

use super::super::{Answer, Broker, Call, FAQ, Failure};
use super::Key;
use crate::cluster::output::Reply;

impl Broker {
    pub(in super::super) fn on_ack(&mut self, call: &Call<'_>) -> Answer {
        let ack = AckMessage::read(&call.header.ext)?;
        let offset = ack.offset.to_wire();
        if let Some(error) = self.refused_settling(call, (ack.topic.as_str(), ack.queue_id, offset), Reply::of) {
            return Ok(Some(error));
        }
        let handle = parse(&ack.handle)?;
        self.settled(key_of(ack.topic.as_str(), ack.group.as_str(), ack.queue_id, &handle), offset);
        Ok(Some(Reply::ok()))
    }

    pub(in super::super) fn on_batch_ack(&mut self, body: &[u8]) -> Answer {
        let Ok(batch) = BatchAck::decode(body) else { return Err("the body cannot be parsed".into()) };
        if batch.acks.is_empty() {
            return Ok(Some(Reply::of(response::NO_MESSAGE)));
        }
        for ack in &batch.acks {
            let Ok(kind) = ack.retry.parse::<PopTopic>() else { continue };
            let key = Key {
                topic: kind.name(&ack.group, &ack.topic).as_str().to_owned(),
                group: ack.group.as_str().to_owned(),
                queue_id: ack.queue_id,
                start: ack.start,
                pop_millis: ack.pop_millis,
                invisible_millis: ack.invisible_millis,
            };
            ack.offsets().for_each(|offset| self.settled(key.clone(), offset.to_wire()));
        }
        Ok(Some(Reply::ok()))
    }

    pub(in super::super) fn on_change_invisible(&mut self, call: &Call<'_>) -> Answer {
        let change = ChangeInvisibleTime::read(&call.header.ext)?;
        let none = |code| Reply::of(code).field("popTime", 0).field("invisibleTime", 0).field("reviveQid", 0);
        let (topic, group, queue_id) = (change.topic.as_str(), change.group.as_str(), change.queue_id);
        let offset = change.offset.to_wire();
        if let Some(error) = self.refused_settling(call, (topic, queue_id, offset), none) {
            return Ok(Some(error));
        }
        let handle = parse(&change.handle)?;
        let old = key_of(topic, group, queue_id, &handle);
        let (pop_millis, invisible_millis) = (call.wall.0, change.invisible_millis);
        let new = Key { start: offset, pop_millis, invisible_millis, ..old.clone() };
        self.settled(old, offset);
        self.hide(call.now, new, vec![offset]);
        let reply = Reply::ok().field("popTime", call.wall.0).field("invisibleTime", change.invisible_millis);
        Ok(Some(reply.field("reviveQid", handle.revive_queue).remark(UNSAID)))
    }

    /// What no broker can settle.
    fn refused_settling(
        &self,
        call: &Call<'_>,
        (topic, queue_id, offset): (&str, i32, i64),
        reply: impl Fn(i32) -> Reply,
    ) -> Option<Reply> {
        let Some(config) = self.store.topic(topic) else {
            let error = format!("topic[{topic}] not exist, apply first please! {FAQ}");
            return Some(reply(response::TOPIC_NOT_EXIST).remark(error));
        };
        if queue_id < 0 || queue_id >= config.read_queues {
            let error = format!(
                "queueId[{queue_id}] is illegal, topic:[{topic}] topicConfig.readQueueNums:[{}] consumer:[/{}]",
                config.read_queues, call.peer
            );
            return Some(reply(response::MESSAGE_ILLEGAL).remark(error));
        }
        let queue = self.store.queue(topic, queue_id);
        let (min, max) = queue.map_or((0, 0), |queue| (queue.min_offset(), queue.max_offset()));
        if !(min..=max).contains(&offset) {
            let alone = call.header.code == request::ACK_MESSAGE;
            let error = format!("offset is illegal, key:{topic}@{queue_id}, commit:{offset}, store:{min}~{max}");
            return Some(reply(response::NO_MESSAGE).remark(if alone { &error } else { UNSAID }));
        }
        None
    }

    fn settled(&mut self, key: Key, offset: i64) {
        if let Some(checkpoint) = self.pops.checkpoints.get_mut(&key) {
            checkpoint.open.remove(&offset);
            if checkpoint.open.is_empty() {
                self.pops.checkpoints.remove(&key);
            }
        }
    }
}

fn key_of(topic: &str, group: &str, queue_id: i32, handle: &PopHandle) -> Key {
    Key {
        topic: topic.to_owned(),
        group: group.to_owned(),
        queue_id,
        start: handle.start.to_wire(),
        pop_millis: handle.pop_millis,
        invisible_millis: handle.invisible_millis,
    }
}

fn parse(handle: &str) -> Result<PopHandle, Failure> {
    handle.parse().map_err(|error| Failure(format!("{error}")))
}

/// What brokers say when they say nothing.
const UNSAID: &str = "not set any response code";
