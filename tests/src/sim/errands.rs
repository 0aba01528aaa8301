//! An administrator: a process that asks servers about topics, groups and messages, and changes some, and what it is
//! told.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use rocketmq_core::driver::{Admin, AdminError, Brokers, Partial, ReceivedMessage};
use rocketmq_core::ids::{BrokerName, MessageQueue};
use rocketmq_core::time::UnixMillis;
use rocketmq_core::wire::Frame;
use rocketmq_core::wire::body::{
    BrokerData, ClusterInfo, ConsumeStats, GroupList, KvTable, Progress, QueueStats, TopicConfig, TopicRoute,
    TopicStats,
};
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::frame;
use rocketmq_core::wire::header::HeaderLimits;
use rocketmq_core::wire::message::OffsetMsgId;
use rocketmq_core::wire::message::properties::name;

use super::history::{Addresses, Answer, Errand, ErrandEnd, ErrandOf, What, Whom, Why};
use super::member::connected;
use super::state::State;
use super::tape::Stream;
use super::workload::Run;
use super::{Host, Task, World};
use crate::cluster::{Draft, StoredView};

/// A request of an administrator that a server has.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    asks: i32,
    about: Arc<str>,
    asked: rocketmq_core::time::Instant,
}

/// Starts the administrator of a run that has one.
pub(crate) fn start(run: &Run) -> Option<Task<()>> {
    if !run.plan.administrator {
        return None;
    }
    let host = run.world.host("10.0.3.2").named("administrator");
    run.world.with(|state| state.hosts[host.index].administrator = true);
    Some(run.world.spawn_on(&host.clone(), live(run.clone(), host)))
}

async fn live(run: Run, host: Host) {
    let world = run.world.clone();
    let client = connected(&world, &host, &world.builder()).await;
    let mut at_work = AtWork { admin: client.admin(), run, host: host.index, next: 0 };
    while !world.is_healed() {
        let pause = draw(&world, 500, 20_000);
        world.sleep(Duration::from_millis(pause)).await;
        at_work.once().await;
    }
    world.note(What::Leaving { host: host.index });
    client.shutdown().await;
}

struct AtWork {
    run: Run,
    admin: Admin,
    host: usize,
    next: u64,
}

