//! Administration.

use alloc::string::String;

use super::{Fields, Request, fields};
use crate::ids::{QueueOffset, Topic};
use crate::wire::codes::request::{SEARCH_OFFSET_BY_TIMESTAMP, UPDATE_AND_CREATE_TOPIC};
use crate::wire::header::{ExtFields, ExtWriter, FieldError};

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
    /// Where a queue is at a time: the first message stored then or later, else the end.
    pub struct SearchOffset = SEARCH_OFFSET_BY_TIMESTAMP {
        /// The topic.
        topic: Topic = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The time, in milliseconds since 1970.
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
