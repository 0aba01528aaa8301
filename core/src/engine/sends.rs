//! The sends of an [`Engine`]: what each waits for.

use alloc::collections::{BTreeMap, BTreeSet};
use core::sync::atomic::AtomicU32;

use super::{Engine, EngineEvent, Token};
use crate::client::{Command, CommandResult, Input, RouteError};
use crate::conn::Lane;
use crate::error::{IoFailure, IoKind, RequestError, RequestFailure};
use crate::ids::{ConnId, OpId};
use crate::send::{Attempt, SendOp, SendStep};
use crate::time::{Instant, Wakeup};
use crate::wire::Frame;

/// The sends under way.
#[derive(Debug)]
pub(super) struct Sends {
    under_way: BTreeMap<OpId, Sending>,
    /// When sends that wait for something other than an answer go on.
    wakes: BTreeSet<(Instant, OpId)>,
    /// Commands made for sends, and the send each is for.
    asked: BTreeMap<OpId, OpId>,
    /// Queues are taken in turn.
    turn: AtomicU32,
}

#[derive(Debug)]
struct Sending {
    op: SendOp,
    waits: Waits,
    wake: Instant,
}

/// What a send waits for.
#[derive(Debug)]
enum Waits {
    Time,
    /// The link keeps the deadline.
    Answer,
    Route(OpId),
    Link(OpId, Attempt),
}

impl Sends {
    pub(super) fn new(turn: u32) -> Self {
        Self { under_way: BTreeMap::new(), wakes: BTreeSet::new(), asked: BTreeMap::new(), turn: AtomicU32::new(turn) }
    }

    pub(super) fn next_wake(&self) -> Wakeup {
        self.wakes.first().map_or(Wakeup::Never, |(at, _)| Wakeup::At(*at))
    }

    fn wait(&mut self, id: OpId, waits: Waits, until: Instant) {
        if let Some(sending) = self.under_way.get_mut(&id) {
            self.wakes.remove(&(sending.wake, id));
            sending.waits = waits;
            sending.wake = until;
            if until < Instant::FAR {
                self.wakes.insert((until, id));
            }
        }
    }

    /// Ends the wait of a send.
    fn go_on(&mut self, id: OpId) -> Option<(&mut SendOp, Waits)> {
        let sending = self.under_way.get_mut(&id)?;
        self.wakes.remove(&(sending.wake, id));
        let waits = core::mem::replace(&mut sending.waits, Waits::Time);
        if let Waits::Route(ask) | Waits::Link(ask, _) = &waits {
            self.asked.remove(ask);
        }
        Some((&mut sending.op, waits))
    }
}

impl Engine {
    pub(super) fn begin(&mut self, now: Instant, id: OpId, op: SendOp) {
        self.sends.under_way.insert(id, Sending { op, waits: Waits::Time, wake: Instant::FAR });
        self.drive(now, id);
    }

    /// Nobody waits for a send any more; `false` when there is none of this id.
    pub(super) fn forget(&mut self, now: Instant, id: OpId) -> bool {
        let Some((_, waits)) = self.sends.go_on(id) else { return false };
        if let Waits::Route(ask) | Waits::Link(ask, _) = waits {
            self.machine.handle(now, Input::Cancel(ask));
        }
        self.sends.under_way.remove(&id);
        true
    }

    /// The time that sends waited for, or waited at most, has come.
    pub(super) fn wake_sends(&mut self, now: Instant) {
        while let Some((_, id)) = self.sends.wakes.first().copied().filter(|(at, _)| *at <= now) {
            let Some((op, waits)) = self.sends.go_on(id) else { return };
            match waits {
                Waits::Time | Waits::Answer => {}
                Waits::Route(ask) => {
                    let error = RequestError::never(RequestFailure::Timeout);
                    op.on_route(now, Err(RouteError::Unavailable(error)));
                    self.machine.handle(now, Input::Cancel(ask));
                }
                Waits::Link(ask, _) => {
                    op.on_no_link(
                        now,
                        RequestFailure::Connect(IoFailure::new(IoKind::TimedOut, "no connection in time")),
                    );
                    self.machine.handle(now, Input::Cancel(ask));
                }
            }
            self.drive(now, id);
        }
    }

