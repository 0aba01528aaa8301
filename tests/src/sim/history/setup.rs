//! What invariants must know of a run beforehand.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::payload;

/// What invariants must know of a run beforehand.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Whether no fault can happen.
    pub calm: bool,
    /// Whether nothing goes wrong but in the application itself.
    pub steady: bool,
    /// Whether brokers are of version 4.9, which bury a republished message one time earlier.
    pub old_brokers: bool,
    /// Bytes that a member may have in hand, if that is little.
    pub cache_bytes: Option<u64>,
    /// Whether an operator moves groups, asks, and has messages handled.
    pub operator: bool,
    /// Whether brokers have slaves, which serve what they know while a master is down.
    pub slaves: bool,
    /// Processes at a time that send transactions.
    pub tellers: usize,
    /// Whether clients trace, and then whether brokers want that.
    pub traced: Option<bool>,
    /// Consumer groups, the topic of each, and the tags it wants (none: all).
    pub groups: Vec<GroupSetup>,
    /// The brokers, and the queues that each topic has on each of them at first.
    pub shape: (usize, i32),
}

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct GroupSetup {
    /// Its name.
    pub name: Arc<str>,
    /// The topic it subscribes.
    pub topic: Arc<str>,
    /// The tags it wants, none for all.
    #[serde(deserialize_with = "payload::known_tags")]
    pub tags: Vec<&'static str>,
    /// Which of the expressions in SQL says what it wants instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<usize>,
    /// Whether its only member changes what it wants while it runs; `tags` it wants always then.
    #[serde(skip_serializing_if = "is_false")]
    pub changing: bool,
    /// Messages of a queue above which it is not pulled.
    pub queue_messages: u32,
    /// The same of a topic, to be shared by the queues of a member.
    pub topic_messages: Option<u32>,
    /// Whether it pulls nothing now and then.
    pub pauses: bool,
    /// Messages of one pull.
    pub pull_batch: u32,
    /// Redeliveries before a message is dead.
    pub max_reconsume: i32,
    /// Whether it consumes its queues in order.
    pub orderly: bool,
    /// Whether it stands for one member of a broadcasting group: each has to handle everything by itself, and what
    /// fails is passed over.
    pub broadcast: bool,
}

impl Setup {
    /// Whether the group consumes its queues in order.
    #[must_use]
    pub fn is_orderly(&self, group: &str) -> bool {
        self.groups.iter().any(|setup| setup.orderly && *setup.name == *group)
    }
}

impl GroupSetup {
    /// Whether the group wants a message with this tag and number, whenever that comes.
    #[must_use]
    pub fn wants(&self, tag: &str, id: Option<u64>) -> bool {
        match self.sql {
            Some(expression) => id.is_some_and(|id| payload::matches(expression, id)),
            None => self.tags.is_empty() || self.tags.contains(&tag),
        }
    }

    /// Whether the group may want it at times.
    #[must_use]
    pub fn may_want(&self, tag: &str, id: Option<u64>) -> bool {
        self.changing || self.wants(tag, id)
    }
}

impl Default for GroupSetup {
    fn default() -> Self {
        Self {
            name: "g0".into(),
            topic: "t0".into(),
            tags: Vec::new(),
            sql: None,
            changing: false,
            queue_messages: 1_000,
            topic_messages: None,
            pauses: false,
            pull_batch: 32,
            max_reconsume: 16,
            orderly: false,
            broadcast: false,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
