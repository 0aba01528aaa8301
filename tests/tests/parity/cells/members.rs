//! Who is in which group, and who is told of it.

use rocketmq_core::wire::body::{ConsumerData, HeartbeatData, MessageModel};
use rocketmq_core::wire::request::{GetConsumerList, UnregisterClient};

use super::{Cell, cell};
use crate::call::Call;
use crate::lab::{Lab, heartbeat};

pub(super) fn cells() -> Vec<Cell> {
    vec![
        cell(BEAT, "producer", |lab| {
            let beat = lab.producer_beat(0);
            lab.ask(heartbeat(&beat));
        }),
        cell(BEAT, "consumer", |lab| {
            let topic = lab.topic(1);
            lab.ask(heartbeat(&lab.beat(0, &[(&topic, "A||B")])));
        }),
        cell(BEAT, "consumer of several topics", |lab| {
            let topic = lab.topic(1);
            lab.ask(heartbeat(&lab.beat(0, &[(&topic, "A"), ("another", "*"), ("a-third", "C")])));
        }),
        cell(BEAT, "the same again", |lab| {
            let topic = lab.topic(1);
            lab.join(0, &[(&topic, "A")]);
            lab.ask(heartbeat(&lab.beat(0, &[(&topic, "A")])));
        }),
        cell(BEAT, "another expression", |lab| {
            let topic = lab.topic(1);
            lab.join(0, &[(&topic, "A")]);
            lab.ask(heartbeat(&lab.beat(0, &[(&topic, "B")])));
        }),
        cell(BEAT, "another topic", |lab| {
            let topic = lab.topic(1);
            lab.join(0, &[(&topic, "A")]);
            lab.ask(heartbeat(&lab.beat(0, &[(&topic, "A"), ("another", "*")])));
        }),
        cell(BEAT, "consumer of no topic", |lab| drop(lab.ask(heartbeat(&lab.beat(0, &[]))))),
        cell(BEAT, "no groups", |lab| {
            let beat = HeartbeatData { client_id: lab.client_id(0).as_str().into(), ..HeartbeatData::default() };
            lab.ask(heartbeat(&beat));
        }),
        cell(BEAT, "broadcasting consumer", |lab| {
            let mut beat = lab.beat(0, &[("T", "*")]);
            beat.consumers[0].message_model = MessageModel::Broadcasting;
            lab.ask(heartbeat(&beat));
        }),
        cell(BEAT, "group with too long a name", |lab| {
            let mut beat = lab.beat(0, &[("T", "*")]);
            beat.consumers[0].group = format!("{:g<121}", lab.name("")).as_str().into();
            lab.ask(heartbeat(&beat));
        }),
        cell(BEAT, "as few fields as there may be", |lab| {
            let (client, group) = (lab.client_id(0), lab.group());
            let body = format!(
                "{{\"clientID\":\"{client}\",\"consumerDataSet\":[{{\"groupName\":\"{group}\",\
                 \"subscriptionDataSet\":[{{\"topic\":\"T\",\"subString\":\"*\"}}]}}]}}"
            );
            lab.ask(Call::new(BEAT).body(body));
            lab.ask(list(&group));
        }),
        cell(BEAT, "fields that nobody knows", |lab| {
            let client = lab.client_id(0);
            lab.ask(Call::new(BEAT).body(format!("{{\"clientID\":\"{client}\",\"colour\":\"blue\"}}")));
        }),
        cell(BEAT, "garbage for a body", |lab| drop(lab.ask(Call::new(BEAT).body("hello")))),
        cell(BEAT, "no body", |lab| drop(lab.ask(Call::new(BEAT)))),
        cell(BEAT, "binary header", |lab| {
            lab.ask(heartbeat(&lab.beat(0, &[("T", "*")])).binary());
        }),
        cell(BEAT, "oneway", |lab| {
            let asked = lab.tell_as(0, heartbeat(&lab.beat(0, &[("T", "*")])).oneway());
            lab.forget_pushes(0);
            lab.silence(asked);
            let group = lab.group();
            lab.ask(list(&group));
        }),
        cell(BEAT, "with a fingerprint", |lab| {
            let beat = fingerprinted(lab, 7);
            lab.ask(heartbeat(&beat));
        }),
        cell(BEAT, "light, with the fingerprint of before", |lab| {
            let beat = fingerprinted(lab, 7);
            lab.must(heartbeat(&beat));
            lab.ask(heartbeat(&beat.light()));
        }),
        cell(BEAT, "light, with another fingerprint", |lab| {
            lab.must(heartbeat(&fingerprinted(lab, 7)));
            lab.ask(heartbeat(&fingerprinted(lab, 8).light()));
        }),
        cell(BEAT, "light, of an unknown group", |lab| {
            lab.ask(heartbeat(&fingerprinted(lab, 7).light()));
            let group = lab.group();
            lab.ask(list(&group));
        }),
        cell(BEAT, "light, without a fingerprint", |lab| {
            lab.must(heartbeat(&fingerprinted(lab, 0)));
            lab.ask(heartbeat(&fingerprinted(lab, 0).light()));
        }),
        cell(BEAT, "light, after one without a fingerprint", |lab| {
            lab.must(heartbeat(&fingerprinted(lab, 0)));
            lab.ask(heartbeat(&fingerprinted(lab, 7).light()));
        }),
        cell(LEAVE, "consumer", |lab| {
            lab.join(0, &[("T", "*")]);
            lab.ask(leave(lab, 0));
            let group = lab.group();
            lab.ask(list(&group));
        }),
        cell(LEAVE, "producer", |lab| {
            lab.must(heartbeat(&lab.producer_beat(0)));
            let client = lab.client_id(0);
            let group = lab.name("_P");
            lab.ask(UnregisterClient {
                client_id: client.as_str().into(),
                producer_group: Some(group.as_str().into()),
                consumer_group: None,
            });
        }),
        cell(LEAVE, "one of two consumers", |lab| {
            lab.join(0, &[("T", "*")]);
            lab.join(1, &[("T", "*")]);
            lab.ask(leave(lab, 0));
            let group = lab.group();
            lab.ask_as(1, list(&group));
        }),
        cell(LEAVE, "client that never came", |lab| drop(lab.ask(leave(lab, 0)))),
        cell(LEAVE, "on a link of another member", |lab| {
            lab.join(0, &[("T", "*")]);
            lab.ask_as(1, leave(lab, 0));
            let group = lab.group();
            lab.ask(list(&group));
        }),
        cell(LEAVE, "no group", |lab| drop(lab.ask(leave(lab, 0).without("consumerGroup")))),
        cell(LEAVE, "no client", |lab| drop(lab.ask(leave(lab, 0).without("clientID")))),
        cell(LEAVE, "oneway", |lab| {
            lab.join(0, &[("T", "*")]);
            lab.forget_pushes(0);
            let asked = lab.tell_as(0, leave(lab, 0).oneway());
            lab.silence(asked);
            let group = lab.group();
            lab.ask(list(&group));
        }),
        cell(LIST, "no members", |lab| {
            let group = lab.group();
            lab.ask(list(&group));
        }),
        cell(LIST, "one member", |lab| {
            lab.join(0, &[("T", "*")]);
            let group = lab.group();
            lab.ask(list(&group));
        }),
        cell(LIST, "three members", |lab| {
            (0..3).for_each(|client| lab.join(client, &[("T", "*")]));
            let group = lab.group();
            lab.ask(list(&group));
        }),
        cell(LIST, "one client on two links", |lab| {
            let beat = lab.beat(0, &[("T", "*")]);
            lab.must_as(0, heartbeat(&beat));
            lab.must_as(1, heartbeat(&beat));
            let group = lab.group();
            lab.ask(list(&group));
        }),
        cell(LIST, "two clients on one link", |lab| {
            lab.must(heartbeat(&lab.beat(0, &[("T", "*")])));
            lab.must(heartbeat(&lab.beat(1, &[("T", "*")])));
            let group = lab.group();
            lab.ask(list(&group));
        }),
        cell(LIST, "group of producers", |lab| {
            lab.must(heartbeat(&lab.producer_beat(0)));
            let group = lab.name("_P");
            lab.ask(list(&group));
        }),
        cell(LIST, "two groups of one client", |lab| {
            let mut beat = lab.beat(0, &[("T", "*")]);
            let second = lab.name("_G2");
            let topics = beat.consumers[0].subscriptions.clone();
            let consumer =
                ConsumerData { group: second.as_str().into(), subscriptions: topics, ..ConsumerData::default() };
            beat.consumers.push(consumer);
            lab.must(heartbeat(&beat));
            let first = lab.group();
            lab.ask(list(&first));
            lab.ask(list(&second));
        }),
        cell(LIST, "no group", |lab| drop(lab.ask(list("G").without("consumerGroup")))),
        cell(LIST, "binary header", |lab| {
            lab.join(0, &[("T", "*")]);
            let group = lab.group();
            lab.ask(list(&group).binary());
        }),
        cell(CHECK, "tags", |lab| checked(lab, "TAG", "A||B")),
        cell(CHECK, "SQL where it is off", |lab| checked(lab, "SQL92", "a > 1")),
        cell(CHECK, "garbage for a body", |lab| drop(lab.ask(Call::new(CHECK).body("hello")))),
        cell(CHECK, "no body", |lab| drop(lab.ask(Call::new(CHECK)))),
    ]
}

