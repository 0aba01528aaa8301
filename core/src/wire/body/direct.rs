//! How a message was consumed that an operator had a consumer handle (reply to the server's request 309).

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{BodyError, lenient, read, write};

/// How a message was consumed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DirectResult {
    /// Whether what is consumed is committed at once.
    #[serde(deserialize_with = "lenient")]
    pub auto_commit: bool,
    /// What came of it; `None` when nothing is said.
    pub consume_result: Option<ConsumeResult>,
    /// Whether the consumer consumes in order.
    #[serde(deserialize_with = "lenient")]
    pub order: bool,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(deserialize_with = "lenient")]
    pub spent_time_mills: i64,
}

/// What came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsumeResult {
    /// It was consumed.
    #[serde(rename = "CR_SUCCESS")]
    Success,
    /// It failed.
    #[serde(rename = "CR_LATER")]
    Later,
    /// In order: it was rolled back.
    #[serde(rename = "CR_ROLLBACK")]
    Rollback,
    /// In order: it was committed.
    #[serde(rename = "CR_COMMIT")]
    Commit,
    /// The handler panicked, or the message cannot be read.
    #[serde(rename = "CR_THROW_EXCEPTION")]
    ThrowException,
    /// The handler gave nothing (Java).
    #[serde(rename = "CR_RETURN_NULL")]
    ReturnNull,
}

impl DirectResult {
    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        read(body)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}
