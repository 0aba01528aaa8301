//! Pulling, offsets and handing back.

use alloc::string::String;

use super::fields;
use crate::ids::{BrokerName, Group, QueueOffset, Topic};
use crate::wire::codes::request::{
    CONSUMER_SEND_MSG_BACK, PULL_MESSAGE, QUERY_CONSUMER_OFFSET, UPDATE_CONSUMER_OFFSET,
};

fields! {
    /// Pull messages of one queue.
    pub struct PullMessage = PULL_MESSAGE {
        /// The consumer group.
        group: Group = "consumerGroup",
        /// The topic.
        topic: Topic = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The first offset wanted.
        queue_offset: QueueOffset = "queueOffset",
        /// At most so many messages; the broker may give fewer.
        max_messages: i32 = "maxMsgNums",
        /// Bits [`PullMessage::COMMIT`], [`PullMessage::SUSPEND`], [`PullMessage::SUBSCRIPTION`].
        sys_flag: i32 = "sysFlag",
        /// The offset to commit, with [`PullMessage::COMMIT`].
        commit_offset: i64 = "commitOffset",
        /// How long the broker may hold the request, milliseconds.
        suspend_millis: i64 = "suspendTimeoutMillis",
        /// The filter expression, with [`PullMessage::SUBSCRIPTION`].
        subscription: Option<String> = "subscription",
        /// The version of the subscription.
        sub_version: i64 = "subVersion",
        /// `TAG` or `SQL92`.
        expression_type: Option<String> = "expressionType",
        /// At most so many bytes (brokers ignore it).
        max_bytes: Option<i32> = "maxMsgBytes",
        /// The broker.
        broker: Option<BrokerName> = "bname",
    }
}

impl PullMessage {
    /// Flag bit: `commit_offset` counts.
    pub const COMMIT: i32 = 1;
    /// Flag bit: hold the request until there is a message.
    pub const SUSPEND: i32 = 2;
    /// Flag bit: `subscription` counts.
    pub const SUBSCRIPTION: i32 = 4;
}

fields! {
    /// The answer to a pull; errors carry none of it.
    pub struct PullMessageResponse {
        /// The broker id to ask next, 0 the master.
        suggested_broker: i64 = "suggestWhichBrokerId",
        /// Where to pull next.
        next_begin_offset: i64 = "nextBeginOffset",
        /// The start of the queue.
        min_offset: i64 = "minOffset",
        /// The end of the queue.
        max_offset: i64 = "maxOffset",
        /// To be added to each queue offset (static topics).
        offset_delta: Option<i64> = "offsetDelta",
    }
}

fields! {
    /// Ask for the committed offset of a queue.
    pub struct QueryConsumerOffset = QUERY_CONSUMER_OFFSET {
        /// The consumer group.
        group: Group = "consumerGroup",
        /// The topic.
        topic: Topic = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// Whether the broker may answer 0 for a queue it still holds from its start.
        set_zero_if_not_found: Option<bool> = "setZeroIfNotFound",
        /// The broker.
        broker: Option<BrokerName> = "bname",
    }
}

fields! {
    /// The committed offset.
    pub struct QueryConsumerOffsetResponse {
        /// The next offset to consume.
        offset: QueueOffset = "offset",
    }
}

fields! {
    /// Commit an offset.
    pub struct UpdateConsumerOffset = UPDATE_CONSUMER_OFFSET {
        /// The consumer group.
        group: Group = "consumerGroup",
        /// The topic.
        topic: Topic = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The next offset to consume.
        commit_offset: QueueOffset = "commitOffset",
        /// The broker.
        broker: Option<BrokerName> = "bname",
    }
}

fields! {
    /// Hand a message back: the broker stores it again for later, or in the dead-letter queue.
    pub struct SendMessageBack = CONSUMER_SEND_MSG_BACK {
        /// The physical offset of the message.
        offset: i64 = "offset",
        /// The consumer group.
        group: Group = "group",
        /// Delay level; 0 lets the broker choose (3 + redeliveries so far), negative means dead letter.
        delay_level: i32 = "delayLevel",
        /// The message id.
        origin_msg_id: Option<String> = "originMsgId",
        /// The topic of the message.
        origin_topic: Option<Topic> = "originTopic",
        /// Unit mode.
        unit_mode: Option<bool> = "unitMode",
        /// When to give up.
        max_reconsume_times: Option<i32> = "maxReconsumeTimes",
        /// The broker.
        broker: Option<BrokerName> = "bname",
    }
}
