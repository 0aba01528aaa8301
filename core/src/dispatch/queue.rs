//! One assigned queue: spans of pulled offsets and the marks of what is settled.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Batch, Handled, Progress, Taken};
use crate::ids::{Epoch, MessageQueue, QueueOffset};
use crate::mutants::mutant;
use crate::time::Instant;

/// The spans of one assignment of one queue.
#[derive(Debug)]
pub(super) struct Queue {
    queue: Arc<MessageQueue>,
    epoch: Epoch,
    spans: VecDeque<Span>,
    /// Number of the first span in `spans`.
    base: u64,
    /// The next item to hand out.
    cursor: Position,
    redeliver: VecDeque<(Position, i32)>,
    local_retries: BTreeMap<Position, i32>,
    /// Taken from handlers that took too long: what those say of it, by how often it had come, counts no more.
    voided: BTreeSet<(Position, i32)>,
    settled_to: QueueOffset,
    unsettled: u64,
    pinned: u64,
    settled: u64,
    released_bytes: u64,
    outstanding: u64,
    handled: Handled,
    /// The control plane waits until no more than so many messages and bytes are left.
    low: Option<(u64, u64)>,
    in_ring: bool,
    dirty: bool,
    stopped: bool,
    /// Orderly only.
    order: Option<Order>,
}

/// What keeps the messages of a queue in order: in one handler at a time, while the lease lasts.
#[derive(Debug, Default)]
struct Order {
    lease: Instant,
    /// What is in a handler.
    busy: Vec<Position>,
    /// Done, and waiting for a commit.
    held: Vec<Position>,
    /// Of those that are to come again, the ones that were rolled back.
    rolled_back: Vec<Position>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    span: u64,
    index: usize,
}

/// One pull: its offsets, and its records until all are settled.
#[derive(Debug)]
struct Span {
    batch: Option<Arc<Batch>>,
    to: QueueOffset,
    marks: Vec<Mark>,
    open: usize,
    /// Popped: until when each is hidden from others.
    hidden: Vec<Instant>,
}

/// Where an item is between pull and settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// Not handed out yet, or failed.
    Waiting,
    /// In a handler since this tick.
    Out(u32),
    /// In a handler that takes too long, which was told.
    Overdue,
    Settled,
}

pub(super) struct Next {
    pub(super) taken: Taken,
    pub(super) last_of_batch: bool,
}

impl Queue {
    pub(super) fn new(queue: Arc<MessageQueue>, epoch: Epoch, from: QueueOffset) -> Self {
        Self {
            queue,
            epoch,
            spans: VecDeque::new(),
            base: 0,
            cursor: Position { span: 0, index: 0 },
            redeliver: VecDeque::new(),
            local_retries: BTreeMap::new(),
            voided: BTreeSet::new(),
            settled_to: from,
            unsettled: 0,
            pinned: 0,
            settled: 0,
            released_bytes: 0,
            outstanding: 0,
            handled: Handled::default(),
            low: None,
            in_ring: false,
            dirty: false,
            stopped: false,
            order: None,
        }
    }

    /// Is in one handler at a time from now on, until then at most.
    pub(super) fn put_in_order(&mut self, lease: Option<Instant>) {
        self.order.get_or_insert_default().lease = lease.unwrap_or_default();
    }

    pub(super) fn push(&mut self, batch: Arc<Batch>) {
        let open = batch.items.len();
        let (to, bytes) = (batch.to, batch.bytes());
        let keep = open > 0;
        if keep {
            self.pinned = self.pinned.saturating_add(bytes);
        } else {
            self.released_bytes = self.released_bytes.saturating_add(bytes);
        }
        self.unsettled = self.unsettled.saturating_add(wide(open));
        let hidden = if batch.pop.is_some() { alloc::vec![Instant::FAR; open] } else { Vec::new() };
        let marks = alloc::vec![Mark::Waiting; open];
        self.spans.push_back(Span { batch: keep.then_some(batch), to, marks, open, hidden });
        self.trim();
    }

    /// The next item to hand out.
    pub(super) fn next(&mut self, slot: usize, now: Instant, tick: u32) -> Option<Next> {
        if self.is_occupied() {
            return None;
        }
        if self.order.as_ref().is_some_and(|order| now >= order.lease) && !mutant!(12) {
            return None;
        }
        self.one_more(slot, now, tick)
    }

