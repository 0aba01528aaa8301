//! Properties: `key 0x01 value 0x02 key 0x01 value 0x02 …`.

use alloc::string::String;

/// Goes over the pairs of encoded properties, in order.
///
/// Read as Java reads: the last `0x02` may be missing, and a segment without a key or a value is skipped. A pair
/// that is not UTF-8 is skipped too (Java replaces what it cannot read).
#[must_use]
pub const fn iter(raw: &[u8]) -> Pairs<'_> {
    Pairs { rest: raw }
}

/// The value of a property; the last one counts when there are several, as in Java.
#[must_use]
pub fn get<'a>(raw: &'a [u8], key: &str) -> Option<&'a str> {
    let mut found = None;
    for segment in (Segments { rest: raw }) {
        let value = segment.strip_prefix(key.as_bytes()).and_then(|rest| rest.strip_prefix(&[KEY_END]));
        if let Some(value) = value.filter(|value| !value.is_empty() && !key.is_empty()) {
            found = core::str::from_utf8(value).ok().or(found);
        }
    }
    found
}

/// The iterator of [`iter`].
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let mut segments = Segments { rest: self.rest };
        let pair = segments.by_ref().find_map(pair);
        self.rest = segments.rest;
        pair
    }
}

/// What lies between two `0x02`.
struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (segment, rest) = split_once(self.rest, PAIR_END).unwrap_or((self.rest, &[]));
        self.rest = rest;
        Some(segment)
    }
}

fn pair(segment: &[u8]) -> Option<(&str, &str)> {
    let (key, value) = split_once(segment, KEY_END)?;
    if key.is_empty() || value.is_empty() {
        return None;
    }
    Some((core::str::from_utf8(key).ok()?, core::str::from_utf8(value).ok()?))
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == separator)?;
    let (before, rest) = bytes.split_at_checked(at)?;
    Some((before, rest.get(1..)?))
}

/// Encodes properties pair by pair, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropertiesBuilder {
    text: String,
}

impl PropertiesBuilder {
    /// No properties yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { text: String::new() }
    }

    /// No properties yet, room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes.min(MAX_LEN)) }
    }

    /// Appends a pair; readers take the last of equal keys.
    ///
    /// # Errors
    /// The pair could not be read back, or there would be too many bytes; nothing is written then.
    pub fn put(&mut self, key: &str, value: &str) -> Result<&mut Self, PropertyError> {
        check(key, value)?;
        let len = [key.len(), value.len(), 2].into_iter().fold(self.text.len(), usize::saturating_add);
        if len > MAX_LEN {
            return Err(PropertyError::TooLong { len });
        }
        self.text.push_str(key);
        self.text.push(char::from(KEY_END));
        self.text.push_str(value);
        self.text.push(char::from(PAIR_END));
        Ok(self)
    }

    /// Bytes so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether nothing was put.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Takes everything out again; the room stays.
    pub fn clear(&mut self) {
        self.text.clear();
    }

    /// What is encoded so far.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The encoded properties.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }
}

/// Looks at every byte, so that it can look at many at once.
/// Whether a pair can be written.
///
/// # Errors
/// It could not be read back.
pub(crate) fn check(key: &str, value: &str) -> Result<(), PropertyError> {
    if key.is_empty() || value.is_empty() {
        return Err(PropertyError::Empty);
    }
    if has_separator(key) || has_separator(value) {
        return Err(PropertyError::Separator);
    }
    Ok(())
}

fn has_separator(text: &str) -> bool {
    text.bytes().fold(false, |found, byte| found | (byte == KEY_END) | (byte == PAIR_END))
}

/// Encodes these pairs.
///
/// # Errors
/// A pair could not be read back, or there are too many bytes.
pub fn encode<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<String, PropertyError> {
    let mut builder = PropertiesBuilder::new();
    for (key, value) in pairs {
        builder.put(key, value)?;
    }
    Ok(builder.finish())
}

/// Properties that cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// An empty key or value, which readers skip.
    #[error("a property key or value is empty")]
    Empty,
    /// A key or value with a separator in it, which would change the other properties.
    #[error("a property key or value contains 0x01 or 0x02")]
    Separator,
    /// Over 32,767 bytes in all.
    #[error("properties of {len} bytes, the limit is {MAX_LEN}")]
    TooLong {
        /// The bytes there would be.
        len: usize,
    },
}

