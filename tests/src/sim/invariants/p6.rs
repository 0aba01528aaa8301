//! P6: a weak status is told as such: neither folded into a plain success nor into an error.

use std::collections::BTreeMap;

use super::Broken;
use crate::sim::history::{History, Outcome, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    // Answers by message: how many frames arrived, how many of them were answered weakly.
    let mut messages: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
    for row in &history.rows {
        match &row.what {
            What::Wire { id, .. } => messages.entry(*id).or_default().0 += 1,
            What::Weak { id } => messages.entry(*id).or_default().1 += 1,
            What::Resolved { id, outcome } => {
                let (frames, weak) = messages.get(id).copied().unwrap_or_default();
                match outcome {
                    Outcome::Stored { plain: true, .. } if frames > 0 && weak >= frames => {
                        return Err(Broken::new(row.at, format!("message {id} is weakly stored and called safe")));
                    }
                    Outcome::Stored { plain: false, .. } if weak == 0 => {
                        return Err(Broken::new(row.at, format!("message {id} is safe and called weakly stored")));
                    }
                    _ => {}
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

    fn weakly(offset: i64) -> Outcome {
        Outcome::Stored { plain: false, queue: queue(0), offset }
    }

    #[test]
    fn weak_and_told() {
        let rows = vec![(1, wire(7)), (2, What::Weak { id: 7 }), (3, resolved(7, weakly(0)))];
        assert_eq!(check(&history(rows)), Ok(()));
    }

    #[test]
    fn weak_and_called_safe_or_safe_and_called_weak() {
        let rows = vec![(1, wire(7)), (2, What::Weak { id: 7 }), (3, resolved(7, ok(0)))];
        assert!(check(&history(rows)).is_err());
        assert!(check(&history(vec![(1, wire(7)), (3, resolved(7, weakly(0)))])).is_err());
    }

    #[test]
    fn weak_at_first_and_safe_the_second_time() {
        let rows = vec![(1, wire(7)), (2, What::Weak { id: 7 }), (2, wire(7)), (3, resolved(7, ok(1)))];
        assert_eq!(check(&history(rows)), Ok(()));
    }
}
