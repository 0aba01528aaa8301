//! Traces: ours as Java's tool and decoder see them, and those of Java's producers and consumers as we read them.

use std::time::Duration;

use rocketmq_core::client::ClientEvent;
use rocketmq_core::config::{StartFrom, TraceConfig};
use rocketmq_core::driver::{Client, Producer, ReceivedMessage, TransactionProducer};
use rocketmq_core::message::Message;
use rocketmq_core::send::Receipt;
use rocketmq_core::time::UnixMillis;
use rocketmq_core::trace::{ContextCode, EndTransaction, MessageKind, Pub, SubAfter, SubBefore, TraceRecord, decode};
use rocketmq_core::transaction::Resolution;
use rocketmq_testkit::real::{ConsumerSpec, JavaTrace, ProducerSpec, SendSpec, V5};

use super::checks::Scope;
use super::kit::{PATIENCE, World, drain, receive, sleep, sorted};
use super::runtimes::Live;

pub(crate) async fn scenario<L: Live>(world: &World) {
    let check = world.scope::<L>("trace");
    let looking = world.client::<L>().await;
    let ours = ours::<L>(world, &looking, &check.step("ours")).await;
    let check_java = check.step("ours-by-java");
    for (id, records) in &ours.by_id {
        as_java_reads(world, &looking, &check_java, id, records).await;
    }
    as_the_tool_shows(world, &check_java.step("mqadmin"), &ours).await;
    java::<L>(world, &looking, &check.step("java")).await;
    looking.shutdown().await;
}

/// What our clients did, and the records of each message.
struct Ours {
    producer: String,
    consumer: String,
    /// A message that was consumed when it came for the second time.
    id: String,
    by_id: Vec<(String, Vec<TraceRecord>)>,
}

