//! Allocations, hashes, offset files and signatures that Java computed and wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use rocketmq_core::acl::{Credentials, SharedProvider};
use rocketmq_core::client::rebalance::strategy::allocate;
use rocketmq_core::config::{LinkConfig, MachineRoomResolver, Strategy};
use rocketmq_core::conn::{Connection, Lane, Outgoing, OutgoingKind};
use rocketmq_core::ids::{ClientId, MessageQueue, QueueOffset};
use rocketmq_core::time::{Instant, UnixMillis};
use rocketmq_core::wire::body::OffsetFile;
use rocketmq_core::wire::header::Preamble;
use rocketmq_core::wire::java::{java_hash, java_order, java_queue_order};
use rocketmq_core::wire::subscription::SubscriptionData;
use rocketmq_core::wire::{Codec, ExtWriter};
use rocketmq_testkit::real::RealError;
use rocketmq_testkit::real::golden::{self, GoldenAllocation};

#[test]
fn every_member_gets_the_queues_java_gives_it() -> Result<(), RealError> {
    let (mut queues_of, mut members_of) = (BTreeMap::new(), BTreeMap::new());
    let (mut cases, mut refused) = (0, 0);
    for line in golden::allocations()? {
        match line {
            GoldenAllocation::Queues { name, topic, list } => {
                let queue = |broker: &String, id| queue(&topic, broker, id);
                let all = list.iter().rev().flat_map(|(broker, count)| (0..*count).map(move |id| queue(broker, id)));
                let mut all: Vec<_> = all.collect();
                all.sort_by(java_queue_order);
                queues_of.insert(name, all);
            }
            GoldenAllocation::Members { name, list } => {
                let mut sorted: Vec<_> = list.iter().rev().map(ClientId::from).collect();
                sorted.sort_by(|a, b| java_order(a.as_str(), b.as_str()));
                assert!(sorted.iter().map(ClientId::as_str).eq(list.iter().map(String::as_str)), "{name}: {sorted:?}");
                members_of.insert(name, sorted);
            }
            GoldenAllocation::Share { strategy, queues, members, own } => {
                let (all, ids) = (&queues_of[&queues], &members_of[&members]);
                let stranger = ClientId::from("10.9.9.9@stranger");
                let chosen = strategy_of(&strategy, all);
                assert_eq!(own.len(), ids.len() + 1);
                for (me, expected) in ids.iter().chain([&stranger]).zip(&own) {
                    let got = allocate(&chosen, me, all, ids);
                    refused += usize::from(got.is_err());
                    let got = got.map_or_else(|_| "!".to_owned(), |got| positions(&got, all));
                    assert_eq!(got, *expected, "{strategy} {queues} {members} {me}");
                }
                cases += 1;
            }
        }
    }
    assert!(cases >= 500 && refused >= 50, "{cases} cases, {refused} refused");
    Ok(())
}

#[test]
fn requests_are_signed_as_java_signs_them() -> Result<(), RealError> {
    let golden = golden::signatures()?;
    for it in &golden {
        let credentials = Credentials::new(&it.access_key, &it.secret_key);
        let credentials = it.security_token.iter().fold(credentials, |me, token| me.with_security_token(token));
        let body: Bytes = golden::bytes(&it.body).into();
        let fields = it.fields.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        assert_eq!(credentials.sign(fields.clone(), &body), it.signature, "{}", it.name);
        // As a link sends it, which adds who it is by itself.
        let own = fields.filter(|(key, _)| !["AccessKey", "SecurityToken"].contains(key));
        for codec in [Codec::Json, Codec::Rocketmq] {
            // An empty value is none in the binary codec: nothing to be signed is lost.
            let write = |out: &mut ExtWriter<'_>| own.clone().for_each(|(key, value)| out.text(key, value));
            let frame = Preamble::request(it.code, codec).encode(write, body.clone());
            let provider = SharedProvider::new(Arc::new(credentials.clone()));
            let config = LinkConfig { credentials: Some(provider), ..LinkConfig::default() };
            let mut link = Connection::<u32>::new(Arc::new(config), Instant::ZERO);
            let outgoing = Outgoing { frame, lane: Lane::Data, kind: OutgoingKind::Oneway };
            assert!(link.submit(Instant::ZERO, outgoing).is_ok());
            let sent = super::support::decoded(&written(&mut link), &it.name);
            let seen = super::support::map(&sent.header.ext);
            assert_eq!(seen.get("Signature"), Some(&it.signature), "{} in {codec:?}", it.name);
            let present = |(_, value): &(&String, &String)| codec == Codec::Json || !value.is_empty();
            assert!(it.fields.iter().filter(present).all(|(key, value)| seen.get(key) == Some(value)), "{}", it.name);
            assert_eq!(sent.body, body);
        }
    }
    assert!(golden.len() >= 10, "{}", golden.len());
    Ok(())
}

