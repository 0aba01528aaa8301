//! Messages as they come: with a group, or without one.

use std::time::Duration;

use clap::Args;
use futures_lite::FutureExt;
use rocketmq_core::ids::{MessageQueue, QueueOffset};
use rocketmq_smol::{Admin, AdminError, Filter, PushConsumer, ReceivedMessage, StartFrom};
use smol::Timer;
use smol::channel::{Sender, bounded};

use super::{FilterArg, show};
use crate::args::{QueueArg, TopicArg, timeout};
use crate::commands::doctor;
use crate::commands::offset::place;
use crate::context::Cx;
use crate::failure::Failure;
use crate::signal::Interrupt;
use crate::time;

#[derive(Debug, Args)]
pub(crate) struct Consume {
    #[command(flatten)]
    topic: TopicArg,
    /// The group
    #[arg(short, long)]
    group: String,
    #[command(flatten)]
    filter: FilterArg,
    /// Where a group without offsets begins: first, last, or a time
    #[arg(long, default_value = "last", value_name = "TIME", allow_hyphen_values = true, value_parser = start)]
    from: StartFrom,
    /// So many messages at most
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End when there is no message for so long
    #[arg(long, value_name = "TIME", value_parser = timeout)]
    idle: Option<Duration>,
    /// Show at the end how the consumer is: its queues, their offsets, and what waits for what
    #[arg(long)]
    snapshot: bool,
}

fn start(text: &str) -> Result<StartFrom, String> {
    match text {
        "first" => Ok(StartFrom::First),
        "last" | "end" => Ok(StartFrom::Last),
        text => time::when(text).map(|when| StartFrom::Timestamp(when.unix())),
    }
}

impl Consume {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let topic = self.topic.name();
        // A consumer of a topic that does not exist would wait for it.
        cx.ask_of(format_args!("topic {topic}"), cx.admin.topic_route(topic.clone())).await?;
        let mut interrupt = Interrupt::new()?;
        let consumer = cx.client.push_consumer(self.group.as_str()).subscribe(topic, self.filter.filter());
        // What is in hand at the end comes again: a few messages are enough.
        let consumer = consumer.start_from(self.from).pull_batch(IN_HAND).queue_messages(IN_HAND);
        let consumer = cx.ask_of(format_args!("group {}", self.group), consumer.start()).await?;
        let mut shown = self.show(cx, &consumer, &mut interrupt).await;
        if self.snapshot && shown.is_ok() {
            shown = doctor::show_last(cx).await;
        }
        consumer.shutdown().await;
        cx.client.shutdown().await;
        shown
    }

    async fn show(&self, cx: &mut Cx<'_>, consumer: &PushConsumer, interrupt: &mut Interrupt) -> Result<(), Failure> {
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 {
            let end = async {
                interrupt.wait().await;
                None
            };
            let Some(delivery) = consumer.next().or(end).or(none_after(self.idle)).await else { break };
            // Whoever reads may be gone: then it comes again.
            show(&mut cx.out, delivery.message())?;
            delivery.ack();
            left = left.saturating_sub(1);
        }
        Ok(())
    }
}

async fn none_after<T>(idle: Option<Duration>) -> Option<T> {
    match idle {
        Some(idle) => Timer::after(idle).await,
        None => std::future::pending().await,
    };
    None
}

#[derive(Debug, Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    topic: TopicArg,
    #[command(flatten)]
    filter: FilterArg,
    /// Begin with what was stored then: first, end, or a time
    #[arg(long, default_value = "end", value_name = "TIME", allow_hyphen_values = true, value_parser = start)]
    from: StartFrom,
    /// So many messages at most
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End when there is no message for so long
    #[arg(long, value_name = "TIME", value_parser = timeout)]
    idle: Option<Duration>,
    #[command(flatten)]
    queue: QueueArg,
}

impl Tail {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let topic = self.topic.name();
        let mut interrupt = Interrupt::new()?;
        let queues = cx.ask_of(format_args!("topic {topic}"), cx.admin.queues(topic.clone())).await?;
        let queues = self.queue.select(cx, queues).await?;
        let (sender, messages) = bounded(1);
        for queue in queues {
            let begin = cx.ask_of(format_args!("queue {}", place(&queue)), self.begin(&cx.admin, &queue)).await?;
            let follow = follow(cx.admin.clone(), queue, self.filter.filter(), begin, sender.clone());
            smol::spawn(follow).detach();
        }
        drop(sender);
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 {
            let end = async {
                interrupt.wait().await;
                None
            };
            let next = async { messages.recv().await.ok() };
            let Some(message) = next.or(end).or(none_after(self.idle)).await else { break };
            show(&mut cx.out, &message?)?;
            left = left.saturating_sub(1);
        }
        Ok(())
    }

    async fn begin(&self, admin: &Admin, queue: &MessageQueue) -> Result<QueueOffset, AdminError> {
        match self.from {
            StartFrom::First => admin.min_offset(queue).await,
            StartFrom::Last => admin.max_offset(queue).await,
            StartFrom::Timestamp(time) => admin.search_offset(queue, time).await,
        }
    }
}

/// Hands on what is stored in a queue, until nobody wants it any more.
async fn follow(
    admin: Admin,
    queue: MessageQueue,
    filter: Filter,
    mut next: QueueOffset,
    to: Sender<Result<ReceivedMessage, Failure>>,
) {
    loop {
        match admin.read_queue(&queue, &filter, next, IN_HAND, WAIT).await {
            Ok(read) => {
                next = read.next;
                for message in read.messages {
                    if to.send(Ok(message)).await.is_err() {
                        return;
                    }
                }
            }
            // Brokers restart, and are there again.
            Err(error) if error.is_retryable() => drop(Timer::after(PAUSE).await),
            Err(error) => {
                let failure = Failure::from(error).about(format_args!("queue {}", place(&queue)));
                let _ = to.send(Err(failure)).await;
                return;
            }
        }
    }
}

/// Messages that are pulled at once.
const IN_HAND: u32 = 32;
/// How long a broker waits for a message before it says that there is none, as for consumers.
const WAIT: Duration = Duration::from_secs(15);
/// Between two questions to a broker that is away.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_word_or_a_time() {
        assert_eq!(start("first"), Ok(StartFrom::First));
        assert_eq!(start("end"), Ok(StartFrom::Last));
        let at = time::when("2026-01-31").map(time::When::unix).unwrap();
        assert_eq!(start("2026-01-31"), Ok(StartFrom::Timestamp(at)));
        assert!(start("soon").is_err());
    }
}
