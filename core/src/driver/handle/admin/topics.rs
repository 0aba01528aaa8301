//! Topics.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::names::ORDER;
use super::{Admin, AdminError, Brokers, Partial};
use crate::client::RouteError;
use crate::ids::{BrokerName, Group, MessageQueue, Topic};
use crate::wire::Frame;
use crate::wire::body::{GroupList, TopicConfig, TopicList, TopicRoute, TopicStats};
use crate::wire::codes::response;
use crate::wire::request::{
    CreateTopic, DeleteKv, DeleteTopic, DeleteTopicAtNameServer, GetGroupsOfTopic, GetRouteInfo, GetTopicConfig,
    GetTopicStats, GetTopics, GetTopicsOfCluster,
};

impl Admin {
    /// Creates a topic with so many queues, on every broker that holds the template topic.
    ///
    /// # Errors
    /// No broker created it; of several the last error.
    pub async fn create_topic(&self, topic: impl Into<Topic>, queues: u32) -> Result<(), AdminError> {
        let template = self.client.inner.shared.config.template_topic.clone();
        self.set_topic(&TopicConfig::new(topic, queues), &Brokers::OfTopic(template)).await.map(drop)
    }

    /// Creates a topic, or changes its configuration; says which brokers did.
    ///
    /// # Errors
    /// No broker did.
    pub async fn set_topic(
        &self,
        config: &TopicConfig,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let request = CreateTopic {
            topic: config.topic_name.clone(),
            default_topic: self.client.inner.shared.config.template_topic.clone(),
            read_queues: config.read_queue_nums,
            write_queues: config.write_queue_nums,
            perm: config.perm.0,
            filter_type: config.topic_filter_type.clone(),
            sys_flag: Some(config.topic_sys_flag),
            order: config.order,
            attributes: config.attributes_text(),
        };
        self.tell_brokers(brokers, &request, Bytes::new()).await
    }

    /// Deletes a topic and its messages: on these brokers, then on every name server, with its order. Says which brokers did; name
    /// servers that did not are among those that failed.
    ///
    /// # Errors
    /// No broker did.
    pub async fn delete_topic(
        &self,
        topic: impl Into<Topic>,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let topic = topic.into();
        let cluster = match brokers {
            Brokers::Cluster(cluster) => Some(cluster.clone()),
            Brokers::All | Brokers::Named(_) | Brokers::OfTopic(_) => None,
        };
        let request = DeleteTopic { topic: topic.clone() };
        let mut done = self.tell_brokers(brokers, &request, Bytes::new()).await?;
        // One broker of several keeps its topic known.
        if !matches!(brokers, Brokers::Named(_)) {
            let request = DeleteTopicAtNameServer { topic: topic.clone(), cluster };
            let told = self.ask_all_names(&request, Bytes::new(), |_| Ok(())).await;
            done.failed.extend(told.failed);
            let request = DeleteKv { namespace: ORDER.into(), key: String::from(topic.as_str()) };
            done.failed.extend(self.ask_all_names(&request, Bytes::new(), |_| Ok(())).await.failed);
        }
        Ok(done)
    }

    /// All topics that a name server knows, those of brokers and groups among them.
    ///
    /// # Errors
    /// No name server answers.
    pub async fn topics(&self) -> Result<Vec<Topic>, AdminError> {
        let frame = self.ask_names(&GetTopics {}).await?;
        Ok(sorted(TopicList::decode(&frame.body)?.topic_list))
    }

    /// The topics of a cluster.
    ///
    /// # Errors
    /// No name server answers, or it does not know the cluster.
    pub async fn topics_of(&self, cluster: impl Into<String>) -> Result<Vec<Topic>, AdminError> {
        let frame = self.ask_names(&GetTopicsOfCluster { cluster: cluster.into() }).await?;
        Ok(sorted(TopicList::decode(&frame.body)?.topic_list))
    }

    /// The route of a topic, as a name server has it now.
    ///
    /// # Errors
    /// The topic does not exist, or no name server answers.
    pub async fn topic_route(&self, topic: impl Into<Topic>) -> Result<TopicRoute, AdminError> {
        let topic = topic.into();
        let request = GetRouteInfo { topic: topic.clone(), standard_json: Some(true) };
        match self.ask_names(&request).await {
            Ok(frame) => {
                TopicRoute::decode(&frame.body).map_err(|error| AdminError::Route(RouteError::Malformed(error)))
            }
            Err(AdminError::Broker { code: response::TOPIC_NOT_EXIST, .. }) => Err(Self::no_topic()),
            // Whoever follows routes knows best why no name server answers.
            Err(error @ AdminError::Request(_)) => self.route(&topic, true).await.and(Err(error)),
            Err(error) => Err(error),
        }
    }

    /// The queues of a topic that can be read.
    ///
    /// # Errors
    /// The topic does not exist, or no name server answers.
    pub async fn queues(&self, topic: impl Into<Topic>) -> Result<Vec<MessageQueue>, AdminError> {
        let topic = topic.into();
        Ok(sorted(self.topic_route(topic.clone()).await?.readable_queues(&topic).collect()))
    }

    /// The queues of a topic that take messages.
    ///
    /// # Errors
    /// The topic does not exist, or no name server answers.
    pub async fn publish_queues(&self, topic: impl Into<Topic>) -> Result<Vec<MessageQueue>, AdminError> {
        let topic = topic.into();
        Ok(sorted(self.topic_route(topic.clone()).await?.writable_queues(&topic).collect()))
    }

    /// The configuration of a topic on each of its brokers.
    ///
    /// # Errors
    /// The topic does not exist, or no broker answers: also when they are older than 5.0.
    pub async fn topic_config(
        &self,
        topic: impl Into<Topic>,
    ) -> Result<Partial<Vec<(BrokerName, TopicConfig)>>, AdminError> {
        let topic = topic.into();
        let request = GetTopicConfig { topic: topic.clone(), local: true };
        let read = |_: &BrokerName, frame: &Frame| Ok(TopicConfig::decode(&frame.body)?);
        self.ask_replicas(&topic, &request, read).await
    }

    /// Start, end and last time of the queues of a topic.
    ///
    /// # Errors
    /// The topic does not exist, or no broker answers.
    pub async fn topic_stats(&self, topic: impl Into<Topic>) -> Result<Partial<TopicStats>, AdminError> {
        let topic = topic.into();
        let request = GetTopicStats { topic: topic.clone() };
        let read = |broker: &BrokerName, frame: &Frame| {
            let stats = TopicStats::decode(&frame.body)?;
            Self::own(broker, stats.offset_table.0.keys()).map(|()| stats)
        };
        let all = self.ask_replicas(&topic, &request, read).await?;
        Ok(all.map(|all| {
            let mut whole = TopicStats::default();
            for (_, stats) in all {
                whole.offset_table.0.extend(stats.offset_table.0);
                whole.topic_put_tps += stats.topic_put_tps;
            }
            whole
        }))
    }

    /// The groups that consume a topic, or did: those with members or offsets.
    ///
    /// # Errors
    /// The topic does not exist, or no broker answers.
    pub async fn groups_of(&self, topic: impl Into<Topic>) -> Result<Partial<Vec<Group>>, AdminError> {
        let topic = topic.into();
        let request = GetGroupsOfTopic { topic: topic.clone() };
        let read = |_: &BrokerName, frame: &Frame| Ok(GroupList::decode(&frame.body)?.group_list);
        let all = self.ask_replicas(&topic, &request, read).await?;
        Ok(all.map(|all| sorted(all.into_iter().flat_map(|(_, groups)| groups).collect())))
    }
}

pub(super) fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list.dedup();
    list
}
