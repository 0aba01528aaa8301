//! Messages that are popped, and what becomes of them.

use bytes::Bytes;
use rocketmq_core::wire::Frame;
use rocketmq_core::wire::body::{BatchAck, MessageMode, MessageModel, QueryAssignment, RequestMode};
use rocketmq_core::wire::codes::request::{
    ACK_MESSAGE, BATCH_ACK_MESSAGE, CHANGE_MESSAGE_INVISIBLETIME, POP_MESSAGE, QUERY_ASSIGNMENT,
    SET_MESSAGE_REQUEST_MODE,
};
use rocketmq_core::wire::message::properties::name;
use rocketmq_core::wire::message::{Entry, RecordLimits, walk};
use rocketmq_core::wire::pop::{PopHandle, PopTopic, QueueOffsets};
use rocketmq_core::wire::request::{AckMessage, ChangeInvisibleTime, Fields, PopMessage, PopMessageResponse};

use super::{Cell, cell};
use crate::call::{Call, create, message, pull};
use crate::lab::{Lab, now_millis};

/// Those that wait for an invisible time to pass.
pub(super) fn hidden() -> Vec<Cell> {
    vec![
        cell(POP_MESSAGE, "not acknowledged in time", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            popped(lab, pop(&group, &topic).with("invisibleTime", 1_000));
            held_until_revived(lab, &group, &topic);
        }),
        cell(POP_MESSAGE, "not acknowledged in time, twice", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            popped(lab, pop(&group, &topic).with("invisibleTime", 1_000));
            lab.await_pop(pop(&group, &topic).with("invisibleTime", 1_000));
            held_until_revived(lab, &group, &topic);
        }),
        cell(POP_MESSAGE, "one of two acknowledged", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
            let handles = popped(lab, pop(&group, &topic).with("invisibleTime", 1_000));
            lab.ask(ack(&group, &topic, &handles[0]));
            held_until_revived(lab, &group, &topic);
        }),
        cell(POP_MESSAGE, "a message that a group of another name has", |lab| {
            let topic = lab.topic_with(&["A"]);
            let (one, other) = (lab.name("_G1"), lab.name("_G2"));
            popped(lab, pop(&one, &topic));
            popped(lab, pop(&other, &topic));
        }),
        cell(POP_MESSAGE, "held until a message comes", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            let asked = lab.tell_as(0, pop(&group, &topic).with("pollTime", 60_000));
            lab.held(asked);
            lab.must_as(1, message(&topic, 0, &[("TAGS", "A")]));
            lab.answer_without(asked, &["reviveQid"]);
        }),
        cell(POP_MESSAGE, "held and never found", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            let asked = lab.tell_as(0, pop(&group, &topic).with("pollTime", 1_500));
            lab.held(asked);
            lab.answer_without(asked, &["reviveQid"]);
        }),
        cell(ACK_MESSAGE, "after the invisible time", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let handles = popped(lab, pop(&group, &topic).with("invisibleTime", 1_000));
            lab.await_pop(pop(&group, &topic));
            lab.ask(ack(&group, &topic, &handles[0]));
        }),
        cell(ACK_MESSAGE, "a message that came again", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            popped(lab, pop(&group, &topic).with("invisibleTime", 1_000));
            let again = lab.await_pop(pop(&group, &topic).with("invisibleTime", 1_000));
            let handle = handles(&again).remove(0);
            lab.ask(ack(&group, &topic, &handle));
            lab.rest(6_000);
            lab.ask_without_any(pop(&group, &topic), &["reviveQid"]);
        }),
        cell(CHANGE_MESSAGE_INVISIBLETIME, "to a shorter time", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let handles = popped(lab, pop(&group, &topic));
            lab.ask_without_any(change(&group, &topic, &handles[0], 1_000), &["reviveQid"]);
            held_until_revived(lab, &group, &topic);
        }),
        cell(CHANGE_MESSAGE_INVISIBLETIME, "acknowledged by the new handle", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let handles = popped(lab, pop(&group, &topic));
            let changed = lab.ask_without_any(change(&group, &topic, &handles[0], 1_000), &["reviveQid"]);
            lab.ask(ack(&group, &topic, &renewed(&handles[0], &changed)));
            lab.rest(6_000);
            lab.ask_without_any(pop(&group, &topic), &["reviveQid"]);
        }),
        cell(CHANGE_MESSAGE_INVISIBLETIME, "acknowledged by the old handle", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let handles = popped(lab, pop(&group, &topic));
            lab.ask_without_any(change(&group, &topic, &handles[0], 1_000), &["reviveQid"]);
            lab.ask(ack(&group, &topic, &handles[0]));
            held_until_revived(lab, &group, &topic);
        }),
        cell(BATCH_ACK_MESSAGE, "two of three", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B", "C"]), lab.group());
            let handles = popped(lab, pop(&group, &topic).with("invisibleTime", 1_000));
            lab.ask(batch(&group, &topic, &[&handles[0], &handles[2]]));
            held_until_revived(lab, &group, &topic);
        }),
    ]
}

