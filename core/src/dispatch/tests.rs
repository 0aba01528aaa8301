#![allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

use alloc::collections::{BTreeMap, BTreeSet};
use core::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::config::ConsumerConfig;
use crate::ids::QueueOffset;
use crate::wire::message::{
    Entry, LostReason, RecordLimits, RecordVersion, StoredMessage, SysFlags, encode_record, walk,
};

fn config() -> DispatchConfig {
    let config = ConsumerConfig::new("g".into());
    DispatchConfig { on_poison: PoisonPolicy::Deliver, ..DispatchConfig::of(&config) }
}

fn dispatch(on_poison: PoisonPolicy) -> Dispatch {
    Dispatch::new(DispatchConfig { on_poison, ..config() })
}

fn queue(id: i32) -> Arc<MessageQueue> {
    Arc::new(MessageQueue { topic: "T".into(), broker: "b".into(), id })
}

fn cause() -> PoisonCause {
    PoisonCause::Lost(LostReason::TooMany(1))
}

/// A batch over this span with messages at these offsets. What an item holds matters to nobody but `take`, which hands
/// out poison too under [`PoisonPolicy::Deliver`]: that stands for a message here.
pub(super) fn batch(id: i32, epoch: u64, span: Range<u64>, offsets: &[u64]) -> Arc<Batch> {
    let item = |offset: &u64| Item {
        offset: QueueOffset::new(*offset),
        physical_offset: Some(0),
        content: Content::Poison(Poison { start: 0, len: 0, cause: cause() }),
    };
    Arc::new(Batch {
        queue: queue(id),
        epoch: Epoch(epoch),
        from: QueueOffset::new(span.start),
        to: QueueOffset::new(span.end),
        frame: if offsets.is_empty() { Bytes::new() } else { Bytes::from_static(&[0; 100]) },
        items: offsets.iter().map(item).collect(),
        pop: None,
    })
}

/// The same of messages that can be read.
pub(crate) fn readable(id: i32, epoch: u64, span: Range<u64>, offsets: &[u64]) -> Arc<Batch> {
    let poison = batch(id, epoch, span, offsets);
    let mut bytes = Vec::new();
    let host = "10.0.0.9:1".parse().unwrap();
    for offset in offsets {
        let message = StoredMessage {
            queue_id: id,
            flag: 0,
            queue_offset: QueueOffset::new(*offset),
            physical_offset: 0,
            sys_flag: SysFlags::default(),
            born_timestamp: 1,
            born_host: host,
            store_timestamp: 2,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: Bytes::from_static(b"body"),
            topic: "T".into(),
            properties: Bytes::new(),
        };
        encode_record(&message, RecordVersion::V1, &mut bytes).unwrap();
    }
    let item = |entry| match entry {
        Entry::Record(record) => Item {
            offset: record.queue_offset,
            physical_offset: Some(record.physical_offset),
            content: Content::Record(record),
        },
        other => panic!("{other:?}"),
    };
    let items = walk(&bytes, RecordLimits { max_records: 1_000, verify_crc: true }).map(item).collect();
    let Batch { queue, epoch, from, to, .. } = &*poison;
    Arc::new(Batch { queue: queue.clone(), epoch: *epoch, from: *from, to: *to, frame: bytes.into(), items, pop: None })
}

pub(super) fn offset(taken: &Taken) -> u64 {
    taken.item().unwrap().offset.get()
}

fn take_all(dispatch: &mut Dispatch) -> Vec<Taken> {
    core::iter::from_fn(|| dispatch.take(NOW)).collect()
}

fn settled_to(dispatch: &mut Dispatch) -> u64 {
    let mut last = None;
    while let Some(progress) = dispatch.poll_progress() {
        last = Some(progress.settled_to.get());
    }
    last.expect("progress")
}

const NOW: Instant = Instant::ZERO;

#[test]
fn messages_come_in_order_and_queues_in_turn() {
    let mut it = dispatch(PoisonPolicy::Deliver);
    assert_eq!(it.deliver(batch(0, 1, 0..3, &[0, 1, 2])), 3);
    it.deliver(batch(1, 2, 10..12, &[10, 11]));
    it.deliver(batch(0, 1, 3..5, &[3, 4]));
    let offsets: Vec<_> = take_all(&mut it).iter().map(offset).collect();
    assert_eq!(offsets, [0, 1, 2, 10, 11, 3, 4]);
    assert_eq!(it.outstanding(), 7);
}

