//! One run again, to look at.

use std::path::PathBuf;

use clap::Args;
use rocketmq_testkit::sim::Script;
use rocketmq_testkit::sim::workload::{self, Options};

use crate::{build, mutants, seeds};

#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    what: What,
    /// The commit that the seed failed at: another one makes another run of it
    #[arg(long, requires = "seed")]
    commit: Option<String>,
    /// Plants the mistake with this number
    #[arg(long, default_value_t = 0)]
    mutant: u32,
    /// Prints what happens line by line
    #[arg(long)]
    trace: bool,
    /// Draws what happens
    #[arg(long)]
    html: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The seed
    #[arg(long, value_parser = seeds::number)]
    seed: Option<u64>,
    /// A script
    #[arg(long)]
    script: Option<PathBuf>,
    /// A file whose bytes the choices come from, as the fuzzer leaves it
    #[arg(long)]
    tape: Option<PathBuf>,
}

impl Replay {
    pub(crate) fn run(self) -> Result<bool, String> {
        mutants::plant(self.mutant)?;
        let options = Options { trace: self.trace || self.html.is_some(), ..Options::default() };
        let report = match (&self.what.script, &self.what.tape, self.what.seed) {
            (Some(path), ..) => Script::read(path)?.run_with(options),
            (_, Some(path), _) => {
                let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
                workload::check_tape_with(&bytes, options)
            }
            (_, _, Some(seed)) => {
                self.warn_of_another_commit();
                workload::check_with(seed, options)
            }
            _ => return Err("nothing to replay".to_owned()),
        };
        report.trace.iter().for_each(|line| println!("{line}"));
        if let Some(path) = &self.html {
            std::fs::write(path, report.html()).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        println!("seed {:#x}: hash {:032x}, {} events, {:?}", report.seed, report.hash, report.events, report.time);
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

    fn warn_of_another_commit(&self) {
        let (Some(wanted), Some(here)) = (&self.commit, build::commit()) else { return };
        if !here.starts_with(wanted.as_str()) {
            eprintln!("sim: the seed belongs to commit {wanted}, and this is {here}: it may be another run");
        }
    }
}
