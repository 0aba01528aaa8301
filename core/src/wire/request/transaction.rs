//! Transactions: what a producer says, and what it is asked.

use alloc::string::String;

use super::fields;
use crate::ids::{BrokerName, Group, Topic};
use crate::wire::codes::request::{CHECK_TRANSACTION_STATE, END_TRANSACTION};

fields! {
    /// Say what is to become of a half message. Sent oneway: brokers answer nothing to [`EndTransaction::UNKNOWN`].
    pub struct EndTransaction = END_TRANSACTION {
        /// The topic of the message; in answer to a check, what that named.
        topic: Option<Topic> = "topic",
        /// The producer group, the one that the half message names.
        group: Group = "producerGroup",
        /// The position in the broker's queue of half messages.
        table_offset: i64 = "tranStateTableOffset",
        /// The position in the broker's commit log.
        log_offset: i64 = "commitLogOffset",
        /// [`EndTransaction::COMMIT`], [`EndTransaction::ROLLBACK`] or [`EndTransaction::UNKNOWN`].
        resolution: i32 = "commitOrRollback",
        /// Whether this answers a check.
        from_check: Option<bool> = "fromTransactionCheck",
        /// The unique key of the message.
        msg_id: String = "msgId",
        /// The same.
        transaction_id: Option<String> = "transactionId",
        /// The broker.
        broker: Option<BrokerName> = "bname",
    }
}

impl EndTransaction {
    /// The message becomes visible.
    pub const COMMIT: i32 = 8;
    /// It never does.
    pub const ROLLBACK: i32 = 12;
    /// The broker is to ask again.
    pub const UNKNOWN: i32 = 0;
}

fields! {
    /// A broker asks what became of a half message; the body is its record. Each check names another place: the broker
    /// stores the half message anew before it asks.
    pub struct CheckTransaction = CHECK_TRANSACTION_STATE {
        /// The broker's topic of half messages (5.x).
        topic: Option<Topic> = "topic",
        /// The position in the broker's queue of half messages.
        table_offset: i64 = "tranStateTableOffset",
        /// The position in the broker's commit log.
        log_offset: i64 = "commitLogOffset",
        /// The unique key of the message.
        msg_id: Option<String> = "msgId",
        /// The same.
        transaction_id: Option<String> = "transactionId",
        /// The id that says where the half message lies.
        offset_msg_id: Option<String> = "offsetMsgId",
        /// The broker (5.x).
        broker: Option<BrokerName> = "bname",
    }
}
