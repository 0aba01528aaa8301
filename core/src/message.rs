//! Messages as users make them.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::config::check_topic;
use crate::ids::Topic;
use crate::wire::message::properties::{PropertiesBuilder, PropertyError, name};

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
}

impl Message {
    /// A message with this body.
    #[must_use]
    pub fn new(topic: impl Into<Topic>, body: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), body: body.into(), properties: Vec::new(), flag: 0 }
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
            Some(known) => [known, key.as_str()].join(" "),
            None => key,
        };
        self.set(name::KEYS, keys)
    }

    /// Sets a property of the user's; names the protocol uses itself are refused when the message is sent.
    #[must_use]
    pub fn with_property(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.set(&key, value)
    }

    /// Delivers the message later, by one of the broker's levels (1 to 18: 1 s, 5 s, 10 s … 2 h).
    #[must_use]
    pub fn with_delay_level(self, level: u8) -> Self {
        self.set(name::DELAY, alloc::format!("{level}"))
    }

    /// The same, delivered at once.
    pub(crate) fn without_delay(mut self) -> Self {
        self.properties.retain(|(key, _)| !DELAYS.contains(&key.as_str()));
        self
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

    /// The flag.
    #[must_use]
    pub const fn flag(&self) -> i32 {
        self.flag
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
        if self.body.is_empty() {
            return Err(MessageError::EmptyBody);
        }
        if self.body.len() > max_size {
            return Err(MessageError::TooLarge { len: self.body.len(), limit: max_size });
        }
        let reserved = |key: &str| RESERVED.contains(&key);
        match self.properties.iter().find(|(key, _)| reserved(key)) {
            Some((key, _)) => Err(MessageError::Reserved(key.clone())),
            None => Ok(()),
        }
    }

    /// The properties in their wire form, with the unique key, as [`Parcel`](crate::send::Parcel) takes them.
    ///
    /// # Errors
    /// A property holds a character that separates properties.
    pub fn encode_properties(&self, unique_key: &str) -> Result<String, MessageError> {
        let mut out = PropertiesBuilder::with_capacity(PROPERTIES_GUESS);
        for (key, value) in &self.properties {
            out.put(key, value)?;
        }
        out.put(name::UNIQ_KEY, unique_key)?;
        out.put(name::WAIT, "true")?;
        Ok(out.finish())
    }

    fn set(mut self, key: &str, value: String) -> Self {
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
    /// A property cannot be written.
    #[error(transparent)]
    Property(#[from] PropertyError),
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
/// Names a user may not set: clients and brokers write them. Source: Java `MessageConst.STRING_HASH_SET`, less the
/// ones that have a setter here.
const RESERVED: [&str; 12] = [
    name::UNIQ_KEY,
    name::WAIT,
    name::RETRY_TOPIC,
    name::ORIGIN_MESSAGE_ID,
    name::RECONSUME_TIME,
    name::MAX_RECONSUME_TIMES,
    name::REAL_TOPIC,
    name::REAL_QUEUE_ID,
    name::TRAN_MSG,
    name::PGROUP,
    name::MIN_OFFSET,
    name::MAX_OFFSET,
];
/// Properties that delay a message.
const DELAYS: [&str; 4] = [name::DELAY, "TIMER_DELAY_SEC", "TIMER_DELAY_MS", "TIMER_DELIVER_MS"];
/// Room for the properties of a usual message.
const PROPERTIES_GUESS: usize = 96;

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
        let reserved = ok.clone().with_property("UNIQ_KEY", "x");
        assert_eq!(reserved.check(10), Err(MessageError::Reserved("UNIQ_KEY".into())));
        let torn = ok.with_property("k", "a\u{2}b").encode_properties("U");
        assert_eq!(torn, Err(MessageError::Property(PropertyError::Separator)));
    }

    #[test]
    fn properties_hold_tag_keys_and_the_unique_key() {
        let message = Message::new("t", "b").with_tag("x").with_key("1").with_key("2").with_tag("y");
        let text = message.encode_properties("ABC").unwrap();
        assert_eq!(text, "TAGS\u{1}y\u{2}KEYS\u{1}1 2\u{2}UNIQ_KEY\u{1}ABC\u{2}WAIT\u{1}true\u{2}");
    }
}
