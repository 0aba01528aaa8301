//! The client.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use super::producer::before;
use super::{Admin, ProducerBuilder, PushConsumerBuilder, TransactionProducerBuilder};
use crate::client::{ClientMachine, Command, CommandResult, Input, Unavailable};
use crate::config::{
    AddressRules, CLIENT_NAME, ClientConfig, ConfigError, DiscoveryConfig, LinkConfig, NAMESRV_ADDR, Proxies,
    ROCKETMQ_ZONE, ROCKETMQ_ZONE_MODE, ServerPolicy, TraceConfig, check_endpoint, parse_name_servers,
};
use crate::driver::client_task;
use crate::driver::dial::Dialer;
use crate::driver::events::EventStream;
use crate::driver::inbox::Mail;
use crate::driver::queue::Load;
use crate::driver::runtime::{ClockOf, Runtime};
use crate::driver::shared::Shared;
use crate::ids::{ClientId, ConnId, Endpoint, Group, Topic};
use crate::mutants::mutant;
use crate::namespace::Namespace;
use crate::time::Instant;
use crate::wire::Codec;
use crate::wire::message::UniqueKeys;

/// A connection to a cluster, shared by any number of producers and consumers. Clones are the same client.
///
/// Dropping the last handle, producers and consumers included, closes it within a second.
#[derive(Clone)]
pub struct Client {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    #[cfg(feature = "acl")]
    pub(super) credentials: Arc<super::credentials::CredentialCell>,
}

/// Configures a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    name_servers: Option<Vec<Endpoint>>,
    allowed: Option<Vec<String>>,
    client_ip: Option<IpAddr>,
    instance_name: Option<String>,
    codec: Option<Codec>,
    namespace: Option<Option<Namespace>>,
    unit_name: Option<String>,
    stream: bool,
    zone: Option<(String, String)>,
    offset_dir: Option<String>,
    lazy: bool,
    pub(super) config: ClientConfig,
}

impl ClientBuilder {
    /// The defaults: name servers from the environment variable `NAMESRV_ADDR`.
    #[must_use]
    pub fn new() -> Self {
        let config = ClientConfig::new(Vec::new(), ClientId::from(""));
        Self {
            name_servers: None,
            allowed: None,
            client_ip: None,
            instance_name: None,
            codec: None,
            namespace: None,
            unit_name: None,
            stream: false,
            zone: None,
            offset_dir: None,
            lazy: false,
            config,
        }
    }

    /// The name servers, as `host:port;host:port`.
    #[must_use]
    pub fn name_servers(mut self, list: impl AsRef<str>) -> Self {
        self.name_servers = Some(parse_name_servers(list.as_ref()));
        self
    }

    /// Who tells by HTTP what name servers there are, now and later. Those that are given beside are asked until then.
    /// Default: nobody; where no name servers are given either, neither here nor by `NAMESRV_ADDR`, the environment
    /// variables `rocketmq.namesrv.domain` and `rocketmq.namesrv.domain.subgroup`.
    #[must_use]
    pub fn discovery(mut self, discovery: DiscoveryConfig) -> Self {
        self.config.discovery = Some(discovery);
        self
    }

    /// Which of the addresses that name servers and discovery tell may be connected, as networks (`10.0.0.0/8`), addresses
    /// and host names, with a port or without. Default: all but link-local ones and those of metadata services. See
    /// [`AddressRules`].
    #[must_use]
    pub fn allow_addresses<T: AsRef<str>>(mut self, list: impl IntoIterator<Item = T>) -> Self {
        self.allowed = Some(list.into_iter().map(|text| String::from(text.as_ref())).collect());
        self
    }

