//! One pull: the request, and how its answer becomes a batch.
//!
//! Decoding happens where the answer arrives, with the [`PullContext`] that travelled with the request.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::pop::PopContext;
use crate::dispatch::{Batch, Content, Item, Poison, PoisonCause};
use crate::ids::{Epoch, Group, MessageQueue, QueueOffset};
use crate::mutants::mutant;
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
    /// The group that asks.
    pub group: Group,
    /// The queue.
    pub queue: Arc<MessageQueue>,
    /// The assignment.
    pub epoch: Epoch,
    /// The first offset asked for.
    pub from: QueueOffset,
    /// Whether a slave is asked, which may know less of the queue than the master.
    pub from_slave: bool,
    /// The filter to check again, as brokers compare hashes only.
    pub subscription: Arc<SubscriptionData>,
    /// Bounds on the records.
    pub limits: RecordLimits,
    /// What else a pop is decoded with.
    pub pop: Option<PopContext>,
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
        /// The end of the queue.
        end: Option<QueueOffset>,
    },
    /// Messages were popped, maybe none.
    Popped {
        /// The messages.
        batch: Arc<Batch>,
        /// When, by the broker's clock, Unix milliseconds; 0 when it does not say.
        millis: i64,
        /// How long they are hidden from then on, milliseconds.
        invisible_millis: i64,
        /// The wire version of the broker.
        version: i32,
    },
    /// Nothing new.
    Nothing {
        /// The broker id to ask next.
        suggested: i64,
        /// The end of the queue.
        end: Option<QueueOffset>,
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
    if let Some(pop) = &context.pop {
        return super::pop::decode(context, pop, frame);
    }
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
    // A slave of 5.x says of everything it does not have that it is to be asked again (20), and names its own start.
    let hidden =
        context.from_slave && code == response::PULL_RETRY_IMMEDIATELY && fields.min_offset > context.from.to_wire();
    if code == response::PULL_OFFSET_MOVED || hidden {
        return Pulled::OffsetIllegal { next, min: fields.min_offset, max: fields.max_offset };
    }
    let suggested = fields.suggested_broker;
    let end = QueueOffset::from_wire(fields.max_offset);
    let body = if code == response::SUCCESS { frame.body } else { Bytes::new() };
    let batch = collect(context, body, next, fields.offset_delta.unwrap_or(0));
    if batch.items.is_empty() && batch.to <= context.from {
        return Pulled::Nothing { suggested, end };
    }
    Pulled::Batch { batch: Arc::new(batch), suggested, end }
}

