//! Producers at one moment.

use alloc::vec::Vec;

use serde::Serialize;

use crate::ids::{BrokerName, Group};

/// A producer group of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProducerSnapshot {
    /// The group.
    pub group: Group,
    /// How often it was started and not dropped.
    pub handles: u32,
    /// Whether it sends trace records.
    pub traces: bool,
    /// Those of them that can say what became of half messages.
    pub checkers: u32,
    /// Half messages that brokers ask about and no checker has looked at yet.
    pub checks_waiting: usize,
    /// Half messages that checkers look at.
    pub checks_running: usize,
    /// What each of its handles has under way. Only handles know.
    pub instances: Vec<ProducerLoad>,
}

/// What one producer has under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProducerLoad {
    /// Messages whose sends are not over.
    pub messages: usize,
    /// How many there may be before sends wait.
    pub messages_limit: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
    /// How many there may be before sends wait.
    pub bytes_limit: usize,
    /// Brokers whose latency is known; none unless the producer leaves slow ones alone.
    pub faults: Vec<FaultSnapshot>,
}

/// What a producer thinks of a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultSnapshot {
    /// The broker.
    pub broker: BrokerName,
    /// For how long it is left alone from now on; `None` when it is not.
    pub left_alone_for_ms: Option<u64>,
    /// Whether it could be reached at last.
    pub reachable: bool,
}

impl ProducerSnapshot {
    /// One that has nothing.
    pub(crate) const fn of(group: Group) -> Self {
        Self {
            group,
            handles: 0,
            traces: false,
            checkers: 0,
            checks_waiting: 0,
            checks_running: 0,
            instances: Vec::new(),
        }
    }
}
