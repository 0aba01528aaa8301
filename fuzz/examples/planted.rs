//! Shows that the targets find mistakes: plants one after the other and looks whether its target does.
//!
//! Build it with `--cfg sim_mutants`; CONTRIBUTING tells how. Without arguments each mistake is looked for by the
//! committed corpus of its target alone; with `fuzz DIRECTORY`, where `cargo fuzz build` left its programs, by libFuzzer
//! from that corpus, for at most a minute each.

#![allow(clippy::arithmetic_side_effects, reason = "it counts to ten")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rocketmq_fuzz::planted::{MISTAKES, Mistake, VARIABLE, plant};
use rocketmq_fuzz::{CORPORA, TARGETS, corpus};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [] if cfg!(sim_mutants) => look(REPLAY, replay),
        ["fuzz", programs] => look(FUZZ, |mistake, number| fuzz(programs, mistake, number)),
        ["replay", target] => one(target),
        _ => {
            eprintln!("built with --cfg sim_mutants: planted [fuzz DIRECTORY]");
            ExitCode::from(2)
        }
    }
}

/// Runs the target of each mistake without it, which is to pass, and with it, which is not.
fn look(most: Duration, start: impl Fn(&Mistake, u32) -> std::io::Result<Child>) -> ExitCode {
    let mut missed = 0;
    for mistake in MISTAKES {
        let healthy = start(&mistake, 0).and_then(|child| end(child, most));
        let found = start(&mistake, mistake.number).and_then(|child| end(child, most));
        let verdict = match (&healthy, &found) {
            (Ok((Some(status), _)), _) if !status.success() => "fails without the mistake",
            (Ok(_), Ok((Some(status), _))) if status.success() => "MISSED",
            (Ok(_), Ok((Some(_), _))) => "found",
            (Ok(_), Ok((None, _))) => "found, it does not end",
            (Err(_), _) | (_, Err(_)) => "cannot be run",
        };
        missed += u32::from(!verdict.starts_with("found"));
        let seconds = found.map_or(0.0, |(_, took)| took.as_secs_f64());
        println!("{} {:19} {seconds:5.1} s  {verdict}: {}", mistake.number, mistake.target, mistake.what);
    }
    forget_scratch();
    println!("{missed} of {} missed", MISTAKES.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// This program, for one target.
fn replay(mistake: &Mistake, number: u32) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["replay", mistake.target]).env(VARIABLE, number.to_string());
    command.stderr(Stdio::null()).spawn()
}

fn one(target: &str) -> ExitCode {
    plant();
    let Some((_, body)) = TARGETS.into_iter().find(|(name, _)| *name == target) else { return ExitCode::from(2) };
    for file in corpus(target).expect("each target has a corpus") {
        body(&std::fs::read(file).expect("a file"));
    }
    ExitCode::SUCCESS
}

/// libFuzzer; without a mistake it only goes over the corpus. What it finds interesting goes nowhere.
fn fuzz(programs: &str, mistake: &Mistake, number: u32) -> std::io::Result<Child> {
    let scratch = scratch();
    forget_scratch();
    std::fs::create_dir_all(&scratch)?;
    let limits = ["-timeout=5", "-rss_limit_mb=512", "-malloc_limit_mb=64", "-max_len=65536"];
    let most = if number == 0 { "-runs=0" } else { "-max_total_time=60" };
    let prefix = format!("-artifact_prefix={}/", scratch.display());
    Command::new(Path::new(programs).join(mistake.target))
        .args(limits)
        .args([most, &prefix])
        .args([&scratch, &Path::new(CORPORA).join(mistake.target)])
        .env(VARIABLE, number.to_string())
        .stderr(Stdio::null())
        .spawn()
}

fn scratch() -> PathBuf {
    std::env::temp_dir().join(format!("planted-{}", std::process::id()))
}

fn forget_scratch() {
    // There is none before the first run, and no harm in one that stays.
    let _ = std::fs::remove_dir_all(scratch());
}

/// Waits for the end of a process, and ends it when it takes too long.
fn end(mut child: Child, most: Duration) -> std::io::Result<(Option<ExitStatus>, Duration)> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((Some(status), began.elapsed()));
        }
        if began.elapsed() >= most {
            child.kill()?;
            child.wait()?;
            return Ok((None, began.elapsed()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the replay of a corpus may take.
const REPLAY: Duration = Duration::from_secs(10);
/// The same for a fuzzer, which ends by itself after a minute.
const FUZZ: Duration = Duration::from_secs(75);
