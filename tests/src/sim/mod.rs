//! A whole world in one thread: servers, network, clocks and faults, all decided by a seed.
//!
//! The handles, driver tasks and machines that run here are those that users run: only the runtime is another one,
//! [`Host`]. Time is virtual, so hours pass in milliseconds, and a run is repeated exactly by its seed.
//!
//! ```
//! use rocketmq_core::message::Message;
//! use rocketmq_testkit::sim::Sim;
//!
//! Sim::new(7).topic("orders", 4).calm().run(|world| async move {
//!     let client = world.client("10.0.0.7").connect().await.map_err(|error| error.to_string())?;
//!     let producer = client.producer("shop").start().await.map_err(|error| error.to_string())?;
//!     let receipt = producer.send(Message::new("orders", "hello")).await.map_err(|error| error.to_string())?;
//!     assert_eq!(world.stored("orders")[0].queue_offset, receipt.queue_offset.to_wire());
//!     client.shutdown().await;
//!     Ok::<(), String>(())
//! });
//! ```
//!
//! # A service of yours
//!
//! What runs in a world may use
//!
//! * the handles of this client: `Client`, `Producer`, `PushConsumer`, `Admin`;
//! * a [`Host`], which is a process: it implements [`Runtime`](rocketmq_core::driver::Runtime), as the runtimes on tokio
//!   and smol do, so `connect_on(&host)`, `host.sleep_until(..)`, `host.spawn(..)`, `host.now()`;
//! * the methods of [`World`]: [`sleep`](World::sleep), [`spawn_on`](World::spawn_on), [`choose`](World::choose) for
//!   random choices;
//! * channels, locks and cells that wake tasks and belong to no reactor: those of `async-channel`, `futures`, also
//!   `tokio::sync`; and plain memory, for a database.
//!
//! It may not use sockets, files, threads, timers of a real reactor (`tokio::time`, `smol::Timer`), `tokio::spawn`, the
//! clock of the machine, a random generator of its own, or the order of a `HashMap`: with these a seed would not be a
//! run. A service that needs a clock or tasks is written once for both by being generic over the runtime:
//!
//! ```
//! use std::time::Duration;
//! use rocketmq_core::driver::{Client, Runtime};
//! use rocketmq_core::message::Message;
//! use rocketmq_testkit::sim::Sim;
//!
//! /// On tokio: `tokio::spawn(greet(rocketmq_tokio::Tokio::current()?, client))`.
//! async fn greet<R: Runtime>(runtime: R, client: Client) {
//!     let Ok(producer) = client.producer("greeter").start().await else { return };
//!     while producer.send(Message::new("greetings", "hello")).await.is_err() {
//!         runtime.sleep_until(runtime.now().after(Duration::from_secs(5))).await;
//!     }
//! }
//!
//! let report = Sim::new(12).topic("greetings", 2).traced().run(|world| async move {
//!     let host = world.host("10.0.0.7").named("greeter");
//!     world.chaos();
//!     let client = loop {
//!         match Client::builder().connect_on(&host).await {
//!             Ok(client) => break client,
//!             Err(_) => world.sleep(Duration::from_secs(5)).await,
//!         }
//!     };
//!     greet(host.clone(), client).await;
//!     world.tell(&host, "greeted");
//!     world.heal();
//!     assert!(!world.stored("greetings").is_empty());
//! });
//! assert!(report.html().contains("greeted"));
//! ```
//!
//! The example `shop` is such a service with a test: orders are paid and settled, under faults, and two mistakes are
//! found that programmers make. It runs on tokio as well.
//!
//! # Faults
//!
//! Without further words the seed decides which kinds of [`Fault`] a run has: half of them, by and large.
//! [`Sim::faults`] takes a [`Swarm`] of your choice, [`Sim::without`] leaves a kind out, [`Sim::calm`] all of them.
//! Faults of links, answers and clocks then happen by themselves; those that somebody plans, as restarts, partitions and
//! changes of topics, happen once [`World::chaos`] is called. A world can also do them itself at the time it likes:
//! [`World::crash`], [`World::start`], [`World::partition`], [`World::kill`], [`World::pause`].
//!
//! # What went wrong
//!
//! A seed that fails fails again: run it [traced](Sim::traced), and [`Report::html`] draws what happened, frame by
//! frame, with what the service [told](World::tell). [`Report::happened`] lists the faults; [`Sim::script`] runs only
//! some of them.
//!
//! # The client's own tests
//!
//! [`workload`] is a run of our own: producers and groups under faults, checked by [`invariants`]. The program `sim`
//! sweeps over many seeds of it, and makes short [scripts](script::Script) of those that fail.
//!
//! A new invariant is one file in `invariants/` and one line in its list; a new fault is one line in `faults.rs` and
//! the place where it happens.

