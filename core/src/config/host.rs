//! What the machine we run on says about itself.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::net::{IpAddr, Ipv4Addr};

use super::{ConfigError, DiscoveryConfig};
use crate::wire::Codec;

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
    pub const HONOURED: [&'static str; 8] = [
        CLIENT_NAME,
        NAMESRV_ADDR,
        NAMESRV_DOMAIN,
        NAMESRV_DOMAIN_SUBGROUP,
        LOCAL_OFFSET_STORE_DIR,
        ROCKETMQ_SERIALIZE_TYPE,
        ROCKETMQ_ZONE,
        ROCKETMQ_ZONE_MODE,
    ];

    /// The folder below which broadcasting groups keep their offsets: as the environment says, else `.rocketmq_offsets`
    /// in the home directory, which is Java's.
    #[must_use]
    pub fn offset_store_dir(&self) -> Option<String> {
        let in_home = || Some(alloc::format!("{}/.rocketmq_offsets", self.home.as_ref()?));
        self.env(LOCAL_OFFSET_STORE_DIR).map(String::from).or_else(in_home)
    }

    /// Who tells the name servers, as the environment says; nobody unless it says so.
    #[must_use]
    pub fn discovery(&self) -> Option<DiscoveryConfig> {
        let discovery = DiscoveryConfig::new(self.env(NAMESRV_DOMAIN)?);
        Some(match self.env(NAMESRV_DOMAIN_SUBGROUP) {
            Some(subgroup) => discovery.subgroup(subgroup),
            None => discovery,
        })
    }

    /// The header codec of requests, if the environment says which.
    ///
    /// # Errors
    /// It says another one than `JSON` or `ROCKETMQ`.
    pub fn codec(&self) -> Result<Option<Codec>, ConfigError> {
        match self.env(ROCKETMQ_SERIALIZE_TYPE) {
            None => Ok(None),
            Some("JSON") => Ok(Some(Codec::Json)),
            Some("ROCKETMQ") => Ok(Some(Codec::Rocketmq)),
            Some(other) => Err(ConfigError::Codec(other.into())),
        }
    }

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

/// The variable for the name that tells clients of one host apart; Java has a system property of this name.
pub const CLIENT_NAME: &str = "rocketmq.client.name";
/// The variable for the header codec of requests, `JSON` or `ROCKETMQ`.
pub const ROCKETMQ_SERIALIZE_TYPE: &str = "ROCKETMQ_SERIALIZE_TYPE";
/// The variable that lists name servers, separated by `;`, when none are configured.
pub const NAMESRV_ADDR: &str = "NAMESRV_ADDR";
/// The variable that names the host that tells the name servers, when none are configured; Java has a system property of
/// this name.
pub const NAMESRV_DOMAIN: &str = "rocketmq.namesrv.domain";
/// The variable for the last part of the path there; Java has a system property of this name.
pub const NAMESRV_DOMAIN_SUBGROUP: &str = "rocketmq.namesrv.domain.subgroup";
/// The variable that says where broadcasting groups keep their offsets; Java has a system property of this name.
pub const LOCAL_OFFSET_STORE_DIR: &str = "rocketmq.client.localOffsetStoreDir";
/// The variables that say which zone this host is in, and how strictly.
pub const ROCKETMQ_ZONE: &str = "ROCKETMQ_ZONE";
/// See [`ROCKETMQ_ZONE`].
pub const ROCKETMQ_ZONE_MODE: &str = "ROCKETMQ_ZONE_MODE";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_asked_for_where_the_environment_says_so() {
        let mut host = HostInfo::default();
        assert_eq!(host.discovery(), None);
        host.env.insert(NAMESRV_DOMAIN_SUBGROUP.into(), "sub".into());
        assert_eq!(host.discovery(), None);
        host.env.insert(NAMESRV_DOMAIN.into(), "names".into());
        assert_eq!(host.discovery(), Some(DiscoveryConfig::new("names").subgroup("sub")));
    }

    #[test]
    fn the_codec_is_what_the_environment_says_and_no_other() {
        let said = |text: &str| HostInfo {
            env: [(ROCKETMQ_SERIALIZE_TYPE.into(), text.into())].into(),
            ..HostInfo::default()
        };
        assert_eq!(HostInfo::default().codec(), Ok(None));
        assert_eq!(said("").codec(), Ok(None));
        assert_eq!(said("JSON").codec(), Ok(Some(Codec::Json)));
        assert_eq!(said("ROCKETMQ").codec(), Ok(Some(Codec::Rocketmq)));
        assert_eq!(said("json").codec(), Err(ConfigError::Codec("json".into())), "as in Java");
    }

    #[test]
    fn offsets_are_where_java_has_them_unless_the_environment_says_otherwise() {
        let mut host = HostInfo { home: Some("/home/me".into()), ..HostInfo::default() };
        assert_eq!(host.offset_store_dir().as_deref(), Some("/home/me/.rocketmq_offsets"));
        host.env.insert(LOCAL_OFFSET_STORE_DIR.into(), "/var/offsets".into());
        assert_eq!(host.offset_store_dir().as_deref(), Some("/var/offsets"));
        assert_eq!(HostInfo::default().offset_store_dir(), None);
    }
}
