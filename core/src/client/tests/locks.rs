//! Locks of orderly groups: nothing of a queue is touched without its lock.

use super::*;
use crate::config::ConsumeMode;

const LOCK: i32 = request::LOCK_BATCH_MQ;
const UNLOCK: i32 = request::UNLOCK_BATCH_MQ;
const OFFSET: i32 = request::QUERY_CONSUMER_OFFSET;
const COMMIT: i32 = request::UPDATE_CONSUMER_OFFSET;

fn orderly(queues: i32) -> World {
    World::consuming(queues, |config| config.mode = ConsumeMode::Orderly)
}

/// One queue, three messages of it pulled.
fn pulled_three() -> World {
    let mut world = orderly(1);
    let pull = world.pull("T");
    world.found(pull, 500..503);
    world
}

fn ids(asked: &Asked) -> Vec<i32> {
    LockQueues::decode(&asked.frame.body).unwrap().queues.iter().map(|queue| queue.id).collect()
}

fn sent(world: &World, code: i32) -> usize {
    world.open(code, |_| true)
}

fn lost(world: &World, busy: bool) -> usize {
    world.count(|event| matches!(event, ClientEvent::LockLost { handling, .. } if *handling == busy))
}

/// Another member is there too, and gets the only queue.
fn give_away(world: &mut World) {
    share(world, &["0", ME]);
}

fn share(world: &mut World, members: &[&str]) {
    world.members = members.iter().map(|id| (*id).into()).collect();
    let conn = *world.up.iter().find(|(_, to)| to.as_str() == "b:1").unwrap().0;
    world.input(Input::BrokerRequest(conn, rebalances::notice("g")));
    world.advance(1_000);
}

fn offset(taken: &Taken) -> u64 {
    taken.item().unwrap().offset.get()
}

#[test]
fn locks_come_before_anything_else_and_in_one_request() {
    let mut world = World::new();
    world.topic("T", 3, &["b"]);
    world.held.insert(LOCK);
    world.start(|config| config.mode = ConsumeMode::Orderly);
    world.run();
    let lock = world.take(LOCK);
    assert_eq!((lock.to.as_str(), ids(&lock)), ("b:1", alloc::vec![0, 1, 2]));
    let body = LockQueues::decode(&lock.frame.body).unwrap();
    assert_eq!((body.client_id.as_str(), body.group.as_str(), body.only_this_broker), (ME, "g", false));
    assert_eq!((sent(&world, LOCK), world.pulls("T")), (0, 0));
    assert!(!world.log.iter().any(|line| line.contains("StartPosition")), "where to start may change until then");
    let frame = world.usual(&lock);
    world.reply(lock, frame);
    world.run();
    assert_eq!(world.pulls("T"), 3);
    world.held.insert(LOCK);
    world.advance(20_000);
    assert_eq!(ids(&world.take(LOCK)), [0, 1, 2], "renewed together");
}

#[test]
fn what_another_member_has_is_asked_for_again_and_again() {
    let mut world = World::new();
    world.topic("T", 2, &["b"]);
    world.foreign.insert(1);
    world.start(|config| config.mode = ConsumeMode::Orderly);
    world.run();
    assert_eq!(world.pulls("T"), 1);
    let asks = |world: &mut World, millis| {
        world.held.insert(LOCK);
        world.advance(millis);
        let asked = (sent(world, LOCK) > 0).then(|| world.take(LOCK));
        let ids = asked.as_ref().map(ids);
        if let Some(asked) = asked {
            let frame = world.usual(&asked);
            world.reply(asked, frame);
            world.run();
        }
        ids
    };
    assert_eq!(asks(&mut world, 999), None);
    assert_eq!(asks(&mut world, 1), Some(alloc::vec![1]));
    assert_eq!(asks(&mut world, 1_999), None);
    assert_eq!(asks(&mut world, 1), Some(alloc::vec![1]), "after 2 s");
    assert_eq!(asks(&mut world, 3_000), Some(alloc::vec![1]));
    world.foreign.clear();
    assert_eq!(asks(&mut world, 4_000), Some(alloc::vec![1]));
    assert_eq!((world.pulls("T"), lost(&world, false)), (2, 0), "it was never ours before");
}

