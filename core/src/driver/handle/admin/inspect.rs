//! What is in queues, what groups want and have of them, and what became of a message.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::topics::sorted;
use super::{Admin, AdminError, Partial};
use crate::driver::handle::ReceivedMessage;
use crate::ids::{BrokerName, Endpoint, Group, MessageQueue, QueueOffset, Topic};
use crate::wire::Frame;
use crate::wire::body::{
    ConsumeType, CorrectionOffsets, GroupSubscription, MessageModel, QueueEntries, QueueTimeSpan, QueueTimeSpans,
    SubscriptionData,
};
use crate::wire::message::OffsetMsgId;
use crate::wire::request::{GetCorrectionOffsets, GetQueueEntries, GetSubscription, GetTimeSpans, ResumeHalfMessage};

/// What a group has done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Track {
    /// It has consumed it.
    Consumed,
    /// It is past it, and does not want it.
    ConsumedButFiltered,
    /// It pulls by itself: what it has done nobody can tell.
    Pull,
    /// It has not consumed it yet.
    NotConsumedYet,
    /// It has no members now.
    NotOnline,
    /// Each of its members consumes everything, and keeps to itself how far it is.
    Broadcasting,
    /// No broker tells.
    Unknown,
}

impl fmt::Display for Track {
    /// In the words of Java's `TrackType`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Consumed => "CONSUMED",
            Self::ConsumedButFiltered => "CONSUMED_BUT_FILTERED",
            Self::Pull => "PULL",
            Self::NotConsumedYet => "NOT_CONSUME_YET",
            Self::NotOnline => "NOT_ONLINE",
            Self::Broadcasting => "CONSUME_BROADCASTING",
            Self::Unknown => "UNKNOWN",
        })
    }
}

impl Admin {
    /// What a group wants of a topic, as the brokers of the topic know from its members; `None` when it has none, or they
    /// do not subscribe to it.
    ///
    /// # Errors
    /// The topic does not exist, or no broker answers: also when they are older than 5.0.
    pub async fn subscription(
        &self,
        group: impl Into<Group>,
        topic: impl Into<Topic>,
    ) -> Result<Partial<Option<SubscriptionData>>, AdminError> {
        let (group, topic) = (group.into(), topic.into());
        let read = |_: &BrokerName, frame: &Frame| Ok(GroupSubscription::decode(&frame.body)?.subscription_data);
        let request = GetSubscription { group, topic: topic.clone() };
        let all = self.ask_replicas(&topic, &request, read).await?;
        Ok(all.map(|all| all.into_iter().find_map(|(_, wanted)| wanted)))
    }

    /// The times between which a group has its messages, queue by queue.
    ///
    /// # Errors
    /// The topic does not exist, or no broker answers.
    pub async fn time_spans(
        &self,
        group: impl Into<Group>,
        topic: impl Into<Topic>,
    ) -> Result<Partial<Vec<QueueTimeSpan>>, AdminError> {
        let (group, topic) = (group.into(), topic.into());
        let request = GetTimeSpans { topic: topic.clone(), group };
        let read = |broker: &BrokerName, frame: &Frame| {
            let spans = QueueTimeSpans::decode(&frame.body)?.consume_time_span_set;
            Self::own(broker, spans.iter().map(|span| &span.message_queue)).map(|()| spans)
        };
        let all = self.ask_replicas(&topic, &request, read).await?;
        Ok(all.map(|all| {
            let mut spans: Vec<_> = all.into_iter().flat_map(|(_, spans)| spans).collect();
            spans.sort_by(|one, other| one.message_queue.cmp(&other.message_queue));
            spans
        }))
    }

    /// Entries of a queue from an offset on, `most` of them at most: where the messages are that they stand for. For a
    /// group that is named, also what it wants and whether each is that.
    ///
    /// # Errors
    /// The broker refuses or does not answer: also when the queue never had a message, or no entry has this offset.
    pub async fn queue_entries(
        &self,
        queue: &MessageQueue,
        from: QueueOffset,
        most: u32,
        group: Option<Group>,
    ) -> Result<QueueEntries, AdminError> {
        let request = GetQueueEntries {
            topic: queue.topic.clone(),
            queue_id: queue.id,
            from: from.to_wire(),
            count: i32::try_from(most).unwrap_or(i32::MAX),
            group,
        };
        let frame = self.request(&self.master(queue).await?, &request).await?;
        // An offset outside the queue is no failure, but has no body.
        if frame.body.is_empty() {
            return Err(AdminError::Unreadable(frame.header.remark.unwrap_or_default()));
        }
        Ok(QueueEntries::decode(&frame.body)?)
    }

