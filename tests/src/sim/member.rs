//! One member of a group: a process that connects, consumes, and handles messages well or badly.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_lite::FutureExt;
use rocketmq_core::client::{ClientEvent, ServerVerdict, StartReason};
use rocketmq_core::config::{Permission, ServerPolicy, StartFrom, TimeoutPolicy};
use rocketmq_core::dispatch::DispatchEvent;
use rocketmq_core::driver::{Client, ClientBuilder, DelayLevel, Delivery, EventStream, Producer, PushConsumerBuilder};
use rocketmq_core::ids::MessageQueue;

use super::faults::Fault;
use super::history::{Act, Change, Leftover, Queue, Settled, What};
use super::tape::Stream;
use super::workload::{Member, Run, lock, strategy};
use super::{Host, World, asking, listener, looks, traces, workload};

/// The life of a member.
pub(crate) async fn live(run: Run, member: Member) {
    let state = member.state.clone();
    state.living.store(true, Ordering::Relaxed);
    consume(run, member).await;
    state.living.store(false, Ordering::Relaxed);
}

async fn consume(run: Run, member: Member) {
    let plan = &run.plan.groups[member.group];
    let leaving = || member.state.leaving.load(Ordering::Relaxed);
    let client = loop {
        if leaving() {
            return run.over(&member);
        }
        let before = run.world.with(|state| state.left_on(member.host.index));
        let policy = if run.plan.operator { open() } else { ServerPolicy::default() };
        let builder = run.world.builder().codec(plan.codec).server_policy(policy).trace(traces::config(&run.plan));
        let builder = builder.light_heartbeats(run.plan.light);
        let builder = run.plan.cache_bytes.into_iter().fold(builder, ClientBuilder::cache_bytes);
        match builder.connect_on(&member.host).await {
            Ok(client) => break client,
            Err(_) => unstarted(&run.world, &member.host, before).await,
        }
    };
    let events = client.events();
    run.world.spawn_on(&member.host, listen(run.clone(), member.clone(), events)).detach();
    run.note_first_wish(&member, false);
    let consumer = loop {
        if leaving() {
            run.world.note(What::Leaving { host: member.host.index });
            client.shutdown().await;
            return run.over(&member);
        }
        let setup = &plan.setup;
        let builder = client.push_consumer(plan.consumer.as_deref().unwrap_or(&*setup.name));
        let builder = builder.subscribe(&*setup.topic, run.filter_of(member.group));
        let builder = builder.start_from(StartFrom::First).strategy(strategy(plan.circle));
        let builder = builder.queue_messages(setup.queue_messages).pull_batch(setup.pull_batch);
        let builder = setup.topic_messages.into_iter().fold(builder, PushConsumerBuilder::topic_messages);
        let builder = match plan.consume_timeout {
            None => builder,
            Some((seconds, goes_back)) => {
                let policy = if goes_back { TimeoutPolicy::SendBack } else { TimeoutPolicy::Tell };
                builder.consume_timeout(Duration::from_secs(seconds)).on_consume_timeout(policy)
            }
        };
        let builder = builder.suspend(Duration::from_millis(plan.suspend_ms));
        let builder = if setup.orderly { builder.orderly() } else { builder };
        let builder = if setup.broadcast { builder.broadcasting() } else { builder };
        match builder.max_reconsume(u32::try_from(setup.max_reconsume).unwrap_or(16)).start().await {
            Ok(consumer) => break consumer,
            Err(_) => run.world.reach("a consumer does not start at once"),
        }
        run.world.sleep(Duration::from_secs(1)).await;
    };
    let answering = match plan.answers {
        true => Some(client.producer("answers").start().await.expect("the configuration keeps every rule")),
        false => None,
    };
    member.note(&run.world, Change::Started);
    run.note_first_wish(&member, true);
    if leaving() {
        run.world.reach("a member leaves while it joins");
        run.world.note(What::Leaving { host: member.host.index });
        client.shutdown().await;
        run.over(&member);
        return member.note(&run.world, Change::Left);
    }
    *lock(&member.state.handles) = Some((client.clone(), consumer.clone()));
    let (of, at_once) = (member.clone(), plan.at_once);
    drop(client);
    let consume = async {
        match plan.batch {
            None => {
                consumer.run(at_once, |delivery| handle(run.clone(), of.clone(), answering.clone(), delivery)).await;
            }
            Some(most) => {
                let handler = |batch| listener::handle_many(run.clone(), of.clone(), batch);
                consumer.run_batches(at_once, most, handler).await;
            }
        }
    };
    let consume = async {
        if !run.plan.looks {
            return consume.await;
        }
        let looks = async {
            looks::look_now_and_then(&run, &member).await;
            std::future::pending().await
        };
        consume.or(looks).await;
    };
    if plan.setup.pauses {
        let pauses = async {
            listener::pause_now_and_then(&run, &member, &consumer).await;
            std::future::pending().await
        };
        return consume.or(pauses).await;
    }
    consume.await;
}

/// What an operator wants is done.
fn open() -> ServerPolicy {
    ServerPolicy { consume_directly: Permission::Allow, ..ServerPolicy::default() }
}

