//! The program `rmq` against a model cluster on loopback sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod groups;
mod kit;
mod manage;
mod messages;
mod program;
mod servers;
mod topics;
