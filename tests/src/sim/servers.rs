//! The servers' side: frames go to the models, answers come back, and things go wrong in between.

mod processes;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_core::ids::{MessageQueue, Opaque};
use rocketmq_core::time::Instant;
use rocketmq_core::wire::body::{QueueTable, ResetOffsets};
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::frame;
use rocketmq_core::wire::header::{FLAG_ONEWAY, FLAG_RESPONSE, HeaderLimits, Language, Preamble};
use rocketmq_core::wire::message::properties::name;
use rocketmq_core::wire::{Codec, ExtFields, ExtWriter, Frame};

use super::asking;
use super::faults::Fault;
use super::history::{Copy, Queue, What};
use super::net::End;
use super::payload;
use super::state::{Event, State};
use super::tape::Stream;
use super::timeline::label;
use super::tls::Identity;
use super::trace::Line;
use super::transactions;
use super::watch::commit_of;
use crate::cluster::{Cluster, Node, Output, SessionId, StoredView, TIMER_TOPIC};

/// The models and what the simulation knows of their processes.
pub(crate) struct Servers {
    pub(crate) cluster: Cluster,
    addresses: BTreeMap<String, Node>,
    processes: BTreeMap<Node, Process>,
    /// How far each broker's log was looked at.
    seen: Vec<i64>,
    armed: Option<Instant>,
    /// Old answers of name servers, by topic.
    old_routes: BTreeMap<(usize, String), Vec<(ExtFields, Bytes)>>,
    /// Whether clients know name servers by names, which lead to wherever they are.
    by_name: bool,
    /// What servers show where links are encrypted.
    pub(crate) identity: Option<Identity>,
}

#[derive(Debug)]
struct Process {
    address: String,
    up: bool,
    incarnation: u64,
    /// Each answer takes so much longer.
    slow: Duration,
    /// Answers with old routes, of this age in changes.
    stale: bool,
    /// Its machine is lost: nothing at its address answers.
    gone: bool,
    /// It is not at its first address any more.
    moved: bool,
}

/// What a request was, for the faults of its answer.
pub(super) struct Asked {
    pub(super) link: u64,
    pub(super) code: i32,
    pub(super) opaque: Opaque,
    pub(super) codec: Codec,
    oneway: bool,
    /// The numbers of the messages that a send carries.
    pub(super) messages: Vec<u64>,
    /// The group and the queue of a pull.
    pub(super) pull: Option<(Arc<str>, Queue)>,
}

impl Servers {
    pub(crate) fn new(cluster: Cluster, by_name: bool) -> Self {
        let (name_servers, brokers) = cluster.size();
        let mut servers = Self {
            cluster,
            addresses: BTreeMap::new(),
            processes: BTreeMap::new(),
            seen: vec![0; brokers],
            armed: None,
            old_routes: BTreeMap::new(),
            by_name,
            identity: None,
        };
        for index in 0..name_servers {
            servers.add(Node::NameServer(index), name_server_address(index));
            servers.addresses.insert(name_server_name(index), Node::NameServer(index));
        }
        for index in 0..brokers {
            let address = servers.cluster.broker(index).config().address;
            servers.add(Node::Broker(index), address);
        }
        servers
    }

    /// From now on links are encrypted.
    pub(crate) fn encrypt(&mut self) {
        self.identity = Some(Identity::of(self.addresses.keys().cloned()));
    }

    fn add(&mut self, node: Node, address: SocketAddr) {
        let address = address.to_string();
        self.addresses.insert(address.clone(), node);
        let process = Process {
            address,
            up: true,
            incarnation: 0,
            slow: Duration::ZERO,
            stale: false,
            gone: false,
            moved: false,
        };
        self.processes.insert(node, process);
    }

    /// Which server is at an address.
    pub(crate) fn at(&self, address: &str) -> Option<Node> {
        self.addresses.get(address).copied()
    }

    /// The addresses of all name servers, as clients take them.
    pub(crate) fn name_servers(&self) -> String {
        let address = |(node, process): (&Node, &Process)| match node {
            Node::NameServer(index) if self.by_name => Some(name_server_name(*index)),
            Node::NameServer(_) => Some(process.address.clone()),
            Node::Broker(_) => None,
        };
        self.processes.iter().filter_map(address).collect::<Vec<_>>().join(";")
    }

    pub(crate) fn is_up(&self, node: Node) -> bool {
        self.processes[&node].up
    }

