//! Queues in order: one message at a time, while the lease lasts.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

use alloc::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::tests::{batch, offset};
use super::*;
use crate::config::ConsumerConfig;

const FAR: Instant = Instant::FAR;
const NOW: Instant = Instant::ZERO;

fn dispatch(auto_commit: bool) -> Dispatch {
    let config = ConsumerConfig::new("g".into());
    let config = DispatchConfig { orderly: true, auto_commit, ..DispatchConfig::of(&config) };
    Dispatch::new(DispatchConfig { on_poison: PoisonPolicy::Deliver, ..config })
}

/// One queue with messages 0 to 3, and its lease.
fn leased(auto_commit: bool) -> Dispatch {
    let mut it = dispatch(auto_commit);
    it.lease(Epoch(1), FAR);
    assert_eq!(it.deliver(batch(0, 1, 0..4, &[0, 1, 2, 3])), 1, "one can be taken");
    it
}

/// Takes the next, settles it; its offset and how often it came before.
fn next(it: &mut Dispatch, outcome: Outcome) -> Option<(u64, i32)> {
    let taken = it.take(NOW)?;
    it.settle(&taken, outcome);
    if let Some(failure) = it.poll_failure() {
        it.redeliver(&failure.taken);
    }
    Some((offset(&taken), taken.local_retries))
}

fn settled_to(it: &mut Dispatch) -> u64 {
    core::iter::from_fn(|| it.poll_progress()).last().expect("progress").settled_to.get()
}

#[test]
fn each_queue_has_one_message_out() {
    let mut it = leased(true);
    it.lease(Epoch(2), FAR);
    it.deliver(batch(1, 2, 0..2, &[0, 1]));
    let (first, other) = (it.take(NOW).unwrap(), it.take(NOW).unwrap());
    assert_eq!((first.batch.epoch, other.batch.epoch), (Epoch(1), Epoch(2)));
    assert!(it.take(NOW).is_none() && !it.has_ready());
    assert_eq!(it.deliver(batch(0, 1, 4..5, &[4])), 0, "wakes nobody");
    it.settle(&first, Outcome::Done);
    assert!(it.has_ready());
    let second = it.take(NOW).unwrap();
    assert_eq!((offset(&second), second.batch.epoch), (1, Epoch(1)));
    assert!(it.take(NOW).is_none());
}

#[test]
fn nothing_is_handed_out_without_a_lease_or_after_it() {
    let mut it = dispatch(true);
    it.deliver(batch(0, 1, 0..2, &[0, 1]));
    assert!(it.take(NOW).is_none());
    let at = Instant::from_millis;
    assert!(it.lease(Epoch(1), at(30)));
    let taken = it.take(at(29)).unwrap();
    it.settle(&taken, Outcome::Done);
    assert!(it.take(at(30)).is_none());
    assert!(it.lease(Epoch(1), at(60)), "there is something to hand out again");
    assert_eq!(offset(&it.take(at(59)).unwrap()), 1);
}

#[test]
fn a_failed_message_bars_its_queue_until_it_comes_again() {
    let mut it = leased(true);
    let taken = it.take(NOW).unwrap();
    it.settle(&taken, Outcome::Suspended { pause: Duration::from_secs(7) });
    let failure = it.poll_failure().unwrap();
    assert_eq!((failure.pause, failure.rolled_back), (Some(Duration::from_secs(7)), false));
    assert!(it.take(NOW).is_none() && it.outstanding() == 1);
    it.redeliver(&failure.taken);
    assert_eq!(next(&mut it, Outcome::Done), Some((0, 1)));
    assert_eq!(next(&mut it, Outcome::Done), Some((1, 0)));
}

#[test]
fn without_auto_commit_what_is_done_waits_for_a_commit() {
    let mut it = leased(false);
    assert_eq!(next(&mut it, Outcome::Done), Some((0, 0)));
    assert_eq!((settled_to(&mut it), it.outstanding()), (0, 0));
    assert_eq!(next(&mut it, Outcome::Committed), Some((1, 0)));
    assert_eq!(settled_to(&mut it), 2);
    assert_eq!(next(&mut it, Outcome::Done), Some((2, 0)));
    let last = it.revoke(Epoch(1)).unwrap();
    assert_eq!((last.settled_to.get(), last.busy), (2, false));
}

