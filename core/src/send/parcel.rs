//! What is sent.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::config::{ClientConfig, ProducerConfig};
use crate::ids::{Group, Topic};
use crate::message::{BatchRule, Message, MessageError, PROPERTIES_GUESS};
use crate::mutants::mutant;
use crate::time::UnixMillis;
use crate::wire::compress::{CompressionKind, deflate};
use crate::wire::message::batch::{self, BatchItem};
use crate::wire::message::properties::{self, PropertiesBuilder, PropertyError, name};
use crate::wire::message::{SysFlags, UniqueKeyList, UniqueKeys};

/// What is sent: a message, or a batch of them, encoded but for where it goes.
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
    /// The id the message goes by, its `UNIQ_KEY`; of a batch, the id of the whole.
    pub unique_key: String,
    /// Of a batch, the ids of its messages.
    pub batch: Option<UniqueKeyList>,
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
        let (body, sys_flag) = compressed(message.body(), producer);
        Ok(Self {
            group: producer.group.clone(),
            topic: message.topic().clone(),
            body,
            properties,
            sys_flag,
            flag: message.flag(),
            born,
            unique_key,
            batch: None,
            retry: None,
            template: (client.template_topic.clone(), client.template_queues),
        })
    }

    /// What a producer sends for messages that go as one. Their bodies are not compressed.
    ///
    /// # Errors
    /// A message breaks a rule, or they do not go together.
    pub fn batch(
        client: &ClientConfig,
        producer: &ProducerConfig,
        messages: &[Message],
        keys: &UniqueKeys,
        born: UnixMillis,
    ) -> Result<Self, MessageError> {
        let first = messages.first().ok_or(BatchRule::Empty)?;
        let limit = producer.max_message_size;
        first.check(limit)?;
        let bodies = messages.iter().map(|message| message.body().len()).fold(0, usize::saturating_add);
        let guess = messages.len().saturating_mul(PROPERTIES_GUESS).saturating_add(bodies).min(limit);
        let (mut body, ids) = (Vec::with_capacity(guess), keys.list(born, messages.len()));
        let mut properties = PropertiesBuilder::with_capacity(PROPERTIES_GUESS);
        for (message, id) in messages.iter().zip(ids.iter()) {
            check_member(first, message)?;
            message.check_content(limit)?;
            let id = if mutant!(130) { ids.get(0).unwrap_or(id) } else { id };
            properties.clear();
            message.put_properties(id, &mut properties)?;
            let (flag, told) = (message.flag(), properties.as_str().as_bytes());
            let item = BatchItem { flag, body: message.body(), properties: told };
            let len = body.len().saturating_add(item.encoded_len());
            if len > limit {
                return Err(MessageError::TooLarge { len, limit });
            }
            // Neither is long enough to be refused here: both were looked at.
            batch::push(&item, &mut body).map_err(|_| PropertyError::TooLong { len: told.len() })?;
        }
        let unique_key = keys.next(born);
        let wait = if first.wait() { "true" } else { "false" };
        Ok(Self {
            group: producer.group.clone(),
            topic: first.topic().clone(),
            body: Bytes::from(body),
            properties: properties::encode([(name::WAIT, wait)])?,
            sys_flag: 0,
            flag: 0,
            born,
            unique_key,
            batch: Some(ids),
            retry: None,
            template: (client.template_topic.clone(), client.template_queues),
        })
    }

    /// How many messages it is.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.batch.as_ref().map_or(1, UniqueKeyList::len)
    }

    /// The properties of the header, for a broker from 5.0 on, or one that may be older.
    ///
    /// A broker keeps a batch under the key of the whole where the topic keeps batches as one record, which is so from
    /// 5.0 on. An older one would put that key into each of the messages.
    pub(super) fn header_properties(&self, old_broker: bool) -> String {
        let mut text = self.properties.clone();
        if self.batch.is_some() && (!old_broker || mutant!(131)) {
            // A key is made of hexadecimal digits: it has no separator in it.
            text.push_str(name::UNIQ_KEY);
            text.push('\u{1}');
            text.push_str(&self.unique_key);
            text.push('\u{2}');
        }
        text
    }
}

/// Whether a message may be in a batch after this first one.
fn check_member(first: &Message, message: &Message) -> Result<(), BatchRule> {
    if message.topic() != first.topic() {
        return Err(BatchRule::Topics);
    }
    if message.wait() != first.wait() {
        return Err(BatchRule::Waits);
    }
    if message.is_delayed() {
        return Err(BatchRule::Delayed);
    }
    if message.topic().as_str().starts_with(RETRY_PREFIX) {
        return Err(BatchRule::RetryTopic);
    }
    Ok(())
}

/// The body as it travels, and its flags. A body that does not become smaller travels as it is.
fn compressed(body: &Bytes, producer: &ProducerConfig) -> (Bytes, i32) {
    let kind: CompressionKind = producer.compression;
    if body.len() < producer.compress_over {
        return (body.clone(), 0);
    }
    let told = if mutant!(132) { CompressionKind::Lz4 } else { kind };
    match deflate(kind, producer.compress_level, body).filter(|small| small.len() < body.len()) {
        Some(small) => (Bytes::from(small), SysFlags::default().with_compression(told).0),
        None => (body.clone(), 0),
    }
}

