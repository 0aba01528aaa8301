//! Assignments by brokers, and acknowledgements of popped messages.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::names::{check_broker_name, is_named};
use super::{BodyError, MessageModel, at_most, lenient, list, read, write};
use crate::ids::{BrokerName, ClientId, Group, MessageQueue, QueueOffset, Topic};
use crate::wire::pop::PopHandle;

/// How a group gets the messages of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageMode {
    /// Each member pulls its queues.
    #[default]
    #[serde(rename = "PULL")]
    Pull,
    /// Each member pops whatever is there.
    #[serde(rename = "POP")]
    Pop,
}

/// Which queues of a topic are this member's (request 400)?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueryAssignment {
    /// The member.
    #[serde(deserialize_with = "lenient")]
    pub client_id: ClientId,
    /// The group.
    #[serde(rename = "consumerGroup", deserialize_with = "lenient")]
    pub group: Group,
    /// Whether members share the messages.
    #[serde(deserialize_with = "lenient")]
    pub message_model: MessageModel,
    /// How queues are shared out: brokers know `AVG` and `AVG_BY_CIRCLE`.
    #[serde(deserialize_with = "lenient")]
    pub strategy_name: String,
    /// The topic.
    #[serde(deserialize_with = "lenient")]
    pub topic: Topic,
}

/// The queues of a member (reply 400).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Assignments {
    /// The queues; none at all when the broker could not tell.
    #[serde(
        rename = "messageQueueAssignments",
        deserialize_with = "some_list",
        skip_serializing_if = "Option::is_none"
    )]
    pub queues: Option<Vec<Assignment>>,
}

/// One queue of a member, and how it gets its messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// The queue; the number −1 stands for any queue of the broker.
    pub message_queue: MessageQueue,
    /// How its messages are got.
    #[serde(default, deserialize_with = "lenient")]
    pub mode: MessageMode,
}

/// How a group is to get the messages of a topic (request 401).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestMode {
    /// The group.
    #[serde(rename = "consumerGroup", deserialize_with = "lenient")]
    pub group: Group,
    /// How.
    #[serde(deserialize_with = "lenient")]
    pub mode: MessageMode,
    /// Popping: how many other members may pop from a member's queues; 0 or less, all from all.
    #[serde(rename = "popShareQueueNum", deserialize_with = "lenient")]
    pub share: i32,
    /// The topic.
    #[serde(deserialize_with = "lenient")]
    pub topic: Topic,
}

/// Popped messages that are consumed (request 200151).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BatchAck {
    /// By checkpoint.
    #[serde(deserialize_with = "list::<MAX_ACKS, _, _>")]
    pub acks: Vec<CheckpointAck>,
    /// The broker.
    #[serde(deserialize_with = "lenient")]
    pub broker_name: BrokerName,
}

/// Messages of one checkpoint that are consumed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckpointAck {
    /// Bit n stands for the offset `start` + n.
    #[serde(rename = "b")]
    pub offsets: BitSet,
    /// The group.
    #[serde(rename = "c", deserialize_with = "lenient")]
    pub group: Group,
    /// How long they are hidden, milliseconds.
    #[serde(rename = "it", deserialize_with = "lenient")]
    pub invisible_millis: i64,
    /// When they were popped, by the broker's clock, Unix milliseconds.
    #[serde(rename = "pt", deserialize_with = "lenient")]
    pub pop_millis: i64,
    /// The queue.
    #[serde(rename = "q", deserialize_with = "lenient")]
    pub queue_id: i32,
    /// The digit of the topic they lie in: see [`PopTopic`](crate::wire::pop::PopTopic).
    #[serde(rename = "r", deserialize_with = "lenient")]
    pub retry: String,
    /// The queue in which the broker notes what is acknowledged.
    #[serde(rename = "rq", deserialize_with = "lenient")]
    pub revive_queue: i32,
    /// The first offset of the checkpoint.
    #[serde(rename = "so", deserialize_with = "lenient")]
    pub start: i64,
    /// The topic they were popped for.
    #[serde(rename = "t", deserialize_with = "lenient")]
    pub topic: Topic,
}

