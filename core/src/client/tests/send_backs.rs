use super::*;
use crate::dispatch::PoisonPolicy;

const FAILED: Outcome = Outcome::Failed { level: 0 };

/// A consumer that has the message at 500.
fn handling() -> World {
    let mut world = World::consuming(1, |_| ());
    world.topic("%RETRY%g", 1, &["b"]);
    world.advance(31_000);
    world.held.extend([request::CONSUMER_SEND_MSG_BACK, request::SEND_MESSAGE_V2]);
    let pull = world.pull("T");
    world.found(pull, 500..501);
    world
}

/// A consumer that failed it.
fn failed() -> World {
    let mut world = handling();
    assert_eq!(world.consume(FAILED), 1);
    world.run();
    world
}

fn settled_to(world: &mut World) -> u64 {
    world.held.insert(request::UPDATE_CONSUMER_OFFSET);
    let mut last = 500;
    world.advance(5_000);
    while world.open(request::UPDATE_CONSUMER_OFFSET, |_| true) > 0 {
        let asked = world.take(request::UPDATE_CONSUMER_OFFSET);
        if asked.field("topic") == "T" {
            last = asked.field("commitOffset").parse().unwrap();
        }
        world.reply(asked, answer(0, |_| (), []));
    }
    last
}

#[test]
fn a_message_handed_back_is_settled() {
    let mut world = failed();
    let back = world.take(request::CONSUMER_SEND_MSG_BACK);
    let fields = ["offset", "group", "delayLevel", "originMsgId", "originTopic", "maxReconsumeTimes"];
    assert_eq!(fields.map(|key| back.field(key)), ["50000", "g", "0", "U", "T", "16"]);
    assert_eq!(settled_to(&mut world), 500, "not before it is with the broker");
    world.reply(back, answer(0, |_| (), []));
    world.run();
    assert_eq!(settled_to(&mut world), 501);
}

#[test]
fn refused_it_is_republished() {
    let mut world = failed();
    let back = world.take(request::CONSUMER_SEND_MSG_BACK);
    world.reply(back, refusal(1));
    world.run();
    let copy = world.take(request::SEND_MESSAGE_V2);
    assert_eq!((copy.field("a"), copy.field("b"), copy.field("j"), copy.field("l")), ("g", "%RETRY%g", "1", "16"));
    assert_eq!(&copy.frame.body[..], b"500");
    for property in ["RETRY_TOPIC\u{1}T", "ORIGIN_MESSAGE_ID\u{1}U", "DELAY\u{1}3", "RECONSUME_TIME\u{1}1"] {
        assert!(copy.field("i").contains(property), "{property}: {}", copy.field("i"));
    }
    let frame = world.usual(&copy);
    world.reply(copy, frame);
    world.run();
    assert_eq!(settled_to(&mut world), 501);
}

/// A broker that was restarted may have something else where the message was.
#[test]
fn what_was_pulled_before_the_link_broke_is_republished_and_what_came_after_it_is_handed_back() {
    let mut world = handling();
    let taken = world.take_one().expect("a message");
    world.hang_up("b:1");
    world.advance(5_000);
    world.settle(&taken, FAILED);
    world.run();
    assert_eq!(world.open(request::CONSUMER_SEND_MSG_BACK, |_| true), 0);
    let copy = world.take(request::SEND_MESSAGE_V2);
    assert_eq!((copy.field("b"), &copy.frame.body[..]), ("%RETRY%g", &b"500"[..]));
    let frame = world.usual(&copy);
    world.reply(copy, frame);

    let pull = world.pull("T");
    world.found(pull, 501..502);
    assert_eq!(world.consume(FAILED), 1);
    world.run();
    assert_eq!(world.take(request::CONSUMER_SEND_MSG_BACK).field("offset"), "50100");
}

#[test]
fn a_dead_letter_is_republished_without_delay() {
    let mut world = handling();
    assert_eq!(world.consume(Outcome::Failed { level: -1 }), 1);
    world.run();
    let back = world.take(request::CONSUMER_SEND_MSG_BACK);
    world.reply(back, refusal(1));
    world.run();
    let copy = world.take(request::SEND_MESSAGE_V2);
    assert_eq!((copy.field("j"), copy.field("l")), ("1", "0"), "more often than is allowed");
    assert!(!copy.field("i").contains("DELAY\u{1}"), "{}", copy.field("i"));
}

