//! From a failing run to a short script: the fewest faults that break the same invariant, in the smallest topology.
//!
//! The search goes by seeds first: any seed that fails by the same invariant is as good, so that small topologies and
//! few kinds of faults are tried with many. What is left is then thinned out fault by fault.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use rocketmq_core::rng::Rng;
use rocketmq_testkit::sim::plan::Plan;
use rocketmq_testkit::sim::script::MOST_EVENTS;
use rocketmq_testkit::sim::workload::{self, Options};
use rocketmq_testkit::sim::{Fault, Occasion, Script, Swarm};

use crate::{mutants, parallel, seeds};

#[derive(Debug, Args)]
pub(crate) struct Shrink {
    #[command(flatten)]
    start: Start,
    /// The invariant to go by [default: the first that is broken]
    #[arg(long)]
    invariant: Option<String>,
    /// Where the short script is written [default: target/sim/SEED.json]
    #[arg(long)]
    out: Option<PathBuf>,
    /// What it shows, for whoever reads it
    #[arg(long)]
    about: Option<String>,
    /// Plants the mistake with this number
    #[arg(long, default_value_t = 0)]
    mutant: u32,
    /// The time it may take
    #[arg(long, default_value_t = SECONDS)]
    seconds: u64,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Start {
    /// The seed that fails
    #[arg(long, value_parser = seeds::number)]
    seed: Option<u64>,
    /// The script that fails
    #[arg(long)]
    script: Option<PathBuf>,
}

impl Shrink {
    pub(crate) fn run(self) -> Result<bool, String> {
        mutants::plant(self.mutant)?;
        let mut start = match (&self.start.script, self.start.seed) {
            (Some(path), _) => Script::read(path)?,
            (_, Some(seed)) => of_seed(seed, self.invariant.as_deref().unwrap_or_default(), self.mutant)?,
            _ => return Err("nothing to shrink".to_owned()),
        };
        if let Some(invariant) = self.invariant {
            start.invariant = invariant;
        }
        let path = self.out.unwrap_or_else(|| PathBuf::from(format!("target/sim/{:x}.json", start.seed)));
        let mut script = shrink(start, Duration::from_secs(self.seconds));
        if let Some(about) = self.about {
            script.about = about;
        }
        script.write(&path)?;
        println!("{} with {} faults: {}", script.invariant, script.faults.len(), path.display());
        script.faults.iter().for_each(|fault| println!("  {fault}"));
        Ok(true)
    }
}

/// The script of a failing seed; of the invariants that it breaks, this one.
pub(crate) fn of_seed(seed: u64, invariant: &str, mutant: u32) -> Result<Script, String> {
    let report = workload::check_with(seed, Options { events: Some(MOST_EVENTS), ..Options::default() });
    let mut script = Script::of(&report).ok_or_else(|| format!("seed {seed:#x} does not fail"))?;
    if let Some(failure) = report.broken.iter().find(|failure| failure.invariant == invariant) {
        (script.invariant, script.about) = (failure.invariant.to_owned(), failure.text.clone());
    } else if !invariant.is_empty() {
        return Err(format!("seed {seed:#x} does not break {invariant}"));
    }
    script.mutant = Some(mutant).filter(|mutant| *mutant > 0);
    Ok(script)
}

/// The shortest script found in time that breaks the same invariant; at worst the one it began with.
pub(crate) fn shrink(start: Script, time: Duration) -> Script {
    let mut search = Search { until: Instant::now() + time, rng: Rng::new(start.seed), start: start.clone() };
    let mut best = start;
    let mut world = search.small_world();
    let mut idle = 0;
    while idle < ROUNDS && !search.is_over() && !best.faults.is_empty() {
        let sample = world.as_ref().and_then(|world| search.few_faults(world));
        let Some(found) = sample.or_else(|| Some(best.clone()).filter(|best| search.fails(best))) else {
            idle += 1;
            continue;
        };
        let found = search.thin_out(found);
        idle = if found.faults.len() < best.faults.len() { 0 } else { idle + 1 };
        if weight(&found) < weight(&best) {
            // Other seeds may do with even less of what is left.
            world = Some(World { plan: found.topology.clone(), kinds: kinds_of(&found) });
            best = found;
        }
    }
    search.rounded(best)
}

/// A topology and the kinds of faults that happen in it.
struct World {
    plan: Plan,
    kinds: Vec<Fault>,
}

struct Search {
    start: Script,
    until: Instant,
    rng: Rng,
}

impl Search {
    /// A small topology in which some seed fails, without faults if need be.
    fn small_world(&mut self) -> Option<World> {
        let (kinds, whole) = (kinds_of(&self.start), self.start.topology.clone());
        CAPS.iter().find_map(|cap| {
            let plan = capped(&whole, cap);
            let calm = World { plan: plan.clone(), kinds: Vec::new() };
            let world = World { plan, kinds: kinds.clone() };
            let tries = [(calm, SEEDS_OF_CALM), (world, SEEDS_A_WORLD)];
            let found = tries.into_iter().find(|(world, seeds)| self.some_seed(world, *seeds).is_some());
            found.map(|(world, _)| world)
        })
    }

