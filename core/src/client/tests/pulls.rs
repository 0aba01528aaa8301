use super::*;
use crate::config::StartFrom;
use crate::ids::MessageQueue;
use crate::wire::request::PullMessage;

fn started_at(world: &World) -> Vec<(u64, StartReason)> {
    let positions = world.events.iter().filter_map(|event| match event {
        ClientEvent::StartPosition { offset, reason, .. } => Some((offset.get(), *reason)),
        _ => None,
    });
    positions.collect()
}

fn position(change: impl FnOnce(&mut ConsumerConfig), world: impl FnOnce(&mut World)) -> Vec<(u64, StartReason)> {
    let mut it = World::new();
    it.topic("T", 1, &["b"]);
    it.topic("%RETRY%g", 1, &["b"]);
    world(&mut it);
    it.start(change);
    it.run();
    // The retry topic comes first.
    started_at(&it)
}

#[test]
fn a_queue_starts_where_it_is_stored_else_where_the_group_is_to_start() {
    let last = position(|_| (), |_| ());
    assert_eq!(last, [(0, StartReason::RetryTopic), (500, StartReason::Last)]);
    let first = position(|config| config.start_from = crate::config::StartFrom::First, |_| ());
    assert_eq!(first, [(0, StartReason::First), (0, StartReason::First)]);
    let stored = position(
        |_| (),
        |world| {
            world.stored = BTreeMap::from([(("T".into(), 0), 7), (("%RETRY%g".into(), 0), 3)]);
        },
    );
    assert_eq!(stored, [(3, StartReason::Stored), (7, StartReason::Stored)]);
}

#[test]
fn a_group_may_start_at_a_time() {
    let at = |millis| position(|config| config.start_from = StartFrom::Timestamp(UnixMillis(millis)), |_| ());
    assert_eq!(at(250), [(0, StartReason::RetryTopic), (250, StartReason::Timestamp)]);
    assert_eq!(at(-1)[1], (0, StartReason::Timestamp), "the queue never had a message");
}

#[test]
fn a_chosen_start_counts_once_and_before_all_else() {
    let queue = MessageQueue { topic: "T".into(), broker: "b".into(), id: 0 };
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.stored.insert(("T".into(), 0), 9);
    world.start(|config| config.start_at.extend([(queue, QueueOffset::new(4))]));
    world.run();
    assert_eq!(started_at(&world), [(4, StartReason::Chosen)]);
    world.members = alloc::vec!["0".into(), ME.into()];
    world.advance(20_000);
    world.members = alloc::vec![ME.into()];
    world.advance(20_000);
    assert_eq!(started_at(&world), [(4, StartReason::Chosen), (9, StartReason::Stored)]);
}

#[test]
fn an_offset_that_could_not_be_asked_is_asked_again() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.held.insert(request::QUERY_CONSUMER_OFFSET);
    world.start(|_| ());
    world.run();
    let asked = world.take(request::QUERY_CONSUMER_OFFSET);
    world.reply(asked, refusal(response::SYSTEM_ERROR));
    world.advance(999);
    assert_eq!((world.open(request::QUERY_CONSUMER_OFFSET, |_| true), world.pulls("T")), (0, 0));
    world.advance(1);
    let asked = world.take(request::QUERY_CONSUMER_OFFSET);
    world.fail(asked, Sent::Maybe);
    world.stored.insert(("T".into(), 0), 9);
    world.held.remove(&request::QUERY_CONSUMER_OFFSET);
    world.advance(1_000);
    assert_eq!(started_at(&world), [(9, StartReason::Stored)]);
}

#[test]
fn a_pull_says_what_brokers_need() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.start(|config| config.start_from = crate::config::StartFrom::First);
    world.run();
    let pull = world.pull("T");
    let read = |asked: &Asked| PullMessage::read(&asked.frame.header.ext).unwrap();
    assert_eq!(read(&pull).sys_flag, PullMessage::SUSPEND, "nothing to commit at 0");
    assert_eq!(read(&pull).suspend_millis, 15_000);
    assert_eq!(pull.deadline, world.now.after(Duration::from_secs(30)));
    world.found(pull, 0..5);
    world.consume(Outcome::Done);
    world.news();
    let pull = world.pull("T");
    assert_eq!(read(&pull).sys_flag, PullMessage::SUSPEND, "made before anything was settled");
    world.found(pull, 5..8);
    let pull = read(&world.pull("T"));
    assert_eq!((pull.sys_flag, pull.commit_offset, pull.queue_offset.get()), (2, 0, 8));
}

