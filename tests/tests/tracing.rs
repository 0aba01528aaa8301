//! Message trace in the simulator: what is noted of what, and that nobody waits for it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::future::Future;
use std::time::Duration;

use rocketmq_core::client::ClientEvent;
use rocketmq_core::config::{StartFrom, TraceConfig};
use rocketmq_core::driver::{Client, Producer, PushConsumer};
use rocketmq_core::message::Message;
use rocketmq_core::trace::{ContextCode, MessageKind, TraceRecord, decode};
use rocketmq_core::transaction::Resolution;
use rocketmq_testkit::cluster::{BrokerConfig, Node, TopicConfig};
use rocketmq_testkit::sim::{Sim, World};

const TRACES: &str = "RMQ_SYS_TRACE_TOPIC";

async fn client(world: &World) -> Client {
    let host = world.host("10.0.2.1");
    Client::builder().trace(TraceConfig::default()).connect_on(&host).await.unwrap()
}

async fn producer(client: &Client) -> Producer {
    client.producer("p").start().await.unwrap()
}

async fn consumer(client: &Client) -> PushConsumer {
    let builder = client.push_consumer("g").subscribe("t", "*").start_from(StartFrom::First);
    builder.consume_timeout(Duration::from_secs(60)).start().await.unwrap()
}

/// All records that brokers have, with the keys of their messages.
fn traces(world: &World) -> Vec<(TraceRecord, String)> {
    let mut all = Vec::new();
    for stored in world.stored(TRACES) {
        let keys = stored.properties.get("KEYS").unwrap_or_default().to_owned();
        all.extend(decode(&stored.body).map(|record| (record.unwrap(), keys.clone())));
    }
    all
}

/// Each record in a word or two.
fn told(world: &World) -> Vec<String> {
    let text = |(record, _): (TraceRecord, _)| match record {
        TraceRecord::Pub(record) => format!("pub {:?} {:?} {}", record.kind, record.keys, record.success),
        TraceRecord::SubBefore(record) => format!("before {}", record.retry_times),
        TraceRecord::SubAfter(record) => format!("after {} {:?}", record.success, record.context_code),
        TraceRecord::EndTransaction(record) => format!("end {:?} {}", record.resolution, record.from_check),
        TraceRecord::Recall(record) => format!("recall {}", record.success),
    };
    traces(world).into_iter().map(text).collect()
}

fn calm<F: Future<Output = ()> + Send + 'static>(code: impl FnOnce(World) -> F) {
    let broker = BrokerConfig { recall: true, ..BrokerConfig::default() };
    let report = Sim::new(7).brokers(1).config(broker).topic("t", 2).topic(TRACES, 1).calm().run(code);
    assert_eq!(report.failure, None);
}

#[test]
fn a_message_is_traced_where_it_is_stored_handed_out_and_settled() {
    calm(|world| async move {
        let client = client(&world).await;
        let (producer, consumer) = (producer(&client).await, consumer(&client).await);
        let message = Message::new("t", "hello").with_tag("x").with_key("a").with_key("b");
        let receipt = producer.send(message).await.unwrap();
        let delivery = consumer.next().await.unwrap();
        world.sleep(Duration::from_millis(40)).await;
        delivery.ack();
        assert!(traces(&world).is_empty(), "three records are no batch");
        world.sleep(Duration::from_secs(6)).await;
        let all = traces(&world);
        let [(TraceRecord::Pub(stored), keys), (TraceRecord::SubBefore(before), _), (TraceRecord::SubAfter(after), _)] =
            &all[..]
        else {
            panic!("{all:?}");
        };
        assert_eq!(*keys, format!("{} a b", receipt.msg_id), "{keys}");
        assert_eq!((stored.group.as_str(), stored.topic.as_str(), stored.body_len), ("p", "t", 5));
        assert_eq!((&stored.msg_id, stored.offset_msg_id.as_ref()), (&receipt.msg_id, Some(&receipt.offset_msg_id)));
        assert_eq!((stored.tags.as_deref(), stored.keys.as_deref()), (Some("x"), Some("a b")));
        assert_eq!((stored.kind, stored.success, stored.region.as_str()), (MessageKind::Normal, true, "DefaultRegion"));
        assert!(stored.store_host.ends_with(":10911"), "{stored:?}");
        assert_eq!((before.group.as_str(), before.retry_times), ("g", 0));
        assert_eq!((&before.msg_id, before.keys.as_deref()), (&receipt.msg_id, Some("a b")));
        assert_eq!((&after.msg_id, &after.request_id), (&receipt.msg_id, &before.request_id));
        assert_eq!((after.cost, after.success, after.context_code), (40, true, Some(ContextCode::Success.to_wire())));
        assert_eq!(after.by.as_ref().map(|(_, group)| group.as_str()), Some("g"));
        client.shutdown().await;
    });
}

