//! Which member gets which queues, and how: 400 and 401.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rocketmq_core::client::rebalance::strategy::allocate;
use rocketmq_core::config::Strategy;
use rocketmq_core::ids::{ClientId, MessageQueue};
use rocketmq_core::wire::body::{Assignment, Assignments, MessageMode, MessageModel, QueryAssignment, RequestMode};
use rocketmq_core::wire::codes::response;

use super::super::topics::RETRY_PREFIX;
use super::super::{Answer, Broker};
use crate::cluster::output::Reply;

/// The queues to read of each topic, by broker.
pub(crate) type Routes = BTreeMap<String, BTreeMap<String, i32>>;

/// How groups get the messages of topics, which outlives a restart.
#[derive(Debug, Default)]
pub(in super::super) struct Modes {
    modes: BTreeMap<(String, String), RequestMode>,
    routes: Arc<Routes>,
}

impl Broker {
    /// What the name servers know of all topics.
    pub(crate) fn learn_routes(&mut self, routes: Arc<Routes>) {
        self.modes.routes = routes;
    }

    /// Sets how a group gets the messages of a topic, as an operator does.
    pub fn set_request_mode(&mut self, topic: &str, group: &str, mode: MessageMode, share: i32) {
        let value = RequestMode { group: group.into(), mode, share, topic: topic.into() };
        self.modes.modes.insert((topic.to_owned(), group.to_owned()), value);
    }

    pub(in super::super) fn on_set_mode(&mut self, body: &[u8]) -> Answer {
        let Ok(asked) = RequestMode::decode(body) else { return Err("the body cannot be parsed".into()) };
        let (topic, group) = (asked.topic.as_str(), asked.group.as_str());
        if topic.starts_with(RETRY_PREFIX) {
            return Ok(Some(Reply::error(response::NO_PERMISSION, "retry topic is not allowed to set mode")));
        }
        self.set_request_mode(topic, group, asked.mode, asked.share);
        Ok(Some(Reply::ok()))
    }

    pub(in super::super) fn on_query_assignment(&mut self, body: &[u8]) -> Answer {
        let Ok(asked) = QueryAssignment::decode(body) else { return Err("the body cannot be parsed".into()) };
        let key = (asked.topic.as_str().to_owned(), asked.group.as_str().to_owned());
        let (mode, share) = self.modes.modes.get(&key).map_or((MessageMode::Pull, 0), |set| (set.mode, set.share));
        let assign = |queues: BTreeSet<MessageQueue>| {
            queues.into_iter().map(|message_queue| Assignment { message_queue, mode }).collect()
        };
        let queues = self.queues_of(&asked, mode, share).map(assign);
        Ok(Some(Reply::ok().body(Assignments { queues }.encode())))
    }

    /// The queues of a member; `None` when the broker cannot tell.
    fn queues_of(&self, asked: &QueryAssignment, mode: MessageMode, share: i32) -> Option<BTreeSet<MessageQueue>> {
        let mut all = Vec::new();
        for (broker, queues) in self.modes.routes.get(asked.topic.as_str())? {
            let queue = |id| MessageQueue { topic: asked.topic.clone(), broker: broker.as_str().into(), id };
            all.extend((0..*queues).map(queue));
        }
        if asked.message_model == MessageModel::Broadcasting {
            return Some(all.into_iter().collect());
        }
        let mut members: Vec<ClientId> =
            self.clients.group(asked.group.as_str())?.members.values().map(|client| client.id.clone()).collect();
        members.sort();
        let strategy = match asked.strategy_name.as_str() {
            "AVG" => Strategy::Averagely,
            "AVG_BY_CIRCLE" => Strategy::AveragelyByCircle,
            _ => return None,
        };
        let of = |member: &ClientId| allocate(&strategy, member, &all, &members).unwrap_or_default();
        if mode == MessageMode::Pull {
            return Some(of(&asked.client_id).into_iter().collect());
        }
        let others = i32::try_from(members.len()).unwrap_or(i32::MAX) - 1;
        if share <= 0 || share >= others {
            return Some(all.into_iter().map(|queue| MessageQueue { id: -1, ..queue }).collect());
        }
        let Some(place) = members.iter().position(|member| *member == asked.client_id) else {
            return Some(BTreeSet::new());
        };
        if members.len() > all.len() {
            return Some(all.get(place % all.len()).cloned().into_iter().collect());
        }
        let sharing = members.iter().cycle().skip(place).take(1 + usize::try_from(share).unwrap_or(0));
        Some(sharing.flat_map(of).collect())
    }
}
