use super::*;
use crate::config::{ConsumeMode, Filter};
use crate::wire::body::{ClientCheck, ExpressionType, HeartbeatData, SubscriptionData};
use crate::wire::request::PullMessage;

/// A world with topics `T` on two brokers and `U` on one, of which nothing is started.
fn two_brokers() -> World {
    let mut world = World::new();
    world.topic("T", 1, &["a", "b"]);
    world.topic("U", 1, &["b"]);
    world
}

/// The same, and a consumer of `T` that runs.
fn consuming(change: impl FnOnce(&mut ConsumerConfig)) -> World {
    let mut world = two_brokers();
    let op = world.start(change);
    world.run();
    assert!(matches!(world.result(op), CommandResult::Started(Ok(()))));
    world
}

fn sql(config: &mut ConsumerConfig) {
    config.subscriptions = alloc::vec![("T".into(), Filter::sql("a > 3"))];
}

fn says(code: i32, remark: &str) -> Frame {
    decoded(&Preamble { remark: Some(remark), ..Preamble::response(code, Codec::Json) }.encode(|_| (), Bytes::new()))
}

fn subscribe(world: &mut World, topic: &str, filter: impl Into<Filter>) -> OpId {
    let (group, start) = ("g".into(), world.started);
    world.command(Command::Subscribe { group, start, topic: topic.into(), filter: filter.into() })
}

fn unsubscribe(world: &mut World, topic: &str) -> OpId {
    let (group, start) = ("g".into(), world.started);
    world.command(Command::Unsubscribe { group, start, topic: topic.into() })
}

fn subscribed(world: &World, op: OpId) -> Result<(), SubscribeError> {
    match world.result(op) {
        CommandResult::Subscribed(result) => result.clone(),
        other => panic!("{other:?}"),
    }
}

/// What a heartbeat says of a topic.
fn beat(asked: &Asked, topic: &str) -> Option<SubscriptionData> {
    let data = HeartbeatData::decode(&asked.frame.body).unwrap();
    let mut known = data.consumers.into_iter().flat_map(|consumer| consumer.subscriptions);
    known.find(|data| data.topic.as_str() == topic)
}

#[test]
fn every_broker_is_asked_whether_it_filters_by_sql_before_it_hears_of_the_group() {
    let mut world = two_brokers();
    world.held.insert(request::CHECK_CLIENT_CONFIG);
    let op = world.start(sql);
    world.run();
    assert_eq!(world.open(request::CHECK_CLIENT_CONFIG, |_| true), 2);
    assert_eq!(world.open(request::HEART_BEAT, |_| true), 0);
    let first = world.take(request::CHECK_CLIENT_CONFIG);
    let check = ClientCheck::decode(&first.frame.body).unwrap();
    let data = &check.subscription_data;
    assert_eq!((check.client_id.as_str(), check.group.as_str(), data.topic.as_str()), (ME, "g", "T"));
    assert_eq!((data.sub_string.as_str(), data.expression_type), ("a > 3", ExpressionType::Sql92));
    world.reply(first, answer(0, |_| (), []));
    assert!(!world.is_done(op), "the other has not answered");
    let second = world.take(request::CHECK_CLIENT_CONFIG);
    world.reply(second, answer(0, |_| (), []));
    world.run();
    assert!(matches!(world.result(op), CommandResult::Started(Ok(()))));
    let pull = PullMessage::read(&world.pull("T").frame.header.ext).unwrap();
    assert_eq!((pull.sys_flag, pull.subscription), (PullMessage::SUSPEND, None));
    assert_eq!(pull.expression_type.as_deref(), Some("SQL92"));
    assert_eq!(world.open(request::CHECK_CLIENT_CONFIG, |_| true), 0, "asked once");
}

#[test]
fn tags_are_checked_by_nobody() {
    let mut world = two_brokers();
    world.held.insert(request::CHECK_CLIENT_CONFIG);
    let op = world.start(|config| config.subscriptions[0].1 = "x".into());
    world.run();
    assert!(matches!(world.result(op), CommandResult::Started(Ok(()))));
}

