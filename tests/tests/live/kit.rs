//! What the scenarios share.

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use rocketmq_core::client::ClientEvent;
use rocketmq_core::driver::{Client, ClientBuilder, Delivery, EventStream, Producer, PushConsumer, ReceivedMessage};
use rocketmq_core::message::Message;
use rocketmq_core::send::{Receipt, SendError};
use rocketmq_testkit::real::{ConnectionInfo, JavaPeer, MqAdmin, RealCluster};
use smol::{LocalExecutor, Timer};

use super::checks::{Checks, Scope};
use super::runtimes::Live;

/// The broker's configuration. All delays are a second but that of level 10. A 4.x broker takes every message for one
/// on disk, so that a group without offset does not begin at 0 of a young queue whatever it asked for; pulls of such
/// messages are as large as others. A machine that is busy with two clusters is no reason to refuse messages.
pub(crate) const BROKER_CONF: [(&str, &str); 10] = [
    ("traceTopicEnable", "true"),
    ("recallMessageEnable", "true"),
    ("messageDelayLevel", "1s 1s 1s 1s 1s 1s 1s 1s 1s 4s 1s 1s 1s 1s 1s 1s 1s 1s"),
    ("accessMessageInMemoryMaxRatio", "0"),
    ("maxTransferCountOnMessageInDisk", "32"),
    ("maxTransferBytesOnMessageInDisk", "262144"),
    ("waitTimeMillsInSendQueue", "5000"),
    ("osPageCacheBusyTimeOutMills", "5000"),
    ("transactionTimeOut", "2000"),
    ("transactionCheckInterval", "3000"),
];
/// How long anything may take that should happen soon.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait for what must not happen.
pub(crate) const QUIET: Duration = Duration::from_millis(1_500);

/// A running cluster of one version, and a Java peer.
pub(crate) struct World {
    /// The addresses of all name servers.
    pub(crate) namesrv: String,
    pub(crate) broker_name: String,
    pub(crate) java: Arc<JavaPeer>,
    pub(crate) mqadmin: MqAdmin,
    pub(crate) checks: Arc<Checks>,
}

impl World {
    pub(crate) fn new(cluster: &RealCluster, java: &Arc<JavaPeer>, checks: &Arc<Checks>) -> Self {
        Self {
            namesrv: cluster.name_servers(),
            broker_name: cluster.broker_name().to_owned(),
            java: java.clone(),
            mqadmin: cluster.mqadmin(),
            checks: checks.clone(),
        }
    }

    pub(crate) fn scope<L: Live>(&self, scenario: &str) -> Scope {
        Scope::new(&self.checks, L::NAME, scenario)
    }

    pub(crate) fn builder(&self) -> ClientBuilder {
        ClientBuilder::new().name_servers(&self.namesrv)
    }

    pub(crate) async fn client<L: Live>(&self) -> Client {
        L::connect(self.builder()).await.expect("a client")
    }

    pub(crate) fn topic(&self, topic: &str, queues: u32) {
        self.java.create_topic(&self.namesrv, topic, queues).expect("a topic");
    }

    /// The members of a group as the broker knows them. The retry topic by which Java finds the broker may be young.
    pub(crate) fn online(&self, group: &str) -> Vec<ConnectionInfo> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.java.consumer_connections(&self.namesrv, group) {
                Ok(online) => return online,
                Err(error) if Instant::now() > end => panic!("members of {group}: {error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// What a group has committed, and the end of the queues, each summed over the queues.
    pub(crate) fn offsets(&self, group: &str, topic: &str) -> (i64, i64) {
        let offsets = self.java.offsets(&self.namesrv, group, topic).expect("offsets");
        (offsets.iter().map(|queue| queue.committed.max(0)).sum(), offsets.iter().map(|queue| queue.max).sum())
    }
}

/// Does something with each at once; what came of those that did not fail.
pub(crate) fn at_once<T: Send, U: Send>(
    part: &str,
    all: Vec<T>,
    failures: &mut Vec<String>,
    act: impl Fn(T) -> U + Sync,
) -> Vec<U> {
    let act = &act;
    let ended: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = all.into_iter().map(|one| scope.spawn(move || act(one))).collect();
        running.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let (done, failed): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
    failures.extend(failed.into_iter().filter_map(Result::err).map(|why| format!("{part}: {}", panic_text(&*why))));
    done.into_iter().filter_map(Result::ok).collect()
}

/// A topic that our own administration makes: once more while the name server, which loses news of two topics that change
/// at once, does not show it.
pub(crate) async fn create(client: &Client, topic: &str, queues: u32) {
    let end = Instant::now() + PATIENCE;
    loop {
        client.admin().create_topic(topic, queues).await.expect("a topic");
        match client.admin().queues(topic).await {
            Ok(shown) if shown.len() == queues as usize => return,
            Ok(_) | Err(_) if Instant::now() < end => sleep(Duration::from_secs(1)).await,
            shown => panic!("{topic} is not shown: {shown:?}"),
        }
    }
}

/// A producer that gives a busy broker time: sent again after a third of it, a message would be stored twice.
pub(crate) async fn producer(client: &Client, group: &str) -> Producer {
    client.producer(group).send_timeout(Duration::from_secs(45)).start().await.expect("a producer")
}

/// A message as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) body: Vec<u8>,
    pub(crate) topic: String,
    pub(crate) from_topic: String,
    pub(crate) queue_id: i32,
    pub(crate) queue_offset: u64,
    pub(crate) msg_id: String,
    pub(crate) offset_msg_id: String,
    pub(crate) tag: Option<String>,
    pub(crate) keys: Vec<String>,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) times: i32,
    pub(crate) at: Instant,
}