    /// The one after that, into the same hands.
    pub(super) fn one_more(&mut self, slot: usize, now: Instant, tick: u32) -> Option<Next> {
        if self.stopped {
            return None;
        }
        let next = self.next_in_turn(slot, now)?;
        let position = Position::of(&next.taken);
        self.outstanding = self.outstanding.saturating_add(1);
        self.mark(position, Mark::Out(tick));
        if let Some(order) = &mut self.order {
            order.busy.push(position);
        }
        Some(next)
    }

    /// Takes back what was handed out, as if it never was.
    pub(super) fn put_back(&mut self, taken: &Taken) {
        let position = Position::of(taken);
        self.handler_ended(taken);
        self.outstanding = self.outstanding.saturating_sub(1);
        self.again(position, taken.local_retries);
    }

    fn next_in_turn(&mut self, slot: usize, at: Instant) -> Option<Next> {
        while let Some((position, local_retries)) = self.redeliver.pop_front() {
            // Settled since, by whoever still held it.
            let Some(batch) = self.batch_of_open(position) else { continue };
            let taken =
                Taken { batch, index: position.index, local_retries, at, direct: None, slot, span: position.span };
            return Some(Next { taken, last_of_batch: false });
        }
        self.cursor = self.cursor();
        loop {
            let cursor = self.cursor;
            let span = self.spans.get(index_of(cursor.span, self.base))?;
            let len = span.marks.len();
            if cursor.index >= len {
                self.cursor = Position { span: cursor.span.saturating_add(1), index: 0 };
                continue;
            }
            let batch = span.batch.clone()?;
            self.cursor.index = cursor.index.saturating_add(1);
            let last_of_batch = self.cursor.index >= len;
            let taken =
                Taken { batch, index: cursor.index, local_retries: 0, at, direct: None, slot, span: cursor.span };
            return Some(Next { taken, last_of_batch });
        }
    }

    /// A handler is done with a message.
    pub(super) fn count(&mut self, ok: bool, time: Duration) {
        let (ok, failed) = (u64::from(ok), u64::from(!ok));
        self.handled = self.handled.plus(Handled { ok, failed, time });
    }

    /// What has been in handlers for more than so many ticks, from the first on and so much of it at most. Each is told
    /// once; voided, it is in nobody's hands any more.
    pub(super) fn overdue(&mut self, slot: usize, tick: u32, ticks: u32, voids: bool) -> Vec<Taken> {
        let mut found = Vec::new();
        for (at, span) in self.spans.iter_mut().enumerate() {
            let Some(batch) = &span.batch else { continue };
            for (index, mark) in span.marks.iter_mut().enumerate() {
                match mark {
                    Mark::Out(since) if tick.wrapping_sub(*since) > ticks => {}
                    Mark::Out(_) | Mark::Waiting | Mark::Overdue | Mark::Settled => continue,
                }
                let span = self.base.saturating_add(wide(at));
                let position = Position { span, index };
                let local_retries = self.local_retries.get(&position).copied().unwrap_or(0);
                *mark = if voids { Mark::Waiting } else { Mark::Overdue };
                if voids && !mutant!(30) {
                    self.voided.insert((position, local_retries));
                }
                let at = Instant::ZERO;
                found.push(Taken { batch: batch.clone(), index, local_retries, at, direct: None, slot, span });
                if found.len() >= MOST_OVERDUE {
                    return found;
                }
            }
        }
        found
    }

    /// Whether a handler took so long that this hand-out counts no more; that is told once.
    pub(super) fn is_void(&mut self, taken: &Taken) -> bool {
        !self.voided.is_empty() && self.voided.remove(&(Position::of(taken), taken.local_retries))
    }

    /// Asks to be told when no more than this is left; whether it is so already.
    pub(super) fn tell_low(&mut self, messages: u64, bytes: u64) -> bool {
        self.low = Some((messages, bytes));
        self.is_low()
    }

    /// Marks an item settled; whether that left no more than was asked for.
    pub(super) fn settle(&mut self, span: u64, index: usize) -> bool {
        let Some(at) = self.spans.get_mut(index_of(span, self.base)) else {
            return false;
        };
        match at.marks.get_mut(index) {
            Some(mark) if *mark != Mark::Settled => *mark = Mark::Settled,
            _ => return false,
        }
        at.open = at.open.saturating_sub(1);
        self.unsettled = self.unsettled.saturating_sub(1);
        self.settled = self.settled.saturating_add(1);
        self.outstanding = self.outstanding.saturating_sub(1);
        if at.open == 0 {
            let bytes = at.batch.take().map_or(0, |batch| batch.bytes());
            self.pinned = self.pinned.saturating_sub(bytes);
            self.released_bytes = self.released_bytes.saturating_add(bytes);
            self.local_retries.retain(|position, _| position.span != span);
            self.trim();
        }
        self.is_low()
    }

