//! A consumer at one moment.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Consumer, State};
use crate::client::rebalance::Share;
use crate::client::snapshot::{ConsumerSnapshot, ConsumerState, ShareSnapshot, SubscriptionSnapshot, ago, millis};
use crate::effects::Effects;
use crate::ids::{MessageQueue, Topic};
use crate::time::Instant;
use crate::timers::TimerKey;

impl Consumer {
    /// All there is to say of it at this moment.
    pub(crate) fn snapshot(&self, fx: &Effects, now: Instant) -> ConsumerSnapshot {
        let group = self.config.group.clone();
        let due = |key: TimerKey| fx.timers.at(&key).map(|at| millis(now.until(at)));
        let subscription = |data: crate::wire::subscription::SubscriptionData| SubscriptionSnapshot {
            topic: data.topic,
            expression: data.sub_string,
            kind: data.expression_type,
            version: data.sub_version,
        };
        let mut leaving: Vec<MessageQueue> = self.leaving.keys().map(|(queue, _)| queue.clone()).collect();
        leaving.dedup();
        ConsumerSnapshot {
            model: self.config.model,
            orderly: self.config.is_orderly(),
            state: self.state.snapshot(),
            given_up_in_ms: due(TimerKey::StartDeadline(group.clone())).or(due(TimerKey::StopDeadline(group.clone()))),
            suspended: self.suspended,
            started_at_ms: self.begun.0,
            subscriptions: self.subscriptions.data().into_iter().map(subscription).collect(),
            shares: self.share_snapshots(now),
            rebalance_in_ms: due(TimerKey::Rebalance(group.clone())),
            queues: self.queue_snapshots(fx, now),
            pops: self.pop_snapshots(fx, now),
            leaving,
            failed: self.send_backs.len(),
            directs: self.directs.len(),
            commit_in_ms: due(TimerKey::Commit(group.clone())),
            offset_file: self.local.as_ref().map(|local| String::from(local.path())),
            group,
        }
    }

    /// How the queues of each topic were shared out, and how many of them are ours.
    pub(super) fn share_snapshots(&self, now: Instant) -> Vec<ShareSnapshot> {
        let mut ours: BTreeMap<&Topic, usize> = BTreeMap::new();
        for queue in self.queues.keys().chain(self.popped_queues()) {
            let count = ours.entry(&queue.topic).or_default();
            *count = count.saturating_add(1);
        }
        let share = |topic: &Topic| {
            let Share { by, members, at } = self.rebalance.share(topic)?;
            Some(ShareSnapshot {
                topic: topic.clone(),
                by: *by,
                strategy: super::report::strategy_name(&self.config.strategy),
                members: members.clone(),
                queues: ours.get(topic).copied().unwrap_or_default(),
                ago_ms: ago(Some(*at), now).unwrap_or_default(),
            })
        };
        self.subscriptions.topics().filter_map(share).collect()
    }
}

impl State {
    /// The same for those who look at it from outside.
    pub(super) const fn snapshot(&self) -> ConsumerState {
        match self {
            Self::Starting { .. } => ConsumerState::Starting,
            Self::Running => ConsumerState::Running,
            Self::Draining { .. } => ConsumerState::Draining,
            Self::Committing { .. } => ConsumerState::Committing,
            Self::Unlocking { .. } => ConsumerState::Unlocking,
            Self::Leaving { .. } => ConsumerState::Leaving,
        }
    }
}
