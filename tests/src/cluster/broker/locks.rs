//! Queue locks for orderly consumption: 41 and 42.

use std::collections::BTreeMap;

use rocketmq_core::ids::ClientId;
use rocketmq_core::time::Instant;
use rocketmq_core::wire::body::{LockQueues, LockedQueues};

use super::{Answer, Broker, Call};
use crate::cluster::output::Reply;

/// Who holds which queue until when, by group.
#[derive(Debug, Default)]
pub(super) struct Locks {
    held: BTreeMap<String, BTreeMap<(String, i32), Lease>>,
}

#[derive(Debug)]
struct Lease {
    client: ClientId,
    until: Instant,
}

impl Locks {
    /// Whether any queue of the group is locked.
    pub(super) fn any_held(&self, group: &str, now: Instant) -> bool {
        self.held.get(group).is_some_and(|queues| queues.values().any(|lease| now < lease.until))
    }

    /// Who holds the queue.
    pub(super) fn owner(&self, now: Instant, group: &str, topic: &str, queue_id: i32) -> Option<&str> {
        let lease = self.held.get(group)?.get(&(topic.to_owned(), queue_id))?;
        (now < lease.until).then_some(lease.client.as_str())
    }
}

impl Broker {
    pub(super) fn lock(&mut self, call: &Call<'_>, body: &[u8]) -> Answer {
        let Ok(request) = LockQueues::decode(body) else { return Err(BAD_BODY.into()) };
        let queues = self.locks.held.entry(request.group.as_str().to_owned()).or_default();
        let until = call.now.after(self.cfg.lock_lease);
        let mut locked = LockedQueues { queues: request.queues };
        locked.queues.retain(|queue| {
            let key = (queue.topic.as_str().to_owned(), queue.id);
            let free = queues.get(&key).is_none_or(|old| old.until <= call.now || old.client == request.client_id);
            if free {
                queues.insert(key, Lease { client: request.client_id.clone(), until });
            }
            free
        });
        Ok(Some(Reply::ok().body(locked.encode())))
    }

    pub(super) fn unlock(&mut self, _: &Call<'_>, body: &[u8]) -> Answer {
        let Ok(request) = LockQueues::decode(body) else { return Err(BAD_BODY.into()) };
        if let Some(queues) = self.locks.held.get_mut(request.group.as_str()) {
            for queue in request.queues {
                let key = (queue.topic.as_str().to_owned(), queue.id);
                if queues.get(&key).is_some_and(|lease| lease.client == request.client_id) {
                    queues.remove(&key);
                }
            }
        }
        Ok(Some(Reply::ok()))
    }

    /// The client that holds the lock of a queue for a group.
    #[must_use]
    pub fn lock_owner(&self, now: Instant, group: &str, topic: &str, queue_id: i32) -> Option<&str> {
        self.locks.owner(now, group, topic, queue_id)
    }

    /// How many locks a client holds, over all groups.
    #[must_use]
    pub fn locks_of(&self, now: Instant, client: &str) -> usize {
        let leases = self.locks.held.values().flat_map(BTreeMap::values);
        leases.filter(|lease| now < lease.until && lease.client.as_str() == client).count()
    }
}

const BAD_BODY: &str = "the body cannot be parsed";
