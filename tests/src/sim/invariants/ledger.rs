//! What each group still has to handle, queue by queue, as several invariants need it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::sim::history::{Copy, GroupSetup, Queue, Settled, Setup, What};

/// A group's queue.
pub(crate) type Key = (Arc<str>, Queue);

/// Offsets of queues.
type Places = BTreeSet<(Queue, i64)>;

/// Kept row by row.
pub(crate) struct Ledger {
    setup: Setup,
    /// Offsets of stored, wanted messages that are not handled.
    pub(super) open: BTreeMap<Key, BTreeMap<i64, Option<u64>>>,
    /// Offsets below this were lost and given again: a client may pass them by.
    pub(super) reused: BTreeMap<Queue, i64>,
    /// What is where in the brokers' logs.
    places: BTreeMap<(usize, i64), (Queue, i64)>,
    ends: BTreeMap<Queue, i64>,
    deliveries: BTreeMap<u64, (u32, Key, i64, Option<u64>)>,
    /// Offsets that were handed out and failed, by group and message.
    failed: BTreeMap<(Arc<str>, u64), Places>,
}

impl Ledger {
    pub(crate) fn new(setup: &Setup) -> Self {
        Self {
            setup: setup.clone(),
            open: BTreeMap::new(),
            reused: BTreeMap::new(),
            places: BTreeMap::new(),
            ends: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }

    /// Takes in what happened.
    pub(crate) fn row(&mut self, what: &What) {
        match what {
            What::Stored(copy) => self.stored(copy),
            What::Lost { broker, end } => self.lost(*broker, *end),
            What::Trimmed { queue, min } => {
                let of_queue = self.open.iter_mut().filter(|((_, known), _)| known == queue);
                of_queue.for_each(|(_, open)| *open = open.split_off(min));
            }
            // What an operator passes by is nobody's any more.
            What::Moved { group, queue, offset } => {
                if let Some(open) = self.open.get_mut(&(group.clone(), queue.clone())) {
                    *open = open.split_off(offset);
                }
            }
            What::Delivered { delivery, member, group, queue, offset, id, .. } => {
                self.deliveries.insert(*delivery, (*member, (group.clone(), queue.clone()), *offset, *id));
            }
            // It is a failure, whatever its handler says later.
            What::Overdue { member, group, queue, offset } => {
                let late = |(of, (known, at), place, _): &(u32, Key, i64, Option<u64>)| {
                    (of, known, at, place) == (member, group, queue, offset)
                };
                let late: Vec<u64> =
                    self.deliveries.iter().filter(|(_, one)| late(one)).map(|(delivery, _)| *delivery).collect();
                for (_, key, offset, id) in
                    late.iter().filter_map(|delivery| self.deliveries.remove(delivery)).collect::<Vec<_>>()
                {
                    self.failed(key, offset, id);
                }
            }
            What::Settled { delivery, how } => {
                let Some((_, key, offset, id)) = self.deliveries.remove(delivery) else { return };
                match (how, id) {
                    (Settled::Ack, _) => self.handled(&key, offset),
                    _ if self.is_broadcast(&key.0) => self.handled(&key, offset),
                    (Settled::Retry | Settled::Dropped, id) => self.failed(key, offset, id),
                }
            }
            What::Unreadable { group, queue, offset } if self.is_broadcast(group) => {
                self.handled(&(group.clone(), queue.clone()), *offset);
            }
            What::SentBack { group, broker, physical } => {
                if let Some((queue, offset)) = self.places.get(&(*broker, *physical)).cloned() {
                    self.handled(&(group.clone(), queue), offset);
                }
            }
            _ => {}
        }
    }

    /// A group need not handle what is at this offset.
    pub(super) fn pass(&mut self, group: &Arc<str>, queue: &Queue, offset: i64) {
        self.handled(&(group.clone(), queue.clone()), offset);
    }

    /// Something that is still to be handled, if anything is.
    pub(crate) fn left(&self) -> Option<(&Key, i64, Option<u64>)> {
        self.open.iter().find_map(|(key, open)| {
            let (offset, id) = open.iter().find(|(offset, _)| !self.is_reused(&key.1, **offset))?;
            Some((key, *offset, *id))
        })
    }

    /// Whether an offset was lost by a broker and given to another message.
    pub(super) fn is_reused(&self, queue: &Queue, offset: i64) -> bool {
        self.reused.get(queue).is_some_and(|end| offset < *end)
    }

    /// Whether a group stands for a member of a broadcasting one.
    pub(super) fn is_broadcast(&self, group: &str) -> bool {
        self.setup.groups.iter().any(|setup| setup.broadcast && *setup.name == *group)
    }

    fn failed(&mut self, key: Key, offset: i64, id: Option<u64>) {
        if let Some(id) = id {
            self.failed.entry((key.0, id)).or_default().insert((key.1, offset));
        }
    }

    fn stored(&mut self, copy: &Copy) {
        self.places.insert((copy.queue.broker, copy.physical), (copy.queue.clone(), copy.offset));
        self.ends.insert(copy.queue.clone(), copy.offset + 1);
        let topic = &*copy.queue.topic;
        let wants = |group: &&GroupSetup| {
            let wanted = *topic == *group.topic && group.wants(&copy.tag, copy.id);
            wanted || topic.strip_prefix(RETRY) == Some(&*group.name)
        };
        for group in self.setup.groups.iter().filter(wants) {
            let key = (group.name.clone(), copy.queue.clone());
            self.open.entry(key).or_default().insert(copy.offset, copy.id);
        }
        // A copy on its way to a retry topic takes the place of the one that failed.
        if let (Some(group), Some(id)) = (goal_of(copy), copy.id) {
            let failed = self.failed.remove(&(Arc::from(group), id)).unwrap_or_default();
            failed.into_iter().for_each(|(queue, offset)| self.handled(&(Arc::from(group), queue), offset));
        }
    }

    fn lost(&mut self, broker: usize, end: i64) {
        let gone = self.places.split_off(&(broker, end));
        let (of_others, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            gone.into_iter().partition(|((other, _), _)| *other != broker);
        self.places.extend(of_others);
        for (queue, offset) in gone.into_values() {
            let end = self.ends.get(&queue).copied().unwrap_or(0);
            let reused = self.reused.entry(queue.clone()).or_default();
            *reused = end.max(*reused);
            for ((_, known), open) in &mut self.open {
                if *known == queue {
                    open.remove(&offset);
                }
            }
        }
    }

    /// The first offset of a queue that is still to be handled.
    pub(super) fn first_open(&self, key: &Key) -> Option<i64> {
        self.open.get(key)?.keys().copied().find(|offset| !self.is_reused(&key.1, *offset))
    }

    fn handled(&mut self, key: &Key, offset: i64) {
        if let Some(open) = self.open.get_mut(key) {
            open.remove(&offset);
        }
    }
}

/// The group whose retry or dead-letter topic a copy is in, or on its way to.
pub(super) fn goal_of(copy: &Copy) -> Option<&str> {
    // One that was delayed goes on saying for which topic.
    let goal = if copy.is_waiting() { copy.real_topic.as_deref()? } else { &*copy.queue.topic };
    goal.strip_prefix(RETRY).or_else(|| goal.strip_prefix(DEAD))
}

/// Before the group in the name of its retry topic.
const RETRY: &str = "%RETRY%";
/// Before the group in the name of its dead-letter topic.
const DEAD: &str = "%DLQ%";
