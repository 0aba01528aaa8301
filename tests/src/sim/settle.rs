//! The end of a run: when all is quiet something changes once more, then everybody leaves while messages come in.

use std::time::Duration;

use futures_lite::FutureExt;
use rocketmq_core::driver::{Client, PushConsumer};

use super::history::{Change, What};
use super::plan::LastChange;
use super::producer;
use super::workload::{Member, Run};

/// Lets something change when all is quiet, and notes who should own what when the time for that is over.
pub(super) async fn change_once_more(run: &Run) {
    let world = &run.world;
    let mut change = run.plan.last_change;
    // A death is a fault.
    if change == LastChange::Death && run.is_steady() {
        change = LastChange::Leave;
    }
    let gone = matches!(change, LastChange::Leave | LastChange::Death).then(|| run.take_one_of_several()).flatten();
    let after = match (change, gone) {
        (LastChange::Leave, Some(member)) => {
            run.leave(member).await;
            world.sleep(VISIBLE).await;
            "a member left"
        }
        (LastChange::Death, Some(member)) => {
            world.with(|state| state.kill(member.host.index, true));
            member.note(world, Change::Crashed);
            world.sleep(SILENT).await;
            "a member died"
        }
        (LastChange::Queues, _) => {
            let topic = &run.plan.groups[0].setup.topic;
            world.with(|state| state.target(0, topic, true));
            world.restore(0, topic);
            world.sleep(ROUTE).await;
            "a topic got a queue"
        }
        (LastChange::Join | LastChange::Leave | LastChange::Death, _) => {
            run.join(0);
            world.sleep(START + VISIBLE).await;
            "a member joined"
        }
    };
    world.reach(after);
    for group in &run.plan.groups {
        world.note(What::Shared { group: group.setup.name.clone(), queues: run.readable(group), after });
    }
}

/// Everybody leaves at once while messages come in: what was consumed until then has to be with the brokers.
pub(super) async fn say_goodbye(run: &Run) {
    let world = &run.world;
    let last = producer::say_goodbye(run);
    let time = world.choose(2_500);
    world.sleep(Duration::from_millis(500 + time)).await;
    let leave = |member: Member| {
        let run = run.clone();
        world.spawn(async move { run.leave(member).await })
    };
    let leaving: Vec<_> = run.take_all_members().into_iter().map(leave).collect();
    for member in leaving {
        member.await;
    }
    last.await;
}

/// Ends a member's client, once or twice at a time, then once more; how long it took.
pub(super) async fn end(run: Run, member: Member, of: (Client, PushConsumer), twice: bool) -> Duration {
    let ((client, consumer), world) = (of, run.world.clone());
    let host = member.host.index;
    let began = world.now();
    world.note(What::Leaving { host });
    if twice {
        let second = client.clone();
        world.spawn_on(&member.host, async move { second.shutdown().await }).detach();
    } else {
        consumer.shutdown().await;
    }
    client.shutdown().await;
    member.note(&world, Change::Left);
    let ended = world.now();
    let again = async {
        client.shutdown().await;
        consumer.shutdown().await;
        Some(consumer.next().await.is_some())
    };
    let patience = async {
        world.sleep(PATIENCE).await;
        None
    };
    let alive = again.or(patience).await;
    let took = alive.map(|_| world.now().since(ended));
    world.note(What::ShutdownAgain { host, took, alive: alive == Some(true) });
    drop((client, consumer));
    ended.since(began)
}

/// Until the queues are shared out after a change that the members are told of.
const VISIBLE: Duration = Duration::from_secs(30);
/// The same after a route changed.
const ROUTE: Duration = Duration::from_secs(60);
/// The same after a member died in silence: 120 s until a broker looks for it, and what is to be done then.
const SILENT: Duration = Duration::from_secs(200);
/// The start of a member.
const START: Duration = Duration::from_secs(5);
/// A second shutdown that takes longer does not end.
const PATIENCE: Duration = Duration::from_secs(60);
