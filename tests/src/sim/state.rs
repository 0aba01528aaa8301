//! The state of a simulated world: clock, events to come, hosts, links, servers, and what happened so far.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_core::time::{Instant, UnixMillis};

use super::disk::Disk;
use super::faults::{Counts, Fault, Swarm};
use super::history::{History, Leftover, Queue, Row, What};
use super::net::{End, Net};
use super::script::Occasion;
use super::servers::Servers;
use super::tape::{Stream, Tape};
use super::trace::Trace;

/// Everything but the tasks.
pub(crate) struct State {
    pub(crate) now: Instant,
    /// The group that a broker is asked to move now, and the link over which.
    pub(crate) moving: Option<(Arc<str>, u64)>,
    /// What hosts were told of that, and when: a process that stands still carries it out late.
    pub(crate) told: BTreeMap<(usize, Arc<str>, Queue), (i64, Instant)>,
    seq: u64,
    events: BTreeMap<(Instant, u64), Event>,
    pub(crate) tape: Tape,
    pub(crate) trace: Trace,
    pub(crate) swarm: Swarm,
    pub(crate) counts: Counts,
    /// How many occasions each kind had.
    occasions: Counts,
    /// The faults that happened, as a script names them, and the only ones that may.
    pub(crate) happened: Vec<Occasion>,
    script: Option<BTreeSet<Occasion>>,
    /// Whether no fault may happen any more.
    pub(crate) healed: bool,
    /// Whether name servers are told by HTTP.
    pub(crate) directory: bool,
    /// Topics of the world, and the queues that each is to have on a broker.
    pub(crate) topics: Vec<(Arc<str>, i32)>,
    pub(crate) targets: BTreeMap<(usize, Arc<str>), i32>,
    pub(crate) marks: BTreeMap<&'static str, u64>,
    pub(crate) history: History,
    pub(crate) hosts: Vec<HostState>,
    pub(crate) disks: Vec<Disk>,
    pub(crate) net: Net,
    pub(crate) servers: Servers,
    /// Hosts whose tasks the executor is to drop.
    pub(crate) killed: Vec<usize>,
    pub(crate) polls: u64,
    pub(crate) next_port: u16,
}

/// A process, with an address and clocks of its own.
pub(crate) struct HostState {
    pub(crate) ip: IpAddr,
    /// What pictures call it.
    pub(crate) name: String,
    /// What its wall clock is ahead, milliseconds.
    pub(crate) skew: i64,
    pub(crate) paused: bool,
    pub(crate) dead: bool,
    /// Whether the dead host's links end without a word.
    pub(crate) silent: bool,
    parked: Vec<Waker>,
    /// The index of its disk.
    pub(crate) disk: usize,
    /// Bytes a second that each of its links carries to a server, if that is bounded.
    pub(crate) rate: Option<u64>,
    /// The files it has looked at.
    pub(crate) loaded: BTreeSet<PathBuf>,
    /// Environment variables, beside the one that leads to name servers.
    pub(crate) env: BTreeMap<String, String>,
    /// Whether an administrator lives in it.
    pub(crate) administrator: bool,
    /// The broadcasting member that lives in it.
    pub(crate) member: Option<Arc<str>>,
    /// Timers that are set.
    pub(crate) timers: usize,
    /// Tasks that are not over.
    pub(crate) tasks: usize,
}

/// Something to come.
pub(crate) enum Event {
    /// A timer.
    Wake(Waker),
    /// Bytes arrive at a server, which the client wrote at that time.
    ToServer(u64, Vec<u8>, Instant),
    /// Bytes arrive at a client.
    ToClient(u64, Bytes),
    /// A link ended on the client's side.
    EndToServer(u64),
    /// A link ended on the server's side.
    EndToClient(u64, End),
    /// A server says this now.
    Say(u64, Bytes),
    /// The servers' own time.
    Servers,
    /// A host goes on.
    Resume(usize),
}

impl State {
    pub(crate) fn new(tape: Tape, swarm: Swarm, script: Option<Vec<Occasion>>, servers: Servers) -> Self {
        let mut history = History::default();
        (history.setup.calm, history.setup.steady) = (swarm.is_calm(), swarm.is_steady());
        Self {
            moving: None,
            told: BTreeMap::new(),
            now: Instant::ZERO,
            seq: 0,
            events: BTreeMap::new(),
            tape,
            trace: Trace::default(),
            swarm,
            counts: Counts::default(),
            occasions: Counts::default(),
            happened: Vec::new(),
            script: script.map(|script| script.into_iter().collect()),
            healed: false,
            directory: false,
            topics: Vec::new(),
            targets: BTreeMap::new(),
            marks: BTreeMap::new(),
            history,
            hosts: Vec::new(),
            disks: Vec::new(),
            net: Net::default(),
            servers,
            killed: Vec::new(),
            polls: 0,
            next_port: 20_000,
        }
    }

