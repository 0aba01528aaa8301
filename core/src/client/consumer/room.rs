//! How much of a queue may be in hand before it is pulled again.

use super::{Consumer, Siblings};
use crate::client::Output;
use crate::config::ConsumerConfig;
use crate::effects::Effects;
use crate::ids::{Epoch, Group, MessageQueue, Topic};
use crate::mutants::mutant;

/// What a queue may have in hand, pulled and not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl Room {
    /// The room of one of so many queues of a topic that this member owns.
    fn share(config: &ConsumerConfig, queues: usize) -> Self {
        let queues = if mutant!(80) { 1 } else { u64::try_from(queues).unwrap_or(u64::MAX).max(1) };
        let of = |topic: Option<u32>, queue: u32| match topic {
            Some(topic) => u64::from(topic).checked_div(queues).unwrap_or(0).max(1),
            None => u64::from(queue),
        };
        Self {
            messages: of(config.topic_messages, config.queue_messages),
            bytes: of(config.topic_mib, config.queue_mib).saturating_mul(MIB),
        }
    }

    /// Asks to be told when half of the room is free again.
    pub(super) fn ask(self, group: &Group, epoch: Epoch, fx: &mut Effects) {
        let half = |room: u64| room.checked_div(2).unwrap_or(0);
        let (messages, bytes) = (half(self.messages), half(self.bytes));
        fx.output(Output::TellLow { group: group.clone(), epoch, messages, bytes });
    }
}

impl Consumer {
    /// The room that a queue of this topic has, by the queues that are ours now.
    pub(super) fn room(&self, topic: &Topic) -> Room {
        let of_topic = self.queues.keys().filter(|queue| queue.topic == *topic);
        Room::share(&self.config, of_topic.count())
    }

    /// The queues of a topic changed, and with them their shares.
    pub(super) fn share_room(&mut self, topic: &Topic, at: Siblings<'_>, fx: &mut Effects) {
        let room = self.room(topic);
        let mut throttled: alloc::vec::Vec<MessageQueue> = alloc::vec::Vec::new();
        for (queue, assigned) in self.queues.iter_mut().filter(|(queue, _)| queue.topic == *topic) {
            if assigned.resize(room) {
                throttled.push(queue.clone());
            }
        }
        for queue in throttled {
            self.pull_on(&queue, at, fx);
        }
    }
}

const MIB: u64 = 1024 * 1024;
