//! Where the consumption of a queue starts.

use alloc::string::String;

use bytes::Bytes;

use super::{Assigned, ERROR_PAUSE, NO_BROKER_PAUSE, OFFSET_TIMEOUT, Phase};
use crate::client::consumer::replica::is_hearsay;
use crate::client::consumer::{Consumer, Siblings};
use crate::client::signal::ReplyTo;
use crate::client::{ClientEvent, StartReason};
use crate::config::StartFrom;
use crate::effects::Effects;
use crate::error::RequestError;
use crate::ids::{Epoch, MessageQueue, QueueOffset};
use crate::mutants::mutant;
use crate::wire::Frame;
use crate::wire::codes::{request, response};
use crate::wire::request::{
    Fields, QueryConsumerOffset, QueryConsumerOffsetResponse, QueueOffsetRequest, QueueOffsetResponse, Request,
    SearchOffset,
};

impl Consumer {
    /// Asks the broker where to start, unless that is configured or, in broadcasting, in our file.
    pub(in crate::client::consumer) fn locate(&mut self, queue: &MessageQueue, at: Siblings<'_>, fx: &mut Effects) {
        let open = self.is_open(queue, fx.now);
        let Some(assigned) = self.queues.get_mut(queue) else {
            return;
        };
        let epoch = assigned.epoch;
        assigned.phase = if open { Phase::Locating } else { Phase::Locking };
        if !open {
            return;
        }
        if self.leaves(queue) {
            // Its last offset of the assignment before is on its way to where it would be asked for.
            return self.wait(queue, LEAVING_PAUSE, fx);
        }
        if let Some(offset) = self.start_at.remove(queue) {
            return self.open(queue, offset, StartReason::Chosen, at, fx);
        }
        if let Some(local) = &self.local {
            return match local.of(queue) {
                Some(offset) => self.open(queue, offset, StartReason::File, at, fx),
                None => self.start_unstored(queue, epoch, at, fx),
            };
        }
        let reply_to = ReplyTo::Offset { group: self.config.group.clone(), queue: queue.clone(), epoch };
        match self.ask_offset(queue, reply_to, at, fx) {
            Some(id) => {
                if let Some(assigned) = self.queues.get_mut(queue) {
                    assigned.unsure = is_hearsay(id);
                }
            }
            None => self.wait(queue, NO_BROKER_PAUSE, fx),
        }
    }

    /// The lock of a queue is ours: goes on where it waited for that.
    pub(in crate::client::consumer) fn on_open(&mut self, queue: &MessageQueue, at: Siblings<'_>, fx: &mut Effects) {
        match self.queues.get(queue) {
            Some(assigned) if assigned.phase == Phase::Locking && assigned.settled_to.is_none() => {
                self.locate(queue, at, fx);
            }
            Some(assigned) if assigned.phase == Phase::Locking => self.pull_on(queue, at, fx),
            Some(_) | None => {}
        }
    }

    /// Asks for the stored offset; which replica is asked, `None` when no address of the broker is known.
    pub(in crate::client::consumer) fn ask_offset(
        &self,
        queue: &MessageQueue,
        reply_to: ReplyTo,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) -> Option<i64> {
        let (id, to) = self.offset_keeper(queue, at)?;
        let request = QueryConsumerOffset {
            group: self.config.group.clone(),
            topic: queue.topic.clone(),
            queue_id: queue.id,
            set_zero_if_not_found: None,
            broker: Some(queue.broker.clone()),
        };
        fx.request(to, request.encode(self.client.codec, Bytes::new()), OFFSET_TIMEOUT, reply_to);
        Some(id)
    }

    /// The stored offset, or that there is none, or that it could not be asked: three different things.
    pub(crate) fn on_offset(
        &mut self,
        queue: &MessageQueue,
        epoch: Epoch,
        result: Result<Frame, RequestError>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        if !self.is_locating(queue, epoch) {
            return;
        }
        match result {
            Ok(frame) if frame.header.code == response::SUCCESS => {
                match QueryConsumerOffsetResponse::read(&frame.header.ext) {
                    Ok(stored) => self.open(queue, stored.offset, StartReason::Stored, at, fx),
                    Err(_) => self.not_located(queue, fx),
                }
            }
            Ok(frame) if frame.header.code == response::QUERY_NOT_FOUND => {
                if self.queues.get(queue).is_some_and(Assigned::is_unsure) {
                    // It may not have been told yet.
                    self.pull_failed(queue, String::from("only a slave is there, and it knows no offset"), "", fx);
                    return self.wait(queue, ERROR_PAUSE, fx);
                }
                self.start_unstored(queue, epoch, at, fx);
            }
            Ok(_) | Err(_) if mutant!(4) => self.open(queue, QueueOffset::ZERO, StartReason::Stored, at, fx),
            Ok(_) | Err(_) => self.not_located(queue, fx),
        }
    }

