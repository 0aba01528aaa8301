//! The plan of a run of the workload: its topology and its parts, drawn from the tape.

use std::sync::Arc;
use std::time::Duration;

use rocketmq_core::rng::Rng;
use rocketmq_core::wire::Codec;
use serde::{Deserialize, Serialize};

use super::asking;
use super::faults::Swarm;
use super::history::{GroupSetup, Setup};
use super::payload::TAGS;
use super::tape::{Stream, Tape};

/// What a run consists of. The default is the smallest one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Plan {
    /// Name servers.
    pub name_servers: usize,
    /// Brokers.
    pub brokers: usize,
    /// Queues that each topic has on each broker at first.
    pub queues: i32,
    /// The topics.
    pub topics: Vec<Arc<str>>,
    /// The consumer groups.
    pub groups: Vec<Group>,
    /// Producers.
    pub producers: usize,
    /// Messages that all of them send.
    pub messages: u64,
    /// The phase with faults, seconds.
    #[serde(rename = "safety_s", with = "in_seconds")]
    pub safety: Duration,
    /// Whether brokers are of version 4.9.
    pub old_brokers: bool,
    /// Whether the phase with faults is long and has fewer of them.
    pub long: bool,
    /// Requests and bytes that producers may have under way on a link, when that is little.
    pub narrow: Option<(usize, usize)>,
    /// Bytes that each member may have in hand, when that is little.
    pub cache_bytes: Option<u64>,
    /// What changes in the end, when all is quiet.
    pub last_change: LastChange,
    /// Whether an operator moves groups, asks members, and has them handle messages.
    pub operator: bool,
    /// Whether an administrator asks servers all the time, and is lied to.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub administrator: bool,
    /// Whether name servers are told by HTTP.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub directory: bool,
    /// How far the slaves of brokers are behind, milliseconds, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slaves: Option<u64>,
    /// Whether producers send in every way: by key, without answer, in batches, later.
    pub every_way: bool,
    /// Transactions, if there are any.
    pub transactions: Option<Transactions>,
    /// Requests, if there are any; a group replies to them.
    pub requests: Option<Requests>,
    /// Whether clients trace, and then whether brokers want that.
    pub traced: Option<bool>,
    /// Whether members leave out of heartbeats what brokers know.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub light: bool,
    /// Whether links are encrypted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub encrypted: bool,
    /// Whether members are looked at now and then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub looks: bool,
}

/// The requests of a run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Requests {
    /// How many.
    pub count: u64,
    /// Processes at a time that ask.
    pub askers: usize,
}

/// The transactions of a run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Transactions {
    /// How many.
    pub count: u64,
    /// Processes at a time that send them.
    pub tellers: usize,
}

/// What changes when all is quiet, to see how long it takes until the queues are shared out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum LastChange {
    /// A member joins.
    Join,
    /// A member leaves in good order.
    Leave,
    /// A member is gone, and nobody is told.
    Death,
    /// A topic gets another queue.
    Queues,
}