#[test]
fn what_is_rolled_back_comes_again_in_order() {
    let mut it = leased(false);
    for at in 0..2 {
        assert_eq!(next(&mut it, Outcome::Done), Some((at, 0)));
    }
    assert_eq!(next(&mut it, Outcome::RolledBack), Some((2, 0)));
    assert_eq!(next(&mut it, Outcome::Failed { level: 0 }), Some((0, 0)));
    assert_eq!(next(&mut it, Outcome::Done), Some((0, 1)), "what failed comes before the rest");
    assert_eq!(next(&mut it, Outcome::RolledBack), Some((1, 0)));
    let all = [(0, 1), (1, 0), (2, 0), (3, 0)];
    for seen in all {
        assert_eq!(next(&mut it, Outcome::Committed), Some(seen));
    }
    assert_eq!(settled_to(&mut it), 4);
}

#[test]
fn a_commit_or_a_rollback_elsewhere_is_an_ack_or_a_retry() {
    let mut it = leased(true);
    assert_eq!(next(&mut it, Outcome::Committed), Some((0, 0)));
    assert_eq!(next(&mut it, Outcome::RolledBack), Some((1, 0)));
    assert_eq!(next(&mut it, Outcome::Done), Some((1, 1)), "which counts");
    let mut it = Dispatch::new(DispatchConfig {
        on_poison: PoisonPolicy::Deliver,
        ..DispatchConfig::of(&ConsumerConfig::new("g".into()))
    });
    it.deliver(batch(0, 1, 0..3, &[0, 1, 2]));
    let taken: Vec<_> = core::iter::from_fn(|| it.take(NOW)).collect();
    it.settle(&taken[0], Outcome::Committed);
    it.settle(&taken[1], Outcome::RolledBack);
    it.settle(&taken[2], Outcome::Suspended { pause: Duration::ZERO });
    assert_eq!(core::iter::from_fn(|| it.poll_failure()).filter(|failure| failure.level == 0).count(), 2);
    assert_eq!(settled_to(&mut it), 1);
}

#[test]
fn the_end_of_a_handler_is_told_when_its_queue_was_revoked() {
    let mut it = leased(true);
    let taken = it.take(NOW).unwrap();
    assert!(it.revoke(Epoch(1)).unwrap().busy);
    assert_eq!(it.outstanding(), 1, "a stop waits for it");
    it.take_urgent();
    assert_eq!(it.settle(&taken, Outcome::Done), Settled::Released);
    assert!(it.take_urgent());
    let (queue, epoch) = it.poll_ended().unwrap();
    assert_eq!((queue.id, epoch, it.outstanding()), (0, Epoch(1), 0));
    assert!(it.poll_ended().is_none());
    // A message that had failed is in nobody's hands.
    let mut it = leased(true);
    let taken = it.take(NOW).unwrap();
    it.settle(&taken, Outcome::Failed { level: 0 });
    assert!(!it.revoke(Epoch(1)).unwrap().busy);
    // One that cannot be opened is not either.
    let mut it = leased(true);
    let taken = it.take(NOW).unwrap();
    it.revoke(Epoch(1));
    assert!(it.poisoned(taken, PoisonCause::Lost(crate::wire::message::LostReason::TooMany(1))).is_none());
    assert!(it.poll_ended().is_some());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Deliver { queue: i32, messages: u64 },
    Take,
    Settle(usize, Outcome),
    Redeliver(usize),
    Lease(i32, bool),
    Revoke(i32),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Done),
        2 => Just(Outcome::Committed),
        1 => Just(Outcome::Failed { level: 0 }),
        1 => Just(Outcome::RolledBack),
    ];
    prop_oneof![
        3 => (0..3, 0..4_u64).prop_map(|(queue, messages)| Step::Deliver { queue, messages }),
        6 => Just(Step::Take),
        6 => (any::<usize>(), outcome).prop_map(|(at, outcome)| Step::Settle(at, outcome)),
        3 => any::<usize>().prop_map(Step::Redeliver),
        2 => (0..3, any::<bool>()).prop_map(|(queue, ours)| Step::Lease(queue, ours)),
        1 => (0..3).prop_map(Step::Revoke),
    ]
}

