//! Members of groups, and locks on queues.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::names::is_named;
use super::{BodyError, at_most, lenient, list, read, write};
use crate::ids::{ClientId, Group, MessageQueue};

/// The members of a group (reply 38), in no order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumerList {
    /// Their client ids.
    #[serde(rename = "consumerIdList", deserialize_with = "list::<MAX_MEMBERS, _, _>")]
    pub ids: Vec<ClientId>,
}

impl ConsumerList {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, or names more than 10,000 members.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let list: Self = read(body)?;
        at_most("group members", list.ids.len(), MAX_MEMBERS)?;
        Ok(list)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

/// Lock or unlock queues (requests 41 and 42).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LockQueues {
    /// Who.
    #[serde(deserialize_with = "lenient")]
    pub client_id: ClientId,
    /// For this group.
    #[serde(rename = "consumerGroup", deserialize_with = "lenient")]
    pub group: Group,
    /// The queues.
    #[serde(rename = "mqSet", deserialize_with = "list::<MAX_LOCKS, _, _>")]
    pub queues: Vec<MessageQueue>,
    /// Whether the broker asks no other replica.
    #[serde(deserialize_with = "lenient")]
    pub only_this_broker: bool,
}

impl LockQueues {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, or names more than 10,000 queues.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let lock: Self = read(body)?;
        at_most("queues to lock", lock.queues.len(), MAX_LOCKS)?;
        Ok(lock)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

/// The queues that were locked (reply 41), in no order; whether they were asked for is for the caller to check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LockedQueues {
    /// The queues.
    #[serde(rename = "lockOKMQSet", deserialize_with = "list::<MAX_LOCKS, _, _>")]
    pub queues: Vec<MessageQueue>,
}

impl LockedQueues {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, or names more than 10,000 queues.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let mut locked: Self = read(body)?;
        at_most("locked queues", locked.queues.len(), MAX_LOCKS)?;
        locked.queues.retain(is_named);
        Ok(locked)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

/// Members of a group at most.
const MAX_MEMBERS: usize = 10_000;
/// Queues in a lock body at most.
const MAX_LOCKS: usize = 10_000;
