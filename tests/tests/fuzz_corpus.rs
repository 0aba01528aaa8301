//! Every input of every fuzz corpus, and every golden and captured frame, through the targets.

use std::path::{Path, PathBuf};

use rocketmq_fuzz::{TARGETS, Target};
use rocketmq_testkit::real::golden;

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

/// Runs a target; a failure names the input.
fn run(target: Target, name: &str, input: &[u8]) {
    let result = std::panic::catch_unwind(|| target(input));
    assert!(result.is_ok(), "{name} fails");
}

#[test]
fn every_corpus_is_replayed() {
    let mut bytes = 0;
    for (name, target) in TARGETS {
        let entries = std::fs::read_dir(dir().join(name)).expect("each target has a corpus");
        let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
        files.sort();
        for file in &files {
            let input = std::fs::read(file).expect("a file");
            bytes += input.len();
            run(target, &file.display().to_string(), &input);
        }
        assert!(files.len() >= 20, "{name}: {} files", files.len());
    }
    assert!(bytes < 3 * 512 * 1024, "{bytes} bytes are too many for a repository");
}

#[test]
fn every_folder_belongs_to_a_target() {
    for entry in std::fs::read_dir(dir()).expect("the corpora") {
        let name = entry.expect("a folder").file_name();
        assert!(TARGETS.iter().any(|(known, _)| name == *known), "{name:?}");
    }
}

#[test]
fn every_golden_and_captured_frame_passes_every_target() {
    let golden = golden::frames().expect("golden frames").into_iter().map(|frame| golden::bytes(&frame.hex));
    let bodies = golden::bodies().expect("golden bodies").into_iter().map(|body| golden::bytes(&body.hex));
    let captured = golden::captures().expect("captures").into_iter().map(|frame| frame.bytes);
    let inputs: Vec<_> = golden.chain(bodies).chain(captured).collect();
    assert!(inputs.len() >= 500);
    for (name, target) in TARGETS {
        for input in &inputs {
            run(target, name, input);
            run(target, name, input.get(8..).unwrap_or_default());
        }
    }
}
