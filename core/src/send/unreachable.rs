//! Brokers that cannot be reached: waits between attempts, and reasons kept.
#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use super::*;
use crate::error::CloseReason;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;

fn queue() -> MessageQueue {
    MessageQueue { topic: "t".into(), broker: "b".into(), id: 0 }
}

fn view() -> RouteView {
    let publish = PublishQueue { queue: queue(), endpoint: "b:1".into(), conn: None };
    let topic = TopicView { publish: alloc::vec![publish], subscribe: Vec::new(), exists: true };
    RouteView { topics: BTreeMap::from([("t".into(), Arc::new(topic))]), ..RouteView::default() }
}

fn parcel() -> Parcel {
    Parcel {
        group: "g".into(),
        topic: "t".into(),
        body: Bytes::from_static(b"x"),
        properties: String::new(),
        sys_flag: 0,
        flag: 0,
        born: UnixMillis(0),
        unique_key: "k".into(),
        retry: None,
        template: ("TBW102".into(), 4),
    }
}

#[test]
fn a_broker_that_cannot_be_reached_is_tried_in_intervals_and_its_reason_is_kept() {
    let deadline = Instant::from_millis(2_000);
    let policy = SendPolicy { attempts: 1, attempt_timeout: Duration::MAX, retry_weak_store: false };
    let to_any = SendOp::new(parcel(), Codec::Json, policy, deadline);
    let to_queue = SendOp::to_queue(parcel(), Codec::Json, deadline, queue());
    for mut op in [to_any, to_queue] {
        let (view, turn) = (view(), AtomicU32::new(0));
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
