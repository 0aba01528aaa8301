//! What an orderly group does with messages that fail: their queue waits for them.

use super::*;
use crate::config::ConsumeMode;
use crate::dispatch::PoisonPolicy;

const FAILED: Outcome = Outcome::Failed { level: 0 };
const SEND: i32 = request::SEND_MESSAGE_V2;

fn world(change: impl FnOnce(&mut ConsumerConfig)) -> World {
    let mut world = World::consuming(1, |config| {
        config.mode = ConsumeMode::Orderly;
        change(config);
    });
    world.topic("%RETRY%g", 1, &["b"]);
    world.advance(31_000);
    let pull = world.pull("T");
    world.found(pull, 500..503);
    world
}

/// The message that comes next: its offset, and how often it came before.
fn next(world: &mut World) -> Option<(u64, i32)> {
    let taken = world.take_one()?;
    let seen = (taken.item().unwrap().offset.get(), taken.local_retries);
    world.settle(&taken, FAILED);
    Some(seen)
}

fn committed(world: &mut World) -> Option<u64> {
    world.held.insert(request::UPDATE_CONSUMER_OFFSET);
    world.advance(5_000);
    let mut last = None;
    while world.open(request::UPDATE_CONSUMER_OFFSET, |_| true) > 0 {
        let asked = world.take(request::UPDATE_CONSUMER_OFFSET);
        if asked.field("topic") == "T" {
            last = asked.field("commitOffset").parse().ok();
        }
        world.reply(asked, answer(0, |_| (), []));
        world.run();
    }
    last
}

#[test]
fn a_failed_message_comes_again_after_a_pause_and_before_those_after_it() {
    let mut world = world(|_| ());
    assert_eq!(next(&mut world), Some((500, 0)));
    world.advance(999);
    assert_eq!(next(&mut world), None);
    world.advance(1);
    assert_eq!(next(&mut world), Some((500, 1)));
    world.advance(1_000);
    let taken = world.take_one().unwrap();
    assert_eq!(taken.local_retries, 2);
    world.settle(&taken, Outcome::Done);
    assert_eq!(next(&mut world), Some((501, 0)));
    assert_eq!(world.open(request::CONSUMER_SEND_MSG_BACK, |_| true) + world.open(SEND, |_| true), 0);
    assert_eq!(committed(&mut world), Some(501));
}

#[test]
fn a_pause_is_what_is_configured_or_asked_for_within_bounds() {
    let mut world = world(|config| config.suspend = Duration::from_millis(10));
    next(&mut world);
    world.advance(10);
    let asked = [(2, 10), (2_500, 2_500), (90_000, 30_000)];
    for (asked, waited) in asked {
        let taken = world.take_one().unwrap();
        world.settle(&taken, Outcome::Suspended { pause: Duration::from_millis(asked) });
        world.advance(waited - 1);
        assert!(world.take_one().is_none(), "{asked}");
        world.advance(1);
    }
    assert!(world.take_one().is_some());
}

#[test]
fn dead_letters_of_a_batch_go_one_after_the_other() {
    let mut world = world(|config| config.max_reconsume = Some(0));
    world.held.insert(SEND);
    let now = world.now;
    let mut many = Vec::new();
    world.dispatch(&"g".into(), |dispatch| many = dispatch.take_many(now, 3));
    assert_eq!(many.len(), 3);
    world.dispatch(&"g".into(), |dispatch| dispatch.settle_many(now, many.iter(), 0, Outcome::Done, FAILED));
    world.run();
    for body in ["500", "501", "502"] {
        assert_eq!(world.open(SEND, |_| true), 1);
        assert!(world.take_one().is_none());
        let asked = world.take(SEND);
        assert_eq!(&asked.frame.body[..], body.as_bytes());
        let frame = world.usual(&asked);
        world.reply(asked, frame);
        world.run();
    }
    assert_eq!((world.open(SEND, |_| true), committed(&mut world)), (0, Some(503)));
}

#[test]
fn without_a_limit_it_comes_again_for_ever() {
    let mut world = world(|_| ());
    let rounds = |world: &World| world.count(|event| matches!(event, ClientEvent::Rebalanced { .. }));
    let before = rounds(&world);
    for times in 0..200 {
        assert_eq!(next(&mut world), Some((500, times)));
        world.advance(1_000);
    }
    assert_eq!(rounds(&world), before, "its queue stays ours");
}

#[test]
fn once_too_often_it_is_a_dead_letter_and_the_queue_goes_on() {
    let mut world = world(|config| config.max_reconsume = Some(1));
    world.held.insert(SEND);
    next(&mut world);
    world.advance(1_000);
    next(&mut world);
    let copy = world.take(SEND);
    assert_eq!((copy.field("b"), copy.field("j"), copy.field("l")), ("%RETRY%g", "2", "1"));
    assert!(!copy.field("i").contains("DELAY\u{1}"), "nothing is to be waited for");
    assert_eq!(next(&mut world), None, "not before it is stored");
    let frame = world.usual(&copy);
    world.reply(copy, frame);
    world.run();
    assert_eq!(next(&mut world), Some((501, 0)));
    assert_eq!(committed(&mut world), Some(501));
}

