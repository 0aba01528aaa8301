//! Requests and replies, with Java at either end.

use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use rocketmq_core::client::ClientEvent;
use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{Client, Producer, PushConsumer, ReplyError, RespondError};
use rocketmq_core::message::Message;
use rocketmq_core::request::NoRequest;
use rocketmq_core::send::{SendError, Target};

use super::checks::Scope;
use super::kit::{PATIENCE, World, drain, eventually, producer};
use super::runtimes::Live;

const COUNT: usize = 20;

pub(crate) async fn scenario<L: Live>(world: &World) {
    let check = world.scope::<L>("requests");
    let client = world.client::<L>().await;
    let producer = producer(&client, &format!("asks_{}", L::NAME)).await;
    java_replies::<L>(world, &check.step("java-replies"), &client, &producer).await;
    let (other, consumer) = we_reply::<L>(world, &check, &producer).await;
    java_asks::<L>(world, &check.step("java-asks"), &other, &consumer).await;
    nobody_replies::<L>(world, &check.step("nobody"), &client, &producer).await;
    consumer.shutdown().await;
    other.shutdown().await;
    client.shutdown().await;
}

async fn java_replies<L: Live>(world: &World, check: &Scope, client: &Client, producer: &Producer) {
    let topic = format!("asks_java_{}", L::NAME);
    world.topic(&topic, 4);
    let name = format!("java_answers_{}", L::NAME);
    world.java.start_responder(&name, &world.namesrv, &topic).expect("a Java responder");
    let mut bodies = Vec::new();
    for number in 0..COUNT {
        let message = Message::new(topic.as_str(), format!("to Java {number}")).with_key("k");
        let reply = producer.request(message, PATIENCE).await.expect("a reply");
        bodies.push(String::from_utf8_lossy(reply.body()).into_owned());
        if number == 0 {
            check.eq("topic", reply.topic().as_str(), "DefaultCluster_REPLY_TOPIC");
            check.eq("type", reply.property("MSG_TYPE"), Some("reply"));
            check.eq("client", reply.property("REPLY_TO_CLIENT"), Some(client.client_id().as_str()));
            check.eq("time-to-live", reply.property("TTL"), Some("60000"));
            check.that("correlation", reply.property("CORRELATION_ID").is_some(), ());
            check.that("arrival", reply.property("ARRIVE_TIME").is_some(), ());
            check.that("pushed", reply.property("PUSH_REPLY_TIME").is_some(), ());
            check.that("born", reply.born().0 > 0 && reply.born_host().is_some_and(|host| host.port() > 0), &reply);
        }
    }
    let wanted: Vec<_> = (0..COUNT).map(|number| format!("to Java {number}!")).collect();
    check.eq("each-its-own", bodies, wanted);
    let large = "x".repeat(20_000);
    let reply = producer.request(Message::new(topic.as_str(), large.clone()), PATIENCE).await.expect("a reply");
    check.eq("compressed-both-ways", reply.body().len(), large.len() + 1);
    world.java.stop_requests(&name).expect("stopped");
}

/// A consumer of ours that replies to Java and to us; it has a client of its own.
async fn we_reply<L: Live>(world: &World, check: &Scope, asking: &Producer) -> (Client, PushConsumer) {
    let check = check.step("we-reply");
    let topic = format!("asks_us_{}", L::NAME);
    world.topic(&topic, 4);
    let other = world.client::<L>().await;
    let group = format!("we_answer_{}", L::NAME);
    let answering = producer(&other, &group).await;
    let builder = other.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
    let consumer = builder.start().await.expect("started");
    let ask = async {
        let mut bodies = Vec::new();
        for number in 0..COUNT {
            let message = Message::new(topic.as_str(), format!("{number}"));
            let reply = asking.request_with(message, Target::Any, PATIENCE).await.expect("a reply");
            bodies.push(String::from_utf8_lossy(reply.body()).into_owned());
        }
        bodies
    };
    let answer = async {
        loop {
            answer(&consumer, &answering).await;
        }
    };
    let bodies = ask.or(answer).await;
    check.eq("each-its-own", bodies, (0..COUNT).map(|number| format!("{number}?")).collect::<Vec<_>>());
    asking.send(Message::new(topic.as_str(), "no question")).await.expect("stored");
    let delivery = consumer.next().await.expect("a message");
    let error = answering.reply(delivery.message(), "what?").await.map(drop);
    check.eq("no-request", error, Err(RespondError::NoRequest(NoRequest("CORRELATION_ID"))));
    delivery.ack();
    (other, consumer)
}

