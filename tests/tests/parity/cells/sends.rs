//! Messages sent one by one and in batches, and what became of them.

use rocketmq_core::wire::message::{BatchItem, batch, properties};

use super::{Cell, cell};
use crate::call::{BORN, Call, max_offset, message, pull};
use crate::lab::Lab;

pub(super) fn accepted() -> Vec<Cell> {
    vec![
        cell(SEND, "to a queue", |lab| {
            let topic = lab.topic(2);
            lab.ask(message(&topic, 1, &[]));
            lab.ask(message(&topic, 1, &[]));
        }),
        cell(SEND, "what is stored", |lab| {
            let topic = lab.topic(1);
            let call = message(&topic, 0, &[("TAGS", "A"), ("KEYS", "k1 k2"), ("WAIT", "true"), ("mine", "ä €")]);
            stored(lab, &topic, call.with("h", -7));
        }),
        cell(SEND, "not to be waited for", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, message(&topic, 0, &[("WAIT", "false")]));
        }),
        cell(SEND, "broker chooses the queue", |lab| {
            let topic = lab.topic(1);
            lab.ask(message(&topic, -1, &[]));
        }),
        cell(SEND, "queue below all others", |lab| {
            let topic = lab.topic(1);
            lab.ask(message(&topic, -2, &[]));
        }),
        cell(SEND, "unknown topic is made after the template", |lab| {
            let topic = lab.name("");
            lab.ask(message(&topic, 0, &[]).with("d", 2));
            lab.ask(message(&topic, 1, &[]));
            lab.ask(message(&topic, 2, &[]));
        }),
        cell(SEND, "unknown topic with more queues than the template", |lab| {
            let topic = lab.name("");
            lab.ask(message(&topic, 7, &[]).with("d", 20));
            lab.ask(message(&topic, 8, &[]).with("d", 20));
        }),
        cell(SEND, "unknown topic without queues", |lab| {
            let topic = lab.name("");
            lab.ask(message(&topic, 0, &[]).with("d", 0));
        }),
        cell(SEND, "unknown topic and queue out of its range", |lab| {
            let topic = lab.name("");
            lab.ask(message(&topic, 5, &[]));
            lab.ask(message(&topic, 0, &[]));
        }),
        cell(SEND, "write-only topic", |lab| {
            let topic = lab.topic(1);
            lab.must(crate::call::create(&topic, 1).with("perm", 2));
            lab.ask(message(&topic, 0, &[]));
        }),
        cell(SEND, "queue that can only be read", |lab| {
            let topic = lab.name("");
            lab.must(crate::call::create(&topic, 4).with("writeQueueNums", 2));
            lab.ask(message(&topic, 3, &[]));
        }),
        cell(SEND, "empty body", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, message(&topic, 0, &[]).body(""));
        }),
        cell(SEND, "largest body", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, message(&topic, 0, &[]).body(vec![b'x'; MAX_BODY]));
        }),
        cell(SEND, "no properties", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, message(&topic, 0, &[]).without("i"));
        }),
        cell(SEND, "empty properties", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, message(&topic, 0, &[]).with("i", ""));
        }),
        cell(SEND, "properties without their last separator", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, message(&topic, 0, &[]).with("i", "UNIQ_KEY\u{1}K1\u{2}mine\u{1}1"));
        }),
        cell(SEND, "property without value", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, message(&topic, 0, &[]).with("i", "UNIQ_KEY\u{1}K1\u{2}mine\u{1}\u{2}"));
        }),
        cell(SEND, "properties that are no pairs", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, message(&topic, 0, &[]).with("i", "nonsense"));
        }),
        cell(SEND, "property twice", |lab| {
            let topic = lab.topic(1);
            let text = "UNIQ_KEY\u{1}K1\u{2}mine\u{1}1\u{2}mine\u{1}2\u{2}";
            stored(lab, &topic, message(&topic, 0, &[]).with("i", text));
        }),
        cell(SEND, "properties of the broker's own", |lab| {
            let topic = lab.topic(1);
            let own = [("MSG_REGION", "mine"), ("TRACE_ON", "mine"), ("CLUSTER", "mine"), ("RETRY_TOPIC", "mine")];
            stored(lab, &topic, message(&topic, 0, &own));
        }),
        cell(SEND, "properties nearly too long", |lab| {
            let topic = lab.topic(1);
            let value = "x".repeat(32_000);
            lab.ask(message(&topic, 0, &[("mine", &value)]));
        }),
        cell(SEND, "compressed body", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, message(&topic, 0, &[]).with("f", 0x301));
        }),
        cell(SEND, "flags of a transaction without its property", |lab| {
            let topic = lab.topic(1);
            // Half messages are not in the queue.
            lab.ask(message(&topic, 0, &[]).with("f", 4));
            lab.ask(message(&topic, 0, &[]).with("f", 12));
            lab.send(&topic, "A");
            let group = lab.group();
            lab.ask(pull(&group, &topic, 0));
        }),
        cell(SEND, "redelivery of an ordinary topic", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, message(&topic, 0, &[]).with("j", 20).with("l", 3));
        }),
        cell(SEND, "without the optional fields", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, message(&topic, 0, &[]).without("j").without("k").without("l").without("m"));
        }),
        cell(SEND, "binary header", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, message(&topic, 0, &[]).binary());
        }),
        cell(SEND, "oneway", |lab| {
            let topic = lab.topic(1);
            let asked = lab.tell_as(0, message(&topic, 0, &[]).oneway());
            lab.silence(asked);
            lab.settle(&topic, 0, 1);
            lab.ask(max_offset(&topic, 0));
        }),
        cell(SEND, "name of 127 characters", |lab| {
            let topic = format!("{:x<127}", lab.name(""));
            lab.ask(message(&topic, 0, &[]));
        }),
        cell(SEND, "retry topic of a new group", |lab| {
            let topic = format!("%RETRY%{}", lab.group());
            lab.ask(message(&topic, 0, &[]).with("j", 1).with("l", 3));
            lab.settle(&topic, 0, 1);
            let group = lab.group();
            lab.ask(pull(&group, &topic, 0));
        }),
        cell(SEND, "retry topic, failed as often as it may", |lab| retried(lab, 3, Some(3))),
        cell(SEND, "retry topic, failed too often", |lab| retried(lab, 4, Some(3))),
        cell(SEND, "retry topic, failed too often for the group", |lab| retried(lab, 17, None)),
        cell(SEND, "dead-letter topic of a group", |lab| {
            let topic = format!("%DLQ%{}", lab.group());
            lab.ask(message(&topic, 0, &[]));
        }),
        cell(SEND, "level 0", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, message(&topic, 0, &[("DELAY", "0")]));
        }),
        cell(SEND, "level below 0", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, message(&topic, 0, &[("DELAY", "-1")]));
        }),
        cell(SEND_LONG, "to a queue", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, long(&topic));
        }),
        cell(SEND_LONG, "unknown topic", |lab| {
            let topic = lab.name("");
            lab.ask(long(&topic));
        }),
        cell(SEND_LONG, "binary header", |lab| {
            let topic = lab.topic(1);
            lab.ask(long(&topic).binary());
        }),
    ]
}

