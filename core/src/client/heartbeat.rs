//! Heartbeats: who we are and what we subscribe to, to every broker in use.

use alloc::collections::BTreeMap;
use core::time::Duration;

use bytes::Bytes;

use super::ClientEvent;
use super::links::Links;
use super::routes::Routes;
use super::signal::{ReplyTo, Signal};
use crate::config::ClientConfig;
use crate::effects::Effects;
use crate::error::{AccessDenied, RequestError};
use crate::ids::Endpoint;
use crate::mutants::mutant;
use crate::timers::TimerKey;
use crate::wire::body::HeartbeatData;
use crate::wire::codes::response;
use crate::wire::request::{HeartBeat, Request};
use crate::wire::{Codec, Frame};

/// When each broker hears from us, and what it said of itself.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    codec: Codec,
    timeout: Duration,
    interval: Duration,
    /// Whether subscriptions are left out where they are known.
    light: bool,
    brokers: BTreeMap<Endpoint, Broker>,
}

#[derive(Debug, Default)]
struct Broker {
    under_way: bool,
    /// What the last heartbeat said, subscriptions and all.
    said: Bytes,
    /// By what its subscriptions are known once it is answered; 0 when they are not to be.
    telling: i32,
    /// The subscriptions were left out.
    is_light: bool,
    /// By what the broker knows the subscriptions.
    knows: Option<i32>,
    again: bool,
    version: i32,
}

impl Heartbeat {
    pub(crate) fn new(config: &ClientConfig) -> Self {
        Self {
            codec: config.codec,
            timeout: config.request_timeout,
            interval: config.heartbeat_interval,
            light: config.light_heartbeats,
            brokers: BTreeMap::new(),
        }
    }

    /// Heartbeats to every broker now, whatever they knew: something changed, or one says that it does not know us.
    pub(crate) fn on_all(&mut self, data: &HeartbeatData, routes: &Routes, fx: &mut Effects) {
        for endpoint in routes.broker_endpoints(!data.consumers.is_empty()) {
            if let Some(broker) = self.brokers.get_mut(&endpoint) {
                broker.knows = None;
            }
            self.on_due(&endpoint, data, fx);
        }
    }

    /// Heartbeats to one broker now.
    pub(crate) fn on_due(&mut self, endpoint: &Endpoint, data: &HeartbeatData, fx: &mut Effects) {
        if data.producers.is_empty() && data.consumers.is_empty() {
            fx.disarm(&TimerKey::Heartbeat(endpoint.clone()));
            return;
        }
        let broker = self.brokers.entry(endpoint.clone()).or_default();
        let print = if self.light && !data.consumers.is_empty() { data.fingerprint() } else { 0 };
        let data = HeartbeatData { heartbeat_fingerprint: print, ..data.clone() };
        let body = Bytes::from(data.encode());
        if core::mem::replace(&mut broker.under_way, true) {
            // What is under way says the same already, or has to be said anew.
            broker.again |= broker.said != body;
            // A process that stood still is late for the next one before it has the answer to this one.
            if !mutant!(44) {
                let next = fx.now.after(self.interval);
                fx.timers.arm_no_later(TimerKey::Heartbeat(endpoint.clone()), next);
            }
            return;
        }
        broker.said = body.clone();
        broker.telling = print;
        let knows = broker.knows == Some(print) || mutant!(176) && broker.knows.is_some();
        broker.is_light = knows && print != 0;
        let body = if broker.is_light { Bytes::from(data.light().encode()) } else { body };
        fx.arm(TimerKey::Heartbeat(endpoint.clone()), self.interval);
        let frame = HeartBeat {}.encode(self.codec, body);
        fx.request(endpoint.clone(), frame, self.timeout, ReplyTo::Heartbeat(endpoint.clone()));
    }

    /// Heartbeats to brokers that have not had one.
    pub(crate) fn on_new(&mut self, data: &HeartbeatData, routes: &Routes, fx: &mut Effects) {
        for endpoint in routes.broker_endpoints(!data.consumers.is_empty()) {
            if !self.brokers.contains_key(&endpoint) {
                self.on_due(&endpoint, data, fx);
            }
        }
    }

