use super::*;

fn committed(world: &World) -> Vec<u64> {
    let commits = world.asked.iter().filter(|asked| asked.code() == request::UPDATE_CONSUMER_OFFSET);
    commits.map(|asked| asked.field("commitOffset").parse().unwrap()).collect()
}

fn world() -> World {
    let mut world = World::consuming(1, |_| ());
    world.held.insert(request::UPDATE_CONSUMER_OFFSET);
    // The start itself is committed first: nothing was stored.
    world.advance(5_000);
    assert_eq!(committed(&world), [500]);
    let asked = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.reply(asked, answer(0, |_| (), []));
    world
}

#[test]
fn offsets_are_committed_every_five_seconds_when_they_moved() {
    let mut world = world();
    world.advance(5_000);
    assert_eq!(committed(&world), [0; 0]);
    let pull = world.pull("T");
    world.found(pull, 500..505);
    world.consume(Outcome::Done);
    world.advance(4_999);
    assert_eq!(committed(&world), [0; 0]);
    world.advance(1);
    assert_eq!(committed(&world), [505]);
}

#[test]
fn what_somebody_else_may_have_put_back_is_committed_again() {
    let mut world = world();
    world.advance(49_999);
    assert_eq!(committed(&world), [0; 0]);
    world.advance(5_001);
    assert_eq!(committed(&world), [500], "once a minute");
    let asked = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.reply(asked, answer(0, |_| (), []));
    world.advance(59_999);
    assert_eq!(committed(&world), [0; 0]);
    world.advance(1);
    assert_eq!(committed(&world), [500]);
}

#[test]
fn a_commit_stays_behind_what_is_unsettled() {
    let mut world = world();
    let pull = world.pull("T");
    world.found(pull, 500..505);
    let mut taken = Vec::new();
    world.dispatch(&"g".into(), |dispatch| taken.extend(core::iter::from_fn(|| dispatch.take(Instant::ZERO))));
    for taken in [&taken[0], &taken[1], &taken[3]] {
        world.dispatch(&"g".into(), |dispatch| {
            dispatch.settle(taken, Outcome::Done);
        });
    }
    world.advance(5_000);
    assert_eq!(committed(&world), [502]);
}

#[test]
fn an_unanswered_commit_is_made_again_and_none_goes_back() {
    let mut world = world();
    let pull = world.pull("T");
    world.found(pull, 500..505);
    world.consume(Outcome::Done);
    world.advance(5_000);
    let pull = world.pull("T");
    world.found(pull, 505..507);
    world.consume(Outcome::Done);
    world.advance(4_900);
    assert_eq!(committed(&world), [505], "one at a time");
    let asked = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.fail(asked, Sent::Maybe);
    world.advance(100);
    assert_eq!(committed(&world), [507]);
    let asked = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.reply(asked, refusal(1));
    world.advance(5_000);
    assert_eq!(committed(&world), [507], "refused is not stored");
    let asked = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.reply(asked, answer(0, |_| (), []));
    world.advance(20_000);
    assert_eq!(committed(&world), [0; 0]);
}

#[test]
fn a_revoked_queue_commits_its_last_settled_offset() {
    let mut world = world();
    let pull = world.pull("T");
    world.found(pull, 500..505);
    let mut taken = Vec::new();
    world.dispatch(&"g".into(), |dispatch| taken.extend(core::iter::from_fn(|| dispatch.take(Instant::ZERO))));
    world.dispatch(&"g".into(), |dispatch| {
        dispatch.settle(&taken[0], Outcome::Done);
        dispatch.settle(&taken[1], Outcome::Done);
    });
    world.members = alloc::vec!["a".into(), ME.into(), "0".into()];
    world.input(Input::BrokerRequest(ConnId { index: 0, generation: 1 }, rebalances::notice("g")));
    world.run();
    assert_eq!(committed(&world), [502]);
    let late = world.pull("T");
    world.found(late, 505..509);
    assert_eq!(world.consume(Outcome::Done), 0, "its pull is stale");
    world.dispatch(&"g".into(), |dispatch| {
        dispatch.settle(&taken[2], Outcome::Done);
    });
    world.advance(10_000);
    assert_eq!(committed(&world), [0; 0], "the commit timed out and nothing follows");
}

#[test]
fn the_first_commit_of_a_topic_goes_alone() {
    let mut world = World::consuming(4, |_| ());
    world.held.insert(request::UPDATE_CONSUMER_OFFSET);
    world.advance(5_000);
    assert_eq!(committed(&world), [500]);
    let asked = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.fail(asked, Sent::Maybe);
    world.run();
    assert_eq!(committed(&world), [500], "nobody knows whether the broker has a table for the topic now");
    let asked = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.reply(asked, answer(0, |_| (), []));
    world.run();
    assert_eq!(committed(&world), [500, 500], "it has: the others go together");
}

#[test]
fn queues_revoked_before_any_commit_do_not_commit_together() {
    let mut world = World::consuming(4, |_| ());
    world.held.insert(request::UPDATE_CONSUMER_OFFSET);
    leave_group(&mut world);
    assert_eq!(committed(&world), [500]);
    let asked = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.reply(asked, answer(0, |_| (), []));
    world.run();
    assert_eq!(committed(&world), [500, 500, 500]);
}

#[test]
fn a_queue_revoked_during_its_commit_commits_after_it() {
    let mut world = settled_during_a_commit();
    leave_group(&mut world);
    assert_eq!(committed(&world), [505]);
    let asked = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.reply(asked, answer(0, |_| (), []));
    world.run();
    assert_eq!(committed(&world), [507]);
}

#[test]
fn a_stop_during_a_commit_commits_what_was_settled_since() {
    let mut world = settled_during_a_commit();
    let op = world.stop("g", Instant::from_micros(60_000_000));
    world.run();
    assert_eq!(committed(&world), [505]);
    let asked = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.reply(asked, answer(0, |_| (), []));
    world.run();
    assert_eq!(committed(&world), [507]);
    let asked = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.reply(asked, answer(0, |_| (), []));
    world.run();
    assert!(matches!(world.result(op), CommandResult::Stopped(Drained { unsettled: 0 })));
}

/// A world where 505 is being committed and 507 is settled.
fn settled_during_a_commit() -> World {
    let mut world = world();
    let pull = world.pull("T");
    world.found(pull, 500..505);
    world.consume(Outcome::Done);
    world.advance(5_000);
    let pull = world.pull("T");
    world.found(pull, 505..507);
    world.consume(Outcome::Done);
    assert_eq!(committed(&world), [505]);
    world
}

/// The others of the group take every queue.
fn leave_group(world: &mut World) {
    world.members = ["0", "00", "000", "0000", ME].map(ClientId::from).into();
    world.input(Input::BrokerRequest(ConnId { index: 0, generation: 1 }, rebalances::notice("g")));
    world.advance(1_000);
}
