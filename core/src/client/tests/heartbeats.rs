use super::*;
use crate::wire::body::HeartbeatData;

fn beats(world: &mut World) -> Vec<HeartbeatData> {
    let beats: Vec<_> = world.asked.extract_if(.., |asked| asked.code() == request::HEART_BEAT).collect();
    let mut bodies = Vec::new();
    for asked in beats {
        bodies.push(HeartbeatData::decode(&asked.frame.body).unwrap());
        let frame = world.usual(&asked);
        world.reply(asked, frame);
    }
    world.run();
    bodies
}

fn world() -> World {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.held.insert(request::HEART_BEAT);
    world
}

#[test]
fn a_client_with_nothing_to_say_says_nothing() {
    let mut world = world();
    world.command(Command::WantRoute { topic: "T".into(), fresh: false });
    world.command(Command::WantLink("b:1".into()));
    world.advance(120_000);
    assert_eq!(beats(&mut world).len(), 0);
}

#[test]
fn a_process_that_stood_still_goes_on() {
    let mut world = world();
    world.command(Command::StartProducer("p".into()));
    world.command(Command::WantRoute { topic: "T".into(), fresh: false });
    world.run();
    world.now = world.now.after(Duration::from_secs(31));
    world.run();
    assert_eq!(beats(&mut world).len(), 1, "the next one was due before the answer to the first was seen");
    world.advance(30_000);
    assert_eq!(beats(&mut world).len(), 1);
}

#[test]
fn brokers_hear_from_us_on_connect_and_every_30_seconds() {
    let mut world = world();
    world.command(Command::StartProducer("p".into()));
    world.command(Command::WantRoute { topic: "T".into(), fresh: false });
    world.run();
    let first = beats(&mut world);
    assert_eq!(first.len(), 1, "at once, and once");
    assert_eq!((first[0].client_id.as_str(), first[0].producers[0].group.as_str()), (ME, "p"));
    for _ in 0..3 {
        world.advance(29_900);
        assert_eq!(beats(&mut world).len(), 0);
        world.advance(100);
        assert_eq!(beats(&mut world).len(), 1);
    }
    world.hang_up("b:1");
    world.advance(600);
    assert_eq!(beats(&mut world).len(), 1, "a broker that came back hears from us at once");
}

#[test]
fn a_change_of_groups_is_told_at_once_with_every_subscription() {
    let mut world = world();
    world.command(Command::StartProducer("p".into()));
    world.command(Command::WantRoute { topic: "T".into(), fresh: false });
    world.run();
    beats(&mut world);
    world.advance(1_000);
    world.topic("%RETRY%g", 1, &["b"]);
    let op = world.start(|config| config.subscriptions = alloc::vec![("T".into(), "a || b".into())]);
    world.run();
    let told = beats(&mut world);
    assert_eq!(told.len(), 1);
    let group = &told[0].consumers[0];
    let topics: Vec<_> =
        group.subscriptions.iter().map(|data| (data.topic.as_str(), data.sub_string.as_str())).collect();
    assert_eq!(topics, [("%RETRY%g", "*"), ("T", "a || b")]);
    let producers: Vec<_> = told[0].producers.iter().map(|data| data.group.as_str()).collect();
    assert_eq!(producers, ["CLIENT_INNER_PRODUCER", "p"]);
    assert!(matches!(world.result(op), CommandResult::Started(Ok(()))));
}

