//! One run again, to look at.

use std::path::Path;

use rocketmq_testkit::sim::workload::{self, Options};

use crate::args::Args;
use crate::script::Script;
use crate::{html, mutants};

/// Runs a seed or a script and tells how it went.
pub(crate) fn run(args: &Args) -> Result<bool, String> {
    mutants::plant(args)?;
    let (seed, mut options) = match args.text("script") {
        Some(path) => {
            let script = Script::read(Path::new(path))?;
            (script.seed, script.options()?)
        }
        None => (args.number("seed", None)?, Options::default()),
    };
    options.trace = args.has("trace") || args.has("html");
    let report = workload::check_with(seed, options);
    if args.has("trace") {
        report.trace.iter().for_each(|line| println!("{line}"));
    }
    if let Some(path) = args.text("html") {
        std::fs::write(path, html::page(&report)).map_err(|error| format!("{path}: {error}"))?;
    }
    println!("seed {seed:#x}: hash {:032x}, {} events, {:?}", report.hash, report.events, report.time);
    let faults = report.counts.iter().filter(|(_, times)| *times > 0);
    let faults: Vec<String> = faults.map(|(fault, times)| format!("{} {fault:?} {times}", fault.id())).collect();
    println!("faults: {}", faults.join(", "));
    for failure in &report.broken {
        println!("VIOLATED {} at {:?}: {}", failure.invariant, failure.at, failure.text);
    }
    if report.broken.is_empty() {
        println!("every invariant holds");
    }
    Ok(report.failure.is_none())
}