/// Numbers from 0, as Java writes a `BitSet`: bytes with the lowest bit first, in Base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BitSet(Vec<u8>);

impl QueryAssignment {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        read(body)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

impl Assignments {
    /// Reads the body; queues without a name, or on a broker that cannot be called so, are left out.
    ///
    /// # Errors
    /// It is no such body, or names more than 10,000 queues.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let mut all: Self = read(body)?;
        if let Some(queues) = &mut all.queues {
            at_most("assigned queues", queues.len(), MAX_QUEUES)?;
            let is_queue = |queue: &MessageQueue| is_named(queue) && check_broker_name(&queue.broker).is_ok();
            queues.retain(|assignment| is_queue(&assignment.message_queue));
        }
        Ok(all)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

impl RequestMode {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        read(body)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

impl BatchAck {
    /// So many offsets from the start of a checkpoint on can be acknowledged together.
    pub const SPAN: u64 = 65_536;

    /// One acknowledgement of all these messages of one broker. None may lie [`BatchAck::SPAN`] or more after the start
    /// of its checkpoint.
    #[must_use]
    pub fn new<'h>(
        group: &Group,
        broker: &BrokerName,
        messages: impl IntoIterator<Item = (&'h Topic, &'h PopHandle)>,
    ) -> Self {
        let mut acks: Vec<CheckpointAck> = Vec::new();
        for (topic, handle) in messages {
            let mut one = CheckpointAck {
                offsets: BitSet::default(),
                group: group.clone(),
                invisible_millis: handle.invisible_millis,
                pop_millis: handle.pop_millis,
                queue_id: handle.queue_id,
                retry: alloc::format!("{}", handle.topic),
                revive_queue: handle.revive_queue,
                start: handle.start.to_wire(),
                topic: topic.clone(),
            };
            let bit = handle.offset.get().saturating_sub(handle.start.get());
            let same =
                |known: &&mut CheckpointAck| CheckpointAck { offsets: BitSet::default(), ..(**known).clone() } == one;
            match acks.iter_mut().find(same) {
                Some(known) => known.offsets.insert(bit),
                None => {
                    one.offsets.insert(bit);
                    acks.push(one);
                }
            }
        }
        Self { acks, broker_name: broker.clone() }
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body, or holds more than 10,000 checkpoints.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let all: Self = read(body)?;
        at_most("acknowledged checkpoints", all.acks.len(), MAX_ACKS)?;
        Ok(all)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

impl CheckpointAck {
    /// The offsets that are acknowledged.
    pub fn offsets(&self) -> impl Iterator<Item = QueueOffset> {
        self.offsets.iter().filter_map(|bit| QueueOffset::from_wire(self.start.checked_add(i64::from(bit))?))
    }
}

impl BitSet {
    /// Adds a number; one that no checkpoint is long enough for is left out.
    pub fn insert(&mut self, number: u64) {
        let Some((byte, bit)) = usize::try_from(number / 8).ok().filter(|byte| *byte < MAX_BYTES).zip(Some(number % 8))
        else {
            return;
        };
        if self.0.len() <= byte {
            self.0.resize(byte.saturating_add(1), 0);
        }
        if let Some(byte) = self.0.get_mut(byte) {
            *byte |= 1 << bit;
        }
    }

    /// The numbers in it, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let bits = |(byte, bits): (u32, &u8)| {
            let (first, bits) = (byte.saturating_mul(8), *bits);
            (0..8_u32).filter(move |bit| bits & (1 << bit) != 0).map(move |bit| first.saturating_add(bit))
        };
        (0..).zip(&self.0).flat_map(bits)
    }
}

impl Serialize for BitSet {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        json.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for BitSet {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let text: String = lenient(json)?;
        let mut bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        if bytes.len() > MAX_BYTES {
            return Err(D::Error::custom("a set that is too large"));
        }
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        Ok(Self(bytes))
    }
}

fn some_list<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Vec<Assignment>>, D::Error> {
    list::<MAX_QUEUES, _, _>(json).map(Some)
}

/// Queues assigned to one member at most.
const MAX_QUEUES: usize = 10_000;
/// Checkpoints in one acknowledgement at most.
const MAX_ACKS: usize = 10_000;
/// Bytes of a set at most: a pop gives 32 messages, which lie close together unless most are filtered out.
const MAX_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testdata::captured;

