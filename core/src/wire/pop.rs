//! Popped messages: their topics, offsets and handles.
//!
//! A broker notes what it has popped in checkpoints. The handle of a message names its checkpoint and its place in it;
//! what acknowledges the message, or hides it for longer, gives the handle back.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::ids::{BrokerName, Group, QueueOffset, Topic};

/// Which topic a popped message lies in: the one asked for, or where the broker put it when its time was over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PopTopic {
    /// The topic itself.
    #[default]
    Normal,
    /// `%RETRY%group_topic`.
    RetryV1,
    /// `%RETRY%group+topic`, where a broker is told to name it so.
    RetryV2,
}

impl PopTopic {
    /// Which one a record with this topic lies in. Source: Java `ExtraInfoUtil.getRetry`.
    #[must_use]
    pub fn of_record(topic: &str) -> Self {
        match topic.strip_prefix(RETRY_PREFIX) {
            Some(rest) if rest.contains('+') => Self::RetryV2,
            Some(_) => Self::RetryV1,
            None => Self::Normal,
        }
    }

    /// The name of the topic.
    #[must_use]
    pub fn name(self, group: &Group, topic: &Topic) -> Topic {
        match self {
            Self::Normal => topic.clone(),
            Self::RetryV1 => Topic::from(alloc::format!("{RETRY_PREFIX}{group}_{topic}")),
            Self::RetryV2 => Topic::from(alloc::format!("{RETRY_PREFIX}{group}+{topic}")),
        }
    }

    /// Its digit on the wire.
    #[must_use]
    pub const fn digit(self) -> u8 {
        match self {
            Self::Normal => b'0',
            Self::RetryV1 => b'1',
            Self::RetryV2 => b'2',
        }
    }
}

impl FromStr for PopTopic {
    type Err = PopError;

    fn from_str(text: &str) -> Result<Self, PopError> {
        match text {
            "0" => Ok(Self::Normal),
            "1" => Ok(Self::RetryV1),
            "2" => Ok(Self::RetryV2),
            _ => Err(PopError::Topic),
        }
    }
}

impl fmt::Display for PopTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&char::from(self.digit()), f)
    }
}

/// What a broker knows a popped message by, the property `POP_CK`: eight fields with blanks between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PopHandle {
    /// The first offset of its checkpoint.
    pub start: QueueOffset,
    /// When it was popped, by the broker's clock, Unix milliseconds.
    pub pop_millis: i64,
    /// How long it is hidden from then on, milliseconds.
    pub invisible_millis: i64,
    /// The queue in which the broker notes what is acknowledged.
    pub revive_queue: i32,
    /// The topic it lies in.
    pub topic: PopTopic,
    /// The broker.
    pub broker: BrokerName,
    /// Its queue.
    pub queue_id: i32,
    /// Its offset there.
    pub offset: QueueOffset,
}

impl PopHandle {
    /// The handle of the same message once its invisible time was changed: its checkpoint is its own then.
    #[must_use]
    pub fn changed(&self, pop_millis: i64, invisible_millis: i64, revive_queue: i32) -> Self {
        Self { start: self.offset, pop_millis, invisible_millis, revive_queue, ..self.clone() }
    }

    /// Whether the message was hidden no longer at a time of the broker's clock, in milliseconds.
    #[must_use]
    pub fn is_over(&self, at: i64) -> bool {
        self.pop_millis.saturating_add(self.invisible_millis) <= at
    }
}

impl FromStr for PopHandle {
    type Err = PopError;

    fn from_str(text: &str) -> Result<Self, PopError> {
        let mut fields = text.split(' ');
        let mut next = || fields.next().ok_or(PopError::Fields);
        let handle = Self {
            start: offset(next()?)?,
            pop_millis: number(next()?)?,
            invisible_millis: number(next()?)?,
            revive_queue: number(next()?)?,
            topic: next()?.parse()?,
            broker: BrokerName::from(next()?),
            queue_id: number(next()?)?,
            offset: offset(next()?)?,
        };
        // A proxy adds the physical offset, which nothing here asks for.
        if fields.nth(1).is_some() { Err(PopError::Fields) } else { Ok(handle) }
    }
}

impl fmt::Display for PopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, pop_millis, invisible_millis, revive_queue, topic, broker, queue_id, offset } = self;
        write!(f, "{start} {pop_millis} {invisible_millis} {revive_queue} {topic} {broker} {queue_id} {offset}")
    }
}

/// Offsets by topic and queue, as the answer to a pop has them: `0 1 0;0 0 0,1` is the offset 0 of queue 1 and the
/// offsets 0 and 1 of queue 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueOffsets(pub BTreeMap<(PopTopic, i32), Vec<QueueOffset>>);

impl QueueOffsets {
    /// The offset with this index in a queue.
    #[must_use]
    pub fn at(&self, topic: PopTopic, queue_id: i32, index: usize) -> Option<QueueOffset> {
        self.0.get(&(topic, queue_id))?.get(index).copied()
    }
}

