//! The model cluster against a real one: the same scripts on both, and what they hear compared.
//!
//! A script is about one request in one situation ([`cells::Cell`]). All scripts of a version run on one cluster, each
//! on topics and groups of its own. What differs and why that is known is in [`known`]; all else is an error, also a
//! known difference that is none any more. `ROCKETMQ_PARITY_ONLY=text` runs the cells with that text only, of which there
//! must be some.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm
)]

mod call;
mod cells;
mod essence;
mod known;
mod lab;
mod link;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rocketmq_core::wire::codes::request;
use rocketmq_testkit::cluster::{BrokerConfig, EmbeddedCluster};
use rocketmq_testkit::real::{self, Options, RealCluster, RealError, V4, V5};

use cells::Cell;
use essence::Transcript;
use known::Known;
use lab::{Lab, Side};

#[test]
fn v5_parity() -> Result<(), RealError> {
    let model = BrokerConfig { timers: false, ..hasty(BrokerConfig::default()) };
    parity(V5, model, known::V5, (cells::alone(), cells::together(), cells::filtering()))
}

#[test]
fn v5_parity_of_popping() -> Result<(), RealError> {
    let model = BrokerConfig { recall: true, ..hasty(BrokerConfig::default()) };
    parity(V5, model, known::V5, (Vec::new(), cells::popping(), Vec::new()))
}

#[test]
fn v4_parity() -> Result<(), RealError> {
    let model = hasty(BrokerConfig::v4_9_7());
    let together = cells::together().into_iter().chain(cells::popping());
    parity(V4, model, known::V4, (cells::alone(), together.collect(), cells::filtering()))
}

#[test]
fn every_script_is_a_cell_of_its_own() {
    let cells: Vec<_> = all_cells();
    let distinct: BTreeSet<_> = cells.iter().map(|cell| (cell.code, cell.situation)).collect();
    assert_eq!(distinct.len(), cells.len());
    assert!(distinct.len() >= LEAST_CELLS, "only {} cells", distinct.len());
}

#[test]
fn what_differs_is_told_unless_it_is_known_and_what_is_known_must_differ() {
    let (new, old) = (models(BrokerConfig::default()), models(BrokerConfig::v4_9_7()));
    let cells = cells::together();
    let cell = cells.iter().find(|cell| (cell.code, cell.situation) == (310, "queue after the last")).unwrap();
    let entry = |field| Known { field, cells: &[(310, "queue after the last")], reason: "a test" };
    let known = [entry("code"), entry("codec"), entry("remark"), entry("version")];
    assert_eq!(compare(cell, side(&new), side(&new), &[]), [""; 0]);
    assert_eq!(compare(cell, side(&new), side(&old), &[]).len(), 3, "code, remark, version");
    let gone = compare(cell, side(&new), side(&old), &known);
    assert_eq!(gone, ["310 \"queue after the last\": codec differs no more (a test)"]);
}

