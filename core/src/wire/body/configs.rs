//! All topics and groups of a broker, page by page, and several to be set.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{BodyError, GroupConfig, TopicConfig, at_most, lenient, read, write};
use crate::ids::{Group, Topic};

/// The version of a table: pages of one are of the same table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVersion {
    /// Counts the changes.
    #[serde(deserialize_with = "lenient")]
    pub counter: i64,
    /// That of the state machine of a replicated broker.
    #[serde(deserialize_with = "lenient")]
    pub state_version: i64,
    /// When it last changed, Unix milliseconds.
    #[serde(deserialize_with = "lenient")]
    pub timestamp: i64,
}

impl DataVersion {
    /// As JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

/// A page of the topics of a broker (reply 21).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfigs {
    /// Of which version of the table.
    #[serde(deserialize_with = "lenient")]
    pub data_version: DataVersion,
    /// By name.
    #[serde(deserialize_with = "lenient")]
    pub topic_config_table: BTreeMap<Topic, TopicConfig>,
}

impl TopicConfigs {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, or has more than 100,000 topics.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let page: Self = read(body)?;
        at_most("topics", page.topic_config_table.len(), MOST)?;
        Ok(page)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

/// A page of the groups of a broker (reply 201).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupConfigs {
    /// Of which version of the table.
    #[serde(deserialize_with = "lenient")]
    pub data_version: DataVersion,
    /// By name.
    #[serde(deserialize_with = "lenient")]
    pub subscription_group_table: BTreeMap<Group, GroupConfig>,
}

impl GroupConfigs {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, or has more than 100,000 groups.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let page: Self = read(body)?;
        at_most("groups", page.subscription_group_table.len(), MOST)?;
        Ok(page)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

/// Topics to be created or changed (request 18).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfigList {
    /// The topics.
    #[serde(deserialize_with = "super::list::<MOST, _, _>")]
    pub topic_config_list: Vec<TopicConfig>,
}

impl TopicConfigList {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, or has more than 100,000 topics.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let list: Self = read(body)?;
        at_most("topics", list.topic_config_list.len(), MOST)?;
        Ok(list)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

/// Groups to be created or changed (request 225).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupConfigList {
    /// The groups.
    #[serde(deserialize_with = "super::list::<MOST, _, _>")]
    pub group_config_list: Vec<GroupConfig>,
}

impl GroupConfigList {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, or has more than 100,000 groups.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let list: Self = read(body)?;
        at_most("groups", list.group_config_list.len(), MOST)?;
        Ok(list)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

/// Whether a group may read a topic (reply 353).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReadPermission {
    /// The group.
    #[serde(deserialize_with = "lenient")]
    pub group: Group,
    /// Whether it may.
    #[serde(deserialize_with = "lenient")]
    pub readable: bool,
    /// The topic.
    #[serde(deserialize_with = "lenient")]
    pub topic: Topic,
}

impl ReadPermission {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        read(body)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

/// Topics or groups of one body at most.
const MOST: usize = 100_000;
