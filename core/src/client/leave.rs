//! Leaving groups: every broker that knows us is told, and is waited for a little.

use alloc::collections::BTreeMap;
use core::time::Duration;

use bytes::Bytes;

use super::links::Links;
use super::routes::Routes;
use super::signal::{Leaving, ReplyTo, Signal};
use crate::config::ClientConfig;
use crate::effects::Effects;
use crate::ids::ClientId;
use crate::timers::TimerKey;
use crate::wire::Codec;
use crate::wire::request::{Request, UnregisterClient};

/// Groups on their way out.
#[derive(Debug)]
pub(crate) struct Leave {
    codec: Codec,
    client_id: ClientId,
    /// Answers outstanding, by group.
    waiting: BTreeMap<Leaving, usize>,
}

impl Leave {
    pub(crate) fn new(config: &ClientConfig) -> Self {
        Self { codec: config.codec, client_id: config.client_id.clone(), waiting: BTreeMap::new() }
    }

    /// Tells every broker with a link up; the others forget us by themselves.
    pub(crate) fn on_leave(&mut self, leaving: Leaving, routes: &Routes, links: &Links, fx: &mut Effects) {
        let (producer_group, consumer_group) = match &leaving {
            Leaving::Producer(group) => (Some(group.clone()), None),
            Leaving::Consumer(group) => (None, Some(group.clone())),
        };
        let request = UnregisterClient { client_id: self.client_id.clone(), producer_group, consumer_group };
        let frame = request.encode(self.codec, Bytes::new());
        let mut told = 0_usize;
        for endpoint in routes.broker_endpoints(true) {
            if links.is_up(&endpoint) {
                fx.request(endpoint, frame.clone(), LEAVE_TIMEOUT, ReplyTo::Unregister(leaving.clone()));
                told = told.saturating_add(1);
            }
        }
        if told == 0 {
            fx.raise(Signal::Unregistered(leaving));
        } else {
            self.waiting.insert(leaving, told);
            fx.timers.arm_no_later(TimerKey::LeaveDeadline, fx.now.after(LEAVE_TIMEOUT));
        }
    }

    pub(crate) fn on_reply(&mut self, leaving: Leaving, fx: &mut Effects) {
        if let Some(open) = self.waiting.get_mut(&leaving) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                self.waiting.remove(&leaving);
                fx.raise(Signal::Unregistered(leaving));
            }
        }
        if self.waiting.is_empty() {
            fx.disarm(&TimerKey::LeaveDeadline);
        }
    }

    pub(crate) fn on_deadline(&mut self, fx: &mut Effects) {
        for leaving in core::mem::take(&mut self.waiting).into_keys() {
            fx.raise(Signal::Unregistered(leaving));
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// How long brokers have to answer. Java: 3 s.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);
