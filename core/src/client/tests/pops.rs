use super::*;
use crate::dispatch::{DispatchEvent, PoisonCause};
use crate::ids::MessageQueue;
use crate::wire::body::{Assignment, Assignments, BatchAck, MessageMode};
use crate::wire::message::properties;
use crate::wire::request::{ChangeInvisibleTimeResponse, PopMessageResponse};

/// A group that pops queue −1 of broker `b`, with one pop under way.
pub(super) fn popping(change: impl FnOnce(&mut ConsumerConfig)) -> World {
    popping_in(World::new(), change)
}

fn popping_in(mut world: World, change: impl FnOnce(&mut ConsumerConfig)) -> World {
    world.topic("T", 2, &["b"]);
    world.topic("%RETRY%g", 1, &["b"]);
    world.held.extend([
        request::QUERY_ASSIGNMENT,
        request::POP_MESSAGE,
        request::ACK_MESSAGE,
        request::BATCH_ACK_MESSAGE,
        request::CHANGE_MESSAGE_INVISIBLETIME,
        request::CONSUMER_SEND_MSG_BACK,
    ]);
    world.start(|config| {
        config.pop = Some(crate::config::PopConfig::default());
        change(config);
    });
    world.run();
    assign(&mut world, MessageMode::Pop);
    world
}

/// What a group tells that popped two messages.
pub(super) fn told_of_pops() -> crate::wire::body::ConsumerRunningInfo {
    let mut world = popping(|_| ());
    let pop = world.take(request::POP_MESSAGE);
    world.reply(pop, popped(500..502, 1_000));
    world.run();
    let about = [("consumerGroup", "g"), ("clientId", ME)];
    let answer = world.asks("b:1", request::GET_CONSUMER_RUNNING_INFO, &about, []).expect("an answer");
    crate::wire::body::ConsumerRunningInfo::decode(&answer.body).unwrap()
}

/// Answers all questions for queues: the topic is in this mode, the retry topic is pulled.
pub(super) fn assign(world: &mut World, mode: MessageMode) {
    while world.open(request::QUERY_ASSIGNMENT, |_| true) > 0 {
        let asked = world.take(request::QUERY_ASSIGNMENT);
        let text = String::from_utf8_lossy(&asked.frame.body).to_string();
        let (topic, mode, id) = if text.contains("%RETRY%") {
            ("%RETRY%g", MessageMode::Pull, 0)
        } else {
            ("T", mode, if mode == MessageMode::Pop { -1 } else { 0 })
        };
        let message_queue = MessageQueue { topic: topic.into(), broker: "b".into(), id };
        let queues = Some(alloc::vec![Assignment { message_queue, mode }]);
        world.reply(asked, answer(0, |_| (), Assignments { queues }.encode()));
    }
    world.run();
}

/// What was popped: records of queue 0 at these offsets, at this time by the broker's clock.
pub(super) fn popped(offsets: core::ops::Range<u64>, millis: i64) -> Frame {
    popped_for(Duration::from_secs(60), offsets, millis)
}

/// The same, hidden for so long.
fn popped_for(hidden: Duration, offsets: core::ops::Range<u64>, millis: i64) -> Frame {
    let list: Vec<String> = offsets.clone().map(|offset| offset.to_string()).collect();
    let fields = PopMessageResponse {
        pop_millis: millis,
        invisible_millis: i64::try_from(hidden.as_millis()).unwrap(),
        revive_queue: 3,
        rest: 0,
        start_offsets: Some(alloc::format!("0 0 {}", offsets.start)),
        offsets: Some(alloc::format!("0 0 {}", list.join(","))),
        order_counts: None,
    };
    let preamble = Preamble { version: 493, ..Preamble::response(0, Codec::Json) };
    decoded(&preamble.encode(|out| fields.write(out), Bytes::from(records(offsets))))
}

pub(super) fn nothing(millis: i64) -> Frame {
    let fields = PopMessageResponse {
        pop_millis: millis,
        invisible_millis: 60_000,
        revive_queue: 0,
        rest: 0,
        start_offsets: Some(String::new()),
        offsets: Some(String::new()),
        order_counts: None,
    };
    answer(response::POLLING_TIMEOUT, |out| fields.write(out), [])
}

