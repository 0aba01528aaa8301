//! Name servers: what they keep, their configuration, and lists of topics.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;

use super::topics::sorted;
use super::{Admin, AdminError, Partial, settings};
use crate::ids::{BrokerName, Topic};
use crate::wire::Frame;
use crate::wire::body::{KvTable, TopicList};
use crate::wire::codes::response;
use crate::wire::request::{
    AddWritePerm, AddedTopics, DeleteKv, Fields, GetKv, GetNameServerConfig, GetSystemTopics, GetUnitSubOnlyTopics,
    GetUnitSubTopics, GetUnitTopics, KvValue, ListKv, PutKv, SetNameServerConfig, WipeWritePerm, WipedTopics,
};

/// Which topics of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitTopics {
    /// Those that belong to units.
    Own,
    /// Those that units subscribe to.
    Subscribed,
    /// Those of them that belong to none.
    SubscribedOnly,
}

impl Admin {
    /// Has every name server tell that nobody sends to a broker any more: before it is stopped. Says of how many topics
    /// each told so.
    ///
    /// # Errors
    /// No name server did.
    pub async fn wipe_write_perm(
        &self,
        broker: impl Into<BrokerName>,
    ) -> Result<Partial<Vec<(String, i32)>>, AdminError> {
        let read = |frame: &Frame| Ok(WipedTopics::read(&frame.header.ext)?.topics);
        self.ask_all_names(&WipeWritePerm { broker: broker.into() }, Bytes::new(), read).await.of_some()
    }

    /// Takes back [`Admin::wipe_write_perm`].
    ///
    /// # Errors
    /// No name server did.
    pub async fn add_write_perm(
        &self,
        broker: impl Into<BrokerName>,
    ) -> Result<Partial<Vec<(String, i32)>>, AdminError> {
        let read = |frame: &Frame| Ok(AddedTopics::read(&frame.header.ext)?.topics);
        self.ask_all_names(&AddWritePerm { broker: broker.into() }, Bytes::new(), read).await.of_some()
    }

    /// The configuration of each name server.
    ///
    /// # Errors
    /// No name server answers.
    pub async fn name_server_config(&self) -> Result<Partial<Vec<(String, BTreeMap<String, String>)>>, AdminError> {
        let read = |frame: &Frame| Ok(settings::lines(&frame.body));
        self.ask_all_names(&GetNameServerConfig {}, Bytes::new(), read).await.of_some()
    }

    /// Changes one value of the configuration of every name server; says which did. What decides where a server has its
    /// files cannot be changed so: servers refuse that.
    ///
    /// # Errors
    /// No name server did, or the text would be read as something else.
    pub async fn set_name_server_config(&self, key: &str, value: &str) -> Result<Partial<Vec<String>>, AdminError> {
        self.tell_all_names(&SetNameServerConfig {}, Bytes::from(settings::line(key, value)?)).await
    }