    /// An attempt is over.
    pub(super) fn on_reply(&mut self, now: Instant, id: OpId, result: Result<Frame, RequestError>) {
        if let Some((op, _)) = self.sends.go_on(id) {
            op.on_reply(now, result);
            self.drive(now, id);
        }
    }

    /// A command made for a send is over.
    pub(super) fn on_asked(&mut self, now: Instant, ask: OpId, result: CommandResult) {
        let Some(id) = self.sends.asked.get(&ask).copied() else { return };
        let Some((op, waits)) = self.sends.go_on(id) else { return };
        match (waits, result) {
            (Waits::Route(_), CommandResult::Route(result)) => op.on_route(now, result),
            (Waits::Link(_, attempt), CommandResult::Link(Ok(()))) => {
                if let Some(conn) = self.view.links.get(&attempt.endpoint).copied() {
                    self.attempt(now, id, conn, attempt);
                } else {
                    op.on_no_link(
                        now,
                        RequestFailure::Connect(IoFailure::new(IoKind::Reset, "the link closed at once")),
                    );
                }
            }
            (Waits::Link(..), CommandResult::Link(Err(why))) => op.on_no_link(now, why),
            // The client is closing.
            (Waits::Time | Waits::Answer | Waits::Route(_) | Waits::Link(..), _) => return self.end_send(now, id),
        }
        self.drive(now, id);
    }

    pub(super) fn end_sends(&mut self, now: Instant) {
        let all: alloc::vec::Vec<_> = self.sends.under_way.keys().copied().collect();
        all.into_iter().for_each(|id| self.end_send(now, id));
    }

    fn end_send(&mut self, now: Instant, id: OpId) {
        let Some((op, _)) = self.sends.go_on(id) else { return };
        let result = op.close(now);
        self.sends.under_way.remove(&id);
        self.events.push_back(EngineEvent::SendDone { op: id, result });
    }

    /// Gives a send what it needs until it waits or is done.
    fn drive(&mut self, now: Instant, id: OpId) {
        while let Some(Sending { op, waits: Waits::Time, .. }) = self.sends.under_way.get_mut(&id) {
            let until = op.deadline();
            match op.poll(now, &self.view, &self.sends.turn) {
                SendStep::Done(result) => {
                    self.sends.under_way.remove(&id);
                    self.events.push_back(EngineEvent::SendDone { op: id, result });
                }
                SendStep::Pause(until) => return self.sends.wait(id, Waits::Time, until),
                SendStep::Route { topic, fresh } => {
                    let ask = self.ask(now, id, Command::WantRoute { topic, fresh });
                    self.sends.wait(id, Waits::Route(ask), until);
                }
                SendStep::Send(attempt) => match attempt.conn {
                    Some(conn) => self.attempt(now, id, conn, attempt),
                    None => {
                        let ask = self.ask(now, id, Command::WantLink(attempt.endpoint.clone()));
                        let until = attempt.deadline;
                        self.sends.wait(id, Waits::Link(ask, attempt), until);
                    }
                },
            }
        }
    }

    fn attempt(&mut self, now: Instant, id: OpId, conn: ConnId, attempt: Attempt) {
        let Attempt { frame, deadline, .. } = attempt;
        match self.submit(now, conn, frame, Lane::Data, deadline, Token::Send(id)) {
            Ok(()) => self.sends.wait(id, Waits::Answer, Instant::FAR),
            Err(why) => {
                if let Some((op, _)) = self.sends.go_on(id) {
                    op.on_reply(now, Err(RequestError::never(why)));
                }
            }
        }
    }

    fn ask(&mut self, now: Instant, id: OpId, command: Command) -> OpId {
        let ask = self.next_op();
        self.sends.asked.insert(ask, id);
        self.machine.handle(now, Input::Command { op: ask, command });
        ask
    }
}
