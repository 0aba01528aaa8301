//! What operators and users are told of a consumer.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Consumer;
use super::queue::Assigned;
use crate::client::stats::ConsumerStats;
use crate::config::{StartFrom, Strategy};
use crate::effects::Effects;
use crate::ids::{Endpoint, MessageQueue, QueueOffset, Topic};
use crate::mutants::mutant;
use crate::time::{Instant, UnixMillis};
use crate::wire::body::{ConsumerRunningInfo, MessageModel, ProcessQueueInfo, QueueTable};
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
        let queues = self.queues.iter().map(|(queue, assigned)| (queue.clone(), assigned.stats()));
        ConsumerStats { topics: self.stats.of(self.subscriptions.topics(), now), queues: queues.collect() }
    }

    /// All that tools are told: no stacks, and no secrets.
    pub(crate) fn running_info(&self, fx: &Effects) -> ConsumerRunningInfo {
        let queues = self.queues.iter().map(|(queue, assigned)| (queue.clone(), self.queue_info(queue, assigned, fx)));
        ConsumerRunningInfo {
            jstack: None,
            pop_queues: QueueTable::default(),
            queues: QueueTable(queues.collect()),
            properties: self.properties(),
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

    /// The configuration under Java's names, as far as it has them.
    fn properties(&self) -> BTreeMap<String, String> {
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
        rows.into_iter().map(|(key, value)| (key.to_string(), value)).collect()
    }
}

/// The names that Java's strategies give themselves.
fn strategy_name(strategy: &Strategy) -> &'static str {
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
