//! The same question to several servers at once, and what those say that answer.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{Admin, AdminError};
use crate::client::RouteError;
use crate::ids::{BrokerName, Endpoint, MessageQueue, Topic};
use crate::mutants::mutant;
use crate::wire::Frame;
use crate::wire::body::ClusterInfo;
use crate::wire::request::{GetClusterInfo, Request};

/// What the servers that answered say, put together, and why the others did not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "some servers may have failed"]
pub struct Partial<T> {
    /// What those say that answered.
    pub value: T,
    /// Those that failed, by broker name, or by address for name servers.
    pub failed: BTreeMap<String, AdminError>,
}

impl<T> Partial<T> {
    /// The whole of it.
    ///
    /// # Errors
    /// That of the first server that failed.
    pub fn complete(self) -> Result<T, AdminError> {
        match self.failed.into_values().next() {
            Some(error) => Err(error),
            None => Ok(self.value),
        }
    }

    /// Whether no server failed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }

    pub(super) fn map<U>(self, f: impl FnOnce(T) -> U) -> Partial<U> {
        Partial { value: f(self.value), failed: self.failed }
    }
}

impl<T> Partial<Vec<T>> {
    /// Some must have succeeded; else the error is that of the first that failed.
    pub(super) fn of_some(self) -> Result<Self, AdminError> {
        match self.failed.values().next() {
            Some(error) if self.value.is_empty() => Err(error.clone()),
            Some(_) | None => Ok(self),
        }
    }
}

/// Which brokers an operation is for: the master of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Brokers {
    /// All that the name server knows.
    All,
    /// Those of a cluster.
    Cluster(String),
    /// This one.
    Named(BrokerName),
    /// Those that have a topic.
    OfTopic(Topic),
}

impl Admin {
    /// The masters among these brokers, and the names of those without one.
    pub(super) async fn masters(&self, of: &Brokers) -> Result<Partial<Vec<(BrokerName, Endpoint)>>, AdminError> {
        match of {
            Brokers::OfTopic(topic) => self.servers_of(topic, |addrs| addrs.get(&MASTER_ID).cloned()).await,
            Brokers::All | Brokers::Cluster(_) | Brokers::Named(_) => {
                let info = self.cluster().await?;
                let rows = info.broker_addr_table.into_iter().filter(|(name, broker)| match of {
                    Brokers::Cluster(cluster) => broker.cluster == *cluster,
                    Brokers::Named(wanted) => name == wanted,
                    Brokers::All | Brokers::OfTopic(_) => true,
                });
                named(rows.map(|(name, broker)| (name, broker.broker_addrs.get(&MASTER_ID).cloned())).collect())
            }
        }
    }

    /// One replica of each broker that has a topic: its master, or the slave with the least id when that is gone. Java
    /// takes any slave then.
    pub(super) async fn replicas(&self, topic: &Topic) -> Result<Partial<Vec<(BrokerName, Endpoint)>>, AdminError> {
        self.servers_of(topic, |addrs| addrs.values().next().cloned()).await
    }

    async fn servers_of(
        &self,
        topic: &Topic,
        one: impl Fn(&BTreeMap<i64, Endpoint>) -> Option<Endpoint>,
    ) -> Result<Partial<Vec<(BrokerName, Endpoint)>>, AdminError> {
        let brokers = self.topic_route(topic.clone()).await?.broker_datas;
        named(brokers.into_iter().map(|broker| (broker.broker_name, one(&broker.broker_addrs))).collect())
    }

    /// The brokers of all clusters, as a name server knows them.
    ///
    /// # Errors
    /// No name server answers.
    pub async fn cluster(&self) -> Result<ClusterInfo, AdminError> {
        let frame = self.ask_names(&GetClusterInfo {}).await?;
        Ok(ClusterInfo::decode(&frame.body)?)
    }

    /// Asks the master of each broker the same, all at once, and reads what each says.
    pub(super) async fn ask_brokers<Q: Request, T>(
        &self,
        brokers: &Brokers,
        request: &Q,
        body: Bytes,
        timeout: Duration,
        read: impl Fn(&BrokerName, &Frame) -> Result<T, AdminError>,
    ) -> Result<Partial<Vec<(BrokerName, T)>>, AdminError> {
        let masters = self.masters(brokers).await?;
        self.ask_each(masters, request, body, timeout, |broker, answer| read(broker, &answer?)).await.of_some()
    }

