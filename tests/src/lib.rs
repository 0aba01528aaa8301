//! Test kit for Apache RocketMQ clients.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::wildcard_enum_match_arm)]

pub mod real;
