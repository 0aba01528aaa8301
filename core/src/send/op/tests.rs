#![allow(
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm,
    reason = "a panic in a test is a failed test, and what it does not name does not matter to it"
)]

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::config::{ClientConfig, ProducerConfig};
use crate::error::{CloseReason, IoFailure, IoKind};
use crate::ids::Opaque;
use crate::message::Message;
use crate::time::UnixMillis;
use crate::wire::frame;
use crate::wire::header::{HeaderLimits, Preamble};
use crate::wire::message::UniqueKeys;

fn parcel() -> Parcel {
    let (client, producer) = (ClientConfig::new(Vec::new(), "c".into()), ProducerConfig::new("p".into()));
    let keys = UniqueKeys::new([10, 0, 0, 1].into(), 1, 2);
    Parcel::new(&client, &producer, &Message::new("T", "hello").with_tag("x"), &keys, UnixMillis(5)).unwrap()
}

fn policy() -> SendPolicy {
    SendPolicy::of(&ProducerConfig::new("p".into()))
}

fn op() -> SendOp {
    SendOp::new(parcel(), Codec::Json, policy(), Instant::from_millis(3_000))
}

fn view(brokers: usize, queues: i32) -> RouteView {
    let queue = |broker: usize, id| PublishQueue {
        queue: MessageQueue { topic: "T".into(), broker: BrokerName::from(alloc::format!("b{broker}")), id },
        endpoint: Endpoint::from(alloc::format!("b{broker}:1")),
        conn: None,
    };
    let publish = (0..brokers).flat_map(|broker| (0..queues).map(move |id| queue(broker, id))).collect();
    let topic = TopicView { publish, subscribe: Vec::new(), exists: true };
    RouteView { topics: BTreeMap::from([("T".into(), Arc::new(topic))]), ..RouteView::default() }
}

fn answered(code: i32) -> Frame {
    let preamble = Preamble { remark: Some("so"), ..Preamble::response(code, Codec::Json) };
    let encoded = preamble.encode(
        |out| {
            out.text("msgId", "OFFSET-ID");
            out.int("queueId", 3);
            out.int("queueOffset", 42);
        },
        Bytes::new(),
    );
    frame::decode(&encoded.to_bytes(Opaque(0)), &HeaderLimits::default()).unwrap()
}

fn lost(sent: Sent) -> RequestError {
    RequestError { why: RequestFailure::Closed(CloseReason::PeerClosed), sent }
}

fn attempt(op: &mut SendOp, now: Instant, view: &RouteView, turn: &AtomicU32) -> Attempt {
    match op.poll(now, view, turn) {
        SendStep::Send(attempt) => attempt,
        other => panic!("{other:?}"),
    }
}

fn done(op: &mut SendOp, now: Instant, view: &RouteView) -> Result<Receipt, SendError> {
    match op.poll(now, view, &AtomicU32::new(0)) {
        SendStep::Done(result) => result,
        other => panic!("{other:?}"),
    }
}

