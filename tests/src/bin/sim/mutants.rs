//! Mistakes planted in the client, to see that the simulator finds each, by the invariant that is meant to.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use rocketmq_testkit::sim::Script;
use rocketmq_testkit::sim::script::MOST_EVENTS;
use rocketmq_testkit::sim::workload::{self, Options};

use crate::{build, parallel, shrink};

#[derive(Debug, Args)]
pub(crate) struct Mutants {
    /// Seeds that are tried before a mistake has survived
    #[arg(long, default_value_t = 2_000)]
    max_seeds: u64,
    /// Only the mistakes with these numbers
    #[arg(long, value_delimiter = ',')]
    only: Vec<u32>,
    /// Makes a script of the first seed that finds each
    #[arg(long)]
    shrink: bool,
    /// Where those scripts are written
    #[arg(long, requires = "shrink")]
    out: Option<PathBuf>,
    /// The time that one script may take
    #[arg(long, default_value_t = shrink::SECONDS)]
    seconds: u64,
    /// Ends with one line of figures
    #[arg(long)]
    json: bool,
}

/// A planted mistake.
struct Mutant {
    number: u32,
    what: &'static str,
    /// The invariants that may find it.
    by: &'static [&'static str],
}

impl Mutants {
    /// Plants each mistake in turn, looks for the first seed that finds it, and runs the scripts that know it.
    pub(crate) fn run(self) -> Result<bool, String> {
        if !cfg!(sim_mutants) {
            return rebuilt();
        }
        let regressions = regressions()?;
        let (mut needed, mut shrunk, mut tried, mut lost) = (Vec::new(), Vec::new(), 0, 0);
        println!("{:<5} {:>6}  {:<10} {:<10} mistake", "id", "seeds", "meant", "found");
        for mutant in MUTANTS.iter().filter(|mutant| self.only.is_empty() || self.only.contains(&mutant.number)) {
            tried += 1;
            activate(mutant.number);
            let found = parallel::first(self.max_seeds, parallel::processors(), |seed| {
                let report = workload::check_with(seed, Options { events: Some(MOST_EVENTS), ..Options::default() });
                mutant.by.iter().find(|id| report.breaks(id)).copied()
            });
            let (seeds, by) = match found {
                Some((seed, by)) => ((seed + 1).to_string(), by),
                None => ("-".to_owned(), "SURVIVES"),
            };
            println!("M{:<4} {seeds:>6}  {:<10} {by:<10} {}", mutant.number, mutant.by.join(" "), mutant.what);
            lost += scripts_lost(&regressions, mutant.number);
            if let Some((seed, by)) = found {
                needed.push(seed + 1);
                // Runs of groups that pop have no plan, and no script can be made of them.
                if self.shrink && !by.starts_with('V') {
                    shrunk.push(self.shrink(mutant, seed, by)?);
                }
            }
            activate(0);
        }
        let mut by_script = 0;
        for mutant in ONCE_OURS.iter().filter(|mutant| self.only.is_empty() || self.only.contains(&mutant.number)) {
            activate(mutant.number);
            tried += 1;
            let known = regressions.iter().any(|(_, script)| script.mutant == Some(mutant.number));
            let missing = scripts_lost(&regressions, mutant.number) + usize::from(!known);
            let by = if missing == 0 { "script" } else { "SURVIVES" };
            println!("M{:<4} {:>6}  {:<10} {by:<10} {}", mutant.number, "-", mutant.by.join(" "), mutant.what);
            by_script += usize::from(missing == 0);
            activate(0);
        }
        needed.sort_unstable();
        let (median, max) = (median(&needed).unwrap_or(0), needed.last().copied().unwrap_or(0));
        let mut events: Vec<usize> = shrunk.iter().map(|(events, _)| *events).collect();
        events.sort_unstable();
        if let (Some(median), Some(slowest)) = (self::median(&events), shrunk.iter().map(|(_, time)| time).max()) {
            println!("scripts: median of {median} faults, at most {:?}; slowest {slowest:.1?}", events.last());
        }
        let killed = needed.len() + by_script;
        if self.json {
            let figures = serde_json::json!({
                "mutants": tried, "killed": killed, "median_seeds": median, "max_seeds": max,
            });
            println!("mutants {figures}");
        } else {
            println!("{killed} of {tried} mistakes are found, in the median by {median} seeds, at most {max}");
        }
        Ok(killed == tried && lost == 0)
    }

