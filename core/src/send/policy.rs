//! How often and how long a send may try.

use alloc::sync::Arc;
use core::time::Duration;

use crate::config::ProducerConfig;
use crate::wire::codes::response;

/// How often and how long a send may try.
#[derive(Clone, Debug)]
pub struct SendPolicy {
    /// Attempts in all.
    pub attempts: u32,
    /// The longest one attempt may take while others remain.
    pub attempt_timeout: Duration,
    /// Whether a weak store is tried again elsewhere.
    pub retry_weak_store: bool,
    /// Codes of brokers after which another one is tried.
    pub retry_codes: Arc<[i32]>,
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
            retry_codes: config.retry_codes.iter().copied().collect(),
        }
    }

    /// The policy of a send that goes to one place: a single attempt, as in Java.
    #[must_use]
    pub fn once() -> Self {
        Self { attempts: 1, attempt_timeout: Duration::MAX, retry_weak_store: false, retry_codes: Arc::new([]) }
    }
}

/// Codes after which another broker is tried, unless others are chosen. Source: Java
/// `DefaultMQProducer.retryResponseCodes`.
pub const RETRY_CODES: [i32; 8] = [
    response::SYSTEM_ERROR,
    response::SYSTEM_BUSY,
    response::SERVICE_NOT_AVAILABLE,
    response::NO_PERMISSION,
    response::TOPIC_NOT_EXIST,
    response::NO_BUYER_ID,
    response::NOT_IN_CURRENT_UNIT,
    response::GO_AWAY,
];
