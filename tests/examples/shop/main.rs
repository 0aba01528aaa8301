//! A service under simulation: a shop whose orders are paid and settled, on tokio and in the simulator.
//!
//! ```text
//! cargo run --release --example shop                      # on tokio, against an embedded cluster
//! cargo run --release --example shop -- sim               # 200 days with faults
//! cargo run --release --example shop -- sim acks-first    # the same with a mistake; draws the day that shows it
//! cargo run --release --example shop -- sim settles-again
//! ```

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a program, not the library")]

mod embedded;
mod service;
mod world;

use std::process::ExitCode;

use self::service::Mistake;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] => embedded::run().map(|settled| println!("{settled} orders are settled")),
        ["sim"] => search(Mistake::None),
        ["sim", "acks-first"] => search(Mistake::AcksFirst),
        ["sim", "settles-again"] => search(Mistake::SettlesAgain),
        _ => Err("usage: shop [sim [acks-first|settles-again]]".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("shop: {text}");
            ExitCode::FAILURE
        }
    }
}

/// Runs days until one goes wrong, and draws that one.
fn search(mistake: Mistake) -> Result<(), String> {
    let Some(seed) = (0..DAYS).find(|seed| world::day(*seed, mistake).failure.is_some()) else {
        println!("{DAYS} days with faults went well");
        return Ok(());
    };
    // The seed is the run: it fails again, and now tells how.
    let report = world::traced_day(seed, mistake);
    let path = "target/shop.html";
    std::fs::write(path, report.html()).map_err(|error| format!("{path}: {error}"))?;
    let text = report.failure.map(|failure| failure.text).unwrap_or_default();
    Err(format!("seed {seed}: {text}\n      {path} shows how"))
}

const DAYS: u64 = 200;
