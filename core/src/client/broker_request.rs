//! What servers ask of this client: done as far as [`ServerPolicy`](crate::config::ServerPolicy) allows, and told in
//! any case.

use alloc::collections::BTreeMap;
use alloc::string::String;

use bytes::Bytes;

use super::event::ServerVerdict;
use super::signal::Signal;
use super::{ClientEvent, ClientMachine, Output};
use crate::config::Permission;
use crate::effects::Effects;
use crate::ids::{ConnId, Endpoint, Group, Opaque};
use crate::mutants::mutant;
use crate::wire::body::{BodyError, ConsumerStatus, QueueTable, ResetOffsets};
use crate::wire::codes::{request, response};
use crate::wire::header::{FieldError, Preamble};
use crate::wire::request::{
    ConsumeDirectly, Fields, GetConsumerStatus, GetRunningInfo, NotifyConsumerIdsChanged, ResetConsumerOffset,
};
use crate::wire::{Codec, Frame};

/// How often each request was met, by its code and whether it was done.
pub(super) type Counts = BTreeMap<(i32, bool), u64>;

/// Who asks, and where an answer goes.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    conn: ConnId,
    opaque: Opaque,
    from: Endpoint,
    oneway: bool,
}

/// What comes of a request: the group it is about, and the body of the answer, if that is not to come later.
struct Done {
    group: Option<Group>,
    body: Option<Bytes>,
}

/// Why nothing comes of it.
#[derive(Debug)]
pub(crate) enum Refusal {
    Unknown,
    Policy,
    Malformed(String),
    NoGroup(Group),
    NotOurs(Group),
    Busy(Group),
}

impl ClientMachine {
    pub(super) fn on_broker_request(&mut self, conn: ConnId, frame: &Frame) {
        let Some(from) = self.links.endpoint_of(conn).cloned() else {
            return;
        };
        let (code, opaque) = (frame.header.code, frame.header.opaque);
        let asker = Asker { conn, opaque, from, oneway: frame.header.is_oneway() };
        let result = match self.config.server_policy.of(code) {
            None => Err(Refusal::Unknown),
            Some(Permission::Deny) => Err(Refusal::Policy),
            Some(Permission::Allow) => match code {
                request::NOTIFY_CONSUMER_IDS_CHANGED => self.on_members_notice(frame),
                request::CHECK_TRANSACTION_STATE => self
                    .on_check_transaction(&asker.from, frame)
                    .map(|group| Done { group: Some(group), body: Some(Bytes::new()) }),
                request::PUSH_REPLY_MESSAGE_TO_CLIENT => {
                    self.on_push_reply(frame).map(|group| Done { group: Some(group), body: Some(Bytes::new()) })
                }
                request::RESET_CONSUMER_CLIENT_OFFSET => self.on_reset_offsets(&asker.from, frame),
                request::GET_CONSUMER_STATUS_FROM_CLIENT => self.on_ask_offsets(frame),
                request::GET_CONSUMER_RUNNING_INFO => self.on_ask_state(frame),
                request::CONSUME_MESSAGE_DIRECTLY => self.on_consume_directly(&asker, frame),
                _ => Err(Refusal::Unknown),
            },
        };
        self.tell_of(code, &asker.from, &result);
        match result {
            Ok(Done { body: Some(body), .. }) => asker.answer(response::SUCCESS, None, body, &mut self.fx),
            Ok(Done { body: None, .. }) => {}
            Err(refusal) => {
                let body = if mutant!(41) { self.heartbeat_data().encode().into() } else { Bytes::new() };
                asker.answer(refusal.code(), Some(&refusal.remark(code)), body, &mut self.fx);
            }
        }
    }

    fn on_members_notice(&mut self, frame: &Frame) -> Result<Done, Refusal> {
        let NotifyConsumerIdsChanged { group } = NotifyConsumerIdsChanged::read(&frame.header.ext)?;
        self.fx.raise(Signal::MembersChanged(group.clone()));
        Ok(Done { group: Some(group), body: Some(Bytes::new()) })
    }

    /// An operator moves a group.
    fn on_reset_offsets(&mut self, from: &Endpoint, frame: &Frame) -> Result<Done, Refusal> {
        let ResetConsumerOffset { topic, group, .. } = ResetConsumerOffset::read(&frame.header.ext)?;
        // Long tables take long to read: first of all whether anything can come of it.
        match self.consumers.get(&group) {
            None => return Err(Refusal::NoGroup(group)),
            Some(consumer) if !consumer.can_be_reset() => return Err(Refusal::NotOurs(group)),
            Some(_) => {}
        }
        let ResetOffsets { offset_table } = ResetOffsets::decode(&frame.body)?;
        let mut moved = 0;
        self.with_consumer(&group, |consumer, at, fx| moved = consumer.on_reset(&topic, &offset_table, from, at, fx));
        if moved == 0 {
            return Err(Refusal::NotOurs(group));
        }
        Ok(Done { group: Some(group), body: Some(Bytes::new()) })
    }

