//! What operators do: queues go on at other offsets.

use alloc::vec::Vec;

use super::{Consumer, Siblings, State};
use crate::client::{ClientEvent, StartReason};
use crate::effects::Effects;
use crate::ids::{Endpoint, MessageQueue, QueueOffset, Topic};
use crate::mutants::mutant;
use crate::wire::body::QueueTable;

impl Consumer {
    /// Queues of a topic go on elsewhere: those that are ours, and of which `from` is the master. Says how many.
    ///
    /// Java stops pulling for 10 s, so that what is in handlers then does not commit its own offsets afterwards. Here a
    /// queue that goes on elsewhere is a new assignment: what was handed out under the old one counts no more.
    ///
    /// A queue in order whose lock is not ours is perhaps consumed by somebody else, and what we are told now may be long
    /// past when we get it: so the broker is told, and we start from what it has then.
    pub(crate) fn on_reset(
        &mut self,
        topic: &Topic,
        offsets: &QueueTable<i64>,
        from: &Endpoint,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) -> usize {
        if !self.can_be_reset() {
            return 0;
        }
        let moves = |(queue, offset): (&MessageQueue, &i64)| {
            let master = at.routes.view().master(&queue.broker) == Some(from) || mutant!(33);
            let ours = queue.topic == *topic && self.queues.contains_key(queue);
            (master && ours).then(|| Some((queue.clone(), QueueOffset::from_wire(*offset)?)))?
        };
        let moved: Vec<_> = offsets.0.iter().filter_map(moves).collect();
        for (queue, offset) in &moved {
            if !self.holds(queue, fx.now) {
                self.restart_at(queue, None, fx);
                self.commit_for(queue, *offset, at, fx);
                continue;
            }
            let (group, queue, reason) = (self.config.group.clone(), queue.clone(), StartReason::Reset);
            fx.event(ClientEvent::StartPosition { group, queue: queue.clone(), offset: *offset, reason });
            match self.queues.get_mut(&queue) {
                Some(assigned) if mutant!(111) => assigned.rewind(*offset),
                Some(_) | None => self.restart_at(&queue, Some((*offset, StartReason::Reset)), fx),
            }
        }
        self.commit(false, at, fx);
        for (queue, _) in &moved {
            self.pull_on(queue, at, fx);
        }
        moved.len()
    }

    /// Whether it has queues that could go on elsewhere.
    pub(crate) const fn can_be_reset(&self) -> bool {
        matches!(self.state, State::Running | State::Draining { .. } | State::Committing { .. })
    }
}
