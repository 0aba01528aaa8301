//! Messages that are stored: one, or those with a key, or of a time.

use std::time::Duration;

use clap::Args;
use rocketmq_core::ids::{self, MessageQueue, QueueOffset};
use rocketmq_core::time::UnixMillis;
use rocketmq_core::wire::message::OffsetMsgId;
use rocketmq_smol::ReceivedMessage;

use super::{FilterArg, no_message, record, show};
use crate::args::{QueueArg, TopicArg};
use crate::commands::offset::place;
use crate::context::Cx;
use crate::failure::Failure;
use crate::time::{self, When};

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The topic, which an id that tells where the message is stored does not need; and the id, of either kind
    #[arg(value_names = ["TOPIC", "ID"], num_args = 0..=2)]
    words: Vec<String>,
    #[command(flatten)]
    queue: QueueArg,
    /// The place in the queue
    #[arg(long)]
    offset: Option<u64>,
    /// Write the body alone, as it is
    #[arg(long)]
    raw: bool,
}

impl Get {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let message = match self.offset {
            Some(offset) => self.at(cx, QueueOffset::new(offset)).await?,
            None => self.by_id(cx).await?,
        };
        if self.raw {
            cx.out.out.write_all(message.body())?;
            return Ok(cx.out.out.flush()?);
        }
        Ok(cx.out.record(&record(&message))?)
    }

    async fn by_id(&self, cx: &Cx<'_>) -> Result<ReceivedMessage, Failure> {
        let (topic, id) = match self.words.as_slice() {
            [id] => (None, id),
            [topic, id] => (Some(topic), id),
            _ => return Err(Failure::usage("give the id of a message, or --queue and --offset")),
        };
        let found = match (topic, id.parse::<OffsetMsgId>()) {
            (Some(topic), _) => cx.ask_of(format_args!("topic {topic}"), cx.admin.message(topic.as_str(), id)).await?,
            (None, Ok(at)) => {
                // Only brokers that the cluster has are asked: other ids look like addresses too.
                let info = cx.ask(cx.admin.cluster()).await?;
                let mut known = info.broker_addr_table.values().flat_map(|broker| broker.broker_addrs.values());
                if !known.any(|address| *address.as_str() == at.host.to_string()) {
                    return Err(Failure::usage(format!("the id {id} names no broker: give the topic too")));
                }
                cx.ask(cx.admin.message_at(at)).await?
            }
            (None, Err(_)) => return Err(Failure::usage(format!("the id {id} names no broker: give the topic too"))),
        };
        let topic = topic.map_or_else(|| ids::Topic::from("?"), ids::Topic::from);
        found.ok_or_else(|| no_message(id, &topic))
    }

    async fn at(&self, cx: &Cx<'_>, offset: QueueOffset) -> Result<ReceivedMessage, Failure> {
        let [topic] = self.words.as_slice() else {
            return Err(Failure::usage("an --offset needs a topic, and no id"));
        };
        let topic = ids::Topic::from(topic);
        let queue = self.queue.queue(cx, &topic).await?;
        let queue = queue.ok_or_else(|| Failure::usage("an --offset needs --queue BROKER#ID"))?;
        let all = rocketmq_smol::Filter::all();
        let read = cx.admin.read_queue(&queue, &all, offset, 1, Duration::ZERO);
        let read = cx.ask_of(format_args!("queue {}", place(&queue)), read).await?;
        let found = read.messages.into_iter().find(|message| message.queue_offset() == offset);
        let none = || {
            format!(
                "no message at {offset} in queue {} of topic {topic}; 'rmq topic status' shows where it begins and ends",
                place(&queue)
            )
        };
        found.ok_or_else(|| Failure::refused(none()))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Query {
    #[command(flatten)]
    topic: TopicArg,
    /// Only messages with this key; those that their producers gave no key can only be found by time
    #[arg(short, long, conflicts_with_all = ["tags", "sql", "queue", "offset"])]
    key: Option<String>,
    /// Stored then or later
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = time::when)]
    from: Option<When>,
    /// Stored then or before
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = time::when)]
    to: Option<When>,
    /// So many at most
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    max: Option<u32>,
    #[command(flatten)]
    filter: FilterArg,
    #[command(flatten)]
    queue: QueueArg,
    /// In each queue from this place on
    #[arg(long, hide = true, conflicts_with = "from")]
    offset: Option<u64>,
}

impl Query {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let (topic, from, to) = (self.topic.name(), self.from.map(When::unix), self.to.map(When::unix));
        let span = from.unwrap_or(UnixMillis(0))..=to.unwrap_or(UnixMillis(i64::MAX));
        if span.is_empty() {
            return Err(Failure::usage("--from is after --to"));
        }
        if let Some(key) = &self.key {
            let found = cx.admin.query(topic.clone(), key, self.max.unwrap_or(MOST_OF_KEY), span);
            let found = cx.ask_of(format_args!("topic {topic}"), found).await?;
            let most = usize::try_from(self.max.unwrap_or(u32::MAX)).unwrap_or(usize::MAX);
            for message in cx.partial(found).iter().take(most) {
                show(&mut cx.out, message)?;
            }
            return Ok(());
        }
        let queues = cx.ask_of(format_args!("topic {topic}"), cx.admin.queues(topic.clone())).await?;
        let queues = self.queue.select(cx, queues).await?;
        let mut spans = Vec::new();
        let mut total = 0_u64;
        for queue in queues {
            let (begin, end) = self.bounds(cx, &queue, from).await?;
            total = total.saturating_add(end.get().saturating_sub(begin.get()));
            spans.push((queue, begin, end));
        }
        let bar = cx.out.bar(total, "messages");
        let mut left = self.max.map_or(u64::MAX, u64::from);
        let filter = self.filter.filter();
        'queues: for (queue, mut next, end) in spans {
            while next < end {
                let read = cx.admin.read_queue(&queue, &filter, next, BATCH, Duration::ZERO);
                let read = cx.ask_of(format_args!("queue {}", place(&queue)), read).await?;
                for message in &read.messages {
                    if message.queue_offset() >= end || to.is_some_and(|to| message.stored() > to) {
                        continue 'queues;
                    }
                    if from.is_none_or(|from| message.stored() >= from) {
                        bar.suspend(|| show(&mut cx.out, message))?;
                        left = left.saturating_sub(1);
                    }
                    if left == 0 {
                        break 'queues;
                    }
                }
                if read.next <= next {
                    break;
                }
                bar.inc(read.next.get().saturating_sub(next.get()));
                next = read.next;
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Where to begin in a queue, and where it ends now.
    async fn bounds(
        &self,
        cx: &Cx<'_>,
        queue: &MessageQueue,
        from: Option<UnixMillis>,
    ) -> Result<(QueueOffset, QueueOffset), Failure> {
        let bounds = async {
            let begin = match (self.offset, from) {
                (Some(offset), _) => QueueOffset::new(offset),
                (None, Some(from)) => cx.admin.search_offset(queue, from).await?,
                (None, None) => cx.admin.min_offset(queue).await?,
            };
            Ok::<_, rocketmq_smol::AdminError>((begin, cx.admin.max_offset(queue).await?))
        };
        cx.ask_of(format_args!("queue {}", place(queue)), bounds).await
    }
}

/// Messages of a key that each broker is asked for, as `mqadmin` does.
const MOST_OF_KEY: u32 = 64;
/// Messages of one answer: brokers give no more at once from what is not in memory.
const BATCH: u32 = 32;
