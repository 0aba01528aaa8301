//! What brokers have in the topic of traces.

use std::sync::Arc;

/// A trace record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The unique key of the message that it is about.
    pub unique: Arc<str>,
    /// The group that wrote it.
    pub group: Arc<str>,
    /// What it says.
    pub kind: TraceKind,
}

/// What a trace record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceKind {
    /// The message is stored.
    Pub,
    /// It is handed out.
    Before,
    /// It is settled.
    After,
    /// What is to become of it was said.
    End {
        /// That consumers get it, or not; `None` when that is not known.
        commit: Option<bool>,
        /// Whether a broker asked.
        asked: bool,
    },
    /// It is taken back.
    Recall,
    /// It cannot be read.
    Bad(String),
}
