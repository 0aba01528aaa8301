//! The tape: where every choice of a simulation comes from.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rocketmq_core::rng::Rng;

use super::faults::Fault;

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
    /// Which planned faults happen, and when.
    Plan,
    /// Operators: what they do, and when.
    Operator,
    /// In which way messages are sent.
    Sends,
    /// Transactions: what becomes of them, and how that is said.
    Transactions,
    /// Requests: what is asked, when, and how it is replied to.
    Requests,
    /// Administrators: what they ask, and when; and what name servers make up.
    Errands,
    /// Whoever tells the name servers by HTTP.
    Directory,
    /// Whoever looks at clients: when.
    Looks,
}

/// Choices made of a seed, or of bytes first and of a seed when those are used up.
#[derive(Clone, Debug)]
pub struct Tape {
    streams: [Rng; STREAMS],
    /// A stream for each kind of fault: whether it happens shifts nothing else.
    rolls: Vec<Rng>,
    bytes: Vec<u8>,
    used: usize,
}

impl Tape {
    /// The tape of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::from_bytes(seed, Vec::new())
    }

    /// The tape of bytes, all streams in one, and of a seed behind them.
    #[must_use]
    pub fn from_bytes(seed: u64, bytes: Vec<u8>) -> Self {
        let mut root = Rng::new(seed ^ SALT);
        let streams = std::array::from_fn(|_| root.fork());
        let rolls = Fault::ALL.iter().map(|fault| Rng::new(seed ^ number_of(fault.id())).fork()).collect();
        Self { streams, rolls, bytes, used: 0 }
    }

    /// 64 bits.
    pub fn bits(&mut self, stream: Stream) -> u64 {
        self.written(8).unwrap_or_else(|| self.streams[stream as usize].next_u64())
    }

    /// A number below `bound`, 0 when the bound is 0.
    pub fn below(&mut self, stream: Stream, bound: u64) -> u64 {
        let width = match bound {
            0..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 8,
        };
        if let Some(number) = self.written(width) {
            return number.checked_rem(bound).unwrap_or(0);
        }
        self.streams[stream as usize].below(usize::try_from(bound).unwrap_or(usize::MAX)) as u64
    }

    /// A number from `least` to `most`, both included.
    pub fn range(&mut self, stream: Stream, least: u64, most: u64) -> u64 {
        least + self.below(stream, most.saturating_sub(least) + 1)
    }

    /// Whether a fault happens that does so in so many of 100,000 cases. One that is off asks nothing of the tape.
    pub fn roll(&mut self, fault: Fault, per_100k: u32) -> bool {
        if per_100k == 0 {
            return false;
        }
        // One byte a roll, so that few bytes decide much; a 0 is always a no.
        match self.written(1) {
            Some(byte) => byte > 0 && (255 - byte) * 100_000 / 256 < u64::from(per_100k),
            None => self.rolls[fault as usize].below(100_000) < per_100k as usize,
        }
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, stream: Stream, of: &'a [T]) -> Option<&'a T> {
        of.get(usize::try_from(self.below(stream, of.len() as u64)).unwrap_or(0))
    }

    /// The next number of so many bytes, if there are any bytes left.
    fn written(&mut self, width: usize) -> Option<u64> {
        let rest = self.bytes.get(self.used..).filter(|rest| !rest.is_empty())?;
        let mut word = [0; 8];
        let len = width.min(rest.len());
        word[..len].copy_from_slice(&rest[..len]);
        self.used += len;
        Some(u64::from_le_bytes(word))
    }
}

/// Choices of one planned fault, which depend on nothing but its number.
#[derive(Debug)]
pub(crate) struct Dice(Mutex<Rng>);

impl Dice {
    pub(crate) fn new(number: u64) -> Self {
        Self(Mutex::new(Rng::new(number).fork()))
    }

    /// A number from `least` to `most`, both included.
    pub(crate) fn range(&self, least: u64, most: u64) -> u64 {
        let bound = usize::try_from(most.saturating_sub(least) + 1).unwrap_or(usize::MAX);
        least + self.0.lock().unwrap_or_else(PoisonError::into_inner).below(bound) as u64
    }

    pub(crate) fn seconds(&self, least: u64, most: u64) -> Duration {
        Duration::from_secs(self.range(least, most))
    }

    /// A number below `bound`, for the place in a list.
    pub(crate) fn index(&self, bound: usize) -> usize {
        usize::try_from(self.range(0, (bound as u64).saturating_sub(1))).unwrap_or(0)
    }

    pub(crate) fn pick<T: Clone>(&self, of: &[T]) -> Option<T> {
        of.get(self.index(of.len())).cloned()
    }
}

/// A number that belongs to a name.
fn number_of(name: &str) -> u64 {
    name.bytes().fold(SALT, |number, byte| (number ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

const STREAMS: usize = 14;
/// Seeds of neighbouring numbers are to have nothing in common.
const SALT: u64 = 0x726f_636b_6574_6d71;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_do_not_shift_each_other() {
        let (mut a, mut b) = (Tape::new(1), Tape::new(1));
        for _ in 0..10 {
            a.bits(Stream::Net);
        }
        assert_eq!(a.bits(Stream::App), b.bits(Stream::App));
        assert_ne!(a.bits(Stream::Net), b.bits(Stream::Net));
    }

    #[test]
    fn bytes_decide_first_and_the_seed_when_they_are_used_up() {
        let mut tape = Tape::from_bytes(1, vec![7, 0x34, 0x12, 255, 0, 9]);
        assert_eq!(tape.below(Stream::Net, 10), 7);
        assert_eq!(tape.below(Stream::App, 0x1_0000), 0x1234);
        assert!(tape.roll(Fault::Fin, 60), "255 is a yes at any rate");
        assert!(!tape.roll(Fault::Fin, 100_000), "0 is a no at any rate");
        assert_eq!(tape.bits(Stream::Ns), 9, "what lacks of a number is 0");
        let mut seeded = Tape::new(1);
        assert_eq!(tape.bits(Stream::Net), seeded.bits(Stream::Net));
        assert_eq!(tape.below(Stream::App, 0), 0);
    }

    #[test]
    fn a_roll_shifts_neither_streams_nor_other_rolls() {
        let (mut a, mut b) = (Tape::new(2), Tape::new(2));
        assert!((0..100).any(|_| a.roll(Fault::Fin, 50_000)));
        assert!(!a.roll(Fault::Jitter, 0));
        assert!(a.roll(Fault::Fin, 100_000));
        assert_eq!(a.bits(Stream::Net), b.bits(Stream::Net));
        let rolls = |tape: &mut Tape| (0..64).map(|_| tape.roll(Fault::Jitter, 50_000)).collect::<Vec<_>>();
        assert_eq!(rolls(&mut a), rolls(&mut b));
    }
}
