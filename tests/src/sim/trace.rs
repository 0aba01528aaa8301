//! The trace: a running hash over everything that happens, and its text when asked for.

use rocketmq_core::time::Instant;

use crate::cluster::Node;

/// A 128-bit hash of a run, and its lines if they are kept.
#[derive(Debug)]
pub(crate) struct Trace {
    state: [u64; 2],
    pub(crate) events: u64,
    /// Whether lines and frames are kept.
    pub(crate) keep: bool,
    pub(crate) lines: Vec<String>,
    pub(crate) frames: Vec<Line>,
}

/// A frame on its way, for pictures.
#[derive(Clone, Debug)]
pub struct Line {
    /// When it arrived at the server, or left it.
    pub at: Instant,
    /// The index of the host.
    pub host: usize,
    /// The server.
    pub node: Node,
    /// Whether it goes to the server.
    pub up: bool,
    /// What it is.
    pub text: String,
}

impl Trace {
    /// Takes in one event: when, what, and its bytes.
    pub(crate) fn event(&mut self, at: Instant, kind: u8, id: u64, bytes: &[u8]) {
        self.events += 1;
        self.mix(at.as_micros());
        self.mix(u64::from(kind) ^ (id << 8));
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
        self.mix(bytes.len() as u64);
    }

    /// Keeps a line, when lines are kept.
    pub(crate) fn line(&mut self, at: Instant, text: impl FnOnce() -> String) {
        if self.keep {
            self.lines.push(format!("{at:?} {}", text()));
        }
    }

    /// Keeps a frame, when lines are kept.
    pub(crate) fn frame(&mut self, line: impl FnOnce() -> Line) {
        if self.keep {
            self.frames.push(line());
        }
    }

    pub(crate) fn hash(&self) -> u128 {
        (u128::from(self.state[0]) << 64) | u128::from(self.state[1])
    }

    fn mix(&mut self, word: u64) {
        let [a, b] = &mut self.state;
        *a = (*a ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(27);
        *b = (*b).wrapping_add(*a).wrapping_mul(0xd6e8_feb8_6659_fd93) ^ (*b >> 29);
    }
}

impl Default for Trace {
    fn default() -> Self {
        let state = [0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b];
        Self { state, events: 0, keep: false, lines: Vec::new(), frames: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_event_counts() {
        let hash = |at, kind, id, bytes: &[u8]| {
            let mut trace = Trace::default();
            trace.event(Instant::from_micros(at), kind, id, bytes);
            trace.hash()
        };
        let base = hash(1, 2, 3, b"abc");
        assert_eq!(base, hash(1, 2, 3, b"abc"));
        for other in [hash(2, 2, 3, b"abc"), hash(1, 3, 3, b"abc"), hash(1, 2, 4, b"abc"), hash(1, 2, 3, b"abc\0")] {
            assert_ne!(base, other);
        }
    }
}
