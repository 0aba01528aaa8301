//! What operators have brokers do with the members of groups.

use rocketmq_core::ids::ClientId;
use rocketmq_core::wire::message::OffsetMsgId;
use rocketmq_core::wire::request::{ConsumeDirectly, GetRunningInfo, InvokeConsumerStatus, InvokeResetOffset};

use super::{Cell, cell};
use crate::call::{Call, commit, query_offset};
use crate::lab::Lab;

pub(super) fn cells() -> Vec<Cell> {
    let mut cells = resets();
    cells.extend(statuses());
    cells.extend(passed_on());
    cells
}

fn resets() -> Vec<Cell> {
    vec![
        cell(RESET, "group that nobody knows", |lab| {
            let topic = lab.topic_with(&["A"]);
            lab.ask(reset(&lab.group(), &topic, 0));
        }),
        cell(RESET, "unknown topic", |lab| {
            let (_, group) = member(lab);
            let topic = lab.name("nowhere");
            lab.ask(reset(&group, &topic, 0));
        }),
        cell(RESET, "group without offset", |lab| {
            let topic = lab.topic_with(&["A"]);
            lab.join(0, &[(&topic, "*")]);
            lab.ask(reset(&lab.group(), &topic, 0));
        }),
        cell(RESET, "group without members", |lab| {
            let (topic, group) = member(lab);
            lab.leave();
            lab.ask_as(1, reset(&group, &topic, 0));
        }),
        cell(RESET, "to the start", |lab| moved(lab, |call| call.with("timestamp", 0))),
        cell(RESET, "to the end", |lab| moved(lab, |call| call.with("timestamp", -1))),
        cell(RESET, "to the end, but not forward", |lab| {
            moved(lab, |call| call.with("timestamp", -1).with("isForce", false));
        }),
        cell(RESET, "to the start, and not by force", |lab| {
            moved(lab, |call| call.with("timestamp", 0).with("isForce", false));
        }),
        cell(RESET, "without what is new", |lab| {
            moved(lab, |call| call.with("timestamp", 0).without("queueId").without("offset"));
        }),
        cell(RESET, "one queue", |lab| moved(lab, |call| call.with("queueId", 0).with("offset", 2))),
        cell(RESET, "one queue, to where it does not reach", |lab| {
            moved(lab, |call| call.with("queueId", 0).with("offset", 9));
        }),
        cell(RESET, "no time", |lab| {
            let (topic, group) = member(lab);
            lab.ask(reset(&group, &topic, 0).without("timestamp"));
        }),
    ]
}

fn statuses() -> Vec<Cell> {
    vec![
        cell(STATUS, "group without members", |lab| {
            let topic = lab.topic_with(&["A"]);
            lab.ask(status(&lab.group(), &topic, None));
        }),
        cell(STATUS, "unknown topic", |lab| {
            let (_, group) = member(lab);
            lab.forget_pushes(0);
            let topic = lab.name("nowhere");
            lab.ask_as(1, status(&group, &topic, None));
        }),
        cell(STATUS, "one of two members", |lab| {
            let (topic, group) = member(lab);
            lab.join(1, &[(&topic, "*")]);
            forget(lab);
            let only = lab.client_id(1);
            let asked = lab.tell_as(2, status(&group, &topic, Some(&only)));
            lab.serve(1, TOLD_STATUS, 0, &table(&topic, 1, 6));
            lab.answer(asked);
            lab.pushes(0, 0);
        }),
        cell(STATUS, "a member that refuses", |lab| {
            let (topic, group) = member(lab);
            lab.forget_pushes(0);
            let asked = lab.tell_as(1, status(&group, &topic, None));
            lab.serve(0, TOLD_STATUS, 1, "");
            lab.answer(asked);
        }),
    ]
}

fn passed_on() -> Vec<Cell> {
    vec![
        cell(STATE, "no such member", |lab| {
            let (_, group) = member(lab);
            lab.ask_as(1, state(&group, "nobody"));
        }),
        cell(STATE, "group without members", |lab| {
            let group = lab.group();
            lab.ask_as(1, state(&group, "nobody"));
        }),
        cell(STATE, "a member", |lab| {
            let (_, group) = member(lab);
            lab.forget_pushes(0);
            let asked = lab.tell_as(1, state(&group, &lab.client_id(0)));
            lab.serve(0, STATE, 0, "{\"jstack\":\"none\"}");
            lab.answer(asked);
        }),
        cell(STATE, "a member that refuses", |lab| {
            let (_, group) = member(lab);
            lab.forget_pushes(0);
            let asked = lab.tell_as(1, state(&group, &lab.client_id(0)));
            lab.serve(0, STATE, 16, "");
            lab.answer(asked);
        }),
        cell(DIRECT, "no such member", |lab| {
            let (topic, group) = member(lab);
            let at = lab.send(&topic, "C");
            lab.ask_as(1, direct(lab, &group, &topic, "nobody", at));
        }),
        cell(DIRECT, "a member", |lab| {
            let (topic, group) = member(lab);
            let at = lab.send(&topic, "C");
            lab.forget_pushes(0);
            let call = direct(lab, &group, &topic, &lab.client_id(0), at);
            let asked = lab.tell_as(1, call);
            lab.serve(0, DIRECT, 0, "{\"consumeResult\":\"CR_SUCCESS\",\"order\":false}");
            lab.answer(asked);
        }),
    ]
}

/// A member that has committed 1 of a queue of two messages.
fn member(lab: &mut Lab) -> (String, String) {
    let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
    lab.join(0, &[(&topic, "*")]);
    lab.must(commit(&group, &topic, 1));
    (topic, group)
}

fn moved(lab: &mut Lab, how: impl FnOnce(Call) -> Call) {
    let (topic, group) = member(lab);
    lab.forget_pushes(0);
    lab.ask_as(1, how(reset(&group, &topic, 0)));
    lab.pushes(0, 0);
    lab.ask_as(1, query_offset(&group, &topic));
}

fn forget(lab: &mut Lab) {
    lab.forget_pushes(0);
    lab.forget_pushes(1);
}

fn reset(group: &str, topic: &str, timestamp: i64) -> Call {
    Call::of(&InvokeResetOffset {
        topic: topic.into(),
        group: group.into(),
        queue_id: -1,
        offset: -1,
        timestamp,
        force: true,
    })
}

fn status(group: &str, topic: &str, only: Option<&str>) -> Call {
    Call::of(&InvokeConsumerStatus { topic: topic.into(), group: group.into(), client: only.map(ClientId::from) })
}

fn state(group: &str, client: &str) -> Call {
    Call::of(&GetRunningInfo { group: group.into(), client: client.into(), stacks: Some(false) })
}

fn direct(lab: &Lab, group: &str, topic: &str, client: &str, physical_offset: i64) -> Call {
    Call::of(&ConsumeDirectly {
        group: group.into(),
        client: Some(client.into()),
        msg_id: Some(OffsetMsgId { host: lab.broker(), physical_offset }.to_string()),
        broker: None,
        topic: Some(topic.into()),
    })
}

fn table(topic: &str, id: i32, offset: i64) -> String {
    format!(
        "{{\"consumerTable\":{{}},\"messageQueueTable\":{{{{\"brokerName\":\"broker-a\",\"queueId\":{id},\
         \"topic\":\"{topic}\"}}:{offset}}}}}"
    )
}

const RESET: i32 = 222;
const STATUS: i32 = 223;
/// What the broker asks members then.
const TOLD_STATUS: i32 = 221;
const STATE: i32 = 307;
const DIRECT: i32 = 309;
