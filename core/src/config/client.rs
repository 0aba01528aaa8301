//! The client as a whole.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::{AddressRules, ConfigError, DiscoveryConfig, LinkConfig, ServerPolicy, TraceConfig, check_topic};
use crate::ids::{ClientId, Endpoint, Topic};
use crate::namespace::Namespace;
use crate::wire::Codec;

/// Configuration shared by every producer and consumer of a client.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The name servers.
    pub name_servers: Vec<Endpoint>,
    /// Who tells what name servers there are, if somebody does; those given here are asked until then.
    pub discovery: Option<DiscoveryConfig>,
    /// Which of the addresses that servers tell may be connected.
    pub addresses: AddressRules,
    /// The id this client goes by at brokers, `ip@instance`.
    pub client_id: ClientId,
    /// The header codec of requests.
    pub codec: Codec,
    /// Every link.
    pub link: LinkConfig,
    /// How often routes are refreshed. Java `pollNameServerInterval`: 30 s.
    pub route_interval: Duration,
    /// How often brokers hear from us. Java `heartbeatBrokerInterval`: 30 s; brokers forget a client after 120 s.
    pub heartbeat_interval: Duration,
    /// Whether heartbeats leave subscriptions out where the broker says that it knows them. Java `useHeartbeatV2`: no.
    pub light_heartbeats: bool,
    /// Whether messages are sent to the port two below that of the broker, which brokers keep free of pulls. Java
    /// `vipChannelEnabled`: no.
    pub vip_channel: bool,
    /// How often groups are rebalanced without a reason. Java `rocketmq.client.rebalance.waitInterval`: 20 s.
    pub rebalance_interval: Duration,
    /// How often offsets are committed. Java `persistConsumerOffsetInterval`: 5 s.
    pub commit_interval: Duration,
    /// Routes, heartbeats, member lists, leaving. Java `mqClientApiTimeout`: 3 s.
    pub request_timeout: Duration,
    /// A name server that has not answered for so long gets company: the next one is asked too.
    pub name_server_hedge: Duration,
    /// Between the first connects to two name servers.
    pub name_server_stagger: Duration,
    /// How long `connect` may wait for the first name server.
    pub open_timeout: Duration,
    /// The topic whose queues are the template of topics that do not exist. Java `createTopicKey`: TBW102.
    pub template_topic: Topic,
    /// Queues of a topic made from the template, at most. Java `defaultTopicQueueNums`: 4.
    pub template_queues: i32,
    /// Bytes that all consumers of the client may pin between pull and settlement. Above, only queues of which nothing is
    /// in hand are pulled, so that no consumer can starve another.
    pub cache_bytes: u64,
    /// The folder below which broadcasting groups keep their offsets, each in `GROUP/offsets.json`.
    ///
    /// Java's is `$HOME/.rocketmq_offsets/IP@INSTANCE`. It must be the same one after a restart, and no other process
    /// may use it for the same group at the same time.
    pub offset_dir: Option<String>,
    /// What servers may ask of this client.
    pub server_policy: ServerPolicy,
    /// The namespace that the names of topics and groups are in, if any.
    pub namespace: Option<Namespace>,
    /// How producers and consumers trace that do not say so themselves.
    pub trace: Option<TraceConfig>,
}

impl ClientConfig {
    /// The defaults, for these name servers and this id.
    #[must_use]
    pub fn new(name_servers: Vec<Endpoint>, client_id: ClientId) -> Self {
        Self {
            name_servers,
            discovery: None,
            addresses: AddressRules::default(),
            client_id,
            codec: Codec::Json,
            link: LinkConfig::default(),
            route_interval: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(30),
            light_heartbeats: false,
            vip_channel: false,
            rebalance_interval: Duration::from_secs(20),
            commit_interval: Duration::from_secs(5),
            request_timeout: Duration::from_secs(3),
            name_server_hedge: Duration::from_millis(500),
            name_server_stagger: Duration::from_millis(250),
            open_timeout: Duration::from_secs(3),
            template_topic: Topic::from("TBW102"),
            template_queues: 4,
            cache_bytes: 512 * 1024 * 1024,
            offset_dir: None,
            server_policy: ServerPolicy::default(),
            namespace: None,
            trace: None,
        }
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        match &self.discovery {
            Some(discovery) => discovery.check()?,
            None if self.name_servers.is_empty() => return Err(ConfigError::NoNameServer),
            None => {}
        }
        for server in &self.name_servers {
            check_endpoint(server)?;
        }
        if self.cache_bytes == 0 {
            return Err(ConfigError::Range { name: "cache_bytes", least: 1, most: u64::MAX });
        }
        let times = [
            ("route_interval (ms)", self.route_interval),
            ("heartbeat_interval (ms)", self.heartbeat_interval),
            ("rebalance_interval (ms)", self.rebalance_interval),
            ("commit_interval (ms)", self.commit_interval),
            ("request_timeout (ms)", self.request_timeout),
        ];
        if let Some((name, _)) = times.into_iter().find(|(_, time)| *time < MIN_TIME) {
            return Err(ConfigError::Range { name, least: 1, most: u64::MAX });
        }
        check_topic(&self.template_topic)?;
        if self.template_queues < 1 {
            return Err(ConfigError::Range { name: "template_queues", least: 1, most: MAX_QUEUES });
        }
        self.link.proxies.check()?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.link.tls {
            tls.check()?;
        }
        self.trace.as_ref().map_or(Ok(()), TraceConfig::check)
    }
}

