//! An operator: a process that moves groups to other offsets, asks members how they are, and has them handle messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rocketmq_core::driver::{Client, ResetTo};
use rocketmq_core::ids::{ClientId, MessageQueue, QueueOffset};
use rocketmq_core::time::UnixMillis;
use rocketmq_core::wire::Frame;
use rocketmq_core::wire::body::ResetOffsets;
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::frame;
use rocketmq_core::wire::header::HeaderLimits;
use rocketmq_core::wire::message::OffsetMsgId;

use super::history::{Act, Queue, What};
use super::member::{connected, queue_of};
use super::plan::Group;
use super::state::State;
use super::tape::Stream;
use super::workload::Run;
use super::{Host, Task, World};

/// Starts the operator of a run that has one: where nothing goes wrong, there is nothing to do for it.
pub(crate) fn start(run: &Run) -> Option<Task<()>> {
    if !run.plan.operator || run.is_steady() {
        return None;
    }
    let host = run.world.host("10.0.3.1").named("operator");
    Some(run.world.spawn_on(&host.clone(), live(run.clone(), host)))
}

async fn live(run: Run, host: Host) {
    let world = run.world.clone();
    let client = connected(&world, &host, &world.builder()).await;
    while !world.is_healed() {
        let pause = draw(&world, 3, 40);
        world.sleep(Duration::from_secs(pause)).await;
        let at = usize::try_from(draw(&world, 0, run.plan.groups.len() as u64 - 1)).unwrap_or(0);
        let group = &run.plan.groups[at];
        match draw(&world, 0, 5) {
            0 | 1 if !group.setup.broadcast => reset(&world, &client, group).await,
            0..=2 => ask_offsets(&world, &client, group).await,
            3 => ask_state(&run, &client, at).await,
            _ => have_handled(&run, &client, at).await,
        }
    }
    world.note(What::Leaving { host: host.index });
    client.shutdown().await;
}

async fn reset(world: &World, client: &Client, group: &Group) {
    let now = world.with(|state| state.server_wall());
    let ago = i64::try_from(draw(world, 0, 300_000)).unwrap_or(0);
    let to = match draw(world, 0, 3) {
        0 => ResetTo::End,
        1 => ResetTo::BackTo(UnixMillis(now.0 - ago)),
        _ => ResetTo::Time(UnixMillis(now.0 - ago)),
    };
    if client.admin().reset_offsets(name_of(group), &*group.setup.topic, to).await.is_ok() {
        world.reach("an operator moves a group");
    }
}

async fn ask_offsets(world: &World, client: &Client, group: &Group) {
    let Ok(told) = client.admin().consumer_status(name_of(group), &*group.setup.topic, None).await else { return };
    let rows = told.value.into_values().flatten();
    note_offsets(world, group, rows);
    world.reach("an operator is told offsets");
}

async fn ask_state(run: &Run, client: &Client, at: usize) {
    let (world, group) = (&run.world, &run.plan.groups[at]);
    let Some(member) = member_of(run, at) else { return };
    let Ok(info) = client.admin().running_info(name_of(group), member).await else { return };
    let rows = info.queues.0.into_iter().filter(|(queue, _)| queue.topic.as_str() == &*group.setup.topic);
    let rows = rows.filter_map(|(queue, info)| Some((queue, QueueOffset::from_wire(info.commit_offset)?)));
    note_offsets(world, group, rows);
    world.reach("an operator is told how a member is");
}

/// Has a member handle a message of its topic, whether that was consumed or not.
async fn have_handled(run: &Run, client: &Client, at: usize) {
    let (world, group) = (&run.world, &run.plan.groups[at]);
    let Some(member) = member_of(run, at) else { return };
    let stored = world.stored(&group.setup.topic);
    let which = usize::try_from(draw(world, 0, 1_000)).unwrap_or(0);
    let Some(stored) = stored.get(which.checked_rem(stored.len()).unwrap_or(0)) else { return };
    let host = world.with(|state| {
        let broker = state.servers.broker_named(&stored.broker)?;
        Some(state.servers.cluster.broker(broker).config().address)
    });
    let Some(host) = host else { return };
    let queue = MessageQueue {
        topic: stored.topic.as_str().into(),
        broker: stored.broker.as_str().into(),
        id: stored.queue_id,
    };
    let message = OffsetMsgId { host, physical_offset: stored.physical_offset };
    if client.admin().consume_directly(name_of(group), member, &queue, message).await.is_ok() {
        world.reach("an operator has a message handled");
    }
}

/// What members of a broadcasting group tell is not told apart.
fn note_offsets(world: &World, group: &Group, rows: impl Iterator<Item = (MessageQueue, QueueOffset)>) {
    if group.setup.broadcast {
        return;
    }
    for (queue, offset) in rows {
        let (group, queue, offset) = (group.setup.name.clone(), queue_of(world, &queue), offset.to_wire());
        world.note(What::Act(Act::Status { group, queue, offset }));
    }
}

/// The name by which brokers know a group.
fn name_of(group: &Group) -> &str {
    group.consumer.as_deref().unwrap_or(&group.setup.name)
}

fn member_of(run: &Run, at: usize) -> Option<ClientId> {
    let of_group: Vec<_> = run.members().into_iter().filter(|member| member.group == at).collect();
    let which = usize::try_from(draw(&run.world, 0, 7)).unwrap_or(0);
    let member = of_group.get(which.checked_rem(of_group.len()).unwrap_or(0))?;
    member.client_id()
}

fn draw(world: &World, least: u64, most: u64) -> u64 {
    world.with(|state| state.tape.range(Stream::Operator, least, most))
}

impl State {
    /// Notes where a broker that is asked to move a group has its members go on.
    pub(super) fn note_move(&mut self, broker: usize, to: u64, bytes: &[u8]) {
        let Some((group, asker)) = self.moving.clone() else { return };
        let Ok(Frame { header, body }) = frame::decode(bytes, &HeaderLimits::default()) else { return };
        let answer = to == asker && header.is_response() && header.code == response::SUCCESS;
        let told = header.code == request::RESET_CONSUMER_CLIENT_OFFSET && !header.is_response();
        let (true, Ok(table)) = (answer || told, ResetOffsets::decode(&body)) else { return };
        let place = |(queue, offset): (MessageQueue, i64)| {
            (Queue { broker, topic: queue.topic.as_str().into(), id: queue.id }, offset)
        };
        let offsets: BTreeMap<_, _> = table.offset_table.0.into_iter().map(place).collect();
        if answer {
            for (queue, offset) in offsets {
                self.note(What::Moved { group: group.clone(), queue, offset });
            }
        } else if let Some(host) = self.net.links.get(&to).map(|link| link.host) {
            for (queue, offset) in &offsets {
                self.told.insert((host, group.clone(), queue.clone()), (*offset, self.now));
            }
            self.note(What::Act(Act::Told { host, group, offsets: offsets.into_iter().collect() }));
        }
    }

    /// Notes that a group is moved again by a member that commits what it was told a while ago.
    pub(super) fn note_late_move(&mut self, host: usize, group: &Arc<str>, queue: &Queue, offset: i64) {
        let key = (host, group.clone(), queue.clone());
        if let Some((told, at)) = self.told.get(&key).copied()
            && told == offset
        {
            self.told.remove(&key);
            if self.now > at.after(AT_ONCE) {
                self.note(What::Moved { group: group.clone(), queue: queue.clone(), offset });
            }
        }
    }
}

/// What is committed within this time belongs to the move that was noted when the member was told.
const AT_ONCE: Duration = Duration::from_secs(1);
