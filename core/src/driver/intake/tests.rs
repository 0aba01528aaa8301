#![allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

use super::*;
use crate::config::ConsumeMode;
use crate::dispatch::{Content, Item, Poison, PoisonPolicy};
use crate::driver::lock::checked::{CheckedLocks, check};
use crate::ids::{MessageQueue, QueueOffset};
use crate::time::UnixMillis;
use crate::wire::message::LostReason;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::future::poll_fn;
use core::ops::Range;
use core::pin::Pin;
use core::sync::atomic::AtomicUsize;
use std::task::Wake;

fn intake<L: Locks>() -> (Arc<Intake<L>>, Inbox<L>) {
    intake_of(ConsumeMode::Concurrent, 0)
}

pub(in crate::driver) fn intake_of<L: Locks>(mode: ConsumeMode, now: u64) -> (Arc<Intake<L>>, Inbox<L>) {
    let inbox = Inbox::new();
    // Items that cannot be read, and are handed out all the same, stand for messages.
    let config = ConsumerConfig { mode, on_poison: PoisonPolicy::Deliver, ..ConsumerConfig::new("g".into()) };
    let clock: Arc<dyn Clock> = Arc::new(Stopped(Instant::from_millis(now)));
    (Arc::new(Intake::new(&config, inbox.clone(), &clock)), inbox)
}

/// A clock that stands still.
struct Stopped(Instant);

impl Clock for Stopped {
    fn now(&self) -> Instant {
        self.0
    }

    fn wall(&self) -> UnixMillis {
        UnixMillis(0)
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(core::future::pending())
    }
}

fn batch(offsets: Range<u64>) -> Arc<Batch> {
    let cause = PoisonCause::Lost(LostReason::TooMany(1));
    let item = |offset| Item {
        offset: QueueOffset::new(offset),
        physical_offset: None,
        content: Content::Poison(Poison { start: 0, len: 0, cause: cause.clone() }),
    };
    Arc::new(Batch {
        queue: Arc::new(MessageQueue { topic: "T".into(), broker: "b".into(), id: 0 }),
        epoch: Epoch(1),
        from: QueueOffset::new(offsets.start),
        to: QueueOffset::new(offsets.end),
        frame: bytes::Bytes::new(),
        items: offsets.map(item).collect(),
        pop: None,
    })
}

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Taker {
    turn: Turn,
    wakes: Arc<CountWakes>,
}

impl Taker {
    fn new(intake: &Arc<Intake>) -> Self {
        Self { turn: Turn::new(intake.clone()), wakes: Arc::default() }
    }

    fn poll(&mut self) -> Poll<Option<u64>> {
        let waker = Waker::from(self.wakes.clone());
        let taken = self.turn.poll(&mut Context::from_waker(&waker));
        taken.map(|taken| taken.map(|taken| taken.item().unwrap().offset.get()))
    }

    fn woken(&self) -> usize {
        self.wakes.0.load(Ordering::Relaxed)
    }
}

fn takers(intake: &Arc<Intake>) -> [Taker; 3] {
    [(); 3].map(|()| {
        let mut taker = Taker::new(intake);
        assert!(taker.poll().is_pending());
        taker
    })
}

#[test]
fn a_batch_wakes_the_first_and_as_many_as_it_has_messages() {
    let (intake, _) = intake::<StdLocks>();
    let mut takers = takers(&intake);
    intake.deliver(batch(0..2));
    assert_eq!(takers.each_ref().map(Taker::woken), [1, 1, 0]);
    assert_eq!(takers[0].poll(), Poll::Ready(Some(0)));
    assert_eq!(takers[1].poll(), Poll::Ready(Some(1)));
    intake.deliver(batch(2..3));
    assert_eq!(takers.each_ref().map(Taker::woken), [1, 1, 1]);
}

#[test]
fn who_is_polled_without_need_keeps_its_place() {
    let (intake, _) = intake::<StdLocks>();
    let mut takers = takers(&intake);
    assert!(takers[0].poll().is_pending());
    intake.deliver(batch(0..1));
    assert_eq!(takers.each_ref().map(Taker::woken), [1, 0, 0]);
}

#[test]
fn a_woken_taker_that_goes_away_passes_its_turn_on() {
    let (intake, _) = intake::<StdLocks>();
    let [first, mut second, third] = takers(&intake);
    intake.deliver(batch(0..1));
    assert_eq!((first.woken(), second.woken()), (1, 0));
    drop(first);
    assert_eq!((second.woken(), third.woken()), (1, 0));
    assert_eq!(second.poll(), Poll::Ready(Some(0)));
    drop(second);
    assert_eq!(third.woken(), 0, "there is nothing left for it");
}

