//! A name server: routes of topics and the table of brokers.

use std::collections::BTreeMap;

use rocketmq_core::wire::Frame;
use rocketmq_core::wire::body::{BrokerData, ClusterInfo, JsonForm, Perm, QueueData, TopicList, TopicRoute};
use rocketmq_core::wire::codes::{request, response};

use super::broker::{Broker, Routes};
use super::config::{ReplyCodec, VERSION_5_0_0, VERSION_5_4_0};
use super::fields::flag;
use super::output::{Outbox, Output, Reply, ReplyTo, SessionId};
use super::store::{PERM_READ, PERM_WRITE, TopicConfig};

/// A model of one name server. It knows what brokers told it, and no clock.
#[derive(Debug)]
pub struct NameServer {
    out: Outbox,
    answers_unknown: bool,
    brokers: BTreeMap<String, BrokerData>,
    topics: BTreeMap<String, BTreeMap<String, TopicConfig>>,
    order: BTreeMap<String, String>,
}

impl Default for NameServer {
    fn default() -> Self {
        Self::new(VERSION_5_4_0, ReplyCodec::Json)
    }
}

impl NameServer {
    /// A name server that announces this wire version and answers in this codec; one of 4.x leaves requests that it
    /// does not know unanswered.
    #[must_use]
    pub fn new(version: i32, codec: ReplyCodec) -> Self {
        let out = Outbox::new(version, codec);
        let answers_unknown = version >= VERSION_5_0_0;
        Self { out, answers_unknown, brokers: BTreeMap::new(), topics: BTreeMap::new(), order: BTreeMap::new() }
    }

    /// A frame arrived.
    pub fn handle(&mut self, session: SessionId, frame: &Frame) {
        let header = &frame.header;
        if header.is_response() {
            return;
        }
        let reply = match header.code {
            request::GET_ROUTEINFO_BY_TOPIC => self.route(frame),
            request::GET_BROKER_CLUSTER_INFO => Reply::ok().body(self.cluster_info()),
            request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER => Self::list(self.topics.keys()),
            request::GET_TOPICS_BY_CLUSTER => self.topics_of_cluster(frame),
            request::DELETE_TOPIC_IN_NAMESRV => self.delete_topic(frame),
            request::WIPE_WRITE_PERM_OF_BROKER => self.set_write_perm(frame, false),
            request::ADD_WRITE_PERM_OF_BROKER => self.set_write_perm(frame, true),
            _ if !self.answers_unknown => return,
            code => {
                let error = format!(" request type {code} not supported");
                Reply::error(response::REQUEST_CODE_NOT_SUPPORTED, error)
            }
        };
        self.out.reply(ReplyTo::request(session, header), &reply);
    }

    /// A broker registers: its address, and all its topics in place of what was known of them.
    pub fn register(&mut self, broker: &Broker) {
        let cfg = broker.config();
        let row = self.brokers.entry(cfg.name.clone());
        let row = row.or_insert_with(|| BrokerData {
            broker_name: cfg.name.as_str().into(),
            cluster: cfg.cluster.clone(),
            ..BrokerData::default()
        });
        row.broker_addrs.insert(cfg.id, cfg.address.to_string().into());
        if cfg.id != 0 {
            return;
        }
        self.forget_topics(&cfg.name);
        for (topic, config) in broker.topics() {
            self.topics.entry(topic.to_owned()).or_default().insert(cfg.name.clone(), config.clone());
        }
    }

    /// A broker left, or its connection to the name server broke.
    pub fn unregister(&mut self, name: &str, id: i64) {
        let Some(row) = self.brokers.get_mut(name) else { return };
        row.broker_addrs.remove(&id);
        if row.broker_addrs.is_empty() {
            self.brokers.remove(name);
            self.forget_topics(name);
        }
    }

    /// Sets the order configuration of a topic, `broker:queues;…`.
    pub fn set_order_conf(&mut self, topic: &str, conf: &str) {
        self.order.insert(topic.to_owned(), conf.to_owned());
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.poll()
    }

    /// The process ended: what it would have said is gone; brokers register again when it is back.
    pub fn stop(&mut self) {
        self.out.clear();
        self.brokers.clear();
        self.topics.clear();
    }

