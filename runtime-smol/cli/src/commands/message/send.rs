//! Sending.

use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use futures_lite::FutureExt;
use rocketmq_core::ids::{self, MessageQueue};
use rocketmq_smol::{Message, Producer, Receipt, SendError, StoreStatus, Target};
use smol::channel::{Receiver, bounded};

use crate::args::{QueueArg, pair};
use crate::commands::offset::place;
use crate::context::Cx;
use crate::failure::Failure;
use crate::output::Record;
use crate::signal::Interrupt;
use crate::time::duration;

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// The topic
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// The body
    #[arg(value_name = "BODY")]
    body: Option<String>,
    /// The body is in this file; - is the standard input
    #[arg(short, long, value_name = "PATH", conflicts_with = "body")]
    file: Option<PathBuf>,
    /// Each line of the standard input is a message
    #[arg(short, long, conflicts_with_all = ["body", "file", "count"])]
    lines: bool,
    #[command(flatten)]
    template: Template,
    #[command(flatten)]
    queue: QueueArg,
    /// To the queue of this key: messages of one key are in order
    #[arg(long, value_name = "KEY", conflicts_with = "queue")]
    by: Option<String>,
    /// The producer group
    #[arg(short, long, default_value = "rmq-producer")]
    group: String,
    /// So many times the same
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// So many sends under way at once
    #[arg(long, value_name = "SENDS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    at_once: u32,
}

/// What all messages have but for their bodies.
#[derive(Clone, Debug, Args)]
struct Template {
    /// The tag
    #[arg(long)]
    tag: Option<String>,
    /// A key, by which it can be queried; several may be given
    #[arg(short, long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// A property; several may be given
    #[arg(short, long = "property", value_name = "KEY=VALUE", value_parser = pair)]
    properties: Vec<(String, String)>,
    /// Deliver it so much later, by brokers from 5.0 on
    #[arg(long, value_name = "TIME", value_parser = duration)]
    delay: Option<Duration>,
    /// Deliver it later by the broker's level, 1 to 18
    #[arg(long, value_name = "LEVEL", conflicts_with = "delay", value_parser = clap::value_parser!(u8).range(1..=18))]
    delay_level: Option<u8>,
}

impl Send {
    pub(crate) async fn run(mut self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let topic = ids::Topic::from(&self.topic);
        let queue = self.queue.queue(cx, &topic).await?;
        if let Some(queue) = &queue {
            // A send would wait for the queue.
            let known = cx.ask_of(format_args!("topic {topic}"), cx.admin.publish_queues(topic.clone())).await?;
            if !known.contains(queue) {
                let none = format!("topic {topic} has no queue {} that takes messages", place(queue));
                return Err(Failure::refused(format!("{none}; 'rmq topic route' shows how many there are")));
            }
        }
        let body = self.body()?;
        let producer = cx.client.producer(self.group.as_str());
        let producer = match cx.timeout() {
            Some(timeout) => producer.send_timeout(timeout),
            None => producer,
        };
        let producer = producer.start().await.map_err(|error| Failure::usage(error.to_string()))?;
        let sent = if self.lines || self.count > 1 {
            self.many(cx, &producer, &topic, queue, body).await
        } else {
            let message = self.template.message(&topic, body.unwrap_or_default());
            let sent = producer.send_with(message, target(queue.as_ref(), self.by.as_deref())).await;
            let sent = sent.map_err(Failure::from);
            sent.and_then(|receipt| Ok(cx.out.record(&record(&receipt))?))
        };
        drop(producer);
        cx.client.shutdown().await;
        sent
    }

    /// The body; none when each line is one.
    fn body(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        if self.lines {
            return Ok(None);
        }
        if let Some(body) = self.body.take() {
            return Ok(Some(body.into_bytes()));
        }
        let Some(path) = &self.file else {
            return Err(Failure::usage("give a body, --file, or --lines"));
        };
        if path.as_os_str() == "-" {
            let mut body = Vec::new();
            io::stdin().read_to_end(&mut body)?;
            return Ok(Some(body));
        }
        let read = std::fs::read(path);
        read.map(Some).map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))
    }

    async fn many(
        &self,
        cx: &mut Cx<'_>,
        producer: &Producer,
        topic: &ids::Topic,
        queue: Option<MessageQueue>,
        body: Option<Vec<u8>>,
    ) -> Result<(), Failure> {
        let mut interrupt = Interrupt::new()?;
        let begun = Instant::now();
        let tally = Arc::new(Tally::default());
        let bar = match self.lines {
            true => cx.out.bar_without_end("messages"),
            false => cx.out.bar(self.count, "messages"),
        };
        let messages = match body {
            Some(body) => repeated(self.template.message(topic, body), self.count),
            None => lines(self.template.clone(), topic.clone()),
        };
        let worker = || {
            let (messages, producer, queue, by) = (messages.clone(), producer.clone(), queue.clone(), self.by.clone());
            let (tally, bar) = (tally.clone(), bar.clone());
            smol::spawn(async move {
                while let Ok(message) = messages.recv().await {
                    let target = target(queue.as_ref(), by.as_deref());
                    tally.add(producer.send_with(message, target).await);
                    bar.inc(1);
                    if tally.over.load(Ordering::Relaxed) {
                        break;
                    }
                }
            })
        };
        // Lines are sent in their order.
        let at_once = if self.lines { 1 } else { self.at_once };
        let workers: Vec<_> = (0..at_once).map(|_| worker()).collect();
        let all = async {
            for worker in workers {
                worker.await;
            }
        };
        all.or(interrupt.wait()).await;
        bar.finish_and_clear();
        tally.report(cx, begun.elapsed())
    }
}