#[test]
fn a_renewed_lock_lasts() {
    let mut world = pulled_three();
    for round in 0..3 {
        world.advance(35_000);
        let taken = world.take_one().expect("the lock is ours");
        assert_eq!(offset(&taken), 500 + round);
        world.settle(&taken, Outcome::Done);
    }
    assert_eq!(lost(&world, false) + lost(&world, true), 0);
}

#[test]
fn nothing_is_handed_out_after_the_lease_and_it_goes_on_at_the_head() {
    let mut world = pulled_three();
    let first = world.take_one().unwrap();
    world.held.insert(LOCK);
    world.advance(29_999);
    world.settle(&first, Outcome::Done);
    let second = world.take_one().expect("the lease lasts 30 s");
    assert_eq!(offset(&second), 501);
    world.run();
    world.advance(1);
    assert_eq!((lost(&world, true), lost(&world, false)), (1, 0), "a handler still runs");
    world.settle(&second, Outcome::Done);
    assert!(world.take_one().is_none());
    world.held.insert(request::UPDATE_CONSUMER_OFFSET);
    world.advance(10_000);
    assert_eq!(sent(&world, request::UPDATE_CONSUMER_OFFSET), 0, "somebody else may consume it by now");
    // The lock is ours again; nobody was there meanwhile.
    world.held.remove(&LOCK);
    world.held.insert(OFFSET);
    world.advance(10_000);
    assert!(world.take_one().is_none(), "not before the broker told how far the queue was consumed");
    let check = world.take(OFFSET);
    world.reply(check, answer(0, |out| out.int("offset", 501), []));
    world.run();
    let third = world.take_one().expect("what was cached stays");
    assert_eq!(offset(&third), 502);
    world.settle(&third, Outcome::Done);
    world.advance(5_000);
    assert_eq!(world.take(request::UPDATE_CONSUMER_OFFSET).field("commitOffset"), "503");
}

#[test]
fn who_consumed_meanwhile_is_not_undone() {
    let mut world = pulled_three();
    let first = world.take_one().unwrap();
    world.foreign.insert(0);
    world.advance(20_000);
    assert_eq!(lost(&world, true), 1, "refused: another member has it");
    assert!(world.take_one().is_none());
    world.stored.insert(("T".into(), 0), 502);
    world.foreign.clear();
    world.advance(5_000);
    assert!(world.take_one().is_none(), "the handler of before still runs");
    assert_eq!(world.settle(&first, Outcome::Done), Settled::Released);
    let pull = world.asked.iter().rposition(|asked| asked.code() == request::PULL_MESSAGE).unwrap();
    let pull = world.asked.remove(pull);
    assert_eq!(pull.field("queueOffset"), "502");
    world.found(pull, 502..503);
    assert_eq!(offset(&world.take_one().unwrap()), 502);
}

#[test]
fn a_check_that_fails_is_made_again() {
    let mut world = pulled_three();
    world.foreign.insert(0);
    world.advance(20_000);
    world.foreign.clear();
    world.held.insert(OFFSET);
    world.advance(1_000);
    let check = world.take(OFFSET);
    world.reply(check, refusal(1));
    world.run();
    assert!(world.take_one().is_none());
    world.advance(1_000);
    let check = world.take(OFFSET);
    world.reply(check, refusal(response::QUERY_NOT_FOUND));
    world.run();
    assert_eq!(offset(&world.take_one().unwrap()), 500);
}

#[test]
fn a_revoked_queue_is_unlocked_after_its_last_commit() {
    let mut world = pulled_three();
    world.consume(Outcome::Done);
    world.run();
    world.held.extend([request::UPDATE_CONSUMER_OFFSET, UNLOCK]);
    give_away(&mut world);
    assert_eq!(world.events.iter().filter(|event| matches!(event, ClientEvent::Rebalanced { .. })).count(), 2);
    while sent(&world, request::UPDATE_CONSUMER_OFFSET) > 0 {
        let commit = world.take(request::UPDATE_CONSUMER_OFFSET);
        assert_eq!((commit.field("commitOffset"), sent(&world, UNLOCK)), ("501", 0));
        world.reply(commit, answer(0, |_| (), []));
        world.run();
    }
    assert_eq!(ids(&world.take(UNLOCK)), [0]);
}