/// Splits a name-server list as users write it: `host:port;host:port`, with `,` and white space tolerated.
#[must_use]
pub fn parse_name_servers(text: &str) -> Vec<Endpoint> {
    let parts = text.split([';', ',']).map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| Endpoint::from(part.rsplit('/').next().unwrap_or(part).trim_start())).collect()
}

pub(crate) fn check_endpoint(endpoint: &Endpoint) -> Result<(), ConfigError> {
    let text = endpoint.as_str();
    let valid = text.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) && (bracketed || !host.contains(':'))
    });
    if valid { Ok(()) } else { Err(ConfigError::Endpoint(String::from(text))) }
}

/// The least time between two rounds of anything: without a pause between them nothing else would be done.
const MIN_TIME: Duration = Duration::from_millis(1);
/// What a number of queues can say on the wire.
const MAX_QUEUES: u64 = i32::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_server_lists_are_read_as_java_reads_them() {
        let parsed = parse_name_servers(" a:9876; http://b:1 ;; http:// c:2,[::1]:9876,");
        let texts: Vec<_> = parsed.iter().map(Endpoint::as_str).collect();
        assert_eq!(texts, ["a:9876", "b:1", "c:2", "[::1]:9876"]);
    }

    #[test]
    fn each_broken_rule_has_its_error() {
        let config = |servers: &str| ClientConfig::new(parse_name_servers(servers), "c".into());
        assert_eq!(config("").check(), Err(ConfigError::NoNameServer));
        for bad in ["localhost", "a:0", "a:70000", ":9876", "::1:9876"] {
            assert_eq!(config(bad).check(), Err(ConfigError::Endpoint(bad.into())), "{bad}");
        }
        assert_eq!(config("a:9876;[::1]:1").check(), Ok(()));
        let no_cache = ClientConfig { cache_bytes: 0, ..config("a:9876") };
        let least = ConfigError::Range { name: "cache_bytes", least: 1, most: u64::MAX };
        assert_eq!(no_cache.check(), Err(least));
        let instant = |change: fn(&mut ClientConfig, Duration)| {
            let mut config = config("a:9876");
            change(&mut config, Duration::from_micros(999));
            let error = config.check();
            change(&mut config, Duration::from_millis(1));
            (error, config.check())
        };
        let least = |name| (Err(ConfigError::Range { name, least: 1, most: u64::MAX }), Ok(()));
        assert_eq!(instant(|c, time| c.route_interval = time), least("route_interval (ms)"));
        assert_eq!(instant(|c, time| c.heartbeat_interval = time), least("heartbeat_interval (ms)"));
        assert_eq!(instant(|c, time| c.rebalance_interval = time), least("rebalance_interval (ms)"));
        assert_eq!(instant(|c, time| c.commit_interval = time), least("commit_interval (ms)"));
        assert_eq!(instant(|c, time| c.request_timeout = time), least("request_timeout (ms)"));
        let no_name = ClientConfig { template_topic: "a/b".into(), ..config("a:9876") };
        assert_eq!(no_name.check(), Err(ConfigError::Topic("a/b".into())));
        let no_queue = ClientConfig { template_queues: 0, ..config("a:9876") };
        let least = ConfigError::Range { name: "template_queues", least: 1, most: 2_147_483_647 };
        assert_eq!(no_queue.check(), Err(least));
        let no_batch = TraceConfig { batch: 0, ..TraceConfig::default() };
        assert!(ClientConfig { trace: Some(no_batch), ..config("a:9876") }.check().is_err());
    }
}
