//! What can be chosen about a broker; the defaults are those of a 5.4.0 broker.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The codec in which a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyCodec {
    /// Always JSON, whatever the request used (5.4.0).
    Json,
    /// The codec of the request (4.9.7).
    AsRequest,
}

/// The settings of one broker.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// The cluster it belongs to.
    pub cluster: String,
    /// Its name, shared by a master and its slaves.
    pub name: String,
    /// Its id: 0 is the master.
    pub id: i64,
    /// The address that the name servers tell clients, and the store host of its records.
    pub address: SocketAddr,
    /// The wire version that it announces.
    pub version: i32,
    /// The codec of its answers.
    pub reply_codec: ReplyCodec,
    /// `MSG_REGION` of answers and messages.
    pub region: String,
    /// `TRACE_ON` of answers and messages.
    pub trace_on: bool,
    /// Whether a send to an unknown topic creates it from its template topic.
    pub auto_create_topics: bool,
    /// Queues of the template topic TBW102.
    pub default_topic_queues: i32,
    /// Whether sends to a topic that may not be written are refused. Brokers do not look, as clients do not send where
    /// the route forbids it; access control answers in the same way.
    pub refuse_read_only: bool,
    /// Whether a group that was never heard of exists.
    pub auto_create_groups: bool,
    /// The delay of each level, from level 1.
    pub delay_levels: Vec<Duration>,
    /// Whether it has a timer wheel (5.x).
    pub timers: bool,
    /// Whether messages with a timer may be taken back.
    pub recall: bool,
    /// Whether an empty pull may be held.
    pub long_polling: bool,
    /// How often held pulls are looked at for their expiry.
    pub hold_scan: Duration,
    /// The longest body.
    pub max_body: usize,
    /// The most messages in the answer to one pull.
    pub max_pull_messages: usize,
    /// The most bytes in the answer to one pull, but for a single larger message.
    pub max_pull_bytes: usize,
    /// The most queue entries that one pull looks at.
    pub max_filter_entries: usize,
    /// How long a silent client stays a member.
    pub client_expiry: Duration,
    /// How often silent clients are looked for.
    pub client_scan: Duration,
    /// Whether members are told when their group changes.
    pub notify_members: bool,
    /// Whether heartbeats without subscriptions are understood (5.x).
    pub heartbeat_v2: bool,
    /// How long a queue lock lasts.
    pub lock_lease: Duration,
    /// Deliveries that fail before a message is dead, unless the client says otherwise.
    pub retry_max_times: i32,
    /// How long after its invisible time a popped message is stored again.
    pub revive_lag: Duration,
    /// Queues of a retry topic; with 0 messages handed back are forgotten.
    pub retry_queues: i32,
    /// Whether it sends consumers that are far behind to a slave.
    pub slave_read: bool,
    /// Consumers are far behind when there are more bytes of log after what they pulled.
    pub memory: i64,
    /// A slave: how far its log is behind that of the master.
    pub replica_delay: Duration,
    /// A slave: how often it copies topics and committed offsets from the master.
    pub replica_period: Duration,
    /// Whether it filters by SQL92 expressions over properties.
    pub property_filter: bool,
    /// Whether it moves groups to other offsets by itself and tells with the next pulls (5.x), or has their members do so.
    pub server_side_reset: bool,
    /// How old a half message is before the broker asks what became of it.
    pub transaction_timeout: Duration,
    /// How often it looks for those.
    pub transaction_check_interval: Duration,
    /// How often it asks before it gives a half message up.
    pub transaction_check_max: u32,
    /// Rows of its tables of topics and groups that it tells at a time (5.x).
    pub page: usize,
    /// Seed of its choices of queues and keys.
    pub seed: u64,
}

impl BrokerConfig {
    /// The settings with which the model is a 4.9.7 broker.
    #[must_use]
    pub fn v4_9_7() -> Self {
        Self {
            version: VERSION_4_9_7,
            reply_codec: ReplyCodec::AsRequest,
            heartbeat_v2: false,
            server_side_reset: false,
            replica_period: Duration::from_secs(10),
            ..Self::default()
        }
    }

    /// Whether it is a slave.
    pub(crate) fn is_slave(&self) -> bool {
        self.id != 0
    }

    /// Whether it is a broker of the releases 4.x.
    pub(crate) fn is_v4(&self) -> bool {
        self.version < VERSION_5_0_0
    }
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            cluster: "DefaultCluster".into(),
            name: "broker-a".into(),
            id: 0,
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10911),
            version: VERSION_5_4_0,
            reply_codec: ReplyCodec::Json,
            region: "DefaultRegion".into(),
            trace_on: true,
            auto_create_topics: true,
            default_topic_queues: 8,
            refuse_read_only: false,
            auto_create_groups: true,
            delay_levels: DELAY_LEVELS.map(Duration::from_secs).to_vec(),
            timers: true,
            recall: false,
            long_polling: true,
            hold_scan: Duration::from_secs(5),
            max_body: 4 * 1024 * 1024,
            max_pull_messages: 32,
            max_pull_bytes: 256 * 1024,
            max_filter_entries: 800,
            client_expiry: Duration::from_secs(120),
            client_scan: Duration::from_secs(10),
            notify_members: true,
            heartbeat_v2: true,
            lock_lease: Duration::from_secs(60),
            revive_lag: Duration::from_secs(2),
            retry_max_times: 16,
            retry_queues: 1,
            slave_read: false,
            memory: i64::MAX,
            replica_delay: Duration::from_millis(5),
            replica_period: Duration::from_secs(60),
            property_filter: false,
            server_side_reset: true,
            transaction_timeout: Duration::from_secs(6),
            transaction_check_interval: Duration::from_secs(30),
            transaction_check_max: 15,
            page: 1_000,
            seed: 0,
        }
    }
}

/// The wire version of 5.4.0.
pub(crate) const VERSION_5_4_0: i32 = 493;
/// The wire version of 5.0.0.
pub(crate) const VERSION_5_0_0: i32 = 413;
/// The wire version of 4.9.7.
const VERSION_4_9_7: i32 = 407;
/// Seconds of the delay levels 1 to 18.
const DELAY_LEVELS: [u64; 18] = [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];
