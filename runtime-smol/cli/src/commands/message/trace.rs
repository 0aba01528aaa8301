//! What clients that trace told of messages.

use clap::Args;
use rocketmq_core::ids;
use rocketmq_core::time::UnixMillis;
use rocketmq_core::trace::{TraceRecord, decode};
use rocketmq_core::transaction::Resolution;

use crate::context::Cx;
use crate::failure::Failure;
use crate::output::{Cell, Table, row};
use crate::time::{self, When};

#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// The id of the message, or one of its keys
    #[arg(value_name = "ID")]
    id: String,
    /// The topic that clients trace to
    #[arg(short, long, default_value = "RMQ_SYS_TRACE_TOPIC")]
    topic: String,
    /// Told then or later
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = time::when)]
    from: Option<When>,
    /// Told then or before
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = time::when)]
    to: Option<When>,
    /// So many messages of the topic at most, of each broker
    #[arg(short, long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    max: u32,
}

impl Trace {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let topic = ids::Topic::from(&self.topic);
        let (from, to) = (self.from.map(When::unix), self.to.map(When::unix));
        let span = from.unwrap_or(UnixMillis(0))..=to.unwrap_or(UnixMillis(i64::MAX));
        let found = cx.admin.query(topic.clone(), &self.id, self.max, span);
        let found = cx.ask_of(format_args!("topic {topic}"), found).await?;
        let mut table = Table::new(["type", "msgId", "group", "topic", "time", "costMs", "ok", "host", "keys"]);
        for message in cx.partial(found) {
            let host = message.born_host().map(|host| host.ip().to_string());
            for record in decode(message.body()) {
                let record = match record {
                    Ok(record) => record,
                    // Anybody may send to the topic: it keeps nobody from the others.
                    Err(error) => {
                        cx.missed(format!("message {} of topic {topic}", message.msg_id()), &error);
                        continue;
                    }
                };
                // Records of other messages go along.
                let keyed = record.keys().is_some_and(|keys| keys.split(' ').any(|key| key == self.id));
                if record.msg_id() == self.id || keyed {
                    table.push(cells(&record, host.as_ref()));
                }
            }
        }
        if table.is_empty() {
            let none =
                format!("nobody told of {} in topic {topic}; clients tell of what they do a little later", self.id);
            return Err(Failure::refused(none));
        }
        Ok(cx.out.table(&table)?)
    }
}

fn cells(record: &TraceRecord, host: Option<&String>) -> Vec<Cell> {
    let host = host.map_or(Cell::Nothing, Cell::from);
    let (id, keys) = (record.msg_id(), record.keys());
    match record {
        TraceRecord::Pub(sent) => {
            row!["Pub", id, &sent.group, &sent.topic, sent.time, sent.cost, sent.success, host, keys]
        }
        TraceRecord::SubBefore(taken) => {
            row!["SubBefore", id, &taken.group, Cell::Nothing, taken.time, Cell::Nothing, Cell::Nothing, host, keys]
        }
        TraceRecord::SubAfter(done) => {
            let (time, group) = match &done.by {
                Some((time, group)) => (Cell::from(*time), Cell::from(group)),
                None => (Cell::Nothing, Cell::Nothing),
            };
            row!["SubAfter", id, group, Cell::Nothing, time, done.cost, done.success, host, keys]
        }
        TraceRecord::EndTransaction(end) => {
            let committed = match end.resolution {
                Resolution::Commit => Cell::Flag(true),
                Resolution::Rollback => Cell::Flag(false),
                Resolution::Unknown => Cell::Nothing,
            };
            row!["EndTransaction", id, &end.group, &end.topic, end.time, Cell::Nothing, committed, host, keys]
        }
        TraceRecord::Recall(recall) => {
            row!["Recall", id, &recall.group, &recall.topic, recall.time, Cell::Nothing, recall.success, host, keys]
        }
    }
}