    /// Of many seeds of a world the script with the fewest faults.
    fn few_faults(&mut self, world: &World) -> Option<Script> {
        let mut fewest: Option<Script> = None;
        for _ in 0..SAMPLES {
            let Some(found) = self.some_seed(world, SEEDS_A_WORLD) else { break };
            if !self.is_clean(&found) {
                continue;
            }
            if fewest.as_ref().is_none_or(|fewest| weight(&found) < weight(fewest)) {
                fewest = Some(found);
            }
        }
        fewest
    }

    /// The script of some seed of a world that fails.
    fn some_seed(&mut self, world: &World, count: u64) -> Option<Script> {
        let first = self.rng.next_u64();
        let mut swarm = Swarm::calm();
        for kind in &world.kinds {
            // A short run has few occasions.
            let rate = Swarm::these([*kind]).rate(*kind);
            swarm.with(*kind, (rate * MORE_OFTEN).min(50_000));
        }
        let found = parallel::first(count, self.threads(), |index| {
            let (plan, swarm) = (Some(world.plan.clone()), Some(swarm.clone()));
            let options = Options { plan, swarm, events: Some(MOST_EVENTS), ..Options::default() };
            let seed = first.wrapping_add(index) & SHORT_SEED;
            let report = (!self.is_over()).then(|| workload::check_with(seed, options))?;
            let mut script = report.breaks(&self.start.invariant).then(|| Script::of(&report))??;
            let failure = report.broken.iter().find(|failure| failure.invariant == self.start.invariant);
            script.about = failure.map(|failure| failure.text.clone()).unwrap_or_default();
            script.invariant.clone_from(&self.start.invariant);
            script.mutant = self.start.mutant;
            self.breaks(&script).then_some(script)
        });
        found.map(|(_, script)| script)
    }

    /// Leaves out what is not needed: faults, then parts of the topology, until nothing more can go.
    fn thin_out(&mut self, mut script: Script) -> Script {
        loop {
            let before = weight(&script);
            script = self.fewer_faults(script);
            for plan in smaller_plans(&script.topology) {
                let smaller = Script { topology: plan, ..script.clone() };
                if self.fails(&smaller) {
                    script = smaller;
                    break;
                }
            }
            if weight(&script) >= before || self.is_over() {
                return script;
            }
        }
    }

    /// Leaves out kinds of faults, then ever smaller parts.
    fn fewer_faults(&mut self, mut script: Script) -> Script {
        for kind in self.shuffled(kinds_of(&script)) {
            let faults = script.faults.iter().filter(|fault| fault.fault() != kind).cloned().collect();
            let without = Script { faults, ..script.clone() };
            if self.fails(&without) {
                script = without;
            }
        }
        let mut part = script.faults.len().div_ceil(2).max(1);
        loop {
            let mut smaller = false;
            let mut at = 0;
            while at < script.faults.len() {
                let end = (at + part).min(script.faults.len());
                let faults = script.faults[..at].iter().chain(&script.faults[end..]).cloned().collect();
                let without = Script { faults, ..script.clone() };
                if self.fails(&without) {
                    script = without;
                    smaller = true;
                } else {
                    at = end;
                }
            }
            if part == 1 && !smaller || script.faults.is_empty() || self.is_over() {
                return script;
            }
            if !smaller {
                part = part.div_ceil(2).min(part - 1).max(1);
            }
        }
    }

    /// Planned faults at whole seconds, as far as that makes no difference.
    fn rounded(&self, script: Script) -> Script {
        let round = |occasion: &Occasion| match occasion.clone() {
            Occasion::At { fault, at_us, draw } => {
                Occasion::At { fault, at_us: at_us.next_multiple_of(1_000_000), draw }
            }
            nth @ Occasion::Nth { .. } => nth,
        };
        let rounded = Script { faults: script.faults.iter().map(round).collect(), ..script.clone() };
        if self.breaks(&rounded) && self.is_clean(&rounded) { rounded } else { script }
    }

    /// Whether a script fails, and does so for the mistake that is planted; no when the time is over.
    fn fails(&self, script: &Script) -> bool {
        !self.is_over() && self.breaks(script) && self.is_clean(script)
    }

    fn breaks(&self, script: &Script) -> bool {
        script.run().breaks(&self.start.invariant)
    }

    /// Whether a script about a planted mistake holds without it.
    fn is_clean(&self, script: &Script) -> bool {
        let Some(mutant) = self.start.mutant else { return true };
        mutants::activate(0);
        let report = script.run();
        mutants::activate(mutant);
        report.failure.is_none()
    }

