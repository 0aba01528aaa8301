//! A one-shot cell between a caller's future and the task that does its work.

mod row;

use alloc::sync::Arc;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

pub(super) use self::row::{Place, Row};
use super::lock::{Lock, Locks, StdLocks};

/// The half that brings the value. Dropped without one, the other half learns that it is [`Lost`].
pub struct Completer<V, L: Locks = StdLocks>(Option<Shared<V, L>>);

/// The half that waits: a future of the value. Dropped, it marks the cell as abandoned.
#[must_use = "futures do nothing unless polled"]
pub struct Completion<V, L: Locks = StdLocks>(Shared<V, L>);

type Shared<V, L> = Arc<<L as Locks>::Lock<State<V>>>;

enum State<V> {
    Waiting(Option<Waker>),
    Done(V),
    Taken,
    Abandoned,
    Lost,
}

/// The task that should have completed the cell is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task that would answer is gone")]
pub struct Lost;

/// A new cell.
pub fn cell<V>() -> (Completer<V>, Completion<V>) {
    cell_in()
}

/// A new cell with locks of another family.
pub fn cell_in<V, L: Locks>() -> (Completer<V, L>, Completion<V, L>) {
    let shared = Arc::new(L::Lock::new(State::Waiting(None)));
    (Completer(Some(Arc::clone(&shared))), Completion(shared))
}

impl<V> State<V> {
    /// The value, and who is to be woken; it comes back when nobody waits for it.
    fn complete(&mut self, value: V) -> Result<Option<Waker>, V> {
        match self {
            Self::Waiting(waker) => {
                let waker = waker.take();
                *self = Self::Done(value);
                Ok(waker)
            }
            Self::Done(_) | Self::Taken | Self::Abandoned | Self::Lost => Err(value),
        }
    }

    /// No value will come.
    fn lose(&mut self) -> Option<Waker> {
        match self {
            Self::Waiting(waker) => {
                let waker = waker.take();
                *self = Self::Lost;
                waker
            }
            Self::Done(_) | Self::Taken | Self::Abandoned | Self::Lost => None,
        }
    }

    /// The value, if it is there, else `waker` is kept and the one known before comes out.
    fn poll(&mut self, waker: &mut Option<Waker>) -> Poll<Result<V, Lost>> {
        match self {
            Self::Waiting(kept) => {
                mem::swap(kept, waker);
                Poll::Pending
            }
            Self::Done(_) => match mem::replace(self, Self::Taken) {
                Self::Done(value) => Poll::Ready(Ok(value)),
                Self::Waiting(_) | Self::Taken | Self::Abandoned | Self::Lost => Poll::Ready(Err(Lost)),
            },
            Self::Taken | Self::Abandoned | Self::Lost => Poll::Ready(Err(Lost)),
        }
    }
}

impl<V, L: Locks> Completer<V, L> {
    /// Completes the cell. The waker returned is to be called after the caller's own state is settled.
    ///
    /// # Errors
    /// The cell is abandoned: the value comes back.
    pub fn complete(mut self, value: V) -> Result<Option<Waker>, V> {
        let Some(shared) = self.0.take() else { return Err(value) };
        shared.with(|state| state.complete(value))
    }

    /// Whether nobody waits any more.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.0.as_ref().is_none_or(|shared| shared.with(|state| matches!(state, State::Abandoned)))
    }
}

impl<V, L: Locks> Drop for Completer<V, L> {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else { return };
        if let Some(waker) = shared.with(State::lose) {
            waker.wake();
        }
    }
}

impl<V, L: Locks> Future for Completion<V, L> {
    type Output = Result<V, Lost>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Cloned before and dropped after, so that no code of a waker runs under the lock.
        let mut waker = Some(cx.waker().clone());
        self.0.with(|state| state.poll(&mut waker))
    }
}

impl<V, L: Locks> Drop for Completion<V, L> {
    fn drop(&mut self) {
        // What the cell held is dropped outside the lock.
        drop(self.0.with(|state| mem::replace(state, State::Abandoned)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::lock::checked::{CheckedLocks, check};
    use futures_lite::future;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts how often it is dropped.
    struct Counted(Arc<AtomicUsize>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_value_arrives_once() {
        let (completer, mut completion) = cell();
        assert!(!completer.is_abandoned());
        assert_eq!(future::block_on(future::poll_once(&mut completion)), None);
        completer.complete(5).unwrap().unwrap().wake();
        assert_eq!(future::block_on(&mut completion), Ok(5));
        assert_eq!(future::block_on(&mut completion), Err(Lost));
    }

    #[test]
    fn either_half_notices_that_the_other_is_gone() {
        let (completer, completion) = cell::<u8>();
        drop(completion);
        assert!(completer.is_abandoned());
        assert_eq!(completer.complete(5).unwrap_err(), 5);
        let (completer, completion) = cell::<u8>();
        drop(completer);
        assert_eq!(future::block_on(completion), Err(Lost));
    }

    #[test]
    fn no_schedule_loses_the_wake_or_the_value() {
        check(2_000, || {
            let (completer, completion) = cell_in::<_, CheckedLocks>();
            let task = shuttle::thread::spawn(move || completer.complete(7).unwrap().map(Waker::wake));
            assert_eq!(shuttle::future::block_on(completion), Ok(7));
            task.join().unwrap();
        });
    }

    #[test]
    fn no_schedule_loses_the_end_of_the_completer() {
        check(2_000, || {
            let (completer, completion) = cell_in::<u8, CheckedLocks>();
            let task = shuttle::thread::spawn(move || drop(completer));
            assert_eq!(shuttle::future::block_on(completion), Err(Lost));
            task.join().unwrap();
        });
    }

    #[test]
    fn a_value_nobody_waits_for_is_dropped_once() {
        check(2_000, || {
            let dropped = Arc::new(AtomicUsize::new(0));
            let (completer, mut completion) = cell_in::<_, CheckedLocks>();
            let value = Counted(Arc::clone(&dropped));
            let task = shuttle::thread::spawn(move || match completer.complete(value) {
                Ok(waker) => waker.map(Waker::wake).unwrap_or_default(),
                Err(value) => drop(value),
            });
            shuttle::future::block_on(async {
                drop(future::poll_once(&mut completion).await);
                drop(completion);
            });
            task.join().unwrap();
            assert_eq!(dropped.load(Ordering::Relaxed), 1);
        });
    }
}
