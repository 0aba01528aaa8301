//! The example of a service under simulation does what it says.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

#[path = "../examples/shop/embedded.rs"]
mod embedded;
#[path = "../examples/shop/service.rs"]
mod service;
#[path = "../examples/shop/world.rs"]
mod world;

use self::service::Mistake;

#[test]
fn the_same_services_run_on_tokio() {
    assert_eq!(embedded::run(), Ok(10));
}

#[test]
fn mistakes_are_found_and_their_days_can_be_drawn() {
    for (mistake, text) in [(Mistake::AcksFirst, "settled 0 times"), (Mistake::SettlesAgain, "settled 2 times")] {
        let seed = (0..60).find(|seed| failure(*seed, mistake).is_some_and(|found| found.contains(text)));
        let seed = seed.expect("some day shows it");
        assert_eq!(failure(seed, mistake), failure(seed, mistake), "a seed fails the same way each time");
        assert_eq!(failure(seed, Mistake::None), None, "seed {seed}");
        let page = world::traced_day(seed, mistake).html();
        for part in ["the till crashes", "\"till\"", "\"shop\"", text] {
            assert!(page.contains(part), "no {part}");
        }
    }
}

#[test]
fn days_without_mistakes_go_well() {
    for seed in 0..12 {
        assert_eq!(failure(seed, Mistake::None), None, "seed {seed}");
    }
}

#[test]
fn users_worlds_have_planned_faults_too() {
    let reports: Vec<_> = (0..12).map(|seed| world::day(seed, Mistake::None)).collect();
    let happened: u64 = reports.iter().flat_map(|report| report.counts.iter()).map(|(_, times)| times).sum();
    assert!(happened > 100, "{happened}");
    for fault in [rocketmq_testkit::sim::Fault::Restart, rocketmq_testkit::sim::Fault::Partition] {
        assert!(reports.iter().any(|report| report.counts.of(fault) > 0), "{fault:?}");
    }
}

fn failure(seed: u64, mistake: Mistake) -> Option<String> {
    world::day(seed, mistake).failure.map(|failure| failure.text)
}
