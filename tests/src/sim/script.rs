//! Scripts: runs of the workload written down fault by fault, which outlive the seeds that they were found with.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::faults::Fault;
use super::plan::Plan;
use super::workload::{self, Options};
use super::{Report, Sim};

/// A run of the workload in full: its topology and every fault.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Script {
    /// What it shows, in a sentence.
    pub about: String,
    /// The invariant that it breaks, or broke.
    pub invariant: String,
    /// The planted mistake that it finds, if it is not about one of our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutant: Option<u32>,
    /// Where everything comes from that is not written down: delays, what is sent when, how it is handled.
    #[serde(with = "hexadecimal")]
    pub seed: u64,
    /// Servers, members, producers and messages.
    pub topology: Plan,
    /// The faults, which are all that happen.
    pub faults: Vec<Occasion>,
}

/// One fault of a script.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Occasion {
    /// One that befalls what happens anyway: a connect, a frame, a delivery.
    Nth {
        /// Its kind.
        fault: Fault,
        /// Which of the occasions of this kind, from 0.
        nth: u64,
    },
    /// One that somebody plans: a restart, a partition, a member that leaves.
    At {
        /// Its kind.
        fault: Fault,
        /// When, in microseconds of the run.
        at_us: u64,
        /// What decides whom it befalls, and for how long.
        draw: u64,
    },
}

impl Script {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is no script.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, String> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The script of a run of the workload that failed.
    #[must_use]
    pub fn of(report: &Report) -> Option<Self> {
        let failure = report.failure.as_ref()?;
        Some(Self {
            about: failure.text.clone(),
            invariant: failure.invariant.to_owned(),
            mutant: None,
            seed: report.seed,
            topology: report.plan.clone()?,
            faults: report.happened.clone(),
        })
    }

    /// Writes a file, and the folder it is in.
    ///
    /// # Errors
    /// As those of the file system.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), String> {
        let path = path.as_ref();
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
        std::fs::write(path, self.text() + "\n").map_err(failed)
    }

    /// Runs it and checks every invariant.
    #[must_use]
    pub fn run(&self) -> Report {
        self.run_with(Options::default())
    }

    /// The same, with options; what the script says goes before them.
    #[must_use]
    pub fn run_with(&self, options: Options) -> Report {
        let events = options.events.or(Some(MOST_EVENTS));
        let options = Options { script: Some(self.faults.clone()), events, ..options };
        workload::check_plan(Sim::new(self.seed), self.topology.clone(), options)
    }

    /// Whether a run of it breaks its invariant.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.run().breaks(&self.invariant)
    }

    /// One fault a line, so that a difference of two scripts can be read.
    fn text(&self) -> String {
        let whole = serde_json::to_value(self).expect("a script is plain data");
        let mut parts = Vec::new();
        for key in ["about", "invariant", "mutant", "seed", "topology"] {
            if let Some(value) = whole.get(key) {
                parts.push(format!("  \"{key}\": {value:#}").replace('\n', "\n  "));
            }
        }
        let faults = self.faults.iter().map(|fault| serde_json::to_string(fault).expect("a fault is plain data"));
        let faults: Vec<String> = faults.map(|fault| format!("\n    {fault}")).collect();
        let end = if faults.is_empty() { "" } else { "\n  " };
        parts.push(format!("  \"faults\": [{}{end}]", faults.join(",")));
        format!("{{\n{}\n}}", parts.join(",\n"))
    }
}

impl Occasion {
    /// Its kind.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Nth { fault, .. } | Self::At { fault, .. } => *fault,
        }
    }
}

impl std::fmt::Display for Occasion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nth { fault, nth } => write!(f, "{} {fault:?}, occasion {nth}", fault.id()),
            Self::At { fault, at_us, .. } => {
                let at = std::time::Duration::from_micros(*at_us);
                write!(f, "{} {fault:?} at {at:.1?}", fault.id())
            }
        }
    }
}

/// Events after which a script has gone on for too long: a client that is busy for ever has shown so by then.
pub const MOST_EVENTS: u64 = 400_000;

/// Numbers that a reader of JSON would take for inexact ones.
mod hexadecimal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{number:#x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").ok_or_else(|| D::Error::custom("a seed begins with 0x"))?;
        u64::from_str_radix(digits, 16).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script() -> Script {
        let nth = Occasion::Nth { fault: Fault::ErrorCode, nth: 12 };
        let at = Occasion::At { fault: Fault::Restart, at_us: 3_000_000, draw: 7 };
        Script {
            about: "an \"example\"".to_owned(),
            invariant: "C1".to_owned(),
            mutant: Some(4),
            seed: u64::MAX,
            topology: Plan::default(),
            faults: vec![nth, at],
        }
    }

    #[test]
    fn a_script_reads_as_it_was_written() {
        let script = script();
        assert_eq!(serde_json::from_str::<Script>(&script.text()).expect("a script"), script);
        let none = Script { faults: Vec::new(), mutant: None, ..script };
        assert_eq!(serde_json::from_str::<Script>(&none.text()).expect("a script"), none);
        assert!(none.text().contains("\"faults\": []"));
    }

    #[test]
    fn a_fault_that_nobody_knows_is_no_script() {
        let text = script().text().replace("brk.1", "brk.99");
        assert!(serde_json::from_str::<Script>(&text).is_err());
    }

    #[test]
    fn what_a_topology_leaves_out_is_as_usual() {
        let plan: Plan = serde_json::from_str("{\"brokers\": 3}").expect("a topology");
        assert_eq!(plan, Plan { brokers: 3, ..Plan::default() });
    }
}
