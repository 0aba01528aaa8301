//! Routes: which brokers and queues a topic has, refreshed in time and at once when something fails.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::links::Links;
use super::signal::{ReplyTo, Signal};
use super::snapshot::{RouteBroker, RouteSnapshot, RouteState, millis};
use super::view::{BrokerView, MASTER_ID, PublishQueue, RouteView, TopicView};
use super::{CommandResult, Output, RouteError};
use crate::config::ClientConfig;
use crate::effects::Effects;
use crate::error::RequestError;
use crate::ids::{BrokerName, Endpoint, MessageQueue, OpId, Topic};
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::wire::body::TopicRoute;
use crate::wire::codes::response;
use crate::wire::java::java_queue_order;
use crate::wire::request::{GetRouteInfo, Request};
use crate::wire::{Codec, Frame};

/// The routes of every topic somebody is interested in.
#[derive(Debug)]
pub(crate) struct Routes {
    codec: Codec,
    timeout: Duration,
    interval: Duration,
    template_topic: Topic,
    template_queues: i32,
    vip_channel: bool,
    topics: BTreeMap<Topic, State>,
    /// Each broker as the newest answer that names it has it.
    brokers: BTreeMap<BrokerName, Arc<BrokerView>>,
    endpoints: BTreeSet<Endpoint>,
    /// The wire versions of brokers.
    versions: BTreeMap<Endpoint, i32>,
    view: Arc<RouteView>,
}

#[derive(Debug)]
struct State {
    /// Whether a consumer subscribes to it; producers' topics stay once asked for.
    route: Option<TopicRoute>,
    /// The route is that of the template topic.
    template: bool,
    asking: bool,
    ask_again: bool,
    asked_at: Instant,
    waiting: Vec<OpId>,
}

impl Routes {
    pub(crate) fn new(config: &ClientConfig) -> Self {
        Self {
            codec: config.codec,
            timeout: config.request_timeout,
            interval: config.route_interval,
            template_topic: config.template_topic.clone(),
            template_queues: config.template_queues,
            vip_channel: config.vip_channel,
            topics: BTreeMap::new(),
            brokers: BTreeMap::new(),
            endpoints: BTreeSet::new(),
            versions: BTreeMap::new(),
            view: Arc::default(),
        }
    }

    /// Becomes interested in a topic; its route is asked for if it is new.
    pub(crate) fn follow(&mut self, topic: &Topic, fx: &mut Effects) {
        if self.topics.is_empty() {
            fx.arm(TimerKey::Routes, self.interval);
        }
        if !self.topics.contains_key(topic) {
            let state = State {
                route: None,
                template: false,
                asking: false,
                ask_again: false,
                asked_at: Instant::ZERO,
                waiting: Vec::new(),
            };
            self.topics.insert(topic.clone(), state);
            self.ask(topic, fx);
        }
    }

    /// A send wants the route of a topic; `fresh` when the one it saw did not serve.
    pub(crate) fn on_want(&mut self, op: OpId, topic: &Topic, fresh: bool, fx: &mut Effects) {
        self.follow(topic, fx);
        let Some(state) = self.topics.get_mut(topic) else {
            return;
        };
        let recent = fx.now.since(state.asked_at) < REFRESH_PAUSE && !state.asking;
        if state.route.is_some() && (!fresh || recent) {
            fx.complete(op, CommandResult::Route(Ok(())));
            return;
        }
        state.waiting.push(op);
        self.ask(topic, fx);
    }

    pub(crate) fn on_cancel(&mut self, op: OpId) {
        for state in self.topics.values_mut() {
            state.waiting.retain(|waiting| *waiting != op);
        }
    }

    /// Asks for the route of a topic at once, though no more than once in [`REFRESH_PAUSE`].
    pub(crate) fn on_refresh(&mut self, topic: &Topic, fx: &mut Effects) {
        let recently = |state: &State| fx.now.since(state.asked_at) < REFRESH_PAUSE && state.asked_at > Instant::ZERO;
        match self.topics.get(topic) {
            Some(state) if recently(state) => {
                let at = state.asked_at.after(REFRESH_PAUSE);
                fx.timers.arm_no_later(TimerKey::Routes, at);
            }
            Some(_) => self.ask(topic, fx),
            None => {}
        }
    }