impl World {
    /// Answers the pop under way.
    pub(super) fn popped(&mut self, offsets: core::ops::Range<u64>) {
        let asked = self.take(request::POP_MESSAGE);
        let millis = 1_000_000 + i64::try_from(self.now.as_micros() / 1_000).unwrap();
        self.reply(asked, popped(offsets, millis));
        self.run();
    }

    /// Answers a change of an invisible time.
    fn changed(&mut self, millis: i64) -> Asked {
        let asked = self.take(request::CHANGE_MESSAGE_INVISIBLETIME);
        let fields = ChangeInvisibleTimeResponse { pop_millis: millis, invisible_millis: 60_000, revive_queue: 4 };
        let copy = Asked { pull: None, frame: asked.frame.clone(), to: asked.to.clone(), ..asked };
        self.reply(asked, answer(0, |out| fields.write(out), []));
        self.run();
        copy
    }

    fn acks(&self) -> usize {
        self.open(request::ACK_MESSAGE, |_| true) + self.open(request::BATCH_ACK_MESSAGE, |_| true)
    }
}

#[test]
fn a_group_that_is_told_to_pop_pops_any_queue_of_the_broker() {
    let world = popping(|config| config.start_from = crate::config::StartFrom::First);
    let asked = world.asked.iter().find(|asked| asked.code() == request::POP_MESSAGE).unwrap();
    assert_eq!((asked.field("queueId"), asked.field("maxMsgNums"), asked.field("initMode")), ("-1", "32", "0"));
    assert_eq!((asked.field("invisibleTime"), asked.field("pollTime")), ("60000", "15000"));
    assert_eq!((asked.field("exp"), asked.field("expType"), asked.field("order")), ("*", "TAG", "false"));
    assert_eq!(asked.deadline, world.now.after(Duration::from_secs(25)));
    assert_eq!(world.pulls("%RETRY%g"), 1, "what is handed back is pulled");
    assert_eq!(world.pulls("T"), 0);
}

#[test]
fn a_group_that_is_told_to_pull_pulls_and_follows_when_that_changes() {
    let mut world = World::new();
    world.topic("T", 2, &["b"]);
    world.topic("%RETRY%g", 1, &["b"]);
    world.held.extend([request::QUERY_ASSIGNMENT, request::POP_MESSAGE]);
    world.start(|config| config.pop = Some(crate::config::PopConfig::default()));
    world.run();
    assign(&mut world, MessageMode::Pull);
    assert_eq!((world.pulls("T"), world.open(request::POP_MESSAGE, |_| true)), (1, 0));
    while world.open(request::QUERY_ASSIGNMENT, |asked| asked.frame.body.ends_with(b"\"T\"}")) == 0 {
        world.advance(100);
    }
    assign(&mut world, MessageMode::Pop);
    assert_eq!(world.open(request::POP_MESSAGE, |_| true), 1);
    let moved = |event: &ClientEvent| {
        matches!(event, ClientEvent::Rebalanced { added, revoked, members: 0, .. }
        if added.iter().any(|queue| queue.id == -1) && revoked.len() == 1)
    };
    assert_eq!(world.count(moved), 1);
    assert_eq!(world.open(request::GET_CONSUMER_LIST_BY_GROUP, |_| true), 0, "nobody asks for the members");
}

#[test]
fn a_broker_that_knows_nothing_of_it_is_asked_for_the_members() {
    let mut world = World::new();
    world.topic("T", 2, &["b"]);
    world.held.insert(request::QUERY_ASSIGNMENT);
    world.start(|config| config.pop = Some(crate::config::PopConfig::default()));
    world.run();
    for _ in 0..2 {
        while world.open(request::QUERY_ASSIGNMENT, |_| true) > 0 {
            let asked = world.take(request::QUERY_ASSIGNMENT);
            world.reply(asked, refusal(response::REQUEST_CODE_NOT_SUPPORTED));
        }
        world.run();
        assert_eq!(world.pulls("T"), 2);
        world.advance(20_000);
    }
    let told =
        |event: &ClientEvent| matches!(event, ClientEvent::PopUnsupported { topic, .. } if topic.as_str() == "T");
    assert_eq!(world.count(told), 1, "once");
}

