//! What operators and users are told of a consumer.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Consumer;
use super::queue::Assigned;
use crate::client::snapshot::{FailureSnapshot, ShareSnapshot, SharedBy, StartSnapshot};
use crate::client::stats::{ConsumerStats, QueueStats};
use crate::config::{StartFrom, Strategy};
use crate::effects::Effects;
use crate::ids::{Endpoint, MessageQueue, QueueOffset, Topic};
use crate::mutants::mutant;
use crate::time::{Instant, UnixMillis};
use crate::wire::body::{ConsumerRunningInfo, MessageModel, PopQueueInfo, ProcessQueueInfo, QueueTable};
use crate::wire::header::VERSION_NAME;

impl Consumer {
    /// How far each of our queues of a topic is consumed.
    pub(crate) fn offsets_of(&self, topic: &Topic) -> BTreeMap<MessageQueue, i64> {
        let offset = |(queue, assigned): (&MessageQueue, &Assigned)| {
            let offset = if mutant!(113) { assigned.next_to_pull() } else { assigned.settled_to()? };
            (queue.topic == *topic).then(|| (queue.clone(), offset.to_wire()))
        };
        self.queues.iter().filter_map(offset).collect()
    }

    /// Its figures.
    pub(crate) fn stats(&self, now: Instant) -> ConsumerStats {
        let queues = self.queue_stats().map(|(queue, stats)| (queue.clone(), stats));
        ConsumerStats { topics: self.stats.of(self.subscriptions.topics(), now), queues: queues.collect() }
    }

    /// Where each of its queues is.
    pub(crate) fn queue_stats(&self) -> impl Iterator<Item = (&MessageQueue, QueueStats)> {
        self.queues.iter().map(|(queue, assigned)| (queue, assigned.stats()))
    }

    /// All that tools are told: no stacks, and no secrets.
    pub(crate) fn running_info(&self, fx: &Effects) -> ConsumerRunningInfo {
        let queues = self.queues.iter().map(|(queue, assigned)| (queue.clone(), self.queue_info(queue, assigned, fx)));
        ConsumerRunningInfo {
            jstack: None,
            pop_queues: QueueTable(self.pop_infos(fx).collect()),
            queues: QueueTable(queues.collect()),
            properties: self.properties(fx),
            status: self.stats.of(self.subscriptions.topics(), fx.now),
            subscriptions: self.subscriptions.data(),
            user_info: BTreeMap::new(),
        }
    }

    fn queue_info(&self, queue: &MessageQueue, assigned: &Assigned, fx: &Effects) -> ProcessQueueInfo {
        let stats = assigned.stats();
        let (locked, locked_at, unlocks) = self.lock_of(queue, fx.now);
        let (pulled_at, consumed_at) = assigned.last_times();
        let time = |at: Option<Instant>| at.map_or(self.begun, |at| wall_of(at, fx)).0;
        let offset = |at: Option<QueueOffset>| at.map_or(-1, QueueOffset::to_wire);
        // Of nothing Java tells zeros.
        let first = if stats.cached > 0 { offset(stats.consumed_to) } else { 0 };
        let last = if stats.cached > 0 { assigned.next_to_pull().to_wire().saturating_sub(1) } else { 0 };
        let out = if self.config.is_orderly() { assigned.outstanding() } else { 0 };
        let in_handler = if out > 0 { first } else { 0 };
        ProcessQueueInfo {
            cached_msg_count: small(stats.cached),
            cached_msg_max_offset: last,
            cached_msg_min_offset: first,
            cached_msg_size_in_mib: small(stats.cached_bytes >> 20),
            commit_offset: offset(stats.consumed_to),
            droped: false,
            last_consume_timestamp: time(consumed_at),
            last_lock_timestamp: time(locked_at),
            last_pull_timestamp: time(pulled_at),
            locked,
            transaction_msg_count: small(out),
            transaction_msg_max_offset: in_handler,
            transaction_msg_min_offset: in_handler,
            try_unlock_times: i64::from(unlocks),
        }
    }

    fn pop_infos(&self, fx: &Effects) -> impl Iterator<Item = (MessageQueue, PopQueueInfo)> {
        self.pop_states().map(|(queue, popped_at, open, given_up)| {
            let info = PopQueueInfo {
                droped: given_up,
                last_pop_timestamp: popped_at.map_or(self.begun, |at| wall_of(at, fx)).0,
                wait_ack_count: small(u64::try_from(open).unwrap_or(u64::MAX)),
            };
            (queue.clone(), info)
        })
    }

