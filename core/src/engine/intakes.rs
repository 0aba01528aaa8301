//! What consumers of an [`Engine`] have pulled, and what becomes of it.

use super::{Engine, EngineEvent, Intake};
use crate::client::{ClientEvent, Input};
use crate::dispatch::Dispatch;
use crate::ids::Group;
use crate::time::Instant;

impl Engine {
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
