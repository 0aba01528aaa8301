//! What a broker says of a message it stored.

use alloc::string::String;

use crate::ids::{MessageQueue, QueueOffset};

/// A stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// How safely it is stored.
    pub status: StoreStatus,
    /// The id the message goes by, its unique key.
    pub msg_id: String,
    /// The id that says where it is stored.
    pub offset_msg_id: String,
    /// The queue.
    pub queue: MessageQueue,
    /// Its position there; of a delayed message, the position in the broker's own queue.
    pub queue_offset: QueueOffset,
}

impl Receipt {
    /// How safely the message is stored: [`StoreStatus::Stored`] is what the topic's brokers are set to.
    #[must_use]
    pub const fn status(&self) -> StoreStatus {
        self.status
    }
}

/// How safely a message is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreStatus {
    /// As asked for.
    Stored,
    /// On the master, its flush to disk did not finish in time.
    FlushDiskTimeout,
    /// On the master, the copy to a slave did not finish in time.
    FlushSlaveTimeout,
    /// On the master, there is no slave to copy to.
    SlaveNotAvailable,
}
