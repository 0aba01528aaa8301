//! The workload: producers, members of groups, a phase with faults and one without, and what is noted of it all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rocketmq_core::config::Strategy;
use rocketmq_core::driver::{Client, PushConsumer};
use rocketmq_core::time::Instant;

use super::history::{Change, Outcome, Queue, Row, What};
use super::invariants::{self, ledger::Ledger};
use super::member;
use super::plan::Plan;
use super::producer;
use super::tape::Stream;
use super::{Fault, Host, Report, Sim, Swarm, World, chaos};
use crate::cluster::BrokerConfig;

/// How to run the workload of a seed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether to keep the trace.
    pub trace: bool,
    /// Other faults than the seed says.
    pub swarm: Option<Swarm>,
    /// Only these of the faults: of each kind, which ones in order.
    pub script: Option<Vec<(Fault, u64)>>,
    /// Fewer messages than the seed says.
    pub messages: Option<u64>,
    /// Whether to plant a violation, to see that it is reported.
    pub canary: bool,
}

/// Runs the workload of a seed and checks every invariant.
#[must_use]
pub fn check(seed: u64) -> Report {
    check_with(seed, Options::default())
}

/// The same, with options.
#[must_use]
pub fn check_with(seed: u64, options: Options) -> Report {
    let mut plan = Plan::of(seed);
    plan.messages = options.messages.unwrap_or(plan.messages);
    let mut sim = Sim::new(seed).name_servers(plan.name_servers).brokers(plan.brokers);
    sim.swarm = options.swarm;
    sim.script = options.script;
    sim.trace = options.trace;
    if plan.old_brokers {
        let config = BrokerConfig::default();
        let reply_codec = crate::cluster::ReplyCodec::AsRequest;
        sim.config = BrokerConfig { version: 401, reply_codec, heartbeat_v2: false, ..config };
    }
    for topic in &plan.topics {
        sim = sim.topic(topic, plan.queues);
    }
    let mut report = sim.try_run(|world| Run::new(world, plan).go());
    if options.canary {
        let (id, at) = (u64::MAX, Instant::ZERO.after(report.time));
        report.history.rows.push(Row { at, what: What::Resolved { id, outcome: Outcome::Failed } });
        report.history.rows.push(Row { at, what: What::Resolved { id, outcome: Outcome::Failed } });
    }
    report.broken.extend(report.failure.clone());
    report.broken.extend(invariants::broken(&report.history));
    report.failure = report.broken.first().cloned();
    report
}

/// A run under way; clones are the same one.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) world: World,
    pub(crate) plan: Arc<Plan>,
    inner: Arc<Inner>,
}

struct Inner {
    healed: AtomicBool,
    next_message: AtomicU64,
    next_delivery: AtomicU64,
    next_member: AtomicU64,
    members: Mutex<Vec<Member>>,
    producers: Mutex<Vec<Host>>,
    /// The last process of each member that counts as a group, and which of them live: one machine has one of them.
    machines: Mutex<BTreeMap<usize, Host>>,
    alive: Mutex<BTreeSet<usize>>,
    /// Queues that a topic is to have on a broker.
    targets: Mutex<BTreeMap<(usize, Arc<str>), i32>>,
}

/// A member of a group, as the run knows it.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) id: u32,
    pub(crate) group: usize,
    pub(crate) name: Arc<str>,
    pub(crate) host: Host,
    pub(crate) state: Arc<MemberState>,
}

/// What the member's process shares with the run.
#[derive(Default)]
pub(crate) struct MemberState {
    pub(crate) leaving: AtomicBool,
    /// A queue stopped at a record that nobody can read: somebody has to look.
    pub(crate) stuck: AtomicBool,
    pub(crate) handles: Mutex<Option<(Client, PushConsumer)>>,
}

impl Member {
    pub(crate) fn note(&self, world: &World, change: Change) {
        world.note(What::Member { member: self.id, group: self.name.clone(), change });
    }
}

impl Run {
    fn new(world: World, plan: Plan) -> Self {
        let inner = Inner {
            healed: AtomicBool::new(false),
            next_message: AtomicU64::new(0),
            next_delivery: AtomicU64::new(0),
            next_member: AtomicU64::new(0),
            members: Mutex::default(),
            producers: Mutex::default(),
            machines: Mutex::default(),
            alive: Mutex::default(),
            targets: Mutex::default(),
        };
        world.with(|state| {
            let calm = state.swarm.is_calm();
            state.history.setup = plan.setup(calm);
            if plan.old_brokers && !calm {
                state.count(Fault::OtherVersion);
            }
        });
        Self { world, plan: Arc::new(plan), inner: Arc::new(inner) }
    }

