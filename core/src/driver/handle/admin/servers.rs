//! Brokers and name servers.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Admin, AdminError, Brokers, Partial, TIMEOUT};
use crate::ids::BrokerName;
use crate::wire::Frame;
use crate::wire::body::KvTable;
use crate::wire::request::{
    AddWritePerm, AddedTopics, Fields, GetBrokerConfig, GetBrokerRuntime, SetBrokerConfig, WipeWritePerm, WipedTopics,
};

impl Admin {
    /// Figures of each of these brokers, as texts by name.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn broker_stats(
        &self,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<(BrokerName, BTreeMap<String, String>)>>, AdminError> {
        let read = |_: &BrokerName, frame: &Frame| Ok(KvTable::decode(&frame.body)?.table);
        self.ask_brokers(brokers, &GetBrokerRuntime {}, Bytes::new(), TIMEOUT, read).await
    }

    /// The configuration of each of these brokers.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn broker_config(
        &self,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<(BrokerName, BTreeMap<String, String>)>>, AdminError> {
        let read = |_: &BrokerName, frame: &Frame| Ok(lines(&frame.body));
        self.ask_brokers(brokers, &GetBrokerConfig {}, Bytes::new(), TIMEOUT, read).await
    }

    /// Changes one value of the configuration of these brokers; says which did.
    ///
    /// # Errors
    /// No broker did: also when the value, or a name that a broker does not know, is refused.
    pub async fn set_broker_config(
        &self,
        key: &str,
        value: &str,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let body = Bytes::from(alloc::format!("{key}={value}\n"));
        self.tell_brokers(brokers, &SetBrokerConfig {}, body).await
    }

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
}

/// Lines of `key=value`; the value may hold more of them.
fn lines(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let rows: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).collect();
    rows.into_iter().map(|(key, value)| (String::from(key), String::from(value))).collect()
}