/// What the broker says of its own accord.
pub(super) fn told() -> Vec<Cell> {
    vec![
        cell(CHANGED, "first member joins", |lab| {
            lab.join(0, &[("T", "*")]);
            lab.pushes(0, 1);
        }),
        cell(CHANGED, "second member joins", |lab| {
            lab.join(0, &[("T", "*")]);
            lab.forget_pushes(0);
            lab.join(1, &[("T", "*")]);
            lab.pushes(0, 1);
            lab.pushes(1, 1);
        }),
        cell(CHANGED, "a member leaves", |lab| {
            pair(lab);
            lab.must_as(1, leave(lab, 1));
            lab.pushes(0, 1);
        }),
        cell(CHANGED, "a member's link closes", |lab| {
            pair(lab);
            lab.hang_up(1);
            lab.pushes(0, 1);
            let group = lab.group();
            lab.ask(list(&group));
        }),
        cell(CHANGED, "a topic more", |lab| {
            pair(lab);
            lab.join(1, &[("T", "*"), ("another", "*")]);
            lab.pushes(0, 1);
            lab.pushes(1, 1);
        }),
        cell(CHANGED, "a topic less", |lab| {
            lab.join(0, &[("T", "*"), ("another", "*")]);
            lab.forget_pushes(0);
            lab.join(0, &[("T", "*")]);
            lab.pushes(0, 1);
        }),
        cell(CHANGED, "only the expression changes", |lab| {
            pair(lab);
            let mut beat = lab.beat(1, &[("T", "A")]);
            beat.consumers[0].subscriptions[0].sub_version += 1;
            lab.must_as(1, heartbeat(&beat));
            note_silence(lab);
        }),
        cell(CHANGED, "a member's heartbeat again", |lab| {
            pair(lab);
            lab.join(1, &[("T", "*")]);
            note_silence(lab);
        }),
        cell(CHANGED, "another group changes", |lab| {
            pair(lab);
            let mut beat = lab.beat(2, &[("T", "*")]);
            beat.consumers[0].group = lab.name("_G2").as_str().into();
            lab.must_as(2, heartbeat(&beat));
            note_silence(lab);
        }),
        cell(CHANGED, "a producer joins", |lab| {
            pair(lab);
            lab.must_as(2, heartbeat(&lab.producer_beat(2)));
            note_silence(lab);
        }),
        cell(CHANGED, "a client leaves that never came", |lab| {
            pair(lab);
            lab.must_as(2, leave(lab, 2));
            note_silence(lab);
        }),
        cell(CHANGED, "a second broadcasting member joins", |lab| {
            broadcasting_pair(lab);
            lab.pushes(1, 0);
            told_when_shared(lab);
        }),
        cell(CHANGED, "a broadcasting member leaves", |lab| {
            broadcasting_pair(lab);
            lab.must_as(1, leave(lab, 1));
            told_when_shared(lab);
        }),
        cell(CHANGED, "a broadcasting member's link closes", |lab| {
            broadcasting_pair(lab);
            lab.hang_up(1);
            told_when_shared(lab);
        }),
        cell(CHANGED, "a light heartbeat of a new member", |lab| {
            pair(lab);
            let mut beat = lab.beat(2, &[("T", "*")]);
            beat.heartbeat_fingerprint = 7;
            lab.must_as(2, heartbeat(&beat.light()));
            lab.pushes(0, 1);
        }),
    ]
}

