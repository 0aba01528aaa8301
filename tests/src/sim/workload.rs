//! The workload: producers, members of groups, a phase with faults and one without, and what is noted of it all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rocketmq_core::config::{LinkConfig, Strategy};
use rocketmq_core::driver::{Client, Producer, PushConsumer};
use rocketmq_core::ids::ClientId;
use rocketmq_core::time::Instant;

use super::history::{Change, Outcome, Queue, Row, Tx, What};
use super::invariants::{self, ledger::Ledger};
use super::member;
use super::memory::Memory;
use super::operator;
use super::plan::{Group, Plan};
use super::producer;
use super::script::Occasion;
use super::tape::Tape;
use super::{
    Fault, Host, Report, Sim, Swarm, Task, World, asking, chaos, errands, membership, popping, settle, traces,
    transactions, wishes,
};
use crate::cluster::BrokerConfig;

/// How to run the workload of a seed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether to keep the trace.
    pub trace: bool,
    /// Other faults than the seed says.
    pub swarm: Option<Swarm>,
    /// Only these faults, and no others.
    pub script: Option<Vec<Occasion>>,
    /// Another topology than the seed says.
    pub plan: Option<Plan>,
    /// Whether to plant a violation, to see that it is reported.
    pub canary: bool,
    /// The number of events after which the run has failed.
    pub events: Option<u64>,
}

/// Runs the workload of a seed and checks every invariant.
#[must_use]
pub fn check(seed: u64) -> Report {
    check_with(seed, Options::default())
}

/// The same, with options.
#[must_use]
pub fn check_with(seed: u64, mut options: Options) -> Report {
    if options.plan.is_none() && !options.canary && popping::has(seed) {
        return popping::check(seed, options);
    }
    let plan = options.plan.take().unwrap_or_else(|| Plan::of(seed));
    check_plan(Sim::new(seed), plan, options)
}

/// Runs a brief workload whose topology, faults and timing come from bytes: the first eight are the seed of what the
/// others do not decide. Equal bytes are equal runs.
#[must_use]
pub fn check_tape(bytes: &[u8]) -> Report {
    check_tape_with(bytes, Options::default())
}

/// The same, with options.
#[must_use]
pub fn check_tape_with(bytes: &[u8], options: Options) -> Report {
    let (seed, rest) = bytes.split_at(bytes.len().min(8));
    let seed = seed.iter().rev().fold(0, |seed, byte| (seed << 8) | u64::from(*byte));
    let mut tape = Tape::from_bytes(seed, rest.to_vec());
    let plan = Plan::brief(&mut tape);
    check_plan(Sim { tape: Some(tape), ..Sim::new(seed) }, plan, options)
}

