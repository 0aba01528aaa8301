//! Name servers and brokers together.

use std::net::SocketAddr;
use std::sync::Arc;

use rocketmq_core::time::{Instant, UnixMillis, Wakeup};
use rocketmq_core::wire::Frame;

use super::broker::Broker;
use super::config::BrokerConfig;
use super::name_server::NameServer;
use super::output::{Output, SessionId};
use super::store::TopicConfig;

/// One server of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// The name server with this index.
    NameServer(usize),
    /// The broker with this index.
    Broker(usize),
}

/// Name servers and brokers; running brokers keep the running name servers informed of their topics.
#[derive(Debug)]
pub struct Cluster {
    name_servers: Vec<(NameServer, bool)>,
    brokers: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    broker: Broker,
    up: bool,
    announced: u64,
}

impl Cluster {
    /// A cluster with all its servers running; the name servers are of the release of the first broker.
    #[must_use]
    pub fn new(name_servers: usize, brokers: Vec<BrokerConfig>, now: Instant) -> Self {
        let slot = |cfg| Slot { broker: Broker::new(cfg, now), up: true, announced: 0 };
        let release = brokers.first().map(|cfg| (cfg.version, cfg.reply_codec));
        let name_server =
            || release.map_or_else(NameServer::default, |(version, codec)| NameServer::new(version, codec));
        let name_servers = (0..name_servers).map(|_| (name_server(), true)).collect();
        let mut cluster = Self { name_servers, brokers: brokers.into_iter().map(slot).collect() };
        cluster.announce();
        cluster
    }

    /// A session to a server was opened from `peer`; one that is stopped takes none.
    pub fn connected(&mut self, node: Node, session: SessionId, peer: SocketAddr) {
        if let Node::Broker(index) = node
            && self.brokers[index].up
        {
            self.brokers[index].broker.connected(session, peer);
        }
    }

    /// A session was closed by the client or the network.
    pub fn closed(&mut self, node: Node, session: SessionId) {
        if let Node::Broker(index) = node {
            self.brokers[index].broker.closed(session);
        }
    }

