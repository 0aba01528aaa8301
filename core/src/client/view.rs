//! The immutable picture of routes and links that handles read without asking anybody.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{BrokerName, ConnId, Endpoint, MessageQueue, Topic};

/// Routes of the topics this client is interested in, and the links that are up.
#[derive(Clone, Debug, Default)]
pub struct RouteView {
    /// By topic.
    pub topics: BTreeMap<Topic, Arc<TopicView>>,
    /// By broker name.
    pub brokers: BTreeMap<BrokerName, Arc<BrokerView>>,
    /// Links that are up, by the address they lead to.
    pub links: BTreeMap<Endpoint, ConnId>,
    /// The wire versions of brokers, as far as their heartbeats have told.
    pub versions: BTreeMap<Endpoint, i32>,
}

impl RouteView {
    /// The master of a broker.
    #[must_use]
    pub fn master(&self, broker: &BrokerName) -> Option<&Endpoint> {
        self.brokers.get(broker)?.master()
    }
}

/// The queues of one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicView {
    /// Queues that take messages, broker by broker.
    pub publish: Vec<PublishQueue>,
    /// Queues that can be read, sorted.
    pub subscribe: Vec<MessageQueue>,
    /// Whether the topic exists, else this is the template a broker would create it from.
    pub exists: bool,
}

/// A queue that takes messages, and the link to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishQueue {
    /// The queue.
    pub queue: MessageQueue,
    /// The address of its broker's master.
    pub endpoint: Endpoint,
    /// The link to it, when it is up.
    pub conn: Option<ConnId>,
}

/// The addresses of one broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerView {
    /// By broker id; 0 is the master.
    pub addrs: BTreeMap<i64, Endpoint>,
    /// The cluster it belongs to.
    pub cluster: alloc::string::String,
}

impl BrokerView {
    /// The master's address.
    #[must_use]
    pub fn master(&self) -> Option<&Endpoint> {
        self.addrs.get(&MASTER_ID)
    }

    /// The address to read from when `wanted` was suggested: that one, its successor if it was a slave, else any.
    ///
    /// Returns the id found with its address.
    #[must_use]
    pub fn readable(&self, wanted: i64) -> Option<(i64, &Endpoint)> {
        let exact = self.addrs.get_key_value(&wanted);
        let next = || (wanted != MASTER_ID).then(|| self.addrs.get_key_value(&wanted.saturating_add(1))).flatten();
        exact.or_else(next).or_else(|| self.addrs.first_key_value()).map(|(id, endpoint)| (*id, endpoint))
    }
}

/// The broker id of a master.
pub const MASTER_ID: i64 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggested_slave_falls_back_to_its_successor_then_to_any() {
        let addrs = [(0, "m:1"), (2, "s:2")].map(|(id, to)| (id, Endpoint::from(to)));
        let broker = BrokerView { addrs: BTreeMap::from(addrs), cluster: "c".into() };
        assert_eq!(broker.readable(0).unwrap().1.as_str(), "m:1");
        assert_eq!(broker.readable(1).unwrap().0, 2);
        assert_eq!(broker.readable(5).unwrap().0, 0);
        assert_eq!(BrokerView::default().readable(0), None);
    }
}
