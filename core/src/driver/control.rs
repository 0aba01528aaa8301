//! What the client task tells a connection task.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::mem;
use core::task::Waker;
use core::time::Duration;
use std::sync::Mutex;

use super::lock::Lock;
use crate::client::LinkRequest;
use crate::error::RequestFailure;
use crate::ids::Opaque;
use crate::wire::frame::EncodedFrame;

/// An order for a connection task.
pub(super) enum Order {
    /// Send a request of the machine.
    Request(LinkRequest),
    /// Send what nobody answers.
    Oneway(EncodedFrame),
    /// Answer a server's request.
    Answer(Opaque, EncodedFrame),
    /// Close, after so long at most.
    Close(Duration),
}

/// The orders of one link. The machine bounds them: each of its queues has one request under way.
#[derive(Clone)]
pub(super) struct Orders(Arc<Mutex<State>>);

struct State {
    orders: VecDeque<Order>,
    /// Oneways of the server that are handled, and were not told yet.
    handled: usize,
    /// Whether the link waits for that.
    paused: bool,
    waker: Option<Waker>,
    /// Why the link is gone.
    gone: Option<RequestFailure>,
}

impl Orders {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            orders: VecDeque::new(),
            handled: 0,
            paused: false,
            waker: None,
            gone: None,
        })))
    }

    /// Gives an order; it comes back when the link is gone, with the reason.
    pub(super) fn give(&self, order: Order) -> Option<(Order, RequestFailure)> {
        let (refused, waker) = self.0.with(|state| match &state.gone {
            Some(why) => (Some((order, why.clone())), None),
            None => {
                state.orders.push_back(order);
                (None, state.waker.take())
            }
        });
        if let Some(waker) = waker {
            waker.wake();
        }
        refused
    }

    /// A oneway of the server is handled.
    pub(super) fn handled(&self) {
        let waker = self.0.with(|state| {
            state.handled = state.handled.saturating_add(1);
            if state.paused { state.waker.take() } else { None }
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Moves all orders to `out`, and keeps the waker for the next. Returns how many oneways of the server were handled;
    /// that further ones are wakes only a link that is `paused`.
    pub(super) fn take(&self, waker: &Waker, paused: bool, out: &mut VecDeque<Order>) -> usize {
        let mut waker = Some(waker.clone());
        self.0.with(|state| {
            out.append(&mut state.orders);
            mem::swap(&mut state.waker, &mut waker);
            state.paused = paused;
            mem::take(&mut state.handled)
        })
    }

    /// Ends the queue; what was not taken comes back.
    pub(super) fn close(&self, why: RequestFailure) -> VecDeque<Order> {
        self.0.with(|state| {
            state.gone = Some(why);
            mem::take(&mut state.orders)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test of what threads share")]

    use super::*;
    use futures_lite::future::{block_on, poll_fn};

    fn graces(orders: &VecDeque<Order>) -> alloc::vec::Vec<u64> {
        let grace = |order: &Order| match order {
            Order::Close(grace) => grace.as_secs(),
            Order::Request(_) | Order::Oneway(_) | Order::Answer(..) => panic!("something else"),
        };
        orders.iter().map(grace).collect()
    }

    #[test]
    fn orders_come_in_order_and_wake_the_link() {
        let orders = Orders::new();
        let other = orders.clone();
        let task = std::thread::spawn(move || {
            let mut out = VecDeque::new();
            block_on(poll_fn(|cx| {
                other.take(cx.waker(), false, &mut out);
                if out.len() == 2 { core::task::Poll::Ready(()) } else { core::task::Poll::Pending }
            }));
            out
        });
        for grace in [1, 2] {
            assert!(orders.give(Order::Close(Duration::from_secs(grace))).is_none());
        }
        assert_eq!(graces(&task.join().unwrap()), [1, 2]);
    }

    #[test]
    fn a_link_that_is_gone_gives_orders_back_with_the_reason() {
        let orders = Orders::new();
        assert!(orders.give(Order::Close(Duration::from_secs(1))).is_none());
        assert_eq!(graces(&orders.close(RequestFailure::Timeout)), [1]);
        let (back, why) = orders.give(Order::Close(Duration::from_secs(2))).unwrap();
        assert_eq!((graces(&VecDeque::from([back])), why), (alloc::vec![2], RequestFailure::Timeout));
        assert!(orders.close(RequestFailure::Timeout).is_empty());
    }
}
