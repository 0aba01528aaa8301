//! Requests and replies in the simulator.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm
)]

use std::future::Future;
use std::time::Duration;

use rocketmq_core::client::ClientEvent;
use rocketmq_core::driver::{Client, Producer, ReplyError, RespondError};
use rocketmq_core::message::Message;
use rocketmq_core::request::NoRequest;
use rocketmq_core::send::SendError;
use rocketmq_testkit::sim::{Sim, Task, World};

const TIMEOUT: Duration = Duration::from_secs(10);

fn calm<F: Future<Output = ()> + Send + 'static>(code: impl FnOnce(World) -> F) {
    Sim::new(11).brokers(2).topic("t", 2).calm().run(code);
}

/// A process that replies to each request after a while: to `question` by `question!`, to `silence` not at all.
async fn responder(world: &World, pause: Duration) -> (Client, Task<Vec<Result<(), RespondError>>>) {
    let host = world.host("10.0.1.1");
    let client = Client::builder().connect_on(&host).await.unwrap();
    let producer = client.producer("answers").start().await.unwrap();
    let consumer = client.push_consumer("answerers").subscribe("t", "*").start().await.unwrap();
    let clock = world.clone();
    let task = world.spawn_on(&host, async move {
        let mut replies = Vec::new();
        while let Some(delivery) = consumer.next().await {
            let body = String::from_utf8_lossy(delivery.message().body()).into_owned();
            clock.sleep(pause).await;
            if body != "silence" {
                let reply = producer.reply(delivery.message(), format!("{body}!")).await;
                replies.push(reply.map(drop));
            }
            delivery.ack();
        }
        replies
    });
    world.sleep(Duration::from_secs(5)).await;
    (client, task)
}

async fn requester(world: &World) -> (Client, Producer) {
    let client = Client::builder().connect_on(&world.host("10.0.2.1")).await.unwrap();
    let producer = client.producer("asks").start().await.unwrap();
    (client, producer)
}

#[test]
fn a_request_gets_the_reply_to_it() {
    calm(|world| async move {
        let (other, replies) = responder(&world, Duration::from_millis(5)).await;
        let (client, producer) = requester(&world).await;
        for number in 0..20 {
            let question = Message::new("t", format!("{number}")).with_tag("x");
            let reply = producer.request(question, TIMEOUT).await.unwrap();
            assert_eq!(reply.body(), format!("{number}!").as_bytes());
            assert_eq!(reply.property("MSG_TYPE"), Some("reply"));
            assert_eq!(reply.property("REPLY_TO_CLIENT"), Some(client.client_id().as_str()));
        }
        let many: Vec<_> = (0..50)
            .map(|number| {
                let producer = producer.clone();
                world.spawn(async move {
                    let reply = producer.request(Message::new("t", format!("{number}")), TIMEOUT).await.unwrap();
                    reply.body() == format!("{number}!").as_bytes()
                })
            })
            .collect();
        for one in many {
            assert!(one.await.unwrap(), "each has its own");
        }
        assert_eq!(world.stored("DefaultCluster_REPLY_TOPIC").len(), 70);
        client.shutdown().await;
        other.shutdown().await;
        assert!(replies.await.unwrap().iter().all(Result::is_ok));
    });
}

#[test]
fn a_request_without_reply_ends_in_time_and_what_comes_later_is_dropped() {
    calm(|world| async move {
        let (other, _replies) = responder(&world, Duration::from_secs(4)).await;
        let (client, producer) = requester(&world).await;
        let mut events = client.events();
        let begun = world.now();
        let late = producer.request(Message::new("t", "slow"), Duration::from_secs(3)).await;
        assert_eq!(late.unwrap_err(), ReplyError::Timeout);
        assert_eq!(world.now().since(begun), Duration::from_secs(3));
        let none = producer.request(Message::new("t", "silence"), Duration::from_secs(6)).await;
        assert_eq!(none.unwrap_err(), ReplyError::Timeout);
        let late = std::iter::from_fn(|| events.try_next()).filter_map(|event| match event {
            ClientEvent::LateReply { times, .. } => Some(times),
            _ => None,
        });
        assert_eq!(late.collect::<Vec<_>>(), [1]);
        client.shutdown().await;
        other.shutdown().await;
    });
}

#[test]
fn a_reply_to_nobody_is_refused() {
    calm(|world| async move {
        let (other, replies) = responder(&world, Duration::from_secs(4)).await;
        let (client, producer) = requester(&world).await;
        let asking = producer.clone();
        let waiting = world.spawn(async move { asking.request(Message::new("t", "gone"), TIMEOUT).await });
        world.sleep(Duration::from_secs(1)).await;
        client.shutdown().await;
        assert_eq!(waiting.await.unwrap().unwrap_err(), ReplyError::Closed);
        assert_eq!(producer.request(Message::new("t", "x"), TIMEOUT).await.unwrap_err(), ReplyError::Closed);
        world.sleep(Duration::from_secs(10)).await;
        other.shutdown().await;
        let replies = replies.await.unwrap();
        assert!(matches!(replies[0], Err(RespondError::Send(SendError::Broker { code: 1, .. }))), "{replies:?}");
    });
}

#[test]
fn what_is_no_request_has_no_reply() {
    calm(|world| async move {
        let (other, replies) = responder(&world, Duration::ZERO).await;
        let (client, producer) = requester(&world).await;
        producer.send(Message::new("t", "no question")).await.unwrap();
        world.sleep(Duration::from_secs(2)).await;
        client.shutdown().await;
        other.shutdown().await;
        assert_eq!(replies.await.unwrap(), [Err(RespondError::NoRequest(NoRequest("CORRELATION_ID")))]);
    });
}