    /// A broker's link is gone: it is looked for again as soon as back-off allows.
    pub(crate) fn on_link_down(&mut self, endpoint: &Endpoint, links: &Links, fx: &mut Effects) {
        if let Some(broker) = self.brokers.get_mut(endpoint) {
            // Who knows what is on its other end now.
            broker.knows = None;
        }
        if self.brokers.get(endpoint).is_some_and(|broker| !broker.under_way) {
            let at = links.retry_at(endpoint).max(fx.now.after(RETRY_PAUSE));
            fx.timers.arm_no_later(TimerKey::Heartbeat(endpoint.clone()), at);
        }
    }

    pub(crate) fn on_reply(
        &mut self,
        endpoint: &Endpoint,
        result: Result<Frame, RequestError>,
        links: &Links,
        fx: &mut Effects,
    ) {
        let Some(broker) = self.brokers.get_mut(endpoint) else {
            return;
        };
        broker.under_way = false;
        let known = result.as_ref().ok().and_then(|frame| broker.learnt(frame));
        let forgotten = core::mem::take(&mut broker.is_light) && known.is_none();
        broker.knows = known;
        let again = core::mem::take(&mut broker.again) || forgotten;
        match result {
            Ok(frame) if frame.header.code == response::SUCCESS => {
                let version = frame.header.version;
                if core::mem::replace(&mut broker.version, version) != version {
                    fx.event(ClientEvent::BrokerVersion { endpoint: endpoint.clone(), version });
                    fx.raise(Signal::BrokerVersion { endpoint: endpoint.clone(), version });
                }
                if again {
                    // It said what was true before the groups changed.
                    fx.arm(TimerKey::Heartbeat(endpoint.clone()), Duration::ZERO);
                } else {
                    fx.raise(Signal::HeartbeatDone);
                }
            }
            Ok(frame) => {
                let remark = frame.header.remark.unwrap_or_default();
                let denied = AccessDenied::of(frame.header.code, &remark);
                let pause = if denied.is_some() { DENIED_PAUSE } else { RETRY_PAUSE };
                fx.arm(TimerKey::Heartbeat(endpoint.clone()), pause);
                if let Some(why) = denied {
                    fx.event(ClientEvent::Denied { endpoint: endpoint.clone(), why, remark });
                }
            }
            Err(_) => {
                let at = links.retry_at(endpoint).max(fx.now.after(RETRY_PAUSE));
                fx.timers.arm(TimerKey::Heartbeat(endpoint.clone()), at);
            }
        }
    }

    /// Forgets brokers that no route mentions.
    pub(crate) fn keep_only(&mut self, routes: &Routes, fx: &mut Effects) {
        self.brokers.retain(|endpoint, _| {
            let keep = routes.is_broker(endpoint);
            if !keep {
                fx.disarm(&TimerKey::Heartbeat(endpoint.clone()));
            }
            keep
        });
    }
}

impl Broker {
    /// By what a broker knows our subscriptions, after it has answered. To what told it all, brokers say that something
    /// changed; to what left it out, only if they do not know it.
    fn learnt(&self, answer: &Frame) -> Option<i32> {
        let says = |name| answer.header.ext.get(name) == Some("true");
        let forgot = self.is_light && says(SUBSCRIPTIONS_CHANGED) && !mutant!(175);
        let knows = says(SUPPORTS_LIGHT) && !forgot;
        (answer.header.code == response::SUCCESS && knows && self.telling != 0).then_some(self.telling)
    }
}

/// A broker that takes heartbeats without subscriptions. Java `MixAll.IS_SUPPORT_HEART_BEAT_V2`.
const SUPPORTS_LIGHT: &str = "IS_SUPPORT_HEART_BEAT_V2";
/// It knows other subscriptions, or none. Java `MixAll.IS_SUB_CHANGE`.
const SUBSCRIPTIONS_CHANGED: &str = "IS_SUB_CHANGE";
/// After a failed heartbeat.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// After one of a client that is not let in: somebody has to give it other credentials, or more of a say.
const DENIED_PAUSE: Duration = Duration::from_secs(5);
