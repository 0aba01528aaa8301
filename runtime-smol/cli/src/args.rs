//! Arguments that several commands have.

use std::time::Duration;

use clap::Args;
use rocketmq_core::ids::{BrokerName, Group, MessageQueue, Topic};
use rocketmq_smol::Brokers;

use crate::context::Cx;
use crate::failure::Failure;

/// A topic.
#[derive(Debug, Args)]
pub(crate) struct TopicArg {
    /// The topic
    #[arg(value_name = "TOPIC")]
    topic: String,
}

impl TopicArg {
    pub(crate) fn name(&self) -> Topic {
        Topic::from(&self.topic)
    }
}

/// A consumer or producer group.
#[derive(Debug, Args)]
pub(crate) struct GroupArg {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,
}

impl GroupArg {
    pub(crate) fn name(&self) -> Group {
        Group::from(&self.group)
    }
}

/// Some of the brokers.
#[derive(Debug, Args)]
pub(crate) struct BrokersArg {
    /// Only the brokers of this cluster
    #[arg(short, long, value_name = "CLUSTER")]
    pub(crate) cluster: Option<String>,
    /// Only this broker, by its name or address
    #[arg(short, long, value_name = "BROKER", conflicts_with = "cluster")]
    pub(crate) broker: Option<String>,
}

impl BrokersArg {
    /// These brokers, or those that are meant when none are named.
    pub(crate) async fn resolve(&self, cx: &Cx<'_>, otherwise: Brokers) -> Result<Brokers, Failure> {
        match (&self.cluster, &self.broker) {
            (Some(cluster), _) => Ok(Brokers::Cluster(cluster.clone())),
            (None, Some(broker)) => Ok(Brokers::Named(broker_named(cx, broker).await?)),
            (None, None) => Ok(otherwise),
        }
    }
}

/// Two brokers, one of which gets of the other what it has of users.
#[derive(Debug, Args)]
pub(crate) struct CopyArg {
    /// The users; all when none is named
    #[arg(value_name = "USERS", value_delimiter = ',')]
    pub(crate) users: Vec<String>,
    /// The broker that has it, by its name or address
    #[arg(long, value_name = "BROKER")]
    pub(crate) from: String,
    /// The broker that gets it
    #[arg(long, value_name = "BROKER")]
    pub(crate) to: String,
}

impl CopyArg {
    pub(crate) async fn resolve(&self, cx: &Cx<'_>) -> Result<(Brokers, Brokers), Failure> {
        let (from, to) = (broker_named(cx, &self.from).await?, broker_named(cx, &self.to).await?);
        Ok((Brokers::Named(from), Brokers::Named(to)))
    }
}

/// A broker by its name, or by the address of one of its replicas.
pub(crate) async fn broker_named(cx: &Cx<'_>, broker: &str) -> Result<BrokerName, Failure> {
    if !broker.contains(':') {
        return Ok(BrokerName::from(broker));
    }
    let info = cx.ask(cx.admin.cluster()).await?;
    let found = info
        .broker_addr_table
        .into_iter()
        .find(|(_, data)| data.broker_addrs.values().any(|address| address.as_str() == broker));
    let none = || Failure::refused(format!("no broker has the address {broker}; 'rmq cluster list' shows them"));
    found.map(|(name, _)| name).ok_or_else(none)
}

/// One queue, or none in particular.
#[derive(Debug, Args)]
pub(crate) struct QueueArg {
    /// Only this queue
    #[arg(long, value_name = "BROKER#ID", value_parser = queue)]
    queue: Option<(String, i32)>,
    // As `mqadmin` names it.
    #[arg(id = "queue_broker", long = "broker", value_name = "BROKER", hide = true, conflicts_with = "queue")]
    broker: Option<String>,
    #[arg(id = "queue_id", long = "queue-id", value_name = "ID", hide = true, conflicts_with = "queue")]
    id: Option<i32>,
}

impl QueueArg {
    /// The broker and the number, as far as they are named.
    pub(crate) async fn parts(&self, cx: &Cx<'_>) -> Result<(Option<BrokerName>, Option<i32>), Failure> {
        if let Some((broker, id)) = &self.queue {
            return Ok((Some(BrokerName::from(broker)), Some(*id)));
        }
        let broker = match &self.broker {
            Some(broker) => Some(broker_named(cx, broker).await?),
            None => None,
        };
        Ok((broker, self.id))
    }

    /// The queue that is named.
    pub(crate) async fn queue(&self, cx: &Cx<'_>, topic: &Topic) -> Result<Option<MessageQueue>, Failure> {
        match self.parts(cx).await? {
            (Some(broker), Some(id)) => Ok(Some(MessageQueue { topic: topic.clone(), broker, id })),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(Failure::usage("a queue is --queue BROKER#ID")),
        }
    }

    /// Whether this queue is among those named.
    pub(crate) async fn select(
        &self,
        cx: &Cx<'_>,
        mut queues: Vec<MessageQueue>,
    ) -> Result<Vec<MessageQueue>, Failure> {
        let (broker, id) = self.parts(cx).await?;
        queues.retain(|queue| {
            broker.as_ref().is_none_or(|broker| queue.broker == *broker) && id.is_none_or(|id| queue.id == id)
        });
        if queues.is_empty() {
            return Err(Failure::refused("the topic has no such queue; 'rmq topic status' shows them"));
        }
        Ok(queues)
    }
}

/// `broker-a#0`.
fn queue(text: &str) -> Result<(String, i32), String> {
    let parts = text.rsplit_once(['#', ':']);
    let parts = parts.and_then(|(broker, id)| Some((broker.to_owned(), id.parse().ok().filter(|id| *id >= 0)?)));
    parts.filter(|(broker, _)| !broker.is_empty()).ok_or_else(|| format!("'{text}' is no queue: give BROKER#ID"))
}

/// `key=value`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(key, _)| !key.is_empty());
    parts.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| format!("'{text}' is no KEY=VALUE"))
}

/// What may be done with a topic, as 6, 4, 2, or `rw`, `r`, `w`.
pub(crate) fn perm(text: &str) -> Result<i32, String> {
    match text {
        "6" | "rw" => Ok(6),
        "4" | "r" => Ok(4),
        "2" | "w" => Ok(2),
        _ => Err(format!("'{text}' is no permission: give rw (6), r (4) or w (2)")),
    }
}

/// A duration that is not nothing.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    crate::time::duration(text).and_then(|time| match time.is_zero() {
        true => Err(String::from("no time is too short")),
        false => Ok(time),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_pairs_and_permissions_are_read() {
        assert_eq!(queue("broker-a#3"), Ok(("broker-a".into(), 3)));
        assert_eq!(queue("broker-a:3"), Ok(("broker-a".into(), 3)));
        for text in ["", "broker-a", "#1", "b#x", "b#-1"] {
            assert!(queue(text).is_err(), "{text}");
        }
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(pair("=b").is_err() && pair("ab").is_err());
        assert_eq!((perm("rw"), perm("4"), perm("8").is_err()), (Ok(6), Ok(4), true));
        assert!(timeout("0s").is_err());
    }
}
