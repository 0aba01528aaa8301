//! Trace records on their way: noted by a producer or a consumer, sent by a producer of their own.

mod consuming;
mod producing;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Mutex;

use futures_lite::FutureExt;

pub(super) use self::consuming::{ConsumeTrace, Handed};
pub(super) use self::producing::Began;
use super::producer::{Inner as ProducerInner, before};
use super::{Client, Producer};
use crate::client::{ClientEvent, Command};
use crate::config::{ProducerConfig, TraceConfig};
use crate::driver::cell::{Completer, Completion, cell};
use crate::driver::lock::Lock;
use crate::driver::shared::Shared;
use crate::ids::{Group, Topic};
use crate::mutants::mutant;
use crate::time::Instant;
use crate::trace::{TraceMessage, TraceQueue, TraceRecord};

/// The trace of one producer or consumer. Clones are the same.
#[derive(Clone)]
pub(in crate::driver) struct Tracer {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    /// The group whose messages they are.
    group: Group,
    topic: Topic,
    state: Mutex<State>,
}

struct State {
    queue: TraceQueue,
    /// Who sends them, until the end.
    producer: Option<Producer>,
    /// The tasks that send, each with how it is told to give up.
    senders: BTreeMap<u64, Completer<()>>,
    next_sender: u64,
    /// Whether a task waits until records are due.
    waits: bool,
    /// Whether all is to be sent now.
    closing: bool,
    /// Who waits until all is sent.
    idle: Vec<Completer<()>>,
    lost: u64,
    told: u64,
}

/// Messages for a task to send.
struct Sending {
    number: u64,
    producer: Producer,
    messages: Vec<TraceMessage>,
    give_up: Completion<()>,
}

/// Whose messages are traced.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Produce,
    Consume,
}

/// The tracers of a client.
#[derive(Default)]
pub(in crate::driver) struct Tracers {
    all: Mutex<Vec<Weak<Inner>>>,
    started: AtomicU64,
}

impl Tracer {
    pub(super) fn start(client: &Client, side: Side, group: &Group, config: TraceConfig) -> Self {
        let shared = &client.inner.shared;
        let number = shared.tracers.started.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let sender = Group::from(alloc::format!("{GROUP_PREFIX}-{group}-{}-{number}", side.name()));
        shared.call(Command::StartTracer(sender.clone())).detach();
        let sender = ProducerConfig { send_timeout: SEND_TIMEOUT, ..ProducerConfig::new(sender) };
        let producer = Producer { inner: Arc::new(ProducerInner::new(client.clone(), sender, None, Vec::new(), None)) };
        let topic = config.topic.clone();
        let state = State {
            queue: TraceQueue::new(config),
            producer: Some(producer),
            senders: BTreeMap::new(),
            next_sender: 0,
            waits: false,
            closing: false,
            idle: Vec::new(),
            lost: 0,
            told: 0,
        };
        // Traces are read by those who know no namespace.
        let group = client.namespace().map_or_else(|| group.clone(), |space| space.group_within(group));
        let inner = Inner { shared: shared.clone(), group, topic, state: Mutex::new(state) };
        let tracer = Self { inner: Arc::new(inner) };
        shared.tracers.add(&tracer);
        tracer
    }

    /// Sends what is left until this time at the latest; what is not sent by then is lost, and so is what is noted later.
    pub(super) async fn close(&self, deadline: Instant) {
        let shared = &self.inner.shared;
        let deadline = deadline.min(shared.clock.now().after(CLOSE_TIMEOUT));
        let (done, idle) = cell();
        let open = self.inner.state.with(|state| {
            state.closing = true;
            if mutant!(160) {
                state.queue.clear();
            }
            let open = state.producer.is_some();
            if open {
                state.idle.push(done);
            }
            open
        });
        if !open {
            return;
        }
        self.go_on();
        let _ = before(shared, deadline, idle).await;
        let (producer, senders, event) = self.inner.state.with(|state| {
            let left = state.queue.clear();
            state.lost = state.lost.saturating_add(left);
            let event = (state.lost > state.told).then_some(state.lost);
            state.told = state.lost;
            (state.producer.take(), core::mem::take(&mut state.senders), event)
        });
        drop((producer, senders));
        self.tell_lost(event);
    }

    /// The same in a task of its own, within a second.
    pub(super) fn close_soon(self) {
        let shared = self.inner.shared.clone();
        let deadline = shared.clock.now().after(DROP_TIMEOUT);
        shared.spawn(async move { self.close(deadline).await });
    }

    /// Whether messages of this topic are traced: all but traces.
    fn traces(&self, topic: &Topic) -> bool {
        *topic != self.inner.topic
    }

    /// Notes what belongs together, of messages of one topic.
    fn note(&self, topic: &Topic, records: &[TraceRecord]) {
        let now = self.inner.shared.clock.now();
        let event = self.inner.state.with(|state| {
            let taken = state.producer.is_some() && state.queue.push(now, topic, records);
            if taken { None } else { state.lose(u64::try_from(records.len()).unwrap_or(u64::MAX)) }
        });
        self.tell_lost(event);
        self.go_on();
    }

