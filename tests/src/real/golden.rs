//! The golden vectors of `tests/golden`, which the official Java classes wrote, and the frames of `tests/captures`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{DecodedFrame, JavaTrace, RealError, StoredMessage};

/// The files, one JSON object per line.
pub const FILES: [&str; 7] = [
    "frames.jsonl",
    "bodies.jsonl",
    "allocations.jsonl",
    "hashes.jsonl",
    "offsets.jsonl",
    "traces.jsonl",
    "signatures.jsonl",
];

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

/// A line of the allocations: lists of queues and members by name, and what Java's strategies make of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GoldenAllocation {
    /// The queues of a topic.
    Queues {
        /// Unique among lists of queues.
        name: String,
        /// The topic.
        topic: String,
        /// How many queues each broker has.
        list: BTreeMap<String, i32>,
    },
    /// The members of a group, in Java's order.
    Members {
        /// Unique among lists of members.
        name: String,
        /// Their client ids.
        list: Vec<String>,
    },
    /// What each member gets.
    Share {
        /// The strategy, with its parameter.
        strategy: String,
        /// The name of a list of queues.
        queues: String,
        /// The name of a list of members.
        members: String,
        /// For each member, and for one that is not on the list, positions of queues such as `0-2,5` in Java's order;
        /// `!` when Java refuses.
        own: Vec<String>,
    },
}

/// An offset file of a broadcasting member.
#[derive(Clone, Debug, Deserialize)]
pub struct GoldenOffsets {
    /// Unique name.
    pub name: String,
    /// The file as Java writes it.
    pub text: String,
    /// What is in it.
    pub offsets: Vec<QueueOffsetRow>,
}

/// The offset of one queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct QueueOffsetRow {
    /// The topic.
    pub topic: String,
    /// The broker.
    pub broker: String,
    /// The queue's number there.
    pub queue_id: i32,
    /// The offset.
    pub offset: i64,
}

/// A text and Java's hash of it.
#[derive(Clone, Debug, Deserialize)]
pub struct GoldenHash {
    /// The text.
    pub text: String,
    /// Its hash.
    pub hash: i32,
}

/// What was noted together in a trace.
#[derive(Clone, Debug, Deserialize)]
pub struct GoldenTrace {
    /// Unique name.
    pub name: String,
    /// As Java writes it.
    pub text: String,
    /// The keys that Java gives its message, sorted.
    pub keys: Vec<String>,
    /// What Java reads.
    pub records: Vec<JavaTrace>,
}

/// A request as Java signs it.
#[derive(Clone, Debug, Deserialize)]
pub struct GoldenSignature {
    /// Unique name.
    pub name: String,
    /// The user.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// The token of its session, if it has one.
    pub security_token: Option<String>,
    /// The code of the request.
    pub code: i32,
    /// All fields but the signature, those that name the user included.
    pub fields: BTreeMap<String, String>,
    /// The body, as hexadecimal text.
    pub body: String,
    /// The signature.
    pub signature: String,
}

/// One frame that a client and a real server exchanged.
#[derive(Clone, Debug)]
pub struct CapturedFrame {
    /// The name of its file, without `.hex`.
    pub file: String,
    /// Whether a client sent it.
    pub to_server: bool,
    /// The frame from its length word on.
    pub bytes: Vec<u8>,
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

/// All lines of the golden allocations.
pub fn allocations() -> Result<Vec<GoldenAllocation>, RealError> {
    lines("allocations.jsonl")
}

/// All golden hashes.
pub fn hashes() -> Result<Vec<GoldenHash>, RealError> {
    lines("hashes.jsonl")
}

/// All golden offset files.
pub fn offset_files() -> Result<Vec<GoldenOffsets>, RealError> {
    lines("offsets.jsonl")
}

/// All golden traces.
pub fn traces() -> Result<Vec<GoldenTrace>, RealError> {
    lines("traces.jsonl")
}

/// All golden signatures.
pub fn signatures() -> Result<Vec<GoldenSignature>, RealError> {
    lines("signatures.jsonl")
}

/// All captured frames, by file.
pub fn captures() -> Result<Vec<CapturedFrame>, RealError> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("captures");
    let what = || format!("read {}", dir.display());
    let entries = std::fs::read_dir(&dir).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut files: Vec<_> = entries.map_err(RealError::io(what()))?.iter().map(std::fs::DirEntry::path).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "hex"));
    files.sort();
    let mut frames = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(RealError::io(what()))?;
        let file = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut to_server = false;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line.strip_prefix("# ") {
                Some(comment) => to_server = comment.starts_with("C>S"),
                None => frames.push(CapturedFrame { file: file.clone(), to_server, bytes: bytes(line) }),
            }
        }
    }
    Ok(frames)
}

/// The bytes that hexadecimal text stands for.
///
/// # Panics
/// The text is not hexadecimal.
#[must_use]
pub fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "an odd number of digits");
    let digit = |b: &u8| char::from(*b).to_digit(16).expect("a hexadecimal digit") as u8;
    hex.as_bytes().chunks_exact(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
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
