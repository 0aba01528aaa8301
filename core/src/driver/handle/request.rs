//! Requests and replies.

use alloc::sync::Arc;
use core::time::Duration;

use bytes::Bytes;

use super::delivery::ReceivedMessage;
use super::producer::before;
use super::{Client, Producer};
use crate::client::{Command, CommandResult};
use crate::dispatch::PoisonCause;
use crate::driver::requests::NoWait;
use crate::driver::shared::Shared;
use crate::ids::Topic;
use crate::message::Message;
use crate::mutants::mutant;
use crate::request::{NoRequest, REPLY_TOPIC};
use crate::send::{Parcel, Receipt, SendError, Target};
use crate::time::Instant;

impl Producer {
    /// Sends a message and waits for the reply to it, all within this time. Whoever consumes the message replies with
    /// [`Producer::reply`].
    ///
    /// It may be handled more than once, as any message: the first reply counts. Dropping the future stops waiting.
    ///
    /// # Errors
    /// See [`ReplyError`].
    pub async fn request(&self, message: Message, timeout: Duration) -> Result<ReceivedMessage, ReplyError> {
        self.request_with(message, Target::Any, timeout).await
    }

    /// The same, to where `target` says.
    ///
    /// # Errors
    /// See [`ReplyError`].
    pub async fn request_with(
        &self,
        message: Message,
        target: Target,
        timeout: Duration,
    ) -> Result<ReceivedMessage, ReplyError> {
        let shared = self.shared();
        let deadline = shared.clock.now().after(timeout);
        let correlation = shared.keys.next(shared.clock.wall());
        let completion = shared.requests.wait(&correlation).map_err(|why| match why {
            NoWait::Full => ReplyError::TooMany,
            NoWait::Closed => ReplyError::Closed,
        })?;
        let _waiting = Waiting { shared, correlation: &correlation };
        let told = self.announce(&message, &target)?;
        let sent = async {
            let message = self.placed(message)?.asking(&correlation, &shared.config.client_id, timeout);
            introduce(shared, message.topic(), deadline).await;
            let _permit = self.admit(message.body().len(), deadline).await?;
            let parcel = Parcel::new(&shared.config, &self.inner.config, &message, &shared.keys, shared.clock.wall())?;
            let receipt = self.deliver_parcel(parcel, self.aimed(target), deadline).await?;
            Ok(self.seen_within(receipt))
        };
        let sent: Result<_, SendError> = sent.await;
        self.tell(told.as_deref(), sent.as_ref().map(Some));
        let patience = match &sent {
            // It may be stored, and the reply be here already, or come yet.
            Err(error) if !error.may_be_stored() => return Err(ReplyError::Send(error.clone())),
            Ok(_) if mutant!(167) => shared.clock.now(),
            Ok(_) | Err(_) => deadline,
        };
        match before(shared, patience, completion).await {
            Some(Ok(reply)) => reply.map_err(ReplyError::Unreadable),
            Some(Err(_)) => Err(ReplyError::Closed),
            None => Err(sent.map_or_else(ReplyError::Send, |_| ReplyError::Timeout)),
        }
    }

    /// Replies to a request that was consumed. Done when a broker has handed the reply to who waits for it.
    ///
    /// # Errors
    /// The message is no request; or see [`SendError`]: a broker that does not know who waits refuses it.
    pub async fn reply(&self, request: &ReceivedMessage, body: impl Into<Bytes>) -> Result<Receipt, RespondError> {
        Ok(self.send(request.reply(body)?).await?)
    }
}

impl Client {
    /// How many requests of all producers wait for their replies.
    #[must_use]
    pub fn waiting_requests(&self) -> usize {
        self.inner.shared.requests.waiting()
    }
}

/// Has the brokers of the topic's clusters hear of this client, as a reply may come from any of them.
async fn introduce(shared: &Arc<Shared>, topic: &Topic, deadline: Instant) {
    if !shared.view().routes.topics.contains_key(topic) {
        want(shared, topic.clone(), deadline).await;
    }
    let view = shared.view();
    let Some(known) = view.routes.topics.get(topic) else { return };
    let broker = |queue: &crate::client::view::PublishQueue| view.routes.brokers.get(&queue.queue.broker).cloned();
    for broker in known.publish.iter().filter_map(broker) {
        if !shared.requests.is_new(&broker.cluster) {
            continue;
        }
        let replies = Topic::from([broker.cluster.as_str(), REPLY_TOPIC].concat());
        want(shared, replies.clone(), deadline).await;
        let view = shared.view();
        let known = view.routes.topics.get(&replies).map(|known| known.publish.as_slice()).unwrap_or_default();
        for queue in known {
            // With the link up, the first thing it carries is a heartbeat.
            let link = shared.call(Command::WantLink(queue.endpoint.clone()));
            before(shared, deadline, link).await;
        }
        shared.requests.heard(broker.cluster.clone());
    }
}

async fn want(shared: &Arc<Shared>, topic: Topic, deadline: Instant) {
    let call = shared.call(Command::WantRoute { topic, fresh: false });
    // Without a route the send fails by itself, or replies come by the brokers of the topic.
    let _: Option<CommandResult> = before(shared, deadline, call).await;
}

/// A request that waits; dropped, it waits no more.
struct Waiting<'a> {
    shared: &'a Shared,
    correlation: &'a str,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !mutant!(166) {
            self.shared.requests.forget(self.correlation);
        }
    }
}

/// A request without a reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// It was not sent, or nobody knows.
    #[error(transparent)]
    Send(#[from] SendError),
    /// It is stored, and no reply came in time.
    #[error("no reply in time")]
    Timeout,
    /// The body of the reply cannot be read.
    #[error("the reply cannot be read: {0}")]
    Unreadable(PoisonCause),
    /// Too many requests wait for their replies.
    #[error("too many requests wait for their replies")]
    TooMany,
    /// The client is closed.
    #[error("closed")]
    Closed,
}

/// A reply that did not reach who waits for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RespondError {
    /// Nobody waits for one.
    #[error(transparent)]
    NoRequest(#[from] NoRequest),
    /// It was not handed over, or nobody knows.
    #[error(transparent)]
    Send(#[from] SendError),
}