#[test]
fn acknowledgements_are_collected_and_sent_together() {
    let mut world = popping(|_| ());
    world.popped(0..3);
    assert_eq!(world.consume(Outcome::Done), 3);
    world.run();
    assert_eq!(world.acks(), 0, "not yet");
    world.advance(5);
    assert_eq!(world.acks(), 1);
    let asked = world.take(request::BATCH_ACK_MESSAGE);
    let batch = BatchAck::decode(&asked.frame.body).unwrap();
    assert_eq!(batch.acks.len(), 1);
    let ack = &batch.acks[0];
    let offsets: Vec<_> = ack.offsets().map(QueueOffset::get).collect();
    assert_eq!((offsets.as_slice(), ack.start, ack.revive_queue), (&[0, 1, 2][..], 0, 3));
    assert_eq!((ack.topic.as_str(), ack.retry.as_str()), ("T", "0"));
    world.reply(asked, answer(0, |_| (), []));
    world.advance(60_000);
    assert_eq!((world.acks(), world.open(request::CHANGE_MESSAGE_INVISIBLETIME, |_| true)), (0, 0));
}

#[test]
fn one_acknowledgement_goes_alone_and_so_do_all_to_old_brokers() {
    let mut world = popping(|_| ());
    world.popped(5..6);
    world.consume(Outcome::Done);
    world.advance(5);
    let asked = world.take(request::ACK_MESSAGE);
    assert_eq!((asked.field("offset"), asked.field("topic"), asked.field("queueId")), ("5", "T", "0"));
    assert!(asked.field("extraInfo").starts_with("5 10"), "{}", asked.field("extraInfo"));
    assert!(asked.field("extraInfo").ends_with(" 60000 3 0 b 0 5"), "{}", asked.field("extraInfo"));
    world.reply(asked, answer(0, |_| (), []));
    let asked = world.take(request::POP_MESSAGE);
    let mut frame = popped(6..8, 1_000_100);
    frame.header.version = 433;
    world.reply(asked, frame);
    world.run();
    world.consume(Outcome::Done);
    world.advance(5);
    assert_eq!(world.open(request::ACK_MESSAGE, |_| true), 2);
}

#[test]
fn acknowledgements_are_sent_again_while_there_is_time() {
    let mut world = popping(|_| ());
    world.popped(0..2);
    world.consume(Outcome::Done);
    world.advance(5);
    let asked = world.take(request::BATCH_ACK_MESSAGE);
    world.fail(asked, Sent::Maybe);
    world.advance(1_100);
    let asked = world.take(request::BATCH_ACK_MESSAGE);
    world.reply(asked, refusal(response::SYSTEM_ERROR));
    world.advance(1_100);
    assert_eq!(world.open(request::ACK_MESSAGE, |_| true), 2, "one by one");
    for _ in 0..2 {
        let asked = world.take(request::ACK_MESSAGE);
        world.reply(asked, answer(0, |_| (), []));
    }
    world.advance(70_000);
    assert_eq!(world.acks(), 0);
    assert_eq!(world.count(|event| matches!(event, ClientEvent::PopNotSettled { .. })), 0);
}

#[test]
fn what_could_not_be_acknowledged_in_time_is_told() {
    let mut world = popping(|_| ());
    world.popped(0..1);
    world.consume(Outcome::Done);
    world.held.insert(request::ACK_MESSAGE);
    world.advance(80_000);
    assert_eq!(world.acks(), 0, "given up");
    assert_eq!(world.count(|event| matches!(event, ClientEvent::PopNotSettled { .. })), 1);
}

#[test]
fn what_is_in_a_handler_is_hidden_for_longer_and_acknowledged_by_its_new_handle() {
    let mut world = popping(|_| ());
    world.popped(0..1);
    let taken = world.take_one().unwrap();
    world.advance(39_000);
    assert_eq!(world.open(request::CHANGE_MESSAGE_INVISIBLETIME, |_| true), 0);
    world.advance(2_000);
    let asked = world.changed(7_777);
    assert_eq!((asked.field("offset"), asked.field("invisibleTime")), ("0", "60000"));
    world.advance(38_000);
    assert_eq!(world.open(request::CHANGE_MESSAGE_INVISIBLETIME, |_| true), 0);
    // It is acknowledged while the next change is under way: the answer is waited for.
    world.advance(2_000);
    assert_eq!(world.open(request::CHANGE_MESSAGE_INVISIBLETIME, |_| true), 1);
    world.settle(&taken, Outcome::Done);
    world.advance(100);
    assert_eq!(world.acks(), 0);
    let second = world.changed(8_888);
    assert_eq!(second.field("extraInfo"), "0 7777 60000 4 0 b 0 0");
    world.advance(5);
    let asked = world.take(request::ACK_MESSAGE);
    assert_eq!(asked.field("extraInfo"), "0 8888 60000 4 0 b 0 0");
}

