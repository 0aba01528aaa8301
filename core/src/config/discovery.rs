//! Where the list of name servers is asked for.

use alloc::string::String;

use super::ConfigError;
use super::client::check_endpoint;
use crate::ids::Endpoint;
use crate::wire::http;

/// A server that tells by HTTP which name servers there are: at start, after 10 s, and every 120 s. What it says replaces
/// the list; while it says nothing that makes sense, the list stays. Source: Java `DefaultTopAddressing`.
///
/// HTTP is neither encrypted nor signed: whoever is on the way can name servers of his own. Where links are encrypted, such
/// servers are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryConfig {
    domain: String,
    subgroup: String,
    unit: Option<String>,
}

impl DiscoveryConfig {
    /// At this host, at port 8080 unless it comes with one. Java: `rocketmq.namesrv.domain`.
    #[must_use]
    pub fn new(domain: impl Into<String>) -> Self {
        Self { domain: domain.into(), subgroup: String::from("nsaddr"), unit: None }
    }

    /// The last part of the path. Default: `nsaddr`. Java: `rocketmq.namesrv.domain.subgroup`.
    #[must_use]
    pub fn subgroup(mut self, subgroup: impl Into<String>) -> Self {
        self.subgroup = subgroup.into();
        self
    }

    /// The unit whose name servers are asked for. Java: `unitName`.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    /// The same for a client of this unit, unless it says itself which.
    #[must_use]
    pub fn or_unit(mut self, unit: Option<&String>) -> Self {
        self.unit = self.unit.or_else(|| unit.cloned());
        self
    }

    /// Who is asked.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        if self.domain.contains(':') {
            Endpoint::from(self.domain.as_str())
        } else {
            Endpoint::from(alloc::format!("{}:8080", self.domain))
        }
    }

    /// For what.
    #[must_use]
    pub fn path(&self) -> String {
        match self.unit.as_deref().map(str::trim) {
            Some(unit) if !unit.is_empty() => alloc::format!("/rocketmq/{}-{unit}?nofix=1", self.subgroup),
            Some(_) | None => alloc::format!("/rocketmq/{}", self.subgroup),
        }
    }

    /// The request.
    pub(crate) fn request(&self) -> alloc::vec::Vec<u8> {
        http::get(self.endpoint().as_str(), &self.path())
    }

    /// Checks that it makes one address and one line of a request.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let endpoint = self.endpoint();
        check_endpoint(&endpoint)?;
        let path = self.path();
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        let valid = !self.subgroup.is_empty() && endpoint.as_str().bytes().chain(path.bytes()).all(plain);
        if valid { Ok(()) } else { Err(ConfigError::Discovery(alloc::format!("http://{endpoint}{path}"))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_those_of_java() {
        let url = |config: DiscoveryConfig| alloc::format!("http://{}{}", config.endpoint(), config.path());
        let names = || DiscoveryConfig::new("names.example");
        assert_eq!(url(names()), "http://names.example:8080/rocketmq/nsaddr");
        assert_eq!(url(DiscoveryConfig::new("names.example:80")), "http://names.example:80/rocketmq/nsaddr");
        assert_eq!(url(DiscoveryConfig::new("[::1]:80")), "http://[::1]:80/rocketmq/nsaddr");
        let unit = names().subgroup("other").unit("u1");
        assert_eq!(url(unit), "http://names.example:8080/rocketmq/other-u1?nofix=1");
        assert_eq!(url(names().unit(" ")), "http://names.example:8080/rocketmq/nsaddr");
    }

    #[test]
    fn a_request_cannot_be_made_two() {
        assert_eq!(DiscoveryConfig::new("a").check(), Ok(()));
        for bad in [
            DiscoveryConfig::new(""),
            DiscoveryConfig::new("a b"),
            DiscoveryConfig::new("a\r\nX: y"),
            DiscoveryConfig::new("a:0"),
            DiscoveryConfig::new("a").subgroup(""),
            DiscoveryConfig::new("a").subgroup("x HTTP/1.1\r\nHost: b\r\n\r\n"),
            DiscoveryConfig::new("a").unit("u\r\n"),
            DiscoveryConfig::new("a").unit("u v"),
        ] {
            let trimmed = bad == DiscoveryConfig::new("a").unit("u\r\n");
            assert_eq!(bad.check().is_ok(), trimmed, "{bad:?}");
        }
    }
}
