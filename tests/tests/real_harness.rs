//! The harness itself, on both broker versions: start, the Java peer's round trip, both kinds of restart.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rocketmq_testkit::real::{
    self, ConsumerSpec, JavaPeer, Options, ProducerSpec, QueueOffset, RealCluster, RealError, SendSpec, V4, V5,
};

const TOPIC: &str = "HarnessTopic";
const GROUP: &str = "harness_group";
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn v5_round_trip_and_restarts() -> Result<(), RealError> {
    with_cluster(V5, scenario)
}

#[test]
fn v4_round_trip_and_restarts() -> Result<(), RealError> {
    // The shorter of the two also tries the peer's other commands.
    with_cluster(V4, |cluster| java_peer_commands(cluster).and_then(|()| scenario(cluster)))
}

fn with_cluster(
    version: &str,
    scenario: impl FnOnce(&mut RealCluster) -> Result<(), RealError>,
) -> Result<(), RealError> {
    if !real::available()? {
        return Ok(());
    }
    let mut cluster = RealCluster::start(Options::new(version).conf("messageDelayLevel", "1s 1s 1s 1s 1s"))?;
    eprintln!("{version}: first start {:?}", cluster.broker_boot_time());
    let result = scenario(&mut cluster);
    if result.is_err() {
        eprintln!("{}", cluster.log_tail());
    }
    result
}

fn scenario(cluster: &mut RealCluster) -> Result<(), RealError> {
    let namesrv = cluster.namesrv();
    let java = JavaPeer::start()?;
    java.create_topic(&namesrv, TOPIC, 8)?;
    let route = java.topic_route(&namesrv, TOPIC)?;
    let [broker] = route.as_slice() else { panic!("one broker expected: {route:?}") };
    assert_eq!((broker.read_queues, broker.write_queues), (8, 8));
    assert_eq!(broker.addrs.get("0"), Some(&cluster.broker_addr()));

    java.start_producer(&ProducerSpec::new("p", &namesrv, "harness_producer"))?;
    let spec = SendSpec { tags: Some("TagA".into()), keys: Some("k1".into()), ..SendSpec::new("p", TOPIC, "m-", 20) };
    let sent = java.send(&spec)?;
    assert_eq!(sent.len(), 20);
    assert!(sent.iter().all(|s| s.status == "SEND_OK" && s.broker == cluster.broker_name()));

    let client_id = java.start_consumer(&ConsumerSpec::new("c", &namesrv, GROUP, TOPIC))?;
    let got = java.wait_consumed("c", 20, PATIENCE)?;
    let bodies: BTreeSet<_> = got.iter().map(|m| m.body.clone()).collect();
    assert_eq!(bodies, (0..20).map(|i| format!("m-{i}")).collect::<BTreeSet<_>>());
    let ids: BTreeSet<_> = got.iter().map(|m| &m.message.msg_id).collect();
    assert_eq!(ids, sent.iter().map(|s| &s.msg_id).collect::<BTreeSet<_>>());

    let owned = |topic: &str| -> Result<usize, RealError> {
        Ok(java.owned_queues("c")?.iter().filter(|q| q.topic == topic).count())
    };
    assert_eq!(owned(TOPIC)?, 8);
    let reported = java.reported_queues(&namesrv, GROUP, &client_id)?;
    assert_eq!(reported.iter().filter(|q| q.topic == TOPIC).count(), 8);
    let online = java.consumer_connections(&namesrv, GROUP)?;
    assert_eq!(online.iter().map(|c| c.client_id.as_str()).collect::<Vec<_>>(), [client_id.as_str()]);

    // The consumer persists offsets every 5 s and when it stops; take the shorter way.
    java.stop_consumer("c")?;
    assert_eq!(drained(&java, &namesrv)?, 20);
    assert!(java.consumer_connections(&namesrv, GROUP)?.is_empty());

    for (graceful, total) in [(true, 21), (false, 22)] {
        let started = Instant::now();
        cluster.stop_broker(!graceful);
        let stopped = started.elapsed();
        assert!(cluster.broker_pid().is_none());
        cluster.start_broker()?;
        eprintln!(
            "{}: graceful={graceful}: stop {stopped:?}, start {:?}",
            cluster.version(),
            cluster.broker_boot_time()
        );
        let sent = send_patiently(&java, total)?;
        assert!(sent.queue_offset >= 0);
        let max: i64 = java.offsets(&namesrv, GROUP, TOPIC)?.iter().map(|q| q.max).sum();
        assert_eq!(max, i64::from(total));
    }
    Ok(())
}

