//! The client's figures as a recorder gets them, in the simulator.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::FutureExt;
use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit};
use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::Client;
use rocketmq_core::message::Message;
use rocketmq_testkit::cluster::Node;
use rocketmq_testkit::sim::{Host, Sim, World};

/// All values of each figure: of a counter and a gauge, the last one.
#[derive(Clone, Default)]
struct Figures(Arc<Mutex<BTreeMap<String, Vec<f64>>>>);

struct Figure {
    name: String,
    all: Figures,
}

impl Figures {
    fn figure(&self, key: &Key) -> Arc<Figure> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(Figure { name: format!("{}{{{}}}", key.name(), labels.join(",")), all: self.clone() })
    }

    /// The value of a counter or a gauge, 0 when there is none.
    fn value(&self, name: &str) -> f64 {
        self.values(name).last().copied().unwrap_or_default()
    }

    fn values(&self, name: &str) -> Vec<f64> {
        self.0.lock().unwrap().get(name).cloned().unwrap_or_default()
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }
}

impl Figure {
    fn change(&self, change: impl FnOnce(&mut Vec<f64>)) {
        change(self.all.0.lock().unwrap().entry(self.name.clone()).or_default());
    }
}

impl CounterFn for Figure {
    fn increment(&self, value: u64) {
        self.change(|values| *values = vec![values.last().copied().unwrap_or_default() + value as f64]);
    }

    fn absolute(&self, _: u64) {
        panic!("nothing counts so");
    }
}

impl GaugeFn for Figure {
    fn increment(&self, _: f64) {
        panic!("nothing is measured so");
    }

    fn decrement(&self, _: f64) {
        panic!("nothing is measured so");
    }

    fn set(&self, value: f64) {
        self.change(|values| *values = vec![value]);
    }
}

impl HistogramFn for Figure {
    fn record(&self, value: f64) {
        self.change(|values| values.push(value));
    }
}

impl metrics::Recorder for Figures {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.figure(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.figure(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.figure(key))
    }
}

/// Runs code in a calm world, whose clients tell their figures.
fn calm<F: Future<Output = ()> + Send + 'static>(code: impl FnOnce(World, Figures) -> F) -> Figures {
    let figures = Figures::default();
    let told = figures.clone();
    let report = metrics::with_local_recorder(&figures, || {
        Sim::new(7).brokers(1).topic("t", 2).calm().run(|world| code(world, told))
    });
    assert_eq!(report.failure, None);
    figures
}

async fn client(world: &World) -> Client {
    client_on(&world.host("10.0.2.1")).await
}

async fn client_on(host: &Host) -> Client {
    Client::builder().instance_name("i").connect_on(host).await.unwrap()
}

const CLIENT: &str = "client=10.0.2.1@i";

#[test]
fn a_hundred_messages_sent_and_consumed_are_a_hundred_and_take_the_time_they_took() {
    calm(|world, told| async move {
        let client = client(&world).await;
        let producer = client.producer("p").start().await.unwrap();
        for n in 0..90 {
            producer.send(Message::new("t", n.to_string())).await.unwrap();
        }
        producer.send_batch((90..100).map(|n| Message::new("t", n.to_string())).collect()).await.unwrap();
        producer.send_oneway(Message::new("t", "nobody answers")).await.unwrap();
        let sends = |result| told.value(&format!("rocketmq_sends_total{{group=p,topic=t,result={result}}}"));
        assert_eq!((sends("stored"), sends("written"), sends("failed"), sends("abandoned")), (100.0, 1.0, 0.0, 0.0));
        let times = told.values("rocketmq_send_seconds{group=p,topic=t}");
        assert_eq!(times.len(), 92, "a batch is one");
        // What nobody answers is over when it is written, which takes no time here.
        assert!(times[..91].iter().all(|time| *time > 0.0 && *time < 1.0) && times[91] == 0.0, "{times:?}");
        let consumer = client.push_consumer("g").subscribe("t", "*").start_from(StartFrom::First);
        let consumer = consumer.start().await.unwrap();
        for n in 0..101 {
            let delivery = consumer.next().await.unwrap();
            world.sleep(Duration::from_millis(40)).await;
            if n < 98 { delivery.ack() } else { delivery.retry() }
        }
        let consumed =
            |topic, result| told.value(&format!("rocketmq_consumed_total{{group=g,topic={topic},result={result}}}"));
        assert_eq!((consumed("t", "ok"), consumed("t", "failed")), (98.0, 3.0));
        let handled = told.values("rocketmq_handle_seconds{group=g,topic=t}");
        assert!(handled.len() == 101 && handled.iter().all(|time| (*time - 0.04).abs() < 1e-9), "{handled:?}");
        assert_eq!(told.value("rocketmq_pulled_total{group=g,topic=t}"), 101.0);
        let pulls = told.values("rocketmq_pull_seconds{group=g,topic=t}");
        assert!(!pulls.is_empty() && pulls.iter().all(|time| *time > 0.0), "{pulls:?}");
        // What failed comes again by another topic, and there it counts.
        for _ in 0..3 {
            consumer.next().await.unwrap().ack();
        }
        assert_eq!((consumed("%RETRY%g", "ok"), consumed("t", "failed")), (3.0, 3.0));
        world.sleep(Duration::from_secs(10)).await;
        assert_eq!(told.value("rocketmq_assigned_queues{group=g,topic=t}"), 2.0);
        assert_eq!(told.value("rocketmq_rebalances_total{group=g,topic=t}"), 1.0);
        assert_eq!(told.values("rocketmq_backlog{group=g,topic=t,queue=broker-a#0}"), [0.0]);
        assert_eq!(told.value(&format!("rocketmq_links_up{{{CLIENT}}}")), 2.0);
        assert_eq!(told.values(&format!("rocketmq_cached_bytes{{{CLIENT}}}")), [0.0]);
        assert_eq!(told.value(&format!("rocketmq_connects_total{{{CLIENT},result=ok}}")), 2.0);
        let quiet = ["rocketmq_request_timeouts", "rocketmq_send_retries", "rocketmq_pull_failures", "rocketmq_poison"];
        let names = told.names();
        assert!(!names.iter().any(|name| quiet.iter().any(|quiet| name.starts_with(quiet))), "{names:?}");
        client.shutdown().await;
        world.sleep(Duration::from_secs(1)).await;
        assert_eq!(told.value("rocketmq_assigned_queues{group=g,topic=t}"), 0.0, "what is gone is 0");
        assert_eq!(told.value(&format!("rocketmq_links_up{{{CLIENT}}}")), 0.0);
    });
}

