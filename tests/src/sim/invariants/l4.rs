//! L4: once nothing goes wrong any more, whoever pulls from a broker also sends it its heartbeats.

use std::collections::BTreeMap;
use std::time::Duration;

use rocketmq_core::time::Instant;

use super::Broken;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut healed = None;
    // When a host last pulled from a broker, and since when it is to be held to its period.
    let mut awake: BTreeMap<(usize, usize), (Instant, Instant)> = BTreeMap::new();
    for row in &history.rows {
        match &row.what {
            What::Healed => healed = healed.or(Some(row.at)),
            What::Heartbeat { host, broker, .. } => {
                awake.insert((*host, *broker), (row.at, row.at));
            }
            // Whoever reads from a slave may not know the master yet.
            What::SlavePull { host, queue, .. } => {
                awake.remove(&(*host, queue.broker));
            }
            What::Pull { host, queue, .. } => {
                let (last, since) = awake.entry((*host, queue.broker)).or_insert((row.at, row.at));
                // It stood still, or pulled nothing from this broker.
                if row.at.since(*last) > AT_WORK {
                    *since = row.at;
                }
                *last = row.at;
                let silent = healed.map_or(Duration::ZERO, |healed| row.at.since(healed.max(*since)));
                if silent > PERIOD {
                    let text =
                        format!("host {host} pulls from broker {}, and sent no heartbeat for {silent:?}", queue.broker);
                    return Err(Broken::new(row.at, text));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Heartbeats are due every 30 s; one that fails is sent again within seconds.
const PERIOD: Duration = Duration::from_secs(45);
/// Whoever has a queue pulls from it more often: a pull is held for 15 s and up to 5 s more.
const AT_WORK: Duration = Duration::from_secs(25);

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn heartbeat() -> What {
        What::Heartbeat { host: 5, broker: 0, groups: vec!["g0".into()] }
    }

    /// Pulls every ten seconds from here to there.
    fn pulls(from: u64, to: u64) -> Vec<(u64, What)> {
        (from..to).step_by(10).map(|second| (second * 1_000, pulled(5, 1, 0, 0))).collect()
    }

    fn held(rows: Vec<Vec<(u64, What)>>) -> Result<(), Broken> {
        check(&history(rows.concat()))
    }

    #[test]
    fn in_time() {
        let beats = |at: u64| vec![(at * 1_000, heartbeat())];
        assert_eq!(held(vec![vec![(0, What::Healed)], pulls(1, 45), beats(45), pulls(46, 90)]), Ok(()));
        assert_eq!(held(vec![pulls(1, 400)]), Ok(()), "it may go wrong");
        assert_eq!(held(vec![pulls(1, 400), vec![(400_000, What::Healed)], pulls(401, 440)]), Ok(()));
    }

    #[test]
    fn who_stood_still_gets_its_time() {
        assert_eq!(held(vec![vec![(0, What::Healed)], pulls(1, 40), pulls(400, 440)]), Ok(()));
    }

    #[test]
    fn who_reads_from_a_slave_knows_no_master() {
        let pull = || What::SlavePull { host: 5, group: "g0".into(), queue: queue(0), offset: 0 };
        let rows = pulls(1, 100).into_iter().flat_map(|(at, pulled)| [(at, pull()), (at, pulled)]).collect();
        assert_eq!(held(vec![vec![(0, What::Healed)], rows]), Ok(()));
    }

    #[test]
    fn silent() {
        assert!(held(vec![vec![(0, What::Healed), (1, heartbeat())], pulls(1, 60)]).is_err());
        assert!(
            held(vec![vec![(1, heartbeat())], pulls(1, 40), vec![(40_000, What::Healed)], pulls(41, 100)]).is_err()
        );
        assert!(held(vec![vec![(0, What::Healed)], pulls(1, 40), pulls(400, 460)]).is_err());
    }
}
