//! What servers ask, who may, and what is answered.

use super::*;
use crate::config::{ConsumeMode, Permission, ServerPolicy};
use crate::ids::MessageQueue;
use crate::wire::body::{
    ConsumeResult, ConsumerRunningInfo, ConsumerStatus, DirectResult, LockedQueues, ProcessQueueInfo, QueueTable,
    ResetOffsets,
};

impl World {
    /// A server asks something; what is answered.
    pub(super) fn asks(
        &mut self,
        from: &str,
        code: i32,
        fields: &[(&'static str, &'static str)],
        body: impl Into<Vec<u8>>,
    ) -> Option<Frame> {
        let fields = |out: &mut ExtWriter<'_>| fields.iter().for_each(|(key, value)| out.text(key, value));
        let frame = Preamble::request(code, Codec::Json).encode(fields, Bytes::from(body.into()));
        let conn = *self.up.iter().find(|(_, to)| to.as_str() == from).expect("a link").0;
        let before = self.answers.len();
        self.input(Input::BrokerRequest(conn, decoded(&frame)));
        self.run();
        assert!(self.answers.len() <= before + 1, "one answer at most");
        self.answers.get(before).cloned()
    }

    /// A handler is done with a message, and is counted.
    fn count_as(&mut self, taken: &Taken, outcome: Outcome) {
        let now = self.now;
        self.dispatch(&"g".into(), |dispatch| {
            dispatch.count(now, taken, outcome);
            dispatch.settle(taken, outcome);
        });
    }

    /// The verdict on the last request, and how often there was that one.
    pub(super) fn verdict(&self) -> (ServerVerdict, u64) {
        let verdict = |event: &ClientEvent| match event {
            ClientEvent::ServerRequest { verdict, times, .. } => Some((*verdict, *times)),
            _ => None,
        };
        self.events.iter().filter_map(verdict).next_back().expect("a request")
    }
}

pub(super) fn queue(topic: &str, broker: &str, id: i32) -> MessageQueue {
    MessageQueue { topic: topic.into(), broker: broker.into(), id }
}

fn table(rows: &[(MessageQueue, i64)]) -> Vec<u8> {
    ResetOffsets { offset_table: QueueTable(rows.iter().cloned().collect()) }.encode()
}

const OF_G: &[(&str, &str)] = &[("topic", "T"), ("group", "g"), ("timestamp", "-1"), ("isForce", "false")];
const RESET: i32 = request::RESET_CONSUMER_CLIENT_OFFSET;
const STATUS: i32 = request::GET_CONSUMER_STATUS_FROM_CLIENT;

fn commits(world: &World) -> Vec<&str> {
    let commits = world.asked.iter().filter(|asked| asked.code() == request::UPDATE_CONSUMER_OFFSET);
    commits.map(|asked| asked.field("commitOffset")).collect()
}

/// One queue, three of its messages in handlers and the start committed.
fn consuming(change: impl FnOnce(&mut ConsumerConfig)) -> (World, Vec<Taken>) {
    let mut world = World::consuming(1, change);
    let pull = world.pull("T");
    world.found(pull, 500..503);
    world.advance(5_000);
    world.held.insert(request::UPDATE_CONSUMER_OFFSET);
    let taken = core::iter::from_fn(|| world.take_one()).collect();
    (world, taken)
}

#[test]
fn an_operator_moves_a_queue_and_what_is_in_handlers_counts_no_more() {
    for to in [10, 900] {
        let (mut world, taken) = consuming(|_| ());
        let held = world.pull("T");
        assert_eq!(world.asks("b:1", RESET, OF_G, table(&[(queue("T", "b", 0), to)])).unwrap().header.code, 0);
        assert_eq!(world.verdict(), (ServerVerdict::Done, 1));
        let text = to.to_string();
        assert_eq!(commits(&world), [text.as_str()], "at once");
        for taken in &taken {
            assert_eq!(world.settle(taken, Outcome::Done), Settled::Released);
        }
        // Neither does what was under way when it was moved.
        world.found(held, 503..510);
        let commit = world.take(request::UPDATE_CONSUMER_OFFSET);
        world.reply(commit, answer(0, |_| (), []));
        world.advance(5_000);
        assert_eq!(commits(&world), [""; 0]);
        let pull = world.pull("T");
        assert_eq!(pull.field("queueOffset"), text);
        let to = u64::try_from(to).unwrap();
        world.found(pull, to..to + 2);
        assert_eq!(world.consume(Outcome::Done), 2);
        world.advance(5_000);
        assert_eq!(commits(&world), [(to + 2).to_string().as_str()]);
        let moved = |event: &ClientEvent| matches!(event, ClientEvent::StartPosition { reason: StartReason::Reset, offset, .. } if offset.get() == to);
        assert_eq!(world.count(moved), 1);
    }
}

