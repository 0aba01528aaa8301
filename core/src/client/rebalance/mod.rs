//! Which queues a member of a group owns: asked of the brokers, computed alike by every member.

pub mod strategy;
mod twin;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use self::twin::Twin;
use super::ClientEvent;
use super::signal::{ReplyTo, Signal};
use super::snapshot::SharedBy;
use super::view::RouteView;
use crate::config::Strategy;
use crate::effects::Effects;
use crate::error::RequestError;
use crate::ids::{ClientId, Endpoint, Group, MessageQueue, Topic};
use crate::mutants::mutant;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::wire::body::{Assignment, Assignments, ConsumerList, MessageMode, MessageModel, QueryAssignment};
use crate::wire::codes::response;
use crate::wire::java::java_order;
use crate::wire::request::{GetConsumerList, QueryAssignmentHeader, Request};
use crate::wire::{Codec, Frame};

/// The rounds of one group.
#[derive(Debug)]
pub(crate) struct Rebalance {
    group: Group,
    me: ClientId,
    strategy: Strategy,
    codec: Codec,
    timeout: Duration,
    interval: Duration,
    round: u64,
    open: BTreeSet<Topic>,
    started: Option<Instant>,
    again: bool,
    balanced: bool,
    twin: Twin,
    /// How the queues of each topic were shared out at last.
    shares: BTreeMap<Topic, Share>,
}

/// How the queues of a topic were shared out.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) by: SharedBy,
    pub(crate) members: Vec<ClientId>,
    pub(crate) at: Instant,
}

/// What a member list means for one topic.
#[derive(Debug)]
pub(crate) struct Allocation {
    pub(crate) topic: Topic,
    pub(crate) queues: Vec<MessageQueue>,
    /// Queues that are popped; the number −1 stands for any of the broker's.
    pub(crate) popped: Vec<MessageQueue>,
    pub(crate) members: usize,
}

impl Rebalance {
    pub(crate) fn new(
        group: Group,
        me: ClientId,
        strategy: Strategy,
        codec: Codec,
        timeout: Duration,
        interval: Duration,
    ) -> Self {
        Self {
            group,
            me,
            strategy,
            codec,
            timeout,
            interval,
            round: 0,
            open: BTreeSet::new(),
            started: None,
            again: false,
            balanced: true,
            twin: Twin::default(),
            shares: BTreeMap::new(),
        }
    }

    /// How the queues of a topic were shared out at last.
    pub(crate) fn share(&self, topic: &Topic) -> Option<&Share> {
        self.shares.get(topic)
    }

    /// A topic is no longer wanted.
    pub(crate) fn forget(&mut self, topic: &Topic) {
        self.shares.remove(topic);
    }

    fn shared(&mut self, topic: &Topic, by: SharedBy, members: Vec<ClientId>, at: Instant) {
        self.shares.insert(topic.clone(), Share { by, members, at });
    }