#[test]
fn the_offset_passes_filtered_gaps_and_stops_at_what_is_open() {
    let mut it = dispatch(PoisonPolicy::Deliver);
    it.deliver(batch(0, 1, 0..10, &[]));
    assert_eq!(settled_to(&mut it), 10, "an empty pull is passed");
    it.deliver(batch(0, 1, 10..20, &[12, 15]));
    assert_eq!(settled_to(&mut it), 12, "up to the first message");
    it.deliver(batch(0, 1, 20..30, &[]));
    let taken = take_all(&mut it);
    it.settle(&taken[1], Outcome::Done);
    assert_eq!(settled_to(&mut it), 12);
    it.settle(&taken[0], Outcome::Done);
    assert_eq!(settled_to(&mut it), 30, "the end of both pulls");
    assert_eq!(it.poll_progress(), None, "told once");
}

#[test]
fn a_failed_message_holds_the_offset_until_it_is_settled() {
    let mut it = dispatch(PoisonPolicy::Deliver);
    it.deliver(batch(0, 1, 0..2, &[0, 1]));
    let taken = take_all(&mut it);
    assert!(!taken.is_empty());
    it.take_urgent();
    assert_eq!(it.settle(&taken[0], Outcome::Failed { level: 3 }), Settled::Applied);
    assert!(it.take_urgent(), "the control plane hands it back now");
    it.settle(&taken[1], Outcome::Done);
    assert_eq!(settled_to(&mut it), 0);
    let failure = it.poll_failure().unwrap();
    assert_eq!((offset(&failure.taken), failure.level, failure.poison), (0, 3, None));
    assert!(it.redeliver(&failure.taken) && it.has_ready());
    let again = it.take(NOW).unwrap();
    assert_eq!((offset(&again), again.local_retries), (0, 1));
    it.redeliver(&again);
    let again = it.take(NOW).unwrap();
    assert_eq!(again.local_retries, 2);
    it.settle(&again, Outcome::Done);
    assert_eq!((settled_to(&mut it), it.outstanding()), (2, 0));
}

#[test]
fn what_was_settled_meanwhile_is_not_handed_out_again() {
    let mut it = dispatch(PoisonPolicy::Deliver);
    it.deliver(batch(0, 1, 0..2, &[0, 1]));
    let first = it.take(NOW).unwrap();
    it.redeliver(&first);
    it.settle(&first, Outcome::Done);
    assert_eq!(take_all(&mut it).iter().map(offset).collect::<Vec<_>>(), [1]);
}

#[test]
fn broadcasting_drops_failures() {
    let mut it = Dispatch::new(DispatchConfig { drop_failed: true, ..config() });
    it.deliver(batch(0, 1, 0..1, &[0]));
    let taken = it.take(NOW).unwrap();
    it.settle(&taken, Outcome::Failed { level: 0 });
    assert_eq!((settled_to(&mut it), it.poll_failure().is_some()), (1, false));
}

#[test]
fn each_poison_policy_does_what_it_says() {
    let run = |policy| {
        let mut it = dispatch(policy);
        it.deliver(batch(0, 1, 0..2, &[0, 1]));
        let taken = take_all(&mut it).len();
        let failures = core::iter::from_fn(|| it.poll_failure()).filter(|failure| failure.poison.is_some()).count();
        let events = core::iter::from_fn(|| it.poll_event()).count();
        (taken, failures, events, settled_to(&mut it), it.outstanding())
    };
    assert_eq!(run(PoisonPolicy::Deliver), (2, 0, 2, 0, 2));
    assert_eq!(run(PoisonPolicy::SendBack), (0, 2, 2, 0, 2));
    assert_eq!(run(PoisonPolicy::Skip), (0, 0, 2, 2, 0));
    assert_eq!(run(PoisonPolicy::Stop), (0, 0, 1, 0, 0));
}

