//! Offsets on their way to the broker: always behind the first unsettled message.

use bytes::Bytes;
use core::time::Duration;

use super::{Consumer, Siblings, State};
use crate::client::signal::ReplyTo;
use crate::dispatch::Progress;
use crate::effects::Effects;
use crate::error::RequestError;
use crate::ids::{Epoch, MessageQueue, QueueOffset};
use crate::timers::TimerKey;
use crate::wire::Frame;
use crate::wire::codes::response;
use crate::wire::request::{Request, UpdateConsumerOffset};

/// What is known of a revoked queue's offsets until its last commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastOffsets {
    pub(super) settled_to: Option<QueueOffset>,
    pub(super) committed: Option<QueueOffset>,
}

impl Consumer {
    /// Commits what moved since the last time.
    pub(crate) fn on_commit_timer(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        if matches!(self.state, State::Running | State::Draining { .. }) {
            fx.arm(TimerKey::Commit(self.config.group.clone()), self.client.commit_interval);
            self.commit(at, fx);
        }
    }

    pub(super) fn commit(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        let due: alloc::vec::Vec<_> = self
            .queues
            .iter()
            .filter_map(|(queue, assigned)| Some((queue.clone(), assigned.epoch(), assigned.to_commit()?)))
            .collect();
        for (queue, epoch, offset) in due {
            if self.send_commit(&queue, epoch, offset, at, fx)
                && let Some(assigned) = self.queues.get_mut(&queue)
            {
                assigned.on_committing();
            }
        }
    }

    /// A queue was revoked, and this is how far it was settled: its last commit.
    pub(crate) fn on_revoked(
        &mut self,
        queue: &MessageQueue,
        epoch: Epoch,
        last: Option<&Progress>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        let key = (queue.clone(), epoch);
        let Some(known) = self.leaving.get(&key).copied() else {
            return;
        };
        let settled_to = known.settled_to.max(last.map(|progress| progress.settled_to));
        let sent = match settled_to {
            Some(offset) if known.committed < Some(offset) => self.send_commit(queue, epoch, offset, at, fx),
            Some(_) | None => false,
        };
        if !sent {
            self.leaving.remove(&key);
        }
    }

    /// A commit was answered, or was not: then the next round tries again.
    pub(crate) fn on_commit_reply(
        &mut self,
        queue: &MessageQueue,
        epoch: Epoch,
        offset: QueueOffset,
        result: Result<Frame, RequestError>,
        fx: &mut Effects,
    ) {
        self.leaving.remove(&(queue.clone(), epoch));
        let stored = matches!(&result, Ok(frame) if frame.header.code == response::SUCCESS);
        if let Some(assigned) = self.queues.get_mut(queue)
            && assigned.epoch() == epoch
        {
            assigned.on_committed(stored.then_some(offset));
        }
        self.after_commit(fx);
    }

    fn send_commit(
        &self,
        queue: &MessageQueue,
        epoch: Epoch,
        offset: QueueOffset,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) -> bool {
        let Some(to) = at.routes.view().master(&queue.broker).cloned() else {
            return false;
        };
        let group = self.config.group.clone();
        let request = UpdateConsumerOffset {
            group: group.clone(),
            topic: queue.topic.clone(),
            queue_id: queue.id,
            commit_offset: offset,
            broker: Some(queue.broker.clone()),
        };
        let reply_to = ReplyTo::Commit { group, queue: queue.clone(), epoch, offset };
        fx.request(to, request.encode(self.client.codec, Bytes::new()), COMMIT_TIMEOUT, reply_to);
        true
    }
}

/// Java: 5 s, oneway; we wait for the answer, so that a lost commit is made again.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);