#[test]
fn a_dead_letter_that_cannot_be_stored_holds_its_queue_up() {
    let mut world = world(|config| config.max_reconsume = Some(0));
    world.held.insert(SEND);
    next(&mut world);
    while world.count(|event| matches!(event, ClientEvent::SendBackFailed { .. })) == 0 {
        if world.open(SEND, |_| true) > 0 {
            let copy = world.take(SEND);
            world.reply(copy, refusal(response::SYSTEM_BUSY));
        }
        world.advance(10);
    }
    world.advance(1_000);
    assert_eq!(next(&mut world), Some((500, 1)));
}

#[test]
fn a_message_can_be_called_dead_where_there_is_no_limit() {
    let mut world = world(|_| ());
    world.held.insert(SEND);
    let taken = world.take_one().unwrap();
    world.settle(&taken, Outcome::Failed { level: -1 });
    let copy = world.take(SEND);
    assert_eq!((copy.field("j"), copy.field("l")), ("1", "0"), "redelivered more often than is allowed");
}

#[test]
fn without_the_lock_nothing_is_called_dead() {
    let mut world = world(|config| config.max_reconsume = Some(0));
    world.held.insert(SEND);
    let taken = world.take_one().unwrap();
    world.foreign.insert(0);
    world.advance(20_000);
    world.settle(&taken, FAILED);
    world.advance(1_000);
    assert_eq!(world.open(SEND, |_| true), 0);
    world.foreign.clear();
    world.advance(5_000);
    assert_eq!(next(&mut world), Some((500, 1)), "it comes again when the lock does");
    assert_eq!(world.open(SEND, |_| true), 1);
}

#[test]
fn commits_wait_for_the_application() {
    let mut world = world(|config| config.auto_commit = false);
    assert_eq!(committed(&mut world), None);
    let take = |world: &mut World, outcome| {
        let taken = world.take_one().unwrap();
        world.settle(&taken, outcome);
        (taken.item().unwrap().offset.get(), taken.local_retries)
    };
    assert_eq!(take(&mut world, Outcome::Done), (500, 0));
    assert_eq!(committed(&mut world), None, "done, but not committed");
    assert_eq!(take(&mut world, Outcome::RolledBack), (501, 0));
    assert!(world.take_one().is_none(), "after a pause");
    world.advance(1_000);
    assert_eq!(take(&mut world, Outcome::Done), (500, 0), "rolled back is not failed");
    assert_eq!(take(&mut world, FAILED), (501, 0));
    world.advance(1_000);
    assert_eq!(take(&mut world, Outcome::Committed), (501, 1));
    assert_eq!(committed(&mut world), Some(502));
    assert_eq!(take(&mut world, Outcome::Done), (502, 0));
    assert_eq!(committed(&mut world), None);
}

#[test]
fn what_cannot_be_read_is_a_dead_letter_and_in_its_turn() {
    let mut world = World::consuming(1, |config| {
        config.mode = ConsumeMode::Orderly;
        config.on_poison = PoisonPolicy::SendBack;
    });
    world.held.insert(request::CONSUMER_SEND_MSG_BACK);
    let pull = world.pull("T");
    let mut body = records(500..503);
    let len = body.len() / 3;
    body[len + 4] ^= 0x55; // The magic of the second.
    let frame = pulled(&pull, 0, 503, body);
    world.reply(pull, frame);
    world.run();
    let first = world.take_one().unwrap();
    assert!(world.take_one().is_none());
    world.settle(&first, Outcome::Done);
    assert!(world.take_one().is_none(), "the second comes first");
    world.run();
    let back = world.take(request::CONSUMER_SEND_MSG_BACK);
    assert_eq!(back.field("delayLevel"), "-1");
    world.reply(back, answer(0, |_| (), []));
    world.run();
    assert_eq!(next(&mut world), Some((502, 0)));
}

#[test]
fn a_stop_does_not_wait_for_what_is_suspended() {
    for late in [false, true] {
        let mut world = world(|config| config.suspend = Duration::from_secs(30));
        let taken = world.take_one().unwrap();
        let deadline = world.now.after(Duration::from_secs(20));
        if late {
            world.run();
            let stop = world.stop("g", deadline);
            world.settle(&taken, FAILED);
            world.advance(100);
            assert!(world.is_done(stop));
        } else {
            world.settle(&taken, FAILED);
            let stop = world.stop("g", deadline);
            world.advance(100);
            assert!(matches!(world.result(stop), CommandResult::Stopped(Drained { .. })));
        }
    }
}
