#![allow(clippy::wildcard_enum_match_arm, reason = "a test names what it expects")]

use alloc::vec::Vec;

use super::*;
use crate::driver::cell::{Lost, cell};
use crate::driver::lock::checked::{CheckedLocks, check};
use crate::time::UnixMillis;
use core::future::poll_fn;
use futures_lite::future::block_on;

fn mail<L: Locks>(inbox: &Inbox<L>, wall: i64) {
    inbox.post([Mail::Input(Input::WallClock(UnixMillis(wall)))]);
}

fn walls(mail: &VecDeque<Mail>) -> Vec<i64> {
    let wall = |mail: &Mail| match mail {
        Mail::Input(Input::WallClock(wall)) => wall.0,
        _ => panic!("something else"),
    };
    mail.iter().map(wall).collect()
}

#[test]
fn mail_comes_in_order() {
    let inbox: Inbox = Inbox::new();
    let mut out = VecDeque::new();
    assert!(inbox.poll_take(Waker::noop(), &mut out).is_pending());
    mail(&inbox, 1);
    mail(&inbox, 2);
    assert!(inbox.poll_take(Waker::noop(), &mut out).is_ready());
    assert_eq!(walls(&out), [1, 2]);
    out.clear();
    inbox.nudge();
    assert!(inbox.poll_take(Waker::noop(), &mut out).is_ready() && out.is_empty(), "a nudge wakes without mail");
    assert!(inbox.poll_take(Waker::noop(), &mut out).is_pending(), "once");
}

#[test]
fn a_closed_inbox_tells_those_who_wait() {
    let inbox: Inbox = Inbox::new();
    let (early, waits_early) = cell();
    let (late, waits_late) = cell();
    inbox.post([Mail::Command(OpId(1), Command::Open, early)]);
    inbox.close();
    assert_eq!(block_on(waits_early).map(|_| ()), Err(Lost));
    inbox.post([Mail::Command(OpId(2), Command::Open, late)]);
    assert_eq!(block_on(waits_late).map(|_| ()), Err(Lost));
}

#[test]
fn no_schedule_loses_mail_or_a_nudge() {
    check(2_000, || {
        let inbox: Inbox<CheckedLocks> = Inbox::new();
        let posters = [1, 2].map(|wall| {
            let inbox = inbox.clone();
            shuttle::thread::spawn(move || {
                mail(&inbox, wall);
                inbox.nudge();
            })
        });
        let mut seen = Vec::new();
        shuttle::future::block_on(poll_fn(|cx| {
            let mut out = VecDeque::new();
            while inbox.poll_take(cx.waker(), &mut out).is_ready() {
                seen.extend(walls(&out));
                out.clear();
            }
            if seen.len() == 2 { Poll::Ready(()) } else { Poll::Pending }
        }));
        posters.into_iter().for_each(|poster| poster.join().unwrap());
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    });
}
