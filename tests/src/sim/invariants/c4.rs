//! C4: a member does not commit less than before, nor start before what was committed, unless the offset was moved.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rocketmq_core::time::Instant;

use super::Broken;
use crate::sim::Fault;
use crate::sim::history::{History, Queue, What};

/// What was committed for a queue of a group.
#[derive(Default)]
struct Line {
    /// Values with their times.
    values: Vec<(Instant, i64)>,
    host: Option<usize>,
    /// The last one in the order in which they were written.
    last: Option<i64>,
    /// When that was written.
    written: Instant,
    /// When a member began last: what was written before, over a link that it gave up since, may still come.
    began: Instant,
    /// Something allows the next value to be smaller.
    excused: bool,
    /// When members were told to go on elsewhere, since their offset is outside the queue or an operator moved it; what they
    /// commit then may arrive much later.
    told: Vec<Instant>,
}

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut lines: BTreeMap<(Arc<str>, Queue), Line> = BTreeMap::new();
    let mut window = if history.setup.slaves { LONG } else { WINDOW };
    for row in &history.rows {
        match &row.what {
            What::Fault(Fault::Pause | Fault::Zombie) => window = LONG,
            What::Committed { host, written, group, queue, offset } => {
                let line = lines.entry((group.clone(), queue.clone())).or_default();
                let late = (line.host == Some(*host) && *written < line.written) || *written < line.began;
                if late {
                    line.values.push((row.at, *offset));
                    continue;
                }
                let told = line.told.iter().any(|at| (line.written..=*written).contains(at));
                line.written = *written;
                let last = line.last.replace(*offset);
                let back = last.is_some_and(|last| *offset < last);
                if back && !line.excused && !told && line.host == Some(*host) {
                    let text = format!("{group} committed {offset} after {last:?} of {queue:?}");
                    return Err(Broken::new(row.at, text));
                }
                line.values.push((row.at, *offset));
                line.excused &= !back;
                line.host = Some(*host);
            }
            What::Moved { group, queue, offset } => {
                let line = lines.entry((group.clone(), queue.clone())).or_default();
                line.values.push((row.at, *offset));
                line.last = Some(*offset);
                line.excused = true;
                line.told.push(row.at);
            }
            What::Illegal { group, queue, next, bounds } => {
                if *next != bounds.0 && *next != bounds.1 {
                    let text = format!("{group} goes on at {next} of {queue:?}, which has {bounds:?}");
                    return Err(Broken::new(row.at, text));
                }
                let line = lines.entry((group.clone(), queue.clone())).or_default();
                line.excused = true;
                line.told.push(row.at);
            }
            What::Lost { broker, .. } => {
                let of_broker = lines.iter_mut().filter(|((_, queue), _)| queue.broker == *broker);
                of_broker.for_each(|(_, line)| line.excused = true);
            }
            What::Start { group, queue, offset, .. } => {
                let line = lines.entry((group.clone(), queue.clone())).or_default();
                let since = row.at.before(window);
                // Without a value at that time, it may have been told that there is none.
                let first = line.values.iter().rposition(|(at, _)| *at <= since).unwrap_or(line.values.len());
                let least = line.values[first..].iter().map(|(_, value)| *value).min();
                if !line.excused && least.is_some_and(|least| *offset < least) {
                    let text = format!("{group} starts {queue:?} at {offset}, committed was {least:?}");
                    return Err(Broken::new(row.at, text));
                }
                // It may go on from what it was told before a later commit of another member.
                line.host = None;
                line.began = row.at;
            }
            _ => {}
        }
    }
    Ok(())
}

/// How old an answer can be that a member starts from.
const WINDOW: Duration = Duration::from_secs(60);
/// The same in a process that stood still between the answer and its use, and of a slave that has no master.
const LONG: Duration = Duration::from_secs(500);

#[cfg(test)]
mod tests {
    use super::super::synthetic::*;
    use super::*;

