//! P9: a delayed message is not to be seen before its time, and not at all once a broker took it back.

use std::collections::{BTreeMap, BTreeSet};

use super::Broken;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut least = BTreeMap::new();
    let mut recalled = BTreeSet::new();
    // How often a broker keeps each: an attempt that went unanswered may be due in another second.
    let mut kept: BTreeMap<_, u32> = BTreeMap::new();
    for row in &history.rows {
        match &row.what {
            What::Delayed { id, least: at } => drop(least.insert(*id, *at)),
            What::Recalled { id, broker } => drop(recalled.insert((*id, *broker))),
            What::Stored(copy) if copy.is_waiting() => {
                *kept.entry((copy.id, copy.queue.broker)).or_default() += 1;
            }
            What::Stored(copy) if copy.is_due() || copy.real_topic.is_none() => {
                let Some(id) = copy.id else { continue };
                if least.get(&id).is_some_and(|least| row.at < *least) {
                    return Err(Broken::new(row.at, format!("message {id} is to be seen before its time")));
                }
                let once = kept.get(&(copy.id, copy.queue.broker)).is_none_or(|times| *times == 1);
                if once && recalled.contains(&(id, copy.queue.broker)) && !copy.queue.topic.starts_with('%') {
                    return Err(Broken::new(row.at, format!("message {id} was taken back, and is to be seen")));
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
    use crate::sim::history::{Copy, Queue};
    use rocketmq_core::time::Instant;

    fn delayed() -> What {
        What::Delayed { id: 7, least: Instant::from_millis(1_000) }
    }

    fn waiting() -> What {
        let queue = Queue { broker: 0, topic: "rmq_sys_wheel_timer".into(), id: 0 };
        What::Stored(Copy { queue, real_topic: Some("t0".into()), ..copy(7, 0) })
    }

    fn due() -> What {
        What::Stored(Copy { real_topic: Some("t0".into()), ..copy(7, 0) })
    }

    #[test]
    fn at_its_time_or_never() {
        assert_eq!(check(&history(vec![(0, delayed()), (1, waiting()), (1_000, due())])), Ok(()));
        let recalled = What::Recalled { id: 7, broker: 0 };
        assert_eq!(check(&history(vec![(0, delayed()), (1, waiting()), (2, recalled)])), Ok(()));
    }

    #[test]
    fn too_early_or_although_it_was_taken_back() {
        assert!(check(&history(vec![(0, delayed()), (1, waiting()), (999, due())])).is_err());
        assert!(check(&history(vec![(0, delayed()), (1, stored(7, 0))])).is_err(), "not delayed at all");
        let recalled = What::Recalled { id: 7, broker: 0 };
        assert!(check(&history(vec![(0, delayed()), (1, waiting()), (2, recalled), (1_000, due())])).is_err());
    }

    #[test]
    fn an_earlier_attempt_may_be_due_at_another_time() {
        let recalled = What::Recalled { id: 7, broker: 0 };
        let rows = vec![(0, delayed()), (1, waiting()), (2, waiting()), (3, recalled), (1_000, due())];
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn what_another_broker_has_of_an_earlier_attempt_is_not_taken_back() {
        let recalled = What::Recalled { id: 7, broker: 1 };
        assert_eq!(check(&history(vec![(0, delayed()), (1, waiting()), (2, recalled), (1_000, due())])), Ok(()));
    }
}
