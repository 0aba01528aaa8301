//! The commands, by group.

pub(crate) mod acl;
pub(crate) mod broker;
pub(crate) mod cluster;
pub(crate) mod doctor;
pub(crate) mod group;
pub(crate) mod message;
pub(crate) mod namesrv;
pub(crate) mod offset;
pub(crate) mod producer;
pub(crate) mod stats;
pub(crate) mod topic;
pub(crate) mod user;

use rocketmq_core::ids::{BrokerName, Group};

use crate::output::{Record, Table, row};

/// The brokers that did what they were told.
fn brokers(done: &[BrokerName]) -> Vec<String> {
    done.iter().map(ToString::to_string).collect()
}

/// The sentence and the record of something that brokers did.
fn done_on(verb: &str, what: &str, key: &'static str, name: &str, done: &[BrokerName]) -> (String, Record) {
    let text = format!("{verb} {what} on {}", brokers(done).join(", "));
    (text, Record::default().with(key, name).with("brokers", brokers(done)))
}

/// The clients that a broker tells of.
fn connections(clients: &[rocketmq_core::wire::body::Connection]) -> Table {
    let mut table = Table::new(["clientId", "address", "language", "version"]);
    for client in clients {
        table.push(row![&client.client_id, &client.client_addr, &client.language, client.version]);
    }
    table
}

/// The topic to which the messages of a group go that failed; every group that had members has it.
fn is_retry_topic(topic: &str) -> Option<Group> {
    topic.strip_prefix(RETRY_PREFIX).map(Group::from)
}

const RETRY_PREFIX: &str = "%RETRY%";
