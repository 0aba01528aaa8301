//! What is noted of messages that are sent.

use alloc::boxed::Box;
use alloc::string::String;

use super::{Tracer, millis, region};
use crate::driver::handle::{AdminError, ReceivedMessage};
use crate::ids::{BrokerName, Endpoint, Topic};
use crate::message::Message;
use crate::mutants::mutant;
use crate::send::{Receipt, StoreStatus};
use crate::time::{Instant, UnixMillis};
use crate::trace::{EndTransaction, MessageKind, Pub, Recall, TraceRecord};
use crate::transaction::{HalfPlace, Resolution};
use crate::wire::Frame;
use crate::wire::message::properties::name;

/// A send that began.
#[derive(Clone, Copy)]
pub(in crate::driver::handle) struct Began {
    at: Instant,
    time: UnixMillis,
    half: bool,
}

impl Began {
    /// That of a half message.
    pub(in crate::driver::handle) const fn half(mut self) -> Self {
        self.half = true;
        self
    }
}

impl Tracer {
    /// A message of this topic is about to be sent.
    pub(in crate::driver::handle) fn begin(&self, topic: &Topic) -> Option<Began> {
        let clock = &self.inner.shared.clock;
        self.traces(topic).then(|| Began { at: clock.now(), time: clock.wall(), half: false })
    }

    /// It was stored.
    pub(in crate::driver::handle) fn stored(&self, began: &Began, message: &Message, receipt: &Receipt) {
        if !receipt.trace_on && !mutant!(162) {
            return;
        }
        let kind = match began.half {
            true => MessageKind::Half,
            false if message.is_delayed() => MessageKind::Delayed,
            false => MessageKind::Normal,
        };
        let record = Pub {
            time: began.time,
            region: region(receipt.region.as_deref()),
            group: self.inner.group.clone(),
            topic: message.topic().clone(),
            msg_id: receipt.msg_id.clone(),
            tags: message.property(name::TAGS).map(String::from),
            keys: message.property(name::KEYS).map(String::from),
            store_host: self.host_of(&receipt.queue.broker),
            body_len: i32::try_from(message.body().len()).unwrap_or(i32::MAX),
            cost: millis(self.inner.shared.clock.now().since(began.at)),
            kind,
            offset_msg_id: Some(receipt.offset_msg_id.clone()),
            success: receipt.status == StoreStatus::Stored,
        };
        self.note(message.topic(), &[TraceRecord::Pub(record)]);
    }

    /// The record of the end of a half message, but for when and how that comes.
    pub(in crate::driver::handle) fn end_of(
        &self,
        message: &Message,
        receipt: &Receipt,
    ) -> Option<Box<EndTransaction>> {
        let end = || EndTransaction {
            time: UnixMillis(0),
            region: region(receipt.region.as_deref()),
            group: self.inner.group.clone(),
            topic: message.topic().clone(),
            msg_id: receipt.msg_id.clone(),
            tags: message.property(name::TAGS).map(String::from),
            keys: message.property(name::KEYS).map(String::from),
            store_host: String::new(),
            transaction_id: Some(receipt.msg_id.clone()),
            resolution: Resolution::Unknown,
            from_check: false,
        };
        self.traces(message.topic()).then(|| Box::new(end()))
    }

    /// The same of one that a broker asks about.
    pub(in crate::driver) fn end_of_asked(
        &self,
        message: &ReceivedMessage,
        place: &HalfPlace,
    ) -> Option<Box<EndTransaction>> {
        let topic = message.topic();
        let end = |topic| EndTransaction {
            time: UnixMillis(0),
            region: region(message.property(name::MSG_REGION)),
            group: self.inner.group.clone(),
            topic,
            msg_id: place.msg_id.clone(),
            tags: message.tag().map(String::from),
            keys: message.property(name::KEYS).map(String::from),
            store_host: String::new(),
            transaction_id: Some(place.msg_id.clone()),
            resolution: Resolution::Unknown,
            from_check: true,
        };
        self.traces(&topic).then(|| Box::new(end(topic)))
    }

    /// What is to become of a half message was said to this broker, asked or not.
    pub(in crate::driver) fn ended(&self, end: &EndTransaction, to: &Endpoint, resolution: Resolution, asked: bool) {
        let (time, store_host) = (self.inner.shared.clock.wall(), String::from(to.as_str()));
        let record = EndTransaction { time, store_host, resolution, from_check: asked, ..end.clone() };
        self.note(&end.topic, &[TraceRecord::EndTransaction(record)]);
    }

    /// A broker was asked to take a message back. Without its answer there is nothing to note.
    pub(in crate::driver::handle) fn recalled(&self, topic: &Topic, msg_id: &str, answer: &Result<Frame, AdminError>) {
        if !matches!(answer, Ok(_) | Err(AdminError::Broker { .. })) || !self.traces(topic) {
            return;
        }
        let told = answer.as_ref().ok().and_then(|frame| frame.header.ext.get(name::MSG_REGION));
        let record = Recall {
            time: self.inner.shared.clock.wall(),
            region: region(told),
            group: self.inner.group.clone(),
            topic: topic.clone(),
            msg_id: msg_id.into(),
            success: answer.is_ok(),
        };
        self.note(topic, &[TraceRecord::Recall(record)]);
    }

    /// The address of a broker's master.
    fn host_of(&self, broker: &BrokerName) -> String {
        let view = self.inner.shared.view();
        view.routes.master(broker).map(|host| String::from(host.as_str())).unwrap_or_default()
    }
}
