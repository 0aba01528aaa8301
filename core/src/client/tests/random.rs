//! Random scripts: whatever happens in whatever order, each queue goes on, each command ends once, and the same script
//! gives the same outputs.

use super::*;
use crate::config::{ConsumeMode, Filter, TimeoutPolicy};
use crate::rng::Rng;
use proptest::prelude::*;

/// Runs a random script; the world checks its invariants after each step.
fn script(seed: u64, steps: usize) -> World {
    let mut world = World::with("n1:1;n2:2", |_| ());
    let mut rng = Rng::new(seed);
    let mut ops = Vec::new();
    world.topic("T", 3, &["a", "b"]);
    world.topic("%RETRY%g", 1, &["a"]);
    ops.push(world.start(configure(seed)));
    let mut changes = Rng::new(!seed);
    for _ in 0..steps {
        step(&mut world, &mut rng, &mut ops, seed);
        if seed % 3 == 1 && changes.below(8) == 0 {
            change_subscriptions(&mut world, &mut changes, &mut ops);
        }
    }
    // Everything heals, and the client ends.
    world.dead.clear();
    world.silent.clear();
    world.foreign.clear();
    world.held = BTreeSet::from([request::PULL_MESSAGE]);
    world.run();
    let deadline = world.now.after(Duration::from_secs(20));
    world.machine.handle(world.now, Input::Shutdown { deadline });
    world.pump();
    world.advance(20_000);
    assert_eq!((world.closed, world.machine.load()), (1, (0, 0)), "{:#?}", world.machine);
    for op in ops {
        assert_eq!(world.done.get(&op).map_or(0, Vec::len), 1, "{op:?}");
    }
    world
}

/// Every other script is one of an orderly group.
fn configure(seed: u64) -> impl FnOnce(&mut ConsumerConfig) {
    move |config| {
        config.queue_messages = 5;
        config.mode = [ConsumeMode::Concurrent, ConsumeMode::Orderly][usize::from(seed % 2 == 1)];
        config.auto_commit = seed % 4 != 3;
        config.max_reconsume = Some(2);
        config.consume_timeout = core::time::Duration::from_secs(4);
        config.on_consume_timeout = [TimeoutPolicy::Tell, TimeoutPolicy::SendBack][usize::from(seed % 8 < 4)];
    }
}

fn step(world: &mut World, rng: &mut Rng, ops: &mut Vec<OpId>, seed: u64) {
    let places = ["n1:1", "n2:2", "a:1", "b:1"];
    let place = places[rng.below(4)];
    match rng.below(23) {
        0..=3 => world.advance([1, 20, 500, 4_000][rng.below(4)]),
        4..=8 if !world.asked.is_empty() => {
            let at = rng.below(world.asked.len());
            let asked = world.asked.remove(at);
            random_answer(world, rng, asked);
        }
        9..=11 => {
            let many = rng.below(3) == 0;
            let failed =
                [Outcome::Failed { level: 0 }, Outcome::RolledBack, Outcome::Failed { level: -1 }][rng.below(3)];
            let outcome = [Outcome::Done, Outcome::Committed, failed][rng.below(3)];
            if many {
                let (now, most, first) = (world.now, 1 + rng.below(6), rng.below(6));
                world.dispatch(&"g".into(), |dispatch| {
                    let many = dispatch.take_many(now, most);
                    dispatch.settle_many(now, many.iter(), first, outcome, failed);
                });
            } else if let Some(taken) = world.take_one() {
                world.dispatch(&"g".into(), |dispatch| {
                    dispatch.settle(&taken, outcome);
                });
            }
        }
        12 if world.up.values().any(|to| to.as_str() == place) => world.hang_up(place),
        13 => {
            world.dead.insert(place.into());
        }
        14 => world.dead.clear(),
        15 => {
            world.silent.insert(place.into());
            world.held.extend([request::SEND_MESSAGE_V2, request::CONSUMER_SEND_MSG_BACK]);
        }
        16 => {
            world.silent.clear();
            world.held.remove(&request::SEND_MESSAGE_V2);
        }
        17 if rng.below(2) == 0 => world.foreign = (0..3).filter(|_| rng.below(3) == 0).collect(),
        17 => world.members = alloc::vec![ME.into(), ["0", "9"][rng.below(2)].into()],
        18 => world.topic("T", i32::try_from(rng.below(4)).unwrap(), &["a", "b"][..=rng.below(2)]),
        19 => ops.push(world.command(Command::WantRoute { topic: "T".into(), fresh: rng.below(2) == 0 })),
        20 => {
            let known = world.started;
            ops.push(world.start(configure(seed)));
            if world.is_done(world.started) {
                // There was one already: that is the one to stop.
                world.started = known;
            }
        }
        21 => {
            let deadline = world.now.after(Duration::from_secs(2));
            ops.push(world.stop("g", deadline));
        }
        22 => {
            let (group, start, suspend) = ("g".into(), world.started, rng.below(2) == 0);
            ops.push(world.command(Command::Suspend { group, start, suspend }));
        }
        _ => world.input(Input::BrokerRequest(ConnId { index: 0, generation: 1 }, rebalances::notice("g"))),
    }
    if rng.below(3) == 0 {
        world.run();
    }
    world.news();
}