    /// The queues to read of every topic, by broker.
    pub(crate) fn readable(&self) -> Routes {
        let queues = |rows: &BTreeMap<String, TopicConfig>| {
            let readable = rows.iter().filter(|(_, config)| config.readable());
            readable.map(|(broker, config)| (broker.clone(), config.read_queues)).collect()
        };
        self.topics.iter().map(|(topic, rows)| (topic.clone(), queues(rows))).collect()
    }

    pub(crate) fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    fn forget_topics(&mut self, broker: &str) {
        self.topics.retain(|_, rows| {
            rows.remove(broker);
            !rows.is_empty()
        });
    }

    fn route(&self, frame: &Frame) -> Reply {
        let ext = &frame.header.ext;
        // A Java server says of a field that is missing that it is null.
        let topic = ext.get("topic").unwrap_or("null");
        let standard = flag(ext, "acceptStandardJsonOnly").unwrap_or(false);
        let standard = standard || frame.header.version >= STANDARD_JSON_SINCE;
        let form = if standard { JsonForm::Standard } else { JsonForm::Fastjson };
        match self.topics.get(topic) {
            Some(rows) => Reply::ok().body(self.route_json(topic, rows, form)),
            None => Reply::error(
                response::TOPIC_NOT_EXIST,
                format!(
                    "No topic route info in name server for the topic: {topic}\n\
                     See https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
                ),
            ),
        }
    }

    fn list<'a>(topics: impl Iterator<Item = &'a String>) -> Reply {
        let topic_list = topics.map(|topic| topic.as_str().into()).collect();
        Reply::ok().body(TopicList { topic_list, ..TopicList::default() }.encode())
    }

    fn topics_of_cluster(&self, frame: &Frame) -> Reply {
        let cluster = frame.header.ext.get("cluster").unwrap_or_default();
        let of = |broker: &String| self.brokers.get(broker).is_some_and(|known| known.cluster == cluster);
        Self::list(self.topics.iter().filter(|(_, rows)| rows.keys().any(of)).map(|(topic, _)| topic))
    }

    fn delete_topic(&mut self, frame: &Frame) -> Reply {
        let ext = &frame.header.ext;
        let topic = ext.get("topic").unwrap_or_default().to_owned();
        match ext.get("clusterName").filter(|cluster| !cluster.is_empty()) {
            None => drop(self.topics.remove(&topic)),
            Some(cluster) => {
                let brokers = &self.brokers;
                if let Some(rows) = self.topics.get_mut(&topic) {
                    rows.retain(|broker, _| brokers.get(broker).is_none_or(|known| known.cluster != cluster));
                }
                self.topics.retain(|_, rows| !rows.is_empty());
            }
        }
        Reply::ok()
    }

    /// Until the broker registers the next time.
    fn set_write_perm(&mut self, frame: &Frame, to: bool) -> Reply {
        let broker = frame.header.ext.get("brokerName").unwrap_or_default();
        let mut changed = 0;
        for config in self.topics.values_mut().filter_map(|rows| rows.get_mut(broker)) {
            config.perm = if to { PERM_READ | PERM_WRITE } else { config.perm & !PERM_WRITE };
            changed += 1;
        }
        Reply::ok().field(if to { "addTopicCount" } else { "wipeTopicCount" }, changed)
    }

    fn route_json(&self, topic: &str, rows: &BTreeMap<String, TopicConfig>, form: JsonForm) -> Vec<u8> {
        let brokers = rows.keys().filter_map(|name| self.brokers.get(name)).cloned();
        let queues = rows.iter().map(|(name, config)| QueueData {
            broker_name: name.as_str().into(),
            perm: Perm(config.perm),
            read_queue_nums: config.read_queues,
            topic_sys_flag: config.sys_flag,
            write_queue_nums: config.write_queues,
        });
        let order_topic_conf = self.order.get(topic).cloned();
        let (broker_datas, queue_datas) = (brokers.collect(), queues.collect());
        TopicRoute { broker_datas, order_topic_conf, queue_datas }.encode(form)
    }

    /// Integer keys are never quoted here.
    fn cluster_info(&self) -> Vec<u8> {
        let mut info = ClusterInfo::default();
        for broker in self.brokers.values() {
            let name = broker.broker_name.clone();
            info.cluster_addr_table.entry(broker.cluster.clone()).or_default().push(name.clone());
            info.broker_addr_table.insert(name, broker.clone());
        }
        info.encode(JsonForm::Fastjson)
    }
}

/// The client version from which routes have quoted keys unasked.
const STANDARD_JSON_SINCE: i32 = 401;
