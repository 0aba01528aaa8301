//! What a group subscribes to, at its start and while it runs, and whether brokers can filter so.
//!
//! Only brokers evaluate SQL. One that cannot says so when it is asked (request 46); unasked it would hand out all
//! messages or none. So a subscription in SQL begins when the brokers of its topic accept it, and a broker that was not
//! there then is asked before the first pull.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::queue::readable;
use super::{Consumer, START_TIMEOUT, Siblings, State};
use crate::client::signal::{ReplyTo, Signal};
use crate::client::view::MASTER_ID;
use crate::client::{ClientEvent, CommandResult, FilterRefusal, StartError, SubscribeError};
use crate::config::Filter;
use crate::effects::Effects;
use crate::error::RequestError;
use crate::ids::{BrokerName, MessageQueue, OpId, Topic};
use crate::mutants::mutant;
use crate::time::{Instant, UnixMillis};
use crate::timers::TimerKey;
use crate::wire::Frame;
use crate::wire::body::{ClientCheck, ExpressionType};
use crate::wire::codes::response;
use crate::wire::request::{CheckClientConfig, Request};
use crate::wire::subscription::SubscriptionData;

/// What is wanted, and what brokers say of it.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    wanted: BTreeMap<Topic, Arc<SubscriptionData>>,
    /// The newest version of any.
    newest: i64,
    /// Subscriptions in SQL that wait for brokers to accept them.
    proposed: Vec<Proposal>,
    /// What brokers said of each topic's expression.
    checks: BTreeMap<(Topic, BrokerName), Check>,
}

/// A subscription that somebody waits for.
#[derive(Debug)]
struct Proposal {
    op: OpId,
    data: Arc<SubscriptionData>,
    deadline: Instant,
}

/// A broker's word on one version of a topic's expression.
#[derive(Debug)]
struct Check {
    version: i64,
    /// When it was asked, or answered.
    since: Instant,
    verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Asked,
    Accepted,
    Refused(FilterRefusal),
    /// It gave no answer that says anything of the expression.
    Unknown(String),
}

impl Subscriptions {
    pub(super) fn new(wanted: impl Iterator<Item = SubscriptionData>) -> Self {
        let wanted: BTreeMap<_, _> = wanted.map(|data| (data.topic.clone(), Arc::new(data))).collect();
        let newest = wanted.values().map(|data| data.sub_version).max().unwrap_or_default();
        Self { wanted, newest, ..Self::default() }
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.wanted.keys()
    }

    pub(super) fn get(&self, topic: &Topic) -> Option<&Arc<SubscriptionData>> {
        self.wanted.get(topic)
    }

    pub(super) fn has(&self, topic: &Topic) -> bool {
        self.wanted.contains_key(topic)
    }

    /// As heartbeats say it.
    pub(super) fn data(&self) -> Vec<SubscriptionData> {
        self.wanted.values().map(|data| (**data).clone()).collect()
    }

    /// A version above all that there were: the wall clock may have gone back.
    fn next_version(&mut self, wall: UnixMillis) -> UnixMillis {
        if !mutant!(123) {
            self.newest = wall.0.max(self.newest.saturating_add(1));
        }
        UnixMillis(self.newest)
    }

    fn check_of(&self, data: &SubscriptionData, broker: &BrokerName) -> Option<&Check> {
        let check = self.checks.get(&(data.topic.clone(), broker.clone()));
        check.filter(|check| check.version == data.sub_version)
    }
}