async fn answer(consumer: &PushConsumer, producer: &Producer) {
    let delivery = consumer.next().await.expect("a message");
    let body = [&delivery.message().body()[..], b"?"].concat();
    producer.reply(delivery.message(), body).await.expect("handed over");
    delivery.ack();
}

async fn java_asks<L: Live>(world: &World, check: &Scope, other: &Client, consumer: &PushConsumer) {
    let name = format!("java_asks_{}", L::NAME);
    world.java.start_requests(&name, &world.namesrv).expect("a Java producer");
    let answering = producer(other, &format!("we_answer_{}", L::NAME)).await;
    let topic = format!("asks_us_{}", L::NAME);
    for number in 0..3 {
        let (java, namesrv_topic, who) = (world.java.clone(), topic.clone(), name.clone());
        let asked = std::thread::spawn(move || {
            java.request(&who, &namesrv_topic, &format!("from Java {number}"), Duration::from_secs(45))
        });
        answer(consumer, &answering).await;
        let reply = asked.join().expect("no panic").expect("a reply");
        check.eq(format!("body-{number}"), reply.body, format!("from Java {number}?"));
        check.eq(format!("type-{number}"), reply.kind.as_deref(), Some("reply"));
    }
    world.java.stop_requests(&name).expect("stopped");
}

async fn nobody_replies<L: Live>(world: &World, check: &Scope, client: &Client, producer: &Producer) {
    let topic = format!("asks_nobody_{}", L::NAME);
    world.topic(&topic, 1);
    let begun = Instant::now();
    let none = producer.request(Message::new(topic.as_str(), "anybody?"), Duration::from_secs(2)).await;
    check.eq("timeout", none.map(drop), Err(ReplyError::Timeout));
    check.below("in-time", begun.elapsed(), Duration::from_secs(4));
    // Somebody replies when nobody waits any more, and when who waited is gone.
    let mut events = client.events();
    let other = world.client::<L>().await;
    let group = format!("late_{}", L::NAME);
    let answering = super::kit::producer(&other, &group).await;
    let builder = other.push_consumer(group.as_str()).subscribe(topic.as_str(), "*");
    let builder = builder.start_from(StartFrom::First);
    let consumer = builder.start().await.expect("started");
    let delivery = consumer.next().await.expect("the question");
    let late = answering.reply(delivery.message(), "too late").await;
    check.that("a-late-reply-is-handed-over", late.is_ok(), &late);
    let told = eventually(|| {
        drain(&mut events).into_iter().find_map(|event| match event {
            ClientEvent::LateReply { times, .. } => Some(times),
            _ => None,
        })
    });
    check.eq("and-dropped", told.await, Some(1));
    delivery.ack();
    let gone = world.client::<L>().await;
    let leaver = super::kit::producer(&gone, &format!("leaver_{}", L::NAME)).await;
    let none = leaver.request(Message::new(topic.as_str(), "I leave"), Duration::from_secs(1)).await;
    check.that("nobody-replies-so-soon", none.is_err(), ());
    drop(leaver);
    gone.shutdown().await;
    let delivery = consumer.next().await.expect("the question");
    let refused = answering.reply(delivery.message(), "where are you?").await;
    let broker = matches!(refused, Err(RespondError::Send(SendError::Broker { code: 1, .. })));
    check.that("a-reply-to-nobody-is-refused", broker, &refused);
    delivery.ack();
    consumer.shutdown().await;
    other.shutdown().await;
}