    /// Where a queue that has no stored offset starts.
    pub(crate) fn on_start_offset(
        &mut self,
        queue: &MessageQueue,
        epoch: Epoch,
        result: Result<Frame, RequestError>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        if !self.is_locating(queue, epoch) {
            return;
        }
        let start = match &result {
            // Of a time, what a broker says of a queue that never had a message.
            Ok(frame) if frame.header.ext.get("offset") == Some("-1") => Some(QueueOffset::ZERO),
            Ok(frame) if frame.header.code == response::SUCCESS => {
                QueueOffsetResponse::read(&frame.header.ext).ok().map(|found| found.offset)
            }
            Ok(_) | Err(_) => None,
        };
        let reason = match self.config.start_from {
            StartFrom::Timestamp(_) => StartReason::Timestamp,
            StartFrom::First | StartFrom::Last => StartReason::Last,
        };
        match start {
            Some(offset) => self.open(queue, offset, reason, at, fx),
            None => self.not_located(queue, fx),
        }
    }

    /// The broker did not say where to start: it is asked again.
    fn not_located(&mut self, queue: &MessageQueue, fx: &mut Effects) {
        if let Some(assigned) = self.queues.get_mut(queue) {
            assigned.failure = Some((fx.now, String::from("the broker did not say where to start")));
        }
        self.wait(queue, ERROR_PAUSE, fx);
    }

    fn start_unstored(&mut self, queue: &MessageQueue, epoch: Epoch, at: Siblings<'_>, fx: &mut Effects) {
        let retry = queue.topic == self.retry_topic;
        let (topic, queue_id, codec) = (queue.topic.clone(), queue.id, self.client.codec);
        let frame = match self.config.start_from {
            StartFrom::First => return self.open(queue, QueueOffset::ZERO, StartReason::First, at, fx),
            StartFrom::Last | StartFrom::Timestamp(_) if retry => {
                return self.open(queue, QueueOffset::ZERO, StartReason::RetryTopic, at, fx);
            }
            StartFrom::Last => {
                QueueOffsetRequest::<{ request::GET_MAX_OFFSET }> { topic, queue_id }.encode(codec, Bytes::new())
            }
            StartFrom::Timestamp(timestamp) => {
                SearchOffset { topic, queue_id, timestamp: timestamp.0, boundary: None }.encode(codec, Bytes::new())
            }
        };
        let Some(to) = at.routes.view().master(&queue.broker).cloned() else {
            return self.wait(queue, NO_BROKER_PAUSE, fx);
        };
        let reply_to = ReplyTo::StartOffset { group: self.config.group.clone(), queue: queue.clone(), epoch };
        fx.request(to, frame, OFFSET_TIMEOUT, reply_to);
    }

    /// The start of a queue is known: pull from there.
    fn open(
        &mut self,
        queue: &MessageQueue,
        offset: QueueOffset,
        reason: StartReason,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        if let Some(assigned) = self.queues.get_mut(queue) {
            assigned.next = offset;
            assigned.settled_to = Some(offset);
            assigned.start = Some((offset, reason));
            if reason == StartReason::Stored {
                assigned.committed = Some(offset);
            }
            let group = self.config.group.clone();
            fx.event(ClientEvent::StartPosition { group, queue: queue.clone(), offset, reason });
        }
        self.pull_on(queue, at, fx);
    }

    /// Whether an earlier assignment of the queue has its last offset still under way.
    fn leaves(&self, queue: &MessageQueue) -> bool {
        let from = (queue.clone(), Epoch(0));
        self.leaving.range(from..).next().is_some_and(|((known, _), _)| known == queue)
    }

    fn is_locating(&self, queue: &MessageQueue, epoch: Epoch) -> bool {
        let known = self.queues.get(queue);
        known.is_some_and(|assigned| assigned.epoch == epoch && assigned.phase == Phase::Locating)
    }
}

/// While the last offset of an earlier assignment is under way.
const LEAVING_PAUSE: core::time::Duration = core::time::Duration::from_millis(100);
