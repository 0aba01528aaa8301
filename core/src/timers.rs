//! Keyed deadlines in one total order.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::ids::{Endpoint, Epoch, Group, MessageQueue};
use crate::time::{Instant, Wakeup};

/// What a timer is for. Ties are broken by this order, so that a run is the same every time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKey {
    /// A link has been connecting for too long.
    Connect(Endpoint),
    /// The next name server of a call may be asked too.
    NameHedge(u64),
    /// The next name server may be connected at start.
    NameOpen,
    /// Start without any name server up is given up.
    OpenDeadline,
    /// Ask who the name servers are.
    Discovery,
    /// Refresh the routes of all topics.
    Routes,
    /// Heartbeat to a broker.
    Heartbeat(Endpoint),
    /// Leaving groups has taken long enough.
    LeaveDeadline,
    /// Rebalance a group.
    Rebalance(Group),
    /// A queue's next pull, or its next try to find where to start.
    Queue(Group, MessageQueue, Epoch),
    /// Ask for, renew or give back locks of a group.
    Locks(Group),
    /// Look for handlers that take too long.
    Overdue(Group),
    /// Commit the offsets of a group.
    Commit(Group),
    /// Acknowledgements of a group's popped messages have been collected for long enough.
    Acks(Group),
    /// Popped messages of a group are to be hidden for longer.
    Renew(Group),
    /// A broker is asked again whether it can filter, or has taken long enough.
    Filters(Group),
    /// Starting a group has taken long enough.
    StartDeadline(Group),
    /// The drain of a stopping group has taken long enough.
    StopDeadline(Group),
    /// A message is handed out again because it could not be handed back.
    Redeliver(Group, u64),
    /// A message's republication waits.
    Republish(Group, u64),
    /// A message that an operator wants handled has taken long enough.
    Direct(Group, u64),
    /// A checker of transactions has taken long enough.
    Check(u64),
    /// Trace records have been sent for long enough.
    FlushTraces,
    /// Shutdown has taken long enough.
    Shutdown,
}

/// The set of armed timers.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Instant, TimerKey)>,
    by_key: BTreeMap<TimerKey, Instant>,
}

impl Timers {
    /// Arms a timer, moving it if it is armed already.
    pub(crate) fn arm(&mut self, key: TimerKey, at: Instant) {
        self.disarm(&key);
        self.by_key.insert(key.clone(), at);
        self.by_time.insert((at, key));
    }

    /// Arms a timer unless it is armed for an earlier time.
    pub(crate) fn arm_no_later(&mut self, key: TimerKey, at: Instant) {
        if self.by_key.get(&key).is_none_or(|armed| *armed > at) {
            self.arm(key, at);
        }
    }

    pub(crate) fn disarm(&mut self, key: &TimerKey) {
        if let Some((key, at)) = self.by_key.remove_entry(key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// Takes the earliest timer that is due.
    pub(crate) fn due(&mut self, now: Instant) -> Option<TimerKey> {
        let (at, _) = self.by_time.first()?;
        if *at > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    pub(crate) fn next(&self) -> Wakeup {
        self.by_time.first().map_or(Wakeup::Never, |(at, _)| Wakeup::At(*at))
    }

    /// When a timer is due, if it is armed.
    pub(crate) fn at(&self, key: &TimerKey) -> Option<Instant> {
        self.by_key.get(key).copied()
    }

    /// All of them, the earliest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Instant, &TimerKey)> {
        self.by_time.iter().map(|(at, key)| (*at, key))
    }

    #[cfg(test)]
    pub(crate) fn is_armed(&self, key: &TimerKey) -> bool {
        self.by_key.contains_key(key)
    }

    pub(crate) fn clear(&mut self) {
        self.by_time.clear();
        self.by_key.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_once() {
        let mut timers = Timers::default();
        let at = Instant::from_millis;
        timers.arm(TimerKey::Routes, at(5));
        timers.arm(TimerKey::Shutdown, at(3));
        timers.arm(TimerKey::Routes, at(2));
        timers.arm_no_later(TimerKey::Shutdown, at(9));
        assert_eq!(timers.next(), Wakeup::At(at(2)));
        assert_eq!(timers.due(at(1)), None);
        assert_eq!(timers.due(at(9)), Some(TimerKey::Routes));
        assert_eq!(timers.due(at(9)), Some(TimerKey::Shutdown));
        assert_eq!((timers.due(at(9)), timers.len()), (None, 0));
    }
}
