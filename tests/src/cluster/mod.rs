//! Models of RocketMQ servers that take our bytes and answer in bytes.
//!
//! A model is sans-IO and deterministic: it is told the time and the frames of each session, and its answers are
//! polled. The same models serve real sockets ([`tcp::EmbeddedCluster`]) and simulations, which put their
//! faults between the client and the model.

mod broker;
mod composition;
mod config;
mod deframer;
mod fields;
mod message;
mod name_server;
mod oracle;
mod output;
mod sql;
mod store;
pub mod tcp;

pub use broker::Broker;
pub(crate) use broker::{SCHEDULE_TOPIC, TIMER_TOPIC};
pub use composition::{Cluster, Node};
pub use config::{BrokerConfig, ReplyCodec};
pub use deframer::Deframer;
pub(crate) use message::Draft;
pub use message::Properties;
pub use name_server::NameServer;
pub use oracle::{Member, StoredView};
pub use output::{Output, SessionId};
pub use store::TopicConfig;
pub use tcp::EmbeddedCluster;
