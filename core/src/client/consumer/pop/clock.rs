//! The clock of a broker, as far as it matters: when, by ours, a message was popped.

use core::time::Duration;

use crate::time::{Instant, UnixMillis};

/// How far a broker's wall clock is ahead of our monotonic one, at most.
///
/// What a broker says of the time lies between a request and its answer. Of all exchanges the one in which the broker
/// was quickest tells most; it counts for a while only, since clocks drift.
#[derive(Clone, Copy, Debug)]
pub(super) struct BrokerClock {
    ahead: i128,
    since: Instant,
}

impl BrokerClock {
    /// The broker said that it was this time, in an exchange that began at `sent`.
    pub(super) fn observe(known: Option<Self>, sent: Instant, said: i64, now: Instant) -> Self {
        let ahead = i128::from(said).saturating_mul(1_000).saturating_sub(i128::from(sent.as_micros()));
        match known {
            Some(known) if known.ahead <= ahead && now.since(known.since) < LASTS => known,
            Some(_) | None => Self { ahead, since: now },
        }
    }

    /// The time by the broker's clock, or a little later.
    pub(super) fn wall(&self, now: Instant) -> UnixMillis {
        let millis = i128::from(now.as_micros()).saturating_add(self.ahead).checked_div(1_000).unwrap_or(0);
        UnixMillis(i64::try_from(millis).unwrap_or(i64::MAX))
    }

    /// When it was that time by the broker's clock, not too late: between the request and its answer in any case.
    pub(super) fn instant(&self, said: i64, sent: Instant, answered: Instant) -> Instant {
        let micros = i128::from(said).saturating_mul(1_000).saturating_sub(self.ahead);
        let at = u64::try_from(micros.max(0)).unwrap_or(u64::MAX);
        Instant::from_micros(at).min(answered).max(sent)
    }
}

/// How long an observation counts: clocks drift by less than a tenth of a second in it.
const LASTS: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_not_taken_for_fresher_than_it_is() {
        let at = Instant::from_millis;
        // The broker is 1,000 s ahead. The first answer was held for 10 s, the second was quick.
        let clock = BrokerClock::observe(None, at(0), 1_010_000, at(10_001));
        assert_eq!(clock.instant(1_010_000, at(0), at(10_001)), at(0), "nothing better is known");
        let clock = BrokerClock::observe(Some(clock), at(11_000), 1_011_001, at(11_002));
        assert_eq!(clock.instant(1_018_000, at(11_002), at(29_000)), at(17_999), "its answer was under way for 11 s");
        assert_eq!(clock.wall(at(12_000)), UnixMillis(1_012_001));
        assert_eq!(clock.instant(9_999_000, at(11_002), at(29_000)), at(29_000), "the broker's clock jumped");
        assert_eq!(clock.instant(0, at(11_002), at(29_000)), at(11_002));
    }

    #[test]
    fn an_observation_counts_for_a_while() {
        let at = Instant::from_millis;
        let clock = BrokerClock::observe(None, at(0), 1_000, at(1));
        let kept = BrokerClock::observe(Some(clock), at(500_000), 501_100, at(500_001));
        assert_eq!(kept.wall(at(0)), UnixMillis(1_000));
        let anew = BrokerClock::observe(Some(kept), at(700_000), 701_100, at(700_001));
        assert_eq!(anew.wall(at(0)), UnixMillis(1_100));
    }
}
