//! The simulator's program: sweeps over seeds, replays, and checks of the simulator itself.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::wildcard_enum_match_arm)]

mod args;
mod determinism;
mod html;
mod mutants;
mod replay;
mod script;
mod shrink;
mod sweep;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let done = args::Args::parse(words).and_then(|args| match command.as_str() {
        "sweep" => sweep::run(&args),
        "worker" => sweep::work(&args),
        "replay" => replay::run(&args),
        "determinism" => determinism::run(&args),
        "hash" => determinism::hashes(&args),
        "shrink" => shrink::run(&args),
        "mutants" => mutants::run(&args),
        "canary" => sweep::canary(&args),
        _ => Err(USAGE.to_owned()),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(text) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
    }
}

const USAGE: &str = "\
usage: sim sweep --seeds N [--jobs J] [--base HASH] [--marks] [--json]
       sim replay --seed S | --script FILE [--trace] [--html FILE] [--mutant N]
       sim shrink --seed S [--out FILE] [--mutant N]
       sim determinism --seeds N [--base HASH] [--with PROGRAM] [--json]
       sim mutants [--max-seeds N] [--only N] [--shrink] [--json]
       sim canary --seeds N [--json]";
