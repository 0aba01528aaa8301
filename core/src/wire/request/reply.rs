//! Replies to request messages.

use alloc::string::String;

use super::{Fields, Request, SendMessage, fields};
use crate::ids::{Group, Topic};
use crate::wire::codes::request::{PUSH_REPLY_MESSAGE_TO_CLIENT, SEND_REPLY_MESSAGE_V2};
use crate::wire::header::{ExtFields, ExtWriter, FieldError};

/// Send the reply to a request message: the broker hands it to the client that its properties name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendReply(
    /// The header.
    pub SendMessage,
);

impl Fields for SendReply {
    fn write(&self, out: &mut ExtWriter<'_>) {
        self.0.write(out);
    }

    fn read(ext: &ExtFields) -> Result<Self, FieldError> {
        SendMessage::read(ext).map(Self)
    }
}

impl Request for SendReply {
    const CODE: i32 = SEND_REPLY_MESSAGE_V2;
}

fields! {
    /// A broker hands over the reply to a request message. The body of the frame is the reply's.
    pub struct PushReply = PUSH_REPLY_MESSAGE_TO_CLIENT {
        /// The group of the producer that replied.
        group: Group = "producerGroup",
        /// The reply topic of the cluster.
        topic: Topic = "topic",
        /// The queue it is stored in.
        queue_id: i32 = "queueId",
        /// Bits of protocol §7.2.
        sys_flag: i32 = "sysFlag",
        /// When it was born, Unix milliseconds.
        born_timestamp: i64 = "bornTimestamp",
        /// A flag of the user's.
        flag: i32 = "flag",
        /// The properties, encoded.
        properties: Option<String> = "properties",
        /// How often it was redelivered.
        reconsume_times: Option<i32> = "reconsumeTimes",
        /// The address of the producer that replied.
        born_host: Option<String> = "bornHost",
        /// The broker's address.
        store_host: Option<String> = "storeHost",
        /// When the broker got it, Unix milliseconds.
        store_timestamp: Option<i64> = "storeTimestamp",
    }
}
