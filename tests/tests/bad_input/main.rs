//! Peers that do not behave: each costs the user a typed error or a poison record, and costs nobody else anything.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod bombs;
mod frames;
mod hostile;
mod protocols;
mod records;
mod routes;
mod stalls;
