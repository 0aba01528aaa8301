//! Push consumers.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::{ConfigError, Filter, PopConfig, Strategy, TraceConfig, check_group};
use crate::dispatch::PoisonPolicy;
use crate::ids::{Group, MessageQueue, QueueOffset, Topic};
use crate::time::UnixMillis;
use crate::wire::body::MessageModel;

/// Configuration of one push consumer group.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// The group.
    pub group: Group,
    /// Topics, and which of their messages are wanted.
    pub subscriptions: Vec<(Topic, Filter)>,
    /// Whether each pull says again which messages are wanted, instead of leaving it to the last heartbeat. Java
    /// `postSubscriptionWhenPull`: no.
    pub filter_in_pulls: bool,
    /// Whether the members share the messages, or each gets all. Java `messageModel`: clustering.
    pub model: MessageModel,
    /// Broadcasting: the file that offsets are kept in, if it is not to be the one in the client's folder.
    pub offset_file: Option<String>,
    /// Where a group without stored offset starts. Java `consumeFromWhere`: last.
    pub start_from: StartFrom,
    /// Where these queues are consumed from first, whatever is stored and whatever `start_from` says.
    pub start_at: BTreeMap<MessageQueue, QueueOffset>,
    /// Which replica of its broker a queue is read from. Java `connectBrokerByUser` and `defaultBrokerId`: as suggested.
    pub read_from: ReadFrom,
    /// How queues are shared out. Every member must use the same. Java `allocateMessageQueueStrategy`: averagely.
    pub strategy: Strategy,
    /// Unsettled messages of a queue above which it is not pulled. Java `pullThresholdForQueue`: 1,000.
    pub queue_messages: u32,
    /// Pinned MiB of a queue above which it is not pulled. Java `pullThresholdSizeForQueue`: 100.
    pub queue_mib: u32,
    /// The same for all queues of a topic that this member owns, in equal shares of one message at least; a share takes
    /// the place of `queue_messages`. Java `pullThresholdForTopic`: -1, which is `None`. Java shares it out over the queues
    /// of all topics.
    pub topic_messages: Option<u32>,
    /// Pinned MiB of a topic's own queues, shared out likewise in place of `queue_mib`. Java `pullThresholdSizeForTopic`:
    /// -1, which is `None`.
    pub topic_mib: Option<u32>,
    /// Offsets between the first unsettled message and the next pull. Java `consumeConcurrentlyMaxSpan`: 2,000.
    pub queue_span: u32,
    /// Messages asked for in one pull. Java `pullBatchSize`: 32; brokers give 32 at most by default.
    pub pull_batch: u32,
    /// Bytes asked for in one pull; a larger message comes alone. Java `pullBatchSizeInBytes`: 256 KiB; brokers before 5.0
    /// do not ask, and all keep to limits of their own.
    pub pull_batch_bytes: u32,
    /// Pause between two pulls of a queue that had messages. Java `pullInterval`: 0.
    pub pull_interval: Duration,
    /// How the messages of a queue are handed out. Java: the kind of the listener.
    pub mode: ConsumeMode,
    /// Redeliveries of a message before it goes to the dead-letter queue; `None` is 16, orderly without end. Java
    /// `maxReconsumeTimes`: -1, which means the same.
    pub max_reconsume: Option<u32>,
    /// Orderly: how long a queue waits before a message that failed comes again. Java `suspendCurrentQueueTimeMillis`:
    /// 1 s, between 10 ms and 30 s.
    pub suspend: Duration,
    /// Orderly: whether what is consumed may be committed at once, or waits for an explicit commit. Java
    /// `ConsumeOrderlyContext.autoCommit`: yes.
    pub auto_commit: bool,
    /// How the group pops, if brokers may tell it to. Java `clientRebalance`: true, which is `None`.
    pub pop: Option<PopConfig>,
    /// How long a handler may take before that is told. Java `consumeTimeout`: 15 min.
    pub consume_timeout: Duration,
    /// What to do with a message whose handler takes longer. Java hands it back.
    pub on_consume_timeout: TimeoutPolicy,
    /// What to do with records that cannot be decoded.
    pub on_poison: PoisonPolicy,
    /// Whether and how what it consumes is traced. Java `enableTrace`: no.
    pub trace: Option<TraceConfig>,
}

/// What to do with a message whose handler takes longer than the time it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeoutPolicy {
    /// Tell of it: the handler may go on.
    #[default]
    Tell,
    /// Tell of it and hand the message back to the broker, which delivers it again after ten seconds; what the handler
    /// says later counts no more. Not in an orderly group, whose queue waits, nor in broadcasting.
    SendBack,
}

/// Where a group without stored offset starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartFrom {
    /// At the end of each queue: only messages sent from now on.
    ///
    /// A broker answers 0 for a queue it still holds whole in memory, so on a young topic this starts at the first
    /// message all the same.
    #[default]
    Last,
    /// At the first message there is.
    First,
    /// At the first message stored at this time or later.
    Timestamp(UnixMillis),
}