    /// Goes to the next instant and lets all its events happen; false when there is none.
    pub(crate) fn step(&mut self) -> bool {
        let Some(((at, seq), event)) = self.events.pop_first() else { return false };
        self.now = self.now.max(at);
        self.happen(at, seq, event);
        while let Some(next) = self.events.first_entry().filter(|next| next.key().0 <= self.now) {
            let ((at, seq), event) = next.remove_entry();
            self.happen(at, seq, event);
        }
        true
    }

    /// Bytes arrive. Of those that are encrypted only their number is the same in every run; what they say counts where it
    /// is read and written.
    fn trace_bytes(&mut self, at: Instant, kind: u8, link: u64, bytes: &[u8]) {
        if self.servers.identity.is_some() {
            self.trace.event(at, kind, link, &bytes.len().to_le_bytes());
        } else {
            self.trace.event(at, kind, link, bytes);
        }
    }

    fn happen(&mut self, at: Instant, seq: u64, event: Event) {
        match event {
            Event::Wake(waker) => {
                self.trace.event(at, 2, seq, &[]);
                waker.wake();
            }
            Event::ToServer(link, bytes, written) => {
                self.trace_bytes(at, 3, link, &bytes);
                self.arrive_at_server(link, &bytes, written);
            }
            Event::ToClient(link, bytes) => {
                self.trace_bytes(at, 4, link, &bytes);
                self.arrive_at_client(link, bytes);
            }
            Event::EndToServer(link) => {
                self.trace.event(at, 5, link, &[]);
                self.end_at_server(link);
            }
            Event::EndToClient(link, end) => {
                self.trace.event(at, 6, link, &[]);
                self.end_at_client(link, end);
            }
            Event::Say(link, bytes) => self.say(link, bytes),
            Event::Servers => self.servers_due(),
            Event::Resume(host) => self.resume(host),
        }
    }

    /// Puts an event in; its key can be taken back.
    pub(crate) fn schedule(&mut self, at: Instant, event: Event) -> (Instant, u64) {
        let key = (at, self.seq);
        self.seq += 1;
        self.events.insert(key, event);
        key
    }

    /// Replaces the waker of a timer.
    pub(crate) fn renew(&mut self, key: (Instant, u64), waker: &Waker) {
        if let Some(Event::Wake(known)) = self.events.get_mut(&key)
            && !known.will_wake(waker)
        {
            known.clone_from(waker);
        }
    }

    /// Takes an event back.
    pub(crate) fn cancel(&mut self, key: (Instant, u64)) {
        self.events.remove(&key);
    }

    /// Notes what happened.
    pub(crate) fn note(&mut self, what: What) {
        self.trace.line(self.now, || format!("{what:?}"));
        self.history.rows.push(Row { at: self.now, what });
    }

    /// Whether a fault of this kind happens now; it is counted by whoever makes it happen.
    pub(crate) fn roll(&mut self, fault: Fault) -> bool {
        self.roll_at(fault, self.swarm.rate(fault))
    }

    /// The same at another rate.
    pub(crate) fn roll_at(&mut self, fault: Fault, rate: u32) -> bool {
        let this = Occasion::Nth { fault, nth: self.occasions.of(fault) };
        self.occasions.add(fault);
        let happens = match &self.script {
            Some(script) => rate > 0 && script.contains(&this),
            None => self.tape.roll(fault, rate),
        };
        if happens {
            self.happened.push(this);
        }
        happens
    }

    /// The planned faults of the script, if there is a script.
    pub(crate) fn planned(&self) -> Option<Vec<Occasion>> {
        let is_planned = |occasion: &&Occasion| matches!(occasion, Occasion::At { .. });
        self.script.as_ref().map(|script| script.iter().filter(is_planned).cloned().collect())
    }

    /// Plans one of these faults for now: which, and the number that its choices come from.
    pub(crate) fn plan(&mut self, kinds: &[Fault]) -> Option<(Fault, u64)> {
        let on: Vec<Fault> = kinds.iter().copied().filter(|fault| self.swarm.has(*fault)).collect();
        let fault = *self.tape.pick(Stream::Plan, &on)?;
        Some((fault, self.tape.below(Stream::Plan, 1_000_000)))
    }