pub(super) fn delayed() -> Vec<Cell> {
    vec![
        cell(SEND, "level in the middle", |lab| delay(lab, "5")),
        cell(SEND, "last level", |lab| delay(lab, "18")),
        cell(SEND, "level above the last", |lab| delay(lab, "19")),
        cell(SEND, "level that is no number", |lab| {
            let topic = lab.topic(1);
            lab.ask(message(&topic, 0, &[("DELAY", "soon")]));
        }),
    ]
}

pub(super) fn refused() -> Vec<Cell> {
    vec![
        cell(SEND, "unknown topic and unknown template", |lab| {
            let topic = lab.name("");
            lab.ask(message(&topic, 0, &[]).with("c", "no-such-template"));
        }),
        cell(SEND, "unknown topic and a template that may not be followed", |lab| {
            let template = lab.topic(4);
            let topic = lab.name("_2");
            lab.ask(message(&topic, 0, &[]).with("c", template));
        }),
        cell(SEND, "queue after the last", |lab| {
            let topic = lab.topic(2);
            lab.ask(message(&topic, 2, &[]));
        }),
        cell(SEND, "read-only topic", |lab| {
            let topic = lab.topic(1);
            lab.must(crate::call::create(&topic, 1).with("perm", 4));
            lab.ask(message(&topic, 0, &[]));
        }),
        cell(SEND, "body too long", |lab| {
            let topic = lab.topic(1);
            lab.ask(message(&topic, 0, &[]).body(vec![b'x'; MAX_BODY + 1]));
        }),
        cell(SEND, "properties too long", |lab| {
            let topic = lab.topic(1);
            lab.ask(message(&topic, 0, &[]).with("i", format!("mine\u{1}{}\u{2}", "x".repeat(33_000))));
        }),
        cell(SEND, "properties too long with what the broker adds", |lab| {
            let topic = lab.topic(1);
            let value = "x".repeat(32_767 - "UNIQ_KEY.K1.mine..".len());
            lab.ask(message(&topic, 0, &[("mine", &value)]));
        }),
        cell(SEND, "blank topic", |lab| drop(lab.ask(message(" ", 0, &[])))),
        cell(SEND, "illegal topic", |lab| drop(lab.ask(message("no spaces", 0, &[])))),
        cell(SEND, "name of 128 characters", |lab| {
            let topic = format!("{:x<128}", lab.name(""));
            lab.ask(message(&topic, 0, &[]));
        }),
        cell(SEND, "retry topic longer than any", |lab| {
            let topic = format!("{:x<256}", format!("%RETRY%{}", lab.name("")));
            lab.ask(message(&topic, 0, &[]));
        }),
        cell(SEND, "retry topic of a group with too long a name", |lab| {
            let topic = format!("{:x<140}", format!("%RETRY%{}", lab.name("")));
            lab.ask(message(&topic, 0, &[]));
        }),
        cell(SEND, "topic of the delayed messages", |lab| drop(lab.ask(message("SCHEDULE_TOPIC_XXXX", 0, &[])))),
        cell(SEND, "topics of transactions", |lab| {
            for topic in ["RMQ_SYS_TRANS_HALF_TOPIC", "RMQ_SYS_TRANS_OP_HALF_TOPIC", "TRANS_CHECK_MAX_TIME_TOPIC"] {
                lab.ask(message(topic, 0, &[]));
            }
        }),
        cell(SEND, "other topics that nobody may send to", |lab| {
            for topic in ["SELF_TEST_TOPIC", "OFFSET_MOVED_EVENT"] {
                lab.ask(message(topic, 0, &[]));
            }
        }),
        cell(SEND, "half message", |lab| {
            let topic = lab.topic(1);
            // All half messages of a broker are in one queue.
            let half = message(&topic, 0, &[("TRAN_MSG", "true"), ("PGROUP", "PG")]).with("f", 4);
            lab.ask_but(half, &["field queueOffset"]);
        }),
        cell(SEND, "timer without a timer wheel", |lab| {
            let topic = lab.topic(1);
            lab.ask(message(&topic, 0, &[("TIMER_DELAY_SEC", "1")]));
        }),
        cell(RECALL, "where it is off", |lab| {
            let topic = lab.topic(1);
            lab.ask(Call::new(RECALL).with("topic", topic).with("recallHandle", "no handle"));
        }),
        cell(SEND, "without its group", |lab| lacking(lab, "a")),
        cell(SEND, "without its topic", |lab| lacking(lab, "b")),
        cell(SEND, "without its queue", |lab| lacking(lab, "e")),
        cell(SEND, "without its birth", |lab| lacking(lab, "g")),
        cell(SEND, "garbage for its queue", |lab| {
            let topic = lab.topic(1);
            lab.ask(message(&topic, 0, &[]).with("e", "first"));
        }),
        cell(SEND, "queue beyond 32 bits", |lab| {
            let topic = lab.topic(1);
            lab.ask(message(&topic, 0, &[]).with("e", 1_i64 << 32));
        }),
        cell(SEND, "garbage for a boolean", |lab| {
            let topic = lab.topic(1);
            lab.ask(message(&topic, 0, &[]).with("k", "perhaps"));
        }),
        cell(SEND_LONG, "without its topic", |lab| {
            let topic = lab.topic(1);
            lab.ask(long(&topic).without("topic"));
        }),
        cell(SEND_LONG, "garbage for its queue", |lab| {
            let topic = lab.topic(1);
            lab.ask(long(&topic).with("queueId", "first"));
        }),
    ]
}

