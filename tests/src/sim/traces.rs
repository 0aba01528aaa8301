//! Message trace: which clients trace, and what brokers have of it in the end.

use std::sync::Arc;

use rocketmq_core::config::TraceConfig;
use rocketmq_core::trace::{BadTrace, TraceRecord, decode};
use rocketmq_core::transaction::Resolution;
use rocketmq_core::wire::compress::inflate;
use rocketmq_core::wire::message::SysFlags;

use super::World;
use super::history::{Trace, TraceKind, What};
use super::plan::Plan;

/// How the clients of a run trace.
pub(crate) fn config(plan: &Plan) -> Option<TraceConfig> {
    plan.traced.map(|_| TraceConfig { topic: TOPIC.into(), ..TraceConfig::default() })
}

/// Notes what brokers have.
pub(crate) fn note(world: &World) {
    let mut traces = Vec::new();
    for stored in world.stored(TOPIC) {
        let body = match SysFlags(stored.sys_flag).compression() {
            // What cannot be inflated cannot be read.
            Some(kind) => inflate(kind, &stored.body, MOST).unwrap_or_else(|_| b"?".to_vec()),
            None => stored.body.to_vec(),
        };
        traces.extend(decode(&body).map(trace));
    }
    for trace in &traces {
        world.reach(match trace.kind {
            TraceKind::End { .. } => "the end of a transaction is traced",
            TraceKind::Before | TraceKind::After => "a delivery is traced",
            TraceKind::Pub | TraceKind::Recall | TraceKind::Bad(_) => "what a producer does is traced",
        });
    }
    world.note(What::Traces(traces));
}

fn trace(record: Result<TraceRecord, BadTrace>) -> Trace {
    let (group, kind) = match &record {
        Err(error) => ("", TraceKind::Bad(error.to_string())),
        Ok(TraceRecord::Pub(record)) => (record.group.as_str(), TraceKind::Pub),
        Ok(TraceRecord::SubBefore(record)) => (record.group.as_str(), TraceKind::Before),
        Ok(TraceRecord::SubAfter(record)) => {
            let group = record.by.as_ref().map(|(_, group)| group.as_str()).unwrap_or_default();
            (group, TraceKind::After)
        }
        Ok(TraceRecord::EndTransaction(record)) => {
            let commit = match record.resolution {
                Resolution::Commit => Some(true),
                Resolution::Rollback => Some(false),
                Resolution::Unknown => None,
            };
            (record.group.as_str(), TraceKind::End { commit, asked: record.from_check })
        }
        Ok(TraceRecord::Recall(record)) => (record.group.as_str(), TraceKind::Recall),
    };
    let unique = record.as_ref().map(TraceRecord::msg_id).unwrap_or_default();
    Trace { unique: Arc::from(unique), group: Arc::from(group), kind }
}

/// Bytes that a trace message may have.
const MOST: usize = 128_000;
/// The topic of traces.
pub(crate) const TOPIC: &str = "y0";
