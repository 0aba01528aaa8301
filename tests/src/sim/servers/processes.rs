//! What happens to servers as processes: they stop and start, move, and lose what they had.

use std::net::SocketAddr;
use std::time::Duration;

use crate::cluster::Node;
use crate::sim::history::What;
use crate::sim::net::End;
use crate::sim::state::State;

impl State {
    /// A server's process ends; its links end in good order or are reset.
    pub(crate) fn stop_server(&mut self, node: Node, end: End) {
        if !self.servers.is_up(node) {
            return;
        }
        let process = self.servers.process(node);
        process.up = false;
        process.incarnation += 1;
        let links: Vec<u64> = self
            .net
            .links
            .iter()
            .filter(|(_, link)| link.node == node && link.server_open)
            .map(|(id, _)| *id)
            .collect();
        for id in links {
            self.end_link(id, end);
        }
        self.servers.cluster.stop(self.now, node);
        if let Node::Broker(_) = node {
            self.note(What::Routes);
        }
        if let Node::Broker(broker) = node
            && self.servers.cluster.master_of(broker) == broker
        {
            self.note(What::LocksLost { broker });
        }
        self.trace.line(self.now, || format!("{node:?} stops ({end:?})"));
    }

    /// It runs again.
    pub(crate) fn start_server(&mut self, node: Node) {
        if self.servers.is_up(node) {
            return;
        }
        let process = self.servers.process(node);
        (process.up, process.gone) = (true, false);
        self.servers.cluster.start(node);
        self.trace.line(self.now, || format!("{node:?} starts"));
        self.serve();
    }

    /// A stopped broker loses the end of its log.
    pub(crate) fn lose_tail(&mut self, broker: usize, records: usize) -> bool {
        let ends: Vec<i64> =
            self.servers.cluster.broker(broker).stored_since(0).map(|stored| stored.physical_offset).collect();
        let Some(end) = ends.len().checked_sub(records.max(1)).and_then(|at| ends.get(at)).copied() else {
            return false;
        };
        self.servers.cluster.broker_mut(broker).lose_log_from(end);
        if let Some(slave) = self.servers.cluster.slave_of(broker) {
            self.servers.cluster.broker_mut(slave).lose_log_from(end);
        }
        self.servers.seen[broker] = self.servers.seen[broker].min(end);
        self.note(What::Lost { broker, end });
        true
    }

    /// A stopped broker gets another address.
    pub(crate) fn move_broker(&mut self, broker: usize) {
        let node = Node::Broker(broker);
        let old = self.servers.cluster.broker(broker).config().address;
        let address = SocketAddr::new(old.ip(), old.port() + 1);
        self.servers.addresses.remove(&old.to_string());
        self.servers.addresses.insert(address.to_string(), node);
        self.servers.cluster.broker_mut(broker).set_address(address);
        self.servers.process(node).address = address.to_string();
    }

    /// The machine of a server is lost: its links carry nothing any more, and nobody says so.
    pub(crate) fn lose_server(&mut self, node: Node) {
        self.servers.process(node).gone = true;
        for link in self.net.links.values_mut().filter(|link| link.node == node) {
            (link.deaf, link.mute, link.gone) = (true, true, true);
        }
        let lost: Vec<u64> = self.net.links.iter().filter(|(_, link)| link.node == node).map(|(id, _)| *id).collect();
        lost.into_iter().for_each(|link| self.note(What::Trouble { link }));
    }

    /// A stopped name server, or the one in its place, gets another address.
    pub(crate) fn move_name_server(&mut self, node: Node) {
        let process = self.servers.process(node);
        let Ok(old) = process.address.parse::<SocketAddr>() else { return };
        let address = SocketAddr::new(old.ip(), old.port() + 1).to_string();
        let old = std::mem::replace(&mut process.address, address.clone());
        process.moved = true;
        self.servers.addresses.remove(&old);
        self.servers.addresses.insert(address, node);
    }

    /// Makes a server slower, or not.
    pub(crate) fn slow_down(&mut self, node: Node, by: Duration) {
        self.servers.process(node).slow = by;
    }

    /// A name server answers with what it knew before, or not any more.
    pub(crate) fn freeze(&mut self, node: Node, stale: bool) {
        self.servers.process(node).stale = stale;
    }
}
