//! What a script works with: connections to one side, and the transcript of what they heard.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rocketmq_core::ids::Opaque;
use rocketmq_core::time::UnixMillis;
use rocketmq_core::wire::body::{ConsumerData, HeartbeatData, ProducerData, SubscriptionData};
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::header::Preamble;
use rocketmq_core::wire::message::{Entry, OffsetMsgId, Record, RecordLimits, walk};
use rocketmq_core::wire::request::{Fields, QueueOffsetResponse, SendMessageResponse};
use rocketmq_core::wire::{Codec, Frame};

use crate::call::{BORN, Call, create, max_offset, message, pull, route};
use crate::essence::{Roles, Transcript};
use crate::link::Link;

/// The servers of one side: models or real ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub(crate) name_server: SocketAddr,
    pub(crate) broker: SocketAddr,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    NameServer,
    Client(usize),
}

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    at: At,
    opaque: Opaque,
    code: i32,
}

/// One side as one script sees it. Client 0 speaks unless said otherwise.
pub(crate) struct Lab {
    side: Side,
    prefix: String,
    links: BTreeMap<At, Link>,
    roles: Roles,
    transcript: Transcript,
    codes: BTreeSet<i32>,
    steps: usize,
    opaque: i32,
}

impl Lab {
    /// A lab of which all names begin with `prefix`.
    pub(crate) fn new(side: Side, prefix: String) -> Self {
        let mut roles = Roles::default();
        roles.name(side.name_server, "name server");
        roles.name(side.broker, "broker");
        let (links, transcript) = (BTreeMap::new(), Transcript::new());
        Self { side, prefix, links, roles, transcript, codes: BTreeSet::new(), steps: 0, opaque: 0 }
    }

    /// What was heard, and the codes of the requests and pushes that this was about.
    pub(crate) fn finish(self) -> (Transcript, BTreeSet<i32>) {
        (self.transcript, self.codes)
    }

