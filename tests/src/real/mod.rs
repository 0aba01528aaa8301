//! Real Apache RocketMQ name servers and brokers, and the official Java client, for our suites.
//!
//! Everything runs as child processes of the test, on free loopback ports, from jars which Maven
//! copies once into a cache directory. The harness needs Linux (it reads `/proc`), a JDK and Maven.
//!
//! | Environment | Effect |
//! |---|---|
//! | `ROCKETMQ_TEST_CACHE` | cache directory; default `$HOME/.cache/rocketmq-testkit` |
//! | `ROCKETMQ_TEST_SKIP_BROKER=1` | [`available`] answers `Ok(false)`, so suites skip instead of failing |
//! | `ROCKETMQ_TEST_KEEP=1` | run folders (logs, stores) are kept for inspection |
//!
//! ```no_run
//! use rocketmq_testkit::real::{self, JavaPeer, Options, RealCluster, V5};
//!
//! # fn main() -> Result<(), real::RealError> {
//! if !real::available()? {
//!     return Ok(()); // skipped on purpose, and said so
//! }
//! let cluster = RealCluster::start(Options::new(V5))?;
//! let java = JavaPeer::start()?;
//! java.create_topic(&cluster.namesrv(), "Orders", 8)?;
//! # Ok(())
//! # }
//! ```

mod cache;
mod cluster;
mod error;
pub mod golden;
mod java;
mod java_api;
mod java_trace;
mod java_types;
mod mqadmin;
mod ports;
mod probe;
mod process;
mod tools;

pub use cluster::{Options, RealCluster, V4, V5};
pub use error::RealError;
pub use java::JavaPeer;
pub use java_api::JavaReply;
pub use java_trace::{DecodedTrace, JavaTrace};
pub use java_types::{
    BrokerRoute, ConnectionInfo, ConsumedMessage, ConsumerSpec, DecodedFrame, KnownSubscription, OwnedQueue,
    ProducerSpec, QueueOffset, SendSpec, Sent, StartFrom, StoredMessage,
};
pub use mqadmin::MqAdmin;
pub use probe::{Encrypt, Stream};
pub use tools::available;
