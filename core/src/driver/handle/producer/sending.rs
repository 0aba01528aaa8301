//! The future of a send.

use alloc::boxed::Box;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use super::batching::{Admitted, Part};
use super::{Producer, Told};
use crate::driver::cell::Place;
use crate::message::Message;
use crate::send::{Receipt, SendError, Target};
use crate::time::Instant;

/// A send, as its caller polls it. Very many are under way at once: it is small, and what needs more room than a message is
/// on the heap, while it is needed.
pub(super) enum Sending<'a> {
    /// Nobody has polled it yet.
    New(&'a Producer, Message, Target),
    /// The message waits for the end of its batch.
    Together(&'a Producer, Option<Box<Told>>, Place<Part>),
    /// The message waits for room, or goes by itself.
    Apart(Pin<Box<dyn Future<Output = Result<Receipt, SendError>> + Send + 'a>>),
    /// It has ended.
    Over,
}

impl Producer {
    /// Does what is to be done at once.
    fn begin(&self, message: Message, target: Target) -> Result<Sending<'_>, SendError> {
        let now = self.shared().clock.now();
        let deadline = self.deadline_from(now);
        let told = self.announce(&message, &target)?;
        let message = self.placed(message).map_err(|error| self.failed(told.as_deref(), error))?;
        let target = self.aimed(target);
        let bytes = message.body().len();
        let Ok(permit) = self.inner.budget.slots.try_acquire(bytes) else {
            return Ok(Sending::Apart(Box::pin(async move {
                let admitted = self.admit(bytes, deadline).await;
                let permit = admitted.map_err(|error| self.failed(told.as_deref(), error))?;
                let now = self.shared().clock.now();
                self.send_admitted(Admitted { message, target, permit }, now, deadline, told).await
            })));
        };
        Ok(self.send_admitted(Admitted { message, target, permit }, now, deadline, told))
    }

    /// Sends what has its place since `now`.
    pub(super) fn send_admitted(
        &self,
        admitted: Admitted,
        now: Instant,
        deadline: Instant,
        told: Option<Box<Told>>,
    ) -> Sending<'_> {
        match self.put_together(admitted, now, deadline) {
            Ok(place) => Sending::Together(self, told, place),
            Err(Admitted { message, target, permit }) => {
                let sent = self.deliver(&message, target, deadline);
                Sending::Apart(Box::pin(async move {
                    let result = sent.await;
                    drop(permit);
                    self.tell(told.as_deref(), result.as_ref().map(Some));
                    result
                }))
            }
        }
    }
}

impl Future for Sending<'_> {
    type Output = Result<Receipt, SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Self::New(..) = &*self
            && let Self::New(producer, message, target) = mem::replace(&mut *self, Self::Over)
        {
            *self = producer.begin(message, target)?;
        }
        let result = match &mut *self {
            Self::Together(producer, told, place) => {
                let result = Part::result(ready!(Pin::new(place).poll(cx)));
                producer.tell(told.as_deref(), result.as_ref().map(Some));
                result
            }
            Self::Apart(rest) => ready!(rest.as_mut().poll(cx)),
            Self::New(..) | Self::Over => Err(SendError::Closed),
        };
        *self = Self::Over;
        Poll::Ready(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_that_waits_is_hardly_larger_than_its_message() {
        assert!(size_of::<Sending<'_>>() <= size_of::<(&Producer, Message, Target)>().saturating_add(8));
    }
}
