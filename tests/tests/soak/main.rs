//! Java and this client in two groups, one in order, on a real broker, while members are killed, servers are restarted
//! and topics grow: nothing is lost, order is kept, and whenever it is quiet each queue has one owner.
//!
//! `ROCKETMQ_SOAK_SECONDS=600` makes it longer than a minute; `ROCKETMQ_SOAK_SEED` chooses what happens.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod member;
#[path = "../live/owned.rs"]
mod owned;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rocketmq_core::rng::Rng;
use rocketmq_testkit::real::{self, JavaPeer, Options, RealCluster, RealError, V5};

use member::{Group, Handled, Member};
use traffic::Traffic;

#[test]
fn mixed_groups_survive_what_happens_to_them() -> Result<(), RealError> {
    if !real::available()? {
        return Ok(());
    }
    let (time, seed) = (Duration::from_secs(setting("ROCKETMQ_SOAK_SECONDS", 60)), setting("ROCKETMQ_SOAK_SEED", 1));
    eprintln!("seed {seed}, for {time:?}");
    let options = Options::new(V5).conf("messageDelayLevel", "1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s");
    let mut soak = Soak::start(options, seed)?;
    let end = Instant::now() + time;
    while Instant::now() < end {
        for _ in 0..CHANGES {
            soak.something_happens()?;
        }
        soak.calms_down();
    }
    soak.finish();
    Ok(())
}

/// A cluster, two groups and what they are sent.
struct Soak {
    rng: Rng,
    cluster: RealCluster,
    admin: JavaPeer,
    groups: [Arc<Group>; 2],
    members: Vec<Member>,
    traffic: [Traffic; 2],
    queues: u32,
    /// When the broker forgot its locks.
    restarts: Vec<i64>,
    counts: BTreeMap<&'static str, u32>,
}

impl Soak {
    fn start(options: Options, seed: u64) -> Result<Self, RealError> {
        let cluster = RealCluster::start(options)?;
        let admin = JavaPeer::start()?;
        let namesrv = cluster.namesrv();
        let groups = [("soak", false), ("soak_in_order", true)]
            .map(|(topic, orderly)| Arc::new(Group::new(&namesrv, topic, orderly)));
        for group in &groups {
            admin.create_topic(&namesrv, &group.topic, QUEUES)?;
        }
        let traffic =
            groups.each_ref().map(|group| Traffic::start(&namesrv, cluster.broker_name(), group, QUEUES as i32));
        let [any, in_order] = &groups;
        let members = vec![
            Member::ours(any),
            Member::ours(any),
            Member::java(any)?,
            Member::ours(in_order),
            Member::java(in_order)?,
            Member::java(in_order)?,
        ];
        let (rng, counts) = (Rng::new(seed), BTreeMap::new());
        Ok(Self { rng, cluster, admin, groups, members, traffic, queues: QUEUES, restarts: Vec::new(), counts })
    }

    fn something_happens(&mut self) -> Result<(), RealError> {
        let what = match self.rng.below(8) {
            0..=2 => self.member_leaves(false)?,
            3 | 4 => self.member_leaves(true)?,
            5 => {
                let graceful = self.rng.below(2) == 0;
                self.restarts.push(member::now_ms());
                self.cluster.restart_broker(graceful)?;
                if graceful { "broker restarted" } else { "broker killed and started" }
            }
            6 => {
                self.cluster.stop_namesrv(true);
                std::thread::sleep(Duration::from_millis(500));
                self.cluster.start_namesrv()?;
                "name server killed and started"
            }
            _ if self.queues < MOST_QUEUES => {
                self.queues += 2;
                for group in &self.groups {
                    eventually("a topic grows", PATIENCE, || self.grow(&group.topic));
                }
                self.traffic.iter().for_each(|traffic| traffic.grow(self.queues as i32));
                "topics got queues"
            }
            _ => "nothing",
        };
        eprintln!("{what}");
        *self.counts.entry(what).or_default() += 1;
        self.members.iter().for_each(Member::note);
        std::thread::sleep(Duration::from_millis(1_000 + self.rng.below(3_000) as u64));
        Ok(())
    }

    /// Gives a topic its queues. A name server that does not know the broker yet drops what it is told of them, so what
    /// it says counts.
    fn grow(&self, topic: &str) -> Option<()> {
        let namesrv = self.cluster.namesrv();
        self.admin.create_topic(&namesrv, topic, self.queues).ok()?;
        let told = || {
            let route = self.admin.topic_route(&namesrv, topic).ok()?;
            matches!(&*route, [broker] if broker.read_queues == self.queues as i32).then_some(())
        };
        member::wait(TOLD_IN, told)
    }

