//! Same seed, same run: twice in this process, once in a fresh one, and some in a build of the other profile.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;
use rocketmq_testkit::sim::workload::{self, Options};

use crate::build;
use crate::seeds::{Seeds, progress};

#[derive(Debug, Args)]
pub(crate) struct Determinism {
    #[command(flatten)]
    seeds: Seeds,
    /// Another build of this program, instead of one that cargo makes
    #[arg(long)]
    with: Option<PathBuf>,
    /// Only figures, one line
    #[arg(long)]
    json: bool,
}

impl Determinism {
    pub(crate) fn run(self) -> Result<bool, String> {
        let few = Seeds { seeds: self.seeds.seeds.min(OTHER_BUILD), ..self.seeds };
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        // They run while this process does.
        let fresh = started(Command::new(program), &self.seeds)?;
        let other = match &self.with {
            Some(program) => Command::new(program),
            None => build::cargo_run(cfg!(debug_assertions))?,
        };
        let other = started(other, &few)?;
        let bar = progress(self.seeds.seeds, self.json);
        let mut ours = Vec::new();
        let mut differ = Vec::new();
        for seed in self.seeds.all() {
            let (first, second) = (workload::check(seed).hash, workload::check(seed).hash);
            ours.push(line(seed, first));
            if first != second {
                differ.push((seed, "twice in this process"));
            }
            bar.inc(1);
        }
        let fresh = lines(fresh, "a fresh process", &self.seeds)?;
        let other = lines(other, "the other build", &few)?;
        bar.finish_and_clear();
        for (theirs, what) in [(fresh, "in a fresh process"), (other, "in the other build")] {
            let pairs = self.seeds.all().zip(ours.iter().zip(&theirs));
            differ.extend(pairs.filter(|(_, (ours, theirs))| ours != theirs).map(|(seed, _)| (seed, what)));
        }
        for (seed, what) in &differ {
            eprintln!("seed {seed:#x} is another run {what}");
            print_difference(*seed);
        }
        differ.sort_unstable();
        differ.dedup_by_key(|(seed, _)| *seed);
        let (seeds, equal) = (self.seeds.seeds, self.seeds.seeds - differ.len() as u64);
        if self.json {
            println!("determinism {}", serde_json::json!({ "seeds": seeds, "equal": equal }));
        } else {
            println!("{equal} of {seeds} seeds are equal, {} of them in the other build too", few.seeds);
        }
        Ok(equal == seeds)
    }
}

/// Prints the hash of each seed.
pub(crate) fn print_hashes(seeds: &Seeds) -> Result<bool, String> {
    seeds.all().for_each(|seed| println!("{}", line(seed, workload::check(seed).hash)));
    Ok(true)
}

fn line(seed: u64, hash: u128) -> String {
    format!("{seed:#x} {hash:032x}")
}

fn started(mut program: Command, seeds: &Seeds) -> Result<std::process::Child, String> {
    program.arg("hash").args(seeds.words()).stdout(Stdio::piped());
    program.spawn().map_err(|error| format!("{}: {error}", program.get_program().to_string_lossy()))
}

fn lines(child: std::process::Child, what: &str, seeds: &Seeds) -> Result<Vec<String>, String> {
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    if !output.status.success() || lines.len() as u64 != seeds.seeds {
        return Err(format!("{what} gave {} hashes of {} and ended with {}", lines.len(), seeds.seeds, output.status));
    }
    Ok(lines)
}

/// Where two runs of a seed in this process begin to differ.
fn print_difference(seed: u64) {
    let options = Options { trace: true, ..Options::default() };
    let (one, two) = (workload::check_with(seed, options.clone()), workload::check_with(seed, options));
    if let Some((one, two)) = one.trace.iter().zip(&two.trace).find(|(one, two)| one != two) {
        eprintln!("first difference:\n  {one}\n  {two}");
    }
}

/// A debug build is slow: it runs only so many of the seeds.
const OTHER_BUILD: u64 = 20;
