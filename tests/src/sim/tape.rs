//! The tape: where every choice of a simulation comes from.

use rocketmq_core::rng::Rng;

/// A named part of the tape: switching one class of choices off does not shift the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Links: delays, cuts, chunks.
    Net,
    /// Brokers: restarts, answers.
    Broker,
    /// Name servers: views, outages.
    Ns,
    /// The application: what is sent and how it is handled.
    App,
    /// Clocks and pauses.
    Time,
    /// The topology, and which classes of faults are on.
    Swarm,
}

/// Choices made of a seed.
#[derive(Clone, Debug)]
pub struct Tape {
    streams: [Rng; STREAMS],
}

impl Tape {
    /// The tape of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut root = Rng::new(seed ^ SALT);
        Self { streams: std::array::from_fn(|_| root.fork()) }
    }

    /// 64 bits.
    pub fn bits(&mut self, stream: Stream) -> u64 {
        self.streams[stream as usize].next_u64()
    }

    /// A number below `bound`, 0 when the bound is 0.
    pub fn below(&mut self, stream: Stream, bound: u64) -> u64 {
        self.streams[stream as usize].below(usize::try_from(bound).unwrap_or(usize::MAX)) as u64
    }

    /// A number from `least` to `most`, both included.
    pub fn range(&mut self, stream: Stream, least: u64, most: u64) -> u64 {
        least + self.below(stream, most.saturating_sub(least) + 1)
    }

    /// True in so many of 100,000 cases. A class that is off asks nothing of the tape.
    pub fn chance(&mut self, stream: Stream, per_100k: u32) -> bool {
        per_100k > 0 && self.below(stream, 100_000) < u64::from(per_100k)
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, stream: Stream, of: &'a [T]) -> Option<&'a T> {
        of.get(usize::try_from(self.below(stream, of.len() as u64)).unwrap_or(0))
    }
}

const STREAMS: usize = 6;
/// Seeds of neighbouring numbers are to have nothing in common.
const SALT: u64 = 0x726f_636b_6574_6d71;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_do_not_shift_each_other() {
        let (mut a, mut b) = (Tape::new(1), Tape::new(1));
        assert_eq!((0..10).map(|_| a.bits(Stream::Net)).count(), 10);
        assert_eq!(a.bits(Stream::App), b.bits(Stream::App));
        assert_ne!(a.bits(Stream::Net), b.bits(Stream::Net));
    }

    #[test]
    fn a_chance_of_nothing_asks_nothing() {
        let (mut a, mut b) = (Tape::new(2), Tape::new(2));
        assert!(!a.chance(Stream::Net, 0));
        assert_eq!(a.bits(Stream::Net), b.bits(Stream::Net));
        assert!(b.chance(Stream::Net, 100_000));
    }
}
