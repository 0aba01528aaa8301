use super::*;
use crate::config::ConfigError;
use crate::error::AccessDenied;

fn start_error(world: &World, op: OpId) -> StartError {
    match world.result(op) {
        CommandResult::Started(Err(error)) => error.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_nine_steps_come_in_order() {
    let world = World::consuming(1, |_| ());
    let steps = world.events.iter().filter_map(|event| match event {
        ClientEvent::Start { step, .. } => Some(step.number()),
        _ => None,
    });
    assert_eq!(steps.collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn each_cause_has_its_error() {
    let mut world = World::new();
    let op = world.start(|config| config.subscriptions.clear());
    assert_eq!(start_error(&world, op), StartError::Config(ConfigError::NoSubscription));

    let mut world = World::consuming(1, |_| ());
    let op = world.start(|_| ());
    assert_eq!(start_error(&world, op), StartError::Duplicate("g".into()));

    let mut world = World::new();
    world.dead.insert(NS.into());
    let op = world.start(|_| ());
    world.advance(5_000);
    let StartError::Unavailable(why) = start_error(&world, op) else { panic!() };
    assert!(why.contains("no name server"), "{why}");

    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.dead.insert("b:1".into());
    let op = world.start(|_| ());
    world.advance(4_999);
    assert!(!world.is_done(op));
    world.advance(1);
    let StartError::Unavailable(why) = start_error(&world, op) else { panic!() };
    assert!(why.contains("broker b:1"), "{why}");
    assert!(world.dispatches.is_empty() && world.machine.consumers.is_empty());
}

#[test]
fn a_topic_that_is_missing_does_not_stop_the_start() {
    let mut world = World::new();
    let op = world.start(|_| ());
    world.advance(5_000);
    assert!(matches!(world.result(op), CommandResult::Started(Ok(()))));
    assert!(world.count(|event| *event == ClientEvent::TopicMissing("T".into())) > 0);
    world.topic("T", 1, &["b"]);
    world.advance(35_000);
    assert_eq!(world.pulls("T"), 1, "it is consumed when it appears");
}

#[test]
fn a_start_that_is_given_up_leaves_no_consumer() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.held.insert(request::HEART_BEAT);
    let op = world.start(|_| ());
    world.run();
    world.input(Input::Cancel(op));
    world.run();
    assert!(world.machine.consumers.is_empty() && world.dispatches.is_empty());
    // The same when it had just been done.
    let mut world = World::consuming(1, |_| ());
    world.input(Input::Cancel(OpId(0)));
    world.run();
    assert!(world.machine.consumers.is_empty() && world.dispatches.is_empty());
}

#[test]
fn the_end_of_a_failed_start_does_not_take_the_next_one_along() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.held.extend([request::UNREGISTER_CLIENT, request::HEART_BEAT]);
    let failed = world.start(|_| ());
    world.advance(5_000);
    assert!(matches!(start_error(&world, failed), StartError::Unavailable(_)));
    world.held.remove(&request::HEART_BEAT);
    let op = world.start(|_| ());
    world.run();
    assert!(matches!(world.result(op), CommandResult::Started(Ok(()))));
    let asked = world.take(request::UNREGISTER_CLIENT);
    world.reply(asked, answer(0, |_| (), []));
    world.run();
    assert_eq!(world.pulls("T"), 1, "it goes on");
}

#[test]
fn answers_to_an_earlier_consumer_of_the_group_are_stale() {
    let mut world = World::consuming(1, |_| ());
    let old = world.pull("T");
    let deadline = world.now.after(Duration::from_secs(10));
    let stop = world.stop("g", deadline);
    world.run();
    assert!(matches!(world.result(stop), CommandResult::Stopped(Drained { unsettled: 0 })));
    let op = world.start(|_| ());
    world.run();
    assert!(matches!(world.result(op), CommandResult::Started(Ok(()))));
    assert_eq!(world.pulls("T"), 1);
    world.found(old, 700..710);
    assert_eq!(world.consume(Outcome::Done), 0, "what the old one asked for is not for the new one");
    assert_eq!(world.pulls("T"), 1, "one pull at a time");
}

#[test]
fn a_consumer_that_is_not_let_in_says_so() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.held.insert(request::HEART_BEAT);
    let op = world.start(|_| ());
    world.run();
    let beat = world.take(request::HEART_BEAT);
    let remark = "check signature failed.";
    let preamble = Preamble { remark: Some(remark), ..Preamble::response(16, Codec::Json) };
    world.reply(beat, decoded(&preamble.encode(|_| (), Bytes::new())));
    world.run();
    let why = AccessDenied::Signature;
    let denied = ClientEvent::Denied { endpoint: "b:1".into(), why, remark: remark.into() };
    assert_eq!(world.count(|event| *event == denied), 1);
    world.advance(4_900);
    assert_eq!(world.open(request::HEART_BEAT, |_| true), 0, "it asks no more for a while");
    world.advance(100);
    assert_eq!(start_error(&world, op), StartError::Denied { why, remark: remark.into() });
}