/// The records of an answer that belong to the subscription; those that cannot be read keep their place.
fn collect(context: &PullContext, frame: Bytes, next: QueueOffset, delta: i64) -> Batch {
    let mut items = Vec::new();
    let mut to = next;
    // The first offset that no record so far has had, wanted or not.
    let mut after = context.from;
    for entry in message::walk(&frame, context.limits) {
        match entry {
            Entry::Record(record) if record.sys_flag.inner_batch() => {
                after = after.max(unwrap(context, &record, &frame, next, &mut items)).min(next);
            }
            Entry::Record(mut record) => {
                record.queue_offset = shifted(record.queue_offset, delta);
                after = after.max(record.queue_offset.next()).min(next);
                if record.queue_offset < next && wanted(context, record.properties(&frame), record.queue_offset) {
                    let physical_offset = Some(record.physical_offset);
                    items.push(Item { offset: record.queue_offset, physical_offset, content: Content::Record(record) });
                }
            }
            Entry::Poison(_) if mutant!(6) => break,
            Entry::Poison(poison) => {
                // Its own bytes may lie about its place: it is one of the offsets that this pull passes.
                let own = poison.queue_offset.map(|offset| shifted(offset, delta));
                let offset = own.filter(|offset| (after..next).contains(offset)).unwrap_or(after);
                let content = Content::Poison(Poison {
                    start: poison.start,
                    len: poison.len,
                    cause: PoisonCause::Record(poison.reason),
                });
                items.push(Item { offset, physical_offset: poison.physical_offset, content });
                after = offset.next().min(next);
            }
            Entry::Rest(lost) => {
                // What follows cannot be found in these bytes: pull again from there. If nothing came before,
                // that would repeat forever, so the record at that offset is poison.
                match lost.reason {
                    _ if after > context.from => to = after,
                    LostReason::TooMany(_) => to = context.from,
                    LostReason::Truncated(_) | LostReason::Size(_) | LostReason::PastEnd { .. } => {
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
        pop: None,
    }
}

/// Takes a stored batch apart and gives the offset after it; items below the offset asked for were handed out before,
/// those that the broker does not count as passed come again.
fn unwrap(
    context: &PullContext,
    outer: &Record,
    frame: &Bytes,
    next: QueueOffset,
    items: &mut Vec<Item>,
) -> QueueOffset {
    let physical_offset = Some(outer.physical_offset);
    let mut after = outer.queue_offset;
    match message::batch::unwrap_inner(outer, frame) {
        Ok(inner) => {
            for part in inner.into_iter().take_while(|part| part.queue_offset < next) {
                after = part.queue_offset.next();
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
                items.push(Item { offset: part.queue_offset, physical_offset, content: Content::Record(record) });
            }
        }
        Err(error) => {
            let poison = Poison { start: outer.start, len: outer.len, cause: PoisonCause::Batch(error) };
            let offset = outer.queue_offset.max(context.from);
            after = offset.next();
            items.push(Item { offset, physical_offset, content: Content::Poison(poison) });
        }
    }
    after
}

fn wanted(context: &PullContext, raw: &[u8], offset: QueueOffset) -> bool {
    let subscription = &context.subscription;
    let matches = || subscription.tags_set.is_empty() || subscription.matches(properties::get(raw, name::TAGS));
    offset >= context.from && (mutant!(27) || matches())
}

fn shifted(offset: QueueOffset, delta: i64) -> QueueOffset {
    QueueOffset::from_wire(offset.to_wire().saturating_add(delta)).unwrap_or(offset)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

    use super::*;
    use crate::ids::Opaque;
    use crate::time::UnixMillis;
    use crate::wire::header::HeaderLimits;
    use crate::wire::message::{RecordVersion, StoredMessage, SysFlags, batch, encode_record};
    use crate::wire::{Codec, frame};

    fn record(offset: u64, tag: &str, inner: Option<usize>) -> Vec<u8> {
        let properties = properties::encode([(name::TAGS, tag)]).unwrap();
        let item = batch::BatchItem { flag: 0, body: b"b", properties: properties.as_bytes() };
        let (body, sys_flag) = match inner {
            Some(count) => (batch::encode(&alloc::vec![item; count]).unwrap(), 0xC0),
            None => (b"body".to_vec(), 0),
        };
        let message = StoredMessage {
            queue_id: 0,
            flag: 0,
            queue_offset: QueueOffset::new(offset),
            physical_offset: i64::try_from(offset).unwrap().saturating_mul(1_000),
            sys_flag: SysFlags(sys_flag),
            born_timestamp: 0,
            born_host: "127.0.0.1:1".parse().unwrap(),
            store_timestamp: 0,
            store_host: "127.0.0.1:2".parse().unwrap(),
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: body.into(),
            topic: "t".into(),
            properties: properties.into(),
        };
        let mut out = Vec::new();
        encode_record(&message, RecordVersion::V1, &mut out).unwrap();
        out
    }

    /// The batch of a pull from 10 by tag `a`: (`to`, offsets, offsets of poison).
    fn pulled(body: Vec<u8>, next: i64, max_records: usize) -> Option<(u64, Vec<u64>, Vec<u64>)> {
        let queue = MessageQueue { topic: "t".into(), broker: "b".into(), id: 0 };
        let context = PullContext {
            group: "g".into(),
            queue: Arc::new(queue),
            epoch: Epoch(1),
            from: QueueOffset::new(10),
            from_slave: false,
            subscription: Arc::new(SubscriptionData::tags("t".into(), "a", UnixMillis(0)).unwrap()),
            limits: RecordLimits { max_records, verify_crc: true },
            pop: None,
        };
        let fields = PullMessageResponse {
            suggested_broker: 0,
            next_begin_offset: next,
            min_offset: 0,
            max_offset: 100,
            offset_delta: None,
        };
        let bytes = fields.response(0, None, Codec::Json, body.into()).to_bytes(Opaque(1));
        let frame = frame::decode(&bytes, &HeaderLimits::default()).unwrap();
        let Pulled::Batch { batch, .. } = decode(&context, frame) else { return None };
        let poison = |item: &&Item| matches!(item.content, Content::Poison(_));
        let offsets = |items: &mut dyn Iterator<Item = &Item>| items.map(|item| item.offset.get()).collect();
        let good = offsets(&mut batch.items.iter().filter(|item| !poison(item)));
        Some((batch.to.get(), good, offsets(&mut batch.items.iter().filter(poison))))
    }

    #[test]
    fn what_was_filtered_out_counts_for_the_place_of_poison() {
        let mut corrupt = record(11, "a", None);
        // An impossible magic, and an offset that lies.
        corrupt[4] = 0;
        corrupt[20..28].copy_from_slice(&77_i64.to_be_bytes());
        let body = [record(10, "b", None), corrupt, record(12, "a", None)].concat();
        assert_eq!(pulled(body, 13, 100), Some((13, alloc::vec![12], alloc::vec![11])));
    }

    #[test]
    fn what_was_filtered_out_before_a_loss_is_passed() {
        let body = [record(10, "b", None), record(11, "a", None)[..50].to_vec()].concat();
        assert_eq!(pulled(body, 12, 100), Some((11, Vec::new(), Vec::new())));
        let cut = record(10, "a", None)[..50].to_vec();
        assert_eq!(pulled(cut, 12, 100), Some((11, Vec::new(), alloc::vec![10])));
    }

    #[test]
    fn too_many_records_are_pulled_bit_by_bit_even_if_none_is_wanted() {
        let body = (10..20).flat_map(|offset| record(offset, "b", None)).collect();
        assert_eq!(pulled(body, 20, 4), Some((14, Vec::new(), Vec::new())));
    }

    #[test]
    fn a_stored_batch_may_hold_as_many_messages_as_its_bytes() {
        let body = record(10, "a", Some(20_000));
        assert_eq!(pulled(body, 20_010, 100), Some((20_010, (10..20_010).collect(), Vec::new())));
    }

    #[test]
    fn nothing_past_the_next_offset_is_handed_out() {
        let body = [record(10, "a", Some(5)), record(15, "a", None)].concat();
        assert_eq!(pulled(body, 12, 100), Some((12, alloc::vec![10, 11], Vec::new())));
        let body = [record(8, "a", Some(5)), record(13, "b", Some(2))].concat();
        assert_eq!(pulled(body, 15, 100), Some((15, alloc::vec![10, 11, 12], Vec::new())));
    }
}