impl AtWork {
    /// One operation.
    async fn once(&mut self) {
        let admin = self.admin.clone();
        let group = self.run.plan.groups[self.pick(self.run.plan.groups.len())].clone();
        let (topic, name) = (group.setup.topic.clone(), group.consumer.unwrap_or(group.setup.name));
        let made: Arc<str> = format!("made-{}", self.draw(0, 2)).into();
        let retry: Arc<str> = format!("%RETRY%{name}").into();
        let of_topic = || Whom::OfTopic(topic.clone());
        match self.draw(0, 13) {
            0 | 1 => {
                let asked = self.asks(request::GET_TOPIC_STATS_INFO, of_topic(), SHORT, admin.topic_stats(&*topic));
                asked.await.of(|stats| stats.offset_table.0.iter().map(stats_row).collect());
            }
            2 | 3 => {
                let stats = admin.consume_stats(&*name, None);
                let asked = self.asks(request::GET_CONSUME_STATS, Whom::OfTopic(retry), SHORT, stats);
                asked.await.of(|stats| stats.offset_table.0.iter().map(progress_row).collect());
            }
            4 => {
                let asked = self.asks(request::QUERY_TOPIC_CONSUME_BY_WHO, of_topic(), SHORT, admin.groups_of(&*topic));
                asked.await.of(|groups| groups.iter().map(ToString::to_string).collect());
            }
            5 | 6 => {
                let Some(stored) = self.some_message(&topic) else { return };
                let unique = self.draw(0, 1) == 0;
                let key = stored.properties.get(if unique { name::UNIQ_KEY } else { name::KEYS }).unwrap_or_default();
                let ever = UnixMillis(0)..=UnixMillis(i64::MAX);
                let found = async {
                    match unique {
                        true => admin.query_by_unique_key(&*topic, key, ever).await,
                        false => admin.query(&*topic, key, 32, ever).await,
                    }
                };
                let asked = self.asks(request::QUERY_MESSAGE, of_topic(), LONG, found);
                asked.await.of(|found| found.iter().map(message_row).collect());
            }
            7 => {
                let asked = self.asks(request::GET_BROKER_CONFIG, Whom::All, SHORT, admin.broker_config(&Brokers::All));
                asked.await.by_broker(table_rows);
            }
            8 => {
                let figures = admin.broker_stats(&Brokers::All);
                self.asks(request::GET_BROKER_RUNTIME_INFO, Whom::All, SHORT, figures).await.by_broker(table_rows);
            }
            9 => {
                let config = TopicConfig::new(&*made, 1);
                let made = admin.set_topic(&config, &Brokers::All);
                self.asks(request::UPDATE_AND_CREATE_TOPIC, Whom::All, SHORT, made).await.done();
            }
            10 => {
                // Brokers first, then name servers, and these once more for what they keep of it.
                let deleted = admin.delete_topic(&*made, &Brokers::All);
                let limit = SHORT + ASKED_NAMES * 2;
                self.asks(request::DELETE_TOPIC_IN_BROKER, Whom::All, limit, deleted).await.done();
            }
            11 => {
                let asked = self.asks(request::GET_BROKER_CLUSTER_INFO, Whom::One, SHORT, admin.cluster());
                asked.await.one(|info| Answer::Brokers(brokers_of(info.broker_addr_table.values())));
            }
            12 => {
                let queue = self.some_queue(&topic);
                let end = admin.max_offset(&queue);
                let asked = self.asks(request::GET_MAX_OFFSET, Whom::One, SHORT, end);
                asked.await.one(|end| Answer::Facts([end.to_wire().to_string()].into()));
            }
            _ => {
                let Some(stored) = self.some_message(&topic) else { return };
                let world = self.run.world.clone();
                let address = world.with(|state| {
                    let broker = state.servers.broker_named(&stored.broker)?;
                    Some(state.servers.cluster.broker(broker).config().address)
                });
                let Some(host) = address else { return };
                let viewed = admin.message_at(OffsetMsgId { host, physical_offset: stored.physical_offset });
                self.asks(request::VIEW_MESSAGE_BY_ID, Whom::One, SHORT, viewed).await.one(|found| match found {
                    Some(found) => Answer::Facts([message_row(&found)].into()),
                    None => Answer::Refused(response::SYSTEM_ERROR),
                });
            }
        }
    }

    /// Waits for what comes of an operation that begins now.
    async fn asks<T>(
        &mut self,
        asks: i32,
        whom: Whom,
        limit: Duration,
        operation: impl Future<Output = Result<T, AdminError>>,
    ) -> Ended<T> {
        let (id, host, world) = (self.next, self.host, self.run.world.clone());
        self.next += 1;
        let of = ErrandOf { asks, whom };
        world.note(What::Errand(Errand::Begun { id, host, of, deadline: world.now().after(limit) }));
        Ended { id, result: operation.await, world }
    }

    fn some_message(&self, topic: &str) -> Option<StoredView> {
        let stored = self.run.world.stored(topic);
        stored.get(self.pick(stored.len())).cloned()
    }

    fn some_queue(&self, topic: &str) -> MessageQueue {
        let broker = self.pick(self.run.plan.brokers);
        let broker = self.run.world.with(|state| state.servers.cluster.broker(broker).config().name.clone());
        MessageQueue { topic: topic.into(), broker: broker.as_str().into(), id: 0 }
    }

    fn pick(&self, of: usize) -> usize {
        usize::try_from(self.draw(0, (of as u64).saturating_sub(1))).unwrap_or(0)
    }

    fn draw(&self, least: u64, most: u64) -> u64 {
        draw(&self.run.world, least, most)
    }
}

/// An operation that is over, to be noted.
struct Ended<T> {
    id: u64,
    result: Result<T, AdminError>,
    world: World,
}

impl<T> Ended<Partial<T>> {
    /// What several servers say, put together.
    fn of(self, facts: impl FnOnce(T) -> BTreeSet<String>) {
        self.some(|value| (facts(value), None));
    }

