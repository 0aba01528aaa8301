//! A name server: routes of topics and the table of brokers.

use std::collections::BTreeMap;

use rocketmq_core::wire::Frame;
use rocketmq_core::wire::body::{BrokerData, ClusterInfo, JsonForm, KvTable, Perm, QueueData, TopicList, TopicRoute};
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
    /// What it keeps, by namespace; it outlives a restart.
    kept: BTreeMap<String, BTreeMap<String, String>>,
    settings: BTreeMap<String, String>,
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
        let settings = SETTINGS.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Self {
            out,
            answers_unknown,
            brokers: BTreeMap::new(),
            topics: BTreeMap::new(),
            kept: BTreeMap::new(),
            settings,
        }
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
            request::PUT_KV_CONFIG => self.keep(frame),
            request::GET_KV_CONFIG => self.kept(frame),
            request::DELETE_KV_CONFIG => self.forget(frame),
            request::GET_KVLIST_BY_NAMESPACE => self.all_kept(frame),
            request::GET_SYSTEM_TOPIC_LIST_FROM_NS => self.system_topics(),
            request::GET_UNIT_TOPIC_LIST => self.of_units(|flags| flags & UNIT != 0),
            request::GET_HAS_UNIT_SUB_TOPIC_LIST => self.of_units(|flags| flags & UNIT_SUB != 0),
            request::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST => self.of_units(|flags| flags & (UNIT | UNIT_SUB) == UNIT_SUB),
            request::GET_NAMESRV_CONFIG => {
                let lines: String = self.settings.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
                Reply::ok().body(lines.into_bytes())
            }
            request::UPDATE_NAMESRV_CONFIG => self.set_config(&frame.body),
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
        self.settings.insert(TELLS_ORDER.to_owned(), true.to_string());
        self.kept.entry(ORDER.to_owned()).or_default().insert(topic.to_owned(), conf.to_owned());
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

    fn keep(&mut self, frame: &Frame) -> Reply {
        let ext = &frame.header.ext;
        let (Some(namespace), Some(key), Some(value)) = (ext.get("namespace"), ext.get("key"), ext.get("value")) else {
            return Reply::error(response::SYSTEM_ERROR, "namespace or key is null");
        };
        self.kept.entry(namespace.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
        Reply::ok()
    }

    fn kept(&self, frame: &Frame) -> Reply {
        let ext = &frame.header.ext;
        let (namespace, key) = (ext.get("namespace").unwrap_or("null"), ext.get("key").unwrap_or("null"));
        match self.kept.get(namespace).and_then(|kept| kept.get(key)) {
            Some(value) => Reply::ok().field("value", value),
            None => {
                let error = format!("No config item, Namespace: {namespace} Key: {key}");
                Reply::error(response::QUERY_NOT_FOUND, error)
            }
        }
    }

    fn forget(&mut self, frame: &Frame) -> Reply {
        let ext = &frame.header.ext;
        if let Some(kept) = self.kept.get_mut(ext.get("namespace").unwrap_or_default()) {
            kept.remove(ext.get("key").unwrap_or_default());
        }
        Reply::ok()
    }

    fn all_kept(&self, frame: &Frame) -> Reply {
        let namespace = frame.header.ext.get("namespace").unwrap_or("null");
        match self.kept.get(namespace) {
            Some(table) => Reply::ok().body(KvTable { table: table.clone() }.encode()),
            None => {
                let error = format!("No config item, Namespace: {namespace}");
                Reply::error(response::QUERY_NOT_FOUND, error)
            }
        }
    }

    fn system_topics(&self) -> Reply {
        let names = self.brokers.values().flat_map(|known| [known.cluster.as_str(), known.broker_name.as_str()]);
        let names: std::collections::BTreeSet<_> = names.collect();
        let broker_addr = self.brokers.values().find_map(|known| known.broker_addrs.values().next().cloned());
        let topic_list = names.into_iter().map(Into::into).collect();
        Reply::ok().body(TopicList { broker_addr, topic_list }.encode())
    }

    /// Topics whose flags, on the first of their brokers, are these.
    fn of_units(&self, these: impl Fn(i32) -> bool) -> Reply {
        let first = |rows: &BTreeMap<String, TopicConfig>| rows.values().next().is_some_and(|row| these(row.sys_flag));
        Self::list(self.topics.iter().filter(|(_, rows)| first(rows)).map(|(topic, _)| topic))
    }

    fn set_config(&mut self, body: &[u8]) -> Reply {
        let text = String::from_utf8_lossy(body).into_owned();
        let rows: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).collect();
        if rows.iter().any(|(key, _)| UNCHANGEABLE.contains(key)) {
            let new = self.answers_unknown;
            let error = if new { "Can not update config in black list." } else { "Can not update config path" };
            return Reply::error(response::NO_PERMISSION, error);
        }
        for (key, value) in rows {
            if let Some(known) = self.settings.get_mut(key) {
                value.clone_into(known);
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
        let tells = self.settings.get(TELLS_ORDER).is_some_and(|tells| tells == "true");
        let order_topic_conf = self.kept.get(ORDER).and_then(|kept| kept.get(topic)).filter(|_| tells).cloned();
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

/// The namespace of ordered topics.
const ORDER: &str = "ORDER_TOPIC_CONFIG";
/// Whether routes tell of the order of topics.
const TELLS_ORDER: &str = "orderMessageEnable";
/// A few of its settings.
const SETTINGS: [(&str, &str); 4] = [
    ("clusterTest", "false"),
    ("kvConfigPath", "/root/namesrv/kvConfig.json"),
    (TELLS_ORDER, "false"),
    ("listenPort", "9876"),
];
/// Those that nobody may change.
const UNCHANGEABLE: [&str; 4] = ["configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome"];
/// Flags of topics: they belong to a unit, or units subscribe to them.
const UNIT: i32 = 1;
const UNIT_SUB: i32 = 2;
/// The client version from which routes have quoted keys unasked.
const STANDARD_JSON_SINCE: i32 = 401;