    /// A frame arrived at a server; one that is stopped does not hear it.
    pub fn handle(&mut self, now: Instant, wall: UnixMillis, node: Node, session: SessionId, frame: Frame) {
        match node {
            Node::NameServer(index) => {
                let (server, up) = &mut self.name_servers[index];
                if *up {
                    server.handle(session, &frame);
                }
            }
            Node::Broker(index) => {
                let slot = &mut self.brokers[index];
                if slot.up {
                    slot.broker.handle(now, wall, session, frame);
                    self.replicate(now);
                    self.announce();
                }
            }
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant, wall: UnixMillis) {
        for slot in self.brokers.iter_mut().filter(|slot| slot.up) {
            slot.broker.handle_timeout(now, wall);
        }
        self.replicate(now);
        self.announce();
    }

    /// The broker with the same name that is the master, by its index; a master is its own.
    #[must_use]
    pub fn master_of(&self, index: usize) -> usize {
        let name = &self.brokers[index].broker.config().name;
        let is_master = |slot: &Slot| slot.broker.config().name == *name && !slot.broker.config().is_slave();
        self.brokers.iter().position(is_master).unwrap_or(index)
    }

    /// Creates a topic with so many queues on every broker, or changes it.
    pub fn put_topic(&mut self, topic: &str, queues: i32) {
        for slot in &mut self.brokers {
            slot.broker.put_topic(topic, TopicConfig::new(queues));
        }
        self.announce();
    }

    /// A server's process ends; its sessions are gone, which the caller tells its clients.
    pub fn stop(&mut self, now: Instant, node: Node) {
        match node {
            Node::NameServer(index) => {
                self.name_servers[index].0.stop();
                self.name_servers[index].1 = false;
            }
            Node::Broker(index) => {
                let slot = &mut self.brokers[index];
                slot.broker.stop(now);
                slot.up = false;
                let (name, id) = (slot.broker.config().name.clone(), slot.broker.config().id);
                self.name_servers.iter_mut().for_each(|(server, _)| server.unregister(&name, id));
                self.tell_routes();
            }
        }
    }

    /// A stopped server runs again, a broker with its log and committed offsets.
    pub fn start(&mut self, node: Node) {
        match node {
            Node::NameServer(index) => self.name_servers[index].1 = true,
            Node::Broker(index) => self.brokers[index].up = true,
        }
        self.brokers.iter_mut().for_each(|slot| slot.announced = 0);
        self.announce();
    }

    /// The next output and the server that has it.
    pub fn poll_output(&mut self) -> Option<(Node, Output)> {
        for (index, (server, _)) in self.name_servers.iter_mut().enumerate() {
            if let Some(output) = server.poll_output() {
                return Some((Node::NameServer(index), output));
            }
        }
        for (index, slot) in self.brokers.iter_mut().enumerate() {
            if let Some(output) = slot.broker.poll_output() {
                return Some((Node::Broker(index), output));
            }
        }
        None
    }

    /// When [`Cluster::handle_timeout`] is wanted.
    #[must_use]
    pub fn poll_timeout(&self) -> Wakeup {
        if self.name_servers.iter().any(|(server, _)| server.has_output()) {
            return Wakeup::Now;
        }
        let up = self.brokers.iter().filter(|slot| slot.up);
        up.map(|slot| slot.broker.poll_timeout()).fold(Wakeup::Never, Wakeup::min)
    }

    /// A name server.
    #[must_use]
    pub fn name_server(&mut self, index: usize) -> &mut NameServer {
        &mut self.name_servers[index].0
    }

    /// A broker, to look at.
    #[must_use]
    pub fn broker(&self, index: usize) -> &Broker {
        &self.brokers[index].broker
    }

    /// A broker, to change.
    #[must_use]
    pub fn broker_mut(&mut self, index: usize) -> &mut Broker {
        &mut self.brokers[index].broker
    }

    /// All brokers.
    pub fn brokers(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.iter().map(|slot| &slot.broker)
    }

    /// All masters, which come before the slaves.
    pub fn masters(&self) -> impl Iterator<Item = &Broker> {
        self.brokers().filter(|broker| !broker.config().is_slave())
    }

    /// The slave of a master, by its index.
    #[must_use]
    pub fn slave_of(&self, master: usize) -> Option<usize> {
        (0..self.brokers.len()).find(|index| *index != master && self.master_of(*index) == master)
    }

    /// Number of name servers and of brokers.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.name_servers.len(), self.brokers.len())
    }

    /// Slaves that run copy from masters that run.
    fn replicate(&mut self, now: Instant) {
        for index in 0..self.brokers.len() {
            let master = self.master_of(index);
            if master == index || !self.brokers[index].up {
                continue;
            }
            if !self.brokers[master].up {
                self.brokers[index].broker.wait_for_master();
                continue;
            }
            let [slave, master] = self.brokers.get_disjoint_mut([index, master]).expect("two different brokers");
            slave.broker.follow(now, &master.broker);
        }
    }

    fn announce(&mut self) {
        let mut changed = false;
        for slot in self.brokers.iter_mut().filter(|slot| slot.up) {
            let revision = slot.broker.topics_revision();
            if slot.announced != revision {
                slot.announced = revision;
                let servers = self.name_servers.iter_mut().filter(|(_, up)| *up);
                servers.for_each(|(server, _)| server.register(&slot.broker));
                changed = true;
            }
        }
        if changed {
            self.tell_routes();
        }
    }

    /// Brokers know all topics, as name servers tell them.
    fn tell_routes(&mut self) {
        if let Some((server, _)) = self.name_servers.iter().find(|(_, up)| *up) {
            let routes = Arc::new(server.readable());
            self.brokers.iter_mut().for_each(|slot| slot.broker.learn_routes(routes.clone()));
        }
    }
}
