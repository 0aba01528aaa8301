//! Messages that are delivered at a time, and taken back before it.

use rocketmq_core::wire::codes::request::{RECALL_MESSAGE, SEND_MESSAGE_V2};
use rocketmq_core::wire::message::RecallHandle;

use super::{Cell, cell};
use crate::call::{Call, max_offset, message, pull};
use crate::lab::{Lab, now_millis};

pub(super) fn cells() -> Vec<Cell> {
    vec![
        cell(SEND_MESSAGE_V2, "timer in seconds", |lab| delivered(lab, &[("TIMER_DELAY_SEC", "2")])),
        cell(SEND_MESSAGE_V2, "timer in milliseconds", |lab| delivered(lab, &[("TIMER_DELAY_MS", "1500")])),
        cell(SEND_MESSAGE_V2, "time of delivery", |lab| {
            let at = (now_millis() + 2_000).to_string();
            delivered(lab, &[("TIMER_DELIVER_MS", &at)]);
        }),
        cell(SEND_MESSAGE_V2, "time of delivery that has passed", |lab| {
            let at = (now_millis() - 2_000).to_string();
            delivered(lab, &[("TIMER_DELIVER_MS", &at)]);
        }),
        cell(SEND_MESSAGE_V2, "several timers", |lab| {
            delivered(lab, &[("TIMER_DELIVER_MS", "1"), ("TIMER_DELAY_MS", "100000000"), ("TIMER_DELAY_SEC", "1")]);
        }),
        cell(SEND_MESSAGE_V2, "level and timer", |lab| {
            delivered(lab, &[("DELAY", "1"), ("TIMER_DELAY_SEC", "100")]);
        }),
        cell(SEND_MESSAGE_V2, "timer too far ahead", |lab| delivered(lab, &[("TIMER_DELAY_SEC", "259300")])),
        cell(SEND_MESSAGE_V2, "timer that is no number", |lab| delivered(lab, &[("TIMER_DELAY_SEC", "soon")])),
        cell(RECALL_MESSAGE, "before it is due", |lab| {
            let topic = lab.topic(1);
            let answer = send(lab, &topic, &[("TIMER_DELAY_SEC", "4")]);
            let handle = answer.unwrap_or_else(|| made(&topic, 4_000));
            lab.ask(recall(&topic, &handle));
            lab.rest(7_000);
            lab.ask(max_offset(&topic, 0));
        }),
        cell(RECALL_MESSAGE, "a message that was never sent", |lab| {
            let topic = lab.topic(1);
            lab.ask(recall(&topic, &made(&topic, 60_000)));
        }),
        cell(RECALL_MESSAGE, "when it is due", |lab| {
            let topic = lab.topic(1);
            lab.ask(recall(&topic, &made(&topic, -1_000)));
        }),
        cell(RECALL_MESSAGE, "too far ahead", |lab| {
            let topic = lab.topic(1);
            lab.ask(recall(&topic, &made(&topic, 259_300_000)));
        }),
        cell(RECALL_MESSAGE, "handle of another topic", |lab| {
            let topic = lab.topic(1);
            lab.ask(recall(&topic, &made("other", 60_000)));
        }),
        cell(RECALL_MESSAGE, "unknown topic", |lab| {
            let topic = lab.name("");
            lab.ask(recall(&topic, &made(&topic, 60_000)));
        }),
        cell(RECALL_MESSAGE, "garbage for a handle", |lab| {
            let topic = lab.topic(1);
            lab.ask(recall(&topic, "no handle"));
        }),
    ]
}

/// Sends, and waits for the delivery if it is accepted.
fn delivered(lab: &mut Lab, properties: &[(&str, &str)]) {
    let topic = lab.topic(1);
    let answer = lab.ask_without_any(message(&topic, 0, properties), &["queueOffset", "recallHandle"]);
    let handle = answer.header.ext.get("recallHandle").map_or("no", |_| "a handle");
    lab.note("handle", handle);
    if answer.header.code == 0 {
        lab.settle(&topic, 0, 1);
        let group = lab.group();
        lab.ask(pull(&group, &topic, 0));
    }
}

/// Sends; the handle, which both sides have another of.
fn send(lab: &mut Lab, topic: &str, properties: &[(&str, &str)]) -> Option<String> {
    let answer = lab.ask_without_any(message(topic, 0, properties), &["queueOffset", "recallHandle"]);
    answer.header.ext.get("recallHandle").map(str::to_owned)
}

/// A handle that says that a message is due in so many milliseconds.
fn made(topic: &str, millis: i64) -> String {
    let (due, unique_key) = (now_millis() + millis, "K1".to_owned());
    RecallHandle { topic: topic.into(), broker: "broker-a".into(), due, unique_key }.encode()
}

fn recall(topic: &str, handle: &str) -> Call {
    Call::new(RECALL_MESSAGE)
        .with("producerGroup", "PG_parity")
        .with("topic", topic)
        .with("recallHandle", handle)
        .with("bname", "broker-a")
}
