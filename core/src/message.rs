//! Messages as users make them.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::config::check_topic;
use crate::ids::Topic;
use crate::mutants::mutant;
use crate::namespace::Namespace;
use crate::time::UnixMillis;
use crate::wire::message::properties::{self, PropertiesBuilder, PropertyError, name};

/// A message to send.
///
/// ```
/// use rocketmq_core::message::Message;
///
/// let message = Message::new("orders", "hello").with_tag("new").with_key("42").with_property("region", "eu");
/// assert_eq!(message.property("TAGS"), Some("new"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    topic: Topic,
    body: Bytes,
    properties: Vec<(String, String)>,
    flag: i32,
    wait: bool,
    /// The first property that may not be set: told when the message is sent.
    refused: Option<MessageError>,
}

impl Message {
    /// A message with this body.
    #[must_use]
    pub fn new(topic: impl Into<Topic>, body: impl Into<Bytes>) -> Self {
        let (topic, body) = (topic.into(), body.into());
        Self { topic, body, properties: Vec::new(), flag: 0, wait: true, refused: None }
    }

    /// Sets the tag that consumers filter by.
    #[must_use]
    pub fn with_tag(self, tag: impl Into<String>) -> Self {
        self.set(name::TAGS, tag.into())
    }

    /// Adds a key that the message can be queried by.
    #[must_use]
    pub fn with_key(self, key: impl Into<String>) -> Self {
        let key = key.into();
        let keys = match self.property(name::KEYS) {
            Some(known) => [known, key.as_str()].join(KEY_SEPARATOR),
            None => key,
        };
        self.set(name::KEYS, keys)
    }