async fn ours<L: Live>(world: &World, looking: &Client, check: &Scope) -> Ours {
    let topic = format!("trace_{}", L::NAME);
    world.topic(&topic, 2);
    let (producer_group, consumer_group) = (format!("trace_p_{}", L::NAME), format!("trace_c_{}", L::NAME));
    let client = L::connect(world.builder().trace(TraceConfig::default())).await.expect("a client");
    let mut events = client.events();
    let builder = client.producer(producer_group.as_str()).send_timeout(Duration::from_secs(45));
    let producer = builder.start().await.expect("a producer");
    let message = |body: &str| Message::new(topic.as_str(), body.to_owned());
    let plain = message("plain").with_tag("t").with_key("k1").with_key("k2");
    let plain = producer.send(plain).await.expect("stored");
    let batch = vec![message("batch 1"), message("batch 2").with_key("k3")];
    let batch = producer.send_batch(batch).await.expect("stored").messages;
    let delayed = producer.send(message("delayed").with_delay_level(1)).await.expect("stored");
    producer.send_oneway(message("nobody answers")).await.expect("written");
    let silent = client.producer("trace_silent").trace(None).start().await.expect("a producer");
    let silent = silent.send(message("not traced")).await.expect("stored");
    let (committed, rolled_back, asked) = transactions(&client, &topic, &producer_group).await;
    let recalled = if world.checks.version() == V5 { Some(recall(&producer, &topic).await) } else { None };

    let builder = client.push_consumer(consumer_group.as_str()).subscribe(topic.as_str(), "*");
    let consumer = builder.start_from(StartFrom::First).start().await.expect("a consumer");
    let mut failed = false;
    // All of them but the one that was rolled back; the first comes twice.
    let got = receive(&consumer, 9, PATIENCE, |delivery| {
        if delivery.message().msg_id() == plain.msg_id && !std::mem::replace(&mut failed, true) {
            return delivery.retry();
        }
        delivery.ack();
    });
    let got = got.await;
    let bodies = sorted(got.iter().map(super::kit::Got::text));
    check.eq("all-are-consumed", bodies.iter().map(String::as_str).collect::<Vec<_>>(), BODIES);
    consumer.shutdown().await;
    drop(producer);
    client.shutdown().await;
    let lost = drain(&mut events).into_iter().filter(|event| matches!(event, ClientEvent::TraceLost { .. }));
    check.eq("none-is-lost", lost.collect::<Vec<_>>(), []);

    let mut by_id = Vec::new();
    let read = async |id: &str, count| records_of(looking, id, count).await;
    // Each that was consumed has one record of its producer and two of its consumer, and that of its end.
    let one = |id: &str, records: &[TraceRecord], step: &str, times: usize| {
        let check = check.step(step);
        let count = |is: fn(&TraceRecord) -> bool| records.iter().filter(|record| is(record)).count();
        check.eq("one-pub", count(|record| matches!(record, TraceRecord::Pub(_))), 1);
        check.eq("before", count(|record| matches!(record, TraceRecord::SubBefore(_))), times);
        check.eq("after", count(|record| matches!(record, TraceRecord::SubAfter(_))), times);
        check.that("of-this-message", records.iter().all(|record| record.msg_id() == id), records);
    };
    for (step, receipt, kind) in [
        ("plain", &plain, MessageKind::Normal),
        ("batch", &batch[0], MessageKind::Normal),
        ("batch", &batch[1], MessageKind::Normal),
        ("delayed", &delayed, MessageKind::Delayed),
        ("committed", &committed, MessageKind::Half),
        ("asked", &asked, MessageKind::Half),
    ] {
        let times = if step == "plain" { 2 } else { 1 };
        let ends = usize::from(kind == MessageKind::Half);
        let records = read(&receipt.msg_id, 1 + 2 * times + ends).await;
        one(&receipt.msg_id, &records, step, times);
        stored_as_said(world, &check.step(step), &records, receipt, (&producer_group, kind));
        by_id.push((receipt.msg_id.clone(), records));
    }
    let consumed = by_id[0].1.clone();
    as_consumed(&check.step("plain"), &consumed, &consumer_group);
    for (step, receipt, resolution, from_check) in [
        ("committed", &committed, Resolution::Commit, false),
        ("rolled-back", &rolled_back, Resolution::Rollback, false),
        ("asked", &asked, Resolution::Commit, true),
    ] {
        let records = match by_id.iter().find(|(id, _)| *id == receipt.msg_id) {
            Some((_, records)) => records.clone(),
            None => read(&receipt.msg_id, 2).await,
        };
        ended_as_said(&check.step(step), &records, (&producer_group, resolution, from_check));
        if step == "rolled-back" {
            by_id.push((receipt.msg_id.clone(), records));
        }
    }
    if let Some(receipt) = recalled {
        let records = read(&receipt.msg_id, 2).await;
        let recalls = records.iter().filter(|record| matches!(record, TraceRecord::Recall(recall) if recall.success));
        check.eq("recalled", recalls.count(), 1);
        by_id.push((receipt.msg_id, records));
    }
    check.eq("by-a-key", records_of_key(looking, "k3", &batch[1].msg_id).await.len(), 3);
    let unwanted = records_now(looking, &silent.msg_id).await;
    let unwanted = unwanted.iter().filter(|record| matches!(record, TraceRecord::Pub(_))).count();
    check.eq("none-of-a-producer-that-does-not-trace", unwanted, 0);
    Ours { producer: producer_group, consumer: consumer_group, id: plain.msg_id, by_id }
}