#[test]
fn a_stopped_queue_stops_alone() {
    let mut it = dispatch(PoisonPolicy::Deliver);
    it.deliver(batch(0, 1, 0..3, &[0, 1, 2]));
    let first = it.take(NOW).unwrap();
    it.stop_queue(&first);
    it.deliver(batch(0, 1, 3..4, &[3]));
    it.deliver(batch(1, 2, 0..1, &[7]));
    assert_eq!(take_all(&mut it).iter().map(offset).collect::<Vec<_>>(), [7]);
}

#[test]
fn after_a_revoke_everything_of_the_queue_is_released() {
    let mut it = dispatch(PoisonPolicy::Deliver);
    it.deliver(batch(0, 1, 0..3, &[0, 1, 2]));
    let taken = take_all(&mut it);
    it.settle(&taken[0], Outcome::Done);
    it.settle(&taken[1], Outcome::Failed { level: 0 });
    let last = it.revoke(Epoch(1)).unwrap();
    assert_eq!((last.settled_to.get(), last.outstanding), (1, 2));
    assert!(it.poll_failure().is_none() && it.poll_progress().is_none(), "nothing of it is left");
    it.deliver(batch(0, 2, 1..3, &[1, 2]));
    assert_eq!(it.settle(&taken[2], Outcome::Done), Settled::Released, "an earlier assignment of the same slot");
    assert!(!it.redeliver(&taken[2]));
    assert_eq!(settled_to(&mut it), 1);
    let mut other = dispatch(PoisonPolicy::SendBack);
    assert!(other.poisoned(taken[2].clone(), cause()).is_none());
    assert!(other.poll_failure().is_none() && other.poll_event().is_none(), "nothing is sent for it");
    assert!(it.revoke(Epoch(1)).is_none());
}

#[test]
fn the_control_plane_is_told_once_when_little_is_left() {
    let mut it = dispatch(PoisonPolicy::Deliver);
    it.deliver(batch(0, 1, 0..5, &[0, 1, 2, 3, 4]));
    let taken = take_all(&mut it);
    it.take_urgent();
    it.tell_low(Epoch(1), 2, 1_000);
    it.tell_low(Epoch(2), 2, 1_000);
    assert!(!it.take_urgent(), "not yet, and nothing of a queue that is gone");
    let mut woken = taken.iter().map(|taken| {
        it.settle(taken, Outcome::Done);
        it.take_urgent()
    });
    assert_eq!(woken.by_ref().take(4).collect::<Vec<_>>(), [false, false, true, false]);
    drop(woken);
    it.tell_low(Epoch(1), 1, 99);
    assert!(!it.take_urgent(), "few messages, but they pin more bytes");
    it.tell_low(Epoch(1), 1, 100);
    assert!(it.take_urgent(), "it is so already");
    it.settle(&taken[4], Outcome::Done);
    assert!(!it.take_urgent(), "nobody asked");
}

#[test]
fn a_closed_dispatch_hands_out_nothing_and_takes_settlements() {
    let mut it = dispatch(PoisonPolicy::Deliver);
    it.deliver(batch(0, 1, 0..3, &[0, 1, 2]));
    let taken = it.take(NOW).unwrap();
    it.close();
    assert!(it.take_urgent() && !it.has_ready() && !it.is_open());
    assert!(it.take(NOW).is_none());
    assert_eq!(it.deliver(batch(0, 1, 3..4, &[3])), 0, "wakes nobody");
    assert_eq!(it.settle(&taken, Outcome::Done), Settled::Applied);
    assert!(it.take_urgent(), "the drain may be over");
    assert_eq!((settled_to(&mut it), it.outstanding()), (1, 0));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Deliver { queue: i32, gap: u64, messages: u64 },
    Take,
    Settle(usize),
    Fail(usize),
    Redeliver(usize),
    Revoke(i32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..3, 0..3_u64, 0..4_u64).prop_map(|(queue, gap, messages)| Step::Deliver { queue, gap, messages }),
        6 => Just(Step::Take),
        5 => any::<usize>().prop_map(Step::Settle),
        1 => any::<usize>().prop_map(Step::Fail),
        2 => any::<usize>().prop_map(Step::Redeliver),
        1 => (0..3).prop_map(Step::Revoke),
    ]
}

