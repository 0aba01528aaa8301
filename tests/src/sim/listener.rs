//! A listener that takes several messages at a time, and a member that pulls nothing now and then.

use std::sync::Arc;
use std::time::Duration;

use rocketmq_core::driver::{DelayLevel, DeliveryBatch, PushConsumer, ReceivedMessage};

use super::faults::Fault;
use super::history::{Settled, What};
use super::member::{handle_directly, queue_of};
use super::payload;
use super::workload::{Member, Run};

/// Notes a message that was handed out, as one of those that came with the first of these; the number of its message.
pub(super) fn note(run: &Run, member: &Member, batch: u64, delivery: u64, message: &ReceivedMessage) -> Option<u64> {
    let world = &run.world;
    let id = message.property(payload::PROPERTY).and_then(|text| text.parse().ok());
    let queue = queue_of(world, message.queue());
    world.note(What::Delivered {
        delivery,
        batch,
        member: member.id,
        group: Arc::from(run.plan.groups[member.group].setup.name.as_ref()),
        queue,
        offset: message.queue_offset().to_wire(),
        id,
        intact: id.is_some_and(|id| payload::is_delivered_intact(id, message)),
        tag: message.tag().unwrap_or_default().into(),
        reconsume: message.reconsume_times(),
    });
    if message.reconsume_times() > 2 {
        world.reach("a message comes for the fourth time or later");
    }
    if message.reconsume_times() > 0 {
        world.reach("a message comes again");
    }
    id
}

/// Handles several messages, all of them well or badly, or up to one of them.
pub(super) async fn handle_many(run: Run, member: Member, mut batch: DeliveryBatch) {
    if batch.is_direct() {
        return match handle_directly(&run, &member).await {
            Settled::Retry => batch.retry(),
            Settled::Dropped => drop(batch),
            Settled::Ack => batch.ack(),
        };
    }
    let world = &run.world;
    let numbers: Vec<u64> = batch.messages().iter().map(|_| run.next_delivery()).collect();
    let first = numbers.first().copied().unwrap_or(0);
    let rows = numbers.iter().zip(batch.messages());
    let ids: Vec<_> = rows.map(|(number, message)| note(&run, &member, first, *number, message)).collect();
    if batch.len() > 1 {
        world.reach("a batch of several messages");
    }
    let mut time = 0;
    if world.roll(Fault::SlowListener) {
        let most = if world.choose(10) == 0 { 90_000 } else { 8_000 };
        time = 50 + world.choose(most);
        world.sleep(Duration::from_millis(time)).await;
    }
    let late = run.plan.groups[member.group].consume_timeout.is_some_and(|(seconds, _)| time > 1_000 * seconds);
    // So many from the first on were settled one way, the others another way.
    let settled = |count: usize, rest: Settled| {
        for (at, delivery) in numbers.iter().enumerate() {
            let how = if at < count { Settled::Ack } else { rest };
            world.note(What::Settled { delivery: *delivery, how });
        }
    };
    let hopeless = |id: &Option<u64>| id.is_some_and(|id| id % 20 == 7);
    let hopeless = ids.iter().position(hopeless).filter(|_| !run.is_calm());
    if let Some(good) = hopeless {
        if world.choose(2) == 0 {
            batch.fail_at(DelayLevel::S1);
        }
        batch.ack_up_to(good);
        settled(good, Settled::Retry);
    } else if world.roll(Fault::FailingListener) {
        match world.choose(3) {
            0 => batch.suspend(Duration::from_millis(world.choose(20_000))),
            1 => batch.retry_at(DelayLevel::S5),
            _ => batch.retry(),
        }
        settled(0, Settled::Retry);
    } else if late && world.choose(3) == 0 {
        batch.retry();
        settled(0, Settled::Retry);
    } else if world.roll(Fault::PanickingListener) {
        settled(0, Settled::Dropped);
        panic!("a listener that panics");
    } else if world.roll(Fault::DroppedDelivery) {
        drop(batch);
        settled(0, Settled::Dropped);
    } else if batch.len() > 1 && world.roll(Fault::PartialAck) {
        world.with(|state| state.count(Fault::PartialAck));
        let good = usize::try_from(world.choose(batch.len() as u64)).unwrap_or(0);
        batch.commit_up_to(good);
        settled(good, Settled::Retry);
    } else {
        batch.ack();
        settled(numbers.len(), Settled::Ack);
    }
}

/// Suspends the consumer now and then, until faults end.
pub(super) async fn pause_now_and_then(run: &Run, member: &Member, consumer: &PushConsumer) {
    let world = &run.world;
    while !world.is_healed() {
        world.sleep(Duration::from_millis(5_000 + world.choose(90_000))).await;
        consumer.suspend().await;
        world.note(What::Suspended { member: member.id, group: member.name.clone() });
        world.reach("a consumer is suspended");
        world.sleep(Duration::from_millis(1_000 + world.choose(60_000))).await;
        world.note(What::Resumed { member: member.id, group: member.name.clone() });
        consumer.resume().await;
    }
}