    /// The least offset that groups have committed in each queue of a topic, of all groups but those without. Where it is
    /// more than what this group has committed, it is the greatest number there is.
    ///
    /// # Errors
    /// The topic does not exist, or no broker answers.
    pub async fn correction_offsets(
        &self,
        topic: impl Into<Topic>,
        compared_to: impl Into<Group>,
        without: &[Group],
    ) -> Result<Partial<Vec<(MessageQueue, i64)>>, AdminError> {
        let topic = topic.into();
        let names: Vec<_> = without.iter().map(Group::as_str).collect();
        let without = (!names.is_empty()).then(|| names.join(","));
        let request = GetCorrectionOffsets { without, compared_to: compared_to.into(), topic: topic.clone() };
        let read = |broker: &BrokerName, frame: &Frame| {
            let offsets = CorrectionOffsets::decode(&frame.body)?.correction_offsets;
            let queue = |id| MessageQueue { topic: topic.clone(), broker: broker.clone(), id };
            Ok(offsets.into_iter().map(|(id, offset)| (queue(id), offset)).collect::<Vec<_>>())
        };
        let all = self.ask_replicas(&topic, &request, read).await?;
        Ok(all.map(|all| sorted(all.into_iter().flat_map(|(_, offsets)| offsets).collect())))
    }

    /// Has the broker ask again about a half message that it gave up.
    ///
    /// # Errors
    /// The broker refuses or does not answer: also when no message is there.
    pub async fn resume_half_message(&self, topic: Option<Topic>, at: OffsetMsgId) -> Result<(), AdminError> {
        let to = Endpoint::from(alloc::format!("{}", at.host));
        self.request(&to, &ResumeHalfMessage { topic, msg_id: at.to_string() }).await.map(drop)
    }

    /// What each group that consumes the topic of a message, or did, has done with it. A group of which no broker tells is
    /// named among those that failed.
    ///
    /// # Errors
    /// The topic does not exist, or no broker answers.
    pub async fn track(&self, message: &ReceivedMessage) -> Result<Partial<Vec<(Group, Track)>>, AdminError> {
        let Partial { value: groups, mut failed } = self.groups_of(message.queue().topic.clone()).await?;
        let mut tracks = Vec::with_capacity(groups.len());
        for group in groups {
            match self.track_of(&group, message).await {
                Ok(track) => tracks.push((group, track)),
                Err(error) => drop(failed.insert(String::from(group.as_str()), error)),
            }
        }
        Ok(Partial { value: tracks, failed })
    }

    async fn track_of(&self, group: &Group, message: &ReceivedMessage) -> Result<Track, AdminError> {
        let members = match self.consumers(group.clone()).await {
            Ok(Partial { value: Some(members), .. }) => members,
            // Offsets without members, now or ever.
            Ok(none) => return none.complete().map(|_| Track::NotOnline),
            Err(AdminError::Route(_)) => return Ok(Track::NotOnline),
            Err(error) => return Err(error),
        };
        match (members.consume_type, members.message_model) {
            (ConsumeType::Actively, _) => return Ok(Track::Pull),
            (ConsumeType::Passively | ConsumeType::Pop, MessageModel::Broadcasting) => return Ok(Track::Broadcasting),
            (ConsumeType::Passively | ConsumeType::Pop, MessageModel::Clustering) => {}
        }
        let queue = message.queue();
        let stats = self.consume_stats(group.clone(), Some(queue.topic.clone())).await?;
        let progress = stats.value.offset_table.0.iter().find(|(known, _)| {
            known.id == queue.id && {
                // Which broker a message that was looked up is of, it says by its address only.
                queue.broker.as_str().is_empty() || known.broker == queue.broker
            }
        });
        let Some((_, progress)) = progress else { return Ok(Track::Unknown) };
        if progress.consumer_offset <= message.queue_offset().to_wire() {
            return Ok(Track::NotConsumedYet);
        }
        let wanted = members.subscription_table.get(&queue.topic).is_none_or(|data| data.matches(message.tag()));
        Ok(if wanted { Track::Consumed } else { Track::ConsumedButFiltered })
    }
}