    fn some(self, facts: impl FnOnce(T) -> (BTreeSet<String>, Option<BTreeSet<Arc<str>>>)) {
        let end = match self.result {
            Ok(Partial { value, failed }) => {
                let failed: BTreeMap<_, _> =
                    failed.into_iter().map(|(name, error)| (name.into(), why_of(&error))).collect();
                self.world.reach(if failed.is_empty() {
                    "an administrator is told by all"
                } else {
                    "an administrator is told by some"
                });
                if failed.values().any(|why| *why == Why::OtherBroker) {
                    self.world.reach("another broker answers an administrator");
                }
                let (facts, answered) = facts(value);
                ErrandEnd::Some { facts, answered, failed }
            }
            Err(error) => nobody(&self.world, &error),
        };
        self.world.note(What::Errand(Errand::Ended { id: self.id, end }));
    }
}

impl<T> Ended<Partial<Vec<(BrokerName, T)>>> {
    /// What each of several brokers says.
    fn by_broker(self, rows: impl Fn(&T) -> BTreeSet<String>) {
        self.some(|told| {
            let facts = told.iter().flat_map(|(_, told)| rows(told)).collect();
            (facts, Some(told.iter().map(|(broker, _)| broker.as_str().into()).collect()))
        });
    }
}

impl Ended<Partial<Vec<BrokerName>>> {
    /// Which brokers did what they were told.
    fn done(self) {
        self.some(|done| (BTreeSet::new(), Some(done.iter().map(|broker| broker.as_str().into()).collect())));
    }
}

impl<T> Ended<T> {
    /// What one server says.
    fn one(self, answer: impl FnOnce(T) -> Answer) {
        let end = match self.result {
            Ok(value) => ErrandEnd::One(answer(value)),
            Err(error) => nobody(&self.world, &error),
        };
        self.world.note(What::Errand(Errand::Ended { id: self.id, end }));
    }
}

fn nobody(world: &World, error: &AdminError) -> ErrandEnd {
    if matches!(error, AdminError::NoBroker) {
        world.reach("a name server knows no broker");
    }
    world.reach("an administrator is told by nobody");
    ErrandEnd::Nobody(why_of(error))
}

fn why_of(error: &AdminError) -> Why {
    match error {
        AdminError::Broker { code, .. } => Why::Refused(*code),
        AdminError::Request(_) | AdminError::Closed => Why::Silent,
        AdminError::Malformed(_) | AdminError::MalformedBody(_) | AdminError::Unreadable(_) => Why::Unreadable,
        AdminError::NoMaster(_) => Why::NoMaster,
        AdminError::OtherBroker { .. } => Why::OtherBroker,
        AdminError::NoBroker
        | AdminError::Route(_)
        | AdminError::Filter(_)
        | AdminError::Setting(_)
        | AdminError::OldBroker { .. } => Why::NotKnown,
    }
}

impl State {
    /// Keeps what an administrator asks, until it is answered.
    pub(super) fn note_question(&mut self, id: u64, frame: &Frame) {
        let now = self.now;
        let Some(link) = self.net.links.get_mut(&id) else { return };
        if self.hosts[link.host].administrator {
            let about = frame.header.ext.get("topic").filter(|_| frame.header.code == request::GET_ROUTEINFO_BY_TOPIC);
            let about = about.unwrap_or_default().into();
            link.questions.insert(frame.header.opaque.0, Question { asks: frame.header.code, about, asked: now });
        }
    }

    /// The answer to a question of an administrator, to be noted when the client has read it.
    pub(super) fn answer_to_question(&self, id: u64, bytes: &Bytes) -> Option<Errand> {
        let link = self.net.links.get(&id)?;
        if link.questions.is_empty() {
            return None;
        }
        let frame = frame::decode(bytes, &HeaderLimits::default()).ok().filter(|frame| frame.header.is_response())?;
        let Question { asks, about, asked } = link.questions.get(&frame.header.opaque.0)?.clone();
        let (host, from) = (link.host, link.to.clone());
        Some(Errand::Told { host, link: id, from, asks, about, asked, answer: read(asks, &frame) })
    }
}