#[test]
fn a_message_that_comes_again_is_the_same_message() {
    calm(|world| async move {
        let client = client(&world).await;
        let (producer, consumer) = (producer(&client).await, consumer(&client).await);
        let receipt = producer.send(Message::new("t", "a")).await.unwrap();
        consumer.next().await.unwrap().retry();
        consumer.next().await.unwrap().ack();
        client.shutdown().await;
        let expected = ["pub Normal None true", "before 0", "after false Some(4)", "before 1", "after true Some(0)"];
        assert_eq!(told(&world), expected);
        assert!(traces(&world).iter().all(|(record, _)| record.msg_id() == receipt.msg_id));
    });
}

#[test]
fn what_is_left_is_sent_in_the_order_of_the_shutdown() {
    calm(|world| async move {
        let client = client(&world).await;
        let (producer, consumer) = (producer(&client).await, consumer(&client).await);
        producer.send(Message::new("t", "a")).await.unwrap();
        let delivery = consumer.next().await.unwrap();
        let host = world.host("10.0.2.1");
        let settling = world.clone();
        let settle = world.spawn_on(&host, async move {
            settling.sleep(Duration::from_secs(2)).await;
            delivery.ack();
        });
        client.shutdown().await;
        settle.await;
        assert_eq!(told(&world), ["pub Normal None true", "before 0", "after true Some(0)"]);
    });
}

#[test]
fn who_is_dropped_sends_what_is_left() {
    calm(|world| async move {
        let tracing = client(&world).await;
        let (producer, consumer) = (producer(&tracing).await, consumer(&tracing).await);
        producer.send(Message::new("t", "a")).await.unwrap();
        drop(producer);
        world.sleep(Duration::from_millis(500)).await;
        assert_eq!(told(&world), ["pub Normal None true"]);
        consumer.next().await.unwrap().ack();
        let drained = consumer.shutdown().await;
        assert_eq!(
            (drained.unsettled, &told(&world)[1..]),
            (0, &["before 0", "after true Some(0)"].map(String::from)[..])
        );
        let mut events = tracing.events();
        drop((consumer, tracing));
        // The last handle: the client ends.
        let ended = async { while events.next().await.is_some() {} };
        let late = async {
            world.sleep(Duration::from_secs(3)).await;
            panic!("a trace keeps the client alive");
        };
        futures_lite::future::or(ended, late).await;
    });
}

#[test]
fn each_message_of_a_batch_is_traced_and_those_handed_out_together_are_one_request() {
    calm(|world| async move {
        let client = client(&world).await;
        let producer = producer(&client).await;
        let messages = ["a", "b", "c"].map(|body| Message::new("t", body).with_key(body));
        let sent = producer.send_batch(messages.to_vec()).await.unwrap();
        producer.send_oneway(Message::new("t", "nobody answers")).await.unwrap();
        let consumer = consumer(&client).await;
        let mut handed = consumer.next_batch(10).await.unwrap();
        while handed.len() < 3 {
            handed.ack();
            handed = consumer.next_batch(10).await.unwrap();
        }
        handed.ack_up_to(2);
        client.shutdown().await;
        let all = traces(&world);
        let ids = |record: &&(TraceRecord, String)| record.0.msg_id().to_owned();
        let pubs = all.iter().filter(|(record, _)| matches!(record, TraceRecord::Pub(_)));
        let sent: Vec<_> = sent.messages.into_iter().map(|receipt| receipt.msg_id).collect();
        assert_eq!(pubs.map(|record| ids(&record)).collect::<Vec<_>>(), sent, "who gets no answer knows nothing");
        let (mut requests, mut ends) = (Vec::new(), Vec::new());
        for (record, _) in all.iter().filter(|record| sent.contains(&ids(record))) {
            match record {
                TraceRecord::SubBefore(record) => requests.push(&record.request_id),
                TraceRecord::SubAfter(record) => ends.push((record.success, &record.request_id)),
                TraceRecord::Pub(_) | TraceRecord::EndTransaction(_) | TraceRecord::Recall(_) => {}
            }
        }
        requests.dedup();
        assert_eq!(requests.len(), 1);
        assert_eq!(ends, [true, true, false].map(|success| (success, requests[0])));
    });
}

#[test]
fn transactions_delays_and_recalls_are_traced() {
    calm(|world| async move {
        let client = client(&world).await;
        let checker = |_| async { Resolution::Commit };
        let producer = client.transaction_producer("bank").checker(checker).topic("t").start().await.unwrap();
        producer.begin(Message::new("t", "a").with_key("k")).await.unwrap().rollback().await.unwrap();
        drop(producer.begin(Message::new("t", "b")).await.unwrap());
        let later = Message::new("t", "c").with_delay(Duration::from_secs(3_600));
        let receipt = producer.producer().send(later).await.unwrap();
        world.sleep(Duration::from_secs(40)).await;
        producer.producer().recall("t", receipt.recall_handle.as_deref().unwrap()).await.unwrap();
        client.shutdown().await;
        let expected = [
            "pub Half Some(\"k\") true",
            "end Rollback false",
            "pub Half None true",
            "pub Delayed None true",
            "end Commit true",
            "recall true",
        ];
        assert_eq!(told(&world), expected);
        let hosts: Vec<_> = traces(&world)
            .into_iter()
            .filter_map(|(record, _)| match record {
                TraceRecord::EndTransaction(end) => Some((end.store_host, end.keys)),
                TraceRecord::Pub(_) | TraceRecord::SubBefore(_) | TraceRecord::SubAfter(_) | TraceRecord::Recall(_) => {
                    None
                }
            })
            .collect();
        assert!(hosts.iter().all(|(host, _)| host.ends_with(":10911")), "{hosts:?}");
        assert_eq!(hosts[0].1.as_deref(), Some("k"));
    });
}

