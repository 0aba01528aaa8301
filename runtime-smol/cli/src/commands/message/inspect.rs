//! What became of a message, and what would.

use clap::Args;
use rocketmq_core::ids::{self, ClientId, MessageQueue};
use rocketmq_core::wire::body::ConsumeResult;
use rocketmq_core::wire::message::OffsetMsgId;
use rocketmq_smol::ReceivedMessage;

use super::IdArg;
use crate::context::Cx;
use crate::failure::Failure;
use crate::output::{Record, Table, row};

#[derive(Debug, Args)]
pub(crate) struct Track {
    #[command(flatten)]
    message: IdArg,
}

impl Track {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let (topic, message) = self.message.find(cx).await?;
        let tracks = cx.ask_of(format_args!("topic {topic}"), cx.admin.track(&message)).await?;
        let mut table = Table::new(["group", "track"]);
        for (group, track) in cx.partial(tracks) {
            table.push(row![&group, track.to_string()]);
        }
        Ok(cx.out.table(&table)?)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Direct {
    #[command(flatten)]
    message: IdArg,
    /// The group
    #[arg(short, long)]
    group: String,
    /// The member, by its client id
    #[arg(short, long, value_name = "CLIENT-ID")]
    member: String,
}

impl Direct {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let (topic, message) = self.message.find(cx).await?;
        let queue = queue_of(cx, &topic, &message).await?;
        let id = message.offset_msg_id().parse::<OffsetMsgId>();
        let id = id.map_err(|_| Failure::refused("the message cannot be read, and no member can handle it"))?;
        let member = ClientId::from(&self.member);
        let handled = cx.admin.consume_directly(self.group.as_str(), member, &queue, id);
        let handled = cx.ask_of(format_args!("member {}", self.member), handled).await?;
        let (result, good) = match handled.consume_result {
            Some(ConsumeResult::Success) => ("CR_SUCCESS", true),
            Some(ConsumeResult::Commit) => ("CR_COMMIT", true),
            Some(ConsumeResult::Later) => ("CR_LATER", false),
            Some(ConsumeResult::Rollback) => ("CR_ROLLBACK", false),
            Some(ConsumeResult::ThrowException) => ("CR_THROW_EXCEPTION", false),
            Some(ConsumeResult::ReturnNull) | None => ("CR_RETURN_NULL", false),
        };
        let record = Record::default()
            .with("consumeResult", result)
            .with("order", handled.order)
            .with("autoCommit", handled.auto_commit)
            .with("spentMs", handled.spent_time_mills)
            .with("remark", handled.remark);
        cx.out.record(&record)?;
        match good {
            true => Ok(()),
            false => Err(Failure::refused(format!("the handler of member {} failed: {result}", self.member))),
        }
    }
}

/// The queue of a message. One that was found by its place in the log does not tell its broker.
async fn queue_of(cx: &Cx<'_>, topic: &ids::Topic, message: &ReceivedMessage) -> Result<MessageQueue, Failure> {
    let queue = message.queue().clone();
    if !queue.broker.as_str().is_empty() {
        return Ok(queue);
    }
    let route = cx.ask_of(format_args!("topic {topic}"), cx.admin.topic_route(topic.clone())).await?;
    let host = message.offset_msg_id().parse::<OffsetMsgId>().map(|id| id.host.to_string()).unwrap_or_default();
    let mut brokers = route.broker_datas.into_iter();
    let broker = brokers.find(|broker| broker.broker_addrs.values().any(|address| address.as_str() == host));
    let broker = broker.ok_or_else(|| Failure::refused(format!("topic {topic} has no broker {host}")))?;
    Ok(MessageQueue { broker: broker.broker_name, ..queue })
}
