//! Allocations and hashes that Java computed.

use rocketmq_core::client::rebalance::strategy::allocate;
use rocketmq_core::config::Strategy;
use rocketmq_core::ids::{ClientId, MessageQueue};
use rocketmq_core::time::UnixMillis;
use rocketmq_core::wire::java::java_hash;
use rocketmq_core::wire::subscription::SubscriptionData;
use rocketmq_testkit::real::RealError;
use rocketmq_testkit::real::golden;

#[test]
fn every_member_gets_the_queues_java_gives_it() -> Result<(), RealError> {
    let mut checked = 0;
    for golden in golden::allocations()? {
        let strategy = match golden.strategy.as_str() {
            "AVG" => Strategy::Averagely,
            "AVG_BY_CIRCLE" => Strategy::AveragelyByCircle,
            _ => continue,
        };
        let queue = |text: &String| {
            let (broker, id) = text.split_once(':').expect("broker:id");
            let id = id.parse().expect("a number");
            MessageQueue { topic: golden.topic.as_str().into(), broker: broker.into(), id }
        };
        let queues: Vec<_> = golden.queues.iter().map(queue).collect();
        let members: Vec<_> = golden.members.keys().map(ClientId::from).collect();
        assert!(queues.is_sorted() && members.is_sorted(), "{}", golden.name);
        for (member, expected) in &golden.members {
            let own = allocate(strategy, &ClientId::from(member), &queues, &members);
            let expected: Vec<_> = expected.iter().map(queue).collect();
            assert_eq!(own, expected, "{} {member}", golden.name);
            checked += 1;
        }
    }
    assert!(checked >= 150, "{checked}");
    Ok(())
}

#[test]
fn hashes_and_tag_codes_are_those_of_java() -> Result<(), RealError> {
    let hashes = golden::hashes()?;
    assert!(hashes.len() >= 15);
    for hash in hashes {
        assert_eq!(java_hash(&hash.text), hash.hash, "{}", hash.text);
        let expression = format!("{} || other", hash.text);
        let data = SubscriptionData::tags("T".into(), &expression, UnixMillis(0)).expect("an expression");
        assert!(data.code_set.contains(&hash.hash) || hash.text.is_empty(), "{}", hash.text);
    }
    Ok(())
}