    /// A value that name servers keep; `None` when there is none.
    ///
    /// # Errors
    /// No name server answers.
    pub async fn kv(&self, namespace: &str, key: &str) -> Result<Option<String>, AdminError> {
        match self.ask_names(&GetKv { namespace: namespace.into(), key: key.into() }).await {
            Ok(frame) => Ok(KvValue::read(&frame.header.ext)?.value),
            Err(AdminError::Broker { code: response::QUERY_NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All values of a namespace.
    ///
    /// # Errors
    /// No name server answers.
    pub async fn kv_list(&self, namespace: &str) -> Result<BTreeMap<String, String>, AdminError> {
        match self.ask_names(&ListKv { namespace: namespace.into() }).await {
            Ok(frame) => Ok(KvTable::decode(&frame.body)?.table),
            Err(AdminError::Broker { code: response::QUERY_NOT_FOUND, .. }) => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }

    /// Has every name server keep a value; says which do.
    ///
    /// # Errors
    /// No name server does.
    pub async fn set_kv(&self, namespace: &str, key: &str, value: &str) -> Result<Partial<Vec<String>>, AdminError> {
        let request = PutKv { namespace: namespace.into(), key: key.into(), value: value.into() };
        self.tell_all_names(&request, Bytes::new()).await
    }

    /// Has every name server forget a value, whether it has one or not; says which did.
    ///
    /// # Errors
    /// No name server did.
    pub async fn delete_kv(&self, namespace: &str, key: &str) -> Result<Partial<Vec<String>>, AdminError> {
        self.tell_all_names(&DeleteKv { namespace: namespace.into(), key: key.into() }, Bytes::new()).await
    }

    /// The queues of an ordered topic on each broker, which producers are told instead of those that are there; `None`
    /// when nothing is set.
    ///
    /// # Errors
    /// No name server answers, or what it keeps is no such text.
    pub async fn order_config(&self, topic: impl Into<Topic>) -> Result<Option<BTreeMap<BrokerName, u32>>, AdminError> {
        let Some(text) = self.kv(ORDER, topic.into().as_str()).await? else { return Ok(None) };
        let wrong = || AdminError::Unreadable(text.clone());
        let row = |row: &str| {
            let (broker, queues) = row.split_once(':').ok_or_else(wrong)?;
            Ok((BrokerName::from(broker), queues.parse().map_err(|_| wrong())?))
        };
        text.split(';').filter(|row| !row.is_empty()).map(row).collect::<Result<_, _>>().map(Some)
    }

    /// Sets those queues; says which name servers did.
    ///
    /// # Errors
    /// No name server did.
    pub async fn set_order_config(
        &self,
        topic: impl Into<Topic>,
        queues: &BTreeMap<BrokerName, u32>,
    ) -> Result<Partial<Vec<String>>, AdminError> {
        let rows: Vec<_> = queues.iter().map(|(broker, queues)| alloc::format!("{broker}:{queues}")).collect();
        self.set_kv(ORDER, topic.into().as_str(), &rows.join(";")).await
    }

    /// Forgets them.
    ///
    /// # Errors
    /// No name server did.
    pub async fn delete_order_config(&self, topic: impl Into<Topic>) -> Result<Partial<Vec<String>>, AdminError> {
        self.delete_kv(ORDER, topic.into().as_str()).await
    }

    /// Names of clusters and brokers, each of which has a topic of its name.
    ///
    /// # Errors
    /// No name server answers.
    pub async fn system_topics(&self) -> Result<Vec<Topic>, AdminError> {
        let frame = self.ask_names(&GetSystemTopics {}).await?;
        Ok(sorted(TopicList::decode(&frame.body)?.topic_list))
    }

    /// Topics of units.
    ///
    /// # Errors
    /// No name server answers.
    pub async fn unit_topics(&self, of: UnitTopics) -> Result<Vec<Topic>, AdminError> {
        let frame = match of {
            UnitTopics::Own => self.ask_names(&GetUnitTopics {}).await?,
            UnitTopics::Subscribed => self.ask_names(&GetUnitSubTopics {}).await?,
            UnitTopics::SubscribedOnly => self.ask_names(&GetUnitSubOnlyTopics {}).await?,
        };
        Ok(sorted(TopicList::decode(&frame.body)?.topic_list))
    }

    /// Has every name server do the same; says which did.
    async fn tell_all_names<Q: crate::wire::request::Request>(
        &self,
        request: &Q,
        body: Bytes,
    ) -> Result<Partial<Vec<String>>, AdminError> {
        let done = self.ask_all_names(request, body, |_| Ok(())).await.of_some()?;
        Ok(done.map(|done| done.into_iter().map(|(server, ())| server.to_string()).collect()))
    }
}

/// The namespace of ordered topics. Source: Java `NamesrvUtil`.
pub(super) const ORDER: &str = "ORDER_TOPIC_CONFIG";
