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
//! A new invariant is one file in `invariants/` and one line in its list; a new fault is one line in `faults.rs` and
//! the place where it happens.

mod chaos;
mod disk;
mod exec;
pub mod faults;
pub mod history;
mod host;
pub mod invariants;
mod member;
mod net;
mod payload;
mod plan;
mod producer;
mod quiet;
mod servers;
mod state;
pub mod tape;
mod trace;
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
pub use self::trace::Line;
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
    name_servers: usize,
    brokers: usize,
    config: BrokerConfig,
    topics: Vec<(String, i32)>,
    swarm: Option<Swarm>,
    excluded: Vec<Fault>,
    script: Option<Vec<(Fault, u64)>>,
    horizon: Duration,
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
    /// How often each kind would have happened if the script had let it.
    pub wanted: Counts,
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
            name_servers: 2,
            brokers: 2,
            config: BrokerConfig::default(),
            topics: Vec::new(),
            swarm: None,
            excluded: Vec::new(),
            script: None,
            horizon: Duration::from_secs(24 * 3_600),
            trace: false,
        }
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

    /// Only these of the faults: of each kind, which ones in order.
    #[must_use]
    pub fn only(self, script: Vec<(Fault, u64)>) -> Self {
        Self { script: Some(script), ..self }
    }

    /// The virtual time after which the run has failed.
    #[must_use]
    pub fn horizon(self, horizon: Duration) -> Self {
        Self { horizon, ..self }
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
        let mut tape = Tape::new(self.seed);
        let drawn = Swarm::of(&mut tape);
        let mut swarm = self.swarm.unwrap_or(drawn);
        self.excluded.iter().for_each(|fault| swarm.without(*fault));
        let config = |index: usize| BrokerConfig {
            name: format!("broker-{}", char::from(b'a' + u8::try_from(index % 26).unwrap_or(0))),
            address: broker_address(index),
            seed: self.seed.wrapping_add(index as u64),
            // So that clients meet the answer at all; they must get along with it.
            refuse_read_only: true,
            ..self.config.clone()
        };
        let mut cluster = Cluster::new(self.name_servers, (0..self.brokers).map(config).collect(), Instant::ZERO);
        self.topics.iter().for_each(|(topic, queues)| cluster.put_topic(topic, *queues));
        let mut state = State::new(tape, swarm, Servers::new(cluster), self.trace);
        state.script = self.script.map(|script| script.into_iter().collect());
        let shared = Shared::new(state);
        let verdict = Arc::new(Mutex::new(Ok(())));
        let result = {
            let _quiet = quiet::Quiet::new();
            let main = code(World::new(shared.clone()));
            let verdict = verdict.clone();
            exec::run(&shared, Instant::ZERO.after(self.horizon), async move {
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
            (Err(Stop::Horizon), _) => failed("L1", String::from("the run does not end")),
            (Ok(()), Err(text)) => failed("app", text),
            (Ok(()), Ok(())) => None,
        };
        Report {
            seed: self.seed,
            hash: state.trace.hash(),
            events: state.trace.events,
            time: Duration::from_micros(state.now.as_micros()),
            counts: state.counts.clone(),
            wanted: state.wanted.clone(),
            marks: std::mem::take(&mut state.marks),
            history: std::mem::take(&mut state.history),
            failure,
            broken: Vec::new(),
            trace: std::mem::take(&mut state.trace.lines),
            frames: std::mem::take(&mut state.trace.frames),
        }
    }
}
