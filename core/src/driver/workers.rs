//! Futures that share a task, each polled only when it was woken itself.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use super::lock::{Lock, Locks, StdLocks};

/// Some futures of a task. It is a future itself, ready when all of them are.
pub(super) struct Workers<F> {
    workers: Vec<Option<Worker<F>>>,
    running: usize,
    woken: Arc<Woken>,
}

struct Worker<F> {
    future: Pin<Box<F>>,
    waker: Waker,
}

/// Which of them are to be polled.
struct Woken(<StdLocks as Locks>::Lock<State>);

struct State {
    ready: Vec<usize>,
    is_ready: Vec<bool>,
    /// The task's waker, until it is used.
    task: Option<Waker>,
}

/// The waker of one.
struct WakeOne {
    index: usize,
    woken: Arc<Woken>,
}

impl<F: Future<Output = ()>> Workers<F> {
    pub(super) fn new(futures: impl Iterator<Item = F>) -> Self {
        let futures: Vec<F> = futures.collect();
        let running = futures.len();
        let state = State { ready: (0..running).collect(), is_ready: alloc::vec![true; running], task: None };
        let woken = Arc::new(Woken(Lock::new(state)));
        let worker = |(index, future)| {
            let waker = Waker::from(Arc::new(WakeOne { index, woken: woken.clone() }));
            Some(Worker { future: Box::pin(future), waker })
        };
        let workers = futures.into_iter().enumerate().map(worker).collect();
        Self { workers, running, woken }
    }
}

impl<F: Future<Output = ()>> Future for Workers<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Whoever is woken from here on wakes the task, and is polled in its next turn.
        let ready = self.woken.0.with(|state| {
            state.task = Some(cx.waker().clone());
            state.is_ready.fill(false);
            core::mem::take(&mut state.ready)
        });
        for index in ready {
            let Some(place) = self.workers.get_mut(index) else { continue };
            let Some(worker) = place else { continue };
            let mut cx = Context::from_waker(&worker.waker);
            if worker.future.as_mut().poll(&mut cx).is_ready() {
                *place = None;
                self.running = self.running.saturating_sub(1);
            }
        }
        if self.running == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Wake for WakeOne {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let task = self.woken.0.with(|state| {
            let is_ready = state.is_ready.get_mut(self.index)?;
            if !core::mem::replace(is_ready, true) {
                state.ready.push(self.index);
            }
            state.task.take()
        });
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use core::future::poll_fn;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Counting(AtomicUsize);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_who_was_woken_is_polled() {
        let polls: [AtomicUsize; 3] = core::array::from_fn(|_| AtomicUsize::new(0));
        let wakers = Mutex::new(alloc::vec![None; 3]);
        let (polls, wakers) = (&polls, &wakers);
        let future = |index: usize| {
            poll_fn(move |cx| {
                wakers.lock().unwrap()[index] = Some(cx.waker().clone());
                if polls[index].fetch_add(1, Ordering::Relaxed) == 1 { Poll::Ready(()) } else { Poll::Pending }
            })
        };
        let wake = |index: usize| wakers.lock().unwrap()[index].clone().unwrap().wake();
        let counts = || [0, 1, 2].map(|index: usize| polls[index].load(Ordering::Relaxed));
        let task = Arc::new(Counting(AtomicUsize::new(0)));
        let waker = Waker::from(task.clone());
        let cx = &mut Context::from_waker(&waker);
        let mut workers = Box::pin(Workers::new((0..3).map(future)));
        assert!(workers.as_mut().poll(cx).is_pending());
        assert_eq!((counts(), task.0.load(Ordering::Relaxed)), ([1, 1, 1], 0));
        wake(1);
        wake(1);
        assert_eq!(task.0.load(Ordering::Relaxed), 1, "one turn is enough");
        assert!(workers.as_mut().poll(cx).is_pending());
        assert_eq!(counts(), [1, 2, 1]);
        wake(1);
        assert!(workers.as_mut().poll(cx).is_pending(), "one that is done is left alone");
        assert_eq!(counts(), [1, 2, 1]);
        wake(0);
        wake(2);
        assert!(workers.as_mut().poll(cx).is_ready());
        assert_eq!(counts(), [2, 2, 2]);
    }

    #[test]
    fn one_that_wakes_itself_is_polled_in_the_next_turn() {
        let mut left = 3;
        let future = poll_fn(move |cx| {
            left -= 1;
            cx.waker().wake_by_ref();
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        let task = Arc::new(Counting(AtomicUsize::new(0)));
        let waker = Waker::from(task.clone());
        let cx = &mut Context::from_waker(&waker);
        let mut workers = Box::pin(Workers::new(core::iter::once(future)));
        assert!(workers.as_mut().poll(cx).is_pending());
        assert!(workers.as_mut().poll(cx).is_pending());
        assert!(workers.as_mut().poll(cx).is_ready());
        assert_eq!(task.0.load(Ordering::Relaxed), 3);
    }
}
