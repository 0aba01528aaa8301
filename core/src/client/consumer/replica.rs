//! Which replica of a broker a queue is read from: the master, or a slave while that is better or all there is.
//!
//! Only the master's word moves an offset. A slave lags behind: that it has nothing, or that an offset is outside the
//! queue, says no more than that the master is to be asked; and what it has of committed offsets is of some time ago.

use alloc::vec::Vec;

use super::queue::readable;
use super::{Consumer, Siblings, State};
use crate::client::signal::ReplyTo;
use crate::client::view::{BrokerView, MASTER_ID};
use crate::config::ReadFrom;
use crate::effects::Effects;
use crate::error::RequestError;
use crate::ids::{Endpoint, Epoch, MessageQueue, QueueOffset};
use crate::wire::Frame;
use crate::wire::codes::response;
use crate::wire::request::{Fields, QueryConsumerOffsetResponse};

/// What is known of the replicas of a queue's broker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replica {
    /// The one that the broker wants to be asked next.
    suggested: i64,
    /// The slave that was asked last could not help.
    at_a_loss: bool,
    /// The one that was asked last.
    last: i64,
}

impl Replica {
    pub(super) const fn new() -> Self {
        Self { suggested: MASTER_ID, at_a_loss: false, last: MASTER_ID }
    }

    pub(super) const fn suggest(&mut self, id: i64) {
        self.suggested = id;
    }

    /// The slave that was asked last could not help: the master is next.
    pub(super) const fn give_up(&mut self) {
        self.suggested = MASTER_ID;
        self.at_a_loss = true;
    }

    /// The one that was asked last.
    pub(super) const fn last(&self) -> i64 {
        self.last
    }

    /// The one to ask next.
    pub(super) fn choose<'b>(&self, policy: ReadFrom, broker: &'b BrokerView) -> Option<(i64, &'b Endpoint)> {
        let master = broker.master().map(|to| (MASTER_ID, to));
        match policy {
            ReadFrom::Master => master,
            ReadFrom::Suggested | ReadFrom::Replica(_) if self.at_a_loss && master.is_some() => master,
            ReadFrom::Suggested => broker.readable(self.suggested),
            ReadFrom::Replica(id) => broker.readable(i64::from(id)),
        }
    }

    /// Notes which one is asked; whether it is another one than before.
    pub(super) const fn asked(&mut self, id: i64) -> bool {
        let changed = self.last != id;
        self.last = id;
        self.at_a_loss = false;
        changed
    }
}

impl Consumer {
    /// The replica that is asked for stored offsets: the master, else one that may be read from.
    pub(super) fn offset_keeper(&self, queue: &MessageQueue, at: Siblings<'_>) -> Option<(i64, Endpoint)> {
        let found = readable(&queue.broker, MASTER_ID, at);
        found.filter(|(id, _)| *id == MASTER_ID || self.config.read_from != ReadFrom::Master)
    }

    /// Asks the master, now that it is back, for the offsets of queues whose start a slave told.
    pub(super) fn confirm_starts(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        let unsure = self.queues.iter().filter(|(_, assigned)| assigned.is_unsure() && assigned.settled_to().is_some());
        let unsure: Vec<_> = unsure.map(|(queue, assigned)| (queue.clone(), assigned.epoch())).collect();
        for (queue, epoch) in unsure {
            if at.routes.view().master(&queue.broker).is_some() {
                let reply_to = ReplyTo::Confirm { group: self.config.group.clone(), queue: queue.clone(), epoch };
                self.ask_offset(&queue, reply_to, at, fx);
            }
        }
    }

    /// The master told how far a queue was consumed whose start a slave had told.
    pub(crate) fn on_confirm(
        &mut self,
        queue: &MessageQueue,
        epoch: Epoch,
        result: Result<Frame, RequestError>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        let Some(assigned) = self.queues.get_mut(queue).filter(|known| known.epoch() == epoch && known.is_unsure())
        else {
            return;
        };
        let stored: Option<QueueOffset> = match result {
            Ok(frame) if frame.header.code == response::SUCCESS => {
                match QueryConsumerOffsetResponse::read(&frame.header.ext) {
                    Ok(stored) => Some(stored.offset),
                    Err(_) => return,
                }
            }
            Ok(frame) if frame.header.code == response::QUERY_NOT_FOUND => None,
            Ok(_) | Err(_) => return,
        };
        assigned.be_sure();
        if let Some(offset) = stored.filter(|_| stored > assigned.settled_to()) {
            self.follow(queue, offset, fx);
            if matches!(self.state, State::Running) {
                self.pull_on(queue, at, fx);
            }
        }
    }
}

/// Whether what this replica says of stored offsets may be old.
pub(super) fn is_hearsay(id: i64) -> bool {
    id != MASTER_ID
}