    async fn go(self) {
        let world = self.world.clone();
        for (group, plan) in self.plan.groups.iter().enumerate() {
            (0..plan.members).for_each(|_| self.join(group));
        }
        if self.is_calm() {
            // Members that join hand over queues, and what is under way then comes twice.
            world.sleep(Duration::from_secs(30)).await;
        }
        let producers: Vec<_> = (0..self.plan.producers).map(|index| producer::start(&self, index)).collect();
        let plans = if self.plan.long { 1 } else { 2 };
        let chaos: Vec<_> = (0..plans).map(|_| world.spawn(chaos::go_on(self.clone()))).collect();
        world.sleep(self.plan.safety).await;
        self.heal();
        for producer in producers {
            producer.await;
        }
        for chaos in chaos {
            chaos.await;
        }
        self.mend().await;
        let left = self.drain().await;
        world.note(left.clone().map_or(What::Drained, |left| What::Undrained { left }));
        if left.is_some() {
            return;
        }
        world.sleep(QUIET).await;
        self.note_readable();
        let members = std::mem::take(&mut *lock(&self.inner.members));
        for member in members {
            self.leave(member).await;
        }
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.inner.healed.load(Ordering::Relaxed)
    }

    /// Whether this run has no faults at all.
    pub(crate) fn is_calm(&self) -> bool {
        self.world.with(|state| state.history.setup.calm)
    }

