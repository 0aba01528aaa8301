//! Programs the harness runs, and small helpers around them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::RealError;

/// Whether real-broker suites can run: `Ok(true)` run, `Ok(false)` skipped on request, `Err` must fail.
pub fn available() -> Result<bool, RealError> {
    if std::env::var("ROCKETMQ_TEST_SKIP_BROKER").is_ok_and(|v| v == "1") {
        eprintln!("SKIPPED: real-broker suite, because ROCKETMQ_TEST_SKIP_BROKER=1");
        return Ok(false);
    }
    for program in ["java", "javac", "mvn"] {
        find(program)?;
    }
    Ok(true)
}

/// The full path of a program on `PATH`.
pub(super) fn find(program: &'static str) -> Result<PathBuf, RealError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .ok_or(RealError::MissingProgram { program })
}

/// Runs a program to its end; its output becomes part of the error if it fails.
pub(super) fn run(what: &str, command: &mut Command) -> Result<Output, RealError> {
    let output = command.stdin(Stdio::null()).output().map_err(RealError::io(what))?;
    if output.status.success() {
        return Ok(output);
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(RealError::Tool { what: what.to_owned(), output: tail(&text, 4000) })
}

/// The last `max` bytes of a text, cut at a character boundary.
pub(super) fn tail(text: &str, max: usize) -> String {
    let mut from = text.len().saturating_sub(max);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].to_owned()
}

/// The last `max` bytes of a file, or a note that it cannot be read.
pub(super) fn tail_file(path: &Path, max: usize) -> String {
    match std::fs::read(path) {
        Ok(bytes) => tail(&String::from_utf8_lossy(&bytes), max),
        Err(error) => format!("({} cannot be read: {error})", path.display()),
    }
}

/// A 64-bit FNV-1a hash as hexadecimal text: stable names for cache entries.
pub(super) fn content_hash(parts: &[&str]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}
