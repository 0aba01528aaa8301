//! Replies to request messages, as brokers hand them over.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;

use super::broker_request::Refusal;
use super::single::batch_of;
use super::{ClientMachine, Output};
use crate::dispatch::Taken;
use crate::ids::{Group, QueueOffset};
use crate::request::PushedReply;
use crate::wire::Frame;
use crate::wire::message::properties::{self, name};
use crate::wire::message::{RecordVersion, StoredMessage, SysFlags, encode_record};
use crate::wire::request::{Fields, PushReply};

impl ClientMachine {
    /// A broker hands over a reply. Whether somebody still waits for it is not known here.
    pub(super) fn on_push_reply(&mut self, frame: &Frame) -> Result<Group, Refusal> {
        let header = PushReply::read(&frame.header.ext)?;
        let mut properties = header.properties.unwrap_or_default();
        let correlation = properties::get(properties.as_bytes(), name::CORRELATION_ID).map(String::from);
        let correlation = correlation.ok_or(Refusal::Malformed("no correlation id".into()))?;
        // Brokers of 4.x leave the last separator out.
        if !properties.ends_with('\u{2}') {
            properties.push('\u{2}');
        }
        properties.push_str(&alloc::format!("{}\u{1}{}\u{2}", name::ARRIVE_TIME, self.fx.wall.0));
        let host = |text: Option<String>| text.and_then(|text| text.parse().ok()).unwrap_or(NOWHERE);
        let stored = StoredMessage {
            queue_id: header.queue_id,
            flag: header.flag,
            queue_offset: QueueOffset::ZERO,
            physical_offset: 0,
            sys_flag: SysFlags(header.sys_flag & BODY_FLAGS),
            born_timestamp: header.born_timestamp,
            born_host: host(header.born_host),
            store_timestamp: header.store_timestamp.unwrap_or_default(),
            store_host: host(header.store_host),
            reconsume_times: header.reconsume_times.unwrap_or_default(),
            prepared_transaction_offset: 0,
            body: frame.body.clone(),
            topic: header.topic,
            properties: Bytes::from(properties),
        };
        let mut record = Vec::new();
        encode_record(&stored, RecordVersion::V2, &mut record)
            .map_err(|error| Refusal::Malformed(alloc::format!("{error}")))?;
        let batch = Arc::new(batch_of("".into(), &Bytes::from(record))?);
        let message = Taken::alone(batch, self.fx.now);
        self.fx.output(Output::PushedReply(PushedReply { correlation, message }));
        Ok(header.group)
    }
}

/// An address that cannot be read.
const NOWHERE: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
/// What flags say of the body.
const BODY_FLAGS: i32 = SysFlags::COMPRESSED | SysFlags::COMPRESSION_MASK;
