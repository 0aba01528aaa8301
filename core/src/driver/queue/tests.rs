#![allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

use super::*;
use crate::driver::lock::checked::{CheckedLocks, check};
use core::future::poll_fn;
use core::pin::pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use futures_lite::future::{block_on, poll_once};
use shuttle::rand::{Rng, thread_rng};
use std::task::Wake;

const CLOSED: CloseReason = CloseReason::PeerClosed;

fn limits(requests: usize, bytes: usize) -> Load {
    Load { requests, bytes }
}

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counted<F: Future + Unpin>(future: &mut F, wakes: &Arc<CountWakes>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(wakes));
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

fn push<I: core::fmt::Debug>(submitter: &Submitter<I>, item: I) {
    submitter.try_acquire(1).unwrap().push(item).unwrap();
}

#[test]
fn slots_are_bounded_and_given_back() {
    let (submitter, mut intake) = submit_queue::<u8>(limits(2, 100));
    let first = submitter.try_acquire(60).unwrap();
    assert_eq!(submitter.try_acquire(41).err(), Some(RequestFailure::Busy));
    let second = submitter.try_acquire(40).unwrap();
    assert_eq!(submitter.try_acquire(0).err(), Some(RequestFailure::Busy));
    drop(second);
    first.push(1).unwrap();
    assert_eq!(submitter.load(), limits(1, 60));
    intake.release(limits(1, 60));
    assert_eq!(submitter.load(), Load::default());
}

#[test]
fn permits_that_joined_are_given_back_as_one() {
    let [(submitter, _intake), (other, _other_intake)] = [(); 2].map(|()| submit_queue::<u8>(limits(3, 100)));
    let [mut all, one] = [10, 20].map(|bytes| submitter.try_acquire(bytes).unwrap());
    all.join(one);
    assert_eq!((submitter.load(), all.bytes()), (limits(2, 30), 30), "they are still taken");
    // One of another queue goes back there.
    all.join(other.try_acquire(5).unwrap());
    assert_eq!((submitter.load(), other.load()), (limits(2, 30), Load::default()));
    let wakes = Arc::<CountWakes>::default();
    let mut waits = [30, 60].map(|bytes| submitter.acquire(bytes));
    let _third = submitter.try_acquire(1).unwrap();
    assert!(waits.iter_mut().all(|wait| counted(wait, &wakes).is_pending()));
    drop(all);
    assert_eq!(wakes.0.load(Ordering::Relaxed), 2, "both slots are there");
    assert_eq!(submitter.load(), limits(3, 91));
}

#[test]
fn a_request_over_the_byte_bound_is_admitted_alone() {
    let (submitter, _intake) = submit_queue::<u8>(limits(10, 100));
    let small = submitter.try_acquire(1).unwrap();
    let mut large = submitter.acquire(500);
    assert_eq!(block_on(poll_once(&mut large)).map(|_| ()), None);
    drop(small);
    let large = block_on(large).unwrap();
    assert_eq!(submitter.try_acquire(1).err(), Some(RequestFailure::Busy));
    drop(large);
    assert!(submitter.try_acquire(1).is_ok());
}

#[test]
fn nobody_overtakes_who_waits() {
    let (submitter, mut intake) = submit_queue::<u8>(limits(10, 100));
    submitter.try_acquire(60).unwrap().push(0).unwrap();
    let wakes: [Arc<CountWakes>; 3] = Default::default();
    let mut waiters = [50, 10, 20].map(|bytes| submitter.acquire(bytes));
    assert!(counted(&mut waiters[0], &wakes[0]).is_pending());
    assert_eq!(submitter.try_acquire(1).err(), Some(RequestFailure::Busy), "someone waits");
    assert!(counted(&mut waiters[1], &wakes[1]).is_pending(), "there is room, but it is not its turn");
    assert!(counted(&mut waiters[2], &wakes[2]).is_pending());
    intake.release(limits(1, 60));
    assert_eq!(wakes.each_ref().map(|wakes| wakes.0.load(Ordering::Relaxed)), [1, 1, 1]);
    assert_eq!(submitter.load(), limits(3, 80), "slots are held before they are noticed");
    assert!(submitter.try_acquire(1).is_ok(), "nobody waits any more");
    for (waiter, wakes) in waiters.iter_mut().zip(&wakes) {
        assert!(matches!(counted(waiter, wakes), Poll::Ready(Ok(_))));
    }
}

