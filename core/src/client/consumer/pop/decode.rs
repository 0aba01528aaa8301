//! How the answer of a pop becomes a batch.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::client::consumer::pull::{PullContext, Pulled};
use crate::dispatch::{Batch, Content, Item, Poison, PoisonCause, PopBatch, PopItem};
use crate::ids::{Group, MessageQueue, QueueOffset};
use crate::wire::Frame;
use crate::wire::codes::response;
use crate::wire::header::FieldError;
use crate::wire::message::properties::{self, name};
use crate::wire::message::{self, Entry, Record};
use crate::wire::pop::{PopHandle, PopTopic, QueueOffsets};
use crate::wire::request::{Fields, PopMessageResponse};

/// What the answer of a pop is decoded with, besides what a pull's is.
#[derive(Clone, Debug)]
pub struct PopContext {
    /// The pop, and no other.
    pub id: u64,
    /// The group, after which retry topics are named.
    pub group: Group,
}

/// Reads the answer to a pop.
pub(in crate::client::consumer) fn decode(context: &PullContext, pop: &PopContext, frame: Frame) -> Pulled {
    let code = frame.header.code;
    let known = matches!(code, response::SUCCESS | response::PULL_NOT_FOUND | response::POLLING_TIMEOUT);
    if !known {
        return Pulled::Refused { code, remark: frame.header.remark.unwrap_or_default() };
    }
    let fields = match PopMessageResponse::read(&frame.header.ext) {
        Ok(fields) => fields,
        Err(error) => return Pulled::Malformed(error),
    };
    let version = frame.header.version;
    let (millis, invisible_millis) = (fields.pop_millis, fields.invisible_millis);
    let body = if code == response::SUCCESS { frame.body } else { Bytes::new() };
    match collect(context, pop, &fields, body) {
        Ok(batch) => Pulled::Popped { batch: Arc::new(batch), millis, invisible_millis, version },
        Err(error) => Pulled::Malformed(error),
    }
}

fn collect(
    context: &PullContext,
    pop: &PopContext,
    fields: &PopMessageResponse,
    frame: Bytes,
) -> Result<Batch, FieldError> {
    let table = |text: &Option<alloc::string::String>, key| {
        let text = text.as_deref().unwrap_or_default();
        text.parse::<QueueOffsets>().map_err(|_| FieldError { key, missing: false })
    };
    let mut into = Collector {
        context,
        pop,
        fields,
        starts: table(&fields.start_offsets, "startOffsetInfo")?,
        expected: table(&fields.offsets, "msgOffsetInfo")?
            .0
            .into_iter()
            .map(|(place, offsets)| (place, offsets.into_iter().collect()))
            .collect(),
        queues: BTreeMap::new(),
        items: Vec::new(),
        popped: Vec::new(),
        filtered: Vec::new(),
    };
    for entry in message::walk(&frame, context.limits) {
        match entry {
            Entry::Record(record) => into.record(record, &frame),
            Entry::Poison(poison) => into.poison(poison),
            // What cannot be found comes again when its time is over.
            Entry::Rest(_) => break,
        }
    }
    let Collector { items, popped, filtered, .. } = into;
    let frame = if items.is_empty() { Bytes::new() } else { frame };
    Ok(Batch {
        queue: context.queue.clone(),
        epoch: context.epoch,
        from: QueueOffset::ZERO,
        to: QueueOffset::ZERO,
        frame,
        items,
        pop: Some(PopBatch { id: pop.id, items: popped, filtered }),
    })
}

struct Collector<'a> {
    context: &'a PullContext,
    pop: &'a PopContext,
    fields: &'a PopMessageResponse,
    starts: QueueOffsets,
    /// Offsets of which no record came yet.
    expected: BTreeMap<(PopTopic, i32), VecDeque<QueueOffset>>,
    queues: BTreeMap<(PopTopic, i32), Arc<MessageQueue>>,
    items: Vec<Item>,
    popped: Vec<PopItem>,
    filtered: Vec<PopHandle>,
}

