//! Another client under this one's id: the two own the same queues, and each message is handled twice.

use core::time::Duration;

use crate::time::Instant;

/// Whether a group's list of members names this client more than once.
///
/// Brokers list a member once for each of its connections. A connection that broke unnoticed stays listed until its
/// broker drops it, so only what lasts longer than that is another client.
#[derive(Debug, Default)]
pub(super) struct Twin {
    since: Option<Instant>,
    told: bool,
}

impl Twin {
    /// Takes note of how often this client is listed, and says whether that is to be told now: once for each time it
    /// lasts.
    pub(super) fn is_news(&mut self, listed: usize, now: Instant) -> bool {
        if listed < 2 {
            *self = Self::default();
            return false;
        }
        let since = *self.since.get_or_insert(now);
        now.since(since) > LISTED_WHEN_BROKEN && !core::mem::replace(&mut self.told, true)
    }
}

/// How long brokers list a silent connection. Source: Java `ConsumerManager` `CHANNEL_EXPIRED_TIMEOUT`, 120 s, looked
/// at every 10 s.
const LISTED_WHEN_BROKEN: Duration = Duration::from_secs(130);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::ZERO.after(Duration::from_secs(secs))
    }

    #[test]
    fn a_twin_is_told_of_once_when_it_lasts() {
        let mut twin = Twin::default();
        assert!(!twin.is_news(2, at(1000)));
        assert!(!twin.is_news(2, at(1130)), "a broken connection may be listed as long");
        assert!(twin.is_news(2, at(1131)));
        assert!(!twin.is_news(3, at(2000)));
    }

    #[test]
    fn one_that_went_and_comes_again_is_told_of_again() {
        let mut twin = Twin::default();
        assert!(!twin.is_news(2, at(0)));
        assert!(!twin.is_news(1, at(120)));
        assert!(!twin.is_news(2, at(140)), "it began anew");
        assert!(!twin.is_news(2, at(270)));
        assert!(twin.is_news(2, at(280)));
        assert!(!twin.is_news(1, at(300)));
        assert!(!twin.is_news(2, at(320)));
        assert!(twin.is_news(2, at(451)));
    }
}
