//! Replies to request messages, and how they are handed to who waits for them.

use rocketmq_core::wire::codes::request::{PUSH_REPLY_MESSAGE_TO_CLIENT, SEND_REPLY_MESSAGE, SEND_REPLY_MESSAGE_V2};

use super::sends::long;
use super::{Cell, cell};
use crate::call::{Call, message, pull};
use crate::lab::{Lab, heartbeat};

pub(super) fn cells() -> Vec<Cell> {
    vec![
        cell(REPLY, "taken", |lab| {
            let (topic, call) = waiting(lab);
            let asked = lab.tell_as(0, call);
            lab.serve(1, PUSHED, 0, "");
            lab.answer(asked);
            stored(lab, &topic);
        }),
        cell(PUSHED, "what is handed over", |lab| {
            let (topic, call) = waiting(lab);
            let call = call.with("h", 7).with("j", 2).body("x".repeat(5_000));
            let asked = lab.tell_as(0, call);
            lab.serve(1, PUSHED, 0, "");
            lab.answer(asked);
            stored(lab, &topic);
        }),
        cell(REPLY, "refused by who waits", |lab| {
            let (topic, call) = waiting(lab);
            let asked = lab.tell_as(0, call);
            lab.serve(1, PUSHED, 1, "");
            lab.answer(asked);
            stored(lab, &topic);
        }),
        cell(REPLY, "who waits hangs up", |lab| {
            let (_, call) = waiting(lab);
            let asked = lab.tell_as(0, call);
            lab.pushes(1, 1);
            lab.hang_up(1);
            lab.answer(asked);
        }),
        cell(REPLY, "nobody waits", |lab| {
            let (topic, call) = waiting(lab);
            lab.ask(call.with("i", properties("nobody")));
            stored(lab, &topic);
        }),
        cell(REPLY, "only a consumer waits", |lab| {
            let topic = lab.topic(1);
            lab.join(1, &[("T", "*")]);
            lab.forget_pushes(1);
            let to = lab.client_id(1);
            lab.ask(reply(&topic, &to));
        }),
        cell(REPLY, "it does not say who waits", |lab| {
            let topic = lab.topic(1);
            lab.ask(message(&topic, 0, &[("MSG_TYPE", "reply")]).code(REPLY));
        }),
        cell(REPLY, "any queue", |lab| {
            let (_, call) = waiting(lab);
            let asked = lab.tell_as(0, call.with("e", -1));
            lab.serve(1, PUSHED, 0, "");
            lab.answer(asked);
        }),
        cell(REPLY, "queue after the last", |lab| {
            let (_, call) = waiting(lab);
            lab.ask(call.with("e", 9));
        }),
        cell(REPLY, "unknown topic", |lab| {
            let (_, call) = waiting(lab);
            let nowhere = lab.name("nowhere");
            lab.ask(call.with("b", &nowhere).with("c", "nowhere either"));
        }),
        cell(REPLY, "read-only topic", |lab| {
            let (topic, call) = waiting(lab);
            lab.must(crate::call::create(&topic, 1).with("perm", 4));
            let asked = lab.tell_as(0, call);
            lab.serve(1, PUSHED, 0, "");
            lab.answer(asked);
        }),
        cell(LONG_REPLY, "long names of fields", |lab| {
            let (topic, _) = waiting(lab);
            let call = long(&topic).with("properties", properties(&lab.client_id(1)));
            let asked = lab.tell_as(0, call.code(LONG_REPLY));
            lab.serve(1, PUSHED, 0, "");
            lab.answer(asked);
            stored(lab, &topic);
        }),
    ]
}

/// A client that waits for a reply, and that reply.
fn waiting(lab: &mut Lab) -> (String, Call) {
    let topic = lab.topic(1);
    let beat = lab.producer_beat(1);
    lab.must_as(1, heartbeat(&beat));
    let to = lab.client_id(1);
    let call = reply(&topic, &to);
    (topic, call)
}

fn reply(topic: &str, to: &str) -> Call {
    message(topic, 0, &[]).with("i", properties(to)).code(REPLY)
}

fn properties(to: &str) -> String {
    let pairs =
        [("UNIQ_KEY", "K1"), ("MSG_TYPE", "reply"), ("CORRELATION_ID", "C1"), ("REPLY_TO_CLIENT", to), ("TTL", "3000")];
    rocketmq_core::wire::message::properties::encode(pairs).expect("legal properties")
}

/// It is stored, whatever became of it.
fn stored(lab: &mut Lab, topic: &str) {
    lab.settle(topic, 0, 1);
    let group = lab.group();
    lab.ask(pull(&group, topic, 0));
}

const LONG_REPLY: i32 = SEND_REPLY_MESSAGE;
const REPLY: i32 = SEND_REPLY_MESSAGE_V2;
const PUSHED: i32 = PUSH_REPLY_MESSAGE_TO_CLIENT;