/// A consumer group of the workload.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Group {
    /// What invariants must know of it.
    #[serde(flatten)]
    pub setup: GroupSetup,
    /// The name that brokers know, if it is another one: each member of a broadcasting group counts as a group.
    pub consumer: Option<Arc<str>>,
    /// Members at first.
    pub members: usize,
    /// Deliveries that each member handles at once.
    pub at_once: usize,
    /// How members encode headers.
    #[serde(with = "CodecName")]
    pub codec: Codec,
    /// Whether queues are dealt out by circle.
    pub circle: bool,
    /// How long a queue in order waits for a message that failed, milliseconds.
    pub suspend_ms: u64,
    /// Messages that a handler gets at a time, if that may be several.
    pub batch: Option<usize>,
    /// How long a handler may take, seconds, if that is little, and whether its message goes back then.
    pub consume_timeout: Option<(u64, bool)>,
    /// Whether members reply to what they handle.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub answers: bool,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ SALT);
        let plan = Self::drawn(|least, most| least + rng.below(most - least + 1));
        let traced = (rng.below(5) == 0).then(|| rng.below(4) > 0);
        let (administrator, directory) = (rng.below(5) == 0, rng.below(5) == 0);
        let (light, encrypted) = (rng.below(4) == 0, rng.below(16) == 0);
        let looks = rng.below(5) == 0;
        Self { traced, administrator, directory, light, encrypted, looks, ..plan }
    }

    /// A plan of a tape, for a run that takes a tenth of the time of others.
    pub(crate) fn brief(tape: &mut Tape) -> Self {
        let mut range = |least: usize, most: usize| tape.range(Stream::Swarm, least as u64, most as u64);
        let plan = Self::drawn(|least, most| usize::try_from(range(least, most)).unwrap_or(least));
        Self { messages: plan.messages / 8, safety: Duration::from_secs(90 + plan.messages), long: false, ..plan }
    }

    fn drawn(mut upto: impl FnMut(usize, usize) -> usize) -> Self {
        let topics: Vec<Arc<str>> = (0..upto(1, 2)).map(|index| format!("t{index}").into()).collect();
        let groups = (0..upto(1, 2)).map(|index| {
            let topic = topics[index % topics.len()].clone();
            let tags = if upto(0, 2) == 0 { TAGS[..2].to_vec() } else { Vec::new() };
            let (queue_messages, pull_batch) = if upto(0, 3) == 0 { (8, 4) } else { (1_000, 32) };
            let (members, at_once) = (upto(1, 3), upto(1, 8));
            let max_reconsume = if upto(0, 1) == 0 { 2 } else { 16 };
            let orderly = upto(0, 2) == 0;
            let name = format!("g{index}").into();
            let setup = GroupSetup {
                name,
                topic,
                tags,
                queue_messages,
                pull_batch,
                max_reconsume,
                orderly,
                ..GroupSetup::default()
            };
            Group {
                consumer: None,
                setup,
                members,
                at_once,
                codec: if upto(0, 1) == 0 { Codec::Json } else { Codec::Rocketmq },
                circle: upto(0, 1) == 0,
                suspend_ms: if upto(0, 1) == 0 { 1_000 } else { upto(10, 30_000) as u64 },
                ..Group::default()
            }
        });
        let groups: Vec<_> = groups.collect();
        let long = upto(0, 49) == 0;
        let mut plan = Self {
            name_servers: upto(1, 3),
            brokers: upto(1, 3),
            queues: i32::try_from(upto(1, 4)).unwrap_or(1),
            topics,
            groups,
            producers: upto(1, 2),
            messages: upto(40, 250) as u64,
            safety: Duration::from_secs(upto(240, 1_500) as u64 * if long { 8 } else { 1 }),
            old_brokers: upto(0, 4) == 0,
            long,
            narrow: (upto(0, 2) == 0).then_some((8, 2_048)),
            cache_bytes: None,
            last_change: [LastChange::Join, LastChange::Leave, LastChange::Death, LastChange::Queues][upto(0, 3)],
            operator: false,
            administrator: false,
            directory: false,
            slaves: None,
            every_way: false,
            transactions: None,
            traced: None,
            light: false,
            encrypted: false,
            looks: false,
            requests: None,
        };
        let broadcasting = if upto(0, 3) == 0 { upto(1, 2) } else { 0 };
        for index in 0..broadcasting {
            let name = format!("b0.{index}").into();
            let setup = GroupSetup { name, topic: plan.topics[0].clone(), broadcast: true, ..GroupSetup::default() };
            plan.groups.push(Group {
                setup: GroupSetup { queue_messages: 1_000, pull_batch: 32, max_reconsume: 16, ..setup },
                consumer: Some("b0".into()),
                members: 1,
                at_once: upto(1, 4),
                codec: if upto(0, 1) == 0 { Codec::Json } else { Codec::Rocketmq },
                ..Group::default()
            });
        }
        if upto(0, 4) == 0 {
            plan.add_tight(&mut upto);
        }
        if upto(0, 4) == 0 {
            plan.add_sql(&mut upto);
        }
        if upto(0, 4) == 0 {
            plan.add_changing(&mut upto);
        }
        plan.operator = upto(0, 4) == 0;
        plan.every_way = upto(0, 2) == 0;
        if upto(0, 4) == 0 {
            plan.transactions = Some(Transactions { count: upto(10, 60) as u64, tellers: upto(1, 2) });
        }
        if upto(0, 4) == 0 {
            plan.add_requests(&mut upto);
        }
        if upto(0, 4) == 0 {
            plan.slaves = Some(upto(1, 8_000) as u64);
        }
        plan
    }

    /// Adds a group that filters by SQL.
    fn add_sql(&mut self, upto: &mut impl FnMut(usize, usize) -> usize) {
        let sql = Some(upto(0, 3));
        let setup = GroupSetup { name: "s0".into(), topic: self.topics[0].clone(), sql, ..GroupSetup::default() };
        self.groups.push(Group { setup, members: upto(1, 2), at_once: upto(1, 4), ..Group::default() });
    }

    /// Adds a group that changes what it wants.
    fn add_changing(&mut self, upto: &mut impl FnMut(usize, usize) -> usize) {
        let (name, topic) = ("c0".into(), self.topics[self.topics.len() - 1].clone());
        let (tags, orderly) = (vec![TAGS[0]], upto(0, 2) == 0);
        let setup = GroupSetup { name, topic, tags, changing: true, orderly, ..GroupSetup::default() };
        self.groups.push(Group { setup, at_once: upto(1, 4), ..Group::default() });
    }

    /// Adds a group that has little room, and a small cache for everybody.
    fn add_tight(&mut self, upto: &mut impl FnMut(usize, usize) -> usize) {
        let number = |number: usize| u32::try_from(number).unwrap_or(1);
        self.cache_bytes = (upto(0, 1) == 0).then(|| upto(500, 8_000) as u64);
        let mut setup = GroupSetup {
            name: "f0".into(),
            topic: self.topics[0].clone(),
            topic_messages: (upto(0, 2) > 0).then(|| number(upto(1, 12))),
            pull_batch: number(upto(1, 16)),
            max_reconsume: 2,
            orderly: upto(0, 2) == 0,
            ..GroupSetup::default()
        };
        let (members, at_once) = (upto(1, 2), upto(1, 4));
        let batch = (upto(0, 3) > 0).then(|| upto(1, 12));
        let timeout = (upto(0, 2) > 0).then(|| (upto(1, 6) as u64, upto(0, 2) > 0));
        setup.pauses = upto(0, 1) == 0;
        self.groups.push(Group { setup, members, at_once, batch, consume_timeout: timeout, ..Group::default() });
    }

    /// Adds requests, and the group that replies to them.
    fn add_requests(&mut self, upto: &mut impl FnMut(usize, usize) -> usize) {
        self.requests = Some(Requests { count: upto(10, 80) as u64, askers: upto(1, 2) });
        let (name, topic, orderly) = ("a0".into(), asking::TOPIC.into(), upto(0, 4) == 0);
        let setup = GroupSetup { name, topic, orderly, max_reconsume: 2, ..GroupSetup::default() };
        let (members, at_once) = (upto(1, 2), upto(1, 8));
        let codec = if upto(0, 1) == 0 { Codec::Json } else { Codec::Rocketmq };
        self.groups.push(Group { setup, members, at_once, codec, answers: true, ..Group::default() });
    }

    /// What invariants must know of it.
    pub(crate) fn setup(&self, swarm: &Swarm) -> Setup {
        let groups = self.groups.iter().map(|group| group.setup.clone()).collect();
        let (old_brokers, cache_bytes, operator) = (self.old_brokers, self.cache_bytes, self.operator);
        let slaves = self.slaves.is_some();
        let shape = (self.brokers, self.queues);
        let tellers = self.transactions.as_ref().map_or(0, |transactions| transactions.tellers);
        let (calm, steady) = (swarm.is_calm(), swarm.is_steady());
        let traced = self.traced;
        Setup { calm, steady, old_brokers, cache_bytes, operator, slaves, tellers, traced, groups, shape }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            name_servers: 1,
            brokers: 1,
            queues: 1,
            topics: vec!["t0".into()],
            groups: vec![Group::default()],
            producers: 1,
            messages: 20,
            safety: Duration::from_secs(120),
            old_brokers: false,
            long: false,
            narrow: None,
            cache_bytes: None,
            last_change: LastChange::Join,
            operator: false,
            administrator: false,
            directory: false,
            slaves: None,
            every_way: false,
            transactions: None,
            traced: None,
            light: false,
            encrypted: false,
            looks: false,
            requests: None,
        }
    }
}

impl Default for Group {
    fn default() -> Self {
        Self {
            setup: GroupSetup::default(),
            consumer: None,
            members: 1,
            at_once: 1,
            codec: Codec::Json,
            circle: false,
            suspend_ms: 1_000,
            batch: None,
            consume_timeout: None,
            answers: false,
        }
    }
}

/// Codecs by name.
#[derive(Deserialize, Serialize)]
#[serde(remote = "Codec", rename_all = "lowercase")]
enum CodecName {
    Json,
    Rocketmq,
}

mod in_seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(time.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

/// The plan has nothing to do with the tape of the same seed.
const SALT: u64 = 0x0070_6c61_6e00_0000;
