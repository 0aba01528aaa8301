//! The models on loopback sockets: a cluster inside the process of a test.

mod server;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rocketmq_core::time::Instant;

use self::server::{Command, Server};
use super::composition::{Cluster, Node};
use super::config::BrokerConfig;
use super::oracle::{Member, StoredView};

/// What an embedded cluster consists of.
#[derive(Clone, Debug)]
pub struct Builder {
    name_servers: usize,
    brokers: usize,
    config: BrokerConfig,
    topics: Vec<(String, i32)>,
}

impl Default for Builder {
    fn default() -> Self {
        Self { name_servers: 1, brokers: 1, config: BrokerConfig::default(), topics: Vec::new() }
    }
}

impl Builder {
    /// How many name servers; one by default.
    #[must_use]
    pub fn name_servers(self, name_servers: usize) -> Self {
        Self { name_servers, ..self }
    }

    /// How many brokers, `broker-a`, `broker-b`, …; one by default.
    #[must_use]
    pub fn brokers(self, brokers: usize) -> Self {
        Self { brokers, ..self }
    }

    /// The settings of every broker; name and address are overwritten.
    #[must_use]
    pub fn config(self, config: BrokerConfig) -> Self {
        Self { config, ..self }
    }

    /// The delays of the levels from 1, for tests that cannot wait for the real ones.
    #[must_use]
    pub fn delay_levels(mut self, levels: impl IntoIterator<Item = Duration>) -> Self {
        self.config.delay_levels = levels.into_iter().collect();
        self
    }

    /// A topic that exists from the start, with so many queues on every broker.
    #[must_use]
    pub fn topic(mut self, name: &str, queues: i32) -> Self {
        self.topics.push((name.to_owned(), queues));
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// A socket or the thread cannot be had.
    pub fn start(self) -> io::Result<EmbeddedCluster> {
        let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let name_servers = (0..self.name_servers).map(bind).collect::<io::Result<Vec<_>>>()?;
        let brokers = (0..self.brokers).map(bind).collect::<io::Result<Vec<_>>>()?;
        let addresses =
            |listeners: &[TcpListener]| listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>();
        let (name_server_addresses, broker_addresses) = (addresses(&name_servers)?, addresses(&brokers)?);
        let configs = broker_addresses.iter().enumerate().map(|(index, address)| BrokerConfig {
            name: broker_name(index),
            address: *address,
            seed: self.config.seed.wrapping_add(u64::try_from(index).unwrap_or(0)),
            ..self.config.clone()
        });
        let mut cluster = Cluster::new(self.name_servers, configs.collect(), Instant::ZERO);
        self.topics.iter().for_each(|(topic, queues)| cluster.put_topic(topic, *queues));
        let listeners = (0..).map(Node::NameServer).zip(name_servers).chain((0..).map(Node::Broker).zip(brokers));
        let listeners: Vec<_> = listeners.collect();
        let (commands, inbox) = smol::channel::unbounded();
        let thread = std::thread::Builder::new().name("embedded-rocketmq".into());
        let thread = thread.spawn(move || Server::run(cluster, listeners, inbox))?;
        Ok(EmbeddedCluster { name_server_addresses, broker_addresses, commands, thread: Some(thread) })
    }
}

/// A running cluster on ephemeral ports of the loopback interface; it ends when it is dropped.
///
/// Its methods block the caller for the moment that the cluster's own thread needs to answer.
#[derive(Debug)]
pub struct EmbeddedCluster {
    name_server_addresses: Vec<SocketAddr>,
    broker_addresses: Vec<SocketAddr>,
    commands: smol::channel::Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedCluster {
    /// Chooses what to start.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts one name server and one broker.
    ///
    /// # Errors
    /// A socket or the thread cannot be had.
    pub fn start() -> io::Result<Self> {
        Builder::default().start()
    }

    /// The addresses of the name servers, separated by `;` as clients take them.
    #[must_use]
    pub fn namesrv(&self) -> String {
        self.name_server_addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(";")
    }

    /// The address of a broker.
    #[must_use]
    pub fn broker_address(&self, index: usize) -> SocketAddr {
        self.broker_addresses[index]
    }

    /// Creates a topic with so many queues on every broker, or changes it.
    pub fn topic(&self, name: &str, queues: i32) {
        let name = name.to_owned();
        self.with(move |cluster| cluster.put_topic(&name, queues));
    }

    /// The committed offsets of a group: (topic, broker, queue) → offset.
    #[must_use]
    pub fn committed(&self, group: &str) -> BTreeMap<(String, String, i32), i64> {
        let group = group.to_owned();
        self.with(move |cluster| cluster.committed(&group))
    }

    /// The messages of a topic on all brokers.
    #[must_use]
    pub fn stored(&self, topic: &str) -> Vec<StoredView> {
        let topic = topic.to_owned();
        self.with(move |cluster| cluster.stored(&topic).collect())
    }

    /// The members of a group, as each broker knows them.
    #[must_use]
    pub fn members(&self, group: &str) -> Vec<Vec<Member>> {
        let group = group.to_owned();
        self.with(move |cluster| cluster.brokers().map(|broker| broker.members(&group)).collect())
    }

    /// Looks at the models or changes them.
    ///
    /// # Panics
    /// A model panicked before.
    pub fn with<R: Send + 'static>(&self, work: impl FnOnce(&mut Cluster) -> R + Send + 'static) -> R {
        let (reply, answer) = mpsc::channel();
        let work = move |cluster: &mut Cluster| drop(reply.send(work(cluster)));
        self.command(Command::With(Box::new(work)));
        answer.recv().expect("the cluster's thread serves until its handle is dropped")
    }

    /// Ends a broker: its connections break, its port refuses, what it had only in memory is lost.
    ///
    /// # Errors
    /// Never for a broker that exists.
    pub fn stop_broker(&self, index: usize) -> io::Result<()> {
        self.switch(Node::Broker(index), false)
    }

    /// Starts a stopped broker on its port again, with its log and its committed offsets.
    ///
    /// # Errors
    /// The port was taken meanwhile.
    pub fn start_broker(&self, index: usize) -> io::Result<()> {
        self.switch(Node::Broker(index), true)
    }

    /// Ends a name server.
    ///
    /// # Errors
    /// Never for a name server that exists.
    pub fn stop_name_server(&self, index: usize) -> io::Result<()> {
        self.switch(Node::NameServer(index), false)
    }

    /// Starts a stopped name server on its port again; the brokers register at once.
    ///
    /// # Errors
    /// The port was taken meanwhile.
    pub fn start_name_server(&self, index: usize) -> io::Result<()> {
        self.switch(Node::NameServer(index), true)
    }

    /// Ends the cluster and waits for its thread.
    pub fn stop(self) {}

    fn switch(&self, node: Node, up: bool) -> io::Result<()> {
        let (reply, answer) = mpsc::channel();
        let address = match node {
            Node::NameServer(index) => self.name_server_addresses[index],
            Node::Broker(index) => self.broker_addresses[index],
        };
        self.command(Command::Switch { node, address, up, reply });
        answer.recv().expect("the cluster's thread serves until its handle is dropped")
    }

    fn command(&self, command: Command) {
        self.commands.try_send(command).expect("the cluster's thread serves until its handle is dropped");
    }
}

impl Drop for EmbeddedCluster {
    fn drop(&mut self) {
        self.commands.close();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn broker_name(index: usize) -> String {
    match u8::try_from(index) {
        Ok(index @ 0..26) => format!("broker-{}", char::from(b'a' + index)),
        _ => format!("broker-{index}"),
    }
}
