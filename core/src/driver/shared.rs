//! What handles and the client task share.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll};
use std::sync::Mutex;

use super::cell::{Completer, Completion, cell};
use super::conn_task::Submission;
use super::events::Events;
use super::handle::Tracers;
use super::inbox::{Inbox, Mail};
use super::intake::Intake;
use super::lock::Lock;
use super::queue::Submitter;
use super::requests::Requests;
use super::runtime::Clock;
use super::span::Span;
use super::transactions::Transactions;
use crate::client::snapshot::ProducerLoad;
use crate::client::{Command, CommandResult, Input, RouteView};
use crate::config::ClientConfig;
use crate::ids::{ConnId, Endpoint, Group, OpId};
use crate::mutants::mutant;
use crate::time::Instant;
use crate::wire::message::UniqueKeys;

/// Routes, and where to put what goes over each link.
#[derive(Default)]
pub(super) struct View {
    pub(super) routes: Arc<RouteView>,
    pub(super) submitters: BTreeMap<ConnId, Submitter<Submission>>,
}

/// Starts a task on the runtime of the client.
pub(super) type Spawn = Box<dyn Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync>;

/// Who puts messages together, and has some in hand.
pub(super) trait Gather: Send + Sync {
    /// Sends all that waits for others, as nothing does from now on. Done when none of it is under way; `None` when
    /// nothing is now.
    fn gathered(self: Arc<Self>) -> Option<Completion<()>>;
}

/// A producer, as a snapshot shows it.
pub(super) trait Loaded: Send + Sync {
    /// What it has under way, and under which group.
    fn load(&self, now: Instant) -> (Group, ProducerLoad);
}

pub(super) struct Shared {
    pub(super) config: Arc<ClientConfig>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) inbox: Inbox,
    pub(super) events: Events,
    pub(super) keys: UniqueKeys,
    pub(super) transactions: Transactions,
    pub(super) requests: Requests,
    pub(super) tracers: Tracers,
    view: Mutex<Arc<View>>,
    name_servers: Mutex<Vec<Endpoint>>,
    intakes: Mutex<BTreeMap<Group, Arc<Intake>>>,
    gatherers: Mutex<Vec<Weak<dyn Gather>>>,
    producers: Mutex<Vec<Weak<dyn Loaded>>>,
    next_op: AtomicU64,
    spawn: Spawn,
    /// Waiters for the end of the client.
    ended: Mutex<Ended>,
}

#[derive(Default)]
struct Ended {
    is: bool,
    waiting: Vec<Completer<()>>,
}

impl Ended {
    /// Most who wait have something else to wait for, and give up: they are forgotten before more room is taken.
    fn wait(&mut self, completer: Completer<()>) {
        if self.waiting.len() == self.waiting.capacity() {
            self.waiting.retain(|waiting| !waiting.is_abandoned());
        }
        self.waiting.push(completer);
    }
}

impl Shared {
    pub(super) fn new(config: Arc<ClientConfig>, clock: Arc<dyn Clock>, spawn: Spawn, keys: UniqueKeys) -> Self {
        Self {
            name_servers: Mutex::new(config.name_servers.clone()),
            clock,
            inbox: Inbox::new(),
            events: Events::new(&config.client_id),
            keys,
            transactions: Transactions::default(),
            requests: Requests::default(),
            tracers: Tracers::default(),
            config,
            view: Mutex::default(),
            intakes: Mutex::default(),
            gatherers: Mutex::default(),
            producers: Mutex::default(),
            next_op: AtomicU64::new(0),
            spawn,
            ended: Mutex::default(),
        }
    }

