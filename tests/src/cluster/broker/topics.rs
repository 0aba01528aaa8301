//! Topics: those every broker has, those clients ask for, those that groups need.

use super::transactions::{self, HALF_TOPIC, OP_TOPIC};
use super::{Answer, Broker, Call};
use crate::cluster::fields::flag;
use crate::cluster::output::Reply;
use crate::cluster::store::{PERM_INHERIT, PERM_READ, PERM_WRITE, TopicConfig};

impl Broker {
    /// Creates a topic or changes its configuration.
    pub fn put_topic(&mut self, topic: &str, config: TopicConfig) {
        self.store.put_topic(topic, config);
    }

    /// The configuration of a topic.
    #[must_use]
    pub fn topic(&self, topic: &str) -> Option<&TopicConfig> {
        self.store.topic(topic)
    }

    /// All topics.
    pub fn topics(&self) -> impl Iterator<Item = (&str, &TopicConfig)> {
        self.store.topics()
    }

    /// Counts the changes of topics, so that name servers can be told.
    #[must_use]
    pub fn topics_revision(&self) -> u64 {
        self.store.revision()
    }

    pub(super) fn create_system_topics(&mut self) {
        let template = |queues| TopicConfig { perm: PERM_READ | PERM_WRITE | PERM_INHERIT, ..TopicConfig::new(queues) };
        if self.cfg.auto_create_topics {
            self.store.put_topic(DEFAULT_TEMPLATE, template(self.cfg.default_topic_queues));
        }
        self.store.put_topic(&self.cfg.cluster.clone(), template(CLUSTER_TOPIC_QUEUES));
        self.store.put_topic(&self.cfg.name.clone(), template(1));
        let levels = i32::try_from(self.cfg.delay_levels.len()).unwrap_or(i32::MAX);
        self.store.put_topic(SCHEDULE_TOPIC, TopicConfig::new(levels));
        self.store.put_topic(&format!("{}_REPLY_TOPIC", self.cfg.cluster), TopicConfig::new(1));
        for topic in [HALF_TOPIC, OP_TOPIC, transactions::MAX_TOPIC] {
            self.store.put_topic(topic, TopicConfig::new(1));
        }
    }

    /// Code 17.
    pub(super) fn create_topic(&mut self, call: &Call<'_>) -> Answer {
        let ext = &call.header.ext;
        let topic: String = ext.field("topic")?;
        if !ext.get("topicFilterType").is_some_and(|kind| FILTER_TYPES.contains(&kind)) {
            return Err("topicFilterType value invalid".into());
        }
        if let Some(error) = self.illegal_topic(&topic) {
            return Ok(Some(Reply::error(self.invalid_parameter(), error)));
        }
        if self.is_system_topic(&topic) {
            let error = format!("The topic[{topic}] is conflict with system topic.");
            return Ok(Some(Reply::error(self.invalid_parameter(), error)));
        }
        let config = TopicConfig {
            read_queues: ext.field("readQueueNums")?,
            write_queues: ext.field("writeQueueNums")?,
            perm: ext.field("perm")?,
            sys_flag: ext.field::<Option<i32>>("topicSysFlag")?.unwrap_or(0),
            order: flag(ext, "order").unwrap_or(false),
        };
        self.store.put_topic(&topic, config);
        Ok(Some(Reply::ok().remark("not set any response code")))
    }

    /// Creates `topic` after its template with at most `queues` queues; `None` when the template forbids it.
    pub(super) fn create_from_template(&mut self, topic: &str, template: &str, queues: i32) -> Option<TopicConfig> {
        let template = self.store.topic(template)?;
        if template.perm & PERM_INHERIT == 0 {
            return None;
        }
        let queues = queues.min(template.write_queues).max(0);
        let config = TopicConfig { perm: template.perm & !PERM_INHERIT, ..TopicConfig::new(queues) };
        self.store.put_topic(topic, config.clone());
        Some(config)
    }

    /// Why no topic can have this name.
    pub(super) fn illegal_topic(&self, topic: &str) -> Option<String> {
        if topic.trim().is_empty() {
            return Some("The specified topic is blank.".into());
        }
        let v4 = self.cfg.is_v4();
        let legal = |unit: char| unit.is_ascii_alphanumeric() || "%|_-".contains(unit);
        if !topic.chars().all(legal) {
            let name = if v4 { String::new() } else { format!(": {topic},") };
            return Some(format!(
                "The specified topic{name} contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$"
            ));
        }
        if v4 {
            return (topic.len() > MAX_TOPIC).then(|| "The specified topic is longer than topic max length.".into());
        }
        let group_topic = topic.starts_with(RETRY_PREFIX) || topic.starts_with(DLQ_PREFIX);
        let (limit, what, link) = match group_topic {
            true => (MAX_GROUP_TOPIC, " is DLQ or Retry topic", "and it's"),
            false => (MAX_TOPIC, "", "is"),
        };
        let error = || format!("The specified topic{what}: {topic}, {link} longer than topic max length: {limit}");
        (topic.len() > limit).then(error)
    }

    /// Whether the topic is the broker's own, which nobody may change.
    pub(super) fn is_system_topic(&self, topic: &str) -> bool {
        let named_after = [&self.cfg.cluster, &self.cfg.name];
        let listed = FORBIDDEN_TOPICS.contains(&topic) || OTHER_SYSTEM_TOPICS.contains(&topic);
        listed || named_after.iter().any(|name| *name == topic) || topic.starts_with(SYSTEM_PREFIX)
    }

    /// Creates the retry or dead-letter topic of a group unless it exists.
    pub(super) fn ensure_group_topic(&mut self, topic: &str, queues: i32) {
        if self.store.topic(topic).is_none() {
            self.store.put_topic(topic, TopicConfig::new(queues));
        }
    }
}

/// The retry topic of a group.
pub(super) fn retry_topic(group: &str) -> String {
    format!("{RETRY_PREFIX}{group}")
}

/// The dead-letter topic of a group.
pub(super) fn dlq_topic(group: &str) -> String {
    format!("{DLQ_PREFIX}{group}")
}

/// Before the group in the name of its retry topic.
pub(super) const RETRY_PREFIX: &str = "%RETRY%";
/// Before the group in the name of its dead-letter topic.
const DLQ_PREFIX: &str = "%DLQ%";
/// The topic after which others are created.
const DEFAULT_TEMPLATE: &str = "TBW102";
/// Where delayed messages wait, one queue a level.
pub(crate) const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// Topics that nobody may send to.
pub(super) const FORBIDDEN_TOPICS: [&str; 6] =
    [SCHEDULE_TOPIC, HALF_TOPIC, OP_TOPIC, transactions::MAX_TOPIC, "SELF_TEST_TOPIC", "OFFSET_MOVED_EVENT"];
/// Topics of the broker's own to which anybody may send.
pub(super) const OTHER_SYSTEM_TOPICS: [&str; 4] =
    [DEFAULT_TEMPLATE, "BenchmarkTest", "RMQ_SYS_TRACE_TOPIC", "CHECKPOINT_TOPIC"];
/// Before the names of other topics of the broker's own.
const SYSTEM_PREFIX: &str = "rmq_sys_";
/// What topics may say of the tags of their messages.
const FILTER_TYPES: [&str; 2] = ["SINGLE_TAG", "MULTI_TAG"];
/// Queues of the topic that is named like the cluster.
const CLUSTER_TOPIC_QUEUES: i32 = 16;
/// The longest name of a topic.
pub(super) const MAX_TOPIC: usize = 127;
/// The longest name of a retry or dead-letter topic.
const MAX_GROUP_TOPIC: usize = 255;
