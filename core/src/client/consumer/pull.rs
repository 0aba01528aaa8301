//! One pull: the request, and how its answer becomes a batch.
//!
//! Decoding happens where the answer arrives, with the [`PullContext`] that travelled with the request.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::dispatch::{Batch, Content, Item, Poison, PoisonCause};
use crate::ids::{Epoch, MessageQueue, QueueOffset};
use crate::wire::Frame;
use crate::wire::codes::response;
use crate::wire::header::FieldError;
use crate::wire::message::properties::{self, name};
use crate::wire::message::{self, Entry, LostReason, Record, RecordLimits};
use crate::wire::request::{Fields, PullMessageResponse};
use crate::wire::subscription::SubscriptionData;

/// What the answer of a pull is decoded with.
#[derive(Debug)]
pub struct PullContext {
    /// The queue.
    pub queue: Arc<MessageQueue>,
    /// The assignment.
    pub epoch: Epoch,
    /// The first offset asked for.
    pub from: QueueOffset,
    /// The filter to check again, as brokers compare hashes only.
    pub subscription: Arc<SubscriptionData>,
    /// Bounds on the records.
    pub limits: RecordLimits,
}

/// The answer to a pull.
#[derive(Debug)]
pub enum Pulled {
    /// Offsets were passed; the batch holds what there is to hand out, maybe nothing.
    Batch {
        /// The messages.
        batch: Arc<Batch>,
        /// The broker id to ask next.
        suggested: i64,
    },
    /// Nothing new.
    Nothing {
        /// The broker id to ask next.
        suggested: i64,
    },
    /// The offset is outside the queue.
    OffsetIllegal {
        /// Where the broker says to go on.
        next: QueueOffset,
        /// The start of the queue.
        min: i64,
        /// The end of the queue.
        max: i64,
    },
    /// The broker refused.
    Refused {
        /// Its response code.
        code: i32,
        /// Its words.
        remark: String,
    },
    /// The answer lacks a field or has an impossible one.
    Malformed(FieldError),
}

/// Reads the answer to a pull.
#[must_use]
pub fn decode(context: &PullContext, frame: Frame) -> Pulled {
    let code = frame.header.code;
    let known = matches!(
        code,
        response::SUCCESS | response::PULL_NOT_FOUND | response::PULL_RETRY_IMMEDIATELY | response::PULL_OFFSET_MOVED
    );
    if !known {
        return Pulled::Refused { code, remark: frame.header.remark.unwrap_or_default() };
    }
    let fields = match PullMessageResponse::read(&frame.header.ext) {
        Ok(fields) => fields,
        Err(error) => return Pulled::Malformed(error),
    };
    let Some(next) = QueueOffset::from_wire(fields.next_begin_offset) else {
        return Pulled::Malformed(FieldError { key: "nextBeginOffset", missing: false });
    };
    if code == response::PULL_OFFSET_MOVED {
        return Pulled::OffsetIllegal { next, min: fields.min_offset, max: fields.max_offset };
    }
    let suggested = fields.suggested_broker;
    let body = if code == response::SUCCESS { frame.body } else { Bytes::new() };
    let batch = collect(context, body, next, fields.offset_delta.unwrap_or(0));
    if batch.items.is_empty() && batch.to <= context.from {
        return Pulled::Nothing { suggested };
    }
    Pulled::Batch { batch: Arc::new(batch), suggested }
}

