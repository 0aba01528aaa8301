//! The submit queue of a link: first come, first served, bounded in requests and in bytes.
//!
//! A slot is taken at admission and given back when the request is over, not when it is written: the queue bounds
//! what is under way, and what waits for a slot waits in the caller's own future.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use super::lock::{Lock, Locks, StdLocks};
use crate::error::{CloseReason, RequestFailure};
use crate::mutants::mutant;

/// The side of the callers. Clones share the queue.
pub struct Submitter<I, L: Locks = StdLocks>(Shared<I, L>);

/// The side of the connection task. Dropped, it closes the queue.
pub struct Intake<I, L: Locks = StdLocks>(Shared<I, L>);

/// A slot for one item. Dropped without [`Permit::push`], it is given back.
#[must_use = "a slot is held as long as its permit"]
pub struct Permit<I, L: Locks = StdLocks> {
    queue: Option<Shared<I, L>>,
    load: Load,
}

/// Waits for a slot, in order. Dropped, it leaves the order; a slot it was given goes to the next.
#[must_use = "futures do nothing unless polled"]
pub struct Acquire<I, L: Locks = StdLocks> {
    queue: Shared<I, L>,
    bytes: usize,
    ticket: Option<u64>,
}

type Shared<I, L> = Arc<<L as Locks>::Lock<State<I>>>;

struct State<I> {
    items: VecDeque<I>,
    consumer: Option<Waker>,
    limits: Load,
    taken: Load,
    /// In order of their tickets; the first `granted` of them hold slots and have not noticed yet.
    waiters: VecDeque<Waiter>,
    granted: usize,
    next_ticket: u64,
    closed: Option<CloseReason>,
}

/// Requests under way, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Number of requests.
    pub requests: usize,
    /// Bytes of their frames.
    pub bytes: usize,
}

struct Waiter {
    ticket: u64,
    bytes: usize,
    waker: Option<Waker>,
}

/// A queue that admits as much at once as `limits` says.
#[must_use]
pub fn submit_queue<I>(limits: Load) -> (Submitter<I>, Intake<I>) {
    submit_queue_in(limits)
}

/// The same with locks of another family.
#[must_use]
pub fn submit_queue_in<I, L: Locks>(limits: Load) -> (Submitter<I, L>, Intake<I, L>) {
    let shared = Arc::new(L::Lock::new(State {
        items: VecDeque::new(),
        consumer: None,
        limits,
        taken: Load::default(),
        waiters: VecDeque::new(),
        granted: 0,
        next_ticket: 0,
        closed: None,
    }));
    (Submitter(Arc::clone(&shared)), Intake(shared))
}

impl<I, L: Locks> Submitter<I, L> {
    /// Takes a slot for a frame of `bytes` if there is one and nobody waits for it.
    ///
    /// # Errors
    /// [`RequestFailure::Busy`] or [`RequestFailure::Closed`].
    pub fn try_acquire(&self, bytes: usize) -> Result<Permit<I, L>, RequestFailure> {
        self.0.with(|state| state.admit(bytes))?;
        Ok(Permit { queue: Some(Arc::clone(&self.0)), load: Load { requests: 1, bytes } })
    }

    /// Waits for a slot for a frame of `bytes`. A frame over the byte bound is admitted when nothing else is.
    pub fn acquire(&self, bytes: usize) -> Acquire<I, L> {
        Acquire { queue: Arc::clone(&self.0), bytes, ticket: None }
    }

    /// What is under way.
    #[must_use]
    pub fn load(&self) -> Load {
        self.0.with(|state| state.taken)
    }

    /// Why the queue is closed, `None` while it is open.
    #[must_use]
    pub fn closed(&self) -> Option<CloseReason> {
        self.0.with(|state| state.closed.clone())
    }
}

impl<I, L: Locks> Permit<I, L> {
    /// Queues an item under this slot, which is then given back by [`Intake::release`].
    ///
    /// # Errors
    /// The queue is closed: the item comes back.
    pub fn push(mut self, item: I) -> Result<(), (CloseReason, I)> {
        let Some(queue) = self.queue.take() else { return Err((CloseReason::Local, item)) };
        let waker = queue.with(|state| match &state.closed {
            Some(reason) => Err((reason.clone(), item)),
            None => {
                state.items.push_back(item);
                Ok(if state.items.len() == 1 { state.consumer.take() } else { None })
            }
        })?;
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// The bytes it stands for.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.load.bytes
    }

    /// Takes in the slots of another permit of this queue, to be given back at once when this one is dropped.
    pub fn join(&mut self, mut other: Self) {
        if self.queue.as_ref().zip(other.queue.as_ref()).is_some_and(|(own, other)| Arc::ptr_eq(own, other)) {
            other.queue = None;
            self.load.requests = self.load.requests.saturating_add(other.load.requests);
            self.load.bytes = self.load.bytes.saturating_add(other.load.bytes);
        }
    }
}

