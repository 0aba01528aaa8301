//! A client that talks to one model broker in frames, and moves its clock.

use std::time::Duration;

use bytes::Bytes;
use rocketmq_core::ids::Opaque;
use rocketmq_core::time::{Instant, UnixMillis, Wakeup};
use rocketmq_core::wire::body::{ConsumerData, ConsumerList, HeartbeatData, SubscriptionData};
use rocketmq_core::wire::frame::EncodedFrame;
use rocketmq_core::wire::header::HeaderLimits;
use rocketmq_core::wire::message::{Entry, Record, RecordLimits, properties, walk};
use rocketmq_core::wire::request::{
    Fields, GetConsumerList, HeartBeat, PullMessage, PullMessageResponse, Request, SendMessage, SendMessageBack,
    SendMessageResponse,
};
use rocketmq_core::wire::{Codec, Frame, frame};
use rocketmq_testkit::cluster::{Broker, BrokerConfig, Output, SessionId};

pub struct Talk {
    pub broker: Broker,
    pub now: Instant,
    /// What the broker said unasked, or later than it was asked.
    pub heard: Vec<(SessionId, Frame)>,
    pub hung_up: Vec<SessionId>,
    opaque: i32,
    sessions: u64,
}

impl Talk {
    pub fn new(cfg: BrokerConfig) -> Self {
        let broker = Broker::new(cfg, Instant::ZERO);
        let (heard, hung_up) = (Vec::new(), Vec::new());
        Self { broker, now: Instant::ZERO, heard, hung_up, opaque: 0, sessions: 0 }
    }

    pub fn wall(&self) -> UnixMillis {
        UnixMillis(WALL).after(self.now.since(Instant::ZERO))
    }

    pub fn connect(&mut self) -> SessionId {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        self.broker.connected(session, format!("127.0.0.1:{}", 40_000 + self.sessions).parse().unwrap());
        session
    }

    /// Sends a request and gives its opaque.
    pub fn tell(&mut self, session: SessionId, request: &EncodedFrame) -> Opaque {
        self.opaque += 1;
        let opaque = Opaque(self.opaque);
        self.tell_bytes(session, &request.to_bytes(opaque));
        opaque
    }

    pub fn tell_bytes(&mut self, session: SessionId, bytes: &[u8]) {
        let (now, wall) = (self.now, self.wall());
        self.broker.handle(now, wall, session, decoded(bytes));
        self.listen();
    }

    /// Sends a request that is answered at once.
    pub fn ask(&mut self, session: SessionId, request: &EncodedFrame) -> Frame {
        let opaque = self.tell(session, request);
        self.answer(session, opaque).expect("an answer at once")
    }

    /// The answer to a request, if it came.
    pub fn answer(&mut self, session: SessionId, opaque: Opaque) -> Option<Frame> {
        let of = |(to, frame): &(SessionId, Frame)| {
            *to == session && frame.header.is_response() && frame.header.opaque == opaque
        };
        let at = self.heard.iter().position(of)?;
        Some(self.heard.remove(at).1)
    }

    /// Takes the oneway requests of the broker: (session, code).
    pub fn notices(&mut self) -> Vec<(SessionId, i32)> {
        let notices = self.heard.extract_if(.., |(_, frame)| !frame.header.is_response());
        notices.map(|(session, frame)| (session, frame.header.code)).collect()
    }

    /// Moves the clock, stopping wherever the broker wants to be called.
    pub fn advance(&mut self, by: Duration) {
        let end = self.now.after(by);
        loop {
            match self.broker.poll_timeout() {
                Wakeup::Now => {}
                Wakeup::At(at) if at <= end => self.now = self.now.max(at),
                Wakeup::At(_) | Wakeup::Never => break,
            }
            let (now, wall) = (self.now, self.wall());
            self.broker.handle_timeout(now, wall);
            self.listen();
        }
        self.now = end;
    }

    pub fn send(&mut self, session: SessionId, topic: &str, queue_id: i32, tag: &str) -> SendMessageResponse {
        let request = message(topic, queue_id, &[("TAGS", tag)]);
        let reply = self.ask(session, &request.encode(Codec::Json, Bytes::from(format!("body {tag}"))));
        assert_eq!(reply.header.code, 0, "{:?}", reply.header.remark);
        SendMessageResponse::read(&reply.header.ext).unwrap()
    }

    pub fn heartbeat(&mut self, session: SessionId, client: &str, group: &str, topics: &[(&str, &str)]) -> Frame {
        let beat = self.beat(client, group, topics);
        self.ask(session, &HeartBeat {}.encode(Codec::Json, beat.encode().into()))
    }

    pub fn beat(&self, client: &str, group: &str, topics: &[(&str, &str)]) -> HeartbeatData {
        let data = |(topic, tags): &(&str, &str)| SubscriptionData::tags((*topic).into(), tags, self.wall()).unwrap();
        let consumer = ConsumerData {
            group: group.into(),
            subscriptions: topics.iter().map(data).collect(),
            ..ConsumerData::default()
        };
        HeartbeatData { client_id: client.into(), consumers: vec![consumer], ..HeartbeatData::default() }
    }

