//! Popping: messages that a broker hides from the rest of their group for a while.

use alloc::string::String;

use super::fields;
use crate::ids::{BrokerName, Group, QueueOffset, Topic};
use crate::wire::codes::request::{
    ACK_MESSAGE, BATCH_ACK_MESSAGE, CHANGE_MESSAGE_INVISIBLETIME, POP_MESSAGE, QUERY_ASSIGNMENT,
    SET_MESSAGE_REQUEST_MODE,
};

fields! {
    /// Ask which queues of a topic are this member's, and how it gets their messages; the body is
    /// [`QueryAssignment`](crate::wire::body::QueryAssignment), that of the answer
    /// [`Assignments`](crate::wire::body::Assignments).
    pub struct QueryAssignmentHeader = QUERY_ASSIGNMENT {}
}

fields! {
    /// Set how a group gets the messages of a topic; the body is [`RequestMode`](crate::wire::body::RequestMode).
    pub struct SetRequestMode = SET_MESSAGE_REQUEST_MODE {}
}

fields! {
    /// Pop messages: nobody else of the group gets them before the invisible time is over.
    pub struct PopMessage = POP_MESSAGE {
        /// The consumer group.
        group: Group = "consumerGroup",
        /// The topic.
        topic: Topic = "topic",
        /// The queue, −1 for any of the broker's.
        queue_id: i32 = "queueId",
        /// At most so many messages, 32 at most.
        max_messages: i32 = "maxMsgNums",
        /// How long the messages are hidden, milliseconds.
        invisible_millis: i64 = "invisibleTime",
        /// How long the broker may hold the request, milliseconds.
        poll_millis: i64 = "pollTime",
        /// When the request was made, Unix milliseconds: a broker refuses one that is older than its poll time.
        born_millis: i64 = "bornTime",
        /// Where a group without offset starts: [`PopMessage::FROM_FIRST`] or [`PopMessage::FROM_LAST`].
        init_mode: i32 = "initMode",
        /// `TAG` or `SQL92`.
        expression_type: Option<String> = "expType",
        /// The filter expression.
        expression: Option<String> = "exp",
        /// Whether in order.
        order: Option<bool> = "order",
        /// In order: tells a repeated request from a new one.
        attempt_id: Option<String> = "attemptId",
        /// The broker.
        broker: Option<BrokerName> = "bname",
    }
}

impl PopMessage {
    /// A group without offset starts at the first message.
    pub const FROM_FIRST: i32 = 0;
    /// A group without offset starts at the end, but on a queue the broker holds whole in memory at the first message.
    pub const FROM_LAST: i32 = 1;
}

fields! {
    /// What was popped; the body of the frame holds the records.
    pub struct PopMessageResponse {
        /// When, by the broker's clock, Unix milliseconds.
        pop_millis: i64 = "popTime",
        /// How long the messages are hidden from then on, milliseconds.
        invisible_millis: i64 = "invisibleTime",
        /// The queue in which the broker notes what is acknowledged.
        revive_queue: i32 = "reviveQid",
        /// Messages that are left.
        rest: i64 = "restNum",
        /// The first offset of each queue: see [`QueueOffsets`](crate::wire::pop::QueueOffsets).
        start_offsets: Option<String> = "startOffsetInfo",
        /// The offsets of the messages of each queue, in the order of the records.
        offsets: Option<String> = "msgOffsetInfo",
        /// In order: how often messages were redelivered.
        order_counts: Option<String> = "orderCountInfo",
    }
}

fields! {
    /// A popped message is consumed.
    pub struct AckMessage = ACK_MESSAGE {
        /// The consumer group.
        group: Group = "consumerGroup",
        /// The topic it was popped from, which may be a retry topic.
        topic: Topic = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// Its [`PopHandle`](crate::wire::pop::PopHandle).
        handle: String = "extraInfo",
        /// Its offset.
        offset: QueueOffset = "offset",
        /// The broker.
        broker: Option<BrokerName> = "bname",
    }
}

fields! {
    /// Several popped messages are consumed; the body is [`BatchAck`](crate::wire::body::BatchAck).
    pub struct BatchAckMessage = BATCH_ACK_MESSAGE {}
}

fields! {
    /// Hide a popped message for another time from now on, and give it another handle.
    pub struct ChangeInvisibleTime = CHANGE_MESSAGE_INVISIBLETIME {
        /// The consumer group.
        group: Group = "consumerGroup",
        /// The topic it was popped from, which may be a retry topic.
        topic: Topic = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// Its [`PopHandle`](crate::wire::pop::PopHandle).
        handle: String = "extraInfo",
        /// Its offset.
        offset: QueueOffset = "offset",
        /// How long, milliseconds.
        invisible_millis: i64 = "invisibleTime",
        /// The broker.
        broker: Option<BrokerName> = "bname",
    }
}

fields! {
    /// What the new handle of a message is made from.
    pub struct ChangeInvisibleTimeResponse {
        /// From when on it is hidden, by the broker's clock, Unix milliseconds.
        pop_millis: i64 = "popTime",
        /// How long, milliseconds.
        invisible_millis: i64 = "invisibleTime",
        /// The queue in which the broker notes what is acknowledged.
        revive_queue: i32 = "reviveQid",
    }
}
