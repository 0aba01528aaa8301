//! The list of name servers, asked for by HTTP: at start, then at intervals. What makes no sense changes nothing.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use super::snapshot::{DiscoverySnapshot, millis};
use super::{ClientEvent, Output};
use crate::config::{DiscoveryConfig, check_endpoint, parse_name_servers};
use crate::effects::Effects;
use crate::error::{IoFailure, IoKind};
use crate::ids::Endpoint;
use crate::mutants::mutant;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::wire::http::first_line;

/// Asks who the name servers are.
#[derive(Debug)]
pub(crate) struct Discovery {
    config: Option<DiscoveryConfig>,
    asking: bool,
    /// Why nothing is known, if nothing is.
    failed: Option<IoFailure>,
}

impl Discovery {
    pub(crate) fn start(config: Option<DiscoveryConfig>, fx: &mut Effects) -> Self {
        let mut discovery = Self { config, asking: false, failed: None };
        if discovery.config.is_some() {
            discovery.ask(fx);
            fx.arm(TimerKey::Discovery, SECOND);
        }
        discovery
    }

    pub(crate) fn on_timer(&mut self, fx: &mut Effects) {
        self.ask(fx);
        // A tenth of jitter, so that clients that started together do not ask together for ever.
        let permille = u32::try_from(fx.rng.below(100)).unwrap_or(0).saturating_add(950);
        let pause = INTERVAL.checked_div(1_000).unwrap_or_default().saturating_mul(permille);
        fx.arm(TimerKey::Discovery, pause);
    }

    /// The answer, or why there is none; the list, if it makes sense.
    pub(crate) fn on_fetched(
        &mut self,
        result: Result<Vec<u8>, IoFailure>,
        allow: impl Fn(&Endpoint) -> bool,
        fx: &mut Effects,
    ) -> Option<Vec<Endpoint>> {
        self.asking = mutant!(170) && result.is_err();
        let from = self.config.as_ref()?.endpoint();
        match result.and_then(|body| list(&body, allow)) {
            Ok(servers) => {
                self.failed = None;
                Some(servers)
            }
            Err(why) => {
                self.failed = Some(why.clone());
                fx.event(ClientEvent::DiscoveryFailed { from, why });
                None
            }
        }
    }

    /// Who was asked in vain, and why.
    pub(crate) fn failure(&self) -> Option<(Endpoint, IoFailure)> {
        Some((self.config.as_ref()?.endpoint(), self.failed.clone()?))
    }

    /// Who is asked, if somebody is.
    pub(crate) fn snapshot(&self, next: Option<Instant>, now: Instant) -> Option<DiscoverySnapshot> {
        Some(DiscoverySnapshot {
            from: self.config.as_ref()?.endpoint(),
            asking: self.asking,
            failure: self.failed.as_ref().map(ToString::to_string),
            next_in_ms: next.map(|at| millis(now.until(at))),
        })
    }

    fn ask(&mut self, fx: &mut Effects) {
        let Some(config) = &self.config else { return };
        if mutant!(171) && self.failed.is_none() {
            return;
        }
        if !core::mem::replace(&mut self.asking, true) {
            fx.output(Output::Fetch { from: config.endpoint(), request: config.request(), timeout: TIMEOUT });
        }
    }
}

/// The servers that a body names.
fn list(body: &[u8], allow: impl Fn(&Endpoint) -> bool) -> Result<Vec<Endpoint>, IoFailure> {
    let refuse = |why: &str| Err(IoFailure::new(IoKind::Other, why));
    let mut servers = parse_name_servers(&first_line(body));
    servers.sort();
    servers.dedup();
    if servers.is_empty() && !mutant!(172) {
        return refuse("no name server is listed");
    }
    if servers.len() > MAX_SERVERS {
        return refuse("more name servers are listed than can be meant");
    }
    for server in &servers {
        check_endpoint(server).map_err(|error| IoFailure::new(IoKind::Other, error.to_string()))?;
        if !allow(server) {
            return refuse("an address that is listed is not allowed");
        }
    }
    Ok(servers)
}

/// How long an answer may take. Java: 3 s.
const TIMEOUT: Duration = Duration::from_secs(3);
/// When it is asked for the second time. Java `MQClientInstance.startScheduledTask`: 10 s.
const SECOND: Duration = Duration::from_secs(10);
/// How often after that. Java: 120 s.
const INTERVAL: Duration = Duration::from_secs(120);
/// Name servers of a cluster.
const MAX_SERVERS: usize = 64;
