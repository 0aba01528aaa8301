//! Proxies through which servers are reached.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use super::ConfigError;
use super::client::check_endpoint;
use super::network::{Network, parts};
use crate::ids::Endpoint;

/// Proxies by the network of the server: the narrowest one that holds its address says which. Servers with names are reached
/// through a proxy of all addresses (`0.0.0.0/0` or `::/0`), which resolves the name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    by_network: Vec<(Network, SocksProxy)>,
}

/// A proxy of SOCKS version 5 (RFC 1928), with user and password (RFC 1929) where it wants them.
#[derive(Clone, PartialEq, Eq)]
pub struct SocksProxy {
    pub(crate) address: Endpoint,
    pub(crate) user: Option<(String, String)>,
}

impl SocksProxy {
    /// At this address.
    #[must_use]
    pub fn new(address: impl Into<Endpoint>) -> Self {
        Self { address: address.into(), user: None }
    }

    /// That wants to know who asks.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some((name.into(), password.into()));
        self
    }
}

/// Nothing of the password.
impl fmt::Debug for SocksProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map(|(name, _)| name);
        f.debug_struct("SocksProxy").field("address", &self.address).field("user", &user).finish_non_exhaustive()
    }
}

/// As Java has it. Source: Java `SocksProxyConfig`.
#[derive(serde::Deserialize)]
struct JavaProxy {
    addr: String,
    username: Option<String>,
    password: Option<String>,
}

impl Proxies {
    /// None: servers are connected directly.
    #[must_use]
    pub const fn none() -> Self {
        Self { by_network: Vec::new() }
    }

    /// One for all servers.
    #[must_use]
    pub fn all(proxy: SocksProxy) -> Self {
        let networks = [IpAddr::V4(0.into()), IpAddr::V6(0.into())].into_iter().filter_map(|ip| Network::new(ip, 0));
        Self { by_network: networks.map(|network| (network, proxy.clone())).collect() }
    }

    /// One for the servers of a network, beside those that are there.
    #[must_use]
    pub fn with(mut self, network: Network, proxy: SocksProxy) -> Self {
        self.by_network.push((network, proxy));
        self
    }

    /// Reads Java's `socksProxyConfig`: `{"10.0.0.0/8": {"addr": "proxy:1080", "username": "u", "password": "p"}}`, where
    /// `0.0.0.0/0` is everything.
    ///
    /// # Errors
    /// It is not of that form.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let bad = |why: &dyn fmt::Display| ConfigError::Proxy(alloc::format!("{why}"));
        // The message of a parser can quote what it read: its place says enough.
        let place = |error: serde_json::Error| bad(&format_args!("no map of proxies at column {}", error.column()));
        let map: BTreeMap<String, JavaProxy> = serde_json::from_str(text).map_err(place)?;
        let mut proxies = Self::none();
        for (network, JavaProxy { addr, username, password }) in map {
            let parsed = Network::parse(&network).ok_or_else(|| bad(&format_args!("'{network}' is no network")))?;
            let proxy = SocksProxy::new(addr);
            let proxy = match (username.filter(|name| !name.is_empty()), password) {
                (Some(name), password) => proxy.user(name, password.unwrap_or_default()),
                (None, _) => proxy,
            };
            if parsed.prefix() == 0 {
                proxies.by_network.extend(Self::all(proxy).by_network);
            } else {
                proxies = proxies.with(parsed, proxy);
            }
        }
        proxies.check()?;
        Ok(proxies)
    }

    /// The one through which a server is reached, if it is through one.
    #[must_use]
    pub fn of(&self, endpoint: &Endpoint) -> Option<&SocksProxy> {
        let (host, _) = parts(endpoint)?;
        let ip: Option<IpAddr> = host.parse().ok();
        let holds = |network: &Network| match ip {
            Some(ip) => network.contains(ip),
            None => network.prefix() == 0,
        };
        let of = self.by_network.iter().filter(|(network, _)| holds(network));
        of.max_by_key(|(network, _)| network.prefix()).map(|(_, proxy)| proxy)
    }

    /// Checks addresses and lengths.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        for (_, proxy) in &self.by_network {
            check_endpoint(&proxy.address)?;
            let fits = |text: &str| (1..=255).contains(&text.len());
            if proxy.user.as_ref().is_some_and(|(name, password)| !fits(name) || !fits(password)) {
                return Err(ConfigError::Proxy(String::from("user and password have 1 to 255 bytes")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn javas_map_is_read_and_the_narrowest_network_says_which() {
        let text = r#"{"10.0.0.0/8": {"addr": "wide:1080"}, "10.1.0.0/16": {"addr": "narrow:1080", "username": "u",
            "password": "p"}, "fd00::/8": {"addr": "six:1080", "username": ""}}"#;
        let proxies = Proxies::from_json(text).unwrap();
        let of = |to: &str| proxies.of(&to.into()).map(|proxy| proxy.address.to_string());
        assert_eq!(of("10.2.0.1:10911").as_deref(), Some("wide:1080"));
        assert_eq!(of("10.1.0.1:10911").as_deref(), Some("narrow:1080"));
        assert_eq!(of("[fd00::1]:10911").as_deref(), Some("six:1080"));
        assert_eq!((of("11.0.0.1:1"), of("host:1")), (None, None));
        assert_eq!(proxies.of(&"10.1.0.1:1".into()).unwrap().user, Some(("u".into(), "p".into())));
        assert_eq!(proxies.of(&"[fd00::1]:1".into()).unwrap().user, None);

        let everything = Proxies::from_json(r#"{"0.0.0.0/0": {"addr": "all:1080"}}"#).unwrap();
        for to in ["10.0.0.1:1", "[::1]:1", "host:1"] {
            assert!(everything.of(&to.into()).is_some(), "{to}");
        }
        assert_eq!(Proxies::from_json("{}").unwrap(), Proxies::none());
        let text = alloc::format!("{:?}", Proxies::all(SocksProxy::new("a:1").user("me", "secret")));
        assert!(text.contains("me") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn maps_that_make_no_sense_say_so_and_keep_secrets() {
        for bad in [
            "",
            "[]",
            r#"{"10.0.0.0/8": {}}"#,
            r#"{"ten": {"addr": "a:1"}}"#,
            r#"{"10.0.0.0/8": {"addr": "a"}}"#,
            r#"{"10.0.0.0/8": {"addr": "a:1", "username": "u"}}"#,
            r#"{"10.0.0.0/8": {"addr": "a:1", "username": "u", "password": 5, "x": "tell nobody"}}"#,
        ] {
            let error = Proxies::from_json(bad).unwrap_err().to_string();
            assert!(!error.contains("tell nobody"), "{error}");
        }
        let long = SocksProxy::new("a:1").user("u", "x".repeat(256));
        assert!(matches!(Proxies::all(long).check(), Err(ConfigError::Proxy(_))));
    }
}