pub(super) fn batches() -> Vec<Cell> {
    vec![
        cell(BATCH, "three messages", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, batch_of(&topic, 0, &["A", "B", ""]));
        }),
        cell(BATCH, "broker chooses the queue", |lab| {
            let topic = lab.topic(1);
            lab.ask(batch_of(&topic, -1, &["A"]));
        }),
        cell(BATCH, "unknown topic", |lab| {
            let topic = lab.name("");
            lab.ask(batch_of(&topic, 0, &["A"]));
        }),
        cell(BATCH, "without a unique key", |lab| {
            let topic = lab.topic(1);
            lab.ask(batch_of(&topic, 0, &["A"]).without("i"));
        }),
        cell(BATCH, "queue after the last", |lab| {
            let topic = lab.topic(1);
            lab.ask(batch_of(&topic, 1, &["A"]));
        }),
        cell(BATCH, "retry topic", |lab| {
            let topic = format!("%RETRY%{}", lab.group());
            lab.ask(batch_of(&topic, 0, &["A"]));
        }),
        cell(BATCH, "garbage for a body", |lab| {
            let topic = lab.topic(1);
            lab.ask(batch_of(&topic, 0, &[]).body("messages"));
        }),
        cell(BATCH, "empty body", |lab| {
            let topic = lab.topic(1);
            lab.ask(batch_of(&topic, 0, &[]));
        }),
        cell(BATCH, "binary header", |lab| {
            let topic = lab.topic(1);
            lab.ask(batch_of(&topic, 0, &["A", "B"]).binary());
        }),
        cell(SEND, "batch by its field only", |lab| {
            let topic = lab.topic(1);
            stored(lab, &topic, batch_of(&topic, 0, &["A", "B"]).code(SEND));
        }),
    ]
}

