//! Producers.

use core::time::Duration;

use super::{ConfigError, check_group};
use crate::ids::Group;

/// Configuration of one producer group.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// The group.
    pub group: Group,
    /// The whole time a send may take, retries included. Java `sendMsgTimeout`: 3 s.
    pub send_timeout: Duration,
    /// Attempts after the first. Java `retryTimesWhenSendFailed`: 2.
    pub retries: u32,
    /// The longest one attempt may take while others remain; `None` gives each attempt an equal share.
    ///
    /// Java's `sendMsgMaxTimeoutPerRequest` is off by default, so that one bad broker burns the whole time.
    pub attempt_timeout: Option<Duration>,
    /// Whether a message stored without the durability asked for is sent again elsewhere. Java: no.
    pub retry_weak_store: bool,
    /// The largest body, before compression. Java `maxMessageSize`: 4 MiB.
    pub max_message_size: usize,
    /// Bodies of at least this many bytes are compressed. Java `compressMsgBodyOverHowmuch`: 4096.
    pub compress_over: usize,
}

impl ProducerConfig {
    /// The defaults.
    #[must_use]
    pub fn new(group: Group) -> Self {
        Self {
            group,
            send_timeout: Duration::from_secs(3),
            retries: 2,
            attempt_timeout: None,
            retry_weak_store: false,
            max_message_size: 4 * 1024 * 1024,
            compress_over: 4_096,
        }
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_group(&self.group)?;
        if self.group.as_str() == DEFAULT_PRODUCER {
            return Err(ConfigError::DefaultGroup(DEFAULT_PRODUCER));
        }
        if self.send_timeout.is_zero() {
            return Err(ConfigError::Range { name: "send_timeout", least: 1, most: u64::MAX });
        }
        Ok(())
    }
}

/// The group name that Java refuses.
const DEFAULT_PRODUCER: &str = "DEFAULT_PRODUCER";
