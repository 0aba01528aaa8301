//! Replies to request messages, as brokers hand them over.

use super::*;
use crate::client::ServerVerdict;
use crate::config::{Permission, ServerPolicy};

const PUSH: i32 = request::PUSH_REPLY_MESSAGE_TO_CLIENT;
const FIELDS: [(&str, &str); 9] = [
    ("producerGroup", "answers"),
    ("topic", "c_REPLY_TOPIC"),
    ("queueId", "3"),
    ("sysFlag", "0"),
    ("bornTimestamp", "17"),
    ("flag", "7"),
    ("properties", "CORRELATION_ID\u{1}C1\u{2}KEYS\u{1}k\u{2}"),
    ("bornHost", "10.0.0.7:5"),
    ("storeTimestamp", "19"),
];

fn connected(policy: ServerPolicy) -> World {
    let mut world = World::with(NS, |config| config.server_policy = policy);
    world.command(Command::Open);
    world.run();
    world
}

#[test]
fn a_reply_is_handed_on_as_a_message_and_answered() {
    let mut world = connected(ServerPolicy::default());
    let answer = world.asks(NS, PUSH, &FIELDS, b"!".to_vec()).expect("an answer");
    assert_eq!((answer.header.code, world.verdict()), (response::SUCCESS, (ServerVerdict::Done, 1)));
    let reply = world.replies.pop().expect("a reply");
    assert_eq!(reply.correlation, "C1");
    assert_eq!(reply.message.queue().topic.as_str(), "c_REPLY_TOPIC");
    assert_eq!(reply.message.body().unwrap(), "!");
    let crate::dispatch::Content::Record(record) = &reply.message.item().unwrap().content else { panic!("a record") };
    let frame = &reply.message.batch.frame;
    assert_eq!((record.flag, record.queue_id, record.born_timestamp, record.store_timestamp), (7, 3, 17, 19));
    assert_eq!(record.born_host, "10.0.0.7:5".parse().unwrap());
    assert_eq!(record.property(frame, "KEYS"), Some("k"));
    assert!(record.property(frame, "ARRIVE_TIME").is_some_and(|time| time.parse::<u64>().is_ok()));
}

#[test]
fn brokers_of_4_9_leave_the_last_separator_out() {
    let mut world = connected(ServerPolicy::default());
    let fields = FIELDS.map(|(key, value)| (key, value.trim_end_matches('\u{2}')));
    world.asks(NS, PUSH, &fields, b"!".to_vec()).expect("an answer");
    let reply = world.replies.pop().expect("a reply");
    let crate::dispatch::Content::Record(record) = &reply.message.item().unwrap().content else { panic!("a record") };
    let property = |key| record.property(&reply.message.batch.frame, key);
    assert_eq!((property("KEYS"), property("ARRIVE_TIME").is_some()), (Some("k"), true));
}

#[test]
fn replies_that_make_no_sense_or_are_not_allowed_are_refused() {
    let mut world = connected(ServerPolicy::default());
    let without: Vec<_> = FIELDS.into_iter().filter(|(key, _)| *key != "properties").collect();
    let answer = world.asks(NS, PUSH, &without, b"!".to_vec()).expect("an answer");
    assert_eq!((answer.header.code, world.verdict().0), (response::SYSTEM_ERROR, ServerVerdict::Malformed));
    let answer = world.asks(NS, PUSH, &FIELDS[..3], b"!".to_vec()).expect("an answer");
    assert_eq!((answer.header.code, world.verdict().0), (response::SYSTEM_ERROR, ServerVerdict::Malformed));
    let mut strict = connected(ServerPolicy { push_replies: Permission::Deny, ..ServerPolicy::default() });
    strict.asks(NS, PUSH, &FIELDS, b"!".to_vec()).expect("an answer");
    assert_eq!(strict.verdict().0, ServerVerdict::Refused);
    assert!(world.replies.is_empty() && strict.replies.is_empty());
}