    /// A link failed: the routes that lead over it may have changed.
    pub(crate) fn on_link_down(&mut self, endpoint: &Endpoint, fx: &mut Effects) {
        if !self.endpoints.contains(endpoint) {
            return;
        }
        let leads_there = |route: &TopicRoute| {
            let mut addrs = route.broker_datas.iter().flat_map(|broker| broker.broker_addrs.values());
            addrs.any(|addr| addr == endpoint || self.sends_to(addr) == *endpoint)
        };
        let affected = self.topics.iter().filter(|(_, state)| state.route.as_ref().is_some_and(leads_there));
        let affected: Vec<_> = affected.map(|(topic, _)| topic.clone()).collect();
        for topic in affected {
            self.on_refresh(&topic, fx);
        }
    }

    pub(crate) fn on_timer(&mut self, fx: &mut Effects) {
        fx.arm(TimerKey::Routes, self.interval);
        let topics: Vec<_> = self.topics.keys().cloned().collect();
        for topic in topics {
            self.ask(&topic, fx);
        }
    }

    pub(crate) fn on_reply(
        &mut self,
        topic: &Topic,
        template: bool,
        result: Result<Frame, RequestError>,
        links: &Links,
        fx: &mut Effects,
    ) {
        let answer = match result {
            Err(error) => Err(RouteError::Unavailable(error)),
            Ok(frame) => match frame.header.code {
                response::SUCCESS => TopicRoute::decode(&frame.body).map_err(RouteError::Malformed),
                response::TOPIC_NOT_EXIST => Err(RouteError::NoTopic),
                code => Err(RouteError::Refused { code, remark: frame.header.remark.unwrap_or_default() }),
            },
        };
        let Some(state) = self.topics.get_mut(topic) else {
            return;
        };
        match answer {
            Err(RouteError::NoTopic) if state.route.is_some() && !state.template => {
                // A name server that has just started knows no topic yet: what is known stands, as in Java.
                state.asking = false;
                fx.raise(Signal::RouteMissing(topic.clone()));
                for op in core::mem::take(&mut state.waiting) {
                    fx.complete(op, CommandResult::Route(Ok(())));
                }
                self.ask_again(topic, fx);
            }
            Err(RouteError::NoTopic) if !template && *topic != self.template_topic => {
                fx.raise(Signal::RouteMissing(topic.clone()));
                self.ask_template(topic, fx);
            }
            Err(error) => {
                state.asking = false;
                let gone = template && matches!(error, RouteError::NoTopic) && state.route.take().is_some();
                let waiting = core::mem::take(&mut state.waiting);
                if gone {
                    self.collect_brokers(fx);
                    self.publish(links, fx);
                }
                for op in waiting {
                    fx.complete(op, CommandResult::Route(Err(error.clone())));
                }
                self.ask_again(topic, fx);
            }
            Ok(route) => {
                let route = if template { self.shaped_by_template(route) } else { route };
                self.install(topic, route, template, links, fx);
                self.ask_again(topic, fx);
            }
        }
    }

    /// Publishes the view again after links came up or went down.
    pub(crate) fn publish(&mut self, links: &Links, fx: &mut Effects) {
        let links = links.up();
        let topics = self.topics.iter().filter_map(|(topic, state)| {
            let route = state.route.as_ref()?;
            let master = |broker: &BrokerName| Some(self.sends_to(self.brokers.get(broker)?.master()?));
            let view = topic_view(topic, route, !state.template, &links, master);
            let known = self.view.topics.get(topic).filter(|known| ***known == view);
            Some((topic.clone(), known.cloned().unwrap_or_else(|| Arc::new(view))))
        });
        let topics = topics.collect();
        let (brokers, versions) = (self.brokers.clone(), self.versions.clone());
        self.view = Arc::new(RouteView { topics, brokers, links, versions });
        fx.output(Output::Routes(self.view.clone()));
    }

