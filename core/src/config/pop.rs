//! Popping.

use core::time::Duration;

use super::{ConfigError, Strategy};

/// How a group pops, when its brokers are told that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PopConfig {
    /// How long a message is hidden from the other members, before that is renewed. Java `popInvisibleTime`: 60 s,
    /// between 5 s and 300 s.
    pub invisible: Duration,
    /// Messages asked for in one pop. Java `popBatchNums`: 32, which is also the most.
    pub batch: u32,
    /// Messages of a queue that are not acknowledged, above which it is not popped. Java `popThresholdForQueue`: 96.
    pub threshold: u32,
}

impl Default for PopConfig {
    fn default() -> Self {
        Self { invisible: Duration::from_secs(60), batch: 32, threshold: 96 }
    }
}

impl PopConfig {
    /// Checks every rule.
    pub(super) fn check(&self, strategy: &Strategy) -> Result<(), ConfigError> {
        if !(LEAST_INVISIBLE..=MOST_INVISIBLE).contains(&self.invisible) {
            return Err(ConfigError::Range { name: "pop_invisible (ms)", least: 5_000, most: 300_000 });
        }
        super::consumer::range("pop_batch", self.batch, 1, 32)?;
        super::consumer::range("pop_threshold", self.threshold, 1, 65_535)?;
        // Who shares out the queues has to know the strategy.
        if strategy_name(strategy).is_none() { Err(ConfigError::PopStrategy) } else { Ok(()) }
    }
}

/// By which name brokers know a strategy.
pub(crate) const fn strategy_name(strategy: &Strategy) -> Option<&'static str> {
    match strategy {
        Strategy::Averagely => Some("AVG"),
        Strategy::AveragelyByCircle => Some("AVG_BY_CIRCLE"),
        #[cfg(feature = "consistent-hash")]
        Strategy::ConsistentHash { .. } => None,
        Strategy::Config(_) | Strategy::MachineRoom(_) | Strategy::MachineRoomNearby { .. } | Strategy::Own(_) => None,
    }
}

/// The least time a message is hidden. Source: Java `MIN_POP_INVISIBLE_TIME`.
const LEAST_INVISIBLE: Duration = Duration::from_secs(5);
/// The most. Source: Java `MAX_POP_INVISIBLE_TIME`.
const MOST_INVISIBLE: Duration = Duration::from_secs(300);
