//! What members have in hand of their queues, pulled and not settled, as far as their pulls tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rocketmq_core::time::Instant;

use crate::sim::history::{GroupSetup, History, Queue, Setup, What};

/// A queue of a member.
pub(super) type Owned = (u32, Arc<str>, Queue);

/// Kept row by row.
pub(super) struct Hands {
    setup: Setup,
    members: BTreeMap<usize, u32>,
    newest: BTreeMap<(usize, usize), u64>,
    /// Links that were given up; what is on its way on them may come later.
    ended: BTreeSet<(usize, u64)>,
    stored: BTreeMap<Queue, BTreeMap<i64, Stored>>,
    places: BTreeMap<(usize, i64), (Queue, i64)>,
    owned: BTreeSet<Owned>,
    runs: BTreeMap<Owned, Run>,
    deliveries: BTreeMap<u64, (Owned, i64)>,
}

struct Stored {
    tag: Arc<str>,
    id: Option<u64>,
    bytes: u64,
}

/// One queue since its member chose where to begin.
struct Run {
    start: i64,
    /// Settled, taken back by the broker, or unreadable and given to the policy.
    done: BTreeSet<i64>,
    /// When each pull was written, and where it began.
    pulls: Vec<(Instant, i64)>,
    /// The fewest queues of the topic that the member had since the last pull.
    queues: usize,
}

/// A pull to be judged: what was in hand all the while in which the client can have decided on it.
#[derive(Debug)]
pub(super) struct Pull<'a> {
    pub(super) owned: Owned,
    pub(super) setup: &'a GroupSetup,
    /// The fewest queues of the topic that the member had meanwhile.
    pub(super) queues: usize,
    /// Messages of the queue.
    pub(super) messages: usize,
    /// Bytes of all queues of the member.
    pub(super) bytes: u64,
}

impl Hands {
    pub(super) fn new(history: &History) -> Self {
        Self {
            setup: history.setup.clone(),
            members: BTreeMap::new(),
            newest: BTreeMap::new(),
            ended: BTreeSet::new(),
            stored: BTreeMap::new(),
            places: BTreeMap::new(),
            owned: BTreeSet::new(),
            runs: BTreeMap::new(),
            deliveries: BTreeMap::new(),
        }
    }

