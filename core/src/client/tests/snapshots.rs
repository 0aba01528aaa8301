//! What a snapshot shows of situations that operators ask about.

use super::*;
use crate::client::snapshot::{
    ClientStage, ConsumerSnapshot, ConsumerState, LinkState, LockPhase, LockSnapshot, PopPhase, QueuePhase,
    QueueSnapshot, RouteState, SHOWN_TIMERS, SharedBy, StartSnapshot,
};
use crate::config::{ConsumeMode, PopConfig, StartFrom};
use crate::ids::MessageQueue;
use crate::wire::body::{Assignment, Assignments, MessageMode};

const OTHER: &str = "10.0.0.2@other";

impl World {
    fn snapshot(&self) -> Snapshot {
        self.machine.snapshot(self.now)
    }

    fn consumer(&self) -> ConsumerSnapshot {
        self.snapshot().consumers.remove(0)
    }

    fn queue_shown(&self, id: i32) -> QueueSnapshot {
        let found = self.consumer().queues.into_iter().find(|of| of.queue.id == id && of.queue.topic.as_str() == "T");
        found.expect("it is ours")
    }

    fn pull_of(&mut self, id: &str) -> Asked {
        let of = |asked: &Asked| asked.code() == request::PULL_MESSAGE && asked.field("queueId") == id;
        let at = self.asked.iter().position(of).expect("a pull of this queue");
        self.asked.remove(at)
    }
}

/// Queues 0 and 1 of three are ours, and the rest another member's.
fn shared() -> World {
    let mut world = World::new();
    world.topic("T", 3, &["b"]);
    world.stored.insert(("T".into(), 0), 10);
    world.members = alloc::vec![OTHER.into(), ME.into()];
    world.start(|config| {
        config.start_from = StartFrom::First;
        config.queue_messages = 2;
    });
    world.run();
    world
}

#[test]
fn each_queue_tells_why_it_is_ours_and_where_it_started() {
    let mut world = shared();
    world.advance(1_500);
    let consumer = world.consumer();
    assert_eq!((consumer.group.as_str(), consumer.state, consumer.orderly), ("g", ConsumerState::Running, false));
    assert_eq!((consumer.model, consumer.suspended, consumer.started_at_ms), (MessageModel::Clustering, false, 1_000));
    let topics: Vec<_> = consumer.subscriptions.iter().map(|of| (of.topic.as_str(), of.expression.as_str())).collect();
    assert_eq!(topics, [("%RETRY%g", "*"), ("T", "*")]);
    let [share] = &consumer.shares[..] else { panic!("{:?}", consumer.shares) };
    assert_eq!((share.topic.as_str(), share.by, share.strategy, share.queues), ("T", SharedBy::Members, "AVG", 2));
    // Once more after a second, as the retry topic had no route.
    assert_eq!((share.members.clone(), share.ago_ms), (alloc::vec![ME.into(), OTHER.into()], 500));
    assert_eq!(consumer.queues.len(), 2);
    let start = |world: &World, id| world.queue_shown(id).start.unwrap();
    assert_eq!(start(&world, 0), StartSnapshot { offset: 10, reason: StartReason::Stored });
    assert_eq!(start(&world, 1), StartSnapshot { offset: 0, reason: StartReason::First });
    let queue = world.queue_shown(0);
    assert_eq!(
        (queue.phase, queue.pulling_for_ms, queue.pulled_ago_ms),
        (QueuePhase::Pulling, Some(1_500), Some(1_500))
    );
    assert_eq!((queue.settled_to, queue.committed, queue.next_pull, queue.end), (Some(10), Some(10), 10, None));
    assert_eq!((queue.assigned_for_ms, queue.lock, queue.failure), (1_500, None, None));
    assert_eq!(world.queue_shown(1).committed, None, "nothing is stored");
}

#[test]
fn what_is_in_hand_and_what_is_with_handlers_is_counted() {
    let mut world = shared();
    let pull = world.pull_of("0");
    world.found(pull, 10..14);
    let queue = world.queue_shown(0);
    assert_eq!((queue.phase, queue.cached, queue.cached_limit, queue.outstanding), (QueuePhase::Throttled, 4, 2, 0));
    assert!(queue.cached_bytes > 0 && queue.cached_bytes == world.snapshot().cache_bytes, "{queue:?}");
    assert_eq!((queue.next_pull, queue.end, queue.backlog), (14, Some(1_000), Some(990)));
    let (first, _second) = (world.take_one().unwrap(), world.take_one().unwrap());
    world.settle(&first, Outcome::Done);
    // A dispatch tells of half of what it has, of all of it, or before a commit.
    world.advance(5_000);
    let queue = world.queue_shown(0);
    assert_eq!((queue.settled_to, queue.committed, queue.cached, queue.outstanding), (Some(11), Some(11), 3, 1));
    assert_eq!(queue.consumed_ago_ms, None, "it was not counted");
    assert_eq!(queue.backlog, Some(989));
}

