//! One stored message that came with a request of a server, as a batch of no assignment.

use alloc::vec::Vec;

use bytes::Bytes;

use super::broker_request::Refusal;
use crate::dispatch::Batch;
use crate::ids::BrokerName;
use crate::wire::message::{Entry, Record, RecordLimits, walk};

/// Reads the record of exactly one message.
pub(crate) fn batch_of(broker: BrokerName, stored: &Bytes) -> Result<Batch, Refusal> {
    Ok(Batch::of_one(broker, stored, record_of(stored)?))
}

fn record_of(stored: &Bytes) -> Result<Record, Refusal> {
    let entries: Vec<_> = walk(stored, RecordLimits::for_pull(1)).take(2).collect();
    match <[Entry; 1]>::try_from(entries) {
        Ok([Entry::Record(record)]) if !record.sys_flag.inner_batch() => Ok(record),
        Ok([Entry::Record(_)]) => Err(Refusal::Malformed("a batch of messages".into())),
        Ok([Entry::Poison(poison)]) => Err(Refusal::Malformed(alloc::format!("{}", poison.reason))),
        Ok([Entry::Rest(lost)]) => Err(Refusal::Malformed(alloc::format!("{}", lost.reason))),
        Err(entries) => Err(Refusal::Malformed(alloc::format!("{} messages", entries.len()))),
    }
}