/// The records of an answer that belong to the subscription; those that cannot be read keep their place.
fn collect(context: &PullContext, frame: Bytes, next: QueueOffset, delta: i64) -> Batch {
    let mut items: Vec<Item> = Vec::new();
    let mut to = next;
    // After the last record that was read, wanted or not.
    let mut walked = None;
    for entry in message::walk(&frame, context.limits) {
        match entry {
            Entry::Record(record) if record.sys_flag.inner_batch() => {
                unwrap(context, &record, &frame, &mut items);
                walked = walked.max(items.last().map(|item| item.offset.next()));
            }
            Entry::Record(mut record) => {
                record.queue_offset = shifted(record.queue_offset, delta);
                if (context.from..next).contains(&record.queue_offset) {
                    walked = walked.max(Some(record.queue_offset.next()));
                }
                if record.queue_offset < next && wanted(context, record.properties(&frame), record.queue_offset) {
                    let physical_offset = Some(record.physical_offset);
                    items.push(Item { offset: record.queue_offset, physical_offset, content: Content::Record(record) });
                }
            }
            Entry::Poison(poison) => {
                let after = walked.unwrap_or(context.from);
                // Its own bytes may lie about its place: it is one of the offsets that this pull passes.
                let own = poison.queue_offset.map(|offset| shifted(offset, delta));
                let offset = own.filter(|offset| (after..next).contains(offset)).unwrap_or(after);
                let content = Content::Poison(Poison {
                    start: poison.start,
                    len: poison.len,
                    cause: PoisonCause::Record(poison.reason),
                });
                walked = walked.max(Some(offset.next()));
                items.push(Item { offset, physical_offset: poison.physical_offset, content });
            }
            Entry::Rest(lost) => {
                // What follows cannot be found in these bytes: pull again from there. If nothing came before,
                // that would repeat forever, so the record at that offset is poison.
                match (walked, lost.reason) {
                    (Some(after), _) => to = after,
                    (None, LostReason::TooMany(_)) => to = context.from,
                    (None, LostReason::Truncated(_) | LostReason::Size(_) | LostReason::PastEnd { .. }) => {
                        let len = frame.len().saturating_sub(lost.start);
                        let content =
                            Content::Poison(Poison { start: lost.start, len, cause: PoisonCause::Lost(lost.reason) });
                        items.push(Item { offset: context.from, physical_offset: None, content });
                        to = context.from.next();
                    }
                }
                break;
            }
        }
    }
    items.sort_by_key(|item| item.offset);
    let frame = if items.is_empty() { Bytes::new() } else { frame };
    Batch {
        queue: context.queue.clone(),
        epoch: context.epoch,
        from: context.from,
        to: to.max(context.from),
        frame,
        items,
    }
}

/// Takes a stored batch apart; items below the offset asked for were handed out before.
fn unwrap(context: &PullContext, outer: &Record, frame: &Bytes, items: &mut Vec<Item>) {
    match message::batch::unwrap_inner(outer, frame) {
        Ok(inner) => {
            for part in inner {
                let properties = frame.get(part.properties.clone()).unwrap_or_default();
                if !wanted(context, properties, part.queue_offset) {
                    continue;
                }
                let record = Record {
                    queue_offset: part.queue_offset,
                    flag: part.flag,
                    body: part.body,
                    properties: part.properties,
                    sys_flag: outer.sys_flag.without_compression(),
                    ..outer.clone()
                };
                let physical_offset = Some(outer.physical_offset);
                items.push(Item { offset: part.queue_offset, physical_offset, content: Content::Record(record) });
            }
        }
        Err(error) => {
            let poison = Poison { start: outer.start, len: outer.len, cause: PoisonCause::Batch(error) };
            let offset = outer.queue_offset.max(context.from);
            let physical_offset = Some(outer.physical_offset);
            items.push(Item { offset, physical_offset, content: Content::Poison(poison) });
        }
    }
}

fn wanted(context: &PullContext, raw: &[u8], offset: QueueOffset) -> bool {
    let subscription = &context.subscription;
    let matches = || subscription.tags_set.is_empty() || subscription.matches(properties::get(raw, name::TAGS));
    offset >= context.from && matches()
}

fn shifted(offset: QueueOffset, delta: i64) -> QueueOffset {
    QueueOffset::from_wire(offset.to_wire().saturating_add(delta)).unwrap_or(offset)
}