#[test]
fn a_queue_that_waits_says_until_when_and_why_without_the_words_of_the_broker() {
    let mut world = shared();
    let pull = world.pull_of("1");
    let preamble = Preamble { remark: Some("secret words"), ..Preamble::response(1, Codec::Json) };
    let frame = decoded(&preamble.encode(|_| (), Bytes::new()));
    world.reply(pull, frame);
    world.now = world.now.after(Duration::from_millis(300));
    let queue = world.queue_shown(1);
    assert_eq!((queue.phase, queue.goes_on_in_ms), (QueuePhase::Waiting, Some(700)));
    let failure = queue.failure.unwrap();
    assert_eq!((failure.why.as_str(), failure.ago_ms), ("broker answered 1", 300));
    let told =
        |event: &ClientEvent| matches!(event, ClientEvent::PullFailed { why, .. } if why.contains("secret words"));
    assert_eq!(world.count(told), 1, "the event has them");
    let pull = world.pull_of("0");
    world.fail(pull, Sent::Maybe);
    world.pump();
    assert_eq!(world.queue_shown(0).failure.unwrap().why, "no answer in time (the request may have been received)");
}

#[test]
fn where_to_start_that_no_broker_says_is_told_as_such() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.held.insert(request::QUERY_CONSUMER_OFFSET);
    world.start(|_| ());
    world.run();
    assert_eq!((world.queue_shown(0).phase, world.queue_shown(0).settled_to), (QueuePhase::Locating, None));
    let asked = world.take(request::QUERY_CONSUMER_OFFSET);
    world.reply(asked, refusal(1));
    let queue = world.queue_shown(0);
    assert_eq!((queue.phase, queue.start), (QueuePhase::Waiting, None));
    assert_eq!(queue.failure.unwrap().why, "the broker did not say where to start");
}

#[test]
fn a_moved_queue_says_who_moved_it() {
    let mut world = shared();
    let pull = world.pull_of("0");
    let frame = pulled(&pull, response::PULL_OFFSET_MOVED, 40, Vec::new());
    world.advance(2_000);
    world.reply(pull, frame);
    world.run();
    let queue = world.queue_shown(0);
    assert_eq!(queue.start, Some(StartSnapshot { offset: 40, reason: StartReason::OutOfRange }));
    assert_eq!((queue.assigned_for_ms, queue.settled_to, queue.next_pull), (0, Some(40), 40));
}

#[test]
fn a_suspended_consumer_and_its_queues_say_so() {
    let mut world = World::consuming(2, |_| ());
    let (first, second) = (world.pull("T"), world.pull("T"));
    let start = world.started;
    world.command(Command::Suspend { group: "g".into(), start, suspend: true });
    let frame = pulled(&first, response::PULL_NOT_FOUND, 500, Vec::new());
    world.advance(1_000);
    world.reply(first, frame);
    let consumer = world.consumer();
    let phases: Vec<_> = consumer.queues.iter().map(|of| of.phase).collect();
    assert_eq!((consumer.suspended, phases), (true, alloc::vec![QueuePhase::Suspended, QueuePhase::Pulling]));
    drop(second);
}

#[test]
fn a_lock_is_held_for_so_long_then_lost() {
    let mut world = World::consuming(1, |config| config.mode = ConsumeMode::Orderly);
    world.advance(1_000);
    let held = LockSnapshot { phase: LockPhase::Held, lease_in_ms: Some(29_000), failures: 0 };
    assert_eq!((world.consumer().orderly, world.queue_shown(0).lock), (true, Some(held)));
    let pull = world.pull("T");
    let frame = pulled(&pull, response::PULL_NOT_FOUND, 500, Vec::new());
    world.reply(pull, frame);
    world.held.insert(request::LOCK_BATCH_MQ);
    world.advance(29_500);
    let queue = world.queue_shown(0);
    let lock = queue.lock.unwrap();
    assert_eq!((lock.phase, lock.lease_in_ms), (LockPhase::Lost, None));
    // The pull that was under way when the lock went is answered: nothing more is pulled.
    let pull = world.pull("T");
    world.found(pull, 500..501);
    assert_eq!(world.queue_shown(0).phase, QueuePhase::Locking);
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.foreign.insert(0);
    world.start(|config| config.mode = ConsumeMode::Orderly);
    world.run();
    let queue = world.queue_shown(0);
    assert_eq!((queue.phase, queue.lock.unwrap().phase), (QueuePhase::Locking, LockPhase::Wanted));
}

