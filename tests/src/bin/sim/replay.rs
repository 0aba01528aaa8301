//! One seed again, to look at.

use rocketmq_testkit::sim::workload::{self, Options};

use crate::args::Args;

/// Runs a seed and tells how it went.
pub(crate) fn run(args: &Args) -> Result<bool, String> {
    let seed = args.number("seed", None)?;
    let trace = args.has("trace");
    let report = workload::check_with(seed, Options { trace, ..Options::default() });
    report.trace.iter().for_each(|line| println!("{line}"));
    println!("seed {seed:#x}: hash {:032x}, {} events, {:?}", report.hash, report.events, report.time);
    let faults = report.counts.iter().filter(|(_, times)| *times > 0);
    let faults: Vec<String> = faults.map(|(fault, times)| format!("{} {fault:?} {times}", fault.id())).collect();
    println!("faults: {}", faults.join(", "));
    match &report.failure {
        Some(failure) => println!("VIOLATED {} at {:?}: {}", failure.invariant, failure.at, failure.text),
        None => println!("every invariant holds"),
    }
    Ok(report.failure.is_none())
}