/// What an answer says.
fn read(asks: i32, frame: &Frame) -> Answer {
    match frame.header.code {
        response::SUCCESS => {}
        // That there is none is what brokers call a failure.
        response::QUERY_NOT_FOUND if asks == request::QUERY_MESSAGE => return Answer::Facts(BTreeSet::new()),
        code => return Answer::Refused(code),
    }
    let body = &frame.body;
    let facts = match asks {
        request::GET_ROUTEINFO_BY_TOPIC => {
            let route = TopicRoute::decode(body).ok();
            return route.map_or(Answer::Unreadable, |route| Answer::Brokers(brokers_of(&route.broker_datas)));
        }
        request::GET_BROKER_CLUSTER_INFO => {
            let info = ClusterInfo::decode(body).ok();
            return info
                .map_or(Answer::Unreadable, |info| Answer::Brokers(brokers_of(info.broker_addr_table.values())));
        }
        request::GET_TOPIC_STATS_INFO => {
            TopicStats::decode(body).ok().map(|stats| stats.offset_table.0.iter().map(stats_row).collect())
        }
        request::GET_CONSUME_STATS => {
            ConsumeStats::decode(body).ok().map(|stats| stats.offset_table.0.iter().map(progress_row).collect())
        }
        request::QUERY_TOPIC_CONSUME_BY_WHO => {
            GroupList::decode(body).ok().map(|list| list.group_list.iter().map(ToString::to_string).collect())
        }
        request::GET_BROKER_RUNTIME_INFO => KvTable::decode(body).ok().map(|figures| table_rows(&figures.table)),
        request::GET_BROKER_CONFIG => Some(String::from_utf8_lossy(body).lines().map(str::to_owned).collect()),
        request::QUERY_MESSAGE | request::VIEW_MESSAGE_BY_ID => Some(records(body)),
        request::GET_MAX_OFFSET => frame.header.ext.get("offset").map(|offset| [offset.to_owned()].into()),
        _ => Some(BTreeSet::new()),
    };
    facts.map_or(Answer::Unreadable, Answer::Facts)
}

fn brokers_of<'a>(rows: impl IntoIterator<Item = &'a BrokerData>) -> BTreeMap<Arc<str>, Addresses> {
    let row = |broker: &BrokerData| {
        let at = |address: &rocketmq_core::ids::Endpoint| Arc::from(address.as_str());
        let (master, first) = (broker.broker_addrs.get(&0).map(at), broker.broker_addrs.values().next().map(at));
        (Arc::from(broker.broker_name.as_str()), Addresses { master, first })
    };
    rows.into_iter().map(row).collect()
}

fn stats_row((queue, row): (&MessageQueue, &QueueStats)) -> String {
    format!("{}/{}/{} {}..{}", queue.broker, queue.topic, queue.id, row.min_offset, row.max_offset)
}

fn progress_row((queue, row): (&MessageQueue, &Progress)) -> String {
    format!("{}/{}/{} {} of {}", queue.broker, queue.topic, queue.id, row.consumer_offset, row.broker_offset)
}