/// One queue as it should be, kept naively.
#[derive(Default)]
struct Model {
    epoch: u64,
    next: u64,
    open: BTreeSet<u64>,
    waiting: BTreeSet<u64>,
    bytes: u64,
}

proptest! {
    #[test]
    fn the_offset_never_passes_what_is_open(steps in prop::collection::vec(step(), 0..150)) {
        let mut it = dispatch(PoisonPolicy::Deliver);
        let mut models: BTreeMap<i32, Model> = BTreeMap::new();
        let mut epochs = 0;
        let (mut out, mut failed): (Vec<Taken>, Vec<Taken>) = Default::default();
        for step in steps {
            match step {
                Step::Deliver { queue, gap, messages } => {
                    let model = models.entry(queue).or_insert_with(|| {
                        epochs += 1;
                        Model { epoch: epochs, ..Model::default() }
                    });
                    let from = model.next;
                    let offsets: Vec<_> = (from + gap..from + gap + messages).collect();
                    model.next = from + gap + messages + 1;
                    model.open.extend(&offsets);
                    model.waiting.extend(&offsets);
                    model.bytes += if messages > 0 { 100 } else { 0 };
                    it.deliver(batch(queue, model.epoch, from..model.next, &offsets));
                }
                Step::Take => match it.take(NOW) {
                    Some(taken) => {
                        let model = models.get_mut(&taken.batch.queue.id).unwrap();
                        prop_assert!(model.waiting.remove(&offset(&taken)), "handed out twice, or never delivered");
                        let first_waiting = model.waiting.first().is_none_or(|first| *first > offset(&taken));
                        prop_assert!(first_waiting || taken.local_retries > 0, "out of order");
                        out.push(taken);
                    }
                    None => prop_assert!(models.values().all(|model| model.waiting.is_empty()), "something is ready"),
                },
                Step::Settle(at) if !out.is_empty() => {
                    let taken = out.swap_remove(at % out.len());
                    let model = models.get_mut(&taken.batch.queue.id).filter(|model| model.epoch == taken.batch.epoch.0);
                    let expected = if model.is_some() { Settled::Applied } else { Settled::Released };
                    prop_assert_eq!(it.settle(&taken, Outcome::Done), expected);
                    if let Some(model) = model {
                        model.open.remove(&offset(&taken));
                    }
                }
                Step::Fail(at) if !out.is_empty() => {
                    let taken = out.swap_remove(at % out.len());
                    it.settle(&taken, Outcome::Failed { level: 0 });
                    failed.push(taken);
                }
                Step::Redeliver(at) if !failed.is_empty() => {
                    let taken = failed.swap_remove(at % failed.len());
                    let model = models.get_mut(&taken.batch.queue.id).filter(|model| model.epoch == taken.batch.epoch.0);
                    prop_assert_eq!(it.redeliver(&taken), model.is_some());
                    if let Some(model) = model {
                        model.waiting.insert(offset(&taken));
                    }
                }
                Step::Revoke(id) => {
                    if let Some(model) = models.remove(&id) {
                        let last = it.revoke(Epoch(model.epoch)).unwrap();
                        prop_assert_eq!(last.settled_to.get(), model.open.first().copied().unwrap_or(model.next));
                    }
                }
                Step::Settle(_) | Step::Fail(_) | Step::Redeliver(_) => {}
            }
            while let Some(progress) = it.poll_progress() {
                let model = &models[&progress.queue.id];
                prop_assert_eq!(progress.epoch.0, model.epoch);
                prop_assert_eq!(progress.settled_to.get(), model.open.first().copied().unwrap_or(model.next));
                if model.open.is_empty() {
                    prop_assert_eq!(progress.released_bytes, model.bytes, "nothing stays pinned");
                }
            }
            let held = |taken: &&Taken| {
                models.get(&taken.batch.queue.id).is_some_and(|model| model.epoch == taken.batch.epoch.0)
            };
            let outstanding = out.iter().chain(&failed).filter(held).count();
            prop_assert_eq!(it.outstanding(), outstanding as u64);
        }
    }
}
