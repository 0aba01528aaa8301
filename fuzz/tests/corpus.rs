//! Every input of every fuzz corpus, and every golden and captured frame, through the targets.

use std::panic::catch_unwind;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rocketmq_fuzz::{CORPORA, TARGETS, Target, corpus};
use rocketmq_testkit::real::golden;

/// Targets measure the memory of the process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a target; a failure names the input.
fn run(target: Target, name: &str, input: &[u8]) {
    assert!(catch_unwind(|| target(input)).is_ok(), "{name} fails");
}

#[test]
fn every_corpus_is_replayed() {
    let _alone = alone();
    let mut bytes = 0;
    for (name, target) in TARGETS {
        let files = corpus(name).expect("each target has a corpus");
        for file in &files {
            let input = std::fs::read(file).expect("a file");
            bytes += input.len();
            run(target, &file.display().to_string(), &input);
        }
        assert!(files.len() >= 20, "{name}: {} files", files.len());
    }
    assert!(bytes < 2 * 1024 * 1024, "{bytes} bytes are too many for a repository");
}

#[test]
fn every_folder_belongs_to_a_target() {
    for entry in std::fs::read_dir(CORPORA).expect("the corpora") {
        let name = entry.expect("a folder").file_name();
        assert!(TARGETS.iter().any(|(known, _)| name == *known), "{name:?}");
    }
}

#[test]
fn every_target_has_a_program() {
    for (name, _) in TARGETS {
        assert!(Path::new(CORPORA).join(format!("../fuzz_targets/{name}.rs")).exists(), "{name}");
    }
}

#[test]
fn every_golden_and_captured_frame_passes_every_target() {
    let _alone = alone();
    let golden = golden::frames().expect("golden frames").into_iter().map(|frame| golden::bytes(&frame.hex));
    let bodies = golden::bodies().expect("golden bodies").into_iter().map(|body| golden::bytes(&body.hex));
    let captured = golden::captures().expect("captures").into_iter().map(|frame| frame.bytes);
    let inputs: Vec<_> = golden.chain(bodies).chain(captured).collect();
    assert!(inputs.len() >= 500);
    // To some targets bytes are choices, one as good as another.
    let of_choices = ["client_ops", "server_request", "sim_tape"];
    for (name, target) in TARGETS.into_iter().filter(|(name, _)| !of_choices.contains(name)) {
        for input in &inputs {
            run(target, name, input);
            run(target, name, input.get(8..).unwrap_or_default());
        }
    }
}
