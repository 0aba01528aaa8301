//! Producers.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use super::{ConfigError, TraceConfig, check_group};
use crate::ids::Group;
use crate::send::RETRY_CODES;
use crate::wire::compress::{CompressionKind, DEFAULT_LEVEL};

/// Configuration of one producer group.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// The group.
    pub group: Group,
    /// The whole time a send may take, retries included. Java `sendMsgTimeout`: 3 s.
    pub send_timeout: Duration,
    /// Attempts after the first. Java `retryTimesWhenSendFailed`: 2.
    pub retries: u32,
    /// The longest one attempt may take while others remain; `None` gives each attempt an equal share.
    ///
    /// Java's `sendMsgMaxTimeoutPerRequest` is off by default, so that one bad broker burns the whole time.
    pub attempt_timeout: Option<Duration>,
    /// Whether a message stored without the durability asked for is sent again elsewhere. Java: no.
    pub retry_weak_store: bool,
    /// Codes of brokers after which another one is tried. Java `retryResponseCodes`: [`RETRY_CODES`].
    pub retry_codes: BTreeSet<i32>,
    /// The largest body, before compression, and the largest batch. Java `maxMessageSize`: 4 MiB.
    pub max_message_size: usize,
    /// Bodies of at least this many bytes are compressed. Java `compressMsgBodyOverHowmuch`: 4096.
    pub compress_over: usize,
    /// How they are compressed. Java `compressType`: zlib.
    pub compression: CompressionKind,
    /// How thoroughly, 0 to 9; it counts for zlib only. Java `compressLevel`: 5.
    pub compress_level: u8,
    /// Messages that may be under way at once; others wait, in order. Java `backPressureForAsyncSendNum`: 1,024.
    pub max_under_way: usize,
    /// Bytes of bodies that may be under way at once, but for a single larger one. Java `backPressureForAsyncSendSize`:
    /// 100 MiB.
    pub max_bytes_under_way: usize,
    /// Whether brokers that are slow or out of reach are left alone for a while. Java `sendLatencyEnable`: no.
    pub latency_faults: Option<LatencyFaults>,
    /// Whether messages are put together into batches. Java `autoBatch`: no.
    pub auto_batch: Option<AutoBatch>,
    /// Whether and how its messages are traced. Java `enableTrace`: no.
    pub trace: Option<TraceConfig>,
}

/// How brokers are left alone that are slow or out of reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyFaults {
    /// In ascending order: a latency, and for how long a broker of that latency is left alone. Java `latencyMax`,
    /// `notAvailableDuration`.
    pub steps: Vec<(Duration, Duration)>,
    /// Whether brokers that are out of reach are told from slow ones, and asked every 2 s whether they are back. Java
    /// `startDetectorEnable`: no.
    pub probe: bool,
}

/// How messages are put together into batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoBatch {
    /// The longest that a message waits for others. Java `batchMaxDelayMs`: 10 ms.
    pub max_delay: Duration,
    /// Bytes of the bodies and properties of a batch. Java `batchMaxBytes`, of bodies alone: 32 KiB.
    pub max_bytes: usize,
    /// The same of all messages that wait; above, messages go by themselves. Java `totalBatchMaxBytes`: 32 MiB.
    pub max_total_bytes: usize,
}

impl ProducerConfig {
    /// The defaults.
    #[must_use]
    pub fn new(group: Group) -> Self {
        Self {
            group,
            send_timeout: Duration::from_secs(3),
            retries: 2,
            attempt_timeout: None,
            retry_weak_store: false,
            retry_codes: BTreeSet::from(RETRY_CODES),
            max_message_size: 4 * 1024 * 1024,
            compress_over: 4_096,
            compression: CompressionKind::Zlib,
            compress_level: DEFAULT_LEVEL,
            max_under_way: 1_024,
            max_bytes_under_way: 100 * 1024 * 1024,
            latency_faults: None,
            auto_batch: None,
            trace: None,
        }
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_group(&self.group)?;
        if self.group.as_str() == DEFAULT_PRODUCER {
            return Err(ConfigError::DefaultGroup(DEFAULT_PRODUCER));
        }
        let least = |name, value: usize, least: usize| {
            let as_u64 = |value| u64::try_from(value).unwrap_or(u64::MAX);
            if value >= least { Ok(()) } else { Err(ConfigError::Range { name, least: as_u64(least), most: u64::MAX }) }
        };
        if self.send_timeout.is_zero() {
            return Err(ConfigError::Range { name: "send_timeout", least: 1, most: u64::MAX });
        }
        if self.compress_level > MAX_LEVEL {
            return Err(ConfigError::Range { name: "compress_level", least: 0, most: u64::from(MAX_LEVEL) });
        }
        if !self.compression.supported() && self.compression != CompressionKind::Zlib {
            return Err(ConfigError::Compression(self.compression));
        }
        least("max_under_way", self.max_under_way, 1)?;
        least("max_bytes_under_way", self.max_bytes_under_way, 1)?;
        if let Some(faults) = &self.latency_faults
            && !faults.steps.is_sorted()
        {
            return Err(ConfigError::LatencySteps);
        }
        self.auto_batch.map_or(Ok(()), AutoBatch::check)?;
        self.trace.as_ref().map_or(Ok(()), TraceConfig::check)
    }
}

