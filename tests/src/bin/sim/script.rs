//! A failing run as a script: a seed, and the few faults that it takes.

use std::path::Path;

use rocketmq_testkit::sim::Fault;
use rocketmq_testkit::sim::workload::Options;
use serde::{Deserialize, Serialize};

/// What is kept of a failing run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Script {
    pub(crate) seed: u64,
    /// The invariant that it broke.
    pub(crate) invariant: String,
    pub(crate) messages: Option<u64>,
    /// Faults by id, and which of its kind each is.
    pub(crate) events: Vec<(String, u64)>,
}

impl Script {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(|error| error.to_string())?;
        std::fs::write(path, text + "\n").map_err(|error| error.to_string())
    }

    /// How to run it.
    pub(crate) fn options(&self) -> Result<Options, String> {
        let script = self.events.iter().map(|(id, nth)| {
            let fault = Fault::ALL.iter().find(|fault| fault.id() == id);
            fault.map(|fault| (*fault, *nth)).ok_or_else(|| format!("no fault has the id {id}"))
        });
        let script = script.collect::<Result<Vec<_>, _>>()?;
        Ok(Options { script: Some(script), messages: self.messages, ..Options::default() })
    }
}
