//! Requests that wait for their replies.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use core::task::Waker;
use std::sync::Mutex;

use super::cell::{Completer, Completion, cell};
use super::handle::ReceivedMessage;
use super::lock::Lock;
use crate::dispatch::PoisonCause;
use crate::mutants::mutant;
use crate::request::PushedReply;

/// A reply, or why its body cannot be read.
pub(super) type Replied = Result<ReceivedMessage, PoisonCause>;

/// The requests of a client that wait, by what they have in common with their replies.
#[derive(Default)]
pub(super) struct Requests(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: BTreeMap<String, Completer<Replied>>,
    /// Clusters whose brokers know this client.
    clusters: BTreeSet<String>,
    /// Replies for which nobody waited any more.
    late: u64,
    closed: bool,
}

impl Requests {
    /// Waits for a reply from now on.
    pub(super) fn wait(&self, correlation: &str) -> Result<Completion<Replied>, NoWait> {
        self.0.with(|state| {
            if state.closed {
                return Err(NoWait::Closed);
            }
            if state.waiting.len() >= MOST_WAITING {
                return Err(NoWait::Full);
            }
            let (completer, completion) = cell();
            state.waiting.insert(correlation.into(), completer);
            Ok(completion)
        })
    }

    /// Nobody waits any more.
    pub(super) fn forget(&self, correlation: &str) {
        let gone = self.0.with(|state| state.waiting.remove(correlation));
        drop(gone);
    }

    /// A reply is here: who is to be woken, or how many came too late, this one included.
    pub(super) fn complete(&self, reply: PushedReply) -> Result<Option<Waker>, u64> {
        let completer = self.0.with(|state| {
            let completer = if mutant!(165) {
                state.waiting.pop_first().map(|(_, completer)| completer)
            } else {
                state.waiting.remove(&reply.correlation)
            };
            if completer.is_none() {
                state.late = state.late.saturating_add(1);
            }
            completer.ok_or(state.late)
        })?;
        let message = ReceivedMessage::open(reply.message).map_err(|(_, cause)| cause);
        // Whoever stops waiting at this moment gets nothing.
        Ok(completer.complete(message).unwrap_or_default())
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.0.with(|state| state.waiting.len())
    }

    /// Whether the brokers of a cluster are yet to hear of this client.
    pub(super) fn is_new(&self, cluster: &str) -> bool {
        self.0.with(|state| !state.clusters.contains(cluster))
    }

    /// They have heard of it.
    pub(super) fn heard(&self, cluster: String) {
        self.0.with(|state| state.clusters.insert(cluster));
    }

    /// The client is closed: everybody who waits learns it.
    pub(super) fn close(&self) {
        let waiting = self.0.with(|state| {
            state.closed = true;
            core::mem::take(&mut state.waiting)
        });
        drop(waiting);
    }
}

/// Why nobody can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoWait {
    /// Too many do.
    Full,
    /// The client is closed.
    Closed,
}

/// Requests of a client that wait at once.
const MOST_WAITING: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_wait_and_none_after_the_end() {
        let requests = Requests::default();
        let mut waiting: alloc::vec::Vec<_> = (0..MOST_WAITING)
            .map(|number| requests.wait(&alloc::format!("{number}")).expect("there is room"))
            .collect();
        assert_eq!(requests.wait("one more").err(), Some(NoWait::Full));
        requests.forget("7");
        assert_eq!(requests.waiting(), MOST_WAITING - 1);
        assert!(requests.wait("one more").is_ok(), "one went away");
        requests.close();
        let first = waiting.remove(0);
        assert!(futures_lite::future::block_on(first).is_err(), "who waits learns of the end");
        assert_eq!(requests.wait("after the end").err(), Some(NoWait::Closed));
        assert_eq!(requests.waiting(), 0);
    }
}