impl LatencyFaults {
    /// The table of Java, with or without probing.
    #[must_use]
    pub fn java(probe: bool) -> Self {
        let step = |(latency, wait)| (Duration::from_millis(latency), Duration::from_millis(wait));
        Self { steps: JAVA_STEPS.map(step).to_vec(), probe }
    }
}

impl AutoBatch {
    /// Checks every rule. Source: Java `ProduceAccumulator`.
    ///
    /// # Errors
    /// A number is out of range.
    pub fn check(self) -> Result<(), ConfigError> {
        if self.max_delay < MIN_DELAY || self.max_delay > MAX_DELAY {
            return Err(ConfigError::Range { name: "auto_batch.max_delay", least: 1, most: 30_000 });
        }
        if self.max_bytes == 0 || self.max_bytes > MAX_BATCH {
            return Err(ConfigError::Range { name: "auto_batch.max_bytes", least: 1, most: 2 * 1024 * 1024 });
        }
        Ok(())
    }
}

impl Default for AutoBatch {
    fn default() -> Self {
        Self { max_delay: Duration::from_millis(10), max_bytes: 32 * 1024, max_total_bytes: 32 * 1024 * 1024 }
    }
}

/// The group name that Java refuses.
const DEFAULT_PRODUCER: &str = "DEFAULT_PRODUCER";
/// The most thorough compression of zlib.
const MAX_LEVEL: u8 = 9;
/// Bounds of the time that a message may wait for others. Source: Java `ProduceAccumulator.batchMaxDelayMs`.
const MIN_DELAY: Duration = Duration::from_millis(1);
const MAX_DELAY: Duration = Duration::from_secs(30);
/// The largest batch. Source: Java `ProduceAccumulator.batchMaxBytes`.
const MAX_BATCH: usize = 2 * 1024 * 1024;
/// Milliseconds of latency, and of the time that follows. Source: Java `MQFaultStrategy.latencyMax`,
/// `notAvailableDuration`.
const JAVA_STEPS: [(u64, u64); 7] =
    [(50, 0), (100, 0), (550, 2_000), (1_800, 5_000), (3_000, 6_000), (5_000, 10_000), (15_000, 30_000)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_kept() {
        let base = || ProducerConfig::new("p".into());
        assert_eq!(base().check(), Ok(()));
        let auto = AutoBatch::default();
        let faults = |steps: [u64; 2]| LatencyFaults {
            steps: steps.map(|at| (Duration::from_millis(at), Duration::ZERO)).to_vec(),
            probe: false,
        };
        let broken = [
            ProducerConfig { send_timeout: Duration::ZERO, ..base() },
            ProducerConfig { compress_level: 10, ..base() },
            ProducerConfig { max_under_way: 0, ..base() },
            ProducerConfig { max_bytes_under_way: 0, ..base() },
            ProducerConfig { latency_faults: Some(faults([2, 1])), ..base() },
            ProducerConfig { auto_batch: Some(AutoBatch { max_delay: Duration::ZERO, ..auto }), ..base() },
            ProducerConfig { auto_batch: Some(AutoBatch { max_delay: Duration::from_secs(31), ..auto }), ..base() },
            ProducerConfig { auto_batch: Some(AutoBatch { max_bytes: 0, ..auto }), ..base() },
            ProducerConfig { auto_batch: Some(AutoBatch { max_bytes: MAX_BATCH + 1, ..auto }), ..base() },
            ProducerConfig { trace: Some(TraceConfig { batch: 0, ..TraceConfig::default() }), ..base() },
        ];
        for config in broken {
            assert!(config.check().is_err(), "{config:?}");
        }
        for kind in [CompressionKind::Lz4, CompressionKind::Zstd] {
            let check = ProducerConfig { compression: kind, ..base() }.check();
            assert_eq!(check, if kind.supported() { Ok(()) } else { Err(ConfigError::Compression(kind)) });
        }
        let fine = ProducerConfig { latency_faults: Some(faults([1, 2])), auto_batch: Some(auto), ..base() };
        assert_eq!(fine.check(), Ok(()));
        assert_eq!(ProducerConfig { latency_faults: Some(LatencyFaults::java(true)), ..base() }.check(), Ok(()));
    }
}