    #[test]
    fn bodies_of_real_brokers_are_read_and_written_back() {
        let pop = captured!("v540_query_assignment_400_pop", 1);
        let read = Assignments::decode(&pop).unwrap();
        let queue = MessageQueue { topic: "PopTopic".into(), broker: "broker-a".into(), id: -1 };
        assert_eq!(read.queues, Some(alloc::vec![Assignment { message_queue: queue, mode: MessageMode::Pop }]));
        assert_eq!(read.encode(), pop);
        let pull = captured!("v540_query_assignment_400_pull", 1);
        let read = Assignments::decode(&pull).unwrap();
        assert_eq!(read.queues.as_ref().map(Vec::len), Some(2));
        assert_eq!(read.encode(), pull);
        let asked = captured!("v540_query_assignment_400_pop", 0);
        assert_eq!(QueryAssignment::decode(&asked).unwrap().encode(), asked);
        assert_eq!(Assignments::decode(b"{}"), Ok(Assignments { queues: None }));
        assert_eq!(Assignments::default().encode(), b"{}");
        let mode = RequestMode::decode(&captured!("v540_set_mode_401", 0)).unwrap();
        assert_eq!((mode.mode, mode.topic.as_str(), mode.share), (MessageMode::Pop, "PopTopic", 0));
    }

    #[test]
    fn messages_of_one_checkpoint_are_acknowledged_together() {
        let taken = captured!("v540_batch_ack_200151", 0);
        let handle: PopHandle = "0 1795495294616 4000 0 0 broker-a 0 1".parse().unwrap();
        let topic = Topic::from("PopTopic");
        let one = BatchAck::new(&"CG_pop".into(), &"broker-a".into(), [(&topic, &handle)]);
        assert_eq!(one.encode(), taken);
        assert_eq!(BatchAck::decode(&taken), Ok(one));
        // The example of Java's serializer: {0, 3, 9}.
        let at = |offset| PopHandle { offset: QueueOffset::new(offset), ..handle.clone() };
        let (a, b, c) = (at(0), at(3), at(9));
        let other = PopHandle { pop_millis: 7, ..handle.clone() };
        let all = [(&topic, &a), (&topic, &other), (&topic, &b), (&topic, &c)];
        let ack = BatchAck::new(&"g".into(), &"b".into(), all);
        assert_eq!(ack.acks.len(), 2);
        let text = ack.encode();
        assert!(
            core::str::from_utf8(&text).unwrap().contains(r#""b":"CQI=""#),
            "{}",
            alloc::string::String::from_utf8_lossy(&text)
        );
        let read = BatchAck::decode(&text).unwrap();
        let offsets: Vec<_> = read.acks[0].offsets().map(QueueOffset::get).collect();
        assert_eq!(offsets, [0, 3, 9]);
        assert_eq!(read, ack);
    }

    #[test]
    fn a_set_has_a_limit() {
        let mut set = BitSet::default();
        set.insert(u64::MAX);
        set.insert(u64::try_from(MAX_BYTES).unwrap().saturating_mul(8));
        assert_eq!(set, BitSet::default());
        set.insert(65_535);
        assert_eq!(set.iter().collect::<Vec<_>>(), [65_535]);
        let text = alloc::format!(
            r#"{{"acks":[{{"b":"{}"}}]}}"#,
            STANDARD.encode(alloc::vec![1; MAX_BYTES.saturating_add(1)])
        );
        assert!(matches!(BatchAck::decode(text.as_bytes()), Err(BodyError::Json(_))));
    }
}
