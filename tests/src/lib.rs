//! Test kit for Apache RocketMQ clients.
//!
//! [`cluster`] holds wire-level models of name servers and brokers, and serves them on loopback sockets.
//! [`real`] starts real brokers, and the official Java client to talk to.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::wildcard_enum_match_arm)]

pub mod cluster;
pub mod real;
