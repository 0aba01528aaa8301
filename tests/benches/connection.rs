//! What one request and its response cost a `Connection`, beside the decoding of the response's frame.
//!
//! `cargo bench -p rocketmq-testkit --bench connection`
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use rocketmq_core::config::LinkConfig;
use rocketmq_core::conn::{ConnEvent, Connection, Lane, Outgoing, OutgoingKind};
use rocketmq_core::ids::Opaque;
use rocketmq_core::time::Instant;
use rocketmq_core::wire::Codec;
use rocketmq_core::wire::frame::{self, EncodedFrame};
use rocketmq_core::wire::header::{HeaderLimits, Preamble};

const ROUNDS: usize = 40;
const REQUESTS: usize = 50_000;

fn request(body: usize) -> EncodedFrame {
    let fields = |out: &mut rocketmq_core::wire::ExtWriter<'_>| {
        for (key, value) in [("a", "producer"), ("b", "topic"), ("c", "TBW102"), ("d", "8"), ("e", "3"), ("f", "0")] {
            out.text(key, value);
        }
    };
    Preamble::request(310, Codec::Rocketmq).encode(fields, Bytes::from(vec![b'x'; body]))
}

fn response(opaque: Opaque) -> Bytes {
    let fields = |out: &mut rocketmq_core::wire::ExtWriter<'_>| {
        for (key, value) in [("msgId", "0A0A0A0A00002A9F0000000000000000"), ("queueId", "3"), ("queueOffset", "77")] {
            out.text(key, value);
        }
    };
    Preamble::response(0, Codec::Rocketmq).encode(fields, Bytes::new()).to_bytes(opaque)
}

/// Time spent in the calls of the connection for `REQUESTS` requests, `depth` of them under way at a time.
fn round(body: usize, depth: usize) -> Duration {
    let mut link = Connection::<u64>::new(Arc::new(LinkConfig::default()), Instant::ZERO);
    let mut now = Instant::ZERO;
    let mut spent = Duration::ZERO;
    let mut answers: Vec<u8> = Vec::new();
    let limits = HeaderLimits::default();
    for batch in 0..REQUESTS / depth {
        let frames: Vec<EncodedFrame> = vec![request(body); depth];
        now = now.after(Duration::from_micros(10));
        let began = Clock::now();
        for (at, frame) in frames.into_iter().enumerate() {
            let kind = OutgoingKind::Request {
                token: u64::try_from(batch * depth + at).unwrap(),
                deadline: now.after(Duration::from_secs(3)),
            };
            link.submit(now, Outgoing { frame, lane: Lane::Data, kind }).expect("room");
        }
        spent += began.elapsed();
        answers.clear();
        while link.tx_len() > 0 {
            let began = Clock::now();
            let slices = link.tx_slices();
            spent += began.elapsed();
            let stream = slices.concat();
            let mut rest = &stream[..];
            while let Ok(Some(len)) = frame::frame_len(rest, usize::MAX) {
                let opaque = frame::decode(&rest[..len], &limits).expect("our own").header.opaque;
                answers.extend_from_slice(&response(opaque));
                rest = &rest[len..];
            }
            let began = Clock::now();
            link.tx_advance(now, stream.len());
            spent += began.elapsed();
        }
        let mut rest = &answers[..];
        let began = Clock::now();
        while !rest.is_empty() {
            let space = link.rx_space(rest.len());
            let n = space.len();
            space.copy_from_slice(&rest[..n]);
            link.rx_commit(n);
            link.handle_read(now);
            rest = &rest[n..];
        }
        let mut over = 0;
        while let Some(event) = link.poll_event() {
            over += usize::from(matches!(black_box(event), ConnEvent::Response { result: Ok(_), .. }));
        }
        black_box(link.poll_timeout());
        spent += began.elapsed();
        assert_eq!(over, depth);
    }
    spent
}

/// The same number of frames decoded and nothing else.
fn decode() -> Duration {
    let (bytes, limits) = (response(Opaque(7)), HeaderLimits::default());
    let began = Clock::now();
    for _ in 0..REQUESTS {
        black_box(frame::decode(black_box(&bytes), &limits)).expect("our own");
    }
    began.elapsed()
}

fn best(measure: impl Fn() -> Duration) -> u128 {
    let best = (0..ROUNDS).map(|_| measure()).min().unwrap_or_default();
    best.as_nanos() / u128::try_from(REQUESTS).unwrap()
}

fn main() {
    let decode = best(decode);
    println!("decoding a response: {decode} ns");
    for (body, depth) in [(128, 1), (128, 64), (128, 1_000), (16_384, 64)] {
        let all = best(|| round(body, depth));
        let own = all.saturating_sub(decode);
        println!("{body:>6} B, {depth:>4} under way: {all} ns per request and response, {own} ns without decoding");
    }
}
