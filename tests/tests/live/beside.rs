//! What our admin tells, in the form in which the Java peer tells what Java's does.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rocketmq_core::driver::{Admin, ReceivedMessage};
use rocketmq_core::ids::{BrokerName, MessageQueue};
use rocketmq_core::time::UnixMillis;
use rocketmq_core::wire::body::{BrokerData, ConsumeStats, Progress, QueueStats, TopicRoute, TopicStats};
use rocketmq_testkit::real::{BrokerRoute, StoredMessage};
use serde_json::{Value, json};

use super::checks::Scope;
use super::kit::{PATIENCE, World, sorted, wait};

pub(crate) const EVER: RangeInclusive<UnixMillis> = UnixMillis(0)..=UnixMillis(i64::MAX);

/// A broker in a route: queues to read and to write, what may be done, addresses.
pub(crate) type BrokerRow = (String, i32, i32, i32, BTreeMap<String, String>);

/// What must be equal, whoever shows it.
pub(crate) type Essence = (String, String, i32, i64, String, i64, i64, BTreeMap<String, String>);

pub(crate) fn essence(message: &ReceivedMessage) -> Essence {
    let hex = message.body().iter().map(|byte| format!("{byte:02x}")).collect();
    let properties = message.properties().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let queue = (message.queue().id, message.queue_offset().to_wire());
    let (born, stored) = (message.born().0, message.stored().0);
    (message.msg_id(), message.offset_msg_id(), queue.0, queue.1, hex, born, stored, properties)
}

pub(crate) fn essence_of(java: &StoredMessage) -> Essence {
    let body = java.body_hex.clone().unwrap_or_default();
    let properties = java.properties.clone().unwrap_or_default();
    let (born, stored) = (java.born_timestamp, java.store_timestamp);
    let (id, at) = (java.properties.as_ref().and_then(|all| all.get("UNIQ_KEY")), java.offset_msg_id.clone());
    (id.cloned().unwrap_or_default(), at, java.queue_id, java.queue_offset, body, born, stored, properties)
}

/// Has a topic made until all these name servers show it at so many brokers: they lose news of two topics that change at
/// once.
pub(crate) fn made(world: &World, names: &[String], topic: &str, brokers: usize, make: impl Fn()) {
    let shown = |server: &String| world.java.topic_route(server, topic).is_ok_and(|route| route.len() == brokers);
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let end = Instant::now() + PATIENCE;
    loop {
        make();
        if wait(Duration::from_secs(3), || names.iter().all(shown)) {
            return;
        }
        assert!(Instant::now() < end, "{topic} is not shown");
    }
}

/// Checks that both tell the same, as soon as they do: others change things meanwhile.
pub(crate) fn alike<T: PartialEq + Debug>(check: &Scope, name: &str, ours: impl Fn() -> T, javas: impl Fn() -> T) {
    let mut seen = None;
    wait(PATIENCE, || {
        let (ours, javas) = (ours(), javas());
        let same = ours == javas;
        seen = Some((ours, javas));
        same
    });
    let (ours, javas) = seen.expect("both were asked");
    check.eq(name, ours, javas);
}

/// The brokers of all clusters.
pub(crate) async fn brokers(admin: &Admin) -> Value {
    let cluster = admin.cluster().await.expect("a cluster");
    let row = |(name, broker): (&BrokerName, &BrokerData)| {
        let addrs = broker.broker_addrs.iter().map(|(id, addr)| (id.to_string(), json!(addr.as_str())));
        (name.to_string(), json!({ "cluster": broker.cluster, "addrs": addrs.collect::<serde_json::Map<_, _>>() }))
    };
    Value::Object(cluster.broker_addr_table.iter().map(row).collect())
}

/// A route, broker by broker.
pub(crate) fn route_rows(route: &TopicRoute) -> Vec<BrokerRow> {
    let rows = route.queue_datas.iter().map(|data| {
        let broker = route.broker_datas.iter().find(|broker| broker.broker_name == data.broker_name);
        let addrs = broker.iter().flat_map(|broker| &broker.broker_addrs);
        let addrs = addrs.map(|(id, addr)| (id.to_string(), addr.as_str().to_owned())).collect();
        (data.broker_name.to_string(), data.read_queue_nums, data.write_queue_nums, data.perm.0, addrs)
    });
    sorted(rows)
}

/// The queues of a topic.
pub(crate) fn stats_rows(stats: &TopicStats) -> Value {
    let row = |(queue, row): (&MessageQueue, &QueueStats)| {
        json!({ "topic": queue.topic.as_str(), "broker": queue.broker.as_str(), "queue_id": queue.id,
            "min": row.min_offset, "max": row.max_offset, "updated": row.last_update_timestamp })
    };
    Value::from(stats.offset_table.0.iter().map(row).collect::<Vec<_>>())
}

/// How far a group is.
pub(crate) fn progress_rows(stats: &ConsumeStats) -> Value {
    let row = |(queue, row): (&MessageQueue, &Progress)| {
        json!({ "topic": queue.topic.as_str(), "broker": queue.broker.as_str(), "queue_id": queue.id,
            "end": row.broker_offset, "committed": row.consumer_offset, "stored": row.last_timestamp })
    };
    Value::from(stats.offset_table.0.iter().map(row).collect::<Vec<_>>())
}

/// The same of Java.
pub(crate) fn javas_route_rows(route: Vec<BrokerRoute>) -> Vec<BrokerRow> {
    let row = |row: BrokerRoute| (row.broker, row.read_queues, row.write_queues, row.perm, row.addrs);
    sorted(route.into_iter().map(row))
}
