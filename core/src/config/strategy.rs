//! How queues are shared out among the members of a group.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::ids::{ClientId, MessageQueue};

/// How queues are shared out among the members of a group.
///
/// Every member computes its own share, so all must use the same strategy with the same parameters: neither heartbeats
/// nor brokers tell one member what another uses, and nobody notices when they differ. Queues then have two owners or
/// none.
#[derive(Clone, Debug, Default)]
pub enum Strategy {
    /// Neighbouring queues to each member (Java `AVG`).
    #[default]
    Averagely,
    /// One queue each in turn (Java `AVG_BY_CIRCLE`).
    AveragelyByCircle,
    /// A queue goes to the next member on a ring of hashes, so that few queues move when members come and go (Java
    /// `CONSISTENT_HASH`).
    #[cfg(feature = "consistent-hash")]
    ConsistentHash {
        /// Places of each member on the ring. Java: 10.
        virtual_nodes: u32,
    },
    /// These queues and no others, whoever else is in the group (Java `CONFIG`).
    ///
    /// Those of the group's retry topic are to be among them at one member, or failed messages do not come again.
    Config(Arc<[MessageQueue]>),
    /// Of the brokers that are named `room@name`, those in these rooms, averagely; no other broker, so that retry topics
    /// on others are nobody's (Java `MACHINE_ROOM`).
    MachineRoom(Arc<BTreeSet<String>>),
    /// Queues to the members in their room by another strategy; those of rooms without members to all of them (Java
    /// `MACHINE_ROOM_NEARBY`).
    MachineRoomNearby {
        /// How the queues of a room are shared out in it.
        inner: Arc<Strategy>,
        /// Who is in which room.
        resolver: Arc<dyn MachineRoomResolver>,
    },
    /// The user's own.
    Own(Arc<dyn Allocate>),
}

impl Strategy {
    /// Consistent hashing with as many virtual nodes as Java has.
    #[cfg(feature = "consistent-hash")]
    #[must_use]
    pub const fn consistent_hash() -> Self {
        Self::ConsistentHash { virtual_nodes: VIRTUAL_NODES }
    }

    /// A fixed list of queues.
    #[must_use]
    pub fn config(queues: impl IntoIterator<Item = MessageQueue>) -> Self {
        Self::Config(queues.into_iter().collect())
    }

    /// The brokers of these rooms.
    #[must_use]
    pub fn machine_room(rooms: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::MachineRoom(Arc::new(rooms.into_iter().map(Into::into).collect()))
    }

    /// Each room for itself.
    #[must_use]
    pub fn machine_room_nearby(inner: Self, resolver: impl MachineRoomResolver + 'static) -> Self {
        Self::MachineRoomNearby { inner: Arc::new(inner), resolver: Arc::new(resolver) }
    }

    /// A strategy of the user's own, such as a closure.
    #[must_use]
    pub fn own(allocate: impl Allocate + 'static) -> Self {
        Self::Own(Arc::new(allocate))
    }
}

/// A strategy of the user's own.
///
/// It is called on the client's task: it must be a pure and quick function of its arguments, the same at every member,
/// and must not panic.
pub trait Allocate: Send + Sync {
    /// The queues of `me`, given all queues of a topic and all members, both in Java's order. Queues of other topics
    /// are left out of what it returns.
    fn allocate(&self, me: &ClientId, queues: &[MessageQueue], members: &[ClientId]) -> Vec<MessageQueue>;
}

impl<F> Allocate for F
where
    F: Fn(&ClientId, &[MessageQueue], &[ClientId]) -> Vec<MessageQueue> + Send + Sync,
{
    fn allocate(&self, me: &ClientId, queues: &[MessageQueue], members: &[ClientId]) -> Vec<MessageQueue> {
        self(me, queues, members)
    }
}

impl fmt::Debug for dyn Allocate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Allocate")
    }
}

/// Who is in which machine room; as pure and quick as [`Allocate`].
pub trait MachineRoomResolver: Send + Sync {
    /// The room of the broker that holds a queue, `None` when it is not known: then nothing is shared out.
    fn broker_deploy_in(&self, queue: &MessageQueue) -> Option<String>;

    /// The room of a member, `None` when it is not known: then nothing is shared out.
    fn consumer_deploy_in(&self, member: &ClientId) -> Option<String>;
}

impl fmt::Debug for dyn MachineRoomResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MachineRoomResolver")
    }
}

/// Java `AllocateMessageQueueConsistentHash`.
#[cfg(feature = "consistent-hash")]
const VIRTUAL_NODES: u32 = 10;
