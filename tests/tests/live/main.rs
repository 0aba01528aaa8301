//! The client against real brokers, with the official Java client at the other end, on both runtimes.
//!
//! One cluster per broker version. Scenarios run side by side on it, each on topics and groups of its own; those that
//! restart the broker come last. Each assertion has a name and is counted once, however often it is made.
//! `ROCKETMQ_LIVE_ONLY=ladder` leaves out scenarios with other names, and then the count of assertions does not matter.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm
)]

mod acl;
mod admin;
mod admin_tools;
mod admin_users;
mod admin_view;
mod beside;
mod broadcast;
mod checks;
mod cli;
mod codec;
mod exchange;
mod filters;
mod flow;
mod hooks;
mod identity;
mod kit;
mod ladder;
mod member;
mod membership;
mod names;
mod offsets;
mod orderly;
mod owned;
#[path = "../tls/pki.rs"]
#[expect(dead_code, reason = "the suite of bad certificates needs more of it")]
mod pki;
mod pop;
mod requests;
mod restart;
mod routes;
mod runtimes;
mod sending;
mod slaves;
mod slow;
mod subscriptions;
mod tls;
mod topology;
mod trace;
mod transactions;
mod volume;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rocketmq_testkit::real::{self, JavaPeer, Options, RealCluster, RealError, V4, V5};

use checks::Checks;
use kit::World;
use runtimes::{Live, OnSmol, OnTokio};

/// Two clusters at once are too much for two cores: what must happen in time would not.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
/// Named assertions that each version has at least.
const LEAST_ASSERTIONS: usize = 620;
/// Failures that a busy machine may have. More of them are no coincidence.
const MOST_AGAIN: usize = 4;

#[test]
fn v5_live() -> Result<(), RealError> {
    live(V5)
}

#[test]
fn v4_live() -> Result<(), RealError> {
    live(V4)
}

fn live(version: &str) -> Result<(), RealError> {
    if !real::available()? {
        return Ok(());
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let begun = Instant::now();
    let checks = Arc::new(Checks::new(version));
    checks.note_again(&[]);
    let java = Arc::new(JavaPeer::start()?);
    let mut failures = Vec::new();
    for (name, part) in PARTS.into_iter().filter(|(name, _)| only().is_none_or(|only| only == *name)) {
        let part = |java: &Arc<JavaPeer>, _: &[String]| part(version, java, &checks);
        failures.extend(twice(name, &checks, &java, part)?);
    }
    if !only().is_some_and(|only| PARTS.iter().any(|(name, _)| only == *name)) {
        let shared = |java: &Arc<JavaPeer>, failed: &[String]| on_one_broker(version, java, &checks, failed);
        failures.extend(twice("one broker", &checks, &java, shared)?);
    }
    eprintln!("{version}: {} assertions in {:.1?}", checks.count(), begun.elapsed());
    if !failures.is_empty() {
        panic!("{version}: {} scenarios failed:\n{}", failures.len(), failures.join("\n"));
    }
    checks.write_down();
    let whole = only().is_none();
    assert!(!whole || checks.count() >= LEAST_ASSERTIONS, "{version}: only {} assertions", checks.count());
    Ok(())
}

/// What has clusters of its own.
const PARTS: [(&str, Part); 4] = [
    ("acl", acl::both_runtimes),
    ("slaves", slaves::both_runtimes),
    ("topology", topology::both_runtimes),
    ("tls", tls::both_runtimes),
];

type Part = fn(&str, &Arc<JavaPeer>, &Arc<Checks>) -> Result<Vec<String>, RealError>;

/// Runs a part, and what failed of it once more, on new clusters with a new Java peer and nothing beside it: on a machine
/// that others use too, a second of a broker may take ten. The first failure is told of all the same, in a file that the
/// gate shows, and what is broken fails again. Returns what failed in the end.
fn twice(
    name: &str,
    checks: &Checks,
    java: &Arc<JavaPeer>,
    mut part: impl FnMut(&Arc<JavaPeer>, &[String]) -> Result<Vec<String>, RealError>,
) -> Result<Vec<String>, RealError> {
    let mut run = |java: &Arc<JavaPeer>, failed: &[String]| match std::panic::catch_unwind(AssertUnwindSafe(|| {
        part(java, failed)
    })) {
        Ok(Ok(failures)) => failures,
        Ok(Err(error)) => vec![format!("{name}: {error}")],
        Err(panic) => vec![format!("{name}: {}", kit::panic_text(&*panic))],
    };
    let failed = run(java, &[]);
    if failed.is_empty() || failed.len() > MOST_AGAIN {
        return Ok(failed);
    }
    checks.note_again(&failed);
    Ok(run(&Arc::new(JavaPeer::start()?), &failed))
}

/// What one broker is enough for; what failed. Of what scenarios share, the second time only those that `failed`.
fn on_one_broker(
    version: &str,
    java: &Arc<JavaPeer>,
    checks: &Arc<Checks>,
    failed: &[String],
) -> Result<Vec<String>, RealError> {
    let begun = Instant::now();
    let mut options = Options::new(version);
    for (key, value) in kit::BROKER_CONF {
        options = options.conf(key, value);
    }
    let mut cluster = RealCluster::start(options)?;
    let world = Arc::new(World::new(&cluster, java, checks));
    eprintln!("{version}: cluster up after {:.1?}", begun.elapsed());

    let mut failures = side_by_side(&world, failed);
    if failures.is_empty() {
        failures = alone(&world, &mut cluster);
    }
    if !failures.is_empty() {
        eprintln!("{}\n--- Java peer ---\n{}", cluster.log_tail(), world.java.log_tail());
    }
    Ok(failures)
}

/// What changes the broker for everybody, or stops it.
fn alone(world: &Arc<World>, cluster: &mut RealCluster) -> Vec<String> {
    if only().is_none_or(|only| only.contains("admin")) {
        admin::alone::<OnSmol>(world);
        admin::alone::<OnTokio>(world);
        admin_tools::alone::<OnSmol>(world);
        admin_tools::alone::<OnTokio>(world);
        admin_view::pushed::<OnSmol>(world);
        admin_view::pushed::<OnTokio>(world);
    }
    if only().is_none_or(|only| only.contains("cli")) {
        cli::alone(world);
    }
    let mut failures = Vec::new();
    if only().is_none_or(|only| only.contains("restart")) {
        for graceful in [true, false] {
            failures.extend(restart::both_runtimes(world, cluster, graceful));
        }
        failures.extend(routes::moved(world, cluster));
    }
    failures
}

/// Everything that shares a running broker; the second time, what of it `failed`.
fn side_by_side(world: &Arc<World>, failed: &[String]) -> Vec<String> {
    let mut jobs = Vec::new();
    jobs.extend(jobs_of::<OnSmol>());
    jobs.extend(jobs_of::<OnTokio>());
    jobs.push(("smol/cli".to_owned(), Box::new(cli::scenario)));
    let only = only();
    jobs.retain(|(name, _)| only.as_ref().is_none_or(|only| name.contains(only)));
    let again = |name: &str| failed.iter().any(|failure| failure.starts_with(&format!("{name}: ")));
    jobs.retain(|(name, _)| failed.is_empty() || again(name));
    let run = |(name, job): (String, Job)| {
        let world = world.clone();
        std::thread::spawn(move || {
            let begun = Instant::now();
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| job(&world)));
            eprintln!("{}: {name} took {:.1?}", world.checks.version(), begun.elapsed());
            outcome.err().map(|panic| format!("{name}: {}", kit::panic_text(&*panic)))
        })
    };
    let running: Vec<_> = jobs.into_iter().map(run).collect();
    running.into_iter().filter_map(|job| job.join().expect("panics are caught")).collect()
}