/// The client may still hold a dead connection or an old route right after a restart.
fn send_patiently(java: &JavaPeer, index: u32) -> Result<real::Sent, RealError> {
    let spec = SendSpec { first: index, ..SendSpec::new("p", TOPIC, "late-", 1) };
    let started = Instant::now();
    loop {
        match java.send(&spec) {
            Ok(mut sent) => return Ok(sent.remove(0)),
            Err(error) if started.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Waits until the group has committed all that is there; returns the sum.
fn drained(java: &JavaPeer, namesrv: &str) -> Result<i64, RealError> {
    let started = Instant::now();
    loop {
        let offsets: Vec<QueueOffset> = java.offsets(namesrv, GROUP, TOPIC)?;
        if offsets.iter().all(|q| q.committed.max(0) == q.max) || started.elapsed() > PATIENCE {
            return Ok(offsets.iter().map(|q| q.committed.max(0)).sum());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What other suites will lean on: failing listeners, Java's decoders, and a JVM that dies.
fn java_peer_commands(cluster: &RealCluster) -> Result<(), RealError> {
    let namesrv = cluster.namesrv();
    let java = JavaPeer::start()?;
    java.create_topic(&namesrv, "Failing", 2)?;
    java.create_group(&namesrv, "failing_group", 5)?;
    // Brokers make the retry topic at the first heartbeat; a Java consumer then needs up to 30 s to see it.
    java.create_topic(&namesrv, "%RETRY%failing_group", 1)?;
    java.start_producer(&ProducerSpec::new("p", &namesrv, "pg"))?;
    let consumer = ConsumerSpec {
        max_reconsume: Some(2),
        fail_prefixes: vec!["bad".into()],
        strategy: Some("AVG_BY_CIRCLE".into()),
        ..ConsumerSpec::new("c", &namesrv, "failing_group", "Failing")
    };
    java.start_consumer(&consumer)?;
    java.send(&SendSpec::new("p", "Failing", "bad-", 1))?;
    java.send(&SendSpec::new("p", "Failing", "good-", 1))?;
    let got = java.wait_consumed("c", 4, PATIENCE)?;
    let times: Vec<_> = got.iter().filter(|m| m.failed).map(|m| m.message.reconsume_times).collect();
    assert_eq!(times, [0, 1, 2], "{got:?}");
    assert_eq!(got.iter().filter(|m| m.body == "good-0").count(), 1);

    let text = b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";
    for kind in ["ZLIB", "LZ4", "ZSTD"] {
        let packed = java.compress(kind, 5, text)?;
        assert_eq!(java.decompress(kind, &packed)?, text);
    }
    let body = br#"{"clientID":"c","producerDataSet":[{"groupName":"g"}],"unknown":1}"#;
    assert!(java.decode_body("heartbeat.HeartbeatData", body)?.contains(r#""groupName":"g""#));
    let error = java.decode_frames(&[b"\0\0\0\x04\0\0\0\x09"]).expect_err("a header longer than the frame");
    assert!(matches!(error, RealError::Java { .. }), "{error}");
    let error = java.stop_consumer("nobody").expect_err("an unknown name");
    assert!(error.to_string().contains("nobody"), "{error}");

    let second = JavaPeer::start()?;
    second.kill();
    assert!(matches!(second.consumed("c"), Err(RealError::JavaGone { .. })));
    Ok(())
}
