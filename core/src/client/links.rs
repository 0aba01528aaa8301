//! The links of this client: one per address, opened when first needed, with back-off.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use super::signal::{LinkRequest, Signal};
use super::snapshot::{LinkSnapshot, LinkState, millis};
use super::{ClientEvent, CommandResult, Output};
use crate::config::{AddressRules, ClientConfig};
use crate::effects::Effects;
use crate::error::{CloseReason, IoFailure, IoKind, RequestError, RequestFailure};
use crate::ids::{ConnId, Endpoint, OpId, RequestId};
use crate::mutants::mutant;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::wire::frame::EncodedFrame;

/// All links, and what waits for them.
#[derive(Debug)]
pub(crate) struct Links {
    connect_timeout: Duration,
    rules: AddressRules,
    /// What is allowed whatever the rules say: name servers that were given by hand.
    given: BTreeSet<Endpoint>,
    /// What was refused, as far as it was told.
    refused: BTreeSet<Endpoint>,
    slots: Vec<Slot>,
    by_endpoint: BTreeMap<Endpoint, u32>,
    backoff: BTreeMap<Endpoint, Backoff>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    link: Option<Link>,
}

#[derive(Debug)]
struct Link {
    endpoint: Endpoint,
    up: bool,
    /// When it came up, or was begun to be opened.
    since: Instant,
    waiting: Vec<LinkRequest>,
    wanted_by: Vec<OpId>,
}

#[derive(Clone, Debug)]
struct Backoff {
    failures: u32,
    /// When the last of them was.
    since: Instant,
    until: Instant,
    last: RequestFailure,
}

/// A request that no link will carry.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) id: RequestId,
    pub(crate) error: RequestError,
}

impl Links {
    pub(crate) fn new(config: &ClientConfig) -> Self {
        Self {
            connect_timeout: config.link.connect_timeout,
            rules: config.addresses.clone(),
            given: config.name_servers.iter().cloned().collect(),
            refused: BTreeSet::new(),
            slots: Vec::new(),
            by_endpoint: BTreeMap::new(),
            backoff: BTreeMap::new(),
        }
    }

    /// Allows what was given by hand.
    pub(crate) fn on_given(&mut self, servers: &[Endpoint]) {
        self.given.extend(servers.iter().cloned());
    }

    /// Whether an address may be connected.
    pub(crate) fn allow(&self, to: &Endpoint) -> bool {
        self.given.contains(to) || self.rules.allow(to)
    }

    /// Sends a request, opening the link if need be; a refused one comes back.
    pub(crate) fn on_request(&mut self, request: LinkRequest, fx: &mut Effects) -> Result<(), Refused> {
        let id = request.id;
        let refuse = |why| Refused { id, error: RequestError::never(why) };
        let index = self.open(&request.to, fx).map_err(refuse)?;
        let Some((conn, link)) = self.link_mut(index) else {
            return Err(Refused { id, error: RequestError::never(RequestFailure::Busy) });
        };
        if link.up {
            fx.output(Output::Request(conn, request));
        } else if link.waiting.len() < MAX_WAITING {
            link.waiting.push(request);
        } else {
            return Err(Refused { id, error: RequestError::never(RequestFailure::Busy) });
        }
        Ok(())
    }

    /// Sends what nobody answers, if the link is up.
    pub(crate) fn on_oneway(
        &mut self,
        to: &Endpoint,
        frame: EncodedFrame,
        fx: &mut Effects,
    ) -> Result<(), RequestFailure> {
        let Some(conn) = self.conn_of(to).filter(|_| self.is_up(to)) else {
            return Err(RequestFailure::Closed(CloseReason::Local));
        };
        fx.output(Output::Oneway(conn, frame));
        Ok(())
    }

