//! What a broker says of a message it stored.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{MessageQueue, QueueOffset};
use crate::mutants::mutant;
use crate::wire::message::UniqueKeyList;

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
    /// Of a message with a timer that is not due: the handle to recall it by.
    pub recall_handle: Option<String>,
    /// The region of the broker.
    pub region: Option<Arc<str>>,
    /// Whether the broker wants the message traced, where that is switched on.
    pub trace_on: bool,
    /// Of a batch that is kept as one record: the key of the whole, which is in none of its messages.
    pub batch_key: Option<String>,
}

impl Receipt {
    /// How safely the message is stored: [`StoreStatus::Stored`] is what the topic's brokers are set to.
    #[must_use]
    pub const fn status(&self) -> StoreStatus {
        self.status
    }
}

/// A stored batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchReceipt {
    /// A receipt for each message, in order.
    pub messages: Vec<Receipt>,
    /// When the topic keeps batches as one record: the key of the whole, which finds it.
    pub batch_key: Option<String>,
}

impl BatchReceipt {
    /// How safely the batch is stored.
    #[must_use]
    pub fn status(&self) -> StoreStatus {
        self.messages.first().map_or(StoreStatus::Stored, Receipt::status)
    }
}

/// What a broker said of a batch. Receipts of its messages are made of it where they are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBatch {
    /// The receipt for all of them: its places are told with commas between.
    whole: Receipt,
    ids: UniqueKeyList,
    /// Where the commas are.
    commas: Vec<usize>,
}

impl StoredBatch {
    /// Of the receipt for all messages, and their ids.
    #[must_use]
    pub fn new(whole: Receipt, ids: UniqueKeyList) -> Self {
        let commas = whole.offset_msg_id.match_indices(',').map(|(at, _)| at).collect();
        Self { whole, ids, commas }
    }

    /// The receipt of the message with this number, from 0.
    #[must_use]
    pub fn receipt(&self, index: usize) -> Option<Receipt> {
        let (whole, msg_id) = (&self.whole, self.ids.get(index)?);
        let further = if mutant!(135) { 0 } else { u64::try_from(index).unwrap_or(u64::MAX) };
        Some(Receipt {
            status: whole.status,
            msg_id: String::from(msg_id),
            offset_msg_id: String::from(self.place(index)),
            queue: whole.queue.clone(),
            queue_offset: QueueOffset::new(whole.queue_offset.get().saturating_add(further)),
            recall_handle: whole.recall_handle.clone(),
            region: whole.region.clone(),
            trace_on: whole.trace_on,
            batch_key: None,
        })
    }

    /// Where the message with this number is. A batch that is kept as one record is in one place.
    fn place(&self, index: usize) -> &str {
        let index = index.min(self.commas.len());
        let start =
            index.checked_sub(1).and_then(|before| self.commas.get(before)).map_or(0, |at| at.saturating_add(1));
        let end = self.commas.get(index).copied().unwrap_or(self.whole.offset_msg_id.len());
        self.whole.offset_msg_id.get(start..end).unwrap_or_default()
    }
}

impl From<StoredBatch> for BatchReceipt {
    fn from(stored: StoredBatch) -> Self {
        let messages = (0..stored.ids.len()).map_while(|index| stored.receipt(index)).collect();
        Self { messages, batch_key: stored.whole.batch_key }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMillis;
    use crate::wire::message::UniqueKeys;

    fn keys(count: usize) -> UniqueKeyList {
        UniqueKeys::new([127, 0, 0, 1].into(), 0, 0).list(UnixMillis(0), count)
    }

    fn whole(places: &str, batch_key: Option<&str>) -> Receipt {
        Receipt {
            status: StoreStatus::FlushDiskTimeout,
            msg_id: "ALL".into(),
            offset_msg_id: places.into(),
            queue: MessageQueue { topic: "T".into(), broker: "b".into(), id: 3 },
            queue_offset: QueueOffset::new(7),
            recall_handle: None,
            region: None,
            trace_on: true,
            batch_key: batch_key.map(String::from),
        }
    }

    #[test]
    fn each_message_of_a_batch_has_its_id_its_place_and_its_offset() {
        let receipt = BatchReceipt::from(StoredBatch::new(whole("X,Y,Z", None), keys(3)));
        let told =
            receipt.messages.iter().map(|one| (one.offset_msg_id.as_str(), one.queue_offset.get(), one.queue.id));
        assert_eq!(told.collect::<Vec<_>>(), [("X", 7, 3), ("Y", 8, 3), ("Z", 9, 3)]);
        assert!(receipt.messages.iter().map(|one| one.msg_id.as_str()).eq(keys(3).iter()));
        assert_eq!((receipt.status(), receipt.batch_key), (StoreStatus::FlushDiskTimeout, None));
    }

    #[test]
    fn messages_of_a_batch_that_is_one_record_are_in_one_place() {
        let receipt = BatchReceipt::from(StoredBatch::new(whole("X", Some("K")), keys(2)));
        let told = receipt.messages.iter().map(|one| (one.offset_msg_id.as_str(), one.queue_offset.get()));
        assert_eq!(told.collect::<Vec<_>>(), [("X", 7), ("X", 8)]);
        assert_eq!(receipt.batch_key.as_deref(), Some("K"));
    }
}