impl Consumer {
    /// Subscribes to a topic while the group runs, or changes what is wanted of it.
    pub(crate) fn on_subscribe(
        &mut self,
        op: OpId,
        topic: &Topic,
        filter: &Filter,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        if let Err(error) = self.is_changeable(topic) {
            return fx.complete(op, CommandResult::Subscribed(Err(error)));
        }
        let version = self.subscriptions.next_version(fx.wall);
        let data = match filter.subscription(topic, version) {
            Ok(data) => data,
            Err(error) => return fx.complete(op, CommandResult::Subscribed(Err(error.into()))),
        };
        self.replace_proposal(topic, fx);
        let same =
            |known: &Arc<SubscriptionData>| SubscriptionData { sub_version: version.0, ..(**known).clone() } == data;
        if self.subscriptions.get(topic).is_some_and(same) {
            return fx.complete(op, CommandResult::Subscribed(Ok(())));
        }
        fx.raise(Signal::Follow(topic.clone()));
        let deadline = fx.now.after(START_TIMEOUT);
        self.subscriptions.proposed.push(Proposal { op, data: Arc::new(data), deadline });
        self.go_on_with_proposals(at, fx);
    }

    /// Wants nothing of a topic any more: its queues are given up, after which nothing of them is handed out.
    pub(crate) fn on_unsubscribe(&mut self, op: OpId, topic: &Topic, fx: &mut Effects) {
        if let Err(error) = self.is_changeable(topic) {
            return fx.complete(op, CommandResult::Subscribed(Err(error)));
        }
        self.replace_proposal(topic, fx);
        self.subscriptions.checks.retain(|(known, _), _| known != topic);
        if self.subscriptions.wanted.remove(topic).is_some() {
            self.rebalance.forget(topic);
            let revoked: Vec<_> = self.queues.keys().filter(|queue| queue.topic == *topic).cloned().collect();
            for queue in revoked.iter().filter(|_| !mutant!(121)) {
                self.revoke(queue, fx);
            }
            let revoked = [revoked, self.stop_popping_topic(topic, fx)].concat();
            let group = self.config.group.clone();
            fx.event(ClientEvent::Unsubscribed { group, topic: topic.clone(), revoked });
            fx.raise(Signal::HeartbeatAll);
        }
        fx.complete(op, CommandResult::Subscribed(Ok(())));
    }

    /// A broker said what it thinks of an expression, or nothing.
    pub(crate) fn on_check_client(
        &mut self,
        topic: &Topic,
        broker: &BrokerName,
        version: i64,
        result: Result<Frame, RequestError>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        let Some(check) = self.subscriptions.checks.get_mut(&(topic.clone(), broker.clone())) else {
            return;
        };
        if check.version != version {
            return;
        }
        check.verdict = verdict(result);
        check.since = fx.now;
        match &check.verdict {
            Verdict::Unknown(why) => {
                let why = alloc::format!("broker {broker}: {why}");
                self.on_trouble(StartError::Unavailable(why));
                fx.timers.arm_no_later(TimerKey::Filters(self.config.group.clone()), fx.now.after(RETRY_PAUSE));
            }
            Verdict::Refused(why) => {
                let (group, why) = (self.config.group.clone(), why.clone());
                fx.event(ClientEvent::FilterRefused { group, topic: topic.clone(), broker: broker.clone(), why });
            }
            Verdict::Asked | Verdict::Accepted => {}
        }
        self.announce(at, fx);
        self.go_on_with_proposals(at, fx);
    }

    /// Asks again those that gave no answer, and gives up what has waited for too long.
    pub(crate) fn on_filter_timer(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        self.announce(at, fx);
        self.go_on_with_proposals(at, fx);
    }

    /// Whether the brokers of every topic can filter as the group starts with; `None` while that is not known.
    pub(super) fn filters_accepted(&mut self, at: Siblings<'_>, fx: &mut Effects) -> Option<Result<(), StartError>> {
        let wanted: Vec<_> = self.subscriptions.wanted.values().cloned().collect();
        let mut known = true;
        for data in wanted {
            match self.accepted(&data, at, fx) {
                Some(Ok(())) => {}
                Some(Err((broker, why))) => {
                    return Some(Err(StartError::Filter { topic: data.topic.clone(), broker, why }));
                }
                None => known = false,
            }
        }
        known.then_some(Ok(()))
    }

