//! What the machine we run on says about itself.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::net::{IpAddr, Ipv4Addr};

/// Facts about process and host, read once and passed in as values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInfo {
    /// The process id.
    pub pid: u32,
    /// The address of this host on its network, the loopback address when unknown.
    pub ip: IpAddr,
    /// The user's home directory, below which broadcast offsets are kept.
    pub home: Option<String>,
    /// Those of [`HostInfo::HONOURED`] environment variables that are set.
    pub env: BTreeMap<String, String>,
}

impl HostInfo {
    /// The environment variables that are looked at; no other is read.
    pub const HONOURED: [&'static str; 1] = [NAMESRV_ADDR];

    /// The value of an environment variable that is set and not empty.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl Default for HostInfo {
    fn default() -> Self {
        Self { pid: 0, ip: IpAddr::V4(Ipv4Addr::LOCALHOST), home: None, env: BTreeMap::new() }
    }
}

/// The variable that lists name servers, separated by `;`, when none are configured.
pub const NAMESRV_ADDR: &str = "NAMESRV_ADDR";
