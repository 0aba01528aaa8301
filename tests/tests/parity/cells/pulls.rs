//! Pulls: answered at once, held, refused.

use super::sends::batch_of;
use super::{Cell, cell};
use crate::call::{commit, create, long_pull, message, pull, pull_as_subscribed, query_offset};
use crate::lab::{Lab, heartbeat};

pub(super) fn held() -> Vec<Cell> {
    vec![
        cell(PULL, "held until its time is over", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            let asked = lab.tell_as(0, long_pull(&group, &topic, 0, 3_000));
            lab.held(asked);
            lab.answer(asked);
        }),
        cell(PULL, "held at the end of a queue until its time is over", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
            let asked = lab.tell_as(0, long_pull(&group, &topic, 2, 3_000));
            lab.held(asked);
            lab.answer(asked);
        }),
        cell(PULL, "held, and only other tags come", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            let asked = lab.tell_as(0, long_pull(&group, &topic, 0, 60_000).with("subscription", "B"));
            lab.held(asked);
            lab.send(&topic, "A");
            lab.answer(asked);
        }),
        cell(PULL, "held until a message comes", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            let asked = lab.tell_as(0, long_pull(&group, &topic, 0, 60_000));
            lab.held(asked);
            lab.must_as(1, message(&topic, 0, &[]));
            lab.answer(asked);
        }),
        cell(PULL, "held until a message with its tag comes", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            let asked = lab.tell_as(0, long_pull(&group, &topic, 0, 60_000).with("subscription", "A||B"));
            lab.held(asked);
            lab.must_as(1, message(&topic, 0, &[("TAGS", "B")]));
            lab.answer(asked);
        }),
        cell(PULL, "held and woken on the subscription of the heartbeat", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            lab.join(0, &[(&topic, "A")]);
            let asked = lab.tell_as(0, long_pull(&group, &topic, 0, 60_000).with("sysFlag", 2));
            lab.held(asked);
            lab.must_as(1, message(&topic, 0, &[("TAGS", "A")]));
            lab.answer(asked);
        }),
        cell(PULL, "two held on the same queue", |lab| {
            let topic = lab.topic(1);
            let (one, other) = (lab.name("_G1"), lab.name("_G2"));
            let first = lab.tell_as(0, long_pull(&one, &topic, 0, 60_000));
            let second = lab.tell_as(1, long_pull(&other, &topic, 0, 60_000));
            lab.held(first);
            lab.held(second);
            lab.must_as(2, message(&topic, 0, &[]));
            lab.answer(first);
            lab.answer(second);
        }),
        cell(PULL, "held while another queue gets a message", |lab| {
            let (topic, group) = (lab.topic(2), lab.group());
            let asked = lab.tell_as(0, long_pull(&group, &topic, 0, 3_000));
            lab.must_as(1, message(&topic, 1, &[]));
            lab.held(asked);
            lab.answer(asked);
        }),
        cell(PULL, "held with an offset to commit", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            let call = long_pull(&group, &topic, 0, 60_000).with("sysFlag", 7).with("commitOffset", 4);
            let asked = lab.tell_as(0, call);
            lab.held(asked);
            lab.ask_as(1, query_offset(&group, &topic));
            lab.must_as(1, message(&topic, 0, &[]));
            lab.answer(asked);
        }),
        cell(PULL, "held by a batch", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            let asked = lab.tell_as(0, long_pull(&group, &topic, 0, 60_000).with("subscription", "C"));
            lab.held(asked);
            lab.must_as(1, batch_of(&topic, 0, &["C"]));
            lab.answer(asked);
        }),
        cell(PULL, "may be held for no time", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            lab.ask(long_pull(&group, &topic, 0, 0));
        }),
        cell(PULL, "may be held, but its offset is not in the queue", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(long_pull(&group, &topic, 9, 60_000));
        }),
        cell(PULL, "may be held, but nothing matches", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(long_pull(&group, &topic, 0, 60_000).with("subscription", "B"));
        }),
    ]
}

