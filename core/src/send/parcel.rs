//! What is sent.

use alloc::string::String;

use bytes::Bytes;

use crate::config::{ClientConfig, ProducerConfig};
use crate::ids::{Group, Topic};
use crate::message::{Message, MessageError};
use crate::time::UnixMillis;
use crate::wire::compress::{CompressionKind, DEFAULT_LEVEL, deflate};
use crate::wire::message::{SysFlags, UniqueKeys};

/// What is sent: a message, encoded but for where it goes.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The producer group.
    pub group: Group,
    /// The topic.
    pub topic: Topic,
    /// The body as it travels.
    pub body: Bytes,
    /// The encoded properties.
    pub properties: String,
    /// System flags of the body.
    pub sys_flag: i32,
    /// The user's flag.
    pub flag: i32,
    /// When it was born.
    pub born: UnixMillis,
    /// The id the message goes by, its `UNIQ_KEY`.
    pub unique_key: String,
    /// For a retry topic: redeliveries so far and the most allowed.
    pub retry: Option<(i32, i32)>,
    /// The template for a topic that does not exist, and the queues it would get.
    pub template: (Topic, i32),
}

impl Parcel {
    /// What a producer sends for a message.
    ///
    /// # Errors
    /// The message breaks a rule.
    pub fn new(
        client: &ClientConfig,
        producer: &ProducerConfig,
        message: &Message,
        keys: &UniqueKeys,
        born: UnixMillis,
    ) -> Result<Self, MessageError> {
        message.check(producer.max_message_size)?;
        let unique_key = keys.next(born);
        let properties = message.encode_properties(&unique_key)?;
        let (body, sys_flag) = compressed(message.body(), producer.compress_over);
        Ok(Self {
            group: producer.group.clone(),
            topic: message.topic().clone(),
            body,
            properties,
            sys_flag,
            flag: message.flag(),
            born,
            unique_key,
            retry: None,
            template: (client.template_topic.clone(), client.template_queues),
        })
    }
}

/// The body as it travels, and its flags. A body that does not compress travels as it is.
fn compressed(body: &Bytes, over: usize) -> (Bytes, i32) {
    if body.len() < over {
        return (body.clone(), 0);
    }
    match deflate(CompressionKind::Zlib, DEFAULT_LEVEL, body) {
        Some(small) => (Bytes::from(small), SysFlags::default().with_compression(CompressionKind::Zlib).0),
        None => (body.clone(), 0),
    }
}