/// Ends a key.
const KEY_END: u8 = 0x01;
/// Ends a pair.
const PAIR_END: u8 = 0x02;
/// Bytes of encoded properties at most: their length is a signed 16-bit number.
pub const MAX_LEN: usize = 32_767;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $key:literal;)*) => {
        /// Names of properties that clients set or read.
        pub mod name {
            $($(#[$doc])* pub const $name: &str = $key;)*
        }
    };
}

names! {
    /// The tag, which consumers filter by.
    TAGS = "TAGS";
    /// Keys to query by, separated by spaces.
    KEYS = "KEYS";
    /// Whether the broker answers only once the message is as durable as configured.
    WAIT = "WAIT";
    /// The delay level, from 1.
    DELAY = "DELAY";
    /// The buyer, a user's field.
    BUYER_ID = "BUYER_ID";
    /// The key whose messages stay in order.
    SHARDING_KEY = "__SHARDINGKEY";
    /// The id the producer gave it.
    UNIQ_KEY = "UNIQ_KEY";
    /// Whether it is a half message.
    TRAN_MSG = "TRAN_MSG";
    /// The producer group, of a half message.
    PGROUP = "PGROUP";
    /// The transaction.
    TRANSACTION_ID = "__transactionId__";
    /// The queue offset of the half message.
    TRAN_PREPARED_QUEUE_OFFSET = "TRAN_PREPARED_QUEUE_OFFSET";
    /// How often the broker asked what became of the transaction.
    TRANSACTION_CHECK_TIMES = "TRANSACTION_CHECK_TIMES";
    /// Seconds before the broker first asks.
    CHECK_IMMUNITY_TIME = "CHECK_IMMUNITY_TIME_IN_SECONDS";
    /// The topic it was first sent to, of a redelivery.
    RETRY_TOPIC = "RETRY_TOPIC";
    /// The offset message id of the first delivery.
    ORIGIN_MESSAGE_ID = "ORIGIN_MESSAGE_ID";
    /// How often it was redelivered, when a client republishes it.
    RECONSUME_TIME = "RECONSUME_TIME";
    /// When to give up redelivering.
    MAX_RECONSUME_TIMES = "MAX_RECONSUME_TIMES";
    /// The start of the queue at the pull, set by the consumer.
    MIN_OFFSET = "MIN_OFFSET";
    /// The end of the queue at the pull, set by the consumer.
    MAX_OFFSET = "MAX_OFFSET";
    /// When consumption began, set by the consumer.
    CONSUME_START_TIME = "CONSUME_START_TIME";
    /// The topic behind a delay or half message.
    REAL_TOPIC = "REAL_TOPIC";
    /// The queue behind a delay or half message.
    REAL_QUEUE_ID = "REAL_QID";
    /// Deliver so many seconds later.
    TIMER_DELAY_SEC = "TIMER_DELAY_SEC";
    /// Deliver so many milliseconds later.
    TIMER_DELAY_MS = "TIMER_DELAY_MS";
    /// Deliver at this time, Unix milliseconds.
    TIMER_DELIVER_MS = "TIMER_DELIVER_MS";
    /// When a timer is due, set by the broker.
    TIMER_OUT_MS = "TIMER_OUT_MS";
    /// When a timer was accepted, set by the broker.
    TIMER_ENQUEUE_MS = "TIMER_ENQUEUE_MS";
    /// When a timer was released, set by the broker.
    TIMER_DEQUEUE_MS = "TIMER_DEQUEUE_MS";
    /// How often a timer was moved on, set by the broker.
    TIMER_ROLL_TIMES = "TIMER_ROLL_TIMES";
    /// The unique key of the timer to delete.
    TIMER_DEL_UNIQ_KEY = "TIMER_DEL_UNIQKEY";
    /// The level of a timer, set by the broker.
    TIMER_DELAY_LEVEL = "TIMER_DELAY_LEVEL";
    /// Ties a reply to its request.
    CORRELATION_ID = "CORRELATION_ID";
    /// The client a reply goes to.
    REPLY_TO_CLIENT = "REPLY_TO_CLIENT";
    /// How long the requester waits, milliseconds.
    TTL = "TTL";
    /// `reply` on replies.
    MSG_TYPE = "MSG_TYPE";
    /// The cluster that stored it.
    CLUSTER = "CLUSTER";
    /// When a reply reached its requester.
    ARRIVE_TIME = "ARRIVE_TIME";
    /// When the broker pushed a reply.
    PUSH_REPLY_TIME = "PUSH_REPLY_TIME";
    /// The checkpoint handle of a popped message.
    POP_CK = "POP_CK";
    /// When a message was first popped.
    FIRST_POP_TIME = "1ST_POP_TIME";
    /// The queue offset of the checkpoint.
    POP_CK_OFFSET = "POP_CK_OFFSET";
    /// The group a retried message came from.
    ORIGIN_GROUP = "ORIGIN_GROUP";
    /// The light queues it also goes to.
    INNER_MULTI_DISPATCH = "INNER_MULTI_DISPATCH";
    /// Its positions in them.
    INNER_MULTI_QUEUE_OFFSET = "INNER_MULTI_QUEUE_OFFSET";
    /// Messages in an inner batch.
    INNER_NUM = "INNER_NUM";
    /// The first offset of an inner batch.
    INNER_BASE = "INNER_BASE";
    /// The region of the broker.
    MSG_REGION = "MSG_REGION";
    /// Whether the broker wants it traced.
    TRACE_ON = "TRACE_ON";
    /// The namespace, old form.
    INSTANCE_ID = "INSTANCE_ID";
    /// The topic a dead letter came from.
    DLQ_ORIGIN_TOPIC = "DLQ_ORIGIN_TOPIC";
    /// The message id a dead letter came from.
    DLQ_ORIGIN_MESSAGE_ID = "DLQ_ORIGIN_MESSAGE_ID";
    /// When it was born, of a republished message.
    BORN_TIMESTAMP = "BORN_TIMESTAMP";
    /// Where it was born, of a republished message.
    BORN_HOST = "__BORNHOST";
    /// The priority, from 0.
    PRIORITY = "_SYS_MSG_PRIORITY_";
    /// A CRC that brokers may append; ignored.
    CRC32 = "__CRC32#";
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn read(raw: &[u8]) -> Vec<(&str, &str)> {
        iter(raw).collect()
    }

    #[test]
    fn two_properties_are_the_documented_vector() {
        let text = encode([("A", "1"), ("B", "2")]).unwrap();
        assert_eq!(text.as_bytes(), [0x41, 1, 0x31, 2, 0x42, 1, 0x32, 2]);
        assert_eq!(read(text.as_bytes()), [("A", "1"), ("B", "2")]);
    }

    #[test]
    fn text_is_read_as_java_reads_it() {
        assert_eq!(read(b""), []);
        assert_eq!(read(b"A\x011"), [("A", "1")], "no last separator");
        assert_eq!(read(b"a\x01\x02b\x01c\x02\x01d\x02\x02e\x02f\x01g"), [("b", "c"), ("f", "g")]);
        assert_eq!(read(b"a\x01b\x01c\x02"), [("a", "b\u{1}c")], "the first 0x01 separates");
        assert_eq!(read(b"a\x01\xff\x02b\x01c\x02"), [("b", "c")], "not UTF-8");
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let raw = b"TAGS\x01a\x02TAG\x01x\x02TAGS\x01b\x02TAGS\x01\x02";
        assert_eq!(get(raw, "TAGS"), Some("b"));
        assert_eq!(get(raw, "TAG"), Some("x"));
        assert_eq!(get(raw, "AGS"), None);
        assert_eq!(get(raw, ""), None);
    }

    #[test]
    fn what_could_not_be_read_back_is_refused() {
        assert_eq!(encode([("", "x")]), Err(PropertyError::Empty));
        assert_eq!(encode([("x", "")]), Err(PropertyError::Empty));
        assert_eq!(encode([("x\u{1}", "y")]), Err(PropertyError::Separator));
        assert_eq!(encode([("x", "y\u{2}z")]), Err(PropertyError::Separator));
        let long = "v".repeat(MAX_LEN - 3);
        assert_eq!(encode([("k", long.as_str())]).unwrap().len(), MAX_LEN);
        assert_eq!(encode([("kk", long.as_str())]), Err(PropertyError::TooLong { len: MAX_LEN + 1 }));
    }

    proptest! {
        #[test]
        fn properties_come_back(pairs in prop::collection::vec(("[^\x01\x02]{1,9}", "[^\x01\x02]{1,20}"), 0..12)) {
            let text = encode(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))).unwrap();
            let expected: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            prop_assert_eq!(read(text.as_bytes()), expected);
        }

        #[test]
        fn get_is_the_last_of_iter(raw in prop::collection::vec(prop::sample::select(b"ab\x01\x02\xc3\xa9".to_vec()), 0..40)) {
            let last: BTreeMap<_, _> = iter(&raw).collect();
            for key in ["a", "b", "ab", "é"] {
                prop_assert_eq!(get(&raw, key), last.get(key).copied());
            }
        }

        #[test]
        fn any_bytes_can_be_read(raw: Vec<u8>) {
            let _ = read(&raw);
        }
    }
}
