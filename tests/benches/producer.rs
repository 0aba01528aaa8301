//! What a message costs before it is sent: batches, compression, the queue of a key.
//!
//! `cargo bench -p rocketmq-testkit --bench producer`
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement")]
#![allow(clippy::arithmetic_side_effects, reason = "a measurement")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use rocketmq_core::config::{ClientConfig, ProducerConfig};
use rocketmq_core::message::Message;
use rocketmq_core::send::{Parcel, index_of};
use rocketmq_core::time::UnixMillis;
use rocketmq_core::wire::compress::{CompressionKind, deflate, inflate};
use rocketmq_core::wire::java::java_hash;
use rocketmq_core::wire::message::UniqueKeys;

const ROUNDS: usize = 50;
const MESSAGES: usize = 150;

fn main() {
    let (client, producer) = (ClientConfig::new(Vec::new(), "c".into()), ProducerConfig::new("p".into()));
    let keys = UniqueKeys::new([10, 0, 0, 1].into(), 1, 2);
    let message = || Message::new("orders", vec![b'x'; 128]).with_tag("new").with_key("42");
    let messages: Vec<_> = (0..MESSAGES).map(|_| message()).collect();
    measure("one message of 128 bytes", MESSAGES, || {
        for message in &messages {
            black_box(Parcel::new(&client, &producer, black_box(message), &keys, UnixMillis(5)).expect("legal"));
        }
    });
    measure("one of a batch of 150", MESSAGES, || {
        black_box(Parcel::batch(&client, &producer, black_box(&messages), &keys, UnixMillis(5)).expect("legal"));
    });
    let text = "a body of words that come again and again, as in any text; ".repeat(200);
    for kind in [CompressionKind::Zlib, CompressionKind::Lz4, CompressionKind::Zstd] {
        let small = deflate(kind, 5, text.as_bytes()).expect("this build writes it");
        measure(&format!("{kind:?}: 12 KiB to {} bytes", small.len()), 1, || {
            black_box(deflate(kind, 5, black_box(text.as_bytes())));
        });
        measure(&format!("{kind:?}: and back"), 1, || {
            black_box(inflate(kind, black_box(&small), text.len()).expect("what was written"));
        });
    }
    measure("the queue of a key of 20 bytes", MESSAGES, || {
        for _ in 0..MESSAGES {
            black_box(index_of(java_hash(black_box("order-20261129-00042")), black_box(16)));
        }
    });
}

/// Prints what one of `count` takes.
fn measure(name: &str, count: usize, mut work: impl FnMut()) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed()
        })
        .collect();
    times.sort();
    let of = |time: Duration| time.as_nanos() as f64 / count as f64 / 1_000.0;
    println!("{name:34} median {:>9.3} µs  worst {:>9.3} µs", of(times[ROUNDS / 2]), of(times[ROUNDS - 1]));
}