    /// Has what is to be sent now sent, and what is left looked after.
    fn go_on(&self) {
        let shared = &self.inner.shared;
        let now = shared.clock.now();
        let (sendings, wake_at, idle) = self.inner.state.with(|state| state.go_on(now));
        for sending in sendings {
            shared.spawn(self.clone().send(sending));
        }
        if let Some(at) = wake_at {
            shared.spawn(wait(Arc::downgrade(&self.inner), shared.clone(), at));
        }
        for done in idle {
            if let Ok(Some(waker)) = done.complete(()) {
                waker.wake();
            }
        }
    }

    async fn send(self, sending: Sending) {
        let Sending { number, producer, messages, give_up } = sending;
        let records: u64 = messages.iter().map(|message| message.records).sum();
        let topic = &self.inner.topic;
        let sent = AtomicU64::new(0);
        let send = async {
            for message in messages {
                let records = message.records;
                if mutant!(161) {
                    let _ = producer.send(message.clone().into_message(topic)).await;
                }
                if producer.send(message.into_message(topic)).await.is_ok() {
                    sent.fetch_add(records, Ordering::Relaxed);
                }
            }
        };
        let given_up = async {
            let _ = give_up.await;
        };
        send.or(given_up).await;
        drop(producer);
        let event = self.inner.state.with(|state| {
            state.senders.remove(&number);
            state.lose(records.saturating_sub(sent.into_inner()))
        });
        self.tell_lost(event);
        self.go_on();
    }

    fn tell_lost(&self, records: Option<u64>) {
        if let Some(records) = records {
            self.inner.shared.events.emit(&ClientEvent::TraceLost { group: self.inner.group.clone(), records });
        }
    }
}

impl State {
    /// What is to be sent now, when to look again, and who is to hear that all is sent.
    fn go_on(&mut self, now: Instant) -> (Vec<Sending>, Option<Instant>, Vec<Completer<()>>) {
        let mut sendings = Vec::new();
        let Some(producer) = &self.producer else {
            return (sendings, None, core::mem::take(&mut self.idle));
        };
        while self.senders.len() < MOST_SENDERS
            && let Some(messages) = self.queue.poll(now, self.closing)
        {
            let (stop, give_up) = cell();
            let number = self.next_sender;
            self.next_sender = number.saturating_add(1);
            self.senders.insert(number, stop);
            sendings.push(Sending { number, producer: producer.clone(), messages, give_up });
        }
        // Who sends looks again when it has sent.
        let mut wake_at = None;
        if !self.waits
            && self.senders.len() < MOST_SENDERS
            && let Some(at) = self.queue.poll_timeout().instant(now)
        {
            (self.waits, wake_at) = (true, Some(at));
        }
        let idle = self.senders.is_empty() && self.queue.is_empty();
        (sendings, wake_at, if idle { core::mem::take(&mut self.idle) } else { Vec::new() })
    }

    /// So many records are lost: how many in all, if that is to be told.
    fn lose(&mut self, records: u64) -> Option<u64> {
        self.lost = self.lost.saturating_add(records);
        let tell = records > 0 && self.lost >= self.told.saturating_mul(2);
        if tell {
            self.told = self.lost;
        }
        tell.then_some(self.lost)
    }
}

impl Side {
    /// Source: Java `TraceDispatcher.Type`.
    const fn name(self) -> &'static str {
        match self {
            Self::Produce => "PRODUCE",
            Self::Consume => "CONSUME",
        }
    }
}

impl Tracers {
    fn add(&self, tracer: &Tracer) {
        self.all.with(|all| {
            all.retain(|known| known.strong_count() > 0);
            all.push(Arc::downgrade(&tracer.inner));
        });
    }

    /// Has all of them send what is left, by this time.
    pub(in crate::driver) fn close(&self, shared: &Shared, deadline: Instant) {
        let all = self.all.with(core::mem::take);
        for inner in all.iter().filter_map(Weak::upgrade) {
            shared.spawn(async move { Tracer { inner }.close(deadline).await });
        }
    }
}

/// Looks again at this time, unless tracer or client is gone by then.
async fn wait(tracer: Weak<Inner>, shared: Arc<Shared>, at: Instant) {
    shared.clock.sleep_until(at).or(shared.ended()).await;
    if let Some(inner) = tracer.upgrade() {
        inner.state.with(|state| state.waits = false);
        Tracer { inner }.go_on();
    }
}

/// The region of brokers that do not say theirs. Source: Java `MixAll.DEFAULT_TRACE_REGION_ID`.
fn region(told: Option<&str>) -> String {
    String::from(told.filter(|region| !region.is_empty()).unwrap_or("DefaultRegion"))
}

/// Whole milliseconds, as an `int` of Java.
fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

/// The groups that send traces. Source: Java `TraceConstants.GROUP_NAME_PREFIX`.
const GROUP_PREFIX: &str = "_INNER_TRACE_PRODUCER";
/// Source: Java `AsyncTraceDispatcher.getAndCreateTraceProducer`.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How many messages of one tracer are sent at once. Java has four threads.
const MOST_SENDERS: usize = 4;
/// How long the last records may take. Source: Java `AsyncTraceDispatcher.WAIT_FOR_SHUTDOWN`.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last records of a producer or a consumer may take whose last handle was dropped.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);
