//! Locks on queues.

use rocketmq_core::ids::MessageQueue;
use rocketmq_core::wire::body::LockQueues;

use super::{Cell, cell};
use crate::call::Call;
use crate::lab::Lab;

pub(super) fn cells() -> Vec<Cell> {
    vec![
        cell(LOCK, "free queues", |lab| {
            let topic = lab.topic(2);
            lab.ask(queues(lab, LOCK, 0, &topic, &[0, 1]));
        }),
        cell(LOCK, "queues that it holds", |lab| {
            let topic = lab.topic(2);
            lab.must(queues(lab, LOCK, 0, &topic, &[0, 1]));
            lab.ask(queues(lab, LOCK, 0, &topic, &[0, 1]));
        }),
        cell(LOCK, "queues that another client holds", |lab| {
            let topic = lab.topic(2);
            lab.must(queues(lab, LOCK, 0, &topic, &[0, 1]));
            lab.ask_as(1, queues(lab, LOCK, 1, &topic, &[0, 1]));
        }),
        cell(LOCK, "some queues that another client holds", |lab| {
            let topic = lab.topic(3);
            lab.must(queues(lab, LOCK, 0, &topic, &[1]));
            lab.ask_as(1, queues(lab, LOCK, 1, &topic, &[0, 1, 2]));
        }),
        cell(LOCK, "no queues", |lab| drop(lab.ask(queues(lab, LOCK, 0, "T", &[])))),
        cell(LOCK, "queues of an unknown topic", |lab| {
            let topic = lab.name("nowhere");
            lab.ask(queues(lab, LOCK, 0, &topic, &[0]));
        }),
        cell(LOCK, "after the owner unlocked", |lab| {
            let topic = lab.topic(2);
            lab.must(queues(lab, LOCK, 0, &topic, &[0, 1]));
            lab.must(queues(lab, UNLOCK, 0, &topic, &[0]));
            lab.ask_as(1, queues(lab, LOCK, 1, &topic, &[0, 1]));
        }),
        cell(LOCK, "after somebody else tried to unlock", |lab| {
            let topic = lab.topic(1);
            lab.must(queues(lab, LOCK, 0, &topic, &[0]));
            lab.must_as(1, queues(lab, UNLOCK, 1, &topic, &[0]));
            lab.ask_as(1, queues(lab, LOCK, 1, &topic, &[0]));
        }),
        cell(LOCK, "after the owner's link closed", |lab| {
            let topic = lab.topic(1);
            lab.must(queues(lab, LOCK, 0, &topic, &[0]));
            lab.hang_up(0);
            lab.ask_as(1, queues(lab, LOCK, 1, &topic, &[0]));
        }),
        cell(LOCK, "garbage for a body", |lab| drop(lab.ask(Call::new(LOCK).body("queues")))),
        cell(UNLOCK, "queues that it holds", |lab| {
            let topic = lab.topic(2);
            lab.must(queues(lab, LOCK, 0, &topic, &[0, 1]));
            lab.ask(queues(lab, UNLOCK, 0, &topic, &[0, 1]));
        }),
        cell(UNLOCK, "queues that nobody holds", |lab| {
            let topic = lab.topic(1);
            lab.ask(queues(lab, UNLOCK, 0, &topic, &[0]));
        }),
        cell(UNLOCK, "queues that another client holds", |lab| {
            let topic = lab.topic(1);
            lab.must(queues(lab, LOCK, 0, &topic, &[0]));
            lab.ask_as(1, queues(lab, UNLOCK, 1, &topic, &[0]));
        }),
        cell(UNLOCK, "garbage for a body", |lab| drop(lab.ask(Call::new(UNLOCK).body("queues")))),
        cell(UNLOCK, "oneway", |lab| {
            let topic = lab.topic(1);
            lab.must(queues(lab, LOCK, 0, &topic, &[0]));
            let asked = lab.tell_as(0, queues(lab, UNLOCK, 0, &topic, &[0]).oneway());
            lab.silence(asked);
            lab.ask_as(1, queues(lab, LOCK, 1, &topic, &[0]));
        }),
    ]
}

fn queues(lab: &Lab, code: i32, client: usize, topic: &str, ids: &[i32]) -> Call {
    let queue = |id: &i32| MessageQueue { topic: topic.into(), broker: "broker-a".into(), id: *id };
    let body = LockQueues {
        client_id: lab.client_id(client).as_str().into(),
        group: lab.group().as_str().into(),
        queues: ids.iter().map(queue).collect(),
        only_this_broker: false,
    };
    Call::new(code).body(body.encode())
}

const LOCK: i32 = 41;
const UNLOCK: i32 = 42;
