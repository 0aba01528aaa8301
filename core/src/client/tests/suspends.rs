//! A consumer that is suspended, and handlers that take too long.

use super::*;
use crate::config::{ConsumeMode, TimeoutPolicy};

pub(super) fn suspend(world: &mut World, suspend: bool) {
    let start = world.started;
    let op = world.command(Command::Suspend { group: "g".into(), start, suspend });
    world.run();
    assert!(matches!(world.result(op), CommandResult::Done));
}

#[test]
fn a_suspended_consumer_pulls_nothing_and_keeps_all_else() {
    let mut world = World::consuming(2, |_| ());
    let (pull, other) = (world.pull("T"), world.pull("T"));
    suspend(&mut world, true);
    suspend(&mut world, true);
    assert_eq!(world.count(|event| matches!(event, ClientEvent::Suspended { .. })), 1);
    // What was asked for before comes, and is handed out.
    world.found(pull, 500..502);
    let frame = pulled(&other, response::PULL_NOT_FOUND, 500, Vec::new());
    world.reply(other, frame);
    world.advance(26_000);
    assert_eq!((world.pulls("T"), world.consume(Outcome::Done)), (0, 2));
    world.held.extend([request::UPDATE_CONSUMER_OFFSET, request::HEART_BEAT]);
    world.advance(4_500);
    assert_eq!(world.pulls("T"), 0);
    assert_eq!(world.open(request::UPDATE_CONSUMER_OFFSET, |asked| asked.field("commitOffset") == "502"), 1);
    assert_eq!(world.open(request::HEART_BEAT, |_| true), 1);
    suspend(&mut world, false);
    assert_eq!(world.count(|event| matches!(event, ClientEvent::Resumed { .. })), 1);
    let offsets: Vec<_> = (0..2).map(|_| world.pull("T").field("queueOffset").to_string()).collect();
    assert_eq!(offsets, ["502", "500"]);
}

#[test]
fn queues_that_come_meanwhile_wait_too() {
    let mut world = World::consuming(1, |config| config.mode = ConsumeMode::Orderly);
    suspend(&mut world, true);
    world.topic("T", 2, &["b"]);
    world.advance(61_000);
    assert_eq!(world.pulls("T"), 0, "that of before is over too");
    assert_eq!(world.count(|event| matches!(event, ClientEvent::StartPosition { .. })), 2);
    suspend(&mut world, false);
    let queues: Vec<_> = (0..2).map(|_| world.pull("T").field("queueId").to_string()).collect();
    assert_eq!(queues, ["0", "1"]);
}

#[test]
fn another_consumer_of_the_group_is_not_suspended() {
    let mut world = World::consuming(1, |_| ());
    let op = world.command(Command::Suspend { group: "g".into(), start: OpId(77), suspend: true });
    assert!(matches!(world.result(op), CommandResult::Done));
    let pull = world.pull("T");
    world.found(pull, 500..501);
    assert_eq!(world.pulls("T"), 1);
}

fn overdue(world: &World) -> Vec<(u64, bool)> {
    let told = |event: &ClientEvent| match event {
        ClientEvent::ConsumeTimeout { offset, goes_back, .. } => Some((offset.get(), *goes_back)),
        _ => None,
    };
    world.events.iter().filter_map(told).collect()
}

#[test]
fn a_handler_that_takes_too_long_is_told_and_may_go_on() {
    let mut world = World::consuming(1, |config| config.consume_timeout = Duration::from_secs(40));
    let pull = world.pull("T");
    world.found(pull, 500..502);
    let taken = world.take_one().unwrap();
    world.advance(39_999);
    assert!(overdue(&world).is_empty());
    world.advance(10_001);
    assert_eq!(overdue(&world), [(500, false)]);
    world.advance(60_000);
    assert_eq!((overdue(&world).len(), world.open(request::CONSUMER_SEND_MSG_BACK, |_| true)), (1, 0));
    assert_eq!(world.settle(&taken, Outcome::Done), Settled::Applied);
    let deadline = world.now.after(Duration::from_secs(5));
    world.stop("g", deadline);
    world.advance(60_000);
    assert_eq!(overdue(&world).len(), 1);
}

#[test]
fn its_message_is_handed_back_where_that_is_asked_for() {
    let mut world = World::consuming(1, |config| {
        config.consume_timeout = Duration::from_secs(40);
        config.on_consume_timeout = TimeoutPolicy::SendBack;
    });
    let pull = world.pull("T");
    world.found(pull, 500..502);
    let taken = world.take_one().unwrap();
    world.held.insert(request::CONSUMER_SEND_MSG_BACK);
    world.advance(50_000);
    assert_eq!(overdue(&world), [(500, true)]);
    let back = world.take(request::CONSUMER_SEND_MSG_BACK);
    assert_eq!((back.field("delayLevel"), back.field("offset")), ("3", "50000"));
    assert_eq!(world.settle(&taken, Outcome::Done), Settled::Overdue);
    world.reply(back, answer(0, |_| (), []));
    world.run();
    let deadline = world.now.after(Duration::from_secs(5));
    world.held.insert(request::UPDATE_CONSUMER_OFFSET);
    world.stop("g", deadline);
    world.run();
    let commit = world.take(request::UPDATE_CONSUMER_OFFSET);
    assert_eq!(commit.field("commitOffset"), "501");
}
