//! The golden vectors of `tests/golden`, which the official Java classes wrote.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{DecodedFrame, RealError, StoredMessage};

/// The files, one JSON object per line.
pub const FILES: [&str; 4] = ["frames.jsonl", "bodies.jsonl", "allocations.jsonl", "hashes.jsonl"];

/// One whole frame, and what Java reads from it.
#[derive(Clone, Debug, Deserialize)]
pub struct GoldenFrame {
    /// Unique name: the case, a slash, and `json`, `rocketmq` or `rocketmq_fast`.
    pub name: String,
    /// The frame from its length word on, as hexadecimal text.
    pub hex: String,
    /// What Java reads.
    pub fields: DecodedFrame,
}

/// The body of a pull reply, and what Java's client reads from it.
#[derive(Clone, Debug, Deserialize)]
pub struct GoldenBody {
    /// Unique name.
    pub name: String,
    /// Concatenated records, as hexadecimal text.
    pub hex: String,
    /// What Java reads.
    pub messages: Vec<StoredMessage>,
}

/// The folder with the files in the source tree.
pub fn dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// All golden frames.
pub fn frames() -> Result<Vec<GoldenFrame>, RealError> {
    lines("frames.jsonl")
}

/// All golden bodies.
pub fn bodies() -> Result<Vec<GoldenBody>, RealError> {
    lines("bodies.jsonl")
}

fn lines<T: DeserializeOwned>(name: &str) -> Result<Vec<T>, RealError> {
    let file = dir().join(name);
    let what = format!("read {}", file.display());
    let text = std::fs::read_to_string(&file).map_err(RealError::io(what.clone()))?;
    text.lines()
        .map(|line| serde_json::from_str(line))
        .collect::<Result<_, _>>()
        .map_err(|source| RealError::JavaAnswer { cmd: what, source })
}