    /// What Java's format has no place for, by names of our own: how the consumer is, how its queues were shared out, and
    /// why queues are where they are.
    fn own_properties(&self, fx: &Effects) -> Vec<(String, String)> {
        let cache = alloc::format!("{} of {} bytes", fx.pinned, self.client.cache_bytes);
        let state = alloc::format!("{:?}", self.state.snapshot()).to_lowercase();
        let mut rows = alloc::vec![
            ("PROP_STATE".to_string(), state),
            ("PROP_SUSPENDED".to_string(), self.suspended.to_string()),
            ("PROP_CLIENT_CACHE".to_string(), cache),
            ("PROP_FAILED_UNDER_WAY".to_string(), self.send_backs.len().to_string()),
        ];
        for share in self.share_snapshots(fx.now) {
            let ShareSnapshot { topic, by, members, queues, ago_ms, .. } = share;
            let by = match by {
                SharedBy::Members => alloc::format!("members {}", members.len()),
                SharedBy::Broker => "by the broker".to_string(),
                SharedBy::Nobody => "to every member".to_string(),
            };
            rows.push((alloc::format!("PROP_SHARE.{topic}"), alloc::format!("queues {queues}, {by}, {ago_ms} ms ago")));
        }
        for of in self.queue_snapshots(fx, fx.now) {
            let mut text = alloc::format!("{:?}", of.phase).to_lowercase();
            if let Some(time) = of.goes_on_in_ms {
                text = alloc::format!("{text} for {time} ms");
            }
            if let Some(StartSnapshot { offset, reason }) = of.start {
                text = alloc::format!("{text}; started at {offset}: {reason:?}");
            }
            if let Some(FailureSnapshot { why, ago_ms }) = of.failure {
                text = alloc::format!("{text}; {ago_ms} ms ago: {why}");
            }
            rows.push((alloc::format!("PROP_QUEUE.{}", of.queue), text));
        }
        rows
    }

    /// The configuration under Java's names, as far as it has them, and what else there is to say.
    fn properties(&self, fx: &Effects) -> BTreeMap<String, String> {
        let config = &self.config;
        let model = match config.model {
            MessageModel::Clustering => "CLUSTERING",
            MessageModel::Broadcasting => "BROADCASTING",
        };
        let from = match config.start_from {
            StartFrom::Last => "CONSUME_FROM_LAST_OFFSET",
            StartFrom::First => "CONSUME_FROM_FIRST_OFFSET",
            StartFrom::Timestamp(_) => "CONSUME_FROM_TIMESTAMP",
        };
        let name_servers: Vec<_> = self.client.name_servers.iter().map(Endpoint::as_str).collect();
        let most = config.max_reconsume.map_or_else(|| "-1".to_string(), |times| times.to_string());
        let rows = [
            (ConsumerRunningInfo::NAME_SERVERS, name_servers.join(";")),
            // Handlers run in the user's own tasks.
            (ConsumerRunningInfo::THREADS, "0".to_string()),
            (ConsumerRunningInfo::ORDERLY, config.is_orderly().to_string()),
            (ConsumerRunningInfo::CONSUME_TYPE, "CONSUME_PASSIVELY".to_string()),
            (ConsumerRunningInfo::VERSION, VERSION_NAME.to_string()),
            (ConsumerRunningInfo::STARTED, self.begun.0.to_string()),
            ("allocateMessageQueueStrategy", strategy_name(&config.strategy).to_string()),
            ("clientId", self.client.client_id.to_string()),
            ("consumeConcurrentlyMaxSpan", config.queue_span.to_string()),
            ("consumeFromWhere", from.to_string()),
            ("consumerGroup", config.group.to_string()),
            ("maxReconsumeTimes", most),
            ("messageModel", model.to_string()),
            ("pullBatchSize", config.pull_batch.to_string()),
            ("pullInterval", config.pull_interval.as_millis().to_string()),
            ("pullThresholdForQueue", config.queue_messages.to_string()),
            ("pullThresholdSizeForQueue", config.queue_mib.to_string()),
            ("suspendCurrentQueueTimeMillis", config.suspend.as_millis().to_string()),
        ];
        let rows = rows.into_iter().map(|(key, value)| (key.to_string(), value));
        rows.chain(self.own_properties(fx)).collect()
    }
}

/// The names that Java's strategies give themselves.
pub(super) fn strategy_name(strategy: &Strategy) -> &'static str {
    match strategy {
        Strategy::Averagely => "AVG",
        Strategy::AveragelyByCircle => "AVG_BY_CIRCLE",
        #[cfg(feature = "consistent-hash")]
        Strategy::ConsistentHash { .. } => "CONSISTENT_HASH",
        Strategy::Config(_) => "CONFIG",
        Strategy::MachineRoom(_) => "MACHINE_ROOM",
        Strategy::MachineRoomNearby { .. } => "MACHINE_ROOM_NEARBY",
        Strategy::Own(_) => "OWN",
    }
}

/// The wall clock at a time that has passed.
fn wall_of(at: Instant, fx: &Effects) -> UnixMillis {
    let ago = i64::try_from(fx.now.since(at).as_millis()).unwrap_or(i64::MAX);
    UnixMillis(fx.wall.0.saturating_sub(ago))
}

fn small(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
