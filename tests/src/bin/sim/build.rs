//! The build that runs, and others of the same checkout.

use std::path::Path;
use std::process::{Command, Stdio};

/// The package in the checkout that this program was built from, if it is still there.
pub(crate) fn checkout() -> Result<&'static Path, String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_there = package.join("Cargo.toml").is_file();
    is_there.then_some(package).ok_or_else(|| format!("this needs the checkout, and {} is gone", package.display()))
}

/// The hash of the commit that is checked out.
pub(crate) fn commit() -> Option<String> {
    let mut git = Command::new("git");
    git.current_dir(checkout().ok()?).args(["rev-parse", "HEAD"]).stderr(Stdio::null());
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// This program, built by cargo from the checkout and run.
pub(crate) fn cargo_run(release: bool) -> Result<Command, String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(checkout()?).args(["run", "--locked", "--quiet", "-p", "rocketmq-testkit", "--bin", "sim"]);
    cargo.args(release.then_some("--release")).arg("--");
    Ok(cargo)
}
