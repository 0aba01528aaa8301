use super::*;
use crate::config::{ConfigError, ConsumeMode, StartFrom};
use crate::ids::MessageQueue;
use crate::wire::body::{MessageModel, OffsetFile};

const FILE: &str = "/home/me/g/offsets.json";
const BACKUP: &str = "/home/me/g/offsets.json.bak";

/// A client with a folder for offsets and topic `T` of two queues.
fn world() -> World {
    let mut world = World::with(NS, |config| config.offset_dir = Some("/home/me".into()));
    world.topic("T", 2, &["b"]);
    world
}

fn start(world: &mut World) -> OpId {
    world.start(|config| {
        config.model = MessageModel::Broadcasting;
        config.start_from = StartFrom::First;
    })
}

fn started() -> World {
    let mut world = world();
    let op = start(&mut world);
    world.run();
    assert!(matches!(world.result(op), CommandResult::Started(Ok(()))));
    world
}

fn queue(id: i32) -> MessageQueue {
    MessageQueue { topic: "T".into(), broker: "b".into(), id }
}

fn file(offsets: &[(i32, u64)]) -> Vec<u8> {
    OffsetFile(offsets.iter().map(|(id, offset)| (queue(*id), QueueOffset::new(*offset))).collect()).encode()
}

fn on_disk(world: &World, path: &str) -> Vec<(i32, u64)> {
    let read = OffsetFile::decode(&world.files[path]).unwrap();
    read.0.into_iter().map(|(queue, offset)| (queue.id, offset.get())).collect()
}

fn positions(world: &World) -> Vec<(u64, StartReason)> {
    let at = world.events.iter().filter_map(|event| match event {
        ClientEvent::StartPosition { offset, reason, .. } => Some((offset.get(), *reason)),
        _ => None,
    });
    at.collect()
}

/// Consumes messages of the first queue that is pulled.
fn consume(world: &mut World, offsets: core::ops::Range<u64>, outcome: Outcome) {
    let pull = world.pull("T");
    world.found(pull, offsets);
    world.consume(outcome);
    world.run();
}

fn stop(world: &mut World) {
    let deadline = world.now.after(Duration::from_secs(10));
    let op = world.stop("g", deadline);
    world.run();
    assert!(matches!(world.result(op), CommandResult::Stopped(Drained { unsettled: 0 })));
}

#[test]
fn every_member_takes_all_queues_and_no_retry_topic_and_asks_nobody() {
    let mut world = world();
    world.members = alloc::vec!["0".into(), ME.into(), "x".into()];
    world.held.extend([request::GET_CONSUMER_LIST_BY_GROUP, request::QUERY_CONSUMER_OFFSET]);
    start(&mut world);
    world.advance(60_000);
    assert_eq!((world.pulls("T"), world.pulls("%RETRY%g")), (2, 0));
    assert_eq!(positions(&world), [(0, StartReason::First); 2]);
    assert!(!world.log.iter().any(|line| line.contains("%RETRY%")));
    for code in [request::GET_CONSUMER_LIST_BY_GROUP, request::QUERY_CONSUMER_OFFSET] {
        assert_eq!(world.open(code, |_| true), 0);
    }
    let beat = world.machine.heartbeat_data();
    assert_eq!(beat.consumers[0].message_model, MessageModel::Broadcasting);
}

#[test]
fn a_new_queue_is_taken_with_its_route() {
    let mut world = started();
    world.topic("T", 3, &["b"]);
    world.advance(31_500);
    assert_eq!(world.pulls("T"), 3);
}

#[test]
fn offsets_are_saved_when_they_moved_and_the_file_before_is_kept() {
    let mut world = started();
    assert!(world.files.is_empty());
    consume(&mut world, 0..5, Outcome::Done);
    world.advance(5_000);
    assert_eq!(on_disk(&world, FILE), [(0, 5), (1, 0)]);
    assert!(!world.files.contains_key(BACKUP));
    let saves = |world: &World| world.log.iter().filter(|line| line.contains("Save")).count();
    let before = saves(&world);
    world.advance(20_000);
    assert_eq!(saves(&world), before, "nothing moved");
    consume(&mut world, 0..2, Outcome::Done);
    world.advance(5_000);
    assert_eq!(
        (on_disk(&world, FILE), on_disk(&world, BACKUP)),
        (alloc::vec![(0, 5), (1, 2)], alloc::vec![(0, 5), (1, 0)])
    );
    assert!(!world.log.iter().any(|line| line.contains("UPDATE_CONSUMER")));
    assert_eq!(world.open(request::UPDATE_CONSUMER_OFFSET, |_| true), 0, "no broker is told");
}

