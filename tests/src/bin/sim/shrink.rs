//! From a failing seed to the few faults that it takes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rocketmq_testkit::sim::workload::{self, Options};
use rocketmq_testkit::sim::{Fault, Report};

use crate::args::Args;
use crate::mutants;
use crate::script::Script;

/// Shrinks a failing seed and writes its script.
pub(crate) fn run(args: &Args) -> Result<bool, String> {
    mutants::plant(args)?;
    let seed = args.number("seed", None)?;
    let Some(found) = workload::check(seed).failure else { return Err(format!("seed {seed:#x} does not fail")) };
    let script = shrink(seed, found.invariant);
    let default = || PathBuf::from(format!("target/sim/{seed:x}.json"));
    let path = args.text("out").map_or_else(default, PathBuf::from);
    script.write(&path)?;
    println!(
        "{} events, {:?} messages, {}: {}",
        script.events.len(),
        script.messages,
        script.invariant,
        path.display()
    );
    script.events.iter().for_each(|(id, nth)| println!("  {id} number {nth}"));
    Ok(true)
}

/// The smallest script found in time that breaks the same invariant.
pub(crate) fn shrink(seed: u64, invariant: &str) -> Script {
    let mut search = Search { seed, invariant, until: Instant::now() + TIME, messages: None };
    let whole = workload::check(seed);
    let mut events: Vec<(Fault, u64)> =
        whole.wanted.iter().flat_map(|(fault, times)| (0..times).map(move |nth| (fault, nth))).collect();
    // Whole kinds first, the frequent ones before the rare.
    let mut kinds: Vec<(u64, Fault)> = whole.wanted.iter().map(|(fault, times)| (times, fault)).collect();
    kinds.sort_unstable_by(|one, two| two.cmp(one));
    for (_, kind) in kinds.into_iter().filter(|(times, _)| *times > 0) {
        let without: Vec<_> = events.iter().copied().filter(|(fault, _)| *fault != kind).collect();
        if search.fails(&without) {
            events = without;
        }
    }
    events = search.minimise(events);
    for messages in [5, 10, 20, 40] {
        search.messages = Some(messages);
        if search.fails(&events) {
            events = search.minimise(events);
            break;
        }
        search.messages = None;
    }
    let events = events.into_iter().map(|(fault, nth)| (fault.id().to_owned(), nth)).collect();
    Script { seed, invariant: invariant.to_owned(), messages: search.messages, events }
}

struct Search<'a> {
    seed: u64,
    invariant: &'a str,
    until: Instant,
    messages: Option<u64>,
}

impl Search<'_> {
    /// Whether the same invariant breaks with these faults only; no when the time is over.
    fn fails(&self, events: &[(Fault, u64)]) -> bool {
        let options = Options { script: Some(events.to_vec()), messages: self.messages, ..Options::default() };
        Instant::now() < self.until && breaks(&workload::check_with(self.seed, options), self.invariant)
    }

    /// Leaves out ever smaller parts.
    fn minimise(&self, mut events: Vec<(Fault, u64)>) -> Vec<(Fault, u64)> {
        let mut part = events.len().div_ceil(2).max(1);
        loop {
            let (mut at, mut smaller) = (0, false);
            while at < events.len() {
                let end = (at + part).min(events.len());
                let without: Vec<_> = events[..at].iter().chain(&events[end..]).copied().collect();
                if self.fails(&without) {
                    events = without;
                    smaller = true;
                } else {
                    at = end;
                }
            }
            if part == 1 && !smaller {
                return events;
            }
            if !smaller {
                part = part.div_ceil(2).min(part - 1).max(1);
            }
        }
    }
}

/// Whether a run breaks this invariant.
pub(crate) fn breaks(report: &Report, invariant: &str) -> bool {
    report.broken.iter().any(|failure| failure.invariant == invariant)
}

/// The time one search may take.
const TIME: Duration = Duration::from_secs(55);