    /// How many faults the script has, and how long it took.
    fn shrink(&self, mutant: &Mutant, seed: u64, by: &str) -> Result<(usize, Duration), String> {
        let begun = Instant::now();
        let start = shrink::of_seed(seed, by, mutant.number)?;
        let mut script = shrink::shrink(start, Duration::from_secs(self.seconds));
        let took = begun.elapsed();
        println!("      {} faults after {took:.1?}", script.faults.len());
        script.faults.iter().take(SHOWN).for_each(|fault| println!("      {fault}"));
        if let Some(out) = &self.out {
            mutant.what.clone_into(&mut script.about);
            script.write(out.join(format!("mutant-{:02}.json", mutant.number)))?;
        }
        Ok((script.faults.len(), took))
    }
}

/// Plants the mistake with this number, if it is not 0.
pub(crate) fn plant(number: u32) -> Result<(), String> {
    if number > 0 && !cfg!(sim_mutants) {
        return Err("mistakes exist only in a build with --cfg sim_mutants: see `sim mutants`".to_owned());
    }
    activate(number);
    Ok(())
}

/// The scripts that are kept.
fn regressions() -> Result<Vec<(PathBuf, Script)>, String> {
    let folder = build::checkout()?.join("regressions");
    let files = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let files = files.filter_map(|file| Some(file.ok()?.path()));
    let scripts = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    scripts.map(|path| Ok((path.clone(), Script::read(path)?))).collect()
}

/// How many of the scripts of a mistake do not find it any more.
fn scripts_lost(regressions: &[(PathBuf, Script)], number: u32) -> usize {
    let of_it = regressions.iter().filter(|(_, script)| script.mutant == Some(number));
    let lost = of_it.filter(|(_, script)| !script.fails());
    lost.map(|(path, _)| println!("      {} does not find it any more", path.display())).count()
}

/// The same command in a build that has mistakes, in a target directory of its own.
fn rebuilt() -> Result<bool, String> {
    let root = build::checkout()?.join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |target| root.join(target));
    let mut cargo: Command = build::cargo_run(true)?;
    cargo.args(std::env::args_os().skip(1)).env("RUSTFLAGS", "--cfg sim_mutants");
    cargo.env("CARGO_TARGET_DIR", target.join("mutants"));
    match cargo.status().map_err(|error| error.to_string())?.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        other => Err(format!("the build with mistakes ended with {other:?}")),
    }
}

fn median<T: Copy>(sorted: &[T]) -> Option<T> {
    sorted.get(sorted.len() / 2).copied()
}

/// Faults of a script that are printed.
const SHOWN: usize = 12;

#[cfg(sim_mutants)]
pub(crate) fn activate(number: u32) {
    rocketmq_core::mutants::activate(number);
}

#[cfg(not(sim_mutants))]
pub(crate) fn activate(_: u32) {}

