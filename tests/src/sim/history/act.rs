//! What operators do, and what comes of it.

use std::sync::Arc;

use super::Queue;

/// What an operator did, or what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A broker told a client where queues of a group are to go on.
    Told {
        /// The index of the client's host.
        host: usize,
        /// The group.
        group: Arc<str>,
        /// The queues and their offsets.
        offsets: Vec<(Queue, i64)>,
    },
    /// A member goes on elsewhere in a queue.
    Reset {
        /// The member.
        member: u32,
        /// The group.
        group: Arc<str>,
        /// The queue.
        queue: Queue,
        /// Where.
        offset: i64,
    },
    /// A member told how far it has consumed a queue.
    Status {
        /// The group.
        group: Arc<str>,
        /// The queue.
        queue: Queue,
        /// How far.
        offset: i64,
    },
    /// A member handles a message that an operator wants handled.
    Direct {
        /// The member.
        member: u32,
        /// The group.
        group: Arc<str>,
    },
}
