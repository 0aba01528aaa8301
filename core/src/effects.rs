//! The only way out of a sub-machine.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use core::time::Duration;

use crate::client::consumer::PullContext;
use crate::client::signal::{LinkRequest, NameRequest, ReplyTo, Signal};
use crate::client::{ClientEvent, CommandResult, Output};
use crate::ids::{Endpoint, OpId, RequestId};
use crate::rng::Rng;
use crate::time::{Instant, UnixMillis};
use crate::timers::{TimerKey, Timers};
use crate::wire::frame::EncodedFrame;

/// What a sub-machine may know (the time, chance) and do (requests, timers, signals, outputs).
#[derive(Debug)]
pub(crate) struct Effects {
    pub(crate) now: Instant,
    pub(crate) wall: UnixMillis,
    pub(crate) rng: Rng,
    pub(crate) timers: Timers,
    /// Bytes that all consumers pin between pull and settlement.
    pub(crate) pinned: u64,
    outputs: VecDeque<Output>,
    signals: VecDeque<Signal>,
    replies: BTreeMap<RequestId, Open>,
    next_request: u64,
    next_id: u64,
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Open {
    to: Endpoint,
    reply_to: ReplyTo,
}

impl Effects {
    pub(crate) fn new(seed: u64, now: Instant, wall: UnixMillis) -> Self {
        Self {
            now,
            wall,
            rng: Rng::new(seed),
            timers: Timers::default(),
            pinned: 0,
            outputs: VecDeque::new(),
            signals: VecDeque::new(),
            replies: BTreeMap::new(),
            next_request: 0,
            next_id: 0,
        }
    }

    /// Sends a request to `to`; the answer, or the failure, comes back to `reply_to`.
    pub(crate) fn request(&mut self, to: Endpoint, frame: EncodedFrame, timeout: Duration, reply_to: ReplyTo) {
        let deadline = self.now.after(timeout);
        self.request_by(to, frame, deadline, reply_to, None);
    }

    /// Sends a request with a deadline, and for a pull what its answer is decoded with.
    pub(crate) fn request_by(
        &mut self,
        to: Endpoint,
        frame: EncodedFrame,
        deadline: Instant,
        reply_to: ReplyTo,
        pull: Option<Arc<PullContext>>,
    ) {
        let id = RequestId(self.next_request);
        self.next_request = self.next_request.saturating_add(1);
        self.replies.insert(id, Open { to: to.clone(), reply_to });
        self.raise(Signal::Request(LinkRequest { id, to, frame, deadline, pull }));
    }

    /// Sends what nobody answers over the link to `to`, if it is up.
    pub(crate) fn oneway(&mut self, to: Endpoint, frame: EncodedFrame) {
        self.raise(Signal::Oneway(to, frame));
    }

    /// Asks the name servers.
    pub(crate) fn ask_names(&mut self, frame: EncodedFrame, timeout: Duration, reply_to: ReplyTo) {
        let deadline = self.now.after(timeout);
        self.raise(Signal::AskNames(NameRequest { frame, deadline, reply_to }));
    }

    /// A number never given before in the life of the machine: answers and timers of one incarnation of a group or
    /// queue can never be taken for those of a later one.
    pub(crate) fn fresh_id(&mut self) -> u64 {
        self.next_id = self.next_id.saturating_add(1);
        self.next_id
    }

    /// Takes the continuation of an answered request; `None` when it was answered before.
    pub(crate) fn reply_to(&mut self, id: RequestId) -> Option<ReplyTo> {
        self.replies.remove(&id).map(|open| open.reply_to)
    }

    /// The continuations of open requests.
    #[cfg(test)]
    pub(crate) fn replies(&self) -> impl Iterator<Item = &ReplyTo> {
        self.replies.values().map(|open| &open.reply_to)
    }

    /// Requests that wait for their answer.
    pub(crate) fn requests_open(&self) -> usize {
        self.replies.len()
    }

    /// How many of them go to each address.
    pub(crate) fn requests_by_endpoint(&self) -> BTreeMap<&Endpoint, usize> {
        let mut counts = BTreeMap::new();
        for open in self.replies.values() {
            let count: &mut usize = counts.entry(&open.to).or_default();
            *count = count.saturating_add(1);
        }
        counts
    }

    pub(crate) fn arm(&mut self, key: TimerKey, after: Duration) {
        self.timers.arm(key, self.now.after(after));
    }

    pub(crate) fn disarm(&mut self, key: &TimerKey) {
        self.timers.disarm(key);
    }

    pub(crate) fn raise(&mut self, signal: Signal) {
        self.signals.push_back(signal);
    }

    pub(crate) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn event(&mut self, event: ClientEvent) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(crate) fn complete(&mut self, op: OpId, result: CommandResult) {
        self.outputs.push_back(Output::Complete { op, result });
    }

    pub(crate) fn next_signal(&mut self) -> Option<Signal> {
        self.signals.pop_front()
    }

    pub(crate) fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }
}
