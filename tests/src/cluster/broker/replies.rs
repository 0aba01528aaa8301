//! Replies to request messages: 324 and 325, pushed with 326 to the client that waits.

use bytes::Bytes;
use rocketmq_core::wire::ExtWriter;
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::request::{Fields, PushReply};

use super::send::SendHeader;
use super::{Answer, Broker, Call};
use crate::cluster::message::Draft;
use crate::cluster::output::{Reply, ReplyTo, SessionId};

/// Who replied, where the reply is stored, and who is to get it.
#[derive(Debug)]
pub(super) struct Push {
    to: ReplyTo,
    stored: Stored,
    client: String,
}

/// Where a reply is stored.
#[derive(Debug)]
struct Stored {
    msg_id: String,
    queue_id: i32,
    queue_offset: i64,
}

impl Broker {
    pub(super) fn send_reply(&mut self, call: &Call<'_>, body: Bytes) -> Answer {
        let header = SendHeader::read(call.header.code, &call.header.ext)?;
        let config = match self.check_send(call, &header, &body) {
            Err(error) => return Ok(Some(self.in_region(error))),
            Ok(config) => config,
        };
        let mut draft = self.draft(call, &header, body);
        if !self.cfg.is_v4() {
            draft.properties.set("MSG_REGION", &self.cfg.region);
            draft.properties.set("TRACE_ON", &self.cfg.trace_on.to_string());
        }
        let client = draft.properties.get("REPLY_TO_CLIENT").map(str::to_owned);
        let group = call.header.ext.get("a").or(call.header.ext.get("producerGroup")).unwrap_or_default();
        let session = client.as_deref().and_then(|client| self.clients.any_producer_of(client));
        let pushed = session.map(|session| self.push(call, group, &draft, session));
        if draft.queue_id < 0 {
            draft.queue_id = self.any_queue(config.write_queues);
        }
        // It is stored whether somebody gets it or not.
        let place = self.append(call.now, call.wall, &draft).map_err(|error| super::Failure(format!("{error}")))?.place;
        let msg_id = self.msg_id(place.physical);
        let stored = Stored { msg_id, queue_id: draft.queue_id, queue_offset: place.queue_offset };
        let error = match (client, pushed) {
            (Some(client), Some((session, opaque))) => {
                self.ask_to_take(call.now, (session, opaque), Push { to: call.to, stored, client });
                return Ok(None);
            }
            (Some(client), None) => format!("push reply message fail, channel of <{client}> not found."),
            (None, _) => "reply message properties[REPLY_TO_CLIENT] is null".into(),
        };
        Ok(Some(self.refused(&stored, error)))
    }

    /// The client that waits has the reply, or will not have it from here.
    pub(super) fn end_push(&mut self, push: &Push, code: Option<i32>) {
        let reply = match code {
            Some(response::SUCCESS) => self.in_region(push.stored.tell(Reply::ok())),
            Some(_) | None => self.refused(&push.stored, format!("push reply message to {}fail.", push.client)),
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

    fn refused(&self, stored: &Stored, why: String) -> Reply {
        self.in_region(stored.tell(Reply::error(response::SYSTEM_ERROR, why)))
    }

    fn in_region(&self, reply: Reply) -> Reply {
        reply.field("MSG_REGION", &self.cfg.region).field("TRACE_ON", self.cfg.trace_on)
    }
}

impl Stored {
    fn tell(&self, reply: Reply) -> Reply {
        reply.field("msgId", &self.msg_id).field("queueId", self.queue_id).field("queueOffset", self.queue_offset)
    }
}