#[test]
fn a_restart_goes_on_where_the_file_says() {
    let mut world = started();
    consume(&mut world, 0..5, Outcome::Done);
    stop(&mut world);
    assert_eq!(on_disk(&world, FILE), [(0, 5), (1, 0)]);
    world.events.clear();
    start(&mut world);
    world.run();
    assert_eq!(positions(&world), [(5, StartReason::File), (0, StartReason::File)]);
}

#[test]
fn failed_messages_are_dropped_with_an_event() {
    let mut world = started();
    let pull = world.pull("T");
    world.found(pull, 0..3);
    world.consume(Outcome::Failed { level: 0 });
    let dispatch = world.dispatches.get_mut(&"g".into()).unwrap();
    assert!(dispatch.poll_failure().is_none());
    let dropped =
        core::iter::from_fn(|| dispatch.poll_event()).map(|event| ClientEvent::of_dispatch("g".into(), event));
    let dropped: Vec<_> = dropped.collect();
    let expected = |at| ClientEvent::Dropped { group: "g".into(), queue: queue(0), offset: QueueOffset::new(at) };
    assert_eq!(dropped, [expected(0), expected(1), expected(2)]);
    world.advance(5_000);
    assert_eq!(on_disk(&world, FILE), [(0, 3), (1, 0)]);
}

#[test]
fn in_order_it_needs_no_locks() {
    let mut world = world();
    world.held.insert(request::LOCK_BATCH_MQ);
    world.start(|config| {
        config.model = MessageModel::Broadcasting;
        config.mode = ConsumeMode::Orderly;
        config.start_from = StartFrom::First;
    });
    world.run();
    let pull = world.pull("T");
    world.found(pull, 0..3);
    let now = world.now;
    let mut taken = Vec::new();
    world.dispatch(&"g".into(), |dispatch| taken.extend(core::iter::from_fn(|| dispatch.take(now))));
    assert_eq!(taken.len(), 1, "one at a time");
    assert_eq!(world.open(request::LOCK_BATCH_MQ, |_| true), 0);
}

#[test]
fn a_queue_that_goes_and_comes_back_goes_on() {
    let mut world = started();
    let pull = world.pull("T");
    assert_eq!(pull.field("queueId"), "0");
    world.reply(pull, refusal(1));
    let pull = world.pull("T");
    world.found(pull, 0..7);
    world.consume(Outcome::Done);
    world.topic("T", 1, &["b"]);
    world.advance(60_000);
    world.events.clear();
    world.topic("T", 2, &["b"]);
    world.advance(60_000);
    assert_eq!(positions(&world), [(7, StartReason::File)]);
}

#[test]
fn a_broken_file_is_made_up_for_by_the_one_before() {
    let unreadable = |event: &ClientEvent| matches!(event, ClientEvent::OffsetsUnreadable { .. });
    let mut world = world();
    let whole = file(&[(0, 9), (1, 9)]);
    world.files.insert(FILE.into(), whole[..whole.len() - 3].to_vec());
    world.files.insert(BACKUP.into(), file(&[(0, 4)]));
    start(&mut world);
    world.run();
    assert_eq!(positions(&world), [(4, StartReason::File), (0, StartReason::First)]);
    assert_eq!(world.count(unreadable), 1);
    assert_eq!(world.count(|event| matches!(event, ClientEvent::OffsetsLost { .. })), 0);
    // The good one is not replaced by the broken one.
    consume(&mut world, 4..5, Outcome::Done);
    world.advance(5_000);
    assert_eq!((on_disk(&world, FILE), on_disk(&world, BACKUP)), (alloc::vec![(0, 5), (1, 0)], alloc::vec![(0, 4)]));
}

#[test]
fn two_broken_files_are_told_and_one_that_never_was_is_not() {
    let lost = |world: &World| world.count(|event| matches!(event, ClientEvent::OffsetsLost { .. }));
    for backup in [None, Some(b"{}".to_vec())] {
        let mut world = world();
        world.files.insert(FILE.into(), b"{\"offsetTable\":{{".to_vec());
        world.files.extend(backup.map(|bytes| (String::from(BACKUP), bytes)));
        start(&mut world);
        world.run();
        assert_eq!((lost(&world), positions(&world)), (1, alloc::vec![(0, StartReason::First); 2]));
    }
    assert_eq!(lost(&started()), 0);
    let mut world = world();
    world.files.insert(BACKUP.into(), file(&[(0, 4)]));
    start(&mut world);
    world.run();
    assert_eq!((lost(&world), positions(&world)[0]), (0, (4, StartReason::File)));
}

