//! What holds of queues after every step, for tests.

use super::Phase;
use crate::client::consumer::{Consumer, State};
use crate::client::signal::ReplyTo;
use crate::effects::Effects;
use crate::timers::TimerKey;

#[allow(clippy::wildcard_enum_match_arm, reason = "a check of its own few")]
impl Consumer {
    /// Each live queue has exactly one future cause to act, and commits nothing beyond what is settled.
    pub(crate) fn check(&self, fx: &Effects) {
        let group = &self.config.group;
        for (queue, assigned) in &self.queues {
            let of_queue = |reply: &&ReplyTo| match reply {
                ReplyTo::Offset { group: g, queue: q, epoch } | ReplyTo::StartOffset { group: g, queue: q, epoch } => {
                    (g, q, *epoch) == (group, queue, assigned.epoch)
                }
                ReplyTo::Pull { asked, .. } => {
                    matches!(assigned.phase, Phase::Pulling { asked: current, .. } if current == *asked)
                }
                _ => false,
            };
            let requests = fx.replies().filter(of_queue).count();
            let timer = fx.timers.is_armed(&TimerKey::Queue(group.clone(), queue.clone(), assigned.epoch));
            let causes = (requests, timer);
            self.check_lock(queue, fx);
            match assigned.phase {
                Phase::Locking => {
                    assert_eq!(causes, (0, false), "{queue} {assigned:?}");
                    assert!(self.config.needs_locks() && !self.is_open(queue, fx.now), "{queue} {assigned:?}");
                }
                Phase::Locating | Phase::Pulling { .. } => assert_eq!(causes, (1, false), "{queue} {assigned:?}"),
                Phase::Waiting => assert_eq!(causes, (0, true), "{queue} {assigned:?}"),
                Phase::Throttled => {
                    assert_eq!(causes, (0, false), "{queue} {assigned:?}");
                    assert!(assigned.cached() > 0, "throttled for nothing: {assigned:?}");
                }
                Phase::Suspended => {
                    assert_eq!(causes, (0, false), "{queue} {assigned:?}");
                    assert!(self.suspended, "suspended for nothing: {assigned:?}");
                }
                Phase::Stopped => assert!(!timer && !matches!(self.state, State::Running), "{queue} {assigned:?}"),
            }
            assert!(assigned.settled_to <= Some(assigned.next), "{assigned:?}");
        }
    }
}
