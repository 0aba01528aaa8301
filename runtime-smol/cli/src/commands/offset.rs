//! Offsets.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::{ArgAction, Args, Subcommand};
use rocketmq_core::ids::{self, MessageQueue, QueueOffset};
use rocketmq_core::time::UnixMillis;
use rocketmq_core::wire::request::Boundary;
use rocketmq_smol::ResetTo;

use crate::args::{GroupArg, QueueArg, TopicArg};
use crate::context::Cx;
use crate::failure::Failure;
use crate::output::{Record, Table, row};
use crate::time::{self, When};

#[derive(Debug, Subcommand)]
pub(crate) enum Offset {
    /// Move a group in all queues of a topic, while it runs
    #[command(after_help = "Examples:
  rmq offset reset billing orders --to 2026-01-31T08:00:00Z
  rmq offset reset billing orders --to 30m --back-only
  rmq offset reset billing orders --to end
  rmq offset reset billing orders --queue broker-a#0 --offset 4711")]
    Reset(Reset),
    /// The offsets that a group has committed
    #[command(after_help = "Example:\n  rmq offset get billing orders")]
    Get(Get),
    /// Set the committed offset of a queue; members that run do not notice, see reset
    #[command(after_help = "Example:\n  rmq offset set billing orders --queue broker-a#0 --offset 4711")]
    Set(Set),
    /// The offset of a time in each queue
    #[command(after_help = "Examples:\n  rmq offset search orders 2026-01-31\n  rmq offset search orders 2h --upper")]
    Search(Search),
    /// Have a group take over the offsets of another one
    #[command(after_help = "Example:\n  rmq offset clone billing billing-next orders")]
    Clone(CloneOf),
    /// How far the members of a group say they are
    #[command(after_help = "Example:\n  rmq offset members billing orders")]
    Members(Members),
}

#[derive(Debug, Args)]
pub(crate) struct Reset {
    #[command(flatten)]
    group: GroupArg,
    #[command(flatten)]
    topic: TopicArg,
    /// A time, first or end: the group goes on with what was stored from then on
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, required_unless_present = "offset")]
    to: Option<To>,
    /// Leave queues alone that are not so far yet
    #[arg(long)]
    back_only: bool,
    #[command(flatten)]
    queue: QueueArg,
    /// Instead of a time: the offset of this one queue
    #[arg(long, conflicts_with_all = ["to", "back_only"])]
    offset: Option<u64>,
    #[arg(long, hide = true, default_value_t = true, action = ArgAction::Set)]
    force: bool,
}

/// Where to.
#[derive(Clone, Copy, Debug)]
enum To {
    Time(When),
    First,
    End,
}

impl FromStr for To {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "first" => Ok(Self::First),
            "end" | "last" => Ok(Self::End),
            text => time::when(text).map(Self::Time),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    #[command(flatten)]
    group: GroupArg,
    #[command(flatten)]
    topic: TopicArg,
    #[command(flatten)]
    queue: QueueArg,
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    #[command(flatten)]
    group: GroupArg,
    #[command(flatten)]
    topic: TopicArg,
    #[command(flatten)]
    queue: QueueArg,
    /// The offset that is consumed next
    #[arg(long)]
    offset: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Search {
    #[command(flatten)]
    topic: TopicArg,
    /// The time
    #[arg(allow_hyphen_values = true, value_parser = time::when)]
    time: When,
    /// That of the last message stored then or before, not of the first one stored then or later
    #[arg(long)]
    upper: bool,
    #[command(flatten)]
    queue: QueueArg,
}

#[derive(Debug, Args)]
pub(crate) struct CloneOf {
    /// The group that has the offsets
    #[arg(value_name = "FROM")]
    from: String,
    /// The group that takes them over
    #[arg(value_name = "TO")]
    to: String,
    #[command(flatten)]
    topic: TopicArg,
}

#[derive(Debug, Args)]
pub(crate) struct Members {
    #[command(flatten)]
    group: GroupArg,
    #[command(flatten)]
    topic: TopicArg,
    /// Only this member
    #[arg(short, long, value_name = "CLIENT-ID")]
    member: Option<String>,
}

impl Offset {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        match self {
            Self::Reset(reset) => reset.run(cx).await,
            Self::Get(get) => get.run(cx).await,
            Self::Set(set) => set.run(cx).await,
            Self::Search(search) => search.run(cx).await,
            Self::Clone(clone) => clone.run(cx).await,
            Self::Members(members) => members.run(cx).await,
        }
    }
}

