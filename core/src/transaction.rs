//! Transactions: messages that become visible only once their producer says so.
//!
//! A *half message* is stored where no consumer sees it. When its producer says nothing, or its word is lost, the broker
//! asks: any live producer of the group answers, so that the answer must come from what all of them can look up.

use alloc::string::String;

use crate::config::{ClientConfig, ProducerConfig};
use crate::dispatch::Taken;
use crate::ids::{BrokerName, Endpoint, Group, Topic};
use crate::message::{Message, MessageError};
use crate::mutants::mutant;
use crate::send::{Parcel, Receipt};
use crate::time::UnixMillis;
use crate::wire::message::properties::{PropertiesBuilder, name};
use crate::wire::message::{OffsetMsgId, SysFlags, TransactionKind, UniqueKeys};
use crate::wire::request::EndTransaction;

/// What is to become of a half message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// Consumers get it.
    Commit,
    /// Nobody ever does.
    Rollback,
    /// That is not known yet: the broker asks again, 15 times by default, then it keeps the message from everybody.
    Unknown,
}

impl Resolution {
    const fn to_wire(self) -> i32 {
        match self {
            Self::Commit => EndTransaction::COMMIT,
            Self::Rollback => EndTransaction::ROLLBACK,
            Self::Unknown => EndTransaction::UNKNOWN,
        }
    }
}

/// Where a broker keeps a half message. It changes with each check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HalfPlace {
    /// The broker, if that is known.
    pub broker: Option<BrokerName>,
    /// The topic of the message; of a check, the one that it named.
    pub topic: Option<Topic>,
    /// The position in the broker's queue of half messages.
    pub table_offset: i64,
    /// The position in the broker's commit log.
    pub log_offset: i64,
    /// The unique key of the message.
    pub msg_id: String,
    /// The transaction's id.
    pub transaction_id: Option<String>,
}

impl HalfPlace {
    /// Where a half message was stored; `None` when the broker did not say so in a form that can be read.
    #[must_use]
    pub fn of(receipt: &Receipt) -> Option<Self> {
        let stored: OffsetMsgId = receipt.offset_msg_id.parse().ok()?;
        Some(Self {
            broker: Some(receipt.queue.broker.clone()),
            topic: Some(receipt.queue.topic.clone()),
            table_offset: receipt.queue_offset.to_wire(),
            log_offset: stored.physical_offset,
            msg_id: receipt.msg_id.clone(),
            transaction_id: Some(receipt.msg_id.clone()),
        })
    }

    /// The word of a producer of this group on the message, of its own accord or asked by the broker.
    #[must_use]
    pub fn end(&self, group: &Group, resolution: Resolution, asked: bool) -> EndTransaction {
        let resolution =
            if mutant!(140) && resolution == Resolution::Unknown { Resolution::Commit } else { resolution };
        EndTransaction {
            topic: self.topic.clone(),
            group: group.clone(),
            table_offset: self.table_offset,
            log_offset: self.log_offset,
            resolution: resolution.to_wire(),
            from_check: Some(asked),
            msg_id: self.msg_id.clone(),
            transaction_id: self.transaction_id.clone(),
            broker: self.broker.clone(),
        }
    }
}

/// A broker asks what became of a half message. Answered with
/// [`Input::Transaction`](crate::client::Input::Transaction).
#[derive(Clone, Debug)]
pub struct Check {
    /// Correlates the answer.
    pub id: u64,
    /// The producer group.
    pub group: Group,
    /// The address of the broker.
    pub from: Endpoint,
    /// Where the broker keeps the message now.
    pub place: HalfPlace,
    /// The message, with its real topic.
    pub message: Taken,
}

impl Parcel {
    /// What a producer sends for a half message: it is never delayed. Source: Java
    /// `DefaultMQProducerImpl.sendMessageInTransaction`.
    ///
    /// # Errors
    /// The message breaks a rule.
    pub fn half(
        client: &ClientConfig,
        producer: &ProducerConfig,
        message: &Message,
        keys: &UniqueKeys,
        born: UnixMillis,
    ) -> Result<Self, MessageError> {
        let mut parcel = Self::new(client, producer, &message.clone().without_delay(), keys, born)?;
        let mut properties = PropertiesBuilder::with_capacity(parcel.properties.len());
        if !mutant!(36) {
            properties.put(name::TRAN_MSG, "true")?;
        }
        properties.put(name::PGROUP, producer.group.as_str())?;
        for (key, value) in crate::wire::message::properties::iter(parcel.properties.as_bytes()) {
            properties.put(key, value)?;
        }
        parcel.properties = properties.finish();
        parcel.sys_flag = SysFlags(parcel.sys_flag).with_transaction(TransactionKind::Prepared).0;
        Ok(parcel)
    }
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::ids::{MessageQueue, QueueOffset};
    use crate::send::StoreStatus;
    use crate::wire::message::properties::get;

    fn half(message: &Message) -> Parcel {
        let client = ClientConfig::new(alloc::vec::Vec::new(), "c".into());
        let producer = ProducerConfig::new("g".into());
        let keys = UniqueKeys::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7, 9);
        Parcel::half(&client, &producer, message, &keys, UnixMillis(1)).unwrap()
    }

    #[test]
    fn a_half_message_says_so_and_whose_it_is_and_is_not_delayed() {
        let message = Message::new("t", "b").with_tag("x").with_delay_level(3);
        let parcel = half(&message);
        let get = |key| get(parcel.properties.as_bytes(), key);
        assert_eq!((get("TRAN_MSG"), get("PGROUP"), get("TAGS")), (Some("true"), Some("g"), Some("x")));
        assert_eq!((get("DELAY"), get("UNIQ_KEY")), (None, Some(parcel.unique_key.as_str())));
        assert_eq!(SysFlags(parcel.sys_flag).transaction(), TransactionKind::Prepared);
        let large = half(&Message::new("t", alloc::vec![b'a'; 10_000]));
        assert!(SysFlags(large.sys_flag).compressed(), "a flag does not replace another");
        assert_eq!(SysFlags(large.sys_flag).transaction(), TransactionKind::Prepared);
    }

    #[test]
    fn the_end_of_a_transaction_names_the_place_that_the_receipt_tells() {
        let queue = MessageQueue { topic: "t".into(), broker: "b".into(), id: 3 };
        let receipt = Receipt {
            status: StoreStatus::Stored,
            msg_id: "U".into(),
            offset_msg_id: "7F00000100002A9F00000000000081B6".into(),
            queue,
            queue_offset: QueueOffset::new(16),
            recall_handle: None,
            region: None,
            trace_on: true,
            batch_key: None,
        };
        let place = HalfPlace::of(&receipt).unwrap();
        let end = place.end(&"g".into(), Resolution::Rollback, false);
        assert_eq!((end.table_offset, end.log_offset, end.resolution), (16, 33_206, 12));
        assert_eq!((end.from_check, end.msg_id.as_str(), end.transaction_id.as_deref()), (Some(false), "U", Some("U")));
        let words = [Resolution::Commit, Resolution::Unknown].map(|word| place.end(&"g".into(), word, true));
        assert_eq!(words.map(|end| (end.resolution, end.from_check)), [(8, Some(true)), (0, Some(true))]);
        assert_eq!(HalfPlace::of(&Receipt { offset_msg_id: "?".into(), ..receipt }), None);
    }
}
