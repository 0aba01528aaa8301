//! Messages handed back, until they are dead.

use super::{Cell, cell};
use crate::call::{Call, hand_back, message, pull};
use crate::lab::Lab;

pub(super) fn cells() -> Vec<Cell> {
    vec![
        cell(BACK, "level 1", |lab| redelivered(lab, |call| call.with("delayLevel", 1))),
        cell(BACK, "level 0: the broker chooses", |lab| redelivered(lab, |call| call.with("delayLevel", 0))),
        cell(BACK, "last level", |lab| redelivered(lab, |call| call.with("delayLevel", 18))),
        cell(BACK, "level above the last", |lab| redelivered(lab, |call| call.with("delayLevel", 25))),
        cell(BACK, "without the optional fields", |lab| {
            redelivered(lab, |call| call.without("originTopic").without("originMsgId").without("maxReconsumeTimes"));
        }),
        cell(BACK, "another topic than the message's", |lab| {
            redelivered(lab, |call| call.with("originTopic", "elsewhere"));
        }),
        cell(BACK, "binary header", |lab| redelivered(lab, Call::binary)),
        cell(BACK, "limit that old clients may not set", |lab| {
            redelivered(lab, |call| call.with("maxReconsumeTimes", 0).version(120));
        }),
        cell(BACK, "twice", |lab| {
            let (group, first) = stored(lab);
            let retry = format!("%RETRY%{group}");
            lab.ask(hand_back(&group, &lab.name(""), first, 1));
            lab.settle(&retry, 0, 1);
            let second = lab.must(pull(&group, &retry, 0));
            let second = crate::lab::positions(&second.body)[0];
            lab.ask(hand_back(&group, &lab.name(""), second, 0));
            lab.settle(&retry, 0, 2);
            lab.ask(pull(&group, &retry, 1));
        }),
        cell(BACK, "by a member of the group", |lab| {
            let topic = lab.name("");
            lab.join(0, &[(&topic, "*")]);
            redelivered(lab, |call| call);
        }),
        cell(BACK, "level below 0", |lab| buried(lab, |call| call.with("delayLevel", -1))),
        cell(BACK, "failed as often as it may", |lab| buried(lab, |call| call.with("maxReconsumeTimes", 0))),
        cell(BACK, "dead, without the topic of the message", |lab| {
            let (group, at) = stored(lab);
            lab.ask(hand_back(&group, &lab.name(""), at, -1).without("originTopic"));
        }),
        cell(BACK, "twice, which is once too often", |lab| {
            let (group, first) = stored(lab);
            let retry = format!("%RETRY%{group}");
            lab.ask(hand_back(&group, &lab.name(""), first, 1).with("maxReconsumeTimes", 1));
            lab.settle(&retry, 0, 1);
            let second = lab.must(pull(&group, &retry, 0));
            let second = crate::lab::positions(&second.body)[0];
            lab.ask(hand_back(&group, &lab.name(""), second, 1).with("maxReconsumeTimes", 1));
            let dead = format!("%DLQ%{group}");
            lab.settle(&dead, 0, 1);
            lab.ask(pull(&group, &dead, 0));
        }),
        cell(BACK, "position that nothing has", |lab| {
            let (group, _) = stored(lab);
            lab.ask(hand_back(&group, &lab.name(""), 1 << 50, 1));
        }),
        cell(BACK, "position inside a message", |lab| {
            let (group, at) = stored(lab);
            lab.ask(hand_back(&group, &lab.name(""), at + 3, 1));
        }),
        cell(BACK, "group with too long a name", |lab| {
            let (_, at) = stored(lab);
            let group = format!("{:g<121}", lab.name(""));
            lab.ask(hand_back(&group, &lab.name(""), at, 1));
        }),
        cell(BACK, "no group", |lab| lacking(lab, "group")),
        cell(BACK, "no level", |lab| lacking(lab, "delayLevel")),
        cell(BACK, "no position", |lab| lacking(lab, "offset")),
        cell(BACK, "garbage for the level", |lab| {
            let (group, at) = stored(lab);
            lab.ask(hand_back(&group, &lab.name(""), at, 1).with("delayLevel", "soon"));
        }),
        cell(BACK, "oneway", |lab| {
            let (group, at) = stored(lab);
            let asked = lab.tell_as(0, hand_back(&group, &lab.name(""), at, 1).oneway());
            lab.silence(asked);
            let retry = format!("%RETRY%{group}");
            lab.settle(&retry, 0, 1);
            lab.ask(pull(&group, &retry, 0));
        }),
    ]
}

/// A group, and a message to hand back.
fn stored(lab: &mut Lab) -> (String, i64) {
    let topic = lab.topic(1);
    let at = lab.send_call(&topic, message(&topic, 0, &[("TAGS", "A"), ("mine", "1")]).with("h", 9));
    (lab.group(), at)
}

/// Hands a message back, and pulls it when it comes again.
fn redelivered(lab: &mut Lab, change: fn(Call) -> Call) {
    let (group, at) = stored(lab);
    lab.ask(change(hand_back(&group, &lab.name(""), at, 1)));
    let retry = format!("%RETRY%{group}");
    lab.settle(&retry, 0, 1);
    lab.ask(pull(&group, &retry, 0));
}

/// The same with a message that is dead then.
fn buried(lab: &mut Lab, change: fn(Call) -> Call) {
    let (group, at) = stored(lab);
    lab.ask(change(hand_back(&group, &lab.name(""), at, 1)));
    let dead = format!("%DLQ%{group}");
    lab.settle(&dead, 0, 1);
    lab.ask(pull(&group, &dead, 0));
}

fn lacking(lab: &mut Lab, key: &str) {
    let (group, at) = stored(lab);
    lab.ask(hand_back(&group, &lab.name(""), at, 1).without(key));
}

const BACK: i32 = 36;
