//! S1: once a topic is given up nothing of its queues is handed out.

use std::collections::BTreeSet;

use super::Broken;
use crate::sim::history::{Change, History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut without = BTreeSet::new();
    for row in &history.rows {
        match &row.what {
            What::Subscribed { member, filter: None, held: true, .. } => {
                without.insert(*member);
            }
            What::Subscribing { member, filter: Some(_), .. }
            | What::Member { member, change: Change::Left | Change::Crashed, .. } => {
                without.remove(member);
            }
            What::Delivered { member, group, queue, offset, .. }
                if without.contains(member) && !queue.topic.starts_with('%') =>
            {
                let text = format!("member {member} of {group} got {queue:?} {offset}, which it had given up");
                return Err(Broken::new(row.at, text));
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
    fn nothing_comes_while_nothing_is_wanted() {
        let rows = vec![
            (1, delivered(1, 1, 0)),
            (2, subscribing(None)),
            (3, delivered(2, 2, 1)),
            (4, subscribed(None, true)),
            (5, subscribing(Some(0))),
            (6, delivered(3, 3, 2)),
        ];
        assert_eq!(check(&history(rows)), Ok(()), "until it has returned, and once something is wanted again");
    }

    #[test]
    fn something_comes_all_the_same() {
        let rows = vec![(1, subscribing(None)), (2, subscribed(None, true)), (3, delivered(2, 2, 1))];
        assert!(check(&history(rows)).is_err());
    }

    #[test]
    fn retries_come_and_what_was_not_given_up() {
        let mut retry = delivered(1, 1, 0);
        if let What::Delivered { queue, .. } = &mut retry {
            queue.topic = "%RETRY%g0".into();
        }
        assert_eq!(check(&history(vec![(1, subscribed(None, true)), (2, retry)])), Ok(()));
        assert_eq!(check(&history(vec![(1, subscribed(None, false)), (2, delivered(1, 1, 0))])), Ok(()));
    }
}
