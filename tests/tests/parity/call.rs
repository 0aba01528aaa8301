//! Requests: typed ones, and what can be wrong about them.

use bytes::Bytes;
use rocketmq_core::ids::{Opaque, QueueOffset};
use rocketmq_core::wire::codes::request::{GET_MAX_OFFSET, GET_MIN_OFFSET};
use rocketmq_core::wire::header::{FLAG_ONEWAY, HeaderLimits, Language, Preamble, VERSION};
use rocketmq_core::wire::message::properties;
use rocketmq_core::wire::request::{
    CreateTopic, GetRouteInfo, PullMessage, QueryConsumerOffset, QueueOffsetRequest, Request, SendMessage,
    SendMessageBack, UpdateConsumerOffset,
};
use rocketmq_core::wire::{Codec, ExtWriter, frame};

/// A request, open to changes that no type allows.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) code: i32,
    fields: Vec<(String, String)>,
    body: Bytes,
    codec: Codec,
    version: i32,
    language: Language,
    flags: i32,
}

impl Call {
    /// A request without fields.
    pub(crate) fn new(code: i32) -> Self {
        Self {
            code,
            fields: Vec::new(),
            body: Bytes::new(),
            codec: Codec::Json,
            version: VERSION,
            language: Language::RUST,
            flags: 0,
        }
    }

    pub(crate) fn of(request: &impl Request) -> Self {
        Self::from_typed(request)
    }

    /// Sets a field.
    pub(crate) fn with(mut self, key: &str, value: impl ToString) -> Self {
        self = self.without(key);
        self.fields.push((key.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn without(mut self, key: &str) -> Self {
        self.fields.retain(|(known, _)| known != key);
        self
    }

    pub(crate) fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(crate) fn code(self, code: i32) -> Self {
        Self { code, ..self }
    }

    pub(crate) fn binary(self) -> Self {
        Self { codec: Codec::Rocketmq, ..self }
    }

    pub(crate) fn version(self, version: i32) -> Self {
        Self { version, ..self }
    }

    pub(crate) fn language(self, language: Language) -> Self {
        Self { language, ..self }
    }

    pub(crate) fn oneway(self) -> Self {
        self.flags(FLAG_ONEWAY)
    }

    pub(crate) fn flags(self, flags: i32) -> Self {
        Self { flags, ..self }
    }

    pub(crate) fn bytes(&self, opaque: Opaque) -> Bytes {
        let preamble = Preamble {
            code: self.code,
            flags: self.flags,
            language: self.language,
            version: self.version,
            remark: None,
            codec: self.codec,
        };
        let fields = |out: &mut ExtWriter<'_>| self.fields.iter().for_each(|(key, value)| out.text(key, value));
        preamble.encode(fields, self.body.clone()).to_bytes(opaque)
    }

    fn from_typed<R: Request>(request: &R) -> Self {
        let bytes = request.encode(Codec::Json, Bytes::new()).to_bytes(Opaque(0));
        let header = frame::decode(&bytes, &HeaderLimits::default()).expect("our own frame").header;
        let fields = header.ext.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self { fields, ..Self::new(R::CODE) }
    }
}

impl<R: Request> From<R> for Call {
    fn from(request: R) -> Self {
        Self::from_typed(&request)
    }
}

/// A send without reconsumption, with these properties and a unique key.
pub(crate) fn message(topic: &str, queue_id: i32, pairs: &[(&str, &str)]) -> Call {
    let pairs = [("UNIQ_KEY", "K1")].into_iter().chain(pairs.iter().copied());
    Call::of(&SendMessage {
        group: "PG_parity".into(),
        topic: topic.into(),
        default_topic: "TBW102".into(),
        default_topic_queues: 4,
        queue_id,
        sys_flag: 0,
        born_timestamp: BORN,
        flag: 0,
        properties: Some(properties::encode(pairs).expect("legal properties")),
        reconsume_times: Some(0),
        unit_mode: Some(false),
        max_reconsume_times: None,
        batch: Some(false),
        broker: None,
    })
    .body("a body")
}

/// A pull of queue 0 that neither waits nor commits, with its own filter: `*`.
pub(crate) fn pull(group: &str, topic: &str, offset: u64) -> Call {
    Call::of(&PullMessage {
        group: group.into(),
        topic: topic.into(),
        queue_id: 0,
        queue_offset: QueueOffset::new(offset),
        max_messages: 32,
        sys_flag: PullMessage::SUBSCRIPTION,
        commit_offset: 0,
        suspend_millis: 0,
        subscription: Some("*".into()),
        sub_version: 0,
        expression_type: Some("TAG".into()),
        max_bytes: None,
        broker: None,
    })
}

/// The same, filtered as the group's heartbeat said.
pub(crate) fn pull_as_subscribed(group: &str, topic: &str, offset: u64) -> Call {
    pull(group, topic, offset).with("sysFlag", 0).without("subscription")
}

/// A pull that is held when there is nothing.
pub(crate) fn long_pull(group: &str, topic: &str, offset: u64, suspend_millis: i64) -> Call {
    let flags = PullMessage::SUSPEND | PullMessage::SUBSCRIPTION;
    pull(group, topic, offset).with("sysFlag", flags).with("suspendTimeoutMillis", suspend_millis)
}

pub(crate) fn create(topic: &str, queues: i32) -> Call {
    Call::of(&CreateTopic {
        topic: topic.into(),
        default_topic: "TBW102".into(),
        read_queues: queues,
        write_queues: queues,
        perm: 6,
        filter_type: "SINGLE_TAG".into(),
        sys_flag: Some(0),
        order: false,
        attributes: None,
    })
}

pub(crate) fn route(topic: &str) -> Call {
    Call::of(&GetRouteInfo { topic: topic.into(), standard_json: None })
}

pub(crate) fn max_offset(topic: &str, queue_id: i32) -> Call {
    Call::of(&QueueOffsetRequest::<GET_MAX_OFFSET> { topic: topic.into(), queue_id })
}

pub(crate) fn min_offset(topic: &str, queue_id: i32) -> Call {
    Call::of(&QueueOffsetRequest::<GET_MIN_OFFSET> { topic: topic.into(), queue_id })
}

pub(crate) fn query_offset(group: &str, topic: &str) -> Call {
    Call::of(&QueryConsumerOffset {
        group: group.into(),
        topic: topic.into(),
        queue_id: 0,
        set_zero_if_not_found: None,
        broker: None,
    })
}

pub(crate) fn commit(group: &str, topic: &str, offset: u64) -> Call {
    Call::of(&UpdateConsumerOffset {
        group: group.into(),
        topic: topic.into(),
        queue_id: 0,
        commit_offset: QueueOffset::new(offset),
        broker: None,
    })
}

pub(crate) fn hand_back(group: &str, topic: &str, offset: i64, level: i32) -> Call {
    Call::of(&SendMessageBack {
        offset,
        group: group.into(),
        delay_level: level,
        origin_msg_id: Some("anything".into()),
        origin_topic: Some(topic.into()),
        unit_mode: None,
        max_reconsume_times: Some(16),
        broker: None,
    })
}

/// When all messages are born.
pub(crate) const BORN: i64 = 1_700_000_000_000;