    /// A send wants a link.
    pub(crate) fn on_want(&mut self, op: OpId, to: &Endpoint, fx: &mut Effects) {
        match self.open(to, fx) {
            Err(why) => fx.complete(op, CommandResult::Link(Err(why))),
            Ok(index) => match self.link_mut(index) {
                Some((_, link)) if !link.up => link.wanted_by.push(op),
                Some(_) | None => fx.complete(op, CommandResult::Link(Ok(()))),
            },
        }
    }

    /// Opens the link to `to` without anything to send, at start.
    pub(crate) fn connect(&mut self, to: &Endpoint, fx: &mut Effects) {
        if self.open(to, fx).is_err() {
            fx.raise(Signal::LinkDown(to.clone()));
        }
    }

    pub(crate) fn on_cancel(&mut self, op: OpId) {
        for link in self.slots.iter_mut().filter_map(|slot| slot.link.as_mut()) {
            link.wanted_by.retain(|waiting| *waiting != op);
        }
    }

    pub(crate) fn on_connected(&mut self, conn: ConnId, fx: &mut Effects) {
        let Some(link) = self.live(conn) else {
            return;
        };
        (link.up, link.since) = (true, fx.now);
        let endpoint = link.endpoint.clone();
        for op in core::mem::take(&mut link.wanted_by) {
            fx.complete(op, CommandResult::Link(Ok(())));
        }
        for request in core::mem::take(&mut link.waiting) {
            fx.output(Output::Request(conn, request));
        }
        fx.disarm(&TimerKey::Connect(endpoint.clone()));
        fx.raise(Signal::LinkUp(endpoint));
    }

    /// A link could not be opened: everything that waited for it fails now.
    pub(crate) fn on_connect_failed(&mut self, conn: ConnId, why: IoFailure, fx: &mut Effects) -> Vec<Refused> {
        let Some(link) = self.take(conn) else {
            return Vec::new();
        };
        fx.event(ClientEvent::ConnectFailed { endpoint: link.endpoint.clone(), why: why.clone() });
        let why = RequestFailure::Connect(why);
        self.back_off(&link.endpoint, why.clone(), fx);
        fx.disarm(&TimerKey::Connect(link.endpoint.clone()));
        for op in link.wanted_by {
            fx.complete(op, CommandResult::Link(Err(why.clone())));
        }
        fx.raise(Signal::LinkDown(link.endpoint));
        let error = RequestError::never(why);
        link.waiting.into_iter().map(|request| Refused { id: request.id, error: error.clone() }).collect()
    }

    /// A link is closed; its requests were answered by the driver before.
    pub(crate) fn on_closed(&mut self, conn: ConnId, why: &CloseReason, fx: &mut Effects) {
        let Some(link) = self.take(conn) else {
            return;
        };
        match why {
            // The same peer will do it again: who asks meanwhile is told what it did.
            CloseReason::Protocol(_)
            | CloseReason::Unmatched
            | CloseReason::Io(IoFailure { kind: IoKind::Tls(_), .. }) => {
                self.back_off(&link.endpoint, RequestFailure::Closed(why.clone()), fx);
                if mutant!(42) {
                    self.close_all(Duration::ZERO, fx);
                }
            }
            CloseReason::Local
            | CloseReason::Idle
            | CloseReason::PeerClosed
            | CloseReason::Truncated
            | CloseReason::Io(_)
            | CloseReason::StalledRead
            | CloseReason::StalledWrite
            | CloseReason::Silent => {
                self.backoff.remove(&link.endpoint);
            }
        }
        fx.raise(Signal::LinkDown(link.endpoint));
    }

    /// A connect takes too long.
    pub(crate) fn on_connect_timeout(&mut self, endpoint: &Endpoint, fx: &mut Effects) -> Vec<Refused> {
        let Some(conn) = self.conn_of(endpoint) else {
            return Vec::new();
        };
        if self.is_up(endpoint) {
            return Vec::new();
        }
        fx.output(Output::Close { conn, grace: Duration::ZERO });
        self.on_connect_failed(conn, IoFailure::new(IoKind::TimedOut, "no connection in time"), fx)
    }

