//! The client's figures, by way of the facade [`metrics`]: feature `metrics`.
//!
//! They go to the recorder that the program has installed, Prometheus' for instance; without one they go nowhere. One
//! recorder should be installed before the first client starts. Names do not change between minor versions.
//!
//! | name | kind | labels | what |
//! |---|---|---|---|
//! | `rocketmq_sends_total` | counter | `group`, `topic`, `result` | messages whose send is over: `stored`, `weak` (stored, less durably than asked for), `written` (no broker answers), `unknown` (may be stored), `failed`, `abandoned` (its future was dropped) |
//! | `rocketmq_send_seconds` | histogram | `group`, `topic` | how long a send took that is over, retries included; a batch is one |
//! | `rocketmq_send_retries_total` | counter | `group`, `topic` | attempts after the first |
//! | `rocketmq_consumed_total` | counter | `group`, `topic`, `result` | messages that handlers settled: `ok`, `failed`, `panicked` |
//! | `rocketmq_handle_seconds` | histogram | `group`, `topic` | from where a message is handed out to where it is settled |
//! | `rocketmq_pulled_total` | counter | `group`, `topic` | messages that pulls and pops brought |
//! | `rocketmq_pull_seconds` | histogram | `group`, `topic` | how long a pull or pop took that brought messages |
//! | `rocketmq_pull_failures_total` | counter | `group`, `topic` | pulls and pops that failed |
//! | `rocketmq_backlog` | gauge | `group`, `topic`, `queue` | messages between what is settled and the end of a queue of ours, as the last pull told it |
//! | `rocketmq_assigned_queues` | gauge | `group`, `topic` | queues of this member |
//! | `rocketmq_cached_bytes` | gauge | `client` | bytes that consumers have in hand, pulled and not settled |
//! | `rocketmq_links_up` | gauge | `client` | links that are up |
//! | `rocketmq_rebalances_total` | counter | `group`, `topic` | how often this member got queues or gave some up |
//! | `rocketmq_locks_lost_total` | counter | `group`, `topic` | locks of queues that were lost |
//! | `rocketmq_poison_total` | counter | `group`, `topic` | records that cannot be decoded |
//! | `rocketmq_overdue_total` | counter | `group`, `topic` | handlers that took too long |
//! | `rocketmq_connects_total` | counter | `client`, `result` | links that came up (`ok`) or could not be opened (`failed`): what is more than the links up are reconnects |
//! | `rocketmq_request_timeouts_total` | counter | `kind` | requests without an answer in time: `send`, `pull`, `control` |
//!
//! `topic` is the one of the queue: messages that come again count under `%RETRY%` and the group. `queue` is `broker#id`,
//! `client` the client's id. Gauges are as of a second ago at most, or as of the last time that the client had anything
//! to do; those of what is gone are 0.

use alloc::collections::BTreeSet;
use alloc::string::String;
use core::time::Duration;

use metrics::{SharedString, counter, gauge, histogram};

use super::handle::ConsumeOutcome;
use crate::client::{ClientEvent, ClientMachine, PullContext, Pulled, Reply};
use crate::dispatch::DispatchEvent;
use crate::error::{RequestError, RequestFailure};
use crate::ids::{ClientId, Group, MessageQueue, Topic};
use crate::send::{Receipt, SendError, SendOp};
use crate::time::Instant;

/// Counts one send, from its beginning to its end.
pub(super) struct SendMeter {
    group: Group,
    topic: Topic,
    messages: u64,
    began: Instant,
    over: bool,
}

impl SendMeter {
    pub(super) fn begin(op: &SendOp, now: Instant) -> Self {
        let parcel = op.parcel();
        let messages = u64::try_from(parcel.messages()).unwrap_or(u64::MAX);
        Self { group: parcel.group.clone(), topic: parcel.topic.clone(), messages, began: now, over: false }
    }

    /// An attempt begins, the so manieth.
    pub(super) fn on_attempt(&self, attempts: u32) {
        if attempts > 1 {
            counter!("rocketmq_send_retries_total", "group" => text(&self.group), "topic" => text(&self.topic))
                .increment(1);
        }
    }