#[test]
fn a_broker_that_refuses_an_expression_fails_the_start_in_its_own_words() {
    let off = "The broker does not support consumer to filter message by SQL92";
    let cases = [
        (23, "parse error at line 1", FilterRefusal::Expression("parse error at line 1".into())),
        (1, off, FilterRefusal::Disabled(off.into())),
        (3, "request type 46 not supported", FilterRefusal::TooOld("request type 46 not supported".into())),
    ];
    for (code, remark, why) in cases {
        let mut world = two_brokers();
        world.held.insert(request::CHECK_CLIENT_CONFIG);
        let op = world.start(sql);
        world.run();
        let fine = world.take(request::CHECK_CLIENT_CONFIG);
        world.reply(fine, answer(0, |_| (), []));
        let bad = world.take(request::CHECK_CLIENT_CONFIG);
        let broker = bad.to.as_str().trim_end_matches(":1").into();
        world.reply(bad, says(code, remark));
        world.run();
        let error = StartError::Filter { topic: "T".into(), broker, why };
        assert!(matches!(world.result(op), CommandResult::Started(Err(seen)) if *seen == error), "{code}");
        assert!(error.to_string().contains(remark));
        assert!(world.dispatches.is_empty() && world.machine.consumers.is_empty());
        world.advance(60_000);
        assert_eq!((world.done[&op].len(), world.pulls("T")), (1, 0), "that is its end");
    }
}

#[test]
fn a_broker_that_says_nothing_of_the_expression_is_asked_again() {
    let mut world = two_brokers();
    world.held.insert(request::CHECK_CLIENT_CONFIG);
    let op = world.start(sql);
    world.run();
    for _ in 0..2 {
        let asked = world.take(request::CHECK_CLIENT_CONFIG);
        world.reply(asked, says(2, "too busy"));
    }
    world.advance(499);
    assert_eq!(world.open(request::CHECK_CLIENT_CONFIG, |_| true), 0);
    world.advance(1);
    assert_eq!(world.open(request::CHECK_CLIENT_CONFIG, |_| true), 2);
    world.advance(4_500);
    let CommandResult::Started(Err(StartError::Unavailable(why))) = world.result(op) else { panic!() };
    assert!(why.contains("broker"), "{why}");
}

#[test]
fn nothing_is_pulled_from_a_broker_before_it_has_accepted_the_expression() {
    let mut world = two_brokers();
    world.silent.insert("a:1".into());
    let op = world.start(sql);
    world.advance(4_000);
    assert!(matches!(world.result(op), CommandResult::Started(Ok(()))), "one broker is enough");
    assert_eq!(world.open(request::PULL_MESSAGE, |asked| asked.to.as_str() == "a:1"), 0);
    world.silent.clear();
    world.held.insert(request::CHECK_CLIENT_CONFIG);
    world.advance(10_000);
    assert_eq!(world.open(request::PULL_MESSAGE, |asked| asked.to.as_str() == "a:1"), 0);
    let asked = world.take(request::CHECK_CLIENT_CONFIG);
    assert_eq!(asked.to.as_str(), "a:1");
    world.reply(asked, says(23, "no such thing"));
    world.advance(9_000);
    assert_eq!(world.open(request::CHECK_CLIENT_CONFIG, |_| true), 0, "a refusal lasts for a while");
    let refused =
        |event: &ClientEvent| matches!(event, ClientEvent::FilterRefused { broker, .. } if broker.as_str() == "a");
    assert_eq!(world.count(refused), 1);
    world.held.remove(&request::CHECK_CLIENT_CONFIG);
    world.advance(2_000);
    assert_eq!(world.open(request::PULL_MESSAGE, |asked| asked.to.as_str() == "a:1" && asked.field("topic") == "T"), 1);
}

#[test]
fn pulls_can_say_what_is_wanted() {
    let mut world = consuming(|config| {
        sql(config);
        config.filter_in_pulls = true;
    });
    let pull = PullMessage::read(&world.pull("T").frame.header.ext).unwrap();
    assert_eq!(pull.sys_flag, PullMessage::SUSPEND | PullMessage::SUBSCRIPTION);
    assert_eq!((pull.subscription.as_deref(), pull.expression_type.as_deref()), (Some("a > 3"), Some("SQL92")));
}