    /// Runs a task to its end, detached.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        (self.spawn)(Box::pin(task));
    }

    pub(super) fn view(&self) -> Arc<View> {
        self.view.with(|view| view.clone())
    }

    pub(super) fn publish(&self, view: View) {
        let view = Arc::new(view);
        let old = self.view.with(|known| core::mem::replace(known, view));
        drop(old);
    }

    /// The name servers, as they are now.
    pub(super) fn name_servers(&self) -> Vec<Endpoint> {
        self.name_servers.with(|servers| servers.clone())
    }

    pub(super) fn set_name_servers(&self, servers: Vec<Endpoint>) {
        let old = self.name_servers.with(|known| core::mem::replace(known, servers));
        drop(old);
    }

    pub(super) fn add_intake(&self, group: Group, intake: Arc<Intake>) {
        self.intakes.with(|intakes| intakes.insert(group, intake));
    }

    pub(super) fn remove_intake(&self, group: &Group) {
        self.intakes.with(|intakes| intakes.remove(group));
    }

    pub(super) fn intake(&self, group: &Group) -> Option<Arc<Intake>> {
        self.intakes.with(|intakes| intakes.get(group).cloned())
    }

    /// Before the client ends, this one is told.
    pub(super) fn add_gatherer(&self, gatherer: Weak<dyn Gather>) {
        self.gatherers.with(|gatherers| {
            gatherers.retain(|known| known.strong_count() > 0);
            gatherers.push(gatherer);
        });
    }

    /// This producer is part of snapshots.
    pub(super) fn add_producer(&self, producer: Weak<dyn Loaded>) {
        self.producers.with(|producers| {
            producers.retain(|known| known.strong_count() > 0);
            producers.push(producer);
        });
    }

    /// What producers have under way, in the order in which they were started.
    pub(super) fn producer_loads(&self, now: Instant) -> Vec<(Group, ProducerLoad)> {
        let producers = self.producers.with(|producers| producers.clone());
        producers.iter().filter_map(Weak::upgrade).map(|producer| producer.load(now)).collect()
    }

    /// Has everybody send what was put together; whom to wait for.
    pub(super) fn gather(&self) -> Vec<Completion<()>> {
        let gatherers = self.gatherers.with(|gatherers| gatherers.clone());
        gatherers.iter().filter_map(Weak::upgrade).filter_map(Gather::gathered).collect()
    }

    /// Asks the client task for something.
    pub(super) fn call(self: &Arc<Self>, command: Command) -> Call {
        let op = OpId(self.next_op.fetch_add(1, Ordering::Relaxed));
        let (completer, completion) = cell();
        self.inbox.post([Mail::Command(op, command, completer)]);
        Call { op: Some(op), completion, shared: self.clone(), span: Span::none() }
    }

    /// The client task is gone.
    pub(super) fn close(&self) {
        self.publish(View::default());
        let waiting = self.ended.with(|ended| {
            ended.is = true;
            core::mem::take(&mut ended.waiting)
        });
        for completer in waiting {
            if let Ok(Some(waker)) = completer.complete(()) {
                waker.wake();
            }
        }
        self.requests.close();
        self.events.close();
    }

    /// Resolves when the client task is gone.
    pub(super) async fn ended(&self) {
        let (completer, completion) = cell();
        let wait = self.ended.with(|ended| {
            let wait = !ended.is || mutant!(38);
            if wait {
                ended.wait(completer);
            }
            wait
        });
        if wait {
            let _ = completion.await;
        }
    }
}

/// A command under way; dropped, nobody waits for it any more.
pub(super) struct Call {
    op: Option<OpId>,
    completion: Completion<CommandResult>,
    shared: Arc<Shared>,
    span: Span,
}

impl Call {
    /// The operation, while somebody waits for it.
    pub(super) const fn op(&self) -> Option<OpId> {
        self.op
    }

    /// The same, told by a span that is open until it is over.
    pub(super) fn told_by(mut self, span: Span) -> Self {
        self.span = span;
        self
    }

    /// Lets the command go on with nobody waiting for it.
    pub(super) fn detach(mut self) {
        self.op = None;
    }
}

impl Future for Call {
    type Output = CommandResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CommandResult> {
        let result = core::task::ready!(Pin::new(&mut self.completion).poll(cx));
        self.op = None;
        let result = result.unwrap_or(CommandResult::Closed);
        self.span.on_answer(&result);
        Poll::Ready(result)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(op) = self.op.take() {
            self.shared.inbox.post([Mail::Input(Input::Cancel(op))]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gives_up_waiting_for_the_end_is_forgotten() {
        let mut ended = Ended::default();
        let (completer, stays) = cell();
        ended.wait(completer);
        for _ in 0..1_000 {
            ended.wait(cell().0);
        }
        assert!(ended.waiting.len() <= 8, "{}", ended.waiting.len());
        assert!(ended.waiting.iter().any(|waiting| !waiting.is_abandoned()));
        drop(stays);
    }
}
