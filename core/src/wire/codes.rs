//! Request and response codes.

/// Codes of requests.
pub mod request {
    /// Send one message, header with long names.
    pub const SEND_MESSAGE: i32 = 10;
    /// Pull messages of one queue.
    pub const PULL_MESSAGE: i32 = 11;
    /// Query messages by key.
    pub const QUERY_MESSAGE: i32 = 12;
    /// Query the committed offset of a group.
    pub const QUERY_CONSUMER_OFFSET: i32 = 14;
    /// Commit an offset of a group.
    pub const UPDATE_CONSUMER_OFFSET: i32 = 15;
    /// Create or change a topic.
    pub const UPDATE_AND_CREATE_TOPIC: i32 = 17;
    /// Create or change several topics.
    pub const UPDATE_AND_CREATE_TOPIC_LIST: i32 = 18;
    /// All topics of a broker.
    pub const GET_ALL_TOPIC_CONFIG: i32 = 21;
    /// Change the configuration of a broker.
    pub const UPDATE_BROKER_CONFIG: i32 = 25;
    /// The configuration of a broker.
    pub const GET_BROKER_CONFIG: i32 = 26;
    /// Figures of a broker.
    pub const GET_BROKER_RUNTIME_INFO: i32 = 28;
    /// Search an offset by time.
    pub const SEARCH_OFFSET_BY_TIMESTAMP: i32 = 29;
    /// End of a queue.
    pub const GET_MAX_OFFSET: i32 = 30;
    /// Start of a queue.
    pub const GET_MIN_OFFSET: i32 = 31;
    /// Store time of the oldest message of a queue.
    pub const GET_EARLIEST_MSG_STORETIME: i32 = 32;
    /// One message by its physical offset.
    pub const VIEW_MESSAGE_BY_ID: i32 = 33;
    /// Heartbeat of a client.
    pub const HEART_BEAT: i32 = 34;
    /// A client leaves.
    pub const UNREGISTER_CLIENT: i32 = 35;
    /// Hand a message back for redelivery.
    pub const CONSUMER_SEND_MSG_BACK: i32 = 36;
    /// Commit or roll back a half message.
    pub const END_TRANSACTION: i32 = 37;
    /// Members of a group.
    pub const GET_CONSUMER_LIST_BY_GROUP: i32 = 38;
    /// Server to producer: what became of this transaction?
    pub const CHECK_TRANSACTION_STATE: i32 = 39;
    /// Server to consumer: the members of your group changed.
    pub const NOTIFY_CONSUMER_IDS_CHANGED: i32 = 40;
    /// Lock queues for orderly consumption.
    pub const LOCK_BATCH_MQ: i32 = 41;
    /// Unlock them.
    pub const UNLOCK_BATCH_MQ: i32 = 42;
    /// Check a client's subscription.
    pub const CHECK_CLIENT_CONFIG: i32 = 46;
    /// Set a value that name servers keep.
    pub const PUT_KV_CONFIG: i32 = 100;
    /// A value that name servers keep.
    pub const GET_KV_CONFIG: i32 = 101;
    /// Forget a value that name servers keep.
    pub const DELETE_KV_CONFIG: i32 = 102;
    /// Route of a topic.
    pub const GET_ROUTEINFO_BY_TOPIC: i32 = 105;
    /// Brokers of the cluster.
    pub const GET_BROKER_CLUSTER_INFO: i32 = 106;
    /// Create or change a consumer group.
    pub const UPDATE_AND_CREATE_SUBSCRIPTIONGROUP: i32 = 200;
    /// All consumer groups of a broker.
    pub const GET_ALL_SUBSCRIPTIONGROUP_CONFIG: i32 = 201;
    /// How far the queues of a topic are.
    pub const GET_TOPIC_STATS_INFO: i32 = 202;
    /// The members of a consumer group.
    pub const GET_CONSUMER_CONNECTION_LIST: i32 = 203;
    /// The producers of a group.
    pub const GET_PRODUCER_CONNECTION_LIST: i32 = 204;
    /// Nobody sends to a broker any more.
    pub const WIPE_WRITE_PERM_OF_BROKER: i32 = 205;
    /// All topics that a name server knows.
    pub const GET_ALL_TOPIC_LIST_FROM_NAMESERVER: i32 = 206;
    /// Delete a consumer group.
    pub const DELETE_SUBSCRIPTIONGROUP: i32 = 207;
    /// How far a group is.
    pub const GET_CONSUME_STATS: i32 = 208;
    /// Delete a topic of a broker.
    pub const DELETE_TOPIC_IN_BROKER: i32 = 215;
    /// Delete a topic of a name server.
    pub const DELETE_TOPIC_IN_NAMESRV: i32 = 216;
    /// The values that name servers keep, of one kind.
    pub const GET_KVLIST_BY_NAMESPACE: i32 = 219;
    /// Server to consumer: reset your offsets.
    pub const RESET_CONSUMER_CLIENT_OFFSET: i32 = 220;
    /// Server to consumer: report your offsets.
    pub const GET_CONSUMER_STATUS_FROM_CLIENT: i32 = 221;
    /// Move a group to other offsets.
    pub const INVOKE_BROKER_TO_RESET_OFFSET: i32 = 222;
    /// The offsets that the members of a group tell.
    pub const INVOKE_BROKER_TO_GET_CONSUMER_STATUS: i32 = 223;
    /// The topics of a cluster.
    pub const GET_TOPICS_BY_CLUSTER: i32 = 224;
    /// Create or change several groups.
    pub const UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST: i32 = 225;
    /// The groups that consume a topic.
    pub const QUERY_TOPIC_CONSUME_BY_WHO: i32 = 300;
    /// The times between which a group has its messages.
    pub const QUERY_CONSUME_TIME_SPAN: i32 = 303;
    /// The topics of servers themselves, as a name server knows them.
    pub const GET_SYSTEM_TOPIC_LIST_FROM_NS: i32 = 304;
    /// The same, as a broker knows them.
    pub const GET_SYSTEM_TOPIC_LIST_FROM_BROKER: i32 = 305;
    /// Delete files of queues whose messages are gone.
    pub const CLEAN_EXPIRED_CONSUMEQUEUE: i32 = 306;
    /// Server to consumer: report your state.
    pub const GET_CONSUMER_RUNNING_INFO: i32 = 307;
    /// The least offsets of groups.
    pub const QUERY_CORRECTION_OFFSET: i32 = 308;
    /// Server to consumer: consume this message now.
    pub const CONSUME_MESSAGE_DIRECTLY: i32 = 309;
    /// Send one message, header with letters.
    pub const SEND_MESSAGE_V2: i32 = 310;
    /// Topics that belong to units.
    pub const GET_UNIT_TOPIC_LIST: i32 = 311;
    /// Topics that units subscribe to.
    pub const GET_HAS_UNIT_SUB_TOPIC_LIST: i32 = 312;
    /// Those of them that belong to none.
    pub const GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST: i32 = 313;
    /// Take over the offsets of another group.
    pub const CLONE_GROUP_OFFSET: i32 = 314;
    /// A figure that a broker keeps over time.
    pub const VIEW_BROKER_STATS_DATA: i32 = 315;
    /// Delete the queues of topics that are gone.
    pub const CLEAN_UNUSED_TOPIC: i32 = 316;
    /// How far all groups of a broker are.
    pub const GET_BROKER_CONSUME_STATS: i32 = 317;
    /// Change the configuration of a name server.
    pub const UPDATE_NAMESRV_CONFIG: i32 = 318;
    /// The configuration of a name server.
    pub const GET_NAMESRV_CONFIG: i32 = 319;
    /// Send a batch.
    pub const SEND_BATCH_MESSAGE: i32 = 320;
    /// The entries of a queue.
    pub const QUERY_CONSUME_QUEUE: i32 = 321;
    /// Ask again about a half message that was given up.
    pub const RESUME_CHECK_HALF_MESSAGE: i32 = 323;
    /// Send the reply to a request message, header with long names.
    pub const SEND_REPLY_MESSAGE: i32 = 324;
    /// The same, header with letters.
    pub const SEND_REPLY_MESSAGE_V2: i32 = 325;
    /// Server to requester: the reply to your request message.
    pub const PUSH_REPLY_MESSAGE_TO_CLIENT: i32 = 326;
    /// Send to a broker again.
    pub const ADD_WRITE_PERM_OF_BROKER: i32 = 327;
    /// All producers that a broker knows.
    pub const GET_ALL_PRODUCER_INFO: i32 = 328;
    /// Delete files of the log that are old enough.
    pub const DELETE_EXPIRED_COMMITLOG: i32 = 329;
    /// The topics that a group consumes.
    pub const QUERY_TOPICS_BY_CONSUMER: i32 = 343;
    /// What a group wants of a topic.
    pub const QUERY_SUBSCRIPTION_BY_CONSUMER: i32 = 345;
    /// A topic of a broker.
    pub const GET_TOPIC_CONFIG: i32 = 351;
    /// A group of a broker.
    pub const GET_SUBSCRIPTIONGROUP_CONFIG: i32 = 352;
    /// Whether a group may read a topic.
    pub const UPDATE_AND_GET_GROUP_FORBIDDEN: i32 = 353;
    /// Take back a message whose timer is not due.
    pub const RECALL_MESSAGE: i32 = 370;
    /// Which queues are this member's, and how does it get their messages?
    pub const QUERY_ASSIGNMENT: i32 = 400;
    /// Set how a group gets the messages of a topic.
    pub const SET_MESSAGE_REQUEST_MODE: i32 = 401;
    /// How far the slaves of a broker are.
    pub const GET_BROKER_HA_STATUS: i32 = 907;
    /// Bound what groups read of old messages.
    pub const UPDATE_COLD_DATA_FLOW_CTR_CONFIG: i32 = 2001;
    /// Take such a bound back.
    pub const REMOVE_COLD_DATA_FLOW_CTR_CONFIG: i32 = 2002;
    /// What groups have read of old messages.
    pub const GET_COLD_DATA_FLOW_CTR_INFO: i32 = 2003;
    /// How the files of the log are read.
    pub const SET_COMMITLOG_READ_MODE: i32 = 2004;
    /// Create a user.
    pub const AUTH_CREATE_USER: i32 = 3001;
    /// Change a user.
    pub const AUTH_UPDATE_USER: i32 = 3002;
    /// Delete a user.
    pub const AUTH_DELETE_USER: i32 = 3003;
    /// A user.
    pub const AUTH_GET_USER: i32 = 3004;
    /// All users.
    pub const AUTH_LIST_USER: i32 = 3005;
    /// Create what a user may do.
    pub const AUTH_CREATE_ACL: i32 = 3006;
    /// Change what a user may do.
    pub const AUTH_UPDATE_ACL: i32 = 3007;
    /// Delete what a user may do.
    pub const AUTH_DELETE_ACL: i32 = 3008;
    /// What a user may do.
    pub const AUTH_GET_ACL: i32 = 3009;
    /// What all users may do.
    pub const AUTH_LIST_ACL: i32 = 3010;
    /// Pop messages.
    pub const POP_MESSAGE: i32 = 200_050;
    /// A popped message is consumed.
    pub const ACK_MESSAGE: i32 = 200_051;
    /// Hide a popped message for another time.
    pub const CHANGE_MESSAGE_INVISIBLETIME: i32 = 200_053;
    /// Several popped messages are consumed.
    pub const BATCH_ACK_MESSAGE: i32 = 200_151;
}

