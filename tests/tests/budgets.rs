//! What the project allows itself, dependencies and the size of its files, and what it owes: rows in the table of features and of
//! settings.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn packages() {
    assert_within("rocketmq-core", &[], 24);
    let all_but_tls = "consistent-hash driver zlib lz4 zstd acl metrics tracing";
    assert_within("rocketmq-core", &["--features", all_but_tls], 48);
    assert_within("rocketmq-core", &["--all-features"], 58);
    assert_within("rocketmq-tokio", &[], 60);
    assert_within("rocketmq-smol", &[], 60);
}

#[test]
fn the_core_links_std_only_where_a_feature_asks_for_it() {
    let lib = std::fs::read_to_string(root().join("core/src/lib.rs")).unwrap();
    assert!(lib.lines().any(|line| line == "#![no_std]"), "always, not under a condition");
    let external: Vec<_> = lib.lines().map(str::trim).filter(|line| line.starts_with("extern crate std")).collect();
    assert_eq!(external.len(), 1);
    assert!(lib.contains("#[cfg(feature = \"std\")]\nextern crate std;"), "std comes with its feature only");
    let features = tree("rocketmq-core", &["-e", "features"]);
    assert!(!features.contains("rocketmq-core feature \"std\""), "the default features need no std");
}

#[test]
fn adapters_are_small() {
    for (folder, most) in [("runtime-smol/src", 350), ("runtime-tokio/src", 450)] {
        let lines: usize = sources(&root().join(folder)).iter().map(|path| lines(path)).sum();
        assert!((1..=most).contains(&lines), "{folder} has {lines} lines of {most}");
    }
    let engine = root().join("core/src/engine.rs");
    assert!(lines(&engine) <= 400, "engine.rs has {} lines of 400", lines(&engine));
}

#[test]
fn files_are_short() {
    let all: Vec<_> = ["core", "runtime-smol", "runtime-tokio", "tests", "fuzz"]
        .iter()
        .flat_map(|folder| sources(&root().join(folder)))
        .collect();
    assert!(all.len() > 100, "only {} files found", all.len());
    for path in all {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let lines = lines(&path);
        assert!(lines <= 600, "{name} has {lines} lines of 600");
    }
}

#[test]
fn every_operation_of_administrators_has_a_row_in_the_table_of_features() {
    let table = std::fs::read_to_string(root().join("tests/features.md")).unwrap();
    let files = sources(&root().join("core/src/driver/handle/admin"));
    let texts: Vec<_> = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    let names = lines.filter_map(|line| line.trim().strip_prefix("pub async fn ")?.split(['(', '<']).next());
    let operations: BTreeSet<_> = names.collect();
    assert!(operations.len() > 70, "only {} operations found", operations.len());
    for name in operations {
        let there = [format!("`{name}`"), format!("`Admin::{name}`")].iter().any(|words| table.contains(words));
        assert!(there, "no row tells of {name}");
    }
}

#[test]
fn every_setting_has_a_row_in_the_readme() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let rows: String = readme.lines().filter(|line| line.starts_with('|')).collect();
    let handle = root().join("core/src/driver/handle");
    let names = ["client", "producer", "transaction", "consumer", "credentials"];
    let texts = names.map(|name| std::fs::read_to_string(handle.join(name).with_extension("rs")).unwrap());
    let heads = texts.iter().flat_map(|text| text.split("    pub ").skip(1)).filter_map(|item| item.split('{').next());
    let setters = heads.filter(|head| head.contains("self") && head.contains("-> Self"));
    let settings: BTreeSet<_> = setters.filter_map(|head| head.split_once("fn ")?.1.split(['(', '<']).next()).collect();
    assert!(settings.len() > 60, "only {} settings found", settings.len());
    for name in settings {
        assert!(rows.contains(&format!("`{name}`")), "no row tells of {name}");
    }
}

/// Checks the number of distinct packages that a package is built from, itself and procedural macros included.
fn assert_within(package: &str, arguments: &[&str], most: usize) {
    let tree = tree(package, &[&["-e", "normal"], arguments].concat());
    // `name v1.2.3 (proc-macro)`, `name v1.2.3 (*)`
    let packages: BTreeSet<_> = tree
        .lines()
        .filter_map(|line| line.split_once(" v"))
        .map(|(name, rest)| (name, rest.split(' ').next().unwrap_or_default()))
        .collect();
    assert!(packages.len() > 5 && packages.iter().any(|(name, _)| *name == package), "{tree}");
    assert!(packages.len() <= most, "{package} {arguments:?}: {} packages of {most}: {packages:?}", packages.len());
}

fn tree(package: &str, arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(["tree", "--locked", "--prefix", "none", "-p", package]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                found.extend(sources(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap().lines().count()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