const MUTANTS: &[Mutant] = &[
    Mutant { number: 1, what: "a failed message is settled before the broker has it", by: &["C3", "C1"] },
    Mutant { number: 2, what: "the end of the last settled message is committed", by: &["C3"] },
    Mutant { number: 3, what: "the pull of an earlier assignment counts", by: &["R4", "C5", "C6", "C1"] },
    Mutant { number: 4, what: "an offset that could not be asked is 0", by: &["C4", "C5"] },
    Mutant { number: 5, what: "an offset outside its queue goes on at 0", by: &["C4", "C5"] },
    Mutant { number: 6, what: "what follows an unreadable record is dropped", by: &["C7"] },
    Mutant { number: 7, what: "a body that does not inflate is delivered as it is", by: &["C2"] },
    Mutant { number: 8, what: "a broadcasting member forgets where it was in a queue that goes", by: &["C8"] },
    Mutant {
        number: 9,
        what: "a queue in order that waits for long is dropped and begun again",
        by: &["O3", "C5", "C4"],
    },
    Mutant { number: 10, what: "a lock that was granted is not taken for ours", by: &["L1"] },
    Mutant { number: 11, what: "a lock is not given back", by: &["Q1"] },
    Mutant { number: 12, what: "the lease of a lock is not looked at", by: &["O2"] },
    Mutant { number: 13, what: "what waits on a link that ends is forgotten", by: &["F2"] },
    Mutant { number: 14, what: "a client that does not start is never dropped", by: &["Q3"] },
    Mutant { number: 15, what: "a queue added later is never pulled", by: &["R1", "L1"] },
    Mutant { number: 16, what: "a throttled queue is never pulled again", by: &["L1"] },
    Mutant { number: 18, what: "no answer counts as not stored", by: &["P4"] },
    Mutant { number: 19, what: "an answer is taken for that of the oldest request", by: &["P1"] },
    Mutant { number: 20, what: "a flush that timed out counts as safe", by: &["P6"] },
    Mutant { number: 21, what: "attempts are not counted", by: &["P7"] },
    Mutant { number: 22, what: "of two frames in one read the second is lost", by: &["P3", "L1", "C1"] },
    Mutant { number: 23, what: "a frame that was written in part is written from its start", by: &["X2"] },
    Mutant { number: 24, what: "a socket that takes no bytes is tried for ever", by: &["L2"] },
    Mutant { number: 25, what: "a full queue is pulled on", by: &["F1"] },
    Mutant { number: 26, what: "each notice of members is a rebalance", by: &["L2"] },
    Mutant { number: 27, what: "tags are compared by their hash", by: &["C2"] },
    Mutant { number: 28, what: "a message that is republished does not count one more", by: &["C1"] },
    Mutant { number: 31, what: "a consumer that stops does not commit", by: &["Q1"] },
    Mutant { number: 32, what: "every member takes all queues", by: &["R1"] },
    Mutant { number: 33, what: "whoever asks may move a queue to another offset", by: &["X4"] },
    Mutant { number: 34, what: "the size of a body is looked at when it is inflated", by: &["X3"] },
    Mutant { number: 35, what: "a listener that panics is not called again", by: &["L1"] },
    Mutant { number: 36, what: "a half message does not say that it is one", by: &["T1"] },
    Mutant { number: 37, what: "the bytes under way on a link are not bounded", by: &["F3"] },
    Mutant { number: 38, what: "a second shutdown waits for an end that has been", by: &["Q2"] },
    Mutant { number: 41, what: "requests that are not supported are told what the client is", by: &["X4"] },
    Mutant { number: 42, what: "bytes that cannot be read end every link", by: &["X2"] },
    Mutant { number: 43, what: "a message that failed lets the next of its queue pass", by: &["O4", "O3"] },
    Mutant { number: 70, what: "a popped message is not hidden again while its handler runs", by: &["V1", "V2"] },
    Mutant { number: 71, what: "a message that was hidden again is acknowledged as it was before", by: &["V1", "V2"] },
    Mutant { number: 72, what: "seconds are taken for milliseconds", by: &["V1", "V2"] },
    Mutant { number: 74, what: "a message that failed too often is acknowledged and not buried", by: &["V1", "V2"] },
    Mutant { number: 80, what: "each queue may have in hand what its topic may", by: &["F1"] },
    Mutant { number: 30, what: "what a handler says too late is believed", by: &["A1", "C3", "C5", "C1"] },
    Mutant { number: 82, what: "a suspended consumer pulls on", by: &["F5"] },
    Mutant { number: 83, what: "messages of a batch are turned round", by: &["O1", "O3"] },
    Mutant {
        number: 84,
        what: "the next batch of a queue in order does not wait for the one before",
        by: &["O2", "O4"],
    },
    Mutant {
        number: 85,
        what: "what comes after the acknowledged part of a batch is taken for done",
        by: &["C3", "C1", "O3"],
    },
    Mutant { number: 81, what: "the cache of a client is not bounded", by: &["F4"] },
    Mutant { number: 45, what: "only offsets that moved are committed", by: &["Q1"] },
    Mutant { number: 130, what: "the messages of a batch have one key", by: &["P3"] },
    Mutant {
        number: 131,
        what: "old brokers are told the key of a batch, which they give to its messages",
        by: &["P3"],
    },
    Mutant { number: 132, what: "a body is said to be compressed in another way than it is", by: &["P2", "C2"] },
    Mutant { number: 133, what: "a key has another queue than in Java", by: &["P8"] },
    Mutant { number: 134, what: "what is under way of a producer is not bounded", by: &["F3"] },
    Mutant { number: 135, what: "all messages of a batch are told the place of the first", by: &["P1"] },
    Mutant { number: 136, what: "a send to the queue of a key is tried again", by: &["P7"] },
    Mutant { number: 137, what: "messages that were put together get each other's receipts", by: &["P1"] },
    Mutant { number: 138, what: "seconds of a delay are told as milliseconds", by: &["P9"] },
    Mutant { number: 139, what: "a message counts as taken back without a word of the broker", by: &["P9"] },
    Mutant { number: 120, what: "what was pulled by an old expression counts for the new one", by: &["S2"] },
    Mutant { number: 121, what: "a topic that is given up keeps its queues", by: &["S1", "R4"] },
    Mutant { number: 122, what: "brokers are not asked whether they can filter", by: &["S3"] },
    Mutant { number: 123, what: "a changed expression keeps its version", by: &["S2"] },
    Mutant { number: 111, what: "of a queue that is moved, what was in handlers goes on counting", by: &["A1"] },
    Mutant { number: 140, what: "what is unknown of a transaction is told as committed", by: &["T1"] },
    Mutant { number: 142, what: "a checker that panics has committed", by: &["T1"] },
    Mutant { number: 165, what: "a reply is given to the oldest request", by: &["K1"] },
    Mutant { number: 166, what: "a request that is over stays in the table", by: &["K1"] },
    Mutant { number: 167, what: "a request does not wait for its reply", by: &["K1"] },
    Mutant { number: 160, what: "what is left to be traced at the end of a client is forgotten", by: &["N1"] },
    Mutant { number: 161, what: "traces are sent twice", by: &["N1"] },
    Mutant { number: 162, what: "a producer traces against the word of the broker", by: &["N1"] },
    Mutant {
        number: 170,
        what: "who failed once to tell the name servers is never asked again",
        by: &["L1", "R1", "R2"],
    },
    Mutant { number: 171, what: "the name servers that were told first are kept for ever", by: &["L1", "R1", "R2"] },
    Mutant { number: 173, what: "other name servers are told, and not asked", by: &["L1", "R1", "R2"] },
    Mutant { number: 112, what: "what an operator had handled and failed is handed back", by: &["A1"] },
    Mutant { number: 113, what: "an operator is told what is pulled, not what is consumed", by: &["A1"] },
    Mutant { number: 180, what: "of several brokers, one that fails is left out", by: &["A3"] },
    Mutant { number: 181, what: "an administrator waits four times as long as it says", by: &["A2"] },
    Mutant {
        number: 182,
        what: "what another broker says is taken for the answer of the one that was asked",
        by: &["A3"],
    },
    Mutant { number: 183, what: "a client shows what is pulled as settled", by: &["W1"] },
    Mutant { number: 151, what: "a slave that has nothing is asked again at once", by: &["S4"] },
    Mutant { number: 154, what: "offsets are committed wherever queues are read", by: &["S5"] },
];

/// Mistakes that were in the client once, and that few seeds find: their scripts have to.
const ONCE_OURS: &[Mutant] = &[
    Mutant { number: 44, what: "a client that stood still sends no heartbeat any more", by: &["L4"] },
    Mutant { number: 46, what: "a dead letter that is republished is delayed", by: &["L1"] },
];
