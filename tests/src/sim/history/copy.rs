//! What brokers store, and where.

use std::sync::Arc;

use crate::cluster::{SCHEDULE_TOPIC, TIMER_TOPIC};

/// A queue on a broker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Queue {
    /// The index of the broker.
    pub broker: usize,
    /// The topic.
    pub topic: Arc<str>,
    /// Its number.
    pub id: i32,
}

/// A stored copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The queue it is in.
    pub queue: Queue,
    /// Its position there.
    pub offset: i64,
    /// Its position in the broker's log.
    pub physical: i64,
    /// The number of the message, if it is one of the workload's.
    pub id: Option<u64>,
    /// The number of the transaction it is of, if it is one of the workload's.
    pub tx: Option<u64>,
    /// The number of the request it is a reply to, if it is one of the workload's.
    pub answers: Option<u64>,
    /// Its unique key.
    pub unique: Arc<str>,
    /// Its tag.
    pub tag: Arc<str>,
    /// How many bytes it has at least.
    pub bytes: u64,
    /// Whether body, tag, keys and properties are those that were sent.
    pub intact: bool,
    /// How often it was handed back.
    pub reconsume: i32,
    /// The topic it is delayed for, if it is.
    pub real_topic: Option<Arc<str>>,
}

impl Copy {
    /// Whether it was delayed, and this is where it goes when it is due.
    pub(crate) fn is_due(&self) -> bool {
        self.real_topic.is_some() && !self.is_waiting()
    }

    /// Whether it is kept until it is due.
    pub(crate) fn is_waiting(&self) -> bool {
        self.real_topic.is_some() && matches!(&*self.queue.topic, SCHEDULE_TOPIC | TIMER_TOPIC)
    }
}
