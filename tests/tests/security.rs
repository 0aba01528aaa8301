//! What `SECURITY.md` says is checked is checked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rocketmq_core::config::{check_group, check_topic};

#[test]
fn each_item_of_the_checklist_names_tests_that_exist() {
    let text = std::fs::read_to_string(root().join("SECURITY.md")).unwrap();
    assert!(text.contains("private vulnerability reporting"), "where to report");
    let sources: String =
        ["core", "runtime-smol", "runtime-tokio", "tests", "fuzz"].iter().map(|folder| sources(folder)).collect();
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let item = cells.get(1)?.parse::<usize>().ok()?;
        Some((item, cells.get(3)?.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()))
    });
    let mut items = BTreeSet::new();
    for (item, tests) in rows {
        assert!(!tests.is_empty(), "{item} names no test");
        for test in tests {
            assert!(sources.contains(&format!("fn {test}(")), "{item}: there is no test {test}");
        }
        items.insert(item);
    }
    assert!(items.iter().copied().eq(1..=13), "{items:?}");
}

/// The time and the order of such tables depend on keys, which would be for peers to choose.
#[test]
fn no_table_of_the_core_hashes_what_peers_choose() {
    let folder = root().join("core/src");
    let mut looked = 0;
    for path in files(&folder) {
        // The toolbox of runtimes takes chance from a hasher.
        if path.ends_with("driver/os.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for table in ["HashMap", "HashSet", "RandomState", "hash_map"] {
            assert!(!text.contains(table), "{}: {table}", path.display());
        }
        looked += 1;
    }
    assert!(looked > 100);
}

/// Files of offsets are named by groups.
#[test]
fn names_of_groups_and_topics_lead_out_of_no_folder() {
    for name in ["..", ".", "a/b", "../a", "a\\b", "/etc", "", "a\0b", "a\nb", "a:b", "~", "a.b", "a b"] {
        assert!(check_group(&name.into()).is_err(), "group {name:?}");
        assert!(check_topic(&name.into()).is_err(), "topic {name:?}");
    }
    assert!(check_group(&"orders-eu_1".into()).is_ok());
}

fn sources(folder: &str) -> String {
    files(&root().join(folder)).iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
