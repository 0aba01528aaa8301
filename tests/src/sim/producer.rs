//! One producer: a process that sends, one by one, in bursts, with second thoughts, and while it ends.

use std::time::Duration;

use futures_lite::FutureExt;
use rocketmq_core::config::LinkConfig;
use rocketmq_core::driver::{Client, Producer};
use rocketmq_core::send::{Receipt, SendError, StoreStatus};
use rocketmq_core::wire::Codec;

use super::faults::Fault;
use super::history::{Outcome, Queue, What};
use super::member::{draw, unstarted};
use super::payload;
use super::workload::Run;
use super::{Host, Task, World};

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
    let started = client.producer(format!("p{index}")).retries(retries).start().await;
    let producer = started.expect("the configuration keeps every rule");
    let messages = run.plan.messages / run.plan.producers as u64;
    let pause = u64::try_from(run.plan.safety.as_millis()).unwrap_or(0) * 2 / messages.max(1);
    let mut sent = 0;
    while sent < messages && !world.is_healed() {
        let time = draw(&run, 0, pause);
        world.sleep(Duration::from_millis(time)).await;
        if world.roll(Fault::Burst) {
            let one = || send(run.clone(), host.clone(), client.clone(), producer.clone(), retries);
            let sends: Vec<_> = (0..30).map(|_| world.spawn_on(&host, one())).collect();
            for send in sends {
                send.await;
            }
            sent += 30;
        } else if world.choose(3) == 0 {
            // Without waiting for the one before.
            world.spawn_on(&host, send(run.clone(), host.clone(), client.clone(), producer.clone(), retries)).detach();
            sent += 1;
        } else {
            send(run.clone(), host.clone(), client.clone(), producer.clone(), retries).await;
            sent += 1;
        }
    }
    if world.roll(Fault::SendInShutdown) {
        for _ in 0..5 {
            world.spawn_on(&host, send(run.clone(), host.clone(), client.clone(), producer.clone(), retries)).detach();
        }
        world.sleep(Duration::from_millis(draw(&run, 0, 3))).await;
    }
    world.note(What::Leaving { host: host.index });
    client.shutdown().await;
    drop((client, producer));
    world.sleep(Duration::from_secs(5)).await;
}

/// Starts a producer that sends a little while everybody leaves.
pub(crate) fn say_goodbye(run: &Run) -> Task<()> {
    let (world, run) = (run.world.clone(), run.clone());
    let host = world.host("10.0.2.99").named("last producer");
    world.spawn_on(&host.clone(), async move {
        let client = connect(&run, &host, Codec::Json).await;
        let producer = client.producer("last").start().await.expect("the configuration keeps every rule");
        for _ in 0..40 {
            send(run.clone(), host.clone(), client.clone(), producer.clone(), 2).await;
            run.world.sleep(Duration::from_millis(75)).await;
        }
        run.world.note(What::Leaving { host: host.index });
        client.shutdown().await;
    })
}

async fn connect(run: &Run, host: &Host, codec: Codec) -> Client {
    loop {
        let before = run.world.with(|state| state.left_on(host.index));
        let mut link = LinkConfig::default();
        if let Some((requests, bytes)) = run.plan.narrow {
            (link.max_sends, link.max_queued_bytes) = (requests, bytes);
        }
        match Client::builder().codec(codec).link(link).connect_on(host).await {
            Ok(client) => return client,
            Err(_) => unstarted(&run.world, host, before).await,
        }
    }
}

async fn send(run: Run, host: Host, client: Client, producer: Producer, retries: u32) {
    let world = &run.world;
    run.note_load(&host, &client);
    let mut id = run.next_message();
    if world.roll(Fault::OddBody) {
        id |= payload::LARGE;
    }
    let topic = usize::try_from(world.choose(run.plan.topics.len() as u64)).unwrap_or(0);
    let message = payload::message(&run.plan.topics[topic], id);
    let deadline = world.now().after(TIMEOUT);
    world.note(What::Attempt { id, deadline, attempts: retries + 1 });
    let outcome = if world.roll(Fault::CancelledSend) {
        let patience = Duration::from_micros(draw(&run, 0, 5_000));
        let given_up = async {
            world.sleep(patience).await;
            world.reach("a send is given up");
            Outcome::Cancelled
        };
        async { outcome_of(world, producer.send(message).await) }.or(given_up).await
    } else {
        outcome_of(world, producer.send(message).await)
    };
    world.note(What::Resolved { id, outcome });
}

fn outcome_of(world: &World, result: Result<Receipt, SendError>) -> Outcome {
    match result {
        Ok(receipt) => {
            let name = receipt.queue.broker.as_str().to_owned();
            let broker = world.with(|state| state.servers.broker_named(&name).unwrap_or(usize::MAX));
            let queue = Queue { broker, topic: receipt.queue.topic.as_str().into(), id: receipt.queue.id };
            let plain = receipt.status() == StoreStatus::Stored;
            world.reach(if plain { "a message is stored" } else { "a message is stored weakly" });
            Outcome::Stored { plain, queue, offset: receipt.queue_offset.to_wire() }
        }
        Err(error) => {
            world.reach(mark_of(&error));
            if error.may_be_stored() { Outcome::Unknown } else { Outcome::Failed }
        }
    }
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