pub(crate) fn check_plan(sim: Sim, plan: Plan, options: Options) -> Report {
    let mut sim = sim.name_servers(plan.name_servers).brokers(plan.brokers);
    sim.swarm = options.swarm;
    sim.script = options.script;
    sim.trace = options.trace;
    sim.events = options.events.unwrap_or(u64::MAX);
    if plan.old_brokers {
        let config = BrokerConfig::default();
        let reply_codec = crate::cluster::ReplyCodec::AsRequest;
        sim.config = BrokerConfig { version: 401, reply_codec, heartbeat_v2: false, ..config };
    }
    sim.config.recall = true;
    // A broker that moves groups by itself does so between the client's words: only ends of a queue can be checked then.
    sim.config.server_side_reset = false;
    for topic in &plan.topics {
        sim = sim.topic(topic, plan.queues);
    }
    sim.directory = plan.directory;
    sim.encrypted = plan.encrypted;
    sim.slaves = plan.slaves.map(Duration::from_millis);
    if plan.transactions.is_some() {
        sim = sim.topic(transactions::TOPIC, plan.queues);
        sim.config.transaction_check_max = CHECKS;
    }
    if plan.requests.is_some() {
        sim = sim.topic(asking::TOPIC, plan.queues);
    }
    if let Some(wanted) = plan.traced {
        sim = sim.topic(traces::TOPIC, plan.queues);
        sim.config.trace_on = wanted;
    }
    let memory = Memory::new();
    let mut report = sim.try_run(|world| Run::new(world, plan.clone()).go());
    report.plan = Some(plan);
    let at = Instant::ZERO.after(report.time);
    let used = memory.used(&report.history);
    report.history.rows.extend(used.map(|what| Row { at, what }));
    if options.canary {
        let id = u64::MAX;
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
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    next_message: AtomicU64,
    next_delivery: AtomicU64,
    next_reply: AtomicU64,
    next_member: AtomicU64,
    pub(crate) members: Mutex<Vec<Member>>,
    /// The last process of each member that counts as a group, and which of them live: one machine has one of them.
    machines: Mutex<BTreeMap<usize, Host>>,
    alive: Mutex<BTreeSet<usize>>,
    /// Which filter each group wants that changes it.
    pub(crate) wishes: Mutex<BTreeMap<usize, usize>>,
    /// The most that each host had under way: requests and bytes.
    loads: Mutex<BTreeMap<usize, (usize, usize)>>,
    /// The same over all links of a host, where a producer has bounds of its own.
    budgets: Mutex<BTreeMap<usize, (usize, usize)>>,
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
    /// Its own task goes on: a listener may be slow to end.
    pub(crate) living: AtomicBool,
    /// A queue stopped at a record that nobody can read: somebody has to look.
    pub(crate) stuck: AtomicBool,
    /// What it subscribes to is being changed.
    pub(crate) changing: AtomicBool,
    pub(crate) handles: Mutex<Option<(Client, PushConsumer)>>,
}

impl Member {
    /// The id it goes by at brokers, once it is up.
    pub(crate) fn client_id(&self) -> Option<ClientId> {
        lock(&self.state.handles).as_ref().map(|(client, _)| client.client_id())
    }

    pub(crate) fn note(&self, world: &World, change: Change) {
        world.note(What::Member { member: self.id, group: self.name.clone(), change });
    }
}

impl Run {
    fn new(world: World, plan: Plan) -> Self {
        let inner = Inner {
            next_message: AtomicU64::new(0),
            next_delivery: AtomicU64::new(0),
            next_reply: AtomicU64::new(0),
            next_member: AtomicU64::new(0),
            members: Mutex::default(),
            machines: Mutex::default(),
            alive: Mutex::default(),
            wishes: Mutex::default(),
            loads: Mutex::default(),
            budgets: Mutex::default(),
        };
        world.with(|state| {
            state.history.setup = plan.setup(&state.swarm);
            if plan.old_brokers && !state.swarm.is_calm() {
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
        let operator = operator::start(&self);
        let administrator = errands::start(&self);
        let tellers = transactions::start(&self);
        let askers = asking::start(&self);
        let chaos = self.chaos();
        world.sleep(self.plan.safety).await;
        world.heal();
        for sender in producers.into_iter().chain(askers) {
            sender.await;
        }
        for chaos in chaos {
            chaos.await;
        }
        for working in operator.into_iter().chain(administrator) {
            working.await;
        }
        self.mend().await;
        if !tellers.is_empty() {
            for teller in tellers {
                teller.await;
            }
            world.note(What::Tx(Tx::Settled { left: transactions::undecided(&world) }));
        }
        wishes::settle(&self).await;
        let left = self.drain().await;
        world.note(left.clone().map_or(What::Drained, |left| What::Undrained { left }));
        if left.is_some() {
            return;
        }
        world.sleep(QUIET).await;
        for group in &self.plan.groups {
            world.note(What::Readable { group: group.setup.name.clone(), queues: self.readable(group) });
        }
        settle::change_once_more(&self).await;
        settle::say_goodbye(&self).await;
        if self.plan.traced.is_some() {
            traces::note(&world);
        }
    }

    /// Lets planned faults happen, those of members among them.
    fn chaos(&self) -> Vec<Task<()>> {
        let at_once = if self.plan.long { 1 } else { 2 };
        let changes = self.plan.groups.iter().any(|group| group.setup.changing);
        let kinds = chaos::KINDS.into_iter().chain(membership::KINDS);
        let slaves = self.plan.slaves.is_some();
        let kinds = kinds.filter(|fault| changes || *fault != Fault::Resubscribe);
        let kinds = kinds.filter(|fault| slaves || !matches!(fault, Fault::SlaveServes | Fault::SlaveLoss)).collect();
        let run = self.clone();
        chaos::start(&self.world, at_once, kinds, move |fault, dice| {
            let run = run.clone();
            async move {
                if membership::KINDS.contains(&fault) {
                    membership::happen(run, fault, dice).await;
                } else {
                    chaos::happen(run.world, fault, dice).await;
                }
            }
        })
    }

    /// Whether this run has no faults at all.
    pub(crate) fn is_calm(&self) -> bool {
        self.world.with(|state| state.history.setup.calm)
    }

    /// Whether this run has no faults but those of the application.
    pub(crate) fn is_steady(&self) -> bool {
        self.world.with(|state| state.history.setup.steady)
    }

    pub(crate) fn next_message(&self) -> u64 {
        self.inner.next_message.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_delivery(&self) -> u64 {
        self.inner.next_delivery.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_reply(&self) -> u64 {
        self.inner.next_reply.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        lock(&self.inner.members).clone()
    }

    /// A member is to end.
    pub(crate) fn forget(&self, member: &Member) {
        lock(&self.inner.members).retain(|known| known.id != member.id);
    }

    pub(crate) fn take_newest_member(&self) -> Option<Member> {
        lock(&self.inner.members).pop()
    }

    /// Takes a member out of a group that has others.
    pub(crate) fn take_one_of_several(&self) -> Option<Member> {
        let group = (0..self.plan.groups.len()).find(|group| self.size_of(*group) > 1)?;
        let mut members = lock(&self.inner.members);
        let at = members.iter().position(|member| member.group == group)?;
        Some(members.remove(at))
    }

    pub(crate) fn take_all_members(&self) -> Vec<Member> {
        std::mem::take(&mut *lock(&self.inner.members))
    }

    /// A member joins the group that has the fewest, or any.
    pub(crate) fn join_one(&self, count: bool) {
        if self.world.is_healed() || self.members().len() >= MOST_MEMBERS {
            return;
        }
        if count {
            self.world.with(|state| state.count(Fault::Join));
        }
        let free = |group: &usize| !(self.is_single(*group) && lock(&self.inner.alive).contains(group));
        let sizes = (0..self.plan.groups.len()).filter(free).map(|group| (self.size_of(group), group));
        if let Some((_, group)) = sizes.min() {
            self.join(group);
        }
    }

    fn size_of(&self, group: usize) -> usize {
        lock(&self.inner.members).iter().filter(|member| member.group == group).count()
    }

    /// Whether a group has one member at a time.
    fn is_single(&self, group: usize) -> bool {
        self.is_broadcast(group) || self.plan.groups[group].setup.changing
    }

    fn is_broadcast(&self, group: usize) -> bool {
        self.plan.groups[group].setup.broadcast
    }

    pub(crate) fn join(&self, group: usize) {
        let id = u32::try_from(self.inner.next_member.fetch_add(1, Ordering::Relaxed)).unwrap_or(u32::MAX);
        let name = self.plan.groups[group].setup.name.clone();
        let known = lock(&self.inner.machines).get(&group).cloned();
        let host = match known {
            Some(host) => self.world.restart(&host),
            None => self.world.host(&format!("10.0.1.{}", id % 250 + 1)),
        };
        let host = host.named(&member_name(&name, id));
        if self.is_single(group) {
            lock(&self.inner.alive).insert(group);
        }
        if self.is_broadcast(group) {
            self.world.with(|state| state.hosts[host.index].member = Some(name.clone()));
            lock(&self.inner.machines).insert(group, host.clone());
        }
        let member = Member { id, group, name, host: host.clone(), state: Arc::default() };
        lock(&self.inner.members).push(member.clone());
        self.world.note(What::Joined { host: host.index, member: id });
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
        let id = client.client_id().to_string();
        let twice = world.roll(Fault::BusyShutdown);
        let calm = world.with(|state| state.swarm.is_calm());
        let task = world.spawn_on(&member.host, settle::end(self.clone(), member.clone(), (client, consumer), twice));
        let took = task.await;
        self.over(&member);
        let Some(took) = took else { return };
        if !self.is_broadcast(member.group) {
            self.note_last_offsets(&member);
        }
        world.sleep(Duration::from_secs(5)).await;
        world.with(|state| {
            let host = member.host.index;
            let mut left = state.left_on(host);
            left.tasks -= usize::from(member.state.living.load(Ordering::Relaxed));
            if calm && took < UNDISTURBED {
                // With faults about, giving back may fail.
                let now = state.now;
                left.locks = state.servers.cluster.brokers().map(|broker| broker.locks_of(now, &id)).sum();
            }
            // A process that stood still, or whose frames were clogged, takes longer.
            let within = if state.swarm.is_calm() { WITHIN } else { WITHIN * 20 };
            state.note(What::Shutdown { host, took, within, left });
        });
    }

    /// What an operator does: members that stopped at unreadable records are restarted, groups without any get one.
    async fn mend(&self) {
        // What chaos did at the last moment.
        self.world.heal();
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
                let delayed: usize = state.servers.cluster.masters().map(|broker| broker.delayed()).sum();
                let left = ledger.left().map(|left| format!("{left:?}"));
                left.or_else(|| (delayed > 0).then(|| format!("{delayed} delayed messages")))
            })?;
            if self.world.now().since(began) > DRAIN {
                return Some(left);
            }
        }
    }

    /// The queues that the members of a group should share now.
    pub(crate) fn readable(&self, group: &Group) -> Vec<Queue> {
        let retry: Arc<str> = format!("%RETRY%{}", group.setup.name).into();
        self.world.cluster(|cluster| {
            let mut queues = Vec::new();
            for (broker, model) in cluster.masters().enumerate() {
                let retry = Some(&retry).filter(|_| !group.setup.broadcast);
                for topic in [&group.setup.topic].into_iter().chain(retry) {
                    let count = model.topic(topic).map_or(0, |config| config.read_queues);
                    queues.extend((0..count).map(|id| Queue { broker, topic: topic.clone(), id }));
                }
            }
            queues
        })
    }

    /// Notes which offsets the brokers have of a member's group.
    fn note_last_offsets(&self, member: &Member) {
        let group = member.name.clone();
        let stored = self.world.cluster(|cluster| {
            let of_broker = |(broker, model): (usize, &crate::cluster::Broker)| {
                let rows = model.committed(&group);
                rows.map(|(topic, id, offset)| (Queue { broker, topic: topic.into(), id }, offset)).collect::<Vec<_>>()
            };
            cluster.masters().enumerate().flat_map(of_broker).collect()
        });
        self.world.note(What::LastOffsets { member: member.id, group, stored });
    }

    /// Notes what a producer has under way, when it is more than ever before.
    /// Notes what a producer has under way over all links, when it is more than ever.
    pub(crate) fn note_budget(&self, host: &Host, producer: &Producer) {
        let (requests, bytes) = (producer.load().requests, producer.load().bytes);
        let mut loads = lock(&self.inner.budgets);
        let known = loads.entry(host.index).or_default();
        if requests > known.0 || bytes > known.1 {
            *known = (requests.max(known.0), bytes.max(known.1));
            let (most_requests, most_bytes) = BUDGET;
            self.world.note(What::Load { host: host.index, requests, bytes, most_requests, most_bytes });
        }
    }

    pub(crate) fn note_load(&self, host: &Host, client: &Client) {
        let (most_requests, most_bytes) = self.plan.narrow.unwrap_or_else(|| {
            let link = LinkConfig::default();
            (link.max_sends, link.max_queued_bytes)
        });
        for (_, load) in client.links() {
            let (requests, bytes) = (load.requests, load.bytes);
            let mut loads = lock(&self.inner.loads);
            let known = loads.entry(host.index).or_default();
            if requests > known.0 || bytes > known.1 {
                *known = (requests.max(known.0), bytes.max(known.1));
                self.world.note(What::Load { host: host.index, requests, bytes, most_requests, most_bytes });
            }
        }
    }
}

/// Messages, and bytes of bodies, that producers may have under way that send in every way.
pub(crate) const BUDGET: (usize, usize) = (2, 400);

/// What pictures call a member.
pub(crate) fn member_name(group: &str, id: u32) -> String {
    format!("member {id} of {group}")
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
/// A shutdown that takes longer had to wait for a server that faults still keep from answering.
const UNDISTURBED: Duration = Duration::from_secs(3);
/// How often brokers ask about a half message: half an hour of checks would tell nothing more.
const CHECKS: u32 = 6;
const MOST_MEMBERS: usize = 6;
