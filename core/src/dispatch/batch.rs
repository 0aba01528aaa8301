//! One pull: its frame and the records in it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::PopBatch;
use crate::ids::{BrokerName, Epoch, MessageQueue, QueueOffset};
use crate::wire::compress::InflateError;
use crate::wire::message::{BatchError, LostReason, PoisonReason, Record};

/// What one pull brought: every offset from `from` to `to` is an item, or was filtered out.
#[derive(Debug)]
pub struct Batch {
    /// The queue.
    pub queue: Arc<MessageQueue>,
    /// The assignment it was pulled under; no other of the consumer has this number.
    pub epoch: Epoch,
    /// The first offset asked for.
    pub from: QueueOffset,
    /// The next offset to ask for.
    pub to: QueueOffset,
    /// The records' bytes, pinned until every item is settled.
    pub frame: Bytes,
    /// What is to be handed out, in order of offset.
    pub items: Vec<Item>,
    /// What there is to know of it when it was popped: offsets say nothing then.
    pub pop: Option<PopBatch>,
}

impl Batch {
    /// One stored message, as a batch of no assignment; `frame` is the buffer the record was read from.
    pub(crate) fn of_one(broker: BrokerName, frame: &Bytes, record: Record) -> Self {
        let queue = MessageQueue { topic: record.topic(frame).into(), broker, id: record.queue_id };
        let (offset, physical_offset) = (record.queue_offset, Some(record.physical_offset));
        Self {
            queue: Arc::new(queue),
            epoch: NO_EPOCH,
            from: offset,
            to: offset.next(),
            frame: frame.clone(),
            items: alloc::vec![Item { offset, physical_offset, content: Content::Record(record) }],
            pop: None,
        }
    }

    /// Bytes that the batch pins.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.frame.len()).unwrap_or(u64::MAX)
    }
}

/// One message of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its position in the queue.
    pub offset: QueueOffset,
    /// Its position in the broker's commit log, when it can be read.
    pub physical_offset: Option<i64>,
    /// The record, or why there is none.
    pub content: Content,
}

/// A record, or bytes that are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A message.
    Record(Record),
    /// A stored message that cannot be read.
    Poison(Poison),
}

/// A stored message that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison {
    /// Where its bytes start in the frame.
    pub start: usize,
    /// How many there are.
    pub len: usize,
    /// Why.
    pub cause: PoisonCause,
}

/// Why a stored message cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoisonCause {
    /// The record's layout or checksum is wrong.
    #[error("{0}")]
    Record(PoisonReason),
    /// The length of the record is nonsense, so that what follows cannot be found.
    #[error("{0}")]
    Lost(LostReason),
    /// The batch in its body is malformed.
    #[error("{0}")]
    Batch(BatchError),
    /// Its body does not inflate, or to more than the limit.
    #[error("{0}")]
    Inflate(InflateError),
}

/// No assignment has this number.
const NO_EPOCH: Epoch = Epoch(0);
