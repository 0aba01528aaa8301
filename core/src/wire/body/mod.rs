//! Bodies in JSON.
//!
//! What servers write is read through [`dialect`]: unknown keys are ignored, missing ones and nulls
//! take their default. What this client or a model server writes has the keys in Java's order, the alphabet's.

mod auth;
mod configs;
mod direct;
mod group;
mod groups;
mod heartbeat;
mod names;
mod offset_file;
mod offsets;
mod pop;
mod route;
mod running;
mod stats;
mod topics;
mod views;

pub use auth::{Acl, AclEntry, AclPolicy, User};
pub use configs::{DataVersion, GroupConfigList, GroupConfigs, ReadPermission, TopicConfigList, TopicConfigs};
pub use direct::{ConsumeResult, DirectResult};
pub use group::{ConsumerList, LockQueues, LockedQueues};
pub use groups::{
    Connection, ConsumerConnection, CustomizedRetryPolicy, ExponentialRetryPolicy, GroupConfig, GroupList,
    GroupRetryPolicy, ProducerConnection,
};
pub use heartbeat::{
    ClientCheck, ConsumeFromWhere, ConsumeType, ConsumerData, HeartbeatData, MessageModel, ProducerData,
};
pub use offset_file::{OffsetFile, OffsetFileError};
pub use offsets::{ConsumerStatus, QueueTable, ResetOffsets};
pub use pop::{Assignment, Assignments, BatchAck, BitSet, CheckpointAck, MessageMode, QueryAssignment, RequestMode};
pub use route::{BrokerData, ClusterInfo, JsonForm, Perm, QueueData, TopicRoute};
pub use running::{ConsumeStatus, ConsumerRunningInfo, PopQueueInfo, ProcessQueueInfo};

pub use stats::{ConsumeStats, KvTable, Progress, QueueStats, TopicStats};
pub use topics::{TopicConfig, TopicList};
pub use views::{
    BrokerFigure, ConsumeStatsList, CorrectionOffsets, Figure, GroupSubscription, HaClient, HaConnection, HaStatus,
    ProducerInfo, ProducerTable, QueueEntries, QueueEntry, QueueTimeSpan, QueueTimeSpans,
};

pub use super::subscription::{ExpressionType, SubscriptionData};

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::dialect::{self, DialectError, DialectLimits};
use crate::ids::BrokerName;

/// A body that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Over a limit, or no dialect of JSON.
    #[error("{0}")]
    Dialect(#[from] DialectError),
    /// Not the JSON of this body.
    #[error("JSON: {0}")]
    Json(String),
    /// More items than the limit.
    #[error("{count} {what}, the limit is {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many; of a list that is read, at most one more than the limit.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A name that no broker has: too long, or with control characters.
    #[error("a broker's name of {len} bytes that is none")]
    BrokerName {
        /// Bytes of the name.
        len: usize,
    },
    /// A number of queues that no topic has.
    #[error("{count} queues on {broker}")]
    QueueCount {
        /// The broker.
        broker: BrokerName,
        /// The number.
        count: i32,
    },
}

/// Reads a body, which is an object.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyError> {
    read_within(body, &DialectLimits::default())
}

/// Reads a body, which is an object, of other limits.
fn read_within<T: DeserializeOwned>(body: &[u8], limits: &DialectLimits) -> Result<T, BodyError> {
    let json = dialect::normalise(body, limits)?;
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(BodyError::Json(String::from("not an object")));
    }
    serde_json::from_slice(&json).map_err(|error| BodyError::Json(error.to_string()))
}

/// Reads a body, which is a list; nothing is an empty one.
fn read_list<const MOST: usize, T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<Vec<T>, BodyError> {
    if body.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let json = dialect::normalise(body, &DialectLimits::default())?;
    let mut json = serde_json::Deserializer::from_slice(&json);
    let items = list::<MOST, _, T>(&mut json).map_err(|error| BodyError::Json(error.to_string()))?;
    at_most(what, items.len(), MOST)?;
    Ok(items)
}

/// Writes a body. Our types always have a JSON form: their keys are texts or integers.
fn write<T: Serialize + ?Sized>(body: &T) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

/// At most so many items.
const fn at_most(what: &'static str, count: usize, limit: usize) -> Result<(), BodyError> {
    if count > limit { Err(BodyError::TooMany { what, count, limit }) } else { Ok(()) }
}

/// Reads null as the default.
pub(super) fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(json: D) -> Result<T, D::Error> {
    Option::deserialize(json).map(Option::unwrap_or_default)
}

/// Reads a list, of which it keeps `MOST` items and one more: many empty items have few bytes and take much memory.
/// Null is an empty list.
fn list<'de, const MOST: usize, D: Deserializer<'de>, T: Deserialize<'de>>(json: D) -> Result<Vec<T>, D::Error> {
    json.deserialize_any(List::<T, MOST>(PhantomData))
}

struct List<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut kept = Vec::new();
        while kept.len() <= MOST {
            let Some(item) = items.next_element()? else { return Ok(kept) };
            kept.push(item);
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(kept)
    }
}

#[cfg(test)]
mod tests;
