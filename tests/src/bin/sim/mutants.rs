//! Mistakes planted in the client, to see that the simulator finds each, by the invariant that is meant to.

use std::process::Command;

use rocketmq_testkit::sim::workload;

use crate::args::Args;
use crate::shrink;

/// A planted mistake.
struct Mutant {
    number: u32,
    what: &'static str,
    /// The invariants that may find it.
    by: &'static [&'static str],
}

/// Plants each mistake in turn and looks for the first seed that finds it.
pub(crate) fn run(args: &Args) -> Result<bool, String> {
    if !cfg!(sim_mutants) {
        return rebuilt(args);
    }
    let most = args.number("max-seeds", Some(2_000))?;
    let only = args.number("only", Some(0))?;
    let (mut needed, mut events, mut tried) = (Vec::new(), Vec::new(), 0);
    println!("{:<5} {:>6}  {:<10} {:<10} mistake", "id", "seeds", "meant", "found");
    for mutant in MUTANTS.iter().filter(|mutant| only == 0 || u64::from(mutant.number) == only) {
        tried += 1;
        activate(mutant.number);
        let found = (0..most).find_map(|seed| {
            let report = workload::check(seed);
            let hit = mutant.by.iter().find(|id| shrink::breaks(&report, id))?;
            Some((seed, *hit))
        });
        let meant = mutant.by.join(" ");
        match found {
            Some((seed, by)) => {
                needed.push(seed + 1);
                let script = args.has("shrink").then(|| shrink::shrink(seed, by).events.len());
                events.extend(script);
                let note = script.map(|events| format!(" ({events} events)")).unwrap_or_default();
                println!("M{:<4} {:>6}  {meant:<10} {by:<10} {}{note}", mutant.number, seed + 1, mutant.what);
            }
            None => println!("M{:<4} {:>6}  {meant:<10} {:<10} {}", mutant.number, "-", "SURVIVES", mutant.what),
        }
        activate(0);
    }
    needed.sort_unstable();
    events.sort_unstable();
    let median = needed.get(needed.len() / 2).copied().unwrap_or(0);
    if let Some(median) = events.get(events.len() / 2) {
        println!("median of the scripts: {median} events");
    }
    if args.has("json") {
        let max = needed.last().copied().unwrap_or(0);
        let killed = needed.len();
        println!(
            "{}",
            serde_json::json!({ "mutants": tried, "killed": killed, "median_seeds": median, "max_seeds": max })
        );
    }
    Ok(needed.len() == tried)
}

/// Plants the mistake that `--mutant` names.
pub(crate) fn plant(args: &Args) -> Result<(), String> {
    let number = args.number("mutant", Some(0))?;
    if number > 0 && !cfg!(sim_mutants) {
        return Err("mistakes exist only in a build with --cfg sim_mutants: see `sim mutants`".to_owned());
    }
    activate(u32::try_from(number).unwrap_or(0));
    Ok(())
}

/// The same command in a build that has mistakes, in a target directory of its own.
fn rebuilt(args: &Args) -> Result<bool, String> {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned()) + "/mutants";
    let mut command = Command::new("cargo");
    command.args(["run", "--release", "-p", "rocketmq-testkit", "--bin", "sim", "--", "mutants"]);
    command.args(args.words()).env("RUSTFLAGS", "--cfg sim_mutants").env("CARGO_TARGET_DIR", target);
    command.status().map(|status| status.success()).map_err(|error| error.to_string())
}

#[cfg(sim_mutants)]
fn activate(number: u32) {
    rocketmq_core::mutants::activate(number);
}

#[cfg(not(sim_mutants))]
fn activate(_: u32) {}

const MUTANTS: &[Mutant] = &[
    Mutant { number: 1, what: "a failed message is settled before the broker has it", by: &["C3", "C1"] },
    Mutant { number: 2, what: "the end of the last settled message is committed", by: &["C3"] },
    Mutant { number: 3, what: "the pull of an earlier assignment counts", by: &["R4", "C6", "C1"] },
    Mutant { number: 4, what: "an offset that could not be asked is 0", by: &["C4", "C5"] },
    Mutant { number: 5, what: "an offset outside its queue goes on at 0", by: &["C4", "C5"] },
    Mutant { number: 6, what: "what follows an unreadable record is dropped", by: &["C6", "C1"] },
    Mutant { number: 8, what: "a broadcasting member forgets where it was in a queue that goes", by: &["C8"] },
    Mutant { number: 15, what: "a queue added later is never pulled", by: &["R1", "L1"] },
    Mutant { number: 16, what: "a throttled queue is never pulled again", by: &["L1"] },
    Mutant { number: 18, what: "no answer counts as not stored", by: &["P4"] },
    Mutant { number: 20, what: "a flush that timed out counts as safe", by: &["P6"] },
    Mutant { number: 21, what: "attempts are not counted", by: &["P7"] },
    Mutant { number: 22, what: "of two frames in one read the second is lost", by: &["P3", "L1", "C1"] },
    Mutant { number: 27, what: "tags are compared by their hash", by: &["C2"] },
    Mutant { number: 32, what: "every member takes all queues", by: &["R1"] },
];