#[test]
fn the_new_offset_waits_for_the_commit_under_way() {
    let (mut world, taken) = consuming(|_| ());
    world.settle(&taken[0], Outcome::Done);
    world.advance(5_000);
    assert_eq!(commits(&world), ["501"]);
    world.asks("b:1", RESET, OF_G, table(&[(queue("T", "b", 0), 10)]));
    assert_eq!(commits(&world), ["501"], "brokers may handle two at a time in any order");
    let commit = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.reply(commit, answer(0, |_| (), []));
    assert_eq!(commits(&world), ["10"]);
}

/// In order: of two queues the commit of one is under way, and that of the other waits for it. Then both locks are lost.
fn one_commit_waits_without_its_lock() -> World {
    let mut world = World::consuming(2, |config| config.mode = ConsumeMode::Orderly);
    world.held.extend([request::UPDATE_CONSUMER_OFFSET, request::LOCK_BATCH_MQ]);
    world.advance(21_000);
    assert_eq!(commits(&world), ["500"], "the first of a topic goes alone");
    let renewal = world.take(request::LOCK_BATCH_MQ);
    let nothing = LockedQueues { queues: Vec::new() }.encode();
    world.reply(renewal, answer(0, |_| (), nothing));
    world.run();
    world
}

#[test]
fn what_waited_to_be_committed_is_not_committed_without_the_lock() {
    let mut world = one_commit_waits_without_its_lock();
    let commit = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.reply(commit, answer(0, |_| (), []));
    world.run();
    assert_eq!(commits(&world), [""; 0]);
}

#[test]
fn what_waited_to_be_committed_before_a_move_is_not_committed_after_it() {
    let mut world = one_commit_waits_without_its_lock();
    world.asks("b:1", RESET, OF_G, table(&[(queue("T", "b", 0), 10), (queue("T", "b", 1), 11)]));
    world.held.remove(&request::LOCK_BATCH_MQ);
    while let Some(at) = world.asked.iter().position(|asked| asked.code() == request::LOCK_BATCH_MQ) {
        let lock = world.asked.remove(at);
        let frame = world.usual(&lock);
        world.reply(lock, frame);
        world.run();
    }
    world.advance(3_000);
    let commit = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.reply(commit, answer(0, |_| (), []));
    world.run();
    assert!(!commits(&world).contains(&"500"), "it was at 500 before it was moved: {:?}", commits(&world));
}

#[test]
fn a_queue_that_came_back_and_is_moved_does_not_wait_for_what_it_had_to_commit_before() {
    for mode in [ConsumeMode::Concurrent, ConsumeMode::Orderly] {
        let mut world = World::consuming(2, |config| config.mode = mode);
        world.held.insert(request::UPDATE_CONSUMER_OFFSET);
        let members: [&[&str]; 2] = [&[ME, "9"], &[ME]];
        for members in members {
            world.members = members.iter().map(|id| (*id).into()).collect();
            let conn = *world.up.iter().find(|(_, to)| to.as_str() == "b:1").unwrap().0;
            world.input(Input::BrokerRequest(conn, rebalances::notice("g")));
            world.advance(1_000);
        }
        assert_eq!(commits(&world), ["500"], "that of the other queue, and the last of this one waits for it");
        world.asks("b:1", RESET, OF_G, table(&[(queue("T", "b", 1), 10)]));
        let moved = |asked: &Asked| asked.field("queueId") == "1" && asked.field("queueOffset") == "10";
        assert_eq!(world.open(request::PULL_MESSAGE, moved), 1, "{mode:?}");
        for offset in ["500", "10"] {
            let commit = world.take(request::UPDATE_CONSUMER_OFFSET);
            assert_eq!(commit.field("commitOffset"), offset);
            world.reply(commit, answer(0, |_| (), []));
            world.run();
        }
        world.held.remove(&request::UPDATE_CONSUMER_OFFSET);
        let deadline = world.now.after(Duration::from_secs(30));
        let stop = world.stop("g", deadline);
        world.run();
        assert!(world.is_done(stop), "{mode:?}");
    }
}