impl Got {
    pub(crate) fn of(message: &ReceivedMessage) -> Self {
        Self {
            body: message.body().to_vec(),
            topic: message.topic().to_string(),
            from_topic: message.queue().topic.to_string(),
            queue_id: message.queue().id,
            queue_offset: message.queue_offset().get(),
            msg_id: message.msg_id(),
            offset_msg_id: message.offset_msg_id(),
            tag: message.tag().map(str::to_owned),
            keys: message.keys().map(str::to_owned).collect(),
            properties: message.properties().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            times: message.reconsume_times(),
            at: Instant::now(),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Receives until there are `count` messages or the time is up, and settles each by `settle`.
pub(crate) async fn receive(
    consumer: &PushConsumer,
    count: usize,
    patience: Duration,
    mut settle: impl FnMut(Delivery),
) -> Vec<Got> {
    let mut all = Vec::new();
    let end = Instant::now() + patience;
    while all.len() < count {
        let Some(Some(delivery)) = before(end, consumer.next()).await else { break };
        all.push(Got::of(delivery.message()));
        settle(delivery);
    }
    all
}

/// Receives and acknowledges.
pub(crate) async fn collect(consumer: &PushConsumer, count: usize) -> Vec<Got> {
    receive(consumer, count, PATIENCE, Delivery::ack).await
}

/// What comes although nothing should.
pub(crate) async fn extra(consumer: &PushConsumer) -> Vec<String> {
    receive(consumer, usize::MAX, QUIET, Delivery::ack).await.iter().map(Got::text).collect()
}

/// The output of a future, or `None` at `end`.
pub(crate) async fn before<T>(end: Instant, future: impl Future<Output = T>) -> Option<T> {
    let sleep = async {
        Timer::at(end).await;
        None
    };
    async { Some(future.await) }.or(sleep).await
}

pub(crate) async fn sleep(time: Duration) {
    Timer::after(time).await;
}

/// Sends messages, so many at once; results in the order of the messages.
pub(crate) async fn send_all(
    producer: &Producer,
    at_once: usize,
    messages: Vec<Message>,
) -> Vec<Result<Receipt, SendError>> {
    let (next, messages) = (&Cell::new(0), &messages);
    let executor = LocalExecutor::new();
    let worker = || async move {
        let mut done = Vec::new();
        while let Some(message) = messages.get(next.get()) {
            let at = next.replace(next.get() + 1);
            done.push((at, producer.send(message.clone()).await));
        }
        done
    };
    let workers: Vec<_> = (0..at_once).map(|_| executor.spawn(worker())).collect();
    let mut done = Vec::new();
    executor
        .run(async {
            for worker in workers {
                done.extend(worker.await);
            }
        })
        .await;
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// The receipts of sends that must all succeed.
pub(crate) fn receipts(results: Vec<Result<Receipt, SendError>>) -> Vec<Receipt> {
    results.into_iter().map(|result| result.expect("a receipt")).collect()
}

/// Events that are there already.
pub(crate) fn drain(events: &mut EventStream) -> Vec<ClientEvent> {
    std::iter::from_fn(|| events.try_next()).collect()
}

/// Tries until it holds or the time is up.
pub(crate) async fn eventually<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = attempt();
        if found.is_some() || Instant::now() > end {
            return found;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<_> = items.into_iter().collect();
    items.sort();
    items
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// Waits in this thread until something is so; `false` when patience is over.
pub(crate) fn wait(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    loop {
        if done() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