#[test]
fn what_is_popped_is_shown_by_queue() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.held.extend([request::POP_MESSAGE, request::QUERY_ASSIGNMENT]);
    world.start(|config| config.pop = Some(PopConfig::default()));
    world.run();
    let message_queue = MessageQueue { topic: "T".into(), broker: "b".into(), id: -1 };
    let queues = Some(alloc::vec![Assignment { message_queue: message_queue.clone(), mode: MessageMode::Pop }]);
    let asked = world.take(request::QUERY_ASSIGNMENT);
    world.reply(asked, answer(0, |_| (), Assignments { queues }.encode()));
    world.advance(250);
    let consumer = world.consumer();
    let [pop] = &consumer.pops[..] else { panic!("{:?}", consumer.pops) };
    assert_eq!((&pop.queue, pop.phase, pop.popping_for_ms), (&message_queue, PopPhase::Popping, Some(250)));
    assert_eq!((pop.unacknowledged, pop.outstanding, pop.popped_ago_ms), (0, 0, None));
    let share = &consumer.shares[0];
    assert_eq!((share.by, share.queues, share.members.len()), (SharedBy::Broker, 1, 0));
    assert!(consumer.queues.is_empty());
}

#[test]
fn name_servers_links_brokers_and_routes_are_told_apart() {
    let mut world = World::with("ns:9876;dead:9876", |_| ());
    world.dead.insert("dead:9876".into());
    world.topic("T", 2, &["b"]);
    world.start(|_| ());
    world.run();
    world.advance(3_000);
    let snapshot = world.snapshot();
    let mut servers: Vec<_> =
        snapshot.name_servers.iter().map(|of| (of.endpoint.as_str(), of.current, of.up)).collect();
    servers.sort_unstable();
    assert_eq!(servers, [("dead:9876", false, false), ("ns:9876", true, true)]);
    let link = |to: &str| snapshot.links.iter().find(|link| link.endpoint.as_str() == to);
    let broker = link("b:1").unwrap();
    assert_eq!((broker.state, broker.for_ms, broker.name_server), (LinkState::Up, 3_000, false));
    assert_eq!((broker.broker.as_ref().map(BrokerName::as_str), broker.requests, broker.waiting), (Some("b"), 2, 0));
    assert_eq!((link("ns:9876").unwrap().name_server, link("ns:9876").unwrap().requests), (true, 0));
    if let Some(dead) = link("dead:9876") {
        assert_eq!((dead.state, dead.failures > 0), (LinkState::Failed, true), "{dead:?}");
    }
    let [b] = &snapshot.brokers[..] else { panic!("{:?}", snapshot.brokers) };
    assert_eq!((b.broker.as_str(), &*b.cluster, b.replicas[0].version, b.replicas[0].up), ("b", "c", Some(493), true));
    assert_eq!(b.replicas[0].heartbeat_in_ms, Some(27_000));
    let routes: Vec<_> = snapshot.routes.iter().map(|of| (of.topic.as_str(), of.state, of.brokers.len())).collect();
    assert_eq!(routes, [("%RETRY%g", RouteState::Unknown, 0), ("T", RouteState::Known, 1)]);
    let route = &snapshot.routes[1];
    assert_eq!((route.brokers[0].readable, route.brokers[0].writable), (2, 2));
    assert!(route.refresh_in_ms.is_some_and(|millis| millis <= 30_000), "{route:?}");
}

#[test]
fn an_address_that_cannot_be_connected_says_why_and_when_it_is_tried_again() {
    let mut world = World::new();
    world.dead.insert("x:1".into());
    let op = world.command(Command::WantLink("x:1".into()));
    world.run();
    assert!(world.is_done(op));
    let link = world.snapshot().links.into_iter().find(|link| link.endpoint.as_str() == "x:1").unwrap();
    assert_eq!((link.state, link.failures), (LinkState::Failed, 1));
    assert!(link.failure.as_deref().is_some_and(|why| why.contains("refused")), "{link:?}");
    assert!(link.retry_in_ms.is_some_and(|millis| (90..=110).contains(&millis)), "{link:?}");
    world.silent.insert("y:1".into());
    world.command(Command::Call {
        to: CallTarget::Endpoint("y:1".into()),
        frame: Preamble::request(1, Codec::Json).encode(|_| (), Bytes::new()),
        timeout: Duration::from_secs(1),
    });
    let link = world.snapshot().links.into_iter().find(|link| link.endpoint.as_str() == "y:1").unwrap();
    assert_eq!((link.state, link.waiting, link.requests), (LinkState::Connecting, 1, 0));
}