    /// Done, but not settled before a later one is committed.
    pub(super) fn hold(&mut self, taken: &Taken) {
        if let Some(order) = &mut self.order {
            order.held.push(Position::of(taken));
            self.outstanding = self.outstanding.saturating_sub(1);
        }
    }

    /// Settles an item and all that were held; whether that left no more than was asked for.
    pub(super) fn commit(&mut self, taken: &Taken) -> bool {
        let held = self.order.as_mut().map(|order| core::mem::take(&mut order.held)).unwrap_or_default();
        // They were counted out when they were held.
        self.outstanding = self.outstanding.saturating_add(wide(held.len()));
        let mut is_low = false;
        for position in held {
            is_low |= self.settle(position.span, position.index);
        }
        self.settle(taken.span, taken.index) || is_low
    }

    /// What was held comes again, and after it this item.
    pub(super) fn roll_back(&mut self, taken: &Taken) {
        if let Some(order) = &mut self.order {
            order.rolled_back.push(Position::of(taken));
            for position in core::mem::take(&mut order.held) {
                let retries = self.local_retries.get(&position).copied().unwrap_or(0);
                self.again(position, retries);
            }
        }
    }

    /// The message that was in a handler is not any more.
    pub(super) fn handler_ended(&mut self, taken: &Taken) {
        let position = Position::of(taken);
        if let Some(order) = &mut self.order {
            order.busy.retain(|known| *known != position);
        }
        self.mark(position, Mark::Waiting);
    }

    fn mark(&mut self, at: Position, as_it_is: Mark) {
        let span = self.spans.get_mut(index_of(at.span, self.base));
        if let Some(mark) = span.and_then(|span| span.marks.get_mut(at.index))
            && *mark != Mark::Settled
        {
            *mark = as_it_is;
        }
    }

    pub(super) fn redeliver(&mut self, taken: &Taken) {
        let position = Position::of(taken);
        let rolled_back = self.order.as_mut().is_some_and(|order| {
            let known = order.rolled_back.iter().position(|known| *known == position);
            known.map(|at| order.rolled_back.swap_remove(at)).is_some()
        });
        let retries = self.local_retries.entry(position).or_insert(0);
        *retries = retries.saturating_add(i32::from(!rolled_back));
        let retries = *retries;
        self.outstanding = self.outstanding.saturating_sub(1);
        self.again(position, retries);
    }

    /// Puts an item among those that come again: in order, where that counts.
    fn again(&mut self, position: Position, retries: i32) {
        let later = |(known, _): &(Position, i32)| self.order.is_some() && *known > position;
        let place = self.redeliver.iter().position(later).unwrap_or(self.redeliver.len());
        self.redeliver.insert(place, (position, retries));
    }

    /// Stops at an item that was handed out and will never be settled.
    pub(super) fn stop(&mut self, taken: &Taken) {
        self.stopped = true;
        self.handler_ended(taken);
        self.outstanding = self.outstanding.saturating_sub(1);
    }

    /// Stands in line when there is something to hand out; whether it does so from now on.
    pub(super) fn enter_ring(&mut self, slot: usize, ring: &mut VecDeque<usize>) -> bool {
        let enters = !self.in_ring && !self.stopped && !self.is_occupied() && self.has_next();
        if enters {
            self.in_ring = true;
            ring.push_back(slot);
        }
        enters
    }

    pub(super) fn leave_ring(&mut self) {
        self.in_ring = false;
    }

    pub(super) fn mark_dirty(&mut self, slot: usize, dirty: &mut VecDeque<usize>) {
        if !core::mem::replace(&mut self.dirty, true) {
            dirty.push_back(slot);
        }
    }

    /// How far the queue is settled; the walk to the first open item happens here, not per message.
    pub(super) fn progress(&mut self) -> Progress {
        self.dirty = false;
        if mutant!(2) {
            self.settled_to = self.settled_to.max(self.last_settled());
        }
        if let Some(span) = self.spans.front()
            && let Some(batch) = &span.batch
            && let Some(first_open) = span.marks.iter().position(|mark| *mark != Mark::Settled)
            && let Some(item) = batch.items.get(first_open)
        {
            self.settled_to = self.settled_to.max(item.offset);
        }
        Progress {
            queue: self.queue.clone(),
            epoch: self.epoch,
            settled_to: self.settled_to,
            settled: self.settled,
            released_bytes: self.released_bytes,
            outstanding: self.outstanding,
            busy: self.busy() > 0,
            handled: core::mem::take(&mut self.handled),
        }
    }

