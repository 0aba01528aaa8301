//! Members of a consumer group: this client on a runtime of its own, or Java.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use futures_lite::future::block_on;
use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{Client, PushConsumer};
use rocketmq_testkit::real::{ConsumerSpec, JavaPeer};

use super::kit::World;
use super::owned;
use super::runtimes::{Kill, Live};

/// What a member consumed: its body and the queue it came from.
pub(crate) type Seen = (String, i32);

/// This client as a member.
pub(crate) struct Ours {
    pub(crate) id: String,
    client: Client,
    consumer: PushConsumer,
    kill: Option<Kill>,
    owned: Arc<Mutex<BTreeSet<i32>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    worker: JoinHandle<()>,
}

impl Ours {
    pub(crate) fn join<L: Live>(world: &World, group: &str, topic: &str) -> Self {
        let (client, kill) = L::connect_mortal(world.builder());
        let owned = owned::watch(&client, topic);
        let consumer = client.push_consumer(group).subscribe(topic, "*").start_from(StartFrom::First);
        let consumer = block_on(consumer.start()).expect("a consumer");
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let (receiver, seen_too) = (consumer.clone(), seen.clone());
        let worker = std::thread::spawn(move || {
            while let Some(delivery) = block_on(receiver.next()) {
                let message = delivery.message();
                let text = String::from_utf8_lossy(message.body()).into_owned();
                let queue = message.queue().id;
                // Recorded first, so that what is committed is always on record.
                seen_too.lock().unwrap().push((text, queue));
                delivery.ack();
            }
        });
        Self { id: client.client_id().to_string(), client, consumer, kill: Some(kill), owned, seen, worker }
    }

    pub(crate) fn owned(&self) -> BTreeSet<i32> {
        self.owned.lock().unwrap().clone()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Leaves in good order; what it has consumed, and what it left unsettled.
    pub(crate) fn leave(self) -> (Vec<Seen>, u64) {
        let drained = block_on(self.consumer.shutdown());
        block_on(self.client.shutdown());
        self.worker.join().expect("the worker ends");
        let seen = self.seen.lock().unwrap().clone();
        (seen, drained.unsettled)
    }

    /// Ends as a process that is killed; `None` if its receiver hangs.
    pub(crate) fn kill(mut self) -> Option<Vec<Seen>> {
        (self.kill.take()?)();
        for _ in 0..100 {
            if self.worker.is_finished() {
                return Some(self.seen());
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        None
    }
}

/// The official client as a member.
pub(crate) struct Java<'a> {
    pub(crate) id: String,
    name: String,
    topic: String,
    peer: &'a JavaPeer,
    seen: Mutex<Vec<Seen>>,
}

impl<'a> Java<'a> {
    pub(crate) fn join(world: &World, peer: &'a JavaPeer, name: &str, group: &str, topic: &str) -> Self {
        // A Java member whose queues change takes a new subscription version and tells the broker at once, unless a
        // heartbeat is under way at that moment: then its pulls are refused (25) until the next one.
        let spec = ConsumerSpec {
            instance: Some(name.to_owned()),
            heartbeat_ms: Some(2_000),
            ..ConsumerSpec::new(name, &world.namesrv, group, topic)
        };
        let id = peer.start_consumer(&spec).expect("a Java consumer");
        Self { id, name: name.to_owned(), topic: topic.to_owned(), peer, seen: Mutex::default() }
    }

    pub(crate) fn owned(&self) -> BTreeSet<i32> {
        owned::of_java(&self.peer.owned_queues(&self.name).expect("queues"), &self.topic)
    }

    /// What it tells the broker it owns.
    pub(crate) fn reported(&self, world: &World, group: &str) -> BTreeSet<i32> {
        let reported = world.java.reported_queues(&world.namesrv, group, &self.id).expect("running info");
        owned::of_java(&reported, &self.topic)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        let new = self.peer.consumed(&self.name).expect("consumed");
        let mut seen = self.seen.lock().unwrap();
        seen.extend(new.into_iter().map(|got| (got.body, got.message.queue_id)));
        seen.clone()
    }

    pub(crate) fn log_tail(&self) -> String {
        self.peer.log_tail()
    }

    /// Leaves in good order.
    pub(crate) fn leave(self) -> Vec<Seen> {
        // Stopped, the peer forgets what the consumer got: let it take no more that it would commit.
        self.hold();
        let seen = self.seen();
        self.peer.stop_consumer(&self.name).expect("stopped");
        seen
    }

    /// Dies with its JVM, on which nothing else may run.
    pub(crate) fn kill(self) -> Vec<Seen> {
        self.hold();
        let seen = self.seen();
        self.peer.kill();
        seen
    }

    /// From now on its listener does not end, so that nothing it gets later is committed: what is on record by then
    /// is all that it has ever committed.
    fn hold(&self) {
        self.peer.set_behaviour(&self.name, &[], 600_000).expect("a command");
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
}
