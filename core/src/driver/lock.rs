//! Locks that are held for the length of a closure, and can be exchanged to check every interleaving.

use std::sync::{Mutex, PoisonError};

/// A lock around a `T`.
pub trait Lock<T> {
    /// An unlocked lock.
    fn new(value: T) -> Self;
    /// Runs `f` under the lock. No waker is called and nothing awaited in it.
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R;
}

/// A family of locks: [`StdLocks`], or one whose scheduling a test decides.
pub trait Locks {
    /// The lock around a `T`.
    type Lock<T>: Lock<T>;
}

/// The locks of the standard library.
#[derive(Clone, Copy, Debug)]
pub enum StdLocks {}

impl Locks for StdLocks {
    type Lock<T> = Mutex<T>;
}

impl<T> Lock<T> for Mutex<T> {
    fn new(value: T) -> Self {
        Self::new(value)
    }

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // A panic under the lock is a bug of ours; each closure leaves a valid state at every point, so go on.
        f(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The locks of shuttle, for tests that try out schedules.
#[cfg(test)]
pub(super) mod checked {
    use super::{Lock, Locks};
    use shuttle::sync::Mutex;

    pub(crate) enum CheckedLocks {}

    impl Locks for CheckedLocks {
        type Lock<T> = Mutex<T>;
    }

    impl<T> Lock<T> for Mutex<T> {
        fn new(value: T) -> Self {
            Self::new(value)
        }

        fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
            f(&mut self.lock().unwrap())
        }
    }

    /// Runs `test` under `schedules` random schedules.
    pub(crate) fn check(schedules: usize, test: impl Fn() + Send + Sync + 'static) {
        shuttle::check_random(test, schedules);
    }
}