#[test]
fn a_close_ends_every_wait_and_tells_when_all_is_settled() {
    let (intake, _) = intake::<StdLocks>();
    let mut takers = takers(&intake);
    intake.deliver(batch(0..2));
    let mut held = None;
    assert!(intake.poll_take(&mut None, &mut Context::from_waker(Waker::noop())).map(|taken| held = taken).is_ready());
    intake.close();
    for taker in &mut takers {
        assert!(taker.woken() > 0);
        assert_eq!(taker.poll(), Poll::Ready(None));
    }
    assert!(!intake.news(256).drained, "one is out");
    intake.settle(&held.unwrap(), Outcome::Done);
    let news = intake.news(256);
    assert_eq!((news.drained, news.progress[0].settled_to.get()), (true, 1));
    assert!(!intake.news(256).drained, "told once");
    intake.close();
    assert!(intake.news(256).drained, "and again when asked again");
}

#[test]
fn failures_wait_until_there_is_room() {
    let (intake, inbox) = intake::<StdLocks>();
    intake.deliver(batch(0..3));
    for _ in 0..3 {
        let Poll::Ready(Some(taken)) = intake.poll_take(&mut None, &mut Context::from_waker(Waker::noop())) else {
            panic!("a message");
        };
        intake.settle(&taken, Outcome::Failed { level: 0 });
    }
    assert!(inbox.poll_take(Waker::noop(), &mut VecDeque::new()).is_ready(), "the client task is nudged");
    assert_eq!(intake.news(2).failures.len(), 2);
    assert_eq!(intake.news(2).failures.len(), 1);
    assert_eq!(intake.news(2).failures.len(), 0);
}

#[test]
fn no_schedule_leaves_a_message_with_a_taker_asleep() {
    check(1_000, || {
        let (intake, _) = intake::<CheckedLocks>();
        let tasks = [0, 1, 2].map(|number| {
            let intake = intake.clone();
            shuttle::thread::spawn(move || {
                let mut turn = Turn::new(intake.clone());
                if number == 0 {
                    // Waits a little, goes away at any point.
                    return usize::from(shuttle::future::block_on(poll_fn(|cx| {
                        Poll::Ready(matches!(turn.poll(cx), Poll::Ready(Some(_))))
                    })));
                }
                usize::from(shuttle::future::block_on(poll_fn(|cx| turn.poll(cx))).is_some())
            })
        });
        let feeder = intake.clone();
        let feed = shuttle::thread::spawn(move || {
            feeder.deliver(batch(0..1));
            feeder.deliver(batch(1..3));
        });
        feed.join().unwrap();
        let taken: usize = tasks.into_iter().map(|task| task.join().unwrap()).sum();
        assert!(taken >= 2, "both that stayed have one");
    });
}

#[test]
fn no_schedule_of_a_close_leaves_a_taker_asleep() {
    check(1_000, || {
        let (intake, _) = intake::<CheckedLocks>();
        let tasks = [0, 1].map(|_| {
            let intake = intake.clone();
            shuttle::thread::spawn(move || {
                let mut turn = Turn::new(intake);
                while shuttle::future::block_on(poll_fn(|cx| turn.poll(cx))).is_some() {}
            })
        });
        intake.deliver(batch(0..1));
        intake.close();
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

#[test]
fn in_order_a_settlement_wakes_the_next_and_a_lease_the_first() {
    let (intake, _) = intake_of::<StdLocks>(ConsumeMode::Orderly, 10);
    let mut takers = takers(&intake);
    intake.deliver(batch(0..3));
    assert_eq!(takers.each_ref().map(Taker::woken), [1, 0, 0]);
    assert!(takers[0].poll().is_pending(), "there is no lease");
    intake.lease(Epoch(1), Instant::from_millis(11));
    assert_eq!(takers.each_ref().map(Taker::woken), [2, 0, 0]);
    let mut held = None;
    let taken = takers[0].turn.poll(&mut Context::from_waker(Waker::noop())).map(|taken| held = taken);
    assert!(taken.is_ready());
    intake.settle(&held.unwrap(), Outcome::Done);
    assert_eq!(takers[1].woken(), 1);
    assert_eq!(takers[1].poll(), Poll::Ready(Some(1)));
    assert_eq!(takers[2].woken(), 0, "one at a time");
}

#[test]
fn no_schedule_of_queues_in_order_leaves_a_taker_asleep() {
    check(1_000, || {
        let (intake, _) = intake_of::<CheckedLocks>(ConsumeMode::Orderly, 0);
        let tasks = [0, 1].map(|_| {
            let intake = intake.clone();
            shuttle::thread::spawn(move || {
                let mut count = 0;
                let mut turn = Turn::new(intake.clone());
                while let Some(taken) = shuttle::future::block_on(poll_fn(|cx| turn.poll(cx))) {
                    count += 1;
                    let last = taken.index == 2;
                    intake.settle(&taken, Outcome::Done);
                    if last {
                        intake.close();
                    }
                }
                count
            })
        });
        let leaser = intake.clone();
        let lease = shuttle::thread::spawn(move || leaser.lease(Epoch(1), Instant::FAR));
        intake.deliver(batch(0..3));
        lease.join().unwrap();
        let taken: usize = tasks.into_iter().map(|task| task.join().unwrap()).sum();
        assert_eq!(taken, 3);
    });
}
