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
        self.tell_brokers(brokers, &SetGroup {}, Bytes::from(config.encode())).await
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
        self.tell_brokers(brokers, &request, Bytes::new()).await
    }

    /// The members of a consumer group and what they subscribe to, as the first broker tells that knows it: members are
    /// connected to all. `None` when it has no members at those that answer.
    ///
    /// # Errors
    /// No broker answers, or the group never had members.
    pub async fn consumers(&self, group: impl Into<Group>) -> Result<Partial<Option<ConsumerConnection>>, AdminError> {
        let group = group.into();
        let replicas = self.replicas(&Topic::from(alloc::format!("%RETRY%{group}"))).await?;
        let read = |_: &BrokerName, answer: Result<Frame, AdminError>| match answer {
            Ok(frame) => Ok(Some(ConsumerConnection::decode(&frame.body)?)),
            Err(AdminError::Broker { code: response::CONSUMER_NOT_ONLINE, .. }) => Ok(None),
            Err(error) => Err(error),
        };
        let found = self.ask_each(replicas, &GetConsumerConnections { group }, Bytes::new(), TIMEOUT, read).await;
        Ok(found.of_some()?.map(|found| found.into_iter().find_map(|(_, members)| members)))
    }

    /// The producers of a group that the brokers of a topic know.
    ///
    /// # Errors
    /// No broker answers, or none knows the group.
    pub async fn producers(
        &self,
        group: impl Into<Group>,
        topic: impl Into<Topic>,
    ) -> Result<Partial<Vec<Connection>>, AdminError> {
        let request = GetProducerConnections { group: group.into() };
        let replicas = self.replicas(&topic.into()).await?;
        // A broker that does not know the group refuses: others may know it.
        let read = |_: &BrokerName, answer: Result<Frame, AdminError>| match answer {
            Ok(frame) => Ok(Ok(ProducerConnection::decode(&frame.body)?.connection_set)),
            Err(unknown @ AdminError::Broker { code: response::SYSTEM_ERROR, .. }) => Ok(Err(unknown)),
            Err(error) => Err(error),
        };
        let found = self.ask_each(replicas, &request, Bytes::new(), TIMEOUT, read).await.of_some()?;
        if let Some((_, Err(unknown))) = found.value.iter().find(|(_, known)| known.is_err())
            && found.value.iter().all(|(_, known)| known.is_err())
        {
            return Err(unknown.clone());
        }
        Ok(found.map(|found| {
            let mut all: Vec<_> = found.into_iter().flat_map(|(_, known)| known.unwrap_or_default()).collect();
            all.sort_by(|a, b| a.client_id.cmp(&b.client_id));
            all.dedup_by(|a, b| a.client_id == b.client_id);
            all
        }))
    }

    /// The topics that a group consumes, or did.
    ///
    /// # Errors
    /// No broker answers, or the group never had members.
    pub async fn topics_of_group(&self, group: impl Into<Group>) -> Result<Partial<Vec<Topic>>, AdminError> {
        let group = group.into();
        let retry = Topic::from(alloc::format!("%RETRY%{group}"));
        let read = |_: &BrokerName, frame: &Frame| Ok(TopicList::decode(&frame.body)?.topic_list);
        let all = self.ask_replicas(&retry, &GetTopicsOfGroup { group }, read).await?;
        Ok(all.map(|all| sorted(all.into_iter().flat_map(|(_, topics)| topics).collect())))
    }

    /// Sets how a group gets the messages of a topic, on every broker of the topic; says which brokers did. Members that
    /// are to be assigned their queues by brokers follow with their next rebalance.
    ///
    /// `share` is for popping: how many other members may pop from the queues of a member, 0 for all of them.
    ///
    /// # Errors
    /// No broker did: also when they are older than 5.0.
    pub async fn set_request_mode(
        &self,
        group: impl Into<Group>,
        topic: impl Into<Topic>,
        mode: MessageMode,
        share: u32,
    ) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let (group, topic) = (group.into(), topic.into());
        let share = i32::try_from(share).unwrap_or(i32::MAX);
        let body = Bytes::from(RequestMode { group, mode, share, topic: topic.clone() }.encode());
        self.tell_brokers(&Brokers::OfTopic(topic), &SetRequestMode {}, body).await
    }
}
