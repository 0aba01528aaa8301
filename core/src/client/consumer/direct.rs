//! Messages that an operator has this consumer handle: decoded, handed out ahead of all others, and answered.

use alloc::sync::Arc;
use core::time::Duration;

use bytes::Bytes;

use super::{Consumer, State};
use crate::client::Output;
use crate::client::broker_request::{Asker, Refusal};
use crate::client::single::batch_of;
use crate::dispatch::DirectEnd;
use crate::effects::Effects;
use crate::ids::BrokerName;
use crate::timers::TimerKey;
use crate::wire::body::DirectResult;
use crate::wire::codes::response;

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

/// How long a handler may take: brokers wait for 10 s.
const DIRECT_TIMEOUT: Duration = Duration::from_secs(9);
/// Such messages under way at once.
const MAX_DIRECTS: usize = 16;