    /// A fault really happened.
    pub(crate) fn count(&mut self, fault: Fault) {
        self.counts.add(fault);
        self.trace.line(self.now, || format!("fault {} {fault:?}", fault.id()));
        self.history.rows.push(Row { at: self.now, what: What::Fault(fault) });
    }

    /// A state worth reaching was reached.
    pub(crate) fn reach(&mut self, mark: &'static str) {
        *self.marks.entry(mark).or_default() += 1;
    }

    /// A process on a machine of its own.
    pub(crate) fn add_host(&mut self, ip: IpAddr) -> usize {
        self.disks.push(Disk::default());
        self.add_process(ip, self.disks.len() - 1)
    }

    /// A process on the machine of an earlier one.
    pub(crate) fn restart_host(&mut self, host: usize) -> usize {
        let HostState { ip, disk, .. } = self.hosts[host];
        self.add_process(ip, disk)
    }

    fn add_process(&mut self, ip: IpAddr, disk: usize) -> usize {
        let skew = if self.roll(Fault::ClockSkew) {
            self.count(Fault::ClockSkew);
            let minutes = self.tape.range(Stream::Time, 0, 240);
            i64::try_from(minutes).unwrap_or(0) * 60_000 - 7_200_000
        } else {
            0
        };
        self.hosts.push(HostState {
            ip,
            name: ip.to_string(),
            skew,
            paused: false,
            dead: false,
            silent: false,
            parked: Vec::new(),
            disk,
            rate: None,
            loaded: BTreeSet::new(),
            env: BTreeMap::new(),
            administrator: false,
            member: None,
            timers: 0,
            tasks: 0,
        });
        self.hosts.len() - 1
    }

    /// The processes of clients that live.
    pub(crate) fn clients(&self) -> Vec<usize> {
        (MAIN + 1..self.hosts.len()).filter(|host| !self.is_dead(*host)).collect()
    }

    /// The queues that a topic is to have on a broker; one more from now on if so asked.
    pub(crate) fn target(&mut self, broker: usize, topic: &Arc<str>, more: bool) -> i32 {
        let known = self.topics.iter().find(|(name, _)| name == topic).map_or(1, |(_, queues)| *queues);
        let target = self.targets.entry((broker, topic.clone())).or_insert(known);
        if more && *target < known.max(MOST_QUEUES) {
            *target += 1;
        }
        *target
    }

    /// The wall clock of a host.
    pub(crate) fn wall(&self, host: usize) -> UnixMillis {
        UnixMillis(self.server_wall().0 + self.hosts[host].skew)
    }

    /// The wall clock of servers.
    pub(crate) fn server_wall(&self) -> UnixMillis {
        WALL.after(Duration::from_micros(self.now.as_micros()))
    }

    pub(crate) fn is_paused(&self, host: usize) -> bool {
        self.hosts[host].paused
    }

    pub(crate) fn is_dead(&self, host: usize) -> bool {
        self.hosts[host].dead
    }

    pub(crate) fn park(&mut self, host: usize, waker: Waker) {
        self.hosts[host].parked.push(waker);
    }

    /// A host stands still until `until`.
    pub(crate) fn pause(&mut self, host: usize, until: Instant) {
        self.hosts[host].paused = true;
        self.schedule(until, Event::Resume(host));
    }

    pub(crate) fn resume(&mut self, host: usize) {
        if !self.hosts[host].parked.is_empty() {
            self.reach("a process goes on after a pause");
        }
        self.hosts[host].paused = false;
        std::mem::take(&mut self.hosts[host].parked).into_iter().for_each(Waker::wake);
    }

    /// A process ends without a word; its links are reset, or nobody is told.
    pub(crate) fn kill(&mut self, host: usize, silent: bool) {
        let state = &mut self.hosts[host];
        state.dead = true;
        state.silent = silent;
        state.parked.clear();
        self.killed.push(host);
    }

    /// What a host still has of a client.
    pub(crate) fn left_on(&self, host: usize) -> Leftover {
        let state = &self.hosts[host];
        Leftover { links: self.links_of(host), timers: state.timers, tasks: state.tasks, locks: 0 }
    }

    /// Lets go of everything that holds wakers.
    pub(crate) fn forget(&mut self) {
        self.events.clear();
        self.net = Net::default();
    }
}

/// The host of the main task, which never fails.
const MAIN: usize = 0;
/// Queues of a topic on a broker, at most, when faults add some.
const MOST_QUEUES: i32 = 6;
/// Where the wall clock of servers begins.
const WALL: UnixMillis = UnixMillis(1_700_000_000_000);
