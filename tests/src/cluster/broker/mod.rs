//! A broker: what it stores, whom it knows, what it answers.

mod clients;
mod delay;
mod filters;
mod inspect;
mod locks;
mod manage;
mod offsets;
mod operators;
mod pop;
mod pull;
mod replica;
mod replies;
mod send;
mod send_back;
mod settings;
mod timers;
mod topics;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use rocketmq_core::rng::Rng;
use rocketmq_core::time::{Instant, UnixMillis, Wakeup};
use rocketmq_core::wire::body::GroupConfig;
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::header::FieldError;
use rocketmq_core::wire::message::{EncodeError, OffsetMsgId};
use rocketmq_core::wire::{Frame, Header};

pub(crate) use self::clients::Client;
use self::clients::Clients;
use self::delay::Delays;
use self::filters::Filters;
use self::locks::Locks;
use self::offsets::Offsets;
use self::operators::Questions;
pub(crate) use self::pop::Routes;
use self::pop::{Modes, Pops};
use self::pull::Holds;
use self::replica::Replica;
use self::settings::Settings;
pub(crate) use self::timers::TIMER_TOPIC;
use self::timers::Timers;
pub(crate) use self::topics::SCHEDULE_TOPIC;
use self::transactions::Halves;
use super::config::BrokerConfig;
use super::message::Draft;
use super::output::{Outbox, Output, Reply, ReplyTo, SessionId};
use super::store::{Appended, Store};

/// A model of one broker.
#[derive(Debug)]
pub struct Broker {
    cfg: BrokerConfig,
    rng: Rng,
    out: Outbox,
    store: Store,
    settings: Settings,
    groups: BTreeMap<String, GroupConfig>,
    /// Groups that may not read a topic.
    forbidden: BTreeSet<(String, String)>,
    /// How many bytes of old messages groups may read.
    cold_bounds: BTreeMap<String, i64>,
    offsets: Offsets,
    delays: Delays,
    timers: Timers,
    halves: Halves,
    sessions: BTreeMap<SessionId, SocketAddr>,
    clients: Clients,
    filters: Filters,
    locks: Locks,
    holds: Holds,
    pops: Pops,
    modes: Modes,
    replica: Replica,
    questions: Questions,
}

/// The time and the request that a step is about.
#[derive(Clone, Copy, Debug)]
struct Call<'a> {
    now: Instant,
    wall: UnixMillis,
    to: ReplyTo,
    peer: SocketAddr,
    header: &'a Header,
}

/// What becomes of a request: an answer now, or (`None`) later.
type Answer = Result<Option<Reply>, Failure>;

/// What a broker did not expect: its handler throws, and the answer is a system error without fields.
#[derive(Debug)]
struct Failure(String);

impl From<&str> for Failure {
    fn from(why: &str) -> Self {
        Self(why.to_owned())
    }
}

impl From<FieldError> for Failure {
    fn from(error: FieldError) -> Self {
        Self(error.to_string())
    }
}

impl Broker {
    /// A broker with nothing but its system topics.
    #[must_use]
    pub fn new(cfg: BrokerConfig, now: Instant) -> Self {
        let mut broker = Self {
            rng: Rng::new(cfg.seed),
            out: Outbox::new(cfg.version, cfg.reply_codec),
            store: Store::default(),
            settings: Settings::new(&cfg),
            groups: BTreeMap::new(),
            forbidden: BTreeSet::new(),
            cold_bounds: BTreeMap::new(),
            offsets: Offsets::default(),
            delays: Delays::new(cfg.delay_levels.len()),
            timers: Timers::default(),
            halves: Halves::new(now, &cfg),
            sessions: BTreeMap::new(),
            clients: Clients::new(now, &cfg),
            filters: Filters::default(),
            locks: Locks::default(),
            holds: Holds::new(now, &cfg),
            pops: Pops::default(),
            modes: Modes::default(),
            replica: Replica::new(now),
            questions: Questions::default(),
            cfg,
        };
        broker.create_system_topics();
        broker
    }

    /// A session was opened from `peer`.
    pub fn connected(&mut self, session: SessionId, peer: SocketAddr) {
        self.sessions.insert(session, peer);
    }

    /// A session was closed by the client or the network.
    pub fn closed(&mut self, session: SessionId) {
        self.sessions.remove(&session);
        self.holds.forget(session);
        self.pops.forget(session);
        self.forget_questions(session);
        for group in self.clients.remove_session(session) {
            self.notify_members(&group);
        }
    }