#[test]
fn in_order_the_next_message_waits_for_the_handler_of_the_last() {
    let (mut world, taken) = consuming(|config| config.mode = ConsumeMode::Orderly);
    assert_eq!(taken.len(), 1);
    world.asked.retain(|asked| asked.code() != request::PULL_MESSAGE);
    world.asks("b:1", RESET, OF_G, table(&[(queue("T", "b", 0), 10)]));
    assert_eq!((commits(&world), world.pulls("T")), (alloc::vec!["10"], 0));
    assert_eq!(world.settle(&taken[0], Outcome::Done), Settled::Released);
    let pull = world.pull("T");
    assert_eq!(pull.field("queueOffset"), "10");
    assert_eq!(commits(&world), ["10"]);
}

#[test]
fn in_order_a_queue_that_another_member_has_is_moved_at_the_broker_and_starts_from_what_is_stored_later() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.foreign.insert(0);
    world.start(|config| config.mode = ConsumeMode::Orderly);
    world.run();
    world.held.insert(request::UPDATE_CONSUMER_OFFSET);
    world.asks("b:1", RESET, OF_G, table(&[(queue("T", "b", 0), 10)]));
    assert_eq!((commits(&world), world.pulls("T")), (alloc::vec!["10"], 0));
    let commit = world.take(request::UPDATE_CONSUMER_OFFSET);
    world.reply(commit, answer(0, |_| (), []));
    world.advance(60_000);
    // The other member goes on from there, and leaves.
    world.stored.insert(("T".into(), 0), 12);
    world.foreign.clear();
    world.advance(10_000);
    assert_eq!(world.pull("T").field("queueOffset"), "12");
}

#[test]
fn only_the_master_of_a_queue_that_is_ours_may_move_it() {
    let mut world = World::new();
    world.topic("T", 1, &["b", "c"]);
    world.start(|_| ());
    world.run();
    let foreign = |world: &mut World, from, rows: &[(MessageQueue, i64)]| {
        let answer = world.asks(from, RESET, OF_G, table(rows)).unwrap();
        assert_eq!(world.verdict().0, ServerVerdict::NotOurs);
        (answer.header.code, answer.body.len())
    };
    let refused = (response::NO_PERMISSION, 0);
    assert_eq!(foreign(&mut world, NS, &[(queue("T", "b", 0), 1)]), refused, "a name server");
    assert_eq!(foreign(&mut world, "c:1", &[(queue("T", "b", 0), 1)]), refused, "another broker");
    assert_eq!(foreign(&mut world, "b:1", &[(queue("T", "b", 7), 1)]), refused, "not ours");
    assert_eq!(foreign(&mut world, "b:1", &[(queue("U", "b", 0), 1)]), refused, "another topic");
    assert_eq!(foreign(&mut world, "b:1", &[(queue("T", "b", 0), -1)]), refused, "no offset");
    assert_eq!(world.count(|event| matches!(event, ClientEvent::StartPosition { .. })), 2, "as at the start");
    // What is not ours does not keep the rest from being moved.
    world.asks("b:1", RESET, OF_G, table(&[(queue("T", "b", 0), 1), (queue("T", "c", 0), 1), (queue("U", "b", 0), 1)]));
    assert_eq!(world.verdict().0, ServerVerdict::Done);
    assert_eq!(world.count(|event| matches!(event, ClientEvent::StartPosition { .. })), 3);
}

#[test]
fn offsets_for_nobody_are_not_read() {
    let mut world = World::consuming(1, |_| ());
    world.asks("b:1", RESET, OF_G, *b"no table");
    assert_eq!(world.verdict().0, ServerVerdict::Malformed);
    let of = |group| [("topic", "T"), ("group", group), ("timestamp", "-1"), ("isForce", "false")];
    world.asks("b:1", RESET, &of("another"), *b"no table");
    assert_eq!(world.verdict().0, ServerVerdict::NoGroup);
    world.held.insert(request::HEART_BEAT);
    world.start(|config| config.group = "starting".into());
    world.asks("b:1", RESET, &of("starting"), *b"no table");
    assert_eq!(world.verdict().0, ServerVerdict::NotOurs, "it has no queues yet");
}

