//! Messages that an operator has this consumer handle: decoded, handed out ahead of all others, and answered.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{Consumer, State};
use crate::client::Output;
use crate::client::broker_request::{Asker, Refusal};
use crate::dispatch::{Batch, Content, DirectEnd, Item};
use crate::effects::Effects;
use crate::ids::{BrokerName, Epoch, MessageQueue};
use crate::timers::TimerKey;
use crate::wire::body::DirectResult;
use crate::wire::codes::response;
use crate::wire::message::{Entry, RecordLimits, walk};

impl Consumer {
    /// An operator wants this stored message handled: who asks is told what came of it.
    pub(crate) fn on_consume_directly(
        &mut self,
        asker: &Asker,
        broker: Option<BrokerName>,
        stored: &Bytes,
        fx: &mut Effects,
    ) -> Result<(), Refusal> {
        if !matches!(self.state, State::Running) || self.directs.len() >= MAX_DIRECTS {
            return Err(Refusal::Busy(self.config.group.clone()));
        }
        let batch = batch_of(broker.unwrap_or_default(), stored)?;
        let (group, id) = (self.config.group.clone(), fx.fresh_id());
        self.directs.insert(id, asker.clone());
        fx.arm(TimerKey::Direct(group.clone(), id), DIRECT_TIMEOUT);
        fx.output(Output::DeliverDirect { group, id, batch: Arc::new(batch) });
        Ok(())
    }

    /// The handler is done with such a message.
    pub(crate) fn on_direct_end(&mut self, end: DirectEnd, fx: &mut Effects) {
        if let Some(asker) = self.directs.remove(&end.id) {
            fx.disarm(&TimerKey::Direct(self.config.group.clone(), end.id));
            let result = DirectResult {
                auto_commit: self.config.auto_commit,
                consume_result: Some(end.result),
                order: self.config.is_orderly(),
                remark: end.remark,
                spent_time_mills: i64::try_from(end.spent.as_millis()).unwrap_or(i64::MAX),
            };
            asker.answer(response::SUCCESS, None, result.encode().into(), fx);
        }
    }

    /// Nobody took such a message, or its handler takes too long for the broker.
    pub(crate) fn on_direct_deadline(&mut self, id: u64, fx: &mut Effects) {
        if let Some(asker) = self.directs.remove(&id) {
            fx.output(Output::CancelDirect { group: self.config.group.clone(), id });
            asker.answer(response::SYSTEM_ERROR, Some("the message was not settled in time"), Bytes::new(), fx);
        }
    }

    /// The consumer stops: who still waits is told so.
    pub(super) fn end_directs(&mut self, fx: &mut Effects) {
        for (id, asker) in core::mem::take(&mut self.directs) {
            fx.disarm(&TimerKey::Direct(self.config.group.clone(), id));
            asker.answer(response::SYSTEM_ERROR, Some("the consumer stops"), Bytes::new(), fx);
        }
    }
}

/// One stored message as a batch of no assignment.
fn batch_of(broker: BrokerName, stored: &Bytes) -> Result<Batch, Refusal> {
    let entries: Vec<_> = walk(stored, RecordLimits::for_pull(1)).take(2).collect();
    let record = match <[Entry; 1]>::try_from(entries) {
        Ok([Entry::Record(record)]) if !record.sys_flag.inner_batch() => record,
        Ok([Entry::Record(_)]) => return Err(Refusal::Malformed("a batch of messages".into())),
        Ok([Entry::Poison(poison)]) => return Err(Refusal::Malformed(alloc::format!("{}", poison.reason))),
        Ok([Entry::Rest(lost)]) => return Err(Refusal::Malformed(alloc::format!("{}", lost.reason))),
        Err(entries) => return Err(Refusal::Malformed(alloc::format!("{} messages", entries.len()))),
    };
    let queue = MessageQueue { topic: record.topic(stored).into(), broker, id: record.queue_id };
    let (offset, physical_offset) = (record.queue_offset, Some(record.physical_offset));
    Ok(Batch {
        queue: Arc::new(queue),
        epoch: NO_EPOCH,
        from: offset,
        to: offset.next(),
        frame: stored.clone(),
        items: alloc::vec![Item { offset, physical_offset, content: Content::Record(record) }],
        pop: None,
    })
}

/// No assignment has this number.
const NO_EPOCH: Epoch = Epoch(0);
/// How long a handler may take: brokers wait for 10 s.
const DIRECT_TIMEOUT: Duration = Duration::from_secs(9);
/// Such messages under way at once.
const MAX_DIRECTS: usize = 16;