/// One queue as it should be.
#[derive(Default)]
struct Model {
    epoch: u64,
    end: u64,
    leased: bool,
    /// The next message to come, and the first that is not settled.
    next: u64,
    settled: u64,
    /// A message is out, or waits to come again.
    barred: bool,
}

proptest! {
    #[test]
    fn messages_come_one_by_one_and_in_order(auto: bool, steps in prop::collection::vec(step(), 0..200)) {
        let mut it = dispatch(auto);
        let mut models: BTreeMap<i32, Model> = BTreeMap::new();
        let mut epochs = 0;
        let (mut out, mut failed): (Vec<Taken>, Vec<Taken>) = Default::default();
        let mut lingering = BTreeSet::new();
        for step in steps {
            match step {
                Step::Deliver { queue, messages } => {
                    let model = models.entry(queue).or_insert_with(|| {
                        epochs += 1;
                        Model { epoch: epochs, ..Model::default() }
                    });
                    let offsets: Vec<_> = (model.end..model.end + messages).collect();
                    it.deliver(batch(queue, model.epoch, model.end..model.end + messages, &offsets));
                    model.end += messages;
                }
                Step::Lease(queue, ours) => {
                    if let Some(model) = models.get_mut(&queue) {
                        model.leased = ours;
                        it.lease(Epoch(model.epoch), if ours { FAR } else { NOW });
                    }
                }
                Step::Take => {
                    let ready = |model: &Model| model.leased && !model.barred && model.next < model.end;
                    match it.take(NOW) {
                        Some(taken) => {
                            let model = models.get_mut(&taken.batch.queue.id).unwrap();
                            prop_assert!(ready(model), "{:?}", taken.batch.queue);
                            prop_assert_eq!(offset(&taken), model.next);
                            model.barred = true;
                            out.push(taken);
                        }
                        None => prop_assert!(!models.values().any(ready), "something is ready"),
                    }
                }
                Step::Settle(at, outcome) if !out.is_empty() => {
                    let taken = out.swap_remove(at % out.len());
                    let model = models.get_mut(&taken.batch.queue.id).filter(|model| model.epoch == taken.batch.epoch.0);
                    let settled = it.settle(&taken, outcome);
                    let Some(model) = model else {
                        prop_assert_eq!(settled, Settled::Released);
                        prop_assert!(lingering.remove(&taken.batch.epoch));
                        prop_assert_eq!(it.poll_ended().map(|(_, epoch)| epoch), Some(taken.batch.epoch));
                        continue;
                    };
                    match outcome {
                        Outcome::Done | Outcome::Committed => {
                            (model.next, model.barred) = (model.next + 1, false);
                            if auto || outcome == Outcome::Committed {
                                model.settled = model.next;
                            }
                        }
                        Outcome::Failed { .. } | Outcome::Suspended { .. } | Outcome::RolledBack => {
                            if outcome == Outcome::RolledBack {
                                model.next = model.settled;
                            }
                            failed.push(it.poll_failure().expect("a failure").taken);
                        }
                    }
                }
                Step::Redeliver(at) if !failed.is_empty() => {
                    let taken = failed.swap_remove(at % failed.len());
                    let model = models.get_mut(&taken.batch.queue.id).filter(|model| model.epoch == taken.batch.epoch.0);
                    prop_assert_eq!(it.redeliver(&taken), model.is_some());
                    if let Some(model) = model {
                        model.barred = false;
                    }
                }
                Step::Revoke(id) => {
                    if let Some(model) = models.remove(&id) {
                        let busy = out.iter().any(|taken| taken.batch.epoch.0 == model.epoch);
                        let last = it.revoke(Epoch(model.epoch)).unwrap();
                        prop_assert_eq!((last.settled_to.get(), last.busy), (model.settled, busy));
                        if busy {
                            lingering.insert(Epoch(model.epoch));
                        }
                    }
                }
                Step::Settle(..) | Step::Redeliver(_) => {}
            }
            while let Some(progress) = it.poll_progress() {
                prop_assert_eq!(progress.settled_to.get(), models[&progress.queue.id].settled);
            }
        }
    }
}
