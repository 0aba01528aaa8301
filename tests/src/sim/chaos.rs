//! The faults that somebody has to plan: restarts, partitions, pauses, members that come and go.

use std::time::Duration;

use super::faults::Fault;
use super::history::{Change, Queue, What};
use super::net::End;
use super::state::State;
use super::tape::Stream;
use super::workload::Run;
use crate::cluster::Node;

/// Lets one planned fault happen after the other until the world is healed.
pub(crate) async fn go_on(run: Run) {
    loop {
        let pause = run.world.with(|state| state.tape.range(Stream::Time, 3_000, 40_000));
        run.world.sleep(Duration::from_millis(pause)).await;
        if run.is_healed() {
            return;
        }
        let fault = run.world.with(|state| {
            let on: Vec<Fault> = PLANNED.iter().copied().filter(|fault| state.swarm.has(*fault)).collect();
            state.tape.pick(Stream::Time, &on).copied().filter(|fault| state.permit(*fault))
        });
        if let Some(fault) = fault {
            happen(&run, fault).await;
        }
    }
}

async fn happen(run: &Run, fault: Fault) {
    let world = &run.world;
    let range = |stream, least, most| world.with(|state| state.tape.range(stream, least, most));
    let (name_servers, brokers) = world.with(|state| state.servers.cluster.size());
    let broker = usize::try_from(range(Stream::Broker, 0, brokers as u64 - 1)).unwrap_or(0);
    let server = Node::Broker(broker);
    let name_server = Node::NameServer(usize::try_from(range(Stream::Ns, 0, name_servers as u64 - 1)).unwrap_or(0));
    let seconds = |stream, least, most| Duration::from_secs(range(stream, least, most));
    match fault {
        Fault::Restart | Fault::Crash | Fault::LostTail | Fault::OldOffsets | Fault::OtherAddress => {
            let end = if fault == Fault::Restart { End::Fin } else { End::Reset };
            let down = seconds(Stream::Broker, 1, 60);
            let records = usize::try_from(range(Stream::Broker, 1, 6)).unwrap_or(1);
            let happened = world.with(|state| {
                if !state.servers.is_up(server) {
                    return false;
                }
                state.stop_server(server, end);
                match fault {
                    Fault::LostTail => state.lose_tail(broker, records),
                    Fault::OldOffsets => older_offsets(state, run, broker),
                    Fault::OtherAddress => {
                        state.move_broker(broker);
                        true
                    }
                    _ => true,
                }
            });
            if happened {
                world.with(|state| state.count(fault));
            }
            world.sleep(down).await;
            world.start(server);
        }
        Fault::LostClients => world.with(|state| {
            state.count(fault);
            let now = state.now;
            state.servers.cluster.broker_mut(broker).lose_clients(now);
        }),
        Fault::SlowBroker => {
            let by = Duration::from_millis(range(Stream::Broker, 50, 4_000));
            world.with(|state| {
                state.count(fault);
                state.slow_down(server, by);
            });
            world.sleep(seconds(Stream::Broker, 5, 60)).await;
            world.with(|state| state.slow_down(server, Duration::ZERO));
        }
        Fault::ReadOnly | Fault::MoreQueues | Fault::FewerQueues => topic_changes(run, fault, broker).await,
        Fault::Retention => retention(run, broker),
        Fault::NameServerDown => {
            world.with(|state| {
                state.count(fault);
                state.stop_server(name_server, End::Reset);
            });
            world.sleep(seconds(Stream::Ns, 5, 120)).await;
            world.start(name_server);
        }
        Fault::StaleRoute | Fault::SplitViews => {
            world.with(|state| state.freeze(name_server, true));
            world.sleep(seconds(Stream::Ns, 30, 120)).await;
            world.with(|state| state.freeze(name_server, false));
        }
        Fault::Partition => {
            let time = seconds(Stream::Net, 1, 90);
            let Some(host) = run.some_host() else { return };
            let node = if range(Stream::Net, 0, 2) == 0 { name_server } else { server };
            world.partition(&host, node, time);
        }
        Fault::WallJump => {
            let by = i64::try_from(range(Stream::Time, 0, 172_800)).unwrap_or(0) * 1_000 - 86_400_000;
            let Some(host) = run.some_host() else { return };
            world.with(|state| {
                state.count(fault);
                state.hosts[host.index].skew += by;
            });
        }
        Fault::Pause => {
            let Some(host) = run.some_host() else { return };
            world.pause(&host, seconds(Stream::Time, 1, 30));
        }
        Fault::Zombie => {
            let Some(member) = run.some_member() else { return };
            let time = seconds(Stream::Time, 60, 400);
            world.with(|state| state.count(fault));
            member.note(world, Change::Paused);
            world.pause(&member.host, time);
        }
        Fault::Join => run.join_one(true),
        Fault::Leave => {
            if let Some(member) = run.take_member() {
                world.with(|state| state.count(fault));
                run.leave(member).await;
            }
        }
        Fault::MemberCrash | Fault::SilentCrash => {
            if let Some(member) = run.take_member() {
                world.with(|state| {
                    state.count(fault);
                    state.kill(member.host.index, fault == Fault::SilentCrash);
                });
                member.note(world, Change::Crashed);
                run.over(&member);
                world.sleep(seconds(Stream::Time, 0, 20)).await;
                run.join_one(false);
            }
        }
        Fault::RollingRestart => {
            world.with(|state| state.count(fault));
            for _ in 0..run.members() {
                if run.is_healed() {
                    return;
                }
                if let Some(member) = run.take_member() {
                    run.leave(member).await;
                    run.join_one(false);
                    world.sleep(Duration::from_secs(3)).await;
                }
            }
        }
        _ => {}
    }
}