    /// Starts a round, unless one is under way or the last began less than [`PAUSE`] ago: then soon.
    ///
    /// `by_broker` is the name of the strategy when brokers share out the queues.
    pub(crate) fn on_due<'t>(
        &mut self,
        topics: impl Iterator<Item = &'t Topic>,
        by_broker: Option<&'static str>,
        view: &RouteView,
        fx: &mut Effects,
    ) {
        if !self.open.is_empty() {
            self.again = true;
            return;
        }
        if let Some(started) = self.started
            && fx.now.since(started) < pause()
        {
            fx.timers.arm_no_later(TimerKey::Rebalance(self.group.clone()), started.after(pause()));
            return;
        }
        self.started = Some(fx.now);
        self.round = fx.fresh_id();
        self.balanced = true;
        fx.arm(TimerKey::Rebalance(self.group.clone()), self.interval);
        for topic in topics {
            match self.broker_of(topic, view, fx) {
                Some(endpoint) => {
                    match by_broker {
                        Some(strategy) => self.ask_assignment(topic, strategy, endpoint, fx),
                        None => self.ask_members(topic, endpoint, fx),
                    }
                    self.open.insert(topic.clone());
                }
                None => {
                    fx.raise(Signal::RefreshRoute(topic.clone()));
                    fx.timers.arm_no_later(TimerKey::Rebalance(self.group.clone()), fx.now.after(NO_ROUTE_PAUSE));
                }
            }
        }
    }

    fn ask_members(&self, topic: &Topic, broker: Endpoint, fx: &mut Effects) {
        let frame = GetConsumerList { group: self.group.clone() }.encode(self.codec, Bytes::new());
        let reply_to = ReplyTo::Members { group: self.group.clone(), topic: topic.clone(), round: self.round };
        fx.request(broker, frame, self.timeout, reply_to);
    }

    fn ask_assignment(&self, topic: &Topic, strategy: &str, broker: Endpoint, fx: &mut Effects) {
        let body = QueryAssignment {
            client_id: self.me.clone(),
            group: self.group.clone(),
            message_model: MessageModel::Clustering,
            strategy_name: strategy.into(),
            topic: topic.clone(),
        };
        let frame = QueryAssignmentHeader {}.encode(self.codec, body.encode().into());
        let (group, topic, round) = (self.group.clone(), topic.clone(), self.round);
        let reply_to = ReplyTo::Assignment { group, topic, round, broker: broker.clone() };
        fx.request(broker, frame, self.timeout, reply_to);
    }

    /// The queues that the broker gave us, of one topic. One that knows no such request is asked for the members
    /// instead, and `unsupported` says so; `None` when nothing changes.
    pub(crate) fn on_assignment(
        &mut self,
        topic: &Topic,
        round: u64,
        broker: Endpoint,
        result: Result<Frame, RequestError>,
        unsupported: &mut bool,
        fx: &mut Effects,
    ) -> Option<Allocation> {
        if round != self.round || !self.open.contains(topic) {
            return None;
        }
        let assigned = match result {
            Ok(frame) if frame.header.code == response::REQUEST_CODE_NOT_SUPPORTED => {
                *unsupported = true;
                self.ask_members(topic, broker, fx);
                return None;
            }
            Ok(frame) if frame.header.code == response::SUCCESS => {
                Assignments::decode(&frame.body).ok().and_then(|assigned| assigned.queues)
            }
            Ok(_) | Err(_) => None,
        };
        self.open.remove(topic);
        if assigned.is_none() {
            self.unbalanced(fx);
        }
        self.end_of_round(fx);
        let assigned = assigned?;
        self.shared(topic, SharedBy::Broker, Vec::new(), fx.now);
        let mut allocation = Allocation { topic: topic.clone(), queues: Vec::new(), popped: Vec::new(), members: 0 };
        for Assignment { message_queue, mode } in assigned.into_iter().filter(|one| one.message_queue.topic == *topic) {
            match mode {
                MessageMode::Pop => allocation.popped.push(message_queue),
                MessageMode::Pull if message_queue.id >= 0 => allocation.queues.push(message_queue),
                MessageMode::Pull => {}
            }
        }
        for queues in [&mut allocation.queues, &mut allocation.popped] {
            queues.sort();
            queues.dedup();
        }
        Some(allocation)
    }

    /// In broadcasting every queue is every member's, and nobody is asked.
    pub(crate) fn all<'t>(
        &mut self,
        topics: impl Iterator<Item = &'t Topic>,
        view: &RouteView,
        fx: &mut Effects,
    ) -> Vec<Allocation> {
        fx.arm(TimerKey::Rebalance(self.group.clone()), self.interval);
        let mut all = Vec::new();
        for topic in topics {
            let queues = view.topics.get(topic).map(|topic| topic.subscribe.clone()).unwrap_or_default();
            if queues.is_empty() {
                fx.raise(Signal::RefreshRoute(topic.clone()));
                fx.timers.arm_no_later(TimerKey::Rebalance(self.group.clone()), fx.now.after(NO_ROUTE_PAUSE));
            } else {
                self.shared(topic, SharedBy::Nobody, Vec::new(), fx.now);
                all.push(Allocation { topic: topic.clone(), queues, popped: Vec::new(), members: 1 });
            }
        }
        all
    }

    /// The members of the group, for one topic; `None` when they could not be learnt, and nothing changes.
    pub(crate) fn on_members(
        &mut self,
        topic: &Topic,
        round: u64,
        result: Result<Frame, RequestError>,
        view: &RouteView,
        fx: &mut Effects,
    ) -> Option<Allocation> {
        if round != self.round || !self.open.remove(topic) {
            return None;
        }
        let members = match result {
            Ok(frame) if frame.header.code == response::SUCCESS => ConsumerList::decode(&frame.body).ok(),
            Ok(_) | Err(_) => None,
        };
        let Some(members) = members else {
            self.unbalanced(fx);
            self.end_of_round(fx);
            return None;
        };
        let listed = members.ids.iter().filter(|id| **id == self.me).count();
        if self.twin.is_news(listed, fx.now) {
            fx.event(ClientEvent::ClientIdCollision { group: self.group.clone(), id: self.me.clone(), listed });
        }
        // A route lost since the question says nothing of who owns what.
        let queues = view.topics.get(topic).map(|topic| topic.subscribe.as_slice()).unwrap_or_default();
        if queues.is_empty() {
            self.unbalanced(fx);
        }
        self.end_of_round(fx);
        if queues.is_empty() {
            return None;
        }
        let mut members = members.ids;
        members.sort_by(|a, b| java_order(a.as_str(), b.as_str()));
        members.dedup();
        if mutant!(32) && members.len() > 1 {
            return Some(Allocation {
                topic: topic.clone(),
                queues: queues.to_vec(),
                popped: Vec::new(),
                members: members.len(),
            });
        }
        match strategy::allocate(&self.strategy, &self.me, queues, &members) {
            Ok(mut queues) => {
                // A fixed list may be one of several topics, and a strategy of the user's own may return anything.
                queues.retain(|queue| queue.topic == *topic);
                queues.sort();
                queues.dedup();
                let count = members.len();
                self.shared(topic, SharedBy::Members, members, fx.now);
                Some(Allocation { topic: topic.clone(), queues, popped: Vec::new(), members: count })
            }
            Err(why) => {
                self.unbalanced(fx);
                fx.event(ClientEvent::AllocateFailed { group: self.group.clone(), topic: topic.clone(), why });
                None
            }
        }
    }

    /// Ends the round under way, so that its answers count for nothing.
    pub(crate) fn stop(&mut self, fx: &mut Effects) {
        self.open.clear();
        fx.disarm(&TimerKey::Rebalance(self.group.clone()));
    }

    /// Any broker of the topic knows the members.
    fn broker_of(&self, topic: &Topic, view: &RouteView, fx: &mut Effects) -> Option<Endpoint> {
        let queues = &view.topics.get(topic)?.subscribe;
        let queue = queues.get(fx.rng.below(queues.len()))?;
        view.brokers.get(&queue.broker)?.readable(super::view::MASTER_ID).map(|(_, endpoint)| endpoint.clone())
    }

    fn unbalanced(&mut self, fx: &mut Effects) {
        if core::mem::replace(&mut self.balanced, false) {
            fx.timers.arm_no_later(TimerKey::Rebalance(self.group.clone()), fx.now.after(PAUSE));
        }
    }

    fn end_of_round(&mut self, fx: &mut Effects) {
        if self.open.is_empty() && core::mem::take(&mut self.again) {
            let at = self.started.map_or(fx.now, |started| started.after(pause()));
            fx.timers.arm_no_later(TimerKey::Rebalance(self.group.clone()), at);
        }
    }
}

fn pause() -> Duration {
    if mutant!(26) { Duration::ZERO } else { PAUSE }
}

/// Until the next round while a topic has no route: a group's retry topic appears just after its first heartbeat.
const NO_ROUTE_PAUSE: Duration = Duration::from_secs(3);
/// Between two rounds, however many notices come. Source: Java `rocketmq.client.rebalance.minInterval`.
const PAUSE: Duration = Duration::from_secs(1);