#[test]
fn a_slave_is_asked_when_suggested_and_gets_no_commit() {
    let mut world = World::new();
    let mut route = route(1, &["b"]);
    route.broker_datas[0].broker_addrs.insert(1, "slave:1".into());
    world.routes.insert("T".into(), route);
    world.stored.insert(("T".into(), 0), 7);
    world.start(|_| ());
    world.run();
    let pull = world.pull("T");
    let fields = PullMessageResponse {
        suggested_broker: 1,
        next_begin_offset: 9,
        min_offset: 0,
        max_offset: 9,
        offset_delta: None,
    };
    let frame = answer(0, |out| fields.write(out), records(7..9));
    world.reply(pull, frame);
    world.consume(Outcome::Done);
    world.run();
    let pull = world.pull("T");
    assert_eq!((pull.to.as_str(), pull.field("sysFlag")), ("slave:1", "2"));
    // It lags behind: its word does not count, the master's does.
    let frame = pulled(&pull, response::PULL_OFFSET_MOVED, 3, Vec::new());
    world.reply(pull, frame);
    world.run();
    let pull = world.pull("T");
    assert_eq!((pull.to.as_str(), pull.field("queueOffset")), ("b:1", "9"));
    assert_eq!(world.count(|event| matches!(event, ClientEvent::OffsetIllegal { .. })), 0);
    let frame = pulled(&pull, response::PULL_OFFSET_MOVED, 3, Vec::new());
    world.reply(pull, frame);
    world.run();
    assert_eq!(world.pull("T").field("queueOffset"), "3");
    assert_eq!(world.count(|event| matches!(event, ClientEvent::OffsetIllegal { .. })), 1);
}

#[test]
fn a_slave_that_stands_in_for_its_master_moves_no_offset() {
    let mut world = World::new();
    let mut route = route(1, &["b"]);
    route.broker_datas[0].broker_addrs = BTreeMap::from([(1, "slave:1".into())]);
    world.routes.insert("T".into(), route);
    world.stored.insert(("T".into(), 0), 70);
    world.start(|_| ());
    world.run();
    let pull = world.pull("T");
    let frame = pulled(&pull, response::PULL_OFFSET_MOVED, 3, Vec::new());
    world.reply(pull, frame);
    world.advance(999);
    assert_eq!(world.pulls("T"), 0);
    world.advance(1);
    assert_eq!(world.pull("T").field("queueOffset"), "70");
    assert_eq!(world.count(|event| matches!(event, ClientEvent::OffsetIllegal { .. })), 0);
}

#[test]
fn an_illegal_offset_begins_a_new_assignment() {
    let mut world = World::consuming(1, |_| ());
    let pull = world.pull("T");
    world.found(pull, 500..510);
    let mut held = None;
    world.dispatch(&"g".into(), |dispatch| held = dispatch.take(Instant::ZERO));
    let pull = world.pull("T");
    let frame = pulled(&pull, response::PULL_OFFSET_MOVED, 900, Vec::new());
    world.reply(pull, frame);
    world.run();
    assert_eq!(world.pull("T").field("queueOffset"), "900");
    let mut settled = None;
    world.dispatch(&"g".into(), |dispatch| settled = Some(dispatch.settle(&held.unwrap(), Outcome::Done)));
    assert_eq!(settled, Some(crate::dispatch::Settled::Released));
    assert_eq!(world.consume(Outcome::Done), 0, "what was not handed out is dropped");
}

fn repulled_after(code: i32) -> u64 {
    let mut world = World::consuming(1, |_| ());
    let pull = world.pull("T");
    world.reply(pull, refusal(code));
    let from = world.now;
    while world.pulls("T") == 0 {
        world.advance(1);
    }
    u64::try_from(world.now.since(from).as_millis()).unwrap()
}

#[test]
fn refusals_have_their_pauses() {
    assert_eq!(repulled_after(response::FLOW_CONTROL), 20);
    assert_eq!(repulled_after(response::SYSTEM_ERROR), 1_000);
    assert_eq!(repulled_after(response::SYSTEM_BUSY), 1_000);
    assert_eq!(repulled_after(9_999), 1_000);
}

