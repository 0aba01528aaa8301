//! Producers.

use clap::{Args, Subcommand};

use super::connections;
use crate::args::GroupArg;
use crate::context::Cx;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Producer {
    /// The producers of a group that the brokers of a topic know
    #[command(after_help = "Example:\n  rmq producer connections order-service orders")]
    Connections(Connections),
}

#[derive(Debug, Args)]
pub(crate) struct Connections {
    #[command(flatten)]
    group: GroupArg,
    #[command(flatten)]
    topic: crate::args::TopicArg,
}

impl Producer {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        match self {
            Self::Connections(Connections { group, topic }) => {
                let about = format!("producers {}", group.name());
                let found = cx.ask_of(about, cx.admin.producers(group.name(), topic.name())).await?;
                let found = cx.partial(found);
                Ok(cx.out.table(&connections(&found))?)
            }
        }
    }
}
