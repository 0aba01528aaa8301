//! What it costs one member to compute its share of 10,000 queues among 1,000 members.
//!
//! `cargo bench -p rocketmq-testkit --bench allocate`
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use rocketmq_core::client::rebalance::strategy::allocate;
use rocketmq_core::config::{MachineRoomResolver, Strategy};
use rocketmq_core::ids::{ClientId, MessageQueue};

const BROKERS: i32 = 10;
const QUEUES: i32 = 1_000;
const MEMBERS: i32 = 1_000;
const ROUNDS: usize = 20;

/// Members and brokers are in two rooms, by their last digit.
struct Rooms;

fn room_of(name: &str) -> Option<String> {
    name.bytes().last().map(|last| format!("room{}", last % 2))
}

impl MachineRoomResolver for Rooms {
    fn broker_deploy_in(&self, queue: &MessageQueue) -> Option<String> {
        room_of(queue.broker.as_str())
    }

    fn consumer_deploy_in(&self, member: &ClientId) -> Option<String> {
        room_of(member.as_str())
    }
}

fn main() {
    let brokers = (0..BROKERS).map(|broker| format!("broker-{broker}"));
    let queue = |broker: &String, id| MessageQueue { topic: "orders".into(), broker: broker.as_str().into(), id };
    let queues: Vec<_> = brokers.flat_map(|broker| (0..QUEUES).map(move |id| queue(&broker, id))).collect();
    let mut members: Vec<_> =
        (0..MEMBERS).map(|n| ClientId::from(format!("10.0.{}.{}@7f3a#{n}", n / 250, n % 250))).collect();
    members.sort();
    let me = members[members.len() / 2].clone();
    let strategies = [
        ("averagely", Strategy::Averagely),
        ("averagely by circle", Strategy::AveragelyByCircle),
        ("consistent hash", Strategy::consistent_hash()),
        ("machine room", Strategy::machine_room(["room0"])),
        ("machine room nearby, averagely", Strategy::machine_room_nearby(Strategy::Averagely, Rooms)),
        ("machine room nearby, consistent hash", Strategy::machine_room_nearby(Strategy::consistent_hash(), Rooms)),
    ];
    for (name, strategy) in strategies {
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|_| {
                let began = Instant::now();
                black_box(
                    allocate(&strategy, black_box(&me), black_box(&queues), black_box(&members)).expect("a share"),
                );
                began.elapsed()
            })
            .collect();
        times.sort();
        println!("{name:40} median {:>10.3?}  worst {:>10.3?}", times[ROUNDS / 2], times[ROUNDS - 1]);
    }
}
