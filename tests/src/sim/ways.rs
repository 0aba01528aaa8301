//! Every way of sending: by key, without answer, in batches, later, and put together by the client.

use std::sync::Arc;
use std::time::Duration;

use rocketmq_core::config::{AutoBatch, LatencyFaults};
use rocketmq_core::driver::{Client, Producer, ProducerBuilder};
use rocketmq_core::send::Receipt;
use rocketmq_core::wire::compress::CompressionKind;

use super::Host;
use super::history::{Outcome, Queue, What};
use super::payload;
use super::producer::{failed, outcome_of};
use super::tape::Stream;
use super::workload::{BUDGET, Run};
use crate::cluster::SCHEDULE_TOPIC;

/// Who sends, from where.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) run: Run,
    pub(crate) host: Host,
    pub(crate) client: Client,
    pub(crate) producer: Producer,
    pub(crate) retries: u32,
}

/// Gives a producer that sends in every way the settings for it.
pub(crate) fn configure(run: &Run, mut builder: ProducerBuilder) -> ProducerBuilder {
    if !run.plan.every_way {
        return builder;
    }
    let kinds = [CompressionKind::Zlib, CompressionKind::Lz4, CompressionKind::Zstd];
    builder = builder.compression(kinds[pick(run, 3)]).under_way(BUDGET.0, BUDGET.1);
    if pick(run, 2) == 0 {
        builder = builder.auto_batch(AutoBatch { max_bytes: 1_000, ..AutoBatch::default() });
    }
    if pick(run, 2) == 0 {
        builder = builder.latency_faults(LatencyFaults::java(pick(run, 2) == 0));
    }
    builder
}

/// Sends in one of the ways.
pub(crate) async fn send(sender: Sender) {
    let run = &sender.run;
    run.note_budget(&sender.host, &sender.producer);
    match pick(run, 8) {
        0 | 1 => by_key(&sender).await,
        2 => oneway(&sender).await,
        3 => batch(&sender).await,
        4 => by_level(&sender).await,
        5 if !run.plan.old_brokers => with_timer(&sender).await,
        6 => if_there_is_room(&sender).await,
        _ => plainly(&sender).await,
    }
    sender.run.note_budget(&sender.host, &sender.producer);
}

async fn plainly(sender: &Sender) {
    let (id, topic) = (sender.begin(sender.run.next_message()), sender.topic());
    sender.attempt(id, sender.retries + 1);
    let message = payload::message(&topic, id);
    let send = async { outcome_of(&sender.run.world, sender.producer.send(message).await) };
    sender.resolve(id, sender.patiently(send).await);
}

async fn by_key(sender: &Sender) {
    let (id, topic) = (sender.begin(sender.run.next_message()), sender.topic());
    let key: Arc<str> = format!("key {}", pick(&sender.run, 5)).into();
    sender.attempt(id, 1);
    sender.run.world.note(What::Keyed { id, host: sender.host.index, topic: topic.clone(), key: key.clone() });
    let message = payload::message(&topic, id).with_sharding_key(&*key);
    let send = async { outcome_of(&sender.run.world, sender.producer.send_by(message, &key).await) };
    let outcome = sender.patiently(send).await;
    if matches!(outcome, Outcome::Stored { .. }) {
        sender.run.world.reach("a message of a key is stored");
    }
    sender.resolve(id, outcome);
}

async fn oneway(sender: &Sender) {
    let (id, topic) = (sender.begin(sender.run.next_message()), sender.topic());
    sender.attempt(id, 1);
    let message = payload::message(&topic, id);
    let send = async {
        match sender.producer.send_oneway(message).await {
            Ok(()) => {
                sender.run.world.reach("a message is sent without answer");
                Outcome::Sent
            }
            Err(error) => failed(&sender.run.world, &error),
        }
    };
    sender.resolve(id, sender.patiently(send).await);
}

async fn batch(sender: &Sender) {
    let world = &sender.run.world;
    let topic = sender.topic();
    let ids: Vec<_> = (0..2 + pick(&sender.run, 4)).map(|_| sender.begin(sender.run.next_message())).collect();
    ids.iter().for_each(|id| sender.attempt(*id, sender.retries + 1));
    let messages = ids.iter().map(|id| payload::message(&topic, *id)).collect();
    match sender.producer.send_batch(messages).await {
        Ok(receipt) => {
            for (id, receipt) in ids.iter().zip(receipt.messages) {
                sender.resolve(*id, outcome_of(world, Ok(receipt)));
            }
        }
        Err(error) => ids.iter().for_each(|id| sender.resolve(*id, failed(world, &error))),
    }
}

async fn by_level(sender: &Sender) {
    let (id, topic) = (sender.begin(sender.run.next_message()), sender.topic());
    let world = &sender.run.world;
    let level = 1 + u8::try_from(pick(&sender.run, 2)).unwrap_or(0);
    sender.attempt(id, sender.retries + 1);
    let delay = Duration::from_secs(if level == 1 { 1 } else { 5 });
    world.note(What::Delayed { id, least: world.now().after(delay) });
    let message = payload::message(&topic, id).with_delay_level(level);
    let send = async {
        match outcome_of(world, sender.producer.send(message).await) {
            Outcome::Stored { plain, queue, offset } => {
                // It waits in a queue of the broker's own.
                let queue = Queue { topic: SCHEDULE_TOPIC.into(), id: i32::from(level) - 1, ..queue };
                Outcome::Stored { plain, queue, offset }
            }
            other => other,
        }
    };
    sender.resolve(id, sender.patiently(send).await);
}

async fn with_timer(sender: &Sender) {
    let (id, topic) = (sender.begin(sender.run.next_message()), sender.topic());
    let world = &sender.run.world;
    let millis = 1_000 * (2 + pick(&sender.run, 20) as u64) + 500 * pick(&sender.run, 2) as u64;
    let delay = Duration::from_millis(millis);
    sender.attempt(id, sender.retries + 1);
    world.note(What::Delayed { id, least: world.now().after(delay) });
    let message = payload::message(&topic, id).with_delay(delay);
    let result = sender.producer.send(message).await;
    let handle = result.as_ref().ok().and_then(|receipt: &Receipt| {
        let broker = world.with(|state| state.servers.broker_named(receipt.queue.broker.as_str()))?;
        Some((broker, receipt.recall_handle.clone()?))
    });
    sender.resolve(id, outcome_of(world, result));
    let Some((broker, handle)) = handle.filter(|_| pick(&sender.run, 3) == 0) else { return };
    world.sleep(Duration::from_millis(millis / 2)).await;
    match sender.producer.recall(&*topic, &handle).await {
        Ok(_) => {
            world.reach("a message is taken back");
            world.note(What::Recalled { id, broker });
        }
        Err(_) => world.reach("a message is not taken back"),
    }
}

async fn if_there_is_room(sender: &Sender) {
    let (id, topic) = (sender.begin(sender.run.next_message()), sender.topic());
    let world = &sender.run.world;
    match sender.producer.try_send(payload::message(&topic, id)) {
        Err(_) => world.reach("a producer has no room"),
        Ok(send) => {
            sender.attempt(id, sender.retries + 1);
            let send = async { outcome_of(world, send.await) };
            sender.resolve(id, sender.patiently(send).await);
        }
    }
}

fn pick(run: &Run, of: u64) -> usize {
    let number = run.world.with(|state| state.tape.below(Stream::Sends, of));
    usize::try_from(number).unwrap_or(0)
}