#[test]
fn a_lock_stays_ours_while_the_handler_of_a_revoked_queue_runs() {
    let mut world = pulled_three();
    world.stored.insert(("T".into(), 0), 500);
    let taken = world.take_one().unwrap();
    give_away(&mut world);
    world.held.extend([UNLOCK, LOCK, request::UPDATE_CONSUMER_OFFSET]);
    world.advance(20_000);
    let renewal = world.take(LOCK);
    assert_eq!((ids(&renewal), sent(&world, UNLOCK)), (alloc::vec![0], 0));
    let frame = world.usual(&renewal);
    world.reply(renewal, frame);
    world.run();
    assert_eq!(world.settle(&taken, Outcome::Done), Settled::Released);
    assert_eq!(ids(&world.take(UNLOCK)), [0]);
    world.advance(10_000);
    let late = world.open(request::UPDATE_CONSUMER_OFFSET, |asked| asked.field("commitOffset") == "501");
    assert_eq!(late, 0, "it commits nothing");
}

#[test]
fn a_queue_that_comes_back_waits_for_the_handler_of_before() {
    let mut world = pulled_three();
    let taken = world.take_one().unwrap();
    give_away(&mut world);
    let old = world.pull("T");
    share(&mut world, &[ME]);
    assert_eq!(world.pulls("T"), 0);
    world.settle(&taken, Outcome::Done);
    let frame = pulled(&old, 0, 504, records(503..504));
    world.reply(old, frame);
    let pull = world.pull("T");
    world.found(pull, 500..502);
    assert!(world.take_one().is_some(), "the lock never went away");
}

#[test]
fn a_lock_is_kept_while_the_last_offset_waits_for_the_commit_of_another_queue() {
    let mut world = orderly(2);
    world.held.extend([COMMIT, UNLOCK]);
    share(&mut world, &[ME, "9"]);
    let first = world.take(COMMIT);
    assert_eq!((first.field("queueId"), sent(&world, COMMIT), sent(&world, UNLOCK)), ("0", 0, 0));
    world.reply(first, answer(0, |_| (), []));
    world.run();
    let last = world.take(COMMIT);
    assert_eq!((last.field("queueId"), last.field("commitOffset"), sent(&world, UNLOCK)), ("1", "500", 0));
    world.reply(last, answer(0, |_| (), []));
    world.run();
    assert_eq!(ids(&world.take(UNLOCK)), [1]);
}

#[test]
fn an_unlock_that_is_refused_is_made_again_until_the_lock_ends_by_itself() {
    let mut world = orderly(1);
    world.held.insert(UNLOCK);
    give_away(&mut world);
    assert_eq!(sent(&world, UNLOCK), 1);
    let pauses = [1, 2, 3, 4].into_iter().chain(core::iter::repeat_n(5, 10)).chain([60]);
    for pause in pauses.map(|secs| 1_000 * secs) {
        let unlock = world.take(UNLOCK);
        world.reply(unlock, refusal(1));
        world.run();
        assert_eq!(sent(&world, UNLOCK), 0);
        world.advance(pause);
    }
    assert_eq!(sent(&world, UNLOCK), 0, "the broker ends it by itself");
}

#[test]
fn a_lock_that_may_have_been_granted_is_given_back_too() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.held.insert(LOCK);
    world.start(|config| config.mode = ConsumeMode::Orderly);
    world.run();
    world.advance(3_000);
    world.held.insert(UNLOCK);
    give_away(&mut world);
    while sent(&world, UNLOCK) == 0 {
        world.advance(100);
    }
    assert_eq!((ids(&world.take(UNLOCK)), world.pulls("T")), (alloc::vec![0], 0));
}

#[test]
fn an_illegal_offset_keeps_the_lock_and_waits_for_the_handler() {
    let mut world = pulled_three();
    let taken = world.take_one().unwrap();
    let pull = world.pull("T");
    let frame = pulled(&pull, response::PULL_OFFSET_MOVED, 700, Vec::new());
    world.reply(pull, frame);
    world.run();
    assert_eq!((world.pulls("T"), sent(&world, LOCK)), (0, 0));
    world.settle(&taken, Outcome::Done);
    let pull = world.pull("T");
    assert_eq!(pull.field("queueOffset"), "700");
    world.found(pull, 700..701);
    assert_eq!(offset(&world.take_one().unwrap()), 700);
}

