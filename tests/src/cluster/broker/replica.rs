//! Slaves: what they copy from their master, and when.

use rocketmq_core::time::{Instant, Wakeup};

use super::Broker;

/// When a slave copies next.
#[derive(Debug)]
pub(super) struct Replica {
    /// The log, when the master has more of it.
    log: Option<Instant>,
    /// Topics and committed offsets.
    tables: Instant,
}

impl Replica {
    pub(super) const fn new(now: Instant) -> Self {
        Self { log: None, tables: now }
    }

    pub(super) fn next(&self) -> Wakeup {
        self.log.map_or(Wakeup::Never, Wakeup::At)
    }
}

impl Broker {
    /// There is nothing to copy from.
    pub fn wait_for_master(&mut self) {
        self.replica.log = None;
    }

    /// Copies from the master what is due.
    pub fn follow(&mut self, now: Instant, master: &Self) {
        if self.replica.tables <= now {
            self.replica.tables = now.after(self.cfg.replica_period);
            for (topic, config) in master.topics() {
                if self.topic(topic) != Some(config) {
                    self.store.put_topic(topic, config.clone());
                }
            }
            self.groups.extend(master.groups.iter().map(|(name, config)| (name.clone(), config.clone())));
            self.offsets.copy(&master.offsets);
        }
        if self.store.end() >= master.store.end() {
            self.replica.log = None;
            return;
        }
        let due = *self.replica.log.get_or_insert(now.after(self.cfg.replica_delay));
        if due <= now {
            self.replica.log = None;
            let end = self.store.end();
            master.store.since(end).for_each(|record| self.store.append_copy(now, record));
        }
    }
}
