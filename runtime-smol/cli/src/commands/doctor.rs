//! What this client sees of a cluster from here: whom it can reach, where a topic leads, and what lacks.

use std::collections::BTreeSet;

use clap::Args;
use rocketmq_core::client::snapshot::{
    BrokerSnapshot, ConsumerSnapshot, LinkState, QueueSnapshot, RouteSnapshot, Snapshot,
};
use serde::Serialize;

use super::offset::place;
use crate::context::Cx;
use crate::failure::Failure;
use crate::output::{Record, Table, row};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Also the route of this topic, and each of its brokers
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
}

impl Doctor {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        if let Some(topic) = &self.topic {
            let queues = cx.ask_of(format_args!("topic {topic}"), cx.admin.queues(topic.as_str())).await?;
            let mut asked = BTreeSet::new();
            for queue in queues.iter().filter(|queue| asked.insert(queue.broker.clone())) {
                // One question opens the link, and tells whether the broker answers.
                if let Err(error) = cx.attempt(cx.admin.max_offset(queue)).await? {
                    cx.missed(queue.broker.to_string(), &error);
                }
            }
        }
        let snapshot = look(cx).await?;
        if cx.out.is_json() {
            return Ok(cx.out.json(&snapshot)?);
        }
        Ok(cx.out.record(&record(&snapshot))?)
    }
}

/// Shows how the client is now, after messages that were shown one by one.
pub(crate) async fn show_last(cx: &mut Cx<'_>) -> Result<(), Failure> {
    let snapshot = look(cx).await?;
    if cx.out.is_json() {
        return Ok(cx.out.json_line(&snapshot)?);
    }
    Ok(cx.out.record(&record(&snapshot))?)
}

async fn look(cx: &Cx<'_>) -> Result<Snapshot, Failure> {
    cx.client.snapshot().await.ok_or_else(|| Failure::unreachable("the client has ended"))
}

/// The snapshot as tables, of which those are left out that have no rows.
fn record(snapshot: &Snapshot) -> Record {
    let tables = [
        ("nameServers", name_servers(snapshot)),
        ("links", links(snapshot)),
        ("brokers", brokers(&snapshot.brokers)),
        ("routes", routes(&snapshot.routes)),
        ("consumers", consumers(&snapshot.consumers)),
        ("queues", queues(&snapshot.consumers)),
        ("producers", producers(snapshot)),
    ];
    let tables = tables.into_iter().filter(|(_, table)| !table.is_empty());
    let record = tables.fold(Record::default(), |record, (key, table)| record.table(key, table));
    record
        .with("clientId", &snapshot.client_id)
        .with("cacheBytes", snapshot.cache_bytes)
        .with("cacheLimitBytes", snapshot.cache_limit_bytes)
}

fn name_servers(snapshot: &Snapshot) -> Table {
    let mut table = Table::new(["address", "up", "current"]);
    for server in &snapshot.name_servers {
        table.push(row![&server.endpoint, server.up, server.current]);
    }
    table
}

fn links(snapshot: &Snapshot) -> Table {
    let mut table = Table::new(["address", "state", "forMs", "requests", "sends", "broker", "failure"]);
    for link in &snapshot.links {
        let state = match link.state {
            LinkState::Up => "up",
            LinkState::Connecting => "connecting",
            LinkState::Failed => "failed",
        };
        let of = link.broker.as_ref().map_or("", |broker| broker.as_str());
        let failure = link.failure.as_deref();
        table.push(row![&link.endpoint, state, link.for_ms, link.requests, link.sends, of, failure]);
    }
    table
}

fn brokers(brokers: &[BrokerSnapshot]) -> Table {
    let mut table = Table::new(["broker", "cluster", "id", "address", "up", "version"]);
    for broker in brokers {
        for replica in &broker.replicas {
            let (id, up) = (replica.id, replica.up);
            table.push(row![&broker.broker, &broker.cluster, id, &replica.endpoint, up, replica.version]);
        }
    }
    table
}

fn routes(routes: &[RouteSnapshot]) -> Table {
    let mut table = Table::new(["topic", "state", "broker", "readable", "writable", "refreshInMs"]);
    for route in routes {
        let state = word(&route.state);
        if route.brokers.is_empty() {
            table.push(row![&route.topic, &state, "", None::<i64>, None::<i64>, route.refresh_in_ms]);
        }
        for of in &route.brokers {
            let refresh = route.refresh_in_ms;
            table.push(row![&route.topic, &state, &of.broker, of.readable, of.writable, refresh]);
        }
    }
    table
}

fn consumers(consumers: &[ConsumerSnapshot]) -> Table {
    let mut table = Table::new(["group", "state", "suspended", "topic", "sharedBy", "members", "queues", "agoMs"]);
    for consumer in consumers {
        let state = word(&consumer.state);
        for share in &consumer.shares {
            let (by, members) = (word(&share.by), share.members.len());
            let (group, suspended) = (&consumer.group, consumer.suspended);
            table.push(row![group, &state, suspended, &share.topic, by, members, share.queues, share.ago_ms]);
        }
        if consumer.shares.is_empty() {
            let nothing = None::<i64>;
            table.push(row![&consumer.group, &state, consumer.suspended, "", "", nothing, nothing, nothing]);
        }
    }
    table
}

fn queues(consumers: &[ConsumerSnapshot]) -> Table {
    let mut table = Table::new([
        "topic",
        "queue",
        "phase",
        "start",
        "settled",
        "committed",
        "nextPull",
        "end",
        "backlog",
        "cached",
        "handlers",
        "failure",
    ]);
    for of in consumers.iter().flat_map(|consumer| &consumer.queues) {
        let QueueSnapshot { queue, settled_to, committed, next_pull, end, backlog, cached, outstanding, .. } = of;
        let start = of.start.map(|start| format!("{} {}", start.offset, word(&start.reason)));
        let failure = of.failure.as_ref().map(|failure| failure.why.as_str());
        table.push(row![
            &queue.topic,
            place(queue),
            word(&of.phase),
            start,
            *settled_to,
            *committed,
            *next_pull,
            *end,
            *backlog,
            *cached,
            *outstanding,
            failure,
        ]);
    }
    table
}

fn producers(snapshot: &Snapshot) -> Table {
    let mut table = Table::new(["group", "messages", "messagesLimit", "bytes", "checksWaiting", "checksRunning"]);
    for producer in &snapshot.producers {
        for load in &producer.instances {
            let (waiting, running) = (producer.checks_waiting, producer.checks_running);
            table.push(row![&producer.group, load.messages, load.messages_limit, load.bytes, waiting, running]);
        }
    }
    table
}

/// A value that has one word, as JSON says it.
fn word(value: &impl Serialize) -> String {
    let text = serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned));
    text.unwrap_or_default()
}
