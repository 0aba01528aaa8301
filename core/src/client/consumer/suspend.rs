//! A consumer that pulls nothing for a while.

use super::{Consumer, Siblings};
use crate::client::ClientEvent;
use crate::effects::Effects;
use crate::ids::MessageQueue;

impl Consumer {
    /// Pulls and pops nothing more, or goes on. What was asked for before may still come, and what is in hand is handed out as
    /// ever; locks, commits and heartbeats go on.
    pub(crate) fn on_suspend(&mut self, suspend: bool, at: Siblings<'_>, fx: &mut Effects) {
        if core::mem::replace(&mut self.suspended, suspend) == suspend {
            return;
        }
        let group = self.config.group.clone();
        if suspend {
            return fx.event(ClientEvent::Suspended { group });
        }
        fx.event(ClientEvent::Resumed { group });
        let waiting: alloc::vec::Vec<MessageQueue> = self
            .queues
            .iter()
            .filter(|(_, assigned)| assigned.is_suspended())
            .map(|(queue, _)| queue.clone())
            .collect();
        for queue in waiting {
            self.pull_on(&queue, at, fx);
        }
        for queue in self.pops.suspended() {
            self.pop_on(&queue, at, fx);
        }
        self.on_rebalance(at, fx);
    }
}
