//! Offsets of queues and groups.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Admin, AdminError, Brokers, Partial};
use crate::ids::{BrokerName, Group, MessageQueue, QueueOffset, Topic};
use crate::time::UnixMillis;
use crate::wire::Frame;
use crate::wire::body::ConsumeStats;
use crate::wire::codes::{request, response};
use crate::wire::request::{
    Boundary, CloneOffsets, Fields, GetConsumeStats, QueryConsumerOffset, QueryConsumerOffsetResponse,
    QueueOffsetRequest, QueueOffsetResponse, SearchOffset, StoreTimeResponse, UpdateConsumerOffset,
};

impl Admin {
    /// The end of a queue: the offset its next message will have.
    ///
    /// # Errors
    /// The broker refuses or does not answer.
    pub async fn max_offset(&self, queue: &MessageQueue) -> Result<QueueOffset, AdminError> {
        self.queue_offset::<{ request::GET_MAX_OFFSET }>(queue).await
    }

    /// The start of a queue: the offset of its oldest message.
    ///
    /// # Errors
    /// The broker refuses or does not answer.
    pub async fn min_offset(&self, queue: &MessageQueue) -> Result<QueueOffset, AdminError> {
        self.queue_offset::<{ request::GET_MIN_OFFSET }>(queue).await
    }

    /// When the oldest message of a queue was stored; `None` for an empty queue.
    ///
    /// # Errors
    /// The broker refuses or does not answer.
    pub async fn earliest_store_time(&self, queue: &MessageQueue) -> Result<Option<UnixMillis>, AdminError> {
        let (topic, queue_id) = (queue.topic.clone(), queue.id);
        let request = QueueOffsetRequest::<{ request::GET_EARLIEST_MSG_STORETIME }> { topic, queue_id };
        let frame = self.request(&self.master(queue).await?, &request).await?;
        let time = StoreTimeResponse::read(&frame.header.ext)?.timestamp;
        Ok((time >= 0).then_some(UnixMillis(time)))
    }

    /// The offset of the first message of a queue that was stored at this time or later, else the end of the queue.
    /// Brokers of 4.9 give the last one stored then or before, whatever is asked.
    ///
    /// # Errors
    /// The broker refuses or does not answer.
    pub async fn search_offset(&self, queue: &MessageQueue, time: UnixMillis) -> Result<QueueOffset, AdminError> {
        self.search_offset_by(queue, time, Boundary::Lower).await
    }

    /// The offset of a time, from below or from above: see [`Boundary`].
    ///
    /// # Errors
    /// The broker refuses or does not answer.
    pub async fn search_offset_by(
        &self,
        queue: &MessageQueue,
        time: UnixMillis,
        boundary: Boundary,
    ) -> Result<QueueOffset, AdminError> {
        let (topic, queue_id) = (queue.topic.clone(), queue.id);
        let request = SearchOffset { topic, queue_id, timestamp: time.0, boundary: Some(boundary) };
        let frame = self.request(&self.master(queue).await?, &request).await?;
        Ok(QueueOffsetResponse::read(&frame.header.ext)?.offset)
    }

    /// The offset a group has committed; `None` when it has none.
    ///
    /// # Errors
    /// The broker refuses or does not answer.
    pub async fn committed(
        &self,
        group: impl Into<Group>,
        queue: &MessageQueue,
    ) -> Result<Option<QueueOffset>, AdminError> {
        let request = QueryConsumerOffset {
            group: group.into(),
            topic: queue.topic.clone(),
            queue_id: queue.id,
            set_zero_if_not_found: Some(false),
            broker: Some(queue.broker.clone()),
        };
        let master = self.master(queue).await?;
        match self.request(&master, &request).await {
            Ok(frame) => Ok(Some(QueryConsumerOffsetResponse::read(&frame.header.ext)?.offset)),
            Err(AdminError::Broker { code: response::QUERY_NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the offset that a group has committed. Members that are running go on where they are, and commit that:
    /// [`Admin::reset_offset`] moves them.
    ///
    /// # Errors
    /// The broker refuses or does not answer.
    pub async fn set_committed(
        &self,
        group: impl Into<Group>,
        queue: &MessageQueue,
        offset: QueueOffset,
    ) -> Result<(), AdminError> {
        let request = UpdateConsumerOffset {
            group: group.into(),
            topic: queue.topic.clone(),
            queue_id: queue.id,
            commit_offset: offset,
            broker: Some(queue.broker.clone()),
        };
        self.request(&self.master(queue).await?, &request).await.map(drop)
    }

    /// How far a group is in a topic, or in all topics that it consumes.
    ///
    /// # Errors
    /// The group has no retry topic, which every group that ever had members has, or no broker answers.
    pub async fn consume_stats(
        &self,
        group: impl Into<Group>,
        topic: Option<Topic>,
    ) -> Result<Partial<ConsumeStats>, AdminError> {
        let group = group.into();
        let retry = Topic::from(alloc::format!("%RETRY%{group}"));
        let request = GetConsumeStats { group, topic };
        let read = |broker: &BrokerName, frame: &Frame| {
            let stats = ConsumeStats::decode(&frame.body)?;
            Self::own(broker, stats.offset_table.0.keys()).map(|()| stats)
        };
        let all = self.ask_replicas(&retry, &request, read).await?;
        Ok(all.map(|all| {
            let mut whole = ConsumeStats::default();
            for (_, stats) in all {
                whole.offset_table.0.extend(stats.offset_table.0);
                whole.consume_tps += stats.consume_tps;
            }
            whole
        }))
    }

    /// Has a group take over the offsets that another has in a topic; says which brokers did.
    ///
    /// # Errors
    /// No broker did.
    pub async fn clone_offsets(
        &self,
        from: impl Into<Group>,
        to: impl Into<Group>,
        topic: impl Into<Topic>,
    ) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let topic = topic.into();
        let request = CloneOffsets { from: from.into(), to: to.into(), topic: Some(topic.clone()), offline: false };
        self.tell_brokers(&Brokers::OfTopic(topic), &request, Bytes::new()).await
    }

    async fn queue_offset<const CODE: i32>(&self, queue: &MessageQueue) -> Result<QueueOffset, AdminError> {
        let request = QueueOffsetRequest::<CODE> { topic: queue.topic.clone(), queue_id: queue.id };
        let frame = self.request(&self.master(queue).await?, &request).await?;
        Ok(QueueOffsetResponse::read(&frame.header.ext)?.offset)
    }
}
