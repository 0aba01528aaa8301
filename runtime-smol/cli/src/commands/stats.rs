//! Backlog and rates, topic by topic.

use clap::Args;
use rocketmq_core::ids;
use rocketmq_smol::AdminError;

use super::topic::Kinds;
use crate::context::Cx;
use crate::failure::Failure;
use crate::output::{Cell, Table, row};

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// The topic; all when it is left out, but for those of brokers and groups
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
}

impl Stats {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let topics = match self.topic {
            Some(topic) => {
                let topic = ids::Topic::from(topic);
                // That it does not exist is a failure here, and none among all.
                cx.ask_of(format_args!("topic {topic}"), cx.admin.topic_route(topic.clone())).await?;
                vec![topic]
            }
            None => {
                let (topics, kinds) = (cx.ask(cx.admin.topics()).await?, Kinds::of(cx).await?);
                topics.into_iter().filter(|topic| kinds.is_user(topic.as_str())).collect()
            }
        };
        let bar = cx.out.bar(u64::try_from(topics.len()).unwrap_or(u64::MAX), "topics");
        let mut table = Table::new(["topic", "group", "messages", "inTps", "backlog", "outTps"]);
        for topic in topics {
            of_topic(cx, &topic, &mut table).await?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(cx.out.table(&table)?)
    }
}

async fn of_topic(cx: &mut Cx<'_>, topic: &ids::Topic, table: &mut Table) -> Result<(), Failure> {
    let stats = cx.attempt(cx.admin.topic_stats(topic.clone())).await?;
    let groups = cx.attempt(cx.admin.groups_of(topic.clone())).await?;
    let (stats, groups) = match (stats, groups) {
        (Ok(stats), Ok(groups)) => (cx.partial(stats), cx.partial(groups)),
        (Err(error), _) | (_, Err(error)) => {
            cx.missed(format!("topic {topic}"), &error);
            return Ok(());
        }
    };
    let kept = stats.offset_table.0.values().map(|row| row.max_offset.saturating_sub(row.min_offset));
    let (kept, put) = (kept.fold(0_i64, i64::saturating_add), stats.topic_put_tps);
    if groups.is_empty() {
        table.push(row![topic, Cell::Nothing, kept, put, Cell::Nothing, Cell::Nothing]);
    }
    for group in groups {
        let progress = cx.admin.consume_stats(group.clone(), Some(topic.clone()));
        let (backlog, got) = match cx.attempt(progress).await? {
            Ok(progress) => {
                let progress = cx.partial(progress);
                let backlog = progress.offset_table.0.values().map(|row| row.backlog());
                (Cell::from(backlog.fold(0_i64, i64::saturating_add)), Cell::from(progress.consume_tps))
            }
            // Groups that only committed offsets have no retry topic.
            Err(AdminError::Route(_)) => (Cell::Nothing, Cell::Nothing),
            Err(error) => {
                cx.missed(format!("group {group}"), &error);
                (Cell::Nothing, Cell::Nothing)
            }
        };
        table.push(row![topic, &group, kept, put, backlog, got]);
    }
    Ok(())
}