    /// Closes links to addresses that nothing refers to any more.
    pub(crate) fn keep_only(&mut self, wanted: impl Fn(&Endpoint) -> bool, fx: &mut Effects) {
        let gone: Vec<_> = self.by_endpoint.keys().filter(|endpoint| !wanted(endpoint)).cloned().collect();
        for endpoint in gone {
            if let Some(conn) = self.conn_of(&endpoint) {
                fx.output(Output::Close { conn, grace: CLOSE_GRACE });
            }
        }
        self.backoff.retain(|endpoint, _| wanted(endpoint));
    }

    /// Closes every link, flushing what is queued until `grace` is over.
    pub(crate) fn close_all(&mut self, grace: Duration, fx: &mut Effects) {
        for conn in self.conns() {
            fx.output(Output::Close { conn, grace });
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_endpoint.is_empty()
    }

    /// The links that are up.
    pub(crate) fn up(&self) -> BTreeMap<Endpoint, ConnId> {
        let up = self.by_endpoint.keys().filter(|endpoint| self.is_up(endpoint));
        up.filter_map(|endpoint| Some((endpoint.clone(), self.conn_of(endpoint)?))).collect()
    }

    /// How many links are up.
    pub(crate) fn count_up(&self) -> usize {
        self.slots.iter().filter(|slot| slot.link.as_ref().is_some_and(|link| link.up)).count()
    }

    pub(crate) fn is_up(&self, endpoint: &Endpoint) -> bool {
        let link = self.by_endpoint.get(endpoint).and_then(|index| self.slot(*index)?.link.as_ref());
        link.is_some_and(|link| link.up)
    }

    /// Where a link leads to.
    pub(crate) fn endpoint_of(&self, conn: ConnId) -> Option<&Endpoint> {
        let slot = self.slot(conn.index).filter(|slot| slot.generation == conn.generation)?;
        slot.link.as_ref().map(|link| &link.endpoint)
    }

    /// When the next connect to `endpoint` is allowed.
    pub(crate) fn retry_at(&self, endpoint: &Endpoint) -> Instant {
        self.backoff.get(endpoint).map_or(Instant::ZERO, |backoff| backoff.until)
    }

    /// Why the last connect to `endpoint` failed, or its last link was closed.
    pub(crate) fn last_failure(&self, endpoint: &Endpoint) -> Option<&RequestFailure> {
        self.backoff.get(endpoint).map(|backoff| &backoff.last)
    }

    /// How all links are, and addresses that could not be connected, with the requests that are open to each address.
    pub(crate) fn snapshot(&self, requests: &BTreeMap<&Endpoint, usize>, now: Instant) -> Vec<LinkSnapshot> {
        let failed = |(endpoint, backoff): (&Endpoint, &Backoff)| {
            let failed = LinkSnapshot {
                endpoint: endpoint.clone(),
                broker: None,
                name_server: false,
                state: LinkState::Failed,
                for_ms: millis(now.since(backoff.since)),
                requests: 0,
                waiting: 0,
                sends: None,
                send_bytes: None,
                failures: backoff.failures,
                failure: Some(backoff.last.to_string()),
                retry_in_ms: Some(millis(now.until(backoff.until))),
            };
            (endpoint.clone(), failed)
        };
        let mut all: BTreeMap<_, _> = self.backoff.iter().map(failed).collect();
        for link in self.slots.iter().filter_map(|slot| slot.link.as_ref()) {
            let open = requests.get(&link.endpoint).copied().unwrap_or_default();
            let before = all.remove(&link.endpoint).filter(|_| !link.up);
            let link = LinkSnapshot {
                endpoint: link.endpoint.clone(),
                broker: None,
                name_server: false,
                state: if link.up { LinkState::Up } else { LinkState::Connecting },
                for_ms: millis(now.since(link.since)),
                requests: open.saturating_sub(link.waiting.len()),
                waiting: link.waiting.len(),
                sends: None,
                send_bytes: None,
                failures: before.as_ref().map_or(0, |before| before.failures),
                failure: before.and_then(|before| before.failure),
                retry_in_ms: None,
            };
            all.insert(link.endpoint.clone(), link);
        }
        all.into_values().collect()
    }

    fn open(&mut self, to: &Endpoint, fx: &mut Effects) -> Result<u32, RequestFailure> {
        if let Some(index) = self.by_endpoint.get(to) {
            return Ok(*index);
        }
        if !self.allow(to) {
            if self.refused.len() < MAX_REFUSED && self.refused.insert(to.clone()) {
                fx.event(ClientEvent::AddressRefused(to.clone()));
            }
            return Err(RequestFailure::NotAllowed);
        }
        if let Some(backoff) = self.backoff.get(to)
            && backoff.until > fx.now
        {
            return Err(backoff.last.clone());
        }
        let index = match self.slots.iter().position(|slot| slot.link.is_none()) {
            Some(free) => free,
            None => {
                self.slots.push(Slot::default());
                self.slots.len().saturating_sub(1)
            }
        };
        let Some(slot) = self.slots.get_mut(index) else {
            return Err(RequestFailure::Busy);
        };
        slot.generation = slot.generation.wrapping_add(1);
        slot.link =
            Some(Link { endpoint: to.clone(), up: false, since: fx.now, waiting: Vec::new(), wanted_by: Vec::new() });
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let conn = ConnId { index, generation: slot.generation };
        self.by_endpoint.insert(to.clone(), index);
        fx.arm(TimerKey::Connect(to.clone()), self.connect_timeout);
        fx.output(Output::Connect { conn, to: to.clone() });
        Ok(index)
    }

    fn back_off(&mut self, endpoint: &Endpoint, last: RequestFailure, fx: &mut Effects) {
        let failures = self.backoff.get(endpoint).map_or(0, |backoff| backoff.failures).saturating_add(1);
        let doubled = BACKOFF_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(BACKOFF_MOST);
        // A fifth of jitter, so that clients of a restarted server do not come back in step.
        let permille = u32::try_from(fx.rng.below(200)).unwrap_or(0).saturating_add(900);
        let pause = doubled.checked_div(1_000).unwrap_or_default().saturating_mul(permille);
        self.backoff.insert(endpoint.clone(), Backoff { failures, since: fx.now, until: fx.now.after(pause), last });
    }

    fn conns(&self) -> Vec<ConnId> {
        self.by_endpoint.keys().filter_map(|endpoint| self.conn_of(endpoint)).collect()
    }

    pub(crate) fn conn_of(&self, endpoint: &Endpoint) -> Option<ConnId> {
        let index = *self.by_endpoint.get(endpoint)?;
        Some(ConnId { index, generation: self.slot(index)?.generation })
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        self.slots.get(usize::try_from(index).ok()?)
    }

    fn link_mut(&mut self, index: u32) -> Option<(ConnId, &mut Link)> {
        let slot = self.slots.get_mut(usize::try_from(index).ok()?)?;
        Some((ConnId { index, generation: slot.generation }, slot.link.as_mut()?))
    }

    fn live(&mut self, conn: ConnId) -> Option<&mut Link> {
        let (known, link) = self.link_mut(conn.index)?;
        (known == conn).then_some(link)
    }

    fn take(&mut self, conn: ConnId) -> Option<Link> {
        self.live(conn)?;
        let slot = self.slots.get_mut(usize::try_from(conn.index).ok()?)?;
        let link = slot.link.take()?;
        self.by_endpoint.remove(&link.endpoint);
        Some(link)
    }
}

/// First pause after a failed connect.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// Longest pause between connects: a restarted broker is found again within this time.
const BACKOFF_MOST: Duration = Duration::from_secs(2);
/// Addresses that are told to be refused.
const MAX_REFUSED: usize = 256;
/// Requests that may wait for one link to open.
const MAX_WAITING: usize = 4_096;
/// How long a link that is no longer wanted may finish what it carries.
const CLOSE_GRACE: Duration = Duration::from_secs(3);