#[test]
fn what_waits_in_hand_is_a_gauge() {
    calm(|world, told| async move {
        let client = client(&world).await;
        let producer = client.producer("p").start().await.unwrap();
        for n in 0..10 {
            producer.send(Message::new("t", n.to_string())).await.unwrap();
        }
        let consumer = client.push_consumer("g").subscribe("t", "*").start_from(StartFrom::First);
        let consumer = consumer.start().await.unwrap();
        let first = consumer.next().await.unwrap();
        world.sleep(Duration::from_secs(10)).await;
        let backlog = |id| told.value(&format!("rocketmq_backlog{{group=g,topic=t,queue=broker-a#{id}}}"));
        assert_eq!(backlog(0) + backlog(1), 10.0);
        assert!(told.value(&format!("rocketmq_cached_bytes{{{CLIENT}}}")) > 0.0);
        drop(first);
        let panics = consumer.run(1, |delivery| async move {
            let _delivery = delivery;
            panic!("a handler that panics");
        });
        let end = async {
            world.sleep(Duration::from_secs(1)).await;
        };
        panics.or(end).await;
        let result = |result| told.value(&format!("rocketmq_consumed_total{{group=g,topic=t,result={result}}}"));
        assert_eq!((result("failed"), result("panicked"), result("ok")), (1.0, 9.0, 0.0));
        client.shutdown().await;
    });
}

#[test]
fn silence_refusal_and_impatience_are_told_apart() {
    calm(|world, told| async move {
        let host = world.host("10.0.2.1");
        let client = client_on(&host).await;
        let builder = client.producer("p").send_timeout(Duration::from_secs(3)).attempt_timeout(Duration::from_secs(1));
        let producer = builder.start().await.unwrap();
        producer.send(Message::new("t", "x")).await.unwrap();
        let sends = |result| told.value(&format!("rocketmq_sends_total{{group=p,topic=t,result={result}}}"));
        // Whoever does not wait for the end of a send has abandoned it.
        let impatient = async {
            producer.send(Message::new("t", "x")).await.unwrap();
        };
        impatient.or(async {}).await;
        assert_eq!((sends("stored"), sends("abandoned")), (1.0, 1.0));
        world.partition(&host, Node::Broker(0), Duration::from_secs(5));
        let error = producer.send(Message::new("t", "x")).await.unwrap_err();
        assert!(error.may_be_stored(), "{error}");
        assert_eq!(sends("unknown"), 1.0);
        assert!(told.value("rocketmq_request_timeouts_total{kind=send}") >= 1.0, "{:?}", told.names());
        world.sleep(Duration::from_secs(30)).await;
        world.stop(Node::Broker(0));
        world.sleep(Duration::from_secs(1)).await;
        let error = producer.send(Message::new("t", "x")).await.unwrap_err();
        assert!(!error.may_be_stored(), "{error}");
        assert_eq!(sends("failed"), 1.0);
        assert!(told.value("rocketmq_send_retries_total{group=p,topic=t}") >= 1.0, "{:?}", told.names());
        assert!(told.value(&format!("rocketmq_connects_total{{{CLIENT},result=failed}}")) >= 1.0, "{:?}", told.names());
        client.shutdown().await;
    });
}

/// The table in the docs names what is told, and nothing else is told.
#[test]
fn what_is_told_is_what_the_table_says() {
    let source = include_str!("../../core/src/driver/metrics.rs");
    let quoted = |text: &'static str| {
        let names = text.split('"').skip(1).step_by(2).filter(|name| name.starts_with("rocketmq_"));
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let (docs, code) = source.split_at(source.find("use alloc").unwrap());
    let rows = docs.lines().filter_map(|line| line.strip_prefix("//! | `rocketmq_")).map(|row| row.split('`').next());
    let rows: std::collections::BTreeSet<_> = rows.map(|name| format!("rocketmq_{}", name.unwrap())).collect();
    assert!(rows.len() > 15 && rows.iter().map(String::as_str).eq(quoted(code)), "{rows:?} {:?}", quoted(code));
}
