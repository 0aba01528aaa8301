//! Groups of consumers and producers.

use alloc::vec::Vec;

use bytes::Bytes;

use super::topics::sorted;
use super::{Admin, AdminError, Brokers, Partial, TIMEOUT};
use crate::ids::{BrokerName, Group, Topic};
use crate::wire::Frame;
use crate::wire::body::{
    Connection, ConsumerConnection, GroupConfig, MessageMode, ProducerConnection, RequestMode, TopicList,
};
use crate::wire::codes::response;
use crate::wire::request::{
    DeleteGroup, GetConsumerConnections, GetProducerConnections, GetTopicsOfGroup, SetGroup, SetRequestMode,
};

impl Admin {
    /// Creates a consumer group, or changes its configuration; says which brokers did.
    ///
    /// # Errors
    /// No broker did.
    pub async fn set_group(
        &self,
        config: &GroupConfig,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let done = self.ask_brokers(brokers, &SetGroup {}, Bytes::from(config.encode()), TIMEOUT, |_| Ok(())).await?;
        Ok(done.map(|done| done.into_iter().map(|(broker, ())| broker).collect()))
    }

    /// Deletes a consumer group, and its offsets too if `offsets` says so; says which brokers did. Its retry topic
    /// stays.
    ///
    /// # Errors
    /// No broker did.
    pub async fn delete_group(
        &self,
        group: impl Into<Group>,
        offsets: bool,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let request = DeleteGroup { group: group.into(), clean_offset: offsets, remove_offset: offsets };
        let done = self.ask_brokers(brokers, &request, Bytes::new(), TIMEOUT, |_| Ok(())).await?;
        Ok(done.map(|done| done.into_iter().map(|(broker, ())| broker).collect()))
    }

    /// The members of a consumer group and what they subscribe to, as the first broker tells that knows it: members are
    /// connected to all. `None` when it has no members.
    ///
    /// # Errors
    /// No broker answers, or the group never had members.
    pub async fn consumers(&self, group: impl Into<Group>) -> Result<Option<ConsumerConnection>, AdminError> {
        let group = group.into();
        let brokers = Brokers::OfTopic(Topic::from(alloc::format!("%RETRY%{group}")));
        let read = |frame: &Frame| Ok(ConsumerConnection::decode(&frame.body)?);
        match self.ask_brokers(&brokers, &GetConsumerConnections { group }, Bytes::new(), TIMEOUT, read).await {
            Ok(found) => Ok(found.value.into_iter().next().map(|(_, members)| members)),
            Err(AdminError::Broker { code: response::CONSUMER_NOT_ONLINE, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The producers of a group that the brokers of a topic know.
    ///
    /// # Errors
    /// No broker answers, or none knows the group.
    pub async fn producers(
        &self,
        group: impl Into<Group>,
        topic: impl Into<Topic>,
    ) -> Result<Vec<Connection>, AdminError> {
        let request = GetProducerConnections { group: group.into() };
        let read = |frame: &Frame| Ok(ProducerConnection::decode(&frame.body)?.connection_set);
        let found =
            self.ask_brokers(&Brokers::OfTopic(topic.into()), &request, Bytes::new(), TIMEOUT, read).await?.value;
        let mut all: Vec<_> = found.into_iter().flat_map(|(_, known)| known).collect();
        all.sort_by(|a, b| a.client_id.cmp(&b.client_id));
        all.dedup_by(|a, b| a.client_id == b.client_id);
        Ok(all)
    }

    /// The topics that a group consumes, or did.
    ///
    /// # Errors
    /// No broker answers, or the group never had members.
    pub async fn topics_of_group(&self, group: impl Into<Group>) -> Result<Partial<Vec<Topic>>, AdminError> {
        let group = group.into();
        let brokers = Brokers::OfTopic(Topic::from(alloc::format!("%RETRY%{group}")));
        let read = |frame: &Frame| Ok(TopicList::decode(&frame.body)?.topic_list);
        let all = self.ask_brokers(&brokers, &GetTopicsOfGroup { group }, Bytes::new(), TIMEOUT, read).await?;
        Ok(all.map(|all| sorted(all.into_iter().flat_map(|(_, topics)| topics).collect())))
    }

    /// Sets how a group gets the messages of a topic, on every broker of the topic. Members that are to be assigned their
    /// queues by brokers follow with their next rebalance.
    ///
    /// `share` is for popping: how many other members may pop from the queues of a member, 0 for all of them.
    ///
    /// # Errors
    /// A broker refuses, does not answer, or is older than 5.0; the others may have taken it.
    pub async fn set_request_mode(
        &self,
        group: impl Into<Group>,
        topic: impl Into<Topic>,
        mode: MessageMode,
        share: u32,
    ) -> Result<(), AdminError> {
        let (group, topic) = (group.into(), topic.into());
        let share = i32::try_from(share).unwrap_or(i32::MAX);
        let body = Bytes::from(RequestMode { group, mode, share, topic: topic.clone() }.encode());
        let brokers = Brokers::OfTopic(topic);
        self.ask_brokers(&brokers, &SetRequestMode {}, body, TIMEOUT, |_| Ok(())).await?.complete().map(drop)
    }
}