    /// Whether nothing at its address answers, not even that nobody is there.
    pub(crate) fn is_gone(&self, node: Node) -> bool {
        self.processes[&node].gone
    }

    /// Whether it is not at its first address any more.
    pub(crate) fn has_moved(&self, node: Node) -> bool {
        self.processes[&node].moved
    }

    pub(crate) fn incarnation(&self, node: Node) -> u64 {
        self.processes[&node].incarnation
    }

    /// The index of the broker with this name.
    pub(crate) fn broker_named(&self, name: &str) -> Option<usize> {
        self.cluster.brokers().position(|broker| broker.config().name == name)
    }

    pub(crate) fn nodes(&self) -> Vec<Node> {
        self.processes.keys().copied().collect()
    }

    fn process(&mut self, node: Node) -> &mut Process {
        self.processes.get_mut(&node).expect("every server has a process")
    }
}

impl State {
    /// A request arrived whole.
    pub(crate) fn on_frame(&mut self, id: u64, frame: Frame) {
        let Some(link) = self.net.links.get(&id) else { return };
        let (node, host, written) = (link.node, link.host, link.written);
        let messages = self.send_of(node, &frame);
        let is_send = !messages.is_empty();
        self.watch(id, node, host, &frame);
        self.note_question(id, &frame);
        let link = self.net.links.get(&id);
        let pull = link.and_then(|link| link.pulls.get(&frame.header.opaque.0));
        let header = &frame.header;
        let asked = Asked {
            messages,
            pull: pull.map(|(group, queue, _)| (group.clone(), queue.clone())),
            link: id,
            code: header.code,
            opaque: header.opaque,
            codec: header.codec,
            oneway: header.is_oneway(),
        };
        self.trace.line(self.now, || format!("host {host} -> {node:?}: request {} ({})", header.code, header.opaque.0));
        let (at, code) = (self.now, header.code);
        self.trace.frame(|| Line { at, host, node, up: true, text: label::of_frame(&frame) });
        if header.is_response() {
            let asked =
                matches!(node, Node::Broker(index) if self.servers.cluster.broker(index).has_asked(header.opaque.0));
            if !asked {
                return self.watch_answer(id, host, &frame);
            }
            let wall = self.server_wall();
            self.servers.cluster.handle(self.now, wall, node, SessionId(id), frame);
            return self.serve();
        }
        self.reach(mark_of(code));
        if asked.codec == Codec::Rocketmq {
            self.reach("a request in the binary codec");
        }
        if self.refuse(node, &asked) {
            return;
        }
        let again = is_send && self.roll(Fault::DoubleAppend);
        let copy = again.then(|| frame.clone());
        let back = self.before_send_back(node, &frame);
        let commit = commit_of(node, &frame);
        let locks = self.locks_of(node, &frame);
        let filter = self.filter_accepted(node, host, &frame);
        let moved = frame.header.ext.get("group").filter(|_| code == request::INVOKE_BROKER_TO_RESET_OFFSET);
        self.moving = moved.map(|group| (Arc::from(group), id));
        let topic = frame.header.ext.get("topic").map(str::to_owned);
        let wall = self.server_wall();
        self.servers.cluster.handle(self.now, wall, node, SessionId(id), frame);
        if let Some((group, topic, queue, offset)) = commit
            && let Node::Broker(broker) = node
            && self.servers.cluster.broker(broker).takes_commits(&group, &topic)
        {
            let master = self.servers.cluster.master_of(broker);
            let queue = Queue { broker: master, topic: topic.into(), id: queue };
            let group: Arc<str> = group.into();
            if master != broker {
                self.note(What::SlaveCommit { host, group: group.clone(), queue: queue.clone() });
            }
            self.note_late_move(host, &group, &queue, offset);
            self.note(What::Committed { host, written, group, queue, offset });
        }
        self.note_locks(host, locks);
        filter.into_iter().for_each(|accepted| self.note(accepted));
        self.serve_asked(Some((&asked, topic)));
        self.moving = None;
        if !is_send && code == request::SEND_MESSAGE_V2 {
            self.reach("a failed message is republished");
        }
        if let Some((group, broker, physical, end)) = back
            && self.servers.cluster.broker(broker).log_end() > end
        {
            self.note(What::SentBack { group, broker, physical });
        }
        if let Some(copy) = copy {
            self.count(Fault::DoubleAppend);
            let wall = self.server_wall();
            self.servers.cluster.handle(self.now, wall, node, SessionId(id), copy);
            while self.servers.cluster.poll_output().is_some_and(|(_, output)| matches!(output, Output::Close(_))) {}
            self.serve();
        }
    }

