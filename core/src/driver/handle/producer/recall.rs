//! Taking back a message whose timer is not due.

use alloc::string::String;

use super::Producer;
use crate::driver::handle::AdminError;
use crate::ids::Topic;
use crate::mutants::mutant;
use crate::wire::message::{NoHandle, RecallHandle};
use crate::wire::request::{Fields, RecallMessage, RecallMessageResponse};

impl Producer {
    /// Takes back a message with a timer by the handle from its receipt, before it is due; returns its id. Brokers from 5.4
    /// on do so when they are set to.
    ///
    /// # Errors
    /// The handle is none, or is of another topic; the broker refuses: for example as the message is due.
    pub async fn recall(&self, topic: impl Into<Topic>, handle: &str) -> Result<String, RecallError> {
        let inner = topic.into();
        let topic = self.outer_topic(inner.clone());
        if RETRY_OR_DEAD.iter().any(|prefix| topic.as_str().starts_with(prefix)) {
            return Err(RecallError::Topic(topic));
        }
        let read = RecallHandle::decode(handle)?;
        if read.topic != topic {
            return Err(RecallError::OtherTopic(read.topic));
        }
        let request = RecallMessage {
            group: Some(self.group().clone()),
            topic: topic.clone(),
            handle: handle.into(),
            broker: Some(read.broker.clone()),
        };
        if mutant!(139) {
            return Ok(read.unique_key);
        }
        let answer = self.inner.client.admin().ask_master(&topic, &read.broker, &request).await;
        if let Some(tracer) = &self.inner.tracer {
            tracer.recalled(&inner, &read.unique_key, &answer);
        }
        let frame = answer?;
        Ok(RecallMessageResponse::read(&frame.header.ext).map_err(AdminError::Malformed)?.msg_id)
    }
}

/// A message that was not taken back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecallError {
    /// Messages of retry and dead-letter topics cannot be taken back.
    #[error("messages of topic {0} cannot be recalled")]
    Topic(Topic),
    /// Not a handle.
    #[error(transparent)]
    Handle(#[from] NoHandle),
    /// The handle is of a message of another topic.
    #[error("the handle is of a message of topic {0}")]
    OtherTopic(Topic),
    /// The broker refuses, or cannot be asked.
    #[error(transparent)]
    Request(#[from] AdminError),
}

/// Topics of which nothing is taken back. Source: Java `DefaultMQProducerImpl.recallMessage`.
const RETRY_OR_DEAD: [&str; 2] = ["%RETRY%", "%DLQ%"];
