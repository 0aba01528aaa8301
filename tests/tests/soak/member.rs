//! Groups and their members: this client on a runtime of its own, or Java in a JVM of its own.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_lite::future::block_on;
use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{Client, ClientBuilder, Delivery, PushConsumer};
use rocketmq_testkit::real::{ConsumerSpec, JavaPeer, RealError};

use super::owned;

/// A group, and what its members have consumed.
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) topic: String,
    namesrv: String,
    orderly: bool,
    joined: AtomicU32,
    handled: Mutex<Vec<Handled>>,
    done: Mutex<BTreeSet<String>>,
}

/// One message in a handler.
#[derive(Clone, Debug)]
pub(crate) struct Handled {
    pub(crate) member: String,
    pub(crate) queue: i32,
    pub(crate) offset: i64,
    pub(crate) begun_ms: i64,
    pub(crate) ended_ms: i64,
}

pub(crate) enum Member {
    Ours(Ours),
    Java(Java),
}

pub(crate) struct Ours {
    group: Arc<Group>,
    name: String,
    client: Client,
    consumer: PushConsumer,
    runtime: tokio::runtime::Runtime,
    owned: Arc<Mutex<BTreeSet<i32>>>,
    worker: JoinHandle<()>,
}

pub(crate) struct Java {
    group: Arc<Group>,
    name: String,
    peer: JavaPeer,
}

impl Group {
    pub(crate) fn new(namesrv: &str, topic: &str, orderly: bool) -> Self {
        Self {
            name: format!("{topic}_group"),
            topic: topic.to_owned(),
            namesrv: namesrv.to_owned(),
            orderly,
            joined: AtomicU32::new(0),
            handled: Mutex::default(),
            done: Mutex::default(),
        }
    }

    /// The bodies that were consumed.
    pub(crate) fn done(&self) -> BTreeSet<String> {
        self.done.lock().unwrap().clone()
    }

    pub(crate) fn handled(&self) -> Vec<Handled> {
        self.handled.lock().unwrap().clone()
    }

    fn next_name(&self, kind: &str) -> String {
        format!("{}_{kind}_{}", self.name, self.joined.fetch_add(1, Ordering::Relaxed))
    }

    fn note(&self, body: String, handled: Handled) {
        self.done.lock().unwrap().insert(body);
        self.handled.lock().unwrap().push(handled);
    }
}

impl Member {
    /// This client joins.
    pub(crate) fn ours(group: &Arc<Group>) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime");
        let builder = ClientBuilder::new().name_servers(&group.namesrv);
        let connect = || runtime.block_on(rocketmq_tokio::connect_with(builder.clone())).ok();
        let client = wait(START, connect).expect("a client");
        let owned = owned::watch(&client, &group.topic);
        let consumer = || {
            let consumer = client.push_consumer(group.name.as_str()).subscribe(group.topic.as_str(), "*");
            let consumer = consumer.start_from(StartFrom::First);
            block_on(if group.orderly { consumer.orderly() } else { consumer }.start()).ok()
        };
        let consumer = wait(START, consumer).expect("a consumer");
        let (name, known) = (group.next_name("ours"), group.clone());
        let (receiver, member) = (consumer.clone(), name.clone());
        let worker = std::thread::spawn(move || {
            block_on(receiver.run(AT_ONCE, |delivery| handle(&known, &member, delivery)));
        });
        Self::Ours(Ours { group: group.clone(), name, client, consumer, runtime, owned, worker })
    }

    /// Java joins.
    pub(crate) fn java(group: &Arc<Group>) -> Result<Self, RealError> {
        let (peer, name) = (JavaPeer::start()?, group.next_name("java"));
        let spec = ConsumerSpec {
            orderly: group.orderly,
            instance: Some(name.clone()),
            heartbeat_ms: Some(2_000),
            ..ConsumerSpec::new(&name, &group.namesrv, &group.name, &group.topic)
        };
        wait(START, || peer.start_consumer(&spec).ok()).expect("a Java consumer");
        Ok(Self::Java(Java { group: group.clone(), name, peer }))
    }

    /// Leaves in good order.
    pub(crate) fn leave(self) {
        match self {
            Self::Ours(ours) => {
                block_on(ours.consumer.shutdown());
                block_on(ours.client.shutdown());
                ours.worker.join().expect("the worker ends");
                ours.runtime.shutdown_background();
            }
            Self::Java(java) => {
                java.hold();
                java.peer.stop_consumer(&java.name).expect("stopped");
            }
        }
    }

    /// Ends as a process that is killed.
    pub(crate) fn kill(self) {
        match self {
            Self::Ours(ours) => {
                ours.runtime.shutdown_background();
                assert!(wait(START, || ours.worker.is_finished().then_some(())).is_some(), "its handlers end");
            }
            Self::Java(java) => {
                java.hold();
                java.peer.kill();
            }
        }
    }

    /// Takes down what Java has consumed; ours does so itself.
    pub(crate) fn note(&self) {
        if let Self::Java(java) = self {
            java.note();
        }
    }

    pub(crate) fn group(&self) -> &Arc<Group> {
        match self {
            Self::Ours(ours) => &ours.group,
            Self::Java(java) => &java.group,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Ours(ours) => &ours.name,
            Self::Java(java) => &java.name,
        }
    }

    pub(crate) fn is_java(&self) -> bool {
        matches!(self, Self::Java(_))
    }

    /// The queues of the topic that it takes for its own.
    pub(crate) fn owned(&self) -> BTreeSet<i32> {
        match self {
            Self::Ours(ours) => ours.owned.lock().unwrap().clone(),
            Self::Java(java) => owned::of_java(&java.peer.owned_queues(&java.name).expect("queues"), &java.group.topic),
        }
    }
}

impl Java {
    /// From now on its listener does not end, so that nothing it gets later is committed: what is on record by then is
    /// all that it has ever committed.
    fn hold(&self) {
        self.peer.set_behaviour(&self.name, &[], 600_000).expect("a command");
        std::thread::sleep(Duration::from_millis(300));
        self.note();
    }

    fn note(&self) {
        for got in self.peer.consumed(&self.name).expect("consumed") {
            let handled = Handled {
                member: self.name.clone(),
                queue: got.message.queue_id,
                offset: got.message.queue_offset,
                begun_ms: got.at_ms,
                ended_ms: got.at_ms,
            };
            self.group.note(got.body, handled);
        }
    }
}

/// Notes first, so that what is committed is always on record; of a group without order now and then a message fails.
async fn handle(group: &Group, member: &str, delivery: Delivery) {
    let begun_ms = now_ms();
    smol::Timer::after(TAKES).await;
    let message = delivery.message();
    let (queue, offset) = (message.queue().id, message.queue_offset().to_wire());
    if !group.orderly && message.reconsume_times() == 0 && offset % FAILS_ONE_IN == 0 {
        return delivery.retry();
    }
    let body = String::from_utf8_lossy(message.body()).into_owned();
    group.note(body, Handled { member: member.to_owned(), queue, offset, begun_ms, ended_ms: now_ms() });
    delivery.ack();
}

/// Tries until it is there or patience is over.
pub(crate) fn wait<T>(patience: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    loop {
        let found = attempt();
        if found.is_some() || Instant::now() > end {
            return found;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}

/// Messages that one member handles at once.
const AT_ONCE: usize = 12;
/// How long a handler takes.
const TAKES: Duration = Duration::from_millis(5);
const FAILS_ONE_IN: i64 = 50;
/// How long a start may take while servers come and go.
const START: Duration = Duration::from_secs(60);
