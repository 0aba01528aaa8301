//! Name servers: a request goes to the current one, and on to the next when it fails or is slow.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::links::Links;
use super::signal::{NameRequest, ReplyTo, Signal};
use super::snapshot::NameServerSnapshot;
use super::{ClientEvent, CommandResult, Output, Unavailable};
use crate::config::ClientConfig;
use crate::effects::Effects;
use crate::error::{IoFailure, IoKind, RequestError, RequestFailure};
use crate::ids::{Endpoint, OpId};
use crate::mutants::mutant;
use crate::timers::TimerKey;
use crate::wire::Frame;

/// The list of name servers, and the calls under way.
#[derive(Debug)]
pub(crate) struct Names {
    servers: Vec<Endpoint>,
    current: usize,
    hedge: Duration,
    stagger: Duration,
    calls: BTreeMap<u64, Call>,
    next_call: u64,
    opening: Option<Opening>,
}

#[derive(Debug)]
struct Call {
    request: NameRequest,
    /// Servers asked so far, counted from `first`.
    asked: usize,
    first: usize,
    open: usize,
    last: Option<RequestError>,
}

/// The first connects, until one link is up.
#[derive(Debug)]
struct Opening {
    tried: usize,
    waiting: Vec<OpId>,
}

/// The answer of a name-server call, for the continuation of who asked.
pub(crate) type NameAnswer = (ReplyTo, Result<Frame, RequestError>);

impl Names {
    pub(crate) fn new(config: &ClientConfig, fx: &mut Effects) -> Self {
        Self {
            servers: shuffled(config.name_servers.clone(), fx),
            current: 0,
            hedge: config.name_server_hedge,
            stagger: config.name_server_stagger,
            calls: BTreeMap::new(),
            next_call: 0,
            opening: None,
        }
    }

    /// Other name servers take the place of those known. Calls under way go to them too, and so does who waits for the
    /// first link.
    pub(crate) fn on_servers(&mut self, servers: Vec<Endpoint>, links: &mut Links, fx: &mut Effects) {
        let same = servers.len() == self.servers.len() && servers.iter().all(|server| self.servers.contains(server));
        if same {
            return;
        }
        fx.event(ClientEvent::NameServers(servers.clone()));
        fx.output(Output::NameServers(servers.clone()));
        if !mutant!(173) {
            self.servers = shuffled(servers, fx);
        }
        self.current = self.servers.iter().position(|server| links.is_up(server)).unwrap_or(0);
        for call in self.calls.keys().copied().collect::<Vec<_>>() {
            if let Some(state) = self.calls.get_mut(&call) {
                (state.asked, state.first) = (0, self.current);
            }
            self.ask_next(call, fx);
        }
        if let Some(opening) = &mut self.opening {
            opening.tried = 0;
            match self.servers.get(self.current).filter(|server| links.is_up(server)).cloned() {
                Some(up) => self.on_link_up(&up, fx),
                None => self.on_open_next(links, fx),
            }
        }
        // Links to those that are gone are closed.
        fx.raise(Signal::Endpoints);
    }

    /// Waits until one name server is up.
    pub(crate) fn on_open(&mut self, op: OpId, timeout: Duration, links: &mut Links, fx: &mut Effects) {
        if self.servers.iter().any(|server| links.is_up(server)) {
            fx.complete(op, CommandResult::Opened(Ok(())));
            return;
        }
        match &mut self.opening {
            Some(opening) => opening.waiting.push(op),
            None => {
                self.opening = Some(Opening { tried: 0, waiting: alloc::vec![op] });
                fx.arm(TimerKey::OpenDeadline, timeout);
                self.on_open_next(links, fx);
            }
        }
    }

    /// Connects to one more name server.
    pub(crate) fn on_open_next(&mut self, links: &mut Links, fx: &mut Effects) {
        let Some(opening) = &mut self.opening else {
            return;
        };
        let at = opening.tried;
        opening.tried = at.saturating_add(1);
        if let Some(server) = self.servers.get(at) {
            links.connect(server, fx);
            fx.arm(TimerKey::NameOpen, self.stagger);
        }
    }

    /// No name server came up in time. Who was to tell what servers there are counts as one of them.
    pub(crate) fn on_open_deadline(
        &mut self,
        undiscovered: Option<(Endpoint, IoFailure)>,
        links: &Links,
        fx: &mut Effects,
    ) {
        let Some(opening) = self.opening.take() else {
            return;
        };
        fx.disarm(&TimerKey::NameOpen);
        let reason = |server: &Endpoint| {
            (server.clone(), links.last_failure(server).cloned().unwrap_or(RequestFailure::Timeout))
        };
        let undiscovered = undiscovered.map(|(from, why)| (from, RequestFailure::Connect(why)));
        let tried = Unavailable { tried: self.servers.iter().map(reason).chain(undiscovered).collect() };
        for op in opening.waiting {
            fx.complete(op, CommandResult::Opened(Err(tried.clone())));
        }
    }