#[test]
fn stopping_commits_then_unlocks_then_leaves() {
    let mut world = pulled_three();
    let taken = world.take_one().unwrap();
    world.held.extend([request::UPDATE_CONSUMER_OFFSET, UNLOCK, request::UNREGISTER_CLIENT]);
    let deadline = world.now.after(Duration::from_secs(60));
    let stop = world.stop("g", deadline);
    world.run();
    world.advance(35_000);
    assert_eq!((sent(&world, UNLOCK), lost(&world, true)), (0, 0), "renewed while the handler runs");
    world.settle(&taken, Outcome::Done);
    let commit = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.reply(commit, answer(0, |_| (), []));
    world.run();
    while sent(&world, request::UPDATE_CONSUMER_OFFSET) > 0 {
        let commit = world.take(request::UPDATE_CONSUMER_OFFSET);
        world.reply(commit, answer(0, |_| (), []));
        world.run();
    }
    assert_eq!(sent(&world, request::UNREGISTER_CLIENT), 0);
    let unlock = world.take(UNLOCK);
    world.reply(unlock, answer(0, |_| (), []));
    world.run();
    let leave = world.take(request::UNREGISTER_CLIENT);
    world.reply(leave, answer(0, |_| (), []));
    world.run();
    assert!(matches!(world.result(stop), CommandResult::Stopped(Drained { unsettled: 0 })));
}

#[test]
fn at_the_end_of_its_time_a_stop_unlocks_what_is_still_handled_and_says_so() {
    let mut world = pulled_three();
    let _taken = world.take_one().unwrap();
    world.run();
    world.held.insert(UNLOCK);
    let deadline = world.now.after(Duration::from_secs(8));
    let stop = world.stop("g", deadline);
    world.advance(6_000);
    assert_eq!((sent(&world, UNLOCK), lost(&world, true)), (1, 1));
    world.advance(3_000);
    assert!(matches!(world.result(stop), CommandResult::Stopped(Drained { unsettled: 1 })));
}

#[test]
fn the_answer_to_a_lock_of_a_consumer_that_is_gone_counts_for_nothing() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.held.insert(LOCK);
    world.start(|config| config.mode = ConsumeMode::Orderly);
    world.run();
    let old = world.take(LOCK);
    let deadline = world.now.after(Duration::from_secs(1));
    world.stop("g", deadline);
    world.advance(2_000);
    world.start(|config| config.mode = ConsumeMode::Orderly);
    world.run();
    let frame = world.usual(&old);
    world.reply(old, frame);
    world.run();
    assert_eq!((world.pulls("T"), sent(&world, LOCK)), (0, 1));
}

#[test]
fn a_broker_that_was_restarted_is_asked_at_once() {
    let mut world = orderly(1);
    world.advance(5_000);
    world.held.insert(LOCK);
    world.hang_up("b:1");
    world.advance(2_000);
    assert_eq!(ids(&world.take(LOCK)), [0], "it has forgotten its locks");
}

#[test]
fn a_broker_that_is_gone_is_asked_every_few_seconds() {
    let mut world = orderly(1);
    world.dead.insert("b:1".into());
    world.hang_up("b:1");
    let connects = |world: &World| world.log.iter().filter(|line| line.contains("Connect { ")).count();
    let before = connects(&world);
    world.advance(60_000);
    let connects = connects(&world) - before;
    assert!((1..100).contains(&connects), "{connects}");
    assert_eq!(lost(&world, false), 1);
    world.dead.clear();
    world.advance(40_000);
    assert_eq!(world.pulls("T"), 1, "it goes on");
}

#[test]
fn a_concurrent_group_locks_nothing() {
    let mut world = World::consuming(2, |_| ());
    world.held.extend([LOCK, UNLOCK]);
    world.advance(60_000);
    let deadline = world.now.after(Duration::from_secs(5));
    world.stop("g", deadline);
    world.advance(5_000);
    assert_eq!(sent(&world, LOCK) + sent(&world, UNLOCK), 0);
    assert!(!world.log.iter().any(|line| line.contains("Lease {")));
}