#[test]
fn traces_and_what_brokers_want_no_trace_of_are_not_traced() {
    calm(|world| async move {
        let client = client(&world).await;
        let builder = client.push_consumer("watch").subscribe(TRACES, "*").start_from(StartFrom::First);
        let watching = builder.start().await.unwrap();
        let producer = producer(&client).await;
        producer.send(Message::new("t", "a")).await.unwrap();
        producer.send(Message::new(TRACES, "Pub")).await.unwrap();
        watching.next().await.unwrap().ack();
        watching.next().await.unwrap().ack();
        world.sleep(Duration::from_secs(30)).await;
        client.shutdown().await;
        let all: Vec<_> = world.stored(TRACES).iter().map(|stored| decode(&stored.body).count()).collect();
        assert_eq!(all, [1, 1], "of the trace itself nothing");
    });
    let broker = BrokerConfig { trace_on: false, ..BrokerConfig::default() };
    let sim = Sim::new(7).brokers(1).config(broker).topic("t", 1).topic(TRACES, 1).calm();
    let report = sim.run(|world| async move {
        let client = client(&world).await;
        producer(&client).await.send(Message::new("t", "a")).await.unwrap();
        consumer(&client).await.next().await.unwrap().ack();
        client.shutdown().await;
        assert!(traces(&world).is_empty());
    });
    assert_eq!(report.failure, None);
}

#[test]
fn traces_that_cannot_be_sent_delay_nobody_and_are_told() {
    let broker = BrokerConfig { auto_create_topics: false, ..BrokerConfig::default() };
    let report = Sim::new(7).brokers(2).config(broker).topic("t", 1).calm().run(|world| async move {
        let host = world.host("10.0.2.1");
        let config = TraceConfig { topic: "traces".into(), ..TraceConfig::default() };
        let client = Client::builder().trace(config).connect_on(&host).await.unwrap();
        let mut events = client.events();
        let builder = client.producer("p").send_timeout(Duration::from_secs(2));
        let producer = builder.start().await.unwrap();
        // Only one of the brokers has the topic of traces, and that one is gone.
        world.cluster(|cluster| cluster.broker_mut(1).put_topic("traces", TopicConfig::new(1)));
        world.topic("t", 1);
        producer.send(Message::new("t", "first")).await.unwrap();
        world.crash(Node::Broker(1));
        let began = world.now();
        let mut sent = 0;
        while sent < 3_000 {
            sent += u64::from(producer.send(Message::new("t", "x")).await.is_ok());
        }
        let took = world.now().since(began);
        assert!(took < Duration::from_secs(30), "{took:?}");
        let began = world.now();
        client.shutdown().await;
        let took = world.now().since(began);
        assert!(took < Duration::from_secs(7), "{took:?}");
        let mut lost = Vec::new();
        while let Some(event) = events.try_next() {
            if let ClientEvent::TraceLost { group, records } = event {
                assert_eq!(group.as_str(), "p");
                lost.push(records);
            }
        }
        assert!(lost.is_sorted() && lost.len() < 15, "{lost:?}");
        assert_eq!(lost.last(), Some(&3_001), "all of them in the end");
    });
    assert_eq!(report.failure, None);
}

#[test]
fn how_long_handlers_take_and_how_they_end_is_told() {
    calm(|world| async move {
        let client = client(&world).await;
        let producer = producer(&client).await;
        let consumer = consumer(&client).await;
        for body in ["fails", "takes long", "panics"] {
            producer.send(Message::new("t", body)).await.unwrap();
            let delivery = consumer.next().await.unwrap();
            match body {
                "fails" => delivery.dead_letter(),
                "takes long" => {
                    world.sleep(Duration::from_secs(60)).await;
                    delivery.ack();
                }
                _ => {
                    let panics = std::panic::AssertUnwindSafe(move || {
                        let _delivery = delivery;
                        panic!("on purpose");
                    });
                    assert!(std::panic::catch_unwind(panics).is_err());
                }
            }
        }
        client.shutdown().await;
        let ends: Vec<_> = told(&world).into_iter().filter(|told| told.starts_with("after")).collect();
        assert_eq!(ends, ["after false Some(4)", "after true Some(1)", "after false Some(2)"]);
    });
}
