//! What an administrator asks, what it is told, and what it makes of that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rocketmq_core::time::Instant;

/// What happened to an operation of an administrator; one at a time in a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// It begins.
    Begun {
        /// The number of the operation.
        id: u64,
        /// The index of the host.
        host: usize,
        /// What it is.
        of: ErrandOf,
        /// When it must be over.
        deadline: Instant,
    },
    /// The client has read a whole answer to something that it asked.
    Told {
        /// The index of the host.
        host: usize,
        /// The number of the link.
        link: u64,
        /// The address of the server.
        from: Arc<str>,
        /// The request.
        asks: i32,
        /// The topic that it names.
        about: Arc<str>,
        /// When the request got to the server.
        asked: Instant,
        /// What the server said.
        answer: Answer,
    },
    /// It is over.
    Ended {
        /// The number of the operation.
        id: u64,
        /// How.
        end: ErrandEnd,
    },
}

/// What an operation asks, and whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrandOf {
    /// The request.
    pub asks: i32,
    /// Whom it asks.
    pub whom: Whom,
}

/// Whom an operation asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// One replica of each broker of a topic: its master, or a slave when that is gone.
    OfTopic(Arc<str>),
    /// The master of each broker.
    All,
    /// One server.
    One,
}

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This code, which is an error.
    Refused(i32),
    /// Brokers and their addresses.
    Brokers(BTreeMap<Arc<str>, Addresses>),
    /// Facts as texts; none when nothing but the success was to be told.
    Facts(BTreeSet<String>),
    /// What cannot be read.
    Unreadable,
}

/// The addresses of a broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// That of the master.
    pub master: Option<Arc<str>>,
    /// That of the replica with the least number.
    pub first: Option<Arc<str>>,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrandEnd {
    /// Some servers of several did it.
    Some {
        /// The facts, of all that answered.
        facts: BTreeSet<String>,
        /// Those that answered, where the result names them.
        answered: Option<BTreeSet<Arc<str>>>,
        /// Those that did not, and why.
        failed: BTreeMap<Arc<str>, Why>,
    },
    /// The one that was asked did it.
    One(Answer),
    /// Nobody did.
    Nobody(Why),
}

/// Why a server did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It answered with this code.
    Refused(i32),
    /// No answer came.
    Silent,
    /// What came cannot be read.
    Unreadable,
    /// There is no master.
    NoMaster,
    /// Another broker answered.
    OtherBroker,
    /// No broker is known, or no topic.
    NotKnown,
}
