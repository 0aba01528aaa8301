//! How sends and deliveries end.

use super::Queue;

/// The end of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Stored, with the status, the queue and the offset reported.
    Stored {
        /// Whether the status is the plain one.
        plain: bool,
        /// The queue.
        queue: Queue,
        /// The offset.
        offset: i64,
    },
    /// Written, and answered by nobody; or stored somewhere, which is not told.
    Sent,
    /// Failed; the message may be stored all the same.
    Unknown,
    /// Failed; the message is certainly not stored.
    Failed,
    /// The caller dropped the future.
    Cancelled,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Consumed.
    Ack,
    /// Handed back.
    Retry,
    /// The listener panicked, or dropped it.
    Dropped,
}
