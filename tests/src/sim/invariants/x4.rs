//! X4: requests that nobody asked for start nothing, move nothing, and are told what they may be told.

use std::collections::{BTreeMap, BTreeSet};

use rocketmq_core::wire::codes::{request, response};

use super::Broken;
use crate::sim::history::{Act, History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    // Assigned and not yet started; what was consumed while its lock was gone is not consumed again.
    let (mut fresh, mut lost) = (BTreeSet::new(), BTreeSet::new());
    // What each host was told by brokers on behalf of an operator.
    let (mut hosts, mut told) = (BTreeMap::new(), BTreeSet::new());
    for row in &history.rows {
        match &row.what {
            What::Answered { host, request, code, bytes } => {
                let (expected, tells) = match *request {
                    request::NOTIFY_CONSUMER_IDS_CHANGED => (response::SUCCESS, false),
                    request::GET_CONSUMER_STATUS_FROM_CLIENT => (response::SUCCESS, true),
                    // Of a group that it does not have it tells nothing.
                    request::GET_CONSUMER_RUNNING_INFO if *bytes == 0 => (response::SYSTEM_ERROR, false),
                    request::GET_CONSUMER_RUNNING_INFO => (response::SUCCESS, true),
                    // Of a group that it does not have, or by somebody who may not.
                    request::RESET_CONSUMER_CLIENT_OFFSET if *code == response::SYSTEM_ERROR => (*code, false),
                    request::RESET_CONSUMER_CLIENT_OFFSET => (response::NO_PERMISSION, false),
                    // Without a message, where a group would handle one.
                    // Without a half message, without a reply.
                    request::CHECK_TRANSACTION_STATE | request::PUSH_REPLY_MESSAGE_TO_CLIENT => {
                        (response::SYSTEM_ERROR, false)
                    }
                    request::CONSUME_MESSAGE_DIRECTLY if *code == response::SYSTEM_ERROR => {
                        (if history.setup.operator { *code } else { response::NO_PERMISSION }, false)
                    }
                    request::CONSUME_MESSAGE_DIRECTLY => (response::NO_PERMISSION, false),
                    _ => (response::REQUEST_CODE_NOT_SUPPORTED, false),
                };
                if *code != expected || (*bytes > 0 && !tells) {
                    let text = format!("host {host} answered request {request} with {code} and {bytes} bytes");
                    return Err(Broken::new(row.at, text));
                }
            }
            What::Joined { host, member } => drop(hosts.insert(*member, *host)),
            What::Act(Act::Told { host, group, offsets }) => {
                told.extend(offsets.iter().map(|(queue, offset)| (*host, group.clone(), queue.clone(), *offset)));
            }
            What::Act(Act::Reset { member, group, queue, offset }) => {
                // A queue that was moved before it was started is started by that.
                fresh.remove(&(*member, group.clone(), queue.clone()));
                let host = hosts.get(member).copied().unwrap_or(usize::MAX);
                if !told.contains(&(host, group.clone(), queue.clone(), *offset)) {
                    let text =
                        format!("member {member} of {group} goes on at {offset} of {queue:?}, as nobody may say");
                    return Err(Broken::new(row.at, text));
                }
            }
            What::Act(Act::Direct { member, group }) if !history.setup.operator => {
                let text = format!("member {member} of {group} handles a message because a server says so");
                return Err(Broken::new(row.at, text));
            }
            What::Assigned { member, group, added, .. } => {
                fresh.extend(added.iter().map(|queue| (*member, group.clone(), queue.clone())));
            }
            What::LockGone { member, group, queue } => {
                lost.insert((*member, group.clone(), queue.clone()));
            }
            What::Start { member, group, queue, .. } => {
                let key = (*member, group.clone(), queue.clone());
                // What was begun by a slave's word is begun again when the master knows better.
                if !fresh.remove(&key) && !lost.remove(&key) && !history.setup.slaves {
                    let text = format!("member {member} of {group} starts {queue:?} again, which nobody gave it anew");
                    return Err(Broken::new(row.at, text));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn answered(request: i32, code: i32, bytes: usize) -> What {
        What::Answered { host: 1, request, code, bytes }
    }

    #[test]
    fn refused_or_taken_note_of() {
        let rows = vec![
            (1, answered(326, response::SYSTEM_ERROR, 0)),
            (1, answered(9_999, response::REQUEST_CODE_NOT_SUPPORTED, 0)),
            (1, answered(307, response::SYSTEM_ERROR, 0)),
            (1, answered(307, response::SUCCESS, 900)),
            (1, answered(request::NOTIFY_CONSUMER_IDS_CHANGED, response::SUCCESS, 0)),
            (1, answered(request::GET_CONSUMER_STATUS_FROM_CLIENT, response::SUCCESS, 70)),
            (1, answered(request::CONSUME_MESSAGE_DIRECTLY, response::NO_PERMISSION, 0)),
            (1, assigned(0, &[0], &[])),
            (2, start(0)),
        ];
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn done_or_told_or_started_again() {
        assert!(check(&history(vec![(1, answered(220, response::SUCCESS, 0))])).is_err());
        assert!(check(&history(vec![(1, answered(309, response::SUCCESS, 60))])).is_err());
        assert!(check(&history(vec![(1, answered(326, response::REQUEST_CODE_NOT_SUPPORTED, 9))])).is_err());
        assert!(check(&history(vec![(1, answered(307, response::SYSTEM_ERROR, 9))])).is_err());
        let rows = vec![(1, assigned(0, &[0], &[])), (2, start(7)), (3, start(0))];
        let mut history = history(rows);
        assert!(check(&history).is_err());
        history.setup.slaves = true;
        assert_eq!(check(&history), Ok(()), "a slave's word was the first");
    }

    #[test]
    fn moved_by_an_operator_and_by_nobody_else() {
        let joined = || What::Joined { host: 5, member: 0 };
        let reset = || What::Act(Act::Reset { member: 0, group: "g0".into(), queue: queue(0), offset: 7 });
        let told = |host, offset| What::Act(Act::Told { host, group: "g0".into(), offsets: vec![(queue(0), offset)] });
        assert_eq!(check(&history(vec![(1, joined()), (2, told(5, 7)), (3, reset())])), Ok(()));
        for other in [told(5, 8), told(6, 7), joined()] {
            assert!(check(&history(vec![(1, joined()), (2, other), (3, reset())])).is_err());
        }
    }

    #[test]
    fn handled_for_an_operator_where_that_is_allowed() {
        let mut rows = history(vec![(1, What::Act(Act::Direct { member: 0, group: "g0".into() }))]);
        assert!(check(&rows).is_err());
        rows.setup.operator = true;
        assert_eq!(check(&rows), Ok(()));
    }

    #[test]
    fn started_again_after_its_lock_was_gone() {
        let gone = What::LockGone { member: 0, group: "g0".into(), queue: queue(0) };
        let rows = vec![(1, assigned(0, &[0], &[])), (2, start(7)), (3, gone), (4, start(9))];
        assert_eq!(check(&history(rows)), Ok(()));
        let gone = What::LockGone { member: 0, group: "g0".into(), queue: queue(0) };
        let rows = vec![(1, assigned(0, &[0], &[])), (2, gone), (3, start(7)), (4, start(9)), (5, start(9))];
        assert_eq!(check(&history(rows[..4].to_vec())), Ok(()), "lost before it was started");
        assert!(check(&history(rows)).is_err());
    }

    #[test]
    fn started_again_after_it_was_given_anew() {
        let rows = vec![
            (1, assigned(0, &[0], &[])),
            (2, start(7)),
            (3, assigned(0, &[], &[0])),
            (3, assigned(0, &[0], &[])),
            (4, start(0)),
        ];
        assert_eq!(check(&history(rows)), Ok(()));
    }
}