async fn topic_changes(run: &Run, fault: Fault, broker: usize) {
    let world = &run.world;
    let topics = &run.plan.topics;
    let topic = world.with(|state| state.tape.pick(Stream::Ns, topics).cloned());
    let Some(topic) = topic else { return };
    let more = fault == Fault::MoreQueues;
    let target = run.target(broker, &topic, more);
    if fault == Fault::FewerQueues && target < 2 {
        return;
    }
    world.with(|state| state.count(fault));
    world.change_topic(broker, &topic, |config| match fault {
        Fault::ReadOnly => config.perm = 4,
        Fault::FewerQueues => (config.read_queues, config.write_queues) = (target - 1, target - 1),
        _ => (config.read_queues, config.write_queues) = (target, target),
    });
    let pause = world.with(|state| state.tape.range(Stream::Ns, 10, 120));
    world.sleep(Duration::from_secs(pause)).await;
    run.restore(broker, &topic);
}

fn retention(run: &Run, broker: usize) {
    let topics = &run.plan.topics;
    run.world.with(|state| {
        let Some(topic) = state.tape.pick(Stream::Broker, topics).cloned() else { return };
        let queue = i32::try_from(state.tape.below(Stream::Broker, 4)).unwrap_or(0);
        let (first, end) = state.servers.cluster.broker(broker).bounds(&topic, queue);
        let most = u64::try_from(end - first).unwrap_or(0);
        if most == 0 {
            return;
        }
        let offset = first + i64::try_from(state.tape.range(Stream::Broker, 1, most)).unwrap_or(1);
        state.count(Fault::Retention);
        state.servers.cluster.broker_mut(broker).trim(&topic, queue, offset);
        state.note(What::Trimmed { queue: Queue { broker, topic, id: queue }, min: offset });
    });
}

/// The broker comes back with the offsets of some time ago.
fn older_offsets(state: &mut State, run: &Run, broker: usize) -> bool {
    let mut any = false;
    for group in &run.plan.groups {
        let name = group.setup.name.clone();
        let rows = state.servers.cluster.broker(broker).committed(&name);
        let rows: Vec<_> = rows.map(|(topic, queue, offset)| (topic.to_owned(), queue, offset)).collect();
        for (topic, id, offset) in rows {
            let back = i64::try_from(state.tape.range(Stream::Broker, 0, 10)).unwrap_or(0);
            let offset = (offset - back).max(0);
            state.servers.cluster.broker_mut(broker).set_committed(&name, &topic, id, offset);
            let queue = Queue { broker, topic: topic.into(), id };
            state.note(What::Moved { group: name.clone(), queue, offset });
            any = true;
        }
    }
    any
}

/// The faults that this plan makes happen.
const PLANNED: [Fault; 23] = [
    Fault::Restart,
    Fault::Crash,
    Fault::LostTail,
    Fault::OldOffsets,
    Fault::OtherAddress,
    Fault::LostClients,
    Fault::SlowBroker,
    Fault::ReadOnly,
    Fault::MoreQueues,
    Fault::FewerQueues,
    Fault::Retention,
    Fault::NameServerDown,
    Fault::StaleRoute,
    Fault::SplitViews,
    Fault::Partition,
    Fault::WallJump,
    Fault::Pause,
    Fault::Zombie,
    Fault::Join,
    Fault::Leave,
    Fault::MemberCrash,
    Fault::SilentCrash,
    Fault::RollingRestart,
];
