//! Configuration as validated values: every duration a `Duration`, every default with its source.

mod host;
mod link;

pub use host::{HostInfo, NAMESRV_ADDR};
pub use link::LinkConfig;
