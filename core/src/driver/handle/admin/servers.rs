//! Brokers: their configuration and figures, and work that they are to do at once.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Admin, AdminError, Brokers, Partial, TIMEOUT, settings};
use crate::ids::{BrokerName, Group};
use crate::wire::Frame;
use crate::wire::body::{BrokerFigure, ConsumeStatsList, HaStatus, KvTable, ProducerTable};
use crate::wire::request::{
    CleanLog, CleanQueues, CleanTopics, GetAllConsumeStats, GetAllProducers, GetBrokerConfig, GetBrokerFigure,
    GetBrokerRuntime, GetColdRead, GetHaStatus, RemoveColdRead, SetBrokerConfig, SetColdRead, SetLogReadMode,
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

    /// A figure that each of these brokers keeps over time, such as `TOPIC_PUT_NUMS` of a topic.
    ///
    /// # Errors
    /// No broker answers, or none has such a figure.
    pub async fn broker_figure(
        &self,
        name: &str,
        key: &str,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<(BrokerName, BrokerFigure)>>, AdminError> {
        let request = GetBrokerFigure { name: name.into(), key: key.into() };
        let read = |_: &BrokerName, frame: &Frame| Ok(BrokerFigure::decode(&frame.body)?);
        self.ask_brokers(brokers, &request, Bytes::new(), TIMEOUT, read).await
    }

    /// The configuration of each of these brokers.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn broker_config(
        &self,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<(BrokerName, BTreeMap<String, String>)>>, AdminError> {
        let read = |_: &BrokerName, frame: &Frame| Ok(settings::lines(&frame.body));
        self.ask_brokers(brokers, &GetBrokerConfig {}, Bytes::new(), TIMEOUT, read).await
    }

    /// Changes one value of the configuration of these brokers; says which did. What decides where a broker has its files
    /// cannot be changed so: from 5.1.1 on brokers refuse that.
    ///
    /// # Errors
    /// No broker did: also when the value, or a name that a broker does not know, is refused; or the text would be read
    /// as something else.
    pub async fn set_broker_config(
        &self,
        key: &str,
        value: &str,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let body = Bytes::from(settings::line(key, value)?);
        self.tell_brokers(brokers, &SetBrokerConfig {}, body).await
    }

    /// The producers that each of these brokers knows, by group.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn all_producers(
        &self,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<(BrokerName, ProducerTable)>>, AdminError> {
        let read = |_: &BrokerName, frame: &Frame| Ok(ProducerTable::decode(&frame.body)?);
        self.ask_brokers(brokers, &GetAllProducers {}, Bytes::new(), TIMEOUT, read).await
    }

    /// How far all groups are in all topics of each of these brokers, or only in those that are ordered.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn all_consume_stats(
        &self,
        ordered_only: bool,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<(BrokerName, ConsumeStatsList)>>, AdminError> {
        let request = GetAllConsumeStats { orderly: ordered_only };
        let read = |_: &BrokerName, frame: &Frame| Ok(ConsumeStatsList::decode(&frame.body)?);
        self.ask_brokers(brokers, &request, Bytes::new(), TIMEOUT, read).await
    }

    /// How far the slaves of each of these brokers are.
    ///
    /// # Errors
    /// No broker answers: also when they are older than 5.0.
    pub async fn ha_status(&self, brokers: &Brokers) -> Result<Partial<Vec<(BrokerName, HaStatus)>>, AdminError> {
        let read = |_: &BrokerName, frame: &Frame| Ok(HaStatus::decode(&frame.body)?);
        self.ask_brokers(brokers, &GetHaStatus {}, Bytes::new(), TIMEOUT, read).await
    }

    /// Has brokers delete files of queues whose messages are gone; says which did.
    ///
    /// # Errors
    /// No broker did.
    pub async fn clean_queues(&self, brokers: &Brokers) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        self.tell_brokers(brokers, &CleanQueues {}, Bytes::new()).await
    }

    /// Has brokers delete the queues of topics that are gone; says which did.
    ///
    /// # Errors
    /// No broker did.
    pub async fn clean_topics(&self, brokers: &Brokers) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        self.tell_brokers(brokers, &CleanTopics {}, Bytes::new()).await
    }

    /// Has brokers delete files of their logs that are old enough, whatever the hour is; says which did. Messages in
    /// them are lost.
    ///
    /// # Errors
    /// No broker did.
    pub async fn clean_logs(&self, brokers: &Brokers) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        self.tell_brokers(brokers, &CleanLog {}, Bytes::new()).await
    }

    /// Bounds the bytes of old messages that a group may read from each of these brokers in an interval of theirs; says
    /// which do.
    ///
    /// # Errors
    /// No broker does: also when they are older than 5.1; or the group cannot be named in a line.
    pub async fn set_cold_read(
        &self,
        group: impl Into<Group>,
        bytes: u64,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let line = settings::line(group.into().as_str(), &alloc::format!("{bytes}"))?;
        self.tell_brokers(brokers, &SetColdRead {}, Bytes::from(line)).await
    }

    /// Takes that bound back.
    ///
    /// # Errors
    /// No broker did.
    pub async fn remove_cold_read(
        &self,
        group: impl Into<Group>,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let body = Bytes::from(String::from(group.into().as_str()));
        self.tell_brokers(brokers, &RemoveColdRead {}, body).await
    }

    /// What groups have read of old messages from each of these brokers, as the JSON that it tells.
    ///
    /// # Errors
    /// No broker answers: also when they are older than 5.1.
    pub async fn cold_reads(&self, brokers: &Brokers) -> Result<Partial<Vec<(BrokerName, String)>>, AdminError> {
        let read = |_: &BrokerName, frame: &Frame| Ok(String::from_utf8_lossy(&frame.body).into_owned());
        self.ask_brokers(brokers, &GetColdRead {}, Bytes::new(), TIMEOUT, read).await
    }

    /// How brokers read the files of their logs: ahead of what is asked for, or (`at_random`) no more than that; says
    /// which do. The words are what each tells of it.
    ///
    /// # Errors
    /// No broker does: also when they are older than 5.1.
    pub async fn set_log_reads(
        &self,
        at_random: bool,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<(BrokerName, String)>>, AdminError> {
        let request = SetLogReadMode { mode: i32::from(at_random) };
        let read = |_: &BrokerName, frame: &Frame| Ok(frame.header.remark.clone().unwrap_or_default());
        self.ask_brokers(brokers, &request, Bytes::new(), TIMEOUT, read).await
    }
}