pub(super) fn leave(lab: &Lab, client: usize) -> Call {
    Call::of(&UnregisterClient {
        client_id: lab.client_id(client).as_str().into(),
        producer_group: None,
        consumer_group: Some(lab.group().as_str().into()),
    })
}

fn list(group: &str) -> Call {
    Call::of(&GetConsumerList { group: group.into() })
}

/// Two members that have heard all about each other.
fn pair(lab: &mut Lab) {
    lab.join(0, &[("T", "*")]);
    lab.join(1, &[("T", "*")]);
    lab.forget_pushes(0);
    lab.forget_pushes(1);
}

/// Two members that each get all messages.
fn broadcasting_pair(lab: &mut Lab) {
    for client in [0, 1] {
        let mut beat = lab.beat(client, &[("T", "*")]);
        beat.consumers[0].message_model = MessageModel::Broadcasting;
        lab.must_as(client, heartbeat(&beat));
    }
}

/// Notes what a member heard so far, and that it is told as soon as one says that the group shares its messages.
fn told_when_shared(lab: &mut Lab) {
    lab.pushes(0, 0);
    lab.join(2, &[("T", "*")]);
    lab.pushes(0, 1);
}

/// Nobody of the pair is told anything, which the next change shows, since they are told of that.
fn note_silence(lab: &mut Lab) {
    lab.pushes(0, 0);
    lab.pushes(1, 0);
    lab.join(3, &[("T", "*")]);
    lab.pushes(0, 1);
}

fn fingerprinted(lab: &Lab, fingerprint: i32) -> HeartbeatData {
    HeartbeatData { heartbeat_fingerprint: fingerprint, ..lab.beat(0, &[("T", "A")]) }
}

fn checked(lab: &mut Lab, kind: &str, expression: &str) {
    let (client, group) = (lab.client_id(0), lab.group());
    let body = format!(
        "{{\"clientId\":\"{client}\",\"group\":\"{group}\",\"subscriptionData\":{{\"expressionType\":\"{kind}\",\
         \"subString\":\"{expression}\",\"topic\":\"T\"}}}}"
    );
    lab.ask(Call::new(CHECK).body(body));
}

const BEAT: i32 = 34;
const LEAVE: i32 = 35;
const LIST: i32 = 38;
const CHANGED: i32 = 40;
const CHECK: i32 = 46;
