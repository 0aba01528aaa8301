//! C2: what is delivered is stored, is wanted, and is as it was sent.

use std::collections::BTreeSet;

use super::Broken;
use rocketmq_core::wire::java::java_hash;

use crate::sim::history::{GroupSetup, History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut stored = BTreeSet::new();
    for row in &history.rows {
        match &row.what {
            What::Stored(copy) => {
                stored.insert((copy.queue.clone(), copy.offset, copy.id));
            }
            What::Delivered { group, queue, offset, id, intact, tag, .. } => {
                let broken =
                    |how: &str| Err(Broken::new(row.at, format!("{group} got {id:?}, {how}: {queue:?} {offset}")));
                if !stored.contains(&(queue.clone(), *offset, *id)) {
                    return broken("which is not stored there");
                }
                if !intact {
                    return broken("which is not as it was sent");
                }
                // A record that cannot be read is handed back whatever its tag, and comes again by the retry topic; the
                // broker keeps those from it that do not even have the hash of a wanted tag.
                let handed_back = queue.topic.starts_with('%');
                let wants = |setup: &GroupSetup| {
                    let alike = |wanted: &&str| java_hash(wanted) == java_hash(tag);
                    setup.name == *group && (setup.may_want(tag, *id) || (handed_back && setup.tags.iter().any(alike)))
                };
                if !history.setup.groups.iter().any(wants) {
                    return broken("which it does not want");
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

    #[test]
    fn stored_and_wanted() {
        assert_eq!(check(&history(vec![(1, stored(1, 0)), (2, delivered(1, 1, 0))])), Ok(()));
    }

    #[test]
    fn not_stored_changed_or_unwanted() {
        assert!(check(&history(vec![(2, delivered(1, 1, 0))])).is_err());
        assert!(check(&history(vec![(1, stored(1, 1)), (2, delivered(1, 1, 0))])).is_err());
        let mut changed = delivered(1, 1, 0);
        if let What::Delivered { intact, .. } = &mut changed {
            *intact = false;
        }
        assert!(check(&history(vec![(1, stored(1, 0)), (2, changed)])).is_err());
        let mut unwanted = delivered(1, 1, 0);
        if let What::Delivered { tag, .. } = &mut unwanted {
            *tag = "paid".into();
        }
        assert!(check(&history(vec![(1, stored(1, 0)), (2, unwanted)])).is_err());
    }

    #[test]
    fn a_message_may_be_lost_after_it_was_pulled() {
        let rows = vec![(1, stored(1, 0)), (2, What::Lost { broker: 0, end: 0 }), (3, delivered(1, 1, 0))];
        assert_eq!(check(&history(rows)), Ok(()));
    }
}
