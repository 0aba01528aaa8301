//! Which addresses that servers tell may be connected.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use super::ConfigError;
use super::network::{Network, parts};
use crate::ids::Endpoint;

/// Which of the addresses that name servers and discovery tell may be connected: whoever can make a name server say what
/// he likes could otherwise have this client connect to anything it can reach.
///
/// By default all but those that no broker has, and that answer whoever is inside with secrets: link-local ones, at which
/// clouds keep the metadata of hosts. Nor are hosts that look like an address in a form of old, as `0xA9FEA9FE`: where a proxy
/// looks for the address, only he sees which it is. With a list, only what is on it. Name servers that are given by hand
/// need not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRules {
    allowed: Option<Vec<Rule>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Network(Network),
    /// A host as it is written, at this port or any.
    Host(String, Option<u16>),
}

impl AddressRules {
    /// Only these: networks as `10.0.0.0/8`, addresses and host names, with a port or without. A name is compared as it is
    /// written, whatever it resolves to.
    ///
    /// # Errors
    /// One of them is none of that.
    pub fn only<T: AsRef<str>>(list: impl IntoIterator<Item = T>) -> Result<Self, ConfigError> {
        let rules = list.into_iter().map(|text| {
            let text = text.as_ref().trim();
            rule(text).ok_or_else(|| ConfigError::AddressRule(text.to_string()))
        });
        Ok(Self { allowed: Some(rules.collect::<Result<_, _>>()?) })
    }

    /// Whether it may be connected.
    #[must_use]
    pub fn allow(&self, endpoint: &Endpoint) -> bool {
        let Some((host, port)) = parts(endpoint).filter(|(host, _)| is_plain(host)) else { return false };
        let ip: Option<IpAddr> = host.parse().ok();
        match &self.allowed {
            None => ip.map_or_else(|| is_name(host), |ip| !is_link_local(ip)),
            Some(rules) => rules.iter().any(|rule| match rule {
                Rule::Network(network) => ip.is_some_and(|ip| network.contains(ip)),
                Rule::Host(name, at) => {
                    let same = match (ip, name.parse::<IpAddr>().ok()) {
                        (Some(ip), Some(allowed)) => ip.to_canonical() == allowed.to_canonical(),
                        (None, None) => name.eq_ignore_ascii_case(host),
                        (Some(_), None) | (None, Some(_)) => false,
                    };
                    same && at.is_none_or(|at| at == port)
                }
            }),
        }
    }
}

fn rule(text: &str) -> Option<Rule> {
    if let Some(network) = Network::parse(text) {
        return Some(Rule::Network(network));
    }
    let named = |host: &str, port| {
        let is_address = host.parse::<IpAddr>().is_ok();
        (is_address || (is_plain(host) && !host.contains(':'))).then(|| Rule::Host(host.to_string(), port))
    };
    match parts(&text.into()) {
        Some((host, port)) if port > 0 => named(host, Some(port)),
        Some(_) => None,
        None => named(text, None),
    }
}

/// Whether a host is written as hosts are: what is not could be meant for whoever reads logs.
fn is_plain(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'%');
    !host.is_empty() && host.bytes().all(plain)
}

/// Whether a host that is no address is surely none in another form either, nor the name that a cloud has for its metadata.
///
/// What ends in a number is an address for the functions that look names up: `2852039166`, `0xA9FEA9FE`, `169.254.43518`.
/// Source: WHATWG URL, "ends in a number". One with colons has a zone, which link-local ones have only.
fn is_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or(host);
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    };
    !is_number && !host.contains(':') && !host.eq_ignore_ascii_case(METADATA)
}

/// Whether an address is one at which only the host itself, or its cloud, answers: 169.254.0.0/16 (RFC 3927), fe80::/10
/// (RFC 4291), and those of metadata services elsewhere: fd00:ec2::254 of Amazon, 100.100.100.200 of Alibaba.
#[must_use]
pub fn is_link_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_link_local() || ip.octets() == [100, 100, 100, 200],
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254],
    }
}

/// The metadata service of Google.
const METADATA: &str = "metadata.google.internal";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_clouds_keep_their_secrets_nobody_goes_unasked() {
        let rules = AddressRules::default();
        for refused in [
            "169.254.169.254:80",
            "169.254.0.1:10911",
            "[fe80::1]:10911",
            "[fd00:ec2::254]:80",
            "[::ffff:169.254.169.254]:80",
            "100.100.100.200:80",
            "2852039166:80",
            "0xA9FEA9FE:80",
            "0X:80",
            "169.254.43518:80",
            "169.254.169.0xfe:80",
            "0251.0376.0251.0376:80",
            "169.254.169.254.:80",
            ".:80",
            "[fe80::1%eth0]:80",
            "metadata.google.internal:80",
            "Metadata.Google.Internal.:80",
            "nothing",
            "broker\u{1b}[2J:10911",
            "a broker:10911",
        ] {
            assert!(!rules.allow(&refused.into()), "{refused}");
        }
        for allowed in ["10.0.0.1:10911", "127.0.0.1:1", "[::1]:1", "[fd00::1]:10911", "broker:10911", "8.8.8.8:1"] {
            assert!(rules.allow(&allowed.into()), "{allowed}");
        }
        for allowed in ["broker.example.:1", "broker-0:1", "0x.example:1", "10.example:1", "0xbroker:1", "b.0a:1"] {
            assert!(rules.allow(&allowed.into()), "{allowed}");
        }
        let asked = AddressRules::only(["2852039166", "metadata.google.internal:80"]).unwrap();
        assert!(asked.allow(&"2852039166:1".into()) && asked.allow(&"metadata.google.internal:80".into()));
        let asked = AddressRules::only(["169.254.0.0/16"]).unwrap();
        assert!(asked.allow(&"169.254.169.254:80".into()) && !asked.allow(&"10.0.0.1:10911".into()));
    }

    #[test]
    fn with_a_list_nothing_else_is_connected() {
        let list = ["10.0.0.0/8", "192.168.0.1:10911", "Broker.example:10911", "other", "[fd00::1]:10911", "fd01::/16"];
        let rules = AddressRules::only(list).unwrap();
        for allowed in [
            "10.1.2.3:1",
            "192.168.0.1:10911",
            "broker.EXAMPLE:10911",
            "other:5",
            "[fd00::1]:10911",
            "[fd01::9]:1",
            "[::ffff:10.0.0.1]:1",
        ] {
            assert!(rules.allow(&allowed.into()), "{allowed}");
        }
        for refused in [
            "11.0.0.1:1",
            "192.168.0.1:10912",
            "broker.example:1",
            "another:5",
            "broker.example.evil:10911",
            "10.0.0.1.evil:1",
            "[fd00::1]:1",
            "[fd02::9]:1",
            "10.0.0.1",
        ] {
            assert!(!rules.allow(&refused.into()), "{refused}");
        }
        assert!(!AddressRules::only::<&str>([]).unwrap().allow(&"10.0.0.1:1".into()), "an empty list is a list");
        for bad in ["", "10.0.0.0/40", "a b", "host:0", "host:x", ":1", "http://a"] {
            assert_eq!(AddressRules::only([bad]), Err(ConfigError::AddressRule(bad.into())), "{bad}");
        }
    }
}
