//! The faults that somebody has to plan: restarts, partitions, pauses, changes of topics.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::faults::Fault;
use super::history::{Queue, What};
use super::net::End;
use super::script::Occasion;
use super::state::State;
use super::tape::{Dice, Stream};
use super::{Host, Task, World};
use crate::cluster::Node;

/// Lets planned faults of these kinds happen until the world is healed: so many at once when the tape decides, or
/// those of the script, each when its time has come.
pub(crate) fn start<F, Fut>(world: &World, at_once: usize, kinds: Vec<Fault>, happen: F) -> Vec<Task<()>>
where
    F: Fn(Fault, Dice) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let Some(script) = world.with(|state| state.planned()) else {
        let go_on = |_| world.spawn(go_on(world.clone(), kinds.clone(), happen.clone()));
        return (0..at_once).map(go_on).collect();
    };
    let mut tasks = Vec::new();
    for occasion in script {
        let Occasion::At { fault, at_us, draw } = occasion.clone() else { continue };
        let (happen, of) = (happen.clone(), world.clone());
        tasks.push(world.spawn(async move {
            of.sleep_until(rocketmq_core::time::Instant::from_micros(at_us)).await;
            if !of.is_healed() {
                of.with(|state| state.happened.push(occasion));
                happen(fault, Dice::new(draw)).await;
            }
        }));
    }
    tasks
}

async fn go_on<F, Fut>(world: World, kinds: Vec<Fault>, happen: F)
where
    F: Fn(Fault, Dice) -> Fut + Send,
    Fut: Future<Output = ()> + Send,
{
    loop {
        let pause = world.with(|state| state.tape.range(Stream::Plan, 3_000, 40_000));
        world.sleep(Duration::from_millis(pause)).await;
        if world.is_healed() {
            return;
        }
        let planned = world.with(|state| {
            let (fault, draw) = state.plan(&kinds)?;
            state.happened.push(Occasion::At { fault, at_us: state.now.as_micros(), draw });
            Some((fault, draw))
        });
        if let Some((fault, draw)) = planned {
            happen(fault, Dice::new(draw)).await;
        }
    }
}