fn table_rows(table: &BTreeMap<String, String>) -> BTreeSet<String> {
    table.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

fn message_row(message: &ReceivedMessage) -> String {
    let (queue, offset) = (message.queue(), message.queue_offset().to_wire());
    format!("{}/{} {offset} {}", queue.topic, queue.id, message.stored().0)
}

/// The records in a body.
fn records(body: &Bytes) -> BTreeSet<String> {
    let mut rows = BTreeSet::new();
    let mut rest = body.clone();
    while rest.len() > 4 {
        let len = usize::try_from(rest.clone().get_i32()).unwrap_or(usize::MAX).min(rest.len());
        if let Some((draft, place)) = Draft::read(&rest.split_to(len)) {
            rows.insert(format!("{}/{} {} {}", draft.topic, draft.queue_id, place.queue_offset, place.stored_ms));
        }
    }
    rows
}

fn draw(world: &World, least: u64, most: u64) -> u64 {
    world.with(|state| state.tape.range(Stream::Errands, least, most))
}

/// A name server has 6 s.
const ASKED_NAMES: Duration = Duration::from_secs(6);
/// A name server, once more to find out why it does not answer, or then brokers: 6 s each.
const SHORT: Duration = Duration::from_secs(12);
/// Brokers have 18 s to look for messages.
const LONG: Duration = Duration::from_secs(24);

#[cfg(test)]
mod tests {
    use super::super::net::End;
    use super::super::{Fault, Sim, Swarm};
    use super::*;
    use crate::cluster::Node;

    /// What an administrator is told of a topic, with these faults in each case and this broker slow.
    fn told(faults: &[Fault], slow: Option<usize>) -> (Result<Partial<TopicStats>, AdminError>, Duration) {
        let mut swarm = Swarm::calm();
        faults.iter().for_each(|fault| swarm.with(*fault, 100_000));
        let (result, out) = (Arc::new(std::sync::Mutex::new(None)), Arc::new(std::sync::Mutex::new(Duration::ZERO)));
        let (told, took) = (result.clone(), out.clone());
        three_brokers().faults(swarm).run(|world| async move {
            let host = world.host("10.0.3.2");
            world.with(|state| state.hosts[host.index].administrator = true);
            let client = world.builder().connect_on(&host).await.map_err(|error| error.to_string())?;
            if let Some(slow) = slow {
                world.with(|state| state.slow_down(Node::Broker(slow), LONG));
            }
            let begun = world.now();
            let stats = client.admin().topic_stats("t").await;
            *took.lock().expect("one thread") = world.now().since(begun);
            *told.lock().expect("one thread") = Some(stats);
            client.shutdown().await;
            Ok::<(), String>(())
        });
        let result = result.lock().expect("one thread").take();
        (result.expect("an end"), *out.lock().expect("one thread"))
    }

    fn three_brokers() -> Sim {
        Sim::new(7).topic("t", 2).brokers(3)
    }

    fn brokers(stats: &TopicStats) -> BTreeSet<&str> {
        stats.offset_table.0.keys().map(|queue| queue.broker.as_str()).collect()
    }

    #[test]
    fn a_broker_that_does_not_answer_is_named_and_the_others_are_heard() {
        let (told, took) = told(&[], Some(1));
        let told = told.expect("two brokers answer");
        assert_eq!(brokers(&told.value), ["broker-a", "broker-c"].into());
        assert!(matches!(told.failed.get("broker-b"), Some(AdminError::Request(_))), "{:?}", told.failed);
        assert_eq!(told.failed.len(), 1);
        assert!(took <= SHORT, "{took:?}");
    }

    #[test]
    fn what_a_broker_says_at_the_address_of_another_is_not_believed() {
        let told = told(&[Fault::ForeignAddress], None).0.expect("two brokers answer");
        assert_eq!(brokers(&told.value), ["broker-b", "broker-c"].into());
        let foreign = AdminError::OtherBroker { asked: "broker-a".into(), answered: "broker-b".into() };
        assert_eq!(told.failed, [("broker-a".to_owned(), foreign)].into());
    }

    #[test]
    fn where_nobody_answers_that_is_the_error_and_it_comes_in_time() {
        let (told, took) = told(&[Fault::NoResponse], None);
        assert!(matches!(told, Err(AdminError::Route(_) | AdminError::Request(_))), "{told:?}");
        assert!(took <= SHORT, "{took:?}");
    }

    #[test]
    fn where_a_master_is_gone_its_slave_tells_but_does_nothing() {
        three_brokers().slaves(Duration::ZERO).run(|world| async move {
            let host = world.host("10.0.3.2");
            let client = world.builder().connect_on(&host).await.map_err(|error| error.to_string())?;
            let admin = client.admin();
            // Slaves have copied the topic.
            world.sleep(Duration::from_secs(60)).await;
            world.with(|state| state.stop_server(Node::Broker(1), End::Reset));
            let stats = admin.topic_stats("t").await.expect("all answer");
            assert!(stats.is_complete(), "{:?}", stats.failed);
            assert_eq!(brokers(&stats.value), ["broker-a", "broker-b", "broker-c"].into());
            let done = admin.set_topic(&TopicConfig::new("t", 4), &Brokers::All).await.expect("two do");
            assert_eq!(done.value, ["broker-a".into(), "broker-c".into()]);
            assert_eq!(done.failed, [("broker-b".to_owned(), AdminError::NoMaster("broker-b".into()))].into());
            let slave = world.with(|state| state.servers.cluster.slave_of(1)).expect("a slave");
            world.with(|state| state.stop_server(Node::Broker(slave), End::Reset));
            let stats = admin.topic_stats("t").await.expect("two answer");
            assert_eq!(brokers(&stats.value), ["broker-a", "broker-c"].into());
            client.shutdown().await;
            Ok::<(), String>(())
        });
    }
}
