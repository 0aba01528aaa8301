//! The memory that a run takes, where the system tells: bodies that inflate to very many bytes must not cost as many.

use std::fs;

use super::history::What;

/// The memory before a run.
pub(super) struct Memory(Option<u64>);

impl Memory {
    /// From now on the peak counts anew.
    pub(super) fn new() -> Self {
        // What the system then calls the peak begins at what is used now.
        let reset = fs::write("/proc/self/clear_refs", "5").is_ok();
        Self(kib("VmRSS:").filter(|_| reset))
    }

    /// What has been used since, at most.
    pub(super) fn used(&self) -> Option<What> {
        let used = kib("VmHWM:")?.saturating_sub(self.0?);
        Some(What::Memory { used, allowed: ALLOWED })
    }
}

fn kib(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// KiB: the largest body that is inflated, 16 MiB, the same again while it grows, and the run with its history.
const ALLOWED: u64 = (2 * 16 + 64) * 1024;