    /// The proxies through which servers are reached. Default: none.
    #[must_use]
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.config.link.proxies = proxies;
        self
    }

    /// The address this client goes by. Default: that of the host.
    #[must_use]
    pub const fn client_ip(mut self, ip: IpAddr) -> Self {
        self.client_ip = Some(ip);
        self
    }

    /// The name that tells clients of one host apart. Default: the environment variable `rocketmq.client.name`, else the
    /// process id and a random number, which cannot clash even where containers share addresses and process ids.
    #[must_use]
    pub fn instance_name(mut self, name: impl Into<String>) -> Self {
        self.instance_name = Some(name.into());
        self
    }

    /// The unit this client belongs to, where a company runs several of the same: a part of the client id, and of what is
    /// asked for by [`ClientBuilder::discovery`]. Java `unitName`.
    #[must_use]
    pub fn unit_name(mut self, name: impl Into<String>) -> Self {
        self.unit_name = Some(name.into());
        self
    }

    /// Tells servers that this client reads streams, as Java's lite pull consumers do: the client id ends with `@STREAM`,
    /// and requests carry `ReqT`. Java `enableStreamRequestType`.
    #[must_use]
    pub const fn stream_requests(mut self) -> Self {
        self.stream = true;
        self
    }

    /// The namespace that the names of topics and groups are in, as brokers know them: `N%t` is topic `t` of namespace `N`.
    /// Producers and consumers of this client know them without it, but for queues, events and [`Admin`], which say what
    /// brokers say. Java `namespace`. Default: that of the first name server's address, as cloud instances have it
    /// (`MQ_INST_x_y.host`), else none; an empty name is none.
    #[must_use]
    pub fn namespace(mut self, namespace: impl AsRef<str>) -> Self {
        self.namespace = Some(Namespace::new(namespace.as_ref()));
        self
    }

    /// The namespace that brokers, or proxies before them, put the names of all requests in: names stay as they are, and
    /// requests say where they belong. Java `namespaceV2`.
    #[must_use]
    pub fn namespace_v2(self, namespace: impl Into<String>) -> Self {
        self.request_field("nsd", "true").request_field("ns", namespace)
    }

    /// The zone this client is in, and its mode: name servers that know zones give the brokers of that zone. Default: the
    /// environment variables `ROCKETMQ_ZONE` and `ROCKETMQ_ZONE_MODE`, else none.
    #[must_use]
    pub fn zone(mut self, name: impl Into<String>, mode: impl Into<String>) -> Self {
        self.zone = Some((name.into(), mode.into()));
        self
    }

    /// A field that every request carries beside its own, signed like them. Of one name the last counts, and it takes the
    /// place of what the request itself would say.
    #[must_use]
    pub fn request_field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.config.link.request_fields.retain(|(known, _)| *known != name);
        self.config.link.request_fields.push((name, value.into()));
        self
    }

    /// The header codec of requests. Default: what the environment variable `ROCKETMQ_SERIALIZE_TYPE` says, `JSON` or
    /// `ROCKETMQ`, else JSON.
    #[must_use]
    pub const fn codec(mut self, codec: Codec) -> Self {
        self.codec = Some(codec);
        self
    }

    /// Bounds and times of links. What it does not say of proxies, credentials and encryption stays as it was said before.
    #[must_use]
    pub fn link(mut self, mut link: LinkConfig) -> Self {
        link.request_fields.splice(0..0, self.config.link.request_fields);
        if link.proxies == Proxies::default() {
            link.proxies = self.config.link.proxies;
        }
        #[cfg(feature = "acl")]
        {
            link.credentials = link.credentials.or(self.config.link.credentials);
        }
        #[cfg(feature = "tls")]
        {
            link.tls = link.tls.or(self.config.link.tls);
        }
        self.config.link = link;
        self
    }

    /// Encrypts all links, to name servers and brokers alike. Default: they are not.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: crate::config::TlsConfig) -> Self {
        self.config.link.tls = Some(tls);
        self
    }

    /// How often routes are refreshed, 1 ms at least; besides, they are when a link breaks. Java `pollNameServerInterval`.
    /// Default: 30 s.
    #[must_use]
    pub const fn route_interval(mut self, interval: Duration) -> Self {
        self.config.route_interval = interval;
        self
    }

    /// How long servers have to answer what is asked of routes, members, offsets and locks, and to heartbeats, 1 ms at
    /// least; all name servers together, where one is asked after the other. Java `mqClientApiTimeout`. Default: 3 s.
    #[must_use]
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.config.request_timeout = timeout;
        self
    }

    /// The topic after which brokers make topics that do not exist when something is sent to them, as brokers know it. Java
    /// `createTopicKey`. Default: `TBW102`.
    #[must_use]
    pub fn template_topic(mut self, topic: impl Into<Topic>) -> Self {
        self.config.template_topic = topic.into();
        self
    }

    /// Queues of a topic that is made so, 1 at least; the template has a say, too. Java `defaultTopicQueueNums`. Default: 4.
    #[must_use]
    pub const fn template_queues(mut self, queues: i32) -> Self {
        self.config.template_queues = queues;
        self
    }

    /// How often brokers hear from this client, 1 ms at least. Default: 30 s.
    #[must_use]
    pub const fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.config.heartbeat_interval = interval;
        self
    }

    /// Leaves subscriptions out of heartbeats where the broker says that it knows them: less to read for brokers of many
    /// large groups. Brokers from 5.1 do. Java `useHeartbeatV2`. Default: no.
    #[must_use]
    pub const fn light_heartbeats(mut self, light: bool) -> Self {
        self.config.light_heartbeats = light;
        self
    }

    /// Sends messages to the port two below that of each broker, which brokers keep free of pulls. Java
    /// `vipChannelEnabled`. Default: no.
    #[must_use]
    pub const fn vip_channel(mut self, vip: bool) -> Self {
        self.config.vip_channel = vip;
        self
    }

    /// How often groups share out their queues anew without a reason, 1 ms at least. Java
    /// `rocketmq.client.rebalance.waitInterval`. Default: 20 s.
    #[must_use]
    pub const fn rebalance_interval(mut self, interval: Duration) -> Self {
        self.config.rebalance_interval = interval;
        self
    }

    /// How often offsets are committed, 1 ms at least. Default: 5 s.
    #[must_use]
    pub const fn commit_interval(mut self, interval: Duration) -> Self {
        self.config.commit_interval = interval;
        self
    }

    /// Bytes that all consumers of this client may have in hand, pulled and not settled. Above, only queues of which
    /// nothing is in hand are pulled. Default: 512 MiB.
    #[must_use]
    pub const fn cache_bytes(mut self, bytes: u64) -> Self {
        self.config.cache_bytes = bytes;
        self
    }

    /// The folder below which broadcasting groups keep their offsets, as `IP@INSTANCE/GROUP/offsets.json`, where
    /// `INSTANCE` is the instance name that was set, else `DEFAULT`: it is to be found again after a restart, which the
    /// client id with its random number would not be. Java's clients use the same file.
    ///
    /// Two members of a group on one host need an instance name each, or a file each: see
    /// [`PushConsumerBuilder::offset_file`]. So does a member whose address changes.
    ///
    /// Default: the environment variable `rocketmq.client.localOffsetStoreDir`, else `.rocketmq_offsets` in the home
    /// directory.
    #[must_use]
    pub fn offset_dir(mut self, folder: impl Into<String>) -> Self {
        self.offset_dir = Some(folder.into());
        self
    }

    /// What servers may ask of this client. Default: what operators' tools need, but for having messages consumed.
    #[must_use]
    pub const fn server_policy(mut self, policy: ServerPolicy) -> Self {
        self.config.server_policy = policy;
        self
    }

    /// How its producers and consumers trace their messages, unless they say so themselves: see
    /// [`ProducerBuilder::trace`]. Default: they do not.
    #[must_use]
    pub fn trace(mut self, trace: impl Into<Option<TraceConfig>>) -> Self {
        self.config.trace = trace.into();
        self
    }

    /// Does not wait for a name server: what needs one waits itself.
    #[must_use]
    pub const fn lazy(mut self) -> Self {
        self.lazy = true;
        self
    }

    /// Starts the client on a runtime; done when one name server is up.
    ///
    /// # Errors
    /// The configuration breaks a rule, or no name server can be reached in 3 s.
    pub async fn connect_on<R: Runtime>(self, rt: &R) -> Result<Client, ConnectError> {
        let lazy = self.lazy;
        let client = self.start_on(rt)?;
        if lazy {
            return Ok(client);
        }
        let CommandResult::Opened(result) = client.inner.shared.call(Command::Open).await else {
            return Err(ConnectError::Closed);
        };
        if mutant!(14) {
            core::mem::forget(client.clone());
        }
        result?;
        Ok(client)
    }

    fn start_on<R: Runtime>(self, rt: &R) -> Result<Client, ConnectError> {
        let host = rt.host();
        let mut config = self.config;
        let from_env = || host.env(NAMESRV_ADDR).map(parse_name_servers).unwrap_or_default();
        config.name_servers = self.name_servers.unwrap_or_else(from_env);
        if config.name_servers.is_empty() && config.discovery.is_none() {
            config.discovery = host.discovery();
        }
        config.discovery = config.discovery.map(|found| found.or_unit(self.unit_name.as_ref()));
        if let Some(allowed) = self.allowed {
            config.addresses = AddressRules::only(allowed)?;
        }
        config.codec = match self.codec {
            Some(codec) => codec,
            None => host.codec()?.unwrap_or_default(),
        };
        config.check()?;
        let of_server = || config.name_servers.first().and_then(Namespace::of_name_server);
        config.namespace = self.namespace.unwrap_or_else(of_server);
        let ip = self.client_ip.unwrap_or(host.ip);
        let seed = rt.entropy();
        let nonce = u32::try_from(seed >> 32).unwrap_or_default();
        let named = self.instance_name.or_else(|| host.env(CLIENT_NAME).map(String::from));
        let stable = named.clone().unwrap_or_else(|| String::from(STABLE_INSTANCE));
        let instance = named.unwrap_or_else(|| alloc::format!("{}#{nonce:08x}", host.pid));
        let ip_text = match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => alloc::format!("[{ip}]"),
        };
        let offset_dir = self.offset_dir.or_else(|| host.offset_store_dir());
        let unit = self.unit_name.map(|unit| alloc::format!("@{unit}")).unwrap_or_default();
        config.offset_dir = offset_dir.map(|folder| alloc::format!("{folder}/{ip_text}@{stable}{unit}"));
        let stream = if self.stream { "@STREAM" } else { "" };
        config.client_id = ClientId::from(alloc::format!("{ip_text}@{instance}{unit}{stream}"));
        let of_env = |name| host.env(name).map(String::from).unwrap_or_default();
        let (zone, mode) = self.zone.unwrap_or_else(|| (of_env(ROCKETMQ_ZONE), of_env(ROCKETMQ_ZONE_MODE)));
        let stream = self.stream.then(|| (String::from(STREAM_FIELD), String::from("0")));
        let zones = [(ZONE_FIELD, zone), (ZONE_MODE_FIELD, mode)].map(|(name, value)| (String::from(name), value));
        let said = zones.into_iter().filter(|(_, value)| !value.is_empty()).chain(stream);
        config.link.request_fields.extend(said);
        #[cfg(feature = "acl")]
        let credentials = super::credentials::CredentialCell::new(config.link.credentials.take());
        #[cfg(feature = "acl")]
        config.link.credentials.replace(crate::acl::SharedProvider::new(credentials.clone()));
        let dialer = Dialer::new(rt, Arc::new(config.link.clone()))?;
        let config = Arc::new(config);
        let clock = Arc::new(ClockOf(rt.clone()));
        let spawn = Box::new({
            let rt = rt.clone();
            move |task| rt.spawn(task)
        });
        let keys = UniqueKeys::new(ip, host.pid, nonce);
        let shared = Arc::new(Shared::new(config.clone(), clock, spawn, keys));
        let machine = ClientMachine::new(config, seed, rt.now(), rt.wall());
        rt.spawn(client_task::run(dialer, machine, shared.clone()));
        let inner = Inner {
            shared,
            #[cfg(feature = "acl")]
            credentials,
        };
        Ok(Client { inner: Arc::new(inner) })
    }
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// Configures a client.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Configures a producer of this group.
    #[must_use]
    pub fn producer(&self, group: impl Into<Group>) -> ProducerBuilder {
        ProducerBuilder::new(self.clone(), self.outer_group(group.into()))
    }

    /// Configures a producer of transactions of this group.
    pub fn transaction_producer(&self, group: impl Into<Group>) -> TransactionProducerBuilder {
        TransactionProducerBuilder::new(self.producer(group))
    }

    /// Configures a push consumer of this group.
    #[must_use]
    pub fn push_consumer(&self, group: impl Into<Group>) -> PushConsumerBuilder {
        PushConsumerBuilder::new(self.clone(), self.outer_group(group.into()))
    }

    /// Administration: topics and offsets.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }

    /// The namespace that its names are in.
    #[must_use]
    pub fn namespace(&self) -> Option<&Namespace> {
        self.inner.shared.config.namespace.as_ref()
    }

    /// A topic as brokers know it.
    pub(super) fn outer_topic(&self, topic: Topic) -> Topic {
        self.namespace().map_or_else(|| topic.clone(), |space| space.topic(&topic))
    }

    fn outer_group(&self, group: Group) -> Group {
        self.namespace().map_or_else(|| group.clone(), |space| space.group(&group))
    }

    /// The name servers that are asked now.
    #[must_use]
    pub fn name_servers(&self) -> Vec<Endpoint> {
        self.inner.shared.name_servers()
    }

    /// Has other name servers asked from now on, as `host:port;host:port`. What is under way goes on with them, and links
    /// to the others are closed. Where [`ClientBuilder::discovery`] tells of yet others, those are next.
    ///
    /// # Errors
    /// The list is empty or malformed; nothing changes.
    pub fn update_name_servers(&self, list: impl AsRef<str>) -> Result<(), ConfigError> {
        let servers = parse_name_servers(list.as_ref());
        if servers.is_empty() {
            return Err(ConfigError::NoNameServer);
        }
        servers.iter().try_for_each(check_endpoint)?;
        self.inner.shared.call(Command::NameServers(servers)).detach();
        Ok(())
    }

    /// What the client does and meets, from now on.
    #[must_use]
    pub fn events(&self) -> EventStream {
        self.inner.shared.events.listen()
    }

    /// What producers have under way on each link that is up: requests that wait for a slot are not among them.
    #[must_use]
    pub fn links(&self) -> Vec<(Endpoint, Load)> {
        let view = self.inner.shared.view();
        let load = |(to, conn): (&Endpoint, &ConnId)| Some((to.clone(), view.submitters.get(conn)?.load()));
        view.routes.links.iter().filter_map(load).collect()
    }

    /// The id this client goes by at brokers.
    #[must_use]
    pub fn client_id(&self) -> ClientId {
        self.inner.shared.config.client_id.clone()
    }

    /// Ends the client in good order: messages that wait for others of their batch are sent, consumers stop, offsets are
    /// committed, groups left, links closed. Takes 30 s at most; more calls wait for the same end.
    pub async fn shutdown(&self) {
        self.shutdown_within(SHUTDOWN_TIMEOUT).await;
    }

    /// The same, within this time.
    pub async fn shutdown_within(&self, timeout: Duration) {
        let shared = &self.inner.shared;
        let now = shared.clock.now();
        let deadline = now.after(timeout);
        let batches = shared.gather();
        if batches.is_empty() {
            shared.shutdown(deadline);
        } else {
            // The rest of the time is for what comes after that.
            let patience = now.after(timeout.checked_div(GATHER_SHARE).unwrap_or_default());
            let shared = shared.clone();
            // The end comes also when nobody waits for it any more.
            self.inner.shared.spawn(async move {
                for batch in batches {
                    if before(&shared, patience, batch).await.is_none() {
                        break;
                    }
                }
                shared.shutdown(deadline);
            });
        }
        self.inner.shared.ended().await;
    }
}