    /// The send is over.
    pub(super) fn end(mut self, result: &Result<Option<Receipt>, SendError>, now: Instant) {
        self.over = true;
        self.count(super::span::word_of(result));
        histogram!("rocketmq_send_seconds", "group" => text(&self.group), "topic" => text(&self.topic))
            .record(now.since(self.began));
    }

    fn count(&self, result: &'static str) {
        let (group, topic) = (text(&self.group), text(&self.topic));
        counter!("rocketmq_sends_total", "group" => group, "topic" => topic, "result" => result)
            .increment(self.messages);
    }
}

impl Drop for SendMeter {
    fn drop(&mut self) {
        if !self.over {
            self.count("abandoned");
        }
    }
}

/// A handler is done with a message of this queue.
pub(super) fn handled(group: &Group, queue: &MessageQueue, outcome: ConsumeOutcome, took: Duration) {
    let result = match outcome {
        ConsumeOutcome::Consumed => "ok",
        ConsumeOutcome::Failed => "failed",
        ConsumeOutcome::Panicked => "panicked",
    };
    let topic = || text(&queue.topic);
    counter!("rocketmq_consumed_total", "group" => text(group), "topic" => topic(), "result" => result).increment(1);
    histogram!("rocketmq_handle_seconds", "group" => text(group), "topic" => topic()).record(took);
}

/// A request of the control plane is over.
pub(super) fn answered(pull: Option<&PullContext>, result: &Result<Reply, RequestError>, took: Duration) {
    let batch = match result {
        Ok(Reply::Pulled(Pulled::Batch { batch, .. } | Pulled::Popped { batch, .. })) => batch,
        Ok(_) => return,
        Err(error) => return timed_out(if pull.is_some() { "pull" } else { "control" }, error),
    };
    let messages = u64::try_from(batch.items.len()).unwrap_or(u64::MAX);
    if let Some(pull) = pull.filter(|_| messages > 0) {
        let (group, topic) = (|| text(&pull.group), || text(&pull.queue.topic));
        counter!("rocketmq_pulled_total", "group" => group(), "topic" => topic()).increment(messages);
        histogram!("rocketmq_pull_seconds", "group" => group(), "topic" => topic()).record(took);
    }
}

/// A request failed: counts it if that is because nobody answered in time.
pub(super) fn timed_out(kind: &'static str, error: &RequestError) {
    if error.why == RequestFailure::Timeout {
        counter!("rocketmq_request_timeouts_total", "kind" => kind).increment(1);
    }
}

/// Something happened to the client.
pub(super) fn event(client: &ClientId, event: &ClientEvent) {
    let of = |name: &'static str, group: &Group, topic: &Topic| {
        counter!(name, "group" => text(group), "topic" => text(topic)).increment(1);
    };
    let connect = |result: &'static str| {
        counter!("rocketmq_connects_total", "client" => text(client), "result" => result).increment(1);
    };
    match event {
        ClientEvent::Rebalanced { group, topic, .. } => of("rocketmq_rebalances_total", group, topic),
        ClientEvent::PullFailed { group, queue, .. } => of("rocketmq_pull_failures_total", group, &queue.topic),
        ClientEvent::LockLost { group, queue, .. } => of("rocketmq_locks_lost_total", group, &queue.topic),
        ClientEvent::ConsumeTimeout { group, queue, .. } => of("rocketmq_overdue_total", group, &queue.topic),
        ClientEvent::Poison { group, event: DispatchEvent::Poison { queue, .. } } => {
            of("rocketmq_poison_total", group, &queue.topic);
        }
        ClientEvent::LinkUp(_) => connect("ok"),
        ClientEvent::ConnectFailed { .. } => connect("failed"),
        ClientEvent::Start { .. }
        | ClientEvent::Subscribed { .. }
        | ClientEvent::Unsubscribed { .. }
        | ClientEvent::FilterRefused { .. }
        | ClientEvent::AllocateFailed { .. }
        | ClientEvent::ClientIdCollision { .. }
        | ClientEvent::StartPosition { .. }
        | ClientEvent::OffsetIllegal { .. }
        | ClientEvent::ReadFrom { .. }
        | ClientEvent::SendBackFailed { .. }
        | ClientEvent::Poison { .. }
        | ClientEvent::QueueStopped { .. }
        | ClientEvent::Suspended { .. }
        | ClientEvent::Resumed { .. }
        | ClientEvent::Dropped { .. }
        | ClientEvent::PopUnsupported { .. }
        | ClientEvent::PopExpired { .. }
        | ClientEvent::PopNotSettled { .. }
        | ClientEvent::OffsetsUnreadable { .. }
        | ClientEvent::OffsetsLost { .. }
        | ClientEvent::OffsetsShared { .. }
        | ClientEvent::OffsetsNotSaved { .. }
        | ClientEvent::ServerRequest { .. }
        | ClientEvent::TraceLost { .. }
        | ClientEvent::LateReply { .. }
        | ClientEvent::BrokerVersion { .. }
        | ClientEvent::Denied { .. }
        | ClientEvent::TopicMissing(_)
        | ClientEvent::NameServers(_)
        | ClientEvent::DiscoveryFailed { .. }
        | ClientEvent::AddressRefused(_)
        | ClientEvent::LinkDown(_) => {}
    }
}

