//! What administrators ask of brokers and name servers besides what is about messages: configurations, lists, figures,
//! and work to be done.

use alloc::string::String;

use super::fields;
use crate::ids::{Group, Topic};
use crate::wire::codes::request::{
    CLEAN_EXPIRED_CONSUMEQUEUE, CLEAN_UNUSED_TOPIC, DELETE_EXPIRED_COMMITLOG, DELETE_KV_CONFIG, GET_ALL_PRODUCER_INFO,
    GET_ALL_SUBSCRIPTIONGROUP_CONFIG, GET_ALL_TOPIC_CONFIG, GET_BROKER_CONSUME_STATS, GET_BROKER_HA_STATUS,
    GET_COLD_DATA_FLOW_CTR_INFO, GET_HAS_UNIT_SUB_TOPIC_LIST, GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, GET_KV_CONFIG,
    GET_KVLIST_BY_NAMESPACE, GET_NAMESRV_CONFIG, GET_SUBSCRIPTIONGROUP_CONFIG, GET_SYSTEM_TOPIC_LIST_FROM_BROKER,
    GET_SYSTEM_TOPIC_LIST_FROM_NS, GET_UNIT_TOPIC_LIST, PUT_KV_CONFIG, QUERY_CONSUME_QUEUE, QUERY_CONSUME_TIME_SPAN,
    QUERY_CORRECTION_OFFSET, QUERY_SUBSCRIPTION_BY_CONSUMER, REMOVE_COLD_DATA_FLOW_CTR_CONFIG,
    RESUME_CHECK_HALF_MESSAGE, SET_COMMITLOG_READ_MODE, UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
    UPDATE_AND_CREATE_TOPIC_LIST, UPDATE_AND_GET_GROUP_FORBIDDEN, UPDATE_COLD_DATA_FLOW_CTR_CONFIG,
    UPDATE_NAMESRV_CONFIG, VIEW_BROKER_STATS_DATA,
};

fields! {
    /// Create or change topics; the body is [`TopicConfigList`](crate::wire::body::TopicConfigList).
    pub struct SetTopics = UPDATE_AND_CREATE_TOPIC_LIST {}
}

fields! {
    /// All topics of a broker, page by page; the body of the answer is
    /// [`TopicConfigs`](crate::wire::body::TopicConfigs). Brokers of 4.9 give all at once.
    pub struct GetTopicConfigs = GET_ALL_TOPIC_CONFIG {
        /// The first of the page.
        from: i32 = "topicSeq",
        /// The version of the pages before, as JSON; with another one the page is the first.
        version: String = "dataVersion",
        /// So many at most.
        most: i32 = "maxTopicNum",
    }
}

fields! {
    /// How many topics there are (response to [`GetTopicConfigs`]).
    pub struct TopicTotal {
        /// How many; nothing when all are in the body.
        total: Option<i32> = "totalTopicNum",
    }
}

fields! {
    /// Create or change groups; the body is [`GroupConfigList`](crate::wire::body::GroupConfigList).
    pub struct SetGroups = UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST {}
}

fields! {
    /// All groups of a broker, page by page; the body of the answer is
    /// [`GroupConfigs`](crate::wire::body::GroupConfigs). Brokers of 4.9 give all at once.
    pub struct GetGroupConfigs = GET_ALL_SUBSCRIPTIONGROUP_CONFIG {
        /// The first of the page.
        from: i32 = "groupSeq",
        /// The version of the pages before, as JSON; with another one the page is the first.
        version: String = "dataVersion",
        /// So many at most.
        most: i32 = "maxGroupNum",
    }
}

fields! {
    /// How many groups there are (response to [`GetGroupConfigs`]).
    pub struct GroupTotal {
        /// How many; nothing when all are in the body.
        total: Option<i32> = "totalGroupNum",
    }
}

fields! {
    /// A group on one broker; the body of the answer is [`GroupConfig`](crate::wire::body::GroupConfig).
    pub struct GetGroupConfig = GET_SUBSCRIPTIONGROUP_CONFIG {
        /// The group.
        group: Group = "group",
    }
}

fields! {
    /// Whether a group may read a topic; the body of the answer is
    /// [`ReadPermission`](crate::wire::body::ReadPermission).
    pub struct GroupMayRead = UPDATE_AND_GET_GROUP_FORBIDDEN {
        /// The group.
        group: Group = "group",
        /// The topic.
        topic: Topic = "topic",
        /// Set it to this first.
        readable: Option<bool> = "readable",
    }
}

fields! {
    /// A value that a name server keeps.
    pub struct GetKv = GET_KV_CONFIG {
        /// The kind of values.
        namespace: String = "namespace",
        /// The key.
        key: String = "key",
    }
}

fields! {
    /// That value (response to [`GetKv`]).
    pub struct KvValue {
        /// The value.
        value: Option<String> = "value",
    }
}

fields! {
    /// A name server is to keep a value.
    pub struct PutKv = PUT_KV_CONFIG {
        /// The kind of values.
        namespace: String = "namespace",
        /// The key.
        key: String = "key",
        /// The value.
        value: String = "value",
    }
}

fields! {
    /// A name server is to forget a value.
    pub struct DeleteKv = DELETE_KV_CONFIG {
        /// The kind of values.
        namespace: String = "namespace",
        /// The key.
        key: String = "key",
    }
}

fields! {
    /// All values of a kind; the body of the answer is [`KvTable`](crate::wire::body::KvTable).
    pub struct ListKv = GET_KVLIST_BY_NAMESPACE {
        /// The kind of values.
        namespace: String = "namespace",
    }
}

fields! {
    /// The configuration of a name server; the body of the answer is lines of `key=value`.
    pub struct GetNameServerConfig = GET_NAMESRV_CONFIG {}
}

