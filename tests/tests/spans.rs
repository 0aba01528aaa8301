//! What a subscriber of `tracing` sees of sends, handlers and requests, in the simulator.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::FutureExt;
use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::Client;
use rocketmq_core::message::Message;
use rocketmq_testkit::cluster::Node;
use rocketmq_testkit::sim::{Sim, World};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Instrument, Metadata, Subscriber};

/// A span, and what was noted of it.
#[derive(Clone, Debug, Default)]
struct Seen {
    name: &'static str,
    fields: BTreeMap<&'static str, String>,
    parent: Option<&'static str>,
    handles: usize,
    /// What was told within it.
    events: Vec<String>,
}

/// All spans, and those that are entered.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<(Vec<Seen>, Vec<usize>)>>);

impl Spans {
    fn of(&self, name: &str) -> Vec<Seen> {
        self.0.lock().unwrap().0.iter().filter(|seen| seen.name == name).cloned().collect()
    }
}

impl Seen {
    fn field(&self, key: &str) -> &str {
        self.fields.get(key).map(String::as_str).unwrap_or_default()
    }
}

impl Visit for Seen {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

fn place(id: &Id) -> usize {
    usize::try_from(id.into_u64()).unwrap() - 1
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() || metadata.target().starts_with("rocketmq_core::driver::span") || metadata.name() == "user"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let (all, entered) = &mut *self.0.lock().unwrap();
        let inner = entered.last().filter(|_| attributes.is_contextual()).map(|at| all[*at].name);
        let mut seen = Seen { name: attributes.metadata().name(), parent: inner, handles: 1, ..Seen::default() };
        attributes.record(&mut seen);
        all.push(seen);
        Id::from_u64(all.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        values.record(&mut self.0.lock().unwrap().0[place(id)]);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let (all, entered) = &mut *self.0.lock().unwrap();
        let mut told = Seen::default();
        event.record(&mut told);
        if let Some(at) = entered.last() {
            all[*at].events.push(told.field("message").to_owned());
        }
    }

    fn enter(&self, id: &Id) {
        self.0.lock().unwrap().1.push(place(id));
    }

    fn exit(&self, id: &Id) {
        let entered = &mut self.0.lock().unwrap().1;
        assert_eq!(entered.pop(), Some(place(id)), "spans are left in the order in which they were entered");
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.0.lock().unwrap().0[place(id)].handles += 1;
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let seen = &mut self.0.lock().unwrap().0[place(&id)];
        seen.handles -= 1;
        seen.handles == 0
    }
}

fn calm<F: Future<Output = ()> + Send + 'static>(code: impl FnOnce(World, Spans) -> F) {
    let spans = Spans::default();
    let seen = spans.clone();
    let report = tracing::subscriber::with_default(spans.clone(), || {
        Sim::new(7).brokers(1).topic("t", 1).calm().run(|world| code(world, seen))
    });
    assert_eq!(report.failure, None);
    for name in ["send", "process", "request"] {
        assert!(spans.of(name).iter().all(|seen| seen.handles == 0), "a span stays open: {:?}", spans.of(name));
    }
}

async fn client(world: &World) -> Client {
    Client::builder().connect_on(&world.host("10.0.2.1")).await.unwrap()
}

#[test]
fn a_send_is_a_span_of_its_caller_that_says_where_it_went() {
    calm(|world, spans| async move {
        let client = client(&world).await;
        let producer = client.producer("p").start().await.unwrap();
        let message = Message::new("t", "hello").with_key("a").with_key("b");
        let user = tracing::info_span!("user");
        let receipt = producer.send(message).instrument(user).await.unwrap();
        let [send] = &spans.of("send")[..] else { panic!("{:?}", spans.of("send")) };
        assert_eq!((send.parent, send.field("group"), send.field("topic")), (Some("user"), "p", "t"));
        assert_eq!((send.field("id"), send.field("keys"), send.field("messages")), (&*receipt.msg_id, "a b", "1"));
        assert_eq!((send.field("attempts"), send.field("broker"), send.field("result")), ("1", "broker-a", "stored"));
        assert_eq!((send.field("queue"), send.field("offset"), send.field("error")), ("0", "0", ""));
        producer.send_batch(vec![Message::new("t", "1"), Message::new("t", "2")]).await.unwrap();
        producer.send_oneway(Message::new("t", "3")).await.unwrap();
        let rows: Vec<_> = spans
            .of("send")
            .iter()
            .map(|send| format!("{} {}", send.field("messages"), send.field("result")))
            .collect();
        assert_eq!(rows, ["1 stored", "2 stored", "1 written"]);
        assert!(!format!("{:?}", spans.of("send")).contains("hello"), "no body");
        world.stop(Node::Broker(0));
        world.sleep(Duration::from_secs(1)).await;
        producer.send(Message::new("t", "4")).await.unwrap_err();
        let last = spans.of("send").pop().unwrap();
        assert_eq!((last.field("result"), last.field("error").is_empty()), ("failed", false), "{last:?}");
        client.shutdown().await;
    });
}

