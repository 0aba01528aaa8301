//! Message trace.

use core::time::Duration;

use super::{ConfigError, check_topic};
use crate::ids::Topic;

/// How a producer or a consumer traces its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceConfig {
    /// The topic that records go to; of its own messages there are none. Java `traceTopic`: `RMQ_SYS_TRACE_TOPIC`, which
    /// brokers have when `traceTopicEnable` is set.
    pub topic: Topic,
    /// How many records make a message: 1 to 20. Java `traceMsgBatchNum`: 10.
    pub batch: u32,
    /// The longest that a record waits for others. Java: 5 s.
    pub flush: Duration,
}

impl TraceConfig {
    /// Checks every rule.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_topic(&self.topic)?;
        super::consumer::range("trace.batch", self.batch, 1, MOST_IN_BATCH)?;
        if !(MIN_FLUSH..=MAX_FLUSH).contains(&self.flush) {
            return Err(ConfigError::Range { name: "trace.flush (ms)", least: 1, most: 600_000 });
        }
        Ok(())
    }
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self { topic: Topic::from(TRACE_TOPIC), batch: 10, flush: Duration::from_secs(5) }
    }
}

/// The topic of brokers. Source: Java `TopicValidator.RMQ_SYS_TRACE_TOPIC`.
const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
/// Source: Java `AsyncTraceDispatcher.batchNum`, which takes the lesser without a word.
const MOST_IN_BATCH: u32 = 20;
/// Bounds of the time that a record waits.
const MIN_FLUSH: Duration = Duration::from_millis(1);
const MAX_FLUSH: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_kept() {
        let base = TraceConfig::default;
        assert_eq!(base().check(), Ok(()));
        assert_eq!(TraceConfig { batch: 20, flush: MAX_FLUSH, ..base() }.check(), Ok(()));
        let broken = [
            TraceConfig { topic: "a b".into(), ..base() },
            TraceConfig { batch: 0, ..base() },
            TraceConfig { batch: 21, ..base() },
            TraceConfig { flush: Duration::ZERO, ..base() },
            TraceConfig { flush: Duration::from_secs(601), ..base() },
        ];
        for config in broken {
            assert!(config.check().is_err(), "{config:?}");
        }
    }
}
