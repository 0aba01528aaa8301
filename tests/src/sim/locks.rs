//! What is noted of queue locks at brokers.

use std::sync::Arc;

use rocketmq_core::wire::Frame;
use rocketmq_core::wire::body::LockQueues;
use rocketmq_core::wire::codes::request;

use super::history::{Queue, What};
use super::state::State;
use crate::cluster::Node;

/// What a request to lock or unlock is about.
pub(super) struct Locks {
    broker: usize,
    group: Arc<str>,
    client: Arc<str>,
    queues: Vec<Queue>,
    /// Which of them the client had before.
    held: Vec<bool>,
}

impl State {
    /// The locks that a request is about, and which of them the client has.
    pub(super) fn locks_of(&self, node: Node, frame: &Frame) -> Option<Locks> {
        let Node::Broker(broker) = node else { return None };
        if ![request::LOCK_BATCH_MQ, request::UNLOCK_BATCH_MQ].contains(&frame.header.code) {
            return None;
        }
        let body = LockQueues::decode(&frame.body).ok()?;
        let queues = body.queues.iter();
        let queues = queues.map(|queue| Queue { broker, topic: queue.topic.as_str().into(), id: queue.id }).collect();
        let (group, client) = (body.group.as_str().into(), body.client_id.as_str().into());
        let mut locks = Locks { broker, group, client, queues, held: Vec::new() };
        locks.held = self.held(&locks);
        Some(locks)
    }

    /// Which of these queues the client has locked.
    fn held(&self, locks: &Locks) -> Vec<bool> {
        let broker = self.servers.cluster.broker(locks.broker);
        let owner = |queue: &Queue| broker.lock_owner(self.now, &locks.group, &queue.topic, queue.id);
        locks.queues.iter().map(|queue| owner(queue) == Some(&*locks.client)).collect()
    }

    pub(super) fn note_locks(&mut self, host: usize, locks: Option<Locks>) {
        let Some(locks) = locks else { return };
        let held = self.held(&locks);
        for ((queue, before), now) in locks.queues.into_iter().zip(locks.held).zip(held) {
            let group = locks.group.clone();
            match (before, now) {
                (_, true) => self.note(What::Locked { host, group, queue }),
                (true, false) => self.note(What::Unlocked { host, group, queue }),
                (false, false) => self.reach("a queue is locked by another member"),
            }
        }
    }
}
