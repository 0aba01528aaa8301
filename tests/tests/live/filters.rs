//! Filters by tags and by SQL: with Java in one group, wrong ones, in pulls, of several topics.

use std::collections::BTreeSet;
use std::time::Duration;

use rocketmq_core::client::{ClientEvent, FilterRefusal, StartError};
use rocketmq_core::config::{Filter, StartFrom};
use rocketmq_core::driver::{Client, Producer, PushConsumer};
use rocketmq_core::message::Message;
use rocketmq_testkit::real::ConsumerSpec;

use super::kit::{PATIENCE, World, collect, drain, eventually, extra, producer, receipts, send_all, sorted};
use super::runtimes::Live;

const EXPRESSION: &str = "a > 3 AND b IN ('x', 'y')";

pub(crate) async fn scenario<L: Live>(world: &World) {
    let client = world.client::<L>().await;
    let producer = producer(&client, "filters_producer").await;
    with_java::<L>(world, &client, &producer).await;
    wrong::<L>(world, &client, &producer).await;
    several::<L>(world, &client, &producer).await;
    client.shutdown().await;
}

/// The messages that tests of filters are about: `a` counts to nine, `b` is one of three, some have `c`.
pub(crate) fn numbered(topic: &str, range: std::ops::Range<usize>) -> Vec<Message> {
    let one = |n: usize| {
        let message = Message::new(topic, format!("m{n}")).with_tag(["red", "green", "blue"][n % 3]);
        let message = message.with_property("a", (n % 10).to_string()).with_property("b", ["x", "y", "z"][n % 3]);
        if n.is_multiple_of(4) { message.with_property("c", "there") } else { message }
    };
    range.map(one).collect()
}

pub(crate) fn bodies(range: std::ops::Range<usize>, wanted: impl Fn(usize) -> bool) -> Vec<String> {
    sorted(range.filter(|n| wanted(*n)).map(|n| format!("m{n}")))
}

pub(crate) async fn texts(consumer: &PushConsumer, count: usize) -> Vec<String> {
    sorted(collect(consumer, count).await.iter().map(super::kit::Got::text))
}

/// What a group has committed, once it is that much: a broker tells only after seconds that what it holds does not match.
pub(crate) async fn committed(world: &World, group: &str, topic: &str, wanted: i64) -> (i64, i64) {
    eventually(|| (world.offsets(group, topic).0 == wanted).then_some(())).await;
    world.offsets(group, topic)
}

/// A consumer in SQL of Java's and one of ours share a group.
async fn with_java<L: Live>(world: &World, client: &Client, producer: &Producer) {
    let check = world.scope::<L>("sql-with-java");
    let (topic, group) = (format!("sql_{}", L::NAME), format!("sql_group_{}", L::NAME));
    world.topic(&topic, 4);
    let name = format!("sql-{}", L::NAME);
    let spec = ConsumerSpec {
        expression: EXPRESSION.into(),
        sql: true,
        instance: Some(name.clone()),
        heartbeat_ms: Some(2_000),
        ..ConsumerSpec::new(&name, &world.namesrv, &group, &topic)
    };
    let java = world.java.start_consumer(&spec).expect("a Java consumer");
    let owned = super::owned::watch(client, &topic);
    let ours = client.push_consumer(group.as_str()).subscribe(topic.as_str(), Filter::sql(EXPRESSION));
    let ours = ours.start_from(StartFrom::First).start().await.expect("a consumer");
    let shares = || {
        let theirs = super::owned::of_java(&world.java.owned_queues(&name).expect("queues"), &topic);
        let mine = owned.lock().unwrap().clone();
        (mine.len() == 2 && theirs.len() == 2 && mine.is_disjoint(&theirs)).then_some((mine, theirs))
    };
    let shared = eventually(shares).await;
    check.that("queues-are-shared-with-java", shared.is_some(), &shared);
    let members: BTreeSet<_> = world.online(&group).into_iter().map(|known| known.client_id).collect();
    check.eq("the-broker-knows-both", members, BTreeSet::from([java, client.client_id().to_string()]));
    let known = world.java.consumer_subscriptions(&world.namesrv, &group).expect("subscriptions");
    let of_topic = known.iter().find(|known| known.topic == topic);
    check.that("the-broker-has-the-expression", of_topic.is_some_and(|of| of.expression == EXPRESSION), &known);
    check.that("as-sql", of_topic.is_some_and(|of| of.kind == "SQL92"), &known);

    receipts(send_all(producer, 4, numbered(&topic, 0..120)).await);
    let wanted = bodies(0..120, |n| n % 10 > 3 && n % 3 != 2);
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    let all = |mine: &Vec<String>, theirs: &Vec<String>| mine.len() + theirs.len() >= wanted.len();
    let end = std::time::Instant::now() + PATIENCE;
    while !all(&mine, &theirs) && std::time::Instant::now() < end {
        let got = super::kit::receive(&ours, usize::MAX, Duration::from_millis(300), |one| one.ack()).await;
        mine.extend(got.iter().map(super::kit::Got::text));
        theirs.extend(world.java.consumed(&name).expect("consumed").into_iter().map(|got| got.body));
    }
    check.eq("between-them-what-matches-once", sorted(mine.iter().chain(&theirs).cloned()), wanted.clone());
    check.that("both-got-some", !mine.is_empty() && !theirs.is_empty(), (mine.len(), theirs.len()));
    check.eq("nothing-more", extra(&ours).await, Vec::<String>::new());
    check.eq("what-is-filtered-out-is-passed", committed(world, &group, &topic, 120).await, (120, 120));
    world.java.stop_consumer(&name).expect("stopped");

    // The same group by itself, filtering in each pull, over what is new.
    ours.shutdown().await;
    let ours = client.push_consumer(group.as_str()).subscribe(topic.as_str(), Filter::sql("c IS NOT NULL"));
    let ours = ours.filter_in_pulls(true).start().await.expect("a consumer");
    receipts(send_all(producer, 4, numbered(&topic, 200..240)).await);
    check.eq("filters-in-pulls", texts(&ours, 10).await, bodies(200..240, |n| n.is_multiple_of(4)));
    check.eq("and-nothing-else", extra(&ours).await, Vec::<String>::new());
    check.eq("what-pulls-filter-out-is-passed", committed(world, &group, &topic, 160).await, (160, 160));
    ours.shutdown().await;
}