mod asking;
mod chaos;
mod directory;
mod disk;
mod errands;
mod exec;
pub mod faults;
pub mod history;
mod host;
pub mod invariants;
mod listener;
mod locks;
mod looks;
pub mod marks;
mod member;
mod membership;
mod memory;
mod net;
mod operator;
mod payload;
pub mod plan;
mod popping;
mod producer;
mod quiet;
pub mod script;
mod servers;
mod settle;
mod spoil;
mod state;
pub mod tape;
mod timeline;
mod tls;
mod trace;
mod traces;
mod transactions;
mod watch;
mod ways;
mod wishes;
pub mod workload;
mod world;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rocketmq_core::time::Instant;

pub use self::faults::{Counts, Fault, Swarm};
pub use self::history::History;
pub use self::host::{Host, Sleep, Stream};
pub use self::plan::Plan;
pub use self::script::{Occasion, Script};
pub use self::trace::Line;
pub use self::workload::check_tape;
pub use self::world::{SimClient, Task, World};

use self::exec::{Shared, Stop};
use self::servers::{Servers, broker_address};
use self::state::State;
use self::tape::Tape;
use crate::cluster::{BrokerConfig, Cluster};

/// Runs simulated code in a world of two name servers, two brokers and the faults of this seed.
///
/// # Panics
/// The code fails or panics, a task of the client panics, or nothing goes on any more; the text names the seed.
pub fn run<R: Verdict, F>(seed: u64, code: impl FnOnce(World) -> F)
where
    F: Future<Output = R> + Send + 'static,
{
    Sim::new(seed).run(code);
}

/// A world to be.
#[derive(Clone, Debug)]
pub struct Sim {
    seed: u64,
    tape: Option<Tape>,
    name_servers: usize,
    brokers: usize,
    config: BrokerConfig,
    topics: Vec<(String, i32)>,
    slaves: Option<Duration>,
    directory: bool,
    encrypted: bool,
    swarm: Option<Swarm>,
    excluded: Vec<Fault>,
    script: Option<Vec<Occasion>>,
    horizon: Duration,
    events: u64,
    trace: bool,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The hash over everything that happened.
    pub hash: u128,
    /// Events that happened.
    pub events: u64,
    /// How long it was in virtual time.
    pub time: Duration,
    /// Which faults happened.
    pub counts: Counts,
    /// The faults that happened, as a script names them.
    pub happened: Vec<Occasion>,
    /// The plan, if it is a run of the workload.
    pub plan: Option<Plan>,
    /// What the processes of clients are called, by their number.
    pub hosts: Vec<String>,
    /// Which states worth reaching were reached.
    pub marks: BTreeMap<&'static str, u64>,
    /// What happened.
    pub history: History,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// All invariants that do not hold, the first one first.
    pub broken: Vec<Failure>,
    /// What happened line by line, if that was asked for.
    pub trace: Vec<String>,
    /// The frames, if that was asked for.
    pub frames: Vec<Line>,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The invariant that does not hold.
    pub invariant: &'static str,
    /// When, as far as that can be said.
    pub at: Instant,
    /// How.
    pub text: String,
}

impl Report {
    /// Whether this invariant does not hold, the first one or another.
    #[must_use]
    pub fn breaks(&self, invariant: &str) -> bool {
        self.failure.iter().chain(&self.broken).any(|failure| failure.invariant == invariant)
    }
}

/// Bytes of log that brokers with slaves have in memory: consumers that are further behind are sent to the slave.
const MEMORY: i64 = 2_000;