#[test]
fn a_dropped_waiter_passes_its_turn_on() {
    let (submitter, mut intake) = submit_queue::<u8>(limits(1, 100));
    submitter.try_acquire(1).unwrap().push(0).unwrap();
    let wakes: [Arc<CountWakes>; 3] = Default::default();
    let [mut first, mut second, mut third] = [1, 500, 1].map(|bytes| submitter.acquire(bytes));
    assert!(counted(&mut first, &wakes[0]).is_pending());
    assert!(counted(&mut second, &wakes[1]).is_pending());
    assert!(counted(&mut third, &wakes[2]).is_pending());
    drop(second);
    intake.release(limits(1, 1));
    assert_eq!((wakes[0].0.load(Ordering::Relaxed), wakes[2].0.load(Ordering::Relaxed)), (1, 0));
    drop(first);
    assert_eq!(wakes[2].0.load(Ordering::Relaxed), 1);
    assert!(matches!(counted(&mut third, &wakes[2]), Poll::Ready(Ok(_))));
    drop(third);
    assert_eq!(submitter.load(), Load::default());
}

#[test]
fn the_consumer_is_woken_when_the_queue_becomes_non_empty() {
    let (submitter, mut intake) = submit_queue::<u8>(limits(100, 100));
    let wakes = Arc::new(CountWakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    let mut out = Vec::new();
    assert!(intake.poll_drain(&mut cx, 10, &mut out).is_pending());
    (0..5).for_each(|item| push(&submitter, item));
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert_eq!((intake.poll_drain(&mut cx, 3, &mut out), intake.len()), (Poll::Ready(3), 2));
    push(&submitter, 5);
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "it knows that the queue is not empty");
    assert_eq!(intake.poll_drain(&mut cx, 10, &mut out), Poll::Ready(3));
    push(&submitter, 6);
    assert_eq!(wakes.0.load(Ordering::Relaxed), 2, "the last drain left it empty");
    assert_eq!((intake.poll_drain(&mut cx, 10, &mut out), out), (Poll::Ready(1), alloc::vec![0, 1, 2, 3, 4, 5, 6]));
}

#[test]
fn a_closed_queue_fails_everyone_and_gives_its_items_back() {
    let (submitter, mut intake) = submit_queue::<u8>(limits(2, 100));
    push(&submitter, 1);
    let permit = submitter.try_acquire(1).unwrap();
    let mut waiter = submitter.acquire(1);
    assert_eq!(block_on(poll_once(&mut waiter)).map(|_| ()), None);
    assert_eq!(intake.close(CLOSED), [1]);
    assert_eq!(intake.close(CloseReason::Idle), [0; 0]);
    assert_eq!(block_on(waiter).err(), Some(CLOSED));
    assert_eq!(permit.push(2), Err((CLOSED, 2)));
    assert_eq!(submitter.try_acquire(1).err(), Some(RequestFailure::Closed(CLOSED)));
    assert_eq!(block_on(submitter.acquire(1)).err(), Some(CLOSED));
    assert_eq!(submitter.closed(), Some(CLOSED));
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(intake.poll_drain(&mut cx, 1, &mut Vec::new()), Poll::Ready(0));
}

#[test]
fn a_dropped_intake_closes_the_queue() {
    let (submitter, intake) = submit_queue::<u8>(limits(1, 1));
    push(&submitter, 1);
    let waiter = submitter.acquire(1);
    drop(intake);
    assert_eq!(block_on(waiter).err(), Some(CloseReason::Local));
}

type Checked = Submitter<usize, CheckedLocks>;

/// Drains `items` items and gives their slots back in batches.
fn consume(mut intake: Intake<usize, CheckedLocks>, items: usize) -> (Intake<usize, CheckedLocks>, Vec<usize>) {
    let mut out = Vec::new();
    while out.len() < items {
        let n = shuttle::future::block_on(poll_fn(|cx| intake.poll_drain(cx, 2, &mut out)));
        intake.release(limits(n, n));
    }
    (intake, out)
}