#[test]
fn a_producer_that_stops_takes_its_group_back_and_heartbeats_go_on_without_it() {
    let mut world = world();
    for group in ["p", "q"] {
        world.command(Command::StartProducer(group.into()));
    }
    world.command(Command::WantRoute { topic: "T".into(), fresh: false });
    world.run();
    let groups = |world: &mut World| {
        let said = beats(world).pop().expect("a heartbeat");
        said.producers.iter().map(|data| data.group.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(groups(&mut world), ["p", "q"]);
    world.held.insert(request::UNREGISTER_CLIENT);
    world.command(Command::StopProducer("p".into()));
    world.run();
    let leave = world.take(request::UNREGISTER_CLIENT);
    let said = (leave.to.as_str(), leave.field("clientID"), leave.field("producerGroup"), leave.field("consumerGroup"));
    assert_eq!(said, ("b:1", ME, "p", ""));
    assert_eq!(world.open(request::UNREGISTER_CLIENT, |_| true), 0, "once");
    world.advance(30_000);
    assert_eq!(groups(&mut world), ["q"]);
}

#[test]
fn a_heartbeat_from_before_the_change_does_not_count_as_known() {
    let mut world = world();
    world.topic("%RETRY%g", 1, &["b"]);
    world.command(Command::StartProducer("p".into()));
    for topic in ["T", "%RETRY%g"] {
        world.command(Command::WantRoute { topic: topic.into(), fresh: false });
    }
    world.run();
    let old = world.take(request::HEART_BEAT);
    let op = world.start(|_| ());
    world.run();
    let frame = world.usual(&old);
    world.reply(old, frame);
    world.run();
    assert!(!world.is_done(op), "no broker knows the group yet");
    assert_eq!(beats(&mut world).len(), 1, "the change follows at once");
    assert!(world.is_done(op));
}

#[test]
fn a_failed_heartbeat_is_repeated_soon() {
    let mut world = world();
    world.command(Command::StartProducer("p".into()));
    world.command(Command::WantRoute { topic: "T".into(), fresh: false });
    world.run();
    let asked = world.take(request::HEART_BEAT);
    world.reply(asked, refusal(response::SYSTEM_BUSY));
    world.advance(499);
    assert_eq!(world.open(request::HEART_BEAT, |_| true), 0);
    world.advance(1);
    let asked = world.take(request::HEART_BEAT);
    world.fail(asked, Sent::Maybe);
    world.advance(500);
    assert_eq!(beats(&mut world).len(), 1);
}

#[test]
fn the_version_of_a_broker_is_told_once_and_when_it_changes() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.command(Command::StartProducer("p".into()));
    world.command(Command::WantRoute { topic: "T".into(), fresh: false });
    world.advance(70_000);
    world.version = 500;
    world.advance(30_000);
    let versions = world.events.iter().filter_map(|event| match event {
        ClientEvent::BrokerVersion { version, .. } => Some(*version),
        _ => None,
    });
    assert_eq!(versions.collect::<Vec<_>>(), [493, 500]);
}

#[test]
fn slaves_hear_from_consumers_only() {
    let mut world = World::new();
    let mut route = route(1, &["b"]);
    route.broker_datas[0].broker_addrs.insert(1, "slave:1".into());
    world.routes.insert("T".into(), route);
    world.held.insert(request::HEART_BEAT);
    world.command(Command::StartProducer("p".into()));
    world.command(Command::WantRoute { topic: "T".into(), fresh: false });
    world.run();
    assert_eq!(world.open(request::HEART_BEAT, |asked| asked.to.as_str() == "slave:1"), 0);
    beats(&mut world);
    world.start(|_| ());
    world.run();
    assert_eq!(world.open(request::HEART_BEAT, |asked| asked.to.as_str() == "slave:1"), 1);
}

/// An answer of a broker that knows light heartbeats.
fn knowing(changed: bool) -> Frame {
    answer(
        0,
        |out| {
            out.text("IS_SUPPORT_HEART_BEAT_V2", "true");
            out.text("IS_SUB_CHANGE", if changed { "true" } else { "false" });
        },
        [],
    )
}

/// The next heartbeat, answered so: whether it has subscriptions, and by what they are known.
fn beat(world: &mut World, reply: Frame) -> (bool, i32) {
    let asked = world.take(request::HEART_BEAT);
    let data = HeartbeatData::decode(&asked.frame.body).unwrap();
    world.reply(asked, reply);
    world.run();
    assert_eq!(data.without_sub, data.consumers.iter().all(|group| group.subscriptions.is_empty()));
    (!data.without_sub, data.heartbeat_fingerprint)
}

fn light() -> World {
    let mut world = World::with(NS, |config| config.light_heartbeats = true);
    world.topic("T", 1, &["b"]);
    world.topic("%RETRY%g", 1, &["b"]);
    world.start(|_| ());
    world.held.insert(request::HEART_BEAT);
    world.run();
    world
}

#[test]
fn a_broker_that_knows_our_subscriptions_is_not_told_them_again() {
    let mut world = light();
    let (told, print) = beat(&mut world, knowing(true));
    assert!(told && print != 0);
    for _ in 0..3 {
        world.advance(30_000);
        assert_eq!(beat(&mut world, knowing(false)), (false, print));
    }
    world.advance(30_000);
    assert_eq!(beat(&mut world, knowing(true)), (false, print));
    assert_eq!(beat(&mut world, knowing(true)), (true, print), "it had forgotten them: told at once");
    world.advance(30_000);
    assert_eq!(beat(&mut world, knowing(false)), (false, print));
    world.hang_up("b:1");
    world.advance(600);
    assert_eq!(beat(&mut world, knowing(false)), (true, print), "over a new link");
}

#[test]
fn what_changed_is_told_whole() {
    let mut world = light();
    let (_, before) = beat(&mut world, knowing(true));
    world.topic("U", 1, &["b"]);
    let start = world.started;
    let (group, filter) = ("g".into(), "*".into());
    world.command(Command::Subscribe { group, start, topic: "U".into(), filter });
    world.advance(100);
    let (told, after) = beat(&mut world, knowing(true));
    assert!(told && after != before);
    world.advance(30_000);
    assert_eq!(beat(&mut world, knowing(false)), (false, after));
}

#[test]
fn brokers_that_do_not_say_that_they_know_are_told_it_all() {
    for (unknowing, next) in [(answer(0, |_| (), []), 30_000), (refusal(response::SYSTEM_BUSY), 500)] {
        let mut world = light();
        for _ in 0..3 {
            assert!(beat(&mut world, unknowing.clone()).0);
            world.advance(next);
        }
    }
    let mut world = World::consuming(1, |_| ());
    world.held.insert(request::HEART_BEAT);
    for _ in 0..3 {
        world.advance(30_000);
        assert_eq!(beat(&mut world, knowing(false)), (true, 0), "unless it is switched on");
    }
}