    /// Sets a property of the user's. Names that the protocol uses itself, blank names and blank values are refused when
    /// the message is sent, as in Java.
    #[must_use]
    pub fn with_property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        if RESERVED.contains(&key.as_str()) {
            self.refused.get_or_insert(MessageError::Reserved(key));
            return self;
        }
        if key.trim().is_empty() || value.trim().is_empty() {
            self.refused.get_or_insert(MessageError::Blank(key));
            return self;
        }
        self.set(&key, value)
    }

    /// Delivers the message later, by one of the broker's levels (1 to 18: 1 s, 5 s, 10 s … 2 h; 0 is at once). Of all
    /// that delays a message, what was set last counts.
    #[must_use]
    pub fn with_delay_level(self, level: u8) -> Self {
        self.delayed_by(name::DELAY, level.to_string())
    }

    /// Delivers the message so much later; brokers from 5.0 on round it to their precision, a second by default, and take
    /// three days at most. The receipt of such a message has a handle to recall it by.
    #[must_use]
    pub fn with_delay(self, delay: Duration) -> Self {
        if delay.subsec_nanos() == 0 && mutant!(138) {
            self.delayed_by(name::TIMER_DELAY_MS, delay.as_secs().to_string())
        } else if delay.subsec_nanos() == 0 {
            self.delayed_by(name::TIMER_DELAY_SEC, delay.as_secs().to_string())
        } else {
            self.delayed_by(name::TIMER_DELAY_MS, delay.as_millis().to_string())
        }
    }

    /// Delivers the message at this time, as [`Message::with_delay`] does; at once when it has passed.
    #[must_use]
    pub fn with_deliver_at(self, time: UnixMillis) -> Self {
        self.delayed_by(name::TIMER_DELIVER_MS, time.0.to_string())
    }

    /// The priority of the message among those of a topic that has priorities (brokers from 5.4 on).
    #[must_use]
    pub fn with_priority(self, priority: u32) -> Self {
        self.set(name::PRIORITY, priority.to_string())
    }

    /// Whether the broker answers only once the message is as durable as it is set to make it: as it is flushed to disk
    /// and copied. Default: yes.
    #[must_use]
    pub const fn with_wait(mut self, wait: bool) -> Self {
        self.wait = wait;
        self
    }

    /// Sets the buyer, a field that brokers keep and ignore.
    #[must_use]
    pub fn with_buyer(self, buyer: impl Into<String>) -> Self {
        self.set(name::BUYER_ID, buyer.into())
    }

    /// Sets the key whose messages stay in order, for proxies that choose the queue. A producer chooses it by
    /// `Producer::send_by`.
    #[must_use]
    pub fn with_sharding_key(self, key: impl Into<String>) -> Self {
        self.set(name::SHARDING_KEY, key.into())
    }

    /// Puts the message into these light queues too. A broker has to be set to have them.
    #[must_use]
    pub fn with_light_queues<Q: AsRef<str>>(mut self, queues: impl IntoIterator<Item = Q>) -> Self {
        let mut names = Vec::new();
        for queue in queues {
            let queue = queue.as_ref();
            if queue.is_empty() || queue.contains(FORBIDDEN_IN_QUEUES) {
                self.refused.get_or_insert(MessageError::LightQueue(queue.into()));
            }
            let prefix = if queue.starts_with(LIGHT_QUEUE) { "" } else { LIGHT_QUEUE };
            names.push([prefix, queue].concat());
        }
        self.set(name::INNER_MULTI_DISPATCH, names.join(","))
    }

    /// Sets a flag that brokers keep and ignore.
    #[must_use]
    pub const fn with_flag(mut self, flag: i32) -> Self {
        self.flag = flag;
        self
    }

    /// The topic.
    #[must_use]
    pub const fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// One property.
    #[must_use]
    pub fn property(&self, key: &str) -> Option<&str> {
        self.properties.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// All properties, in the order in which they were set.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.properties.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The flag.
    #[must_use]
    pub const fn flag(&self) -> i32 {
        self.flag
    }

    /// Whether the broker answers only once the message is as durable as it is set to make it.
    #[must_use]
    pub const fn wait(&self) -> bool {
        self.wait
    }

    /// Whether it is to be delivered later.
    #[must_use]
    pub fn is_delayed(&self) -> bool {
        DELAYS.iter().any(|name| self.property(name).is_some_and(|value| value != "0"))
    }

    /// Checks what a broker would refuse, or lose.
    ///
    /// # Errors
    /// The first rule that is broken. Source: Java `Validators.checkMessage`.
    pub fn check(&self, max_size: usize) -> Result<(), MessageError> {
        check_topic(&self.topic).map_err(|_| MessageError::Topic(self.topic.clone()))?;
        if SEND_FORBIDDEN.contains(&self.topic.as_str()) {
            return Err(MessageError::SystemTopic(self.topic.clone()));
        }
        self.check_content(max_size)
    }

    /// The same, of a message whose topic is known to be right.
    pub(crate) fn check_content(&self, max_size: usize) -> Result<(), MessageError> {
        if self.body.is_empty() {
            return Err(MessageError::EmptyBody);
        }
        if self.body.len() > max_size {
            return Err(MessageError::TooLarge { len: self.body.len(), limit: max_size });
        }
        match &self.refused {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// The properties in their wire form, with the unique key, as [`Parcel`](crate::send::Parcel) takes them.
    ///
    /// # Errors
    /// A property holds a character that separates properties.
    pub fn encode_properties(&self, unique_key: &str) -> Result<String, MessageError> {
        let mut out = PropertiesBuilder::with_capacity(PROPERTIES_GUESS);
        self.put_properties(unique_key, &mut out)?;
        if self.wait {
            out.put(name::WAIT, "true")?;
        }
        Ok(out.finish())
    }

    /// The same as a batch says it of its messages, behind what there is. That one waits ([`Self::wait`]) goes without saying:
    /// brokers take the word of the whole, and do not keep it of a message that is alone.
    pub(crate) fn put_properties(&self, unique_key: &str, out: &mut PropertiesBuilder) -> Result<(), PropertyError> {
        for (key, value) in &self.properties {
            out.put(key, value)?;
        }
        out.put(name::UNIQ_KEY, unique_key)?;
        if !self.wait {
            out.put(name::WAIT, "false")?;
        }
        Ok(())
    }

    /// The same, delivered at once.
    pub(crate) fn without_delay(mut self) -> Self {
        self.properties.retain(|(known, _)| !DELAYS.contains(&known.as_str()));
        self
    }

    fn delayed_by(mut self, key: &str, value: String) -> Self {
        self.properties.retain(|(known, _)| !DELAYS.contains(&known.as_str()));
        self.set(key, value)
    }

    /// The message in a namespace, unless it is a reply: its topic is the cluster's.
    ///
    /// # Errors
    /// The topic is too long in it.
    pub fn in_namespace(mut self, space: &Namespace) -> Result<Self, MessageError> {
        if self.is_reply() {
            return Ok(self);
        }
        let topic = space.topic(&self.topic);
        check_topic(&topic).map_err(|_| MessageError::Topic(topic.clone()))?;
        self.topic = topic;
        Ok(self.set(name::INSTANCE_ID, String::from(space.as_str())))
    }

    pub(crate) fn set(mut self, key: &str, value: String) -> Self {
        if let Err(error) = properties::check(key, &value) {
            self.refused.get_or_insert(error.into());
            return self;
        }
        match self.properties.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = value,
            None => self.properties.push((key.into(), value)),
        }
        self
    }
}

/// A message that cannot be sent; nothing was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The topic name breaks the rules.
    #[error("topic '{0}' must be 1 to 127 letters, digits, or one of % | - _")]
    Topic(Topic),
    /// The topic is one of the broker's own.
    #[error("topic {0} is the broker's own")]
    SystemTopic(Topic),
    /// There is no body.
    #[error("the body is empty")]
    EmptyBody,
    /// The body is over the limit.
    #[error("a body of {len} bytes is over the limit of {limit}")]
    TooLarge {
        /// Bytes of the body.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// A property has a name that the protocol uses.
    #[error("property {0} is reserved")]
    Reserved(String),
    /// A property of the user's has a blank name or value.
    #[error("property '{0}' has a blank name or value")]
    Blank(String),
    /// The name of a light queue is empty, or has a separator in it that names of files or lists have.
    #[error("'{0}' is no name of a light queue")]
    LightQueue(String),
    /// The messages of a batch do not go together.
    #[error("batch: {0}")]
    Batch(#[from] BatchRule),
    /// A property cannot be written.
    #[error(transparent)]
    Property(#[from] PropertyError),
}

/// What the messages of a batch have to keep. Source: Java `MessageBatch.generateFromList`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchRule {
    /// There is no message.
    #[error("there is no message in it")]
    Empty,
    /// They go to one topic.
    #[error("its messages are of several topics")]
    Topics,
    /// They are as durable.
    #[error("some of its messages wait to be durable, others do not")]
    Waits,
    /// None is delivered later.
    #[error("a message of it is delayed")]
    Delayed,
    /// They do not go to the retry topic of a group.
    #[error("it goes to the retry topic of a group")]
    RetryTopic,
}

/// Topics nobody may send to. Source: Java `TopicValidator.NOT_ALLOWED_SEND_TOPIC_SET`.
const SEND_FORBIDDEN: [&str; 6] = [
    "SCHEDULE_TOPIC_XXXX",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
];
/// Names a user may not set: clients and brokers write them, some through a setter. Source: Java 5.4.0
/// `MessageConst.STRING_HASH_SET`.
const RESERVED: [&str; 53] = [
    "TRACE_ON",
    "MSG_REGION",
    "KEYS",
    "TAGS",
    "WAIT",
    "DELAY",
    "RETRY_TOPIC",
    "ORIGIN_GROUP",
    "REAL_TOPIC",
    "REAL_QID",
    "TRAN_MSG",
    "PGROUP",
    "MIN_OFFSET",
    "MAX_OFFSET",
    "BUYER_ID",
    "ORIGIN_MESSAGE_ID",
    "TRANSFER_FLAG",
    "CORRECTION_FLAG",
    "MQ2_FLAG",
    "RECONSUME_TIME",
    "UNIQ_KEY",
    "MAX_RECONSUME_TIMES",
    "CONSUME_START_TIME",
    "POP_CK",
    "POP_CK_OFFSET",
    "1ST_POP_TIME",
    "TRAN_PREPARED_QUEUE_OFFSET",
    "DUP_INFO",
    "EXTEND_UNIQ_INFO",
    "INSTANCE_ID",
    "CORRELATION_ID",
    "REPLY_TO_CLIENT",
    "TTL",
    "ARRIVE_TIME",
    "PUSH_REPLY_TIME",
    "CLUSTER",
    "MSG_TYPE",
    "INNER_MULTI_QUEUE_OFFSET",
    "TIMER_DELAY_MS",
    "TIMER_DELAY_SEC",
    "TIMER_DELIVER_MS",
    "TIMER_ENQUEUE_MS",
    "TIMER_DEQUEUE_MS",
    "TIMER_ROLL_TIMES",
    "TIMER_OUT_MS",
    "TIMER_DEL_UNIQKEY",
    "TIMER_DELAY_LEVEL",
    "__BORNHOST",
    "BORN_TIMESTAMP",
    "DLQ_ORIGIN_TOPIC",
    "DLQ_ORIGIN_MESSAGE_ID",
    "__CRC32#",
    "_SYS_MSG_PRIORITY_",
];
/// What delays a message.
const DELAYS: [&str; 4] = [name::DELAY, name::TIMER_DELAY_SEC, name::TIMER_DELAY_MS, name::TIMER_DELIVER_MS];
/// Between the keys of a message.
const KEY_SEPARATOR: &str = " ";
/// The beginning of the names of light queues.
const LIGHT_QUEUE: &str = "%LMQ%";
/// A light queue is a folder at the broker, and one in a list on the wire.
const FORBIDDEN_IN_QUEUES: [char; 3] = ['/', '\\', ','];
/// Room for the properties of a usual message, and for the head of an item of a batch beside them.
pub(crate) const PROPERTIES_GUESS: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broken_rule_has_its_error() {
        let ok = Message::new("t", "b");
        assert_eq!(ok.check(10), Ok(()));
        assert_eq!(Message::new("a b", "b").check(10), Err(MessageError::Topic("a b".into())));
        let system = Message::new("SCHEDULE_TOPIC_XXXX", "b");
        assert_eq!(system.check(10), Err(MessageError::SystemTopic("SCHEDULE_TOPIC_XXXX".into())));
        assert_eq!(Message::new("t", "").check(10), Err(MessageError::EmptyBody));
        assert_eq!(Message::new("t", "12345").check(4), Err(MessageError::TooLarge { len: 5, limit: 4 }));
        for name in RESERVED {
            let reserved = ok.clone().with_property(name, "x").with_property("a", "b");
            assert_eq!(reserved.check(10), Err(MessageError::Reserved(name.into())));
        }
        for (key, value) in [("", "x"), (" ", "x"), ("k", ""), ("k", " \t")] {
            let blank = ok.clone().with_property(key, value);
            assert_eq!(blank.check(10), Err(MessageError::Blank(key.into())));
        }
        for queue in ["a/b", "a\\b", "a,b", ""] {
            let light = ok.clone().with_light_queues(["fine", queue]);
            assert_eq!(light.check(10), Err(MessageError::LightQueue(queue.into())));
        }
        let free = ["__SHARDINGKEY", "INNER_MULTI_DISPATCH", "CHECK_IMMUNITY_TIME_IN_SECONDS", "__transactionId__"];
        assert_eq!(free.iter().fold(ok.clone(), |message, key| message.with_property(*key, "x")).check(10), Ok(()));
        let torn = ok.with_property("k", "a\u{2}b").check(10);
        assert_eq!(torn, Err(MessageError::Property(PropertyError::Separator)));
    }

    #[test]
    fn properties_hold_tag_keys_and_the_unique_key() {
        let message = Message::new("t", "b").with_tag("x").with_key("1").with_key("2").with_tag("y");
        let text = message.encode_properties("ABC").unwrap();
        assert_eq!(text, "TAGS\u{1}y\u{2}KEYS\u{1}1 2\u{2}UNIQ_KEY\u{1}ABC\u{2}WAIT\u{1}true\u{2}");
    }

    #[test]
    fn setters_write_the_properties_that_java_writes() {
        let of = |message: Message| message.encode_properties("U").unwrap().replace('\u{1}', "=").replace('\u{2}', ";");
        let message = || Message::new("t", "b");
        let rest = "UNIQ_KEY=U;WAIT=true;";
        let seconds = Duration::from_secs(90);
        assert_eq!(of(message().with_delay(seconds)), ["TIMER_DELAY_SEC=90;", rest].concat());
        assert_eq!(of(message().with_delay(Duration::from_millis(1_500))), ["TIMER_DELAY_MS=1500;", rest].concat());
        assert_eq!(of(message().with_deliver_at(UnixMillis(7))), ["TIMER_DELIVER_MS=7;", rest].concat());
        assert_eq!(of(message().with_priority(3)), ["_SYS_MSG_PRIORITY_=3;", rest].concat());
        assert_eq!(of(message().with_buyer("x")), ["BUYER_ID=x;", rest].concat());
        assert_eq!(of(message().with_sharding_key("x")), ["__SHARDINGKEY=x;", rest].concat());
        let light = message().with_light_queues(["a", "%LMQ%b"]);
        assert_eq!(of(light), ["INNER_MULTI_DISPATCH=%LMQ%a,%LMQ%b;", rest].concat());
        assert_eq!(of(message().with_wait(false)), "UNIQ_KEY=U;WAIT=false;");
    }

    #[test]
    fn of_several_delays_the_last_counts() {
        let message = Message::new("t", "b");
        assert!(!message.is_delayed());
        let message = message.with_delay(Duration::from_secs(1)).with_deliver_at(UnixMillis(5)).with_delay_level(3);
        assert!(message.is_delayed());
        assert_eq!((message.property("DELAY"), message.property("TIMER_DELIVER_MS")), (Some("3"), None));
        let message = message.with_delay(Duration::from_millis(5));
        assert_eq!((message.property("DELAY"), message.property("TIMER_DELAY_MS")), (None, Some("5")));
        assert!(!message.with_delay_level(0).is_delayed());
    }
}
