//! Configuration as validated values: every duration a `Duration`, every default with its source.

mod address;
mod client;
mod consumer;
mod discovery;
mod filter;
mod host;
mod link;
mod network;
mod pop;
mod producer;
mod proxy;
mod server;
mod strategy;
#[cfg(feature = "tls")]
mod tls;
mod trace;

use alloc::string::String;

pub use address::{AddressRules, is_link_local};
pub(crate) use client::check_endpoint;
pub use client::{ClientConfig, parse_name_servers};
pub use consumer::{ConsumeMode, ConsumerConfig, ReadFrom, StartFrom, TimeoutPolicy};
pub(crate) use consumer::{MAX_SUSPEND, MIN_SUSPEND};
pub use discovery::DiscoveryConfig;
pub use filter::Filter;
pub use host::{
    CLIENT_NAME, HostInfo, LOCAL_OFFSET_STORE_DIR, NAMESRV_ADDR, NAMESRV_DOMAIN, NAMESRV_DOMAIN_SUBGROUP,
    ROCKETMQ_SERIALIZE_TYPE, ROCKETMQ_ZONE, ROCKETMQ_ZONE_MODE,
};
pub use link::LinkConfig;
pub use network::Network;
pub(crate) use network::parts;
pub use pop::PopConfig;
pub(crate) use pop::strategy_name;
pub use producer::{AutoBatch, LatencyFaults, ProducerConfig};
pub use proxy::{Proxies, SocksProxy};
pub use server::{Permission, ServerPolicy};
pub use strategy::{Allocate, MachineRoomResolver, Strategy};
#[cfg(feature = "tls")]
pub(crate) use tls::Trust;
#[cfg(feature = "tls")]
pub use tls::{TlsConfig, TlsConfigError};
pub use trace::TraceConfig;

use crate::ids::{Group, Topic};
use crate::wire::compress::CompressionKind;

/// A configuration that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No name server is given.
    #[error("no name server: give one, or set NAMESRV_ADDR")]
    NoNameServer,
    /// An address is not `host:port`.
    #[error("'{0}' is not an address of the form host:port or [ipv6]:port")]
    Endpoint(String),
    /// The environment names a header codec that does not exist.
    #[error("ROCKETMQ_SERIALIZE_TYPE is '{0}': there are JSON and ROCKETMQ")]
    Codec(String),
    /// What is to tell the name servers makes no request.
    #[error("'{0}' is no URL that could be asked for")]
    Discovery(String),
    /// What is allowed is no network, address or host.
    #[error("'{0}' is no network as 10.0.0.0/8, no address and no host, with a port or without")]
    AddressRule(String),
    /// Proxies make no sense.
    #[error("proxies: {0}")]
    Proxy(String),
    /// A group name breaks the rules.
    #[error("group '{0}' must be 1 to 120 letters, digits, or one of % | - _")]
    Group(String),
    /// A group name is reserved.
    #[error("group {0} is reserved: choose your own")]
    DefaultGroup(&'static str),
    /// A topic name breaks the rules.
    #[error("topic '{0}' must be 1 to 127 letters, digits, or one of % | - _")]
    Topic(String),
    /// A consumer subscribes to nothing.
    #[error("no subscription: subscribe to a topic before start")]
    NoSubscription,
    /// A broadcasting group has nowhere to keep its offsets.
    #[error("broadcasting: no home directory is known; say where offsets are to be kept")]
    NoOffsetFile,
    /// Popping goes together neither with order nor with broadcasting.
    #[error("a group that pops can be neither orderly nor broadcasting")]
    PopMode,
    /// Brokers do not know the strategy by which a group that pops shares out queues.
    #[error("brokers share out the queues of a group that pops: averagely, or by circle")]
    PopStrategy,
    /// A producer of transactions could not answer its brokers.
    #[error("no checker: brokers ask what became of transactions, and somebody must answer")]
    NoChecker,
    /// This build cannot write the compression that was chosen.
    #[error("this build cannot write {0:?}: switch on the feature")]
    Compression(CompressionKind),
    /// Links are to be encrypted, and cannot be.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// The steps of latency are not in ascending order.
    #[error("the steps of latency are not in ascending order")]
    LatencySteps,
    /// A filter expression cannot be parsed.
    #[error(
        "subscription of topic {topic}: '{expression}' is no expression such as \"*\", \"a || b\" or, in SQL, \"a > 3\""
    )]
    Expression {
        /// The topic.
        topic: Topic,
        /// The expression.
        expression: String,
    },
    /// A number is out of range.
    #[error("{name} must be between {least} and {most}")]
    Range {
        /// The setting.
        name: &'static str,
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
    },
}

/// Checks a group name. Source: Java `Validators.checkGroup`.
///
/// # Errors
/// The name is empty, longer than 120, or has other characters than letters, digits, `%`, `|`, `-`, `_`.
pub fn check_group(group: &Group) -> Result<(), ConfigError> {
    if is_name(group.as_str(), 120) { Ok(()) } else { Err(ConfigError::Group(group.as_str().into())) }
}

/// Checks a topic name. Source: Java `Validators.checkTopic`.
///
/// # Errors
/// The name is empty, longer than 127, or has other characters than letters, digits, `%`, `|`, `-`, `_`.
pub fn check_topic(topic: &Topic) -> Result<(), ConfigError> {
    if is_name(topic.as_str(), 127) { Ok(()) } else { Err(ConfigError::Topic(topic.as_str().into())) }
}

fn is_name(text: &str, most: usize) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'%' | b'|' | b'-' | b'_');
    !text.is_empty() && text.len() <= most && text.bytes().all(known)
}