#[test]
fn what_its_broker_hides_again_too_late_is_told() {
    let mut world = popping(|_| ());
    world.popped(0..1);
    let _taken = world.take_one().unwrap();
    let expired = |event: &ClientEvent| matches!(event, ClientEvent::PopExpired { .. });
    for (at, told) in [(1_059_000, 0), (1_118_999, 0), (1_178_999, 1)] {
        world.advance(40_500);
        world.changed(at);
        assert_eq!(world.count(expired), told, "{at}");
    }
}

#[test]
fn what_nobody_answers_before_the_end_is_told() {
    let mut world = popping(|_| ());
    world.popped(0..2);
    let taken = world.take_one().unwrap();
    let deadline = world.now.after(Duration::from_secs(1));
    world.stop("g", deadline);
    world.settle(&taken, Outcome::Done);
    world.held.extend([request::CHANGE_MESSAGE_INVISIBLETIME, request::ACK_MESSAGE]);
    let open = |event: &ClientEvent| matches!(event, ClientEvent::PopNotSettled { .. });
    world.advance(900);
    assert_eq!(world.count(open), 0);
    world.advance(200);
    assert_eq!(world.count(open), 2, "one given back, one acknowledged");
}

#[test]
fn a_handler_can_ask_for_more_time() {
    let mut world = popping(|_| ());
    world.popped(0..1);
    let taken = world.take_one().unwrap();
    world.dispatch(&"g".into(), |dispatch| {
        assert!(dispatch.extend(&taken, Duration::from_secs(600)));
    });
    world.run();
    let asked = world.changed(7_777);
    assert_eq!(asked.field("invisibleTime"), "600000");
    world.advance(399_000);
    assert_eq!(world.open(request::CHANGE_MESSAGE_INVISIBLETIME, |_| true), 0, "it lasts");
    world.advance(2_000);
    assert_eq!(world.changed(8_888).field("invisibleTime"), "60000", "and is renewed");
    world.settle(&taken, Outcome::Done);
    world.dispatch(&"g".into(), |dispatch| {
        assert!(!dispatch.extend(&taken, Duration::from_secs(600)), "settled");
    });
}

#[test]
fn what_failed_waits_at_the_broker_longer_each_time() {
    let mut world = popping(|_| ());
    world.popped(0..4);
    let outcomes = [
        (Outcome::Failed { level: 0 }, "10000"),
        (Outcome::Failed { level: 4 }, "30000"),
        (Outcome::Suspended { pause: Duration::from_millis(1_234) }, "1234"),
        (Outcome::RolledBack, "10000"),
    ];
    for (outcome, millis) in outcomes {
        let taken = world.take_one().unwrap();
        world.settle(&taken, outcome);
        let asked = world.changed(7_777);
        assert_eq!(asked.field("invisibleTime"), millis);
    }
    world.advance(100_000);
    assert_eq!((world.acks(), world.open(request::CHANGE_MESSAGE_INVISIBLETIME, |_| true)), (0, 0), "all are settled");
}

/// Pops a message that has come so often.
fn came_again(world: &mut World, times: i32) {
    let record = StoredMessage {
        reconsume_times: times,
        topic: "T".into(),
        properties: properties::encode([("POP_CK", "7 1000000 60000 2 1 b 0 7")]).unwrap().into(),
        ..plain_record()
    };
    let mut body = Vec::new();
    encode_record(&record, RecordVersion::V1, &mut body).unwrap();
    let fields = PopMessageResponse {
        pop_millis: 1_000_000,
        invisible_millis: 60_000,
        revive_queue: 2,
        rest: 0,
        start_offsets: Some("1 0 7".into()),
        offsets: Some("1 0 7".into()),
        order_counts: None,
    };
    let asked = world.take(request::POP_MESSAGE);
    world.reply(asked, answer(0, |out| fields.write(out), body));
    world.run();
}

