//! Filters by properties: what heartbeats told of them, and what is asked of them: 46.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rocketmq_core::wire::body::ClientCheck;
use rocketmq_core::wire::codes::response;
use rocketmq_core::wire::subscription::{ExpressionType, SubscriptionData};

use super::{Answer, Broker, Failure};
use crate::cluster::message::Properties;
use crate::cluster::output::Reply;
use crate::cluster::sql::Selector;
use crate::cluster::store::{Entry, Store};

/// Which messages a pull wants.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    All,
    /// Those whose tag has one of these codes.
    Tags(Arc<BTreeSet<i32>>),
    /// Those whose properties match.
    Properties(Arc<Selector>),
}

impl Wanted {
    /// Whether it wants a message that comes in.
    pub(super) fn new_one(&self, tags_code: i32, properties: &Properties) -> bool {
        match self {
            Self::All => true,
            Self::Tags(codes) => codes.contains(&tags_code),
            Self::Properties(selector) => selector.matches(properties),
        }
    }

    /// Whether it wants a message that is stored.
    pub(super) fn stored(&self, entry: &Entry, store: &Store) -> bool {
        match self {
            Self::All => true,
            Self::Tags(codes) => codes.contains(&entry.tags_code),
            Self::Properties(selector) => selector.matches(&store.properties(entry)),
        }
    }

    /// By an expression in SQL; a wrong one lets everything pass.
    pub(super) fn sql(expression: &str) -> Self {
        Selector::parse(expression).map_or(Self::All, |selector| Self::Properties(Arc::new(selector)))
    }
}

/// What heartbeats told of the SQL of each group and topic; it outlives a restart.
#[derive(Debug, Default)]
pub(super) struct Filters(BTreeMap<(String, String), Filter>);

#[derive(Debug)]
struct Filter {
    expression: String,
    version: i64,
    wanted: Wanted,
}

impl Filters {
    /// Takes in a subscription of a heartbeat. A new expression that is wrong leaves none.
    pub(super) fn register(&mut self, group: &str, data: &SubscriptionData) {
        if data.expression_type == ExpressionType::Tag || data.sub_string.is_empty() {
            return;
        }
        let key = (group.to_owned(), data.topic.as_str().to_owned());
        let known = self.0.get_mut(&key);
        if let Some(known) = known {
            if data.sub_version <= known.version {
                return;
            }
            if known.expression == data.sub_string {
                known.version = data.sub_version;
                return;
            }
        }
        match Selector::parse(&data.sub_string) {
            Ok(selector) => {
                let (expression, version) = (data.sub_string.clone(), data.sub_version);
                self.0.insert(key, Filter { expression, version, wanted: Wanted::Properties(Arc::new(selector)) });
            }
            Err(_) => drop(self.0.remove(&key)),
        }
    }

    /// What a pull of this version is filtered by.
    pub(super) fn find(&self, group: &str, topic: &str, version: i64) -> Result<Wanted, Reply> {
        let Some(known) = self.0.get(&(group.to_owned(), topic.to_owned())) else {
            let error = "The broker's consumer filter data is not exist!Your expression may be wrong!";
            return Err(Reply::error(FILTER_DATA_NOT_EXIST, error));
        };
        if known.version < version {
            let error = "the consumer's consumer filter data not latest";
            return Err(Reply::error(FILTER_DATA_NOT_LATEST, error));
        }
        Ok(known.wanted.clone())
    }
}

impl Broker {
    /// Filters by properties from now on, or does not.
    pub fn set_property_filter(&mut self, on: bool) {
        self.cfg.property_filter = on;
    }

    pub(super) fn check_client(&mut self, body: &[u8]) -> Answer {
        if body.is_empty() && !self.cfg.is_v4() {
            return Ok(Some(Reply::ok()));
        }
        let check = ClientCheck::decode(body).map_err(|_| Failure::from("the body cannot be parsed"))?;
        let data = check.subscription_data;
        Ok(Some(match data.expression_type {
            ExpressionType::Tag => Reply::ok(),
            kind @ ExpressionType::Sql92 if !self.cfg.property_filter => {
                Reply::error(response::SYSTEM_ERROR, no_filter(kind.name()))
            }
            ExpressionType::Sql92 => match Selector::parse(&data.sub_string) {
                Ok(_) => Reply::ok(),
                Err(why) => Reply::error(response::SUBSCRIPTION_PARSE_FAILED, why),
            },
        }))
    }
}

/// What the broker says of filters it does not have.
pub(super) fn no_filter(kind: &str) -> String {
    format!("The broker does not support consumer to filter message by {kind}")
}

/// No heartbeat told a correct expression.
const FILTER_DATA_NOT_EXIST: i32 = 27;
/// The last heartbeat told an older expression.
const FILTER_DATA_NOT_LATEST: i32 = 28;