#[test]
fn a_topic_that_is_subscribed_to_later_is_announced_and_pulled() {
    let mut world = consuming(|_| ());
    let op = subscribe(&mut world, "U", "x");
    world.run();
    assert_eq!(subscribed(&world, op), Ok(()));
    world.advance(2_000);
    assert_eq!(world.pulls("U"), 1);
    let event = ClientEvent::Subscribed { group: "g".into(), topic: "U".into(), expression: "x".into() };
    assert_eq!(world.count(|seen| *seen == event), 1);
    world.held.insert(request::HEART_BEAT);
    world.advance(60_000);
    let heard = world.take(request::HEART_BEAT);
    assert_eq!(beat(&heard, "U").unwrap().sub_string, "x");
    assert!(beat(&heard, "T").is_some() && beat(&heard, "%RETRY%g").is_some());
    // Once more the same changes nothing.
    let events = world.events.len();
    let again = subscribe(&mut world, "U", "x");
    assert_eq!((subscribed(&world, again), world.events.len()), (Ok(()), events));
}

#[test]
fn a_changed_expression_counts_from_the_next_pull_on() {
    let mut world = World::consuming(1, |config| config.subscriptions[0].1 = "x".into());
    let old = world.pull("T");
    world.held.insert(request::HEART_BEAT);
    // Even when the clock has gone back.
    world.input(Input::WallClock(UnixMillis(3)));
    let op = subscribe(&mut world, "T", "*");
    assert_eq!(subscribed(&world, op), Ok(()));
    let version = beat(&world.take(request::HEART_BEAT), "T").unwrap().sub_version;
    assert_eq!(version, old.field("subVersion").parse::<i64>().unwrap() + 1);
    // The pull under way may lack what is wanted now.
    let new = world.pull("T");
    assert_eq!(new.field("queueOffset"), old.field("queueOffset"));
    assert_eq!(new.field("subVersion"), version.to_string());
    let frame = pulled(&old, response::PULL_RETRY_IMMEDIATELY, 520, Vec::new());
    world.reply(old, frame);
    world.run();
    assert_eq!(world.pulls("T"), 0, "its answer counts for nothing");
    world.found(new, 500..505);
    assert_eq!(world.consume(Outcome::Done), 5, "of records without a tag");
}

#[test]
fn what_was_pulled_is_judged_by_the_expression_of_its_pull() {
    let mut world = World::consuming(1, |_| ());
    let pull = world.pull("T");
    world.found(pull, 500..505);
    subscribe(&mut world, "T", "x");
    assert_eq!(world.consume(Outcome::Done), 5);
    world.run();
    let pull = world.pull("T");
    world.found(pull, 505..510);
    assert_eq!(world.consume(Outcome::Done), 0);
}

#[test]
fn of_a_topic_that_is_given_up_nothing_is_handed_out_and_the_last_offset_is_committed() {
    let mut world = World::consuming(1, |_| ());
    let pull = world.pull("T");
    world.found(pull, 500..505);
    let taken = world.take_one().unwrap();
    assert_eq!(world.settle(&taken, Outcome::Done), Settled::Applied);
    let other = world.take_one().unwrap();
    world.held.extend([request::UPDATE_CONSUMER_OFFSET, request::HEART_BEAT]);
    let op = unsubscribe(&mut world, "T");
    assert_eq!(subscribed(&world, op), Ok(()));
    assert!(world.take_one().is_none());
    assert_eq!(world.settle(&other, Outcome::Done), Settled::Released);
    let commit = world.take(request::UPDATE_CONSUMER_OFFSET);
    assert_eq!((commit.field("topic"), commit.field("commitOffset")), ("T", "501"));
    world.reply(commit, answer(0, |_| (), []));
    assert!(beat(&world.take(request::HEART_BEAT), "T").is_none());
    let queue = crate::ids::MessageQueue { topic: "T".into(), broker: "b".into(), id: 0 };
    let event = ClientEvent::Unsubscribed { group: "g".into(), topic: "T".into(), revoked: alloc::vec![queue] };
    assert_eq!(world.count(|seen| *seen == event), 1);
    world.advance(60_000);
    assert_eq!(world.open(request::PULL_MESSAGE, |asked| asked.field("topic") == "T" && asked.deadline > world.now), 0);
    // Subscribed to again, it goes on there.
    world.held.remove(&request::HEART_BEAT);
    world.stored.insert(("T".into(), 0), 501);
    subscribe(&mut world, "T", "*");
    world.advance(2_000);
    assert_eq!(world.pull("T").field("queueOffset"), "501");
}

