//! One producer: a process that sends, one by one, in bursts, with second thoughts, and while it ends.

use std::time::Duration;

use futures_lite::FutureExt;
use rocketmq_core::config::LinkConfig;
use rocketmq_core::driver::Client;
use rocketmq_core::send::{Receipt, SendError, StoreStatus};
use rocketmq_core::wire::Codec;

use super::faults::Fault;
use super::history::{Outcome, Queue, What};
use super::member::{connected, draw};
use super::payload;
use super::ways::{self, Sender};
use super::workload::Run;
use super::{Host, Task, World, traces};
use crate::cluster::TIMER_TOPIC;

/// Starts the producer with this index.
pub(crate) fn start(run: &Run, index: usize) -> Task<()> {
    let host = run.world.host(&format!("10.0.2.{}", index + 1)).named(&format!("producer {index}"));
    run.world.spawn_on(&host.clone(), live(run.clone(), host, index))
}

async fn live(run: Run, host: Host, index: usize) {
    let world = run.world.clone();
    let codec = if index == 0 { Codec::Json } else { Codec::Rocketmq };
    let client = connect(&run, &host, codec).await;
    let retries = u32::try_from(draw(&run, 0, 3)).unwrap_or(2);
    let builder = ways::configure(&run, client.producer(format!("p{index}")).retries(retries));
    let producer = builder.start().await.expect("the configuration keeps every rule");
    let sender = Sender { run: run.clone(), host: host.clone(), client, producer, retries };
    let messages = run.plan.messages / run.plan.producers as u64;
    let pause = u64::try_from(run.plan.safety.as_millis()).unwrap_or(0) * 2 / messages.max(1);
    let mut sent = 0;
    while sent < messages && !world.is_healed() {
        let time = draw(&run, 0, pause);
        world.sleep(Duration::from_millis(time)).await;
        if world.roll(Fault::Burst) {
            let sends: Vec<_> = (0..30).map(|_| world.spawn_on(&host, send(sender.clone()))).collect();
            for send in sends {
                send.await;
            }
            sent += 30;
        } else if world.choose(3) == 0 {
            // Without waiting for the one before.
            world.spawn_on(&host, send(sender.clone())).detach();
            sent += 1;
        } else {
            send(sender.clone()).await;
            sent += 1;
        }
    }
    if world.roll(Fault::SendInShutdown) {
        for _ in 0..5 {
            world.spawn_on(&host, send(sender.clone())).detach();
        }
        world.sleep(Duration::from_millis(draw(&run, 0, 3))).await;
    } else if run.plan.every_way {
        // What still waits for room is not sent any more by a client that ends.
        world.sleep(Duration::from_millis(30)).await;
    }
    world.note(What::Leaving { host: host.index });
    sender.client.shutdown().await;
    drop(sender);
    world.sleep(Duration::from_secs(5)).await;
}

/// Starts a producer that sends a little while everybody leaves.
pub(crate) fn say_goodbye(run: &Run) -> Task<()> {
    let (world, run) = (run.world.clone(), run.clone());
    let host = world.host("10.0.2.99").named("last producer");
    world.spawn_on(&host.clone(), async move {
        let client = connect(&run, &host, Codec::Json).await;
        let producer = client.producer("last").start().await.expect("the configuration keeps every rule");
        let sender = Sender { run, host, client, producer, retries: 2 };
        for _ in 0..40 {
            plainly(&sender).await;
            sender.run.world.sleep(Duration::from_millis(75)).await;
        }
        sender.run.world.note(What::Leaving { host: sender.host.index });
        sender.client.shutdown().await;
    })
}

async fn connect(run: &Run, host: &Host, codec: Codec) -> Client {
    let mut link = LinkConfig::default();
    if let Some((requests, bytes)) = run.plan.narrow {
        (link.max_sends, link.max_queued_bytes) = (requests, bytes);
    }
    let builder = run.world.builder().codec(codec).link(link).trace(traces::config(&run.plan));
    connected(&run.world, host, &builder).await
}

