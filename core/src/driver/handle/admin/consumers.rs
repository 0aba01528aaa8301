//! Consumer groups: where they are, and where they are to go on.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use core::time::Duration;

use bytes::Bytes;

use super::{Admin, AdminError, Brokers, Partial, TIMEOUT};
use crate::ids::{BrokerName, ClientId, Group, MessageQueue, QueueOffset, Topic};
use crate::time::UnixMillis;
use crate::wire::Frame;
use crate::wire::body::{ConsumerRunningInfo, ConsumerStatus, DirectResult, ResetOffsets};
use crate::wire::message::OffsetMsgId;
use crate::wire::request::{
    ConsumeDirectly, GetRunningInfo, InvokeConsumerStatus, InvokeResetOffset, UpdateConsumerOffset,
};

/// Where a group is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetTo {
    /// At the first message that was stored at this time or later.
    Time(UnixMillis),
    /// The same, but for queues that are not so far yet: they stay where they are.
    BackTo(UnixMillis),
    /// At the end.
    End,
}

impl Admin {
    /// Moves a group in all queues of a topic, and says where to. Members are told by the broker: those of 4.9 at once,
    /// those of 5.x with their next pull, before which what they commit does not count.
    ///
    /// # Errors
    /// Every broker refuses or does not answer: also when the group has no offset in one of the queues yet, or, at a
    /// broker of 4.9, no member.
    pub async fn reset_offsets(
        &self,
        group: impl Into<Group>,
        topic: impl Into<Topic>,
        to: ResetTo,
    ) -> Result<Partial<BTreeMap<MessageQueue, QueueOffset>>, AdminError> {
        let (timestamp, force) = match to {
            ResetTo::Time(time) => (time.0, true),
            ResetTo::BackTo(time) => (time.0, false),
            ResetTo::End => (END, true),
        };
        let (group, topic) = (group.into(), topic.into());
        let request =
            InvokeResetOffset { topic: topic.clone(), group, queue_id: ALL, offset: i64::from(ALL), timestamp, force };
        let read = |broker: &BrokerName, frame: &Frame| {
            let moved = ResetOffsets::decode(&frame.body)?.offset_table.0;
            Self::own(broker, moved.keys()).map(|()| moved)
        };
        let all = self.ask_brokers(&Brokers::OfTopic(topic), &request, Bytes::new(), TIMEOUT, read).await?;
        Ok(all.map(|all| offsets(all.into_iter().flat_map(|(_, moved)| moved)).collect()))
    }

    /// Moves a group in one queue. A broker of 5.x that is told to have members move themselves
    /// (`useServerSideResetOffset`) has them go to the start of all queues, whatever is asked.
    ///
    /// # Errors
    /// The broker refuses or does not answer, or is older than 5.0: such a one would move the group in all queues.
    pub async fn reset_offset(
        &self,
        group: impl Into<Group>,
        queue: &MessageQueue,
        offset: QueueOffset,
    ) -> Result<(), AdminError> {
        let group = group.into();
        let master = self.master(queue).await?;
        let commit = UpdateConsumerOffset {
            group: group.clone(),
            topic: queue.topic.clone(),
            queue_id: queue.id,
            commit_offset: offset,
            broker: Some(queue.broker.clone()),
        };
        let version = self.request(&master, &commit).await?.header.version;
        if version < VERSION_5_0_0 {
            return Err(AdminError::OldBroker { version });
        }
        let request = InvokeResetOffset {
            topic: queue.topic.clone(),
            group,
            queue_id: queue.id,
            offset: offset.to_wire(),
            timestamp: 0,
            force: true,
        };
        self.request(&master, &request).await.map(drop)
    }

    /// How far each member of a group, or only this one, says that it has consumed the queues it has of a topic.
    ///
    /// # Errors
    /// Every broker refuses or does not answer: also when the group has no members, or one of them says nothing.
    pub async fn consumer_status(
        &self,
        group: impl Into<Group>,
        topic: impl Into<Topic>,
        only: Option<ClientId>,
    ) -> Result<Partial<BTreeMap<ClientId, BTreeMap<MessageQueue, QueueOffset>>>, AdminError> {
        let topic = topic.into();
        let request = InvokeConsumerStatus { topic: topic.clone(), group: group.into(), client: only };
        let read = |_: &BrokerName, frame: &Frame| Ok(ConsumerStatus::decode(&frame.body)?.consumer_table);
        let all = self.ask_replicas(&topic, &request, read).await?;
        Ok(all.map(|all| {
            let mut members = BTreeMap::<_, BTreeMap<_, _>>::new();
            for (client, table) in all.into_iter().flat_map(|(_, told)| told) {
                members.entry(client).or_default().extend(offsets(table.0));
            }
            members
        }))
    }

    /// What a member tells of itself.
    ///
    /// # Errors
    /// No broker passes the question on: also when there is no such member, or it says nothing.
    pub async fn running_info(
        &self,
        group: impl Into<Group>,
        member: ClientId,
    ) -> Result<ConsumerRunningInfo, AdminError> {
        let group = group.into();
        let request = GetRunningInfo { group: group.clone(), client: member, stacks: Some(false) };
        // Whatever brokers a group is at, its retry topic is there.
        let mut last = AdminError::NoBroker;
        let replicas = self.replicas(&Topic::from(alloc::format!("%RETRY%{group}"))).await?;
        for (_, replica) in replicas.value {
            match self.request(&replica, &request).await {
                Ok(frame) => return Ok(ConsumerRunningInfo::decode(&frame.body)?),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Has a member handle a message that is stored, and says what came of it. Members of ours do that when their
    /// [`ServerPolicy`](crate::config::ServerPolicy) allows it.
    ///
    /// # Errors
    /// The broker refuses or does not answer: also when there is no such member or message, or the member refuses.
    pub async fn consume_directly(
        &self,
        group: impl Into<Group>,
        member: ClientId,
        queue: &MessageQueue,
        message: OffsetMsgId,
    ) -> Result<DirectResult, AdminError> {
        let request = ConsumeDirectly {
            group: group.into(),
            client: Some(member),
            msg_id: Some(message.to_string()),
            broker: Some(queue.broker.clone()),
            topic: Some(queue.topic.clone()),
        };
        let master = self.master(queue).await?;
        // The broker waits for 10 s for what the member says.
        let frame = self.request_within(&master, &request, Bytes::new(), DIRECT_TIMEOUT).await?;
        Ok(DirectResult::decode(&frame.body)?)
    }
}

/// Offsets that are any.
fn offsets(table: impl IntoIterator<Item = (MessageQueue, i64)>) -> impl Iterator<Item = (MessageQueue, QueueOffset)> {
    table.into_iter().filter_map(|(queue, offset)| Some((queue, QueueOffset::from_wire(offset)?)))
}

/// In the place of a queue or an offset: all, or that of the time.
const ALL: i32 = -1;
/// In the place of a time: the end of each queue.
const END: i64 = -1;
/// A broker waits for 10 s, and then says so.
const DIRECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The wire version of 5.0.0.
const VERSION_5_0_0: i32 = 413;