    #[test]
    fn forward_only() {
        let rows = vec![(1, start(0)), (2, committed(1)), (3, committed(1)), (4, committed(5)), (70_000, start(5))];
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn back_or_started_from_the_beginning() {
        assert!(check(&history(vec![(2, committed(5)), (3, committed(4))])).is_err());
        assert!(check(&history(vec![(2, committed(5)), (70_000, start(0))])).is_err());
    }

    #[test]
    fn started_where_a_slave_without_a_master_says() {
        let mut history = history(vec![(1, committed(1)), (2, committed(5)), (400_000, start(1))]);
        assert!(check(&history).is_err());
        history.setup.slaves = true;
        assert_eq!(check(&history), Ok(()));
    }

    #[test]
    fn an_older_one_that_arrives_late() {
        let at = |millis: u64, offset: i64| {
            let written = Instant::from_millis(millis);
            What::Committed { host: 9, written, group: "g0".into(), queue: queue(0), offset }
        };
        assert_eq!(check(&history(vec![(20, at(19, 5)), (21, at(10, 4)), (22, at(21, 5))])), Ok(()));
        assert!(check(&history(vec![(20, at(19, 5)), (21, at(20, 4))])).is_err());
    }

    #[test]
    fn what_was_written_before_the_start_over_a_link_that_is_given_up() {
        let at = |millis: u64, offset: i64| {
            let written = Instant::from_millis(millis);
            What::Committed { host: 9, written, group: "g0".into(), queue: queue(0), offset }
        };
        let rows = |first, second| vec![(30, start(7)), (40, at(first, 17)), (41, at(second, 7))];
        assert_eq!(check(&history(rows(20, 41))), Ok(()));
        assert!(check(&history(rows(35, 41))).is_err(), "it is of this start");
    }

    #[test]
    fn started_from_an_old_answer_after_a_pause() {
        let rows = vec![
            (1, committed(1)),
            (100_000, What::Fault(Fault::Zombie)),
            (150_000, committed(5)),
            (400_000, start(1)),
        ];
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn told_to_go_on_at_an_end_of_the_queue() {
        let illegal = |next| What::Illegal { group: "g0".into(), queue: queue(0), next, bounds: (3, 9) };
        assert_eq!(check(&history(vec![(1, illegal(3)), (2, illegal(9))])), Ok(()));
        assert!(check(&history(vec![(1, illegal(0))])).is_err());
    }

    #[test]
    fn what_waited_on_a_stuck_link_since_before_the_move() {
        let at = |millis: u64, host, offset: i64| {
            let written = Instant::from_millis(millis);
            What::Committed { host, written, group: "g0".into(), queue: queue(0), offset }
        };
        let illegal = What::Illegal { group: "g0".into(), queue: queue(0), next: 9, bounds: (3, 9) };
        let rows =
            |second| vec![(15, illegal.clone()), (20, at(20, 1, 12)), (30, at(10, 2, 11)), (30, at(second, 2, 9))];
        assert_eq!(check(&history(rows(16))), Ok(()));
        assert!(check(&history(rows(14))).is_err(), "it was not told yet");
    }

    #[test]
    fn what_waited_since_before_an_operator_moved_the_group() {
        let at = |millis: u64, offset: i64| {
            let written = Instant::from_millis(millis);
            What::Committed { host: 1, written, group: "g0".into(), queue: queue(0), offset }
        };
        let moved = What::Moved { group: "g0".into(), queue: queue(0), offset: 0 };
        let rows = |second| vec![(15, moved.clone()), (20, at(10, 1)), (20, at(second, 0))];
        assert_eq!(check(&history(rows(16))), Ok(()));
        let again = [(30, at(30, 1)), (31, at(31, 0))];
        assert!(check(&history(rows(16).into_iter().chain(again).collect())).is_err());
    }

    #[test]
    fn back_after_a_move_or_by_another_member() {
        let moved = What::Moved { group: "g0".into(), queue: queue(0), offset: 1 };
        assert_eq!(check(&history(vec![(2, committed(5)), (3, moved), (4, start(1)), (5, committed(2))])), Ok(()));
        let other = What::Committed { host: 9, written: Instant::FAR, group: "g0".into(), queue: queue(0), offset: 4 };
        assert_eq!(check(&history(vec![(2, committed(5)), (3, other)])), Ok(()));
    }
}