    /// Runs of one process share its memory.
    fn threads(&self) -> usize {
        if self.start.invariant == "X3" { 1 } else { parallel::processors() }
    }

    fn is_over(&self) -> bool {
        Instant::now() > self.until
    }

    fn shuffled<T>(&mut self, mut all: Vec<T>) -> Vec<T> {
        for at in (1..all.len()).rev() {
            all.swap(at, self.rng.below(at + 1));
        }
        all
    }
}

/// The kinds of faults in a script.
fn kinds_of(script: &Script) -> Vec<Fault> {
    let kinds: BTreeSet<Fault> = script.faults.iter().map(Occasion::fault).collect();
    kinds.into_iter().collect()
}

/// What counts: faults, then everything else.
fn weight(script: &Script) -> (usize, u64) {
    let plan = &script.topology;
    let members: usize = plan.groups.iter().map(|group| group.members).sum();
    let servers = plan.name_servers + plan.brokers + plan.producers + plan.topics.len();
    let parts = members + servers + usize::try_from(plan.queues).unwrap_or(0);
    (script.faults.len(), parts as u64 * 20 + plan.messages + plan.safety.as_secs() / 10)
}

/// The most that a topology may have of each thing.
struct Cap {
    servers: usize,
    queues: i32,
    groups: usize,
    members: usize,
    messages: u64,
    safety_s: u64,
}

fn capped(plan: &Plan, cap: &Cap) -> Plan {
    let mut plan = plan.clone();
    plan.name_servers = plan.name_servers.min(cap.servers);
    plan.brokers = plan.brokers.min(cap.servers);
    plan.queues = plan.queues.min(cap.queues);
    plan.groups.truncate(cap.groups);
    plan.groups.iter_mut().for_each(|group| group.members = group.members.min(cap.members));
    plan.topics.retain(|topic| plan.groups.iter().any(|group| group.setup.topic == *topic));
    plan.producers = plan.producers.min(cap.servers);
    plan.messages = plan.messages.min(cap.messages);
    plan.safety = plan.safety.min(Duration::from_secs(cap.safety_s));
    plan.long = false;
    plan
}

/// The plans that have one thing less.
fn smaller_plans(plan: &Plan) -> Vec<Plan> {
    let mut plans = Vec::new();
    let mut add = |change: fn(&mut Plan)| {
        let mut smaller = plan.clone();
        change(&mut smaller);
        if smaller != *plan {
            plans.push(smaller);
        }
    };
    add(|plan| plan.messages = (plan.messages / 2).max(1));
    add(|plan| plan.messages = plan.messages * 3 / 4);
    add(|plan| plan.safety = Duration::from_secs((plan.safety.as_secs() / 2).max(30)).min(plan.safety));
    add(|plan| plan.safety = Duration::from_secs((plan.safety.as_secs() * 3 / 4).max(30)).min(plan.safety));
    add(|plan| plan.name_servers = 1);
    add(|plan| plan.brokers = plan.brokers.saturating_sub(1).max(1));
    add(|plan| plan.queues = (plan.queues - 1).max(1));
    add(|plan| plan.producers = 1);
    add(|plan| plan.old_brokers = false);
    add(|plan| {
        plan.groups.truncate(1);
        plan.topics.retain(|topic| plan.groups.iter().any(|group| group.setup.topic == *topic));
    });
    add(|plan| {
        plan.groups.iter_mut().for_each(|group| group.members = group.members.saturating_sub(1).max(1));
    });
    add(|plan| plan.groups.iter_mut().for_each(|group| group.at_once = 1));
    plans
}

/// Small topologies, the smallest first.
const CAPS: [Cap; 5] = [
    Cap { servers: 1, queues: 1, groups: 1, members: 1, messages: 10, safety_s: 60 },
    Cap { servers: 1, queues: 2, groups: 1, members: 2, messages: 20, safety_s: 120 },
    Cap { servers: 2, queues: 3, groups: 1, members: 2, messages: 40, safety_s: 300 },
    Cap { servers: 3, queues: 4, groups: 2, members: 3, messages: 80, safety_s: 600 },
    Cap { servers: 3, queues: 4, groups: 2, members: 3, messages: 250, safety_s: 1_500 },
];
/// Seeds that are tried in a world before it is given up.
const SEEDS_A_WORLD: u64 = 80;
/// The same in one without faults, where seeds differ little.
const SEEDS_OF_CALM: u64 = 8;
/// Failing seeds of which that with the fewest faults is taken.
const SAMPLES: usize = 6;
/// How often other seeds and another order are tried in vain before it is enough.
const ROUNDS: usize = 2;
/// Faults are so much more likely than in a sweep.
const MORE_OFTEN: u32 = 3;
/// Seeds that are easy to read.
const SHORT_SEED: u64 = 0xffff_ffff;
/// The time one search may take, seconds.
pub(crate) const SECONDS: u64 = 50;