    pub(crate) fn next_message(&self) -> u64 {
        self.inner.next_message.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_delivery(&self) -> u64 {
        self.inner.next_delivery.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn add_producer(&self, host: Host) {
        lock(&self.inner.producers).push(host);
    }

    /// One of the hosts of clients.
    pub(crate) fn some_host(&self) -> Option<Host> {
        let mut hosts: Vec<Host> = lock(&self.inner.members).iter().map(|member| member.host.clone()).collect();
        hosts.extend(lock(&self.inner.producers).iter().cloned());
        self.world.with(|state| state.tape.pick(Stream::Time, &hosts).cloned())
    }

    pub(crate) fn some_member(&self) -> Option<Member> {
        let members = lock(&self.inner.members).clone();
        self.world.with(|state| state.tape.pick(Stream::Time, &members).cloned())
    }

    /// Takes a member out: it is to end.
    pub(crate) fn take_member(&self) -> Option<Member> {
        let member = self.some_member()?;
        lock(&self.inner.members).retain(|known| known.id != member.id);
        Some(member)
    }

    pub(crate) fn members(&self) -> usize {
        lock(&self.inner.members).len()
    }

    /// A member joins the group that has the fewest, or any.
    pub(crate) fn join_one(&self, count: bool) {
        if self.is_healed() || self.members() >= MOST_MEMBERS {
            return;
        }
        if count {
            self.world.with(|state| state.count(Fault::Join));
        }
        let free = |group: &usize| !(self.is_broadcast(*group) && lock(&self.inner.alive).contains(group));
        let sizes = (0..self.plan.groups.len()).filter(free).map(|group| (self.size_of(group), group));
        if let Some((_, group)) = sizes.min() {
            self.join(group);
        }
    }

    fn size_of(&self, group: usize) -> usize {
        lock(&self.inner.members).iter().filter(|member| member.group == group).count()
    }

    fn is_broadcast(&self, group: usize) -> bool {
        self.plan.groups[group].setup.broadcast
    }

    fn join(&self, group: usize) {
        let id = u32::try_from(self.inner.next_member.fetch_add(1, Ordering::Relaxed)).unwrap_or(u32::MAX);
        let name = self.plan.groups[group].setup.name.clone();
        let known = lock(&self.inner.machines).get(&group).cloned();
        let host = match known {
            Some(host) => self.world.restart(&host),
            None => self.world.host(&format!("10.0.1.{}", id % 250 + 1)),
        };
        if self.is_broadcast(group) {
            self.world.with(|state| state.hosts[host.index].member = Some(name.clone()));
            lock(&self.inner.alive).insert(group);
            lock(&self.inner.machines).insert(group, host.clone());
        }
        let member = Member { id, group, name, host: host.clone(), state: Arc::default() };
        lock(&self.inner.members).push(member.clone());
        self.world.spawn_on(&host, member::live(self.clone(), member)).detach();
    }

    /// A process is over: another may live on its machine.
    pub(crate) fn over(&self, member: &Member) {
        lock(&self.inner.alive).remove(&member.group);
    }

    /// A member leaves in good order, and what it leaves behind is looked at.
    pub(crate) async fn leave(&self, member: Member) {
        let world = self.world.clone();
        member.state.leaving.store(true, Ordering::Relaxed);
        let handles = lock(&member.state.handles).take();
        let Some((client, consumer)) = handles else {
            // It is not up yet; it sees that it is to leave.
            return world.with(|state| state.reach("a member leaves before it has joined"));
        };
        let twice = world.roll(Fault::BusyShutdown);
        let (run, of) = (self.clone(), member.clone());
        let task = world.spawn_on(&member.host, async move {
            let began = run.world.now();
            if twice {
                let second = client.clone();
                let host = of.host.clone();
                run.world.spawn_on(&host, async move { second.shutdown().await }).detach();
            } else {
                consumer.shutdown().await;
            }
            client.shutdown().await;
            of.note(&run.world, Change::Left);
            drop((client, consumer));
            run.world.now().since(began)
        });
        let took = task.await;
        self.over(&member);
        let Some(took) = took else { return };
        world.sleep(Duration::from_secs(5)).await;
        world.with(|state| {
            let host = member.host.index;
            let (links, timers) = (state.links_of(host), state.hosts[host].timers);
            // A process that stood still, or whose frames were clogged, takes longer.
            let within = if state.swarm.is_calm() { WITHIN } else { WITHIN * 20 };
            state.note(What::Shutdown { host, took, within, links, timers });
        });
    }

    /// The queues a topic is to have on a broker; one more from now on if so asked.
    pub(crate) fn target(&self, broker: usize, topic: &Arc<str>, more: bool) -> i32 {
        let mut targets = lock(&self.inner.targets);
        let target = targets.entry((broker, topic.clone())).or_insert(self.plan.queues);
        if more && *target < MOST_QUEUES {
            *target += 1;
        }
        *target
    }

    /// The topic is as it should be again.
    pub(crate) fn restore(&self, broker: usize, topic: &Arc<str>) {
        let target = self.target(broker, topic, false);
        self.world.change_topic(broker, topic, |config| {
            (config.read_queues, config.write_queues, config.perm) = (target, target, 6);
        });
    }

    fn heal(&self) {
        self.inner.healed.store(true, Ordering::Relaxed);
        self.world.heal();
        for topic in &self.plan.topics {
            (0..self.plan.brokers).for_each(|broker| self.restore(broker, topic));
        }
    }

    /// What an operator does: members that stopped at unreadable records are restarted, groups without any get one.
    async fn mend(&self) {
        // What chaos did at the last moment.
        self.heal();
        let stuck = |member: &Member| member.state.stuck.load(Ordering::Relaxed);
        let members: Vec<Member> = lock(&self.inner.members).extract_if(.., |member| stuck(member)).collect();
        for member in members {
            self.world.reach("a member with a stopped queue is restarted");
            let group = member.group;
            self.leave(member).await;
            self.join(group);
        }
        for group in 0..self.plan.groups.len() {
            while self.size_of(group) == 0 && lock(&self.inner.alive).contains(&group) {
                self.world.sleep(Duration::from_secs(1)).await;
            }
            if self.size_of(group) == 0 {
                self.join(group);
            }
        }
    }

    /// Waits until nothing is left to consume; what is left when the time is over.
    async fn drain(&self) -> Option<String> {
        let began = self.world.now();
        let mut ledger = self.world.with(|state| Ledger::new(&state.history.setup));
        let mut seen = 0;
        loop {
            self.world.sleep(Duration::from_secs(5)).await;
            let left = self.world.with(|state| {
                state.history.rows[seen..].iter().for_each(|row| ledger.row(&row.what));
                seen = state.history.rows.len();
                let delayed: usize = state.servers.cluster.brokers().map(|broker| broker.delayed()).sum();
                let left = ledger.left().map(|left| format!("{left:?}"));
                left.or_else(|| (delayed > 0).then(|| format!("{delayed} delayed messages")))
            })?;
            if self.world.now().since(began) > DRAIN {
                return Some(left);
            }
        }
    }

    /// Notes which queues members should share now.
    fn note_readable(&self) {
        for group in &self.plan.groups {
            let name = group.setup.name.clone();
            let retry: Arc<str> = format!("%RETRY%{name}").into();
            let queues = self.world.cluster(|cluster| {
                let mut queues = Vec::new();
                for (broker, model) in cluster.brokers().enumerate() {
                    let retry = Some(&retry).filter(|_| !group.setup.broadcast);
                    for topic in [&group.setup.topic].into_iter().chain(retry) {
                        let count = model.topic(topic).map_or(0, |config| config.read_queues);
                        queues.extend((0..count).map(|id| Queue { broker, topic: topic.clone(), id }));
                    }
                }
                queues
            });
            self.world.note(What::Readable { group: name, queues });
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) const fn strategy(circle: bool) -> Strategy {
    if circle { Strategy::AveragelyByCircle } else { Strategy::Averagely }
}

/// When faults are over, everything is consumed in 300 s and the ladder of the retries under way.
const DRAIN: Duration = Duration::from_secs(300 + 600);
/// After a silent death it takes 200 s until the queues are shared out again.
const QUIET: Duration = Duration::from_secs(200);
/// The time a shutdown has.
const WITHIN: Duration = Duration::from_secs(60);
const MOST_MEMBERS: usize = 6;
const MOST_QUEUES: i32 = 6;
