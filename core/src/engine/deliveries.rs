//! The messages that an [`Engine`] hands out, and what becomes of them.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Engine, EngineEvent, Intake};
use crate::client::{ClientEvent, Input};
use crate::dispatch::{Dispatch, Outcome, PoisonCause, Settled, Taken};
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

    /// The handler of a popped message needs so much time from now on; whether the message is still ours.
    pub fn extend(&mut self, now: Instant, group: &Group, taken: &Taken, time: Duration) -> bool {
        let ours = self.intakes.get_mut(group).is_some_and(|intake| intake.dispatch.extend(taken, time));
        self.look_if_urgent(now);
        self.run(now);
        ours
    }

    pub(super) fn change(&mut self, group: &Group, change: impl FnOnce(&mut Dispatch)) {
        if let Some(intake) = self.intakes.get_mut(group) {
            change(&mut intake.dispatch);
        }
    }

    /// Changes what a consumer has pulled; `change` tells whether there is something new to take.
    pub(super) fn hand_out(&mut self, group: Group, change: impl FnOnce(&mut Dispatch) -> bool) {
        if self.intakes.get_mut(&group).is_some_and(|intake| change(&mut intake.dispatch)) {
            self.events.push_back(EngineEvent::Ready(group));
        }
    }

    /// Tells the machine what consumers settled and what failed.
    pub(super) fn look(&mut self, now: Instant) {
        for (group, Intake { dispatch, drained_told }) in &mut self.intakes {
            while let Some(progress) = dispatch.poll_progress() {
                self.machine.handle(now, Input::Progress(group.clone(), progress));
            }
            while self.machine.failure_room(group) > 0
                && let Some(failure) = dispatch.poll_failure()
            {
                self.machine.handle(now, Input::Failed(group.clone(), failure));
            }
            while let Some(news) = dispatch.poll_popped() {
                self.machine.handle(now, Input::Popped(group.clone(), alloc::vec![news]));
            }
            while let Some((queue, epoch)) = dispatch.poll_ended() {
                self.machine.handle(now, Input::HandlerEnded { group: group.clone(), queue: (*queue).clone(), epoch });
            }
            while let Some(end) = dispatch.poll_direct() {
                self.machine.handle(now, Input::Direct(group.clone(), end));
            }
            while let Some(event) = dispatch.poll_event() {
                self.events.push_back(EngineEvent::Client(ClientEvent::of_dispatch(group.clone(), event)));
            }
            let drained = !dispatch.is_open() && dispatch.outstanding() == 0;
            if drained && !core::mem::replace(drained_told, true) {
                self.machine.handle(now, Input::Drained(group.clone()));
            }
        }
    }

    pub(super) fn look_if_urgent(&mut self, now: Instant) {
        if self.intakes.values_mut().any(|intake| intake.dispatch.take_urgent()) {
            self.look(now);
        }
    }
}
