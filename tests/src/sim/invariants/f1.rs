//! F1: a queue of which as much is in hand as is allowed, by itself or as its share of its topic, is not pulled, so that
//! no more than one answer comes on top.

use super::Broken;
<<<<<<< HEAD
use crate::sim::history::{History, Queue, What};

/// The tag and the number of what is stored.
type Known = (Arc<str>, Option<u64>);

struct Run {
    start: i64,
    /// Settled, or unreadable and given to the policy.
    done: BTreeSet<i64>,
}

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut members = BTreeMap::new();
    let mut newest: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    let mut stored: BTreeMap<Queue, BTreeMap<i64, Known>> = BTreeMap::new();
    let mut runs: BTreeMap<(u32, Arc<str>, Queue), Run> = BTreeMap::new();
    let mut deliveries = BTreeMap::new();
    for row in &history.rows {
        match &row.what {
            What::Joined { host, member } => drop(members.insert(*host, *member)),
            What::Stored(copy) => {
                stored.entry(copy.queue.clone()).or_default().insert(copy.offset, (copy.tag.clone(), copy.id));
            }
            What::Trimmed { queue, min } => {
                let Some(known) = stored.get_mut(queue) else { continue };
                *known = known.split_off(min);
            }
            What::Lost { broker, .. } => runs.retain(|(_, _, queue), _| queue.broker != *broker),
            What::Moved { queue, .. } | What::Illegal { queue, .. } => runs.retain(|(_, _, known), _| known != queue),
            What::Assigned { member, group, revoked, .. } => {
                revoked.iter().for_each(|queue| drop(runs.remove(&(*member, group.clone(), queue.clone()))));
            }
            What::Start { member, group, queue, offset } => {
                let run = Run { start: *offset, done: BTreeSet::new() };
                runs.insert((*member, group.clone(), queue.clone()), run);
            }
            What::Delivered { delivery, member, group, queue, offset, .. } => {
                deliveries.insert(*delivery, ((*member, group.clone(), queue.clone()), *offset));
            }
            What::Settled { delivery, .. } => {
                let Some((key, offset)) = deliveries.remove(delivery) else { continue };
                if let Some(run) = runs.get_mut(&key) {
                    run.done.insert(offset);
                }
            }
            What::Unreadable { group, queue, offset } => {
                for (_, run) in runs.iter_mut().filter(|((_, of, known), _)| (of, known) == (group, queue)) {
                    run.done.insert(*offset);
                }
            }
            What::Pull { host, link, group, queue, offset } => {
                // What comes over an older link may be of an earlier assignment.
                let newest = newest.entry((*host, queue.broker)).or_default();
                *newest = (*newest).max(*link);
                if link < newest {
                    continue;
                }
                let Some(member) = members.get(host) else { continue };
                let Some(run) = runs.get(&(*member, group.clone(), queue.clone())) else { continue };
                let Some(setup) = history.setup.groups.iter().find(|setup| setup.name == *group) else { continue };
                let Some(known) = stored.get(queue) else { continue };
                let retry = queue.topic.starts_with('%');
                let cached = known
                    .range(run.start.min(*offset)..*offset)
                    .filter(|(at, (tag, id))| (retry || setup.wants(tag, *id)) && !run.done.contains(at));
                let cached = cached.count();
                if cached > usize::try_from(setup.queue_messages).unwrap_or(usize::MAX) {
                    let text = format!("member {member} of {group} pulls {queue:?} at {offset} with {cached} in hand");
                    return Err(Broken::new(row.at, text));
                }
            }
            _ => {}
=======
use super::hands::{Hands, Pull};
use crate::sim::history::History;

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut hands = Hands::new(history);
    for row in &history.rows {
        let Some(Pull { owned, setup, queues, messages, .. }) = hands.row(&row.what) else { continue };
        let room = match setup.topic_messages {
            Some(topic) => topic.checked_div(u32::try_from(queues).unwrap_or(1)).unwrap_or(topic).max(1),
            None => setup.queue_messages,
        };
        if messages > usize::try_from(room).unwrap_or(usize::MAX) {
            let (member, group, queue) = owned;
            let text = format!("member {member} of {group} pulls {queue:?} with {messages} of {room} in hand");
            return Err(Broken::new(row.at, text));
>>>>>>> main
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;
    use crate::sim::history::{Settled, What};

    fn begun() -> Vec<(u64, What)> {
        let mut rows = vec![(1, What::Joined { host: 5, member: 0 }), (1, start(0))];
        rows.extend((0..4).map(|at| (1, stored(at, i64::try_from(at).unwrap()))));
        rows
    }

    fn pull(link: u64, offset: i64) -> What {
        pulled(5, link, 0, offset)
    }

    #[test]
    fn pulled_when_enough_is_settled() {
        let mut rows = begun();
        rows.extend([(2, pull(1, 0)), (3, delivered(1, 0, 0)), (4, settled(1, Settled::Ack)), (5, pull(1, 3))]);
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn pulled_with_too_much_in_hand() {
        let mut rows = begun();
        rows.extend([(2, pull(1, 0)), (3, pull(1, 3))]);
        assert!(check(&history(rows)).is_err());
    }

    #[test]
    fn pulled_at_the_threshold_or_of_an_earlier_link() {
        let mut rows = begun();
        rows.extend([(2, pull(1, 0)), (3, pull(1, 2))]);
        assert_eq!(check(&history(rows)), Ok(()));
        let mut rows = begun();
        rows.extend([(2, pull(2, 0)), (3, pull(1, 4))]);
        assert_eq!(check(&history(rows)), Ok(()));
    }

    /// A member of a topic that may have 4 messages in hand, with one queue and then with so many.
    fn shared(more: &[i32], rows: Vec<(u64, What)>) -> History {
        let mut all = vec![(0, assigned(0, &[0], &[])), (0, assigned(0, more, &[]))];
        all.extend(begun());
        all.extend(rows);
        let mut history = history(all);
        history.setup.groups[0].topic_messages = Some(4);
        history
    }

    #[test]
    fn each_queue_has_its_share_of_a_topic() {
        let rows = |offset| vec![(2, pull(1, 0)), (3, pull(1, offset))];
        assert_eq!(check(&shared(&[1], rows(2))), Ok(()));
        assert!(check(&shared(&[1], rows(3))).is_err());
        assert_eq!(check(&shared(&[], rows(4))), Ok(()), "all of it when there is one");
        assert_eq!(check(&shared(&[1, 2, 3, 4], rows(1))), Ok(()), "one at least");
        assert!(check(&shared(&[1, 2, 3, 4], rows(2))).is_err());
    }

    #[test]
    fn a_share_that_changes_counts_as_the_larger_one() {
        let rows = |change: What| vec![(2, pull(1, 0)), (3, change), (4, pull(1, 3))];
        assert_eq!(check(&shared(&[], rows(assigned(0, &[1], &[])))), Ok(()), "it may have been pulled before");
        assert_eq!(check(&shared(&[1], rows(assigned(0, &[], &[1])))), Ok(()));
        let later = rows(assigned(0, &[1], &[])).into_iter().chain([(5, pull(1, 4))]).collect();
        assert!(check(&shared(&[], later)).is_err());
    }

    #[test]
    fn what_a_broker_took_back_is_not_in_hand() {
        let back = |physical| What::SentBack { group: "g0".into(), broker: 0, physical };
        let rows = |physical| [begun(), vec![(2, pull(1, 0)), (3, back(physical)), (4, pull(1, 3))]].concat();
        assert_eq!(check(&history(rows(100))), Ok(()));
        assert!(check(&history(rows(300))).is_err(), "that was not pulled");
    }
}