#[test]
fn timers_come_in_the_order_in_which_they_are_due() {
    let mut world = World::consuming(20, |config| config.pull_interval = Duration::from_secs(3));
    for _ in 0..20 {
        let pull = world.pull("T");
        world.found(pull, 500..501);
    }
    let snapshot = world.snapshot();
    assert!(snapshot.timers_armed > SHOWN_TIMERS && snapshot.timers.len() == SHOWN_TIMERS, "{snapshot:#?}");
    assert!(snapshot.timers.is_sorted_by_key(|timer| timer.due_in_ms));
    assert_eq!((snapshot.timers[0].what, snapshot.timers[0].of.as_deref()), ("rebalance", Some("g")));
    let pull = snapshot.timers.iter().find(|timer| timer.what == "pull").unwrap();
    assert_eq!((pull.of.as_deref(), pull.due_in_ms), (Some("g T@b#0"), 3_000));
    assert_eq!(snapshot.timers_armed, world.machine.load().1);
}

#[test]
fn producers_and_the_end_are_shown() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    for group in ["q", "p", "p"] {
        world.command(Command::StartProducer(group.into()));
    }
    world.command(Command::StartChecker { group: "p".into(), topics: Vec::new() });
    world.start(|_| ());
    world.run();
    let producers = world.snapshot().producers;
    let rows: Vec<_> = producers.iter().map(|of| (of.group.as_str(), of.handles, of.checkers)).collect();
    assert_eq!(rows, [("p", 2, 1), ("q", 1, 0)]);
    assert_eq!(world.snapshot().stage, ClientStage::Running);
    let pull = world.pull("T");
    world.found(pull, 500..501);
    let _out = world.take_one().unwrap();
    world.input(Input::Shutdown { deadline: world.now.after(Duration::from_secs(10)) });
    let op = world.command(Command::Snapshot);
    let CommandResult::Snapshot(snapshot) = world.result(op) else { panic!("it ends, and can be looked at") };
    assert_eq!((snapshot.stage, snapshot.consumers[0].state), (ClientStage::Stopping, ConsumerState::Draining));
    assert!(snapshot.consumers[0].given_up_in_ms.is_some());
    world.advance(11_000);
    let snapshot = world.snapshot();
    assert_eq!((snapshot.stage, snapshot.consumers.len(), snapshot.links.len()), (ClientStage::Closed, 0, 0));
}

#[test]
fn a_look_changes_nothing_and_the_same_state_gives_the_same_text() {
    let worlds = [false, true].map(|looks| {
        let mut world = shared();
        let pull = world.pull_of("0");
        world.found(pull, 10..14);
        if looks {
            drop((world.snapshot(), world.snapshot()));
        }
        world.consume(Outcome::Done);
        world.advance(40_000);
        world
    });
    assert_eq!(worlds[0].log, worlds[1].log);
    let text = |world: &World| serde_json::to_string(&world.snapshot()).unwrap();
    assert_eq!(text(&worlds[0]), text(&worlds[1]));
    assert!(text(&worlds[0]).contains(r#""settledTo":14"#), "{}", text(&worlds[0]));
}

#[cfg(feature = "acl")]
#[test]
fn no_secret_is_shown() {
    use crate::acl::{Credentials, SharedProvider};
    let mut world = World::with(NS, |config| {
        let credentials = Credentials::new("the-access-key", "the-secret-key").with_security_token("the-token");
        config.link.credentials = Some(SharedProvider::new(Arc::new(credentials)));
    });
    world.topic("T", 1, &["b"]);
    world.start(|_| ());
    world.run();
    let pull = world.pull("T");
    let preamble = Preamble { remark: Some("unknown the-access-key"), ..Preamble::response(1, Codec::Json) };
    let frame = decoded(&preamble.encode(|_| (), Bytes::new()));
    world.reply(pull, frame);
    let snapshot = world.snapshot();
    let text = alloc::format!("{snapshot:?} {}", serde_json::to_string(&snapshot).unwrap());
    for secret in ["the-access-key", "the-secret-key", "the-token"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
