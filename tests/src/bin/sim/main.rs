//! The simulator's program: sweeps over seeds, replays, and checks of the simulator itself.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::wildcard_enum_match_arm)]

mod build;
mod determinism;
mod mutants;
mod parallel;
mod replay;
mod seeds;
mod shrink;
mod sweep;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs the whole client in virtual time under faults, and checks that what it promises holds.
#[derive(Debug, Parser)]
#[command(name = "sim", version)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs many seeds and checks every invariant
    Sweep(sweep::Sweep),
    /// Runs one seed or script again, to look at it
    Replay(replay::Replay),
    /// Makes a short script of a failing seed
    Shrink(shrink::Shrink),
    /// Compares runs of the same seeds: in this process, in a fresh one, in a build of the other profile
    Determinism(determinism::Determinism),
    /// Plants mistakes in the client, and looks whether each is found
    Mutants(mutants::Mutants),
    /// Plants violations in a sweep, and looks whether exactly those are red
    Canary(sweep::Canary),
    #[command(hide = true)]
    Worker(sweep::Worker),
    #[command(hide = true)]
    Hash(seeds::Seeds),
}

fn main() -> ExitCode {
    let done = match Program::parse().command {
        Command::Sweep(sweep) => sweep.run(),
        Command::Replay(replay) => replay.run(),
        Command::Shrink(shrink) => shrink.run(),
        Command::Determinism(determinism) => determinism.run(),
        Command::Mutants(mutants) => mutants.run(),
        Command::Canary(canary) => canary.run(),
        Command::Worker(worker) => worker.run(),
        Command::Hash(seeds) => determinism::print_hashes(&seeds),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(text) => {
            eprintln!("sim: {text}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_words_of_the_program_keep_claps_rules() {
        Program::command().debug_assert();
        let parsed = |words: &str| Program::try_parse_from(words.split(' '));
        assert!(parsed("sim replay --seed 0x1f --commit dbf473c --trace --html run.html --mutant 2").is_ok());
        assert!(parsed("sim sweep --seeds 3000 --jobs 2 --base dbf473c --marks --json").is_ok());
        assert!(parsed("sim shrink --script run.json --out short.json").is_ok());
        for words in ["sim", "sim sweep", "sim replay --seed 1 --script run.json", "sim replay --commit dbf473c"] {
            assert!(parsed(words).is_err(), "{words}");
        }
    }
}