    /// A broker told its wire version.
    pub(crate) fn on_version(&mut self, endpoint: Endpoint, version: i32, links: &Links, fx: &mut Effects) {
        if self.versions.insert(endpoint, version) != Some(version) {
            self.publish(links, fx);
        }
    }

    pub(crate) fn view(&self) -> &RouteView {
        &self.view
    }

    /// The addresses that heartbeats go to: masters always, slaves when asked for.
    pub(crate) fn broker_endpoints(&self, slaves: bool) -> Vec<Endpoint> {
        let wanted = |broker: &Arc<BrokerView>| {
            let addrs = broker.addrs.iter().filter(|(id, _)| slaves || **id == MASTER_ID);
            addrs.map(|(_, endpoint)| endpoint.clone()).collect::<Vec<_>>()
        };
        self.brokers.values().flat_map(wanted).collect()
    }

    pub(crate) fn is_broker(&self, endpoint: &Endpoint) -> bool {
        self.endpoints.contains(endpoint)
    }

    /// The broker at an address.
    pub(crate) fn broker_at(&self, endpoint: &Endpoint) -> Option<&BrokerName> {
        let is_there = |broker: &BrokerView| {
            broker
                .addrs
                .iter()
                .any(|(id, addr)| addr == endpoint || (*id == MASTER_ID && self.sends_to(addr) == *endpoint))
        };
        self.brokers.iter().find(|(_, broker)| is_there(broker)).map(|(name, _)| name)
    }

    /// What is known of each topic; all of them are refreshed at the same time.
    pub(crate) fn snapshot(&self, refresh: Option<Instant>, now: Instant) -> Vec<RouteSnapshot> {
        let route = |(topic, state): (&Topic, &State)| {
            let mut brokers: BTreeMap<_, _> = BTreeMap::new();
            let view = self.view.topics.get(topic);
            for queue in view.iter().flat_map(|view| &view.subscribe) {
                let (readable, _): &mut (usize, usize) = brokers.entry(&queue.broker).or_default();
                *readable = readable.saturating_add(1);
            }
            for queue in view.iter().flat_map(|view| &view.publish) {
                let (_, writable) = brokers.entry(&queue.queue.broker).or_default();
                *writable = writable.saturating_add(1);
            }
            let broker = |(broker, (readable, writable)): (&BrokerName, _)| RouteBroker {
                broker: broker.clone(),
                readable,
                writable,
            };
            RouteSnapshot {
                topic: topic.clone(),
                state: match (&state.route, state.template) {
                    (None, _) => RouteState::Unknown,
                    (Some(_), true) => RouteState::Template,
                    (Some(_), false) => RouteState::Known,
                },
                asking: state.asking,
                asked_ago_ms: (state.asked_at > Instant::ZERO).then(|| millis(now.since(state.asked_at))),
                refresh_in_ms: refresh.map(|at| millis(now.until(at))),
                waiting: state.waiting.len(),
                brokers: brokers.into_iter().map(broker).collect(),
            }
        };
        self.topics.iter().map(route).collect()
    }

    /// Where messages for this master are sent.
    fn sends_to(&self, master: &Endpoint) -> Endpoint {
        let vip = self.vip_channel.then(|| master.vip_channel()).flatten();
        vip.unwrap_or_else(|| master.clone())
    }

    /// Whether the route of a topic is known, or known to be missing.
    pub(crate) fn is_settled(&self, topic: &Topic) -> bool {
        self.topics.get(topic).is_some_and(|state| state.route.is_some() || !state.asking)
    }

    fn ask(&mut self, topic: &Topic, fx: &mut Effects) {
        let Some(state) = self.topics.get_mut(topic) else {
            return;
        };
        if core::mem::replace(&mut state.asking, true) {
            state.ask_again = true;
            return;
        }
        state.asked_at = fx.now;
        self.send(topic, topic, false, fx);
    }

