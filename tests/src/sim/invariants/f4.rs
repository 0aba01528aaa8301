//! F4: when the consumers of a client have more bytes in hand than they may, only queues that have nothing are pulled.

use super::Broken;
use super::hands::{Hands, Pull};
use crate::sim::history::History;

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let Some(most) = history.setup.cache_bytes else { return Ok(()) };
    let mut hands = Hands::new(history);
    for row in &history.rows {
        let Some(Pull { owned, messages, bytes, .. }) = hands.row(&row.what) else { continue };
        if messages > 0 && bytes > most {
            let (member, group, queue) = owned;
            let text = format!("member {member} of {group} pulls {queue:?} with {bytes} of {most} bytes in hand");
            return Err(Broken::new(row.at, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;
    use crate::sim::history::{Copy, Queue, Settled, What};

    /// A member of queues 0 and 1, each with four messages of 100 bytes; 400 bytes may be in hand.
    fn rows(more: Vec<(u64, What)>) -> History {
        let mut rows = vec![(1, What::Joined { host: 5, member: 0 }), (1, assigned(0, &[0, 1], &[]))];
        for id in [0, 1] {
            rows.push((1, What::Start { member: 0, group: "g0".into(), queue: queue(id), offset: 0 }));
            let in_queue =
                |at: u64| Copy { queue: Queue { id, ..queue(0) }, ..copy(at, i64::try_from(at).unwrap_or(0)) };
            rows.extend((0..4).map(|at| (1, What::Stored(in_queue(at)))));
        }
        rows.extend(more);
        let mut history = history(rows);
        history.setup.cache_bytes = Some(400);
        history
    }

    fn pull(id: i32, offset: i64, written: u64) -> What {
        let mut pull = pulled(5, 1, id, offset);
        if let What::Pull { written: at, .. } = &mut pull {
            *at = rocketmq_core::time::Instant::from_millis(written);
        }
        pull
    }

    #[test]
    fn up_to_what_is_allowed() {
        let more = vec![(2, pull(1, 0, 2)), (3, pull(1, 2, 3)), (4, pull(0, 0, 4)), (5, pull(0, 2, 5))];
        assert_eq!(check(&rows(more)), Ok(()));
    }

    #[test]
    fn beyond_what_is_allowed() {
        let more = vec![(2, pull(1, 0, 2)), (3, pull(1, 2, 3)), (4, pull(0, 0, 4)), (5, pull(0, 3, 5))];
        assert!(check(&rows(more)).is_err());
    }

    #[test]
    fn a_queue_that_has_nothing_and_one_that_was_decided_on_before() {
        let full = || vec![(2, pull(1, 0, 2)), (2, pull(0, 0, 2)), (3, pull(1, 4, 3)), (3, delivered(1, 0, 0))];
        let settled = full().into_iter().chain([(4, settled(1, Settled::Ack)), (5, pull(0, 1, 5))]).collect();
        assert_eq!(check(&rows(settled)), Ok(()), "it has nothing in hand");
        let before = full().into_iter().chain([(5, pull(0, 1, 5))]).collect();
        assert_eq!(check(&rows(before)), Ok(()), "the other may have come after it was decided");
        let more = vec![(2, pull(1, 0, 2)), (3, pull(1, 4, 3)), (4, pull(0, 0, 4)), (5, pull(0, 1, 5))];
        assert!(check(&rows(more)).is_err());
    }
}