/// Part of the name of the only scenarios to run.
fn only() -> Option<String> {
    std::env::var("ROCKETMQ_LIVE_ONLY").ok()
}

type Job = Box<dyn FnOnce(&World) + Send>;

/// The scenarios of one runtime: what mostly waits has threads of its own, the rest runs in sequence.
fn jobs_of<L: Live>() -> Vec<(String, Job)> {
    let job = |name: &str, job: fn(&World)| -> (String, Job) { (format!("{}/{name}", L::NAME), Box::new(job)) };
    vec![
        job("slow", |world| L::block_on(slow::scenario::<L>(world))),
        job("membership", membership::scenario::<L>),
        job("orderly", |world| {
            orderly::hand_over::<L>(world);
            L::block_on(orderly::failures::<L>(world));
        }),
        job("orderly-slow", |world| L::block_on(orderly::slow::<L>(world))),
        job("pop", |world| L::block_on(pop::scenario::<L>(world))),
        job("sending", |world| L::block_on(sending::scenario::<L>(world))),
        job("exchange", |world| L::block_on(exchange::scenario::<L>(world))),
        job("identity", |world| L::block_on(identity::scenario::<L>(world))),
        job("flow", |world| L::block_on(flow::scenario::<L>(world))),
        job("hooks", |world| L::block_on(hooks::scenario::<L>(world))),
        job("volume", |world| {
            L::block_on(volume::scenario::<L>(world));
            L::block_on(codec::scenario::<L>(world));
        }),
        job("broadcast", |world| L::block_on(broadcast::scenario::<L>(world))),
        job("admin-view", |world| L::block_on(admin_view::scenario::<L>(world))),
        job("admin-ops", |world| L::block_on(admin::scenario::<L>(world))),
        job("admin-tools", |world| L::block_on(admin_tools::scenario::<L>(world))),
        job("requests", |world| L::block_on(requests::scenario::<L>(world))),
        job("trace", |world| L::block_on(trace::scenario::<L>(world))),
        job("transactions", |world| L::block_on(transactions::scenario::<L>(world))),
        job("offsets", |world| L::block_on(offsets::scenario::<L>(world))),
        job("routes", |world| L::block_on(routes::scenario::<L>(world))),
        job("filters", |world| L::block_on(filters::scenario::<L>(world))),
        job("filters-change", |world| L::block_on(subscriptions::scenario::<L>(world))),
        // What is measured comes last, when the JVMs have warmed up.
        job("ladder", |world| {
            L::block_on(ladder::scenario::<L>(world));
            L::block_on(names::scenario::<L>(world));
        }),
    ]
}