#[test]
fn a_broker_that_does_not_know_us_gets_a_heartbeat() {
    for code in [response::SUBSCRIPTION_NOT_EXIST, response::SUBSCRIPTION_NOT_LATEST] {
        let mut world = World::consuming(1, |_| ());
        world.held.insert(request::HEART_BEAT);
        let pull = world.pull("T");
        world.reply(pull, refusal(code));
        assert_eq!(world.open(request::HEART_BEAT, |_| true), 1);
        assert_eq!(world.count(|event| matches!(event, ClientEvent::PullFailed { .. })), 1);
    }
}

#[test]
fn a_broker_that_does_not_hold_pulls_is_not_asked_in_a_loop() {
    let mut world = World::consuming(1, |_| ());
    let (mut pulls, start) = (0, world.now);
    while world.now.since(start) < Duration::from_secs(60) {
        while world.pulls("T") > 0 {
            let pull = world.pull("T");
            pulls += 1;
            let frame = pulled(&pull, response::PULL_NOT_FOUND, 500, Vec::new());
            world.reply(pull, frame);
            assert!(pulls < 200, "a loop");
        }
        world.advance(10);
    }
    assert!((60..120).contains(&pulls), "{pulls} in a minute");
    // Held pulls go on at once.
    let pull = loop {
        world.advance(10);
        if world.pulls("T") > 0 {
            break world.pull("T");
        }
    };
    world.advance(15_000);
    let frame = pulled(&pull, response::PULL_NOT_FOUND, 500, Vec::new());
    world.reply(pull, frame);
    assert_eq!(world.pulls("T"), 1);
}

#[test]
fn enough_messages_stop_the_pulls_until_half_are_settled() {
    let mut world = World::consuming(1, |config| config.queue_messages = 10);
    let pull = world.pull("T");
    world.found(pull, 500..511);
    assert_eq!(world.pulls("T"), 0);
    world.advance(60_000);
    assert_eq!(world.pulls("T"), 0, "time changes nothing");
    let mut taken = Vec::new();
    world.dispatch(&"g".into(), |dispatch| taken.extend(core::iter::from_fn(|| dispatch.take(Instant::ZERO))));
    for (count, taken) in taken.iter().enumerate() {
        let mut urgent = false;
        world.dispatch(&"g".into(), |dispatch| {
            dispatch.settle(taken, Outcome::Done);
            urgent = dispatch.take_urgent();
        });
        assert_eq!(urgent, count == 5, "woken when 5 are left");
    }
    world.run();
    assert_eq!(world.pulls("T"), 1);
}

#[test]
fn bytes_and_span_stop_the_pulls_too() {
    let mut world = World::consuming(1, |config| config.queue_mib = 1);
    let pull = world.pull("T");
    let mut body = records(500..501);
    body.resize(1_100_000, 0);
    let frame = pulled(&pull, 0, 501, body);
    world.reply(pull, frame);
    world.run();
    assert_eq!(world.pulls("T"), 0);
    world.consume(Outcome::Done);
    world.run();
    assert_eq!(world.pulls("T"), 1);

    let mut world = World::consuming(1, |config| config.queue_span = 100);
    let pull = world.pull("T");
    world.found(pull, 500..501);
    let pull = world.pull("T");
    let frame = pulled(&pull, response::PULL_RETRY_IMMEDIATELY, 700, Vec::new());
    world.reply(pull, frame);
    world.advance(1_000);
    assert_eq!(world.pulls("T"), 0, "one message holds 200 offsets back");
    world.consume(Outcome::Done);
    world.advance(50);
    assert_eq!(world.pulls("T"), 1);
}

#[test]
fn the_cache_of_the_client_is_bounded() {
    let mut world = World::with(NS, |config| config.cache_bytes = 300);
    world.topic("T", 2, &["b"]);
    world.start(|_| ());
    world.run();
    let pull = world.pull("T");
    world.found(pull, 500..510);
    world.advance(1_000);
    assert_eq!(world.pulls("T"), 1, "only the pull that was under way");
    world.consume(Outcome::Done);
    world.advance(50);
    assert_eq!(world.pulls("T"), 2);
}