    /// A name of this script's own.
    pub(crate) fn name(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.prefix)
    }

    pub(crate) fn group(&self) -> String {
        self.name("_G")
    }

    /// Asks the broker and notes the answer.
    pub(crate) fn ask(&mut self, call: impl Into<Call>) -> Frame {
        self.ask_as(0, call)
    }

    /// The same, but for one field of the answer.
    pub(crate) fn ask_without(&mut self, call: impl Into<Call>, field: &str) -> Frame {
        let frame = self.ask(call);
        let key = (format!("{:02}", self.steps), field.to_owned());
        assert!(self.transcript.remove(&key).is_some(), "there is no {field} to leave out");
        frame
    }

    /// The same, but for some fields of the answer, which may be there.
    pub(crate) fn ask_without_any(&mut self, call: impl Into<Call>, fields: &[&str]) -> Frame {
        let asked = self.tell_as(0, call);
        self.answer_without(asked, fields)
    }

    /// Notes the answer to a request, but for some fields that may be there.
    pub(crate) fn answer_without(&mut self, asked: Asked, fields: &[&str]) -> Frame {
        let frame = self.answer(asked);
        for field in fields {
            self.transcript.remove(&(format!("{:02}", self.steps), format!("field {field}")));
        }
        frame
    }

    /// Notes the answer, but for some of its lines that may be there.
    pub(crate) fn ask_but(&mut self, call: impl Into<Call>, lines: &[&str]) -> Frame {
        let frame = self.ask(call);
        for line in lines {
            self.transcript.remove(&(format!("{:02}", self.steps), (*line).to_owned()));
        }
        frame
    }

    /// Asks until something is found.
    pub(crate) fn await_found(&mut self, call: &Call) {
        let until = Instant::now() + PATIENCE;
        loop {
            let asked = self.tell_as(0, call.clone());
            let frame = self.link(asked.at).answer(asked.opaque, PATIENCE).expect("an answer");
            if frame.header.code == 0 {
                return;
            }
            assert!(Instant::now() < until, "never found: {call:?}");
            std::thread::sleep(POLL);
        }
    }

    /// The only member of the group hangs up, and the broker has seen it.
    pub(crate) fn leave(&mut self) {
        self.hang_up(0);
        let call = Call::new(request::GET_CONSUMER_CONNECTION_LIST).with("consumerGroup", self.group());
        let until = Instant::now() + PATIENCE;
        loop {
            let asked = self.tell_as(1, call.clone());
            let frame = self.link(asked.at).answer(asked.opaque, PATIENCE).expect("an answer");
            if frame.header.code == response::CONSUMER_NOT_ONLINE {
                return;
            }
            assert!(Instant::now() < until, "the member is never gone");
            std::thread::sleep(POLL);
        }
    }

    /// Pops until there is a message, or the server says that it knows no such request, and notes the answer but for
    /// the checkpoint, of which both sides have another.
    pub(crate) fn await_pop(&mut self, call: Call) -> Frame {
        let until = Instant::now() + PATIENCE;
        loop {
            let call = call.clone().with("bornTime", now_millis());
            let asked = self.tell_as(0, call);
            let frame = self.link(asked.at).answer(asked.opaque, PATIENCE).expect("an answer");
            if frame.header.code != response::POLLING_TIMEOUT {
                self.note_frame(&frame, asked.code);
                let step = format!("{:02}", self.steps);
                self.transcript
                    .retain(|(at, what), _| *at != step || !(what == "field reviveQid" || what.ends_with("POP_CK")));
                return frame;
            }
            assert!(Instant::now() < until, "nothing to pop");
            std::thread::sleep(POLL * 10);
        }
    }

    /// Lets time pass.
    pub(crate) fn rest(&self, millis: u64) {
        std::thread::sleep(Duration::from_millis(millis));
    }

    /// Asks for what the script needs, from a server that may not know it.
    pub(crate) fn try_set(&mut self, call: Call) {
        let asked = self.tell_as(0, call);
        assert!(self.link(asked.at).answer(asked.opaque, PATIENCE).is_some(), "no answer");
    }

    /// A topic with so many queues that the name server knows.
    pub(crate) fn announced(&mut self, queues: i32) -> String {
        let topic = self.topic(queues);
        self.await_route(&topic);
        topic
    }

    /// Waits until the name server knows a topic.
    pub(crate) fn await_route(&mut self, topic: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let asked = self.tell(At::NameServer, route(topic));
            let frame = self.link(asked.at).answer(asked.opaque, PATIENCE).expect("an answer");
            if frame.header.code == 0 {
                return;
            }
            assert!(Instant::now() < until, "the name server never learns of {topic}");
            std::thread::sleep(POLL);
        }
    }

    /// The same as another client.
    pub(crate) fn ask_as(&mut self, client: usize, call: impl Into<Call>) -> Frame {
        let asked = self.tell_as(client, call);
        self.answer(asked)
    }

    /// Asks the name server and notes the answer.
    pub(crate) fn ask_names(&mut self, call: impl Into<Call>) -> Frame {
        let asked = self.tell(At::NameServer, call.into());
        self.answer(asked)
    }

    /// The same, but for some lines of the answer that may be there.
    pub(crate) fn ask_names_but(&mut self, call: impl Into<Call>, lines: &[&str]) {
        self.ask_names(call);
        for line in lines {
            self.transcript.remove(&(format!("{:02}", self.steps), (*line).to_owned()));
        }
    }

    /// Asks the name server what it may leave unanswered, and notes what it does.
    pub(crate) fn ask_names_in_vain(&mut self, call: impl Into<Call>) {
        let asked = self.tell(At::NameServer, call.into());
        if self.link(asked.at).answered(asked.opaque, QUIET * 4) {
            self.answer(asked);
        } else {
            self.silence(asked);
        }
    }

    /// Sends a request whose answer comes later, or never.
    pub(crate) fn tell_as(&mut self, client: usize, call: impl Into<Call>) -> Asked {
        self.tell(At::Client(client), call.into())
    }

    pub(crate) fn tell_names(&mut self, call: impl Into<Call>) -> Asked {
        self.tell(At::NameServer, call.into())
    }

    /// Notes the answer to a request.
    pub(crate) fn answer(&mut self, asked: Asked) -> Frame {
        let frame = self.link(asked.at).answer(asked.opaque, PATIENCE);
        let Some(frame) = frame else { panic!("no answer to request {} within {PATIENCE:?}", asked.code) };
        self.note_frame(&frame, asked.code);
        frame
    }

    /// Notes whether a request is still unanswered after a while.
    pub(crate) fn held(&mut self, asked: Asked) {
        let answered = self.link(asked.at).answered(asked.opaque, QUIET);
        self.codes.insert(asked.code);
        self.note("held", if answered { "no" } else { "yes" });
    }

    /// Notes that a request stays without an answer although later ones are answered.
    pub(crate) fn silence(&mut self, asked: Asked) {
        let probe = Call::new(request::GET_BROKER_CLUSTER_INFO).with("probe", "1");
        let probe = self.tell(asked.at, probe);
        assert!(self.link(asked.at).answer(probe.opaque, PATIENCE).is_some(), "the server still answers");
        let answered = self.link(asked.at).answered(asked.opaque, QUIET);
        self.codes.insert(asked.code);
        self.note("answered", if answered { "yes" } else { "no" });
        let unheard = self.link(asked.at).unheard();
        self.note("heard besides", &unheard.to_string());
    }

    /// Notes the requests of the broker to a client, of which so many are expected.
    pub(crate) fn pushes(&mut self, client: usize, expected: usize) {
        let link = self.link(At::Client(client));
        let mut pushes = link.pushes(expected, PATIENCE);
        pushes.extend(link.pushes(usize::MAX, QUIET));
        self.note("pushes", &pushes.len().to_string());
        for push in pushes {
            self.note_frame(&push, push.header.code);
        }
    }

    /// The broker asks a client this, which is noted, and is answered so.
    pub(crate) fn serve(&mut self, client: usize, code: i32, answer: i32, body: &str) {
        let link = self.link(At::Client(client));
        let asked = link.pushes(1, PATIENCE).pop().expect("the broker asks");
        assert_eq!(asked.header.code, code, "{asked:?}");
        let preamble = Preamble::response(answer, Codec::Json);
        let frame = preamble.encode(|_| (), Bytes::copy_from_slice(body.as_bytes()));
        self.link(At::Client(client)).write(&frame.to_bytes(asked.header.opaque));
        self.note_frame(&asked, code);
    }

    /// The broker asks a client what becomes of a half message, which is noted but for its place among those of other
    /// scripts; the word on it, without its end.
    pub(crate) fn asked_about(&mut self, client: usize) -> Call {
        let link = self.link(At::Client(client));
        let asked = link.pushes(1, PATIENCE).pop().expect("the broker asks");
        let ext = &asked.header.ext;
        let mut word = Call::new(request::END_TRANSACTION);
        for key in ["tranStateTableOffset", "commitLogOffset", "msgId", "transactionId"] {
            word = word.with(key, ext.get(key).expect("a field of the question"));
        }
        let step = self.step();
        self.codes.insert(asked.header.code);
        for (what, value) in self.roles.read(&asked, true) {
            let of_others = ["field tranStateTableOffset", "field commitLogOffset"].contains(&what.as_str());
            let value = if of_others { "a place".to_owned() } else { value };
            if what.ends_with(" born") {
                continue;
            }
            let what = match what.strip_prefix("message ").and_then(|rest| rest.split_once(' ')) {
                Some((_, what)) => format!("message {what}"),
                None => what,
            };
            self.transcript.insert((step.clone(), what), value);
        }
        word
    }

    /// Where the broker is.
    pub(crate) fn broker(&self) -> SocketAddr {
        self.side.broker
    }

    /// Forgets what the broker said unasked.
    pub(crate) fn forget_pushes(&mut self, client: usize) {
        self.link(At::Client(client)).pushes(usize::MAX, QUIET);
    }

    /// Writes bytes that are no frame, and notes whether the broker closes.
    pub(crate) fn write_bytes(&mut self, code: i32, bytes: &[u8]) {
        let link = self.link(At::Client(0));
        link.write(bytes);
        let closes = link.closes(QUIET * 4);
        self.codes.insert(code);
        self.note("closed", if closes { "yes" } else { "no" });
    }

    pub(crate) fn hang_up(&mut self, client: usize) {
        self.links.remove(&At::Client(client));
    }

    /// Asks for what the script needs and is not about; it must succeed.
    pub(crate) fn must(&mut self, call: impl Into<Call>) -> Frame {
        self.must_as(0, call)
    }

    pub(crate) fn must_as(&mut self, client: usize, call: impl Into<Call>) -> Frame {
        let call = call.into();
        let asked = self.tell_as(client, call.clone());
        let frame = self.link(asked.at).answer(asked.opaque, PATIENCE).expect("an answer");
        assert_eq!(frame.header.code, 0, "{call:?}: {:?}", frame.header.remark);
        frame
    }

    /// A topic with so many queues.
    pub(crate) fn topic(&mut self, queues: i32) -> String {
        let topic = self.name("");
        self.must(create(&topic, queues));
        topic
    }

    /// A topic whose only queue has a message for each tag.
    pub(crate) fn topic_with(&mut self, tags: &[&str]) -> String {
        let topic = self.topic(1);
        for tag in tags {
            self.send(&topic, tag);
        }
        topic
    }

    /// Stores a message in queue 0 and waits until it can be pulled; gives its position in the log.
    pub(crate) fn send(&mut self, topic: &str, tag: &str) -> i64 {
        self.send_call(topic, message(topic, 0, &[("TAGS", tag)]).body(format!("body {tag}")))
    }

    /// The same with a message made before.
    pub(crate) fn send_call(&mut self, topic: &str, call: Call) -> i64 {
        let frame = self.must(call);
        let sent = SendMessageResponse::read(&frame.header.ext).expect("a send's answer");
        self.settle(topic, sent.queue_id, sent.queue_offset + 1);
        let first = sent.msg_id.split(',').next().unwrap_or_default();
        first.parse::<OffsetMsgId>().expect("an id made of a position").physical_offset
    }

    /// Waits until a queue is so long.
    pub(crate) fn settle(&mut self, topic: &str, queue_id: i32, end: i64) {
        let until = Instant::now() + PATIENCE;
        while self.end(topic, queue_id) < end {
            assert!(Instant::now() < until, "queue {queue_id} of {topic} never ends at {end}");
            std::thread::sleep(POLL);
        }
    }

    /// Waits for the first message in queue 0 of one of these topics, notes in which it is and pulls it.
    pub(crate) fn find(&mut self, topics: &[String]) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(topic) = topics.iter().find(|topic| self.end(topic, 0) > 0) {
                self.note("found in", topic);
                let group = self.group();
                self.ask(pull(&group, topic, 0));
                return;
            }
            assert!(Instant::now() < until, "no message in any of {topics:?}");
            std::thread::sleep(POLL);
        }
    }

    /// Waits until the name server's answer has this text (or code 0 for an empty one), and notes it.
    pub(crate) fn route_with(&mut self, call: &Call, text: &str) -> Frame {
        let until = Instant::now() + PATIENCE;
        loop {
            let asked = self.tell(At::NameServer, call.clone());
            let frame = self.link(asked.at).answer(asked.opaque, PATIENCE).expect("an answer");
            let there = frame.header.code == 0 && String::from_utf8_lossy(&frame.body).contains(text);
            if there || Instant::now() > until {
                self.note_frame(&frame, asked.code);
                return frame;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until the name server knows a topic, and notes its route.
    pub(crate) fn route(&mut self, topic: &str) -> Frame {
        self.route_with(&route(topic), "")
    }

    /// A heartbeat of a consumer with its subscriptions: (topic, expression).
    pub(crate) fn beat(&self, client: usize, topics: &[(&str, &str)]) -> HeartbeatData {
        let data = |(topic, tags): &(&str, &str)| {
            SubscriptionData::tags((*topic).into(), tags, UnixMillis(BORN)).expect("a legal expression")
        };
        let consumer = ConsumerData {
            group: self.group().as_str().into(),
            subscriptions: topics.iter().map(data).collect(),
            ..ConsumerData::default()
        };
        let client_id = self.client_id(client).as_str().into();
        HeartbeatData { client_id, consumers: vec![consumer], ..HeartbeatData::default() }
    }

    pub(crate) fn producer_beat(&self, client: usize) -> HeartbeatData {
        let client_id = self.client_id(client).as_str().into();
        let producers = vec![ProducerData { group: self.name("_P").as_str().into() }];
        HeartbeatData { client_id, producers, ..HeartbeatData::default() }
    }

    pub(crate) fn client_id(&self, client: usize) -> String {
        self.name(&format!("@{client}"))
    }

    /// Makes a client a member of the group.
    pub(crate) fn join(&mut self, client: usize, topics: &[(&str, &str)]) {
        let beat = self.beat(client, topics);
        self.must_as(client, heartbeat(&beat));
    }

    /// Notes something.
    pub(crate) fn note(&mut self, what: &str, value: &str) {
        let step = self.step();
        self.transcript.insert((step, what.to_owned()), value.to_owned());
    }

    /// Where a queue ends.
    fn end(&mut self, topic: &str, queue_id: i32) -> i64 {
        let frame = self.must(max_offset(topic, queue_id));
        QueueOffsetResponse::read(&frame.header.ext).expect("an offset").offset.to_wire()
    }

    fn note_frame(&mut self, frame: &Frame, code: i32) {
        let with_message = frame.header.code == request::CONSUME_MESSAGE_DIRECTLY;
        let records = (MESSAGES.contains(&code) && frame.header.code == 0) || with_message;
        let lines = self.roles.read(frame, records);
        let step = self.step();
        self.codes.insert(code);
        for (what, value) in lines {
            self.transcript.insert((step.clone(), what), value);
        }
    }

    fn step(&mut self) -> String {
        self.steps += 1;
        format!("{:02}", self.steps)
    }

    fn tell(&mut self, at: At, call: Call) -> Asked {
        self.opaque += 1;
        let opaque = Opaque(self.opaque);
        let bytes = call.bytes(opaque);
        self.link(at).write(&bytes);
        Asked { at, opaque, code: call.code }
    }

    fn link(&mut self, at: At) -> &mut Link {
        self.links.entry(at).or_insert_with(|| match at {
            At::NameServer => Link::open(self.side.name_server),
            At::Client(number) => {
                let link = Link::open(self.side.broker);
                self.roles.name(link.local(), format!("client {number}"));
                link
            }
        })
    }
}

pub(crate) fn heartbeat(beat: &HeartbeatData) -> Call {
    Call::new(request::HEART_BEAT).body(beat.encode())
}

/// The wall clock, Unix milliseconds.
pub(crate) fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that was set");
    i64::try_from(since.as_millis()).expect("milliseconds fit for long")
}

/// When the messages of a pull's answer were stored.
pub(crate) fn store_times(body: &Bytes) -> Vec<i64> {
    records(body).map(|record| record.store_timestamp).collect()
}

/// Where in the log they are.
pub(crate) fn positions(body: &Bytes) -> Vec<i64> {
    records(body).map(|record| record.physical_offset).collect()
}

fn records(body: &Bytes) -> impl Iterator<Item = Record> {
    walk(body, RecordLimits::default()).filter_map(|entry| match entry {
        Entry::Record(record) => Some(record),
        Entry::Poison(_) | Entry::Rest(_) => None,
    })
}

/// Requests that are answered with messages.
const MESSAGES: [i32; 5] =
    [request::PULL_MESSAGE, 361, request::QUERY_MESSAGE, request::VIEW_MESSAGE_BY_ID, request::POP_MESSAGE];
/// How long an answer may take that must come.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long to wait for what must not come.
const QUIET: Duration = Duration::from_millis(400);
/// How often to look for what comes soon.
const POLL: Duration = Duration::from_millis(10);
