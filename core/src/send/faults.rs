//! Which brokers have been slow or out of reach, and for how long they are left alone.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use crate::client::snapshot::{FaultSnapshot, millis};
use crate::error::RequestError;
use crate::ids::BrokerName;
use crate::time::Instant;
use crate::wire::Frame;
use crate::wire::codes::response;

/// What a producer knows of its brokers' latency. Source: Java `MQFaultStrategy`, `LatencyFaultToleranceImpl`.
#[derive(Clone, Debug)]
pub struct FaultTable {
    steps: Vec<(Duration, Duration)>,
    brokers: BTreeMap<BrokerName, Health>,
    detects: bool,
}

#[derive(Clone, Debug)]
struct Health {
    /// Not available before this time.
    until: Instant,
    reachable: bool,
    /// When a broker out of reach is asked whether it is back.
    check: Instant,
}

impl FaultTable {
    /// A table with these steps, in ascending order: a latency, and for how long a broker of that latency is left alone.
    /// With `detects`, a broker that cannot be reached is told from one that is slow, and has to be probed.
    #[must_use]
    pub const fn new(steps: Vec<(Duration, Duration)>, detects: bool) -> Self {
        Self { steps, brokers: BTreeMap::new(), detects }
    }

    /// An attempt is over: what it took, and how it ended.
    pub fn learn(&mut self, now: Instant, broker: &BrokerName, took: Duration, result: &Result<Frame, RequestError>) {
        let (isolate, reachable) = match result {
            Ok(frame) if frame.header.code == response::SUCCESS => (false, true),
            // What is stored weakly is stored.
            Ok(frame) if WEAK.contains(&frame.header.code) => (false, true),
            // A broker that refuses was reached.
            Ok(_) => (true, true),
            Err(_) => (true, !self.detects),
        };
        let latency = if isolate { ISOLATION } else { took };
        let until = now.after(self.ban_of(latency));
        let health = Health { until, reachable, check: now.after(CHECK) };
        self.brokers.insert(broker.clone(), health);
    }

    /// A broker that was out of reach answered a probe, or did not.
    pub fn on_probe(&mut self, now: Instant, broker: &BrokerName, answered: bool) {
        if let Some(health) = self.brokers.get_mut(broker) {
            health.reachable |= answered;
            health.check = now.after(CHECK);
        }
    }

    /// Forgets brokers that are no longer known.
    pub fn keep_only(&mut self, known: impl Fn(&BrokerName) -> bool) {
        self.brokers.retain(|broker, _| known(broker));
    }

    /// Whether a broker is not being left alone.
    #[must_use]
    pub fn is_available(&self, broker: &BrokerName, now: Instant) -> bool {
        self.brokers.get(broker).is_none_or(|health| health.until <= now)
    }

    /// Whether a broker could be reached at last.
    #[must_use]
    pub fn is_reachable(&self, broker: &BrokerName) -> bool {
        self.brokers.get(broker).is_none_or(|health| health.reachable)
    }

    /// Brokers out of reach that should be asked whether they are back.
    #[must_use]
    pub fn to_probe(&self, now: Instant) -> Vec<BrokerName> {
        let due = |(_, health): &(&BrokerName, &Health)| !health.reachable && health.check <= now;
        self.brokers.iter().filter(due).map(|(broker, _)| broker.clone()).collect()
    }

    /// Whether any broker is out of reach.
    #[must_use]
    pub fn is_any_out_of_reach(&self) -> bool {
        self.brokers.values().any(|health| !health.reachable)
    }

    /// Each broker that is known.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Vec<FaultSnapshot> {
        let broker = |(broker, health): (&BrokerName, &Health)| FaultSnapshot {
            broker: broker.clone(),
            left_alone_for_ms: (health.until > now).then(|| millis(now.until(health.until))),
            reachable: health.reachable,
        };
        self.brokers.iter().map(broker).collect()
    }

    fn ban_of(&self, latency: Duration) -> Duration {
        let reached = self.steps.iter().rev().find(|(least, _)| latency >= *least);
        reached.map_or(Duration::ZERO, |(_, ban)| *ban)
    }

    #[cfg(test)]
    pub(super) fn ban(&mut self, broker: &str, now: Instant, reachable: bool) {
        let health = Health { until: now.after(ISOLATION), reachable, check: now };
        self.brokers.insert(BrokerName::from(broker), health);
    }
}

