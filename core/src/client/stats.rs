//! Figures of a consumer, over the windows that Java's tools show: a minute, and for failures an hour.

use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;

use crate::dispatch::Handled;
use crate::ids::{MessageQueue, QueueOffset, Topic};
use crate::mutants::mutant;
use crate::time::Instant;
use crate::wire::body::ConsumeStatus;

/// Figures of a consumer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConsumerStats {
    /// Of each topic it subscribes, its retry topic among them.
    pub topics: BTreeMap<Topic, ConsumeStatus>,
    /// Of each queue it owns.
    pub queues: BTreeMap<MessageQueue, QueueStats>,
}

/// Where a queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Everything below is consumed; `None` before it is known where the queue starts.
    pub consumed_to: Option<QueueOffset>,
    /// The last offset that the broker has stored, as far as this member knows.
    pub committed: Option<QueueOffset>,
    /// The end of the queue, as the last pull told it.
    pub end: Option<QueueOffset>,
    /// Messages pulled and not settled.
    pub cached: u64,
    /// Bytes that they pin.
    pub cached_bytes: u64,
}

impl QueueStats {
    /// Messages between what is consumed and the end of the queue.
    #[must_use]
    pub fn backlog(&self) -> Option<u64> {
        Some(self.end?.get().saturating_sub(self.consumed_to?.get()))
    }
}

/// What is counted of a consumer, by topic.
#[derive(Debug)]
pub(crate) struct Stats(BTreeMap<Topic, Counter>);

/// What is counted of one topic.
#[derive(Debug)]
struct Counter {
    now: Totals,
    minute: Window,
    hour: Window,
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    handled: Handled,
    pulls: u64,
    pulled: u64,
    pull_time: Duration,
}

/// Totals of a while ago, the oldest first.
#[derive(Debug)]
struct Window {
    every: Duration,
    samples: VecDeque<(Instant, Totals)>,
}

impl Stats {
    pub(crate) fn new<'t>(topics: impl Iterator<Item = &'t Topic>, now: Instant) -> Self {
        Self(topics.map(|topic| (topic.clone(), Counter::new(now))).collect())
    }

    /// Handlers are done with messages.
    pub(crate) fn on_handled(&mut self, topic: &Topic, handled: Handled, now: Instant) {
        let handled = if mutant!(115) { Handled { failed: 0, ..handled } } else { handled };
        if handled.count() > 0 {
            let Counter { now: totals, .. } = self.counter(topic, now);
            totals.handled = totals.handled.plus(handled);
        }
    }

    /// A pull brought messages after this time.
    pub(crate) fn on_pulled(&mut self, topic: &Topic, messages: u64, took: Duration, now: Instant) {
        let Counter { now: totals, .. } = self.counter(topic, now);
        totals.pulls = totals.pulls.saturating_add(1);
        totals.pulled = totals.pulled.saturating_add(messages);
        totals.pull_time = totals.pull_time.saturating_add(took);
    }

    /// Remembers how it is now, if it is time to.
    pub(crate) fn sample(&mut self, now: Instant) {
        for Counter { now: totals, minute, hour } in self.0.values_mut() {
            minute.sample(now, *totals);
            hour.sample(now, *totals);
        }
    }

    /// The figures of these topics.
    pub(crate) fn of<'t>(
        &self,
        topics: impl Iterator<Item = &'t Topic>,
        now: Instant,
    ) -> BTreeMap<Topic, ConsumeStatus> {
        let status = |topic: &Topic| self.0.get(topic).map(|counter| counter.status(now)).unwrap_or_default();
        topics.map(|topic| (topic.clone(), status(topic))).collect()
    }

    fn counter(&mut self, topic: &Topic, now: Instant) -> &mut Counter {
        self.0.entry(topic.clone()).or_insert_with(|| Counter::new(now))
    }
}

impl Counter {
    fn new(now: Instant) -> Self {
        let window = |every| Window { every, samples: VecDeque::from([(now, Totals::default())]) };
        Self { now: Totals::default(), minute: window(MINUTE_SAMPLE), hour: window(HOUR_SAMPLE) }
    }

    fn status(&self, now: Instant) -> ConsumeStatus {
        let (minute, time) = self.minute.since(now, &self.now);
        let (hour, _) = self.hour.since(now, &self.now);
        let per_second = |count: u64| float(count) / time.max(LEAST_TIME).as_secs_f64();
        // Without a message in the last minute, Java tells of the hour.
        let consumed = if minute.handled.count() > 0 { minute.handled } else { hour.handled };
        ConsumeStatus {
            pull_rt: average(minute.pull_time, minute.pulls),
            pull_tps: per_second(minute.pulled),
            consume_rt: average(consumed.time, consumed.count()),
            consume_ok_tps: per_second(minute.handled.ok),
            consume_failed_tps: per_second(minute.handled.failed),
            consume_failed_msgs: i64::try_from(hour.handled.failed).unwrap_or(i64::MAX),
        }
    }
}

