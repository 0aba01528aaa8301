//! What the client does for its callers, as `tracing` spans: feature `tracing`. Without it nothing is left of them.
//!
//! All spans are at level debug, of target `rocketmq_core::driver::span`, and open from the beginning of what they are
//! about to its end. A field that is not known yet, or does not apply, is empty.
//!
//! | span | around | its parent | fields |
//! |---|---|---|---|
//! | `send` | one send, of a message or of several as one, from where it has room among what is under way | that of the caller; none for what a producer puts together into batches by itself | `group`, `topic`, `id` (the unique key), `keys`, `messages` (how many), `attempts`, `broker` (of the last attempt), `queue`, `offset`, `result` (`stored`, `weak`, `written`, `unknown`, `failed`) and, with the last two, `error` |
//! | `process` | the handler given to `run` or `run_batches`, each call | none: handlers belong to nobody's request | `group`, `topic`, `queue`, `offset`, `id`, `keys`, `reconsume_times`, all of the first message, and `messages` (how many) |
//! | `request` | one question of [`Admin`](crate::driver::Admin) to one server | that of the caller | `to` (an address, or `name server`), `code`, `result` (the code of the answer, or why there is none) |
//!
//! `result` of `send` is `weak` when the message is stored less durably than asked for, `written` when no broker answers,
//! and `unknown` when it may be stored. Neither bodies nor credentials are ever part of a span.
//!
//! What is not bound to one caller is told by events: see [`ClientEvent`](crate::client::ClientEvent).

#![cfg_attr(
    not(feature = "tracing"),
    allow(unused_variables, clippy::unused_self, reason = "nothing is left of spans")
)]

use core::future::Future;

use super::handle::ReceivedMessage;
use crate::client::CommandResult;
use crate::ids::{BrokerName, Group};
#[cfg(any(feature = "metrics", feature = "tracing"))]
use crate::send::StoreStatus;
use crate::send::{Receipt, SendError, SendOp};

/// A span, or nothing.
#[derive(Clone, Debug)]
pub(super) struct Span {
    #[cfg(feature = "tracing")]
    inner: tracing::Span,
}

impl Span {
    /// No span.
    pub(super) const fn none() -> Self {
        Self {
            #[cfg(feature = "tracing")]
            inner: tracing::Span::none(),
        }
    }

    /// A send begins.
    pub(super) fn of_send(op: &SendOp) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            inner: spans::send(op),
        }
    }

    /// A handler is called with so many messages, of which this is the first.
    pub(super) fn of_messages(group: &Group, first: Option<&ReceivedMessage>, messages: usize) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            inner: first.map_or_else(tracing::Span::none, |first| spans::process(group, first, messages)),
        }
    }

    /// A server is asked.
    pub(super) fn of_request(to: &str, code: i32) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            inner: tracing::debug_span!("request", to, code, result = tracing::field::Empty),
        }
    }

    /// An attempt of a send begins.
    pub(super) fn on_attempt(&self, attempts: u32, broker: &BrokerName) {
        #[cfg(feature = "tracing")]
        self.inner.record("attempts", attempts).record("broker", broker.as_str());
    }

    /// A send is over.
    pub(super) fn on_sent(&self, result: &Result<Option<Receipt>, SendError>) {
        #[cfg(feature = "tracing")]
        spans::sent(&self.inner, result);
    }

    /// A server answered, or did not.
    pub(super) fn on_answer(&self, result: &CommandResult) {
        #[cfg(feature = "tracing")]
        spans::answered(&self.inner, result);
    }

    /// What is done within it.
    pub(super) fn within<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        #[cfg(feature = "tracing")]
        {
            tracing::Instrument::instrument(future, self.inner.clone())
        }
        #[cfg(not(feature = "tracing"))]
        {
            future
        }
    }

    /// The same without a wait.
    pub(super) fn in_scope<T>(&self, act: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        {
            self.inner.in_scope(act)
        }
        #[cfg(not(feature = "tracing"))]
        {
            act()
        }
    }
}

/// What a handler is called with.
pub(super) trait Handed {
    /// The span of the call.
    fn span(&self) -> Span;
}

/// How a send ended, in a word.
#[cfg(any(feature = "metrics", feature = "tracing"))]
pub(super) fn word_of(result: &Result<Option<Receipt>, SendError>) -> &'static str {
    match result {
        Ok(Some(receipt)) if receipt.status == StoreStatus::Stored => "stored",
        Ok(Some(_)) => "weak",
        Ok(None) => "written",
        Err(error) if error.may_be_stored() => "unknown",
        Err(_) => "failed",
    }
}

#[cfg(feature = "tracing")]
mod spans {
    use tracing::field::Empty;
    use tracing::{Span, debug_span};

    use super::super::handle::ReceivedMessage;
    use crate::client::CommandResult;
    use crate::ids::Group;
    use crate::send::{Receipt, SendError, SendOp};
    use crate::wire::message::properties::{self, name};

    pub(super) fn send(op: &SendOp) -> Span {
        let parcel = op.parcel();
        let keys = properties::get(parcel.properties.as_bytes(), name::KEYS);
        debug_span!(
            "send",
            group = parcel.group.as_str(),
            topic = parcel.topic.as_str(),
            id = parcel.unique_key.as_str(),
            keys,
            messages = parcel.messages(),
            attempts = Empty,
            broker = Empty,
            queue = Empty,
            offset = Empty,
            result = Empty,
            error = Empty,
        )
    }

    pub(super) fn sent(span: &Span, result: &Result<Option<Receipt>, SendError>) {
        span.record("result", super::word_of(result));
        match result {
            Ok(Some(receipt)) => {
                span.record("queue", receipt.queue.id).record("offset", receipt.queue_offset.get());
            }
            Ok(None) => {}
            Err(error) => {
                span.record("error", tracing::field::display(error));
            }
        }
    }

    pub(super) fn process(group: &Group, first: &ReceivedMessage, messages: usize) -> Span {
        debug_span!(
            parent: None,
            "process",
            group = group.as_str(),
            topic = first.topic().as_str(),
            queue = %first.queue(),
            offset = first.queue_offset().get(),
            id = first.msg_id().as_str(),
            keys = first.property(name::KEYS),
            reconsume_times = first.reconsume_times(),
            messages,
        )
    }

    pub(super) fn answered(span: &Span, result: &CommandResult) {
        match result {
            CommandResult::Called(Ok(frame)) => {
                span.record("result", tracing::field::display(frame.header.code));
            }
            CommandResult::Called(Err(error)) => {
                span.record("result", tracing::field::display(error));
            }
            CommandResult::Closed => {
                span.record("result", "closed");
            }
            CommandResult::Opened(_)
            | CommandResult::Route(_)
            | CommandResult::Link(_)
            | CommandResult::Sent(_)
            | CommandResult::Done
            | CommandResult::Started(_)
            | CommandResult::Subscribed(_)
            | CommandResult::Stopped(_)
            | CommandResult::Stats(_)
            | CommandResult::Snapshot(_) => {}
        }
    }
}