#[test]
fn a_queue_that_comes_back_at_once_waits_for_its_last_offset() {
    let mut world = World::consuming(1, |_| ());
    let pull = world.pull("T");
    world.found(pull, 500..501);
    world.consume(Outcome::Done);
    world.held.insert(request::UPDATE_CONSUMER_OFFSET);
    world.held.insert(request::QUERY_CONSUMER_OFFSET);
    unsubscribe(&mut world, "T");
    subscribe(&mut world, "T", "*");
    world.advance(2_000);
    assert_eq!(world.open(request::QUERY_CONSUMER_OFFSET, |_| true), 0);
    let commit = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.reply(commit, answer(0, |_| (), []));
    world.advance(100);
    assert_eq!(world.open(request::QUERY_CONSUMER_OFFSET, |asked| asked.field("topic") == "T"), 1);
}

#[test]
fn an_orderly_group_gives_the_locks_of_a_topic_back() {
    let mut world = World::consuming(1, |config| config.mode = ConsumeMode::Orderly);
    let pull = world.pull("T");
    world.found(pull, 500..503);
    let taken = world.take_one().unwrap();
    world.held.insert(request::UNLOCK_BATCH_MQ);
    unsubscribe(&mut world, "T");
    world.run();
    assert_eq!(world.open(request::UNLOCK_BATCH_MQ, |_| true), 0, "a handler runs");
    world.settle(&taken, Outcome::Done);
    world.run();
    let asked = world.take(request::UNLOCK_BATCH_MQ);
    assert_eq!(LockQueues::decode(&asked.frame.body).unwrap().queues[0].topic.as_str(), "T");
}

#[test]
fn an_expression_that_is_refused_while_running_changes_nothing() {
    let mut world = consuming(|_| ());
    world.held.insert(request::CHECK_CLIENT_CONFIG);
    let op = subscribe(&mut world, "T", Filter::sql("a >"));
    assert!(!world.is_done(op));
    let asked = world.take(request::CHECK_CLIENT_CONFIG);
    let broker = asked.to.as_str().trim_end_matches(":1").into();
    world.reply(asked, says(23, "no"));
    let why = FilterRefusal::Expression("no".into());
    assert_eq!(subscribed(&world, op), Err(SubscribeError::Filter { broker, why }));
    assert_eq!(world.count(|event| matches!(event, ClientEvent::Subscribed { .. })), 0);
    // A later change takes the place of one that waits.
    let waits = subscribe(&mut world, "T", Filter::sql("a > 1"));
    let later = subscribe(&mut world, "T", Filter::sql("a > 2"));
    assert_eq!(subscribed(&world, waits), Err(SubscribeError::Replaced));
    world.advance(5_000);
    let Err(SubscribeError::Unavailable(why)) = subscribed(&world, later) else { panic!() };
    assert!(why.contains("broker"), "{why}");
}

#[test]
fn each_change_that_cannot_be_has_its_error() {
    let mut world = consuming(|_| ());
    let op = subscribe(&mut world, "%RETRY%g", "*");
    assert_eq!(subscribed(&world, op), Err(SubscribeError::RetryTopic));
    let op = unsubscribe(&mut world, "%RETRY%g");
    assert_eq!(subscribed(&world, op), Err(SubscribeError::RetryTopic));
    let op = subscribe(&mut world, "a/b", "*");
    assert!(matches!(subscribed(&world, op), Err(SubscribeError::Config(_))));
    let op = unsubscribe(&mut world, "nothing");
    assert_eq!(subscribed(&world, op), Ok(()), "it is not subscribed to");
    world.held.insert(request::CHECK_CLIENT_CONFIG);
    let waits = subscribe(&mut world, "U", Filter::sql("a > 1"));
    world.run();
    let deadline = world.now.after(Duration::from_secs(5));
    world.stop("g", deadline);
    assert_eq!(subscribed(&world, waits), Err(SubscribeError::Closed));
    let op = subscribe(&mut world, "U", "*");
    assert_eq!(subscribed(&world, op), Err(SubscribeError::Closed));
}
