//! Trace records as Java reads them.

use rocketmq_core::time::UnixMillis;
use rocketmq_core::trace::{EndTransaction, MessageKind, Pub, Recall, SubAfter, SubBefore, TraceRecord};
use rocketmq_core::transaction::Resolution;
use serde::Deserialize;

/// A trace record as Java reads it: a text that is not there is `null`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs, reason = "the names are those of the records")]
pub enum JavaTrace {
    Pub {
        time: i64,
        region: String,
        group: String,
        topic: String,
        msg_id: String,
        tags: String,
        keys: String,
        store_host: String,
        body_len: i32,
        cost: i32,
        kind: i32,
        offset_msg_id: String,
        success: bool,
    },
    SubBefore {
        time: i64,
        region: String,
        group: String,
        request_id: String,
        msg_id: String,
        retry_times: i32,
        keys: String,
    },
    SubAfter {
        request_id: String,
        msg_id: String,
        cost: i32,
        success: bool,
        keys: String,
        context_code: i32,
        time: Option<i64>,
        group: String,
    },
    EndTransaction {
        time: i64,
        region: String,
        group: String,
        topic: String,
        msg_id: String,
        tags: String,
        keys: String,
        store_host: String,
        transaction_id: String,
        state: String,
        from_check: bool,
    },
    Recall {
        time: i64,
        region: String,
        group: String,
        topic: String,
        msg_id: String,
        success: bool,
    },
}

/// What Java makes of the body of a trace message.
#[derive(Clone, Debug, Deserialize)]
pub struct DecodedTrace {
    /// The records.
    pub records: Vec<JavaTrace>,
    /// The same, written by Java.
    pub again: String,
    /// The keys that Java would give the message, sorted.
    pub keys: Vec<String>,
}

impl JavaTrace {
    /// The same record as ours; `None` when it has what ours cannot have.
    #[must_use]
    pub fn record(&self) -> Option<TraceRecord> {
        let or_null = |text: &String| Some(text.clone()).filter(|text| text != "null");
        Some(match self.clone() {
            Self::Pub {
                time,
                region,
                group,
                topic,
                msg_id,
                tags,
                keys,
                store_host,
                body_len,
                cost,
                kind,
                offset_msg_id,
                success,
            } => TraceRecord::Pub(Pub {
                time: UnixMillis(time),
                region,
                group: group.into(),
                topic: topic.into(),
                msg_id,
                tags: or_null(&tags),
                keys: or_null(&keys),
                store_host,
                body_len,
                cost,
                kind: match kind {
                    0 => MessageKind::Normal,
                    1 => MessageKind::Half,
                    2 => MessageKind::Commit,
                    3 => MessageKind::Delayed,
                    4 => MessageKind::Ordered,
                    _ => return None,
                },
                offset_msg_id: or_null(&offset_msg_id),
                success,
            }),
            Self::SubBefore { time, region, group, request_id, msg_id, retry_times, keys } => {
                let (time, group, keys) = (UnixMillis(time), group.into(), or_null(&keys));
                TraceRecord::SubBefore(SubBefore { time, region, group, request_id, msg_id, retry_times, keys })
            }
            Self::SubAfter { request_id, msg_id, cost, success, keys, context_code, time, group } => {
                let (keys, context_code) = (or_null(&keys), Some(context_code));
                let by = time.map(|time| (UnixMillis(time), group.into()));
                TraceRecord::SubAfter(SubAfter { request_id, msg_id, cost, success, keys, context_code, by })
            }
            Self::EndTransaction {
                time,
                region,
                group,
                topic,
                msg_id,
                tags,
                keys,
                store_host,
                transaction_id,
                state,
                from_check,
            } => TraceRecord::EndTransaction(EndTransaction {
                time: UnixMillis(time),
                region,
                group: group.into(),
                topic: topic.into(),
                msg_id,
                tags: or_null(&tags),
                keys: or_null(&keys),
                store_host,
                transaction_id: or_null(&transaction_id),
                resolution: match state.as_str() {
                    "COMMIT_MESSAGE" => Resolution::Commit,
                    "ROLLBACK_MESSAGE" => Resolution::Rollback,
                    "UNKNOW" => Resolution::Unknown,
                    _ => return None,
                },
                from_check,
            }),
            Self::Recall { time, region, group, topic, msg_id, success } => {
                let (time, group, topic) = (UnixMillis(time), group.into(), topic.into());
                TraceRecord::Recall(Recall { time, region, group, topic, msg_id, success })
            }
        })
    }
}
