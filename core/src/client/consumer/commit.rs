//! Offsets on their way to the broker: always behind the first unsettled message.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::queue::Assigned;
use super::{Consumer, Siblings, State};
use crate::client::signal::ReplyTo;
use crate::client::view::MASTER_ID;
use crate::dispatch::Progress;
use crate::effects::Effects;
use crate::error::RequestError;
use crate::ids::{BrokerName, Epoch, MessageQueue, QueueOffset, Topic};
use crate::mutants::mutant;
use crate::timers::TimerKey;
use crate::wire::Frame;
use crate::wire::codes::response;
use crate::wire::request::{Request, UpdateConsumerOffset};

/// What is known of a revoked queue's offsets until its last commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastOffsets {
    pub(super) settled_to: Option<QueueOffset>,
    pub(super) committed: Option<QueueOffset>,
    /// It may have been consumed further than we know.
    pub(super) unsure: bool,
}

/// The commits of one topic at one broker.
///
/// Brokers keep the offsets of a group and topic in one table, made by the first commit; of two first commits at the
/// same time each makes its own, and the offset in one of them is lost (4.9.7 and 5.4.0,
/// `ConsumerOffsetManager.commitOffset`). And they handle commits on several threads, so that of two for one queue the
/// earlier may be stored last. So the first of a lane goes alone, and those of one queue one after the other.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// A commit was stored since the lane was last empty: the table is there.
    open: bool,
    under_way: BTreeSet<i32>,
    /// At most one for each queue.
    waiting: VecDeque<Commit>,
}

#[derive(Debug)]
struct Commit {
    queue: MessageQueue,
    epoch: Epoch,
    offset: QueueOffset,
}

impl Consumer {
    /// Commits what moved since the last time, and now and then everything: a member that gave a queue up can commit
    /// late, and a broker can come back with older offsets.
    pub(crate) fn on_commit_timer(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        if matches!(self.state, State::Running | State::Draining { .. }) {
            fx.arm(TimerKey::Commit(self.config.group.clone()), self.client.commit_interval);
            self.stats.sample(fx.now);
            self.commit_rounds = self.commit_rounds.wrapping_add(1);
            self.confirm_starts(at, fx);
            self.commit(self.commit_rounds.is_multiple_of(ROUNDS_TO_COMMIT_ALL), at, fx);
        }
    }

    pub(super) fn commit(&mut self, in_any_case: bool, at: Siblings<'_>, fx: &mut Effects) {
        if self.local.is_some() {
            return self.save(fx);
        }
        let in_any_case = in_any_case && !mutant!(45);
        let due = |(queue, assigned): (&MessageQueue, &Assigned)| {
            // Of a queue that somebody else may consume by now nothing is committed.
            (self.holds(queue, fx.now) && !assigned.is_unsure()).then_some(())?;
            Some(Commit { queue: queue.clone(), epoch: assigned.epoch(), offset: assigned.to_commit(in_any_case)? })
        };
        let due: Vec<_> = self.queues.iter().filter_map(due).collect();
        for commit in due {
            let queue = commit.queue.clone();
            if self.submit(commit, at, fx)
                && let Some(assigned) = self.queues.get_mut(&queue)
            {
                assigned.on_committing();
            }
        }
    }

    /// A queue was revoked, and this is how far it was settled: its last commit.
    pub(crate) fn on_revoked(
        &mut self,
        queue: &MessageQueue,
        epoch: Epoch,
        last: Option<&Progress>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        if let Some(last) = last {
            self.stats.on_handled(&queue.topic, last.handled, fx.now);
        }
        if self.local.is_some() {
            return self.keep_last(queue, epoch, last);
        }
        self.commit_last_of(queue, epoch, last, at, fx);
        self.on_let_go(queue, epoch, last.is_some_and(|progress| progress.busy), at, fx);
    }

    fn commit_last_of(
        &mut self,
        queue: &MessageQueue,
        epoch: Epoch,
        last: Option<&Progress>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        let key = (queue.clone(), epoch);
        let Some(known) = self.leaving.get(&key).copied() else {
            return;
        };
        let settled_to = known.settled_to.max(last.map(|progress| progress.settled_to));
        if let Some(known) = self.leaving.get_mut(&key) {
            known.settled_to = settled_to;
        }
        let sent = match settled_to {
            Some(offset) if known.committed < Some(offset) && self.holds(queue, fx.now) && !known.unsure => {
                self.submit(Commit { queue: queue.clone(), epoch, offset }, at, fx)
            }
            Some(_) | None => false,
        };
        if !sent {
            self.leaving.remove(&key);
        }
    }

