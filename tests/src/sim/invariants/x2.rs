//! X2: bytes that cannot be read end their own link, at once, and no other; and what a client writes can be read.

use std::collections::BTreeMap;
use std::time::Duration;

use rocketmq_core::time::Instant;

use super::Broken;
use crate::sim::Fault;
use crate::sim::history::{Change, History, What};

/// A link that is open, as the client sees it.
struct Link {
    host: usize,
    /// It leads to a name server.
    names: bool,
    /// Something happened to it that a client may close it for.
    troubled: bool,
}

/// The links that a host closed at one time: one over which came what cannot be read, and others, by where they lead.
#[derive(Default)]
struct Closed {
    at: Instant,
    guilty: Option<(u64, bool)>,
    innocent: Option<u64>,
    innocent_names: Option<u64>,
}

impl Closed {
    /// One that was closed for another. What a name server said last may have been that a broker is no more.
    fn wrong(&self) -> Option<(u64, u64)> {
        let (guilty, names) = self.guilty?;
        let innocent = if names { self.innocent_names } else { self.innocent.or(self.innocent_names) };
        Some((guilty, innocent?))
    }
}

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut links: BTreeMap<u64, Link> = BTreeMap::new();
    // Links over which bytes came that cannot be read: since when, and of which host.
    let mut hostile: BTreeMap<u64, (Instant, usize)> = BTreeMap::new();
    let mut hosts = BTreeMap::new();
    let mut gone = BTreeMap::new();
    let mut paused = None;
    let mut closed: BTreeMap<usize, Closed> = BTreeMap::new();
    for row in &history.rows {
        match &row.what {
            What::Fault(Fault::Pause | Fault::Zombie) | What::Member { change: Change::Paused, .. } => {
                paused = Some(row.at);
            }
            What::Confused { host, link } => {
                return Err(Broken::new(row.at, format!("what host {host} wrote on link {link} cannot be read")));
            }
            What::Joined { host, member } => drop(hosts.insert(*member, *host)),
            What::Member { member, change: Change::Crashed, .. } => {
                gone.extend(hosts.get(member).map(|host| (*host, row.at)));
            }
            What::Opened { host, link, to } => {
                let names = to.ends_with(NAME_SERVER);
                links.insert(*link, Link { host: *host, names, troubled: false });
            }
            What::Trouble { link } => {
                if let Some(link) = links.get_mut(link) {
                    link.troubled = true;
                }
            }
            What::Hostile { link, at } => {
                if let Some(known) = links.get(link) {
                    hostile.entry(*link).or_insert((*at, known.host));
                }
            }
            What::Leaving { host } => drop(gone.insert(*host, row.at)),
            What::Ended { host, link, by_client, idle, .. } => {
                let Some(ended) = links.remove(link) else { continue };
                // Some lies are seen through before what follows them is there.
                let known = hostile.remove(link);
                let (guilty, early) = (known.is_some_and(|(at, _)| at <= row.at), known.is_some());
                let leaving = gone.get(host).is_some_and(|at| row.at.since(*at) < LEAVING);
                if !by_client || leaving || *idle > IDLE {
                    continue;
                }
                let last = closed.entry(*host).or_default();
                if row.at.since(last.at) > TICK {
                    *last = Closed { at: row.at, ..Closed::default() };
                }
                match (guilty, ended.troubled || early) {
                    (true, _) => last.guilty = Some((*link, ended.names)),
                    (false, false) if ended.names => last.innocent_names = Some(*link),
                    (false, false) => last.innocent = Some(*link),
                    (false, true) => {}
                }
                if let Some((guilty, innocent)) = last.wrong() {
                    let text = format!("host {host} closed link {innocent} for what came over link {guilty}");
                    return Err(Broken::new(row.at, text));
                }
            }
            _ => {}
        }
        let slack = if paused.is_some_and(|at| row.at.since(at) < PAUSED) { PAUSED } else { SOON };
        let kept = |(_, (at, host)): &(&u64, &(Instant, usize))| !gone.contains_key(host) && row.at > at.after(slack);
        if let Some((link, (_, host))) = hostile.iter().find(kept) {
            return Err(Broken::new(row.at, format!("host {host} keeps link {link}, which it cannot read")));
        }
    }
    Ok(())
}

/// What addresses of name servers end with.
const NAME_SERVER: &str = ":9876";
/// What counts as at once: less than a name server takes to answer, who may know a broker no more.
const TICK: Duration = Duration::from_micros(50);
/// How long a link that cannot be read may stay open.
const SOON: Duration = Duration::from_secs(1);
/// The same in a process that stood still.
const PAUSED: Duration = Duration::from_secs(400);
/// A link without traffic may be closed after so long.
const IDLE: Duration = Duration::from_secs(115);
/// After its end was asked for, a client closes its links in this time.
const LEAVING: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn opened(link: u64) -> (u64, What) {
        (1, What::Opened { host: 5, link, to: "b".into() })
    }

    fn hostile(link: u64, at: u64) -> (u64, What) {
        (at, What::Hostile { link, at: Instant::from_millis(at) })
    }

    fn ended(link: u64, at: u64) -> (u64, What) {
        (at, What::Ended { host: 5, link, by_client: true, idle: Duration::ZERO, pulls: Vec::new() })
    }

    #[test]
    fn the_guilty_one_is_closed() {
        let rows = vec![opened(1), opened(2), hostile(1, 5), ended(1, 6), (9_000, What::Drained)];
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn another_is_closed_or_the_guilty_one_is_kept_or_a_server_cannot_read() {
        let rows = vec![opened(1), opened(2), hostile(1, 5), ended(1, 6), ended(2, 6)];
        assert!(check(&history(rows)).is_err());
        let rows = vec![opened(1), opened(2), hostile(1, 5), ended(2, 6), ended(1, 6)];
        assert!(check(&history(rows)).is_err());
        assert!(check(&history(vec![opened(1), hostile(1, 5), (9_000, What::Drained)])).is_err());
        assert!(check(&history(vec![opened(1), (2, What::Confused { host: 5, link: 1 })])).is_err());
    }

    #[test]
    fn what_a_name_server_said_last_may_close_links_to_brokers_and_none_to_name_servers() {
        let names = |link| (1, What::Opened { host: 5, link, to: "10.0.100.1:9876".into() });
        let closed = |two: (u64, What)| check(&history(vec![names(1), two, hostile(1, 5), ended(1, 6), ended(2, 6)]));
        assert_eq!(closed(opened(2)), Ok(()));
        assert!(closed(names(2)).is_err());
        let rows = vec![opened(1), names(2), hostile(1, 5), ended(1, 6), ended(2, 6)];
        assert!(check(&history(rows)).is_err(), "a broker says nothing of the others");
    }

    #[test]
    fn closed_at_another_time_or_in_trouble_itself_or_at_the_end_of_the_client() {
        let rows = vec![opened(1), opened(2), hostile(1, 5), ended(1, 6), ended(2, 10)];
        assert_eq!(check(&history(rows)), Ok(()));
        let rows = vec![opened(1), opened(2), (2, What::Trouble { link: 2 }), hostile(1, 5), ended(1, 6), ended(2, 6)];
        assert_eq!(check(&history(rows)), Ok(()));
        let leaving = (5, What::Leaving { host: 5 });
        let rows = vec![opened(1), opened(2), leaving, hostile(1, 5), ended(1, 6), ended(2, 6)];
        assert_eq!(check(&history(rows)), Ok(()));
    }
}
