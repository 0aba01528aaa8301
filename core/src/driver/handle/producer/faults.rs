//! What a producer learns of its brokers' latency, and the probing of those out of reach.

use alloc::sync::{Arc, Weak};
use core::time::Duration;
use std::sync::Mutex;

use bytes::Bytes;
use futures_lite::FutureExt;

use super::{Inner, Producer};
use crate::client::{CallTarget, Command, CommandResult};
use crate::config::LatencyFaults;
use crate::driver::lock::Lock;
use crate::driver::shared::Shared;
use crate::error::RequestError;
use crate::ids::BrokerName;
use crate::send::FaultTable;
use crate::time::Instant;
use crate::wire::Frame;
use crate::wire::codes::request::GET_MAX_OFFSET;
use crate::wire::request::{QueueOffsetRequest, Request};

/// The faults of the brokers of a producer.
pub(super) struct Faults {
    state: Mutex<State>,
    probes: bool,
}

struct State {
    table: Arc<FaultTable>,
    /// Whether a task probes.
    probing: bool,
}

impl Faults {
    pub(super) fn new(config: LatencyFaults) -> Self {
        let table = Arc::new(FaultTable::new(config.steps, config.probe));
        Self { state: Mutex::new(State { table, probing: false }), probes: config.probe }
    }

    pub(super) fn table(&self) -> Arc<FaultTable> {
        self.state.with(|state| state.table.clone())
    }

    fn change(&self, change: impl FnOnce(&mut FaultTable)) {
        self.state.with(|state| change(Arc::make_mut(&mut state.table)));
    }

    /// Whether a task has to be started that probes.
    fn begin_probing(&self) -> bool {
        let begin = |state: &mut State| {
            let begin = self.probes && !state.probing && state.table.is_any_out_of_reach();
            state.probing |= begin;
            begin
        };
        self.state.with(begin)
    }

    /// Whether there is nothing to probe any more: the task ends.
    fn end_probing(&self) -> bool {
        self.state.with(|state| {
            state.probing = state.table.is_any_out_of_reach();
            !state.probing
        })
    }
}

impl Producer {
    /// An attempt is over.
    pub(super) fn learn(
        &self,
        now: Instant,
        broker: &BrokerName,
        took: Duration,
        result: &Result<Frame, RequestError>,
    ) {
        let Some(faults) = &self.inner.faults else { return };
        let view = self.shared().view();
        faults.change(|table| {
            table.keep_only(|broker| view.routes.brokers.contains_key(broker));
            table.learn(now, broker, took, result);
        });
        if faults.begin_probing() {
            let shared = self.shared().clone();
            self.shared().spawn(probe(Arc::downgrade(&self.inner), shared));
        }
    }

    /// Whether a broker answers, whatever it says.
    async fn answers(&self, broker: &BrokerName) -> bool {
        let shared = self.shared();
        let view = shared.view();
        let Some(master) = view.routes.master(broker).cloned() else { return false };
        let known = |(_, topic): &(_, &Arc<crate::client::view::TopicView>)| {
            topic.publish.iter().any(|known| known.queue.broker == *broker)
        };
        let topic = view.routes.topics.iter().find(known).map(|(topic, _)| topic.clone());
        let topic = topic.unwrap_or_else(|| shared.config.template_topic.clone());
        let request = QueueOffsetRequest::<GET_MAX_OFFSET> { topic, queue_id: 0 };
        let frame = request.encode(shared.config.codec, Bytes::new());
        let call = Command::Call { to: CallTarget::Endpoint(master), frame, timeout: PROBE_TIMEOUT };
        matches!(shared.call(call).await, CommandResult::Called(Ok(_)))
    }
}

/// Probes brokers out of reach until there is none, or the producer or its client is gone.
async fn probe(inner: Weak<Inner>, shared: Arc<Shared>) {
    loop {
        let Some(inner) = inner.upgrade() else { return };
        let producer = Producer { inner };
        let Some(faults) = &producer.inner.faults else { return };
        let due = faults.table().to_probe(shared.clock.now());
        for broker in due {
            let answered = producer.answers(&broker).await;
            faults.change(|table| table.on_probe(shared.clock.now(), &broker, answered));
        }
        if faults.end_probing() {
            return;
        }
        drop(producer);
        let pause = shared.clock.sleep_until(shared.clock.now().after(PROBE_INTERVAL));
        let ended = async {
            pause.await;
            false
        }
        .or(async {
            shared.ended().await;
            true
        });
        if ended.await {
            return;
        }
    }
}

/// Between two rounds of probing. Source: Java `ClientConfig.detectInterval`.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// The time a broker has to answer. Source: Java `ClientConfig.detectTimeout`.
const PROBE_TIMEOUT: Duration = Duration::from_millis(200);