/// Every third script is one of a group whose subscriptions change.
fn change_subscriptions(world: &mut World, rng: &mut Rng, ops: &mut Vec<OpId>) {
    let (group, start) = (Group::from("g"), world.started);
    let topic = Topic::from(["T", "U", "%RETRY%g"][rng.below(3)]);
    if rng.below(6) == 0 {
        world.topic("U", i32::try_from(rng.below(3)).unwrap(), &["b"]);
    }
    let filters = [Filter::all(), "x || y".into(), Filter::sql("a > 3"), Filter::sql("b > 3")];
    let command = match rng.below(5) {
        0 | 1 => Command::Unsubscribe { group, start, topic },
        at => Command::Subscribe { group, start, topic, filter: filters[at - 1].clone() },
    };
    ops.push(world.command(command));
}

fn random_answer(world: &mut World, rng: &mut Rng, asked: Asked) {
    let sent = [Sent::Never, Sent::Maybe][rng.below(2)];
    if rng.below(6) == 0 {
        world.fail(asked, sent);
        return world.pump();
    }
    if asked.code() != request::PULL_MESSAGE {
        let frame = if rng.below(4) == 0 { refusal([1, 2, 22, 24][rng.below(4)]) } else { world.usual(&asked) };
        return world.reply(asked, frame);
    }
    let from: u64 = asked.field("queueOffset").parse().unwrap();
    let frame = match rng.below(8) {
        0..=3 => {
            let next = from + 1 + rng.below(8) as u64;
            pulled(&asked, response::SUCCESS, next, records(from..next))
        }
        4 => pulled(&asked, response::PULL_NOT_FOUND, from, Vec::new()),
        5 => pulled(&asked, response::PULL_OFFSET_MOVED, rng.below(1_000) as u64, Vec::new()),
        6 => pulled(&asked, response::PULL_RETRY_IMMEDIATELY, from + rng.below(50) as u64, Vec::new()),
        _ => refusal([1, 2, 24, 215][rng.below(4)]),
    };
    world.reply(asked, frame);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_queue_goes_on_and_every_command_ends_once(seed: u64) {
        script(seed, 150);
    }
}

#[test]
fn an_offset_out_of_bounds_while_a_lock_is_renewed() {
    script(11_376_264_596_169_830_895, 150);
}

#[test]
fn the_same_script_gives_the_same_outputs() {
    for seed in 0..20 {
        assert_eq!(script(seed, 150).log, script(seed, 150).log);
    }
    assert_ne!(script(1, 150).log, script(2, 150).log);
}

#[test]
fn the_scripts_reach_what_they_are_for() {
    let logs: Vec<_> = (0..40).flat_map(|seed| script(seed, 150).log).collect();
    let marks = [
        "Deliver {",
        "Settle {",
        "Revoke {",
        "StopIntake",
        "CloseDispatch",
        "OffsetIllegal",
        "Rebalanced",
        "PullFailed",
        "LinkDown",
        "Started(Err",
        "Started(Ok",
        "Route(Err",
        "Stopped(",
        "Lease {",
        "Redeliver {",
        "LockLost",
        "Suspended",
        "Resumed",
        "LookForOverdue",
        "Event(Subscribed",
        "Event(Unsubscribed",
        "Subscribed(Err",
    ];
    for mark in marks {
        assert!(logs.iter().any(|line| line.contains(mark)), "{mark}");
    }
}
