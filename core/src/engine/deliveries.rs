//! The messages that an [`Engine`] hands out, and what becomes of them.

use alloc::vec::Vec;

use super::{Engine, EngineEvent, Intake};
use crate::dispatch::{Outcome, PoisonCause, Settled, Taken};
use crate::ids::Group;
use crate::time::Instant;

impl Engine {
    /// Hands out the next message of a consumer.
    pub fn take(&mut self, now: Instant, group: &Group) -> Option<Taken> {
        let intake = self.intakes.get_mut(group)?;
        let taken = intake.dispatch.take(now);
        self.look_if_urgent(now);
        self.run(now);
        taken
    }

    /// Hands out the next messages of one queue, so many at most and in order; each is settled by itself, and those that
    /// come in order before the next of their queue.
    pub fn take_many(&mut self, now: Instant, group: &Group, most: usize) -> Vec<Taken> {
        let Some(intake) = self.intakes.get_mut(group) else { return Vec::new() };
        let many = intake.dispatch.take_many(now, most);
        self.look_if_urgent(now);
        self.run(now);
        many
    }

    /// Settles a message handed out: once, with what became of it.
    pub fn settle(&mut self, now: Instant, group: &Group, taken: &Taken, outcome: Outcome) -> Settled {
        let Some(Intake { dispatch, .. }) = self.intakes.get_mut(group) else { return Settled::Released };
        dispatch.count(now, taken, outcome);
        let settled = dispatch.settle(taken, outcome);
        if dispatch.is_orderly() && dispatch.has_ready() {
            self.events.push_back(EngineEvent::Ready(group.clone()));
        }
        self.look_if_urgent(now);
        self.run(now);
        settled
    }

    /// The body of a message cannot be read: the consumer's policy decides. It comes back when it is to be consumed
    /// all the same.
    pub fn poisoned(&mut self, now: Instant, group: &Group, taken: Taken, cause: PoisonCause) -> Option<Taken> {
        let taken = self.intakes.get_mut(group)?.dispatch.poisoned(taken, cause);
        self.look_if_urgent(now);
        self.run(now);
        taken
    }
}
