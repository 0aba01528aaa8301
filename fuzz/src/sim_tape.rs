//! The simulator, its choices made by the fuzzer.

use rocketmq_testkit::sim;

/// A brief run of the whole client whose topology, faults and timing the bytes decide: every invariant holds.
pub fn sim_tape(data: &[u8]) {
    let report = sim::check_tape(data);
    if let Some(failure) = &report.failure {
        panic!("{} at {:?}: {}", failure.invariant, failure.at, failure.text);
    }
}
