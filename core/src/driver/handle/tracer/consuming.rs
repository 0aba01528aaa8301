//! What is noted of messages that are consumed.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Tracer, millis, region};
use crate::driver::handle::{ConsumeOutcome, ReceivedMessage};
use crate::ids::Topic;
use crate::time::Instant;
use crate::trace::{ContextCode, SubAfter, SubBefore, TraceRecord};
use crate::wire::message::properties::name;

/// The trace of a consumer.
pub(in crate::driver::handle) struct ConsumeTrace {
    tracer: Tracer,
    /// A handler that takes longer has timed out.
    timeout: Duration,
}

/// Messages that were handed out together.
pub(in crate::driver::handle) struct Handed {
    request_id: String,
    at: Instant,
}

impl ConsumeTrace {
    pub(in crate::driver::handle) const fn new(tracer: Tracer, timeout: Duration) -> Self {
        Self { tracer, timeout }
    }

    pub(in crate::driver::handle) const fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Notes that messages are handed out; `None` when none of them is to be traced.
    pub(in crate::driver::handle) fn handed_out(&self, messages: &[ReceivedMessage]) -> Option<Box<Handed>> {
        let inner = &self.tracer.inner;
        let traced: Vec<_> = messages.iter().filter_map(|message| Some((message, self.wants(message)?))).collect();
        let (_, topic) = traced.first()?;
        let (time, at) = (inner.shared.clock.wall(), inner.shared.clock.now());
        let request_id = inner.shared.keys.next(time);
        let record = |(message, _): &(&ReceivedMessage, Topic)| {
            TraceRecord::SubBefore(SubBefore {
                time,
                region: region(message.property(name::MSG_REGION)),
                group: inner.group.clone(),
                request_id: request_id.clone(),
                msg_id: message.msg_id(),
                retry_times: message.reconsume_times(),
                keys: message.property(name::KEYS).map(String::from),
            })
        };
        let records: Vec<_> = traced.iter().map(record).collect();
        self.tracer.note(topic, &records);
        Some(Box::new(Handed { request_id, at }))
    }

    /// Notes that they are settled, and how each of them.
    pub(in crate::driver::handle) fn settled(
        &self,
        handed: &Handed,
        messages: &[ReceivedMessage],
        outcome: impl Fn(usize) -> ConsumeOutcome,
    ) {
        let inner = &self.tracer.inner;
        let took = inner.shared.clock.now().since(handed.at);
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let cost = millis(took.checked_div(count).unwrap_or_default());
        let time = inner.shared.clock.wall();
        let mut topic = None;
        let mut records = Vec::with_capacity(messages.len());
        for (at, message) in messages.iter().enumerate() {
            let Some(known) = self.wants(message) else { continue };
            topic.get_or_insert(known);
            let outcome = outcome(at);
            records.push(TraceRecord::SubAfter(SubAfter {
                request_id: handed.request_id.clone(),
                msg_id: message.msg_id(),
                cost,
                success: outcome == ConsumeOutcome::Consumed,
                keys: message.property(name::KEYS).map(String::from),
                context_code: Some(self.code(outcome, took).to_wire()),
                by: Some((time, inner.group.clone())),
            }));
        }
        if let Some(topic) = topic {
            self.tracer.note(&topic, &records);
        }
    }

    /// Source: Java `ConsumeMessageConcurrentlyService.ConsumeRequest.run`.
    fn code(&self, outcome: ConsumeOutcome, took: Duration) -> ContextCode {
        match outcome {
            ConsumeOutcome::Panicked => ContextCode::Exception,
            ConsumeOutcome::Consumed | ConsumeOutcome::Failed if took >= self.timeout => ContextCode::TimeOut,
            ConsumeOutcome::Consumed => ContextCode::Success,
            ConsumeOutcome::Failed => ContextCode::Failed,
        }
    }

    /// The topic of a message that is to be traced. What an operator has handled is no part of what is consumed, and a
    /// record that cannot be read has no id.
    fn wants(&self, message: &ReceivedMessage) -> Option<Topic> {
        let refused = message.property(name::TRACE_ON) == Some("false");
        if refused || message.taken().direct.is_some() || message.is_poison() {
            return None;
        }
        Some(message.topic()).filter(|topic| self.tracer.traces(topic))
    }
}
