//! The memory that a run takes, where the system tells: bodies that inflate to very many bytes must not cost as many.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use super::history::{History, Row, What};

/// The memory before a run.
pub(super) struct Memory {
    before: Option<u64>,
    /// Runs of this process at that time, this one included: they share what the system tells.
    runs: u64,
}

impl Memory {
    /// From now on the peak counts anew.
    pub(super) fn new() -> Self {
        let runs = RUNS.fetch_add(1, Ordering::Relaxed) + 1;
        // What the system then calls the peak begins at what is used now.
        let reset = fs::write("/proc/self/clear_refs", "5").is_ok();
        Self { before: kib("VmRSS:").filter(|_| reset), runs }
    }

    /// What has been used since, at most. What a long history takes while it grows is none of the client's.
    pub(super) fn used(&self, history: &History) -> Option<What> {
        let used = kib("VmHWM:")?.saturating_sub(self.before?);
        let runs = self.runs.max(RUNS.load(Ordering::Relaxed));
        let rows = 2 * history.rows.capacity() * size_of::<Row>() / 1_024;
        let a_run = A_RUN.max(u64::try_from(rows).unwrap_or(u64::MAX));
        Some(What::Memory { used, allowed: ALLOWED + runs * a_run })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        RUNS.fetch_sub(1, Ordering::Relaxed);
    }
}

fn kib(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

static RUNS: AtomicU64 = AtomicU64::new(0);

/// KiB for a body that is inflated: 16 MiB at most, the same again while it grows, and again for a second one.
const ALLOWED: u64 = 4 * 16 * 1024;
/// KiB for the history of a run and its servers, if it is not a long one.
const A_RUN: u64 = 32 * 1024;