    /// Whether the queue's broker can filter as wanted; one that was not asked is.
    pub(super) fn is_filterable(&mut self, queue: &MessageQueue, at: Siblings<'_>, fx: &mut Effects) -> bool {
        let Some(data) = self.subscriptions.get(&queue.topic).cloned() else {
            return true;
        };
        let accepts = |check: &Check| check.verdict == Verdict::Accepted;
        if !is_sql(&data) || self.subscriptions.check_of(&data, &queue.broker).is_some_and(accepts) {
            return true;
        }
        self.ask_to_filter(&data, &queue.broker, at, fx);
        false
    }

    /// No subscription waits any more: the group stops.
    pub(super) fn end_proposals(&mut self, fx: &mut Effects) {
        fx.disarm(&TimerKey::Filters(self.config.group.clone()));
        for proposal in core::mem::take(&mut self.subscriptions.proposed) {
            fx.complete(proposal.op, CommandResult::Subscribed(Err(SubscribeError::Closed)));
        }
    }

    /// Begins what was accepted, tells what was refused.
    pub(super) fn go_on_with_proposals(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        for proposal in core::mem::take(&mut self.subscriptions.proposed) {
            match self.accepted(&proposal.data, at, fx) {
                Some(Ok(())) => {
                    self.install(proposal.data, at, fx);
                    fx.complete(proposal.op, CommandResult::Subscribed(Ok(())));
                }
                Some(Err((broker, why))) => {
                    let error = SubscribeError::Filter { broker, why };
                    fx.complete(proposal.op, CommandResult::Subscribed(Err(error)));
                }
                None if fx.now >= proposal.deadline => {
                    let error = SubscribeError::Unavailable(self.why_unknown(&proposal.data));
                    fx.complete(proposal.op, CommandResult::Subscribed(Err(error)));
                }
                None => {
                    let key = TimerKey::Filters(self.config.group.clone());
                    fx.timers.arm_no_later(key, proposal.deadline);
                    self.subscriptions.proposed.push(proposal);
                }
            }
        }
    }

    fn install(&mut self, data: Arc<SubscriptionData>, at: Siblings<'_>, fx: &mut Effects) {
        let (group, topic) = (self.config.group.clone(), data.topic.clone());
        fx.event(ClientEvent::Subscribed { group, topic: topic.clone(), expression: data.sub_string.clone() });
        fx.raise(Signal::HeartbeatAll);
        let changed = self.subscriptions.wanted.insert(topic.clone(), data).is_some();
        if changed && !mutant!(120) {
            // What comes by the old expression may lack what the new one wants.
            let asked: Vec<_> = self.queues.keys().filter(|queue| queue.topic == topic).cloned().collect();
            for queue in asked {
                self.pull_anew(&queue, at, fx);
            }
        }
    }

    /// Whether a topic may be subscribed to or not, as the user likes.
    fn is_changeable(&self, topic: &Topic) -> Result<(), SubscribeError> {
        match self.state {
            State::Running if *topic == self.retry_topic => Err(SubscribeError::RetryTopic),
            State::Running => Ok(()),
            State::Starting { .. }
            | State::Draining { .. }
            | State::Committing { .. }
            | State::Unlocking { .. }
            | State::Leaving { .. } => Err(SubscribeError::Closed),
        }
    }

    /// Who waits for an older subscription of this topic does so in vain.
    fn replace_proposal(&mut self, topic: &Topic, fx: &mut Effects) {
        for proposal in self.subscriptions.proposed.extract_if(.., |proposal| proposal.data.topic == *topic) {
            fx.complete(proposal.op, CommandResult::Subscribed(Err(SubscribeError::Replaced)));
        }
    }

