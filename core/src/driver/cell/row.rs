//! A row of cells whose work is done at once: one lock for all of them.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use super::{Lost, State};
use crate::driver::lock::{Lock, Locks, StdLocks};

/// The half that brings the values. Dropped, all who still wait learn that theirs is [`Lost`].
pub(in crate::driver) struct Row<V, L: Locks = StdLocks>(Shared<V, L>);

/// A place in the row, which waits for its own value: a future. Dropped, it marks its cell as abandoned.
#[must_use = "futures do nothing unless polled"]
pub(in crate::driver) struct Place<V, L: Locks = StdLocks> {
    row: Shared<V, L>,
    /// Until it has its value.
    index: Option<usize>,
}

type Shared<V, L> = Arc<<L as Locks>::Lock<Vec<State<V>>>>;

impl<V, L: Locks> Default for Row<V, L> {
    /// A row without places.
    fn default() -> Self {
        Self(Arc::new(L::Lock::new(Vec::new())))
    }
}

impl<V, L: Locks> Row<V, L> {
    /// A further place, behind the others.
    pub(in crate::driver) fn push(&mut self) -> Place<V, L> {
        let index = self.0.with(|cells| {
            cells.push(State::Waiting(None));
            cells.len().saturating_sub(1)
        });
        Place { row: Arc::clone(&self.0), index: Some(index) }
    }

    /// The places that somebody still waits for.
    pub(in crate::driver) fn wanted(&self) -> Vec<usize> {
        let wanted = |(index, cell): (usize, &State<V>)| (!matches!(cell, State::Abandoned)).then_some(index);
        self.0.with(|cells| cells.iter().enumerate().filter_map(wanted).collect())
    }

    /// Completes these places, each with its value. Those who wait are woken then.
    pub(in crate::driver) fn complete(&mut self, places: &[usize], values: impl IntoIterator<Item = V>) {
        let (mut wakers, mut unwanted) = (Vec::with_capacity(places.len()), Vec::new());
        self.0.with(|cells| {
            for (index, value) in places.iter().zip(values) {
                match cells.get_mut(*index).map(|cell| cell.complete(value)) {
                    Some(Ok(waker)) => wakers.extend(waker),
                    Some(Err(value)) => unwanted.push(value),
                    None => {}
                }
            }
        });
        // What nobody wants any more is dropped here, outside the lock.
        drop(unwanted);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<V, L: Locks> Drop for Row<V, L> {
    fn drop(&mut self) {
        let wakers: Vec<_> = self.0.with(|cells| cells.iter_mut().filter_map(State::lose).collect());
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<V, L: Locks> Future for Place<V, L> {
    type Output = Result<V, Lost>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Cloned before and dropped after, so that no code of a waker runs under the lock.
        let mut waker = Some(cx.waker().clone());
        let Some(index) = self.index else { return Poll::Ready(Err(Lost)) };
        let poll =
            self.row.with(|cells| cells.get_mut(index).map_or(Poll::Ready(Err(Lost)), |cell| cell.poll(&mut waker)));
        if poll.is_ready() {
            self.index = None;
        }
        poll
    }
}

impl<V, L: Locks> Drop for Place<V, L> {
    fn drop(&mut self) {
        let Some(index) = self.index else { return };
        // What the cell held is dropped outside the lock.
        drop(self.row.with(|cells| cells.get_mut(index).map(|cell| mem::replace(cell, State::Abandoned))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::lock::checked::{CheckedLocks, check};
    use futures_lite::future;

    #[test]
    fn each_place_gets_its_own_value() {
        let mut row = Row::<_>::default();
        let [a, b, mut c] = [(); 3].map(|()| row.push());
        assert_eq!(future::block_on(future::poll_once(&mut c)), None);
        drop(b);
        assert_eq!(row.wanted(), [0, 2]);
        row.complete(&[0, 2], ["a", "c"]);
        assert_eq!((future::block_on(a), future::block_on(c)), (Ok("a"), Ok("c")));
    }

    #[test]
    fn places_without_a_value_are_lost_with_the_row() {
        let mut row = Row::<_>::default();
        let [a, mut b] = [(); 2].map(|()| row.push());
        assert_eq!(future::block_on(future::poll_once(&mut b)), None);
        row.complete(&[0], [1, 2]);
        drop(row);
        assert_eq!((future::block_on(a), future::block_on(b)), (Ok(1), Err(Lost)));
    }

    #[test]
    fn no_schedule_loses_a_wake_or_a_value() {
        check(2_000, || {
            let mut row = Row::<_, CheckedLocks>::default();
            let places = [(); 3].map(|()| row.push());
            let [a, b, c] = places.map(|place| shuttle::thread::spawn(|| shuttle::future::block_on(place)));
            let task = shuttle::thread::spawn(move || row.complete(&[0, 1], [10, 11]));
            let ended = [a, b, c].map(|thread| thread.join().unwrap());
            task.join().unwrap();
            assert_eq!(ended, [Ok(10), Ok(11), Err(Lost)]);
        });
    }
}