impl Reset {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let (group, topic) = (self.group.name(), self.topic.name());
        let about = format!("group {group}");
        let mut table = Table::new(["broker", "queueId", "offset"]);
        if let Some(offset) = self.offset {
            let queue = self.queue.queue(cx, &topic).await?;
            let queue = queue.ok_or_else(|| Failure::usage("--offset needs --queue BROKER#ID"))?;
            let offset = QueueOffset::new(offset);
            cx.ask_of(about, cx.admin.reset_offset(group.clone(), &queue, offset)).await?;
            table.push(row![&queue.broker, queue.id, offset]);
            return Ok(cx.out.table(&table)?);
        }
        if self.queue.queue(cx, &topic).await?.is_some() {
            return Err(Failure::usage("one queue is moved to an --offset; a time moves all queues"));
        }
        let back_only = self.back_only || !self.force;
        let to = match self.to.unwrap_or(To::End) {
            To::Time(when) if back_only => ResetTo::BackTo(when.unix()),
            To::Time(when) => ResetTo::Time(when.unix()),
            // Before all that is stored.
            To::First => ResetTo::Time(UnixMillis(0)),
            To::End => ResetTo::End,
        };
        let bar = cx.out.bar(1, "reset");
        let moved = cx.ask_of(about, cx.admin.reset_offsets(group.clone(), topic.clone(), to)).await;
        bar.finish_and_clear();
        for (queue, offset) in cx.partial(moved?) {
            table.push(row![&queue.broker, queue.id, offset]);
        }
        Ok(cx.out.table(&table)?)
    }
}

impl Get {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let (group, topic) = (self.group.name(), self.topic.name());
        let queues = cx.ask_of(format_args!("topic {topic}"), cx.admin.queues(topic.clone())).await?;
        let queues = self.queue.select(cx, queues).await?;
        let mut table = Table::new(["broker", "queueId", "offset"]);
        for queue in queues {
            match cx.attempt(cx.admin.committed(group.clone(), &queue)).await? {
                Ok(offset) => table.push(row![&queue.broker, queue.id, offset]),
                Err(error) => cx.missed(queue.broker.as_str(), &error),
            }
        }
        Ok(cx.out.table(&table)?)
    }
}

impl Set {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let (group, topic) = (self.group.name(), self.topic.name());
        let queue = self.queue.queue(cx, &topic).await?;
        let queue = queue.ok_or_else(|| Failure::usage("name the queue: --queue BROKER#ID"))?;
        let known = cx.ask_of(format_args!("topic {topic}"), cx.admin.queues(topic.clone())).await?;
        if !known.contains(&queue) {
            return Err(Failure::refused(format!(
                "topic {topic} has no queue {}; 'rmq topic status' shows them",
                place(&queue)
            )));
        }
        let offset = QueueOffset::new(self.offset);
        cx.ask_of(format_args!("group {group}"), cx.admin.set_committed(group.clone(), &queue, offset)).await?;
        let record = Record::default().with("group", &group).with("topic", &topic);
        let record = record.with("broker", &queue.broker).with("queueId", queue.id).with("offset", offset);
        let text = format!("group {group} goes on at {offset} in queue {} of {topic}", place(&queue));
        Ok(cx.out.done(&text, &record)?)
    }
}

impl Search {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let topic = self.topic.name();
        let queues = cx.ask_of(format_args!("topic {topic}"), cx.admin.queues(topic.clone())).await?;
        let queues = self.queue.select(cx, queues).await?;
        let boundary = if self.upper { Boundary::Upper } else { Boundary::Lower };
        let mut table = Table::new(["broker", "queueId", "offset"]);
        for queue in queues {
            let found = cx.admin.search_offset_by(&queue, self.time.unix(), boundary);
            match cx.attempt(found).await? {
                Ok(offset) => table.push(row![&queue.broker, queue.id, offset]),
                Err(error) => cx.missed(queue.broker.as_str(), &error),
            }
        }
        Ok(cx.out.table(&table)?)
    }
}

impl CloneOf {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let topic = self.topic.name();
        let (from, to) = (self.from, self.to);
        let cloned = cx.admin.clone_offsets(from.as_str(), to.as_str(), topic.clone());
        let cloned = cx.ask_of(format_args!("topic {topic}"), cloned).await?;
        cx.partial(cloned);
        let record = Record::default().with("from", &from).with("to", &to).with("topic", &topic);
        Ok(cx.out.done(&format!("group {to} has the offsets of group {from} in topic {topic}"), &record)?)
    }
}

impl Members {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let (group, topic) = (self.group.name(), self.topic.name());
        let only = self.member.as_deref().map(ids::ClientId::from);
        let status = cx.admin.consumer_status(group.clone(), topic, only);
        let status = cx.ask_group(&group, status).await?;
        let status: BTreeMap<_, BTreeMap<MessageQueue, QueueOffset>> = cx.partial(status);
        let mut table = Table::new(["clientId", "broker", "queueId", "offset"]);
        for (member, queues) in &status {
            for (queue, offset) in queues {
                table.push(row![member, &queue.broker, queue.id, *offset]);
            }
        }
        Ok(cx.out.table(&table)?)
    }
}

/// A queue as it is named in arguments.
pub(crate) fn place(queue: &MessageQueue) -> String {
    format!("{}#{}", queue.broker, queue.id)
}
