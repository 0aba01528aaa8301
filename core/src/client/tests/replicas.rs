use super::*;
use crate::config::ReadFrom;
use crate::wire::request::UpdateConsumerOffset;

/// The route of `T` with these replicas of its broker.
fn replicas(ids: &[i64]) -> TopicRoute {
    let mut route = route(1, &["b"]);
    let addr = |id: &i64| (*id, Endpoint::from(if *id == 0 { "b:1".into() } else { alloc::format!("slave:{id}") }));
    route.broker_datas[0].broker_addrs = ids.iter().map(addr).collect();
    route
}

fn consuming(ids: &[i64], change: impl FnOnce(&mut ConsumerConfig)) -> World {
    let mut world = World::new();
    world.routes.insert("T".into(), replicas(ids));
    world.stored.insert(("T".into(), 0), 70);
    let op = world.start(change);
    world.run();
    assert!(matches!(world.result(op), CommandResult::Started(Ok(()))));
    world
}

/// The route becomes this one.
fn reroute(world: &mut World, ids: &[i64]) {
    world.routes.insert("T".into(), replicas(ids));
    // One that was just asked for is not asked for again.
    world.advance(1_000);
    world.command(Command::WantRoute { topic: "T".into(), fresh: true });
    world.run();
}

fn says(code: i32, suggested: i64, next: u64, min: i64, body: Vec<u8>) -> Frame {
    let next_begin_offset = i64::try_from(next).unwrap();
    let fields = PullMessageResponse {
        suggested_broker: suggested,
        next_begin_offset,
        min_offset: min,
        max_offset: 1_000,
        offset_delta: None,
    };
    answer(code, |out| fields.write(out), body)
}

fn read_from(world: &World) -> Vec<i64> {
    let replicas = world.events.iter().filter_map(|event| match event {
        ClientEvent::ReadFrom { replica, .. } => Some(*replica),
        _ => None,
    });
    replicas.collect()
}

/// Answers the pull under way with messages up to `end`, and the replica to ask next.
fn found(world: &mut World, end: u64, suggested: i64) -> Asked {
    let pull = world.pull("T");
    let from: u64 = pull.field("queueOffset").parse().unwrap();
    let frame = says(0, suggested, end, 0, records(from..end));
    world.reply(pull, frame);
    world.run();
    world.pull("T")
}

#[test]
fn a_slave_that_has_nothing_sends_us_back_to_the_master() {
    for code in [response::PULL_RETRY_IMMEDIATELY, response::PULL_NOT_FOUND, response::PULL_OFFSET_MOVED] {
        let mut world = consuming(&[0, 1], |_| ());
        let pull = found(&mut world, 72, 1);
        assert_eq!(pull.to.as_str(), "slave:1");
        // Even if it names itself.
        let frame = says(code, 1, 72, 0, Vec::new());
        world.reply(pull, frame);
        world.run();
        let pull = world.pull("T");
        assert_eq!((pull.to.as_str(), pull.field("queueOffset")), ("b:1", "72"), "{code}");
        assert_eq!(read_from(&world), [1, 0]);
    }
}

#[test]
fn a_slave_that_refuses_or_does_not_answer_sends_us_back_to_the_master() {
    type End = fn(&mut World, Asked);
    let ends: [End; 2] = [
        |world, pull| {
            let frame = says(response::SYSTEM_ERROR, 1, 72, 0, Vec::new());
            world.reply(pull, frame);
        },
        |world, pull| world.fail(pull, Sent::Maybe),
    ];
    for end in ends {
        let mut world = consuming(&[0, 1], |_| ());
        let pull = found(&mut world, 72, 1);
        assert_eq!(pull.to.as_str(), "slave:1");
        end(&mut world, pull);
        world.advance(10_000);
        let pull = world.pull("T");
        assert_eq!((pull.to.as_str(), pull.field("queueOffset")), ("b:1", "72"));
        assert_eq!(read_from(&world), [1, 0]);
    }
}

#[test]
fn what_a_slave_lost_is_asked_of_the_master() {
    // A slave of 5.x hides that the offset is before its start behind the code for "ask again".
    let mut world = consuming(&[0, 1], |_| ());
    let pull = found(&mut world, 72, 1);
    let frame = says(response::PULL_RETRY_IMMEDIATELY, 0, 500, 500, Vec::new());
    world.reply(pull, frame);
    world.run();
    let pull = world.pull("T");
    assert_eq!((pull.to.as_str(), pull.field("queueOffset")), ("b:1", "72"));
    // What it filtered out is passed.
    let mut world = consuming(&[0, 1], |_| ());
    let pull = found(&mut world, 72, 1);
    let frame = says(response::PULL_RETRY_IMMEDIATELY, 0, 500, 72, Vec::new());
    world.reply(pull, frame);
    world.run();
    assert_eq!(world.pull("T").field("queueOffset"), "500");
}