/// The beginning of the names of retry topics.
const RETRY_PREFIX: &str = "%RETRY%";

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

    use super::*;
    use crate::ids::QueueOffset;
    use crate::wire::compress::inflate;
    use alloc::collections::BTreeSet;

    fn client() -> ClientConfig {
        ClientConfig::new(Vec::new(), "c".into())
    }

    fn producer() -> ProducerConfig {
        ProducerConfig::new("p".into())
    }

    fn keys() -> UniqueKeys {
        UniqueKeys::new([10, 0, 0, 1].into(), 1, 2)
    }

    fn batch_of(producer: &ProducerConfig, messages: &[Message]) -> Result<Parcel, MessageError> {
        Parcel::batch(&client(), producer, messages, &keys(), UnixMillis(5))
    }

    #[test]
    fn a_batch_has_a_key_for_each_message_and_one_for_the_whole() {
        let message = |body: &'static str| Message::new("T", body).with_tag(body).with_flag(7);
        let parcel = batch_of(&producer(), &[message("a"), message("b"), message("c")]).unwrap();
        let items = batch::decode(&parcel.body, 0..parcel.body.len(), QueueOffset::ZERO, 9).unwrap();
        let ids = parcel.batch.clone().unwrap();
        assert_eq!((items.len(), ids.len(), parcel.sys_flag), (3, 3, 0));
        for (item, (id, body)) in items.iter().zip(ids.iter().zip(["a", "b", "c"])) {
            let raw = &parcel.body[item.properties.clone()];
            assert_eq!(properties::get(raw, name::UNIQ_KEY), Some(id));
            assert_eq!(properties::get(raw, name::TAGS), Some(body));
            assert_eq!((&parcel.body[item.body.clone()], item.flag), (body.as_bytes(), 7));
            assert!(id != parcel.unique_key);
        }
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3);
        let (new, old) = (parcel.header_properties(false), parcel.header_properties(true));
        assert_eq!(properties::get(new.as_bytes(), name::UNIQ_KEY), Some(parcel.unique_key.as_str()));
        assert_eq!(old, "WAIT\u{1}true\u{2}", "an old broker would give it to each message");
    }

    #[test]
    fn of_a_batch_only_what_does_not_wait_says_so() {
        for (waits, said) in [(true, None), (false, Some("false"))] {
            let messages = [(); 2].map(|()| Message::new("T", "body").with_wait(waits));
            let parcel = batch_of(&producer(), &messages).unwrap();
            for item in batch::decode(&parcel.body, 0..parcel.body.len(), QueueOffset::ZERO, 9).unwrap() {
                assert_eq!(properties::get(&parcel.body[item.properties], name::WAIT), said);
            }
            let alone = Parcel::new(&client(), &producer(), &messages[0], &keys(), UnixMillis(5)).unwrap();
            let whole = Some(said.unwrap_or("true"));
            assert_eq!(properties::get(alone.properties.as_bytes(), name::WAIT), whole);
            assert_eq!(properties::get(parcel.properties.as_bytes(), name::WAIT), whole);
        }
    }

    #[test]
    fn messages_that_do_not_go_together_are_no_batch() {
        let message = || Message::new("T", "body");
        let rule = |messages: &[Message]| batch_of(&producer(), messages).map(|_| ());
        assert_eq!(rule(&[]), Err(BatchRule::Empty.into()));
        assert_eq!(rule(&[message(), Message::new("U", "x")]), Err(BatchRule::Topics.into()));
        assert_eq!(rule(&[message(), message().with_wait(false)]), Err(BatchRule::Waits.into()));
        assert_eq!(rule(&[message(), message().with_delay_level(1)]), Err(BatchRule::Delayed.into()));
        assert_eq!(rule(&[message().with_deliver_at(UnixMillis(1))]), Err(BatchRule::Delayed.into()));
        assert_eq!(rule(&[Message::new("%RETRY%g", "x")]), Err(BatchRule::RetryTopic.into()));
        assert_eq!(rule(&[message(), Message::new("T", "")]), Err(MessageError::EmptyBody));
        assert_eq!(rule(&[message(), message()]), Ok(()));
    }

    #[test]
    fn the_whole_batch_is_within_the_limit() {
        let one = batch_of(&producer(), &[Message::new("T", "body")]).unwrap().body.len();
        for (limit, fits) in [(2 * one, true), (2 * one - 1, false)] {
            let producer = ProducerConfig { max_message_size: limit, ..producer() };
            let parcel = batch_of(&producer, &[Message::new("T", "body"), Message::new("T", "body")]);
            let error = MessageError::TooLarge { len: 2 * one, limit };
            assert_eq!(parcel.map(|_| ()), if fits { Ok(()) } else { Err(error) });
        }
    }

    #[test]
    fn bodies_are_compressed_in_the_way_chosen_from_the_size_chosen() {
        let body = "compressible ".repeat(400);
        for kind in [CompressionKind::Zlib, CompressionKind::Lz4, CompressionKind::Zstd] {
            if !kind.supported() {
                continue;
            }
            for (over, small) in [(body.len(), true), (body.len() + 1, false)] {
                let producer = ProducerConfig { compression: kind, compress_over: over, ..producer() };
                let message = Message::new("T", body.clone());
                let parcel = Parcel::new(&client(), &producer, &message, &keys(), UnixMillis(5)).unwrap();
                assert_eq!(parcel.body.len() < body.len(), small);
                assert_eq!(parcel.sys_flag, if small { 1 | kind.to_sys_flag() } else { 0 });
                if small {
                    assert_eq!(inflate(kind, &parcel.body, body.len()).unwrap(), body.as_bytes());
                }
            }
        }
    }

    #[test]
    fn what_does_not_become_smaller_goes_as_it_is() {
        // Bytes of a generator: no codec finds anything in them.
        let mut seed = 1_u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed.to_be_bytes()[0]
        };
        let body: Vec<u8> = (0..5_000).map(|_| next()).collect();
        let message = Message::new("T", body.clone());
        let parcel = Parcel::new(&client(), &producer(), &message, &keys(), UnixMillis(5)).unwrap();
        assert_eq!((parcel.sys_flag, parcel.body), (0, Bytes::from(body)));
    }
}
