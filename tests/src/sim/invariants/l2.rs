//! L2: no busy loop: an address is not connected to again and again without pause, and a group not rebalanced more
//! often than once a second, however many notices come.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::Broken;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut recent: BTreeMap<_, VecDeque<_>> = BTreeMap::new();
    rounds(history)?;
    for row in &history.rows {
        let (What::Opened { host, to, .. } | What::ConnectFailed { host, to }) = &row.what else { continue };
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

/// Questions for the members of a group, by the time they were written: they may arrive in another order.
fn rounds(history: &History) -> Result<(), Broken> {
    let mut asked: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut opened = BTreeMap::new();
    for row in &history.rows {
        match &row.what {
            What::Opened { host, .. } => {
                opened.insert(*host, row.at);
            }
            // What had to wait for its link was asked some time before.
            What::MembersAsked { host, group, written }
                if opened.get(host).is_none_or(|opened| written.since(*opened) > JUST_OPENED) =>
            {
                asked.entry((*host, group.clone())).or_default().push(*written);
            }
            _ => {}
        }
    }
    for ((host, group), mut times) in asked {
        times.sort_unstable();
        if let Some(close) = times.windows(QUESTIONS + 1).find(|close| close[QUESTIONS].since(close[0]) < ROUND) {
            let text = format!("host {host} asked for the members of {group} {} times in {ROUND:?}", close.len());
            return Err(Broken::new(close[QUESTIONS], text));
        }
    }
    Ok(())
}

/// The time over which connects are counted.
const WINDOW: Duration = Duration::from_secs(20);
/// Far less than the pause between two rounds, for what a write may wait.
const ROUND: Duration = Duration::from_millis(200);
/// A link that was opened so shortly before may carry what waited for it.
const JUST_OPENED: Duration = Duration::from_millis(500);
/// Questions of two rounds, one a topic and the retry topic included: what one of them asked may not have been written
/// before the process stood still, and the other comes when it goes on.
const QUESTIONS: usize = 2 * 3;
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
    fn one_round_a_second_however_late_its_questions_arrive() {
        let asked = |written: u64| {
            let written = rocketmq_core::time::Instant::from_millis(written);
            (9_000, What::MembersAsked { host: 1, group: "g0".into(), written })
        };
        assert_eq!(check(&history(vec![asked(1), asked(1), asked(1_001), asked(1_001)])), Ok(()));
        let round = |at| [asked(at), asked(at), asked(at)];
        assert_eq!(check(&history([round(1), round(3)].concat())), Ok(()), "one was asked for before a pause");
        assert!(check(&history([round(1), round(3), round(5)].concat())).is_err());
    }

    #[test]
    fn a_round_that_waited_for_its_link() {
        let opened = |at| (at, What::Opened { host: 1, link: 1, to: "b".into() });
        let asked = |at| {
            let written = rocketmq_core::time::Instant::from_millis(at);
            (at, What::MembersAsked { host: 1, group: "g0".into(), written })
        };
        let round = |at| [asked(at), asked(at), asked(at)].into_iter();
        let rounds = || [1_053, 1_103, 1_153].into_iter().flat_map(round);
        let rows = |link| [opened(link)].into_iter().chain(rounds()).collect();
        assert_eq!(check(&history(rows(1_000))), Ok(()));
        assert!(check(&history(rows(500))).is_err());
    }

    #[test]
    fn a_burst_that_ends() {
        assert_eq!(check(&connects((0..25).chain([30_000]))), Ok(()));
    }
}