#[test]
fn a_slave_without_a_master_is_asked_once_a_second_at_most() {
    let mut world = consuming(&[0, 1], |_| ());
    let pull = world.pull("T");
    reroute(&mut world, &[1]);
    world.fail(pull, Sent::Maybe);
    world.advance(1_000);
    let (mut pulls, start) = (0, world.now);
    while world.now.since(start) < Duration::from_secs(30) {
        while world.pulls("T") > 0 {
            let pull = world.pull("T");
            assert_eq!(pull.to.as_str(), "slave:1");
            pulls += 1;
            assert!(pulls < 100, "a loop");
            let frame = says(response::PULL_RETRY_IMMEDIATELY, 0, 70, 0, Vec::new());
            world.reply(pull, frame);
        }
        world.advance(100);
    }
    assert!((25..=31).contains(&pulls), "{pulls}");
    assert_eq!(read_from(&world), [1]);
    // The master is back.
    reroute(&mut world, &[0, 1]);
    let pull = world.pull("T");
    let frame = says(response::PULL_RETRY_IMMEDIATELY, 0, 70, 0, Vec::new());
    world.reply(pull, frame);
    world.run();
    assert_eq!(world.pull("T").to.as_str(), "b:1");
}

#[test]
fn the_user_may_choose_the_replica() {
    let mut world = consuming(&[0, 1], |config| config.read_from = ReadFrom::Master);
    let pull = found(&mut world, 72, 1);
    assert_eq!(pull.to.as_str(), "b:1", "whatever is suggested");
    reroute(&mut world, &[1]);
    world.fail(pull, Sent::Maybe);
    world.advance(60_000);
    assert_eq!(world.pulls("T"), 0, "a slave does not do");

    let mut world = consuming(&[0, 1, 2], |config| config.read_from = ReadFrom::Replica(2));
    let pull = found(&mut world, 72, 0);
    assert_eq!(pull.to.as_str(), "slave:2");
    let frame = says(response::PULL_RETRY_IMMEDIATELY, 0, 72, 0, Vec::new());
    world.reply(pull, frame);
    world.run();
    let pull = world.pull("T");
    assert_eq!(pull.to.as_str(), "b:1", "once");
    let frame = says(0, 0, 74, 0, records(72..74));
    world.reply(pull, frame);
    world.run();
    assert_eq!(world.pull("T").to.as_str(), "slave:2");
}

#[test]
fn what_a_slave_says_of_the_start_is_confirmed_by_the_master_before_anything_is_committed() {
    for (master, goes_on_at) in [(90, "90"), (70, "75")] {
        let mut world = consuming(&[1], |_| ());
        let pull = world.pull("T");
        assert_eq!((pull.to.as_str(), pull.field("queueOffset")), ("slave:1", "70"));
        let frame = says(0, 0, 75, 0, records(70..75));
        world.reply(pull, frame);
        world.consume(Outcome::Done);
        world.news();
        world.advance(20_000);
        world.held.insert(request::UPDATE_CONSUMER_OFFSET);
        world.stored.insert(("T".into(), 0), master);
        reroute(&mut world, &[0, 1]);
        world.advance(10_000);
        let pulls: Vec<_> = world.asked.iter().filter(|asked| asked.code() == request::PULL_MESSAGE).collect();
        assert!(pulls.iter().any(|asked| asked.field("queueOffset") == goes_on_at), "{pulls:#?}");
        let commits = world.asked.iter().filter(|asked| asked.code() == request::UPDATE_CONSUMER_OFFSET);
        let commits: Vec<_> =
            commits.map(|asked| UpdateConsumerOffset::read(&asked.frame.header.ext).unwrap()).collect();
        let least = commits.iter().map(|commit| commit.commit_offset.get()).min();
        assert!(least.is_none_or(|least| least >= master), "{commits:?}");
    }
}

#[test]
fn that_a_slave_knows_no_offset_means_nothing() {
    let mut world = World::new();
    world.routes.insert("T".into(), replicas(&[1]));
    world.start(|_| ());
    world.advance(20_000);
    assert_eq!(world.pulls("T"), 0);
    assert!(world.count(|event| matches!(event, ClientEvent::PullFailed { why, .. } if why.contains("slave"))) > 0);
    reroute(&mut world, &[0, 1]);
    world.advance(2_000);
    assert_eq!(world.pull("T").field("queueOffset"), "500", "the master knows the end");
}