#[test]
fn a_handler_runs_within_a_span_of_its_message() {
    calm(|world, spans| async move {
        let client = client(&world).await;
        let producer = client.producer("p").start().await.unwrap();
        let receipt = producer.send(Message::new("t", "hello").with_key("k")).await.unwrap();
        let consumer = client.push_consumer("g").subscribe("t", "*").start_from(StartFrom::First);
        let consumer = consumer.start().await.unwrap();
        let handler = |delivery: rocketmq_core::driver::Delivery| {
            tracing::info!("called");
            let world = world.clone();
            async move {
                world.sleep(Duration::from_millis(1)).await;
                tracing::info!("handled");
                if delivery.message().reconsume_times() == 0 { delivery.retry() } else { delivery.ack() }
            }
        };
        let user = tracing::info_span!("user");
        let end = async {
            world.sleep(Duration::from_secs(30)).await;
        };
        consumer.run(2, handler).instrument(user).or(end).await;
        let [first, again] = &spans.of("process")[..] else { panic!("{:?}", spans.of("process")) };
        assert_eq!((first.parent, first.field("group"), first.field("topic")), (None, "g", "t"));
        assert_eq!((first.field("queue"), first.field("offset"), first.field("keys")), ("t@broker-a#0", "0", "k"));
        assert_eq!((first.field("id"), first.field("reconsume_times")), (&*receipt.msg_id, "0"));
        assert_eq!(first.events, ["called", "handled"]);
        assert_eq!((again.field("queue"), again.field("reconsume_times")), ("%RETRY%g@broker-a#0", "1"));
        assert_eq!((again.field("topic"), again.field("id")), ("t", &*receipt.msg_id));
        for n in 0..3 {
            producer.send(Message::new("t", n.to_string())).await.unwrap();
        }
        let end = async {
            world.sleep(Duration::from_secs(30)).await;
        };
        consumer.run_batches(1, 8, |batch| async move { batch.ack() }).or(end).await;
        let counts: usize =
            spans.of("process").iter().skip(2).map(|span| span.field("messages").parse::<usize>().unwrap()).sum();
        assert_eq!(counts, 3, "{:?}", spans.of("process"));
        client.shutdown().await;
    });
}

#[test]
fn a_question_to_a_server_is_a_span_with_its_answer() {
    calm(|world, spans| async move {
        let client = client(&world).await;
        let queue = client.admin().queues("t").await.unwrap().remove(0);
        client.admin().max_offset(&queue).await.unwrap();
        let rows = |seen: &[Seen]| -> Vec<(String, String, String)> {
            let field = |seen: &Seen, key| seen.field(key).to_owned();
            seen.iter().map(|seen| (field(seen, "to"), field(seen, "code"), field(seen, "result"))).collect()
        };
        let all = rows(&spans.of("request"));
        assert_eq!(all[0], ("name server".into(), "105".into(), "0".into()));
        let (to, code, result) = all.last().unwrap();
        assert!(to.ends_with(":10911") && code == "30" && result == "0", "{all:?}");
        world.stop(Node::Broker(0));
        world.sleep(Duration::from_secs(1)).await;
        client.admin().max_offset(&queue).await.unwrap_err();
        let (_, code, result) = rows(&spans.of("request")).pop().unwrap();
        assert!(code == "30" && result.contains("connect"), "{result}");
        client.shutdown().await;
    });
}