/// What is, as against what happens.
pub(super) struct Gauges {
    client: ClientId,
    next: Instant,
    queues: BTreeSet<(Group, MessageQueue)>,
    topics: BTreeSet<(Group, Topic)>,
}

impl Gauges {
    pub(super) const fn new(client: ClientId) -> Self {
        Self { client, next: Instant::ZERO, queues: BTreeSet::new(), topics: BTreeSet::new() }
    }

    /// Tells how the client is now, unless it did so less than a second ago.
    pub(super) fn sample(&mut self, now: Instant, machine: &ClientMachine) {
        if now < self.next {
            return;
        }
        self.next = now.after(PERIOD);
        let (mut queues, mut topics) = (BTreeSet::new(), alloc::collections::BTreeMap::new());
        machine.each_queue(|group, queue, stats| {
            let count: &mut u32 = topics.entry((group.clone(), queue.topic.clone())).or_default();
            *count = count.saturating_add(1);
            if let Some(backlog) = stats.backlog() {
                backlog_of(group, queue).set(float(backlog));
                queues.insert((group.clone(), queue.clone()));
            }
        });
        for ((group, topic), count) in &topics {
            assigned(group, topic).set(f64::from(*count));
        }
        for (group, queue) in self.queues.difference(&queues) {
            backlog_of(group, queue).set(0.0);
        }
        let topics: BTreeSet<_> = topics.into_keys().collect();
        for (group, topic) in self.topics.difference(&topics) {
            assigned(group, topic).set(0.0);
        }
        (self.queues, self.topics) = (queues, topics);
        let (pinned, up) = machine.holdings();
        self.of_client("rocketmq_cached_bytes").set(float(pinned));
        self.of_client("rocketmq_links_up").set(float(u64::try_from(up).unwrap_or(u64::MAX)));
    }

    fn of_client(&self, name: &'static str) -> metrics::Gauge {
        gauge!(name, "client" => text(&self.client))
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        for (group, queue) in &self.queues {
            backlog_of(group, queue).set(0.0);
        }
        for (group, topic) in &self.topics {
            assigned(group, topic).set(0.0);
        }
        for name in ["rocketmq_cached_bytes", "rocketmq_links_up"] {
            self.of_client(name).set(0.0);
        }
    }
}

fn backlog_of(group: &Group, queue: &MessageQueue) -> metrics::Gauge {
    let place = alloc::format!("{}#{}", queue.broker, queue.id);
    gauge!("rocketmq_backlog", "group" => text(group), "topic" => text(&queue.topic), "queue" => place)
}

fn assigned(group: &Group, topic: &Topic) -> metrics::Gauge {
    gauge!("rocketmq_assigned_queues", "group" => text(group), "topic" => text(topic))
}

fn text(name: &impl AsRef<str>) -> SharedString {
    SharedString::from(String::from(name.as_ref()))
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn float(count: u64) -> f64 {
    count as f64
}

/// Between two looks at how the client is.
const PERIOD: Duration = Duration::from_secs(1);