/// Which replica of its broker a queue is read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// The master, or the slave that it names while the group is far behind; any slave while there is no master.
    #[default]
    Suggested,
    /// The master and no other: while there is none, its queues wait.
    Master,
    /// The replica with this id, whatever the broker suggests: 0 is the master, others are slaves. While it is not there,
    /// another; and when a slave has nothing, the master is asked before it is asked again.
    Replica(u32),
}

/// How the messages of a queue are handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConsumeMode {
    /// Any number at once (Java `MessageListenerConcurrently`).
    #[default]
    Concurrent,
    /// One after the other, in order, by one member at a time (Java `MessageListenerOrderly`).
    Orderly,
}

impl ConsumerConfig {
    /// The defaults, with no subscription yet.
    #[must_use]
    pub fn new(group: Group) -> Self {
        Self {
            group,
            subscriptions: Vec::new(),
            filter_in_pulls: false,
            model: MessageModel::default(),
            offset_file: None,
            start_from: StartFrom::default(),
            start_at: BTreeMap::new(),
            read_from: ReadFrom::default(),
            strategy: Strategy::default(),
            queue_messages: 1_000,
            queue_mib: 100,
            topic_messages: None,
            topic_mib: None,
            queue_span: 2_000,
            pull_batch: 32,
            pull_batch_bytes: 256 * 1_024,
            pull_interval: Duration::ZERO,
            mode: ConsumeMode::default(),
            max_reconsume: None,
            suspend: Duration::from_secs(1),
            auto_commit: true,
            pop: None,
            consume_timeout: Duration::from_secs(15 * 60),
            on_consume_timeout: TimeoutPolicy::default(),
            on_poison: PoisonPolicy::default(),
            trace: None,
        }
    }

    /// Whether queues are consumed in order.
    #[must_use]
    pub const fn is_orderly(&self) -> bool {
        matches!(self.mode, ConsumeMode::Orderly)
    }

    /// Whether a queue is consumed only under its lock at the broker: in order, and by one member of the group.
    #[must_use]
    pub(crate) fn needs_locks(&self) -> bool {
        self.is_orderly() && self.model == MessageModel::Clustering
    }

    /// Redeliveries of a message before it goes to the dead-letter queue, as it stands on the wire.
    #[must_use]
    pub fn max_reconsume_times(&self) -> i32 {
        let unset = if self.is_orderly() { i32::MAX } else { MAX_RECONSUME };
        self.max_reconsume.map_or(unset, |times| i32::try_from(times).unwrap_or(i32::MAX))
    }

    /// Checks every rule, as Java's `checkConfig` does.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_group(&self.group)?;
        if self.group.as_str() == DEFAULT_CONSUMER {
            return Err(ConfigError::DefaultGroup(DEFAULT_CONSUMER));
        }
        if self.subscriptions.is_empty() {
            return Err(ConfigError::NoSubscription);
        }
        for (topic, filter) in &self.subscriptions {
            filter.subscription(topic, UnixMillis(0))?;
        }
        range("queue_messages", self.queue_messages, 1, 65_535)?;
        range("queue_mib", self.queue_mib, 1, 1_024)?;
        range("topic_messages", self.topic_messages.unwrap_or(1), 1, 6_553_500)?;
        range("topic_mib", self.topic_mib.unwrap_or(1), 1, 102_400)?;
        range("queue_span", self.queue_span, 1, 65_535)?;
        range("pull_batch", self.pull_batch, 1, 1_024)?;
        range("pull_batch_bytes", self.pull_batch_bytes, 1, MAX_PULL_BYTES)?;
        range("max_reconsume", self.max_reconsume.unwrap_or(0), 0, 1_000_000)?;
        if !(MIN_SUSPEND..=MAX_SUSPEND).contains(&self.suspend) {
            return Err(ConfigError::Range { name: "suspend (ms)", least: 10, most: 30_000 });
        }
        if !(MIN_CONSUME_TIMEOUT..=MAX_CONSUME_TIMEOUT).contains(&self.consume_timeout) {
            return Err(ConfigError::Range { name: "consume_timeout (s)", least: 1, most: 2_592_000 });
        }
        if self.pull_interval > MAX_PULL_INTERVAL {
            return Err(ConfigError::Range { name: "pull_interval (ms)", least: 0, most: 65_535 });
        }
        if let Some(pop) = &self.pop {
            if self.is_orderly() || self.model == MessageModel::Broadcasting {
                return Err(ConfigError::PopMode);
            }
            pop.check(&self.strategy)?;
        }
        self.trace.as_ref().map_or(Ok(()), TraceConfig::check)
    }
}

pub(super) fn range(name: &'static str, value: u32, least: u32, most: u32) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::Range { name, least: u64::from(least), most: u64::from(most) })
}