    /// A member leaves or dies, and another comes.
    fn member_leaves(&mut self, dies: bool) -> Result<&'static str, RealError> {
        let gone = self.members.swap_remove(self.rng.below(self.members.len()));
        let (group, java) = (gone.group().clone(), gone.is_java());
        if dies {
            gone.kill()
        } else {
            gone.leave()
        }
        std::thread::sleep(Duration::from_millis(self.rng.below(4_000) as u64));
        self.members.push(if java { Member::java(&group)? } else { Member::ours(&group) });
        Ok(match (java, dies) {
            (true, true) => "a Java member killed",
            (true, false) => "a Java member left",
            (false, true) => "a member of ours killed",
            (false, false) => "a member of ours left",
        })
    }

    /// Nothing happens for a while: each queue has one owner.
    fn calms_down(&self) {
        for group in &self.groups {
            let wanted: Vec<_> = (0..self.queues as i32).collect();
            let owners = || -> BTreeMap<String, BTreeSet<i32>> {
                let members = self.members.iter().filter(|member| Arc::ptr_eq(member.group(), group));
                members.map(|member| (member.name().to_owned(), member.owned())).collect()
            };
            let shared = || {
                let mut all: Vec<_> = owners().into_values().flatten().collect();
                all.sort_unstable();
                (all == wanted).then_some(())
            };
            let begun = Instant::now();
            // Seen twice, for it to be no moment on the way.
            let calm = || {
                shared()?;
                std::thread::sleep(Duration::from_secs(1));
                shared()
            };
            let found = member::wait(PATIENCE, calm);
            let route = self.admin.topic_route(&self.cluster.namesrv(), &group.topic);
            assert!(found.is_some(), "{}: the queues of {route:?} are owned by {:?}", group.name, owners());
            eprintln!("{}: one owner for each queue after {:.1?}", group.name, begun.elapsed());
        }
    }

    fn finish(self) {
        let Self { cluster, admin, groups, members, traffic, restarts, counts, .. } = self;
        for (group, traffic) in groups.iter().zip(traffic) {
            let sent = traffic.stop();
            let missing = || {
                members.iter().for_each(Member::note);
                let done = group.done();
                sent.iter().filter(|text| !done.contains(*text)).cloned().collect::<Vec<_>>()
            };
            member::wait(PATIENCE, || missing().is_empty().then_some(()));
            let lost = missing();
            assert!(lost.is_empty(), "{}: {} of {} lost: {:?}", group.name, lost.len(), sent.len(), lost.first());
            assert!(sent.len() >= LEAST_SENT, "only {} messages", sent.len());
            eprintln!("{}: {} stored, none lost", group.name, sent.len());
        }
        // Whoever is last to leave has committed everything.
        members.into_iter().for_each(Member::leave);
        for group in &groups {
            let offsets = || {
                let offsets = admin.offsets(&cluster.namesrv(), &group.name, &group.topic).ok()?;
                offsets.iter().all(|queue| queue.committed == queue.max).then_some(())
            };
            eventually("all is committed", PATIENCE, offsets);
        }
        in_order(&groups[1].handled(), &restarts);
        eprintln!("{counts:?}");
    }
}

/// No message of a queue passes another, and no two members handle one queue at once, unless the broker forgot a lock.
fn in_order(handled: &[Handled], restarts: &[i64]) {
    let mut handled = handled.to_vec();
    handled.sort_by_key(|one| (one.begun_ms, one.offset));
    let forgotten = |at: i64| restarts.iter().any(|restart| (0..LEASE_MS).contains(&(at - restart)));
    let mut state: BTreeMap<i32, (i64, Handled)> = BTreeMap::new();
    let mut twice = 0;
    for one in &handled {
        let Some((next, last)) = state.get_mut(&one.queue) else {
            assert_eq!(one.offset, 0, "{one:?}");
            state.insert(one.queue, (1, one.clone()));
            continue;
        };
        assert!(one.offset <= *next, "{one:?} passes {next}, after {last:?}");
        twice += i32::from(one.offset < *next);
        *next = (*next).max(one.offset + 1);
        let apart = one.member == last.member || one.begun_ms >= last.ended_ms || forgotten(one.begun_ms);
        assert!(apart, "{one:?} while {last:?}");
        if one.ended_ms >= last.ended_ms {
            *last = one.clone();
        }
    }
    eprintln!("{} handled in order, {twice} of them again", handled.len());
}

fn eventually(what: &str, patience: Duration, attempt: impl FnMut() -> Option<()>) {
    assert!(member::wait(patience, attempt).is_some(), "{what}: not in {patience:?}");
}

fn setting(name: &str, usual: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// What happens between two looks at who owns what.
const CHANGES: usize = 6;
/// The queues of a topic at first, and at most.
const QUEUES: u32 = 6;
const MOST_QUEUES: u32 = 12;
/// How soon a name server that knows the broker is told of a topic.
const TOLD_IN: Duration = Duration::from_secs(5);
/// A member that is killed holds its locks for 60 s, and Java asks for a lock every 20 s.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long a member may take a lock for its own that the broker has forgotten.
const LEASE_MS: i64 = 35_000;
const LEAST_SENT: usize = 500;
