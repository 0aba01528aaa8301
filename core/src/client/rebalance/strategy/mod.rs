//! How the queues of a topic are shared out: pure functions every member computes alike.

#[cfg(feature = "consistent-hash")]
mod hash;
mod room;

use alloc::vec::Vec;

use crate::config::Strategy;
use crate::ids::{ClientId, MessageQueue};

/// The queues of `me`, given all queues and all members, both in Java's order. Equal to what Java's strategy of the
/// same name returns; with no queues or no members there is nothing to share out.
///
/// # Errors
/// The strategy cannot tell: nobody's share may change.
pub fn allocate(
    strategy: &Strategy,
    me: &ClientId,
    queues: &[MessageQueue],
    members: &[ClientId],
) -> Result<Vec<MessageQueue>, AllocateError> {
    let index = members.iter().position(|member| member == me);
    let own = match (strategy, index) {
        (Strategy::Config(listed), _) => listed.to_vec(),
        (Strategy::Own(own), _) => own.allocate(me, queues, members),
        (_, None) => Vec::new(),
        (Strategy::Averagely, Some(index)) => averagely(index, queues, members.len()),
        (Strategy::AveragelyByCircle, Some(index)) => {
            queues.iter().skip(index).step_by(members.len().max(1)).cloned().collect()
        }
        #[cfg(feature = "consistent-hash")]
        (Strategy::ConsistentHash { virtual_nodes }, Some(_)) => {
            hash::consistent_hash(*virtual_nodes, me, queues, members)
        }
        (Strategy::MachineRoom(rooms), Some(index)) => room::machine_room(rooms, index, queues, members.len()),
        (Strategy::MachineRoomNearby { inner, resolver }, Some(_)) => {
            room::nearby(inner, &**resolver, me, queues, members)?
        }
    };
    Ok(own)
}

