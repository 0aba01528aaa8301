//! C1: every stored, wanted message that survives is consumed, handed back, or a dead letter, when all is drained;
//! each time it comes back it counts one more, and it is dead only when it came as often as it may.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Broken;
use super::ledger::Ledger;
use crate::sim::history::{History, Queue, Setup, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut ledger = Ledger::new(&history.setup);
    let mut counts = Counts::default();
    for row in &history.rows {
        ledger.row(&row.what);
        counts.row(&row.what, &history.setup).map_err(|text| Broken::new(row.at, text))?;
        if !matches!(row.what, What::Drained) {
            continue;
        }
        if let Some(((group, queue), offset, id)) = ledger.left() {
            let text = format!("{group} never handled message {id:?} at {queue:?} {offset}");
            return Err(Broken::new(row.at, text));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Counts {
    /// How often each message of each group is known to have come back.
    came: BTreeMap<(Arc<str>, u64), BTreeSet<i32>>,
    places: BTreeMap<(Queue, i64), u64>,
    /// Messages that a member could not read. In order that is their end: it would not come back in its place.
    unreadable: BTreeSet<(Arc<str>, u64)>,
}

impl Counts {
    fn row(&mut self, what: &What, setup: &Setup) -> Result<(), String> {
        match what {
            What::Delivered { group, id: Some(id), reconsume, .. } => {
                self.came.entry((group.clone(), *id)).or_default().insert(*reconsume);
            }
            What::Unreadable { group, queue, offset } if setup.is_orderly(group) => {
                let id = self.places.get(&(queue.clone(), *offset));
                self.unreadable.extend(id.map(|id| (group.clone(), *id)));
            }
            What::Stored(copy) => {
                let (Some(id), times) = (copy.id, copy.reconsume) else { return Ok(()) };
                self.places.insert((copy.queue.clone(), copy.offset), id);
                let waits = copy.real_topic.as_deref().filter(|_| copy.is_waiting());
                let goal = waits.unwrap_or(&copy.queue.topic);
                let (retry, dead) = (goal.strip_prefix("%RETRY%"), goal.strip_prefix("%DLQ%"));
                let Some(group) = retry.or(dead) else { return Ok(()) };
                let known = self.came.entry((group.into(), id)).or_default();
                let before = |times: i32| times == 0 || known.contains(&times);
                if retry.is_some() {
                    if times < 1 || !before(times - 1) {
                        return Err(format!("message {id} comes back to {group} as number {times} after {known:?}"));
                    }
                    known.insert(times);
                    return Ok(());
                }
                let most = setup.groups.iter().find(|known| &*known.name == group).map(|known| known.max_reconsume);
                // To a broker of version 4.9 the last time of a message that is republished is one too many.
                let readable = !self.unreadable.contains(&(group.into(), id));
                let enough = |most: i32| before(most) || (setup.old_brokers && before(most - 1));
                if let Some(most) = most.filter(|most| readable && !enough(*most)) {
                    return Err(format!("message {id} is dead for {group} after {known:?} of {most} times"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;
    use crate::sim::history::Settled;

    #[test]
    fn consumed_or_handed_back() {
        let rows = vec![
            (1, stored(1, 0)),
            (1, stored(2, 1)),
            (2, delivered(1, 1, 0)),
            (3, settled(1, Settled::Ack)),
            (4, What::SentBack { group: "g0".into(), broker: 0, physical: 100 }),
            (9, What::Drained),
        ];
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn never_delivered_or_only_failed() {
        assert!(check(&history(vec![(1, stored(1, 0)), (9, What::Drained)])).is_err());
        let rows =
            vec![(1, stored(1, 0)), (2, delivered(1, 1, 0)), (3, settled(1, Settled::Retry)), (9, What::Drained)];
        assert!(check(&history(rows)).is_err());
    }

    fn back(topic: &str, reconsume: i32) -> What {
        let mut copy = copy(1, 0);
        copy.queue.topic = topic.into();
        copy.reconsume = reconsume;
        What::Stored(copy)
    }

    #[test]
    fn each_time_counts_and_enough_of_them_are_the_end() {
        let rows = vec![(1, back("%RETRY%g0", 1)), (2, back("%RETRY%g0", 2)), (3, back("%DLQ%g0", 3))];
        assert_eq!(check(&history(rows)), Ok(()));
        assert!(check(&history(vec![(1, back("%RETRY%g0", 0))])).is_err());
        assert!(check(&history(vec![(1, back("%RETRY%g0", 2))])).is_err());
        assert!(check(&history(vec![(1, back("%RETRY%g0", 1)), (3, back("%DLQ%g0", 2))])).is_err());
    }

    #[test]
    fn in_order_what_cannot_be_read_is_dead_at_once() {
        let unreadable = || What::Unreadable { group: "g0".into(), queue: queue(0), offset: 0 };
        let rows = || vec![(1, stored(1, 0)), (2, unreadable()), (3, back("%DLQ%g0", 1))];
        assert_eq!(check(&orderly(rows())), Ok(()));
        assert!(check(&history(rows())).is_err());
    }

    #[test]
    fn a_broker_of_version_4_9_gives_a_republished_message_up_one_time_earlier() {
        let mut early = history(vec![(1, back("%RETRY%g0", 1)), (3, back("%DLQ%g0", 2))]);
        early.setup.old_brokers = true;
        assert_eq!(check(&early), Ok(()));
        let mut at_once = history(vec![(3, back("%DLQ%g0", 1))]);
        at_once.setup.old_brokers = true;
        assert!(check(&at_once).is_err());
    }

    #[test]
    fn unwanted_lost_and_trimmed_messages_do_not_count() {
        let mut unwanted = copy(1, 0);
        unwanted.tag = "paid".into();
        assert_eq!(check(&history(vec![(1, What::Stored(unwanted)), (9, What::Drained)])), Ok(()));
        let lost = vec![(1, stored(1, 0)), (2, What::Lost { broker: 0, end: 0 }), (9, What::Drained)];
        assert_eq!(check(&history(lost)), Ok(()));
        let trimmed = vec![(1, stored(1, 0)), (2, What::Trimmed { queue: queue(0), min: 1 }), (9, What::Drained)];
        assert_eq!(check(&history(trimmed)), Ok(()));
    }
}