/// Sends and pulls back.
fn stored(lab: &mut Lab, topic: &str, call: Call) {
    let answer = lab.ask(call);
    if answer.header.code == 0 {
        let count = answer.header.ext.get("msgId").map_or(1, |ids| ids.split(',').count());
        lab.settle(topic, 0, i64::try_from(count).unwrap());
        let group = lab.group();
        lab.ask(pull(&group, topic, 0));
    }
}

/// Republishes a message that failed so often, and looks where it went.
fn retried(lab: &mut Lab, times: i32, limit: Option<i32>) {
    let group = lab.group();
    let topic = format!("%RETRY%{group}");
    let call = message(&topic, 0, &[("RETRY_TOPIC", "T")]).with("j", times);
    lab.ask(limit.map_or(call.clone(), |limit| call.with("l", limit)));
    lab.find(&[topic, format!("%DLQ%{group}")]);
}

/// Sends with a delay level, and waits for the delivery.
fn delay(lab: &mut Lab, level: &str) {
    let topic = lab.topic(1);
    // It is stored in the queue of its level, which all scripts share.
    lab.ask_without(message(&topic, 0, &[("DELAY", level)]), "field queueOffset");
    lab.settle(&topic, 0, 1);
    let group = lab.group();
    lab.ask(pull(&group, &topic, 0));
}

fn lacking(lab: &mut Lab, key: &str) {
    let topic = lab.topic(1);
    lab.ask(message(&topic, 0, &[]).without(key));
}

/// A send with the long names of 10.
pub(super) fn long(topic: &str) -> Call {
    Call::new(SEND_LONG)
        .with("producerGroup", "PG_parity")
        .with("topic", topic)
        .with("defaultTopic", "TBW102")
        .with("defaultTopicQueueNums", 4)
        .with("queueId", 0)
        .with("sysFlag", 0)
        .with("bornTimestamp", BORN)
        .with("flag", 0)
        .with("properties", "UNIQ_KEY\u{1}K1\u{2}")
        .with("reconsumeTimes", 0)
        .with("unitMode", false)
        .with("batch", false)
        .body("a body")
}

/// A batch with one message for each tag.
pub(super) fn batch_of(topic: &str, queue_id: i32, tags: &[&str]) -> Call {
    let encoded = |tag: &&str| {
        let tag = [("UNIQ_KEY", "K2"), ("TAGS", *tag)].into_iter().filter(|(_, value)| !value.is_empty());
        properties::encode(tag).expect("legal properties")
    };
    let pairs: Vec<String> = tags.iter().map(encoded).collect();
    let item = |pairs: &'_ String| -> Vec<u8> {
        let mut out = Vec::new();
        batch::push(&BatchItem { flag: 5, body: b"one of many", properties: pairs.as_bytes() }, &mut out).unwrap();
        out
    };
    let body: Vec<u8> = pairs.iter().flat_map(item).collect();
    message(topic, queue_id, &[]).code(BATCH).with("m", true).body(body)
}

const SEND_LONG: i32 = 10;
const SEND: i32 = 310;
const BATCH: i32 = 320;
const RECALL: i32 = 370;
/// The longest body.
const MAX_BODY: usize = 4 * 1024 * 1024;
