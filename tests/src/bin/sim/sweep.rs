//! Many seeds in several processes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use clap::Args;
use rocketmq_testkit::sim::workload::{self, Options};
use rocketmq_testkit::sim::{Fault, Report, Script, marks};
use serde::{Deserialize, Serialize};

use crate::seeds::{Seeds, progress};
use crate::{build, parallel};

#[derive(Debug, Args)]
pub(crate) struct Sweep {
    #[command(flatten)]
    seeds: Seeds,
    /// How many processes [default: one a processor]
    #[arg(long)]
    jobs: Option<usize>,
    /// Shows how often each fault happened and each mark was met; it is a failure if one was not
    #[arg(long)]
    marks: bool,
    /// Ends with one line of figures
    #[arg(long)]
    json: bool,
    #[arg(long, hide = true)]
    canary: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Canary {
    #[command(flatten)]
    seeds: Seeds,
    /// Ends with one line of figures
    #[arg(long)]
    json: bool,
}

/// The share of a sweep that one process has.
#[derive(Debug, Args)]
pub(crate) struct Worker {
    #[command(flatten)]
    seeds: Seeds,
    #[arg(long)]
    first: u64,
    #[arg(long)]
    step: usize,
    #[arg(long)]
    canary: bool,
}

/// What one seed gave.
#[derive(Debug, Deserialize, Serialize)]
struct Line {
    seed: u64,
    failure: Option<String>,
    /// Where the script of a failure is.
    script: Option<PathBuf>,
    events: u64,
    virtual_ms: u64,
    cpu_us: u64,
    calm: bool,
    faults: BTreeMap<String, u64>,
    marks: BTreeMap<String, u64>,
}

/// How often something happened: times, and seeds in which it did.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    times: u64,
    seeds: u64,
}

#[derive(Debug, Default)]
struct Sum {
    seeds: u64,
    violations: u64,
    calm: u64,
    events: u64,
    virtual_ms: u64,
    cpu_us: u64,
    faults: BTreeMap<String, Tally>,
    marks: BTreeMap<String, Tally>,
}

impl Sweep {
    pub(crate) fn run(self) -> Result<bool, String> {
        let (sender, lines) = mpsc::channel();
        let started = Instant::now();
        let jobs = self.jobs.unwrap_or_else(parallel::processors).max(1);
        let workers = (0..jobs).map(|job| self.start_worker(job, jobs, sender.clone()));
        let workers = workers.collect::<Result<Vec<_>, _>>()?;
        drop(sender);
        let commit = build::commit().unwrap_or_else(|| "unknown".to_owned());
        let bar = progress(self.seeds.seeds, self.json);
        let mut sum = Sum::default();
        for line in lines {
            let line: Line = serde_json::from_str(&line).map_err(|error| format!("a worker said '{line}': {error}"))?;
            sum.add(&line);
            bar.inc(1);
            if let Some(failure) = &line.failure {
                let seed = line.seed;
                let script = line.script.map(|path| format!("\n    sim replay --script {}", path.display()));
                let script = script.unwrap_or_default();
                bar.set_message(format!("{} violations", sum.violations));
                bar.suspend(|| {
                    eprintln!("seed {seed:#x}: {failure}\n    sim replay --seed {seed:#x} --commit {commit}{script}");
                });
            }
        }
        bar.finish_and_clear();
        let mut whole = sum.seeds == self.seeds.seeds;
        for (mut worker, reader) in workers {
            drop(reader.join());
            whole &= worker.wait().is_ok_and(|status| status.success());
        }
        if !whole {
            return Err(format!("a worker died after {} of {} seeds", sum.seeds, self.seeds.seeds));
        }
        let marked = !self.marks || sum.print_marks();
        let figures = sum.figures(started.elapsed().as_secs_f64());
        if self.json {
            println!("sweep {figures}");
        } else {
            println!("{figures:#}\nseeds without faults: {}", sum.calm);
        }
        Ok(sum.violations == 0 && marked)
    }

    fn start_worker(
        &self,
        job: usize,
        jobs: usize,
        lines: mpsc::Sender<String>,
    ) -> Result<(Child, JoinHandle<()>), String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut worker = Command::new(program);
        worker.arg("worker").args(self.seeds.words());
        worker.args(["--first", &job.to_string(), "--step", &jobs.to_string()]);
        worker.args(self.canary.then_some("--canary")).stdout(Stdio::piped());
        let mut worker = worker.spawn().map_err(|error| error.to_string())?;
        let output = worker.stdout.take().ok_or("a worker has no output")?;
        let read = move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                drop(lines.send(line));
            }
        };
        Ok((worker, std::thread::spawn(read)))
    }
}

impl Canary {
    /// Plants a violation in one of a hundred seeds and looks whether exactly those are red.
    pub(crate) fn run(self) -> Result<bool, String> {
        let planted = self.seeds.all().filter(|seed| is_canary(*seed)).count();
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut sweep = Command::new(program);
        sweep.args(["sweep", "--json", "--canary"]).args(self.seeds.words()).stderr(Stdio::null());
        let swept = sweep.output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&swept.stdout);
        let figures = text.trim().strip_prefix("sweep ").ok_or("the sweep gave no figures")?;
        let figures: serde_json::Value = serde_json::from_str(figures).map_err(|error| error.to_string())?;
        let red = figures["violations"].as_u64().unwrap_or(0);
        let failed = swept.status.code() == Some(i32::from(planted > 0));
        let seeds = self.seeds.seeds;
        if self.json {
            println!("canary {}", serde_json::json!({ "seeds": seeds, "planted": planted, "red": red }));
        } else {
            println!("{red} of {seeds} seeds are red, and {planted} violations were planted");
        }
        Ok(red == planted as u64 && failed)
    }
}

