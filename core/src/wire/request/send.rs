//! Sending messages.

use alloc::string::String;

use super::{Fields, Request, fields};
use crate::ids::{BrokerName, Group, Topic};
use crate::wire::codes::request::{RECALL_MESSAGE, SEND_BATCH_MESSAGE, SEND_MESSAGE_V2};
use crate::wire::header::{ExtFields, ExtWriter, FieldError};

fields! {
    /// Send one message (or, with `batch`, a batch body). The body of the frame is the message's.
    pub struct SendMessage = SEND_MESSAGE_V2 {
        /// The producer group.
        group: Group = "a",
        /// The topic.
        topic: Topic = "b",
        /// The topic whose queues are the template when the topic does not exist.
        default_topic: Topic = "c",
        /// Queues to create then.
        default_topic_queues: i32 = "d",
        /// The queue, −1 to let the broker choose.
        queue_id: i32 = "e",
        /// Bits of protocol §7.2.
        sys_flag: i32 = "f",
        /// When the message was born, Unix milliseconds.
        born_timestamp: i64 = "g",
        /// A flag of the user's.
        flag: i32 = "h",
        /// The properties, encoded.
        properties: Option<String> = "i",
        /// How often the message was redelivered; only for retry topics.
        reconsume_times: Option<i32> = "j",
        /// Unit mode.
        unit_mode: Option<bool> = "k",
        /// When to give up redelivering; only for retry topics.
        max_reconsume_times: Option<i32> = "l",
        /// Whether the body is a batch.
        batch: Option<bool> = "m",
        /// The broker.
        broker: Option<BrokerName> = "n",
    }
}

/// The same for a batch, which has a code of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendBatch(
    /// The header.
    pub SendMessage,
);

impl Fields for SendBatch {
    fn write(&self, out: &mut ExtWriter<'_>) {
        self.0.write(out);
    }

    fn read(ext: &ExtFields) -> Result<Self, FieldError> {
        SendMessage::read(ext).map(Self)
    }
}

impl Request for SendBatch {
    const CODE: i32 = SEND_BATCH_MESSAGE;
}

fields! {
    /// Take back a message whose timer is not due.
    pub struct RecallMessage = RECALL_MESSAGE {
        /// The producer group.
        group: Option<Group> = "producerGroup",
        /// The topic.
        topic: Topic = "topic",
        /// The handle from the receipt.
        handle: String = "recallHandle",
        /// The broker.
        broker: Option<BrokerName> = "bname",
    }
}

fields! {
    /// What was taken back.
    pub struct RecallMessageResponse {
        /// The unique key of the message.
        msg_id: String = "msgId",
    }
}

fields! {
    /// Where a message was stored.
    pub struct SendMessageResponse {
        /// The offset message id; comma-separated for a batch.
        msg_id: String = "msgId",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The position in the queue.
        queue_offset: i64 = "queueOffset",
        /// The transaction id (5.x echoes the unique key for every send).
        transaction_id: Option<String> = "transactionId",
        /// The unique key of a batch stored as one record.
        batch_uniq_id: Option<String> = "batchUniqId",
        /// The handle to recall a timer message.
        recall_handle: Option<String> = "recallHandle",
        /// The region of the broker.
        region: Option<String> = "MSG_REGION",
        /// Whether the broker wants this message traced.
        trace_on: Option<bool> = "TRACE_ON",
    }
}
