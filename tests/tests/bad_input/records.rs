//! Records that cannot be read, among others that can, under each policy.

use std::time::Duration;

use futures_lite::FutureExt;
use rocketmq_core::client::ClientEvent;
use rocketmq_core::dispatch::{DispatchEvent, PoisonCause};
use rocketmq_core::wire::compress::InflateError;
use rocketmq_core::wire::message::{PoisonReason, SysFlags};
use rocketmq_smol::{ClientBuilder, EventStream, PoisonPolicy, PushConsumer, StartFrom};

use crate::hostile::{SharedLog, broker, client_of, name_server, record};

/// What a consumer saw of one pull.
pub(crate) struct Seen {
    /// Body, or why there is none, by offset.
    pub(crate) delivered: Vec<(u64, Result<Vec<u8>, PoisonCause>)>,
    /// Poison, by offset.
    pub(crate) events: Vec<(u64, PoisonCause)>,
    pub(crate) sent_back: Vec<i64>,
    pub(crate) committed: Option<u64>,
}

impl Seen {
    fn offsets(&self) -> Vec<u64> {
        self.delivered.iter().map(|(offset, _)| *offset).collect()
    }
}

/// Consumes a queue of these records, acknowledges all, stops.
pub(crate) fn consume(records: Vec<Vec<u8>>, policy: PoisonPolicy) -> Seen {
    let (broker, log) = broker();
    let names = name_server(vec![("T", vec![("b", broker.address)])]);
    {
        let mut log = log.lock().unwrap();
        log.end = records.len() as u64;
        log.pulled = records.concat();
    }
    let client = client_of(&names, ClientBuilder::new());
    let mut events = client.events();
    let delivered = smol::block_on(async {
        let consumer = client.push_consumer("G").subscribe("T", "*").start_from(StartFrom::First);
        let consumer = consumer.on_poison(policy).start().await.expect("a broker that behaves");
        let delivered = take(&consumer, &log).await;
        consumer.shutdown().await;
        delivered
    });
    let log = log.lock().unwrap();
    let committed = log.committed.get("T").copied();
    Seen { delivered, events: poison(&mut events), sent_back: log.sent_back.clone(), committed }
}

/// Takes what comes until the last offset has, or nothing more does.
async fn take(consumer: &PushConsumer, log: &SharedLog) -> Vec<(u64, Result<Vec<u8>, PoisonCause>)> {
    let mut delivered = Vec::new();
    let last = log.lock().unwrap().end - 1;
    loop {
        let quiet = async {
            smol::Timer::after(Duration::from_millis(1_500)).await;
            None
        };
        let Some(delivery) = consumer.next().or(quiet).await else { return delivered };
        let offset = delivery.message().queue_offset().get();
        let content = match delivery.poison() {
            Some(cause) => Err(cause.clone()),
            None => Ok(delivery.message().body().to_vec()),
        };
        delivered.push((offset, content));
        delivery.ack();
        if offset == last {
            return delivered;
        }
    }
}

fn poison(events: &mut EventStream) -> Vec<(u64, PoisonCause)> {
    std::iter::from_fn(|| events.try_next())
        .filter_map(|event| match event {
            ClientEvent::Poison { event: DispatchEvent::Poison { offset, reason, .. }, .. } => {
                Some((offset.get(), reason))
            }
            _ => None,
        })
        .collect()
}

/// Five records of which the third is `bad`.
fn around(bad: Vec<u8>) -> Vec<Vec<u8>> {
    let good = |offset: u64| record(offset, format!("body {offset}").as_bytes(), SysFlags(0));
    vec![good(0), good(1), bad, good(3), good(4)]
}

/// The ways in which the third record is bad, and what each is called.
fn bad() -> [(Vec<u8>, PoisonCause); 4] {
    let good = record(2, b"body 2", SysFlags(0));
    let mut flipped = good.clone();
    let body = flipped.windows(6).position(|window| window == b"body 2").unwrap();
    flipped[body] ^= 1;
    let stored = rocketmq_core::wire::message::crc_of(b"body 2");
    let computed = rocketmq_core::wire::message::crc_of(b"cody 2");
    let mut magic = good.clone();
    magic[4] = 0;
    let mut overrun = good;
    overrun[84] = 0x7F;
    let garbage = record(2, b"no zlib stream", SysFlags(SysFlags::COMPRESSED));
    let zlib = rocketmq_core::wire::compress::CompressionKind::Zlib;
    [
        (flipped, PoisonCause::Record(PoisonReason::Crc { stored, computed })),
        (magic, PoisonCause::Record(PoisonReason::Magic(0x00A3_20A7))),
        (overrun, PoisonCause::Record(PoisonReason::Field("body"))),
        (garbage, PoisonCause::Inflate(InflateError::Corrupt(zlib))),
    ]
}

fn bodies_are_right(seen: &Seen) {
    for (offset, content) in seen.delivered.iter().filter(|(offset, _)| *offset != 2) {
        assert_eq!(content.as_deref(), Ok(format!("body {offset}").as_bytes()));
    }
}

#[test]
fn poison_is_handed_back_to_the_broker() {
    for (bad, cause) in bad() {
        let seen = consume(around(bad), PoisonPolicy::SendBack);
        assert_eq!(seen.offsets(), [0, 1, 3, 4], "{cause:?}");
        bodies_are_right(&seen);
        assert_eq!(seen.events, [(2, cause)]);
        assert_eq!(seen.sent_back, [2_000], "by its physical offset");
        assert_eq!(seen.committed, Some(5));
    }
}

#[test]
fn poison_is_passed_over() {
    for (bad, cause) in bad() {
        let seen = consume(around(bad), PoisonPolicy::Skip);
        assert_eq!(seen.offsets(), [0, 1, 3, 4], "{cause:?}");
        bodies_are_right(&seen);
        assert_eq!(seen.events, [(2, cause)]);
        assert_eq!((seen.sent_back.as_slice(), seen.committed), (&[][..], Some(5)));
    }
}

#[test]
fn poison_is_delivered_as_it_is() {
    for (bad, cause) in bad() {
        let seen = consume(around(bad), PoisonPolicy::Deliver);
        assert_eq!(seen.offsets(), [0, 1, 2, 3, 4], "{cause:?}");
        bodies_are_right(&seen);
        assert_eq!(seen.delivered[2].1, Err(cause.clone()));
        assert_eq!(seen.events, [(2, cause)]);
        assert_eq!((seen.sent_back.as_slice(), seen.committed), (&[][..], Some(5)));
    }
}

#[test]
fn poison_stops_its_queue() {
    for (bad, cause) in bad() {
        let seen = consume(around(bad), PoisonPolicy::Stop);
        assert_eq!(seen.offsets(), [0, 1], "{cause:?}");
        bodies_are_right(&seen);
        assert_eq!(seen.events, [(2, cause)]);
        assert_eq!((seen.sent_back.as_slice(), seen.committed), (&[][..], Some(2)), "it comes again after a restart");
    }
}

#[test]
fn a_length_that_hides_the_rest_is_pulled_again_from_there() {
    // The broker of this test gives records for offset 0 only: what comes before the bad length is all there is.
    let mut hidden = record(2, b"body 2", SysFlags(0));
    hidden[..4].copy_from_slice(&i32::MAX.to_be_bytes());
    let seen = consume(around(hidden), PoisonPolicy::SendBack);
    assert_eq!(seen.offsets(), [0, 1]);
    bodies_are_right(&seen);
    assert_eq!((seen.events.len(), seen.committed), (0, Some(2)), "nothing is passed over");
}