/// One that is committed, one that is rolled back, one that the broker asks about: it is committed then.
async fn transactions(client: &Client, topic: &str, group: &str) -> (Receipt, Receipt, Receipt) {
    // A broker may ask although it was told: to say the same then would show the message twice.
    let checker = |message: ReceivedMessage| async move {
        if &message.body()[..] == b"asked about" { Resolution::Commit } else { Resolution::Unknown }
    };
    let builder = client.transaction_producer(group).checker(checker).topic(topic);
    let builder = builder.configure(|producer| producer.send_timeout(Duration::from_secs(45)));
    let producer: TransactionProducer = builder.start().await.expect("a producer");
    let begin = async |body: &str| {
        producer.begin(Message::new(topic, body.to_owned()).with_tag("x").with_key("in-a-transaction")).await
    };
    let half = begin("committed").await.expect("stored");
    let committed = half.receipt().clone();
    half.commit().await.expect("told");
    let half = begin("rolled back").await.expect("stored");
    let rolled_back = half.receipt().clone();
    half.rollback().await.expect("told");
    let half = begin("asked about").await.expect("stored");
    let asked = half.receipt().clone();
    drop(half);
    let committed_by_check = || async {
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            let seen = client.admin().message(topic, &asked.msg_id).await.ok().flatten();
            let is_there = seen.is_some_and(|seen| seen.queue().topic.as_str() == topic);
            if is_there || std::time::Instant::now() > end {
                return is_there;
            }
            sleep(Duration::from_millis(200)).await;
        }
    };
    assert!(committed_by_check().await, "the broker asks");
    (committed, rolled_back, asked)
}

async fn recall(producer: &Producer, topic: &str) -> Receipt {
    let message = Message::new(topic, "taken back").with_delay(Duration::from_secs(3_600));
    let receipt = producer.send(message).await.expect("stored");
    let handle = receipt.recall_handle.clone().expect("a handle");
    // A message that has just been stored may not be known to the timer yet.
    let end = std::time::Instant::now() + PATIENCE;
    while let Err(error) = producer.recall(topic, &handle).await {
        assert!(std::time::Instant::now() < end, "{error}");
        sleep(Duration::from_millis(200)).await;
    }
    receipt
}

fn stored_as_said(
    world: &World,
    check: &Scope,
    records: &[TraceRecord],
    receipt: &Receipt,
    (group, kind): (&str, MessageKind),
) {
    let record = records.iter().find_map(|record| match record {
        TraceRecord::Pub(record) => Some(record),
        _ => None,
    });
    let record: &Pub = record.expect("looked at");
    let host = world.java.topic_route(&world.namesrv, record.topic.as_str()).expect("a route");
    check.eq("group", record.group.as_str(), group);
    check.eq("topic", &record.topic, &receipt.queue.topic);
    check.eq("region", record.region.as_str(), "DefaultRegion");
    check.eq("offset-id", record.offset_msg_id.as_ref(), Some(&receipt.offset_msg_id));
    check.that("host", host[0].addrs.values().any(|addr| *addr == record.store_host), (record, &host));
    check.eq("kind", record.kind, kind);
    check.that("success", record.success && record.cost >= 0 && record.body_len > 0, record);
}

/// It failed when it came first.
fn as_consumed(check: &Scope, records: &[TraceRecord], group: &str) {
    let mut before: Vec<&SubBefore> = Vec::new();
    let mut after: Vec<&SubAfter> = Vec::new();
    for record in records {
        match record {
            TraceRecord::SubBefore(record) => before.push(record),
            TraceRecord::SubAfter(record) => after.push(record),
            TraceRecord::Pub(_) | TraceRecord::EndTransaction(_) | TraceRecord::Recall(_) => {}
        }
    }
    before.sort_by_key(|record| record.retry_times);
    after.sort_by_key(|record| record.success);
    let times: Vec<_> = before.iter().map(|record| record.retry_times).collect();
    check.eq("times", times, [0, 1]);
    let ends: Vec<_> = after.iter().map(|record| (record.success, record.context_code)).collect();
    let codes = [ContextCode::Failed, ContextCode::Success].map(|code| Some(code.to_wire()));
    check.eq("failed-then-consumed", ends, [(false, codes[0]), (true, codes[1])]);
    let requests = |ids: Vec<&String>| ids.into_iter().cloned().collect::<Vec<_>>();
    let asked = requests(before.iter().map(|record| &record.request_id).collect());
    check.eq("same-requests", requests(after.iter().map(|record| &record.request_id).collect()), asked);
    let keys = before.iter().map(|record| record.keys.as_deref()).chain(after.iter().map(|r| r.keys.as_deref()));
    check.that("keys", keys.clone().all(|keys| keys == Some("k1 k2")), keys.collect::<Vec<_>>());
    let groups = after.iter().filter_map(|record| record.by.as_ref()).map(|(_, group)| group.as_str());
    check.eq("consumer-group", groups.collect::<Vec<_>>(), [group, group]);
}

