//! What servers see of clients, noted for the invariants.

use std::sync::Arc;

use rocketmq_core::ids::QueueOffset;
use rocketmq_core::wire::Frame;
use rocketmq_core::wire::body::{ClientCheck, ExpressionType, HeartbeatData};
use rocketmq_core::wire::codes::request;
use rocketmq_core::wire::message::batch;
use rocketmq_core::wire::message::properties::{self, name};
use rocketmq_core::wire::request::PullMessage;

use super::history::{Queue, What};
use super::payload;
use super::state::State;
use crate::cluster::Node;

impl State {
    /// Notes what a request says, before it is dealt with.
    pub(super) fn watch(&mut self, id: u64, node: Node, host: usize, frame: &Frame) {
        let Node::Broker(broker) = node else { return };
        let Some(link) = self.net.links.get(&id) else { return };
        let (written, ext) = (link.written, &frame.header.ext);
        let group = |key: &str| ext.get(key).map(Arc::<str>::from);
        match frame.header.code {
            request::HEART_BEAT => {
                let data = HeartbeatData::decode(&frame.body).unwrap_or_default();
                if data.without_sub {
                    self.reach("a heartbeat leaves out what the broker knows");
                }
                let groups = data.consumers.iter().map(|consumer| consumer.group.as_str().into()).collect();
                self.note(What::Heartbeat { host, broker, groups });
            }
            request::GET_CONSUMER_LIST_BY_GROUP => {
                if let Some(group) = group("consumerGroup") {
                    self.note(What::MembersAsked { host, group, written });
                }
            }
            request::PULL_MESSAGE => {
                let number = |key: &str| ext.get(key).and_then(|text| text.parse::<i64>().ok());
                let id_of_queue = number("queueId").and_then(|id| i32::try_from(id).ok());
                let (Some(group), Some(topic), Some(queue), Some(offset)) =
                    (group("consumerGroup"), group("topic"), id_of_queue, number("queueOffset"))
                else {
                    return;
                };
                let master = self.servers.cluster.master_of(broker);
                let queue = Queue { broker: master, topic, id: queue };
                if master != broker {
                    self.reach("a slave is pulled from");
                    let (group, queue) = (group.clone(), queue.clone());
                    self.note(What::SlavePull { host, group, queue, offset });
                }
                let broker = master;
                let opaque = frame.header.opaque.0;
                if let Some(link) = self.net.links.get_mut(&id) {
                    link.pulls.retain(|_, (of, known, _)| (&*of, &*known) != (&group, &queue));
                    link.pulls.insert(opaque, (group.clone(), queue.clone(), written));
                }
                if ext.get("expressionType") == Some(ExpressionType::Sql92.name()) {
                    let (group, topic) = (group.clone(), queue.topic.clone());
                    let version = number("subVersion").unwrap_or(0);
                    self.note(What::SqlPull { host, broker, group, topic, version });
                }
                self.note(What::Pull { host, link: id, group, queue, offset, written });
            }
            _ => {}
        }
    }

    /// What a broker says of an expression, if it accepts it.
    pub(super) fn filter_accepted(&self, node: Node, host: usize, frame: &Frame) -> Option<What> {
        let Node::Broker(broker) = node else { return None };
        let broker = self.servers.cluster.master_of(broker);
        if frame.header.code != request::CHECK_CLIENT_CONFIG {
            return None;
        }
        let ClientCheck { group, subscription_data: data, .. } = ClientCheck::decode(&frame.body).ok()?;
        let (group, topic, version) = (group.as_str().into(), data.topic.as_str().into(), data.sub_version);
        Some(What::FilterAccepted { host, broker, group, topic, version })
    }

    /// Notes what a client answers to a request of a server.
    pub(super) fn watch_answer(&mut self, id: u64, host: usize, frame: &Frame) {
        self.reach("a client answers a server");
        let asked = self.net.links.get_mut(&id).and_then(|link| link.asked.remove(&frame.header.opaque.0));
        let fields: usize = frame.header.ext.iter().map(|(key, value)| key.len() + value.len()).sum();
        let bytes = fields + frame.body.len();
        let request = asked.unwrap_or(UNASKED);
        self.note(What::Answered { host, request, code: frame.header.code, bytes });
    }

    /// Notes a send that arrived, and gives the numbers of its messages.
    pub(super) fn send_of(&mut self, node: Node, frame: &Frame) -> Vec<u64> {
        let Node::Broker(broker) = node else { return Vec::new() };
        let ext = &frame.header.ext;
        let pairs = match frame.header.code {
            request::SEND_MESSAGE => vec![ext.get("properties").unwrap_or_default().as_bytes().to_vec()],
            request::SEND_MESSAGE_V2 => vec![ext.get("i").unwrap_or_default().as_bytes().to_vec()],
            request::SEND_BATCH_MESSAGE => {
                let items = batch::decode(&frame.body, 0..frame.body.len(), QueueOffset::ZERO, usize::MAX);
                items.unwrap_or_default().into_iter().map(|item| frame.body[item.properties].to_vec()).collect()
            }
            _ => return Vec::new(),
        };
        let mut ids = Vec::with_capacity(pairs.len());
        for raw in pairs {
            let fresh = |_: &u64| properties::get(&raw, name::RETRY_TOPIC).is_none();
            let Some(id) = payload::id_of(&raw).filter(fresh) else { continue };
            let unique = properties::get(&raw, name::UNIQ_KEY).unwrap_or_default().into();
            self.note(What::Wire { id, broker, unique });
            ids.push(id);
        }
        if ids.len() > 1 {
            self.reach("a batch arrives");
        }
        ids
    }

    pub(super) fn before_send_back(&self, node: Node, frame: &Frame) -> Option<(std::sync::Arc<str>, usize, i64, i64)> {
        let Node::Broker(broker) = node else { return None };
        if frame.header.code != request::CONSUMER_SEND_MSG_BACK {
            return None;
        }
        let physical = frame.header.ext.get("offset")?.parse().ok()?;
        let group = frame.header.ext.get("group")?.into();
        Some((group, broker, physical, self.servers.cluster.broker(broker).log_end()))
    }
}

/// The offset that a request commits: group, topic, queue, offset.
pub(super) fn commit_of(node: Node, frame: &Frame) -> Option<(String, String, i32, i64)> {
    let Node::Broker(_) = node else { return None };
    let ext = &frame.header.ext;
    let wanted = match frame.header.code {
        request::UPDATE_CONSUMER_OFFSET => true,
        request::PULL_MESSAGE => ext.get("sysFlag")?.parse::<i32>().ok()? & PullMessage::COMMIT != 0,
        _ => false,
    };
    if !wanted {
        return None;
    }
    let text = |key| ext.get(key).map(str::to_owned);
    let (queue, offset) = (ext.get("queueId")?.parse().ok()?, ext.get("commitOffset")?.parse().ok()?);
    Some((text("consumerGroup")?, text("topic")?, queue, offset))
}

/// The code noted of a request that no server made.
const UNASKED: i32 = -1;