#[test]
fn a_file_that_the_system_does_not_give_is_not_taken_for_none() {
    for path in [FILE, BACKUP] {
        let mut world = world();
        world.broken.insert(path.into());
        let op = start(&mut world);
        world.run();
        let CommandResult::Started(Err(StartError::Unavailable(why))) = world.result(op) else { panic!() };
        assert!(why.contains(path) && why.contains("no space left"), "{why}");
        assert!(world.machine.consumers.is_empty() && positions(&world).is_empty());
        world.broken.clear();
        world.files.insert(FILE.into(), file(&[(0, 4), (1, 4)]));
        let op = start(&mut world);
        world.run();
        assert!(matches!(world.result(op), CommandResult::Started(Ok(()))));
        assert_eq!(positions(&world), [(4, StartReason::File); 2]);
    }
}

#[test]
fn a_file_that_somebody_else_writes_is_told() {
    let shared = |world: &World| world.count(|event| matches!(event, ClientEvent::OffsetsShared { .. }));
    let mut world = started();
    consume(&mut world, 0..5, Outcome::Done);
    world.advance(5_000);
    consume(&mut world, 0..5, Outcome::Done);
    world.advance(5_000);
    assert_eq!(shared(&world), 0);
    world.files.insert(FILE.into(), file(&[(0, 90)]));
    world.advance(5_000);
    assert_eq!(shared(&world), 0, "nothing is to be saved");
    consume(&mut world, 5..6, Outcome::Done);
    world.advance(5_000);
    assert_eq!((shared(&world), on_disk(&world, FILE)), (1, alloc::vec![(0, 6), (1, 5)]));
    consume(&mut world, 5..6, Outcome::Done);
    world.advance(5_000);
    assert_eq!(shared(&world), 1);
}

#[test]
fn a_disk_that_is_full_is_told_and_tried_again() {
    let mut world = started();
    world.broken.insert(FILE.into());
    consume(&mut world, 0..5, Outcome::Done);
    world.advance(10_000);
    assert_eq!(world.count(|event| matches!(event, ClientEvent::OffsetsNotSaved { .. })), 2);
    world.broken.clear();
    world.advance(5_000);
    assert_eq!(on_disk(&world, FILE), [(0, 5), (1, 0)]);
    // It does not keep a consumer from stopping.
    world.broken.insert(FILE.into());
    consume(&mut world, 0..2, Outcome::Done);
    stop(&mut world);
    assert_eq!(on_disk(&world, FILE), [(0, 5), (1, 0)]);
}

#[test]
fn a_start_waits_for_the_file_and_not_for_ever() {
    let mut world = world();
    world.slow_disk = true;
    let op = start(&mut world);
    world.advance(4_999);
    assert!(!world.is_done(op));
    world.advance(1);
    let CommandResult::Started(Err(StartError::Unavailable(why))) = world.result(op) else { panic!() };
    assert!(why.contains("file of offsets"), "{why}");
    // An answer to the one before says nothing to the next.
    let late = world.disk.remove(0);
    let op = start(&mut world);
    world.on_disk(late);
    world.advance(100);
    assert!(!world.is_done(op));
    world.slow_disk = false;
    world.run();
    assert!(matches!(world.result(op), CommandResult::Started(Ok(()))));
}

#[test]
fn a_stop_does_not_wait_for_a_file_that_is_still_being_read() {
    let mut world = world();
    world.slow_disk = true;
    let op = start(&mut world);
    let deadline = world.now.after(Duration::from_secs(10));
    let stop = world.stop("g", deadline);
    world.run();
    assert!(matches!(world.result(op), CommandResult::Started(Err(StartError::Closed))));
    assert!(matches!(world.result(stop), CommandResult::Stopped(_)));
    world.slow_disk = false;
    world.run();
    assert!(world.files.is_empty());
}

#[test]
fn a_stop_saves_what_was_settled_while_the_file_was_written() {
    let mut world = started();
    consume(&mut world, 0..5, Outcome::Done);
    world.slow_disk = true;
    world.advance(5_000);
    assert_eq!(world.disk.len(), 1);
    consume(&mut world, 0..3, Outcome::Done);
    let deadline = world.now.after(Duration::from_secs(10));
    let op = world.stop("g", deadline);
    world.run();
    assert!(!world.is_done(op), "it waits for the disk");
    world.slow_disk = false;
    world.run();
    assert!(matches!(world.result(op), CommandResult::Stopped(Drained { unsettled: 0 })));
    assert_eq!(on_disk(&world, FILE), [(0, 5), (1, 3)]);
}

#[test]
fn a_group_has_its_file_where_it_is_told_or_nowhere() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    let op = start(&mut world);
    let refused = CommandResult::Started(Err(StartError::Config(ConfigError::NoOffsetFile)));
    assert_eq!(alloc::format!("{:?}", world.result(op)), alloc::format!("{refused:?}"));
    world.files.insert("/var/g.json".into(), file(&[(0, 8)]));
    world.start(|config| {
        config.model = MessageModel::Broadcasting;
        config.offset_file = Some("/var/g.json".into());
    });
    world.run();
    assert_eq!(positions(&world), [(8, StartReason::File)]);
}