#[test]
fn a_broadcasting_member_keeps_the_new_offset_in_its_file() {
    let mut world = World::with(NS, |config| config.offset_dir = Some("/d".into()));
    world.topic("T", 1, &["b"]);
    world.start(|config| config.model = MessageModel::Broadcasting);
    world.run();
    world.asks("b:1", RESET, OF_G, table(&[(queue("T", "b", 0), 42)]));
    assert_eq!(world.verdict(), (ServerVerdict::Done, 1));
    let file = String::from_utf8(world.files["/d/g/offsets.json"].clone()).unwrap();
    assert!(file.contains(":42}"), "{file}");
}

#[test]
fn how_far_a_topic_is_consumed_is_told() {
    let (mut world, taken) = consuming(|_| ());
    world.settle(&taken[0], Outcome::Done);
    world.settle(&taken[2], Outcome::Done);
    let told = |frame: Frame| ConsumerStatus::decode(&frame.body).unwrap().message_queue_table.0;
    let table = told(world.asks("b:1", STATUS, OF_G, []).unwrap());
    assert_eq!(table, BTreeMap::from([(queue("T", "b", 0), 501)]), "what is settled, not what is pulled");
    let nothing = world.asks("b:1", STATUS, &[("topic", "T"), ("group", "another")], []).unwrap();
    assert_eq!((nothing.header.code, told(nothing)), (0, BTreeMap::new()), "as Java has it");
    let nothing = world.asks("b:1", STATUS, &[("topic", "U"), ("group", "g")], []).unwrap();
    assert_eq!((nothing.header.code, told(nothing)), (0, BTreeMap::new()));
}

const RUNNING: i32 = request::GET_CONSUMER_RUNNING_INFO;
const ABOUT_ME: &[(&str, &str)] = &[("consumerGroup", "g"), ("clientId", ME), ("jstackEnable", "true")];

fn told(world: &mut World) -> ConsumerRunningInfo {
    let answer = world.asks("b:1", RUNNING, ABOUT_ME, []).unwrap();
    assert_eq!((answer.header.code, world.verdict().0), (response::SUCCESS, ServerVerdict::Done));
    ConsumerRunningInfo::decode(&answer.body).unwrap()
}

#[test]
fn the_state_of_a_consumer_is_told_without_stacks() {
    let (mut world, taken) = consuming(|config| config.max_reconsume = Some(3));
    world.input(Input::WallClock(UnixMillis(1_000_000)));
    world.count_as(&taken[0], Outcome::Done);
    world.news();
    let info = told(&mut world);
    assert_eq!((info.jstack, info.user_info.len(), info.pop_queues.0.len()), (None, 0, 0));
    let property = |key: &str| info.properties.get(key).map(String::as_str);
    for (key, value) in [
        ("PROP_NAMESERVER_ADDR", NS),
        ("PROP_CONSUMEORDERLY", "false"),
        ("PROP_CONSUME_TYPE", "CONSUME_PASSIVELY"),
        ("PROP_CLIENT_VERSION", "V5_3_1"),
        ("PROP_CONSUMER_START_TIMESTAMP", "1000"),
        ("allocateMessageQueueStrategy", "AVG"),
        ("maxReconsumeTimes", "3"),
        ("messageModel", "CLUSTERING"),
        ("pullThresholdForQueue", "1000"),
    ] {
        assert_eq!(property(key), Some(value), "{key}");
    }
    let topics: Vec<_> = info.subscriptions.iter().map(|data| data.topic.as_str()).collect();
    assert_eq!(topics, ["%RETRY%g", "T"]);
    let state = info.queues.0[&queue("T", "b", 0)].clone();
    let expected = ProcessQueueInfo {
        cached_msg_count: 2,
        cached_msg_min_offset: 501,
        cached_msg_max_offset: 502,
        commit_offset: 501,
        last_consume_timestamp: 1_000_000,
        last_lock_timestamp: 1_000,
        last_pull_timestamp: 1_000_000 - 5_000,
        ..ProcessQueueInfo::default()
    };
    assert_eq!(state, expected);
    let status = info.status[&Topic::from("T")];
    assert_eq!(status.consume_ok_tps, 0.2, "one in five seconds");
    let other = world.asks("b:1", RUNNING, &[("consumerGroup", "x"), ("clientId", ME)], []).unwrap();
    assert_eq!((other.header.code, world.verdict().0), (response::SYSTEM_ERROR, ServerVerdict::NoGroup));
    assert_eq!(other.header.remark.as_deref(), Some("The Consumer Group <x> not exist in this consumer"));
    assert_eq!(world.asks("b:1", RUNNING, &[], []).unwrap().header.code, response::SYSTEM_ERROR);
}