    pub(crate) fn servers_due(&mut self) {
        self.servers.armed = None;
        let wall = self.server_wall();
        self.servers.cluster.handle_timeout(self.now, wall);
        self.serve();
    }

    /// Carries out what the models want.
    pub(crate) fn serve(&mut self) {
        self.serve_asked(None);
    }

    fn serve_asked(&mut self, asked: Option<(&Asked, Option<String>)>) {
        self.observe();
        while let Some((node, output)) = self.servers.cluster.poll_output() {
            if let (Node::Broker(broker), Output::Frame(SessionId(id), bytes)) = (node, &output) {
                self.note_move(broker, *id, bytes);
            }
            match output {
                Output::Frame(SessionId(id), bytes) => match &asked {
                    Some((asked, topic)) if asked.link == id => self.answer(node, asked, topic.as_deref(), bytes),
                    _ => self.later(node, id, bytes),
                },
                Output::Close(SessionId(id)) => {
                    self.reach("a broker closes a silent session");
                    self.end_link(id, End::Fin);
                }
            }
        }
        let wanted = self.servers.cluster.poll_timeout().instant(self.now);
        if let Some(at) = wanted
            && self.servers.armed.is_none_or(|armed| at < armed)
        {
            self.servers.armed = Some(at);
            self.schedule(at, Event::Servers);
        }
    }

    /// An answer, on time or not, once, twice or never.
    fn answer(&mut self, node: Node, asked: &Asked, topic: Option<&str>, bytes: Bytes) {
        let bytes = match (node, topic) {
            (Node::NameServer(index), topic) => {
                let bytes = match topic.or_else(|| (asked.code == request::GET_BROKER_CLUSTER_INFO).then_some("")) {
                    Some(topic) => self.old_route(node, index, topic, asked, bytes),
                    None => bytes,
                };
                let bytes = self.lie(asked, bytes);
                self.spoil(asked, bytes)
            }
            _ => self.spoil(asked, bytes),
        };
        if self.roll(Fault::NoResponse) {
            return self.count(Fault::NoResponse);
        }
        if self.roll(Fault::UnknownOpaque) {
            self.count(Fault::UnknownOpaque);
            let unknown = plain(response::SUCCESS, FLAG_RESPONSE, asked.codec, |_| ()).to_bytes(Opaque(i32::MAX - 7));
            self.say(asked.link, unknown);
        }
        if self.roll(Fault::Duplicated) {
            self.count(Fault::Duplicated);
            self.say(asked.link, bytes.clone());
        }
        for (fault, least, most) in [(Fault::Reordered, 1, 300), (Fault::LateAnswer, 3_500, 40_000)] {
            if self.roll(fault) {
                self.count(fault);
                let delay = Duration::from_millis(self.tape.range(Stream::Broker, least, most));
                self.schedule(self.now.after(delay), Event::Say(asked.link, bytes));
                return;
            }
        }
        self.later(node, asked.link, bytes);
    }

    fn later(&mut self, node: Node, id: u64, bytes: Bytes) {
        let slow = self.servers.processes[&node].slow;
        if slow.is_zero() {
            self.say(id, bytes);
        } else {
            self.schedule(self.now.after(slow), Event::Say(id, bytes));
        }
        for fault in [Fault::TinyFrames, Fault::Unsolicited] {
            if self.roll_at(fault, self.swarm.rate(fault).min(200)) {
                self.count(fault);
                self.pester(id, fault);
            }
        }
    }

