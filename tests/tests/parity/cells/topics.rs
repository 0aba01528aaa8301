//! Topics that clients create.

use super::{Cell, cell};
use crate::call::{create, max_offset, message};
use crate::lab::Lab;

pub(super) fn cells() -> Vec<Cell> {
    vec![
        cell(CREATE, "new topic", |lab| {
            let call = create(&lab.name(""), 2);
            lab.ask(call);
        }),
        cell(CREATE, "the same again", |lab| {
            let topic = lab.topic(2);
            lab.ask(create(&topic, 2));
        }),
        cell(CREATE, "more queues, which then take messages", |lab| {
            let topic = lab.topic(1);
            lab.ask(create(&topic, 3));
            lab.ask(message(&topic, 2, &[]));
        }),
        cell(CREATE, "fewer queues, of which the last are then refused", |lab| {
            let topic = lab.topic(3);
            lab.ask(create(&topic, 1));
            lab.ask(message(&topic, 2, &[]));
        }),
        cell(CREATE, "messages survive a change", |lab| {
            let topic = lab.topic_with(&["A", "B"]);
            lab.ask(create(&topic, 4));
            lab.ask(max_offset(&topic, 0));
        }),
        cell(CREATE, "no permission at all", |lab| {
            let topic = lab.name("");
            lab.ask(create(&topic, 1).with("perm", 0));
            lab.ask(message(&topic, 0, &[]));
        }),
        cell(CREATE, "permissions that do not exist", |lab| odd(lab, "perm", "99")),
        cell(CREATE, "garbage for the permissions", |lab| odd(lab, "perm", "rw")),
        cell(CREATE, "blank name", |lab| drop(lab.ask(create(" ", 1)))),
        cell(CREATE, "illegal name", |lab| drop(lab.ask(create("no spaces please", 1)))),
        cell(CREATE, "name of 127 characters", |lab| {
            let topic = format!("{:x<127}", lab.name(""));
            lab.ask(create(&topic, 1));
        }),
        cell(CREATE, "name of 128 characters", |lab| {
            let topic = format!("{:x<128}", lab.name(""));
            lab.ask(create(&topic, 1));
        }),
        cell(CREATE, "name of a system topic", |lab| drop(lab.ask(create("TBW102", 1)))),
        cell(CREATE, "name of the topic of delayed messages", |lab| {
            lab.ask(create("SCHEDULE_TOPIC_XXXX", 1));
        }),
        cell(CREATE, "retry topic of a group", |lab| {
            let call = create(&format!("%RETRY%{}", lab.group()), 2);
            lab.ask(call);
        }),
        cell(CREATE, "no queues", |lab| {
            let topic = lab.name("");
            lab.ask(create(&topic, 0));
            lab.ask(message(&topic, 0, &[]));
        }),
        cell(CREATE, "without the number of queues", |lab| {
            let call = create(&lab.name(""), 1).without("readQueueNums");
            lab.ask(call);
        }),
        cell(CREATE, "without a name", |lab| drop(lab.ask(create("x", 1).without("topic")))),
        cell(CREATE, "without order", |lab| {
            let call = create(&lab.name(""), 1).without("order");
            lab.ask(call);
        }),
        cell(CREATE, "without template", |lab| {
            let call = create(&lab.name(""), 1).without("defaultTopic");
            lab.ask(call);
        }),
        cell(CREATE, "garbage for the filter type", |lab| odd(lab, "topicFilterType", "NONE")),
        cell(CREATE, "garbage for the number of queues", |lab| odd(lab, "writeQueueNums", "many")),
        cell(CREATE, "binary header", |lab| {
            let call = create(&lab.name(""), 1).binary();
            lab.ask(call);
        }),
    ]
}

fn odd(lab: &mut Lab, key: &str, value: &str) {
    let call = create(&lab.name(""), 1).with(key, value);
    lab.ask(call);
}

const CREATE: i32 = 17;