    /// The end of the last settled item: what a mistaken client commits.
    fn last_settled(&self) -> QueueOffset {
        let last = |span: &Span| {
            let at = span.marks.iter().rposition(|mark| *mark == Mark::Settled)?;
            Some(span.batch.as_ref()?.items.get(at)?.offset.next())
        };
        self.spans.iter().filter_map(last).max().unwrap_or(self.settled_to)
    }

    /// Popped: the next message that was not handed out, to be given back.
    pub(super) fn next_popped(&mut self, slot: usize) -> Option<Taken> {
        let taken = self.next_in_turn(slot, Instant::ZERO)?.taken;
        self.outstanding = self.outstanding.saturating_add(1);
        taken.batch.pop.is_some().then_some(taken)
    }

    /// Popped: until when the messages of a pop are hidden.
    pub(super) fn hidden_of(&mut self, id: u64) -> Option<&mut Vec<Instant>> {
        let of_pop =
            |span: &&mut Span| span.batch.as_ref().and_then(|batch| batch.pop.as_ref()).is_some_and(|pop| pop.id == id);
        self.spans.iter_mut().find(of_pop).map(|span| &mut span.hidden)
    }

    /// Popped: whether a message is hidden no longer.
    pub(super) fn is_over(&self, span: u64, index: usize, now: Instant) -> bool {
        let span = self.spans.get(index_of(span, self.base));
        span.and_then(|span| span.hidden.get(index)).is_some_and(|until| *until <= now)
    }

    /// Whether a message is not settled yet.
    pub(super) fn is_open(&self, span: u64, index: usize) -> bool {
        let span = self.spans.get(index_of(span, self.base));
        span.and_then(|span| span.marks.get(index)).is_some_and(|mark| *mark != Mark::Settled)
    }

    /// Whether its messages were popped.
    pub(super) fn is_popped(&self) -> bool {
        self.spans.iter().any(|span| !span.hidden.is_empty())
    }

    pub(super) fn is(&self, epoch: Epoch) -> bool {
        self.epoch == epoch
    }

    /// Messages in a handler. Orderly only.
    pub(super) fn busy(&self) -> usize {
        self.order.as_ref().map_or(0, |order| order.busy.len())
    }

    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// Whether a message that is out bars those after it.
    fn is_occupied(&self) -> bool {
        if mutant!(84) && self.busy() > 1 {
            return false;
        }
        self.order.is_some() && self.outstanding > 0 && !mutant!(43)
    }

    fn has_next(&self) -> bool {
        if !self.redeliver.is_empty() {
            return true;
        }
        let cursor = self.cursor();
        let at = index_of(cursor.span, self.base);
        let begun = self.spans.get(at).is_some_and(|span| cursor.index < span.marks.len());
        begun || self.spans.iter().skip(at.saturating_add(1)).any(|span| span.open > 0)
    }

    /// The cursor, moved past spans that were let go.
    fn cursor(&self) -> Position {
        self.cursor.max(Position { span: self.base, index: 0 })
    }

    fn batch_of_open(&self, at: Position) -> Option<Arc<Batch>> {
        let span = self.spans.get(index_of(at.span, self.base))?;
        let mark = *span.marks.get(at.index)?;
        if mark == Mark::Settled { None } else { span.batch.clone() }
    }

    /// Lets go of leading spans with nothing open.
    fn trim(&mut self) {
        while let Some(span) = self.spans.front()
            && span.open == 0
        {
            self.settled_to = self.settled_to.max(span.to);
            self.spans.pop_front();
            self.base = self.base.saturating_add(1);
        }
    }

    /// Whether no more is left than was asked for; that is told once.
    fn is_low(&mut self) -> bool {
        let low = self.low.take_if(|(messages, bytes)| self.unsettled <= *messages && self.pinned <= *bytes);
        low.is_some()
    }
}

impl Position {
    fn of(taken: &Taken) -> Self {
        Self { span: taken.span, index: taken.index }
    }
}

fn index_of(span: u64, base: u64) -> usize {
    span.checked_sub(base).and_then(|at| usize::try_from(at).ok()).unwrap_or(usize::MAX)
}

fn wide(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// What is overdue of one queue is told so much of at a time. Source: Java `ProcessQueue.cleanExpiredMsg`.
const MOST_OVERDUE: usize = 16;