    /// Whether the brokers of a topic can filter so: none refuses it, and one at least accepts it, if there is any.
    fn accepted(
        &mut self,
        data: &SubscriptionData,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) -> Option<Result<(), (BrokerName, FilterRefusal)>> {
        if !is_sql(data) {
            return Some(Ok(()));
        }
        if !at.routes.is_settled(&data.topic) {
            return None;
        }
        let queues = at.routes.view().topics.get(&data.topic).map(|topic| topic.subscribe.as_slice());
        let brokers: BTreeSet<_> = queues.unwrap_or_default().iter().map(|queue| queue.broker.clone()).collect();
        let (mut accepted, mut open) = (brokers.is_empty(), false);
        for broker in &brokers {
            self.ask_to_filter(data, broker, at, fx);
            match self.subscriptions.check_of(data, broker).map(|check| &check.verdict) {
                Some(Verdict::Refused(why)) => return Some(Err((broker.clone(), why.clone()))),
                Some(Verdict::Accepted) => accepted = true,
                Some(Verdict::Asked) => open = true,
                Some(Verdict::Unknown(_)) | None => {}
            }
        }
        (accepted && !open).then_some(Ok(()))
    }

    /// Asks a broker that has not answered yet, or whose answer is old news.
    fn ask_to_filter(&mut self, data: &SubscriptionData, broker: &BrokerName, at: Siblings<'_>, fx: &mut Effects) {
        let pause = match self.subscriptions.check_of(data, broker).map(|check| (&check.verdict, check.since)) {
            None => Duration::ZERO,
            Some((Verdict::Asked | Verdict::Accepted, _)) => return,
            Some((Verdict::Unknown(_), since)) => RETRY_PAUSE.saturating_sub(fx.now.since(since)),
            Some((Verdict::Refused(_), since)) => ASK_AGAIN.saturating_sub(fx.now.since(since)),
        };
        let Some((_, to)) = readable(broker, MASTER_ID, at).filter(|_| pause.is_zero()) else {
            return;
        };
        let (group, version) = (self.config.group.clone(), data.sub_version);
        let body = ClientCheck {
            client_id: self.client.client_id.clone(),
            group: group.clone(),
            subscription_data: data.clone(),
        };
        let frame = CheckClientConfig {}.encode(self.client.codec, Bytes::from(body.encode()));
        let reply_to = ReplyTo::CheckClient { group, topic: data.topic.clone(), broker: broker.clone(), version };
        fx.request(to, frame, self.client.request_timeout, reply_to);
        let check = Check { version, since: fx.now, verdict: Verdict::Asked };
        self.subscriptions.checks.insert((data.topic.clone(), broker.clone()), check);
    }

    /// Why it is not known whether brokers can filter so.
    fn why_unknown(&self, data: &SubscriptionData) -> String {
        let of_topic = self.subscriptions.checks.iter().filter(|((topic, _), _)| *topic == data.topic);
        let mut why = of_topic.filter_map(|((_, broker), check)| match &check.verdict {
            Verdict::Unknown(why) => Some(alloc::format!("broker {broker}: {why}")),
            Verdict::Asked | Verdict::Accepted | Verdict::Refused(_) => None,
        });
        why.next_back().unwrap_or_else(|| String::from("no broker answered"))
    }
}

fn is_sql(data: &SubscriptionData) -> bool {
    match data.expression_type {
        ExpressionType::Tag => false,
        ExpressionType::Sql92 => !mutant!(122),
    }
}

/// What an answer to request 46 says.
fn verdict(result: Result<Frame, RequestError>) -> Verdict {
    let (code, remark) = match result {
        Ok(frame) => (frame.header.code, frame.header.remark.unwrap_or_default()),
        Err(error) => return Verdict::Unknown(error.to_string()),
    };
    match code {
        response::SUCCESS => Verdict::Accepted,
        response::SUBSCRIPTION_PARSE_FAILED => Verdict::Refused(FilterRefusal::Expression(remark)),
        response::REQUEST_CODE_NOT_SUPPORTED => Verdict::Refused(FilterRefusal::TooOld(remark)),
        response::SYSTEM_ERROR if remark.contains(NO_FILTER) => Verdict::Refused(FilterRefusal::Disabled(remark)),
        code => Verdict::Unknown(alloc::format!("answered {code}: {remark}")),
    }
}

/// Until a broker that gave no answer is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Until a broker that refused is asked again: its settings may have been changed.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// What brokers of all versions say when `enablePropertyFilter` is off; there is no code for it.
const NO_FILTER: &str = "does not support consumer to filter message";
