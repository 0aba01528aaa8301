//! Messages.

mod find;
mod follow;
mod inspect;
mod send;
mod trace;

use std::io::{self, Write};

use clap::Subcommand;
use rocketmq_core::ids;
use rocketmq_smol::{Filter, ReceivedMessage};

use super::offset::place;
use crate::context::Cx;
use crate::failure::Failure;
use crate::output::{Cell, Output, Record, printable};
use crate::time;

#[derive(Debug, Subcommand)]
pub(crate) enum Message {
    /// One message, by either of its ids, or by its place in a queue
    #[command(
        override_usage = "rmq message get [TOPIC] ID\n       rmq message get TOPIC --queue BROKER#ID --offset OFFSET",
        after_help = "Examples:
  rmq message get orders C0A80102000018B4AAC26A1B2C3D0000
  rmq message get orders --queue broker-a#0 --offset 4711
  rmq message get orders C0A80102000018B4AAC26A1B2C3D0000 --raw > body.bin"
    )]
    Get(find::Get),
    /// Messages with a key, or those stored in a span of time, one by one
    #[command(after_help = "Examples:
  rmq message query orders --key 42
  rmq message query orders --from 2h --to 1h
  rmq message query orders --from 2026-01-31 --tags 'new || paid' --max 100 -o json")]
    Query(find::Query),
    /// Send one message, or many
    #[command(after_help = "Examples:
  rmq message send orders '{\"id\":42}' --tag new --key 42
  rmq message send orders --file order.json --delay 10m
  rmq message send orders --lines < orders.txt
  rmq message send orders hello --count 10000 --at-once 64")]
    Send(send::Send),
    /// Consume as a member of a group: each message is shown, then acknowledged, until Ctrl-C
    #[command(after_help = "Examples:
  rmq message consume orders --group billing
  rmq message consume orders --group audit --from first --count 10 -o json
  rmq message consume orders --group billing --idle 10s --snapshot")]
    Consume(follow::Consume),
    /// Show messages as they are stored, until Ctrl-C; no group has to do with it
    #[command(
        after_help = "Examples:\n  rmq message tail orders\n  rmq message tail orders --from 10m --tags new | head"
    )]
    Tail(follow::Tail),
    /// Which groups have consumed a message
    #[command(after_help = "Example:\n  rmq message track orders C0A80102000018B4AAC26A1B2C3D0000")]
    Track(inspect::Track),
    /// What clients that trace told of a message: sent, handed out, settled
    #[command(
        after_help = "Examples:\n  rmq message trace C0A80102000018B4AAC26A1B2C3D0000\n  rmq message trace order-42 --from 2h"
    )]
    Trace(trace::Trace),
    /// Have a member of a group handle a stored message once more
    #[command(after_help = "Example:
  rmq message direct orders C0A80102000018B4AAC26A1B2C3D0000 --group billing --member 10.0.0.7@4711#1a2b3c4d")]
    Direct(inspect::Direct),
    /// Take back a message that is to be delivered later, by the handle that send shows
    #[command(after_help = "Example:\n  rmq message recall orders djEgYnJva2VyLWEg...")]
    Recall(send::Recall),
}

impl Message {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        match self {
            Self::Get(get) => get.run(cx).await,
            Self::Query(query) => query.run(cx).await,
            Self::Send(send) => send.run(cx).await,
            Self::Consume(consume) => consume.run(cx).await,
            Self::Tail(tail) => tail.run(cx).await,
            Self::Track(track) => track.run(cx).await,
            Self::Trace(trace) => trace.run(cx).await,
            Self::Direct(direct) => direct.run(cx).await,
            Self::Recall(recall) => recall.run(cx).await,
        }
    }
}

/// Which messages are wanted.
#[derive(Debug, clap::Args)]
pub(crate) struct FilterArg {
    /// Only messages with one of these tags, as 'a || b'
    #[arg(long, value_name = "TAGS")]
    tags: Option<String>,
    /// Only messages whose properties fulfil an SQL92 expression, if the brokers can tell
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "tags")]
    sql: Option<String>,
}

impl FilterArg {
    fn filter(&self) -> Filter {
        match (&self.sql, &self.tags) {
            (Some(sql), _) => Filter::sql(sql),
            (None, Some(tags)) => Filter::tags(tags),
            (None, None) => Filter::all(),
        }
    }
}

/// All there is to say of a message.
fn record(message: &ReceivedMessage) -> Record {
    let queue = message.queue();
    let properties = message.properties().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let stored_id = Some(message.offset_msg_id()).filter(|id| !id.is_empty());
    let record = Record::default()
        .with("topic", &message.topic())
        // One that is found by its place in the log does not tell its broker.
        .with("broker", Some(&queue.broker).filter(|broker| !broker.as_str().is_empty()))
        .with("queueId", queue.id)
        .with("queueOffset", message.queue_offset())
        .with("msgId", message.msg_id())
        .with("offsetMsgId", stored_id)
        .with("tag", message.tag())
        .with("keys", message.keys().map(str::to_owned).collect::<Vec<_>>())
        .with("bornTime", message.born())
        .with("storeTime", message.stored())
        .with("bornHost", message.born_host().map(|host| host.to_string()))
        .with("reconsumeTimes", message.reconsume_times())
        .with("flag", message.flag())
        .with("properties", Cell::Map(properties));
    match std::str::from_utf8(message.body()) {
        Ok(text) => record.with("body", text),
        Err(_) => record.with("bodyHex", hex(message.body())),
    }
}

/// Shows one of several messages.
fn show(out: &mut Output<'_>, message: &ReceivedMessage) -> io::Result<()> {
    let line = |out: &mut dyn Write| {
        let (at, queue) = (time::show(message.stored()), place(message.queue()));
        write!(out, "{at}  {}@{}  {}", printable(&queue), message.queue_offset(), printable(&message.msg_id()))?;
        let keys: Vec<_> = message.keys().collect();
        if let Some(tag) = message.tag() {
            write!(out, "  {}", printable(tag))?;
        }
        if !keys.is_empty() {
            write!(out, "  [{}]", printable(&keys.join(" ")))?;
        }
        match std::str::from_utf8(message.body()) {
            Ok(text) => write!(out, "  {}", printable(text)),
            Err(_) => write!(out, "  0x{}", hex(message.body())),
        }
    };
    out.line(&record(message), line)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The topic and the id of a message.
#[derive(Debug, clap::Args)]
pub(crate) struct IdArg {
    #[command(flatten)]
    topic: crate::args::TopicArg,
    /// The id of the message, of either kind
    #[arg(value_name = "ID")]
    id: String,
}

impl IdArg {
    /// The message; it exists.
    async fn find(&self, cx: &Cx<'_>) -> Result<(ids::Topic, ReceivedMessage), Failure> {
        let topic = self.topic.name();
        let id = self.id.as_str();
        let found = cx.ask_of(format_args!("topic {topic}"), cx.admin.message(topic.clone(), id)).await?;
        found.map(|message| (topic.clone(), message)).ok_or_else(|| no_message(id, &topic))
    }
}

fn no_message(id: &str, topic: &ids::Topic) -> Failure {
    Failure::refused(format!("no message {id} in topic {topic}; brokers index new ones within a second or two"))
}
