//! Hooks in the simulator: those of consumers hear of messages whichever way these come, those of producers of each end.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::FutureExt;
use rocketmq_core::config::{Permission, ServerPolicy, StartFrom};
use rocketmq_core::driver::{Client, ConsumeContext, ConsumeHook, ConsumeOutcome, DelayLevel, Delivery, PushConsumer};
use rocketmq_core::error::RequestFailure;
use rocketmq_core::message::Message;
use rocketmq_core::send::{Receipt, SendContext, SendError, SendHook};
use rocketmq_core::wire::body::ConsumeResult;
use rocketmq_testkit::sim::{Sim, World};

type Rows = Arc<Mutex<Vec<String>>>;

/// Notes what it is told, and wants no messages that say `no`.
struct Notes(Rows);

impl Notes {
    fn note(&self, context: &ConsumeContext<'_>, what: &str) {
        let body = String::from_utf8_lossy(context.message.body()).into_owned();
        let direct = if context.direct { " for an operator" } else { "" };
        self.0.lock().unwrap().push(format!("{body} {what}{direct}"));
    }
}

impl ConsumeHook for Notes {
    fn wants(&self, context: &ConsumeContext<'_>) -> bool {
        self.note(context, "wanted?");
        !context.message.body().starts_with(b"no")
    }

    fn before(&self, context: &ConsumeContext<'_>) {
        self.note(context, "before");
    }

    fn after(&self, context: &ConsumeContext<'_>, outcome: ConsumeOutcome) {
        self.note(context, &format!("{outcome:?}"));
    }
}

/// A client, its consumer with a hook, and what that is told.
async fn consumer(world: &World, pop: bool) -> (Client, PushConsumer, Rows) {
    let policy = ServerPolicy { consume_directly: Permission::Allow, ..ServerPolicy::default() };
    let client = Client::builder().server_policy(policy).connect_on(&world.host("10.0.1.1")).await.unwrap();
    let rows = Rows::default();
    let builder = client.push_consumer("g").subscribe("t", "*").start_from(StartFrom::First).hook(Notes(rows.clone()));
    let builder = if pop { builder.pop().pop_invisible(Duration::from_secs(10)) } else { builder };
    let consumer = builder.start().await.unwrap();
    world.sleep(Duration::from_secs(5)).await;
    (client, consumer, rows)
}

/// What comes within a minute, settled.
async fn handle(world: &World, consumer: &PushConsumer, settle: impl Fn(Delivery)) -> usize {
    let (end, mut count) = (world.now().after(Duration::from_secs(60)), 0);
    loop {
        let next = async { consumer.next().await }.or(async {
            world.sleep_until(end).await;
            None
        });
        let Some(delivery) = next.await else { return count };
        settle(delivery);
        count += 1;
    }
}

#[test]
fn of_popped_messages_those_that_are_not_wanted_are_acknowledged_and_the_others_told_of() {
    Sim::new(21).brokers(1).topic("t", 1).calm().run(|world| async move {
        let (client, consumer, rows) = consumer(&world, true).await;
        let producer = client.producer("p").start().await.unwrap();
        for body in ["a", "no", "b"] {
            producer.send(Message::new("t", body)).await.unwrap();
        }
        let fails_once = |delivery: Delivery| match delivery.message().reconsume_times() {
            0 if delivery.message().body() == "b".as_bytes() => delivery.retry_at(DelayLevel::S1),
            _ => delivery.ack(),
        };
        // Far longer than what is popped is hidden: what is not acknowledged would come again.
        assert_eq!(handle(&world, &consumer, fails_once).await, 3);
        let told = std::mem::take(&mut *rows.lock().unwrap());
        let of = |body: &str| told.iter().filter(|row| row.starts_with(body)).cloned().collect::<Vec<_>>();
        assert_eq!(of("a"), ["a wanted?", "a before", "a Consumed"]);
        assert_eq!(of("no"), ["no wanted?"]);
        assert_eq!(of("b"), ["b wanted?", "b before", "b Failed", "b wanted?", "b before", "b Consumed"]);
        client.shutdown().await;
    });
}

#[test]
fn what_an_operator_has_handled_is_told_of_and_asked_about_by_nobody() {
    Sim::new(22).brokers(1).topic("t", 1).calm().run(|world| async move {
        let (client, consumer, rows) = consumer(&world, false).await;
        let producer = client.producer("p").start().await.unwrap();
        let mut sent = Vec::new();
        for body in ["a", "no"] {
            sent.push(producer.send(Message::new("t", body)).await.unwrap());
        }
        assert_eq!(handle(&world, &consumer, Delivery::ack).await, 1);
        rows.lock().unwrap().clear();
        let (admin, me) = (client.admin(), client.client_id());
        for (receipt, body, result) in [(&sent[0], "a", ConsumeResult::Success), (&sent[1], "no", ConsumeResult::Later)]
        {
            let id = receipt.offset_msg_id.parse().unwrap();
            let handler = async {
                let delivery = consumer.next().await.unwrap();
                assert!(delivery.is_direct());
                if result == ConsumeResult::Success {
                    delivery.ack()
                } else {
                    delivery.retry()
                }
                std::future::pending().await
            };
            let told = admin.consume_directly("g", me.clone(), &receipt.queue, id).or(handler).await.unwrap();
            assert_eq!(told.consume_result, Some(result));
            let outcome = if result == ConsumeResult::Success { "Consumed" } else { "Failed" };
            let rows = std::mem::take(&mut *rows.lock().unwrap());
            assert_eq!(rows, [format!("{body} before for an operator"), format!("{body} {outcome} for an operator")]);
        }
        client.shutdown().await;
    });
}

/// Notes the messages that are sent, and how that ended.
struct Sends(Rows);

impl SendHook for Sends {
    fn before(&self, context: &SendContext<'_>) -> Result<(), String> {
        self.0.lock().unwrap().push(format!("{} begins", String::from_utf8_lossy(context.message.body())));
        Ok(())
    }

    fn after(&self, context: &SendContext<'_>, result: Result<Option<&Receipt>, &SendError>) {
        let end = match result {
            Ok(_) => "is stored".to_owned(),
            Err(SendError::Request(error)) if error.why == RequestFailure::Busy => "found no room".to_owned(),
            Err(error) => error.to_string(),
        };
        self.0.lock().unwrap().push(format!("{} {end}", String::from_utf8_lossy(context.message.body())));
    }
}

#[test]
fn hooks_of_a_producer_hear_the_end_of_whatever_they_heard_the_beginning_of() {
    let report = Sim::new(23).brokers(1).topic("t", 1).calm().run(|world| async move {
        let client = Client::builder().connect_on(&world.host("10.0.1.1")).await.unwrap();
        let rows = Rows::default();
        let builder = client.producer("p").under_way(1, 1 << 20).send_timeout(Duration::from_secs(1));
        let producer = builder.hook(Sends(rows.clone())).start().await.unwrap();
        let held = producer.try_send(Message::new("t", "held")).unwrap();
        producer.send(Message::new("t", "a")).await.unwrap_err();
        drop(held);
        let batch = ["b", ""].map(|body| Message::new("t", body)).to_vec();
        producer.send_batch(batch).await.unwrap_err();
        producer.send(Message::new("t", "c")).await.unwrap();
        let told = std::mem::take(&mut *rows.lock().unwrap());
        let ends = ["a found no room", "b message: the body is empty", "c is stored"];
        assert_eq!(told, [["a begins", ends[0]], ["b begins", ends[1]], ["c begins", ends[2]]].concat());
        client.shutdown().await;
    });
    assert_eq!(report.failure, None);
}
