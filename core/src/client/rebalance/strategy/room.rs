//! Machine rooms. Source: Java `AllocateMessageQueueByMachineRoom`, `AllocateMachineRoomNearby`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use super::{AllocateError, allocate};
use crate::config::{MachineRoomResolver, Strategy};
use crate::ids::{ClientId, MessageQueue};

/// An even share of the queues in `rooms`, what is left over one by one.
pub(super) fn machine_room(
    rooms: &BTreeSet<String>,
    index: usize,
    queues: &[MessageQueue],
    members: usize,
) -> Vec<MessageQueue> {
    let in_rooms = |queue: &&MessageQueue| room_of(queue.broker.as_str()).is_some_and(|room| rooms.contains(room));
    let queues: Vec<_> = queues.iter().filter(in_rooms).collect();
    let each = queues.len().checked_div(members).unwrap_or(0);
    let shared = each.saturating_mul(members);
    let own = queues.iter().take(shared).skip(each.saturating_mul(index)).take(each);
    own.chain(queues.iter().skip(shared).skip(index).take(1)).map(|queue| (*queue).clone()).collect()
}

/// The queues of the member's own room, shared out in it, and its share of rooms that have no members.
pub(super) fn nearby(
    inner: &Strategy,
    resolver: &dyn MachineRoomResolver,
    me: &ClientId,
    queues: &[MessageQueue],
    members: &[ClientId],
) -> Result<Vec<MessageQueue>, AllocateError> {
    let mut queues_of = BTreeMap::<Room, Vec<MessageQueue>>::new();
    for queue in queues {
        let room = resolver.broker_deploy_in(queue).filter(|room| !room.is_empty());
        let room = room.ok_or_else(|| AllocateError::RoomOfQueue(queue.clone()))?;
        queues_of.entry(Room::of(&room)).or_default().push(queue.clone());
    }
    let mut members_of = BTreeMap::<Room, Vec<ClientId>>::new();
    let mut mine = None;
    for member in members {
        let room = resolver.consumer_deploy_in(member).filter(|room| !room.is_empty());
        let room = Room::of(&room.ok_or_else(|| AllocateError::RoomOfMember(member.clone()))?);
        if member == me {
            mine = Some(room.clone());
        }
        members_of.entry(room).or_default().push(member.clone());
    }
    let mut own = Vec::new();
    if let Some(room) = mine
        && let (Some(queues), Some(neighbours)) = (queues_of.remove(&room), members_of.get(&room))
    {
        own.extend(allocate(inner, me, &queues, neighbours)?);
    }
    for (room, queues) in &queues_of {
        if !members_of.contains_key(room) {
            own.extend(allocate(inner, me, queues, members)?);
        }
    }
    Ok(own)
}

/// The room in a broker's name, as Java's `split("@")` finds it: trailing `@` do not count.
fn room_of(broker: &str) -> Option<&str> {
    let (room, name) = broker.trim_end_matches('@').split_once('@')?;
    (!name.contains('@')).then_some(room)
}

/// A room, in Java's order of texts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Room(Vec<u16>);

impl Room {
    fn of(name: &str) -> Self {
        Self(name.encode_utf16().collect())
    }
}
