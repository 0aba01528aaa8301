//! What is asked about topics, groups, clients and messages.

use alloc::string::String;

use super::fields;
use crate::ids::{BrokerName, Group, Topic};
use crate::wire::codes::request::{
    ADD_WRITE_PERM_OF_BROKER, CLONE_GROUP_OFFSET, DELETE_SUBSCRIPTIONGROUP, DELETE_TOPIC_IN_BROKER,
    DELETE_TOPIC_IN_NAMESRV, GET_ALL_TOPIC_LIST_FROM_NAMESERVER, GET_BROKER_CLUSTER_INFO, GET_BROKER_CONFIG,
    GET_BROKER_RUNTIME_INFO, GET_CONSUME_STATS, GET_CONSUMER_CONNECTION_LIST, GET_PRODUCER_CONNECTION_LIST,
    GET_TOPIC_CONFIG, GET_TOPIC_STATS_INFO, GET_TOPICS_BY_CLUSTER, QUERY_MESSAGE, QUERY_TOPIC_CONSUME_BY_WHO,
    QUERY_TOPICS_BY_CONSUMER, UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, UPDATE_BROKER_CONFIG, VIEW_MESSAGE_BY_ID,
    WIPE_WRITE_PERM_OF_BROKER,
};

fields! {
    /// The brokers of all clusters; the body of the answer is [`ClusterInfo`](crate::wire::body::ClusterInfo).
    pub struct GetClusterInfo = GET_BROKER_CLUSTER_INFO {}
}

fields! {
    /// The topics that a name server knows; the body of the answer is [`TopicList`](crate::wire::body::TopicList).
    pub struct GetTopics = GET_ALL_TOPIC_LIST_FROM_NAMESERVER {}
}

fields! {
    /// The topics of a cluster; the body of the answer is [`TopicList`](crate::wire::body::TopicList).
    pub struct GetTopicsOfCluster = GET_TOPICS_BY_CLUSTER {
        /// The cluster.
        cluster: String = "cluster",
    }
}

fields! {
    /// A topic on one broker; the body of the answer is [`TopicConfig`](crate::wire::body::TopicConfig).
    pub struct GetTopicConfig = GET_TOPIC_CONFIG {
        /// The topic.
        topic: Topic = "topic",
        /// Whether the broker answers for its own queues only, as those of a topic over several brokers.
        local: bool = "lo",
    }
}

fields! {
    /// How far the queues of a topic are; the body of the answer is [`TopicStats`](crate::wire::body::TopicStats).
    pub struct GetTopicStats = GET_TOPIC_STATS_INFO {
        /// The topic.
        topic: Topic = "topic",
    }
}

fields! {
    /// Delete a topic of a broker.
    pub struct DeleteTopic = DELETE_TOPIC_IN_BROKER {
        /// The topic.
        topic: Topic = "topic",
    }
}

fields! {
    /// Delete a topic of a name server.
    pub struct DeleteTopicAtNameServer = DELETE_TOPIC_IN_NAMESRV {
        /// The topic.
        topic: Topic = "topic",
        /// Only in this cluster.
        cluster: Option<String> = "clusterName",
    }
}

fields! {
    /// Create or change a group; the body is [`GroupConfig`](crate::wire::body::GroupConfig).
    pub struct SetGroup = UPDATE_AND_CREATE_SUBSCRIPTIONGROUP {}
}

fields! {
    /// Delete a group.
    pub struct DeleteGroup = DELETE_SUBSCRIPTIONGROUP {
        /// The group.
        group: Group = "groupName",
        /// Whether its offsets go too.
        clean_offset: bool = "cleanOffset",
        /// The same, as brokers of 4.9 call it.
        remove_offset: bool = "removeOffset",
    }
}

fields! {
    /// The members of a group; the body of the answer is
    /// [`ConsumerConnection`](crate::wire::body::ConsumerConnection).
    pub struct GetConsumerConnections = GET_CONSUMER_CONNECTION_LIST {
        /// The group.
        group: Group = "consumerGroup",
    }
}

