//! Who is connected, in which group, with which subscriptions: 34, 35, 38, 46 and the notice 40.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rocketmq_core::ids::ClientId;
use rocketmq_core::time::{Instant, UnixMillis, Wakeup};
use rocketmq_core::wire::ExtWriter;
use rocketmq_core::wire::body::{ConsumeFromWhere, ConsumerList, HeartbeatData, MessageModel};
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::header::Language;
use rocketmq_core::wire::subscription::SubscriptionData;

use super::topics::retry_topic;
use super::{Answer, Broker, Call};
use crate::cluster::config::BrokerConfig;
use crate::cluster::output::{Reply, SessionId};

/// A client in a group; a client with two sessions is two members.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) version: i32,
    pub(crate) language: Language,
    seen: Instant,
}

/// A consumer group with members.
#[derive(Debug, Default)]
pub(crate) struct GroupInfo {
    pub(crate) model: MessageModel,
    pub(crate) from: ConsumeFromWhere,
    pub(crate) members: BTreeMap<SessionId, Client>,
    pub(crate) subscriptions: BTreeMap<String, SubscriptionData>,
}

/// The groups that have members.
#[derive(Debug)]
pub(crate) struct Clients {
    consumers: BTreeMap<String, GroupInfo>,
    producers: BTreeMap<String, BTreeMap<SessionId, Client>>,
    fingerprints: BTreeMap<String, i32>,
    expiry: std::time::Duration,
    period: std::time::Duration,
    scan: Instant,
}

impl Clients {
    pub(super) fn new(now: Instant, cfg: &BrokerConfig) -> Self {
        Self {
            consumers: BTreeMap::new(),
            producers: BTreeMap::new(),
            fingerprints: BTreeMap::new(),
            expiry: cfg.client_expiry,
            period: cfg.client_scan,
            scan: now.after(cfg.client_scan),
        }
    }

    pub(crate) fn group(&self, group: &str) -> Option<&GroupInfo> {
        self.consumers.get(group)
    }

    /// The groups with members that subscribe to a topic.
    pub(crate) fn groups_of(&self, topic: &str) -> impl Iterator<Item = &str> {
        let of = self.consumers.iter().filter(move |(_, group)| group.subscriptions.contains_key(topic));
        of.map(|(name, _)| name.as_str())
    }

    pub(crate) fn producers(&self, group: &str) -> Option<&BTreeMap<SessionId, Client>> {
        self.producers.get(group)
    }

    /// All producers, by group.
    pub(super) fn producer_groups(&self) -> impl Iterator<Item = (&str, &BTreeMap<SessionId, Client>)> {
        self.producers.iter().map(|(group, known)| (group.as_str(), known))
    }

    /// A session of the client with this id that has a producer.
    pub(super) fn any_producer_of(&self, id: &str) -> Option<SessionId> {
        let mut all = self.producers.values().flatten();
        all.find(|(_, client)| client.id.as_str() == id).map(|(session, _)| *session)
    }

    pub(super) fn next_scan(&self) -> Wakeup {
        let nobody = self.consumers.is_empty() && self.producers.is_empty();
        if nobody { Wakeup::Never } else { Wakeup::At(self.scan) }
    }

    /// Removes clients that were silent for too long, at the time of a scan only, and gives their sessions.
    pub(super) fn expire(&mut self, now: Instant) -> BTreeSet<SessionId> {
        let mut expired = BTreeSet::new();
        if now < self.scan {
            return expired;
        }
        while self.scan <= now {
            self.scan = self.scan.after(self.period);
        }
        let members = self.consumers.values_mut().map(|group| &mut group.members);
        for members in members.chain(self.producers.values_mut()) {
            members.retain(|session, client| {
                let alive = now.since(client.seen) <= self.expiry;
                alive || !expired.insert(*session)
            });
        }
        self.drop_empty();
        expired
    }

    /// Removes a session and gives the consumer groups it was in.
    pub(super) fn remove_session(&mut self, session: SessionId) -> Vec<String> {
        let removed = |(name, group): (&String, &mut GroupInfo)| group.members.remove(&session).map(|_| name.clone());
        let left = self.consumers.iter_mut().filter_map(removed).collect();
        self.producers.values_mut().for_each(|members| drop(members.remove(&session)));
        self.drop_empty();
        left
    }