/// The latency that an attempt without success stands for. Source: Java `MQFaultStrategy.updateFaultItem`.
const ISOLATION: Duration = Duration::from_secs(10);
/// After which a broker out of reach is asked again. Source: Java `ClientConfig.detectInterval`.
const CHECK: Duration = Duration::from_secs(2);
/// Codes of answers to sends whose message is stored, but not as durably as asked for.
const WEAK: [i32; 3] = [response::FLUSH_DISK_TIMEOUT, response::FLUSH_SLAVE_TIMEOUT, response::SLAVE_NOT_AVAILABLE];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::RequestFailure;
    use crate::ids::Opaque;
    use crate::wire::header::{Codec, HeaderLimits, Preamble};

    fn java() -> FaultTable {
        FaultTable::new(crate::config::LatencyFaults::java(false).steps, false)
    }

    fn answer(code: i32) -> Result<Frame, RequestError> {
        let encoded = Preamble::response(code, Codec::Json).encode(|_| {}, bytes::Bytes::new());
        Ok(crate::wire::frame::decode(&encoded.to_bytes(Opaque(0)), &HeaderLimits::default()).unwrap())
    }

    fn ban(took: u64, result: &Result<Frame, RequestError>) -> u64 {
        let mut table = java();
        table.learn(Instant::ZERO, &"b".into(), Duration::from_millis(took), result);
        let free = (0..=40_000).step_by(500).find(|at| table.is_available(&"b".into(), Instant::from_millis(*at)));
        free.unwrap()
    }

    #[test]
    fn the_slower_a_broker_the_longer_it_is_left_alone() {
        let table = [
            (49, 0),
            (50, 0),
            (549, 0),
            (550, 2_000),
            (1_799, 2_000),
            (1_800, 5_000),
            (3_000, 6_000),
            (5_000, 10_000),
            (14_999, 10_000),
            (15_000, 30_000),
        ];
        for (took, wait) in table {
            assert_eq!(ban(took, &answer(0)), wait, "{took}");
            assert_eq!(ban(took, &answer(response::FLUSH_DISK_TIMEOUT)), wait, "stored weakly");
        }
        let failed = Err(RequestError::never(RequestFailure::Timeout));
        assert_eq!((ban(1, &failed), ban(1, &answer(2))), (10_000, 10_000));
    }

    #[test]
    fn only_with_the_detector_is_a_broker_out_of_reach_until_it_answers_a_probe() {
        let failed = Err(RequestError::never(RequestFailure::Timeout));
        let broker = BrokerName::from("b");
        for detects in [false, true] {
            let mut table = FaultTable::new(Vec::new(), detects);
            table.learn(Instant::ZERO, &broker, Duration::ZERO, &failed);
            assert_eq!(table.is_reachable(&broker), !detects);
            assert_eq!(table.to_probe(Instant::from_millis(1_999)), []);
            let due = table.to_probe(Instant::from_millis(2_000));
            assert_eq!(due.len(), usize::from(detects));
            table.on_probe(Instant::from_millis(2_100), &broker, false);
            assert_eq!(table.to_probe(Instant::from_millis(4_099)), []);
            assert_eq!(table.is_any_out_of_reach(), detects);
            table.on_probe(Instant::from_millis(4_100), &broker, true);
            assert!(table.is_reachable(&broker) && !table.is_any_out_of_reach());
        }
    }

    #[test]
    fn what_goes_well_ends_a_ban_and_brokers_that_are_gone_are_forgotten() {
        let broker = BrokerName::from("b");
        let mut table = java();
        table.ban("b", Instant::ZERO, false);
        table.learn(Instant::from_millis(1), &broker, Duration::ZERO, &answer(0));
        assert!(table.is_available(&broker, Instant::from_millis(1)) && table.is_reachable(&broker));
        table.ban("b", Instant::ZERO, false);
        table.keep_only(|_| false);
        assert!(table.is_reachable(&broker));
    }
}
