//! F1: a queue of which as much is in hand as is allowed, by itself or as its share of its topic, is not pulled, so that
//! no more than one answer comes on top.

use super::Broken;
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

    #[test]
    fn pulled_over_a_link_that_is_given_up() {
        let ended =
            |link| What::Ended { host: 5, link, by_client: true, idle: std::time::Duration::ZERO, pulls: Vec::new() };
        let rows = |link| [begun(), vec![(2, pull(2, 0)), (3, ended(link)), (4, pull(2, 4))]].concat();
        assert_eq!(check(&history(rows(2))), Ok(()));
        assert!(check(&history(rows(1))).is_err());
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