    /// Registers a consumer and says whether the members or the topics of the group changed.
    fn join(
        &mut self,
        (group, model, from): (&str, MessageModel, ConsumeFromWhere),
        (session, client): (SessionId, Client),
        topics: Option<Vec<SubscriptionData>>,
    ) -> bool {
        let info = self.consumers.entry(group.to_owned()).or_default();
        (info.model, info.from) = (model, from);
        let joined = info.members.insert(session, client).is_none();
        let Some(topics) = topics else { return joined };
        let wanted: BTreeSet<String> = topics.iter().map(|sub| sub.topic.as_str().to_owned()).collect();
        let mut changed = joined;
        for new in topics {
            let old = info.subscriptions.get(new.topic.as_str());
            changed |= old.is_none();
            if old.is_none_or(|old| new.sub_version > old.sub_version) {
                info.subscriptions.insert(new.topic.as_str().to_owned(), new);
            }
        }
        let before = info.subscriptions.len();
        info.subscriptions.retain(|topic, _| wanted.contains(topic));
        changed || info.subscriptions.len() != before
    }

    fn drop_empty(&mut self) {
        self.consumers.retain(|_, group| !group.members.is_empty());
        self.producers.retain(|_, members| !members.is_empty());
    }
}

impl Broker {
    pub(super) fn heartbeat(&mut self, call: &Call<'_>, body: &[u8]) -> Answer {
        let Ok(beat) = HeartbeatData::decode(body) else {
            return Err("the heartbeat cannot be parsed".into());
        };
        let session = call.to.session();
        let header = call.header;
        let client = || Client {
            id: beat.client_id.clone(),
            version: header.version,
            language: header.language,
            seen: call.now,
        };
        let fingerprint = beat.heartbeat_fingerprint;
        let second = self.cfg.heartbeat_v2 && fingerprint != 0;
        let mut changed = !second;
        for consumer in beat.consumers {
            let group = consumer.group.as_str().to_owned();
            let before = self.clients.fingerprints.insert(group.clone(), fingerprint);
            changed |= before.is_some_and(|before| before != fingerprint);
            if !self.find_group(&group) {
                continue;
            }
            self.ensure_group_topic(&retry_topic(&group), self.cfg.retry_queues);
            let light = second && beat.without_sub;
            let topics = (!light).then(|| stamped(consumer.subscriptions, call.wall));
            topics.iter().flatten().for_each(|data| self.filters.register(&group, data));
            let kind = (group.as_str(), consumer.message_model, consumer.consume_from_where);
            if self.clients.join(kind, (session, client()), topics) {
                self.notify_members(&group);
            }
        }
        for producer in beat.producers {
            self.clients.producers.entry(producer.group.as_str().to_owned()).or_default().insert(session, client());
        }
        let reply = Reply::ok();
        if !self.cfg.heartbeat_v2 {
            return Ok(Some(reply));
        }
        Ok(Some(reply.field("IS_SUPPORT_HEART_BEAT_V2", true).field("IS_SUB_CHANGE", changed)))
    }

    pub(super) fn unregister(&mut self, call: &Call<'_>) -> Answer {
        let session = call.to.session();
        if let Some(group) = call.header.ext.get("producerGroup")
            && let Some(members) = self.clients.producers.get_mut(group)
        {
            members.remove(&session);
        }
        if let Some(group) = call.header.ext.get("consumerGroup")
            && let Some(info) = self.clients.consumers.get_mut(group)
        {
            info.members.remove(&session);
            self.notify_members(group);
        }
        self.clients.drop_empty();
        Ok(Some(Reply::ok()))
    }

    pub(super) fn consumer_list(&mut self, call: &Call<'_>) -> Answer {
        let group: String = call.header.ext.field("consumerGroup")?;
        let Some(info) = self.clients.group(&group) else {
            let error = format!("no consumer for this group, {group}");
            return Ok(Some(Reply::error(response::SYSTEM_ERROR, error)));
        };
        let ids = info.members.values().map(|client| client.id.clone()).collect();
        Ok(Some(Reply::ok().body(ConsumerList { ids }.encode())))
    }

    /// Tells all members of a group that it changed, unless each gets all messages anyhow.
    pub(super) fn notify_members(&mut self, group: &str) {
        if !self.cfg.notify_members {
            return;
        }
        let Some(info) = self.clients.consumers.get(group) else { return };
        if info.model == MessageModel::Broadcasting && !self.cfg.is_v4() {
            return;
        }
        for session in info.members.keys() {
            let fields = |out: &mut ExtWriter<'_>| out.text("consumerGroup", group);
            self.out.oneway(*session, request::NOTIFY_CONSUMER_IDS_CHANGED, Bytes::new(), fields);
        }
    }
}

/// Subscriptions without a version are as new as their arrival.
fn stamped(mut topics: Vec<SubscriptionData>, wall: UnixMillis) -> Vec<SubscriptionData> {
    for topic in &mut topics {
        if topic.sub_version == 0 {
            topic.sub_version = wall.0;
        }
    }
    topics
}
