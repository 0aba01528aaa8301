//! K1: a reply is one to the request it is given for, and as it was sent; a request waits until its time is up, and no
//! longer is anything kept for it; without faults each gets one reply. That requests end once and in time is P5, that
//! those are not stored which are said not to be is P4.

use std::collections::{BTreeMap, BTreeSet};

use rocketmq_core::time::Instant;

use super::Broken;
use crate::sim::history::{Ask, AskEnd, History, What};

#[derive(Default)]
struct Books {
    /// Requests that wait: from which host, until when.
    open: BTreeMap<u64, (usize, Instant)>,
    said: BTreeSet<(u64, u64)>,
    replied: BTreeMap<u64, u32>,
}

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let (mut books, calm) = (Books::default(), history.setup.calm);
    for row in &history.rows {
        let What::Ask(ask) = &row.what else { continue };
        books.take_in(row.at, ask, calm).map_err(|text| Broken::new(row.at, text))?;
    }
    Ok(())
}

impl Books {
    fn take_in(&mut self, at: Instant, ask: &Ask, calm: bool) -> Result<(), String> {
        match ask {
            Ask::Begun { id, host, deadline } => {
                self.open.insert(*id, (*host, *deadline));
            }
            Ask::Said { id, reply } => {
                self.said.insert((*id, *reply));
                let times = self.replied.entry(*id).or_default();
                *times += 1;
                if calm && *times > 1 {
                    return Err(format!("request {id} is replied to {times} times, and nothing went wrong"));
                }
            }
            Ask::Ended { id, how } => {
                let Some((_, deadline)) = self.open.remove(id) else {
                    return Err(format!("request {id} ends, which nobody waits for"));
                };
                self.ended(*id, *how, at >= deadline)?;
                if calm && !matches!(how, AskEnd::Reply { .. }) {
                    return Err(format!("request {id} is {how:?}, and nothing went wrong"));
                }
            }
            Ask::Waiting { host, count } => {
                let open = self.open.values().filter(|(of, _)| of == host).count();
                if *count > open {
                    return Err(format!("host {host} keeps {count} requests, of which {open} still wait"));
                }
            }
        }
        Ok(())
    }

    fn ended(&self, id: u64, how: AskEnd, is_over: bool) -> Result<(), String> {
        match how {
            AskEnd::Reply { to, .. } if to != Some(id) => Err(format!("request {id} gets the reply to {to:?}")),
            AskEnd::Reply { reply, .. } => {
                let said = reply.is_some_and(|reply| self.said.contains(&(id, reply)));
                if said { Ok(()) } else { Err(format!("request {id} gets reply {reply:?}, which nobody made")) }
            }
            AskEnd::Late if !is_over => Err(format!("request {id} gets no reply, and had time left")),
            AskEnd::Late | AskEnd::Failed | AskEnd::GivenUp => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn begun(id: u64) -> (u64, What) {
        (1, What::Ask(Ask::Begun { id, host: 4, deadline: Instant::from_millis(100) }))
    }

    fn said(id: u64, reply: u64) -> (u64, What) {
        (5, What::Ask(Ask::Said { id, reply }))
    }

    fn ended(at: u64, id: u64, how: AskEnd) -> (u64, What) {
        (at, What::Ask(Ask::Ended { id, how }))
    }

    fn reply(to: u64, reply: u64) -> AskEnd {
        AskEnd::Reply { to: Some(to), reply: Some(reply) }
    }

    fn waiting(host: usize, count: usize) -> (u64, What) {
        (200, What::Ask(Ask::Waiting { host, count }))
    }

    fn verdict(calm: bool, rows: Vec<(u64, What)>) -> Result<(), Broken> {
        let mut history = history(rows);
        history.setup.calm = calm;
        check(&history)
    }

    #[test]
    fn the_reply_to_it_or_none_when_its_time_is_up() {
        for calm in [false, true] {
            assert_eq!(verdict(calm, vec![begun(7), said(7, 1), ended(6, 7, reply(7, 1)), waiting(4, 0)]), Ok(()));
        }
        let twice = || vec![begun(7), said(7, 1), said(7, 2), ended(6, 7, reply(7, 1))];
        assert_eq!(verdict(false, twice()), Ok(()));
        assert!(verdict(true, twice()).is_err(), "nothing went wrong");
        for how in [AskEnd::Late, AskEnd::Failed, AskEnd::GivenUp] {
            assert_eq!(verdict(false, vec![begun(7), ended(100, 7, how)]), Ok(()));
            assert!(verdict(true, vec![begun(7), ended(100, 7, how)]).is_err());
        }
    }

    #[test]
    fn the_reply_to_another_or_one_that_nobody_made_or_none_too_early() {
        let another = vec![begun(7), begun(8), said(8, 1), ended(6, 7, reply(8, 1))];
        assert!(verdict(false, another).is_err());
        for reply in [reply(7, 2), AskEnd::Reply { to: Some(7), reply: None }, AskEnd::Reply { to: None, reply: None }]
        {
            assert!(verdict(false, vec![begun(7), said(7, 1), ended(6, 7, reply)]).is_err());
        }
        assert!(verdict(false, vec![begun(7), ended(6, 7, reply(7, 1)), said(7, 1)]).is_err(), "before it was made");
        assert!(verdict(false, vec![begun(7), ended(99, 7, AskEnd::Late)]).is_err());
        assert!(verdict(false, vec![begun(7), ended(6, 7, AskEnd::Failed), ended(7, 7, AskEnd::Failed)]).is_err());
    }

    #[test]
    fn what_is_kept_waits() {
        assert_eq!(verdict(false, vec![begun(7), begun(8), waiting(4, 2)]), Ok(()));
        assert_eq!(verdict(false, vec![begun(7), begun(8), waiting(4, 1)]), Ok(()), "one has not come so far");
        assert!(verdict(false, vec![begun(7), ended(100, 7, AskEnd::Late), waiting(4, 1)]).is_err());
        assert!(verdict(false, vec![begun(7), waiting(5, 1)]).is_err(), "it is of another host");
    }
}
