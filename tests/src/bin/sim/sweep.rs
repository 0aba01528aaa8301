//! Many seeds in several processes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use rocketmq_testkit::sim::Fault;
use rocketmq_testkit::sim::workload::{self, Options};
use serde::{Deserialize, Serialize};

use crate::args::Args;

/// What one seed gave.
#[derive(Debug, Deserialize, Serialize)]
struct Line {
    seed: u64,
    failure: Option<String>,
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

/// Runs the seeds from the base on.
pub(crate) fn run(args: &Args) -> Result<bool, String> {
    let (seeds, jobs, base) = (args.number("seeds", None)?, args.number("jobs", Some(2))?.max(1), args.base()?);
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let (sender, lines) = mpsc::channel();
    let started = Instant::now();
    let mut workers = Vec::new();
    for job in 0..jobs {
        let mut worker = Command::new(&program)
            .args(["worker", "--base", &base.to_string(), "--seeds", &seeds.to_string()])
            .args(["--first", &job.to_string(), "--step", &jobs.to_string()])
            .args(args.has("canary").then_some("--canary"))
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let output = worker.stdout.take().ok_or("a worker has no output")?;
        let sender = sender.clone();
        workers.push((
            worker,
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    drop(sender.send(line));
                }
            }),
        ));
    }
    drop(sender);
    let mut sum = Sum::default();
    for line in lines {
        let line: Line = serde_json::from_str(&line).map_err(|error| format!("a worker said '{line}': {error}"))?;
        sum.add(&line);
        if let Some(failure) = &line.failure {
            eprintln!("\rseed {:#x}: {failure}\n    sim replay --seed {:#x} --trace", line.seed, line.seed);
        }
        if sum.seeds % 20 == 0 {
            eprint!("\r{:>6} of {seeds} seeds, {} violations ", sum.seeds, sum.violations);
            drop(std::io::stderr().flush());
        }
    }
    eprintln!();
    let mut whole = sum.seeds == seeds;
    for (mut worker, reader) in workers {
        drop(reader.join());
        whole &= worker.wait().is_ok_and(|status| status.success());
    }
    if !whole {
        return Err(format!("a worker died after {} of {seeds} seeds", sum.seeds));
    }
    let marked = !args.has("marks") || sum.print_marks();
    let cpu = seconds(sum.cpu_us, 1e6);
    let figures = serde_json::json!({
        "seeds": sum.seeds,
        "violations": sum.violations,
        "seeds_per_cpu_s": round(seconds(sum.seeds, 1.0) / cpu),
        "sim_hours_per_cpu_s": round(seconds(sum.virtual_ms, 3.6e6) / cpu),
        "seeds_per_min": round(seconds(sum.seeds, 1.0) / started.elapsed().as_secs_f64() * 60.0),
        "events_per_s": round(seconds(sum.events, 1.0) / cpu),
    });
    if args.has("json") {
        println!("{figures}");
    } else {
        println!("{figures:#}\nseeds without faults: {}", sum.calm);
    }
    Ok(sum.violations == 0 && marked)
}

/// Plants a violation in one of a hundred seeds and looks whether exactly those are red.
pub(crate) fn canary(args: &Args) -> Result<bool, String> {
    let (seeds, base) = (args.number("seeds", None)?, args.base()?);
    let planted = (0..seeds).filter(|index| is_canary(base.wrapping_add(*index))).count();
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let swept = Command::new(program)
        .args(["sweep", "--json", "--canary", "--seeds", &seeds.to_string(), "--base", &base.to_string()])
        .output()
        .map_err(|error| error.to_string())?;
    let figures: serde_json::Value = serde_json::from_slice(&swept.stdout).map_err(|error| error.to_string())?;
    let red = figures["violations"].as_u64().unwrap_or(0);
    let failed = swept.status.code() == Some(i32::from(planted > 0));
    let figures = serde_json::json!({ "seeds": seeds, "planted": planted, "red": red });
    println!("{figures}");
    Ok(red == planted as u64 && failed)
}

fn is_canary(seed: u64) -> bool {
    rocketmq_core::rng::Rng::new(seed).below(100) == 0
}

/// Runs a share of the seeds, one line each.
pub(crate) fn work(args: &Args) -> Result<bool, String> {
    let (seeds, base) = (args.number("seeds", None)?, args.base()?);
    let (first, step) = (args.number("first", Some(0))?, args.number("step", Some(1))?.max(1));
    let mut index = first;
    while index < seeds {
        let seed = base.wrapping_add(index);
        let before = cpu_us();
        let canary = args.has("canary") && is_canary(seed);
        let report = workload::check_with(seed, Options { canary, ..Options::default() });
        let line = Line {
            seed,
            failure: report
                .failure
                .map(|failure| format!("{} at {:?}: {}", failure.invariant, failure.at, failure.text)),
            events: report.events,
            virtual_ms: u64::try_from(report.time.as_millis()).unwrap_or(u64::MAX),
            cpu_us: cpu_us().saturating_sub(before),
            calm: report.history.setup.calm,
            faults: report.counts.iter().filter(|(_, n)| *n > 0).map(|(fault, n)| (fault.id().into(), n)).collect(),
            marks: report.marks.into_iter().map(|(mark, n)| (mark.into(), n)).collect(),
        };
        let text = serde_json::to_string(&line).map_err(|error| error.to_string())?;
        println!("{text}");
        index += step;
    }
    Ok(true)
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

    /// Prints how often each fault and mark was met; whether each was met often enough.
    fn print_marks(&self) -> bool {
        let mut enough = true;
        println!("{:<10} {:>8} {:>7}  fault", "id", "times", "seeds");
        for fault in Fault::ALL {
            let tally = self.faults.get(fault.id()).copied().unwrap_or_default();
            let rare = tally.times < FAULT_TIMES;
            enough &= !rare;
            let note = if rare { "  RARE" } else { "" };
            println!("{:<10} {:>8} {:>7}  {fault:?}{note}", fault.id(), tally.times, tally.seeds);
        }
        for (mark, tally) in &self.marks {
            let rare = tally.times < MARK_TIMES;
            enough &= !rare;
            println!(
                "{:<10} {:>8} {:>7}  {mark}{}",
                "mark",
                tally.times,
                tally.seeds,
                if rare { "  RARE" } else { "" }
            );
        }
        enough
    }
}

/// The time this thread was on a processor, microseconds.
pub(crate) fn cpu_us() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|text| text.parse::<u64>().ok());
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let wall = || u64::try_from(START.get_or_init(Instant::now).elapsed().as_micros()).unwrap_or(u64::MAX);
    nanos.map_or_else(wall, |nanos| nanos / 1_000)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn seconds(value: u64, unit: f64) -> f64 {
    value as f64 / unit
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// In 3,000 seeds each fault is to happen so often.
const FAULT_TIMES: u64 = 30;
/// And each mark is to be met so often.
const MARK_TIMES: u64 = 10;
