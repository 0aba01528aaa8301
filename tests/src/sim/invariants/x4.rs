//! X4: requests that nobody asked for start nothing, move nothing, and are told what they may be told.

use std::collections::BTreeSet;

use rocketmq_core::wire::codes::{request, response};

use super::Broken;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    // Assigned and not yet started; what was consumed while its lock was gone is not consumed again.
    let (mut fresh, mut lost) = (BTreeSet::new(), BTreeSet::new());
    for row in &history.rows {
        match &row.what {
            What::Answered { host, request, code, bytes } => {
                let (expected, tells) = match *request {
                    request::NOTIFY_CONSUMER_IDS_CHANGED => (response::SUCCESS, false),
                    request::GET_CONSUMER_STATUS_FROM_CLIENT => (response::SUCCESS, true),
                    // Of a group that it does not have it tells nothing.
                    request::GET_CONSUMER_RUNNING_INFO if *bytes == 0 => (response::SYSTEM_ERROR, false),
                    request::GET_CONSUMER_RUNNING_INFO => (response::SUCCESS, true),
                    // A request without a body.
                    request::RESET_CONSUMER_CLIENT_OFFSET => (response::SYSTEM_ERROR, false),
                    request::CONSUME_MESSAGE_DIRECTLY => (response::NO_PERMISSION, false),
                    _ => (response::REQUEST_CODE_NOT_SUPPORTED, false),
                };
                if *code != expected || (*bytes > 0 && !tells) {
                    let text = format!("host {host} answered request {request} with {code} and {bytes} bytes");
                    return Err(Broken::new(row.at, text));
                }
            }
            What::Assigned { member, group, added, .. } => {
                fresh.extend(added.iter().map(|queue| (*member, group.clone(), queue.clone())));
            }
            What::LockGone { member, group, queue } => {
                lost.insert((*member, group.clone(), queue.clone()));
            }
            What::Start { member, group, queue, .. } => {
                let key = (*member, group.clone(), queue.clone());
                if !fresh.remove(&key) && !lost.remove(&key) {
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
            (1, answered(326, response::REQUEST_CODE_NOT_SUPPORTED, 0)),
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
        assert!(check(&history(vec![(1, answered(326, response::REQUEST_CODE_NOT_SUPPORTED, 9))])).is_err());
        assert!(check(&history(vec![(1, answered(307, response::SYSTEM_ERROR, 9))])).is_err());
        let rows = vec![(1, assigned(0, &[0], &[])), (2, start(7)), (3, start(0))];
        assert!(check(&history(rows)).is_err());
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
