//! How a consumer wants its messages handed out.

use crate::config::{ConsumerConfig, TimeoutPolicy};
use crate::wire::body::MessageModel;

/// How a consumer wants its messages handed out.
#[derive(Clone, Copy, Debug)]
pub struct DispatchConfig {
    /// What to do with a record that cannot be decoded.
    pub on_poison: PoisonPolicy,
    /// Whether a failed message is done (broadcasting) or goes back to the broker (clustering).
    pub drop_failed: bool,
    /// Whether a queue is in one handler at a time, in order, and only while its lease lasts.
    pub orderly: bool,
    /// Orderly: whether what is done is settled at once, or with the next [`Outcome::Committed`].
    pub auto_commit: bool,
    /// Whether a message whose handler takes too long is handed back: what the handler says later counts no more.
    pub overdue_goes_back: bool,
}

impl DispatchConfig {
    /// What a consumer's configuration asks for.
    #[must_use]
    pub fn of(config: &ConsumerConfig) -> Self {
        Self {
            on_poison: match (config.model, config.on_poison) {
                // There is nobody to hand it back to.
                (MessageModel::Broadcasting, PoisonPolicy::SendBack) => PoisonPolicy::Skip,
                (_, policy) => policy,
            },
            drop_failed: config.model == MessageModel::Broadcasting,
            orderly: config.is_orderly(),
            auto_commit: config.auto_commit || !config.is_orderly(),
            // There is nobody to hand it back to, or it has to keep its place.
            overdue_goes_back: config.on_consume_timeout == TimeoutPolicy::SendBack
                && config.model == MessageModel::Clustering
                && !config.is_orderly(),
        }
    }
}

/// What to do with a record that cannot be decoded: undecodable, body checksum wrong, or not inflatable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoisonPolicy {
    /// Hand it back to the broker by its physical offset; a refusal stops the queue. In broadcasting, where nothing is
    /// handed back, it is passed over as by `Skip`.
    #[default]
    SendBack,
    /// Stop handing out this queue at the record.
    Stop,
    /// Pass over it, with an event.
    Skip,
    /// Hand it to the consumer as it is: `delivery.poison()` gives the reason.
    Deliver,
}