pub(super) fn cells() -> Vec<Cell> {
    vec![
        cell(QUERY_ASSIGNMENT, "a group that pulls", |lab| assigned(lab, MessageMode::Pull, 0, 2)),
        cell(QUERY_ASSIGNMENT, "a group that pops", |lab| assigned(lab, MessageMode::Pop, 0, 2)),
        cell(QUERY_ASSIGNMENT, "a group of three that pops from some", |lab| assigned(lab, MessageMode::Pop, 1, 3)),
        cell(QUERY_ASSIGNMENT, "more members than queues", |lab| assigned(lab, MessageMode::Pop, 1, 5)),
        cell(QUERY_ASSIGNMENT, "a strategy that it does not know", |lab| {
            let topic = lab.announced(2);
            lab.join(0, &[(&topic, "*")]);
            lab.ask(query(lab, 0, &topic, "CONSISTENT_HASH"));
        }),
        cell(QUERY_ASSIGNMENT, "by circle", |lab| {
            let topic = lab.announced(3);
            lab.join(0, &[(&topic, "*")]);
            lab.join(1, &[(&topic, "*")]);
            lab.ask(query(lab, 0, &topic, "AVG_BY_CIRCLE"));
        }),
        cell(QUERY_ASSIGNMENT, "an unknown topic", |lab| {
            let topic = lab.name("nowhere");
            lab.join(0, &[(&topic, "*")]);
            lab.ask(query(lab, 0, &topic, "AVG"));
        }),
        cell(QUERY_ASSIGNMENT, "an unknown group", |lab| {
            let topic = lab.announced(2);
            lab.ask(query(lab, 0, &topic, "AVG"));
        }),
        cell(QUERY_ASSIGNMENT, "somebody who is no member", |lab| {
            let topic = lab.announced(2);
            lab.join(0, &[(&topic, "*")]);
            lab.ask_as(1, query(lab, 1, &topic, "AVG"));
        }),
        cell(QUERY_ASSIGNMENT, "broadcasting", |lab| {
            let topic = lab.announced(2);
            lab.join(0, &[(&topic, "*")]);
            lab.join(1, &[(&topic, "*")]);
            let asked = body(lab, 0, &topic, "AVG");
            let asked = QueryAssignment { message_model: MessageModel::Broadcasting, ..asked };
            lab.ask(Call::new(QUERY_ASSIGNMENT).body(asked.encode()));
        }),
        cell(SET_MESSAGE_REQUEST_MODE, "a topic", |lab| {
            let topic = lab.topic(1);
            lab.ask(set_mode(lab, &topic, MessageMode::Pop, 0));
        }),
        cell(SET_MESSAGE_REQUEST_MODE, "a retry topic", |lab| {
            let topic = format!("%RETRY%{}", lab.group());
            lab.ask(set_mode(lab, &topic, MessageMode::Pop, 0));
        }),
        cell(SET_MESSAGE_REQUEST_MODE, "back to pulling", |lab| {
            let topic = lab.announced(2);
            lab.join(0, &[(&topic, "*")]);
            lab.try_set(set_mode(lab, &topic, MessageMode::Pop, 0));
            lab.ask(set_mode(lab, &topic, MessageMode::Pull, 0));
            lab.ask(query(lab, 0, &topic, "AVG"));
        }),
        cell(POP_MESSAGE, "several messages", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B", "C"]), lab.group());
            popped(lab, pop(&group, &topic));
            lab.ask_without_any(pop(&group, &topic), &["reviveQid"]);
        }),
        cell(POP_MESSAGE, "two of three", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B", "C"]), lab.group());
            popped(lab, pop(&group, &topic).with("maxMsgNums", 2));
            popped(lab, pop(&group, &topic).with("maxMsgNums", 2));
        }),
        cell(POP_MESSAGE, "one queue", |lab| {
            let (topic, group) = (lab.topic(2), lab.group());
            lab.send_call(&topic, message(&topic, 0, &[]));
            lab.send_call(&topic, message(&topic, 1, &[]));
            popped(lab, pop(&group, &topic).with("queueId", 1));
        }),
        cell(POP_MESSAGE, "some tags", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B", "A"]), lab.group());
            popped(lab, pop(&group, &topic).with("exp", "A"));
        }),
        cell(POP_MESSAGE, "an empty queue that nobody waits for", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            lab.ask_without_any(pop(&group, &topic), &["reviveQid"]);
        }),
        cell(POP_MESSAGE, "no expression", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            popped(lab, pop(&group, &topic).without("exp").without("expType"));
        }),
        cell(POP_MESSAGE, "where messages were pulled before", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
            lab.join(0, &[(&topic, "*")]);
            lab.must(pull(&group, &topic, 0).with("sysFlag", 5).with("commitOffset", 1));
            popped(lab, pop(&group, &topic));
        }),
        cell(POP_MESSAGE, "from the end of a young queue", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            popped(lab, pop(&group, &topic).with("initMode", 1));
        }),
        cell(POP_MESSAGE, "too old", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(pop(&group, &topic).with("bornTime", now_millis() - 60_000));
        }),
        cell(POP_MESSAGE, "too many", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(pop(&group, &topic).with("maxMsgNums", 33));
        }),
        cell(POP_MESSAGE, "an unknown topic", |lab| {
            let (topic, group) = (lab.name("nowhere"), lab.group());
            lab.ask(pop(&group, &topic));
        }),
        cell(POP_MESSAGE, "a topic that cannot be read", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.must(create(&topic, 1).with("perm", 2));
            lab.ask(pop(&group, &topic));
        }),
        cell(POP_MESSAGE, "queue after the last", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            lab.ask(pop(&group, &topic).with("queueId", 1));
        }),
        cell(POP_MESSAGE, "expression of separators only", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(pop(&group, &topic).with("exp", "||"));
        }),
        cell(POP_MESSAGE, "SQL where it is off", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask_without_any(pop(&group, &topic).with("exp", "a > 1").with("expType", "SQL92"), &["reviveQid"]);
        }),
        cell(POP_MESSAGE, "without its topic", |lab| {
            let group = lab.group();
            lab.ask(pop(&group, "t").without("topic"));
        }),
        cell(ACK_MESSAGE, "a message", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let handles = popped(lab, pop(&group, &topic));
            lab.ask(ack(&group, &topic, &handles[0]));
        }),
        cell(ACK_MESSAGE, "twice", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let handles = popped(lab, pop(&group, &topic));
            lab.ask(ack(&group, &topic, &handles[0]));
            lab.ask(ack(&group, &topic, &handles[0]));
        }),
        cell(ACK_MESSAGE, "an offset after the end", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let handles = popped(lab, pop(&group, &topic));
            lab.ask(ack(&group, &topic, &handles[0]).with("offset", 99));
        }),
        cell(ACK_MESSAGE, "garbage for a handle", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let handles = popped(lab, pop(&group, &topic));
            lab.ask(ack(&group, &topic, &handles[0]).with("extraInfo", "garbage"));
        }),
        cell(ACK_MESSAGE, "of an unknown topic", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let handles = popped(lab, pop(&group, &topic));
            lab.ask(ack(&group, &lab.name("nowhere"), &handles[0]));
        }),
        cell(ACK_MESSAGE, "queue after the last", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let handles = popped(lab, pop(&group, &topic));
            lab.ask(ack(&group, &topic, &handles[0]).with("queueId", 7));
        }),
        cell(CHANGE_MESSAGE_INVISIBLETIME, "an offset after the end", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let handles = popped(lab, pop(&group, &topic));
            lab.ask(change(&group, &topic, &handles[0], 1_000).with("offset", 99));
        }),
        cell(CHANGE_MESSAGE_INVISIBLETIME, "garbage for a handle", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let handles = popped(lab, pop(&group, &topic));
            lab.ask(change(&group, &topic, &handles[0], 1_000).with("extraInfo", "garbage"));
        }),
        cell(CHANGE_MESSAGE_INVISIBLETIME, "of an unknown topic", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let handles = popped(lab, pop(&group, &topic));
            lab.ask(change(&group, &lab.name("nowhere"), &handles[0], 1_000));
        }),
        cell(CHANGE_MESSAGE_INVISIBLETIME, "of a message that is acknowledged", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let handles = popped(lab, pop(&group, &topic));
            lab.try_set(ack(&group, &topic, &handles[0]));
            lab.ask_without_any(change(&group, &topic, &handles[0], 60_000), &["reviveQid"]);
        }),
        cell(BATCH_ACK_MESSAGE, "messages", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
            let handles = popped(lab, pop(&group, &topic));
            lab.ask(batch(&group, &topic, &[&handles[0], &handles[1]]));
        }),
        cell(BATCH_ACK_MESSAGE, "none", |lab| {
            let group = lab.group();
            lab.ask(batch(&group, "t", &[]));
        }),
        cell(BATCH_ACK_MESSAGE, "an offset after the end", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            let mut handles = popped(lab, pop(&group, &topic));
            handles[0].offset = rocketmq_core::ids::QueueOffset::new(90);
            lab.ask(batch(&group, &topic, &[&handles[0]]));
        }),
        cell(BATCH_ACK_MESSAGE, "garbage for a body", |lab| {
            lab.ask(Call::new(BATCH_ACK_MESSAGE).body("acks"));
        }),
    ]
}

