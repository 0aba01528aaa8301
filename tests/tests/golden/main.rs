//! What Java wrote, read by us; what we write, read by Java; what real servers and clients said, read and written back.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::wildcard_enum_match_arm)]

mod bodies;
mod captures;
mod frames;
mod java;
mod splits;
mod support;
mod tables;
mod traces;