/// The end of a send with one broker that answers this every time.
fn always(code: i32) -> (u32, Result<Receipt, SendError>) {
    let (mut op, view, turn) = (op(), view(3, 2), AtomicU32::new(0));
    let mut attempts = 0;
    loop {
        match op.poll(Instant::ZERO, &view, &turn) {
            SendStep::Send(_) => {
                attempts += 1;
                op.on_reply(Instant::ZERO, Ok(answered(code)));
            }
            SendStep::Done(result) => return (attempts, result),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_stored_message_has_its_receipt() {
    let (attempts, receipt) = always(0);
    let receipt = receipt.unwrap();
    assert_eq!((attempts, receipt.status()), (1, StoreStatus::Stored));
    assert_eq!((receipt.offset_msg_id.as_str(), receipt.queue.id, receipt.queue_offset.get()), ("OFFSET-ID", 3, 42));
    assert_eq!(receipt.msg_id.len(), 32);
}

#[test]
fn weak_stores_are_told_apart_and_not_repeated() {
    for (code, status) in [
        (response::FLUSH_DISK_TIMEOUT, StoreStatus::FlushDiskTimeout),
        (response::FLUSH_SLAVE_TIMEOUT, StoreStatus::FlushSlaveTimeout),
        (response::SLAVE_NOT_AVAILABLE, StoreStatus::SlaveNotAvailable),
    ] {
        let (attempts, receipt) = always(code);
        assert_eq!((attempts, receipt.unwrap().status()), (1, status));
    }
}

#[test]
fn a_weak_store_is_repeated_when_asked_for_and_is_better_than_nothing() {
    let (view, turn) = (view(3, 1), AtomicU32::new(0));
    let weak = SendPolicy { retry_weak_store: true, ..policy() };
    for (second, status) in [(0, StoreStatus::Stored), (1, StoreStatus::FlushDiskTimeout)] {
        let mut op = SendOp::new(parcel(), Codec::Json, weak.clone(), Instant::from_millis(3_000));
        let first = attempt(&mut op, Instant::ZERO, &view, &turn);
        op.on_reply(Instant::ZERO, Ok(answered(response::FLUSH_DISK_TIMEOUT)));
        let mut tried = alloc::vec![first.endpoint];
        let receipt = loop {
            match op.poll(Instant::ZERO, &view, &turn) {
                SendStep::Send(attempt) => {
                    assert!(!tried.contains(&attempt.endpoint), "elsewhere");
                    tried.push(attempt.endpoint);
                    op.on_reply(Instant::ZERO, Ok(answered(second)));
                }
                SendStep::Done(result) => break result.unwrap(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(receipt.status(), status);
    }
}

#[test]
fn codes_are_repeated_as_java_repeats_them() {
    for code in [1, 2, 14, 16, 17, 204, 205, 1_500] {
        let (attempts, result) = always(code);
        let error = result.unwrap_err();
        assert_eq!(attempts, 3, "{code}");
        assert!(matches!(error, SendError::Broker { code: told, .. } if told == code));
        assert!(error.is_retryable() && !error.may_be_stored());
    }
    for code in [13, 15, 215, 9_999] {
        let (attempts, result) = always(code);
        assert_eq!(attempts, 1, "{code}");
        assert!(!result.unwrap_err().is_retryable());
    }
}

#[test]
fn whom_one_broker_does_not_let_in_does_not_ask_another() {
    let (view, mut op, turn) = (view(3, 1), op(), AtomicU32::new(0));
    attempt(&mut op, Instant::ZERO, &view, &turn);
    let mut refusal = answered(16);
    refusal.header.remark = Some("check signature failed.".into());
    op.on_reply(Instant::ZERO, Ok(refusal));
    let SendStep::Done(Err(error)) = op.poll(Instant::ZERO, &view, &turn) else { panic!("not over") };
    assert_eq!(error.denied(), Some(crate::error::AccessDenied::Signature));
    assert!(!error.may_be_stored() && !error.is_retryable());
}

#[test]
fn only_an_attempt_never_sent_is_certain_not_to_be_stored() {
    let view = view(3, 1);
    for (sent, code, may) in [
        (Sent::Never, Some(13), false),
        (Sent::Maybe, Some(13), true),
        (Sent::Maybe, None, true),
        (Sent::Never, None, false),
    ] {
        let (mut op, turn) = (op(), AtomicU32::new(0));
        attempt(&mut op, Instant::ZERO, &view, &turn);
        op.on_reply(Instant::ZERO, Err(lost(sent)));
        if let Some(code) = code {
            attempt(&mut op, Instant::ZERO, &view, &turn);
            op.on_reply(Instant::ZERO, Ok(answered(code)));
        }
        let error = done(&mut op, Instant::from_millis(3_000), &view).unwrap_err();
        assert_eq!(error.may_be_stored(), may, "{sent:?} {code:?} {error}");
    }
}

#[test]
fn what_may_be_stored_stays_so_when_the_topic_or_the_client_ends() {
    let (view, turn) = (view(3, 1), AtomicU32::new(0));
    for sent in [Sent::Never, Sent::Maybe] {
        let mut both = [op(), op()];
        for op in &mut both {
            attempt(op, Instant::ZERO, &view, &turn);
            op.on_reply(Instant::ZERO, Err(lost(sent)));
        }
        let [mut gone, mut closed] = both;
        gone.on_route(Instant::ZERO, Err(RouteError::NoTopic));
        let gone = done(&mut gone, Instant::ZERO, &view).unwrap_err();
        let closed = closed.close(Instant::ZERO).unwrap_err();
        assert_eq!((gone.may_be_stored(), closed.may_be_stored()), (sent == Sent::Maybe, sent == Sent::Maybe));
        if sent == Sent::Never {
            assert_eq!((gone, closed), (SendError::NoRoute("T".into()), SendError::Closed));
        }
    }
    let weak = SendPolicy { retry_weak_store: true, ..policy() };
    let mut op = SendOp::new(parcel(), Codec::Json, weak.clone(), Instant::from_millis(3_000));
    attempt(&mut op, Instant::ZERO, &view, &turn);
    op.on_reply(Instant::ZERO, Ok(answered(response::FLUSH_DISK_TIMEOUT)));
    assert_eq!(op.close(Instant::ZERO).unwrap().status(), StoreStatus::FlushDiskTimeout);
}

#[test]
fn an_attempt_has_its_share_of_the_time_and_the_last_one_the_rest() {
    let (mut op, view, turn) = (op(), view(3, 1), AtomicU32::new(0));
    let deadlines = [0, 100, 200].map(|at| {
        let now = Instant::from_millis(at);
        let deadline = attempt(&mut op, now, &view, &turn).deadline;
        op.on_reply(now, Err(lost(Sent::Maybe)));
        deadline
    });
    assert_eq!(deadlines, [1_000, 1_100, 3_000].map(Instant::from_millis));
    assert!(done(&mut op, Instant::from_millis(200), &view).is_err(), "three in all");
}

#[test]
fn a_broker_that_cannot_be_reached_is_tried_in_intervals_and_its_reason_is_kept() {
    let deadline = Instant::from_millis(2_000);
    let policy = SendPolicy::once();
    let to_any = SendOp::new(parcel(), Codec::Json, policy, deadline);
    let to_queue = SendOp::to_queue(
        parcel(),
        Codec::Json,
        deadline,
        MessageQueue { topic: "T".into(), broker: "b0".into(), id: 0 },
    );
    for mut op in [to_any, to_queue] {
        let (view, turn) = (view(1, 1), AtomicU32::new(0));
        let reason = RequestFailure::Closed(CloseReason::Unmatched);
        let (mut now, mut attempts) = (Instant::ZERO, 0);
        let result = loop {
            match op.poll(now, &view, &turn) {
                SendStep::Done(result) => break result,
                SendStep::Route { .. } => op.on_route(now, Ok(())),
                SendStep::Pause(until) => now = until,
                SendStep::Send(_) => {
                    attempts += 1;
                    assert!(attempts < 50, "it spins");
                    // The last attempt lasts until there is no more time.
                    let last = now >= Instant::from_millis(1_900);
                    now = if last { deadline } else { now };
                    let why = if last { RequestFailure::Timeout } else { reason.clone() };
                    op.on_reply(now, Err(RequestError::never(why)));
                }
            }
        };
        assert_eq!(result, Err(SendError::Request(RequestError::never(reason))));
        assert!(attempts > 10, "{attempts}");
    }
}

#[test]
fn a_send_to_one_queue_is_one_attempt() {
    let view = view(3, 2);
    let queue = MessageQueue { topic: "T".into(), broker: "b1".into(), id: 1 };
    // Only what was never sent is tried again.
    for result in [Err(lost(Sent::Maybe)), Ok(answered(response::SYSTEM_BUSY))] {
        let mut op = SendOp::to_queue(parcel(), Codec::Json, Instant::from_millis(3_000), queue.clone());
        let made = attempt(&mut op, Instant::ZERO, &view, &AtomicU32::new(0));
        assert_eq!((made.endpoint.as_str(), made.deadline), ("b1:1", Instant::from_millis(3_000)));
        op.on_reply(Instant::ZERO, result);
        assert!(done(&mut op, Instant::ZERO, &view).is_err());
    }
}

#[test]
fn without_a_queue_that_takes_messages_the_route_is_not_asked_for_in_a_loop() {
    let (mut op, view) = (op(), view(1, 0));
    let (mut asked, mut now) = (0, Instant::ZERO);
    let result = loop {
        match op.poll(now, &view, &AtomicU32::new(0)) {
            SendStep::Route { fresh, .. } => {
                assert!(fresh, "the known one does not serve");
                asked += 1;
                op.on_route(now, Ok(()));
            }
            SendStep::Pause(until) => now = until,
            SendStep::Done(result) => break result,
            SendStep::Send(attempt) => panic!("{attempt:?}"),
        }
        assert!(asked < 100, "a loop");
    };
    assert_eq!(result, Err(SendError::NotWritable("T".into())));
    assert_eq!(now, Instant::from_millis(3_000));
}

#[test]
fn queues_are_taken_in_turn() {
    let (view, turn) = (view(2, 2), AtomicU32::new(3));
    let taken = [(); 5].map(|()| {
        let mut op = op();
        attempt(&mut op, Instant::ZERO, &view, &turn);
        let queue = op.current.clone().unwrap();
        (queue.broker.to_string(), queue.id)
    });
    let taken = taken.each_ref().map(|(broker, id)| (broker.as_str(), *id));
    assert_eq!(taken, [("b1", 1), ("b0", 0), ("b0", 1), ("b1", 0), ("b1", 1)]);
}

/// What a broker does with a send.
#[derive(Clone, Copy, Debug)]
enum Broker {
    Healthy,
    Refuses,
    Resets,
    Silent,
    Answers(i32),
}

fn broker() -> impl Strategy<Value = Broker> {
    prop_oneof![
        Just(Broker::Healthy),
        Just(Broker::Refuses),
        Just(Broker::Resets),
        Just(Broker::Silent),
        prop::sample::select(alloc::vec![1, 2, 14, 16, 17, 204, 205, 1_500, 13, 215]).prop_map(Broker::Answers),
    ]
}

#[test]
fn the_codes_to_repeat_are_the_ones_chosen() {
    for (code, repeated) in [(1, false), (777, true)] {
        let config = ProducerConfig { retry_codes: [777].into(), ..ProducerConfig::new("p".into()) };
        let mut op = SendOp::new(parcel(), Codec::Json, SendPolicy::of(&config), Instant::from_millis(3_000));
        let (view, turn) = (view(3, 1), AtomicU32::new(0));
        attempt(&mut op, Instant::ZERO, &view, &turn);
        op.on_reply(Instant::ZERO, Ok(answered(code)));
        let again = matches!(op.poll(Instant::ZERO, &view, &turn), SendStep::Send(_));
        assert_eq!(again, repeated, "{code}");
    }
}

#[test]
fn a_key_keeps_its_queue_and_a_choice_outside_the_queues_is_an_error() {
    let (view, turn) = (view(2, 3), AtomicU32::new(5));
    let to = |target| op().to(target);
    let mut first = to(Target::of_key("polygenelubricants"));
    // The remainder of the smallest integer by 6 is -2.
    let made = attempt(&mut first, Instant::ZERO, &view, &turn);
    assert_eq!((made.broker.as_str(), first.current.clone().unwrap().id), ("b0", 2));
    // What was never sent goes to the same queue, whatever its broker.
    first.on_reply(Instant::ZERO, Err(lost(Sent::Never)));
    let step = first.poll(Instant::ZERO, &view, &turn);
    assert!(matches!(step, SendStep::Route { fresh: true, .. }), "{step:?}");
    assert!(matches!(first.poll(Instant::ZERO, &view, &turn), SendStep::Pause(_)));
    let made = attempt(&mut first, Instant::from_millis(100), &view, &turn);
    assert_eq!((made.broker.as_str(), first.current.clone().unwrap().id), ("b0", 2));
    assert_eq!(turn.load(Ordering::Relaxed), 5, "others take their turn without it");
    let mut none = to(Target::selected(|queues| queues.len()));
    assert_eq!(done(&mut none, Instant::ZERO, &view), Err(SendError::NoQueue("T".into())));
}

/// A frame as it goes over the wire.
fn written(attempt: Attempt) -> Frame {
    frame::decode(&attempt.frame.to_bytes(Opaque(1)), &HeaderLimits::default()).unwrap()
}

#[test]
fn a_batch_has_a_code_of_its_own_and_no_key_for_brokers_that_may_be_old() {
    let (client, producer) = (ClientConfig::new(Vec::new(), "c".into()), ProducerConfig::new("p".into()));
    let keys = UniqueKeys::new([10, 0, 0, 1].into(), 1, 2);
    let messages = [Message::new("T", "a"), Message::new("T", "b")];
    let parcel = Parcel::batch(&client, &producer, &messages, &keys, UnixMillis(5)).unwrap();
    for (version, keyed) in [(None, false), (Some(407), false), (Some(413), true), (Some(493), true)] {
        let mut view = view(1, 1);
        view.versions.extend(version.map(|version| (Endpoint::from("b0:1"), version)));
        let mut op = SendOp::new(parcel.clone(), Codec::Json, policy(), Instant::from_millis(3_000));
        let mut now = Instant::ZERO;
        let made = loop {
            match op.poll(now, &view, &AtomicU32::new(0)) {
                SendStep::Send(attempt) => break attempt,
                SendStep::Pause(until) => now = until,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(now, if version.is_none() { Instant::from_millis(500) } else { Instant::ZERO }, "it may be told");
        let frame = written(made);
        assert_eq!((frame.header.code, frame.header.ext.get("m")), (320, Some("true")));
        let raw = frame.header.ext.get("i").unwrap_or_default();
        let key = crate::wire::message::properties::get(raw.as_bytes(), "UNIQ_KEY").map(ToString::to_string);
        assert_eq!(key, keyed.then(|| parcel.unique_key.clone()));
        op.on_reply(now, Ok(answered(0)));
        let whole = done(&mut op, now, &view).unwrap();
        assert_eq!((whole.msg_id, op.take_ids().len()), (parcel.unique_key.clone(), 2));
    }
}

#[test]
fn a_send_without_answer_asks_for_none() {
    let view = view(1, 1);
    for oneway in [false, true] {
        let mut op = if oneway { op().oneway() } else { op() };
        let frame = written(attempt(&mut op, Instant::ZERO, &view, &AtomicU32::new(0)));
        assert_eq!(frame.header.is_oneway(), oneway);
    }
}

#[test]
fn the_answer_to_a_message_with_a_timer_has_a_handle() {
    let view = view(1, 1);
    let mut op = op();
    attempt(&mut op, Instant::ZERO, &view, &AtomicU32::new(0));
    let encoded = Preamble::response(0, Codec::Json).encode(
        |out| {
            out.text("msgId", "OFFSET-ID");
            out.int("queueId", 3);
            out.int("queueOffset", 42);
            out.text("recallHandle", "HANDLE");
            out.text("MSG_REGION", "R");
            out.text("batchUniqId", "B");
        },
        Bytes::new(),
    );
    let frame = frame::decode(&encoded.to_bytes(Opaque(0)), &HeaderLimits::default()).unwrap();
    op.on_reply(Instant::ZERO, Ok(frame));
    let receipt = done(&mut op, Instant::ZERO, &view).unwrap();
    let told = (receipt.recall_handle.as_deref(), receipt.region.as_deref(), receipt.batch_key.as_deref());
    assert_eq!(told, (Some("HANDLE"), Some("R"), Some("B")));
}

#[test]
fn a_slow_broker_is_left_alone_by_later_sends() {
    let (view, turn) = (view(2, 1), AtomicU32::new(0));
    let mut table = FaultTable::new(crate::config::LatencyFaults::java(false).steps, false);
    let slow = Duration::from_millis(600);
    table.learn(Instant::ZERO, &"b0".into(), slow, &Ok(answered(0)));
    let taken = |at: u64, table: &FaultTable| {
        let mut op = op();
        turn.store(0, Ordering::Relaxed);
        match op.poll_with(Instant::from_millis(at), &view, &turn, Some(table)) {
            SendStep::Send(attempt) => attempt.broker.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((taken(1_999, &table).as_str(), taken(2_000, &table).as_str()), ("b1", "b0"));
}

proptest! {
    #[test]
    fn one_healthy_broker_is_enough(
        brokers in prop::collection::vec(broker(), 1..6),
        retries in 0..6_u32,
        turn: u32,
        queues in 1..3_i32,
        faults: bool,
        banned in prop::collection::vec(any::<bool>(), 6),
    ) {
        let config = ProducerConfig { retries, ..ProducerConfig::new("p".into()) };
        let deadline = Instant::from_millis(3_000);
        let mut op = SendOp::new(parcel(), Codec::Json, SendPolicy::of(&config), deadline);
        let (view, turn) = (view(brokers.len(), queues), AtomicU32::new(turn));
        let mut now = Instant::ZERO;
        let mut table = FaultTable::new(crate::config::LatencyFaults::java(true).steps, true);
        for (broker, _) in banned.iter().enumerate().filter(|(_, banned)| **banned) {
            let failed = Err(lost(Sent::Maybe));
            table.learn(now, &BrokerName::from(alloc::format!("b{broker}")), Duration::ZERO, &failed);
        }
        let (mut counted, mut tried, mut maybe, mut steps) = (0, Vec::new(), false, 0);
        let result = loop {
            steps += 1;
            prop_assert!(steps < 500, "a loop");
            match op.poll_with(now, &view, &turn, faults.then_some(&table)) {
                SendStep::Send(attempt) => {
                    let began = now;
                    prop_assert!(now < deadline && attempt.deadline <= deadline, "after the deadline");
                    let index: usize = attempt.endpoint.as_str()[1..2].parse().unwrap();
                    prop_assert!(!tried.contains(&index), "a broker that failed, while another was left");
                    tried.push(index);
                    let result = match brokers[index] {
                        Broker::Healthy => Ok(answered(0)),
                        Broker::Answers(code) => Ok(answered(code)),
                        Broker::Refuses => Err(RequestError::never(RequestFailure::Connect(IoFailure::new(IoKind::Refused, "no")))),
                        Broker::Resets => Err(lost(Sent::Maybe)),
                        Broker::Silent => {
                            now = attempt.deadline;
                            Err(RequestError { why: RequestFailure::Timeout, sent: Sent::Maybe })
                        }
                    };
                    counted += u32::from(!matches!(&result, Err(error) if error.sent == Sent::Never));
                    maybe |= matches!(&result, Err(error) if error.sent == Sent::Maybe);
                    table.learn(now, &attempt.broker, now.since(began), &result);
                    op.on_reply(now, result);
                }
                SendStep::Pause(until) => now = until,
                SendStep::Route { .. } => {
                    tried.clear();
                    op.on_route(now, Ok(()));
                }
                SendStep::Done(result) => break result,
            }
        };
        prop_assert!(counted <= retries + 1 && now <= deadline);
        let costly = |broker: &&Broker| matches!(broker, Broker::Resets | Broker::Silent | Broker::Answers(_));
        let fatal = |broker: &Broker| matches!(broker, Broker::Answers(13 | 215));
        let enough = brokers.iter().filter(costly).count() <= retries as usize;
        let healthy = brokers.iter().any(|broker| matches!(broker, Broker::Healthy));
        if healthy && enough && !brokers.iter().any(fatal) {
            prop_assert!(result.is_ok(), "{result:?}");
        }
        if let Err(error) = result {
            prop_assert_eq!(error.may_be_stored(), maybe, "{}", error);
        }
    }
}

#[test]
fn a_single_broker_gets_all_the_time_there_is() {
    let (mut alone, mut among) = (op(), op());
    let made = |op: &mut SendOp, brokers| attempt(op, Instant::ZERO, &view(brokers, 4), &AtomicU32::new(0)).deadline;
    assert_eq!(made(&mut alone, 1), alone.deadline(), "nobody else could do better");
    assert!(made(&mut among, 2) < among.deadline());
}