/// The group name that Java refuses.
const DEFAULT_CONSUMER: &str = "DEFAULT_CONSUMER";
/// Java's meaning of an unset `maxReconsumeTimes` for a concurrent group.
const MAX_RECONSUME: i32 = 16;
/// The least a queue waits. Source: Java `ConsumeMessageOrderlyService.submitConsumeRequestLater`.
pub(crate) const MIN_SUSPEND: Duration = Duration::from_millis(10);
/// The most a queue waits. Source: the same.
pub(crate) const MAX_SUSPEND: Duration = Duration::from_secs(30);
/// With the headers of an answer, this fits into a frame.
const MAX_PULL_BYTES: u32 = 8 * 1_024 * 1_024;
/// A handler may take a second at least.
const MIN_CONSUME_TIMEOUT: Duration = Duration::from_secs(1);
/// And 30 days at most.
const MAX_CONSUME_TIMEOUT: Duration = Duration::from_secs(2_592_000);
/// Java's bound on `pullInterval`.
const MAX_PULL_INTERVAL: Duration = Duration::from_millis(65_535);

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: impl FnOnce(&mut ConsumerConfig)) -> Result<(), ConfigError> {
        let mut config = ConsumerConfig::new("g".into());
        config.subscriptions.push(("t".into(), "*".into()));
        change(&mut config);
        config.check()
    }

    #[test]
    fn the_defaults_pass() {
        assert_eq!(config(|_| ()), Ok(()));
    }

    #[test]
    fn each_broken_rule_has_its_error() {
        let range = |name, least, most| Err(ConfigError::Range { name, least, most });
        assert_eq!(config(|c| c.group = "".into()), Err(ConfigError::Group("".into())));
        assert_eq!(config(|c| c.group = "a b".into()), Err(ConfigError::Group("a b".into())));
        let long = "g".repeat(121);
        assert_eq!(config(|c| c.group = Group::from(&long)), Err(ConfigError::Group(long.clone())));
        assert_eq!(config(|c| c.group = DEFAULT_CONSUMER.into()), Err(ConfigError::DefaultGroup(DEFAULT_CONSUMER)));
        assert_eq!(config(|c| c.subscriptions.clear()), Err(ConfigError::NoSubscription));
        assert_eq!(config(|c| c.subscriptions[0].0 = "a/b".into()), Err(ConfigError::Topic("a/b".into())));
        let expression = ConfigError::Expression { topic: "t".into(), expression: "||".into() };
        assert_eq!(config(|c| c.subscriptions[0].1 = "||".into()), Err(expression));
        let nothing = ConfigError::Expression { topic: "t".into(), expression: " ".into() };
        assert_eq!(config(|c| c.subscriptions[0].1 = Filter::sql(" ")), Err(nothing));
        assert_eq!(config(|c| c.subscriptions[0].1 = Filter::sql("a >")), Ok(()), "only brokers can tell");
        assert_eq!(config(|c| c.queue_messages = 0), range("queue_messages", 1, 65_535));
        assert_eq!(config(|c| c.queue_mib = 1_025), range("queue_mib", 1, 1_024));
        let most = 6_553_500;
        assert_eq!(config(|c| c.topic_messages = Some(0)), range("topic_messages", 1, most));
        assert_eq!(config(|c| c.topic_messages = Some(6_553_501)), range("topic_messages", 1, most));
        assert_eq!(config(|c| (c.topic_messages, c.topic_mib) = (Some(6_553_500), Some(102_400))), Ok(()));
        assert_eq!(config(|c| c.topic_mib = Some(0)), range("topic_mib", 1, 102_400));
        assert_eq!(config(|c| c.topic_mib = Some(102_401)), range("topic_mib", 1, 102_400));
        assert_eq!(config(|c| c.pull_batch_bytes = 0), range("pull_batch_bytes", 1, 8_388_608));
        assert_eq!(config(|c| c.pull_batch_bytes = 8_388_609), range("pull_batch_bytes", 1, 8_388_608));
        assert_eq!(config(|c| c.queue_span = 65_536), range("queue_span", 1, 65_535));
        assert_eq!(config(|c| c.pull_batch = 1_025), range("pull_batch", 1, 1_024));
        assert_eq!(config(|c| c.max_reconsume = Some(1_000_001)), range("max_reconsume", 0, 1_000_000));
        let pause = |millis| config(|c| c.suspend = Duration::from_millis(millis));
        assert_eq!((pause(9), pause(10)), (range("suspend (ms)", 10, 30_000), Ok(())));
        assert_eq!((pause(30_000), pause(30_001)), (Ok(()), range("suspend (ms)", 10, 30_000)));
        let handling = |seconds| config(|c| c.consume_timeout = Duration::from_secs(seconds));
        let bounds = || range("consume_timeout (s)", 1, 2_592_000);
        assert_eq!((handling(0), handling(1)), (bounds(), Ok(())));
        assert_eq!((handling(2_592_000), handling(2_592_001)), (Ok(()), bounds()));
        let slow = config(|c| c.pull_interval = Duration::from_millis(65_536));
        assert_eq!(slow, range("pull_interval (ms)", 0, 65_535));
    }

    #[test]
    fn an_orderly_group_redelivers_without_end_unless_told() {
        let mut config = ConsumerConfig::new("g".into());
        assert_eq!(config.max_reconsume_times(), 16);
        config.mode = ConsumeMode::Orderly;
        assert_eq!(config.max_reconsume_times(), i32::MAX);
        config.max_reconsume = Some(3);
        assert_eq!(config.max_reconsume_times(), 3);
    }
}
