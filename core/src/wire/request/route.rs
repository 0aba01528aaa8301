//! Routes.

use super::fields;
use crate::ids::Topic;
use crate::wire::codes::request::GET_ROUTEINFO_BY_TOPIC;

fields! {
    /// Ask a name server for the brokers and queues of a topic.
    pub struct GetRouteInfo = GET_ROUTEINFO_BY_TOPIC {
        /// The topic.
        topic: Topic = "topic",
        /// Ask for standard JSON; old servers ignore it.
        standard_json: Option<bool> = "acceptStandardJsonOnly",
    }
}
