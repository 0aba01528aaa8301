//! Group membership.

use super::fields;
use crate::ids::{ClientId, Group};
use crate::wire::codes::request::{
    CHECK_CLIENT_CONFIG, GET_CONSUMER_LIST_BY_GROUP, HEART_BEAT, LOCK_BATCH_MQ, NOTIFY_CONSUMER_IDS_CHANGED,
    UNLOCK_BATCH_MQ, UNREGISTER_CLIENT,
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
    /// Lock queues, or renew their locks; the body is [`LockQueues`](crate::wire::body::LockQueues), that of the answer
    /// [`LockedQueues`](crate::wire::body::LockedQueues).
    pub struct LockBatchMq = LOCK_BATCH_MQ {}
}

fields! {
    /// Give locks back; the body is [`LockQueues`](crate::wire::body::LockQueues).
    pub struct UnlockBatchMq = UNLOCK_BATCH_MQ {}
}