    /// A frame arrived.
    pub fn handle(&mut self, now: Instant, wall: UnixMillis, session: SessionId, frame: Frame) {
        let Some(peer) = self.sessions.get(&session).copied() else { return };
        let Frame { header, body } = frame;
        if header.is_response() {
            return self.client_answered(session, Frame { header, body });
        }
        let call = Call { now, wall, to: ReplyTo::request(session, &header), peer, header: &header };
        let answer = match header.code {
            request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE if self.cfg.is_slave() => {
                Ok(Some(Reply::error(response::SERVICE_NOT_AVAILABLE, "a slave stores no messages")))
            }
            request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE => self.send(&call, body),
            request::RECALL_MESSAGE if !self.cfg.is_v4() => self.recall(&call),
            request::SEND_REPLY_MESSAGE | request::SEND_REPLY_MESSAGE_V2 => self.send_reply(&call, body),
            request::PULL_MESSAGE => self.on_pull(&call),
            LITE_PULL_MESSAGE if !self.cfg.is_v4() => self.on_pull(&call),
            request::QUERY_CONSUMER_OFFSET => self.query_offset(&call),
            request::UPDATE_CONSUMER_OFFSET => self.update_offset(&call),
            request::UPDATE_AND_CREATE_TOPIC => self.create_topic(&call),
            request::UPDATE_BROKER_CONFIG => self.set_config(&body),
            request::GET_BROKER_CONFIG => self.config_text(),
            request::GET_BROKER_RUNTIME_INFO => self.runtime_figures(),
            request::SEARCH_OFFSET_BY_TIMESTAMP => self.search_offset(&call),
            request::GET_MAX_OFFSET => self.max_offset(&call),
            request::GET_MIN_OFFSET => self.min_offset(&call),
            request::GET_EARLIEST_MSG_STORETIME => self.earliest_store_time(&call),
            request::VIEW_MESSAGE_BY_ID => self.view(&call),
            request::QUERY_MESSAGE => self.query_message(&call),
            request::GET_TOPIC_STATS_INFO => self.topic_stats(&call),
            request::GET_TOPIC_CONFIG if !self.cfg.is_v4() => self.topic_config(&call),
            request::DELETE_TOPIC_IN_BROKER => self.delete_topic(&call),
            request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => self.set_group(&body),
            request::DELETE_SUBSCRIPTIONGROUP => self.delete_group(&call),
            request::GET_CONSUMER_CONNECTION_LIST => self.consumer_connections(&call),
            request::GET_PRODUCER_CONNECTION_LIST => self.producer_connections(&call),
            request::GET_CONSUME_STATS => self.consume_stats(&call),
            request::QUERY_TOPIC_CONSUME_BY_WHO => self.groups_of_topic(&call),
            request::QUERY_TOPICS_BY_CONSUMER if !self.cfg.is_v4() => self.topics_of_group(&call),
            request::CLONE_GROUP_OFFSET => self.clone_offsets(&call),
            request::HEART_BEAT => self.heartbeat(&call, &body),
            request::UNREGISTER_CLIENT => self.unregister(&call),
            request::CONSUMER_SEND_MSG_BACK => self.send_back(&call),
            request::END_TRANSACTION => self.end_transaction(&call),
            request::GET_CONSUMER_LIST_BY_GROUP => self.consumer_list(&call),
            request::LOCK_BATCH_MQ => self.lock(&call, &body),
            request::UNLOCK_BATCH_MQ => self.unlock(&call, &body),
            request::CHECK_CLIENT_CONFIG => self.check_client(&body),
            request::QUERY_ASSIGNMENT if !self.cfg.is_v4() => self.on_query_assignment(&body),
            request::SET_MESSAGE_REQUEST_MODE if !self.cfg.is_v4() => self.on_set_mode(&body),
            request::POP_MESSAGE if !self.cfg.is_v4() => self.on_pop(&call),
            request::ACK_MESSAGE if !self.cfg.is_v4() => self.on_ack(&call),
            request::BATCH_ACK_MESSAGE if !self.cfg.is_v4() => self.on_batch_ack(&body),
            request::CHANGE_MESSAGE_INVISIBLETIME if !self.cfg.is_v4() => self.on_change_invisible(&call),
            request::INVOKE_BROKER_TO_RESET_OFFSET => self.invoke_reset(&call),
            request::INVOKE_BROKER_TO_GET_CONSUMER_STATUS => self.invoke_status(&call),
            request::GET_CONSUMER_RUNNING_INFO => self.ask_member(&call),
            request::CONSUME_MESSAGE_DIRECTLY => self.have_consumed(&call),
            code => self.manage(&call, &body).unwrap_or_else(|| {
                let error = format!(" request type {code} not supported");
                Ok(Some(Reply::error(response::REQUEST_CODE_NOT_SUPPORTED, error)))
            }),
        };
        match answer {
            Ok(Some(reply)) => self.out.reply(call.to, &reply),
            Ok(None) => {}
            Err(Failure(why)) => self.out.reply(call.to, &Reply::error(response::SYSTEM_ERROR, why)),
        }
        self.answer_woken(now);
        self.answer_woken_pops(now, wall);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant, wall: UnixMillis) {
        if !self.cfg.is_slave() {
            self.deliver_due(now, wall);
            self.deliver_timers(now, wall);
            self.revive_due(now, wall);
            self.check_halves(now, wall);
        }
        self.holds.scan(now, &self.store);
        self.pops.expire(now);
        self.answer_woken(now);
        self.answer_woken_pops(now, wall);
        self.end_questions(now);
        for session in self.clients.expire(now) {
            self.sessions.remove(&session);
            self.forget_questions(session);
            self.holds.forget(session);
            self.pops.forget(session);
            self.out.close(session);
        }
    }