/// A strategy that cannot tell who gets what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocateError {
    /// No room is known for the broker of a queue.
    #[error("no machine room is known for queue {0}")]
    RoomOfQueue(MessageQueue),
    /// No room is known for a member.
    #[error("no machine room is known for member {0}")]
    RoomOfMember(ClientId),
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
    use crate::config::{MachineRoomResolver, Strategy};
    use alloc::format;
    use alloc::string::String;
    use proptest::prelude::*;

    /// Members are in the room of their first character, brokers in that of theirs; `?` is in none.
    struct Initials;

    impl MachineRoomResolver for Initials {
        fn broker_deploy_in(&self, queue: &MessageQueue) -> Option<String> {
            initial(queue.broker.as_str())
        }

        fn consumer_deploy_in(&self, member: &ClientId) -> Option<String> {
            initial(member.as_str())
        }
    }

    fn initial(name: &str) -> Option<String> {
        name.chars().next().filter(|first| *first != '?').map(String::from)
    }

    fn queues(brokers: &[(&str, i32)]) -> Vec<MessageQueue> {
        let queue = |broker: &str, id| MessageQueue { topic: "TopicTest".into(), broker: broker.into(), id };
        brokers.iter().flat_map(|(broker, n)| (0..*n).map(|id| queue(broker, id))).collect()
    }

    fn names(queues: &[MessageQueue]) -> String {
        queues.iter().map(|q| format!("{}{}", q.broker, q.id)).collect::<Vec<_>>().join(" ")
    }

    fn table(strategy: &Strategy, brokers: &[(&str, i32)], members: &[&str]) -> String {
        let (queues, ids): (_, Vec<_>) = (queues(brokers), members.iter().map(|id| ClientId::from(*id)).collect());
        let row = |me: &ClientId| match allocate(strategy, me, &queues, &ids) {
            Ok(own) => names(&own),
            Err(error) => format!("{error}"),
        };
        ids.iter().map(row).collect::<Vec<_>>().join(" / ")
    }

    const FIVE: [&str; 5] = ["c0", "c1", "c2", "c3", "c4"];

    #[test]
    fn averagely_equals_java() {
        let table = |brokers: &[_], members| table(&Strategy::Averagely, brokers, &FIVE[..members]);
        assert_eq!(table(&[("a", 8)], 3), "a0 a1 a2 / a3 a4 a5 / a6 a7");
        assert_eq!(table(&[("a", 4), ("b", 4)], 3), "a0 a1 a2 / a3 b0 b1 / b2 b3");
        assert_eq!(table(&[("a", 8)], 5), "a0 a1 / a2 a3 / a4 a5 / a6 / a7");
        assert_eq!(table(&[("a", 2)], 3), "a0 / a1 / ");
    }

    #[test]
    fn by_circle_equals_java() {
        let table = |brokers: &[_], members| table(&Strategy::AveragelyByCircle, brokers, &FIVE[..members]);
        assert_eq!(table(&[("a", 8)], 3), "a0 a3 a6 / a1 a4 a7 / a2 a5");
        assert_eq!(table(&[("a", 4), ("b", 4)], 3), "a0 a3 b2 / a1 b0 b3 / a2 b1");
        assert_eq!(table(&[("a", 8)], 5), "a0 a5 / a1 a6 / a2 a7 / a3 / a4");
    }

    #[test]
    fn rooms_get_the_brokers_that_name_them() {
        let brokers = [("x@a", 3), ("x@a@b", 9), ("x@b@", 2), ("y@a", 1), ("z@a", 9), ("x", 9)];
        let strategy = Strategy::machine_room(["x", "y"]);
        assert_eq!(table(&strategy, &brokers, &FIVE[..2]), "x@a0 x@a1 x@a2 / x@b@0 x@b@1 y@a0");
        assert_eq!(table(&strategy, &brokers, &FIVE[..4]), "x@a0 x@b@1 / x@a1 y@a0 / x@a2 / x@b@0");
    }

    #[test]
    fn rooms_keep_their_queues_and_share_those_of_empty_rooms() {
        let strategy = Strategy::machine_room_nearby(Strategy::Averagely, Initials);
        let table = |brokers: &[_], members: &[_]| table(&strategy, brokers, members);
        assert_eq!(table(&[("a", 3), ("b", 2)], &["a1", "a2", "b1"]), "a0 a1 / a2 / b0 b1");
        assert_eq!(table(&[("a", 2), ("c", 3)], &["a1", "b1"]), "a0 a1 c0 c1 / c2");
        assert_eq!(table(&[("?", 1)], &["a1"]), "no machine room is known for queue TopicTest@?#0");
        assert_eq!(table(&[("a", 1)], &["a1", "?"]).split(" / ").next(), Some("no machine room is known for member ?"));
    }

    #[test]
    fn a_fixed_list_and_the_users_own_are_taken_as_they_are() {
        let fixed = Strategy::config(queues(&[("z", 2)]));
        assert_eq!(table(&fixed, &[("a", 2)], &["c"]), "z0 z1");
        let last = |_: &ClientId, queues: &[MessageQueue], members: &[ClientId]| {
            queues.iter().skip(members.len()).cloned().collect::<Vec<_>>()
        };
        assert_eq!(table(&Strategy::own(last), &[("a", 3)], &["c", "d"]), "a2 / a2");
    }

    #[test]
    fn a_stranger_gets_nothing() {
        let queues = queues(&[("b", 1)]);
        for strategy in [Strategy::Averagely, Strategy::AveragelyByCircle, Strategy::machine_room([""])] {
            assert_eq!(allocate(&strategy, &"x".into(), &queues, &["c".into()]), Ok(Vec::new()));
        }
    }

    fn some() -> impl proptest::strategy::Strategy<Value = Strategy> {
        let nearby = |inner| Strategy::machine_room_nearby(inner, Initials);
        let mut all = alloc::vec![
            Strategy::Averagely,
            Strategy::AveragelyByCircle,
            nearby(Strategy::Averagely),
            nearby(Strategy::AveragelyByCircle),
        ];
        #[cfg(feature = "consistent-hash")]
        all.extend([Strategy::consistent_hash(), nearby(Strategy::consistent_hash())]);
        prop::sample::select(all)
    }

    proptest! {
        #[test]
        fn members_partition_the_queues(
            strategy in some(),
            brokers in prop::collection::btree_map("[a-d]", 0..20_i32, 1..4),
            members in prop::collection::btree_set("[a-f][0-9]{2}", 1..20),
        ) {
            let brokers: Vec<_> = brokers.iter().map(|(name, count)| (name.as_str(), *count)).collect();
            let queues = queues(&brokers);
            let ids: Vec<_> = members.iter().map(ClientId::from).collect();
            let mut all: Vec<_> =
                ids.iter().flat_map(|me| allocate(&strategy, me, &queues, &ids).unwrap()).collect();
            all.sort();
            prop_assert_eq!(all, queues);
        }
    }
}