fn parity(
    version: &str,
    model: BrokerConfig,
    known: &[Known],
    (alone, together, filtering): (Vec<Cell>, Vec<Cell>, Vec<Cell>),
) -> Result<(), RealError> {
    if !real::available()? {
        return Ok(());
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let begun = Instant::now();
    let mut options = Options::new(version);
    for (key, value) in BROKER_CONF {
        options = options.conf(key, value);
    }
    if together.iter().any(|cell| cell.code == request::POP_MESSAGE) {
        options = options.conf("timerWheelEnable", "true").conf("recallMessageEnable", "true");
    }
    let delays = vec!["1s"; LEVELS].join(" ");
    let broker = RealCluster::start(options.conf("messageDelayLevel", delays))?;
    let models = models(model);
    let address = |text: String| text.parse().expect("an address");
    let real = Side { name_server: address(broker.namesrv()), broker: address(broker.broker_addr()) };
    let model = side(&models);
    eprintln!("{version}: clusters up after {:.1?}", begun.elapsed());

    let only = std::env::var("ROCKETMQ_PARITY_ONLY").ok();
    let wanted = |cell: &&Cell| only.as_ref().is_none_or(|text| cell.to_string().contains(text));
    let (alone, together): (Vec<_>, Vec<_>) =
        (alone.iter().filter(wanted).collect(), together.iter().filter(wanted).collect());
    let filtering: Vec<_> = filtering.iter().filter(wanted).collect();
    let count = alone.len() + together.len() + filtering.len();
    // Each version has cells, though perhaps not those that somebody asks for.
    let some = if only.is_some() { all_cells().iter().filter(wanted).count() } else { count };
    assert!(some > 0, "{version}: no cell has the text {only:?}");
    let mut failures = run(&alone, 1, model, real, known);
    failures.extend(run(&together, AT_ONCE, model, real, known));
    broker.set_broker_config("enablePropertyFilter", "true")?;
    models.with(|cluster| cluster.broker_mut(0).set_property_filter(true));
    failures.extend(run(&filtering, AT_ONCE, model, real, known));
    eprintln!("{version}: {count} cells in {:.1?}", begun.elapsed());
    if only.is_none() {
        let cells: BTreeSet<_> = all_cells().iter().map(|cell| (cell.code, cell.situation)).collect();
        let missing = known.iter().flat_map(|entry| entry.cells).filter(|about| !cells.contains(about));
        failures.extend(missing.map(|about| format!("there is no cell {about:?} that could differ")));
    }
    if !failures.is_empty() {
        panic!("{version}: {} differences\n{}\n{}", failures.len(), failures.join("\n"), broker.log_tail());
    }
    Ok(())
}

/// A broker that delays nothing for long, and soon asks about half messages.
fn hasty(config: BrokerConfig) -> BrokerConfig {
    BrokerConfig {
        delay_levels: vec![DELAY; LEVELS],
        transaction_timeout: Duration::from_secs(1),
        transaction_check_interval: Duration::from_secs(2),
        ..config
    }
}

fn all_cells() -> Vec<Cell> {
    cells::alone().into_iter().chain(cells::together()).chain(cells::filtering()).chain(cells::popping()).collect()
}

fn models(config: BrokerConfig) -> EmbeddedCluster {
    EmbeddedCluster::builder().config(config).start().expect("sockets for the models")
}

fn side(models: &EmbeddedCluster) -> Side {
    Side { name_server: models.namesrv().parse().expect("an address"), broker: models.broker_address(0) }
}

/// Runs all cells, so many at a time since most of them wait, and gives what is wrong.
fn run(cells: &[&Cell], at_once: usize, model: Side, real: Side, known: &[Known]) -> Vec<String> {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let wrong = compare(cell, model, real, known);
                    failures.lock().unwrap_or_else(PoisonError::into_inner).insert(cell.to_string(), wrong);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(failures.len(), cells.len(), "every cell ran");
    failures.into_values().flatten().collect()
}

/// Runs one cell on both sides and gives the differences that are not known, and the known ones that are none.
fn compare(cell: &Cell, model: Side, real: Side, known: &[Known]) -> Vec<String> {
    let (ours, theirs) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| play(cell, model));
        let theirs = play(cell, real);
        (ours.join().expect("panics are caught"), theirs)
    });
    let (ours, theirs) = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (ours, theirs) => {
            let told =
                |side: &str, outcome: Result<_, String>| outcome.err().map(|why| format!("{cell} on {side}: {why}"));
            return told("the model", ours).into_iter().chain(told("the broker", theirs)).collect();
        }
    };
    let mut entries: Vec<(&Known, bool)> =
        known.iter().filter(|entry| entry.is_about(cell)).map(|e| (e, false)).collect();
    let mut wrong = Vec::new();
    let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    for key in keys {
        let (ours, theirs) = (ours.get(key), theirs.get(key));
        if ours == theirs {
            continue;
        }
        let (step, field) = key;
        match entries.iter_mut().find(|(entry, _)| entry.field == field) {
            Some((_, met)) => *met = true,
            None => wrong.push(format!("{cell}, {step} {field}:\n    model  {ours:?}\n    broker {theirs:?}")),
        }
    }
    let gone = entries.into_iter().filter(|(_, met)| !met);
    wrong.extend(gone.map(|(entry, _)| format!("{cell}: {} differs no more ({})", entry.field, entry.reason)));
    wrong
}

/// Runs one cell on one side.
fn play(cell: &Cell, side: Side) -> Result<Transcript, String> {
    let mut lab = Lab::new(side, cell.prefix());
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| (cell.script)(&mut lab)));
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("a panic").to_owned()
    })?;
    let (transcript, codes) = lab.finish();
    if codes.contains(&cell.code) { Ok(transcript) } else { Err(format!("the script is about {codes:?}")) }
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
/// As the models are: no filters by property until they are switched on, no timer wheel. A machine that is busy is no
/// reason to refuse messages.
const BROKER_CONF: [(&str, &str); 6] = [
    ("enablePropertyFilter", "false"),
    ("timerWheelEnable", "false"),
    ("waitTimeMillsInSendQueue", "20000"),
    ("osPageCacheBusyTimeOutMills", "20000"),
    ("transactionTimeOut", "1000"),
    ("transactionCheckInterval", "2000"),
];
/// Every delay level is this long.
const DELAY: Duration = Duration::from_secs(1);
const LEVELS: usize = 18;
/// Scripts that run at the same time.
const AT_ONCE: usize = 12;
/// Cells that there are at least.
const LEAST_CELLS: usize = 100;