/// Codes of responses. A code is an `i32` because peers send ones we do not know.
pub mod response {
    /// Done.
    pub const SUCCESS: i32 = 0;
    /// The server failed; the remark says how.
    pub const SYSTEM_ERROR: i32 = 1;
    /// The server is overloaded.
    pub const SYSTEM_BUSY: i32 = 2;
    /// The server does not know the request.
    pub const REQUEST_CODE_NOT_SUPPORTED: i32 = 3;
    /// Stored, not flushed in time.
    pub const FLUSH_DISK_TIMEOUT: i32 = 10;
    /// Stored, no slave to copy to.
    pub const SLAVE_NOT_AVAILABLE: i32 = 11;
    /// Stored, not copied in time.
    pub const FLUSH_SLAVE_TIMEOUT: i32 = 12;
    /// The message breaks a rule of the broker.
    pub const MESSAGE_ILLEGAL: i32 = 13;
    /// The broker is not serving.
    pub const SERVICE_NOT_AVAILABLE: i32 = 14;
    /// The broker is too old or too new.
    pub const VERSION_NOT_SUPPORTED: i32 = 15;
    /// No permission, on a topic or an account.
    pub const NO_PERMISSION: i32 = 16;
    /// No such topic.
    pub const TOPIC_NOT_EXIST: i32 = 17;
    /// Nothing to pull.
    pub const PULL_NOT_FOUND: i32 = 19;
    /// Nothing matched: pull on at the next offset.
    pub const PULL_RETRY_IMMEDIATELY: i32 = 20;
    /// The offset is outside the queue.
    pub const PULL_OFFSET_MOVED: i32 = 21;
    /// Nothing found, or no offset stored.
    pub const QUERY_NOT_FOUND: i32 = 22;
    /// The filter expression is wrong.
    pub const SUBSCRIPTION_PARSE_FAILED: i32 = 23;
    /// The broker has no heartbeat with this subscription yet.
    pub const SUBSCRIPTION_NOT_EXIST: i32 = 24;
    /// The broker has an older subscription.
    pub const SUBSCRIPTION_NOT_LATEST: i32 = 25;
    /// The group does not exist and may not be created.
    pub const SUBSCRIPTION_GROUP_NOT_EXIST: i32 = 26;
    /// A parameter is out of range (5.x).
    pub const INVALID_PARAMETER: i32 = 29;
    /// A group without members, or a member that is not there.
    pub const CONSUMER_NOT_ONLINE: i32 = 206;
    /// The account may not use this broker.
    pub const NO_BUYER_ID: i32 = 204;
    /// Another unit serves this topic.
    pub const NOT_IN_CURRENT_UNIT: i32 = 205;
    /// A popped message that cannot be, by its offset.
    pub const NO_MESSAGE: i32 = 208;
    /// The broker holds too many pops.
    pub const POLLING_FULL: i32 = 209;
    /// Nothing to pop.
    pub const POLLING_TIMEOUT: i32 = 210;
    /// The broker asks to slow down.
    pub const FLOW_CONTROL: i32 = 215;
    /// The server is shutting down gracefully.
    pub const GO_AWAY: i32 = 1500;
}
