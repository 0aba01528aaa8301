//! How often and how long a send may try.

use core::time::Duration;

use crate::config::ProducerConfig;
use crate::wire::codes::response;

/// How often and how long a send may try.
#[derive(Clone, Copy, Debug)]
pub struct SendPolicy {
    /// Attempts in all.
    pub attempts: u32,
    /// The longest one attempt may take while others remain.
    pub attempt_timeout: Duration,
    /// Whether a weak store is tried again elsewhere.
    pub retry_weak_store: bool,
}

impl SendPolicy {
    /// The policy of a producer.
    #[must_use]
    pub fn of(config: &ProducerConfig) -> Self {
        let attempts = config.retries.saturating_add(1);
        let share = config.send_timeout.checked_div(attempts).unwrap_or(config.send_timeout);
        Self {
            attempts,
            attempt_timeout: config.attempt_timeout.unwrap_or(share),
            retry_weak_store: config.retry_weak_store,
        }
    }
}

/// Codes after which another broker is tried. Source: Java `DefaultMQProducer.retryResponseCodes`.
pub(super) const RETRY_CODES: [i32; 8] = [
    response::SYSTEM_ERROR,
    response::SYSTEM_BUSY,
    response::SERVICE_NOT_AVAILABLE,
    response::NO_PERMISSION,
    response::TOPIC_NOT_EXIST,
    response::NO_BUYER_ID,
    response::NOT_IN_CURRENT_UNIT,
    response::GO_AWAY,
];
