//! Networks of addresses.

use core::fmt;
use core::net::IpAddr;

use crate::ids::Endpoint;

/// The addresses that begin alike, as `10.0.0.0/8`. An address of IPv4 that is written as one of IPv6 counts as what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    ip: IpAddr,
    prefix: u8,
}

impl Network {
    /// The addresses that have their first `prefix` bits in common with this one; `None` when it has fewer.
    #[must_use]
    pub const fn new(ip: IpAddr, prefix: u8) -> Option<Self> {
        if prefix > width(ip) { None } else { Some(Self { ip, prefix }) }
    }

    /// Reads `10.0.0.0/8`, or one address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('/') {
            Some((ip, prefix)) => Self::new(ip.parse().ok()?, prefix.parse().ok()?),
            None => {
                let ip: IpAddr = text.parse().ok()?;
                Self::new(ip, width(ip))
            }
        }
    }

    /// Whether an address is among them.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let differing = match (self.ip, ip) {
            (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
            (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        differing >= u32::from(self.prefix)
    }

    /// How many first bits are alike: 0 is every address of its kind.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

const fn width(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Host and port of an endpoint; an address of IPv6 loses its brackets.
pub(crate) fn parts(endpoint: &Endpoint) -> Option<(&str, u16)> {
    let (host, port) = endpoint.as_str().rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((bare, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_begins_alike() {
        let holds = |network: &str, ip: &str| Network::parse(network).unwrap().contains(ip.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.3.4") && !holds("10.0.0.0/8", "11.0.0.0"));
        assert!(holds("10.1.2.3/31", "10.1.2.2") && !holds("10.1.2.3/31", "10.1.2.4"));
        assert!(holds("10.1.2.3", "10.1.2.3") && !holds("10.1.2.3", "10.1.2.2"));
        assert!(holds("0.0.0.0/0", "255.255.255.255") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("fe80::/10", "febf::1") && !holds("fe80::/10", "fec0::1"));
        assert!(holds("::/0", "::1") && !holds("::/0", "10.0.0.1"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.1.1"), "what is written otherwise is still what it is");
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "host", "10.0.0.0/8/8"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn endpoints_have_host_and_port() {
        let of = |text: &str| parts(&text.into()).map(|(host, port)| alloc::format!("{host} {port}"));
        assert_eq!(of("host:1").as_deref(), Some("host 1"));
        assert_eq!(of("[::1]:2").as_deref(), Some("::1 2"));
        assert_eq!(of("host"), None);
        assert_eq!(of("host:x"), None);
    }
}