impl Worker {
    /// Runs a share of the seeds, one line each.
    pub(crate) fn run(self) -> Result<bool, String> {
        let first = usize::try_from(self.first).map_err(|error| error.to_string())?;
        for seed in self.seeds.all().skip(first).step_by(self.step.max(1)) {
            let before = cpu_us();
            let canary = self.canary && is_canary(seed);
            let report = workload::check_with(seed, Options { canary, ..Options::default() });
            let cpu_us = cpu_us().saturating_sub(before);
            let script = if self.canary { None } else { keep_script(&report)? };
            let line = Line::of(report, script, cpu_us);
            println!("{}", serde_json::to_string(&line).map_err(|error| error.to_string())?);
        }
        Ok(true)
    }
}

impl Line {
    fn of(report: Report, script: Option<PathBuf>, cpu_us: u64) -> Self {
        let failed = |failure: rocketmq_testkit::sim::Failure| {
            format!("{} at {:?}: {}", failure.invariant, failure.at, failure.text)
        };
        Self {
            seed: report.seed,
            failure: report.failure.map(failed),
            script,
            events: report.events,
            virtual_ms: u64::try_from(report.time.as_millis()).unwrap_or(u64::MAX),
            cpu_us,
            calm: report.history.setup.calm,
            faults: report.counts.iter().filter(|(_, n)| *n > 0).map(|(fault, n)| (fault.id().into(), n)).collect(),
            marks: report.marks.into_iter().map(|(mark, n)| (mark.into(), n)).collect(),
        }
    }
}

impl Sum {
    fn add(&mut self, line: &Line) {
        self.seeds += 1;
        self.violations += u64::from(line.failure.is_some());
        self.calm += u64::from(line.calm);
        self.events += line.events;
        self.virtual_ms += line.virtual_ms;
        self.cpu_us += line.cpu_us;
        for (into, from) in [(&mut self.faults, &line.faults), (&mut self.marks, &line.marks)] {
            for (name, times) in from {
                let tally = into.entry(name.clone()).or_default();
                tally.times += times;
                tally.seeds += 1;
            }
        }
    }

    fn figures(&self, wall: f64) -> serde_json::Value {
        let cpu = ratio(self.cpu_us, 1e6);
        serde_json::json!({
            "seeds": self.seeds,
            "violations": self.violations,
            "seeds_per_cpu_s": round(ratio(self.seeds, cpu)),
            "sim_hours_per_cpu_s": round(ratio(self.virtual_ms, 3.6e6 * cpu)),
            "seeds_per_min": round(ratio(self.seeds, wall / 60.0)),
            "events_per_s": round(ratio(self.events, cpu)),
        })
    }

    /// Prints how often each fault and mark was met; whether each was.
    fn print_marks(&self) -> bool {
        println!("{:<10} {:>8} {:>7}  fault or mark", "id", "times", "seeds");
        let faults = Fault::ALL.iter().map(|fault| {
            let tally = self.faults.get(fault.id()).copied().unwrap_or_default();
            (fault.id(), tally, format!("{fault:?}"), FAULT_TIMES)
        });
        let marks = marks::ALL.iter().map(|mark| {
            let tally = self.marks.get(*mark).copied().unwrap_or_default();
            ("mark", tally, (*mark).to_owned(), MARK_TIMES)
        });
        let mut enough = true;
        for (id, tally, what, least) in faults.chain(marks) {
            let note = match tally.times {
                0 => "  NEVER",
                times if times < least => "  rare",
                _ => "",
            };
            enough &= tally.times > 0;
            println!("{id:<10} {:>8} {:>7}  {what}{note}", tally.times, tally.seeds);
        }
        for mark in self.marks.keys().filter(|mark| !marks::ALL.contains(&mark.as_str())) {
            println!("mark '{mark}' is met and not on the list of those that must be");
        }
        enough
    }
}

fn is_canary(seed: u64) -> bool {
    rocketmq_core::rng::Rng::new(seed).below(100) == 0
}

/// Writes the script of a run that failed.
fn keep_script(report: &Report) -> Result<Option<PathBuf>, String> {
    let Some(script) = Script::of(report) else { return Ok(None) };
    let path = Path::new("target/sim").join(format!("{:032x}.json", report.hash));
    script.write(&path)?;
    Ok(Some(path))
}

/// The time this thread was on a processor, microseconds.
fn cpu_us() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|text| text.parse::<u64>().ok());
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let wall = || u64::try_from(START.get_or_init(Instant::now).elapsed().as_micros()).unwrap_or(u64::MAX);
    nanos.map_or_else(wall, |nanos| nanos / 1_000)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn ratio(value: u64, unit: f64) -> f64 {
    value as f64 / unit
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// In 3,000 seeds each fault is to happen so often.
const FAULT_TIMES: u64 = 30;
/// And each mark is to be met so often.
const MARK_TIMES: u64 = 10;
