//! The handle by which a message is taken back whose timer is not due.

use alloc::format;
use alloc::string::String;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

use crate::ids::{BrokerName, Topic};

/// What a handle says: base64 of `v1 TOPIC BROKER TIME KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecallHandle {
    /// The topic.
    pub topic: Topic,
    /// The broker that has the message.
    pub broker: BrokerName,
    /// When it is due, Unix milliseconds.
    pub due: i64,
    /// Its unique key.
    pub unique_key: String,
}

impl RecallHandle {
    /// Reads a handle.
    ///
    /// # Errors
    /// It is none of the version that is known.
    pub fn decode(text: &str) -> Result<Self, NoHandle> {
        let bytes = URL_SAFE.decode(text).map_err(|_| NoHandle)?;
        let text = String::from_utf8(bytes).map_err(|_| NoHandle)?;
        let mut parts = text.split(' ');
        let parts = [(); 6].map(|()| parts.next());
        let [Some("v1"), Some(topic), Some(broker), Some(due), Some(key), None] = parts else {
            return Err(NoHandle);
        };
        let due = due.parse().map_err(|_| NoHandle)?;
        Ok(Self { topic: topic.into(), broker: broker.into(), due, unique_key: key.into() })
    }

    /// The handle as text.
    #[must_use]
    pub fn encode(&self) -> String {
        URL_SAFE.encode(format!("v1 {} {} {} {}", self.topic, self.broker, self.due, self.unique_key))
    }
}

/// Not a handle to recall a message by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a handle to recall a message by")]
pub struct NoHandle;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HANDLE: &str = "djEgVG9waWNUZXN0IGJyb2tlci1hIDE3MDAwMDAwMDAwMDEgN0YwMDAwMDEwMDAxMDAwMDAwMDAwMDAwMDAwMDAwMDA=";

    #[test]
    fn a_handle_of_java_is_read_and_written_back() {
        let handle = RecallHandle::decode(HANDLE).unwrap();
        assert_eq!((handle.topic.as_str(), handle.broker.as_str()), ("TopicTest", "broker-a"));
        assert_eq!((handle.due, handle.unique_key.as_str()), (1_700_000_000_001, "7F000001000100000000000000000000"));
        assert_eq!(handle.encode(), HANDLE);
    }

    #[test]
    fn what_is_no_handle_is_refused() {
        let of = |text: &str| RecallHandle::decode(&URL_SAFE.encode(text));
        assert!(of("v1 t b 5 k").is_ok());
        for text in ["", "v2 t b 5 k", "v1 t b 5", "v1 t b 5 k x", "v1 t b x k"] {
            assert_eq!(of(text), Err(NoHandle), "{text}");
        }
        for text in ["", "*", "djE", &HANDLE[1..]] {
            assert_eq!(RecallHandle::decode(text), Err(NoHandle), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_verdict(text: String) {
            let _ = RecallHandle::decode(&text);
            let _ = RecallHandle::decode(&URL_SAFE.encode(&text));
        }
    }
}