async fn send(sender: Sender) {
    if sender.run.plan.every_way {
        ways::send(sender).await;
    } else {
        plainly(&sender).await;
    }
}

/// Sends one message to any queue.
async fn plainly(sender: &Sender) {
    let Sender { run, producer, .. } = sender;
    let id = sender.begin(run.next_message());
    let topic = sender.topic();
    let message = payload::message(&topic, id);
    sender.attempt(id, sender.retries + 1);
    sender.resolve(id, sender.patiently(async { outcome_of(&run.world, producer.send(message).await) }).await);
}

impl Sender {
    /// The number of the next message, which may be a large one.
    pub(crate) fn begin(&self, id: u64) -> u64 {
        self.run.note_load(&self.host, &self.client);
        if self.run.world.roll(Fault::OddBody) { id | payload::LARGE } else { id }
    }

    pub(crate) fn topic(&self) -> std::sync::Arc<str> {
        let topics = &self.run.plan.topics;
        let topic = usize::try_from(self.run.world.choose(topics.len() as u64)).unwrap_or(0);
        topics[topic].clone()
    }

    /// Notes that a send begins.
    pub(crate) fn attempt(&self, id: u64, attempts: u32) {
        let deadline = self.run.world.now().after(TIMEOUT);
        self.run.world.note(What::Attempt { id, deadline, attempts });
    }

    /// Notes that it is over.
    pub(crate) fn resolve(&self, id: u64, outcome: Outcome) {
        self.run.world.note(What::Resolved { id, outcome });
    }

    /// Waits for a send, if not with second thoughts.
    pub(crate) async fn patiently(&self, send: impl Future<Output = Outcome>) -> Outcome {
        let world = &self.run.world;
        if !world.roll(Fault::CancelledSend) {
            return send.await;
        }
        let patience = Duration::from_micros(draw(&self.run, 0, 5_000));
        let given_up = async {
            world.sleep(patience).await;
            world.reach("a send is given up");
            Outcome::Cancelled
        };
        send.or(given_up).await
    }
}

pub(crate) fn outcome_of(world: &World, result: Result<Receipt, SendError>) -> Outcome {
    match result {
        Ok(receipt) => {
            let name = receipt.queue.broker.as_str().to_owned();
            let broker = world.with(|state| state.servers.broker_named(&name).unwrap_or(usize::MAX));
            // With a timer it is in a queue of the broker's own.
            let topic = if receipt.recall_handle.is_some() { TIMER_TOPIC } else { receipt.queue.topic.as_str() };
            let id = if receipt.recall_handle.is_some() { 0 } else { receipt.queue.id };
            let queue = Queue { broker, topic: topic.into(), id };
            let plain = receipt.status() == StoreStatus::Stored;
            world.reach(if plain { "a message is stored" } else { "a message is stored weakly" });
            Outcome::Stored { plain, queue, offset: receipt.queue_offset.to_wire() }
        }
        Err(error) => failed(world, &error),
    }
}

/// The outcome of a send that failed.
pub(crate) fn failed(world: &World, error: &SendError) -> Outcome {
    world.reach(mark_of(error));
    if error.may_be_stored() { Outcome::Unknown } else { Outcome::Failed }
}

const fn mark_of(error: &SendError) -> &'static str {
    match error {
        SendError::Broker { .. } => "a send is refused",
        SendError::Unknown { .. } => "a send is refused after one that went unanswered",
        SendError::NotWritable(_) => "no queue takes messages",
        SendError::NoRoute(_) => "a send finds no route",
        SendError::Closed => "a send meets the end of its client",
        SendError::Request(_) => "a send gets no answer",
        _ => "a send fails otherwise",
    }
}

/// The default of the client.
const TIMEOUT: Duration = Duration::from_secs(3);