#[test]
fn no_schedule_loses_a_wake_or_an_item() {
    check(3_000, || {
        let (submitter, intake) = submit_queue_in::<usize, CheckedLocks>(limits(2, 2));
        let producers = [0, 1, 2].map(|producer| {
            let submitter: Checked = submitter.clone();
            shuttle::thread::spawn(move || {
                for item in 0..3 {
                    let permit = shuttle::future::block_on(submitter.acquire(1)).unwrap();
                    permit.push(producer * 10 + item).unwrap();
                }
            })
        });
        let (_intake, mut items) = consume(intake, 9);
        for producer in producers {
            producer.join().unwrap();
        }
        for producer in 0..3 {
            let own: Vec<usize> = items.iter().copied().filter(|item| item / 10 == producer).collect();
            assert_eq!(own, [0, 1, 2].map(|item| producer * 10 + item), "in order");
        }
        items.sort_unstable();
        items.dedup();
        assert_eq!((items.len(), submitter.load()), (9, Load::default()));
    });
}

#[test]
fn no_schedule_changes_the_order_of_admission() {
    check(3_000, || {
        let (submitter, intake) = submit_queue_in::<usize, CheckedLocks>(limits(1, 1));
        let held = submitter.try_acquire(1).unwrap();
        let order = Arc::new(CheckedLocksOrder::default());
        let waiters = [0, 1, 2].map(|number| {
            let mut waiter = submitter.acquire(1);
            let queued = shuttle::future::block_on(poll_once(&mut waiter));
            assert!(queued.is_none());
            let order = Arc::clone(&order);
            shuttle::thread::spawn(move || {
                let permit = shuttle::future::block_on(waiter).unwrap();
                assert_eq!(order.next(), number);
                drop(permit);
            })
        });
        drop(held);
        for waiter in waiters {
            waiter.join().unwrap();
        }
        drop(intake);
    });
}

#[derive(Default)]
struct CheckedLocksOrder(AtomicUsize);

impl CheckedLocksOrder {
    fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

#[test]
fn no_schedule_loses_the_slot_of_a_dropped_future() {
    check(5_000, || {
        let (submitter, mut intake) = submit_queue_in::<usize, CheckedLocks>(limits(1, 4));
        let tasks = [0, 1, 2, 3].map(|number: usize| {
            let submitter: Checked = submitter.clone();
            shuttle::thread::spawn(move || {
                let mut waiter = pin!(submitter.acquire(1 + number * 2));
                for _ in 0..thread_rng().gen_range(0..3) {
                    if let Some(permit) = shuttle::future::block_on(poll_once(waiter.as_mut())) {
                        return drop(permit.unwrap());
                    }
                    shuttle::thread::yield_now();
                }
            })
        });
        let patient = shuttle::thread::spawn({
            let submitter = submitter.clone();
            move || drop(shuttle::future::block_on(submitter.acquire(3)).unwrap())
        });
        for task in tasks {
            task.join().unwrap();
        }
        patient.join().unwrap();
        assert_eq!(submitter.load(), Load::default());
        assert!(submitter.try_acquire(100).is_ok());
        drop(intake.close(CLOSED));
    });
}

#[test]
fn no_schedule_leaves_anyone_waiting_on_a_closed_queue() {
    check(3_000, || {
        let (submitter, mut intake) = submit_queue_in::<usize, CheckedLocks>(limits(1, 1));
        let tasks = [0, 1, 2].map(|number| {
            let submitter: Checked = submitter.clone();
            shuttle::thread::spawn(move || match shuttle::future::block_on(submitter.acquire(1)) {
                Ok(permit) => usize::from(permit.push(number).is_ok()),
                Err(reason) => {
                    assert_eq!(reason, CLOSED);
                    0
                }
            })
        });
        let queued = intake.close(CLOSED).len();
        let pushed: usize = tasks.into_iter().map(|task| task.join().unwrap()).sum();
        assert_eq!(queued, pushed);
    });
}
