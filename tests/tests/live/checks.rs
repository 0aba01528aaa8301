//! Named assertions, counted.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The names of the assertions that held on one broker version.
pub(crate) struct Checks {
    version: String,
    held: Mutex<BTreeSet<String>>,
    /// What failed and is tried once more.
    again: Mutex<Vec<String>>,
}

/// Assertions of one scenario on one runtime.
#[derive(Clone)]
pub(crate) struct Scope {
    checks: Arc<Checks>,
    prefix: String,
}

impl Checks {
    pub(crate) fn new(version: &str) -> Self {
        Self { version: version.to_owned(), held: Mutex::default(), again: Mutex::default() }
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// How many different assertions held.
    pub(crate) fn count(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Writes the names of all that held into the folder of test output, for `tests/features.md` to be checked by.
    pub(crate) fn write_down(&self) {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        self.write("held", held.iter());
    }

    /// Writes down beside them what failed and is tried once more.
    pub(crate) fn note_again(&self, failed: &[String]) {
        let mut again = self.again.lock().unwrap_or_else(PoisonError::into_inner);
        again.extend_from_slice(failed);
        self.write("again", again.iter());
    }

    fn write<'a>(&self, what: &str, lines: impl Iterator<Item = &'a String>) {
        let lines: String = lines.flat_map(|line| [line.as_str(), "\n"]).collect();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{what}-{}.txt", self.version));
        std::fs::write(&path, lines).expect("test output can be written");
    }

    fn record(&self, id: String) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }
}

impl Scope {
    pub(crate) fn new(checks: &Arc<Checks>, runtime: &str, scenario: &str) -> Self {
        Self { checks: checks.clone(), prefix: format!("{}/{runtime}/{scenario}", checks.version) }
    }

    /// The same scenario, one step of it.
    pub(crate) fn step(&self, step: impl Display) -> Self {
        Self { checks: self.checks.clone(), prefix: format!("{}/{step}", self.prefix) }
    }

    #[track_caller]
    pub(crate) fn that(&self, id: impl Display, holds: bool, seen: impl Debug) {
        let id = format!("{}/{id}", self.prefix);
        assert!(holds, "{id}: {seen:?}");
        self.checks.record(id);
    }

    #[track_caller]
    pub(crate) fn eq<A: PartialEq<B> + Debug, B: Debug>(&self, id: impl Display, seen: A, wanted: B) {
        let id = format!("{}/{id}", self.prefix);
        assert!(seen == wanted, "{id}: saw {}, wanted {}", shown(&seen), shown(&wanted));
        self.checks.record(id);
    }

    #[track_caller]
    pub(crate) fn below<T: PartialOrd + Debug>(&self, id: impl Display, seen: T, bound: T) {
        let id = format!("{}/{id}", self.prefix);
        assert!(seen < bound, "{id}: {seen:?} is not below {bound:?}");
        self.checks.record(id);
    }

    #[track_caller]
    pub(crate) fn at_least<T: PartialOrd + Debug>(&self, id: impl Display, seen: T, bound: T) {
        let id = format!("{}/{id}", self.prefix);
        assert!(seen >= bound, "{id}: {seen:?} is below {bound:?}");
        self.checks.record(id);
    }
}

/// Values of ten thousand items are no help.
fn shown(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(2_000) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}