#[test]
fn popped_queues_and_what_queues_wait_for_are_told() {
    let (mut world, _taken) = consuming(|_| ());
    let info = told(&mut world);
    let property = |key: &str| info.properties.get(key).map(String::as_str).unwrap_or_default();
    assert_eq!((property("PROP_STATE"), property("PROP_SUSPENDED")), ("running", "false"));
    assert_eq!(property("PROP_SHARE.T"), "queues 1, members 1, 1000 ms ago");
    assert_eq!(property("PROP_QUEUE.T@b#0"), "pulling; started at 500: Last");
    assert!(property("PROP_CLIENT_CACHE").ends_with(" of 536870912 bytes"), "{info:?}");
    let pull = world.pull("T");
    world.reply(pull, refusal(1));
    let info = told(&mut world);
    assert_eq!(
        info.properties["PROP_QUEUE.T@b#0"],
        "waiting for 1000 ms; started at 500: Last; 0 ms ago: broker answered 1"
    );
    let info = super::pops::told_of_pops();
    let [(queue, state)] = &info.pop_queues.0.into_iter().collect::<Vec<_>>()[..] else { panic!("one queue") };
    assert_eq!((queue.id, state.wait_ack_count, state.droped), (-1, 2, false));
    assert_eq!(state.last_pop_timestamp, 1_000);
}

#[test]
fn in_order_locks_and_handlers_are_told() {
    let (mut world, _held) = consuming(|config| config.mode = ConsumeMode::Orderly);
    world.input(Input::WallClock(UnixMillis(1_000_000)));
    world.news();
    let info = told(&mut world);
    let state = info.queues.0[&queue("T", "b", 0)].clone();
    assert_eq!(info.properties["PROP_CONSUMEORDERLY"], "true");
    assert!(state.locked && !state.droped);
    assert_eq!((state.last_lock_timestamp, state.try_unlock_times), (1_000_000 - 5_000, 0));
    let handler = (state.transaction_msg_count, state.transaction_msg_min_offset, state.transaction_msg_max_offset);
    assert_eq!((state.cached_msg_count, handler), (3, (1, 500, 500)));
}

#[test]
fn figures_are_of_what_handlers_did_and_where_queues_are() {
    let (mut world, taken) = consuming(|_| ());
    world.advance(1_000);
    world.count_as(&taken[0], Outcome::Done);
    world.count_as(&taken[1], Outcome::Failed { level: 0 });
    // What goes back to the broker is settled then, and counts once.
    world.run();
    let stats = |world: &mut World| {
        let op = world.command(Command::Stats("g".into()));
        let CommandResult::Stats(stats) = world.result(op).clone() else { panic!("no stats") };
        stats
    };
    let figures = stats(&mut world);
    let of_queue = figures.queues[&queue("T", "b", 0)];
    assert_eq!((of_queue.consumed_to.map(QueueOffset::get), of_queue.cached), (Some(502), 1));
    assert_eq!((of_queue.end.map(QueueOffset::get), of_queue.backlog()), (Some(1_000), Some(498)));
    let status = figures.topics[&Topic::from("T")];
    assert_eq!(
        (status.consume_ok_tps, status.consume_failed_tps, status.consume_failed_msgs),
        (1.0 / 6.0, 1.0 / 6.0, 1)
    );
    assert_eq!((status.consume_rt, status.pull_tps), (1_000.0, 0.5));
    // Figures of a queue that is given up stay those of its topic.
    world.count_as(&taken[2], Outcome::Done);
    world.members = alloc::vec!["0".into(), ME.into()];
    world.asks("b:1", request::NOTIFY_CONSUMER_IDS_CHANGED, &[("consumerGroup", "g")], []);
    world.advance(1_000);
    let figures = stats(&mut world);
    assert!(!figures.queues.contains_key(&queue("T", "b", 0)));
    assert_eq!(figures.topics[&Topic::from("T")].consume_ok_tps, 2.0 / 7.0);
    assert_eq!(stats_of_nobody(&mut world), ConsumerStats::default());
}