    /// The process ended: all that it had in memory only is gone, outputs and sessions too.
    pub fn stop(&mut self, now: Instant) {
        self.out.clear();
        self.sessions.clear();
        self.clients = Clients::new(now, &self.cfg);
        self.locks = Locks::default();
        self.halves.stop(now, &self.cfg);
        self.holds = Holds::new(now, &self.cfg);
        self.pops.stop();
        self.questions = Questions::default();
    }

    /// Forgets who is a member of which group, until the next heartbeats.
    pub fn lose_clients(&mut self, now: Instant) {
        self.clients = Clients::new(now, &self.cfg);
    }

    /// Forgets a group, as an operator does who deletes it; its offsets stay.
    pub fn forget_group(&mut self, group: &str) {
        self.groups.remove(group);
    }

    /// Forgets who has locked which queue.
    pub fn lose_locks(&mut self) {
        self.locks = Locks::default();
    }

    /// Listens at another address from its next start on.
    pub fn set_address(&mut self, address: SocketAddr) {
        self.cfg.address = address;
    }

    /// Forgets all records from this physical offset on; call it between [`Broker::stop`] and the next session.
    pub fn lose_log_from(&mut self, physical: i64) {
        self.store.truncate(physical);
        self.delays.truncate(&self.store);
        self.timers.truncate(&self.store);
        self.halves.truncate(&self.store);
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.poll()
    }

    /// When [`Broker::handle_timeout`] is wanted.
    #[must_use]
    pub fn poll_timeout(&self) -> Wakeup {
        if !self.out.is_empty() {
            return Wakeup::Now;
        }
        let slave = self.cfg.is_slave();
        let due = if slave {
            self.replica.next()
        } else {
            self.delays.next_due(&self.store, &self.cfg).min(self.halves.next_check(&self.store))
        };
        let due = due.min(self.timers.next_due());
        let due = due.min(self.pops.next_due()).min(self.questions.next_end());
        due.min(self.holds.next_scan()).min(self.clients.next_scan())
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &BrokerConfig {
        &self.cfg
    }

    /// The end of its log in bytes.
    #[must_use]
    pub fn log_end(&self) -> i64 {
        self.store.end()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    pub(crate) fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Stores the message and wakes the pulls that wait for it.
    fn append(&mut self, now: Instant, wall: UnixMillis, draft: &Draft) -> Result<Appended, EncodeError> {
        let appended = self.store.append(now, wall, self.cfg.address, draft)?;
        if !draft.is_visible() {
            return Ok(appended);
        }
        self.holds.arrived(draft, appended.tags_code);
        self.pops.arrived(&draft.topic, draft.queue_id);
        Ok(appended)
    }

    /// The code of a parameter that cannot be: 4.x has none of its own.
    fn invalid_parameter(&self) -> i32 {
        if self.cfg.is_v4() { response::SYSTEM_ERROR } else { response::INVALID_PARAMETER }
    }

    /// The id of the message at this place in the log.
    fn msg_id(&self, physical_offset: i64) -> String {
        OffsetMsgId { host: self.cfg.address, physical_offset }.to_string()
    }

    /// Whether the group exists, or is created now.
    fn find_group(&mut self, group: &str) -> bool {
        let may_be = self.cfg.auto_create_groups && (group.len() <= MAX_GROUP || self.cfg.is_v4());
        if may_be && !self.groups.contains_key(group) {
            self.groups.insert(group.to_owned(), GroupConfig::new(group));
        }
        self.groups.contains_key(group)
    }
}

/// Pull, as the pulling consumer calls it.
const LITE_PULL_MESSAGE: i32 = 361;
/// The longest name of a group (5.x).
const MAX_GROUP: usize = 120;
/// What the broker adds to errors that have a page in its documentation.
const FAQ: &str = "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";