fields! {
    /// Change the configuration of a name server; the body is lines of `key=value`.
    pub struct SetNameServerConfig = UPDATE_NAMESRV_CONFIG {}
}

fields! {
    /// Clusters and brokers, which have topics of their names; the body of the answer is
    /// [`TopicList`](crate::wire::body::TopicList), with the address of a broker.
    pub struct GetSystemTopics = GET_SYSTEM_TOPIC_LIST_FROM_NS {}
}

fields! {
    /// The topics of a broker's own; the body of the answer is [`TopicList`](crate::wire::body::TopicList).
    pub struct GetBrokerTopics = GET_SYSTEM_TOPIC_LIST_FROM_BROKER {}
}

fields! {
    /// Topics that belong to units; the body of the answer is [`TopicList`](crate::wire::body::TopicList).
    pub struct GetUnitTopics = GET_UNIT_TOPIC_LIST {}
}

fields! {
    /// Topics that units subscribe to; the body of the answer is [`TopicList`](crate::wire::body::TopicList).
    pub struct GetUnitSubTopics = GET_HAS_UNIT_SUB_TOPIC_LIST {}
}

fields! {
    /// Topics that units subscribe to and that belong to none; the body of the answer is
    /// [`TopicList`](crate::wire::body::TopicList).
    pub struct GetUnitSubOnlyTopics = GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST {}
}

fields! {
    /// All producers; the body of the answer is [`ProducerTable`](crate::wire::body::ProducerTable).
    pub struct GetAllProducers = GET_ALL_PRODUCER_INFO {}
}

fields! {
    /// What a group wants of a topic; the body of the answer is
    /// [`GroupSubscription`](crate::wire::body::GroupSubscription).
    pub struct GetSubscription = QUERY_SUBSCRIPTION_BY_CONSUMER {
        /// The group.
        group: Group = "group",
        /// The topic.
        topic: Topic = "topic",
    }
}

fields! {
    /// The times of the queues of a topic; the body of the answer is
    /// [`QueueTimeSpans`](crate::wire::body::QueueTimeSpans).
    pub struct GetTimeSpans = QUERY_CONSUME_TIME_SPAN {
        /// The topic.
        topic: Topic = "topic",
        /// The group.
        group: Group = "group",
    }
}

fields! {
    /// How far all groups are; the body of the answer is [`ConsumeStatsList`](crate::wire::body::ConsumeStatsList).
    pub struct GetAllConsumeStats = GET_BROKER_CONSUME_STATS {
        /// Only in topics that are ordered.
        orderly: bool = "isOrder",
    }
}

fields! {
    /// A figure over time; the body of the answer is [`BrokerFigure`](crate::wire::body::BrokerFigure).
    pub struct GetBrokerFigure = VIEW_BROKER_STATS_DATA {
        /// Which figure, such as `TOPIC_PUT_NUMS`.
        name: String = "statsName",
        /// Of what, such as a topic.
        key: String = "statsKey",
    }
}

fields! {
    /// The entries of a queue; the body of the answer is [`QueueEntries`](crate::wire::body::QueueEntries).
    pub struct GetQueueEntries = QUERY_CONSUME_QUEUE {
        /// The topic.
        topic: Topic = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// From this offset on.
        from: i64 = "index",
        /// So many at most.
        count: i32 = "count",
        /// Tell what this group wants of the topic too.
        group: Option<Group> = "consumerGroup",
    }
}

fields! {
    /// The least offsets of groups; the body of the answer is
    /// [`CorrectionOffsets`](crate::wire::body::CorrectionOffsets).
    pub struct GetCorrectionOffsets = QUERY_CORRECTION_OFFSET {
        /// Without those of these groups, separated by commas.
        without: Option<String> = "filterGroups",
        /// What is more than what this group has committed is told as the greatest number.
        compared_to: Group = "compareGroup",
        /// The topic.
        topic: Topic = "topic",
    }
}

fields! {
    /// Ask again about a half message that was given up.
    pub struct ResumeHalfMessage = RESUME_CHECK_HALF_MESSAGE {
        /// Its topic.
        topic: Option<Topic> = "topic",
        /// The id of where it is stored.
        msg_id: String = "msgId",
    }
}

fields! {
    /// Delete files of queues whose messages are gone.
    pub struct CleanQueues = CLEAN_EXPIRED_CONSUMEQUEUE {}
}

fields! {
    /// Delete the queues of topics that are gone.
    pub struct CleanTopics = CLEAN_UNUSED_TOPIC {}
}

fields! {
    /// Delete files of the log that are old enough, whatever the hour is.
    pub struct CleanLog = DELETE_EXPIRED_COMMITLOG {}
}

fields! {
    /// How far slaves are; the body of the answer is [`HaStatus`](crate::wire::body::HaStatus).
    pub struct GetHaStatus = GET_BROKER_HA_STATUS {}
}

fields! {
    /// Bound what groups read of old messages; the body is lines of `group=bytes`.
    pub struct SetColdRead = UPDATE_COLD_DATA_FLOW_CTR_CONFIG {}
}

fields! {
    /// Take such a bound back; the body is the name of the group.
    pub struct RemoveColdRead = REMOVE_COLD_DATA_FLOW_CTR_CONFIG {}
}

fields! {
    /// What groups have read of old messages; the body of the answer is JSON.
    pub struct GetColdRead = GET_COLD_DATA_FLOW_CTR_INFO {}
}

fields! {
    /// How the files of the log are read: `madvise` of Linux.
    pub struct SetLogReadMode = SET_COMMITLOG_READ_MODE {
        /// 0 for as usual, 1 for at random.
        mode: i32 = "READ_AHEAD_MODE",
    }
}
