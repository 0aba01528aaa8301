//! Work on several processors.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The lowest number below `count` that `find` has something for; it is called on so many threads.
pub(crate) fn first<T: Send>(count: u64, threads: usize, find: impl Fn(u64) -> Option<T> + Sync) -> Option<(u64, T)> {
    let next = AtomicU64::new(0);
    let best: Mutex<Option<(u64, T)>> = Mutex::new(None);
    let lock = || best.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count || lock().as_ref().is_some_and(|(best, _)| *best < number) {
                return;
            }
            if let Some(found) = find(number) {
                let mut best = lock();
                if best.as_ref().is_none_or(|(best, _)| number < *best) {
                    *best = Some((number, found));
                }
            }
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    best.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// How many processors there are.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_number_is_found_whoever_is_faster() {
        assert_eq!(first(100, 2, |number| (number >= 37).then_some(number * 2)), Some((37, 74)));
        assert_eq!(first(100, 2, |number| (number >= 100).then_some(())), None);
    }
}