/// What is no expression is told at start, in the broker's words.
async fn wrong<L: Live>(world: &World, client: &Client, producer: &Producer) {
    let check = world.scope::<L>("sql-wrong");
    let (topic, group) = (format!("wrong_{}", L::NAME), format!("wrong_group_{}", L::NAME));
    world.topic(&topic, 2);
    for (name, expression) in [("early-end", "a >"), ("text-order", "a > 'x'"), ("list-of-numbers", "a IN (1)")] {
        let check = check.step(name);
        let mut events = client.events();
        let started = client.push_consumer(group.as_str()).subscribe(topic.as_str(), Filter::sql(expression)).start();
        let error = started.await.expect_err("it is wrong");
        let StartError::Filter { topic: of, broker, why } = &error else { panic!("{error}") };
        check.eq("names-the-topic", of.as_str(), topic.as_str());
        check.eq("names-the-broker", broker.as_str(), world.broker_name.as_str());
        let words = match why {
            FilterRefusal::Expression(words) => words.clone(),
            other => panic!("{other}"),
        };
        check.that("has-the-broker's-words", words.contains("Exception") && error.to_string().contains(&words), &words);
        let told = drain(&mut events);
        let refused = |event: &ClientEvent| matches!(event, ClientEvent::FilterRefused { .. });
        check.eq("is-an-event-too", told.iter().filter(|event| refused(event)).count(), 1);
    }
    let known = world.java.consumer_connections(&world.namesrv, &group);
    check.that("no-member-is-left", known.as_ref().is_ok_and(Vec::is_empty) || known.is_err(), &known);
    // Brokers do not read on after the end.
    let fine = client.push_consumer(group.as_str()).subscribe(topic.as_str(), Filter::sql("a > 7 so on"));
    let fine = fine.start_from(StartFrom::First).start().await.expect("a consumer");
    receipts(send_all(producer, 2, numbered(&topic, 0..40)).await);
    check.eq("what-follows-the-end-is-not", texts(&fine, 8).await, bodies(0..40, |n| n % 10 > 7));
    check.eq("nothing-more", extra(&fine).await, Vec::<String>::new());
    check.eq("all-is-committed", committed(world, &group, &topic, 40).await, (40, 40));
    fine.shutdown().await;
}

/// One group, several topics, each with a filter of its own.
async fn several<L: Live>(world: &World, client: &Client, producer: &Producer) {
    let check = world.scope::<L>("several-topics");
    let topics = ["all", "tags", "sql"].map(|kind| format!("several_{kind}_{}", L::NAME));
    topics.iter().for_each(|topic| world.topic(topic, 2));
    let [all, tags, sql] = topics.each_ref().map(String::as_str);
    let group = format!("several_group_{}", L::NAME);
    let consumer = client.push_consumer(group.as_str()).subscribe(all, "*").subscribe(tags, "red || blue");
    let consumer = consumer.subscribe(sql, Filter::sql("a BETWEEN 2 AND 4 OR (c = 'there' AND a < 2)"));
    let consumer = consumer.start_from(StartFrom::First).start().await.expect("a consumer");
    for topic in [all, tags, sql] {
        receipts(send_all(producer, 2, numbered(topic, 0..60)).await);
    }
    let by_sql = |n: usize| (2..=4).contains(&(n % 10)) || (n.is_multiple_of(4) && n % 10 < 2);
    let wanted = [bodies(0..60, |_| true), bodies(0..60, |n| n % 3 != 1), bodies(0..60, by_sql)];
    let got = collect(&consumer, wanted.iter().map(Vec::len).sum()).await;
    for ((topic, kind), wanted) in topics.iter().zip(["all", "tags", "sql"]).zip(wanted) {
        let of_topic = sorted(got.iter().filter(|got| got.topic == *topic).map(super::kit::Got::text));
        check.eq(format!("by-{kind}"), of_topic, wanted);
    }
    check.eq("nothing-more", extra(&consumer).await, Vec::<String>::new());
    let known = world.java.consumer_subscriptions(&world.namesrv, &group).expect("subscriptions");
    let mut names: BTreeSet<_> = topics.iter().cloned().collect();
    names.insert(format!("%RETRY%{group}"));
    check.eq("the-broker-knows-all", known.into_iter().map(|known| known.topic).collect::<BTreeSet<_>>(), names);
    for (topic, kind) in topics.iter().zip(["all", "tags", "sql"]) {
        check.eq(format!("{kind}-is-committed"), committed(world, &group, topic, 60).await, (60, 60));
    }
    consumer.shutdown().await;
}