fields! {
    /// The producers of a group; the body of the answer is
    /// [`ProducerConnection`](crate::wire::body::ProducerConnection).
    pub struct GetProducerConnections = GET_PRODUCER_CONNECTION_LIST {
        /// The group.
        group: Group = "producerGroup",
    }
}

fields! {
    /// How far a group is; the body of the answer is [`ConsumeStats`](crate::wire::body::ConsumeStats).
    pub struct GetConsumeStats = GET_CONSUME_STATS {
        /// The group.
        group: Group = "consumerGroup",
        /// Only in this topic.
        topic: Option<Topic> = "topic",
    }
}

fields! {
    /// The groups that consume a topic; the body of the answer is [`GroupList`](crate::wire::body::GroupList).
    pub struct GetGroupsOfTopic = QUERY_TOPIC_CONSUME_BY_WHO {
        /// The topic.
        topic: Topic = "topic",
    }
}

fields! {
    /// The topics that a group consumes; the body of the answer is [`TopicList`](crate::wire::body::TopicList).
    pub struct GetTopicsOfGroup = QUERY_TOPICS_BY_CONSUMER {
        /// The group.
        group: Group = "group",
    }
}

fields! {
    /// A group takes over the offsets of another.
    pub struct CloneOffsets = CLONE_GROUP_OFFSET {
        /// The group that has them.
        from: Group = "srcGroup",
        /// The group that takes them.
        to: Group = "destGroup",
        /// Only in this topic.
        topic: Option<Topic> = "topic",
        /// Whether the other group has no members.
        offline: bool = "offline",
    }
}

fields! {
    /// The record at a position of the log; the body of the answer is that record.
    pub struct ViewMessage = VIEW_MESSAGE_BY_ID {
        /// The position.
        offset: i64 = "offset",
    }
}

fields! {
    /// Messages by a key; the body of the answer is records.
    pub struct QueryMessage = QUERY_MESSAGE {
        /// The topic.
        topic: Topic = "topic",
        /// The key.
        key: String = "key",
        /// So many at most.
        max: i32 = "maxNum",
        /// Stored at this time or later, Unix milliseconds.
        begin: i64 = "beginTimestamp",
        /// Stored at this time or before.
        end: i64 = "endTimestamp",
        /// Whether the key is the unique key.
        unique: Option<bool> = "_UNIQUE_KEY_QUERY",
    }
}

fields! {
    /// The configuration of a broker; the body of the answer is lines of `key=value`.
    pub struct GetBrokerConfig = GET_BROKER_CONFIG {}
}

fields! {
    /// Change the configuration of a broker; the body is lines of `key=value`.
    pub struct SetBrokerConfig = UPDATE_BROKER_CONFIG {}
}

fields! {
    /// Figures of a broker; the body of the answer is [`KvTable`](crate::wire::body::KvTable).
    pub struct GetBrokerRuntime = GET_BROKER_RUNTIME_INFO {}
}

fields! {
    /// One may send to a broker again, says a name server.
    pub struct AddWritePerm = ADD_WRITE_PERM_OF_BROKER {
        /// The broker.
        broker: BrokerName = "brokerName",
    }
}

fields! {
    /// Of how many topics of a broker a name server said so (response to [`AddWritePerm`]).
    pub struct AddedTopics {
        /// How many.
        topics: i32 = "addTopicCount",
    }
}

fields! {
    /// Of how many topics of a broker a name server said so (response to [`WipeWritePerm`]).
    pub struct WipedTopics {
        /// How many.
        topics: i32 = "wipeTopicCount",
    }
}

fields! {
    /// Nobody sends to a broker any more, says a name server.
    pub struct WipeWritePerm = WIPE_WRITE_PERM_OF_BROKER {
        /// The broker.
        broker: BrokerName = "brokerName",
    }
}
