//! What producers of transactions do, and are asked.

/// What happened to a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tx {
    /// A half message is about to be sent.
    Begun {
        /// The number of the transaction.
        tx: u64,
    },
    /// It is stored.
    Half {
        /// The number of the transaction.
        tx: u64,
        /// The index of the broker.
        broker: usize,
        /// Its position in the broker's log.
        physical: i64,
    },
    /// A producer is about to say what is to become of it: that consumers get it, or not; `None` when it does not know.
    Said {
        /// The number of the transaction.
        tx: u64,
        /// What.
        commit: Option<bool>,
        /// Whether a broker asked.
        asked: bool,
    },
    /// A checker is asked.
    Asked {
        /// The number of the transaction, if the message has one.
        tx: Option<u64>,
        /// Whether it is of the checker's group, and as it was sent.
        right: bool,
    },
    /// Brokers had their time to ask about what was undecided: so many half messages are left.
    Settled {
        /// How many.
        left: usize,
    },
}
