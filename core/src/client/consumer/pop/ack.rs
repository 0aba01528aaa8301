//! Acknowledgements: collected for a few milliseconds, sent together, and sent again until the broker has them.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::Ticket;
use crate::client::ClientEvent;
use crate::client::consumer::{Consumer, Siblings};
use crate::client::signal::ReplyTo;
use crate::effects::Effects;
use crate::error::RequestError;
use crate::ids::BrokerName;
use crate::timers::TimerKey;
use crate::wire::Frame;
use crate::wire::body::BatchAck;
use crate::wire::codes::response;
use crate::wire::pop::PopHandle;
use crate::wire::request::{AckMessage, BatchAckMessage, Request};

/// Acknowledgements on their way.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// To be sent, by broker.
    waiting: BTreeMap<BrokerName, Vec<Ticket>>,
    /// Sent and not answered.
    sent: BTreeMap<u64, Vec<Ticket>>,
    /// What a broker refused as one of several goes by itself.
    alone: Vec<Ticket>,
}

impl Acks {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_empty()
    }
}

impl Consumer {
    /// A message is to be acknowledged: with others, a little later.
    pub(super) fn acknowledge(&mut self, ticket: Ticket, at: Siblings<'_>, fx: &mut Effects) {
        let Some(held) = self.pops.held.get_mut(&ticket.0) else {
            return;
        };
        held.on_acknowledging(ticket.1);
        let broker = held.broker().clone();
        let waiting = self.pops.acks.waiting.entry(broker).or_default();
        waiting.push(ticket);
        if waiting.len() >= MOST_ACKS {
            self.flush_acks(at, fx);
        } else {
            fx.timers.arm_no_later(TimerKey::Acks(self.config.group.clone()), fx.now.after(COLLECT));
        }
    }

    /// Acknowledgements were collected for long enough.
    pub(crate) fn on_acks_due(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        self.flush_acks(at, fx);
    }

    /// Sends what waits.
    pub(in crate::client::consumer) fn flush_acks(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        fx.disarm(&TimerKey::Acks(self.config.group.clone()));
        for (broker, tickets) in core::mem::take(&mut self.pops.acks.waiting) {
            let Some(to) = self.master_of(&broker, at) else {
                self.acks_failed(tickets, "no address of the broker is known", fx);
                continue;
            };
            let batches = self.pops.brokers.get(&broker).is_some_and(|known| known.batches);
            let alone = |ticket: &Ticket| {
                let far = self
                    .handle_of(*ticket)
                    .is_none_or(|handle| handle.offset.get().saturating_sub(handle.start.get()) >= BatchAck::SPAN);
                far || !batches || self.pops.acks.alone.contains(ticket)
            };
            let (mut alone, together): (Vec<Ticket>, Vec<Ticket>) = tickets.into_iter().partition(alone);
            if let [only] = together.as_slice() {
                alone.push(*only);
            } else {
                for tickets in together.chunks(MOST_ACKS) {
                    let topics: Vec<_> = tickets.iter().filter_map(|ticket| self.acked(*ticket)).collect();
                    let messages = topics.iter().map(|(topic, handle)| (topic, handle));
                    let body = BatchAck::new(&self.config.group, &broker, messages).encode();
                    let frame = BatchAckMessage {}.encode(self.client.codec, Bytes::from(body));
                    self.send_acks(&to, frame, tickets.to_vec(), fx);
                }
            }
            for ticket in alone {
                let Some((topic, handle)) = self.acked(ticket) else { continue };
                let request = AckMessage {
                    group: self.config.group.clone(),
                    topic: handle.topic.name(&self.config.group, &topic),
                    queue_id: handle.queue_id,
                    handle: handle.to_string(),
                    offset: handle.offset,
                    broker: Some(broker.clone()),
                };
                let frame = request.encode(self.client.codec, Bytes::new());
                self.send_acks(&to, frame, alloc::vec![ticket], fx);
            }
        }
    }

