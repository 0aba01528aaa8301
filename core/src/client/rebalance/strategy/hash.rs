//! Consistent hashing. Source: Java `AllocateMessageQueueConsistentHash`, `ConsistentHashRouter`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{Arguments, Write};

use md5::{Digest, Md5};

use crate::ids::{ClientId, MessageQueue};

/// The queues whose next place on the ring is one of `me`.
pub(super) fn consistent_hash(
    virtual_nodes: u32,
    me: &ClientId,
    queues: &[MessageQueue],
    members: &[ClientId],
) -> Vec<MessageQueue> {
    let mut hasher = Hasher::default();
    let mut ring = BTreeMap::<u32, &ClientId>::new();
    let mut known = BTreeSet::new();
    for member in members {
        // A member that is listed twice gets as many places more.
        let places = if known.insert(member) { 0 } else { ring.values().filter(|owner| **owner == member).count() };
        let first = u32::try_from(places).unwrap_or(u32::MAX);
        for replica in 0..virtual_nodes {
            ring.insert(hasher.hash(format_args!("{member}-{}", first.saturating_add(replica))), member);
        }
    }
    let mut is_mine = |queue: &MessageQueue| {
        let MessageQueue { topic, broker, id } = queue;
        let place = hasher.hash(format_args!("MessageQueue [topic={topic}, brokerName={broker}, queueId={id}]"));
        let next = ring.range(place..).next().or_else(|| ring.first_key_value());
        next.is_some_and(|(_, owner)| *owner == me)
    };
    queues.iter().filter(|queue| is_mine(queue)).cloned().collect()
}

/// The first four bytes of an MD5 digest; what is hashed is written into one buffer.
#[derive(Default)]
struct Hasher {
    text: String,
}

impl Hasher {
    fn hash(&mut self, text: Arguments<'_>) -> u32 {
        self.text.clear();
        // A `String` takes whatever is written.
        let _ = self.text.write_fmt(text);
        let digest = Md5::digest(self.text.as_bytes());
        digest.first_chunk().copied().map_or(0, u32::from_be_bytes)
    }
}
