//! Replies to request messages: 324 and 325, pushed with 326 to the client that waits.

use bytes::Bytes;
use rocketmq_core::wire::ExtWriter;
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::request::{Fields, PushReply};

use super::send::SendHeader;
use super::{Answer, Broker, Call};
use crate::cluster::message::Draft;
use crate::cluster::output::{Reply, ReplyTo, SessionId};

/// Who replied, where the reply was stored, and who is to get it.
#[derive(Debug)]
pub(super) struct Push {
    to: ReplyTo,
    queue_id: i32,
    client: String,
}

impl Broker {
    pub(super) fn send_reply(&mut self, call: &Call<'_>, body: Bytes) -> Answer {
        let header = SendHeader::read(call.header.code, &call.header.ext)?;
        let config = match self.check_send(call, &header, &body) {
            Err(error) => return Ok(Some(self.in_region(error))),
            Ok(config) => config,
        };
        let mut draft = self.draft(call, &header, body);
        if draft.queue_id < 0 {
            draft.queue_id = self.any_queue(config.write_queues);
        }
        let Some(client) = draft.properties.get("REPLY_TO_CLIENT").map(str::to_owned) else {
            let error = "reply message properties[REPLY_TO_CLIENT] is null";
            return Ok(Some(self.refused(draft.queue_id, error.into())));
        };
        let group = call.header.ext.get("a").or(call.header.ext.get("producerGroup")).unwrap_or_default();
        let pushed = self.clients.any_producer_of(&client).map(|session| self.push(call, group, &draft, session));
        let queue_id = draft.queue_id;
        // It is stored whether somebody gets it or not.
        self.append(call.now, call.wall, &draft).map_err(|error| super::Failure(format!("{error}")))?;
        let Some((session, opaque)) = pushed else {
            let error = format!("push reply message fail, channel of <{client}> not found.");
            return Ok(Some(self.refused(queue_id, error)));
        };
        self.ask_to_take(call.now, (session, opaque), Push { to: call.to, queue_id, client });
        Ok(None)
    }

    /// The client that waits has the reply, or will not have it from here.
    pub(super) fn end_push(&mut self, push: &Push, code: Option<i32>) {
        let reply = match code {
            Some(response::SUCCESS) => self.in_region(placed(Reply::ok(), push.queue_id)),
            Some(_) | None => self.refused(push.queue_id, format!("push reply message to {} fail.", push.client)),
        };
        self.out.reply(push.to, &reply);
    }

    fn push(&mut self, call: &Call<'_>, group: &str, draft: &Draft, session: SessionId) -> (SessionId, i32) {
        let mut properties = draft.properties.clone();
        properties.set("PUSH_REPLY_TIME", &call.wall.0.to_string());
        let encoded = properties.encode().unwrap_or_default();
        let header = PushReply {
            group: group.into(),
            topic: draft.topic.as_str().into(),
            queue_id: draft.queue_id,
            sys_flag: draft.sys_flag,
            born_timestamp: draft.born_ms,
            flag: draft.flag,
            properties: Some(String::from_utf8_lossy(&encoded).into_owned()),
            reconsume_times: Some(draft.reconsume_times),
            born_host: Some(call.peer.to_string()),
            store_host: Some(self.cfg.address.to_string()),
            store_timestamp: Some(call.wall.0),
        };
        let fields = |out: &mut ExtWriter<'_>| {
            header.write(out);
            out.text("defaultTopic", "TBW102");
            out.text("defaultTopicQueueNums", "4");
            out.text("unitMode", "false");
        };
        (session, self.out.request(session, request::PUSH_REPLY_MESSAGE_TO_CLIENT, draft.body.clone(), fields))
    }

    fn refused(&self, queue_id: i32, why: String) -> Reply {
        self.in_region(placed(Reply::error(response::SYSTEM_ERROR, why), queue_id))
    }

    fn in_region(&self, reply: Reply) -> Reply {
        reply.field("MSG_REGION", &self.cfg.region).field("TRACE_ON", self.cfg.trace_on)
    }
}

/// Where a reply was stored is not told.
fn placed(reply: Reply, queue_id: i32) -> Reply {
    reply.field("msgId", "0").field("queueId", queue_id).field("queueOffset", "0")
}
