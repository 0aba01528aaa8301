//! The queues of a topic that a member takes for its own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures_lite::future::block_on;
use rocketmq_core::client::ClientEvent;
use rocketmq_core::driver::Client;
use rocketmq_testkit::real::OwnedQueue;

/// Those of this client, kept up to date by its events.
pub(crate) fn watch(client: &Client, topic: &str) -> Arc<Mutex<BTreeSet<i32>>> {
    let owned = Arc::<Mutex<BTreeSet<i32>>>::default();
    let (mut events, wanted, kept) = (client.events(), topic.to_owned(), owned.clone());
    std::thread::spawn(move || {
        while let Some(event) = block_on(events.next()) {
            if let ClientEvent::Rebalanced { topic, added, revoked, .. } = event
                && topic.as_str() == wanted
            {
                let mut owned = kept.lock().unwrap();
                owned.retain(|id| revoked.iter().all(|queue| queue.id != *id));
                owned.extend(added.iter().map(|queue| queue.id));
            }
        }
    });
    owned
}

/// Those of Java's.
pub(crate) fn of_java(table: &[OwnedQueue], topic: &str) -> BTreeSet<i32> {
    let owned = table.iter().filter(|queue| queue.topic == topic && !queue.dropped);
    owned.map(|queue| queue.queue_id).collect()
}