fn ended_as_said(check: &Scope, records: &[TraceRecord], (group, resolution, from_check): (&str, Resolution, bool)) {
    let ends: Vec<&EndTransaction> = records
        .iter()
        .filter_map(|record| match record {
            TraceRecord::EndTransaction(record) if record.from_check == from_check => Some(record),
            _ => None,
        })
        .collect();
    check.that("its-end", ends.len() == 1 || from_check && !ends.is_empty(), &ends);
    let end = ends[0];
    check.eq("end", end.resolution, resolution);
    check.eq("end-group", end.group.as_str(), group);
    check.eq("end-transaction", end.transaction_id.as_deref(), Some(end.msg_id.as_str()));
    check.eq("end-keys", (end.tags.as_deref(), end.keys.as_deref()), (Some("x"), Some("in-a-transaction")));
    check.that("end-host", end.store_host.contains(':'), end);
}

/// Java reads our messages, and would write them alike.
async fn as_java_reads(world: &World, looking: &Client, check: &Scope, id: &str, records: &[TraceRecord]) {
    let (mut seen, mut bodies) = (Vec::new(), 0);
    for message in traces_of(looking, id).await {
        let text = String::from_utf8(message.body().to_vec()).expect("text");
        let java = world.java.decode_trace(&text).expect("readable");
        check.eq("java-writes-the-same", &java.again, &text);
        check.eq("keys-as-java-sets-them", message.keys().map(str::to_owned).collect::<Vec<_>>(), java.keys.clone());
        let read = java.records.iter().filter_map(JavaTrace::record);
        seen.extend(read.filter(|record| record.msg_id() == id));
        bodies += 1;
    }
    let text = |records: &[TraceRecord]| sorted(records.iter().map(|record| format!("{record:?}")));
    check.eq("java-reads-the-same", text(&seen), text(records));
    check.at_least("in-messages", bodies, 1);
}

async fn as_the_tool_shows(world: &World, check: &Scope, ours: &Ours) {
    let shown = world.mqadmin.run(&["queryMsgTraceById", "-i", &ours.id]).expect("mqadmin");
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    let of = |kind: &str, group: &str| {
        let mine = |row: &&Vec<&str>| row.first() == Some(&kind) && row.get(1) == Some(&group);
        let status = |row: &Vec<&str>| row.last().map(|status| (*status).to_owned());
        sorted(rows.iter().filter(mine).filter_map(status))
    };
    check.eq("pub", of("Pub", &ours.producer), ["success"]);
    check.eq("sub", of("Sub", &ours.consumer), ["failed", "success"]);
    let (code, shown, err) = super::cli::rmq(world, &["queryMsgTraceById", "-i", &ours.id, "-o", "json"]);
    check.that("rmq-finds-it", code == 0, &err);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&shown).expect("JSON");
    let of = |kind: &str| {
        let mine = rows.iter().filter(|row| row["type"] == kind);
        sorted(mine.map(|row| if row["ok"] == true { "success" } else { "failed" }))
    };
    check.eq("rmq-pub", of("Pub"), ["success"]);
    check.eq("rmq-sub", of("SubAfter"), ["failed", "success"]);
    let group = rows.iter().find(|row| row["type"] == "Pub").map(|row| row["group"].clone());
    check.eq("rmq-group", group, Some(ours.producer.as_str().into()));
}

