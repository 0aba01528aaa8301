//! Time as values: the machines are told what time it is and never ask.

use core::fmt;
use core::time::Duration;

/// A point on a monotonic clock, in microseconds since an origin that the caller chose.
///
/// Every decision of the machines is taken on this clock. Arithmetic saturates, so a deadline
/// "never" is simply [`Instant::FAR`].
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the clock.
    pub const ZERO: Self = Self(0);
    /// A point that is never reached.
    pub const FAR: Self = Self(u64::MAX);

    /// The instant `micros` microseconds after the origin.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The instant `millis` milliseconds after the origin.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds since the origin.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The instant `by` later, saturating at [`Instant::FAR`].
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros_of(by)))
    }

    /// The instant `by` earlier, saturating at [`Instant::ZERO`].
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros_of(by)))
    }

    /// The time from `earlier` to `self`, zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The time from `self` until `later`, zero when it has passed.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        later.since(self)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Wall-clock time in milliseconds since the Unix epoch; it only fills fields on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The wall time `by` later, saturating.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

/// When a machine wants `handle_timeout` to be called next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wakeup {
    /// There is work right now (queued outputs, or a deadline that has passed).
    Now,
    /// Call at this instant, not before; calling early is harmless.
    At(Instant),
    /// Nothing is scheduled.
    Never,
}

impl Wakeup {
    /// The earlier of the two.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Ord::min(self, other)
    }

    /// The instant to wake at, given the current time.
    #[must_use]
    pub fn instant(self, now: Instant) -> Option<Instant> {
        match self {
            Self::Now => Some(now),
            Self::At(at) => Some(at),
            Self::Never => None,
        }
    }
}

/// Microseconds of a duration, saturating.
fn micros_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Instant::FAR.after(Duration::from_secs(1)), Instant::FAR);
        assert_eq!(Instant::ZERO.before(Duration::from_secs(1)), Instant::ZERO);
        assert_eq!(Instant::ZERO.since(Instant::FAR), Duration::ZERO);
        assert_eq!(Instant::ZERO.after(Duration::MAX), Instant::FAR);
        assert_eq!(Instant::from_millis(2).until(Instant::from_millis(5)), Duration::from_millis(3));
    }

    #[test]
    fn wakeups_order_by_urgency() {
        let soon = Wakeup::At(Instant::from_millis(1));
        let late = Wakeup::At(Instant::from_millis(2));
        assert_eq!(late.min(soon), soon);
        assert_eq!(Wakeup::Now.min(soon), Wakeup::Now);
        assert_eq!(Wakeup::Never.min(late), late);
    }
}
