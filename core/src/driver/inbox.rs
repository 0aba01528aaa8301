//! What the client task is told: one queue, one waker.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::mem;
use core::task::{Poll, Waker};

use super::cell::Completer;
use super::conn_task::Submission;
use super::lock::{Lock, Locks, StdLocks};
use super::queue::Submitter;
use crate::client::{Command, CommandResult, Input};
use crate::ids::{ConnId, OpId};

/// A message for the client task.
pub(super) enum Mail {
    /// For the machine as it is.
    Input(Input),
    /// A handle asks for something.
    Command(OpId, Command, Completer<CommandResult>),
    /// A link is up; sends go in here.
    Connected(ConnId, Submitter<Submission>),
}

/// The queue of the client task. What waits in it is bounded by what is under way: each request, link and handle
/// call puts in one item at a time.
pub(super) struct Inbox<L: Locks = StdLocks>(Arc<L::Lock<State>>);

struct State {
    mail: VecDeque<Mail>,
    waker: Option<Waker>,
    /// Something other than mail needs the task: a dispatch has progress.
    nudged: bool,
    closed: bool,
}

impl<L: Locks> Inbox<L> {
    pub(super) fn new() -> Self {
        let state = State { mail: VecDeque::new(), waker: None, nudged: false, closed: false };
        Self(Arc::new(L::Lock::new(state)))
    }

    /// Puts mail in; dropped when the client task is gone.
    pub(super) fn post(&self, mail: impl IntoIterator<Item = Mail>) {
        let mut mail = mail.into_iter().collect::<VecDeque<_>>();
        let waker = self.0.with(|state| {
            if state.closed || mail.is_empty() {
                return None;
            }
            state.mail.append(&mut mail);
            state.waker.take()
        });
        // Completers among what is left tell their handles that the client is gone.
        drop(mail);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Wakes the client task to look at its dispatches.
    pub(super) fn nudge(&self) {
        let waker = self.0.with(|state| {
            state.nudged = true;
            state.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Moves all mail to `out`; pending, with the waker kept, when there is none and nobody nudged.
    pub(super) fn poll_take(&self, waker: &Waker, out: &mut VecDeque<Mail>) -> Poll<()> {
        let mut waker = Some(waker.clone());
        self.0.with(|state| {
            if mem::take(&mut state.nudged) || !state.mail.is_empty() {
                mem::swap(out, &mut state.mail);
                return Poll::Ready(());
            }
            mem::swap(&mut state.waker, &mut waker);
            Poll::Pending
        })
    }

    /// Ends the queue: mail that comes later is dropped.
    pub(super) fn close(&self) {
        let mail = self.0.with(|state| {
            state.closed = true;
            mem::take(&mut state.mail)
        });
        drop(mail);
    }
}

impl<L: Locks> Clone for Inbox<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests;
