//! What becomes of half messages.

use rocketmq_core::wire::codes::request::{CHECK_TRANSACTION_STATE, END_TRANSACTION};
use rocketmq_core::wire::message::OffsetMsgId;
use rocketmq_core::wire::request::{EndTransaction, Fields, SendMessageResponse};

use super::{Cell, cell};
use crate::call::{BORN, Call, message, pull};
use crate::lab::{Lab, heartbeat, now_millis};

pub(super) fn cells() -> Vec<Cell> {
    vec![
        cell(END, "committed", |lab| {
            let topic = lab.topic(1);
            let end = half(lab, &topic);
            lab.ask(end.with("commitOrRollback", EndTransaction::COMMIT));
            lab.settle(&topic, 0, 1);
            let group = lab.group();
            lab.ask(pull(&group, &topic, 0));
        }),
        cell(END, "rolled back", |lab| {
            let topic = lab.topic(1);
            let end = half(lab, &topic);
            lab.ask(end.with("commitOrRollback", EndTransaction::ROLLBACK));
            lab.send(&topic, "A");
            let group = lab.group();
            lab.ask(pull(&group, &topic, 0));
        }),
        cell(END, "unknown", |lab| {
            let topic = lab.topic(1);
            let end = half(lab, &topic);
            let asked = lab.tell_as(0, end.with("commitOrRollback", EndTransaction::UNKNOWN));
            lab.silence(asked);
        }),
        cell(END, "of another group", |lab| {
            let topic = lab.topic(1);
            let end = half(lab, &topic);
            lab.ask(end.with("commitOrRollback", EndTransaction::COMMIT).with("producerGroup", "another"));
        }),
        cell(END, "another place in the queue", |lab| {
            let topic = lab.topic(1);
            let end = half(lab, &topic);
            lab.ask(end.with("commitOrRollback", EndTransaction::ROLLBACK).with("tranStateTableOffset", 1_i64 << 40));
        }),
        cell(END, "twice", |lab| {
            let topic = lab.topic(1);
            let end = half(lab, &topic).with("commitOrRollback", EndTransaction::COMMIT);
            lab.ask(end.clone());
            lab.ask(end);
            lab.settle(&topic, 0, 2);
        }),
        cell(END, "oneway", |lab| {
            let topic = lab.topic(1);
            let end = half(lab, &topic).with("commitOrRollback", EndTransaction::COMMIT);
            let asked = lab.tell_as(0, end.oneway());
            lab.silence(asked);
            lab.settle(&topic, 0, 1);
        }),
    ]
}

/// What brokers ask when nobody says what becomes of a half message.
pub(super) fn asked() -> Vec<Cell> {
    vec![cell(CHECK, "a producer of the group is asked", |lab| {
        let topic = lab.topic(1);
        let beat = lab.producer_beat(1);
        lab.must_as(1, heartbeat(&beat));
        // Of one that is as old as the messages of other scripts no broker asks.
        half_of(lab, &topic, now_millis());
        let end = lab.asked_about(1);
        let end = end.with("producerGroup", lab.name("_P")).with("fromTransactionCheck", true);
        lab.ask_as(1, end.with("commitOrRollback", EndTransaction::COMMIT));
        lab.settle(&topic, 0, 1);
        lab.pushes(1, 0);
    })]
}

/// Stores a half message; the word on it, but for what that is.
fn half(lab: &mut Lab, topic: &str) -> Call {
    half_of(lab, topic, BORN)
}

/// The same of a message that was made then.
fn half_of(lab: &mut Lab, topic: &str, born: i64) -> Call {
    let group = lab.name("_P");
    let properties = [("TRAN_MSG", "true"), ("PGROUP", group.as_str()), ("UNIQ_KEY", "K1"), ("TAGS", "A")];
    let frame = lab.must(message(topic, 0, &properties).with("f", 4).with("g", born));
    let sent = SendMessageResponse::read(&frame.header.ext).expect("a send's answer");
    let place: OffsetMsgId = sent.msg_id.parse().expect("an id made of a position");
    Call::of(&EndTransaction {
        topic: Some(topic.into()),
        group: group.as_str().into(),
        table_offset: sent.queue_offset,
        log_offset: place.physical_offset,
        resolution: EndTransaction::UNKNOWN,
        from_check: Some(false),
        msg_id: "K1".into(),
        transaction_id: Some("K1".into()),
        broker: None,
    })
}

const END: i32 = END_TRANSACTION;
const CHECK: i32 = CHECK_TRANSACTION_STATE;