impl FromStr for QueueOffsets {
    type Err = PopError;

    fn from_str(text: &str) -> Result<Self, PopError> {
        let mut all = BTreeMap::new();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let mut fields = part.split(' ');
            let (Some(topic), Some(queue_id), Some(offsets), None) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                return Err(PopError::Fields);
            };
            let offsets = offsets.split(',').map(offset).collect::<Result<_, _>>()?;
            if all.insert((topic.parse()?, number(queue_id)?), offsets).is_some() {
                return Err(PopError::Twice);
            }
        }
        Ok(Self(all))
    }
}

impl fmt::Display for QueueOffsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for ((topic, queue_id), offsets) in &self.0 {
            let offsets: Vec<String> = offsets.iter().map(|offset| alloc::format!("{offset}")).collect();
            write!(f, "{between}{topic} {queue_id} {}", offsets.join(","))?;
            between = ";";
        }
        Ok(())
    }
}

/// What of a popped message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PopError {
    /// Too few fields, or too many.
    #[error("too few or too many fields")]
    Fields,
    /// A number that is none, or out of bounds.
    #[error("a number that is none")]
    Number,
    /// None of the kinds of topics.
    #[error("an unknown kind of topic")]
    Topic,
    /// A queue that is there twice.
    #[error("a queue that is there twice")]
    Twice,
}

fn number<T: FromStr>(text: &str) -> Result<T, PopError> {
    text.parse().map_err(|_| PopError::Number)
}

fn offset(text: &str) -> Result<QueueOffset, PopError> {
    QueueOffset::from_wire(number(text)?).ok_or(PopError::Number)
}

/// Before the group in the name of a retry topic.
const RETRY_PREFIX: &str = "%RETRY%";

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_handle_comes_back_and_changes_as_brokers_change_it() {
        let text = "10 1700000000000 60000 3 1 broker-a 2 12";
        let handle: PopHandle = text.parse().unwrap();
        assert_eq!((handle.start.get(), handle.offset.get(), handle.queue_id), (10, 12, 2));
        assert_eq!((handle.topic, handle.revive_queue), (PopTopic::RetryV1, 3));
        assert_eq!(handle.to_string(), text);
        let changed = handle.changed(1_700_000_000_777, 5_000, 4);
        assert_eq!(changed.to_string(), "12 1700000000777 5000 4 1 broker-a 2 12");
        let of_proxy: PopHandle = "10 1 2 3 2 b 0 12 4096".parse().unwrap();
        assert_eq!(of_proxy.to_string(), "10 1 2 3 2 b 0 12");
    }

    #[test]
    fn what_is_no_handle_is_told() {
        let read = |text: &str| text.parse::<PopHandle>().unwrap_err();
        assert_eq!(read("10 1 2 3 0 b 0"), PopError::Fields);
        assert_eq!(read("10 1 2 3 0 b 0 12 4096 1"), PopError::Fields);
        assert_eq!(read("-1 1 2 3 0 b 0 12"), PopError::Number);
        assert_eq!(read("10 1 2 3 7 b 0 12"), PopError::Topic);
        assert_eq!(read("10 1 2 x 0 b 0 12"), PopError::Number);
        assert_eq!(read(""), PopError::Number);
    }

    #[test]
    fn offsets_come_back() {
        let text = "0 0 0,1;0 1 0;1 0 7;2 0 9";
        let offsets: QueueOffsets = text.parse().unwrap();
        assert_eq!(offsets.at(PopTopic::Normal, 0, 1), Some(QueueOffset::new(1)));
        assert_eq!(offsets.at(PopTopic::Normal, 0, 2), None);
        assert_eq!(offsets.at(PopTopic::RetryV2, 0, 0), Some(QueueOffset::new(9)));
        assert_eq!(offsets.to_string(), text);
        assert_eq!("".parse(), Ok(QueueOffsets::default()));
        let read = |text: &str| text.parse::<QueueOffsets>().unwrap_err();
        assert_eq!(read("0 1 0;0 1 5"), PopError::Twice);
        assert_eq!(read("0 1"), PopError::Fields);
        assert_eq!(read("0 1 2 3"), PopError::Fields);
        assert_eq!(read("0 1 2,,3"), PopError::Number);
        assert_eq!(read("3 1 2"), PopError::Topic);
    }

    #[test]
    fn retry_topics_have_two_forms() {
        let (group, topic) = ("g".into(), "t".into());
        for kind in [PopTopic::Normal, PopTopic::RetryV1, PopTopic::RetryV2] {
            let name = kind.name(&group, &topic);
            assert_eq!(PopTopic::of_record(name.as_str()), kind, "{name}");
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!(PopTopic::RetryV1.name(&group, &topic).as_str(), "%RETRY%g_t");
        assert_eq!(PopTopic::RetryV2.name(&group, &topic).as_str(), "%RETRY%g+t");
    }
}