/// How a message that an operator wants handled ends, well or badly, and sometimes after longer than anybody waits.
pub(super) async fn handle_directly(run: &Run, member: &Member) -> Settled {
    run.world.note(What::Act(Act::Direct { member: member.id, group: member.name.clone() }));
    let time = draw_of(run, 0, 12_000);
    run.world.sleep(Duration::from_millis(if time < 9_000 { time / 10 } else { time })).await;
    match draw_of(run, 0, 4) {
        0 => Settled::Retry,
        1 => Settled::Dropped,
        2 => panic!("a listener that panics"),
        _ => Settled::Ack,
    }
}

fn draw_of(run: &Run, least: u64, most: u64) -> u64 {
    run.world.with(|state| state.tape.range(Stream::Operator, least, most))
}

async fn handle(run: Run, member: Member, answering: Option<Producer>, delivery: Delivery) {
    if delivery.is_direct() {
        return match handle_directly(&run, &member).await {
            Settled::Retry => delivery.retry(),
            Settled::Dropped => drop(delivery),
            Settled::Ack => delivery.ack(),
        };
    }
    let number = run.next_delivery();
    let world = &run.world;
    let message = delivery.message();
    let id = listener::note(&run, &member, number, number, message);
    if let Some(producer) = answering {
        asking::answer(&run, &producer, id, message).await;
    }
    let settled = |how| world.note(What::Settled { delivery: number, how });
    if world.roll(Fault::SlowListener) {
        let most = if world.choose(20) == 0 { 90_000 } else { 5_000 };
        let time = 50 + world.choose(most);
        world.sleep(Duration::from_millis(time)).await;
    } else if world.choose(4) == 0 {
        let time = world.choose(30);
        world.sleep(Duration::from_millis(time)).await;
    }
    // Some messages never succeed, when listeners may fail at all and the dead-letter queue is near.
    let max = run.plan.groups[member.group].setup.max_reconsume;
    let hopeless = max < 4 && id.is_some_and(|id| id % 20 == 7);
    let hopeless = hopeless && !run.is_calm();
    // And some of a queue in order fail for minutes, so that it waits for longer than a pull may take.
    let setup = &run.plan.groups[member.group].setup;
    let stubborn = setup.orderly && max > 4 && id.is_some_and(|id| id % 40 == 13) && message.reconsume_times() < 7;
    if stubborn && !run.is_calm() && !world.is_healed() {
        world.reach("a queue waits for minutes");
        delivery.suspend(Duration::from_secs(30));
        settled(Settled::Retry);
    } else if hopeless || world.roll(Fault::FailingListener) {
        match world.choose(2) {
            0 if run.plan.groups[member.group].setup.orderly => {
                let pause = world.choose(40_000);
                delivery.suspend(Duration::from_millis(pause));
            }
            0 => delivery.retry_at(DelayLevel::S1),
            _ => delivery.retry(),
        }
        settled(Settled::Retry);
    } else if world.roll(Fault::PanickingListener) {
        settled(Settled::Dropped);
        panic!("a listener that panics");
    } else if world.roll(Fault::DroppedDelivery) {
        drop(delivery);
        settled(Settled::Dropped);
    } else {
        delivery.ack();
        settled(Settled::Ack);
    }
}

/// The client of a host, made anew until it starts.
pub(crate) async fn connected(world: &World, host: &Host, builder: &ClientBuilder) -> Client {
    loop {
        let before = world.with(|state| state.left_on(host.index));
        match builder.clone().connect_on(host).await {
            Ok(client) => return client,
            Err(_) => unstarted(world, host, before).await,
        }
    }
}

/// A client did not start: looks some time later whether anything is left of it.
async fn unstarted(world: &World, host: &Host, before: Leftover) {
    world.reach("no name server in time");
    let host = host.index;
    world.note(What::Leaving { host });
    // A new client knows nothing of the back-off of the one before.
    world.sleep(Duration::from_secs(10)).await;
    world.with(|state| {
        let now = state.left_on(host);
        let left = Leftover {
            links: now.links.saturating_sub(before.links),
            timers: now.timers.saturating_sub(before.timers),
            tasks: now.tasks.saturating_sub(before.tasks),
            locks: 0,
        };
        state.note(What::Unstarted { host, left });
    });
}

