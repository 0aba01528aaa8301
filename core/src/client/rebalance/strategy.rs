//! How the queues of a topic are shared out: pure functions every member computes alike.

use alloc::vec::Vec;

use crate::config::Strategy;
use crate::ids::{ClientId, MessageQueue};

/// The queues of `me`, given all queues and all members, both sorted; none when `me` is no member.
#[must_use]
pub fn allocate(strategy: Strategy, me: &ClientId, queues: &[MessageQueue], members: &[ClientId]) -> Vec<MessageQueue> {
    let Some(index) = members.iter().position(|member| member == me) else {
        return Vec::new();
    };
    match strategy {
        Strategy::Averagely => averagely(index, queues, members.len()),
        Strategy::AveragelyByCircle => queues.iter().skip(index).step_by(members.len().max(1)).cloned().collect(),
    }
}

/// Neighbouring queues; the first `queues % members` members get one more. Source: Java
/// `AllocateMessageQueueAveragely`.
fn averagely(index: usize, queues: &[MessageQueue], members: usize) -> Vec<MessageQueue> {
    let each = queues.len().checked_div(members).unwrap_or(0);
    let more = queues.len().checked_rem(members).unwrap_or(0);
    let start = each.saturating_mul(index).saturating_add(index.min(more));
    let count = each.saturating_add(usize::from(index < more));
    queues.iter().skip(start).take(count).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Strategy;
    use alloc::format;
    use alloc::string::String;
    use proptest::prelude::*;

    fn table(strategy: Strategy, brokers: &[(&str, i32)], members: usize) -> String {
        let queue = |broker: &str, id| MessageQueue { topic: "TopicTest".into(), broker: broker.into(), id };
        let queues: Vec<_> = brokers.iter().flat_map(|(broker, n)| (0..*n).map(|id| queue(broker, id))).collect();
        let ids: Vec<_> = (0..members).map(|i| ClientId::from(format!("c{i}"))).collect();
        let row = |me: &ClientId| {
            let own = allocate(strategy, me, &queues, &ids);
            own.iter().map(|q| format!("{}{}", q.broker, q.id)).collect::<Vec<_>>().join(" ")
        };
        ids.iter().map(row).collect::<Vec<_>>().join(" / ")
    }

    #[test]
    fn averagely_equals_java() {
        let table = |brokers: &[_], members| table(Strategy::Averagely, brokers, members);
        assert_eq!(table(&[("a", 8)], 3), "a0 a1 a2 / a3 a4 a5 / a6 a7");
        assert_eq!(table(&[("a", 4), ("b", 4)], 3), "a0 a1 a2 / a3 b0 b1 / b2 b3");
        assert_eq!(table(&[("a", 8)], 5), "a0 a1 / a2 a3 / a4 a5 / a6 / a7");
        assert_eq!(table(&[("a", 2)], 3), "a0 / a1 / ");
    }

    #[test]
    fn by_circle_equals_java() {
        let table = |brokers: &[_], members| table(Strategy::AveragelyByCircle, brokers, members);
        assert_eq!(table(&[("a", 8)], 3), "a0 a3 a6 / a1 a4 a7 / a2 a5");
        assert_eq!(table(&[("a", 4), ("b", 4)], 3), "a0 a3 b2 / a1 b0 b3 / a2 b1");
        assert_eq!(table(&[("a", 8)], 5), "a0 a5 / a1 a6 / a2 a7 / a3 / a4");
    }

    #[test]
    fn a_stranger_gets_nothing() {
        let queue = MessageQueue { topic: "t".into(), broker: "b".into(), id: 0 };
        assert_eq!(allocate(Strategy::Averagely, &"x".into(), &[queue], &["c".into()]), []);
    }

    proptest! {
        #[test]
        fn members_partition_the_queues(count in 0..40_i32, members in 1..20_usize, circle in any::<bool>()) {
            let strategy = if circle { Strategy::AveragelyByCircle } else { Strategy::Averagely };
            let queues: Vec<_> =
                (0..count).map(|id| MessageQueue { topic: "t".into(), broker: "b".into(), id }).collect();
            let ids: Vec<_> = (0..members).map(|i| ClientId::from(format!("c{i:02}"))).collect();
            let mut all: Vec<_> = ids.iter().flat_map(|me| allocate(strategy, me, &queues, &ids)).collect();
            all.sort();
            prop_assert_eq!(all, queues);
        }
    }
}