/// A pop of any queue that does not wait.
fn pop(group: &str, topic: &str) -> Call {
    Call::of(&PopMessage {
        group: group.into(),
        topic: topic.into(),
        queue_id: -1,
        max_messages: 32,
        invisible_millis: 60_000,
        poll_millis: 0,
        born_millis: now_millis(),
        init_mode: PopMessage::FROM_FIRST,
        expression_type: Some("TAG".into()),
        expression: Some("*".into()),
        order: Some(false),
        attempt_id: None,
        broker: None,
    })
}

/// Pops until something comes, notes it and gives the handles.
fn popped(lab: &mut Lab, call: Call) -> Vec<PopHandle> {
    let frame = lab.ask_without_any(call, &["reviveQid"]);
    if frame.header.code != 0 {
        // A server that knows nothing of this gets a handle made up.
        return vec!["0 1700000000000 60000 0 0 broker-a 0 0".parse().expect("a handle"); 3];
    }
    handles(&frame)
}

fn handles(frame: &Frame) -> Vec<PopHandle> {
    let Ok(fields) = PopMessageResponse::read(&frame.header.ext) else {
        return vec!["0 1700000000000 60000 0 0 broker-a 0 0".parse().expect("a handle")];
    };
    let starts: QueueOffsets = fields.start_offsets.unwrap_or_default().parse().expect("offsets");
    let records = walk(&frame.body, RecordLimits::default());
    let handle = |entry| {
        let Entry::Record(record) = entry else { panic!("{entry:?}") };
        record.property(&frame.body, name::POP_CK).map_or_else(
            || PopHandle {
                start: starts.at(PopTopic::Normal, record.queue_id, 0).expect("a start"),
                pop_millis: fields.pop_millis,
                invisible_millis: fields.invisible_millis,
                revive_queue: fields.revive_queue,
                topic: PopTopic::Normal,
                broker: "broker-a".into(),
                queue_id: record.queue_id,
                offset: record.queue_offset,
            },
            |text| text.parse().expect("a handle"),
        )
    };
    records.map(handle).collect()
}