    /// Takes in what happened; a pull of which enough is known comes back.
    pub(super) fn row(&mut self, what: &What) -> Option<Pull<'_>> {
        match what {
            What::Joined { host, member } => drop(self.members.insert(*host, *member)),
            What::Stored(copy) => {
                let stored = Stored { tag: copy.tag.clone(), id: copy.id, bytes: copy.bytes };
                self.stored.entry(copy.queue.clone()).or_default().insert(copy.offset, stored);
                self.places.insert((copy.queue.broker, copy.physical), (copy.queue.clone(), copy.offset));
            }
            What::Trimmed { queue, min } => {
                if let Some(known) = self.stored.get_mut(queue) {
                    *known = known.split_off(min);
                }
            }
            What::Lost { broker, .. } => self.runs.retain(|(_, _, queue), _| queue.broker != *broker),
            What::Moved { queue, .. } | What::Illegal { queue, .. } => {
                self.runs.retain(|(_, _, known), _| known != queue);
            }
            What::Assigned { member, group, added, revoked } => {
                let key = |queue: &Queue| (*member, group.clone(), queue.clone());
                self.owned.extend(added.iter().map(key));
                for key in revoked.iter().map(key) {
                    self.owned.remove(&key);
                    self.runs.remove(&key);
                }
                for (key, run) in self.runs.iter_mut().filter(|((of, known, _), _)| (of, known) == (member, group)) {
                    run.queues = run.queues.min(of_topic(&self.owned, key));
                }
            }
            What::Start { member, group, queue, offset } => {
                let key = (*member, group.clone(), queue.clone());
                let queues = of_topic(&self.owned, &key);
                self.runs.insert(key, Run { start: *offset, done: BTreeSet::new(), pulls: Vec::new(), queues });
            }
            What::Delivered { delivery, member, group, queue, offset, .. } => {
                self.deliveries.insert(*delivery, ((*member, group.clone(), queue.clone()), *offset));
            }
            What::Settled { delivery, .. } => {
                let (key, offset) = self.deliveries.remove(delivery)?;
                self.runs.get_mut(&key)?.done.insert(offset);
            }
            What::Overdue { member, group, queue, offset } => {
                self.runs.get_mut(&(*member, group.clone(), queue.clone()))?.done.insert(*offset);
            }
            What::SentBack { group, broker, physical } => {
                let (queue, offset) = self.places.get(&(*broker, *physical)).cloned()?;
                self.done(group, &queue, offset);
            }
            What::Unreadable { group, queue, offset } => self.done(group, queue, *offset),
            What::Ended { host, link, .. } => drop(self.ended.insert((*host, *link))),
            What::Pull { host, link, group, queue, offset, written } => {
                // What comes over an older link may be of an earlier assignment.
                let newest = self.newest.entry((*host, queue.broker)).or_default();
                *newest = (*newest).max(*link);
                if link < newest || self.ended.contains(&(*host, *link)) {
                    return None;
                }
                let member = *self.members.get(host)?;
                return self.pull((member, group.clone(), queue.clone()), *offset, *written);
            }
            _ => {}
        }
        None
    }

    fn pull(&mut self, owned: Owned, offset: i64, written: Instant) -> Option<Pull<'_>> {
        let last = self.runs.get(&owned)?.pulls.last().map(|(at, _)| *at);
        let messages = self.in_hand(&owned, offset)?.len();
        let of_member = self.runs.keys().filter(|(member, _, queue)| *member == owned.0 && *queue != owned.2);
        // Of the others it is certain what they had pulled when the client can have decided at the earliest.
        let known = |other: &Owned| {
            let pulls = &self.runs.get(other)?.pulls;
            let (_, offset) = pulls.iter().rev().find(|(at, _)| Some(*at) <= last)?;
            Some(self.in_hand(other, *offset)?.iter().sum::<u64>())
        };
        let of_others: u64 = of_member.filter_map(known).sum();
        let bytes = of_others + self.in_hand(&owned, offset)?.iter().sum::<u64>();
        let (now, run) = (of_topic(&self.owned, &owned), self.runs.get_mut(&owned)?);
        run.pulls.push((written, offset));
        let queues = std::mem::replace(&mut run.queues, now);
        let setup = self.setup.groups.iter().find(|setup| setup.name == owned.1)?;
        Some(Pull { owned, setup, queues, messages, bytes })
    }

    /// The sizes of what a member has of a queue below this offset.
    fn in_hand(&self, (member, group, queue): &Owned, offset: i64) -> Option<Vec<u64>> {
        let run = self.runs.get(&(*member, group.clone(), queue.clone()))?;
        let setup = self.setup.groups.iter().find(|setup| setup.name == *group)?;
        let retry = queue.topic.starts_with('%');
        let wanted = self.stored.get(queue)?.range(run.start.min(offset)..offset);
        let wanted =
            wanted.filter(|(at, stored)| (retry || setup.wants(&stored.tag, stored.id)) && !run.done.contains(at));
        Some(wanted.map(|(_, stored)| stored.bytes).collect())
    }

    fn done(&mut self, group: &str, queue: &Queue, offset: i64) {
        for (_, run) in self.runs.iter_mut().filter(|((_, of, known), _)| (&**of, known) == (group, queue)) {
            run.done.insert(offset);
        }
    }
}

/// How many queues of the topic of a queue its member owns.
fn of_topic(all: &BTreeSet<Owned>, (member, group, queue): &Owned) -> usize {
    all.iter().filter(|(of, known, other)| (of, known, &other.topic) == (member, group, &queue.topic)).count()
}