#[test]
fn when_nobody_takes_it_it_comes_again_here() {
    let mut world = failed();
    let back = world.take(request::CONSUMER_SEND_MSG_BACK);
    world.fail(back, Sent::Maybe);
    world.run();
    while world.count(|event| matches!(event, ClientEvent::SendBackFailed { .. })) == 0 {
        if world.open(request::SEND_MESSAGE_V2, |_| true) > 0 {
            let copy = world.take(request::SEND_MESSAGE_V2);
            world.reply(copy, refusal(response::SYSTEM_BUSY));
        }
        world.advance(10);
    }
    world.advance(4_900);
    assert_eq!(world.consume(Outcome::Done), 0);
    world.advance(100);
    let mut again = None;
    let now = world.now;
    world.dispatch(&"g".into(), |dispatch| again = dispatch.take(now));
    let again = again.expect("after 5 s");
    assert_eq!(again.local_retries, 1);
    assert_eq!(settled_to(&mut world), 500);
    world.dispatch(&"g".into(), |dispatch| {
        dispatch.settle(&again, Outcome::Done);
    });
    assert_eq!(settled_to(&mut world), 501);
}

#[test]
fn a_poison_record_is_handed_back_and_a_refusal_stops_its_queue() {
    for (code, stopped) in [(0, 0), (1, 1)] {
        let mut world = World::consuming(1, |config| config.on_poison = PoisonPolicy::SendBack);
        world.held.insert(request::CONSUMER_SEND_MSG_BACK);
        let pull = world.pull("T");
        let mut body = records(500..503);
        let len = body.len() / 3;
        body[2 * len - 24] ^= 1; // In the body of the second.
        let broken = (len..2 * len).rev().find(|at| body[*at] == b'1').unwrap();
        body[broken] = b'9';
        let frame = pulled(&pull, 0, 503, body);
        world.reply(pull, frame);
        world.run();
        assert!(world.consume(Outcome::Done) >= 1);
        world.run();
        let back = world.take(request::CONSUMER_SEND_MSG_BACK);
        assert_eq!(back.field("offset"), "50100", "by its physical offset");
        world.reply(back, if code == 0 { answer(0, |_| (), []) } else { refusal(code) });
        world.run();
        world.consume(Outcome::Done);
        assert_eq!(world.count(|event| matches!(event, ClientEvent::QueueStopped { .. })), stopped);
        assert_eq!(world.open(request::SEND_MESSAGE_V2, |_| true), 0, "what cannot be read is not republished");
        assert_eq!(settled_to(&mut world), if stopped == 1 { 501 } else { 503 });
    }
}

#[test]
fn a_poison_record_whose_hand_back_goes_unanswered_is_handed_back_again() {
    let mut world = World::consuming(1, |config| config.on_poison = PoisonPolicy::SendBack);
    world.held.insert(request::CONSUMER_SEND_MSG_BACK);
    let pull = world.pull("T");
    let mut body = records(500..501);
    body[4] ^= 0x55; // The magic.
    let frame = pulled(&pull, 0, 501, body);
    world.reply(pull, frame);
    world.run();
    world.consume(Outcome::Done);
    world.run();
    assert_eq!(world.open(request::CONSUMER_SEND_MSG_BACK, |_| true), 1);
    world.advance(5_000);
    assert_eq!(world.open(request::CONSUMER_SEND_MSG_BACK, |_| true), 0, "its time is over");
    assert_eq!(world.count(|event| matches!(event, ClientEvent::QueueStopped { .. })), 0);
    world.advance(5_000);
    world.consume(Outcome::Done);
    world.run();
    let again = world.take(request::CONSUMER_SEND_MSG_BACK);
    world.reply(again, answer(0, |_| (), []));
    world.run();
    assert_eq!(world.count(|event| matches!(event, ClientEvent::QueueStopped { .. })), 0);
    assert_eq!(settled_to(&mut world), 501);
}

#[test]
fn at_most_256_are_on_their_way() {
    let mut world = World::consuming(1, |_| ());
    world.held.insert(request::CONSUMER_SEND_MSG_BACK);
    let pull = world.pull("T");
    world.found(pull, 500..532);
    let mut failed = world.consume(FAILED);
    for at in 1..10 {
        let pull = world.pull("T");
        world.found(pull, 500 + at * 32..532 + at * 32);
        failed += world.consume(FAILED);
    }
    world.run();
    assert_eq!(failed, 320);
    assert_eq!(world.open(request::CONSUMER_SEND_MSG_BACK, |_| true), 256);
    for _ in 0..320 {
        let back = world.take(request::CONSUMER_SEND_MSG_BACK);
        world.reply(back, answer(0, |_| (), []));
        world.run();
    }
    assert_eq!(settled_to(&mut world), 820);
}

#[test]
fn a_revoked_queue_takes_its_send_backs_along() {
    let mut world = failed();
    let back = world.take(request::CONSUMER_SEND_MSG_BACK);
    world.members = alloc::vec!["0".into(), ME.into()];
    world.input(Input::BrokerRequest(back.conn, rebalances::notice("g")));
    world.advance(1_000);
    assert_eq!(world.machine.failure_room(&"g".into()), 256);
    world.reply(back, refusal(1));
    world.run();
    assert_eq!(world.open(request::SEND_MESSAGE_V2, |_| true), 0, "whoever owns the queue gets it again");
}
