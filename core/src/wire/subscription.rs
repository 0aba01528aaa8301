//! Subscriptions: which messages of a topic a group wants.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

use super::body::lenient;
use super::java::java_hash;
use crate::ids::Topic;
use crate::time::UnixMillis;

/// What a group wants of one topic, as heartbeats say it.
///
/// Brokers filter by `code_set`, and hashes collide: what they let through is checked again with
/// [`SubscriptionData::matches`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionData {
    /// Whether a filter class decides (long gone from brokers).
    #[serde(deserialize_with = "lenient")]
    pub class_filter_mode: bool,
    /// Java hashes of the tags.
    #[serde(deserialize_with = "lenient")]
    pub code_set: BTreeSet<i32>,
    /// `TAG` or `SQL92`.
    #[serde(deserialize_with = "lenient")]
    pub expression_type: ExpressionType,
    /// The expression as the user wrote it, `*` for everything.
    #[serde(deserialize_with = "lenient")]
    pub sub_string: String,
    /// When it was made, Unix milliseconds; brokers keep the newest.
    #[serde(deserialize_with = "lenient")]
    pub sub_version: i64,
    /// The tags; empty for everything and for SQL.
    #[serde(deserialize_with = "lenient")]
    pub tags_set: BTreeSet<String>,
    /// The topic.
    pub topic: Topic,
}

impl SubscriptionData {
    /// A subscription by tags: `a || b`, or `*` or nothing for all messages.
    ///
    /// # Errors
    /// The expression has separators and no tag.
    pub fn tags(topic: Topic, expression: &str, version: UnixMillis) -> Result<Self, SubscriptionError> {
        let all = expression.is_empty() || expression == ALL;
        let mut data = Self { topic, sub_version: version.0, ..Self::default() };
        if all {
            return Ok(data);
        }
        data.sub_string = expression.to_string();
        data.tags_set = expression.split("||").map(trim).filter(|tag| !tag.is_empty()).map(String::from).collect();
        data.code_set = data.tags_set.iter().map(|tag| java_hash(tag)).collect();
        if data.tags_set.is_empty() {
            return Err(SubscriptionError::NoTag);
        }
        Ok(data)
    }

    /// A subscription to all messages.
    #[must_use]
    pub fn all(topic: Topic, version: UnixMillis) -> Self {
        Self { topic, sub_version: version.0, ..Self::default() }
    }

    /// A subscription by an SQL92 expression over properties, which only brokers evaluate.
    #[must_use]
    pub fn sql(topic: Topic, expression: &str, version: UnixMillis) -> Self {
        Self {
            topic,
            sub_string: expression.to_string(),
            sub_version: version.0,
            expression_type: ExpressionType::Sql92,
            ..Self::default()
        }
    }

    /// Whether a message with this tag is wanted, as far as the client can tell.
    #[must_use]
    pub fn matches(&self, tag: Option<&str>) -> bool {
        self.class_filter_mode || self.tags_set.is_empty() || tag.is_some_and(|tag| self.tags_set.contains(tag))
    }
}

impl Default for SubscriptionData {
    /// All messages of a topic without a name.
    fn default() -> Self {
        Self {
            class_filter_mode: false,
            code_set: BTreeSet::new(),
            expression_type: ExpressionType::Tag,
            sub_string: ALL.to_string(),
            sub_version: 0,
            tags_set: BTreeSet::new(),
            topic: Topic::from(""),
        }
    }
}

/// The language of an expression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExpressionType {
    /// Tags between `||`.
    #[default]
    #[serde(rename = "TAG")]
    Tag,
    /// SQL92 over properties.
    #[serde(rename = "SQL92")]
    Sql92,
}

impl ExpressionType {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tag => "TAG",
            Self::Sql92 => "SQL92",
        }
    }
}

/// An expression that selects nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// Separators only.
    #[error("the tag expression has no tag")]
    NoTag,
}

/// Java's `trim`: everything up to the space goes, other white space stays.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// Selects everything.
const ALL: &str = "*";

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn tags(expression: &str) -> Result<SubscriptionData, SubscriptionError> {
        SubscriptionData::tags("t".into(), expression, UnixMillis(7))
    }

    #[test]
    fn everything_is_a_star() {
        for expression in ["", "*"] {
            let data = tags(expression).unwrap();
            assert_eq!(data, SubscriptionData::all("t".into(), UnixMillis(7)));
            assert_eq!((data.sub_string.as_str(), data.sub_version), ("*", 7));
            assert!(data.matches(None) && data.matches(Some("x")));
        }
    }

    #[test]
    fn tags_are_split_trimmed_and_hashed() {
        let data = tags(" TagA || TagB||\t中文 ||  ||TagA").unwrap();
        assert_eq!(data.sub_string, " TagA || TagB||\t中文 ||  ||TagA", "the text of the user");
        assert_eq!(data.tags_set.iter().map(String::as_str).collect::<Vec<_>>(), ["TagA", "TagB", "中文"]);
        assert_eq!(data.code_set.into_iter().collect::<Vec<_>>(), [646_394, 2_598_919, 2_598_920]);
        assert_eq!(tags("||"), Err(SubscriptionError::NoTag));
        assert!(tags(" | | || ").unwrap().matches(Some("| |")), "single bars are part of a tag");
        assert_eq!(tags("  "), Err(SubscriptionError::NoTag));
    }

    #[test]
    fn colliding_hashes_do_not_match() {
        // "Aa" and "BB" have one hash.
        let data = tags("Aa").unwrap();
        assert!(data.code_set.contains(&java_hash("BB")));
        assert!(data.matches(Some("Aa")) && !data.matches(Some("BB")) && !data.matches(None));
    }

    #[test]
    fn the_client_leaves_sql_to_the_broker() {
        let data = SubscriptionData::sql("t".into(), "a > 1", UnixMillis(1));
        assert!(data.matches(None) && data.matches(Some("x")));
    }

    proptest! {
        #[test]
        fn exactly_the_tags_match(wanted in prop::collection::btree_set("[a-c]{1,2}", 1..4), tag in "[a-c]{1,2}") {
            let expression = wanted.iter().map(String::as_str).collect::<Vec<_>>().join(" || ");
            prop_assert_eq!(tags(&expression).unwrap().matches(Some(&tag)), wanted.contains(&tag));
        }

        #[test]
        fn any_expression_has_a_verdict(expression: String) {
            let _ = tags(&expression);
        }
    }
}
