//! Namespaces that are part of names: in namespace `N` topic `t` is `N%t` to brokers, and its retry topic `%RETRY%N%g`.
//!
//! Source: Java `NamespaceUtil`. Namespaces of the newer kind are fields of requests instead, and leave names alone:
//! [`ClientBuilder::namespace_v2`](crate::driver::ClientBuilder::namespace_v2).

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use crate::ids::{Endpoint, Group, Topic};

/// A prefix of the names of topics and groups.
#[derive(Clone, PartialEq, Eq)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// A namespace; `None` without a name.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        (!name.is_empty()).then(|| Self(Arc::from(name)))
    }

    /// The namespace that the address of a name server names, as that of a cloud instance does: `MQ_INST_x_y.host:80`.
    #[must_use]
    pub fn of_name_server(endpoint: &Endpoint) -> Option<Self> {
        let (first, _) = endpoint.as_str().split_once('.')?;
        let (account, instance) = first.strip_prefix("MQ_INST_")?.split_once('_')?;
        let is_word =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_word(account) && is_word(instance) { Self::new(first) } else { None }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A topic as brokers know it.
    #[must_use]
    pub fn topic(&self, topic: &Topic) -> Topic {
        if is_system_topic(topic.as_str()) { topic.clone() } else { Topic::from(self.wrapped(topic.as_str())) }
    }

    /// A group as brokers know it.
    #[must_use]
    pub fn group(&self, group: &Group) -> Group {
        if is_system_group(group.as_str()) { group.clone() } else { Group::from(self.wrapped(group.as_str())) }
    }

    /// A topic as users of the namespace know it.
    #[must_use]
    pub fn topic_within(&self, topic: &Topic) -> Topic {
        self.stripped(topic.as_str()).map_or_else(|| topic.clone(), Topic::from)
    }

    /// A group as users of the namespace know it.
    #[must_use]
    pub fn group_within(&self, group: &Group) -> Group {
        self.stripped(group.as_str()).map_or_else(|| group.clone(), Group::from)
    }

    fn wrapped(&self, name: &str) -> String {
        let (kind, bare) = split_kind(name);
        if bare.is_empty() || self.rest(bare).is_some() {
            return String::from(name);
        }
        [kind, &self.0, SEPARATOR, bare].concat()
    }

    fn stripped(&self, name: &str) -> Option<String> {
        let (kind, bare) = split_kind(name);
        Some([kind, self.rest(bare)?].concat())
    }

    fn rest<'n>(&self, bare: &'n str) -> Option<&'n str> {
        bare.strip_prefix(&*self.0)?.strip_prefix(SEPARATOR)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Retry and dead-letter topics have their mark before the namespace.
fn split_kind(name: &str) -> (&str, &str) {
    let kind = ["%RETRY%", "%DLQ%"].into_iter().find(|kind| name.starts_with(kind)).unwrap_or_default();
    name.split_at(kind.len())
}

fn is_system_topic(topic: &str) -> bool {
    topic.starts_with("rmq_sys_") || SYSTEM_TOPICS.contains(&topic)
}

fn is_system_group(group: &str) -> bool {
    ["CID_RMQ_SYS_", "CID_ONSAPI_"].iter().any(|prefix| group.starts_with(prefix)) || SYSTEM_GROUPS.contains(&group)
}

const SEPARATOR: &str = "%";
/// Topics of servers' own. Source: Java `TopicValidator.SYSTEM_TOPIC_SET`.
pub const SYSTEM_TOPICS: [&str; 10] = [
    "TBW102",
    "SCHEDULE_TOPIC_XXXX",
    "BenchmarkTest",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRACE_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
    "CHECKPOINT_TOPIC",
];
/// Java `MixAll.isSysConsumerGroup` and the groups of servers' own.
const SYSTEM_GROUPS: [&str; 6] = [
    "TOOLS_CONSUMER",
    "SCHEDULE_CONSUMER",
    "FILTERSRV_CONSUMER",
    "__MONITOR_CONSUMER",
    "SELF_TEST_P_GROUP",
    "SELF_TEST_C_GROUP",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_wrapped_as_java_wraps_them_and_come_back() {
        let space = Namespace::new("INST").unwrap();
        let names = [
            ("T", "INST%T"),
            ("%RETRY%g", "%RETRY%INST%g"),
            ("%DLQ%g", "%DLQ%INST%g"),
            ("INSTANT", "INST%INSTANT"),
            ("OTHER%T", "INST%OTHER%T"),
        ];
        for (name, wrapped) in names {
            assert_eq!(space.topic(&name.into()), wrapped.into());
            assert_eq!(space.topic(&wrapped.into()), wrapped.into(), "once is enough");
            assert_eq!(space.topic_within(&wrapped.into()), name.into());
            assert_eq!(space.topic_within(&name.into()), name.into());
            assert_eq!(space.group_within(&space.group(&name.into())), name.into());
        }
        assert_eq!(space.topic_within(&"%RETRY%OTHER%g".into()), "%RETRY%OTHER%g".into());
        for system in ["TBW102", "RMQ_SYS_TRACE_TOPIC", "rmq_sys_anything", "", "%RETRY%"] {
            assert_eq!(space.topic(&system.into()), system.into());
        }
        for system in ["CID_RMQ_SYS_x", "CID_ONSAPI_PULL", "TOOLS_CONSUMER"] {
            assert_eq!(space.group(&system.into()), system.into());
        }
        assert_eq!(space.group(&"TBW102".into()), "INST%TBW102".into());
        assert_eq!(Namespace::new(""), None);
    }

    #[test]
    fn a_cloud_instance_is_its_namespace() {
        let found = |text: &str| Namespace::of_name_server(&text.into()).map(|space| String::from(space.as_str()));
        assert_eq!(found("MQ_INST_123_Ab.mq.example.com:80").as_deref(), Some("MQ_INST_123_Ab"));
        for other in [
            "localhost:9876",
            "MQ_INST_123.example.com:80",
            "MQ_INST__x.example.com:80",
            "MQ_INST_1_x:80",
            "a.MQ_INST_1_x.b:80",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }
}
