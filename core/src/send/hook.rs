//! What users hear of the sends of a producer.

use alloc::string::String;
use alloc::sync::Arc;

use super::{Receipt, SendError};
use crate::ids::{Group, MessageQueue};
use crate::message::Message;

/// Hears of each message that a producer sends, and may refuse it. Batches are told message by message.
///
/// It is called in the caller's task, once for a message however many attempts are made, and must not block.
pub trait SendHook: Send + Sync {
    /// A message is about to be sent.
    ///
    /// # Errors
    /// The message is not to be sent: its sender gets [`SendError::Refused`] with this text, and
    /// [`SendHook::after`] is not called.
    fn before(&self, context: &SendContext<'_>) -> Result<(), String> {
        let _ = context;
        Ok(())
    }

    /// A message was sent: `Ok` with its receipt, with `None` when nobody answers. Not called when the sender's future was
    /// dropped.
    fn after(&self, context: &SendContext<'_>, result: Result<Option<&Receipt>, &SendError>) {
        let _ = (context, result);
    }
}

impl<H: SendHook + ?Sized> SendHook for Arc<H> {
    fn before(&self, context: &SendContext<'_>) -> Result<(), String> {
        (**self).before(context)
    }

    fn after(&self, context: &SendContext<'_>, result: Result<Option<&Receipt>, &SendError>) {
        (**self).after(context, result);
    }
}

/// A message that is sent.
#[derive(Clone, Copy, Debug)]
pub struct SendContext<'a> {
    /// The producer group.
    pub group: &'a Group,
    /// The message.
    pub message: &'a Message,
    /// The queue, when the sender names one.
    pub queue: Option<&'a MessageQueue>,
}
