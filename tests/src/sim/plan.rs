//! The plan of a run of the workload: its topology and its parts, drawn from the tape.

use std::sync::Arc;
use std::time::Duration;

use rocketmq_core::rng::Rng;
use rocketmq_core::wire::Codec;

use super::history::{GroupSetup, Setup};
use super::payload::TAGS;

/// What a run consists of.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name_servers: usize,
    pub(crate) brokers: usize,
    pub(crate) queues: i32,
    pub(crate) topics: Vec<Arc<str>>,
    pub(crate) groups: Vec<Group>,
    pub(crate) producers: usize,
    pub(crate) messages: u64,
    /// The phase with faults.
    pub(crate) safety: Duration,
    pub(crate) old_brokers: bool,
    pub(crate) long: bool,
}

/// A consumer group of the workload.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) setup: GroupSetup,
    /// The name that brokers know. Each member of a broadcasting group counts as a group of its own.
    pub(crate) consumer: Arc<str>,
    pub(crate) members: usize,
    pub(crate) at_once: usize,
    pub(crate) max_reconsume: u32,
    pub(crate) codec: Codec,
    pub(crate) circle: bool,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ SALT);
        let mut upto = |least: usize, most: usize| least + rng.below(most - least + 1);
        let topics: Vec<Arc<str>> = (0..upto(1, 2)).map(|index| format!("t{index}").into()).collect();
        let groups = (0..upto(1, 2)).map(|index| {
            let topic = topics[index % topics.len()].clone();
            let tags = if upto(0, 2) == 0 { TAGS[..2].to_vec() } else { Vec::new() };
            let (queue_messages, pull_batch) = if upto(0, 3) == 0 { (8, 4) } else { (1_000, 32) };
            let setup = group(&format!("g{index}"), topic, tags, queue_messages, pull_batch);
            Group {
                consumer: setup.name.clone(),
                setup,
                members: upto(1, 3),
                at_once: upto(1, 8),
                max_reconsume: if upto(0, 1) == 0 { 2 } else { 16 },
                codec: if upto(0, 1) == 0 { Codec::Json } else { Codec::Rocketmq },
                circle: upto(0, 1) == 0,
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
        };
        let broadcasting = if upto(0, 3) == 0 { upto(1, 2) } else { 0 };
        for index in 0..broadcasting {
            let setup = group(&format!("b0.{index}"), plan.topics[0].clone(), Vec::new(), 1_000, 32);
            plan.groups.push(Group {
                setup: GroupSetup { broadcast: true, ..setup },
                consumer: "b0".into(),
                members: 1,
                at_once: upto(1, 4),
                max_reconsume: 16,
                codec: if upto(0, 1) == 0 { Codec::Json } else { Codec::Rocketmq },
                circle: false,
            });
        }
        plan
    }

    /// What invariants must know of it.
    pub(crate) fn setup(&self, calm: bool) -> Setup {
        let groups = self.groups.iter().map(|group| group.setup.clone()).collect();
        Setup { calm, groups, max_reconsume: 0 }
    }
}

fn group(name: &str, topic: Arc<str>, tags: Vec<&'static str>, queue_messages: u32, pull_batch: u32) -> GroupSetup {
    GroupSetup { name: name.into(), topic, tags, queue_messages, pull_batch, broadcast: false }
}

/// The plan has nothing to do with the tape of the same seed.
const SALT: u64 = 0x0070_6c61_6e00_0000;
