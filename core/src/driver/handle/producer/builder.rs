//! Configures a producer.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::{Inner, Producer};
use crate::client::Command;
use crate::config::{AutoBatch, ConfigError, LatencyFaults, ProducerConfig, TraceConfig};
use crate::driver::handle::Client;
use crate::driver::handle::tracer::{Side, Tracer};
use crate::driver::shared::{Gather, Loaded};
use crate::ids::{Group, Topic};
use crate::send::SendHook;
use crate::wire::compress::CompressionKind;

/// Configures a [`Producer`].
#[derive(Clone)]
pub struct ProducerBuilder {
    client: Client,
    config: ProducerConfig,
    hooks: Vec<Arc<dyn SendHook>>,
}

impl ProducerBuilder {
    pub(in crate::driver::handle) fn new(client: Client, group: Group) -> Self {
        let trace = client.inner.shared.config.trace.clone();
        Self { client, config: ProducerConfig { trace, ..ProducerConfig::new(group) }, hooks: Vec::new() }
    }

    /// A topic as brokers know it.
    pub(in crate::driver::handle) fn outer_topic(&self, topic: Topic) -> Topic {
        self.client.outer_topic(topic)
    }

    /// The whole time a send may take. Default: 3 s.
    #[must_use]
    pub const fn send_timeout(mut self, timeout: Duration) -> Self {
        self.config.send_timeout = timeout;
        self
    }

    /// Attempts after the first. Default: 2.
    #[must_use]
    pub const fn retries(mut self, retries: u32) -> Self {
        self.config.retries = retries;
        self
    }

    /// The longest one attempt may take while others remain. Default: an equal share of the time.
    #[must_use]
    pub const fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.config.attempt_timeout = Some(timeout);
        self
    }

    /// Sends a message again elsewhere when it was stored without the durability asked for. Default: no.
    #[must_use]
    pub const fn retry_weak_store(mut self, retry: bool) -> Self {
        self.config.retry_weak_store = retry;
        self
    }

    /// The codes of brokers after which another broker is tried. Default:
    /// [`RETRY_CODES`](crate::send::RETRY_CODES).
    #[must_use]
    pub fn retry_codes(mut self, codes: impl IntoIterator<Item = i32>) -> Self {
        self.config.retry_codes = codes.into_iter().collect();
        self
    }

    /// The largest body, and the largest batch, bytes. Default: 4 MiB.
    #[must_use]
    pub const fn max_message_size(mut self, bytes: usize) -> Self {
        self.config.max_message_size = bytes;
        self
    }

    /// Bodies of at least so many bytes are compressed. Default: 4,096.
    #[must_use]
    pub const fn compress_over(mut self, bytes: usize) -> Self {
        self.config.compress_over = bytes;
        self
    }

    /// How bodies are compressed. Default: zlib, which is what consumers older than 5.0 can read.
    #[must_use]
    pub const fn compression(mut self, kind: CompressionKind) -> Self {
        self.config.compression = kind;
        self
    }

    /// How thoroughly bodies are compressed, 0 to 9; it counts for zlib only. Default: 5.
    #[must_use]
    pub const fn compress_level(mut self, level: u8) -> Self {
        self.config.compress_level = level;
        self
    }

    /// How much may be under way at once, over all brokers: messages, and bytes of their bodies. Sends beyond that wait, in
    /// order; [`Producer::try_send`] refuses. A single message that is larger goes alone. Default: 1,024 and 100 MiB.
    #[must_use]
    pub const fn under_way(mut self, messages: usize, bytes: usize) -> Self {
        (self.config.max_under_way, self.config.max_bytes_under_way) = (messages, bytes);
        self
    }

    /// Leaves brokers alone for a while that are slow or out of reach. Default: no.
    #[must_use]
    pub fn latency_faults(mut self, faults: LatencyFaults) -> Self {
        self.config.latency_faults = Some(faults);
        self
    }

    /// Puts messages of one topic together into batches: each waits for others for a few milliseconds. Worth it where
    /// many messages are sent at once. Delayed and large messages go by themselves. Default: no.
    #[must_use]
    pub const fn auto_batch(mut self, batch: AutoBatch) -> Self {
        self.config.auto_batch = Some(batch);
        self
    }

    /// Tells this hook of each message; hooks are asked in the order in which they are added.
    #[must_use]
    pub fn hook(mut self, hook: impl SendHook + 'static) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// Notes each message that is stored, each end of a transaction and each recall in a trace topic, as Java's clients do
    /// and `mqadmin queryMsgTraceById` shows. Brokers can refuse that, message by message.
    ///
    /// Records are sent beside the messages, a few at a time. 2,048 may wait, more are lost, which
    /// [`ClientEvent::TraceLost`](crate::client::ClientEvent::TraceLost) tells: sends neither wait for them nor fail with
    /// them. The last ones are sent when the producer is dropped, for a second at most, and when the client shuts down, for
    /// 5 s at most. Default: what [`ClientBuilder::trace`](crate::driver::ClientBuilder::trace) says; `None` switches it off.
    #[must_use]
    pub fn trace(mut self, trace: impl Into<Option<TraceConfig>>) -> Self {
        self.config.trace = trace.into();
        self
    }

    /// Starts the producer.
    ///
    /// # Errors
    /// The configuration breaks a rule.
    pub async fn start(self) -> Result<Producer, ConfigError> {
        self.config.check()?;
        let shared = self.client.inner.shared.clone();
        let started = shared.call(Command::StartProducer(self.config.group.clone()));
        let (client, group, trace) = (&self.client, &self.config.group, self.config.trace.clone());
        let tracer = trace.map(|trace| Tracer::start(client, Side::Produce, group, trace));
        // It exists before the wait: dropped while it waits, it takes the group back.
        let namespace = self.client.namespace().cloned();
        let inner = Inner::new(self.client, self.config, namespace, self.hooks, tracer);
        let producer = Producer { inner: Arc::new(inner) };
        let loaded: Arc<dyn Loaded> = producer.inner.clone();
        shared.add_producer(Arc::downgrade(&loaded));
        if producer.inner.batching.is_some() {
            let inner: Arc<dyn Gather> = producer.inner.clone();
            shared.add_gatherer(Arc::downgrade(&inner));
        }
        started.await;
        Ok(producer)
    }
}

impl fmt::Debug for ProducerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}