fn stats_of_nobody(world: &mut World) -> ConsumerStats {
    let op = world.command(Command::Stats("nobody".into()));
    let CommandResult::Stats(stats) = world.result(op).clone() else { panic!("no stats") };
    stats
}

const DIRECT: i32 = request::CONSUME_MESSAGE_DIRECTLY;
const FOR_G: &[(&str, &str)] = &[("consumerGroup", "g"), ("clientId", ME), ("brokerName", "b")];

/// A consumer that does what operators want, with one message of its own in hand.
fn willing(change: impl FnOnce(&mut ConsumerConfig)) -> World {
    let policy = ServerPolicy { consume_directly: Permission::Allow, ..ServerPolicy::default() };
    let mut world = World::with(NS, |config| config.server_policy = policy);
    world.topic("T", 1, &["b"]);
    world.start(change);
    world.run();
    let pull = world.pull("T");
    world.found(pull, 500..501);
    world.advance(5_000);
    world.held.insert(request::UPDATE_CONSUMER_OFFSET);
    world
}

fn result_of(frame: &Frame) -> (Option<ConsumeResult>, i64) {
    assert_eq!(frame.header.code, response::SUCCESS);
    let result = DirectResult::decode(&frame.body).unwrap();
    (result.consume_result, result.spent_time_mills)
}

#[test]
fn an_operator_has_a_message_handled_ahead_of_all_others() {
    for mode in [ConsumeMode::Concurrent, ConsumeMode::Orderly] {
        for (outcome, expected) in [
            (Outcome::Done, ConsumeResult::Success),
            (Outcome::Failed { level: 0 }, ConsumeResult::Later),
            (Outcome::Failed { level: -1 }, ConsumeResult::Later),
        ] {
            let mut world = willing(|config| config.mode = mode);
            assert!(world.asks("b:1", DIRECT, FOR_G, records(77..78)).is_none(), "not yet");
            assert_eq!(world.verdict(), (ServerVerdict::Done, 1));
            let taken = world.take_one().unwrap();
            let place = (taken.batch.queue.clone(), taken.item().unwrap().offset.get(), taken.direct.is_some());
            assert_eq!(place, (Arc::new(queue("T", "b", 0)), 77, true));
            assert_eq!(taken.body().unwrap(), "77");
            let asked = world.asked.len();
            world.advance(300);
            world.count_as(&taken, outcome);
            world.news();
            assert_eq!(result_of(world.answers.last().unwrap()), (Some(expected), 300));
            world.advance(4_000);
            assert_eq!((world.asked.len(), commits(&world)), (asked, alloc::vec![""; 0]), "{outcome:?}: nothing else");
            assert_eq!(world.take_one().unwrap().item().unwrap().offset.get(), 500);
        }
    }
}

#[test]
fn what_is_not_handled_in_nine_seconds_is_answered_all_the_same() {
    let mut world = willing(|_| ());
    assert!(world.asks("b:1", DIRECT, FOR_G, records(77..78)).is_none());
    assert!(world.asks("b:1", DIRECT, FOR_G, records(78..79)).is_none());
    let taken = world.take_one().unwrap();
    let before = world.answers.len();
    world.advance(8_999);
    assert_eq!(world.answers.len(), before);
    world.advance(1);
    let codes: Vec<_> = world.answers[before..].iter().map(|frame| frame.header.code).collect();
    assert_eq!(codes, [response::SYSTEM_ERROR; 2]);
    world.count_as(&taken, Outcome::Done);
    world.news();
    assert_eq!(world.answers.len(), before + 2, "once");
    assert_eq!(world.take_one().unwrap().item().unwrap().offset.get(), 500, "the other one is not handed out any more");
}

