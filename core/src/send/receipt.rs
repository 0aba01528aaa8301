//! What a broker says of a message it stored.

use alloc::string::String;
use alloc::vec::Vec;

use crate::ids::{MessageQueue, QueueOffset};
use crate::mutants::mutant;

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
    pub region: Option<String>,
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
    /// The receipts of the messages with these ids, of the receipt for all of them.
    #[must_use]
    pub fn new(whole: Receipt, ids: Vec<String>) -> Self {
        let mut places = whole.offset_msg_id.split(',');
        let mut place = whole.offset_msg_id.as_str();
        let mut queue_offset = whole.queue_offset;
        let mut messages = Vec::with_capacity(ids.len());
        for msg_id in ids {
            // A batch that is kept as one record is in one place.
            place = places.next().unwrap_or(place);
            messages.push(Receipt {
                status: whole.status,
                msg_id,
                offset_msg_id: String::from(place),
                queue: whole.queue.clone(),
                queue_offset,
                recall_handle: whole.recall_handle.clone(),
                region: whole.region.clone(),
                trace_on: whole.trace_on,
                batch_key: None,
            });
            if !mutant!(135) {
                queue_offset = queue_offset.next();
            }
        }
        Self { messages, batch_key: whole.batch_key }
    }

    /// How safely the batch is stored.
    #[must_use]
    pub fn status(&self) -> StoreStatus {
        self.messages.first().map_or(StoreStatus::Stored, Receipt::status)
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
        let receipt = BatchReceipt::new(whole("X,Y,Z", None), ["1", "2", "3"].map(String::from).to_vec());
        let told = receipt
            .messages
            .iter()
            .map(|one| (one.msg_id.as_str(), one.offset_msg_id.as_str(), one.queue_offset.get(), one.queue.id));
        assert_eq!(told.collect::<Vec<_>>(), [("1", "X", 7, 3), ("2", "Y", 8, 3), ("3", "Z", 9, 3)]);
        assert_eq!((receipt.status(), receipt.batch_key), (StoreStatus::FlushDiskTimeout, None));
    }

    #[test]
    fn messages_of_a_batch_that_is_one_record_are_in_one_place() {
        let receipt = BatchReceipt::new(whole("X", Some("K")), ["1", "2"].map(String::from).to_vec());
        let told = receipt.messages.iter().map(|one| (one.offset_msg_id.as_str(), one.queue_offset.get()));
        assert_eq!(told.collect::<Vec<_>>(), [("X", 7), ("X", 8)]);
        assert_eq!(receipt.batch_key.as_deref(), Some("K"));
    }
}