    /// An operator asks how far a topic is consumed. Java tells nothing of a group that it does not have.
    fn on_ask_offsets(&mut self, frame: &Frame) -> Result<Done, Refusal> {
        let GetConsumerStatus { topic, group } = GetConsumerStatus::read(&frame.header.ext)?;
        let offsets = self.consumers.get(&group).map(|consumer| consumer.offsets_of(&topic)).unwrap_or_default();
        let status = ConsumerStatus { message_queue_table: QueueTable(offsets), ..ConsumerStatus::default() };
        Ok(Done { group: Some(group), body: Some(status.encode().into()) })
    }

    /// An operator asks how a consumer is. Whether stacks are wanted too does not matter: there are none to tell.
    fn on_ask_state(&self, frame: &Frame) -> Result<Done, Refusal> {
        let GetRunningInfo { group, .. } = GetRunningInfo::read(&frame.header.ext)?;
        let Some(consumer) = self.consumers.get(&group) else {
            return Err(Refusal::NoGroup(group));
        };
        let body = Some(consumer.running_info(&self.fx).encode().into());
        Ok(Done { group: Some(group), body })
    }

    /// An operator has a consumer handle a message.
    fn on_consume_directly(&mut self, asker: &Asker, frame: &Frame) -> Result<Done, Refusal> {
        let ConsumeDirectly { group, broker, .. } = ConsumeDirectly::read(&frame.header.ext)?;
        let Some(consumer) = self.consumers.get_mut(&group) else {
            return Err(Refusal::NoGroup(group));
        };
        consumer.on_consume_directly(asker, broker, &frame.body, &mut self.fx)?;
        Ok(Done { group: Some(group), body: None })
    }

    fn tell_of(&mut self, code: i32, from: &Endpoint, result: &Result<Done, Refusal>) {
        let (group, verdict) = match result {
            Ok(done) => (done.group.clone(), ServerVerdict::Done),
            Err(refusal) => refusal.verdict(),
        };
        // Codes that no server has are counted as one, so that their count is bounded.
        let known = self.config.server_policy.of(code).map_or(UNKNOWN, |_| code);
        let times = self.server_requests.entry((known, result.is_ok())).or_insert(0);
        *times = times.saturating_add(1);
        let times = *times;
        self.fx.event(ClientEvent::ServerRequest { from: from.clone(), code, group, verdict, times });
    }
}

impl Asker {
    /// Answers, unless nobody waits for that.
    pub(crate) fn answer(&self, code: i32, remark: Option<&str>, body: Bytes, fx: &mut Effects) {
        if !self.oneway {
            let preamble = Preamble { remark, ..Preamble::response(code, Codec::Json) };
            let frame = preamble.encode(|_| (), body);
            fx.output(Output::Answer { conn: self.conn, opaque: self.opaque, frame });
        }
    }
}

impl Refusal {
    const fn code(&self) -> i32 {
        match self {
            Self::Unknown => response::REQUEST_CODE_NOT_SUPPORTED,
            Self::Policy | Self::NotOurs(_) => response::NO_PERMISSION,
            Self::Malformed(_) | Self::NoGroup(_) | Self::Busy(_) => response::SYSTEM_ERROR,
        }
    }

    fn remark(&self, code: i32) -> String {
        match self {
            Self::Unknown => alloc::format!("request type {code} not supported"),
            Self::Policy => alloc::format!("request type {code} is refused by this client"),
            Self::Malformed(why) => why.clone(),
            Self::NoGroup(group) => alloc::format!("The Consumer Group <{group}> not exist in this consumer"),
            Self::Busy(group) => alloc::format!("the consumer of {group} stops, or is asked for too much at once"),
            Self::NotOurs(group) => {
                alloc::format!("none of these queues is consumed by this member of {group} from this broker")
            }
        }
    }

    fn verdict(&self) -> (Option<Group>, ServerVerdict) {
        match self {
            Self::Unknown => (None, ServerVerdict::Unknown),
            Self::Policy => (None, ServerVerdict::Refused),
            Self::Malformed(_) => (None, ServerVerdict::Malformed),
            Self::NoGroup(group) => (Some(group.clone()), ServerVerdict::NoGroup),
            Self::Busy(group) => (Some(group.clone()), ServerVerdict::Busy),
            Self::NotOurs(group) => (Some(group.clone()), ServerVerdict::NotOurs),
        }
    }
}

impl From<FieldError> for Refusal {
    fn from(error: FieldError) -> Self {
        Self::Malformed(alloc::format!("{error}"))
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::Malformed(alloc::format!("{error}"))
    }
}

/// Stands for all codes that no server has.
const UNKNOWN: i32 = -1;
