//! What a dispatch tells the control plane, and users.

use alloc::sync::Arc;
use core::time::Duration;

use super::{PoisonCause, PoisonPolicy, Taken};
use crate::ids::{Epoch, MessageQueue, QueueOffset};

/// A failed message on its way back to the broker; the offset stays behind it until that succeeds.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The message.
    pub taken: Taken,
    /// The delay level.
    pub level: i32,
    /// Orderly: how long the queue waits, if not as long as configured.
    pub pause: Option<Duration>,
    /// Orderly: it was rolled back, which is no failure of its own.
    pub rolled_back: bool,
    /// The reason, when the record is poison.
    pub poison: Option<PoisonCause>,
}

impl Failure {
    /// A failed message that goes back at this level.
    #[must_use]
    pub const fn new(taken: Taken, level: i32) -> Self {
        Self { taken, level, pause: None, rolled_back: false, poison: None }
    }
}

/// Something a user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DispatchEvent {
    /// A record could not be decoded.
    Poison {
        /// The queue.
        queue: MessageQueue,
        /// Its offset in the queue.
        offset: QueueOffset,
        /// Why.
        reason: PoisonCause,
        /// What is done about it.
        policy: PoisonPolicy,
    },
    /// A handler takes too long.
    Overdue {
        /// The queue.
        queue: MessageQueue,
        /// The offset of its message.
        offset: QueueOffset,
        /// Whether the message is handed back, and what the handler says of it counts no more.
        goes_back: bool,
    },
    /// A failed message of a broadcasting group was passed over.
    Dropped {
        /// The queue.
        queue: MessageQueue,
        /// Its offset in the queue.
        offset: QueueOffset,
    },
}

/// How far a queue is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The queue.
    pub queue: Arc<MessageQueue>,
    /// The assignment.
    pub epoch: Epoch,
    /// Everything below is settled.
    pub settled_to: QueueOffset,
    /// Messages settled since the assignment.
    pub settled: u64,
    /// Frame bytes let go since the assignment.
    pub released_bytes: u64,
    /// Messages handed out and not settled.
    pub outstanding: u64,
    /// Orderly: whether one of them is in a handler.
    pub busy: bool,
    /// What handlers are done with since this was last asked.
    pub handled: Handled,
}

/// Messages that handlers are done with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// Those that were consumed.
    pub ok: u64,
    /// Those that failed.
    pub failed: u64,
    /// How long they were out, each.
    pub time: Duration,
}

impl Handled {
    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.ok.saturating_add(self.failed)
    }

    pub(crate) fn plus(self, more: Self) -> Self {
        Self {
            ok: self.ok.saturating_add(more.ok),
            failed: self.failed.saturating_add(more.failed),
            time: self.time.saturating_add(more.time),
        }
    }

    pub(crate) fn less(self, before: Self) -> Self {
        Self {
            ok: self.ok.saturating_sub(before.ok),
            failed: self.failed.saturating_sub(before.failed),
            time: self.time.saturating_sub(before.time),
        }
    }
}