impl Totals {
    /// What came since there were those.
    fn less(&self, before: &Self) -> Self {
        Self {
            handled: self.handled.less(before.handled),
            pulls: self.pulls.saturating_sub(before.pulls),
            pulled: self.pulled.saturating_sub(before.pulled),
            pull_time: self.pull_time.saturating_sub(before.pull_time),
        }
    }
}

impl Window {
    fn sample(&mut self, now: Instant, totals: Totals) {
        if self.samples.back().is_some_and(|(at, _)| now.since(*at) < self.every) {
            return;
        }
        self.samples.push_back((now, totals));
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
    }

    /// What came in this window, and how long it is.
    fn since(&self, now: Instant, totals: &Totals) -> (Totals, Duration) {
        let Some((at, oldest)) = self.samples.front() else {
            return (*totals, Duration::ZERO);
        };
        (totals.less(oldest), now.since(*at))
    }
}

fn average(time: Duration, count: u64) -> f64 {
    if count == 0 { 0.0 } else { time.as_secs_f64() * 1_000.0 / float(count) }
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn float(count: u64) -> f64 {
    count as f64
}

/// Between two samples of the minute. Source: Java `StatsItemSet`.
const MINUTE_SAMPLE: Duration = Duration::from_secs(10);
/// Between two samples of the hour. Source: the same.
const HOUR_SAMPLE: Duration = Duration::from_secs(600);
/// Samples in a window. Source: the same.
const SAMPLES: usize = 7;
/// A rate over less than this says nothing.
const LEAST_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::from_millis(secs.saturating_mul(1_000))
    }

    fn handled(ok: u64, failed: u64, millis: u64) -> Handled {
        Handled { ok, failed, time: Duration::from_millis(millis) }
    }

    fn of(stats: &Stats, now: Instant) -> ConsumeStatus {
        let topic = Topic::from("T");
        stats.of([&topic].into_iter(), now)[&topic]
    }

    fn stats() -> (Stats, Topic) {
        let topic = Topic::from("T");
        (Stats::new([&topic].into_iter(), at(0)), topic)
    }

    #[test]
    fn rates_are_over_the_last_minute_and_failures_over_the_last_hour() {
        let (mut stats, topic) = stats();
        for second in 0_u64..=7_200 {
            stats.on_handled(&topic, handled(3, u64::from(second % 10 == 0), 40), at(second));
            stats.on_pulled(&topic, 4, Duration::from_millis(6), at(second));
            if second % 5 == 0 {
                stats.sample(at(second));
            }
        }
        let status = of(&stats, at(7_201));
        let near = |a: f64, b: f64| (a - b).abs() < 0.1;
        assert!(near(status.consume_ok_tps, 3.0) && near(status.consume_failed_tps, 0.1), "{status:?}");
        assert!(near(status.pull_tps, 4.0) && near(status.pull_rt, 6.0), "{status:?}");
        assert!(near(status.consume_rt, 40.0 / 3.1), "{status:?}");
        assert_eq!(status.consume_failed_msgs, 360);
        // When nothing comes any more, the minute is empty and the hour is told.
        for second in 7_201..7_400 {
            stats.sample(at(second));
        }
        let status = of(&stats, at(7_400));
        assert_eq!((status.consume_ok_tps, status.pull_rt, status.consume_failed_msgs), (0.0, 0.0, 360));
        assert!(near(status.consume_rt, 40.0 / 3.1), "{status:?}");
    }

    #[test]
    fn what_is_young_is_told_at_once() {
        let (mut stats, topic) = stats();
        stats.on_handled(&topic, handled(1, 1, 30), at(0));
        let status = of(&stats, Instant::from_millis(100));
        assert_eq!((status.consume_ok_tps, status.consume_failed_tps), (1.0, 1.0), "over a second at least");
        assert_eq!((status.consume_rt, status.consume_failed_msgs, status.pull_rt), (15.0, 1, 0.0));
        // A topic that is subscribed later is counted from then on.
        let (later, never) = (Topic::from("later"), Topic::from("never"));
        stats.on_handled(&later, handled(5, 0, 50), at(1_000));
        let status = stats.of([&later, &never].into_iter(), at(1_010));
        assert_eq!((status[&later].consume_ok_tps, status[&never]), (0.5, ConsumeStatus::default()));
    }

    #[test]
    fn samples_are_few() {
        let (mut stats, topic) = stats();
        (0..100_000).for_each(|second| stats.sample(at(second)));
        assert!(stats.0[&topic].minute.samples.len() == SAMPLES && stats.0[&topic].hour.samples.len() == SAMPLES);
    }

    #[test]
    fn the_backlog_is_known_with_both_ends() {
        let offset = |at| Some(QueueOffset::new(at));
        let queue = |consumed_to, end| QueueStats { consumed_to, end, ..QueueStats::default() };
        assert_eq!(queue(offset(3), offset(10)).backlog(), Some(7));
        assert_eq!(queue(offset(11), offset(10)).backlog(), Some(0));
        assert_eq!((queue(None, offset(1)).backlog(), queue(offset(1), None).backlog()), (None, None));
    }
}