fn plain_record() -> StoredMessage {
    StoredMessage {
        queue_id: 0,
        flag: 0,
        queue_offset: QueueOffset::new(7),
        physical_offset: 777,
        sys_flag: SysFlags::default(),
        born_timestamp: 1,
        born_host: "10.0.0.9:1".parse().unwrap(),
        store_timestamp: 2,
        store_host: "10.0.0.9:1".parse().unwrap(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::from_static(b"7"),
        topic: "T".into(),
        properties: Bytes::new(),
    }
}

#[test]
fn what_failed_too_often_becomes_a_dead_letter_and_is_acknowledged_then() {
    let mut world = popping(|config| config.max_reconsume = Some(3));
    came_again(&mut world, 2);
    let taken = world.take_one().unwrap();
    assert_eq!(taken.queue().topic.as_str(), "%RETRY%g_T");
    world.settle(&taken, Outcome::Failed { level: 0 });
    let asked = world.changed(7_777);
    assert_eq!((asked.field("topic"), asked.field("invisibleTime")), ("%RETRY%g_T", "60000"));
    came_again(&mut world, 3);
    let taken = world.take_one().unwrap();
    world.settle(&taken, Outcome::Failed { level: 0 });
    world.advance(10);
    assert_eq!(world.acks(), 0, "not before it is buried");
    let asked = world.take(request::CONSUMER_SEND_MSG_BACK);
    assert_eq!((asked.field("delayLevel"), asked.field("offset"), asked.field("originTopic")), ("-1", "777", "T"));
    world.reply(asked, answer(0, |_| (), []));
    world.advance(10);
    let asked = world.take(request::ACK_MESSAGE);
    assert_eq!((asked.field("topic"), asked.field("extraInfo")), ("%RETRY%g_T", "7 1000000 60000 2 1 b 0 7"));
}

#[test]
fn enough_that_is_not_acknowledged_bars_more() {
    let mut world = popping(|config| {
        config.pop = Some(crate::config::PopConfig { threshold: 4, ..crate::config::PopConfig::default() });
    });
    world.popped(0..3);
    world.popped(3..6);
    assert_eq!(world.open(request::POP_MESSAGE, |_| true), 0);
    world.consume(Outcome::Done);
    world.advance(5);
    assert_eq!(world.open(request::POP_MESSAGE, |_| true), 0, "acknowledged by us alone");
    let asked = world.take(request::BATCH_ACK_MESSAGE);
    world.reply(asked, answer(0, |_| (), []));
    world.run();
    assert_eq!(world.open(request::POP_MESSAGE, |_| true), 1);
}

#[test]
fn what_nobody_wants_is_acknowledged_unseen() {
    let mut world = popping(|config| config.subscriptions = alloc::vec![("T".into(), "a".into())]);
    world.popped(0..2);
    assert_eq!(world.consume(Outcome::Done), 0);
    world.advance(5);
    let asked = world.take(request::BATCH_ACK_MESSAGE);
    assert_eq!(BatchAck::decode(&asked.frame.body).unwrap().acks[0].offsets().count(), 2);
}

#[test]
fn what_nobody_took_in_time_is_not_handed_out() {
    let mut world = popping(|_| ());
    world.popped(0..2);
    let taken = world.take_one().unwrap();
    // Renewals fail.
    world.advance(90_000);
    assert_eq!(world.take_one().map(|taken| taken.index), None);
    world.run();
    let expired = |event: &ClientEvent| matches!(event, ClientEvent::PopExpired { .. });
    world.settle(&taken, Outcome::Done);
    assert_eq!(world.count(expired), 2, "one that nobody had, and what was in a handler is acknowledged late");
    world.advance(5);
    assert_eq!(world.acks(), 1, "it may be in time all the same");
}

#[test]
fn a_stop_gives_back_what_nobody_took_and_waits_for_the_rest() {
    let mut world = popping(|_| ());
    world.popped(0..3);
    let taken = world.take_one().unwrap();
    let deadline = world.now.after(Duration::from_secs(10));
    let op = world.stop("g", deadline);
    world.run();
    assert_eq!(world.open(request::CHANGE_MESSAGE_INVISIBLETIME, |asked| asked.field("invisibleTime") == "1000"), 2);
    world.changed(7_777);
    world.changed(7_777);
    // A pop that was under way finds something.
    let asked = world.take(request::POP_MESSAGE);
    world.reply(asked, popped(3..4, 1_000_000));
    world.run();
    assert_eq!(world.changed(7_777).field("offset"), "3");
    assert!(!world.is_done(op));
    world.settle(&taken, Outcome::Done);
    let asked = world.take(request::ACK_MESSAGE);
    assert!(!world.is_done(op), "the broker has to have it");
    world.reply(asked, answer(0, |_| (), []));
    world.run();
    assert!(matches!(world.result(op), CommandResult::Stopped(Drained { unsettled: 0 })));
    assert_eq!(world.machine.fx.pinned, 0);
}

#[test]
fn a_broker_whose_clock_is_ahead_is_asked_for_the_time() {
    let mut world = popping(|_| ());
    let asked = world.take(request::POP_MESSAGE);
    world.reply(asked, nothing(0));
    world.run();
    let asked = world.take(request::POP_MESSAGE);
    assert_eq!(asked.field("pollTime"), "0");
    assert!(asked.field("bornTime").parse::<i64>().unwrap() > 300_000_000_000);
    world.reply(asked, nothing(77_000_000));
    world.run();
    let asked = world.take(request::POP_MESSAGE);
    assert_eq!(asked.field("pollTime"), "15000");
    assert_eq!(asked.field("bornTime").parse::<i64>().unwrap(), 77_000_000);
}

#[test]
fn what_a_held_pop_brings_is_hidden_for_long_enough_to_be_handled() {
    let hidden = Duration::from_secs(5);
    let mut world =
        popping(|config| config.pop = Some(crate::config::PopConfig { invisible: hidden, ..Default::default() }));
    // Of this broker's clock we know only what held pops tell.
    for _ in 0..3 {
        let asked = world.take(request::POP_MESSAGE);
        assert_eq!(asked.field("pollTime"), "2500");
        world.advance(2_500);
        let millis = 1_000_000 + i64::try_from(world.now.as_micros() / 1_000).unwrap();
        world.reply(asked, nothing(millis));
        world.run();
    }
    world.advance(2_400);
    let asked = world.take(request::POP_MESSAGE);
    let millis = 1_000_000 + i64::try_from(world.now.as_micros() / 1_000).unwrap();
    world.reply(asked, popped_for(hidden, 0..1, millis));
    world.run();
    world.advance(2_000);
    assert!(world.take_one().is_some(), "it is hidden for a while yet");
}

#[test]
fn pops_that_come_back_at_once_become_rarer() {
    let mut world = popping(|_| ());
    let mut asked = 0;
    let end = world.now.after(Duration::from_secs(10));
    while world.now < end {
        while world.open(request::POP_MESSAGE, |_| true) > 0 {
            let pop = world.take(request::POP_MESSAGE);
            world.reply(pop, nothing(1_000_000));
            world.run();
            asked += 1;
        }
        world.advance(10);
    }
    assert!((5..40).contains(&asked), "{asked}");
}

#[test]
fn a_record_that_cannot_be_read_becomes_a_dead_letter_and_keeps_its_place() {
    let mut world = popping(|_| ());
    let mut body = records(0..2);
    let second = body.len() / 2;
    body[second + 4] = 0;
    let asked = world.take(request::POP_MESSAGE);
    let mut frame = popped(0..2, 1_000_000);
    frame.body = Bytes::from(body);
    world.reply(asked, frame);
    world.run();
    let taken = world.take_one().unwrap();
    world.settle(&taken, Outcome::Done);
    assert!(world.take_one().is_none());
    world.run();
    let poison = |event: &ClientEvent| match event {
        ClientEvent::Poison { event: DispatchEvent::Poison { reason: PoisonCause::Record(_), offset, .. }, .. } => {
            offset.get() == 1
        }
        _ => false,
    };
    assert_eq!(world.count(poison), 1);
    let asked = world.take(request::CONSUMER_SEND_MSG_BACK);
    world.reply(asked, answer(0, |_| (), []));
    world.advance(10);
    let batch = world.take(request::BATCH_ACK_MESSAGE);
    assert_eq!(BatchAck::decode(&batch.frame.body).unwrap().acks[0].offsets().count(), 2);
}
