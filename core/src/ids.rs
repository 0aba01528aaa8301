//! Newtypes for everything that would otherwise be a bare string or integer.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<&String> for $name {
            fn from(text: &String) -> Self {
                Self(Arc::from(text.as_str()))
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type! {
    /// A topic name.
    Topic
}
name_type! {
    /// A producer or consumer group name.
    Group
}
name_type! {
    /// A broker's logical name: one master and its slaves share it.
    BrokerName
}
name_type! {
    /// A client id, `ip@instance`.
    ClientId
}
name_type! {
    /// Where to connect: `host:port`, `[v6]:port`.
    Endpoint
}

impl Endpoint {
    /// The address of the same host two ports below, where brokers take messages apart from pulls; `None` when there is no
    /// such port. Source: Java `MixAll.brokerVIPChannel`.
    #[must_use]
    pub fn vip_channel(&self) -> Option<Self> {
        let (host, port) = self.as_str().rsplit_once(':')?;
        let port = port.parse::<u16>().ok()?.checked_sub(2).filter(|port| *port > 0)?;
        Some(Self::from(alloc::format!("{host}:{port}")))
    }
}

/// A position in one queue: the offset of the next message to read, or of a message.
///
/// It counts messages from 0 and is never negative ("no offset stored" is an `Option`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueOffset(u64);

impl QueueOffset {
    /// The first position of a queue.
    pub const ZERO: Self = Self(0);

    /// The offset with this value.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// An offset from the wire, `None` when it is negative.
    #[must_use]
    pub fn from_wire(value: i64) -> Option<Self> {
        u64::try_from(value).ok().map(Self)
    }

    /// The value.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The value as the wire writes it.
    #[must_use]
    pub fn to_wire(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// The position after this message.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for QueueOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A physical position in a broker's commit log, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitLogOffset(pub i64);

/// One queue of a topic on one broker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageQueue {
    /// The topic.
    pub topic: Topic,
    /// The broker that holds the queue.
    pub broker: BrokerName,
    /// Its number on that broker, from 0.
    pub id: i32,
}

impl fmt::Display for MessageQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}#{}", self.topic, self.broker, self.id)
    }
}

/// One TCP link of this client; the generation tells two links in the same slot apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// Slot in the link table.
    pub index: u32,
    /// How often the slot was used before.
    pub generation: u32,
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conn{}.{}", self.index, self.generation)
    }
}

/// Correlates a request and its response on one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opaque(pub i32);

/// A request of the control plane, unique in the life of one `ClientMachine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// An operation that a handle asked for and waits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// One assignment of one queue to this member: results of another epoch are stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_offsets_do_not_exist() {
        assert_eq!(QueueOffset::from_wire(-1), None);
        assert_eq!(QueueOffset::from_wire(5), Some(QueueOffset::new(5)));
        assert_eq!(QueueOffset::new(u64::MAX).to_wire(), i64::MAX);
        assert_eq!(QueueOffset::ZERO.next().get(), 1);
    }

    #[test]
    fn queues_sort_by_topic_broker_and_number() {
        let queue = |topic: &str, broker: &str, id| MessageQueue { topic: topic.into(), broker: broker.into(), id };
        let mut queues = [queue("t", "b", 0), queue("t", "a", 10), queue("t", "a", 2), queue("s", "z", 9)];
        queues.sort();
        let names = queues.map(|q| alloc::format!("{q}"));
        assert_eq!(names, ["s@z#9", "t@a#2", "t@a#10", "t@b#0"]);
    }
}
