//! S4: a slave that does not have what follows is asked for it now and then, not in a loop.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rocketmq_core::time::Instant;

use super::Broken;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut pulls: BTreeMap<_, (i64, VecDeque<Instant>)> = BTreeMap::new();
    for row in &history.rows {
        let What::SlavePull { host, group, queue, offset } = &row.what else { continue };
        let (at, times) = pulls.entry((*host, group.clone(), queue.clone())).or_default();
        if *at != *offset {
            (*at, *times) = (*offset, VecDeque::new());
        }
        times.push_back(row.at);
        while times.front().is_some_and(|first| row.at.since(*first) > WINDOW) {
            times.pop_front();
        }
        if times.len() > MOST {
            let text = format!("host {host} asks a slave {} times for {queue:?} {offset} of {group}", times.len());
            return Err(Broken::new(row.at, text));
        }
    }
    Ok(())
}

/// The time that pulls are counted over.
const WINDOW: Duration = Duration::from_secs(10);
/// The most pulls of one offset in it: one a second, twice that when links break, and some for flow control.
const MOST: usize = 25;

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn pulls(count: u64, apart: u64, offset: impl Fn(u64) -> i64) -> History {
        let pull = |at: u64| What::SlavePull { host: 5, group: "g0".into(), queue: queue(0), offset: offset(at) };
        history((0..count).map(|at| (at * apart, pull(at))).collect())
    }

    #[test]
    fn once_a_second_or_for_something_else_each_time() {
        assert_eq!(check(&pulls(100, 1_000, |_| 7)), Ok(()));
        assert_eq!(check(&pulls(100, 1, |at| i64::try_from(at).unwrap())), Ok(()));
        assert_eq!(check(&pulls(25, 1, |_| 7)), Ok(()));
    }

    #[test]
    fn over_and_over() {
        assert!(check(&pulls(26, 1, |_| 7)).is_err());
        assert!(check(&pulls(40, 300, |_| 7)).is_err());
    }
}