impl Shared {
    fn shutdown(&self, deadline: Instant) {
        self.inbox.post([Mail::Input(Input::Shutdown { deadline })]);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.shutdown(self.shared.clock.now().after(DROP_TIMEOUT));
    }
}

impl core::fmt::Debug for Client {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Client").field("client_id", &self.inner.shared.config.client_id).finish_non_exhaustive()
    }
}

/// A client that did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The configuration breaks a rule.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No name server can be reached.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// There is no runtime to run on.
    #[error("{0}")]
    Runtime(String),
    /// The runtime ended under the client.
    #[error("closed")]
    Closed,
}

/// What requests of stream readers carry. Java `MixAll.REQ_T`, of which 0 is the stream.
const STREAM_FIELD: &str = "ReqT";
/// What requests from a zone carry. Java `MixAll.ZONE_NAME`, `ZONE_MODE`.
const ZONE_FIELD: &str = "__ZONE_NAME";
const ZONE_MODE_FIELD: &str = "__ZONE_MODE";
/// The instance of offsets in broadcasting when none is named. Java keeps `rocketmq.client.name`'s default there.
const STABLE_INSTANCE: &str = "DEFAULT";
/// How long shutdown takes at most.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);
/// The same when the last handle was dropped.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);
/// Of the time to shut down, this share is for sending what was put together.
const GATHER_SHARE: u32 = 2;
