//! A client at one moment, as plain values: for people who look for what is wrong, and for programs that show it.
//!
//! [`ClientMachine::snapshot`] makes one of what the machine knows; `Client::snapshot` adds what only handles know. It
//! costs nothing as long as nobody asks. As JSON it has the names of the fields in camel case.
//!
//! Times are in milliseconds: `…_ago_ms` have passed, `…_in_ms` are to come, `…_for_ms` last, and `…_at_ms` are of the
//! wall clock since the Unix epoch. Everything is in order of names, so that of the same state the text is the same.
//! Nothing of it is secret: there are no bodies, no credentials, and no words of servers.

mod consumer;
mod producer;

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use serde::Serialize;

pub use consumer::{
    ConsumerSnapshot, ConsumerState, FailureSnapshot, LockPhase, LockSnapshot, PopPhase, PopSnapshot, QueuePhase,
    QueueSnapshot, ShareSnapshot, SharedBy, StartSnapshot, SubscriptionSnapshot,
};
pub use producer::{FaultSnapshot, ProducerLoad, ProducerSnapshot};

use super::{ClientMachine, QueueStats, Stage};
use crate::ids::{BrokerName, ClientId, Endpoint, Group, MessageQueue, Topic};
use crate::time::Instant;
use crate::timers::TimerKey;

/// A client at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The id it goes by at brokers.
    pub client_id: ClientId,
    /// When this was, by the wall clock.
    pub taken_at_ms: i64,
    /// Where it is between start and end.
    pub stage: ClientStage,
    /// The name servers, in the order in which they are asked.
    pub name_servers: Vec<NameServerSnapshot>,
    /// Who is asked for the list of name servers, if somebody is.
    pub discovery: Option<DiscoverySnapshot>,
    /// Links that are up or being opened, and addresses that could not be connected lately.
    pub links: Vec<LinkSnapshot>,
    /// The brokers that routes lead to.
    pub brokers: Vec<BrokerSnapshot>,
    /// The topics that somebody is interested in.
    pub routes: Vec<RouteSnapshot>,
    /// Its push consumers.
    pub consumers: Vec<ConsumerSnapshot>,
    /// Its producer groups.
    pub producers: Vec<ProducerSnapshot>,
    /// Bytes that consumers have in hand, pulled and not settled.
    pub cache_bytes: u64,
    /// Bytes above which only queues are pulled of which nothing is in hand.
    pub cache_limit_bytes: u64,
    /// Requests of the control plane that are not answered, those that wait for a link among them.
    pub requests: usize,
    /// Requests of producers that wait for the reply of a consumer. Only a handle knows.
    pub replies_awaited: Option<usize>,
    /// How many timers are armed.
    pub timers_armed: usize,
    /// Those that are due first, [`SHOWN_TIMERS`] at most.
    pub timers: Vec<TimerSnapshot>,
}

/// Where a client is between start and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ClientStage {
    /// It works.
    Running,
    /// It ends: consumers drain, commit and leave.
    Stopping,
    /// It ends: the last trace records are sent.
    Flushing,
    /// It ends: producers leave.
    Leaving,
    /// It ends: links flush and close.
    Closing,
    /// It has ended.
    Closed,
}

/// A name server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NameServerSnapshot {
    /// Its address.
    pub endpoint: Endpoint,
    /// Whether it is asked first: it was the last to answer.
    pub current: bool,
    /// Whether its link is up.
    pub up: bool,
}

/// Who tells what name servers there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscoverySnapshot {
    /// Who is asked.
    pub from: Endpoint,
    /// Whether it is being asked now.
    pub asking: bool,
    /// Why the last question was in vain, if it was.
    pub failure: Option<String>,
    /// When it is asked next.
    pub next_in_ms: Option<u64>,
}

