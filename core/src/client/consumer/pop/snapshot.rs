//! The queues that are popped, at one moment.

use alloc::vec::Vec;

use super::{Phase, Popping};
use crate::client::consumer::Consumer;
use crate::client::snapshot::{PopPhase, PopSnapshot, ago, millis};
use crate::effects::Effects;
use crate::ids::MessageQueue;
use crate::time::Instant;
use crate::timers::TimerKey;

impl Consumer {
    /// The queues that it pops, those given up among them of which not all is settled.
    pub(in crate::client::consumer) fn pop_snapshots(&self, fx: &Effects, now: Instant) -> Vec<PopSnapshot> {
        let snapshot = |(queue, popping): (&MessageQueue, &Popping)| {
            let timer = TimerKey::Queue(self.config.group.clone(), queue.clone(), popping.epoch);
            let (phase, since) = match popping.phase {
                Phase::Popping { since, .. } => (PopPhase::Popping, Some(since)),
                Phase::Waiting => (PopPhase::Waiting, None),
                Phase::Throttled => (PopPhase::Throttled, None),
                Phase::Suspended => (PopPhase::Suspended, None),
                Phase::Stopped => (PopPhase::Stopped, None),
            };
            PopSnapshot {
                queue: queue.clone(),
                phase,
                popping_for_ms: ago(since, now),
                goes_on_in_ms: fx.timers.at(&timer).map(|at| millis(now.until(at))),
                unacknowledged: popping.open,
                outstanding: popping.outstanding,
                popped_ago_ms: ago(popping.popped_at, now),
            }
        };
        self.pops.queues.iter().map(snapshot).collect()
    }

    /// The queues that this member pops.
    pub(in crate::client::consumer) fn popped_queues(&self) -> impl Iterator<Item = &MessageQueue> {
        let live = |(_, popping): &(&MessageQueue, &Popping)| popping.phase != Phase::Stopped;
        self.pops.queues.iter().filter(live).map(|(queue, _)| queue)
    }

    /// Each queue that is popped: when it last brought messages, how many are not acknowledged, and whether it was given
    /// up.
    pub(in crate::client::consumer) fn pop_states(
        &self,
    ) -> impl Iterator<Item = (&MessageQueue, Option<Instant>, usize, bool)> {
        self.pops
            .queues
            .iter()
            .map(|(queue, popping)| (queue, popping.popped_at, popping.open, popping.phase == Phase::Stopped))
    }
}