impl<I, L: Locks> Intake<I, L> {
    /// Moves up to `max` items to `out` and returns how many; pending when there is none.
    ///
    /// When this leaves the queue empty, the task is woken by the next item. When it does not (`max` was reached),
    /// the task has to come back by itself. A closed queue gives 0.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>, max: usize, out: &mut Vec<I>) -> Poll<usize> {
        let mut waker = Some(cx.waker().clone());
        self.0.with(|state| {
            let n = state.items.len().min(max);
            out.extend(state.items.drain(..n));
            if state.items.is_empty() {
                mem::swap(&mut state.consumer, &mut waker);
            }
            if n == 0 && max > 0 && state.closed.is_none() { Poll::Pending } else { Poll::Ready(n) }
        })
    }

    /// Gives back the slots of requests that are over, to those who wait for them.
    pub fn release(&mut self, over: Load) {
        release::<I, L>(&self.0, over);
    }

    /// Closes the queue: who waits or comes later fails with `reason`. Items that were queued come back.
    pub fn close(&mut self, reason: CloseReason) -> VecDeque<I> {
        let (items, wakers) = self.0.with(|state| {
            state.closed.get_or_insert(reason);
            let wakers: Vec<Waker> = state.waiters.iter_mut().filter_map(|waiter| waiter.waker.take()).collect();
            (mem::take(&mut state.items), wakers)
        });
        wakers.into_iter().for_each(Waker::wake);
        items
    }

    /// Items that were pushed and not drained.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.with(|state| state.items.len())
    }

    /// Whether no item is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<I> State<I> {
    fn admit(&mut self, bytes: usize) -> Result<(), RequestFailure> {
        if let Some(reason) = &self.closed {
            return Err(RequestFailure::Closed(reason.clone()));
        }
        if self.waiters.len() > self.granted || !self.fits(bytes) {
            return Err(RequestFailure::Busy);
        }
        self.taken.add(bytes);
        Ok(())
    }

    fn fits(&self, bytes: usize) -> bool {
        let alone = self.taken.requests == 0;
        let room = self.taken.requests < self.limits.requests;
        alone || mutant!(37) || (room && self.taken.bytes.saturating_add(bytes) <= self.limits.bytes)
    }

    /// Gives slots to the waiters that are first, as far as they go; returns whom to wake.
    fn grant(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Some(bytes) = self.waiters.get(self.granted).map(|waiter| waiter.bytes)
            && self.fits(bytes)
        {
            self.taken.add(bytes);
            if let Some(waiter) = self.waiters.get_mut(self.granted) {
                wakers.extend(waiter.waker.take());
            }
            self.granted = self.granted.saturating_add(1);
        }
        wakers
    }

    /// Takes a waiter out of the order; tells whether it held a slot.
    fn leave(&mut self, ticket: u64) -> (Option<Waiter>, bool) {
        let Ok(at) = self.waiters.binary_search_by_key(&ticket, |waiter| waiter.ticket) else { return (None, false) };
        let granted = at < self.granted;
        if granted {
            self.granted = self.granted.saturating_sub(1);
        }
        (self.waiters.remove(at), granted)
    }
}

impl Load {
    fn add(&mut self, bytes: usize) {
        self.requests = self.requests.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn sub(&mut self, over: Self) {
        self.requests = self.requests.saturating_sub(over.requests);
        self.bytes = self.bytes.saturating_sub(over.bytes);
    }
}

impl<I, L: Locks> Clone for Submitter<I, L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<I, L: Locks> Drop for Intake<I, L> {
    fn drop(&mut self) {
        drop(self.close(CloseReason::Local));
    }
}

impl<I, L: Locks> Drop for Permit<I, L> {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            release::<I, L>(queue, self.load);
        }
    }
}

impl<I, L: Locks> Future for Acquire<I, L> {
    type Output = Result<Permit<I, L>, CloseReason>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut waker = Some(cx.waker().clone());
        let (bytes, ticket) = (self.bytes, self.ticket);
        let (outcome, ticket) = self.queue.with(|state| {
            if let Some(reason) = &state.closed {
                return (Poll::Ready(Err(reason.clone())), ticket);
            }
            let Some(ticket) = ticket else {
                if state.admit(bytes).is_ok() {
                    return (Poll::Ready(Ok(())), None);
                }
                let ticket = state.next_ticket;
                state.next_ticket = state.next_ticket.saturating_add(1);
                state.waiters.push_back(Waiter { ticket, bytes, waker: waker.take() });
                return (Poll::Pending, Some(ticket));
            };
            match state.waiters.binary_search_by_key(&ticket, |waiter| waiter.ticket) {
                Ok(at) if at < state.granted => {
                    state.leave(ticket);
                    return (Poll::Ready(Ok(())), None);
                }
                Ok(at) => {
                    if let Some(waiter) = state.waiters.get_mut(at) {
                        mem::swap(&mut waiter.waker, &mut waker);
                    }
                }
                // Not reached: a ticket leaves the order only when this future is done with it.
                Err(_) => return (Poll::Ready(Err(CloseReason::Local)), None),
            }
            (Poll::Pending, Some(ticket))
        });
        self.ticket = ticket;
        outcome.map_ok(|()| Permit { queue: Some(Arc::clone(&self.queue)), load: Load { requests: 1, bytes } })
    }
}

impl<I, L: Locks> Drop for Acquire<I, L> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let (waiter, wakers) = self.queue.with(|state| {
            let (waiter, granted) = state.leave(ticket);
            if granted {
                state.taken.sub(Load { requests: 1, bytes: self.bytes });
            }
            (waiter, state.grant())
        });
        drop(waiter);
        wakers.into_iter().for_each(Waker::wake);
    }
}

fn release<I, L: Locks>(queue: &L::Lock<State<I>>, over: Load) {
    let wakers = queue.with(|state| {
        state.taken.sub(over);
        state.grant()
    });
    wakers.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
mod tests;