async fn java<L: Live>(world: &World, looking: &Client, check: &Scope) {
    let topic = format!("trace_java_{}", L::NAME);
    world.topic(&topic, 2);
    let name = format!("trace_java_{}", L::NAME);
    let bank = format!("trace_bank_{}", L::NAME);
    let spec = ProducerSpec {
        trace: true,
        instance: Some(format!("{name}_p")),
        timeout_ms: Some(30_000),
        ..ProducerSpec::new(&name, &world.namesrv, &name)
    };
    world.java.start_producer(&spec).expect("a Java producer");
    let spec = SendSpec { tags: Some("t".into()), keys: Some("a b".into()), ..SendSpec::new(&name, &topic, "j", 3) };
    let sent = world.java.send(&spec).expect("sent");
    world.java.start_traced_transactions(&bank, &world.namesrv, &bank).expect("a Java producer");
    let half = world.java.send_transaction(&bank, &topic, "in a transaction", "COMMIT_MESSAGE").expect("stored");
    let spec = ConsumerSpec {
        trace: true,
        instance: Some(format!("{name}_c")),
        ..ConsumerSpec::new(&name, &world.namesrv, &name, &topic)
    };
    world.java.start_consumer(&spec).expect("a Java consumer");
    check.eq("consumed", world.java.wait_consumed(&name, 4, PATIENCE).expect("consumed").len(), 4);
    world.java.stop_consumer(&name).expect("stopped");
    world.java.stop_producer(&name).expect("stopped");
    // A Java client that is stopped may lose what it has not sent yet.
    records_of(looking, &half, 2).await;
    world.java.stop_transactions(&bank).expect("stopped");
    // Brokers of 4.x do not tell consumers their region, and without it Java's consumers trace nothing.
    let of_consumer = if world.checks.version() == V5 { 2 } else { 0 };
    for sent in &sent {
        let records = records_of(looking, &sent.msg_id, 1 + of_consumer).await;
        let kinds = |record: &TraceRecord| match record {
            TraceRecord::Pub(record) => format!("pub {} {} {:?}", record.group, record.success, record.keys),
            TraceRecord::SubBefore(record) => format!("before {} {}", record.group, record.retry_times),
            TraceRecord::SubAfter(record) => {
                format!("after {:?} {} {:?}", record.by.as_ref().map(|by| by.1.as_str()), record.success, record.keys)
            }
            TraceRecord::EndTransaction(_) | TraceRecord::Recall(_) => "another".to_owned(),
        };
        let consumed = [format!("after Some({name:?}) true Some(\"a b\")"), format!("before {name} 0")];
        let mut expected = consumed[..of_consumer].to_vec();
        expected.push(format!("pub {name} true Some(\"a b\")"));
        check.eq("read", sorted(records.iter().map(kinds)), expected);
    }
    let records = records_of(looking, &half, 2 + of_consumer).await;
    let end = records.iter().find_map(|record| match record {
        TraceRecord::EndTransaction(record) => Some((record.group.as_str(), record.resolution, record.from_check)),
        _ => None,
    });
    check.eq("the-end-of-a-transaction", end, Some((bank.as_str(), Resolution::Commit, false)));
}

/// The trace messages about a message.
async fn traces_of(looking: &Client, key: &str) -> Vec<ReceivedMessage> {
    let all = UnixMillis(0)..=UnixMillis(i64::MAX);
    let found = looking.admin().query("RMQ_SYS_TRACE_TOPIC", key, 64, all).await;
    found.map(|found| found.value).unwrap_or_default()
}

async fn records_now(looking: &Client, id: &str) -> Vec<TraceRecord> {
    records_of_key(looking, id, id).await
}

async fn records_of_key(looking: &Client, key: &str, id: &str) -> Vec<TraceRecord> {
    let mut records = Vec::new();
    for message in traces_of(looking, key).await {
        let read = decode(message.body()).map(|record| record.expect("readable"));
        records.extend(read.filter(|record| record.msg_id() == id));
    }
    records
}

/// So many records of a message; brokers take a moment to index them.
async fn records_of(looking: &Client, id: &str, count: usize) -> Vec<TraceRecord> {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let records = records_now(looking, id).await;
        if records.len() >= count || std::time::Instant::now() > end {
            return records;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// What is consumed; the first message failed once.
const BODIES: [&str; 9] =
    ["asked about", "batch 1", "batch 2", "committed", "delayed", "nobody answers", "not traced", "plain", "plain"];