    /// Asks a replica of each broker of a topic the same, all at once, and reads what each says.
    pub(super) async fn ask_replicas<Q: Request, T>(
        &self,
        topic: &Topic,
        request: &Q,
        read: impl Fn(&BrokerName, &Frame) -> Result<T, AdminError>,
    ) -> Result<Partial<Vec<(BrokerName, T)>>, AdminError> {
        let replicas = self.replicas(topic).await?;
        let read = |broker: &BrokerName, answer: Result<Frame, AdminError>| read(broker, &answer?);
        self.ask_each(replicas, request, Bytes::new(), super::TIMEOUT, read).await.of_some()
    }

    /// Has the master of each broker do the same, all at once; says which did.
    pub(super) async fn tell_brokers<Q: Request>(
        &self,
        brokers: &Brokers,
        request: &Q,
        body: Bytes,
    ) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let done = self.ask_brokers(brokers, request, body, super::TIMEOUT, |_, _| Ok(())).await?;
        Ok(done.map(|done| done.into_iter().map(|(broker, ())| broker).collect()))
    }

    /// Asks each of these servers the same, all at once.
    pub(super) async fn ask_each<Q: Request, N: AsRef<str>, T>(
        &self,
        servers: Partial<Vec<(N, Endpoint)>>,
        request: &Q,
        body: Bytes,
        timeout: Duration,
        read: impl Fn(&N, Result<Frame, AdminError>) -> Result<T, AdminError>,
    ) -> Partial<Vec<(N, T)>> {
        let Partial { value: servers, mut failed } = servers;
        // A call is under way from here on, whoever waits for it when.
        let calls: Vec<_> = servers
            .into_iter()
            .map(|(name, endpoint)| (name, self.call(&endpoint, request, body.clone(), timeout)))
            .collect();
        let mut value = Vec::with_capacity(calls.len());
        for (name, call) in calls {
            match read(&name, Self::answer_of(call.await)) {
                Ok(answer) => value.push((name, answer)),
                Err(_) if mutant!(180) && !value.is_empty() => {}
                Err(error) => drop(failed.insert(String::from(name.as_ref()), error)),
            }
        }
        Partial { value, failed }
    }

    /// Asks every name server the same, all at once, and reads what each says.
    pub(super) async fn ask_all_names<Q: Request, T>(
        &self,
        request: &Q,
        body: Bytes,
        read: impl Fn(&Frame) -> Result<T, AdminError>,
    ) -> Partial<Vec<(String, T)>> {
        let servers = self.client.inner.shared.name_servers().into_iter();
        let servers = servers.map(|server| (String::from(server.as_str()), server)).collect();
        let servers = Partial { value: servers, failed: BTreeMap::new() };
        self.ask_each(servers, request, body, super::TIMEOUT, |_, answer| read(&answer?)).await
    }

    /// Whether these are queues of the broker that was asked: by now another one may have its address.
    pub(super) fn own<'a>(
        asked: &BrokerName,
        mut queues: impl Iterator<Item = &'a MessageQueue>,
    ) -> Result<(), AdminError> {
        match queues.find(|queue| queue.broker != *asked) {
            Some(queue) if !mutant!(182) => {
                Err(AdminError::OtherBroker { asked: asked.clone(), answered: queue.broker.clone() })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What is said of a topic that does not exist.
    pub(super) fn no_topic() -> AdminError {
        AdminError::Route(RouteError::NoTopic)
    }
}

/// The servers there are, and the names of the brokers that have none.
fn named(wanted: Vec<(BrokerName, Option<Endpoint>)>) -> Result<Partial<Vec<(BrokerName, Endpoint)>>, AdminError> {
    if wanted.is_empty() {
        return Err(AdminError::NoBroker);
    }
    let mut servers = Partial { value: Vec::new(), failed: BTreeMap::new() };
    for (name, endpoint) in wanted {
        match endpoint {
            Some(endpoint) => servers.value.push((name, endpoint)),
            None => drop(servers.failed.insert(String::from(name.as_str()), AdminError::NoMaster(name))),
        }
    }
    Ok(servers)
}

/// The broker id of a master.
const MASTER_ID: i64 = 0;