/// A link, or an address that could not be connected lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkSnapshot {
    /// Where it leads.
    pub endpoint: Endpoint,
    /// The broker that is there, as far as routes tell.
    pub broker: Option<BrokerName>,
    /// Whether a name server is there.
    pub name_server: bool,
    /// How it is.
    pub state: LinkState,
    /// For how long: since it came up, or since it is being opened, or since the last failure.
    pub for_ms: u64,
    /// Requests of the control plane that are on it and not answered.
    pub requests: usize,
    /// Requests of the control plane that wait until it is up.
    pub waiting: usize,
    /// Requests of producers that are on it and not answered. Only a handle knows.
    pub sends: Option<usize>,
    /// Bytes of these. Only a handle knows.
    pub send_bytes: Option<usize>,
    /// Failures in a row.
    pub failures: u32,
    /// Why it could not be opened at last, or was closed.
    pub failure: Option<String>,
    /// When it may be opened again.
    pub retry_in_ms: Option<u64>,
}

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LinkState {
    /// It carries requests.
    Up,
    /// It is being opened.
    Connecting,
    /// It could not be opened, or its peer broke the protocol.
    Failed,
}

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerSnapshot {
    /// Its name.
    pub broker: BrokerName,
    /// The cluster it belongs to.
    pub cluster: String,
    /// Its replicas, by their ids: 0 is the master.
    pub replicas: Vec<ReplicaSnapshot>,
}

/// A replica of a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaSnapshot {
    /// Its id: 0 is the master.
    pub id: i64,
    /// Its address.
    pub endpoint: Endpoint,
    /// Whether the link to it is up.
    pub up: bool,
    /// Its wire version, once it took a heartbeat.
    pub version: Option<i32>,
    /// When it gets its next heartbeat.
    pub heartbeat_in_ms: Option<u64>,
}

/// A topic that somebody is interested in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteSnapshot {
    /// The topic.
    pub topic: Topic,
    /// What is known of it.
    pub state: RouteState,
    /// Whether name servers are being asked.
    pub asking: bool,
    /// When they were asked last.
    pub asked_ago_ms: Option<u64>,
    /// When they are asked next.
    pub refresh_in_ms: Option<u64>,
    /// Operations that wait for the answer.
    pub waiting: usize,
    /// Its brokers.
    pub brokers: Vec<RouteBroker>,
}

/// What is known of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteState {
    /// It exists.
    Known,
    /// It does not exist; sends go where a broker would create it.
    Template,
    /// Nothing, yet or any more.
    Unknown,
}

/// A broker of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteBroker {
    /// The broker.
    pub broker: BrokerName,
    /// Queues that can be read.
    pub readable: usize,
    /// Queues that take messages, as far as there is a master.
    pub writable: usize,
}

/// An armed timer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimerSnapshot {
    /// What it is for.
    pub what: &'static str,
    /// Of what: a group, a queue, an address.
    pub of: Option<String>,
    /// When it is due; 0 when it is.
    pub due_in_ms: u64,
}

impl ClientMachine {
    /// The client at this moment. It changes nothing.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let now = self.fx.now.max(now);
        let routes_at = self.fx.timers.at(&TimerKey::Routes);
        let timers = self.fx.timers.iter().take(SHOWN_TIMERS).map(|(at, key)| timer(at, key, now));
        Snapshot {
            client_id: self.config.client_id.clone(),
            taken_at_ms: self.fx.wall.after(now.since(self.fx.now)).0,
            stage: self.stage.snapshot(),
            name_servers: self.names.snapshot(&self.links),
            discovery: self.discovery.snapshot(self.fx.timers.at(&TimerKey::Discovery), now),
            links: self.link_snapshots(now),
            brokers: self.broker_snapshots(now),
            routes: self.routes.snapshot(routes_at, now),
            consumers: self.consumers.values().map(|consumer| consumer.snapshot(&self.fx, now)).collect(),
            producers: self.producer_snapshots(),
            cache_bytes: self.fx.pinned,
            cache_limit_bytes: self.config.cache_bytes,
            requests: self.fx.requests_open(),
            replies_awaited: None,
            timers_armed: self.fx.timers.len(),
            timers: timers.collect(),
        }
    }

    /// Each queue that its consumers pull.
    pub fn each_queue(&self, mut tell: impl FnMut(&Group, &MessageQueue, QueueStats)) {
        for (group, consumer) in &self.consumers {
            for (queue, stats) in consumer.queue_stats() {
                tell(group, queue, stats);
            }
        }
    }

    /// Bytes that consumers have in hand, and links that are up.
    #[must_use]
    pub fn holdings(&self) -> (u64, usize) {
        (self.fx.pinned, self.links.count_up())
    }

    fn link_snapshots(&self, now: Instant) -> Vec<LinkSnapshot> {
        let mut links = self.links.snapshot(&self.fx.requests_by_endpoint(), now);
        for link in &mut links {
            link.broker = self.routes.broker_at(&link.endpoint).cloned();
            link.name_server = self.names.contains(&link.endpoint);
        }
        links
    }

    fn broker_snapshots(&self, now: Instant) -> Vec<BrokerSnapshot> {
        let view = self.routes.view();
        let replica = |(id, endpoint): (&i64, &Endpoint)| ReplicaSnapshot {
            id: *id,
            endpoint: endpoint.clone(),
            up: self.links.is_up(endpoint),
            version: view.versions.get(endpoint).copied(),
            heartbeat_in_ms: self.fx.timers.at(&TimerKey::Heartbeat(endpoint.clone())).map(|at| millis(now.until(at))),
        };
        let broker = |(name, broker): (&BrokerName, &alloc::sync::Arc<super::view::BrokerView>)| BrokerSnapshot {
            broker: name.clone(),
            cluster: broker.cluster.clone(),
            replicas: broker.addrs.iter().map(replica).collect(),
        };
        view.brokers.iter().map(broker).collect()
    }

    fn producer_snapshots(&self) -> Vec<ProducerSnapshot> {
        let mut all: BTreeMap<_, _> = BTreeMap::new();
        for (group, handles) in &self.producers {
            let producer = ProducerSnapshot {
                handles: *handles,
                traces: self.tracers.contains(group),
                ..ProducerSnapshot::of(group.clone())
            };
            all.insert(group.clone(), producer);
        }
        self.transactions.fill(&mut all);
        all.into_values().collect()
    }
}

