//! The queues that are pulled, at one moment.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Assigned, Phase};
use crate::client::consumer::Consumer;
use crate::client::snapshot::{FailureSnapshot, QueuePhase, QueueSnapshot, StartSnapshot, ago, millis};
use crate::effects::Effects;
use crate::ids::{MessageQueue, QueueOffset};
use crate::mutants::mutant;
use crate::time::Instant;
use crate::timers::TimerKey;

impl Consumer {
    /// The queues that it pulls.
    pub(in crate::client::consumer) fn queue_snapshots(&self, fx: &Effects, now: Instant) -> Vec<QueueSnapshot> {
        self.queues.iter().map(|(queue, assigned)| self.queue_snapshot(queue, assigned, fx, now)).collect()
    }

    fn queue_snapshot(&self, queue: &MessageQueue, assigned: &Assigned, fx: &Effects, now: Instant) -> QueueSnapshot {
        let (stats, broadcasts) = (assigned.stats(), self.local.is_some());
        let timer = TimerKey::Queue(self.config.group.clone(), queue.clone(), assigned.epoch);
        let pulling = match assigned.phase {
            Phase::Pulling { since, .. } => Some(since),
            Phase::Locking
            | Phase::Locating
            | Phase::Waiting
            | Phase::Throttled
            | Phase::Suspended
            | Phase::Stopped => None,
        };
        let start = |(offset, reason): (QueueOffset, _)| StartSnapshot { offset: offset.get(), reason };
        let failure =
            |(at, why): &(Instant, String)| FailureSnapshot { why: why.clone(), ago_ms: millis(now.since(*at)) };
        QueueSnapshot {
            queue: queue.clone(),
            assigned_for_ms: millis(now.since(assigned.since)),
            phase: assigned.phase.snapshot(),
            pulling_for_ms: ago(pulling, now),
            goes_on_in_ms: fx.timers.at(&timer).map(|at| millis(now.until(at))),
            lock: self.lock_snapshot(queue, now),
            cached: stats.cached,
            cached_limit: assigned.room.messages,
            cached_bytes: stats.cached_bytes,
            cached_limit_bytes: assigned.room.bytes,
            outstanding: assigned.outstanding,
            next_pull: assigned.next.get(),
            settled_to: stats.consumed_to.map(|to| if mutant!(183) { assigned.next } else { to }).map(QueueOffset::get),
            committed: stats.committed.filter(|_| !broadcasts).map(QueueOffset::get),
            committing: assigned.committing,
            end: stats.end.map(QueueOffset::get),
            backlog: stats.backlog(),
            start: assigned.start.map(start),
            replica: assigned.replica.last(),
            pulled_ago_ms: ago(assigned.pulled_at, now),
            consumed_ago_ms: ago(assigned.consumed_at, now),
            failure: assigned.failure.as_ref().map(failure),
        }
    }
}

impl Phase {
    const fn snapshot(self) -> QueuePhase {
        match self {
            Self::Locking => QueuePhase::Locking,
            Self::Locating => QueuePhase::Locating,
            Self::Pulling { .. } => QueuePhase::Pulling,
            Self::Waiting => QueuePhase::Waiting,
            Self::Throttled => QueuePhase::Throttled,
            Self::Suspended => QueuePhase::Suspended,
            Self::Stopped => QueuePhase::Stopped,
        }
    }
}
