//! What clients show of themselves.

use std::sync::Arc;

use super::Queue;

/// A member as its client showed it at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The member.
    pub member: u32,
    /// The group.
    pub group: Arc<str>,
    /// Whether its consumer ran, and was not about to start or to end.
    pub running: bool,
    /// The queues that it pulled.
    pub queues: Vec<Looked>,
}

/// A queue of a member at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The queue.
    pub queue: Queue,
    /// The last offset that the broker had, as far as the client knew.
    pub committed: Option<i64>,
    /// Everything below was settled.
    pub settled: Option<i64>,
    /// The offset to be pulled from next.
    pub next: i64,
    /// Messages pulled and not settled.
    pub cached: u64,
}