    fn ask_again(&mut self, topic: &Topic, fx: &mut Effects) {
        let Some(state) = self.topics.get_mut(topic) else {
            return;
        };
        if core::mem::take(&mut state.ask_again) && !state.waiting.is_empty() {
            self.ask(topic, fx);
        }
    }

    fn ask_template(&mut self, topic: &Topic, fx: &mut Effects) {
        let template = self.template_topic.clone();
        self.send(topic, &template, true, fx);
    }

    fn send(&self, topic: &Topic, asked: &Topic, template: bool, fx: &mut Effects) {
        let request = GetRouteInfo { topic: asked.clone(), standard_json: Some(true) };
        let frame = request.encode(self.codec, Bytes::new());
        fx.ask_names(frame, self.timeout, ReplyTo::Route { topic: topic.clone(), template });
    }

    /// The route a new topic would get: that of the template, with at most so many queues.
    fn shaped_by_template(&self, mut route: TopicRoute) -> TopicRoute {
        for queues in &mut route.queue_datas {
            let count = self.template_queues.min(queues.read_queue_nums);
            queues.read_queue_nums = count;
            queues.write_queue_nums = count;
        }
        route
    }

    fn install(&mut self, topic: &Topic, route: TopicRoute, template: bool, links: &Links, fx: &mut Effects) {
        let Some(state) = self.topics.get_mut(topic) else {
            return;
        };
        state.asking = false;
        let waiting = core::mem::take(&mut state.waiting);
        let changed = state.route.as_ref() != Some(&route) || state.template != template;
        let mut moved = false;
        for data in &route.broker_datas {
            let view = BrokerView { addrs: data.broker_addrs.clone(), cluster: data.cluster.clone() };
            if self.brokers.get(&data.broker_name).is_none_or(|known| **known != view) {
                moved = true;
                self.brokers.insert(data.broker_name.clone(), Arc::new(view));
            }
        }
        state.template = template;
        state.route = Some(route);
        if changed || moved {
            self.collect_brokers(fx);
            self.publish(links, fx);
        }
        if changed {
            fx.raise(Signal::RouteChanged(topic.clone()));
        }
        for op in waiting {
            fx.complete(op, CommandResult::Route(Ok(())));
        }
    }

    /// Brokers that no known route names are no longer ours, nor are addresses. An address that an older route names keeps its
    /// link: name servers that disagree would have it closed and opened with each answer.
    fn collect_brokers(&mut self, fx: &mut Effects) {
        let routes = self.topics.values().filter_map(|state| state.route.as_ref());
        let named = routes.flat_map(|route| &route.broker_datas);
        let names: BTreeSet<_> = named.clone().map(|data| &data.broker_name).collect();
        let mut endpoints: BTreeSet<_> = named.flat_map(|data| data.broker_addrs.values().cloned()).collect();
        self.brokers.retain(|name, _| names.contains(name));
        let masters = self.brokers.values().filter_map(|broker| broker.master());
        endpoints.extend(masters.map(|master| self.sends_to(master)).collect::<Vec<_>>());
        self.versions.retain(|endpoint, _| endpoints.contains(endpoint));
        if endpoints != self.endpoints {
            self.endpoints = endpoints;
            fx.raise(Signal::Endpoints);
        }
    }
}

/// What handles and consumers see of a route. Source: Java `MQClientInstance.topicRouteData2TopicPublishInfo`.
fn topic_view(
    topic: &Topic,
    route: &TopicRoute,
    exists: bool,
    links: &BTreeMap<Endpoint, crate::ids::ConnId>,
    master: impl Fn(&BrokerName) -> Option<Endpoint>,
) -> TopicView {
    let to = |queue: MessageQueue| {
        let endpoint = master(&queue.broker)?;
        let conn = links.get(&endpoint).copied();
        Some(PublishQueue { queue, endpoint, conn })
    };
    let publish = route.writable_queues(topic).filter_map(to).collect();
    let mut subscribe: Vec<_> = route.readable_queues(topic).filter(|_| exists).collect();
    subscribe.sort_by(java_queue_order);
    TopicView { publish, subscribe, exists }
}

/// Between two immediate refreshes of one topic.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);
