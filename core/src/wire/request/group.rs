//! Group membership.

use super::fields;
use crate::ids::{ClientId, Group, Topic};
use crate::wire::codes::request::{
    CHECK_CLIENT_CONFIG, GET_CONSUMER_LIST_BY_GROUP, GET_CONSUMER_RUNNING_INFO, GET_CONSUMER_STATUS_FROM_CLIENT,
    HEART_BEAT, LOCK_BATCH_MQ, NOTIFY_CONSUMER_IDS_CHANGED, RESET_CONSUMER_CLIENT_OFFSET, UNLOCK_BATCH_MQ,
    UNREGISTER_CLIENT,
};

fields! {
    /// Say that this client lives; the body is [`HeartbeatData`](crate::wire::body::HeartbeatData).
    pub struct HeartBeat = HEART_BEAT {}
}

fields! {
    /// Leave a group.
    pub struct UnregisterClient = UNREGISTER_CLIENT {
        /// Who leaves.
        client_id: ClientId = "clientID",
        /// As a producer of this group.
        producer_group: Option<Group> = "producerGroup",
        /// As a consumer of this group.
        consumer_group: Option<Group> = "consumerGroup",
    }
}

fields! {
    /// Ask whether the broker can filter by an expression; the body is [`ClientCheck`](crate::wire::body::ClientCheck).
    pub struct CheckClientConfig = CHECK_CLIENT_CONFIG {}
}

fields! {
    /// Ask for the members of a group.
    pub struct GetConsumerList = GET_CONSUMER_LIST_BY_GROUP {
        /// The consumer group.
        group: Group = "consumerGroup",
    }
}

fields! {
    /// The broker says that members joined or left.
    pub struct NotifyConsumerIdsChanged = NOTIFY_CONSUMER_IDS_CHANGED {
        /// The consumer group.
        group: Group = "consumerGroup",
    }
}

fields! {
    /// The broker says where queues of a topic are to go on; the body is
    /// [`ResetOffsets`](crate::wire::body::ResetOffsets).
    pub struct ResetConsumerOffset = RESET_CONSUMER_CLIENT_OFFSET {
        /// The topic.
        topic: Topic = "topic",
        /// The consumer group.
        group: Group = "group",
        /// The time that the offsets are of, in milliseconds since 1970; of no use to a client.
        timestamp: i64 = "timestamp",
        /// Whether offsets may go forward too; brokers always say no, and have decided already.
        force: bool = "isForce",
    }
}

fields! {
    /// The broker asks how far the queues of a topic are consumed; the body of the answer is
    /// [`ConsumerStatus`](crate::wire::body::ConsumerStatus).
    pub struct GetConsumerStatus = GET_CONSUMER_STATUS_FROM_CLIENT {
        /// The topic.
        topic: Topic = "topic",
        /// The consumer group.
        group: Group = "group",
    }
}

fields! {
    /// A consumer is to tell of itself; the body of the answer is
    /// [`ConsumerRunningInfo`](crate::wire::body::ConsumerRunningInfo).
    pub struct GetRunningInfo = GET_CONSUMER_RUNNING_INFO {
        /// The consumer group.
        group: Group = "consumerGroup",
        /// The member; a broker passes the request on to it.
        client: ClientId = "clientId",
        /// Whether it is to tell the stacks of its threads.
        stacks: Option<bool> = "jstackEnable",
    }
}

fields! {
    /// Lock queues, or renew their locks; the body is [`LockQueues`](crate::wire::body::LockQueues), that of the answer
    /// [`LockedQueues`](crate::wire::body::LockedQueues).
    pub struct LockBatchMq = LOCK_BATCH_MQ {}
}

fields! {
    /// Give locks back; the body is [`LockQueues`](crate::wire::body::LockQueues).
    pub struct UnlockBatchMq = UNLOCK_BATCH_MQ {}
}
