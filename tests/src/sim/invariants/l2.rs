//! L2: no busy loop: an address is not connected to again and again without pause.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::Broken;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut recent: BTreeMap<_, VecDeque<_>> = BTreeMap::new();
    let mut ever = BTreeMap::new();
    for row in &history.rows {
        let (What::Opened { host, to, .. } | What::ConnectFailed { host, to }) = &row.what else { continue };
        let opened = matches!(&row.what, What::Opened { .. });
        // A link on which nothing happens is closed, and opened again when it is needed.
        let again = ever.insert((*host, to.clone()), row.at).is_some_and(|last| row.at.since(last) < IDLE);
        if history.setup.calm && (!opened || again) {
            return Err(Broken::new(row.at, format!("host {host} connected to {to} again without a fault")));
        }
        let times = recent.entry((*host, to.clone())).or_default();
        times.push_back(row.at);
        while times.front().is_some_and(|first| row.at.since(*first) > WINDOW) {
            times.pop_front();
        }
        if times.len() > MOST {
            let text = format!("host {host} connected to {to} {} times in {WINDOW:?}", times.len());
            return Err(Broken::new(row.at, text));
        }
    }
    Ok(())
}

/// The time over which connects are counted.
const WINDOW: Duration = Duration::from_secs(20);
/// The shortest life of a link on which nothing happens.
const IDLE: Duration = Duration::from_secs(120);
/// One a second after the third, and what was under way.
const MOST: usize = 25;

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn connects(times: impl Iterator<Item = u64>) -> History {
        history(times.map(|at| (at, What::ConnectFailed { host: 1, to: "b".into() })).collect())
    }

    #[test]
    fn one_a_second() {
        assert_eq!(check(&connects((0..100).map(|at| at * 1_000))), Ok(()));
    }

    #[test]
    fn without_pause() {
        assert!(check(&connects(0..26)).is_err());
        assert!(check(&connects((0..100).map(|at| at * 500))).is_err());
    }

    #[test]
    fn again_without_a_fault() {
        let opened = |to: &str| What::Opened { host: 1, link: 1, to: to.into() };
        let mut calm = history(vec![(1, opened("a")), (2, opened("b"))]);
        calm.setup.calm = true;
        assert_eq!(check(&calm), Ok(()));
        calm.rows
            .push(crate::sim::history::Row { at: rocketmq_core::time::Instant::from_millis(3), what: opened("a") });
        assert!(check(&calm).is_err());
    }

    #[test]
    fn a_burst_that_ends() {
        assert_eq!(check(&connects((0..25).chain([30_000]))), Ok(()));
    }
}
