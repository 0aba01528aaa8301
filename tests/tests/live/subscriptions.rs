//! Subscriptions that change while a group runs.

use rocketmq_core::client::{ClientEvent, SubscribeError};
use rocketmq_core::config::{Filter, StartFrom};
use rocketmq_core::driver::{Client, Producer};

use super::filters::{bodies, committed, numbered, texts};
use super::kit::{World, collect, drain, eventually, extra, producer, receipts, send_all};
use super::runtimes::Live;

pub(crate) async fn scenario<L: Live>(world: &World) {
    let builder = world.builder().commit_interval(std::time::Duration::from_secs(1));
    let client = L::connect(builder).await.expect("a client");
    let producer = producer(&client, "subscriptions_producer").await;
    topics::<L>(world, &client, &producer).await;
    expressions::<L>(world, &client, &producer).await;
    client.shutdown().await;
}

/// What the broker has of a group: topics and expressions, without the retry topic.
fn known(world: &World, group: &str) -> Vec<(String, String)> {
    let known = world.java.consumer_subscriptions(&world.namesrv, group).expect("subscriptions");
    let known = known.into_iter().filter(|known| !known.topic.starts_with('%'));
    super::kit::sorted(known.map(|known| (known.topic, known.expression)))
}

/// Topics come and go.
async fn topics<L: Live>(world: &World, client: &Client, producer: &Producer) {
    let check = world.scope::<L>("topics-change");
    let [stays, comes] = ["stays", "comes"].map(|name| format!("topics_{name}_{}", L::NAME));
    let group = format!("topics_group_{}", L::NAME);
    [&stays, &comes].into_iter().for_each(|topic| world.topic(topic, 2));
    let consumer = client.push_consumer(group.as_str()).subscribe(stays.as_str(), "*");
    let consumer = consumer.start_from(StartFrom::First).start().await.expect("a consumer");
    receipts(send_all(producer, 2, numbered(&stays, 0..10)).await);
    receipts(send_all(producer, 2, numbered(&comes, 0..10)).await);
    check.eq("only-what-is-subscribed", texts(&consumer, 10).await, bodies(0..10, |_| true));
    check.eq("nothing-of-the-other", extra(&consumer).await, Vec::<String>::new());

    let mut events = client.events();
    check.eq("subscribe", consumer.subscribe(comes.as_str(), "*").await, Ok(()));
    let got = collect(&consumer, 10).await;
    check.that("from-its-start-on", got.iter().all(|got| got.topic == comes), got.len());
    check.eq("all-of-it", super::kit::sorted(got.iter().map(super::kit::Got::text)), bodies(0..10, |_| true));
    let both = vec![(comes.clone(), "*".to_owned()), (stays.clone(), "*".to_owned())];
    check.eq("the-broker-is-told", known(world, &group), both);
    let told = drain(&mut events);
    let subscribed =
        |event: &ClientEvent| matches!(event, ClientEvent::Subscribed { topic, .. } if topic.as_str() == comes);
    check.eq("an-event-tells", told.iter().filter(|event| subscribed(event)).count(), 1);
    receipts(send_all(producer, 2, numbered(&comes, 10..20)).await);
    receipts(send_all(producer, 2, numbered(&stays, 10..20)).await);
    check.eq("both-go-on", collect(&consumer, 20).await.len(), 20);

    // One message in hand when it is given up: it counts for nothing, and comes again.
    receipts(send_all(producer, 1, numbered(&comes, 20..24)).await);
    let in_hand = consumer.next().await.expect("a delivery");
    let held = super::kit::Got::of(in_hand.message());
    check.eq("unsubscribe", consumer.unsubscribe(comes.as_str()).await, Ok(()));
    in_hand.ack();
    check.eq("nothing-is-handed-out-any-more", extra(&consumer).await, Vec::<String>::new());
    check.eq("the-broker-forgets-it", known(world, &group), vec![(stays.clone(), "*".to_owned())]);
    let told = drain(&mut events);
    let given_up = told.iter().find_map(|event| match event {
        ClientEvent::Unsubscribed { topic, revoked, .. } if topic.as_str() == comes => Some(revoked.len()),
        _ => None,
    });
    check.eq("an-event-tells-the-queues", given_up, Some(2));
    let committed = eventually(|| (world.offsets(&group, &comes) == (20, 24)).then_some(())).await;
    check.that("the-last-offset-is-committed", committed.is_some(), world.offsets(&group, &comes));
    receipts(send_all(producer, 2, numbered(&comes, 24..30)).await);
    receipts(send_all(producer, 2, numbered(&stays, 20..30)).await);
    let got = collect(&consumer, 10).await;
    check.that("the-other-goes-on", got.iter().all(|got| got.topic == stays), got.len());
    check.eq("nothing-of-what-was-given-up", extra(&consumer).await, Vec::<String>::new());

    check.eq("subscribe-again", consumer.subscribe(comes.as_str(), "*").await, Ok(()));
    check.eq("it-goes-on-where-it-was", texts(&consumer, 10).await, bodies(20..30, |_| true));
    check.that("what-was-in-hand-came-again", held.topic == comes, &held.topic);
    check.eq("unsubscribe-what-is-not", consumer.unsubscribe("topics_nowhere").await, Ok(()));
    let retry = consumer.unsubscribe(format!("%RETRY%{group}")).await;
    check.eq("the-retry-topic-stays", retry, Err(SubscribeError::RetryTopic));
    let drained = consumer.shutdown().await;
    check.eq("nothing-is-unsettled", drained.unsettled, 0);
    check.eq("all-of-it-is-committed", world.offsets(&group, &comes), (30, 30));
    check.eq("and-of-the-other", world.offsets(&group, &stays), (30, 30));
    check.eq("a-stopped-group-changes-no-more", consumer.subscribe("x", "*").await, Err(SubscribeError::Closed));
}