    /// Says what nobody asked for.
    fn pester(&mut self, id: u64, fault: Fault) {
        let tiny = plain(response::SUCCESS, FLAG_RESPONSE, Codec::Json, |_| ());
        let codes = [request::NOTIFY_CONSUMER_IDS_CHANGED, 220, 221, 307, 309, 326, 39, 9_999];
        let oneway = self.tape.below(Stream::Broker, 2) == 0;
        self.note(What::Trouble { link: id });
        for round in 0..40 {
            let bytes = if fault == Fault::TinyFrames {
                tiny.to_bytes(Opaque(i32::MAX - round))
            } else {
                let code = self.tape.pick(Stream::Broker, &codes).copied().unwrap_or(40);
                let fields = |out: &mut ExtWriter<'_>| {
                    out.text("consumerGroup", "g0");
                    out.text("group", "g0");
                    out.text("topic", "t0");
                    out.text("clientId", "10.0.1.1@1");
                    out.int("timestamp", 0);
                    out.bool("isForce", true);
                };
                let opaque = UNSOLICITED + self.net.next_asked;
                self.net.next_asked += 1;
                if let Some(link) = self.net.links.get_mut(&id) {
                    link.asked.insert(opaque, code);
                }
                let flags = if oneway { FLAG_ONEWAY } else { 0 };
                let body =
                    if code == request::RESET_CONSUMER_CLIENT_OFFSET { self.foreign_reset(id) } else { Bytes::new() };
                preamble(code, flags, Codec::Json).encode(fields, body).to_bytes(Opaque(opaque))
            };
            self.say(id, bytes);
        }
    }

    /// Other offsets for queues that the server at the other end of a link is not the master of.
    fn foreign_reset(&self, link: u64) -> Bytes {
        let node = self.net.links.get(&link).map(|link| link.node);
        let cluster = &self.servers.cluster;
        let others = cluster.masters().enumerate().filter(|(index, _)| match node {
            Some(Node::Broker(broker)) => cluster.master_of(broker) != *index,
            Some(Node::NameServer(_)) | None => true,
        });
        let queue = |(_, broker): (usize, &crate::cluster::Broker)| {
            (MessageQueue { topic: "t0".into(), broker: broker.config().name.as_str().into(), id: 0 }, 0)
        };
        ResetOffsets { offset_table: QueueTable(others.map(queue).collect()) }.encode().into()
    }

    /// How often a request is refused: what is rare is refused more often.
    fn refusal_rate(&self, code: i32) -> u32 {
        let rate = self.swarm.rate(Fault::ErrorCode);
        let rare = [request::CONSUMER_SEND_MSG_BACK, request::CHECK_CLIENT_CONFIG].contains(&code);
        if rare { rate * 8 } else { rate }
    }

    /// Refuses a request without doing it.
    fn refuse(&mut self, node: Node, asked: &Asked) -> bool {
        let route = asked.code == request::GET_ROUTEINFO_BY_TOPIC;
        let code = if route && self.roll(Fault::EmptyRoute) {
            self.count(Fault::EmptyRoute);
            response::TOPIC_NOT_EXIST
        } else if self.roll_at(Fault::ErrorCode, self.refusal_rate(asked.code)) {
            self.count(Fault::ErrorCode);
            let codes = if asked.code == request::CHECK_CLIENT_CONFIG { &FILTER_CODES[..] } else { &CODES };
            self.tape.pick(Stream::Broker, codes).copied().unwrap_or(response::SYSTEM_ERROR)
        } else {
            return false;
        };
        if !asked.oneway {
            let preamble = Preamble {
                code,
                flags: FLAG_RESPONSE,
                language: Language::JAVA,
                version: 493,
                remark: Some("refused by the simulation"),
                codec: asked.codec,
            };
            self.later(node, asked.link, preamble.encode(|_| (), Bytes::new()).to_bytes(asked.opaque));
        }
        true
    }

    /// A name server that does not hear of changes.
    fn old_route(&mut self, node: Node, index: usize, topic: &str, asked: &Asked, bytes: Bytes) -> Bytes {
        let Ok(read) = frame::decode(&bytes, &HeaderLimits::default()) else { return bytes };
        let stale = self.servers.processes[&node].stale;
        let known = self.servers.old_routes.entry((index, topic.to_owned())).or_default();
        if read.header.code == response::SUCCESS && !stale && known.last().is_none_or(|(_, body)| *body != read.body) {
            known.push((read.header.ext.clone(), read.body.clone()));
        }
        let Some((_, body)) = known.last().filter(|(_, body)| stale && *body != read.body) else { return bytes };
        let body = body.clone();
        let (name_servers, _) = self.servers.cluster.size();
        self.count(if name_servers > 1 { Fault::SplitViews } else { Fault::StaleRoute });
        let preamble = preamble(response::SUCCESS, FLAG_RESPONSE, asked.codec);
        preamble.encode(|_| (), body).to_bytes(asked.opaque)
    }

    /// Notes what brokers have stored.
    fn observe(&mut self) {
        for broker in 0..self.servers.cluster.masters().count() {
            let model = self.servers.cluster.broker(broker);
            let (seen, end) = (self.servers.seen[broker], model.log_end());
            if seen >= end {
                continue;
            }
            self.servers.seen[broker] = end;
            let copies: Vec<Copy> = model.stored_since(seen).map(|stored| copy_of(broker, &stored)).collect();
            for copy in copies {
                match &*copy.queue.topic {
                    topic if topic.starts_with("%RETRY%") => self.reach("a retry is due"),
                    topic if topic.starts_with("%DLQ%") => self.reach("a dead letter"),
                    topic if topic.starts_with("SCHEDULE") && copy.reconsume == 0 => self.reach("a message is delayed"),
                    topic if topic.starts_with("SCHEDULE") => self.reach("a retry is delayed"),
                    TIMER_TOPIC => self.reach("a message has a timer"),
                    _ => {}
                }
                self.note(What::Stored(copy));
            }
        }
    }
}

