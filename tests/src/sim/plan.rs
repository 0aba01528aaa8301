//! The plan of a run of the workload: its topology and its parts, drawn from the tape.

use std::sync::Arc;
use std::time::Duration;

use rocketmq_core::rng::Rng;
use rocketmq_core::wire::Codec;

use super::faults::Swarm;
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
    /// Requests and bytes that producers may have under way on a link, when that is little.
    pub(crate) narrow: Option<(usize, usize)>,
    /// What changes in the end, when all is quiet.
    pub(crate) last_change: LastChange,
}

/// What changes when all is quiet, to see how long it takes until the queues are shared out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastChange {
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
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) setup: GroupSetup,
    pub(crate) members: usize,
    pub(crate) at_once: usize,
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
            let (members, at_once) = (upto(1, 3), upto(1, 8));
            let max_reconsume = if upto(0, 1) == 0 { 2 } else { 16 };
            let name = format!("g{index}").into();
            let setup = GroupSetup { name, topic, tags, queue_messages, pull_batch, max_reconsume };
            Group {
                setup,
                members,
                at_once,
                codec: if upto(0, 1) == 0 { Codec::Json } else { Codec::Rocketmq },
                circle: upto(0, 1) == 0,
            }
        });
        let groups = groups.collect();
        let long = upto(0, 49) == 0;
        Self {
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
            last_change: [LastChange::Join, LastChange::Leave, LastChange::Death, LastChange::Queues][upto(0, 3)],
        }
    }

    /// What invariants must know of it.
    pub(crate) fn setup(&self, swarm: &Swarm) -> Setup {
        let groups = self.groups.iter().map(|group| group.setup.clone()).collect();
        Setup { calm: swarm.is_calm(), steady: swarm.is_steady(), groups }
    }
}

/// The plan has nothing to do with the tape of the same seed.
const SALT: u64 = 0x0070_6c61_6e00_0000;
