//! What the wire and the broker allow: one thread, one socket, one frame built before and sent again and again.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rocketmq_core::config::AutoBatch;
use rocketmq_core::driver::Client;
use rocketmq_core::ids::Opaque;
use rocketmq_core::wire::Codec;
use rocketmq_core::wire::message::batch::{BatchItem, push};
use rocketmq_core::wire::request::{Request, SendBatch, SendMessage};

use super::Work;

/// How many messages a batch has, for bodies of this size: what a default accumulator puts together.
fn batch_of(size: usize) -> usize {
    (AutoBatch::default().max_bytes / size).max(1)
}

impl Work {
    /// Sends the messages in batches, with as many of them under way as hold what may be in flight; how long that took.
    pub(super) async fn send_bare(&self, client: &Client) -> Duration {
        let admin = client.admin();
        let queue = admin.publish_queues(self.topic.as_str()).await.expect("queues").remove(0);
        let route = admin.topic_route(self.topic.as_str()).await.expect("a route");
        let broker = route.broker_datas.iter().find(|broker| broker.broker_name == queue.broker).expect("its broker");
        let messages = batch_of(self.size);
        let frame = self.batch(messages, queue.id);
        let mut stream = TcpStream::connect(broker.broker_addrs[&0].as_str()).expect("the broker");
        stream.set_nodelay(true).expect("an option");
        let batches = self.count.div_ceil(messages);
        let at_once = self.in_flight.div_ceil(messages).min(batches);
        let begun = Instant::now();
        for _ in 0..at_once {
            stream.write_all(&frame).expect("sent");
        }
        for done in 0..batches {
            answer(&mut stream);
            if done + at_once < batches {
                stream.write_all(&frame).expect("sent");
            }
        }
        begun.elapsed()
    }

    /// The frame of a batch of messages that are all alike.
    fn batch(&self, messages: usize, queue_id: i32) -> Vec<u8> {
        let properties = "UNIQ_KEY\u{1}7F0000010000000000000000000000AB\u{2}WAIT\u{1}true\u{2}";
        let body = vec![b'x'; self.size];
        let mut item = Vec::new();
        let of = BatchItem { flag: 0, body: &body, properties: properties.as_bytes() };
        push(&of, &mut item).expect("a small message");
        let header = SendMessage {
            group: "bench_wire".into(),
            topic: self.topic.as_str().into(),
            default_topic: "TBW102".into(),
            default_topic_queues: 4,
            queue_id,
            sys_flag: 0,
            born_timestamp: 0,
            flag: 0,
            properties: None,
            reconsume_times: None,
            unit_mode: None,
            max_reconsume_times: None,
            batch: Some(true),
            broker: None,
        };
        SendBatch(header).encode(Codec::Json, item.repeat(messages).into()).to_bytes(Opaque(1)).to_vec()
    }
}

/// Reads one answer, which says that a batch is stored.
fn answer(stream: &mut TcpStream) {
    let mut len = [0; 4];
    stream.read_exact(&mut len).expect("an answer");
    let mut answer = vec![0; usize::try_from(u32::from_be_bytes(len)).expect("short")];
    stream.read_exact(&mut answer).expect("an answer");
    let stored = answer.windows(9).any(|part| part == b"\"code\":0,");
    assert!(stored, "{}", String::from_utf8_lossy(&answer));
}