const fn mark_of(code: i32) -> &'static str {
    match code {
        request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE => "a send arrives",
        request::RECALL_MESSAGE => "a message is to be taken back",
        request::GET_MAX_OFFSET => "a broker is probed, or asked for the end of a queue",
        request::PULL_MESSAGE => "a pull arrives",
        request::QUERY_CONSUMER_OFFSET => "an offset is asked for",
        request::UPDATE_CONSUMER_OFFSET => "an offset is committed",
        request::HEART_BEAT => "a heartbeat arrives",
        request::UNREGISTER_CLIENT => "a client leaves a group",
        request::CONSUMER_SEND_MSG_BACK => "a message is handed back",
        request::GET_CONSUMER_LIST_BY_GROUP => "the members of a group are asked for",
        request::GET_ROUTEINFO_BY_TOPIC => "a route is asked for",
        request::LOCK_BATCH_MQ => "locks are asked for",
        request::UNLOCK_BATCH_MQ => "locks are given back",
        request::CHECK_CLIENT_CONFIG => "a broker is asked whether it filters so",
        _ => "another request arrives",
    }
}

fn copy_of(broker: usize, stored: &StoredView) -> Copy {
    let get = |key| stored.properties.get(key);
    let tag = get(name::TAGS).unwrap_or_default();
    let id = get(payload::PROPERTY).and_then(|text| text.parse().ok());
    Copy {
        queue: Queue { broker, topic: stored.topic.as_str().into(), id: stored.queue_id },
        offset: stored.queue_offset,
        physical: stored.physical_offset,
        id,
        tx: get(transactions::PROPERTY).and_then(|text| text.parse().ok()),
        answers: get(asking::PROPERTY).and_then(|text| text.parse().ok()),
        unique: get(name::UNIQ_KEY).unwrap_or_default().into(),
        tag: tag.into(),
        bytes: stored.body.len() as u64 + LEAST_RECORD,
        intact: id.is_none_or(|id| payload::is_stored_intact(id, stored)),
        reconsume: stored.reconsume_times,
        real_topic: get(name::REAL_TOPIC).map(Into::into),
    }
}

pub(super) fn plain(
    code: i32,
    flags: i32,
    codec: Codec,
    fields: impl FnOnce(&mut ExtWriter<'_>),
) -> rocketmq_core::wire::frame::EncodedFrame {
    preamble(code, flags, codec).encode(fields, Bytes::new())
}

pub(super) const fn preamble(code: i32, flags: i32, codec: Codec) -> Preamble<'static> {
    Preamble { code, flags, language: Language::JAVA, version: 493, remark: None, codec }
}

/// Where the name server with this index listens.
fn name_server_address(index: usize) -> SocketAddr {
    let last = u8::try_from(index + 1).unwrap_or(u8::MAX);
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 100, last)), 9876)
}

/// Its name, by which clients know it when it may move.
fn name_server_name(index: usize) -> String {
    format!("names-{index}:9876")
}

/// Where the broker with this index listens.
pub(crate) fn broker_address(index: usize) -> SocketAddr {
    let last = u8::try_from(index + 1).unwrap_or(u8::MAX);
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 200, last)), 10_911)
}

/// What a record has besides its body, topic and properties.
const LEAST_RECORD: u64 = 91;
/// Codes with which a server refuses before it has done anything.
const CODES: [i32; 25] =
    [1, 2, 3, 13, 14, 15, 16, 17, 23, 24, 25, 26, 27, 29, 204, 205, 206, 207, 208, 209, 210, 215, 501, 1500, 31_337];

/// How a filter is refused: for now, as unknown, as wrong.
const FILTER_CODES: [i32; 3] =
    [response::SYSTEM_ERROR, response::REQUEST_CODE_NOT_SUPPORTED, response::SUBSCRIPTION_PARSE_FAILED];

/// Opaques of what nobody asked for: models begin at 0.
const UNSOLICITED: i32 = 1_000_000;
