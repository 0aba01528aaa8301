//! Which queues a member of a group owns: asked of the brokers, computed alike by every member.

pub mod strategy;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::ClientEvent;
use super::signal::{ReplyTo, Signal};
use super::view::RouteView;
use crate::config::Strategy;
use crate::effects::Effects;
use crate::error::RequestError;
use crate::ids::{ClientId, Endpoint, Group, MessageQueue, Topic};
use crate::mutants::mutant;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::wire::body::ConsumerList;
use crate::wire::codes::response;
use crate::wire::java::java_order;
use crate::wire::request::{GetConsumerList, Request};
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
}

/// What a member list means for one topic.
#[derive(Debug)]
pub(crate) struct Allocation {
    pub(crate) topic: Topic,
    pub(crate) queues: Vec<MessageQueue>,
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
        }
    }

    /// Starts a round, unless one is under way or the last began less than [`PAUSE`] ago: then soon.
    pub(crate) fn on_due<'t>(&mut self, topics: impl Iterator<Item = &'t Topic>, view: &RouteView, fx: &mut Effects) {
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
                    let frame = GetConsumerList { group: self.group.clone() }.encode(self.codec, Bytes::new());
                    let reply_to =
                        ReplyTo::Members { group: self.group.clone(), topic: topic.clone(), round: self.round };
                    fx.request(endpoint, frame, self.timeout, reply_to);
                    self.open.insert(topic.clone());
                }
                None => {
                    fx.raise(Signal::RefreshRoute(topic.clone()));
                    fx.timers.arm_no_later(TimerKey::Rebalance(self.group.clone()), fx.now.after(NO_ROUTE_PAUSE));
                }
            }
        }
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
                all.push(Allocation { topic: topic.clone(), queues, members: 1 });
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
            return Some(Allocation { topic: topic.clone(), queues: queues.to_vec(), members: members.len() });
        }
        match strategy::allocate(&self.strategy, &self.me, queues, &members) {
            Ok(mut queues) => {
                // A fixed list may be one of several topics, and a strategy of the user's own may return anything.
                queues.retain(|queue| queue.topic == *topic);
                queues.sort();
                queues.dedup();
                Some(Allocation { topic: topic.clone(), queues, members: members.len() })
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