/// What simulated code can end with.
pub trait Verdict: Send + 'static {
    /// An error's text.
    ///
    /// # Errors
    /// The code failed.
    fn verdict(self) -> Result<(), String>;
}

impl Verdict for () {
    fn verdict(self) -> Result<(), String> {
        Ok(())
    }
}

impl<T: Send + 'static, E: Debug + Send + 'static> Verdict for Result<T, E> {
    fn verdict(self) -> Result<(), String> {
        self.map(drop).map_err(|error| format!("{error:?}"))
    }
}

impl Sim {
    /// The world of a seed: two name servers, two brokers, and the faults that the seed says.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            tape: None,
            name_servers: 2,
            brokers: 2,
            config: BrokerConfig::default(),
            topics: Vec::new(),
            slaves: None,
            directory: false,
            encrypted: false,
            swarm: None,
            excluded: Vec::new(),
            script: None,
            horizon: Duration::from_secs(24 * 3_600),
            events: u64::MAX,
            trace: false,
        }
    }

    /// Takes choices from these bytes first, and from the seed when they are used up.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        Self { tape: Some(Tape::from_bytes(self.seed, bytes.to_vec())), ..self }
    }

    /// How many name servers.
    #[must_use]
    pub fn name_servers(self, name_servers: usize) -> Self {
        Self { name_servers, ..self }
    }

    /// How many brokers.
    #[must_use]
    pub fn brokers(self, brokers: usize) -> Self {
        Self { brokers, ..self }
    }

    /// Has name servers told by HTTP, instead of by the environment of hosts.
    #[must_use]
    pub fn directory(self) -> Self {
        Self { directory: true, ..self }
    }

    /// Has servers speak TLS, and clients of the world trust them.
    #[must_use]
    pub fn encrypted(self) -> Self {
        Self { encrypted: true, ..self }
    }

    /// Gives each broker a slave, whose log is so far behind.
    #[must_use]
    pub fn slaves(self, behind: Duration) -> Self {
        Self { slaves: Some(behind), ..self }
    }

    /// The settings of every broker; name and address are overwritten.
    #[must_use]
    pub fn config(self, config: BrokerConfig) -> Self {
        Self { config, ..self }
    }

    /// A topic that exists from the start, with so many queues on every broker.
    #[must_use]
    pub fn topic(mut self, name: &str, queues: i32) -> Self {
        self.topics.push((name.to_owned(), queues));
        self
    }

    /// No faults.
    #[must_use]
    pub fn calm(self) -> Self {
        self.faults(Swarm::calm())
    }

    /// These faults instead of those that the seed says.
    #[must_use]
    pub fn faults(self, swarm: Swarm) -> Self {
        Self { swarm: Some(swarm), ..self }
    }

    /// The faults that the seed says, but for this one.
    #[must_use]
    pub fn without(mut self, fault: Fault) -> Self {
        self.excluded.push(fault);
        self
    }

    /// Only these faults, and no others.
    #[must_use]
    pub fn script(self, script: Vec<Occasion>) -> Self {
        Self { script: Some(script), ..self }
    }

    /// The virtual time after which the run has failed.
    #[must_use]
    pub fn horizon(self, horizon: Duration) -> Self {
        Self { horizon, ..self }
    }

    /// The number of events after which the run has failed.
    #[must_use]
    pub fn events(self, events: u64) -> Self {
        Self { events, ..self }
    }

    /// Keeps what happens line by line.
    #[must_use]
    pub fn traced(self) -> Self {
        Self { trace: true, ..self }
    }

    /// Runs simulated code.
    ///
    /// # Panics
    /// The run fails; the text names the seed.
    pub fn run<R: Verdict, F>(self, code: impl FnOnce(World) -> F) -> Report
    where
        F: Future<Output = R> + Send + 'static,
    {
        let report = self.try_run(code);
        if let Some(failure) = &report.failure {
            panic!("seed {:#x}: {} at {:?}: {}", report.seed, failure.invariant, failure.at, failure.text);
        }
        report
    }

    /// The same, with a failure in the report.
    pub fn try_run<R: Verdict, F>(self, code: impl FnOnce(World) -> F) -> Report
    where
        F: Future<Output = R> + Send + 'static,
    {
        let mut tape = self.tape.unwrap_or_else(|| Tape::new(self.seed));
        let drawn = Swarm::of(&mut tape);
        let mut swarm = self.swarm.unwrap_or(drawn);
        if let Some(script) = &self.script {
            swarm = Swarm::these(script.iter().map(Occasion::fault));
        }
        self.excluded.iter().for_each(|fault| swarm.without(*fault));
        let config = |index: usize| BrokerConfig {
            name: format!("broker-{}", char::from(b'a' + u8::try_from(index % 26).unwrap_or(0))),
            address: broker_address(index),
            seed: self.seed.wrapping_add(index as u64),
            // So that clients meet the answer at all; they must get along with it.
            refuse_read_only: true,
            property_filter: true,
            ..self.config.clone()
        };
        let mut brokers: Vec<_> = (0..self.brokers).map(config).collect();
        if let Some(replica_delay) = self.slaves {
            brokers.iter_mut().for_each(|master| (master.slave_read, master.memory) = (true, MEMORY));
            let slave = |(index, master): (usize, &BrokerConfig)| {
                let address = broker_address(self.brokers + index);
                BrokerConfig { id: 1, address, replica_delay, ..master.clone() }
            };
            let slaves: Vec<_> = brokers.iter().enumerate().map(slave).collect();
            brokers.extend(slaves);
        }
        let mut cluster = Cluster::new(self.name_servers, brokers, Instant::ZERO);
        self.topics.iter().for_each(|(topic, queues)| cluster.put_topic(topic, *queues));
        // Name servers that move are found by their names, or by whoever tells where they are.
        let by_name = !self.directory && (swarm.has(Fault::NameServerMoved) || swarm.has(Fault::NameServerGone));
        let mut state = State::new(tape, swarm, self.script, Servers::new(cluster, by_name));
        state.trace.keep = self.trace;
        state.directory = self.directory;
        if self.encrypted {
            state.servers.encrypt();
        }
        state.topics = self.topics.into_iter().map(|(topic, queues)| (topic.into(), queues)).collect();
        let shared = Shared::new(state);
        let verdict = Arc::new(Mutex::new(Ok(())));
        let result = {
            let _quiet = quiet::Quiet::new();
            let main = code(World::new(shared.clone()));
            let verdict = verdict.clone();
            let limits = exec::Limits { horizon: Instant::ZERO.after(self.horizon), events: self.events };
            exec::run(&shared, limits, async move {
                let end = main.await.verdict();
                *verdict.lock().unwrap_or_else(PoisonError::into_inner) = end;
            })
        };
        let verdict = verdict.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut state = shared.state();
        let failed = |invariant, text: String| Some(Failure { invariant, at: state.now, text });
        let failure = match (result, verdict) {
            (Err(Stop::Panic(text)), _) => {
                let place = quiet::last_panic();
                failed("X1", format!("a task panicked: {text}{place}"))
            }
            (Err(Stop::Livelock), _) => failed("L2", String::from("tasks wake each other and time stands still")),
            (Err(Stop::Deadlock), _) => failed("L1", String::from("nothing will ever wake the main task")),
            (Err(Stop::Horizon | Stop::Events), _) => failed("L1", String::from("the run does not end")),
            (Ok(()), Err(text)) => failed("app", text),
            (Ok(()), Ok(())) => None,
        };
        Report {
            seed: self.seed,
            hash: state.trace.hash(),
            events: state.trace.events,
            time: Duration::from_micros(state.now.as_micros()),
            counts: state.counts.clone(),
            happened: std::mem::take(&mut state.happened),
            plan: None,
            hosts: state.hosts.iter().map(|host| host.name.clone()).collect(),
            marks: std::mem::take(&mut state.marks),
            history: std::mem::take(&mut state.history),
            failure,
            broken: Vec::new(),
            trace: std::mem::take(&mut state.trace.lines),
            frames: std::mem::take(&mut state.trace.frames),
        }
    }
}