    /// The client ends: nobody connects any more.
    pub(crate) fn on_close(&mut self, fx: &mut Effects) {
        for op in self.opening.take().into_iter().flat_map(|opening| opening.waiting) {
            fx.complete(op, CommandResult::Closed);
        }
    }

    pub(crate) fn on_link_up(&mut self, endpoint: &Endpoint, fx: &mut Effects) {
        let Some(at) = self.servers.iter().position(|server| server == endpoint) else {
            return;
        };
        if let Some(opening) = self.opening.take() {
            self.current = at;
            fx.disarm(&TimerKey::NameOpen);
            fx.disarm(&TimerKey::OpenDeadline);
            for op in opening.waiting {
                fx.complete(op, CommandResult::Opened(Ok(())));
            }
        }
    }

    /// A connect at start failed: the next server is tried without waiting; after the last, the first again.
    pub(crate) fn on_link_down(&mut self, endpoint: &Endpoint, links: &mut Links, fx: &mut Effects) {
        let Some(opening) = &mut self.opening else {
            return;
        };
        if !self.servers.contains(endpoint) {
            return;
        }
        if opening.tried >= self.servers.len() {
            opening.tried = 0;
            fx.arm(TimerKey::NameOpen, self.stagger);
        } else {
            self.on_open_next(links, fx);
        }
    }

    pub(crate) fn on_ask(&mut self, request: NameRequest, fx: &mut Effects) {
        let call = self.next_call;
        self.next_call = call.saturating_add(1);
        self.calls.insert(call, Call { request, asked: 0, first: self.current, open: 0, last: None });
        self.ask_next(call, fx);
        if self.servers.is_empty() {
            let patience = self.calls.get(&call).map_or(Duration::ZERO, |state| state.request.deadline.since(fx.now));
            fx.arm(TimerKey::NameHedge(call), patience);
        }
    }

    /// The servers asked so far are slow: ask the next one too. When there is none to ask, the call is over.
    pub(crate) fn on_hedge(&mut self, call: u64, fx: &mut Effects) -> Option<NameAnswer> {
        self.ask_next(call, fx);
        let in_vain = self.servers.is_empty() && self.calls.get(&call).is_some_and(|state| state.open == 0);
        if !in_vain {
            return None;
        }
        let nobody = IoFailure::new(IoKind::Unresolved, "no name server is known yet");
        self.finish(call, Err(RequestError::never(RequestFailure::Connect(nobody))), fx)
    }

    /// One server answered, or will not.
    pub(crate) fn on_reply(
        &mut self,
        call: u64,
        server: &Endpoint,
        result: Result<Frame, RequestError>,
        fx: &mut Effects,
    ) -> Option<NameAnswer> {
        let state = self.calls.get_mut(&call)?;
        state.open = state.open.saturating_sub(1);
        match result {
            Ok(frame) => {
                if let Some(at) = self.servers.iter().position(|known| known == server) {
                    self.current = at;
                }
                self.finish(call, Ok(frame), fx)
            }
            Err(error) => {
                state.last = Some(error.clone());
                self.ask_next(call, fx);
                let state = self.calls.get(&call)?;
                if state.open > 0 { None } else { self.finish(call, Err(error), fx) }
            }
        }
    }

    pub(crate) fn contains(&self, endpoint: &Endpoint) -> bool {
        self.servers.contains(endpoint)
    }

    /// The servers, in the order in which they are asked.
    pub(crate) fn snapshot(&self, links: &Links) -> Vec<NameServerSnapshot> {
        let server = |(at, server): (usize, &Endpoint)| NameServerSnapshot {
            endpoint: server.clone(),
            current: at == self.current,
            up: links.is_up(server),
        };
        self.servers.iter().enumerate().map(server).collect()
    }

    fn ask_next(&mut self, call: u64, fx: &mut Effects) {
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        if state.asked >= self.servers.len() || state.request.deadline <= fx.now {
            return;
        }
        let at = state.first.saturating_add(state.asked).checked_rem(self.servers.len()).unwrap_or(0);
        let Some(server) = self.servers.get(at) else {
            return;
        };
        state.asked = state.asked.saturating_add(1);
        state.open = state.open.saturating_add(1);
        let reply_to = ReplyTo::Names { call, server: server.clone() };
        fx.request_by(server.clone(), state.request.frame.clone(), state.request.deadline, reply_to, None);
        if state.asked < self.servers.len() {
            fx.arm(TimerKey::NameHedge(call), self.hedge);
        }
    }

    fn finish(&mut self, call: u64, result: Result<Frame, RequestError>, fx: &mut Effects) -> Option<NameAnswer> {
        fx.disarm(&TimerKey::NameHedge(call));
        self.calls.remove(&call).map(|state| (state.request.reply_to, result))
    }
}

/// In an order of chance, so that clients do not all ask the same server.
fn shuffled(mut servers: Vec<Endpoint>, fx: &mut Effects) -> Vec<Endpoint> {
    for at in (1..servers.len()).rev() {
        servers.swap(at, fx.rng.below(at.saturating_add(1)));
    }
    servers
}
