//! Same seed, same run: twice in this process and once in a fresh one.

use std::process::Command;

use rocketmq_testkit::sim::workload::{self, Options};

use crate::args::Args;

/// Compares the hashes of the seeds from the base on.
pub(crate) fn run(args: &Args) -> Result<bool, String> {
    let (seeds, base) = (args.number("seeds", None)?, args.base()?);
    let other = args.text("with").map(std::path::PathBuf::from);
    let program = other.map_or_else(std::env::current_exe, Ok).map_err(|error| error.to_string())?;
    let fresh = Command::new(program)
        .args(["hash", "--seeds", &seeds.to_string(), "--base", &base.to_string()])
        .output()
        .map_err(|error| error.to_string())?;
    let fresh = String::from_utf8_lossy(&fresh.stdout).into_owned();
    let mut equal = 0;
    for (index, theirs) in (0..seeds).zip(fresh.lines().chain(std::iter::repeat(""))) {
        let seed = base.wrapping_add(index);
        let (first, second) = (workload::check(seed).hash, workload::check(seed).hash);
        let ours = format!("{seed:#x} {first:032x}");
        if first == second && ours == theirs {
            equal += 1;
        } else {
            eprintln!("seed {seed:#x}: {first:032x}, {second:032x}, in a fresh process '{theirs}'");
            print_difference(seed);
        }
    }
    if args.has("json") {
        println!("{}", serde_json::json!({ "seeds": seeds, "equal": equal }));
    } else {
        println!("{equal} of {seeds} seeds are equal");
    }
    Ok(equal == seeds)
}

/// Prints the hashes of the seeds from the base on.
pub(crate) fn hashes(args: &Args) -> Result<bool, String> {
    let (seeds, base) = (args.number("seeds", None)?, args.base()?);
    for index in 0..seeds {
        let seed = base.wrapping_add(index);
        println!("{seed:#x} {:032x}", workload::check(seed).hash);
    }
    Ok(true)
}

/// Where two runs of a seed in this process begin to differ.
fn print_difference(seed: u64) {
    let options = Options { trace: true, ..Options::default() };
    let (one, two) = (workload::check_with(seed, options.clone()), workload::check_with(seed, options));
    if let Some((one, two)) = one.trace.iter().zip(&two.trace).find(|(one, two)| one != two) {
        eprintln!("first difference:\n  {one}\n  {two}");
    }
}
