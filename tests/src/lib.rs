//! Test kit for Apache RocketMQ clients.
//!
//! [`cluster`] holds wire-level models of name servers and brokers, and serves them on loopback sockets.
//! [`real`] starts real brokers, and the official Java client to talk to.
//!
//! ```
//! use rocketmq_testkit::cluster::tcp::EmbeddedCluster;
//!
//! let cluster = EmbeddedCluster::builder().brokers(2).topic("orders", 4).start()?;
//! let name_servers = cluster.namesrv(); // connect your client to these
//! // … run the code under test, then look at what became of it:
//! assert!(cluster.stored("orders").is_empty());
//! assert!(cluster.committed("billing").is_empty());
//! # Ok::<(), std::io::Error>(())
//! ```
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::wildcard_enum_match_arm)]

pub mod cluster;
pub mod real;
pub mod sim;

/// The README's examples, compiled; only in the repository, where the README is.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