impl Collector<'_> {
    fn record(&mut self, record: Record, frame: &Bytes) {
        let handle = record.property(frame, name::POP_CK).and_then(|text| text.parse().ok());
        let handle = handle.unwrap_or_else(|| {
            let kind = PopTopic::of_record(record.topic(frame));
            self.handle(kind, record.queue_id, record.queue_offset)
        });
        if let Some(expected) = self.expected.get_mut(&(handle.topic, handle.queue_id)) {
            expected.retain(|offset| *offset != handle.offset);
        }
        if record.sys_flag.inner_batch() {
            return self.inner(&record, handle, frame);
        }
        self.wanted(record, handle, frame);
    }

    /// Takes a stored batch apart: its messages have one handle between them.
    fn inner(&mut self, outer: &Record, handle: PopHandle, frame: &Bytes) {
        match message::batch::unwrap_inner(outer, frame) {
            Ok(inner) => {
                let before = self.items.len();
                for part in inner {
                    let record = Record {
                        queue_offset: part.queue_offset,
                        flag: part.flag,
                        body: part.body,
                        properties: part.properties,
                        sys_flag: outer.sys_flag.without_compression(),
                        ..outer.clone()
                    };
                    if self.matches(&record, frame) {
                        self.push(record.queue_offset, Some(outer.physical_offset), Content::Record(record), &handle);
                    }
                }
                if self.items.len() == before {
                    self.filtered.push(handle);
                }
            }
            Err(error) => {
                let poison = Poison { start: outer.start, len: outer.len, cause: PoisonCause::Batch(error) };
                self.push(outer.queue_offset, Some(outer.physical_offset), Content::Poison(poison), &handle);
            }
        }
    }

    fn wanted(&mut self, record: Record, handle: PopHandle, frame: &Bytes) {
        if self.matches(&record, frame) {
            let physical_offset = Some(record.physical_offset);
            self.push(record.queue_offset, physical_offset, Content::Record(record), &handle);
        } else {
            self.filtered.push(handle);
        }
    }

    /// Its own bytes may lie about its place: it is one of those of which no record came.
    fn poison(&mut self, poison: message::Poison) {
        let here = |(place, offsets): (&(PopTopic, i32), &VecDeque<QueueOffset>)| {
            let own = poison.queue_offset.filter(|own| place.1 == poison.queue_id && offsets.contains(own));
            own.map(|offset| (*place, offset))
        };
        let first = |(place, offsets): (&(PopTopic, i32), &VecDeque<QueueOffset>)| Some((*place, *offsets.front()?));
        let place = self.expected.iter().find_map(here).or_else(|| self.expected.iter().find_map(first));
        let Some(((kind, queue_id), offset)) = place else {
            return;
        };
        if let Some(expected) = self.expected.get_mut(&(kind, queue_id)) {
            expected.retain(|known| *known != offset);
        }
        let handle = self.handle(kind, queue_id, offset);
        let cause = PoisonCause::Record(poison.reason);
        let content = Content::Poison(Poison { start: poison.start, len: poison.len, cause });
        self.push(offset, poison.physical_offset, content, &handle);
    }

    fn matches(&self, record: &Record, frame: &Bytes) -> bool {
        let subscription = &self.context.subscription;
        let tag = properties::get(record.properties(frame), name::TAGS);
        subscription.tags_set.is_empty() || subscription.matches(tag)
    }

    fn handle(&self, topic: PopTopic, queue_id: i32, offset: QueueOffset) -> PopHandle {
        PopHandle {
            start: self.starts.at(topic, queue_id, 0).unwrap_or(offset),
            pop_millis: self.fields.pop_millis,
            invisible_millis: self.fields.invisible_millis,
            revive_queue: self.fields.revive_queue,
            topic,
            broker: self.context.queue.broker.clone(),
            queue_id,
            offset,
        }
    }

    fn push(&mut self, offset: QueueOffset, physical_offset: Option<i64>, content: Content, handle: &PopHandle) {
        let (group, asked) = (&self.pop.group, &self.context.queue);
        let place = self.queues.entry((handle.topic, handle.queue_id)).or_insert_with(|| {
            let topic = handle.topic.name(group, &asked.topic);
            Arc::new(MessageQueue { topic, broker: asked.broker.clone(), id: handle.queue_id })
        });
        self.popped.push(PopItem { queue: place.clone(), handle: handle.clone() });
        self.items.push(Item { offset, physical_offset, content });
    }
}
