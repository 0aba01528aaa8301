//! The model cluster: conversations on the wire, checked against what real servers answered.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing)]

mod captured;
mod client;
mod embedded;
mod groups;
mod identity;
mod messages;
mod retries;
mod talk;
