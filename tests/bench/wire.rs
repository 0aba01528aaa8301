//! What the wire and the broker allow: one thread, one socket, one frame built before and sent again and again.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rocketmq_core::driver::Client;
use rocketmq_core::ids::Opaque;
use rocketmq_core::wire::Codec;
use rocketmq_core::wire::request::{Request, SendBatch, SendMessage};

use super::Work;

/// How many messages a batch has, for bodies of this size: what a default accumulator puts together.
const fn batch_of(size: usize) -> usize {
    let most = 32 * 1024 / size;
    if most == 0 { 1 } else { most }
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
        let len = 22 + self.size + properties.len();
        let mut item = Vec::with_capacity(len);
        // Length, magic, checksum and flag; of these the broker reads the length only.
        item.extend(u32::try_from(len).expect("a small message").to_be_bytes());
        item.extend([0; 12]);
        item.extend(u32::try_from(self.size).expect("a small message").to_be_bytes());
        item.resize(item.len() + self.size, b'x');
        item.extend(u16::try_from(properties.len()).expect("short").to_be_bytes());
        item.extend(properties.bytes());
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