    pub fn pull(&mut self, session: SessionId, request: &PullMessage) -> Pulled {
        let reply = self.ask(session, &request.encode(Codec::Json, Bytes::new()));
        Pulled::from(reply)
    }

    pub fn members(&mut self, session: SessionId, group: &str) -> Result<Vec<String>, (i32, Option<String>)> {
        let reply = self.ask(session, &GetConsumerList { group: group.into() }.encode(Codec::Json, Bytes::new()));
        match reply.header.code {
            0 => {
                let list = ConsumerList::decode(&reply.body).unwrap();
                Ok(list.ids.iter().map(|id| id.as_str().to_owned()).collect())
            }
            code => Err((code, reply.header.remark)),
        }
    }

    pub fn send_back(&mut self, session: SessionId, group: &str, offset: i64, level: i32, max: i32) -> Frame {
        let request = SendMessageBack {
            offset,
            group: group.into(),
            delay_level: level,
            origin_msg_id: Some("anything".into()),
            origin_topic: Some("T".into()),
            unit_mode: None,
            max_reconsume_times: Some(max),
            broker: None,
        };
        self.ask(session, &request.encode(Codec::Json, Bytes::new()))
    }

    fn listen(&mut self) {
        while let Some(output) = self.broker.poll_output() {
            match output {
                Output::Frame(session, bytes) => self.heard.push((session, decoded(&bytes))),
                Output::Close(session) => self.hung_up.push(session),
            }
        }
    }
}

/// The answer to a pull.
pub struct Pulled {
    pub code: i32,
    pub remark: String,
    pub fields: Option<PullMessageResponse>,
    pub body: Bytes,
    pub records: Vec<Record>,
}

impl Pulled {
    pub fn bodies(&self) -> Vec<String> {
        self.records.iter().map(|record| String::from_utf8_lossy(record.body(&self.body)).into_owned()).collect()
    }

    pub fn next(&self) -> i64 {
        self.fields.as_ref().expect("a pull status").next_begin_offset
    }
}

impl From<Frame> for Pulled {
    fn from(frame: Frame) -> Self {
        let record = |entry| match entry {
            Entry::Record(record) => record,
            other @ (Entry::Poison(_) | Entry::Rest(_)) => panic!("{other:?}"),
        };
        Self {
            code: frame.header.code,
            remark: frame.header.remark.unwrap_or_default(),
            fields: PullMessageResponse::read(&frame.header.ext).ok(),
            records: walk(&frame.body, RecordLimits::default()).map(record).collect(),
            body: frame.body,
        }
    }
}

pub fn message(topic: &str, queue_id: i32, pairs: &[(&str, &str)]) -> SendMessage {
    let pairs = pairs.iter().copied().filter(|(_, value)| !value.is_empty());
    SendMessage {
        group: "PG".into(),
        topic: topic.into(),
        default_topic: "TBW102".into(),
        default_topic_queues: 4,
        queue_id,
        sys_flag: 0,
        born_timestamp: WALL,
        flag: 0,
        properties: Some(properties::encode([("UNIQ_KEY", "K1")].into_iter().chain(pairs)).unwrap()),
        reconsume_times: Some(0),
        unit_mode: Some(false),
        max_reconsume_times: None,
        batch: Some(false),
        broker: None,
    }
}

/// A pull that neither waits nor commits, with its own filter: `*`.
pub fn pull(group: &str, topic: &str, queue_id: i32, offset: u64) -> PullMessage {
    PullMessage {
        group: group.into(),
        topic: topic.into(),
        queue_id,
        queue_offset: rocketmq_core::ids::QueueOffset::new(offset),
        max_messages: 32,
        sys_flag: PullMessage::SUBSCRIPTION,
        commit_offset: 0,
        suspend_millis: 0,
        subscription: Some("*".into()),
        sub_version: 0,
        expression_type: Some("TAG".into()),
        max_bytes: None,
        broker: None,
    }
}

/// The same, filtered by the heartbeat's subscription and held when there is nothing.
pub fn long_pull(group: &str, topic: &str, offset: u64, suspend: Duration) -> PullMessage {
    PullMessage {
        sys_flag: PullMessage::SUSPEND,
        suspend_millis: i64::try_from(suspend.as_millis()).unwrap(),
        subscription: None,
        ..pull(group, topic, 0, offset)
    }
}

pub fn decoded(bytes: &[u8]) -> Frame {
    assert_eq!(frame::frame_len(bytes, frame::MAX_FRAME), Ok(Some(bytes.len())));
    frame::decode(bytes, &HeaderLimits::default()).unwrap()
}

const WALL: i64 = 1_700_000_000_000;
