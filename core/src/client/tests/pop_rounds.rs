//! When a queue is popped again.

use super::pops::{assign, popped, popping};
use super::suspends::suspend;
use super::*;
use crate::client::snapshot::PopPhase;
use crate::wire::body::MessageMode;

fn pops(world: &World) -> usize {
    world.open(request::POP_MESSAGE, |_| true)
}

/// Lets time pass until a pop is under way; how long that takes, in milliseconds.
fn popped_after(world: &mut World) -> u128 {
    let from = world.now;
    while pops(world) == 0 {
        world.advance(1);
    }
    world.now.since(from).as_millis()
}

/// The broker shares the queues out anew.
fn reassign(world: &mut World, mode: MessageMode) {
    let conn = *world.up.iter().find(|(_, to)| to.as_str() == "b:1").unwrap().0;
    world.input(Input::BrokerRequest(conn, rebalances::notice("g")));
    world.advance(1_000);
    assign(world, mode);
}

#[test]
fn a_suspended_consumer_pops_nothing_until_it_goes_on() {
    let mut world = popping(|_| ());
    suspend(&mut world, true);
    assert_eq!(pops(&world), 1);
    // What was asked for before comes, and is handed out.
    world.popped(0..2);
    world.advance(10_000);
    assert_eq!((pops(&world), world.consume(Outcome::Done)), (0, 2));
    let snapshot = world.machine.snapshot(world.now);
    assert_eq!(snapshot.consumers[0].pops[0].phase, PopPhase::Suspended);
    suspend(&mut world, false);
    assert_eq!(pops(&world), 1);
}

#[test]
fn a_queue_that_was_given_up_and_came_back_is_popped_once_at_a_time() {
    for refused in [false, true] {
        let mut world = popping(|_| ());
        world.popped(0..1);
        assert_eq!(pops(&world), 1);
        let taken = world.take_one().unwrap();
        reassign(&mut world, MessageMode::Pull);
        reassign(&mut world, MessageMode::Pop);
        assert_eq!(pops(&world), 2, "that of before, and one of now");
        let before = world.take(request::POP_MESSAGE);
        let millis = 1_000_000 + i64::try_from(world.now.as_micros() / 1_000).unwrap();
        let frame = if refused { refusal(response::SYSTEM_ERROR) } else { popped(1..2, millis) };
        world.reply(before, frame);
        world.advance(3_000);
        assert_eq!(pops(&world), 1, "that of now is still under way");
        assert_eq!(world.consume(Outcome::Done), usize::from(!refused), "what came is handed out");
        world.popped(2..3);
        assert_eq!((pops(&world), world.consume(Outcome::Done)), (1, 1));
        drop(taken);
    }
}

#[test]
fn refusals_of_pops_have_the_pauses_of_pulls() {
    let paused = |code, pause| {
        let mut world = popping(|_| ());
        let pop = world.take(request::POP_MESSAGE);
        world.reply(pop, refusal(code));
        assert_eq!(popped_after(&mut world), pause, "{code}");
        world
    };
    paused(response::FLOW_CONTROL, 20);
    paused(response::SYSTEM_ERROR, 1_000);
    paused(response::POLLING_FULL, 1_000);
    let mut world = popping(|_| ());
    world.held.insert(request::HEART_BEAT);
    let pop = world.take(request::POP_MESSAGE);
    world.reply(pop, refusal(response::SUBSCRIPTION_NOT_EXIST));
    assert_eq!(world.open(request::HEART_BEAT, |_| true), 1);
}

#[test]
fn a_pause_between_pops_that_bring_messages_is_kept() {
    let mut world = popping(|config| config.pull_interval = Duration::from_millis(300));
    world.popped(0..1);
    assert_eq!(popped_after(&mut world), 300);
    let nothing = |world: &mut World| {
        let pop = world.take(request::POP_MESSAGE);
        world.advance(1_000);
        world.reply(pop, pops::nothing(1_001_300));
    };
    nothing(&mut world);
    assert_eq!(pops(&world), 1, "at once");
}