#[test]
fn of_messages_to_be_handled_there_are_not_many_at_once_and_none_at_the_end() {
    let mut world = willing(|_| ());
    for number in 0..16 {
        assert!(world.asks("b:1", DIRECT, FOR_G, records(number..number + 1)).is_none());
    }
    let refused = world.asks("b:1", DIRECT, FOR_G, records(1..2)).unwrap();
    assert_eq!((refused.header.code, world.verdict().0), (response::SYSTEM_ERROR, ServerVerdict::Busy));
    let before = world.answers.len();
    let deadline = world.now.after(Duration::from_secs(2));
    world.stop("g", deadline);
    assert_eq!(world.answers.len(), before + 16, "each is told");
    world.asks("b:1", DIRECT, FOR_G, records(1..2)).unwrap();
    assert_eq!(world.verdict().0, ServerVerdict::Busy);
}

#[test]
fn what_is_no_single_message_is_not_handled() {
    let mut world = willing(|_| ());
    let mut spoilt = records(1..2);
    spoilt[4] = 0;
    for body in [Vec::new(), records(1..3), records(1..2)[..40].to_vec(), spoilt] {
        let answer = world.asks("b:1", DIRECT, FOR_G, body).unwrap();
        assert_eq!((answer.header.code, world.verdict().0), (response::SYSTEM_ERROR, ServerVerdict::Malformed));
        assert!(!answer.header.remark.unwrap_or_default().is_empty());
    }
    let answer = world.asks("b:1", DIRECT, &[("consumerGroup", "x")], records(1..2)).unwrap();
    assert_eq!((answer.header.code, world.verdict().0), (response::SYSTEM_ERROR, ServerVerdict::NoGroup));
    assert_eq!(world.take_one().unwrap().direct, None);
    let mut world = World::consuming(1, |_| ());
    let answer = world.asks("b:1", DIRECT, FOR_G, records(1..2)).unwrap();
    assert_eq!((answer.header.code, world.verdict().0), (response::NO_PERMISSION, ServerVerdict::Refused));
    assert!(world.take_one().is_none());
}

#[test]
fn what_is_not_allowed_not_known_or_not_readable_is_refused_and_counted() {
    let mut world = World::with(NS, |config| config.server_policy = ServerPolicy::STRICT);
    world.topic("T", 1, &["b"]);
    world.start(|_| ());
    world.run();
    for code in [39, 220, 221, 307, 309, 326] {
        for times in 1..3 {
            let answer = world.asks("b:1", code, OF_G, table(&[(queue("T", "b", 0), 1)])).unwrap();
            assert_eq!((answer.header.code, answer.body.len()), (response::NO_PERMISSION, 0), "{code}");
            assert_eq!(world.verdict(), (ServerVerdict::Refused, times), "{code}");
        }
    }
    for (times, code) in [(1, 9_999), (2, 11), (3, -7)] {
        let answer = world.asks("b:1", code, OF_G, []).unwrap();
        assert_eq!(answer.header.code, response::REQUEST_CODE_NOT_SUPPORTED);
        assert_eq!(world.verdict(), (ServerVerdict::Unknown, times), "they count as one");
    }
    let answer = world.asks("b:1", request::NOTIFY_CONSUMER_IDS_CHANGED, &[], []).unwrap();
    assert_eq!((answer.header.code, world.verdict().0), (response::SYSTEM_ERROR, ServerVerdict::Malformed));
    let mut world = World::consuming(1, |_| ());
    for (body, fields) in [(&b"{"[..], OF_G), (b"{}", &OF_G[..2])] {
        assert_eq!(world.asks("b:1", RESET, fields, body).unwrap().header.code, response::SYSTEM_ERROR);
        assert_eq!(world.verdict().0, ServerVerdict::Malformed);
    }
    let fields = &[("topic", "T"), ("group", "x"), ("timestamp", "1"), ("isForce", "true")];
    assert_eq!(world.asks("b:1", RESET, fields, table(&[])).unwrap().header.code, response::SYSTEM_ERROR);
    assert_eq!(world.verdict().0, ServerVerdict::NoGroup);
    let mut told = world.events.iter().filter_map(|event| match event {
        ClientEvent::ServerRequest { from, code, group, .. } => Some((from.as_str(), *code, group.clone())),
        _ => None,
    });
    assert_eq!(told.next_back(), Some(("b:1", RESET, Some("x".into()))));
}