impl Stage {
    const fn snapshot(self) -> ClientStage {
        match self {
            Self::Running => ClientStage::Running,
            Self::Stopping { .. } => ClientStage::Stopping,
            Self::Flushing { .. } => ClientStage::Flushing,
            Self::Leaving { .. } => ClientStage::Leaving,
            Self::Closing => ClientStage::Closing,
            Self::Closed => ClientStage::Closed,
        }
    }
}

/// Whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How long ago this was, if it was.
pub(crate) fn ago(at: Option<Instant>, now: Instant) -> Option<u64> {
    at.map(|at| millis(now.since(at)))
}

fn timer(at: Instant, key: &TimerKey, now: Instant) -> TimerSnapshot {
    let (what, of) = match key {
        TimerKey::Connect(to) => ("connect", Some(to.to_string())),
        TimerKey::NameHedge(_) => ("ask another name server", None),
        TimerKey::NameOpen => ("connect another name server", None),
        TimerKey::OpenDeadline => ("give up the start", None),
        TimerKey::Discovery => ("ask for name servers", None),
        TimerKey::Routes => ("refresh routes", None),
        TimerKey::Heartbeat(to) => ("heartbeat", Some(to.to_string())),
        TimerKey::LeaveDeadline => ("give up leaving", None),
        TimerKey::Rebalance(group) => ("rebalance", Some(group.to_string())),
        TimerKey::Queue(group, queue, _) => ("pull", Some(alloc::format!("{group} {queue}"))),
        TimerKey::Locks(group) => ("locks", Some(group.to_string())),
        TimerKey::Overdue(group) => ("look for slow handlers", Some(group.to_string())),
        TimerKey::Commit(group) => ("commit", Some(group.to_string())),
        TimerKey::Acks(group) => ("acknowledge", Some(group.to_string())),
        TimerKey::Renew(group) => ("hide for longer", Some(group.to_string())),
        TimerKey::Filters(group) => ("ask about filters", Some(group.to_string())),
        TimerKey::StartDeadline(group) => ("give up the start", Some(group.to_string())),
        TimerKey::StopDeadline(group) => ("give up waiting for handlers", Some(group.to_string())),
        TimerKey::Redeliver(group, _) => ("hand out again", Some(group.to_string())),
        TimerKey::Republish(group, _) => ("republish", Some(group.to_string())),
        TimerKey::Direct(group, _) => ("give up a message of an operator", Some(group.to_string())),
        TimerKey::Check(_) => ("give up a checker", None),
        TimerKey::FlushTraces => ("give up trace records", None),
        TimerKey::Shutdown => ("give up the shutdown", None),
    };
    TimerSnapshot { what, of, due_in_ms: millis(now.until(at)) }
}

/// Timers in a snapshot.
pub const SHOWN_TIMERS: usize = 16;
