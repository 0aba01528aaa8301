//! The stream of client events, to any number of listeners.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::Mutex;

use futures_lite::Stream;

use super::lock::Lock;
use crate::client::ClientEvent;
use crate::ids::ClientId;

/// The sending side.
pub(super) struct Events {
    listeners: Mutex<Listeners>,
    #[cfg(feature = "metrics")]
    client: ClientId,
}

#[derive(Default)]
struct Listeners {
    all: Vec<Weak<Mutex<Queue>>>,
    closed: bool,
}

/// Events of a client from now on. A listener that does not keep up loses the oldest, which
/// [`EventStream::missed`] counts.
pub struct EventStream {
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<ClientEvent>,
    missed: u64,
    closed: bool,
    waker: Option<Waker>,
}

impl Events {
    #[cfg_attr(not(feature = "metrics"), allow(unused_variables, reason = "nobody counts its events"))]
    pub(super) fn new(client: &ClientId) -> Self {
        Self {
            listeners: Mutex::default(),
            #[cfg(feature = "metrics")]
            client: client.clone(),
        }
    }

    pub(super) fn listen(&self) -> EventStream {
        let queue = self.listeners.with(|listeners| {
            let queue = Arc::new(Mutex::new(Queue { closed: listeners.closed, ..Queue::default() }));
            listeners.all.push(Arc::downgrade(&queue));
            queue
        });
        EventStream { queue }
    }

    pub(super) fn emit(&self, event: &ClientEvent) {
        #[cfg(feature = "tracing")]
        super::trace::event(event);
        #[cfg(feature = "metrics")]
        super::metrics::event(&self.client, event);
        self.each(|queue| {
            if queue.events.len() >= MAX_EVENTS {
                queue.events.pop_front();
                queue.missed = queue.missed.saturating_add(1);
            }
            queue.events.push_back(event.clone());
        });
    }

    pub(super) fn close(&self) {
        self.listeners.with(|listeners| listeners.closed = true);
        self.each(|queue| queue.closed = true);
    }

    fn each(&self, act: impl Fn(&mut Queue)) {
        let listeners = self.listeners.with(|listeners| {
            listeners.all.retain(|listener| listener.strong_count() > 0);
            listeners.all.clone()
        });
        for queue in listeners.iter().filter_map(Weak::upgrade) {
            let waker = queue.with(|queue| {
                act(queue);
                queue.waker.take()
            });
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl EventStream {
    /// The next event; `None` when the client is closed.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        futures_lite::StreamExt::next(self).await
    }

    /// An event that is there already.
    pub fn try_next(&mut self) -> Option<ClientEvent> {
        self.queue.with(|queue| queue.events.pop_front())
    }

    /// Events lost because this listener did not keep up.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.queue.with(|queue| queue.missed)
    }
}

impl Stream for EventStream {
    type Item = ClientEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ClientEvent>> {
        let mut waker = Some(cx.waker().clone());
        self.queue.with(|queue| match queue.events.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None if queue.closed => Poll::Ready(None),
            None => {
                core::mem::swap(&mut queue.waker, &mut waker);
                Poll::Pending
            }
        })
    }
}

/// Events kept for one listener.
const MAX_EVENTS: usize = 1_024;

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test of what threads share")]

    use super::*;
    use futures_lite::future::block_on;

    fn event(number: usize) -> ClientEvent {
        ClientEvent::LinkUp(alloc::format!("b:{number}").into())
    }

    #[test]
    fn each_listener_gets_what_comes_after_it() {
        let events = Events::new(&"c".into());
        let mut early = events.listen();
        events.emit(&event(1));
        let mut late = events.listen();
        events.emit(&event(2));
        assert_eq!((early.try_next(), early.try_next(), early.try_next()), (Some(event(1)), Some(event(2)), None));
        assert_eq!((late.try_next(), late.try_next()), (Some(event(2)), None));
        events.emit(&event(3));
        events.close();
        assert_eq!(block_on(early.next()), Some(event(3)), "what came before the end is not lost");
        assert_eq!(block_on(early.next()), None);
        assert_eq!(block_on(events.listen().next()), None, "who comes after the end learns it");
        drop(early);
        events.emit(&event(4));
        assert_eq!(events.listeners.with(|listeners| listeners.all.len()), 1, "who is gone is forgotten");
    }

    #[test]
    fn a_listener_that_does_not_keep_up_loses_the_oldest_and_knows_how_many() {
        let events = Events::new(&"c".into());
        let mut listener = events.listen();
        (0..MAX_EVENTS).for_each(|number| events.emit(&event(number)));
        assert_eq!(listener.missed(), 0);
        (MAX_EVENTS..MAX_EVENTS + 3).for_each(|number| events.emit(&event(number)));
        assert_eq!((listener.missed(), listener.try_next()), (3, Some(event(3))));
    }

    #[test]
    fn a_listener_that_waits_is_woken() {
        let events = Arc::new(Events::new(&"c".into()));
        let mut listener = events.listen();
        let task = std::thread::spawn(move || (block_on(listener.next()), block_on(listener.next())));
        events.emit(&event(1));
        events.close();
        assert_eq!(task.join().unwrap(), (Some(event(1)), None));
    }
}