    /// The answer to an acknowledgement.
    pub(crate) fn on_acked(
        &mut self,
        id: u64,
        result: Result<Frame, RequestError>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        let Some(tickets) = self.pops.acks.sent.remove(&id) else {
            return;
        };
        let why = match result {
            Ok(frame) if frame.header.code == response::SUCCESS => None,
            Ok(frame) if frame.header.code == response::NO_MESSAGE && tickets.len() == 1 => {
                // There is nothing of it any more that could come again.
                tickets.iter().for_each(|ticket| self.not_settled(*ticket, "there is no such message", fx));
                None
            }
            Ok(frame) => {
                if tickets.len() > 1 {
                    self.pops.acks.alone.extend(&tickets);
                }
                let remark = frame.header.remark.unwrap_or_default();
                Some(alloc::format!("broker answered {}: {remark}", frame.header.code))
            }
            Err(error) => Some(error.to_string()),
        };
        match why {
            None => tickets.into_iter().for_each(|ticket| self.done(ticket, at, fx)),
            Some(why) => self.acks_failed(tickets, &why, fx),
        }
        self.after_commit(at, fx);
    }

    fn send_acks(
        &mut self,
        to: &crate::ids::Endpoint,
        frame: crate::wire::frame::EncodedFrame,
        tickets: Vec<Ticket>,
        fx: &mut Effects,
    ) {
        let id = fx.fresh_id();
        self.pops.acks.sent.insert(id, tickets);
        let reply_to = ReplyTo::Acked { group: self.config.group.clone(), id };
        fx.request(to.clone(), frame, ACK_TIMEOUT, reply_to);
    }

    /// Acknowledging again does no harm: it is tried while the messages are hidden, and once after.
    fn acks_failed(&mut self, tickets: Vec<Ticket>, why: &str, fx: &mut Effects) {
        for ticket in tickets {
            let Some(held) = self.pops.held.get(&ticket.0) else { continue };
            if held.until(ticket.1) > fx.now {
                let broker = held.broker().clone();
                self.pops.acks.waiting.entry(broker).or_default().push(ticket);
                fx.timers.arm_no_later(TimerKey::Acks(self.config.group.clone()), fx.now.after(ACK_PAUSE));
            } else {
                self.not_settled(ticket, why, fx);
                self.forget(ticket, fx);
            }
        }
    }

    /// What a message is acknowledged by.
    fn acked(&self, ticket: Ticket) -> Option<(crate::ids::Topic, PopHandle)> {
        let held = self.pops.held.get(&ticket.0)?;
        Some((held.topic().clone(), held.handle(ticket.1)?.clone()))
    }

    fn handle_of(&self, ticket: Ticket) -> Option<&PopHandle> {
        self.pops.held.get(&ticket.0)?.handle(ticket.1)
    }

    /// A message could not be settled: it comes again, or did.
    pub(super) fn not_settled(&mut self, ticket: Ticket, why: &str, fx: &mut Effects) {
        if let Some((queue, offset)) = self.pops.held.get(&ticket.0).and_then(|held| held.place(ticket.1)) {
            let (group, why) = (self.config.group.clone(), String::from(why));
            fx.event(ClientEvent::PopNotSettled { group, queue, offset, why });
        }
    }

    /// A message is settled at its broker.
    fn done(&mut self, ticket: Ticket, at: Siblings<'_>, fx: &mut Effects) {
        self.pops.acks.alone.retain(|known| *known != ticket);
        let queue = self.forget(ticket, fx);
        if let Some(queue) = queue {
            self.on_room(&queue, at, fx);
        }
    }
}

/// How long acknowledgements are collected.
const COLLECT: Duration = Duration::from_millis(5);
/// Acknowledgements that are sent together at most.
const MOST_ACKS: usize = 256;
/// Java: 3 s.
const ACK_TIMEOUT: Duration = Duration::from_secs(3);
/// Before an acknowledgement is sent again.
const ACK_PAUSE: Duration = Duration::from_secs(1);
