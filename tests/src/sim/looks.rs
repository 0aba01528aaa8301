//! Members whose clients are looked at now and then.

use std::time::Duration;

use rocketmq_core::client::snapshot::{ConsumerState, QueuePhase, QueueSnapshot};

use super::history::{Look, Looked, What};
use super::member::queue_of;
use super::tape::Stream;
use super::workload::{Member, Run, lock};

/// Looks at a member from time to time, as long as faults happen.
pub(super) async fn look_now_and_then(run: &Run, member: &Member) {
    let world = &run.world;
    while !world.is_healed() {
        let pause = world.with(|state| state.tape.range(Stream::Looks, LEAST, MOST));
        world.sleep(Duration::from_millis(pause)).await;
        // The client is to end with its own handles, and not to wait for this one.
        let Some(client) = lock(&member.state.handles).as_ref().map(|(client, _)| client.clone()) else { continue };
        let looked = client.snapshot();
        let Some(snapshot) = looked.await else { continue };
        drop(client);
        let Some(consumer) = snapshot.consumers.first() else { continue };
        world.reach("a client is looked at");
        if consumer.queues.iter().any(|queue| queue.phase == QueuePhase::Throttled) {
            world.reach("a look finds a queue that waits for room");
        }
        let looked = |of: &QueueSnapshot| Looked {
            queue: queue_of(world, &of.queue),
            committed: of.committed.map(offset),
            settled: of.settled_to.map(offset),
            next: offset(of.next_pull),
            cached: of.cached,
        };
        world.note(What::Look(Look {
            member: member.id,
            group: member.name.clone(),
            running: consumer.state == ConsumerState::Running,
            queues: consumer.queues.iter().map(looked).collect(),
        }));
    }
}

fn offset(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

/// Between two looks, milliseconds.
const LEAST: u64 = 50;
const MOST: u64 = 20_000;