/// What a link writes.
fn written(link: &mut Connection<u32>) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let slices = link.tx_slices();
        let some: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        if some.is_empty() {
            return all;
        }
        link.tx_advance(Instant::ZERO, some.len());
        all.extend(some);
    }
}

fn strategy_of(name: &str, all: &[MessageQueue]) -> Strategy {
    match name {
        "AVG" => Strategy::Averagely,
        "AVG_BY_CIRCLE" => Strategy::AveragelyByCircle,
        "CONSISTENT_HASH" => Strategy::consistent_hash(),
        "CONSISTENT_HASH_1" => Strategy::ConsistentHash { virtual_nodes: 1 },
        "CONFIG" => Strategy::config([all[all.len() - 1].clone(), all[0].clone(), queue("TopicTest", "ghost", 7)]),
        "MACHINE_ROOM" => Strategy::machine_room(["idc1", "idc2", ""]),
        nearby => {
            let inner = nearby.strip_prefix("MACHINE_ROOM_NEARBY-").expect("a known strategy");
            Strategy::machine_room_nearby(strategy_of(inner, all), Rooms)
        }
    }
}

/// The room is what stands before the first hyphen, and none if that is a question mark.
struct Rooms;

impl MachineRoomResolver for Rooms {
    fn broker_deploy_in(&self, queue: &MessageQueue) -> Option<String> {
        room_of(queue.broker.as_str())
    }

    fn consumer_deploy_in(&self, member: &ClientId) -> Option<String> {
        room_of(member.as_str())
    }
}

fn room_of(name: &str) -> Option<String> {
    name.split('-').next().filter(|room| *room != "?").map(str::to_owned)
}

/// Positions in the list, `0-2,5`; what is not on it is counted on.
fn positions(own: &[MessageQueue], all: &[MessageQueue]) -> String {
    let position = |queue: &MessageQueue| all.iter().position(|known| known == queue).unwrap_or(all.len());
    let positions: Vec<_> = own.iter().map(position).collect();
    let runs = positions.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [one] => one.to_string(),
        run => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    runs.collect::<Vec<_>>().join(",")
}

fn queue(topic: &str, broker: &str, id: i32) -> MessageQueue {
    MessageQueue { topic: topic.into(), broker: broker.into(), id }
}

#[test]
fn offset_files_of_java_are_read() -> Result<(), RealError> {
    let files = golden::offset_files()?;
    assert!(files.len() >= 5);
    let mut queues = BTreeSet::new();
    for file in files {
        let read = OffsetFile::decode(file.text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", file.name));
        let row = |row: &golden::QueueOffsetRow| {
            let offset = QueueOffset::from_wire(row.offset).expect("an offset");
            (queue(&row.topic, &row.broker, row.queue_id), offset)
        };
        assert_eq!(read.0, file.offsets.iter().map(row).collect(), "{}", file.name);
        queues.extend(read.0.into_keys());
    }
    assert!(queues.len() >= 200, "{}", queues.len());
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
