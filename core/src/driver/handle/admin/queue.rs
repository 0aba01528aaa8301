//! What is in a queue, without a group that would consume it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{Admin, AdminError, TIMEOUT};
use crate::client::{PullContext, Pulled, decode_pull};
use crate::config::Filter;
use crate::dispatch::Taken;
use crate::driver::handle::ReceivedMessage;
use crate::driver::shared::Call;
use crate::ids::{Epoch, Group, MessageQueue, QueueOffset};
use crate::time::{Instant, UnixMillis};
use crate::wire::message::RecordLimits;
use crate::wire::request::PullMessage;

/// Messages of a queue from an offset on.
#[derive(Debug)]
pub struct Excerpt {
    /// Those that are wanted, in order; one that cannot be read has no body.
    pub messages: Vec<ReceivedMessage>,
    /// The offset to go on from.
    pub next: QueueOffset,
}

impl Admin {
    /// Messages of a queue from an offset on that a filter wants, `most` of them at most. Nothing is committed, and no
    /// group has to do with it. There may be none although more follow: go on from [`Excerpt::next`], which is at the
    /// start of the queue when that is further on. At the end of the queue the broker waits so long for another one.
    ///
    /// # Errors
    /// The filter breaks a rule; the broker refuses, for example as it cannot filter so, or does not answer.
    pub async fn read_queue(
        &self,
        queue: &MessageQueue,
        filter: &Filter,
        from: QueueOffset,
        most: u32,
        wait: Duration,
    ) -> Result<Excerpt, AdminError> {
        let subscription = filter.subscription(&queue.topic, UnixMillis(0)).map_err(AdminError::Filter)?;
        let suspend = if wait.is_zero() { 0 } else { PullMessage::SUSPEND };
        let request = PullMessage {
            group: Group::from(TOOLS_GROUP),
            topic: queue.topic.clone(),
            queue_id: queue.id,
            queue_offset: from,
            max_messages: i32::try_from(most).unwrap_or(i32::MAX),
            sys_flag: PullMessage::SUBSCRIPTION | suspend,
            commit_offset: 0,
            suspend_millis: i64::try_from(wait.as_millis()).unwrap_or(i64::MAX),
            subscription: Some(subscription.sub_string.clone()),
            sub_version: subscription.sub_version,
            expression_type: Some(subscription.expression_type.name().into()),
            max_bytes: None,
            broker: Some(queue.broker.clone()),
        };
        let context = PullContext {
            group: Group::from(TOOLS_GROUP),
            queue: Arc::new(queue.clone()),
            epoch: Epoch::default(),
            from,
            from_slave: false,
            subscription: Arc::new(subscription),
            limits: RecordLimits::for_pull(most),
            pop: None,
        };
        let master = self.master(queue).await?;
        let call: Call = self.call(&master, &request, Bytes::new(), wait.saturating_add(TIMEOUT));
        match decode_pull(&context, Self::any_answer_of(call.await)?) {
            Pulled::Batch { batch, .. } | Pulled::Popped { batch, .. } => {
                let taken = |index| Taken { index, ..Taken::alone(batch.clone(), Instant::ZERO) };
                let messages = (0..batch.items.len()).map(|index| ReceivedMessage::of(taken(index))).collect();
                Ok(Excerpt { messages, next: batch.to })
            }
            Pulled::Nothing { .. } => Ok(Excerpt { messages: Vec::new(), next: from }),
            Pulled::OffsetIllegal { next, .. } => Ok(Excerpt { messages: Vec::new(), next }),
            Pulled::Refused { code, remark } => Err(AdminError::Broker { code, remark }),
            Pulled::Malformed(error) => Err(AdminError::Malformed(error)),
        }
    }
}

/// The group of tools, which every broker has from its start. Source: Java `MixAll.TOOLS_CONSUMER_GROUP`.
const TOOLS_GROUP: &str = "TOOLS_CONSUMER";