    /// A commit was answered, or was not: then the next round tries again.
    pub(crate) fn on_commit_reply(
        &mut self,
        queue: &MessageQueue,
        epoch: Epoch,
        offset: QueueOffset,
        result: Result<Frame, RequestError>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        let stored = matches!(&result, Ok(frame) if frame.header.code == response::SUCCESS);
        let key = (queue.clone(), epoch);
        if self.leaving.get(&key).is_some_and(|last| last.settled_to == Some(offset)) {
            self.leaving.remove(&key);
        }
        if let Some(assigned) = self.queues.get_mut(queue)
            && assigned.epoch() == epoch
        {
            assigned.on_committed(stored.then_some(offset));
        }
        self.next_of_lane(queue, stored.then_some(offset), at, fx);
        if stored && matches!(self.state, State::Committing { .. }) {
            // More may have been settled since the answered commit was sent.
            self.commit(false, at, fx);
        }
        self.free_locks(at, fx);
        self.after_commit(at, fx);
    }

    /// Sends a commit, or lets it wait for those before it. `false` when its broker is unknown.
    fn submit(&mut self, commit: Commit, at: Siblings<'_>, fx: &mut Effects) -> bool {
        let master = at.routes.view().master(&commit.queue.broker).cloned();
        let any = || super::queue::readable(&commit.queue.broker, MASTER_ID, at).filter(|_| mutant!(154));
        let Some(to) = master.or_else(|| any().map(|(_, to)| to)) else {
            return false;
        };
        let lane = self.lanes.entry(lane_of(&commit.queue)).or_default();
        let alone = !lane.open && !lane.under_way.is_empty();
        if alone || lane.under_way.contains(&commit.queue.id) {
            let older = lane.waiting.iter().position(|waiting| waiting.queue.id == commit.queue.id);
            let (epoch, older) = (commit.epoch, older.and_then(|at| lane.waiting.remove(at)));
            lane.waiting.push_back(commit);
            if let Some(older) = older.filter(|older| older.epoch != epoch) {
                self.not_committed(&older.queue, older.epoch);
            }
            return true;
        }
        lane.under_way.insert(commit.queue.id);
        let Commit { queue, epoch, offset } = commit;
        let group = self.config.group.clone();
        let request = UpdateConsumerOffset {
            group: group.clone(),
            topic: queue.topic.clone(),
            queue_id: queue.id,
            commit_offset: offset,
            broker: Some(queue.broker.clone()),
        };
        let reply_to = ReplyTo::Commit { group, queue, epoch, offset };
        fx.request(to, request.encode(self.client.codec, Bytes::new()), COMMIT_TIMEOUT, reply_to);
        true
    }

    /// Commits what an operator says of a queue that is ours, whoever consumes it now.
    pub(super) fn commit_for(&mut self, queue: &MessageQueue, offset: QueueOffset, at: Siblings<'_>, fx: &mut Effects) {
        if let Some(epoch) = self.queues.get(queue).map(Assigned::epoch) {
            self.submit(Commit { queue: queue.clone(), epoch, offset }, at, fx);
        }
    }

    /// A queue goes on elsewhere: what waits to be committed of it is no longer so, and assignments before it have no last
    /// offset any more.
    pub(super) fn withdraw_commit(&mut self, queue: &MessageQueue) {
        if let Some(lane) = self.lanes.get_mut(&lane_of(queue)) {
            lane.waiting.retain(|waiting| waiting.queue != *queue);
        }
        self.leaving.retain(|(known, _), _| known != queue);
    }

    /// A commit that waited is not sent.
    fn not_committed(&mut self, queue: &MessageQueue, epoch: Epoch) {
        self.leaving.remove(&(queue.clone(), epoch));
        if let Some(assigned) = self.queues.get_mut(queue)
            && assigned.epoch() == epoch
        {
            assigned.on_committed(None);
        }
    }

    /// A commit of this queue was answered: what waited for it goes on.
    fn next_of_lane(&mut self, done: &MessageQueue, stored: Option<QueueOffset>, at: Siblings<'_>, fx: &mut Effects) {
        let key = lane_of(done);
        let Some(lane) = self.lanes.get_mut(&key) else {
            return;
        };
        lane.under_way.remove(&done.id);
        lane.open |= stored.is_some();
        for commit in core::mem::take(&mut lane.waiting) {
            let (queue, epoch) = (commit.queue.clone(), commit.epoch);
            let stored_already = queue == *done && stored == Some(commit.offset);
            // The lock of its queue may have been lost meanwhile.
            if stored_already || !self.holds(&queue, fx.now) || !self.submit(commit, at, fx) {
                self.not_committed(&queue, epoch);
            }
        }
        if self.lanes.get(&key).is_some_and(|lane| lane.under_way.is_empty() && lane.waiting.is_empty()) {
            self.lanes.remove(&key);
        }
    }
}

fn lane_of(queue: &MessageQueue) -> (Topic, BrokerName) {
    (queue.topic.clone(), queue.broker.clone())
}

/// Java: 5 s, oneway; we wait for the answer, so that a lost commit is made again.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);
/// Every so many rounds, a minute by default, all offsets are committed. Java commits all in each round.
const ROUNDS_TO_COMMIT_ALL: u32 = 12;
