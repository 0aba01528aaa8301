//! C6: within one assignment no wanted message between the start and the last one handed out is skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Broken;
use crate::sim::history::{History, Queue, What};

/// The tag and the number of what is stored.
type Known = (Arc<str>, Option<u64>);

type Owned = (u32, Arc<str>, Queue);

#[derive(Default)]
struct Run {
    start: i64,
    got: BTreeSet<i64>,
}

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let handed_back = handed_back(history);
    let mut stored: BTreeMap<Queue, BTreeMap<i64, Known>> = BTreeMap::new();
    let mut runs: BTreeMap<Owned, Run> = BTreeMap::new();
    let over = |run: Run, (member, group, queue): &Owned, stored: &BTreeMap<Queue, BTreeMap<i64, Known>>| {
        let last = *run.got.last()?;
        let setup = history.setup.groups.iter().find(|setup| setup.name == *group)?;
        let retry = queue.topic.starts_with('%');
        let wanted = stored.get(queue)?.range(run.start..last).filter(|(_, (tag, id))| retry || setup.wants(tag, *id));
        let missed =
            |offset: &i64| !run.got.contains(offset) && !handed_back.contains(&(group.clone(), queue.clone(), *offset));
        let offset = wanted.map(|(offset, _)| *offset).find(missed)?;
        Some(format!("member {member} of {group} skipped {queue:?} {offset} on the way to {last}"))
    };
    for row in &history.rows {
        let mut ended: Vec<Owned> = Vec::new();
        match &row.what {
            What::Stored(copy) => {
                stored.entry(copy.queue.clone()).or_default().insert(copy.offset, (copy.tag.clone(), copy.id));
            }
            What::Trimmed { queue, min } => {
                let Some(known) = stored.get_mut(queue) else { continue };
                *known = known.split_off(min);
            }
            What::Lost { broker, .. } => runs.retain(|(_, _, queue), _| queue.broker != *broker),
            What::Illegal { group, queue, .. } | What::Moved { group, queue, .. } => {
                runs.retain(|(_, of, known), _| (of, known) != (group, queue));
            }
            What::Start { member, group, queue, offset } => {
                let run = Run { start: *offset, got: BTreeSet::new() };
                runs.insert((*member, group.clone(), queue.clone()), run);
            }
            What::Delivered { member, group, queue, offset, .. } => {
                if let Some(run) = runs.get_mut(&(*member, group.clone(), queue.clone())) {
                    run.got.insert(*offset);
                }
            }
            What::Assigned { member, group, revoked, .. } => {
                ended.extend(revoked.iter().map(|queue| (*member, group.clone(), queue.clone())));
            }
            What::Drained => ended.extend(runs.keys().cloned()),
            _ => {}
        }
        for key in ended {
            let Some(run) = runs.remove(&key) else { continue };
            if let Some(text) = over(run, &key, &stored) {
                return Err(Broken::new(row.at, text));
            }
        }
    }
    Ok(())
}

/// Records that could not be read or were handed back, whenever that was.
fn handed_back(history: &History) -> BTreeSet<(Arc<str>, Queue, i64)> {
    let mut places = BTreeMap::new();
    let mut handed_back = BTreeSet::new();
    for row in &history.rows {
        match &row.what {
            What::Stored(copy) => {
                places.insert((copy.queue.broker, copy.physical), (copy.queue.clone(), copy.offset));
            }
            What::Unreadable { group, queue, offset } => {
                handed_back.insert((group.clone(), queue.clone(), *offset));
            }
            What::SentBack { group, broker, physical } => {
                if let Some((queue, offset)) = places.get(&(*broker, *physical)) {
                    handed_back.insert((group.clone(), queue.clone(), *offset));
                }
            }
            _ => {}
        }
    }
    handed_back
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    fn three() -> Vec<(u64, What)> {
        vec![(1, stored(1, 0)), (1, stored(2, 1)), (1, stored(3, 2)), (2, start(0))]
    }

    #[test]
    fn one_after_the_other() {
        let mut rows = three();
        rows.extend([(3, delivered(1, 1, 0)), (4, delivered(2, 2, 1)), (5, delivered(3, 3, 2)), (9, What::Drained)]);
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn one_is_skipped() {
        let mut rows = three();
        rows.extend([(3, delivered(1, 1, 0)), (5, delivered(3, 3, 2)), (9, assigned(0, &[], &[0]))]);
        assert!(check(&history(rows)).is_err());
    }

    #[test]
    fn one_is_handed_back_unread_or_trimmed_or_before_the_start() {
        let back = What::SentBack { group: "g0".into(), broker: 0, physical: 100 };
        let mut rows = three();
        rows.extend([(3, delivered(1, 1, 0)), (5, delivered(3, 3, 2)), (6, back), (9, What::Drained)]);
        assert_eq!(check(&history(rows)), Ok(()));
        let mut rows = three();
        let trimmed = What::Trimmed { queue: queue(0), min: 2 };
        rows.extend([(3, trimmed), (5, delivered(3, 3, 2)), (9, What::Drained)]);
        assert_eq!(check(&history(rows)), Ok(()));
        let mut rows = three();
        rows.extend([(3, start(2)), (5, delivered(3, 3, 2)), (9, What::Drained)]);
        assert_eq!(check(&history(rows)), Ok(()));
    }
}