/// Notes what the client tells of itself.
async fn listen(run: Run, member: Member, mut events: EventStream) {
    let world = run.world.clone();
    while let Some(event) = events.next().await {
        let name = || member.name.clone();
        match event {
            ClientEvent::Rebalanced { added, revoked, members, .. } => {
                world.reach(if members > 1 { "a group has several members" } else { "a group has one member" });
                if !revoked.is_empty() {
                    world.reach("queues are given up");
                }
                let queues = |queues: &[MessageQueue]| queues.iter().map(|queue| queue_of(&world, queue)).collect();
                let (added, revoked) = (queues(&added), queues(&revoked));
                world.note(What::Assigned { member: member.id, group: name(), added, revoked });
            }
            ClientEvent::StartPosition { queue, offset, reason: StartReason::Reset, .. } => {
                world.reach("a member goes on where an operator says");
                let (queue, offset) = (queue_of(&world, &queue), offset.to_wire());
                world.note(What::Moved { group: name(), queue: queue.clone(), offset });
                world.note(What::Act(Act::Reset { member: member.id, group: name(), queue, offset }));
            }
            ClientEvent::Unsubscribed { revoked, .. } => {
                let revoked = revoked.iter().map(|queue| queue_of(&world, queue)).collect();
                world.note(What::Assigned { member: member.id, group: name(), added: Vec::new(), revoked });
            }
            ClientEvent::StartPosition { queue, offset, reason, .. } => {
                world.reach(match reason {
                    StartReason::Stored => "a queue starts at its stored offset",
                    StartReason::File => "a queue starts where a file says",
                    StartReason::First => "a queue starts at its beginning",
                    _ => "a queue starts elsewhere",
                });
                let queue = queue_of(&world, &queue);
                world.note(What::Start { member: member.id, group: name(), queue, offset: offset.to_wire() });
            }
            ClientEvent::OffsetIllegal { queue, next, min, max, .. } => {
                world.reach("an offset is outside its queue");
                let queue = queue_of(&world, &queue);
                let (next, bounds) = (next.to_wire(), (min, max));
                world.note(What::Illegal { group: name(), queue, next, bounds });
            }
            ClientEvent::Poison { event: DispatchEvent::Poison { queue, offset, .. }, .. } => {
                world.reach("an unreadable record");
                let queue = queue_of(&world, &queue);
                world.note(What::Unreadable { group: name(), queue, offset: offset.to_wire() });
            }
            ClientEvent::LockLost { queue, handling, .. } => {
                world.reach(if handling { "a lock is lost while a handler runs" } else { "a lock is lost" });
                let queue = queue_of(&world, &queue);
                world.note(What::LockGone { member: member.id, group: name(), queue });
            }
            ClientEvent::PullFailed { queue, .. } => {
                world.reach("a pull fails");
                let queue = queue_of(&world, &queue);
                world.note(What::PullFailed { member: member.id, group: name(), queue });
            }
            ClientEvent::ConsumeTimeout { queue, offset, goes_back, .. } => {
                world.reach(if goes_back {
                    "the message of a slow handler goes back"
                } else {
                    "a handler takes too long"
                });
                if goes_back {
                    let (queue, offset) = (queue_of(&world, &queue), offset.to_wire());
                    world.note(What::Overdue { member: member.id, group: name(), queue, offset });
                }
            }
            ClientEvent::QueueStopped { .. } => {
                world.reach("a queue stops at an unreadable record");
                member.state.stuck.store(true, Ordering::Relaxed);
            }
            other => world.reach(mark_of(&other)),
        }
    }
}

const fn mark_of(event: &ClientEvent) -> &'static str {
    match event {
        ClientEvent::SendBackFailed { .. } => "a message can neither be handed back nor republished",
        ClientEvent::Dropped { .. } => "a failed message of a broadcasting group is dropped",
        ClientEvent::OffsetsUnreadable { .. } => "a file of offsets cannot be used",
        ClientEvent::OffsetsLost { .. } => "no file of offsets can be used",
        ClientEvent::OffsetsShared { .. } => "a file of offsets is changed by somebody else",
        ClientEvent::OffsetsNotSaved { .. } => "offsets cannot be saved",
        ClientEvent::ServerRequest { verdict: ServerVerdict::Done, .. } => "a server's request is done",
        ClientEvent::ServerRequest { .. } => "a server's request is not done",
        ClientEvent::ReadFrom { replica: 0, .. } => "a queue is read from its master again",
        ClientEvent::ReadFrom { .. } => "a queue is read from a slave",
        ClientEvent::FilterRefused { .. } => "a broker refuses to filter",
        ClientEvent::Subscribed { .. } => "a group subscribes while it runs",
        ClientEvent::BrokerVersion { .. } => "a broker tells its version",
        ClientEvent::ClientIdCollision { .. } => "another client has the id of this one",
        ClientEvent::TopicMissing(_) => "a topic has no route",
        ClientEvent::NameServers(_) => "a client follows whoever tells the name servers",
        ClientEvent::DiscoveryFailed { .. } => "nobody tells the name servers",
        ClientEvent::ConnectFailed { .. } => "a link cannot be opened",
        ClientEvent::LinkUp(_) => "a link is up",
        ClientEvent::LinkDown(_) => "a link is down",
        _ => "a step of a start",
    }
}

pub(crate) fn queue_of(world: &World, queue: &MessageQueue) -> Queue {
    let broker = world.with(|state| state.servers.broker_named(queue.broker.as_str()).unwrap_or(usize::MAX));
    Queue { broker, topic: queue.topic.as_str().into(), id: queue.id }
}

/// A number for choices of the run itself.
pub(crate) fn draw(run: &workload::Run, least: u64, most: u64) -> u64 {
    run.world.with(|state| state.tape.range(Stream::App, least, most))
}
