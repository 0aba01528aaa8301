//! S3: nothing is pulled by SQL from a broker that has not accepted the expression.

use std::collections::BTreeSet;

use super::Broken;
use crate::sim::history::{History, What};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let mut accepted = BTreeSet::new();
    for row in &history.rows {
        match &row.what {
            What::FilterAccepted { host, broker, group, topic, version } => {
                accepted.insert((*host, *broker, group.clone(), topic.clone(), *version));
            }
            What::SqlPull { host, broker, group, topic, version }
                if !accepted.contains(&(*host, *broker, group.clone(), topic.clone(), *version)) =>
            {
                let text =
                    format!("host {host} pulls {topic} for {group} from broker {broker}, unasked whether it can");
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

    fn accepted(version: i64) -> What {
        What::FilterAccepted { host: 5, broker: 0, group: "g0".into(), topic: "t0".into(), version }
    }

    fn pull(broker: usize, version: i64) -> What {
        What::SqlPull { host: 5, broker, group: "g0".into(), topic: "t0".into(), version }
    }

    #[test]
    fn accepted_before() {
        assert_eq!(check(&history(vec![(1, accepted(7)), (2, pull(0, 7)), (3, pull(0, 7))])), Ok(()));
    }

    #[test]
    fn not_accepted_elsewhere_or_another() {
        assert!(check(&history(vec![(2, pull(0, 7))])).is_err());
        assert!(check(&history(vec![(1, accepted(7)), (2, pull(1, 7))])).is_err());
        assert!(check(&history(vec![(1, accepted(7)), (2, pull(0, 8))])).is_err());
        assert!(check(&history(vec![(1, pull(0, 7)), (2, accepted(7))])).is_err());
    }
}
