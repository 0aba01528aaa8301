//! Configurations of topics and groups: all of them, and several at once.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;

use super::pages::{Groups, Topics};
use super::topics::sorted;
use super::{Admin, AdminError, Brokers, Partial, TIMEOUT};
use crate::ids::{BrokerName, Group, Topic};
use crate::wire::Frame;
use crate::wire::body::{GroupConfig, GroupConfigList, Perm, ReadPermission, TopicConfig, TopicConfigList, TopicList};
use crate::wire::codes::response;
use crate::wire::request::{GetBrokerTopics, GetGroupConfig, GroupMayRead, SetGroups, SetTopics};

/// Configurations of topics by broker.
pub type TopicTables = Partial<Vec<(BrokerName, BTreeMap<Topic, TopicConfig>)>>;
/// Configurations of groups by broker.
pub type GroupTables = Partial<Vec<(BrokerName, BTreeMap<Group, GroupConfig>)>>;

impl Admin {
    /// Creates topics, or changes them, with one request to each broker; says which brokers did. A broker that finds one
    /// of them as it should be already leaves out those after it.
    ///
    /// # Errors
    /// No broker did: also when they are older than 5.3.
    pub async fn set_topics(
        &self,
        topics: &[TopicConfig],
        brokers: &Brokers,
    ) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        // Here too attributes are changes: with a sign before each.
        let changed = |topic: &TopicConfig| {
            let attributes = topic.attributes.iter().map(|(key, value)| (alloc::format!("+{key}"), value.clone()));
            TopicConfig { attributes: attributes.collect(), ..topic.clone() }
        };
        let body = TopicConfigList { topic_config_list: topics.iter().map(changed).collect() }.encode();
        self.tell_brokers(brokers, &SetTopics {}, Bytes::from(body)).await
    }

    /// Creates groups, or changes them, with one request to each broker; says which brokers did.
    ///
    /// # Errors
    /// No broker did: also when they are older than 5.3.
    pub async fn set_groups(
        &self,
        groups: &[GroupConfig],
        brokers: &Brokers,
    ) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let body = GroupConfigList { group_config_list: groups.to_vec() }.encode();
        self.tell_brokers(brokers, &SetGroups {}, Bytes::from(body)).await
    }

    /// The configuration of every topic of each of these brokers.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn topic_configs(&self, brokers: &Brokers) -> Result<TopicTables, AdminError> {
        self.tables::<Topics>(brokers).await
    }

    /// The same of users' topics: not those of the brokers' own, nor those that groups have for what failed, unless
    /// `of_groups` says so.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn user_topic_configs(&self, brokers: &Brokers, of_groups: bool) -> Result<TopicTables, AdminError> {
        let own = self.broker_topics(brokers).await?;
        let mut all = self.topic_configs(brokers).await?;
        for (broker, topics) in &mut all.value {
            let of_it = own.value.iter().find(|(name, _)| name == broker).map(|(_, own)| own.as_slice());
            let of_it = of_it.unwrap_or_default();
            topics.retain(|topic, config| {
                let name = topic.as_str();
                let groups = !of_groups && GROUP_TOPICS.iter().any(|prefix| name.starts_with(prefix));
                !of_it.contains(topic) && !name.starts_with(SYSTEM_PREFIX) && !groups && is_valid(config.perm)
            });
        }
        all.value.retain(|(broker, _)| !own.failed.contains_key(broker.as_str()));
        all.failed.extend(own.failed);
        Ok(all)
    }

    /// The topics of each broker's own.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn broker_topics(&self, brokers: &Brokers) -> Result<Partial<Vec<(BrokerName, Vec<Topic>)>>, AdminError> {
        let read = |_: &BrokerName, frame: &Frame| Ok(sorted(TopicList::decode(&frame.body)?.topic_list));
        self.ask_brokers(brokers, &GetBrokerTopics {}, Bytes::new(), TIMEOUT, read).await
    }

    /// The configuration of every group of each of these brokers.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn group_configs(&self, brokers: &Brokers) -> Result<GroupTables, AdminError> {
        self.tables::<Groups>(brokers).await
    }

    /// The same of users' groups: not those that every broker has for tools and the like.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn user_group_configs(&self, brokers: &Brokers) -> Result<GroupTables, AdminError> {
        let own = |group: &Group| {
            let name = group.as_str();
            name.starts_with(SYSTEM_GROUP_PREFIX) || PREDEFINED_GROUPS.contains(&name)
        };
        let mut all = self.group_configs(brokers).await?;
        all.value.iter_mut().for_each(|(_, groups)| groups.retain(|group, _| !own(group)));
        Ok(all)
    }

    /// The configuration of a group on each of these brokers that has it.
    ///
    /// # Errors
    /// No broker answers, or none has it.
    pub async fn group_config(
        &self,
        group: impl Into<Group>,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<(BrokerName, GroupConfig)>>, AdminError> {
        let group = group.into();
        let masters = self.masters(brokers).await?;
        // Brokers that do not have it refuse: others may.
        let read = |_: &BrokerName, answer: Result<Frame, AdminError>| match answer {
            Ok(frame) => Ok(Ok(GroupConfig::decode(&frame.body)?)),
            Err(missing @ AdminError::Broker { code: response::SUBSCRIPTION_GROUP_NOT_EXIST, .. }) => Ok(Err(missing)),
            Err(error) => Err(error),
        };
        let asked = self.ask_each(masters, &GetGroupConfig { group: group.clone() }, Bytes::new(), TIMEOUT, read).await;
        let Partial { value, failed } = match asked.of_some() {
            // Old brokers tell all or nothing.
            Err(AdminError::Broker { code: response::REQUEST_CODE_NOT_SUPPORTED, .. }) => {
                let all = self.group_configs(brokers).await?;
                let found = |(broker, mut groups): (BrokerName, BTreeMap<Group, GroupConfig>)| {
                    (broker, groups.remove(&group).ok_or_else(|| Self::no_group(&group)))
                };
                all.map(|all| all.into_iter().map(found).collect())
            }
            asked => asked?,
        };
        let mut last = None;
        let mut known = Vec::new();
        for (broker, found) in value {
            match found {
                Ok(config) => known.push((broker, config)),
                Err(missing) => last = Some(missing),
            }
        }
        match last {
            Some(missing) if known.is_empty() => Err(missing),
            Some(_) | None => Ok(Partial { value: known, failed }),
        }
    }

    /// Whether a group may read a topic, at each of these brokers; `set` changes it first. A group that may not gets
    /// nothing from there, as if there were no messages.
    ///
    /// # Errors
    /// No broker answers: also when they are older than 5.0.
    pub async fn group_may_read(
        &self,
        group: impl Into<Group>,
        topic: impl Into<Topic>,
        set: Option<bool>,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<(BrokerName, bool)>>, AdminError> {
        let request = GroupMayRead { group: group.into(), topic: topic.into(), readable: set };
        let read = |_: &BrokerName, frame: &Frame| Ok(ReadPermission::decode(&frame.body)?.readable);
        self.ask_brokers(brokers, &request, Bytes::new(), TIMEOUT, read).await
    }

    /// As brokers say it that know how.
    fn no_group(group: &Group) -> AdminError {
        let remark = alloc::format!("No group in this broker: {group}");
        AdminError::Broker { code: response::SUBSCRIPTION_GROUP_NOT_EXIST, remark }
    }
}

/// As Java has it: nothing, or reading and writing with or without being inherited.
fn is_valid(perm: Perm) -> bool {
    perm.0 < 8
}

/// Before the names of topics of brokers' own that are not listed. Source: Java `TopicValidator`.
const SYSTEM_PREFIX: &str = "rmq_sys_";
/// Before the names of topics for what failed.
const GROUP_TOPICS: [&str; 2] = ["%RETRY%", "%DLQ%"];
/// Before the names of groups of brokers' own. Source: Java `MixAll.CID_RMQ_SYS_PREFIX`.
const SYSTEM_GROUP_PREFIX: &str = "CID_RMQ_SYS_";
/// Groups that every broker has. Source: Java `MixAll.isPredefinedGroup`.
const PREDEFINED_GROUPS: [&str; 14] = [
    "DEFAULT_CONSUMER",
    "DEFAULT_PRODUCER",
    "TOOLS_CONSUMER",
    "SCHEDULE_CONSUMER",
    "FILTERSRV_CONSUMER",
    "__MONITOR_CONSUMER",
    "CLIENT_INNER_PRODUCER",
    "SELF_TEST_P_GROUP",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_ONSAPI_PULL",
    "CID_SYS_RMQ_TRANS",
];
