//! Stored messages, by their ids and keys.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::time::Duration;

use bytes::Bytes;

use super::{Admin, AdminError, Partial};
use crate::dispatch::{Batch, Taken};
use crate::driver::handle::ReceivedMessage;
use crate::ids::{BrokerName, Endpoint, Topic};
use crate::time::{Instant, UnixMillis};
use crate::wire::Frame;
use crate::wire::codes::response;
use crate::wire::message::properties::name;
use crate::wire::message::{Entry, OffsetMsgId, RecordLimits, walk};
use crate::wire::request::{QueryMessage, ViewMessage};

impl Admin {
    /// The message with this id, of either kind: that of its producer, or that of where it is stored. `None` when there
    /// is no such message.
    ///
    /// Java takes every id for one of the second kind first, and tries to reach the address that it then finds in it.
    ///
    /// # Errors
    /// The topic does not exist, or no broker answers.
    pub async fn message(&self, topic: impl Into<Topic>, id: &str) -> Result<Option<ReceivedMessage>, AdminError> {
        let topic = topic.into();
        let found = self.query_by_unique_key(topic.clone(), id, ALL_TIMES).await?;
        if let Some(found) = found.value.into_iter().next() {
            return Ok(Some(found));
        }
        let Ok(at) = id.parse::<OffsetMsgId>() else {
            return match found.failed.into_values().next() {
                Some(error) => Err(error),
                None => Ok(None),
            };
        };
        let route = self.topic_route(topic).await?;
        let host = Endpoint::from(alloc::format!("{}", at.host));
        let known = route.broker_datas.iter().any(|broker| broker.broker_addrs.values().any(|addr| *addr == host));
        if known { self.message_at(at).await } else { Ok(None) }
    }

    /// The message that is stored at this broker and position; `None` when there is none. The broker cannot tell a
    /// position where no message begins.
    ///
    /// # Errors
    /// The broker does not answer, or what it answers is no message.
    pub async fn message_at(&self, at: OffsetMsgId) -> Result<Option<ReceivedMessage>, AdminError> {
        let to = Endpoint::from(alloc::format!("{}", at.host));
        match self.request(&to, &ViewMessage { offset: at.physical_offset }).await {
            Ok(frame) => Ok(read(&BrokerName::from(""), &frame)?.into_iter().next()),
            Err(AdminError::Broker { code: response::SYSTEM_ERROR, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Messages of a topic with a key that were stored in this time, the oldest first: `most` of each broker at most.
    ///
    /// # Errors
    /// The topic does not exist, or no broker answers.
    pub async fn query(
        &self,
        topic: impl Into<Topic>,
        key: &str,
        most: u32,
        stored: RangeInclusive<UnixMillis>,
    ) -> Result<Partial<Vec<ReceivedMessage>>, AdminError> {
        let topic = topic.into();
        // Brokers index hashes of topic and key: others may have the same.
        let same = |message: &ReceivedMessage| message.queue().topic == topic && message.keys().any(|own| own == key);
        self.query_index(&topic, key, most, stored, None, same).await
    }

    /// The messages with this unique key that were stored in this time, the oldest first: more than one when it was
    /// sent again, or came back from a consumer.
    ///
    /// # Errors
    /// The topic does not exist, or no broker answers.
    pub async fn query_by_unique_key(
        &self,
        topic: impl Into<Topic>,
        key: &str,
        stored: RangeInclusive<UnixMillis>,
    ) -> Result<Partial<Vec<ReceivedMessage>>, AdminError> {
        let topic = topic.into();
        let same = |message: &ReceivedMessage| message.property(name::UNIQ_KEY) == Some(key);
        self.query_index(&topic, key, MOST_UNIQUE, stored, Some(true), same).await
    }

    async fn query_index(
        &self,
        topic: &Topic,
        key: &str,
        most: u32,
        stored: RangeInclusive<UnixMillis>,
        unique: Option<bool>,
        same: impl Fn(&ReceivedMessage) -> bool,
    ) -> Result<Partial<Vec<ReceivedMessage>>, AdminError> {
        let request = QueryMessage {
            topic: topic.clone(),
            key: String::from(key),
            max: i32::try_from(most).unwrap_or(i32::MAX),
            begin: stored.start().0,
            end: stored.end().0,
            unique,
        };
        let servers = self.replicas(topic).await?;
        // That there is none is what brokers call a failure.
        let none_or = |broker: &BrokerName, answer| match answer {
            Err(AdminError::Broker { code: response::QUERY_NOT_FOUND, .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
            Ok(frame) => read(broker, &frame),
        };
        let answers = self.ask_each(servers, &request, Bytes::new(), QUERY_TIMEOUT, none_or).await;
        let Partial { value, failed } = answers.of_some()?;
        let mut value: Vec<_> = value.into_iter().flat_map(|(_, messages)| messages).filter(same).collect();
        value.sort_by_key(ReceivedMessage::stored);
        Ok(Partial { value, failed })
    }
}

/// The messages in the body of an answer.
fn read(broker: &BrokerName, frame: &Frame) -> Result<Vec<ReceivedMessage>, AdminError> {
    let mut messages = Vec::new();
    for entry in walk(&frame.body, RecordLimits::default()) {
        match entry {
            Entry::Record(record) => {
                let batch = Batch::of_one(broker.clone(), &frame.body, record);
                messages.push(ReceivedMessage::of(Taken::alone(Arc::new(batch), Instant::ZERO)));
            }
            Entry::Poison(poison) => return Err(AdminError::Unreadable(alloc::format!("{}", poison.reason))),
            Entry::Rest(lost) => return Err(AdminError::Unreadable(alloc::format!("{}", lost.reason))),
        }
    }
    Ok(messages)
}

/// Since ever.
const ALL_TIMES: RangeInclusive<UnixMillis> = UnixMillis(0)..=UnixMillis(i64::MAX);
/// Messages with one unique key at most. Java: 32.
const MOST_UNIQUE: u32 = 32;
/// Brokers may have to look through many files. Java: 18 s.
const QUERY_TIMEOUT: Duration = Duration::from_secs(18);