pub(super) fn read() -> Vec<Cell> {
    vec![
        cell(PULL, "several messages", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B", "C"]), lab.group());
            lab.ask(pull(&group, &topic, 0));
            lab.ask(pull(&group, &topic, 2));
        }),
        cell(PULL, "one of several", |lab| most(lab, "1")),
        cell(PULL, "none of several", |lab| most(lab, "0")),
        cell(PULL, "fewer than none", |lab| most(lab, "-1")),
        cell(PULL, "more than a broker gives", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            lab.send_call(&topic, batch_of(&topic, 0, &["A"; 40]));
            lab.settle(&topic, 0, 40);
            lab.ask(pull(&group, &topic, 0).with("maxMsgNums", 1_000));
        }),
        cell(PULL, "more bytes than a broker gives", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            for _ in 0..4 {
                lab.send_call(&topic, message(&topic, 0, &[]).body(vec![b'x'; 100_000]));
            }
            lab.ask(pull(&group, &topic, 0));
        }),
        cell(PULL, "one message of more bytes than a broker gives", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            for _ in 0..2 {
                lab.send_call(&topic, message(&topic, 0, &[]).body(vec![b'x'; 300_000]));
            }
            lab.ask(pull(&group, &topic, 0));
        }),
        cell(PULL, "a bound on bytes", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
            lab.ask(pull(&group, &topic, 0).with("maxMsgBytes", 1));
        }),
        cell(PULL, "end of the queue", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(pull(&group, &topic, 1));
        }),
        cell(PULL, "offset after the end", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(pull(&group, &topic, 100));
        }),
        cell(PULL, "offset one after the end", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(pull(&group, &topic, 2));
        }),
        cell(PULL, "negative offset", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(pull(&group, &topic, 0).with("queueOffset", -1));
        }),
        cell(PULL, "start of an empty queue", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            lab.ask(pull(&group, &topic, 0));
        }),
        cell(PULL, "offset in an empty queue", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            lab.ask(pull(&group, &topic, 7));
        }),
        cell(PULL, "negative offset in an empty queue", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            lab.ask(pull(&group, &topic, 0).with("queueOffset", -3));
        }),
        cell(PULL, "some tags", |lab| filtered(lab, "A || C")),
        cell(PULL, "a tag after others", |lab| filtered(lab, "D")),
        cell(PULL, "tags that no message has", |lab| filtered(lab, "X||Y")),
        cell(PULL, "tags that no message has among many", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            lab.send_call(&topic, batch_of(&topic, 0, &["A"; 900]));
            lab.settle(&topic, 0, 900);
            lab.ask(pull(&group, &topic, 0).with("subscription", "B"));
        }),
        cell(PULL, "empty expression", |lab| filtered(lab, "")),
        cell(PULL, "no expression", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
            lab.ask(pull(&group, &topic, 0).without("subscription"));
        }),
        cell(PULL, "no expression type", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
            lab.ask(pull(&group, &topic, 0).without("expressionType"));
        }),
        cell(PULL, "messages without a tag", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            lab.send_call(&topic, message(&topic, 0, &[]));
            lab.ask(pull(&group, &topic, 0).with("subscription", "A"));
            lab.ask(pull(&group, &topic, 0));
        }),
        cell(PULL, "subscription of the heartbeat", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B", "A"]), lab.group());
            lab.join(0, &[(&topic, "A")]);
            lab.ask(pull_as_subscribed(&group, &topic, 0));
        }),
        cell(PULL, "subscription of another client's heartbeat", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
            lab.join(0, &[(&topic, "B")]);
            lab.ask_as(1, pull_as_subscribed(&group, &topic, 0));
        }),
        cell(PULL, "subscription with codes that are not those of its tags", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
            let mut beat = lab.beat(0, &[(&topic, "A")]);
            beat.consumers[0].subscriptions[0].code_set = [66].into();
            lab.must(heartbeat(&beat));
            lab.ask(pull_as_subscribed(&group, &topic, 0));
        }),
        cell(PULL, "subscription newer at the broker", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.join(0, &[(&topic, "*")]);
            lab.ask(pull_as_subscribed(&group, &topic, 0).with("subVersion", 5));
        }),
        cell(PULL, "after the expression changed", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
            lab.join(0, &[(&topic, "A")]);
            let mut beat = lab.beat(0, &[(&topic, "B")]);
            beat.consumers[0].subscriptions[0].sub_version += 1;
            lab.must(heartbeat(&beat));
            lab.ask(pull_as_subscribed(&group, &topic, 0));
        }),
        cell(PULL, "after the expression changed, but not its version", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
            lab.join(0, &[(&topic, "A")]);
            lab.join(0, &[(&topic, "B")]);
            lab.ask(pull_as_subscribed(&group, &topic, 0));
        }),
        cell(PULL, "commits an offset", |lab| committing(lab, 5, "2")),
        cell(PULL, "has an offset to commit but not the flag", |lab| committing(lab, 4, "2")),
        cell(PULL, "commits an offset after the end", |lab| committing(lab, 5, "50")),
        cell(PULL, "commits a lower offset", |lab| {
            let topic = lab.topic_with(&["A", "B"]);
            let group = lab.group();
            lab.join(0, &[(&topic, "*")]);
            lab.must(commit(&group, &topic, 2));
            lab.ask(pull(&group, &topic, 0).with("sysFlag", 5).with("commitOffset", 1));
            lab.ask(query_offset(&group, &topic));
        }),
        cell(PULL, "flags that do not exist", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(pull(&group, &topic, 0).with("sysFlag", 4 | 0x700));
        }),
        cell(PULL, "flag of the pulling consumer", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(pull(&group, &topic, 0).with("sysFlag", 4 | 16));
        }),
        cell(PULL, "binary header", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(pull(&group, &topic, 0).binary());
        }),
        cell(LITE_PULL, "several messages", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
            lab.ask(pull(&group, &topic, 0).code(LITE_PULL));
        }),
        cell(LITE_PULL, "offset after the end", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(pull(&group, &topic, 9).code(LITE_PULL));
        }),
    ]
}