/// What is wanted of a topic changes.
async fn expressions<L: Live>(world: &World, client: &Client, producer: &Producer) {
    let check = world.scope::<L>("expressions-change");
    let (topic, group) = (format!("expressions_{}", L::NAME), format!("expressions_group_{}", L::NAME));
    world.topic(&topic, 2);
    let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "red");
    let consumer = consumer.start_from(StartFrom::First).start().await.expect("a consumer");
    let mut at = 0;
    type Step = (&'static str, Filter, fn(usize) -> bool);
    let steps: [Step; 6] = [
        ("red", "red".into(), |n| n % 3 == 0),
        ("others", "green || blue".into(), |n| n % 3 != 0),
        ("sql", Filter::sql("a > 6"), |n| n % 10 > 6),
        ("other-sql", Filter::sql("a < 3 AND b = 'x'"), |n| n % 10 < 3 && n % 3 == 0),
        ("all", Filter::all(), |_| true),
        ("red-again", "red".into(), |n| n % 3 == 0),
    ];
    for (name, filter, wanted) in steps {
        let check = check.step(name);
        check.eq("is-accepted", consumer.subscribe(topic.as_str(), filter.clone()).await, Ok(()));
        receipts(send_all(producer, 2, numbered(&topic, at..at + 30)).await);
        let bodies = bodies(at..at + 30, wanted);
        check.eq("all-that-is-wanted-now-comes", texts(&consumer, bodies.len()).await, bodies);
        check.eq("and-nothing-else", extra(&consumer).await, Vec::<String>::new());
        check.eq("the-broker-has-it", known(world, &group), vec![(topic.clone(), filter.expression().to_owned())]);
        at += 30;
        // What is unwanted at the end is passed after a while: until then a new expression would find it there.
        check.eq("all-is-passed", committed(world, &group, &topic, at as i64).await, (at as i64, at as i64));
    }
    let refused = consumer.subscribe(topic.as_str(), Filter::sql("a >")).await;
    check.that("a-wrong-one-is-refused", matches!(refused, Err(SubscribeError::Filter { .. })), &refused);
    receipts(send_all(producer, 2, numbered(&topic, at..at + 9)).await);
    check.eq("the-one-before-stays", texts(&consumer, 3).await, bodies(at..at + 9, |n| n % 3 == 0));
    let all = at as i64 + 9;
    check.eq("all-is-committed", committed(world, &group, &topic, all).await, (all, all));
    consumer.shutdown().await;
}