/// Lets a fault of servers, of the network or of clocks happen.
pub(crate) async fn happen(world: World, fault: Fault, dice: Dice) {
    let world = &world;
    let (name_servers, brokers) = world.with(|state| {
        let cluster = &state.servers.cluster;
        (cluster.size().0, cluster.masters().count())
    });
    let broker = dice.index(brokers);
    let server = Node::Broker(broker);
    let name_server = Node::NameServer(dice.index(name_servers));
    match fault {
        Fault::Restart | Fault::Crash | Fault::LostTail | Fault::OldOffsets | Fault::OtherAddress => {
            let end = if fault == Fault::Restart { End::Fin } else { End::Reset };
            let down = dice.seconds(1, 60);
            let happened = world.with(|state| {
                if !state.servers.is_up(server) {
                    return false;
                }
                state.stop_server(server, end);
                match fault {
                    Fault::LostTail => {
                        let records = usize::try_from(dice.range(1, 6)).unwrap_or(1);
                        state.lose_tail(broker, records)
                    }
                    Fault::OldOffsets => older_offsets(state, broker, &dice),
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
        Fault::SlaveServes => {
            let happened = world.with(|state| {
                let slave = state.servers.cluster.slave_of(broker).map(Node::Broker);
                let serves = state.servers.is_up(server) && slave.is_some_and(|slave| state.servers.is_up(slave));
                if serves {
                    state.count(fault);
                    state.stop_server(server, End::Reset);
                }
                serves
            });
            if happened {
                world.sleep(dice.seconds(5, 150)).await;
                world.start(server);
            }
        }
        Fault::SlaveLoss => {
            let Some(slave) = world.with(|state| state.servers.cluster.slave_of(broker)) else { return };
            let up = world.with(|state| {
                let up = state.servers.is_up(Node::Broker(slave));
                if up {
                    state.count(fault);
                }
                up
            });
            match dice.range(0, 1) {
                0 if up => {
                    world.with(|state| state.stop_server(Node::Broker(slave), End::Reset));
                    world.sleep(dice.seconds(5, 60)).await;
                    world.start(Node::Broker(slave));
                }
                _ => world.with(|state| slave_retention(state, slave, &dice)),
            }
        }
        Fault::GroupDeleted => world.with(|state| {
            let groups: Vec<String> = state.servers.cluster.broker(broker).groups().map(str::to_owned).collect();
            if let Some(group) = dice.pick(&groups) {
                state.count(fault);
                state.servers.cluster.broker_mut(broker).forget_group(&group);
            }
        }),
        Fault::LostLocks => world.with(|state| {
            state.count(fault);
            state.servers.cluster.broker_mut(broker).lose_locks();
            state.note(What::LocksLost { broker });
        }),
        Fault::LostClients => world.with(|state| {
            state.count(fault);
            let now = state.now;
            state.servers.cluster.broker_mut(broker).lose_clients(now);
        }),
        Fault::SlowBroker => {
            let by = Duration::from_millis(dice.range(50, 4_000));
            world.with(|state| {
                state.count(fault);
                state.slow_down(server, by);
            });
            world.sleep(dice.seconds(5, 60)).await;
            world.with(|state| state.slow_down(server, Duration::ZERO));
        }
        Fault::ReadOnly | Fault::MoreQueues | Fault::FewerQueues => topic_changes(world, fault, broker, &dice).await,
        Fault::Retention => world.with(|state| retention(state, broker, &dice)),
        Fault::NameServerDown => {
            world.with(|state| {
                state.count(fault);
                state.stop_server(name_server, End::Reset);
            });
            world.sleep(dice.seconds(5, 120)).await;
            world.start(name_server);
        }
        Fault::NameServerMoved | Fault::NameServerGone => {
            let happened = world.with(|state| {
                let up = state.servers.is_up(name_server);
                if up {
                    state.count(fault);
                    if fault == Fault::NameServerGone {
                        state.lose_server(name_server);
                    }
                    state.stop_server(name_server, End::Fin);
                }
                up
            });
            if happened {
                world.sleep(dice.seconds(1, 120)).await;
                world.with(|state| state.move_name_server(name_server));
                world.start(name_server);
            }
        }
        Fault::StaleRoute | Fault::SplitViews => {
            world.with(|state| state.freeze(name_server, true));
            world.sleep(dice.seconds(30, 120)).await;
            world.with(|state| state.freeze(name_server, false));
        }
        Fault::HeldPullCut => world.with(|state| {
            if let Some(link) = state.some_held_pull() {
                state.count(fault);
                state.hang_up(link, if dice.range(0, 1) == 0 { End::Fin } else { End::Reset });
            }
        }),
        Fault::Partition => {
            let node = if dice.range(0, 2) == 0 { name_server } else { server };
            let time = dice.seconds(1, 90);
            if let Some(host) = some_client(world, &dice) {
                world.partition(&host, node, time);
            }
        }
        Fault::WallJump => {
            let by = i64::try_from(dice.range(0, 172_800)).unwrap_or(0) * 1_000 - 86_400_000;
            let Some(host) = some_client(world, &dice) else { return };
            world.with(|state| {
                state.count(fault);
                state.hosts[host.index].skew += by;
            });
        }
        Fault::Pause => {
            let time = dice.seconds(1, 30);
            if let Some(host) = some_client(world, &dice) {
                world.pause(&host, time);
            }
        }
        _ => {}
    }
}

/// One of the processes of clients.
fn some_client(world: &World, dice: &Dice) -> Option<Host> {
    let index = dice.pick(&world.with(|state| state.clients()))?;
    Some(Host { shared: world.shared.clone(), index })
}

async fn topic_changes(world: &World, fault: Fault, broker: usize, dice: &Dice) {
    let Some(topic) = world.with(|state| some_topic(state, dice)) else { return };
    let more = fault == Fault::MoreQueues;
    let target = world.with(|state| state.target(broker, &topic, more));
    if fault == Fault::FewerQueues && target < 2 {
        return;
    }
    world.with(|state| state.count(fault));
    world.change_topic(broker, &topic, |config| match fault {
        Fault::ReadOnly => config.perm = 4,
        Fault::FewerQueues => (config.read_queues, config.write_queues) = (target - 1, target - 1),
        _ => (config.read_queues, config.write_queues) = (target, target),
    });
    world.sleep(dice.seconds(10, 120)).await;
    world.restore(broker, &topic);
}

fn some_topic(state: &State, dice: &Dice) -> Option<Arc<str>> {
    dice.pick(&state.topics).map(|(topic, _)| topic)
}

fn retention(state: &mut State, broker: usize, dice: &Dice) {
    let Some(topic) = some_topic(state, dice) else { return };
    let queue = i32::try_from(dice.range(0, 3)).unwrap_or(0);
    let (first, end) = state.servers.cluster.broker(broker).bounds(&topic, queue);
    let most = u64::try_from(end - first).unwrap_or(0);
    if most == 0 {
        return;
    }
    let offset = first + i64::try_from(dice.range(1, most)).unwrap_or(1);
    state.count(Fault::Retention);
    state.servers.cluster.broker_mut(broker).trim(&topic, queue, offset);
    state.note(What::Trimmed { queue: Queue { broker, topic, id: queue }, min: offset });
}

/// A slave has less of a queue than its master.
fn slave_retention(state: &mut State, slave: usize, dice: &Dice) {
    let Some(topic) = some_topic(state, dice) else { return };
    let queue = i32::try_from(dice.range(0, 3)).unwrap_or(0);
    let (_, end) = state.servers.cluster.broker(slave).bounds(&topic, queue);
    state.servers.cluster.broker_mut(slave).trim(&topic, queue, end);
}

/// The broker comes back with the offsets of some time ago.
fn older_offsets(state: &mut State, broker: usize, dice: &Dice) -> bool {
    let mut any = false;
    let groups: Vec<String> = state.servers.cluster.broker(broker).groups().map(str::to_owned).collect();
    for group in groups {
        let name: Arc<str> = group.as_str().into();
        let rows = state.servers.cluster.broker(broker).committed(&group);
        let rows: Vec<_> = rows.map(|(topic, queue, offset)| (topic.to_owned(), queue, offset)).collect();
        for (topic, id, offset) in rows {
            let back = i64::try_from(dice.range(0, 10)).unwrap_or(0);
            let offset = (offset - back).max(0);
            state.servers.cluster.broker_mut(broker).set_committed(&group, &topic, id, offset);
            let queue = Queue { broker, topic: topic.into(), id };
            state.note(What::Moved { group: name.clone(), queue, offset });
            any = true;
        }
    }
    any
}

/// The kinds that happen here.
pub(crate) const KINDS: [Fault; 24] = [
    Fault::Restart,
    Fault::Crash,
    Fault::LostTail,
    Fault::OldOffsets,
    Fault::OtherAddress,
    Fault::LostLocks,
    Fault::LostClients,
    Fault::SlowBroker,
    Fault::ReadOnly,
    Fault::MoreQueues,
    Fault::FewerQueues,
    Fault::Retention,
    Fault::HeldPullCut,
    Fault::NameServerDown,
    Fault::StaleRoute,
    Fault::SplitViews,
    Fault::Partition,
    Fault::WallJump,
    Fault::Pause,
    Fault::SlaveServes,
    Fault::SlaveLoss,
    Fault::GroupDeleted,
    Fault::NameServerGone,
    Fault::NameServerMoved,
];