/// What comes again.
fn held_until_revived(lab: &mut Lab, group: &str, topic: &str) {
    lab.await_pop(pop(group, topic));
}

fn ack(group: &str, topic: &str, handle: &PopHandle) -> Call {
    Call::of(&AckMessage {
        group: group.into(),
        topic: handle.topic.name(&group.into(), &topic.into()),
        queue_id: handle.queue_id,
        handle: handle.to_string(),
        offset: handle.offset,
        broker: None,
    })
}

fn change(group: &str, topic: &str, handle: &PopHandle, millis: i64) -> Call {
    Call::of(&ChangeInvisibleTime {
        group: group.into(),
        topic: handle.topic.name(&group.into(), &topic.into()),
        queue_id: handle.queue_id,
        handle: handle.to_string(),
        offset: handle.offset,
        invisible_millis: millis,
        broker: None,
    })
}

fn renewed(handle: &PopHandle, changed: &Frame) -> PopHandle {
    use rocketmq_core::wire::request::ChangeInvisibleTimeResponse;
    match ChangeInvisibleTimeResponse::read(&changed.header.ext) {
        Ok(fields) => handle.changed(fields.pop_millis, fields.invisible_millis, fields.revive_queue),
        Err(_) => handle.clone(),
    }
}

fn batch(group: &str, topic: &str, handles: &[&PopHandle]) -> Call {
    let topic = topic.into();
    let messages = handles.iter().map(|handle| (&topic, *handle));
    let body: Bytes = BatchAck::new(&group.into(), &"broker-a".into(), messages).encode().into();
    Call::new(BATCH_ACK_MESSAGE).body(body)
}

fn set_mode(lab: &Lab, topic: &str, mode: MessageMode, share: i32) -> Call {
    let body = RequestMode { group: lab.group().as_str().into(), mode, share, topic: topic.into() };
    Call::new(SET_MESSAGE_REQUEST_MODE).body(body.encode())
}

fn body(lab: &Lab, client: usize, topic: &str, strategy: &str) -> QueryAssignment {
    QueryAssignment {
        client_id: lab.client_id(client).as_str().into(),
        group: lab.group().as_str().into(),
        message_model: MessageModel::Clustering,
        strategy_name: strategy.into(),
        topic: topic.into(),
    }
}

fn query(lab: &Lab, client: usize, topic: &str, strategy: &str) -> Call {
    Call::new(QUERY_ASSIGNMENT).body(body(lab, client, topic, strategy).encode())
}

/// So many members of a group of this mode each ask for their queues.
fn assigned(lab: &mut Lab, mode: MessageMode, share: i32, members: usize) {
    let topic = lab.announced(4);
    lab.try_set(set_mode(lab, &topic, mode, share));
    for client in 0..members {
        lab.join(client, &[(&topic, "*")]);
    }
    for client in 0..members {
        lab.ask_as(client, query(lab, client, &topic, "AVG"));
    }
}
