//! Which messages of a topic a group wants.

use alloc::string::String;

use super::{ConfigError, check_topic};
use crate::ids::Topic;
use crate::time::UnixMillis;
use crate::wire::subscription::SubscriptionData;

/// Which messages of a topic a group wants. Text alone is a tag expression. All members of a group must want the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Those with one of these tags: `a || b`; `*` or nothing for all.
    ///
    /// Brokers compare hashes of tags, so the client compares the tags themselves again.
    Tags(String),
    /// Those whose properties fulfil an SQL92 expression: `a > 3 AND region IN ('north', 'south') AND b IS NOT NULL`.
    ///
    /// Only brokers evaluate it, and only those set to `enablePropertyFilter`. Each of them is asked whether it can,
    /// before anything is pulled from it. They do not read beyond the end of a complete expression: `a > 3 b` is `a > 3`.
    Sql(String),
}

impl Filter {
    /// Every message.
    #[must_use]
    pub fn all() -> Self {
        Self::Tags(String::from("*"))
    }

    /// By tags: `a || b`.
    #[must_use]
    pub fn tags(expression: impl Into<String>) -> Self {
        Self::Tags(expression.into())
    }

    /// By an SQL92 expression over properties.
    #[must_use]
    pub fn sql(expression: impl Into<String>) -> Self {
        Self::Sql(expression.into())
    }

    /// Its text.
    #[must_use]
    pub fn expression(&self) -> &str {
        match self {
            Self::Tags(expression) | Self::Sql(expression) => expression,
        }
    }

    /// The subscription of a topic with this filter.
    ///
    /// # Errors
    /// The topic has no such name, or the expression selects nothing.
    pub fn subscription(&self, topic: &Topic, version: UnixMillis) -> Result<SubscriptionData, ConfigError> {
        check_topic(topic)?;
        let wrong = || ConfigError::Expression { topic: topic.clone(), expression: String::from(self.expression()) };
        match self {
            Self::Tags(expression) => SubscriptionData::tags(topic.clone(), expression, version).map_err(|_| wrong()),
            Self::Sql(expression) if expression.trim().is_empty() => Err(wrong()),
            Self::Sql(expression) => Ok(SubscriptionData::sql(topic.clone(), expression, version)),
        }
    }
}

impl From<&str> for Filter {
    fn from(tags: &str) -> Self {
        Self::Tags(String::from(tags))
    }
}

impl From<String> for Filter {
    fn from(tags: String) -> Self {
        Self::Tags(tags)
    }
}

impl From<&String> for Filter {
    fn from(tags: &String) -> Self {
        Self::Tags(tags.clone())
    }
}