pub(super) fn refused() -> Vec<Cell> {
    vec![
        cell(PULL, "unknown topic", |lab| {
            let (topic, group) = (lab.name("nowhere"), lab.group());
            lab.ask(pull(&group, &topic, 0));
        }),
        cell(PULL, "queue after the last", |lab| {
            let (topic, group) = (lab.topic(2), lab.group());
            lab.ask(pull(&group, &topic, 0).with("queueId", 2));
        }),
        cell(PULL, "negative queue", |lab| {
            let (topic, group) = (lab.topic(2), lab.group());
            lab.ask(pull(&group, &topic, 0).with("queueId", -1));
        }),
        cell(PULL, "topic that cannot be read", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.must(create(&topic, 1).with("perm", 2));
            lab.ask(pull(&group, &topic, 0));
        }),
        cell(PULL, "group without members", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(pull_as_subscribed(&group, &topic, 0));
        }),
        cell(PULL, "group with other topics", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.join(0, &[("another-topic", "*")]);
            lab.ask(pull_as_subscribed(&group, &topic, 0));
        }),
        cell(PULL, "group whose last member left", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.join(0, &[(&topic, "*")]);
            lab.must(super::members::leave(lab, 0));
            lab.ask(pull_as_subscribed(&group, &topic, 0));
        }),
        cell(PULL, "subscription older at the broker", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.join(0, &[(&topic, "*")]);
            lab.ask(pull_as_subscribed(&group, &topic, 0).with("subVersion", crate::call::BORN + 1));
        }),
        cell(PULL, "group with too long a name", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), "g".repeat(121));
            lab.ask(pull(&group, &topic, 0));
        }),
        cell(PULL, "expression of separators only", |lab| filtered(lab, "||")),
        cell(PULL, "expression of blanks and separators", |lab| filtered(lab, " || ")),
        cell(PULL, "SQL where it is off", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(pull(&group, &topic, 0).with("subscription", "a > 1").with("expressionType", "SQL92"));
        }),
        cell(PULL, "SQL of the heartbeat where it is off", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let mut beat = lab.beat(0, &[(&topic, "*")]);
            beat.consumers[0].subscriptions[0].expression_type = rocketmq_core::wire::body::ExpressionType::Sql92;
            beat.consumers[0].subscriptions[0].sub_string = "a > 1".into();
            lab.must(heartbeat(&beat));
            lab.ask(pull_as_subscribed(&group, &topic, 0));
        }),
        cell(PULL, "without its topic", |lab| lacking(lab, "topic")),
        cell(PULL, "without its offset", |lab| lacking(lab, "queueOffset")),
        cell(PULL, "without its flags", |lab| lacking(lab, "sysFlag")),
        cell(PULL, "garbage for its offset", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(pull(&group, &topic, 0).with("queueOffset", "first"));
        }),
        cell(PULL, "oneway", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let asked = lab.tell_as(0, pull(&group, &topic, 0).oneway());
            lab.silence(asked);
        }),
    ]
}

fn most(lab: &mut Lab, messages: &str) {
    let (topic, group) = (lab.topic_with(&["A", "B", "C"]), lab.group());
    lab.ask(pull(&group, &topic, 0).with("maxMsgNums", messages));
}

fn filtered(lab: &mut Lab, expression: &str) {
    let (topic, group) = (lab.topic_with(&["A", "B", "C", "D"]), lab.group());
    lab.ask(pull(&group, &topic, 0).with("subscription", expression));
}

fn committing(lab: &mut Lab, flags: i32, offset: &str) {
    let (topic, group) = (lab.topic_with(&["A", "B", "C"]), lab.group());
    lab.ask(pull(&group, &topic, 0).with("sysFlag", flags).with("commitOffset", offset));
    lab.ask(query_offset(&group, &topic));
}

fn lacking(lab: &mut Lab, key: &str) {
    let (topic, group) = (lab.topic_with(&["A"]), lab.group());
    lab.ask(pull(&group, &topic, 0).without(key));
}

const PULL: i32 = 11;
const LITE_PULL: i32 = 361;
