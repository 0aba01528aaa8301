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
        let mut op = SendOp::new(parcel(), Codec::Json, weak, Instant::from_millis(3_000));
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
    let mut op = SendOp::new(parcel(), Codec::Json, weak, Instant::from_millis(3_000));
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
    let policy = SendPolicy { attempts: 1, attempt_timeout: Duration::MAX, retry_weak_store: false };
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

proptest! {
    #[test]
    fn one_healthy_broker_is_enough(
        brokers in prop::collection::vec(broker(), 1..6),
        retries in 0..6_u32,
        turn: u32,
        queues in 1..3_i32,
    ) {
        let config = ProducerConfig { retries, ..ProducerConfig::new("p".into()) };
        let deadline = Instant::from_millis(3_000);
        let mut op = SendOp::new(parcel(), Codec::Json, SendPolicy::of(&config), deadline);
        let (view, turn) = (view(brokers.len(), queues), AtomicU32::new(turn));
        let mut now = Instant::ZERO;
        let (mut counted, mut tried, mut maybe, mut steps) = (0, Vec::new(), false, 0);
        let result = loop {
            steps += 1;
            prop_assert!(steps < 500, "a loop");
            match op.poll(now, &view, &turn) {
                SendStep::Send(attempt) => {
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
