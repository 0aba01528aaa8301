//! Administration.

use alloc::string::String;

use super::{Fields, Request, fields};
use crate::ids::{ClientId, Group, QueueOffset, Topic};
use crate::wire::codes::request::{
    INVOKE_BROKER_TO_GET_CONSUMER_STATUS, INVOKE_BROKER_TO_RESET_OFFSET, SEARCH_OFFSET_BY_TIMESTAMP,
    UPDATE_AND_CREATE_TOPIC,
};
use crate::wire::header::{ExtFields, ExtWriter, FieldError, FieldValue};

fields! {
    /// Create or change a topic on one broker.
    pub struct CreateTopic = UPDATE_AND_CREATE_TOPIC {
        /// The topic.
        topic: Topic = "topic",
        /// The template topic.
        default_topic: Topic = "defaultTopic",
        /// Queues to read.
        read_queues: i32 = "readQueueNums",
        /// Queues to write.
        write_queues: i32 = "writeQueueNums",
        /// Permission: read 4, write 2.
        perm: i32 = "perm",
        /// `SINGLE_TAG`.
        filter_type: String = "topicFilterType",
        /// System flags.
        sys_flag: Option<i32> = "topicSysFlag",
        /// Whether the topic is ordered.
        order: bool = "order",
        /// Attributes as `+key=value,-key`.
        attributes: Option<String> = "attributes",
    }
}

/// Ask for one offset of a queue: its end (code 30) or start (code 31).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOffsetRequest<const CODE: i32> {
    /// The topic.
    pub topic: Topic,
    /// The queue.
    pub queue_id: i32,
}

impl<const CODE: i32> Fields for QueueOffsetRequest<CODE> {
    fn write(&self, out: &mut ExtWriter<'_>) {
        out.text("topic", self.topic.as_str());
        out.int("queueId", i64::from(self.queue_id));
    }

    fn read(ext: &ExtFields) -> Result<Self, FieldError> {
        Ok(Self { topic: ext.field("topic")?, queue_id: ext.field("queueId")? })
    }
}

impl<const CODE: i32> Request for QueueOffsetRequest<CODE> {
    const CODE: i32 = CODE;
}

fields! {
    /// Where a queue is at a time.
    pub struct SearchOffset = SEARCH_OFFSET_BY_TIMESTAMP {
        /// The topic.
        topic: Topic = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The time, in milliseconds since 1970.
        timestamp: i64 = "timestamp",
        /// Which message that is, [`Boundary::Lower`] when it is left out.
        boundary: Option<Boundary> = "boundaryType",
    }
}

/// Which message is meant by a time. Brokers of 4.9 do not ask: there it is the last one stored then or before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Boundary {
    /// The first one stored then or later; after all of them, the end of the queue.
    #[default]
    Lower,
    /// The last one stored then or before; before all of them, the start of the queue.
    Upper,
}

impl FieldValue for Boundary {
    fn put(&self, key: &'static str, out: &mut ExtWriter<'_>) {
        let name = match self {
            Self::Lower => "LOWER",
            Self::Upper => "UPPER",
        };
        out.text(key, name);
    }

    fn from_field(key: &'static str, text: Option<&str>) -> Result<Self, FieldError> {
        match text {
            Some("LOWER") => Ok(Self::Lower),
            Some("UPPER") => Ok(Self::Upper),
            _ => Err(FieldError { key, missing: text.is_none() }),
        }
    }
}

fields! {
    /// When the first message of a queue was stored.
    pub struct StoreTimeResponse {
        /// Unix milliseconds, −1 for an empty queue.
        timestamp: i64 = "timestamp",
    }
}

fields! {
    /// An offset of a queue.
    pub struct QueueOffsetResponse {
        /// The offset.
        offset: QueueOffset = "offset",
    }
}

fields! {
    /// Move a group to where its queues of a topic are at a time, or one queue to an offset; the body of the answer is
    /// [`ResetOffsets`](crate::wire::body::ResetOffsets).
    pub struct InvokeResetOffset = INVOKE_BROKER_TO_RESET_OFFSET {
        /// The topic.
        topic: Topic = "topic",
        /// The consumer group.
        group: Group = "group",
        /// The queue, −1 for all.
        queue_id: i32 = "queueId",
        /// The offset for that queue, −1 for that of the time.
        offset: i64 = "offset",
        /// The time, in milliseconds since 1970, −1 for the end of each queue.
        timestamp: i64 = "timestamp",
        /// Whether offsets may go forward too.
        force: bool = "isForce",
    }
}

fields! {
    /// How far the members of a group have consumed a topic; the body of the answer is
    /// [`ConsumerStatus`](crate::wire::body::ConsumerStatus).
    pub struct InvokeConsumerStatus = INVOKE_BROKER_TO_GET_CONSUMER_STATUS {
        /// The topic.
        topic: Topic = "topic",
        /// The consumer group.
        group: Group = "group",
        /// Only this member.
        client: Option<ClientId> = "clientAddr",
    }
}
