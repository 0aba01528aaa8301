//! Configuration as validated values: every duration a `Duration`, every default with its source.

mod link;

pub use link::LinkConfig;