#[test]
fn a_full_cache_keeps_no_queue_from_its_next_message() {
    let mut world = World::with(NS, |config| config.cache_bytes = 300);
    world.topic("T", 2, &["b"]);
    world.start(|_| ());
    world.run();
    let pull = world.pull("T");
    let (full, other) = (pull.field("queueId").to_string(), world.pull("T"));
    world.found(pull, 500..510);
    // Nobody takes what fills the cache; the other queue goes on all the same, one pull at a time.
    let frame = pulled(&other, response::PULL_NOT_FOUND, 500, Vec::new());
    world.reply(other, frame);
    world.run();
    let pull = world.pull("T");
    assert_ne!(pull.field("queueId"), full);
    world.found(pull, 500..501);
    world.advance(1_000);
    assert_eq!(world.pulls("T"), 0, "both have something in hand");
    world.consume(Outcome::Done);
    world.advance(50);
    assert_eq!(world.pulls("T"), 2);
}

#[test]
fn a_topic_shares_its_room_out() {
    let mut world = World::new();
    world.topic("T", 2, &["b"]);
    world.start(|config| (config.topic_messages, config.pull_batch_bytes) = (Some(20), 1_000));
    world.run();
    let (_first, second) = (world.pull("T"), world.pull("T"));
    assert_eq!((second.field("queueId"), second.field("maxMsgBytes")), ("1", "1000"));
    world.found(second, 500..511);
    world.advance(1_000);
    assert_eq!(world.pulls("T"), 0, "11 of 10");
    // Another member takes the first queue: the room is for the second alone.
    world.members = alloc::vec!["0".into(), ME.into()];
    world.advance(20_000);
    let pull = world.pull("T");
    assert_eq!((pull.field("queueId"), pull.field("queueOffset")), ("1", "511"), "11 of 20");
    // And back: of 21 in hand less than half is to be left before it is pulled again.
    world.members = alloc::vec![ME.into()];
    world.found(pull, 511..521);
    world.advance(20_000);
    let taken: Vec<_> = core::iter::from_fn(|| world.take_one()).collect();
    for (count, taken) in taken.iter().enumerate() {
        assert_eq!(world.open(request::PULL_MESSAGE, |asked| asked.field("queueId") == "1"), usize::from(count > 15));
        let mut urgent = false;
        world.dispatch(&"g".into(), |dispatch| {
            dispatch.settle(taken, Outcome::Done);
            urgent = dispatch.take_urgent();
        });
        assert_eq!(urgent, count == 15, "{count}");
        if urgent {
            world.run();
        }
    }
}

#[test]
fn a_share_is_one_message_at_least() {
    let mut world = World::new();
    world.topic("T", 3, &["b"]);
    world.start(|config| config.topic_messages = Some(1));
    world.run();
    let pull = world.pull("T");
    world.found(pull, 500..501);
    assert_eq!(world.pulls("T"), 3, "one is not above one");
    let pull = world.pull("T");
    world.found(pull, 500..502);
    world.advance(1_000);
    assert_eq!(world.pulls("T"), 2);
    world.consume(Outcome::Done);
    world.run();
    assert_eq!(world.pulls("T"), 3);
}

#[test]
fn a_pause_between_pulls_is_kept() {
    let mut world = World::consuming(1, |config| config.pull_interval = Duration::from_millis(300));
    let pull = world.pull("T");
    world.found(pull, 500..501);
    world.advance(299);
    assert_eq!(world.pulls("T"), 0);
    world.advance(1);
    assert_eq!(world.pulls("T"), 1);
}

#[test]
fn what_cannot_be_found_after_filtered_records_is_pulled_again_from_there() {
    let mut world = World::consuming(1, |config| config.subscriptions = alloc::vec![("T".into(), "x".into())]);
    let pull = world.pull("T");
    let mut body = records(500..503);
    body.extend([0, 0, 0, 1, 9, 9]);
    let frame = pulled(&pull, 0, 510, body);
    world.reply(pull, frame);
    world.run();
    assert_eq!(world.pull("T").field("queueOffset"), "503");
    assert_eq!(world.consume(Outcome::Done), 0);
    assert_eq!(world.count(|event| matches!(event, ClientEvent::QueueStopped { .. })), 0);
}