impl Template {
    fn message(&self, topic: &ids::Topic, body: Vec<u8>) -> Message {
        let mut message = Message::new(topic.clone(), body);
        if let Some(tag) = &self.tag {
            message = message.with_tag(tag);
        }
        message = self.keys.iter().fold(message, Message::with_key);
        message = self.properties.iter().fold(message, |message, (key, value)| message.with_property(key, value));
        match (self.delay, self.delay_level) {
            (Some(delay), _) => message.with_delay(delay),
            (None, Some(level)) => message.with_delay_level(level),
            (None, None) => message,
        }
    }
}

/// What became of many sends.
#[derive(Debug, Default)]
struct Tally {
    sent: AtomicU64,
    failed: AtomicU64,
    /// Nothing more is to be sent: the first failure ends it.
    over: AtomicBool,
    first: std::sync::Mutex<Option<SendError>>,
}

impl Tally {
    fn add(&self, result: Result<Receipt, SendError>) {
        match result {
            Ok(_) => drop(self.sent.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                self.over.store(true, Ordering::Relaxed);
                let mut first = self.first.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                first.get_or_insert(error);
            }
        }
    }

    fn report(&self, cx: &mut Cx<'_>, took: Duration) -> Result<(), Failure> {
        let (sent, failed) = (self.sent.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed));
        #[expect(clippy::cast_precision_loss, reason = "a rate is shown to two digits")]
        let rate = sent as f64 / took.as_secs_f64().max(f64::EPSILON);
        let record = Record::default().with("sent", sent).with("failed", failed);
        let record = record.with("seconds", took.as_secs_f64()).with("perSecond", rate);
        cx.out.done(&format!("sent {sent} messages in {took:.1?}, {rate:.0} a second"), &record)?;
        let first = self.first.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        match first {
            Some(error) => Err(Failure::from(error).about(format_args!("after {sent} messages"))),
            None => Ok(()),
        }
    }
}

/// The same message again and again.
fn repeated(message: Message, count: u64) -> Receiver<Message> {
    let (sender, messages) = bounded(1);
    let feed = async move {
        for _ in 0..count {
            if sender.send(message.clone()).await.is_err() {
                break;
            }
        }
    };
    smol::spawn(feed).detach();
    messages
}

/// A message of each line of the standard input.
fn lines(template: Template, topic: ids::Topic) -> Receiver<Message> {
    let (sender, messages) = bounded(1);
    // A thread that waits for a line does not keep the process.
    std::thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let Ok(mut line) = line else { break };
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if !line.is_empty() && sender.send_blocking(template.message(&topic, line)).is_err() {
                break;
            }
        }
    });
    messages
}

fn target(queue: Option<&MessageQueue>, by: Option<&str>) -> Target {
    match (queue, by) {
        (Some(queue), _) => Target::Queue(queue.clone()),
        (None, Some(key)) => Target::of_key(key),
        (None, None) => Target::Any,
    }
}

fn record(receipt: &Receipt) -> Record {
    let status = match receipt.status() {
        StoreStatus::Stored => "SEND_OK",
        StoreStatus::FlushDiskTimeout => "FLUSH_DISK_TIMEOUT",
        StoreStatus::FlushSlaveTimeout => "FLUSH_SLAVE_TIMEOUT",
        StoreStatus::SlaveNotAvailable => "SLAVE_NOT_AVAILABLE",
    };
    Record::default()
        .with("status", status)
        .with("topic", &receipt.queue.topic)
        .with("broker", &receipt.queue.broker)
        .with("queueId", receipt.queue.id)
        .with("queueOffset", receipt.queue_offset)
        .with("msgId", &receipt.msg_id)
        .with("offsetMsgId", &receipt.offset_msg_id)
        .with("recallHandle", receipt.recall_handle.as_deref())
}

#[derive(Debug, Args)]
pub(crate) struct Recall {
    #[command(flatten)]
    topic: crate::args::TopicArg,
    /// The handle
    #[arg(value_name = "HANDLE")]
    handle: String,
}

impl Recall {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let topic = self.topic.name();
        let producer = cx.client.producer("rmq-producer").start().await;
        let producer = producer.map_err(|error| Failure::refused(error.to_string()))?;
        let id = cx.ask_of(format_args!("topic {topic}"), producer.recall(topic.clone(), &self.handle)).await?;
        let record = Record::default().with("topic", &topic).with("msgId", &id);
        Ok(cx.out.done(&format!("message {id} is taken back"), &record)?)
    }
}
