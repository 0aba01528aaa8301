//! Request messages and their replies.
//!
//! A request is a message that names the client that waits for a reply and how the two belong together. Whoever consumes
//! it sends a reply by way of any broker of the cluster, which hands it to that client.

use alloc::string::{String, ToString};
use core::time::Duration;

use bytes::Bytes;

use crate::dispatch::Taken;
use crate::ids::ClientId;
use crate::message::Message;
use crate::wire::message::properties::{self, name};

/// The reply to a request of this client.
#[derive(Clone, Debug)]
pub struct PushedReply {
    /// What it has in common with its request.
    pub correlation: String,
    /// The reply.
    pub message: Taken,
}

impl Message {
    /// A request: a message to which this client wants a reply.
    #[must_use]
    pub fn asking(self, correlation: &str, client: &ClientId, timeout: Duration) -> Self {
        self.set(name::CORRELATION_ID, correlation.to_string())
            .set(name::REPLY_TO_CLIENT, client.as_str().to_string())
            .set(name::TTL, timeout.as_millis().to_string())
    }

    /// The reply to the request that has these encoded properties. Source: Java `MessageUtil.createReplyMessage`.
    ///
    /// # Errors
    /// Nobody waits for a reply to it.
    pub fn reply_to(request: &[u8], body: impl Into<Bytes>) -> Result<Self, NoRequest> {
        let property = |key: &'static str| properties::get(request, key).ok_or(NoRequest(key));
        let topic = [property(name::CLUSTER)?, REPLY_TOPIC].concat();
        let correlation = property(name::CORRELATION_ID)?;
        let mut reply = Self::new(topic, body)
            .set(name::MSG_TYPE, REPLY.to_string())
            .set(name::CORRELATION_ID, correlation.to_string())
            .set(name::REPLY_TO_CLIENT, property(name::REPLY_TO_CLIENT)?.to_string());
        if let Some(time) = properties::get(request, name::TTL) {
            reply = reply.set(name::TTL, time.to_string());
        }
        Ok(reply)
    }

    /// Whether it is the reply to a request: brokers take it by a request of its own.
    #[must_use]
    pub fn is_reply(&self) -> bool {
        self.property(name::MSG_TYPE) == Some(REPLY)
    }
}

/// Whether these are the properties of a reply.
pub(crate) fn is_reply(topic: &str, encoded: &str) -> bool {
    topic.ends_with(REPLY_TOPIC) && properties::get(encoded.as_bytes(), name::MSG_TYPE) == Some(REPLY)
}

/// A message that is no request: this property is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is no request: it has no {0}")]
pub struct NoRequest(pub &'static str);

/// The end of the names of reply topics, after the name of the cluster.
pub(crate) const REPLY_TOPIC: &str = "_REPLY_TOPIC";
/// What `MSG_TYPE` says of replies.
const REPLY: &str = "reply";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_goes_to_the_cluster_of_its_request_and_to_the_client_that_waits() {
        let request = Message::new("T", "?").asking("C1", &"10.0.0.1@1".into(), Duration::from_secs(3));
        let property = |message: &Message, key| message.property(key).map(ToString::to_string);
        assert_eq!(property(&request, "TTL").as_deref(), Some("3000"));
        let stored = [request.encode_properties("U").unwrap().as_str(), "CLUSTER\u{1}c\u{2}"].concat();
        let reply = Message::reply_to(stored.as_bytes(), "!").unwrap();
        assert_eq!((reply.topic().as_str(), &reply.body()[..]), ("c_REPLY_TOPIC", &b"!"[..]));
        for (key, value) in
            [("MSG_TYPE", "reply"), ("CORRELATION_ID", "C1"), ("REPLY_TO_CLIENT", "10.0.0.1@1"), ("TTL", "3000")]
        {
            assert_eq!(reply.property(key), Some(value), "{key}");
        }
        assert!(reply.is_reply() && !request.is_reply());
        assert!(is_reply("c_REPLY_TOPIC", &reply.encode_properties("U").unwrap()));
        assert!(!is_reply("c_REPLY_TOPIC", &request.encode_properties("U").unwrap()));
        assert_eq!(reply.check(100), Ok(()), "what the protocol sets is not refused");
    }

    #[test]
    fn what_lacks_something_is_no_request() {
        let all = [("CLUSTER", "c"), ("CORRELATION_ID", "C1"), ("REPLY_TO_CLIENT", "me")];
        for missing in all.map(|(key, _)| key) {
            let encoded = properties::encode(all.into_iter().filter(|(key, _)| *key != missing)).unwrap();
            assert_eq!(Message::reply_to(encoded.as_bytes(), "!"), Err(NoRequest(missing)));
        }
    }
}
